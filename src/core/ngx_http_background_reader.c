
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* reads the lines of a file, for kinds */


#include <ngx_http_background.h>

#include "ngx_http_background_linebuf.h"


/* the smallest size of the buffer, in bytes */
#define NGX_HTTP_BACKGROUND_READER_BUFFER  65536


typedef enum {
    ngx_http_background_reader_idle = 0,
    ngx_http_background_reader_reading,   /* a step uses "read" */
    ngx_http_background_reader_over,      /* likewise, and the run is over */
    ngx_http_background_reader_failed     /* the failure is not returned yet */
} ngx_http_background_reader_state_e;


/* The data of a step.  The event loop uses it only while no step is pending. */

typedef struct {
    u_char                               *name;
    ngx_fd_t                              fd;       /* NGX_INVALID_FILE: not
                                                       opened yet */
    u_char                               *buffer;
    size_t                                free;     /* free bytes in "buffer" */

    ssize_t                               n;        /* result of read() */
    ngx_file_info_t                       info;
    const char                           *failed;   /* error text, or NULL */
    ngx_err_t                             err;
} ngx_http_background_read_t;


struct ngx_http_background_reader_s {
    ngx_http_background_reader_state_e    state;
    ngx_http_background_linebuf_t         lines;
    off_t                                 offset;   /* number of bytes read */
    ngx_file_info_t                       info;
    ngx_uint_t                            opened;   /* unsigned  opened:1; */

    ngx_http_background_read_t            read;

    ngx_http_background_run_t            *run;
    ngx_pool_t                           *pool;     /* may outlive the run */
    ngx_event_t                          *event;
    ngx_str_t                             path;
    ngx_str_t                             owner;    /* name of the task */
};


static ngx_int_t ngx_http_background_reader_init(
    ngx_http_background_reader_t *reader, ngx_str_t *path, size_t max);
static void ngx_http_background_reader_read(
    ngx_http_background_reader_t *reader);
static void ngx_http_background_reader_step(void *data, ngx_log_t *log);
static void ngx_http_background_reader_open_file(
    ngx_http_background_read_t *rd);
static void ngx_http_background_reader_then(ngx_http_background_run_t *run,
    void *data);
static void ngx_http_background_reader_took(
    ngx_http_background_reader_t *reader);
static void ngx_http_background_reader_cleanup(void *data);
static void ngx_http_background_reader_destroy(
    ngx_http_background_reader_t *reader);


