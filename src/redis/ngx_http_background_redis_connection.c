
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_redis.h"

#include <hiredis/hiredis.h>
#include <poll.h>


/* the pause before the next attempt, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_PAUSE      100
#define NGX_HTTP_BACKGROUND_REDIS_PAUSE_MAX  5000

/* the period in which a repeated error is logged once, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_REPEAT     60000

/* at exit, the number of waits of 10 milliseconds until all data are sent */
#define NGX_HTTP_BACKGROUND_REDIS_DRAIN      50

/* reads in one pass of the event loop, so that other connections have a turn */
#define NGX_HTTP_BACKGROUND_REDIS_SLICE      16

/* the largest reply, and the most data that wait to be sent, in bytes */
#define NGX_HTTP_BACKGROUND_REDIS_MAX        (16 * 1024 * 1024)

#define NGX_HTTP_BACKGROUND_REDIS_TEXT       512

/* the longest time until the Sentinels are asked again, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_WATCH      1000

/* the oldest version that runs the scripts */
#define NGX_HTTP_BACKGROUND_REDIS_VERSION    7


typedef enum {
    ngx_http_background_redis_off = 0,
    ngx_http_background_redis_pausing,
    ngx_http_background_redis_resolving,
    ngx_http_background_redis_connecting,
    ngx_http_background_redis_greeting,
    ngx_http_background_redis_resting,
    ngx_http_background_redis_usable
} ngx_http_background_redis_state_e;


typedef struct {
    ngx_queue_t                            queue;
    ngx_msec_t                             end;       /* of its time */
    ngx_http_background_redis_handler_pt   handler;
    void                                  *data;
} ngx_http_background_redis_command_t;


struct ngx_http_background_redis_link_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_redis_conf_t      *conf;
    void                                 (*changed)(void *data,
                                                    ngx_uint_t ready);
    void                                  *data;
    ngx_int_t                              ident;

    ngx_log_t                             *log;
    ngx_log_t                              quiet;     /* of connect() */
    ngx_pool_t                            *pool;      /* of the connection */
    ngx_peer_connection_t                  peer;
    ngx_event_t                            timer;
    ngx_resolver_ctx_t                    *ctx;
    ngx_http_background_redis_reader_t    *reader;
    ngx_queue_t                            commands;

    u_char                                *out;       /* to be sent */
    size_t                                 out_pos;
    size_t                                 out_len;
    size_t                                 out_size;

    /*
     * With Sentinels: a connection to each of them, which asks again and again
     * for the master, as a server that stood still is a master until the
     * Sentinels find it.
     */
    ngx_http_background_redis_link_t     **watchers;
    ngx_uint_t                             nwatchers;

    /* a watcher's: the link that uses the master, and the last answer */
    ngx_http_background_redis_link_t      *watched;
    ngx_uint_t                             number;    /* of its Sentinel */
    uint64_t                               asked;     /* on the boot clock */
    uint64_t                               named;     /* asked, and answered */
    in_port_t                              master_port;
    size_t                                 master_len;
    u_char                                 master[256];

    ngx_http_background_redis_state_e      state;
    ngx_uint_t                             attempt;   /* since it was ready */
    ngx_uint_t                             turn;      /* of the addresses */
    ngx_uint_t                             failures;  /* in a row */
    ngx_msec_t                             warned;
    ngx_uint_t                             hash;      /* of the last text */

    /* the current server */
    ngx_sockaddr_t                         sockaddr;
    socklen_t                              socklen;
    in_port_t                              port;
    size_t                                 host_len;
    u_char                                 host[256];
    ngx_str_t                              name;
    size_t                                 text_len;
    u_char                                 text[NGX_SOCKADDR_STRLEN + 256];
    size_t                                 epoch_len;
    u_char                                 epoch[
                                             NGX_HTTP_BACKGROUND_REDIS_EPOCH];

    ngx_http_background_redis_reason_e     reason;    /* of the last error */
    size_t                                 why_len;
    u_char                                 why[NGX_HTTP_BACKGROUND_REDIS_TEXT];

    unsigned                               moves:1;   /* to the master */
    unsigned                               reading:1;
    unsigned                               lost:1;    /* to be closed */
    unsigned                               complained:1;  /* of the reply */
    unsigned                               told:1;    /* eviction was logged */
    unsigned                               down:1;    /* it was logged */
};


static ngx_http_background_redis_link_t *ngx_http_background_redis_create(
    ngx_http_background_redis_conf_t *rcf, ngx_log_t *log);
