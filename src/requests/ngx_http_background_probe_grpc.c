
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "type=grpc" of "probe": the gRPC health checking protocol.  The request is a
 * message of one field, the name of the service, the answer one of one field,
 * its status, of which 1 is SERVING; each behind a byte, 0, and its length in
 * four.
 */


#include "ngx_http_background_probe.h"


#define NGX_HTTP_BACKGROUND_GRPC_SERVICE  127

/* of a message: its flag and its length */
#define NGX_HTTP_BACKGROUND_GRPC_FRAME    5

#define NGX_HTTP_BACKGROUND_GRPC_SERVING  1


static ngx_int_t ngx_http_background_probe_grpc_header(ngx_conf_t *cf,
    ngx_http_background_fetch_conf_t *rcf, const char *name,
    const char *lowcase, const char *value);
static ngx_int_t ngx_http_background_probe_grpc_code(ngx_http_request_t *r);
static ngx_int_t ngx_http_background_probe_grpc_find(ngx_list_t *list);
static ngx_int_t ngx_http_background_probe_grpc_health(ngx_str_t *body);
static u_char *ngx_http_background_probe_grpc_number(u_char *p, u_char *last,
    uint64_t *n);


ngx_int_t
ngx_http_background_probe_grpc_conf(ngx_conf_t *cf,
    ngx_http_background_probe_op_t *op)
{
    u_char                            *p;
    ngx_str_t                         *value, *service;
    ngx_http_complex_value_t          *body;
    ngx_http_background_fetch_conf_t  *rcf;

    static ngx_str_t  uri = ngx_string("/grpc.health.v1.Health/Check");

    rcf = op->conf;
    service = &op->grpc_service;

    if (service->len > NGX_HTTP_BACKGROUND_GRPC_SERVICE) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"grpc_service=\" is longer than %d bytes in "
                           "\"%V\" directive",
                           NGX_HTTP_BACKGROUND_GRPC_SERVICE, &value[0]);
        return NGX_ERROR;
    }

    if (!op->http) {
        op->http = 1;
        op->uri.value = uri;
    }

    body = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    p = ngx_pnalloc(cf->pool, NGX_HTTP_BACKGROUND_GRPC_FRAME + 2
                              + service->len);

    if (body == NULL || p == NULL) {
        return NGX_ERROR;
    }

    body->value.data = p;

    p = ngx_cpymem(p, "\0\0\0\0", 4);

    if (service->len) {
        *p++ = (u_char) (2 + service->len);
        *p++ = 1 << 3 | 2;                  /* field 1, a string */
        *p++ = (u_char) service->len;
        p = ngx_cpymem(p, service->data, service->len);

    } else {
        *p++ = 0;
    }

    body->value.len = p - body->value.data;

    rcf->body = body;
    rcf->response = 1;

    if (op->grpc_status == 0) {
        op->grpc_status = 1;
        op->grpc_health = 1;
    }

    if (ngx_http_background_probe_grpc_header(cf, rcf, "Content-Type",
                                            "content-type", "application/grpc")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_probe_grpc_header(cf, rcf, "TE", "te",
                                                 "trailers");
}


