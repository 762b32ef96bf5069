
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The lines of a list, as for "verify": they do not depend on the sizes of the
 * buffer and of the pieces.
 */


#include "lines.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t     rc;
    ngx_str_t     line, expected;
    ngx_uint_t    number;
    fuzz_lines_t  fl;

    fuzz_lines_init(&fl, data, size);

    number = 0;

    for ( ;; ) {
        rc = ngx_http_background_linebuf_next(&fl.lines, &line);

        if (rc == NGX_AGAIN) {
            fuzz_lines_read(&fl);
            continue;
        }

        if (rc == NGX_DONE) {
            break;
        }

        fuzz_check(rc == NGX_OK || rc == NGX_DECLINED);
        fuzz_check(fl.lines.number == ++number);

        fuzz_check(fuzz_lines_expect(&fl, &expected));
        fuzz_check((rc == NGX_DECLINED) == (expected.len > fl.lines.max));

        if (rc == NGX_OK) {
            fuzz_check(line.len == expected.len);
            fuzz_check(memcmp(line.data, expected.data, line.len) == 0);
        }
    }

    fuzz_check(!fuzz_lines_expect(&fl, &expected));

    ngx_http_background_linebuf_abort(&fl.lines);

    fuzz_check(ngx_http_background_linebuf_next(&fl.lines, &line) == NGX_DONE);

    fuzz_lines_free(&fl);

    return 0;
}
