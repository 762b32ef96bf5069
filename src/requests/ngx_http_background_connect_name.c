
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_connect_name.h"


/*
 * The data of a step.  It may outlive its run, as other runs may wait for the
 * same name.
 */

typedef struct {
    ngx_http_background_connect_name_t  *name;
    ngx_pool_t                          *pool;
    ngx_url_t                            url;
    ngx_int_t                            rc;
    ngx_uint_t                           called;  /* unsigned called:1; the
                                                     step has run */
} ngx_http_background_connect_lookup_t;


static void ngx_http_background_connect_ask(
    ngx_http_background_connect_wait_t *wait);
static void ngx_http_background_connect_answer(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_http_background_connect_copy(
    ngx_http_background_connect_wait_t *wait, ngx_resolver_ctx_t *ctx);

static void ngx_http_background_connect_lookup(
    ngx_http_background_connect_wait_t *wait);
static void ngx_http_background_connect_lookup_next(void);
static ngx_int_t ngx_http_background_connect_lookup_start(
    ngx_http_background_connect_name_t *name, ngx_http_background_run_t *run);
static void ngx_http_background_connect_lookup_step(void *data,
    ngx_log_t *log);
static void ngx_http_background_connect_lookup_then(
    ngx_http_background_run_t *run, void *data);
static const char *ngx_http_background_connect_lookup_keep(
    ngx_http_background_connect_lookup_t *lookup);
static void ngx_http_background_connect_lookup_cleanup(void *data);
static void ngx_http_background_connect_lookup_over(
    ngx_http_background_connect_name_t *name, const char *error);


/*
 * Names are resolved one after another on one thread: a lookup may block until
 * several DNS servers have timed out, and other steps need threads, too.
 */

static ngx_queue_t  ngx_http_background_connect_lookups = {
    &ngx_http_background_connect_lookups,
    &ngx_http_background_connect_lookups
};

static ngx_uint_t  ngx_http_background_connect_looking;


ngx_http_background_connect_name_t *
ngx_http_background_connect_name_add(ngx_conf_t *cf, ngx_url_t *u,
    ngx_http_background_connect_name_t **names)
{
    ngx_http_background_connect_name_t  *name;

    name = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_connect_name_t));
    if (name == NULL) {
        return NULL;
    }

    name->host = u->host;
    name->port = u->port;

    ngx_queue_init(&name->waiting);

    if (names == NULL) {
        return name;
    }

    name->clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    name->address = u->url;
    name->file = cf->conf_file->file.name.data;
    name->line = cf->conf_file->line;

    name->next = *names;
    *names = name;

    return name;
}


