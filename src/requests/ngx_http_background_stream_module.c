
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "probe stream:UPSTREAM".  A module of its own, as it needs nginx's stream
 * module, which may be one, too.
 *
 * "stream" may stand behind "http": its upstreams are known when all of the
 * configuration has been read, and so this is a core module.
 */


#define NGX_HTTP_BACKGROUND_STREAM  1

#include "ngx_http_background_probe_peers.c"

#include <dlfcn.h>


static char *ngx_http_background_stream_init_conf(ngx_cycle_t *cycle,
    void *conf);
static char *ngx_http_background_stream_bind(ngx_cycle_t *cycle,
    ngx_http_background_probe_op_t *op);
static ngx_uint_t ngx_http_background_stream_foreign(
    ngx_stream_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_background_stream_peer_init(
    ngx_stream_session_t *s, ngx_stream_upstream_srv_conf_t *uscf);


static ngx_core_module_t  ngx_http_background_stream_module_ctx = {
    ngx_string("probe_stream"),
    NULL,
    ngx_http_background_stream_init_conf
};


ngx_module_t  ngx_http_background_stream_module = {
    NGX_MODULE_V1,
    &ngx_http_background_stream_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_background_stream_init_conf(ngx_cycle_t *cycle, void *conf)
{
    char                             *rv;
    ngx_uint_t                        i, n;
    ngx_http_background_probes_t     *probes;
    ngx_http_background_probe_op_t  **ops;

    probes = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_background_probe_module);

    if (probes == NULL) {
        return NGX_CONF_OK;
    }

    ops = probes->ops.elts;
    n = 0;

    for (i = 0; i < probes->ops.nelts; i++) {

        if (!ops[i]->stream) {
            continue;
        }

        rv = ngx_http_background_stream_bind(cycle, ops[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }

        n++;
    }

    if (n) {
        ngx_http_background_probes_resize(probes);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_background_stream_bind(ngx_cycle_t *cycle,
    ngx_http_background_probe_op_t *op)
{
    const char                       *error;
    ngx_uint_t                        i, servers;
    ngx_stream_upstream_server_t     *server;
    ngx_stream_upstream_srv_conf_t   *uscf, **uscfp;
    ngx_stream_upstream_main_conf_t  *umcf;

    umcf = ngx_stream_cycle_get_module_main_conf(cycle,
                                                 ngx_stream_upstream_module);
    uscf = NULL;

    for (i = 0; umcf && i < umcf->upstreams.nelts; i++) {
        uscfp = umcf->upstreams.elts;

        if (uscfp[i]->srv_conf && uscfp[i]->host.len == op->name.len
            && ngx_strncasecmp(uscfp[i]->host.data, op->name.data,
                               op->name.len)
               == 0)
        {
            uscf = uscfp[i];
            break;
        }
    }

    if (uscf == NULL) {
        error = "no upstream \"%V\" for \"probe\" directive in %s:%ui";
        goto failed;
    }

#if (NGX_STREAM_UPSTREAM_ZONE)

    if (uscf->shm_zone == NULL) {
        error = "upstream \"%V\" needs a \"zone\" for \"probe\" directive in "
                "%s:%ui";
        goto failed;
    }

#else

    error = "upstream \"%V\" needs a \"zone\", which this nginx was built "
            "without, for \"probe\" directive in %s:%ui";
    goto failed;

#endif

    if (ngx_http_background_stream_foreign(uscf)) {
        error = "upstream \"%V\" has a balancer that is not nginx's own, for "
                "\"probe\" directive in %s:%ui";
        goto failed;
    }

    servers = 0;
    server = uscf->servers->elts;

    for (i = 0; i < uscf->servers->nelts; i++) {
        servers += server[i].naddrs;
    }

    if (op->peers == 0) {
        op->peers = 2 * servers + 16;
    }

    op->access = &ngx_http_background_stream_upstream;
    op->upstream = uscf;

    op->stream_init = (void (*)(void)) uscf->peer.init;
    uscf->peer.init = ngx_http_background_stream_peer_init;

    return NGX_CONF_OK;

failed:

    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, error, &op->title, op->file,
                  op->line);

    return NGX_CONF_ERROR;
}


/* as in http */

static ngx_uint_t
ngx_http_background_stream_foreign(ngx_stream_upstream_srv_conf_t *uscf)
{
    Dl_info                          own, other;
    ngx_stream_upstream_rr_peers_t  *peers;

    peers = uscf->peer.data;

    if (peers == NULL || peers->name != &uscf->host) {
        return 1;
    }

    if (uscf->peer.init_upstream == NULL) {
        return 0;
    }

    if (dladdr((void *) ngx_stream_upstream_init_round_robin, &own) == 0
        || dladdr((void *) uscf->peer.init_upstream, &other) == 0)
    {
        return 0;
    }

    return own.dli_fbase != other.dli_fbase;
}


/* what an old worker has found after the reload is for new ones, too */

static ngx_int_t
ngx_http_background_stream_peer_init(ngx_stream_session_t *s,
    ngx_stream_upstream_srv_conf_t *uscf)
{
    ngx_uint_t                           i;
    ngx_http_background_probes_t        *probes;
    ngx_stream_upstream_init_peer_pt     init;
    ngx_http_background_probe_op_t     **ops;

    probes = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                             ngx_http_background_probe_module);
    ops = probes->ops.elts;

    for (i = 0; i < probes->ops.nelts; i++) {

        if (ops[i]->upstream == uscf) {
            ngx_http_background_probe_catch_up(ops[i], s->connection->log);

            init = (ngx_stream_upstream_init_peer_pt) ops[i]->stream_init;

            return init(s, uscf);
        }
    }

    return NGX_ERROR;
}
