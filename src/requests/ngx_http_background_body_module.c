
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * $background_body, for "test=": the first bytes of the response body; and the
 * whole body for "save=".  The filter runs after postponing of subrequests and
 * before gzip and chunked encoding.
 */


#include "ngx_http_background_fetch.h"


#define NGX_HTTP_BACKGROUND_BODY_LEN  4096


static ngx_int_t ngx_http_background_body_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_body_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_body_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_body_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_background_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_background_body_add(ngx_http_request_t *r,
    ngx_str_t *body, ngx_chain_t *in);


static ngx_http_module_t  ngx_http_background_body_module_ctx = {
    ngx_http_background_body_add_variables, /* preconfiguration */
    ngx_http_background_body_init,         /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_body_module = {
    NGX_MODULE_V1,
    &ngx_http_background_body_module_ctx,  /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_background_body_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    static ngx_str_t  name = ngx_string("background_body");

    var = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_background_body_variable;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_body_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *body;

    body = ngx_http_background_fetch_response(r);

    if (body && body->len) {
        v->data = body->data;
        v->len = body->len;

    } else {
        v->data = (u_char *) "";
        v->len = 0;
    }

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_body_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_background_body_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_background_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_body_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                      *body;
    ngx_http_background_fetches_t  *rs;

    if (r == r->main) {
        rs = ngx_http_background_fetch_started_by(r);

        if (rs && rs->save) {
            ngx_http_background_save_header(rs->save, r);
            r->main_filter_need_in_memory = 1;
        }

        body = ngx_http_background_fetch_response(r);

        if (body) {

            /* a filter that replaces the response sends a second header */
            body->len = 0;

            r->main_filter_need_in_memory = 1;
        }
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_background_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_str_t                      *body;
    ngx_http_background_fetches_t  *rs;

    rs = ngx_http_background_fetch_started_by(r);

    if (rs && rs->save
        && ngx_http_background_save_body(rs->save, in) != NGX_OK)
    {
        return NGX_ERROR;
    }

    body = ngx_http_background_fetch_response(r);

    if (body && ngx_http_background_body_add(r, body, in) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_body_filter(r, in);
}


static ngx_int_t
ngx_http_background_body_add(ngx_http_request_t *r, ngx_str_t *body,
    ngx_chain_t *in)
{
    size_t      size;
    ngx_buf_t  *b;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        if (!ngx_buf_in_memory(b) || b->pos == b->last) {
            continue;
        }

        if (body->data == NULL) {
            body->data = ngx_pnalloc(r->main->pool,
                                     NGX_HTTP_BACKGROUND_BODY_LEN);
            if (body->data == NULL) {
                return NGX_ERROR;
            }
        }

        size = ngx_min((size_t) (b->last - b->pos),
                       NGX_HTTP_BACKGROUND_BODY_LEN - body->len);

        ngx_memcpy(body->data + body->len, b->pos, size);
        body->len += size;
    }

    return NGX_OK;
}
