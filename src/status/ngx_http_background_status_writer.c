
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_status.h"


/* size of a block of text, and how many free blocks a worker keeps: 2 MB */
#define NGX_HTTP_BACKGROUND_BLOCK   (32768 - 256)
#define NGX_HTTP_BACKGROUND_BLOCKS  64


typedef struct ngx_http_background_block_s  ngx_http_background_block_t;

struct ngx_http_background_block_s {
    ngx_chain_t                   chain;      /* must be first */
    ngx_buf_t                     buf;
    ngx_http_background_block_t  *next;       /* the next free block */
    u_char                        data[NGX_HTTP_BACKGROUND_BLOCK];
};


typedef struct {
    ngx_http_background_block_t  *free;
    ngx_uint_t                    n;
} ngx_http_background_blocks_t;


/* the part of a time that changes once a day, such as "2026-11-25T" */

typedef struct {
    uint64_t    day;
    size_t      len;
    u_char      text[32];
} ngx_http_background_date_t;


static const char  ngx_http_background_digits[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";


static ngx_http_background_block_t *ngx_http_background_block_get(
    ngx_log_t *log);
static void ngx_http_background_block_free(ngx_http_background_block_t *block);


static ngx_http_background_blocks_t  ngx_http_background_blocks;


ngx_buf_t *
ngx_http_background_reserve(ngx_http_background_writer_t *w, size_t size)
{
    ngx_buf_t                    *b;
    ngx_http_background_block_t  *block;

    if (w->failed) {
        return NULL;
    }

    if (w->last && (size_t) (w->last->buf->end - w->last->buf->last) >= size) {
        return w->last->buf;
    }

    block = NULL;

    if (size <= NGX_HTTP_BACKGROUND_BLOCK) {
        block = ngx_http_background_block_get(w->pool->log);
    }

    if (block == NULL) {
        w->failed = 1;
        return NULL;
    }

    b = &block->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = block->data;
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + NGX_HTTP_BACKGROUND_BLOCK;
    b->temporary = 1;

    ngx_http_background_append(w, &block->chain, b);

    return b;
}


void
ngx_http_background_append(ngx_http_background_writer_t *w, ngx_chain_t *cl,
    ngx_buf_t *b)
{
    cl->buf = b;
    cl->next = NULL;

    if (w->last) {
        w->last->next = cl;

    } else {
        w->out = cl;
    }

    w->last = cl;
    w->n++;
}


void
ngx_http_background_join(ngx_http_background_writer_t *w,
    ngx_http_background_writer_t *other)
{
    if (other->out) {
        w->last->next = other->out;
        w->last = other->last;
    }

    w->n += other->n;
    w->size += other->size;

    other->out = NULL;
    other->last = NULL;
}


void
ngx_http_background_release(ngx_http_background_writer_t *w)
{
    ngx_chain_t  *cl, *next;

    for (cl = w->out; cl; cl = next) {
        next = cl->next;

        if (cl->buf->temporary) {
            ngx_http_background_block_free((ngx_http_background_block_t *) cl);
        }
    }

    w->out = NULL;
    w->last = NULL;
}


static ngx_http_background_block_t *
ngx_http_background_block_get(ngx_log_t *log)
{
    ngx_http_background_block_t  *block;

    block = ngx_http_background_blocks.free;

    if (block == NULL) {
        return ngx_alloc(sizeof(ngx_http_background_block_t), log);
    }

    ngx_http_background_blocks.free = block->next;
    ngx_http_background_blocks.n--;

    return block;
}


static void
ngx_http_background_block_free(ngx_http_background_block_t *block)
{
    if (ngx_http_background_blocks.n == NGX_HTTP_BACKGROUND_BLOCKS) {
        ngx_free(block);
        return;
    }

    block->next = ngx_http_background_blocks.free;

    ngx_http_background_blocks.free = block;
    ngx_http_background_blocks.n++;
}


void
ngx_http_background_wrote(ngx_http_background_writer_t *w, u_char *p)
{
    ngx_buf_t  *b;

    b = w->last->buf;

    w->size += p - b->last;
    b->last = p;
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

    ngx_http_background_wrote(w, p);
}


u_char *
ngx_http_background_put_number(u_char *p, uint64_t n)
{
    u_char  *q, buf[NGX_INT64_LEN];

    if (n < 10) {
        *p++ = (u_char) ('0' + n);
        return p;
    }

    q = buf + NGX_INT64_LEN;

    do {
        q -= 2;
        ngx_memcpy(q, &ngx_http_background_digits[n % 100 * 2], 2);
        n /= 100;
    } while (n >= 10);

    if (n) {
        *--q = (u_char) ('0' + n);
    }

    return ngx_cpymem(p, q, buf + NGX_INT64_LEN - q);
}


u_char *
ngx_http_background_put_thousandths(u_char *p, uint64_t n)
{
    p = ngx_http_background_put_number(p, n / 1000);
    n %= 1000;

    *p++ = '.';
    *p++ = (u_char) ('0' + n / 100);

    return ngx_cpymem(p, &ngx_http_background_digits[n % 100 * 2], 2);
}


u_char *
ngx_http_background_put_time(u_char *p, uint64_t at)
{
    ngx_tm_t                     tm;
    uint64_t                     sec;
    ngx_uint_t                   n, i;
    ngx_http_background_date_t  *date;

    /* usually today and tomorrow */
    static ngx_http_background_date_t  dates[2];

    sec = at / 1000;
    date = &dates[sec / 86400 % 2];

    if (date->len == 0 || date->day != sec / 86400) {
        ngx_gmtime(sec, &tm);

        date->day = sec / 86400;
        date->len = ngx_snprintf(date->text, sizeof(date->text),
                                 "%4d-%02d-%02dT", tm.ngx_tm_year,
                                 tm.ngx_tm_mon, tm.ngx_tm_mday)
                    - date->text;
    }

    p = ngx_cpymem(p, date->text, date->len);

    for (i = 3600; i; i /= 60) {
        n = sec / i % (i == 3600 ? 24 : 60);

        p = ngx_cpymem(p, &ngx_http_background_digits[n * 2], 2);
        *p++ = (i == 1) ? '.' : ':';
    }

    n = at % 1000;

    *p++ = (u_char) ('0' + n / 100);
    p = ngx_cpymem(p, &ngx_http_background_digits[n % 100 * 2], 2);
    *p++ = 'Z';

    return p;
}
