
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The records of servers: a table in shared memory.  Records are not moved, so
 * a pointer to one is valid as long as the memory is mapped.
 *
 * A record is claimed by compare-and-swap and is written by one worker, the
 * one that has the lease of the task.  A worker that hangs or has an older
 * configuration may still write for a moment.  So a record has only numbers
 * and texts of limited length, and any contents are safe to read.  The master
 * frees records of servers that a new configuration does not have.
 *
 * A reload.  The master applies verdicts to the new upstreams before new
 * workers start.  An old worker that changes a verdict later increments
 * "late", and new workers that see another value apply the verdicts again.
 * The old worker writes the verdict before it reads "generation"; the master
 * increments "generation" before it reads verdicts.  If the new memory has
 * another size, it has none of these changes: the next cycle finds them.
 */


#include "ngx_http_background_probe.h"

#include <ngx_md5.h>


#define NGX_HTTP_BACKGROUND_PROBE_MAGIC    0x62676e6470726f64ULL
#define NGX_HTTP_BACKGROUND_PROBE_RECORDS  256
#define NGX_HTTP_BACKGROUND_PROBE_GROUPS   16

/* the bits of the group in the head of a record */
#define NGX_HTTP_BACKGROUND_PROBE_HEAD     0xffff


/* values of "used"; while a record is filled in, the pid of the process */
#define NGX_HTTP_BACKGROUND_PROBE_FREE     0
#define NGX_HTTP_BACKGROUND_PROBE_USED     ((ngx_atomic_uint_t) -1)


struct ngx_http_background_server_s {
    ngx_atomic_t     used;
    uint64_t         key[2];        /* hash of upstream, server, and address */
    uint64_t         group;         /* number of the group */
    uint64_t         listed;        /* "listings" of the group when the server
                                       was listed last */

    ngx_atomic_t     changes;       /* incremented before and after each change
                                       of the following fields */

    uint64_t         state;         /* ngx_http_background_peer_e */
    uint64_t         position;      /* in the upstream */
    ngx_atomic_t     order;         /* of an operator, changed by any worker */
    uint64_t         backup;
    uint64_t         disabled;
    uint64_t         missed;
    uint64_t         fails;         /* in a row */
    uint64_t         passes;
    uint64_t         failed;        /* in total */
    uint64_t         passed;
    uint64_t         flips;         /* number of changes of "state" */
    uint64_t         since;         /* ngx_current_msec */
    uint64_t         since_at;      /* wall clock; 0: not checked yet */
    uint64_t         finished_at;   /* of the last check; 0: none */
    uint64_t         wall_time;
    uint64_t         status;
    uint64_t         name_len;
    uint64_t         server_len;
    uint64_t         error_len;
    u_char           name[NGX_SOCKADDR_STRLEN];
    u_char           server[NGX_HTTP_BACKGROUND_PEER_SERVER];
    u_char           error[NGX_HTTP_BACKGROUND_PEER_ERROR];
};


struct ngx_http_background_group_s {
    ngx_atomic_t     used;
    uint64_t         key[2];
    ngx_atomic_t     late;
    ngx_atomic_t     lifted;        /* because the task is quarantined */
    ngx_atomic_t     listings;
    ngx_atomic_t     up;            /* primary servers that get requests */
};


typedef struct {
    uint64_t                      magic;
    uint64_t                      layout;
    uint64_t                      ngroups;
    uint64_t                      nrecords;
    uint64_t                      id;          /* of all memory that was taken
                                                  over one from the other */
    ngx_atomic_t                  generation;
    ngx_http_background_group_t   groups[];
} ngx_http_background_table_t;


/* a server that is down, and since when */

typedef struct {
    uint64_t                       since;
    ngx_http_background_target_t  *target;
} ngx_http_background_spare_t;


static ngx_int_t ngx_http_background_probes_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_http_background_table_t *ngx_http_background_probes_table(
    ngx_shm_zone_t *shm_zone);
static size_t ngx_http_background_probes_memory(
    ngx_http_background_probes_t *probes);
static size_t ngx_http_background_probes_size(
    ngx_http_background_probes_t *probes);
static uint64_t *ngx_http_background_probes_heads(
    ngx_http_background_table_t *table);
static uint64_t ngx_http_background_probes_head(uint64_t key, uint64_t group);
static ngx_http_background_server_t *ngx_http_background_probes_records(
    ngx_http_background_table_t *table);
static ngx_http_background_table_t *ngx_http_background_probes_before(
    ngx_http_background_probes_t *probes, ngx_cycle_t *cycle);
static ngx_http_background_group_t *ngx_http_background_probes_group(
    ngx_http_background_table_t *table, const uint64_t key[2]);
static ngx_int_t ngx_http_background_probes_join(
    ngx_http_background_probes_t *probes, ngx_http_background_probe_op_t *op);
static void ngx_http_background_probes_sweep(
    ngx_http_background_probes_t *probes);
static ngx_uint_t ngx_http_background_probes_gone(
    ngx_http_background_probes_t *probes, ngx_http_background_server_t *record);
static void ngx_http_background_probes_apply(
    ngx_http_background_probe_op_t *op, ngx_http_background_table_t *before,
    ngx_log_t *log);
static void ngx_http_background_probes_take_over(
    ngx_http_background_probe_op_t *op, ngx_http_background_table_t *from,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_pool_t *pool);
