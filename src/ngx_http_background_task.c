
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_task.h"
#include "ngx_http_background_crash.h"
#include "ngx_http_background_log.h"

#include <ngx_event.h>


/* how often a worker looks for free leases and dead workers, in milliseconds */
#define NGX_HTTP_BACKGROUND_KEEPER    250

/* while a cancelled job is on its way home, in milliseconds */
#define NGX_HTTP_BACKGROUND_HOLD      10
#define NGX_HTTP_BACKGROUND_HOLD_MAX  10000


typedef struct ngx_http_background_runner_s  ngx_http_background_runner_t;


/*
 * A run; it begins with the job, and that with what the kind sees.  Runs that
 * share their work stand side by side, the first of them leads.
 */

typedef struct ngx_http_background_run_ctx_s  ngx_http_background_run_ctx_t;

struct ngx_http_background_run_ctx_s {
    ngx_http_background_job_t         job;
    ngx_http_background_operation_t  *operation;
    ngx_http_background_runner_t     *runner;

    ngx_http_background_run_ctx_t    *lead;
    ngx_uint_t                        nruns;      /* that share the work */
    ngx_uint_t                        working;    /* of these, not yet home */
    uint64_t                          rate_due;   /* of all of them */

    ngx_uint_t                        active;     /* unsigned  active:1; */
};


struct ngx_http_background_runner_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_task_t       *task;
    ngx_http_background_cell_t       *cell;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_uint_t                        preferred;
    ngx_event_t                       timer;
    ngx_event_t                       timeout;
    ngx_http_background_lines_t       lines;

    /* of the running cycle */
    ngx_pool_t                       *pool;
    ngx_http_background_run_ctx_t    *runs;
    ngx_uint_t                        nruns;
    ngx_uint_t                        pending;    /* operations not done */
    uint64_t                          started;
    uint64_t                          started_at;

    ngx_uint_t                        leased;     /* read by any thread that
                                                     crashes */

    unsigned                          running:1;
    unsigned                          cancelled:1;
    unsigned                          timed_out:1;
    unsigned                          no_memory:1;
};


typedef enum {
    ngx_http_background_success = 0,
    ngx_http_background_failure,
    ngx_http_background_cancel
} ngx_http_background_outcome_e;


typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_zone_conf_t  *zcf;
    ngx_http_background_runner_t     *runners;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_uint_t                        nrunners;
    ngx_uint_t                        polls;
    ngx_event_t                       keeper;
    ngx_event_t                       hold;
    ngx_msec_t                        stopped;

    unsigned                          joined:1;
    unsigned                          stopping:1;
    unsigned                          told:1;
} ngx_http_background_tasks_t;


static void ngx_http_background_tasks_crashed(void);
static void ngx_http_background_poll(void);
static void ngx_http_background_keeper_handler(ngx_event_t *ev);
static void ngx_http_background_hold_handler(ngx_event_t *ev);

static void ngx_http_background_runner_init(ngx_http_background_runner_t *r,
    ngx_http_background_task_t *task, ngx_log_t *log);
