
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_compress_check.h"
#include "ngx_http_background_tree.h"


#define NGX_HTTP_BACKGROUND_CHECK_BUFFER  65536

/* the output of a step is limited by the buffer */
#define NGX_HTTP_BACKGROUND_CHECK_SLICE   16384


typedef struct {
    ngx_http_background_run_t          *run;
    const ngx_http_background_codec_t  *codec;
    void                               *decoder;
    EVP_MD_CTX                         *ctx;
    int                                 fd;        /* descriptor of the
                                                      source */
    ngx_uint_t                          done;

    u_char                  in[NGX_HTTP_BACKGROUND_CHECK_BUFFER];
    u_char                  out[NGX_HTTP_BACKGROUND_CHECK_BUFFER];
    u_char                  source[NGX_HTTP_BACKGROUND_CHECK_BUFFER];
} ngx_http_background_check_t;


static ngx_int_t ngx_http_background_check_digest(
    ngx_http_background_run_t *run, EVP_MD_CTX *ctx, u_char *buf, int fd);
static ngx_int_t ngx_http_background_check_packed(
    ngx_http_background_check_t *check, int packed);
static ngx_int_t ngx_http_background_check_step(
    ngx_http_background_check_t *check, u_char *in, size_t len);
static ngx_int_t ngx_http_background_check_source(
    ngx_http_background_check_t *check, size_t len);


EVP_MD_CTX *
ngx_http_background_sha256_create(void)
{
    return EVP_MD_CTX_new();
}


