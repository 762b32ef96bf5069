
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_codec.h"

#if (NGX_HTTP_BACKGROUND_GZIP)
#include <zlib.h>
#endif

#if (NGX_HTTP_BACKGROUND_LIBDEFLATE)
#include <libdeflate.h>
#endif

#if (NGX_HTTP_BACKGROUND_BROTLI)
#include <brotli/decode.h>
#include <brotli/encode.h>
#endif

#if (NGX_HTTP_BACKGROUND_ZSTD)
#include <zstd.h>
#endif


#if (NGX_HTTP_BACKGROUND_GZIP)

/* files of at most this size are compressed at once, by libdeflate */
#define NGX_HTTP_BACKGROUND_GZIP_WHOLE  (512 * 1024)


/*
 * "stream" compresses large files, and is made for the first one of them,
 * "compressor" the others, in "in" and "out".
 */

typedef struct {
    ngx_int_t                     level;
    z_stream                     *stream;

#if (NGX_HTTP_BACKGROUND_LIBDEFLATE)
    ngx_uint_t                    whole;     /* this file is */
    struct libdeflate_compressor *compressor;
    u_char                       *in;
    size_t                        in_len;
    u_char                       *out;
    size_t                        out_size;
    size_t                        out_len;   /* 0: not compressed yet */
    size_t                        out_pos;
#endif
} ngx_http_background_gzip_t;


static void
ngx_http_background_gzip_set(z_stream *z, ngx_http_background_codec_io_t *io)
{
    z->next_in = io->in;
    z->avail_in = io->in_last - io->in;
    z->next_out = io->out;
    z->avail_out = io->out_last - io->out;
}


static void
ngx_http_background_gzip_get(z_stream *z, ngx_http_background_codec_io_t *io)
{
    io->in = z->next_in;
    io->out = z->next_out;
}


