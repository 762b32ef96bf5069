
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The zone: shared memory with statistics, leases and the budget.
 *
 * Each worker is registered in the zone while it lives and holds one robust
 * mutex for it.  Who can lock that mutex, or finds no process of the worker's
 * number, knows that the worker is dead, and then advances the registration's
 * epoch.  Whatever a worker owns, a lease or
 * a budget slot, is a word that names registration and epoch: so all that a
 * dead worker owned becomes free in one step, and nothing has to be searched.
 *
 * A cell is what one worker writes of a task: it belongs to the worker that
 * holds the cell's lease.  A task with "workers one" has one cell for the
 * cycles that are started by time, a task with "workers all" has one for each
 * worker.  Cycles that are started by what comes to a worker, as a request,
 * need no such lease: each worker takes any cell of the task's second chain
 * for them.  The statistics in a cell are kept in copies: the owner fills in
 * one that nobody reads, then publishes it in one store.  A cycle is under
 * way from the count in "begun" to that in the statistics.
 *
 * Revocation.  A worker whose event loop stands still is alive: it holds its
 * mutex, and any store that it was about to do comes when it goes on.  Who sees
 * that its "beat" stands still advances its epoch by compare-and-swap, so its
 * leases are free, while it does not know it: it goes by the epoch in "joined"
 * until its event loop comes to a tick, drops all, and joins again.  Then:
 *
 * - What the event loop writes of a cell is in words that carry the owner's tag
 *   and change by compare-and-swap of what has that tag.  Who takes the cell
 *   gives each word its own tag first: from then on nothing of the former
 *   owner has an effect, and what was before is seen.  What is added for a run
 *   has the tag of what the worker was when the run started, as it may have
 *   joined again.
 * - The statistics have three copies.  The word "version" says which one is
 *   published and which one may be edited.  The owner reads it, then looks
 *   whether it is revoked, then writes to that copy, then publishes it by
 *   compare-and-swap.  Who takes the cell replaces the word, so this fails, and
 *   edits the third copy: the one that the former owner may write to rests
 *   until its process has joined again or is dead.  "rests" names it, and is
 *   set before the lease is taken.  While a copy rests the cell can't be taken
 *   from another worker that is revoked: there would be no copy left.
 * - A taker may be revoked in the middle.  It replaces only what it has read
 *   before it has seen that it is not; the next taker replaces all.
 * - A thread of the pool counts its job in "held" before it looks whether the
 *   worker is revoked; who takes a cell looks at "held" after it has replaced
 *   the owner: one of them sees the other.  "held" and slots of the budget
 *   name the process, not its epoch: revocation does not make them free.  A job
 *   that asks whether it is cancelled is told so when the worker is revoked.
 * - Entries of the ring have a hash of their contents.  Counters of cycles that
 *   were not started, the history, and the verdict of cycles that arrive may be
 *   written by any worker.
 *
 * Memory is allocated and freed by the master only, when it reads a
 * configuration.  Nothing here takes a lock that a dead process could keep.
 * But where noted all functions are for the worker's main thread.
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
 * Times named "_time" are durations in milliseconds, those named "_at"
 * milliseconds of the wall clock since the epoch, "due" and "started" are
 * ngx_current_msec, which all processes share.
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

    /* of cycles that were not cancelled, by duration; and their sum */
    uint64_t    buckets[NGX_HTTP_BACKGROUND_BUCKETS + 1];
    uint64_t    buckets_time;

    /* since the last change of the outcome */
    uint64_t    failures;           /* in a row */
    uint64_t    successes;          /* in a row */
    ngx_uint_t  unhealthy;          /* unsigned  unhealthy:1; */

    uint64_t    due;                /* the next cycle; 0: at once */
    uint64_t    recorded;           /* cycles, of those that have begun */
    uint64_t    abandoned;          /* of those that were not recorded: they
                                       have failed, a job of them goes on */
    uint64_t    ended;              /* ngx_current_msec, of the last one that
                                       was not cancelled; 0: none yet */

    uint64_t    success_at;         /* 0: none yet */
    uint64_t    failure_at;         /* 0: none yet */

    ngx_http_background_last_t  last;

    /* of the last failed cycle */
    size_t      error_len;
    u_char      error[NGX_HTTP_BACKGROUND_ERROR_LEN];
} ngx_http_background_stats_t;


