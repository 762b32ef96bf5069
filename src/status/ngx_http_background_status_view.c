
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* combines the cells of a task */


#include "ngx_http_background_status.h"


static void ngx_http_background_view_cells(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf);
static ngx_http_background_state_e ngx_http_background_view_state(
    ngx_http_background_view_t *view);
static void ngx_http_background_view_add(ngx_http_background_view_t *view,
    ngx_http_background_snapshot_t *snapshot);
static void ngx_http_background_view_add_running(
    ngx_http_background_view_t *view,
    ngx_http_background_snapshot_t *snapshot);
static ngx_uint_t ngx_http_background_view_add_causes(
    ngx_http_background_cell_t *cell,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES],
    ngx_uint_t n);
static void ngx_http_background_view_add_lease(
    ngx_http_background_view_t *view,
    ngx_http_background_snapshot_t *snapshot);
static void ngx_http_background_view_add_plan(
    ngx_http_background_view_t *view, ngx_http_background_duty_info_t *duty);
static void ngx_http_background_view_add_late(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_cell_t *cell);


ngx_str_t  ngx_http_background_states[] = {
    ngx_string("waiting"),
    ngx_string("running"),
    ngx_string("queued"),
    ngx_string("retrying"),
    ngx_string("quarantined"),
    ngx_string("stopped"),
    ngx_string("abandoned"),
    ngx_string("paused")
};


ngx_str_t  ngx_http_background_server_states[] = {
    ngx_string("unknown"),
    ngx_string("up"),
    ngx_string("down"),
    ngx_string("disabled")
};


void
ngx_http_background_view_read(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task)
{
    uint64_t                            failures;
    ngx_uint_t                          quarantined;
    ngx_http_background_orders_info_t   orders;

    ngx_memzero(view, sizeof(ngx_http_background_view_t));

    view->task = task;
    view->healthy = 1;

    ngx_http_background_orders_read(
                        ngx_http_background_record_orders(task->zone.record),
                        &orders);
    view->paused = orders.paused;

    ngx_http_background_view_cells(view, zcf);

    quarantined = ngx_http_background_record_quarantined(task->zone.record);

    if (quarantined) {
        view->overdue = ngx_http_background_not_late;
    }

    if (quarantined || view->paused) {
        view->due = 0;
        view->due_at = 0;
    }

    if (task->cluster) {
        task->cluster->view(task->cluster_conf, &view->cluster);
    }

    view->last_failed = view->stats.last.finished_at
                        && !view->stats.last.success;

    view->state = quarantined ? ngx_http_background_quarantined
                              : ngx_http_background_view_state(view);

    if (!ngx_http_background_record_verdict(task->zone.record, &failures)
        || quarantined || view->abandoned)
    {
        view->healthy = 0;
    }

    view->stats.failures = ngx_max(view->stats.failures, failures);
}


static void
ngx_http_background_view_cells(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t                       n;
    ngx_http_background_cell_t      *cell;
    ngx_http_background_task_t      *task;
    ngx_http_background_snapshot_t   snapshot;

    task = view->task;

    /* after "worker_processes" was lowered there are more cells than workers */

    n = 0;

    for (cell = ngx_http_background_cell(task->zone.record, 0);
         cell;
         cell = ngx_http_background_cell_next(cell), n++)
    {
        ngx_http_background_cell_read(zcf->zone, cell, &snapshot);
        ngx_http_background_view_add(view, &snapshot);
        ngx_http_background_view_add_running(view, &snapshot);

        if (n < task->zone.cells) {
            ngx_http_background_view_add_lease(view, &snapshot);
            ngx_http_background_view_add_late(view, zcf, cell);
        }
    }

    for (cell = ngx_http_background_cell_arrived(task->zone.record, 0);
         cell;
         cell = ngx_http_background_cell_next(cell))
    {
        ngx_http_background_cell_read(zcf->zone, cell, &snapshot);
        ngx_http_background_view_add(view, &snapshot);
        ngx_http_background_view_add_running(view, &snapshot);
    }
}


/* of a task that is not quarantined */

