
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_nameset.h"


#define NGX_HTTP_BACKGROUND_NAMESET_MIN  1024


static ngx_int_t ngx_http_background_nameset_grow(
    ngx_http_background_nameset_t *set, ngx_log_t *log);
static ngx_int_t ngx_http_background_nameset_key(EVP_MD_CTX *ctx,
    ngx_str_t *name, u_char *key);
static int ngx_libc_cdecl ngx_http_background_nameset_cmp(const void *one,
    const void *two);


ngx_int_t
ngx_http_background_nameset_add(ngx_http_background_nameset_t *set,
    EVP_MD_CTX *ctx, ngx_str_t *name, ngx_log_t *log)
{
    u_char  *key;

    if (set->n == NGX_HTTP_BACKGROUND_NAMESET_MAX) {
        return NGX_DECLINED;
    }

    if (set->n == set->size
        && ngx_http_background_nameset_grow(set, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    key = set->keys + set->n * NGX_HTTP_BACKGROUND_NAMESET_KEY;

    if (ngx_http_background_nameset_key(ctx, name, key) != NGX_OK) {
        return NGX_ERROR;
    }

    set->n++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_nameset_grow(ngx_http_background_nameset_t *set,
    ngx_log_t *log)
{
    size_t   size;
    u_char  *keys;

    size = ngx_max(2 * set->size, NGX_HTTP_BACKGROUND_NAMESET_MIN);
    size = ngx_min(size, NGX_HTTP_BACKGROUND_NAMESET_MAX);

    keys = ngx_alloc(size * NGX_HTTP_BACKGROUND_NAMESET_KEY, log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    if (set->n) {
        ngx_memcpy(keys, set->keys, set->n * NGX_HTTP_BACKGROUND_NAMESET_KEY);
        ngx_free(set->keys);
    }

    set->keys = keys;
    set->size = size;

    return NGX_OK;
}


/*
 * computes the digest of all parts that are neither empty nor ".", with "/"
 * after each
 */

static ngx_int_t
ngx_http_background_nameset_key(EVP_MD_CTX *ctx, ngx_str_t *name, u_char *key)
{
    size_t         len;
    u_char        *p, *last, *end, value[EVP_MAX_MD_SIZE];
    unsigned int   n;

    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        return NGX_ERROR;
    }

    last = name->data + name->len;

    for (p = name->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '/');

        if (end == NULL) {
            end = last;
        }

        len = end - p;

        if (len == 0 || (len == 1 && *p == '.')) {
            continue;
        }

        if (EVP_DigestUpdate(ctx, p, len) != 1
            || EVP_DigestUpdate(ctx, "/", 1) != 1)
        {
            return NGX_ERROR;
        }
    }

    if (EVP_DigestFinal_ex(ctx, value, &n) != 1) {
        return NGX_ERROR;
    }

    ngx_memcpy(key, value, NGX_HTTP_BACKGROUND_NAMESET_KEY);

    return NGX_OK;
}


void
ngx_http_background_nameset_sort(ngx_http_background_nameset_t *set)
{
    if (set->n) {
        qsort(set->keys, set->n, NGX_HTTP_BACKGROUND_NAMESET_KEY,
              ngx_http_background_nameset_cmp);
    }
}


ngx_int_t
ngx_http_background_nameset_has(ngx_http_background_nameset_t *set,
    EVP_MD_CTX *ctx, ngx_str_t *name)
{
    u_char  key[NGX_HTTP_BACKGROUND_NAMESET_KEY];

    if (ngx_http_background_nameset_key(ctx, name, key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (set->n == 0
        || bsearch(key, set->keys, set->n, NGX_HTTP_BACKGROUND_NAMESET_KEY,
                   ngx_http_background_nameset_cmp)
           == NULL)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_background_nameset_cmp(const void *one, const void *two)
{
    return ngx_memcmp(one, two, NGX_HTTP_BACKGROUND_NAMESET_KEY);
}


void
ngx_http_background_nameset_destroy(ngx_http_background_nameset_t *set)
{
    if (set->keys) {
        ngx_free(set->keys);
    }

    ngx_memzero(set, sizeof(ngx_http_background_nameset_t));
}
