
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Files that are either complete or do not exist: they are written to a
 * temporary file in the same directory and then renamed.  Called on pool
 * threads.
 *
 * The writer locks the temporary file.  If the lock can be taken, the writer
 * was killed, and the file is removed.
 */


#ifndef _NGX_HTTP_BACKGROUND_TEMP_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TEMP_H_INCLUDED_


#include <ngx_http_background.h>


#define NGX_HTTP_BACKGROUND_TEMP_PREFIX  ".ngx_http_background_"
#define NGX_HTTP_BACKGROUND_TEMP_SUFFIX  ".tmp"

/* a prefix, the pid, "_", a number, a suffix, and a zero */
#define NGX_HTTP_BACKGROUND_TEMP_NAME                                        \
    (sizeof(NGX_HTTP_BACKGROUND_TEMP_PREFIX "_"                              \
            NGX_HTTP_BACKGROUND_TEMP_SUFFIX)                                 \
     + 2 * NGX_INT64_LEN)


typedef struct {
    int                          dirfd;
    int                          fd;         /* -1: not open */
    uid_t                        uid;
    gid_t                        gid;
    u_char                       name[NGX_HTTP_BACKGROUND_TEMP_NAME];
} ngx_http_background_temp_t;


/*
 * Errors are in ngx_errno.
 *
 * create     the descriptor of the directory must stay open
 * write      writes all data
 * flush      tells whether file systems that report errors in close() have
 *            stored the data
 * publish    renames the file, replacing an existing one; without "replace" it
 *            fails with NGX_EEXIST in that case
 * discard    removes the file unless it was published
 * is_temp    whether the name is one of a temporary file
 * sweep      removes a temporary file if its writer was killed
 * sweep_all  does that for all files of a directory
 */
ngx_int_t ngx_http_background_temp_create(ngx_http_background_temp_t *temp,
    int dirfd);
ngx_int_t ngx_http_background_temp_write(ngx_http_background_temp_t *temp,
    u_char *buf, size_t size);
ngx_int_t ngx_http_background_temp_flush(ngx_http_background_temp_t *temp);
ngx_int_t ngx_http_background_temp_publish(ngx_http_background_temp_t *temp,
    u_char *name, ngx_uint_t replace);
void ngx_http_background_temp_discard(ngx_http_background_temp_t *temp);
ngx_uint_t ngx_http_background_is_temp(u_char *name);
void ngx_http_background_temp_sweep(ngx_http_background_run_t *run, int dirfd,
    u_char *name);
void ngx_http_background_temp_sweep_all(ngx_http_background_run_t *run,
    int dirfd);


#endif /* _NGX_HTTP_BACKGROUND_TEMP_H_INCLUDED_ */
