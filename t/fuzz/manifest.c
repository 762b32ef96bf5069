
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A line of a list of checksums, ours or another tool's; what it says is the
 * same in a line that "digest" writes.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <operations/ngx_http_background_manifest.h>

#include "fuzz.h"


static void fuzz_again(const EVP_MD *md, u_char *hash, ngx_str_t *name);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char         hash[EVP_MAX_MD_SIZE];
    ngx_int_t      rc;
    ngx_str_t      line, name;
    fuzz_input_t   in;
    const EVP_MD  *md;

    in.data = data;
    in.size = size;

    switch (fuzz_number(&in, 2)) {
    case 0:
        md = EVP_md5();
        break;
    case 1:
        md = EVP_sha256();
        break;
    default:
        md = EVP_sha512();
        break;
    }

    line.data = fuzz_text(&in, '\n', 1, &line.len);

    rc = ngx_http_background_manifest_parse(&line, md, hash, &name);

    fuzz_check(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ERROR);

    if (rc == NGX_OK) {
        fuzz_check(name.data >= line.data);
        fuzz_check(name.data + name.len <= line.data + line.len);
        fuzz_check(name.len > 0 && strlen((char *) name.data) == name.len);

        fuzz_again(md, hash, &name);
    }

    free(line.data);

    return 0;
}


static void
fuzz_again(const EVP_MD *md, u_char *hash, ngx_str_t *name)
{
    size_t      size;
    u_char     *buf, again[EVP_MAX_MD_SIZE];
    ngx_str_t   line, parsed;

    size = ngx_http_background_manifest_size(EVP_MD_size(md), name);

    buf = malloc(size);
    fuzz_check(buf != NULL);

    line.data = buf;
    line.len = ngx_http_background_manifest_format(buf, hash, EVP_MD_size(md),
                                                   name)
               - buf;

    fuzz_check(line.len <= size);
    fuzz_check(memchr(buf, '\n', line.len) == buf + line.len - 1);

    line.len--;

    fuzz_check(ngx_http_background_manifest_parse(&line, md, again, &parsed)
               == NGX_OK);
    fuzz_check(memcmp(again, hash, EVP_MD_size(md)) == 0);

    if (strcmp((char *) name->data, "-") == 0) {
        ngx_str_set(name, "./-");
    }

    fuzz_check(parsed.len == name->len
               && memcmp(parsed.data, name->data, name->len) == 0);

    free(buf);
}
