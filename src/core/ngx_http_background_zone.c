
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_zone.h"

#include <pthread.h>
#include <signal.h>


#define NGX_HTTP_BACKGROUND_MAGIC    0x646e756f72676b62    /* "bkground" */

/*
 * The number changes when the meaning of the zone's contents changes, the rest
 * with their sizes.
 */
#define NGX_HTTP_BACKGROUND_LAYOUT                                           \
    ((uint64_t) 5 << 60                                                      \
     | (uint64_t) sizeof(ngx_http_background_stats_t) << 49                  \
     | (uint64_t) sizeof(ngx_http_background_cell_t) << 39                   \
     | (uint64_t) sizeof(ngx_http_background_record_t) << 27                 \
     | (uint64_t) sizeof(ngx_http_background_member_t) << 18                 \
     | (uint64_t) sizeof(ngx_http_background_zone_t))

/* chunks of the slab, the first one is the largest on a page of 4K */
#define NGX_HTTP_BACKGROUND_RECORD_CHUNK  2048
#define NGX_HTTP_BACKGROUND_STATS_CHUNK   1024
#define NGX_HTTP_BACKGROUND_CELL_CHUNK    512

/*
 * How long a worker whose main thread is dead keeps what it owns while other
 * threads of it are still in system calls, in milliseconds.
 */
#define NGX_HTTP_BACKGROUND_LINGER   5000

#define ngx_http_background_load(p)                                          \
    __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define ngx_http_background_store(p, v)                                      \
    __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define ngx_http_background_add(p, v)                                        \
    __atomic_add_fetch(p, v, __ATOMIC_ACQ_REL)
#define ngx_http_background_cas(p, old, new)                                 \
    __atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_ACQ_REL,            \
                                __ATOMIC_ACQUIRE)


/*
 * A registration.  The owner holds the mutex; "epoch" changes when the owner
 * is known to be gone, before "pid" is 0 and the registration is free for
 * another one.
 */

typedef struct {
    pthread_mutex_t                 mutex;
    uint64_t                        epoch;
    uint64_t                        generation;
    uint64_t                        died;         /* when it was seen first that
                                                     the main thread is dead */
    uint32_t                        pid;          /* 0: free */
    uint32_t                        worker;
    uint32_t                        queued;       /* jobs that wait, */
    uint32_t                        ready;        /* of these with a thread */
    uint32_t                        parked;
} ngx_http_background_member_t;


#define ngx_http_background_pages(n, size)                                   \
    (((n) * (size) + ngx_pagesize - 1) / ngx_pagesize)


/*
 * Only the owner writes a cell, but where noted.  An entry of the ring has the
 * number of its cycle, or 0 while it is written.
 */

typedef struct {
    uint64_t                        number;
    ngx_http_background_cause_t     cause;
} ngx_http_background_ring_t;


struct ngx_http_background_cell_s {
    ngx_http_background_cell_t     *next;
    uint64_t                        owner;
    uint64_t                        version;      /* published: stats[% 2] */
    uint64_t                        created;
    uint64_t                        begun;        /* cycles */
    uint64_t                        started;      /* the oldest under way */
    uint64_t                        spared;       /* "begun" when others' crash
                                                     ended cycles */
    uint64_t                        blamed;       /* of one that crashed */
    uint64_t                        declined;
    uint64_t                        skipped;
    uint64_t                        progress_done;
                                                  /* by any thread */
    uint64_t                        progress_total;
                                                  /* by any thread */
    uint64_t                        late;         /* the state in which it is,
                                                     by any worker; 0: none */
    uint32_t                        waiting;      /* by any thread */
    ngx_http_background_stats_t    *stats[2];
    ngx_http_background_ring_t      causes[NGX_HTTP_BACKGROUND_CAUSES];
};


/*
 * Any worker may add to the history at any time, and die while it does.  An
 * entry is two words, each written at once and marked with the low bits of
 * the cycle's number: words of different cycles are never taken for one.
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
    uint64_t                        generation;   /* the last that has it */
    uint32_t                        crashes;
    uint32_t                        name_len;
    u_char                          name[NGX_HTTP_BACKGROUND_NAME_LEN];
    uint64_t                        number;       /* of the last cycle */
    ngx_http_background_stored_t    history[NGX_HTTP_BACKGROUND_HISTORY];
};