static void ngx_http_background_probe_key(uint64_t key[2], ngx_str_t *upstream,
    ngx_http_background_target_t *target);
static ngx_http_background_server_t *ngx_http_background_probe_by_key(
    ngx_http_background_table_t *table, ngx_http_background_group_t *group,
    const uint64_t key[2], ngx_uint_t *next);
static void ngx_http_background_probe_find(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t claim);
static ngx_uint_t ngx_http_background_probe_count(
    ngx_http_background_probe_op_t *op);
static ngx_http_background_server_t *ngx_http_background_probe_claim(
    ngx_http_background_probe_op_t *op, uint64_t key[2],
    ngx_http_background_target_t *target, ngx_uint_t *count, ngx_uint_t *from);
static void ngx_http_background_probe_fill(ngx_http_background_probe_op_t *op,
    ngx_http_background_server_t *record, uint64_t key[2],
    ngx_http_background_target_t *target);
static void ngx_http_background_probe_edit(
    ngx_http_background_server_t *record);
static void ngx_http_background_probe_edited(
    ngx_http_background_server_t *record);
static void ngx_http_background_probe_changed(
    ngx_http_background_probe_op_t *op, ngx_http_background_target_t *target,
    ngx_http_background_peer_e state, ngx_log_t *log);
static ngx_http_background_server_t *ngx_http_background_probe_next(
    ngx_http_background_probe_op_t *op, ngx_uint_t *n, ngx_uint_t all);
static ngx_uint_t ngx_http_background_probe_keep(
    ngx_http_background_probe_op_t *op, ngx_http_background_target_t *targets,
    ngx_uint_t n);
static ngx_uint_t ngx_http_background_probe_spare(
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t keep);
static int ngx_libc_cdecl ngx_http_background_probe_later(const void *one,
    const void *two);


static ngx_str_t  ngx_http_background_probes_name =
    ngx_string("ngx_http_background_probe");


ngx_int_t
ngx_http_background_probes_add(ngx_conf_t *cf,
    ngx_http_background_probes_t *probes, void *tag)
{
    probes->shm_zone = ngx_shared_memory_add(cf,
                                  &ngx_http_background_probes_name,
                                  ngx_http_background_probes_memory(probes),
                                  tag);

    if (probes->shm_zone == NULL) {
        return NGX_ERROR;
    }

    probes->shm_zone->init = ngx_http_background_probes_init;
    probes->shm_zone->data = probes;

    return NGX_OK;
}


void
ngx_http_background_probes_resize(ngx_http_background_probes_t *probes)
{
    probes->shm_zone->shm.size = ngx_http_background_probes_memory(probes);
}


/*
 * A reload with some servers more has the same size, and the same memory.  The
 * numbers of groups and records grow together, so that other numbers are always
 * another size.
 */

static size_t
ngx_http_background_probes_memory(ngx_http_background_probes_t *probes)
{
    size_t                            size;
    ngx_uint_t                        i, peers;
    ngx_http_background_probe_op_t  **ops;

    ops = probes->ops.elts;
    peers = 0;

    for (i = 0; i < probes->ops.nelts; i++) {
        peers += ops[i]->peers;
    }

    probes->nrecords = NGX_HTTP_BACKGROUND_PROBE_RECORDS;
    probes->ngroups = NGX_HTTP_BACKGROUND_PROBE_GROUPS;

    while (probes->nrecords < peers
           || probes->ngroups < 2 * probes->ops.nelts)
    {
        probes->nrecords *= 2;
        probes->ngroups *= 2;
    }

    /* with the overhead of the slab pool */

    size = ngx_http_background_probes_size(probes);

    return ngx_align(size + size / 64, ngx_pagesize) + 8 * ngx_pagesize;
}


static ngx_int_t
ngx_http_background_probes_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t               *shpool;
    ngx_http_background_table_t   *table;
    ngx_http_background_probes_t  *probes;

    probes = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data) {
        table = ngx_http_background_probes_table(shm_zone);

        if (table && table->nrecords == probes->nrecords
            && table->ngroups == probes->ngroups)
        {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "shared memory of \"probe\" was made by another version "
                      "of the module, restart nginx");
        return NGX_ERROR;
    }

    table = ngx_slab_calloc(shpool, ngx_http_background_probes_size(probes));
    if (table == NULL) {
        return NGX_ERROR;
    }

    table->magic = NGX_HTTP_BACKGROUND_PROBE_MAGIC;
    table->layout = sizeof(ngx_http_background_server_t);
    table->nrecords = probes->nrecords;
    table->ngroups = probes->ngroups;
    table->id = (ngx_http_background_usec(CLOCK_REALTIME) << 20)
                ^ (uint64_t) ngx_pid;

    shpool->data = table;

    return NGX_OK;
}


static ngx_http_background_table_t *
ngx_http_background_probes_table(ngx_shm_zone_t *shm_zone)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_background_table_t  *table;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    table = shpool->data;

    if (table == NULL
        || table->magic != NGX_HTTP_BACKGROUND_PROBE_MAGIC
        || table->layout != sizeof(ngx_http_background_server_t))
    {
        return NULL;
    }

    return table;
}


/* the groups are followed by the heads of all records and by the records */

static size_t
ngx_http_background_probes_size(ngx_http_background_probes_t *probes)
{
    return sizeof(ngx_http_background_table_t)
           + probes->ngroups * sizeof(ngx_http_background_group_t)
           + probes->nrecords * (sizeof(uint64_t)
                                 + sizeof(ngx_http_background_server_t));
}


