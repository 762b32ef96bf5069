
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Slots: the part of the budget that this worker has.  A thread works only
 * while it has a slot.  A job that has given its slot away because others wait
 * is parked.  Helpers of a run work only while no other job waits.
 *
 * The last slots of the budget may be reserved ("reserve="): only jobs of
 * periodic tasks take them, and take them before other slots.
 *
 * The functions are called by the event loop and by threads of the pool.
 */


#ifndef _NGX_HTTP_BACKGROUND_SLOT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_SLOT_H_INCLUDED_


#include <ngx_http_background_pool.h>


/* the period in which a slot is tried for, in microseconds */
#define NGX_HTTP_BACKGROUND_SLOT_POLL  20000

/* how long a slot is kept while others wait, in microseconds */
#define NGX_HTTP_BACKGROUND_TURN       100000


/*
 * Called before the first thread starts.  Any thread may call "notify": the
 * event loop then tries to take a slot for the next job.
 */
ngx_int_t ngx_http_background_slots_init(ngx_http_background_pool_conf_t *pcf,
    void (*notify)(void), ngx_log_t *log);


/*
 * lock, unlock  the mutex of the slots of this worker and of the queues of the
 *               pool
 * wait          releases the mutex until a slot is moved, a job ends, or the
 *               time is reached (usec, monotonic), then locks it again
 * wake          wakes all waiting threads; the mutex must be locked
 * waiting       sets the number of jobs that wait to start, and for how many
 *               of them, and of the periodic ones, there are idle threads; the
 *               mutex must be locked
 */
void ngx_http_background_slots_lock(void);
void ngx_http_background_slots_unlock(void);
void ngx_http_background_slots_wait(uint64_t until);
void ngx_http_background_slots_wake(void);
void ngx_http_background_slots_waiting(ngx_uint_t queued, ngx_uint_t ready,
    ngx_uint_t periodic);

/* whether a job that could use this slot at once waits for one */
ngx_uint_t ngx_http_background_slot_contended(
    const ngx_http_background_slot_t *slot);

/* whether only jobs of periodic tasks may have this slot */
ngx_uint_t ngx_http_background_slot_reserved(
    const ngx_http_background_slot_t *slot);


/*
 * take       takes a slot for a job that has not started; returns NGX_OK or
 *            NGX_AGAIN; the mutex must be locked
 * spare      takes a slot if no other job waits for one; returns NGX_OK or
 *            NGX_AGAIN.  With "arrived" take() and spare() take a slot that is
 *            not reserved, for a job that a trigger has started
 * release    gives the slot to the next parked job or returns it to the
 *            budget; the mutex must be locked
 * move       gives the slot to another thread of this worker; the mutex must
 *            be locked
 * turn_over  called before the next job: whether the slot was kept for a turn
 *            while others wait.  If none wait, a new turn begins.  The mutex
 *            must be locked
 * park       gives the slot of the job away.  Returns when the job has a slot
 *            again, not before "due" (usec, monotonic), or when it is
 *            cancelled
 */
ngx_int_t ngx_http_background_slot_take(ngx_http_background_slot_t *slot,
    ngx_uint_t arrived);
ngx_int_t ngx_http_background_slot_spare(ngx_http_background_slot_t *slot,
    ngx_uint_t arrived);
void ngx_http_background_slot_release(ngx_http_background_slot_t *slot);
void ngx_http_background_slot_move(ngx_http_background_slot_t *to,
    ngx_http_background_slot_t *from);
ngx_uint_t ngx_http_background_slot_turn_over(
    ngx_http_background_slot_t *slot, uint64_t now);
void ngx_http_background_slot_park(ngx_http_background_job_t *job,
    uint64_t due);


#endif /* _NGX_HTTP_BACKGROUND_SLOT_H_INCLUDED_ */
