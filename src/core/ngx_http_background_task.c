
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_task.h"
#include "ngx_http_background_crash.h"
#include "ngx_http_background_instance.h"
#include "ngx_http_background_job.h"
#include "ngx_http_background_log.h"
#include "ngx_http_background_state.h"

#include <ngx_event.h>


/* the period of the "keeper" timer, in milliseconds */
#define NGX_HTTP_BACKGROUND_KEEPER    250

/* the longest period of the "keeper" timer that counts as punctual */
#define NGX_HTTP_BACKGROUND_PUNCTUAL  (2 * NGX_HTTP_BACKGROUND_KEEPER)

/*
 * After this many punctual periods in a row this worker judges whether other
 * workers are late: they had the same time to run what was due.
 */
#define NGX_HTTP_BACKGROUND_TICKS     4

/*
 * A revoked worker that still runs a job is logged after this many polls; a
 * job that calls ngx_http_background_cancelled() ends sooner.
 */
#define NGX_HTTP_BACKGROUND_BUSY      4

/*
 * The period of the "hold" timer of a worker that shuts down, and the time
 * after which a cycle that does not end is logged, in milliseconds.
 */
#define NGX_HTTP_BACKGROUND_HOLD      10
#define NGX_HTTP_BACKGROUND_HOLD_MAX  10000

/* the longest time until the wall clock is read again, in milliseconds */
#define NGX_HTTP_BACKGROUND_LOOK      60000

/* the assumed difference of the clocks of servers, in seconds */
#define NGX_HTTP_BACKGROUND_CLOCKS    5

/* a smaller change of a due time is not published, in milliseconds */
#define NGX_HTTP_BACKGROUND_OFF       1000


/*
 * A task in this worker.  Cycles that are started by "interval" need the lease
 * of "cell".  Cycles that are started by other triggers are counted in
 * "arrived", which the worker takes with the first such cycle.
 */

struct ngx_http_background_runner_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_task_t       *task;
    ngx_http_background_cell_t       *cell;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_http_background_cell_t       *arrived;
    ngx_queue_t                       cycles;     /* by the time of their
                                                     start */
    ngx_uint_t                        narrived;   /* cycles of "arrived" */
    ngx_uint_t                        preferred;
    ngx_uint_t                        busy;       /* polls in which a revoked
                                                     worker still had a job */
    ngx_event_t                       timer;
    ngx_http_background_lines_t       lines;
    ngx_http_background_claim_t       claim;      /* of "workers cluster" */

    /* the cause of a cycle that could not start yet, or NULL */
    ngx_str_t                        *pending;
    uint32_t                          seed;       /* of the jitter */
    uint64_t                          waiter;     /* for the lock */

    ngx_http_background_told_t       *after;      /* the last end of a cycle;
                                                     NULL: no "after" */
    uint64_t                          fires;      /* the number of "after" */
    uint64_t                          saved;      /* "pending" waits until the
                                                     state is written; 0: it
                                                     does not wait */
    ngx_msec_t                        asked;      /* when "saved" was asked
                                                     for */
    uint64_t                          cancels;    /* handled orders */
    uint64_t                          cancelled;  /* ngx_current_msec */

    /*
     * With "retry" of failed items only: the time of the next cycle with all
     * items, as ngx_current_msec; 0: the next cycle has all items.
     */
    uint64_t                          whole;

    /* cycles of "arrived" that ended in this second, for the history */
    ngx_http_background_history_t     second;

    ngx_uint_t                        leased;     /* read by the signal handler
                                                     of any thread */
    unsigned                          elsewhere:1;
                                                  /* unsigned elsewhere:1;
                                                     leased, but a worker of
                                                     another zone may run the
                                                     task */
    unsigned                          joined:1;   /* "claim" is in use */
    unsigned                          candidate:1;
                                                  /* another nginx may have the
                                                     task */
    unsigned                          told:1;
    unsigned                          paused:1;
    unsigned                          orders:1;   /* to be read again */
};


typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_zone_conf_t  *zcf;
    ngx_http_background_runner_t     *runners;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_uint_t                        nrunners;
    ngx_uint_t                        polls;
    uint64_t                          orders;     /* the number in the zone when
                                                     orders were read last */
    ngx_uint_t                        ticks;      /* punctual, in a row */
    ngx_msec_t                        ticked;
    ngx_event_t                       keeper;
    ngx_event_t                       hold;
    ngx_msec_t                        stopped;

    unsigned                          joined:1;
    unsigned                          stopping:1;
    unsigned                          aborted:1;
    unsigned                          told:1;
} ngx_http_background_tasks_t;


static void ngx_http_background_tasks_crashed(int signo);
static void ngx_http_background_cell_crashed(ngx_http_background_cell_t *cell,
    int signo, ngx_uint_t known, ngx_http_background_cell_t *guilty);
