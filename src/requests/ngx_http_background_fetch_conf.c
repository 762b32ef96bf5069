
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* parameters of both "request" and "requests" */


#include "ngx_http_background_fetch.h"


typedef struct {
    ngx_uint_t                            min;
    ngx_uint_t                            max;
} ngx_http_background_status_range_t;


static ngx_int_t ngx_http_background_fetch_header_name(ngx_str_t *name);
static ngx_int_t ngx_http_background_fetch_range(ngx_str_t *s,
    ngx_http_background_status_range_t *range);
static ngx_int_t ngx_http_background_fetch_compile(ngx_conf_t *cf,
    ngx_str_t *value, ngx_http_complex_value_t *cv);


static ngx_str_t  ngx_http_background_methods[] = {
    ngx_string("GET"), ngx_string("HEAD"), ngx_string("POST"),
    ngx_string("PUT"), ngx_string("DELETE"), ngx_string("MKCOL"),
    ngx_string("COPY"), ngx_string("MOVE"), ngx_string("OPTIONS"),
    ngx_string("PROPFIND"), ngx_string("PROPPATCH"), ngx_string("LOCK"),
    ngx_string("UNLOCK"), ngx_string("PATCH"), ngx_null_string
};


static ngx_uint_t  ngx_http_background_method_bits[] = {
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_POST,
    NGX_HTTP_PUT, NGX_HTTP_DELETE, NGX_HTTP_MKCOL,
    NGX_HTTP_COPY, NGX_HTTP_MOVE, NGX_HTTP_OPTIONS,
    NGX_HTTP_PROPFIND, NGX_HTTP_PROPPATCH, NGX_HTTP_LOCK,
    NGX_HTTP_UNLOCK, NGX_HTTP_PATCH
};


ngx_http_background_fetch_conf_t *
ngx_http_background_fetch_create_conf(ngx_conf_t *cf)
{
    ngx_str_t                              *value;
    ngx_http_background_fetch_conf_t       *rcf, **rcfp;
    ngx_http_background_fetch_main_conf_t  *rmcf;

    value = cf->args->elts;

    if (cf->ctx == ngx_get_conf(cf->cycle->conf_ctx, ngx_http_module)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is allowed in a background task "
                           "of a \"server\" only: put the task into the "
                           "server whose locations are requested", &value[0]);
        return NULL;
    }

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_fetch_conf_t));
    if (rcf == NULL) {
        return NULL;
    }

    rcf->ctx = cf->ctx;
    rcf->last = 399;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_background_request_module);

    rcfp = ngx_array_push(&rmcf->requests);
    if (rcfp == NULL) {
        return NULL;
    }

    *rcfp = rcf;

    if (ngx_array_init(&rcf->headers, cf->pool, 2,
                       sizeof(ngx_http_background_header_t))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&rcf->statuses, cf->pool, 2,
                       sizeof(ngx_http_background_status_range_t))
        != NGX_OK)
    {
        return NULL;
    }

    return rcf;
}