/* why a cycle was started: what its trigger says of it */

#define NGX_HTTP_BACKGROUND_CAUSES     6
#define NGX_HTTP_BACKGROUND_CAUSE_LEN  40

typedef struct {
    uint64_t    started_at;
    size_t      len;
    u_char      text[NGX_HTTP_BACKGROUND_CAUSE_LEN];
} ngx_http_background_cause_t;


/* why the worker's death was not, or was, of the cell's cycles */

#define NGX_HTTP_BACKGROUND_SPARED  0x100
#define NGX_HTTP_BACKGROUND_BLAMED  0x200


/* how a cycle ended, and what follows */

typedef struct {
    ngx_http_background_outcome_e  outcome;
    ngx_http_background_last_t     last;
    ngx_str_t                      error;      /* of a failure */
    uint64_t                       cycles;     /* that ended so, mostly 1 */
    uint64_t                       returned;   /* of these, abandoned before */
    uint64_t                       oldest;     /* "started" of the oldest of
                                                  those still under way */
    uint64_t                       due;        /* 0: as it was */
    ngx_uint_t                     fails;      /* in a row that make it
                                                  unhealthy, and */
    ngx_uint_t                     passes;     /* healthy; 0: as it was */
    ngx_uint_t                     history;    /* unsigned  history:1; */
    ngx_uint_t                     abandoned;  /* unsigned  abandoned:1; they
                                                  are under way */
    ngx_uint_t                     crash;      /* unsigned  crash:1; the worker
                                                  died */
} ngx_http_background_outcome_t;


/* what a worker of another zone goes on with */

typedef struct {
    uint64_t                      layout;
    uint64_t                      crashes;        /* in a row */
    uint64_t                      checked;        /* of the duty */
    ngx_http_background_stats_t   stats;
} ngx_http_background_state_t;


/* a consistent copy of a cell, for the status */

typedef struct {
    ngx_uint_t                    leased;
    ngx_pid_t                     pid;
    ngx_uint_t                    worker;
    ngx_uint_t                    running;        /* cycles */
    ngx_uint_t                    abandoned;      /* others */
    ngx_uint_t                    waiting;        /* jobs that wait for a
                                                     thread */
    ngx_uint_t                    queued;         /* cycles; 0 while any of
                                                     them does more than wait
                                                     for a thread */
    uint64_t                      begun;          /* cycles */
    uint64_t                      declined;
    uint64_t                      skipped;
    ngx_http_background_duty_info_t
                                  duty;
    uint64_t                      started;        /* the oldest that runs */
    uint64_t                      created;        /* ngx_current_msec */
    uint64_t                      progress_done;
    uint64_t                      progress_total;
    ngx_http_background_stats_t   stats;
} ngx_http_background_snapshot_t;


/* what of a cell tells whether it is late, consistent */

typedef struct {
    uint64_t                      due;
    uint64_t                      failures;       /* in a row */
    uint64_t                      created;        /* ngx_current_msec */
    uint64_t                      started;
    uint64_t                      state;          /* another one after each
                                                     change of the above */
    ngx_uint_t                    running;        /* in a worker that lives */
    ngx_uint_t                    abandoned;
    ngx_uint_t                    waiting;        /* jobs */
    ngx_pid_t                     hangs;          /* the worker that was
                                                     revoked and has a job on
                                                     a thread; 0: none */
} ngx_http_background_timing_t;


typedef struct {
    uint64_t    number;             /* of the entry, set by history_read() */
    uint64_t    finished_at;
    uint64_t    wall_time;
    ngx_uint_t  failed;             /* operations, at most 65535 */
} ngx_http_background_history_t;


/*
 * The text of failed entries of the history, the beginning of it: of those from
 * "first" to "last" that failed.
 */

#define NGX_HTTP_BACKGROUND_TEXTS     4
#define NGX_HTTP_BACKGROUND_TEXT_LEN  200