static void ngx_http_background_redis_drain(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_next(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_go(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_server_t *server, ngx_uint_t turn);
static void ngx_http_background_redis_resolve(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_background_redis_connect_to(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_connect_handler(ngx_event_t *ev);
static void ngx_http_background_redis_connected_to(
    ngx_http_background_redis_link_t *link);
#if (NGX_SSL)
static void ngx_http_background_redis_handshake(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_handshaked(ngx_connection_t *c);
static ngx_int_t ngx_http_background_redis_verify(
    ngx_http_background_redis_link_t *link, ngx_connection_t *c);
#endif
static void ngx_http_background_redis_greet(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_authenticated(void *data,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_greeted(void *data,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_informed(void *data,
    ngx_http_background_redis_reply_t *reply);
static ngx_uint_t ngx_http_background_redis_info(
    ngx_http_background_redis_reply_t *reply, const char *name,
    ngx_str_t *value);
static ngx_int_t ngx_http_background_redis_fit(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_evicts(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_set_epoch(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_ask(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_told(void *data,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_agree(
    ngx_http_background_redis_link_t *link);
static ngx_http_background_redis_link_t *ngx_http_background_redis_elected(
    ngx_http_background_redis_link_t *link);
static ngx_uint_t ngx_http_background_redis_names(
    ngx_http_background_redis_link_t *link, u_char *text, size_t len,
    uint64_t since);
static void ngx_http_background_redis_follow(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_link_t *watcher);
static void ngx_http_background_redis_move(
    ngx_http_background_redis_link_t *link);
static ngx_int_t ngx_http_background_redis_send(
    ngx_http_background_redis_link_t *link, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data);
static ngx_int_t ngx_http_background_redis_format(
    ngx_http_background_redis_link_t *link, ngx_uint_t argc,
    const ngx_str_t *argv);
static ngx_int_t ngx_http_background_redis_append(
    ngx_http_background_redis_link_t *link, const char *data, size_t len);
static void ngx_http_background_redis_flush(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_write_handler(ngx_event_t *wev);
static void ngx_http_background_redis_read_handler(ngx_event_t *rev);
static void ngx_http_background_redis_dispatch(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_good(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_arm(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_timer_handler(ngx_event_t *ev);
static void ngx_cdecl ngx_http_background_redis_lose(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reason_e reason, ngx_err_t err, const char *fmt,
    ...);
static void ngx_http_background_redis_lose_now(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_lose_reply(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_log(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_drop(
    ngx_http_background_redis_link_t *link);


ngx_http_background_redis_link_t *
ngx_http_background_redis_open(ngx_http_background_redis_conf_t *rcf,
    void (*changed)(void *data, ngx_uint_t ready), void *data, ngx_log_t *log)
{
    ngx_uint_t                         n;
    ngx_http_background_redis_link_t  *link, *watcher;

    link = ngx_http_background_redis_create(rcf, log);
    if (link == NULL) {
        return NULL;
    }

    link->changed = changed;
    link->data = data;

    if (rcf->sentinel.len == 0) {
        return link;
    }

    n = rcf->servers.nelts;

    link->watchers = ngx_alloc(n * sizeof(ngx_http_background_redis_link_t *),
                               log);
    if (link->watchers == NULL) {
        goto failed;
    }

    while (link->nwatchers < n) {
        watcher = ngx_http_background_redis_create(rcf, log);
        if (watcher == NULL) {
            goto failed;
        }

        watcher->watched = link;
        watcher->number = link->nwatchers;
        link->watchers[link->nwatchers++] = watcher;
    }

    return link;

failed:

    ngx_http_background_redis_close(link);

    return NULL;
}


static ngx_http_background_redis_link_t *
ngx_http_background_redis_create(ngx_http_background_redis_conf_t *rcf,
    ngx_log_t *log)
{
    ngx_http_background_redis_link_t  *link;

    link = ngx_calloc(sizeof(ngx_http_background_redis_link_t), log);
    if (link == NULL) {
        return NULL;
    }

    link->conf = rcf;
    link->ident = -1;
    link->log = log;

    /* redis_log() logs a repeated error once, nginx would log each attempt */

    link->quiet = *log;
    link->quiet.log_level = ngx_min(log->log_level, NGX_LOG_ALERT);

    ngx_queue_init(&link->commands);

    link->timer.handler = ngx_http_background_redis_timer_handler;
    link->timer.data = link;
    link->timer.log = log;
    link->timer.cancelable = 1;

    /* "changed" must not be called on the stack of the caller */

    link->state = ngx_http_background_redis_pausing;
    ngx_add_timer(&link->timer, 0);

    return link;
}


ngx_uint_t
ngx_http_background_redis_ready(ngx_http_background_redis_link_t *link)
{
    return link->state == ngx_http_background_redis_usable && !link->lost;
}


void
ngx_http_background_redis_hurry(ngx_http_background_redis_link_t *link)
{
    ngx_uint_t  i;

    for (i = 0; i < link->nwatchers; i++) {
        ngx_http_background_redis_hurry(link->watchers[i]);
    }

    if (link->state == ngx_http_background_redis_pausing) {
        link->failures = 0;
        ngx_add_timer(&link->timer, 0);
    }
}


ngx_str_t
ngx_http_background_redis_epoch(ngx_http_background_redis_link_t *link)
{
    ngx_str_t  epoch;

    epoch.data = link->epoch;
    epoch.len = link->epoch_len;

    return epoch;
}


uint64_t
ngx_http_background_redis_named(ngx_http_background_redis_link_t *link)
{
    uint64_t                           named;
    ngx_uint_t                         i;
    ngx_http_background_redis_link_t  *watcher;

    if (link->nwatchers == 0) {
        return ngx_http_background_redis_boot();
    }

    if (!ngx_http_background_redis_ready(link)) {
        return 0;
    }

    named = 0;

    for (i = 0; i < link->nwatchers; i++) {
        watcher = link->watchers[i];

        if (watcher->named > named
            && ngx_http_background_redis_names(link, link->name.data,
                                               link->name.len, watcher->named))
        {
            named = watcher->named;
        }
    }

    return named;
}


void
ngx_http_background_redis_close(ngx_http_background_redis_link_t *link)
{
    while (link->nwatchers) {
        ngx_http_background_redis_close(link->watchers[--link->nwatchers]);
    }

    if (link->watchers) {
        ngx_free(link->watchers);
    }

    link->changed = NULL;
    link->reading = 0;

    ngx_http_background_redis_drain(link);
    ngx_http_background_redis_drop(link);

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    if (link->out) {
        ngx_free(link->out);
    }

    ngx_free(link);
}


/*
 * Called when the worker exits, after the event loop has ended.  Another nginx
 * takes a task at once if the command that gives it back is sent.
 */

static void
ngx_http_background_redis_drain(ngx_http_background_redis_link_t *link)
{
    ngx_uint_t      i;
    struct pollfd   pfd;

    for (i = 0; i < NGX_HTTP_BACKGROUND_REDIS_DRAIN; i++) {

        if (link->state != ngx_http_background_redis_usable
            || link->out_pos == link->out_len)
        {
            return;
        }

        pfd.fd = link->peer.connection->fd;
        pfd.events = POLLOUT;
        pfd.revents = 0;

        if (poll(&pfd, 1, 10) == 1) {

            if (pfd.revents & (POLLERR|POLLHUP)) {
                return;
            }

            link->peer.connection->write->ready = 1;
            ngx_http_background_redis_flush(link);
        }
    }
}


/*
 * Each attempt uses the next server.  With Sentinels it uses the master that
 * they name, or agree() goes on when they do.
 */

static void
ngx_http_background_redis_next(ngx_http_background_redis_link_t *link)
{
    ngx_http_background_redis_link_t    *watcher;
    ngx_http_background_redis_server_t  *servers;

    servers = link->conf->servers.elts;

    if (link->watched) {
        ngx_http_background_redis_go(link, &servers[link->number],
                                     link->attempt);
        return;
    }

    if (link->nwatchers == 0) {
        ngx_http_background_redis_go(link,
                        &servers[link->attempt % link->conf->servers.nelts],
                        link->attempt / link->conf->servers.nelts);
        return;
    }

    watcher = ngx_http_background_redis_elected(link);

    if (watcher) {
        ngx_http_background_redis_follow(link, watcher);
        ngx_http_background_redis_move(link);

    } else {
        link->name.len = 0;
    }
}


static void
ngx_http_background_redis_go(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_server_t *server, ngx_uint_t turn)
{
    ngx_addr_t  *addr;

    link->name = server->text;
    link->port = server->port;

    if (server->naddrs) {
        addr = &server->addrs[turn % server->naddrs];

        ngx_memcpy(&link->sockaddr, addr->sockaddr, addr->socklen);
        link->socklen = addr->socklen;

        ngx_http_background_redis_connect_to(link);
        return;
    }

    link->host_len = ngx_min(server->host.len, sizeof(link->host));
    ngx_memcpy(link->host, server->host.data, link->host_len);
    link->turn = turn;

    ngx_http_background_redis_resolve(link);
}


static void
ngx_http_background_redis_resolve(ngx_http_background_redis_link_t *link)
{
    ngx_resolver_ctx_t  *ctx;

    if (link->conf->resolver == NULL) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_RESOLVE,
                             0, "the name has no address, as there was none "
                             "when nginx was configured, and no \"resolver\"");
        return;
    }

    ctx = ngx_resolve_start(link->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_RESOLVE,
                                       0, "the name cannot be resolved");
        return;
    }

    ctx->name.len = link->host_len;
    ctx->name.data = link->host;
    ctx->handler = ngx_http_background_redis_resolved;
    ctx->data = link;
    ctx->timeout = link->conf->resolver_timeout;
    ctx->cancelable = 1;

    link->state = ngx_http_background_redis_resolving;
    link->ctx = ctx;

    /* ngx_resolve_name() frees the context if it fails */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        link->ctx = NULL;
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_RESOLVE,
                                       0, "the name cannot be resolved");
    }
}


static void
ngx_http_background_redis_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_http_background_redis_link_t *link = ctx->data;

    ngx_int_t             state;
    ngx_resolver_addr_t  *addr;

    state = ctx->state;
    link->ctx = NULL;

    if (state == 0 && ctx->naddrs) {
        addr = &ctx->addrs[link->turn % ctx->naddrs];

        link->socklen = ngx_min(addr->socklen, sizeof(ngx_sockaddr_t));
        ngx_memcpy(&link->sockaddr, addr->sockaddr, link->socklen);
        ngx_inet_set_port(&link->sockaddr.sockaddr, link->port);
    }

    ngx_resolve_name_done(ctx);

    if (state) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_RESOLVE,
                                       0, "the name cannot be resolved (%s)",
                                       ngx_resolver_strerror(state));
        return;
    }

    ngx_http_background_redis_connect_to(link);
}


static void
ngx_http_background_redis_connect_to(ngx_http_background_redis_link_t *link)
{
    u_char             buf[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_int_t          rc;
    ngx_connection_t  *c;

    link->state = ngx_http_background_redis_connecting;

    if (ngx_http_background_few_connections(buf)) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_CONNECT,
                                       0, "%s", buf);
        return;
    }

    link->pool = ngx_create_pool(1024, link->log);
    if (link->pool == NULL) {
        goto failed;
    }

    link->reader = ngx_http_background_redis_reader_create(
                                  NGX_HTTP_BACKGROUND_REDIS_MAX, link->log);
    if (link->reader == NULL) {
        goto failed;
    }

    ngx_memzero(&link->peer, sizeof(ngx_peer_connection_t));

    link->peer.sockaddr = &link->sockaddr.sockaddr;
    link->peer.socklen = link->socklen;
    link->peer.name = &link->name;
    link->peer.get = ngx_event_get_peer;
    link->peer.log = &link->quiet;
    link->peer.log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(&link->peer);

    c = link->peer.connection;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED || c == NULL) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_CONNECT,
                                       ngx_socket_errno, "connect() failed");
        return;
    }

    c->data = link;
    c->pool = link->pool;
    c->log = link->log;
    c->read->log = link->log;
    c->write->log = link->log;
    c->log_error = NGX_ERROR_IGNORE_ECONNRESET;
    c->addr_text = link->name;

    c->read->handler = ngx_http_background_redis_connect_handler;
    c->write->handler = ngx_http_background_redis_connect_handler;

    ngx_add_timer(&link->timer, link->conf->connect_timeout);

    if (rc == NGX_OK) {
        ngx_http_background_redis_connected_to(link);
    }

    return;

failed:

    ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_CONNECT, 0,
                                   "no memory for a connection");
}


static void
ngx_http_background_redis_connect_handler(ngx_event_t *ev)
{
    ngx_err_t                          err;
    ngx_connection_t                  *c;
    ngx_http_background_redis_link_t  *link;

    c = ev->data;
    link = c->data;

    err = ngx_http_background_connect_error(c);

    if (err) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_CONNECT,
                                       err, "connect() failed");
        return;
    }

    if (!ev->write) {

        /* data is read after the connection is established */

        (void) ngx_handle_read_event(ev, 0);
        return;
    }

    ngx_http_background_redis_connected_to(link);
}


static void
ngx_http_background_redis_connected_to(ngx_http_background_redis_link_t *link)
{
    ngx_connection_t  *c;

    c = link->peer.connection;

    c->read->handler = ngx_http_background_redis_read_handler;
    c->write->handler = ngx_http_background_redis_write_handler;

#if (NGX_SSL)

    if (link->conf->ssl) {
        ngx_http_background_redis_handshake(link);
        return;
    }

#endif

    ngx_http_background_redis_greet(link);
}


#if (NGX_SSL)

static void
ngx_http_background_redis_handshake(ngx_http_background_redis_link_t *link)
{
    ngx_int_t          rc;
    ngx_str_t         *name;
    ngx_connection_t  *c;

    c = link->peer.connection;
    name = &link->conf->tls_name;

    if (ngx_ssl_create_connection(link->conf->ssl, c, NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TLS, 0,
                                       "no memory for TLS");
        return;
    }

    /* "name" is zero-terminated; an address must not be sent as SNI */

    if (name->len && ngx_inet_addr(name->data, name->len) == INADDR_NONE
        && ngx_strlchr(name->data, name->data + name->len, ':') == NULL
        && SSL_set_tlsext_host_name(c->ssl->connection, (char *) name->data)
           == 0)
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TLS, 0,
                                       "the server name was not accepted");
        return;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_http_background_redis_handshaked;
        return;
    }

    ngx_http_background_redis_handshaked(c);
}


static void
ngx_http_background_redis_handshaked(ngx_connection_t *c)
{
    ngx_http_background_redis_link_t  *link;

    link = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TLS, 0,
                                       "the TLS handshake failed");
        return;
    }

    if (link->conf->tls_verify
        && ngx_http_background_redis_verify(link, c) != NGX_OK)
    {
        return;
    }

    c->read->handler = ngx_http_background_redis_read_handler;
    c->write->handler = ngx_http_background_redis_write_handler;

    ngx_http_background_redis_greet(link);
}


static ngx_int_t
ngx_http_background_redis_verify(ngx_http_background_redis_link_t *link,
    ngx_connection_t *c)
{
    long        rc;
    X509       *cert;
    ngx_str_t  *name;
    ngx_uint_t  matches;

    name = &link->conf->tls_name;
    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TLS, 0,
                               "the certificate is not accepted (%l: %s)", rc,
                               X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    matches = (ngx_ssl_check_host(c, name) == NGX_OK);

    if (!matches) {
        cert = SSL_get_peer_certificate(c->ssl->connection);

        if (cert) {
            matches = (X509_check_ip_asc(cert, (char *) name->data, 0) == 1);
            X509_free(cert);
        }
    }

    if (!matches) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TLS, 0,
                                       "the certificate is not for \"%V\"",
                                       name);
        return NGX_ERROR;
    }

    return NGX_OK;
}

