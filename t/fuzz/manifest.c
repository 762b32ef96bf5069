
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A line of a list of checksums of this module or of another tool: its
 * contents are the same in the line that "digest" writes.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <files/ngx_http_background_manifest.h>

#include "fuzz.h"


static void fuzz_again(const EVP_MD *md, ngx_http_background_checksum_t *sum);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t                        rc;
    ngx_str_t                        line;
    ngx_uint_t                       blanks, before;
    fuzz_input_t                     in;
    const EVP_MD                    *md;
    ngx_http_background_checksum_t   sum;

    in.data = data;
    in.size = size;

    switch (fuzz_number(&in, 3)) {
    case 0:
        md = EVP_md5();
        break;
    case 1:
        md = EVP_sha256();
        break;
    case 2:
        md = EVP_sha512();
        break;
    default:
        md = EVP_blake2b512();
        break;
    }

    before = fuzz_number(&in, 2);
    blanks = before;

    line.data = fuzz_text(&in, '\n', 1, &line.len);

    rc = ngx_http_background_manifest_parse(&line, md, &blanks, &sum);

    fuzz_check(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ERROR);
    fuzz_check(before ? blanks == before : blanks <= 2);

    if (rc == NGX_OK) {
        fuzz_check(sum.len > 0 && sum.len <= (size_t) EVP_MD_size(md));
        fuzz_check(sum.name.data >= line.data);
        fuzz_check(sum.name.data + sum.name.len <= line.data + line.len);
        fuzz_check(sum.name.len > 0);
        fuzz_check(strlen((char *) sum.name.data) == sum.name.len);

        fuzz_again(md, &sum);
    }

    free(line.data);

    return 0;
}


static void
fuzz_again(const EVP_MD *md, ngx_http_background_checksum_t *sum)
{
    size_t                           size;
    u_char                          *buf;
    ngx_str_t                        line;
    ngx_uint_t                       blanks;
    ngx_http_background_checksum_t   again;

    size = ngx_http_background_manifest_size(sum->len, &sum->name);

    buf = malloc(size);
    fuzz_check(buf != NULL);

    line.data = buf;
    line.len = ngx_http_background_manifest_format(buf, sum->hash, sum->len,
                                                   &sum->name)
               - buf;

    fuzz_check(line.len <= size);
    fuzz_check(memchr(buf, '\n', line.len) == buf + line.len - 1);

    line.len--;
    blanks = 0;

    fuzz_check(ngx_http_background_manifest_parse(&line, md, &blanks, &again)
               == NGX_OK);
    fuzz_check(blanks == 2);
    fuzz_check(again.len == sum->len);
    fuzz_check(memcmp(again.hash, sum->hash, sum->len) == 0);

    if (strcmp((char *) sum->name.data, "-") == 0) {
        ngx_str_set(&sum->name, "./-");
    }

    fuzz_check(again.name.len == sum->name.len);
    fuzz_check(memcmp(again.name.data, sum->name.data, sum->name.len) == 0);

    free(buf);
}
