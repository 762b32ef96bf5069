
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_step.h"
#include "ngx_http_background_job.h"
#include "ngx_http_background_thread.h"

#include <sys/eventfd.h>


/*
 * an exiting worker logs steps that it has waited for so long, in milliseconds
 */
#define NGX_HTTP_BACKGROUND_STEP_NAME  10000

/* how long a terminating worker waits for steps, in milliseconds */
#define NGX_HTTP_BACKGROUND_STEP_GRACE  500

/* the period in which an exiting worker checks its threads, in milliseconds */
#define NGX_HTTP_BACKGROUND_STEP_POLL  5


typedef enum {
    ngx_http_background_step_waiting = 0,
    ngx_http_background_step_running,
    ngx_http_background_step_done
} ngx_http_background_step_state_e;


/* followed by the data of the kind */

struct ngx_http_background_step_s {
    ngx_http_background_step_pt        step;
    ngx_http_background_then_pt        then;
    ngx_http_background_run_ctx_t     *ctx;        /* NULL: detached */
    ngx_http_background_operation_t   *operation;
    ngx_str_t                         *task;
    ngx_log_t                         *log;
    ngx_queue_t                        all;
    uint64_t                           posted;     /* usec, monotonic */

    /* under the mutex */
    ngx_queue_t                        queue;
    ngx_http_background_step_state_e   state;
};


#define NGX_HTTP_BACKGROUND_STEP_SIZE                                         \
    ngx_align(sizeof(ngx_http_background_step_t), 16)


typedef struct {
    ngx_queue_t                        all;        /* in the order of posting */
    ngx_connection_t                  *notify;     /* NULL: not started */

    /* under the mutex */
    ngx_queue_t                        waiting;
    ngx_queue_t                        done;
    ngx_uint_t                         nwaiting;
    ngx_uint_t                         threads;
    ngx_uint_t                         idle;       /* idle ones among
                                                      "threads" */
    ngx_fd_t                           fd;         /* descriptor of "notify" */
    ngx_uint_t                         stop;       /* unsigned  stop:1; */
} ngx_http_background_steps_t;


static ngx_http_background_step_t *ngx_http_background_step_hangs(
    ngx_http_background_operation_t *operation);
static ngx_int_t ngx_http_background_step_post(
    ngx_http_background_step_t *st);
static ngx_int_t ngx_http_background_steps_start(
    ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_steps_thread(ngx_log_t *log);
static void *ngx_http_background_steps_cycle(void *data);
static ngx_http_background_step_t *ngx_http_background_steps_next(void);
static void ngx_http_background_steps_notify(void);
static void ngx_http_background_steps_handler(ngx_event_t *ev);
static void ngx_http_background_steps_complete(void);
static void ngx_http_background_step_over(ngx_http_background_step_t *st);
static void *ngx_http_background_step_data(ngx_http_background_step_t *st);
static uint64_t ngx_http_background_step_seconds(
    ngx_http_background_step_t *st);
static ngx_uint_t ngx_http_background_steps_wait(ngx_cycle_t *cycle,
    ngx_msec_t begun);
static void ngx_http_background_steps_name(ngx_log_t *log, const char *text);
static void ngx_http_background_steps_pin(void);
static void ngx_http_background_steps_keep(ngx_cycle_t *cycle);


static pthread_mutex_t  ngx_http_background_steps_mutex =
    PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  ngx_http_background_steps_cond =
    PTHREAD_COND_INITIALIZER;

static ngx_http_background_steps_t  ngx_http_background_steps;


ngx_int_t
ngx_http_background_step(ngx_http_background_run_t *run, const void *data,
    size_t size, ngx_http_background_step_pt step,
    ngx_http_background_then_pt then)
{
    ngx_http_background_step_t     *st;
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_http_background_run_active(run, "ngx_http_background_step");

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->step) {
        ngx_http_background_fail(&run->result, 0,
                                 "another blocking step is under way");
        return NGX_ERROR;
    }

    st = ngx_http_background_step_hangs(ctx->operation);

    if (st) {
        ngx_http_background_fail(&run->result, 0,
                                 "a blocking step of an earlier cycle has not "
                                 "returned for %uL seconds",
                                 ngx_http_background_step_seconds(st));
        return NGX_ERROR;
    }

    /*
     * The step may outlive the run, and may run on when the memory pools of
     * the process are destroyed.
     */

    st = ngx_alloc(NGX_HTTP_BACKGROUND_STEP_SIZE + size, run->log);
    if (st == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    ngx_memzero(st, sizeof(ngx_http_background_step_t));

    if (size) {
        ngx_memcpy(ngx_http_background_step_data(st), data, size);
    }

    st->step = step;
    st->then = then;
    st->ctx = ctx;
    st->operation = ctx->operation;
    st->task = run->task;
    st->log = run->log;
    st->posted = ngx_http_background_usec(CLOCK_MONOTONIC);

    if (ngx_http_background_steps_start(run) != NGX_OK) {
        ngx_free(st);
        return NGX_ERROR;
    }

    if (ngx_http_background_step_post(st) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0,
                                 "no thread for a blocking step");
        ngx_free(st);
        return NGX_ERROR;
    }

    ctx->step = st;

    return NGX_OK;
}


