
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_manifest.h"


static size_t ngx_http_background_manifest_escaped(ngx_str_t *name);
static ngx_int_t ngx_http_background_manifest_tagged(ngx_str_t *line,
    const EVP_MD *md, ngx_http_background_checksum_t *sum);
static size_t ngx_http_background_manifest_tag(const EVP_MD *md,
    ngx_str_t *tag);
static ngx_uint_t ngx_http_background_manifest_is_md(const EVP_MD *md,
    const char *name);
static ngx_int_t ngx_http_background_manifest_plain(ngx_str_t *line,
    const EVP_MD *md, ngx_uint_t *blanks, ngx_http_background_checksum_t *sum);
static size_t ngx_http_background_manifest_len(const EVP_MD *md,
    ngx_str_t *value);
static void ngx_http_background_manifest_skip(ngx_str_t *s);
static ngx_int_t ngx_http_background_manifest_value(
    ngx_http_background_checksum_t *sum, ngx_str_t *value);
static ngx_int_t ngx_http_background_manifest_unescape(ngx_str_t *name);
static ngx_int_t ngx_http_background_manifest_unhex(u_char *hash,
    ngx_str_t *hex);


size_t
ngx_http_background_manifest_size(size_t len, ngx_str_t *name)
{
    return sizeof("\\  ./\n") - 1 + 2 * len + name->len
           + ngx_http_background_manifest_escaped(name);
}


