
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_task.h"
#include "ngx_http_background_crash.h"
#include "ngx_http_background_job.h"
#include "ngx_http_background_log.h"

#include <ngx_event.h>


/* how often a worker looks for free leases and dead workers, in milliseconds */
#define NGX_HTTP_BACKGROUND_KEEPER    250

/* a tick of it is punctual when it comes so long after the one before */
#define NGX_HTTP_BACKGROUND_PUNCTUAL  (2 * NGX_HTTP_BACKGROUND_KEEPER)

/* so many in a row, in which others do what was due */
#define NGX_HTTP_BACKGROUND_TICKS     4

/* polls before it is told that a worker hangs with a job */
#define NGX_HTTP_BACKGROUND_BUSY      4

/* while a cycle is to end before the worker does, in milliseconds */
#define NGX_HTTP_BACKGROUND_HOLD      10
#define NGX_HTTP_BACKGROUND_HOLD_MAX  10000


/*
 * A task in this worker.  Cycles that are started by time need the lease of
 * "cell"; those that arrive are counted in another one, which is taken for the
 * first of them.
 */

struct ngx_http_background_runner_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_task_t       *task;
    ngx_http_background_cell_t       *cell;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_http_background_cell_t       *arrived;
    ngx_queue_t                       cycles;     /* in order of their start */
    ngx_uint_t                        narrived;   /* of them */
    ngx_uint_t                        preferred;
    ngx_uint_t                        busy;       /* polls in which a worker
                                                     that hangs had a job */
    ngx_event_t                       timer;
    ngx_http_background_lines_t       lines;

    /* cycles that arrived and ended in this second, for the history */
    ngx_http_background_history_t     second;

    ngx_uint_t                        leased;     /* read by any thread that
                                                     crashes */
};


typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_zone_conf_t  *zcf;
    ngx_http_background_runner_t     *runners;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_uint_t                        nrunners;
    ngx_uint_t                        polls;
    ngx_uint_t                        ticks;      /* punctual, in a row */
    ngx_msec_t                        ticked;
    ngx_event_t                       keeper;
    ngx_event_t                       hold;
    ngx_msec_t                        stopped;

    unsigned                          joined:1;
    unsigned                          stopping:1;
    unsigned                          told:1;
} ngx_http_background_tasks_t;


static void ngx_http_background_tasks_crashed(void);
static void ngx_http_background_cell_crashed(ngx_http_background_cell_t *cell,
    ngx_http_background_cell_t *guilty);