#endif


/* authenticates, then asks a Sentinel for the master, or a server for INFO */

static void
ngx_http_background_redis_greet(ngx_http_background_redis_link_t *link)
{
    u_char                             buf[NGX_INT64_LEN];
    ngx_str_t                          argv[3], *user, *password;
    ngx_uint_t                         n;
    ngx_http_background_redis_conf_t  *rcf;

    rcf = link->conf;

    link->state = ngx_http_background_redis_greeting;

    user = link->watched ? &rcf->sentinel_user : &rcf->user;
    password = link->watched ? &rcf->sentinel_password : &rcf->password;

    if (password->len) {
        n = 0;
        ngx_str_set(&argv[n], "AUTH");
        n++;

        if (user->len) {
            argv[n++] = *user;
        }

        argv[n++] = *password;

        if (ngx_http_background_redis_send(link, n, argv, rcf->timeout,
                                    ngx_http_background_redis_authenticated,
                                    link)
            != NGX_OK)
        {
            return;
        }
    }

    if (link->watched) {
        ngx_http_background_redis_ask(link);
        return;
    }

    if (rcf->database) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = buf;
        argv[1].len = ngx_sprintf(buf, "%i", rcf->database) - buf;

        if (ngx_http_background_redis_send(link, 2, argv, rcf->timeout,
                                    ngx_http_background_redis_greeted, link)
            != NGX_OK)
        {
            return;
        }
    }

    ngx_str_set(&argv[0], "INFO");

    (void) ngx_http_background_redis_send(link, 1, argv, rcf->timeout,
                                   ngx_http_background_redis_informed, link);
}


