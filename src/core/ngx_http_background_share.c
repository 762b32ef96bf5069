
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * One run on several threads.  The lead works on a thread of the pool.
 * Meanwhile it starts a helper thread whenever there is a slot of the budget
 * that no job waits for.  A helper exits when it finds no more work, and the
 * lead joins it.
 */


#include "ngx_http_background_job.h"
#include "ngx_http_background_slot.h"


/* the period in which the lead tries to take a slot, in microseconds */
#define NGX_HTTP_BACKGROUND_GROW  1000


typedef struct ngx_http_background_helper_s  ngx_http_background_helper_t;

struct ngx_http_background_helper_s {
    ngx_http_background_job_t        job;
    ngx_http_background_slot_t       slot;
    pthread_t                        tid;
    ngx_uint_t                       over;       /* under the mutex of the
                                                    slots */
    ngx_http_background_helper_t    *next;
};


struct ngx_http_background_share_s {
    ngx_http_background_helper_t    *helpers;
    ngx_uint_t                       n;
    uint64_t                         grown;      /* usec, monotonic */
    ngx_uint_t                       full;       /* atomic; no more helpers are
                                                    started */
    ngx_uint_t                       joining;    /* under the mutex of the
                                                    slots */
};


static ngx_int_t ngx_http_background_helper_start(
    ngx_http_background_job_t *lead, ngx_http_background_slot_t *slot);
static ngx_http_background_helper_t *ngx_http_background_helper_create(
    ngx_http_background_job_t *lead);
static void ngx_http_background_helper_cleanup(void *data);
static void *ngx_http_background_helper_cycle(void *data);
static void ngx_http_background_helper_over(
    ngx_http_background_helper_t *helper);
static void ngx_http_background_share_join(ngx_http_background_job_t *lead);
static void ngx_http_background_share_wait(ngx_http_background_job_t *lead,
    ngx_http_background_helper_t *helper);
static void ngx_http_background_share_lend(ngx_http_background_job_t *lead);
static ngx_uint_t ngx_http_background_share_stuck(
    ngx_http_background_job_t *lead);
static void ngx_http_background_share_gather(ngx_http_background_job_t *lead,
    ngx_http_background_job_t *job);


void
ngx_http_background_share_work(ngx_http_background_job_t *job)
{
    ngx_http_background_share_t  share;

    job->kind->begin(&job->run);

    if (ngx_http_background_job_stops(job)) {
        job->cancelled = 1;

    } else if (job->run.result.failed == 0) {
        ngx_memzero(&share, sizeof(ngx_http_background_share_t));
        share.grown = ngx_http_background_usec(CLOCK_MONOTONIC);

        job->share = &share;

        job->kind->work(&job->run);

        ngx_http_background_share_join(job);

        job->share = NULL;
    }

    if (job->kind->finish) {
        job->kind->finish(&job->run);
    }
}


void
ngx_http_background_share_grow(ngx_http_background_job_t *job, uint64_t now)
{
    ngx_http_background_slot_t    slot;
    ngx_http_background_share_t  *share;

    share = job->share;

    if (now < share->grown + NGX_HTTP_BACKGROUND_GROW
        || __atomic_load_n(&share->full, __ATOMIC_RELAXED)
        || share->n + 1 >= ngx_http_background_pool_threads())
    {
        return;
    }

    share->grown = now;

    ngx_memzero(&slot, sizeof(ngx_http_background_slot_t));

    if (ngx_http_background_slot_spare(&slot, job->arrived) != NGX_OK) {
        return;
    }

    if (ngx_http_background_helper_start(job, &slot) != NGX_OK) {
        __atomic_store_n(&share->full, 1, __ATOMIC_RELAXED);

        ngx_http_background_slots_lock();
        ngx_http_background_slot_release(&slot);
        ngx_http_background_slots_unlock();
    }
}


