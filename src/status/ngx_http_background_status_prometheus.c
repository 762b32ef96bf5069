
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The Prometheus text format 0.0.4 and OpenMetrics 1.0.  They differ in the
 * names of counter and info families, in the type of info, and at the end.
 * Names of tasks have no characters that need escaping; labels of servers may.
 */


#include "ngx_http_background_status.h"


#define ngx_http_background_of_stats(field)                                  \
    offsetof(ngx_http_background_view_t, stats)                              \
    + offsetof(ngx_http_background_stats_t, field)


/* the longest name of a metric or of labels other than the task, with quotes */
#define NGX_HTTP_BACKGROUND_LABEL  128

/* the longest line: labels before and after the name, and a number */
#define NGX_HTTP_BACKGROUND_LINE                                              \
    (2 * NGX_HTTP_BACKGROUND_LABEL + NGX_HTTP_BACKGROUND_NAME_LEN             \
     + NGX_INT64_LEN + sizeof(".000000") + 1)


typedef enum {
    ngx_http_background_count = 0,        /* uint64_t */
    ngx_http_background_gauge,            /* ngx_uint_t */
    ngx_http_background_metric_msec,      /* uint64_t, in milliseconds */
    ngx_http_background_metric_usec,      /* uint64_t, in microseconds */
    ngx_http_background_at,               /* uint64_t, in milliseconds, 0:
                                             none */
    ngx_http_background_queued_time,
    ngx_http_background_interval,         /* of the task */
    ngx_http_background_quarantine,       /* from the state */
    ngx_http_background_overdue,
    ngx_http_background_leader
} ngx_http_background_metric_value_e;


/* the figure of a task that has none */
#define NGX_HTTP_BACKGROUND_NONE  ((uint64_t) -1)


/* a metric of each task, or of one result of each task */

typedef struct {
    const char                           *family;
    const char                           *help;    /* NULL: the same family */
    const char                           *result;
    ngx_uint_t                            counter;
    ngx_http_background_metric_value_e    value;
    size_t                                offset;  /* in the view */
} ngx_http_background_metric_t;


static void ngx_http_background_text_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_text_part(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t from,
    ngx_uint_t n);
static void ngx_http_background_open_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_open_part(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t from,
    ngx_uint_t n);
static void ngx_http_background_open_tail(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status);
static void ngx_http_background_metrics_pool(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t open);
static void ngx_http_background_metrics_links(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t open);
static void ngx_http_background_metrics_expiry_family(
    ngx_http_background_writer_t *w, ngx_http_background_status_t *status,
    ngx_uint_t open);
static void ngx_http_background_metrics_part(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t from,
    ngx_uint_t n, ngx_uint_t open);
static u_char *ngx_http_background_metrics_bound(u_char *buf,
    ngx_msec_t bound);
static void ngx_http_background_metrics_family(
    ngx_http_background_writer_t *w, ngx_uint_t open, const char *family,
    const char *type, const char *help);
static u_char *ngx_http_background_metrics_millionths(u_char *p, uint64_t n);


