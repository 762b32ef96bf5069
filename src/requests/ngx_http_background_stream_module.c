
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


static char *ngx_http_background_stream_init_conf(ngx_cycle_t *cycle,
    void *conf);
static char *ngx_http_background_stream_bind(ngx_cycle_t *cycle,
    ngx_http_background_probe_op_t *op);
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
    const char                       *reason;
    ngx_array_t                       none;
    ngx_stream_upstream_srv_conf_t   *uscf;
    ngx_stream_upstream_main_conf_t  *umcf;

    ngx_memzero(&none, sizeof(ngx_array_t));

    umcf = ngx_stream_cycle_get_module_main_conf(cycle,
                                                 ngx_stream_upstream_module);

    op->access = &ngx_http_background_stream_upstream;

    reason = op->access->bind(op, umcf ? &umcf->upstreams : &none);

    if (op->upstream == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "no upstream \"%V\" for \"probe\" directive in %s:%ui",
                      &op->title, op->file, op->line);
        return NGX_CONF_ERROR;
    }

    if (reason) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "upstream \"%V\" %s for \"probe\" directive in %s:%ui",
                      &op->title, reason, op->file, op->line);
        return NGX_CONF_ERROR;
    }

    uscf = op->upstream;

    op->stream_init = (void (*)(void)) uscf->peer.init;
    uscf->peer.init = ngx_http_background_stream_peer_init;

    return NGX_CONF_OK;
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
