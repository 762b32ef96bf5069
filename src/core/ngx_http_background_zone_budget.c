
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* The slots of the budget, and which workers wait for one. */


#include "ngx_http_background_zone_layout.h"


static ngx_uint_t ngx_http_background_others_wait(ngx_uint_t reserved,
    ngx_uint_t parked);


ngx_int_t
ngx_http_background_budget_take(ngx_uint_t first, ngx_uint_t last)
{
    uint64_t                     slot;
    ngx_uint_t                   i;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    for (i = first; i < last && ngx_http_background_life; i++) {
        slot = ngx_http_background_load(&zone->budget[i]);

        if (ngx_http_background_holder(zone, slot) == NULL
            && ngx_http_background_cas(&zone->budget[i], &slot,
                                       (uint64_t) 1 << 48
                                       | ngx_http_background_life))
        {
            return i;
        }
    }

    return NGX_AGAIN;
}


void
ngx_http_background_budget_release(ngx_int_t slot)
{
    uint64_t  word;

    word = (uint64_t) 1 << 48 | ngx_http_background_life;

    (void) ngx_http_background_cas(&ngx_http_background_zone->budget[slot],
                                   &word, 0);
}


void
ngx_http_background_budget_waiting(
    const ngx_http_background_waiting_t *waiting)
{
    ngx_uint_t                     i;
    ngx_http_background_member_t  *member;

    member = ngx_http_background_member;

    if (member == NULL) {
        return;
    }

    ngx_http_background_store(&member->queued, (uint32_t) waiting->queued);

    for (i = 0; i < 2; i++) {
        ngx_http_background_store(&member->ready[i],
                                  (uint32_t) waiting->ready[i]);
        ngx_http_background_store(&member->parked[i],
                                  (uint32_t) waiting->parked[i]);
    }
}


ngx_uint_t
ngx_http_background_budget_ready(ngx_uint_t reserved)
{
    return ngx_http_background_others_wait(reserved, 0);
}


ngx_uint_t
ngx_http_background_budget_wanted(ngx_uint_t reserved)
{
    return ngx_http_background_others_wait(reserved, 1);
}


static ngx_uint_t
ngx_http_background_others_wait(ngx_uint_t reserved, ngx_uint_t parked)
{
    ngx_uint_t                     i, n;
    ngx_http_background_member_t  *member;

    n = ngx_http_background_load(&ngx_http_background_zone->nmembers);

    for (i = 0; i < n; i++) {
        member = &ngx_http_background_zone->members[i];

        if (member == ngx_http_background_member) {
            continue;
        }

        if (ngx_http_background_load(&member->ready[reserved])
            || (parked
                && ngx_http_background_load(&member->parked[reserved])))
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_background_budget_completed(ngx_uint_t n, uint64_t usec)
{
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    (void) ngx_http_background_add(&zone->jobs_completed, n);
    (void) ngx_http_background_add(&zone->jobs_usec, usec);
}
