
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "connect" opens connections and closes them.
 *
 * An operation is over when the connection is established.  Then the
 * connection lingers: it is shut down for writing, its data is read and
 * dropped for at most a second, and it is closed.  Without that a server that
 * sends a greeting would get a reset.
 */


#include "ngx_http_background_connect.h"
#include "ngx_http_background_connect_name.h"

#include <ngx_event.h>
#include <ngx_event_connect.h>


#define NGX_HTTP_BACKGROUND_CONNECT_MAX       100000
#define NGX_HTTP_BACKGROUND_CONNECT_MAX_TIME  (24 * 60 * 60 * 1000)

/*
 * connections that are opened in one pass of the event loop, which takes about
 * 0.5 ms
 */
#define NGX_HTTP_BACKGROUND_CONNECT_SLICE     32

/*
 * how long a connection lingers, in milliseconds, and how much data is dropped
 */
#define NGX_HTTP_BACKGROUND_CONNECT_LINGER    1000
#define NGX_HTTP_BACKGROUND_CONNECT_DISCARD   65536
#define NGX_HTTP_BACKGROUND_CONNECT_BUFFER    4096


typedef struct {
    ngx_http_background_connect_name_t *names;        /* names with "resolve" */
} ngx_http_background_connect_main_conf_t;


typedef struct {
    ngx_http_background_connect_name_t *name;         /* NULL: "addrs" is set */
    ngx_addr_t                         *addrs;
    ngx_uint_t                          naddrs;
    ngx_uint_t                          count;
    ngx_msec_t                          timeout;
    ngx_uint_t                          resolve;
} ngx_http_background_connect_conf_t;


typedef struct ngx_http_background_connect_s  ngx_http_background_connect_t;


typedef struct {
    ngx_http_background_connect_t      *connect;
    ngx_connection_t                   *connection;   /* NULL: not open */
    ngx_msec_t                          started;
    ngx_uint_t                          addr;         /* index of the current
                                                         address */
} ngx_http_background_connect_peer_t;


struct ngx_http_background_connect_s {
    ngx_http_background_run_t          *run;
    ngx_http_background_connect_peer_t *peers;
    ngx_uint_t                          npeers;       /* opened so far */
    ngx_event_t                         event;        /* opens the next
                                                         connections */
    ngx_addr_t                         *addrs;
    ngx_uint_t                          naddrs;
    ngx_http_background_connect_wait_t  wait;
    ngx_msec_t                          started;
    ngx_log_t                           log;
};


/* a lingering connection of the worker */

typedef struct {
    ngx_queue_t                         queue;
    ngx_connection_t                   *connection;
    size_t                              received;
} ngx_http_background_connect_linger_t;


