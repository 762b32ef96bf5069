
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * pair: jobs of two tasks crash at the same time, so that the handler of
 * crashes runs in both threads before the process exits.
 */


#include <ngx_http_background.h>

#include <signal.h>


static void pair_work(ngx_http_background_run_t *run);
static void pair_handler(void);
static char *pair(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_uint_t        pair_began;
static ngx_uint_t        pair_told;
static struct sigaction  pair_action;


static ngx_http_background_kind_t  pair_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    pair_work,                               /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_command_t  pair_commands[] = {

    { ngx_string("pair"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS,
      pair,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  pair_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  pair_module = {
    NGX_MODULE_V1,
    &pair_module_ctx,
    pair_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
pair_work(ngx_http_background_run_t *run)
{
    ngx_uint_t  n;

    n = __atomic_add_fetch(&pair_began, 1, __ATOMIC_SEQ_CST);

    if (n == 1) {
        (void) sigaction(SIGSEGV, NULL, &pair_action);
    }

    /* waits until both jobs run */

    while (__atomic_load_n(&pair_began, __ATOMIC_SEQ_CST) < 2) {
        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ngx_msleep(1);
    }

    /* the first thread is followed by the second one, which ends the process */

    while (__atomic_load_n(&pair_told, __ATOMIC_SEQ_CST) < n - 1) {
        ngx_msleep(1);
    }

    pair_handler();

    __atomic_add_fetch(&pair_told, 1, __ATOMIC_SEQ_CST);

    if (n == 2) {
        (void) signal(SIGSEGV, SIG_DFL);
        (void) raise(SIGSEGV);
    }

    for ( ;; ) {
        ngx_msleep(1000);
    }
}


/* raises the signal again, as a fault that recurs when the handler returns */

static void
pair_handler(void)
{
    siginfo_t  info;

    ngx_memzero(&info, sizeof(siginfo_t));

    info.si_signo = SIGSEGV;
    info.si_code = SEGV_MAPERR;

    pair_action.sa_sigaction(SIGSEGV, &info, NULL);
}


static char *
pair(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_operation(cf, &pair_kind, NULL);
}
