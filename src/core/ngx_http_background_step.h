
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Blocking steps of I/O kinds.  Their threads are created on demand.  A step
 * that hangs blocks its thread only: other steps run on other threads.
 *
 * All functions are called in the main thread of the worker.
 */


#ifndef _NGX_HTTP_BACKGROUND_STEP_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_STEP_H_INCLUDED_


#include <ngx_http_background_cycle.h>


/*
 * Threads of a worker: how many are kept when idle, how many an operation may
 * use, and how many there may be.  Further steps wait.
 */
#define NGX_HTTP_BACKGROUND_STEP_IDLE     2
#define NGX_HTTP_BACKGROUND_STEP_SHARE    8
#define NGX_HTTP_BACKGROUND_STEP_THREADS  64


/*
 * detach  the run of the step is over: "then" will be called without a run
 * stop    in exit_process, when all runs are over: waits for steps that still
 *         run until "worker_shutdown_timeout" has passed since "begun"
 *         (milliseconds, monotonic), or for half a second if nginx terminates.
 *         Steps that run longer are logged and end with the process
 */
void ngx_http_background_step_detach(ngx_http_background_run_ctx_t *ctx);
void ngx_http_background_steps_stop(ngx_cycle_t *cycle, ngx_msec_t begun);


#endif /* _NGX_HTTP_BACKGROUND_STEP_H_INCLUDED_ */