/* returns a step of the operation whose run is over, or NULL */

static ngx_http_background_step_t *
ngx_http_background_step_hangs(ngx_http_background_operation_t *operation)
{
    ngx_queue_t                  *q;
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    if (steps->notify == NULL) {
        return NULL;
    }

    for (q = ngx_queue_head(&steps->all);
         q != ngx_queue_sentinel(&steps->all);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_http_background_step_t, all);

        if (st->ctx == NULL && st->operation == operation) {
            return st;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_background_step_post(ngx_http_background_step_t *st)
{
    ngx_int_t                     rc;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    rc = NGX_OK;

    (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

    if (steps->nwaiting >= steps->idle
        && st->operation->steps < NGX_HTTP_BACKGROUND_STEP_SHARE
        && steps->threads < NGX_HTTP_BACKGROUND_STEP_THREADS
        && ngx_http_background_steps_thread(ngx_cycle->log) != NGX_OK
        && steps->threads == 0)
    {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        ngx_queue_insert_tail(&steps->waiting, &st->queue);
        ngx_queue_insert_tail(&steps->all, &st->all);
        steps->nwaiting++;

        (void) pthread_cond_signal(&ngx_http_background_steps_cond);
    }

    (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

    return rc;
}


/* called with the first step in a worker */

static ngx_int_t
ngx_http_background_steps_start(ngx_http_background_run_t *run)
{
    ngx_fd_t                      fd;
    ngx_log_t                    *log;
    ngx_connection_t             *c;
    ngx_http_background_steps_t  *steps;

    log = ngx_cycle->log;
    steps = &ngx_http_background_steps;

    if (steps->notify) {
        return NGX_OK;
    }

    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (fd == -1) {
        ngx_http_background_fail(&run->result, ngx_errno, "eventfd() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, log);

    if (c == NULL) {
        ngx_http_background_fail(&run->result, 0, "no free connection");

        if (close(fd) == -1) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "close() failed");
        }

        return NGX_ERROR;
    }

    c->read->handler = ngx_http_background_steps_handler;
    c->read->log = log;
    c->write->log = log;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0,
                                 "ngx_handle_read_event() failed");
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    ngx_memzero(steps, sizeof(ngx_http_background_steps_t));

    ngx_queue_init(&steps->all);
    ngx_queue_init(&steps->waiting);
    ngx_queue_init(&steps->done);

    steps->notify = c;
    steps->fd = fd;

    return NGX_OK;
}


/* starts a thread; the mutex must be locked */

static ngx_int_t
ngx_http_background_steps_thread(ngx_log_t *log)
{
    ngx_err_t  err;

    err = ngx_http_background_thread_detached(ngx_http_background_steps_cycle,
                                              NULL);
    if (err) {
        ngx_log_error(NGX_LOG_ALERT, log, err, "pthread_create() failed");
        return NGX_ERROR;
    }

    ngx_http_background_steps.threads++;

    return NGX_OK;
}


static void *
ngx_http_background_steps_cycle(void *data)
{
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

    for ( ;; ) {

        for ( ;; ) {
            st = ngx_http_background_steps_next();

            if (st == NULL) {
                break;
            }

            (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

            st->step(ngx_http_background_step_data(st), st->log);

            (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

            st->operation->steps--;
            st->state = ngx_http_background_step_done;
            ngx_queue_insert_tail(&steps->done, &st->queue);

            ngx_http_background_steps_notify();
        }

        if (steps->stop || steps->idle >= NGX_HTTP_BACKGROUND_STEP_IDLE) {
            break;
        }

        steps->idle++;

        (void) pthread_cond_wait(&ngx_http_background_steps_cond,
                                 &ngx_http_background_steps_mutex);

        steps->idle--;
    }

    steps->threads--;

    (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

    return NULL;
}


/*
 * Returns the first waiting step whose operation may use another thread, or
 * NULL.  The mutex must be locked.
 */

static ngx_http_background_step_t *
ngx_http_background_steps_next(void)
{
    ngx_queue_t                  *q;
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    for (q = ngx_queue_head(&steps->waiting);
         q != ngx_queue_sentinel(&steps->waiting);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_http_background_step_t, queue);

        if (st->operation->steps < NGX_HTTP_BACKGROUND_STEP_SHARE) {
            ngx_queue_remove(q);
            steps->nwaiting--;

            st->operation->steps++;
            st->state = ngx_http_background_step_running;

            return st;
        }
    }

    return NULL;
}


/*
 * The descriptor is invalid if an exiting worker does not wait any more.  The
 * mutex must be locked.
 */

static void
ngx_http_background_steps_notify(void)
{
    uint64_t  n;

    if (ngx_http_background_steps.fd == NGX_INVALID_FILE) {
        return;
    }

    n = 1;

    while (write(ngx_http_background_steps.fd, &n, sizeof(uint64_t)) == -1
           && ngx_errno == NGX_EINTR)
    {
        /* void */
    }
}


static void
ngx_http_background_steps_handler(ngx_event_t *ev)
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
                      "background: ngx_handle_read_event() failed, "
                      "ends of blocking steps are not noticed");
    }

    ngx_http_background_steps_complete();
}


/* "then" may post other steps */

static void
ngx_http_background_steps_complete(void)
{
    ngx_queue_t                  *q, done;
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    ngx_queue_init(&done);

    (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

    if (!ngx_queue_empty(&steps->done)) {
        ngx_queue_add(&done, &steps->done);
        ngx_queue_init(&steps->done);
    }

    (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        ngx_queue_remove(q);

        st = ngx_queue_data(q, ngx_http_background_step_t, queue);

        ngx_http_background_step_over(st);
    }
}


static void
ngx_http_background_step_over(ngx_http_background_step_t *st)
{
    ngx_http_background_run_t  *run;

    ngx_queue_remove(&st->all);

    run = NULL;

    if (st->ctx) {
        st->ctx->step = NULL;
        run = &st->ctx->job.run;
    }

    st->then(run, ngx_http_background_step_data(st));

    ngx_free(st);
}


static void *
ngx_http_background_step_data(ngx_http_background_step_t *st)
{
    return (u_char *) st + NGX_HTTP_BACKGROUND_STEP_SIZE;
}


static uint64_t
ngx_http_background_step_seconds(ngx_http_background_step_t *st)
{
    return (ngx_http_background_usec(CLOCK_MONOTONIC) - st->posted) / 1000000;
}


void
ngx_http_background_step_detach(ngx_http_background_run_ctx_t *ctx)
{
    ngx_uint_t                    waiting;
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    st = ctx->step;
    steps = &ngx_http_background_steps;

    ctx->step = NULL;
    st->ctx = NULL;

    (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

    waiting = (st->state == ngx_http_background_step_waiting);

    if (waiting) {
        ngx_queue_remove(&st->queue);
        steps->nwaiting--;
    }

    (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

    if (waiting) {
        ngx_http_background_step_over(st);
    }
}


void
ngx_http_background_steps_stop(ngx_cycle_t *cycle, ngx_msec_t begun)
{
    ngx_uint_t                    left;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    if (steps->notify == NULL) {
        return;
    }

    /*
     * A thread may still have to return when "threads" does not count it any
     * more, so its code must stay mapped.
     */

    ngx_http_background_thread_pin((void *) ngx_http_background_steps_cycle);

    (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

    steps->stop = 1;
    (void) pthread_cond_broadcast(&ngx_http_background_steps_cond);

    (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

    left = ngx_http_background_steps_wait(cycle, begun);

    ngx_http_background_steps_complete();

    (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

    steps->fd = NGX_INVALID_FILE;

    (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

    ngx_close_connection(steps->notify);
    steps->notify = NULL;

    if (left) {
        ngx_http_background_steps_name(cycle->log,
                                       "the worker exits without it");
        ngx_http_background_steps_pin();
        ngx_http_background_steps_keep(cycle);
    }
}


/*
 * A step may use the configuration until the process exits.  nginx destroys a
 * new pool instead of that of the configuration, with the same cleanups.
 */

static void
ngx_http_background_steps_keep(ngx_cycle_t *cycle)
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, cycle->log);
    if (pool == NULL) {
        return;
    }

    pool->cleanup = cycle->pool->cleanup;
    cycle->pool->cleanup = NULL;
    cycle->pool = pool;
}


/* returns the number of threads that still run */

static ngx_uint_t
ngx_http_background_steps_wait(ngx_cycle_t *cycle, ngx_msec_t begun)
{
    ngx_uint_t        left, named;
    ngx_msec_t        now, start;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    named = 0;
    start = ngx_http_background_usec(CLOCK_MONOTONIC) / 1000;

    for ( ;; ) {
        (void) pthread_mutex_lock(&ngx_http_background_steps_mutex);

        left = ngx_http_background_steps.threads;

        (void) pthread_mutex_unlock(&ngx_http_background_steps_mutex);

        now = ngx_http_background_usec(CLOCK_MONOTONIC) / 1000;

        if (left == 0
            || (ngx_terminate
                && now - start >= NGX_HTTP_BACKGROUND_STEP_GRACE)
            || (ccf->shutdown_timeout
                && now - begun >= ccf->shutdown_timeout))
        {
            return left;
        }

        if (!named && now - begun >= NGX_HTTP_BACKGROUND_STEP_NAME) {
            named = 1;
            ngx_http_background_steps_name(cycle->log,
                                           "the worker waits for it");
        }

        ngx_msleep(NGX_HTTP_BACKGROUND_STEP_POLL);
    }
}


static void
ngx_http_background_steps_name(ngx_log_t *log, const char *text)
{
    ngx_queue_t                  *q;
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    for (q = ngx_queue_head(&steps->all);
         q != ngx_queue_sentinel(&steps->all);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_http_background_step_t, all);

        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "background task \"%V\": a blocking step of %V has not "
                      "returned for %uL seconds, %s",
                      st->task, &st->operation->title,
                      ngx_http_background_step_seconds(st), text);
    }
}


/* keeps the code of all running steps mapped */

static void
ngx_http_background_steps_pin(void)
{
    ngx_queue_t                  *q;
    ngx_http_background_step_t   *st;
    ngx_http_background_steps_t  *steps;

    steps = &ngx_http_background_steps;

    for (q = ngx_queue_head(&steps->all);
         q != ngx_queue_sentinel(&steps->all);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_http_background_step_t, all);

        ngx_http_background_thread_pin((void *) st->step);
    }
}
