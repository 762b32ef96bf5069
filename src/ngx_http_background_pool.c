
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_job.h"
#include "ngx_http_background_thread.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>


/* linux/ioprio.h is not in every distribution's headers */
#define NGX_HTTP_BACKGROUND_IOPRIO_WHO_PROCESS  1
#define NGX_HTTP_BACKGROUND_IOPRIO_IDLE         (3 << 13)

/* how often who waits for a slot tries for one, in milliseconds */
#define NGX_HTTP_BACKGROUND_BUDGET_POLL  20

/*
 * A worker that gives a slot to others would be the first to see that it is
 * free: it takes none for this time, in microseconds.
 */
#define NGX_HTTP_BACKGROUND_AWAY         40000

/* threads beyond the slots, for jobs that have given theirs away */
#define NGX_HTTP_BACKGROUND_SPARE        4

/*
 * The most that all threads together take of a cgroup's quota, in percent,
 * where they would leave the event loops less than one CPU of it.
 */
#define NGX_HTTP_BACKGROUND_QUOTA        70

/* threads for blocking steps: one that hangs does not stop the others */
#define NGX_HTTP_BACKGROUND_BLOCKING     2


/* a thread as the event loop sees it */

typedef struct {
    ngx_queue_t                       queue;      /* of idle threads */
    ngx_thread_pool_t                *pool;
    ngx_thread_task_t                 task;
    ngx_http_background_slot_t        slot;
    ngx_uint_t                        initialized;
                                                  /* unsigned  initialized:1;
                                                     the thread's own */
    ngx_uint_t                        busy;       /* atomic */
} ngx_http_background_seat_t;


typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_pool_conf_t  *conf;
    ngx_core_conf_t                  *ccf;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    pthread_mutex_t                   mutex;
    pthread_cond_t                    cond;       /* slots have changed */

    /* under the mutex; the numbers are also read without it */
    ngx_queue_t                       waiting;    /* jobs */
    ngx_queue_t                       parked;     /* of leads */
    ngx_queue_t                       done;
    ngx_uint_t                        nwaiting;
    ngx_uint_t                        nparked;
    ngx_uint_t                        nidle;      /* threads */
    ngx_uint_t                        called;     /* threads that were posted
                                                     to and have not looked for
                                                     a job yet */
    uint64_t                          turn;       /* no slot is taken before
                                                     then; usec, monotonic */

    ngx_http_background_seat_t       *seats;
    ngx_http_background_thread_t     *threads;
    ngx_uint_t                        nthreads;
    ngx_queue_t                       idle;
    ngx_connection_t                 *notify;
    ngx_event_t                       timer;
} ngx_http_background_pool_t;


#define ngx_http_background_pool_add(p, n)                                   \
    ((void) __atomic_add_fetch(p, n, __ATOMIC_RELAXED))


static ngx_uint_t ngx_http_background_affinity(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);
static ngx_thread_pool_t *ngx_http_background_pool_make(ngx_conf_t *cf,
    ngx_str_t *name, ngx_uint_t n);

static ngx_int_t ngx_http_background_pool_init_lock(
    ngx_http_background_pool_t *pool);
