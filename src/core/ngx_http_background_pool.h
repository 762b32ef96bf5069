
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The pool: CPU work on nginx's threads.
 *
 * A job waits in a queue of the worker's own until a slot of the budget, which
 * all workers share, and a thread are free.  A thread goes on with its slot
 * from one waiting job to the next, without the event loop in between.  A job
 * that gives its slot away while others wait is parked: it keeps its thread,
 * so there are a few more threads than slots.
 */


#ifndef _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_


#include <ngx_http_background.h>
#include <ngx_http_background_cpu_limit.h>
#include <ngx_http_background_zone.h>

#include <sched.h>


/* SCHED_IDLE, as if it were one more nice value */
#define NGX_HTTP_BACKGROUND_PRIORITY_IDLE  20


typedef struct ngx_http_background_job_s    ngx_http_background_job_t;
typedef struct ngx_http_background_share_s  ngx_http_background_share_t;


typedef struct {
    ngx_uint_t                        threads;     /* 0: "auto" */
    ngx_uint_t                        per_worker;  /* 0: by default */
    ngx_uint_t                        reserve;     /* of "threads", for
                                                      periodic tasks */
    ngx_uint_t                        max_queue;
    ngx_int_t                         priority;    /* nice value, or that of
                                                      "idle" */
    ngx_uint_t                        quota;       /* percent of a CPU for each
                                                      thread, 0: by default */
    ngx_uint_t                        gives_way;   /* unsigned  gives_way:1;
                                                      to what else the
                                                      container uses */
    ngx_uint_t                        used;        /* some task has a job */
    ngx_uint_t                        steps;       /* some task has an I/O
                                                      kind, which may make
                                                      threads for steps */

    u_char                           *file;        /* where, for texts */
    ngx_uint_t                        line;

    /* set by init() */
    ngx_http_background_cpu_limit_t   cpu_limit;
    cpu_set_t                        *affinity;    /* of the master */
    size_t                            affinity_size;

    /* set by limit() */
    ngx_uint_t                        worker_threads; /* that each makes */
} ngx_http_background_pool_conf_t;


/*
 * A slot of the budget in the hands of a thread, and when the CPU time that
 * this has used is paid for, by "quota" and by the least part of it.
 */

typedef struct {
    ngx_int_t                         number;      /* NGX_DECLINED: none */
    uint64_t                          taken;       /* usec, monotonic */
    ngx_uint_t                        lent;        /* unsigned  lent:1;
                                                      by a lead to its helper */
    uint64_t                          due;         /* usec, monotonic */
    uint64_t                          floor_due;
} ngx_http_background_slot_t;


/*
 * What was used of a CPU ("quota=") and of run->limit_rate; times in
 * microseconds, monotonic or of the thread's CPU time.
 */

typedef struct {
    uint64_t                          checked;
    uint64_t                          cpu_checked;
    uint64_t                          bytes_checked;
    uint64_t                         *rate_due;    /* of all threads that share
                                                      the run */
} ngx_http_background_pace_t;


typedef enum {
    ngx_http_background_job_none = 0,
    ngx_http_background_job_waiting,
    ngx_http_background_job_posted
} ngx_http_background_job_state_e;


/* what a run gets from its cycle, which owns it */

typedef struct {
    ngx_str_t                         bytes;
    ngx_fd_t                          file;        /* NGX_INVALID_FILE: none */
    size_t                            file_size;
} ngx_http_background_input_t;


/*
 * A job and its run.  The caller fills in what comes before "cpu_usec" and
 * zeroes the rest.
 */

