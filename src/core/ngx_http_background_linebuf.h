
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The lines of a text that is read piece by piece into a buffer.  A line that
 * is too long is left out, whatever its length.
 */


#ifndef _NGX_HTTP_BACKGROUND_LINEBUF_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_LINEBUF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    u_char      *start;
    u_char      *end;
    u_char      *pos;       /* of the next line */
    u_char      *last;      /* of what has been read */
    size_t       max;       /* the longest line */
    ngx_uint_t   number;    /* of the last line */
    ngx_uint_t   eof;       /* nothing is to be read any more */
    ngx_uint_t   skip;      /* what comes is the rest of a line */
} ngx_http_background_linebuf_t;


/*
 * init    the buffer is longer than the longest line
 * next    NGX_OK: a line without its end, in the buffer until the next call;
 *         NGX_DECLINED: the line is too long; NGX_AGAIN: more is to be read,
 *         from "last" on, where there is room for a byte at least; NGX_DONE
 * abort   what has not been told yet never will
 */
void ngx_http_background_linebuf_init(ngx_http_background_linebuf_t *lines,
    u_char *buf, size_t size, size_t max);
ngx_int_t ngx_http_background_linebuf_next(
    ngx_http_background_linebuf_t *lines, ngx_str_t *line);
void ngx_http_background_linebuf_abort(ngx_http_background_linebuf_t *lines);


#endif /* _NGX_HTTP_BACKGROUND_LINEBUF_H_INCLUDED_ */
