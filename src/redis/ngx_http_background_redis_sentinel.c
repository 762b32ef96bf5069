
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Sentinels: which server is the master.
 */


#include "ngx_http_background_redis_link.h"


/* the longest time until the Sentinels are asked again, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_WATCH  1000


static void ngx_http_background_redis_told(void *data,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_agree(
    ngx_http_background_redis_link_t *link);
static ngx_uint_t ngx_http_background_redis_names(
    ngx_http_background_redis_link_t *link, u_char *text, size_t len,
    uint64_t since);


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

ngx_http_background_redis_link_t *
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


void
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

void
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
