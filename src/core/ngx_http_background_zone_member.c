
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Registrations of workers: a worker joins, is seen to live, is revoked, or is
 * found dead.
 */


#include "ngx_http_background_zone_layout.h"

#include <signal.h>


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


static void ngx_http_background_member_watch(
    ngx_http_background_member_t *member,
    ngx_http_background_watched_t *watched, ngx_uint_t punctual,
    ngx_log_t *log);
static void ngx_http_background_member_reap(
    ngx_http_background_member_t *member, ngx_log_t *log);
static void ngx_http_background_member_read(
    ngx_http_background_member_t *member, ngx_http_background_life_t *life);
static ngx_int_t ngx_http_background_member_lock(
    ngx_http_background_member_t *member);
static void ngx_http_background_member_free(
    ngx_http_background_member_t *member, ngx_http_background_life_t *life,
    ngx_log_t *log);
static void ngx_http_background_member_idle(
    ngx_http_background_member_t *member);
static ngx_uint_t ngx_http_background_process_child(uint32_t pid);


ngx_http_background_zone_t    *ngx_http_background_zone;
ngx_http_background_member_t  *ngx_http_background_member;
uint64_t                       ngx_http_background_self;
uint64_t                       ngx_http_background_life;

static ngx_http_background_watched_t
    ngx_http_background_watched[NGX_MAX_PROCESSES];


ngx_int_t
ngx_http_background_members_init(ngx_http_background_zone_t *zone,
    ngx_log_t *log)
{
    int                  err;
    ngx_uint_t           i;
    pthread_mutexattr_t  attr;

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

    return err ? NGX_ERROR : NGX_OK;
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

    ngx_http_background_store(&ngx_http_background_self,
                              epoch << 16
                              | (member - ngx_http_background_zone->members
                                 + 1));

    ngx_http_background_store(&member->joined, (uint32_t) epoch);
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
    ngx_http_background_store(&ngx_http_background_self, 0);
    ngx_http_background_life = 0;
}


uint64_t
ngx_http_background_zone_self(void)
{
    return ngx_http_background_load(&ngx_http_background_self);
}


ngx_uint_t
ngx_http_background_zone_owns(uint64_t self)
{
    return ngx_http_background_owner(ngx_http_background_zone, self) != NULL;
}


ngx_uint_t
ngx_http_background_zone_revoked(void)
{
    return ngx_http_background_self
           && !ngx_http_background_zone_owns(ngx_http_background_self);
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


ngx_uint_t
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
 * All registrations belong to children of this master.  A pid that is not of a
 * child may be of an unrelated process by now.
 */

void
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


ngx_http_background_member_t *
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


ngx_uint_t
ngx_http_background_writes(ngx_http_background_zone_t *zone, uint64_t owner)
{
    return owner
           && ngx_http_background_load(
                                &zone->members[(owner & 0xffff) - 1].joined)
              == (uint32_t) (owner >> 16);
}


ngx_http_background_member_t *
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
