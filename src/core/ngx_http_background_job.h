
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* A job on its thread: its run, pacing, and threads that help it. */


#ifndef _NGX_HTTP_BACKGROUND_JOB_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_JOB_H_INCLUDED_


#include <ngx_http_background_pool.h>


/*
 * On the job's thread.
 *
 * run      does the job; "cpu" is the thread's CPU time, and will be so again
 * begin    what every thread of a run does before its work
 * stops    whether the job was told to stop
 * current  the cell of the calling thread's job, or NULL where it has none;
 *          async-signal-safe, for any thread
 */
void ngx_http_background_job_run(ngx_http_background_job_t *job,
    ngx_http_background_slot_t *slot, uint64_t *cpu);
void ngx_http_background_job_begin(ngx_http_background_job_t *job,
    ngx_http_background_slot_t *slot, uint64_t cpu);
ngx_uint_t ngx_http_background_job_stops(ngx_http_background_job_t *job);
ngx_http_background_cell_t *ngx_http_background_job_current(void);
void ngx_http_background_job_set_current(ngx_http_background_job_t *job);

/*
 * check     makes what a kind has written into a result valid
 * required  a failure, if it has written nothing
 */
void ngx_http_background_result_check(ngx_http_background_result_t *result);
void ngx_http_background_result_required(
    ngx_http_background_result_t *result);

/* what ngx_http_background_input() has mapped, when the work is over */
void ngx_http_background_input_unmap(ngx_http_background_job_t *job);


/*
 * A run that several threads share, on the lead's thread.
 *
 * work  begin(), work() here and on helpers, finish()
 * grow  adds a helper if there is a slot that nobody waits for
 */
void ngx_http_background_share_work(ngx_http_background_job_t *job);
void ngx_http_background_share_grow(ngx_http_background_job_t *job,
    uint64_t now);


/* a clock's time in microseconds */
uint64_t ngx_http_background_usec(clockid_t clock);


#endif /* _NGX_HTTP_BACKGROUND_JOB_H_INCLUDED_ */