/*
 * A server may repeat the arguments of a command that it does not know, so no
 * more of its reply is logged than a known first word.
 */

static void
ngx_http_background_redis_authenticated(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    u_char                              *p, *last;
    const char                          *words;
    ngx_http_background_redis_reason_e   reason;

    if (reply == NULL || reply->type != ngx_http_background_redis_error_reply) {
        return;
    }

    reason = ngx_http_background_redis_error(&reply->text, &words);

    if (reason == NGX_HTTP_BACKGROUND_REDIS_OTHER) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_AUTH, 0,
                                       "it refuses the command \"AUTH\", its "
                                       "reply may have the password and is not "
                                       "logged");
        return;
    }

    last = reply->text.data + reply->text.len;
    p = ngx_strlchr(reply->text.data, last, ' ');

    ngx_http_background_redis_lose(link, reason, 0, "%s: \"%*s\"", words,
                                   (size_t) ((p ? p : last) - reply->text.data),
                                   reply->text.data);
}


static void
ngx_http_background_redis_greeted(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    if (reply && reply->type == ngx_http_background_redis_error_reply) {
        ngx_http_background_redis_lose_reply(link, reply);
    }
}


static void
ngx_http_background_redis_informed(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    if (reply == NULL || link->lost) {
        return;
    }

    if (reply->type == ngx_http_background_redis_error_reply) {
        ngx_http_background_redis_lose_reply(link, reply);
        return;
    }

    if (ngx_http_background_redis_fit(link, reply) != NGX_OK) {
        return;
    }

    ngx_http_background_redis_evicts(link, reply);
    ngx_http_background_redis_set_epoch(link, reply);

    link->state = ngx_http_background_redis_usable;
    link->attempt = 0;

    ngx_http_background_redis_connected(link->conf, 1);

    link->changed(link->data, 1);
}


