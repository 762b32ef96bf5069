
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * $scheme and $https in requests with "scheme=https".  Only the handlers of
 * these variables are replaced: the connection has no TLS.
 */


#include "ngx_http_background_fetch.h"


static ngx_http_get_variable_pt ngx_http_background_fetch_replace(
    ngx_conf_t *cf, ngx_str_t *name, ngx_http_get_variable_pt handler);
static ngx_int_t ngx_http_background_fetch_scheme_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_fetch_https_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_uint_t ngx_http_background_fetch_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_str_t *value);


void
ngx_http_background_fetch_variables(ngx_conf_t *cf)
{
    ngx_http_background_fetch_main_conf_t  *rmcf;

    static ngx_str_t  scheme = ngx_string("scheme");
    static ngx_str_t  https = ngx_string("https");

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_background_request_module);

    rmcf->scheme = ngx_http_background_fetch_replace(cf, &scheme,
                                     ngx_http_background_fetch_scheme_variable);
    rmcf->https = ngx_http_background_fetch_replace(cf, &https,
                                      ngx_http_background_fetch_https_variable);
}


static ngx_http_get_variable_pt
ngx_http_background_fetch_replace(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_get_variable_pt handler)
{
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_variable_t        *var;
    ngx_http_get_variable_pt    own;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {

        if (key[i].key.len != name->len
            || ngx_memcmp(key[i].key.data, name->data, name->len) != 0)
        {
            continue;
        }

        var = key[i].value;
        own = var->get_handler;

        if (own) {
            var->get_handler = handler;
        }

        return own;
    }

    return NULL;
}


static ngx_int_t
ngx_http_background_fetch_scheme_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_background_fetch_main_conf_t  *rmcf;

    static ngx_str_t  value = ngx_string("https");

    if (ngx_http_background_fetch_value(r, v, &value)) {
        return NGX_OK;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_background_request_module);

    return rmcf->scheme(r, v, data);
}


static ngx_int_t
ngx_http_background_fetch_https_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_background_fetch_main_conf_t  *rmcf;

    static ngx_str_t  value = ngx_string("on");

    if (ngx_http_background_fetch_value(r, v, &value)) {
        return NGX_OK;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_background_request_module);

    return rmcf->https(r, v, data);
}


static ngx_uint_t
ngx_http_background_fetch_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_str_t *value)
{
    ngx_http_background_fetch_conf_t  *rcf;

    rcf = ngx_http_background_fetch_conf(r);

    if (rcf == NULL || !rcf->https) {
        return 0;
    }

    v->data = value->data;
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return 1;
}
