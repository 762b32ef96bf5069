
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "requests": requests for all URIs of a list, or for those that have failed */


#include "ngx_http_background_failed.h"
#include "ngx_http_background_fetch.h"


#define NGX_HTTP_BACKGROUND_REQUESTS_CONCURRENCY  8
#define NGX_HTTP_BACKGROUND_REQUESTS_MAX          100000

#define NGX_HTTP_BACKGROUND_REQUESTS_LINE         8192

/* the delay of a late timer that "rate=" makes up for, in microseconds */
#define NGX_HTTP_BACKGROUND_REQUESTS_LATE         10000


typedef struct {
    ngx_http_background_fetch_conf_t     *conf;
    ngx_str_t                             file;
    ngx_uint_t                            concurrency;
    uint64_t                              pause;    /* between requests, by
                                                       "rate=", in usec */

    /* failures of the last cycle in this worker; NULL: not known */
    ngx_http_background_failed_t         *failed;
} ngx_http_background_requests_op_t;


typedef struct {
    /* must be first */
    ngx_http_background_fetches_t         requests;

    ngx_http_background_requests_op_t    *op;
    ngx_http_background_reader_t         *reader;
    uint64_t                              due;      /* time of the next
                                                       request, in usec */
    ngx_http_background_failed_t         *failed;   /* failures of this cycle */
    ngx_http_background_failed_t         *known;    /* failures of the last
                                                       cycle, requested first */
    ngx_uint_t                            next;     /* index in "known" */

    unsigned                              part:1;   /* only "known" is
                                                       requested, as the list
                                                       has not changed */
    unsigned                              read:1;   /* the list was read to its
                                                       end */
    unsigned                              over:1;   /* no more requests will
                                                       start */
} ngx_http_background_requests_ctx_t;


