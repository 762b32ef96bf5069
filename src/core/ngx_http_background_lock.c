
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Locks with names. */


#include "ngx_http_background_zone_layout.h"


/* a worker that waits for a lock tries it more often, in milliseconds */
#define NGX_HTTP_BACKGROUND_WAITS    1000


/* the lock is held by a process, so a revoked worker keeps it */

ngx_int_t
ngx_http_background_lock_take(ngx_http_background_lock_t *lock,
    uint64_t waiter)
{
    uint64_t    first, holder, waited;
    ngx_uint_t  waits;

    if (ngx_http_background_life == 0) {
        return NGX_BUSY;
    }

    first = ngx_http_background_load(&lock->waiter);
    waited = ngx_http_background_load(&lock->waited);
    holder = ngx_http_background_load(&lock->holder);

    waits = first && ngx_current_msec - ngx_min(waited, ngx_current_msec)
                     < NGX_HTTP_BACKGROUND_WAITS;

    if (!waits || first == waiter) {

        if (ngx_http_background_holder(ngx_http_background_zone, holder)
            == NULL
            && ngx_http_background_cas(&lock->holder, &holder,
                                       (uint64_t) 1 << 48
                                       | ngx_http_background_life))
        {
            (void) ngx_http_background_cas(&lock->waiter, &first, 0);
            return NGX_OK;
        }

        if (ngx_http_background_cas(&lock->waiter, &first, waiter)) {
            ngx_http_background_store(&lock->waited, ngx_current_msec);
        }
    }

    return NGX_BUSY;
}


void
ngx_http_background_lock_release(ngx_http_background_lock_t *lock)
{
    uint64_t  word;

    word = (uint64_t) 1 << 48 | ngx_http_background_life;

    (void) ngx_http_background_cas(&lock->holder, &word, 0);
}
