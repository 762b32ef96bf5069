
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "background_run": a trigger and a content handler.  The body of a request is
 * the input of a cycle, the output of the cycle is the response.
 *
 * Pool threads do not use the request: the cycle has a copy of the body or a
 * descriptor of its file, and is detached if the request is freed first.
 */


#include <ngx_http_background.h>
#include <ngx_http_background_response.h>

#include <ngx_event.h>


#define NGX_HTTP_BACKGROUND_RUN_QUEUE_MAX  1000000


typedef struct ngx_http_background_run_loc_conf_s
    ngx_http_background_run_loc_conf_t;

struct ngx_http_background_run_loc_conf_s {
    ngx_http_background_task_t    *task;
    ngx_str_t                      name;
    ngx_msec_t                     wait;
    ngx_uint_t                     queue;
    ngx_uint_t                     busy;
    size_t                         max_output;
    ngx_uint_t                     errors;        /* unsigned  errors:1; */
    ngx_uint_t                     ignore_abort;  /* unsigned ignore_abort:1; */

    /* the place in the configuration, for errors in postconfiguration */
    u_char                        *file;
    ngx_uint_t                     line;

    /* number of jobs of this location that wait for a thread in this worker */
    ngx_uint_t                     waiting;

    /* itself, or that of the location that "if" or "limit_except" is in */
    ngx_http_background_run_loc_conf_t  *directive;
};


typedef struct {
    ngx_http_request_t            *request;
    ngx_http_background_cycle_t   *cycle;         /* NULL: none, or it is
                                                     detached */
    ngx_event_t                    timer;         /* for "wait=" */
    ngx_str_t                      result;        /* $background_run_status */

    unsigned                       starting:1;
    unsigned                       over:1;
    unsigned                       busy:1;        /* no thread was free for
                                                     "wait=" */
} ngx_http_background_run_ctx_t;


/* $background_run_wait, $background_run_time, $background_run_cpu */

typedef enum {
    ngx_http_background_run_wait = 0,
    ngx_http_background_run_time,
    ngx_http_background_run_cpu
} ngx_http_background_run_time_e;


/* header fields for which headers_out has a member */

typedef struct {
    ngx_str_t                      name;
    size_t                         offset;
} ngx_http_background_run_field_t;


static ngx_int_t ngx_http_background_run_handler(ngx_http_request_t *r);
static void ngx_http_background_run_body_handler(ngx_http_request_t *r);
static void ngx_http_background_run_watch(ngx_http_request_t *r,
    ngx_uint_t ignore);
static ngx_int_t ngx_http_background_run_start(ngx_http_request_t *r,
    ngx_http_background_run_loc_conf_t *rlcf);
static ngx_int_t ngx_http_background_run_input(ngx_http_request_t *r,
    ngx_http_background_start_t *start);
static ngx_int_t ngx_http_background_run_join(ngx_http_request_t *r,
    ngx_str_t *input);
static ngx_int_t ngx_http_background_run_refuse(ngx_http_request_t *r,
    ngx_http_background_run_loc_conf_t *rlcf, ngx_int_t rc);
static void ngx_http_background_run_wait_handler(ngx_event_t *ev);
static void ngx_http_background_run_over(ngx_http_background_cycle_t *cycle,
    void *data);
static ngx_int_t ngx_http_background_run_answer(
    ngx_http_background_run_ctx_t *ctx);
static ngx_int_t ngx_http_background_run_send(ngx_http_request_t *r,
    const ngx_http_background_output_t *output);
static ngx_int_t ngx_http_background_run_fields(ngx_http_request_t *r,
    const ngx_array_t *fields);
static ngx_int_t ngx_http_background_run_error(ngx_http_request_t *r,
    ngx_uint_t status, const ngx_str_t *text);
static ngx_int_t ngx_http_background_run_retry_after(ngx_http_request_t *r,
    ngx_msec_t wait);