static ngx_int_t
ngx_http_background_helper_start(ngx_http_background_job_t *lead,
    ngx_http_background_slot_t *slot)
{
    int                            err;
    ngx_http_background_run_t     *run;
    ngx_http_background_share_t   *share;
    ngx_http_background_helper_t  *helper;

    share = lead->share;

    helper = ngx_http_background_helper_create(lead);
    if (helper == NULL) {
        return NGX_ERROR;
    }

    helper->slot = *slot;

    err = pthread_create(&helper->tid, NULL, ngx_http_background_helper_cycle,
                         helper);
    if (err) {
        run = &lead->run;

        ngx_log_error(NGX_LOG_INFO, run->log, err,
                      "background task \"%V\": pthread_create() failed, "
                      "%ui threads share the work", run->task, share->n + 1);
        return NGX_ERROR;
    }

    helper->next = share->helpers;
    share->helpers = helper;
    share->n++;

    return NGX_OK;
}


static ngx_http_background_helper_t *
ngx_http_background_helper_create(ngx_http_background_job_t *lead)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_background_run_t     *run;
    ngx_http_background_helper_t  *helper;

    helper = ngx_pcalloc(lead->run.pool, sizeof(ngx_http_background_helper_t));
    if (helper == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(lead->run.pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    run = &helper->job.run;

    run->pool = ngx_create_pool(NGX_MIN_POOL_SIZE, lead->run.log);
    if (run->pool == NULL) {
        return NULL;
    }

    /* cleanup handlers of the pool of a run are called in the main thread */

    cln->handler = ngx_http_background_helper_cleanup;
    cln->data = run->pool;

    run->conf = lead->run.conf;
    run->ctx = lead->run.ctx;
    run->log = lead->run.log;
    run->task = lead->run.task;
    run->cycle = lead->run.cycle;
    run->repeats = lead->run.repeats;
    run->limit_rate = lead->run.limit_rate;
    run->keep_slot = lead->run.keep_slot;

    helper->job.kind = lead->kind;
    helper->job.arrived = lead->arrived;
    helper->job.cell = lead->cell;
    helper->job.input = lead->input;
    helper->job.lead = lead;

    return helper;
}


static void
ngx_http_background_helper_cleanup(void *data)
{
    ngx_pool_t *pool = data;

    ngx_destroy_pool(pool);
}


/*
 * The thread inherits signal mask, nice value, I/O class, and affinity from
 * the lead, and shares its folder and umask.
 */

static void *
ngx_http_background_helper_cycle(void *data)
{
    ngx_http_background_helper_t *helper = data;

    ngx_http_background_job_t    *job;
    ngx_http_background_clock_t   clock;

    job = &helper->job;

    ngx_http_background_job_clock(&clock);
    ngx_http_background_job_begin(job, &helper->slot, &clock);

    job->kind->work(&job->run);

    ngx_http_background_input_unmap(job);

    ngx_http_background_job_set_current(NULL);

    job->cpu_usec = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID);

    ngx_http_background_helper_over(helper);

    return NULL;
}


static void
ngx_http_background_helper_over(ngx_http_background_helper_t *helper)
{
    ngx_http_background_job_t    *lead;
    ngx_http_background_share_t  *share;

    lead = helper->job.lead;
    share = lead->share;

    /* the helper has found no more work, so another one would not either */
    __atomic_store_n(&share->full, 1, __ATOMIC_RELAXED);

    ngx_http_background_slots_lock();

    helper->over = 1;

    if (helper->slot.number != NGX_DECLINED) {

        if (share->joining && lead->slot->number == NGX_DECLINED) {
            ngx_http_background_slot_move(lead->slot, &helper->slot);

        } else {
            ngx_http_background_slot_release(&helper->slot);
        }
    }

    ngx_http_background_slots_wake();
    ngx_http_background_slots_unlock();
}