static char *ngx_http_background_connect(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_connect_url(ngx_conf_t *cf,
    ngx_url_t *u);
static ngx_int_t ngx_http_background_connect_addr(ngx_conf_t *cf,
    ngx_http_background_connect_main_conf_t *cmcf,
    ngx_http_background_connect_conf_t *ccf);
static ngx_uint_t ngx_http_background_connect_is_name(ngx_str_t *host);
static ngx_int_t ngx_http_background_connect_invalid(ngx_conf_t *cf,
    const char *error);
static void *ngx_http_background_connect_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_connect_init(ngx_conf_t *cf);

static void ngx_http_background_connect_start(ngx_http_background_run_t *run);
static void ngx_http_background_connect_cancel(ngx_http_background_run_t *run);
static void ngx_http_background_connect_resolved(
    ngx_http_background_connect_wait_t *wait);
static void ngx_http_background_connect_slice(ngx_event_t *ev);
static void ngx_http_background_connect_try(
    ngx_http_background_connect_peer_t *peer);
static ngx_int_t ngx_http_background_connect_open(
    ngx_http_background_connect_peer_t *peer);
static void ngx_http_background_connect_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_background_connect_fail(
    ngx_http_background_connect_peer_t *peer, ngx_err_t err, const char *text);
static void ngx_http_background_connect_close(
    ngx_http_background_connect_peer_t *peer);
static void ngx_http_background_connect_over(
    ngx_http_background_connect_peer_t *peer);

static void ngx_http_background_connect_linger_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_background_connect_discard(
    ngx_http_background_connect_linger_t *linger);
static void ngx_http_background_connect_linger_close(
    ngx_http_background_connect_linger_t *linger);


/* lingering connections, the oldest first */

static ngx_queue_t  ngx_http_background_connect_lingering = {
    &ngx_http_background_connect_lingering,
    &ngx_http_background_connect_lingering
};

static ngx_uint_t  ngx_http_background_connect_nlingering;


static ngx_http_background_kind_t  ngx_http_background_connect_kind = {
    ngx_http_background_connect_start,       /* start */
    ngx_http_background_connect_cancel,      /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_bounds_t  ngx_http_background_connect_times = {
    "time", 1, NGX_HTTP_BACKGROUND_CONNECT_MAX_TIME, "from 1ms to 24h"
};


static const ngx_http_background_bounds_t  ngx_http_background_connect_counts =
{
    "count", 1, NGX_HTTP_BACKGROUND_CONNECT_MAX, NULL
};


static const ngx_http_background_param_t  ngx_http_background_connect_params[] =
{
    { ngx_string("timeout="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_connect_conf_t, timeout),
      &ngx_http_background_connect_times },

    { ngx_string("count="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_connect_conf_t, count),
      &ngx_http_background_connect_counts },

    { ngx_string("resolve"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_connect_conf_t, resolve), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_connect_commands[] = {

    { ngx_string("connect"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1234,
      ngx_http_background_connect,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_connect_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_background_connect_init,      /* postconfiguration */

    ngx_http_background_connect_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_connect_module = {
    NGX_MODULE_V1,
    &ngx_http_background_connect_module_ctx, /* module context */
    ngx_http_background_connect_commands,  /* module directives */
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


static char *
ngx_http_background_connect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_connect_main_conf_t *cmcf = conf;

    ngx_http_background_connect_conf_t  *ccf;

    ccf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_connect_conf_t));
    if (ccf == NULL) {
        return NGX_CONF_ERROR;
    }

    ccf->count = 1;
    ccf->timeout = 5000;

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_connect_params, ccf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_connect_addr(cf, cmcf, ccf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                      &ngx_http_background_connect_kind, ccf);
}


static ngx_int_t
ngx_http_background_connect_addr(ngx_conf_t *cf,
    ngx_http_background_connect_main_conf_t *cmcf,
    ngx_http_background_connect_conf_t *ccf)
{
    ngx_url_t   u;
    ngx_str_t  *value;

    if (ngx_http_background_connect_url(cf, &u) != NGX_OK) {
        return NGX_ERROR;
    }

    if (u.naddrs == 0 && ccf->resolve) {

        if (!ngx_http_background_connect_is_name(&u.host)) {
            return ngx_http_background_connect_invalid(cf, "invalid host");
        }

        ccf->name = ngx_http_background_connect_name_add(cf, &u, &cmcf->names);

        return ccf->name ? NGX_OK : NGX_ERROR;
    }

    if (u.naddrs || ngx_inet_resolve_host(cf->pool, &u) == NGX_OK) {
        ccf->addrs = u.addrs;
        ccf->naddrs = u.naddrs;

        return NGX_OK;
    }

    if (u.err == NULL || !ngx_http_background_connect_is_name(&u.host)) {
        return ngx_http_background_connect_invalid(cf,
                                                 u.err ? u.err : "no memory");
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "%s in address \"%V\" of \"%V\" directive, its cycles "
                       "will fail until it is found",
                       u.err, &value[1], &value[0]);

    ccf->name = ngx_http_background_connect_name_add(cf, &u, NULL);

    return ccf->name ? NGX_OK : NGX_ERROR;
}


/* parses the address without resolving its name */

static ngx_int_t
ngx_http_background_connect_url(ngx_conf_t *cf, ngx_url_t *u)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_memzero(u, sizeof(ngx_url_t));

    u->url = value[1];
    u->no_resolve = 1;

    if (ngx_parse_url(cf->pool, u) != NGX_OK) {
        return ngx_http_background_connect_invalid(cf,
                                               u->err ? u->err : "no memory");
    }

    if (u->no_port) {
        return ngx_http_background_connect_invalid(cf, "no port");
    }

    return NGX_OK;
}


/* whether the host is a name: neither an IP address nor a variable */

static ngx_uint_t
ngx_http_background_connect_is_name(ngx_str_t *host)
{
    u_char      c, *p;
    ngx_uint_t  name;

    name = 0;

    for (p = host->data; p < host->data + host->len; p++) {

        if (*p == '.' || (*p >= '0' && *p <= '9')) {
            continue;
        }

        c = *p | 0x20;

        if ((c < 'a' || c > 'z') && *p != '-' && *p != '_' && *p < 0x80) {
            return 0;
        }

        name = 1;
    }

    return name;
}


static ngx_int_t
ngx_http_background_connect_invalid(ngx_conf_t *cf, const char *error)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%s in address \"%V\" of \"%V\" directive, "
                       "it must be \"HOST:PORT\" or \"unix:PATH\"",
                       error, &value[1], &value[0]);

    return NGX_ERROR;
}


static void *
ngx_http_background_connect_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_connect_main_conf_t));
}


