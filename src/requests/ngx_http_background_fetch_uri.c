
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_fetch.h"


/*
 * Characters that browsers encode: spaces and control characters, non-ASCII
 * characters, and "<>\^`{} in a path or "<> in arguments.
 */

static const uint32_t  ngx_http_background_uri_path[] = {
    0xffffffff, 0x50000005, 0x50000000, 0xa8000001,
    0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff
};

static const uint32_t  ngx_http_background_uri_args[] = {
    0xffffffff, 0x50000005, 0x00000000, 0x80000000,
    0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff
};


ngx_int_t
ngx_http_background_fetch_encode_uri(ngx_pool_t *pool, ngx_str_t *uri,
    ngx_uint_t blanks)
{
    u_char          *p, *src, *last, c;
    const uint32_t  *table;

    static u_char  hex[] = "0123456789ABCDEF";

    p = ngx_pnalloc(pool, 3 * uri->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    table = ngx_http_background_uri_path;
    src = uri->data;
    last = src + uri->len;

    uri->data = p;

    while (src < last) {
        c = *src++;

        if (c == '?') {
            table = ngx_http_background_uri_args;
        }

        if ((table[c >> 5] & ((uint32_t) 1 << (c & 0x1f))) == 0
            || (!blanks && (c <= ' ' || c == 0x7f)))
        {
            *p++ = c;
            continue;
        }

        *p++ = '%';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
    }

    uri->len = p - uri->data;

    return NGX_OK;
}


/* sets the fields that nginx sets from the request line of a client */

ngx_int_t
ngx_http_background_fetch_parse_uri(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_uint_t merge_slashes)
{
    u_char  *p, *last;

    /* the parser reads the byte after the URI, a space in a request line */

    p = ngx_pnalloc(r->pool, uri->len + 1);
    if (p == NULL || uri->len == 0) {
        return NGX_ERROR;
    }

    last = ngx_cpymem(p, uri->data, uri->len);
    *last = ' ';

    r->uri_start = p;
    r->uri_end = last;

    if (ngx_http_parse_uri(r) != NGX_OK) {
        return NGX_ERROR;
    }

    r->unparsed_uri.data = p;
    r->unparsed_uri.len = uri->len;
    r->valid_unparsed_uri = 1;

    r->uri.data = p;
    r->uri.len = (r->args_start ? r->args_start - 1 : last) - p;

    if (r->complex_uri || r->quoted_uri) {
        r->uri.data = ngx_pnalloc(r->pool, r->uri.len);
        if (r->uri.data == NULL) {
            r->uri.len = 0;
            return NGX_ERROR;
        }

        if (ngx_http_parse_complex_uri(r, merge_slashes) != NGX_OK) {
            r->uri.len = 0;
            return NGX_ERROR;
        }
    }

    if (r->uri_ext) {
        r->exten.data = r->uri_ext;
        r->exten.len = (r->args_start ? r->args_start - 1 : last) - r->uri_ext;
    }

    if (r->args_start && last > r->args_start) {
        r->args.data = r->args_start;
        r->args.len = last - r->args_start;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_fetch_line(ngx_str_t *line, ngx_str_t *uri)
{
    u_char  *p, *last;

    p = line->data;
    last = p + line->len;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p
           && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == CR))
    {
        last--;
    }

    uri->data = p;
    uri->len = last - p;

    return (uri->len == 0 || *p == '#') ? NGX_DECLINED : NGX_OK;
}