static void ngx_http_background_tasks_triggers(ngx_uint_t start);
static void ngx_http_background_tick(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_cancel(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_lost(ngx_http_background_tasks_t *ts);
static void ngx_http_background_tasks_hold(void);
static void ngx_http_background_poll(void);
static void ngx_http_background_keeper_handler(ngx_event_t *ev);
static void ngx_http_background_hold_handler(ngx_event_t *ev);

static void ngx_http_background_runner_init(ngx_http_background_runner_t *r,
    ngx_http_background_task_t *task, ngx_log_t *log);
static void ngx_http_background_runner_take(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_hangs(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_enter(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_started(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_join(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_depart(ngx_http_background_runner_t *r,
    ngx_uint_t give);
static void ngx_http_background_runner_granted(
    ngx_http_background_claim_t *m,
    const ngx_http_background_carried_t *carried);
static void ngx_http_background_runner_condemn(
    ngx_http_background_runner_t *r, uint64_t quarantine);
static void ngx_http_background_runner_ousted(ngx_http_background_claim_t *m,
    const char *why);
static void ngx_http_background_runner_checked(
    ngx_http_background_runner_t *r, uint64_t due);
static void ngx_http_background_runner_adopt(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_save(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_carry(ngx_http_background_runner_t *r,
    ngx_http_background_state_t *state);
static void ngx_http_background_runner_release(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_forgo(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_stop(ngx_http_background_runner_t *r,
    ngx_uint_t all);
static ngx_http_background_cycle_t *ngx_http_background_runner_cycle(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell,
    ngx_uint_t abandoned);
static void ngx_http_background_runner_orphans(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_inherit(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell);
static void ngx_http_background_runner_crashed(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell);
static ngx_str_t *ngx_http_background_cell_cause(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_lift_verdicts(
    ngx_http_background_task_t *task);
static ngx_uint_t ngx_http_background_quarantined(
    ngx_http_background_runner_t *r);
static ngx_uint_t ngx_http_background_runner_halted(
    ngx_http_background_runner_t *r);

static void ngx_http_background_runner_orders(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_cancels(
    ngx_http_background_runner_t *r, uint64_t cancels);
static void ngx_http_background_runner_drop(ngx_http_background_runner_t *r,
    const char *who);
static void ngx_http_background_runner_pause(ngx_http_background_runner_t *r,
    ngx_uint_t paused);
static void ngx_http_background_runner_follow(ngx_http_background_runner_t *r,
    uint64_t fires);
static void ngx_http_background_runner_acked(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
static void ngx_http_background_runner_fire(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_t *outcome);
static ngx_uint_t ngx_http_background_runner_unhealthy(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_cancel(ngx_http_background_runner_t *r,
    ngx_uint_t all);
static void ngx_http_background_runner_unlock(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);

static void ngx_http_background_interval_arm(ngx_http_background_runner_t *r);
static void ngx_http_background_interval_handler(ngx_event_t *ev);
static void ngx_http_background_schedule_forget(
    ngx_http_background_runner_t *r);
static void ngx_http_background_schedule_look(
    ngx_http_background_runner_t *r);
static uint64_t ngx_http_background_schedule_retry(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_want(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
static ngx_uint_t ngx_http_background_timed(ngx_str_t *cause);
static void ngx_http_background_runner_repeat(ngx_http_background_runner_t *r,
    ngx_uint_t again);
static ngx_uint_t ngx_http_background_runner_saved(
    ngx_http_background_runner_t *r);
static ngx_int_t ngx_http_background_runner_lock(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_told(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_due(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
static void ngx_http_background_runner_failed(ngx_http_background_runner_t *r,
    ngx_str_t *cause);

static ngx_int_t ngx_http_background_runner_admit(
    ngx_http_background_runner_t *r, ngx_http_background_start_t *start);
static ngx_uint_t ngx_http_background_runner_busy(
    ngx_http_background_runner_t *r, ngx_http_background_start_t *start);
static void ngx_http_background_runner_begin(ngx_http_background_cell_t *cell,
    ngx_str_t *text);
static void ngx_http_background_runner_run(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle, ngx_http_background_cell_t *cell,
    ngx_str_t *cause);
static void ngx_http_background_runner_ended(
    ngx_http_background_cycle_t *cycle);
static ngx_uint_t ngx_http_background_runner_unfinished(
    ngx_http_background_runner_t *r, ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_again(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
static void ngx_http_background_runner_lost(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_record(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome);
static void ngx_http_background_runner_log(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome);
static void ngx_http_background_runner_second(ngx_http_background_runner_t *r,
    const ngx_http_background_last_t *last);
static uint64_t ngx_http_background_jitter(ngx_http_background_task_t *task);
static void ngx_http_background_runner_flush(ngx_http_background_runner_t *r);
static uint64_t ngx_http_background_due(ngx_http_background_runner_t *r,
    uint64_t failures);


static ngx_http_background_tasks_t  ngx_http_background_tasks;

static ngx_str_t  ngx_http_background_interval = ngx_string("interval");
static ngx_str_t  ngx_http_background_scheduled = ngx_string("schedule");
static ngx_str_t  ngx_http_background_missed = ngx_string("missed");
static ngx_str_t  ngx_http_background_retried = ngx_string("retry");
static ngx_str_t  ngx_http_background_followed = ngx_string("after");
static ngx_str_t  ngx_http_background_ordered = ngx_string("control");


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

    ngx_http_background_instance_open(zcf->instance, cycle->log);

    ngx_http_background_poll();

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
            ngx_http_background_tasks_hold();
            break;
        }
    }
}


/*
 * A worker that shuts down exits when no timer is left that is not cancelable.
 */

static void
ngx_http_background_tasks_hold(void)
{
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    if (ts->stopping && !ts->hold.timer_set) {
        ngx_add_timer(&ts->hold, NGX_HTTP_BACKGROUND_HOLD);
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
ngx_http_background_keeper_handler(ngx_event_t *ev)
{
    ngx_http_background_tasks_t *ts = ev->data;

    ngx_http_background_tick(ts);

    if (ngx_http_background_zone_revoked()) {
        ngx_http_background_tasks_lost(ts);
    }

    if (!ts->stopping) {
        ngx_http_background_poll();

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

        ngx_http_background_orders_read(
                     ngx_http_background_record_orders(r->task->zone.record),
                     &info);
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
ngx_http_background_poll(void)
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
            && ngx_http_background_quarantined(r)
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
    ngx_http_background_orders_info_t  orders;

    r->task = task;
    r->cell = ngx_http_background_cell(task->zone.record,
                                       task->zone.all ? ngx_worker : 0);
    r->log = task->log ? task->log : log;
    r->ident = -1;

    ngx_queue_init(&r->cycles);

    r->timer.handler = ngx_http_background_interval_handler;
    r->timer.data = r;
    r->timer.log = log;
    r->timer.cancelable = 1;

    r->seed = ngx_murmur_hash2(task->zone.name.data, task->zone.name.len)
              ^ ngx_murmur_hash2(ngx_cycle->hostname.data,
                                 ngx_cycle->hostname.len)
              ^ (task->zone.all ? ngx_worker << 16 : 0);

    r->waiter = (uint64_t) r->seed << 32 | (uint32_t) ngx_pid;

    ngx_http_background_orders_read(
                     ngx_http_background_record_orders(task->zone.record),
                     &orders);
    r->cancels = orders.cancels;

    task->runner = r;
}


static void
ngx_http_background_runner_take(ngx_http_background_runner_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_background_lease_take(r->cell);

    if (rc == NGX_BUSY) {
        ngx_http_background_runner_hangs(r);
        return;
    }

    r->busy = 0;

    if (rc != NGX_OK) {
        return;
    }

    __atomic_store_n(&r->leased, 1, __ATOMIC_RELAXED);

    r->whole = 0;
    r->elsewhere = !r->task->zone.all;
    r->told = 0;

    ngx_http_background_runner_inherit(r, r->cell);

    ngx_http_background_runner_enter(r);
}


/*
 * Starts the task if no worker of another zone has it.  Until then it is
 * called again in each poll.
 */

static void
ngx_http_background_runner_enter(ngx_http_background_runner_t *r)
{
    ngx_int_t                           rc;
    ngx_http_background_orders_t       *orders;
    ngx_http_background_orders_info_t   info;

    orders = ngx_http_background_record_orders(r->task->zone.record);

    if (r->elsewhere) {
        rc = ngx_http_background_instance_lock(&r->task->zone.name, r->log);
        ngx_http_background_runner_adopt(r);

        if (rc == NGX_BUSY) {

            ngx_http_background_cell_absent(r->cell);
            ngx_http_background_orders_read(orders, &info);

            /* later orders are refused */

            if (!info.elsewhere) {
                ngx_http_background_orders_leave(orders, 1);
                ngx_http_background_runner_drop(r, "a worker of another zone");
            }

            if (!r->told) {
                r->told = 1;

                ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                              "background task \"%V\": waits for a worker of "
                              "another zone, which still runs the task",
                              &r->task->zone.name);
            }

            return;
        }

        r->elsewhere = 0;

        ngx_http_background_runner_save(r);
    }

    ngx_http_background_orders_leave(orders, 0);

    if (r->task->cluster) {
        ngx_http_background_orders_read(orders, &info);
        r->paused = info.paused;

        ngx_http_background_schedule_forget(r);
        ngx_http_background_runner_join(r);
        return;
    }

    ngx_http_background_runner_started(r);
}


/*
 * A pause that the last owner has handled, and that has ended since then, ends
 * in runner_orders(): times until now are not missed.
 */

static void
ngx_http_background_runner_started(ngx_http_background_runner_t *r)
{
    ngx_http_background_duty_info_t    duty;
    ngx_http_background_orders_info_t  orders;

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": started", &r->task->zone.name);

    ngx_http_background_orders_read(
                  ngx_http_background_record_orders(r->task->zone.record),
                  &orders);

    ngx_http_background_duty_read(ngx_http_background_cell_duty(r->cell),
                                  &duty);

    r->paused = duty.paused;
    r->orders = 1;

    if (orders.paused && !r->paused) {
        ngx_http_background_runner_pause(r, 1);
    }

    ngx_http_background_interval_arm(r);
}


/*
 * A task that becomes quarantined in this nginx is reported to other nginx
 * once; then this nginx does not ask for it.
 */

static void
ngx_http_background_runner_join(ngx_http_background_runner_t *r)
{
    if (ngx_http_background_quarantined(r)
        && !ngx_http_background_record_condemned(r->task->zone.record))
    {
        return;
    }

    r->claim.conf = r->task->cluster_conf;
    r->claim.task = &r->task->zone.name;
    r->claim.log = r->log;
    r->claim.fence = 0;
    r->claim.until = 0;
    r->claim.other = 0;
    r->claim.granted = ngx_http_background_runner_granted;
    r->claim.lost = ngx_http_background_runner_ousted;

    r->joined = 1;
    r->candidate = 1;

    if (r->task->cluster->want(&r->claim) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": no memory to ask other servers "
                      "for it", &r->task->zone.name);
        r->joined = 0;
    }
}


static void
ngx_http_background_runner_depart(ngx_http_background_runner_t *r,
    ngx_uint_t give)
{
    if (r->joined) {
        r->joined = 0;
        r->task->cluster->leave(&r->claim, give);
    }

    r->candidate = 0;
    r->claim.fence = 0;
}


static void
ngx_http_background_runner_granted(ngx_http_background_claim_t *m,
    const ngx_http_background_carried_t *carried)
{
    uint64_t                       due, now;
    ngx_http_background_runner_t  *r;

    r = ngx_queue_data(m, ngx_http_background_runner_t, claim);

    r->candidate = 0;

    if (carried) {
        now = ngx_http_background_wall_clock();
        due = carried->due_at ? ngx_current_msec
                                + ngx_max(carried->due_at, now) - now
                              : 0;

        ngx_http_background_cell_carry(r->cell, due, carried->failures,
                                       r->task->fails);
        ngx_http_background_record_carry(r->task->zone.record,
                                         carried->crashes,
                                         carried->quarantine != 0);
    }

    if (ngx_http_background_quarantined(r)) {
        ngx_http_background_runner_condemn(r, (carried && carried->quarantine)
                                              ? carried->quarantine
                                              : m->fence);
        return;
    }

    m->carried.quarantine = 0;

    if (r->task->rules && carried && carried->due_at) {
        ngx_http_background_runner_checked(r, carried->due_at / 1000);
    }

    ngx_http_background_runner_save(r);
    ngx_http_background_runner_started(r);
}


/* gives the task back as quarantined, since the fence "quarantine" */

static void
ngx_http_background_runner_condemn(ngx_http_background_runner_t *r,
    uint64_t quarantine)
{
    ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                  "background task \"%V\": quarantined on all servers, "
                  "each until its next reload", &r->task->zone.name);

    r->claim.carried.quarantine = quarantine;

    ngx_http_background_record_told(r->task->zone.record);
    ngx_http_background_runner_save(r);
    ngx_http_background_runner_depart(r, 1);
}


/* another server, whose clock may differ, has handled times until "due" */

static void
ngx_http_background_runner_checked(ngx_http_background_runner_t *r,
    uint64_t due)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    duty = ngx_http_background_cell_duty(r->cell);

    ngx_http_background_duty_read(duty, &info);

    if (due > info.checked + NGX_HTTP_BACKGROUND_CLOCKS) {
        ngx_http_background_duty_check(duty, due - NGX_HTTP_BACKGROUND_CLOCKS,
                                       info.due);
    }
}


/* the cycle is stopped, as another nginx may run the task from now on */

static void
ngx_http_background_runner_ousted(ngx_http_background_claim_t *m,
    const char *why)
{
    ngx_http_background_cycle_t   *cycle;
    ngx_http_background_runner_t  *r;

    r = ngx_queue_data(m, ngx_http_background_runner_t, claim);

    r->candidate = 1;

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": stopped, %s", m->task, why);

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    /* what waits is not due any more when this nginx has the task again */

    r->pending = NULL;
    r->saved = 0;

    cycle = ngx_http_background_runner_cycle(r, r->cell, 0);

    if (cycle && !cycle->cancelled) {
        ngx_http_background_cycle_leave(cycle);
    }
}


/*
 * Called also while a worker of another zone has the task, so that the status
 * shows the cycles of that worker.
 */

static void
ngx_http_background_runner_adopt(ngx_http_background_runner_t *r)
{
    ngx_http_background_state_t  state;

    if (ngx_http_background_instance_read(&r->task->zone.name, &state,
                                          sizeof(ngx_http_background_state_t))
        == NGX_OK)
    {
        ngx_http_background_cell_adopt(r->task->zone.record, r->cell, &state);
    }
}


static void
ngx_http_background_runner_save(ngx_http_background_runner_t *r)
{
    ngx_http_background_state_t  state;

    if (r->task->zone.all || r->elsewhere) {
        return;
    }

    ngx_http_background_cell_save(r->task->zone.record, r->cell, &state);
    ngx_http_background_instance_write(&r->task->zone.name, &state,
                                       sizeof(ngx_http_background_state_t),
                                       r->log);

    if (r->joined && !r->candidate) {
        ngx_http_background_runner_carry(r, &state);
    }
}


/* stores the state with which another nginx continues */

static void
ngx_http_background_runner_carry(ngx_http_background_runner_t *r,
    ngx_http_background_state_t *state)
{
    uint64_t                        now;
    ngx_http_background_carried_t  *carried;

    carried = &r->claim.carried;
    now = ngx_http_background_wall_clock();

    carried->due_at = state->stats.due
                      ? now + ngx_max(state->stats.due, ngx_current_msec)
                        - ngx_current_msec
                      : 0;
    carried->failures = state->stats.failures;
    carried->crashes = state->crashes;

    r->task->cluster->save(&r->claim);
}


static void
ngx_http_background_runner_hangs(ngx_http_background_runner_t *r)
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
                      "job of the task, no other worker runs the task until "
                      "the job ends or the process exits",
                      &r->task->zone.name, pid);
    }
}


static void
ngx_http_background_runner_release(ngx_http_background_runner_t *r)
{
    ngx_uint_t  absent;

    absent = r->elsewhere || r->candidate;

    /* orders may have come since the last poll */

    if (!r->joined || r->candidate) {
        ngx_http_background_runner_save(r);
    }

    ngx_http_background_runner_depart(r, 1);

    if (!r->task->zone.all && !r->elsewhere) {
        ngx_http_background_instance_unlock(&r->task->zone.name);
    }

    ngx_http_background_lease_release(r->cell);
    __atomic_store_n(&r->leased, 0, __ATOMIC_RELAXED);

    r->pending = NULL;

    if (!absent) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": stopped", &r->task->zone.name);
    }

    r->elsewhere = 0;
}


/*
 * A worker that was revoked leaves the task to another instance, unless a
 * worker of its own has it, when no job of it is on a thread any more.
 */

static void
ngx_http_background_runner_forgo(ngx_http_background_runner_t *r)
{
    if (!r->leased && !r->task->zone.all && ngx_queue_empty(&r->cycles)) {
        ngx_http_background_instance_unlock(&r->task->zone.name);
    }
}


/* cycles with "finish" go on, unless "all" is set: a client waits for them */

static void
ngx_http_background_runner_stop(ngx_http_background_runner_t *r,
    ngx_uint_t all)
{
    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    ngx_http_background_runner_cancel(r, all);

    if (r->leased && ngx_http_background_runner_cycle(r, r->cell, 1) == NULL) {
        ngx_http_background_runner_release(r);
    }
}


static void
ngx_http_background_runner_cancel(ngx_http_background_runner_t *r,
    ngx_uint_t all)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

again:

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        cycle->lost |= ngx_http_background_zone_revoked();

        if (!cycle->cancelled && (all || !cycle->finish)) {

            /*
             * ngx_http_background_cycle_cancel() may remove this or other
             * cycles
             */

            ngx_http_background_cycle_cancel(cycle);
            goto again;
        }
    }
}


/* handles orders that were given since they were read last */

static void
ngx_http_background_runner_orders(ngx_http_background_runner_t *r)
{
    ngx_http_background_orders_t       *orders;
    ngx_http_background_duty_info_t     duty;
    ngx_http_background_orders_info_t   info;

    r->orders = 0;

    orders = ngx_http_background_record_orders(r->task->zone.record);
    ngx_http_background_orders_read(orders, &info);

    ngx_http_background_runner_cancels(r, info.cancels);

    if (!r->leased || r->elsewhere) {
        return;
    }

    if (r->candidate) {

        /* other zones of this nginx are to know of it */

        if (info.paused != r->paused) {
            r->paused = info.paused;
            ngx_http_background_runner_save(r);
        }

        return;
    }

    if (info.paused != r->paused) {
        ngx_http_background_runner_pause(r, info.paused);
    }

    /* a quarantine may have been lifted */

    if (!r->timer.timer_set && ngx_queue_empty(&r->cycles)) {
        ngx_http_background_interval_arm(r);
    }

    ngx_http_background_duty_read(ngx_http_background_cell_duty(r->cell),
                                  &duty);

    if (duty.ordered != info.runs
        && r->pending != &ngx_http_background_ordered)
    {
        if (r->pending) {
            r->orders = 1;

        } else {
            ngx_http_background_runner_want(r, &ngx_http_background_ordered);
        }
    }

    if (duty.fired != info.fires) {
        ngx_http_background_runner_follow(r, info.fires);
    }
}


static void
ngx_http_background_runner_cancels(ngx_http_background_runner_t *r,
    uint64_t cancels)
{
    if (cancels != r->cancels) {
        r->cancels = cancels;
        r->cancelled = ngx_current_msec;

        ngx_http_background_runner_cancel(r, 1);
    }
}


/*
 * Another nginx, or the old binary, has the task: what was ordered here before
 * that was known must not run at a takeover, which may be days later.
 */

static void
ngx_http_background_runner_drop(ngx_http_background_runner_t *r,
    const char *who)
{
    ngx_http_background_duty_t         *duty;
    ngx_http_background_duty_info_t     info;
    ngx_http_background_orders_info_t   orders;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    ngx_http_background_orders_read(
                     ngx_http_background_record_orders(r->task->zone.record),
                     &orders);

    if (info.ordered == orders.runs) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": an order to run it is dropped, "
                  "%s has the task", &r->task->zone.name, who);

    ngx_http_background_duty_order(duty, orders.runs);

    if (r->pending == &ngx_http_background_ordered) {
        r->pending = NULL;
    }
}


/* times during a pause are not missed */

static void
ngx_http_background_runner_pause(ngx_http_background_runner_t *r,
    ngx_uint_t paused)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    r->paused = paused;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_pause(duty, paused);
    ngx_http_background_duty_again(duty, 0);

    if (paused) {
        if (r->timer.timer_set) {
            ngx_del_timer(&r->timer);
        }

        if (r->pending != &ngx_http_background_ordered) {
            r->pending = NULL;
        }

    } else {
        ngx_http_background_duty_read(duty, &info);
        ngx_http_background_duty_check(duty,
                                       ngx_max(info.checked,
                                               (uint64_t) ngx_time()),
                                       info.due);
    }

    ngx_http_background_runner_save(r);
}


/* one cycle is started for all ends of tasks until now */

static void
ngx_http_background_runner_follow(ngx_http_background_runner_t *r,
    uint64_t fires)
{
    ngx_http_background_orders_t  *orders;

    if (r->paused || r->after == NULL) {
        ngx_http_background_duty_fire(ngx_http_background_cell_duty(r->cell),
                                      fires, 0);
        return;
    }

    if ((r->pending && r->pending != &ngx_http_background_followed)
        || !ngx_queue_empty(&r->cycles))
    {
        r->orders = 1;
        return;
    }

    orders = ngx_http_background_record_orders(r->task->zone.record);

    if (ngx_http_background_orders_told(orders, r->after) != NGX_OK) {
        ngx_memzero(r->after, sizeof(ngx_http_background_told_t));
    }

    r->fires = fires;

    ngx_http_background_runner_want(r, &ngx_http_background_followed);
}


/* the pending cycle starts, so the next owner of the cell must not repeat it */

static void
ngx_http_background_runner_acked(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_duty_t         *duty;
    ngx_http_background_duty_info_t     info;
    ngx_http_background_orders_info_t   orders;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    if (cause == &ngx_http_background_ordered) {
        ngx_http_background_orders_read(
                     ngx_http_background_record_orders(r->task->zone.record),
                     &orders);
        ngx_http_background_duty_order(duty, orders.runs);
    }

    if (cause == &ngx_http_background_followed) {
        ngx_http_background_duty_fire(duty, r->fires,
                                      r->fires - info.fired - 1);
    }

    if (ngx_http_background_timed(cause)) {
        ngx_http_background_runner_repeat(r, 0);
    }
}


/*
 * Returns the oldest cycle that is counted in the cell; abandoned ones only if
 * "abandoned" is set.
 */

static ngx_http_background_cycle_t *
ngx_http_background_runner_cycle(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_uint_t abandoned)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        if (cycle->cell == cell && !cycle->lost
            && (abandoned || !cycle->abandoned))
        {
            return cycle;
        }
    }

    return NULL;
}


/* records cycles of "arrived" whose worker died */

static void
ngx_http_background_runner_orphans(ngx_http_background_runner_t *r)
{
    ngx_http_background_cell_t  *cell;

    for ( ;; ) {
        cell = ngx_http_background_cell_orphan(r->task->zone.record);
        if (cell == NULL) {
            return;
        }

        ngx_http_background_runner_inherit(r, cell);
        ngx_http_background_lease_release(cell);
    }
}


/* the former owner of the cell may have died or been revoked during cycles */

static void
ngx_http_background_runner_inherit(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    if (ngx_http_background_cell_interrupted(cell)) {
        ngx_http_background_runner_crashed(r, cell);
    }

    ngx_http_background_cell_settle(cell);
}


/*
 * Records the interrupted cycles as failed, or as cancelled if a job of
 * another task crashed the worker.
 */

static void
ngx_http_background_runner_crashed(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    u_char                          text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    uint64_t                        started;
    ngx_uint_t                      n, spared, revoked;
    const char                     *name;
    ngx_http_background_last_t     *last;
    ngx_http_background_outcome_t   outcome;

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    revoked = ngx_http_background_cell_revoked()
              && !ngx_http_background_cell_blamed(cell);
    spared = !revoked && ngx_http_background_cell_spared(cell);
    name = revoked ? NULL : ngx_http_background_crash_name(
                                     ngx_http_background_cell_signal(cell));

    outcome.outcome = spared ? ngx_http_background_cancel
                             : ngx_http_background_failure;
    outcome.cycles = ngx_http_background_cell_interrupted(cell);
    outcome.returned = ngx_http_background_cell_stats(cell)->abandoned;
    outcome.crash = 1;

    outcome.error.data = text;
    outcome.error.len = ngx_slprintf(text, text + sizeof(text),
                                     "worker process %s during the cycle%s%s",
                                     revoked ? "hung" : "died",
                                     name ? ": " : "", name ? name : "")
                        - text;

    started = ngx_http_background_cell_started(cell);

    last = &outcome.last;
    last->finished_at = ngx_http_background_wall_clock();

    /* 0: all cycles were abandoned, the last recorded one is one of them */

    last->started_at = started
                       ? last->finished_at
                         - (ngx_max(ngx_current_msec, started) - started)
                       : ngx_http_background_cell_stats(cell)->last.started_at;
    last->wall_time = ngx_max(last->finished_at, last->started_at)
                      - last->started_at;
    last->failed = spared ? 0 : outcome.cycles - outcome.returned;

    n = spared || revoked
        ? 0 : ngx_http_background_record_crashed(r->task->zone.record);

    ngx_http_background_runner_record(r, cell, &outcome);

    if (spared && cell == r->cell && outcome.cycles > outcome.returned) {
        ngx_http_background_runner_again(r,
                                         ngx_http_background_cell_cause(cell));
    }

    if (spared) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": %uL cycles cancelled, their "
                      "worker process died of %s in another task",
                      &r->task->zone.name, outcome.cycles,
                      name ? name : "a signal");

    } else if (n) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": quarantined until the next "
                      "reload, %ui worker processes in a row died in it%s%s",
                      &r->task->zone.name, n,
                      name ? ", the last one of " : "", name ? name : "");

        ngx_http_background_lift_verdicts(r->task);

    } else {
        ngx_http_background_runner_log(r, cell, &outcome);
    }
}


/* the cause of the last cycle, or NULL if it is not known */

static ngx_str_t *
ngx_http_background_cell_cause(ngx_http_background_cell_t *cell)
{
    ngx_uint_t                    i, n;
    ngx_http_background_cause_t  *last;
    ngx_http_background_cause_t   causes[NGX_HTTP_BACKGROUND_CAUSES];

    static ngx_str_t  *known[] = {
        &ngx_http_background_interval,
        &ngx_http_background_scheduled,
        &ngx_http_background_missed,
        &ngx_http_background_retried,
        &ngx_http_background_followed,
        &ngx_http_background_ordered
    };

    n = ngx_http_background_cell_causes(cell, causes);

    if (n == 0) {
        return NULL;
    }

    last = &causes[n - 1];

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (last->len == known[i]->len
            && ngx_memcmp(last->text, known[i]->data, last->len) == 0)
        {
            return known[i];
        }
    }

    return NULL;
}


/*
 * The task is quarantined, so its servers are not checked any more: they get
 * requests regardless of their last verdicts.
 */

static void
ngx_http_background_lift_verdicts(ngx_http_background_task_t *task)
{
    ngx_uint_t                        i;
    ngx_http_background_operation_t  *operation;

    operation = task->operations.elts;

    for (i = 0; i < task->operations.nelts; i++) {
        if (operation[i].judge) {
            operation[i].judge->quarantined(operation[i].conf);
        }
    }
}


static ngx_uint_t
ngx_http_background_quarantined(ngx_http_background_runner_t *r)
{
    return ngx_http_background_record_quarantined(r->task->zone.record);
}


/*
 * Whether no cycle may start.  The task may have been paused or quarantined
 * since the last poll, which sets r->paused.
 */

static ngx_uint_t
ngx_http_background_runner_halted(ngx_http_background_runner_t *r)
{
    ngx_http_background_orders_info_t  orders;

    ngx_http_background_orders_read(
                  ngx_http_background_record_orders(r->task->zone.record),
                  &orders);

    return orders.paused || ngx_http_background_quarantined(r);
}


/*
 * "interval" is the only trigger that needs the lease: its due time is kept in
 * the cell.
 */

static void
ngx_http_background_interval_arm(ngx_http_background_runner_t *r)
{
    uint64_t                            due;
    ngx_msec_t                          longest;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;

    ngx_http_background_schedule_forget(r);

    if (r->candidate) {
        return;
    }

    if (task->interval == 0 && task->rules == NULL && task->retry == 0) {
        ngx_http_background_cell_schedule(r->cell, 0);
        return;
    }

    if (r->paused || ngx_http_background_quarantined(r)) {
        return;
    }

    if (task->interval == 0) {
        if (r->timer.timer_set) {
            ngx_del_timer(&r->timer);
        }

        ngx_add_timer(&r->timer, 0);
        return;
    }

    stats = ngx_http_background_cell_stats(r->cell);

    if (stats->due == 0) {
        due = ngx_current_msec + ngx_http_background_jitter(task);

    } else {
        /* a reload may have set shorter times */

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

    if (ngx_http_background_runner_halted(r)
        || ngx_http_background_zone_revoked())
    {
        return;
    }

    /* the lease may have expired while the process was stopped */

    if (r->task->cluster
        && (!r->joined || !r->task->cluster->holds(&r->claim)))
    {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
        return;
    }

    /*
     * The timer may expire in the same pass of the event loop in which the
     * signal has arrived: tasks are stopped only later in that pass.
     */

    if (ngx_quit || ngx_terminate) {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
        return;
    }

    if (r->task->interval == 0) {
        ngx_http_background_schedule_look(r);
        return;
    }

    if (ngx_http_background_record_trial(r->task->zone.record) != NGX_OK) {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
        return;
    }

    /* no cycle of "interval" starts while a cycle of another trigger runs */

    if (!ngx_queue_empty(&r->cycles)) {
        ngx_http_background_record_tried(r->task->zone.record);
        ngx_http_background_cell_skipped(r->cell);
        ngx_http_background_cell_schedule(r->cell,
                                         ngx_current_msec + r->task->interval);
        ngx_http_background_interval_arm(r);
        return;
    }

    /* the task is not late while it waits for the lock */

    if (ngx_http_background_runner_lock(r) != NGX_OK) {
        ngx_http_background_record_tried(r->task->zone.record);
        ngx_http_background_cell_schedule(r->cell,
                                          ngx_current_msec
                                          + NGX_HTTP_BACKGROUND_KEEPER);
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_KEEPER);
        return;
    }

    ngx_http_background_runner_due(r, &ngx_http_background_interval);
}


/* times are not missed as long as the task has no "schedule" */

static void
ngx_http_background_schedule_forget(ngx_http_background_runner_t *r)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    if (r->task->rules) {
        return;
    }

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    if (info.checked == 0 && info.due == 0 && info.again == 0) {
        return;
    }

    ngx_http_background_duty_check(duty, 0, 0);
    ngx_http_background_duty_again(duty, 0);

    ngx_http_background_runner_save(r);
}


/* starts a cycle that is due by the wall clock, and sets the timer */

static void
ngx_http_background_schedule_look(ngx_http_background_runner_t *r)
{
    uint64_t                          now, due, retry;
    ngx_str_t                        *cause;
    ngx_msec_t                        wait;
    ngx_http_background_duty_t       *duty;
    ngx_http_background_look_t        look;
    ngx_http_background_duty_info_t   info;

    now = ngx_http_background_wall_clock();
    duty = ngx_http_background_cell_duty(r->cell);

    ngx_memzero(&look, sizeof(ngx_http_background_look_t));

    if (r->task->rules) {
        ngx_http_background_duty_read(duty, &info);
        ngx_http_background_plan_look(r->task->rules, r->seed, info.checked,
                                      now / 1000, &look);
        ngx_http_background_duty_check(duty, look.checked, look.due);
    }

    if (look.missed) {
        ngx_http_background_duty_missed(duty, look.missed);

        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": %ui times of its schedule "
                      "missed%s", &r->task->zone.name, look.missed,
                      look.late ? ", it starts now" : "");
    }

    cause = !look.run ? NULL
            : look.late ? &ngx_http_background_missed
                        : &ngx_http_background_scheduled;

    if (r->task->rules && !r->task->cluster && info.again && r->pending == NULL
        && ngx_queue_empty(&r->cycles))
    {
        cause = &ngx_http_background_scheduled;
    }

    /* the wall clock may have passed the time already */

    due = look.due ? ngx_current_msec + ngx_max(look.due * 1000, now) - now
                   : 0;
    retry = ngx_http_background_schedule_retry(r);

    if (retry) {
        if (cause == NULL && retry <= ngx_current_msec) {
            cause = &ngx_http_background_retried;

        } else if (due == 0 || retry < due) {
            due = retry;
        }
    }

    wait = due ? ngx_min(due - ngx_min(due, ngx_current_msec),
                         NGX_HTTP_BACKGROUND_LOOK)
               : NGX_HTTP_BACKGROUND_LOOK;

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    ngx_add_timer(&r->timer, wait);

    if (ngx_abs((int64_t) (due
                           - ngx_http_background_cell_stats(r->cell)->due))
        >= NGX_HTTP_BACKGROUND_OFF)
    {
        ngx_http_background_cell_schedule(r->cell, due);

        /* another nginx that takes the task over counts what was missed */

        ngx_http_background_runner_save(r);
    }

    if (cause && cause != &ngx_http_background_retried
        && !ngx_queue_empty(&r->cycles))
    {
        ngx_http_background_cell_skipped(r->cell);
        return;
    }

    /* the state is written before the cycle starts, or it might be repeated */

    if (cause == &ngx_http_background_missed
        && ngx_http_background_tasks.zcf->state.len)
    {
        r->saved = ngx_http_background_state_ask(
                                         ngx_http_background_tasks.zcf->zone);
        r->asked = ngx_current_msec;
    }

    if (cause) {
        ngx_http_background_runner_want(r, cause);
    }
}


