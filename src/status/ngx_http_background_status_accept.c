
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* selects one of two formats by "Accept" */


#include "ngx_http_background_status.h"


static ngx_uint_t ngx_http_background_accept_range(ngx_str_t *range,
    const ngx_str_t *type);
static void ngx_http_background_accept_token(ngx_str_t *text,
    ngx_str_t *token);
static size_t ngx_http_background_accept_name(ngx_str_t *param);


/*
 * Returns the quality, in thousandths, of a media type that is named in
 * "Accept".  Wildcards are ignored.
 */

ngx_uint_t
ngx_http_background_accept(ngx_http_request_t *r, const ngx_str_t *type)
{
    u_char           *p, *last;
    ngx_str_t         range;
    ngx_uint_t        i, n, quality;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    quality = 0;
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return quality;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != 6
            || ngx_strncasecmp(h[i].key.data, (u_char *) "Accept", 6) != 0)
        {
            continue;
        }

        last = h[i].value.data + h[i].value.len;

        for (range.data = h[i].value.data; range.data < last;
             range.data = p + 1)
        {
            p = ngx_strlchr(range.data, last, ',');
            if (p == NULL) {
                p = last;
            }

            range.len = p - range.data;
            n = ngx_http_background_accept_range(&range, type);
            quality = ngx_max(quality, n);
        }
    }
}


/* a media range such as " text/plain; version=0.0.4; q=0.5" */

static ngx_uint_t
ngx_http_background_accept_range(ngx_str_t *range, const ngx_str_t *type)
{
    ngx_int_t  quality;
    ngx_str_t  ours, rest, name, param, value;

    rest = *range;
    ours = *type;

    ngx_http_background_accept_token(&rest, &param);
    ngx_http_background_accept_token(&ours, &value);

    if (param.len != value.len
        || ngx_strncasecmp(param.data, value.data, value.len) != 0)
    {
        return 0;
    }

    quality = 1000;

    while (rest.len) {
        ngx_http_background_accept_token(&rest, &param);

        if (param.len > 2 && ngx_strncasecmp(param.data, (u_char *) "q=", 2)
                             == 0)
        {
            quality = ngx_atofp(param.data + 2, param.len - 2, 3);

            if (quality < 0 || quality > 1000) {
                return 0;
            }

            continue;
        }

        /* a parameter that our media type also has must have the same value */

        name.data = param.data;
        name.len = ngx_http_background_accept_name(&param);

        ours = *type;

        while (name.len && ours.len) {
            ngx_http_background_accept_token(&ours, &value);

            if (ngx_http_background_accept_name(&value) != name.len
                || ngx_strncasecmp(value.data, name.data, name.len) != 0)
            {
                continue;
            }

            if (value.len != param.len
                || ngx_strncasecmp(value.data, param.data, param.len) != 0)
            {
                return 0;
            }
        }
    }

    return quality;
}


/* removes the text up to the next ";" and returns it without spaces */

static void
ngx_http_background_accept_token(ngx_str_t *text, ngx_str_t *token)
{
    u_char  *p, *last;

    last = text->data + text->len;

    p = ngx_strlchr(text->data, last, ';');
    if (p == NULL) {
        p = last;
    }

    token->data = text->data;
    token->len = p - text->data;

    text->data = (p == last) ? last : p + 1;
    text->len = last - text->data;

    while (token->len && (*token->data == ' ' || *token->data == '\t')) {
        token->data++;
        token->len--;
    }

    while (token->len && (token->data[token->len - 1] == ' '
                          || token->data[token->len - 1] == '\t'))
    {
        token->len--;
    }
}


/* returns the length of the parameter name including "=" */

static size_t
ngx_http_background_accept_name(ngx_str_t *param)
{
    u_char  *p;

    p = ngx_strlchr(param->data, param->data + param->len, '=');

    return p ? (size_t) (p + 1 - param->data) : 0;
}
