
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* a job on its thread: the run, its pacing, and its helpers */


#ifndef _NGX_HTTP_BACKGROUND_JOB_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_JOB_H_INCLUDED_


#include <ngx_http_background_pool.h>


/*
 * The time of a thread, in microseconds.  To read the CPU time takes a system
 * call, which is longer than a short job.
 */

typedef struct {
    uint64_t                     now;        /* monotonic */
    uint64_t                     cpu;        /* CPU time until "now" */
    uint64_t                     estimated;  /* the last part of it, which was
                                                not read: the time that short
                                                jobs took */
} ngx_http_background_clock_t;


/*
 * Called on the thread of the job.
 *
 * clock    reads the time of the thread
 * run      runs the job; "clock" has the time before it, and is updated
 * begin    called by each thread of a run before its work
 * stops    whether the job was told to stop
 * stopped  the same for its thread, which does not go on then, even if the
 *          lease of the task is renewed later; unlike cancelled(), it does not
 *          wait
 * current  returns the cell of the job of the calling thread, or NULL, and the
 *          owner that the worker was when the run started; async-signal-safe,
 *          for any thread
 */
void ngx_http_background_job_clock(ngx_http_background_clock_t *clock);
void ngx_http_background_job_run(ngx_http_background_job_t *job,
    ngx_http_background_slot_t *slot, ngx_http_background_clock_t *clock);
void ngx_http_background_job_begin(ngx_http_background_job_t *job,
    ngx_http_background_slot_t *slot,
    const ngx_http_background_clock_t *clock);
ngx_uint_t ngx_http_background_job_stops(ngx_http_background_job_t *job);
ngx_uint_t ngx_http_background_job_stopped(ngx_http_background_job_t *job);
ngx_http_background_cell_t *ngx_http_background_job_current(uint64_t *self);
void ngx_http_background_job_set_current(ngx_http_background_job_t *job);

/*
 * check     limits lengths and counters that a kind has set wrongly
 * required  fails the run if the kind has set no result
 */
void ngx_http_background_result_check(ngx_http_background_result_t *result);
void ngx_http_background_result_required(
    ngx_http_background_result_t *result);

/* called after the work, unmaps the input */
void ngx_http_background_input_unmap(ngx_http_background_job_t *job);


/*
 * A run on several threads; called on the thread of the lead.
 *
 * work  calls begin() and work(), the latter also in helpers, then finish()
 * grow  starts a helper if there is a slot that no other job waits for
 */
void ngx_http_background_share_work(ngx_http_background_job_t *job);
void ngx_http_background_share_grow(ngx_http_background_job_t *job,
    uint64_t now);


#endif /* _NGX_HTTP_BACKGROUND_JOB_H_INCLUDED_ */
