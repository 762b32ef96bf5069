
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_manifest.h"


static size_t ngx_http_background_manifest_escaped(ngx_str_t *name);
static ngx_int_t ngx_http_background_manifest_tagged(ngx_str_t *line,
    const EVP_MD *md, ngx_str_t *hex, ngx_str_t *name);
static ngx_int_t ngx_http_background_manifest_unescape(ngx_str_t *name);
static ngx_int_t ngx_http_background_manifest_unhex(u_char *hash,
    ngx_str_t *hex);


size_t
ngx_http_background_manifest_size(size_t len, ngx_str_t *name)
{
    return sizeof("\\  ./\n") - 1 + 2 * len + name->len
           + ngx_http_background_manifest_escaped(name);
}


/* a backslash in front of the line tells that there are some in the name */

u_char *
ngx_http_background_manifest_format(u_char *p, u_char *hash, size_t len,
    ngx_str_t *name)
{
    u_char  ch;
    size_t  i;

    if (ngx_http_background_manifest_escaped(name)) {
        *p++ = '\\';
    }

    p = ngx_hex_dump(p, hash, len);

    *p++ = ' ';
    *p++ = ' ';

    /* "-" alone would be standard input */

    if (name->len == 1 && name->data[0] == '-') {
        *p++ = '.';
        *p++ = '/';
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (ch == '\\' || ch == '\n' || ch == '\r') {
            *p++ = '\\';
            ch = (ch == '\n') ? 'n' : (ch == '\r') ? 'r' : ch;
        }

        *p++ = ch;
    }

    *p++ = '\n';

    return p;
}


static size_t
ngx_http_background_manifest_escaped(ngx_str_t *name)
{
    u_char  ch;
    size_t  i, n;

    n = 0;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];
        n += (ch == '\\' || ch == '\n' || ch == '\r');
    }

    return n;
}


ngx_int_t
ngx_http_background_manifest_parse(ngx_str_t *line, const EVP_MD *md,
    u_char *hash, ngx_str_t *name)
{
    ngx_str_t   s, hex;
    ngx_uint_t  escaped;

    s = *line;

    if (s.len && s.data[s.len - 1] == '\r') {
        s.len--;
    }

    if (s.len == 0 || s.data[0] == '#') {
        return NGX_DECLINED;
    }

    escaped = (s.data[0] == '\\');

    s.data += escaped;
    s.len -= escaped;

    hex.data = s.data;
    hex.len = 2 * EVP_MD_size(md);

    if (s.len > hex.len + 2
        && s.data[hex.len] == ' '
        && (s.data[hex.len + 1] == ' ' || s.data[hex.len + 1] == '*'))
    {
        name->data = s.data + hex.len + 2;
        name->len = s.len - hex.len - 2;

    } else if (ngx_http_background_manifest_tagged(&s, md, &hex, name)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_background_manifest_unhex(hash, &hex) != NGX_OK) {
        return NGX_ERROR;
    }

    if (escaped && ngx_http_background_manifest_unescape(name) != NGX_OK) {
        return NGX_ERROR;
    }

    name->data[name->len] = '\0';

    return (ngx_strlen(name->data) == name->len) ? NGX_OK : NGX_ERROR;
}


/* "ALGORITHM (NAME) = HASH" */

static ngx_int_t
ngx_http_background_manifest_tagged(ngx_str_t *line, const EVP_MD *md,
    ngx_str_t *hex, ngx_str_t *name)
{
    char     tag[64];
    u_char  *p, *last;

    if (line->len < hex->len) {
        return NGX_ERROR;
    }

    p = ngx_strlchr(line->data, line->data + line->len, ' ');
    last = line->data + line->len - hex->len;

    if (p == NULL || (size_t) (p - line->data) >= sizeof(tag)
        || last - p < (ssize_t) sizeof(" (x) = ") - 1
        || p[1] != '('
        || ngx_strncmp(last - 4, ") = ", 4) != 0)
    {
        return NGX_ERROR;
    }

    ngx_cpystrn((u_char *) tag, line->data, p - line->data + 1);

#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

    if (!EVP_MD_is_a(md, tag)) {
        return NGX_ERROR;
    }

#else

    if (EVP_get_digestbyname(tag) != md) {
        return NGX_ERROR;
    }

#endif

    hex->data = last;
    name->data = p + 2;
    name->len = last - 4 - name->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_manifest_unescape(ngx_str_t *name)
{
    u_char  *p, *q, *last;

    q = name->data;
    last = name->data + name->len;

    for (p = name->data; p < last; p++) {

        if (*p != '\\') {
            *q++ = *p;
            continue;
        }

        if (++p == last) {
            return NGX_ERROR;
        }

        switch (*p) {
        case 'n':
            *q++ = '\n';
            break;
        case 'r':
            *q++ = '\r';
            break;
        case '\\':
            *q++ = '\\';
            break;
        default:
            return NGX_ERROR;
        }
    }

    name->len = q - name->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_manifest_unhex(u_char *hash, ngx_str_t *hex)
{
    size_t     i;
    ngx_int_t  n;

    for (i = 0; i < hex->len; i += 2) {

        n = ngx_hextoi(hex->data + i, 2);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *hash++ = n;
    }

    return NGX_OK;
}
