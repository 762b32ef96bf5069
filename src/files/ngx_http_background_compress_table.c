
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_compress_table.h"


#define NGX_HTTP_BACKGROUND_TABLE_NSEC    9

/* how many of the newest "+" lines of a path are kept */
#define NGX_HTTP_BACKGROUND_TABLE_STAMPS  16


static ngx_int_t ngx_http_background_table_line(
    ngx_http_background_table_t *table);
static ngx_int_t ngx_http_background_table_header(
    ngx_http_background_table_t *table);
static ngx_int_t ngx_http_background_table_source(u_char **pos, u_char *last,
    ngx_http_background_stamp_t *stamp);
static ngx_int_t ngx_http_background_table_digest(u_char **pos, u_char *last,
    u_char *digest);
static ngx_int_t ngx_http_background_table_size(u_char **pos, u_char *last,
    off_t *size);
static ngx_int_t ngx_http_background_table_inode(u_char **pos, u_char *last,
    uint64_t *inode);
static ngx_int_t ngx_http_background_table_time(u_char **pos, u_char *last,
    time_t *sec, long *nsec);
static ngx_int_t ngx_http_background_table_unescape(ngx_str_t *path);
static ngx_http_background_made_t *ngx_http_background_table_insert(
    ngx_http_background_table_t *table, ngx_str_t *path);
static ngx_http_background_stamp_t *ngx_http_background_table_take(
    ngx_http_background_made_t *made,
    const ngx_http_background_stamp_t *stamp);


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
            n = NGX_HTTP_BACKGROUND_TABLE_LINE - table->len;
            table->too_long = 1;
        }

        ngx_memcpy(table->line + table->len, p, n);
        table->len += n;

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
    if (table->size && table->version == 0) {
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
    table->version = 0;
    table->too_long = 0;
    table->len = 0;
}


void
ngx_http_background_table_skip(ngx_http_background_table_t *table, size_t len)
{
    table->size += len;
    table->lines++;
}


static ngx_int_t
ngx_http_background_table_line(ngx_http_background_table_t *table)
{
    u_char                       *p, *last;
    ngx_str_t                     path;
    ngx_http_background_stamp_t   stamp;

    if (table->version == 0) {
        return ngx_http_background_table_header(table);
    }

    p = table->line;
    last = p + table->len;

    if (p < last && *p == '#') {
        return NGX_OK;
    }

    table->lines++;

    if (table->too_long || last - p < 3) {
        return NGX_OK;
    }

    ngx_memzero(&stamp, sizeof(ngx_http_background_stamp_t));

    stamp.sign = *p++;
    stamp.source.known = (*p == '2');
    p += stamp.source.known;

    switch (stamp.sign) {

    case '+':
    case '-':
        break;

    case '=':
    case '!':
        if (stamp.source.known) {
            break;
        }

        /* fall through */

    default:
        return NGX_OK;
    }

    if (*p++ != ' '
        || ngx_http_background_table_size(&p, last, &stamp.size) != NGX_OK
        || ngx_http_background_table_time(&p, last, &stamp.sec, &stamp.nsec)
           != NGX_OK
        || ngx_http_background_table_source(&p, last, &stamp) != NGX_OK)
    {
        return NGX_OK;
    }

    path.data = p;
    path.len = last - p;

    if (ngx_http_background_table_unescape(&path) != NGX_OK) {
        return NGX_OK;
    }

    return (ngx_http_background_table_add(table, &stamp, &path) == NGX_ERROR)
           ? NGX_ERROR
           : NGX_OK;
}


static ngx_int_t
ngx_http_background_table_header(ngx_http_background_table_t *table)
{
    size_t  len;

    len = sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 2;

    if (!table->too_long && table->len == len) {

        if (ngx_memcmp(table->line, NGX_HTTP_BACKGROUND_TABLE_HEADER, len)
            == 0)
        {
            table->version = 2;
            return NGX_OK;
        }

        if (ngx_memcmp(table->line, NGX_HTTP_BACKGROUND_TABLE_HEADER_1, len)
            == 0)
        {
            table->version = 1;
            return NGX_OK;
        }
    }

    table->error = "%s is no list of this module";

    return NGX_DECLINED;
}


/* parses SOURCE and, in "+" and "-" lines, DIGEST, and the spaces after them */

