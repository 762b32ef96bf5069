
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * crash FILE: a CPU operation that crashes the worker process if the file
 * exists, and does nothing otherwise.  A file that contains "once" is removed
 * before the crash.
 */


#include <ngx_http_background.h>


static void crash_work(ngx_http_background_run_t *run);
static ngx_uint_t crash_wanted(u_char *name);
static void crash_now(void);
static char *crash(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static int *volatile  crash_nowhere;


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
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
crash_work(ngx_http_background_run_t *run)
{
    if (crash_wanted(run->conf)) {
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
