
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * arrive TASK [CONCURRENCY]: a location whose requests start cycles of TASK
 * with their bodies as input.  The response is the output of the operation; a
 * header has the time that the cycle has waited for a thread, in milliseconds.
 *
 * answer [GATE]: an operation whose output is its input, reversed.  First it
 * waits for the file GATE, if configured.  The input "fail" makes it fail,
 * "crash" crashes the worker, "much" exceeds the output limit, "field" sets
 * header fields with invalid bytes.
 */


#include <ngx_http_background.h>


typedef struct {
    ngx_str_t                     name;
    ngx_uint_t                    concurrency;
    ngx_http_background_task_t   *task;
} arrive_conf_t;


typedef struct {
    ngx_http_request_t           *request;     /* NULL: the request is freed */
    ngx_http_background_cycle_t  *cycle;
    ngx_uint_t                    over;
} arrive_ctx_t;


static void *arrive_create_main_conf(ngx_conf_t *cf);
static void *arrive_create_loc_conf(ngx_conf_t *cf);
static char *arrive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t arrive_init(ngx_conf_t *cf);
static ngx_int_t arrive_handler(ngx_http_request_t *r);
static void arrive_body(ngx_http_request_t *r);
static void arrive_over(ngx_http_background_cycle_t *cycle, void *data);
static ngx_int_t arrive_send(ngx_http_request_t *r,
    ngx_http_background_cycle_t *cycle);
static void arrive_gone(void *data);
static void arrive_free(void *data);

static char *answer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void answer_work(ngx_http_background_run_t *run);

static void arrive_trigger_start(ngx_http_background_task_t *task, void *conf);
static void arrive_trigger_stop(ngx_http_background_task_t *task, void *conf);
static char *noted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_http_background_kind_t  answer_kind = { .work = answer_work };

static ngx_http_background_trigger_t  noted_trigger = {
    arrive_trigger_start,
    arrive_trigger_stop
};


