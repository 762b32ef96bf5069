
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _NGX_HTTP_BACKGROUND_CRASH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CRASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * "handler" is called when a signal that means a crash arrives, in the thread
 * that receives it.  It must be async-signal-safe.  Then the signal has its
 * former effect: the previous handler, or a core dump.
 *
 * watch    called in the worker, once; NGX_ERROR was logged
 * unwatch  called in exit_process: the module is unloaded before the process
 *          exits, and libraries may crash after that
 */
ngx_int_t ngx_http_background_crash_watch(ngx_log_t *log,
    void (*handler)(int signo));
void ngx_http_background_crash_unwatch(void);


/* returns a name such as "SIGSEGV", or NULL for other signals */
const char *ngx_http_background_crash_name(int signo);


#endif /* _NGX_HTTP_BACKGROUND_CRASH_H_INCLUDED_ */
