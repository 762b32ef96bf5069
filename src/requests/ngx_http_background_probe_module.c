
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "probe": the directive, and handlers that nginx calls */


#include "ngx_http_background_probe.h"


#define NGX_HTTP_BACKGROUND_PROBE_MAX_TIME  (24 * 60 * 60 * 1000)


typedef struct {
    /* the operation that checks the upstream, or NULL */
    ngx_http_background_probe_op_t      *op;
} ngx_http_background_probe_srv_conf_t;


/* the server that a request of "probe" checks, in the pool of the request */

typedef struct {
    ngx_sockaddr_t                       sockaddr;
    socklen_t                            socklen;
    ngx_str_t                            name;
} ngx_http_background_probe_peer_t;


static void *ngx_http_background_probe_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_background_probe_create_srv_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_probe_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_probe_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_probe_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_probe_init_process(ngx_cycle_t *cycle);

static char *ngx_http_background_probe(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_probe_upstream(ngx_conf_t *cf,
    ngx_http_background_probe_op_t *op);
static ngx_int_t ngx_http_background_probe_keep_param(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_probe_only(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_probe_type(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_probe_grpc_status(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_probe_conflicts(ngx_conf_t *cf,
    ngx_http_background_probe_op_t *op);
static ngx_int_t ngx_http_background_probe_bind_stream(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_probe_bind(ngx_conf_t *cf, void *conf);

static ngx_int_t ngx_http_background_probe_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_background_probe_peer_get(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_background_probe_peer_free(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_background_probe_set_session(
    ngx_peer_connection_t *pc, void *data);
static void ngx_http_background_probe_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif

static ngx_int_t ngx_http_background_probe_peer_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_probe_up_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_probe_peer(void *conf, ngx_uint_t *n,
    ngx_http_background_peer_t *peer);


static const ngx_http_background_kind_t  ngx_http_background_probe_kind = {
    ngx_http_background_probe_start,         /* start */
    ngx_http_background_probe_cancel,        /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL,                                    /* finish */
    ngx_http_background_probe_bind           /* check */
};


static const ngx_http_background_judge_t  ngx_http_background_probe_judged = {
    ngx_http_background_probe_peer,          /* peer */
    ngx_http_background_probe_clear,         /* quarantined */
    ngx_http_background_probe_order          /* order */
};


static const ngx_http_background_bounds_t  ngx_http_background_probe_numbers = {
    "value", 1, NGX_HTTP_BACKGROUND_PROBE_MAX, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_probe_needs = {
    "value", 0, NGX_HTTP_BACKGROUND_PROBE_MAX, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_probe_ports = {
    "port", 1, 65535, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_probe_times = {
    "time", 1, NGX_HTTP_BACKGROUND_PROBE_MAX_TIME, "from 1ms to 24h"
};


static const ngx_http_background_bounds_t
    ngx_http_background_probe_concurrencies =
{
    "value", 1, 1000, NULL
};


static const ngx_http_background_param_t  ngx_http_background_probe_params[] = {

    { ngx_string("method="), 0, ngx_http_background_fetch_method,
      offsetof(ngx_http_background_probe_op_t, conf), NULL },

    { ngx_string("header="), 1, ngx_http_background_fetch_header,
      offsetof(ngx_http_background_probe_op_t, conf), NULL },

    { ngx_string("body="), 0, ngx_http_background_fetch_body,
      offsetof(ngx_http_background_probe_op_t, conf), NULL },

    { ngx_string("status="), 0, ngx_http_background_fetch_status,
      offsetof(ngx_http_background_probe_op_t, conf), NULL },

    { ngx_string("test="), 0, ngx_http_background_fetch_test,
      offsetof(ngx_http_background_probe_op_t, conf), NULL },

    { ngx_string("type="), 0, ngx_http_background_probe_type,
      offsetof(ngx_http_background_probe_op_t, grpc), NULL },

    { ngx_string("grpc_service="), 0, ngx_http_background_conf_string,
      offsetof(ngx_http_background_probe_op_t, grpc_service), NULL },

    { ngx_string("grpc_status="), 0, ngx_http_background_probe_grpc_status,
      offsetof(ngx_http_background_probe_op_t, grpc_status), NULL },

    { ngx_string("port="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_probe_op_t, port),
      &ngx_http_background_probe_ports },

    { ngx_string("fails="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_probe_op_t, fails),
      &ngx_http_background_probe_numbers },

    { ngx_string("passes="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_probe_op_t, passes),
      &ngx_http_background_probe_numbers },

    { ngx_string("mandatory"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_probe_op_t, mandatory), NULL },

    { ngx_string("persistent"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_probe_op_t, persistent), NULL },

    { ngx_string("keep="), 0, ngx_http_background_probe_keep_param,
      0, NULL },

    { ngx_string("need="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_probe_op_t, need),
      &ngx_http_background_probe_needs },

    { ngx_string("only="), 0, ngx_http_background_probe_only,
      offsetof(ngx_http_background_probe_op_t, only_down), NULL },

    { ngx_string("timeout="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_probe_op_t, timeout),
      &ngx_http_background_probe_times },

    { ngx_string("concurrency="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_probe_op_t, concurrency),
      &ngx_http_background_probe_concurrencies },

    { ngx_string("peers="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_probe_op_t, peers),
      &ngx_http_background_probe_numbers },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_probe_commands[] = {

    { ngx_string("probe"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_probe,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_probe_module_ctx = {
    ngx_http_background_probe_add_variables, /* preconfiguration */
    ngx_http_background_probe_init,        /* postconfiguration */

    ngx_http_background_probe_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_background_probe_create_srv_conf,
                                           /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_probe_module = {
    NGX_MODULE_V1,
    &ngx_http_background_probe_module_ctx, /* module context */
    ngx_http_background_probe_commands,    /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_background_probe_init_module, /* init module */
    ngx_http_background_probe_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_background_probe_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_probes_t  *probes;

    probes = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_probes_t));
    if (probes == NULL) {
        return NULL;
    }

    if (ngx_array_init(&probes->ops, cf->pool, 2,
                       sizeof(ngx_http_background_probe_op_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return probes;
}


static void *
ngx_http_background_probe_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_background_probe_srv_conf_t));
}


static char *
ngx_http_background_probe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_probes_t *probes = conf;

    ngx_str_t                        *value;
    ngx_uint_t                        n;
    ngx_http_background_probe_op_t   *op, **opp;

    op = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_probe_op_t));
    opp = ngx_array_push(&probes->ops);

    if (op == NULL || opp == NULL) {
        return NGX_CONF_ERROR;
    }

    *opp = op;

    op->conf = ngx_http_background_fetch_create_conf(cf);
    if (op->conf == NULL) {
        return NGX_CONF_ERROR;
    }

    op->probes = probes;
    op->file = cf->conf_file->file.name.data;
    op->line = cf->conf_file->line;
    op->fails = 1;
    op->passes = 1;
    op->need = 1;
    op->concurrency = 16;
    op->timeout = 1000;

    if (ngx_http_background_probe_upstream(cf, op) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    n = 2;

    if (cf->args->nelts > 2 && value[2].len && value[2].data[0] == '/') {

        if (ngx_http_background_fetch_uri(cf, &value[2], &op->uri) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        op->http = 1;
        n = 3;
    }

    if (ngx_http_background_conf_params(cf, n,
                                        ngx_http_background_probe_params, op)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_probe_conflicts(cf, op) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_add_operation(cf, &ngx_http_background_probe_kind,
                                          op)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_use_judge(cf, &ngx_http_background_probe_judged);
}


/*
 * an upstream may have one "probe" only, as two would overwrite each other's
 * bits
 */

static ngx_int_t
ngx_http_background_probe_upstream(ngx_conf_t *cf,
    ngx_http_background_probe_op_t *op)
{
    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_background_probe_op_t  **ops;

    value = cf->args->elts;

    op->title = value[1];
    op->name = value[1];

    if (op->name.len > 7 && ngx_strncmp(op->name.data, "stream:", 7) == 0) {
        op->name.data += 7;
        op->name.len -= 7;
        op->stream = 1;
    }

    if (op->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty name of an upstream in \"%V\" directive",
                           &value[0]);
        return NGX_ERROR;
    }

    ops = op->probes->ops.elts;

    for (i = 0; i + 1 < op->probes->ops.nelts; i++) {

        if (ops[i]->title.len == op->title.len
            && ngx_strncasecmp(ops[i]->title.data, op->title.data,
                               op->title.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate \"%V\" of upstream \"%V\"",
                               &value[0], &op->title);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_keep_param(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_probe_op_t *op = p;

    size_t     len;
    ngx_int_t  n;

    len = arg->value.len;

    if (len && arg->value.data[len - 1] == '%') {
        op->percent = 1;
        len--;
    }

    n = ngx_atoi(arg->value.data, len);

    if (n == NGX_ERROR || n > (op->percent ? 100
                                           : NGX_HTTP_BACKGROUND_PROBE_MAX))
    {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                     "a number of servers, or from 0% to 100%");
    }

    op->keep = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_only(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_uint_t *only_down = p;

    if (ngx_strcmp(arg->value.data, "down") == 0) {
        *only_down = 1;

    } else if (ngx_strcmp(arg->value.data, "all") != 0) {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                                "\"all\" or \"down\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_type(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_uint_t *grpc = p;

    if (ngx_strcmp(arg->value.data, "grpc") != 0) {
        return ngx_http_background_conf_invalid(cf, arg, "value", "\"grpc\"");
    }

    *grpc = 1;

    return NGX_OK;
}


/* codes of gRPC, as "0,12" */

static ngx_int_t
ngx_http_background_probe_grpc_status(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    uint64_t *codes = p;

    u_char     *pos, *last, *comma;
    ngx_int_t   code;

    pos = arg->value.data;
    last = pos + arg->value.len;

    for ( ;; ) {
        comma = ngx_strlchr(pos, last, ',');
        code = ngx_atoi(pos, (comma ? comma : last) - pos);

        if (code < 0 || code > 16) {
            return ngx_http_background_conf_invalid(cf, arg, "value",
                                            "codes from 0 to 16, as in "
                                            "\"grpc_status=0,12\"");
        }

        *codes |= (uint64_t) 1 << code;

        if (comma == NULL) {
            return NGX_OK;
        }

        pos = comma + 1;
    }
}


static ngx_int_t
ngx_http_background_probe_conflicts(ngx_conf_t *cf,
    ngx_http_background_probe_op_t *op)
{
    ngx_str_t                         *value;
    ngx_http_background_fetch_conf_t  *rcf;

    value = cf->args->elts;
    rcf = op->conf;

    if (op->persistent && !op->mandatory) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"persistent\" needs \"mandatory\" in \"%V\" "
                           "directive, without it verdicts are kept anyway",
                           &value[0]);
        return NGX_ERROR;
    }

    if (op->grpc) {

        if (rcf->method_name.len || rcf->body) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"type=grpc\" has a method and a body of its "
                               "own in \"%V\" directive", &value[0]);
            return NGX_ERROR;
        }

        return ngx_http_background_probe_grpc_conf(cf, op);
    }

    if (op->grpc_service.data || op->grpc_status) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "parameters of gRPC need \"type=grpc\" in \"%V\" "
                           "directive", &value[0]);
        return NGX_ERROR;
    }

    if (!op->http && (rcf->method_name.len || rcf->headers.nelts || rcf->host
                      || rcf->body || rcf->statuses.nelts || rcf->test))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "parameters of a request need a URI in \"%V\" "
                           "directive", &value[0]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* called after "check" of all operations */

static ngx_int_t
ngx_http_background_probe_init(ngx_conf_t *cf)
{
    ngx_http_background_probes_t  *probes;

    probes = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_background_probe_module);

    if (probes->ops.nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_background_probes_add(cf, probes,
                                          &ngx_http_background_probe_module);
}


/* checks that the stream module is loaded, which binds the upstream */

static ngx_int_t
ngx_http_background_probe_bind_stream(ngx_conf_t *cf)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name,
                       "ngx_http_background_stream_module")
            == 0)
        {
            return NGX_OK;
        }
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V %V\" needs ngx_http_background_stream_module.so",
                       &value[0], &value[1]);
    return NGX_ERROR;
}


/* "check" of the kind: all upstreams and their balancers are known */

static ngx_int_t
ngx_http_background_probe_bind(ngx_conf_t *cf, void *conf)
{
    ngx_http_background_probe_op_t *op = conf;

    const char                            *reason;
    ngx_http_upstream_srv_conf_t          *uscf;
    ngx_http_upstream_main_conf_t         *umcf;
    ngx_http_background_probe_srv_conf_t  *pscf;

    if (op->stream) {
        return ngx_http_background_probe_bind_stream(cf);
    }

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);

    op->access = &ngx_http_background_http_upstream;

    reason = op->access->bind(op, &umcf->upstreams);

    if (op->upstream == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no upstream \"%V\" for \"probe\" directive",
                           &op->title);
        return NGX_ERROR;
    }

    if (reason) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "upstream \"%V\" %s for \"probe\" directive",
                           &op->title, reason);
        return NGX_ERROR;
    }

    uscf = op->upstream;

    pscf = ngx_http_conf_upstream_srv_conf(uscf,
                                           ngx_http_background_probe_module);
    pscf->op = op;

    op->init = uscf->peer.init;
    uscf->peer.init = ngx_http_background_probe_peer_init;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_init_module(ngx_cycle_t *cycle)
{
    ngx_http_background_probes_t  *probes;

    probes = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_background_probe_module);

    if (probes && probes->ops.nelts) {
        ngx_http_background_probes_commit(probes, cycle);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    ngx_http_background_probes_t     *probes;
    ngx_http_background_probe_op_t  **ops;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    probes = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_background_probe_module);

    if (probes == NULL) {
        return NGX_OK;
    }

    ops = probes->ops.elts;

    for (i = 0; i < probes->ops.nelts; i++) {
        ngx_http_background_probe_catch_up(ops[i], cycle->log);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_int_t                              rc;
    ngx_addr_t                             addr;
    ngx_http_upstream_t                   *u;
    ngx_http_background_probe_op_t        *op;
    ngx_http_background_probe_peer_t      *peer;
    ngx_http_background_probe_srv_conf_t  *pscf;

    pscf = ngx_http_conf_upstream_srv_conf(uscf,
                                           ngx_http_background_probe_module);
    op = pscf->op;

    rc = (r == r->main) ? ngx_http_background_probe_asks(r, op, &addr)
                        : NGX_DECLINED;

    if (rc != NGX_OK) {
        ngx_http_background_probe_catch_up(op, r->connection->log);

        return op->init(r, uscf);
    }

    /*
     * the request may outlive the check while a thread writes to one of its
     * buffers
     */

    peer = ngx_palloc(r->pool, sizeof(ngx_http_background_probe_peer_t));
    if (peer == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(&peer->sockaddr, addr.sockaddr, addr.socklen);
    peer->socklen = addr.socklen;

    peer->name.len = addr.name.len;
    peer->name.data = ngx_pstrdup(r->pool, &addr.name);

    if (peer->name.data == NULL) {
        return NGX_ERROR;
    }

    u = r->upstream;

    u->peer.data = peer;
    u->peer.get = ngx_http_background_probe_peer_get;
    u->peer.free = ngx_http_background_probe_peer_free;
    u->peer.tries = 1;
#if (NGX_HTTP_SSL)
    u->peer.set_session = ngx_http_background_probe_set_session;
    u->peer.save_session = ngx_http_background_probe_save_session;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_peer_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_background_probe_peer_t *peer = data;

    pc->cached = 0;
    pc->connection = NULL;

    pc->sockaddr = &peer->sockaddr.sockaddr;
    pc->socklen = peer->socklen;
    pc->name = &peer->name;

    return NGX_OK;
}


static void
ngx_http_background_probe_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    if (pc->tries) {
        pc->tries--;
    }
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_background_probe_set_session(ngx_peer_connection_t *pc, void *data)
{
    return NGX_OK;
}


static void
ngx_http_background_probe_save_session(ngx_peer_connection_t *pc, void *data)
{
    /* void */
}

#endif


static ngx_int_t
ngx_http_background_probe_peer(void *conf, ngx_uint_t *n,
    ngx_http_background_peer_t *peer)
{
    return ngx_http_background_probe_read(conf, n, peer);
}


static ngx_int_t
ngx_http_background_probe_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    static ngx_str_t  peer = ngx_string("background_peer");
    static ngx_str_t  up = ngx_string("background_peers_up_");

    var = ngx_http_add_variable(cf, &peer, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_background_probe_peer_variable;

    var = ngx_http_add_variable(cf, &up, NGX_HTTP_VAR_NOCACHEABLE
                                         |NGX_HTTP_VAR_PREFIX);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_background_probe_up_variable;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_peer_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_addr_t  addr;

    if (ngx_http_background_probe_asks(r, NULL, &addr) != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pstrdup(r->pool, &addr.name);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = addr.name.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * $background_peers_up_NAME: NAME is without "stream:"; if upstreams of http
 * and stream have the same name, the first "probe" counts.
 */

static ngx_int_t
ngx_http_background_probe_up_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    size_t                            skip;
    u_char                           *p;
    ngx_uint_t                        i;
    ngx_http_background_probes_t     *probes;
    ngx_http_background_probe_op_t  **ops;

    skip = sizeof("background_peers_up_") - 1;

    probes = ngx_http_get_module_main_conf(r, ngx_http_background_probe_module);
    ops = probes->ops.elts;

    for (i = 0; i < probes->ops.nelts; i++) {

        if (ops[i]->name.len == name->len - skip
            && ngx_strncasecmp(ops[i]->name.data, name->data + skip,
                               ops[i]->name.len)
               == 0)
        {
            break;
        }
    }

    if (i == probes->ops.nelts) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%ui", ngx_http_background_probe_up(ops[i])) - p;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}