static ngx_command_t  arrive_commands[] = {

    { ngx_string("arrive"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      arrive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("answer"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      answer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("noted"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS,
      noted,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  arrive_module_ctx = {
    NULL,
    arrive_init,
    arrive_create_main_conf,
    NULL,
    NULL,
    NULL,
    arrive_create_loc_conf,
    NULL
};


ngx_module_t  arrive_module = {
    NGX_MODULE_V1,
    &arrive_module_ctx,
    arrive_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void *
arrive_create_main_conf(ngx_conf_t *cf)
{
    return ngx_array_create(cf->pool, 4, sizeof(arrive_conf_t *));
}


static void *
arrive_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(arrive_conf_t));
}


static char *
arrive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    arrive_conf_t *acf = conf;

    ngx_str_t                 *value;
    arrive_conf_t            **p;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    acf->name = value[1];

    if (cf->args->nelts == 3) {
        acf->concurrency = ngx_atoi(value[2].data, value[2].len);
    }

    p = ngx_array_push(ngx_http_conf_get_module_main_conf(cf, arrive_module));
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = acf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = arrive_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
arrive_init(ngx_conf_t *cf)
{
    ngx_uint_t       i;
    ngx_array_t     *confs;
    arrive_conf_t  **acf;

    confs = ngx_http_conf_get_module_main_conf(cf, arrive_module);
    acf = confs->elts;

    for (i = 0; i < confs->nelts; i++) {
        acf[i]->task = ngx_http_background_find(cf, &acf[i]->name);

        if (acf[i]->task == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "no task \"%V\"",
                          &acf[i]->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
arrive_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, arrive_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
arrive_body(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    arrive_ctx_t                 *ctx;
    arrive_conf_t                *acf;
    ngx_chain_t                  *cl;
    ngx_pool_cleanup_t           *cln;
    ngx_http_background_start_t   start;

    acf = ngx_http_get_module_loc_conf(r, arrive_module);

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    cln = ngx_pool_cleanup_add(r->pool, 0);
    ctx = ngx_calloc(sizeof(arrive_ctx_t), r->connection->log);

    if (cln == NULL || ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->request = r;

    cln->handler = arrive_gone;
    cln->data = ctx;

    start.cause = r->uri;
    start.max_output = 1000000;
    start.concurrency = acf->concurrency;
    start.finish = 1;
    start.handler = arrive_over;
    start.data = ctx;

    if (r->request_body && r->request_body->temp_file) {
        start.in_file = 1;
        start.file = dup(r->request_body->temp_file->file.fd);
        start.file_size = r->request_body->temp_file->file.offset;

    } else if (r->request_body && r->request_body->bufs) {
        cl = r->request_body->bufs;
        start.input.data = cl->buf->pos;
        start.input.len = cl->buf->last - cl->buf->pos;
    }

    rc = ngx_http_background_start(acf->task, &start, &ctx->cycle);

    if (rc == NGX_OK) {
        if (!ctx->over) {
            r->read_event_handler = ngx_http_test_reading;
        }

        return;
    }

    ngx_http_finalize_request(r, rc == NGX_BUSY ? 429
                                 : rc == NGX_DECLINED ? 503 : 500);
}


static void
arrive_over(ngx_http_background_cycle_t *cycle, void *data)
{
    arrive_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;
    ngx_http_request_t  *r;

    ctx->over = 1;
    ctx->cycle = cycle;

    r = ctx->request;

    if (r == NULL) {
        ngx_http_background_free(cycle);
        ngx_free(ctx);
        return;
    }

    c = r->connection;

    /* the output is freed with the request */

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL) {
        ngx_http_background_free(cycle);
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        cln->handler = arrive_free;
        cln->data = cycle;
        rc = arrive_send(r, cycle);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
arrive_send(ngx_http_request_t *r, ngx_http_background_cycle_t *cycle)
{
    u_char                           *p;
    ngx_int_t                         rc;
    ngx_buf_t                        *b;
    ngx_uint_t                        i;
    ngx_chain_t                       out;
    ngx_table_elt_t                  *h;
    ngx_keyval_t                     *kv;
    const ngx_http_background_end_t  *end;

    end = ngx_http_background_end(cycle);

    if (end->outcome == ngx_http_background_cancel) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (end->outcome == ngx_http_background_failure) {
        return end->timed_out ? NGX_HTTP_GATEWAY_TIME_OUT
                              : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = end->output->status ? end->output->status : 200;
    r->headers_out.content_length_n = end->output->size;
    r->headers_out.content_type = end->output->type;
    r->headers_out.content_type_len = end->output->type.len;

    h = ngx_list_push(&r->headers_out.headers);
    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);

    if (h == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "X-Waited");
    h->value.data = p;
    h->value.len = ngx_sprintf(p, "%M", end->waited) - p;

    for (i = 0; end->output->headers && i < end->output->headers->nelts; i++) {
        kv = end->output->headers->elts;

        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));
        h->hash = 1;
        h->key = kv[i].key;
        h->value = kv[i].value;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (end->output->last) {
        end->output->last->buf->last_buf = 1;

        return ngx_http_output_filter(r, end->output->out);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last_buf = 1;
    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static void
arrive_gone(void *data)
{
    arrive_ctx_t *ctx = data;

    ctx->request = NULL;

    if (ctx->cycle && !ctx->over) {
        ngx_http_background_stop(ctx->cycle);
        return;
    }

    ngx_free(ctx);
}


static void
arrive_free(void *data)
{
    ngx_http_background_free(data);
}


static char *
answer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value, *gate;

    gate = NULL;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        gate = ngx_palloc(cf->pool, sizeof(ngx_str_t));
        if (gate == NULL) {
            return NGX_CONF_ERROR;
        }

        *gate = value[1];

        if (ngx_conf_full_name(cf->cycle, gate, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_background_add_operation(cf, &answer_kind, gate);
}


static void
answer_work(ngx_http_background_run_t *run)
{
    ngx_str_t *gate = run->conf;

    u_char            c;
    size_t            i;
    ngx_int_t         rc;
    ngx_str_t         input;
    ngx_file_info_t   fi;

    static ngx_str_t  type = ngx_string("text/x-answer");
    static ngx_str_t  name = ngx_string("X-Length");
    static ngx_str_t  value = ngx_string("as the input's");
    static ngx_str_t  bytes = ngx_string("a\0b");

    /* the job is never parked */
    run->keep_slot = 1;

    while (gate && ngx_file_info(gate->data, &fi) == NGX_FILE_ERROR) {
        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ngx_msleep(1);
    }

    if (ngx_http_background_input(run, &input) != NGX_OK) {
        return;
    }

    if (input.len == 4 && ngx_strncmp(input.data, "fail", 4) == 0) {
        ngx_http_background_fail(&run->result, 0, "as told");
        return;
    }

    if (input.len == 5 && ngx_strncmp(input.data, "crash", 5) == 0) {
        abort();
    }

    if (input.len == 4 && ngx_strncmp(input.data, "much", 4) == 0) {
        do {
            rc = ngx_http_background_output(run, type.data, type.len);
        } while (rc == NGX_OK);

        ngx_http_background_fail(&run->result, 0, "output: %i", rc);
        return;
    }

    if (input.len == 5 && ngx_strncmp(input.data, "field", 5) == 0) {
        ngx_http_background_fail(&run->result, 0, "fields: %i %i %i %i",
                    ngx_http_background_output_header(run, &bytes, &value),
                    ngx_http_background_output_header(run, &name, &bytes),
                    ngx_http_background_output_type(run, &bytes),
                    ngx_http_background_output_status(run, 199));
        return;
    }

    if (ngx_http_background_output_status(run, 201) != NGX_OK
        || ngx_http_background_output_type(run, &type) != NGX_OK
        || ngx_http_background_output_header(run, &name, &value) != NGX_OK)
    {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    for (i = input.len; i; i--) {
        c = input.data[i - 1];

        if (ngx_http_background_output(run, &c, 1) != NGX_OK) {
            ngx_http_background_fail(&run->result, 0, "too much");
            return;
        }
    }

    run->result.completed = 1;
}


static char *
noted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_trigger(cf, &noted_trigger, NULL);
}


/* a trigger that starts one cycle when the worker starts */

static void
arrive_trigger_start(ngx_http_background_task_t *task, void *conf)
{
    ngx_http_background_start_t   start;
    ngx_http_background_cycle_t  *cycle;

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));
    ngx_str_set(&start.cause, "a worker's start, and more than forty bytes");
    ngx_str_set(&start.input, "note");

    if (ngx_http_background_start(task, &start, &cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0, "not noted");
    }
}


static void
arrive_trigger_stop(ngx_http_background_task_t *task, void *conf)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "the trigger stops");
}