static const ngx_http_background_metric_t  ngx_http_background_metric[] = {

    { "cycles", "Finished cycles, by result.", "success", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(cycles_completed) },

    { "cycles", NULL, "failure", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(cycles_failed) },

    { "cycles", NULL, "cancelled", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(cycles_cancelled) },

    { "cycles_missed", "Times of schedules that were missed.", NULL, 1,
      ngx_http_background_count,
      offsetof(ngx_http_background_view_t, missed) },

    { "cycles_coalesced", "Ends of other tasks without a cycle of their own.",
      NULL, 1,
      ngx_http_background_count,
      offsetof(ngx_http_background_view_t, coalesced) },

    { "operations", "Finished operations, by result.", "success", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(operations_completed) },

    { "operations", NULL, "failure", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(operations_failed) },

    { "bytes", "Bytes that operations processed.", NULL, 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(bytes) },

    { "io_seconds", "Time that I/O operations waited.", NULL, 1,
      ngx_http_background_metric_msec,
      ngx_http_background_of_stats(io_time) },

    { "cpu_seconds", "CPU time that operations used.", NULL, 1,
      ngx_http_background_metric_usec,
      ngx_http_background_of_stats(cpu_usec) },

    { "task_running", "Cycles of the task that are under way, including "
      "queued ones.", NULL, 0,
      ngx_http_background_gauge,
      offsetof(ngx_http_background_view_t, running) },

    { "task_queued", "Cycles of the task that only wait for a thread.", NULL,
      0,
      ngx_http_background_gauge,
      offsetof(ngx_http_background_view_t, queued) },

    { "task_queued_seconds", "How long the first queued cycle has waited.",
      NULL, 0, ngx_http_background_queued_time, 0 },

    { "task_healthy", "Whether the task is healthy.", NULL, 0,
      ngx_http_background_gauge,
      offsetof(ngx_http_background_view_t, healthy) },

    { "task_quarantined", "Whether the task is quarantined until the next "
      "reload, as workers died in its cycles.", NULL, 0,
      ngx_http_background_quarantine, 0 },

    { "task_paused", "Whether an operator has paused the task.", NULL, 0,
      ngx_http_background_gauge,
      offsetof(ngx_http_background_view_t, paused) },

    { "task_overdue", "Whether the task is late, and so not healthy.", NULL, 0,
      ngx_http_background_overdue, 0 },

    { "cluster_leader", "Whether this nginx has the task, with workers "
      "cluster.", NULL, 0, ngx_http_background_leader, 0 },

    { "task_interval_seconds", "Pause between two cycles of the task.", NULL,
      0, ngx_http_background_interval, 0 },

    { "task_consecutive_failures", "Failed cycles in a row.",
      NULL, 0,
      ngx_http_background_count,
      ngx_http_background_of_stats(failures) },

    { "last_cycle_timestamp_seconds", "When the last cycle ended that was not "
      "cancelled, as Unix time.", NULL, 0,
      ngx_http_background_at,
      ngx_http_background_of_stats(last.finished_at) },

    { "last_success_timestamp_seconds", "When the last successful cycle ended, "
      "as Unix time.", NULL, 0,
      ngx_http_background_at,
      ngx_http_background_of_stats(success_at) }
};


/* the values of a task, in the units of the zone */

typedef struct {
    ngx_http_background_task_t           *task;
    const ngx_str_t                      *name;
    uint64_t                              values[
                                   sizeof(ngx_http_background_metric)
                                   / sizeof(ngx_http_background_metric_t)];
    uint64_t                              buckets[
                                           NGX_HTTP_BACKGROUND_BUCKETS + 1];
    uint64_t                              buckets_time;
    uint64_t                              expires_at;
    size_t                                subject_len;
    u_char                                subject[
                                             NGX_HTTP_BACKGROUND_MESSAGE_LEN];
} ngx_http_background_figures_t;


static void ngx_http_background_metrics_keep(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view);
static uint64_t ngx_http_background_metrics_figure(
    ngx_http_background_view_t *view,
    const ngx_http_background_metric_t *metric);
static void ngx_http_background_metrics_tasks(ngx_http_background_writer_t *w,
    ngx_http_background_figures_t *f, ngx_uint_t n, ngx_uint_t i);
static void ngx_http_background_metrics_durations(
    ngx_http_background_writer_t *w, ngx_http_background_figures_t *f,
    ngx_uint_t n);
static void ngx_http_background_metrics_peers_family(
    ngx_http_background_writer_t *w, ngx_http_background_status_t *status,
    ngx_uint_t part, ngx_uint_t open);
static void ngx_http_background_metrics_peers(ngx_http_background_writer_t *w,
    ngx_http_background_figures_t *f, ngx_uint_t n, ngx_uint_t part);
static void ngx_http_background_metrics_peer(ngx_http_background_writer_t *w,
    const ngx_str_t *task, ngx_http_background_peer_t *peer, ngx_uint_t part);
static u_char *ngx_http_background_metrics_peer_label(u_char *p,
    const char *metric, const ngx_str_t *task,
    ngx_http_background_peer_t *peer);
static u_char *ngx_http_background_metrics_escape(u_char *p, u_char *data,
    size_t len);
static u_char *ngx_http_background_metrics_duration(u_char *p, ngx_str_t *le,
    ngx_http_background_figures_t *f);
static void ngx_http_background_metrics_expiries(
    ngx_http_background_writer_t *w, ngx_http_background_figures_t *f,
    ngx_uint_t n);
static u_char *ngx_http_background_metrics_label(u_char *p,
    const ngx_str_t *before, const ngx_str_t *name, const ngx_str_t *after);
static u_char *ngx_http_background_metrics_value(u_char *p,
    const ngx_http_background_metric_t *metric, uint64_t n);


