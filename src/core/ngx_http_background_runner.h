
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The runner of a task: what a worker knows of the task, its leases and its
 * cycles.  All functions are called in the main thread of the worker.
 */


#ifndef _NGX_HTTP_BACKGROUND_RUNNER_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_RUNNER_H_INCLUDED_


#include "ngx_http_background_log.h"
#include "ngx_http_background_task.h"

#include <ngx_event.h>


/* the period of the "keeper" timer, in milliseconds */
#define NGX_HTTP_BACKGROUND_KEEPER  250

/* the period of the "hold" timer of a worker that exits, in milliseconds */
#define NGX_HTTP_BACKGROUND_HOLD    10


typedef struct ngx_http_background_runner_s  ngx_http_background_runner_t;


/*
 * All tasks in this worker.  Memory of the configuration is not written here:
 * it is shared with the master and other workers until one of them writes.
 */

typedef struct {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_zone_conf_t  *zcf;
    ngx_http_background_runner_t     *runners;    /* by index of the task */
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_uint_t                        nrunners;
    ngx_uint_t                        polls;
    uint64_t                          orders;     /* the number in the zone when
                                                     orders were read last */
    ngx_uint_t                        ticks;      /* punctual, in a row */
    ngx_msec_t                        ticked;
    ngx_event_t                       keeper;
    ngx_event_t                       hold;
    ngx_msec_t                        stopped;

    unsigned                          joined:1;
    unsigned                          stopping:1;
    unsigned                          aborted:1;
    unsigned                          told:1;
} ngx_http_background_tasks_t;


extern ngx_http_background_tasks_t  ngx_http_background_tasks;


/*
 * Cycles that are started by "interval", "schedule", "retry", "after" or an
 * order need the lease of "cell".  Cycles that are started by other triggers
 * are counted in "arrived", which the worker takes with the first such cycle.
 */

struct ngx_http_background_runner_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_task_t       *task;
    ngx_http_background_cell_t       *cell;
    ngx_log_t                        *log;
    ngx_int_t                         ident;

    ngx_http_background_tasks_t      *tasks;
    ngx_http_background_cell_t       *arrived;
    ngx_queue_t                       cycles;     /* by the time of their
                                                     start */
    ngx_uint_t                        narrived;   /* cycles of "arrived" */
    ngx_uint_t                        preferred;
    ngx_uint_t                        busy;       /* polls in which a revoked
                                                     worker still had a job */
    ngx_event_t                       timer;
    ngx_http_background_lines_t       lines;
    ngx_http_background_claim_t       claim;      /* of "workers cluster" */

    /* the cause of a cycle that could not start yet, or NULL */
    ngx_str_t                        *pending;
    uint32_t                          seed;       /* of the jitter */
    uint64_t                          waiter;     /* for the lock */

    ngx_http_background_told_t       *after;      /* the last end of a cycle;
                                                     NULL: no "after" */
    uint64_t                          fires;      /* the number of "after" */
    uint64_t                          saved;      /* "pending" waits until the
                                                     state is written; 0: it
                                                     does not wait */
    ngx_msec_t                        asked;      /* when "saved" was asked
                                                     for */
    uint64_t                          cancels;    /* handled orders */
    uint64_t                          cancelled;  /* ngx_current_msec */

    /*
     * With "retry" of failed items only: the time of the next cycle with all
     * items, as ngx_current_msec; 0: the next cycle has all items.
     */
    uint64_t                          whole;

    /* cycles of "arrived" that ended in this second, for the history */
    ngx_http_background_history_t     second;

    ngx_uint_t                        leased;     /* read by the signal handler
                                                     of any thread */
    unsigned                          elsewhere:1;
                                                  /* leased, but a worker of
                                                     another zone may run the
                                                     task */
    unsigned                          joined:1;   /* "claim" is in use */
    unsigned                          candidate:1;
                                                  /* another nginx may have the
                                                     task */
    unsigned                          told:1;
    unsigned                          paused:1;
    unsigned                          orders:1;   /* to be read again */
};


/* causes of cycles that need the lease; they are compared by address */

extern ngx_str_t  ngx_http_background_cause_interval;
extern ngx_str_t  ngx_http_background_cause_schedule;
extern ngx_str_t  ngx_http_background_cause_missed;
extern ngx_str_t  ngx_http_background_cause_retry;
extern ngx_str_t  ngx_http_background_cause_after;
extern ngx_str_t  ngx_http_background_cause_control;


/*
 * Leases, in ngx_http_background_runner.c
 *
 * init         initializes the runner of a task
 * take         tries to take the lease of the zone, and then enters
 * enter        starts the task, unless a worker of another zone has it
 * join         asks other nginx for the task ("workers cluster")
 * depart       does not ask for it any more; "give": tells them to take it
 * condemn      gives the task back as quarantined since the fence "quarantine"
 * save         stores the state with which the next owner of the lease goes on
 * release      gives the lease back
 * forgo        called without the lease: lets workers of other zones have the
 *              task if no cycle of it is left here
 * stop         cancels cycles, and releases the lease if none is left
 * cancel       cancels cycles; those with "finish" only if "all" is set
 * cycle        returns the oldest cycle that is counted in the cell, or NULL;
 *              abandoned ones only if "abandoned" is set
 * quarantined  whether the task is quarantined
 * halted       whether no cycle may start: the task is paused or quarantined,
 *              maybe since the last poll
 */
