
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Checks by the content whether a compressed file was made of its source.
 * Called on pool threads.
 */


#ifndef _NGX_HTTP_BACKGROUND_COMPRESS_CHECK_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_COMPRESS_CHECK_H_INCLUDED_


#include <ngx_http_background.h>
#include <openssl/evp.h>

#include "ngx_http_background_codec.h"
#include "ngx_http_background_compress_table.h"


/*
 * sha256   SHA-256 of a source that the caller reads: begin, update, end, each
 *          returns NGX_OK or NGX_ERROR.  create() returns NULL if there is no
 *          memory
 * compare  returns NGX_OK if the content of the file has the digest,
 *          NGX_DECLINED otherwise
 * unpacks  returns NGX_OK and sets the digest if the compressed file unpacks
 *          to the other file, NGX_DECLINED otherwise
 * altered  whether the content of the file may have changed
 *
 * compare() and unpacks() return NGX_ERROR, with the error in ngx_errno, if a
 * file can't be read or has changed meanwhile, and NGX_ABORT if the run is
 * cancelled.
 */
EVP_MD_CTX *ngx_http_background_sha256_create(void);
ngx_int_t ngx_http_background_sha256_begin(EVP_MD_CTX *ctx);
ngx_int_t ngx_http_background_sha256_update(EVP_MD_CTX *ctx, u_char *p,
    size_t len);
ngx_int_t ngx_http_background_sha256_end(EVP_MD_CTX *ctx, u_char *digest);
void ngx_http_background_sha256_destroy(EVP_MD_CTX *ctx);

ngx_int_t ngx_http_background_source_compare(ngx_http_background_run_t *run,
    int fd, ngx_file_info_t *fi, const ngx_http_background_source_t *source);
ngx_int_t ngx_http_background_unpacks(ngx_http_background_run_t *run,
    const ngx_http_background_codec_t *codec, int packed, int fd,
    u_char *digest);


#endif /* _NGX_HTTP_BACKGROUND_COMPRESS_CHECK_H_INCLUDED_ */
