
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * step PATH: reads a byte of the file in a blocking step.  The step hangs if
 * PATH is a FIFO without a writer.
 *
 * step PATH twice: starts another step while the first one runs.
 * step PATH next: starts another step after the first one.
 *
 * lines PATH io|cpu [max=NUMBER]: reads lines; each line is an operation.
 */


#include <ngx_http_background.h>
#include <ngx_event.h>


typedef struct {
    ngx_str_t       path;
    ngx_str_t       how;
    ngx_uint_t      max;
} step_conf_t;


typedef struct {
    step_conf_t    *conf;
    ngx_fd_t        fd;
    ssize_t         n;
    ngx_err_t       err;
    ngx_uint_t      last;
} step_data_t;


typedef struct {
    ngx_http_background_run_t     *run;
    ngx_http_background_reader_t  *reader;
    ngx_event_t                    event;
} lines_ctx_t;


static void step_start(ngx_http_background_run_t *run);
static void step_begin(ngx_http_background_run_t *run, ngx_uint_t last);
static void step_read(void *data, ngx_log_t *log);
static void step_then(ngx_http_background_run_t *run, void *data);
static void lines_start(ngx_http_background_run_t *run);
static void lines_handler(ngx_event_t *ev);
static void lines_work(ngx_http_background_run_t *run);
static ngx_int_t lines_read(ngx_http_background_run_t *run,
    ngx_http_background_reader_t *reader);
static char *lines(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static const ngx_http_background_param_t  lines_params[] = {
    ngx_http_background_param("max=", number, step_conf_t, max, NULL),
    ngx_http_background_param("", file, step_conf_t, path, NULL),
    ngx_http_background_param("", string, step_conf_t, how, NULL),
    ngx_http_background_null_param
};


static ngx_command_t  step_commands[] = {

    ngx_http_background_command("step", NGX_CONF_TAKE12, step_conf_t,
        ngx_http_background_io(step_start, ngx_http_background_cancel_none),
        ngx_http_background_param("", file, step_conf_t, path, NULL),
        ngx_http_background_param("", string, step_conf_t, how, NULL)),

    { ngx_string("lines"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE23,
      lines,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


ngx_http_background_kind_module(step_module, step_commands);


static void
step_start(ngx_http_background_run_t *run)
{
    step_conf_t *conf = run->conf;

    if (conf->how.len && ngx_strcmp(conf->how.data, "next") == 0) {
        step_begin(run, 0);
        return;
    }

    step_begin(run, 1);

    if (conf->how.len) {
        step_begin(run, 1);
    }
}


static void
step_begin(ngx_http_background_run_t *run, ngx_uint_t last)
{
    step_data_t  data;

    ngx_memzero(&data, sizeof(step_data_t));

    data.conf = run->conf;
    data.fd = NGX_INVALID_FILE;
    data.last = last;

    if (ngx_http_background_step(run, &data, sizeof(step_data_t), step_read,
                                 step_then)
        != NGX_OK
        && data.conf->how.len == 0)
    {
        ngx_http_background_done(run);
    }
}


static void
step_read(void *data, ngx_log_t *log)
{
    step_data_t *d = data;

    u_char  c;

    d->fd = ngx_open_file(d->conf->path.data, NGX_FILE_RDONLY, NGX_FILE_OPEN,
                          0);

    if (d->fd == NGX_INVALID_FILE) {
        d->err = ngx_errno;
        return;
    }

    d->n = read(d->fd, &c, 1);
    d->err = ngx_errno;
}


static void
step_then(ngx_http_background_run_t *run, void *data)
{
    step_data_t *d = data;

    if (d->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(d->fd);
    }

    if (run == NULL) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "step of \"%V\" without a run: %z",
                      &d->conf->path, d->n);
        return;
    }

    if (d->n != 1) {
        ngx_http_background_fail_path(&run->result, NULL, &d->conf->path,
                                      d->err, "reading %s failed");
        ngx_http_background_done(run);
        return;
    }

    if (!d->last) {
        run->result.completed++;
        step_begin(run, 1);
        return;
    }

    ngx_http_background_complete(run);
}


static void
lines_start(ngx_http_background_run_t *run)
{
    lines_ctx_t  *ctx;
    step_conf_t  *conf;

    conf = run->conf;

    ctx = ngx_pcalloc(run->pool, sizeof(lines_ctx_t));

    if (ctx) {
        ctx->reader = ngx_http_background_reader_create(run, &conf->path,
                                                        conf->max,
                                                        &ctx->event);
    }

    if (ctx == NULL || ctx->reader == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_http_background_done(run);
        return;
    }

    ctx->run = run;
    ctx->event.handler = lines_handler;
    ctx->event.data = ctx;

    lines_handler(&ctx->event);
}


static void
lines_handler(ngx_event_t *ev)
{
    lines_ctx_t *ctx = ev->data;

    if (lines_read(ctx->run, ctx->reader) == NGX_DONE) {
        ngx_http_background_done(ctx->run);
    }
}


static void
lines_work(ngx_http_background_run_t *run)
{
    step_conf_t                   *conf;
    ngx_http_background_reader_t  *reader;

    conf = run->conf;

    reader = ngx_http_background_reader_create(run, &conf->path, conf->max,
                                               NULL);
    if (reader == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    (void) lines_read(run, reader);
}


static ngx_int_t
lines_read(ngx_http_background_run_t *run,
    ngx_http_background_reader_t *reader)
{
    ngx_int_t  rc;
    ngx_str_t  line;

    for ( ;; ) {
        rc = ngx_http_background_reader_next(reader, &line);

        ngx_http_background_reader_progress(reader);

        if (rc == NGX_AGAIN || rc == NGX_DONE) {
            return rc;
        }

        if (rc == NGX_OK) {
            run->result.completed++;
            run->result.bytes += line.len;

        } else if (rc == NGX_DECLINED) {
            ngx_http_background_fail(&run->result, 0, "line %ui",
                                     ngx_http_background_reader_line(reader));
        }
    }
}


static char *
lines(ngx_conf_t *cf, ngx_command_t *cmd, void *main_conf)
{
    step_conf_t  *conf;

    static ngx_http_background_kind_t  io = {
        .start = lines_start,
        .cancel = ngx_http_background_cancel_none
    };

    static ngx_http_background_kind_t  cpu = { .work = lines_work };

    conf = ngx_pcalloc(cf->pool, sizeof(step_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->max = 100;

    if (ngx_http_background_conf_params(cf, 1, lines_params, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                  ngx_strcmp(conf->how.data, "io") == 0 ? &io : &cpu, conf);
}
