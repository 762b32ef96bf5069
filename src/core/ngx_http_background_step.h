
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Blocking steps of I/O kinds, on threads that are made when they are needed:
 * a step that hangs keeps its thread, and no other step waits for it.
 *
 * All functions are for the worker's main thread.
 */


#ifndef _NGX_HTTP_BACKGROUND_STEP_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_STEP_H_INCLUDED_


#include <ngx_http_background_cycle.h>


/*
 * Threads of a worker: those that are kept when they have nothing to do, those
 * that an operation may have, and all of them; further steps wait.
 */
#define NGX_HTTP_BACKGROUND_STEP_IDLE     2
#define NGX_HTTP_BACKGROUND_STEP_SHARE    8
#define NGX_HTTP_BACKGROUND_STEP_THREADS  64


/*
 * detach  the run of the step is over: "then" is called without a run
 * stop    in exit_process, when all runs are over: waits for the steps under
 *         way, but no longer than until "worker_shutdown_timeout" has passed
 *         since "begun", in milliseconds, or half a second if nginx is to exit
 *         at once.  Those that have not returned by then are logged, and go on
 *         until the process is gone
 */
void ngx_http_background_step_detach(ngx_http_background_run_ctx_t *ctx);
void ngx_http_background_steps_stop(ngx_cycle_t *cycle, ngx_msec_t begun);


#endif /* _NGX_HTTP_BACKGROUND_STEP_H_INCLUDED_ */
