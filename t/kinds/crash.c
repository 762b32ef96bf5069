
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * crash FILE: a CPU operation that crashes the worker process if the file
 * exists, and does nothing otherwise.  A file that contains "once" is removed
 * before the crash.
 *
 * The event loop waits in a timer's handler for the crash, as a worker that dies
 * with a lock of nginx leaves it locked.
 */


#include <ngx_http_background.h>
#include <ngx_event.h>


static void crash_work(ngx_http_background_run_t *run);
static ngx_uint_t crash_wanted(u_char *name);
static void crash_now(void);
static void crash_wait(ngx_event_t *ev);
static ngx_int_t crash_init_process(ngx_cycle_t *cycle);
static char *crash(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static int *volatile     crash_nowhere;
static ngx_atomic_t      crash_asked;
static ngx_atomic_t      crash_held;
static ngx_event_t       crash_event;
static ngx_connection_t  crash_dummy;


static ngx_http_background_kind_t  crash_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    crash_work,                              /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_command_t  crash_commands[] = {

    { ngx_string("crash"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      crash,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  crash_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  crash_module = {
    NGX_MODULE_V1,
    &crash_module_ctx,
    crash_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, crash_init_process, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
crash_work(ngx_http_background_run_t *run)
{
    if (crash_wanted(run->conf)) {
        (void) ngx_atomic_fetch_add(&crash_asked, 1);

        while (ngx_atomic_fetch_add(&crash_held, 0) == 0) {
            ngx_msleep(1);
        }

        crash_now();
    }

    run->result.completed++;
}


static ngx_uint_t
crash_wanted(u_char *name)
{
    u_char    buf[4];
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file(name, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return 0;
    }

    n = read(fd, buf, 4);
    (void) ngx_close_file(fd);

    if (n == 4 && ngx_memcmp(buf, "once", 4) == 0) {
        return ngx_delete_file(name) == 0;
    }

    return 1;
}


static ngx_int_t
crash_init_process(ngx_cycle_t *cycle)
{
    crash_dummy.fd = (ngx_socket_t) -1;

    crash_event.handler = crash_wait;
    crash_event.data = &crash_dummy;
    crash_event.log = cycle->log;
    crash_event.cancelable = 1;

    ngx_add_timer(&crash_event, 5);

    return NGX_OK;
}


static void
crash_wait(ngx_event_t *ev)
{
    if (ngx_atomic_fetch_add(&crash_asked, 0)) {
        (void) ngx_atomic_fetch_add(&crash_held, 1);

        for ( ;; ) {
            ngx_msleep(1000);
        }
    }

    ngx_add_timer(ev, 5);
}


__attribute__((no_sanitize("address", "undefined")))
static void
crash_now(void)
{
    *crash_nowhere = 1;
}


static char *
crash(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    /* a crash that sanitizers do not report */
    (void) signal(SIGSEGV, SIG_DFL);

    value = cf->args->elts;

    return ngx_http_background_add_operation(cf, &crash_kind, value[1].data);
}
