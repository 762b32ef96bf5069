
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_linebuf.h"


void
ngx_http_background_linebuf_init(ngx_http_background_linebuf_t *lines,
    u_char *buf, size_t size, size_t max)
{
    ngx_memzero(lines, sizeof(ngx_http_background_linebuf_t));

    lines->start = buf;
    lines->end = buf + size;
    lines->pos = buf;
    lines->last = buf;
    lines->max = max;
}


ngx_int_t
ngx_http_background_linebuf_next(ngx_http_background_linebuf_t *lines,
    ngx_str_t *line)
{
    u_char     *p;
    ngx_int_t   rc;

    p = ngx_strlchr(lines->pos, lines->last, LF);

    if (p == NULL && !lines->eof) {

        if ((size_t) (lines->last - lines->pos) > lines->max) {
            lines->skip = 1;
            lines->pos = lines->last;
        }

        lines->last = ngx_movemem(lines->start, lines->pos,
                                  lines->last - lines->pos);
        lines->pos = lines->start;

        return NGX_AGAIN;
    }

    if (p == NULL) {
        p = lines->last;

        if (p == lines->pos && !lines->skip) {
            return NGX_DONE;
        }
    }

    line->data = lines->pos;
    line->len = p - lines->pos;

    lines->pos = (p == lines->last) ? p : p + 1;
    lines->number++;

    rc = (lines->skip || line->len > lines->max) ? NGX_DECLINED : NGX_OK;

    lines->skip = 0;

    return rc;
}


void
ngx_http_background_linebuf_abort(ngx_http_background_linebuf_t *lines)
{
    lines->pos = lines->last;
    lines->eof = 1;
    lines->skip = 0;
}
