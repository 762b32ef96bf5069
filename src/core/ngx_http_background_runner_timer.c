
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * When a task is due: "interval", "schedule" and "retry".  The cause of a cycle
 * that can't start yet is stored in "pending" and is tried again in each poll.
 */


#include "ngx_http_background_runner.h"
#include "ngx_http_background_state.h"


/* the longest time until the wall clock is read again, in milliseconds */
#define NGX_HTTP_BACKGROUND_LOOK  60000

/* a smaller change of a due time is not published, in milliseconds */
#define NGX_HTTP_BACKGROUND_OFF   1000


static ngx_uint_t ngx_http_background_runner_holds(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_look(ngx_http_background_runner_t *r);
static uint64_t ngx_http_background_runner_retry(
    ngx_http_background_runner_t *r);
static ngx_uint_t ngx_http_background_runner_saved(
    ngx_http_background_runner_t *r);


ngx_str_t  ngx_http_background_cause_interval = ngx_string("interval");
ngx_str_t  ngx_http_background_cause_schedule = ngx_string("schedule");
ngx_str_t  ngx_http_background_cause_missed = ngx_string("missed");
ngx_str_t  ngx_http_background_cause_retry = ngx_string("retry");
ngx_str_t  ngx_http_background_cause_after = ngx_string("after");
ngx_str_t  ngx_http_background_cause_control = ngx_string("control");


/* the due time of "interval" is kept in the cell */

void
ngx_http_background_runner_arm(ngx_http_background_runner_t *r)
{
    uint64_t                            due;
    ngx_msec_t                          longest;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;

    ngx_http_background_runner_forget(r);

    if (r->candidate) {
        return;
    }

    if (task->interval == 0 && task->rules == NULL && task->retry == 0) {
        ngx_http_background_cell_schedule(r->cell, 0);
        return;
    }

    if (r->paused || ngx_http_background_runner_quarantined(r)) {
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


void
ngx_http_background_runner_timer_handler(ngx_event_t *ev)
{
    ngx_http_background_runner_t *r = ev->data;

    if (ngx_http_background_runner_halted(r)
        || ngx_http_background_zone_revoked())
    {
        return;
    }

    if (!ngx_http_background_runner_holds(r)) {
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
        ngx_http_background_runner_look(r);
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
        ngx_http_background_runner_arm(r);
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

    ngx_http_background_runner_start(r, &ngx_http_background_cause_interval);
}


/* a lease of other servers may have expired while the process was stopped */

static ngx_uint_t
ngx_http_background_runner_holds(ngx_http_background_runner_t *r)
{
    return r->task->cluster == NULL
           || (r->joined && r->task->cluster->holds(&r->claim));
}


/* times are not missed as long as the task has no "schedule" */

void
ngx_http_background_runner_forget(ngx_http_background_runner_t *r)
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
ngx_http_background_runner_look(ngx_http_background_runner_t *r)
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
            : look.late ? &ngx_http_background_cause_missed
                        : &ngx_http_background_cause_schedule;

    if (r->task->rules && !r->task->cluster && info.again && r->pending == NULL
        && ngx_queue_empty(&r->cycles))
    {
        cause = &ngx_http_background_cause_schedule;
    }

    /* the wall clock may have passed the time already */

    due = look.due ? ngx_current_msec + ngx_max(look.due * 1000, now) - now
                   : 0;
    retry = ngx_http_background_runner_retry(r);

    if (retry) {
        if (cause == NULL && retry <= ngx_current_msec) {
            cause = &ngx_http_background_cause_retry;

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

    if (cause && cause != &ngx_http_background_cause_retry
        && !ngx_queue_empty(&r->cycles))
    {
        ngx_http_background_cell_skipped(r->cell);
        return;
    }

    /* the state is written before the cycle starts, or it might be repeated */

    if (cause == &ngx_http_background_cause_missed
        && r->tasks->zcf->state.len)
    {
        r->saved = ngx_http_background_state_ask(r->tasks->zcf->zone);
        r->asked = ngx_current_msec;
    }

    if (cause) {
        ngx_http_background_runner_want(r, cause);
    }
}


/* returns the time of "retry", or 0 if there is none or a cycle is under way */

static uint64_t
ngx_http_background_runner_retry(ngx_http_background_runner_t *r)
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

void
ngx_http_background_runner_want(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    /* an order, or an end of a task, that waited is read from the zone again */

    if (r->pending && r->pending != cause) {
        r->orders = 1;
    }

    r->pending = cause;

    /* the next owner of the cell does not find the time due any more */

    if (ngx_http_background_cause_timed(cause) && !r->task->cluster) {
        ngx_http_background_runner_repeat(r, 1);
    }

    if (!r->leased || r->elsewhere || r->candidate
        || !ngx_http_background_runner_holds(r)
        || ngx_quit || ngx_terminate
        || ngx_http_background_runner_quarantined(r)
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
    ngx_http_background_runner_start(r, cause);
}


/* whether a schedule is the cause */

ngx_uint_t
ngx_http_background_cause_timed(ngx_str_t *cause)
{
    return cause == &ngx_http_background_cause_schedule
           || cause == &ngx_http_background_cause_missed;
}


void
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
    if (!ngx_http_background_state_answered(r->tasks->zcf->zone, r->saved)
        && ngx_current_msec - r->asked < NGX_HTTP_BACKGROUND_STATE_TIMEOUT)
    {
        return 0;
    }

    r->saved = 0;

    return 1;
}


/* ngx_random() returns 31 bits, which is less than 25 days in milliseconds */

uint64_t
ngx_http_background_jitter(ngx_http_background_task_t *task)
{
    uint64_t  n;

    n = (uint64_t) ngx_random() << 31 | ngx_random();

    return n % (task->jitter + 1);
}


/*
 * The time of the next cycle, after "failures" failed cycles in a row; 0: the
 * last cycle succeeded.
 */

uint64_t
ngx_http_background_runner_next(ngx_http_background_runner_t *r,
    uint64_t failures)
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
