
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The zone: shared memory with statistics, leases, and the budget.
 *
 * Each worker has a registration in the zone and locks its robust mutex as
 * long as it lives.  A process that can lock the mutex, or finds that no
 * process has the pid of the worker, knows that the worker is dead, and
 * advances the epoch and the life of the registration.  A lease is a word that
 * names the registration and the epoch of its owner, a slot of the budget is
 * one that names the registration and its life.  So all that a dead worker
 * owned becomes free in one step and nothing has to be searched.
 *
 * A cell is the part of a task that one worker writes: it belongs to the
 * worker that has the lease of the cell.  A task with "workers one" has one
 * cell for cycles that are started by time, a task with "workers all" has one
 * for each worker.  Cycles that are started by a request or another event in a
 * worker need no such lease: each worker takes a free cell of the second
 * chain of the task.  The statistics in a cell are kept in copies: the owner
 * fills in a copy that is not read, then publishes it by one store.  A cycle
 * is under way while "begun" counts it and the statistics do not.
 *
 * Revocation.  A worker whose event loop is blocked is alive: it holds its
 * mutex, and any store that it was about to do is done when the event loop
 * continues.  Another worker that sees no change of its "beat" advances its
 * epoch by compare-and-swap, so its leases become free.  The revoked worker
 * does not know that: it uses the epoch in "joined" until the next tick of
 * its event loop, in which it drops all cycles and joins again.  So:
 *
 * - The event loop writes a cell in words that carry the tag of the owner and
 *   change by compare-and-swap of a value with that tag.  A worker that takes
 *   the cell replaces the tag in each word first: after that nothing written
 *   by the former owner has an effect, and all that it has written before is
 *   seen.  A value that is added for a run has the tag that the worker had
 *   when the run started, as the worker may have joined again since.
 * - The statistics have three copies.  The word "version" names the published
 *   copy and the one that may be edited.  The owner reads "version", checks
 *   that it is not revoked, writes to that copy, and publishes it by
 *   compare-and-swap.  A worker that takes the cell replaces "version", so
 *   this fails, and edits the third copy: the copy that the former owner may
 *   write to rests until its process has joined again or is dead.  "rests"
 *   names that owner and is set before the lease is taken.  While a copy
 *   rests, the cell can't be taken from another revoked worker, as no copy
 *   would be left.
 * - A worker may be revoked while it takes a cell.  It reads each value
 *   before it checks that it is not revoked, and replaces only that value;
 *   the next worker that takes the cell replaces all of them.
 * - A thread of the pool counts its job in "held" before it checks whether
 *   the worker is revoked.  A worker that takes a cell checks "held" after it
 *   has replaced the owner.  So one of them sees the other.  "held" and slots
 *   of the budget name the process instead of its epoch: revocation does not
 *   free them.  ngx_http_background_cancelled() returns 1 in the jobs of a
 *   revoked worker.
 * - Entries of the ring have a hash of their contents.  Counters of cycles
 *   that were not started, the history, and the health that is judged by
 *   cycles of requests may be written by any worker.
 *
 * Memory is allocated and freed by the master only, while it reads a
 * configuration.  Nothing here takes a lock that a dead process could keep.
 * Functions are called in the main thread of the worker, unless noted
 * otherwise.
 */


#ifndef _NGX_HTTP_BACKGROUND_ZONE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_ZONE_H_INCLUDED_


#include <ngx_http_background.h>
#include "ngx_http_background_duty.h"
#include "ngx_http_background_lock.h"
#include "ngx_http_background_orders.h"


#define NGX_HTTP_BACKGROUND_NAME_LEN     64
#define NGX_HTTP_BACKGROUND_MAX_THREADS  1024
#define NGX_HTTP_BACKGROUND_HISTORY      60
#define NGX_HTTP_BACKGROUND_BUCKETS      10


typedef struct ngx_http_background_zone_s    ngx_http_background_zone_t;
typedef struct ngx_http_background_record_s  ngx_http_background_record_t;
typedef struct ngx_http_background_cell_s    ngx_http_background_cell_t;


