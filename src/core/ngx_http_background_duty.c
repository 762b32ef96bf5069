
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_duty.h"
#include "ngx_http_background_word.h"


ngx_http_background_duty_t *
ngx_http_background_duty_create(ngx_slab_pool_t *shpool)
{
    return ngx_slab_calloc(shpool, sizeof(ngx_http_background_duty_t));
}


void
ngx_http_background_duty_copy(ngx_http_background_duty_t *duty,
    ngx_http_background_duty_t *from)
{
    duty->checked = ngx_http_background_word_get(&from->checked);
    duty->due = ngx_http_background_word_get(&from->due);
    duty->missed = ngx_http_background_load(&from->missed);
}


ngx_int_t
ngx_http_background_duty_seal(ngx_http_background_duty_t *duty)
{
    if (ngx_http_background_word_seal(&duty->checked,
                                      NGX_HTTP_BACKGROUND_VALUE)
        != NGX_OK)
    {
        return NGX_AGAIN;
    }

    return ngx_http_background_word_seal(&duty->due,
                                         NGX_HTTP_BACKGROUND_VALUE);
}


void
ngx_http_background_duty_read(ngx_http_background_duty_t *duty,
    ngx_http_background_duty_info_t *info)
{
    info->checked = ngx_http_background_word_get(&duty->checked);
    info->due = ngx_http_background_word_get(&duty->due);
    info->missed = ngx_http_background_load(&duty->missed);
}


void
ngx_http_background_duty_check(ngx_http_background_duty_t *duty,
    uint64_t checked, uint64_t due)
{
    ngx_http_background_word_set(&duty->checked, checked);
    ngx_http_background_word_set(&duty->due, due);
}


void
ngx_http_background_duty_missed(ngx_http_background_duty_t *duty, ngx_uint_t n)
{
    (void) ngx_http_background_add(&duty->missed, n);
}
