
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The parser of replies.  A reply takes no more memory than "max".  Bytes that
 * are not a valid reply are an error.
 */


#ifndef _NGX_HTTP_BACKGROUND_REDIS_REPLY_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_REDIS_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    ngx_http_background_redis_nil = 0,
    ngx_http_background_redis_string,
    ngx_http_background_redis_status,
    ngx_http_background_redis_error_reply,
    ngx_http_background_redis_integer,
    ngx_http_background_redis_array
} ngx_http_background_redis_type_e;


typedef struct ngx_http_background_redis_reply_s
    ngx_http_background_redis_reply_t;

struct ngx_http_background_redis_reply_s {
    ngx_http_background_redis_type_e       type;
    ngx_str_t                              text;      /* zero-terminated */
    int64_t                                integer;
    ngx_uint_t                             n;
    ngx_http_background_redis_reply_t    **elements;  /* none is NULL */
};


typedef struct ngx_http_background_redis_reader_s
    ngx_http_background_redis_reader_t;


/*
 * create  NULL: no memory
 * feed    adds received data; NGX_ERROR: a reply is too large, or there is no
 *         memory
 * next    NGX_OK: a reply, which is valid until the next call; NGX_AGAIN: the
 *         reply is incomplete; NGX_ERROR: it is invalid.  After an error only
 *         error() and free() may be called
 * error   returns the text of the error
 */
ngx_http_background_redis_reader_t *ngx_http_background_redis_reader_create(
    size_t max, ngx_log_t *log);
ngx_int_t ngx_http_background_redis_reader_feed(
    ngx_http_background_redis_reader_t *reader, u_char *data, size_t len);
ngx_int_t ngx_http_background_redis_reader_next(
    ngx_http_background_redis_reader_t *reader,
    ngx_http_background_redis_reply_t **reply);
const char *ngx_http_background_redis_reader_error(
    ngx_http_background_redis_reader_t *reader);
void ngx_http_background_redis_reader_free(
    ngx_http_background_redis_reader_t *reader);


#endif /* _NGX_HTTP_BACKGROUND_REDIS_REPLY_H_INCLUDED_ */
