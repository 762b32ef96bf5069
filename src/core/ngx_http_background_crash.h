
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _NGX_HTTP_BACKGROUND_CRASH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CRASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Has "handler" called when a signal that means a crash arrives, in the thread
 * that it arrives in: all that it does has to be async-signal-safe.  The signal
 * then takes its course as if there were no handler: another one that was there
 * before, a core dump.
 *
 * watch    in the worker, once; NGX_ERROR: it was logged
 * unwatch  in exit_process: the module is unloaded before the process exits,
 *          and libraries may crash after that
 */
ngx_int_t ngx_http_background_crash_watch(ngx_log_t *log,
    void (*handler)(int signo));
void ngx_http_background_crash_unwatch(void);


/* "SIGSEGV" and the like; NULL: of no such signal */
const char *ngx_http_background_crash_name(int signo);


#endif /* _NGX_HTTP_BACKGROUND_CRASH_H_INCLUDED_ */