static ngx_int_t
ngx_http_background_connect_init(ngx_conf_t *cf)
{
    ngx_http_background_connect_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_background_connect_module);

    return ngx_http_background_connect_names_check(cf, cmcf->names);
}


static void
ngx_http_background_connect_start(ngx_http_background_run_t *run)
{
    ngx_http_background_connect_t       *connect;
    ngx_http_background_connect_conf_t  *ccf;

    ccf = run->conf;

    connect = ngx_pcalloc(run->pool, sizeof(ngx_http_background_connect_t));
    if (connect == NULL) {
        goto failed;
    }

    connect->peers = ngx_pcalloc(run->pool, ccf->count
                                * sizeof(ngx_http_background_connect_peer_t));
    if (connect->peers == NULL) {
        goto failed;
    }

    connect->run = run;

    connect->event.handler = ngx_http_background_connect_slice;
    connect->event.data = connect;
    connect->event.log = run->log;

    /*
     * errors of a connection are not logged by nginx, but with the failure of
     * the cycle
     */
    connect->log = *run->log;
    connect->log.log_level = NGX_LOG_EMERG;

    run->ctx = connect;
    run->result.active = ccf->count;

    if (ccf->name) {
        connect->started = ngx_current_msec;

        connect->wait.name = ccf->name;
        connect->wait.run = run;
        connect->wait.handler = ngx_http_background_connect_resolved;
        connect->wait.data = connect;

        ngx_http_background_connect_resolve(&connect->wait);

        return;
    }

    connect->addrs = ccf->addrs;
    connect->naddrs = ccf->naddrs;

    ngx_http_background_connect_slice(&connect->event);

    return;

failed:

    ngx_http_background_fail(&run->result, 0, "no memory");
    ngx_http_background_done(run);
}


static void
ngx_http_background_connect_cancel(ngx_http_background_run_t *run)
{
    ngx_uint_t                      i;
    ngx_http_background_connect_t  *connect;

    connect = run->ctx;

    ngx_http_background_connect_resolve_cancel(&connect->wait);

    if (connect->event.posted) {
        ngx_delete_posted_event(&connect->event);
    }

    for (i = 0; i < connect->npeers; i++) {
        ngx_http_background_connect_close(&connect->peers[i]);
    }
}


/* the time for resolving the name is added once, not for each connection */

static void
ngx_http_background_connect_resolved(ngx_http_background_connect_wait_t *wait)
{
    ngx_http_background_run_t           *run;
    ngx_http_background_connect_t       *connect;
    ngx_http_background_connect_conf_t  *ccf;

    run = wait->run;
    connect = wait->data;
    ccf = run->conf;

    run->result.io_time += ngx_current_msec - connect->started;

    if (wait->naddrs == 0) {
        run->result.failed += ccf->count - 1;
        ngx_http_background_done(run);
        return;
    }

    connect->addrs = wait->addrs;
    connect->naddrs = wait->naddrs;

    ngx_http_background_connect_slice(&connect->event);
}


static void
ngx_http_background_connect_slice(ngx_event_t *ev)
{
    ngx_http_background_connect_t *connect = ev->data;

    ngx_uint_t                           i, n;
    ngx_http_background_connect_conf_t  *ccf;
    ngx_http_background_connect_peer_t  *peer;

    ccf = connect->run->conf;

    peer = &connect->peers[connect->npeers];
    n = ngx_min(NGX_HTTP_BACKGROUND_CONNECT_SLICE,
                ccf->count - connect->npeers);

    connect->npeers += n;

    if (connect->npeers < ccf->count) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    /* the run may be freed when its last connection is over */

    for (i = 0; i < n; i++) {
        peer[i].connect = connect;
        peer[i].started = ngx_current_msec;

        ngx_http_background_connect_try(&peer[i]);
    }
}