/* one part for each metric, one for durations, and those of servers */
#define NGX_HTTP_BACKGROUND_DURATIONS                                         \
    (sizeof(ngx_http_background_metric)                                       \
     / sizeof(ngx_http_background_metric_t))
#define NGX_HTTP_BACKGROUND_PARTS  (NGX_HTTP_BACKGROUND_DURATIONS + 5)

#define NGX_HTTP_BACKGROUND_EXPIRIES       (NGX_HTTP_BACKGROUND_DURATIONS + 4)
#define NGX_HTTP_BACKGROUND_PEERS_UP       (NGX_HTTP_BACKGROUND_DURATIONS + 1)
#define NGX_HTTP_BACKGROUND_PEERS_CHECKS   (NGX_HTTP_BACKGROUND_DURATIONS + 2)


static const ngx_http_background_format_t  ngx_http_background_openmetrics = {
    ngx_null_string,
    ngx_string("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ngx_http_background_open_head,
    ngx_http_background_metrics_keep,
    sizeof(ngx_http_background_figures_t),
    NGX_HTTP_BACKGROUND_PARTS,
    ngx_http_background_open_part,
    ngx_http_background_open_tail,
    NULL,
    NULL
};


const ngx_http_background_format_t  ngx_http_background_prometheus = {
    ngx_string("prometheus"),
    ngx_string("text/plain; version=0.0.4; charset=utf-8"),
    ngx_http_background_text_head,
    ngx_http_background_metrics_keep,
    sizeof(ngx_http_background_figures_t),
    NGX_HTTP_BACKGROUND_PARTS,
    ngx_http_background_text_part,
    NULL,
    &ngx_http_background_openmetrics,
    NULL
};


static const ngx_str_t  ngx_http_background_bucket =
    ngx_string("nginx_background_cycle_duration_seconds_bucket{task=\"");
static const ngx_str_t  ngx_http_background_sum =
    ngx_string("nginx_background_cycle_duration_seconds_sum{task=\"");
static const ngx_str_t  ngx_http_background_number =
    ngx_string("nginx_background_cycle_duration_seconds_count{task=\"");
static const ngx_str_t  ngx_http_background_inf =
    ngx_string("\",le=\"+Inf\"} ");
static const ngx_str_t  ngx_http_background_label_end = ngx_string("\"} ");


static void
ngx_http_background_text_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_metrics_pool(w, status, 0);
}


static void
ngx_http_background_text_part(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t from,
    ngx_uint_t n)
{
    ngx_http_background_metrics_part(w, status, part, from, n, 0);
}


static void
ngx_http_background_open_head(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_metrics_pool(w, status, 1);
}


static void
ngx_http_background_open_part(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t from,
    ngx_uint_t n)
{
    ngx_http_background_metrics_part(w, status, part, from, n, 1);
}


static void
ngx_http_background_open_tail(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_write(w, "# EOF\n");
}


/* metrics of the pool and the module */

static void
ngx_http_background_metrics_pool(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t open)
{
    ngx_http_background_pool_conf_t  *pcf;
    ngx_http_background_zone_info_t  *info;

    pcf = &status->bmcf->pool;
    info = &status->info;

    ngx_http_background_metrics_family(w, open, open ? "" : "info",
                                       open ? "info" : "gauge",
                                       "Versions of the module and of nginx.");

    if (status->versions) {
        ngx_http_background_write(w, "nginx_background_info{version=\"%s\","
                                  "nginx=\"%s\"} 1\n",
                                  NGX_HTTP_BACKGROUND_VERSION, NGINX_VERSION);
    } else {
        ngx_http_background_write(w, "nginx_background_info 1\n");
    }

    ngx_http_background_metrics_family(w, open, "cpu_limit", "gauge",
                                       "CPUs that nginx may use.");
    ngx_http_background_write(w, "nginx_background_cpu_limit %ui\n",
                              (ngx_uint_t) pcf->cpu_limit.limit);

    ngx_http_background_metrics_family(w, open, "threads", "gauge",
                                       "Jobs that may run at once.");
    ngx_http_background_write(w, "nginx_background_threads %ui\n",
                              pcf->used ? pcf->threads : 0);

    ngx_http_background_metrics_family(w, open, "jobs_running", "gauge",
                                       "Jobs that run now.");
    ngx_http_background_write(w, "nginx_background_jobs_running %ui\n",
                              info->jobs_running);

    ngx_http_background_metrics_family(w, open, "jobs_queued", "gauge",
                                       "Jobs that wait for a thread now.");
    ngx_http_background_write(w, "nginx_background_jobs_queued %ui\n",
                              info->jobs_queued);

    ngx_http_background_metrics_family(w, open, "jobs", "counter",
                                       "Finished jobs.");
    ngx_http_background_write(w, "nginx_background_jobs_total %uL\n",
                              info->jobs_completed);

    ngx_http_background_metrics_family(w, open, "job_seconds", "counter",
                                       "CPU time that jobs used.");
    ngx_http_background_write(w, "nginx_background_job_seconds_total "
                              "%uL.%06uL\n",
                              info->jobs_usec / 1000000,
                              info->jobs_usec % 1000000);

    if (status->bmcf->cluster) {
        ngx_http_background_metrics_links(w, status, open);
    }
}


