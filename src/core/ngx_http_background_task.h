
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Tasks: their configuration, the leases of this worker, and the start of
 * their cycles.
 */


#ifndef _NGX_HTTP_BACKGROUND_TASK_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TASK_H_INCLUDED_


#include <ngx_http_background.h>
#include <ngx_http_background_cycle.h>
#include <ngx_http_background_plan.h>
#include <ngx_http_background_zone.h>


/* "after": the ends of cycles of a task that another one follows */
#define NGX_HTTP_BACKGROUND_ON_SUCCESS   0x1
#define NGX_HTTP_BACKGROUND_ON_FAILURE   0x2
#define NGX_HTTP_BACKGROUND_ON_RECOVERY  0x4
#define NGX_HTTP_BACKGROUND_ON_ANY       0x8


typedef enum {
    ngx_http_background_seen_none = 0,
    ngx_http_background_seen_some,
    ngx_http_background_seen_all
} ngx_http_background_seen_e;


typedef struct {
    ngx_http_background_task_t        *task;      /* that follows, or that is
                                                     followed */
    ngx_uint_t                         on;        /* NGX_HTTP_BACKGROUND_ON_...
                                                     */
} ngx_http_background_follow_t;


struct ngx_http_background_task_s {
    /* must be first */
    ngx_http_background_zone_task_t    zone;      /* with the name, "workers" */

    ngx_str_node_t                     sn;        /* its name, in "names" */

    ngx_msec_t                         interval;  /* 0: "off" */
    ngx_msec_t                         jitter;
    ngx_msec_t                         retry;     /* 0: none */
    ngx_msec_t                         retry_max; /* "retry" without "max=" */
    ngx_msec_t                         timeout;   /* 0: none */
    ngx_uint_t                         fails;
    ngx_uint_t                         passes;
    ngx_uint_t                         judged;    /* by cycles of other
                                                     triggers, too: the task
                                                     has "health" */

    ngx_array_t                       *rules;     /* "schedule", or NULL */
    ngx_array_t                       *after;     /* the directives, or NULL */
    ngx_array_t                       *followers; /* ..._follow_t, or NULL */
    ngx_http_background_seen_e         seen;      /* for loops of these */
    ngx_log_t                         *log;       /* NULL: "error_log" */

    ngx_array_t                        operations;
    ngx_array_t                        triggers;

    const ngx_http_background_cluster_t  *cluster;  /* "workers cluster" */
    void                              *cluster_conf;

    ngx_uint_t                         cpu;       /* number of CPU operations */
    ngx_uint_t                         request;   /* an operation uses
                                                     variables of a request */
    ngx_uint_t                         judges;    /* an operation judges
                                                     servers */

    ngx_uint_t                         index;     /* in the tasks of the zone */
};


typedef struct {
    const ngx_http_background_trigger_t  *trigger;
    void                                 *conf;
} ngx_http_background_task_trigger_t;


/*
 * All functions are called in the main thread of the worker.
 *
 * start  registers the worker in the zone and takes leases of tasks
 * stop   no cycle starts any more.  Cycles that no client waits for are
 *        cancelled, and leases are released, at once or when the last job has
 *        ended; may be called again
 * abort  cancels all cycles, before the threads are stopped
 * exit   in exit_process, when all jobs have ended
 *
 * punctual  whether the timers of this worker were on time and it has the
 *           configuration in use: only then it can tell whether other workers
 *           are late
 * retry     returns the pause after that number of failures in a row
 */
ngx_int_t ngx_http_background_tasks_start(ngx_cycle_t *cycle,
    ngx_http_background_zone_conf_t *zcf);
void ngx_http_background_tasks_stop(void);
void ngx_http_background_tasks_abort(void);
void ngx_http_background_tasks_exit(void);
ngx_uint_t ngx_http_background_tasks_punctual(void);
ngx_msec_t ngx_http_background_retry(ngx_http_background_task_t *task,
    uint64_t failures);

/* the time of ngx_http_background_tasks_stop(), as ngx_current_msec */
ngx_msec_t ngx_http_background_tasks_stopped(void);


#endif /* _NGX_HTTP_BACKGROUND_TASK_H_INCLUDED_ */
