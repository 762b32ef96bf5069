
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_pool.h"

#include <ngx_event.h>
#include <sys/resource.h>
#include <sys/syscall.h>


/* linux/ioprio.h is not in every distribution's headers */
#define NGX_HTTP_BACKGROUND_IOPRIO_WHO_PROCESS  1
#define NGX_HTTP_BACKGROUND_IOPRIO_IDLE         (3 << 13)

/*
 * How long a job waits before it tries for a slot again, and how long a worker
 * keeps slots for itself while others wait, in milliseconds.
 */
#define NGX_HTTP_BACKGROUND_BUDGET_POLL  20
#define NGX_HTTP_BACKGROUND_BUDGET_TURN  100

/*
 * Pacing, in microseconds: what a thread may use at once after it was idle,
 * how often its CPU time is read, and the longest sleep before it looks
 * whether it is cancelled.  The first two keep its bursts far below the 100 ms
 * over which the kernel enforces a cgroup's quota.
 */
#define NGX_HTTP_BACKGROUND_PACE_BURST   10000
#define NGX_HTTP_BACKGROUND_PACE_CHECK   500
#define NGX_HTTP_BACKGROUND_PACE_SLEEP   10000

/*
 * The most that all threads together take of a cgroup's quota, in percent,
 * where they would leave the event loops less than one CPU of it.
 */
#define NGX_HTTP_BACKGROUND_QUOTA        70

/* threads for blocking steps: one that hangs does not stop the others */
#define NGX_HTTP_BACKGROUND_BLOCKING     2


static ngx_uint_t ngx_http_background_affinity(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);
static ngx_thread_pool_t *ngx_http_background_pool_make(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf, ngx_str_t *name, ngx_uint_t n);
static void *ngx_http_background_pool_swap(ngx_cycle_t *cycle, void *pools);
static void ngx_http_background_pool_dispatch(void);
static void ngx_http_background_pool_submit(ngx_http_background_job_t *job);
static void ngx_http_background_pool_timer_handler(ngx_event_t *ev);
static void ngx_http_background_pool_thread_handler(void *data,
    ngx_log_t *log);
static void ngx_http_background_pool_thread_init(ngx_log_t *log);
static void ngx_http_background_pool_event_handler(ngx_event_t *ev);
static void ngx_http_background_pool_complete(ngx_http_background_job_t *job);
static void ngx_http_background_pool_release(ngx_int_t slot);
static uint64_t ngx_http_background_pay(uint64_t *bucket, uint64_t start,
    uint64_t cost);
static ngx_uint_t ngx_http_background_job_stops(
    ngx_http_background_job_t *job);
static uint64_t ngx_http_background_usec(clockid_t clock);


typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_pool_conf_t  *conf;
    ngx_core_conf_t                  *ccf;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_queue_t                       waiting;
    ngx_queue_t                       posted;
    ngx_uint_t                        nwaiting;
    ngx_event_t                       timer;
    ngx_msec_t                        turn;       /* when it began, or begins */
    ngx_int_t                         slot;       /* of the job that has come
                                                     home, or NGX_DECLINED */
    ngx_uint_t                        stopped;    /* unsigned  stopped:1; */
} ngx_http_background_pool_t;


/* what a thread writes down for the case that its job crashes */

typedef struct {
    ngx_tid_t                         tid;
    ngx_http_background_cell_t       *cell;       /* NULL: no job */
} ngx_http_background_current_t;


static ngx_http_background_pool_t  ngx_http_background_pool;

/* the pools whose threads run in this process */

static void  *ngx_http_background_started_pools;

/* by slot, of which each job has its own */

