
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_reader.h"


static ngx_int_t ngx_http_background_reader_read(
    ngx_http_background_reader_t *reader);
static void ngx_http_background_reader_thread(void *data, ngx_log_t *log);
static void ngx_http_background_reader_open_file(
    ngx_http_background_read_t *rd);
static void ngx_http_background_reader_handler(ngx_event_t *ev);
static void ngx_http_background_reader_destroy(
    ngx_http_background_reader_t *reader);
static void ngx_http_background_reader_trim(u_char *p, u_char *last,
    ngx_str_t *uri);


ngx_http_background_reader_t *
ngx_http_background_reader_create(ngx_http_background_run_t *run,
    ngx_str_t *file, ngx_event_t *event)
{
    u_char                        *buf;
    ngx_pool_t                    *pool;
    ngx_http_background_reader_t  *reader;

    /* it may outlive the run */

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, run->log);
    if (pool == NULL) {
        return NULL;
    }

    reader = ngx_pcalloc(pool, sizeof(ngx_http_background_reader_t));
    if (reader == NULL) {
        goto failed;
    }

    buf = ngx_palloc(pool, NGX_HTTP_BACKGROUND_READER_BUFFER);
    reader->read.name = ngx_pnalloc(pool, file->len + 1);

    reader->owner.len = run->task->len;
    reader->owner.data = ngx_pstrdup(pool, run->task);

    if (buf == NULL || reader->read.name == NULL
        || reader->owner.data == NULL)
    {
        goto failed;
    }

    *ngx_cpymem(reader->read.name, file->data, file->len) = '\0';

    reader->pool = pool;
    reader->event = event;

    ngx_http_background_linebuf_init(&reader->lines, buf,
                                     NGX_HTTP_BACKGROUND_READER_BUFFER,
                                     NGX_HTTP_BACKGROUND_READER_LINE);

    reader->read.fd = NGX_INVALID_FILE;

    reader->task.handler = ngx_http_background_reader_thread;
    reader->task.ctx = &reader->read;
    reader->task.event.handler = ngx_http_background_reader_handler;
    reader->task.event.data = reader;
    reader->task.event.log = run->log;

    return reader;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


ngx_int_t
ngx_http_background_reader_open(ngx_http_background_reader_t *reader)
{
    if (reader->opened) {
        return NGX_OK;
    }

    if (reader->state == ngx_http_background_reader_reading) {
        return NGX_AGAIN;
    }

    if (reader->state == ngx_http_background_reader_failed) {
        return NGX_DECLINED;
    }

    if (ngx_http_background_reader_read(reader) == NGX_OK) {
        return NGX_AGAIN;
    }

    reader->state = ngx_http_background_reader_failed;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_background_reader_next(ngx_http_background_reader_t *reader,
    ngx_str_t *uri)
{
    ngx_int_t  rc;

    if (reader->state == ngx_http_background_reader_reading) {
        return NGX_AGAIN;
    }

    if (reader->state != ngx_http_background_reader_failed) {

        rc = ngx_http_background_reader_parse(&reader->lines, uri);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (ngx_http_background_reader_read(reader) == NGX_OK) {
            return NGX_AGAIN;
        }
    }

    /* the beginning of a line is no line */

    ngx_http_background_linebuf_abort(&reader->lines);

    reader->state = ngx_http_background_reader_idle;

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_background_reader_read(ngx_http_background_reader_t *reader)
{
    reader->read.buffer = reader->lines.last;
    reader->read.free = reader->lines.end - reader->lines.last;

    /* the thread may be done with it before the call returns */

    reader->state = ngx_http_background_reader_reading;

    if (ngx_http_background_post_blocking(&reader->task) != NGX_OK) {
        reader->read.failed = "no thread to read";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_background_reader_thread(void *data, ngx_log_t *log)
{
    ngx_http_background_read_t *rd = data;

    if (rd->fd == NGX_INVALID_FILE) {
        ngx_http_background_reader_open_file(rd);

        if (rd->failed) {
            return;
        }
    }

    do {
        rd->n = read(rd->fd, rd->buffer, rd->free);

    } while (rd->n == -1 && ngx_errno == NGX_EINTR);

    if (rd->n == -1) {
        rd->err = ngx_errno;
        rd->failed = "read()";
    }
}


static void
ngx_http_background_reader_open_file(ngx_http_background_read_t *rd)
{
    /* non-blocking, should it be no file but a pipe */

    rd->fd = open((char *) rd->name, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);

    if (rd->fd == NGX_INVALID_FILE) {
        rd->err = ngx_errno;
        rd->failed = "open()";
        return;
    }

    if (ngx_fd_info(rd->fd, &rd->info) == NGX_FILE_ERROR) {
        rd->err = ngx_errno;
        rd->failed = ngx_fd_info_n;
        return;
    }

    if (!ngx_is_file(&rd->info)) {
        rd->failed = "not a regular file:";
    }
}


static void
ngx_http_background_reader_handler(ngx_event_t *ev)
{
    ngx_http_background_reader_t *reader = ev->data;

    ngx_http_background_read_t  *rd;

    if (reader->state == ngx_http_background_reader_abandoned) {
        ngx_http_background_reader_destroy(reader);
        return;
    }

    rd = &reader->read;

    if (rd->failed) {
        reader->state = ngx_http_background_reader_failed;

    } else {
        reader->state = ngx_http_background_reader_idle;
        reader->lines.last += rd->n;
        reader->lines.eof = (rd->n == 0);
        reader->offset += rd->n;
        reader->info = rd->info;
        reader->opened = 1;
    }

    reader->event->handler(reader->event);
}


void
ngx_http_background_reader_free(ngx_http_background_reader_t *reader)
{
    if (reader->state == ngx_http_background_reader_reading) {
        reader->state = ngx_http_background_reader_abandoned;
        return;
    }

    ngx_http_background_reader_destroy(reader);
}


static void
ngx_http_background_reader_destroy(ngx_http_background_reader_t *reader)
{
    ngx_http_background_read_t  *rd;

    rd = &reader->read;

    if (rd->fd != NGX_INVALID_FILE && ngx_close_file(rd->fd) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ALERT, reader->pool->log, ngx_errno,
                      "background task \"%V\": " ngx_close_file_n " \"%s\" "
                      "failed", &reader->owner, rd->name);
    }

    ngx_destroy_pool(reader->pool);
}


ngx_int_t
ngx_http_background_reader_parse(ngx_http_background_linebuf_t *lines,
    ngx_str_t *uri)
{
    ngx_int_t  rc;
    ngx_str_t  line;

    for ( ;; ) {
        rc = ngx_http_background_linebuf_next(lines, &line);

        if (rc != NGX_OK) {
            return rc;
        }

        ngx_http_background_reader_trim(line.data, line.data + line.len, uri);

        if (uri->len && uri->data[0] != '#') {
            return NGX_OK;
        }
    }
}


static void
ngx_http_background_reader_trim(u_char *p, u_char *last, ngx_str_t *uri)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p
           && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == CR))
    {
        last--;
    }

    uri->data = p;
    uri->len = last - p;
}
