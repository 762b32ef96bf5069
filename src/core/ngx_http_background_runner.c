
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The leases of a task in the zone, between zones of this nginx, and between
 * servers, and the state with which the next owner of a lease goes on.
 */


#include "ngx_http_background_instance.h"
#include "ngx_http_background_runner.h"


/*
 * A revoked worker that still runs a job is logged after this many polls; a
 * job that calls ngx_http_background_cancelled() ends sooner.
 */
#define NGX_HTTP_BACKGROUND_BUSY    4

/* the assumed difference of the clocks of servers, in seconds */
#define NGX_HTTP_BACKGROUND_CLOCKS  5


static void ngx_http_background_runner_started(
    ngx_http_background_runner_t *r);
static void ngx_http_background_runner_granted(ngx_http_background_claim_t *m,
    const ngx_http_background_carried_t *carried);
static void ngx_http_background_runner_checked(ngx_http_background_runner_t *r,
    uint64_t due);
static void ngx_http_background_runner_ousted(ngx_http_background_claim_t *m,
    const char *why);
static void ngx_http_background_runner_adopt(ngx_http_background_runner_t *r);
static void ngx_http_background_runner_carry(ngx_http_background_runner_t *r,
    ngx_http_background_state_t *state);
static void ngx_http_background_runner_hangs(ngx_http_background_runner_t *r);


void
ngx_http_background_runner_init(ngx_http_background_runner_t *r,
    ngx_http_background_tasks_t *tasks, ngx_http_background_task_t *task)
{
    ngx_http_background_orders_info_t  orders;

    r->tasks = tasks;
    r->task = task;
    r->cell = ngx_http_background_cell(task->zone.record,
                                       task->zone.all ? ngx_worker : 0);
    r->log = task->log ? task->log : tasks->log;
    r->ident = -1;

    ngx_queue_init(&r->cycles);

    r->timer.handler = ngx_http_background_runner_timer_handler;
    r->timer.data = r;
    r->timer.log = tasks->log;
    r->timer.cancelable = 1;

    r->seed = ngx_murmur_hash2(task->zone.name.data, task->zone.name.len)
              ^ ngx_murmur_hash2(ngx_cycle->hostname.data,
                                 ngx_cycle->hostname.len)
              ^ (task->zone.all ? ngx_worker << 16 : 0);

    r->waiter = (uint64_t) r->seed << 32 | (uint32_t) ngx_pid;

    ngx_http_background_runner_read(r, &orders);
    r->cancels = orders.cancels;
}


void
ngx_http_background_runner_take(ngx_http_background_runner_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_background_lease_take(r->cell);

    if (rc == NGX_BUSY) {
        ngx_http_background_runner_hangs(r);
        return;
    }

    r->busy = 0;

    if (rc != NGX_OK) {
        return;
    }

    __atomic_store_n(&r->leased, 1, __ATOMIC_RELAXED);

    r->whole = 0;
    r->elsewhere = !r->task->zone.all;
    r->told = 0;

    ngx_http_background_runner_inherit(r, r->cell);

    ngx_http_background_runner_enter(r);
}


/*
 * Starts the task if no worker of another zone has it.  Until then it is
 * called again in each poll.
 */

void
ngx_http_background_runner_enter(ngx_http_background_runner_t *r)
{
    ngx_int_t                           rc;
    ngx_http_background_orders_t       *orders;
    ngx_http_background_orders_info_t   info;

    orders = ngx_http_background_record_orders(r->task->zone.record);

    if (r->elsewhere) {
        rc = ngx_http_background_instance_lock(&r->task->zone.name, r->log);
        ngx_http_background_runner_adopt(r);

        if (rc == NGX_BUSY) {

            ngx_http_background_cell_absent(r->cell);
            ngx_http_background_orders_read(orders, &info);

            /* later orders are refused */

            if (!info.elsewhere) {
                ngx_http_background_orders_leave(orders, 1);
                ngx_http_background_runner_drop(r, "a worker of another zone");
            }

            if (!r->told) {
                r->told = 1;

                ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                              "background task \"%V\": waits for a worker of "
                              "another zone, which still runs the task",
                              &r->task->zone.name);
            }

            return;
        }

        r->elsewhere = 0;

        ngx_http_background_runner_save(r);
    }

    ngx_http_background_orders_leave(orders, 0);

    if (r->task->cluster) {
        ngx_http_background_orders_read(orders, &info);
        r->paused = info.paused;

        ngx_http_background_runner_forget(r);
        ngx_http_background_runner_join(r);
        return;
    }

    ngx_http_background_runner_started(r);
}


/*
 * A pause that the last owner has handled, and that has ended since then, ends
 * in runner_orders(): times until now are not missed.
 */

static void
ngx_http_background_runner_started(ngx_http_background_runner_t *r)
{
    ngx_http_background_duty_info_t    duty;
    ngx_http_background_orders_info_t  orders;

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": started", &r->task->zone.name);

    ngx_http_background_runner_read(r, &orders);

    ngx_http_background_duty_read(ngx_http_background_cell_duty(r->cell),
                                  &duty);

    r->paused = duty.paused;
    r->orders = 1;

    if (orders.paused && !r->paused) {
        ngx_http_background_runner_pause(r, 1);
    }

    ngx_http_background_runner_arm(r);
}


