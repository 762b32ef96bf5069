
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "request": one or several simultaneous requests for a URI of the server, and
 * the variables $background_task and $background_fence.
 */


#include "ngx_http_background_fetch.h"


#define NGX_HTTP_BACKGROUND_REQUEST_COUNT_MAX  1000000

/* of a response that is saved, in bytes */
#define NGX_HTTP_BACKGROUND_REQUEST_MAX_SIZE   (10 * 1024 * 1024)


typedef struct {
    ngx_http_background_fetch_conf_t     *conf;
    ngx_http_complex_value_t              uri;
    ngx_uint_t                            count;
    ngx_str_t                             save;     /* path, or empty */
    off_t                                 max_size;
    ngx_uint_t                            passed;   /* unsigned  passed:1;
                                                       a whole response, in this
                                                       worker */

    /* checked when the configuration is complete */
    ngx_str_t                             name;   /* name of the location */
    u_char                               *file;
    ngx_uint_t                            line;
} ngx_http_background_request_op_t;


typedef struct {
    /* must be first */
    ngx_http_background_save_t           *save;     /* NULL: not saved */

    ngx_http_background_fetches_t         requests;
    ngx_http_background_request_op_t     *op;
    ngx_uint_t                            started;
} ngx_http_background_request_ctx_t;


typedef enum {
    ngx_http_background_cause_task = 0,
    ngx_http_background_cause_result,
    ngx_http_background_cause_error
} ngx_http_background_cause_e;


