
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Orders for a task, in the zone: of an operator, and of tasks that it comes
 * "after".  Any worker gives orders by incrementing numbers; the owner of a
 * cell stores the numbers that it has handled in its duty.
 */


#ifndef _NGX_HTTP_BACKGROUND_ORDERS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_ORDERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* ends of cycles that workers may write at the same time */
#define NGX_HTTP_BACKGROUND_ENDS           3

#define NGX_HTTP_BACKGROUND_END_NAME_LEN   64
#define NGX_HTTP_BACKGROUND_END_ERROR_LEN  512


/* the end of a cycle; the first two members are private */

typedef struct {
    uint32_t                         crc;        /* of the members below */
    uint32_t                         failed;
    uint64_t                         number;
    uint32_t                         name_len;
    uint32_t                         error_len;
    u_char                           name[NGX_HTTP_BACKGROUND_END_NAME_LEN];
    u_char                           error[NGX_HTTP_BACKGROUND_END_ERROR_LEN];
} ngx_http_background_told_t;


/* in the zone, private */

typedef struct {
    uint32_t                         paused;
    uint32_t                         alarm;      /* the last reported health,
                                                    1: unhealthy */
    uint32_t                         shared;     /* "paused" plus 1, as another
                                                    zone has it; 0: not known */
    uint32_t                         elsewhere;  /* 1: a worker of another zone
                                                    has the task */
    uint64_t                         runs;
    uint64_t                         cancels;
    uint64_t                         fires;
    uint64_t                         written;
    ngx_http_background_told_t      *told;       /* NULL: no "after" */
} ngx_http_background_orders_t;


typedef struct {
    ngx_uint_t                       paused;
    ngx_uint_t                       elsewhere;
    uint64_t                         runs;
    uint64_t                         cancels;
    uint64_t                         fires;
} ngx_http_background_orders_info_t;


/*
 * create   called by the master; NULL: no memory
 * follow   called by the master if the task has "after"; "from" is that of a
 *          zone of another size, or NULL.  NGX_ERROR: no memory
 * copy     copies the numbers from a zone of another size
 * free     frees also the memory of follow()
 *
 * read     reads the numbers, in any process
 * told     reads the newest end of a cycle; NGX_DECLINED: none can be read
 *
 * pause    NGX_DECLINED: the task is paused, or not paused, already
 * run      orders one more cycle
 * cancel   orders to cancel all cycles
 * fire     a cycle of a task that this one comes "after" has ended
 * alarm    called by the worker that has recorded a cycle of the task; NGX_OK:
 *          the health has changed, and no other worker has reported it
 *
 * The following functions are called by the owner of the cell:
 *
 * share    returns whether the task is paused; workers of another zone are told
 * leave    whether a worker of another zone has the task
 * adopt    whether the task is paused in the other zone; an order given here
 *          since "share" stays valid
 */
ngx_http_background_orders_t *ngx_http_background_orders_create(
    ngx_slab_pool_t *shpool);
ngx_int_t ngx_http_background_orders_follow(ngx_slab_pool_t *shpool,
    ngx_http_background_orders_t *orders, ngx_http_background_orders_t *from);
void ngx_http_background_orders_copy(ngx_http_background_orders_t *orders,
    ngx_http_background_orders_t *from);
void ngx_http_background_orders_free(ngx_slab_pool_t *shpool,
    ngx_http_background_orders_t *orders);

void ngx_http_background_orders_read(ngx_http_background_orders_t *orders,
    ngx_http_background_orders_info_t *info);
ngx_int_t ngx_http_background_orders_told(ngx_http_background_orders_t *orders,
    ngx_http_background_told_t *told);

ngx_int_t ngx_http_background_orders_pause(
    ngx_http_background_orders_t *orders, ngx_uint_t paused);
void ngx_http_background_orders_run(ngx_http_background_orders_t *orders);
void ngx_http_background_orders_cancel(ngx_http_background_orders_t *orders);
void ngx_http_background_orders_fire(ngx_http_background_orders_t *orders,
    const ngx_str_t *task, const ngx_str_t *error, ngx_uint_t failed);
ngx_int_t ngx_http_background_orders_alarm(
    ngx_http_background_orders_t *orders, ngx_uint_t unhealthy);
ngx_uint_t ngx_http_background_orders_share(
    ngx_http_background_orders_t *orders);
void ngx_http_background_orders_leave(ngx_http_background_orders_t *orders,
    ngx_uint_t elsewhere);
void ngx_http_background_orders_adopt(ngx_http_background_orders_t *orders,
    ngx_uint_t paused);


#endif /* _NGX_HTTP_BACKGROUND_ORDERS_H_INCLUDED_ */
