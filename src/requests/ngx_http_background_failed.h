
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The failed URIs of a list, for "retry".  The structure outlives the run that
 * has created it, in one worker.
 */


#ifndef _NGX_HTTP_BACKGROUND_FAILED_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_FAILED_H_INCLUDED_


#include <ngx_http_background.h>


#define NGX_HTTP_BACKGROUND_FAILED_MAX     1000


typedef struct {
    ngx_str_t                             uri;
    ngx_uint_t                            line;     /* number of a line that
                                                       was too long; 0: a URI */
} ngx_http_background_failed_line_t;


typedef struct {
    ngx_pool_t                           *pool;
    ngx_array_t                           lines;    /* of ..._failed_line_t */
    ngx_file_info_t                       file;     /* information on the file
                                                       of the list */
    ngx_uint_t                            rest;     /* unsigned rest:1; there
                                                       are URIs that are not in
                                                       "lines" and may have
                                                       failed */
} ngx_http_background_failed_t;


/*
 * create  returns NULL if there is no memory
 * add     adds a line, or sets "rest" if there is no room for it
 * same    whether the file has not changed
 * free    may be called with NULL
 */
ngx_http_background_failed_t *ngx_http_background_failed_create(
    ngx_log_t *log);
void ngx_http_background_failed_add(ngx_http_background_failed_t *failed,
    ngx_str_t *uri, ngx_uint_t line);
ngx_uint_t ngx_http_background_failed_same(
    ngx_http_background_failed_t *failed, ngx_file_info_t *file);
void ngx_http_background_failed_free(ngx_http_background_failed_t *failed);


#endif /* _NGX_HTTP_BACKGROUND_FAILED_H_INCLUDED_ */
