
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Tasks: their configuration, and the cycles that a worker runs of those whose
 * lease it has.
 */


#ifndef _NGX_HTTP_BACKGROUND_TASK_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TASK_H_INCLUDED_


#include <ngx_http_background.h>
#include <ngx_http_background_pool.h>
#include <ngx_http_background_zone.h>


/* cycles in a row that end with the worker's death before a task is left */
#define NGX_HTTP_BACKGROUND_CRASHES  3


typedef struct {
    const ngx_http_background_kind_t  *kind;
    void                              *conf;
    ngx_str_t                          title;     /* for texts */
} ngx_http_background_operation_t;


typedef struct {
    /* must be first */
    ngx_http_background_zone_task_t    zone;      /* with the name, "workers" */

    ngx_msec_t                         interval;
    ngx_msec_t                         jitter;
    ngx_msec_t                         retry;
    ngx_msec_t                         retry_max; /* "retry" without "max=" */
    ngx_msec_t                         timeout;   /* 0: none */
    ngx_uint_t                         fails;
    ngx_uint_t                         passes;

    ngx_array_t                        operations;

    ngx_uint_t                         cpu;       /* has a CPU operation */
} ngx_http_background_task_t;


/*
 * All functions are for the worker's main thread.
 *
 * start  registers the worker and takes tasks up
 * stop   starts no cycle any more, cancels what runs, and gives the leases up,
 *        at once or when a job that was told to stop has come home; may be
 *        called again
 * exit   in exit_process, when all jobs have come home
 */
ngx_int_t ngx_http_background_tasks_start(ngx_cycle_t *cycle,
    ngx_http_background_zone_conf_t *zcf);
void ngx_http_background_tasks_stop(void);
void ngx_http_background_tasks_exit(void);


#endif /* _NGX_HTTP_BACKGROUND_TASK_H_INCLUDED_ */
