
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_zone.h"
#include "ngx_http_background_state.h"
#include "ngx_http_background_word.h"

#include <pthread.h>
#include <signal.h>


#define NGX_HTTP_BACKGROUND_MAGIC    0x646e756f72676b62    /* "bkground" */

/*
 * The number changes with the meaning of the contents of the zone, the other
 * parts with the sizes of the structures.
 */
#define NGX_HTTP_BACKGROUND_LAYOUT                                           \
    (((uint64_t) 8 << 60                                                     \
     | (uint64_t) sizeof(ngx_http_background_stats_t) << 49                  \
     | (uint64_t) sizeof(ngx_http_background_cell_t) << 39                   \
     | (uint64_t) sizeof(ngx_http_background_record_t) << 27                 \
     | (uint64_t) sizeof(ngx_http_background_member_t) << 18                 \
     | (uint64_t) sizeof(ngx_http_background_zone_t))                        \
     + sizeof(ngx_http_background_duty_t) * 0x100000001b3                    \
     + sizeof(ngx_http_background_orders_t) * 0x1000000000039                \
     + sizeof(ngx_http_background_lock_t) * 0x20000000017)

/*
 * sizes of slab chunks; the first one is the largest that is less than a page
 * of 4096 bytes
 */
#define NGX_HTTP_BACKGROUND_RECORD_CHUNK  2048
#define NGX_HTTP_BACKGROUND_STATS_CHUNK   1024
#define NGX_HTTP_BACKGROUND_CELL_CHUNK    512
#define NGX_HTTP_BACKGROUND_DUTY_CHUNK    64     /* orders are as large */
#define NGX_HTTP_BACKGROUND_LOCK_CHUNK    128

/*
 * How long, in milliseconds, a dead worker keeps its leases and slots while
 * its threads are still in system calls.
 */
#define NGX_HTTP_BACKGROUND_LINGER   5000

/*
 * A worker is revoked if its "beat" has not changed for this many punctual
 * ticks of another worker and for this many milliseconds.
 */
#define NGX_HTTP_BACKGROUND_SILENT_TICKS  40
#define NGX_HTTP_BACKGROUND_SILENT        10000

/* a worker that waits for a lock tries it more often, in milliseconds */
#define NGX_HTTP_BACKGROUND_WAITS    1000

/* copies of the statistics in a cell */
#define NGX_HTTP_BACKGROUND_COPIES  3


/*
 * A registration.  Its owner holds the mutex.  "epoch" changes when the owner
 * is revoked, leaves, or is found dead; "life" changes in the last two cases
 * only.  "pid" is cleared after that, then the registration is free.
 */

typedef struct {
    pthread_mutex_t                 mutex;
    uint64_t                        epoch;
    uint64_t                        generation;
    uint32_t                        joined;       /* "epoch" as the owner knows
                                                     it */
    uint32_t                        revoked;      /* the last revoked epoch */
    uint32_t                        beat;         /* incremented by the timer
                                                     of the owner */
    uint32_t                        died;         /* when the main thread was
                                                     first seen dead */
    uint32_t                        pid;          /* 0: free */
    uint32_t                        life;
    uint32_t                        worker;
    uint32_t                        queued;       /* jobs that have not
                                                     started */
    uint32_t                        ready[2];     /* those that have a thread:
                                                     all, periodic */
    uint32_t                        parked[2];
} ngx_http_background_member_t;


#define ngx_http_background_pages(n, size)                                   \
    (((n) * (size) + ngx_pagesize - 1) / ngx_pagesize)


/*
 * The word "version" has the numbers of the published copy of the statistics,
 * of the copy that the owner may edit, and of the resting copy, the tag of the
 * revoked owner that the copy rests for, and a sequence number.
 */
#define NGX_HTTP_BACKGROUND_VERSION0  (1 << 2 | 2 << 4)

#define ngx_http_background_published(v)  ((v) & 3)
#define ngx_http_background_edited(v)     ((v) >> 2 & 3)
#define ngx_http_background_resting(v)    ((v) >> 4 & 3)
#define ngx_http_background_rests_for(v)  ((v) >> 6 & 0x3fffff)
#define ngx_http_background_sequence(v)   ((v) >> 28)


/*
 * A cell is written by its owner, unless a comment says otherwise.
 *
 * In an entry of the ring "number" is the number of its cycle and a hash of
 * the entry, or 0 while the entry is written.  The hash shows that a revoked
 * worker has overwritten the entry.
 */

typedef struct {
    uint64_t                        number;       /* number << 32 | hash */
    uint64_t                        started;      /* started_at << 8 | len */
    u_char                          text[NGX_HTTP_BACKGROUND_CAUSE_LEN];
} ngx_http_background_ring_t;


struct ngx_http_background_cell_s {
    ngx_http_background_cell_t     *next;
    uint64_t                        owner;
    uint64_t                        held;         /* jobs on threads << 48 |
                                                     member << 32 | life;
                                                     written by any thread */
    uint64_t                        version;
    uint64_t                        rests;        /* the revoked owner that may
                                                     still write to the resting
                                                     copy */
    uint64_t                        created;
    uint64_t                        begun;        /* a word; number of cycles */
    uint64_t                        started;      /* a word; start of the
                                                     oldest cycle under way */
    uint64_t                        declined;
    uint64_t                        skipped;
    uint64_t                        progress_done;
                                                  /* a word; written by any
                                                     thread */
    uint64_t                        progress_total;
                                                  /* a word; written by any
                                                     thread */
    uint64_t                        waiting;      /* a word; written by any
                                                     thread */
    uint64_t                        pending;      /* a word; runs that are not
                                                     over */
    uint64_t                        crash;        /* a word; signal | spared or
                                                     blamed; written by any
                                                     thread */
    uint64_t                        late;         /* the state in which the
                                                     cell is late, 0: none;
                                                     written by any worker */
    uint64_t                        told;         /* the value of "held" for
                                                     which the hang was
                                                     logged */
    ngx_http_background_duty_t     *duty;
    ngx_http_background_stats_t    *stats[NGX_HTTP_BACKGROUND_COPIES];
    ngx_http_background_ring_t      causes[NGX_HTTP_BACKGROUND_CAUSES];
};


/*
 * Any worker may add an entry to the history at any time, and may be killed
 * while it does.  An entry is two words.  Each is written at once and has the
 * low 16 bits of the number of the cycle, so two words of different cycles are
 * not mistaken for one entry.
 */

typedef struct {
    uint64_t                        finished;     /* ms << 16 | number */
    uint64_t                        outcome;      /* ms << 32 | failed << 16
                                                     | number */
} ngx_http_background_stored_t;


struct ngx_http_background_record_s {
    ngx_http_background_record_t   *next;
    ngx_http_background_cell_t     *cells;
    ngx_http_background_cell_t     *arrived;      /* cells without a lease */
    ngx_http_background_orders_t   *orders;
    uint64_t                        generation;   /* the last one with the
                                                     task */
    uint64_t                        trial;        /* owner of the cycle on
                                                     trial: the task may crash
                                                     its worker again */
    uint32_t                        crashes;      /* in a row */
    uint32_t                        quarantined;
    uint32_t                        unhealthy;    /* judged by cycles of
                                                     "arrived" */
    uint64_t                        failures;     /* of these cycles, in a
                                                     row */
    uint64_t                        successes;
    uint32_t                        name_len;
    u_char                          name[NGX_HTTP_BACKGROUND_NAME_LEN];
    uint64_t                        number;       /* of the last entry */
    ngx_http_background_stored_t    history[NGX_HTTP_BACKGROUND_HISTORY];
    uint64_t                        ntexts;       /* written so far */
    ngx_http_background_text_t      texts[NGX_HTTP_BACKGROUND_TEXTS];
};


struct ngx_http_background_zone_s {
    uint64_t                        magic;
    uint64_t                        layout;
    uint64_t                        created;
    uint64_t                        instance;
    uint64_t                        generation;
    uint64_t                        jobs_completed;
    uint64_t                        jobs_usec;
    ngx_slab_pool_t                *shpool;
    ngx_http_background_record_t   *records;      /* used by the master only */
    ngx_http_background_lock_t     *locks;        /* used by the master only */
    uint64_t                        told;         /* number of orders */
    uint64_t                        asked;        /* for "background_state" */
    uint64_t                        answered;
    uint64_t                        budget[NGX_HTTP_BACKGROUND_MAX_THREADS];
    uint32_t                        nmembers;     /* that were ever used */
    ngx_http_background_member_t    members[NGX_MAX_PROCESSES];
};


/* identifies one of the successive owners of a registration */

typedef struct {
    uint64_t                        epoch;
    uint32_t                        joined;
    uint32_t                        life;
    uint32_t                        pid;
} ngx_http_background_life_t;


/* in a worker: how long the "beat" of another worker has not changed */

typedef struct {
    uint64_t                        epoch;
    uint32_t                        beat;
    ngx_uint_t                      ticks;
    ngx_msec_t                      since;
} ngx_http_background_watched_t;


/* in the master: the configuration that a child process was started with */

typedef struct {
    ngx_pid_t                       pid;
    uint64_t                        generation;
} ngx_http_background_process_t;


/* a larger structure would need a larger chunk, or a page */

