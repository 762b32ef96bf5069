
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Splits a text that is read into a buffer piece by piece into lines.  Lines
 * that are too long are skipped.
 */


#ifndef _NGX_HTTP_BACKGROUND_LINEBUF_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_LINEBUF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    u_char      *start;
    u_char      *end;
    u_char      *pos;       /* start of the next line */
    u_char      *last;      /* end of the data in the buffer */
    size_t       max;       /* length of the longest line */
    ngx_uint_t   number;    /* number of the last line */
    ngx_uint_t   eof;       /* all data has been read */
    ngx_uint_t   skip;      /* the data begins in a line that is skipped */
} ngx_http_background_linebuf_t;


/*
 * init   the buffer must be longer than the longest line
 * next   returns NGX_OK with a line without its end, valid until the next
 *        call; NGX_DECLINED if the line is too long; NGX_AGAIN if more data
 *        must be read to "last", where there is room for at least one byte;
 *        NGX_DONE at the end
 * abort  drops the data that was not returned yet
 */
void ngx_http_background_linebuf_init(ngx_http_background_linebuf_t *lines,
    u_char *buf, size_t size, size_t max);
ngx_int_t ngx_http_background_linebuf_next(
    ngx_http_background_linebuf_t *lines, ngx_str_t *line);
void ngx_http_background_linebuf_abort(ngx_http_background_linebuf_t *lines);


#endif /* _NGX_HTTP_BACKGROUND_LINEBUF_H_INCLUDED_ */