/*
 * A task that becomes quarantined in this nginx is reported to other nginx
 * once; then this nginx does not ask for it.
 */

void
ngx_http_background_runner_join(ngx_http_background_runner_t *r)
{
    if (ngx_http_background_runner_quarantined(r)
        && !ngx_http_background_record_condemned(r->task->zone.record))
    {
        return;
    }

    r->claim.conf = r->task->cluster_conf;
    r->claim.task = &r->task->zone.name;
    r->claim.log = r->log;
    r->claim.fence = 0;
    r->claim.until = 0;
    r->claim.other = 0;
    r->claim.granted = ngx_http_background_runner_granted;
    r->claim.lost = ngx_http_background_runner_ousted;

    r->joined = 1;
    r->candidate = 1;

    if (r->task->cluster->want(&r->claim) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": no memory to ask other servers "
                      "for it", &r->task->zone.name);
        r->joined = 0;
    }
}


void
ngx_http_background_runner_depart(ngx_http_background_runner_t *r,
    ngx_uint_t give)
{
    if (r->joined) {
        r->joined = 0;
        r->task->cluster->leave(&r->claim, give);
    }

    r->candidate = 0;
    r->claim.fence = 0;
}


static void
ngx_http_background_runner_granted(ngx_http_background_claim_t *m,
    const ngx_http_background_carried_t *carried)
{
    uint64_t                       due, now;
    ngx_http_background_runner_t  *r;

    r = ngx_queue_data(m, ngx_http_background_runner_t, claim);

    r->candidate = 0;

    if (carried) {
        now = ngx_http_background_wall_clock();
        due = carried->due_at ? ngx_current_msec
                                + ngx_max(carried->due_at, now) - now
                              : 0;

        ngx_http_background_cell_carry(r->cell, due, carried->failures,
                                       r->task->fails);
        ngx_http_background_record_carry(r->task->zone.record,
                                         carried->crashes,
                                         carried->quarantine != 0);
    }

    if (ngx_http_background_runner_quarantined(r)) {
        ngx_http_background_runner_condemn(r, (carried && carried->quarantine)
                                              ? carried->quarantine
                                              : m->fence);
        return;
    }

    m->carried.quarantine = 0;

    if (r->task->rules && carried && carried->due_at) {
        ngx_http_background_runner_checked(r, carried->due_at / 1000);
    }

    ngx_http_background_runner_save(r);
    ngx_http_background_runner_started(r);
}


/* gives the task back as quarantined, since the fence "quarantine" */

void
ngx_http_background_runner_condemn(ngx_http_background_runner_t *r,
    uint64_t quarantine)
{
    ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                  "background task \"%V\": quarantined on all servers, "
                  "each until its next reload", &r->task->zone.name);

    r->claim.carried.quarantine = quarantine;

    ngx_http_background_record_told(r->task->zone.record);
    ngx_http_background_runner_save(r);
    ngx_http_background_runner_depart(r, 1);
}


/* another server, whose clock may differ, has handled times until "due" */

static void
ngx_http_background_runner_checked(ngx_http_background_runner_t *r,
    uint64_t due)
{
    ngx_http_background_duty_t       *duty;
    ngx_http_background_duty_info_t   info;

    duty = ngx_http_background_cell_duty(r->cell);

    ngx_http_background_duty_read(duty, &info);

    if (due > info.checked + NGX_HTTP_BACKGROUND_CLOCKS) {
        ngx_http_background_duty_check(duty, due - NGX_HTTP_BACKGROUND_CLOCKS,
                                       info.due);
    }
}


/* the cycle is stopped, as another nginx may run the task from now on */

static void
ngx_http_background_runner_ousted(ngx_http_background_claim_t *m,
    const char *why)
{
    ngx_http_background_cycle_t   *cycle;
    ngx_http_background_runner_t  *r;

    r = ngx_queue_data(m, ngx_http_background_runner_t, claim);

    r->candidate = 1;

    ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                  "background task \"%V\": stopped, %s", m->task, why);

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    /* what waits is not due any more when this nginx has the task again */

    r->pending = NULL;
    r->saved = 0;

    cycle = ngx_http_background_runner_cycle(r, r->cell, 0);

    if (cycle && !cycle->cancelled) {
        ngx_http_background_cycle_leave(cycle);
    }
}


/*
 * Called also while a worker of another zone has the task, so that the status
 * shows the cycles of that worker.
 */

static void
ngx_http_background_runner_adopt(ngx_http_background_runner_t *r)
{
    ngx_http_background_state_t  state;

    if (ngx_http_background_instance_read(&r->task->zone.name, &state,
                                          sizeof(ngx_http_background_state_t))
        == NGX_OK)
    {
        ngx_http_background_cell_adopt(r->task->zone.record, r->cell, &state);
    }
}