static ngx_int_t
ngx_http_background_redis_fit(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (!ngx_http_background_redis_info(reply, "\nredis_version:", &value)) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_PROTOCOL,
                                       0, "the reply to INFO has no version");
        return NGX_ERROR;
    }

    for (n = 0; (size_t) n < value.len && value.data[n] != '.'; n++) {
        /* void */
    }

    if (ngx_atoi(value.data, n) < NGX_HTTP_BACKGROUND_REDIS_VERSION) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_OTHER,
                                       0, "it has version %V, 7.0 or later is "
                                       "needed", &value);
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_info(reply, "\ncluster_enabled:", &value)
        && value.len && value.data[0] == '1')
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
                                       0, "it is a node of a Redis Cluster, "
                                       "which is not supported");
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_info(reply, "\nloading:", &value)
        && value.len && value.data[0] == '1')
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_LOADING,
                                       0, "it still loads its data");
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_info(reply, "\nrole:", &value)
        && (value.len != 6 || ngx_strncmp(value.data, "master", 6) != 0))
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_READONLY,
                                       0, "it is a replica");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_background_redis_evicts(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_str_t  max, policy;

    if (link->told
        || !ngx_http_background_redis_info(reply, "\nmaxmemory:", &max)
        || (max.len == 1 && max.data[0] == '0')
        || !ngx_http_background_redis_info(reply, "\nmaxmemory_policy:",
                                           &policy)
        || (policy.len == 10
            && ngx_strncmp(policy.data, "noeviction", 10) == 0))
    {
        return;
    }

    link->told = 1;

    ngx_log_error(NGX_LOG_WARN, link->log, 0,
                  "background: redis \"%V\" at %V: it has "
                  "\"maxmemory-policy %V\" and may evict keys of tasks, it "
                  "should be \"noeviction\"",
                  &link->conf->name, &link->name, &policy);
}


/* a server has another ID after a restart, and an offset when it is promoted */

static void
ngx_http_background_redis_set_epoch(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_str_t  id, offset;

    if (!ngx_http_background_redis_info(reply, "\nrun_id:", &id)) {
        ngx_str_null(&id);
    }

    if (!ngx_http_background_redis_info(reply, "\nsecond_repl_offset:",
                                        &offset))
    {
        ngx_str_null(&offset);
    }

    id.len = ngx_min(id.len, 16);
    offset.len = ngx_min(offset.len, 20);

    link->epoch_len = ngx_sprintf(link->epoch, "%V/%V", &id, &offset)
                      - link->epoch;
}


/*
 * "name" begins with a line feed, so the first line is not searched.  The value
 * is logged as it is, so it ends at the first byte that is not printable.
 */

static ngx_uint_t
ngx_http_background_redis_info(ngx_http_background_redis_reply_t *reply,
    const char *name, ngx_str_t *value)
{
    u_char  *p, *last;
    size_t   len;

    if (reply->type != ngx_http_background_redis_string) {
        return 0;
    }

    len = ngx_strlen(name);
    p = ngx_strnstr(reply->text.data, (char *) name, reply->text.len);

    if (p == NULL) {
        return 0;
    }

    p += len;
    last = reply->text.data + reply->text.len;

    value->data = p;

    while (p < last && *p > ' ' && *p < 0x7f && p - value->data < 64) {
        p++;
    }

    value->len = p - value->data;

    return 1;
}


static void
ngx_http_background_redis_ask(ngx_http_background_redis_link_t *link)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "SENTINEL");
    ngx_str_set(&argv[1], "get-master-addr-by-name");
    argv[2] = link->conf->sentinel;

    link->asked = ngx_http_background_redis_boot();

    (void) ngx_http_background_redis_send(link, 3, argv, link->conf->timeout,
                                       ngx_http_background_redis_told, link);
}


/* the reply of a Sentinel: address or name of the master, and its port */

static void
ngx_http_background_redis_told(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    size_t      i;
    ngx_int_t   port;
    ngx_str_t  *host, *text;

    if (reply == NULL || link->lost) {
        return;
    }

    if (reply->type == ngx_http_background_redis_error_reply) {
        ngx_http_background_redis_lose_reply(link, reply);
        return;
    }

    if (reply->type != ngx_http_background_redis_array || reply->n != 2
        || reply->elements[0]->type != ngx_http_background_redis_string
        || reply->elements[1]->type != ngx_http_background_redis_string)
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_SENTINEL,
                                       0, "it knows no master \"%V\"",
                                       &link->conf->sentinel);
        return;
    }

    host = &reply->elements[0]->text;
    text = &reply->elements[1]->text;
    port = ngx_atoi(text->data, text->len);

    /* the address is logged as it is */

    for (i = 0; i < host->len; i++) {
        if (host->data[i] <= ' ' || host->data[i] > 0x7e) {
            break;
        }
    }

    if (host->len == 0 || host->len > 255 || i < host->len
        || port < 1 || port > 65535)
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_SENTINEL,
                                       0, "its reply has an invalid address of "
                                       "the master");
        return;
    }

    link->text_len = ngx_snprintf(link->text, sizeof(link->text),
                            ngx_strlchr(host->data, host->data + host->len, ':')
                            ? "[%V]:%i" : "%V:%i", host, port)
                     - link->text;

    link->master_len = host->len;
    ngx_memcpy(link->master, host->data, host->len);
    link->master_port = (in_port_t) port;
    link->named = link->asked;

    ngx_http_background_redis_good(link, reply);

    link->state = ngx_http_background_redis_resting;
    ngx_add_timer(&link->timer, ngx_min(link->conf->lease / 3,
                                        NGX_HTTP_BACKGROUND_REDIS_WATCH));

    ngx_http_background_redis_agree(link->watched);
}


/* called after each answer of a Sentinel */

static void
ngx_http_background_redis_agree(ngx_http_background_redis_link_t *link)
{
    ngx_http_background_redis_link_t  *watcher;

    watcher = ngx_http_background_redis_elected(link);

    if (watcher == NULL
        || (link->name.len == watcher->text_len
            && ngx_memcmp(link->name.data, watcher->text, watcher->text_len)
               == 0))
    {
        return;
    }

    if (link->name.len) {
        ngx_log_error(NGX_LOG_NOTICE, link->log, 0,
                      "background: redis \"%V\": the Sentinels name %*s as the "
                      "master", &link->conf->name, watcher->text_len,
                      watcher->text);
    }

    /* replies of the server before are not waited for */

    ngx_http_background_redis_follow(link, watcher);

    link->moves = 1;

    ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_MASTER, 0,
                                   "the master is another one");
}


