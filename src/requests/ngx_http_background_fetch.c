
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_fetch.h"


/*
 * how long a worker that shuts down waits for a thread that reads a file for a
 * cancelled request, in milliseconds
 */
#define NGX_HTTP_BACKGROUND_REQUEST_BLOCKED  60000

/*
 * the number of failures in a list whose error texts are kept, and the length
 * of a URI in them
 */
#define NGX_HTTP_BACKGROUND_REQUEST_NAMED    5
#define NGX_HTTP_BACKGROUND_REQUEST_URI      128

/* sockets of ended requests that a worker keeps for the next ones */
#define NGX_HTTP_BACKGROUND_REQUEST_SOCKETS  NGX_HTTP_BACKGROUND_FETCH_SLICE


typedef enum {
    ngx_http_background_fetch_passed = 0,       /* passed, or there is no
                                                   "test=" */
    ngx_http_background_fetch_empty,
    ngx_http_background_fetch_zero,
    ngx_http_background_fetch_no_memory
} ngx_http_background_fetch_test_e;


/* a request, allocated from the pool of its connection */

typedef struct {
    /* must be first */
    ngx_http_connection_t                 hc;

    ngx_http_log_ctx_t                    log_ctx;
    ngx_log_t                             log;
    ngx_buf_t                             buffer;

    ngx_http_background_fetches_t        *requests;  /* NULL: cancelled */
    ngx_http_background_fetch_conf_t     *conf;
    ngx_queue_t                           queue;
    ngx_str_t                            *task;
    ngx_http_background_predecessor_t     before;
    uint64_t                              fence;
    ngx_connection_t                     *connection;
    ngx_socket_t                          kept;      /* -1: nginx closes the
                                                        socket */
    ngx_http_request_t                   *request;
    ngx_str_t                             uri;       /* for error texts */
    ngx_str_t                            *refused;   /* name of a header that
                                                        nginx has rejected */
    ngx_str_t                             response;  /* first bytes of the
                                                        body */
    ngx_msec_t                            started;
    ngx_uint_t                            status;
    ngx_http_background_fetch_test_e      test;

    unsigned                              complete:1;
    unsigned                              error:1;
    unsigned                              failed:1;  /* the failure is
                                                        counted */
} ngx_http_background_fetch_t;


static ngx_http_background_fetch_t *ngx_http_background_fetch_connect(
    ngx_http_background_fetches_t *rs);
static ngx_connection_t *ngx_http_background_fetch_connection(
    ngx_http_background_fetches_t *rs);
static ngx_socket_t ngx_http_background_fetch_socket(void);
static void ngx_http_background_fetch_release(ngx_socket_t fd);
static void ngx_http_background_fetch_close(ngx_socket_t fd);
static void ngx_http_background_fetch_before(
    ngx_http_background_fetch_t *req, ngx_http_background_run_t *run,
    ngx_pool_t *pool);
static void ngx_http_background_fetch_init(
    ngx_http_background_fetch_t *req, ngx_connection_t *c, ngx_pool_t *pool,
    ngx_http_background_fetches_t *rs);
static ngx_int_t ngx_http_background_fetch_create(
    ngx_http_background_fetch_t *req);
static ngx_int_t ngx_http_background_fetch_set_uri(
    ngx_http_background_fetch_t *req, ngx_http_complex_value_t *uri);
static ngx_int_t ngx_http_background_fetch_set_line(
    ngx_http_background_fetch_t *req);
static ngx_int_t ngx_http_background_fetch_set_host(
    ngx_http_background_fetch_t *req);
static ngx_int_t ngx_http_background_fetch_set_headers(
    ngx_http_background_fetch_t *req);
static ngx_int_t ngx_http_background_fetch_eval_header(
    ngx_http_background_fetch_t *req, ngx_http_background_header_t *header);
static ngx_int_t ngx_http_background_fetch_add_header(
    ngx_http_background_fetch_t *req, ngx_str_t *key, u_char *lowcase_key,
    ngx_str_t *value);
static ngx_int_t ngx_http_background_fetch_validators(
    ngx_http_background_fetch_t *req);
static ngx_int_t ngx_http_background_fetch_set_body(
    ngx_http_background_fetch_t *req);
static void ngx_http_background_fetch_abort(
    ngx_http_background_fetch_t *req);

static ssize_t ngx_http_background_fetch_recv(ngx_connection_t *c,
    u_char *buf, size_t size);
static ssize_t ngx_http_background_fetch_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_http_background_fetch_send(ngx_connection_t *c,
    u_char *buf, size_t size);
static ngx_chain_t *ngx_http_background_fetch_send_chain(
    ngx_connection_t *c, ngx_chain_t *in, off_t limit);
static void ngx_http_background_fetch_handler(ngx_event_t *ev);
static u_char *ngx_http_background_fetch_log(ngx_log_t *log, u_char *buf,
    size_t len);

