
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Which worker has a cell.  The order of the steps is explained in "Revocation"
 * in ngx_http_background_zone.h.
 */


#include "ngx_http_background_zone_layout.h"


static ngx_int_t ngx_http_background_cell_own(
    ngx_http_background_cell_t *cell);
static ngx_int_t ngx_http_background_cell_rests(
    ngx_http_background_cell_t *cell, uint64_t owner);
static ngx_int_t ngx_http_background_cell_seal(
    ngx_http_background_cell_t *cell);


/* "owner" of the cell that was taken last, before this worker took it */

static uint64_t  ngx_http_background_former;


ngx_http_background_cell_t *
ngx_http_background_cell(ngx_http_background_record_t *record, ngx_uint_t n)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->cells);

    while (cell && n--) {
        cell = ngx_http_background_load(&cell->next);
    }

    return cell;
}


ngx_http_background_cell_t *
ngx_http_background_cell_next(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_load(&cell->next);
}


ngx_http_background_cell_t *
ngx_http_background_cell_arrived(ngx_http_background_record_t *record,
    ngx_uint_t n)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    while (cell && n--) {
        cell = ngx_http_background_load(&cell->next);
    }

    return cell;
}


ngx_int_t
ngx_http_background_lease_take(ngx_http_background_cell_t *cell)
{
    if (ngx_http_background_self
        && ngx_http_background_load(&cell->owner) == ngx_http_background_self)
    {
        return NGX_OK;
    }

    /* after a reload the leases are for the new workers */

    if (!ngx_http_background_zone_current()) {
        return NGX_AGAIN;
    }

    return ngx_http_background_cell_own(cell);
}


void
ngx_http_background_lease_release(ngx_http_background_cell_t *cell)
{
    uint64_t  self;

    self = ngx_http_background_self;

    if (self) {
        (void) ngx_http_background_cas(&cell->owner, &self, 0);
    }
}


ngx_http_background_cell_t *
ngx_http_background_cell_take(ngx_http_background_record_t *record)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    while (cell && ngx_http_background_cell_own(cell) != NGX_OK) {
        cell = ngx_http_background_load(&cell->next);
    }

    return cell;
}


ngx_http_background_cell_t *
ngx_http_background_cell_orphan(ngx_http_background_record_t *record)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    for ( /* void */ ; cell; cell = ngx_http_background_load(&cell->next)) {

        if (ngx_http_background_load(&cell->owner) == 0
            || ngx_http_background_cell_interrupted(cell) == 0
            || ngx_http_background_cell_own(cell) != NGX_OK)
        {
            continue;
        }

        /* another worker may have recorded the cycle meanwhile */

        if (ngx_http_background_cell_interrupted(cell)) {
            return cell;
        }

        ngx_http_background_lease_release(cell);
    }

    return NULL;
}


/*
 * Takes the cell.  The order of the steps is explained in "Revocation" in the
 * header.
 */

