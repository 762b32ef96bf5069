
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_pool.h"
#include "ngx_http_background_fs.h"
#include "ngx_http_background_headroom.h"
#include "ngx_http_background_job.h"
#include "ngx_http_background_slot.h"
#include "ngx_http_background_thread.h"

#include <sys/eventfd.h>


/* a thread of the pool; used in the main thread unless noted otherwise */

typedef struct {
    ngx_queue_t                       queue;      /* in the queue of idle
                                                     threads */
    ngx_thread_pool_t                *pool;
    ngx_thread_task_t                 task;
    ngx_http_background_slot_t        slot;
    ngx_uint_t                        initialized;
                                                  /* unsigned initialized:1;
                                                     used by the thread only */
    ngx_http_background_clock_t       clock;      /* after the last job; used
                                                     by the thread only */
    ngx_uint_t                        busy;       /* atomic */
    ngx_http_background_cell_t       *cell;       /* the cell of the running
                                                     job; atomic */
} ngx_http_background_seat_t;


typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_pool_conf_t  *conf;
    ngx_http_background_seat_t       *seats;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_http_background_thread_t     *threads;
    ngx_uint_t                        nthreads;
    ngx_connection_t                 *notify;
    ngx_event_t                       timer;
    ngx_uint_t                        blocked[2]; /* there was no thread or no
                                                     slot for waiting jobs of
                                                     this kind */

    /* jobs of requests use no more of the threads */
    ngx_uint_t                        max_arrived;

    /* under the mutex of the slots */
    ngx_queue_t                       waiting[2]; /* jobs: periodic ones, and
                                                     those of requests */
    ngx_uint_t                        nwaiting[2];
    uint64_t                          number;     /* of the last that waited */
    ngx_uint_t                        narrived;   /* jobs of requests that are
                                                     on threads */
    ngx_queue_t                       done;
    ngx_uint_t                        ndone;      /* threads that worked for
                                                     jobs in "done" */
    uint64_t                          done_usec;  /* their CPU time */
    ngx_uint_t                        told;       /* unsigned told:1; the event
                                                     loop was notified of jobs
                                                     in "done" */
    ngx_queue_t                       idle;       /* threads */
    ngx_uint_t                        nidle;
    ngx_uint_t                        called[2];  /* threads that were posted
                                                     to and have not taken a
                                                     job yet: all, and those
                                                     with a reserved slot */
} ngx_http_background_pool_t;


static void ngx_http_background_pool_make_threads(
    ngx_http_background_pool_t *pool, ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_pool_open_notify(
    ngx_http_background_pool_t *pool);
static void ngx_http_background_pool_notify(void);
static void ngx_http_background_pool_notify_handler(ngx_event_t *ev);

static void ngx_http_background_pool_dispatch(void);
static ngx_int_t ngx_http_background_pool_call(
    ngx_http_background_pool_t *pool, ngx_http_background_seat_t **called);
static void ngx_http_background_pool_not_called(
    ngx_http_background_pool_t *pool, ngx_http_background_seat_t *seat);
static void ngx_http_background_pool_timer_handler(ngx_event_t *ev);
static void ngx_http_background_pool_event_handler(ngx_event_t *ev);
static void ngx_http_background_pool_complete(void);
static void ngx_http_background_pool_count(ngx_http_background_pool_t *pool,
    ngx_http_background_job_t *job, ngx_int_t n);
static void ngx_http_background_pool_called(ngx_http_background_pool_t *pool,
    const ngx_http_background_slot_t *slot, ngx_int_t n);
static ngx_uint_t ngx_http_background_pool_queued(
    ngx_http_background_pool_t *pool, ngx_uint_t arrived);
static ngx_uint_t ngx_http_background_pool_startable(
    ngx_http_background_pool_t *pool);
static void ngx_http_background_pool_publish(ngx_http_background_pool_t *pool);

static void ngx_http_background_pool_thread_handler(void *data,
    ngx_log_t *log);
static ngx_uint_t ngx_http_background_pool_done(
    ngx_http_background_pool_t *pool, ngx_http_background_job_t *job);
static ngx_http_background_job_t *ngx_http_background_pool_next(
    ngx_http_background_seat_t *seat);
static ngx_http_background_job_t *ngx_http_background_pool_first(
    ngx_http_background_pool_t *pool, ngx_uint_t reserved);


static ngx_http_background_pool_t  ngx_http_background_pool;


void
ngx_http_background_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_memzero(pool, sizeof(ngx_http_background_pool_t));

    pool->conf = pcf;
    pool->log = cycle->log;
    pool->ident = -1;

    ngx_queue_init(&pool->waiting[0]);
    ngx_queue_init(&pool->waiting[1]);
    ngx_queue_init(&pool->done);
    ngx_queue_init(&pool->idle);

    pool->timer.handler = ngx_http_background_pool_timer_handler;
    pool->timer.data = pool;
    pool->timer.log = cycle->log;
    pool->timer.cancelable = 1;

    if (ngx_http_background_slots_init(pcf, ngx_http_background_pool_notify,
                                       cycle->log)
        != NGX_OK
        || ngx_http_background_pool_open_notify(pool) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "background: no threads in this worker, jobs fail");
        return;
    }

    ngx_http_background_fs_open(cycle->log);

    if (pcf->gives_way) {
        ngx_http_background_headroom_open(cycle->log);
    }

    ngx_http_background_pool_make_threads(pool, cycle);

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "background: CPU limit %ui (%s), "
                  "thread pool started with %ui threads",
                  (ngx_uint_t) pcf->cpu_limit.limit, pcf->cpu_limit.source,
                  ngx_min(pool->nthreads, pcf->per_worker));
}