/* tries one address after another until one does not fail at once */

static void
ngx_http_background_connect_try(ngx_http_background_connect_peer_t *peer)
{
    ngx_int_t  rc;

    do {
        rc = ngx_http_background_connect_open(peer);

    } while (rc == NGX_DECLINED);

    if (rc != NGX_AGAIN) {
        ngx_http_background_connect_over(peer);
    }
}


/*
 * Returns NGX_OK if the connection is open, NGX_AGAIN if it is in progress,
 * NGX_DECLINED if it has failed and another address must be tried, or
 * NGX_ERROR if it has failed.
 */

static ngx_int_t
ngx_http_background_connect_open(ngx_http_background_connect_peer_t *peer)
{
    u_char                               text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_int_t                            rc;
    ngx_addr_t                          *addr;
    ngx_connection_t                    *c;
    ngx_peer_connection_t                pc;
    ngx_http_background_connect_t       *connect;
    ngx_http_background_connect_conf_t  *ccf;

    connect = peer->connect;
    ccf = connect->run->conf;
    addr = &connect->addrs[peer->addr];

    ngx_http_background_connect_trim();

    if (ngx_http_background_few_connections(text)) {
        ngx_http_background_fail(&connect->run->result, 0, "%s", text);
        return NGX_ERROR;
    }

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = addr->sockaddr;
    pc.socklen = addr->socklen;
    pc.name = &addr->name;
    pc.get = ngx_event_get_peer;
    pc.log = &connect->log;
    pc.log_error = NGX_ERROR_ERR;

    ngx_set_errno(0);

    rc = ngx_event_connect_peer(&pc);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        return ngx_http_background_connect_fail(peer, ngx_errno, "failed");
    }

    c = pc.connection;

    c->data = peer;
    c->log = connect->run->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_background_connect_handler;
    c->write->handler = ngx_http_background_connect_handler;
    c->write->cancelable = 1;

    peer->connection = c;

    if (rc == NGX_AGAIN) {
        ngx_add_timer(c->write, ccf->timeout);
    }

    return rc;
}


static void
ngx_http_background_connect_handler(ngx_event_t *ev)
{
    ngx_int_t                            rc;
    ngx_err_t                            err;
    ngx_connection_t                    *c;
    ngx_http_background_connect_peer_t  *peer;

    c = ev->data;
    peer = c->data;

    if (c->close) {

        /* the time of a worker that shuts down is over, for any address */

        ngx_http_background_connect_close(peer);
        ngx_http_background_fail(&peer->connect->run->result, 0,
                                 "connect() was cancelled");
        rc = NGX_ERROR;

    } else if (ev->timedout) {
        rc = ngx_http_background_connect_fail(peer, 0, "timed out");

    } else {
        err = ngx_http_background_connect_error(c);

        rc = err ? ngx_http_background_connect_fail(peer, err, "failed")
                 : NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_background_connect_try(peer);
        return;
    }

    ngx_http_background_connect_over(peer);
}


ngx_err_t
ngx_http_background_connect_error(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err;
}


static ngx_int_t
ngx_http_background_connect_fail(ngx_http_background_connect_peer_t *peer,
    ngx_err_t err, const char *text)
{
    ngx_addr_t                          *addr;
    ngx_http_background_run_t           *run;
    ngx_http_background_connect_t       *connect;
    ngx_http_background_connect_conf_t  *ccf;

    connect = peer->connect;
    run = connect->run;
    ccf = run->conf;

    ngx_http_background_connect_close(peer);

    if (peer->addr + 1 < connect->naddrs) {
        peer->addr++;
        return NGX_DECLINED;
    }

    addr = &connect->addrs[peer->addr];

    if (connect->naddrs > 1) {
        ngx_http_background_fail(&run->result, err,
                                 "connect() to %V, the last of %ui addresses, "
                                 "%s", &addr->name, connect->naddrs, text);

    } else if (ccf->name) {
        ngx_http_background_fail(&run->result, err, "connect() to %V %s",
                                 &addr->name, text);

    } else {
        ngx_http_background_fail(&run->result, err, "connect() %s", text);
    }

    return NGX_ERROR;
}


