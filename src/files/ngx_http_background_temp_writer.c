
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_temp_writer.h"


ngx_int_t
ngx_http_background_temp_writer_open(ngx_http_background_temp_writer_t *writer,
    int dirfd)
{
    writer->err = 0;
    writer->last = writer->buffer;

    return ngx_http_background_temp_create(&writer->temp, dirfd);
}


void
ngx_http_background_temp_writer_append(
    ngx_http_background_temp_writer_t *writer, const u_char *text, size_t len)
{
    size_t  n;

    while (len) {
        n = writer->buffer + sizeof(writer->buffer) - writer->last;

        if (n == 0) {
            (void) ngx_http_background_temp_writer_flush(writer);
            continue;
        }

        n = ngx_min(n, len);

        writer->last = ngx_cpymem(writer->last, text, n);
        text += n;
        len -= n;
    }
}


ngx_int_t
ngx_http_background_temp_writer_flush(ngx_http_background_temp_writer_t *writer)
{
    if (writer->err == 0
        && ngx_http_background_temp_write(&writer->temp, writer->buffer,
                                          writer->last - writer->buffer)
           != NGX_OK)
    {
        writer->err = ngx_errno;
    }

    writer->last = writer->buffer;

    if (writer->err) {
        ngx_set_errno(writer->err);
        return NGX_ERROR;
    }

    return NGX_OK;
}