static uint64_t *
ngx_http_background_probes_heads(ngx_http_background_table_t *table)
{
    return (uint64_t *) &table->groups[table->ngroups];
}


/*
 * Most of the key, and the group: records are searched by their heads, as these
 * are few pages of memory
 */

static uint64_t
ngx_http_background_probes_head(uint64_t key, uint64_t group)
{
    return (key & ~(uint64_t) NGX_HTTP_BACKGROUND_PROBE_HEAD)
           | (group & NGX_HTTP_BACKGROUND_PROBE_HEAD);
}


static ngx_http_background_server_t *
ngx_http_background_probes_records(ngx_http_background_table_t *table)
{
    return (ngx_http_background_server_t *)
               (ngx_http_background_probes_heads(table) + table->nrecords);
}


void
ngx_http_background_probes_commit(ngx_http_background_probes_t *probes,
    ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    ngx_http_background_table_t      *table, *before;
    ngx_http_background_probe_op_t  **ops;

    table = ngx_http_background_probes_table(probes->shm_zone);
    before = ngx_http_background_probes_before(probes, cycle);
    ops = probes->ops.elts;

    if (before) {
        table->id = before->id;
    }

    probes->generation = ngx_atomic_fetch_add(&table->generation, 1) + 1;

    for (i = 0; i < probes->ops.nelts; i++) {

        if (ngx_http_background_probes_join(probes, ops[i]) != NGX_OK) {

            /* not reached: there are twice as many groups as needed */

            ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                          "no place for upstream \"%V\" in shared memory of "
                          "\"probe\"", &ops[i]->title);
            continue;
        }

        ngx_http_background_probes_apply(ops[i], before, cycle->log);
    }

    ngx_http_background_probes_sweep(probes);
}


/* returns the table of the previous configuration if its size differs */

static ngx_http_background_table_t *
ngx_http_background_probes_before(ngx_http_background_probes_t *probes,
    ngx_cycle_t *cycle)
{
    ngx_uint_t                    i;
    ngx_shm_zone_t               *shm_zone;
    ngx_list_part_t              *part;
    ngx_http_background_table_t  *table, *before;

    if (cycle->old_cycle == NULL) {
        return NULL;
    }

    table = ngx_http_background_probes_table(probes->shm_zone);

    part = &cycle->old_cycle->shared_memory.part;
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

        if (shm_zone[i].tag != probes->shm_zone->tag
            || shm_zone[i].shm.name.len != ngx_http_background_probes_name.len
            || ngx_strncmp(shm_zone[i].shm.name.data,
                           ngx_http_background_probes_name.data,
                           ngx_http_background_probes_name.len)
               != 0)
        {
            continue;
        }

        before = ngx_http_background_probes_table(&shm_zone[i]);

        return before != table ? before : NULL;
    }
}


