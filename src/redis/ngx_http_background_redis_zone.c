
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Shared memory of a fixed layout, with the state of servers and of tasks.  It
 * is written without locks.  Texts and views have a checksum, so that a reader
 * ignores one that is being written.
 */


#include "ngx_http_background_redis.h"


/* the number of attempts to read */
#define NGX_HTTP_BACKGROUND_REDIS_READS  4


typedef struct {
    ngx_pid_t                            pid;         /* 0: none */
    ngx_uint_t                           connected;
    uint64_t                             since_at;
} ngx_http_background_redis_worker_t;


typedef struct {
    size_t                               len;
    u_char                               data[NGX_HTTP_BACKGROUND_ERROR_LEN];
} ngx_http_background_redis_text_t;


typedef struct {
    size_t                               len;         /* 0: free */
    u_char                               name[NGX_HTTP_BACKGROUND_HOST_LEN];
    uint64_t                             generation;
    uint64_t                             errors[
                                            NGX_HTTP_BACKGROUND_REDIS_ERRORS];
    uint32_t                             crc;
    ngx_http_background_redis_text_t     error;
} ngx_http_background_redis_node_t;


struct ngx_http_background_redis_entry_s {
    size_t                               len;         /* 0: free */
    u_char                               name[NGX_HTTP_BACKGROUND_HOST_LEN];
    uint64_t                             generation;

    uint32_t                             crc;
    ngx_http_background_cluster_view_t   view;

    uint64_t                             fence;       /* the highest seen */
    uint64_t                             honoured;    /* quarantine */
    ngx_uint_t                           ntaken;
    u_char                               taken[2][
                                            NGX_HTTP_BACKGROUND_REDIS_ID];
};


struct ngx_http_background_redis_shared_s {
    ngx_uint_t                           nnodes;
    ngx_uint_t                           nworkers;    /* of a node */
    ngx_uint_t                           nentries;
    uint64_t                             generation;
    ngx_http_background_redis_node_t    *nodes;
    ngx_http_background_redis_worker_t  *workers;
    ngx_http_background_redis_entry_t   *entries;
};


static size_t ngx_http_background_redis_zone_size(
    ngx_http_background_redis_main_conf_t *rmcf);
static ngx_int_t ngx_http_background_redis_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_http_background_redis_shared_t *
    ngx_http_background_redis_zone_create(
    ngx_http_background_redis_main_conf_t *rmcf, ngx_slab_pool_t *shpool);
static void ngx_http_background_redis_zone_keep(
    ngx_http_background_redis_shared_t *shared,
    ngx_http_background_redis_main_conf_t *rmcf);
static ngx_http_background_redis_node_t *
    ngx_http_background_redis_zone_claim_node(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *name);
static void ngx_http_background_redis_zone_copy_node(
    ngx_http_background_redis_node_t *node,
    ngx_http_background_redis_shared_t *before, ngx_str_t *name);
static ngx_http_background_redis_entry_t *ngx_http_background_redis_zone_claim(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *task);
static void ngx_http_background_redis_zone_copy(
    ngx_http_background_redis_entry_t *entry,
    ngx_http_background_redis_shared_t *before, ngx_str_t *task);
static ngx_http_background_redis_shared_t *
    ngx_http_background_redis_zone_before(ngx_shm_zone_t *shm_zone);
static ngx_http_background_redis_shared_t *ngx_http_background_redis_shared(
    ngx_cycle_t *cycle);
static ngx_http_background_redis_entry_t *ngx_http_background_redis_find_entry(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *task);
static ngx_http_background_redis_node_t *ngx_http_background_redis_node(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *name);
static uint32_t ngx_http_background_redis_crc(const void *data, size_t size);


/* another layout has another name, as old workers still use the old zone */

