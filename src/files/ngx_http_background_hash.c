
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_hash.h"
#include "ngx_http_background_tree.h"

#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)
#include <openssl/core_names.h>
#include <openssl/params.h>
#endif


static void ngx_http_background_hash_cleanup(void *data);
static ngx_uint_t ngx_http_background_hash_sizes(const EVP_MD *md);
static int ngx_http_background_hash_start(ngx_http_background_hash_t *hash);
static ngx_int_t ngx_http_background_hash_unchanged(
    ngx_http_background_hash_t *hash, int fd, ngx_file_info_t *before);


#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

static void
ngx_http_background_hash_algorithm_cleanup(void *data)
{
    EVP_MD_free(data);
}


/* without EVP_MD_fetch() OpenSSL would look up the algorithm for each file */

static const EVP_MD *
ngx_http_background_hash_lookup(ngx_conf_t *cf, ngx_str_t *name)
{
    EVP_MD              *md;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    md = EVP_MD_fetch(NULL, (char *) name->data, NULL);
    if (md == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_background_hash_algorithm_cleanup;
    cln->data = md;

    return md;
}

#else

static const EVP_MD *
ngx_http_background_hash_lookup(ngx_conf_t *cf, ngx_str_t *name)
{
    return EVP_get_digestbyname((char *) name->data);
}

#endif


ngx_int_t
ngx_http_background_hash_algorithm(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    const EVP_MD **mdp = p;

    ngx_str_t     *value;
    const EVP_MD  *md;

    md = ngx_http_background_hash_lookup(cf, &arg->value);

    /* algorithms of variable length have no default */

    if (md == NULL || EVP_MD_size(md) <= 0) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown algorithm \"%V\" in \"%V\" directive, "
                           "it must be a digest of OpenSSL",
                           &arg->value, &value[0]);
        return NGX_ERROR;
    }

    *mdp = md;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_hash_init_conf(ngx_conf_t *cf,
    ngx_http_background_hash_conf_t *hcf)
{
    ngx_http_background_arg_t  arg;

    if (hcf->md) {
        return NGX_OK;
    }

    ngx_str_set(&arg.value, "sha256");

    return ngx_http_background_hash_algorithm(cf, &arg, &hcf->md);
}


ngx_http_background_hash_t *
ngx_http_background_hash_create(ngx_http_background_run_t *run,
    const EVP_MD *md)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_background_hash_t  *hash;

    cln = ngx_pool_cleanup_add(run->pool, sizeof(ngx_http_background_hash_t));

    if (cln == NULL) {
        return NULL;
    }

    hash = cln->data;
    ngx_memzero(hash, sizeof(ngx_http_background_hash_t));

    hash->run = run;
    hash->md = md;

    hash->buffer = ngx_palloc(run->pool, NGX_HTTP_BACKGROUND_HASH_BUFFER);
    hash->ctx = EVP_MD_CTX_new();

    cln->handler = ngx_http_background_hash_cleanup;

    return (hash->buffer && hash->ctx) ? hash : NULL;
}


static void
ngx_http_background_hash_cleanup(void *data)
{
    ngx_http_background_hash_t *hash = data;

    EVP_MD_CTX_free(hash->ctx);
}


ngx_uint_t
ngx_http_background_hash_has_size(ngx_http_background_hash_t *hash,
    size_t size)
{
    return size == (size_t) EVP_MD_size(hash->md)
           || ngx_http_background_hash_sizes(hash->md);
}


#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

static ngx_uint_t
ngx_http_background_hash_sizes(const EVP_MD *md)
{
    return OSSL_PARAM_locate_const(EVP_MD_settable_ctx_params(md),
                                   OSSL_DIGEST_PARAM_SIZE)
           != NULL;
}


static int
ngx_http_background_hash_start(ngx_http_background_hash_t *hash)
{
    OSSL_PARAM  params[2];

    if (hash->size == 0 || !ngx_http_background_hash_sizes(hash->md)) {
        return EVP_DigestInit_ex(hash->ctx, hash->md, NULL);
    }

    params[0] = OSSL_PARAM_construct_size_t(OSSL_DIGEST_PARAM_SIZE,
                                            &hash->size);
    params[1] = OSSL_PARAM_construct_end();

    return EVP_DigestInit_ex2(hash->ctx, hash->md, params);
}

#else

static ngx_uint_t
ngx_http_background_hash_sizes(const EVP_MD *md)
{
    return 0;
}


static int
ngx_http_background_hash_start(ngx_http_background_hash_t *hash)
{
    return EVP_DigestInit_ex(hash->ctx, hash->md, NULL);
}

#endif


ngx_int_t
ngx_http_background_hash_file(ngx_http_background_hash_t *hash, int fd,
    ngx_file_info_t *fi, void (*progress)(ngx_http_background_run_t *))
{
    off_t                       size;
    ssize_t                     n;
    ngx_http_background_run_t  *run;

    run = hash->run;
    hash->err = 0;
    size = 0;

    if (ngx_http_background_hash_start(hash) != 1) {
        hash->fmt = "EVP_DigestInit_ex() %s failed";
        return NGX_ERROR;
    }

    do {
        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        n = read(fd, hash->buffer, NGX_HTTP_BACKGROUND_HASH_BUFFER);

        if (n == -1) {
            hash->fmt = "read() %s failed";
            hash->err = ngx_errno;
            return NGX_ERROR;
        }

        if (EVP_DigestUpdate(hash->ctx, hash->buffer, n) != 1) {
            hash->fmt = "EVP_DigestUpdate() %s failed";
            return NGX_ERROR;
        }

        run->result.bytes += n;
        size += n;

        progress(run);

        /*
         * the size is checked in each step, as the end of a growing file may
         * never be reached
         */

        if ((n == 0 || size != ngx_file_size(fi))
            && ngx_http_background_hash_unchanged(hash, fd, fi) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } while (n > 0);

    if (EVP_DigestFinal_ex(hash->ctx, hash->value, &hash->len) != 1) {
        hash->fmt = "EVP_DigestFinal_ex() %s failed";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_hash_unchanged(ngx_http_background_hash_t *hash, int fd,
    ngx_file_info_t *before)
{
    ngx_file_info_t  after;

    if (ngx_fd_info(fd, &after) == NGX_FILE_ERROR) {
        hash->fmt = ngx_fd_info_n " %s failed";
        hash->err = ngx_errno;
        return NGX_ERROR;
    }

    if (ngx_http_background_file_changed(before, &after)) {
        hash->fmt = "%s changed while it was read";
        return NGX_ERROR;
    }

    return NGX_OK;
}
