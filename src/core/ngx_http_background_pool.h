
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The pool: CPU jobs on threads of nginx.
 *
 * A job waits in a queue of the worker until there are a slot of the budget,
 * which all workers share, and an idle thread.  The thread keeps the slot and
 * takes the next waiting jobs without the event loop.  A job that gives its
 * slot away while others wait is parked: it keeps its thread, so there are a
 * few more threads than slots.
 */


#ifndef _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_


#include <ngx_http_background.h>
#include <ngx_http_background_cpu_limit.h>
#include <ngx_http_background_zone.h>

#include <sched.h>


/* SCHED_IDLE, as the value after the last nice value */
#define NGX_HTTP_BACKGROUND_PRIORITY_IDLE  20


typedef struct ngx_http_background_job_s    ngx_http_background_job_t;
typedef struct ngx_http_background_share_s  ngx_http_background_share_t;


typedef struct {
    ngx_uint_t                        threads;     /* 0: "auto" */
    ngx_uint_t                        per_worker;  /* 0: not set */
    ngx_uint_t                        reserve;     /* slots for periodic
                                                      tasks */
    ngx_uint_t                        max_queue;
    ngx_int_t                         priority;    /* nice value, or
                                                      ..._PRIORITY_IDLE */
    ngx_uint_t                        quota;       /* percent of a CPU for each
                                                      thread, 0: not set */
    ngx_uint_t                        gives_way;   /* unsigned gives_way:1;
                                                      jobs pause when other
                                                      processes of the
                                                      container need its CPU
                                                      quota */
    ngx_uint_t                        used;        /* a task has a CPU
                                                      operation */
    ngx_uint_t                        steps;       /* a task has an I/O
                                                      operation, whose steps
                                                      may need threads */

    u_char                           *file;        /* where, for texts */
    ngx_uint_t                        line;

    /* set by init() */
    ngx_http_background_cpu_limit_t   cpu_limit;
    cpu_set_t                        *affinity;    /* of the master process */
    size_t                            affinity_size;

    /* set by limit() */
    ngx_uint_t                        worker_threads; /* number of threads */
} ngx_http_background_pool_conf_t;


/*
 * A slot of the budget that a thread has.  The CPU time that was used with it
 * is paid for by "quota" at "due", and by the smallest share of "quota" at
 * "floor_due".
 */

typedef struct {
    ngx_int_t                         number;      /* NGX_DECLINED: none */
    uint64_t                          taken;       /* usec, monotonic */
    ngx_uint_t                        lent;        /* unsigned lent:1; a lead
                                                      has lent it to this
                                                      helper */
    uint64_t                          due;         /* usec, monotonic */
    uint64_t                          floor_due;
} ngx_http_background_slot_t;


/*
 * Values at the last check of "quota" and run->limit_rate: the time and the
 * CPU time of the thread, in microseconds, and the bytes.
 */

typedef struct {
    uint64_t                          checked;
    uint64_t                          cpu_checked;
    uint64_t                          bytes_checked;
    uint64_t                         *rate_due;    /* usec, monotonic; shared
                                                      by all threads of the
                                                      run */
} ngx_http_background_pace_t;


typedef enum {
    ngx_http_background_job_none = 0,
    ngx_http_background_job_waiting,
    ngx_http_background_job_posted
} ngx_http_background_job_state_e;


/* the cycle owns this and passes it to its runs */

typedef struct {
    ngx_str_t                         bytes;
    ngx_fd_t                          file;        /* NGX_INVALID_FILE: none */
    size_t                            file_size;
} ngx_http_background_input_t;


/*
 * A job and its run.  The caller fills in the fields before "cpu_usec" and
 * zeroes the others.
 */

struct ngx_http_background_job_s {
    ngx_http_background_run_t         run;         /* must be first */
    const ngx_http_background_kind_t *kind;
    void                            (*handler)(ngx_http_background_job_t *job);
    ngx_http_background_cell_t       *cell;        /* its progress is updated */
    ngx_uint_t                        arrived;     /* unsigned arrived:1; the
                                                      cycle was started by a
                                                      trigger, not by time */
    uint64_t                          worker;      /* zone_self() when the run
                                                      started */
    const uint64_t                   *until;       /* when the task may be
                                                      another server's, in msec
                                                      of CLOCK_BOOTTIME, 0:
                                                      never; or NULL */
    const ngx_http_background_input_t *input;
    ngx_http_background_output_t      output;
    ngx_uint_t                       *counter;     /* number of waiting jobs,
                                                      changed under the mutex
                                                      of the slots; may be
                                                      NULL */
    ngx_uint_t                       *posted;      /* number of jobs of a cycle
                                                      that are not over,
                                                      changed under the mutex
                                                      of the slots: handlers
                                                      are called when it is
                                                      0.  NULL: the handler is
                                                      called at once */