static void
ngx_http_background_connect_close(ngx_http_background_connect_peer_t *peer)
{
    if (peer->connection) {
        ngx_close_connection(peer->connection);
        peer->connection = NULL;
    }
}


/* the run may be freed when this returns */

static void
ngx_http_background_connect_over(ngx_http_background_connect_peer_t *peer)
{
    ngx_http_background_run_t  *run;

    run = peer->connect->run;

    if (peer->connection) {
        run->result.completed++;
        ngx_http_background_connect_linger(peer->connection);
        peer->connection = NULL;
    }

    run->result.io_time += ngx_current_msec - peer->started;

    if (--run->result.active == 0) {
        ngx_http_background_done(run);
    }
}


/* the lingering connection may outlive the run */

void
ngx_http_background_connect_linger(ngx_connection_t *c)
{
    ngx_http_background_connect_linger_t  *linger;

    /* a worker that exits must not wait for lingering connections */

    if (ngx_exiting || shutdown(c->fd, SHUT_WR) == -1) {
        ngx_close_connection(c);
        return;
    }

    linger = ngx_calloc(sizeof(ngx_http_background_connect_linger_t),
                        ngx_cycle->log);
    if (linger == NULL) {
        ngx_close_connection(c);
        return;
    }

    linger->connection = c;

    ngx_queue_insert_tail(&ngx_http_background_connect_lingering,
                          &linger->queue);
    ngx_http_background_connect_nlingering++;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->data = linger;
    c->log = ngx_cycle->log;
    c->log_error = NGX_ERROR_IGNORE_ECONNRESET;
    c->idle = 1;

    c->read->log = c->log;
    c->read->handler = ngx_http_background_connect_linger_handler;

    c->write->log = c->log;
    c->write->handler = ngx_http_empty_handler;

    ngx_add_timer(c->read, NGX_HTTP_BACKGROUND_CONNECT_LINGER);

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_background_connect_linger_close(linger);

    } else {
        ngx_http_background_connect_linger_handler(c->read);
    }

    ngx_http_background_connect_trim();
}


/* nginx calls it also when a worker starts to shut down, with c->close set */

static void
ngx_http_background_connect_linger_handler(ngx_event_t *rev)
{
    ngx_int_t                              rc;
    ngx_connection_t                      *c;
    ngx_http_background_connect_linger_t  *linger;

    c = rev->data;
    linger = c->data;

    rc = (rev->timedout || c->close)
         ? NGX_DONE
         : ngx_http_background_connect_discard(linger);

    if (rc != NGX_AGAIN || ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_background_connect_linger_close(linger);
    }
}


/*
 * Returns NGX_AGAIN if more data may come, NGX_DONE at the end of the data or
 * after ..._CONNECT_DISCARD bytes.
 */

static ngx_int_t
ngx_http_background_connect_discard(
    ngx_http_background_connect_linger_t *linger)
{
    u_char             buf[NGX_HTTP_BACKGROUND_CONNECT_BUFFER];
    ssize_t            n;
    ngx_connection_t  *c;

    c = linger->connection;

    while (linger->received < NGX_HTTP_BACKGROUND_CONNECT_DISCARD) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (n <= 0) {
            return NGX_DONE;
        }

        linger->received += n;
    }

    return NGX_DONE;
}


static void
ngx_http_background_connect_linger_close(
    ngx_http_background_connect_linger_t *linger)
{
    ngx_queue_remove(&linger->queue);
    ngx_http_background_connect_nlingering--;

    ngx_close_connection(linger->connection);

    ngx_free(linger);
}


/*
 * Closes the oldest lingering connections if they use more than an eighth of
 * "worker_connections" or if few connections are free.
 */

void
ngx_http_background_connect_trim(void)
{
    u_char        text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_queue_t  *q;

    while (ngx_http_background_connect_nlingering
           && (ngx_http_background_connect_nlingering
               > ngx_cycle->connection_n / 8
               || ngx_http_background_few_connections(text)))
    {
        q = ngx_queue_head(&ngx_http_background_connect_lingering);

        ngx_http_background_connect_linger_close(ngx_queue_data(q,
                                 ngx_http_background_connect_linger_t, queue));
    }
}