static ngx_http_background_group_t *
ngx_http_background_probes_group(ngx_http_background_table_t *table,
    const uint64_t key[2])
{
    ngx_uint_t                    i;
    ngx_http_background_group_t  *group;

    for (i = 0; i < table->ngroups; i++) {
        group = &table->groups[i];

        if (group->used
            && ngx_memcmp(group->key, key, sizeof(group->key)) == 0)
        {
            return group;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_background_probes_join(ngx_http_background_probes_t *probes,
    ngx_http_background_probe_op_t *op)
{
    uint64_t                      key[2];
    ngx_uint_t                    i;
    ngx_http_background_group_t  *group;
    ngx_http_background_table_t  *table;

    table = ngx_http_background_probes_table(probes->shm_zone);

    ngx_http_background_probe_key(key, &op->title, NULL);

    group = ngx_http_background_probes_group(table, key);

    for (i = 0; group == NULL; i++) {

        if (i == table->ngroups) {
            return NGX_ERROR;
        }

        if (!table->groups[i].used) {
            group = &table->groups[i];
        }
    }

    if (!group->used) {
        ngx_memcpy(group->key, key, sizeof(key));
        group->late = 0;
        group->lifted = 0;
        group->used = 1;
    }

    op->group = group;
    op->late = group->late;

    return NGX_OK;
}


/* called before workers start, so the lock of the new peers is free */

static void
ngx_http_background_probes_apply(ngx_http_background_probe_op_t *op,
    ngx_http_background_table_t *before, ngx_log_t *log)
{
    ngx_uint_t                     i, n;
    ngx_pool_t                    *pool;
    ngx_http_background_server_t  *record;
    ngx_http_background_target_t  *targets;

    pool = ngx_create_pool(ngx_pagesize, log);
    if (pool == NULL) {
        return;
    }

    targets = ngx_palloc(pool,
                         op->peers * sizeof(ngx_http_background_target_t));

    if (targets == NULL
        || op->access == NULL
        || op->access->list(op->upstream, targets, op->peers, &n) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return;
    }

    n = ngx_min(n, op->peers);

    if (before) {
        ngx_http_background_probes_take_over(op, before, targets, n, pool);

    } else {
        ngx_http_background_probe_find(op, targets, n, 0);
    }

    if (op->mandatory && !op->persistent) {

        for (i = 0; i < n; i++) {
            record = targets[i].record;

            if (record) {
                ngx_http_background_probe_edit(record);
                record->state = ngx_http_background_peer_unknown;
                record->fails = 0;
                record->passes = 0;
                ngx_http_background_probe_edited(record);
            }
        }
    }

    /* with what another binary knows, if there is one */

    op->changes = ngx_http_background_pages_changes();

    if (ngx_http_background_probe_others(op)) {
        ngx_http_background_probe_find(op, targets, n, 1);
        ngx_http_background_probe_import(op);
    }

    /* records that are not listed will be freed */

    op->group->listings++;

    for (i = 0; i < n; i++) {
        if (targets[i].record) {
            targets[i].record->listed = op->group->listings;
        }
    }

    ngx_http_background_probe_wanted(op, targets, n, log);

    (void) op->access->apply(op->upstream, targets, n,
                             op->mandatory && !op->group->lifted);

    ngx_destroy_pool(pool);
}


/*
 * Copies the records of the targets, and no others: so they never exceed
 * "peers="
 */

static void
ngx_http_background_probes_take_over(ngx_http_background_probe_op_t *op,
    ngx_http_background_table_t *from, ngx_http_background_target_t *targets,
    ngx_uint_t n, ngx_pool_t *pool)
{
    size_t                          state;
    uint64_t                        key[2];
    ngx_uint_t                      i, k, next, first, count;
    ngx_http_background_group_t    *group;
    ngx_http_background_server_t  **copies, *records, *src, *dst;

    ngx_http_background_probe_key(key, &op->title, NULL);

    group = ngx_http_background_probes_group(from, key);
    if (group == NULL) {
        return;
    }

    op->group->lifted = group->lifted;

    /* a server that is listed twice has one record */

    copies = ngx_pcalloc(pool, from->nrecords * sizeof(*copies));
    if (copies == NULL) {
        return;
    }

    records = ngx_http_background_probes_records(from);
    state = offsetof(ngx_http_background_server_t, state);
    next = 0;
    first = 0;
    count = 0;

    for (i = 0; i < n; i++) {

        ngx_http_background_probe_key(key, &op->title, &targets[i]);

        src = ngx_http_background_probe_by_key(from, group, key, &next);
        if (src == NULL) {
            continue;
        }

        k = src - records;

        if (copies[k] == NULL) {
            dst = ngx_http_background_probe_claim(op, key, &targets[i], &count,
                                                  &first);
            if (dst == NULL) {
                return;
            }

            ngx_http_background_probe_edit(dst);
            ngx_memcpy((u_char *) dst + state, (u_char *) src + state,
                       sizeof(ngx_http_background_server_t) - state);
            ngx_http_background_probe_edited(dst);

            copies[k] = dst;
        }

        targets[i].record = copies[k];
        targets[i].order = &copies[k]->order;
    }
}


static void
ngx_http_background_probes_sweep(ngx_http_background_probes_t *probes)
{
    ngx_uint_t                        i, k;
    ngx_http_background_table_t      *table;
    ngx_http_background_server_t     *record;
    ngx_http_background_probe_op_t  **ops;

    table = ngx_http_background_probes_table(probes->shm_zone);
    record = ngx_http_background_probes_records(table);
    ops = probes->ops.elts;

    for (i = 0; i < table->ngroups; i++) {

        for (k = 0; k < probes->ops.nelts; k++) {
            if (ops[k]->group == &table->groups[i]) {
                break;
            }
        }

        if (k == probes->ops.nelts) {
            table->groups[i].used = 0;
        }
    }

    for (i = 0; i < table->nrecords; i++) {
        if (ngx_http_background_probes_gone(probes, &record[i])) {
            record[i].used = NGX_HTTP_BACKGROUND_PROBE_FREE;
        }
    }
}


static ngx_uint_t
ngx_http_background_probes_gone(ngx_http_background_probes_t *probes,
    ngx_http_background_server_t *record)
{
    ngx_pid_t                     pid;
    ngx_http_background_group_t  *group;
    ngx_http_background_table_t  *table;

    if (record->used == NGX_HTTP_BACKGROUND_PROBE_FREE) {
        return 0;
    }

    if (record->used != NGX_HTTP_BACKGROUND_PROBE_USED) {
        pid = (ngx_pid_t) record->used;

        return kill(pid, 0) == -1 && ngx_errno == ESRCH;
    }

    table = ngx_http_background_probes_table(probes->shm_zone);

    if (record->group >= table->ngroups) {
        return 1;
    }

    group = &table->groups[record->group];

    /* an old worker that lists its servers at this time may be ahead */

    return !group->used || record->listed < group->listings;
}


static void
ngx_http_background_probe_key(uint64_t key[2], ngx_str_t *upstream,
    ngx_http_background_target_t *target)
{
    u_char     hash[16];
    ngx_md5_t  md5;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, upstream->data, upstream->len);

    if (target) {
        ngx_md5_update(&md5, "", 1);
        ngx_md5_update(&md5, target->server.data, target->server.len);
        ngx_md5_update(&md5, "", 1);
        ngx_md5_update(&md5, target->name.data, target->name.len);
    }

    ngx_md5_final(hash, &md5);

    ngx_memcpy(key, hash, sizeof(hash));
}


/* searches from number *next on, which becomes the one after the record */

static ngx_http_background_server_t *
ngx_http_background_probe_by_key(ngx_http_background_table_t *table,
    ngx_http_background_group_t *group, const uint64_t key[2],
    ngx_uint_t *next)
{
    uint64_t                      *heads, head;
    ngx_uint_t                     i, n;
    ngx_http_background_server_t  *records;

    heads = ngx_http_background_probes_heads(table);
    records = ngx_http_background_probes_records(table);
    head = ngx_http_background_probes_head(key[0], group - table->groups);

    for (i = 0; i < table->nrecords; i++) {
        n = *next + i;
        n = n < table->nrecords ? n : n - table->nrecords;

        if (heads[n] == head && records[n].key[0] == key[0]
            && records[n].key[1] == key[1]
            && records[n].used == NGX_HTTP_BACKGROUND_PROBE_USED)
        {
            *next = (n + 1) % table->nrecords;
            return &records[n];
        }
    }

    return NULL;
}


/* usually records have the order of the servers */

static void
ngx_http_background_probe_find(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_uint_t claim)
{
    uint64_t                       key[2];
    ngx_uint_t                     i, next, from, count;
    ngx_http_background_table_t   *table;
    ngx_http_background_server_t  *record;

    table = ngx_http_background_probes_table(op->probes->shm_zone);
    next = 0;
    from = 0;
    count = NGX_CONF_UNSET_UINT;

    for (i = 0; i < n; i++) {

        if (targets[i].record) {
            continue;
        }

        ngx_http_background_probe_key(key, &op->title, &targets[i]);

        targets[i].key = key[0];

        record = ngx_http_background_probe_by_key(table, op->group, key, &next);

        if (record == NULL && claim) {
            record = ngx_http_background_probe_claim(op, key, &targets[i],
                                                     &count, &from);
        }

        targets[i].record = record;

        if (record) {
            targets[i].order = &record->order;
        }
    }
}


ngx_uint_t
ngx_http_background_probe_disabled(ngx_http_background_target_t *target)
{
    return target->disabled || target->draining
           || (target->order
               && *target->order > ngx_http_background_order_up);
}


/* number of records of the upstream, also of servers that it had */

static ngx_uint_t
ngx_http_background_probe_count(ngx_http_background_probe_op_t *op)
{
    ngx_uint_t  i, n;

    i = 0;

    for (n = 0; ngx_http_background_probe_next(op, &i, 1); n++) { /* void */ }

    return n;
}


/*
 * Returns a free record, beginning with number *from, or else the record of a
 * server that the upstream does not have any more.  An upstream takes at most
 * "peers=" records, so that others find one for their servers.
 */

static ngx_http_background_server_t *
ngx_http_background_probe_claim(ngx_http_background_probe_op_t *op,
    uint64_t key[2], ngx_http_background_target_t *target, ngx_uint_t *count,
    ngx_uint_t *from)
{
    uint64_t                       group, *heads;
    ngx_uint_t                     i;
    ngx_http_background_table_t   *table;
    ngx_http_background_server_t  *record, *oldest;

    table = ngx_http_background_probes_table(op->probes->shm_zone);
    heads = ngx_http_background_probes_heads(table);
    record = ngx_http_background_probes_records(table);
    group = op->group - table->groups;

    if (*count == NGX_CONF_UNSET_UINT) {
        *count = ngx_http_background_probe_count(op);
    }

    for (i = *from; i < table->nrecords && *count < op->peers; i++) {
        if (ngx_atomic_cmp_set(&record[i].used, NGX_HTTP_BACKGROUND_PROBE_FREE,
                               (ngx_atomic_uint_t) ngx_pid))
        {
            *from = i + 1;
            (*count)++;
            goto found;
        }
    }

    *from = i;
    oldest = NULL;

    for (i = 0; i < table->nrecords; i++) {
        if (record[i].used == NGX_HTTP_BACKGROUND_PROBE_USED
            && record[i].group == group
            && record[i].listed < op->group->listings
            && (oldest == NULL || record[i].listed < oldest->listed))
        {
            oldest = &record[i];
        }
    }

    if (oldest == NULL
        || !ngx_atomic_cmp_set(&oldest->used, NGX_HTTP_BACKGROUND_PROBE_USED,
                               (ngx_atomic_uint_t) ngx_pid))
    {
        return NULL;
    }

    i = oldest - record;

found:

    heads[i] = ngx_http_background_probes_head(key[0], group);

    ngx_http_background_probe_fill(op, &record[i], key, target);

    return &record[i];
}


/* the server counts as listed, so that the next claim() does not take it */

static void
ngx_http_background_probe_fill(ngx_http_background_probe_op_t *op,
    ngx_http_background_server_t *record, uint64_t key[2],
    ngx_http_background_target_t *target)
{
    size_t                        from;
    ngx_http_background_table_t  *table;

    table = ngx_http_background_probes_table(op->probes->shm_zone);
    from = offsetof(ngx_http_background_server_t, state);

    ngx_http_background_probe_edit(record);

    ngx_memzero((u_char *) record + from,
                sizeof(ngx_http_background_server_t) - from);

    record->key[0] = key[0];
    record->key[1] = key[1];
    record->group = op->group - table->groups;
    record->listed = op->group->listings;

    record->since = ngx_current_msec;

    record->name_len = ngx_min(target->name.len, NGX_SOCKADDR_STRLEN);
    ngx_memcpy(record->name, target->name.data, record->name_len);

    record->server_len = ngx_min(target->server.len,
                                 NGX_HTTP_BACKGROUND_PEER_SERVER);
    ngx_memcpy(record->server, target->server.data, record->server_len);

    ngx_http_background_probe_edited(record);

    record->used = NGX_HTTP_BACKGROUND_PROBE_USED;
}


static void
ngx_http_background_probe_edit(ngx_http_background_server_t *record)
{
    record->changes |= 1;
    ngx_memory_barrier();
}


static void
ngx_http_background_probe_edited(ngx_http_background_server_t *record)
{
    ngx_memory_barrier();
    record->changes = (record->changes | 1) + 1;
}


void
ngx_http_background_probe_known(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n)
{
    ngx_http_background_probe_find(op, targets, n, 0);
}


void
ngx_http_background_probe_begin(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_log_t *log)
{
    uint64_t                       listing;
    ngx_uint_t                     i, none;
    ngx_http_background_server_t  *record;

    listing = op->group->listings + 1;
    none = 0;

    /*
     * known servers are marked as listed before claim() may take an old record
     */

    ngx_http_background_probe_find(op, targets, n, 0);

    for (i = 0; i < n; i++) {
        if (targets[i].record) {
            targets[i].record->listed = listing;
        }
    }

    op->group->listings = listing;

    ngx_http_background_probe_find(op, targets, n, 1);

    for (i = n; i-- > 0; /* void */ ) {
        record = targets[i].record;

        if (record == NULL) {
            none++;
            continue;
        }

        ngx_http_background_probe_edit(record);
        record->listed = listing;
        record->position = i;
        record->backup = targets[i].backup;
        record->disabled = targets[i].disabled
                           || (targets[i].draining
                               && record->order
                                  != ngx_http_background_order_drain);
        ngx_http_background_probe_edited(record);

        targets[i].missed = record->missed;
    }

    /* if a server is listed twice, only the first one is checked */

    for (i = 0; i < n; i++) {
        record = targets[i].record;
        targets[i].again = (record && record->position != i);
    }

    if (none && !op->full) {
        op->full = 1;

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "upstream \"%V\": %ui servers are not judged, \"peers=\" "
                      "of \"probe\" is %ui", &op->title, none, op->peers);
    }
}


/* returns whether the verdict has changed */

ngx_uint_t
ngx_http_background_probe_judge(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *target,
    ngx_http_background_verdict_t *verdict, ngx_log_t *log)
{
    ngx_http_background_server_t  *record;
    ngx_http_background_peer_e     state;

    record = target->record;

    /* after a reload the record may belong to another server */

    if (record->used != NGX_HTTP_BACKGROUND_PROBE_USED
        || record->key[0] != target->key)
    {
        return 0;
    }

    state = record->state;

    ngx_http_background_probe_edit(record);

    record->finished_at = ngx_http_background_wall_clock();
    record->wall_time = verdict->time;
    record->status = verdict->status;
    record->missed = 0;

    record->error_len = ngx_min(verdict->error.len,
                                NGX_HTTP_BACKGROUND_PEER_ERROR);
    ngx_memcpy(record->error, verdict->error.data, record->error_len);

    if (verdict->passed) {
        record->passed++;
        record->passes++;
        record->fails = 0;

        if (record->passes >= op->passes) {
            state = ngx_http_background_peer_up;
        }

    } else {
        record->failed++;
        record->fails++;
        record->passes = 0;

        if (record->fails >= op->fails) {
            state = ngx_http_background_peer_down;
        }
    }

    ngx_http_background_probe_edited(record);

    if (state == record->state) {
        return 0;
    }

    ngx_http_background_probe_changed(op, target, state, log);

    return 1;
}


static void
ngx_http_background_probe_changed(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *target, ngx_http_background_peer_e state,
    ngx_log_t *log)
{
    u_char                         text[sizeof(" ()")
                                        + NGX_SOCKADDR_STRLEN
                                        + NGX_HTTP_BACKGROUND_PEER_SERVER];
    uint64_t                       before, since;
    ngx_str_t                      name;
    ngx_http_background_table_t   *table;
    ngx_http_background_server_t  *record;

    table = ngx_http_background_probes_table(op->probes->shm_zone);
    record = target->record;

    before = record->state;
    since = record->since;

    ngx_http_background_probe_edit(record);

    record->state = state;
    record->since = ngx_current_msec;
    record->since_at = ngx_http_background_wall_clock();

    if (before != ngx_http_background_peer_unknown) {
        record->flips++;
    }

    ngx_http_background_probe_edited(record);

    /* the order matters: see "A reload" above */

    ngx_memory_barrier();

    if (table->generation != op->probes->generation) {
        (void) ngx_atomic_fetch_add(&op->group->late, 1);
    }

    name.data = text;

    if (target->server.len == target->name.len
        && ngx_memcmp(target->server.data, target->name.data,
                      target->name.len) == 0)
    {
        name.len = ngx_sprintf(text, "%V", &target->name) - text;

    } else {
        name.len = ngx_sprintf(text, "%V (%V)", &target->server, &target->name)
                   - text;
    }

    if (state == ngx_http_background_peer_down) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "upstream \"%V\": server %V is down after %uL failure%s: "
                      "%*s", &op->title, &name, record->fails,
                      record->fails == 1 ? "" : "s",
                      (size_t) record->error_len, record->error);

    } else if (before == ngx_http_background_peer_down) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "upstream \"%V\": server %V is up after %uL pass%s, it "
                      "was down for %uLs", &op->title, &name, record->passes,
                      record->passes == 1 ? "" : "es",
                      (ngx_current_msec - since) / 1000);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "upstream \"%V\": server %V is up", &op->title, &name);
    }
}


