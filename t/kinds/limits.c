
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * limits files|threads: no descriptors or no threads are available while the
 * module under test starts in a worker process.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/resource.h>


static char *limits(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void limits_exit(void *data);
static ngx_int_t limits_init_process(ngx_cycle_t *cycle);


static int          limits_resource = -1;
static ngx_int_t  (*limits_next)(ngx_cycle_t *cycle);


extern ngx_module_t  ngx_http_background_module;


static ngx_command_t  limits_commands[] = {

    { ngx_string("limits"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      limits,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  limits_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  limits_module = {
    NGX_MODULE_V1,
    &limits_module_ctx,
    limits_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static char *
limits(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t           *value;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = limits_exit;

    if (limits_next == NULL) {
        limits_next = ngx_http_background_module.init_process;
        ngx_http_background_module.init_process = limits_init_process;
    }

    value = cf->args->elts;

    limits_resource = (value[1].data[0] == 'f') ? RLIMIT_NOFILE : RLIMIT_NPROC;

    return NGX_CONF_OK;
}


static void
limits_exit(void *data)
{
    limits_resource = -1;
}


static ngx_int_t
limits_init_process(ngx_cycle_t *cycle)
{
    ngx_int_t      rc;
    struct rlimit  before, limit;

    if (ngx_process != NGX_PROCESS_WORKER || limits_resource == -1) {
        return limits_next(cycle);
    }

    if (getrlimit(limits_resource, &before) == -1) {
        return NGX_ERROR;
    }

    limit = before;
    limit.rlim_cur = 0;

    if (setrlimit(limits_resource, &limit) == -1) {
        return NGX_ERROR;
    }

    rc = limits_next(cycle);

    if (setrlimit(limits_resource, &before) == -1) {
        return NGX_ERROR;
    }

    return rc;
}
