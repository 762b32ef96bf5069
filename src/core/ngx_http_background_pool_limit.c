
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The number of threads of each worker.  During a reload the old and the new
 * workers exist at the same time.  If the limits of the system have no room
 * for both, workers have fewer threads, so that no process of nginx fails to
 * start.
 */


#include "ngx_http_background_pool.h"
#include "ngx_http_background_step.h"
#include "ngx_http_background_task_limit.h"


/* additional threads of a worker, for parked jobs */
#define NGX_HTTP_BACKGROUND_SPARE  4

/*
 * The least number of threads in all workers, in all and for each slot: a
 * worker that has all the jobs should have enough threads.
 */
#define NGX_HTTP_BACKGROUND_TOTAL          64
#define NGX_HTTP_BACKGROUND_TOTAL_FACTOR   4


typedef struct {
    ngx_uint_t  workers;
    ngx_uint_t  others;      /* processes of nginx without workers, and threads
                                of workers that are not for jobs */
    ngx_uint_t  helpers;
    ngx_uint_t  running;     /* tasks of the running processes */
} ngx_http_background_tasks_needed_t;


static ngx_uint_t ngx_http_background_default_per_worker(
    ngx_http_background_pool_conf_t *pcf, ngx_uint_t workers);
static void ngx_http_background_limit_threads(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf, ngx_uint_t workers);
static ngx_uint_t ngx_http_background_cache_processes(ngx_cycle_t *cycle);
static ngx_uint_t ngx_http_background_running_tasks(void);
static ngx_uint_t ngx_http_background_reload_needs(
    ngx_http_background_tasks_needed_t *needed, ngx_uint_t threads);


void
ngx_http_background_pool_limit(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf)
{
    ngx_uint_t        workers;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    workers = ccf->master ? ngx_max(ccf->worker_processes, 1) : 1;

    if (pcf->per_worker == 0) {
        pcf->per_worker = ngx_http_background_default_per_worker(pcf, workers);
    }

    pcf->worker_threads = pcf->per_worker + NGX_HTTP_BACKGROUND_SPARE
                          + ngx_http_background_pool_reserve(pcf);

    /* "nginx -t" may run with other limits */

    if (!ngx_test_config) {
        ngx_http_background_limit_threads(cycle, pcf, workers);
    }
}


ngx_uint_t
ngx_http_background_pool_reserve(const ngx_http_background_pool_conf_t *pcf)
{
    return ngx_min(pcf->reserve, pcf->per_worker);
}


static ngx_uint_t
ngx_http_background_default_per_worker(ngx_http_background_pool_conf_t *pcf,
    ngx_uint_t workers)
{
    ngx_uint_t  total;

    total = ngx_max(NGX_HTTP_BACKGROUND_TOTAL,
                    NGX_HTTP_BACKGROUND_TOTAL_FACTOR * pcf->threads);

    return ngx_min(pcf->threads, (total + workers - 1) / workers);
}


static void
ngx_http_background_limit_threads(ngx_cycle_t *cycle,
    ngx_http_background_pool_conf_t *pcf, ngx_uint_t workers)
{
    uint64_t                             used, left;
    ngx_uid_t                            user;
    ngx_uint_t                           n, needs;
    ngx_core_conf_t                     *ccf;
    ngx_http_background_task_limit_t     limit;
    ngx_http_background_tasks_needed_t   needed;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    user = geteuid();

    if (user == 0 && ccf->master) {
        user = ccf->user;
    }

    ngx_http_background_task_limit("", user, &limit);

    needed.workers = workers;
    needed.others = ngx_http_background_cache_processes(cycle);
    needed.helpers = pcf->threads - 1;
    needed.running = ngx_http_background_running_tasks();

    if (pcf->steps) {
        needed.others += workers * NGX_HTTP_BACKGROUND_STEP_IDLE;
    }

    used = limit.used - ngx_min(limit.used, needed.running);
    left = limit.max - ngx_min(limit.max, used);

    n = pcf->worker_threads;

    while (n > 1 && ngx_http_background_reload_needs(&needed, n) > left) {
        n--;
    }

    if (n == pcf->worker_threads) {
        return;
    }

    needs = ngx_http_background_reload_needs(&needed, pcf->worker_threads);

    ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                  "background: %ui instead of %ui threads for each of %ui "
                  "workers: a reload would need %ui tasks, \"%s\" is %uL, "
                  "and others use %uL",
                  n, pcf->worker_threads, workers, needs, limit.name,
                  limit.max, used);

    pcf->worker_threads = n;
}


static ngx_uint_t
ngx_http_background_cache_processes(ngx_cycle_t *cycle)
{
    ngx_uint_t    i, manager, loader;
    ngx_path_t  **path;

    manager = 0;
    loader = 0;
    path = cycle->paths.elts;

    for (i = 0; i < cycle->paths.nelts; i++) {

        if (path[i]->manager) {
            manager = 1;
        }

        if (path[i]->loader) {
            loader = 1;
        }
    }

    return manager + loader;
}


/*
 * Returns the tasks of the child processes of this master, without those of a
 * new binary, which do not exit at a reload.
 */

static ngx_uint_t
ngx_http_background_running_tasks(void)
{
    ngx_int_t       i;
    ngx_uint_t      n;
    ngx_process_t  *process;

    n = 0;

    for (i = 0; i < ngx_last_process; i++) {
        process = &ngx_processes[i];

        if (process->pid != -1 && !process->exited && !process->detached) {
            n += ngx_http_background_task_threads("", process->pid);
        }
    }

    return n;
}


/*
 * Returns the tasks of the new processes and of the old ones, which are those
 * that run now or those of the next reload.  All share the slots of helpers.
 */

static ngx_uint_t
ngx_http_background_reload_needs(ngx_http_background_tasks_needed_t *needed,
    ngx_uint_t threads)
{
    ngx_uint_t  n;

    n = needed->workers * (1 + threads) + needed->others;

    return ngx_max(needed->running, n + needed->helpers) + n;
}
