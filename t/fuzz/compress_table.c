
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The list of "compress", parsed in any pieces: its contents are within the
 * limits, and are the same after it was written and parsed again.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <files/ngx_http_background_compress_table.h>

#include "fuzz.h"


/* the length of a run that one byte stands for, to get long lines */
#define FUZZ_RUN    (NGX_HTTP_BACKGROUND_TABLE_PATH / 4)
#define FUZZ_RUNS   12
#define FUZZ_SLASH  1
#define FUZZ_X      2


static uint8_t *fuzz_expand(fuzz_input_t *in, size_t *len);
static ngx_uint_t fuzz_count(const uint8_t *p, const uint8_t *last);
static void fuzz_made(ngx_http_background_made_t *made);
static void fuzz_again(ngx_http_background_made_t *made,
    ngx_http_background_stamp_t *stamp);
static ngx_uint_t fuzz_same(ngx_http_background_stamp_t *a,
    ngx_http_background_stamp_t *b);


static ngx_http_background_table_t  fuzz_table, fuzz_copy;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t                     *text, *p;
    size_t                       piece, n;
    ngx_int_t                    rc;
    ngx_log_t                    log;
    ngx_str_t                    header;
    fuzz_input_t                 in;
    ngx_http_background_made_t  *made;

    in.data = data;
    in.size = size;

    piece = 1 + 32 * fuzz_number(&in, 255);
    text = fuzz_expand(&in, &size);

    memset(&log, 0, sizeof(ngx_log_t));

    fuzz_check(ngx_http_background_table_init(&fuzz_table, &log) == NGX_OK);
    fuzz_check(ngx_http_background_table_init(&fuzz_copy, &log) == NGX_OK);

    rc = NGX_OK;

    for (p = text; rc == NGX_OK && p < text + size; p += n) {
        n = ngx_min(piece, (size_t) (text + size - p));
        rc = ngx_http_background_table_parse(&fuzz_table, p, n);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_background_table_end(&fuzz_table);
    }

    if (rc == NGX_DECLINED) {
        fuzz_check(fuzz_table.error != NULL);

    } else {
        fuzz_check(rc == ((size && text[size - 1] != '\n') ? NGX_AGAIN
                                                           : NGX_OK));
        fuzz_check(fuzz_table.lines == fuzz_count(text, text + size));
    }

    ngx_str_set(&header, NGX_HTTP_BACKGROUND_TABLE_HEADER);

    fuzz_check(ngx_http_background_table_parse(&fuzz_copy, header.data,
                                               header.len)
               == NGX_OK);

    made = NULL;

    while ((made = ngx_http_background_table_next(&fuzz_table, made))) {
        fuzz_made(made);
    }

    fuzz_check(ngx_http_background_table_end(&fuzz_copy) == NGX_OK);

    ngx_http_background_table_destroy(&fuzz_table);
    ngx_http_background_table_destroy(&fuzz_copy);

    free(text);

    return 0;
}


static uint8_t *
fuzz_expand(fuzz_input_t *in, size_t *len)
{
    size_t    i, n;
    uint8_t  *text, *p, ch;

    n = 0;

    for (i = 0; i < in->size; i++) {
        n += (in->data[i] == FUZZ_SLASH || in->data[i] == FUZZ_X);
    }

    text = malloc(in->size + ngx_min(n, FUZZ_RUNS) * FUZZ_RUN);
    fuzz_check(text != NULL || in->size == 0);

    p = text;
    n = 0;

    for (i = 0; i < in->size; i++) {
        ch = in->data[i];

        if ((ch == FUZZ_SLASH || ch == FUZZ_X) && n < FUZZ_RUNS) {
            memset(p, ch == FUZZ_X ? 'x' : '\\', FUZZ_RUN);
            p += FUZZ_RUN;
            n++;

        } else {
            *p++ = ch;
        }
    }

    *len = p - text;

    return text;
}


/* counts complete lines other than comments and the first line */

static ngx_uint_t
fuzz_count(const uint8_t *p, const uint8_t *last)
{
    ngx_uint_t      n;
    const uint8_t  *end;

    n = 0;

    while (p < last && (end = memchr(p, '\n', last - p))) {
        n += (*p != '#');
        p = end + 1;
    }

    return n;
}


static void
fuzz_made(ngx_http_background_made_t *made)
{
    ngx_str_t                   *path;
    ngx_http_background_made_t  *copy;

    path = &made->sn.str;

    fuzz_check(path->len > 0 && path->len < NGX_HTTP_BACKGROUND_TABLE_PATH);
    fuzz_check(strlen((char *) path->data) == path->len);
    fuzz_check(made->made != NULL || made->poor != NULL
               || made->other != NULL);
    fuzz_check(ngx_http_background_table_find(&fuzz_table, path) == made);
    fuzz_check(ngx_http_background_table_find(&fuzz_copy, path) == NULL);

    fuzz_again(made, made->made);
    fuzz_again(made, made->poor);
    fuzz_again(made, made->other);

    copy = ngx_http_background_table_find(&fuzz_copy, path);

    fuzz_check(copy != NULL);
    fuzz_check(fuzz_same(made->made, copy->made));
    fuzz_check(fuzz_same(made->poor, copy->poor));
    fuzz_check(fuzz_same(made->other, copy->other));
}


/* the oldest first */

static void
fuzz_again(ngx_http_background_made_t *made,
    ngx_http_background_stamp_t *stamp)
{
    u_char  *last;

    static u_char  line[NGX_HTTP_BACKGROUND_TABLE_LINE];

    if (stamp == NULL) {
        return;
    }

    fuzz_again(made, stamp->next);

    last = ngx_http_background_table_format(line, stamp, made);

    fuzz_check(last <= line + sizeof(line));
    fuzz_check(memchr(line, '\n', last - line) == last - 1);
    fuzz_check(ngx_http_background_table_parse(&fuzz_copy, line, last - line)
               == NGX_OK);
}


static ngx_uint_t
fuzz_same(ngx_http_background_stamp_t *a, ngx_http_background_stamp_t *b)
{
    while (a && b && a->sign == b->sign && a->size == b->size
           && a->sec == b->sec && a->nsec == b->nsec
           && a->source.known == b->source.known
           && a->source.size == b->source.size
           && a->source.inode == b->source.inode
           && a->source.sec == b->source.sec
           && a->source.nsec == b->source.nsec
           && memcmp(a->source.digest, b->source.digest,
                     sizeof(a->source.digest)) == 0)
    {
        a = a->next;
        b = b->next;
    }

    return a == NULL && b == NULL;
}