    /* set when the job is over */
    uint64_t                          cpu_usec;    /* CPU time of its threads */
    ngx_uint_t                        threads;     /* number of threads that
                                                      worked */
    ngx_uint_t                        cancelled;   /* the job ended early */
    uint64_t                          ran;         /* when a thread took the
                                                      job, in usec, monotonic;
                                                      0: none did */

    /* used by the pool */
    ngx_uint_t                        cancel;      /* atomic */
    ngx_http_background_job_state_e   state;
    ngx_queue_t                       queue;
    uint64_t                          number;      /* orders waiting jobs */
    uint64_t                          parked;      /* under the mutex of the
                                                      slots; since when the job
                                                      waits for a slot, in
                                                      usec, monotonic; 0: it
                                                      does not wait */

    /* used by the thread of the job */
    ngx_http_background_slot_t       *slot;
    ngx_http_background_job_t        *lead;        /* the job that this one
                                                      helps, or itself */
    ngx_http_background_share_t      *share;       /* of a running lead */
    ngx_http_background_pace_t        pace;
    ngx_str_t                         map;         /* the mapped file of the
                                                      input */
    uint64_t                          rate_due;
    uint64_t                          done;
    uint64_t                          total;
};


/*
 * While the configuration is read.  init() detects the CPU limit and sets the
 * defaults.
 */
ngx_int_t ngx_http_background_pool_init(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);

/* the number of threads of a worker that jobs of requests must not use */
ngx_uint_t ngx_http_background_pool_reserve(
    const ngx_http_background_pool_conf_t *pcf);

/*
 * Called in init_module.  Sets how many threads each worker creates, and logs
 * what limits that number.
 */
void ngx_http_background_pool_limit(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf);


/*
 * Called in the main thread, unless noted otherwise.
 *
 * start   creates the threads, in init_process, before any other module posts
 *         to a thread pool.  Errors are logged, and jobs fail then
 * post    when the job is over its handler is called in the main thread.  On
 *         NGX_ERROR it is not called, and the result of the run has the reason
 * cancel  returns NGX_OK if the job will not run and its handler will not be
 *         called, or NGX_AGAIN if the job was told to stop: its handler will
 *         be called
 * withdraw
 *         removes a job that still waits, and returns NGX_OK; otherwise
 *         NGX_DECLINED, and the job goes on
 * waits   whether the job waits for a thread
 * full    whether "max_queue" jobs of requests wait
 * waiting returns how many of the jobs of a counter wait, without those that a
 *         thread was called for
 * runs    whether a job of the cell, or any job if the cell is NULL, is on a
 *         thread; async-signal-safe, for any thread
 * stop    in exit_process, after all jobs were cancelled: waits for them,
 *         stops the threads, and calls the handlers
 */
void ngx_http_background_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf);
ngx_int_t ngx_http_background_pool_post(ngx_http_background_job_t *job);
ngx_int_t ngx_http_background_pool_cancel(ngx_http_background_job_t *job);
ngx_int_t ngx_http_background_pool_withdraw(ngx_http_background_job_t *job);
ngx_uint_t ngx_http_background_pool_waits(ngx_http_background_job_t *job);
ngx_uint_t ngx_http_background_pool_full(void);
ngx_uint_t ngx_http_background_pool_waiting(const ngx_uint_t *counter);
ngx_uint_t ngx_http_background_pool_runs(ngx_http_background_cell_t *cell);
void ngx_http_background_pool_stop(ngx_cycle_t *cycle);


/*
 * The values of "background_threads".  The quota is in percent of a CPU, 0: no
 * limit.
 */
ngx_uint_t ngx_http_background_pool_threads(void);
ngx_uint_t ngx_http_background_pool_quota(void);


/*
 * sets the nice value, I/O class, affinity, signals, folder, and umask of a
 * thread
 */
void ngx_http_background_pool_thread_init(
    ngx_http_background_pool_conf_t *pcf, ngx_log_t *log);

/* sets signals, folder, and umask back, after a job that may change them */
void ngx_http_background_pool_thread_restore(ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_ */
