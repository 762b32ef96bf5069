
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_job.h"
#include "ngx_http_background_headroom.h"
#include "ngx_http_background_slot.h"


/*
 * Pacing, in microseconds: the CPU time that a thread may use at once after
 * it was idle, the period in which it is read, and the longest sleep between
 * two checks for cancellation.  The first two keep bursts far below the 100 ms
 * over which the kernel enforces the quota of a cgroup.
 */
#define NGX_HTTP_BACKGROUND_PACE_BURST   10000
#define NGX_HTTP_BACKGROUND_PACE_CHECK   500
#define NGX_HTTP_BACKGROUND_PACE_SLEEP   10000

/* the longest CPU time that is estimated, in microseconds */
#define NGX_HTTP_BACKGROUND_ESTIMATE     20

/*
 * A thread is given at least this part (1/10) of its quota, however little the
 * container has left.
 */
#define NGX_HTTP_BACKGROUND_PACE_FLOOR   10


static void ngx_http_background_job_advance(
    ngx_http_background_clock_t *clock);
static ngx_uint_t ngx_http_background_job_expired(
    ngx_http_background_job_t *job);
static uint64_t ngx_http_background_pace(ngx_http_background_job_t *job,
    uint64_t now, uint64_t *rate_due);
static void ngx_http_background_pace_begin(ngx_http_background_job_t *job);
static void ngx_http_background_pace_pay(ngx_http_background_job_t *job,
    uint64_t cpu);
static uint64_t ngx_http_background_pace_due(ngx_http_background_job_t *job,
    uint64_t now);
static uint64_t ngx_http_background_pay(uint64_t *bucket, uint64_t start,
    uint64_t cost);
static void ngx_http_background_sleep(ngx_http_background_job_t *job,
    uint64_t due, ngx_uint_t yields);


/*
 * The TLS model must not need an allocation: the signal handler of a crash
 * reads the variable.
 */

static __thread ngx_http_background_job_t  *ngx_http_background_current
    __attribute__((tls_model("initial-exec")));


void
ngx_http_background_job_clock(ngx_http_background_clock_t *clock)
{
    clock->now = ngx_http_background_usec(CLOCK_MONOTONIC);
    clock->cpu = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID);
    clock->estimated = 0;
}


/* called after a job; its time is its CPU time, if it was short */

static void
ngx_http_background_job_advance(ngx_http_background_clock_t *clock)
{
    uint64_t  now, passed;

    now = ngx_http_background_usec(CLOCK_MONOTONIC);
    passed = now - clock->now;

    if (clock->estimated + passed > NGX_HTTP_BACKGROUND_ESTIMATE) {
        ngx_http_background_job_clock(clock);
        return;
    }

    clock->now = now;
    clock->cpu += passed;
    clock->estimated += passed;
}


void
ngx_http_background_job_run(ngx_http_background_job_t *job,
    ngx_http_background_slot_t *slot, ngx_http_background_clock_t *clock)
{
    uint64_t  cpu;

    cpu = clock->cpu;

    job->threads = 1;

    ngx_http_background_job_begin(job, slot, clock);

    ngx_http_background_pace_begin(job);

    if (ngx_http_background_job_stops(job)) {
        job->threads = 0;
        job->cancelled = 1;

    } else if (job->kind->begin) {
        ngx_http_background_share_work(job);

    } else {
        job->kind->work(&job->run);
    }

    ngx_http_background_input_unmap(job);

    ngx_http_background_job_set_current(NULL);

    if (job->run.restore_thread) {
        ngx_http_background_pool_thread_restore(job->run.log);
    }

    ngx_http_background_job_advance(clock);

    ngx_http_background_pace_pay(job, clock->cpu);

    job->cpu_usec += clock->cpu - ngx_min(cpu, clock->cpu);
}


