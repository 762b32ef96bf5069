
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * fair WORK NUMBER: CPU operations that note in a file, which all workers have
 * mapped (see fair_file_t), that they make progress and how many of them do so
 * at the same time.  Tasks with the same file have different numbers.  WORK is
 *
 * long   works until it is cancelled
 * late   as long, but the first job of the worker returns at once
 * sleep  as long, with a limit_rate
 * share  pieces of 20 ms on several threads; notes only that all are done
 * hold   works for 20 ms without giving its slot away
 * short  returns at once
 *
 * fair_file FILE: sets the file.
 */


#include <ngx_http_background.h>

#include <sys/mman.h>


#define FAIR_WORKERS  16
#define FAIR_TASKS    16

#define FAIR_PIECES   8
#define FAIR_STEPS    10


typedef struct {
    uint64_t            running;     /* 4 bits for each worker */
    uint32_t            check;       /* set by the test */
    uint32_t            max;         /* the maximum at the same time, while
                                        "check" is set */
    uint32_t            pids[FAIR_WORKERS];
    uint32_t            beats[FAIR_WORKERS][FAIR_TASKS];
} fair_file_t;


typedef struct {
    ngx_uint_t          number;
    void              (*work)(ngx_http_background_run_t *run);
} fair_conf_t;


static ngx_int_t fair_init_process(ngx_cycle_t *cycle);
static ngx_uint_t fair_worker(void);
static void fair_enter(void);
static void fair_leave(void);
static ngx_uint_t fair_step(ngx_http_background_run_t *run);
static void fair_beat(ngx_http_background_run_t *run);

static void fair_work(ngx_http_background_run_t *run);
static void fair_long(ngx_http_background_run_t *run);
static void fair_late(ngx_http_background_run_t *run);
static void fair_sleep(ngx_http_background_run_t *run);
static void fair_hold(ngx_http_background_run_t *run);
static void fair_short(ngx_http_background_run_t *run);

static void fair_share_begin(ngx_http_background_run_t *run);
static void fair_share_work(ngx_http_background_run_t *run);
static void fair_share_finish(ngx_http_background_run_t *run);

static char *fair(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *fair_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_http_background_kind_t  fair_kind = { .work = fair_work };

static ngx_http_background_kind_t  fair_share_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    fair_share_begin,                        /* begin */
    fair_share_work,                         /* work */
    fair_share_finish,                       /* finish */
    NULL                                     /* check */
};


