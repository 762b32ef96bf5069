
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * freeze: a location whose handler stops the worker process until SIGCONT, and
 * then responds.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


static ngx_int_t freeze_handler(ngx_http_request_t *r);
static char *freeze(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_command_t  freeze_commands[] = {

    { ngx_string("freeze"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      freeze,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  freeze_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  freeze_module = {
    NGX_MODULE_V1,
    &freeze_module_ctx,
    freeze_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
freeze_handler(ngx_http_request_t *r)
{
    if (raise(SIGSTOP) != 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_NO_CONTENT;
}


static char *
freeze(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = freeze_handler;

    return NGX_CONF_OK;
}