static z_stream *
ngx_http_background_gzip_stream(ngx_int_t level)
{
    z_stream  *z;

    z = calloc(1, sizeof(z_stream));

    if (z == NULL) {
        return NULL;
    }

    /* 16: with a gzip header, without time and name */

    if (deflateInit2(z, level, Z_DEFLATED, 16 + MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        free(z);
        return NULL;
    }

    return z;
}


static void *
ngx_http_background_gzip_create(ngx_int_t level)
{
    ngx_http_background_gzip_t  *gzip;

    gzip = calloc(1, sizeof(ngx_http_background_gzip_t));

    if (gzip) {
        gzip->level = level;
    }

    return gzip;
}


#if (NGX_HTTP_BACKGROUND_LIBDEFLATE)

static ngx_int_t
ngx_http_background_gzip_whole(ngx_http_background_gzip_t *gzip)
{
    gzip->in_len = 0;
    gzip->out_len = 0;
    gzip->out_pos = 0;

    if (gzip->compressor) {
        return NGX_OK;
    }

    /* each of them may be there from a try that failed */

    if (gzip->in == NULL) {
        gzip->in = malloc(NGX_HTTP_BACKGROUND_GZIP_WHOLE);
    }

    if (gzip->in && gzip->out == NULL) {
        gzip->out_size = libdeflate_gzip_compress_bound(NULL,
                                              NGX_HTTP_BACKGROUND_GZIP_WHOLE);
        gzip->out = malloc(gzip->out_size);
    }

    if (gzip->in && gzip->out) {
        gzip->compressor = libdeflate_alloc_compressor(gzip->level);
    }

    return gzip->compressor ? NGX_OK : NGX_ERROR;
}


/* takes all input first, then gives what has become of it */

static ngx_int_t
ngx_http_background_gzip_whole_step(ngx_http_background_gzip_t *gzip,
    ngx_http_background_codec_io_t *io, ngx_uint_t last)
{
    size_t  n;

    n = io->in_last - io->in;

    if (n > NGX_HTTP_BACKGROUND_GZIP_WHOLE - gzip->in_len) {
        return NGX_ERROR;
    }

    if (n) {
        ngx_memcpy(gzip->in + gzip->in_len, io->in, n);
        gzip->in_len += n;
        io->in = io->in_last;
    }

    if (!last) {
        return NGX_OK;
    }

    if (gzip->out_len == 0) {
        gzip->out_len = libdeflate_gzip_compress(gzip->compressor, gzip->in,
                                                 gzip->in_len, gzip->out,
                                                 gzip->out_size);
        if (gzip->out_len == 0) {
            return NGX_ERROR;
        }
    }

    n = ngx_min(gzip->out_len - gzip->out_pos,
                (size_t) (io->out_last - io->out));

    io->out = ngx_cpymem(io->out, gzip->out + gzip->out_pos, n);
    gzip->out_pos += n;

    return (gzip->out_pos == gzip->out_len) ? NGX_DONE : NGX_AGAIN;
}

#endif


static ngx_int_t
ngx_http_background_gzip_reset(void *ctx, off_t size)
{
    ngx_http_background_gzip_t *gzip = ctx;

#if (NGX_HTTP_BACKGROUND_LIBDEFLATE)

    gzip->whole = (size <= NGX_HTTP_BACKGROUND_GZIP_WHOLE);

    if (gzip->whole) {
        return ngx_http_background_gzip_whole(gzip);
    }

#endif

    if (gzip->stream == NULL) {
        gzip->stream = ngx_http_background_gzip_stream(gzip->level);

        return gzip->stream ? NGX_OK : NGX_ERROR;
    }

    return deflateReset(gzip->stream) == Z_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_background_gzip_step(void *ctx, ngx_http_background_codec_io_t *io,
    ngx_uint_t last)
{
    ngx_http_background_gzip_t *gzip = ctx;

    int        rc;
    z_stream  *z;

#if (NGX_HTTP_BACKGROUND_LIBDEFLATE)

    if (gzip->whole) {
        return ngx_http_background_gzip_whole_step(gzip, io, last);
    }

#endif

    z = gzip->stream;

    ngx_http_background_gzip_set(z, io);

    rc = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);

    ngx_http_background_gzip_get(z, io);

    if (rc == Z_STREAM_END) {
        return NGX_DONE;
    }

    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return NGX_ERROR;
    }

    return (z->avail_out == 0 || last) ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_background_gzip_destroy(void *ctx)
{
    ngx_http_background_gzip_t *gzip = ctx;

    if (gzip->stream) {
        (void) deflateEnd(gzip->stream);
        free(gzip->stream);
    }

#if (NGX_HTTP_BACKGROUND_LIBDEFLATE)

    if (gzip->compressor) {
        libdeflate_free_compressor(gzip->compressor);
    }

    free(gzip->in);
    free(gzip->out);

#endif

    free(gzip);
}


static void *
ngx_http_background_gzip_open(void)
{
    z_stream  *z;

    z = calloc(1, sizeof(z_stream));

    if (z == NULL) {
        return NULL;
    }

    if (inflateInit2(z, 16 + MAX_WBITS) != Z_OK) {
        free(z);
        return NULL;
    }

    return z;
}


static ngx_int_t
ngx_http_background_gzip_unpack(void *ctx, ngx_http_background_codec_io_t *io)
{
    z_stream *z = ctx;

    int  rc;

    ngx_http_background_gzip_set(z, io);

    rc = inflate(z, Z_NO_FLUSH);

    ngx_http_background_gzip_get(z, io);

    if (rc == Z_STREAM_END) {
        return NGX_DONE;
    }

    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return NGX_ERROR;
    }

    return (z->avail_out == 0) ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_background_gzip_close(void *ctx)
{
    (void) inflateEnd(ctx);

    free(ctx);
}

#endif


#if (NGX_HTTP_BACKGROUND_BROTLI)

/*
 * the default block takes up to half a second, in which a job can't be
 * cancelled
 */
#define NGX_HTTP_BACKGROUND_BROTLI_BLOCK  16


/* an encoder can be used for one file only */

typedef struct {
    BrotliEncoderState          *state;
    ngx_int_t                    level;
} ngx_http_background_brotli_t;


/* buffers as the library expects them */

typedef struct {
    size_t                       in_len;
    size_t                       out_len;
    const u_char                *in;
    u_char                      *out;
} ngx_http_background_brotli_io_t;


static void
ngx_http_background_brotli_set(ngx_http_background_brotli_io_t *bio,
    ngx_http_background_codec_io_t *io)
{
    bio->in = io->in;
    bio->in_len = io->in_last - io->in;
    bio->out = io->out;
    bio->out_len = io->out_last - io->out;
}


static void
ngx_http_background_brotli_get(ngx_http_background_brotli_io_t *bio,
    ngx_http_background_codec_io_t *io)
{
    io->in = io->in_last - bio->in_len;
    io->out = bio->out;
}


static void *
ngx_http_background_brotli_create(ngx_int_t level)
{
    ngx_http_background_brotli_t  *b;

    b = calloc(1, sizeof(ngx_http_background_brotli_t));

    if (b) {
        b->level = level;
    }

    return b;
}


static ngx_int_t
ngx_http_background_brotli_reset(void *ctx, off_t size)
{
    ngx_http_background_brotli_t *b = ctx;

    if (b->state) {
        BrotliEncoderDestroyInstance(b->state);
    }

    b->state = BrotliEncoderCreateInstance(NULL, NULL, NULL);

    if (b->state == NULL) {
        return NGX_ERROR;
    }

    if (!BrotliEncoderSetParameter(b->state, BROTLI_PARAM_QUALITY, b->level)
        || !BrotliEncoderSetParameter(b->state, BROTLI_PARAM_LGBLOCK,
                                      NGX_HTTP_BACKGROUND_BROTLI_BLOCK)
        || !BrotliEncoderSetParameter(b->state, BROTLI_PARAM_SIZE_HINT,
                                      ngx_min(size, 1 << 30)))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_brotli_step(void *ctx, ngx_http_background_codec_io_t *io,
    ngx_uint_t last)
{
    ngx_http_background_brotli_t *b = ctx;

    ngx_http_background_brotli_io_t  bio;

    ngx_http_background_brotli_set(&bio, io);

    if (!BrotliEncoderCompressStream(b->state,
                                     last ? BROTLI_OPERATION_FINISH
                                          : BROTLI_OPERATION_PROCESS,
                                     &bio.in_len, &bio.in, &bio.out_len,
                                     &bio.out, NULL))
    {
        return NGX_ERROR;
    }

    ngx_http_background_brotli_get(&bio, io);

    if (BrotliEncoderIsFinished(b->state)) {
        return NGX_DONE;
    }

    return (bio.in_len || last || BrotliEncoderHasMoreOutput(b->state))
           ? NGX_AGAIN
           : NGX_OK;
}


static void
ngx_http_background_brotli_destroy(void *ctx)
{
    ngx_http_background_brotli_t *b = ctx;

    if (b->state) {
        BrotliEncoderDestroyInstance(b->state);
    }

    free(b);
}


static void *
ngx_http_background_brotli_open(void)
{
    return BrotliDecoderCreateInstance(NULL, NULL, NULL);
}


static ngx_int_t
ngx_http_background_brotli_unpack(void *ctx,
    ngx_http_background_codec_io_t *io)
{
    BrotliDecoderResult              rc;
    ngx_http_background_brotli_io_t  bio;

    ngx_http_background_brotli_set(&bio, io);

    rc = BrotliDecoderDecompressStream(ctx, &bio.in_len, &bio.in, &bio.out_len,
                                       &bio.out, NULL);

    ngx_http_background_brotli_get(&bio, io);

    switch (rc) {

    case BROTLI_DECODER_RESULT_SUCCESS:
        return NGX_DONE;

    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
        return NGX_AGAIN;

    case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


static void
ngx_http_background_brotli_close(void *ctx)
{
    BrotliDecoderDestroyInstance(ctx);
}

#endif


#if (NGX_HTTP_BACKGROUND_ZSTD)

/* 8 MB; browsers reject larger windows (RFC 9659) */
#define NGX_HTTP_BACKGROUND_ZSTD_WINDOW  23
#define NGX_HTTP_BACKGROUND_ZSTD_ULTRA   20


static void
ngx_http_background_zstd_set(ZSTD_inBuffer *in, ZSTD_outBuffer *out,
    ngx_http_background_codec_io_t *io)
{
    in->src = io->in;
    in->size = io->in_last - io->in;
    in->pos = 0;

    out->dst = io->out;
    out->size = io->out_last - io->out;
    out->pos = 0;
}


static void *
ngx_http_background_zstd_create(ngx_int_t level)
{
    ZSTD_CCtx  *cctx;

    cctx = ZSTD_createCCtx();

    if (cctx == NULL) {
        return NULL;
    }

    if (ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel,
                                            level))
        || ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1))
        || (level >= NGX_HTTP_BACKGROUND_ZSTD_ULTRA
            && ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_windowLog,
                                        NGX_HTTP_BACKGROUND_ZSTD_WINDOW))))
    {
        ZSTD_freeCCtx(cctx);
        return NULL;
    }

    return cctx;
}


