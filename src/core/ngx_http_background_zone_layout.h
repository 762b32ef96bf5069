
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The contents of the zone, for the files that implement
 * ngx_http_background_zone.h.
 */


#ifndef _NGX_HTTP_BACKGROUND_ZONE_LAYOUT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_ZONE_LAYOUT_H_INCLUDED_


#include "ngx_http_background_zone.h"
#include "ngx_http_background_word.h"

#include <pthread.h>


#define NGX_HTTP_BACKGROUND_MAGIC    0x646e756f72676b62    /* "bkground" */

/*
 * The number changes with the meaning of the contents of the zone, the other
 * parts with the sizes of the structures.
 */
#define NGX_HTTP_BACKGROUND_LAYOUT                                           \
    (((uint64_t) 11 << 60                                                    \
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
    uint32_t                        ncells;       /* that the last configuration
                                                     with the task uses, written
                                                     by the master only */
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


/*
 * The registration of this worker; "self" is the word that this worker writes
 * as an owner.  Only the death of the worker frees its slots of the budget and
 * "held", so their word, "life", has the life of the registration instead of
 * its epoch.
 */
extern ngx_http_background_zone_t    *ngx_http_background_zone;
extern ngx_http_background_member_t  *ngx_http_background_member;
extern uint64_t                       ngx_http_background_self;
extern uint64_t                       ngx_http_background_life;


/*
 * Called by the master.
 *
 * of            NULL: another version of the module has created the zone
 * before        the zone of the running configuration, if its size is another
 *               one, or NULL
 * resized       copies the counters of that zone
 * record_copy   copies the task from that zone
 * sweep         frees records that neither this configuration nor a running
 *               process uses
 * children      the number of child processes
 * members_init  creates the registrations of a new zone
 * bury          frees the registrations of dead workers
 */
ngx_http_background_zone_t *ngx_http_background_zone_of(
    ngx_shm_zone_t *shm_zone);
ngx_http_background_record_t *ngx_http_background_zone_lookup(
    ngx_http_background_zone_t *zone, u_char *name, size_t len);
ngx_uint_t ngx_http_background_record_is(
    const ngx_http_background_record_t *record, const u_char *name, size_t len);
ngx_http_background_cell_t *ngx_http_background_cell_create(
    ngx_http_background_zone_t *zone, ngx_http_background_record_t *record,
    ngx_uint_t unhealthy);
void ngx_http_background_cells_free(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell);

ngx_shm_zone_t *ngx_http_background_zone_before(
    ngx_http_background_zone_conf_t *zcf);
void ngx_http_background_zone_resized(ngx_http_background_zone_conf_t *zcf,
    ngx_shm_zone_t *before);
ngx_int_t ngx_http_background_record_copy(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_record_t *record);
void ngx_http_background_zone_sweep(ngx_http_background_zone_conf_t *zcf);
ngx_uint_t ngx_http_background_zone_children(void);
ngx_int_t ngx_http_background_members_init(ngx_http_background_zone_t *zone,
    ngx_log_t *log);
void ngx_http_background_zone_bury(ngx_http_background_zone_t *zone,
    ngx_log_t *log);


/*
 * Who owns a word.
 *
 * owner   the registration that "owner" names, or NULL if its epoch has passed
 * writes  whether "owner" may still write to its cells: its process is not
 *         dead and has not noticed yet that it is revoked
 * holder  the registration of the process that holds a slot, a lock, or jobs
 *         on threads; NULL: none, or it is dead
 */
ngx_http_background_member_t *ngx_http_background_owner(
    ngx_http_background_zone_t *zone, uint64_t owner);
ngx_uint_t ngx_http_background_writes(ngx_http_background_zone_t *zone,
    uint64_t owner);
ngx_http_background_member_t *ngx_http_background_holder(
    ngx_http_background_zone_t *zone, uint64_t held);


/*
 * Called by the owner of a cell.
 *
 * survived  a cycle has ended and the worker did not die
 * ring_add  adds the cause of a cycle
 */
void ngx_http_background_record_survived(
    ngx_http_background_record_t *record);
void ngx_http_background_ring_add(ngx_http_background_cell_t *cell,
    uint64_t number, const ngx_http_background_cause_t *cause);


#endif /* _NGX_HTTP_BACKGROUND_ZONE_LAYOUT_H_INCLUDED_ */
