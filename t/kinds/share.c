
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * share ITEMS [fail|slow|FILE [leave]]: items of 2 milliseconds each on
 * several threads.  With FILE the threads first wait until the file is
 * removed; with "fail" or "slow" "begin" fails or takes some time.  With
 * "leave" the first thread ends as soon as there is another one.  "finish"
 * logs the result.
 */


#include <ngx_http_background.h>


typedef struct {
    ngx_uint_t          items;
    ngx_uint_t          fail;
    ngx_uint_t          slow;
    ngx_uint_t          leave;
    u_char             *gate;
} share_conf_t;


typedef struct {
    ngx_thread_mutex_t  mutex;
    ngx_uint_t          next;
    ngx_uint_t          threads;
    ngx_uint_t          cancelled;
} share_ctx_t;


static void share_begin(ngx_http_background_run_t *run);
static void share_work(ngx_http_background_run_t *run);
static ngx_uint_t share_threads(ngx_http_background_run_t *run);
static void share_finish(ngx_http_background_run_t *run);
static char *share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_http_background_kind_t  share_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    share_begin,                             /* begin */
    share_work,                              /* work */
    share_finish,                            /* finish */
    NULL                                     /* check */
};


static ngx_command_t  share_commands[] = {

    { ngx_string("share"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE123,
      share,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  share_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  share_module = {
    NGX_MODULE_V1,
    &share_module_ctx,
    share_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
share_begin(ngx_http_background_run_t *run)
{
    share_ctx_t   *ctx;
    share_conf_t  *conf = run->conf;

    ctx = ngx_pcalloc(run->pool, sizeof(share_ctx_t));

    if (ctx == NULL
        || ngx_thread_mutex_create(&ctx->mutex, run->log) != NGX_OK)
    {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    run->ctx = ctx;

    if (conf->slow) {
        ngx_msleep(300);
    }

    if (conf->fail) {
        ngx_http_background_fail(&run->result, 0, "begin failed");
    }
}


static void
share_work(ngx_http_background_run_t *run)
{
    share_ctx_t   *ctx = run->ctx;
    share_conf_t  *conf = run->conf;

    ngx_uint_t       left, first;
    ngx_file_info_t  fi;

    ngx_thread_mutex_lock(&ctx->mutex, run->log);
    first = (ctx->threads++ == 0);
    ngx_thread_mutex_unlock(&ctx->mutex, run->log);

    while (conf->gate && ngx_file_info(conf->gate, &fi) != NGX_FILE_ERROR
           && !ngx_http_background_cancelled(run))
    {
        if (conf->leave && first && share_threads(run) > 1) {
            ngx_log_error(NGX_LOG_NOTICE, run->log, 0, "share: left");
            return;
        }

        ngx_msleep(2);
    }

    for ( ;; ) {

        ngx_thread_mutex_lock(&ctx->mutex, run->log);

        left = (ctx->next < conf->items);
        ctx->next += left;

        ngx_thread_mutex_unlock(&ctx->mutex, run->log);

        if (!left) {
            return;
        }

        run->result.active = 1;

        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ngx_msleep(2);

        run->result.active = 0;
        run->result.completed++;
        run->result.bytes += 10;
    }
}


static ngx_uint_t
share_threads(ngx_http_background_run_t *run)
{
    ngx_uint_t    n;
    share_ctx_t  *ctx = run->ctx;

    ngx_thread_mutex_lock(&ctx->mutex, run->log);
    n = ctx->threads;
    ngx_thread_mutex_unlock(&ctx->mutex, run->log);

    return n;
}


static void
share_finish(ngx_http_background_run_t *run)
{
    share_ctx_t *ctx = run->ctx;

    ctx->cancelled = ngx_http_background_cancelled(run);

    ngx_log_error(NGX_LOG_NOTICE, run->log, 0,
                  "share: %V handed out %ui to %ui threads, cancelled %ui",
                  run->task, ctx->next, ctx->threads, ctx->cancelled);

    (void) ngx_thread_mutex_destroy(&ctx->mutex, run->log);
}


static char *
share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t     *value;
    share_conf_t  *sc;

    sc = ngx_pcalloc(cf->pool, sizeof(share_conf_t));
    if (sc == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    sc->items = ngx_atoi(value[1].data, value[1].len);
    sc->fail = (cf->args->nelts == 3 && value[2].data[0] == 'f');
    sc->slow = (cf->args->nelts == 3 && value[2].data[0] == 's');
    sc->leave = (cf->args->nelts == 4);

    if (cf->args->nelts >= 3 && value[2].data[0] == '/') {
        sc->gate = value[2].data;
    }

    return ngx_http_background_add_operation(cf, &share_kind, sc);
}
