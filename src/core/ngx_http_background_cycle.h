
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A cycle: one execution of the operations of a task.  It does not know what
 * has started it and when the next one is due: "ended" is called when it is
 * over.
 *
 * All functions are called in the main thread of the worker.
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
    ngx_http_background_prepare_pt    prepare;    /* NULL: the kind needs no
                                                     request */
    const ngx_http_background_judge_t
                                     *judge;      /* NULL: the kind judges no
                                                     servers */
    ngx_str_t                         title;      /* for log and error texts */

    /* the place in the configuration, for "check" of the kind */
    u_char                           *file;
    ngx_uint_t                        line;
    ngx_array_t                       args;       /* of ngx_str_t */
    void                             *conf_ctx;

    ngx_uint_t                        steps;      /* steps on threads of this
                                                     worker; under the mutex of
                                                     the steps */
} ngx_http_background_operation_t;


typedef struct ngx_http_background_step_s     ngx_http_background_step_t;
typedef struct ngx_http_background_run_ctx_s  ngx_http_background_run_ctx_t;


/* begins with the job, which begins with the run that the kind sees */

struct ngx_http_background_run_ctx_s {
    ngx_http_background_job_t         job;
    ngx_http_background_operation_t  *operation;
    ngx_http_background_cycle_t      *cycle;
    ngx_uint_t                        active;     /* unsigned  active:1; */
    ngx_uint_t                        starting;   /* unsigned  starting:1; */
    ngx_uint_t                        abandoned;  /* unsigned abandoned:1; the
                                                     thread of the job may
                                                     still write to the run, so
                                                     it is not read */

    /* used by I/O kinds */
    ngx_rbtree_node_t                 node;
    ngx_http_background_step_t       *step;       /* NULL: no step is pending */
    ngx_event_t                       timer;
    void                            (*timer_handler)(
                                          ngx_http_background_run_t *run);
};


struct ngx_http_background_cycle_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    void                             *owner;      /* the creator of the cycle */
    ngx_http_background_cell_t       *cell;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_queue_t                       queue;      /* in a queue of "owner" */
    ngx_pool_t                       *pool;
    ngx_str_t                        *task;       /* name */
    ngx_str_t                        *cause;      /* not if "arrived" */
    ngx_array_t                      *operations;
    ngx_event_t                       timeout;
    ngx_msec_t                        time;       /* value of "timeout", 0:
                                                     none */

    ngx_http_background_told_t       *follows;    /* it comes after that, or
                                                     NULL */
    ngx_http_background_input_t       input;
    ngx_http_background_run_ctx_t    *runs;
    ngx_uint_t                        nruns;
    ngx_uint_t                        pending;    /* runs that are not over */
    ngx_uint_t                        posted;     /* posted jobs that are not
                                                     over */

    ngx_http_background_output_t      none;       /* empty output, for an
                                                     abandoned cycle */

    uint64_t                          started;    /* ngx_current_msec */
    uint64_t                          started_at; /* wall clock, ms */
    uint64_t                          started_usec;
    uint64_t                          fence;      /* 0: none */
    const uint64_t                   *until;      /* as in jobs */

    /* set when the cycle is over */
    ngx_http_background_end_t         end;
    ngx_http_background_last_t        last;

    void                            (*ended)(
                                          ngx_http_background_cycle_t *cycle);
    void                            (*handler)(
                                          ngx_http_background_cycle_t *cycle,
                                          void *data);
    void                             *data;

    unsigned                          arrived:1;  /* not started by
                                                     "interval" */
    unsigned                          retry:1;
    unsigned                          resumes:1;  /* a kind of the cycle has
                                                     "resumes" set */
    unsigned                          finish:1;
    unsigned                          cancelled:1;
    unsigned                          timed_out:1;
    unsigned                          left:1;     /* by leave() */
    unsigned                          abandoned:1;
    unsigned                          lost:1;     /* the worker was revoked */
    unsigned                          locked:1;   /* it has the task's lock */
    unsigned                          told:1;     /* the handler was called */
    unsigned                          unwanted:1; /* free() was called */
};


/*
 * create  creates a cycle as described by "start".  Otherwise closes the file
 *         of "start" and returns NGX_ERROR if there is no memory, or NGX_ABORT
 *         if an operation refuses the request
 * drop    closes the file of "start" if no cycle will be created
 * run     starts the operations; "ended" may be called before it returns
 * cancel  cancels the runs that are not over; "ended" is called at once or
 *         later
 * leave   the same; a job that does not stop soon is abandoned, as another
 *         server may start a cycle of the task
 *
 * A cycle with a job that does not stop after "timeout" is abandoned: "ended"
 * is called while runs are pending, and called again when they are over.
 * "last" then has only what these runs have added since, and the cycle is
 * freed not before that.
 */
ngx_int_t ngx_http_background_cycle_create(ngx_array_t *operations,
    ngx_http_background_start_t *start, ngx_log_t *log,
    ngx_http_background_cycle_t **cp);
void ngx_http_background_cycle_drop(ngx_http_background_start_t *start,
    ngx_log_t *log);
void ngx_http_background_cycle_run(ngx_http_background_cycle_t *cycle,
    ngx_msec_t timeout, ngx_uint_t repeats);
void ngx_http_background_cycle_cancel(ngx_http_background_cycle_t *cycle);
void ngx_http_background_cycle_leave(ngx_http_background_cycle_t *cycle);


/*
 * Returns the context of a run of an I/O kind that is not over, or NULL if the
 * kind must not call the function "name" now; this is logged.
 */
ngx_http_background_run_ctx_t *ngx_http_background_run_active(
    ngx_http_background_run_t *run, const char *name);

#endif /* _NGX_HTTP_BACKGROUND_CYCLE_H_INCLUDED_ */
