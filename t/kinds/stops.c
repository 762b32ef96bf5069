
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * stops TASK: a location whose requests start a cycle of TASK.  The response
 * has the outcome of the cycle: "OUTCOME TIMED_OUT".
 *
 * stop WHEN: an I/O operation that stops its own cycle: when it starts
 * ("start", or "done", which also ends the run) or when it is cancelled
 * ("cancel"); with "never" it does not stop the cycle.  It logs the calls.
 *
 * deaf FILE: a CPU operation that does not call
 * ngx_http_background_cancelled() until the file exists.
 */


#include <ngx_http_background.h>


typedef struct {
    ngx_str_t                     name;
    ngx_http_background_task_t   *task;
} stops_conf_t;


static void *stops_create_main_conf(ngx_conf_t *cf);
static void *stops_create_loc_conf(ngx_conf_t *cf);
static char *stops(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t stops_init(ngx_conf_t *cf);
static ngx_int_t stops_handler(ngx_http_request_t *r);
static void stops_over(ngx_http_background_cycle_t *cycle, void *data);
static void stops_answer(ngx_event_t *ev);

static char *stop(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void stop_start(ngx_http_background_run_t *run);
static void stop_cancel(ngx_http_background_run_t *run);
static char *deaf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void deaf_work(ngx_http_background_run_t *run);


static ngx_http_background_kind_t  stop_kind = {
    .start = stop_start,
    .cancel = stop_cancel
};


static ngx_http_background_kind_t  deaf_kind = { .work = deaf_work };


/* supports one request at a time */

static ngx_event_t                       stops_event;
static ngx_http_background_end_t         stops_end;
static ngx_http_background_cycle_t      *stops_cycle;


static ngx_command_t  stops_commands[] = {

    { ngx_string("stops"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      stops,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("stop"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      stop,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("deaf"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      deaf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  stops_module_ctx = {
    NULL,
    stops_init,
    stops_create_main_conf,
    NULL,
    NULL,
    NULL,
    stops_create_loc_conf,
    NULL
};


ngx_module_t  stops_module = {
    NGX_MODULE_V1,
    &stops_module_ctx,
    stops_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void *
stops_create_main_conf(ngx_conf_t *cf)
{
    return ngx_array_create(cf->pool, 4, sizeof(stops_conf_t *));
}


static void *
stops_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(stops_conf_t));
}


static char *
stops(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    stops_conf_t *scf = conf;

    ngx_str_t                 *value;
    stops_conf_t             **p;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    scf->name = value[1];

    p = ngx_array_push(ngx_http_conf_get_module_main_conf(cf, stops_module));
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = scf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = stops_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
stops_init(ngx_conf_t *cf)
{
    ngx_uint_t      i;
    ngx_array_t    *confs;
    stops_conf_t  **scf;

    confs = ngx_http_conf_get_module_main_conf(cf, stops_module);
    scf = confs->elts;

    for (i = 0; i < confs->nelts; i++) {
        scf[i]->task = ngx_http_background_find(cf, &scf[i]->name);

        if (scf[i]->task == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
stops_handler(ngx_http_request_t *r)
{
    stops_conf_t                 *scf;
    ngx_http_background_start_t   start;

    scf = ngx_http_get_module_loc_conf(r, stops_module);

    ngx_memzero(&stops_event, sizeof(ngx_event_t));

    stops_event.handler = stops_answer;
    stops_event.data = r;
    stops_event.log = ngx_cycle->log;

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    start.handler = stops_over;
    start.finish = 1;

    if (ngx_http_background_start(scf->task, &start, &stops_cycle) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
stops_over(ngx_http_background_cycle_t *cycle, void *data)
{
    stops_end = *ngx_http_background_end(cycle);
    stops_cycle = NULL;

    ngx_http_background_free(cycle);

    /* the cycle may have been started by the handler of the request */

    ngx_post_event(&stops_event, &ngx_posted_events);
}


static void
stops_answer(ngx_event_t *ev)
{
    ngx_http_request_t *r = ev->data;

    ngx_str_t                  text;
    ngx_connection_t          *c;
    ngx_http_complex_value_t   cv;

    static ngx_str_t   type = ngx_string("text/plain");
    static const char *outcome[] = { "success", "failure", "cancel" };

    c = r->connection;

    text.data = ngx_pnalloc(r->pool, 32);
    if (text.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    text.len = ngx_sprintf(text.data, "%s %ui", outcome[stops_end.outcome],
                           stops_end.timed_out)
               - text.data;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = text;

    ngx_http_finalize_request(r, ngx_http_send_response(r, 200, &type, &cv));
    ngx_http_run_posted_requests(c);
}


static char *
stop(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value, *when;

    value = cf->args->elts;

    when = ngx_palloc(cf->pool, sizeof(ngx_str_t));
    if (when == NULL) {
        return NGX_CONF_ERROR;
    }

    *when = value[1];

    return ngx_http_background_add_operation(cf, &stop_kind, when);
}


static void
stop_start(ngx_http_background_run_t *run)
{
    ngx_str_t *when = run->conf;

    ngx_log_error(NGX_LOG_NOTICE, run->log, 0, "stop: %V: start", when);

    if (ngx_strcmp(when->data, "start") == 0
        || ngx_strcmp(when->data, "done") == 0)
    {
        ngx_http_background_stop(stops_cycle);
    }

    if (ngx_strcmp(when->data, "done") == 0) {
        run->result.completed++;
        ngx_http_background_done(run);
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "stop: %V: started", when);
}


static void
stop_cancel(ngx_http_background_run_t *run)
{
    ngx_str_t *when = run->conf;

    ngx_log_error(NGX_LOG_NOTICE, run->log, 0, "stop: %V: cancel", when);

    if (ngx_strcmp(when->data, "cancel") == 0) {
        ngx_http_background_stop(stops_cycle);
    }
}


static char *
deaf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_background_add_operation(cf, &deaf_kind, value[1].data);
}


static void
deaf_work(ngx_http_background_run_t *run)
{
    ngx_file_info_t  fi;

    ngx_log_error(NGX_LOG_NOTICE, run->log, 0, "deaf: work");

    while (ngx_file_info((u_char *) run->conf, &fi) == NGX_FILE_ERROR) {
        ngx_msleep(2);
    }

    run->result.completed++;
}