/* returns the time of "retry", or 0 if there is none or a cycle is under way */

static uint64_t
ngx_http_background_schedule_retry(ngx_http_background_runner_t *r)
{
    const ngx_http_background_stats_t  *stats;

    stats = ngx_http_background_cell_stats(r->cell);

    if (r->task->retry == 0 || stats->failures == 0 || stats->ended == 0
        || r->pending || !ngx_queue_empty(&r->cycles))
    {
        return 0;
    }

    return ngx_max(stats->ended, r->cancelled)
           + ngx_http_background_retry(r->task, stats->failures);
}


/* starts a cycle now, or stores its cause until it can start */

static void
ngx_http_background_runner_want(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    /* an order, or an end of a task, that waited is read from the zone again */

    if (r->pending && r->pending != cause) {
        r->orders = 1;
    }

    r->pending = cause;

    /* the next owner of the cell does not find the time due any more */

    if (ngx_http_background_timed(cause) && !r->task->cluster) {
        ngx_http_background_runner_repeat(r, 1);
    }

    if (!r->leased || r->elsewhere || r->candidate
        || (r->task->cluster
            && (!r->joined || !r->task->cluster->holds(&r->claim)))
        || ngx_quit || ngx_terminate
        || ngx_http_background_quarantined(r)
        || ngx_http_background_zone_revoked()
        || !ngx_queue_empty(&r->cycles)
        || !ngx_http_background_runner_saved(r)
        || ngx_http_background_record_trial(r->task->zone.record) != NGX_OK)
    {
        return;
    }

    if (ngx_http_background_runner_lock(r) != NGX_OK) {
        ngx_http_background_record_tried(r->task->zone.record);
        return;
    }

    r->pending = NULL;

    ngx_http_background_runner_acked(r, cause);
    ngx_http_background_runner_due(r, cause);
}


