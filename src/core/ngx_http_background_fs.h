
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The current folder and the umask of pool threads.  In Linux all threads of a
 * process share them, unless a thread has called unshare(CLONE_FS).
 */


#ifndef _NGX_HTTP_BACKGROUND_FS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_FS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * open     called in the main thread, before pool threads start
 * unshare  called in a pool thread, once: it gets its own folder and umask,
 *          those of the worker except that files are not writable by group
 *          and others.  If the kernel refuses, this is logged once in a
 *          worker, and the thread uses those of the worker
 * restore  called in a pool thread after a job that may have changed them:
 *          sets both back; does nothing if the kernel has refused
 * close    called in the main thread, when no pool threads run any more
 */
void ngx_http_background_fs_open(ngx_log_t *log);
void ngx_http_background_fs_unshare(ngx_log_t *log);
void ngx_http_background_fs_restore(ngx_log_t *log);
void ngx_http_background_fs_close(ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_FS_H_INCLUDED_ */
