
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Cycles of a task whose worker has died or was revoked.
 */


#include "ngx_http_background_crash.h"
#include "ngx_http_background_runner.h"


static void ngx_http_background_runner_crashed(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell);
static ngx_str_t *ngx_http_background_runner_cause(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_runner_lift_verdicts(
    ngx_http_background_task_t *task);


/* records cycles of "arrived" whose worker died */

void
ngx_http_background_runner_orphans(ngx_http_background_runner_t *r)
{
    ngx_http_background_cell_t  *cell;

    for ( ;; ) {
        cell = ngx_http_background_cell_orphan(r->task->zone.record);
        if (cell == NULL) {
            return;
        }

        ngx_http_background_runner_inherit(r, cell);
        ngx_http_background_lease_release(cell);
    }
}


/* the former owner of the cell may have died or been revoked during cycles */

void
ngx_http_background_runner_inherit(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    if (ngx_http_background_cell_interrupted(cell)) {
        ngx_http_background_runner_crashed(r, cell);
    }

    ngx_http_background_cell_settle(cell);
}


/*
 * Records the interrupted cycles as failed, or as cancelled if a job of
 * another task crashed the worker.
 */

static void
ngx_http_background_runner_crashed(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell)
{
    u_char                          text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    uint64_t                        started;
    ngx_uint_t                      n, spared, revoked;
    const char                     *name;
    ngx_http_background_last_t     *last;
    ngx_http_background_outcome_t   outcome;

    ngx_memzero(&outcome, sizeof(ngx_http_background_outcome_t));

    revoked = ngx_http_background_cell_revoked()
              && !ngx_http_background_cell_blamed(cell);
    spared = !revoked && ngx_http_background_cell_spared(cell);
    name = revoked ? NULL : ngx_http_background_crash_name(
                                     ngx_http_background_cell_signal(cell));

    outcome.outcome = spared ? ngx_http_background_cancel
                             : ngx_http_background_failure;
    outcome.cycles = ngx_http_background_cell_interrupted(cell);
    outcome.returned = ngx_http_background_cell_stats(cell)->abandoned;
    outcome.crash = 1;

    outcome.error.data = text;
    outcome.error.len = ngx_slprintf(text, text + sizeof(text),
                                     "worker process %s during the cycle%s%s",
                                     revoked ? "hung" : "died",
                                     name ? ": " : "", name ? name : "")
                        - text;

    started = ngx_http_background_cell_started(cell);

    last = &outcome.last;
    last->finished_at = ngx_http_background_wall_clock();

    /* 0: all cycles were abandoned, the last recorded one is one of them */

    last->started_at = started
                       ? last->finished_at
                         - (ngx_max(ngx_current_msec, started) - started)
                       : ngx_http_background_cell_stats(cell)->last.started_at;
    last->wall_time = ngx_max(last->finished_at, last->started_at)
                      - last->started_at;
    last->failed = spared ? 0 : outcome.cycles - outcome.returned;

    n = spared || revoked
        ? 0 : ngx_http_background_record_crashed(r->task->zone.record);

    ngx_http_background_runner_record(r, cell, &outcome);

    if (spared && cell == r->cell && outcome.cycles > outcome.returned) {
        ngx_http_background_runner_again(r,
                                      ngx_http_background_runner_cause(cell));
    }

    if (spared) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": %uL cycles cancelled, their "
                      "worker process died of %s in another task",
                      &r->task->zone.name, outcome.cycles,
                      name ? name : "a signal");

    } else if (n) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": quarantined until the next "
                      "reload, %ui worker processes in a row died in it%s%s",
                      &r->task->zone.name, n,
                      name ? ", the last one of " : "", name ? name : "");

        ngx_http_background_runner_lift_verdicts(r->task);

    } else {
        ngx_http_background_runner_log(r, cell, &outcome);
    }
}


/* the cause of the last cycle, or NULL if it is not known */

static ngx_str_t *
ngx_http_background_runner_cause(ngx_http_background_cell_t *cell)
{
    ngx_uint_t                    i, n;
    ngx_http_background_cause_t  *last;
    ngx_http_background_cause_t   causes[NGX_HTTP_BACKGROUND_CAUSES];

    static ngx_str_t  *known[] = {
        &ngx_http_background_cause_interval,
        &ngx_http_background_cause_schedule,
        &ngx_http_background_cause_missed,
        &ngx_http_background_cause_retry,
        &ngx_http_background_cause_after,
        &ngx_http_background_cause_control
    };

    n = ngx_http_background_cell_causes(cell, causes);

    if (n == 0) {
        return NULL;
    }

    last = &causes[n - 1];

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (last->len == known[i]->len
            && ngx_memcmp(last->text, known[i]->data, last->len) == 0)
        {
            return known[i];
        }
    }

    return NULL;
}


/*
 * The task is quarantined, so its servers are not checked any more: they get
 * requests regardless of their last verdicts.
 */

static void
ngx_http_background_runner_lift_verdicts(ngx_http_background_task_t *task)
{
    ngx_uint_t                        i;
    ngx_http_background_operation_t  *operation;

    operation = task->operations.elts;

    for (i = 0; i < task->operations.nelts; i++) {
        if (operation[i].judge) {
            operation[i].judge->quarantined(operation[i].conf);
        }
    }
}