void
ngx_http_background_runner_save(ngx_http_background_runner_t *r)
{
    ngx_http_background_state_t  state;

    if (r->task->zone.all || r->elsewhere) {
        return;
    }

    ngx_http_background_cell_save(r->task->zone.record, r->cell, &state);
    ngx_http_background_instance_write(&r->task->zone.name, &state,
                                       sizeof(ngx_http_background_state_t),
                                       r->log);

    if (r->joined && !r->candidate) {
        ngx_http_background_runner_carry(r, &state);
    }
}


/* stores the state with which another nginx continues */

static void
ngx_http_background_runner_carry(ngx_http_background_runner_t *r,
    ngx_http_background_state_t *state)
{
    uint64_t                        now;
    ngx_http_background_carried_t  *carried;

    carried = &r->claim.carried;
    now = ngx_http_background_wall_clock();

    carried->due_at = state->stats.due
                      ? now + ngx_max(state->stats.due, ngx_current_msec)
                        - ngx_current_msec
                      : 0;
    carried->failures = state->stats.failures;
    carried->crashes = state->crashes;

    r->task->cluster->save(&r->claim);
}


static void
ngx_http_background_runner_hangs(ngx_http_background_runner_t *r)
{
    ngx_pid_t  pid;

    if (++r->busy < NGX_HTTP_BACKGROUND_BUSY) {
        return;
    }

    pid = ngx_http_background_cell_hangs(r->tasks->zcf->zone, r->cell);

    if (pid && ngx_http_background_cell_tell(r->cell)) {
        ngx_log_error(NGX_LOG_ALERT, r->log, 0,
                      "background task \"%V\": worker process %P hangs with a "
                      "job of the task, no other worker runs the task until "
                      "the job ends or the process exits",
                      &r->task->zone.name, pid);
    }
}


void
ngx_http_background_runner_release(ngx_http_background_runner_t *r)
{
    ngx_uint_t  absent;

    absent = r->elsewhere || r->candidate;

    /* orders may have come since the last poll */

    if (!r->joined || r->candidate) {
        ngx_http_background_runner_save(r);
    }

    ngx_http_background_runner_depart(r, 1);

    if (!r->task->zone.all && !r->elsewhere) {
        ngx_http_background_instance_unlock(&r->task->zone.name);
    }

    ngx_http_background_lease_release(r->cell);
    __atomic_store_n(&r->leased, 0, __ATOMIC_RELAXED);

    r->pending = NULL;

    if (!absent) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "background task \"%V\": stopped", &r->task->zone.name);
    }

    r->elsewhere = 0;
}


/*
 * A worker that was revoked leaves the task to another instance, unless a
 * worker of its own has it, when no job of it is on a thread any more.
 */

void
ngx_http_background_runner_forgo(ngx_http_background_runner_t *r)
{
    if (!r->leased && !r->task->zone.all && ngx_queue_empty(&r->cycles)) {
        ngx_http_background_instance_unlock(&r->task->zone.name);
    }
}


/* cycles with "finish" go on, unless "all" is set: a client waits for them */

void
ngx_http_background_runner_stop(ngx_http_background_runner_t *r,
    ngx_uint_t all)
{
    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    ngx_http_background_runner_cancel(r, all);

    if (r->leased && ngx_http_background_runner_cycle(r, r->cell, 1) == NULL) {
        ngx_http_background_runner_release(r);
    }
}


void
ngx_http_background_runner_cancel(ngx_http_background_runner_t *r,
    ngx_uint_t all)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

again:

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        cycle->lost |= ngx_http_background_zone_revoked();

        if (!cycle->cancelled && (all || !cycle->finish)) {

            /*
             * ngx_http_background_cycle_cancel() may remove this or other
             * cycles
             */

            ngx_http_background_cycle_cancel(cycle);
            goto again;
        }
    }
}


/*
 * Returns the oldest cycle that is counted in the cell; abandoned ones only if
 * "abandoned" is set.
 */

ngx_http_background_cycle_t *
ngx_http_background_runner_cycle(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_uint_t abandoned)
{
    ngx_queue_t                  *q;
    ngx_http_background_cycle_t  *cycle;

    for (q = ngx_queue_head(&r->cycles);
         q != ngx_queue_sentinel(&r->cycles);
         q = ngx_queue_next(q))
    {
        cycle = ngx_queue_data(q, ngx_http_background_cycle_t, queue);

        if (cycle->cell == cell && !cycle->lost
            && (abandoned || !cycle->abandoned))
        {
            return cycle;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_background_runner_quarantined(ngx_http_background_runner_t *r)
{
    return ngx_http_background_record_quarantined(r->task->zone.record);
}


/*
 * Whether no cycle may start.  The task may have been paused or quarantined
 * since the last poll, which sets r->paused.
 */

ngx_uint_t
ngx_http_background_runner_halted(ngx_http_background_runner_t *r)
{
    ngx_http_background_orders_info_t  orders;

    ngx_http_background_runner_read(r, &orders);

    return orders.paused || ngx_http_background_runner_quarantined(r);
}