struct ngx_http_background_job_s {
    ngx_http_background_run_t         run;         /* must be first */
    const ngx_http_background_kind_t *kind;
    void                            (*handler)(ngx_http_background_job_t *job);
    ngx_http_background_cell_t       *cell;        /* shows the progress */
    ngx_uint_t                        arrived;     /* unsigned  arrived:1;
                                                      its cycle was not started
                                                      by time */
    uint64_t                          worker;      /* what it was in the zone
                                                      when the run started */
    const ngx_http_background_input_t *input;
    ngx_http_background_output_t      output;
    ngx_uint_t                       *counter;     /* of jobs that wait, changed
                                                      under the slots' mutex;
                                                      NULL: none */
    ngx_uint_t                       *posted;      /* the pool's count of the
                                                      jobs of a cycle, whose
                                                      handlers may be called
                                                      when the last one is over;
                                                      under the slots' mutex;
                                                      NULL: at once */

    /* when it is over */
    uint64_t                          cpu_usec;    /* thread CPU time */
    ngx_uint_t                        threads;     /* that worked */
    ngx_uint_t                        cancelled;   /* it stopped early */
    uint64_t                          ran;         /* when it had a thread, in
                                                      usec, monotonic; 0: never
                                                    */

    /* the pool's */
    ngx_uint_t                        cancel;      /* atomic */
    ngx_http_background_job_state_e   state;
    ngx_queue_t                       queue;
    uint64_t                          number;      /* in the order of waiting */
    uint64_t                          parked;      /* under the slots' mutex;
                                                      since when it could go on
                                                      with a slot; usec,
                                                      monotonic; 0: it does */

    /* the job's thread's */
    ngx_http_background_slot_t       *slot;
    ngx_http_background_job_t        *lead;        /* itself, or which it
                                                      helps */
    ngx_http_background_share_t      *share;       /* of a lead that works */
    ngx_http_background_pace_t        pace;
    ngx_str_t                         map;         /* of the input's file */
    uint64_t                          rate_due;
    uint64_t                          done;
    uint64_t                          total;
};


/*
 * Reading the configuration: init() finds out the CPU limit and fills in the
 * defaults.
 */
ngx_int_t ngx_http_background_pool_init(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);

/* how many threads of a worker jobs of requests leave alone */
ngx_uint_t ngx_http_background_pool_reserve(
    const ngx_http_background_pool_conf_t *pcf);

/* in init_module: how many threads each worker makes; logs what limits them */
void ngx_http_background_pool_limit(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf);


/*
 * On the event loop:
 *
 * start   makes the threads, in init_process, before any other module has
 *         posted to a thread pool.  What fails is logged; then jobs fail
 * post    the job's handler is called on the event loop when it is over; on
 *         NGX_ERROR it is not, and the run's result has the reason
 * cancel  NGX_OK: the job will not run, nor its handler be called;
 *         NGX_AGAIN: it was told to stop and its handler will be called soon
 * waits   whether the job waits for a thread
 * full    whether as many jobs of requests wait as may, "max_queue"
 * runs    whether a job of that cell, or any job for NULL, is on a thread;
 *         async-signal-safe, for any thread
 * stop    in exit_process, when all jobs were told to stop: waits for them,
 *         ends the threads, and calls the handlers
 */
void ngx_http_background_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf);
ngx_int_t ngx_http_background_pool_post(ngx_http_background_job_t *job);
ngx_int_t ngx_http_background_pool_cancel(ngx_http_background_job_t *job);
ngx_uint_t ngx_http_background_pool_waits(ngx_http_background_job_t *job);
ngx_uint_t ngx_http_background_pool_full(void);
ngx_uint_t ngx_http_background_pool_runs(ngx_http_background_cell_t *cell);
void ngx_http_background_pool_stop(ngx_cycle_t *cycle);


/* of "background_threads"; quota in percent of a CPU, 0: no limit */
ngx_uint_t ngx_http_background_pool_threads(void);
ngx_uint_t ngx_http_background_pool_quota(void);


/* nice value, I/O class, affinity, signals, folder and umask of a thread */
void ngx_http_background_pool_thread_init(
    ngx_http_background_pool_conf_t *pcf, ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_ */
