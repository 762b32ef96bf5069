
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What a task is told by others, in the zone: by an operator, and by tasks that
 * it comes after.  Any worker tells; the owner of a cell looks at numbers that
 * only grow, and keeps in its duty what it has done of them.
 */


#ifndef _NGX_HTTP_BACKGROUND_ORDERS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_ORDERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* of what a task comes after, so many may be told at the same time */
#define NGX_HTTP_BACKGROUND_ENDS           3

#define NGX_HTTP_BACKGROUND_END_NAME_LEN   64
#define NGX_HTTP_BACKGROUND_END_ERROR_LEN  512


/* the end of a cycle; the first two members are private */

typedef struct {
    uint32_t                         crc;        /* of what follows */
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
    uint32_t                         alarm;      /* it was unhealthy when that
                                                    was told last */
    uint64_t                         runs;
    uint64_t                         cancels;
    uint64_t                         fires;
    uint64_t                         written;
    ngx_http_background_told_t      *told;       /* NULL: it comes after none */
} ngx_http_background_orders_t;


typedef struct {
    ngx_uint_t                       paused;
    uint64_t                         runs;
    uint64_t                         cancels;
    uint64_t                         fires;
} ngx_http_background_orders_info_t;


/*
 * create   in the master; NULL: no memory
 * follow   in the master: there are tasks that it comes after.  NGX_ERROR: no
 *          memory
 * copy     from a zone of another size
 * free     with what follow() has allocated
 *
 * read     the state, by any process
 * told     the newest end that was told; NGX_DECLINED: it can't be read
 *
 * pause    NGX_DECLINED: it is so already
 * run      one more cycle is wanted
 * cancel   all that is under way is to stop
 * fire     a task that it comes after has ended a cycle
 * alarm    of the task itself, by who has recorded a cycle: NGX_OK if it is
 *          the one that finds the health changed, once
 */
ngx_http_background_orders_t *ngx_http_background_orders_create(
    ngx_slab_pool_t *shpool);
ngx_int_t ngx_http_background_orders_follow(ngx_slab_pool_t *shpool,
    ngx_http_background_orders_t *orders);
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


#endif /* _NGX_HTTP_BACKGROUND_ORDERS_H_INCLUDED_ */