static ngx_http_background_current_t
    ngx_http_background_current[NGX_HTTP_BACKGROUND_MAX_THREADS];


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
ngx_http_background_pool_add(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    static ngx_str_t  name = ngx_string("ngx_http_background");

    pcf->thread_pool = ngx_http_background_pool_make(cf, pcf, &name,
                                                     pcf->threads);

    return pcf->thread_pool ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_background_pool_add_blocking(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    static ngx_str_t  name = ngx_string("ngx_http_background_blocking");

    if (pcf->blocking_pool == NULL) {
        pcf->blocking_pool = ngx_http_background_pool_make(cf, pcf, &name,
                                             NGX_HTTP_BACKGROUND_BLOCKING);
    }

    return pcf->blocking_pool ? NGX_OK : NGX_ERROR;
}


/*
 * nginx has no function to make a pool of a given size: the "thread_pool"
 * directive's own handler is called, as if it stood in the configuration.
 */

static ngx_thread_pool_t *
ngx_http_background_pool_make(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf, ngx_str_t *name, ngx_uint_t n)
{
    char               *rv;
    void               *pools;
    u_char             *threads;
    ngx_str_t          *value;
    ngx_array_t        *args, *saved;
    ngx_command_t      *cmd;
    ngx_core_module_t  *module;
    ngx_thread_pool_t  *pool;

    if (pcf->thread_pools == NULL) {
        module = ngx_thread_pool_module.ctx;

        pcf->thread_pools = module->create_conf(cf->cycle);
        if (pcf->thread_pools == NULL) {
            return NULL;
        }
    }

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

    pools = ngx_http_background_pool_swap(cf->cycle, pcf->thread_pools);

    rv = cmd->set(cf, cmd, NULL);
    pool = (rv == NGX_CONF_OK) ? ngx_thread_pool_add(cf, name) : NULL;

    (void) ngx_http_background_pool_swap(cf->cycle, pools);

    cf->args = saved;

    return pool;
}


/*
 * A thread pool that can't be started ends the worker.  So ours are not among
 * those that nginx starts, but in a configuration of that module of their own.
 */

static void *
ngx_http_background_pool_swap(ngx_cycle_t *cycle, void *pools)
{
    void  *saved;

    saved = cycle->conf_ctx[ngx_thread_pool_module.index];
    cycle->conf_ctx[ngx_thread_pool_module.index] = pools;

    return saved;
}


ngx_int_t
ngx_http_background_pool_start_threads(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf)
{
    void       *pools;
    ngx_int_t   rc;

    if (pcf->thread_pools == NULL) {
        return NGX_OK;
    }

    pools = ngx_http_background_pool_swap(cycle, pcf->thread_pools);

    rc = ngx_thread_pool_module.init_process(cycle);

    (void) ngx_http_background_pool_swap(cycle, pools);

    if (rc == NGX_OK) {
        ngx_http_background_started_pools = pcf->thread_pools;
    }

    return rc;
}


void
ngx_http_background_pool_stop_threads(ngx_cycle_t *cycle)
{
    void  *pools;

    /* nginx would wait for threads that were never started */

    if (ngx_http_background_started_pools == NULL) {
        return;
    }

    pools = ngx_http_background_pool_swap(cycle,
                                          ngx_http_background_started_pools);

    ngx_thread_pool_module.exit_process(cycle);

    (void) ngx_http_background_pool_swap(cycle, pools);

    ngx_http_background_started_pools = NULL;
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
    pool->turn = ngx_current_msec;
    pool->slot = NGX_DECLINED;

    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->posted);

    pool->timer.handler = ngx_http_background_pool_timer_handler;
    pool->timer.data = pool;
    pool->timer.log = cycle->log;
    pool->timer.cancelable = 1;

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "background: CPU limit %ui (%s), "
                  "thread pool started with %ui threads",
                  (ngx_uint_t) pcf->cpu_limit.limit, pcf->cpu_limit.source,
                  pcf->threads);
}


ngx_uint_t
ngx_http_background_pool_threads(void)
{
    return ngx_http_background_pool.conf->threads;
}


ngx_int_t
ngx_http_background_pool_post(ngx_http_background_job_t *job)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->nwaiting >= pool->conf->max_queue) {
        ngx_http_background_fail(&job->run.result, 0,
                                 "queue overflow: %ui jobs waiting",
                                 pool->nwaiting);
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&pool->waiting, &job->queue);
    pool->nwaiting++;

    ngx_http_background_pool_dispatch();

    return NGX_OK;
}


ngx_int_t
ngx_http_background_pool_continue(ngx_http_background_job_t *job)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->stopped || pool->slot == NGX_DECLINED) {
        return NGX_ERROR;
    }

    job->slot = pool->slot;
    pool->slot = NGX_DECLINED;

    ngx_http_background_pool_submit(job);

    return NGX_OK;
}


ngx_int_t
ngx_http_background_pool_cancel(ngx_http_background_job_t *job)
{
    ngx_http_background_pool_t  *pool;

    __atomic_store_n(&job->cancel, 1, __ATOMIC_RELAXED);

    if (job->posted) {
        return NGX_AGAIN;
    }

    pool = &ngx_http_background_pool;

    ngx_queue_remove(&job->queue);
    pool->nwaiting--;

    ngx_http_background_budget_queued(pool->nwaiting);

    job->cancelled = 1;

    return NGX_OK;
}