/* a backslash before the line means that the name has escapes */

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

    /* "-" would mean standard input */

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
    ngx_uint_t *blanks, ngx_http_background_checksum_t *sum)
{
    ngx_int_t    rc;
    ngx_str_t    s, *name;
    ngx_uint_t   escaped;

    s = *line;

    if (s.len && s.data[s.len - 1] == '\r') {
        s.len--;
    }

    if (s.len == 0 || s.data[0] == '#') {
        return NGX_DECLINED;
    }

    ngx_http_background_manifest_skip(&s);

    escaped = (s.len && s.data[0] == '\\');

    s.data += escaped;
    s.len -= escaped;

    rc = ngx_http_background_manifest_tagged(&s, md, sum);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_background_manifest_plain(&s, md, blanks, sum);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    name = &sum->name;

    if (escaped && ngx_http_background_manifest_unescape(name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name->len == 0) {
        return NGX_ERROR;
    }

    name->data[name->len] = '\0';

    return (ngx_strlen(name->data) == name->len) ? NGX_OK : NGX_ERROR;
}


/*
 * Parses "ALGORITHM (NAME) = HASH", in which spaces may be missing.  Returns
 * NGX_DECLINED if the line does not begin with the algorithm.
 */

static ngx_int_t
ngx_http_background_manifest_tagged(ngx_str_t *line, const EVP_MD *md,
    ngx_http_background_checksum_t *sum)
{
    u_char     *p, *last;
    ngx_str_t   tag, value;

    p = line->data;
    last = line->data + line->len;

    while (p < last && *p != ' ' && *p != '\t' && *p != '(') {
        p++;
    }

    tag.data = line->data;
    tag.len = p - line->data;

    sum->len = ngx_http_background_manifest_tag(md, &tag);

    if (sum->len == 0) {
        return NGX_DECLINED;
    }

    /* "b2sum" and "cksum" accept a second blank */

    if (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (p < last && *p == ' ') {
        p++;
    }

    if (p == last || *p++ != '(') {
        return NGX_ERROR;
    }

    value.data = last;

    while (value.data > p && value.data[-1] != ')') {
        value.data--;
    }

    if (value.data == p) {
        return NGX_ERROR;
    }

    value.len = last - value.data;

    sum->name.data = p;
    sum->name.len = value.data - 1 - p;

    ngx_http_background_manifest_skip(&value);

    if (value.len == 0 || value.data[0] != '=') {
        return NGX_ERROR;
    }

    value.data++;
    value.len--;

    ngx_http_background_manifest_skip(&value);

    return ngx_http_background_manifest_value(sum, &value);
}


/*
 * Returns the length of hashes with that tag, or 0 if it is not a tag of the
 * algorithm.
 */

static size_t
ngx_http_background_manifest_tag(const EVP_MD *md, ngx_str_t *tag)
{
    char       name[64];
    ngx_int_t  bits;

    if (tag->len >= sizeof(name)) {
        return 0;
    }

    ngx_cpystrn((u_char *) name, tag->data, tag->len + 1);

    if (ngx_http_background_manifest_is_md(md, name)) {
        return EVP_MD_size(md);
    }

    /* tags that are unknown to OpenSSL */

    if (ngx_strcmp(name, "SHA512t256") == 0) {
        return ngx_http_background_manifest_is_md(md, "SHA512-256")
               ? EVP_MD_size(md) : 0;
    }

    if (ngx_strncmp(name, "BLAKE2b", 7) != 0
        || !ngx_http_background_manifest_is_md(md, "BLAKE2b512"))
    {
        return 0;
    }

    if (name[7] == '\0') {
        return EVP_MD_size(md);
    }

    bits = (name[7] == '-') ? ngx_atoi(tag->data + 8, tag->len - 8)
                            : NGX_ERROR;

    return (bits > 0 && bits % 8 == 0 && bits / 8 <= EVP_MD_size(md))
           ? bits / 8 : 0;
}


static ngx_uint_t
ngx_http_background_manifest_is_md(const EVP_MD *md, const char *name)
{
#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)
    return EVP_MD_is_a(md, name);
#else
    return EVP_get_digestbyname(name) == md;
#endif
}


/*
 * Parses "HASH  NAME" and "HASH *NAME", or "HASH NAME" if the first line of the
 * list has that form.
 */

static ngx_int_t
ngx_http_background_manifest_plain(ngx_str_t *line, const EVP_MD *md,
    ngx_uint_t *blanks, ngx_http_background_checksum_t *sum)
{
    u_char      *p, *last;
    ngx_str_t    value;
    ngx_uint_t   two;

    p = line->data;
    last = line->data + line->len;

    while (p < last && *p != ' ' && *p != '\t') {
        p++;
    }

    value.data = line->data;
    value.len = p - line->data;

    if (last - p < 2) {
        return NGX_ERROR;
    }

    p++;

    sum->len = ngx_http_background_manifest_len(md, &value);

    if (ngx_http_background_manifest_value(sum, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    two = (last - p > 1 && (*p == ' ' || *p == '*'));

    if (*blanks == 0) {
        *blanks = 1 + two;
    }

    if (*blanks == 2 && !two) {
        return NGX_ERROR;
    }

    p += (*blanks == 2);

    sum->name.data = p;
    sum->name.len = last - p;

    return NGX_OK;
}


/* for "b2sum --length" the length follows from the number of digits */

static size_t
ngx_http_background_manifest_len(const EVP_MD *md, ngx_str_t *value)
{
    size_t  len;

    len = EVP_MD_size(md);

    if (value->len > 0 && value->len % 2 == 0 && value->len < 2 * len
        && value->data[value->len - 1] != '='
        && ngx_http_background_manifest_is_md(md, "BLAKE2b512"))
    {
        return value->len / 2;
    }

    return len;
}


static void
ngx_http_background_manifest_skip(ngx_str_t *s)
{
    while (s->len && (s->data[0] == ' ' || s->data[0] == '\t')) {
        s->data++;
        s->len--;
    }
}


/* parses a hash in hexadecimal or base64 */

static ngx_int_t
ngx_http_background_manifest_value(ngx_http_background_checksum_t *sum,
    ngx_str_t *value)
{
    size_t     padding;
    ngx_str_t  decoded, encoded;

    if (value->len == 2 * sum->len) {
        return ngx_http_background_manifest_unhex(sum->hash, value);
    }

    if (value->len != ngx_base64_encoded_length(sum->len)) {
        return NGX_ERROR;
    }

    /* without padding the result can't be longer than the hash */

    encoded = *value;

    for (padding = (3 - sum->len % 3) % 3; padding; padding--) {

        if (encoded.data[--encoded.len] != '=') {
            return NGX_ERROR;
        }
    }

    decoded.data = sum->hash;

    if (ngx_decode_base64(&decoded, &encoded) != NGX_OK
        || decoded.len != sum->len)
    {
        return NGX_ERROR;
    }

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
