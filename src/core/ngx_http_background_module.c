
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Directives, configuration, and the life of the process. */


#include "ngx_http_background_module.h"
#include "ngx_http_background_instance.h"
#include "ngx_http_background_step.h"

#include <ngx_event.h>
#include <sys/eventfd.h>


static void *ngx_http_background_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_background_init_main_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_background_init(ngx_conf_t *cf);

static char *ngx_http_background_threads(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_priority(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_quota(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static char *ngx_http_background_zone_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_background_task_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_http_background_task_t *ngx_http_background_task_create(
    ngx_conf_t *cf, ngx_http_background_main_conf_t *bmcf, ngx_str_t *name);
static char *ngx_http_background_task_init(ngx_conf_t *cf,
    ngx_http_background_task_t *task);

static char *ngx_http_background_workers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_background_workers_cluster(ngx_conf_t *cf,
    ngx_http_background_main_conf_t *bmcf);
static char *ngx_http_background_interval(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_background_retry_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_background_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_background_health(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_health_start(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static char *ngx_http_background_log_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

static ngx_int_t ngx_http_background_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_init_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_start_worker(ngx_cycle_t *cycle,
    ngx_http_background_main_conf_t *bmcf);
static ngx_int_t ngx_http_background_watch(ngx_cycle_t *cycle);
static void ngx_http_background_watch_handler(ngx_event_t *ev);
static void ngx_http_background_watch_close(void);
static void ngx_http_background_exit_process(ngx_cycle_t *cycle);
static void ngx_http_background_cluster_exit(ngx_cycle_t *cycle);


static const ngx_http_background_bounds_t  ngx_http_background_numbers = {
    "value", 1, NGX_MAX_INT32_VALUE, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_thread_numbers =
{
    "value", 1, NGX_HTTP_BACKGROUND_MAX_THREADS, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_reserves = {
    "value", 0, NGX_HTTP_BACKGROUND_MAX_THREADS - 1, NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_priorities = {
    "value", -20, 19, "a number from -20 to 19, or \"idle\""
};


static const ngx_http_background_bounds_t  ngx_http_background_percents = {
    "value", 1, 100, NULL
};


/* one year */

static const ngx_http_background_bounds_t  ngx_http_background_times = {
    "time", 1, (int64_t) 365 * 24 * 60 * 60 * 1000, "from 1ms to 365d"
};


static const ngx_http_background_param_t  ngx_http_background_threads_params[] =
{
    { ngx_string("max_queue="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_pool_conf_t, max_queue),
      &ngx_http_background_numbers },

    { ngx_string("per_worker="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_pool_conf_t, per_worker),
      &ngx_http_background_thread_numbers },

    { ngx_string("priority="), 0, ngx_http_background_priority,
      offsetof(ngx_http_background_pool_conf_t, priority),
      &ngx_http_background_priorities },

    { ngx_string("reserve="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_pool_conf_t, reserve),
      &ngx_http_background_reserves },

    { ngx_string("quota="), 0, ngx_http_background_quota,
      offsetof(ngx_http_background_pool_conf_t, quota),
      &ngx_http_background_percents },

    ngx_http_background_null_param
};


static const ngx_http_background_param_t
    ngx_http_background_interval_params[] =
{
    { ngx_string("jitter="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_task_t, jitter),
      &ngx_http_background_times },

    ngx_http_background_null_param
};


static const ngx_http_background_param_t  ngx_http_background_retry_params[] =
{
    { ngx_string("max="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_task_t, retry_max),
      &ngx_http_background_times },

    ngx_http_background_null_param
};


static const ngx_http_background_param_t  ngx_http_background_health_params[] =
{
    { ngx_string("fails="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_task_t, fails),
      &ngx_http_background_numbers },

    { ngx_string("passes="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_task_t, passes),
      &ngx_http_background_numbers },

    { ngx_string("start="), 0, ngx_http_background_health_start,
      offsetof(ngx_http_background_task_t, zone.unhealthy),
      NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_commands[] = {

    { ngx_string("background_threads"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_background_threads,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("background_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_background_zone_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("background_task"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_background_task_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("workers"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_workers,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("interval"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE12,
      ngx_http_background_interval,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("retry"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE12,
      ngx_http_background_retry_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("timeout"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      ngx_http_background_timeout,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("health"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE123,
      ngx_http_background_health,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("log"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE12,
      ngx_http_background_log_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_background_init,              /* postconfiguration */

    ngx_http_background_create_main_conf,  /* create main configuration */
    ngx_http_background_init_main_conf,    /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_module = {
    NGX_MODULE_V1,
    &ngx_http_background_module_ctx,       /* module context */
    ngx_http_background_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_background_init_module,       /* init module */
    ngx_http_background_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_background_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * nginx calls the read handler of idle connections when a worker starts to
 * shut down.  This connection exists only for that: there is no other hook for
 * modules.
 */

static ngx_connection_t  *ngx_http_background_watcher;


static void *
ngx_http_background_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_main_conf_t));
    if (bmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     bmcf->zone.zone = NULL;
     *     bmcf->pool.threads = 0;
     *     bmcf->pool.reserve = 0;
     *     bmcf->pool.quota = 0;
     *     bmcf->pool.used = 0;
     *     bmcf->pool.per_worker = 0;
     *     bmcf->pool.steps = 0;
     *     bmcf->task = NULL;
     *     bmcf->cluster = NULL;
     *     bmcf->used = 0;
     */

    bmcf->zone.size = NGX_CONF_UNSET_SIZE;
    bmcf->pool.max_queue = NGX_CONF_UNSET_UINT;
    bmcf->pool.priority = 10;

    ngx_rbtree_init(&bmcf->names, &bmcf->sentinel,
                    ngx_str_rbtree_insert_value);

    if (ngx_array_init(&bmcf->zone.tasks, cf->pool, 4,
                       sizeof(ngx_http_background_zone_task_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return bmcf;
}


static char *
ngx_http_background_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    if (bmcf->zone.size == NGX_CONF_UNSET_SIZE) {
        bmcf->zone.size = 1024 * 1024;
        bmcf->zone.file = cf->conf_file->file.name.data;
        bmcf->zone.line = cf->conf_file->line;
    }

    ngx_conf_init_uint_value(bmcf->pool.max_queue, 1024);

    if (!bmcf->used) {
        return NGX_CONF_OK;
    }

    if (ngx_http_background_pool_init(cf, &bmcf->pool) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_init(ngx_conf_t *cf)
{
    ngx_uint_t                         i;
    ngx_http_background_task_t        *task;
    ngx_http_background_main_conf_t   *bmcf;
    ngx_http_background_zone_task_t  **tasks;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);

    if (!bmcf->used) {
        return NGX_OK;
    }

    tasks = bmcf->zone.tasks.elts;

    for (i = 0; i < bmcf->zone.tasks.nelts; i++) {
        task = (ngx_http_background_task_t *) tasks[i];

        if (task->cpu) {
            bmcf->pool.used = 1;
        }

        if (ngx_http_background_check_task(cf, task) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_background_zone_add(cf, &bmcf->zone,
                                        &ngx_http_background_module);
}


static char *
ngx_http_background_threads(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    ngx_str_t                        *value;
    ngx_http_background_pool_conf_t  *pcf;

    pcf = &bmcf->pool;

    if (pcf->max_queue != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    pcf->max_queue = 1024;
    pcf->file = cf->conf_file->file.name.data;
    pcf->line = cf->conf_file->line;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "auto") != 0
        && ngx_http_background_conf_argument(cf, 1,
                                         ngx_http_background_conf_number,
                                         &ngx_http_background_thread_numbers,
                                         &pcf->threads)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_threads_params, pcf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (pcf->threads && pcf->reserve >= pcf->threads) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"reserve=%ui\" in \"%V\" "
                           "directive, it must be less than the %ui threads",
                           pcf->reserve, &cmd->name, pcf->threads);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_priority(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_int_t *np = p;

    if (ngx_strcmp(arg->value.data, "idle") == 0) {
        *np = NGX_HTTP_BACKGROUND_PRIORITY_IDLE;
        return NGX_OK;
    }

    return ngx_http_background_conf_number(cf, arg, p);
}


static ngx_int_t
ngx_http_background_quota(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    if (arg->value.len && arg->value.data[arg->value.len - 1] == '%') {
        arg->value.len--;
    }

    return ngx_http_background_conf_number(cf, arg, p);
}


static char *
ngx_http_background_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    ssize_t     size, min;
    ngx_str_t  *value;

    if (bmcf->zone.size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);
    min = 8 * ngx_pagesize;

    if (size == NGX_ERROR || size < min) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in \"%V\" directive, "
                           "it must be %zk or more",
                           &value[1], &cmd->name, min / 1024);
        return NGX_CONF_ERROR;
    }

    bmcf->zone.size = size;
    bmcf->zone.file = cf->conf_file->file.name.data;
    bmcf->zone.line = cf->conf_file->line;

    return NGX_CONF_OK;
}


static char *
ngx_http_background_task_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_uint_t                   cmd_type;
    ngx_http_background_task_t  *task;

    value = cf->args->elts;

    task = ngx_http_background_task_create(cf, bmcf, &value[1]);
    if (task == NULL) {
        return NGX_CONF_ERROR;
    }

    /*
     * NGX_MAIN_CONF allows "include"; no directive of an HTTP module has that
     * type.
     */

    cmd_type = cf->cmd_type;
    cf->cmd_type = NGX_MAIN_CONF|NGX_HTTP_BACKGROUND_TASK_CONF;
    bmcf->task = task;

    rv = ngx_conf_parse(cf, NULL);

    bmcf->task = NULL;
    cf->cmd_type = cmd_type;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_background_task_init(cf, task);
}


static ngx_http_background_task_t *
ngx_http_background_task_create(ngx_conf_t *cf,
    ngx_http_background_main_conf_t *bmcf, ngx_str_t *name)
{
    u_char                            *p, c;
    ngx_http_background_task_t        *task;
    ngx_http_background_zone_task_t  **zt;

    for (p = name->data; p < name->data + name->len; p++) {
        c = *p | 0x20;

        if (!((c >= 'a' && c <= 'z') || (*p >= '0' && *p <= '9')
              || *p == '_' || *p == '.' || *p == '-'))
        {
            break;
        }
    }

    if (name->len == 0 || name->len > NGX_HTTP_BACKGROUND_NAME_LEN
        || p < name->data + name->len)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"background_task\" "
                           "directive, it must be 1-%d of \"A-Z\", \"a-z\", "
                           "\"0-9\", \"_\", \".\", and \"-\"",
                           name, NGX_HTTP_BACKGROUND_NAME_LEN);
        return NULL;
    }

    if (ngx_http_background_find_task(bmcf, name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate background task \"%V\"", name);
        return NULL;
    }

    task = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_task_t));
    if (task == NULL) {
        return NULL;
    }

    task->zone.name = *name;
    task->zone.all = NGX_CONF_UNSET_UINT;
    task->interval = NGX_CONF_UNSET_MSEC;
    task->retry = NGX_CONF_UNSET_MSEC;
    task->timeout = NGX_CONF_UNSET_MSEC;
    task->fails = NGX_CONF_UNSET_UINT;

    if (ngx_array_init(&task->operations, cf->pool, 2,
                       sizeof(ngx_http_background_operation_t))
        != NGX_OK
        || ngx_array_init(&task->triggers, cf->pool, 1,
                          sizeof(ngx_http_background_task_trigger_t))
           != NGX_OK)
    {
        return NULL;
    }

    zt = ngx_array_push(&bmcf->zone.tasks);
    if (zt == NULL) {
        return NULL;
    }

    *zt = &task->zone;
    task->index = bmcf->zone.tasks.nelts - 1;
    bmcf->used = 1;

    task->sn.str = *name;
    task->sn.node.key = ngx_crc32_long(name->data, name->len);

    ngx_rbtree_insert(&bmcf->names, &task->sn.node);

    return task;
}


static char *
ngx_http_background_task_init(ngx_conf_t *cf, ngx_http_background_task_t *task)
{
    ngx_uint_t  other;

    if (task->operations.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no operations in background task \"%V\"",
                           &task->zone.name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_uint_value(task->zone.all, 0);

    other = (task->rules || task->after);

    if (other && task->interval != NGX_CONF_UNSET_MSEC && task->interval) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "both \"interval\" and \"%s\" in "
                           "background task \"%V\"",
                           task->rules ? "schedule" : "after",
                           &task->zone.name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_msec_value(task->interval, other ? 0 : 30000);

    if (task->judges && (task->zone.all || task->cluster)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"probe\" in background task \"%V\" needs "
                           "\"workers one\"", &task->zone.name);
        return NGX_CONF_ERROR;
    }

    /*
     * A cycle of another trigger does not change the health of a cell of
     * "interval".
     */

    if (task->zone.unhealthy && task->interval == 0 && !other) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"start=unhealthy\" needs an \"interval\" that is "
                           "not \"off\" in background task \"%V\"",
                           &task->zone.name);
        return NGX_CONF_ERROR;
    }

    if (task->request && (task->interval || other)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "variables of a request in background task \"%V\" "
                           "need \"interval off\"%s", &task->zone.name,
                           task->rules ? " without \"schedule\""
                           : task->after ? " without \"after\"" : "");
        return NGX_CONF_ERROR;
    }

    if (task->retry == NGX_CONF_UNSET_MSEC) {

        /* another trigger's next cycle is the next try */

        task->retry = task->interval ? 5000 : 0;
        task->retry_max = task->retry;
    }

    ngx_conf_init_msec_value(task->timeout, task->cpu ? 0 : 60000);

    if (task->fails == NGX_CONF_UNSET_UINT) {
        task->fails = 1;
        task->passes = 1;
    }

    return NGX_CONF_OK;
}


ngx_http_background_task_t *
ngx_http_background_find_task(ngx_http_background_main_conf_t *bmcf,
    ngx_str_t *name)
{
    ngx_str_node_t  *sn;

    sn = ngx_str_rbtree_lookup(&bmcf->names, name,
                               ngx_crc32_long(name->data, name->len));

    return sn ? ngx_rbtree_data(sn, ngx_http_background_task_t, sn) : NULL;
}


static char *
ngx_http_background_workers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    ngx_str_t                   *value;
    ngx_http_background_task_t  *task;

    task = bmcf->task;

    if (task->zone.all != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "cluster") == 0) {
        task->zone.all = 0;

        return ngx_http_background_workers_cluster(cf, bmcf);
    }

    if (cf->args->nelts > 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "one") == 0) {
        task->zone.all = 0;

    } else if (ngx_strcmp(value[1].data, "all") == 0) {
        task->zone.all = 1;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, "
                           "it must be \"one\", \"all\" or \"cluster\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_background_workers_cluster(ngx_conf_t *cf,
    ngx_http_background_main_conf_t *bmcf)
{
    ngx_http_background_task_t  *task;

    task = bmcf->task;

    if (bmcf->cluster == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"workers cluster\" needs a module that knows of "
                           "other servers, as "
                           "ngx_http_background_redis_module.so, which is not "
                           "loaded");
        return NGX_CONF_ERROR;
    }

    task->cluster = bmcf->cluster;

    if (task->cluster->conf(cf, &task->zone.name, &task->cluster_conf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_background_add_cluster_of(ngx_conf_t *cf,
    const ngx_http_background_cluster_t *cluster, uint64_t abi)
{
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);

    if (abi != NGX_HTTP_BACKGROUND_CLUSTER_ABI || bmcf->cluster) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "a module for \"workers cluster\" %s",
                      bmcf->cluster ? "is there already"
                                    : "was built for another version of "
                                      "ngx_http_background_module");
        return NGX_ERROR;
    }

    bmcf->cluster = cluster;

    return NGX_OK;
}


static char *
ngx_http_background_interval(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    ngx_str_t                   *value;
    ngx_http_background_task_t  *task;

    task = bmcf->task;

    if (task->interval != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        task->interval = 0;

        if (cf->args->nelts > 2) {
            return "has too many parameters for \"off\"";
        }

        return NGX_CONF_OK;
    }

    if (ngx_http_background_conf_argument(cf, 1, ngx_http_background_conf_time,
                                          &ngx_http_background_times,
                                          &task->interval)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_interval_params,
                                        task)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_background_retry_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    ngx_str_t                   *value;
    ngx_http_background_task_t  *task;

    task = bmcf->task;

    if (task->retry != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    if (ngx_http_background_conf_argument(cf, 1, ngx_http_background_conf_time,
                                          &ngx_http_background_times,
                                          &task->retry)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    task->retry_max = task->retry;

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_retry_params, task)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (task->retry_max < task->retry) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, "
                           "it must not be less than \"%V\"",
                           &value[2], &cmd->name, &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_background_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    if (bmcf->task->timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    if (ngx_http_background_conf_argument(cf, 1, ngx_http_background_conf_time,
                                          &ngx_http_background_times,
                                          &bmcf->task->timeout)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_background_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    ngx_http_background_task_t  *task;

    task = bmcf->task;

    if (task->fails != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    task->fails = 1;
    task->passes = 1;
    task->judged = 1;

    if (ngx_http_background_conf_params(cf, 1,
                                        ngx_http_background_health_params, task)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_health_start(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_uint_t *unhealthy = p;

    if (ngx_strcmp(arg->value.data, "healthy") == 0) {
        *unhealthy = 0;

    } else if (ngx_strcmp(arg->value.data, "unhealthy") == 0) {
        *unhealthy = 1;

    } else {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                        "\"healthy\" or \"unhealthy\"");
    }

    return NGX_OK;
}


/* as "error_log", but for the level without one */

static char *
ngx_http_background_log_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_background_main_conf_t *bmcf = conf;

    char                        *rv;
    ngx_http_background_task_t  *task;

    task = bmcf->task;

    if (task->log) {
        return "is duplicate";
    }

    rv = ngx_log_set_log(cf, &task->log);

    if (rv == NGX_CONF_OK && cf->args->nelts == 2) {
        task->log->log_level = NGX_LOG_INFO;
    }

    return rv;
}


/* in init_module the configuration can't fail any more */

static ngx_int_t
ngx_http_background_init_module(ngx_cycle_t *cycle)
{
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_background_module);

    if (bmcf && bmcf->used) {
        ngx_http_background_zone_commit(&bmcf->zone);
        ngx_http_background_instance_init(cycle);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_init_process(ngx_cycle_t *cycle)
{
    ngx_http_background_main_conf_t  *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_background_module);

    if (bmcf == NULL || bmcf->zone.tasks.nelts == 0) {
        return NGX_OK;
    }

    /*
     * On NGX_ERROR the worker would exit with a code after which the master
     * does not start another one.
     */

    if (ngx_http_background_start_worker(cycle, bmcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "background: no tasks run in this worker process");

        ngx_http_background_watch_close();
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_start_worker(ngx_cycle_t *cycle,
    ngx_http_background_main_conf_t *bmcf)
{
    if (ngx_http_background_watch(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_background_tasks_start(cycle, &bmcf->zone);
}


static ngx_int_t
ngx_http_background_watch(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_connection_t  *c;

    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "eventfd() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, cycle->log);

    if (c == NULL) {
        if (close(fd) == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "close() failed");
        }

        return NGX_ERROR;
    }

    c->read->handler = ngx_http_background_watch_handler;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->idle = 1;

    ngx_http_background_watcher = c;

    return NGX_OK;
}


/*
 * All must be done in this call: the worker exits as soon as no timers are
 * left that are not cancelable, without processing more events.
 */

static void
ngx_http_background_watch_handler(ngx_event_t *ev)
{
    ngx_http_background_watch_close();

    ngx_http_background_tasks_stop();
}


static void
ngx_http_background_watch_close(void)
{
    if (ngx_http_background_watcher) {
        ngx_close_connection(ngx_http_background_watcher);
        ngx_http_background_watcher = NULL;
    }
}


static void
ngx_http_background_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_background_watch_close();

    ngx_http_background_tasks_stop();
    ngx_http_background_tasks_abort();
    ngx_http_background_pool_stop(cycle);
    ngx_http_background_steps_stop(cycle, ngx_http_background_tasks_stopped());
    ngx_http_background_tasks_exit();

    ngx_http_background_cluster_exit(cycle);
}


static void
ngx_http_background_cluster_exit(ngx_cycle_t *cycle)
{
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_background_module);

    if (bmcf && bmcf->cluster) {
        bmcf->cluster->exit();
    }
}
