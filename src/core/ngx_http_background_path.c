
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_path.h"


u_char *
ngx_http_background_path_text(u_char *text, const ngx_str_t *root,
    const ngx_str_t *path)
{
    size_t      skip, len, slash;
    u_char     *p, *last;

    slash = (path->len && root->len && root->data[root->len - 1] != '/');
    len = root->len + slash + path->len;

    p = text;
    last = text + NGX_HTTP_BACKGROUND_PATH_TEXT - sizeof("\"");
    skip = 0;

    *p++ = '"';

    if (len > (size_t) (last - p)) {
        p = ngx_cpymem(p, "...", sizeof("...") - 1);
        skip = len - (last - p);
    }

    if (skip < root->len) {
        p = ngx_cpymem(p, root->data + skip, root->len - skip);
        skip = 0;

    } else {
        skip -= root->len;
    }

    if (slash && skip == 0) {
        *p++ = '/';

    } else if (slash) {
        skip--;
    }

    if (skip < path->len) {
        p = ngx_cpymem(p, path->data + skip, path->len - skip);
    }

    *p++ = '"';
    *p = '\0';

    return text;
}


u_char *
ngx_http_background_path_log(u_char *text, const ngx_str_t *root,
    const ngx_str_t *path)
{
    u_char  *p;

    ngx_http_background_path_text(text, root, path);

    for (p = text; *p; p++) {
        *p = (*p < 0x20 || *p == 0x7f) ? '?' : *p;
    }

    return text;
}
