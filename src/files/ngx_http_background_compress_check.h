
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What tells, by the content, whether a file that "compress" finds is made of
 * its source.  For pool threads.
 */


#ifndef _NGX_HTTP_BACKGROUND_COMPRESS_CHECK_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_COMPRESS_CHECK_H_INCLUDED_


#include <ngx_http_background.h>
#include <openssl/evp.h>

#include "ngx_http_background_codec.h"
#include "ngx_http_background_compress_table.h"


/*
 * sha256   of a source that is read by the caller: begin, update, end, each
 *          NGX_OK or NGX_ERROR; create() returns NULL if there is no memory
 * compare  NGX_OK: the file's content has the digest; NGX_DECLINED: it has not
 * unpacks  NGX_OK: the packed file unpacks to the other one, whose digest is
 *          set; NGX_DECLINED: it does not
 * altered  whether it may have another content
 *
 * The two that read return NGX_ERROR, with the error in ngx_errno, where a file
 * can't be read or has changed meanwhile; NGX_ABORT: the run is cancelled.
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
ngx_uint_t ngx_http_background_file_altered(ngx_file_info_t *before,
    ngx_file_info_t *after);


#endif /* _NGX_HTTP_BACKGROUND_COMPRESS_CHECK_H_INCLUDED_ */
