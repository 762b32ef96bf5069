
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What a reload does with the contents of the zone: it frees what no process
 * uses, and copies the rest to a zone of another size.
 */


#include "ngx_http_background_zone_layout.h"


/* in the master: the configuration that a child process was started with */

typedef struct {
    ngx_pid_t                       pid;
    uint64_t                        generation;
} ngx_http_background_process_t;


static void ngx_http_background_zone_sweep_locks(
    ngx_http_background_zone_conf_t *zcf, uint64_t oldest);
static uint64_t ngx_http_background_zone_oldest(
    ngx_http_background_zone_t *zone);
static ngx_int_t ngx_http_background_cells_copy(
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_record_t *record,
    ngx_http_background_cell_t **last, ngx_http_background_cell_t *from);
static void ngx_http_background_cell_copy(ngx_http_background_cell_t *cell,
    ngx_http_background_zone_t *zone, ngx_http_background_cell_t *from);


static ngx_http_background_process_t
    ngx_http_background_processes[NGX_MAX_PROCESSES];


void
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


ngx_uint_t
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


/* while a configuration is read, ngx_cycle is the running one */

ngx_shm_zone_t *
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


/* workers of the old zone still run, what they add later is not copied */

void
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


ngx_int_t
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

    record->ncells = from->ncells;
    record->crashes = ngx_http_background_load(&from->crashes);
    record->unhealthy = ngx_http_background_load(&from->unhealthy);
    record->failures = ngx_http_background_load(&from->failures);
    record->successes = ngx_http_background_load(&from->successes);
    record->number = ngx_http_background_load(&from->number);
    ngx_memcpy(record->history, from->history, sizeof(record->history));

    /* a text that is written meanwhile has a wrong CRC, so it is not read */

    record->ntexts = ngx_http_background_load(&from->ntexts);
    ngx_memcpy(record->texts, from->texts, sizeof(record->texts));

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
