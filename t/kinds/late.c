
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * late FILE: a worker process starts its tasks only after the file is removed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


static char *late(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t late_init_process(ngx_cycle_t *cycle);


static u_char  late_file[NGX_MAX_PATH];


static ngx_command_t  late_commands[] = {

    { ngx_string("late"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      late,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  late_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  late_module = {
    NGX_MODULE_V1,
    &late_module_ctx,
    late_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, late_init_process, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static char *
late(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_cpystrn(late_file, value[1].data, NGX_MAX_PATH);

    return NGX_CONF_OK;
}


static ngx_int_t
late_init_process(ngx_cycle_t *cycle)
{
    ngx_file_info_t  fi;

    if (ngx_process != NGX_PROCESS_WORKER) {
        return NGX_OK;
    }

    while (ngx_file_info(late_file, &fi) != NGX_FILE_ERROR) {
        ngx_msleep(5);
    }

    return NGX_OK;
}
