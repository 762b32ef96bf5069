
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What of a task's schedules, and of what others have told it, the owner of a
 * cell has dealt with: in the zone, so that the next owner goes on from there.
 */


#ifndef _NGX_HTTP_BACKGROUND_DUTY_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_DUTY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* in the zone, private */

typedef struct {
    uint64_t    checked;      /* a word */
    uint64_t    due;          /* a word */
    uint64_t    fired;        /* a word */
    uint64_t    ordered;      /* a word */
    uint64_t    again;        /* a word */
    uint64_t    missed;
    uint64_t    coalesced;
} ngx_http_background_duty_t;


/* seconds since the epoch; 0: none */

typedef struct {
    uint64_t    checked;      /* what was due until then is dealt with */
    uint64_t    due;          /* the next by the schedules */
    uint64_t    again;        /* 1: an exit has cancelled what was started */
    uint64_t    missed;       /* that were not started in time */

    /* as the numbers of the orders */
    uint64_t    ordered;
    uint64_t    fired;
    uint64_t    coalesced;    /* of these that had no cycle of their own */
} ngx_http_background_duty_info_t;


/*
 * create   in the master; NULL: no memory.  Nothing that was ordered before is
 *          for it
 * copy     from a zone of another size
 * seal     by who takes the cell
 *
 * read     by any process
 * check    by the owner of the cell, as are those below
 * order    a cycle that was ordered starts
 * fire     one that comes after a task starts, for all until that number
 * again    whether a cycle of the schedules is to start without being due
 */
ngx_http_background_duty_t *ngx_http_background_duty_create(
    ngx_slab_pool_t *shpool, uint64_t ordered, uint64_t fired);
void ngx_http_background_duty_copy(ngx_http_background_duty_t *duty,
    ngx_http_background_duty_t *from);
ngx_int_t ngx_http_background_duty_seal(ngx_http_background_duty_t *duty);

void ngx_http_background_duty_read(ngx_http_background_duty_t *duty,
    ngx_http_background_duty_info_t *info);
void ngx_http_background_duty_check(ngx_http_background_duty_t *duty,
    uint64_t checked, uint64_t due);
void ngx_http_background_duty_order(ngx_http_background_duty_t *duty,
    uint64_t ordered);
void ngx_http_background_duty_fire(ngx_http_background_duty_t *duty,
    uint64_t fired, ngx_uint_t coalesced);
void ngx_http_background_duty_again(ngx_http_background_duty_t *duty,
    uint64_t again);
void ngx_http_background_duty_missed(ngx_http_background_duty_t *duty,
    ngx_uint_t n);


#endif /* _NGX_HTTP_BACKGROUND_DUTY_H_INCLUDED_ */