static void ngx_http_background_fetch_cleanup(void *data);
static ngx_http_background_fetch_test_e ngx_http_background_fetch_judge(
    ngx_http_background_fetch_t *req);
static void ngx_http_background_fetch_end(void *data);
static ngx_uint_t ngx_http_background_fetch_check(
    ngx_http_background_fetch_t *req);
static void ngx_http_background_fetch_cancel_slice(ngx_event_t *ev);
static void ngx_http_background_fetch_cancel(
    ngx_http_background_fetch_t *req);
static ngx_http_background_fetch_t *ngx_http_background_fetch_of(
    ngx_http_request_t *r);


/* the address of the peer: an unnamed unix socket */

static struct sockaddr_un  ngx_http_background_fetch_addr = {
    AF_UNIX, ""
};


/* has no server names, so that Host does not select another server */

static ngx_http_addr_conf_t  ngx_http_background_fetch_addr_conf;


static ngx_listening_t  ngx_http_background_fetch_listening;


/*
 * cancelled requests: not ended yet, and waiting until a thread has read a
 * file
 */

static ngx_queue_t  ngx_http_background_fetch_cancelled = {
    &ngx_http_background_fetch_cancelled,
    &ngx_http_background_fetch_cancelled
};


static ngx_queue_t  ngx_http_background_fetch_blocked = {
    &ngx_http_background_fetch_blocked,
    &ngx_http_background_fetch_blocked
};


static ngx_event_t  ngx_http_background_fetch_cancel_event;


static ngx_socket_t
    ngx_http_background_fetch_sockets[NGX_HTTP_BACKGROUND_REQUEST_SOCKETS];

static ngx_uint_t  ngx_http_background_fetch_nsockets;


void
ngx_http_background_fetches_init(ngx_http_background_fetches_t *rs,
    ngx_http_background_run_t *run, ngx_http_background_fetch_conf_t *rcf,
    ngx_event_handler_pt handler)
{
    ngx_memzero(rs, sizeof(ngx_http_background_fetches_t));

    rs->run = run;
    rs->conf = rcf;

    ngx_queue_init(&rs->active);

    rs->event.handler = handler;
    rs->event.data = rs;
    rs->event.log = run->log;
    rs->event.cancelable = 1;
}


ngx_int_t
ngx_http_background_fetch_start(ngx_http_background_fetches_t *rs,
    ngx_http_complex_value_t *uri)
{
    ngx_int_t                     rc;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_connect(rs);
    if (req == NULL) {
        return NGX_ERROR;
    }

    c = req->connection;

    if (ngx_http_background_fetch_create(req) != NGX_OK) {
        ngx_http_background_fetch_fail(rs, NULL, 0, "no memory");
        req->failed = 1;
        ngx_http_close_connection(c);
        return NGX_ERROR;
    }

    /*
     * in this order, as variables in a later part may depend on earlier parts
     */

    rc = ngx_http_background_fetch_set_uri(req, uri);

    if (rc == NGX_OK) {
        rc = ngx_http_background_fetch_set_line(req);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_background_fetch_set_host(req);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_background_fetch_set_headers(req);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_background_fetch_set_body(req);
    }

    if (rc == NGX_DONE) {

        /* nginx has finalized the request */

        ngx_http_run_posted_requests(c);
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        ngx_http_background_fetch_abort(req);
        return NGX_OK;
    }

    r = req->request;

    if (req->uri.data[0] == '@') {
        (void) ngx_http_named_location(r, &req->uri);
        ngx_http_finalize_request(r, NGX_DONE);

    } else {
        ngx_http_handler(r);
    }

    ngx_http_run_posted_requests(c);

    return NGX_OK;
}


static ngx_http_background_fetch_t *
ngx_http_background_fetch_connect(ngx_http_background_fetches_t *rs)
{
    ngx_pool_t                   *pool;
    ngx_connection_t             *c;
    ngx_pool_cleanup_t           *cln;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_background_fetch_t  *req;

    c = ngx_http_background_fetch_connection(rs);

    if (c == NULL) {
        return NULL;
    }

    cscf = rs->conf->ctx->srv_conf[ngx_http_core_module.ctx_index];

    pool = ngx_create_pool(cscf->connection_pool_size, rs->run->log);

    if (pool) {
        req = ngx_pcalloc(pool, sizeof(ngx_http_background_fetch_t));
        cln = ngx_pool_cleanup_add(pool, 0);

        if (req && cln) {
            cln->handler = ngx_http_background_fetch_end;
            cln->data = req;

            ngx_http_background_fetch_init(req, c, pool, rs);
            return req;
        }

        ngx_destroy_pool(pool);
    }

    ngx_close_connection(c);

    ngx_http_background_fetch_fail(rs, NULL, 0, "no memory");

    return NULL;
}


