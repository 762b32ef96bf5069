
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * stall FILE: each hundredth request of the location blocks the event loop of
 * its worker until the file exists, which is logged.
 *
 * $stall_requests: requests of all such locations in this worker so far.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_str_t  file;
} stall_conf_t;


static ngx_int_t stall_add_variable(ngx_conf_t *cf);
static ngx_int_t stall_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void *stall_create_loc_conf(ngx_conf_t *cf);
static ngx_int_t stall_init(ngx_conf_t *cf);
static ngx_int_t stall_handler(ngx_http_request_t *r);


static ngx_command_t  stall_commands[] = {

    { ngx_string("stall"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(stall_conf_t, file),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  stall_module_ctx = {
    stall_add_variable,
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


static ngx_uint_t  stall_requests;


static ngx_int_t
stall_add_variable(ngx_conf_t *cf)
{
    ngx_str_t             name = ngx_string("stall_requests");
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = stall_variable;

    return NGX_OK;
}


static ngx_int_t
stall_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(p, "%ui", stall_requests) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = p;

    return NGX_OK;
}


static void *
stall_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(stall_conf_t));
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
    stall_conf_t     *conf;
    ngx_file_info_t   fi;

    conf = ngx_http_get_module_loc_conf(r, stall_module);

    if (conf->file.data == NULL || ++stall_requests % 100 != 0) {
        return NGX_DECLINED;
    }

    if (ngx_file_info(conf->file.data, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "stall: waits for \"%V\"", &conf->file);

        do {
            ngx_msleep(10);
        } while (ngx_file_info(conf->file.data, &fi) == NGX_FILE_ERROR);
    }

    return NGX_DECLINED;
}