ngx_int_t
ngx_http_background_redis_zone_add(ngx_conf_t *cf,
    ngx_http_background_redis_main_conf_t *rmcf)
{
    u_char           *p;
    size_t            size;
    ngx_str_t         name;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    rmcf->workers = ngx_max(ccf->worker_processes, 1);

    /* with room for the servers and tasks of the previous configuration */

    rmcf->nodes = 4;

    while (rmcf->nodes < 2 * rmcf->redis.nelts) {
        rmcf->nodes *= 2;
    }

    rmcf->entries = 16;

    while (rmcf->entries < 2 * rmcf->leases.nelts) {
        rmcf->entries *= 2;
    }

    p = ngx_pnalloc(cf->pool, sizeof("background_redis__") + 3 * NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = p;
    name.len = ngx_sprintf(p, "background_redis_%ui_%ui_%ui",
                           rmcf->nodes, rmcf->workers, rmcf->entries)
               - p;

    /* twice the size is enough for the overhead of the slab pool */

    size = 2 * ngx_http_background_redis_zone_size(rmcf) + 16 * ngx_pagesize;

    rmcf->zone = ngx_shared_memory_add(cf, &name,
                                       ngx_align(size, ngx_pagesize),
                                       &ngx_http_background_redis_module);
    if (rmcf->zone == NULL) {
        return NGX_ERROR;
    }

    rmcf->zone->init = ngx_http_background_redis_zone_init;
    rmcf->zone->data = rmcf;

    return NGX_OK;
}


static size_t
ngx_http_background_redis_zone_size(
    ngx_http_background_redis_main_conf_t *rmcf)
{
    return sizeof(ngx_http_background_redis_shared_t)
           + rmcf->entries * sizeof(ngx_http_background_redis_entry_t)
           + rmcf->nodes
             * (sizeof(ngx_http_background_redis_node_t)
                + rmcf->workers * sizeof(ngx_http_background_redis_worker_t));
}


static ngx_int_t
ngx_http_background_redis_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t                               i;
    ngx_str_t                              **task;
    ngx_slab_pool_t                         *shpool;
    ngx_http_background_redis_conf_t       **redis;
    ngx_http_background_redis_node_t        *node;
    ngx_http_background_redis_entry_t       *entry;
    ngx_http_background_redis_shared_t      *shared, *before;
    ngx_http_background_redis_main_conf_t   *rmcf;

    before = NULL;
    rmcf = shm_zone->data;
    redis = rmcf->redis.elts;
    task = rmcf->leases.elts;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data == NULL) {
        shpool->data = ngx_http_background_redis_zone_create(rmcf, shpool);

        if (shpool->data == NULL) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "background: no memory in the zone \"%V\"",
                          &shm_zone->shm.name);
            return NGX_ERROR;
        }

        before = ngx_http_background_redis_zone_before(shm_zone);
    }

    shared = shpool->data;
    shared->generation++;

    if (data) {
        ngx_http_background_redis_zone_keep(shared, data);
    }

    for (i = 0; i < rmcf->redis.nelts; i++) {
        node = ngx_http_background_redis_zone_claim_node(shared,
                                                         &redis[i]->name);

        if (node && before) {
            ngx_http_background_redis_zone_copy_node(node, before,
                                                     &redis[i]->name);
        }
    }

    for (i = 0; i < rmcf->leases.nelts; i++) {
        entry = ngx_http_background_redis_zone_claim(shared, task[i]);

        if (entry && before) {
            ngx_http_background_redis_zone_copy(entry, before, task[i]);
        }
    }

    return NGX_OK;
}


static ngx_http_background_redis_shared_t *
ngx_http_background_redis_zone_create(
    ngx_http_background_redis_main_conf_t *rmcf, ngx_slab_pool_t *shpool)
{
    u_char                              *p;
    ngx_http_background_redis_shared_t  *shared;

    p = ngx_slab_calloc(shpool, ngx_http_background_redis_zone_size(rmcf));
    if (p == NULL) {
        return NULL;
    }

    shared = (ngx_http_background_redis_shared_t *) p;
    p += sizeof(ngx_http_background_redis_shared_t);

    shared->nnodes = rmcf->nodes;
    shared->nworkers = rmcf->workers;
    shared->nentries = rmcf->entries;

    shared->entries = (ngx_http_background_redis_entry_t *) p;
    p += shared->nentries * sizeof(ngx_http_background_redis_entry_t);

    shared->nodes = (ngx_http_background_redis_node_t *) p;
    p += shared->nnodes * sizeof(ngx_http_background_redis_node_t);

    shared->workers = (ngx_http_background_redis_worker_t *) p;

    return shared;
}


/*
 * What the running configuration uses is not claimed by others: it stays in use
 * if the reload fails later.
 */

static void
ngx_http_background_redis_zone_keep(ngx_http_background_redis_shared_t *shared,
    ngx_http_background_redis_main_conf_t *rmcf)
{
    ngx_str_t                          **task;
    ngx_uint_t                           i;
    ngx_http_background_redis_conf_t   **redis;
    ngx_http_background_redis_node_t    *node;
    ngx_http_background_redis_entry_t   *entry;

    redis = rmcf->redis.elts;
    task = rmcf->leases.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        node = ngx_http_background_redis_node(shared, &redis[i]->name);

        if (node) {
            node->generation = shared->generation;
        }
    }

    for (i = 0; i < rmcf->leases.nelts; i++) {
        entry = ngx_http_background_redis_find_entry(shared, task[i]);

        if (entry) {
            entry->generation = shared->generation;
        }
    }
}