void
ngx_http_background_job_begin(ngx_http_background_job_t *job,
    ngx_http_background_slot_t *slot,
    const ngx_http_background_clock_t *clock)
{
    job->slot = slot;

    job->pace.checked = clock->now;
    job->pace.cpu_checked = clock->cpu;
    job->pace.rate_due = &job->lead->rate_due;

    ngx_http_background_job_set_current(job);
}


ngx_uint_t
ngx_http_background_job_stops(ngx_http_background_job_t *job)
{
    return __atomic_load_n(&job->lead->cancel, __ATOMIC_RELAXED)
           || !ngx_http_background_zone_owns(job->lead->worker)
           || ngx_http_background_job_expired(job->lead);
}


ngx_uint_t
ngx_http_background_job_stopped(ngx_http_background_job_t *job)
{
    if (!job->cancelled && ngx_http_background_job_stops(job)) {
        job->cancelled = 1;
    }

    return job->cancelled;
}


/* whether another server may run the task; the event loop may stand still */

static ngx_uint_t
ngx_http_background_job_expired(ngx_http_background_job_t *job)
{
    uint64_t  until;

    if (job->until == NULL) {
        return 0;
    }

    until = __atomic_load_n(job->until, __ATOMIC_RELAXED);

    return until
           && ngx_http_background_usec(CLOCK_BOOTTIME) / 1000 >= until;
}


void
ngx_http_background_job_set_current(ngx_http_background_job_t *job)
{
    ngx_http_background_current = job;

    /* a signal handler in this thread must see the value from here on */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}


ngx_http_background_cell_t *
ngx_http_background_job_current(uint64_t *self)
{
    ngx_http_background_job_t  *job;

    job = ngx_http_background_current;

    if (job == NULL) {
        return NULL;
    }

    *self = job->lead ? job->lead->worker : job->worker;

    return job->cell;
}


ngx_uint_t
ngx_http_background_cancelled(ngx_http_background_run_t *run)
{
    /* the job begins with the run */
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    uint64_t    now, due, rate_due;
    ngx_uint_t  yields;

    /* an I/O kind is cancelled by its "cancel" */

    if (job->lead == NULL) {
        return 0;
    }

    if (ngx_http_background_job_stopped(job)) {
        return 1;
    }

    now = ngx_http_background_usec(CLOCK_MONOTONIC);

    yields = !run->keep_slot;
    due = ngx_http_background_pace(job, now, &rate_due);

    if (rate_due > now + 1000) {
        ngx_http_background_sleep(job, rate_due, yields);

    } else if (job->share) {
        ngx_http_background_share_grow(job, now);
    }

    /*
     * a pause for "quota" keeps the slot: the CPU time is not granted to
     * others
     */

    if (due > now + 1000) {
        ngx_http_background_sleep(job, due, 0);
    }

    if (yields
        && ((job != job->lead && !job->slot->lent)
            || now >= job->slot->taken + NGX_HTTP_BACKGROUND_TURN)
        && ngx_http_background_slot_contended(job->slot))
    {
        ngx_http_background_slot_park(job, 0);
    }

    return ngx_http_background_job_stopped(job);
}


/*
 * Returns when the CPU time of the thread is paid for, and sets "rate_due" to
 * when the bytes of all threads of the run are paid for; 0: no pause.
 */

static uint64_t
ngx_http_background_pace(ngx_http_background_job_t *job, uint64_t now,
    uint64_t *rate_due)
{
    uint64_t                     cost, bytes, due;
    ngx_uint_t                   quota;
    ngx_http_background_run_t   *run;
    ngx_http_background_pace_t  *pace;

    *rate_due = 0;

    run = &job->run;
    pace = &job->pace;
    quota = ngx_http_background_pool_quota();

    if (quota == 0 && run->limit_rate == 0) {
        return 0;
    }

    bytes = run->result.bytes - pace->bytes_checked;
    cost = run->limit_rate ? bytes * 1000000 / run->limit_rate : 0;

    if (ngx_max(now - pace->checked, cost) < NGX_HTTP_BACKGROUND_PACE_CHECK) {
        return 0;
    }

    due = 0;

    if (quota) {
        ngx_http_background_pace_pay(job,
                            ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID));
        due = ngx_http_background_pace_due(job, now);
    }

    if (run->limit_rate) {
        *rate_due = ngx_http_background_pay(pace->rate_due, pace->checked,
                                            cost);
        pace->bytes_checked = run->result.bytes;
    }

    pace->checked = now;

    return due;
}


