
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Which names a list has.  In memory is a part of a name's SHA-256 digest, so
 * that a name takes the same room whatever its length.  Names are relative; "."
 * and empty parts of them do not matter.
 */


#ifndef _NGX_HTTP_BACKGROUND_NAMESET_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_NAMESET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>


#define NGX_HTTP_BACKGROUND_NAMESET_KEY  16

/* 64 MB */
#define NGX_HTTP_BACKGROUND_NAMESET_MAX  4000000


typedef struct {
    u_char      *keys;
    size_t       n;
    size_t       size;      /* there is room for that many */
} ngx_http_background_nameset_t;


/*
 * A set begins as zeros.
 *
 * add      NGX_DECLINED: there are too many; NGX_ERROR: no memory, or a failure
 *          of OpenSSL
 * sort     before the first has(), after the last add()
 * has      NGX_OK, NGX_DECLINED or, on a failure of OpenSSL, NGX_ERROR; by
 *          several threads, each with a context of its own
 * destroy  an empty set is left
 */
ngx_int_t ngx_http_background_nameset_add(ngx_http_background_nameset_t *set,
    EVP_MD_CTX *ctx, ngx_str_t *name, ngx_log_t *log);
void ngx_http_background_nameset_sort(ngx_http_background_nameset_t *set);
ngx_int_t ngx_http_background_nameset_has(ngx_http_background_nameset_t *set,
    EVP_MD_CTX *ctx, ngx_str_t *name);
void ngx_http_background_nameset_destroy(ngx_http_background_nameset_t *set);


#endif /* _NGX_HTTP_BACKGROUND_NAMESET_H_INCLUDED_ */