/* whether a schedule is the cause */

static ngx_uint_t
ngx_http_background_timed(ngx_str_t *cause)
{
    return cause == &ngx_http_background_scheduled
           || cause == &ngx_http_background_missed;
}


static void
ngx_http_background_runner_repeat(ngx_http_background_runner_t *r,
    ngx_uint_t again)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    if (info.again != again) {
        ngx_http_background_duty_again(duty, again);
        ngx_http_background_runner_save(r);
    }
}


/* the file system may block, or the first worker, which writes the state */

static ngx_uint_t
ngx_http_background_runner_saved(ngx_http_background_runner_t *r)
{
    if (!ngx_http_background_state_answered(
                                  ngx_http_background_tasks.zcf->zone, r->saved)
        && ngx_current_msec - r->asked < NGX_HTTP_BACKGROUND_STATE_TIMEOUT)
    {
        return 0;
    }

    r->saved = 0;

    return 1;
}


static ngx_int_t
ngx_http_background_runner_lock(ngx_http_background_runner_t *r)
{
    ngx_http_background_lock_t  *lock;

    lock = r->task->zone.locked;

    return lock ? ngx_http_background_lock_take(lock, r->waiter) : NGX_OK;
}


/* releases the lock if no job of the cycle is on a thread */

static void
ngx_http_background_runner_unlock(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    if (cycle->locked && cycle->pending == 0) {
        cycle->locked = 0;
        ngx_http_background_lock_release(r->task->zone.locked);
    }
}