static ngx_http_background_state_e
ngx_http_background_view_state(ngx_http_background_view_t *view)
{
    if (view->abandoned) {
        return ngx_http_background_abandoned;
    }

    if (view->running) {
        return (view->queued == view->running) ? ngx_http_background_queued
                                               : ngx_http_background_running;
    }

    if (view->paused) {
        return ngx_http_background_paused;
    }

    if (view->leased == 0) {
        return ngx_http_background_stopped;
    }

    return (view->stats.failures && view->task->retry)
           ? ngx_http_background_retrying : ngx_http_background_waiting;
}


static void
ngx_http_background_view_add(ngx_http_background_view_t *view,
    ngx_http_background_snapshot_t *snapshot)
{
    ngx_uint_t                    i;
    ngx_http_background_stats_t  *sum, *stats;

    sum = &view->stats;
    stats = &snapshot->stats;

    view->begun += snapshot->begun;
    view->declined += snapshot->declined;
    view->skipped += snapshot->skipped;
    view->missed += snapshot->duty.missed;
    view->coalesced += snapshot->duty.coalesced;

    sum->cycles_completed += stats->cycles_completed;
    sum->cycles_failed += stats->cycles_failed;
    sum->cycles_cancelled += stats->cycles_cancelled;
    sum->operations_completed += stats->operations_completed;
    sum->operations_failed += stats->operations_failed;
    sum->bytes += stats->bytes;
    sum->io_time += stats->io_time;
    sum->cpu_usec += stats->cpu_usec;
    sum->wall_time += stats->wall_time;

    for (i = 0; i <= NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        sum->buckets[i] += stats->buckets[i];
    }

    sum->buckets_time += stats->buckets_time;

    sum->success_at = ngx_max(sum->success_at, stats->success_at);

    if (stats->last.finished_at > sum->last.finished_at) {
        sum->last = stats->last;
    }

    if (stats->failure_at > sum->failure_at) {
        sum->failure_at = stats->failure_at;
        sum->error_len = stats->error_len;
        ngx_memcpy(sum->error, stats->error, stats->error_len);
    }
}


static void
ngx_http_background_view_add_running(ngx_http_background_view_t *view,
    ngx_http_background_snapshot_t *snapshot)
{
    view->abandoned += snapshot->abandoned;

    if (snapshot->running == 0) {
        return;
    }

    view->running += snapshot->running;
    view->waiting += snapshot->waiting;
    view->queued += snapshot->queued;

    if (snapshot->queued
        && (view->queued_since == 0
            || snapshot->started < view->queued_since))
    {
        view->queued_since = snapshot->started;
    }

    if (view->started == 0 || snapshot->started < view->started) {
        view->started = snapshot->started;
    }

    view->progress_done += snapshot->progress_done;
    view->progress_total += snapshot->progress_total;
}


/* called only for cells of current workers */

static void
ngx_http_background_view_add_lease(ngx_http_background_view_t *view,
    ngx_http_background_snapshot_t *snapshot)
{
    ngx_http_background_stats_t  *stats;

    stats = &snapshot->stats;

    view->stats.failures = ngx_max(view->stats.failures, stats->failures);

    if (stats->unhealthy) {
        view->healthy = 0;
    }

    if (!snapshot->leased) {
        return;
    }

    view->leased++;
    view->pid = snapshot->pid;
    view->worker = snapshot->worker;

    if (snapshot->running == 0 && snapshot->abandoned == 0 && stats->due
        && (view->due == 0 || stats->due < view->due))
    {
        view->due = stats->due;
    }

    ngx_http_background_view_add_plan(view, &snapshot->duty);
}


/* a retry may be due before what the schedule says */

static void
ngx_http_background_view_add_plan(ngx_http_background_view_t *view,
    ngx_http_background_duty_info_t *duty)
{
    uint64_t  due;

    due = duty->due * 1000;

    if (view->task->rules == NULL || due == 0
        || (view->stats.failures && view->task->retry))
    {
        return;
    }

    if (view->due_at == 0 || due < view->due_at) {
        view->due_at = due;
    }
}


/* keeps the longest delay of all cells */

static void
ngx_http_background_view_add_late(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_cell_t *cell)
{
    uint64_t                    time;
    ngx_http_background_late_e  late;

    late = ngx_http_background_late(zcf, view->task, cell, &time);

    if (late == ngx_http_background_not_late) {
        return;
    }

    view->healthy = 0;

    if (view->overdue == ngx_http_background_late_worker) {
        return;
    }

    if (late == ngx_http_background_late_worker
        || view->overdue == ngx_http_background_not_late
        || time > view->late)
    {
        view->overdue = late;
        view->late = time;
    }
}


