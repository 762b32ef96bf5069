
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Words of the zone, for what lives in it.  A word of a cell is a value of 48
 * bits, and the tag of the worker that owns the cell: "Revocation" in
 * ngx_http_background_zone.h tells why.
 */


#ifndef _NGX_HTTP_BACKGROUND_WORD_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_WORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define ngx_http_background_load(p)                                          \
    __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define ngx_http_background_store(p, v)                                      \
    __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define ngx_http_background_add(p, v)                                        \
    __atomic_add_fetch(p, v, __ATOMIC_ACQ_REL)
#define ngx_http_background_cas(p, old, new)                                 \
    __atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_ACQ_REL,            \
                                __ATOMIC_ACQUIRE)

#define ngx_http_background_value(word)                                      \
    ((word) & NGX_HTTP_BACKGROUND_VALUE)
#define NGX_HTTP_BACKGROUND_VALUE  0xffffffffffff


/*
 * get   the value
 * set   by the owner; nothing happens when it has lost the cell
 * add   for any thread.  "self" is the value of ngx_http_background_zone_self()
 *       when the cycle began: the worker may have been revoked and have joined
 *       again since
 * seal  by who takes the cell: what "mask" keeps of the value is its own then.
 *       NGX_AGAIN: it has been revoked itself
 * tag   of an owner
 */
uint64_t ngx_http_background_word_get(uint64_t *word);
void ngx_http_background_word_set(uint64_t *word, uint64_t value);
void ngx_http_background_word_add(uint64_t *word, uint64_t n, uint64_t self);
ngx_int_t ngx_http_background_word_seal(uint64_t *word, uint64_t mask);
uint64_t ngx_http_background_tag(uint64_t owner);


#endif /* _NGX_HTTP_BACKGROUND_WORD_H_INCLUDED_ */
