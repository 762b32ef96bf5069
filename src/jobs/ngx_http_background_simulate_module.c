
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "simulate_io" and "simulate_cpu": load for tests, and examples of an I/O
 * kind and of a CPU kind.
 */


#include <ngx_http_background.h>

#include <ngx_event.h>
#include <time.h>


#define NGX_HTTP_BACKGROUND_SIMULATE_IO_MAX   1000000
#define NGX_HTTP_BACKGROUND_SIMULATE_CPU_MAX  (24 * 60 * 60 * 1000)

/*
 * timers that are started in one pass of the event loop, which takes about 0.1
 * ms
 */
#define NGX_HTTP_BACKGROUND_SIMULATE_SLICE    256

/* numbers in one step of the sieve, which takes about 10 microseconds */
#define NGX_HTTP_BACKGROUND_SIEVE             8192


typedef struct {
    ngx_uint_t                  count;
    ngx_msec_t                  min;
    ngx_msec_t                  max;
} ngx_http_background_simulate_io_t;


typedef struct {
    ngx_event_t                 event;
    ngx_msec_t                  started;
    ngx_http_background_run_t  *run;
} ngx_http_background_simulate_wait_t;


typedef struct {
    ngx_event_t                           event;   /* starts the next timers */
    ngx_uint_t                            nwaits;  /* number of started
                                                      timers */
    ngx_http_background_run_t            *run;
    ngx_http_background_simulate_wait_t  *waits;
} ngx_http_background_simulate_waits_t;