/*
 * Returns one of the watchers with the master that more than half of the
 * Sentinels name.  A Sentinel that has named the new master after a failover
 * does not name the old one again, so when more than half have named the new
 * one, no other worker hears the old one from more than half.
 */

static ngx_http_background_redis_link_t *
ngx_http_background_redis_elected(ngx_http_background_redis_link_t *link)
{
    ngx_uint_t                         i;
    ngx_http_background_redis_link_t  *watcher;

    for (i = 0; i < link->nwatchers; i++) {
        watcher = link->watchers[i];

        if (watcher->text_len
            && ngx_http_background_redis_names(link, watcher->text,
                                               watcher->text_len, 0))
        {
            return watcher;
        }
    }

    return NULL;
}


/* whether more than half were asked since that time, and name this server */

static ngx_uint_t
ngx_http_background_redis_names(ngx_http_background_redis_link_t *link,
    u_char *text, size_t len, uint64_t since)
{
    ngx_uint_t                         i, n;
    ngx_http_background_redis_link_t  *watcher;

    n = 0;

    for (i = 0; i < link->nwatchers; i++) {
        watcher = link->watchers[i];

        if (watcher->named >= since && watcher->text_len == len
            && ngx_memcmp(watcher->text, text, len) == 0)
        {
            n++;
        }
    }

    return n > link->nwatchers / 2;
}


static void
ngx_http_background_redis_follow(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_link_t *watcher)
{
    link->host_len = watcher->master_len;
    ngx_memcpy(link->host, watcher->master, watcher->master_len);

    link->port = watcher->master_port;

    ngx_memcpy(link->text, watcher->text, watcher->text_len);
    link->name.data = link->text;
    link->name.len = watcher->text_len;
}


/* connects to the master that the Sentinels have named */

static void
ngx_http_background_redis_move(ngx_http_background_redis_link_t *link)
{
    in_addr_t             addr;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    ngx_memzero(&link->sockaddr, sizeof(ngx_sockaddr_t));

    addr = ngx_inet_addr(link->host, link->host_len);

    if (addr != INADDR_NONE) {
        sin = &link->sockaddr.sockaddr_in;
        sin->sin_family = AF_INET;
        sin->sin_addr.s_addr = addr;
        sin->sin_port = htons(link->port);
        link->socklen = sizeof(struct sockaddr_in);

        ngx_http_background_redis_connect_to(link);
        return;
    }

#if (NGX_HAVE_INET6)

    sin6 = &link->sockaddr.sockaddr_in6;

    if (ngx_inet6_addr(link->host, link->host_len, sin6->sin6_addr.s6_addr)
        == NGX_OK)
    {
        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons(link->port);
        link->socklen = sizeof(struct sockaddr_in6);

        ngx_http_background_redis_connect_to(link);
        return;
    }

#endif

    ngx_http_background_redis_resolve(link);
}


ngx_int_t
ngx_http_background_redis_command(ngx_http_background_redis_link_t *link,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data)
{
    if (!ngx_http_background_redis_ready(link)) {
        return NGX_ERROR;
    }

    return ngx_http_background_redis_send(link, argc, argv,
                                   ngx_min(timeout, link->conf->timeout),
                                   handler, data);
}


/* if NGX_ERROR is returned, the handler is not called */

static ngx_int_t
ngx_http_background_redis_send(ngx_http_background_redis_link_t *link,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data)
{
    ngx_http_background_redis_command_t  *command;

    command = ngx_alloc(sizeof(ngx_http_background_redis_command_t), link->log);

    if (command == NULL
        || ngx_http_background_redis_format(link, argc, argv) != NGX_OK)
    {
        if (command) {
            ngx_free(command);
        }

        if (link->state == ngx_http_background_redis_greeting) {
            ngx_http_background_redis_lose(link,
                                           NGX_HTTP_BACKGROUND_REDIS_CONNECT,
                                           0, "no memory for a command");
        }

        return NGX_ERROR;
    }

    command->end = ngx_current_msec + timeout;
    command->handler = handler;
    command->data = data;

    ngx_queue_insert_tail(&link->commands, &command->queue);

    ngx_http_background_redis_arm(link);
    ngx_http_background_redis_flush(link);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_format(ngx_http_background_redis_link_t *link,
    ngx_uint_t argc, const ngx_str_t *argv)
{
    int           len;
    char         *text;
    size_t       *lens;
    ngx_int_t     rc;
    ngx_uint_t    i;
    const char  **args;

    args = ngx_alloc(argc * (sizeof(char *) + sizeof(size_t)), link->log);
    if (args == NULL) {
        return NGX_ERROR;
    }

    lens = (size_t *) (args + argc);

    for (i = 0; i < argc; i++) {
        args[i] = (const char *) argv[i].data;
        lens[i] = argv[i].len;
    }

    text = NULL;
    rc = NGX_ERROR;

    len = redisFormatCommandArgv(&text, (int) argc, args, lens);

    if (len > 0) {
        rc = ngx_http_background_redis_append(link, text, (size_t) len);

        /* it may have a password */
        ngx_explicit_memzero(text, (size_t) len);
        redisFreeCommand(text);
    }

    ngx_free(args);

    return rc;
}


static ngx_int_t
ngx_http_background_redis_append(ngx_http_background_redis_link_t *link,
    const char *data, size_t len)
{
    u_char  *p;
    size_t   size;

    if (link->out_len - link->out_pos + len > NGX_HTTP_BACKGROUND_REDIS_MAX) {
        return NGX_ERROR;
    }

    if (link->out_pos) {
        link->out_len -= link->out_pos;
        ngx_memmove(link->out, link->out + link->out_pos, link->out_len);
        link->out_pos = 0;
    }

    if (link->out_len + len > link->out_size) {
        size = ngx_max(2 * link->out_size, link->out_len + len);

        p = ngx_alloc(size, link->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (link->out) {
            ngx_memcpy(p, link->out, link->out_len);
            ngx_free(link->out);
        }

        link->out = p;
        link->out_size = size;
    }

    ngx_memcpy(link->out + link->out_len, data, len);
    link->out_len += len;

    return NGX_OK;
}


static void
ngx_http_background_redis_flush(ngx_http_background_redis_link_t *link)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = link->peer.connection;

    while (link->out_pos < link->out_len) {

        if (!c->write->ready) {
            break;
        }

        n = c->send(c, link->out + link->out_pos,
                    link->out_len - link->out_pos);

        if (n == NGX_ERROR) {

            /*
             * The read handler closes the connection, as the caller's stack may
             * still use it.
             */

            c->read->ready = 1;
            ngx_post_event(c->read, &ngx_posted_events);
            return;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        link->out_pos += n;
    }

    if (link->out_pos == link->out_len) {

        if (link->state == ngx_http_background_redis_greeting) {
            ngx_explicit_memzero(link->out, link->out_len);
        }

        link->out_pos = 0;
        link->out_len = 0;
    }

    (void) ngx_handle_write_event(c->write, 0);
}


static void
ngx_http_background_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_http_background_redis_flush(c->data);
}


static void
ngx_http_background_redis_read_handler(ngx_event_t *rev)
{
    u_char                             buf[16384];
    ssize_t                            n;
    ngx_uint_t                         i;
    ngx_connection_t                  *c;
    ngx_http_background_redis_link_t  *link;

    c = rev->data;
    link = c->data;

    for (i = 0; i < NGX_HTTP_BACKGROUND_REDIS_SLICE; i++) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_background_redis_lose(link,
                                            NGX_HTTP_BACKGROUND_REDIS_CLOSED,
                                            0, "the connection cannot be read");
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_background_redis_lose(link,
                                           NGX_HTTP_BACKGROUND_REDIS_CLOSED,
                                           n ? ngx_socket_errno : 0,
                                           "the connection was closed");
            return;
        }

        if (ngx_http_background_redis_reader_feed(link->reader, buf, n)
            != NGX_OK)
        {
            ngx_http_background_redis_lose(link,
                     NGX_HTTP_BACKGROUND_REDIS_PROTOCOL, 0, "%s",
                     ngx_http_background_redis_reader_error(link->reader));
            return;
        }

        link->reading = 1;
        ngx_http_background_redis_dispatch(link);
        link->reading = 0;

        if (link->lost) {
            ngx_http_background_redis_lose_now(link);
            return;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);
}


