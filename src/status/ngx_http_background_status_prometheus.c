
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The Prometheus text format 0.0.4, and OpenMetrics 1.0.  They differ in the
 * names of counters' and the info's families, in the info's type, and in the
 * end.  Nothing here needs escaping: a task's name has no such character.
 */


#include "ngx_http_background_status.h"


#define ngx_http_background_of_stats(field)                                  \
    offsetof(ngx_http_background_view_t, stats)                              \
    + offsetof(ngx_http_background_stats_t, field)


/* the longest name of a metric, or label but the task's name, with quotes */
#define NGX_HTTP_BACKGROUND_LABEL  128


typedef enum {
    ngx_http_background_count = 0,        /* uint64_t */
    ngx_http_background_gauge,            /* ngx_uint_t */
    ngx_http_background_msec,             /* uint64_t, in milliseconds */
    ngx_http_background_usec,             /* uint64_t, in microseconds */
    ngx_http_background_at,               /* uint64_t, in milliseconds, 0: no
                                             such time */
    ngx_http_background_interval,         /* of the task */
    ngx_http_background_quarantine,       /* by the state */
    ngx_http_background_overdue
} ngx_http_background_metric_value_e;


/* a metric with a value for each task, or for one of its results */

typedef struct {
    const char                           *family;
    const char                           *help;    /* NULL: as before */
    const char                           *result;
    ngx_uint_t                            counter;
    ngx_http_background_metric_value_e    value;
    size_t                                offset;  /* in a view */
} ngx_http_background_metric_t;


typedef struct {
    ngx_http_background_writer_t         *writer;
    ngx_http_background_status_t         *status;
    ngx_uint_t                            open;    /* OpenMetrics */
} ngx_http_background_metrics_t;


static void ngx_http_background_prometheus_text(
    ngx_http_background_writer_t *w, ngx_http_background_status_t *status);
static void ngx_http_background_prometheus_open(
    ngx_http_background_writer_t *w, ngx_http_background_status_t *status);
static void ngx_http_background_metrics(ngx_http_background_metrics_t *m);
static void ngx_http_background_metrics_pool(
    ngx_http_background_metrics_t *m);
static void ngx_http_background_metrics_tasks(
    ngx_http_background_metrics_t *m,
    const ngx_http_background_metric_t *metric);
static ngx_uint_t ngx_http_background_metrics_absent(
    ngx_http_background_view_t *view,
    const ngx_http_background_metric_t *metric);
static void ngx_http_background_metrics_label(
    ngx_http_background_writer_t *w, const ngx_str_t *before,
    ngx_http_background_view_t *view, const ngx_str_t *after);
static void ngx_http_background_metrics_durations(
    ngx_http_background_metrics_t *m);
static u_char *ngx_http_background_metrics_bound(u_char *buf,
    ngx_msec_t bound);
static void ngx_http_background_metrics_family(
    ngx_http_background_metrics_t *m, const char *family, const char *type,
    const char *help);
static void ngx_http_background_metrics_value(
    ngx_http_background_writer_t *w, ngx_http_background_view_t *view,
    const ngx_http_background_metric_t *metric);


