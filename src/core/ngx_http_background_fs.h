
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Current folder and umask of pool threads.  In Linux all threads of a process
 * share them, unless a thread has called unshare(CLONE_FS).
 */


#ifndef _NGX_HTTP_BACKGROUND_FS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_FS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * open     on the main thread, before there are pool threads
 * unshare  on a pool thread, once: gives it a folder and umask of its own, the
 *          worker's, but that files are writable by their owner only.  Where
 *          the kernel refuses, that is logged once in a worker, and both stay
 *          the worker's
 * restore  on a pool thread, after a job that may have changed them: sets both
 *          back; does nothing where the kernel has refused
 * close    on the main thread, when there are no pool threads any more
 */
void ngx_http_background_fs_open(ngx_log_t *log);
void ngx_http_background_fs_unshare(ngx_log_t *log);
void ngx_http_background_fs_restore(ngx_log_t *log);
void ngx_http_background_fs_close(ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_FS_H_INCLUDED_ */
