
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The connection of a worker to a server: names, sockets and TLS, and new
 * attempts after it is lost.
 */


#include "ngx_http_background_redis_link.h"

#include <poll.h>


/* the pause before the next attempt, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_PAUSE      100
#define NGX_HTTP_BACKGROUND_REDIS_PAUSE_MAX  5000

/* the period in which a repeated error is logged once, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_REPEAT  60000

/* at exit, the number of waits of 10 milliseconds until all data are sent */
#define NGX_HTTP_BACKGROUND_REDIS_DRAIN  50


static ngx_http_background_redis_link_t *ngx_http_background_redis_create(
    ngx_http_background_redis_conf_t *rcf, ngx_log_t *log);
static void ngx_http_background_redis_drain(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_next(
    ngx_http_background_redis_link_t *link);
static void ngx_http_background_redis_go(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_server_t *server, ngx_uint_t turn);
static void ngx_http_background_redis_resolved(ngx_resolver_ctx_t *ctx);
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
static void ngx_http_background_redis_timer_handler(ngx_event_t *ev);
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


void
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


void
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


/*
 * Closes the connection, which is opened again later.  While replies are read,
 * the connection is closed after their handlers have returned.
 */

void ngx_cdecl
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


void
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


void
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