static char *ngx_http_background_simulate_io(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_background_simulate_delay(ngx_str_t *value,
    ngx_http_background_simulate_io_t *sio);
static char *ngx_http_background_simulate_cpu(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

static void ngx_http_background_simulate_io_start(
    ngx_http_background_run_t *run);
static void ngx_http_background_simulate_io_cancel(
    ngx_http_background_run_t *run);
static void ngx_http_background_simulate_io_slice(ngx_event_t *ev);
static void ngx_http_background_simulate_io_handler(ngx_event_t *ev);

static void ngx_http_background_simulate_cpu_work(
    ngx_http_background_run_t *run);
static ngx_uint_t ngx_http_background_sieve(u_char *composite, uint64_t from);


static ngx_http_background_kind_t  ngx_http_background_simulate_io_kind = {
    ngx_http_background_simulate_io_start,   /* start */
    ngx_http_background_simulate_io_cancel,  /* cancel */
    NULL,                                    /* begin */
    NULL,                                    /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_http_background_kind_t  ngx_http_background_simulate_cpu_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    ngx_http_background_simulate_cpu_work,   /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_bounds_t
    ngx_http_background_simulate_io_counts =
{
    "count", 1, NGX_HTTP_BACKGROUND_SIMULATE_IO_MAX, NULL
};


static const ngx_http_background_bounds_t
    ngx_http_background_simulate_cpu_times =
{
    "time", 1, NGX_HTTP_BACKGROUND_SIMULATE_CPU_MAX, "from 1ms to 24h"
};


static ngx_command_t  ngx_http_background_simulate_commands[] = {

    { ngx_string("simulate_io"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE12,
      ngx_http_background_simulate_io,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("simulate_cpu"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      ngx_http_background_simulate_cpu,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_simulate_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_simulate_module = {
    NGX_MODULE_V1,
    &ngx_http_background_simulate_module_ctx, /* module context */
    ngx_http_background_simulate_commands, /* module directives */
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
ngx_http_background_simulate_io(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                          *value;
    ngx_http_background_simulate_io_t  *sio;

    sio = ngx_palloc(cf->pool, sizeof(ngx_http_background_simulate_io_t));
    if (sio == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_argument(cf, 1,
                                      ngx_http_background_conf_number,
                                      &ngx_http_background_simulate_io_counts,
                                      &sio->count)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    sio->min = 500;
    sio->max = 2000;

    if (cf->args->nelts == 3
        && ngx_http_background_simulate_delay(&value[2], sio) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\" directive, "
                           "it must be \"delay=MIN-MAX\", two times",
                           &value[2], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                  &ngx_http_background_simulate_io_kind, sio);
}


static ngx_int_t
ngx_http_background_simulate_delay(ngx_str_t *value,
    ngx_http_background_simulate_io_t *sio)
{
    u_char     *p, *last;
    ngx_int_t   min, max;
    ngx_str_t   s;

    if (ngx_strncmp(value->data, "delay=", 6) != 0) {
        return NGX_ERROR;
    }

    last = value->data + value->len;
    s.data = value->data + 6;

    p = ngx_strlchr(s.data, last, '-');
    if (p == NULL) {
        return NGX_ERROR;
    }

    s.len = p - s.data;
    min = ngx_parse_time(&s, 0);

    s.data = p + 1;
    s.len = last - s.data;
    max = ngx_parse_time(&s, 0);

    if (min == NGX_ERROR || max == NGX_ERROR || min > max
        || max > NGX_MAX_INT32_VALUE)
    {
        return NGX_ERROR;
    }

    sio->min = min;
    sio->max = max;

    return NGX_OK;
}


static char *
ngx_http_background_simulate_cpu(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_msec_t  *time;

    time = ngx_palloc(cf->pool, sizeof(ngx_msec_t));
    if (time == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_argument(cf, 1, ngx_http_background_conf_time,
                                      &ngx_http_background_simulate_cpu_times,
                                      time)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                &ngx_http_background_simulate_cpu_kind, time);
}


static void
ngx_http_background_simulate_io_start(ngx_http_background_run_t *run)
{
    ngx_http_background_simulate_io_t     *sio;
    ngx_http_background_simulate_waits_t  *sw;

    sio = run->conf;

    sw = ngx_pcalloc(run->pool, sizeof(ngx_http_background_simulate_waits_t));
    if (sw == NULL) {
        goto failed;
    }

    sw->waits = ngx_palloc(run->pool, sio->count
                               * sizeof(ngx_http_background_simulate_wait_t));
    if (sw->waits == NULL) {
        goto failed;
    }

    sw->run = run;

    sw->event.handler = ngx_http_background_simulate_io_slice;
    sw->event.data = sw;
    sw->event.log = run->log;

    run->ctx = sw;
    run->result.active = sio->count;

    ngx_http_background_simulate_io_slice(&sw->event);

    return;

failed:

    ngx_http_background_fail(&run->result, 0, "no memory");
    ngx_http_background_done(run);
}


static void
ngx_http_background_simulate_io_cancel(ngx_http_background_run_t *run)
{
    ngx_uint_t                             i;
    ngx_http_background_simulate_waits_t  *sw;

    sw = run->ctx;

    if (sw->event.posted) {
        ngx_delete_posted_event(&sw->event);
    }

    for (i = 0; i < sw->nwaits; i++) {
        if (sw->waits[i].event.timer_set) {
            ngx_del_timer(&sw->waits[i].event);
        }
    }
}


static void
ngx_http_background_simulate_io_slice(ngx_event_t *ev)
{
    ngx_http_background_simulate_waits_t *sw = ev->data;

    ngx_uint_t                            last;
    ngx_http_background_simulate_io_t    *sio;
    ngx_http_background_simulate_wait_t  *wait;

    sio = sw->run->conf;

    last = ngx_min(sw->nwaits + NGX_HTTP_BACKGROUND_SIMULATE_SLICE,
                   sio->count);

    while (sw->nwaits < last) {
        wait = &sw->waits[sw->nwaits++];

        ngx_memzero(wait, sizeof(ngx_http_background_simulate_wait_t));

        wait->run = sw->run;
        wait->started = ngx_current_msec;

        wait->event.handler = ngx_http_background_simulate_io_handler;
        wait->event.data = wait;
        wait->event.log = sw->run->log;
        wait->event.cancelable = 1;

        ngx_add_timer(&wait->event,
                      sio->min + ngx_random() % (sio->max - sio->min + 1));
    }

    if (last < sio->count) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_http_background_simulate_io_handler(ngx_event_t *ev)
{
    ngx_http_background_run_t            *run;
    ngx_http_background_simulate_wait_t  *wait;

    wait = ev->data;
    run = wait->run;

    run->result.completed++;
    run->result.bytes += ngx_random() % 1001;
    run->result.io_time += ngx_current_msec - wait->started;

    if (--run->result.active == 0) {
        ngx_http_background_done(run);
    }
}


static void
ngx_http_background_simulate_cpu_work(ngx_http_background_run_t *run)
{
    u_char      *composite;
    uint64_t     from, primes, start, time, total;

    total = *(ngx_msec_t *) run->conf * 1000;

    composite = ngx_palloc(run->pool, NGX_HTTP_BACKGROUND_SIEVE);
    if (composite == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    primes = 0;
    start = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID);

    for (from = 0; /* void */ ; from += NGX_HTTP_BACKGROUND_SIEVE) {

        primes += ngx_http_background_sieve(composite, from);

        time = ngx_http_background_usec(CLOCK_THREAD_CPUTIME_ID) - start;

        ngx_http_background_progress(run, ngx_min(time, total), total);

        if (time >= total) {
            break;
        }

        if (ngx_http_background_cancelled(run)) {
            return;
        }
    }

    run->result.completed = 1;

    ngx_log_error(NGX_LOG_INFO, run->log, 0,
                  "background task \"%V\": simulate_cpu found %uL primes "
                  "below %uL", run->task, primes,
                  from + NGX_HTTP_BACKGROUND_SIEVE);
}


/*
 * Runs a segment of the sieve of Eratosthenes and returns the number of primes
 * in it.
 */

static ngx_uint_t
ngx_http_background_sieve(u_char *composite, uint64_t from)
{
    uint64_t    i, n, end;
    ngx_uint_t  primes;

    ngx_memzero(composite, NGX_HTTP_BACKGROUND_SIEVE);

    end = from + NGX_HTTP_BACKGROUND_SIEVE;

    for (i = 2; i * i < end; i++) {

        n = ngx_max(i * i, (from + i - 1) / i * i);

        for ( /* void */ ; n < end; n += i) {
            composite[n - from] = 1;
        }
    }

    primes = 0;

    for (n = ngx_max(from, 2); n < end; n++) {
        primes += !composite[n - from];
    }

    return primes;
}
