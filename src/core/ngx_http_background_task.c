
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_crash.h"
#include "ngx_http_background_instance.h"
#include "ngx_http_background_job.h"
#include "ngx_http_background_runner.h"
#include "ngx_http_background_state.h"


/* the longest period of the "keeper" timer that counts as punctual */
#define NGX_HTTP_BACKGROUND_PUNCTUAL  (2 * NGX_HTTP_BACKGROUND_KEEPER)

/*
 * After this many punctual periods in a row this worker judges whether other
 * workers are late: they had the same time to run what was due.
 */
#define NGX_HTTP_BACKGROUND_TICKS     4

/*
 * A cycle that does not end for that long while the worker shuts down is
 * logged, in milliseconds.
 */
#define NGX_HTTP_BACKGROUND_HOLD_MAX  10000


static void ngx_http_background_tasks_crashed(int signo);
static void ngx_http_background_cell_crashed(ngx_http_background_cell_t *cell,
    int signo, ngx_uint_t known, ngx_http_background_cell_t *guilty);
static void ngx_http_background_tasks_triggers(ngx_uint_t start);
static void ngx_http_background_tasks_keeper_handler(ngx_event_t *ev);
static void ngx_http_background_tasks_cancel(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_lost(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_tick(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_poll(void);
static void ngx_http_background_tasks_hold_handler(ngx_event_t *ev);


ngx_http_background_tasks_t  ngx_http_background_tasks;


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
        ngx_http_background_runner_init(&ts->runners[i], ts,
                                    (ngx_http_background_task_t *) tasks[i]);

        if (tasks[i]->follows) {
            ts->runners[i].after = ngx_palloc(cycle->pool,
                                         sizeof(ngx_http_background_told_t));
            if (ts->runners[i].after == NULL) {
                return NGX_ERROR;
            }
        }

        /* spreads tasks with "workers one" over the workers */
        ts->runners[i].preferred = tasks[i]->all
                                   || i % zcf->workers == ngx_worker;
    }

    ts->keeper.handler = ngx_http_background_tasks_keeper_handler;
    ts->keeper.data = ts;
    ts->keeper.log = cycle->log;
    ts->keeper.cancelable = 1;

    ts->hold.handler = ngx_http_background_tasks_hold_handler;
    ts->hold.data = ts;
    ts->hold.log = cycle->log;

    if (ngx_http_background_crash_watch(cycle->log,
                                        ngx_http_background_tasks_crashed)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ts->zcf = zcf;

    ngx_http_background_instance_open(zcf->instance, cycle->log);

    ngx_http_background_tasks_poll();

    ngx_add_timer(&ts->keeper, NGX_HTTP_BACKGROUND_KEEPER);

    ngx_http_background_tasks_triggers(1);

    return NGX_OK;
}


/*
 * Runs in the signal handler of the thread that crashed.
 *
 * If the thread runs a job, the task of that job is blamed and all other tasks
 * are spared.  If it is neither the main thread nor runs a job, a library may
 * have created it for a job: all tasks that have a job on a thread are blamed.
 *
 * If the main thread crashed, a job may have corrupted the memory before, so
 * no task is spared; after SIGKILL no handler runs, with the same result.
 *
 * If several threads crash at the same time, "blamed" overrides "spared".
 */

static void
ngx_http_background_tasks_crashed(int signo)
{
    uint64_t                       self;
    ngx_uint_t                     i, known;
    ngx_http_background_cell_t    *guilty, *arrived;
    ngx_http_background_tasks_t   *ts;
    ngx_http_background_runner_t  *r;

    ts = &ngx_http_background_tasks;

    if (ts->zcf == NULL) {
        return;
    }

    guilty = ngx_http_background_job_current(&self);

    if (guilty) {

        /* a worker that was revoked meanwhile does not have the lease */

        ngx_http_background_cell_mark(guilty, signo,
                                      NGX_HTTP_BACKGROUND_BLAMED, self);
    }

    known = guilty || (ngx_thread_tid() != ngx_pid
                       && ngx_http_background_pool_runs(NULL));

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (__atomic_load_n(&r->leased, __ATOMIC_RELAXED)) {
            ngx_http_background_cell_crashed(r->cell, signo, known, guilty);
        }

        arrived = __atomic_load_n(&r->arrived, __ATOMIC_RELAXED);

        if (arrived) {
            ngx_http_background_cell_crashed(arrived, signo, known, guilty);
        }
    }
}


/*
 * "guilty" is the cell of the job that crashed, or NULL if any cell with a job
 * on a thread may be guilty.
 */

static void
ngx_http_background_cell_crashed(ngx_http_background_cell_t *cell, int signo,
    ngx_uint_t known, ngx_http_background_cell_t *guilty)
{
    uint32_t  mark;

    if (!known) {
        mark = 0;

    } else if (guilty ? cell == guilty : ngx_http_background_pool_runs(cell)) {
        mark = NGX_HTTP_BACKGROUND_BLAMED;

    } else {
        mark = NGX_HTTP_BACKGROUND_SPARED;
    }

    ngx_http_background_cell_mark(cell, signo, mark,
                                  ngx_http_background_zone_self());
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
            ngx_http_background_runner_hold(&ts->runners[i]);
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

    ts->aborted = 1;

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

    ngx_http_background_state_exit(ts->zcf, ts->log);
    ngx_http_background_instance_close(ts->log);
    ngx_http_background_zone_leave();

    ts->zcf = NULL;
}


ngx_msec_t
ngx_http_background_tasks_stopped(void)
{
    return ngx_http_background_tasks.stopped;
}


static void
ngx_http_background_tasks_keeper_handler(ngx_event_t *ev)
{
    ngx_http_background_tasks_t *ts = ev->data;

    ngx_http_background_tasks_tick(ts);

    if (ngx_http_background_zone_revoked()) {
        ngx_http_background_tasks_lost(ts);
    }

    if (!ts->stopping) {
        ngx_http_background_tasks_poll();

    } else {
        ngx_http_background_tasks_cancel(ts);
    }

    ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
}


/* cycles with "finish" go on in a worker that shuts down */

static void
ngx_http_background_tasks_cancel(ngx_http_background_tasks_t *ts)
{
    uint64_t                            told;
    ngx_uint_t                          i;
    ngx_http_background_runner_t       *r;
    ngx_http_background_orders_info_t   info;

    told = ngx_http_background_zone_told(ts->zcf->zone);

    if (told == ts->orders) {
        return;
    }

    ts->orders = told;

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        ngx_http_background_runner_read(r, &info);
        ngx_http_background_runner_cancels(r, info.cancels);
    }
}