static void ngx_http_background_runner_take(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_release(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_arm(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_crashed(
    ngx_http_background_runner_t *r);
static ngx_uint_t ngx_http_background_quarantined(
    ngx_http_background_runner_t *r);

static void ngx_http_background_timer_handler(ngx_event_t *ev);
static void ngx_http_background_cycle_start(ngx_http_background_runner_t *r);
static ngx_int_t ngx_http_background_cycle_init(
    ngx_http_background_runner_t *r);
static ngx_uint_t ngx_http_background_threads(
    ngx_http_background_operation_t *operation);
static ngx_int_t ngx_http_background_run_init(ngx_http_background_runner_t *r,
    ngx_http_background_operation_t *operation,
    ngx_http_background_run_ctx_t *lead, ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_job_handler(ngx_http_background_job_t *job);
static void ngx_http_background_run_share(ngx_http_background_run_ctx_t *lead);
static void ngx_http_background_run_recall(
    ngx_http_background_run_ctx_t *lead);
static void ngx_http_background_run_finish(
    ngx_http_background_run_ctx_t *lead);
static void ngx_http_background_run_done(ngx_http_background_run_ctx_t *ctx);
static void ngx_http_background_run_timed_out(
    ngx_http_background_run_ctx_t *lead);
static void ngx_http_background_timeout_handler(ngx_event_t *ev);
static void ngx_http_background_cycle_cancel(ngx_http_background_runner_t *r);
static void ngx_http_background_cycle_finish(ngx_http_background_runner_t *r);
static ngx_http_background_outcome_e ngx_http_background_cycle_gather(
    ngx_http_background_runner_t *r, ngx_http_background_last_t *last,
    ngx_str_t *error);
static void ngx_http_background_cycle_record(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_e outcome, ngx_http_background_last_t *last,
    ngx_str_t *error);
static void ngx_http_background_cycle_log(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_e outcome, ngx_http_background_last_t *last,
    ngx_str_t *error);
static uint64_t ngx_http_background_jitter(ngx_http_background_task_t *task);
static ngx_msec_t ngx_http_background_retry(ngx_http_background_task_t *task,
    uint64_t failures);
static uint64_t ngx_http_background_wall_clock(void);


static ngx_http_background_tasks_t  ngx_http_background_tasks;


ngx_int_t
ngx_http_background_tasks_start(ngx_cycle_t *cycle,
    ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t                         i;
    ngx_http_background_tasks_t       *ts;
    ngx_http_background_zone_task_t  **tasks;

    ts = &ngx_http_background_tasks;

    ngx_memzero(ts, sizeof(ngx_http_background_tasks_t));

    ts->log = cycle->log;
    ts->ident = -1;
    ts->nrunners = zcf->tasks.nelts;

    ts->runners = ngx_pcalloc(cycle->pool,
                          ts->nrunners * sizeof(ngx_http_background_runner_t));
    if (ts->runners == NULL) {
        return NGX_ERROR;
    }

    tasks = zcf->tasks.elts;

    for (i = 0; i < ts->nrunners; i++) {
        ngx_http_background_runner_init(&ts->runners[i],
                                   (ngx_http_background_task_t *) tasks[i],
                                   cycle->log);

        /* spreads tasks with "workers one" over the workers */
        ts->runners[i].preferred = tasks[i]->all
                                   || i % zcf->workers == ngx_worker;
    }

    ts->keeper.handler = ngx_http_background_keeper_handler;
    ts->keeper.data = ts;
    ts->keeper.log = cycle->log;
    ts->keeper.cancelable = 1;

    ts->hold.handler = ngx_http_background_hold_handler;
    ts->hold.data = ts;
    ts->hold.log = cycle->log;

    if (ngx_http_background_crash_watch(cycle->log,
                                        ngx_http_background_tasks_crashed)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ts->zcf = zcf;

    ngx_http_background_poll();

    ngx_add_timer(&ts->keeper, NGX_HTTP_BACKGROUND_KEEPER);

    return NGX_OK;
}


/*
 * In the signal handler of the thread that crashes.  Where that has a job,
 * other tasks are not the reason.  A thread that is not ours may be one that a
 * library has made for a job: the reason is one of the jobs that run now.  The
 * event loop may crash of what a job has done to memory before, and a SIGKILL
 * does not come here: it may be any task then.
 *
 * Several threads may crash at the same time: what one of them blames no other
 * one spares.
 */

static void
ngx_http_background_tasks_crashed(void)
{
    ngx_uint_t                     i;
    ngx_http_background_cell_t    *cell;
    ngx_http_background_tasks_t   *ts;
    ngx_http_background_runner_t  *r;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL) {
        return;
    }

    cell = ngx_http_background_pool_current();

    if (cell == NULL
        && (ngx_thread_tid() == ngx_pid
            || !ngx_http_background_pool_runs(NULL)))
    {
        return;
    }

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (!__atomic_load_n(&r->leased, __ATOMIC_RELAXED)) {
            continue;
        }

        if (cell ? r->cell == cell : ngx_http_background_pool_runs(r->cell)) {
            ngx_http_background_cell_blame(r->cell);

        } else {
            ngx_http_background_cell_spare(r->cell);
        }
    }
}


void
ngx_http_background_tasks_stop(void)
{
    ngx_uint_t                     i;
    ngx_http_background_runner_t  *r;
    ngx_http_background_tasks_t   *ts;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL || ts->stopping) {
        return;
    }

    ts->stopping = 1;
    ts->stopped = ngx_current_msec;

    if (ts->keeper.timer_set) {
        ngx_del_timer(&ts->keeper);
    }

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (r->timer.timer_set) {
            ngx_del_timer(&r->timer);
        }

        if (r->running) {
            r->cancelled = 1;
            ngx_http_background_cycle_cancel(r);

            if (r->running && !ts->hold.timer_set) {
                ngx_add_timer(&ts->hold, NGX_HTTP_BACKGROUND_HOLD);
            }

        } else if (r->leased) {
            ngx_http_background_runner_release(r);
        }
    }
}


void
ngx_http_background_tasks_exit(void)
{
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL) {
        return;
    }

    if (ts->hold.timer_set) {
        ngx_del_timer(&ts->hold);
    }

    ngx_http_background_crash_unwatch();
    ngx_http_background_zone_leave();

    ts->zcf = NULL;
}