ngx_int_t
ngx_http_background_connect_names_check(ngx_conf_t *cf,
    ngx_http_background_connect_name_t *name)
{
    ngx_resolver_t  *resolver;

    for ( /* void */ ; name; name = name->next) {
        resolver = name->clcf->resolver;

        if (resolver == NULL || resolver->connections.nelts == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no \"resolver\" for parameter \"resolve\" of "
                          "\"connect\" directive with address \"%V\" "
                          "in %s:%ui",
                          &name->address, name->file, name->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_background_connect_resolve(ngx_http_background_connect_wait_t *wait)
{
    ngx_http_background_connect_name_t  *name;

    name = wait->name;

    if (name->clcf) {
        ngx_http_background_connect_ask(wait);
        return;
    }

    if (name->naddrs == 0) {
        ngx_http_background_connect_lookup(wait);
        return;
    }

    wait->addrs = name->addrs;
    wait->naddrs = name->naddrs;

    wait->handler(wait);
}


void
ngx_http_background_connect_resolve_cancel(
    ngx_http_background_connect_wait_t *wait)
{
    if (wait->ctx) {
        ngx_resolve_name_done(wait->ctx);
        wait->ctx = NULL;
    }

    if (wait->queued) {
        ngx_queue_remove(&wait->queue);
        wait->queued = 0;
    }
}


static void
ngx_http_background_connect_ask(ngx_http_background_connect_wait_t *wait)
{
    ngx_resolver_ctx_t                  *ctx;
    ngx_http_background_connect_name_t  *name;

    name = wait->name;

    ctx = ngx_resolve_start(name->clcf->resolver, NULL);

    if (ctx == NULL) {
        goto failed;
    }

    ctx->name = name->host;
    ctx->handler = ngx_http_background_connect_answer;
    ctx->data = wait;
    ctx->cancelable = 1;

    /* "resolver_timeout" on the "http" level is not merged and may be unset */
    ctx->timeout = (name->clcf->resolver_timeout == NGX_CONF_UNSET_MSEC)
                   ? 30000 : name->clcf->resolver_timeout;

    wait->ctx = ctx;

    /* the handler may have been called and the run freed */

    if (ngx_resolve_name(ctx) == NGX_OK) {
        return;
    }

    wait->ctx = NULL;

failed:

    ngx_http_background_fail(&wait->run->result, 0,
                             "\"%V\" could not be resolved", &name->host);
    wait->handler(wait);
}


static void
ngx_http_background_connect_answer(ngx_resolver_ctx_t *ctx)
{
    ngx_http_background_connect_wait_t *wait = ctx->data;

    if (ctx->state != NGX_OK) {
        ngx_http_background_fail(&wait->run->result, 0,
                                 "\"%V\" could not be resolved (%i: %s)",
                                 &wait->name->host, ctx->state,
                                 ngx_resolver_strerror(ctx->state));

    } else if (ngx_http_background_connect_copy(wait, ctx) != NGX_OK) {
        ngx_http_background_fail(&wait->run->result, 0, "no memory");
        wait->naddrs = 0;
    }

    ngx_resolve_name_done(ctx);
    wait->ctx = NULL;

    wait->handler(wait);
}


static ngx_int_t
ngx_http_background_connect_copy(ngx_http_background_connect_wait_t *wait,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t            i, n;
    ngx_addr_t           *addr;
    ngx_pool_t           *pool;
    ngx_resolver_addr_t  *from;

    pool = wait->run->pool;
    n = ngx_min(ctx->naddrs, NGX_HTTP_BACKGROUND_CONNECT_ADDRS);

    addr = ngx_palloc(pool, n * sizeof(ngx_addr_t));
    if (addr == NULL) {
        return NGX_ERROR;
    }

    wait->addrs = addr;
    wait->naddrs = n;

    for (i = 0; i < n; i++) {
        from = &ctx->addrs[i];

        addr[i].sockaddr = ngx_palloc(pool, from->socklen);
        addr[i].name.data = ngx_pnalloc(pool, NGX_SOCKADDR_STRLEN);

        if (addr[i].sockaddr == NULL || addr[i].name.data == NULL) {
            return NGX_ERROR;
        }

        addr[i].socklen = from->socklen;
        ngx_memcpy(addr[i].sockaddr, from->sockaddr, from->socklen);
        ngx_inet_set_port(addr[i].sockaddr, wait->name->port);

        addr[i].name.len = ngx_sock_ntop(addr[i].sockaddr, addr[i].socklen,
                                         addr[i].name.data,
                                         NGX_SOCKADDR_STRLEN, 1);
    }

    return NGX_OK;
}


static void
ngx_http_background_connect_lookup(ngx_http_background_connect_wait_t *wait)
{
    ngx_http_background_connect_name_t  *name;

    name = wait->name;

    ngx_queue_insert_tail(&name->waiting, &wait->queue);
    wait->queued = 1;

    if (!name->queued) {
        ngx_queue_insert_tail(&ngx_http_background_connect_lookups,
                              &name->queue);
        name->queued = 1;
    }

    ngx_http_background_connect_lookup_next();
}


static void
ngx_http_background_connect_lookup_next(void)
{
    ngx_queue_t                         *q;
    ngx_http_background_connect_name_t  *name;
    ngx_http_background_connect_wait_t  *wait;

    while (!ngx_http_background_connect_looking
           && !ngx_queue_empty(&ngx_http_background_connect_lookups))
    {
        q = ngx_queue_head(&ngx_http_background_connect_lookups);
        name = ngx_queue_data(q, ngx_http_background_connect_name_t, queue);

        /* all runs that waited may have been cancelled */

        if (ngx_queue_empty(&name->waiting)) {
            ngx_http_background_connect_lookup_over(name, NULL);
            continue;
        }

        q = ngx_queue_head(&name->waiting);
        wait = ngx_queue_data(q, ngx_http_background_connect_wait_t, queue);

        if (ngx_http_background_connect_lookup_start(name, wait->run)
            == NGX_OK)
        {
            ngx_http_background_connect_looking = 1;
            return;
        }

        ngx_queue_remove(q);
        wait->queued = 0;

        wait->handler(wait);
    }
}


/* returns NGX_ERROR if the step can't be started: the run is failed */

static ngx_int_t
ngx_http_background_connect_lookup_start(
    ngx_http_background_connect_name_t *name, ngx_http_background_run_t *run)
{
    ngx_pool_t                            *pool;
    ngx_http_background_connect_lookup_t  *lookup;

    /* the pool keeps the addresses if the lookup succeeds */

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    lookup = ngx_pcalloc(pool, sizeof(ngx_http_background_connect_lookup_t));
    if (lookup == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        goto failed;
    }

    lookup->name = name;
    lookup->pool = pool;

    lookup->url.host = name->host;
    lookup->url.port = name->port;

    if (ngx_http_background_step(run, &lookup, sizeof(lookup),
                                 ngx_http_background_connect_lookup_step,
                                 ngx_http_background_connect_lookup_then)
        != NGX_OK)
    {
        goto failed;
    }

    return NGX_OK;

failed:

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


static void
ngx_http_background_connect_lookup_step(void *data, ngx_log_t *log)
{
    ngx_http_background_connect_lookup_t *lookup =
        *(ngx_http_background_connect_lookup_t **) data;

    lookup->rc = ngx_inet_resolve_host(lookup->pool, &lookup->url);
    lookup->called = 1;
}


/* the result is for all runs that wait for the name */

static void
ngx_http_background_connect_lookup_then(ngx_http_background_run_t *run,
    void *data)
{
    ngx_http_background_connect_lookup_t *lookup =
        *(ngx_http_background_connect_lookup_t **) data;

    const char                          *error;
    ngx_http_background_connect_name_t  *name;

    ngx_http_background_connect_looking = 0;

    if (!lookup->called) {

        /* the step was cancelled with its run before it started */

        ngx_destroy_pool(lookup->pool);
        ngx_http_background_connect_lookup_next();
        return;
    }

    name = lookup->name;

    error = ngx_http_background_connect_lookup_keep(lookup);

    if (error) {
        ngx_destroy_pool(lookup->pool);
    }

    ngx_http_background_connect_lookup_over(name, error);
    ngx_http_background_connect_lookup_next();
}


/* returns an error text if there are no addresses, or NULL */

static const char *
ngx_http_background_connect_lookup_keep(
    ngx_http_background_connect_lookup_t *lookup)
{
    ngx_pool_cleanup_t                  *cln;
    ngx_http_background_connect_name_t  *name;

    if (lookup->rc != NGX_OK) {
        return lookup->url.err ? lookup->url.err : "no memory";
    }

    cln = ngx_pool_cleanup_add(ngx_cycle->pool, 0);
    if (cln == NULL) {
        return "no memory";
    }

    cln->handler = ngx_http_background_connect_lookup_cleanup;
    cln->data = lookup->pool;

    name = lookup->name;

    name->addrs = lookup->url.addrs;
    name->naddrs = ngx_min(lookup->url.naddrs,
                           NGX_HTTP_BACKGROUND_CONNECT_ADDRS);

    return NULL;
}


static void
ngx_http_background_connect_lookup_cleanup(void *data)
{
    ngx_destroy_pool(data);
}


/*
 * Calls the handlers of runs that wait for the name.  A handler may start a
 * new run that waits, for which it is not called.
 */

static void
ngx_http_background_connect_lookup_over(
    ngx_http_background_connect_name_t *name, const char *error)
{
    ngx_queue_t                         *q, waiting;
    ngx_http_background_connect_wait_t  *wait;

    ngx_queue_remove(&name->queue);
    name->queued = 0;

    if (ngx_queue_empty(&name->waiting)) {
        return;
    }

    q = ngx_queue_head(&name->waiting);
    ngx_queue_split(&name->waiting, q, &waiting);

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        wait = ngx_queue_data(q, ngx_http_background_connect_wait_t, queue);

        ngx_queue_remove(q);
        wait->queued = 0;

        if (error) {
            ngx_http_background_fail(&wait->run->result, 0, "%s", error);

        } else {
            wait->addrs = name->addrs;
            wait->naddrs = name->naddrs;
        }

        wait->handler(wait);
    }
}
