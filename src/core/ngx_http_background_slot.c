
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_slot.h"
#include "ngx_http_background_job.h"


/*
 * A worker that returns a slot to the budget for others would be the first one
 * to see it free, so it takes no slot for this time, in microseconds.
 */
#define NGX_HTTP_BACKGROUND_AWAY  40000


typedef struct {
    pthread_mutex_t   mutex;
    pthread_cond_t    cond;
    void            (*notify)(void);
    ngx_uint_t        threads;      /* the size of the budget */

    /* under the mutex */
    ngx_queue_t       parked;       /* parked jobs, the oldest first */
    ngx_uint_t        queued;
    uint64_t          away;         /* no slot is taken before this time if
                                       others wait; usec, monotonic */
    ngx_uint_t        resumed;      /* unsigned resumed:1; a parked job took
                                       the last slot */

    /* written under the mutex, read without it */
    ngx_uint_t        nparked;
    ngx_uint_t        ready;
} ngx_http_background_slots_t;


static void ngx_http_background_slots_publish(void);
static ngx_int_t ngx_http_background_slot_grant(
    ngx_http_background_slot_t *slot, uint64_t now);
static ngx_http_background_job_t *ngx_http_background_slots_next(uint64_t now);
static ngx_uint_t ngx_http_background_slots_away(uint64_t now);
static void ngx_http_background_slot_parked(ngx_http_background_job_t *job,
    uint64_t since);
static void ngx_http_background_slot_resume(ngx_http_background_job_t *job,
    uint64_t now);


static ngx_http_background_slots_t  ngx_http_background_slots;