ngx_http_background_reader_t *
ngx_http_background_reader_create(ngx_http_background_run_t *run,
    ngx_str_t *path, size_t max, ngx_event_t *event)
{
    ngx_pool_t                    *pool;
    ngx_pool_cleanup_t            *cln;
    ngx_http_background_reader_t  *reader;

    cln = ngx_pool_cleanup_add(run->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, run->log);
    if (pool == NULL) {
        return NULL;
    }

    reader = ngx_pcalloc(pool, sizeof(ngx_http_background_reader_t));
    if (reader == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    reader->run = run;
    reader->pool = pool;
    reader->event = event;
    reader->read.fd = NGX_INVALID_FILE;

    if (ngx_http_background_reader_init(reader, path, max) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    cln->handler = ngx_http_background_reader_cleanup;
    cln->data = reader;

    return reader;
}


static ngx_int_t
ngx_http_background_reader_init(ngx_http_background_reader_t *reader,
    ngx_str_t *path, size_t max)
{
    size_t      size;
    u_char     *buf, *name;
    ngx_str_t  *task;

    size = ngx_max(max + 1, NGX_HTTP_BACKGROUND_READER_BUFFER);
    task = reader->run->task;

    buf = ngx_palloc(reader->pool, size);
    name = ngx_pnalloc(reader->pool, path->len + 1);

    reader->owner.len = task->len;
    reader->owner.data = ngx_pstrdup(reader->pool, task);

    if (buf == NULL || name == NULL || reader->owner.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(name, path->data, path->len);
    name[path->len] = '\0';

    reader->path.len = path->len;
    reader->path.data = name;
    reader->read.name = name;

    ngx_http_background_linebuf_init(&reader->lines, buf, size, max);

    return NGX_OK;
}


ngx_int_t
ngx_http_background_reader_open(ngx_http_background_reader_t *reader)
{
    if (reader->opened) {
        return NGX_OK;
    }

    if (reader->state == ngx_http_background_reader_idle) {
        ngx_http_background_reader_read(reader);
    }

    if (reader->state == ngx_http_background_reader_reading) {
        return NGX_AGAIN;
    }

    return reader->opened ? NGX_OK : NGX_DECLINED;
}


ngx_file_info_t *
ngx_http_background_reader_info(ngx_http_background_reader_t *reader)
{
    return &reader->info;
}


ngx_int_t
ngx_http_background_reader_next(ngx_http_background_reader_t *reader,
    ngx_str_t *line)
{
    ngx_int_t                    rc;
    ngx_http_background_read_t  *rd;

    for ( ;; ) {

        if (reader->state == ngx_http_background_reader_reading) {
            return NGX_AGAIN;
        }

        if (reader->state == ngx_http_background_reader_failed) {
            break;
        }

        rc = ngx_http_background_linebuf_next(&reader->lines, line);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        ngx_http_background_reader_read(reader);
    }

    /* if the step was refused, ngx_http_background_step() has failed the run */

    rd = &reader->read;

    if (rd->failed) {
        ngx_http_background_fail_path(&reader->run->result, NULL,
                                      &reader->path, rd->err, rd->failed);
    }

    /* an incomplete line is not returned */

    ngx_http_background_linebuf_abort(&reader->lines);

    reader->state = ngx_http_background_reader_idle;

    return NGX_ERROR;
}


static void
ngx_http_background_reader_read(ngx_http_background_reader_t *reader)
{
    reader->read.buffer = reader->lines.last;
    reader->read.free = reader->lines.end - reader->lines.last;

    if (reader->event == NULL) {
        ngx_http_background_reader_step(&reader, reader->run->log);
        ngx_http_background_reader_took(reader);

        return;
    }

    reader->state = ngx_http_background_reader_reading;

    if (ngx_http_background_step(reader->run, &reader, sizeof(reader),
                                 ngx_http_background_reader_step,
                                 ngx_http_background_reader_then)
        != NGX_OK)
    {
        reader->state = ngx_http_background_reader_failed;
    }
}


static void
ngx_http_background_reader_step(void *data, ngx_log_t *log)
{
    ngx_http_background_reader_t **reader = data;

    ngx_http_background_read_t  *rd;

    rd = &(*reader)->read;

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
        rd->failed = "read() %s failed";
    }
}


static void
ngx_http_background_reader_open_file(ngx_http_background_read_t *rd)
{
    /* the path may be a FIFO, O_NONBLOCK prevents that open() waits */

    rd->fd = open((char *) rd->name, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);

    if (rd->fd == NGX_INVALID_FILE) {
        rd->err = ngx_errno;
        rd->failed = "open() %s failed";
        return;
    }

    if (ngx_fd_info(rd->fd, &rd->info) == NGX_FILE_ERROR) {
        rd->err = ngx_errno;
        rd->failed = ngx_fd_info_n " %s failed";
        return;
    }

    if (!ngx_is_file(&rd->info)) {
        rd->failed = "not a regular file: %s";
    }
}


static void
ngx_http_background_reader_then(ngx_http_background_run_t *run, void *data)
{
    ngx_http_background_reader_t *reader = *(ngx_http_background_reader_t **)
                                           data;

    if (reader->state == ngx_http_background_reader_over) {
        ngx_http_background_reader_destroy(reader);
        return;
    }

    ngx_http_background_reader_took(reader);

    if (run) {
        reader->event->handler(reader->event);
    }
}


static void
ngx_http_background_reader_took(ngx_http_background_reader_t *reader)
{
    ngx_http_background_read_t  *rd;

    rd = &reader->read;

    if (rd->failed) {
        reader->state = ngx_http_background_reader_failed;
        return;
    }

    reader->state = ngx_http_background_reader_idle;
    reader->lines.last += rd->n;
    reader->lines.eof = (rd->n == 0);
    reader->offset += rd->n;
    reader->info = rd->info;
    reader->opened = 1;
}


ngx_uint_t
ngx_http_background_reader_line(ngx_http_background_reader_t *reader)
{
    return reader->lines.number;
}


void
ngx_http_background_reader_progress(ngx_http_background_reader_t *reader)
{
    ngx_http_background_progress(reader->run,
                                 reader->offset
                                 - (reader->lines.last - reader->lines.pos),
                                 ngx_file_size(&reader->info));
}


/* a step may still use the reader when the pool of the run is destroyed */

static void
ngx_http_background_reader_cleanup(void *data)
{
    ngx_http_background_reader_t *reader = data;

    if (reader->state == ngx_http_background_reader_reading) {
        reader->state = ngx_http_background_reader_over;
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
