
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The peers of an upstream of nginx.  The file is compiled twice: for http,
 * and with NGX_HTTP_BACKGROUND_STREAM for stream, whose types have the same
 * members.
 */


#include "ngx_http_background_probe.h"

#include <dlfcn.h>


#if (NGX_HTTP_BACKGROUND_STREAM)

#include <ngx_stream.h>

typedef ngx_stream_upstream_srv_conf_t  ngx_http_background_us_t;
typedef ngx_stream_upstream_rr_peers_t  ngx_http_background_rr_peers_t;
typedef ngx_stream_upstream_rr_peer_t   ngx_http_background_rr_peer_t;

typedef ngx_stream_upstream_server_t    ngx_http_background_us_server_t;

#define ngx_http_background_access      ngx_http_background_stream_upstream
#define ngx_http_background_rr_init     ngx_stream_upstream_init_round_robin
#define NGX_HTTP_BACKGROUND_PEERS_ZONE  NGX_STREAM_UPSTREAM_ZONE

#else

typedef ngx_http_upstream_srv_conf_t    ngx_http_background_us_t;
typedef ngx_http_upstream_rr_peers_t    ngx_http_background_rr_peers_t;
typedef ngx_http_upstream_rr_peer_t     ngx_http_background_rr_peer_t;

typedef ngx_http_upstream_server_t      ngx_http_background_us_server_t;

#define ngx_http_background_access      ngx_http_background_http_upstream
#define ngx_http_background_rr_init     ngx_http_upstream_init_round_robin
#define NGX_HTTP_BACKGROUND_PEERS_ZONE  NGX_HTTP_UPSTREAM_ZONE

#endif


#if (NGX_HTTP_BACKGROUND_STREAM)
#define NGX_HTTP_BACKGROUND_PEER_DRAIN  0
#else
#define NGX_HTTP_BACKGROUND_PEER_DRAIN  NGX_HTTP_BACKGROUND_DRAIN
#endif


/* as in ngx_rwlock.c, which does not export it */
#define NGX_HTTP_BACKGROUND_WLOCK  ((ngx_atomic_uint_t) -1)


static const char *ngx_http_background_peers_bind(
    ngx_http_background_probe_op_t *op, ngx_array_t *upstreams);
static ngx_http_background_us_t *ngx_http_background_peers_find(
    ngx_array_t *upstreams, ngx_str_t *name);
static ngx_int_t ngx_http_background_peers_list(void *upstream,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t *total);
static ngx_int_t ngx_http_background_peers_apply(void *upstream,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t fresh);


const ngx_http_background_upstream_t  ngx_http_background_access = {
    ngx_http_background_peers_bind,
    ngx_http_background_peers_list,
    ngx_http_background_peers_apply,
    NGX_HTTP_BACKGROUND_PEER_DRAIN != 0
};


#if (NGX_HTTP_BACKGROUND_PEERS_ZONE)

static ngx_uint_t ngx_http_background_peers_foreign(
    ngx_http_background_us_t *us);
static ngx_int_t ngx_http_background_peers_read_lock(
    ngx_http_background_rr_peers_t *peers);
static ngx_int_t ngx_http_background_peers_write_lock(
    ngx_http_background_rr_peers_t *peers);
static void ngx_http_background_peers_copy(
    ngx_http_background_target_t *target, ngx_http_background_rr_peer_t *peer);
static void ngx_http_background_peers_set(
    ngx_http_background_rr_peers_t *peers, ngx_http_background_rr_peer_t *peer,
    ngx_uint_t clear, ngx_uint_t set);
static ngx_uint_t ngx_http_background_peers_drained(
    ngx_http_background_us_t *us, ngx_http_background_rr_peer_t *peer);
static void ngx_http_background_peers_judge(ngx_http_background_us_t *us,
    ngx_http_background_rr_peers_t *peers, ngx_http_background_rr_peer_t *peer,
    ngx_http_background_target_t *target);
static ngx_http_background_target_t *ngx_http_background_peers_target(
    ngx_http_background_rr_peer_t *peer, ngx_http_background_target_t *targets,
    ngx_uint_t n, ngx_uint_t *next);

#endif


static const char *
ngx_http_background_peers_bind(ngx_http_background_probe_op_t *op,
    ngx_array_t *upstreams)
{
    ngx_uint_t                        i, servers;
    ngx_http_background_us_t         *us;
    ngx_http_background_us_server_t  *server;

    us = ngx_http_background_peers_find(upstreams, &op->name);

    op->upstream = us;

    if (us == NULL) {
        return "is unknown";
    }

#if (NGX_HTTP_BACKGROUND_PEERS_ZONE)

    if (us->shm_zone == NULL) {
        return "needs a \"zone\"";
    }

    if (ngx_http_background_peers_foreign(us)) {
        return "has a balancer that is not nginx's own,";
    }

#else

    return "needs a \"zone\", which this nginx was built without,";

#endif

    servers = 0;
    server = us->servers->elts;

    for (i = 0; i < us->servers->nelts; i++) {
        servers += server[i].naddrs;
    }

    if (op->peers == 0) {
        op->peers = 2 * servers + 16;
    }

    return NULL;
}