static void
ngx_http_background_share_join(ngx_http_background_job_t *lead)
{
    ngx_http_background_share_t   *share;
    ngx_http_background_helper_t  *helper;

    share = lead->share;

    ngx_http_background_slots_lock();

    share->joining = 1;

    for (helper = share->helpers; helper; helper = helper->next) {
        ngx_http_background_share_wait(lead, helper);
    }

    share->joining = 0;

    ngx_http_background_slots_unlock();

    for (helper = share->helpers; helper; helper = helper->next) {
        (void) pthread_join(helper->tid, NULL);
        ngx_http_background_share_gather(lead, &helper->job);
    }

    /* "finish" needs a slot, too */

    if (lead->slot->number == NGX_DECLINED) {
        ngx_http_background_slot_park(lead, 0);
    }
}


/*
 * Waits for a helper.  The lead itself needs no slot, but helpers whose slots
 * were taken by other jobs do: the lead takes its turn among these jobs.  The
 * mutex must be locked.
 */

static void
ngx_http_background_share_wait(ngx_http_background_job_t *lead,
    ngx_http_background_helper_t *helper)
{
    while (!helper->over) {

        if (lead->slot->number != NGX_DECLINED) {
            ngx_http_background_share_lend(lead);

        } else if (ngx_http_background_share_stuck(lead)) {
            ngx_http_background_slots_unlock();
            ngx_http_background_slot_park(lead, 0);
            ngx_http_background_slots_lock();
            continue;
        }

        ngx_http_background_slots_wait(
                                  ngx_http_background_usec(CLOCK_MONOTONIC)
                                  + NGX_HTTP_BACKGROUND_SLOT_POLL);
    }
}


/*
 * A helper without a slot continues with the slot of the lead, for a turn.  If
 * no helper needs it, the slot is released.
 */

static void
ngx_http_background_share_lend(ngx_http_background_job_t *lead)
{
    ngx_http_background_helper_t  *helper;

    for (helper = lead->share->helpers; helper; helper = helper->next) {

        if (helper->job.parked && helper->slot.number == NGX_DECLINED) {
            ngx_http_background_slot_move(&helper->slot, lead->slot);
            helper->slot.lent = 1;

            ngx_http_background_slots_wake();
            return;
        }
    }

    ngx_http_background_slot_release(lead->slot);
}


/*
 * Whether helpers wait for a slot and the slot of the lead is not lent to any.
 */

static ngx_uint_t
ngx_http_background_share_stuck(ngx_http_background_job_t *lead)
{
    ngx_uint_t                     stuck;
    ngx_http_background_helper_t  *helper;

    if (ngx_http_background_job_stops(lead)) {
        return 0;
    }

    stuck = 0;

    for (helper = lead->share->helpers; helper; helper = helper->next) {

        if (helper->slot.number == NGX_DECLINED) {
            stuck |= (helper->job.parked != 0);

        } else if (helper->slot.lent) {
            return 0;
        }
    }

    return stuck;
}


/* keeps the first error and the last message */

static void
ngx_http_background_share_gather(ngx_http_background_job_t *lead,
    ngx_http_background_job_t *job)
{
    ngx_http_background_result_t  *sum, *result;

    sum = &lead->run.result;
    result = &job->run.result;

    ngx_http_background_result_check(sum);
    ngx_http_background_result_check(result);

    if (result->failed && sum->failed == 0) {
        sum->error_len = result->error_len;
        ngx_memcpy(sum->error, result->error, result->error_len);
    }

    if (result->message_len) {
        sum->message_len = result->message_len;
        ngx_memcpy(sum->message, result->message, result->message_len);
    }

    sum->completed += result->completed;
    sum->failed += result->failed;
    sum->active += result->active;
    sum->bytes += result->bytes;
    sum->io_time += result->io_time;
    sum->allow_empty |= result->allow_empty;

    lead->cpu_usec += job->cpu_usec;
    lead->threads++;

    if (job->cancelled) {
        lead->cancelled = 1;
    }
}