ngx_uint_t
ngx_http_background_view_causes(ngx_http_background_view_t *view,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES])
{
    ngx_uint_t                     n;
    ngx_http_background_cell_t    *cell;
    ngx_http_background_record_t  *record;

    record = view->task->zone.record;

    n = 0;

    for (cell = ngx_http_background_cell(record, 0);
         cell;
         cell = ngx_http_background_cell_next(cell))
    {
        n = ngx_http_background_view_add_causes(cell, causes, n);
    }

    for (cell = ngx_http_background_cell_arrived(record, 0);
         cell;
         cell = ngx_http_background_cell_next(cell))
    {
        n = ngx_http_background_view_add_causes(cell, causes, n);
    }

    return n;
}


/* keeps the newest causes, ordered by time */

static ngx_uint_t
ngx_http_background_view_add_causes(ngx_http_background_cell_t *cell,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES],
    ngx_uint_t n)
{
    ngx_uint_t                   i, k, m;
    ngx_http_background_cause_t  own[NGX_HTTP_BACKGROUND_CAUSES];

    m = ngx_http_background_cell_causes(cell, own);

    for (i = 0; i < m; i++) {

        for (k = n; k && causes[k - 1].started_at > own[i].started_at; k--) {
            /* void */
        }

        if (n < NGX_HTTP_BACKGROUND_CAUSES) {
            ngx_memmove(&causes[k + 1], &causes[k],
                        (n - k) * sizeof(ngx_http_background_cause_t));
            causes[k] = own[i];
            n++;

        } else if (k) {
            ngx_memmove(&causes[0], &causes[1],
                        (k - 1) * sizeof(ngx_http_background_cause_t));
            causes[k - 1] = own[i];
        }
    }

    return n;
}


ngx_uint_t
ngx_http_background_healthy(ngx_http_background_main_conf_t *bmcf,
    ngx_http_background_task_t *task)
{
    uint64_t                      time, failures;
    ngx_uint_t                    n;
    ngx_http_background_cell_t   *cell;

    if (ngx_http_background_record_quarantined(task->zone.record)
        || !ngx_http_background_record_verdict(task->zone.record, &failures))
    {
        return 0;
    }

    if (ngx_http_background_record_abandoned(task->zone.record)) {
        return 0;
    }

    for (n = 0; n < task->zone.cells; n++) {
        cell = ngx_http_background_cell(task->zone.record, n);

        if (ngx_http_background_cell_unhealthy(cell)
            || ngx_http_background_late(&bmcf->zone, task, cell, &time)
               != ngx_http_background_not_late)
        {
            return 0;
        }
    }

    return 1;
}


ngx_str_t
ngx_http_background_view_error(ngx_http_background_view_t *view,
    u_char buf[NGX_HTTP_BACKGROUND_ERROR_LEN])
{
    u_char      *p;
    uint64_t     s;
    ngx_str_t    error;
    const char  *fmt;

    switch (view->overdue) {

    case ngx_http_background_late_start:
        fmt = "overdue: no cycle has started, it was due %uLs ago";
        break;

    case ngx_http_background_late_end:
        fmt = "overdue: the cycle has not ended, it started %uLs ago";
        break;

    case ngx_http_background_late_thread:
        fmt = "overdue: the cycle waits for a thread, it started %uLs ago";
        break;

    case ngx_http_background_late_worker:
        p = ngx_slprintf(buf, buf + NGX_HTTP_BACKGROUND_ERROR_LEN,
                         "overdue: worker process %uL hangs with a job",
                         view->late);

        error.data = buf;
        error.len = p - buf;

        return error;

    default: /* ngx_http_background_not_late */
        error.data = view->stats.error;
        error.len = view->last_failed ? view->stats.error_len : 0;

        return error;
    }

    s = view->late / 1000;

    p = ngx_slprintf(buf, buf + NGX_HTTP_BACKGROUND_ERROR_LEN, fmt, s);

    error.data = buf;
    error.len = p - buf;

    return error;
}
