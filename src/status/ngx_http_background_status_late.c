
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* whether a task is late */


#include "ngx_http_background_status.h"


/* the shortest time after which a task is late, in milliseconds */
#define NGX_HTTP_BACKGROUND_LATE  3000

/* by a schedule: what is late by less starts yet */
#define NGX_HTTP_BACKGROUND_LATE_START  60000


static ngx_http_background_late_e ngx_http_background_late_with(
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task,
    ngx_http_background_timing_t *timing, uint64_t *since);
static uint64_t ngx_http_background_late_due(
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task,
    ngx_http_background_timing_t *timing);


ngx_http_background_late_e
ngx_http_background_late(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_task_t *task, ngx_http_background_cell_t *cell,
    uint64_t *time)
{
    uint64_t                           since;
    ngx_http_background_late_e         late;
    ngx_http_background_timing_t       timing;
    ngx_http_background_orders_info_t  orders;

    if (task->interval == 0 && task->rules == NULL) {
        return ngx_http_background_not_late;
    }

    ngx_http_background_orders_read(
                        ngx_http_background_record_orders(task->zone.record),
                        &orders);

    if (orders.paused) {
        return ngx_http_background_not_late;
    }

    ngx_http_background_cell_timing(zcf->zone, cell, &timing);

    if (timing.hangs) {
        *time = timing.hangs;
        return ngx_http_background_late_worker;
    }

    late = ngx_http_background_late_with(zcf, task, &timing, &since);

    if (ngx_http_background_tasks_punctual()) {
        ngx_http_background_cell_judge(cell, timing.state,
                                       late != ngx_http_background_not_late);

    } else if (!ngx_http_background_cell_judged(cell, timing.state)) {
        return ngx_http_background_not_late;
    }

    *time = ngx_current_msec - since;

    return late;
}


/*
 * A running job without "timeout" is not late, and an abandoned job has
 * failed, so it is not late either.
 */

static ngx_http_background_late_e
ngx_http_background_late_with(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_task_t *task, ngx_http_background_timing_t *timing,
    uint64_t *since)
{
    uint64_t  now, pause;

    now = ngx_current_msec;
    *since = now;

    pause = timing->failures
            ? ngx_http_background_retry(task, timing->failures)
            : task->interval;
    pause = ngx_max(pause, NGX_HTTP_BACKGROUND_LATE);

    if (task->rules) {
        pause = NGX_HTTP_BACKGROUND_LATE_START + NGX_HTTP_BACKGROUND_LATE;
    }

    if (timing->abandoned) {
        return ngx_http_background_not_late;
    }

    if (timing->running == 0) {
        *since = ngx_http_background_late_due(zcf, task, timing);

        return now > *since + pause ? ngx_http_background_late_start
                                    : ngx_http_background_not_late;
    }

    *since = timing->started;

    if (task->timeout
        && now > timing->started + task->timeout + NGX_HTTP_BACKGROUND_LATE)
    {
        return ngx_http_background_late_end;
    }

    if (task->cpu && timing->waiting >= task->cpu
        && now > timing->started + pause)
    {
        return ngx_http_background_late_thread;
    }

    return ngx_http_background_not_late;
}


/*
 * Returns the time since which a cycle is due.  The time before the
 * configuration was committed does not count, nor the time in which a worker
 * of another zone had the task.
 */

static uint64_t
ngx_http_background_late_due(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_task_t *task, ngx_http_background_timing_t *timing)
{
    uint64_t  since;

    if (timing->due) {
        since = ngx_max(timing->created, task->zone.since);

        return ngx_max(timing->due, since);
    }

    return ngx_max(timing->created, zcf->committed) + task->jitter;
}
