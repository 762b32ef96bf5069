
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * forget: clears the list of robust mutexes of the main thread, as a process
 * that has overwritten its memory may do.
 */


#include <ngx_http_background.h>

#include <linux/futex.h>
#include <sys/syscall.h>


static void forget_start(ngx_http_background_run_t *run);
static void forget_cancel(ngx_http_background_run_t *run);
static char *forget(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static struct robust_list_head  forget_list = {
    { &forget_list.list }, 0, NULL
};


static ngx_http_background_kind_t  forget_kind = {
    forget_start,                            /* start */
    forget_cancel,                           /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_command_t  forget_commands[] = {

    { ngx_string("forget"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS,
      forget,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  forget_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  forget_module = {
    NGX_MODULE_V1,
    &forget_module_ctx,
    forget_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
forget_start(ngx_http_background_run_t *run)
{
    if (syscall(SYS_set_robust_list, &forget_list, sizeof(forget_list)) == -1) {
        ngx_http_background_fail(&run->result, ngx_errno,
                                 "set_robust_list() failed");
    } else {
        run->result.completed++;
    }

    ngx_http_background_done(run);
}


static void
forget_cancel(ngx_http_background_run_t *run)
{
}


static char *
forget(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_operation(cf, &forget_kind, NULL);
}