static void
ngx_http_background_runner_due(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_start_t   start;
    ngx_http_background_cycle_t  *cycle;

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    if (ngx_http_background_cycle_create(&r->task->operations, &start, r->log,
                                         &cycle)
        != NGX_OK)
    {
        if (r->task->zone.locked) {
            ngx_http_background_lock_release(r->task->zone.locked);
        }

        ngx_http_background_runner_failed(r, cause);
        return;
    }

    cycle->locked = (r->task->zone.locked != NULL);

    if (cause == &ngx_http_background_followed) {
        ngx_http_background_runner_told(r, cycle);
    }

    cycle->retry = ngx_http_background_cell_stats(r->cell)->failures
                   && r->whole > ngx_current_msec;

    ngx_http_background_runner_run(r, cycle, r->cell, cause);
}


/* copies "after", which may change while the cycle is under way */

static void
ngx_http_background_runner_told(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    cycle->follows = ngx_palloc(cycle->pool,
                                 sizeof(ngx_http_background_told_t));

    if (cycle->follows) {
        *cycle->follows = *r->after;
    }
}


static void
ngx_http_background_runner_failed(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_outcome_t  outcome;

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    outcome.outcome = ngx_http_background_failure;
    ngx_str_set(&outcome.error, "no memory for the cycle");

    outcome.last.failed = 1;
    outcome.last.finished_at = ngx_http_background_wall_clock();
    outcome.last.started_at = outcome.last.finished_at;
    outcome.cycles = 1;

    ngx_http_background_runner_begin(r->cell, cause);
    ngx_http_background_runner_record(r, r->cell, &outcome);
    ngx_http_background_runner_log(r, r->cell, &outcome);

    ngx_http_background_interval_arm(r);
}