static char *ngx_http_background_requests(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_requests_rate(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_requests_pause(ngx_str_t *rate,
    uint64_t *pause);
static void ngx_http_background_requests_cleanup(void *data);

static void ngx_http_background_requests_run_start(
    ngx_http_background_run_t *run);
static void ngx_http_background_requests_run_cancel(
    ngx_http_background_run_t *run);

static void ngx_http_background_requests_slice(ngx_event_t *ev);
static ngx_msec_t ngx_http_background_requests_delay(
    ngx_http_background_requests_ctx_t *ctx);
static ngx_int_t ngx_http_background_requests_next(
    ngx_http_background_requests_ctx_t *ctx, ngx_str_t *uri);
static ngx_int_t ngx_http_background_requests_known(
    ngx_http_background_requests_ctx_t *ctx, ngx_str_t *uri);
static void ngx_http_background_requests_progress(
    ngx_http_background_requests_ctx_t *ctx);
static void ngx_http_background_requests_long(
    ngx_http_background_requests_ctx_t *ctx, ngx_uint_t line);
static void ngx_http_background_requests_failed(
    ngx_http_background_fetches_t *rs, ngx_str_t *uri);
static void ngx_http_background_requests_remember(
    ngx_http_background_requests_ctx_t *ctx);


static ngx_http_background_kind_t  ngx_http_background_requests_kind = {
    ngx_http_background_requests_run_start,  /* start */
    ngx_http_background_requests_run_cancel, /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_bounds_t
    ngx_http_background_requests_numbers =
{
    "value", 1, NGX_HTTP_BACKGROUND_REQUESTS_MAX, NULL
};


static const ngx_http_background_param_t
    ngx_http_background_requests_params[] =
{
    NGX_HTTP_BACKGROUND_FETCH_PARAMS(ngx_http_background_requests_op_t),

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
    ngx_pool_cleanup_t                 *cln;
    ngx_http_background_requests_op_t  *op;

    op = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_requests_op_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (op == NULL || cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_background_requests_cleanup;
    cln->data = op;

    op->conf = ngx_http_background_fetch_create_conf(cf);
    if (op->conf == NULL) {
        return NGX_CONF_ERROR;
    }

    /* by default a redirect is a failure, as it does not fill a cache */
    op->conf->last = 299;

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

    ngx_http_background_conf_path(cf, &op->file);

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
ngx_http_background_requests_cleanup(void *data)
{
    ngx_http_background_requests_op_t *op = data;

    ngx_http_background_failed_free(op->failed);
}


static void
ngx_http_background_requests_run_start(ngx_http_background_run_t *run)
{
    ngx_http_background_requests_op_t   *op;
    ngx_http_background_requests_ctx_t  *ctx;

    run->resumes = 1;

    ctx = ngx_pcalloc(run->pool, sizeof(ngx_http_background_requests_ctx_t));
    if (ctx == NULL) {
        goto failed;
    }

    op = run->conf;

    ctx->op = op;

    ctx->failed = ngx_http_background_failed_create(run->log);
    if (ctx->failed == NULL) {
        goto failed;
    }

    ctx->reader = ngx_http_background_reader_create(run, &op->file,
                                            NGX_HTTP_BACKGROUND_REQUESTS_LINE,
                                            &ctx->requests.event);
    if (ctx->reader == NULL) {
        ngx_http_background_failed_free(ctx->failed);
        goto failed;
    }

    if (run->retry) {
        ctx->known = op->failed;
        op->failed = NULL;
    }

    run->retry = (ctx->known != NULL);
    run->ctx = ctx;
    run->result.allow_empty = 1;

    ngx_http_background_fetches_init(&ctx->requests, run, op->conf,
                                     ngx_http_background_requests_slice);
    ctx->requests.list = 1;
    ctx->requests.failed = ngx_http_background_requests_failed;

    ngx_http_background_requests_slice(&ctx->requests.event);

    return;

failed:

    ngx_http_background_fail(&run->result, 0, "no memory");
    ngx_http_background_done(run);
}


static void
ngx_http_background_requests_run_cancel(ngx_http_background_run_t *run)
{
    ngx_http_background_requests_ctx_t  *ctx;

    ctx = run->ctx;

    ngx_http_background_fetches_cancel(&ctx->requests);
    ngx_http_background_requests_remember(ctx);
}


static void
ngx_http_background_requests_slice(ngx_event_t *ev)
{
    ngx_http_background_requests_ctx_t *ctx = ev->data;

    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_msec_t                  delay;
    ngx_http_background_run_t  *run;
    ngx_http_complex_value_t    uri;

    run = ctx->requests.run;

    ngx_memzero(&uri, sizeof(ngx_http_complex_value_t));

    for (n = 0;
         !ctx->over && ctx->requests.nactive < ctx->op->concurrency;
         n++)
    {
        if (n == NGX_HTTP_BACKGROUND_FETCH_SLICE) {
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

        if (ngx_http_background_fetch_start(&ctx->requests, &uri) != NGX_OK)
        {
            ngx_http_background_failed_add(ctx->failed, &uri.value, 0);
            ctx->over = 1;
        }
    }

    run->result.active = ctx->requests.nactive;

    ngx_http_background_requests_progress(ctx);

    if (ctx->over && ctx->requests.nactive == 0) {
        ngx_http_background_requests_run_cancel(run);
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


/*
 * Returns NGX_OK with the next URI, NGX_AGAIN if it is still being read, or
 * NGX_DONE at the end.
 */

static ngx_int_t
ngx_http_background_requests_next(ngx_http_background_requests_ctx_t *ctx,
    ngx_str_t *uri)
{
    ngx_int_t  rc;
    ngx_str_t  line;

    if (ctx->known) {
        rc = ngx_http_background_requests_known(ctx, uri);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    for ( ;; ) {
        rc = ngx_http_background_reader_next(ctx->reader, &line);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_DONE) {
            ctx->read = 1;
            return NGX_DONE;
        }

        if (rc == NGX_DECLINED) {
            ngx_http_background_requests_long(ctx,
                              ngx_http_background_reader_line(ctx->reader));
        }

        if (rc == NGX_ERROR) {
            ctx->failed->rest = 1;
        }

        if (rc == NGX_OK
            && ngx_http_background_fetch_line(&line, uri) == NGX_OK)
        {
            return NGX_OK;
        }
    }
}


/* returns the next URI of "known", or NGX_DECLINED if the list must be read */

static ngx_int_t
ngx_http_background_requests_known(ngx_http_background_requests_ctx_t *ctx,
    ngx_str_t *uri)
{
    ngx_int_t                           rc;
    ngx_uint_t                          i;
    ngx_http_background_run_t          *run;
    ngx_http_background_failed_t       *known;
    ngx_http_background_failed_line_t  *line;

    known = ctx->known;
    run = ctx->requests.run;

    if (!ctx->part) {
        rc = ngx_http_background_reader_open(ctx->reader);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK
            || !ngx_http_background_failed_same(known,
                              ngx_http_background_reader_info(ctx->reader)))
        {
            goto whole;
        }

        ctx->part = 1;

        if (known->lines.nelts) {
            ngx_http_background_message(&run->result,
                                        "retry of the %ui that failed",
                                        known->lines.nelts);
        }
    }

    line = known->lines.elts;

    while (ctx->next < known->lines.nelts) {
        i = ctx->next++;

        if (line[i].line == 0) {
            *uri = line[i].uri;
            return NGX_OK;
        }

        ngx_http_background_requests_long(ctx, line[i].line);
    }

    if (!known->rest) {
        return NGX_DONE;
    }

    if (ctx->requests.nactive) {
        return NGX_AGAIN;
    }

    if (run->result.failed) {
        return NGX_DONE;
    }

    /* all known URIs have succeeded, so the whole list is requested */

    run->result.message_len = 0;

whole:

    ngx_http_background_failed_free(known);

    run->retry = 0;
    ctx->known = NULL;
    ctx->part = 0;

    return NGX_DECLINED;
}


/* the unit is bytes of the list, or failed URIs on retry */

static void
ngx_http_background_requests_progress(ngx_http_background_requests_ctx_t *ctx)
{
    if (ctx->part) {
        ngx_http_background_progress(ctx->requests.run, ctx->next,
                                     ctx->known->lines.nelts);
        return;
    }

    ngx_http_background_reader_progress(ctx->reader);
}


static void
ngx_http_background_requests_long(ngx_http_background_requests_ctx_t *ctx,
    ngx_uint_t line)
{
    static ngx_str_t  none = ngx_string("");

    ngx_http_background_fetch_fail(&ctx->requests, NULL, 0,
                                   "line %ui is longer than %d bytes", line,
                                   NGX_HTTP_BACKGROUND_REQUESTS_LINE);

    ngx_http_background_failed_add(ctx->failed, &none, line);
}


static void
ngx_http_background_requests_failed(ngx_http_background_fetches_t *rs,
    ngx_str_t *uri)
{
    ngx_http_background_requests_ctx_t  *ctx;

    ctx = (ngx_http_background_requests_ctx_t *) rs;

    ngx_http_background_failed_add(ctx->failed, uri, 0);
}


/*
 * Stores the failures for "retry".  They are useless without a known URI if
 * the list was not read to its end.
 */

static void
ngx_http_background_requests_remember(ngx_http_background_requests_ctx_t *ctx)
{
    ngx_uint_t                          i;
    ngx_http_background_failed_t       *failed, *known;
    ngx_http_background_failed_line_t  *line;

    failed = ctx->failed;
    known = ctx->known;

    if (ctx->part) {
        line = known->lines.elts;

        for (i = ctx->next; i < known->lines.nelts; i++) {
            ngx_http_background_failed_add(failed, &line[i].uri, line[i].line);
        }

        failed->file = known->file;
        failed->rest |= known->rest;

    } else {
        failed->file = *ngx_http_background_reader_info(ctx->reader);
        failed->rest |= !ctx->read;
    }

    ngx_http_background_failed_free(known);
    ngx_http_background_failed_free(ctx->op->failed);

    if (failed->rest && failed->lines.nelts == 0) {
        ngx_http_background_failed_free(failed);
        failed = NULL;
    }

    ctx->op->failed = failed;
}
