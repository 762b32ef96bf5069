
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The zone as the master makes it: tasks and their cells, for a configuration.
 */


#include "ngx_http_background_zone_layout.h"
#include "ngx_http_background_state.h"


#define ngx_http_background_pages(n, size)                                   \
    (((n) * (size) + ngx_pagesize - 1) / ngx_pagesize)


static ngx_int_t ngx_http_background_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_background_zone_count(
    ngx_http_background_zone_conf_t *zcf);
static ngx_int_t ngx_http_background_zone_add_tasks(
    ngx_http_background_zone_conf_t *zcf);
static ngx_int_t ngx_http_background_zone_create(
    ngx_http_background_zone_conf_t *zcf);
static ngx_int_t ngx_http_background_zone_reuse(
    ngx_http_background_zone_conf_t *zcf);
static ngx_int_t ngx_http_background_zone_add_task(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task,
    ngx_http_background_record_t **next, ngx_uint_t known);
static ngx_http_background_record_t *ngx_http_background_zone_add_record(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task,
    ngx_http_background_record_t **next);
static ngx_int_t ngx_http_background_zone_add_follow(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task);
static ngx_int_t ngx_http_background_zone_add_lock(
    ngx_http_background_zone_t *zone, ngx_http_background_zone_task_t *task);
static ngx_int_t ngx_http_background_zone_add_cells(
    ngx_http_background_zone_t *zone, ngx_http_background_record_t *record,
    ngx_http_background_cell_t **last, ngx_uint_t n, ngx_uint_t unhealthy);
static ngx_uint_t ngx_http_background_cells_start(
    ngx_http_background_zone_task_t *task);
static ngx_int_t ngx_http_background_zone_add_copies(
    ngx_http_background_zone_t *zone, ngx_http_background_record_t *record);
static void ngx_http_background_cells_renew(
    ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task);
static ngx_int_t ngx_http_background_zone_too_small(
    ngx_http_background_zone_conf_t *zcf);


static ngx_str_t  ngx_http_background_zone_name =
    ngx_string("ngx_http_background");


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

    ngx_int_t   rc;
    ngx_uint_t  fresh;

    ngx_http_background_zone_count(zcf);

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

    if (ngx_http_background_zone_add_tasks(zcf) != NGX_OK) {
        return ngx_http_background_zone_too_small(zcf);
    }

    if (fresh && zcf->state.len) {
        ngx_http_background_state_read(zcf);
    }

    zcf->instance = zcf->zone->instance;
    zcf->before = NULL;

    return NGX_OK;
}


/* the number of workers, and of the cells of each task */

static void
ngx_http_background_zone_count(ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t                         i, n;
    ngx_core_conf_t                   *ccf;
    ngx_http_background_zone_task_t  **tasks;

    ccf = (ngx_core_conf_t *) ngx_get_conf(zcf->cycle->conf_ctx,
                                           ngx_core_module);

    zcf->workers = ccf->master ? ccf->worker_processes : 1;

    /* workers of older configurations may still own a cell each */

    n = zcf->workers + ngx_http_background_zone_children();

    tasks = zcf->tasks.elts;

    for (i = 0; i < zcf->tasks.nelts; i++) {
        tasks[i]->cells = tasks[i]->all ? zcf->workers : 1;
        tasks[i]->arrived = tasks[i]->arrives ? n : 0;
    }
}