ngx_int_t
ngx_http_background_slots_init(ngx_uint_t threads, void (*notify)(void),
    ngx_log_t *log)
{
    int                           err;
    pthread_condattr_t            attr;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    ngx_memzero(slots, sizeof(ngx_http_background_slots_t));

    slots->notify = notify;
    slots->threads = threads;

    ngx_queue_init(&slots->parked);

    err = pthread_mutex_init(&slots->mutex, NULL);
    if (err) {
        ngx_log_error(NGX_LOG_ALERT, log, err, "pthread_mutex_init() failed");
        return NGX_ERROR;
    }

    err = pthread_condattr_init(&attr);

    if (err == 0) {
        (void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        err = pthread_cond_init(&slots->cond, &attr);
        (void) pthread_condattr_destroy(&attr);
    }

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, log, err, "pthread_cond_init() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_background_slots_lock(void)
{
    (void) pthread_mutex_lock(&ngx_http_background_slots.mutex);
}


void
ngx_http_background_slots_unlock(void)
{
    (void) pthread_mutex_unlock(&ngx_http_background_slots.mutex);
}


void
ngx_http_background_slots_wait(uint64_t until)
{
    struct timespec  ts;

    ts.tv_sec = until / 1000000;
    ts.tv_nsec = until % 1000000 * 1000;

    (void) pthread_cond_timedwait(&ngx_http_background_slots.cond,
                                  &ngx_http_background_slots.mutex, &ts);
}


void
ngx_http_background_slots_wake(void)
{
    (void) pthread_cond_broadcast(&ngx_http_background_slots.cond);
}


void
ngx_http_background_slots_waiting(ngx_uint_t queued, ngx_uint_t ready)
{
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    slots->queued = queued;
    __atomic_store_n(&slots->ready, ready, __ATOMIC_RELAXED);

    ngx_http_background_slots_publish();
}


/* tells the other workers how many jobs wait here */

static void
ngx_http_background_slots_publish(void)
{
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    ngx_http_background_budget_waiting(slots->queued, slots->ready,
                                       slots->nparked);
}


ngx_uint_t
ngx_http_background_slots_contended(void)
{
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    return __atomic_load_n(&slots->nparked, __ATOMIC_RELAXED)
           || __atomic_load_n(&slots->ready, __ATOMIC_RELAXED)
           || ngx_http_background_budget_wanted();
}


ngx_int_t
ngx_http_background_slot_take(ngx_http_background_slot_t *slot)
{
    uint64_t  now;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    if (ngx_http_background_slots_away(now)
        || ngx_http_background_slots_next(now)
        || ngx_http_background_slot_grant(slot, now) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_background_slots.resumed = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_slot_spare(ngx_http_background_slot_t *slot)
{
    ngx_int_t  rc;

    if (ngx_http_background_slots_contended()) {
        return NGX_AGAIN;
    }

    ngx_http_background_slots_lock();

    rc = ngx_http_background_slot_take(slot);

    ngx_http_background_slots_unlock();

    return rc;
}


static ngx_int_t
ngx_http_background_slot_grant(ngx_http_background_slot_t *slot, uint64_t now)
{
    ngx_int_t  n;

    n = ngx_http_background_budget_take(ngx_http_background_slots.threads);

    if (n == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    slot->number = n;
    slot->taken = now;
    slot->lent = 0;

    return NGX_OK;
}


/*
 * Returns the parked job that takes the next slot, or NULL if a job that has
 * not started takes it.  Jobs that have not started come first until the
 * oldest parked job has waited for a turn; after that the two kinds of jobs
 * alternate.
 */

static ngx_http_background_job_t *
ngx_http_background_slots_next(uint64_t now)
{
    ngx_queue_t                  *q;
    ngx_http_background_job_t    *job;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    for (q = ngx_queue_head(&slots->parked);
         q != ngx_queue_sentinel(&slots->parked);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_background_job_t, queue);

        if (job->slot->number != NGX_DECLINED) {
            continue;
        }

        if (now < job->parked + NGX_HTTP_BACKGROUND_TURN) {
            return slots->ready || ngx_http_background_budget_ready() ? NULL
                                                                      : job;
        }

        return slots->ready && slots->resumed ? NULL : job;
    }

    return NULL;
}


static ngx_uint_t
ngx_http_background_slots_away(uint64_t now)
{
    return now < ngx_http_background_slots.away
           && ngx_http_background_budget_wanted();
}


void
ngx_http_background_slot_release(ngx_http_background_slot_t *slot)
{
    uint64_t                      now;
    ngx_uint_t                    wanted;
    ngx_http_background_job_t    *job;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);
    wanted = ngx_http_background_budget_wanted();

    job = wanted ? NULL : ngx_http_background_slots_next(now);

    if (job) {
        ngx_http_background_slot_move(job->slot, slot);
        slots->resumed = 1;

        ngx_http_background_slots_wake();
        return;
    }

    ngx_http_background_budget_release(slot->number);
    slot->number = NGX_DECLINED;

    if (!wanted) {
        if (slots->ready) {
            slots->notify();
        }

    } else if (now >= slots->away + NGX_HTTP_BACKGROUND_TURN) {
        slots->away = now + NGX_HTTP_BACKGROUND_AWAY;
    }
}


void
ngx_http_background_slot_move(ngx_http_background_slot_t *to,
    ngx_http_background_slot_t *from)
{
    to->number = from->number;
    to->taken = ngx_http_background_usec(CLOCK_MONOTONIC);
    to->lent = 0;

    from->number = NGX_DECLINED;
}


ngx_uint_t
ngx_http_background_slot_turn_over(ngx_http_background_slot_t *slot)
{
    uint64_t  now;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    if (ngx_http_background_slots.nparked
        || ngx_http_background_budget_wanted())
    {
        return now >= slot->taken + NGX_HTTP_BACKGROUND_TURN;
    }

    slot->taken = now;

    return 0;
}


void
ngx_http_background_slot_park(ngx_http_background_job_t *job, uint64_t due)
{
    uint64_t  now, until;

    ngx_http_background_slots_lock();

    if (job->slot->number != NGX_DECLINED) {
        ngx_http_background_slot_release(job->slot);
    }

    while (job->slot->number == NGX_DECLINED
           && !ngx_http_background_job_stops(job))
    {
        now = ngx_http_background_usec(CLOCK_MONOTONIC);
        until = now + NGX_HTTP_BACKGROUND_SLOT_POLL;

        if (now < due) {
            ngx_http_background_slots_wait(ngx_min(due, until));
            continue;
        }

        if (job->parked == 0) {
            ngx_http_background_slot_parked(job, now);
        }

        ngx_http_background_slot_resume(job, now);

        if (job->slot->number == NGX_DECLINED) {
            ngx_http_background_slots_wait(until);
        }
    }

    if (job->parked) {
        ngx_http_background_slot_parked(job, 0);
    }

    /* the time that the job was parked does not count */

    job->slot->taken = ngx_http_background_usec(CLOCK_MONOTONIC);

    ngx_http_background_slots_unlock();
}


/* helpers are not in the queue: no one waits for them */

static void
ngx_http_background_slot_parked(ngx_http_background_job_t *job, uint64_t since)
{
    ngx_uint_t                    n;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    job->parked = since;

    if (job != job->lead) {
        return;
    }

    if (since) {
        ngx_queue_insert_tail(&slots->parked, &job->queue);
        n = slots->nparked + 1;

    } else {
        ngx_queue_remove(&job->queue);
        n = slots->nparked - 1;

        /* a thread waits in slot_park() for the job that is next now */
        ngx_http_background_slots_wake();
    }

    __atomic_store_n(&slots->nparked, n, __ATOMIC_RELAXED);
    ngx_http_background_slots_publish();
}


static void
ngx_http_background_slot_resume(ngx_http_background_job_t *job, uint64_t now)
{
    if (job != job->lead) {

        if (!ngx_http_background_slots_contended()) {
            (void) ngx_http_background_slot_grant(job->slot, now);
        }

        return;
    }

    if (!ngx_http_background_slots_away(now)
        && ngx_http_background_slots_next(now) == job
        && ngx_http_background_slot_grant(job->slot, now) == NGX_OK)
    {
        ngx_http_background_slots.resumed = 1;
    }
}