static void
ngx_http_background_pool_make_threads(ngx_http_background_pool_t *pool,
    ngx_cycle_t *cycle)
{
    ngx_uint_t                   i, n, reserve;
    ngx_http_background_seat_t  *seat;

    n = pool->conf->worker_threads;

    pool->threads = ngx_pcalloc(cycle->pool,
                                n * sizeof(ngx_http_background_thread_t));
    pool->seats = ngx_pcalloc(cycle->pool,
                              n * sizeof(ngx_http_background_seat_t));

    if (pool->threads && pool->seats) {
        pool->nthreads = ngx_http_background_threads_start(cycle,
                                                           pool->threads, n);
    }

    for (i = 0; i < pool->nthreads; i++) {
        seat = &pool->seats[i];

        seat->pool = pool->threads[i].pool;
        seat->slot.number = NGX_DECLINED;

        seat->task.handler = ngx_http_background_pool_thread_handler;
        seat->task.ctx = seat;
        seat->task.event.handler = ngx_http_background_pool_event_handler;
        seat->task.event.data = seat;
        seat->task.event.log = pool->log;

        ngx_queue_insert_tail(&pool->idle, &seat->queue);
    }

    pool->nidle = pool->nthreads;

    reserve = ngx_http_background_pool_reserve(pool->conf);
    pool->max_arrived = ngx_max(pool->nthreads, reserve + 1) - reserve;

    if (pool->nthreads == 0) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "background: no threads in this worker, jobs fail");

    } else if (pool->nthreads < n) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "background: only %ui of %ui threads could be made, "
                      "this worker runs fewer jobs at once",
                      pool->nthreads, n);
    }
}


/*
 * A thread that continues with another job notifies the event loop by this
 * eventfd.
 */

static ngx_int_t
ngx_http_background_pool_open_notify(ngx_http_background_pool_t *pool)
{
    int                fd;
    ngx_connection_t  *c;

    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, pool->log, ngx_errno,
                      "eventfd() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, pool->log);

    if (c == NULL) {
        if (close(fd) == -1) {
            ngx_log_error(NGX_LOG_ALERT, pool->log, ngx_errno,
                          "close() failed");
        }

        return NGX_ERROR;
    }

    c->data = pool;
    c->read->handler = ngx_http_background_pool_notify_handler;
    c->read->log = pool->log;
    c->write->log = pool->log;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    pool->notify = c;

    return NGX_OK;
}


static void
ngx_http_background_pool_notify(void)
{
    uint64_t  n;

    n = 1;

    while (write(ngx_http_background_pool.notify->fd, &n, sizeof(uint64_t))
           == -1
           && ngx_errno == NGX_EINTR)
    {
        /* void */
    }
}