static void ngx_http_background_pool_make_threads(
    ngx_http_background_pool_t *pool, ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_pool_open_notify(
    ngx_http_background_pool_t *pool);
static void ngx_http_background_pool_notify(void);
static void ngx_http_background_pool_notify_handler(ngx_event_t *ev);

static void ngx_http_background_pool_dispatch(void);
static ngx_int_t ngx_http_background_pool_call(
    ngx_http_background_pool_t *pool);
static void ngx_http_background_pool_timer_handler(ngx_event_t *ev);
static void ngx_http_background_pool_event_handler(ngx_event_t *ev);
static void ngx_http_background_pool_complete(void);
static void ngx_http_background_pool_publish(ngx_http_background_pool_t *pool);

static void ngx_http_background_pool_thread_handler(void *data,
    ngx_log_t *log);
static ngx_http_background_job_t *ngx_http_background_pool_next(
    ngx_http_background_seat_t *seat);
static void ngx_http_background_pool_thread_init(ngx_log_t *log);
static ngx_uint_t ngx_http_background_pool_may_take(
    ngx_http_background_job_t *job, uint64_t now, uint64_t parked);
static ngx_int_t ngx_http_background_pool_take_slot(
    ngx_http_background_slot_t *slot, uint64_t now);


static ngx_http_background_pool_t  ngx_http_background_pool;


extern ngx_module_t  ngx_thread_pool_module;


ngx_int_t
ngx_http_background_pool_init(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    double                            share;
    ngx_uint_t                        n;
    ngx_http_background_cpu_limit_t  *limit;

    n = ngx_http_background_affinity(cf, pcf);
    if (n == 0) {
        return NGX_ERROR;
    }

    limit = &pcf->cpu_limit;

    ngx_http_background_cpu_limit("", n, limit);

    if (pcf->threads == 0) {
        pcf->threads = ngx_min(ngx_max(limit->limit, 2) - 1,
                               NGX_HTTP_BACKGROUND_MAX_THREADS);
    }

    if (pcf->per_worker == 0) {
        pcf->per_worker = pcf->threads;
    }

    if (pcf->quota == 0) {
        pcf->quota = 100;

        if (limit->quota > 0 && limit->quota - (double) pcf->threads < 1) {
            share = ngx_min(limit->quota / (double) pcf->threads, 1);
            pcf->quota = ngx_max((ngx_uint_t)
                                 (NGX_HTTP_BACKGROUND_QUOTA * share), 1);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_background_affinity(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    ngx_int_t  n;

    /* the kernel's mask may be longer than cpu_set_t */

    for (n = CPU_SETSIZE; n <= 64 * CPU_SETSIZE; n *= 2) {
        pcf->affinity_size = CPU_ALLOC_SIZE(n);

        pcf->affinity = ngx_pcalloc(cf->pool, pcf->affinity_size);
        if (pcf->affinity == NULL) {
            return 0;
        }

        if (sched_getaffinity(0, pcf->affinity_size, pcf->affinity) == 0) {
            return CPU_COUNT_S(pcf->affinity_size, pcf->affinity);
        }

        if (ngx_errno != NGX_EINVAL) {
            break;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                  "sched_getaffinity() failed");

    return 0;
}


ngx_int_t
ngx_http_background_pool_add_blocking(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    static ngx_str_t  name = ngx_string("ngx_http_background_blocking");

    if (pcf->blocking_pool == NULL) {
        pcf->blocking_pool = ngx_http_background_pool_make(cf, &name,
                                             NGX_HTTP_BACKGROUND_BLOCKING);
    }

    return pcf->blocking_pool ? NGX_OK : NGX_ERROR;
}


/*
 * nginx has no function to make a pool of a given size: the "thread_pool"
 * directive's own handler is called, as if it stood in the configuration.
 */

static ngx_thread_pool_t *
ngx_http_background_pool_make(ngx_conf_t *cf, ngx_str_t *name, ngx_uint_t n)
{
    char           *rv;
    u_char         *threads;
    ngx_str_t      *value;
    ngx_array_t    *args, *saved;
    ngx_command_t  *cmd;

    threads = ngx_pnalloc(cf->pool, sizeof("threads=") + NGX_INT_T_LEN);
    if (threads == NULL) {
        return NULL;
    }

    args = ngx_array_create(cf->pool, 3, sizeof(ngx_str_t));
    if (args == NULL) {
        return NULL;
    }

    cmd = ngx_thread_pool_module.commands;

    value = ngx_array_push_n(args, 3);

    value[0] = cmd->name;
    value[1] = *name;
    value[2].data = threads;
    value[2].len = ngx_sprintf(threads, "threads=%ui", n) - threads;

    saved = cf->args;
    cf->args = args;

    rv = cmd->set(cf, cmd, NULL);

    cf->args = saved;

    if (rv != NGX_CONF_OK) {
        return NULL;
    }

    return ngx_thread_pool_add(cf, name);
}


void
ngx_http_background_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_memzero(pool, sizeof(ngx_http_background_pool_t));

    pool->conf = pcf;
    pool->ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                                 ngx_core_module);
    pool->log = cycle->log;
    pool->ident = -1;

    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->parked);
    ngx_queue_init(&pool->done);
    ngx_queue_init(&pool->idle);

    pool->timer.handler = ngx_http_background_pool_timer_handler;
    pool->timer.data = pool;
    pool->timer.log = cycle->log;
    pool->timer.cancelable = 1;

    if (ngx_http_background_pool_init_lock(pool) != NGX_OK
        || ngx_http_background_pool_open_notify(pool) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "background: no threads in this worker, jobs fail");
        return;
    }

    ngx_http_background_pool_make_threads(pool, cycle);

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "background: CPU limit %ui (%s), "
                  "thread pool started with %ui threads",
                  (ngx_uint_t) pcf->cpu_limit.limit, pcf->cpu_limit.source,
                  ngx_min(pool->nthreads, pcf->per_worker));
}


