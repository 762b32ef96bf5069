
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the path of a file in a text: quoted, and only its end if it is too long */


#include <ngx_config.h>
#include <ngx_core.h>

#include <files/ngx_http_background_tree.h>

#include "fuzz.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        len, kept;
    u_char       *text, *whole, *p;
    ngx_str_t     root, path;
    fuzz_input_t  in;

    in.data = data;
    in.size = size;

    root.data = fuzz_text(&in, '\0', 0, &root.len);
    path.data = fuzz_text(&in, '\0', 0, &path.len);

    text = malloc(NGX_HTTP_BACKGROUND_PATH_TEXT);
    whole = malloc(root.len + 1 + path.len);
    fuzz_check(text != NULL && whole != NULL);

    fuzz_check(ngx_http_background_path_text(text, &root, &path) == text);

    p = ngx_cpymem(whole, root.data, root.len);

    if (root.len && path.len && p[-1] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, path.data, path.len);
    len = p - whole;

    /* neither has a zero byte */

    kept = strnlen((char *) text, NGX_HTTP_BACKGROUND_PATH_TEXT);

    fuzz_check(kept < NGX_HTTP_BACKGROUND_PATH_TEXT);
    fuzz_check(kept >= 2 && text[0] == '"' && text[kept - 1] == '"');

    kept -= 2;
    p = text + 1;

    if (kept != len || memcmp(p, whole, len) != 0) {
        fuzz_check(kept == NGX_HTTP_BACKGROUND_PATH_TEXT - sizeof("\"\""));
        fuzz_check(memcmp(p, "...", 3) == 0);

        p += 3;
        kept -= 3;

        fuzz_check(kept < len);
        fuzz_check(memcmp(p, whole + len - kept, kept) == 0);
    }

    free(root.data);
    free(path.data);
    free(text);
    free(whole);

    return 0;
}
