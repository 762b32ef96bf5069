
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Orders of operators, and "after": the ends of cycles of other tasks.
 */


#include "ngx_http_background_runner.h"


static void ngx_http_background_runner_follow(ngx_http_background_runner_t *r,
    uint64_t fires);
static ngx_uint_t ngx_http_background_runner_unhealthy(
    ngx_http_background_runner_t *r);


void
ngx_http_background_runner_read(ngx_http_background_runner_t *r,
    ngx_http_background_orders_info_t *info)
{
    ngx_http_background_orders_read(
                  ngx_http_background_record_orders(r->task->zone.record),
                  info);
}


/* handles orders that were given since they were read last */

void
ngx_http_background_runner_orders(ngx_http_background_runner_t *r)
{
    ngx_http_background_duty_info_t    duty;
    ngx_http_background_orders_info_t  info;

    r->orders = 0;

    ngx_http_background_runner_read(r, &info);

    ngx_http_background_runner_cancels(r, info.cancels);

    if (!r->leased || r->elsewhere) {
        return;
    }

    if (r->candidate) {

        /* other zones of this nginx are to know of it */

        if (info.paused != r->paused) {
            r->paused = info.paused;
            ngx_http_background_runner_save(r);
        }

        return;
    }

    if (info.paused != r->paused) {
        ngx_http_background_runner_pause(r, info.paused);
    }

    /* a quarantine may have been lifted */

    if (!r->timer.timer_set && ngx_queue_empty(&r->cycles)) {
        ngx_http_background_runner_arm(r);
    }

    ngx_http_background_duty_read(ngx_http_background_cell_duty(r->cell),
                                  &duty);

    if (duty.ordered != info.runs
        && r->pending != &ngx_http_background_cause_control)
    {
        if (r->pending) {
            r->orders = 1;

        } else {
            ngx_http_background_runner_want(r,
                                          &ngx_http_background_cause_control);
        }
    }

    if (duty.fired != info.fires) {
        ngx_http_background_runner_follow(r, info.fires);
    }
}


void
ngx_http_background_runner_cancels(ngx_http_background_runner_t *r,
    uint64_t cancels)
{
    if (cancels != r->cancels) {
        r->cancels = cancels;
        r->cancelled = ngx_current_msec;

        ngx_http_background_runner_cancel(r, 1);
    }
}


/*
 * Another nginx, or the old binary, has the task: what was ordered here before
 * that was known must not run at a takeover, which may be days later.
 */

void
ngx_http_background_runner_drop(ngx_http_background_runner_t *r,
    const char *who)
{
    ngx_http_background_duty_t         *duty;
    ngx_http_background_duty_info_t     info;
    ngx_http_background_orders_info_t   orders;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    ngx_http_background_runner_read(r, &orders);

    if (info.ordered == orders.runs) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": an order to run it is dropped, "
                  "%s has the task", &r->task->zone.name, who);

    ngx_http_background_duty_order(duty, orders.runs);

    if (r->pending == &ngx_http_background_cause_control) {
        r->pending = NULL;
    }
}


/* times during a pause are not missed */

void
ngx_http_background_runner_pause(ngx_http_background_runner_t *r,
    ngx_uint_t paused)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    r->paused = paused;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_pause(duty, paused);
    ngx_http_background_duty_again(duty, 0);

    if (paused) {
        if (r->timer.timer_set) {
            ngx_del_timer(&r->timer);
        }

        if (r->pending != &ngx_http_background_cause_control) {
            r->pending = NULL;
        }

    } else {
        ngx_http_background_duty_read(duty, &info);
        ngx_http_background_duty_check(duty,
                                       ngx_max(info.checked,
                                               (uint64_t) ngx_time()),
                                       info.due);
    }

    ngx_http_background_runner_save(r);
}


/* one cycle is started for all ends of tasks until now */

static void
ngx_http_background_runner_follow(ngx_http_background_runner_t *r,
    uint64_t fires)
{
    ngx_http_background_orders_t  *orders;

    if (r->paused || r->after == NULL) {
        ngx_http_background_duty_fire(ngx_http_background_cell_duty(r->cell),
                                      fires, 0);
        return;
    }

    if ((r->pending && r->pending != &ngx_http_background_cause_after)
        || !ngx_queue_empty(&r->cycles))
    {
        r->orders = 1;
        return;
    }

    orders = ngx_http_background_record_orders(r->task->zone.record);

    if (ngx_http_background_orders_told(orders, r->after) != NGX_OK) {
        ngx_memzero(r->after, sizeof(ngx_http_background_told_t));
    }

    r->fires = fires;

    ngx_http_background_runner_want(r, &ngx_http_background_cause_after);
}


/* the pending cycle starts, so the next owner of the cell must not repeat it */

void
ngx_http_background_runner_acked(ngx_http_background_runner_t *r,
    ngx_str_t *cause)
{
    ngx_http_background_duty_t         *duty;
    ngx_http_background_duty_info_t     info;
    ngx_http_background_orders_info_t   orders;

    duty = ngx_http_background_cell_duty(r->cell);
    ngx_http_background_duty_read(duty, &info);

    if (cause == &ngx_http_background_cause_control) {
        ngx_http_background_runner_read(r, &orders);
        ngx_http_background_duty_order(duty, orders.runs);
    }

    if (cause == &ngx_http_background_cause_after) {
        ngx_http_background_duty_fire(duty, r->fires,
                                      r->fires - info.fired - 1);
    }

    if (ngx_http_background_cause_timed(cause)) {
        ngx_http_background_runner_repeat(r, 0);
    }
}


/* tells the tasks that come after this one */

void
ngx_http_background_runner_fire(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_t *outcome)
{
    ngx_uint_t                      i, on, failed, unhealthy, changed;
    ngx_http_background_task_t     *task;
    ngx_http_background_follow_t   *follow;
    ngx_http_background_orders_t   *orders;

    task = r->task;
    failed = (outcome->outcome == ngx_http_background_failure);
    unhealthy = ngx_http_background_runner_unhealthy(r);

    changed = ngx_http_background_orders_alarm(
                     ngx_http_background_record_orders(task->zone.record),
                     unhealthy)
              == NGX_OK;

    on = NGX_HTTP_BACKGROUND_ON_ANY;

    if (!failed) {
        on |= NGX_HTTP_BACKGROUND_ON_SUCCESS;
    }

    if (changed) {
        on |= unhealthy ? NGX_HTTP_BACKGROUND_ON_FAILURE
                        : NGX_HTTP_BACKGROUND_ON_RECOVERY;
    }

    follow = task->followers->elts;

    for (i = 0; i < task->followers->nelts; i++) {

        if (follow[i].on & on) {
            orders = ngx_http_background_record_orders(
                                               follow[i].task->zone.record);
            ngx_http_background_orders_fire(orders, &task->zone.name,
                                            &outcome->error, failed);
        }
    }

    ngx_http_background_zone_tell(r->tasks->zcf->zone);
}


static ngx_uint_t
ngx_http_background_runner_unhealthy(ngx_http_background_runner_t *r)
{
    uint64_t                       failures;
    ngx_uint_t                     i;
    ngx_http_background_cell_t    *cell;
    ngx_http_background_record_t  *record;

    record = r->task->zone.record;

    if (!ngx_http_background_record_verdict(record, &failures)) {
        return 1;
    }

    for (i = 0; i < r->task->zone.cells; i++) {
        cell = ngx_http_background_cell(record, i);

        if (cell && ngx_http_background_cell_unhealthy(cell)) {
            return 1;
        }
    }

    return 0;
}