ngx_int_t
ngx_http_background_start(ngx_http_background_task_t *task,
    ngx_http_background_start_t *start, ngx_http_background_cycle_t **cp)
{
    ngx_int_t                      rc;
    ngx_http_background_runner_t  *r;

    r = task->runner;

    rc = ngx_http_background_runner_admit(r, start);

    if (rc != NGX_OK) {
        ngx_http_background_cycle_drop(start, ngx_cycle->log);
        return rc;
    }

    rc = ngx_http_background_cycle_create(&task->operations, start, r->log,
                                          cp);
    if (rc != NGX_OK) {
        if (task->zone.locked) {
            ngx_http_background_lock_release(task->zone.locked);
        }

        ngx_http_background_record_tried(task->zone.record);
        return rc;
    }

    (*cp)->locked = (task->zone.locked != NULL);
    (*cp)->arrived = 1;
    r->narrived++;

    ngx_http_background_runner_run(r, *cp, r->arrived, &start->cause);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_runner_admit(ngx_http_background_runner_t *r,
    ngx_http_background_start_t *start)
{
    ngx_http_background_cell_t   *cell;
    ngx_http_background_tasks_t  *ts;

    ts = &ngx_http_background_tasks;

    /*
     * With "finish" cycles start while the worker shuts down, too: its clients
     * are still served.
     */

    if (r == NULL || ts->aborted || (ts->stopping && !start->finish)
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

        ngx_http_background_runner_inherit(r, cell);
    }

    if (ngx_http_background_runner_halted(r)) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_DECLINED;
    }

    if (ngx_http_background_runner_busy(r, start)) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_BUSY;
    }

    if (ngx_http_background_record_trial(r->task->zone.record) != NGX_OK) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_DECLINED;
    }

    if (ngx_http_background_runner_lock(r) != NGX_OK) {
        ngx_http_background_record_tried(r->task->zone.record);
        ngx_http_background_cell_declined(r->arrived);
        return NGX_BUSY;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_background_runner_busy(ngx_http_background_runner_t *r,
    ngx_http_background_start_t *start)
{
    if (start->concurrency && r->narrived >= start->concurrency) {
        return 1;
    }

    if (start->waiting && start->queue
        && ngx_http_background_pool_waiting(start->waiting) >= start->queue)
    {
        return 1;
    }

    return r->task->cpu && ngx_http_background_pool_full();
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

    if (r->joined && cell == r->cell) {
        cycle->fence = r->claim.fence;
        cycle->until = &r->claim.until;
    }

    cycle->task = &r->task->zone.name;
    cycle->cause = (cell == r->cell) ? cause : NULL;
    cycle->ended = ngx_http_background_runner_ended;

    ngx_queue_insert_tail(&r->cycles, &cycle->queue);

    ngx_http_background_tasks_hold();

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

    if (cause.len) {
        ngx_memcpy(cause.text, text->data, cause.len);
    }

    ngx_http_background_cell_begin(cell, ngx_current_msec, &cause);
}


/*
 * The "ended" handler of a cycle.  It is called when the cycle is over or is
 * abandoned, and once more when the last job of an abandoned cycle has ended.
 */

static void
ngx_http_background_runner_ended(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      leased;
    ngx_http_background_cycle_t    *oldest;
    ngx_http_background_runner_t   *r;
    ngx_http_background_outcome_t   outcome;

    r = cycle->owner;

    ngx_http_background_runner_unlock(r, cycle);

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

    if (leased && !outcome.returned && !cycle->retry) {
        r->whole = cycle->resumes && r->task->interval
                   ? ngx_current_msec + r->task->interval
                     + ngx_http_background_jitter(r->task)
                   : 0;
    }

    if (!outcome.returned && ngx_http_background_runner_unfinished(r, cycle)) {
        ngx_http_background_runner_again(r, cycle->cause);
    }

    oldest = ngx_http_background_runner_cycle(r, cycle->cell, 0);
    outcome.oldest = oldest ? oldest->started : 0;

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


/* if it was ordered to be cancelled, that is all */

static ngx_uint_t
ngx_http_background_runner_unfinished(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    return cycle->cell == r->cell
           && cycle->end.outcome == ngx_http_background_cancel
           && ngx_http_background_tasks.stopping
           && (r->cancelled == 0 || cycle->started > r->cancelled);
}


/*
 * A cycle was cancelled as its worker exits, or crashed in another task; NULL:
 * its cause is not known.  Who has the lease starts it again.  Cycles of
 * "interval" and "retry" are due by themselves, and with "workers cluster" the
 * next one may be that of another server.
 */

static void
ngx_http_background_runner_again(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    if (r->task->cluster || (r->task->interval && cause == NULL)) {
        return;
    }

    if (cause == NULL) {
        cause = r->task->rules ? &ngx_http_background_scheduled
                : r->task->after ? &ngx_http_background_followed
                                 : &ngx_http_background_ordered;
    }

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    if (ngx_http_background_timed(cause)) {
        ngx_http_background_duty_again(duty, 1);

    } else if (cause == &ngx_http_background_followed && info.fired) {
        ngx_http_background_duty_fire(duty, info.fired - 1, 0);

    } else if (cause == &ngx_http_background_ordered && info.ordered) {
        ngx_http_background_duty_order(duty, info.ordered - 1);
    }
}


/* the worker was revoked: the cell has another owner, or will have */

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
        ngx_http_background_runner_forgo(r);
    }

    if (cycle->handler && !told) {
        cycle->handler(cycle, cycle->data);

    } else if (cycle->handler == NULL || cycle->unwanted) {
        ngx_http_background_free(cycle);
    }
}