/*
 * Pauses before the job, if short jobs before it have used the CPU time of
 * "quota".
 */

static void
ngx_http_background_pace_begin(ngx_http_background_job_t *job)
{
    uint64_t  due;

    if (ngx_http_background_pool_quota() == 0) {
        return;
    }

    due = ngx_http_background_pace_due(job, job->pace.checked);

    if (due > job->pace.checked + 1000) {
        ngx_http_background_sleep(job, due, 0);
    }
}


static void
ngx_http_background_pace_pay(ngx_http_background_job_t *job, uint64_t cpu)
{
    uint64_t                     cost;
    ngx_uint_t                   quota;
    ngx_http_background_pace_t  *pace;

    quota = ngx_http_background_pool_quota();

    if (quota == 0) {
        return;
    }

    pace = &job->pace;

    /* what was read may be less than what was estimated before */

    cost = (cpu - ngx_min(pace->cpu_checked, cpu)) * 100 / quota;
    pace->cpu_checked = cpu;

    (void) ngx_http_background_pay(&job->slot->due, pace->checked, cost);
    (void) ngx_http_background_pay(&job->slot->floor_due, pace->checked,
                                   cost * NGX_HTTP_BACKGROUND_PACE_FLOOR);
}


/*
 * A thread waits until "quota" grants its CPU time.  It waits longer if the
 * container has no CPU time left, but not longer than its smallest share of
 * "quota" requires.
 */

static uint64_t
ngx_http_background_pace_due(ngx_http_background_job_t *job, uint64_t now)
{
    uint64_t  room;

    room = ngx_http_background_headroom_due(now);

    return ngx_max(job->slot->due, ngx_min(room, job->slot->floor_due));
}


/*
 * A leaky bucket.  Returns the time when all costs up to now are paid for.
 * Several threads may pay into the same bucket.
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


/* with "yields" the slot is given away while other jobs wait for one */

static void
ngx_http_background_sleep(ngx_http_background_job_t *job, uint64_t due,
    ngx_uint_t yields)
{
    uint64_t         now, wait;
    struct timespec  ts;

    for ( ;; ) {
        now = ngx_http_background_usec(CLOCK_MONOTONIC);

        if (now >= due || ngx_http_background_job_stops(job)) {
            break;
        }

        if (yields && ngx_http_background_slot_contended(job->slot)) {
            ngx_http_background_slot_park(job, due);
            continue;
        }

        wait = ngx_min(due - now, NGX_HTTP_BACKGROUND_PACE_SLEEP);

        ts.tv_sec = 0;
        ts.tv_nsec = wait * 1000;

        (void) nanosleep(&ts, NULL);
    }

    /* the time asleep is not work */

    job->pace.checked = ngx_max(now, job->pace.checked);
}


void
ngx_http_background_progress(ngx_http_background_run_t *run, uint64_t done,
    uint64_t total)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    /* the cell of an abandoned job may show a later cycle */

    if (job->lead && ngx_http_background_job_stops(job)) {
        return;
    }

    ngx_http_background_cell_progress(job->cell, done - job->done,
                                      total - job->total,
                                      job->lead ? job->lead->worker
                                                : job->worker);
    job->done = done;
    job->total = total;
}


uint64_t
ngx_http_background_usec(clockid_t clock)
{
    struct timespec  ts;

    (void) clock_gettime(clock, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
