
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The contents of a cell, as its owner changes them.
 */


#include "ngx_http_background_zone_layout.h"


static void ngx_http_background_stats_total(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome);
static void ngx_http_background_stats_ended(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome);
static uint64_t ngx_http_background_cell_under_way(
    ngx_http_background_cell_t *cell);
static ngx_http_background_stats_t *ngx_http_background_cell_edit(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_cell_publish(ngx_http_background_cell_t *cell);


/*
 * Upper bounds of the duration histogram, in milliseconds: from a probe of
 * some ms to a job of some ten minutes.
 */

const ngx_msec_t  ngx_http_background_buckets[NGX_HTTP_BACKGROUND_BUCKETS] = {
    5, 25, 100, 500, 1000, 5000, 15000, 60000, 300000, 1800000
};


/* a revoked worker edits this copy of the statistics, which nobody reads */

static ngx_http_background_stats_t  ngx_http_background_lost;

static uint64_t    ngx_http_background_editing;

static ngx_uint_t  ngx_http_background_changes;


void
ngx_http_background_cell_begin(ngx_http_background_cell_t *cell, uint64_t now,
    const ngx_http_background_cause_t *cause)
{
    uint64_t  n, recorded;

    recorded = ngx_http_background_cell_stats(cell)->recorded;
    n = ngx_http_background_word_get(&cell->begun);

    n = ngx_max(n, recorded) + 1;

    ngx_http_background_ring_add(cell, n, cause);

    if (ngx_http_background_cell_under_way(cell) == 0) {
        ngx_http_background_word_set(&cell->progress_done, 0);
        ngx_http_background_word_set(&cell->progress_total, 0);
        ngx_http_background_word_set(&cell->started, now);
    }

    ngx_http_background_word_set(&cell->begun, n);

    ngx_http_background_changes++;
}


void
ngx_http_background_cell_record(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell,
    const ngx_http_background_outcome_t *outcome)
{
    ngx_http_background_stats_t    *stats;
    ngx_http_background_history_t   history;

    stats = ngx_http_background_cell_edit(cell);

    if (outcome->abandoned) {
        stats->abandoned += outcome->cycles;

    } else {
        stats->recorded += outcome->cycles;
        stats->abandoned -= outcome->returned;
    }

    if (outcome->outcome != ngx_http_background_cancel
        && !outcome->crash && !outcome->abandoned)
    {
        ngx_http_background_record_survived(record);
    }

    if (!outcome->abandoned) {
        ngx_http_background_record_tried(record);
    }

    ngx_http_background_stats_total(stats, outcome);

    if (outcome->due) {
        stats->due = outcome->due;
    }

    if (outcome->outcome != ngx_http_background_cancel
        && (outcome->cycles > outcome->returned || outcome->crash))
    {
        ngx_http_background_stats_ended(stats, outcome);

        if (outcome->history) {
            history.finished_at = outcome->last.finished_at;
            history.wall_time = outcome->last.wall_time;
            history.failed = outcome->last.failed;

            ngx_http_background_record_history(record, &history,
                                               &outcome->error);
        }
    }

    ngx_http_background_cell_publish(cell);

    ngx_http_background_word_set(&cell->started, outcome->oldest);

    /* these words may be those of a worker that died */

    if (outcome->oldest == 0) {
        ngx_http_background_word_set(&cell->waiting, 0);
        ngx_http_background_word_set(&cell->pending, 0);
        ngx_http_background_word_set(&cell->progress_total, 0);
        ngx_http_background_word_set(&cell->progress_done, 0);
    }
}


static void
ngx_http_background_stats_total(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome)
{
    uint64_t                           cycles;
    const ngx_http_background_last_t  *last;

    last = &outcome->last;
    cycles = outcome->cycles - outcome->returned;

    stats->operations_completed += last->completed;
    stats->operations_failed += last->failed;
    stats->bytes += last->bytes;
    stats->io_time += last->io_time;
    stats->cpu_usec += last->cpu_usec;
    stats->wall_time += last->wall_time * cycles;

    switch (outcome->outcome) {

    case ngx_http_background_success:
        stats->cycles_completed += cycles;
        break;

    case ngx_http_background_failure:
        stats->cycles_failed += cycles;
        break;

    default: /* ngx_http_background_cancel */
        stats->cycles_cancelled += cycles;
    }
}


/* not called for a cancelled cycle */

static void
ngx_http_background_stats_ended(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome)
{
    uint64_t                           cycles;
    ngx_uint_t                         i;
    const ngx_http_background_last_t  *last;

    last = &outcome->last;
    cycles = outcome->cycles - outcome->returned;

    if (outcome->outcome == ngx_http_background_success) {
        stats->successes += cycles;
        stats->failures = 0;
        stats->success_at = last->finished_at;

        if (outcome->passes && stats->successes >= outcome->passes) {
            stats->unhealthy = 0;
        }

    } else {
        stats->failures += cycles;
        stats->successes = 0;
        stats->failure_at = last->finished_at;

        if (outcome->fails && stats->failures >= outcome->fails) {
            stats->unhealthy = 1;
        }

        stats->error_len = ngx_min(outcome->error.len,
                                   NGX_HTTP_BACKGROUND_ERROR_LEN);
        ngx_memcpy(stats->error, outcome->error.data, stats->error_len);
    }

    stats->last = *last;
    stats->ended = ngx_current_msec;

    for (i = 0; i < NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        if (last->wall_time <= ngx_http_background_buckets[i]) {
            break;
        }
    }

    stats->buckets[i] += cycles;
    stats->buckets_time += last->wall_time * cycles;
}


uint64_t
ngx_http_background_cell_interrupted(ngx_http_background_cell_t *cell)
{
    uint64_t  begun, recorded;

    begun = ngx_http_background_word_get(&cell->begun);
    recorded = ngx_http_background_cell_stats(cell)->recorded;

    return begun - ngx_min(begun, recorded);
}


/* the number of cycles under way, without abandoned ones */

static uint64_t
ngx_http_background_cell_under_way(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_cell_interrupted(cell)
           - ngx_http_background_cell_stats(cell)->abandoned;
}


uint64_t
ngx_http_background_cell_started(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_word_get(&cell->started);
}


/*
 * The mark holds for the cell, so it includes cycles that the event loop
 * begins between the mark and the exit of the process.
 */

void
ngx_http_background_cell_mark(ngx_http_background_cell_t *cell, int signo,
    uint32_t mark, uint64_t self)
{
    uint64_t  old, new, tag;

    old = ngx_http_background_load(&cell->crash);
    tag = ngx_http_background_tag(self);

    do {
        if (old >> 48 != tag) {
            return;
        }

        new = old | mark;

        if (ngx_http_background_value(old) == 0) {
            new |= (uint32_t) signo;
        }

    } while (!ngx_http_background_cas(&cell->crash, &old, new));
}


ngx_uint_t
ngx_http_background_cell_spared(ngx_http_background_cell_t *cell)
{
    uint64_t  crash;

    crash = ngx_http_background_load(&cell->crash);

    return (crash & NGX_HTTP_BACKGROUND_SPARED)
           && !(crash & NGX_HTTP_BACKGROUND_BLAMED);
}


ngx_uint_t
ngx_http_background_cell_blamed(ngx_http_background_cell_t *cell)
{
    return (ngx_http_background_load(&cell->crash)
            & NGX_HTTP_BACKGROUND_BLAMED)
           != 0;
}


int
ngx_http_background_cell_signal(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_load(&cell->crash) & 0xff;
}


void
ngx_http_background_cell_settle(ngx_http_background_cell_t *cell)
{
    ngx_http_background_word_set(&cell->crash, 0);
}


const ngx_http_background_stats_t *
ngx_http_background_cell_stats(ngx_http_background_cell_t *cell)
{
    uint64_t  version;

    version = ngx_http_background_load(&cell->version);

    return cell->stats[ngx_http_background_published(version)];
}


/*
 * Returns a copy of the statistics to change.
 * ngx_http_background_cell_publish() publishes it; if the worker dies before,
 * the old copy stays.  "version" is read before the check for revocation: see
 * "Revocation" in the header.
 */

static ngx_http_background_stats_t *
ngx_http_background_cell_edit(ngx_http_background_cell_t *cell)
{
    uint64_t                      version;
    ngx_http_background_stats_t  *stats;

    version = ngx_http_background_load(&cell->version);

    /*
     * A reader that sees the new contents must also see the last change of
     * "version".
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (ngx_http_background_zone_revoked()) {
        ngx_http_background_editing = 0;
        stats = &ngx_http_background_lost;

    } else {
        ngx_http_background_editing = version;
        stats = cell->stats[ngx_http_background_edited(version)];
    }

    *stats = *cell->stats[ngx_http_background_published(version)];

    return stats;
}


static void
ngx_http_background_cell_publish(ngx_http_background_cell_t *cell)
{
    uint64_t  version, new;

    version = ngx_http_background_editing;

    if (version == 0) {
        return;
    }

    new = (ngx_http_background_sequence(version) + 1) << 28
          | (version & 0xffffff0)
          | ngx_http_background_edited(version)
          | ngx_http_background_published(version) << 2;

    (void) ngx_http_background_cas(&cell->version, &version, new);

    ngx_http_background_changes++;
}


void
ngx_http_background_cell_save(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell, ngx_http_background_state_t *state)
{
    ngx_http_background_duty_info_t  duty;

    ngx_memzero(state, sizeof(ngx_http_background_state_t));

    state->layout = NGX_HTTP_BACKGROUND_LAYOUT;
    state->crashes = ngx_http_background_load(&record->crashes);

    ngx_http_background_duty_read(cell->duty, &duty);
    state->checked = duty.checked;
    state->again = duty.again;
    state->paused = duty.paused;
    state->pause = ngx_http_background_orders_share(record->orders);

    state->stats = *ngx_http_background_cell_stats(cell);

    /*
     * The other instance is not told when an abandoned job ends, so the cycle
     * counts as recorded.
     */

    state->stats.recorded += state->stats.abandoned;
    state->stats.abandoned = 0;
}


void
ngx_http_background_cell_adopt(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell, const ngx_http_background_state_t *state)
{
    ngx_http_background_duty_info_t     duty;
    const ngx_http_background_stats_t  *stats;

    if (state->layout != NGX_HTTP_BACKGROUND_LAYOUT
        || state->stats.error_len > NGX_HTTP_BACKGROUND_ERROR_LEN
        || state->stats.last.message_len > NGX_HTTP_BACKGROUND_MESSAGE_LEN)
    {
        return;
    }

    ngx_http_background_duty_read(cell->duty, &duty);

    if (state->checked > duty.checked) {
        ngx_http_background_duty_check(cell->duty, state->checked, duty.due);
    }

    ngx_http_background_duty_again(cell->duty, state->again != 0);
    ngx_http_background_duty_pause(cell->duty, state->paused != 0);
    ngx_http_background_orders_adopt(record->orders, state->pause != 0);

    stats = ngx_http_background_cell_stats(cell);

    if (state->stats.recorded < stats->recorded
        || ngx_memcmp(&state->stats, stats,
                      sizeof(ngx_http_background_stats_t))
           == 0)
    {
        return;
    }

    ngx_http_background_store(&record->crashes, (uint32_t) state->crashes);

    *ngx_http_background_cell_edit(cell) = state->stats;
    ngx_http_background_cell_publish(cell);

    /*
     * Before this store "begun" is less than "recorded", which means that no
     * cycle is under way.
     */

    ngx_http_background_word_set(&cell->begun, state->stats.recorded);
}


void
ngx_http_background_cell_carry(ngx_http_background_cell_t *cell, uint64_t due,
    uint64_t failures, ngx_uint_t fails)
{
    ngx_http_background_stats_t  *stats;

    stats = ngx_http_background_cell_edit(cell);

    stats->due = due;
    stats->failures = failures;

    if (failures) {
        stats->successes = 0;
        stats->unhealthy = (failures >= fails);
    }

    ngx_http_background_cell_publish(cell);
}


void
ngx_http_background_cell_absent(ngx_http_background_cell_t *cell)
{
    ngx_http_background_store(&cell->created, ngx_current_msec);
}


ngx_http_background_duty_t *
ngx_http_background_cell_duty(ngx_http_background_cell_t *cell)
{
    return cell->duty;
}


void
ngx_http_background_cell_schedule(ngx_http_background_cell_t *cell,
    uint64_t due)
{
    if (due != ngx_http_background_cell_stats(cell)->due) {
        ngx_http_background_cell_edit(cell)->due = due;
        ngx_http_background_cell_publish(cell);
    }
}


void
ngx_http_background_cell_waiting(ngx_http_background_cell_t *cell, int n,
    uint64_t self)
{
    ngx_http_background_word_add(&cell->waiting, (uint64_t) (int64_t) n, self);
}


void
ngx_http_background_cell_pending(ngx_http_background_cell_t *cell, int n,
    uint64_t self)
{
    ngx_http_background_word_add(&cell->pending, (uint64_t) (int64_t) n, self);
}


void
ngx_http_background_cell_progress(ngx_http_background_cell_t *cell,
    int64_t done, int64_t total, uint64_t self)
{
    ngx_http_background_word_add(&cell->progress_total, (uint64_t) total,
                                 self);
    ngx_http_background_word_add(&cell->progress_done, (uint64_t) done, self);
}


void
ngx_http_background_cell_declined(ngx_http_background_cell_t *cell)
{
    (void) ngx_http_background_add(&cell->declined, 1);
}


void
ngx_http_background_cell_skipped(ngx_http_background_cell_t *cell)
{
    (void) ngx_http_background_add(&cell->skipped, 1);
}


ngx_uint_t
ngx_http_background_zone_changes(void)
{
    return ngx_http_background_changes;
}