void
ngx_http_background_probe_wanted(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_log_t *log)
{
    ngx_uint_t                    i, up, spared;
    ngx_http_background_peer_e    state;
    ngx_http_background_table_t  *table;

    up = 0;

    for (i = 0; i < n; i++) {
        state = ngx_http_background_probe_state(&targets[i]);

        targets[i].down = !op->group->lifted
                          && (state == ngx_http_background_peer_down
                              || (state == ngx_http_background_peer_unknown
                                  && op->mandatory));

        if (!targets[i].backup && !targets[i].down
            && !ngx_http_background_probe_disabled(&targets[i]))
        {
            up++;
        }
    }

    /* a worker of an older configuration has other servers */

    table = ngx_http_background_probes_table(op->probes->shm_zone);

    if (table->generation == op->probes->generation) {
        op->group->up = up;
    }

    spared = op->keep ? ngx_http_background_probe_keep(op, targets, n) : 0;

    if (spared != op->spared) {
        op->spared = spared;

        if (spared) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "upstream \"%V\": %ui servers that are down get "
                          "requests, by \"keep=\" of \"probe\"",
                          &op->title, spared);
        }
    }
}


/* returns how many servers that are down get requests */

static ngx_uint_t
ngx_http_background_probe_keep(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n)
{
    ngx_uint_t                     i, up, enabled, keep;
    ngx_http_background_target_t  *target;

    up = 0;
    enabled = 0;

    for (i = 0; i < n; i++) {
        target = &targets[i];

        if (ngx_http_background_probe_disabled(target)) {
            continue;
        }

        if (target->backup) {
            if (!target->down) {
                return 0;
            }

            continue;
        }

        enabled++;

        if (!target->down) {
            up++;
        }
    }

    keep = op->percent ? (enabled * op->keep + 99) / 100 : op->keep;
    keep = ngx_min(keep, enabled);

    return up < keep
           ? ngx_http_background_probe_spare(targets, n, keep - up) : 0;
}