ngx_int_t
ngx_http_background_fetch_method(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcf = p;

    ngx_str_t   *name, *method;
    ngx_uint_t   i;

    name = &arg->value;

    for (i = 0; i < name->len; i++) {
        if ((name->data[i] < 'A' || name->data[i] > 'Z')
            && name->data[i] != '-' && name->data[i] != '_')
        {
            break;
        }
    }

    if (name->len == 0 || i < name->len
        || ngx_strcmp(name->data, "CONNECT") == 0
        || ngx_strcmp(name->data, "TRACE") == 0)
    {
        return ngx_http_background_conf_invalid(cf, arg, "method",
                                     "an HTTP method in capital letters, "
                                     "except \"CONNECT\" and \"TRACE\"");
    }

    (*rcf)->method_name = *name;
    (*rcf)->method = NGX_HTTP_UNKNOWN;

    for (i = 0; ngx_http_background_methods[i].len; i++) {
        method = &ngx_http_background_methods[i];

        if (method->len == name->len
            && ngx_memcmp(method->data, name->data, name->len) == 0)
        {
            (*rcf)->method = ngx_http_background_method_bits[i];
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_fetch_header(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcfp = p;

    u_char                              *colon, *last;
    ngx_str_t                           *value, name, text;
    ngx_http_background_header_t        *h;
    ngx_http_background_fetch_conf_t    *rcf;

    rcf = *rcfp;
    value = cf->args->elts;

    last = arg->value.data + arg->value.len;
    colon = ngx_strlchr(arg->value.data, last, ':');

    name.data = arg->value.data;
    name.len = colon ? (size_t) (colon - name.data) : 0;

    if (ngx_http_background_fetch_header_name(&name) != NGX_OK) {
        return ngx_http_background_conf_invalid(cf, arg, "header",
                                                "\"header=NAME:VALUE\"");
    }

    if ((name.len == 14
         && ngx_strncasecmp(name.data, (u_char *) "Content-Length", 14) == 0)
        || (name.len == 17
            && ngx_strncasecmp(name.data, (u_char *) "Transfer-Encoding", 17)
               == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "header \"%V\" in \"%V\" directive can't be given, "
                           "it is set by \"body=\"",
                           &arg->text, &value[0]);
        return NGX_ERROR;
    }

    if (name.len == 4
        && ngx_strncasecmp(name.data, (u_char *) "Host", 4) == 0)
    {
        if (rcf->host) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate header \"%V\" in \"%V\" directive",
                               &arg->text, &value[0]);
            return NGX_ERROR;
        }

        h = ngx_palloc(cf->pool, sizeof(ngx_http_background_header_t));
        rcf->host = h;

    } else {
        h = ngx_array_push(&rcf->headers);
    }

    if (h == NULL) {
        return NGX_ERROR;
    }

    h->key = name;

    h->lowcase_key = ngx_pnalloc(cf->pool, name.len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(h->lowcase_key, name.data, name.len);

    text.data = colon + 1;

    while (text.data < last && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
    }

    text.len = last - text.data;

    return ngx_http_background_fetch_compile(cf, &text, &h->value);
}


static ngx_int_t
ngx_http_background_fetch_header_name(ngx_str_t *name)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < name->len; i++) {
        c = name->data[i] | 0x20;

        if ((c < 'a' || c > 'z')
            && (name->data[i] < '0' || name->data[i] > '9')
            && name->data[i] != '-' && name->data[i] != '_')
        {
            return NGX_ERROR;
        }
    }

    return name->len ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_background_fetch_body(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcf = p;

    ngx_http_complex_value_t  *body;

    body = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (body == NULL) {
        return NGX_ERROR;
    }

    (*rcf)->body = body;

    return ngx_http_background_fetch_compile(cf, &arg->value, body);
}


ngx_int_t
ngx_http_background_fetch_status(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcf = p;

    u_char                              *pos, *last;
    ngx_str_t                            s;
    ngx_http_background_status_range_t  *range;

    pos = arg->value.data;
    last = pos + arg->value.len;

    do {
        s.data = pos;

        while (pos < last && *pos != ',') {
            pos++;
        }

        s.len = pos - s.data;

        range = ngx_array_push(&(*rcf)->statuses);
        if (range == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_background_fetch_range(&s, range) != NGX_OK) {
            return ngx_http_background_conf_invalid(cf, arg, "status",
                                      "codes or ranges from 200 to 599, as in "
                                      "\"status=200-299,404\"");
        }

    } while (pos++ < last);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_fetch_range(ngx_str_t *s,
    ngx_http_background_status_range_t *range)
{
    ngx_int_t  min, max;

    if (s->len != 3 && (s->len != 7 || s->data[3] != '-')) {
        return NGX_ERROR;
    }

    min = ngx_atoi(s->data, 3);
    max = ngx_atoi(s->data + s->len - 3, 3);

    if (min < 200 || max > 599 || min > max) {
        return NGX_ERROR;
    }

    range->min = min;
    range->max = max;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_fetch_test(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcf = p;

    ngx_http_complex_value_t  *test;

    if (arg->value.len == 0) {
        return ngx_http_background_conf_invalid(cf, arg, "test",
                                    "a string with variables, as in "
                                    "\"test=$upstream_http_x_ready\"");
    }

    test = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (test == NULL) {
        return NGX_ERROR;
    }

    (*rcf)->test = test;

    return ngx_http_background_fetch_compile(cf, &arg->value, test);
}


ngx_int_t
ngx_http_background_fetch_scheme(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcf = p;

    if (ngx_strcmp(arg->value.data, "https") == 0) {
        (*rcf)->https = 1;

    } else if (ngx_strcmp(arg->value.data, "http") != 0) {
        return ngx_http_background_conf_invalid(cf, arg, "scheme",
                                                "\"http\" or \"https\"");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_fetch_address(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_fetch_conf_t **rcf = p;

    ngx_int_t    rc;
    ngx_addr_t  *addr;

    addr = ngx_pcalloc(cf->pool, sizeof(ngx_addr_t));
    if (addr == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_parse_addr(cf->pool, addr, arg->value.data, arg->value.len);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_background_conf_invalid(cf, arg, "address",
                                        "an IPv4 or IPv6 address, without a "
                                        "port");
    }

    /* the text of the address, as for the address of a client */

    addr->name.data = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN);
    if (addr->name.data == NULL) {
        return NGX_ERROR;
    }

    addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                   addr->name.data, NGX_SOCKADDR_STRLEN, 0);

    (*rcf)->address = addr;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_fetch_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_int_t
ngx_http_background_fetch_uri(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_http_complex_value_t *cv)
{
    ngx_str_t           *value;
    ngx_connection_t     c;
    ngx_http_request_t   r;

    if (ngx_http_background_fetch_compile(cf, uri, cv) != NGX_OK) {
        return NGX_ERROR;
    }

    if (cv->lengths || (uri->len > 1 && uri->data[0] == '@')) {
        return NGX_OK;
    }

    /* the fields that ngx_http_parse_complex_uri() and others use */

    ngx_memzero(&c, sizeof(ngx_connection_t));
    ngx_memzero(&r, sizeof(ngx_http_request_t));

    c.log = cf->log;
    r.connection = &c;
    r.pool = cf->pool;

    if (ngx_http_background_fetch_parse_uri(&r, uri, 1) != NGX_OK) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URI \"%V\" in \"%V\" directive, it must "
                           "begin with \"/\", or be \"@\" and the name of a "
                           "location", uri, &value[0]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Sets the host to the first server name that is neither a regular expression
 * nor a wildcard.  It is copied, as the array of names is freed with the
 * temporary pool.
 */

void
ngx_http_background_fetch_default_host(
    ngx_http_background_fetch_conf_t *rcf)
{
    ngx_str_t                 *name;
    ngx_uint_t                 i;
    ngx_http_server_name_t    *sn;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = rcf->ctx->srv_conf[ngx_http_core_module.ctx_index];

    sn = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {
        name = &sn[i].name;

#if (NGX_PCRE)
        if (sn[i].regex) {
            continue;
        }
#endif

        if (name->len == 0 || (name->len == 1 && name->data[0] == '_')
            || ngx_strlchr(name->data, name->data + name->len, '*'))
        {
            continue;
        }

        rcf->default_host = *name;

        if (name->data[0] == '.') {
            rcf->default_host.data++;
            rcf->default_host.len--;
        }

        return;
    }

    ngx_str_set(&rcf->default_host, "localhost");
}


ngx_uint_t
ngx_http_background_fetch_expected(ngx_http_background_fetch_conf_t *rcf,
    ngx_uint_t status)
{
    ngx_uint_t                           i;
    ngx_http_background_status_range_t  *range;

    if (rcf->statuses.nelts == 0) {
        return status >= 200 && status <= rcf->last;
    }

    range = rcf->statuses.elts;

    for (i = 0; i < rcf->statuses.nelts; i++) {
        if (status >= range[i].min && status <= range[i].max) {
            return 1;
        }
    }

    return 0;
}
