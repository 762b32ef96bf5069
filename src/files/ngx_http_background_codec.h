
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the interface to compression libraries */


#ifndef _NGX_HTTP_BACKGROUND_CODEC_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CODEC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_BACKGROUND_CODECS      3

/* length of the longest suffix */
#define NGX_HTTP_BACKGROUND_CODEC_NAME  4


typedef struct {
    u_char                      *in;
    u_char                      *in_last;
    u_char                      *out;
    u_char                      *out_last;
} ngx_http_background_codec_io_t;


/*
 * reset   called before each file; "size" is the size of the file
 * step    returns NGX_OK if all input is consumed; NGX_AGAIN if there is more
 *         output; NGX_DONE at the end of the output, after the last input; or
 *         NGX_ERROR
 * open    prepares decompression of a file; returns NULL if there is no memory
 * unpack  returns NGX_OK if all input is consumed; NGX_AGAIN if there is more
 *         output; NGX_DONE at the end of the compressed data, after which
 *         there may be more input; NGX_ERROR if the data is invalid
 */

typedef struct {
    ngx_str_t                    suffix;
    const char                  *library;
    ngx_int_t                    min;
    ngx_int_t                    max;

    /* NULL: the module was built without the library */
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