/* servers that tell which nginx has a task */

static void
ngx_http_background_metrics_links(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t open)
{
    ngx_uint_t                           i, n;
    ngx_cycle_t                         *cycle;
    ngx_http_background_cluster_link_t   link;

    cycle = status->bmcf->zone.cycle;

    for (n = 0; status->bmcf->cluster->link(cycle, n, &link) == NGX_OK; n++) {
        if (n == 0) {
            ngx_http_background_metrics_family(w, open, "redis_up", "gauge",
                                               "Whether all workers that need "
                                               "the server are connected.");
        }

        ngx_http_background_write(w, "nginx_background_redis_up{redis=\"%V\"}"
                                  " %d\n", &link.name,
                                  link.connected == link.workers);
    }

    for (n = 0; status->bmcf->cluster->link(cycle, n, &link) == NGX_OK; n++) {
        if (n == 0) {
            ngx_http_background_metrics_family(w, open, "redis_errors",
                                               "counter",
                                               "Errors of the server and of "
                                               "connections to it.");
        }

        for (i = 0; i < link.nerrors; i++) {
            ngx_http_background_write(w, "nginx_background_redis_errors_total"
                                      "{redis=\"%V\",reason=\"%V\"} %uL\n",
                                      &link.name, &link.reasons[i],
                                      link.errors[i]);
        }
    }
}


static void
ngx_http_background_metrics_part(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t from,
    ngx_uint_t n, ngx_uint_t open)
{
    ngx_http_background_figures_t       *f;
    const ngx_http_background_metric_t  *metric;

    f = (ngx_http_background_figures_t *) status->kept + from;

    if (part == NGX_HTTP_BACKGROUND_EXPIRIES) {
        if (from == 0) {
            ngx_http_background_metrics_expiry_family(w, status, open);
        }

        ngx_http_background_metrics_expiries(w, f, n);
        return;
    }

    if (part > NGX_HTTP_BACKGROUND_DURATIONS) {
        if (from == 0) {
            ngx_http_background_metrics_peers_family(w, status, part, open);
        }

        ngx_http_background_metrics_peers(w, f, n, part);
        return;
    }

    if (part == NGX_HTTP_BACKGROUND_DURATIONS) {
        if (from == 0) {
            ngx_http_background_metrics_family(w, open,
                                               "cycle_duration_seconds",
                                               "histogram", "Duration of "
                                               "cycles that were not "
                                               "cancelled.");
        }

        ngx_http_background_metrics_durations(w, f, n);
        return;
    }

    metric = &ngx_http_background_metric[part];

    if (from == 0 && metric->help) {
        ngx_http_background_metrics_family(w, open, metric->family,
                                      metric->counter ? "counter" : "gauge",
                                      metric->help);
    }

    ngx_http_background_metrics_tasks(w, f, n, part);
}


static void
ngx_http_background_metrics_keep(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_http_background_view_t *view)
{
    u_char                          c;
    ngx_uint_t                      i;
    ngx_http_background_figures_t  *f;

    f = (ngx_http_background_figures_t *) status->kept + status->ntasks - 1;

    f->task = view->task;
    f->name = &view->task->zone.name;

    for (i = 0; i < NGX_HTTP_BACKGROUND_DURATIONS; i++) {
        f->values[i] = ngx_http_background_metrics_figure(view,
                                             &ngx_http_background_metric[i]);
    }

    for (i = 0; i <= NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        f->buckets[i] = view->stats.buckets[i];
    }

    f->buckets_time = view->stats.buckets_time;

    f->expires_at = view->stats.last.expires_at;
    f->subject_len = ngx_min(view->stats.last.message_len, sizeof(f->subject));

    /* what is quoted in labels would need more than a byte */

    for (i = 0; i < f->subject_len; i++) {
        c = view->stats.last.message[i];

        f->subject[i] = (c < 0x20 || c > 0x7e || c == '"' || c == '\\') ? '?'
                                                                         : c;
    }
}


