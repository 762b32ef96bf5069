
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* hashes of files, for "digest" and "verify" */


#ifndef _NGX_HTTP_BACKGROUND_HASH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_HASH_H_INCLUDED_


#include <ngx_http_background.h>
#include <openssl/evp.h>


#define NGX_HTTP_BACKGROUND_HASH_BUFFER  65536


typedef struct {
    const EVP_MD                *md;
    size_t                       limit_rate;
} ngx_http_background_hash_conf_t;


/* used by one thread */

typedef struct {
    ngx_http_background_run_t   *run;
    const EVP_MD                *md;
    EVP_MD_CTX                  *ctx;
    u_char                      *buffer;
    size_t                       size;       /* length of the hash, if the
                                                algorithm has several; 0: the
                                                default */

    u_char                       value[EVP_MAX_MD_SIZE];
    unsigned int                 len;
    const char                  *fmt;        /* error text, with "%s" for the
                                                path */
    ngx_err_t                    err;
} ngx_http_background_hash_t;


/*
 * Configuration: the parameters of all operations that hash files; the
 * structure "type" must have the field "hash".  init_conf() sets the defaults
 * when all parameters are read.  On NGX_ERROR the error was logged.
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
 * Called on a pool thread.  create() returns NULL if there is no memory; the
 * structure is freed with the pool of the run.  has_size() tells whether
 * OpenSSL supports hashes of that length.  file() returns NGX_OK with the hash
 * in "value", NGX_ERROR with the error in "fmt" and "err", or NGX_ABORT if the
 * run is cancelled.
 */
ngx_http_background_hash_t *ngx_http_background_hash_create(
    ngx_http_background_run_t *run, const EVP_MD *md);
ngx_uint_t ngx_http_background_hash_has_size(ngx_http_background_hash_t *hash,
    size_t size);
ngx_int_t ngx_http_background_hash_file(ngx_http_background_hash_t *hash,
    int fd, ngx_file_info_t *fi, void (*progress)(ngx_http_background_run_t *));


#endif /* _NGX_HTTP_BACKGROUND_HASH_H_INCLUDED_ */