/* takes a node that no server of this or the running configuration has */

static ngx_http_background_redis_node_t *
ngx_http_background_redis_zone_claim_node(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *name)
{
    ngx_uint_t                         i;
    ngx_http_background_redis_node_t  *node;

    node = ngx_http_background_redis_node(shared, name);

    if (node) {
        node->generation = shared->generation;
        return node;
    }

    for (i = 0; i < shared->nnodes; i++) {
        node = &shared->nodes[i];

        if (node->generation == shared->generation) {
            continue;
        }

        ngx_memzero(node, sizeof(ngx_http_background_redis_node_t));
        ngx_memzero(&shared->workers[i * shared->nworkers],
                    shared->nworkers
                    * sizeof(ngx_http_background_redis_worker_t));

        node->generation = shared->generation;
        node->len = name->len;
        ngx_memcpy(node->name, name->data, name->len);

        return node;
    }

    return NULL;
}


/* counters outlive the zone */

static void
ngx_http_background_redis_zone_copy_node(
    ngx_http_background_redis_node_t *node,
    ngx_http_background_redis_shared_t *before, ngx_str_t *name)
{
    ngx_http_background_redis_node_t  *old;

    old = ngx_http_background_redis_node(before, name);

    if (old) {
        ngx_memcpy(node->errors, old->errors, sizeof(node->errors));
        node->error = old->error;
        node->crc = old->crc;
    }
}


/* takes an entry that no task of this or the running configuration has */

static ngx_http_background_redis_entry_t *
ngx_http_background_redis_zone_claim(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *task)
{
    ngx_uint_t                          i;
    ngx_http_background_redis_entry_t  *entry, *place;

    place = NULL;

    for (i = 0; i < shared->nentries; i++) {
        entry = &shared->entries[i];

        if (entry->len == task->len
            && ngx_memcmp(entry->name, task->data, task->len) == 0)
        {
            entry->generation = shared->generation;
            return entry;
        }

        if (place == NULL && entry->generation != shared->generation) {
            place = entry;
        }
    }

    if (place) {
        ngx_memzero(place, sizeof(ngx_http_background_redis_entry_t));

        place->generation = shared->generation;
        place->len = task->len;
        ngx_memcpy(place->name, task->data, task->len);
    }

    return place;
}


/* what this nginx has seen of the task and its takeovers outlives the zone */

static void
ngx_http_background_redis_zone_copy(ngx_http_background_redis_entry_t *entry,
    ngx_http_background_redis_shared_t *before, ngx_str_t *task)
{
    ngx_http_background_redis_entry_t  *old;

    old = ngx_http_background_redis_find_entry(before, task);

    if (old) {
        entry->fence = old->fence;
        entry->honoured = old->honoured;
        entry->ntaken = old->ntaken;
        ngx_memcpy(entry->taken, old->taken, sizeof(entry->taken));
    }
}


/* the zone of the previous configuration: ngx_cycle is that one's still */

static ngx_http_background_redis_shared_t *
ngx_http_background_redis_zone_before(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *zone;
    ngx_slab_pool_t  *shpool;
    ngx_list_part_t  *part;

    part = &((ngx_cycle_t *) ngx_cycle)->shared_memory.part;
    zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zone = part->elts;
            i = 0;
        }

        if (zone[i].tag == shm_zone->tag && zone[i].shm.addr) {
            shpool = (ngx_slab_pool_t *) zone[i].shm.addr;
            return shpool->data;
        }
    }
}


static ngx_http_background_redis_shared_t *
ngx_http_background_redis_shared(ngx_cycle_t *cycle)
{
    ngx_slab_pool_t                        *shpool;
    ngx_http_background_redis_main_conf_t  *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_background_redis_module);

    if (rmcf == NULL || rmcf->zone == NULL) {
        return NULL;
    }

    shpool = (ngx_slab_pool_t *) rmcf->zone->shm.addr;

    return shpool->data;
}