static ngx_int_t
ngx_http_background_zone_add_tasks(ngx_http_background_zone_conf_t *zcf)
{
    ngx_uint_t                         i, known;
    ngx_http_background_record_t     **next;
    ngx_http_background_zone_task_t  **tasks;

    /* records are in the order of the tasks, where these are as before */

    next = &zcf->zone->records;
    known = (*next != NULL);

    tasks = zcf->tasks.elts;

    for (i = 0; i < zcf->tasks.nelts; i++) {
        if (ngx_http_background_zone_add_task(zcf, tasks[i], next, known)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        next = &tasks[i]->record->next;
    }

    for (i = 0; i < zcf->tasks.nelts; i++) {
        if (ngx_http_background_zone_add_copies(zcf->zone, tasks[i]->record)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_WARN, zcf->shm_zone->shm.log, 0,
                          "background_zone is full: some tasks can't be taken "
                          "over from a worker that hangs in %s:%ui",
                          zcf->file, zcf->line);
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_zone_create(ngx_http_background_zone_conf_t *zcf)
{
    ngx_log_t                   *log;
    ngx_shm_zone_t              *before;
    ngx_slab_pool_t             *shpool;
    ngx_http_background_zone_t  *zone;

    log = zcf->shm_zone->shm.log;
    shpool = (ngx_slab_pool_t *) zcf->shm_zone->shm.addr;

    /* ngx_http_background_zone_too_small() logs the error instead */
    shpool->log_nomem = 0;

    zone = ngx_slab_calloc(shpool, sizeof(ngx_http_background_zone_t));
    if (zone == NULL) {
        return ngx_http_background_zone_too_small(zcf);
    }

    if (ngx_http_background_members_init(zone, log) != NGX_OK) {
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


ngx_http_background_zone_t *
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


/* "known": the zone has records of a configuration before */

static ngx_int_t
ngx_http_background_zone_add_task(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task, ngx_http_background_record_t **next,
    ngx_uint_t known)
{
    ngx_http_background_zone_t    *zone;
    ngx_http_background_record_t  *record;

    zone = zcf->zone;
    record = *next;

    if (record == NULL
        || !ngx_http_background_record_is(record, task->name.data,
                                          task->name.len))
    {
        record = known ? ngx_http_background_zone_lookup(zone, task->name.data,
                                                         task->name.len)
                       : NULL;
    }

    if (record == NULL) {
        record = ngx_http_background_zone_add_record(zcf, task, next);

        if (record == NULL) {
            return NGX_ERROR;
        }
    }

    task->record = record;

    if (ngx_http_background_zone_add_follow(zcf, task) != NGX_OK) {
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


static ngx_http_background_record_t *
ngx_http_background_zone_add_record(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task, ngx_http_background_record_t **next)
{
    ngx_slab_pool_t               *shpool;
    ngx_http_background_record_t  *record;

    shpool = zcf->zone->shpool;

    record = ngx_slab_calloc(shpool, sizeof(ngx_http_background_record_t));
    if (record == NULL) {
        return NULL;
    }

    record->orders = ngx_http_background_orders_create(shpool);

    if (record->orders == NULL) {
        ngx_slab_free(shpool, record);
        return NULL;
    }

    ngx_memcpy(record->name, task->name.data, task->name.len);
    record->name_len = task->name.len;

    record->next = *next;
    *next = record;

    return (ngx_http_background_record_copy(zcf, record) == NGX_OK) ? record
                                                                    : NULL;
}


ngx_http_background_record_t *
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


ngx_uint_t
ngx_http_background_record_is(const ngx_http_background_record_t *record,
    const u_char *name, size_t len)
{
    return record->name_len == len && ngx_memcmp(record->name, name, len) == 0;
}


static ngx_int_t
ngx_http_background_zone_add_follow(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task)
{
    ngx_http_background_record_t  *from;

    if (!task->follows) {
        return NGX_OK;
    }

    from = zcf->before ? ngx_http_background_zone_lookup(zcf->before,
                                                         task->name.data,
                                                         task->name.len)
                       : NULL;

    return ngx_http_background_orders_follow(zcf->zone->shpool,
                                             task->record->orders,
                                             from ? from->orders : NULL);
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


ngx_http_background_cell_t *
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


void
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

        ngx_http_background_cells_renew(zcf, tasks[i]);

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
 * Cells that the configuration before did not use are as new ones.  A record
 * without cells in use is new, and may have what was restored.
 */

static void
ngx_http_background_cells_renew(ngx_http_background_zone_conf_t *zcf,
    ngx_http_background_zone_task_t *task)
{
    ngx_uint_t                          n, used;
    ngx_http_background_cell_t         *cell;
    ngx_http_background_record_t       *record;
    ngx_http_background_orders_info_t   orders;

    record = task->record;
    used = record->ncells;

    ngx_http_background_store(&record->ncells, (uint32_t) task->cells);

    if (used == 0) {
        return;
    }

    /* the task was not configured meanwhile */

    if (record->generation && record->generation != zcf->generation - 1) {
        used = 0;
    }

    if (used >= task->cells) {
        return;
    }

    ngx_http_background_orders_read(record->orders, &orders);

    for (cell = record->cells, n = 0;
         cell && n < task->cells;
         cell = cell->next, n++)
    {
        if (n >= used) {
            ngx_http_background_duty_renew(cell->duty, orders.runs,
                                           orders.fires);
        }
    }
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