/* applies "interval", "retry", and "health" to the outcome */

static void
ngx_http_background_runner_record(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome)
{
    uint64_t                            failures;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;
    stats = ngx_http_background_cell_stats(cell);

    if (cell != r->cell) {
        if (outcome->outcome != ngx_http_background_cancel
            && (outcome->cycles > outcome->returned || outcome->crash))
        {
            ngx_http_background_runner_second(r, &outcome->last);

            if (task->judged) {
                ngx_http_background_record_judge(task->zone.record,
                            outcome->outcome == ngx_http_background_success,
                            outcome->abandoned ? 1 : task->fails,
                            task->passes);
            }
        }

    } else {
        outcome->fails = (ngx_http_background_quarantined(r)
                          || outcome->abandoned) ? 1 : task->fails;
        outcome->passes = task->passes;
        outcome->history = 1;

        if (outcome->outcome == ngx_http_background_success) {
            outcome->due = task->interval ? ngx_http_background_due(r, 0) : 0;

        } else if (outcome->outcome == ngx_http_background_failure
                   && task->retry)
        {
            failures = stats->failures + outcome->cycles - outcome->returned;
            outcome->due = ngx_http_background_due(r, failures);

        } else if (outcome->outcome == ngx_http_background_cancel
                   && task->interval && !outcome->crash
                   && !ngx_http_background_tasks.stopping)
        {
            /* as it was ordered, not to begin again at once */

            outcome->due = ngx_http_background_due(r, 0);
        }
    }

    ngx_http_background_cell_record(task->zone.record, cell, outcome);

    if (task->followers
        && outcome->outcome != ngx_http_background_cancel
        && (outcome->cycles > outcome->returned || outcome->crash))
    {
        ngx_http_background_runner_fire(r, outcome);
    }

    if (cell == r->cell) {
        ngx_http_background_runner_save(r);
    }
}