static ngx_int_t
ngx_http_background_pool_init_lock(ngx_http_background_pool_t *pool)
{
    int                 err;
    pthread_condattr_t  attr;

    err = pthread_mutex_init(&pool->mutex, NULL);
    if (err) {
        ngx_log_error(NGX_LOG_ALERT, pool->log, err,
                      "pthread_mutex_init() failed");
        return NGX_ERROR;
    }

    err = pthread_condattr_init(&attr);

    if (err == 0) {
        (void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        err = pthread_cond_init(&pool->cond, &attr);
        (void) pthread_condattr_destroy(&attr);
    }

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, pool->log, err,
                      "pthread_cond_init() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_background_pool_make_threads(ngx_http_background_pool_t *pool,
    ngx_cycle_t *cycle)
{
    ngx_uint_t                   i, n;
    ngx_http_background_seat_t  *seat;

    n = pool->conf->per_worker + NGX_HTTP_BACKGROUND_SPARE;

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


/* threads that go on with another job tell the event loop by an eventfd */

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
    uint64_t           n;
    ngx_connection_t  *c;

    c = ev->data;

    while (read(c->fd, &n, sizeof(uint64_t)) == -1 && ngx_errno == NGX_EINTR) {
        /* void */
    }

    ev->ready = 0;

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "background: the end of jobs can't be noticed");
    }

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
    return ngx_http_background_pool.conf->quota;
}


ngx_int_t
ngx_http_background_pool_post(ngx_http_background_job_t *job)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->nthreads == 0) {
        ngx_http_background_fail(&job->run.result, 0,
                                 "the worker has no threads");
        return NGX_ERROR;
    }

    ngx_http_background_pool_lock();

    /* not those that a thread is about to take */

    if (pool->nwaiting - pool->called >= pool->conf->max_queue) {
        ngx_http_background_pool_unlock();

        ngx_http_background_fail(&job->run.result, 0,
                                 "queue overflow: %ui jobs waiting",
                                 pool->conf->max_queue);
        return NGX_ERROR;
    }

    job->lead = job;
    job->state = ngx_http_background_job_waiting;

    ngx_queue_insert_tail(&pool->waiting, &job->queue);
    ngx_http_background_pool_add(&pool->nwaiting, 1);
    ngx_http_background_pool_publish(pool);

    ngx_http_background_pool_unlock();

    ngx_http_background_cell_waiting(job->cell, 1);

    ngx_http_background_pool_dispatch();

    return NGX_OK;
}


ngx_int_t
ngx_http_background_pool_cancel(ngx_http_background_job_t *job)
{
    ngx_int_t                    rc;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    __atomic_store_n(&job->cancel, 1, __ATOMIC_RELAXED);

    rc = NGX_AGAIN;

    ngx_http_background_pool_lock();

    if (job->state == ngx_http_background_job_waiting) {
        job->state = ngx_http_background_job_none;
        job->cancelled = 1;

        ngx_queue_remove(&job->queue);
        ngx_http_background_pool_add(&pool->nwaiting, -1);
        ngx_http_background_pool_publish(pool);

        rc = NGX_OK;
    }

    ngx_http_background_pool_wake();
    ngx_http_background_pool_unlock();

    if (rc == NGX_OK) {
        ngx_http_background_cell_waiting(job->cell, -1);
    }

    return rc;
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

    /* nginx would wait for them with the CPU busy */

    for (i = 0; i < pool->nthreads; i++) {
        while (__atomic_load_n(&pool->seats[i].busy, __ATOMIC_ACQUIRE)) {
            ngx_msleep(1);
        }
    }

    ngx_http_background_threads_stop(pool->threads, pool->nthreads);
    ngx_http_background_pool_complete();

    if (pool->timer.timer_set) {
        ngx_del_timer(&pool->timer);
    }

    if (pool->notify) {
        ngx_close_connection(pool->notify);
    }

    pool->nthreads = 0;
    pool->conf = NULL;

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "background: thread pool shut down");
}


