
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_status.h"


ngx_buf_t *
ngx_http_background_reserve(ngx_http_background_writer_t *w, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (w->failed) {
        return NULL;
    }

    if (w->last && (size_t) (w->last->buf->end - w->last->buf->last) >= size) {
        return w->last->buf;
    }

    cl = ngx_alloc_chain_link(w->pool);
    b = ngx_create_temp_buf(w->pool,
                            ngx_max(size, 4 * NGX_HTTP_BACKGROUND_WRITE_MAX));

    if (cl == NULL || b == NULL) {
        w->failed = 1;
        return NULL;
    }

    cl->buf = b;
    cl->next = NULL;

    if (w->last) {
        w->last->next = cl;

    } else {
        w->out = cl;
    }

    w->last = cl;

    return b;
}


void ngx_cdecl
ngx_http_background_write(ngx_http_background_writer_t *w, const char *fmt,
    ...)
{
    u_char     *p;
    va_list     args;
    ngx_buf_t  *b;

    b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_WRITE_MAX);
    if (b == NULL) {
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(b->last, b->end, fmt, args);
    va_end(args);

    w->size += p - b->last;
    b->last = p;
}