/*
 * Fields named "_time" are durations in milliseconds, fields named "_at" are
 * wall-clock times in milliseconds since the epoch.  "due" and "started" are
 * ngx_current_msec, which is the same clock in all processes.
 */

typedef struct {
    uint64_t    started_at;
    uint64_t    finished_at;        /* 0: no cycle yet */
    uint64_t    completed;          /* operations */
    uint64_t    failed;
    uint64_t    bytes;
    uint64_t    io_time;
    uint64_t    cpu_usec;
    uint64_t    wall_time;
    ngx_uint_t  success;
    size_t      message_len;
    u_char      message[NGX_HTTP_BACKGROUND_MESSAGE_LEN];
    uint64_t    expires_at;         /* what the message names; 0: nothing */
} ngx_http_background_last_t;


typedef struct {
    /* totals */
    uint64_t    cycles_completed;
    uint64_t    cycles_failed;
    uint64_t    cycles_cancelled;
    uint64_t    operations_completed;
    uint64_t    operations_failed;
    uint64_t    bytes;
    uint64_t    io_time;
    uint64_t    cpu_usec;
    uint64_t    wall_time;

    /* by duration, and the sum of durations; without cancelled cycles */
    uint64_t    buckets[NGX_HTTP_BACKGROUND_BUCKETS + 1];
    uint64_t    buckets_time;

    /* since the last change of the outcome */
    uint64_t    failures;           /* in a row */
    uint64_t    successes;          /* in a row */
    ngx_uint_t  unhealthy;          /* unsigned  unhealthy:1; */

    uint64_t    due;                /* time of the next cycle; 0: at once */
    uint64_t    recorded;           /* cycles that have begun and are
                                       recorded */
    uint64_t    abandoned;          /* cycles that are not recorded and have
                                       failed, but a job of them still runs */
    uint64_t    ended;              /* ngx_current_msec, end of the last cycle
                                       that was not cancelled; 0: none yet */

    uint64_t    success_at;         /* 0: none yet */
    uint64_t    failure_at;         /* 0: none yet */

    ngx_http_background_last_t  last;

    /* of the last failed cycle */
    size_t      error_len;
    u_char      error[NGX_HTTP_BACKGROUND_ERROR_LEN];
} ngx_http_background_stats_t;


/* why a cycle was started, as told by its trigger */

#define NGX_HTTP_BACKGROUND_CAUSES     6
#define NGX_HTTP_BACKGROUND_CAUSE_LEN  40

typedef struct {
    uint64_t    started_at;
    size_t      len;
    u_char      text[NGX_HTTP_BACKGROUND_CAUSE_LEN];
} ngx_http_background_cause_t;


/*
 * In "crash" of a cell: whether the cycles of the cell may have caused the
 * crash.
 */

#define NGX_HTTP_BACKGROUND_SPARED  0x100
#define NGX_HTTP_BACKGROUND_BLAMED  0x200


/* the outcome of one or more cycles, and the changes that follow from it */

typedef struct {
    ngx_http_background_outcome_e  outcome;
    ngx_http_background_last_t     last;
    ngx_str_t                      error;      /* of a failure */
    uint64_t                       cycles;     /* number of cycles, usually 1 */
    uint64_t                       returned;   /* those that were abandoned
                                                  before */
    uint64_t                       oldest;     /* "started" of the oldest cycle
                                                  that is still under way */
    uint64_t                       due;        /* 0: not changed */
    ngx_uint_t                     fails;      /* failures in a row that make
                                                  the task unhealthy; 0: not
                                                  changed */
    ngx_uint_t                     passes;     /* successes in a row that make
                                                  it healthy; 0: not changed */
    ngx_uint_t                     history;    /* unsigned  history:1; */
    ngx_uint_t                     abandoned;  /* unsigned abandoned:1; the
                                                  cycles are still under way */
    ngx_uint_t                     crash;      /* unsigned crash:1; the worker
                                                  died or was revoked */
} ngx_http_background_outcome_t;


