
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_cycle.h"
#include "ngx_http_background_job.h"
#include "ngx_http_background_step.h"

#include <ngx_event.h>


/*
 * How long after "timeout" a job may run until its cycle is abandoned, in
 * milliseconds.
 */
#define NGX_HTTP_BACKGROUND_GRACE  1000

/* a call of "start" of a kind that takes longer is logged, in microseconds */
#define NGX_HTTP_BACKGROUND_LONG_START  500000


static ngx_int_t ngx_http_background_cycle_init(
    ngx_http_background_cycle_t *cycle, ngx_http_background_start_t *start);
static ngx_int_t ngx_http_background_cycle_init_run(
    ngx_http_background_cycle_t *cycle, ngx_http_background_run_ctx_t *ctx,
    ngx_http_background_operation_t *operation,
    ngx_http_background_start_t *start);
static void ngx_http_background_cycle_start_run(
    ngx_http_background_cycle_t *cycle, ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_cycle_cancel_run(
    ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_run_start(
    ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_run_timer_handler(ngx_event_t *ev);
static ngx_http_background_run_ctx_t *ngx_http_background_run_find(
    ngx_http_background_run_t *run);
static void ngx_http_background_job_handler(ngx_http_background_job_t *job);
static void ngx_http_background_run_over(ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_run_timed_out(
    ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_timeout_handler(ngx_event_t *ev);
static ngx_msec_t ngx_http_background_cycle_left(
    ngx_http_background_cycle_t *cycle);
static uint64_t ngx_http_background_cycle_ran(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_stop(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_abandon(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_over(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_gather(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_gather_run(
    ngx_http_background_cycle_t *cycle, ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_cycle_gather_rest(
    ngx_http_background_cycle_t *cycle);
static ngx_msec_t ngx_http_background_cycle_waited(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_error(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_cycle_close(ngx_fd_t fd, ngx_log_t *log);


/* all runs of I/O kinds that are not freed, by address */

static ngx_rbtree_node_t  ngx_http_background_runs_sentinel;

static ngx_rbtree_t  ngx_http_background_runs = {
    &ngx_http_background_runs_sentinel,
    &ngx_http_background_runs_sentinel,
    ngx_rbtree_insert_value
};


ngx_int_t
ngx_http_background_cycle_create(ngx_array_t *operations,
    ngx_http_background_start_t *start, ngx_log_t *log,
    ngx_http_background_cycle_t **cp)
{
    ngx_int_t                     rc;
    ngx_pool_t                   *pool;
    ngx_http_background_cycle_t  *cycle;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, log);
    if (pool == NULL) {
        goto failed;
    }

    cycle = ngx_pcalloc(pool, sizeof(ngx_http_background_cycle_t));
    if (cycle == NULL) {
        ngx_destroy_pool(pool);
        goto failed;
    }

    cycle->pool = pool;
    cycle->log = log;
    cycle->ident = -1;
    cycle->operations = operations;
    cycle->input.file = start->in_file ? start->file : NGX_INVALID_FILE;
    cycle->input.file_size = start->file_size;
    cycle->handler = start->handler;
    cycle->data = start->data;
    cycle->finish = start->finish;

    cycle->timeout.handler = ngx_http_background_timeout_handler;
    cycle->timeout.data = cycle;
    cycle->timeout.log = log;
    cycle->timeout.cancelable = 1;

    rc = ngx_http_background_cycle_init(cycle, start);

    if (rc != NGX_OK) {
        ngx_http_background_free(cycle);
        return rc;
    }

    *cp = cycle;

    return NGX_OK;

failed:

    ngx_http_background_cycle_drop(start, log);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_background_cycle_init(ngx_http_background_cycle_t *cycle,
    ngx_http_background_start_t *start)
{
    ngx_int_t                         rc;
    ngx_uint_t                        i, n;
    ngx_str_t                        *bytes;
    ngx_http_background_operation_t  *operation;

    bytes = &cycle->input.bytes;

    if (start->input.len) {
        bytes->data = ngx_pnalloc(cycle->pool, start->input.len);
        if (bytes->data == NULL) {
            return NGX_ERROR;
        }

        bytes->len = start->input.len;
        ngx_memcpy(bytes->data, start->input.data, bytes->len);
    }

    operation = cycle->operations->elts;
    n = cycle->operations->nelts;

    cycle->runs = ngx_pcalloc(cycle->pool,
                              n * sizeof(ngx_http_background_run_ctx_t));
    if (cycle->runs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        rc = ngx_http_background_cycle_init_run(cycle, &cycle->runs[i],
                                                &operation[i], start);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_cycle_init_run(ngx_http_background_cycle_t *cycle,
    ngx_http_background_run_ctx_t *ctx,
    ngx_http_background_operation_t *operation,
    ngx_http_background_start_t *start)
{
    ngx_int_t                   rc;
    ngx_http_background_run_t  *run;

    run = &ctx->job.run;

    run->pool = ngx_create_pool(NGX_MIN_POOL_SIZE, cycle->log);
    if (run->pool == NULL) {
        return NGX_ERROR;
    }

    cycle->nruns++;

    run->conf = operation->conf;
    run->log = cycle->log;

    ctx->job.kind = &operation->kind;
    ctx->job.handler = ngx_http_background_job_handler;
    ctx->job.input = &cycle->input;
    ctx->job.posted = &cycle->posted;
    ctx->job.output.max = start->max_output;
    ctx->job.counter = start->waiting;

    ctx->operation = operation;
    ctx->cycle = cycle;

    if (operation->kind.start) {
        ctx->node.key = (ngx_rbtree_key_t) run;
        ngx_rbtree_insert(&ngx_http_background_runs, &ctx->node);
    }

    if (operation->prepare == NULL) {
        return NGX_OK;
    }

    if (start->request == NULL) {
        return NGX_ABORT;
    }

    rc = operation->prepare(run, start->request);

    return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
}


void
ngx_http_background_cycle_run(ngx_http_background_cycle_t *cycle,
    ngx_msec_t timeout, ngx_uint_t repeats)
{
    ngx_uint_t                      i;
    ngx_http_background_run_t      *run;
    ngx_http_background_run_ctx_t  *ctx;

    cycle->started = ngx_current_msec;
    cycle->started_at = ngx_http_background_wall_clock();
    cycle->started_usec = ngx_http_background_usec(CLOCK_MONOTONIC);

    cycle->time = timeout;

    if (timeout) {
        ngx_add_timer(&cycle->timeout, timeout);
    }

    /* a run that ends at once must not end the cycle while others start */
    cycle->pending = cycle->nruns + 1;

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];
        run = &ctx->job.run;

        run->task = cycle->task;
        run->cycle = cycle;
        run->repeats = repeats;
        run->retry = cycle->retry;

        ctx->job.cell = cycle->cell;

        /* "start" of an earlier run may have cancelled the cycle */

        if (cycle->cancelled) {
            cycle->pending--;
            continue;
        }

        ngx_http_background_cycle_start_run(cycle, ctx);
    }

    if (--cycle->pending == 0) {
        ngx_http_background_cycle_over(cycle);
    }
}


static void
ngx_http_background_cycle_start_run(ngx_http_background_cycle_t *cycle,
    ngx_http_background_run_ctx_t *ctx)
{
    ctx->active = 1;
    ctx->job.worker = ngx_http_background_zone_self();
    ctx->job.until = cycle->until;
    ctx->job.arrived = cycle->arrived;

    ngx_http_background_cell_pending(cycle->cell, 1, ctx->job.worker);

    if (ctx->operation->kind.work) {
        if (ngx_http_background_pool_post(&ctx->job) != NGX_OK) {
            ngx_http_background_run_over(ctx);
        }

        return;
    }

    ctx->starting = 1;
    ngx_http_background_run_start(ctx);
    ctx->starting = 0;

    if (cycle->cancelled && ctx->active) {
        ngx_http_background_cycle_cancel_run(ctx);
    }
}


static void
ngx_http_background_cycle_cancel_run(ngx_http_background_run_ctx_t *ctx)
{
    ctx->active = 0;
    ctx->job.cancelled = 1;

    ctx->operation->kind.cancel(&ctx->job.run);

    ngx_http_background_run_over(ctx);
}


static void
ngx_http_background_run_start(ngx_http_background_run_ctx_t *ctx)
{
    uint64_t  started, usec;

    started = ngx_http_background_usec(CLOCK_MONOTONIC);

    ctx->operation->kind.start(&ctx->job.run);

    usec = ngx_http_background_usec(CLOCK_MONOTONIC) - started;

    if (usec >= NGX_HTTP_BACKGROUND_LONG_START) {
        ngx_log_error(NGX_LOG_WARN, ctx->job.run.log, 0,
                      "background task \"%V\": %V: \"start\" blocked the "
                      "worker for %uL ms",
                      ctx->job.run.task, &ctx->operation->title, usec / 1000);
    }
}


void
ngx_http_background_timer(ngx_http_background_run_t *run, ngx_msec_t time,
    void (*handler)(ngx_http_background_run_t *run))
{
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_http_background_run_active(run, "ngx_http_background_timer");

    if (ctx == NULL) {
        return;
    }

    ctx->timer_handler = handler;

    ctx->timer.handler = ngx_http_background_run_timer_handler;
    ctx->timer.data = ctx;
    ctx->timer.log = run->log;
    ctx->timer.cancelable = 1;

    ngx_add_timer(&ctx->timer, time);
}


static void
ngx_http_background_run_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_run_ctx_t *ctx = ev->data;

    ctx->timer_handler(&ctx->job.run);
}


void
ngx_http_background_done(ngx_http_background_run_t *run)
{
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_http_background_run_active(run, "ngx_http_background_done");

    if (ctx) {
        ngx_http_background_run_over(ctx);
    }
}


void
ngx_http_background_complete(ngx_http_background_run_t *run)
{
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_http_background_run_active(run, "ngx_http_background_complete");

    if (ctx) {
        run->result.completed++;

        ngx_http_background_run_over(ctx);
    }
}


/*
 * A kind may call this for a run that is freed: "run" is not read until it is
 * found.
 */

ngx_http_background_run_ctx_t *
ngx_http_background_run_active(ngx_http_background_run_t *run,
    const char *name)
{
    ngx_http_background_run_ctx_t  *ctx;

    if (ngx_thread_tid() != ngx_pid) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "background: %s() was called on a thread, it is ignored",
                      name);
        return NULL;
    }

    ctx = ngx_http_background_run_find(run);

    if (ctx == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "background: %s() was called for no run of an I/O kind, "
                      "or for one whose cycle is over, it is ignored", name);
        return NULL;
    }

    if (!ctx->active) {
        ngx_log_error(NGX_LOG_ALERT, run->log, 0,
                      "background task \"%V\": %V: %s() was called for a run "
                      "that is over or cancelled, it is ignored",
                      run->task, &ctx->operation->title, name);
        return NULL;
    }

    return ctx;
}


void
ngx_http_background_cancel_none(ngx_http_background_run_t *run)
{
}


static ngx_http_background_run_ctx_t *
ngx_http_background_run_find(ngx_http_background_run_t *run)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = (ngx_rbtree_key_t) run;
    node = ngx_http_background_runs.root;

    while (node != &ngx_http_background_runs_sentinel) {

        if (node->key == key) {
            return (ngx_http_background_run_ctx_t *) run;
        }

        node = (key < node->key) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_background_job_handler(ngx_http_background_job_t *job)
{
    ngx_http_background_run_over((ngx_http_background_run_ctx_t *) job);
}


static void
ngx_http_background_run_over(ngx_http_background_run_ctx_t *ctx)
{
    ngx_http_background_cycle_t  *cycle;

    cycle = ctx->cycle;

    ctx->active = 0;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->step) {
        ngx_http_background_step_detach(ctx);
    }

    ngx_http_background_result_check(&ctx->job.run.result);

    if (!ctx->job.cancelled) {
        ngx_http_background_result_required(&ctx->job.run.result);
    }

    if (!ctx->abandoned) {
        ngx_http_background_cell_pending(cycle->cell, -1, ctx->job.worker);
    }

    if (cycle->timed_out) {
        ngx_http_background_run_timed_out(ctx);
    }

    if (--cycle->pending == 0) {
        ngx_http_background_cycle_over(cycle);
    }
}


/*
 * Fails the run.  Each of its active operations has failed, at least one.  The
 * run may have left a text of its own when it was told to stop.
 */

static void
ngx_http_background_run_timed_out(ngx_http_background_run_ctx_t *ctx)
{
    ngx_http_background_result_t  *result;

    result = &ctx->job.run.result;

    if (result->failed == 0 && result->error_len) {
        result->failed = 1;

    } else {
        ngx_http_background_fail(result, 0, "timed out");
    }

    if (result->active) {
        result->failed += result->active - 1;
    }
}


static void
ngx_http_background_timeout_handler(ngx_event_t *ev)
{
    ngx_http_background_cycle_t *cycle = ev->data;

    ngx_msec_t  left;

    if (cycle->timed_out || cycle->left) {
        ngx_http_background_cycle_abandon(cycle);
        return;
    }

    if (cycle->arrived) {
        left = ngx_http_background_cycle_left(cycle);

        if (left) {
            ngx_add_timer(ev, left);
            return;
        }
    }

    cycle->timed_out = 1;

    ngx_add_timer(ev, NGX_HTTP_BACKGROUND_GRACE);

    ngx_http_background_cycle_stop(cycle);
}


/*
 * Returns the rest of "timeout" for a cycle that was not started by
 * "interval".  The time in which it waits for a thread does not count: the
 * trigger limits that.
 */

static ngx_msec_t
ngx_http_background_cycle_left(ngx_http_background_cycle_t *cycle)
{
    uint64_t  ran, passed;

    if (ngx_http_background_waits(cycle)) {
        return cycle->time;
    }

    ran = ngx_http_background_cycle_ran(cycle);
    passed = (ngx_http_background_usec(CLOCK_MONOTONIC) - ran) / 1000;

    return (ran && passed < cycle->time) ? cycle->time - passed : 0;
}


void
ngx_http_background_cycle_cancel(ngx_http_background_cycle_t *cycle)
{
    cycle->cancelled = 1;

    ngx_http_background_cycle_stop(cycle);
}


void
ngx_http_background_cycle_leave(ngx_http_background_cycle_t *cycle)
{
    cycle->left = 1;

    ngx_add_timer(&cycle->timeout, NGX_HTTP_BACKGROUND_GRACE);

    ngx_http_background_cycle_cancel(cycle);
}


/* called when jobs still run NGX_HTTP_BACKGROUND_GRACE after "timeout" */

static void
ngx_http_background_cycle_abandon(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_background_run_ctx_t  *ctx;

    cycle->abandoned = 1;

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];

        if (ctx->active) {
            ctx->abandoned = 1;
            ngx_http_background_cell_pending(cycle->cell, -1, ctx->job.worker);
        }
    }

    ngx_http_background_cycle_gather(cycle);

    cycle->ended(cycle);
}


/*
 * The cycle may be over, and freed, when this returns, or may wait for its
 * jobs.
 */

static void
ngx_http_background_cycle_stop(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_background_run_ctx_t  *ctx;

    cycle->pending++;

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];

        /* cycle_start_run() cancels the run after start() has returned */

        if (!ctx->active || ctx->starting) {
            continue;
        }

        if (ctx->operation->kind.start) {
            ngx_http_background_cycle_cancel_run(ctx);

        } else if (ngx_http_background_pool_cancel(&ctx->job) == NGX_OK) {
            ngx_http_background_run_over(ctx);
        }
    }

    if (--cycle->pending == 0) {
        ngx_http_background_cycle_over(cycle);
    }
}


static void
ngx_http_background_cycle_over(ngx_http_background_cycle_t *cycle)
{
    if (cycle->timeout.timer_set) {
        ngx_del_timer(&cycle->timeout);
    }

    if (cycle->abandoned) {
        ngx_http_background_cycle_gather_rest(cycle);

    } else {
        ngx_http_background_cycle_gather(cycle);
    }

    cycle->ended(cycle);
}


static void
ngx_http_background_cycle_gather(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                   i;
    ngx_http_background_end_t   *end;
    ngx_http_background_last_t  *last;

    end = &cycle->end;
    last = &cycle->last;

    last->started_at = cycle->started_at;
    last->wall_time = ngx_current_msec - cycle->started;
    last->finished_at = ngx_http_background_wall_clock();

    end->outcome = ngx_http_background_success;

    /* a kind sets it if it has run all of its items */

    cycle->retry = 0;

    for (i = 0; i < cycle->nruns; i++) {
        if (cycle->runs[i].abandoned) {
            last->failed++;

        } else {
            ngx_http_background_cycle_gather_run(cycle, &cycle->runs[i]);
        }
    }

    if (cycle->cancelled && !cycle->abandoned) {
        end->outcome = ngx_http_background_cancel;

    } else if (last->failed) {
        end->outcome = ngx_http_background_failure;
        ngx_http_background_cycle_error(cycle);
    }

    last->success = (end->outcome == ngx_http_background_success);

    /* a cycle may be cancelled after it has timed out */

    end->timed_out = cycle->timed_out
                     && end->outcome == ngx_http_background_failure;
    end->waited = ngx_http_background_cycle_waited(cycle);
    end->wall_time = last->wall_time;
    end->cpu_usec = last->cpu_usec;

    if (cycle->abandoned) {
        end->output = &cycle->none;
    }
}


static void
ngx_http_background_cycle_gather_run(ngx_http_background_cycle_t *cycle,
    ngx_http_background_run_ctx_t *ctx)
{
    uint64_t                       expires_at;
    ngx_http_background_job_t     *job;
    ngx_http_background_end_t     *end;
    ngx_http_background_last_t    *last;
    ngx_http_background_result_t  *result;

    end = &cycle->end;
    last = &cycle->last;
    job = &ctx->job;
    result = &job->run.result;

    last->completed += result->completed;
    last->failed += result->failed;
    last->bytes += result->bytes;
    last->io_time += result->io_time;
    last->cpu_usec += job->cpu_usec;

    if (job->cancelled && !cycle->timed_out) {
        cycle->cancelled = 1;
    }

    if (job->run.resumes) {
        cycle->resumes = 1;
        cycle->retry |= job->run.retry;
    }

    expires_at = (uint64_t) result->expires * 1000;

    /* what expires first is what is to be known */

    if ((result->message_len || expires_at)
        && (last->expires_at == 0
            || (expires_at && expires_at < last->expires_at)))
    {
        last->expires_at = expires_at;
        last->message_len = result->message_len;
        ngx_memcpy(last->message, result->message, result->message_len);
    }

    if (end->output == NULL
        || (end->output->size == 0 && job->output.size))
    {
        end->output = &job->output;
    }
}


/* abandoned runs are counted as failed already */

static void
ngx_http_background_cycle_gather_rest(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_background_last_t     *last;
    ngx_http_background_result_t   *result;
    ngx_http_background_run_ctx_t  *ctx;

    last = &cycle->last;

    ngx_memzero(last, sizeof(ngx_http_background_last_t));

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];
        result = &ctx->job.run.result;

        if (ctx->abandoned) {
            last->completed += result->completed;
            last->bytes += result->bytes;
            last->cpu_usec += ctx->job.cpu_usec;
        }
    }
}


/*
 * Returns the time until a thread took the first job of the cycle, or 0 if
 * none did.
 */

static ngx_msec_t
ngx_http_background_cycle_waited(ngx_http_background_cycle_t *cycle)
{
    uint64_t  ran;

    ran = ngx_http_background_cycle_ran(cycle);

    return (ran - ngx_min(cycle->started_usec, ran)) / 1000;
}


/* returns when a thread took the first job, in usec, monotonic; 0: none did */

static uint64_t
ngx_http_background_cycle_ran(ngx_http_background_cycle_t *cycle)
{
    uint64_t    ran, first;
    ngx_uint_t  i;

    first = 0;

    for (i = 0; i < cycle->nruns; i++) {
        ran = __atomic_load_n(&cycle->runs[i].job.ran, __ATOMIC_RELAXED);

        if (ran && (first == 0 || ran < first)) {
            first = ran;
        }
    }

    return first;
}


/*
 * Sets the error of the first failed operation as the error of the cycle.  It
 * may have names of files and other texts of others, and goes into logs and
 * header fields, so control characters are replaced.
 */

static void
ngx_http_background_cycle_error(ngx_http_background_cycle_t *cycle)
{
    u_char                         *p, *last;
    ngx_str_t                      *error, text;
    ngx_uint_t                      i;
    ngx_http_background_result_t   *result;
    ngx_http_background_run_ctx_t  *ctx;

    error = &cycle->end.error;

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];
        result = &ctx->job.run.result;

        if (ctx->abandoned) {
            if (cycle->timed_out) {
                ngx_str_set(&text, "timed out");

            } else {
                ngx_str_set(&text, "cancelled for another server");
            }

        } else if (result->failed) {
            text.data = result->error;
            text.len = result->error_len;

        } else {
            continue;
        }

        p = ngx_pnalloc(cycle->pool, NGX_HTTP_BACKGROUND_ERROR_LEN);

        if (p == NULL) {
            ngx_str_set(error, "no memory for the error's text");
            return;
        }

        last = ngx_slprintf(p, p + NGX_HTTP_BACKGROUND_ERROR_LEN, "%V: %V",
                            &ctx->operation->title, &text);

        error->data = p;
        error->len = last - p;

        for ( /* void */ ; p < last; p++) {
            *p = (*p < 0x20 || *p == 0x7f) ? '?' : *p;
        }

        return;
    }
}


uint64_t
ngx_http_background_fence(ngx_http_background_run_t *run)
{
    ngx_http_background_cycle_t *cycle = run->cycle;

    return cycle->fence;
}


ngx_uint_t
ngx_http_background_waits(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_background_run_ctx_t  *ctx;

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];

        if (!ctx->active || !ngx_http_background_pool_waits(&ctx->job)) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_background_withdraw(ngx_http_background_cycle_t *cycle)
{
    ngx_http_background_run_ctx_t  *ctx;

    ctx = cycle->runs;

    if (cycle->nruns != 1 || !ctx->active
        || ngx_http_background_pool_withdraw(&ctx->job) != NGX_OK)
    {
        return 0;
    }

    cycle->cancelled = 1;

    ngx_http_background_run_over(ctx);

    return 1;
}


void
ngx_http_background_detach(ngx_http_background_cycle_t *cycle)
{
    cycle->handler = NULL;
}


const ngx_http_background_end_t *
ngx_http_background_end(ngx_http_background_cycle_t *cycle)
{
    return &cycle->end;
}


void
ngx_http_background_free(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_background_run_ctx_t  *ctx;

    if (cycle->pending) {
        cycle->unwanted = 1;
        return;
    }

    for (i = 0; i < cycle->nruns; i++) {
        ctx = &cycle->runs[i];

        if (ctx->operation->kind.start) {
            ngx_rbtree_delete(&ngx_http_background_runs, &ctx->node);
        }

        ngx_destroy_pool(ctx->job.run.pool);
    }

    ngx_http_background_cycle_close(cycle->input.file, cycle->log);

    ngx_destroy_pool(cycle->pool);
}


void
ngx_http_background_cycle_drop(ngx_http_background_start_t *start,
    ngx_log_t *log)
{
    if (start->in_file) {
        ngx_http_background_cycle_close(start->file, log);
    }
}


static void
ngx_http_background_cycle_close(ngx_fd_t fd, ngx_log_t *log)
{
    if (fd != NGX_INVALID_FILE && ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a cycle's input failed");
    }
}


ngx_int_t
ngx_http_background_predecessor(ngx_http_background_run_t *run,
    ngx_http_background_predecessor_t *before)
{
    ngx_http_background_cycle_t *cycle = run->cycle;

    ngx_http_background_told_t  *told;

    told = cycle->follows;

    if (told == NULL) {
        return NGX_DECLINED;
    }

    before->task.data = told->name;
    before->task.len = told->name_len;
    before->error.data = told->error;
    before->error.len = told->error_len;
    before->failed = told->failed;

    return NGX_OK;
}


uint64_t
ngx_http_background_wall_clock(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}
