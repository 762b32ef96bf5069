
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Cycles of a task: their start, by the runner or by a trigger, their end, and
 * what is recorded and logged of them.
 */


#include "ngx_http_background_pool.h"
#include "ngx_http_background_runner.h"


static void ngx_http_background_runner_unlock(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_told(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_failed(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
static ngx_int_t ngx_http_background_runner_admit(
    ngx_http_background_runner_t *r, ngx_http_background_start_t *start);
static ngx_uint_t ngx_http_background_runner_busy(
    ngx_http_background_runner_t *r, ngx_http_background_start_t *start);
static void ngx_http_background_runner_run(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle, ngx_http_background_cell_t *cell,
    ngx_str_t *cause);
static void ngx_http_background_runner_begin(ngx_http_background_cell_t *cell,
    ngx_str_t *text);
static void ngx_http_background_runner_ended(
    ngx_http_background_cycle_t *cycle);
static ngx_uint_t ngx_http_background_runner_unfinished(
    ngx_http_background_runner_t *r, ngx_http_background_cycle_t *cycle);
static void ngx_http_background_runner_lost(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle);


ngx_int_t
ngx_http_background_runner_lock(ngx_http_background_runner_t *r)
{
    ngx_http_background_lock_t  *lock;

    lock = r->task->zone.locked;

    return lock ? ngx_http_background_lock_take(lock, r->waiter) : NGX_OK;
}


/* releases the lock if no job of the cycle is on a thread */

static void
ngx_http_background_runner_unlock(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    if (cycle->locked && cycle->pending == 0) {
        cycle->locked = 0;
        ngx_http_background_lock_release(r->task->zone.locked);
    }
}


void
ngx_http_background_runner_start(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_start_t   start;
    ngx_http_background_cycle_t  *cycle;

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    if (ngx_http_background_cycle_create(&r->task->operations, &start, r->log,
                                         &cycle)
        != NGX_OK)
    {
        if (r->task->zone.locked) {
            ngx_http_background_lock_release(r->task->zone.locked);
        }

        ngx_http_background_runner_failed(r, cause);
        return;
    }

    cycle->locked = (r->task->zone.locked != NULL);

    if (cause == &ngx_http_background_cause_after) {
        ngx_http_background_runner_told(r, cycle);
    }

    cycle->retry = ngx_http_background_cell_stats(r->cell)->failures
                   && r->whole > ngx_current_msec;

    ngx_http_background_runner_run(r, cycle, r->cell, cause);
}


/* copies "after", which may change while the cycle is under way */

static void
ngx_http_background_runner_told(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    cycle->follows = ngx_palloc(cycle->pool,
                                 sizeof(ngx_http_background_told_t));

    if (cycle->follows) {
        *cycle->follows = *r->after;
    }
}


static void
ngx_http_background_runner_failed(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_outcome_t  outcome;

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    outcome.outcome = ngx_http_background_failure;
    ngx_str_set(&outcome.error, "no memory for the cycle");

    outcome.last.failed = 1;
    outcome.last.finished_at = ngx_http_background_wall_clock();
    outcome.last.started_at = outcome.last.finished_at;
    outcome.cycles = 1;

    ngx_http_background_runner_begin(r->cell, cause);
    ngx_http_background_runner_record(r, r->cell, &outcome);
    ngx_http_background_runner_log(r, r->cell, &outcome);

    ngx_http_background_runner_arm(r);
}


ngx_int_t
ngx_http_background_start(ngx_http_background_task_t *task,
    ngx_http_background_start_t *start, ngx_http_background_cycle_t **cp)
{
    ngx_int_t                      rc;
    ngx_http_background_runner_t  *r;

    r = &ngx_http_background_tasks.runners[task->index];

    rc = ngx_http_background_runner_admit(r, start);

    if (rc != NGX_OK) {
        ngx_http_background_cycle_drop(start, ngx_cycle->log);
        return rc;
    }

    rc = ngx_http_background_cycle_create(&task->operations, start, r->log,
                                          cp);
    if (rc != NGX_OK) {
        if (task->zone.locked) {
            ngx_http_background_lock_release(task->zone.locked);
        }

        ngx_http_background_record_tried(task->zone.record);
        return rc;
    }

    (*cp)->locked = (task->zone.locked != NULL);
    (*cp)->arrived = 1;
    r->narrived++;

    ngx_http_background_runner_run(r, *cp, r->arrived, &start->cause);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_runner_admit(ngx_http_background_runner_t *r,
    ngx_http_background_start_t *start)
{
    ngx_http_background_cell_t  *cell;

    /*
     * With "finish" cycles start while the worker shuts down, too: its clients
     * are still served.
     */

    if (r == NULL || r->tasks->aborted
        || (r->tasks->stopping && !start->finish)
        || ngx_http_background_zone_revoked())
    {
        return NGX_DECLINED;
    }

    if (r->arrived == NULL) {
        cell = ngx_http_background_cell_take(r->task->zone.record);

        if (cell == NULL) {
            return NGX_DECLINED;
        }

        __atomic_store_n(&r->arrived, cell, __ATOMIC_RELAXED);

        ngx_http_background_runner_inherit(r, cell);
    }

    if (ngx_http_background_runner_halted(r)) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_DECLINED;
    }

    if (ngx_http_background_runner_busy(r, start)) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_BUSY;
    }

    if (ngx_http_background_record_trial(r->task->zone.record) != NGX_OK) {
        ngx_http_background_cell_declined(r->arrived);
        return NGX_DECLINED;
    }

    if (ngx_http_background_runner_lock(r) != NGX_OK) {
        ngx_http_background_record_tried(r->task->zone.record);
        ngx_http_background_cell_declined(r->arrived);
        return NGX_BUSY;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_background_runner_busy(ngx_http_background_runner_t *r,
    ngx_http_background_start_t *start)
{
    if (start->concurrency && r->narrived >= start->concurrency) {
        return 1;
    }

    if (start->waiting && start->queue
        && ngx_http_background_pool_waiting(start->waiting) >= start->queue)
    {
        return 1;
    }

    return r->task->cpu && ngx_http_background_pool_full();
}


void
ngx_http_background_stop(ngx_http_background_cycle_t *cycle)
{
    ngx_http_background_cycle_cancel(cycle);
}


static void
ngx_http_background_runner_run(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle, ngx_http_background_cell_t *cell,
    ngx_str_t *cause)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->log, 0,
                   "background task \"%V\": cycle, %V",
                   &r->task->zone.name, cause);

    cycle->owner = r;
    cycle->cell = cell;

    if (r->joined && cell == r->cell) {
        cycle->fence = r->claim.fence;
        cycle->until = &r->claim.until;
    }

    cycle->task = &r->task->zone.name;
    cycle->cause = (cell == r->cell) ? cause : NULL;
    cycle->ended = ngx_http_background_runner_ended;

    ngx_queue_insert_tail(&r->cycles, &cycle->queue);

    ngx_http_background_runner_hold(r);

    ngx_http_background_runner_begin(cell, cause);

    ngx_http_background_cycle_run(cycle, r->task->timeout,
                                  ngx_http_background_log_repeats(&r->lines));
}


static void
ngx_http_background_runner_begin(ngx_http_background_cell_t *cell,
    ngx_str_t *text)
{
    ngx_http_background_cause_t  cause;

    cause.started_at = ngx_http_background_wall_clock();
    cause.len = ngx_min(text->len, NGX_HTTP_BACKGROUND_CAUSE_LEN);

    if (cause.len) {
        ngx_memcpy(cause.text, text->data, cause.len);
    }

    ngx_http_background_cell_begin(cell, ngx_current_msec, &cause);
}


/*
 * The "ended" handler of a cycle.  It is called when the cycle is over or is
 * abandoned, and once more when the last job of an abandoned cycle has ended.
 */

static void
ngx_http_background_runner_ended(ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t                      leased;
    ngx_http_background_cycle_t    *oldest;
    ngx_http_background_runner_t   *r;
    ngx_http_background_outcome_t   outcome;

    r = cycle->owner;

    ngx_http_background_runner_unlock(r, cycle);

    if (cycle->lost || ngx_http_background_zone_revoked()) {
        ngx_http_background_runner_lost(r, cycle);
        return;
    }

    leased = (cycle->cell == r->cell);

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    outcome.outcome = cycle->end.outcome;
    outcome.last = cycle->last;
    outcome.error = cycle->end.error;
    outcome.cycles = 1;
    outcome.abandoned = (cycle->pending != 0);
    outcome.returned = (cycle->abandoned && !outcome.abandoned);

    if (!outcome.abandoned) {
        ngx_queue_remove(&cycle->queue);
        r->narrived -= !leased;
    }

    if (leased && !outcome.returned && !cycle->retry) {
        r->whole = cycle->resumes && r->task->interval
                   ? ngx_current_msec + r->task->interval
                     + ngx_http_background_jitter(r->task)
                   : 0;
    }

    if (!outcome.returned && ngx_http_background_runner_unfinished(r, cycle)) {
        ngx_http_background_runner_again(r, cycle->cause);
    }

    oldest = ngx_http_background_runner_cycle(r, cycle->cell, 0);
    outcome.oldest = oldest ? oldest->started : 0;

    ngx_http_background_runner_record(r, cycle->cell, &outcome);
    ngx_http_background_runner_log(r, cycle->cell, &outcome);

    if (cycle->handler && !outcome.returned) {
        cycle->told = 1;
        cycle->handler(cycle, cycle->data);

    } else if (cycle->handler == NULL || cycle->unwanted) {
        ngx_http_background_free(cycle);
    }

    if (!leased || outcome.abandoned) {
        return;
    }

    if (r->tasks->stopping) {
        ngx_http_background_runner_release(r);
        return;
    }

    ngx_http_background_runner_arm(r);
}


/* if it was ordered to be cancelled, that is all */

static ngx_uint_t
ngx_http_background_runner_unfinished(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    return cycle->cell == r->cell
           && cycle->end.outcome == ngx_http_background_cancel
           && r->tasks->stopping
           && (r->cancelled == 0 || cycle->started > r->cancelled);
}


/*
 * A cycle was cancelled as its worker exits, or crashed in another task; NULL:
 * its cause is not known.  Who has the lease starts it again.  Cycles of
 * "interval" and "retry" are due by themselves, and with "workers cluster" the
 * next one may be that of another server.
 */

void
ngx_http_background_runner_again(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    if (r->task->cluster || (r->task->interval && cause == NULL)) {
        return;
    }

    if (cause == NULL) {
        cause = r->task->rules ? &ngx_http_background_cause_schedule
                : r->task->after ? &ngx_http_background_cause_after
                                 : &ngx_http_background_cause_control;
    }

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    if (ngx_http_background_cause_timed(cause)) {
        ngx_http_background_duty_again(duty, 1);

    } else if (cause == &ngx_http_background_cause_after && info.fired) {
        ngx_http_background_duty_fire(duty, info.fired - 1, 0);

    } else if (cause == &ngx_http_background_cause_control && info.ordered) {
        ngx_http_background_duty_order(duty, info.ordered - 1);
    }
}


/* the worker was revoked: the cell has another owner, or will have */

static void
ngx_http_background_runner_lost(ngx_http_background_runner_t *r,
    ngx_http_background_cycle_t *cycle)
{
    ngx_uint_t  told;

    told = cycle->told;

    cycle->lost = 1;
    cycle->told = 1;
    cycle->end.outcome = ngx_http_background_cancel;

    if (cycle->pending == 0) {
        ngx_queue_remove(&cycle->queue);
        r->narrived -= (cycle->cell != r->cell);
        ngx_http_background_runner_forgo(r);
    }

    if (cycle->handler && !told) {
        cycle->handler(cycle, cycle->data);

    } else if (cycle->handler == NULL || cycle->unwanted) {
        ngx_http_background_free(cycle);
    }
}


/* applies "interval", "retry", and "health" to the outcome */

void
ngx_http_background_runner_record(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome)
{
    uint64_t                            failures;
    ngx_http_background_task_t         *task;
    const ngx_http_background_stats_t  *stats;

    task = r->task;
    stats = ngx_http_background_cell_stats(cell);

    if (cell != r->cell) {
        if (outcome->outcome != ngx_http_background_cancel
            && (outcome->cycles > outcome->returned || outcome->crash))
        {
            ngx_http_background_runner_second(r, &outcome->last);

            if (task->judged) {
                ngx_http_background_record_judge(task->zone.record,
                            outcome->outcome == ngx_http_background_success,
                            outcome->abandoned ? 1 : task->fails,
                            task->passes);
            }
        }

    } else {
        outcome->fails = (ngx_http_background_runner_quarantined(r)
                          || outcome->abandoned) ? 1 : task->fails;
        outcome->passes = task->passes;
        outcome->history = 1;

        if (outcome->outcome == ngx_http_background_success) {
            outcome->due = task->interval
                           ? ngx_http_background_runner_next(r, 0)
                           : 0;

        } else if (outcome->outcome == ngx_http_background_failure
                   && task->retry)
        {
            failures = stats->failures + outcome->cycles - outcome->returned;
            outcome->due = ngx_http_background_runner_next(r, failures);

        } else if (outcome->outcome == ngx_http_background_cancel
                   && task->interval && !outcome->crash
                   && !r->tasks->stopping)
        {
            /* as it was ordered, not to begin again at once */

            outcome->due = ngx_http_background_runner_next(r, 0);
        }
    }

    ngx_http_background_cell_record(task->zone.record, cell, outcome);

    if (task->followers
        && outcome->outcome != ngx_http_background_cancel
        && (outcome->cycles > outcome->returned || outcome->crash))
    {
        ngx_http_background_runner_fire(r, outcome);
    }

    if (cell == r->cell) {
        ngx_http_background_runner_save(r);
    }
}


void
ngx_http_background_runner_log(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome)
{
    u_char       text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    uint64_t     failures;
    ngx_str_t   *name, error;
    ngx_uint_t   retries;

    name = &r->task->zone.name;
    retries = (cell == r->cell && !outcome->abandoned && !r->paused
               && !ngx_http_background_runner_quarantined(r));

    if (outcome->outcome == ngx_http_background_success) {
        ngx_http_background_log_success(&r->lines, r->log, name,
                                        &outcome->last);
        return;
    }

    if (outcome->outcome == ngx_http_background_cancel) {
        if (cell == r->cell) {
            ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                          "background task \"%V\": cancelled after %uL.%03uLs",
                          name, outcome->last.wall_time / 1000,
                          outcome->last.wall_time % 1000);
        }

        return;
    }

    if (outcome->returned && !outcome->crash) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": an abandoned job has ended",
                      name);
        return;
    }

    failures = ngx_http_background_cell_stats(cell)->failures;
    error = outcome->error;

    if (outcome->abandoned) {
        error.len = ngx_min(error.len, sizeof(text) - 64);
        error.len = ngx_slprintf(text, text + sizeof(text),
                                 "%V, the job does not stop, it is abandoned",
                                 &error)
                    - text;
        error.data = text;
    }

    ngx_http_background_log_failure(&r->lines, r->log, name, &outcome->last,
                                    failures, &error,
                                    (retries && outcome->due)
                                    ? outcome->due - ngx_current_msec : 0);
}


