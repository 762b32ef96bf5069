
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Slots: the worker's part of the budget.  A thread works only with a slot.
 * Jobs that have given theirs away while others wait are parked; helpers of a
 * run go on only when nobody else waits.
 *
 * The last slots of the budget are reserved ("reserve="): only jobs of periodic
 * tasks take them, and these take them first.
 *
 * For the event loop and threads of the pool.
 */


#ifndef _NGX_HTTP_BACKGROUND_SLOT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_SLOT_H_INCLUDED_


#include <ngx_http_background_pool.h>


/* how often those who wait for a slot try for one, in microseconds */
#define NGX_HTTP_BACKGROUND_SLOT_POLL  20000

/* a slot is kept so long while others wait, in microseconds */
#define NGX_HTTP_BACKGROUND_TURN       100000


/*
 * Before the first thread starts.  "notify", which any thread may call, makes
 * the event loop look for a free slot.
 */
ngx_int_t ngx_http_background_slots_init(ngx_http_background_pool_conf_t *pcf,
    void (*notify)(void), ngx_log_t *log);


/*
 * lock, unlock  the mutex of the worker's slots and of the pool's queues
 * wait          unlocks, until a slot changes hands, a job ends, or the time
 *               comes (usec, monotonic), and locks again
 * wake          all that wait; locked
 * waiting       how many jobs wait to start, and how many of all, and of the
 *               periodic ones, there are threads for; locked
 */
void ngx_http_background_slots_lock(void);
void ngx_http_background_slots_unlock(void);
void ngx_http_background_slots_wait(uint64_t until);
void ngx_http_background_slots_wake(void);
void ngx_http_background_slots_waiting(ngx_uint_t queued, ngx_uint_t ready,
    ngx_uint_t periodic);

/* whether somebody waits for a slot who could use this one */
ngx_uint_t ngx_http_background_slot_contended(
    const ngx_http_background_slot_t *slot);
ngx_uint_t ngx_http_background_slot_reserved(
    const ngx_http_background_slot_t *slot);


/*
 * take       for a job that has not started; NGX_OK or NGX_AGAIN; locked
 * spare      takes a slot that nobody waits for; NGX_OK or NGX_AGAIN
 *            "arrived": for a job of a request
 * release    gives a slot to the parked job that is next or back to the
 *            budget; locked
 * move       gives it to another thread of the same worker; locked
 * turn_over  before the next job: whether a slot was kept for a turn, and
 *            others wait; if none do, a turn begins; locked
 * park       gives the job's slot away until it has one again, which is not
 *            before "due" (usec, monotonic), or until it is told to stop
 */
ngx_int_t ngx_http_background_slot_take(ngx_http_background_slot_t *slot,
    ngx_uint_t arrived);
ngx_int_t ngx_http_background_slot_spare(ngx_http_background_slot_t *slot,
    ngx_uint_t arrived);
void ngx_http_background_slot_release(ngx_http_background_slot_t *slot);
void ngx_http_background_slot_move(ngx_http_background_slot_t *to,
    ngx_http_background_slot_t *from);
ngx_uint_t ngx_http_background_slot_turn_over(
    ngx_http_background_slot_t *slot);
void ngx_http_background_slot_park(ngx_http_background_job_t *job,
    uint64_t due);


#endif /* _NGX_HTTP_BACKGROUND_SLOT_H_INCLUDED_ */
