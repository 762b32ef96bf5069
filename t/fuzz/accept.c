
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "Accept": several fields mean the same as one field with all values */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <status/ngx_http_background_status.h>

#include "fuzz.h"


#define FUZZ_FIELDS  4


static void fuzz_field(ngx_list_t *list, u_char *data, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char              *values[FUZZ_FIELDS], *all;
    size_t               len;
    ngx_str_t           *type;
    ngx_uint_t           i, n, quality;
    ngx_log_t            log;
    ngx_pool_t          *pool;
    fuzz_input_t         in;
    ngx_http_request_t   r;

    static ngx_str_t  types[] = {
        ngx_string("application/json"),
        ngx_string("text/html; charset=utf-8"),
        ngx_string("application/openmetrics-text; version=1.0.0; "
                   "charset=utf-8"),
        ngx_string("text/plain; version=0.0.4; charset=utf-8")
    };

    in.data = data;
    in.size = size;

    type = &types[fuzz_number(&in, 3)];

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_memzero(&r, sizeof(ngx_http_request_t));

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, &log);
    fuzz_check(pool != NULL);

    /* a list with several parts */

    fuzz_check(ngx_list_init(&r.headers_in.headers, pool, 2,
                             sizeof(ngx_table_elt_t))
               == NGX_OK);

    size = in.size;
    all = malloc(size);
    fuzz_check(all != NULL || size == 0);

    for (i = 0; i < size; i++) {
        all[i] = (in.data[i] == '\n') ? ',' : in.data[i];
    }

    for (n = 0; in.size && n < FUZZ_FIELDS; n++) {
        values[n] = fuzz_text(&in, '\n', 0, &len);
        fuzz_field(&r.headers_in.headers, values[n], len);
    }

    size -= in.size;

    quality = ngx_http_background_accept(&r, type);

    fuzz_check(quality <= 1000);

    while (n) {
        free(values[--n]);
    }

    fuzz_check(ngx_list_init(&r.headers_in.headers, pool, 1,
                             sizeof(ngx_table_elt_t))
               == NGX_OK);

    fuzz_field(&r.headers_in.headers, all, size);

    fuzz_check(ngx_http_background_accept(&r, type) == quality);

    free(all);
    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_field(ngx_list_t *list, u_char *data, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(list);
    fuzz_check(h != NULL);

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    ngx_str_set(&h->key, "aCCEPT");
    h->value.data = data;
    h->value.len = len;
}