static void ngx_http_background_tasks_triggers(ngx_uint_t start);
static void ngx_http_background_tick(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_lost(ngx_http_background_tasks_t *ts);
static void ngx_http_background_poll(void);
static void ngx_http_background_keeper_handler(ngx_event_t *ev);
static void ngx_http_background_hold_handler(ngx_event_t *ev);

static void ngx_http_background_runner_init(ngx_http_background_runner_t *r,
    ngx_http_background_task_t *task, ngx_log_t *log);
static void ngx_http_background_runner_take(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_busy(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_release(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_stop(ngx_http_background_runner_t *r,
    ngx_uint_t all);
static ngx_http_background_cycle_t *ngx_http_background_runner_cycle(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell);
static void ngx_http_background_runner_orphans(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_crashed(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell);
static ngx_uint_t ngx_http_background_quarantined(
    ngx_http_background_runner_t *r);

static void ngx_http_background_interval_arm(ngx_http_background_runner_t *r);
static void ngx_http_background_interval_handler(ngx_event_t *ev);
static void ngx_http_background_interval_failed(
    ngx_http_background_runner_t *r);

static ngx_int_t ngx_http_background_runner_admit(
    ngx_http_background_runner_t *r, ngx_uint_t concurrency);
static void ngx_http_background_runner_begin(ngx_http_background_cell_t *cell,
    ngx_str_t *text);
static void ngx_http_background_runner_run(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle, ngx_http_background_cell_t *cell,
    ngx_str_t *cause);
static void ngx_http_background_runner_ended(
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_lost(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);
static uint64_t ngx_http_background_runner_oldest(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell);
static void ngx_http_background_runner_record(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome);
static void ngx_http_background_runner_log(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome);
static void ngx_http_background_runner_second(ngx_http_background_runner_t *r,
    const ngx_http_background_last_t *last);
static uint64_t ngx_http_background_jitter(ngx_http_background_task_t *task);
static void ngx_http_background_runner_flush(ngx_http_background_runner_t *r);


static ngx_http_background_tasks_t  ngx_http_background_tasks;

static ngx_str_t  ngx_http_background_interval = ngx_string("interval");


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

    ngx_http_background_tasks_triggers(1);

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
    ngx_http_background_cell_t    *cell, *arrived;
    ngx_http_background_tasks_t   *ts;
    ngx_http_background_runner_t  *r;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL) {
        return;
    }

    cell = ngx_http_background_job_current();

    if (cell == NULL
        && (ngx_thread_tid() == ngx_pid
            || !ngx_http_background_pool_runs(NULL)))
    {
        return;
    }

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (__atomic_load_n(&r->leased, __ATOMIC_RELAXED)) {
            ngx_http_background_cell_crashed(r->cell, cell);
        }

        arrived = __atomic_load_n(&r->arrived, __ATOMIC_RELAXED);

        if (arrived) {
            ngx_http_background_cell_crashed(arrived, cell);
        }
    }
}


/* "guilty" is the cell of the job that crashed; NULL: of any that is running */

static void
ngx_http_background_cell_crashed(ngx_http_background_cell_t *cell,
    ngx_http_background_cell_t *guilty)
{
    if (guilty ? cell == guilty : ngx_http_background_pool_runs(cell)) {
        ngx_http_background_cell_blame(cell);

    } else {
        ngx_http_background_cell_spare(cell);
    }
}


static void
ngx_http_background_tasks_triggers(ngx_uint_t start)
{
    ngx_uint_t                           i, n;
    ngx_http_background_task_t          *task;
    ngx_http_background_task_trigger_t  *tt;

    for (i = 0; i < ngx_http_background_tasks.nrunners; i++) {
        task = ngx_http_background_tasks.runners[i].task;
        tt = task->triggers.elts;

        for (n = 0; n < task->triggers.nelts; n++) {
            if (start) {
                tt[n].trigger->start(task, tt[n].conf);

            } else {
                tt[n].trigger->stop(task, tt[n].conf);
            }
        }
    }
}


void
ngx_http_background_tasks_stop(void)
{
    ngx_uint_t                    i;
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL || ts->stopping) {
        return;
    }

    ts->stopping = 1;
    ts->stopped = ngx_current_msec;

    ngx_http_background_tasks_triggers(0);

    for (i = 0; i < ts->nrunners; i++) {
        ngx_http_background_runner_stop(&ts->runners[i], 0);
    }

    for (i = 0; i < ts->nrunners; i++) {
        if (!ngx_queue_empty(&ts->runners[i].cycles)) {
            ngx_add_timer(&ts->hold, NGX_HTTP_BACKGROUND_HOLD);
            break;
        }
    }
}


void
ngx_http_background_tasks_abort(void)
{
    ngx_uint_t                    i;
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL) {
        return;
    }

    for (i = 0; i < ts->nrunners; i++) {
        ngx_http_background_runner_stop(&ts->runners[i], 1);
    }
}


void
ngx_http_background_tasks_exit(void)
{
    ngx_uint_t                    i;
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL) {
        return;
    }

    if (ts->hold.timer_set) {
        ngx_del_timer(&ts->hold);
    }

    if (ts->keeper.timer_set) {
        ngx_del_timer(&ts->keeper);
    }

    ngx_http_background_crash_unwatch();
    for (i = 0; i < ts->nrunners; i++) {
        ngx_http_background_runner_flush(&ts->runners[i]);
    }

    ngx_http_background_zone_leave();

    ts->zcf = NULL;
}


static void
ngx_http_background_keeper_handler(ngx_event_t *ev)
{
    ngx_http_background_tasks_t *ts = ev->data;

    ngx_http_background_tick(ts);

    if (ngx_http_background_zone_revoked()) {
        ngx_http_background_tasks_lost(ts);
    }

    if (!ts->stopping) {
        ngx_http_background_poll();
    }

    ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
}


/*
 * Others have taken this worker for one that hangs: what was under way in it is
 * not recorded, they may run it again.
 */

static void
ngx_http_background_tasks_lost(ngx_http_background_tasks_t *ts)
{
    ngx_uint_t                     i;
    ngx_http_background_runner_t  *r;

    ngx_log_error(NGX_LOG_ERR, ts->log, 0,
                  "background: the event loop stood still, "
                  "the leases of this worker process are gone");

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        __atomic_store_n(&r->leased, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&r->arrived, NULL, __ATOMIC_RELAXED);

        ngx_http_background_runner_stop(r, 1);
    }

    ngx_http_background_zone_rejoin();
}