struct ngx_http_background_zone_s {
    uint64_t                        magic;
    uint64_t                        layout;
    uint64_t                        created;
    uint64_t                        generation;
    uint64_t                        jobs_completed;
    uint64_t                        jobs_usec;
    ngx_slab_pool_t                *shpool;
    ngx_http_background_record_t   *records;      /* the master's alone */
    uint64_t                        budget[NGX_HTTP_BACKGROUND_MAX_THREADS];
    uint32_t                        nmembers;     /* ever used */
    ngx_http_background_member_t    members[NGX_MAX_PROCESSES];
};


/* the master's own: what its children were started with */

typedef struct {
    ngx_pid_t                       pid;
    uint64_t                        generation;
} ngx_http_background_process_t;


/* what is larger than its chunk would take the next one, or a page */

typedef char  ngx_http_background_cell_fits
    [sizeof(ngx_http_background_cell_t) <= NGX_HTTP_BACKGROUND_CELL_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_stats_fit
    [sizeof(ngx_http_background_stats_t) <= NGX_HTTP_BACKGROUND_STATS_CHUNK
     ? 1 : -1];
typedef char  ngx_http_background_record_fits
    [sizeof(ngx_http_background_record_t) <= NGX_HTTP_BACKGROUND_RECORD_CHUNK
     ? 1 : -1];


static ngx_int_t ngx_http_background_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_background_zone_create(
    ngx_http_background_zone_conf_t *zcf);
static ngx_uint_t ngx_http_background_zone_resized(
    ngx_http_background_zone_conf_t *zcf);
static ngx_int_t ngx_http_background_zone_reuse(
    ngx_http_background_zone_conf_t *zcf);
static ngx_int_t ngx_http_background_zone_add_task(
    ngx_http_background_zone_t *zone, ngx_http_background_zone_task_t *task);
static ngx_int_t ngx_http_background_zone_add_cells(
    ngx_http_background_zone_t *zone, ngx_http_background_cell_t **last,
    ngx_uint_t n);
static ngx_http_background_cell_t *ngx_http_background_cell_create(
    ngx_http_background_zone_t *zone);
static void ngx_http_background_cells_free(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell);
static ngx_uint_t ngx_http_background_zone_children(void);
static ngx_http_background_record_t *ngx_http_background_zone_lookup(
    ngx_http_background_zone_t *zone, ngx_str_t *name);
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
static ngx_int_t ngx_http_background_member_lock(
    ngx_http_background_member_t *member);
static void ngx_http_background_member_free(
    ngx_http_background_member_t *member, uint64_t epoch, uint32_t pid,
    ngx_log_t *log);
static ngx_uint_t ngx_http_background_process_exists(uint32_t pid);
static void ngx_http_background_member_idle(
    ngx_http_background_member_t *member);
static ngx_http_background_member_t *ngx_http_background_owner(
    ngx_http_background_zone_t *zone, uint64_t owner);
static ngx_int_t ngx_http_background_take(uint64_t *word);
static ngx_int_t ngx_http_background_cell_own(
    ngx_http_background_cell_t *cell);
static void ngx_http_background_give(uint64_t *word);
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
static ngx_uint_t ngx_http_background_others_wait(ngx_uint_t parked);


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


/* this worker's registration; ngx_http_background_self is what it writes */

static ngx_http_background_zone_t    *ngx_http_background_zone;
static ngx_http_background_member_t  *ngx_http_background_member;
static uint64_t                       ngx_http_background_self;


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
    ngx_uint_t                         i, n;
    ngx_core_conf_t                   *ccf;
    ngx_http_background_zone_task_t  **tasks;

    ccf = (ngx_core_conf_t *) ngx_get_conf(zcf->cycle->conf_ctx,
                                           ngx_core_module);

    zcf->workers = ccf->master ? ccf->worker_processes : 1;

    tasks = zcf->tasks.elts;

    /* workers of other configurations may still have theirs */

    n = zcf->workers + ngx_http_background_zone_children();

    for (i = 0; i < zcf->tasks.nelts; i++) {
        tasks[i]->cells = tasks[i]->all ? zcf->workers : 1;
        tasks[i]->arrived = tasks[i]->arrives ? n : 0;
    }

    if (data || shm_zone->shm.exists) {
        rc = ngx_http_background_zone_reuse(zcf);

    } else {
        rc = ngx_http_background_zone_create(zcf);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < zcf->tasks.nelts; i++) {
        if (ngx_http_background_zone_add_task(zcf->zone, tasks[i]) != NGX_OK) {
            return ngx_http_background_zone_too_small(zcf);
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
    ngx_slab_pool_t             *shpool;
    pthread_mutexattr_t          attr;
    ngx_http_background_zone_t  *zone;

    log = zcf->shm_zone->shm.log;
    shpool = (ngx_slab_pool_t *) zcf->shm_zone->shm.addr;

    /* what does not fit is told in words of our own */
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

    if (ngx_http_background_zone_resized(zcf)) {

        if (ngx_process == NGX_PROCESS_SINGLE) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "background_zone can't be changed while nginx runs "
                          "with \"master_process off\" in %s:%ui",
                          zcf->file, zcf->line);
            return NGX_ERROR;
        }

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "background: zone size changed to %uz, "
                      "statistics start anew", zcf->size);
    }

    zone->magic = NGX_HTTP_BACKGROUND_MAGIC;
    zone->layout = NGX_HTTP_BACKGROUND_LAYOUT;
    zone->created = ngx_current_msec;
    zone->shpool = shpool;

    shpool->data = zone;
    zcf->zone = zone;

    return NGX_OK;
}