/* what "background_state" has of a task */

typedef struct {
    uint64_t                      checked;        /* of the duty */
    ngx_uint_t                    paused;
    uint64_t                      started_at;     /* of the last cycle */
    uint64_t                      finished_at;    /* 0: none yet */
    ngx_uint_t                    success;
} ngx_http_background_kept_t;


/* the state of a task for a worker of another zone */

typedef struct {
    uint64_t                      layout;
    uint64_t                      crashes;        /* in a row */
    uint64_t                      checked;        /* of the duty */
    uint64_t                      again;          /* of the duty */
    uint64_t                      paused;         /* of the duty */
    uint64_t                      pause;          /* of the orders */
    ngx_http_background_stats_t   stats;
} ngx_http_background_state_t;


/* a consistent copy of a cell */

typedef struct {
    ngx_uint_t                    leased;
    ngx_pid_t                     pid;
    ngx_uint_t                    worker;
    ngx_uint_t                    running;        /* cycles, without abandoned
                                                     ones */
    ngx_uint_t                    abandoned;      /* abandoned cycles */
    ngx_uint_t                    waiting;        /* jobs that wait for a
                                                     thread */
    ngx_uint_t                    queued;         /* running cycles if all
                                                     their runs wait for a
                                                     thread, or 0 */
    uint64_t                      begun;          /* cycles */
    uint64_t                      declined;
    uint64_t                      skipped;
    ngx_http_background_duty_info_t
                                  duty;
    uint64_t                      started;        /* start of the oldest
                                                     running cycle */
    uint64_t                      created;        /* ngx_current_msec */
    uint64_t                      progress_done;
    uint64_t                      progress_total;
    ngx_http_background_stats_t   stats;
} ngx_http_background_snapshot_t;


/* the consistent fields of a cell from which lateness is computed */

typedef struct {
    uint64_t                      due;
    uint64_t                      failures;       /* in a row */
    uint64_t                      created;        /* ngx_current_msec */
    uint64_t                      started;
    uint64_t                      state;          /* a number that changes when
                                                     any field above changes */
    ngx_uint_t                    running;        /* cycles, while the owner is
                                                     alive */
    ngx_uint_t                    abandoned;
    ngx_uint_t                    waiting;        /* jobs */
    ngx_pid_t                     hangs;          /* pid of the revoked worker
                                                     that still has a job on a
                                                     thread; 0: none */
} ngx_http_background_timing_t;


typedef struct {
    uint64_t    number;             /* of the entry, set by history_read() */
    uint64_t    finished_at;
    uint64_t    wall_time;
    ngx_uint_t  failed;             /* operations, at most 65535 */
} ngx_http_background_history_t;


/*
 * The first bytes of an error text in the history.  It belongs to all failed
 * entries from "first" to "last".
 */

#define NGX_HTTP_BACKGROUND_TEXTS     4
#define NGX_HTTP_BACKGROUND_TEXT_LEN  200

typedef struct {
    uint32_t    crc;                /* of the fields below */
    uint32_t    len;
    uint64_t    first;
    uint64_t    last;
    u_char      text[NGX_HTTP_BACKGROUND_TEXT_LEN];
} ngx_http_background_text_t;


typedef struct {
    uint64_t    generation;
    uint64_t    created;            /* ngx_current_msec */
    uint64_t    jobs_completed;
    uint64_t    jobs_usec;
    ngx_uint_t  jobs_running;
    ngx_uint_t  jobs_queued;
    size_t      free;               /* bytes, in whole pages */
} ngx_http_background_zone_info_t;


/* the task as the zone needs it */

