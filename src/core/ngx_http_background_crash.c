
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_crash.h"


typedef struct {
    int                signo;
    const char        *name;
    struct sigaction   before;
} ngx_http_background_crash_signal_t;


static void ngx_http_background_crash_handler(int signo, siginfo_t *info,
    void *data);


static ngx_http_background_crash_signal_t  ngx_http_background_crash_signals[]
    =
{
    { .signo = SIGSEGV, .name = "SIGSEGV" },
    { .signo = SIGBUS, .name = "SIGBUS" },
    { .signo = SIGFPE, .name = "SIGFPE" },
    { .signo = SIGILL, .name = "SIGILL" },
    { .signo = SIGABRT, .name = "SIGABRT" },
    { .signo = SIGTRAP, .name = "SIGTRAP" },
    { .signo = 0 }
};


static void  (*ngx_http_background_crashed)(int signo);


ngx_int_t
ngx_http_background_crash_watch(ngx_log_t *log, void (*handler)(int signo))
{
    struct sigaction                     sa;
    ngx_http_background_crash_signal_t  *signal;

    ngx_http_background_crashed = handler;

    ngx_memzero(&sa, sizeof(struct sigaction));

    sa.sa_sigaction = ngx_http_background_crash_handler;
    sa.sa_flags = SA_SIGINFO|SA_ONSTACK;
    sigemptyset(&sa.sa_mask);

    for (signal = ngx_http_background_crash_signals; signal->signo; signal++) {
        if (sigaction(signal->signo, &sa, &signal->before) == -1) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "sigaction(%d) failed", signal->signo);
            ngx_http_background_crash_unwatch();
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_background_crash_unwatch(void)
{
    struct sigaction                     sa;
    ngx_http_background_crash_signal_t  *signal;

    for (signal = ngx_http_background_crash_signals; signal->signo; signal++) {

        /* a library may have replaced the handler */

        if (sigaction(signal->signo, NULL, &sa) == 0
            && (sa.sa_flags & SA_SIGINFO)
            && sa.sa_sigaction == ngx_http_background_crash_handler)
        {
            (void) sigaction(signal->signo, &signal->before, NULL);
        }
    }
}


const char *
ngx_http_background_crash_name(int signo)
{
    ngx_http_background_crash_signal_t  *signal;

    for (signal = ngx_http_background_crash_signals; signal->signo; signal++) {
        if (signal->signo == signo) {
            return signal->name;
        }
    }

    return NULL;
}


static void
ngx_http_background_crash_handler(int signo, siginfo_t *info, void *data)
{
    ngx_http_background_crash_signal_t  *signal;

    ngx_http_background_crashed(signo);

    for (signal = ngx_http_background_crash_signals; signal->signo; signal++) {
        if (signal->signo == signo) {
            (void) sigaction(signo, &signal->before, NULL);
        }
    }

    /*
     * On return a fault occurs again, but a signal that was sent must be sent
     * again.
     */

    if (info->si_code <= 0 || signo == SIGTRAP) {
        (void) raise(signo);
    }
}
