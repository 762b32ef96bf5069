
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


/*
 * Of members that are arrays, the second element is that of reserved slots and
 * of the jobs that may take them, the first one that of others and of all jobs.
 */

typedef struct {
    pthread_mutex_t   mutex;
    pthread_cond_t    cond;
    void            (*notify)(void);
    ngx_uint_t        threads;      /* the size of the budget */
    ngx_uint_t        reserve;      /* the last of these, for periodic jobs */

    /* under the mutex */
    ngx_queue_t       parked;       /* parked jobs, the oldest first */
    uint64_t          away[2];      /* no slot is taken before this time if
                                       others wait; usec, monotonic */
    ngx_uint_t        resumed[2];   /* unsigned resumed:1; a parked job took
                                       the last slot */

    /* written under the mutex; "ready" and "parked" are read without it */
    ngx_http_background_waiting_t  waiting;
} ngx_http_background_slots_t;


static ngx_uint_t ngx_http_background_slots_contended(ngx_uint_t reserved);
static ngx_int_t ngx_http_background_slots_take(
    ngx_http_background_slot_t *slot, ngx_uint_t reserved);
static ngx_int_t ngx_http_background_slots_spare(
    ngx_http_background_slot_t *slot, ngx_uint_t reserved);
static ngx_int_t ngx_http_background_slot_grant(
    ngx_http_background_slot_t *slot, ngx_uint_t reserved, uint64_t now);
static ngx_http_background_job_t *ngx_http_background_slots_next(
    ngx_uint_t reserved, uint64_t now);
static ngx_uint_t ngx_http_background_slots_away(ngx_uint_t reserved,
    uint64_t now);
static void ngx_http_background_slot_parked(ngx_http_background_job_t *job,
    uint64_t since);
static ngx_int_t ngx_http_background_slot_resume(
    ngx_http_background_job_t *job, ngx_uint_t reserved, uint64_t now);


static ngx_http_background_slots_t  ngx_http_background_slots;