static void
ngx_http_background_tick(ngx_http_background_tasks_t *ts)
{
    if (ngx_current_msec - ts->ticked <= NGX_HTTP_BACKGROUND_PUNCTUAL) {
        ts->ticks++;

    } else {
        ts->ticks = 0;
    }

    ts->ticked = ngx_current_msec;

    ngx_http_background_zone_beat();
}


/*
 * What was stopped with all others, as in a machine that is suspended, finds
 * everything late when it goes on; its timers tell it from a worker that hangs.
 */

ngx_uint_t
ngx_http_background_tasks_punctual(void)
{
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    return !ts->stopping
           && ts->ticks >= NGX_HTTP_BACKGROUND_TICKS
           && ngx_current_msec - ts->ticked <= NGX_HTTP_BACKGROUND_PUNCTUAL
           && ngx_http_background_zone_current();
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

    ngx_http_background_zone_reap(ts->ticks > 0, ts->log);

    /* the preferred worker has two chances for each one of the others */

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (!r->leased && (r->preferred || ts->polls % 2)) {
            ngx_http_background_runner_take(r);
        }

        if (r->task->zone.arrives) {
            ngx_http_background_runner_orphans(r);
            ngx_http_background_runner_second(r, NULL);
        }
    }

    ts->polls++;
}


/* keeps a worker that shuts down alive until its cycles are over */

static void
ngx_http_background_hold_handler(ngx_event_t *ev)
{
    ngx_uint_t                     i, n, late;
    ngx_queue_t                   *q;
    ngx_http_background_cycle_t   *cycle;
    ngx_http_background_runner_t  *r;
    ngx_http_background_tasks_t   *ts = ev->data;

    n = 0;
    late = (ngx_current_msec - ts->stopped >= NGX_HTTP_BACKGROUND_HOLD_MAX);

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        for (q = ngx_queue_head(&r->cycles);
             q != ngx_queue_sentinel(&r->cycles);
             q = ngx_queue_next(q))
        {
            n++;
            cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

            if (late && !ts->told && cycle->cancelled) {
                ngx_log_error(NGX_LOG_WARN, ts->log, 0,
                              "background task \"%V\": does not stop, "
                              "the worker waits for it", &r->task->zone.name);
            }
        }
    }

    if (late) {
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

    ngx_queue_init(&r->cycles);

    r->timer.handler = ngx_http_background_interval_handler;
    r->timer.data = r;
    r->timer.log = log;
    r->timer.cancelable = 1;

    task->runner = r;
}


static void
ngx_http_background_runner_take(ngx_http_background_runner_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_background_lease_take(r->cell);

    if (rc == NGX_BUSY) {
        ngx_http_background_runner_busy(r);
        return;
    }

    r->busy = 0;

    if (rc != NGX_OK) {
        return;
    }

    __atomic_store_n(&r->leased, 1, __ATOMIC_RELAXED);

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": started", &r->task->zone.name);

    if (ngx_http_background_cell_interrupted(r->cell)) {
        ngx_http_background_runner_crashed(r, r->cell);
    }

    ngx_http_background_interval_arm(r);
}


/* a job that asks whether it is cancelled stops soon */

static void
ngx_http_background_runner_busy(ngx_http_background_runner_t *r)
{
    ngx_pid_t  pid;

    if (++r->busy < NGX_HTTP_BACKGROUND_BUSY) {
        return;
    }

    pid = ngx_http_background_cell_hangs(ngx_http_background_tasks.zcf->zone,
                                         r->cell);

    if (pid && ngx_http_background_cell_tell(r->cell)) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": worker process %P hangs with a "
                      "job of it, no other one takes it before the job ends or "
                      "the process dies",
                      &r->task->zone.name, pid);
    }
}


static void
ngx_http_background_runner_release(ngx_http_background_runner_t *r)
{
    ngx_http_background_lease_release(r->cell);
    __atomic_store_n(&r->leased, 0, __ATOMIC_RELAXED);

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": cancelled", &r->task->zone.name);
}


/* cycles that somebody waits for go on, unless all are to stop */

static void
ngx_http_background_runner_stop(ngx_http_background_runner_t *r,
    ngx_uint_t all)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

again:

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        cycle->lost |= ngx_http_background_zone_revoked();

        if (!cycle->cancelled && (all || !cycle->finish)) {

            /* it, or others, may be gone then */

            ngx_http_background_cycle_cancel(cycle);
            goto again;
        }
    }

    if (r->leased && ngx_http_background_runner_cycle(r, r->cell) == NULL) {
        ngx_http_background_runner_release(r);
    }
}