static void
ngx_http_background_pool_notify_handler(ngx_event_t *ev)
{
    /* the event is edge-triggered, so the counter is not read */

    ev->ready = 0;

    ngx_http_background_pool_complete();
    ngx_http_background_pool_dispatch();
}


ngx_uint_t
ngx_http_background_pool_threads(void)
{
    return ngx_http_background_pool.conf->threads;
}


ngx_uint_t
ngx_http_background_pool_quota(void)
{
    ngx_http_background_pool_conf_t  *pcf;

    pcf = ngx_http_background_pool.conf;

    return pcf->quota < 100 || pcf->gives_way ? pcf->quota : 0;
}


ngx_int_t
ngx_http_background_pool_post(ngx_http_background_job_t *job)
{
    ngx_uint_t                   dispatch;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->nthreads == 0) {
        ngx_http_background_fail(&job->run.result, 0,
                                 "the worker has no threads");
        return NGX_ERROR;
    }

    ngx_http_background_slots_lock();

    if (ngx_http_background_pool_queued(pool, job->arrived)
        >= pool->conf->max_queue)
    {
        ngx_http_background_slots_unlock();

        ngx_http_background_fail(&job->run.result, 0,
                                 "queue overflow: %ui jobs waiting",
                                 pool->conf->max_queue);
        return NGX_ERROR;
    }

    job->lead = job;
    job->number = ++pool->number;
    job->state = ngx_http_background_job_waiting;

    if (job->posted) {
        (*job->posted)++;
    }

    /* otherwise others of its kind wait for what this one would need */

    dispatch = ngx_queue_empty(&pool->waiting[job->arrived])
               || !pool->blocked[job->arrived];

    ngx_queue_insert_tail(&pool->waiting[job->arrived], &job->queue);
    ngx_http_background_pool_count(pool, job, 1);

    ngx_http_background_slots_unlock();

    if (dispatch) {
        ngx_http_background_pool_dispatch();
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_pool_cancel(ngx_http_background_job_t *job)
{
    __atomic_store_n(&job->cancel, 1, __ATOMIC_RELAXED);

    return ngx_http_background_pool_withdraw(job) == NGX_OK ? NGX_OK
                                                            : NGX_AGAIN;
}


ngx_int_t
ngx_http_background_pool_withdraw(ngx_http_background_job_t *job)
{
    ngx_int_t                    rc;
    ngx_uint_t                   tell;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    rc = NGX_DECLINED;
    tell = 0;

    ngx_http_background_slots_lock();

    if (job->state == ngx_http_background_job_waiting) {
        job->state = ngx_http_background_job_none;
        job->cancelled = 1;

        ngx_queue_remove(&job->queue);
        ngx_http_background_pool_count(pool, job, -1);

        /*
         * The other jobs of the cycle may all be over, with nothing left that
         * would notify the event loop of them.
         */
        tell = job->posted && --*job->posted == 0;

        rc = NGX_OK;
    }

    ngx_http_background_slots_wake();
    ngx_http_background_slots_unlock();

    if (tell) {
        ngx_http_background_pool_notify();
    }

    return rc;
}


ngx_uint_t
ngx_http_background_pool_waits(ngx_http_background_job_t *job)
{
    ngx_uint_t  waits;

    ngx_http_background_slots_lock();

    waits = (job->state == ngx_http_background_job_waiting);

    ngx_http_background_slots_unlock();

    return waits;
}


ngx_uint_t
ngx_http_background_pool_full(void)
{
    ngx_uint_t                   full;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->nthreads == 0) {
        return 0;
    }

    ngx_http_background_slots_lock();

    full = ngx_http_background_pool_queued(pool, 1) >= pool->conf->max_queue;

    ngx_http_background_slots_unlock();

    return full;
}


/* threads take any jobs, so no more of the counter wait than of all jobs */

ngx_uint_t
ngx_http_background_pool_waiting(const ngx_uint_t *counter)
{
    ngx_uint_t                   n, queued;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_http_background_slots_lock();

    n = *counter;
    queued = ngx_http_background_pool_queued(pool, 1);

    ngx_http_background_slots_unlock();

    return ngx_min(n, queued);
}