static void
ngx_http_background_keeper_handler(ngx_event_t *ev)
{
    ngx_http_background_poll();

    ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
}


static void
ngx_http_background_poll(void)
{
    ngx_uint_t                     i;
    ngx_http_background_runner_t  *r;
    ngx_http_background_tasks_t   *ts;

    ts = &ngx_http_background_tasks;

    if (!ts->joined) {
        if (ngx_http_background_zone_join(ts->zcf) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, ts->log, 0,
                          "background: no place in the zone for this worker, "
                          "it runs no tasks yet");
            return;
        }

        ts->joined = 1;
    }

    ngx_http_background_zone_reap(ts->log);

    /* the preferred worker has two chances for each one of the others */

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (!r->leased && (r->preferred || ts->polls % 2)) {
            ngx_http_background_runner_take(r);
        }
    }

    ts->polls++;
}


/* keeps a worker that shuts down from waiting in the thread pool's destroy */

static void
ngx_http_background_hold_handler(ngx_event_t *ev)
{
    ngx_uint_t                     i, n;
    ngx_http_background_runner_t  *r;
    ngx_http_background_tasks_t   *ts = ev->data;

    n = 0;

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (!r->running) {
            continue;
        }

        n++;

        if (!ts->told
            && ngx_current_msec - ts->stopped >= NGX_HTTP_BACKGROUND_HOLD_MAX)
        {
            ngx_log_error(NGX_LOG_WARN, ts->log, 0,
                          "background task \"%V\": does not stop, "
                          "the worker waits for it", &r->task->zone.name);
        }
    }

    if (ngx_current_msec - ts->stopped >= NGX_HTTP_BACKGROUND_HOLD_MAX) {
        ts->told = 1;
    }

    if (n) {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_HOLD);
    }
}


static void
ngx_http_background_runner_init(ngx_http_background_runner_t *r,
    ngx_http_background_task_t *task, ngx_log_t *log)
{
    r->task = task;
    r->cell = ngx_http_background_cell(task->zone.record,
                                       task->zone.all ? ngx_worker : 0);
    r->log = log;
    r->ident = -1;

    r->timer.handler = ngx_http_background_timer_handler;
    r->timer.data = r;
    r->timer.log = log;
    r->timer.cancelable = 1;

    r->timeout.handler = ngx_http_background_timeout_handler;
    r->timeout.data = r;
    r->timeout.log = log;
    r->timeout.cancelable = 1;
}


static void
ngx_http_background_runner_take(ngx_http_background_runner_t *r)
{
    if (ngx_http_background_lease_take(r->cell) != NGX_OK) {
        return;
    }

    __atomic_store_n(&r->leased, 1, __ATOMIC_RELAXED);

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": started", &r->task->zone.name);

    if (ngx_http_background_cell_interrupted(r->cell)) {
        ngx_http_background_runner_crashed(r);
    }

    ngx_http_background_runner_arm(r);
}