static ngx_connection_t *
ngx_http_background_fetch_connection(ngx_http_background_fetches_t *rs)
{
    u_char             text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_socket_t       fd;
    ngx_connection_t  *c;

    if (ngx_http_background_few_connections(text)) {
        ngx_http_background_fetch_fail(rs, NULL, 0, "%s", text);
        return NULL;
    }

    fd = ngx_http_background_fetch_socket();

    if (fd == (ngx_socket_t) -1) {
        ngx_http_background_fetch_fail(rs, NULL, ngx_socket_errno,
                                       "socket() failed");
        return NULL;
    }

    c = ngx_get_connection(fd, rs->run->log);

    if (c == NULL) {
        ngx_http_background_fetch_release(fd);
        ngx_http_background_fetch_fail(rs, NULL, 0, "no free connection");
    }

    return c;
}


/*
 * Each request has a socket of its own: closing a copy of a descriptor would
 * not remove it from epoll.
 */

static ngx_socket_t
ngx_http_background_fetch_socket(void)
{
    if (ngx_http_background_fetch_nsockets) {
        return ngx_http_background_fetch_sockets[
                                        --ngx_http_background_fetch_nsockets];
    }

    return socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
}


/* fd is not in epoll */

static void
ngx_http_background_fetch_release(ngx_socket_t fd)
{
    if (ngx_http_background_fetch_nsockets
        < NGX_HTTP_BACKGROUND_REQUEST_SOCKETS)
    {
        ngx_http_background_fetch_sockets[
                                  ngx_http_background_fetch_nsockets++] = fd;
        return;
    }

    ngx_http_background_fetch_close(fd);
}


static void
ngx_http_background_fetch_close(ngx_socket_t fd)
{
    if (ngx_close_socket(fd) == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_socket_errno,
                      ngx_close_socket_n " %d failed", fd);
    }
}


/* a copy: a thread may keep the request for longer than its cycle */

static void
ngx_http_background_fetch_before(ngx_http_background_fetch_t *req,
    ngx_http_background_run_t *run, ngx_pool_t *pool)
{
    ngx_http_background_predecessor_t  before;

    if (ngx_http_background_predecessor(run, &before) != NGX_OK) {
        return;
    }

    req->before.failed = before.failed;

    req->before.task.data = ngx_pstrdup(pool, &before.task);
    req->before.error.data = ngx_pstrdup(pool, &before.error);

    if (req->before.task.data) {
        req->before.task.len = before.task.len;
    }

    if (req->before.error.data) {
        req->before.error.len = before.error.len;
    }
}


static void
ngx_http_background_fetch_init(ngx_http_background_fetch_t *req,
    ngx_connection_t *c, ngx_pool_t *pool, ngx_http_background_fetches_t *rs)
{
    ngx_addr_t       *addr;
    ngx_listening_t  *ls;

    req->requests = rs;
    req->conf = rs->conf;
    req->task = rs->run->task;
    req->fence = ngx_http_background_fence(rs->run);
    req->connection = c;
    req->kept = (ngx_socket_t) -1;
    req->started = ngx_current_msec;

    ngx_http_background_fetch_before(req, rs->run, pool);

    ngx_queue_insert_tail(&rs->active, &req->queue);
    rs->nactive++;

    ls = &ngx_http_background_fetch_listening;

    ngx_str_set(&ls->addr_text, "unix:");

    req->hc.conf_ctx = rs->conf->ctx;
    req->hc.addr_conf = &ngx_http_background_fetch_addr_conf;

    req->log_ctx.connection = c;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    req->log = *rs->run->log;
    req->log.connection = c->number;
    req->log.handler = ngx_http_background_fetch_log;
    req->log.data = &req->log_ctx;
    req->log.action = "creating request";

    pool->log = &req->log;

    c->data = &req->hc;
    c->pool = pool;
    c->buffer = &req->buffer;
    c->listening = ls;
    c->start_time = ngx_current_msec;
    c->type = SOCK_STREAM;
    c->log = &req->log;
    c->log_error = NGX_ERROR_INFO;

    c->sockaddr = (struct sockaddr *) &ngx_http_background_fetch_addr;
    c->socklen = offsetof(struct sockaddr_un, sun_path);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    c->addr_text = ls->addr_text;

    addr = rs->conf->address;

    if (addr) {
        c->sockaddr = addr->sockaddr;
        c->socklen = addr->socklen;
        c->addr_text = addr->name;
    }

    c->recv = ngx_http_background_fetch_recv;
    c->recv_chain = ngx_http_background_fetch_recv_chain;
    c->send = ngx_http_background_fetch_send;
    c->send_chain = ngx_http_background_fetch_send_chain;

    c->read->handler = ngx_http_background_fetch_handler;
    c->write->handler = ngx_http_background_fetch_handler;
    c->read->log = c->log;
    c->write->log = c->log;
    c->write->ready = 1;

    /*
     * prevents lingering close and keepalive: the connection is closed with
     * the request
     */
    c->read->eof = 1;

    c->need_last_buf = 1;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif
}


