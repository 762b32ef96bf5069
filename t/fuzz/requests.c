
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The URIs of a list: lines other than blank lines, comments, and too long
 * lines.
 */


#include "lines.h"

#include <requests/ngx_http_background_fetch.h>


static ngx_int_t fuzz_expect(fuzz_lines_t *fl, ngx_str_t *uri);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t     rc;
    ngx_str_t     line, uri, expected;
    fuzz_lines_t  fl;

    fuzz_lines_init(&fl, data, size);

    do {
        rc = ngx_http_background_linebuf_next(&fl.lines, &line);

        if (rc == NGX_AGAIN) {
            fuzz_lines_read(&fl);
            continue;
        }

        if (rc == NGX_OK
            && ngx_http_background_fetch_line(&line, &uri) != NGX_OK)
        {
            continue;
        }

        fuzz_check(rc == fuzz_expect(&fl, &expected));

        if (rc == NGX_OK) {
            fuzz_check(uri.len == expected.len);
            fuzz_check(memcmp(uri.data, expected.data, uri.len) == 0);
        }

    } while (rc != NGX_DONE);

    fuzz_lines_free(&fl);

    return 0;
}


static ngx_int_t
fuzz_expect(fuzz_lines_t *fl, ngx_str_t *uri)
{
    size_t  len;

    while (fuzz_lines_expect(fl, uri)) {

        if (uri->len > fl->lines.max) {
            return NGX_DECLINED;
        }

        for (len = 0; len < uri->len && memchr(" \t", uri->data[len], 2);
             len++)
        {
            /* void */
        }

        uri->data += len;
        uri->len -= len;

        while (uri->len && memchr(" \t\r", uri->data[uri->len - 1], 3)) {
            uri->len--;
        }

        if (uri->len && uri->data[0] != '#') {
            return NGX_OK;
        }
    }

    return NGX_DONE;
}
