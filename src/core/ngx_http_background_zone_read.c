
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What the status and other workers read; no call blocks. */


#include "ngx_http_background_zone_layout.h"


static void ngx_http_background_stats_copy(ngx_http_background_stats_t *dst,
    ngx_http_background_stats_t *src);


void
ngx_http_background_zone_info(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_info_t *info)
{
    ngx_uint_t                   i, n;
    ngx_http_background_zone_t  *zone;

    zone = zcf->zone;

    info->generation = ngx_http_background_load(&zone->generation);
    info->created = zone->created;
    info->jobs_completed = ngx_http_background_load(&zone->jobs_completed);
    info->jobs_usec = ngx_http_background_load(&zone->jobs_usec);
    info->free = zone->shpool->pfree * ngx_pagesize;

    info->jobs_running = 0;

    for (i = 0; i < NGX_HTTP_BACKGROUND_MAX_THREADS; i++) {
        if (ngx_http_background_holder(zone,
                               ngx_http_background_load(&zone->budget[i])))
        {
            info->jobs_running++;
        }
    }

    info->jobs_queued = 0;
    n = ngx_http_background_load(&zone->nmembers);

    for (i = 0; i < n; i++) {
        info->jobs_queued +=
                         ngx_http_background_load(&zone->members[i].queued);
    }
}


/*
 * Copies the used part of the error only: the array is more than half of the
 * structure.
 */

static void
ngx_http_background_stats_copy(ngx_http_background_stats_t *dst,
    ngx_http_background_stats_t *src)
{
    ngx_memcpy(dst, src, offsetof(ngx_http_background_stats_t, error));

    /*
     * A copy that is being written may have any length here.  The caller finds
     * that out by "version" and reads again.
     */

    ngx_memcpy(dst->error, src->error,
               ngx_min(dst->error_len, NGX_HTTP_BACKGROUND_ERROR_LEN));
}


void
ngx_http_background_cell_read(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_snapshot_t *snapshot)
{
    uint64_t                       version, begun, owner, pending;
    ngx_http_background_member_t  *member;

    /* "version" changes when a cycle has been recorded meanwhile */

    do {
        version = ngx_http_background_load(&cell->version);
        ngx_http_background_stats_copy(&snapshot->stats,
                        cell->stats[ngx_http_background_published(version)]);
        begun = ngx_http_background_word_get(&cell->begun);
        snapshot->waiting = ngx_http_background_word_get(&cell->waiting);
        pending = ngx_http_background_word_get(&cell->pending);
        snapshot->progress_done =
                        ngx_http_background_word_get(&cell->progress_done);
        snapshot->progress_total =
                        ngx_http_background_word_get(&cell->progress_total);
        snapshot->started = ngx_http_background_word_get(&cell->started);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (ngx_http_background_load(&cell->version) != version);

    snapshot->created = ngx_http_background_load(&cell->created);
    snapshot->declined = ngx_http_background_load(&cell->declined);
    snapshot->skipped = ngx_http_background_load(&cell->skipped);

    ngx_http_background_duty_read(cell->duty, &snapshot->duty);

    snapshot->begun = begun;
    snapshot->abandoned = snapshot->stats.abandoned;
    snapshot->running = begun
                        - ngx_min(begun, snapshot->stats.recorded
                                         + snapshot->abandoned);

    owner = ngx_http_background_load(&cell->owner);
    member = ngx_http_background_owner(zone, owner);

    if (member) {
        snapshot->pid = ngx_http_background_load(&member->pid);
        snapshot->worker = member->worker;
        member = ngx_http_background_owner(zone, owner);
    }

    snapshot->leased = (member != NULL);

    if (member == NULL) {
        snapshot->running = 0;
        snapshot->abandoned = 0;
        snapshot->waiting = 0;
    }

    snapshot->queued = (snapshot->waiting && snapshot->waiting >= pending)
                       ? snapshot->running : 0;
}


/*
 * Reads a few words as ngx_http_background_cell_read() does.  It is called
 * during requests, for their variables.
 */

void
ngx_http_background_cell_timing(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_timing_t *timing)
{
    uint64_t                            version, begun, recorded, owner;
    const ngx_http_background_stats_t  *stats;

    do {
        version = ngx_http_background_load(&cell->version);
        stats = cell->stats[ngx_http_background_published(version)];

        timing->due = ngx_http_background_load(&stats->due);
        timing->failures = ngx_http_background_load(&stats->failures);
        timing->abandoned = ngx_http_background_load(&stats->abandoned);
        recorded = ngx_http_background_load(&stats->recorded);

        begun = ngx_http_background_word_get(&cell->begun);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (ngx_http_background_load(&cell->version) != version);

    timing->created = ngx_http_background_load(&cell->created);
    timing->started = ngx_http_background_word_get(&cell->started);
    timing->waiting = ngx_http_background_word_get(&cell->waiting);
    timing->state = ngx_http_background_sequence(version) + begun + 1;
    timing->hangs = ngx_http_background_cell_hangs(zone, cell);

    owner = ngx_http_background_load(&cell->owner);

    timing->running = ngx_http_background_owner(zone, owner)
                      ? begun - ngx_min(begun, recorded + timing->abandoned)
                      : 0;
}


void
ngx_http_background_cell_judge(ngx_http_background_cell_t *cell,
    uint64_t state, ngx_uint_t late)
{
    if (ngx_http_background_cell_judged(cell, state) != late) {
        ngx_http_background_store(&cell->late, late ? state : 0);
    }
}


ngx_uint_t
ngx_http_background_cell_judged(ngx_http_background_cell_t *cell,
    uint64_t state)
{
    return ngx_http_background_load(&cell->late) == state;
}


/*
 * Each field is one word, and its value in either copy is valid, so "version"
 * is not checked again.
 */

ngx_uint_t
ngx_http_background_cell_unhealthy(ngx_http_background_cell_t *cell)
{
    uint64_t                      version;
    ngx_http_background_stats_t  *stats;

    version = ngx_http_background_load(&cell->version);
    stats = cell->stats[ngx_http_background_published(version)];

    return ngx_http_background_load(&stats->unhealthy)
           || ngx_http_background_load(&stats->abandoned);
}


/* whether a cycle of "arrived" has an abandoned job */

ngx_uint_t
ngx_http_background_record_abandoned(ngx_http_background_record_t *record)
{
    ngx_http_background_cell_t         *cell;
    const ngx_http_background_stats_t  *stats;

    cell = ngx_http_background_load(&record->arrived);

    for ( /* void */ ; cell; cell = ngx_http_background_load(&cell->next)) {
        stats = ngx_http_background_cell_stats(cell);

        if (ngx_http_background_load(&stats->abandoned)) {
            return 1;
        }
    }

    return 0;
}
