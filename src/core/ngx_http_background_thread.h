
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The threads that jobs run on.  Each is an nginx thread pool of one thread,
 * which the worker makes by itself: nginx ends a worker that can't make all
 * threads of a pool in its configuration, here there are fewer threads then.
 *
 * All functions are for the worker's main thread.
 */


#ifndef _NGX_HTTP_BACKGROUND_THREAD_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_THREAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>


typedef struct {
    ngx_thread_pool_t   *pool;
    void                *conf;      /* nginx's, of a configuration that has
                                       this pool alone */
} ngx_http_background_thread_t;


/*
 * Makes up to n threads; returns how many there are.  Why there are not more
 * is logged by nginx, at level "alert".  To be called in init_process before
 * any task was posted to a thread pool of nginx's: the queue of tasks that are
 * over is emptied.
 */
ngx_uint_t ngx_http_background_threads_start(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *threads, ngx_uint_t n);

/* ends threads, in exit_process; waits for those that still run a task */
void ngx_http_background_threads_stop(ngx_http_background_thread_t *threads,
    ngx_uint_t n);


#endif /* _NGX_HTTP_BACKGROUND_THREAD_H_INCLUDED_ */