/* the oldest cycle under way that is counted in the cell */

static ngx_http_background_cycle_t *
ngx_http_background_runner_cycle(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        if (cycle->cell == cell && !cycle->lost) {
            return cycle;
        }
    }

    return NULL;
}


/* cycles that had arrived in workers which died */

static void
ngx_http_background_runner_orphans(ngx_http_background_runner_t *r)
{
    ngx_http_background_cell_t  *cell;

    for ( ;; ) {
        cell = ngx_http_background_cell_orphan(r->task->zone.record);
        if (cell == NULL) {
            return;
        }

        ngx_http_background_runner_crashed(r, cell);
        ngx_http_background_lease_release(cell);
    }
}


/* the former owner of the cell died in the middle of cycles */

static void
ngx_http_background_runner_crashed(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    uint64_t                        started;
    ngx_uint_t                      n, revoked;
    ngx_http_background_last_t     *last;
    ngx_http_background_outcome_t   outcome;

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    outcome.outcome = ngx_http_background_failure;
    outcome.cycles = ngx_http_background_cell_interrupted(cell);
    outcome.returned = ngx_http_background_cell_stats(cell)->abandoned;
    outcome.crash = 1;

    revoked = ngx_http_background_cell_revoked();

    if (revoked) {
        ngx_str_set(&outcome.error, "worker process hung during the cycle");

    } else {
        ngx_str_set(&outcome.error, "worker process died during the cycle");
    }

    started = ngx_http_background_cell_started(cell);

    last = &outcome.last;
    last->finished_at = ngx_http_background_wall_clock();
    last->wall_time = ngx_max(ngx_current_msec, started) - started;
    last->started_at = last->finished_at - last->wall_time;
    last->failed = outcome.cycles - outcome.returned;

    n = revoked || ngx_http_background_cell_spared(cell)
        ? 0 : ngx_http_background_record_crashed(r->task->zone.record);

    ngx_http_background_runner_record(r, cell, &outcome);
    ngx_http_background_runner_log(r, cell, &outcome);

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


/* the first trigger, "interval", whose due time is with the lease */

static void
ngx_http_background_interval_arm(ngx_http_background_runner_t *r)
{
    uint64_t                            due;
    ngx_msec_t                          longest;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;

    if (task->interval == 0) {
        ngx_http_background_cell_schedule(r->cell, 0);
        return;
    }

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

    ngx_http_background_cell_schedule(r->cell, due);

    ngx_add_timer(&r->timer,
                  (due > ngx_current_msec) ? due - ngx_current_msec : 0);
}


static void
ngx_http_background_interval_handler(ngx_event_t *ev)
{
    ngx_http_background_runner_t *r = ev->data;

    ngx_http_background_start_t   start;
    ngx_http_background_cycle_t  *cycle;

    /* other workers may have died in the task since the timer was set */

    if (ngx_http_background_quarantined(r)
        || ngx_http_background_zone_revoked())
    {
        return;
    }

    /* in the pass in which a signal arrives, before tasks are told to stop */

    if (ngx_quit || ngx_terminate) {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
        return;
    }

    /* what time starts does not overlap with what has arrived */

    if (!ngx_queue_empty(&r->cycles)) {
        ngx_http_background_cell_skipped(r->cell);
        ngx_http_background_cell_schedule(r->cell,
                                         ngx_current_msec + r->task->interval);
        ngx_http_background_interval_arm(r);
        return;
    }

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    cycle = ngx_http_background_cycle_create(&r->task->operations, &start,
                                             r->log);
    if (cycle == NULL) {
        ngx_http_background_interval_failed(r);
        return;
    }

    ngx_http_background_runner_run(r, cycle, r->cell,
                                   &ngx_http_background_interval);
}


static void
ngx_http_background_interval_failed(ngx_http_background_runner_t *r)
{
    ngx_http_background_outcome_t  outcome;

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    outcome.outcome = ngx_http_background_failure;
    ngx_str_set(&outcome.error, "no memory for the cycle");

    outcome.last.failed = 1;
    outcome.last.finished_at = ngx_http_background_wall_clock();
    outcome.last.started_at = outcome.last.finished_at;
    outcome.cycles = 1;

    ngx_http_background_runner_begin(r->cell,
                                     &ngx_http_background_interval);
    ngx_http_background_runner_record(r, r->cell, &outcome);
    ngx_http_background_runner_log(r, r->cell, &outcome);

    ngx_http_background_interval_arm(r);
}


ngx_int_t
ngx_http_background_start(ngx_http_background_task_t *task,
    ngx_http_background_start_t *start, ngx_http_background_cycle_t **cp)
{
    ngx_int_t                      rc;
    ngx_http_background_cycle_t   *cycle;
    ngx_http_background_runner_t  *r;

    r = task->runner;

    rc = ngx_http_background_runner_admit(r, start->concurrency);

    if (rc != NGX_OK) {
        ngx_http_background_cycle_drop(start, ngx_cycle->log);
        return rc;
    }

    cycle = ngx_http_background_cycle_create(&task->operations, start, r->log);
    if (cycle == NULL) {
        return NGX_ERROR;
    }

    *cp = cycle;

    r->narrived++;

    ngx_http_background_runner_run(r, cycle, r->arrived, &start->cause);

    return NGX_OK;
}


/* whether a cycle that arrives may start now */

static ngx_int_t
ngx_http_background_runner_admit(ngx_http_background_runner_t *r,
    ngx_uint_t concurrency)
{
    ngx_http_background_cell_t  *cell;

    if (r == NULL || ngx_http_background_tasks.stopping
        || ngx_http_background_zone_revoked())
    {
        return NGX_DECLINED;
    }

    if (r->arrived == NULL) {
        cell = ngx_http_background_cell_take(r->task->zone.record);

        if (cell == NULL) {
            return NGX_DECLINED;
        }

        __atomic_store_n(&r->arrived, cell, __ATOMIC_RELAXED);

        if (ngx_http_background_cell_interrupted(cell)) {
            ngx_http_background_runner_crashed(r, cell);
        }
    }

    if (ngx_http_background_quarantined(r)) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_DECLINED;
    }

    if (concurrency && r->narrived >= concurrency) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_BUSY;
    }

    return NGX_OK;
}


