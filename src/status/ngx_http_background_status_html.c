
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the page, which reads JSON from the same location */


#include "ngx_http_background_status.h"
#include <ngx_http_background_response.h>

#include <openssl/evp.h>


/* generated from ngx_http_background_status.html */
#include <ngx_http_background_status_page.h>


static void ngx_http_background_html_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_html_text(ngx_http_background_writer_t *w,
    const void *data, size_t len);
static ngx_int_t ngx_http_background_html_headers(ngx_http_request_t *r);
static ngx_int_t ngx_http_background_html_hash(ngx_conf_t *cf,
    const char *element, u_char *hash);


/* the attributes of the page are written after it */
#define NGX_HTTP_BACKGROUND_HTML  "<html lang=\"en\""

#define NGX_HTTP_BACKGROUND_HASH_LEN  (ngx_base64_encoded_length(32) + 1)


const ngx_http_background_format_t  ngx_http_background_html = {
    ngx_string("html"),
    ngx_string("text/html; charset=utf-8"),
    ngx_http_background_html_head,
    NULL,
    0,
    0,
    NULL,
    NULL,
    &ngx_http_background_json,
    ngx_http_background_html_headers
};


/*
 * does not depend on the configuration, so it is kept for the life of the
 * process
 */
static ngx_str_t  ngx_http_background_html_policy;


/* the policy allows the only style and script of the page by their hashes */

ngx_int_t
ngx_http_background_html_init(ngx_conf_t *cf)
{
    u_char  style[NGX_HTTP_BACKGROUND_HASH_LEN];
    u_char  script[NGX_HTTP_BACKGROUND_HASH_LEN];

    static u_char  policy[512];

    if (ngx_http_background_html_hash(cf, "style", style) != NGX_OK
        || ngx_http_background_html_hash(cf, "script", script) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_background_html_policy.data = policy;
    ngx_http_background_html_policy.len =
        ngx_snprintf(policy, sizeof(policy),
                     "default-src 'none'; style-src 'sha256-%s'; "
                     "script-src 'sha256-%s'; connect-src 'self'; "
                     "img-src data:; base-uri 'none'; form-action 'none'; "
                     "frame-ancestors 'none'; "
                     "require-trusted-types-for 'script'",
                     style, script)
        - policy;

    return NGX_OK;
}


/* computes the hash of the text between "<element>" and "</element>" */

static ngx_int_t
ngx_http_background_html_hash(ngx_conf_t *cf, const char *element,
    u_char *hash)
{
    char         tag[sizeof("</script>")];
    u_char       md[EVP_MAX_MD_SIZE];
    ngx_str_t    src, dst;
    const char  *p, *last;

    ngx_sprintf((u_char *) tag, "<%s>%Z", element);
    p = ngx_strstr(ngx_http_background_page, tag) + ngx_strlen(tag);

    ngx_sprintf((u_char *) tag, "</%s>%Z", element);
    last = ngx_strstr(p, tag);

    if (EVP_Digest(p, last - p, md, NULL, EVP_sha256(), NULL) != 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "EVP_Digest() failed");
        return NGX_ERROR;
    }

    src.data = md;
    src.len = 32;
    dst.data = hash;

    ngx_encode_base64(&dst, &src);

    hash[dst.len] = '\0';

    return NGX_OK;
}


ngx_int_t
ngx_http_background_html_control(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_uint_t allowed, ngx_str_t *attributes)
{
    size_t   len;
    u_char  *p;

    len = sizeof(" data-control=\"\""
                 " data-actions=\"run pause cancel peers drain\"")
          + uri->len + ngx_escape_html(NULL, uri->data, uri->len);

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    attributes->data = p;

    p = ngx_cpymem(p, " data-control=\"", sizeof(" data-control=\"") - 1);
    p = (u_char *) ngx_escape_html(p, uri->data, uri->len);

    p = ngx_sprintf(p, "\" data-actions=\"%s%s%s%s%s\"",
                    allowed & NGX_HTTP_BACKGROUND_CONTROL_RUN ? "run " : "",
                    allowed & NGX_HTTP_BACKGROUND_CONTROL_PAUSE ? "pause " : "",
                    allowed & NGX_HTTP_BACKGROUND_CONTROL_CANCEL ? "cancel "
                                                                 : "",
                    allowed & NGX_HTTP_BACKGROUND_CONTROL_PEERS ? "peers" : "",
                    NGX_HTTP_BACKGROUND_DRAIN
                    && (allowed & NGX_HTTP_BACKGROUND_CONTROL_PEERS) ? " drain"
                                                                     : "");

    attributes->len = p - attributes->data;

    return NGX_OK;
}


static void
ngx_http_background_html_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    size_t       len;
    const char  *page;

    page = ngx_http_background_page;
    len = sizeof(ngx_http_background_page) - 1;

    if (status->attributes.len) {
        page = ngx_strstr(page, NGX_HTTP_BACKGROUND_HTML)
               + sizeof(NGX_HTTP_BACKGROUND_HTML) - 1;
        len -= page - ngx_http_background_page;

        ngx_http_background_html_text(w, ngx_http_background_page,
                                      page - ngx_http_background_page);
        ngx_http_background_html_text(w, status->attributes.data,
                                      status->attributes.len);
    }

    ngx_http_background_html_text(w, page, len);
}


/* refers to the text, which must not change */

static void
ngx_http_background_html_text(ngx_http_background_writer_t *w,
    const void *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(w->pool);
    b = ngx_calloc_buf(w->pool);

    if (cl == NULL || b == NULL) {
        w->failed = 1;
        return;
    }

    b->pos = (u_char *) data;
    b->last = b->pos + len;
    b->memory = 1;

    ngx_http_background_append(w, cl, b);

    w->size += len;
}


static ngx_int_t
ngx_http_background_html_headers(ngx_http_request_t *r)
{
    ngx_uint_t  i;

    static ngx_str_t  fields[][2] = {
        { ngx_string("X-Content-Type-Options"), ngx_string("nosniff") },
        { ngx_string("Referrer-Policy"), ngx_string("no-referrer") }
    };

    static ngx_str_t  policy = ngx_string("Content-Security-Policy");

    for (i = 0; i < 2; i++) {
        if (ngx_http_background_add_header(r, &fields[i][0], &fields[i][1])
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_background_add_header(r, &policy,
                                          &ngx_http_background_html_policy)
           ? NGX_OK : NGX_ERROR;
}