/*
 * Thousands of cycles may end in a second.  They make up one entry of the
 * history: the longest duration and the sum of failed operations.
 */

void
ngx_http_background_runner_second(ngx_http_background_runner_t *r,
    const ngx_http_background_last_t *last)
{
    uint64_t                        now;
    ngx_http_background_history_t  *second;

    second = &r->second;
    now = ngx_http_background_wall_clock();

    if (second->finished_at / 1000 != now / 1000) {
        ngx_http_background_runner_flush(r);
    }

    if (last) {
        second->finished_at = last->finished_at;
        second->wall_time = ngx_max(second->wall_time, last->wall_time);
        second->failed += last->failed;
    }
}


void
ngx_http_background_runner_flush(ngx_http_background_runner_t *r)
{
    ngx_str_t                           error;
    const ngx_http_background_stats_t  *stats;

    if (r->second.finished_at == 0) {
        return;
    }

    ngx_str_null(&error);

    if (r->second.failed && r->arrived) {
        stats = ngx_http_background_cell_stats(r->arrived);

        /* the last error of the cell belongs to this entry */

        if (stats->failure_at / 1000 == r->second.finished_at / 1000) {
            error.data = (u_char *) stats->error;
            error.len = stats->error_len;
        }
    }

    ngx_http_background_record_history(r->task->zone.record, &r->second,
                                       &error);
    ngx_memzero(&r->second, sizeof(ngx_http_background_history_t));
}


/*
 * A worker that shuts down exits when no timer is left that is not cancelable.
 */

void
ngx_http_background_runner_hold(ngx_http_background_runner_t *r)
{
    if (r->tasks->stopping && !r->tasks->hold.timer_set) {
        ngx_add_timer(&r->tasks->hold, NGX_HTTP_BACKGROUND_HOLD);
    }
}
