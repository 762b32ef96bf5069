
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_status.h"


static void ngx_http_background_json_write(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_json_cpu(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_json_task(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static void ngx_http_background_json_lease(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static void ngx_http_background_json_last(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static void ngx_http_background_json_history(ngx_http_background_writer_t *w,
    ngx_http_background_view_t *view);
static void ngx_http_background_json_time(ngx_http_background_writer_t *w,
    const char *key, uint64_t at);
static void ngx_http_background_json_seconds(ngx_http_background_writer_t *w,
    const char *key, uint64_t ms);
static void ngx_http_background_json_string(ngx_http_background_writer_t *w,
    u_char *data, size_t len);
static size_t ngx_http_background_utf8(u_char *dst, u_char *src, size_t len);


const ngx_http_background_format_t  ngx_http_background_json = {
    ngx_string("json"),
    ngx_string("application/json"),
    ngx_http_background_json_write,
    NULL,
    NULL
};


static void
ngx_http_background_json_write(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    uint64_t                          uptime;
    ngx_uint_t                        i;
    ngx_time_t                       *tp;
    ngx_http_background_zone_info_t  *info;

    info = &status->info;
    tp = ngx_timeofday();

    if (status->unhealthy == 0) {
        ngx_http_background_write(w, "{\"status\":\"ok\",\"message\":"
                                "\"Server is running with background tasks\"");

    } else {
        ngx_http_background_write(w, "{\"status\":\"degraded\",\"message\":"
                                  "\"%ui of %ui background tasks %s not "
                                  "healthy\"",
                                  status->unhealthy, status->ntasks,
                                  status->unhealthy == 1 ? "is" : "are");
    }

    ngx_http_background_write(w, ",\"version\":\"%s\",\"nginx\":\"%s\"",
                              NGX_HTTP_BACKGROUND_VERSION, NGINX_VERSION);

    ngx_http_background_json_time(w, ",\"now\":",
                                  (uint64_t) tp->sec * 1000 + tp->msec);

    uptime = ngx_current_msec - info->created;

    ngx_http_background_json_seconds(w, ",\"uptime_seconds\":", uptime);

    ngx_http_background_write(w, ",\"generation\":%uL", info->generation);

    if (!status->brief) {
        ngx_http_background_write(w, ",\"pid\":%P", ngx_pid);
    }

    ngx_http_background_write(w, ",\"worker\":%ui,"
                              "\"zone\":{\"size\":%uz,\"free\":%uz}",
                              ngx_worker, status->bmcf->zone.size, info->free);

    ngx_http_background_json_cpu(w, status);

    ngx_http_background_write(w, ",\"tasks\":[");

    for (i = 0; i < status->ntasks; i++) {
        ngx_http_background_write(w, i ? ",\n" : "\n");
        ngx_http_background_json_task(w, status, &status->tasks[i]);
    }

    ngx_http_background_write(w, "]}\n");
}


static void
ngx_http_background_json_cpu(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_pool_conf_t  *pcf;
    ngx_http_background_zone_info_t  *info;

    info = &status->info;
    pcf = &status->bmcf->pool;

    ngx_http_background_write(w,
                              ",\n\"cpu\":{\"limit\":%ui,\"source\":\"%s\","
                              "\"threads\":%ui,\"quota\":%ui.%02ui,"
                              "\"running\":%ui,\"queued\":%ui,"
                              "\"completed\":%uL",
                              (ngx_uint_t) pcf->cpu_limit.limit,
                              pcf->cpu_limit.source,
                              pcf->used ? pcf->threads : 0,
                              pcf->quota / 100, pcf->quota % 100,
                              info->jobs_running, info->jobs_queued,
                              info->jobs_completed);

    ngx_http_background_json_seconds(w, ",\"seconds\":",
                                     info->jobs_usec / 1000);
    ngx_http_background_write(w, "}");
}


static void
ngx_http_background_json_task(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    u_char                        buf[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_str_t                     error;
    ngx_time_t                   *tp;
    ngx_http_background_task_t   *task;
    ngx_http_background_stats_t  *stats;

    task = view->task;
    stats = &view->stats;

    ngx_http_background_write(w, "{\"name\":");
    ngx_http_background_json_string(w, task->zone.name.data,
                                    task->zone.name.len);

    ngx_http_background_write(w, ",\"workers\":\"%s\",\"state\":\"%V\","
                              "\"healthy\":%s,\"running\":%ui",
                              task->zone.all ? "all" : "one",
                              &ngx_http_background_states[view->state],
                              view->healthy ? "true" : "false",
                              view->running);

    if (view->running) {
        ngx_http_background_json_seconds(w, ",\"running_seconds\":",
                                         ngx_max(ngx_current_msec,
                                                 view->started)
                                         - view->started);
    } else {
        ngx_http_background_write(w, ",\"running_seconds\":null");
    }

    ngx_http_background_write(w, ",\"waiting\":%ui,\"abandoned\":%ui,"
                              "\"overdue\":%s",
                              view->waiting, view->abandoned,
                              view->overdue ? "true" : "false");

    if (task->interval) {
        ngx_http_background_json_seconds(w, ",\"interval_seconds\":",
                                         task->interval);
    } else {
        ngx_http_background_write(w, ",\"interval_seconds\":null");
    }

    ngx_http_background_json_seconds(w, ",\"retry_seconds\":", task->retry);

    if (!task->zone.all) {
        ngx_http_background_json_lease(w, status, view);
    }

    ngx_http_background_write(w, ",\"cycles\":{\"completed\":%uL,"
                              "\"failed\":%uL,\"cancelled\":%uL,"
                              "\"consecutive_failures\":%uL,"
                              "\"started\":%uL,\"declined\":%uL,"
                              "\"skipped\":%uL}",
                              stats->cycles_completed, stats->cycles_failed,
                              stats->cycles_cancelled, stats->failures,
                              view->begun, view->declined, view->skipped);

    ngx_http_background_write(w, ",\"operations\":{\"completed\":%uL,"
                              "\"failed\":%uL,\"bytes\":%uL}",
                              stats->operations_completed,
                              stats->operations_failed, stats->bytes);

    ngx_http_background_json_seconds(w, ",\"io_seconds\":", stats->io_time);
    ngx_http_background_json_seconds(w, ",\"cpu_seconds\":",
                                     stats->cpu_usec / 1000);
    ngx_http_background_json_seconds(w, ",\"wall_seconds\":",
                                     stats->wall_time);

    ngx_http_background_json_last(w, status, view);

    if (!status->brief) {
        error = ngx_http_background_view_error(view, buf);

        ngx_http_background_write(w, ",\"error\":");

        if (error.len) {
            ngx_http_background_json_string(w, error.data, error.len);

        } else {
            ngx_http_background_write(w, "null");
        }
    }

    if (view->due) {
        tp = ngx_timeofday();

        ngx_http_background_json_time(w, ",\"next\":",
                                      (uint64_t) tp->sec * 1000 + tp->msec
                                      + ngx_max(view->due, ngx_current_msec)
                                      - ngx_current_msec);
    } else {
        ngx_http_background_write(w, ",\"next\":null");
    }

    if (view->running && view->progress_total) {
        ngx_http_background_write(w, ",\"progress\":"
                                  "{\"done\":%uL,\"total\":%uL}",
                                  ngx_min(view->progress_done,
                                          view->progress_total),
                                  view->progress_total);
    } else {
        ngx_http_background_write(w, ",\"progress\":null");
    }

    if (status->history) {
        ngx_http_background_json_history(w, view);
    }

    ngx_http_background_write(w, "}");
}


static void
ngx_http_background_json_lease(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    if (view->leased == 0) {
        ngx_http_background_write(w, ",\"lease\":null");

    } else if (status->brief) {
        ngx_http_background_write(w, ",\"lease\":{\"worker\":%ui}",
                                  view->worker);

    } else {
        ngx_http_background_write(w, ",\"lease\":{\"pid\":%P,\"worker\":%ui}",
                                  view->pid, view->worker);
    }
}


static void
ngx_http_background_json_last(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    ngx_http_background_last_t   *last;
    ngx_http_background_stats_t  *stats;

    stats = &view->stats;
    last = &stats->last;

    if (last->finished_at == 0) {
        ngx_http_background_write(w, ",\"last\":null");

    } else {
        ngx_http_background_json_time(w, ",\"last\":{\"started\":",
                                      last->started_at);
        ngx_http_background_json_time(w, ",\"finished\":", last->finished_at);

        ngx_http_background_write(w, ",\"operations\":%uL,\"failed\":%uL,"
                                  "\"bytes\":%uL",
                                  last->completed + last->failed, last->failed,
                                  last->bytes);

        ngx_http_background_json_seconds(w, ",\"io_seconds\":", last->io_time);
        ngx_http_background_json_seconds(w, ",\"cpu_seconds\":",
                                         last->cpu_usec / 1000);
        ngx_http_background_json_seconds(w, ",\"wall_seconds\":",
                                         last->wall_time);

        if (!status->brief) {
            ngx_http_background_write(w, ",\"error\":");

            if (view->last_failed) {
                ngx_http_background_json_string(w, stats->error,
                                                stats->error_len);
            } else {
                ngx_http_background_write(w, "null");
            }

            if (last->message_len) {
                ngx_http_background_write(w, ",\"message\":");
                ngx_http_background_json_string(w, last->message,
                                                last->message_len);
            }
        }

        ngx_http_background_write(w, "}");
    }

    ngx_http_background_json_time(w, ",\"last_success\":", stats->success_at);

    if (stats->failure_at == 0) {
        ngx_http_background_write(w, ",\"last_failure\":null");
        return;
    }

    ngx_http_background_json_time(w, ",\"last_failure\":{\"finished\":",
                                  stats->failure_at);

    if (!status->brief) {
        ngx_http_background_write(w, ",\"error\":");
        ngx_http_background_json_string(w, stats->error, stats->error_len);
    }

    ngx_http_background_write(w, "}");
}


static void
ngx_http_background_json_history(ngx_http_background_writer_t *w,
    ngx_http_background_view_t *view)
{
    ngx_uint_t                     i, n;
    ngx_http_background_cause_t    causes[NGX_HTTP_BACKGROUND_CAUSES];
    ngx_http_background_history_t  history[NGX_HTTP_BACKGROUND_HISTORY];

    n = ngx_http_background_history_read(view->task->zone.record, history);

    ngx_http_background_write(w, ",\"history\":[");

    for (i = 0; i < n; i++) {
        ngx_http_background_json_time(w, i ? ",{\"finished\":"
                                           : "{\"finished\":",
                                      history[i].finished_at);
        ngx_http_background_json_seconds(w, ",\"wall_seconds\":",
                                         history[i].wall_time);
        ngx_http_background_write(w, ",\"failed\":%ui}", history[i].failed);
    }

    ngx_http_background_write(w, "],\"causes\":[");

    n = ngx_http_background_view_causes(view, causes);

    for (i = 0; i < n; i++) {
        ngx_http_background_json_time(w, i ? ",{\"started\":"
                                           : "{\"started\":",
                                      causes[i].started_at);
        ngx_http_background_write(w, ",\"cause\":");
        ngx_http_background_json_string(w, causes[i].text, causes[i].len);
        ngx_http_background_write(w, "}");
    }

    ngx_http_background_write(w, "]");
}


/* "at" is in milliseconds since the epoch, 0 is null */

static void
ngx_http_background_json_time(ngx_http_background_writer_t *w, const char *key,
    uint64_t at)
{
    ngx_tm_t  tm;

    if (at == 0) {
        ngx_http_background_write(w, "%snull", key);
        return;
    }

    ngx_gmtime(at / 1000, &tm);

    ngx_http_background_write(w, "%s\"%4d-%02d-%02dT%02d:%02d:%02d.%03uLZ\"",
                              key, tm.ngx_tm_year, tm.ngx_tm_mon,
                              tm.ngx_tm_mday, tm.ngx_tm_hour, tm.ngx_tm_min,
                              tm.ngx_tm_sec, at % 1000);
}


static void
ngx_http_background_json_seconds(ngx_http_background_writer_t *w,
    const char *key, uint64_t ms)
{
    ngx_http_background_write(w, "%s%uL.%03uL", key, ms / 1000, ms % 1000);
}


static void
ngx_http_background_json_string(ngx_http_background_writer_t *w, u_char *data,
    size_t len)
{
    u_char     *p, buf[3 * NGX_HTTP_BACKGROUND_ERROR_LEN];
    size_t      escaped;
    ngx_buf_t  *b;

    len = ngx_min(len, NGX_HTTP_BACKGROUND_ERROR_LEN);
    len = ngx_http_background_utf8(buf, data, len);
    escaped = len + ngx_escape_json(NULL, buf, len) + 2;

    b = ngx_http_background_reserve(w, escaped);
    if (b == NULL) {
        return;
    }

    p = b->last;

    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, buf, len);
    *p++ = '"';

    w->size += escaped;
    b->last = p;
}


/*
 * Copies text; bytes that are not UTF-8 become U+FFFD, of three bytes.
 * ngx_utf8_decode() takes any byte from 0x80 on for a continuation, and any
 * from 0xf0 on for the first of four.
 */

static size_t
ngx_http_background_utf8(u_char *dst, u_char *src, size_t len)
{
    u_char    *p, *q, *start, *last;
    uint32_t   u;

    p = dst;
    last = src + len;

    while (src < last) {

        if (*src < 0x80) {
            *p++ = *src++;
            continue;
        }

        start = src;
        u = ngx_utf8_decode(&src, last - src);

        for (q = start + 1; q < src && (*q & 0xc0) == 0x80; q++) {
            /* void */
        }

        if (*start > 0xf4 || q < src
            || u > 0x10ffff || (u >= 0xd800 && u <= 0xdfff))
        {
            p = ngx_cpymem(p, "\xef\xbf\xbd", 3);
            src = start + 1;
            continue;
        }

        p = ngx_cpymem(p, start, src - start);
    }

    return p - dst;
}
