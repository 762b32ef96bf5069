
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A cycle: one execution of a task's operations.  It knows neither what has
 * started it nor when the next one is due: it tells its end to the handler of
 * its "ended".
 *
 * All functions are for the worker's main thread.
 */


#ifndef _NGX_HTTP_BACKGROUND_CYCLE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CYCLE_H_INCLUDED_


#include <ngx_http_background.h>
#include <ngx_http_background_pool.h>
#include <ngx_http_background_zone.h>

#include <ngx_event.h>


typedef struct {
    ngx_http_background_kind_t        kind;
    void                             *conf;
    ngx_http_background_prepare_pt    prepare;    /* NULL: needs no request */
    ngx_str_t                         title;      /* for texts */

    /* where it was added, for "check" of the kind */
    u_char                           *file;
    ngx_uint_t                        line;
    ngx_array_t                       args;       /* of ngx_str_t */
    void                             *conf_ctx;

    ngx_uint_t                        steps;      /* on threads of the worker's;
                                                     under the steps' mutex */
} ngx_http_background_operation_t;


typedef struct ngx_http_background_step_s     ngx_http_background_step_t;
typedef struct ngx_http_background_run_ctx_s  ngx_http_background_run_ctx_t;


/* begins with the job, and that with the run, which the kind sees */

struct ngx_http_background_run_ctx_s {
    ngx_http_background_job_t         job;
    ngx_http_background_operation_t  *operation;
    ngx_http_background_cycle_t      *cycle;
    ngx_uint_t                        active;     /* unsigned  active:1; */
    ngx_uint_t                        starting;   /* unsigned  starting:1; */
    ngx_uint_t                        abandoned;  /* unsigned  abandoned:1;
                                                     what the job's thread may
                                                     write is not read */

    /* of an I/O kind */
    ngx_rbtree_node_t                 node;
    ngx_http_background_step_t       *step;       /* NULL: none under way */
    ngx_event_t                       timer;
    void                            (*timer_handler)(
                                          ngx_http_background_run_t *run);
};


struct ngx_http_background_cycle_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    void                             *owner;      /* who has created it */
    ngx_http_background_cell_t       *cell;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_queue_t                       queue;      /* the owner's */
    ngx_pool_t                       *pool;
    ngx_str_t                        *task;       /* name */
    ngx_array_t                      *operations;
    ngx_event_t                       timeout;
    ngx_msec_t                        time;       /* of "timeout", 0: none */

    ngx_http_background_told_t       *follows;    /* it comes after that, or
                                                     NULL */
    ngx_http_background_input_t       input;
    ngx_http_background_run_ctx_t    *runs;
    ngx_uint_t                        nruns;
    ngx_uint_t                        pending;    /* runs that are not over */
    ngx_uint_t                        posted;     /* the pool's */

    ngx_http_background_output_t      none;       /* of an abandoned one */

    uint64_t                          started;    /* ngx_current_msec */
    uint64_t                          started_at; /* wall clock, ms */
    uint64_t                          started_usec;

    /* when it is over */
    ngx_http_background_end_t         end;
    ngx_http_background_last_t        last;

    void                            (*ended)(
                                          ngx_http_background_cycle_t *cycle);
    void                            (*handler)(
                                          ngx_http_background_cycle_t *cycle,
                                          void *data);
    void                             *data;

    unsigned                          arrived:1;  /* not started by time */
    unsigned                          retry:1;
    unsigned                          resumes:1;  /* a kind of it does */
    unsigned                          finish:1;
    unsigned                          cancelled:1;
    unsigned                          timed_out:1;
    unsigned                          abandoned:1;
    unsigned                          lost:1;     /* the worker was revoked */
    unsigned                          locked:1;   /* it has the task's lock */
    unsigned                          told:1;     /* the handler was called */
    unsigned                          unwanted:1; /* free() was called */
};


/*
 * create  a cycle with what "start" says; else "start" is dropped: NGX_ERROR,
 *         no memory, or NGX_ABORT, an operation refuses the request
 * drop    closes a file of "start" that no cycle will be created with
 * run     starts its operations; "ended" may be called before it returns
 * cancel  stops what is under way; "ended" is called at once or later
 *
 * A cycle with a job that does not stop at the time-out is abandoned: it is
 * over for all but the job.  "ended" is called then, with pending runs, and
 * again when these have come home; "last" is what they have added to it then,
 * and free() waits for them.
 */
ngx_int_t ngx_http_background_cycle_create(ngx_array_t *operations,
    ngx_http_background_start_t *start, ngx_log_t *log,
    ngx_http_background_cycle_t **cp);
void ngx_http_background_cycle_drop(ngx_http_background_start_t *start,
    ngx_log_t *log);
void ngx_http_background_cycle_run(ngx_http_background_cycle_t *cycle,
    ngx_msec_t timeout, ngx_uint_t repeats);
void ngx_http_background_cycle_cancel(ngx_http_background_cycle_t *cycle);


/*
 * The run of an I/O kind that is under way; NULL: the kind should not have
 * called the function of that name, which was logged.
 */
ngx_http_background_run_ctx_t *ngx_http_background_run_active(
    ngx_http_background_run_t *run, const char *name);

/* the wall clock, in milliseconds since the epoch */
uint64_t ngx_http_background_wall_clock(void);


#endif /* _NGX_HTTP_BACKGROUND_CYCLE_H_INCLUDED_ */