static ngx_int_t
ngx_http_background_table_source(u_char **pos, u_char *last,
    ngx_http_background_stamp_t *stamp)
{
    ngx_http_background_source_t  *source;

    source = &stamp->source;

    if (!source->known) {
        return NGX_OK;
    }

    if (ngx_http_background_table_size(pos, last, &source->size) != NGX_OK
        || ngx_http_background_table_inode(pos, last, &source->inode) != NGX_OK
        || ngx_http_background_table_time(pos, last, &source->sec,
                                          &source->nsec) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (stamp->sign == '=' || stamp->sign == '!') {
        return NGX_OK;
    }

    return ngx_http_background_table_digest(pos, last, source->digest);
}


static ngx_int_t
ngx_http_background_table_digest(u_char **pos, u_char *last, u_char *digest)
{
    u_char     *p;
    ngx_int_t   n;
    ngx_uint_t  i;

    p = *pos;

    if (last - p <= 2 * NGX_HTTP_BACKGROUND_TABLE_DIGEST
        || p[2 * NGX_HTTP_BACKGROUND_TABLE_DIGEST] != ' ')
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_HTTP_BACKGROUND_TABLE_DIGEST; i++) {
        n = ngx_hextoi(p, 2);

        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        digest[i] = n;
        p += 2;
    }

    *pos = p + 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_table_size(u_char **pos, u_char *last, off_t *size)
{
    u_char  *p;

    p = ngx_strlchr(*pos, last, ' ');

    if (p == NULL) {
        return NGX_DECLINED;
    }

    *size = ngx_atoof(*pos, p - *pos);

    if (*size == NGX_ERROR) {
        return NGX_DECLINED;
    }

    *pos = p + 1;

    return NGX_OK;
}


/* some file systems use all 64 bits of the inode number */

static ngx_int_t
ngx_http_background_table_inode(u_char **pos, u_char *last, uint64_t *inode)
{
    u_char    *p;
    uint64_t   n, digit;

    n = 0;

    for (p = *pos; p < last && *p >= '0' && *p <= '9'; p++) {
        digit = *p - '0';

        if (n > (UINT64_MAX - digit) / 10) {
            return NGX_DECLINED;
        }

        n = n * 10 + digit;
    }

    if (p == *pos || p == last || *p != ' ') {
        return NGX_DECLINED;
    }

    *inode = n;
    *pos = p + 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_table_time(u_char **pos, u_char *last, time_t *sec,
    long *nsec)
{
    u_char      *p, *q;
    ngx_uint_t   negative;

    p = *pos;
    negative = (p < last && *p == '-');
    p += negative;
    q = ngx_strlchr(p, last, '.');

    if (q == NULL || last - q < NGX_HTTP_BACKGROUND_TABLE_NSEC + 2) {
        return NGX_DECLINED;
    }

    *sec = ngx_atotm(p, q - p);
    *nsec = ngx_atoi(q + 1, NGX_HTTP_BACKGROUND_TABLE_NSEC);

    if (*sec == NGX_ERROR || *nsec == NGX_ERROR) {
        return NGX_DECLINED;
    }

    if (negative) {
        *sec = -*sec;
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
ngx_http_background_table_add(ngx_http_background_table_t *table,
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

    made->current = 0;

    s = ngx_http_background_table_take(made, stamp);

    if (s == NULL) {
        s = ngx_palloc(table->pool, sizeof(ngx_http_background_stamp_t));
        if (s == NULL) {
            return NGX_ERROR;
        }
    }

    *s = *stamp;
    s->next = NULL;

    switch (stamp->sign) {

    case '+':
        s->next = made->made;
        made->made = s;

        /* a file was made of that source */

        if (s->source.known) {
            made->poor = NULL;
        }

        break;

    case '-':
        made->poor = s;
        break;

    default:
        made->other = s;
    }

    return NGX_OK;
}


/* returns the stamp that a new one replaces, or NULL */

static ngx_http_background_stamp_t *
ngx_http_background_table_take(ngx_http_background_made_t *made,
    const ngx_http_background_stamp_t *stamp)
{
    ngx_uint_t                    n;
    ngx_http_background_stamp_t  *s, **next;

    switch (stamp->sign) {

    case '-':
        return made->poor;

    case '=':
    case '!':
        return made->other;
    }

    n = 0;

    for (next = &made->made; *next; next = &(*next)->next) {
        s = *next;

        if ((s->size == stamp->size && s->sec == stamp->sec
             && s->nsec == stamp->nsec)
            || ++n == NGX_HTTP_BACKGROUND_TABLE_STAMPS)
        {
            *next = s->next;
            return s;
        }
    }

    return NULL;
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
ngx_http_background_table_format(u_char *buf,
    const ngx_http_background_stamp_t *stamp, ngx_http_background_made_t *made)
{
    size_t                               i;
    u_char                              *p, ch;
    const ngx_http_background_source_t  *source;

    source = &stamp->source;

    p = ngx_sprintf(buf, "%c%s %O %T.%09L ", stamp->sign,
                    source->known ? "2" : "", stamp->size, stamp->sec,
                    (int64_t) stamp->nsec);

    if (source->known) {
        p = ngx_sprintf(p, "%O %uL %T.%09L ", source->size, source->inode,
                        source->sec, (int64_t) source->nsec);

        if (stamp->sign == '+' || stamp->sign == '-') {
            p = ngx_hex_dump(p, (u_char *) source->digest,
                             NGX_HTTP_BACKGROUND_TABLE_DIGEST);
            *p++ = ' ';
        }
    }

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


/*
 * A file that was made may be empty after a crash of the system: it matches,
 * too.
 */

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


ngx_uint_t
ngx_http_background_stamp_unchanged(const ngx_http_background_stamp_t *stamp,
    ngx_file_info_t *fi)
{
    return stamp->size == fi->st_size
           && stamp->sec == fi->st_ctim.tv_sec
           && stamp->nsec == fi->st_ctim.tv_nsec;
}


void
ngx_http_background_source_set(ngx_http_background_source_t *source,
    ngx_file_info_t *fi)
{
    source->known = 1;
    source->size = fi->st_size;
    source->inode = fi->st_ino;
    source->sec = fi->st_ctim.tv_sec;
    source->nsec = fi->st_ctim.tv_nsec;
}


ngx_uint_t
ngx_http_background_source_same(const ngx_http_background_source_t *source,
    ngx_file_info_t *fi)
{
    return source->known
           && source->size == fi->st_size
           && source->inode == fi->st_ino
           && source->sec == fi->st_ctim.tv_sec
           && source->nsec == fi->st_ctim.tv_nsec;
}