/* tells the tasks that come after this one */

static void
ngx_http_background_runner_fire(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_t *outcome)
{
    ngx_uint_t                      i, on, failed, unhealthy, changed;
    ngx_http_background_task_t     *task;
    ngx_http_background_follow_t   *follow;
    ngx_http_background_orders_t   *orders;

    task = r->task;
    failed = (outcome->outcome == ngx_http_background_failure);
    unhealthy = ngx_http_background_runner_unhealthy(r);

    changed = ngx_http_background_orders_alarm(
                     ngx_http_background_record_orders(task->zone.record),
                     unhealthy)
              == NGX_OK;

    on = NGX_HTTP_BACKGROUND_ON_ANY;

    if (!failed) {
        on |= NGX_HTTP_BACKGROUND_ON_SUCCESS;
    }

    if (changed) {
        on |= unhealthy ? NGX_HTTP_BACKGROUND_ON_FAILURE
                        : NGX_HTTP_BACKGROUND_ON_RECOVERY;
    }

    follow = task->followers->elts;

    for (i = 0; i < task->followers->nelts; i++) {

        if (follow[i].on & on) {
            orders = ngx_http_background_record_orders(
                                               follow[i].task->zone.record);
            ngx_http_background_orders_fire(orders, &task->zone.name,
                                            &outcome->error, failed);
        }
    }

    ngx_http_background_zone_tell(ngx_http_background_tasks.zcf->zone);
}


static ngx_uint_t
ngx_http_background_runner_unhealthy(ngx_http_background_runner_t *r)
{
    uint64_t                       failures;
    ngx_uint_t                     i;
    ngx_http_background_cell_t    *cell;
    ngx_http_background_record_t  *record;

    record = r->task->zone.record;

    if (!ngx_http_background_record_verdict(record, &failures)) {
        return 1;
    }

    for (i = 0; i < r->task->zone.cells; i++) {
        cell = ngx_http_background_cell(record, i);

        if (cell && ngx_http_background_cell_unhealthy(cell)) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_background_runner_log(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome)
{
    u_char       text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    uint64_t     failures;
    ngx_str_t   *name, error;
    ngx_uint_t   retries;

    name = &r->task->zone.name;
    retries = (cell == r->cell && !outcome->abandoned && !r->paused
               && !ngx_http_background_quarantined(r));

    if (outcome->outcome == ngx_http_background_success) {
        ngx_http_background_log_success(&r->lines, r->log, name,
                                        &outcome->last);
        return;
    }

    if (outcome->outcome == ngx_http_background_cancel) {
        if (cell == r->cell) {
            ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                          "background task \"%V\": cancelled after %uL.%03uLs",
                          name, outcome->last.wall_time / 1000,
                          outcome->last.wall_time % 1000);
        }

        return;
    }

    if (outcome->returned && !outcome->crash) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": an abandoned job has ended",
                      name);
        return;
    }

    failures = ngx_http_background_cell_stats(cell)->failures;
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
                                    (retries && outcome->due)
                                    ? outcome->due - ngx_current_msec : 0);
}


/*
 * Thousands of cycles may end in a second.  They make up one entry of the
 * history: the longest duration and the sum of failed operations.
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


/* ngx_random() returns 31 bits, which is less than 25 days in milliseconds */

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
    ngx_str_t                           error;
    const ngx_http_background_stats_t  *stats;

    if (r->second.finished_at == 0) {
        return;
    }

    ngx_str_null(&error);

    if (r->second.failed && r->arrived) {
        stats = ngx_http_background_cell_stats(r->arrived);

        /* the last error of the cell belongs to this entry */

        if (stats->failure_at / 1000 == r->second.finished_at / 1000) {
            error.data = (u_char *) stats->error;
            error.len = stats->error_len;
        }
    }

    ngx_http_background_record_history(r->task->zone.record, &r->second,
                                       &error);
    ngx_memzero(&r->second, sizeof(ngx_http_background_history_t));
}


/*
 * The time of the next cycle, after "failures" failed cycles in a row; 0: the
 * last cycle succeeded.
 */

static uint64_t
ngx_http_background_due(ngx_http_background_runner_t *r, uint64_t failures)
{
    uint64_t                     now, due;
    ngx_http_background_task_t  *task;

    task = r->task;
    now = ngx_current_msec;

    if (failures == 0) {
        return r->whole ? ngx_max(r->whole, now)
                        : now + task->interval
                          + ngx_http_background_jitter(task);
    }

    due = now + ngx_http_background_retry(task, failures);

    /*
     * Items that did not fail must not wait for a "retry" longer than until
     * the next full cycle.
     */

    if (r->whole && task->retry < task->interval) {
        due = ngx_min(due, ngx_max(r->whole, now + task->retry));
    }

    return due;
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
