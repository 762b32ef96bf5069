
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Verdicts and orders in pages that both binaries of an upgrade share.
 *
 * The first page of an upstream says how many servers there are in all of them.
 * It is written last, so pages after it are at least as new.
 */


#include "ngx_http_background_probe.h"


#define NGX_HTTP_BACKGROUND_PROBE_SAVED  44

/* with the longest name of an upstream that a page may have */
#define NGX_HTTP_BACKGROUND_PROBE_NAME   512


typedef struct {
    uint64_t                     table;      /* id of the shared memory */
    uint64_t                     total;      /* of servers in all pages */
    uint64_t                     lifted;
    ngx_http_background_saved_t  saved[NGX_HTTP_BACKGROUND_PROBE_SAVED];
} ngx_http_background_probe_page_t;


typedef char  ngx_http_background_probe_page_fits
    [sizeof(ngx_http_background_probe_page_t) <= NGX_HTTP_BACKGROUND_PAGE
     ? 1 : -1];


static ngx_int_t ngx_http_background_probe_page_name(
    ngx_http_background_probe_op_t *op, ngx_uint_t orders, ngx_uint_t number,
    ngx_str_t *name);
static ngx_uint_t ngx_http_background_probe_fill_page(
    ngx_http_background_probe_op_t *op, ngx_uint_t *from,
    ngx_http_background_probe_page_t *page);
static void ngx_http_background_probe_write_page(
    ngx_http_background_probe_op_t *op, ngx_uint_t orders, ngx_uint_t number,
    ngx_http_background_probe_page_t *page, ngx_log_t *log);
static ngx_int_t ngx_http_background_probe_read_page(
    ngx_http_background_probe_op_t *op, ngx_uint_t orders, ngx_uint_t number,
    ngx_http_background_probe_page_t *page);
static void ngx_http_background_probe_import_pages(
    ngx_http_background_probe_op_t *op, ngx_uint_t orders);


void
ngx_http_background_probe_export(ngx_http_background_probe_op_t *op,
    ngx_uint_t orders, ngx_uint_t tell, ngx_log_t *log)
{
    ngx_uint_t                        n, from, total, number;
    ngx_http_background_probe_page_t  first, page;

    if (op->group == NULL) {
        return;
    }

    from = 0;
    total = ngx_http_background_probe_fill_page(op, &from, &first);

    for (number = 1; /* void */ ; number++) {
        n = ngx_http_background_probe_fill_page(op, &from, &page);

        if (n == 0) {
            break;
        }

        ngx_http_background_probe_write_page(op, orders, number, &page, log);
        total += n;
    }

    first.total = total;
    ngx_http_background_probe_write_page(op, orders, 0, &first, log);

    if (tell) {
        ngx_http_background_pages_changed();
    }
}


/* returns how many servers the page has */

static ngx_uint_t
ngx_http_background_probe_fill_page(ngx_http_background_probe_op_t *op,
    ngx_uint_t *from, ngx_http_background_probe_page_t *page)
{
    ngx_uint_t  n;

    ngx_memzero(page, sizeof(ngx_http_background_probe_page_t));

    page->table = ngx_http_background_probe_table_id(op);
    page->lifted = ngx_http_background_probe_lifted(op);

    for (n = 0; n < NGX_HTTP_BACKGROUND_PROBE_SAVED; n++) {
        if (ngx_http_background_probe_save(op, from, &page->saved[n])
            != NGX_OK)
        {
            break;
        }
    }

    return n;
}


static void
ngx_http_background_probe_write_page(ngx_http_background_probe_op_t *op,
    ngx_uint_t orders, ngx_uint_t number,
    ngx_http_background_probe_page_t *page, ngx_log_t *log)
{
    u_char     text[NGX_HTTP_BACKGROUND_PROBE_NAME];
    ngx_str_t  name;

    name.data = text;

    if (ngx_http_background_probe_page_name(op, orders, number, &name)
        == NGX_OK)
    {
        ngx_http_background_page_write(&name, page,
                                       sizeof(ngx_http_background_probe_page_t),
                                       log);
    }
}


/* name->data is a buffer of NGX_HTTP_BACKGROUND_PROBE_NAME bytes */

static ngx_int_t
ngx_http_background_probe_page_name(ngx_http_background_probe_op_t *op,
    ngx_uint_t orders, ngx_uint_t number, ngx_str_t *name)
{
    u_char  *p, *last;

    last = name->data + NGX_HTTP_BACKGROUND_PROBE_NAME;

    p = ngx_slprintf(name->data, last, "probe%Z%s%Z%ui%Z%V",
                     orders ? "orders" : "verdicts", number, &op->title);

    name->len = p - name->data;

    return p < last ? NGX_OK : NGX_DECLINED;
}


/* a page of this binary itself counts as none */

static ngx_int_t
ngx_http_background_probe_read_page(ngx_http_background_probe_op_t *op,
    ngx_uint_t orders, ngx_uint_t number,
    ngx_http_background_probe_page_t *page)
{
    u_char     text[NGX_HTTP_BACKGROUND_PROBE_NAME];
    ngx_str_t  name;

    name.data = text;

    if (ngx_http_background_probe_page_name(op, orders, number, &name) != NGX_OK
        || ngx_http_background_page_read(&name, page,
                                       sizeof(ngx_http_background_probe_page_t))
           != NGX_OK
        || page->table == ngx_http_background_probe_table_id(op))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_background_probe_others(ngx_http_background_probe_op_t *op)
{
    ngx_http_background_probe_page_t  page;

    return op->group
           && (ngx_http_background_probe_read_page(op, 0, 0, &page) == NGX_OK
               || ngx_http_background_probe_read_page(op, 1, 0, &page)
                  == NGX_OK);
}


void
ngx_http_background_probe_import(ngx_http_background_probe_op_t *op)
{
    if (op->group) {
        ngx_http_background_probe_import_pages(op, 0);
        ngx_http_background_probe_import_pages(op, 1);
    }
}


static void
ngx_http_background_probe_import_pages(ngx_http_background_probe_op_t *op,
    ngx_uint_t orders)
{
    uint64_t                          i, total;
    ngx_uint_t                        n, number;
    ngx_http_background_probe_page_t  page;

    if (ngx_http_background_probe_read_page(op, orders, 0, &page) != NGX_OK) {
        return;
    }

    if (!orders) {
        ngx_http_background_probe_lift(op, page.lifted != 0);
    }

    total = ngx_min(page.total, NGX_HTTP_BACKGROUND_PROBE_MAX);
    n = 0;

    for (i = 0; i < total; i++) {
        number = i / NGX_HTTP_BACKGROUND_PROBE_SAVED;

        if (number && i % NGX_HTTP_BACKGROUND_PROBE_SAVED == 0
            && ngx_http_background_probe_read_page(op, orders, number, &page)
               != NGX_OK)
        {
            return;
        }

        ngx_http_background_probe_restore(op, &n,
                       &page.saved[i % NGX_HTTP_BACKGROUND_PROBE_SAVED],
                       orders);
    }
}