/* as many threads as there are jobs and slots for them */

static void
ngx_http_background_pool_dispatch(void)
{
    ngx_int_t                    rc;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    do {
        ngx_http_background_pool_lock();
        rc = ngx_http_background_pool_call(pool);
        ngx_http_background_pool_unlock();
    } while (rc == NGX_OK);

    if (rc == NGX_AGAIN && !pool->timer.timer_set) {
        ngx_add_timer(&pool->timer, NGX_HTTP_BACKGROUND_BUDGET_POLL);
    }
}


/* NGX_AGAIN: there is no slot; NGX_DONE: no job that needs one, or no thread */

static ngx_int_t
ngx_http_background_pool_call(ngx_http_background_pool_t *pool)
{
    uint64_t                     now;
    ngx_queue_t                 *q;
    ngx_http_background_seat_t  *seat;

    if (pool->nwaiting <= pool->called || ngx_queue_empty(&pool->idle)) {
        return NGX_DONE;
    }

    q = ngx_queue_last(&pool->idle);
    seat = ngx_queue_data(q, ngx_http_background_seat_t, queue);

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    if (now < pool->turn
        || ngx_http_background_pool_take_slot(&seat->slot, now) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    __atomic_store_n(&seat->busy, 1, __ATOMIC_RELAXED);

    if (ngx_thread_task_post(seat->pool, &seat->task) != NGX_OK) {
        __atomic_store_n(&seat->busy, 0, __ATOMIC_RELAXED);
        ngx_http_background_pool_release(&seat->slot);
        return NGX_AGAIN;
    }

    ngx_queue_remove(q);
    ngx_http_background_pool_add(&pool->nidle, -1);
    pool->called++;
    ngx_http_background_pool_publish(pool);

    return NGX_OK;
}


static void
ngx_http_background_pool_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_pool_dispatch();
}


/* a thread has found nothing more to do, or has given its slot away */

static void
ngx_http_background_pool_event_handler(ngx_event_t *ev)
{
    ngx_http_background_seat_t *seat = ev->data;

    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_http_background_pool_lock();

    ngx_queue_insert_tail(&pool->idle, &seat->queue);
    ngx_http_background_pool_add(&pool->nidle, 1);
    ngx_http_background_pool_publish(pool);

    ngx_http_background_pool_unlock();

    ngx_http_background_pool_complete();
    ngx_http_background_pool_dispatch();
}


/* handlers may free their jobs, and post others */

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

    ngx_http_background_pool_lock();

    if (!ngx_queue_empty(&pool->done)) {
        ngx_queue_add(&done, &pool->done);
        ngx_queue_init(&pool->done);
    }

    ngx_http_background_pool_unlock();

    n = 0;
    usec = 0;

    for (q = ngx_queue_head(&done);
         q != ngx_queue_sentinel(&done);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_background_job_t, queue);

        n += job->cancelled ? 0 : job->threads;
        usec += job->cpu_usec;
    }

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


/* tells the other workers; locked */

static void
ngx_http_background_pool_publish(ngx_http_background_pool_t *pool)
{
    ngx_uint_t  n;

    n = pool->nwaiting - ngx_min(pool->nwaiting, pool->called);

    ngx_http_background_budget_waiting(n, ngx_min(n, pool->nidle),
                                       pool->nparked);
}


static void
ngx_http_background_pool_thread_handler(void *data, ngx_log_t *log)
{
    ngx_http_background_seat_t *seat = data;

    uint64_t                     cpu;
    ngx_uint_t                   first;
    ngx_http_background_job_t   *job, *next;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (!seat->initialized) {
        seat->initialized = 1;
        ngx_http_background_pool_thread_init(log);
    }

    cpu = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID);

    ngx_http_background_pool_lock();

    pool->called--;
    job = ngx_http_background_pool_next(seat);
    ngx_http_background_pool_publish(pool);

    ngx_http_background_pool_unlock();

    while (job) {
        ngx_http_background_job_run(job, &seat->slot, &cpu);

        ngx_http_background_pool_lock();

        first = ngx_queue_empty(&pool->done);
        ngx_queue_insert_tail(&pool->done, &job->queue);
        next = ngx_http_background_pool_next(seat);

        ngx_http_background_pool_unlock();

        /* with no other job, nginx tells that this task is over */

        if (first && next) {
            ngx_http_background_pool_notify();
        }

        job = next;
    }

    __atomic_store_n(&seat->busy, 0, __ATOMIC_RELEASE);
}