void
ngx_http_background_stop(ngx_http_background_cycle_t *cycle)
{
    ngx_http_background_cycle_cancel(cycle);
}


static void
ngx_http_background_runner_run(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle, ngx_http_background_cell_t *cell,
    ngx_str_t *cause)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->log, 0,
                   "background task \"%V\": cycle, %V",
                   &r->task->zone.name, cause);

    cycle->owner = r;
    cycle->cell = cell;
    cycle->task = &r->task->zone.name;
    cycle->ended = ngx_http_background_runner_ended;

    ngx_queue_insert_tail(&r->cycles, &cycle->queue);

    ngx_http_background_runner_begin(cell, cause);

    ngx_http_background_cycle_run(cycle, r->task->timeout,
                                  ngx_http_background_log_repeats(&r->lines));
}


static void
ngx_http_background_runner_begin(ngx_http_background_cell_t *cell,
    ngx_str_t *text)
{
    ngx_http_background_cause_t  cause;

    cause.started_at = ngx_http_background_wall_clock();
    cause.len = ngx_min(text->len, NGX_HTTP_BACKGROUND_CAUSE_LEN);
    ngx_memcpy(cause.text, text->data, cause.len);

    ngx_http_background_cell_begin(cell, ngx_current_msec, &cause);
}


/* it is over, or abandoned, or over after that */

static void
ngx_http_background_runner_ended(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      leased;
    ngx_http_background_runner_t   *r;
    ngx_http_background_outcome_t   outcome;

    r = cycle->owner;

    if (cycle->lost || ngx_http_background_zone_revoked()) {
        ngx_http_background_runner_lost(r, cycle);
        return;
    }

    leased = (cycle->cell == r->cell);

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    outcome.outcome = cycle->end.outcome;
    outcome.last = cycle->last;
    outcome.error = cycle->end.error;
    outcome.cycles = 1;
    outcome.abandoned = (cycle->pending != 0);
    outcome.returned = (cycle->abandoned && !outcome.abandoned);

    if (!outcome.abandoned) {
        ngx_queue_remove(&cycle->queue);
        r->narrived -= !leased;
    }

    outcome.oldest = ngx_http_background_runner_oldest(r, cycle->cell);

    ngx_http_background_runner_record(r, cycle->cell, &outcome);
    ngx_http_background_runner_log(r, cycle->cell, &outcome);

    if (cycle->handler && !outcome.returned) {
        cycle->told = 1;
        cycle->handler(cycle, cycle->data);

    } else if (cycle->handler == NULL || cycle->unwanted) {
        ngx_http_background_free(cycle);
    }

    if (!leased || outcome.abandoned) {
        return;
    }

    if (ngx_http_background_tasks.stopping) {
        ngx_http_background_runner_release(r);
        return;
    }

    ngx_http_background_interval_arm(r);
}


