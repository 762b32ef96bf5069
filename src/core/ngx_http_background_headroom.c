
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_headroom.h"
#include "ngx_http_background_cpu_usage.h"
#include "ngx_http_background_job.h"


/*
 * Jobs run while the container uses less than this part of its quota.  The
 * rest is for bursts of event loops, and for slices of the quota that the
 * kernel has granted to CPUs which do not use them.
 */
#define NGX_HTTP_BACKGROUND_HEADROOM_USE    0.85

/*
 * In microseconds: the period in which the used CPU time is read, how much
 * unused time may be used later, and how long jobs wait at most after
 * excessive use.  The latter is the period over which the kernel enforces the
 * quota.
 */
#define NGX_HTTP_BACKGROUND_HEADROOM_CHECK  10000
#define NGX_HTTP_BACKGROUND_HEADROOM_BURST  10000
#define NGX_HTTP_BACKGROUND_HEADROOM_DEBT   100000


typedef struct {
    pthread_mutex_t   mutex;
    ngx_fd_t          fd;
    double            cpus;

    /* under the mutex */
    uint64_t          used;

    /* written under the mutex, read without it */
    uint64_t          checked;
    uint64_t          due;
} ngx_http_background_headroom_t;


static void ngx_http_background_headroom_check(
    ngx_http_background_headroom_t *room, uint64_t now);


static ngx_http_background_headroom_t  ngx_http_background_headroom = {
    PTHREAD_MUTEX_INITIALIZER, NGX_INVALID_FILE, 0, 0, 0, 0
};


void
ngx_http_background_headroom_open(ngx_log_t *log)
{
    double                           quota;
    ngx_http_background_headroom_t  *room;

    room = &ngx_http_background_headroom;

    room->fd = ngx_http_background_cpu_usage_open("", &quota);

    if (room->fd == NGX_INVALID_FILE) {
        return;
    }

    room->cpus = quota * NGX_HTTP_BACKGROUND_HEADROOM_USE;
    room->due = 0;
    room->checked = ngx_http_background_usec(CLOCK_MONOTONIC);

    if (ngx_http_background_cpu_usage_read(room->fd, &room->used) != 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "background: the CPU time of the cgroup can't be read, "
                      "jobs do not give way to other processes");

        ngx_http_background_headroom_close(log);
    }
}


void
ngx_http_background_headroom_close(ngx_log_t *log)
{
    ngx_http_background_headroom_t  *room;

    room = &ngx_http_background_headroom;

    if (room->fd == NGX_INVALID_FILE) {
        return;
    }

    if (ngx_close_file(room->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of the cgroup's CPU time failed");
    }

    room->fd = NGX_INVALID_FILE;
}


uint64_t
ngx_http_background_headroom_due(uint64_t now)
{
    uint64_t                         checked;
    ngx_http_background_headroom_t  *room;

    room = &ngx_http_background_headroom;

    if (room->fd == NGX_INVALID_FILE) {
        return 0;
    }

    checked = __atomic_load_n(&room->checked, __ATOMIC_RELAXED);

    /* the other threads do not wait for the one that reads */

    if (now >= checked + NGX_HTTP_BACKGROUND_HEADROOM_CHECK
        && pthread_mutex_trylock(&room->mutex) == 0)
    {
        ngx_http_background_headroom_check(room, now);

        (void) pthread_mutex_unlock(&room->mutex);
    }

    return __atomic_load_n(&room->due, __ATOMIC_RELAXED);
}


/* a leaky bucket, as ngx_http_background_pay() */

static void
ngx_http_background_headroom_check(ngx_http_background_headroom_t *room,
    uint64_t now)
{
    uint64_t  used, cost, due;

    if (now < room->checked + NGX_HTTP_BACKGROUND_HEADROOM_CHECK) {
        return;
    }

    due = 0;

    /* if the cgroup is gone, jobs do not wait */

    if (ngx_http_background_cpu_usage_read(room->fd, &used) == 0) {

        cost = used > room->used ? used - room->used : 0;
        room->used = used;

        due = ngx_max(room->due,
                      room->checked - NGX_HTTP_BACKGROUND_HEADROOM_BURST)
              + (uint64_t) ((double) cost / room->cpus);

        due = ngx_min(due, now + NGX_HTTP_BACKGROUND_HEADROOM_DEBT);
    }

    __atomic_store_n(&room->due, due, __ATOMIC_RELAXED);
    __atomic_store_n(&room->checked, now, __ATOMIC_RELAXED);
}
