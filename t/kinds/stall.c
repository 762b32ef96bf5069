
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * stall TIME: each hundredth request of the location blocks the event loop of
 * its worker for this time.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_msec_t  time;
    ngx_uint_t  count;
} stall_conf_t;


static void *stall_create_loc_conf(ngx_conf_t *cf);
static ngx_int_t stall_init(ngx_conf_t *cf);
static ngx_int_t stall_handler(ngx_http_request_t *r);


static ngx_command_t  stall_commands[] = {

    { ngx_string("stall"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(stall_conf_t, time),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  stall_module_ctx = {
    NULL,
    stall_init,
    NULL,
    NULL,
    NULL,
    NULL,
    stall_create_loc_conf,
    NULL
};


ngx_module_t  stall_module = {
    NGX_MODULE_V1,
    &stall_module_ctx,
    stall_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void *
stall_create_loc_conf(ngx_conf_t *cf)
{
    stall_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(stall_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->time = NGX_CONF_UNSET_MSEC;
    conf->count = 0;

    return conf;
}


static ngx_int_t
stall_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = stall_handler;

    return NGX_OK;
}


static ngx_int_t
stall_handler(ngx_http_request_t *r)
{
    stall_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, stall_module);

    if (conf->time != NGX_CONF_UNSET_MSEC && ++conf->count % 100 == 0) {
        ngx_msleep(conf->time);
    }

    return NGX_DECLINED;
}