ngx_uint_t
ngx_http_background_pool_runs(ngx_http_background_cell_t *cell)
{
    ngx_uint_t                   i;
    ngx_http_background_cell_t  *running;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    for (i = 0; i < pool->nthreads; i++) {
        running = __atomic_load_n(&pool->seats[i].cell, __ATOMIC_RELAXED);

        if (running && (cell == NULL || cell == running)) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_background_pool_stop(ngx_cycle_t *cycle)
{
    ngx_uint_t                   i;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->conf == NULL) {
        return;
    }

    /* ngx_thread_pool_destroy() would wait for the threads in a busy loop */

    for (i = 0; i < pool->nthreads; i++) {
        while (__atomic_load_n(&pool->seats[i].busy, __ATOMIC_ACQUIRE)) {
            ngx_msleep(1);
            ngx_http_background_zone_beat();
        }
    }

    ngx_http_background_threads_stop(pool->threads, pool->nthreads);
    ngx_http_background_fs_close(cycle->log);
    ngx_http_background_headroom_close(cycle->log);

    pool->nthreads = 0;

    /* handlers may post other jobs, which fail as there are no threads */

    ngx_http_background_pool_complete();

    if (pool->timer.timer_set) {
        ngx_del_timer(&pool->timer);
    }

    if (pool->notify) {
        ngx_close_connection(pool->notify);
    }

    pool->conf = NULL;

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "background: thread pool shut down");
}


/* posts as many threads as there are both waiting jobs and slots */

static void
ngx_http_background_pool_dispatch(void)
{
    ngx_int_t                    rc;
    ngx_http_background_pool_t  *pool;
    ngx_http_background_seat_t  *seat;

    pool = &ngx_http_background_pool;

    for ( ;; ) {
        ngx_http_background_slots_lock();
        rc = ngx_http_background_pool_call(pool, &seat);
        ngx_http_background_slots_unlock();

        if (rc != NGX_OK) {
            break;
        }

        /* not under the mutex, as the thread locks it first */

        if (ngx_thread_task_post(seat->pool, &seat->task) != NGX_OK) {
            ngx_http_background_pool_not_called(pool, seat);
            rc = NGX_AGAIN;
            break;
        }
    }

    if (rc == NGX_AGAIN && !pool->timer.timer_set) {
        ngx_add_timer(&pool->timer, NGX_HTTP_BACKGROUND_SLOT_POLL / 1000);
    }
}


/*
 * Returns NGX_AGAIN if there is no slot, NGX_DONE if no job needs a slot or no
 * thread is idle.
 */

static ngx_int_t
ngx_http_background_pool_call(ngx_http_background_pool_t *pool,
    ngx_http_background_seat_t **called)
{
    ngx_uint_t                   arrived;
    ngx_queue_t                 *q;
    ngx_http_background_seat_t  *seat;

    pool->blocked[0] = 0;
    pool->blocked[1] = 0;

    if (ngx_http_background_pool_startable(pool) == 0) {
        return NGX_DONE;
    }

    if (ngx_queue_empty(&pool->idle)) {
        pool->blocked[0] = 1;
        pool->blocked[1] = 1;
        return NGX_DONE;
    }

    q = ngx_queue_last(&pool->idle);
    seat = ngx_queue_data(q, ngx_http_background_seat_t, queue);

    arrived = (pool->nwaiting[0] <= pool->called[1]);

    if (ngx_http_background_slot_take(&seat->slot, arrived) != NGX_OK) {
        pool->blocked[0] = !arrived;
        pool->blocked[1] = 1;
        return NGX_AGAIN;
    }

    __atomic_store_n(&seat->busy, 1, __ATOMIC_RELAXED);

    ngx_queue_remove(q);
    pool->nidle--;
    ngx_http_background_pool_called(pool, &seat->slot, 1);
    ngx_http_background_pool_publish(pool);

    *called = seat;

    return NGX_OK;
}


static void
ngx_http_background_pool_not_called(ngx_http_background_pool_t *pool,
    ngx_http_background_seat_t *seat)
{
    __atomic_store_n(&seat->busy, 0, __ATOMIC_RELAXED);

    ngx_http_background_slots_lock();

    ngx_http_background_pool_called(pool, &seat->slot, -1);
    ngx_http_background_slot_release(&seat->slot);

    ngx_queue_insert_tail(&pool->idle, &seat->queue);
    pool->nidle++;
    ngx_http_background_pool_publish(pool);

    ngx_http_background_slots_unlock();
}


