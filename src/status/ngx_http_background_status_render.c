
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A status is rendered once in a pass of the event loop for all requests of
 * the same source, which share its buffers.  Many tasks are rendered in
 * slices, one slice in a pass.  Requests that come after the pass in which a
 * rendering has begun wait for the next rendering, which begins when this one
 * is done.
 */


#include "ngx_http_background_status.h"

#include <ngx_event.h>
#include <ngx_http_background_job.h>


/* the limits of a slice: number of tasks, and time in microseconds */
#define NGX_HTTP_BACKGROUND_SLICE_TASKS  256
#define NGX_HTTP_BACKGROUND_SLICE        300

/* number of tasks between two checks of the time */
#define NGX_HTTP_BACKGROUND_SLICE_CHECK  16


struct ngx_http_background_rendering_s {
    ngx_pool_t                       *pool;
    ngx_http_background_source_t     *source;
    ngx_uint_t                        refs;       /* references from queues and
                                                     requests */
    ngx_queue_t                       ready;      /* in the queue of renderings
                                                     for new requests */
    ngx_queue_t                       pending;
    ngx_queue_t                       answers;    /* answers that wait for the
                                                     rendering */

    ngx_uint_t                        changes;    /* ..._zone_changes() at
                                                     the beginning */
    ngx_uint_t                        next;       /* number of the next task */
    ngx_uint_t                        part;
    ngx_http_background_status_t      status;
    ngx_http_background_writer_t      head;
    ngx_http_background_writer_t      body;
    ngx_http_background_view_t        view;

    unsigned                          begun:1;
    unsigned                          done:1;
    unsigned                          failed:1;
};


/* a request that waits for a rendering or uses its buffers */

typedef struct {
    ngx_http_request_t               *request;
    ngx_http_background_rendering_t  *rendering;
    ngx_queue_t                       queue;
    ngx_uint_t                        waits;      /* unsigned  waits:1; */
} ngx_http_background_answer_t;


typedef struct {
    ngx_chain_t                       chain;
    ngx_buf_t                         buf;
} ngx_http_background_link_t;


typedef struct {
    ngx_queue_t                       ready;
    ngx_queue_t                       pending;
    ngx_event_t                       over;       /* posted to the end of the
                                                     pass */
    ngx_event_t                       next;       /* posted to the next pass */
    uint64_t                          spent;      /* usec, in this pass */
    ngx_uint_t                        busy;       /* unsigned  busy:1; */
} ngx_http_background_renderer_t;


static ngx_http_background_renderer_t *ngx_http_background_renderer_get(void);
static ngx_http_background_rendering_t *ngx_http_background_rendering_get(
    ngx_http_background_renderer_t *rd, ngx_http_background_source_t *source);
static ngx_http_background_rendering_t *ngx_http_background_rendering_create(
    ngx_http_background_source_t *source);
static void ngx_http_background_rendering_free(
    ngx_http_background_rendering_t *rg);
static void ngx_http_background_rendering_part(
    ngx_http_background_rendering_t *rg);

static void ngx_http_background_renderer_run(
    ngx_http_background_renderer_t *rd);
static ngx_int_t ngx_http_background_renderer_first(
    ngx_http_background_renderer_t *rd, uint64_t until);
static void ngx_http_background_renderer_next(ngx_event_t *ev);
static void ngx_http_background_renderer_over(ngx_event_t *ev);

static ngx_int_t ngx_http_background_rendering_slice(
    ngx_http_background_rendering_t *rg, uint64_t until);
static ngx_int_t ngx_http_background_rendering_tasks(
    ngx_http_background_rendering_t *rg, uint64_t until);
static ngx_int_t ngx_http_background_rendering_parts(
    ngx_http_background_rendering_t *rg, uint64_t until);
static void ngx_http_background_rendering_end(
    ngx_http_background_rendering_t *rg);
static ngx_uint_t ngx_http_background_source_selects(
    ngx_http_background_source_t *source, ngx_str_t *name);

static void ngx_http_background_answer_cleanup(void *data);
static void ngx_http_background_answer_late(
    ngx_http_background_answer_t *answer);
static ngx_int_t ngx_http_background_answer_send(
    ngx_http_background_answer_t *answer);


static ngx_http_background_renderer_t  ngx_http_background_renderer;