static void
ngx_http_background_runner_release(ngx_http_background_runner_t *r)
{
    ngx_http_background_lease_release(r->cell);
    __atomic_store_n(&r->leased, 0, __ATOMIC_RELAXED);

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": cancelled", &r->task->zone.name);
}


static void
ngx_http_background_runner_arm(ngx_http_background_runner_t *r)
{
    uint64_t                            due;
    ngx_msec_t                          longest;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;

    if (ngx_http_background_quarantined(r)) {
        return;
    }

    stats = ngx_http_background_cell_stats(r->cell);

    if (stats->due == 0) {
        due = ngx_current_msec + ngx_http_background_jitter(task);

    } else {
        /* the configuration may have a shorter time since it was due */

        longest = stats->failures ? task->retry_max
                                  : task->interval + task->jitter;
        due = ngx_min(stats->due, ngx_current_msec + longest);
    }

    if (due != stats->due) {
        ngx_http_background_cell_edit(r->cell)->due = due;
        ngx_http_background_cell_publish(r->cell);
    }

    ngx_add_timer(&r->timer,
                  (due > ngx_current_msec) ? due - ngx_current_msec : 0);
}


/* the former holder of the lease died in the middle of a cycle */

static void
ngx_http_background_runner_crashed(ngx_http_background_runner_t *r)
{
    ngx_str_t                   error;
    ngx_uint_t                  n;
    ngx_http_background_last_t  last;

    ngx_str_set(&error, "worker process died during the cycle");

    r->started = ngx_http_background_cell_started(r->cell);

    ngx_memzero(&last, sizeof(ngx_http_background_last_t));

    last.finished_at = ngx_http_background_wall_clock();
    last.wall_time = ngx_max(ngx_current_msec, r->started) - r->started;
    last.started_at = last.finished_at - last.wall_time;
    last.failed = 1;

    n = ngx_http_background_cell_spared(r->cell)
        ? 0 : ngx_http_background_record_crashed(r->task->zone.record);

    ngx_http_background_cycle_record(r, ngx_http_background_failure, &last,
                                     &error);
    ngx_http_background_cycle_log(r, ngx_http_background_failure, &last,
                                  &error);

    if (n == NGX_HTTP_BACKGROUND_CRASHES) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": quarantined until the next "
                      "reload, %ui worker processes in a row died in it",
                      &r->task->zone.name, n);
    }
}


static ngx_uint_t
ngx_http_background_quarantined(ngx_http_background_runner_t *r)
{
    return ngx_http_background_record_crashes(r->task->zone.record)
           >= NGX_HTTP_BACKGROUND_CRASHES;
}


static void
ngx_http_background_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_runner_t *r = ev->data;

    /* other workers may have died in the task since the timer was set */

    if (ngx_http_background_quarantined(r)) {
        return;
    }

    /* in the pass in which a signal arrives, before tasks are told to stop */

    if (ngx_quit || ngx_terminate) {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
        return;
    }

    ngx_http_background_cycle_start(r);
}


static void
ngx_http_background_cycle_start(ngx_http_background_runner_t *r)
{
    ngx_uint_t                      i;
    ngx_http_background_run_t      *run;
    ngx_http_background_run_ctx_t  *ctx;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->log, 0,
                   "background task \"%V\": cycle", &r->task->zone.name);

    r->running = 1;
    r->cancelled = 0;
    r->timed_out = 0;
    r->no_memory = 0;
    r->started = ngx_current_msec;
    r->started_at = ngx_http_background_wall_clock();

    ngx_http_background_cell_begin(r->cell, r->started);

    if (ngx_http_background_cycle_init(r) != NGX_OK) {
        r->no_memory = 1;
        ngx_http_background_cycle_finish(r);
        return;
    }

    if (r->task->timeout) {
        ngx_add_timer(&r->timeout, r->task->timeout);
    }

    /* what is done at once must not end the cycle while others start */
    r->pending = r->task->operations.nelts + 1;

    for (i = 0; i < r->nruns; i += ctx->nruns) {
        ctx = &r->runs[i];
        run = &ctx->job.run;

        ctx->active = 1;

        if (ctx->operation->kind->start) {
            ctx->operation->kind->start(run);

        } else if (ngx_http_background_pool_post(&ctx->job) != NGX_OK) {
            ngx_http_background_run_done(ctx);
        }
    }

    if (--r->pending == 0) {
        ngx_http_background_cycle_finish(r);
    }
}