typedef struct {
    ngx_str_t                      name;
    ngx_uint_t                     all;       /* a cell for each worker */
    ngx_uint_t                     arrives;   /* has cells of the second
                                                 chain */
    ngx_uint_t                     unhealthy; /* starts as unhealthy */
    ngx_uint_t                     follows;   /* has "after" */
    ngx_str_t                      lock;      /* empty: none */

    /* set by the zone */
    ngx_uint_t                     cells;
    ngx_uint_t                     arrived;   /* cells of the second chain */
    uint64_t                       since;     /* ngx_current_msec when the
                                                 configuration with the task
                                                 was committed; 0: the previous
                                                 one had the task */
    ngx_http_background_record_t  *record;
    ngx_http_background_lock_t    *locked;    /* NULL: none */
} ngx_http_background_zone_task_t;


/*
 * The configuration of the zone.  Fields set by the zone are valid from the
 * initialization of the zone to the end of the cycle.
 */

typedef struct {
    size_t                        size;
    u_char                       *file;       /* for error texts */
    ngx_uint_t                    line;
    ngx_array_t                   tasks;      /* of ..._zone_task_t * */
    ngx_str_t                     state;      /* "background_state"; empty:
                                                 none */

    /* set by the zone */
    ngx_cycle_t                  *cycle;
    ngx_uint_t                    workers;    /* number of worker processes */
    ngx_shm_zone_t               *shm_zone;
    ngx_http_background_zone_t   *zone;
    ngx_http_background_zone_t   *before;     /* the old zone of another size,
                                                 or NULL; while the zone is
                                                 created */
    uint64_t                      instance;   /* identifies the zone */
    uint64_t                      generation; /* set by ..._zone_commit() */
    uint64_t                      committed;  /* ngx_current_msec */
} ngx_http_background_zone_conf_t;


/*
 * Called by the master while it reads the configuration.
 *
 * add     creates the shared memory; its tasks may be added until the
 *         configuration is complete
 * commit  called when the configuration can't fail any more
 */
ngx_int_t ngx_http_background_zone_add(ngx_conf_t *cf,
    ngx_http_background_zone_conf_t *zcf, void *tag);
void ngx_http_background_zone_commit(ngx_http_background_zone_conf_t *zcf);


/*
 * The registration of the worker.
 *
 * join     returns NGX_OK, or NGX_BUSY if no registration is free; may then be
 *          called again
 * leave    releases all that the worker still owns
 * current  whether the worker is registered and has the configuration in use
 * reap     frees the leases and slots of dead workers and, if the last tick of
 *          the caller was punctual, revokes workers that hang
 * beat     tells other workers that this one does not hang
 * revoked  whether another worker has revoked this one
 * rejoin   joins again after revocation, when all cycles were dropped and no
 *          function of them is on the stack
 * self     returns the word that names this worker as an owner
 * owns     whether the worker is still named by "self"; for any thread
 * exists   returns 0 only if all threads of the process have exited and its
 *          parent has waited for it
 */
ngx_int_t ngx_http_background_zone_join(ngx_http_background_zone_conf_t *zcf);
void ngx_http_background_zone_leave(void);
ngx_uint_t ngx_http_background_zone_current(void);
void ngx_http_background_zone_reap(ngx_uint_t punctual, ngx_log_t *log);
void ngx_http_background_zone_beat(void);
ngx_uint_t ngx_http_background_zone_revoked(void);
void ngx_http_background_zone_rejoin(void);
uint64_t ngx_http_background_zone_self(void);
ngx_uint_t ngx_http_background_process_exists(uint32_t pid);
ngx_uint_t ngx_http_background_zone_owns(uint64_t self);


/*
 * Leases.
 *
 * lease_take    may be called in any state.  Returns NGX_OK if the caller has
 *               the lease; NGX_AGAIN if another live worker has it, or a newer
 *               configuration is in use; NGX_BUSY if a revoked worker still
 *               has a job of the cell on a thread
 * cell_tell     returns 1 once for each such revoked worker
 * cell_revoked  whether the cell that was taken last belonged to a revoked
 *               worker
 */
ngx_http_background_cell_t *ngx_http_background_cell(
    ngx_http_background_record_t *record, ngx_uint_t n);
ngx_http_background_cell_t *ngx_http_background_cell_next(
    ngx_http_background_cell_t *cell);