typedef struct {
    uint32_t    crc;                /* of what follows, for the zone */
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


/* what a task needs of the zone */

typedef struct {
    ngx_str_t                      name;
    ngx_uint_t                     all;       /* a cell for each worker */
    ngx_uint_t                     arrives;   /* has cells without a lease */
    ngx_uint_t                     unhealthy; /* as which it starts */
    ngx_uint_t                     follows;   /* it comes after others */
    ngx_str_t                      lock;      /* empty: none */

    /* set by the zone */
    ngx_uint_t                     cells;
    ngx_uint_t                     arrived;   /* cells without a lease */
    uint64_t                       since;     /* ngx_current_msec when it came
                                                 into the configuration; 0: it
                                                 was there before */
    ngx_http_background_record_t  *record;
    ngx_http_background_lock_t    *locked;    /* NULL: none */
} ngx_http_background_zone_task_t;


/*
 * The zone's configuration.  What the zone sets is valid from the zone's
 * initialisation to the end of the cycle.
 */

typedef struct {
    size_t                        size;
    u_char                       *file;       /* where, for error texts */
    ngx_uint_t                    line;
    ngx_array_t                   tasks;      /* of ..._zone_task_t * */

    /* set by the zone */
    ngx_cycle_t                  *cycle;
    ngx_uint_t                    workers;    /* worker processes */
    ngx_shm_zone_t               *shm_zone;
    ngx_http_background_zone_t   *zone;
    ngx_http_background_zone_t   *before;     /* of another size, or NULL;
                                                 while the zone is made */
    uint64_t                      instance;   /* the zone's own number */
    uint64_t                      generation; /* by ..._zone_commit() */
    uint64_t                      committed;  /* when, ngx_current_msec */
} ngx_http_background_zone_conf_t;


/*
 * Reading the configuration, in the master.
 *
 * add     creates the shared memory; its tasks may be filled in later, up to
 *         the end of the configuration
 * commit  to be called when the configuration can't fail any more
 */
ngx_int_t ngx_http_background_zone_add(ngx_conf_t *cf,
    ngx_http_background_zone_conf_t *zcf, void *tag);
void ngx_http_background_zone_commit(ngx_http_background_zone_conf_t *zcf);


/*
 * The worker's registration.  join() returns NGX_OK, or NGX_BUSY when there is
 * no free place, and may then be tried again.  leave() gives up what the
 * worker still owns.  current() tells whether it is registered and of the
 * configuration in use.  reap() looks for dead workers and frees what they
 * owned, and revokes those that hang, if the caller's tick was punctual; beat()
 * tells others that this one does not.  revoked() tells whether the worker was
 * taken for one; rejoin() is for when it has dropped all that it had, with
 * nothing of it on the stack.  owns(), for any thread, tells whether the worker
 * still is what self() said.
 */
ngx_int_t ngx_http_background_zone_join(ngx_http_background_zone_conf_t *zcf);
void ngx_http_background_zone_leave(void);
ngx_uint_t ngx_http_background_zone_current(void);
void ngx_http_background_zone_reap(ngx_uint_t punctual, ngx_log_t *log);
void ngx_http_background_zone_beat(void);
ngx_uint_t ngx_http_background_zone_revoked(void);
void ngx_http_background_zone_rejoin(void);
uint64_t ngx_http_background_zone_self(void);
ngx_uint_t ngx_http_background_zone_owns(uint64_t self);


/*
 * Leases.  take() returns NGX_OK when the caller has the lease, NGX_AGAIN when
 * another live worker has it or is to have it, as a newer configuration is in
 * use than the caller's, NGX_BUSY when a worker that was revoked has a job of
 * it on a thread; it can be called in any state.  tell() returns 1 once for
 * each such worker.  revoked() tells whether the last cell that was taken was a
 * revoked worker's.
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
 * On the job's thread: hold() before the job, which is not run unless it
 * returns NGX_OK; "self" is what the worker was when it posted the job.
 */
ngx_int_t ngx_http_background_cell_hold(ngx_http_background_cell_t *cell,
    uint64_t self);
void ngx_http_background_cell_unhold(ngx_http_background_cell_t *cell);


/*
 * Cells of the task's second chain.  take() returns one that the worker keeps
 * until it exits, orphan() one whose owner died in the middle of a cycle, to be
 * released when that is recorded; or NULL.
 */
ngx_http_background_cell_t *ngx_http_background_cell_take(
    ngx_http_background_record_t *record);
ngx_http_background_cell_t *ngx_http_background_cell_orphan(
    ngx_http_background_record_t *record);


/*
 * A cell's contents, for its owner.
 *
 * begin        a cycle starts now
 * record       one has ended, or is abandoned; a death before leaves all as it
 *              was
 * interrupted  how many cycles of the former owner began and were never
 *              recorded: it died in the middle
 * started      when the oldest of these, or of those under way, began
 * mark         the worker crashes: adds to the signal's number, of which the
 *              first one stays, whether the cycles are the reason; of two marks
 *              "blamed" counts.  Async-signal-safe, for any thread
 * spared       whether the interrupted cycles are not the reason
 * signal       the signal that the former owner died of; 0: not known
 * settle       the new owner has recorded them: forgets the mark
 * save, adopt  the state, for workers of another zone and of one; adopt() is
 *              called while no cycle is under way, and does nothing if another
 *              version of the module has saved it
 * absent       a worker of another zone has the task: this one is not late
 * stats        the published statistics
 * duty         what it has dealt with of schedules
 * schedule     changes when the next cycle is due
 * progress     adds to what cycles under way have done and have to do; for any
 *              thread
 * waiting      adds to the jobs that wait for a thread; for any thread, as
 *              progress: "self" is what self() was when the cycle began
 * pending      adds to the runs that are not over, in the same way
 * declined, skipped
 *              count cycles that were not started
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
    uint32_t mark);
ngx_uint_t ngx_http_background_cell_spared(ngx_http_background_cell_t *cell);
int ngx_http_background_cell_signal(ngx_http_background_cell_t *cell);
void ngx_http_background_cell_settle(ngx_http_background_cell_t *cell);
void ngx_http_background_cell_save(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell, ngx_http_background_state_t *state);
void ngx_http_background_cell_adopt(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell,
    const ngx_http_background_state_t *state);
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
 * What belongs to the whole task: how many cycles in a row ended with the
 * worker's death, and whether it is quarantined for that.  A reload ends the
 * quarantine, but the row goes on: the next cycle is a trial.
 *
 * crashed      one more of them; returns their number if the task becomes
 *              quarantined by this one, or 0
 * quarantined  no cycle is to be started
 * orders       what it is told by others
 * resume       ends the quarantine, as a reload does
 * trial        NGX_OK: a cycle may start; NGX_AGAIN: not while another one is
 *              on trial
 * tried        the cycle on trial did not start
 * judge        counts the outcome of a cycle that has arrived, in any worker,
 *              for the task's health
 * verdict      whether these find it healthy, and their failures in a row
 * history      adds an entry to the last cycles, with the text of a failure or
 *              NULL
 */

/* cycles in a row that end with the worker's death before a task is left */
#define NGX_HTTP_BACKGROUND_CRASHES  3

ngx_uint_t ngx_http_background_record_crashed(
    ngx_http_background_record_t *record);
ngx_uint_t ngx_http_background_record_quarantined(
    ngx_http_background_record_t *record);
ngx_http_background_orders_t *ngx_http_background_record_orders(
    ngx_http_background_record_t *record);
void ngx_http_background_record_resume(ngx_http_background_record_t *record);
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
 * The budget: at most "threads" slots are taken at once.  For any thread of
 * the worker, but for completed().
 *
 * take     returns a slot, or NGX_AGAIN
 * waiting  tells how many jobs of this worker wait for a slot: all that have
 *          not started, those of them that have a thread, and those that have
 *          given a slot away
 * ready    whether jobs of other workers could start with a slot
 * wanted   the same, or go on
 */
ngx_int_t ngx_http_background_budget_take(ngx_uint_t threads);
void ngx_http_background_budget_release(ngx_int_t slot);
void ngx_http_background_budget_waiting(ngx_uint_t queued, ngx_uint_t ready,
    ngx_uint_t parked);
ngx_uint_t ngx_http_background_budget_ready(void);
ngx_uint_t ngx_http_background_budget_wanted(void);
void ngx_http_background_budget_completed(ngx_uint_t n, uint64_t usec);


/*
 * Whether the cell is late, as who could tell has found in that state of it,
 * for those who can't tell.
 */
void ngx_http_background_cell_judge(ngx_http_background_cell_t *cell,
    uint64_t state, ngx_uint_t late);
ngx_uint_t ngx_http_background_cell_judged(ngx_http_background_cell_t *cell,
    uint64_t state);


/*
 * Reading, for any process that has the zone; none of them waits.  changes() is
 * another number when this worker has begun or recorded a cycle, told() when
 * tell() was called by who has given orders.
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
