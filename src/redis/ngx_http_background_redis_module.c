
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* The module of "background_redis", and of "workers cluster" by it. */


#include "ngx_http_background_redis.h"


static ngx_int_t ngx_http_background_redis_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_redis_init(ngx_conf_t *cf);
static void *ngx_http_background_redis_create_main_conf(ngx_conf_t *cf);


static ngx_command_t  ngx_http_background_redis_commands[] = {

    { ngx_string("background_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_background_redis_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_redis_module_ctx = {
    ngx_http_background_redis_preconfiguration,  /* preconfiguration */
    ngx_http_background_redis_init,              /* postconfiguration */

    ngx_http_background_redis_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_redis_module = {
    NGX_MODULE_V1,
    &ngx_http_background_redis_module_ctx, /* module context */
    ngx_http_background_redis_commands,    /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_background_redis_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_background_add_cluster(cf,
                                           &ngx_http_background_redis_lease);
}


static void *
ngx_http_background_redis_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_redis_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_redis_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->redis, cf->pool, 1,
                       sizeof(ngx_http_background_redis_conf_t *))
        != NGX_OK
        || ngx_array_init(&rmcf->leases, cf->pool, 4, sizeof(void *))
           != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static ngx_int_t
ngx_http_background_redis_init(ngx_conf_t *cf)
{
    ngx_uint_t                               i;
    ngx_http_background_redis_conf_t       **redis;
    ngx_http_background_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_background_redis_module);
    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        if (ngx_http_background_redis_init_conf(cf, redis[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_background_redis_lease_init(cf, rmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rmcf->redis.nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_background_redis_zone_add(cf, rmcf);
}
