
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Words that change by compare-and-swap of a value with the owner's tag. */


#include "ngx_http_background_zone_layout.h"


uint64_t
ngx_http_background_word_get(uint64_t *word)
{
    return ngx_http_background_value(ngx_http_background_load(word));
}


void
ngx_http_background_word_set(uint64_t *word, uint64_t value)
{
    uint64_t  old, tag;

    old = ngx_http_background_load(word);
    tag = ngx_http_background_tag(ngx_http_background_self);

    while (old >> 48 == tag
           && !ngx_http_background_cas(word, &old,
                                       tag << 48
                                       | ngx_http_background_value(value)))
    {
        /* void */
    }
}


void
ngx_http_background_word_add(uint64_t *word, uint64_t n, uint64_t self)
{
    uint64_t  old, tag;

    old = ngx_http_background_load(word);
    tag = ngx_http_background_tag(self);

    while (old >> 48 == tag
           && !ngx_http_background_cas(word, &old,
                                       tag << 48
                                       | ngx_http_background_value(old + n)))
    {
        /* void */
    }
}


ngx_int_t
ngx_http_background_word_seal(uint64_t *word, uint64_t mask)
{
    uint64_t  old, new;

    do {
        old = ngx_http_background_load(word);

        if (ngx_http_background_zone_revoked()) {
            return NGX_AGAIN;
        }

        new = ngx_http_background_tag(ngx_http_background_self) << 48
              | (old & mask);

    } while (!ngx_http_background_cas(word, &old, new));

    return NGX_OK;
}


/*
 * The tag has the low 5 bits of the epoch.  That is enough, as a worker learns
 * of its revocation long before it was revoked 32 times.
 */

uint64_t
ngx_http_background_tag(uint64_t owner)
{
    return (owner >> 16 & 0x1f) << 11 | (owner & 0x7ff);
}