static ngx_int_t
ngx_http_background_zstd_reset(void *ctx, off_t size)
{
    if (ZSTD_isError(ZSTD_CCtx_reset(ctx, ZSTD_reset_session_only))
        || ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(ctx, size)))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_zstd_step(void *ctx, ngx_http_background_codec_io_t *io,
    ngx_uint_t last)
{
    size_t          rc;
    ZSTD_inBuffer   in;
    ZSTD_outBuffer  out;

    ngx_http_background_zstd_set(&in, &out, io);

    rc = ZSTD_compressStream2(ctx, &out, &in,
                              last ? ZSTD_e_end : ZSTD_e_continue);

    if (ZSTD_isError(rc)) {
        return NGX_ERROR;
    }

    io->in += in.pos;
    io->out += out.pos;

    if (last) {
        return (rc == 0) ? NGX_DONE : NGX_AGAIN;
    }

    return (in.pos < in.size) ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_background_zstd_destroy(void *ctx)
{
    (void) ZSTD_freeCCtx(ctx);
}


static void *
ngx_http_background_zstd_open(void)
{
    ZSTD_DCtx  *dctx;

    dctx = ZSTD_createDCtx();

    if (dctx
        && ZSTD_isError(ZSTD_DCtx_setParameter(dctx, ZSTD_d_windowLogMax,
                                        NGX_HTTP_BACKGROUND_ZSTD_WINDOW)))
    {
        (void) ZSTD_freeDCtx(dctx);
        return NULL;
    }

    return dctx;
}


static ngx_int_t
ngx_http_background_zstd_unpack(void *ctx, ngx_http_background_codec_io_t *io)
{
    size_t          rc;
    ZSTD_inBuffer   in;
    ZSTD_outBuffer  out;

    ngx_http_background_zstd_set(&in, &out, io);

    rc = ZSTD_decompressStream(ctx, &out, &in);

    if (ZSTD_isError(rc)) {
        return NGX_ERROR;
    }

    io->in += in.pos;
    io->out += out.pos;

    if (rc == 0) {
        return NGX_DONE;
    }

    return (out.pos == out.size || in.pos < in.size) ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_background_zstd_close(void *ctx)
{
    (void) ZSTD_freeDCtx(ctx);
}

#endif


const ngx_http_background_codec_t
    ngx_http_background_codecs[NGX_HTTP_BACKGROUND_CODECS] =
{
    { ngx_string(".gz"), "zlib", 1, 9,
#if (NGX_HTTP_BACKGROUND_GZIP)
      ngx_http_background_gzip_create,
      ngx_http_background_gzip_reset,
      ngx_http_background_gzip_step,
      ngx_http_background_gzip_destroy,
      ngx_http_background_gzip_open,
      ngx_http_background_gzip_unpack,
      ngx_http_background_gzip_close
#else
      NULL, NULL, NULL, NULL, NULL, NULL, NULL
#endif
    },

    { ngx_string(".br"), "libbrotlienc", 0, 11,
#if (NGX_HTTP_BACKGROUND_BROTLI)
      ngx_http_background_brotli_create,
      ngx_http_background_brotli_reset,
      ngx_http_background_brotli_step,
      ngx_http_background_brotli_destroy,
      ngx_http_background_brotli_open,
      ngx_http_background_brotli_unpack,
      ngx_http_background_brotli_close
#else
      NULL, NULL, NULL, NULL, NULL, NULL, NULL
#endif
    },

    { ngx_string(".zst"), "libzstd", 1, 22,
#if (NGX_HTTP_BACKGROUND_ZSTD)
      ngx_http_background_zstd_create,
      ngx_http_background_zstd_reset,
      ngx_http_background_zstd_step,
      ngx_http_background_zstd_destroy,
      ngx_http_background_zstd_open,
      ngx_http_background_zstd_unpack,
      ngx_http_background_zstd_close
#else
      NULL, NULL, NULL, NULL, NULL, NULL, NULL
#endif
    }
};
