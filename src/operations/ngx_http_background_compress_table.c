
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_compress_table.h"


#define NGX_HTTP_BACKGROUND_TABLE_NSEC  9


static ngx_int_t ngx_http_background_table_line(
    ngx_http_background_table_t *table);
static ngx_int_t ngx_http_background_table_stamp(u_char **pos, u_char *last,
    ngx_http_background_stamp_t *stamp);
static ngx_int_t ngx_http_background_table_unescape(ngx_str_t *path);
static ngx_http_background_made_t *ngx_http_background_table_insert(
    ngx_http_background_table_t *table, ngx_str_t *path);


ngx_int_t
ngx_http_background_table_init(ngx_http_background_table_t *table,
    ngx_log_t *log)
{
    ngx_memzero(table, offsetof(ngx_http_background_table_t, line));

    ngx_rbtree_init(&table->rbtree, &table->sentinel,
                    ngx_str_rbtree_insert_value);

    table->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);

    return table->pool ? NGX_OK : NGX_ERROR;
}


void
ngx_http_background_table_destroy(ngx_http_background_table_t *table)
{
    if (table->pool) {
        ngx_destroy_pool(table->pool);
        table->pool = NULL;
    }
}


ngx_int_t
ngx_http_background_table_parse(ngx_http_background_table_t *table, u_char *p,
    size_t len)
{
    size_t      n;
    u_char     *end, *last;
    ngx_int_t   rc;

    if (len > NGX_HTTP_BACKGROUND_TABLE_MAX - table->size) {
        table->error = NGX_HTTP_BACKGROUND_TABLE_LARGE;
        return NGX_DECLINED;
    }

    table->size += len;
    last = p + len;

    while (p < last) {
        end = ngx_strlchr(p, last, '\n');
        n = (end ? end : last) - p;

        if (n > NGX_HTTP_BACKGROUND_TABLE_LINE - table->len) {
            table->too_long = 1;

        } else if (!table->too_long) {
            ngx_memcpy(table->line + table->len, p, n);
            table->len += n;
        }

        if (end == NULL) {
            break;
        }

        rc = ngx_http_background_table_line(table);

        if (rc != NGX_OK) {
            return rc;
        }

        table->len = 0;
        table->too_long = 0;

        p = end + 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_table_end(ngx_http_background_table_t *table)
{
    if (table->size && !table->header) {
        table->error = "%s is no list of this module";
        return NGX_DECLINED;
    }

    return (table->len || table->too_long) ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_background_table_restart(ngx_http_background_table_t *table)
{
    table->size = 0;
    table->lines = 0;
    table->header = 0;
    table->too_long = 0;
    table->len = 0;
}


static ngx_int_t
ngx_http_background_table_line(ngx_http_background_table_t *table)
{
    u_char                       *p, *last, sign;
    ngx_str_t                     path;
    ngx_http_background_stamp_t   stamp;

    p = table->line;
    last = p + table->len;

    if (!table->header) {

        if (table->too_long
            || table->len != sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 2
            || ngx_memcmp(p, NGX_HTTP_BACKGROUND_TABLE_HEADER, table->len)
               != 0)
        {
            table->error = "%s is no list of this module";
            return NGX_DECLINED;
        }

        table->header = 1;
        return NGX_OK;
    }

    if (p < last && *p == '#') {
        return NGX_OK;
    }

    table->lines++;

    if (table->too_long || last - p < 2 || (*p != '+' && *p != '-')
        || p[1] != ' ')
    {
        return NGX_OK;
    }

    sign = *p;
    p += 2;

    if (ngx_http_background_table_stamp(&p, last, &stamp) != NGX_OK) {
        return NGX_OK;
    }

    path.data = p;
    path.len = last - p;

    if (ngx_http_background_table_unescape(&path) != NGX_OK) {
        return NGX_OK;
    }

    return (ngx_http_background_table_add(table, sign, &stamp, &path)
            == NGX_ERROR)
           ? NGX_ERROR
           : NGX_OK;
}


/* "SIZE SECONDS.NANOSECONDS " */

static ngx_int_t
ngx_http_background_table_stamp(u_char **pos, u_char *last,
    ngx_http_background_stamp_t *stamp)
{
    u_char      *p, *q;
    ngx_uint_t   negative;

    p = *pos;
    q = ngx_strlchr(p, last, ' ');

    if (q == NULL) {
        return NGX_DECLINED;
    }

    stamp->size = ngx_atoof(p, q - p);

    if (stamp->size == NGX_ERROR) {
        return NGX_DECLINED;
    }

    p = q + 1;
    negative = (p < last && *p == '-');
    p += negative;
    q = ngx_strlchr(p, last, '.');

    if (q == NULL || last - q < NGX_HTTP_BACKGROUND_TABLE_NSEC + 2) {
        return NGX_DECLINED;
    }

    stamp->sec = ngx_atotm(p, q - p);
    stamp->nsec = ngx_atoi(q + 1, NGX_HTTP_BACKGROUND_TABLE_NSEC);

    if (stamp->sec == NGX_ERROR || stamp->nsec == NGX_ERROR) {
        return NGX_DECLINED;
    }

    if (negative) {
        stamp->sec = -stamp->sec;
    }

    p = q + 1 + NGX_HTTP_BACKGROUND_TABLE_NSEC;

    if (*p != ' ') {
        return NGX_DECLINED;
    }

    *pos = p + 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_table_unescape(ngx_str_t *path)
{
    u_char  *p, *q, *last;

    q = path->data;
    last = path->data + path->len;

    for (p = path->data; p < last; p++) {

        if (*p != '\\') {
            *q++ = *p;
            continue;
        }

        if (++p == last || (*p != '\\' && *p != 'n')) {
            return NGX_DECLINED;
        }

        *q++ = (*p == 'n') ? '\n' : '\\';
    }

    path->len = q - path->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_table_add(ngx_http_background_table_t *table, u_char sign,
    const ngx_http_background_stamp_t *stamp, ngx_str_t *path)
{
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *s;

    if (path->len == 0 || path->len >= NGX_HTTP_BACKGROUND_TABLE_PATH
        || memchr(path->data, '\0', path->len) != NULL)
    {
        return NGX_DECLINED;
    }

    made = ngx_http_background_table_find(table, path);

    if (made == NULL) {
        made = ngx_http_background_table_insert(table, path);
        if (made == NULL) {
            return NGX_ERROR;
        }
    }

    s = (sign == '+') ? made->made : made->poor;

    /* the same line again */

    if (s && s->size == stamp->size && s->sec == stamp->sec
        && s->nsec == stamp->nsec)
    {
        return NGX_OK;
    }

    s = ngx_palloc(table->pool, sizeof(ngx_http_background_stamp_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    *s = *stamp;

    if (sign == '+') {
        s->next = made->made;
        made->made = s;

    } else {
        s->next = NULL;
        made->poor = s;
    }

    return NGX_OK;
}


ngx_http_background_made_t *
ngx_http_background_table_find(ngx_http_background_table_t *table,
    ngx_str_t *path)
{
    return (ngx_http_background_made_t *)
               ngx_str_rbtree_lookup(&table->rbtree, path,
                                     ngx_crc32_long(path->data, path->len));
}


static ngx_http_background_made_t *
ngx_http_background_table_insert(ngx_http_background_table_t *table,
    ngx_str_t *path)
{
    ngx_http_background_made_t  *made;

    made = ngx_pcalloc(table->pool, sizeof(ngx_http_background_made_t));
    if (made == NULL) {
        return NULL;
    }

    made->sn.str.data = ngx_pnalloc(table->pool, path->len + 1);
    if (made->sn.str.data == NULL) {
        return NULL;
    }

    ngx_cpystrn(made->sn.str.data, path->data, path->len + 1);

    made->sn.str.len = path->len;
    made->sn.node.key = ngx_crc32_long(path->data, path->len);

    ngx_rbtree_insert(&table->rbtree, &made->sn.node);

    return made;
}


ngx_http_background_made_t *
ngx_http_background_table_next(ngx_http_background_table_t *table,
    ngx_http_background_made_t *made)
{
    ngx_rbtree_node_t  *node;

    if (made) {
        node = ngx_rbtree_next(&table->rbtree, &made->sn.node);

    } else if (table->rbtree.root == &table->sentinel) {
        node = NULL;

    } else {
        node = ngx_rbtree_min(table->rbtree.root, &table->sentinel);
    }

    return (ngx_http_background_made_t *) node;
}


u_char *
ngx_http_background_table_format(u_char *buf, u_char sign,
    const ngx_http_background_stamp_t *stamp, ngx_http_background_made_t *made)
{
    size_t   i;
    u_char  *p, ch;

    p = ngx_sprintf(buf, "%c %O %T.%09L ", sign, stamp->size, stamp->sec,
                    (int64_t) stamp->nsec);

    for (i = 0; i < made->sn.str.len; i++) {
        ch = made->sn.str.data[i];

        if (ch == '\\' || ch == '\n') {
            *p++ = '\\';
            ch = (ch == '\n') ? 'n' : ch;
        }

        *p++ = ch;
    }

    *p++ = '\n';

    return p;
}


/* an empty one is what a crash of the machine may leave of ours */

ngx_http_background_stamp_t *
ngx_http_background_stamp_match(ngx_http_background_stamp_t *stamp,
    ngx_file_info_t *fi)
{
    for ( /* void */ ; stamp; stamp = stamp->next) {

        if (stamp->sec == fi->st_mtim.tv_sec
            && (stamp->size == fi->st_size || fi->st_size == 0))
        {
            return stamp;
        }
    }

    return NULL;
}
