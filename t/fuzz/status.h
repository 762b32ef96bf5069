
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* A status of any tasks, for the formats; and what one of these wrote. */


#ifndef _FUZZ_STATUS_H_INCLUDED_
#define _FUZZ_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <status/ngx_http_background_status.h>

#include "fuzz.h"


#define FUZZ_TASKS  2


typedef struct {
    ngx_http_background_status_t      status;
    ngx_http_background_main_conf_t   bmcf;
    ngx_http_background_task_t        tasks[FUZZ_TASKS];
    ngx_http_background_view_t        views[FUZZ_TASKS];
    u_char                            names[FUZZ_TASKS]
                                           [NGX_HTTP_BACKGROUND_NAME_LEN];
} fuzz_status_t;


static inline uint64_t
fuzz_count(fuzz_input_t *in)
{
    uint64_t  n;

    n = fuzz_number(in, 255);

    return n << fuzz_number(in, 55);
}


/* what "background_task" takes for a name */

static inline void
fuzz_name(fuzz_input_t *in, u_char *buf, ngx_str_t *name)
{
    size_t  i;

    static const char  chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789_.-";

    name->data = buf;
    name->len = 1 + fuzz_number(in, NGX_HTTP_BACKGROUND_NAME_LEN - 1);

    for (i = 0; i < name->len; i++) {
        buf[i] = chars[fuzz_number(in, sizeof(chars) - 2)];
    }
}


static inline size_t
fuzz_bytes(fuzz_input_t *in, u_char *buf, size_t size)
{
    size_t  len;

    /* most texts are short, the longest ones are to be there, too */

    len = fuzz_number(in, 255);
    len = (len == 255) ? size : ngx_min(len, size);
    len = ngx_min(len, in->size);

    if (len) {
        memcpy(buf, in->data, len);
    }

    in->data += len;
    in->size -= len;

    return len;
}


static inline void
fuzz_view(fuzz_input_t *in, ngx_http_background_view_t *view)
{
    ngx_uint_t                    i;
    ngx_http_background_stats_t  *stats;

    view->state = fuzz_number(in, ngx_http_background_abandoned);
    view->healthy = fuzz_number(in, 1);
    view->overdue = fuzz_number(in, ngx_http_background_late_worker);
    view->late = fuzz_count(in);
    view->running = fuzz_number(in, 255);
    view->queued = fuzz_number(in, 255);
    view->queued_since = fuzz_count(in);
    view->leased = fuzz_number(in, 1);
    view->last_failed = fuzz_number(in, 1);
    view->started = fuzz_count(in);
    view->due = fuzz_count(in);
    view->progress_done = fuzz_count(in);
    view->progress_total = fuzz_count(in);

    stats = &view->stats;

    stats->cycles_failed = fuzz_count(in);
    stats->bytes = fuzz_count(in);
    stats->io_time = fuzz_count(in);
    stats->cpu_usec = fuzz_count(in);
    stats->failure_at = fuzz_count(in);
    stats->success_at = fuzz_count(in);
    stats->last.finished_at = fuzz_count(in);
    stats->last.wall_time = fuzz_count(in);

    for (i = 0; i <= NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        stats->buckets[i] = fuzz_number(in, 255);
    }

    stats->error_len = fuzz_bytes(in, stats->error,
                                  NGX_HTTP_BACKGROUND_ERROR_LEN);
    stats->last.message_len = fuzz_bytes(in, stats->last.message,
                                         NGX_HTTP_BACKGROUND_MESSAGE_LEN);
}


static inline void
fuzz_status(fuzz_input_t *in, fuzz_status_t *fs)
{
    ngx_uint_t                     i;
    ngx_http_background_status_t  *status;

    memset(fs, 0, sizeof(fuzz_status_t));

    if (ngx_cached_time == NULL) {
        ngx_time_init();
    }

    status = &fs->status;

    status->bmcf = &fs->bmcf;
    status->ntasks = fuzz_number(in, FUZZ_TASKS);
    status->brief = fuzz_number(in, 1);
    status->versions = !status->brief;
    status->now = fuzz_count(in);
    status->info.generation = fuzz_count(in);
    status->info.jobs_usec = fuzz_count(in);

    fs->bmcf.pool.cpu_limit.source = "affinity";

    for (i = 0; i < status->ntasks; i++) {
        fs->views[i].task = &fs->tasks[i];

        fuzz_name(in, fs->names[i], &fs->tasks[i].zone.name);
        fs->tasks[i].zone.all = fuzz_number(in, 1);
        fs->tasks[i].interval = fuzz_count(in);

        fuzz_view(in, &fs->views[i]);

        status->unhealthy += !fs->views[i].healthy;
    }
}


/* all that a format writes, in parts of "step" tasks, zero-terminated */

static inline void
fuzz_format(ngx_http_background_writer_t *w,
    ngx_http_background_writer_t *head,
    const ngx_http_background_format_t *format,
    ngx_http_background_status_t *status, ngx_http_background_view_t *views,
    ngx_uint_t step)
{
    ngx_uint_t  i, n, part;

    n = status->ntasks;

    for (i = 0; format->task && i < n; i++) {
        status->ntasks = i + 1;
        format->task(w, status, &views[i]);
    }

    for (part = 0; part < format->parts; part++) {
        i = 0;

        do {
            n = ngx_min(step, status->ntasks - i);
            format->part(w, status, part, i, n);
            i += n;
        } while (i < status->ntasks);
    }

    if (format->tail) {
        format->tail(w, status);
    }

    format->head(head, status);
}


static inline u_char *
fuzz_copy(u_char *p, ngx_http_background_writer_t *w)
{
    size_t        len, size;
    ngx_uint_t    n;
    ngx_chain_t  *cl;

    fuzz_check(!w->failed);

    n = 0;
    size = w->size;

    for (cl = w->out; cl; cl = cl->next) {
        fuzz_check(cl->buf->last <= cl->buf->end);
        fuzz_check((cl->next == NULL) == (cl == w->last));

        n++;
        len = cl->buf->last - cl->buf->pos;

        fuzz_check(len <= size);

        p = ngx_cpymem(p, cl->buf->pos, len);
        size -= len;
    }

    fuzz_check(size == 0 && n == w->n);

    return p;
}


static inline u_char *
fuzz_write(const ngx_http_background_format_t *format, fuzz_status_t *fs,
    ngx_uint_t step)
{
    u_char                        *text, *p;
    ngx_log_t                      log;
    ngx_pool_t                    *pool;
    ngx_http_background_writer_t   w, head;

    memset(&log, 0, sizeof(ngx_log_t));
    memset(&w, 0, sizeof(ngx_http_background_writer_t));
    memset(&head, 0, sizeof(ngx_http_background_writer_t));

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &log);
    fuzz_check(pool != NULL);

    w.pool = pool;
    head.pool = pool;

    fs->status.kept = malloc(FUZZ_TASKS * format->keep + 1);
    fuzz_check(fs->status.kept != NULL);

    fuzz_format(&w, &head, format, &fs->status, fs->views, step);

    fuzz_check(head.size > 0);

    text = malloc(head.size + w.size + 1);
    fuzz_check(text != NULL);

    p = fuzz_copy(text, &head);
    p = fuzz_copy(p, &w);

    fuzz_check(memchr(text, '\0', p - text) == NULL);

    *p = '\0';

    ngx_http_background_release(&head);
    ngx_http_background_release(&w);

    free(fs->status.kept);
    ngx_destroy_pool(pool);

    return text;
}


#endif /* _FUZZ_STATUS_H_INCLUDED_ */
