
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What has failed of a list of URIs, for "retry".  It outlives the run that has
 * found it, in one worker.
 */


#ifndef _NGX_HTTP_BACKGROUND_FAILED_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_FAILED_H_INCLUDED_


#include <ngx_http_background.h>


#define NGX_HTTP_BACKGROUND_FAILED_MAX     1000


typedef struct {
    ngx_str_t                             uri;
    ngx_uint_t                            line;     /* too long; 0: a URI */
} ngx_http_background_failed_line_t;


typedef struct {
    ngx_pool_t                           *pool;
    ngx_array_t                           lines;    /* _failed_line_t */
    ngx_file_info_t                       file;     /* the list, as it was */
    ngx_uint_t                            rest;     /* unsigned  rest:1;
                                                       of others is not known
                                                       whether they failed */
} ngx_http_background_failed_t;


/*
 * create  NULL: no memory
 * add     a line; one that there is no place for is of the rest
 * same    whether the file is the list
 * free    NULL is none
 */
ngx_http_background_failed_t *ngx_http_background_failed_create(
    ngx_log_t *log);
void ngx_http_background_failed_add(ngx_http_background_failed_t *failed,
    ngx_str_t *uri, ngx_uint_t line);
ngx_uint_t ngx_http_background_failed_same(
    ngx_http_background_failed_t *failed, ngx_file_info_t *file);
void ngx_http_background_failed_free(ngx_http_background_failed_t *failed);


#endif /* _NGX_HTTP_BACKGROUND_FAILED_H_INCLUDED_ */