static void
ngx_http_background_pool_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_pool_complete();
    ngx_http_background_pool_dispatch();
}


/* the event of a thread that has found no other job or has lost its slot */

static void
ngx_http_background_pool_event_handler(ngx_event_t *ev)
{
    ngx_http_background_seat_t *seat = ev->data;

    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_http_background_slots_lock();

    ngx_queue_insert_tail(&pool->idle, &seat->queue);
    pool->nidle++;
    ngx_http_background_pool_publish(pool);

    ngx_http_background_slots_unlock();

    ngx_http_background_pool_complete();
    ngx_http_background_pool_dispatch();
}


/*
 * Calls the handlers of jobs that are over.  A handler may free its job and
 * post other jobs.
 */

static void
ngx_http_background_pool_complete(void)
{
    uint64_t                     usec;
    ngx_uint_t                   n;
    ngx_queue_t                 *q, done;
    ngx_http_background_job_t   *job;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_queue_init(&done);

    ngx_http_background_slots_lock();

    n = pool->ndone;
    usec = pool->done_usec;

    pool->ndone = 0;
    pool->done_usec = 0;
    pool->told = 0;

    if (!ngx_queue_empty(&pool->done)) {
        ngx_queue_add(&done, &pool->done);
        ngx_queue_init(&pool->done);
    }

    ngx_http_background_slots_unlock();

    if (n || usec) {
        ngx_http_background_budget_completed(n, usec);
    }

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        ngx_queue_remove(q);

        job = ngx_queue_data(q, ngx_http_background_job_t, queue);
        job->state = ngx_http_background_job_none;

        job->handler(job);
    }
}


/*
 * Counts a job that starts to wait (n is 1) or waits no more (n is -1).  The
 * mutex must be locked.
 */

static void
ngx_http_background_pool_count(ngx_http_background_pool_t *pool,
    ngx_http_background_job_t *job, ngx_int_t n)
{
    pool->nwaiting[job->arrived] += n;
    ngx_http_background_pool_publish(pool);

    ngx_http_background_cell_waiting(job->cell, n, job->worker);

    if (job->counter) {
        __atomic_store_n(job->counter, *job->counter + n, __ATOMIC_RELAXED);
    }
}


/* counts threads that were posted to; the mutex must be locked */

static void
ngx_http_background_pool_called(ngx_http_background_pool_t *pool,
    const ngx_http_background_slot_t *slot, ngx_int_t n)
{
    pool->called[0] += n;

    if (ngx_http_background_slot_reserved(slot)) {
        pool->called[1] += n;
    }
}


/*
 * Returns the number of jobs that no posted thread will take: these take
 * periodic jobs first.  The mutex must be locked.
 */

static ngx_uint_t
ngx_http_background_pool_queued(ngx_http_background_pool_t *pool,
    ngx_uint_t arrived)
{
    ngx_uint_t  n, called;

    n = pool->nwaiting[arrived];
    called = pool->called[0];

    if (arrived) {
        called -= ngx_min(called, pool->nwaiting[0]);
    }

    return n - ngx_min(n, called);
}


/* those of them that there may be threads for */

static ngx_uint_t
ngx_http_background_pool_startable(ngx_http_background_pool_t *pool)
{
    ngx_uint_t  n;

    n = ngx_min(pool->nwaiting[1], pool->max_arrived - pool->narrived)
        + pool->nwaiting[0];

    return n - ngx_min(n, pool->called[0]);
}


static void
ngx_http_background_pool_publish(ngx_http_background_pool_t *pool)
{
    ngx_uint_t  n, ready, periodic;

    n = pool->nwaiting[0] + pool->nwaiting[1];
    ready = ngx_http_background_pool_startable(pool);
    periodic = ngx_http_background_pool_queued(pool, 0);

    ngx_http_background_slots_waiting(n - ngx_min(n, pool->called[0]),
                                      ngx_min(ready, pool->nidle),
                                      ngx_min(periodic, pool->nidle));
}


