
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What "compress" needs of the compression libraries. */


#ifndef _NGX_HTTP_BACKGROUND_CODEC_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CODEC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_BACKGROUND_CODECS      3

/* the longest suffix */
#define NGX_HTTP_BACKGROUND_CODEC_NAME  4


typedef struct {
    u_char                      *in;
    u_char                      *in_last;
    u_char                      *out;
    u_char                      *out_last;
} ngx_http_background_codec_io_t;


/*
 * reset    before each file, whose size is known
 * step     NGX_OK: all input is taken; NGX_AGAIN: there is more output;
 *          NGX_DONE: after the last input, that was all; or NGX_ERROR
 * open     for unpacking one file; NULL: no memory
 * unpack   NGX_OK: all input is taken; NGX_AGAIN: there is more output;
 *          NGX_DONE: the end, behind which there may be input; NGX_ERROR: it is
 *          of no such form
 */

typedef struct {
    ngx_str_t                    suffix;
    const char                  *library;
    ngx_int_t                    min;
    ngx_int_t                    max;

    /* NULL: built without the library */
    void                      *(*create)(ngx_int_t level);
    ngx_int_t                  (*reset)(void *ctx, off_t size);
    ngx_int_t                  (*step)(void *ctx,
                                       ngx_http_background_codec_io_t *io,
                                       ngx_uint_t last);
    void                       (*destroy)(void *ctx);

    void                      *(*open)(void);
    ngx_int_t                  (*unpack)(void *ctx,
                                         ngx_http_background_codec_io_t *io);
    void                       (*close)(void *ctx);
} ngx_http_background_codec_t;


extern const ngx_http_background_codec_t
    ngx_http_background_codecs[NGX_HTTP_BACKGROUND_CODECS];


#endif /* _NGX_HTTP_BACKGROUND_CODEC_H_INCLUDED_ */