static ngx_int_t
ngx_http_background_probe_grpc_header(ngx_conf_t *cf,
    ngx_http_background_fetch_conf_t *rcf, const char *name,
    const char *lowcase, const char *value)
{
    ngx_http_background_header_t  *h;

    h = ngx_array_push(&rcf->headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_http_background_header_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->lowcase_key = (u_char *) lowcase;
    h->value.value.data = (u_char *) value;
    h->value.value.len = ngx_strlen(value);

    return NGX_OK;
}


ngx_uint_t
ngx_http_background_probe_grpc_passes(ngx_http_background_probe_op_t *op,
    ngx_http_background_fetches_t *rs, ngx_http_request_t *r)
{
    ngx_int_t   code, health;
    ngx_str_t  *body;

    code = ngx_http_background_probe_grpc_code(r);

    if (code == NGX_ERROR) {
        ngx_http_background_fetch_fail(rs, NULL, 0, "no \"grpc-status\"");
        return 0;
    }

    if (code > 16 || !(op->grpc_status & (uint64_t) 1 << code)) {
        ngx_http_background_fetch_fail(rs, NULL, 0,
                                       "unexpected grpc-status %i", code);
        return 0;
    }

    if (!op->grpc_health) {
        return 1;
    }

    body = ngx_http_background_fetch_response(r);
    health = body ? ngx_http_background_probe_grpc_health(body) : NGX_ERROR;

    if (health == NGX_HTTP_BACKGROUND_GRPC_SERVING) {
        return 1;
    }

    if (health == NGX_ERROR) {
        ngx_http_background_fetch_fail(rs, NULL, 0, "invalid gRPC message");

    } else {
        ngx_http_background_fetch_fail(rs, NULL, 0,
                                       "the service is not serving, its status "
                                       "is %i", health);
    }

    return 0;
}


/* the code is in the trailers or, without a body, in the header */

static ngx_int_t
ngx_http_background_probe_grpc_code(ngx_http_request_t *r)
{
    ngx_int_t             code;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL) {
        return NGX_ERROR;
    }

    code = ngx_http_background_probe_grpc_find(&u->headers_in.trailers);

    return code != NGX_ERROR
           ? code : ngx_http_background_probe_grpc_find(&u->headers_in.headers);
}


static ngx_int_t
ngx_http_background_probe_grpc_find(ngx_list_t *list)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &list->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == 11
                && ngx_strncasecmp(h[i].key.data, (u_char *) "grpc-status", 11)
                   == 0)
            {
                return ngx_atoi(h[i].value.data, h[i].value.len);
            }
        }
    }

    return NGX_ERROR;
}


/* returns the status; 0, "UNKNOWN", if the field is missing */

static ngx_int_t
ngx_http_background_probe_grpc_health(ngx_str_t *body)
{
    u_char    *p, *last;
    size_t     len;
    uint64_t   key, n, type, status;

    p = body->data;

    if (body->len < NGX_HTTP_BACKGROUND_GRPC_FRAME || p[0] != 0) {
        return NGX_ERROR;
    }

    len = (size_t) p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4];

    if (len > body->len - NGX_HTTP_BACKGROUND_GRPC_FRAME) {
        return NGX_ERROR;
    }

    p += NGX_HTTP_BACKGROUND_GRPC_FRAME;
    last = p + len;
    status = 0;
    n = 0;

    while (p < last) {
        p = ngx_http_background_probe_grpc_number(p, last, &key);

        if (p == NULL) {
            return NGX_ERROR;
        }

        type = key & 7;

        if (type == 0 || type == 2) {
            p = ngx_http_background_probe_grpc_number(p, last, &n);

            if (p == NULL) {
                return NGX_ERROR;
            }
        }

        switch (type) {

        case 0:                             /* a number */
            if (key >> 3 == 1) {
                status = n;
            }

            continue;

        case 1:                             /* of 8 bytes */
            n = 8;
            break;

        case 2:                             /* of n bytes */
            break;

        case 5:                             /* of 4 bytes */
            n = 4;
            break;

        default:
            return NGX_ERROR;
        }

        if (n > (uint64_t) (last - p)) {
            return NGX_ERROR;
        }

        p += n;
    }

    return (ngx_int_t) ngx_min(status, NGX_MAX_INT32_VALUE);
}


/* returns NULL if the number does not end or has too many bytes */

static u_char *
ngx_http_background_probe_grpc_number(u_char *p, u_char *last, uint64_t *n)
{
    ngx_uint_t  shift;

    *n = 0;

    for (shift = 0; p < last && shift < 64; shift += 7) {
        *n |= (uint64_t) (*p & 0x7f) << shift;

        if (!(*p++ & 0x80)) {
            return p;
        }
    }

    return NULL;
}