static uint64_t
ngx_http_background_metrics_figure(ngx_http_background_view_t *view,
    const ngx_http_background_metric_t *metric)
{
    void  *field;

    field = (u_char *) view + metric->offset;

    switch (metric->value) {

    case ngx_http_background_gauge:
        return *(ngx_uint_t *) field;

    case ngx_http_background_quarantine:
        return view->state == ngx_http_background_quarantined;

    case ngx_http_background_overdue:
        return view->overdue != ngx_http_background_not_late;

    case ngx_http_background_queued_time:
        return view->queued ? ngx_max(ngx_current_msec, view->queued_since)
                              - view->queued_since
                            : 0;

    case ngx_http_background_interval:
        return view->task->interval;

    case ngx_http_background_leader:
        if (view->task->cluster == NULL) {
            return NGX_HTTP_BACKGROUND_NONE;
        }

        return view->cluster.state == ngx_http_background_cluster_leader
               || view->cluster.state == ngx_http_background_cluster_alone;

    default:
        return *(uint64_t *) field;
    }
}


static void
ngx_http_background_metrics_tasks(ngx_http_background_writer_t *w,
    ngx_http_background_figures_t *f, ngx_uint_t n, ngx_uint_t i)
{
    u_char                              *p, *q;
    u_char                               buf[NGX_HTTP_BACKGROUND_LABEL];
    ngx_buf_t                           *b;
    ngx_str_t                            before, after;
    const ngx_http_background_metric_t  *metric;

    metric = &ngx_http_background_metric[i];

    q = buf + sizeof(buf);

    before.data = buf;
    p = ngx_slprintf(buf, q, "nginx_background_%s%s{task=\"",
                     metric->family, metric->counter ? "_total" : "");
    before.len = p - buf;

    after.data = p;
    p = metric->result ? ngx_slprintf(p, q, "\",result=\"%s\"} ",
                                      metric->result)
                       : ngx_slprintf(p, q, "\"} ");
    after.len = p - after.data;

    for ( /* void */ ; n; n--, f++) {

        /* a time that is not set and an interval that is off are not written */

        if (f->values[i] == NGX_HTTP_BACKGROUND_NONE) {
            continue;
        }

        if (f->values[i] == 0
            && (metric->value == ngx_http_background_at
                || metric->value == ngx_http_background_interval))
        {
            continue;
        }

        b = ngx_http_background_reserve(w, NGX_HTTP_BACKGROUND_LINE);
        if (b == NULL) {
            return;
        }

        p = ngx_http_background_metrics_label(b->last, &before, f->name,
                                              &after);
        p = ngx_http_background_metrics_value(p, metric, f->values[i]);
        *p++ = '\n';

        ngx_http_background_wrote(w, p);
    }
}


/* copies strings, which is faster than formatting */

static u_char *
ngx_http_background_metrics_label(u_char *p, const ngx_str_t *before,
    const ngx_str_t *name, const ngx_str_t *after)
{
    p = ngx_cpymem(p, before->data, before->len);
    p = ngx_cpymem(p, name->data, name->len);

    return ngx_cpymem(p, after->data, after->len);
}


static u_char *
ngx_http_background_metrics_value(u_char *p,
    const ngx_http_background_metric_t *metric, uint64_t n)
{
    switch (metric->value) {

    case ngx_http_background_count:
    case ngx_http_background_gauge:
    case ngx_http_background_quarantine:
    case ngx_http_background_overdue:
    case ngx_http_background_leader:
        return ngx_http_background_put_number(p, n);

    case ngx_http_background_metric_usec:
        return ngx_http_background_metrics_millionths(p, n);

    default:
        return ngx_http_background_put_thousandths(p, n);
    }
}


static u_char *
ngx_http_background_metrics_millionths(u_char *p, uint64_t n)
{
    p = ngx_http_background_put_thousandths(p, n / 1000);
    n %= 1000;

    *p++ = (u_char) ('0' + n / 100);
    *p++ = (u_char) ('0' + n / 10 % 10);
    *p++ = (u_char) ('0' + n % 10);

    return p;
}


