
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Named locks, in the zone: only one of the tasks with the same "lock" has a
 * cycle under way.  The lock of a dead worker is free.
 */


#ifndef _NGX_HTTP_BACKGROUND_LOCK_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_LOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_BACKGROUND_LOCK_LEN  64


/* in the zone, private */

typedef struct ngx_http_background_lock_s  ngx_http_background_lock_t;

struct ngx_http_background_lock_s {
    ngx_http_background_lock_t      *next;
    uint64_t                         generation; /* the last one with it */
    uint64_t                         holder;
    uint64_t                         waiter;     /* the next holder */
    uint64_t                         waited;     /* its last attempt, ms */
    uint32_t                         name_len;
    u_char                           name[NGX_HTTP_BACKGROUND_LOCK_LEN];
};


/*
 * take     NGX_OK, or NGX_BUSY.  A caller that tries again, at least once a
 *          second, gets the lock before callers that have tried later.
 *          "waiter" identifies the caller
 * release  called when the cycle is over
 */
ngx_int_t ngx_http_background_lock_take(ngx_http_background_lock_t *lock,
    uint64_t waiter);
void ngx_http_background_lock_release(ngx_http_background_lock_t *lock);


#endif /* _NGX_HTTP_BACKGROUND_LOCK_H_INCLUDED_ */