/* those that became down last */

static ngx_uint_t
ngx_http_background_probe_spare(ngx_http_background_target_t *targets,
    ngx_uint_t n, ngx_uint_t keep)
{
    ngx_uint_t                     i, ndown;
    ngx_http_background_spare_t   *down;
    ngx_http_background_target_t  *target;

    down = ngx_alloc(n * sizeof(ngx_http_background_spare_t), ngx_cycle->log);
    if (down == NULL) {
        return 0;
    }

    ndown = 0;

    for (i = 0; i < n; i++) {
        target = &targets[i];

        if (!target->backup && target->down
            && !ngx_http_background_probe_disabled(target)
            && ngx_http_background_probe_state(target)
               == ngx_http_background_peer_down)
        {
            down[ndown].since = target->record->since;
            down[ndown++].target = target;
        }
    }

    ngx_qsort(down, ndown, sizeof(ngx_http_background_spare_t),
              ngx_http_background_probe_later);

    keep = ngx_min(keep, ndown);

    for (i = 0; i < keep; i++) {
        down[i].target->down = 0;
    }

    ngx_free(down);

    return keep;
}


static int ngx_libc_cdecl
ngx_http_background_probe_later(const void *one, const void *two)
{
    const ngx_http_background_spare_t  *first, *second;

    first = one;
    second = two;

    if (first->since != second->since) {
        return first->since > second->since ? -1 : 1;
    }

    return first->target < second->target ? -1
                                          : first->target > second->target;
}


