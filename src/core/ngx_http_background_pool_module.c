
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A core module, because nginx calls init_process in the order of modules:
 * after ngx_thread_pool_module, which prepares the event loop for threads, and
 * before modules that may post tasks to threads when a worker starts.
 */


#include "ngx_http_background_module.h"


static ngx_int_t ngx_http_background_pool_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_pool_init_process(ngx_cycle_t *cycle);


static ngx_core_module_t  ngx_http_background_pool_module_ctx = {
    ngx_string("ngx_http_background_pool"),
    NULL,                                  /* create configuration */
    NULL                                   /* init configuration */
};


ngx_module_t  ngx_http_background_pool_module = {
    NGX_MODULE_V1,
    &ngx_http_background_pool_module_ctx,  /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_background_pool_init_module,  /* init module */
    ngx_http_background_pool_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_background_pool_init_module(ngx_cycle_t *cycle)
{
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_background_module);

    if (bmcf && bmcf->pool.used) {
        ngx_http_background_pool_limit(cycle, &bmcf->pool);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_pool_init_process(ngx_cycle_t *cycle)
{
    ngx_http_background_main_conf_t  *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_background_module);

    if (bmcf == NULL) {
        return NGX_OK;
    }

    if (bmcf->pool.used) {
        ngx_http_background_pool_start(cycle, &bmcf->pool);
    }

    return NGX_OK;
}