static ngx_int_t
ngx_http_background_cell_own(ngx_http_background_cell_t *cell)
{
    uint64_t                     owner, self;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;
    self = ngx_http_background_self;

    if (self == 0) {
        return NGX_AGAIN;
    }

    owner = ngx_http_background_load(&cell->owner);

    if (ngx_http_background_owner(zone, owner)) {
        return NGX_AGAIN;
    }

    if (ngx_http_background_holder(zone,
                                   ngx_http_background_load(&cell->held)))
    {
        return NGX_BUSY;
    }

    if (ngx_http_background_zone_revoked()
        || ngx_http_background_cell_rests(cell, owner) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_background_former = owner;

    if (!ngx_http_background_cas(&cell->owner, &owner, self)) {
        return NGX_AGAIN;
    }

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    /*
     * a thread of the former owner may have started a job before "owner"
     * changed
     */

    if (ngx_http_background_holder(zone,
                                   ngx_http_background_load(&cell->held)))
    {
        (void) ngx_http_background_cas(&cell->owner, &self, owner);
        return NGX_BUSY;
    }

    return ngx_http_background_cell_seal(cell);
}


/*
 * Returns NGX_OK if there is a copy of the statistics that no revoked worker
 * may write to.
 */

static ngx_int_t
ngx_http_background_cell_rests(ngx_http_background_cell_t *cell,
    uint64_t owner)
{
    uint64_t                     rests;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    rests = ngx_http_background_load(&cell->rests);

    if (rests == owner || !ngx_http_background_writes(zone, owner)) {
        return NGX_OK;
    }

    if (ngx_http_background_load(&cell->stats[2]) == NULL
        || ngx_http_background_writes(zone, rests)
        || !ngx_http_background_cas(&cell->rests, &rests, owner))
    {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


/*
 * After this nothing that a former owner writes to the cell has an effect.
 * This worker may itself be revoked in the middle: each value is read before
 * the check for revocation, and only that value is replaced.
 */

static ngx_int_t
ngx_http_background_cell_seal(ngx_http_background_cell_t *cell)
{
    uint64_t                     v, new, rests, tag;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    if (ngx_http_background_word_seal(&cell->begun,
                                      NGX_HTTP_BACKGROUND_VALUE)
        != NGX_OK
        || ngx_http_background_word_seal(&cell->started,
                                         NGX_HTTP_BACKGROUND_VALUE)
           != NGX_OK
        || ngx_http_background_word_seal(&cell->progress_done, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->progress_total, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->waiting, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->pending, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->crash,
                                         NGX_HTTP_BACKGROUND_VALUE)
           != NGX_OK
        || ngx_http_background_duty_seal(cell->duty) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    do {
        v = ngx_http_background_load(&cell->version);
        rests = ngx_http_background_load(&cell->rests);

        if (ngx_http_background_zone_revoked()) {
            return NGX_AGAIN;
        }

        new = (ngx_http_background_sequence(v) + 1) << 28;

        if (!ngx_http_background_writes(zone, rests)) {
            new |= v & 0x3f;
            continue;
        }

        tag = (rests & 0x7ff) << 11 | (rests >> 16 & 0x7ff);

        if (ngx_http_background_rests_for(v) == tag) {
            new |= v & 0xfffffff;

        } else {
            new |= tag << 6 | ngx_http_background_published(v)
                   | ngx_http_background_resting(v) << 2
                   | ngx_http_background_edited(v) << 4;
        }

    } while (!ngx_http_background_cas(&cell->version, &v, new));

    return NGX_OK;
}


ngx_uint_t
ngx_http_background_cell_revoked(void)
{
    uint64_t  former;

    former = ngx_http_background_former;

    return former
           && ngx_http_background_load(
                    &ngx_http_background_zone->members[(former & 0xffff) - 1]
                         .revoked)
              == (uint32_t) (former >> 16);
}


ngx_int_t
ngx_http_background_cell_hold(ngx_http_background_cell_t *cell, uint64_t self)
{
    uint64_t  held, new, life;

    life = ngx_http_background_life;
    held = ngx_http_background_load(&cell->held);

    do {
        if (held >> 48 && (held & 0xffffffffffff) == life) {
            new = held + ((uint64_t) 1 << 48);

        } else if (ngx_http_background_holder(ngx_http_background_zone, held)) {
            return NGX_AGAIN;

        } else {
            new = (uint64_t) 1 << 48 | life;
        }

    } while (!ngx_http_background_cas(&cell->held, &held, new));

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (ngx_http_background_zone_owns(self)) {
        return NGX_OK;
    }

    ngx_http_background_cell_unhold(cell);

    return NGX_AGAIN;
}


void
ngx_http_background_cell_unhold(ngx_http_background_cell_t *cell)
{
    uint64_t  held;

    held = ngx_http_background_load(&cell->held);

    while (!ngx_http_background_cas(&cell->held, &held,
                                    held - ((uint64_t) 1 << 48)))
    {
        /* void */
    }
}


ngx_pid_t
ngx_http_background_cell_hangs(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell)
{
    uint64_t                       held;
    ngx_http_background_member_t  *member;

    held = ngx_http_background_load(&cell->held);
    member = ngx_http_background_holder(zone, held);

    if (member == NULL
        || ngx_http_background_owner(zone,
                                     ngx_http_background_load(&cell->owner)))
    {
        return 0;
    }

    return ngx_http_background_load(&member->pid);
}


ngx_uint_t
ngx_http_background_cell_tell(ngx_http_background_cell_t *cell)
{
    uint64_t  held, told;

    held = ngx_http_background_value(ngx_http_background_load(&cell->held));
    told = ngx_http_background_load(&cell->told);

    return told != held && ngx_http_background_cas(&cell->told, &told, held);
}