ngx_int_t
ngx_http_background_slots_init(ngx_http_background_pool_conf_t *pcf,
    void (*notify)(void), ngx_log_t *log)
{
    int                           err;
    pthread_condattr_t            attr;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    ngx_memzero(slots, sizeof(ngx_http_background_slots_t));

    slots->notify = notify;
    slots->threads = pcf->threads;
    slots->reserve = pcf->reserve;

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
ngx_http_background_slots_waiting(ngx_uint_t queued, ngx_uint_t ready,
    ngx_uint_t periodic)
{
    ngx_http_background_waiting_t  *waiting;

    waiting = &ngx_http_background_slots.waiting;

    waiting->queued = queued;
    __atomic_store_n(&waiting->ready[0], ready, __ATOMIC_RELAXED);
    __atomic_store_n(&waiting->ready[1], periodic, __ATOMIC_RELAXED);

    ngx_http_background_budget_waiting(waiting);
}


ngx_uint_t
ngx_http_background_slot_contended(const ngx_http_background_slot_t *slot)
{
    return ngx_http_background_slots_contended(
                                    ngx_http_background_slot_reserved(slot));
}


static ngx_uint_t
ngx_http_background_slots_contended(ngx_uint_t reserved)
{
    ngx_http_background_waiting_t  *waiting;

    waiting = &ngx_http_background_slots.waiting;

    return __atomic_load_n(&waiting->parked[reserved], __ATOMIC_RELAXED)
           || __atomic_load_n(&waiting->ready[reserved], __ATOMIC_RELAXED)
           || ngx_http_background_budget_wanted(reserved);
}


ngx_uint_t
ngx_http_background_slot_reserved(const ngx_http_background_slot_t *slot)
{
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    return slot->number != NGX_DECLINED
           && (ngx_uint_t) slot->number >= slots->threads - slots->reserve;
}


ngx_int_t
ngx_http_background_slot_take(ngx_http_background_slot_t *slot,
    ngx_uint_t arrived)
{
    if (ngx_http_background_slots.reserve && !arrived
        && ngx_http_background_slots_take(slot, 1) == NGX_OK)
    {
        return NGX_OK;
    }

    return ngx_http_background_slots_take(slot, 0);
}


static ngx_int_t
ngx_http_background_slots_take(ngx_http_background_slot_t *slot,
    ngx_uint_t reserved)
{
    uint64_t  now;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    if (ngx_http_background_slots_away(reserved, now)
        || ngx_http_background_slots_next(reserved, now)
        || ngx_http_background_slot_grant(slot, reserved, now) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_background_slots.resumed[reserved] = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_slot_spare(ngx_http_background_slot_t *slot,
    ngx_uint_t arrived)
{
    if (ngx_http_background_slots.reserve && !arrived
        && ngx_http_background_slots_spare(slot, 1) == NGX_OK)
    {
        return NGX_OK;
    }

    return ngx_http_background_slots_spare(slot, 0);
}


static ngx_int_t
ngx_http_background_slots_spare(ngx_http_background_slot_t *slot,
    ngx_uint_t reserved)
{
    ngx_int_t  rc;

    if (ngx_http_background_slots_contended(reserved)) {
        return NGX_AGAIN;
    }

    ngx_http_background_slots_lock();

    rc = ngx_http_background_slots_take(slot, reserved);

    ngx_http_background_slots_unlock();

    return rc;
}


static ngx_int_t
ngx_http_background_slot_grant(ngx_http_background_slot_t *slot,
    ngx_uint_t reserved, uint64_t now)
{
    ngx_int_t                     n;
    ngx_uint_t                    first;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    first = slots->threads - slots->reserve;

    n = reserved ? ngx_http_background_budget_take(first, slots->threads)
                 : ngx_http_background_budget_take(0, first);

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
ngx_http_background_slots_next(ngx_uint_t reserved, uint64_t now)
{
    ngx_uint_t                    ready;
    ngx_queue_t                  *q;
    ngx_http_background_job_t    *job;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    ready = slots->waiting.ready[reserved];

    for (q = ngx_queue_head(&slots->parked);
         q != ngx_queue_sentinel(&slots->parked);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_background_job_t, queue);

        if (job->slot->number != NGX_DECLINED || (reserved && job->arrived)) {
            continue;
        }

        if (now < job->parked + NGX_HTTP_BACKGROUND_TURN) {
            return ready || ngx_http_background_budget_ready(reserved) ? NULL
                                                                       : job;
        }

        return ready && slots->resumed[reserved] ? NULL : job;
    }

    return NULL;
}


static ngx_uint_t
ngx_http_background_slots_away(ngx_uint_t reserved, uint64_t now)
{
    return now < ngx_http_background_slots.away[reserved]
           && ngx_http_background_budget_wanted(reserved);
}


void
ngx_http_background_slot_release(ngx_http_background_slot_t *slot)
{
    uint64_t                      now;
    ngx_uint_t                    wanted, reserved;
    ngx_http_background_job_t    *job;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);
    reserved = ngx_http_background_slot_reserved(slot);
    wanted = ngx_http_background_budget_wanted(reserved);

    job = wanted ? NULL : ngx_http_background_slots_next(reserved, now);

    if (job) {
        ngx_http_background_slot_move(job->slot, slot);
        slots->resumed[reserved] = 1;

        ngx_http_background_slots_wake();
        return;
    }

    ngx_http_background_budget_release(slot->number);
    slot->number = NGX_DECLINED;

    if (!wanted) {
        if (slots->waiting.ready[reserved]) {
            slots->notify();
        }

    } else if (now >= slots->away[reserved] + NGX_HTTP_BACKGROUND_TURN) {
        slots->away[reserved] = now + NGX_HTTP_BACKGROUND_AWAY;
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
ngx_http_background_slot_turn_over(ngx_http_background_slot_t *slot,
    uint64_t now)
{
    ngx_uint_t  reserved;

    reserved = ngx_http_background_slot_reserved(slot);

    if (ngx_http_background_slots.waiting.parked[reserved]
        || ngx_http_background_budget_wanted(reserved))
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

        if (ngx_http_background_slots.reserve && !job->arrived
            && ngx_http_background_slot_resume(job, 1, now) == NGX_OK)
        {
            continue;
        }

        if (ngx_http_background_slot_resume(job, 0, now) != NGX_OK) {
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
    ngx_uint_t                      i;
    ngx_http_background_slots_t    *slots;
    ngx_http_background_waiting_t  *waiting;

    slots = &ngx_http_background_slots;
    waiting = &slots->waiting;

    job->parked = since;

    if (job != job->lead) {
        return;
    }

    if (since) {
        ngx_queue_insert_tail(&slots->parked, &job->queue);

    } else {
        ngx_queue_remove(&job->queue);

        /* a thread waits in slot_park() for the job that is next now */
        ngx_http_background_slots_wake();
    }

    for (i = 0; i < (job->arrived ? 1 : 2); i++) {
        __atomic_store_n(&waiting->parked[i],
                         waiting->parked[i] + (since ? 1 : -1),
                         __ATOMIC_RELAXED);
    }

    ngx_http_background_budget_waiting(waiting);
}


static ngx_int_t
ngx_http_background_slot_resume(ngx_http_background_job_t *job,
    ngx_uint_t reserved, uint64_t now)
{
    if (job != job->lead) {

        if (ngx_http_background_slots_contended(reserved)) {
            return NGX_AGAIN;
        }

        return ngx_http_background_slot_grant(job->slot, reserved, now);
    }

    if (ngx_http_background_slots_away(reserved, now)
        || ngx_http_background_slots_next(reserved, now) != job
        || ngx_http_background_slot_grant(job->slot, reserved, now) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_background_slots.resumed[reserved] = 1;

    return NGX_OK;
}
