
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_response.h"


/* "gzip_types" and similar directives compare the type without parameters */

void
ngx_http_background_content_type(ngx_http_request_t *r, const ngx_str_t *type)
{
    u_char  *p;

    p = ngx_strlchr(type->data, type->data + type->len, ';');

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = p ? (size_t) (p - type->data)
                                        : type->len;
    r->headers_out.content_type_lowcase = NULL;
}


ngx_table_elt_t *
ngx_http_background_add_header(ngx_http_request_t *r, const ngx_str_t *key,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    /* older versions of nginx have no "next" field */

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = *key;
    h->value = *value;

    return h;
}