static ngx_int_t ngx_http_background_run_buf(ngx_http_request_t *r,
    ngx_chain_t *out, ngx_buf_t *last);
static void ngx_http_background_run_gone(void *data);
static void ngx_http_background_run_free(void *data);

static ngx_msec_t ngx_http_background_run_msec(
    ngx_http_background_run_ctx_t *ctx, ngx_http_background_run_time_e time);
static ngx_int_t ngx_http_background_run_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_run_status_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_background_run_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_run_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_run_find(ngx_conf_t *cf,
    ngx_http_background_run_loc_conf_t *rlcf);
static void *ngx_http_background_run_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_background_run_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_background_run_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_background_run(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static const ngx_http_background_bounds_t  ngx_http_background_run_waits = {
    "wait", 1, NGX_MAX_INT32_VALUE, "a time of 1 millisecond or more"
};

static const ngx_http_background_bounds_t  ngx_http_background_run_queues = {
    "queue", 1, NGX_HTTP_BACKGROUND_RUN_QUEUE_MAX, NULL
};

static const ngx_http_background_bounds_t  ngx_http_background_run_codes = {
    "busy", 400, 599, NULL
};

static const ngx_http_background_bounds_t  ngx_http_background_run_outputs = {
    "max_output", 1, NGX_MAX_INT32_VALUE, "a size of 1 byte or more"
};


static const ngx_http_background_param_t  ngx_http_background_run_params[] = {

    { ngx_string("wait="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_run_loc_conf_t, wait),
      &ngx_http_background_run_waits },

    { ngx_string("queue="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_run_loc_conf_t, queue),
      &ngx_http_background_run_queues },

    { ngx_string("busy="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_run_loc_conf_t, busy),
      &ngx_http_background_run_codes },

    { ngx_string("max_output="), 0, ngx_http_background_conf_size,
      offsetof(ngx_http_background_run_loc_conf_t, max_output),
      &ngx_http_background_run_outputs },

    { ngx_string("errors"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_run_loc_conf_t, errors), NULL },

    { ngx_string("ignore_abort"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_run_loc_conf_t, ignore_abort), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_run_commands[] = {

    { ngx_string("background_run"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_1MORE,
      ngx_http_background_run,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_run_module_ctx = {
    ngx_http_background_run_add_variables, /* preconfiguration */
    ngx_http_background_run_init,          /* postconfiguration */

    ngx_http_background_run_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_background_run_create_loc_conf, /* create location configuration */
    ngx_http_background_run_merge_loc_conf /* merge location configuration */
};


ngx_module_t  ngx_http_background_run_module = {
    NGX_MODULE_V1,
    &ngx_http_background_run_module_ctx,   /* module context */
    ngx_http_background_run_commands,      /* module directives */
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


static ngx_http_variable_t  ngx_http_background_run_variables[] = {

    { ngx_string("background_run_wait"), NULL,
      ngx_http_background_run_time_variable,
      ngx_http_background_run_wait,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("background_run_time"), NULL,
      ngx_http_background_run_time_variable,
      ngx_http_background_run_time,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("background_run_cpu"), NULL,
      ngx_http_background_run_time_variable,
      ngx_http_background_run_cpu,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("background_run_status"), NULL,
      ngx_http_background_run_status_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static const ngx_http_background_run_field_t  ngx_http_background_run_known[] =
{
    { ngx_string("Content-Encoding"),
      offsetof(ngx_http_headers_out_t, content_encoding) },
    { ngx_string("Location"), offsetof(ngx_http_headers_out_t, location) },
    { ngx_string("Refresh"), offsetof(ngx_http_headers_out_t, refresh) },
    { ngx_string("Last-Modified"),
      offsetof(ngx_http_headers_out_t, last_modified) },
    { ngx_string("Expires"), offsetof(ngx_http_headers_out_t, expires) },
    { ngx_string("ETag"), offsetof(ngx_http_headers_out_t, etag) },
    { ngx_string("WWW-Authenticate"),
      offsetof(ngx_http_headers_out_t, www_authenticate) },
    { ngx_null_string, 0 }
};


static ngx_int_t
ngx_http_background_run_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    static ngx_str_t  allow = ngx_string("Allow");
    static ngx_str_t  methods = ngx_string("POST, PUT");

    if (!(r->method & (NGX_HTTP_POST|NGX_HTTP_PUT))) {
        if (ngx_http_background_add_header(r, &allow, &methods) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                         ngx_http_background_run_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_background_run_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    ngx_http_background_run_ctx_t       *ctx;
    ngx_http_background_run_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_background_run_module);
    rlcf = rlcf->directive;

    rc = ngx_http_background_run_start(r, rlcf);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r,
                                ngx_http_background_run_refuse(r, rlcf, rc));
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_background_run_module);

    if (ctx->over) {
        ngx_http_finalize_request(r, ngx_http_background_run_answer(ctx));
        return;
    }

    if (rlcf->wait && ngx_http_background_waits(ctx->cycle)) {
        ctx->timer.handler = ngx_http_background_run_wait_handler;
        ctx->timer.data = ctx;
        ctx->timer.log = r->connection->log;

        ngx_add_timer(&ctx->timer, rlcf->wait);
    }

    if (r == r->main) {
        ngx_http_background_run_watch(r, rlcf->ignore_abort);
    }
}


/*
 * A client that has closed the connection before its body was read causes no
 * further event, so the event is posted here.
 */

static void
ngx_http_background_run_watch(ngx_http_request_t *r, ngx_uint_t ignore)
{
    ngx_event_t  *rev;

    if (ignore) {
        r->read_event_handler = ngx_http_block_reading;
        return;
    }

    r->read_event_handler = ngx_http_test_reading;

#if (NGX_HTTP_V2 || NGX_COMPAT)
    if (r->stream) {
        return;
    }
#endif

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_http_background_run_start(ngx_http_request_t *r,
    ngx_http_background_run_loc_conf_t *rlcf)
{
    ngx_int_t                       rc;
    ngx_pool_cleanup_t             *cln;
    ngx_http_cleanup_t             *gone;
    ngx_http_background_start_t     start;
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_background_run_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->request = r;

    ngx_http_set_ctx(r, ctx, ngx_http_background_run_module);

    /*
     * the cycle owns the output, which is used until the pool of the request
     * is destroyed; its jobs are cancelled with the request
     */

    cln = ngx_pool_cleanup_add(r->pool, 0);
    gone = ngx_http_cleanup_add(r, 0);

    if (cln == NULL || gone == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_background_run_free;
    cln->data = ctx;

    gone->handler = ngx_http_background_run_gone;
    gone->data = ctx;

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    start.cause = r->connection->addr_text;
    start.max_output = rlcf->max_output;
    start.waiting = &rlcf->waiting;
    start.queue = rlcf->queue;
    start.request = r;
    start.finish = 1;
    start.handler = ngx_http_background_run_over;
    start.data = ctx;

    if (ngx_http_background_run_input(r, &start) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->starting = 1;

    rc = ngx_http_background_start(rlcf->task, &start, &ctx->cycle);

    ctx->starting = 0;

    return rc;
}


static ngx_int_t
ngx_http_background_run_input(ngx_http_request_t *r,
    ngx_http_background_start_t *start)
{
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    if (rb == NULL || rb->bufs == NULL) {
        return NGX_OK;
    }

    if (rb->temp_file) {
        start->file = dup(rb->temp_file->file.fd);

        if (start->file == NGX_INVALID_FILE) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_errno,
                          "dup() of \"%V\" failed",
                          &rb->temp_file->file.name);
            return NGX_ERROR;
        }

        start->in_file = 1;
        start->file_size = rb->temp_file->file.offset;

        return NGX_OK;
    }

    return ngx_http_background_run_join(r, &start->input);
}


/* a body filter may return several buffers */

static ngx_int_t
ngx_http_background_run_join(ngx_http_request_t *r, ngx_str_t *input)
{
    u_char       *p;
    ngx_chain_t  *cl, *in;

    in = r->request_body->bufs;

    if (in->next == NULL) {
        input->data = in->buf->pos;
        input->len = ngx_buf_size(in->buf);
        return NGX_OK;
    }

    for (cl = in; cl; cl = cl->next) {
        input->len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, input->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    input->data = p;

    for (cl = in; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, ngx_buf_size(cl->buf));
    }

    return NGX_OK;
}


/* the response if no cycle was started */

static ngx_int_t
ngx_http_background_run_refuse(ngx_http_request_t *r,
    ngx_http_background_run_loc_conf_t *rlcf, ngx_int_t rc)
{
    ngx_http_background_run_ctx_t  *ctx;

    static ngx_str_t  busy = ngx_string("no thread is free");
    static ngx_str_t  unavailable = ngx_string("not available");
    static ngx_str_t  invalid = ngx_string("invalid argument");

    ctx = ngx_http_get_module_ctx(r, ngx_http_background_run_module);

    if (rc == NGX_ERROR || ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_ABORT) {
        ngx_str_set(&ctx->result, "invalid");
        return ngx_http_background_run_error(r, NGX_HTTP_BAD_REQUEST,
                                             &invalid);
    }

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->result, "unavailable");
        return ngx_http_background_run_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                             &unavailable);
    }

    ngx_str_set(&ctx->result, "busy");

    if (ngx_http_background_run_retry_after(r, rlcf->wait) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_background_run_error(r, rlcf->busy, &busy);
}


static void
ngx_http_background_run_wait_handler(ngx_event_t *ev)
{
    ngx_http_background_run_ctx_t *ctx = ev->data;

    /* the handler of the cycle answers, and may free the request */

    ctx->busy = 1;

    if (!ngx_http_background_withdraw(ctx->cycle)) {
        ctx->busy = 0;
    }
}


static void
ngx_http_background_run_over(ngx_http_background_cycle_t *cycle, void *data)
{
    ngx_http_background_run_ctx_t *ctx = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ctx->over = 1;

    if (ctx->starting) {
        return;
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    r = ctx->request;
    c = r->connection;

    ngx_http_finalize_request(r, ngx_http_background_run_answer(ctx));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_background_run_answer(ngx_http_background_run_ctx_t *ctx)
{
    ngx_http_request_t                  *r;
    const ngx_http_background_end_t     *end;
    ngx_http_background_run_loc_conf_t  *rlcf;

    static ngx_str_t  failed = ngx_string("failed");
    static ngx_str_t  timed_out = ngx_string("timed out");
    static ngx_str_t  cancelled = ngx_string("cancelled");

    r = ctx->request;
    end = ngx_http_background_end(ctx->cycle);
    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_background_run_module);
    rlcf = rlcf->directive;

    if (ctx->busy) {
        return ngx_http_background_run_refuse(r, rlcf, NGX_BUSY);
    }

    switch (end->outcome) {

    case ngx_http_background_success:
        ngx_str_set(&ctx->result, "success");
        return ngx_http_background_run_send(r, end->output);

    case ngx_http_background_failure:

        if (end->timed_out) {
            ngx_str_set(&ctx->result, "timeout");
            return ngx_http_background_run_error(r, NGX_HTTP_GATEWAY_TIME_OUT,
                                                 &timed_out);
        }

        ngx_str_set(&ctx->result, "failure");
        return ngx_http_background_run_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                    rlcf->errors ? &end->error : &failed);

    default: /* ngx_http_background_cancel */

        ngx_str_set(&ctx->result, "cancelled");
        return ngx_http_background_run_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                             &cancelled);
    }
}


static ngx_int_t
ngx_http_background_run_send(ngx_http_request_t *r,
    const ngx_http_background_output_t *output)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    static ngx_str_t  type = ngx_string("application/octet-stream");

    r->headers_out.status = output->status ? output->status : NGX_HTTP_OK;
    r->headers_out.content_length_n = output->size;

    ngx_http_background_content_type(r, output->type.len ? &output->type
                                                         : &type);

    if (output->headers
        && ngx_http_background_run_fields(r, output->headers) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the job has run: conditions of the client are too late */

    r->disable_not_modified = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (output->size == 0) {
        return ngx_http_background_run_buf(r, &out, NULL);
    }

    return ngx_http_background_run_buf(r, output->out, output->last->buf);
}


static ngx_int_t
ngx_http_background_run_fields(ngx_http_request_t *r,
    const ngx_array_t *fields)
{
    u_char                                 *p;
    ngx_uint_t                              i;
    ngx_keyval_t                           *kv;
    ngx_table_elt_t                        *h;
    const ngx_http_background_run_field_t  *known;

    kv = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        h = ngx_http_background_add_header(r, &kv[i].key, &kv[i].value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        for (known = ngx_http_background_run_known; known->name.len; known++) {
            if (kv[i].key.len == known->name.len
                && ngx_strncasecmp(kv[i].key.data, known->name.data,
                                   known->name.len)
                   == 0)
            {
                p = (u_char *) &r->headers_out + known->offset;
                *(ngx_table_elt_t **) p = h;
            }
        }
    }

    return NGX_OK;
}


/* {"error": "TEXT"} */

static ngx_int_t
ngx_http_background_run_error(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *text)
{
    u_char       *p;
    size_t        len;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    static ngx_str_t  type = ngx_string("application/json");

    len = sizeof("{\"error\": \"\"}\n") - 1 + text->len
          + ngx_escape_json(NULL, text->data, text->len);

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(b->last, "{\"error\": \"", sizeof("{\"error\": \"") - 1);
    p = (u_char *) ngx_escape_json(p, text->data, text->len);
    b->last = ngx_cpymem(p, "\"}\n", sizeof("\"}\n") - 1);

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;

    ngx_http_background_content_type(r, &type);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_background_run_buf(r, &out, b);
}


/* in seconds, the value of "wait=", at least 1 */

static ngx_int_t
ngx_http_background_run_retry_after(ngx_http_request_t *r, ngx_msec_t wait)
{
    ngx_str_t  value;

    static ngx_str_t  name = ngx_string("Retry-After");

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%M", ngx_max(wait + 999, 1000) / 1000)
                - value.data;

    return ngx_http_background_add_header(r, &name, &value) ? NGX_OK
                                                            : NGX_ERROR;
}


/* sends a chain; if "last" is NULL, an empty last buffer */

static ngx_int_t
ngx_http_background_run_buf(ngx_http_request_t *r, ngx_chain_t *out,
    ngx_buf_t *last)
{
    if (last == NULL) {
        last = ngx_calloc_buf(r->pool);
        if (last == NULL) {
            return NGX_ERROR;
        }

        out->buf = last;
        out->next = NULL;
    }

    if (r == r->main) {
        last->last_buf = 1;

    } else {
        last->sync = ngx_buf_size(last) ? 0 : 1;
    }

    last->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


/* called when the request is freed, before it is logged */

static void
ngx_http_background_run_gone(void *data)
{
    ngx_http_background_run_ctx_t *ctx = data;

    ngx_http_background_cycle_t  *cycle;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->cycle == NULL || ctx->over) {
        return;
    }

    ngx_str_set(&ctx->result, "aborted");

    cycle = ctx->cycle;
    ctx->cycle = NULL;

    ngx_http_background_detach(cycle);
    ngx_http_background_stop(cycle);
}


static void
ngx_http_background_run_free(void *data)
{
    ngx_http_background_run_ctx_t *ctx = data;

    if (ctx->cycle) {
        ngx_http_background_free(ctx->cycle);
    }
}


static ngx_msec_t
ngx_http_background_run_msec(ngx_http_background_run_ctx_t *ctx,
    ngx_http_background_run_time_e time)
{
    ngx_msec_t                        waited;
    const ngx_http_background_end_t  *end;

    end = ngx_http_background_end(ctx->cycle);

    /* no thread took a job */

    waited = ctx->busy ? end->wall_time : end->waited;

    switch (time) {

    case ngx_http_background_run_wait:
        return waited;

    case ngx_http_background_run_time:
        return end->wall_time - ngx_min(waited, end->wall_time);

    default: /* ngx_http_background_run_cpu */
        return end->cpu_usec / 1000;
    }
}


static ngx_int_t
ngx_http_background_run_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                         *p;
    ngx_msec_t                      ms;
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_background_run_module);

    if (ctx == NULL || !ctx->over) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ms = ngx_http_background_run_msec(ctx, data);

    v->len = ngx_sprintf(p, "%T.%03M", (time_t) ms / 1000, ms % 1000) - p;
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_run_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_background_run_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_background_run_module);

    if (ctx == NULL || ctx->result.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = ctx->result.len;
    v->data = ctx->result.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_run_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_background_run_variables; v->name.len; v++) {
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
ngx_http_background_run_init(ngx_conf_t *cf)
{
    ngx_uint_t                            i;
    ngx_array_t                          *confs;
    ngx_http_background_run_loc_conf_t  **rlcfp;

    confs = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_background_run_module);
    rlcfp = confs->elts;

    for (i = 0; i < confs->nelts; i++) {
        if (ngx_http_background_run_find(cf, rlcfp[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_run_find(ngx_conf_t *cf,
    ngx_http_background_run_loc_conf_t *rlcf)
{
    ngx_uint_t  n;

    rlcf->task = ngx_http_background_find(cf, &rlcf->name);

    if (rlcf->task == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no background task \"%V\" for \"background_run\" "
                      "directive in %s:%ui",
                      &rlcf->name, rlcf->file, rlcf->line);
        return NGX_ERROR;
    }

    n = ngx_http_background_operations(rlcf->task);

    if (n != 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "background task \"%V\" for \"background_run\" directive "
                      "has %ui operations, it must have one in %s:%ui",
                      &rlcf->name, n, rlcf->file, rlcf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void *
ngx_http_background_run_create_main_conf(ngx_conf_t *cf)
{
    return ngx_array_create(cf->pool, 4,
                            sizeof(ngx_http_background_run_loc_conf_t *));
}


static void *
ngx_http_background_run_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_background_run_loc_conf_t));
}


static char *
ngx_http_background_run_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_background_run_loc_conf_t *prev = parent;
    ngx_http_background_run_loc_conf_t *conf = child;

    conf->directive = ngx_http_background_merge_handler(cf, conf->directive,
                                         prev->directive,
                                         ngx_http_background_run_handler);

    return NGX_CONF_OK;
}


static char *
ngx_http_background_run(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_run_loc_conf_t *rlcf = conf;

    ngx_str_t                            *value;
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_background_run_loc_conf_t  **rlcfp;

    if (rlcf->name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->directive = rlcf;
    rlcf->name = value[1];
    rlcf->busy = NGX_HTTP_SERVICE_UNAVAILABLE;
    rlcf->max_output = 16 * 1024 * 1024;
    rlcf->file = cf->conf_file->file.name.data;
    rlcf->line = cf->conf_file->line;

    if (ngx_http_background_conf_params(cf, 2, ngx_http_background_run_params,
                                        rlcf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rlcfp = ngx_array_push(ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_background_run_module));
    if (rlcfp == NULL) {
        return NGX_CONF_ERROR;
    }

    *rlcfp = rlcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_background_run_handler;

    return NGX_CONF_OK;
}
