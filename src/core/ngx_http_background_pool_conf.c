
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "background_threads", and the priority of threads */


#include "ngx_http_background_pool.h"
#include "ngx_http_background_fs.h"

#include <sys/resource.h>
#include <sys/syscall.h>


/* not all distributions ship linux/ioprio.h */
#define NGX_HTTP_BACKGROUND_IOPRIO_WHO_PROCESS  1
#define NGX_HTTP_BACKGROUND_IOPRIO_IDLE         (3 << 13)

/*
 * The time slice of a thread, in nsec: the least that Linux takes for a slice
 * (0.1 ms, sched_setattr(2)).  An event loop that becomes ready while a thread
 * is within its slice has to wait.
 */
#define NGX_HTTP_BACKGROUND_SLICE        100000

/*
 * If the threads would leave the event loops less than one CPU of the quota of
 * a cgroup, all threads together use at most this part of it, in percent.
 */
#define NGX_HTTP_BACKGROUND_QUOTA        70


/* struct sched_attr, version 0; not all distributions ship it */

typedef struct {
    uint32_t  size;
    uint32_t  policy;
    uint64_t  flags;
    int32_t   nice;
    uint32_t  priority;
    uint64_t  runtime;     /* the slice, since Linux 6.12 */
    uint64_t  deadline;
    uint64_t  period;
} ngx_http_background_sched_attr_t;


static ngx_uint_t ngx_http_background_affinity(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf);
static void ngx_http_background_pool_priority(ngx_int_t value, ngx_log_t *log);
static void ngx_http_background_pool_slice(ngx_log_t *log);


/* the signals that are blocked in a pool thread */
static __thread sigset_t  ngx_http_background_pool_signals;


ngx_int_t
ngx_http_background_pool_init(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    double                            share;
    ngx_uint_t                        n;
    ngx_http_background_cpu_limit_t  *limit;

    n = ngx_http_background_affinity(cf, pcf);
    if (n == 0) {
        return NGX_ERROR;
    }

    limit = &pcf->cpu_limit;

    ngx_http_background_cpu_limit("", n, limit);

    if (pcf->threads == 0) {
        pcf->threads = ngx_min(ngx_max(limit->limit, 2) - 1,
                               NGX_HTTP_BACKGROUND_MAX_THREADS);
    }

    if (pcf->reserve >= pcf->threads) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"reserve=%ui\" in \"background_threads\" directive "
                      "is %ui, as \"auto\" is %ui here in %s:%ui",
                      pcf->reserve, pcf->threads - 1, pcf->threads,
                      pcf->file, pcf->line);

        pcf->reserve = pcf->threads - 1;
    }

    if (pcf->quota == 0) {
        pcf->quota = 100;
        pcf->gives_way = limit->quota > 0;

        if (limit->quota > 0 && limit->quota - (double) pcf->threads < 1) {
            share = ngx_min(limit->quota / (double) pcf->threads, 1);
            pcf->quota = ngx_max((ngx_uint_t)
                                 (NGX_HTTP_BACKGROUND_QUOTA * share), 1);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_background_affinity(ngx_conf_t *cf,
    ngx_http_background_pool_conf_t *pcf)
{
    ngx_int_t  n;

    /* the mask of the kernel may be longer than cpu_set_t */

    for (n = CPU_SETSIZE; n <= 64 * CPU_SETSIZE; n *= 2) {
        pcf->affinity_size = CPU_ALLOC_SIZE(n);

        pcf->affinity = ngx_pcalloc(cf->pool, pcf->affinity_size);
        if (pcf->affinity == NULL) {
            return 0;
        }

        if (sched_getaffinity(0, pcf->affinity_size, pcf->affinity) == 0) {
            return CPU_COUNT_S(pcf->affinity_size, pcf->affinity);
        }

        if (ngx_errno != NGX_EINVAL) {
            break;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                  "sched_getaffinity() failed");

    return 0;
}


/*
 * In Linux nice value, I/O priority, and affinity belong to a thread.  A
 * failure is logged only: it may cost latency of requests.
 */

void
ngx_http_background_pool_thread_init(ngx_http_background_pool_conf_t *pcf,
    ngx_log_t *log)
{
    sigset_t          set;
    ngx_err_t         err;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    /*
     * nginx blocks these signals in its thread pools, but the handler of
     * crashes needs them.
     */

    sigemptyset(&set);
    sigaddset(&set, SIGABRT);
    sigaddset(&set, SIGTRAP);

    err = pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    if (err) {
        ngx_log_error(NGX_LOG_WARN, log, err,
                      "background: pthread_sigmask() of a thread failed");
    }

    (void) pthread_sigmask(SIG_SETMASK, NULL,
                           &ngx_http_background_pool_signals);

    ngx_http_background_pool_priority(pcf->priority, log);
    ngx_http_background_pool_slice(log);

    if (syscall(SYS_ioprio_set, NGX_HTTP_BACKGROUND_IOPRIO_WHO_PROCESS, 0,
                NGX_HTTP_BACKGROUND_IOPRIO_IDLE)
        == -1)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background: ioprio_set() of a thread failed");
    }

    /* "worker_cpu_affinity" binds event loops only */

    if (ccf->cpu_affinity_n
        && sched_setaffinity(0, pcf->affinity_size, pcf->affinity) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background: sched_setaffinity() of a thread failed");
    }

    ngx_http_background_fs_unshare(log);
}


void
ngx_http_background_pool_thread_restore(ngx_log_t *log)
{
    /* the handler of crashes needs signals that a function may have blocked */

    (void) pthread_sigmask(SIG_SETMASK, &ngx_http_background_pool_signals,
                           NULL);

    ngx_http_background_fs_restore(log);
}


static void
ngx_http_background_pool_priority(ngx_int_t value, ngx_log_t *log)
{
    int                 priority;
    struct sched_param  param;

    if (value == NGX_HTTP_BACKGROUND_PRIORITY_IDLE) {
        ngx_memzero(&param, sizeof(struct sched_param));

        if (sched_setscheduler(0, SCHED_IDLE, &param) == -1) {
            ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                          "background: sched_setscheduler(SCHED_IDLE) of a "
                          "thread failed");
        }

        /* the nice value is for kernels that do not support SCHED_IDLE */
        value = 19;
    }

    ngx_set_errno(0);
    priority = getpriority(PRIO_PROCESS, 0);

    /* "worker_priority" may be a higher nice value */

    if ((priority != -1 || ngx_errno == 0)
        && priority < value
        && setpriority(PRIO_PROCESS, 0, value) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background: setpriority(%i) of a thread failed",
                      value);
    }
}


static void
ngx_http_background_pool_slice(ngx_log_t *log)
{
    ngx_http_background_sched_attr_t  attr;

    ngx_memzero(&attr, sizeof(ngx_http_background_sched_attr_t));

    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0) {

        /* other policies have no slice */

        if (attr.policy != SCHED_OTHER) {
            return;
        }

        attr.runtime = NGX_HTTP_BACKGROUND_SLICE;

        if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0) {
            return;
        }
    }

    ngx_log_error(NGX_LOG_NOTICE, log, ngx_errno,
                  "background: sched_setattr() of a thread failed");
}