/* the next job for the thread; without one it has no slot any more; locked */

static ngx_http_background_job_t *
ngx_http_background_pool_next(ngx_http_background_seat_t *seat)
{
    ngx_queue_t                 *q;
    ngx_http_background_job_t   *job;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (seat->slot.number == NGX_DECLINED) {
        return NULL;
    }

    if (ngx_queue_empty(&pool->waiting)
        || (ngx_http_background_usec(CLOCK_MONOTONIC) - seat->slot.taken
                >= NGX_HTTP_BACKGROUND_TURN
            && (pool->nparked || ngx_http_background_budget_wanted())))
    {
        ngx_http_background_pool_release(&seat->slot);
        return NULL;
    }

    q = ngx_queue_head(&pool->waiting);
    job = ngx_queue_data(q, ngx_http_background_job_t, queue);

    ngx_queue_remove(q);
    ngx_http_background_pool_add(&pool->nwaiting, -1);
    ngx_http_background_pool_publish(pool);

    job->state = ngx_http_background_job_posted;

    ngx_http_background_cell_waiting(job->cell, -1);

    return job;
}


void
ngx_http_background_pool_lock(void)
{
    (void) pthread_mutex_lock(&ngx_http_background_pool.mutex);
}


void
ngx_http_background_pool_unlock(void)
{
    (void) pthread_mutex_unlock(&ngx_http_background_pool.mutex);
}


void
ngx_http_background_pool_wait(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    ts.tv_nsec += NGX_HTTP_BACKGROUND_BUDGET_POLL * 1000000;

    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }

    (void) pthread_cond_timedwait(&ngx_http_background_pool.cond,
                                  &ngx_http_background_pool.mutex, &ts);
}


void
ngx_http_background_pool_wake(void)
{
    (void) pthread_cond_broadcast(&ngx_http_background_pool.cond);
}


ngx_uint_t
ngx_http_background_pool_contended(void)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    return __atomic_load_n(&pool->nparked, __ATOMIC_RELAXED)
           || (__atomic_load_n(&pool->nwaiting, __ATOMIC_RELAXED)
               && __atomic_load_n(&pool->nidle, __ATOMIC_RELAXED))
           || ngx_http_background_budget_wanted();
}


ngx_int_t
ngx_http_background_pool_take(ngx_http_background_slot_t *slot)
{
    uint64_t   now;
    ngx_int_t  rc;

    if (ngx_http_background_pool_contended()) {
        return NGX_AGAIN;
    }

    ngx_http_background_pool_lock();

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    rc = (now < ngx_http_background_pool.turn)
         ? NGX_AGAIN : ngx_http_background_pool_take_slot(slot, now);

    ngx_http_background_pool_unlock();

    return rc;
}


static ngx_int_t
ngx_http_background_pool_take_slot(ngx_http_background_slot_t *slot,
    uint64_t now)
{
    slot->number = ngx_http_background_budget_take(
                                       ngx_http_background_pool.conf->threads);

    if (slot->number == NGX_AGAIN) {
        slot->number = NGX_DECLINED;
        return NGX_AGAIN;
    }

    slot->taken = now;

    return NGX_OK;
}