ngx_int_t ngx_http_background_lease_take(ngx_http_background_cell_t *cell);
void ngx_http_background_lease_release(ngx_http_background_cell_t *cell);
ngx_uint_t ngx_http_background_cell_tell(ngx_http_background_cell_t *cell);
ngx_uint_t ngx_http_background_cell_revoked(void);

/*
 * Called on the thread of the job.  The job runs only if hold() returns
 * NGX_OK.  "self" is the value of zone_self() when the job was posted.
 */
ngx_int_t ngx_http_background_cell_hold(ngx_http_background_cell_t *cell,
    uint64_t self);
void ngx_http_background_cell_unhold(ngx_http_background_cell_t *cell);


/*
 * Cells of the second chain of the task.  take() returns a cell that the
 * worker keeps until it exits.  orphan() returns a cell whose owner died
 * during cycles; the caller records these and releases the cell.  Both may
 * return NULL.
 */
ngx_http_background_cell_t *ngx_http_background_cell_take(
    ngx_http_background_record_t *record);
ngx_http_background_cell_t *ngx_http_background_cell_orphan(
    ngx_http_background_record_t *record);


/*
 * The contents of a cell; called by its owner.
 *
 * begin              a cycle starts
 * record             cycles have ended or are abandoned.  If the worker dies
 *                    before the end of this call, nothing of them is recorded
 * interrupted        number of cycles of the former owner that have begun and
 *                    are not recorded: it died during them
 * started            start of the oldest cycle that is interrupted or under
 *                    way
 * mark               the worker crashes: stores the signal, unless one is
 *                    stored already, and adds SPARED or BLAMED, of which
 *                    BLAMED counts if both are set.  Async-signal-safe, for
 *                    any thread.  "self" is the owner that the worker is, or
 *                    was when the run started that crashes
 * spared             whether the interrupted cycles did not cause the crash
 * blamed             whether a job of them did
 * signal             the signal that killed the former owner; 0: not known
 * settle             clears the mark, when the interrupted cycles are recorded
 * save               returns the state for a worker of another zone
 * adopt              sets the state that a worker of another zone has saved,
 *                    while no cycle is under way; does nothing if another
 *                    version of the module has saved it
 * carry              sets what another server has handed over; so many failures
 *                    make the task unhealthy
 * absent             a worker of another zone has the task, so this one is not
 *                    late
 * stats              returns the published statistics
 * duty               returns what the owner has done of schedules and orders
 * schedule           sets the time of the next cycle
 * progress           adds to the progress of the cycles under way; for any
 *                    thread
 * waiting            adds to the number of jobs that wait for a thread; for
 *                    any thread.  As in progress() and pending(), "self" is
 *                    the value of zone_self() when the cycle began
 * pending            adds to the number of runs that are not over
 * declined, skipped  count cycles that were not started
 */
void ngx_http_background_cell_begin(ngx_http_background_cell_t *cell,
    uint64_t now, const ngx_http_background_cause_t *cause);
void ngx_http_background_cell_record(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell,
    const ngx_http_background_outcome_t *outcome);
uint64_t ngx_http_background_cell_interrupted(
    ngx_http_background_cell_t *cell);
uint64_t ngx_http_background_cell_started(ngx_http_background_cell_t *cell);
void ngx_http_background_cell_mark(ngx_http_background_cell_t *cell, int signo,
    uint32_t mark, uint64_t self);
ngx_uint_t ngx_http_background_cell_spared(ngx_http_background_cell_t *cell);
ngx_uint_t ngx_http_background_cell_blamed(ngx_http_background_cell_t *cell);
int ngx_http_background_cell_signal(ngx_http_background_cell_t *cell);
void ngx_http_background_cell_settle(ngx_http_background_cell_t *cell);
void ngx_http_background_cell_save(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell, ngx_http_background_state_t *state);
void ngx_http_background_cell_adopt(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell,
    const ngx_http_background_state_t *state);
