
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* buffered writing to a temporary file */


#ifndef _NGX_HTTP_BACKGROUND_TEMP_WRITER_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TEMP_WRITER_H_INCLUDED_


#include "ngx_http_background_temp.h"


#define NGX_HTTP_BACKGROUND_TEMP_WRITER_BUFFER  65536


typedef struct {
    ngx_http_background_temp_t   temp;
    ngx_err_t                    err;        /* error of the first write() that
                                                has failed; no data is written
                                                after that */
    u_char                      *last;
    u_char                       buffer[NGX_HTTP_BACKGROUND_TEMP_WRITER_BUFFER];
} ngx_http_background_temp_writer_t;


/*
 * open    creates the temporary file; returns NGX_ERROR with the error in
 *         ngx_errno.  It must be discarded unless it is published, also after
 *         NGX_ERROR
 * append  appends data of any length
 * flush   returns NGX_ERROR if a write() has failed; the error is in ngx_errno
 */
ngx_int_t ngx_http_background_temp_writer_open(
    ngx_http_background_temp_writer_t *writer, int dirfd);
void ngx_http_background_temp_writer_append(
    ngx_http_background_temp_writer_t *writer, const u_char *text, size_t len);
ngx_int_t ngx_http_background_temp_writer_flush(
    ngx_http_background_temp_writer_t *writer);


#endif /* _NGX_HTTP_BACKGROUND_TEMP_WRITER_H_INCLUDED_ */
