
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Jobs for the benchmark, counted while they run, in one worker process:
 *
 * bench_job [TURNS]            in a task: a CPU operation without work, or with
 *                              that many turns of a loop
 * bench_again                  in a task: a trigger that starts a cycle, and
 *                              another one at the end of each
 * bench_pool NUMBER            keeps that many empty jobs in the pool of the
 *                              module, without tasks: each finished job is
 *                              posted again
 * bench_post NUMBER            the same with the thread pool "bench" of nginx
 * bench_threads NUMBER TURNS   starts that many threads that only run the loop
 * bench_count                  in a location: returns the number of jobs and
 *                              the time in nanoseconds
 */


#include <ngx_http_background_pool.h>

#include <time.h>


/* turns between two checks for cancellation */
#define BENCH_TURNS  100000


typedef struct {
    ngx_int_t           pool;
    ngx_int_t           post;
    ngx_int_t           threads;
    ngx_thread_pool_t  *thread_pool;
} bench_conf_t;


static void *bench_create_conf(ngx_conf_t *cf);
static char *bench_job(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *bench_again(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *bench_post(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *bench_threads(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *bench_count(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

static ngx_int_t bench_init_process(ngx_cycle_t *cycle);
static void bench_init_pool(ngx_cycle_t *cycle, bench_conf_t *bcf);
static void bench_pool_start(ngx_event_t *ev);
static ngx_int_t bench_init_post(ngx_cycle_t *cycle, bench_conf_t *bcf);
static ngx_int_t bench_init_threads(ngx_cycle_t *cycle, bench_conf_t *bcf);
static void bench_exit_process(ngx_cycle_t *cycle);

static void bench_start(ngx_http_background_task_t *task, void *conf);
static void bench_stop(ngx_http_background_task_t *task, void *conf);
static void bench_cycle_handler(ngx_http_background_cycle_t *cycle,
    void *data);

static void bench_work(ngx_http_background_run_t *run);
static void bench_pool_handler(ngx_http_background_job_t *job);
static void bench_post_work(void *data, ngx_log_t *log);
static void bench_post_handler(ngx_event_t *ev);
static void *bench_thread(void *data);
static void bench_loop(ngx_uint_t turns);
static void bench_counted(void);
static ngx_int_t bench_count_handler(ngx_http_request_t *r);


static uint64_t     bench_jobs;

/* larger than a cell of the zone; its contents are not used */
static uint64_t     bench_cell[512];

static pthread_t   *bench_tids;
static ngx_int_t    bench_ntids;
static ngx_uint_t   bench_turns;
static ngx_uint_t   bench_threads_stop;
static ngx_uint_t   bench_cycles_stop;


static ngx_http_background_kind_t  bench_kind = { .work = bench_work };

static ngx_http_background_trigger_t  bench_trigger = {
    bench_start,
    bench_stop
};


static ngx_command_t  bench_commands[] = {

    { ngx_string("bench_job"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      bench_job,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bench_again"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS,
      bench_again,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bench_pool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(bench_conf_t, pool),
      NULL },

    { ngx_string("bench_post"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      bench_post,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(bench_conf_t, post),
      NULL },

    { ngx_string("bench_threads"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      bench_threads,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(bench_conf_t, threads),
      NULL },

    { ngx_string("bench_count"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      bench_count,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  bench_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    bench_create_conf,                     /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  bench_module = {
    NGX_MODULE_V1,
    &bench_module_ctx,                     /* module context */
    bench_commands,                        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    bench_init_process,                    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    bench_exit_process,                    /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
bench_create_conf(ngx_conf_t *cf)
{
    bench_conf_t  *bcf;

    bcf = ngx_pcalloc(cf->pool, sizeof(bench_conf_t));
    if (bcf == NULL) {
        return NULL;
    }

    bcf->pool = NGX_CONF_UNSET;
    bcf->post = NGX_CONF_UNSET;
    bcf->threads = NGX_CONF_UNSET;

    return bcf;
}


static char *
bench_job(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t  *turns;

    turns = ngx_pcalloc(cf->pool, sizeof(ngx_uint_t));
    if (turns == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        n = ngx_atoi(value[1].data, value[1].len);
        if (n == NGX_ERROR) {
            return "has an invalid number";
        }

        *turns = n;
    }

    return ngx_http_background_add_operation(cf, &bench_kind, turns);
}


static char *
bench_again(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_trigger(cf, &bench_trigger, NULL);
}


static char *
bench_post(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    bench_conf_t *bcf = conf;

    static ngx_str_t  name = ngx_string("bench");

    bcf->thread_pool = ngx_thread_pool_add(cf, &name);
    if (bcf->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_conf_set_num_slot(cf, cmd, conf);
}


static char *
bench_threads(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    n = ngx_atoi(value[2].data, value[2].len);
    if (n == NGX_ERROR) {
        return "has an invalid number";
    }

    bench_turns = n;

    return ngx_conf_set_num_slot(cf, cmd, conf);
}


static char *
bench_count(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = bench_count_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
bench_init_process(ngx_cycle_t *cycle)
{
    bench_conf_t  *bcf;

    if (ngx_process != NGX_PROCESS_WORKER) {
        return NGX_OK;
    }

    bcf = ngx_http_cycle_get_module_main_conf(cycle, bench_module);

    if (bcf->pool != NGX_CONF_UNSET) {
        bench_init_pool(cycle, bcf);
    }

    if (bcf->post != NGX_CONF_UNSET
        && bench_init_post(cycle, bcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (bcf->threads != NGX_CONF_UNSET
        && bench_init_threads(cycle, bcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* jobs of a worker that is not registered in the zone would be cancelled */

static void
bench_init_pool(ngx_cycle_t *cycle, bench_conf_t *bcf)
{
    static ngx_event_t  ev;

    ev.handler = bench_pool_start;
    ev.data = bcf;
    ev.log = cycle->log;
    ev.cancelable = 1;

    ngx_add_timer(&ev, 10);
}


static void
bench_pool_start(ngx_event_t *ev)
{
    bench_conf_t *bcf = ev->data;

    ngx_int_t                   i;
    ngx_http_background_job_t  *job;

    static ngx_uint_t  turns = 0;

    for (i = 0; i < bcf->pool; i++) {
        job = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_http_background_job_t));

        if (job == NULL) {
            ngx_log_error(NGX_LOG_ALERT, ev->log, 0, "bench_pool: no memory");
            return;
        }

        job->run.conf = &turns;
        job->run.log = ngx_cycle->log;
        job->kind = &bench_kind;
        job->cell = (ngx_http_background_cell_t *) bench_cell;
        job->handler = bench_pool_handler;
        job->worker = ngx_http_background_zone_self();

        if (ngx_http_background_pool_post(job) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                          "bench_pool: a job was not posted");
            return;
        }
    }
}


static void
bench_pool_handler(ngx_http_background_job_t *job)
{
    if (job->cancelled || ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (ngx_http_background_pool_post(job) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, job->run.log, 0,
                      "bench_pool: a job was not posted");
    }
}


static void
bench_start(ngx_http_background_task_t *task, void *conf)
{
    ngx_http_background_start_t   start;
    ngx_http_background_cycle_t  *cycle;

    ngx_memzero(&start, sizeof(ngx_http_background_start_t));

    start.handler = bench_cycle_handler;
    start.data = task;

    if (ngx_http_background_start(task, &start, &cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "bench_again: a cycle was not started");
    }
}


static void
bench_stop(ngx_http_background_task_t *task, void *conf)
{
    bench_cycles_stop = 1;
}


static void
bench_cycle_handler(ngx_http_background_cycle_t *cycle, void *data)
{
    const ngx_http_background_end_t  *end;

    end = ngx_http_background_end(cycle);

    if (end->outcome == ngx_http_background_failure) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "bench_again: a cycle has failed: %V", &end->error);
        bench_cycles_stop = 1;
    }

    ngx_http_background_free(cycle);

    if (!bench_cycles_stop) {
        bench_start(data, NULL);
    }
}


static ngx_int_t
bench_init_post(ngx_cycle_t *cycle, bench_conf_t *bcf)
{
    ngx_int_t           i;
    ngx_thread_task_t  *task;

    for (i = 0; i < bcf->post; i++) {
        task = ngx_thread_task_alloc(cycle->pool, 0);
        if (task == NULL) {
            return NGX_ERROR;
        }

        task->handler = bench_post_work;
        task->ctx = bcf->thread_pool;
        task->event.handler = bench_post_handler;
        task->event.data = task;
        task->event.log = cycle->log;

        if (ngx_thread_task_post(bcf->thread_pool, task) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
bench_post_work(void *data, ngx_log_t *log)
{
    bench_counted();
}


static void
bench_post_handler(ngx_event_t *ev)
{
    ngx_thread_task_t *task = ev->data;

    if (ngx_thread_task_post(task->ctx, task) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "bench_post: a task was not posted");
    }
}


static ngx_int_t
bench_init_threads(ngx_cycle_t *cycle, bench_conf_t *bcf)
{
    int        err;
    ngx_int_t  n;

    bench_tids = ngx_palloc(cycle->pool, bcf->threads * sizeof(pthread_t));
    if (bench_tids == NULL) {
        return NGX_ERROR;
    }

    for (n = 0; n < bcf->threads; n++) {
        err = pthread_create(&bench_tids[n], NULL, bench_thread, NULL);

        if (err) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, err,
                          "pthread_create() failed");
            return NGX_ERROR;
        }

        bench_ntids++;
    }

    return NGX_OK;
}


/* nginx unloads this module before the process exits */

static void
bench_exit_process(ngx_cycle_t *cycle)
{
    __atomic_store_n(&bench_threads_stop, 1, __ATOMIC_RELAXED);

    while (bench_ntids) {
        (void) pthread_join(bench_tids[--bench_ntids], NULL);
    }
}


static void *
bench_thread(void *data)
{
    while (!__atomic_load_n(&bench_threads_stop, __ATOMIC_RELAXED)) {
        bench_loop(bench_turns);
        bench_counted();
    }

    return NULL;
}


static void
bench_work(ngx_http_background_run_t *run)
{
    ngx_uint_t  n, turns;

    for (turns = *(ngx_uint_t *) run->conf; turns; turns -= n) {
        n = ngx_min(turns, BENCH_TURNS);

        bench_loop(n);

        if (n < turns && ngx_http_background_cancelled(run)) {
            return;
        }
    }

    run->result.completed++;

    bench_counted();
}


static void
bench_loop(ngx_uint_t turns)
{
    volatile uint64_t  result;
    uint64_t           n;

    n = 1;

    while (turns--) {
        n = n * 6364136223846793005 + 1442695040888963407;
    }

    result = n;
    (void) result;
}


static void
bench_counted(void)
{
    (void) __atomic_add_fetch(&bench_jobs, 1, __ATOMIC_RELAXED);
}


static ngx_int_t
bench_count_handler(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_buf_t        *b;
    ngx_chain_t       out;
    struct timespec   ts;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_create_temp_buf(r->pool, 2 * NGX_INT64_LEN + 2);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    b->last = ngx_sprintf(b->last, "%uL %uL\n",
                          __atomic_load_n(&bench_jobs, __ATOMIC_RELAXED),
                          (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}