static void
ngx_http_background_redis_dispatch(ngx_http_background_redis_link_t *link)
{
    ngx_int_t                             rc;
    ngx_uint_t                            usable;
    ngx_queue_t                          *q;
    ngx_http_background_redis_reply_t    *reply;
    ngx_http_background_redis_command_t  *command;

    while (!link->lost) {

        rc = ngx_http_background_redis_reader_next(link->reader, &reply);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_background_redis_lose(link,
                      NGX_HTTP_BACKGROUND_REDIS_PROTOCOL, 0, "%s",
                      ngx_http_background_redis_reader_error(link->reader));
            return;
        }

        if (ngx_queue_empty(&link->commands)) {
            ngx_http_background_redis_lose(link,
                      NGX_HTTP_BACKGROUND_REDIS_PROTOCOL, 0,
                      "it sent a reply without a command");
            return;
        }

        q = ngx_queue_head(&link->commands);
        ngx_queue_remove(q);

        command = ngx_queue_data(q, ngx_http_background_redis_command_t, queue);

        ngx_http_background_redis_arm(link);

        usable = (link->state == ngx_http_background_redis_usable);

        link->complained = 0;

        command->handler(command->data, reply);
        ngx_free(command);

        if (usable && !link->lost && !link->complained) {
            ngx_http_background_redis_good(link, reply);
        }
    }
}


/*
 * The failures are forgotten only after a good reply, as a server may accept
 * connections and then fail each command.
 */

static void
ngx_http_background_redis_good(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    if (reply->type == ngx_http_background_redis_error_reply) {
        return;
    }

    link->failures = 0;

    if (link->down) {
        link->down = 0;

        ngx_log_error(NGX_LOG_NOTICE, link->log, 0,
                      "background: redis \"%V\" at %V: connected",
                      &link->conf->name, &link->name);
    }
}


/* sets the timer for the oldest command, as replies come in that order */

static void
ngx_http_background_redis_arm(ngx_http_background_redis_link_t *link)
{
    ngx_queue_t                          *q;
    ngx_msec_int_t                        left;
    ngx_http_background_redis_command_t  *command;

    if (ngx_queue_empty(&link->commands)) {
        if (link->timer.timer_set) {
            ngx_del_timer(&link->timer);
        }

        return;
    }

    q = ngx_queue_head(&link->commands);
    command = ngx_queue_data(q, ngx_http_background_redis_command_t, queue);

    left = (ngx_msec_int_t) (command->end - ngx_current_msec);

    ngx_add_timer(&link->timer, left > 0 ? (ngx_msec_t) left : 0);
}


static void
ngx_http_background_redis_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_redis_link_t *link = ev->data;

    ngx_queue_t                          *q;
    ngx_http_background_redis_command_t  *command;

    /* ngx_add_timer() keeps an old time that is less than 300 ms earlier */

    if (!ngx_queue_empty(&link->commands)) {
        q = ngx_queue_head(&link->commands);
        command = ngx_queue_data(q, ngx_http_background_redis_command_t, queue);

        if ((ngx_msec_int_t) (command->end - ngx_current_msec) > 0) {
            ngx_http_background_redis_arm(link);
            return;
        }
    }

    switch (link->state) {

    case ngx_http_background_redis_pausing:
        ngx_http_background_redis_next(link);
        break;

    case ngx_http_background_redis_resting:
        link->state = ngx_http_background_redis_greeting;
        ngx_http_background_redis_ask(link);
        break;

    case ngx_http_background_redis_connecting:
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TIMEOUT,
                                       0, "connecting takes longer than "
                                       "\"connect_timeout\"");
        break;

    default:
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_TIMEOUT,
                                       0, "a reply takes too long");
    }
}