void
ngx_http_background_pool_stop(ngx_cycle_t *cycle)
{
    ngx_queue_t                 *q;
    ngx_http_background_job_t   *job;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    if (pool->conf == NULL) {
        return;
    }

    pool->stopped = 1;

    while (!ngx_queue_empty(&pool->posted)) {
        q = ngx_queue_head(&pool->posted);
        job = ngx_queue_data(q, ngx_http_background_job_t, queue);

        ngx_http_background_pool_complete(job);
    }

    if (pool->timer.timer_set) {
        ngx_del_timer(&pool->timer);
    }

    pool->conf = NULL;

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "background: thread pool shut down");
}


ngx_http_background_cell_t *
ngx_http_background_pool_current(void)
{
    ngx_tid_t                    tid;
    ngx_uint_t                   i;
    ngx_http_background_cell_t  *cell;

    tid = ngx_thread_tid();

    for (i = 0; i < NGX_HTTP_BACKGROUND_MAX_THREADS; i++) {
        cell = __atomic_load_n(&ngx_http_background_current[i].cell,
                               __ATOMIC_ACQUIRE);

        if (cell && ngx_http_background_current[i].tid == tid) {
            return cell;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_background_pool_runs(ngx_http_background_cell_t *cell)
{
    ngx_uint_t                   i;
    ngx_http_background_cell_t  *current;

    for (i = 0; i < NGX_HTTP_BACKGROUND_MAX_THREADS; i++) {
        current = __atomic_load_n(&ngx_http_background_current[i].cell,
                                  __ATOMIC_ACQUIRE);

        if (current && (cell == NULL || current == cell)) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_background_pool_dispatch(void)
{
    ngx_int_t                    slot;
    ngx_queue_t                 *q;
    ngx_http_background_job_t   *job;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    while (!ngx_queue_empty(&pool->waiting)) {

        slot = NGX_AGAIN;

        if ((ngx_msec_int_t) (pool->turn - ngx_current_msec) <= 0) {
            slot = ngx_http_background_budget_take(pool->conf->threads);
        }

        if (slot == NGX_AGAIN) {
            if (!pool->timer.timer_set) {
                ngx_add_timer(&pool->timer, NGX_HTTP_BACKGROUND_BUDGET_POLL);
            }

            break;
        }

        q = ngx_queue_head(&pool->waiting);
        job = ngx_queue_data(q, ngx_http_background_job_t, queue);

        ngx_queue_remove(q);
        pool->nwaiting--;

        job->slot = slot;

        ngx_http_background_pool_submit(job);
    }

    ngx_http_background_budget_queued(pool->nwaiting);
}


static void
ngx_http_background_pool_submit(ngx_http_background_job_t *job)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_queue_insert_tail(&pool->posted, &job->queue);

    job->posted = 1;
    job->called = 0;

    job->task.handler = ngx_http_background_pool_thread_handler;
    job->task.ctx = job;
    job->task.event.handler = ngx_http_background_pool_event_handler;
    job->task.event.data = job;
    job->task.event.log = pool->log;

    if (ngx_thread_task_post(pool->conf->thread_pool, &job->task) != NGX_OK) {
        ngx_http_background_fail(&job->run.result, 0,
                                 "thread pool did not take the job");
        ngx_http_background_pool_complete(job);
    }
}


static void
ngx_http_background_pool_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_pool_dispatch();
}


static void
ngx_http_background_pool_thread_handler(void *data, ngx_log_t *log)
{
    ngx_http_background_job_t *job = data;

    uint64_t                        start;
    ngx_http_background_current_t  *current;

    static __thread ngx_uint_t  initialized;

    if (!initialized) {
        ngx_http_background_pool_thread_init(log);
        initialized = 1;
    }

    current = &ngx_http_background_current[job->slot];
    current->tid = ngx_thread_tid();
    __atomic_store_n(&current->cell, job->cell, __ATOMIC_RELEASE);

    start = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID);

    job->checked = ngx_http_background_usec(CLOCK_MONOTONIC);
    job->cpu_checked = start;
    job->due = job->checked;

    if (ngx_http_background_job_stops(job)
        && job->part != ngx_http_background_finish)
    {
        job->cancelled = 1;

    } else {
        job->called = 1;
        job->work(&job->run);
    }

    job->part_usec = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID) - start;

    __atomic_store_n(&current->cell, NULL, __ATOMIC_RELEASE);
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


static void
ngx_http_background_pool_event_handler(ngx_event_t *ev)
{
    ngx_http_background_pool_complete(ev->data);

    ngx_http_background_pool_dispatch();
}


static void
ngx_http_background_pool_complete(ngx_http_background_job_t *job)
{
    ngx_int_t                    slot;
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_queue_remove(&job->queue);
    job->posted = 0;

    ngx_http_background_budget_completed(
                    job->part == ngx_http_background_work && !job->cancelled,
                    job->part_usec);

    job->cpu_usec += job->part_usec;
    job->part_usec = 0;

    /* the handler may use the slot to continue, and it may free the job */

    slot = pool->slot;
    pool->slot = job->slot;

    job->handler(job);

    if (pool->slot != NGX_DECLINED) {
        ngx_http_background_pool_release(pool->slot);
    }

    pool->slot = slot;
}


/*
 * Who gives a slot back is the first to see that it is free: from time to time
 * it looks away until all others have had their look.
 */

static void
ngx_http_background_pool_release(ngx_int_t slot)
{
    ngx_http_background_pool_t  *pool;

    pool = &ngx_http_background_pool;

    ngx_http_background_budget_release(slot);

    if ((ngx_msec_int_t) (ngx_current_msec - pool->turn)
            >= NGX_HTTP_BACKGROUND_BUDGET_TURN
        && ngx_http_background_budget_wanted())
    {
        pool->turn = ngx_current_msec + 2 * NGX_HTTP_BACKGROUND_BUDGET_POLL;
    }
}


ngx_uint_t
ngx_http_background_cancelled(ngx_http_background_run_t *run)
{
    /* a job begins with its run */
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    uint64_t         now, cpu, cost, bytes, due, rate_due, wait;
    ngx_uint_t       quota;
    struct timespec  ts;

    if (ngx_http_background_job_stops(job)) {
        job->cancelled = 1;
        return 1;
    }

    quota = ngx_http_background_pool.conf->quota;

    if (quota >= 100 && run->limit_rate == 0) {
        return 0;
    }

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    bytes = run->result.bytes - job->bytes_checked;
    cost = run->limit_rate ? bytes * 1000000 / run->limit_rate : 0;

    if (ngx_max(now - job->checked, cost) < NGX_HTTP_BACKGROUND_PACE_CHECK) {
        return 0;
    }

    due = 0;

    if (quota < 100) {
        cpu = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID);
        due = ngx_http_background_pay(&job->due, job->checked,
                                 (cpu - job->cpu_checked) * 100 / quota);
        job->cpu_checked = cpu;
    }

    if (run->limit_rate) {
        rate_due = ngx_http_background_pay(job->rate_due, job->checked, cost);
        job->bytes_checked = run->result.bytes;
        due = ngx_max(due, rate_due);
    }

    while (now + 1000 < due) {

        wait = ngx_min(due - now, NGX_HTTP_BACKGROUND_PACE_SLEEP);

        ts.tv_sec = 0;
        ts.tv_nsec = wait * 1000;

        (void) nanosleep(&ts, NULL);

        if (ngx_http_background_job_stops(job)) {
            job->cancelled = 1;
            return 1;
        }

        now = ngx_http_background_usec(CLOCK_MONOTONIC);
    }

    job->checked = now;

    return 0;
}


/*
 * A leaky bucket: returns when the work since "start" and before is paid for.
 * Other threads may pay into it at the same time.
 */

static uint64_t
ngx_http_background_pay(uint64_t *bucket, uint64_t start, uint64_t cost)
{
    uint64_t  before, due;

    before = __atomic_load_n(bucket, __ATOMIC_RELAXED);

    do {
        due = ngx_max(before, start - NGX_HTTP_BACKGROUND_PACE_BURST) + cost;
    } while (!__atomic_compare_exchange_n(bucket, &before, due, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));

    return due;
}


void
ngx_http_background_progress(ngx_http_background_run_t *run, uint64_t done,
    uint64_t total)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    ngx_http_background_cell_progress(job->cell, done - job->done,
                                      total - job->total);
    job->done = done;
    job->total = total;
}


/*
 * A fast exit, and any exit of a single process, calls nothing of ours before
 * nginx waits for its pools' threads: jobs look at nginx's own flags, too, which
 * the main thread sets at any time.
 */

static ngx_uint_t
ngx_http_background_job_stops(ngx_http_background_job_t *job)
{
    return __atomic_load_n(&job->cancel, __ATOMIC_RELAXED)
           || __atomic_load_n(&ngx_terminate, __ATOMIC_RELAXED)
           || __atomic_load_n(&ngx_quit, __ATOMIC_RELAXED)
           || __atomic_load_n(&ngx_exiting, __ATOMIC_RELAXED);
}


static uint64_t
ngx_http_background_usec(clockid_t clock)
{
    struct timespec  ts;

    (void) clock_gettime(clock, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