ngx_int_t
ngx_http_background_sha256_begin(EVP_MD_CTX *ctx)
{
    return EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_background_sha256_update(EVP_MD_CTX *ctx, u_char *p, size_t len)
{
    return EVP_DigestUpdate(ctx, p, len) == 1 ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_background_sha256_end(EVP_MD_CTX *ctx, u_char *digest)
{
    unsigned int  len;
    u_char        value[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(ctx, value, &len) != 1
        || len != NGX_HTTP_BACKGROUND_TABLE_DIGEST)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(digest, value, len);

    return NGX_OK;
}


void
ngx_http_background_sha256_destroy(EVP_MD_CTX *ctx)
{
    EVP_MD_CTX_free(ctx);
}


ngx_int_t
ngx_http_background_source_compare(ngx_http_background_run_t *run, int fd,
    ngx_file_info_t *fi, const ngx_http_background_source_t *source)
{
    u_char           *buf, digest[NGX_HTTP_BACKGROUND_TABLE_DIGEST];
    ngx_int_t         rc;
    EVP_MD_CTX       *ctx;
    ngx_file_info_t   now;

    if (source->size != fi->st_size) {
        return NGX_DECLINED;
    }

    buf = ngx_alloc(NGX_HTTP_BACKGROUND_CHECK_BUFFER, run->log);
    ctx = ngx_http_background_sha256_create();

    if (buf == NULL || ctx == NULL) {
        rc = NGX_ERROR;
        ngx_set_errno(NGX_ENOMEM);

    } else {
        rc = ngx_http_background_check_digest(run, ctx, buf, fd);
    }

    if (rc == NGX_OK
        && ngx_http_background_sha256_end(ctx, digest) != NGX_OK)
    {
        rc = NGX_ERROR;
        ngx_set_errno(NGX_ENOMEM);
    }

    if (rc == NGX_OK && ngx_fd_info(fd, &now) == NGX_FILE_ERROR) {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK && ngx_http_background_file_changed(fi, &now)) {
        rc = NGX_ERROR;
        ngx_set_errno(EBUSY);
    }

    if (rc == NGX_OK
        && ngx_memcmp(digest, source->digest, sizeof(digest)) != 0)
    {
        rc = NGX_DECLINED;
    }

    ngx_http_background_sha256_destroy(ctx);

    if (buf) {
        ngx_free(buf);
    }

    return rc;
}


static ngx_int_t
ngx_http_background_check_digest(ngx_http_background_run_t *run,
    EVP_MD_CTX *ctx, u_char *buf, int fd)
{
    ssize_t  n;

    if (ngx_http_background_sha256_begin(ctx) != NGX_OK) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    do {
        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        n = read(fd, buf, NGX_HTTP_BACKGROUND_CHECK_BUFFER);

        if (n == -1) {
            return NGX_ERROR;
        }

        if (ngx_http_background_sha256_update(ctx, buf, n) != NGX_OK) {
            ngx_set_errno(NGX_ENOMEM);
            return NGX_ERROR;
        }

        run->result.bytes += n;

    } while (n > 0);

    return NGX_OK;
}


ngx_int_t
ngx_http_background_unpacks(ngx_http_background_run_t *run,
    const ngx_http_background_codec_t *codec, int packed, int fd,
    u_char *digest)
{
    ngx_int_t                     rc;
    ngx_err_t                     err;
    ngx_http_background_check_t  *check;

    check = ngx_alloc(sizeof(ngx_http_background_check_t), run->log);
    if (check == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    check->run = run;
    check->codec = codec;
    check->fd = fd;
    check->done = 0;
    check->decoder = codec->open();
    check->ctx = ngx_http_background_sha256_create();

    if (check->decoder == NULL || check->ctx == NULL
        || ngx_http_background_sha256_begin(check->ctx) != NGX_OK)
    {
        rc = NGX_ERROR;
        err = NGX_ENOMEM;

    } else {
        rc = ngx_http_background_check_packed(check, packed);
        err = ngx_errno;
    }

    if (rc == NGX_OK
        && ngx_http_background_sha256_end(check->ctx, digest) != NGX_OK)
    {
        rc = NGX_ERROR;
        err = NGX_ENOMEM;
    }

    if (check->decoder) {
        codec->close(check->decoder);
    }

    ngx_http_background_sha256_destroy(check->ctx);
    ngx_free(check);

    ngx_set_errno(err);

    return rc;
}


static ngx_int_t
ngx_http_background_check_packed(ngx_http_background_check_t *check,
    int packed)
{
    size_t      size;
    u_char     *p, *last;
    ssize_t     n;
    ngx_int_t   rc;

    for ( ;; ) {
        n = read(packed, check->in, NGX_HTTP_BACKGROUND_CHECK_BUFFER);

        if (n == -1) {
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        last = check->in + n;

        for (p = check->in; p < last; p += size) {
            size = ngx_min(last - p, NGX_HTTP_BACKGROUND_CHECK_SLICE);

            rc = ngx_http_background_check_step(check, p, size);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    if (!check->done) {
        return NGX_DECLINED;
    }

    /* the source must end here, too */

    n = read(check->fd, check->source, 1);

    return (n == -1) ? NGX_ERROR : (n == 0) ? NGX_OK : NGX_DECLINED;
}


/*
 * Returns NGX_DECLINED if there is data after the end: not all clients unpack
 * it.
 */

static ngx_int_t
ngx_http_background_check_step(ngx_http_background_check_t *check, u_char *in,
    size_t len)
{
    ngx_int_t                       rc, match;
    ngx_http_background_codec_io_t  io;

    if (check->done) {
        return NGX_DECLINED;
    }

    io.in = in;
    io.in_last = in + len;

    do {
        if (ngx_http_background_cancelled(check->run)) {
            return NGX_ABORT;
        }

        io.out = check->out;
        io.out_last = check->out + NGX_HTTP_BACKGROUND_CHECK_BUFFER;

        rc = check->codec->unpack(check->decoder, &io);

        if (rc == NGX_ERROR) {
            return NGX_DECLINED;
        }

        match = ngx_http_background_check_source(check, io.out - check->out);

        if (match != NGX_OK) {
            return match;
        }

    } while (rc == NGX_AGAIN);

    if (rc == NGX_DONE) {
        check->done = 1;

        if (io.in < io.in_last) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_check_source(ngx_http_background_check_t *check,
    size_t len)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < len; done += n) {
        n = read(check->fd, check->source + done, len - done);

        if (n == -1) {
            return NGX_ERROR;
        }

        if (n == 0) {
            return NGX_DECLINED;
        }
    }

    check->run->result.bytes += len;

    if (ngx_memcmp(check->source, check->out, len) != 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_background_sha256_update(check->ctx, check->out, len)
        != NGX_OK)
    {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    return NGX_OK;
}
