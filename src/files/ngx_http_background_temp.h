
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Files that appear whole or not at all: written under a name of their own in
 * the same directory, then renamed.  For pool threads.
 *
 * The writer holds a lock on the temporary file.  So one that can be locked is
 * of a process that was killed, and whoever comes across it removes it.
 */


#ifndef _NGX_HTTP_BACKGROUND_TEMP_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TEMP_H_INCLUDED_


#include <ngx_http_background.h>


#define NGX_HTTP_BACKGROUND_TEMP_PREFIX  ".ngx_http_background_"
#define NGX_HTTP_BACKGROUND_TEMP_SUFFIX  ".tmp"

/* a prefix, the process, "_", a number, a suffix, and a zero */
#define NGX_HTTP_BACKGROUND_TEMP_NAME                                        \
    (sizeof(NGX_HTTP_BACKGROUND_TEMP_PREFIX "_"                              \
            NGX_HTTP_BACKGROUND_TEMP_SUFFIX)                                 \
     + 2 * NGX_INT64_LEN)


typedef struct {
    int                          dirfd;
    int                          fd;         /* -1: there is none */
    u_char                       name[NGX_HTTP_BACKGROUND_TEMP_NAME];
} ngx_http_background_temp_t;


/*
 * Errors are in ngx_errno.
 *
 * create   the directory's descriptor has to stay open
 * write    all of it
 * publish  gives it its name, if there is such a file already in its place;
 *          or, where that is not wanted, fails with NGX_EEXIST
 * discard  what was not published; harmless if it was
 * is_temp  whether a name is of such a file
 * sweep    removes such a file if nobody writes it
 * sweep_all
 *          all of a directory
 */
ngx_int_t ngx_http_background_temp_create(ngx_http_background_temp_t *temp,
    int dirfd);
ngx_int_t ngx_http_background_temp_write(ngx_http_background_temp_t *temp,
    u_char *buf, size_t size);
ngx_int_t ngx_http_background_temp_publish(ngx_http_background_temp_t *temp,
    u_char *name, ngx_uint_t replace);
void ngx_http_background_temp_discard(ngx_http_background_temp_t *temp);
ngx_uint_t ngx_http_background_is_temp(u_char *name);
void ngx_http_background_temp_sweep(ngx_http_background_run_t *run, int dirfd,
    u_char *name);
void ngx_http_background_temp_sweep_all(ngx_http_background_run_t *run,
    int dirfd);


#endif /* _NGX_HTTP_BACKGROUND_TEMP_H_INCLUDED_ */
