
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* A text that is read in pieces into a small buffer. */


#ifndef _FUZZ_LINES_H_INCLUDED_
#define _FUZZ_LINES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <core/ngx_http_background_linebuf.h>

#include "fuzz.h"


typedef struct {
    ngx_http_background_linebuf_t   lines;
    fuzz_input_t                    in;       /* not read yet */
    size_t                          piece;

    const u_char                   *text;     /* the line that is expected */
    const u_char                   *last;
} fuzz_lines_t;


static inline void
fuzz_lines_init(fuzz_lines_t *fl, const uint8_t *data, size_t size)
{
    size_t   max, room;
    u_char  *buf;

    fl->in.data = data;
    fl->in.size = size;

    max = fuzz_number(&fl->in, 31);
    room = max + 1 + fuzz_number(&fl->in, 31);
    fl->piece = 1 + fuzz_number(&fl->in, 63);

    buf = malloc(room);
    fuzz_check(buf != NULL);

    ngx_http_background_linebuf_init(&fl->lines, buf, room, max);

    fl->text = fl->in.data;
    fl->last = fl->in.data + fl->in.size;
}


/* on NGX_AGAIN */

static inline void
fuzz_lines_read(fuzz_lines_t *fl)
{
    size_t  n;

    fuzz_check(fl->lines.last < fl->lines.end && !fl->lines.eof);

    n = fl->lines.end - fl->lines.last;
    n = ngx_min(ngx_min(n, fl->piece), fl->in.size);

    if (n) {
        memcpy(fl->lines.last, fl->in.data, n);
    }

    fl->in.data += n;
    fl->in.size -= n;

    fl->lines.last += n;
    fl->lines.eof = (n == 0);
}


/* the next line of the text, whether it is too long or not; 0: there is none */

static inline ngx_uint_t
fuzz_lines_expect(fuzz_lines_t *fl, ngx_str_t *line)
{
    const u_char  *p;

    if (fl->text == fl->last) {
        return 0;
    }

    p = memchr(fl->text, '\n', fl->last - fl->text);

    line->data = (u_char *) fl->text;
    line->len = (p ? p : fl->last) - fl->text;

    fl->text += line->len + (p != NULL);

    return 1;
}


static inline void
fuzz_lines_free(fuzz_lines_t *fl)
{
    free(fl->lines.start);
}


#endif /* _FUZZ_LINES_H_INCLUDED_ */
