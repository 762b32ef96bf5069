
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* a URI of the list of "requests": its encoding and its parts */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <requests/ngx_http_background_fetch.h>

#include "fuzz.h"


static void fuzz_encoded(ngx_str_t *from, ngx_str_t *to, ngx_uint_t blanks);
static ngx_uint_t fuzz_invalid(u_char c, ngx_uint_t args);
static void fuzz_path(ngx_str_t *path, size_t max);
static void fuzz_within(ngx_str_t *part, ngx_str_t *whole);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_log_t            log;
    ngx_str_t            text, uri, again;
    ngx_pool_t          *pool;
    ngx_uint_t           n, merge_slashes, blanks;
    fuzz_input_t         in;
    ngx_connection_t     c;
    ngx_http_request_t   r;

    in.data = data;
    in.size = size;

    n = fuzz_number(&in, 3);
    merge_slashes = n & 1;
    blanks = n >> 1;

    /* a line of a list has no line feed */
    text.data = fuzz_text(&in, '\n', 0, &text.len);

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_memzero(&c, sizeof(ngx_connection_t));
    ngx_memzero(&r, sizeof(ngx_http_request_t));

    /* the pool is so small that each allocation is a call of malloc() */

    pool = ngx_create_pool(sizeof(ngx_pool_t), &log);
    fuzz_check(pool != NULL);

    c.log = &log;
    r.connection = &c;
    r.pool = pool;

    uri = text;
    fuzz_check(ngx_http_background_fetch_encode_uri(pool, &uri, blanks)
               == NGX_OK);
    fuzz_encoded(&text, &uri, blanks);

    again = uri;
    fuzz_check(ngx_http_background_fetch_encode_uri(pool, &again, blanks)
               == NGX_OK);
    fuzz_check(again.len == uri.len);
    fuzz_check(memcmp(again.data, uri.data, uri.len) == 0);

    if (ngx_http_background_fetch_parse_uri(&r, &uri, merge_slashes)
        == NGX_OK)
    {
        /* nginx reads this byte, which sanitizers do not see */
        fuzz_check(*r.uri_end == ' ');

        fuzz_check(r.unparsed_uri.len == uri.len);
        fuzz_check(memcmp(r.unparsed_uri.data, uri.data, uri.len) == 0);

        fuzz_path(&r.uri, uri.len);
        fuzz_within(&r.args, &r.unparsed_uri);
        fuzz_within(&r.exten, r.complex_uri || r.quoted_uri ? &r.uri
                                                         : &r.unparsed_uri);

    } else {
        /* no part that was not set */
        fuzz_check(r.uri.len == 0);
    }

    ngx_destroy_pool(pool);
    free(text.data);

    return 0;
}


/* the bytes are the same, except for those that are not allowed in a URI */

static void
fuzz_encoded(ngx_str_t *from, ngx_str_t *to, ngx_uint_t blanks)
{
    u_char       c, *p, *last;
    char         code[4];
    size_t       i;
    ngx_uint_t   args;

    args = 0;
    p = to->data;
    last = p + to->len;

    for (i = 0; i < from->len; i++) {
        c = from->data[i];

        if (c == '?') {
            args = 1;
        }

        if (!fuzz_invalid(c, args)
            || (!blanks && (c <= ' ' || c == 0x7f)))
        {
            fuzz_check(p < last && *p == c);
            p++;
            continue;
        }

        snprintf(code, sizeof(code), "%%%02X", c);
        fuzz_check(last - p >= 3 && memcmp(p, code, 3) == 0);
        p += 3;
    }

    fuzz_check(p == last);
}


static ngx_uint_t
fuzz_invalid(u_char c, ngx_uint_t args)
{
    return c <= ' ' || c >= 0x7f
           || strchr(args ? "\"<>" : "\"<>\\^`{}", c) != NULL;
}


/* the path is absolute and does not lead above the root */

static void
fuzz_path(ngx_str_t *path, size_t max)
{
    size_t  i;

    fuzz_check(path->len > 0 && path->len <= max);
    fuzz_check(path->data[0] == '/');
    fuzz_check(memchr(path->data, '\0', path->len) == NULL);

    for (i = 0; i + 3 <= path->len; i++) {
        if (memcmp(path->data + i, "/..", 3) == 0) {
            fuzz_check(i + 3 < path->len && path->data[i + 3] != '/');
        }
    }
}


static void
fuzz_within(ngx_str_t *part, ngx_str_t *whole)
{
    if (part->len) {
        fuzz_check(part->data >= whole->data);
        fuzz_check(part->data + part->len <= whole->data + whole->len);
    }
}
