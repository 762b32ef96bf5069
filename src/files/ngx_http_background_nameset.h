
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The set of names in a list.  It has a part of the SHA-256 digest of each
 * name, so the memory does not depend on the length of names.  Names are
 * relative; "." and empty parts are ignored.
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
    size_t       size;      /* number of names that fit into the allocated
                               memory */
} ngx_http_background_nameset_t;


/*
 * A set must be zeroed before use.
 *
 * add      returns NGX_DECLINED if there are too many names, or NGX_ERROR if
 *          there is no memory or OpenSSL has failed
 * sort     called after the last add() and before the first has()
 * has      returns NGX_OK, NGX_DECLINED, or NGX_ERROR if OpenSSL has failed;
 *          may be called by several threads, each with its own context
 * destroy  leaves an empty set
 */
ngx_int_t ngx_http_background_nameset_add(ngx_http_background_nameset_t *set,
    EVP_MD_CTX *ctx, ngx_str_t *name, ngx_log_t *log);
void ngx_http_background_nameset_sort(ngx_http_background_nameset_t *set);
ngx_int_t ngx_http_background_nameset_has(ngx_http_background_nameset_t *set,
    EVP_MD_CTX *ctx, ngx_str_t *name);
void ngx_http_background_nameset_destroy(ngx_http_background_nameset_t *set);


#endif /* _NGX_HTTP_BACKGROUND_NAMESET_H_INCLUDED_ */
