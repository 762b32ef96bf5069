
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Hashing files, for "digest" and "verify". */


#ifndef _NGX_HTTP_BACKGROUND_HASH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_HASH_H_INCLUDED_


#include <ngx_http_background.h>
#include <openssl/evp.h>


#define NGX_HTTP_BACKGROUND_HASH_BUFFER  65536


typedef struct {
    const EVP_MD                *md;
    size_t                       limit_rate;
} ngx_http_background_hash_conf_t;


/* a thread's own */

typedef struct {
    ngx_http_background_run_t   *run;
    const EVP_MD                *md;
    EVP_MD_CTX                  *ctx;
    u_char                      *buffer;
    size_t                       size;       /* of the hash, where the algorithm
                                                has several; 0: its own */

    u_char                       value[EVP_MAX_MD_SIZE];
    unsigned int                 len;
    const char                  *fmt;        /* of what failed, with a "%s" for
                                                the path */
    ngx_err_t                    err;
} ngx_http_background_hash_t;


/*
 * Reading the configuration: the parameters of all that hash files, whose
 * configuration, of a type, has a member "hash"; and, when all parameters are
 * read, the defaults.  NGX_ERROR: it was logged.
 */
#define NGX_HTTP_BACKGROUND_HASH_PARAMS(type)                                 \
    { ngx_string("algorithm="), 0, ngx_http_background_hash_algorithm,        \
      offsetof(type, hash.md), NULL },                                        \
                                                                              \
    { ngx_string("limit_rate="), 0, ngx_http_background_conf_rate,            \
      offsetof(type, hash.limit_rate), NULL }

ngx_int_t ngx_http_background_hash_algorithm(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_hash_init_conf(ngx_conf_t *cf,
    ngx_http_background_hash_conf_t *hcf);

/*
 * On a pool thread.  create() returns NULL if there is no memory; what it made
 * goes with the run's pool.  has_size() tells whether OpenSSL makes hashes of
 * that size.  A file's hash, NGX_OK, is in "value"; NGX_ABORT is returned when
 * the run is cancelled.
 */
ngx_http_background_hash_t *ngx_http_background_hash_create(
    ngx_http_background_run_t *run, const EVP_MD *md);
ngx_uint_t ngx_http_background_hash_has_size(ngx_http_background_hash_t *hash,
    size_t size);
ngx_int_t ngx_http_background_hash_file(ngx_http_background_hash_t *hash,
    int fd, ngx_file_info_t *fi, void (*progress)(ngx_http_background_run_t *));


#endif /* _NGX_HTTP_BACKGROUND_HASH_H_INCLUDED_ */