static ngx_http_background_redis_node_t *
ngx_http_background_redis_node(ngx_http_background_redis_shared_t *shared,
    ngx_str_t *name)
{
    ngx_uint_t                         i;
    ngx_http_background_redis_node_t  *node;

    for (i = 0; i < shared->nnodes; i++) {
        node = &shared->nodes[i];

        if (node->len == name->len
            && ngx_memcmp(node->name, name->data, name->len) == 0)
        {
            return node;
        }
    }

    return NULL;
}


ngx_http_background_redis_entry_t *
ngx_http_background_redis_entry(ngx_str_t *task)
{
    ngx_http_background_redis_shared_t  *shared;

    shared = ngx_http_background_redis_shared((ngx_cycle_t *) ngx_cycle);

    if (shared == NULL) {
        return NULL;
    }

    return ngx_http_background_redis_find_entry(shared, task);
}


static ngx_http_background_redis_entry_t *
ngx_http_background_redis_find_entry(
    ngx_http_background_redis_shared_t *shared, ngx_str_t *task)
{
    ngx_uint_t                          i;
    ngx_http_background_redis_entry_t  *entry;

    for (i = 0; i < shared->nentries; i++) {
        entry = &shared->entries[i];

        if (entry->len == task->len
            && ngx_memcmp(entry->name, task->data, task->len) == 0)
        {
            return entry;
        }
    }

    return NULL;
}


/* -1: the worker wants none any more */

void
ngx_http_background_redis_connected(ngx_http_background_redis_conf_t *rcf,
    ngx_int_t connected)
{
    ngx_http_background_redis_node_t    *node;
    ngx_http_background_redis_worker_t  *worker;
    ngx_http_background_redis_shared_t  *shared;

    shared = ngx_http_background_redis_shared((ngx_cycle_t *) ngx_cycle);

    if (shared == NULL || ngx_worker >= shared->nworkers) {
        return;
    }

    node = ngx_http_background_redis_node(shared, &rcf->name);

    if (node == NULL) {
        return;
    }

    worker = &shared->workers[(node - shared->nodes) * shared->nworkers
                              + ngx_worker];

    if (connected == -1) {

        /* a new worker may have the same ngx_worker already */

        if (worker->pid == ngx_pid) {
            worker->pid = 0;
        }

        return;
    }

    worker->pid = ngx_pid;
    worker->connected = (ngx_uint_t) connected;
    worker->since_at = ngx_http_background_usec(CLOCK_REALTIME) / 1000;
}


void
ngx_http_background_redis_count(ngx_http_background_redis_conf_t *rcf,
    ngx_http_background_redis_reason_e reason, ngx_str_t *text)
{
    ngx_http_background_redis_node_t    *node;
    ngx_http_background_redis_shared_t  *shared;

    shared = ngx_http_background_redis_shared((ngx_cycle_t *) ngx_cycle);

    if (shared == NULL) {
        return;
    }

    node = ngx_http_background_redis_node(shared, &rcf->name);

    if (node == NULL) {
        return;
    }

    (void) __atomic_add_fetch(&node->errors[reason], 1, __ATOMIC_RELAXED);

    node->crc = 0;
    node->error.len = ngx_min(text->len, NGX_HTTP_BACKGROUND_ERROR_LEN);
    ngx_memzero(node->error.data, NGX_HTTP_BACKGROUND_ERROR_LEN);
    ngx_memcpy(node->error.data, text->data, node->error.len);

    __atomic_store_n(&node->crc,
                     ngx_http_background_redis_crc(&node->error,
                                    sizeof(ngx_http_background_redis_text_t)),
                     __ATOMIC_RELEASE);
}


