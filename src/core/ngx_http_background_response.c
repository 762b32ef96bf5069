
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_response.h"


void *
ngx_http_background_merge_handler(ngx_conf_t *cf, void *conf, void *prev,
    ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf == NULL) {
        conf = prev;
    }

    /* in "if", nginx keeps the handler of the location */

    if (clcf->lmt_excpt && clcf->handler == NULL && conf) {
        clcf->handler = handler;
    }

    return conf;
}


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