void
ngx_http_background_pool_release(ngx_http_background_slot_t *slot)
{
    uint64_t                     now;
    ngx_uint_t                   wanted;
    ngx_queue_t                 *q;
    ngx_http_background_job_t   *job;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);
    wanted = ngx_http_background_budget_wanted();

    if (!wanted) {

        for (q = ngx_queue_head(&pool->parked);
             q != ngx_queue_sentinel(&pool->parked);
             q = ngx_queue_next(q))
        {
            job = ngx_queue_data(q, ngx_http_background_job_t, queue);

            if (job->slot->number == NGX_DECLINED) {
                job->slot->number = slot->number;
                job->slot->taken = now;
                slot->number = NGX_DECLINED;

                ngx_http_background_pool_wake();
                return;
            }
        }
    }

    ngx_http_background_budget_release(slot->number);
    slot->number = NGX_DECLINED;

    if (wanted) {
        if (now >= pool->turn + NGX_HTTP_BACKGROUND_TURN) {
            pool->turn = now + NGX_HTTP_BACKGROUND_AWAY;
        }

    } else if (pool->nwaiting && pool->nidle) {
        ngx_http_background_pool_notify();
    }
}


void
ngx_http_background_pool_park(ngx_http_background_job_t *job, uint64_t due)
{
    uint64_t                     now, parked;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    parked = 0;

    ngx_http_background_pool_lock();

    if (job->slot->number != NGX_DECLINED) {
        ngx_http_background_pool_release(job->slot);
    }

    for ( ;; ) {

        if (job->slot->number != NGX_DECLINED
            || ngx_http_background_job_stops(job))
        {
            break;
        }

        now = ngx_http_background_usec(CLOCK_MONOTONIC);

        if (now >= due && parked == 0) {
            parked = now;

            /* helpers wait until nobody else does */

            if (job == job->lead) {
                ngx_queue_insert_tail(&pool->parked, &job->queue);
                ngx_http_background_pool_add(&pool->nparked, 1);
                ngx_http_background_pool_publish(pool);
            }
        }

        if (parked
            && ngx_http_background_pool_may_take(job, now, parked)
            && ngx_http_background_pool_take_slot(job->slot, now) == NGX_OK)
        {
            break;
        }

        ngx_http_background_pool_wait();
    }

    if (parked && job == job->lead) {
        ngx_queue_remove(&job->queue);
        ngx_http_background_pool_add(&pool->nparked, -1);
        ngx_http_background_pool_publish(pool);
    }

    ngx_http_background_pool_unlock();
}


/* jobs that have not started yet come first, for the length of a turn */

static ngx_uint_t
ngx_http_background_pool_may_take(ngx_http_background_job_t *job, uint64_t now,
    uint64_t parked)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (now < pool->turn) {
        return 0;
    }

    if (job != job->lead) {
        return !ngx_http_background_pool_contended();
    }

    return now - parked >= NGX_HTTP_BACKGROUND_TURN
           || !((pool->nwaiting && pool->nidle)
                || ngx_http_background_budget_ready());
}


/*
 * In Linux nice value, I/O priority and affinity are a thread's own.  What
 * fails here costs requests some latency, so it is told, but stops nothing.
 */

static void
ngx_http_background_pool_thread_init(ngx_log_t *log)
{
    int                               priority;
    sigset_t                          set;
    ngx_err_t                         err;
    ngx_http_background_pool_conf_t  *pcf;

    pcf = ngx_http_background_pool.conf;

    /* nginx blocks them in its pools, and a crash would not be seen */

    sigemptyset(&set);
    sigaddset(&set, SIGABRT);
    sigaddset(&set, SIGTRAP);

    err = pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    if (err) {
        ngx_log_error(NGX_LOG_WARN, log, err,
                      "background: pthread_sigmask() of a thread failed");
    }

    ngx_set_errno(0);
    priority = getpriority(PRIO_PROCESS, 0);

    /* never less nice than the worker with its "worker_priority" */

    if ((priority != -1 || ngx_errno == 0)
        && priority < pcf->priority
        && setpriority(PRIO_PROCESS, 0, pcf->priority) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background: setpriority(%i) of a thread failed",
                      pcf->priority);
    }

    if (syscall(SYS_ioprio_set, NGX_HTTP_BACKGROUND_IOPRIO_WHO_PROCESS, 0,
                NGX_HTTP_BACKGROUND_IOPRIO_IDLE)
        == -1)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background: ioprio_set() of a thread failed");
    }

    /* "worker_cpu_affinity" binds event loops, jobs may run beside them */

    if (ngx_http_background_pool.ccf->cpu_affinity_n
        && sched_setaffinity(0, pcf->affinity_size, pcf->affinity) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background: sched_setaffinity() of a thread failed");
    }
}
