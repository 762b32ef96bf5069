
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "requests": requests the URIs of a list.  A thread reads it, piece by piece
 * and no faster than requests start, so a list of any length takes the same
 * memory.
 */


#include "ngx_http_background_request.h"


#define NGX_HTTP_BACKGROUND_REQUESTS_BUFFER       65536
#define NGX_HTTP_BACKGROUND_REQUESTS_LINE         8192

#define NGX_HTTP_BACKGROUND_REQUESTS_CONCURRENCY  8
#define NGX_HTTP_BACKGROUND_REQUESTS_MAX          100000

/* what may be made up for after a late timer, in microseconds */
#define NGX_HTTP_BACKGROUND_REQUESTS_LATE         10000


typedef struct {
    ngx_http_background_request_conf_t   *conf;
    ngx_str_t                             file;
    ngx_thread_pool_t                    *thread_pool;
    ngx_uint_t                            concurrency;
    uint64_t                              pause;    /* of "rate=", in usec */
} ngx_http_background_requests_op_t;


typedef struct ngx_http_background_requests_ctx_s
    ngx_http_background_requests_ctx_t;


/* outlives a run that was cancelled while a thread reads */

typedef struct {
    ngx_http_background_requests_ctx_t   *ctx;      /* NULL: cancelled */
    ngx_pool_t                           *pool;
    ngx_thread_task_t                     task;

    ngx_str_t                             owner;    /* the task's name */
    u_char                               *name;
    ngx_fd_t                              fd;
    off_t                                 size;
    off_t                                 offset;   /* of what has been read */

    u_char                               *pos;
    u_char                               *last;
    u_char                               *start;
    u_char                               *end;

    const char                           *failed;   /* call, or NULL */
    ngx_err_t                             err;

    unsigned                              reading:1;
    unsigned                              eof:1;
} ngx_http_background_reader_t;


struct ngx_http_background_requests_ctx_s {
    /* must be first */
    ngx_http_background_requests_t        requests;

    ngx_http_background_requests_op_t    *op;
    ngx_http_background_reader_t         *reader;
    ngx_uint_t                            line;
    uint64_t                              due;      /* of the next, in usec */

    unsigned                              skip:1;   /* a line's rest */
    unsigned                              over:1;   /* no more to start */
};


