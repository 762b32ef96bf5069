
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_failed.h"


ngx_http_background_failed_t *
ngx_http_background_failed_create(ngx_log_t *log)
{
    ngx_pool_t                    *pool;
    ngx_http_background_failed_t  *failed;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, log);
    if (pool == NULL) {
        return NULL;
    }

    failed = ngx_pcalloc(pool, sizeof(ngx_http_background_failed_t));

    if (failed == NULL
        || ngx_array_init(&failed->lines, pool, 4,
                          sizeof(ngx_http_background_failed_line_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    failed->pool = pool;

    return failed;
}


void
ngx_http_background_failed_add(ngx_http_background_failed_t *failed,
    ngx_str_t *uri, ngx_uint_t line)
{
    u_char                             *p;
    ngx_http_background_failed_line_t  *added;

    if (failed->lines.nelts == NGX_HTTP_BACKGROUND_FAILED_MAX
        || (line == 0 && uri->len == 0))
    {
        failed->rest = 1;
        return;
    }

    p = ngx_pnalloc(failed->pool, uri->len + 1);
    if (p == NULL) {
        failed->rest = 1;
        return;
    }

    added = ngx_array_push(&failed->lines);
    if (added == NULL) {
        failed->rest = 1;
        return;
    }

    ngx_memcpy(p, uri->data, uri->len);

    added->uri.data = p;
    added->uri.len = uri->len;
    added->line = line;
}


ngx_uint_t
ngx_http_background_failed_same(ngx_http_background_failed_t *failed,
    ngx_file_info_t *file)
{
    ngx_file_info_t  *known;

    known = &failed->file;

    return known->st_dev == file->st_dev
           && known->st_ino == file->st_ino
           && known->st_size == file->st_size
           && known->st_mtim.tv_sec == file->st_mtim.tv_sec
           && known->st_mtim.tv_nsec == file->st_mtim.tv_nsec
           && known->st_ctim.tv_sec == file->st_ctim.tv_sec
           && known->st_ctim.tv_nsec == file->st_ctim.tv_nsec;
}


void
ngx_http_background_failed_free(ngx_http_background_failed_t *failed)
{
    if (failed) {
        ngx_destroy_pool(failed->pool);
    }
}