/*
 * Other workers have revoked this worker.  Its cycles are not recorded, since
 * other workers may run them again.
 */

static void
ngx_http_background_tasks_lost(ngx_http_background_tasks_t *ts)
{
    ngx_uint_t                     i;
    ngx_http_background_runner_t  *r;

    ngx_log_error(NGX_LOG_ERR, ts->log, 0,
                  "background: the event loop was blocked, "
                  "this worker process lost its leases");

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        __atomic_store_n(&r->leased, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&r->arrived, NULL, __ATOMIC_RELAXED);
        r->elsewhere = 0;
        r->pending = NULL;
        ngx_http_background_runner_depart(r, 0);

        ngx_http_background_runner_stop(r, 1);
        ngx_http_background_runner_forgo(r);
    }

    ngx_http_background_zone_rejoin();
}


static void
ngx_http_background_tasks_tick(ngx_http_background_tasks_t *ts)
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
 * After a suspend of the machine every task is late.  The punctual timers of
 * this worker tell that from another worker that hangs.
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
ngx_http_background_tasks_poll(void)
{
    uint64_t                       told;
    ngx_uint_t                     i;
    ngx_http_background_runner_t  *r;
    ngx_http_background_tasks_t   *ts;

    ts = &ngx_http_background_tasks;

    if (!ts->joined) {
        if (ngx_http_background_zone_join(ts->zcf) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, ts->log, 0,
                          "background: no free registration in the zone, "
                          "this worker runs no tasks yet");
            return;
        }

        ts->joined = 1;
    }

    ngx_http_background_zone_reap(ts->ticks > 0, ts->log);

    told = ngx_http_background_zone_told(ts->zcf->zone);

    /*
     * A preferred worker tries to take the lease in each poll, other workers
     * in every second one.
     */

    for (i = 0; i < ts->nrunners; i++) {
        r = &ts->runners[i];

        if (!r->leased && (r->preferred || ts->polls % 2)) {
            ngx_http_background_runner_take(r);

        } else if (r->elsewhere) {
            ngx_http_background_runner_enter(r);
        }

        /* a quarantine may have been lifted */

        if (r->task->cluster && r->leased && !r->elsewhere && !r->joined) {
            ngx_http_background_runner_join(r);
        }

        /* any worker may have died in cycles of requests */

        if (r->joined && !r->candidate && r->claim.fence
            && ngx_http_background_runner_quarantined(r)
            && ngx_http_background_runner_cycle(r, r->cell, 1) == NULL)
        {
            ngx_http_background_runner_condemn(r, r->claim.fence);
        }

        if (r->candidate && r->claim.other) {
            ngx_http_background_cell_schedule(r->cell, 0);
            ngx_http_background_cell_absent(r->cell);
            ngx_http_background_runner_drop(r, "another nginx");
        }

        if (r->orders || told != ts->orders) {
            ngx_http_background_runner_orders(r);
        }

        if (r->pending) {
            ngx_http_background_runner_want(r, r->pending);
        }

        /* a reload may have removed what started the cycles */

        ngx_http_background_runner_orphans(r);

        if (r->second.finished_at) {
            ngx_http_background_runner_second(r, NULL);
        }
    }

    ngx_http_background_state_poll(ts->zcf, ts->log);

    ts->orders = told;
    ts->polls++;
}


static void
ngx_http_background_tasks_hold_handler(ngx_event_t *ev)
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