static ngx_http_background_us_t *
ngx_http_background_peers_find(ngx_array_t *upstreams, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_http_background_us_t  **us;

    us = upstreams->elts;

    for (i = 0; i < upstreams->nelts; i++) {

        if (us[i]->srv_conf && us[i]->host.len == name->len
            && ngx_strncasecmp(us[i]->host.data, name->data, name->len) == 0)
        {
            return us[i];
        }
    }

    return NULL;
}


#if (NGX_HTTP_BACKGROUND_PEERS_ZONE)

/*
 * Whether the peers may be of another type.  Peers of all balancers of nginx
 * begin with the members of round robin, as "zone" requires it, too.
 */

static ngx_uint_t
ngx_http_background_peers_foreign(ngx_http_background_us_t *us)
{
    Dl_info                          own, other;
    ngx_http_background_rr_peers_t  *peers;

    peers = us->peer.data;

    if (peers == NULL || peers->name != &us->host) {
        return 1;
    }

    if (us->peer.init_upstream == NULL) {
        return 0;
    }

    if (dladdr((void *) ngx_http_background_rr_init, &own) == 0
        || dladdr((void *) us->peer.init_upstream, &other) == 0)
    {
        return 0;
    }

    return own.dli_fbase != other.dli_fbase;
}


static ngx_int_t
ngx_http_background_peers_read_lock(ngx_http_background_rr_peers_t *peers)
{
    ngx_atomic_uint_t  readers;

    readers = peers->rwlock;

    if (readers == NGX_HTTP_BACKGROUND_WLOCK
        || !ngx_atomic_cmp_set(&peers->rwlock, readers, readers + 1))
    {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_peers_write_lock(ngx_http_background_rr_peers_t *peers)
{
    return ngx_atomic_cmp_set(&peers->rwlock, 0, NGX_HTTP_BACKGROUND_WLOCK)
           ? NGX_OK : NGX_AGAIN;
}


/* each set of peers has its own lock, so each one is locked while it is read */

static ngx_int_t
ngx_http_background_peers_list(void *upstream,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t *total)
{
    ngx_uint_t                       i, backup;
    ngx_http_background_us_t        *us;
    ngx_http_background_rr_peer_t   *peer;
    ngx_http_background_rr_peers_t  *peers;

    us = upstream;
    i = 0;
    backup = 0;

    for (peers = us->peer.data; peers && backup < 2; peers = peers->next) {

        if (ngx_http_background_peers_read_lock(peers) != NGX_OK) {
            return NGX_AGAIN;
        }

        for (peer = peers->peer; peer; peer = peer->next) {

            if (peer->socklen > sizeof(ngx_sockaddr_t)) {
                continue;
            }

            if (i < n) {
                ngx_http_background_peers_copy(&targets[i], peer);
                targets[i].backup = backup;
            }

            i++;
        }

        ngx_rwlock_unlock(&peers->rwlock);

        backup++;
    }

    *total = i;

    return NGX_OK;
}


static void
ngx_http_background_peers_copy(ngx_http_background_target_t *target,
    ngx_http_background_rr_peer_t *peer)
{
    ngx_memzero(target, offsetof(ngx_http_background_target_t, name_data));

    ngx_memcpy(&target->sockaddr, peer->sockaddr, peer->socklen);
    target->socklen = peer->socklen;

    target->name.data = target->name_data;
    target->name.len = ngx_min(peer->name.len, NGX_SOCKADDR_STRLEN);
    ngx_memcpy(target->name_data, peer->name.data, target->name.len);

    target->server.data = target->server_data;
    target->server.len = ngx_min(peer->server.len,
                                 NGX_HTTP_BACKGROUND_PEER_SERVER);
    ngx_memcpy(target->server_data, peer->server.data, target->server.len);

    target->disabled = (peer->down & ~(NGX_HTTP_BACKGROUND_PEER_DOWN
                                       |NGX_HTTP_BACKGROUND_PEER_ORDERED
                                       |NGX_HTTP_BACKGROUND_PEER_DRAIN))
                       != 0;
    target->draining = (peer->down & NGX_HTTP_BACKGROUND_PEER_DRAIN) != 0;
    target->failing = (peer->max_fails && peer->fails >= peer->max_fails);
}


static ngx_int_t
ngx_http_background_peers_apply(void *upstream,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t fresh)
{
    ngx_int_t                        rc;
    ngx_uint_t                       next, backup;
    ngx_http_background_us_t        *us;
    ngx_http_background_target_t    *target;
    ngx_http_background_rr_peer_t   *peer;
    ngx_http_background_rr_peers_t  *peers;

    us = upstream;
    rc = NGX_OK;
    next = 0;
    backup = 0;

    for (peers = us->peer.data; peers && backup < 2; peers = peers->next) {

        backup++;

        if (ngx_http_background_peers_write_lock(peers) != NGX_OK) {
            rc = NGX_AGAIN;
            continue;
        }

        for (peer = peers->peer; peer; peer = peer->next) {
            target = ngx_http_background_peers_target(peer, targets, n, &next);

            if (target) {
                ngx_http_background_peers_judge(us, peers, peer, target);
            }
        }

#if (nginx_version >= 1027003)

        /* initial state of servers that are resolved later */

        for (peer = peers->resolve; peer; peer = peer->next) {
            peer->down = fresh
                         ? peer->down | NGX_HTTP_BACKGROUND_PEER_DOWN
                         : peer->down & ~(ngx_uint_t)
                                         NGX_HTTP_BACKGROUND_PEER_DOWN;
        }

#endif

        ngx_rwlock_unlock(&peers->rwlock);
    }

    return rc;
}


/* the order is read under the lock, so the last one that is applied is valid */

static void
ngx_http_background_peers_judge(ngx_http_background_us_t *us,
    ngx_http_background_rr_peers_t *peers, ngx_http_background_rr_peer_t *peer,
    ngx_http_background_target_t *target)
{
    ngx_uint_t  clear, set, order;

    clear = NGX_HTTP_BACKGROUND_PEER_DOWN;
    set = target->down ? NGX_HTTP_BACKGROUND_PEER_DOWN : 0;

    order = target->order ? *target->order : ngx_http_background_order_none;

    if (order != ngx_http_background_order_none) {
        clear |= NGX_HTTP_BACKGROUND_PEER_ORDERED
                 |NGX_HTTP_BACKGROUND_PEER_DRAIN;

        if (order == ngx_http_background_order_down) {
            set |= NGX_HTTP_BACKGROUND_PEER_ORDERED;
        }

        if (order == ngx_http_background_order_drain
            || ngx_http_background_peers_drained(us, peer))
        {
            set |= NGX_HTTP_BACKGROUND_PEER_DRAIN;
        }
    }

    ngx_http_background_peers_set(peers, peer, clear, set);
}


/* whether the configuration drains the server */

static ngx_uint_t
ngx_http_background_peers_drained(ngx_http_background_us_t *us,
    ngx_http_background_rr_peer_t *peer)
{
#if (NGX_HTTP_BACKGROUND_PEER_DRAIN)

    ngx_uint_t                  i;
    ngx_http_upstream_server_t  *server;

    server = us->servers->elts;

    for (i = 0; i < us->servers->nelts; i++) {
        if ((server[i].down & NGX_HTTP_BACKGROUND_PEER_DRAIN)
            && server[i].name.len == peer->server.len
            && ngx_memcmp(server[i].name.data, peer->server.data,
                          peer->server.len) == 0)
        {
            return 1;
        }
    }

#endif

    return 0;
}


/* "tries" is the number of peers that are not down */

static void
ngx_http_background_peers_set(ngx_http_background_rr_peers_t *peers,
    ngx_http_background_rr_peer_t *peer, ngx_uint_t clear, ngx_uint_t set)
{
    ngx_uint_t  before;

    before = peer->down;

    peer->down = (before & ~clear) | set;

    if (before == 0 && peer->down) {
        peers->tries--;

    } else if (before && peer->down == 0) {
        peers->tries++;
    }
}


/* usually targets have the order of the peers */

static ngx_http_background_target_t *
ngx_http_background_peers_target(ngx_http_background_rr_peer_t *peer,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t *next)
{
    ngx_uint_t                     i, k;
    ngx_http_background_target_t  *target;

    for (i = 0; i < n; i++) {
        k = (*next + i) % n;
        target = &targets[k];

        if (target->name.len == peer->name.len
            && target->server.len == ngx_min(peer->server.len,
                                             NGX_HTTP_BACKGROUND_PEER_SERVER)
            && ngx_memcmp(target->name_data, peer->name.data,
                          target->name.len) == 0
            && ngx_memcmp(target->server_data, peer->server.data,
                          target->server.len) == 0)
        {
            *next = k + 1;
            return target;
        }
    }

    return NULL;
}

#else

/* without zones of upstreams "probe" is an error of the configuration */

static ngx_int_t
ngx_http_background_peers_list(void *upstream,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t *total)
{
    *total = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_peers_apply(void *upstream,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t fresh)
{
    return NGX_OK;
}

#endif