void
ngx_http_background_redis_failed(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    const char                          *words;
    ngx_http_background_redis_reason_e   reason;

    reason = ngx_http_background_redis_error(&reply->text, &words);

    switch (reason) {

    /* another server or connection may succeed */

    case NGX_HTTP_BACKGROUND_REDIS_AUTH:
    case NGX_HTTP_BACKGROUND_REDIS_CLUSTER:
    case NGX_HTTP_BACKGROUND_REDIS_LOADING:
    case NGX_HTTP_BACKGROUND_REDIS_MASTER:
    case NGX_HTTP_BACKGROUND_REDIS_READONLY:
        ngx_http_background_redis_lose_reply(link, reply);
        return;

    default:
        break;
    }

    link->complained = 1;
    link->reason = reason;
    link->why_len = ngx_slprintf(link->why,
                                 link->why + NGX_HTTP_BACKGROUND_REDIS_TEXT,
                                 "%s: \"%V\"", words, &reply->text)
                    - link->why;

    ngx_http_background_redis_log(link);
}


void
ngx_http_background_redis_strange(ngx_http_background_redis_link_t *link)
{
    ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_PROTOCOL,
                                   0, "a reply has an unexpected type");
}


static void
ngx_http_background_redis_lose_reply(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    const char                          *words;
    ngx_http_background_redis_reason_e   reason;

    reason = ngx_http_background_redis_error(&reply->text, &words);

    ngx_http_background_redis_lose(link, reason, 0, "%s: \"%V\"", words,
                                   &reply->text);
}


/*
 * Closes the connection, which is opened again later.  While replies are read,
 * the connection is closed after their handlers have returned.
 */

static void ngx_cdecl
ngx_http_background_redis_lose(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reason_e reason, ngx_err_t err, const char *fmt,
    ...)
{
    u_char   *p, *last;
    va_list   args;

    if (link->lost) {
        return;
    }

    last = link->why + NGX_HTTP_BACKGROUND_REDIS_TEXT;

    va_start(args, fmt);
    p = ngx_vslprintf(link->why, last, fmt, args);
    va_end(args);

    if (err) {
        p = ngx_slprintf(p, last, " (%d: ", err);
        p = ngx_strerror(err, p, last - p);
        p = ngx_slprintf(p, last, ")");
    }

    link->reason = reason;
    link->why_len = p - link->why;

    link->lost = 1;

    if (!link->reading) {
        ngx_http_background_redis_lose_now(link);
    }
}


static void
ngx_http_background_redis_lose_now(ngx_http_background_redis_link_t *link)
{
    ngx_uint_t  was;
    ngx_msec_t  pause;

    was = (link->state == ngx_http_background_redis_usable);

    if (link->moves) {
        ngx_http_background_redis_drop(link);

        if (was) {
            ngx_http_background_redis_connected(link->conf, 0);
            link->changed(link->data, 0);
        }

        ngx_http_background_redis_move(link);
        return;
    }

    ngx_http_background_redis_log(link);
    ngx_http_background_redis_drop(link);

    pause = NGX_HTTP_BACKGROUND_REDIS_PAUSE << ngx_min(link->failures, 6);
    pause = ngx_min(pause, NGX_HTTP_BACKGROUND_REDIS_PAUSE_MAX);
    pause = pause / 2 + ngx_random() % (pause / 2 + 1);

    link->attempt = was ? 0 : link->attempt + 1;
    link->failures++;
    link->state = ngx_http_background_redis_pausing;

    ngx_add_timer(&link->timer, pause);

    if (was) {
        ngx_http_background_redis_connected(link->conf, 0);

        if (link->changed) {
            link->changed(link->data, 0);
        }
    }
}


static void
ngx_http_background_redis_log(ngx_http_background_redis_link_t *link)
{
    u_char      *p;
    ngx_str_t    text;
    ngx_uint_t   hash;

    /* the text may have bytes that the server has sent */

    for (p = link->why; p < link->why + link->why_len; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            *p = '.';
        }
    }

    text.data = link->why;
    text.len = link->why_len;

    ngx_http_background_redis_count(link->conf, link->reason, &text);

    hash = ngx_crc32_short(text.data, text.len);

    if (link->down && hash == link->hash
        && ngx_current_msec - link->warned < NGX_HTTP_BACKGROUND_REDIS_REPEAT)
    {
        return;
    }

    link->down = 1;
    link->hash = hash;
    link->warned = ngx_current_msec;

    ngx_log_error(NGX_LOG_ERR, link->log, 0,
                  "background: redis \"%V\" at %V: %V",
                  &link->conf->name, &link->name, &text);
}


/* closes the connection; handlers of waiting commands are called with NULL */

static void
ngx_http_background_redis_drop(ngx_http_background_redis_link_t *link)
{
    ngx_queue_t                          *q, lost;
    ngx_connection_t                     *c;
    ngx_http_background_redis_command_t  *command;

    link->state = ngx_http_background_redis_off;
    link->lost = 0;
    link->moves = 0;
    link->out_pos = 0;
    link->out_len = 0;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    if (link->ctx) {
        ngx_resolve_name_done(link->ctx);
        link->ctx = NULL;
    }

    c = link->peer.connection;

    if (c) {
        link->peer.connection = NULL;

#if (NGX_SSL)

        if (c->ssl) {
            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;

            (void) ngx_ssl_shutdown(c);
        }

#endif

        ngx_close_connection(c);
    }

    if (link->reader) {
        ngx_http_background_redis_reader_free(link->reader);
        link->reader = NULL;
    }

    if (link->pool) {
        ngx_destroy_pool(link->pool);
        link->pool = NULL;
    }

    ngx_queue_init(&lost);

    if (!ngx_queue_empty(&link->commands)) {
        ngx_queue_add(&lost, &link->commands);
        ngx_queue_init(&link->commands);
    }

    while (!ngx_queue_empty(&lost)) {
        q = ngx_queue_head(&lost);
        ngx_queue_remove(q);

        command = ngx_queue_data(q, ngx_http_background_redis_command_t, queue);

        command->handler(command->data, NULL);
        ngx_free(command);
    }
}