ngx_http_background_peer_e
ngx_http_background_probe_state(ngx_http_background_target_t *target)
{
    return target->record ? (ngx_http_background_peer_e) target->record->state
                          : ngx_http_background_peer_unknown;
}


void
ngx_http_background_probe_missed(ngx_http_background_target_t *target,
    ngx_uint_t missed)
{
    if (target->record) {
        target->record->missed = missed;
    }
}


uint64_t
ngx_http_background_probe_table_id(ngx_http_background_probe_op_t *op)
{
    return ngx_http_background_probes_table(op->probes->shm_zone)->id;
}


ngx_int_t
ngx_http_background_probe_save(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, ngx_http_background_saved_t *saved)
{
    ngx_http_background_server_t  *record;

    record = ngx_http_background_probe_next(op, n, 0);

    if (record == NULL) {
        return NGX_DONE;
    }

    saved->key[0] = record->key[0];
    saved->key[1] = record->key[1];
    saved->order = record->order;
    saved->state = record->state;
    saved->since = record->since;
    saved->since_at = record->since_at;
    saved->fails = record->fails;
    saved->passes = record->passes;
    saved->failed = record->failed;
    saved->passed = record->passed;
    saved->flips = record->flips;

    return NGX_OK;
}


void
ngx_http_background_probe_restore(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, const ngx_http_background_saved_t *saved, ngx_uint_t orders)
{
    ngx_http_background_table_t   *table;
    ngx_http_background_server_t  *record;

    table = ngx_http_background_probes_table(op->probes->shm_zone);
    record = ngx_http_background_probe_by_key(table, op->group, saved->key, n);

    if (record == NULL) {
        return;
    }

    if (orders) {
        record->order = ngx_min(saved->order, ngx_http_background_order_drain);
        return;
    }

    ngx_http_background_probe_edit(record);

    record->state = ngx_min(saved->state, ngx_http_background_peer_down);
    record->since = saved->since;
    record->since_at = saved->since_at;
    record->fails = saved->fails;
    record->passes = saved->passes;
    record->failed = saved->failed;
    record->passed = saved->passed;
    record->flips = saved->flips;

    ngx_http_background_probe_edited(record);
}


