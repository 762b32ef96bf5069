
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What is known of a task in all workers: crashes, health, and what outlives
 * nginx.
 */


#include "ngx_http_background_zone_layout.h"


/* "quarantined" of a record: whether other nginx know it */
#define NGX_HTTP_BACKGROUND_TOLD       1
#define NGX_HTTP_BACKGROUND_CONDEMNED  2


static ngx_uint_t ngx_http_background_cells_orphaned(
    ngx_http_background_cell_t *cell, ngx_uint_t n);


ngx_uint_t
ngx_http_background_record_crashed(ngx_http_background_record_t *record)
{
    uint32_t  n, quarantined;

    n = ngx_http_background_add(&record->crashes, 1);
    quarantined = 0;

    if (n < NGX_HTTP_BACKGROUND_CRASHES
        || !ngx_http_background_cas(&record->quarantined, &quarantined,
                                    NGX_HTTP_BACKGROUND_CONDEMNED))
    {
        return 0;
    }

    return n;
}


void
ngx_http_background_record_survived(ngx_http_background_record_t *record)
{
    if (!ngx_http_background_load(&record->quarantined)
        && ngx_http_background_load(&record->crashes))
    {
        ngx_http_background_store(&record->crashes, 0);
    }
}


ngx_http_background_orders_t *
ngx_http_background_record_orders(ngx_http_background_record_t *record)
{
    return record->orders;
}


void
ngx_http_background_record_resume(ngx_http_background_record_t *record)
{
    ngx_http_background_store(&record->quarantined, 0);
}


ngx_uint_t
ngx_http_background_record_quarantined(ngx_http_background_record_t *record)
{
    return ngx_http_background_load(&record->quarantined);
}


ngx_uint_t
ngx_http_background_record_condemned(ngx_http_background_record_t *record)
{
    return ngx_http_background_load(&record->quarantined)
           == NGX_HTTP_BACKGROUND_CONDEMNED;
}


void
ngx_http_background_record_told(ngx_http_background_record_t *record)
{
    uint32_t  condemned;

    condemned = NGX_HTTP_BACKGROUND_CONDEMNED;

    /* it may have been lifted meanwhile */

    (void) ngx_http_background_cas(&record->quarantined, &condemned,
                                   NGX_HTTP_BACKGROUND_TOLD);
}


void
ngx_http_background_record_carry(ngx_http_background_record_t *record,
    uint64_t crashes, ngx_uint_t quarantined)
{
    crashes = ngx_min(crashes, NGX_HTTP_BACKGROUND_CRASHES);

    ngx_http_background_store(&record->crashes, (uint32_t) crashes);

    if (quarantined) {
        ngx_http_background_store(&record->quarantined,
                                  NGX_HTTP_BACKGROUND_TOLD);
    }
}


/*
 * When the worker of the cycle on trial dies, "trial" is free before the crash
 * is recorded.  So orphaned cells and "quarantined" are checked after "trial"
 * was taken.
 */

ngx_int_t
ngx_http_background_record_trial(ngx_http_background_record_t *record)
{
    uint64_t  trial;

    if (ngx_http_background_load(&record->crashes)
        < NGX_HTTP_BACKGROUND_CRASHES)
    {
        return NGX_OK;
    }

    trial = ngx_http_background_load(&record->trial);

    if (ngx_http_background_self == 0
        || ngx_http_background_owner(ngx_http_background_zone, trial)
        || !ngx_http_background_cas(&record->trial, &trial,
                                    ngx_http_background_self))
    {
        return NGX_AGAIN;
    }

    /*
     * Nobody takes the other cells after "worker_processes" was lowered, so
     * their interrupted cycles are not recorded.
     */

    if (ngx_http_background_cells_orphaned(record->cells,
                                   ngx_http_background_load(&record->ncells))
        || ngx_http_background_cells_orphaned(record->arrived,
                                              NGX_MAX_INT_T_VALUE)
        || ngx_http_background_load(&record->quarantined))
    {
        ngx_http_background_record_tried(record);
        return NGX_AGAIN;
    }

    return NGX_OK;
}


