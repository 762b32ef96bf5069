
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* A URI of the list of "requests". */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <requests/ngx_http_background_fetch.h>

#include "fuzz.h"


static void fuzz_path(ngx_str_t *path, size_t max);
static void fuzz_within(ngx_str_t *part, ngx_str_t *whole);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_log_t            log;
    ngx_str_t            uri;
    ngx_pool_t          *pool;
    ngx_uint_t           merge_slashes;
    fuzz_input_t         in;
    ngx_connection_t     c;
    ngx_http_request_t   r;

    in.data = data;
    in.size = size;

    merge_slashes = fuzz_number(&in, 1);

    /* no line of a list has that */
    uri.data = fuzz_text(&in, '\n', 0, &uri.len);

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_memzero(&c, sizeof(ngx_connection_t));
    ngx_memzero(&r, sizeof(ngx_http_request_t));

    /* so small a pool that each allocation is one of the system's */

    pool = ngx_create_pool(sizeof(ngx_pool_t), &log);
    fuzz_check(pool != NULL);

    c.log = &log;
    r.connection = &c;
    r.pool = pool;

    if (ngx_http_background_fetch_parse_uri(&r, &uri, merge_slashes)
        == NGX_OK)
    {
        /* nginx's parser, which no sanitizer may see, has looked at that */
        fuzz_check(*r.uri_end == ' ');

        fuzz_check(r.unparsed_uri.len == uri.len);
        fuzz_check(memcmp(r.unparsed_uri.data, uri.data, uri.len) == 0);

        fuzz_path(&r.uri, uri.len);
        fuzz_within(&r.args, &r.unparsed_uri);
        fuzz_within(&r.exten, r.complex_uri || r.quoted_uri ? &r.uri
                                                         : &r.unparsed_uri);
    }

    ngx_destroy_pool(pool);
    free(uri.data);

    return 0;
}


/* absolute, and leads to nowhere above */

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
