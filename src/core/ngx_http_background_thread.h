
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Threads for jobs.  Each one is an nginx thread pool with a single thread
 * that the worker creates itself.  If nginx can't create all threads of a
 * configured pool, the worker exits; here it works with fewer threads.
 *
 * All functions are called in the main thread of the worker.
 */


#ifndef _NGX_HTTP_BACKGROUND_THREAD_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_THREAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>


typedef struct {
    ngx_thread_pool_t   *pool;
    void                *conf;      /* configuration of nginx for this pool */
} ngx_http_background_thread_t;


/*
 * Creates up to n threads and returns their number.  nginx logs an alert if
 * one can't be created.  Must be called in init_process before any task is
 * posted to a thread pool: each pool that is started empties the common queue
 * of finished tasks.
 */
ngx_uint_t ngx_http_background_threads_start(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *threads, ngx_uint_t n);

/* stops the threads, in exit_process; waits for tasks that still run */
void ngx_http_background_threads_stop(ngx_http_background_thread_t *threads,
    ngx_uint_t n);


/*
 * Creates a detached thread for work that blocks but uses little CPU.  The
 * thread blocks all signals but those of a crash, so that the main thread
 * handles them.  Returns 0 or an error number; nothing is logged.
 */
ngx_err_t ngx_http_background_thread_detached(void *(*start)(void *data),
    void *data);

/*
 * nginx unloads modules before the process exits.  This keeps the module that
 * has "address" loaded, whose code such a thread may still run.
 */
void ngx_http_background_thread_pin(void *address);


#endif /* _NGX_HTTP_BACKGROUND_THREAD_H_INCLUDED_ */