ngx_int_t
ngx_http_background_render(ngx_http_request_t *r,
    ngx_http_background_source_t *source)
{
    ngx_pool_cleanup_t               *cln;
    ngx_http_background_answer_t     *answer;
    ngx_http_background_renderer_t   *rd;
    ngx_http_background_rendering_t  *rg;

    rd = ngx_http_background_renderer_get();

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_background_answer_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rg = ngx_http_background_rendering_get(rd, source);
    if (rg == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rg->refs++;

    answer = cln->data;
    answer->request = r;
    answer->rendering = rg;
    answer->waits = 0;

    cln->handler = ngx_http_background_answer_cleanup;

    if (!rg->done) {
        ngx_http_background_renderer_run(rd);
    }

    if (rg->done) {
        return ngx_http_background_answer_send(answer);
    }

    answer->waits = 1;
    ngx_queue_insert_tail(&rg->answers, &answer->queue);

    r->main->count++;

    return NGX_DONE;
}


static ngx_http_background_renderer_t *
ngx_http_background_renderer_get(void)
{
    ngx_http_background_renderer_t  *rd;

    rd = &ngx_http_background_renderer;

    if (rd->over.handler == NULL) {
        ngx_queue_init(&rd->ready);
        ngx_queue_init(&rd->pending);

        rd->over.handler = ngx_http_background_renderer_over;
        rd->over.data = rd;

        rd->next.handler = ngx_http_background_renderer_next;
        rd->next.data = rd;
    }

    /* the log of a previous cycle may be freed */

    rd->over.log = ngx_cycle->log;
    rd->next.log = ngx_cycle->log;

    return rd;
}


/*
 * Returns a rendering of this pass if nothing has changed since, a rendering
 * that has not begun, or a new one.
 */

static ngx_http_background_rendering_t *
ngx_http_background_rendering_get(ngx_http_background_renderer_t *rd,
    ngx_http_background_source_t *source)
{
    ngx_http_background_rendering_t  *rg;

    rg = source->rendering;

    if (rg) {
        if (!rg->begun || rg->changes == ngx_http_background_zone_changes()) {
            return rg;
        }

        ngx_http_background_rendering_part(rg);
    }

    rg = ngx_http_background_rendering_create(source);
    if (rg == NULL) {
        return NULL;
    }

    rg->refs = 2;
    source->rendering = rg;

    ngx_queue_insert_tail(&rd->ready, &rg->ready);
    ngx_queue_insert_tail(&rd->pending, &rg->pending);

    return rg;
}


static ngx_http_background_rendering_t *
ngx_http_background_rendering_create(ngx_http_background_source_t *source)
{
    size_t                            size;
    ngx_pool_t                       *pool;
    ngx_http_background_status_t     *status;
    ngx_http_background_rendering_t  *rg;

    pool = ngx_create_pool(sizeof(ngx_http_background_rendering_t)
                           + NGX_MIN_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    rg = ngx_pcalloc(pool, sizeof(ngx_http_background_rendering_t));
    if (rg == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    rg->pool = pool;
    rg->source = source;
    rg->head.pool = pool;
    rg->body.pool = pool;

    ngx_queue_init(&rg->answers);

    status = &rg->status;

    status->bmcf = source->bmcf;
    status->brief = source->brief;
    status->versions = source->versions;
    status->history = source->history;
    status->attributes = source->attributes;

    if (source->format->keep) {
        size = source->bmcf->zone.tasks.nelts * source->format->keep;

        status->kept = ngx_palloc(pool, size);
        if (status->kept == NULL) {
            ngx_destroy_pool(pool);
            return NULL;
        }
    }

    return rg;
}


static void
ngx_http_background_rendering_free(ngx_http_background_rendering_t *rg)
{
    if (--rg->refs) {
        return;
    }

    ngx_http_background_release(&rg->head);
    ngx_http_background_release(&rg->body);

    ngx_destroy_pool(rg->pool);
}


/* new requests will not get the rendering any more */

static void
ngx_http_background_rendering_part(ngx_http_background_rendering_t *rg)
{
    rg->source->rendering = NULL;

    ngx_queue_remove(&rg->ready);
    ngx_http_background_rendering_free(rg);
}


/*
 * Renders the next slices.  It may be called again while it sends an answer,
 * as the client may have pipelined another request.
 */

static void
ngx_http_background_renderer_run(ngx_http_background_renderer_t *rd)
{
    uint64_t  start;

    if (rd->busy) {
        return;
    }

    ngx_post_event(&rd->over, &ngx_posted_events);

    rd->busy = 1;

    /* the time of earlier calls in this pass counts, too */
    start = ngx_http_background_usec(CLOCK_MONOTONIC) - rd->spent;

    while (!ngx_queue_empty(&rd->pending)
           && rd->spent < NGX_HTTP_BACKGROUND_SLICE)
    {
        if (ngx_http_background_renderer_first(rd, start
                                               + NGX_HTTP_BACKGROUND_SLICE)
            != NGX_OK)
        {
            rd->spent = NGX_HTTP_BACKGROUND_SLICE;
            break;
        }

        rd->spent = ngx_http_background_usec(CLOCK_MONOTONIC) - start;
    }

    rd->busy = 0;

    if (!ngx_queue_empty(&rd->pending)) {
        ngx_post_event(&rd->next, &ngx_posted_next_events);
    }
}


/* returns NGX_AGAIN if the rest must be done in the next pass */

static ngx_int_t
ngx_http_background_renderer_first(ngx_http_background_renderer_t *rd,
    uint64_t until)
{
    ngx_queue_t                      *q;
    ngx_http_background_answer_t     *answer;
    ngx_http_background_rendering_t  *rg;

    q = ngx_queue_head(&rd->pending);
    rg = ngx_queue_data(q, ngx_http_background_rendering_t, pending);

    if (!rg->done
        && ngx_http_background_rendering_slice(rg, until) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    while (!ngx_queue_empty(&rg->answers)) {
        q = ngx_queue_head(&rg->answers);
        answer = ngx_queue_data(q, ngx_http_background_answer_t, queue);

        ngx_http_background_answer_late(answer);

        if (ngx_http_background_usec(CLOCK_MONOTONIC) >= until
            && !ngx_queue_empty(&rg->answers))
        {
            return NGX_AGAIN;
        }
    }

    ngx_queue_remove(&rg->pending);
    ngx_http_background_rendering_free(rg);

    return NGX_OK;
}


static void
ngx_http_background_renderer_next(ngx_event_t *ev)
{
    ngx_http_background_renderer_t *rd = ev->data;

    rd->spent = 0;

    ngx_http_background_renderer_run(rd);
}


static void
ngx_http_background_renderer_over(ngx_event_t *ev)
{
    ngx_http_background_renderer_t *rd = ev->data;

    ngx_queue_t                      *q, *next;
    ngx_http_background_rendering_t  *rg;

    for (q = ngx_queue_head(&rd->ready);
         q != ngx_queue_sentinel(&rd->ready);
         q = next)
    {
        next = ngx_queue_next(q);
        rg = ngx_queue_data(q, ngx_http_background_rendering_t, ready);

        if (rg->begun) {
            ngx_http_background_rendering_part(rg);
        }
    }

    rd->spent = 0;
}


static ngx_int_t
ngx_http_background_rendering_slice(ngx_http_background_rendering_t *rg,
    uint64_t until)
{
    if (!rg->begun) {
        rg->begun = 1;
        rg->changes = ngx_http_background_zone_changes();
    }

    rg->status.now = ngx_http_background_wall_clock();

    if (ngx_http_background_rendering_tasks(rg, until) != NGX_OK
        || ngx_http_background_rendering_parts(rg, until) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_background_rendering_end(rg);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_rendering_tasks(ngx_http_background_rendering_t *rg,
    uint64_t until)
{
    ngx_uint_t                            n;
    ngx_http_background_view_t           *view;
    ngx_http_background_source_t         *source;
    ngx_http_background_status_t         *status;
    ngx_http_background_zone_conf_t      *zcf;
    ngx_http_background_zone_task_t     **tasks;
    const ngx_http_background_format_t   *format;

    source = rg->source;
    format = source->format;
    status = &rg->status;
    zcf = &source->bmcf->zone;
    tasks = zcf->tasks.elts;

    for (n = 0; rg->next < zcf->tasks.nelts; n++) {

        if (n == NGX_HTTP_BACKGROUND_SLICE_TASKS
            || (n && n % NGX_HTTP_BACKGROUND_SLICE_CHECK == 0
                && ngx_http_background_usec(CLOCK_MONOTONIC) >= until))
        {
            return NGX_AGAIN;
        }

        if (!ngx_http_background_source_selects(source,
                                                &tasks[rg->next]->name))
        {
            rg->next++;
            continue;
        }

        view = &rg->view;

        ngx_http_background_view_read(view, zcf,
                           (ngx_http_background_task_t *) tasks[rg->next++]);

        status->ntasks++;
        status->unhealthy += !view->healthy;

        if (format->task) {
            format->task(&rg->body, status, view);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_rendering_parts(ngx_http_background_rendering_t *rg,
    uint64_t until)
{
    ngx_uint_t                           n, from, total;
    const ngx_http_background_format_t  *format;

    format = rg->source->format;
    total = rg->status.ntasks;

    /*
     * after the last task "next" counts on with the tasks of the current part
     */

    from = rg->next - rg->source->bmcf->zone.tasks.nelts;

    while (rg->part < format->parts) {
        n = ngx_min(total - from, NGX_HTTP_BACKGROUND_SLICE_CHECK);

        format->part(&rg->body, &rg->status, rg->part, from, n);

        from += n;

        if (from == total) {
            from = 0;
            rg->part++;
        }

        rg->next = rg->source->bmcf->zone.tasks.nelts + from;

        if (total > NGX_HTTP_BACKGROUND_SLICE_CHECK
            && ngx_http_background_usec(CLOCK_MONOTONIC) >= until)
        {
            return NGX_AGAIN;
        }
    }

    return NGX_OK;
}


/* the head has totals of all tasks, so it is written last */

static void
ngx_http_background_rendering_end(ngx_http_background_rendering_t *rg)
{
    ngx_http_background_status_t        *status;
    const ngx_http_background_format_t  *format;

    status = &rg->status;
    format = rg->source->format;

    ngx_http_background_zone_info(&status->bmcf->zone, &status->info);

    format->head(&rg->head, status);

    if (format->tail) {
        format->tail(&rg->body, status);
    }

    rg->done = 1;
    rg->failed = (rg->head.failed || rg->body.failed);

    if (!rg->failed) {
        ngx_http_background_join(&rg->head, &rg->body);
    }
}


static ngx_uint_t
ngx_http_background_source_selects(ngx_http_background_source_t *source,
    ngx_str_t *name)
{
    ngx_str_t   *names;
    ngx_uint_t   i;

    if (source->names == NULL) {
        return 1;
    }

    names = source->names->elts;

    for (i = 0; i < source->names->nelts; i++) {
        if (names[i].len == name->len
            && ngx_memcmp(names[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * a cleanup handler of the pool of the request, which uses no buffers any more
 */

static void
ngx_http_background_answer_cleanup(void *data)
{
    ngx_http_background_answer_t *answer = data;

    if (answer->waits) {
        ngx_queue_remove(&answer->queue);
    }

    ngx_http_background_rendering_free(answer->rendering);
}


static void
ngx_http_background_answer_late(ngx_http_background_answer_t *answer)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = answer->request;
    c = r->connection;

    ngx_queue_remove(&answer->queue);
    answer->waits = 0;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_background_answer_send(answer);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* the buffers of the request refer to memory that other requests share */

static ngx_int_t
ngx_http_background_answer_send(ngx_http_background_answer_t *answer)
{
    ngx_uint_t                        i;
    ngx_chain_t                      *cl;
    ngx_http_request_t               *r;
    ngx_http_background_link_t       *link;
    ngx_http_background_rendering_t  *rg;

    r = answer->request;
    rg = answer->rendering;

    if (rg->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    link = ngx_pcalloc(r->pool,
                       rg->head.n * sizeof(ngx_http_background_link_t));
    if (link == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0, cl = rg->head.out; cl; cl = cl->next, i++) {
        link[i].buf.pos = cl->buf->pos;
        link[i].buf.last = cl->buf->last;
        link[i].buf.start = cl->buf->pos;
        link[i].buf.end = cl->buf->last;
        link[i].buf.memory = 1;

        link[i].chain.buf = &link[i].buf;
        link[i].chain.next = cl->next ? &link[i + 1].chain : NULL;
    }

    link[i - 1].buf.last_buf = (r == r->main);
    link[i - 1].buf.last_in_chain = 1;

    return rg->source->send(r, rg->source->format, rg->status.unhealthy,
                            rg->head.size, &link->chain);
}