typedef char  ngx_http_background_cell_fits
    [sizeof(ngx_http_background_cell_t) <= NGX_HTTP_BACKGROUND_CELL_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_stats_fit
    [sizeof(ngx_http_background_stats_t) <= NGX_HTTP_BACKGROUND_STATS_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_duty_fits
    [sizeof(ngx_http_background_duty_t) <= NGX_HTTP_BACKGROUND_DUTY_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_orders_fit
    [sizeof(ngx_http_background_orders_t) <= NGX_HTTP_BACKGROUND_DUTY_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_told_fits
    [NGX_HTTP_BACKGROUND_ENDS * sizeof(ngx_http_background_told_t)
     <= NGX_HTTP_BACKGROUND_RECORD_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_lock_fits
    [sizeof(ngx_http_background_lock_t) <= NGX_HTTP_BACKGROUND_LOCK_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_record_fits
    [sizeof(ngx_http_background_record_t) <= NGX_HTTP_BACKGROUND_RECORD_CHUNK
     ? 1 : -1];


static ngx_int_t ngx_http_background_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_background_zone_add_copies(
    ngx_http_background_zone_t *zone, ngx_http_background_record_t *record);
static ngx_int_t ngx_http_background_zone_create(
    ngx_http_background_zone_conf_t *zcf);
static ngx_shm_zone_t *ngx_http_background_zone_before(
    ngx_http_background_zone_conf_t *zcf);
static void ngx_http_background_zone_resized(
    ngx_http_background_zone_conf_t *zcf, ngx_shm_zone_t *before);
static ngx_http_background_zone_t *ngx_http_background_zone_of(
    ngx_shm_zone_t *shm_zone);
static ngx_int_t ngx_http_background_zone_reuse(
    ngx_http_background_zone_conf_t *zcf);
static ngx_uint_t ngx_http_background_record_is(
    const ngx_http_background_record_t *record, const u_char *name, size_t len);
static ngx_int_t ngx_http_background_zone_add_task(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task,
    ngx_http_background_record_t **next);
static ngx_int_t ngx_http_background_record_copy(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_record_t *record);
static ngx_int_t ngx_http_background_cells_copy(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_record_t *record, ngx_http_background_cell_t **last,
    ngx_http_background_cell_t *from);
static void ngx_http_background_cell_copy(ngx_http_background_cell_t *cell,
    ngx_http_background_zone_t *zone, ngx_http_background_cell_t *from);
static ngx_uint_t ngx_http_background_cells_start(
    ngx_http_background_zone_task_t *task);
static ngx_int_t ngx_http_background_zone_add_cells(
    ngx_http_background_zone_t *zone, ngx_http_background_record_t *record,
    ngx_http_background_cell_t **last, ngx_uint_t n, ngx_uint_t unhealthy);
static ngx_http_background_cell_t *ngx_http_background_cell_create(
    ngx_http_background_zone_t *zone, ngx_http_background_record_t *record,
    ngx_uint_t unhealthy);
static ngx_int_t ngx_http_background_zone_add_lock(
    ngx_http_background_zone_t *zone, ngx_http_background_zone_task_t *task);
static void ngx_http_background_zone_sweep_locks(
    ngx_http_background_zone_conf_t *zcf, uint64_t oldest);
static void ngx_http_background_cells_free(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell);
static ngx_uint_t ngx_http_background_zone_children(void);
static ngx_http_background_record_t *ngx_http_background_zone_lookup(
    ngx_http_background_zone_t *zone, u_char *name, size_t len);
static void ngx_http_background_zone_sweep(
    ngx_http_background_zone_conf_t *zcf);
static uint64_t ngx_http_background_zone_oldest(
    ngx_http_background_zone_t *zone);
static ngx_int_t ngx_http_background_zone_too_small(
    ngx_http_background_zone_conf_t *zcf);
static void ngx_http_background_zone_bury(ngx_http_background_zone_t *zone,
    ngx_log_t *log);
static ngx_uint_t ngx_http_background_process_child(uint32_t pid);
static void ngx_http_background_member_reap(
    ngx_http_background_member_t *member, ngx_log_t *log);
static void ngx_http_background_member_watch(
    ngx_http_background_member_t *member,
    ngx_http_background_watched_t *watched, ngx_uint_t punctual,
    ngx_log_t *log);
static void ngx_http_background_member_read(
    ngx_http_background_member_t *member, ngx_http_background_life_t *life);
static ngx_int_t ngx_http_background_member_lock(
    ngx_http_background_member_t *member);
static void ngx_http_background_member_free(
    ngx_http_background_member_t *member, ngx_http_background_life_t *life,
    ngx_log_t *log);
static ngx_uint_t ngx_http_background_process_exists(uint32_t pid);
static void ngx_http_background_member_idle(
    ngx_http_background_member_t *member);
static ngx_http_background_member_t *ngx_http_background_owner(
    ngx_http_background_zone_t *zone, uint64_t owner);
static ngx_uint_t ngx_http_background_writes(
    ngx_http_background_zone_t *zone, uint64_t owner);
static ngx_http_background_member_t *ngx_http_background_holder(
    ngx_http_background_zone_t *zone, uint64_t held);
static ngx_int_t ngx_http_background_cell_own(
    ngx_http_background_cell_t *cell);
static ngx_int_t ngx_http_background_cell_rests(
    ngx_http_background_cell_t *cell, uint64_t owner);
static ngx_int_t ngx_http_background_cell_seal(
    ngx_http_background_cell_t *cell);
static uint64_t ngx_http_background_tag(uint64_t owner);
static void ngx_http_background_word_add(uint64_t *word, uint64_t n,
    uint64_t self);
static uint64_t ngx_http_background_ring_number(
    ngx_http_background_ring_t *ring, uint64_t number);
static void ngx_http_background_stats_total(
    ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome);
static uint64_t ngx_http_background_cell_under_way(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_stats_ended(
    ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome);
static ngx_http_background_stats_t *ngx_http_background_cell_edit(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_cell_publish(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_record_survived(
    ngx_http_background_record_t *record);
static ngx_uint_t ngx_http_background_cells_orphaned(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_record_text(
    ngx_http_background_record_t *record, uint64_t number,
    const ngx_str_t *error);
static ngx_int_t ngx_http_background_text_read(
    ngx_http_background_text_t *dst, ngx_http_background_text_t *src);
static uint32_t ngx_http_background_text_crc(ngx_http_background_text_t *text);
static ngx_uint_t ngx_http_background_others_wait(ngx_uint_t reserved,
    ngx_uint_t parked);
static void ngx_http_background_stats_copy(ngx_http_background_stats_t *dst,
    ngx_http_background_stats_t *src);


/*
 * Upper bounds of the duration histogram, in milliseconds: from a probe of
 * some ms to a job of some ten minutes.
 */

const ngx_msec_t  ngx_http_background_buckets[NGX_HTTP_BACKGROUND_BUCKETS] = {
    5, 25, 100, 500, 1000, 5000, 15000, 60000, 300000, 1800000
};


static ngx_str_t  ngx_http_background_zone_name =
    ngx_string("ngx_http_background");


static ngx_http_background_process_t
    ngx_http_background_processes[NGX_MAX_PROCESSES];


/*
 * the registration of this worker; ngx_http_background_self is the word that
 * this worker writes as an owner
 */

static ngx_http_background_zone_t    *ngx_http_background_zone;
static ngx_http_background_member_t  *ngx_http_background_member;
static uint64_t                       ngx_http_background_self;

/*
 * The word for slots of the budget and for "held".  Only the death of the
 * worker frees them, so it has the life of the registration instead of its
 * epoch.
 */

static uint64_t                       ngx_http_background_life;

/* "owner" of the cell that was taken last, before this worker took it */

static uint64_t                       ngx_http_background_former;

static ngx_http_background_watched_t
    ngx_http_background_watched[NGX_MAX_PROCESSES];

/* a revoked worker edits this copy of the statistics, which nobody reads */

static ngx_http_background_stats_t    ngx_http_background_lost;

static uint64_t                       ngx_http_background_editing;

static ngx_uint_t                     ngx_http_background_changes;


ngx_int_t
ngx_http_background_zone_add(ngx_conf_t *cf,
    ngx_http_background_zone_conf_t *zcf, void *tag)
{
    zcf->shm_zone = ngx_shared_memory_add(cf, &ngx_http_background_zone_name,
                                          zcf->size, tag);
    if (zcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    zcf->shm_zone->init = ngx_http_background_zone_init;
    zcf->shm_zone->data = zcf;

    zcf->cycle = cf->cycle;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_background_zone_conf_t *zcf = shm_zone->data;

    ngx_int_t                          rc;
    ngx_uint_t                         i, n, fresh;
    ngx_core_conf_t                   *ccf;
    ngx_http_background_record_t     **next;
    ngx_http_background_zone_task_t  **tasks;

    ccf = (ngx_core_conf_t *) ngx_get_conf(zcf->cycle->conf_ctx,
                                           ngx_core_module);

    zcf->workers = ccf->master ? ccf->worker_processes : 1;

    tasks = zcf->tasks.elts;

    /* workers of older configurations may still own a cell each */

    n = zcf->workers + ngx_http_background_zone_children();

    for (i = 0; i < zcf->tasks.nelts; i++) {
        tasks[i]->cells = tasks[i]->all ? zcf->workers : 1;
        tasks[i]->arrived = tasks[i]->arrives ? n : 0;
    }

    fresh = 0;

    if (data || shm_zone->shm.exists) {
        rc = ngx_http_background_zone_reuse(zcf);

    } else {
        rc = ngx_http_background_zone_create(zcf);
        fresh = (zcf->before == NULL);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* records are in the order of the tasks, where these are as before */

    next = &zcf->zone->records;

    for (i = 0; i < zcf->tasks.nelts; i++) {
        if (ngx_http_background_zone_add_task(zcf, tasks[i], next) != NGX_OK) {
            return ngx_http_background_zone_too_small(zcf);
        }

        next = &tasks[i]->record->next;
    }

    for (i = 0; i < zcf->tasks.nelts; i++) {
        if (ngx_http_background_zone_add_copies(zcf->zone, tasks[i]->record)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_WARN, shm_zone->shm.log, 0,
                          "background_zone is full: some tasks can't be taken "
                          "over from a worker that hangs in %s:%ui",
                          zcf->file, zcf->line);
            break;
        }
    }

    if (fresh && zcf->state.len) {
        ngx_http_background_state_read(zcf);
    }

    zcf->instance = zcf->zone->instance;
    zcf->before = NULL;

    return NGX_OK;
}


/*
 * Adds the third copies of the statistics.  Without them the task works, but a
 * cell can't be taken from a revoked worker.
 */

static ngx_int_t
ngx_http_background_zone_add_copies(ngx_http_background_zone_t *zone,
    ngx_http_background_record_t *record)
{
    ngx_uint_t                    i;
    ngx_http_background_cell_t   *cell;
    ngx_http_background_stats_t  *stats;

    for (i = 0; i < 2; i++) {

        for (cell = i ? record->arrived : record->cells;
             cell;
             cell = cell->next)
        {
            if (cell->stats[2]) {
                continue;
            }

            stats = ngx_slab_calloc(zone->shpool,
                                    sizeof(ngx_http_background_stats_t));
            if (stats == NULL) {
                return NGX_ERROR;
            }

            ngx_http_background_store(&cell->stats[2], stats);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_zone_create(ngx_http_background_zone_conf_t *zcf)
{
    int                          err;
    ngx_log_t                   *log;
    ngx_uint_t                   i;
    ngx_shm_zone_t              *before;
    ngx_slab_pool_t             *shpool;
    pthread_mutexattr_t          attr;
    ngx_http_background_zone_t  *zone;

    log = zcf->shm_zone->shm.log;
    shpool = (ngx_slab_pool_t *) zcf->shm_zone->shm.addr;

    /* ngx_http_background_zone_too_small() logs the error instead */
    shpool->log_nomem = 0;

    zone = ngx_slab_calloc(shpool, sizeof(ngx_http_background_zone_t));
    if (zone == NULL) {
        return ngx_http_background_zone_too_small(zcf);
    }

    err = pthread_mutexattr_init(&attr);
    if (err) {
        ngx_log_error(NGX_LOG_EMERG, log, err,
                      "pthread_mutexattr_init() failed");
        return NGX_ERROR;
    }

    (void) pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    (void) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        err = pthread_mutex_init(&zone->members[i].mutex, &attr);
        if (err) {
            ngx_log_error(NGX_LOG_EMERG, log, err,
                          "pthread_mutex_init() failed");
            break;
        }
    }

    (void) pthread_mutexattr_destroy(&attr);

    if (err) {
        return NGX_ERROR;
    }

    before = ngx_http_background_zone_before(zcf);

    if (before && ngx_process == NGX_PROCESS_SINGLE) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "background_zone can't be changed while nginx runs "
                      "with \"master_process off\" in %s:%ui",
                      zcf->file, zcf->line);
        return NGX_ERROR;
    }

    zone->magic = NGX_HTTP_BACKGROUND_MAGIC;
    zone->layout = NGX_HTTP_BACKGROUND_LAYOUT;
    zone->created = ngx_current_msec;
    zone->instance = (uint64_t) ngx_pid << 32
                     | (ngx_current_msec & 0xffffffff);
    zone->shpool = shpool;

    shpool->data = zone;
    zcf->zone = zone;

    if (before) {
        ngx_http_background_zone_resized(zcf, before);
    }

    return NGX_OK;
}


/*
 * Copies the counters of the old zone.  Its workers still run, and what they
 * add later is not copied.
 */

static void
ngx_http_background_zone_resized(ngx_http_background_zone_conf_t *zcf,
    ngx_shm_zone_t *before)
{
    ngx_http_background_zone_t  *zone, *from;

    zone = zcf->zone;
    from = ngx_http_background_zone_of(before);

    if (from == NULL) {
        ngx_log_error(NGX_LOG_NOTICE, zcf->shm_zone->shm.log, 0,
                      "background: zone size changed to %uz, "
                      "statistics start anew", zcf->size);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, zcf->shm_zone->shm.log, 0,
                  "background: zone size changed to %uz", zcf->size);

    zone->created = from->created;
    zone->generation = from->generation;
    zone->jobs_completed = ngx_http_background_load(&from->jobs_completed);
    zone->jobs_usec = ngx_http_background_load(&from->jobs_usec);

    zcf->before = from;
}


/*
 * Returns the zone of the running configuration, if it has another size, or
 * NULL.  While a configuration is read, ngx_cycle is the running one.
 */

static ngx_shm_zone_t *
ngx_http_background_zone_before(ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].tag == zcf->shm_zone->tag
            && shm_zone[i].shm.size != zcf->size)
        {
            return &shm_zone[i];
        }
    }
}


static ngx_int_t
ngx_http_background_zone_reuse(ngx_http_background_zone_conf_t *zcf)
{
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone_of(zcf->shm_zone);

    if (zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zcf->shm_zone->shm.log, 0,
                      "background_zone was made by another version of the "
                      "module, restart nginx or change the size in %s:%ui",
                      zcf->file, zcf->line);
        return NGX_ERROR;
    }

    zcf->zone = zone;
    ngx_http_background_zone_sweep(zcf);

    return NGX_OK;
}


/* returns NULL if another version of the module has created the zone */

static ngx_http_background_zone_t *
ngx_http_background_zone_of(ngx_shm_zone_t *shm_zone)
{
    ngx_slab_pool_t             *shpool;
    ngx_http_background_zone_t  *zone;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone = shpool->data;

    if (zone == NULL
        || zone->magic != NGX_HTTP_BACKGROUND_MAGIC
        || zone->layout != NGX_HTTP_BACKGROUND_LAYOUT)
    {
        return NULL;
    }

    return zone;
}


static ngx_int_t
ngx_http_background_zone_add_task(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task, ngx_http_background_record_t **next)
{
    ngx_http_background_zone_t    *zone;
    ngx_http_background_record_t  *record;

    zone = zcf->zone;
    record = *next;

    if (record == NULL
        || !ngx_http_background_record_is(record, task->name.data,
                                          task->name.len))
    {
        record = ngx_http_background_zone_lookup(zone, task->name.data,
                                                 task->name.len);
    }

    if (record == NULL) {
        record = ngx_slab_calloc(zone->shpool,
                                 sizeof(ngx_http_background_record_t));
        if (record == NULL) {
            return NGX_ERROR;
        }

        record->orders = ngx_http_background_orders_create(zone->shpool);

        if (record->orders == NULL) {
            ngx_slab_free(zone->shpool, record);
            return NGX_ERROR;
        }

        ngx_memcpy(record->name, task->name.data, task->name.len);
        record->name_len = task->name.len;

        record->next = *next;
        *next = record;

        if (ngx_http_background_record_copy(zcf, record) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    task->record = record;

    if (task->follows
        && ngx_http_background_orders_follow(zone->shpool, record->orders)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_background_zone_add_lock(zone, task) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_background_zone_add_cells(zone, record, &record->cells,
                                     task->cells,
                                     ngx_http_background_cells_start(task))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_zone_add_cells(zone, record, &record->arrived,
                                              task->arrived, 0);
}


static ngx_int_t
ngx_http_background_zone_add_lock(ngx_http_background_zone_t *zone,
    ngx_http_background_zone_task_t *task)
{
    ngx_http_background_lock_t  *lock;

    if (task->lock.len == 0) {
        return NGX_OK;
    }

    for (lock = zone->locks; lock; lock = lock->next) {
        if (lock->name_len == task->lock.len
            && ngx_memcmp(lock->name, task->lock.data, task->lock.len) == 0)
        {
            task->locked = lock;
            return NGX_OK;
        }
    }

    lock = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_background_lock_t));
    if (lock == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(lock->name, task->lock.data, task->lock.len);
    lock->name_len = task->lock.len;

    lock->next = zone->locks;
    zone->locks = lock;

    task->locked = lock;

    return NGX_OK;
}


/* copies the task from the zone of the old size */

static ngx_int_t
ngx_http_background_record_copy(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_record_t *record)
{
    ngx_http_background_record_t  *from;

    if (zcf->before == NULL) {
        return NGX_OK;
    }

    from = ngx_http_background_zone_lookup(zcf->before, record->name,
                                           record->name_len);
    if (from == NULL) {
        return NGX_OK;
    }

    record->crashes = ngx_http_background_load(&from->crashes);
    record->number = ngx_http_background_load(&from->number);
    ngx_memcpy(record->history, from->history, sizeof(record->history));

    ngx_http_background_orders_copy(record->orders, from->orders);

    if (ngx_http_background_cells_copy(zcf, record, &record->cells,
                                       from->cells)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_cells_copy(zcf, record, &record->arrived,
                                          from->arrived);
}


static ngx_int_t
ngx_http_background_cells_copy(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_record_t *record, ngx_http_background_cell_t **last,
    ngx_http_background_cell_t *from)
{
    ngx_http_background_cell_t  *cell;

    for ( /* void */ ; from; from = from->next) {

        cell = ngx_http_background_cell_create(zcf->zone, record, 0);
        if (cell == NULL) {
            return NGX_ERROR;
        }

        ngx_http_background_cell_copy(cell, zcf->before, from);

        *last = cell;
        last = &cell->next;
    }

    return NGX_OK;
}


/*
 * Cycles that are under way in the old zone count as cancelled, as its worker
 * will cancel them.  If that worker still holds the lease, the new worker
 * adopts later statistics by ngx_http_background_cell_adopt().
 */

static void
ngx_http_background_cell_copy(ngx_http_background_cell_t *cell,
    ngx_http_background_zone_t *zone, ngx_http_background_cell_t *from)
{
    uint64_t                         n;
    ngx_uint_t                       i;
    ngx_http_background_stats_t     *stats;
    ngx_http_background_snapshot_t   snapshot;

    ngx_http_background_cell_read(zone, from, &snapshot);

    cell->created = snapshot.created;
    cell->begun = snapshot.begun;
    cell->declined = snapshot.declined;
    cell->skipped = snapshot.skipped;

    ngx_http_background_duty_copy(cell->duty, from->duty);

    stats = cell->stats[0];
    *stats = snapshot.stats;

    n = snapshot.begun - ngx_min(snapshot.begun, stats->recorded);

    /* abandoned cycles are counted as failed already */

    stats->recorded += n;
    stats->cycles_cancelled += n - ngx_min(n, stats->abandoned);
    stats->abandoned = 0;

    /*
     * An entry that the old worker writes at the same time has a wrong hash,
     * so it is not read.
     */

    for (i = 0; i < NGX_HTTP_BACKGROUND_CAUSES; i++) {
        cell->causes[i] = from->causes[i];
    }
}


/*
 * Whether new cells start as unhealthy.  New cells of a task that has cells
 * start as unhealthy if any of these is unhealthy.
 */

static ngx_uint_t
ngx_http_background_cells_start(ngx_http_background_zone_task_t *task)
{
    ngx_http_background_cell_t  *cell;

    cell = task->record->cells;

    if (cell == NULL) {
        return task->unhealthy;
    }

    for ( /* void */ ; cell; cell = cell->next) {
        if (task->unhealthy && ngx_http_background_cell_unhealthy(cell)) {
            return 1;
        }
    }

    return 0;
}


/*
 * Cells are never removed here: workers of the running configuration use them.
 */

static ngx_int_t
ngx_http_background_zone_add_cells(ngx_http_background_zone_t *zone,
    ngx_http_background_record_t *record, ngx_http_background_cell_t **last,
    ngx_uint_t n, ngx_uint_t unhealthy)
{
    ngx_http_background_cell_t  *cell;

    for ( /* void */ ; n; n--) {

        if (*last == NULL) {
            cell = ngx_http_background_cell_create(zone, record, unhealthy);
            if (cell == NULL) {
                return NGX_ERROR;
            }

            ngx_http_background_store(last, cell);
        }

        last = &(*last)->next;
    }

    return NGX_OK;
}


static ngx_http_background_cell_t *
ngx_http_background_cell_create(ngx_http_background_zone_t *zone,
    ngx_http_background_record_t *record, ngx_uint_t unhealthy)
{
    ngx_uint_t                          i;
    ngx_http_background_cell_t         *cell;
    ngx_http_background_stats_t        *stats;
    ngx_http_background_orders_info_t   orders;

    cell = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_background_cell_t));
    if (cell == NULL) {
        return NULL;
    }

    ngx_http_background_orders_read(record->orders, &orders);

    cell->duty = ngx_http_background_duty_create(zone->shpool, orders.runs,
                                                 orders.fires);
    if (cell->duty == NULL) {
        ngx_http_background_cells_free(zone, cell);
        return NULL;
    }

    for (i = 0; i < 2; i++) {
        stats = ngx_slab_calloc(zone->shpool,
                                sizeof(ngx_http_background_stats_t));
        if (stats == NULL) {
            ngx_http_background_cells_free(zone, cell);
            return NULL;
        }

        stats->unhealthy = unhealthy;
        cell->stats[i] = stats;
    }

    cell->created = ngx_current_msec;
    cell->version = NGX_HTTP_BACKGROUND_VERSION0;

    return cell;
}


static void
ngx_http_background_cells_free(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell)
{
    ngx_uint_t                   i;
    ngx_http_background_cell_t  *next;

    for ( /* void */ ; cell; cell = next) {
        next = cell->next;

        for (i = 0; i < NGX_HTTP_BACKGROUND_COPIES; i++) {
            if (cell->stats[i]) {
                ngx_slab_free(zone->shpool, cell->stats[i]);
            }
        }

        if (cell->duty) {
            ngx_slab_free(zone->shpool, cell->duty);
        }

        ngx_slab_free(zone->shpool, cell);
    }
}


static ngx_http_background_record_t *
ngx_http_background_zone_lookup(ngx_http_background_zone_t *zone,
    u_char *name, size_t len)
{
    ngx_http_background_record_t  *record;

    for (record = zone->records; record; record = record->next) {
        if (ngx_http_background_record_is(record, name, len)) {
            return record;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_background_record_is(const ngx_http_background_record_t *record,
    const u_char *name, size_t len)
{
    return record->name_len == len && ngx_memcmp(record->name, name, len) == 0;
}


/* frees records that neither this configuration nor a running process uses */

static void
ngx_http_background_zone_sweep(ngx_http_background_zone_conf_t *zcf)
{
    uint64_t                           oldest;
    ngx_uint_t                         i;
    ngx_http_background_record_t      *record, **last;
    ngx_http_background_zone_task_t  **tasks;

    tasks = zcf->tasks.elts;
    oldest = ngx_http_background_zone_oldest(zcf->zone);

    last = &zcf->zone->records;

    while ((record = *last) != NULL) {

        for (i = 0;
             i < zcf->tasks.nelts && record->generation < oldest;
             i++)
        {
            if (ngx_http_background_record_is(record, tasks[i]->name.data,
                                              tasks[i]->name.len))
            {
                break;
            }
        }

        if (i < zcf->tasks.nelts || record->generation >= oldest) {
            last = &record->next;
            continue;
        }

        *last = record->next;

        ngx_http_background_cells_free(zcf->zone, record->cells);
        ngx_http_background_cells_free(zcf->zone, record->arrived);

        ngx_http_background_orders_free(zcf->zone->shpool, record->orders);
        ngx_slab_free(zcf->zone->shpool, record);
    }

    ngx_http_background_zone_sweep_locks(zcf, oldest);
}


static void
ngx_http_background_zone_sweep_locks(ngx_http_background_zone_conf_t *zcf,
    uint64_t oldest)
{
    ngx_uint_t                         i;
    ngx_http_background_lock_t        *lock, **last;
    ngx_http_background_zone_task_t  **tasks;

    tasks = zcf->tasks.elts;
    last = &zcf->zone->locks;

    while ((lock = *last) != NULL) {

        for (i = 0; i < zcf->tasks.nelts; i++) {
            if (lock->name_len == tasks[i]->lock.len
                && ngx_memcmp(lock->name, tasks[i]->lock.data, lock->name_len)
                   == 0)
            {
                break;
            }
        }

        if (i < zcf->tasks.nelts || lock->generation >= oldest) {
            last = &lock->next;
            continue;
        }

        *last = lock->next;

        ngx_slab_free(zcf->zone->shpool, lock);
    }
}


/* the number of child processes of the master */

static ngx_uint_t
ngx_http_background_zone_children(void)
{
    ngx_int_t   i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < ngx_last_process; i++) {
        if (ngx_processes[i].pid != NGX_INVALID_PID
            && !ngx_processes[i].detached)
        {
            n++;
        }
    }

    return n;
}


/*
 * The oldest configuration that a child process runs with.  A child that was
 * not there when the previous configuration was read was started with that
 * one.  Registrations do not tell: on a busy host a worker may register itself
 * after several reloads.
 */

static uint64_t
ngx_http_background_zone_oldest(ngx_http_background_zone_t *zone)
{
    uint64_t                        oldest;
    ngx_int_t                       i;
    ngx_process_t                  *process;
    ngx_http_background_process_t  *known;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        /* this process keeps the configuration that it was started with */
        return 0;
    }

    oldest = zone->generation;

    for (i = 0; i < ngx_last_process; i++) {
        process = &ngx_processes[i];
        known = &ngx_http_background_processes[i];

        if (process->pid == NGX_INVALID_PID || process->detached) {
            continue;
        }

        if (known->pid != process->pid) {
            known->pid = process->pid;
            known->generation = zone->generation;
        }

        oldest = ngx_min(oldest, known->generation);
    }

    return oldest;
}


/*
 * The size includes the overhead of the slab pool.  ngx_slab_init() has two
 * structures for each chunk size, one for each page, and aligns pages.
 */

static ngx_int_t
ngx_http_background_zone_too_small(ngx_http_background_zone_conf_t *zcf)
{
    size_t                             size;
    ngx_uint_t                         i, cells, follow, locks, pages;
    ngx_slab_pool_t                   *shpool;
    ngx_http_background_zone_task_t  **tasks;

    cells = 0;
    follow = 0;
    locks = 0;
    tasks = zcf->tasks.elts;

    for (i = 0; i < zcf->tasks.nelts; i++) {
        cells += tasks[i]->cells + tasks[i]->arrived;
        follow += tasks[i]->follows;
        locks += (tasks[i]->lock.len != 0);
    }

    pages = ngx_http_background_pages(1, sizeof(ngx_http_background_zone_t))
            + ngx_http_background_pages(zcf->tasks.nelts + follow,
                                        NGX_HTTP_BACKGROUND_RECORD_CHUNK)
            + ngx_http_background_pages(cells, NGX_HTTP_BACKGROUND_CELL_CHUNK)
            + ngx_http_background_pages(2 * cells,
                                        NGX_HTTP_BACKGROUND_STATS_CHUNK)
            + ngx_http_background_pages(cells + zcf->tasks.nelts,
                                        NGX_HTTP_BACKGROUND_DUTY_CHUNK)
            + ngx_http_background_pages(locks, NGX_HTTP_BACKGROUND_LOCK_CHUNK);

    shpool = (ngx_slab_pool_t *) zcf->shm_zone->shm.addr;

    size = (pages + 1) * (ngx_pagesize + sizeof(ngx_slab_page_t))
           + sizeof(ngx_slab_pool_t)
           + (ngx_pagesize_shift - shpool->min_shift)
             * (sizeof(ngx_slab_page_t) + sizeof(ngx_slab_stat_t));
    size = ngx_align(size, ngx_pagesize);

    if (size <= zcf->size) {
        ngx_log_error(NGX_LOG_EMERG, zcf->shm_zone->shm.log, 0,
                      "background_zone has no room for %ui tasks beside those "
                      "of workers that are still shutting down in %s:%ui",
                      zcf->tasks.nelts, zcf->file, zcf->line);
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_EMERG, zcf->shm_zone->shm.log, 0,
                  "background_zone of %uz bytes is too small for %ui tasks, "
                  "it needs at least %uzk in %s:%ui",
                  zcf->size, zcf->tasks.nelts, size / 1024,
                  zcf->file, zcf->line);

    return NGX_ERROR;
}


void
ngx_http_background_zone_commit(ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t                         i;
    ngx_http_background_zone_task_t  **tasks;

    ngx_http_background_zone_bury(zcf->zone, zcf->cycle->log);

    zcf->generation = ngx_http_background_add(&zcf->zone->generation, 1);
    zcf->committed = ngx_current_msec;

    tasks = zcf->tasks.elts;

    for (i = 0; i < zcf->tasks.nelts; i++) {

        if (tasks[i]->record->generation != zcf->generation - 1) {
            tasks[i]->since = zcf->committed;
        }

        tasks[i]->record->generation = zcf->generation;
        ngx_http_background_store(&tasks[i]->record->quarantined, 0);

        if (tasks[i]->locked) {
            tasks[i]->locked->generation = zcf->generation;
        }
    }
}


/*
 * Frees the registrations of dead workers.  All of them belong to children of
 * this master.  A pid that is not of a child may be of an unrelated process by
 * now.
 */

static void
ngx_http_background_zone_bury(ngx_http_background_zone_t *zone, ngx_log_t *log)
{
    ngx_uint_t                     i;
    ngx_http_background_life_t     life;
    ngx_http_background_member_t  *member;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        return;
    }

    for (i = 0; i < zone->nmembers; i++) {
        member = &zone->members[i];

        ngx_http_background_member_read(member, &life);

        if (!ngx_http_background_process_child(life.pid)) {
            ngx_http_background_member_free(member, &life, log);
        }
    }
}


static ngx_uint_t
ngx_http_background_process_child(uint32_t pid)
{
    ngx_int_t  i;

    for (i = 0; i < ngx_last_process; i++) {
        if (ngx_processes[i].pid == (ngx_pid_t) pid) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_background_zone_join(ngx_http_background_zone_conf_t *zcf)
{
    uint32_t                       n;
    ngx_uint_t                     i;
    ngx_http_background_zone_t    *zone;
    ngx_http_background_member_t  *member;

    zone = zcf->zone;

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        member = &zone->members[i];

        if (ngx_http_background_member_lock(member) != NGX_OK) {
            continue;
        }

        if (!ngx_http_background_process_exists(member->pid)) {
            goto found;
        }

        (void) pthread_mutex_unlock(&member->mutex);
    }

    return NGX_BUSY;

found:

    n = ngx_http_background_load(&zone->nmembers);

    while (n < i + 1) {
        if (ngx_http_background_cas(&zone->nmembers, &n, (uint32_t) i + 1)) {
            break;
        }
    }

    member->generation = zcf->generation;
    member->worker = ngx_worker;
    member->died = 0;
    ngx_http_background_member_idle(member);
    ngx_http_background_store(&member->pid, (uint32_t) ngx_pid);

    ngx_http_background_zone = zone;
    ngx_http_background_member = member;
    ngx_http_background_life = (uint64_t) (i + 1) << 32
                               | ngx_http_background_add(&member->life, 1);

    ngx_http_background_zone_rejoin();

    return NGX_OK;
}


void
ngx_http_background_zone_rejoin(void)
{
    uint64_t                       epoch;
    ngx_http_background_member_t  *member;

    member = ngx_http_background_member;

    epoch = ngx_http_background_add(&member->epoch, 1);

    ngx_http_background_self = epoch << 16
                               | (member - ngx_http_background_zone->members
                                  + 1);

    ngx_http_background_store(&member->joined, (uint32_t) epoch);
}


ngx_uint_t
ngx_http_background_zone_revoked(void)
{
    return ngx_http_background_self
           && !ngx_http_background_zone_owns(ngx_http_background_self);
}


ngx_uint_t
ngx_http_background_zone_owns(uint64_t self)
{
    return ngx_http_background_owner(ngx_http_background_zone, self) != NULL;
}


uint64_t
ngx_http_background_zone_self(void)
{
    return ngx_http_background_self;
}


void
ngx_http_background_zone_leave(void)
{
    ngx_http_background_member_t  *member;

    member = ngx_http_background_member;

    if (member == NULL) {
        return;
    }

    ngx_http_background_store(&member->joined, (uint32_t)
                              ngx_http_background_add(&member->epoch, 1));
    (void) ngx_http_background_add(&member->life, 1);
    ngx_http_background_member_idle(member);
    ngx_http_background_store(&member->pid, 0);

    (void) pthread_mutex_unlock(&member->mutex);

    ngx_http_background_member = NULL;
    ngx_http_background_self = 0;
    ngx_http_background_life = 0;
}


ngx_uint_t
ngx_http_background_zone_current(void)
{
    return ngx_http_background_member
           && ngx_http_background_load(&ngx_http_background_zone->generation)
              == ngx_http_background_member->generation;
}


void
ngx_http_background_zone_beat(void)
{
    if (ngx_http_background_member) {
        (void) ngx_http_background_add(&ngx_http_background_member->beat, 1);
    }
}


void
ngx_http_background_zone_reap(ngx_uint_t punctual, ngx_log_t *log)
{
    ngx_uint_t                     i, n;
    ngx_http_background_member_t  *member;

    n = ngx_http_background_load(&ngx_http_background_zone->nmembers);

    for (i = 0; i < n; i++) {
        member = &ngx_http_background_zone->members[i];

        if (member != ngx_http_background_member) {
            ngx_http_background_member_reap(member, log);
            ngx_http_background_member_watch(member,
                                  &ngx_http_background_watched[i], punctual,
                                  log);
        }
    }
}


/*
 * Revokes a worker whose "beat" has not changed.  Only punctual ticks of this
 * worker count, because a suspend of the machine stops all workers.
 */

static void
ngx_http_background_member_watch(ngx_http_background_member_t *member,
    ngx_http_background_watched_t *watched, ngx_uint_t punctual,
    ngx_log_t *log)
{
    uint32_t  pid, beat;
    uint64_t  epoch;

    epoch = ngx_http_background_load(&member->epoch);
    pid = ngx_http_background_load(&member->pid);
    beat = ngx_http_background_load(&member->beat);

    if (pid == 0 || epoch != watched->epoch || beat != watched->beat) {
        watched->epoch = epoch;
        watched->beat = beat;
        watched->ticks = 0;
        watched->since = ngx_current_msec;
        return;
    }

    if (!punctual
        || (uint32_t) epoch != ngx_http_background_load(&member->joined))
    {
        return;
    }

    if (++watched->ticks < NGX_HTTP_BACKGROUND_SILENT_TICKS
        || ngx_current_msec - watched->since < NGX_HTTP_BACKGROUND_SILENT)
    {
        return;
    }

    /*
     * "revoked" is set first, so that a worker that takes the lease finds the
     * reason.
     */

    ngx_http_background_store(&member->revoked, (uint32_t) epoch);

    if (!ngx_http_background_cas(&member->epoch, &epoch, epoch + 1)) {
        return;
    }

    ngx_http_background_member_idle(member);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "background: worker process %uD hangs, its leases are free",
                  pid);
}


/*
 * The kernel marks the mutex when the main thread has exited.  Other threads
 * may still be in a system call.  The leases are freed when the process is
 * gone, so that the last writes of a job do not meet the work of the next
 * owner, or after NGX_HTTP_BACKGROUND_LINGER, as a system call may hang.
 *
 * The kernel finds the mutex by a list in the memory of the process.  If the
 * process has overwritten the list, the mutex stays locked: the registration
 * is freed, but is not used any more.
 */

static void
ngx_http_background_member_reap(ngx_http_background_member_t *member,
    ngx_log_t *log)
{
    ngx_uint_t                  exists;
    ngx_http_background_life_t  life;

    ngx_http_background_member_read(member, &life);

    exists = ngx_http_background_process_exists(life.pid);

    if (ngx_http_background_member_lock(member) != NGX_OK) {
        if (!exists) {
            ngx_http_background_member_free(member, &life, log);
        }

        return;
    }

    if (member->died == 0) {
        member->died = (uint32_t) ngx_current_msec | 1;
    }

    if (!exists
        || (int32_t) ((uint32_t) ngx_current_msec - member->died)
           >= NGX_HTTP_BACKGROUND_LINGER)
    {
        ngx_http_background_member_free(member, &life, log);
    }

    (void) pthread_mutex_unlock(&member->mutex);
}


/*
 * Called before the owner is checked, so that
 * ngx_http_background_member_free() frees the registration of the checked
 * owner only.
 */

static void
ngx_http_background_member_read(ngx_http_background_member_t *member,
    ngx_http_background_life_t *life)
{
    life->epoch = ngx_http_background_load(&member->epoch);
    life->joined = ngx_http_background_load(&member->joined);
    life->life = ngx_http_background_load(&member->life);
    life->pid = ngx_http_background_load(&member->pid);
}


static ngx_int_t
ngx_http_background_member_lock(ngx_http_background_member_t *member)
{
    int  err;

    err = pthread_mutex_trylock(&member->mutex);

    if (err == EOWNERDEAD) {
        err = pthread_mutex_consistent(&member->mutex);
    }

    return (err == 0) ? NGX_OK : NGX_BUSY;
}


/*
 * Several processes may call this for the same registration: the first one
 * that changes "epoch" frees it.
 */

static void
ngx_http_background_member_free(ngx_http_background_member_t *member,
    ngx_http_background_life_t *life, ngx_log_t *log)
{
    uint32_t  pid;
    uint64_t  epoch;

    pid = life->pid;
    epoch = life->epoch;

    if (pid == 0
        || !ngx_http_background_cas(&member->epoch, &epoch, epoch + 1))
    {
        return;
    }

    /*
     * another process may have taken the registration after "epoch" was
     * changed
     */

    (void) ngx_http_background_cas(&member->joined, &life->joined,
                                   (uint32_t) epoch + 1);
    (void) ngx_http_background_cas(&member->life, &life->life, life->life + 1);

    ngx_http_background_member_idle(member);

    (void) ngx_http_background_cas(&member->pid, &life->pid, 0);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "background: worker process %uD died, "
                  "its leases and jobs are free", pid);
}


/*
 * Returns 0 only if all threads of the process have exited and its parent has
 * waited for it.
 */

static ngx_uint_t
ngx_http_background_process_exists(uint32_t pid)
{
    return pid && (kill((pid_t) pid, 0) == 0 || ngx_errno != NGX_ESRCH);
}


static void
ngx_http_background_member_idle(ngx_http_background_member_t *member)
{
    ngx_http_background_store(&member->queued, 0);
    ngx_http_background_store(&member->ready[0], 0);
    ngx_http_background_store(&member->ready[1], 0);
    ngx_http_background_store(&member->parked[0], 0);
    ngx_http_background_store(&member->parked[1], 0);
}


/*
 * returns the registration that "owner" names, or NULL if its epoch has passed
 */

static ngx_http_background_member_t *
ngx_http_background_owner(ngx_http_background_zone_t *zone, uint64_t owner)
{
    ngx_http_background_member_t  *member;

    if (owner == 0) {
        return NULL;
    }

    member = &zone->members[(owner & 0xffff) - 1];

    if (ngx_http_background_load(&member->epoch) != owner >> 16) {
        return NULL;
    }

    return member;
}


/*
 * Whether "owner" may still write to the cell: its process is not dead and has
 * not noticed yet that it is revoked.
 */

static ngx_uint_t
ngx_http_background_writes(ngx_http_background_zone_t *zone, uint64_t owner)
{
    return owner
           && ngx_http_background_load(
                                &zone->members[(owner & 0xffff) - 1].joined)
              == (uint32_t) (owner >> 16);
}


/* returns the registration of the process that has jobs on threads, or NULL */

static ngx_http_background_member_t *
ngx_http_background_holder(ngx_http_background_zone_t *zone, uint64_t held)
{
    ngx_http_background_member_t  *member;

    if (held >> 48 == 0) {
        return NULL;
    }

    member = &zone->members[(held >> 32 & 0xffff) - 1];

    return (ngx_http_background_load(&member->life) == (uint32_t) held)
           ? member : NULL;
}


/*
 * Takes the cell.  The order of the steps is explained in "Revocation" in the
 * header.
 */

static ngx_int_t
ngx_http_background_cell_own(ngx_http_background_cell_t *cell)
{
    uint64_t                     owner, self;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;
    self = ngx_http_background_self;

    if (self == 0) {
        return NGX_AGAIN;
    }

    owner = ngx_http_background_load(&cell->owner);

    if (ngx_http_background_owner(zone, owner)) {
        return NGX_AGAIN;
    }

    if (ngx_http_background_holder(zone,
                                   ngx_http_background_load(&cell->held)))
    {
        return NGX_BUSY;
    }

    if (ngx_http_background_zone_revoked()
        || ngx_http_background_cell_rests(cell, owner) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_background_former = owner;

    if (!ngx_http_background_cas(&cell->owner, &owner, self)) {
        return NGX_AGAIN;
    }

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    /*
     * a thread of the former owner may have started a job before "owner"
     * changed
     */

    if (ngx_http_background_holder(zone,
                                   ngx_http_background_load(&cell->held)))
    {
        (void) ngx_http_background_cas(&cell->owner, &self, owner);
        return NGX_BUSY;
    }

    return ngx_http_background_cell_seal(cell);
}


/*
 * Returns NGX_OK if there is a copy of the statistics that no revoked worker
 * may write to.
 */

static ngx_int_t
ngx_http_background_cell_rests(ngx_http_background_cell_t *cell,
    uint64_t owner)
{
    uint64_t                     rests;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    rests = ngx_http_background_load(&cell->rests);

    if (rests == owner || !ngx_http_background_writes(zone, owner)) {
        return NGX_OK;
    }

    if (ngx_http_background_load(&cell->stats[2]) == NULL
        || ngx_http_background_writes(zone, rests)
        || !ngx_http_background_cas(&cell->rests, &rests, owner))
    {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


/*
 * After this nothing that a former owner writes to the cell has an effect.
 * This worker may itself be revoked in the middle: each value is read before
 * the check for revocation, and only that value is replaced.
 */

static ngx_int_t
ngx_http_background_cell_seal(ngx_http_background_cell_t *cell)
{
    uint64_t                     v, new, rests, tag;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    if (ngx_http_background_word_seal(&cell->begun,
                                      NGX_HTTP_BACKGROUND_VALUE)
        != NGX_OK
        || ngx_http_background_word_seal(&cell->started,
                                         NGX_HTTP_BACKGROUND_VALUE)
           != NGX_OK
        || ngx_http_background_word_seal(&cell->progress_done, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->progress_total, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->waiting, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->pending, 0) != NGX_OK
        || ngx_http_background_word_seal(&cell->crash,
                                         NGX_HTTP_BACKGROUND_VALUE)
           != NGX_OK
        || ngx_http_background_duty_seal(cell->duty) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    do {
        v = ngx_http_background_load(&cell->version);
        rests = ngx_http_background_load(&cell->rests);

        if (ngx_http_background_zone_revoked()) {
            return NGX_AGAIN;
        }

        new = (ngx_http_background_sequence(v) + 1) << 28;

        if (!ngx_http_background_writes(zone, rests)) {
            new |= v & 0x3f;
            continue;
        }

        tag = (rests & 0x7ff) << 11 | (rests >> 16 & 0x7ff);

        if (ngx_http_background_rests_for(v) == tag) {
            new |= v & 0xfffffff;

        } else {
            new |= tag << 6 | ngx_http_background_published(v)
                   | ngx_http_background_resting(v) << 2
                   | ngx_http_background_edited(v) << 4;
        }

    } while (!ngx_http_background_cas(&cell->version, &v, new));

    return NGX_OK;
}


ngx_int_t
ngx_http_background_word_seal(uint64_t *word, uint64_t mask)
{
    uint64_t  old, new;

    do {
        old = ngx_http_background_load(word);

        if (ngx_http_background_zone_revoked()) {
            return NGX_AGAIN;
        }

        new = ngx_http_background_tag(ngx_http_background_self) << 48
              | (old & mask);

    } while (!ngx_http_background_cas(word, &old, new));

    return NGX_OK;
}


/*
 * The tag has the low 5 bits of the epoch.  That is enough, as a worker learns
 * of its revocation long before it was revoked 32 times.
 */

static uint64_t
ngx_http_background_tag(uint64_t owner)
{
    return (owner >> 16 & 0x1f) << 11 | (owner & 0x7ff);
}


uint64_t
ngx_http_background_word_get(uint64_t *word)
{
    return ngx_http_background_value(ngx_http_background_load(word));
}


void
ngx_http_background_word_set(uint64_t *word, uint64_t value)
{
    uint64_t  old, tag;

    old = ngx_http_background_load(word);
    tag = ngx_http_background_tag(ngx_http_background_self);

    while (old >> 48 == tag
           && !ngx_http_background_cas(word, &old,
                                       tag << 48
                                       | ngx_http_background_value(value)))
    {
        /* void */
    }
}


/*
 * For any thread.  "self" is the value of ngx_http_background_self when the
 * cycle began: the worker may have been revoked and have joined again since.
 */

static void
ngx_http_background_word_add(uint64_t *word, uint64_t n, uint64_t self)
{
    uint64_t  old, tag;

    old = ngx_http_background_load(word);
    tag = ngx_http_background_tag(self);

    while (old >> 48 == tag
           && !ngx_http_background_cas(word, &old,
                                       tag << 48
                                       | ngx_http_background_value(old + n)))
    {
        /* void */
    }
}


ngx_uint_t
ngx_http_background_cell_revoked(void)
{
    uint64_t  former;

    former = ngx_http_background_former;

    return former
           && ngx_http_background_load(
                    &ngx_http_background_zone->members[(former & 0xffff) - 1]
                         .revoked)
              == (uint32_t) (former >> 16);
}


ngx_int_t
ngx_http_background_cell_hold(ngx_http_background_cell_t *cell, uint64_t self)
{
    uint64_t  held, new, life;

    life = ngx_http_background_life;
    held = ngx_http_background_load(&cell->held);

    do {
        if (held >> 48 && (held & 0xffffffffffff) == life) {
            new = held + ((uint64_t) 1 << 48);

        } else if (ngx_http_background_holder(ngx_http_background_zone, held)) {
            return NGX_AGAIN;

        } else {
            new = (uint64_t) 1 << 48 | life;
        }

    } while (!ngx_http_background_cas(&cell->held, &held, new));

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (ngx_http_background_zone_owns(self)) {
        return NGX_OK;
    }

    ngx_http_background_cell_unhold(cell);

    return NGX_AGAIN;
}


void
ngx_http_background_cell_unhold(ngx_http_background_cell_t *cell)
{
    uint64_t  held;

    held = ngx_http_background_load(&cell->held);

    while (!ngx_http_background_cas(&cell->held, &held,
                                    held - ((uint64_t) 1 << 48)))
    {
        /* void */
    }
}


ngx_pid_t
ngx_http_background_cell_hangs(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell)
{
    uint64_t                       held;
    ngx_http_background_member_t  *member;

    held = ngx_http_background_load(&cell->held);
    member = ngx_http_background_holder(zone, held);

    if (member == NULL
        || ngx_http_background_owner(zone,
                                     ngx_http_background_load(&cell->owner)))
    {
        return 0;
    }

    return ngx_http_background_load(&member->pid);
}


ngx_uint_t
ngx_http_background_cell_tell(ngx_http_background_cell_t *cell)
{
    uint64_t  held, told;

    held = ngx_http_background_value(ngx_http_background_load(&cell->held));
    told = ngx_http_background_load(&cell->told);

    return told != held && ngx_http_background_cas(&cell->told, &told, held);
}


ngx_http_background_cell_t *
ngx_http_background_cell(ngx_http_background_record_t *record, ngx_uint_t n)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->cells);

    while (cell && n--) {
        cell = ngx_http_background_load(&cell->next);
    }

    return cell;
}


ngx_http_background_cell_t *
ngx_http_background_cell_next(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_load(&cell->next);
}


ngx_int_t
ngx_http_background_lease_take(ngx_http_background_cell_t *cell)
{
    if (ngx_http_background_self
        && ngx_http_background_load(&cell->owner) == ngx_http_background_self)
    {
        return NGX_OK;
    }

    /* after a reload the leases are for the new workers */

    if (!ngx_http_background_zone_current()) {
        return NGX_AGAIN;
    }

    return ngx_http_background_cell_own(cell);
}


void
ngx_http_background_lease_release(ngx_http_background_cell_t *cell)
{
    uint64_t  self;

    self = ngx_http_background_self;

    if (self) {
        (void) ngx_http_background_cas(&cell->owner, &self, 0);
    }
}


ngx_http_background_cell_t *
ngx_http_background_cell_take(ngx_http_background_record_t *record)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    while (cell && ngx_http_background_cell_own(cell) != NGX_OK) {
        cell = ngx_http_background_load(&cell->next);
    }

    return cell;
}


ngx_http_background_cell_t *
ngx_http_background_cell_orphan(ngx_http_background_record_t *record)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    for ( /* void */ ; cell; cell = ngx_http_background_load(&cell->next)) {

        if (ngx_http_background_load(&cell->owner) == 0
            || ngx_http_background_cell_interrupted(cell) == 0
            || ngx_http_background_cell_own(cell) != NGX_OK)
        {
            continue;
        }

        /* another worker may have recorded the cycle meanwhile */

        if (ngx_http_background_cell_interrupted(cell)) {
            return cell;
        }

        ngx_http_background_lease_release(cell);
    }

    return NULL;
}


ngx_http_background_cell_t *
ngx_http_background_cell_arrived(ngx_http_background_record_t *record,
    ngx_uint_t n)
{
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    while (cell && n--) {
        cell = ngx_http_background_load(&cell->next);
    }

    return cell;
}


void
ngx_http_background_cell_begin(ngx_http_background_cell_t *cell, uint64_t now,
    const ngx_http_background_cause_t *cause)
{
    uint64_t                     n, recorded;
    ngx_http_background_ring_t  *ring;

    recorded = ngx_http_background_cell_stats(cell)->recorded;
    n = ngx_http_background_word_get(&cell->begun);

    n = ngx_max(n, recorded) + 1;
    ring = &cell->causes[n % NGX_HTTP_BACKGROUND_CAUSES];

    ngx_http_background_store(&ring->number, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    ring->started = cause->started_at << 8 | cause->len;
    ngx_memzero(ring->text, sizeof(ring->text));
    ngx_memcpy(ring->text, cause->text, cause->len);

    ngx_http_background_store(&ring->number,
                              ngx_http_background_ring_number(ring, n));

    if (ngx_http_background_cell_under_way(cell) == 0) {
        ngx_http_background_word_set(&cell->progress_done, 0);
        ngx_http_background_word_set(&cell->progress_total, 0);
        ngx_http_background_word_set(&cell->started, now);
    }

    ngx_http_background_word_set(&cell->begun, n);

    ngx_http_background_changes++;
}


static uint64_t
ngx_http_background_ring_number(ngx_http_background_ring_t *ring,
    uint64_t number)
{
    return number << 32
           | ngx_murmur_hash2((u_char *) &ring->started,
                              sizeof(ngx_http_background_ring_t)
                              - offsetof(ngx_http_background_ring_t,
                                         started));
}


void
ngx_http_background_cell_record(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell,
    const ngx_http_background_outcome_t *outcome)
{
    ngx_http_background_stats_t    *stats;
    ngx_http_background_history_t   history;

    stats = ngx_http_background_cell_edit(cell);

    if (outcome->abandoned) {
        stats->abandoned += outcome->cycles;

    } else {
        stats->recorded += outcome->cycles;
        stats->abandoned -= outcome->returned;
    }

    if (outcome->outcome != ngx_http_background_cancel
        && !outcome->crash && !outcome->abandoned)
    {
        ngx_http_background_record_survived(record);
    }

    if (!outcome->abandoned) {
        ngx_http_background_record_tried(record);
    }

    ngx_http_background_stats_total(stats, outcome);

    if (outcome->due) {
        stats->due = outcome->due;
    }

    if (outcome->outcome != ngx_http_background_cancel
        && (outcome->cycles > outcome->returned || outcome->crash))
    {
        ngx_http_background_stats_ended(stats, outcome);

        if (outcome->history) {
            history.finished_at = outcome->last.finished_at;
            history.wall_time = outcome->last.wall_time;
            history.failed = outcome->last.failed;

            ngx_http_background_record_history(record, &history,
                                               &outcome->error);
        }
    }

    ngx_http_background_cell_publish(cell);

    ngx_http_background_word_set(&cell->started, outcome->oldest);

    /* these words may be those of a worker that died */

    if (outcome->oldest == 0) {
        ngx_http_background_word_set(&cell->waiting, 0);
        ngx_http_background_word_set(&cell->pending, 0);
        ngx_http_background_word_set(&cell->progress_total, 0);
        ngx_http_background_word_set(&cell->progress_done, 0);
    }
}


static void
ngx_http_background_stats_total(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome)
{
    uint64_t                           cycles;
    const ngx_http_background_last_t  *last;

    last = &outcome->last;
    cycles = outcome->cycles - outcome->returned;

    stats->operations_completed += last->completed;
    stats->operations_failed += last->failed;
    stats->bytes += last->bytes;
    stats->io_time += last->io_time;
    stats->cpu_usec += last->cpu_usec;
    stats->wall_time += last->wall_time * cycles;

    switch (outcome->outcome) {

    case ngx_http_background_success:
        stats->cycles_completed += cycles;
        break;

    case ngx_http_background_failure:
        stats->cycles_failed += cycles;
        break;

    default: /* ngx_http_background_cancel */
        stats->cycles_cancelled += cycles;
    }
}


/* not called for a cancelled cycle */

static void
ngx_http_background_stats_ended(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome)
{
    uint64_t                           cycles;
    ngx_uint_t                         i;
    const ngx_http_background_last_t  *last;

    last = &outcome->last;
    cycles = outcome->cycles - outcome->returned;

    if (outcome->outcome == ngx_http_background_success) {
        stats->successes += cycles;
        stats->failures = 0;
        stats->success_at = last->finished_at;

        if (outcome->passes && stats->successes >= outcome->passes) {
            stats->unhealthy = 0;
        }

    } else {
        stats->failures += cycles;
        stats->successes = 0;
        stats->failure_at = last->finished_at;

        if (outcome->fails && stats->failures >= outcome->fails) {
            stats->unhealthy = 1;
        }

        stats->error_len = ngx_min(outcome->error.len,
                                   NGX_HTTP_BACKGROUND_ERROR_LEN);
        ngx_memcpy(stats->error, outcome->error.data, stats->error_len);
    }

    stats->last = *last;
    stats->ended = ngx_current_msec;

    for (i = 0; i < NGX_HTTP_BACKGROUND_BUCKETS; i++) {
        if (last->wall_time <= ngx_http_background_buckets[i]) {
            break;
        }
    }

    stats->buckets[i] += cycles;
    stats->buckets_time += last->wall_time * cycles;
}


uint64_t
ngx_http_background_cell_interrupted(ngx_http_background_cell_t *cell)
{
    uint64_t  begun, recorded;

    begun = ngx_http_background_word_get(&cell->begun);
    recorded = ngx_http_background_cell_stats(cell)->recorded;

    return begun - ngx_min(begun, recorded);
}


/* the number of cycles under way, without abandoned ones */

static uint64_t
ngx_http_background_cell_under_way(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_cell_interrupted(cell)
           - ngx_http_background_cell_stats(cell)->abandoned;
}


uint64_t
ngx_http_background_cell_started(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_word_get(&cell->started);
}


/*
 * The mark holds for the cell, so it includes cycles that the event loop
 * begins between the mark and the exit of the process.
 */

void
ngx_http_background_cell_mark(ngx_http_background_cell_t *cell, int signo,
    uint32_t mark)
{
    uint64_t  old, new, tag;

    old = ngx_http_background_load(&cell->crash);
    tag = ngx_http_background_tag(ngx_http_background_self);

    do {
        if (old >> 48 != tag) {
            return;
        }

        new = old | mark;

        if (ngx_http_background_value(old) == 0) {
            new |= (uint32_t) signo;
        }

    } while (!ngx_http_background_cas(&cell->crash, &old, new));
}


ngx_uint_t
ngx_http_background_cell_spared(ngx_http_background_cell_t *cell)
{
    uint64_t  crash;

    crash = ngx_http_background_load(&cell->crash);

    return (crash & NGX_HTTP_BACKGROUND_SPARED)
           && !(crash & NGX_HTTP_BACKGROUND_BLAMED);
}


int
ngx_http_background_cell_signal(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_load(&cell->crash) & 0xff;
}


void
ngx_http_background_cell_settle(ngx_http_background_cell_t *cell)
{
    ngx_http_background_word_set(&cell->crash, 0);
}


void
ngx_http_background_cell_save(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell, ngx_http_background_state_t *state)
{
    ngx_http_background_duty_info_t  duty;

    ngx_memzero(state, sizeof(ngx_http_background_state_t));

    state->layout = NGX_HTTP_BACKGROUND_LAYOUT;
    state->crashes = ngx_http_background_load(&record->crashes);

    ngx_http_background_duty_read(cell->duty, &duty);
    state->checked = duty.checked;

    state->stats = *ngx_http_background_cell_stats(cell);

    /*
     * The other instance is not told when an abandoned job ends, so the cycle
     * counts as recorded.
     */

    state->stats.recorded += state->stats.abandoned;
    state->stats.abandoned = 0;
}


void
ngx_http_background_cell_adopt(ngx_http_background_record_t *record,
    ngx_http_background_cell_t *cell, const ngx_http_background_state_t *state)
{
    ngx_http_background_duty_info_t     duty;
    const ngx_http_background_stats_t  *stats;

    if (state->layout != NGX_HTTP_BACKGROUND_LAYOUT
        || state->stats.error_len > NGX_HTTP_BACKGROUND_ERROR_LEN
        || state->stats.last.message_len > NGX_HTTP_BACKGROUND_MESSAGE_LEN)
    {
        return;
    }

    ngx_http_background_duty_read(cell->duty, &duty);

    if (state->checked > duty.checked) {
        ngx_http_background_duty_check(cell->duty, state->checked, duty.due);
    }

    stats = ngx_http_background_cell_stats(cell);

    if (state->stats.recorded < stats->recorded
        || ngx_memcmp(&state->stats, stats,
                      sizeof(ngx_http_background_stats_t))
           == 0)
    {
        return;
    }

    ngx_http_background_store(&record->crashes, (uint32_t) state->crashes);

    *ngx_http_background_cell_edit(cell) = state->stats;
    ngx_http_background_cell_publish(cell);

    /*
     * Before this store "begun" is less than "recorded", which means that no
     * cycle is under way.
     */

    ngx_http_background_word_set(&cell->begun, state->stats.recorded);
}


void
ngx_http_background_cell_carry(ngx_http_background_cell_t *cell, uint64_t due,
    uint64_t failures, ngx_uint_t fails)
{
    ngx_http_background_stats_t  *stats;

    stats = ngx_http_background_cell_edit(cell);

    stats->due = due;
    stats->failures = failures;

    if (failures) {
        stats->successes = 0;
        stats->unhealthy = (failures >= fails);
    }

    ngx_http_background_cell_publish(cell);
}


void
ngx_http_background_cell_absent(ngx_http_background_cell_t *cell)
{
    ngx_http_background_store(&cell->created, ngx_current_msec);
}


const ngx_http_background_stats_t *
ngx_http_background_cell_stats(ngx_http_background_cell_t *cell)
{
    uint64_t  version;

    version = ngx_http_background_load(&cell->version);

    return cell->stats[ngx_http_background_published(version)];
}


ngx_http_background_duty_t *
ngx_http_background_cell_duty(ngx_http_background_cell_t *cell)
{
    return cell->duty;
}


void
ngx_http_background_cell_schedule(ngx_http_background_cell_t *cell,
    uint64_t due)
{
    if (due != ngx_http_background_cell_stats(cell)->due) {
        ngx_http_background_cell_edit(cell)->due = due;
        ngx_http_background_cell_publish(cell);
    }
}


/*
 * Returns a copy of the statistics to change.
 * ngx_http_background_cell_publish() publishes it; if the worker dies before,
 * the old copy stays.  "version" is read before the check for revocation: see
 * "Revocation" in the header.
 */

static ngx_http_background_stats_t *
ngx_http_background_cell_edit(ngx_http_background_cell_t *cell)
{
    uint64_t                      version;
    ngx_http_background_stats_t  *stats;

    version = ngx_http_background_load(&cell->version);

    /*
     * A reader that sees the new contents must also see the last change of
     * "version".
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (ngx_http_background_zone_revoked()) {
        ngx_http_background_editing = 0;
        stats = &ngx_http_background_lost;

    } else {
        ngx_http_background_editing = version;
        stats = cell->stats[ngx_http_background_edited(version)];
    }

    *stats = *cell->stats[ngx_http_background_published(version)];

    return stats;
}


static void
ngx_http_background_cell_publish(ngx_http_background_cell_t *cell)
{
    uint64_t  version, new;

    version = ngx_http_background_editing;

    if (version == 0) {
        return;
    }

    new = (ngx_http_background_sequence(version) + 1) << 28
          | (version & 0xffffff0)
          | ngx_http_background_edited(version)
          | ngx_http_background_published(version) << 2;

    (void) ngx_http_background_cas(&cell->version, &version, new);

    ngx_http_background_changes++;
}


void
ngx_http_background_cell_waiting(ngx_http_background_cell_t *cell, int n,
    uint64_t self)
{
    ngx_http_background_word_add(&cell->waiting, (uint64_t) (int64_t) n, self);
}


void
ngx_http_background_cell_pending(ngx_http_background_cell_t *cell, int n,
    uint64_t self)
{
    ngx_http_background_word_add(&cell->pending, (uint64_t) (int64_t) n, self);
}


void
ngx_http_background_cell_declined(ngx_http_background_cell_t *cell)
{
    (void) ngx_http_background_add(&cell->declined, 1);
}


void
ngx_http_background_cell_skipped(ngx_http_background_cell_t *cell)
{
    (void) ngx_http_background_add(&cell->skipped, 1);
}


void
ngx_http_background_cell_progress(ngx_http_background_cell_t *cell,
    int64_t done, int64_t total, uint64_t self)
{
    ngx_http_background_word_add(&cell->progress_total, (uint64_t) total,
                                 self);
    ngx_http_background_word_add(&cell->progress_done, (uint64_t) done, self);
}


void
ngx_http_background_record_history(ngx_http_background_record_t *record,
    const ngx_http_background_history_t *history, const ngx_str_t *error)
{
    uint64_t                       number, wall, failed;
    ngx_http_background_stored_t  *entry;

    number = ngx_http_background_add(&record->number, 1);
    entry = &record->history[number % NGX_HTTP_BACKGROUND_HISTORY];

    if (error && error->len) {
        ngx_http_background_record_text(record, number, error);
    }

    number &= 0xffff;
    wall = ngx_min(history->wall_time, 0xffffffff);
    failed = ngx_min(history->failed, 0xffff);

    ngx_http_background_store(&entry->finished,
                              history->finished_at << 16 | number);
    ngx_http_background_store(&entry->outcome,
                              wall << 32 | failed << 16 | number);
}


/*
 * Several workers may write the same slot at the same time, and may die while
 * they do: a text is valid only if its CRC is right.  A text that is equal to
 * the previous one is not stored again.
 */

static void
ngx_http_background_record_text(ngx_http_background_record_t *record,
    uint64_t number, const ngx_str_t *error)
{
    size_t                      len;
    uint64_t                    n;
    ngx_http_background_text_t  text;

    n = ngx_http_background_load(&record->ntexts);
    len = ngx_min(error->len, NGX_HTTP_BACKGROUND_TEXT_LEN);

    if (ngx_http_background_text_read(&text,
                              &record->texts[n % NGX_HTTP_BACKGROUND_TEXTS])
        != NGX_OK
        || text.len != len || ngx_memcmp(text.text, error->data, len) != 0)
    {
        n = ngx_http_background_add(&record->ntexts, 1);

        text.first = number;
        text.len = len;
        ngx_memcpy(text.text, error->data, len);
    }

    text.last = number;
    text.crc = ngx_http_background_text_crc(&text);

    record->texts[n % NGX_HTTP_BACKGROUND_TEXTS] = text;
}


static ngx_int_t
ngx_http_background_text_read(ngx_http_background_text_t *dst,
    ngx_http_background_text_t *src)
{
    *dst = *src;

    return (dst->len && dst->len <= NGX_HTTP_BACKGROUND_TEXT_LEN
            && dst->crc == ngx_http_background_text_crc(dst))
           ? NGX_OK : NGX_DECLINED;
}


static uint32_t
ngx_http_background_text_crc(ngx_http_background_text_t *text)
{
    return ngx_crc32_short((u_char *) &text->len,
                           offsetof(ngx_http_background_text_t, text)
                           - offsetof(ngx_http_background_text_t, len)
                           + text->len);
}


ngx_uint_t
ngx_http_background_texts_read(ngx_http_background_record_t *record,
    ngx_http_background_text_t texts[NGX_HTTP_BACKGROUND_TEXTS])
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_BACKGROUND_TEXTS; i++) {
        if (ngx_http_background_text_read(&texts[n], &record->texts[i])
            == NGX_OK)
        {
            n++;
        }
    }

    return n;
}


ngx_uint_t
ngx_http_background_cell_causes(ngx_http_background_cell_t *cell,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES])
{
    size_t                       len;
    uint64_t                     number, last;
    ngx_uint_t                   n;
    ngx_http_background_ring_t  *ring, copy;

    n = 0;
    last = ngx_http_background_word_get(&cell->begun);
    number = (last < NGX_HTTP_BACKGROUND_CAUSES)
             ? 1 : last - NGX_HTTP_BACKGROUND_CAUSES + 1;

    for ( /* void */ ; number <= last; number++) {
        ring = &cell->causes[number % NGX_HTTP_BACKGROUND_CAUSES];

        copy = *ring;

        len = copy.started & 0xff;

        if (copy.number != ngx_http_background_ring_number(&copy, number)
            || len > NGX_HTTP_BACKGROUND_CAUSE_LEN)
        {
            continue;
        }

        causes[n].started_at = copy.started >> 8;
        causes[n].len = len;
        ngx_memcpy(causes[n].text, copy.text, len);
        n++;
    }

    return n;
}


ngx_uint_t
ngx_http_background_history_read(ngx_http_background_record_t *record,
    ngx_http_background_history_t history[NGX_HTTP_BACKGROUND_HISTORY])
{
    uint64_t                       number, last, finished, outcome;
    ngx_uint_t                     n;
    ngx_http_background_stored_t  *entry;

    n = 0;
    last = ngx_http_background_load(&record->number);
    number = (last < NGX_HTTP_BACKGROUND_HISTORY)
             ? 1 : last - NGX_HTTP_BACKGROUND_HISTORY + 1;

    for ( /* void */ ; number <= last; number++) {
        entry = &record->history[number % NGX_HTTP_BACKGROUND_HISTORY];

        finished = ngx_http_background_load(&entry->finished);
        outcome = ngx_http_background_load(&entry->outcome);

        if ((finished & 0xffff) != (number & 0xffff)
            || (outcome & 0xffff) != (number & 0xffff))
        {
            continue;
        }

        history[n].number = number;
        history[n].finished_at = finished >> 16;
        history[n].wall_time = outcome >> 32;
        history[n].failed = outcome >> 16 & 0xffff;
        n++;
    }

    return n;
}


ngx_uint_t
ngx_http_background_record_crashed(ngx_http_background_record_t *record)
{
    uint32_t  n, quarantined;

    n = ngx_http_background_add(&record->crashes, 1);
    quarantined = 0;

    if (n < NGX_HTTP_BACKGROUND_CRASHES
        || !ngx_http_background_cas(&record->quarantined, &quarantined, 1))
    {
        return 0;
    }

    return n;
}


/* a cycle has ended and the worker did not die */

static void
ngx_http_background_record_survived(ngx_http_background_record_t *record)
{
    if (!ngx_http_background_load(&record->quarantined)
        && ngx_http_background_load(&record->crashes))
    {
        ngx_http_background_store(&record->crashes, 0);
    }
}


ngx_http_background_orders_t *
ngx_http_background_record_orders(ngx_http_background_record_t *record)
{
    return record->orders;
}


void
ngx_http_background_record_resume(ngx_http_background_record_t *record)
{
    ngx_http_background_store(&record->quarantined, 0);
}


ngx_uint_t
ngx_http_background_record_quarantined(ngx_http_background_record_t *record)
{
    return ngx_http_background_load(&record->quarantined);
}


void
ngx_http_background_record_carry(ngx_http_background_record_t *record,
    uint64_t crashes, ngx_uint_t quarantined)
{
    crashes = ngx_min(crashes, NGX_HTTP_BACKGROUND_CRASHES);

    ngx_http_background_store(&record->crashes, (uint32_t) crashes);

    if (quarantined) {
        ngx_http_background_store(&record->quarantined, 1);
    }
}


/*
 * When the worker of the cycle on trial dies, "trial" is free before the crash
 * is recorded.  So orphaned cells and "quarantined" are checked after "trial"
 * was taken.
 */

ngx_int_t
ngx_http_background_record_trial(ngx_http_background_record_t *record)
{
    uint64_t  trial;

    if (ngx_http_background_load(&record->crashes)
        < NGX_HTTP_BACKGROUND_CRASHES)
    {
        return NGX_OK;
    }

    trial = ngx_http_background_load(&record->trial);

    if (ngx_http_background_self == 0
        || ngx_http_background_owner(ngx_http_background_zone, trial)
        || !ngx_http_background_cas(&record->trial, &trial,
                                    ngx_http_background_self))
    {
        return NGX_AGAIN;
    }

    if (ngx_http_background_cells_orphaned(record->cells)
        || ngx_http_background_cells_orphaned(record->arrived)
        || ngx_http_background_load(&record->quarantined))
    {
        ngx_http_background_record_tried(record);
        return NGX_AGAIN;
    }

    return NGX_OK;
}


void
ngx_http_background_record_tried(ngx_http_background_record_t *record)
{
    uint64_t  self;

    self = ngx_http_background_self;

    if (self && ngx_http_background_load(&record->trial) == self) {
        (void) ngx_http_background_cas(&record->trial, &self, 0);
    }
}


/*
 * Whether there are interrupted cycles of a dead worker that are not recorded
 * yet.
 */

static ngx_uint_t
ngx_http_background_cells_orphaned(ngx_http_background_cell_t *cell)
{
    uint64_t  owner;

    for ( /* void */ ; cell; cell = ngx_http_background_load(&cell->next)) {

        owner = ngx_http_background_load(&cell->owner);

        if (owner
            && ngx_http_background_owner(ngx_http_background_zone, owner)
               == NULL
            && ngx_http_background_cell_interrupted(cell))
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_background_record_judge(ngx_http_background_record_t *record,
    ngx_uint_t success, ngx_uint_t fails, ngx_uint_t passes)
{
    if (success) {
        ngx_http_background_store(&record->failures, 0);

        if (ngx_http_background_add(&record->successes, 1) + 1 >= passes) {
            ngx_http_background_store(&record->unhealthy, 0);
        }

        return;
    }

    ngx_http_background_store(&record->successes, 0);

    if (ngx_http_background_add(&record->failures, 1) + 1 >= fails) {
        ngx_http_background_store(&record->unhealthy, 1);
    }
}


ngx_uint_t
ngx_http_background_record_verdict(ngx_http_background_record_t *record,
    uint64_t *failures)
{
    *failures = ngx_http_background_load(&record->failures);

    return !ngx_http_background_load(&record->unhealthy);
}


ngx_int_t
ngx_http_background_budget_take(ngx_uint_t first, ngx_uint_t last)
{
    uint64_t                     slot;
    ngx_uint_t                   i;
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    for (i = first; i < last && ngx_http_background_life; i++) {
        slot = ngx_http_background_load(&zone->budget[i]);

        if (ngx_http_background_holder(zone, slot) == NULL
            && ngx_http_background_cas(&zone->budget[i], &slot,
                                       (uint64_t) 1 << 48
                                       | ngx_http_background_life))
        {
            return i;
        }
    }

    return NGX_AGAIN;
}


void
ngx_http_background_budget_release(ngx_int_t slot)
{
    uint64_t  word;

    word = (uint64_t) 1 << 48 | ngx_http_background_life;

    (void) ngx_http_background_cas(&ngx_http_background_zone->budget[slot],
                                   &word, 0);
}


void
ngx_http_background_budget_waiting(
    const ngx_http_background_waiting_t *waiting)
{
    ngx_uint_t                     i;
    ngx_http_background_member_t  *member;

    member = ngx_http_background_member;

    if (member == NULL) {
        return;
    }

    ngx_http_background_store(&member->queued, (uint32_t) waiting->queued);

    for (i = 0; i < 2; i++) {
        ngx_http_background_store(&member->ready[i],
                                  (uint32_t) waiting->ready[i]);
        ngx_http_background_store(&member->parked[i],
                                  (uint32_t) waiting->parked[i]);
    }
}


ngx_uint_t
ngx_http_background_budget_ready(ngx_uint_t reserved)
{
    return ngx_http_background_others_wait(reserved, 0);
}


ngx_uint_t
ngx_http_background_budget_wanted(ngx_uint_t reserved)
{
    return ngx_http_background_others_wait(reserved, 1);
}


static ngx_uint_t
ngx_http_background_others_wait(ngx_uint_t reserved, ngx_uint_t parked)
{
    ngx_uint_t                     i, n;
    ngx_http_background_member_t  *member;

    n = ngx_http_background_load(&ngx_http_background_zone->nmembers);

    for (i = 0; i < n; i++) {
        member = &ngx_http_background_zone->members[i];

        if (member == ngx_http_background_member) {
            continue;
        }

        if (ngx_http_background_load(&member->ready[reserved])
            || (parked
                && ngx_http_background_load(&member->parked[reserved])))
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_background_budget_completed(ngx_uint_t n, uint64_t usec)
{
    ngx_http_background_zone_t  *zone;

    zone = ngx_http_background_zone;

    (void) ngx_http_background_add(&zone->jobs_completed, n);
    (void) ngx_http_background_add(&zone->jobs_usec, usec);
}


ngx_uint_t
ngx_http_background_zone_changes(void)
{
    return ngx_http_background_changes;
}


/* with "workers all" the oldest time of all cells is kept */

void
ngx_http_background_record_keep(ngx_http_background_record_t *record,
    ngx_http_background_kept_t *kept)
{
    ngx_http_background_cell_t          *cell;
    ngx_http_background_duty_info_t      duty;
    const ngx_http_background_stats_t   *stats;

    ngx_memzero(kept, sizeof(ngx_http_background_kept_t));

    kept->paused = ngx_http_background_load(&record->orders->paused);

    for (cell = record->cells;
         cell;
         cell = ngx_http_background_load(&cell->next))
    {
        ngx_http_background_duty_read(cell->duty, &duty);

        if (kept->checked == 0
            || (duty.checked && duty.checked < kept->checked))
        {
            kept->checked = duty.checked;
        }

        stats = ngx_http_background_cell_stats(cell);

        if (stats->last.finished_at > kept->finished_at) {
            kept->started_at = stats->last.started_at;
            kept->finished_at = stats->last.finished_at;
            kept->success = stats->last.success;
        }
    }
}


/* called before any worker uses the zone, so words have no tag of an owner */

void
ngx_http_background_record_restore(ngx_http_background_record_t *record,
    ngx_http_background_kept_t *kept)
{
    uint64_t                      time;
    ngx_http_background_cell_t   *cell;
    ngx_http_background_stats_t  *stats;

    record->orders->paused = kept->paused;

    for (cell = record->cells; cell; cell = cell->next) {
        cell->duty->checked = kept->checked;

        if (kept->finished_at == 0) {
            continue;
        }

        time = ngx_max(kept->started_at, kept->finished_at);

        stats = cell->stats[ngx_http_background_published(cell->version)];
        stats->last.started_at = kept->started_at;
        stats->last.finished_at = kept->finished_at;
        stats->last.wall_time = time - kept->started_at;
        stats->last.success = kept->success;

        if (kept->success) {
            stats->success_at = kept->finished_at;

        } else {
            stats->failure_at = kept->finished_at;
        }
    }
}


uint64_t
ngx_http_background_state_ask(ngx_http_background_zone_t *zone)
{
    return ngx_http_background_add(&zone->asked, 1);
}


ngx_uint_t
ngx_http_background_state_answered(ngx_http_background_zone_t *zone,
    uint64_t number)
{
    return ngx_http_background_load(&zone->answered) >= number;
}


ngx_uint_t
ngx_http_background_state_wanted(ngx_http_background_zone_t *zone)
{
    return !ngx_http_background_state_answered(zone,
                                      ngx_http_background_load(&zone->asked));
}


uint64_t
ngx_http_background_state_asked(ngx_http_background_zone_t *zone)
{
    return ngx_http_background_load(&zone->asked);
}


void
ngx_http_background_state_answer(ngx_http_background_zone_t *zone,
    uint64_t number)
{
    ngx_http_background_store(&zone->answered, number);
}


uint64_t
ngx_http_background_zone_told(ngx_http_background_zone_t *zone)
{
    return ngx_http_background_load(&zone->told);
}


void
ngx_http_background_zone_tell(ngx_http_background_zone_t *zone)
{
    (void) ngx_http_background_add(&zone->told, 1);
}


/* the lock is held by a process, so a revoked worker keeps it */

ngx_int_t
ngx_http_background_lock_take(ngx_http_background_lock_t *lock,
    uint64_t waiter)
{
    uint64_t    first, holder, waited;
    ngx_uint_t  waits;

    if (ngx_http_background_life == 0) {
        return NGX_BUSY;
    }

    first = ngx_http_background_load(&lock->waiter);
    waited = ngx_http_background_load(&lock->waited);
    holder = ngx_http_background_load(&lock->holder);

    waits = first && ngx_current_msec - ngx_min(waited, ngx_current_msec)
                     < NGX_HTTP_BACKGROUND_WAITS;

    if (!waits || first == waiter) {

        if (ngx_http_background_holder(ngx_http_background_zone, holder)
            == NULL
            && ngx_http_background_cas(&lock->holder, &holder,
                                       (uint64_t) 1 << 48
                                       | ngx_http_background_life))
        {
            (void) ngx_http_background_cas(&lock->waiter, &first, 0);
            return NGX_OK;
        }

        if (ngx_http_background_cas(&lock->waiter, &first, waiter)) {
            ngx_http_background_store(&lock->waited, ngx_current_msec);
        }
    }

    return NGX_BUSY;
}


void
ngx_http_background_lock_release(ngx_http_background_lock_t *lock)
{
    uint64_t  word;

    word = (uint64_t) 1 << 48 | ngx_http_background_life;

    (void) ngx_http_background_cas(&lock->holder, &word, 0);
}


void
ngx_http_background_zone_info(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_info_t *info)
{
    ngx_uint_t                   i, n;
    ngx_http_background_zone_t  *zone;

    zone = zcf->zone;

    info->generation = ngx_http_background_load(&zone->generation);
    info->created = zone->created;
    info->jobs_completed = ngx_http_background_load(&zone->jobs_completed);
    info->jobs_usec = ngx_http_background_load(&zone->jobs_usec);
    info->free = zone->shpool->pfree * ngx_pagesize;

    info->jobs_running = 0;

    for (i = 0; i < NGX_HTTP_BACKGROUND_MAX_THREADS; i++) {
        if (ngx_http_background_holder(zone,
                               ngx_http_background_load(&zone->budget[i])))
        {
            info->jobs_running++;
        }
    }

    info->jobs_queued = 0;
    n = ngx_http_background_load(&zone->nmembers);

    for (i = 0; i < n; i++) {
        info->jobs_queued +=
                         ngx_http_background_load(&zone->members[i].queued);
    }
}


/*
 * Copies the used part of the error only: the array is more than half of the
 * structure.
 */

static void
ngx_http_background_stats_copy(ngx_http_background_stats_t *dst,
    ngx_http_background_stats_t *src)
{
    ngx_memcpy(dst, src, offsetof(ngx_http_background_stats_t, error));

    /*
     * A copy that is being written may have any length here.  The caller finds
     * that out by "version" and reads again.
     */

    ngx_memcpy(dst->error, src->error,
               ngx_min(dst->error_len, NGX_HTTP_BACKGROUND_ERROR_LEN));
}


void
ngx_http_background_cell_read(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_snapshot_t *snapshot)
{
    uint64_t                       version, begun, owner, pending;
    ngx_http_background_member_t  *member;

    /* "version" changes when a cycle has been recorded meanwhile */

    do {
        version = ngx_http_background_load(&cell->version);
        ngx_http_background_stats_copy(&snapshot->stats,
                        cell->stats[ngx_http_background_published(version)]);
        begun = ngx_http_background_word_get(&cell->begun);
        snapshot->waiting = ngx_http_background_word_get(&cell->waiting);
        pending = ngx_http_background_word_get(&cell->pending);
        snapshot->progress_done =
                        ngx_http_background_word_get(&cell->progress_done);
        snapshot->progress_total =
                        ngx_http_background_word_get(&cell->progress_total);
        snapshot->started = ngx_http_background_word_get(&cell->started);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (ngx_http_background_load(&cell->version) != version);

    snapshot->created = ngx_http_background_load(&cell->created);
    snapshot->declined = ngx_http_background_load(&cell->declined);
    snapshot->skipped = ngx_http_background_load(&cell->skipped);

    ngx_http_background_duty_read(cell->duty, &snapshot->duty);

    snapshot->begun = begun;
    snapshot->abandoned = snapshot->stats.abandoned;
    snapshot->running = begun
                        - ngx_min(begun, snapshot->stats.recorded
                                         + snapshot->abandoned);

    owner = ngx_http_background_load(&cell->owner);
    member = ngx_http_background_owner(zone, owner);

    if (member) {
        snapshot->pid = ngx_http_background_load(&member->pid);
        snapshot->worker = member->worker;
        member = ngx_http_background_owner(zone, owner);
    }

    snapshot->leased = (member != NULL);

    if (member == NULL) {
        snapshot->running = 0;
        snapshot->abandoned = 0;
        snapshot->waiting = 0;
    }

    snapshot->queued = (snapshot->waiting && snapshot->waiting >= pending)
                       ? snapshot->running : 0;
}


/*
 * Reads a few words as ngx_http_background_cell_read() does.  It is called
 * during requests, for their variables.
 */

void
ngx_http_background_cell_timing(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_timing_t *timing)
{
    uint64_t                            version, begun, recorded, owner;
    const ngx_http_background_stats_t  *stats;

    do {
        version = ngx_http_background_load(&cell->version);
        stats = cell->stats[ngx_http_background_published(version)];

        timing->due = ngx_http_background_load(&stats->due);
        timing->failures = ngx_http_background_load(&stats->failures);
        timing->abandoned = ngx_http_background_load(&stats->abandoned);
        recorded = ngx_http_background_load(&stats->recorded);

        begun = ngx_http_background_word_get(&cell->begun);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (ngx_http_background_load(&cell->version) != version);

    timing->created = ngx_http_background_load(&cell->created);
    timing->started = ngx_http_background_word_get(&cell->started);
    timing->waiting = ngx_http_background_word_get(&cell->waiting);
    timing->state = ngx_http_background_sequence(version) + begun + 1;
    timing->hangs = ngx_http_background_cell_hangs(zone, cell);

    owner = ngx_http_background_load(&cell->owner);

    timing->running = ngx_http_background_owner(zone, owner)
                      ? begun - ngx_min(begun, recorded + timing->abandoned)
                      : 0;
}


void
ngx_http_background_cell_judge(ngx_http_background_cell_t *cell,
    uint64_t state, ngx_uint_t late)
{
    if (ngx_http_background_cell_judged(cell, state) != late) {
        ngx_http_background_store(&cell->late, late ? state : 0);
    }
}


ngx_uint_t
ngx_http_background_cell_judged(ngx_http_background_cell_t *cell,
    uint64_t state)
{
    return ngx_http_background_load(&cell->late) == state;
}


/*
 * Each field is one word, and its value in either copy is valid, so "version"
 * is not checked again.
 */

ngx_uint_t
ngx_http_background_cell_unhealthy(ngx_http_background_cell_t *cell)
{
    uint64_t                      version;
    ngx_http_background_stats_t  *stats;

    version = ngx_http_background_load(&cell->version);
    stats = cell->stats[ngx_http_background_published(version)];

    return ngx_http_background_load(&stats->unhealthy)
           || ngx_http_background_load(&stats->abandoned);
}


/* whether a cycle of "arrived" has an abandoned job */

ngx_uint_t
ngx_http_background_record_abandoned(ngx_http_background_record_t *record)
{
    ngx_http_background_cell_t         *cell;
    const ngx_http_background_stats_t  *stats;

    cell = ngx_http_background_load(&record->arrived);

    for ( /* void */ ; cell; cell = ngx_http_background_load(&cell->next)) {
        stats = ngx_http_background_cell_stats(cell);

        if (ngx_http_background_load(&stats->abandoned)) {
            return 1;
        }
    }

    return 0;
}
