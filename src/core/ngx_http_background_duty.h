
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The scheduled times and the orders that the owner of a cell has handled.
 * They are in the zone, so that the next owner continues from there.
 */


#ifndef _NGX_HTTP_BACKGROUND_DUTY_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_DUTY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_BACKGROUND_DUTY_AGAIN   1
#define NGX_HTTP_BACKGROUND_DUTY_PAUSED  2


/* in the zone, private */

typedef struct {
    uint64_t    checked;      /* a word */
    uint64_t    due;          /* a word */
    uint64_t    fired;        /* a word */
    uint64_t    ordered;      /* a word */
    uint64_t    flags;        /* a word */
    uint64_t    missed;
    uint64_t    coalesced;
} ngx_http_background_duty_t;


/* seconds since the epoch; 0: none */

typedef struct {
    uint64_t    checked;      /* times until this one are handled */
    uint64_t    due;          /* the next time */
    uint64_t    again;        /* 1: a cycle waits, or was cancelled, and starts
                                 in the next owner */
    uint64_t    paused;       /* 1: the owner has paused the task */
    uint64_t    missed;       /* times not started in time */

    /* numbers of handled orders */
    uint64_t    ordered;
    uint64_t    fired;
    uint64_t    coalesced;    /* orders that shared a cycle */
} ngx_http_background_duty_info_t;


/*
 * create   called by the master; NULL: no memory.  Orders up to these numbers
 *          count as handled
 * renew    called by the master for a cell that no worker of the configuration
 *          before had: what came meanwhile counts as handled
 * copy     copies from a zone of another size
 * seal     called by the worker that takes the cell
 *
 * read     called by any process
 *
 * The following functions are called by the owner of the cell:
 *
 * check    times until "checked" are handled
 * order    orders to run until this number are handled
 * fire     ends of tasks until this number are handled
 * again    whether a cycle of the schedules starts without being due: 0 or 1
 * pause    whether the task is paused: 0 or 1
 * missed   counts missed times
 */
ngx_http_background_duty_t *ngx_http_background_duty_create(
    ngx_slab_pool_t *shpool, uint64_t ordered, uint64_t fired);
void ngx_http_background_duty_renew(ngx_http_background_duty_t *duty,
    uint64_t ordered, uint64_t fired);
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
    ngx_uint_t again);
void ngx_http_background_duty_pause(ngx_http_background_duty_t *duty,
    ngx_uint_t paused);
void ngx_http_background_duty_missed(ngx_http_background_duty_t *duty,
    ngx_uint_t n);


#endif /* _NGX_HTTP_BACKGROUND_DUTY_H_INCLUDED_ */
