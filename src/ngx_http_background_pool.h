
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The pool: CPU work on an nginx thread pool.
 *
 * A job waits in a queue of the worker's own until a slot of the budget, which
 * all workers share, is free; only then it is posted to nginx's pool.  So that
 * pool's queue never holds more jobs than there are threads.
 *
 * All functions are for the worker's main thread, in the worker.
 */


#ifndef _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_


#include <ngx_thread_pool.h>
#include <sched.h>
#include <ngx_http_background.h>
#include <ngx_http_background_cpu_limit.h>
#include <ngx_http_background_zone.h>


typedef struct ngx_http_background_job_s  ngx_http_background_job_t;


typedef struct {
    ngx_uint_t                        threads;     /* 0: "auto" */
    ngx_uint_t                        max_queue;
    ngx_int_t                         priority;    /* nice value */
    ngx_uint_t                        quota;       /* percent of a CPU for each
                                                      thread, 0: by default */

    /* set by init() */
    ngx_http_background_cpu_limit_t   cpu_limit;
    cpu_set_t                        *affinity;    /* of the master */
    size_t                            affinity_size;

    /* set by add(), NULL where nothing needs a pool */
    ngx_thread_pool_t                *thread_pool;
    ngx_thread_pool_t                *blocking_pool;
    void                             *thread_pools;  /* nginx's, with these */
} ngx_http_background_pool_conf_t;


/* the parts of a run that several threads share; others are work alone */

typedef enum {
    ngx_http_background_work = 0,
    ngx_http_background_begin,
    ngx_http_background_finish
} ngx_http_background_part_e;


/*
 * A job, with the run it does first.  The caller fills in what comes before
 * "cpu_usec" and zeroes the rest.  A job that has come home may be continued
 * with another part.
 */

struct ngx_http_background_job_s {
    ngx_http_background_run_t         run;
    ngx_http_background_part_e        part;
    void                            (*work)(ngx_http_background_run_t *run);
    void                            (*handler)(ngx_http_background_job_t *job);
    ngx_http_background_cell_t       *cell;        /* shows the progress */
    uint64_t                         *rate_due;    /* the same for all jobs that
                                                      share a run's limit_rate;
                                                      usec, monotonic */

    /* when it has come home */
    uint64_t                          cpu_usec;    /* thread CPU time */
    ngx_uint_t                        called;      /* the last part was */
    ngx_uint_t                        cancelled;   /* it stopped early */

    /* private */
    ngx_uint_t                        cancel;
    ngx_uint_t                        posted;
    ngx_int_t                         slot;
    ngx_queue_t                       queue;
    ngx_thread_task_t                 task;
    uint64_t                          part_usec;
    uint64_t                          done;
    uint64_t                          total;

    uint64_t                          checked;     /* usec, monotonic */
    uint64_t                          cpu_checked; /* usec */
    uint64_t                          bytes_checked;
    uint64_t                          due;         /* usec, monotonic */
};


/*
 * Reading the configuration: init() finds out the CPU limit and fills in the
 * defaults, add() makes nginx's thread pool for jobs, add_blocking() the other
 * one unless there is one.
 */
ngx_int_t ngx_http_background_pool_init(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);
ngx_int_t ngx_http_background_pool_add(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);
ngx_int_t ngx_http_background_pool_add_blocking(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);


/*
 * The threads of both pools, in init_process and exit_process.  Where nginx
 * starts its own pools, an error would end the worker.
 */
ngx_int_t ngx_http_background_pool_start_threads(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf);
void ngx_http_background_pool_stop_threads(ngx_cycle_t *cycle);


/*
 * start   before the first job
 * threads how many jobs may run at once
 * post    the job's handler is called on the event loop when it is over; on
 *         NGX_ERROR it is not, and the run's result has the reason
 * continue
 *         in a job's handler, for that job or one that shares its run: as post,
 *         but with the slot that the first had; on NGX_ERROR, no threads are
 *         left
 * cancel  NGX_OK: the job will not run, nor its handler be called;
 *         NGX_AGAIN: it was told to stop and its handler will be called soon
 * current the cell that the calling thread's job belongs to, or NULL where that
 *         thread has no job; async-signal-safe, for any thread
 * runs    whether a job of that cell, or any job for NULL, is on a thread;
 *         async-signal-safe, for any thread
 * stop    in exit_process, when the threads are gone: calls the handlers of
 *         all jobs that were running
 */
void ngx_http_background_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf);
ngx_uint_t ngx_http_background_pool_threads(void);
ngx_int_t ngx_http_background_pool_post(ngx_http_background_job_t *job);
ngx_int_t ngx_http_background_pool_continue(ngx_http_background_job_t *job);
ngx_int_t ngx_http_background_pool_cancel(ngx_http_background_job_t *job);
ngx_http_background_cell_t *ngx_http_background_pool_current(void);
ngx_uint_t ngx_http_background_pool_runs(ngx_http_background_cell_t *cell);
void ngx_http_background_pool_stop(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_BACKGROUND_POOL_H_INCLUDED_ */