void ngx_http_background_cell_carry(ngx_http_background_cell_t *cell,
    uint64_t due, uint64_t failures, ngx_uint_t fails);
void ngx_http_background_cell_absent(ngx_http_background_cell_t *cell);
const ngx_http_background_stats_t *ngx_http_background_cell_stats(
    ngx_http_background_cell_t *cell);
ngx_http_background_duty_t *ngx_http_background_cell_duty(
    ngx_http_background_cell_t *cell);
void ngx_http_background_cell_schedule(ngx_http_background_cell_t *cell,
    uint64_t due);
void ngx_http_background_cell_progress(ngx_http_background_cell_t *cell,
    int64_t done, int64_t total, uint64_t self);
void ngx_http_background_cell_waiting(ngx_http_background_cell_t *cell, int n,
    uint64_t self);
void ngx_http_background_cell_pending(ngx_http_background_cell_t *cell, int n,
    uint64_t self);
void ngx_http_background_cell_declined(ngx_http_background_cell_t *cell);
void ngx_http_background_cell_skipped(ngx_http_background_cell_t *cell);


/*
 * State of the task in all workers: the cycles in a row in which the worker
 * died, and whether the task is quarantined because of them.  A reload ends
 * the quarantine, but does not reset the number: the next cycle is a trial.
 *
 * crashed      counts such a cycle.  Returns their number if the task becomes
 *              quarantined by this call, or 0
 * quarantined  whether no cycle may start
 * condemned    whether other nginx do not know that yet
 * told         they do
 * carry        sets what another server has handed over
 * orders       returns what others have ordered
 * resume       ends the quarantine, as a reload does
 * trial        returns NGX_OK if a cycle may start, NGX_AGAIN if a cycle in
 *              another worker is on trial
 * tried        the cycle on trial is over or did not start
 * judge        applies the outcome of a cycle of the second chain to the
 *              health of the task
 * verdict      whether these cycles are healthy, and their failures in a row
 * history      adds an entry to the history, with the error text or NULL
 */

/*
 * A task is quarantined after this number of cycles in a row in which a worker
 * died.
 */
#define NGX_HTTP_BACKGROUND_CRASHES  3

ngx_uint_t ngx_http_background_record_crashed(
    ngx_http_background_record_t *record);
ngx_uint_t ngx_http_background_record_quarantined(
    ngx_http_background_record_t *record);
ngx_uint_t ngx_http_background_record_condemned(
    ngx_http_background_record_t *record);
void ngx_http_background_record_told(ngx_http_background_record_t *record);
ngx_http_background_orders_t *ngx_http_background_record_orders(
    ngx_http_background_record_t *record);
void ngx_http_background_record_resume(ngx_http_background_record_t *record);
void ngx_http_background_record_carry(ngx_http_background_record_t *record,
    uint64_t crashes, ngx_uint_t quarantined);
ngx_int_t ngx_http_background_record_trial(
    ngx_http_background_record_t *record);
void ngx_http_background_record_tried(ngx_http_background_record_t *record);
void ngx_http_background_record_judge(ngx_http_background_record_t *record,
    ngx_uint_t success, ngx_uint_t fails, ngx_uint_t passes);
ngx_uint_t ngx_http_background_record_verdict(
    ngx_http_background_record_t *record, uint64_t *failures);
void ngx_http_background_record_history(ngx_http_background_record_t *record,
    const ngx_http_background_history_t *history, const ngx_str_t *error);


/*
 * The budget: a number of slots, each of which is taken at most once.  For any
 * thread of the worker, except completed().
 *
 * take     returns a slot from "first" to "last" - 1, or NGX_AGAIN
 * waiting  publishes how many jobs of this worker have not started, how many
 *          of them have a thread, and how many are parked
 * ready    whether a job of another worker could start if it had a slot, with
 *          "reserved" a periodic one
 * wanted   whether such a job could start or continue
 */

