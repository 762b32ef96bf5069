
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_thread.h"

#include <dlfcn.h>


static ngx_int_t ngx_http_background_thread_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *pool);
static ngx_cycle_t *ngx_http_background_thread_own(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_thread_pool_conf(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *pool);


extern ngx_module_t  ngx_thread_pool_module;


/*
 * nginx starts and stops only the pools in the configuration of a cycle.  So
 * its functions are called with this cycle, whose configuration has one pool.
 */

static ngx_cycle_t  *ngx_http_background_thread_cycle;


ngx_uint_t
ngx_http_background_threads_start(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *threads, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (ngx_http_background_thread_pool_start(cycle, &threads[i])
            != NGX_OK)
        {
            break;
        }
    }

    return i;
}


static ngx_int_t
ngx_http_background_thread_pool_start(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *pool)
{
    ngx_cycle_t        *own;
    ngx_core_module_t  *module;

    own = ngx_http_background_thread_own(cycle);
    if (own == NULL) {
        return NGX_ERROR;
    }

    module = ngx_thread_pool_module.ctx;

    pool->conf = module->create_conf(own);
    if (pool->conf == NULL) {
        return NGX_ERROR;
    }

    own->conf_ctx[ngx_thread_pool_module.index] = pool->conf;

    if (ngx_http_background_thread_pool_conf(own, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_thread_pool_module.init_process(own);
}


static ngx_cycle_t *
ngx_http_background_thread_own(ngx_cycle_t *cycle)
{
    ngx_cycle_t  *own;

    own = ngx_http_background_thread_cycle;

    if (own) {
        return own;
    }

    own = ngx_pcalloc(cycle->pool, sizeof(ngx_cycle_t)
                      + (ngx_thread_pool_module.index + 1) * sizeof(void *));
    if (own == NULL) {
        return NULL;
    }

    own->conf_ctx = (void ****) (own + 1);
    own->pool = cycle->pool;
    own->log = cycle->log;

    ngx_http_background_thread_cycle = own;

    return own;
}


/* as the directive "thread_pool ngx_http_background threads=1;" does */

static ngx_int_t
ngx_http_background_thread_pool_conf(ngx_cycle_t *cycle,
    ngx_http_background_thread_t *pool)
{
    ngx_str_t         value[3];
    ngx_conf_t        cf;
    ngx_array_t       args;
    ngx_command_t    *cmd;
    ngx_conf_file_t   file;

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    ngx_memzero(&file, sizeof(ngx_conf_file_t));
    ngx_memzero(&args, sizeof(ngx_array_t));

    cmd = ngx_thread_pool_module.commands;

    value[0] = cmd->name;
    ngx_str_set(&value[1], "ngx_http_background");
    ngx_str_set(&value[2], "threads=1");

    args.elts = value;
    args.nelts = 3;

    cf.args = &args;
    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.temp_pool = cycle->pool;
    cf.log = cycle->log;
    cf.conf_file = &file;

    if (cmd->set(&cf, cmd, NULL) != NGX_CONF_OK) {
        return NGX_ERROR;
    }

    pool->pool = ngx_thread_pool_get(cycle, &value[1]);

    return pool->pool ? NGX_OK : NGX_ERROR;
}


void
ngx_http_background_threads_stop(ngx_http_background_thread_t *threads,
    ngx_uint_t n)
{
    ngx_uint_t    i;
    ngx_cycle_t  *own;

    own = ngx_http_background_thread_cycle;

    for (i = 0; i < n; i++) {
        own->conf_ctx[ngx_thread_pool_module.index] = threads[i].conf;
        ngx_thread_pool_module.exit_process(own);
    }
}


ngx_err_t
ngx_http_background_thread_detached(void *(*start)(void *data), void *data)
{
    int             err;
    sigset_t        set, old;
    pthread_t       tid;
    pthread_attr_t  attr;

    err = pthread_attr_init(&attr);
    if (err) {
        return err;
    }

    (void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);

    sigfillset(&set);
    sigdelset(&set, SIGILL);
    sigdelset(&set, SIGFPE);
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGBUS);

    (void) pthread_sigmask(SIG_BLOCK, &set, &old);

    err = pthread_create(&tid, &attr, start, data);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    (void) pthread_attr_destroy(&attr);

    return err;
}


void
ngx_http_background_thread_pin(void *address)
{
    Dl_info  info;

    if (dladdr(address, &info)) {
        (void) dlopen(info.dli_fname, RTLD_NOW|RTLD_NOLOAD|RTLD_NODELETE);
    }
}