uint64_t
ngx_http_background_probe_late(ngx_http_background_probe_op_t *op)
{
    return op->group ? op->group->late : 0;
}


void
ngx_http_background_probe_lift(ngx_http_background_probe_op_t *op,
    ngx_uint_t lift)
{
    if (op->group && op->group->lifted != lift) {
        op->group->lifted = lift;
    }
}


ngx_uint_t
ngx_http_background_probe_lifted(ngx_http_background_probe_op_t *op)
{
    return op->group == NULL || op->group->lifted;
}


ngx_uint_t
ngx_http_background_probe_up(ngx_http_background_probe_op_t *op)
{
    return op->group ? op->group->up : 0;
}


/* all servers with the address, of those that "read" shows */

ngx_int_t
ngx_http_background_probe_order_record(ngx_http_background_probe_op_t *op,
    ngx_str_t *address, ngx_http_background_order_e order)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_http_background_table_t   *table;
    ngx_http_background_server_t  *record;

    rc = NGX_DECLINED;
    i = 0;

    for ( ;; ) {
        record = ngx_http_background_probe_next(op, &i, 0);

        if (record == NULL) {
            break;
        }

        if (record->name_len != address->len
            || address->len > NGX_SOCKADDR_STRLEN
            || ngx_memcmp(record->name, address->data, address->len) != 0)
        {
            continue;
        }

        if (order == ngx_http_background_order_drain && !op->access->drain) {
            return NGX_ABORT;
        }

        record->order = order;
        rc = NGX_OK;
    }

    table = ngx_http_background_probes_table(op->probes->shm_zone);

    /* as in probe_changed() */

    ngx_memory_barrier();

    if (rc == NGX_OK && table->generation != op->probes->generation) {
        (void) ngx_atomic_fetch_add(&op->group->late, 1);
    }

    return rc;
}


/*
 * Returns the next record of the upstream, from number *n, which is advanced;
 * with "all" also those of servers that are not listed any more
 */

static ngx_http_background_server_t *
ngx_http_background_probe_next(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, ngx_uint_t all)
{
    uint64_t                       group, head, *heads;
    ngx_uint_t                     i;
    ngx_http_background_table_t   *table;
    ngx_http_background_server_t  *records;

    if (op->group == NULL) {
        return NULL;
    }

    table = ngx_http_background_probes_table(op->probes->shm_zone);
    heads = ngx_http_background_probes_heads(table);
    records = ngx_http_background_probes_records(table);
    group = op->group - table->groups;
    head = ngx_http_background_probes_head(0, group);

    while (*n < table->nrecords) {
        i = (*n)++;

        if ((heads[i] & NGX_HTTP_BACKGROUND_PROBE_HEAD) == head
            && records[i].used == NGX_HTTP_BACKGROUND_PROBE_USED
            && records[i].group == group
            && (all || records[i].listed >= op->group->listings))
        {
            return &records[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_background_probe_read(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, ngx_http_background_peer_t *peer)
{
    uint64_t                       changes;
    ngx_uint_t                     tries;
    ngx_http_background_server_t  *record, copy;

    record = ngx_http_background_probe_next(op, n, 0);

    if (record == NULL) {
        return NGX_DONE;
    }

    /*
     * a writer that has died may have left "changes" odd, so tries are
     * limited
     */

    for (tries = 0; tries < 100; tries++) {
        changes = record->changes;

        ngx_memory_barrier();
        copy = *record;
        ngx_memory_barrier();

        if (!(changes & 1) && record->changes == changes) {
            break;
        }
    }

    ngx_memzero(peer, sizeof(ngx_http_background_peer_t));

    peer->upstream = op->title;
    peer->backup = copy.backup != 0;
    peer->state = (copy.disabled
                   || copy.order > ngx_http_background_order_up)
                    ? ngx_http_background_server_disabled
                  : copy.state == ngx_http_background_peer_up
                    ? ngx_http_background_server_up
                  : copy.state == ngx_http_background_peer_down
                    ? ngx_http_background_server_down
                    : ngx_http_background_server_unknown;
    peer->usable = (peer->state == ngx_http_background_server_up
                    || (peer->state == ngx_http_background_server_unknown
                        && !op->mandatory));
    peer->since_at = copy.since_at;
    peer->fails = copy.fails;
    peer->passes = copy.passes;
    peer->failed = copy.failed;
    peer->passed = copy.passed;
    peer->changes = copy.flips;
    peer->finished_at = copy.finished_at;
    peer->wall_time = copy.wall_time;
    peer->status = copy.status;

    peer->address_len = ngx_min(copy.name_len,
                                NGX_HTTP_BACKGROUND_ADDRESS_LEN);
    ngx_memcpy(peer->address, copy.name, peer->address_len);

    peer->server_len = ngx_min(copy.server_len,
                               NGX_HTTP_BACKGROUND_SERVER_LEN);
    ngx_memcpy(peer->server, copy.server, peer->server_len);

    peer->error_len = ngx_min(copy.error_len,
                              NGX_HTTP_BACKGROUND_PEER_ERROR);
    ngx_memcpy(peer->error, copy.error, peer->error_len);

    return NGX_OK;
}