void
ngx_http_background_record_tried(ngx_http_background_record_t *record)
{
    uint64_t  self;

    self = ngx_http_background_self;

    if (self && ngx_http_background_load(&record->trial) == self) {
        (void) ngx_http_background_cas(&record->trial, &self, 0);
    }
}


/*
 * Whether the first "n" cells have interrupted cycles of a dead worker that
 * are not recorded yet.
 */

static ngx_uint_t
ngx_http_background_cells_orphaned(ngx_http_background_cell_t *cell,
    ngx_uint_t n)
{
    uint64_t  owner;

    for ( /* void */ ;
         cell && n;
         cell = ngx_http_background_load(&cell->next), n--)
    {

        owner = ngx_http_background_load(&cell->owner);

        if (owner
            && ngx_http_background_owner(ngx_http_background_zone, owner)
               == NULL
            && ngx_http_background_cell_interrupted(cell))
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_background_record_judge(ngx_http_background_record_t *record,
    ngx_uint_t success, ngx_uint_t fails, ngx_uint_t passes)
{
    if (success) {
        ngx_http_background_store(&record->failures, 0);

        if (ngx_http_background_add(&record->successes, 1) >= passes) {
            ngx_http_background_store(&record->unhealthy, 0);
        }

        return;
    }

    ngx_http_background_store(&record->successes, 0);

    if (ngx_http_background_add(&record->failures, 1) >= fails) {
        ngx_http_background_store(&record->unhealthy, 1);
    }
}


ngx_uint_t
ngx_http_background_record_verdict(ngx_http_background_record_t *record,
    uint64_t *failures)
{
    *failures = ngx_http_background_load(&record->failures);

    return !ngx_http_background_load(&record->unhealthy);
}


/*
 * With "workers all" the oldest time of the first "n" cells is kept: after
 * "worker_processes" was lowered the others stand still.
 */

void
ngx_http_background_record_keep(ngx_http_background_record_t *record,
    ngx_uint_t n, ngx_http_background_kept_t *kept)
{
    ngx_uint_t                           i;
    ngx_http_background_cell_t          *cell;
    ngx_http_background_duty_info_t      duty;
    const ngx_http_background_stats_t   *stats;

    ngx_memzero(kept, sizeof(ngx_http_background_kept_t));

    kept->paused = ngx_http_background_load(&record->orders->paused);

    for (cell = record->cells, i = 0;
         cell;
         cell = ngx_http_background_load(&cell->next), i++)
    {
        ngx_http_background_duty_read(cell->duty, &duty);

        if (i < n
            && (kept->checked == 0
                || (duty.checked && duty.checked < kept->checked)))
        {
            kept->checked = duty.checked;
        }

        stats = ngx_http_background_cell_stats(cell);

        if (stats->last.finished_at > kept->finished_at) {
            kept->started_at = stats->last.started_at;
            kept->finished_at = stats->last.finished_at;
            kept->success = stats->last.success;
        }
    }
}


/* called before any worker uses the zone, so words have no tag of an owner */

void
ngx_http_background_record_restore(ngx_http_background_record_t *record,
    ngx_http_background_kept_t *kept)
{
    uint64_t                      time;
    ngx_http_background_cell_t   *cell;
    ngx_http_background_stats_t  *stats;

    record->orders->paused = kept->paused;

    for (cell = record->cells; cell; cell = cell->next) {
        cell->duty->checked = kept->checked;

        if (kept->finished_at == 0) {
            continue;
        }

        time = ngx_max(kept->started_at, kept->finished_at);

        stats = cell->stats[ngx_http_background_published(cell->version)];
        stats->last.started_at = kept->started_at;
        stats->last.finished_at = kept->finished_at;
        stats->last.wall_time = time - kept->started_at;
        stats->last.success = kept->success;

        if (kept->success) {
            stats->success_at = kept->finished_at;

        } else {
            stats->failure_at = kept->finished_at;
        }
    }
}