ngx_int_t
ngx_http_background_redis_view_link(ngx_cycle_t *cycle, ngx_uint_t n,
    ngx_http_background_cluster_link_t *link)
{
    ngx_uint_t                              i;
    ngx_http_background_redis_text_t        text;
    ngx_http_background_redis_conf_t      **redis;
    ngx_http_background_redis_node_t       *node;
    ngx_http_background_redis_worker_t     *worker;
    ngx_http_background_redis_shared_t     *shared;
    ngx_http_background_redis_main_conf_t  *rmcf;

    shared = ngx_http_background_redis_shared(cycle);

    if (shared == NULL) {
        return NGX_DONE;
    }

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_background_redis_module);
    redis = rmcf->redis.elts;

    if (n >= rmcf->redis.nelts) {
        return NGX_DONE;
    }

    node = ngx_http_background_redis_node(shared, &redis[n]->name);

    if (node == NULL) {
        return NGX_DONE;
    }

    ngx_memzero(link, sizeof(ngx_http_background_cluster_link_t));

    link->name = redis[n]->name;
    link->nerrors = NGX_HTTP_BACKGROUND_REDIS_ERRORS;
    link->reasons = ngx_http_background_redis_reason;

    for (i = 0; i < NGX_HTTP_BACKGROUND_REDIS_ERRORS; i++) {
        link->errors[i] = __atomic_load_n(&node->errors[i], __ATOMIC_RELAXED);
    }

    for (i = 0; i < shared->nworkers; i++) {
        worker = &shared->workers[(node - shared->nodes) * shared->nworkers
                                  + i];

        if (worker->pid == 0
            || (kill(worker->pid, 0) == -1 && ngx_errno == NGX_ESRCH))
        {
            continue;
        }

        link->workers++;
        link->connected += worker->connected;
        link->since_at = ngx_max(link->since_at, worker->since_at);
    }

    for (i = 0; i < NGX_HTTP_BACKGROUND_REDIS_READS; i++) {
        text = node->error;

        if (text.len <= NGX_HTTP_BACKGROUND_ERROR_LEN
            && ngx_http_background_redis_crc(&text, sizeof(text))
               == __atomic_load_n(&node->crc, __ATOMIC_ACQUIRE))
        {
            link->error_len = text.len;
            ngx_memcpy(link->error, text.data, text.len);
            break;
        }
    }

    return NGX_OK;
}


void
ngx_http_background_redis_entry_write(ngx_http_background_redis_entry_t *entry,
    const ngx_http_background_cluster_view_t *view)
{
    if (entry == NULL) {
        return;
    }

    entry->crc = 0;
    entry->view = *view;

    __atomic_store_n(&entry->crc,
                     ngx_http_background_redis_crc(&entry->view,
                                  sizeof(ngx_http_background_cluster_view_t)),
                     __ATOMIC_RELEASE);
}


void
ngx_http_background_redis_entry_read(ngx_http_background_redis_entry_t *entry,
    ngx_http_background_cluster_view_t *view)
{
    ngx_uint_t  i;

    for (i = 0; entry && i < NGX_HTTP_BACKGROUND_REDIS_READS; i++) {
        *view = entry->view;

        if (view->len <= NGX_HTTP_BACKGROUND_HOST_LEN
            && ngx_http_background_redis_crc(view, sizeof(*view))
               == __atomic_load_n(&entry->crc, __ATOMIC_ACQUIRE))
        {
            return;
        }
    }

    ngx_memzero(view, sizeof(ngx_http_background_cluster_view_t));
}


/* keeps two IDs, as the reply to the command with the first may be lost */

void
ngx_http_background_redis_entry_took(ngx_http_background_redis_entry_t *entry,
    const u_char *id)
{
    if (entry && !ngx_http_background_redis_entry_owns(entry, id)) {
        ngx_memcpy(entry->taken[entry->ntaken++ % 2], id,
                   NGX_HTTP_BACKGROUND_REDIS_ID);
    }
}


ngx_uint_t
ngx_http_background_redis_entry_owns(ngx_http_background_redis_entry_t *entry,
    const u_char *id)
{
    return entry
           && (ngx_memcmp(entry->taken[0], id, NGX_HTTP_BACKGROUND_REDIS_ID)
               == 0
               || ngx_memcmp(entry->taken[1], id, NGX_HTTP_BACKGROUND_REDIS_ID)
                  == 0);
}


/* returns the highest fence that this nginx has seen */

uint64_t
ngx_http_background_redis_entry_fence(ngx_http_background_redis_entry_t *entry,
    uint64_t fence)
{
    if (entry == NULL) {
        return fence;
    }

    entry->fence = ngx_max(entry->fence, fence);

    return entry->fence;
}


void
ngx_http_background_redis_entry_restart(
    ngx_http_background_redis_entry_t *entry)
{
    if (entry) {
        entry->fence = 0;
    }
}


/*
 * A quarantine is applied once by each nginx, as a reload of this nginx ends it
 * here.
 */

ngx_uint_t
ngx_http_background_redis_entry_honoured(
    ngx_http_background_redis_entry_t *entry, uint64_t quarantine)
{
    if (entry == NULL || quarantine == 0) {
        return 0;
    }

    if (entry->honoured == quarantine) {
        return 1;
    }

    entry->honoured = quarantine;

    return 0;
}


/* never 0, as memory of zeroes has no valid checksum */

static uint32_t
ngx_http_background_redis_crc(const void *data, size_t size)
{
    return ngx_crc32_long((u_char *) data, size) | 1;
}