static void
ngx_http_background_metrics_durations(ngx_http_background_writer_t *w,
    ngx_http_background_figures_t *f, ngx_uint_t n)
{
    u_char      *p, buf[NGX_HTTP_BACKGROUND_BUCKETS]
                       [NGX_HTTP_BACKGROUND_LABEL];
    ngx_buf_t   *b;
    ngx_str_t    le[NGX_HTTP_BACKGROUND_BUCKETS + 1];
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        le[i].data = buf[i];
        le[i].len = ngx_http_background_metrics_bound(buf[i],
                                              ngx_http_background_buckets[i])
                    - buf[i];
    }

    le[i] = ngx_http_background_inf;

    for (i = 0; i < n; i++) {
        b = ngx_http_background_reserve(w, (NGX_HTTP_BACKGROUND_BUCKETS + 3)
                                           * NGX_HTTP_BACKGROUND_LINE);
        if (b == NULL) {
            return;
        }

        p = ngx_http_background_metrics_duration(b->last, le, &f[i]);

        ngx_http_background_wrote(w, p);
    }
}


static u_char *
ngx_http_background_metrics_duration(u_char *p, ngx_str_t *le,
    ngx_http_background_figures_t *f)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i <= NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        n += f->buckets[i];

        p = ngx_http_background_metrics_label(p, &ngx_http_background_bucket,
                                              f->name, &le[i]);
        p = ngx_http_background_put_number(p, n);
        *p++ = '\n';
    }

    p = ngx_http_background_metrics_label(p, &ngx_http_background_sum, f->name,
                                          &ngx_http_background_label_end);
    p = ngx_http_background_put_thousandths(p, f->buckets_time);
    *p++ = '\n';

    p = ngx_http_background_metrics_label(p, &ngx_http_background_number,
                                          f->name,
                                          &ngx_http_background_label_end);
    p = ngx_http_background_put_number(p, n);
    *p++ = '\n';

    return p;
}


/* nothing is written where no task has servers */

static void
ngx_http_background_metrics_peers_family(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t part, ngx_uint_t open)
{
    ngx_uint_t                      i;
    ngx_http_background_figures_t  *f;

    f = status->kept;

    for (i = 0; i < status->ntasks && !f[i].task->judges; i++) { /* void */ }

    if (i == status->ntasks) {
        return;
    }

    if (part == NGX_HTTP_BACKGROUND_PEERS_UP) {
        ngx_http_background_metrics_family(w, open, "peer_up", "gauge",
                                           "Whether the server gets requests, "
                                           "by the verdict of its probe.");

    } else if (part == NGX_HTTP_BACKGROUND_PEERS_CHECKS) {
        ngx_http_background_metrics_family(w, open, "peer_checks", "counter",
                                           "Checks of the server, by result.");

    } else {
        ngx_http_background_metrics_family(w, open, "peer_changes", "counter",
                                           "Changes of the verdict.");
    }
}


static void
ngx_http_background_metrics_expiry_family(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status, ngx_uint_t open)
{
    ngx_uint_t                      i;
    ngx_http_background_figures_t  *f;

    f = status->kept;

    for (i = 0; i < status->ntasks && f[i].expires_at == 0; i++) { /* void */ }

    if (i < status->ntasks) {
        ngx_http_background_metrics_family(w, open,
                                       "certificate_expiry_timestamp_seconds",
                                       "gauge", "When the first certificate "
                                       "of the task expires.");
    }
}


static void
ngx_http_background_metrics_expiries(ngx_http_background_writer_t *w,
    ngx_http_background_figures_t *f, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (f[i].expires_at) {
            ngx_http_background_write(w,
                         "nginx_background_certificate_expiry_timestamp_seconds"
                         "{task=\"%V\",subject=\"%*s\"} %uL\n",
                         f[i].name, f[i].subject_len, f[i].subject,
                         f[i].expires_at / 1000);
        }
    }
}