/* while the configuration is read, ngx_cycle is the one in use so far */

static ngx_uint_t
ngx_http_background_zone_resized(ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].tag == zcf->shm_zone->tag
            && shm_zone[i].shm.size != zcf->size)
        {
            return 1;
        }
    }
}


static ngx_int_t
ngx_http_background_zone_reuse(ngx_http_background_zone_conf_t *zcf)
{
    ngx_slab_pool_t             *shpool;
    ngx_http_background_zone_t  *zone;

    shpool = (ngx_slab_pool_t *) zcf->shm_zone->shm.addr;
    zone = shpool->data;

    if (zone == NULL
        || zone->magic != NGX_HTTP_BACKGROUND_MAGIC
        || zone->layout != NGX_HTTP_BACKGROUND_LAYOUT)
    {
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


static ngx_int_t
ngx_http_background_zone_add_task(ngx_http_background_zone_t *zone,
    ngx_http_background_zone_task_t *task)
{
    ngx_http_background_record_t  *record;

    record = ngx_http_background_zone_lookup(zone, &task->name);

    if (record == NULL) {
        record = ngx_slab_calloc(zone->shpool,
                                 sizeof(ngx_http_background_record_t));
        if (record == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(record->name, task->name.data, task->name.len);
        record->name_len = task->name.len;

        record->next = zone->records;
        zone->records = record;
    }

    task->record = record;

    if (ngx_http_background_zone_add_cells(zone, &record->cells, task->cells)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_zone_add_cells(zone, &record->arrived,
                                              task->arrived);
}


/* cells are only added: workers of the configuration in use have them */

static ngx_int_t
ngx_http_background_zone_add_cells(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t **last, ngx_uint_t n)
{
    ngx_http_background_cell_t  *cell;

    for ( /* void */ ; n; n--) {

        if (*last == NULL) {
            cell = ngx_http_background_cell_create(zone);
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
ngx_http_background_cell_create(ngx_http_background_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_http_background_cell_t   *cell;
    ngx_http_background_stats_t  *stats;

    cell = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_background_cell_t));
    if (cell == NULL) {
        return NULL;
    }

    for (i = 0; i < 2; i++) {
        stats = ngx_slab_calloc(zone->shpool,
                                sizeof(ngx_http_background_stats_t));
        if (stats == NULL) {
            ngx_http_background_cells_free(zone, cell);
            return NULL;
        }

        cell->stats[i] = stats;
    }

    cell->created = ngx_current_msec;

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

        for (i = 0; i < 2; i++) {
            if (cell->stats[i]) {
                ngx_slab_free(zone->shpool, cell->stats[i]);
            }
        }

        ngx_slab_free(zone->shpool, cell);
    }
}


static ngx_http_background_record_t *
ngx_http_background_zone_lookup(ngx_http_background_zone_t *zone,
    ngx_str_t *name)
{
    ngx_http_background_record_t  *record;

    for (record = zone->records; record; record = record->next) {
        if (record->name_len == name->len
            && ngx_memcmp(record->name, name->data, name->len) == 0)
        {
            return record;
        }
    }

    return NULL;
}


/* frees what neither this configuration nor a live process may use */

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

        for (i = 0; i < zcf->tasks.nelts; i++) {
            if (record->name_len == tasks[i]->name.len
                && ngx_memcmp(record->name, tasks[i]->name.data,
                              record->name_len)
                   == 0)
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

        ngx_slab_free(zcf->zone->shpool, record);
    }
}


/* the master's processes */

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
 * A child that was not there when the configuration was read before is one of
 * that configuration.  The registrations would not do: on a busy host a worker
 * may come to register itself after more than one reload.
 */

static uint64_t
ngx_http_background_zone_oldest(ngx_http_background_zone_t *zone)
{
    uint64_t                        oldest;
    ngx_int_t                       i;
    ngx_process_t                  *process;
    ngx_http_background_process_t  *known;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        /* it goes on with the configuration that it was started with */
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
 * What the slab pool needs for itself: see ngx_slab_init(), which has two
 * structures for each size of chunks, one for each page, and aligns.
 */

static ngx_int_t
ngx_http_background_zone_too_small(ngx_http_background_zone_conf_t *zcf)
{
    size_t                             size;
    ngx_uint_t                         i, cells, pages;
    ngx_slab_pool_t                   *shpool;
    ngx_http_background_zone_task_t  **tasks;

    cells = 0;
    tasks = zcf->tasks.elts;

    for (i = 0; i < zcf->tasks.nelts; i++) {
        cells += tasks[i]->cells + tasks[i]->arrived;
    }

    pages = ngx_http_background_pages(1, sizeof(ngx_http_background_zone_t))
            + ngx_http_background_pages(zcf->tasks.nelts,
                                        NGX_HTTP_BACKGROUND_RECORD_CHUNK)
            + ngx_http_background_pages(cells, NGX_HTTP_BACKGROUND_CELL_CHUNK)
            + ngx_http_background_pages(2 * cells,
                                        NGX_HTTP_BACKGROUND_STATS_CHUNK);

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
        ngx_http_background_store(&tasks[i]->record->crashes, 0);
    }
}


/*
 * All registrations are of children of this master process.  A pid that is none
 * of them any more may be that of another process by now.
 */

static void
ngx_http_background_zone_bury(ngx_http_background_zone_t *zone, ngx_log_t *log)
{
    uint32_t                       pid;
    uint64_t                       epoch;
    ngx_uint_t                     i;
    ngx_http_background_member_t  *member;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        return;
    }

    for (i = 0; i < zone->nmembers; i++) {
        member = &zone->members[i];

        epoch = ngx_http_background_load(&member->epoch);
        pid = ngx_http_background_load(&member->pid);

        if (!ngx_http_background_process_child(pid)) {
            ngx_http_background_member_free(member, epoch, pid, log);
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
    ngx_http_background_self =
                        ngx_http_background_add(&member->epoch, 1) << 16
                        | (i + 1);

    return NGX_OK;
}


void
ngx_http_background_zone_leave(void)
{
    ngx_http_background_member_t  *member;

    member = ngx_http_background_member;

    if (member == NULL) {
        return;
    }

    (void) ngx_http_background_add(&member->epoch, 1);
    ngx_http_background_member_idle(member);
    ngx_http_background_store(&member->pid, 0);

    (void) pthread_mutex_unlock(&member->mutex);

    ngx_http_background_member = NULL;
    ngx_http_background_self = 0;
}


ngx_uint_t
ngx_http_background_zone_current(void)
{
    return ngx_http_background_member
           && ngx_http_background_load(&ngx_http_background_zone->generation)
              == ngx_http_background_member->generation;
}


void
ngx_http_background_zone_reap(ngx_log_t *log)
{
    ngx_uint_t                     i, n;
    ngx_http_background_member_t  *member;

    n = ngx_http_background_load(&ngx_http_background_zone->nmembers);

    for (i = 0; i < n; i++) {
        member = &ngx_http_background_zone->members[i];

        if (member != ngx_http_background_member) {
            ngx_http_background_member_reap(member, log);
        }
    }
}


/*
 * The kernel marks the mutex when the main thread exits.  Other threads may
 * still be in a system call then, and the process exists until they are out of
 * it: what a job does last must not meet the work of the next owner, but a
 * thread that hangs must not keep the leases for ever.
 *
 * The kernel finds the mutex through the memory of the process.  A process that
 * overwrote it leaves the mutex locked, and that registration is not used any
 * more.
 */

static void
ngx_http_background_member_reap(ngx_http_background_member_t *member,
    ngx_log_t *log)
{
    uint32_t    pid;
    uint64_t    epoch;
    ngx_uint_t  exists;

    epoch = ngx_http_background_load(&member->epoch);
    pid = ngx_http_background_load(&member->pid);

    exists = ngx_http_background_process_exists(pid);

    if (ngx_http_background_member_lock(member) != NGX_OK) {
        if (!exists) {
            ngx_http_background_member_free(member, epoch, pid, log);
        }

        return;
    }

    if (member->died == 0) {
        member->died = ngx_current_msec;
    }

    if (!exists
        || ngx_current_msec - member->died >= NGX_HTTP_BACKGROUND_LINGER)
    {
        ngx_http_background_member_free(member, epoch, pid, log);
    }

    (void) pthread_mutex_unlock(&member->mutex);
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


/* other processes may do the same at the same time */

static void
ngx_http_background_member_free(ngx_http_background_member_t *member,
    uint64_t epoch, uint32_t pid, ngx_log_t *log)
{
    uint32_t  owner;

    if (pid == 0
        || !ngx_http_background_cas(&member->epoch, &epoch, epoch + 1))
    {
        return;
    }

    ngx_http_background_member_idle(member);

    owner = pid;
    (void) ngx_http_background_cas(&member->pid, &owner, 0);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "background: worker process %uD died, "
                  "its leases and jobs are free", pid);
}


/* false only when all threads of the process are gone and it was waited for */

static ngx_uint_t
ngx_http_background_process_exists(uint32_t pid)
{
    return pid && (kill((pid_t) pid, 0) == 0 || ngx_errno != NGX_ESRCH);
}


static void
ngx_http_background_member_idle(ngx_http_background_member_t *member)
{
    ngx_http_background_store(&member->queued, 0);
    ngx_http_background_store(&member->ready, 0);
    ngx_http_background_store(&member->parked, 0);
}


/* returns the registration that "owner" names, or NULL when it is over */

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


static ngx_int_t
ngx_http_background_take(uint64_t *word)
{
    uint64_t  owner;

    if (ngx_http_background_self == 0) {
        return NGX_AGAIN;
    }

    owner = ngx_http_background_load(word);

    if (ngx_http_background_owner(ngx_http_background_zone, owner)) {
        return NGX_AGAIN;
    }

    if (!ngx_http_background_cas(word, &owner, ngx_http_background_self)) {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


/* the jobs of an owner that died wait no more */

static ngx_int_t
ngx_http_background_cell_own(ngx_http_background_cell_t *cell)
{
    if (ngx_http_background_take(&cell->owner) != NGX_OK) {
        return NGX_AGAIN;
    }

    ngx_http_background_store(&cell->waiting, 0);

    return NGX_OK;
}


static void
ngx_http_background_give(uint64_t *word)
{
    uint64_t  owner;

    owner = ngx_http_background_self;

    if (owner) {
        (void) ngx_http_background_cas(word, &owner, 0);
    }
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


ngx_int_t
ngx_http_background_lease_take(ngx_http_background_cell_t *cell)
{
    if (ngx_http_background_self
        && ngx_http_background_load(&cell->owner) == ngx_http_background_self)
    {
        return NGX_OK;
    }

    /* after a reload they are for the new workers */

    if (!ngx_http_background_zone_current()) {
        return NGX_AGAIN;
    }

    return ngx_http_background_cell_own(cell);
}


void
ngx_http_background_lease_release(ngx_http_background_cell_t *cell)
{
    ngx_http_background_give(&cell->owner);
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

        /* another worker may have recorded it just before */

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
    uint64_t                     n;
    ngx_http_background_ring_t  *ring;

    n = cell->begun + 1;
    ring = &cell->causes[n % NGX_HTTP_BACKGROUND_CAUSES];

    ngx_http_background_store(&ring->number, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    ring->cause = *cause;

    ngx_http_background_store(&ring->number, n);

    if (ngx_http_background_cell_under_way(cell) == 0) {
        ngx_http_background_store(&cell->progress_done, 0);
        ngx_http_background_store(&cell->progress_total, 0);
        ngx_http_background_store(&cell->started, now);
    }

    ngx_http_background_store(&cell->begun, n);
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

            ngx_http_background_record_history(record, &history);
        }
    }

    ngx_http_background_cell_publish(cell);

    ngx_http_background_store(&cell->started, outcome->oldest);

    /* a worker that died has left its numbers */

    if (outcome->oldest == 0) {
        ngx_http_background_store(&cell->waiting, 0);
        ngx_http_background_store(&cell->progress_total, 0);
        ngx_http_background_store(&cell->progress_done, 0);
    }
}


static void
ngx_http_background_stats_total(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome)
{
    const ngx_http_background_last_t  *last;

    last = &outcome->last;

    stats->operations_completed += last->completed;
    stats->operations_failed += last->failed;
    stats->bytes += last->bytes;
    stats->io_time += last->io_time;
    stats->cpu_usec += last->cpu_usec;
    stats->wall_time += last->wall_time;

    switch (outcome->outcome) {

    case ngx_http_background_success:
        stats->cycles_completed += outcome->cycles;
        break;

    case ngx_http_background_failure:
        stats->cycles_failed += outcome->cycles - outcome->returned;
        break;

    default: /* ngx_http_background_cancel */
        stats->cycles_cancelled += outcome->cycles;
    }
}


/* not of a cycle that was cancelled */

static void
ngx_http_background_stats_ended(ngx_http_background_stats_t *stats,
    const ngx_http_background_outcome_t *outcome)
{
    ngx_uint_t                         i;
    const ngx_http_background_last_t  *last;

    last = &outcome->last;

    if (outcome->outcome == ngx_http_background_success) {
        stats->successes++;
        stats->failures = 0;
        stats->success_at = last->finished_at;

        if (outcome->passes && stats->successes >= outcome->passes) {
            stats->unhealthy = 0;
        }

    } else {
        stats->failures += outcome->cycles - outcome->returned;
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

    stats->buckets[i]++;
    stats->buckets_time += last->wall_time;
}


uint64_t
ngx_http_background_cell_interrupted(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_load(&cell->begun)
           - ngx_http_background_cell_stats(cell)->recorded;
}


/* but for what is abandoned */

static uint64_t
ngx_http_background_cell_under_way(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_cell_interrupted(cell)
           - ngx_http_background_cell_stats(cell)->abandoned;
}


uint64_t
ngx_http_background_cell_started(ngx_http_background_cell_t *cell)
{
    return ngx_http_background_load(&cell->started);
}


void
ngx_http_background_cell_spare(ngx_http_background_cell_t *cell)
{
    ngx_http_background_store(&cell->spared,
                              ngx_http_background_load(&cell->begun));
}


void
ngx_http_background_cell_blame(ngx_http_background_cell_t *cell)
{
    ngx_http_background_store(&cell->blamed,
                              ngx_http_background_load(&cell->begun));
}


ngx_uint_t
ngx_http_background_cell_spared(ngx_http_background_cell_t *cell)
{
    uint64_t  begun;

    begun = ngx_http_background_load(&cell->begun);

    return ngx_http_background_load(&cell->spared) == begun
           && ngx_http_background_load(&cell->blamed) != begun;
}


const ngx_http_background_stats_t *
ngx_http_background_cell_stats(ngx_http_background_cell_t *cell)
{
    return cell->stats[cell->version % 2];
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
 * A copy of the statistics to change, which publish() makes the published one;
 * a death in between leaves those before.
 */

static ngx_http_background_stats_t *
ngx_http_background_cell_edit(ngx_http_background_cell_t *cell)
{
    ngx_http_background_stats_t  *stats;

    /* a reader that sees what is written now has to see the last version */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    stats = cell->stats[(cell->version + 1) % 2];
    *stats = *ngx_http_background_cell_stats(cell);

    return stats;
}


static void
ngx_http_background_cell_publish(ngx_http_background_cell_t *cell)
{
    ngx_http_background_store(&cell->version, cell->version + 1);
}


void
ngx_http_background_cell_waiting(ngx_http_background_cell_t *cell, int n)
{
    (void) ngx_http_background_add(&cell->waiting, (uint32_t) n);
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
    int64_t done, int64_t total)
{
    (void) ngx_http_background_add(&cell->progress_total, (uint64_t) total);
    (void) ngx_http_background_add(&cell->progress_done, (uint64_t) done);
}


void
ngx_http_background_record_history(ngx_http_background_record_t *record,
    const ngx_http_background_history_t *history)
{
    uint64_t                       number, wall, failed;
    ngx_http_background_stored_t  *entry;

    number = ngx_http_background_add(&record->number, 1);
    entry = &record->history[number % NGX_HTTP_BACKGROUND_HISTORY];

    number &= 0xffff;
    wall = ngx_min(history->wall_time, 0xffffffff);
    failed = ngx_min(history->failed, 0xffff);

    ngx_http_background_store(&entry->finished,
                              history->finished_at << 16 | number);
    ngx_http_background_store(&entry->outcome,
                              wall << 32 | failed << 16 | number);
}


ngx_uint_t
ngx_http_background_cell_causes(ngx_http_background_cell_t *cell,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES])
{
    uint64_t                      number, last;
    ngx_uint_t                    n;
    ngx_http_background_ring_t   *ring;
    ngx_http_background_cause_t  *cause;

    n = 0;
    last = ngx_http_background_load(&cell->begun);
    number = (last < NGX_HTTP_BACKGROUND_CAUSES)
             ? 1 : last - NGX_HTTP_BACKGROUND_CAUSES + 1;

    for ( /* void */ ; number <= last; number++) {
        ring = &cell->causes[number % NGX_HTTP_BACKGROUND_CAUSES];
        cause = &causes[n];

        if (ngx_http_background_load(&ring->number) != number) {
            continue;
        }

        *cause = ring->cause;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (ngx_http_background_load(&ring->number) == number
            && cause->len <= NGX_HTTP_BACKGROUND_CAUSE_LEN)
        {
            n++;
        }
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
    return ngx_http_background_add(&record->crashes, 1);
}


/* a cycle has ended without the worker's death */

static void
ngx_http_background_record_survived(ngx_http_background_record_t *record)
{
    uint32_t  n;

    n = ngx_http_background_load(&record->crashes);

    while (n != 0 && n < NGX_HTTP_BACKGROUND_CRASHES) {
        if (ngx_http_background_cas(&record->crashes, &n, 0)) {
            break;
        }
    }
}


ngx_uint_t
ngx_http_background_record_crashes(ngx_http_background_record_t *record)
{
    return ngx_http_background_load(&record->crashes);
}


ngx_int_t
ngx_http_background_budget_take(ngx_uint_t threads)
{
    ngx_uint_t  i;

    for (i = 0; i < threads; i++) {
        if (ngx_http_background_take(&ngx_http_background_zone->budget[i])
            == NGX_OK)
        {
            return i;
        }
    }

    return NGX_AGAIN;
}


void
ngx_http_background_budget_release(ngx_int_t slot)
{
    ngx_http_background_give(&ngx_http_background_zone->budget[slot]);
}


void
ngx_http_background_budget_waiting(ngx_uint_t queued, ngx_uint_t ready,
    ngx_uint_t parked)
{
    ngx_http_background_member_t  *member;

    member = ngx_http_background_member;

    if (member) {
        ngx_http_background_store(&member->queued, (uint32_t) queued);
        ngx_http_background_store(&member->ready, (uint32_t) ready);
        ngx_http_background_store(&member->parked, (uint32_t) parked);
    }
}


ngx_uint_t
ngx_http_background_budget_ready(void)
{
    return ngx_http_background_others_wait(0);
}


ngx_uint_t
ngx_http_background_budget_wanted(void)
{
    return ngx_http_background_others_wait(1);
}


static ngx_uint_t
ngx_http_background_others_wait(ngx_uint_t parked)
{
    ngx_uint_t                     i, n;
    ngx_http_background_member_t  *member;

    n = ngx_http_background_load(&ngx_http_background_zone->nmembers);

    for (i = 0; i < n; i++) {
        member = &ngx_http_background_zone->members[i];

        if (member == ngx_http_background_member) {
            continue;
        }

        if (ngx_http_background_load(&member->ready)
            || (parked && ngx_http_background_load(&member->parked)))
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
        if (ngx_http_background_owner(zone,
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


void
ngx_http_background_cell_read(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_snapshot_t *snapshot)
{
    uint64_t                       version, begun, owner;
    ngx_http_background_member_t  *member;

    /* the version moves on only while cycles end: some copy is undisturbed */

    do {
        version = ngx_http_background_load(&cell->version);
        snapshot->stats = *cell->stats[version % 2];
        begun = ngx_http_background_load(&cell->begun);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (ngx_http_background_load(&cell->version) != version);

    snapshot->created = cell->created;
    snapshot->declined = ngx_http_background_load(&cell->declined);
    snapshot->skipped = ngx_http_background_load(&cell->skipped);
    snapshot->waiting = ngx_http_background_load(&cell->waiting);
    snapshot->progress_done = ngx_http_background_load(&cell->progress_done);
    snapshot->progress_total = ngx_http_background_load(&cell->progress_total);
    snapshot->started = ngx_http_background_load(&cell->started);

    snapshot->begun = begun;
    snapshot->abandoned = snapshot->stats.abandoned;
    snapshot->running = begun - snapshot->stats.recorded - snapshot->abandoned;

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
}


/* as cell_read(), of a few words: requests may ask for it */

void
ngx_http_background_cell_timing(ngx_http_background_zone_t *zone,
    ngx_http_background_cell_t *cell, ngx_http_background_timing_t *timing)
{
    uint64_t                            version, begun, recorded, owner;
    const ngx_http_background_stats_t  *stats;

    do {
        version = ngx_http_background_load(&cell->version);
        stats = cell->stats[version % 2];

        timing->due = ngx_http_background_load(&stats->due);
        timing->failures = ngx_http_background_load(&stats->failures);
        timing->abandoned = ngx_http_background_load(&stats->abandoned);
        recorded = ngx_http_background_load(&stats->recorded);

        begun = ngx_http_background_load(&cell->begun);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (ngx_http_background_load(&cell->version) != version);

    timing->created = cell->created;
    timing->started = ngx_http_background_load(&cell->started);
    timing->waiting = ngx_http_background_load(&cell->waiting);
    timing->state = version + begun + 1;

    owner = ngx_http_background_load(&cell->owner);

    timing->running = ngx_http_background_owner(zone, owner)
                      ? begun - recorded - timing->abandoned : 0;
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


/* single words: whichever copy has them, they are right or were so just now */

ngx_uint_t
ngx_http_background_cell_unhealthy(ngx_http_background_cell_t *cell)
{
    uint64_t                      version;
    ngx_http_background_stats_t  *stats;

    version = ngx_http_background_load(&cell->version);
    stats = cell->stats[version % 2];

    return ngx_http_background_load(&stats->unhealthy)
           || ngx_http_background_load(&stats->abandoned);
}


/* whether a job of a cycle that arrived is abandoned */

ngx_uint_t
ngx_http_background_record_abandoned(ngx_http_background_record_t *record)
{
    uint64_t                     version;
    ngx_http_background_cell_t  *cell;

    cell = ngx_http_background_load(&record->arrived);

    for ( /* void */ ; cell; cell = ngx_http_background_load(&cell->next)) {
        version = ngx_http_background_load(&cell->version);

        if (ngx_http_background_load(&cell->stats[version % 2]->abandoned)) {
            return 1;
        }
    }

    return 0;
}
