
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_orders.h"
#include "ngx_http_background_word.h"


static uint32_t ngx_http_background_told_crc(ngx_http_background_told_t *told);


ngx_http_background_orders_t *
ngx_http_background_orders_create(ngx_slab_pool_t *shpool)
{
    return ngx_slab_calloc(shpool, sizeof(ngx_http_background_orders_t));
}


ngx_int_t
ngx_http_background_orders_follow(ngx_slab_pool_t *shpool,
    ngx_http_background_orders_t *orders, ngx_http_background_orders_t *from)
{
    size_t                       size;
    ngx_http_background_told_t  *told;

    if (orders->told) {
        return NGX_OK;
    }

    size = NGX_HTTP_BACKGROUND_ENDS * sizeof(ngx_http_background_told_t);

    told = ngx_slab_calloc(shpool, size);
    if (told == NULL) {
        return NGX_ERROR;
    }

    if (from && from->told) {

        /* an entry that is written meanwhile has a wrong CRC */

        ngx_memcpy(told, from->told, size);

        /* "written" must not be less than the number of a copied entry */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);

        orders->written = ngx_http_background_load(&from->written);
    }

    ngx_http_background_store(&orders->told, told);

    return NGX_OK;
}


/* old workers may have the task still: their orders are kept, not dropped */

void
ngx_http_background_orders_copy(ngx_http_background_orders_t *orders,
    ngx_http_background_orders_t *from)
{
    orders->paused = ngx_http_background_load(&from->paused);
    orders->alarm = ngx_http_background_load(&from->alarm);
    orders->shared = ngx_http_background_load(&from->shared);
    orders->elsewhere = 1;
    orders->runs = ngx_http_background_load(&from->runs);
    orders->cancels = ngx_http_background_load(&from->cancels);
    orders->fires = ngx_http_background_load(&from->fires);
}


void
ngx_http_background_orders_free(ngx_slab_pool_t *shpool,
    ngx_http_background_orders_t *orders)
{
    if (orders->told) {
        ngx_slab_free(shpool, orders->told);
    }

    ngx_slab_free(shpool, orders);
}


void
ngx_http_background_orders_read(ngx_http_background_orders_t *orders,
    ngx_http_background_orders_info_t *info)
{
    info->paused = ngx_http_background_load(&orders->paused);
    info->elsewhere = ngx_http_background_load(&orders->elsewhere);
    info->runs = ngx_http_background_load(&orders->runs);
    info->cancels = ngx_http_background_load(&orders->cancels);
    info->fires = ngx_http_background_load(&orders->fires);
}


/* skips an entry with another checksum, which is not written completely */

ngx_int_t
ngx_http_background_orders_told(ngx_http_background_orders_t *orders,
    ngx_http_background_told_t *told)
{
    ngx_uint_t                   i, found;
    ngx_http_background_told_t  *all, copy;

    all = ngx_http_background_load(&orders->told);

    if (all == NULL) {
        return NGX_DECLINED;
    }

    found = 0;

    for (i = 0; i < NGX_HTTP_BACKGROUND_ENDS; i++) {
        copy = all[i];

        if (copy.number == 0
            || copy.crc != ngx_http_background_told_crc(&copy)
            || copy.name_len > NGX_HTTP_BACKGROUND_END_NAME_LEN
            || copy.error_len > NGX_HTTP_BACKGROUND_END_ERROR_LEN
            || (found && copy.number < told->number))
        {
            continue;
        }

        *told = copy;
        found = 1;
    }

    return found ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_background_orders_pause(ngx_http_background_orders_t *orders,
    ngx_uint_t paused)
{
    uint32_t  old;

    old = !paused;

    return ngx_http_background_cas(&orders->paused, &old, (uint32_t) paused)
           ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_background_orders_run(ngx_http_background_orders_t *orders)
{
    (void) ngx_http_background_add(&orders->runs, 1);
}


void
ngx_http_background_orders_cancel(ngx_http_background_orders_t *orders)
{
    (void) ngx_http_background_add(&orders->cancels, 1);
}


void
ngx_http_background_orders_fire(ngx_http_background_orders_t *orders,
    const ngx_str_t *task, const ngx_str_t *error, ngx_uint_t failed)
{
    ngx_http_background_told_t  *all, told;

    all = ngx_http_background_load(&orders->told);

    if (all == NULL) {
        return;
    }

    ngx_memzero(&told, sizeof(ngx_http_background_told_t));

    told.number = ngx_http_background_add(&orders->written, 1);
    told.failed = (uint32_t) failed;
    told.name_len = ngx_min(task->len, NGX_HTTP_BACKGROUND_END_NAME_LEN);
    told.error_len = ngx_min(error->len, NGX_HTTP_BACKGROUND_END_ERROR_LEN);

    ngx_memcpy(told.name, task->data, told.name_len);

    if (told.error_len) {
        ngx_memcpy(told.error, error->data, told.error_len);
    }

    told.crc = ngx_http_background_told_crc(&told);

    all[told.number % NGX_HTTP_BACKGROUND_ENDS] = told;

    (void) ngx_http_background_add(&orders->fires, 1);
}


ngx_int_t
ngx_http_background_orders_alarm(ngx_http_background_orders_t *orders,
    ngx_uint_t unhealthy)
{
    uint32_t  old;

    old = !unhealthy;

    return ngx_http_background_cas(&orders->alarm, &old, (uint32_t) unhealthy)
           ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_http_background_orders_share(ngx_http_background_orders_t *orders)
{
    uint32_t  paused;

    paused = ngx_http_background_load(&orders->paused);
    ngx_http_background_store(&orders->shared, paused + 1);

    return paused;
}


void
ngx_http_background_orders_leave(ngx_http_background_orders_t *orders,
    ngx_uint_t elsewhere)
{
    ngx_http_background_store(&orders->elsewhere, (uint32_t) elsewhere);
}


/* an order that was given in this zone since then stays valid */

void
ngx_http_background_orders_adopt(ngx_http_background_orders_t *orders,
    ngx_uint_t paused)
{
    if (ngx_http_background_load(&orders->shared) != paused + 1) {
        ngx_http_background_store(&orders->shared, (uint32_t) paused + 1);
        ngx_http_background_store(&orders->paused, (uint32_t) paused);
    }
}


static uint32_t
ngx_http_background_told_crc(ngx_http_background_told_t *told)
{
    return ngx_crc32_long((u_char *) &told->failed,
                          sizeof(ngx_http_background_told_t)
                          - offsetof(ngx_http_background_told_t, failed));
}