void ngx_http_background_runner_init(ngx_http_background_runner_t *r,
    ngx_http_background_tasks_t *tasks, ngx_http_background_task_t *task);
void ngx_http_background_runner_take(ngx_http_background_runner_t *r);
void ngx_http_background_runner_enter(ngx_http_background_runner_t *r);
void ngx_http_background_runner_join(ngx_http_background_runner_t *r);
void ngx_http_background_runner_depart(ngx_http_background_runner_t *r,
    ngx_uint_t give);
void ngx_http_background_runner_condemn(ngx_http_background_runner_t *r,
    uint64_t quarantine);
void ngx_http_background_runner_save(ngx_http_background_runner_t *r);
void ngx_http_background_runner_release(ngx_http_background_runner_t *r);
void ngx_http_background_runner_forgo(ngx_http_background_runner_t *r);
void ngx_http_background_runner_stop(ngx_http_background_runner_t *r,
    ngx_uint_t all);
void ngx_http_background_runner_cancel(ngx_http_background_runner_t *r,
    ngx_uint_t all);
ngx_http_background_cycle_t *ngx_http_background_runner_cycle(
    ngx_http_background_runner_t *r, ngx_http_background_cell_t *cell,
    ngx_uint_t abandoned);
ngx_uint_t ngx_http_background_runner_quarantined(
    ngx_http_background_runner_t *r);
ngx_uint_t ngx_http_background_runner_halted(ngx_http_background_runner_t *r);


/*
 * Crashes, in ngx_http_background_runner_crash.c
 *
 * orphans  records cycles of requests and messages whose worker died
 * inherit  records the cycles that the former owner of the cell has left
 */
void ngx_http_background_runner_orphans(ngx_http_background_runner_t *r);
void ngx_http_background_runner_inherit(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell);


/*
 * Orders and "after", in ngx_http_background_runner_orders.c
 *
 * read     reads what was ordered until now
 * orders   handles orders that were given since they were read last
 * cancels  cancels cycles if their number of such orders has changed
 * drop     forgets an order to run, as "who" has the task
 * pause    a pause begins or ends
 * acked    the cause is handled: the next owner must not repeat it
 * fire     tells the tasks that come after this one
 */
void ngx_http_background_runner_read(ngx_http_background_runner_t *r,
    ngx_http_background_orders_info_t *info);
void ngx_http_background_runner_orders(ngx_http_background_runner_t *r);
void ngx_http_background_runner_cancels(ngx_http_background_runner_t *r,
    uint64_t cancels);
void ngx_http_background_runner_drop(ngx_http_background_runner_t *r,
    const char *who);
void ngx_http_background_runner_pause(ngx_http_background_runner_t *r,
    ngx_uint_t paused);
void ngx_http_background_runner_acked(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
void ngx_http_background_runner_fire(ngx_http_background_runner_t *r,
    ngx_http_background_outcome_t *outcome);


/*
 * Times, in ngx_http_background_runner_timer.c
 *
 * arm            sets the timer
 * timer_handler  the handler of the timer
 * forget         without "schedule": its times are not missed from now on
 * want           starts a cycle now, or stores its cause until it can start
 * repeat         whether the next owner starts a cycle of "schedule" again
 * next           the time of the next cycle, as ngx_current_msec, after
 *                "failures" failed cycles in a row; 0: the last one succeeded
 * cause_timed    whether a schedule is the cause
 * jitter         a random time up to "jitter", in milliseconds
 */
void ngx_http_background_runner_arm(ngx_http_background_runner_t *r);
void ngx_http_background_runner_timer_handler(ngx_event_t *ev);
void ngx_http_background_runner_forget(ngx_http_background_runner_t *r);
void ngx_http_background_runner_want(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
void ngx_http_background_runner_repeat(ngx_http_background_runner_t *r,
    ngx_uint_t again);
uint64_t ngx_http_background_runner_next(ngx_http_background_runner_t *r,
    uint64_t failures);
ngx_uint_t ngx_http_background_cause_timed(ngx_str_t *cause);
uint64_t ngx_http_background_jitter(ngx_http_background_task_t *task);


/*
 * Cycles, in ngx_http_background_runner_cycle.c
 *
 * lock    takes the lock of the task; NGX_OK if it has none
 * start   starts a cycle that needs the lease; the task is locked
 * again   a cycle did not end: who has the lease starts it again.  NULL: its
 *         cause is not known
 * record  stores the outcome, with "interval", "retry" and "health" applied
 * log     logs the outcome
 * second  adds a cycle to the second's entry of the history; NULL: stores the
 *         entry if the second is over
 * flush   stores the entry
 * hold    a worker that shuts down does not exit while it has cycles
 */
ngx_int_t ngx_http_background_runner_lock(ngx_http_background_runner_t *r);
void ngx_http_background_runner_start(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
void ngx_http_background_runner_again(ngx_http_background_runner_t *r,
    ngx_str_t *cause);
void ngx_http_background_runner_record(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome);
void ngx_http_background_runner_log(ngx_http_background_runner_t *r,
    ngx_http_background_cell_t *cell, ngx_http_background_outcome_t *outcome);
void ngx_http_background_runner_second(ngx_http_background_runner_t *r,
    const ngx_http_background_last_t *last);
void ngx_http_background_runner_flush(ngx_http_background_runner_t *r);
void ngx_http_background_runner_hold(ngx_http_background_runner_t *r);


#endif /* _NGX_HTTP_BACKGROUND_RUNNER_H_INCLUDED_ */
