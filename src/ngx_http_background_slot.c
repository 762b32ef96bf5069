
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_slot.h"
#include "ngx_http_background_job.h"


/*
 * A worker that gives a slot to others would be the first to see that it is
 * free: it takes none for this time, in microseconds.
 */
#define NGX_HTTP_BACKGROUND_AWAY  40000


typedef struct {
    pthread_mutex_t   mutex;
    pthread_cond_t    cond;
    void            (*notify)(void);
    ngx_uint_t        threads;      /* of "background_threads" */

    /* under the mutex */
    ngx_queue_t       parked;       /* jobs, the oldest first */
    ngx_uint_t        queued;
    uint64_t          turn;         /* no slot is taken before; usec */

    /* under the mutex, and read without it */
    ngx_uint_t        nparked;
    ngx_uint_t        ready;
} ngx_http_background_slots_t;


static void ngx_http_background_slots_publish(void);
static ngx_int_t ngx_http_background_slot_grant(
    ngx_http_background_slot_t *slot, uint64_t now);
static ngx_uint_t ngx_http_background_slot_free_for(
    ngx_http_background_job_t *job, uint64_t now, uint64_t parked);


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
ngx_http_background_slots_wait(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    ts.tv_nsec += NGX_HTTP_BACKGROUND_SLOT_POLL * 1000000;

    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }

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


/* for the other workers */

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

    if (now < ngx_http_background_slots.turn) {
        return NGX_AGAIN;
    }

    return ngx_http_background_slot_grant(slot, now);
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

    return NGX_OK;
}


void
ngx_http_background_slot_release(ngx_http_background_slot_t *slot)
{
    uint64_t                      now;
    ngx_uint_t                    wanted;
    ngx_queue_t                  *q;
    ngx_http_background_job_t    *job;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);
    wanted = ngx_http_background_budget_wanted();

    if (!wanted) {

        for (q = ngx_queue_head(&slots->parked);
             q != ngx_queue_sentinel(&slots->parked);
             q = ngx_queue_next(q))
        {
            job = ngx_queue_data(q, ngx_http_background_job_t, queue);

            if (job->slot->number == NGX_DECLINED) {
                job->slot->number = slot->number;
                job->slot->taken = now;
                slot->number = NGX_DECLINED;

                ngx_http_background_slots_wake();
                return;
            }
        }
    }

    ngx_http_background_budget_release(slot->number);
    slot->number = NGX_DECLINED;

    if (!wanted) {
        if (slots->ready) {
            slots->notify();
        }

    } else if (now >= slots->turn + NGX_HTTP_BACKGROUND_TURN) {
        slots->turn = now + NGX_HTTP_BACKGROUND_AWAY;
    }
}


ngx_uint_t
ngx_http_background_slot_turn_over(ngx_http_background_slot_t *slot)
{
    uint64_t  now;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    return now - slot->taken >= NGX_HTTP_BACKGROUND_TURN
           && (ngx_http_background_slots.nparked
               || ngx_http_background_budget_wanted());
}


void
ngx_http_background_slot_park(ngx_http_background_job_t *job, uint64_t due)
{
    uint64_t                      now, parked;
    ngx_uint_t                    lead;
    ngx_http_background_slots_t  *slots;

    slots = &ngx_http_background_slots;

    parked = 0;
    lead = (job == job->lead);

    ngx_http_background_slots_lock();

    if (job->slot->number != NGX_DECLINED) {
        ngx_http_background_slot_release(job->slot);
    }

    while (job->slot->number == NGX_DECLINED
           && !ngx_http_background_job_stops(job))
    {
        now = ngx_http_background_usec(CLOCK_MONOTONIC);

        if (now >= due && parked == 0) {
            parked = now;

            if (lead) {
                ngx_queue_insert_tail(&slots->parked, &job->queue);
                __atomic_store_n(&slots->nparked, slots->nparked + 1,
                                 __ATOMIC_RELAXED);
                ngx_http_background_slots_publish();
            }
        }

        if (parked
            && ngx_http_background_slot_free_for(job, now, parked)
            && ngx_http_background_slot_grant(job->slot, now) == NGX_OK)
        {
            break;
        }

        ngx_http_background_slots_wait();
    }

    if (parked && lead) {
        ngx_queue_remove(&job->queue);
        __atomic_store_n(&slots->nparked, slots->nparked - 1,
                         __ATOMIC_RELAXED);
        ngx_http_background_slots_publish();
    }

    ngx_http_background_slots_unlock();
}


/* jobs that have not started yet come first, for the length of a turn */

static ngx_uint_t
ngx_http_background_slot_free_for(ngx_http_background_job_t *job, uint64_t now,
    uint64_t parked)
{
    if (now < ngx_http_background_slots.turn) {
        return 0;
    }

    if (job != job->lead) {
        return !ngx_http_background_slots_contended();
    }

    return now - parked >= NGX_HTTP_BACKGROUND_TURN
           || !(ngx_http_background_slots.ready
                || ngx_http_background_budget_ready());
}