static char *ngx_http_background_requests(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_requests_rate(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_requests_pause(ngx_str_t *rate,
    uint64_t *pause);

static void ngx_http_background_requests_run_start(
    ngx_http_background_run_t *run);
static ngx_http_background_reader_t *ngx_http_background_reader_create(
    ngx_http_background_requests_ctx_t *ctx, ngx_http_background_run_t *run);
static void ngx_http_background_reader_free(
    ngx_http_background_reader_t *reader);
static void ngx_http_background_requests_run_cancel(
    ngx_http_background_run_t *run);

static void ngx_http_background_requests_slice(ngx_event_t *ev);
static ngx_msec_t ngx_http_background_requests_delay(
    ngx_http_background_requests_ctx_t *ctx);
static ngx_int_t ngx_http_background_requests_next(
    ngx_http_background_requests_ctx_t *ctx, ngx_str_t *uri);
static ngx_int_t ngx_http_background_requests_line(
    ngx_http_background_requests_ctx_t *ctx, ngx_str_t *line);
static void ngx_http_background_requests_read(
    ngx_http_background_requests_ctx_t *ctx);
static void ngx_http_background_reader_thread(void *data, ngx_log_t *log);
static void ngx_http_background_reader_open(
    ngx_http_background_reader_t *reader);
static void ngx_http_background_reader_handler(ngx_event_t *ev);


static ngx_http_background_kind_t  ngx_http_background_requests_kind = {
    ngx_http_background_requests_run_start,  /* start */
    ngx_http_background_requests_run_cancel, /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL                                     /* finish */
};


static const ngx_http_background_bounds_t
    ngx_http_background_requests_numbers =
{
    "value", 1, NGX_HTTP_BACKGROUND_REQUESTS_MAX, NULL
};


static const ngx_http_background_param_t
    ngx_http_background_requests_params[] =
{
    NGX_HTTP_BACKGROUND_REQUEST_PARAMS(ngx_http_background_requests_op_t),

    { ngx_string("concurrency="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_requests_op_t, concurrency),
      &ngx_http_background_requests_numbers },

    { ngx_string("rate="), 0, ngx_http_background_requests_rate,
      offsetof(ngx_http_background_requests_op_t, pause), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_requests_commands[] = {

    { ngx_string("requests"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_requests,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_requests_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_requests_module = {
    NGX_MODULE_V1,
    &ngx_http_background_requests_module_ctx, /* module context */
    ngx_http_background_requests_commands, /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_background_requests(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                          *value;
    ngx_http_background_requests_op_t  *op;

    op = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_requests_op_t));
    if (op == NULL) {
        return NGX_CONF_ERROR;
    }

    op->conf = ngx_http_background_request_create_conf(cf);
    if (op->conf == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    op->file = value[1];

    if (op->file.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty path in \"%V\" directive", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &op->file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    op->concurrency = NGX_HTTP_BACKGROUND_REQUESTS_CONCURRENCY;

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_requests_params, op)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    op->thread_pool = ngx_http_background_blocking_pool(cf);
    if (op->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                      &ngx_http_background_requests_kind, op);
}


static ngx_int_t
ngx_http_background_requests_rate(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    if (ngx_http_background_requests_pause(&arg->value, p) != NGX_OK) {
        return ngx_http_background_conf_invalid(cf, arg, "rate",
                         "from 1r/m to 1000000r/s, as in \"rate=10r/s\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_requests_pause(ngx_str_t *rate, uint64_t *pause)
{
    u_char     *unit;
    uint64_t    usec;
    ngx_int_t   n;

    if (rate->len < 4) {
        return NGX_ERROR;
    }

    unit = rate->data + rate->len - 3;

    if (ngx_strncmp(unit, "r/s", 3) == 0) {
        usec = 1000000;

    } else if (ngx_strncmp(unit, "r/m", 3) == 0) {
        usec = 60000000;

    } else {
        return NGX_ERROR;
    }

    n = ngx_atoi(rate->data, rate->len - 3);

    if (n < 1 || n > 1000000) {
        return NGX_ERROR;
    }

    *pause = usec / n;

    return NGX_OK;
}


static void
ngx_http_background_requests_run_start(ngx_http_background_run_t *run)
{
    ngx_http_background_requests_op_t   *op;
    ngx_http_background_requests_ctx_t  *ctx;

    ctx = ngx_pcalloc(run->pool, sizeof(ngx_http_background_requests_ctx_t));
    if (ctx == NULL) {
        goto failed;
    }

    op = run->conf;

    ctx->op = op;

    ctx->reader = ngx_http_background_reader_create(ctx, run);
    if (ctx->reader == NULL) {
        goto failed;
    }

    run->ctx = ctx;

    ngx_http_background_requests_init(&ctx->requests, run, op->conf,
                                      ngx_http_background_requests_slice);
    ctx->requests.list = 1;

    ngx_http_background_requests_slice(&ctx->requests.event);

    return;

failed:

    ngx_http_background_fail(&run->result, 0, "no memory");
    ngx_http_background_done(run);
}


static ngx_http_background_reader_t *
ngx_http_background_reader_create(ngx_http_background_requests_ctx_t *ctx,
    ngx_http_background_run_t *run)
{
    ngx_str_t                     *file;
    ngx_pool_t                    *pool;
    ngx_http_background_reader_t  *reader;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, run->log);
    if (pool == NULL) {
        return NULL;
    }

    file = &ctx->op->file;

    reader = ngx_pcalloc(pool, sizeof(ngx_http_background_reader_t));
    if (reader == NULL) {
        goto failed;
    }

    reader->start = ngx_palloc(pool, NGX_HTTP_BACKGROUND_REQUESTS_BUFFER);
    reader->name = ngx_pnalloc(pool, file->len + 1);

    reader->owner.len = run->task->len;
    reader->owner.data = ngx_pstrdup(pool, run->task);

    if (reader->start == NULL || reader->name == NULL
        || reader->owner.data == NULL)
    {
        goto failed;
    }

    *ngx_cpymem(reader->name, file->data, file->len) = '\0';

    reader->ctx = ctx;
    reader->pool = pool;
    reader->fd = NGX_INVALID_FILE;

    reader->pos = reader->start;
    reader->last = reader->start;
    reader->end = reader->start + NGX_HTTP_BACKGROUND_REQUESTS_BUFFER;

    reader->task.handler = ngx_http_background_reader_thread;
    reader->task.ctx = reader;
    reader->task.event.handler = ngx_http_background_reader_handler;
    reader->task.event.data = reader;
    reader->task.event.log = run->log;

    return reader;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


static void
ngx_http_background_reader_free(ngx_http_background_reader_t *reader)
{
    if (reader->fd != NGX_INVALID_FILE
        && ngx_close_file(reader->fd) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ALERT, reader->pool->log, ngx_errno,
                      "background task \"%V\": " ngx_close_file_n " \"%s\" "
                      "failed", &reader->owner, reader->name);
    }

    ngx_destroy_pool(reader->pool);
}


static void
ngx_http_background_requests_run_cancel(ngx_http_background_run_t *run)
{
    ngx_http_background_reader_t        *reader;
    ngx_http_background_requests_ctx_t  *ctx;

    ctx = run->ctx;
    reader = ctx->reader;

    ngx_http_background_requests_cancel(&ctx->requests);

    if (reader->reading) {
        reader->ctx = NULL;

    } else {
        ngx_http_background_reader_free(reader);
    }
}


static void
ngx_http_background_requests_slice(ngx_event_t *ev)
{
    ngx_http_background_requests_ctx_t *ctx = ev->data;

    ngx_int_t                      rc;
    ngx_uint_t                     n;
    ngx_msec_t                     delay;
    ngx_http_background_run_t     *run;
    ngx_http_complex_value_t       uri;
    ngx_http_background_reader_t  *reader;

    run = ctx->requests.run;
    reader = ctx->reader;

    ngx_memzero(&uri, sizeof(ngx_http_complex_value_t));

    for (n = 0;
         !ctx->over && ctx->requests.nactive < ctx->op->concurrency;
         n++)
    {
        if (n == NGX_HTTP_BACKGROUND_REQUEST_SLICE) {
            ngx_post_event(ev, &ngx_posted_next_events);
            break;
        }

        delay = ngx_http_background_requests_delay(ctx);

        if (delay) {
            ngx_add_timer(ev, delay);
            break;
        }

        rc = ngx_http_background_requests_next(ctx, &uri.value);

        if (rc == NGX_AGAIN) {
            break;
        }

        if (rc == NGX_DONE) {
            ctx->over = 1;
            break;
        }

        ctx->due += ctx->op->pause;

        if (ngx_http_background_request_start(&ctx->requests, &uri) != NGX_OK)
        {
            ctx->over = 1;
        }
    }

    run->result.active = ctx->requests.nactive;

    if (!reader->reading) {
        ngx_http_background_progress(run,
                            reader->offset - (reader->last - reader->pos),
                            reader->size);
    }

    if (ctx->over && !reader->reading && ctx->requests.nactive == 0) {
        ngx_http_background_requests_cancel(&ctx->requests);
        ngx_http_background_reader_free(reader);
        ngx_http_background_done(run);
    }
}


static ngx_msec_t
ngx_http_background_requests_delay(ngx_http_background_requests_ctx_t *ctx)
{
    uint64_t  now;

    if (ctx->op->pause == 0) {
        return 0;
    }

    now = (uint64_t) ngx_current_msec * 1000;

    if (ctx->due > now) {
        return (ngx_msec_t) ((ctx->due - now + 999) / 1000);
    }

    if (ctx->due + NGX_HTTP_BACKGROUND_REQUESTS_LATE < now) {
        ctx->due = now - NGX_HTTP_BACKGROUND_REQUESTS_LATE;
    }

    return 0;
}


/* NGX_AGAIN: more is being read; NGX_DONE: there is no more */

static ngx_int_t
ngx_http_background_requests_next(ngx_http_background_requests_ctx_t *ctx,
    ngx_str_t *uri)
{
    u_char     *p, *last;
    ngx_int_t   rc;
    ngx_str_t   line;

    for ( ;; ) {
        rc = ngx_http_background_requests_line(ctx, &line);

        if (rc != NGX_OK) {
            return rc;
        }

        p = line.data;
        last = p + line.len;

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        while (last > p
               && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == CR))
        {
            last--;
        }

        if (p < last && *p != '#') {
            uri->data = p;
            uri->len = last - p;
            return NGX_OK;
        }
    }
}


static ngx_int_t
ngx_http_background_requests_line(ngx_http_background_requests_ctx_t *ctx,
    ngx_str_t *line)
{
    u_char                        *p;
    ngx_uint_t                     skip;
    ngx_http_background_reader_t  *reader;

    reader = ctx->reader;

    for ( ;; ) {

        if (reader->reading) {
            return NGX_AGAIN;
        }

        p = ngx_strlchr(reader->pos, reader->last, LF);

        if (p == NULL && !reader->eof) {

            if (reader->last - reader->pos
                > NGX_HTTP_BACKGROUND_REQUESTS_LINE)
            {
                /* the rest of such a line may be of any length */

                ctx->skip = 1;
                reader->pos = reader->last;
            }

            ngx_http_background_requests_read(ctx);
            continue;
        }

        if (p == NULL) {
            p = reader->last;

            if (p == reader->pos && !ctx->skip) {
                return NGX_DONE;
            }
        }

        line->data = reader->pos;
        line->len = p - reader->pos;

        reader->pos = (p == reader->last) ? p : p + 1;

        ctx->line++;

        skip = ctx->skip;
        ctx->skip = 0;

        if (skip || line->len > NGX_HTTP_BACKGROUND_REQUESTS_LINE) {
            ngx_http_background_request_fail(&ctx->requests, NULL, 0,
                                  "line %ui is longer than %d bytes",
                                  ctx->line, NGX_HTTP_BACKGROUND_REQUESTS_LINE);
            continue;
        }

        return NGX_OK;
    }
}


/* keeps the beginning of a line at hand */

static void
ngx_http_background_requests_read(ngx_http_background_requests_ctx_t *ctx)
{
    ngx_http_background_reader_t  *reader;

    reader = ctx->reader;

    reader->last = ngx_movemem(reader->start, reader->pos,
                               reader->last - reader->pos);
    reader->pos = reader->start;

    if (ngx_thread_task_post(ctx->op->thread_pool, &reader->task) != NGX_OK) {
        ngx_http_background_request_fail(&ctx->requests, NULL, 0,
                                         "no thread to read the list");
        reader->pos = reader->last;
        reader->eof = 1;
        return;
    }

    reader->reading = 1;
}


static void
ngx_http_background_reader_thread(void *data, ngx_log_t *log)
{
    ngx_http_background_reader_t *reader = data;

    ssize_t  n;

    if (reader->fd == NGX_INVALID_FILE) {
        ngx_http_background_reader_open(reader);

        if (reader->failed) {
            return;
        }
    }

    do {
        n = read(reader->fd, reader->last, reader->end - reader->last);

    } while (n == -1 && ngx_errno == NGX_EINTR);

    if (n == -1) {
        reader->err = ngx_errno;
        reader->failed = "read()";
        return;
    }

    reader->last += n;
    reader->offset += n;
    reader->eof = (n == 0);
}


static void
ngx_http_background_reader_open(ngx_http_background_reader_t *reader)
{
    ngx_file_info_t  fi;

    /* non-blocking, should it be no file but a pipe */

    reader->fd = open((char *) reader->name,
                      O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);

    if (reader->fd == NGX_INVALID_FILE) {
        reader->err = ngx_errno;
        reader->failed = "open()";
        return;
    }

    if (ngx_fd_info(reader->fd, &fi) == NGX_FILE_ERROR) {
        reader->err = ngx_errno;
        reader->failed = ngx_fd_info_n;
        return;
    }

    if (!ngx_is_file(&fi)) {
        reader->failed = "not a regular file:";
        return;
    }

    reader->size = ngx_file_size(&fi);
}


static void
ngx_http_background_reader_handler(ngx_event_t *ev)
{
    ngx_http_background_reader_t *reader = ev->data;

    ngx_http_background_requests_ctx_t  *ctx;

    ctx = reader->ctx;

    if (ctx == NULL) {
        ngx_http_background_reader_free(reader);
        return;
    }

    reader->reading = 0;

    if (reader->failed) {
        ngx_http_background_request_fail(&ctx->requests, NULL, reader->err,
                                         reader->err ? "%s \"%s\" failed"
                                                     : "%s \"%s\"",
                                         reader->failed, reader->name);
        reader->pos = reader->last;
        reader->eof = 1;
    }

    ngx_http_background_requests_slice(&ctx->requests.event);
}