static ngx_int_t ngx_http_background_request_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_request_fence(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_request_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_request_cause_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static void *ngx_http_background_request_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_request_postconf(ngx_conf_t *cf);
static ngx_uint_t ngx_http_background_request_find_location(
    ngx_http_background_request_op_t *op);

static char *ngx_http_background_request(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_request_named(ngx_conf_t *cf,
    ngx_http_background_fetch_main_conf_t *rmcf,
    ngx_http_background_request_op_t *op);

static void ngx_http_background_request_run_start(
    ngx_http_background_run_t *run);
static void ngx_http_background_request_run_cancel(
    ngx_http_background_run_t *run);
static void ngx_http_background_request_loaded(
    ngx_http_background_run_t *run);
static void ngx_http_background_request_slice(ngx_event_t *ev);
static void ngx_http_background_request_over(
    ngx_http_background_request_ctx_t *ctx);
static void ngx_http_background_request_stored(
    ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_request_save(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_request_check_save(ngx_conf_t *cf,
    ngx_http_background_request_op_t *op);
static ngx_int_t ngx_http_background_request_check_headers(ngx_conf_t *cf,
    ngx_http_background_request_op_t *op);

static void ngx_http_background_request_exit_process(ngx_cycle_t *cycle);


static ngx_http_background_kind_t  ngx_http_background_request_kind = {
    ngx_http_background_request_run_start,   /* start */
    ngx_http_background_request_run_cancel,  /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_bounds_t  ngx_http_background_request_counts =
{
    "count", 1, NGX_HTTP_BACKGROUND_REQUEST_COUNT_MAX, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_request_sizes =
{
    "size", 1, NGX_MAX_OFF_T_VALUE, "1 or more"
};


static const ngx_http_background_param_t  ngx_http_background_request_params[] =
{
    NGX_HTTP_BACKGROUND_FETCH_PARAMS(ngx_http_background_request_op_t),

    { ngx_string("count="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_request_op_t, count),
      &ngx_http_background_request_counts },

    { ngx_string("save="), 0, ngx_http_background_request_save,
      offsetof(ngx_http_background_request_op_t, save), NULL },

    { ngx_string("max_size="), 0, ngx_http_background_conf_offset,
      offsetof(ngx_http_background_request_op_t, max_size),
      &ngx_http_background_request_sizes },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_request_commands[] = {

    { ngx_string("request"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_request,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_variable_t  ngx_http_background_request_variables[] = {

    { ngx_string("background_task"), NULL,
      ngx_http_background_request_variable, 0, 0, 0 },

    { ngx_string("background_fence"), NULL,
      ngx_http_background_request_fence, 0, 0, 0 },

    { ngx_string("background_cause"), NULL,
      ngx_http_background_request_cause_variable,
      ngx_http_background_cause_task, 0, 0 },

    { ngx_string("background_cause_result"), NULL,
      ngx_http_background_request_cause_variable,
      ngx_http_background_cause_result, 0, 0 },

    { ngx_string("background_cause_error"), NULL,
      ngx_http_background_request_cause_variable,
      ngx_http_background_cause_error, 0, 0 },

      ngx_http_null_variable
};


static ngx_http_module_t  ngx_http_background_request_module_ctx = {
    ngx_http_background_request_add_variables, /* preconfiguration */
    ngx_http_background_request_postconf,  /* postconfiguration */

    ngx_http_background_request_create_main_conf, /* create main conf */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_request_module = {
    NGX_MODULE_V1,
    &ngx_http_background_request_module_ctx, /* module context */
    ngx_http_background_request_commands,  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_background_request_exit_process, /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_background_request_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_background_request_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_request_fence(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char    *p;
    uint64_t   fence;

    fence = ngx_http_background_fetch_fence(r);

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = fence ? ngx_sprintf(p, "%uL", fence) - p : 0;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_request_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *task;

    task = ngx_http_background_fetch_task(r);

    if (task) {
        v->data = task->data;
        v->len = task->len;

    } else {
        v->data = (u_char *) "";
        v->len = 0;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* of the cycle that the request's one comes after; empty, if there is none */

static ngx_int_t
ngx_http_background_request_cause_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                           value;
    ngx_http_background_predecessor_t  *before;

    ngx_str_set(&value, "");

    before = ngx_http_background_fetch_predecessor(r);

    if (before && before->task.len) {
        switch (data) {

        case ngx_http_background_cause_task:
            value = before->task;
            break;

        case ngx_http_background_cause_error:
            value = before->error;
            break;

        default: /* ngx_http_background_cause_result */
            if (before->failed) {
                ngx_str_set(&value, "failure");

            } else {
                ngx_str_set(&value, "success");
            }
        }
    }

    v->data = value.data ? value.data : (u_char *) "";
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static void *
ngx_http_background_request_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_fetch_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_fetch_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->requests, cf->pool, 2,
                       sizeof(ngx_http_background_fetch_conf_t *))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&rmcf->named, cf->pool, 2,
                       sizeof(ngx_http_background_request_op_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


/*
 * Names and named locations of a server are known only when the configuration
 * is complete.
 */

static ngx_int_t
ngx_http_background_request_postconf(ngx_conf_t *cf)
{
    ngx_uint_t                              i, https;
    ngx_http_handler_pt                    *h;
    ngx_http_core_main_conf_t              *cmcf;
    ngx_http_background_request_op_t      **op;
    ngx_http_background_fetch_conf_t      **rcf;
    ngx_http_background_fetch_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_background_request_module);
    rcf = rmcf->requests.elts;
    https = 0;

    for (i = 0; i < rmcf->requests.nelts; i++) {
        ngx_http_background_fetch_default_host(rcf[i]);

        if (rcf[i]->https) {
            https = 1;
        }
    }

    if (https) {
        ngx_http_background_fetch_variables(cf);
    }

    op = rmcf->named.elts;

    for (i = 0; i < rmcf->named.nelts; i++) {
        if (!ngx_http_background_request_find_location(op[i])) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no location \"%V\" in the server of \"request\" "
                          "directive in %s:%ui",
                          &op[i]->name, op[i]->file, op[i]->line);
            return NGX_ERROR;
        }
    }

    if (rmcf->requests.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_background_fetch_quiet;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_background_request_find_location(ngx_http_background_request_op_t *op)
{
    ngx_str_t                  *name;
    ngx_http_core_loc_conf_t  **clcfp;
    ngx_http_core_srv_conf_t   *cscf;

    cscf = op->conf->ctx->srv_conf[ngx_http_core_module.ctx_index];

    for (clcfp = cscf->named_locations; clcfp && *clcfp; clcfp++) {
        name = &(*clcfp)->name;

        if (name->len == op->name.len
            && ngx_memcmp(name->data, op->name.data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_http_background_request(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_fetch_main_conf_t *rmcf = conf;

    ngx_str_t                         *value;
    ngx_http_background_request_op_t  *op;

    op = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_request_op_t));
    if (op == NULL) {
        return NGX_CONF_ERROR;
    }

    op->conf = ngx_http_background_fetch_create_conf(cf);
    if (op->conf == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_http_background_fetch_uri(cf, &value[1], &op->uri) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    op->count = 1;

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_request_params, op)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_request_check_save(cf, op) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_request_named(cf, rmcf, op) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                       &ngx_http_background_request_kind, op);
}


/* warns if the directory is missing */

static ngx_int_t
ngx_http_background_request_save(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_str_t *path = p;

    ngx_str_t  folder;

    if (arg->value.len == 0 || arg->value.data[arg->value.len - 1] == '/') {
        return ngx_http_background_conf_invalid(cf, arg, "file",
                                                "a file's name");
    }

    *path = arg->value;

    if (ngx_conf_full_name(cf->cycle, path, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    folder = *path;

    while (folder.data[folder.len - 1] != '/') {
        folder.len--;
    }

    folder.data = ngx_pnalloc(cf->pool, folder.len + 1);
    if (folder.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(folder.data, path->data, folder.len + 1);

    ngx_http_background_conf_path(cf, &folder);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_request_check_save(ngx_conf_t *cf,
    ngx_http_background_request_op_t *op)
{
    ngx_str_t   *value;
    const char  *error;

    if (op->save.len == 0) {
        if (op->max_size == 0) {
            return NGX_OK;
        }

        error = "\"max_size=\" in \"%V\" directive needs \"save=\"";

    } else if (op->count > 1 || op->conf->statuses.nelts
               || op->conf->method == NGX_HTTP_HEAD)
    {
        error = "\"save=\" in \"%V\" directive is for the body of one request, "
                "with status 200";

    } else {
        if (op->max_size == 0) {
            op->max_size = NGX_HTTP_BACKGROUND_REQUEST_MAX_SIZE;
        }

        return ngx_http_background_request_check_headers(cf, op);
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, error, &value[0]);

    return NGX_ERROR;
}


/* "save=" gives these, and nginx takes each of them only once */

static ngx_int_t
ngx_http_background_request_check_headers(ngx_conf_t *cf,
    ngx_http_background_request_op_t *op)
{
    ngx_str_t                     *value, *name;
    ngx_uint_t                     i;
    ngx_http_background_header_t  *h;

    static ngx_str_t  names[] = {
        ngx_string("If-None-Match"),
        ngx_string("If-Modified-Since"),
        ngx_null_string
    };

    value = cf->args->elts;
    h = op->conf->headers.elts;

    for (i = 0; i < op->conf->headers.nelts; i++) {
        for (name = names; name->len; name++) {
            if (h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "header \"%V\" in \"%V\" directive can't "
                                   "be given, it is set by \"save=\"",
                                   &h[i].key, &value[0]);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_request_named(ngx_conf_t *cf,
    ngx_http_background_fetch_main_conf_t *rmcf,
    ngx_http_background_request_op_t *op)
{
    ngx_str_t                          *value;
    ngx_http_background_request_op_t  **ops;

    value = cf->args->elts;

    if (op->uri.lengths || value[1].data[0] != '@') {
        return NGX_OK;
    }

    ops = ngx_array_push(&rmcf->named);
    if (ops == NULL) {
        return NGX_ERROR;
    }

    *ops = op;

    op->name = value[1];
    op->file = cf->conf_file->file.name.data;
    op->line = cf->conf_file->line;

    return NGX_OK;
}


static void
ngx_http_background_request_run_start(ngx_http_background_run_t *run)
{
    ngx_http_background_request_op_t   *op;
    ngx_http_background_request_ctx_t  *ctx;

    ctx = ngx_pcalloc(run->pool, sizeof(ngx_http_background_request_ctx_t));

    if (ctx == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_http_background_done(run);
        return;
    }

    op = run->conf;

    ctx->op = op;

    run->ctx = ctx;
    run->result.active = op->count;

    ngx_http_background_fetches_init(&ctx->requests, run, op->conf,
                                     ngx_http_background_request_slice);

    ctx->requests.event.data = ctx;

    if (op->save.len == 0) {
        ngx_http_background_request_slice(&ctx->requests.event);
        return;
    }

    ctx->save = ngx_http_background_save_create(run, &op->save, op->max_size);

    if (ctx->save == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_http_background_done(run);
        return;
    }

    /* the variables of "test" may have been set in another way before */

    ctx->save->whole = op->conf->test && !op->passed;

    ctx->requests.save = ctx->save;

    if (ngx_http_background_save_load(ctx->save,
                                      ngx_http_background_request_loaded)
        != NGX_OK)
    {
        ngx_http_background_done(run);
    }
}


static void
ngx_http_background_request_run_cancel(ngx_http_background_run_t *run)
{
    ngx_http_background_request_ctx_t  *ctx;

    ctx = run->ctx;

    ngx_http_background_fetches_cancel(&ctx->requests);
}


static void
ngx_http_background_request_loaded(ngx_http_background_run_t *run)
{
    ngx_http_background_request_ctx_t  *ctx;

    ctx = run->ctx;

    ngx_http_background_request_slice(&ctx->requests.event);
}


static void
ngx_http_background_request_slice(ngx_event_t *ev)
{
    ngx_http_background_request_ctx_t *ctx = ev->data;

    ngx_uint_t                        n;
    ngx_http_background_run_t        *run;
    ngx_http_background_request_op_t  *op;

    op = ctx->op;
    run = ctx->requests.run;

    for (n = 0; ctx->started < op->count; n++) {

        if (n == NGX_HTTP_BACKGROUND_FETCH_SLICE) {
            ngx_post_event(ev, &ngx_posted_next_events);
            break;
        }

        if (ngx_http_background_fetch_start(&ctx->requests, &op->uri)
            != NGX_OK)
        {
            /* further requests would fail for the same reason */

            run->result.failed += op->count - ctx->started - 1;
            ctx->started = op->count;
            break;
        }

        ctx->started++;
    }

    run->result.active = op->count - ctx->started + ctx->requests.nactive;

    if (run->result.active == 0) {
        if (ev->posted) {
            ngx_delete_posted_event(ev);
        }

        ngx_http_background_request_over(ctx);
    }
}


static void
ngx_http_background_request_over(ngx_http_background_request_ctx_t *ctx)
{
    ngx_http_background_run_t  *run;

    run = ctx->requests.run;

    if (ctx->save && ctx->save->status == NGX_HTTP_OK) {

        /* it is good when it has been written */

        run->result.completed = 0;
        run->result.active = 1;

        if (ngx_http_background_save_store(ctx->save,
                                           ngx_http_background_request_stored)
            == NGX_OK)
        {
            return;
        }

        run->result.active = 0;

    } else if (ctx->save && ctx->save->status) {
        ngx_http_background_message(&run->result, "not modified");
    }

    ngx_http_background_done(run);
}


static void
ngx_http_background_request_stored(ngx_http_background_run_t *run)
{
    ngx_http_background_request_ctx_t  *ctx;

    ctx = run->ctx;

    run->result.active = 0;

    if (run->result.failed == 0) {
        ngx_http_background_message(&run->result, "saved %O bytes",
                                    ctx->save->size);
        run->result.completed = 1;
        ctx->op->passed = 1;
    }

    ngx_http_background_done(run);
}


/*
 * nginx calls exit_process in the order of modules: the main module has
 * cancelled all runs before.
 */

static void
ngx_http_background_request_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_background_fetches_exit();
}
