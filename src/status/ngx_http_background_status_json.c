
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_status.h"

/* room for a task without its texts, and for one of its texts */
#define NGX_HTTP_BACKGROUND_JSON_TASK  NGX_HTTP_BACKGROUND_WRITE_MAX
#define NGX_HTTP_BACKGROUND_JSON_BYTE  6

/* room for an entry of the history or a cause */
#define NGX_HTTP_BACKGROUND_JSON_ENTRY  256

/* a server with the longest numbers, without its texts */
#define NGX_HTTP_BACKGROUND_JSON_PEER  512


#define ngx_http_background_put_value(p, key, put, value)                     \
    put(ngx_http_background_put(p, key), value)
#define ngx_http_background_put_count(p, key, n)                              \
    ngx_http_background_put_value(p, key, ngx_http_background_put_number, n)
#define ngx_http_background_put_seconds(p, key, ms)                           \
    ngx_http_background_put_value(p, key,                                     \
                                  ngx_http_background_put_thousandths, ms)
#define ngx_http_background_put_at(p, key, at)                                \
    ngx_http_background_put_value(p, key, ngx_http_background_json_time, at)


static void ngx_http_background_json_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_json_links(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static u_char *ngx_http_background_json_cpu(u_char *p,
    ngx_http_background_status_t *status);
static void ngx_http_background_json_tail(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_json_task(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_state(u_char *p,
    ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_rhythm(u_char *p,
    ngx_http_background_task_t *task);
static u_char *ngx_http_background_json_zone(u_char *p,
    ngx_http_background_task_t *task);
static u_char *ngx_http_background_json_lease(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_cluster(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_totals(u_char *p,
    ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_last(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_failure(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_next(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static void ngx_http_background_json_peers(ngx_http_background_writer_t *w,
    ngx_http_background_task_t *task);
static void ngx_http_background_json_peer(ngx_http_background_writer_t *w,
    ngx_http_background_peer_t *peer, ngx_uint_t first);
static void ngx_http_background_json_conf(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_task_t *task);
static void ngx_http_background_json_rules(ngx_http_background_writer_t *w,
    ngx_http_background_task_t *task);
static void ngx_http_background_json_history(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_text(u_char *p,
    ngx_http_background_history_t *history, ngx_http_background_text_t *texts,
    ngx_uint_t n);
static void ngx_http_background_json_causes(ngx_http_background_writer_t *w,
    ngx_http_background_view_t *view);
static u_char *ngx_http_background_json_time(u_char *p, uint64_t at);
static u_char *ngx_http_background_json_string(u_char *p, u_char *data,
    size_t len);
static size_t ngx_http_background_utf8(u_char *dst, u_char *src, size_t len);


const ngx_http_background_format_t  ngx_http_background_json = {
    ngx_string("json"),
    ngx_string("application/json"),
    ngx_http_background_json_head,
    ngx_http_background_json_task,
    0,
    0,
    NULL,
    ngx_http_background_json_tail,
    NULL,
    NULL
};


static void
ngx_http_background_json_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    u_char                           *p;
    ngx_buf_t                        *b;
    ngx_http_background_zone_info_t  *info;

    b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_WRITE_MAX);
    if (b == NULL) {
        return;
    }

    p = b->last;
    info = &status->info;

    if (status->unhealthy == 0) {
        p = ngx_http_background_put(p, "{\"status\":\"ok\",\"message\":"
                                "\"Server is running with background tasks\"");

    } else {
        p = ngx_http_background_put_count(p, "{\"status\":\"degraded\","
                                          "\"message\":\"", status->unhealthy);
        p = ngx_http_background_put_count(p, " of ", status->ntasks);
        p = (status->unhealthy == 1)
            ? ngx_http_background_put(p, " background tasks is not healthy\"")
            : ngx_http_background_put(p, " background tasks are not healthy\"");
    }

    if (status->versions) {
        p = ngx_http_background_put(p, ",\"version\":\""
                                    NGX_HTTP_BACKGROUND_VERSION
                                    "\",\"nginx\":\"" NGINX_VERSION "\"");
    }

    p = ngx_http_background_put_at(p, ",\"now\":", status->now);

    if (!status->brief) {
        p = ngx_http_background_put_seconds(p, ",\"uptime_seconds\":",
                                            ngx_current_msec - info->created);
    }

    p = ngx_http_background_put_count(p, ",\"generation\":", info->generation);

    if (!status->brief) {
        p = ngx_http_background_put_count(p, ",\"pid\":", (uint64_t) ngx_pid);
    }

    p = ngx_http_background_put_count(p, ",\"worker\":", ngx_worker);
    p = ngx_http_background_put_count(p, ",\"zone\":{\"size\":",
                                      status->bmcf->zone.size);
    p = ngx_http_background_put_count(p, ",\"free\":", info->free);
    p = ngx_http_background_json_cpu(p, status);

    ngx_http_background_wrote(w, p);

    if (status->bmcf->cluster) {
        ngx_http_background_json_links(w, status);
    }

    ngx_http_background_write(w, ",\"tasks\":[");
}


/* servers that tell which nginx has a task */

static void
ngx_http_background_json_links(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    u_char                              *p;
    ngx_buf_t                           *b;
    ngx_uint_t                           i, n;
    ngx_http_background_cluster_link_t   link;

    for (n = 0;
         status->bmcf->cluster->link(status->bmcf->zone.cycle, n, &link)
         == NGX_OK;
         n++)
    {
        b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_WRITE_MAX
                                      + NGX_HTTP_BACKGROUND_JSON_BYTE
                                        * (link.name.len + link.error_len));
        if (b == NULL) {
            return;
        }

        p = b->last;

        p = n ? ngx_http_background_put(p, ",")
              : ngx_http_background_put(p, ",\n\"redis\":[");

        p = ngx_http_background_put(p, "{\"name\":");
        p = ngx_http_background_json_string(p, link.name.data, link.name.len);
        p = ngx_http_background_put_count(p, ",\"workers\":", link.workers);
        p = ngx_http_background_put_count(p, ",\"connected\":",
                                          link.connected);
        p = ngx_http_background_put_at(p, ",\"since\":", link.since_at);

        if (!status->brief) {
            p = ngx_http_background_put(p, ",\"error\":");
            p = link.error_len
                ? ngx_http_background_json_string(p, link.error,
                                                  link.error_len)
                : ngx_http_background_put(p, "null");
        }

        p = ngx_http_background_put(p, ",\"errors\":{");

        for (i = 0; i < link.nerrors; i++) {
            if (i) {
                *p++ = ',';
            }

            p = ngx_http_background_json_string(p, link.reasons[i].data,
                                                link.reasons[i].len);
            p = ngx_http_background_put_count(p, ":", link.errors[i]);
        }

        p = ngx_http_background_put(p, "}}");

        ngx_http_background_wrote(w, p);
    }

    if (n) {
        ngx_http_background_write(w, "]");
    }
}


static u_char *
ngx_http_background_json_cpu(u_char *p, ngx_http_background_status_t *status)
{
    size_t                            len;
    ngx_http_background_pool_conf_t  *pcf;
    ngx_http_background_zone_info_t  *info;

    info = &status->info;
    pcf = &status->bmcf->pool;

    p = ngx_http_background_put_count(p, "},\n\"cpu\":{\"limit\":",
                                      (uint64_t) pcf->cpu_limit.limit);

    p = ngx_http_background_put(p, ",\"source\":\"");
    len = ngx_min(ngx_strlen(pcf->cpu_limit.source), 64);
    p = ngx_cpymem(p, pcf->cpu_limit.source, len);

    p = ngx_http_background_put_count(p, "\",\"threads\":",
                                      pcf->used ? pcf->threads : 0);
    p = ngx_http_background_put_count(p, ",\"quota\":", pcf->quota / 100);
    *p++ = '.';
    *p++ = (u_char) ('0' + pcf->quota / 10 % 10);
    *p++ = (u_char) ('0' + pcf->quota % 10);

    p = ngx_http_background_put_count(p, ",\"running\":", info->jobs_running);
    p = ngx_http_background_put_count(p, ",\"queued\":", info->jobs_queued);
    p = ngx_http_background_put_count(p, ",\"completed\":",
                                      info->jobs_completed);
    p = ngx_http_background_put_seconds(p, ",\"seconds\":",
                                        info->jobs_usec / 1000);
    *p++ = '}';

    return p;
}


static void
ngx_http_background_json_tail(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_write(w, "]}\n");
}


static void
ngx_http_background_json_task(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    size_t                        texts;
    u_char                       *p, buf[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_buf_t                    *b;
    ngx_str_t                     error;
    ngx_http_background_task_t   *task;
    ngx_http_background_stats_t  *stats;

    task = view->task;
    stats = &view->stats;

    error = ngx_http_background_view_error(view, buf);
    texts = 2 * stats->error_len + stats->last.message_len + error.len
            + view->cluster.len;

    b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_JSON_TASK
                                  + NGX_HTTP_BACKGROUND_JSON_BYTE * texts);
    if (b == NULL) {
        return;
    }

    p = b->last;

    if (w->size) {
        *p++ = ',';
    }

    /* names have no characters to escape */

    p = ngx_http_background_put(p, "\n{\"name\":\"");
    p = ngx_cpymem(p, task->zone.name.data, task->zone.name.len);
    p = ngx_http_background_put(p, "\",\"workers\":");
    p = task->cluster ? ngx_http_background_put(p, "\"cluster\"")
        : task->zone.all ? ngx_http_background_put(p, "\"all\"")
                         : ngx_http_background_put(p, "\"one\"");

    p = ngx_http_background_json_state(p, view);
    p = ngx_http_background_json_rhythm(p, task);

    if (!task->zone.all) {
        p = ngx_http_background_json_lease(p, status, view);
    }

    if (task->cluster) {
        p = ngx_http_background_json_cluster(p, status, view);
    }

    p = ngx_http_background_json_totals(p, view);
    p = ngx_http_background_json_last(p, status, view);
    p = ngx_http_background_put_at(p, ",\"last_success\":", stats->success_at);
    p = ngx_http_background_json_failure(p, status, view);

    if (!status->brief) {
        p = ngx_http_background_put(p, ",\"error\":");
        p = error.len
            ? ngx_http_background_json_string(p, error.data, error.len)
            : ngx_http_background_put(p, "null");
    }

    p = ngx_http_background_json_next(p, status, view);

    ngx_http_background_wrote(w, p);

    if (task->judges && !status->brief) {
        ngx_http_background_json_peers(w, task);
    }

    if (status->history) {
        ngx_http_background_json_conf(w, status, task);
        ngx_http_background_json_history(w, status, view);
        ngx_http_background_json_causes(w, view);
    }

    b = ngx_http_background_reserve(w, 1);

    if (b) {
        *b->last = '}';
        ngx_http_background_wrote(w, b->last + 1);
    }
}


static u_char *
ngx_http_background_json_state(u_char *p, ngx_http_background_view_t *view)
{
    ngx_str_t  *state;
    uint64_t    now;

    now = ngx_current_msec;
    state = &ngx_http_background_states[view->state];

    p = ngx_http_background_put(p, ",\"state\":\"");
    p = ngx_cpymem(p, state->data, state->len);
    p = view->healthy ? ngx_http_background_put(p, "\",\"healthy\":true")
                      : ngx_http_background_put(p, "\",\"healthy\":false");

    p = ngx_http_background_put_count(p, ",\"running\":", view->running);

    if (view->running) {
        p = ngx_http_background_put_seconds(p, ",\"running_seconds\":",
                              ngx_max(now, view->started) - view->started);
    } else {
        p = ngx_http_background_put(p, ",\"running_seconds\":null");
    }

    p = ngx_http_background_put_count(p, ",\"queued\":", view->queued);

    if (view->queued) {
        p = ngx_http_background_put_seconds(p, ",\"queued_seconds\":",
                    ngx_max(now, view->queued_since) - view->queued_since);
    } else {
        p = ngx_http_background_put(p, ",\"queued_seconds\":null");
    }

    p = ngx_http_background_put_count(p, ",\"waiting\":", view->waiting);
    p = ngx_http_background_put_count(p, ",\"abandoned\":", view->abandoned);

    p = view->paused ? ngx_http_background_put(p, ",\"paused\":true")
                     : ngx_http_background_put(p, ",\"paused\":false");

    return view->overdue ? ngx_http_background_put(p, ",\"overdue\":true")
                         : ngx_http_background_put(p, ",\"overdue\":false");
}


static u_char *
ngx_http_background_json_rhythm(u_char *p, ngx_http_background_task_t *task)
{
    if (task->interval) {
        p = ngx_http_background_put_seconds(p, ",\"interval_seconds\":",
                                            task->interval);
    } else {
        p = ngx_http_background_put(p, ",\"interval_seconds\":null");
    }

    p = task->zone.arrives ? ngx_http_background_put(p, ",\"arrives\":true")
                           : ngx_http_background_put(p, ",\"arrives\":false");

    p = ngx_http_background_json_zone(p, task);

    if (task->retry) {
        p = ngx_http_background_put_seconds(p, ",\"retry_seconds\":",
                                            task->retry);
    } else {
        p = ngx_http_background_put(p, ",\"retry_seconds\":null");
    }

    if (task->timeout) {
        return ngx_http_background_put_seconds(p, ",\"timeout_seconds\":",
                                               task->timeout);
    }

    return ngx_http_background_put(p, ",\"timeout_seconds\":null");
}


/* a name has no character that would have to be escaped */

static u_char *
ngx_http_background_json_zone(u_char *p, ngx_http_background_task_t *task)
{
    ngx_http_background_rule_t  *rule;

    if (task->rules == NULL) {
        return ngx_http_background_put(p, ",\"timezone\":null");
    }

    rule = task->rules->elts;

    if (rule->zone->name[0] == '\0') {
        return ngx_http_background_put(p, ",\"timezone\":\"local\"");
    }

    p = ngx_http_background_put(p, ",\"timezone\":\"");
    p = ngx_cpymem(p, rule->zone->name, ngx_strlen(rule->zone->name));
    *p++ = '"';

    return p;
}


static u_char *
ngx_http_background_json_lease(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    if (view->leased == 0) {
        return ngx_http_background_put(p, ",\"lease\":null");
    }

    p = ngx_http_background_put(p, ",\"lease\":{");

    if (!status->brief) {
        p = ngx_http_background_put_count(p, "\"pid\":", (uint64_t) view->pid);
        *p++ = ',';
    }

    p = ngx_http_background_put_count(p, "\"worker\":", view->worker);
    *p++ = '}';

    return p;
}


/* which nginx has the task */

static u_char *
ngx_http_background_json_cluster(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    ngx_http_background_cluster_view_t  *cluster;

    cluster = &view->cluster;

    switch (cluster->state) {

    case ngx_http_background_cluster_leader:
        p = ngx_http_background_put(p, ",\"cluster\":{\"leader\":true");
        p = ngx_http_background_put(p, ",\"state\":\"leader\"");
        break;

    case ngx_http_background_cluster_alone:
        p = ngx_http_background_put(p, ",\"cluster\":{\"leader\":true");
        p = ngx_http_background_put(p, ",\"state\":\"alone\"");
        break;

    case ngx_http_background_cluster_other:
        p = ngx_http_background_put(p, ",\"cluster\":{\"leader\":false");
        p = ngx_http_background_put(p, ",\"state\":\"other\"");
        break;

    default: /* ngx_http_background_cluster_unknown */
        p = ngx_http_background_put(p, ",\"cluster\":{\"leader\":false");
        p = ngx_http_background_put(p, ",\"state\":\"unknown\"");
    }

    if (!status->brief) {
        p = ngx_http_background_put(p, ",\"host\":");
        p = cluster->len
            ? ngx_http_background_json_string(p, cluster->host, cluster->len)
            : ngx_http_background_put(p, "null");
    }

    p = ngx_http_background_put_at(p, ",\"since\":", cluster->since_at);
    p = ngx_http_background_put_at(p, ",\"until\":", cluster->until_at);
    p = ngx_http_background_put_count(p, ",\"fence\":", cluster->fence);
    *p++ = '}';

    return p;
}


static u_char *
ngx_http_background_json_totals(u_char *p, ngx_http_background_view_t *view)
{
    ngx_http_background_stats_t  *stats;

    stats = &view->stats;

    p = ngx_http_background_put_count(p, ",\"cycles\":{\"completed\":",
                                      stats->cycles_completed);
    p = ngx_http_background_put_count(p, ",\"failed\":", stats->cycles_failed);
    p = ngx_http_background_put_count(p, ",\"cancelled\":",
                                      stats->cycles_cancelled);
    p = ngx_http_background_put_count(p, ",\"consecutive_failures\":",
                                      stats->failures);
    p = ngx_http_background_put_count(p, ",\"started\":", view->begun);
    p = ngx_http_background_put_count(p, ",\"declined\":", view->declined);
    p = ngx_http_background_put_count(p, ",\"skipped\":", view->skipped);
    p = ngx_http_background_put_count(p, ",\"missed\":", view->missed);
    p = ngx_http_background_put_count(p, ",\"coalesced\":", view->coalesced);

    p = ngx_http_background_put_count(p, "},\"operations\":{\"completed\":",
                                      stats->operations_completed);
    p = ngx_http_background_put_count(p, ",\"failed\":",
                                      stats->operations_failed);
    p = ngx_http_background_put_count(p, ",\"bytes\":", stats->bytes);

    p = ngx_http_background_put_seconds(p, "},\"io_seconds\":",
                                        stats->io_time);
    p = ngx_http_background_put_seconds(p, ",\"cpu_seconds\":",
                                        stats->cpu_usec / 1000);

    return ngx_http_background_put_seconds(p, ",\"wall_seconds\":",
                                           stats->wall_time);
}


static u_char *
ngx_http_background_json_last(u_char *p, ngx_http_background_status_t *status,
    ngx_http_background_view_t *view)
{
    ngx_http_background_last_t   *last;
    ngx_http_background_stats_t  *stats;

    stats = &view->stats;
    last = &stats->last;

    if (last->finished_at == 0) {
        return ngx_http_background_put(p, ",\"last\":null");
    }

    p = ngx_http_background_put_at(p, ",\"last\":{\"started\":",
                                   last->started_at);
    p = ngx_http_background_put_at(p, ",\"finished\":", last->finished_at);
    p = ngx_http_background_put_count(p, ",\"operations\":",
                                      last->completed + last->failed);
    p = ngx_http_background_put_count(p, ",\"failed\":", last->failed);
    p = ngx_http_background_put_count(p, ",\"bytes\":", last->bytes);
    p = ngx_http_background_put_seconds(p, ",\"io_seconds\":", last->io_time);
    p = ngx_http_background_put_seconds(p, ",\"cpu_seconds\":",
                                        last->cpu_usec / 1000);
    p = ngx_http_background_put_seconds(p, ",\"wall_seconds\":",
                                        last->wall_time);

    if (!status->brief) {
        p = ngx_http_background_put(p, ",\"error\":");
        p = view->last_failed
            ? ngx_http_background_json_string(p, stats->error,
                                              stats->error_len)
            : ngx_http_background_put(p, "null");

        if (last->message_len) {
            p = ngx_http_background_put(p, ",\"message\":");
            p = ngx_http_background_json_string(p, last->message,
                                                last->message_len);
        }
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_background_json_failure(u_char *p,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    ngx_http_background_stats_t  *stats;

    stats = &view->stats;

    if (stats->failure_at == 0) {
        return ngx_http_background_put(p, ",\"last_failure\":null");
    }

    p = ngx_http_background_put_at(p, ",\"last_failure\":{\"finished\":",
                                   stats->failure_at);

    if (!status->brief) {
        p = ngx_http_background_put(p, ",\"error\":");
        p = ngx_http_background_json_string(p, stats->error, stats->error_len);
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_background_json_next(u_char *p, ngx_http_background_status_t *status,
    ngx_http_background_view_t *view)
{
    uint64_t  now;

    now = ngx_current_msec;

    if (view->due_at) {
        p = ngx_http_background_put_at(p, ",\"next\":", view->due_at);

    } else if (view->due) {
        p = ngx_http_background_put_at(p, ",\"next\":",
                                       status->now
                                       + ngx_max(view->due, now) - now);
    } else {
        p = ngx_http_background_put(p, ",\"next\":null");
    }

    if (view->running == 0 || view->progress_total == 0) {
        return ngx_http_background_put(p, ",\"progress\":null");
    }

    p = ngx_http_background_put_count(p, ",\"progress\":{\"done\":",
                          ngx_min(view->progress_done, view->progress_total));
    p = ngx_http_background_put_count(p, ",\"total\":", view->progress_total);
    *p++ = '}';

    return p;
}


static void
ngx_http_background_json_peers(ngx_http_background_writer_t *w,
    ngx_http_background_task_t *task)
{
    ngx_uint_t                        i, n, first;
    ngx_http_background_peer_t        peer;
    ngx_http_background_operation_t  *operation;

    operation = task->operations.elts;
    first = 1;

    ngx_http_background_write(w, ",\"peers\":[");

    for (i = 0; i < task->operations.nelts; i++) {

        if (operation[i].judge == NULL) {
            continue;
        }

        n = 0;

        while (operation[i].judge->peer(operation[i].conf, &n, &peer)
               == NGX_OK)
        {
            ngx_http_background_json_peer(w, &peer, first);
            first = 0;
        }
    }

    ngx_http_background_write(w, "]");
}


static void
ngx_http_background_json_peer(ngx_http_background_writer_t *w,
    ngx_http_background_peer_t *peer, ngx_uint_t first)
{
    size_t      texts;
    u_char     *p;
    ngx_buf_t  *b;
    ngx_str_t  *state;

    texts = peer->address_len + peer->server_len + peer->upstream.len
            + peer->error_len;

    b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_JSON_PEER
                                   + NGX_HTTP_BACKGROUND_JSON_BYTE * texts);
    if (b == NULL) {
        return;
    }

    p = b->last;

    if (!first) {
        *p++ = ',';
    }

    p = ngx_http_background_put(p, "\n{\"address\":");
    p = ngx_http_background_json_string(p, peer->address, peer->address_len);
    p = ngx_http_background_put(p, ",\"server\":");
    p = ngx_http_background_json_string(p, peer->server, peer->server_len);
    p = ngx_http_background_put(p, ",\"upstream\":");
    p = ngx_http_background_json_string(p, peer->upstream.data,
                                        peer->upstream.len);

    p = peer->backup ? ngx_http_background_put(p, ",\"backup\":true")
                     : ngx_http_background_put(p, ",\"backup\":false");

    state = &ngx_http_background_server_states[peer->state];

    p = ngx_http_background_put(p, ",\"state\":\"");
    p = ngx_cpymem(p, state->data, state->len);
    p = ngx_http_background_put_at(p, "\",\"since\":", peer->since_at);
    p = ngx_http_background_put_count(p, ",\"fails\":", peer->fails);
    p = ngx_http_background_put_count(p, ",\"passes\":", peer->passes);
    p = ngx_http_background_put_count(p, ",\"checks\":{\"passed\":",
                                      peer->passed);
    p = ngx_http_background_put_count(p, ",\"failed\":", peer->failed);
    p = ngx_http_background_put_count(p, "},\"changes\":", peer->changes);

    if (peer->finished_at == 0) {
        p = ngx_http_background_put(p, ",\"last\":null}");
        ngx_http_background_wrote(w, p);
        return;
    }

    p = ngx_http_background_put_at(p, ",\"last\":{\"finished\":",
                                   peer->finished_at);
    p = ngx_http_background_put_seconds(p, ",\"wall_seconds\":",
                                        peer->wall_time);

    if (peer->status) {
        p = ngx_http_background_put_count(p, ",\"status\":", peer->status);

    } else {
        p = ngx_http_background_put(p, ",\"status\":null");
    }

    p = ngx_http_background_put(p, ",\"error\":");
    p = peer->error_len
        ? ngx_http_background_json_string(p, peer->error, peer->error_len)
        : ngx_http_background_put(p, "null");
    p = ngx_http_background_put(p, "}}");

    ngx_http_background_wrote(w, p);
}


/* writes the directives of the task, which may have paths to escape */

static void
ngx_http_background_json_conf(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_task_t *task)
{
    u_char                           *p;
    ngx_buf_t                        *b;
    ngx_str_t                        *title;
    ngx_uint_t                        i;
    ngx_http_background_operation_t  *operation;

    ngx_http_background_write(w, ",\"health\":{\"fails\":%ui,"
                              "\"passes\":%ui}", task->fails, task->passes);

    if (task->rules) {
        ngx_http_background_json_rules(w, task);
    }

    if (status->brief) {
        return;
    }

    operation = task->operations.elts;

    ngx_http_background_write(w, ",\"directives\":[");

    for (i = 0; i < task->operations.nelts; i++) {
        title = &operation[i].title;

        b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_JSON_ENTRY
                                      + NGX_HTTP_BACKGROUND_JSON_BYTE
                                        * NGX_HTTP_BACKGROUND_ERROR_LEN);
        if (b == NULL) {
            return;
        }

        p = b->last;

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_background_json_string(p, title->data, title->len);

        ngx_http_background_wrote(w, p);
    }

    ngx_http_background_write(w, "]");
}


static void
ngx_http_background_json_rules(ngx_http_background_writer_t *w,
    ngx_http_background_task_t *task)
{
    u_char                      *p;
    ngx_buf_t                   *b;
    ngx_uint_t                   i;
    ngx_http_background_rule_t  *rule;

    rule = task->rules->elts;

    ngx_http_background_write(w, ",\"schedules\":[");

    for (i = 0; i < task->rules->nelts; i++) {
        b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_JSON_ENTRY
                                      + NGX_HTTP_BACKGROUND_JSON_BYTE
                                        * NGX_HTTP_BACKGROUND_ERROR_LEN);
        if (b == NULL) {
            return;
        }

        p = b->last;

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_background_json_string(p, rule[i].text.data,
                                            rule[i].text.len);

        ngx_http_background_wrote(w, p);
    }

    ngx_http_background_write(w, "]");
}


static void
ngx_http_background_json_history(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    u_char                         *p;
    ngx_buf_t                      *b;
    ngx_uint_t                      i, n, ntexts;
    ngx_http_background_text_t      texts[NGX_HTTP_BACKGROUND_TEXTS];
    ngx_http_background_history_t   history[NGX_HTTP_BACKGROUND_HISTORY];

    n = ngx_http_background_history_read(view->task->zone.record, history);

    ntexts = status->brief ? 0
             : ngx_http_background_texts_read(view->task->zone.record, texts);

    ngx_http_background_write(w, ",\"history\":[");

    for (i = 0; i < n; i++) {
        b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_JSON_ENTRY
                                      + NGX_HTTP_BACKGROUND_JSON_BYTE
                                        * NGX_HTTP_BACKGROUND_TEXT_LEN);
        if (b == NULL) {
            return;
        }

        p = b->last;

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_background_put_at(p, "{\"finished\":",
                                       history[i].finished_at);
        p = ngx_http_background_put_seconds(p, ",\"wall_seconds\":",
                                            history[i].wall_time);
        p = ngx_http_background_put_count(p, ",\"failed\":",
                                          history[i].failed);

        if (history[i].failed) {
            p = ngx_http_background_json_text(p, &history[i], texts, ntexts);
        }

        *p++ = '}';

        ngx_http_background_wrote(w, p);
    }

    ngx_http_background_write(w, "]");
}


static u_char *
ngx_http_background_json_text(u_char *p,
    ngx_http_background_history_t *history, ngx_http_background_text_t *texts,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (history->number >= texts[i].first
            && history->number <= texts[i].last)
        {
            p = ngx_http_background_put(p, ",\"error\":");

            return ngx_http_background_json_string(p, texts[i].text,
                                                   texts[i].len);
        }
    }

    return p;
}


static void
ngx_http_background_json_causes(ngx_http_background_writer_t *w,
    ngx_http_background_view_t *view)
{
    u_char                       *p;
    ngx_buf_t                    *b;
    ngx_uint_t                    i, n;
    ngx_http_background_cause_t   causes[NGX_HTTP_BACKGROUND_CAUSES];

    n = ngx_http_background_view_causes(view, causes);

    ngx_http_background_write(w, ",\"causes\":[");

    for (i = 0; i < n; i++) {
        b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_JSON_ENTRY
                                      + NGX_HTTP_BACKGROUND_JSON_BYTE
                                        * NGX_HTTP_BACKGROUND_CAUSE_LEN);
        if (b == NULL) {
            return;
        }

        p = b->last;

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_background_put_at(p, "{\"started\":",
                                       causes[i].started_at);
        p = ngx_http_background_put(p, ",\"cause\":");
        p = ngx_http_background_json_string(p, causes[i].text, causes[i].len);
        *p++ = '}';

        ngx_http_background_wrote(w, p);
    }

    ngx_http_background_write(w, "]");
}


/* writes a time in milliseconds since the epoch; 0 is null */

static u_char *
ngx_http_background_json_time(u_char *p, uint64_t at)
{
    if (at == 0) {
        return ngx_http_background_put(p, "null");
    }

    *p++ = '"';
    p = ngx_http_background_put_time(p, at);
    *p++ = '"';

    return p;
}


/*
 * Writes a string with escapes, at most NGX_HTTP_BACKGROUND_JSON_BYTE bytes
 * for each of its bytes.  Longer strings are truncated.
 */

static u_char *
ngx_http_background_json_string(u_char *p, u_char *data, size_t len)
{
    u_char  buf[3 * NGX_HTTP_BACKGROUND_ERROR_LEN];

    len = ngx_min(len, NGX_HTTP_BACKGROUND_ERROR_LEN);
    len = ngx_http_background_utf8(buf, data, len);

    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, buf, len);
    *p++ = '"';

    return p;
}


/*
 * Copies a text and replaces bytes that are not UTF-8 by U+FFFD, which has
 * three bytes.  ngx_utf8_decode() accepts any byte from 0x80 as a
 * continuation, and any byte from 0xf0 as the first one of four.
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
