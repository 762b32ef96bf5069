
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * gate FILE [keep]: a CPU operation that runs as long as the file exists.
 * It sets a progress when it starts.  With "keep" it does not give its slot away.
 */


#include <ngx_http_background.h>


static void gate_work(ngx_http_background_run_t *run);
static void gate_keep_work(ngx_http_background_run_t *run);
static char *gate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_http_background_kind_t  gate_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    gate_work,                               /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_http_background_kind_t  gate_keep_kind = { .work = gate_keep_work };


static ngx_command_t  gate_commands[] = {

    { ngx_string("gate"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE12,
      gate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  gate_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  gate_module = {
    NGX_MODULE_V1,
    &gate_module_ctx,
    gate_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
gate_work(ngx_http_background_run_t *run)
{
    ngx_file_info_t  fi;

    ngx_http_background_progress(run, 1, 2);

    while (ngx_file_info((u_char *) run->conf, &fi) != NGX_FILE_ERROR) {

        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ngx_msleep(2);
    }

    run->result.completed++;
}


static void
gate_keep_work(ngx_http_background_run_t *run)
{
    run->keep_slot = 1;

    gate_work(run);
}


static char *
gate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_http_background_kind_t  *kind;

    value = cf->args->elts;

    kind = (cf->args->nelts == 3) ? &gate_keep_kind : &gate_kind;

    return ngx_http_background_add_operation(cf, kind, value[1].data);
}