static ngx_command_t  fair_commands[] = {

    { ngx_string("fair"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE2,
      fair,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fair_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      fair_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  fair_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  fair_module = {
    NGX_MODULE_V1,
    &fair_module_ctx,
    fair_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, fair_init_process, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static u_char       *fair_name;
static fair_file_t  *fair_map;
static ngx_uint_t    fair_me;


static ngx_int_t
fair_init_process(ngx_cycle_t *cycle)
{
    void      *p;
    ngx_fd_t   fd;

    if (fair_name == NULL) {
        return NGX_OK;
    }

    fd = ngx_open_file(fair_name, NGX_FILE_RDWR, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno, "fair: no file");
        return NGX_ERROR;
    }

    p = mmap(NULL, sizeof(fair_file_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd,
             0);

    (void) ngx_close_file(fd);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno, "fair: mmap()");
        return NGX_ERROR;
    }

    fair_map = p;
    fair_me = fair_worker();

    return fair_me < FAIR_WORKERS ? NGX_OK : NGX_ERROR;
}


/* returns a free entry; entries of dead processes are free */

static ngx_uint_t
fair_worker(void)
{
    uint32_t    pid;
    ngx_uint_t  i, found;

    found = FAIR_WORKERS;

    for (i = 0; i < FAIR_WORKERS; i++) {
        pid = __atomic_load_n(&fair_map->pids[i], __ATOMIC_SEQ_CST);

        if ((pid && kill((pid_t) pid, 0) == 0)
            || !__atomic_compare_exchange_n(&fair_map->pids[i], &pid,
                                            (uint32_t) ngx_pid, 0,
                                            __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST))
        {
            continue;
        }

        __atomic_and_fetch(&fair_map->running, ~((uint64_t) 15 << 4 * i),
                           __ATOMIC_SEQ_CST);

        if (found == FAIR_WORKERS) {
            found = i;

        } else {
            __atomic_store_n(&fair_map->pids[i], 0, __ATOMIC_SEQ_CST);
        }
    }

    return found;
}


static void
fair_enter(void)
{
    uint32_t  n, max;
    uint64_t  running;

    running = __atomic_add_fetch(&fair_map->running,
                                 (uint64_t) 1 << 4 * fair_me,
                                 __ATOMIC_SEQ_CST);

    for (n = 0; running; running >>= 4) {
        n += running & 15;
    }

    max = __atomic_load_n(&fair_map->max, __ATOMIC_SEQ_CST);

    while (n > max && __atomic_load_n(&fair_map->check, __ATOMIC_SEQ_CST)
           && !__atomic_compare_exchange_n(&fair_map->max, &max, n, 0,
                                           __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST))
    {
        /* void */
    }
}


static void
fair_leave(void)
{
    __atomic_sub_fetch(&fair_map->running, (uint64_t) 1 << 4 * fair_me,
                       __ATOMIC_SEQ_CST);
}


/* waits for some time, with or without use of the CPU */

static ngx_uint_t
fair_step(ngx_http_background_run_t *run)
{
    ngx_msleep(1);

    fair_leave();

    if (ngx_http_background_cancelled(run)) {
        return 0;
    }

    fair_enter();

    return 1;
}


static void
fair_beat(ngx_http_background_run_t *run)
{
    fair_conf_t *fcf = run->conf;

    __atomic_add_fetch(&fair_map->beats[fair_me][fcf->number], 1,
                       __ATOMIC_SEQ_CST);
}


static void
fair_work(ngx_http_background_run_t *run)
{
    fair_conf_t *fcf = run->conf;

    fair_enter();

    fcf->work(run);
}


static void
fair_long(ngx_http_background_run_t *run)
{
    while (fair_step(run)) {
        fair_beat(run);
    }
}


static void
fair_late(ngx_http_background_run_t *run)
{
    fair_conf_t *fcf = run->conf;

    if (__atomic_load_n(&fair_map->beats[fair_me][fcf->number],
                        __ATOMIC_SEQ_CST))
    {
        fair_long(run);

    } else {
        fair_short(run);
    }
}


static void
fair_sleep(ngx_http_background_run_t *run)
{
    run->limit_rate = 1000;

    while (fair_step(run)) {
        run->result.bytes += 30;
        fair_beat(run);
    }
}


static void
fair_hold(ngx_http_background_run_t *run)
{
    ngx_uint_t  i;

    run->keep_slot = 1;

    fair_beat(run);

    for (i = 0; i < FAIR_STEPS; i++) {
        if (!fair_step(run)) {
            return;
        }
    }

    fair_leave();
    run->result.completed++;
}


static void
fair_short(ngx_http_background_run_t *run)
{
    fair_beat(run);
    fair_leave();
    run->result.completed++;
}


static void
fair_share_begin(ngx_http_background_run_t *run)
{
    fair_enter();

    run->ctx = ngx_pcalloc(run->pool, sizeof(ngx_uint_t));

    if (run->ctx == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
    }

    fair_leave();
}


static void
fair_share_work(ngx_http_background_run_t *run)
{
    ngx_uint_t *next = run->ctx;

    ngx_uint_t  i;

    fair_enter();

    while (__atomic_fetch_add(next, 1, __ATOMIC_RELAXED) < FAIR_PIECES) {

        for (i = 0; i < FAIR_STEPS; i++) {
            if (!fair_step(run)) {
                return;
            }
        }

        run->result.completed++;
    }

    fair_leave();
}


static void
fair_share_finish(ngx_http_background_run_t *run)
{
    if (ngx_http_background_cancelled(run)) {
        return;
    }

    fair_enter();

    if (run->result.completed == FAIR_PIECES) {
        fair_beat(run);

    } else {
        ngx_http_background_fail(&run->result, 0, "%ui of %d pieces",
                                 run->result.completed, FAIR_PIECES);
    }

    fair_leave();
}


static char *
fair(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                    n;
    ngx_str_t                   *value;
    fair_conf_t                 *fcf;
    ngx_http_background_kind_t  *kind;

    fcf = ngx_pcalloc(cf->pool, sizeof(fair_conf_t));
    if (fcf == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    kind = &fair_kind;

    if (ngx_strcmp(value[1].data, "long") == 0) {
        fcf->work = fair_long;

    } else if (ngx_strcmp(value[1].data, "late") == 0) {
        fcf->work = fair_late;

    } else if (ngx_strcmp(value[1].data, "sleep") == 0) {
        fcf->work = fair_sleep;

    } else if (ngx_strcmp(value[1].data, "hold") == 0) {
        fcf->work = fair_hold;

    } else if (ngx_strcmp(value[1].data, "short") == 0) {
        fcf->work = fair_short;

    } else if (ngx_strcmp(value[1].data, "share") == 0) {
        kind = &fair_share_kind;

    } else {
        return "has unknown work";
    }

    n = ngx_atoi(value[2].data, value[2].len);

    if (n == NGX_ERROR || n >= FAIR_TASKS) {
        return "has a wrong number";
    }

    fcf->number = n;

    return ngx_http_background_add_operation(cf, kind, fcf);
}


static char *
fair_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    fair_name = value[1].data;

    return NGX_CONF_OK;
}