typedef struct {
    ngx_uint_t  queued;             /* jobs that have not started */
    ngx_uint_t  ready[2];           /* those with a thread: all, periodic */
    ngx_uint_t  parked[2];          /* parked jobs: all, periodic */
} ngx_http_background_waiting_t;

ngx_int_t ngx_http_background_budget_take(ngx_uint_t first, ngx_uint_t last);
void ngx_http_background_budget_release(ngx_int_t slot);
void ngx_http_background_budget_waiting(
    const ngx_http_background_waiting_t *waiting);
ngx_uint_t ngx_http_background_budget_ready(ngx_uint_t reserved);
ngx_uint_t ngx_http_background_budget_wanted(ngx_uint_t reserved);
void ngx_http_background_budget_completed(ngx_uint_t n, uint64_t usec);


/*
 * Lateness, for workers that can't tell it themselves.  A worker whose timers
 * are punctual stores whether the cell is late in this state of the cell,
 * other workers read that.
 */
void ngx_http_background_cell_judge(ngx_http_background_cell_t *cell,
    uint64_t state, ngx_uint_t late);
ngx_uint_t ngx_http_background_cell_judged(ngx_http_background_cell_t *cell,
    uint64_t state);


/*
 * keep, restore  what "background_state" has of the task; restore() is for the
 *                master and a new zone; "n" cells are in use
 * ask            wants the file to be written, and returns the number for
 * answered       whether that has been done
 *
 * For who writes it: wanted, whether it is to be written; asked, for which
 * number; answer, it has been.
 */
void ngx_http_background_record_keep(ngx_http_background_record_t *record,
    ngx_uint_t n, ngx_http_background_kept_t *kept);
void ngx_http_background_record_restore(ngx_http_background_record_t *record,
    ngx_http_background_kept_t *kept);
uint64_t ngx_http_background_state_ask(ngx_http_background_zone_t *zone);
ngx_uint_t ngx_http_background_state_answered(ngx_http_background_zone_t *zone,
    uint64_t number);
ngx_uint_t ngx_http_background_state_wanted(ngx_http_background_zone_t *zone);
uint64_t ngx_http_background_state_asked(ngx_http_background_zone_t *zone);
void ngx_http_background_state_answer(ngx_http_background_zone_t *zone,
    uint64_t number);


/*
 * Reading, by any process that has the zone; no call blocks.
 *
 * changes  returns a number that changes when this worker has begun or
 *          recorded a cycle
 * told     returns a number that changes when tell() was called, which who
 *          gives orders does
 */
ngx_uint_t ngx_http_background_zone_changes(void);
uint64_t ngx_http_background_zone_told(ngx_http_background_zone_t *zone);
void ngx_http_background_zone_tell(ngx_http_background_zone_t *zone);
void ngx_http_background_zone_info(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_info_t *info);
void ngx_http_background_cell_read(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_snapshot_t *snapshot);
ngx_uint_t ngx_http_background_cell_unhealthy(
    ngx_http_background_cell_t *cell);
void ngx_http_background_cell_timing(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_timing_t *timing);
ngx_uint_t ngx_http_background_record_abandoned(
    ngx_http_background_record_t *record);
ngx_uint_t ngx_http_background_cell_causes(ngx_http_background_cell_t *cell,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES]);
ngx_http_background_cell_t *ngx_http_background_cell_arrived(
    ngx_http_background_record_t *record, ngx_uint_t n);
ngx_pid_t ngx_http_background_cell_hangs(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell);
ngx_uint_t ngx_http_background_history_read(
    ngx_http_background_record_t *record,
    ngx_http_background_history_t history[NGX_HTTP_BACKGROUND_HISTORY]);
ngx_uint_t ngx_http_background_texts_read(ngx_http_background_record_t *record,
    ngx_http_background_text_t texts[NGX_HTTP_BACKGROUND_TEXTS]);

extern const ngx_msec_t
    ngx_http_background_buckets[NGX_HTTP_BACKGROUND_BUCKETS];


#endif /* _NGX_HTTP_BACKGROUND_ZONE_H_INCLUDED_ */
