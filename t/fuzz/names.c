
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The names of a list, as for "verify": absolute names below the root, and
 * whether a name is in the set in any spelling.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <files/ngx_http_background_nameset.h>
#include <files/ngx_http_background_tree.h>

#include "fuzz.h"


static ngx_str_t fuzz_parts(ngx_str_t *name);
static void fuzz_relative(ngx_str_t *root, ngx_str_t *name);
static void fuzz_set(ngx_str_t *one, ngx_str_t *two);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t     one, two;
    fuzz_input_t  in;

    in.data = data;
    in.size = size;

    one.data = fuzz_text(&in, '\0', 0, &one.len);
    two.data = fuzz_text(&in, '\0', 0, &two.len);

    fuzz_relative(&one, &two);
    fuzz_set(&one, &two);

    free(one.data);
    free(two.data);

    return 0;
}


/* removes parts that are empty or ".", and adds "/" after each part */

static ngx_str_t
fuzz_parts(ngx_str_t *name)
{
    size_t     i, start;
    ngx_str_t  parts;

    parts.data = malloc(name->len + 1);
    parts.len = 0;

    fuzz_check(parts.data != NULL);

    for (i = 0; i < name->len; i++) {

        for (start = i; i < name->len && name->data[i] != '/'; i++) {
            /* void */
        }

        if (i == start || (i == start + 1 && name->data[start] == '.')) {
            continue;
        }

        memcpy(parts.data + parts.len, name->data + start, i - start);
        parts.len += i - start;
        parts.data[parts.len++] = '/';
    }

    return parts;
}


static void
fuzz_relative(ngx_str_t *root, ngx_str_t *name)
{
    ngx_str_t  path, above, whole, rest, copy;

    /* the root must be absolute */

    if (root->len == 0 || root->data[0] != '/') {
        return;
    }

    path = *name;

    ngx_http_background_path_relative(root, &path);

    fuzz_check(path.data + path.len == name->data + name->len);

    if (path.data == name->data) {
        return;
    }

    fuzz_check(name->data[0] == '/');
    fuzz_check(path.len == 0 || path.data[0] != '/');

    copy.data = name->data;
    copy.len = path.data - name->data;

    above = fuzz_parts(root);
    rest = fuzz_parts(&copy);
    whole = fuzz_parts(name);

    fuzz_check(above.len == rest.len);
    fuzz_check(memcmp(above.data, rest.data, rest.len) == 0);
    fuzz_check(whole.len >= rest.len);
    fuzz_check(memcmp(whole.data, rest.data, rest.len) == 0);

    free(above.data);
    free(rest.data);
    free(whole.data);
}


static void
fuzz_set(ngx_str_t *one, ngx_str_t *two)
{
    ngx_str_t                      a, b;
    ngx_log_t                      log;
    EVP_MD_CTX                    *ctx;
    ngx_http_background_nameset_t  set;

    ctx = EVP_MD_CTX_new();
    fuzz_check(ctx != NULL);

    memset(&log, 0, sizeof(ngx_log_t));
    memset(&set, 0, sizeof(ngx_http_background_nameset_t));

    fuzz_check(ngx_http_background_nameset_has(&set, ctx, one)
               == NGX_DECLINED);
    fuzz_check(ngx_http_background_nameset_add(&set, ctx, one, &log)
               == NGX_OK);

    ngx_http_background_nameset_sort(&set);

    fuzz_check(ngx_http_background_nameset_has(&set, ctx, one) == NGX_OK);

    a = fuzz_parts(one);
    b = fuzz_parts(two);

    fuzz_check((ngx_http_background_nameset_has(&set, ctx, two) == NGX_OK)
               == (a.len == b.len && memcmp(a.data, b.data, a.len) == 0));

    ngx_http_background_nameset_destroy(&set);

    EVP_MD_CTX_free(ctx);
    free(a.data);
    free(b.data);
}