static const ngx_http_background_format_t  ngx_http_background_openmetrics = {
    ngx_null_string,
    ngx_string("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ngx_http_background_prometheus_open,
    NULL,
    NULL
};


const ngx_http_background_format_t  ngx_http_background_prometheus = {
    ngx_string("prometheus"),
    ngx_string("text/plain; version=0.0.4; charset=utf-8"),
    ngx_http_background_prometheus_text,
    &ngx_http_background_openmetrics,
    NULL
};


static const ngx_http_background_metric_t  ngx_http_background_metric[] = {

    { "cycles", "Cycles that are over, by result.", "success", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(cycles_completed) },

    { "cycles", NULL, "failure", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(cycles_failed) },

    { "cycles", NULL, "cancelled", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(cycles_cancelled) },

    { "operations", "Operations that are over, by result.", "success", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(operations_completed) },

    { "operations", NULL, "failure", 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(operations_failed) },

    { "bytes", "Bytes that operations processed.", NULL, 1,
      ngx_http_background_count,
      ngx_http_background_of_stats(bytes) },

    { "io_seconds", "Time that I/O operations waited.", NULL, 1,
      ngx_http_background_msec,
      ngx_http_background_of_stats(io_time) },

    { "cpu_seconds", "CPU time that operations used.", NULL, 1,
      ngx_http_background_usec,
      ngx_http_background_of_stats(cpu_usec) },

    { "task_running", "Workers that are in a cycle of the task now.", NULL, 0,
      ngx_http_background_gauge,
      offsetof(ngx_http_background_view_t, running) },

    { "task_healthy", "Whether the task is healthy.", NULL, 0,
      ngx_http_background_gauge,
      offsetof(ngx_http_background_view_t, healthy) },

    { "task_quarantined", "Whether the task is left alone until the next "
      "reload, as workers died in it.", NULL, 0,
      ngx_http_background_quarantine, 0 },

    { "task_overdue", "Whether the task is late, and so not healthy.", NULL, 0,
      ngx_http_background_overdue, 0 },

    { "task_interval_seconds", "Pause between two cycles of the task.", NULL,
      0, ngx_http_background_interval, 0 },

    { "task_consecutive_failures", "Cycles in a row that failed up to now.",
      NULL, 0,
      ngx_http_background_count,
      ngx_http_background_of_stats(failures) },

    { "last_cycle_timestamp_seconds", "When the last cycle ended that was not "
      "cancelled, as Unix time.", NULL, 0,
      ngx_http_background_at,
      ngx_http_background_of_stats(last.finished_at) },

    { "last_success_timestamp_seconds", "When the last good cycle ended, as "
      "Unix time.", NULL, 0,
      ngx_http_background_at,
      ngx_http_background_of_stats(success_at) },

    { NULL, NULL, NULL, 0, ngx_http_background_count, 0 }
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
ngx_http_background_prometheus_text(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_metrics_t  m;

    m.writer = w;
    m.status = status;
    m.open = 0;

    ngx_http_background_metrics(&m);
}


static void
ngx_http_background_prometheus_open(ngx_http_background_writer_t *w,
    ngx_http_background_status_t *status)
{
    ngx_http_background_metrics_t  m;

    m.writer = w;
    m.status = status;
    m.open = 1;

    ngx_http_background_metrics(&m);

    ngx_http_background_write(w, "# EOF\n");
}


static void
ngx_http_background_metrics(ngx_http_background_metrics_t *m)
{
    const ngx_http_background_metric_t  *metric;

    ngx_http_background_metrics_pool(m);

    for (metric = ngx_http_background_metric; metric->family; metric++) {

        if (metric->help) {
            ngx_http_background_metrics_family(m, metric->family,
                                      metric->counter ? "counter" : "gauge",
                                      metric->help);
        }

        ngx_http_background_metrics_tasks(m, metric);
    }

    ngx_http_background_metrics_durations(m);
}


/* what is not of a task */

static void
ngx_http_background_metrics_pool(ngx_http_background_metrics_t *m)
{
    ngx_http_background_writer_t     *w;
    ngx_http_background_pool_conf_t  *pcf;
    ngx_http_background_zone_info_t  *info;

    w = m->writer;
    pcf = &m->status->bmcf->pool;
    info = &m->status->info;

    ngx_http_background_metrics_family(m, m->open ? "" : "info",
                                       m->open ? "info" : "gauge",
                                       "Versions of the module and of nginx.");
    ngx_http_background_write(w, "nginx_background_info{version=\"%s\","
                              "nginx=\"%s\"} 1\n",
                              NGX_HTTP_BACKGROUND_VERSION, NGINX_VERSION);

    ngx_http_background_metrics_family(m, "cpu_limit", "gauge",
                                       "CPUs that nginx may use.");
    ngx_http_background_write(w, "nginx_background_cpu_limit %ui\n",
                              (ngx_uint_t) pcf->cpu_limit.limit);

    ngx_http_background_metrics_family(m, "threads", "gauge",
                                       "Jobs that may run at once.");
    ngx_http_background_write(w, "nginx_background_threads %ui\n",
                              pcf->used ? pcf->threads : 0);

    ngx_http_background_metrics_family(m, "jobs_running", "gauge",
                                       "Jobs that run now.");
    ngx_http_background_write(w, "nginx_background_jobs_running %ui\n",
                              info->jobs_running);

    ngx_http_background_metrics_family(m, "jobs_queued", "gauge",
                                       "Jobs that wait for a thread now.");
    ngx_http_background_write(w, "nginx_background_jobs_queued %ui\n",
                              info->jobs_queued);

    ngx_http_background_metrics_family(m, "jobs", "counter",
                                       "Jobs that are over.");
    ngx_http_background_write(w, "nginx_background_jobs_total %uL\n",
                              info->jobs_completed);

    ngx_http_background_metrics_family(m, "job_seconds", "counter",
                                       "CPU time that jobs used.");
    ngx_http_background_write(w, "nginx_background_job_seconds_total "
                              "%uL.%06uL\n",
                              info->jobs_usec / 1000000,
                              info->jobs_usec % 1000000);
}


static void
ngx_http_background_metrics_tasks(ngx_http_background_metrics_t *m,
    const ngx_http_background_metric_t *metric)
{
    u_char                        *p, buf[NGX_HTTP_BACKGROUND_LABEL];
    ngx_str_t                      before, after;
    ngx_uint_t                     i;
    ngx_http_background_view_t    *view;
    ngx_http_background_writer_t  *w;

    w = m->writer;

    before.data = buf;
    p = ngx_slprintf(buf, buf + sizeof(buf), "nginx_background_%s%s{task=\"",
                     metric->family, metric->counter ? "_total" : "");
    before.len = p - buf;

    after.data = p;
    p = ngx_slprintf(p, buf + sizeof(buf), metric->result
                                           ? "\",result=\"%s\"} " : "\"} ",
                     metric->result);
    after.len = p - after.data;

    for (i = 0; i < m->status->ntasks; i++) {
        view = &m->status->tasks[i];

        if (ngx_http_background_metrics_absent(view, metric)) {
            continue;
        }

        ngx_http_background_metrics_label(w, &before, view, &after);
        ngx_http_background_metrics_value(w, view, metric);
    }
}


/* times that have not been yet, and an interval that is off */

static ngx_uint_t
ngx_http_background_metrics_absent(ngx_http_background_view_t *view,
    const ngx_http_background_metric_t *metric)
{
    switch (metric->value) {

    case ngx_http_background_at:
        return *(uint64_t *) ((u_char *) view + metric->offset) == 0;

    case ngx_http_background_interval:
        return view->task->interval == 0;

    default:
        return 0;
    }
}


/* copies, which is much faster than a format: there are many of them */

static void
ngx_http_background_metrics_label(ngx_http_background_writer_t *w,
    const ngx_str_t *before, ngx_http_background_view_t *view,
    const ngx_str_t *after)
{
    u_char     *p;
    ngx_buf_t  *b;
    ngx_str_t  *name;

    name = &view->task->zone.name;

    b = ngx_http_background_reserve(w, before->len + name->len + after->len);
    if (b == NULL) {
        return;
    }

    p = ngx_cpymem(b->last, before->data, before->len);
    p = ngx_cpymem(p, name->data, name->len);
    p = ngx_cpymem(p, after->data, after->len);

    w->size += p - b->last;
    b->last = p;
}


static void
ngx_http_background_metrics_value(ngx_http_background_writer_t *w,
    ngx_http_background_view_t *view,
    const ngx_http_background_metric_t *metric)
{
    void      *p;
    uint64_t   n;

    p = (u_char *) view + metric->offset;

    switch (metric->value) {

    case ngx_http_background_count:
        ngx_http_background_write(w, "%uL\n", *(uint64_t *) p);
        return;

    case ngx_http_background_gauge:
        ngx_http_background_write(w, "%ui\n", *(ngx_uint_t *) p);
        return;

    case ngx_http_background_usec:
        n = *(uint64_t *) p;
        ngx_http_background_write(w, "%uL.%06uL\n", n / 1000000, n % 1000000);
        return;

    case ngx_http_background_quarantine:
        n = (view->state == ngx_http_background_quarantined);
        ngx_http_background_write(w, "%uL\n", n);
        return;

    case ngx_http_background_overdue:
        n = (view->overdue != ngx_http_background_not_late);
        ngx_http_background_write(w, "%uL\n", n);
        return;

    case ngx_http_background_interval:
        n = view->task->interval;
        break;

    default:
        n = *(uint64_t *) p;
        break;
    }

    ngx_http_background_write(w, "%uL.%03uL\n", n / 1000, n % 1000);
}


static void
ngx_http_background_metrics_durations(ngx_http_background_metrics_t *m)
{
    u_char                         buf[NGX_HTTP_BACKGROUND_BUCKETS]
                                      [NGX_HTTP_BACKGROUND_LABEL];
    uint64_t                       n;
    ngx_str_t                      le[NGX_HTTP_BACKGROUND_BUCKETS];
    ngx_uint_t                     i, j;
    ngx_http_background_view_t    *view;
    ngx_http_background_writer_t  *w;
    ngx_http_background_stats_t   *stats;

    w = m->writer;

    ngx_http_background_metrics_family(m, "cycle_duration_seconds",
                                       "histogram", "Duration of cycles that "
                                       "were not cancelled.");

    for (j = 0; j < NGX_HTTP_BACKGROUND_BUCKETS; j++) {
        le[j].data = buf[j];
        le[j].len = ngx_http_background_metrics_bound(buf[j],
                                              ngx_http_background_buckets[j])
                    - buf[j];
    }

    for (i = 0; i < m->status->ntasks; i++) {
        view = &m->status->tasks[i];
        stats = &view->stats;

        for (j = 0, n = 0; j < NGX_HTTP_BACKGROUND_BUCKETS; j++) {
            n += stats->buckets[j];

            ngx_http_background_metrics_label(w, &ngx_http_background_bucket,
                                              view, &le[j]);
            ngx_http_background_write(w, "%uL\n", n);
        }

        n += stats->buckets[j];

        ngx_http_background_metrics_label(w, &ngx_http_background_bucket, view,
                                          &ngx_http_background_inf);
        ngx_http_background_write(w, "%uL\n", n);

        ngx_http_background_metrics_label(w, &ngx_http_background_sum, view,
                                          &ngx_http_background_label_end);
        ngx_http_background_write(w, "%uL.%03uL\n",
                                  stats->buckets_time / 1000,
                                  stats->buckets_time % 1000);

        ngx_http_background_metrics_label(w, &ngx_http_background_number, view,
                                          &ngx_http_background_label_end);
        ngx_http_background_write(w, "%uL\n", n);
    }
}


/* as OpenMetrics wants them: one digit behind the point, more where needed */

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


/* a counter's family has another name in each of the formats */

static void
ngx_http_background_metrics_family(ngx_http_background_metrics_t *m,
    const char *family, const char *type, const char *help)
{
    const char  *joint, *suffix;

    joint = *family ? "_" : "";
    suffix = (!m->open && ngx_strcmp(type, "counter") == 0) ? "_total" : "";

    ngx_http_background_write(m->writer,
                              "# HELP nginx_background%s%s%s %s\n"
                              "# TYPE nginx_background%s%s%s %s\n",
                              joint, family, suffix, help,
                              joint, family, suffix, type);
}