static void
ngx_http_background_metrics_peers(ngx_http_background_writer_t *w,
    ngx_http_background_figures_t *f, ngx_uint_t n, ngx_uint_t part)
{
    ngx_uint_t                        i, k, number;
    ngx_http_background_task_t       *task;
    ngx_http_background_peer_t        peer;
    ngx_http_background_operation_t  *operation;

    for (i = 0; i < n; i++) {
        task = f[i].task;
        operation = task->operations.elts;

        for (k = 0; k < task->operations.nelts; k++) {

            if (operation[k].judge == NULL) {
                continue;
            }

            number = 0;

            while (operation[k].judge->peer(operation[k].conf, &number, &peer)
                   == NGX_OK)
            {
                ngx_http_background_metrics_peer(w, f[i].name, &peer, part);
            }
        }
    }
}


static void
ngx_http_background_metrics_peer(ngx_http_background_writer_t *w,
    const ngx_str_t *task, ngx_http_background_peer_t *peer, ngx_uint_t part)
{
    u_char     *p;
    ngx_buf_t  *b;

    b = ngx_http_background_reserve(w, 2 * (NGX_HTTP_BACKGROUND_LINE
                                            + 2 * (peer->upstream.len
                                                   + peer->address_len
                                                   + peer->server_len)));
    if (b == NULL) {
        return;
    }

    p = b->last;

    if (part == NGX_HTTP_BACKGROUND_PEERS_UP) {
        p = ngx_http_background_metrics_peer_label(p, "peer_up", task, peer);
        p = ngx_http_background_put(p, "} ");
        p = ngx_http_background_put_number(p, peer->usable);
        *p++ = '\n';

    } else if (part == NGX_HTTP_BACKGROUND_PEERS_CHECKS) {
        p = ngx_http_background_metrics_peer_label(p, "peer_checks_total", task,
                                                   peer);
        p = ngx_http_background_put(p, ",result=\"success\"} ");
        p = ngx_http_background_put_number(p, peer->passed);
        *p++ = '\n';

        p = ngx_http_background_metrics_peer_label(p, "peer_checks_total", task,
                                                   peer);
        p = ngx_http_background_put(p, ",result=\"failure\"} ");
        p = ngx_http_background_put_number(p, peer->failed);
        *p++ = '\n';

    } else {
        p = ngx_http_background_metrics_peer_label(p, "peer_changes_total",
                                                   task, peer);
        p = ngx_http_background_put(p, "} ");
        p = ngx_http_background_put_number(p, peer->changes);
        *p++ = '\n';
    }

    ngx_http_background_wrote(w, p);
}


static u_char *
ngx_http_background_metrics_peer_label(u_char *p, const char *metric,
    const ngx_str_t *task, ngx_http_background_peer_t *peer)
{
    p = ngx_sprintf(p, "nginx_background_%s{task=\"%V\",upstream=\"", metric,
                    task);
    p = ngx_http_background_metrics_escape(p, peer->upstream.data,
                                           peer->upstream.len);
    p = ngx_http_background_put(p, "\",peer=\"");
    p = ngx_http_background_metrics_escape(p, peer->address,
                                           peer->address_len);
    p = ngx_http_background_put(p, "\",server=\"");
    p = ngx_http_background_metrics_escape(p, peer->server, peer->server_len);
    *p++ = '"';

    return p;
}


/*
 * Writes a label value, at most twice as long as the text.  Non-ASCII bytes are
 * replaced, as they may not be UTF-8.
 */

static u_char *
ngx_http_background_metrics_escape(u_char *p, u_char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (data[i] == '"' || data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = (data[i] < ' ' || data[i] > '~') ? '?' : data[i];
    }

    return p;
}


/* writes a number with one digit after the point, or more if needed */

static u_char *
ngx_http_background_metrics_bound(u_char *buf, ngx_msec_t bound)
{
    u_char  *p;

    p = ngx_sprintf(buf, "\",le=\"%M.%03M", bound / 1000, bound % 1000);

    while (p[-1] == '0' && p[-2] != '.') {
        p--;
    }

    return ngx_cpymem(p, "\"} ", 3);
}


/* the families of a counter have different names in the two formats */

static void
ngx_http_background_metrics_family(ngx_http_background_writer_t *w,
    ngx_uint_t open, const char *family, const char *type, const char *help)
{
    const char  *joint, *suffix;

    joint = *family ? "_" : "";
    suffix = (!open && ngx_strcmp(type, "counter") == 0) ? "_total" : "";

    ngx_http_background_write(w,
                              "# HELP nginx_background%s%s%s %s\n"
                              "# TYPE nginx_background%s%s%s %s\n",
                              joint, family, suffix, help,
                              joint, family, suffix, type);
}
