
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_duty.h"
#include "ngx_http_background_word.h"


static void ngx_http_background_duty_replace(uint64_t *word, uint64_t value);
static void ngx_http_background_duty_flag(ngx_http_background_duty_t *duty,
    uint64_t flag, ngx_uint_t set);


ngx_http_background_duty_t *
ngx_http_background_duty_create(ngx_slab_pool_t *shpool, uint64_t ordered,
    uint64_t fired)
{
    ngx_http_background_duty_t  *duty;

    duty = ngx_slab_calloc(shpool, sizeof(ngx_http_background_duty_t));

    if (duty) {
        duty->ordered = ordered;
        duty->fired = fired;
    }

    return duty;
}


void
ngx_http_background_duty_renew(ngx_http_background_duty_t *duty,
    uint64_t ordered, uint64_t fired)
{
    ngx_http_background_duty_replace(&duty->checked, 0);
    ngx_http_background_duty_replace(&duty->due, 0);
    ngx_http_background_duty_replace(&duty->flags, 0);
    ngx_http_background_duty_replace(&duty->ordered, ordered);
    ngx_http_background_duty_replace(&duty->fired, fired);
}


/* the tag is kept: the last owner may not have exited yet */

static void
ngx_http_background_duty_replace(uint64_t *word, uint64_t value)
{
    uint64_t  old;

    old = ngx_http_background_load(word);

    while (!ngx_http_background_cas(word, &old,
                                    (old & ~NGX_HTTP_BACKGROUND_VALUE)
                                    | ngx_http_background_value(value)))
    {
        /* void */
    }
}


void
ngx_http_background_duty_copy(ngx_http_background_duty_t *duty,
    ngx_http_background_duty_t *from)
{
    duty->checked = ngx_http_background_word_get(&from->checked);
    duty->due = ngx_http_background_word_get(&from->due);
    duty->fired = ngx_http_background_word_get(&from->fired);
    duty->ordered = ngx_http_background_word_get(&from->ordered);
    duty->flags = ngx_http_background_word_get(&from->flags);
    duty->missed = ngx_http_background_load(&from->missed);
    duty->coalesced = ngx_http_background_load(&from->coalesced);
}


ngx_int_t
ngx_http_background_duty_seal(ngx_http_background_duty_t *duty)
{
    if (ngx_http_background_word_seal(&duty->checked,
                                      NGX_HTTP_BACKGROUND_VALUE)
        != NGX_OK
        || ngx_http_background_word_seal(&duty->fired,
                                         NGX_HTTP_BACKGROUND_VALUE)
           != NGX_OK
        || ngx_http_background_word_seal(&duty->ordered,
                                         NGX_HTTP_BACKGROUND_VALUE)
           != NGX_OK
        || ngx_http_background_word_seal(&duty->flags,
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
    uint64_t  flags;

    flags = ngx_http_background_word_get(&duty->flags);

    info->again = (flags & NGX_HTTP_BACKGROUND_DUTY_AGAIN) != 0;
    info->paused = (flags & NGX_HTTP_BACKGROUND_DUTY_PAUSED) != 0;
    info->checked = ngx_http_background_word_get(&duty->checked);
    info->due = ngx_http_background_word_get(&duty->due);
    info->missed = ngx_http_background_load(&duty->missed);
    info->ordered = ngx_http_background_word_get(&duty->ordered);
    info->fired = ngx_http_background_word_get(&duty->fired);
    info->coalesced = ngx_http_background_load(&duty->coalesced);
}


void
ngx_http_background_duty_check(ngx_http_background_duty_t *duty,
    uint64_t checked, uint64_t due)
{
    ngx_http_background_word_set(&duty->checked, checked);
    ngx_http_background_word_set(&duty->due, due);
}


void
ngx_http_background_duty_order(ngx_http_background_duty_t *duty,
    uint64_t ordered)
{
    ngx_http_background_word_set(&duty->ordered, ordered);
}


void
ngx_http_background_duty_fire(ngx_http_background_duty_t *duty, uint64_t fired,
    ngx_uint_t coalesced)
{
    ngx_http_background_word_set(&duty->fired, fired);
    (void) ngx_http_background_add(&duty->coalesced, coalesced);
}


void
ngx_http_background_duty_again(ngx_http_background_duty_t *duty,
    ngx_uint_t again)
{
    ngx_http_background_duty_flag(duty, NGX_HTTP_BACKGROUND_DUTY_AGAIN, again);
}


void
ngx_http_background_duty_pause(ngx_http_background_duty_t *duty,
    ngx_uint_t paused)
{
    ngx_http_background_duty_flag(duty, NGX_HTTP_BACKGROUND_DUTY_PAUSED,
                                  paused);
}


static void
ngx_http_background_duty_flag(ngx_http_background_duty_t *duty, uint64_t flag,
    ngx_uint_t set)
{
    uint64_t  flags;

    flags = ngx_http_background_word_get(&duty->flags);

    ngx_http_background_word_set(&duty->flags,
                                 set ? flags | flag : flags & ~flag);
}


void
ngx_http_background_duty_missed(ngx_http_background_duty_t *duty, ngx_uint_t n)
{
    (void) ngx_http_background_add(&duty->missed, n);
}