static void
ngx_http_background_pool_thread_handler(void *data, ngx_log_t *log)
{
    ngx_http_background_seat_t *seat = data;

    ngx_uint_t                   tell;
    ngx_http_background_job_t   *job, *next;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (!seat->initialized) {
        seat->initialized = 1;
        ngx_http_background_pool_thread_init(pool->conf, log);
        ngx_http_background_job_clock(&seat->clock);
    }

    ngx_http_background_slots_lock();

    ngx_http_background_pool_called(pool, &seat->slot, -1);
    seat->clock.now = ngx_http_background_usec(CLOCK_MONOTONIC);
    seat->slot.taken = seat->clock.now;
    job = ngx_http_background_pool_next(seat);
    ngx_http_background_pool_publish(pool);

    ngx_http_background_slots_unlock();

    while (job) {
        if (ngx_http_background_cell_hold(job->cell, job->worker) == NGX_OK) {
            __atomic_store_n(&seat->cell, job->cell, __ATOMIC_RELAXED);

            ngx_http_background_job_run(job, &seat->slot, &seat->clock);

            __atomic_store_n(&seat->cell, NULL, __ATOMIC_RELAXED);

            ngx_http_background_cell_unhold(job->cell);

        } else {
            job->cancelled = 1;
        }

        ngx_http_background_slots_lock();

        tell = ngx_http_background_pool_done(pool, job);
        next = ngx_http_background_pool_next(seat);

        /*
         * Without a next job this task ends, and its event notifies the event
         * loop.
         */

        tell = next && !pool->told
               && (tell || pool->nwaiting[0] + pool->nwaiting[1] == 0);

        if (tell) {
            pool->told = 1;
        }

        ngx_http_background_slots_unlock();

        if (tell) {
            ngx_http_background_pool_notify();
        }

        job = next;
    }

    __atomic_store_n(&seat->busy, 0, __ATOMIC_RELEASE);
}


/*
 * Returns whether the event loop must be notified at once, which is after the
 * last job of a cycle.  The mutex must be locked.
 */

static ngx_uint_t
ngx_http_background_pool_done(ngx_http_background_pool_t *pool,
    ngx_http_background_job_t *job)
{
    ngx_queue_insert_tail(&pool->done, &job->queue);

    pool->ndone += job->cancelled ? 0 : job->threads;
    pool->done_usec += job->cpu_usec;
    pool->narrived -= job->arrived;

    return job->posted == NULL || --*job->posted == 0;
}


/*
 * Returns the next job for the thread, or NULL; then the thread has released
 * its slot.  The mutex must be locked.
 */

static ngx_http_background_job_t *
ngx_http_background_pool_next(ngx_http_background_seat_t *seat)
{
    ngx_http_background_job_t   *job;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (seat->slot.number == NGX_DECLINED) {
        return NULL;
    }

    job = ngx_http_background_pool_first(pool,
                              ngx_http_background_slot_reserved(&seat->slot));

    if (job == NULL
        || ngx_http_background_slot_turn_over(&seat->slot, seat->clock.now))
    {
        ngx_http_background_slot_release(&seat->slot);
        return NULL;
    }

    ngx_queue_remove(&job->queue);
    pool->narrived += job->arrived;
    ngx_http_background_pool_count(pool, job, -1);

    /* with the mutex: a job that does not wait any more has got its thread */

    job->state = ngx_http_background_job_posted;
    __atomic_store_n(&job->ran, seat->clock.now, __ATOMIC_RELAXED);

    return job;
}


/* the one that has waited for longest, of those that may have such a slot */

static ngx_http_background_job_t *
ngx_http_background_pool_first(ngx_http_background_pool_t *pool,
    ngx_uint_t reserved)
{
    ngx_uint_t                  i;
    ngx_queue_t                *q;
    ngx_http_background_job_t  *job, *first;

    first = NULL;

    for (i = 0; i < (reserved ? 1 : 2); i++) {

        if (ngx_queue_empty(&pool->waiting[i])
            || (i == 1 && pool->narrived >= pool->max_arrived))
        {
            continue;
        }

        q = ngx_queue_head(&pool->waiting[i]);
        job = ngx_queue_data(q, ngx_http_background_job_t, queue);

        if (first == NULL || job->number < first->number) {
            first = job;
        }
    }

    return first;
}