static ngx_int_t
ngx_http_background_cycle_init(ngx_http_background_runner_t *r)
{
    ngx_uint_t                        i, j, n;
    ngx_http_background_run_ctx_t    *lead;
    ngx_http_background_operation_t  *operation;

    r->nruns = 0;
    r->runs = NULL;

    r->pool = ngx_create_pool(NGX_MIN_POOL_SIZE, r->log);
    if (r->pool == NULL) {
        return NGX_ERROR;
    }

    operation = r->task->operations.elts;

    for (i = 0, n = 0; i < r->task->operations.nelts; i++) {
        n += ngx_http_background_threads(&operation[i]);
    }

    r->runs = ngx_pcalloc(r->pool, n * sizeof(ngx_http_background_run_ctx_t));
    if (r->runs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < r->task->operations.nelts; i++) {
        lead = &r->runs[r->nruns];
        n = ngx_http_background_threads(&operation[i]);

        for (j = 0; j < n; j++) {
            if (ngx_http_background_run_init(r, &operation[i], lead, &lead[j])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        if (operation[i].kind->begin) {
            lead->job.part = ngx_http_background_begin;
            lead->job.work = operation[i].kind->begin;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_background_threads(ngx_http_background_operation_t *operation)
{
    return operation->kind->begin ? ngx_http_background_pool_threads() : 1;
}


static ngx_int_t
ngx_http_background_run_init(ngx_http_background_runner_t *r,
    ngx_http_background_operation_t *operation,
    ngx_http_background_run_ctx_t *lead, ngx_http_background_run_ctx_t *ctx)
{
    ngx_http_background_run_t  *run;

    run = &ctx->job.run;

    run->pool = ngx_create_pool(NGX_MIN_POOL_SIZE, r->log);
    if (run->pool == NULL) {
        return NGX_ERROR;
    }

    r->nruns++;

    run->conf = operation->conf;
    run->log = r->log;
    run->task = &r->task->zone.name;
    run->repeats = ngx_http_background_log_repeats(&r->lines);

    ctx->job.work = operation->kind->work;
    ctx->job.handler = ngx_http_background_job_handler;
    ctx->job.cell = r->cell;
    ctx->job.rate_due = &lead->rate_due;

    ctx->operation = operation;
    ctx->runner = r;
    ctx->lead = lead;

    lead->nruns++;

    return NGX_OK;
}


void
ngx_http_background_done(ngx_http_background_run_t *run)
{
    ngx_http_background_run_done((ngx_http_background_run_ctx_t *) run);
}


static void
ngx_http_background_job_handler(ngx_http_background_job_t *job)
{
    ngx_http_background_run_ctx_t *ctx = (ngx_http_background_run_ctx_t *) job;

    ngx_http_background_run_ctx_t  *lead;

    ctx->active = 0;
    lead = ctx->lead;

    if (lead->operation->kind->begin == NULL) {
        ngx_http_background_run_done(lead);
        return;
    }

    switch (lead->job.part) {

    case ngx_http_background_begin:

        if (!job->called) {
            ngx_http_background_run_done(lead);
            return;
        }

        if (lead->runner->timed_out || lead->runner->cancelled) {
            /* too late for begin() to see it, but not for the others */
            job->cancelled = 1;
        }

        if (job->cancelled || job->run.result.failed) {
            ngx_http_background_run_finish(lead);
            return;
        }

        ngx_http_background_run_share(lead);
        return;

    case ngx_http_background_work:

        ngx_http_background_run_recall(lead);

        if (--lead->working == 0) {
            ngx_http_background_run_finish(lead);
        }

        return;

    default: /* ngx_http_background_finish */
        ngx_http_background_run_done(lead);
    }
}


/* the leading run has begun: all of them work now */

static void
ngx_http_background_run_share(ngx_http_background_run_ctx_t *lead)
{
    ngx_uint_t                      i;
    ngx_http_background_run_ctx_t  *ctx;

    lead->job.part = ngx_http_background_work;
    lead->job.work = lead->operation->kind->work;

    lead->active = 1;

    /* one more, as a job may come home at once */
    lead->working = 2;

    if (ngx_http_background_pool_continue(&lead->job) != NGX_OK) {
        ngx_http_background_run_done(lead);
        return;
    }

    for (i = 1; i < lead->nruns; i++) {
        ctx = &lead[i];

        ctx->job.run.ctx = lead->job.run.ctx;
        ctx->job.run.limit_rate = lead->job.run.limit_rate;

        ctx->active = 1;
        lead->working++;

        if (ngx_http_background_pool_post(&ctx->job) != NGX_OK) {

            /* the others do its share */

            ngx_memzero(&ctx->job.run.result,
                        sizeof(ngx_http_background_result_t));
            ctx->active = 0;
            lead->working--;
            break;
        }
    }

    if (--lead->working == 0) {
        ngx_http_background_run_finish(lead);
    }
}


/* one has found nothing left to do: those that wait for a thread need none */

static void
ngx_http_background_run_recall(ngx_http_background_run_ctx_t *lead)
{
    ngx_uint_t                      i;
    ngx_http_background_run_ctx_t  *ctx;

    for (i = 0; i < lead->nruns; i++) {
        ctx = &lead[i];

        if (ctx->active && !ctx->job.posted) {
            (void) ngx_http_background_pool_cancel(&ctx->job);

            ctx->job.cancelled = 0;
            ctx->active = 0;
            lead->working--;
        }
    }
}


static void
ngx_http_background_run_finish(ngx_http_background_run_ctx_t *lead)
{
    ngx_http_background_runner_t  *r;

    r = lead->runner;

    lead->job.part = ngx_http_background_finish;
    lead->job.work = lead->operation->kind->finish;

    if (lead->job.work == NULL) {
        ngx_http_background_run_done(lead);
        return;
    }

    lead->job.cancel = r->cancelled || r->timed_out;
    lead->active = 1;

    if (ngx_http_background_pool_continue(&lead->job) != NGX_OK) {
        ngx_http_background_run_done(lead);
    }
}


static void
ngx_http_background_run_done(ngx_http_background_run_ctx_t *ctx)
{
    ngx_http_background_runner_t  *r;

    r = ctx->runner;

    ctx->active = 0;

    if (r->timed_out) {
        ngx_http_background_run_timed_out(ctx);
    }

    if (--r->pending == 0) {
        ngx_http_background_cycle_finish(r);
    }
}


/* what was under way has failed, at least one operation */

static void
ngx_http_background_run_timed_out(ngx_http_background_run_ctx_t *lead)
{
    ngx_uint_t                     i, told;
    ngx_http_background_job_t     *job;
    ngx_http_background_result_t  *result;

    told = 0;

    for (i = 0; i < lead->nruns; i++) {
        job = &lead[i].job;
        result = &job->run.result;

        if (!job->cancelled) {
            continue;
        }

        if (!told) {
            ngx_http_background_fail(result, 0, "timed out");
            result->active -= (result->active > 0);
            told = 1;
        }

        result->failed += result->active;
    }
}


static void
ngx_http_background_timeout_handler(ngx_event_t *ev)
{
    ngx_http_background_runner_t *r = ev->data;

    r->timed_out = 1;

    ngx_http_background_cycle_cancel(r);
}


/* the cycle may be finished when it returns, or be waiting for jobs */

static void
ngx_http_background_cycle_cancel(ngx_http_background_runner_t *r)
{
    ngx_uint_t                      i;
    ngx_http_background_run_t      *run;
    ngx_http_background_run_ctx_t  *ctx;

    r->pending++;

    for (i = 0; i < r->nruns; i++) {
        ctx = &r->runs[i];
        run = &ctx->job.run;

        if (!ctx->active) {
            continue;
        }

        if (ctx->operation->kind->start) {
            ctx->operation->kind->cancel(run);
            ctx->job.cancelled = 1;

        } else if (ngx_http_background_pool_cancel(&ctx->job) == NGX_AGAIN) {
            continue;
        }

        ngx_http_background_job_handler(&ctx->job);
    }

    if (--r->pending == 0) {
        ngx_http_background_cycle_finish(r);
    }
}


static void
ngx_http_background_cycle_finish(ngx_http_background_runner_t *r)
{
    u_char                          buf[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_str_t                       error;
    ngx_uint_t                      i;
    ngx_http_background_last_t      last;
    ngx_http_background_outcome_e   outcome;

    if (r->timeout.timer_set) {
        ngx_del_timer(&r->timeout);
    }

    error.data = buf;
    error.len = 0;

    outcome = ngx_http_background_cycle_gather(r, &last, &error);

    if (r->pool) {
        for (i = 0; i < r->nruns; i++) {
            ngx_destroy_pool(r->runs[i].job.run.pool);
        }

        ngx_destroy_pool(r->pool);
        r->pool = NULL;
    }

    r->running = 0;

    if (outcome != ngx_http_background_cancel) {
        ngx_http_background_record_survived(r->task->zone.record,
                                            NGX_HTTP_BACKGROUND_CRASHES);
    }

    ngx_http_background_cycle_record(r, outcome, &last, &error);
    ngx_http_background_cycle_log(r, outcome, &last, &error);

    if (ngx_http_background_tasks.stopping) {
        ngx_http_background_runner_release(r);
        return;
    }

    ngx_http_background_runner_arm(r);
}


static ngx_http_background_outcome_e
ngx_http_background_cycle_gather(ngx_http_background_runner_t *r,
    ngx_http_background_last_t *last, ngx_str_t *error)
{
    u_char                         *p, *end;
    ngx_uint_t                      i, cancelled;
    ngx_http_background_job_t      *job;
    ngx_http_background_result_t   *result;

    ngx_memzero(last, sizeof(ngx_http_background_last_t));

    last->started_at = r->started_at;
    last->wall_time = ngx_current_msec - r->started;
    last->finished_at = ngx_http_background_wall_clock();

    p = error->data;
    end = p + NGX_HTTP_BACKGROUND_ERROR_LEN;

    cancelled = r->cancelled;

    if (r->no_memory) {
        p = ngx_slprintf(p, end, "no memory for the cycle");
        last->failed = 1;
    }

    for (i = 0; i < r->nruns; i++) {
        job = &r->runs[i].job;
        result = &job->run.result;

        last->completed += result->completed;
        last->failed += result->failed;
        last->bytes += result->bytes;
        last->io_time += result->io_time;
        last->cpu_usec += job->cpu_usec;

        /* nginx's exit may be what stopped a job, before we know of it */

        if (job->cancelled && !r->timed_out) {
            cancelled = 1;
        }

        if (result->message_len) {
            last->message_len = result->message_len;
            ngx_memcpy(last->message, result->message, result->message_len);
        }

        if (result->failed && p == error->data) {
            p = ngx_slprintf(p, end, "%V: %*s",
                             &r->runs[i].operation->title,
                             result->error_len, result->error);
        }
    }

    error->len = p - error->data;

    if (cancelled) {
        return ngx_http_background_cancel;
    }

    if (last->failed) {
        return ngx_http_background_failure;
    }

    last->success = 1;

    return ngx_http_background_success;
}


static void
ngx_http_background_cycle_record(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_e outcome, ngx_http_background_last_t *last,
    ngx_str_t *error)
{
    ngx_uint_t                    i;
    ngx_http_background_task_t   *task;
    ngx_http_background_stats_t  *stats;

    task = r->task;

    stats = ngx_http_background_cell_edit(r->cell);

    stats->recorded = r->started;
    stats->operations_completed += last->completed;
    stats->operations_failed += last->failed;
    stats->bytes += last->bytes;
    stats->io_time += last->io_time;
    stats->cpu_usec += last->cpu_usec;
    stats->wall_time += last->wall_time;

    switch (outcome) {

    case ngx_http_background_success:
        stats->cycles_completed++;
        stats->successes++;
        stats->failures = 0;
        stats->success_at = last->finished_at;
        stats->due = ngx_current_msec + task->interval
                     + ngx_http_background_jitter(task);

        if (stats->successes >= task->passes) {
            stats->unhealthy = 0;
        }

        break;

    case ngx_http_background_failure:
        stats->cycles_failed++;
        stats->failures++;
        stats->successes = 0;
        stats->failure_at = last->finished_at;
        stats->due = ngx_current_msec
                     + ngx_http_background_retry(task, stats->failures);

        if (stats->failures >= task->fails
            || ngx_http_background_quarantined(r))
        {
            stats->unhealthy = 1;
        }

        stats->error_len = error->len;
        ngx_memcpy(stats->error, error->data, error->len);

        break;

    default: /* ngx_http_background_cancel */
        stats->cycles_cancelled++;
        break;
    }

    if (outcome != ngx_http_background_cancel) {
        stats->last = *last;
        stats->ended = ngx_current_msec;

        for (i = 0; i < NGX_HTTP_BACKGROUND_BUCKETS; i++) {
            if (last->wall_time <= ngx_http_background_buckets[i]) {
                break;
            }
        }

        stats->buckets[i]++;
        stats->buckets_time += last->wall_time;

        ngx_http_background_record_history(task->zone.record, last);
    }

    ngx_http_background_cell_publish(r->cell);
    ngx_http_background_cell_end(r->cell);
}


static void
ngx_http_background_cycle_log(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_e outcome, ngx_http_background_last_t *last,
    ngx_str_t *error)
{
    uint64_t    failures;
    ngx_str_t  *name;

    name = &r->task->zone.name;

    if (outcome == ngx_http_background_success) {
        ngx_http_background_log_success(&r->lines, r->log, name, last);

    } else if (outcome == ngx_http_background_failure) {
        failures = ngx_http_background_cell_stats(r->cell)->failures;

        ngx_http_background_log_failure(&r->lines, r->log, name, last,
                                        failures, error,
                           ngx_http_background_retry(r->task, failures));
    }
}


/* ngx_random() has 31 bits, as many milliseconds as 25 days have */

static uint64_t
ngx_http_background_jitter(ngx_http_background_task_t *task)
{
    uint64_t  n;

    n = (uint64_t) ngx_random() << 31 | ngx_random();

    return n % (task->jitter + 1);
}


static ngx_msec_t
ngx_http_background_retry(ngx_http_background_task_t *task, uint64_t failures)
{
    ngx_msec_t  retry;

    retry = task->retry;

    while (--failures && retry < task->retry_max) {
        retry = ngx_min(2 * retry, task->retry_max);
    }

    return retry;
}


void ngx_cdecl
ngx_http_background_fail(ngx_http_background_result_t *result, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    if (result->failed++) {
        return;
    }

    last = result->error + NGX_HTTP_BACKGROUND_ERROR_LEN;

    va_start(args, fmt);
    p = ngx_vslprintf(result->error, last, fmt, args);
    va_end(args);

    if (err) {
        p = ngx_log_errno(p, last, err);
    }

    result->error_len = p - result->error;
}


void ngx_cdecl
ngx_http_background_message(ngx_http_background_result_t *result,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(result->message,
                      result->message + NGX_HTTP_BACKGROUND_MESSAGE_LEN,
                      fmt, args);
    va_end(args);

    result->message_len = p - result->message;
}


ngx_uint_t
ngx_http_background_few_connections(u_char *text)
{
    ngx_uint_t  total, nfree;

    total = ngx_cycle->connection_n;
    nfree = ngx_cycle->free_connection_n;

    if (nfree > total / 16) {
        return 0;
    }

    (void) ngx_snprintf(text, NGX_HTTP_BACKGROUND_ERROR_LEN,
                        "too few free connections, %ui of %ui "
                        "\"worker_connections\" are in use%Z",
                        total - nfree, total);

    return 1;
}


static uint64_t
ngx_http_background_wall_clock(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}
