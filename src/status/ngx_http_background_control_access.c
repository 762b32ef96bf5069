
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Whether a location has any access control.  The modules are found by their
 * names, as they may be missing or dynamic.  The first member of their
 * configuration is set where one of their directives is in use.
 */


#include "ngx_http_background_status.h"


static void **ngx_http_background_access_post(ngx_http_conf_ctx_t *ctx);
static ngx_uint_t ngx_http_background_access_module(ngx_conf_t *cf,
    void **loc_conf, const char *name);
static ngx_uint_t ngx_http_background_access_ssl(ngx_conf_t *cf,
    void **srv_conf);
static ngx_uint_t ngx_http_background_access_listen(ngx_conf_t *cf,
    void **srv_conf, ngx_uint_t ssl);
static ngx_uint_t ngx_http_background_access_tls(
    ngx_http_listen_opt_t *listen);
static ngx_module_t *ngx_http_background_access_find(ngx_conf_t *cf,
    const char *name);


static const char *const  ngx_http_background_access_modules[] = {
    "ngx_http_access_module",
    "ngx_http_auth_basic_module",
    "ngx_http_auth_request_module",
    "ngx_http_auth_jwt_module",
    NULL
};


ngx_uint_t
ngx_http_background_access(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx)
{
    void       **loc_conf;
    ngx_uint_t   i;

    loc_conf = ngx_http_background_access_post(ctx);

    for (i = 0; ngx_http_background_access_modules[i]; i++) {
        if (ngx_http_background_access_module(cf, loc_conf,
                                     ngx_http_background_access_modules[i]))
        {
            return 1;
        }
    }

    return ngx_http_background_access_ssl(cf, ctx->srv_conf)
           || ngx_http_background_access_listen(cf, ctx->srv_conf, 0);
}


/* orders are given by POST, which "limit_except" may have directives for */

static void **
ngx_http_background_access_post(ngx_http_conf_ctx_t *ctx)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ctx->loc_conf[ngx_http_core_module.ctx_index];

    return (clcf->limit_except & NGX_HTTP_POST) ? clcf->limit_except_loc_conf
                                                : ctx->loc_conf;
}


static ngx_uint_t
ngx_http_background_access_module(ngx_conf_t *cf, void **loc_conf,
    const char *name)
{
    void                      **conf;
    ngx_module_t               *module;
    ngx_http_complex_value_t   *realm;

    module = ngx_http_background_access_find(cf, name);
    if (module == NULL) {
        return 0;
    }

    conf = loc_conf[module->ctx_index];

    if (conf == NULL || *conf == NULL || *conf == NGX_CONF_UNSET_PTR) {
        return 0;
    }

    if (ngx_strcmp(name, "ngx_http_auth_basic_module") == 0) {
        realm = *conf;

        return realm->lengths
               || realm->value.len != sizeof("off") - 1
               || ngx_strncmp(realm->value.data, "off", sizeof("off") - 1)
                  != 0;
    }

    return 1;
}


static ngx_uint_t
ngx_http_background_access_ssl(ngx_conf_t *cf, void **srv_conf)
{
#if (NGX_HTTP_SSL)

    ngx_module_t             *module;
    ngx_http_ssl_srv_conf_t  *sscf;

    module = ngx_http_background_access_find(cf, "ngx_http_ssl_module");

    if (module) {
        sscf = srv_conf[module->ctx_index];

        /* without TLS there is nothing to verify */

        return sscf && sscf->verify == 1
               && ngx_http_background_access_listen(cf, srv_conf, 1);
    }

#endif

    return 0;
}


/*
 * Whether all listening sockets of the server are in the file system or, if
 * "ssl" is set, use TLS.
 */

static ngx_uint_t
ngx_http_background_access_listen(ngx_conf_t *cf, void **srv_conf,
    ngx_uint_t ssl)
{
    ngx_uint_t                   i, j, k;
    ngx_http_conf_addr_t        *addr;
    ngx_http_conf_port_t        *port;
    ngx_http_core_srv_conf_t    *cscf, **servers;
    ngx_http_core_main_conf_t   *cmcf;

    cscf = srv_conf[ngx_http_core_module.ctx_index];
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (cmcf->ports == NULL) {
        return 0;
    }

    port = cmcf->ports->elts;

    for (i = 0; i < cmcf->ports->nelts; i++) {

        if (port[i].family == AF_UNIX) {
            continue;
        }

        addr = port[i].addrs.elts;

        for (j = 0; j < port[i].addrs.nelts; j++) {

            if (ssl && ngx_http_background_access_tls(&addr[j].opt)) {
                continue;
            }

            servers = addr[j].servers.elts;

            for (k = 0; k < addr[j].servers.nelts; k++) {
                if (servers[k] == cscf) {
                    return 0;
                }
            }
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_background_access_tls(ngx_http_listen_opt_t *listen)
{
#if (NGX_HTTP_V3)

    if (listen->quic) {
        return 1;
    }

#endif

#if (NGX_HTTP_SSL)
    return listen->ssl;
#else
    return 0;
#endif
}


static ngx_module_t *
ngx_http_background_access_find(ngx_conf_t *cf, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, name) == 0) {
            return cf->cycle->modules[i];
        }
    }

    return NULL;
}