static ngx_int_t
ngx_http_background_fetch_create(ngx_http_background_fetch_t *req)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = ngx_http_create_request(req->connection);
    if (r == NULL) {
        return NGX_ERROR;
    }

    req->connection->data = r;
    req->request = r;

    r->logged = 1;

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL
        || ngx_list_init(&r->headers_in.headers, r->pool, 8,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        ngx_http_free_request(r, 0);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_background_fetch_cleanup;
    cln->data = req;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    r->stat_reading = 0;
    (void) ngx_atomic_fetch_add(ngx_stat_writing, 1);
    r->stat_writing = 1;
#endif

    r->internal = 1;
    r->read_event_handler = ngx_http_block_reading;

    r->http_version = NGX_HTTP_VERSION_11;
    r->http_major = 1;
    r->http_minor = 1;
    ngx_str_set(&r->http_protocol, "HTTP/1.1");

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_fetch_set_uri(ngx_http_background_fetch_t *req,
    ngx_http_complex_value_t *uri)
{
    ngx_str_t                   value;
    ngx_http_request_t         *r;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_core_main_conf_t  *cmcf;

    static ngx_str_t  root = ngx_string("/");

    r = req->request;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    r->uri = root;

    if (ngx_http_complex_value(r, uri, &value) != NGX_OK) {
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    if (uri->lengths) {

        /* variables that were evaluated with the URI "/" must not be cached */

        cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

        ngx_memzero(r->variables, cmcf->variables.nelts
                                  * sizeof(ngx_http_variable_value_t));
    }

    req->uri.len = value.len;
    req->uri.data = ngx_pstrdup(req->connection->pool, &value);

    if (req->uri.data == NULL) {
        req->uri.len = 0;
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    if (value.len > 1 && value.data[0] == '@') {
        value = root;
    }

    if (ngx_http_background_fetch_encode_uri(r->pool, &value,
                                             req->requests->list)
        != NGX_OK)
    {
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    if (ngx_http_background_fetch_parse_uri(r, &value, cscf->merge_slashes)
        != NGX_OK)
    {
        ngx_http_background_fetch_fail(req->requests, &req->uri, 0,
                                       "invalid URI");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_fetch_set_line(ngx_http_background_fetch_t *req)
{
    u_char                            *p;
    ngx_http_request_t                *r;
    ngx_http_background_fetch_conf_t  *rcf;

    r = req->request;
    rcf = req->requests->conf;

    if (rcf->method_name.len) {
        r->method = rcf->method;
        r->method_name = rcf->method_name;

    } else if (rcf->body) {
        r->method = NGX_HTTP_POST;
        ngx_str_set(&r->method_name, "POST");

    } else {
        r->method = NGX_HTTP_GET;
        ngx_str_set(&r->method_name, "GET");
    }

    r->request_line.len = r->method_name.len + 1 + r->unparsed_uri.len + 1
                          + r->http_protocol.len;

    p = ngx_pnalloc(r->pool, r->request_line.len + 1);
    if (p == NULL) {
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    r->request_line.data = p;
    (void) ngx_sprintf(p, "%V %V %V%Z", &r->method_name, &r->unparsed_uri,
                       &r->http_protocol);

    r->request_length = r->request_line.len + 2 * sizeof(CRLF) - 2;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_fetch_set_host(ngx_http_background_fetch_t *req)
{
    ngx_int_t                          rc;
    ngx_http_background_fetch_conf_t  *rcf;

    static ngx_str_t  key = ngx_string("Host");

    rcf = req->requests->conf;

    if (rcf->host) {
        rc = ngx_http_background_fetch_eval_header(req, rcf->host);

        if (rc != NGX_OK || req->request->headers_in.host) {
            return rc;
        }
    }

    return ngx_http_background_fetch_add_header(req, &key, (u_char *) "host",
                                                &rcf->default_host);
}


static ngx_int_t
ngx_http_background_fetch_set_headers(ngx_http_background_fetch_t *req)
{
    ngx_int_t                          rc;
    ngx_uint_t                         i;
    ngx_http_background_header_t      *h;
    ngx_http_background_fetch_conf_t  *rcf;

    rcf = req->requests->conf;

    h = rcf->headers.elts;

    for (i = 0; i < rcf->headers.nelts; i++) {
        rc = ngx_http_background_fetch_eval_header(req, &h[i]);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return req->requests->save ? ngx_http_background_fetch_validators(req)
                               : NGX_OK;
}


/* of the response that has been saved before */

static ngx_int_t
ngx_http_background_fetch_validators(ngx_http_background_fetch_t *req)
{
    ngx_int_t                          rc;
    ngx_str_t                          value;
    ngx_http_background_validators_t  *known;

    static ngx_str_t  none_match = ngx_string("If-None-Match");
    static ngx_str_t  since = ngx_string("If-Modified-Since");

    ngx_http_background_save_asks(req->requests->save, &req->uri,
                                  &req->request->headers_in.host->value,
                                  req->conf->test ? &req->conf->test->value
                                                  : NULL);

    known = &req->requests->save->known;

    if (known->etag.len) {
        value.len = known->etag.len;
        value.data = known->etag.data;

        rc = ngx_http_background_fetch_add_header(req, &none_match,
                                                  (u_char *) "if-none-match",
                                                  &value);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (known->modified.len == 0) {
        return NGX_OK;
    }

    value.len = known->modified.len;
    value.data = known->modified.data;

    return ngx_http_background_fetch_add_header(req, &since,
                                               (u_char *) "if-modified-since",
                                               &value);
}


static ngx_int_t
ngx_http_background_fetch_eval_header(ngx_http_background_fetch_t *req,
    ngx_http_background_header_t *header)
{
    size_t     i;
    ngx_str_t  value;

    if (ngx_http_complex_value(req->request, &header->value, &value) != NGX_OK)
    {
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    /* an empty header is not sent, as with "proxy_set_header" */

    if (value.len == 0) {
        return NGX_OK;
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] == CR || value.data[i] == LF
            || value.data[i] == '\0')
        {
            ngx_http_background_fetch_fail(req->requests, &req->uri, 0,
                                  "line break or null in the value of header "
                                  "\"%V\"", &header->key);
            return NGX_ERROR;
        }
    }

    return ngx_http_background_fetch_add_header(req, &header->key,
                                                header->lowcase_key, &value);
}


/*
 * Returns NGX_DONE if nginx has rejected the header and finalized the request.
 */

static ngx_int_t
ngx_http_background_fetch_add_header(ngx_http_background_fetch_t *req,
    ngx_str_t *key, u_char *lowcase_key, ngx_str_t *value)
{
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_request_t         *r;
    ngx_http_core_main_conf_t  *cmcf;

    r = req->request;

    h = ngx_list_push(&r->headers_in.headers);

    if (h == NULL) {
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    h->hash = ngx_hash_key(lowcase_key, key->len);
    h->key = *key;
    h->lowcase_key = lowcase_key;
    h->value.len = value->len;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    /* nginx relies on a zero byte after the values of client headers */

    h->value.data = ngx_pnalloc(r->pool, value->len + 1);

    if (h->value.data == NULL) {
        h->hash = 0;
        h->value.len = 0;
        ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");
        return NGX_ERROR;
    }

    *ngx_cpymem(h->value.data, value->data, value->len) = '\0';

    r->request_length += h->key.len + h->value.len + sizeof(": " CRLF) - 1;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    req->refused = key;

    if (hh && hh->handler(r, h, hh->offset) != NGX_OK) {
        return NGX_DONE;
    }

    req->refused = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_fetch_set_body(ngx_http_background_fetch_t *req)
{
    u_char                            *p;
    ngx_buf_t                         *b;
    ngx_str_t                          body, length;
    ngx_chain_t                       *cl;
    ngx_http_request_t                *r;
    ngx_http_request_body_t           *rb;
    ngx_http_background_fetch_conf_t  *rcf;

    static ngx_str_t  key = ngx_string("Content-Length");

    r = req->request;
    rcf = req->requests->conf;

    if (rcf->body == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, rcf->body, &body) != NGX_OK) {
        goto failed;
    }

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    p = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);

    if (rb == NULL || p == NULL) {
        goto failed;
    }

    if (body.len) {
        b = ngx_create_temp_buf(r->pool, body.len);
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            goto failed;
        }

        b->last = ngx_cpymem(b->last, body.data, body.len);
        b->last_buf = 1;

        cl->buf = b;
        cl->next = NULL;

        rb->bufs = cl;
        rb->buf = b;
    }

    r->request_body = rb;
    r->headers_in.content_length_n = body.len;
    r->request_length += body.len;

    length.data = p;
    length.len = ngx_sprintf(p, "%uz", body.len) - p;

    return ngx_http_background_fetch_add_header(req, &key,
                                                (u_char *) "content-length",
                                                &length);

failed:

    ngx_http_background_fetch_fail(req->requests, NULL, 0, "no memory");

    return NGX_ERROR;
}


/*
 * Frees a request that nginx does not handle yet.  Its failure is counted
 * already.
 */

static void
ngx_http_background_fetch_abort(ngx_http_background_fetch_t *req)
{
    ngx_connection_t  *c;

    c = req->connection;
    req->failed = 1;

    ngx_http_free_request(req->request, 0);
    ngx_http_close_connection(c);
}


static ssize_t
ngx_http_background_fetch_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_background_fetch_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_background_fetch_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    c->sent += size;

    return size;
}


static ngx_chain_t *
ngx_http_background_fetch_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    off_t                         size, sent;
    ngx_chain_t                  *cl;
    ngx_http_request_t           *r;
    ngx_http_background_fetch_t  *req;

    r = c->data;
    req = (ngx_http_background_fetch_t *) r->main->http_connection;

    sent = 0;

    for (cl = in; cl; cl = cl->next) {
        size = ngx_buf_size(cl->buf);

        if (limit && sent + size > limit) {
            sent = limit;
            break;
        }

        sent += size;

        if (cl->buf->last_buf) {
            req->complete = 1;
            req->status = req->request->headers_out.status;
        }
    }

    c->sent += sent;

    return ngx_chain_update_sent(in, sent);
}


/* as ngx_http_request_handler(), which is static in nginx */

static void
ngx_http_background_fetch_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ngx_http_set_log_request(c->log, r);

    if (c->close) {
        ngx_http_background_fetch_cancel(
                   (ngx_http_background_fetch_t *) r->main->http_connection);
        return;
    }

    if (ev->delayed && ev->timedout) {
        ev->delayed = 0;
        ev->timedout = 0;
    }

    if (ev->write) {
        r->write_event_handler(r);

    } else {
        r->read_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


static u_char *
ngx_http_background_fetch_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                       *p;
    ngx_http_request_t           *r;
    ngx_http_log_ctx_t           *ctx;
    ngx_http_background_fetch_t  *req;

    ctx = log->data;
    req = (ngx_http_background_fetch_t *)
              ((u_char *) ctx
               - offsetof(ngx_http_background_fetch_t, log_ctx));

    p = buf;

    if (log->action) {
        p = ngx_snprintf(p, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    p = ngx_snprintf(p, len, ", background task: \"%V\"", req->task);
    len -= p - buf;

    r = ctx->request;

    if (r) {
        return r->log_handler(r, ctx->current_request, p, len);
    }

    return p;
}


/*
 * A cleanup handler of the request: r->loc_conf is still that of the last
 * location.
 */

static void
ngx_http_background_fetch_cleanup(void *data)
{
    ngx_http_background_fetch_t *req = data;

    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_background_fetches_t  *rs;

    c = req->connection;
    r = req->request;
    rs = req->requests;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->logged = !clcf->log_subrequest;

    if (!req->complete) {
        req->status = r->headers_out.status;
    }

    /*
     * with r->filter_finalize a filter has replaced the response, which is
     * complete
     */

    if (c->error && !r->filter_finalize) {
        req->error = 1;
    }

    if (rs && rs->judge && !req->failed) {
        req->status = rs->judge(rs, r, req->status);
        req->failed = (req->status == 0);
    }

    /* variables are available here for the last time */

    req->test = ngx_http_background_fetch_judge(req);

    /* nginx does not close the descriptor of a shared connection */

    if (!c->read->active && !c->write->active && !c->timedout) {
        c->shared = 1;
        req->kept = c->fd;
    }
}


static ngx_http_background_fetch_test_e
ngx_http_background_fetch_judge(ngx_http_background_fetch_t *req)
{
    ngx_str_t  value;

    if (req->conf->test == NULL || req->requests == NULL || req->failed
        || req->refused || req->error || !req->complete
        || !ngx_http_background_fetch_expected(req->conf, req->status))
    {
        return ngx_http_background_fetch_passed;
    }

    /* the saved response has passed, 304 has no body and few headers */

    if (req->requests->save && req->status == NGX_HTTP_NOT_MODIFIED) {
        return ngx_http_background_fetch_passed;
    }

    if (ngx_http_complex_value(req->request, req->conf->test, &value)
        != NGX_OK)
    {
        return ngx_http_background_fetch_no_memory;
    }

    if (value.len == 0) {
        return ngx_http_background_fetch_empty;
    }

    if (value.len == 1 && value.data[0] == '0') {
        return ngx_http_background_fetch_zero;
    }

    return ngx_http_background_fetch_passed;
}


/*
 * A cleanup handler of the pool of the connection.  nginx is closing the
 * connection, so the next requests are started by a posted event.
 */

static void
ngx_http_background_fetch_end(void *data)
{
    ngx_http_background_fetch_t *req = data;

    ngx_http_background_result_t    *result;
    ngx_http_background_fetches_t   *rs;

    ngx_queue_remove(&req->queue);

    if (req->kept != (ngx_socket_t) -1) {
        ngx_http_background_fetch_release(req->kept);
    }

    rs = req->requests;

    if (rs == NULL) {
        return;
    }

    rs->nactive--;

    ngx_post_event(&rs->event, &ngx_posted_next_events);

    result = &rs->run->result;
    result->bytes += req->connection->sent;
    result->io_time += ngx_current_msec - req->started;

    if (ngx_http_background_fetch_check(req)) {
        result->completed++;

    } else if (rs->failed) {
        rs->failed(rs, &req->uri);
    }
}


/* returns 0 and counts a failure if the request has failed */

static ngx_uint_t
ngx_http_background_fetch_check(ngx_http_background_fetch_t *req)
{
    off_t                           sent;
    ngx_http_background_fetches_t  *rs;

    if (req->failed) {
        return 0;
    }

    rs = req->requests;
    sent = req->connection->sent;

    if (req->refused) {
        ngx_http_background_fetch_fail(rs, &req->uri, 0,
                                       "invalid header \"%V\"",
                                       req->refused);

    } else if (rs->save && rs->save->large) {
        ngx_http_background_fetch_fail(rs, &req->uri, 0,
                                       "response is larger than %O bytes",
                                       rs->save->max);

    } else if (!req->complete && sent == 0) {
        ngx_http_background_fetch_fail(rs, &req->uri, 0, "no response");

    } else if (!ngx_http_background_fetch_expected(rs->conf, req->status)
               || (rs->save
                   && !ngx_http_background_save_expected(rs->save,
                                                         req->status)))
    {
        ngx_http_background_fetch_fail(rs, &req->uri, 0,
                                       "unexpected status %ui", req->status);

    } else if (!req->complete || req->error) {
        ngx_http_background_fetch_fail(rs, &req->uri, 0,
                                  "response is incomplete, it ended after %O "
                                  "bytes", sent);

    } else if (req->test == ngx_http_background_fetch_no_memory) {
        ngx_http_background_fetch_fail(rs, &req->uri, 0, "no memory");

    } else if (req->test) {
        ngx_http_background_fetch_fail(rs, &req->uri, 0, "test \"%V\" is %s",
                           &req->conf->test->value,
                           req->test == ngx_http_background_fetch_zero
                           ? "\"0\"" : "empty");

    } else {
        if (rs->save) {
            rs->save->status = req->status;
        }

        return 1;
    }

    return 0;
}


void ngx_cdecl
ngx_http_background_fetch_fail(ngx_http_background_fetches_t *rs,
    ngx_str_t *uri, ngx_err_t err, const char *fmt, ...)
{
    size_t                         len;
    u_char                        *p, *last;
    u_char                         text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    va_list                        args;
    ngx_http_background_result_t  *result;

    p = text;
    last = text + NGX_HTTP_BACKGROUND_ERROR_LEN;

    if (rs->list && uri) {
        len = ngx_min(uri->len, NGX_HTTP_BACKGROUND_REQUEST_URI);

        p = ngx_slprintf(p, last, "\"%*s%s\": ", len, uri->data,
                         len < uri->len ? "..." : "");
    }

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    if (err) {
        p = ngx_log_errno(p, last, err);
    }

    result = &rs->run->result;

    if (result->failed == 0) {
        ngx_http_background_fail(result, 0, "%*s", (size_t) (p - text), text);
        return;
    }

    result->failed++;

    /* the first failures of a list are named if there is room for them */

    if (rs->list && result->failed <= NGX_HTTP_BACKGROUND_REQUEST_NAMED
        && result->error_len + 2 + (p - text) <= NGX_HTTP_BACKGROUND_ERROR_LEN)
    {
        last = result->error + result->error_len;
        last = ngx_sprintf(last, ", %*s", (size_t) (p - text), text);
        result->error_len = last - result->error;
    }
}


/*
 * The run is not used after this.  Many requests are ended in slices, so that
 * other events are processed between them, unless the worker exits.
 */

void
ngx_http_background_fetches_cancel(ngx_http_background_fetches_t *rs)
{
    ngx_queue_t                  *q;
    ngx_http_background_fetch_t  *req;

    if (rs->event.posted) {
        ngx_delete_posted_event(&rs->event);
    }

    if (rs->event.timer_set) {
        ngx_del_timer(&rs->event);
    }

    for (q = ngx_queue_head(&rs->active);
         q != ngx_queue_sentinel(&rs->active);
         q = ngx_queue_next(q))
    {
        req = ngx_queue_data(q, ngx_http_background_fetch_t, queue);
        req->requests = NULL;

        if (rs->failed) {
            rs->failed(rs, &req->uri);
        }
    }

    if (!ngx_queue_empty(&rs->active)) {
        ngx_queue_add(&ngx_http_background_fetch_cancelled, &rs->active);
        ngx_queue_init(&rs->active);
    }

    ngx_http_background_fetch_cancel_slice(
                                    &ngx_http_background_fetch_cancel_event);
}


static void
ngx_http_background_fetch_cancel_slice(ngx_event_t *ev)
{
    ngx_uint_t                    n;
    ngx_queue_t                  *q, *cancelled;
    ngx_http_background_fetch_t  *req;

    cancelled = &ngx_http_background_fetch_cancelled;

    for (n = 0; !ngx_queue_empty(cancelled); n++) {

        if (n == NGX_HTTP_BACKGROUND_FETCH_SLICE
            && !ngx_exiting && !ngx_quit && !ngx_terminate)
        {
            ev->handler = ngx_http_background_fetch_cancel_slice;
            ev->log = ngx_cycle->log;

            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        q = ngx_queue_head(cancelled);
        req = ngx_queue_data(q, ngx_http_background_fetch_t, queue);

        ngx_http_background_fetch_cancel(req);
    }
}


static void
ngx_http_background_fetch_cancel(ngx_http_background_fetch_t *req)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = req->connection;
    r = req->request;

    if (req->requests == NULL) {
        ngx_queue_remove(&req->queue);
        ngx_queue_insert_tail(&ngx_http_background_fetch_blocked,
                              &req->queue);
    }

    r->count++;

    /* NGX_HTTP_CLOSE does not run "post_action", unlike other codes */

    ngx_http_finalize_request(r, NGX_HTTP_CLOSE);

    if (!c->destroyed && r->headers_out.status == NGX_HTTP_CLOSE) {
        r->headers_out.status = NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    ngx_http_run_posted_requests(c);

    if (!c->destroyed && !c->write->timer_set) {

        /*
         * a thread still writes to a buffer of the request: the timer keeps
         * the worker alive
         */

        ngx_add_timer(c->write, NGX_HTTP_BACKGROUND_REQUEST_BLOCKED);
    }
}


void
ngx_http_background_fetches_exit(void)
{
    ngx_queue_t                  *q, blocked;
    ngx_http_background_fetch_t  *req;

    ngx_queue_init(&blocked);

    ngx_queue_add(&blocked, &ngx_http_background_fetch_cancelled);
    ngx_queue_init(&ngx_http_background_fetch_cancelled);

    ngx_queue_add(&blocked, &ngx_http_background_fetch_blocked);
    ngx_queue_init(&ngx_http_background_fetch_blocked);

    while (!ngx_queue_empty(&blocked)) {
        q = ngx_queue_head(&blocked);
        req = ngx_queue_data(q, ngx_http_background_fetch_t, queue);

        req->request->blocked = 0;

        ngx_http_background_fetch_cancel(req);
    }

    while (ngx_http_background_fetch_nsockets) {
        ngx_http_background_fetch_close(ngx_http_background_fetch_socket());
    }
}


static ngx_http_background_fetch_t *
ngx_http_background_fetch_of(ngx_http_request_t *r)
{
    ngx_http_connection_t  *hc;

    /* a subrequest has no connection of its own */

    hc = r->main->http_connection;

    if (hc == NULL || hc->addr_conf != &ngx_http_background_fetch_addr_conf)
    {
        return NULL;
    }

    return (ngx_http_background_fetch_t *) hc;
}


ngx_str_t *
ngx_http_background_fetch_task(ngx_http_request_t *r)
{
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    return req ? req->task : NULL;
}


ngx_http_background_predecessor_t *
ngx_http_background_fetch_predecessor(ngx_http_request_t *r)
{
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    return req ? &req->before : NULL;
}


uint64_t
ngx_http_background_fetch_fence(ngx_http_request_t *r)
{
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    return req ? req->fence : 0;
}


ngx_http_background_fetch_conf_t *
ngx_http_background_fetch_conf(ngx_http_request_t *r)
{
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    return req ? req->conf : NULL;
}


ngx_str_t *
ngx_http_background_fetch_response(ngx_http_request_t *r)
{
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    return req && (req->conf->test || req->conf->response) ? &req->response
                                                            : NULL;
}


ngx_http_background_fetches_t *
ngx_http_background_fetch_started_by(ngx_http_request_t *r)
{
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    return req ? req->requests : NULL;
}


ngx_int_t
ngx_http_background_fetch_quiet(ngx_http_request_t *r)
{
    ngx_log_t                    *log;
    ngx_http_background_fetch_t  *req;

    req = ngx_http_background_fetch_of(r);

    if (req == NULL) {
        return NGX_DECLINED;
    }

    log = r->connection->log;

    /* "error_log" of the location has set the level; "debug" is not changed */

    if (req->requests && req->requests->run->repeats
        && log->log_level > NGX_LOG_ALERT && log->log_level < NGX_LOG_DEBUG)
    {
        log->log_level = NGX_LOG_ALERT;
    }

    return NGX_DECLINED;
}