/* the cell is another worker's, or will be */

static void
ngx_http_background_runner_lost(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t  told;

    told = cycle->told;

    cycle->lost = 1;
    cycle->told = 1;
    cycle->end.outcome = ngx_http_background_cancel;

    if (cycle->pending == 0) {
        ngx_queue_remove(&cycle->queue);
        r->narrived -= (cycle->cell != r->cell);
    }

    if (cycle->handler && !told) {
        cycle->handler(cycle, cycle->data);

    } else if (cycle->handler == NULL || cycle->unwanted) {
        ngx_http_background_free(cycle);
    }
}


/* when the oldest cycle under way began that is not abandoned; 0: none */

static uint64_t
ngx_http_background_runner_oldest(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        if (cycle->cell == cell && !cycle->abandoned && !cycle->lost) {
            return cycle->started;
        }
    }

    return 0;
}


/* what the task's directives make of it */

static void
ngx_http_background_runner_record(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome)
{
    uint64_t                            failures;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;
    stats = ngx_http_background_cell_stats(cell);

    outcome->fails = (ngx_http_background_quarantined(r) || outcome->abandoned)
                     ? 1 : task->fails;
    outcome->passes = task->passes;

    if (cell != r->cell) {
        if (outcome->outcome != ngx_http_background_cancel) {
            ngx_http_background_runner_second(r, &outcome->last);
        }

    } else {
        outcome->history = 1;

        if (outcome->outcome == ngx_http_background_success) {
            outcome->due = ngx_current_msec + task->interval
                           + ngx_http_background_jitter(task);

        } else if (outcome->outcome == ngx_http_background_failure) {
            failures = stats->failures + outcome->cycles - outcome->returned;
            outcome->due = ngx_current_msec
                           + ngx_http_background_retry(task, failures);
        }
    }

    ngx_http_background_cell_record(task->zone.record, cell, outcome);
}


static void
ngx_http_background_runner_log(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome)
{
    u_char      text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    uint64_t    failures;
    ngx_str_t  *name, error;
    ngx_msec_t  retry;

    name = &r->task->zone.name;

    if (outcome->outcome == ngx_http_background_success) {
        ngx_http_background_log_success(&r->lines, r->log, name,
                                        &outcome->last);
        return;
    }

    if (outcome->outcome != ngx_http_background_failure) {
        return;
    }

    if (outcome->returned && !outcome->crash) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": an abandoned job is back", name);
        return;
    }

    failures = ngx_http_background_cell_stats(cell)->failures;
    retry = ngx_http_background_retry(r->task, failures);
    error = outcome->error;

    if (outcome->abandoned) {
        error.len = ngx_min(error.len, sizeof(text) - 64);
        error.len = ngx_slprintf(text, text + sizeof(text),
                                 "%V, the job does not stop, it is abandoned",
                                 &error)
                    - text;
        error.data = text;
    }

    ngx_http_background_log_failure(&r->lines, r->log, name, &outcome->last,
                                    failures, &error,
                                    cell != r->cell || outcome->abandoned
                                    ? 0 : retry);
}


/*
 * Cycles that arrive may be thousands in a second: together they are an entry
 * of the history, the longest and the sum of failures.
 */

static void
ngx_http_background_runner_second(ngx_http_background_runner_t *r,
    const ngx_http_background_last_t *last)
{
    uint64_t                        now;
    ngx_http_background_history_t  *second;

    second = &r->second;
    now = ngx_http_background_wall_clock();

    if (second->finished_at / 1000 != now / 1000) {
        ngx_http_background_runner_flush(r);
    }

    if (last) {
        second->finished_at = last->finished_at;
        second->wall_time = ngx_max(second->wall_time, last->wall_time);
        second->failed += last->failed;
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


static void
ngx_http_background_runner_flush(ngx_http_background_runner_t *r)
{
    if (r->second.finished_at) {
        ngx_http_background_record_history(r->task->zone.record, &r->second);
        ngx_memzero(&r->second, sizeof(ngx_http_background_history_t));
    }
}


ngx_msec_t
ngx_http_background_retry(ngx_http_background_task_t *task, uint64_t failures)
{
    ngx_msec_t  retry;

    retry = task->retry;

    while (failures-- > 1 && retry < task->retry_max) {
        retry = ngx_min(2 * retry, task->retry_max);
    }

    return retry;
}
