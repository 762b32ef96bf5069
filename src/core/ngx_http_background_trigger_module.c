
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The directives "schedule" and "after", which start cycles, and "lock", which
 * prevents two of them at the same time.
 */


#include "ngx_http_background_module.h"


typedef struct {
    ngx_array_t     zones;        /* of ..._timezone_t * */
} ngx_http_background_trigger_main_conf_t;


/* arguments of "schedule" */

typedef struct {
    ngx_str_t       timezone;
    ngx_msec_t      jitter;
    ngx_uint_t      run;
} ngx_http_background_schedule_args_t;


/* an "after" directive; the task is known when all tasks are */

typedef struct {
    ngx_http_background_follow_t    follow;
    ngx_str_t                       name;
    u_char                         *file;
    ngx_uint_t                      line;
} ngx_http_background_after_t;


static ngx_int_t ngx_http_background_trigger_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_after_init(
    ngx_http_background_main_conf_t *bmcf, ngx_http_background_task_t *task,
    ngx_conf_t *cf);
static ngx_http_background_follow_t *ngx_http_background_after_follow(
    ngx_http_background_task_t *task, ngx_http_background_task_t *before,
    ngx_conf_t *cf);
static ngx_int_t ngx_http_background_after_loop(ngx_conf_t *cf,
    ngx_http_background_task_t *task);
static void *ngx_http_background_trigger_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_background_state(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_background_schedule_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_http_background_timezone_t *ngx_http_background_schedule_zone(
    ngx_conf_t *cf, ngx_http_background_trigger_main_conf_t *tmcf,
    ngx_str_t *name);
static ngx_int_t ngx_http_background_schedule_timezone(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_schedule_missed(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static char *ngx_http_background_after(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_after_on(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static char *ngx_http_background_lock(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static const ngx_http_background_bounds_t  ngx_http_background_jitters = {
    "time", 1000, (int64_t) 24 * 60 * 60 * 1000, "from 1s to 1d"
};


static const ngx_http_background_param_t  ngx_http_background_schedule_params[]
    =
{
    { ngx_string("timezone="), 0, ngx_http_background_schedule_timezone,
      offsetof(ngx_http_background_schedule_args_t, timezone), NULL },

    { ngx_string("jitter="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_schedule_args_t, jitter),
      &ngx_http_background_jitters },

    { ngx_string("missed="), 0, ngx_http_background_schedule_missed,
      offsetof(ngx_http_background_schedule_args_t, run), NULL },

    ngx_http_background_null_param
};


static const ngx_http_background_param_t  ngx_http_background_after_params[] =
{
    { ngx_string("on="), 0, ngx_http_background_after_on,
      offsetof(ngx_http_background_after_t, follow.on), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_trigger_commands[] = {

    { ngx_string("background_state"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_background_state,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("schedule"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1234,
      ngx_http_background_schedule_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("after"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE12,
      ngx_http_background_after,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("lock"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      ngx_http_background_lock,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_trigger_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_background_trigger_init,      /* postconfiguration */

    ngx_http_background_trigger_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_trigger_module = {
    NGX_MODULE_V1,
    &ngx_http_background_trigger_module_ctx,
                                           /* module context */
    ngx_http_background_trigger_commands,  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_background_trigger_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_trigger_main_conf_t  *tmcf;

    tmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_trigger_main_conf_t));
    if (tmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&tmcf->zones, cf->pool, 2,
                       sizeof(ngx_http_background_timezone_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return tmcf;
}


static char *
ngx_http_background_state(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                        *value;
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);

    if (bmcf->zone.state.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "has an empty path";
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    bmcf->zone.state = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_background_schedule_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_background_trigger_main_conf_t *tmcf = conf;

    ngx_str_t                            *value;
    const char                           *error;
    ngx_http_background_rule_t           *rule;
    ngx_http_background_task_t           *task;
    ngx_http_background_main_conf_t      *bmcf;
    ngx_http_background_schedule_args_t   args;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);
    task = bmcf->task;

    if (task->rules == NULL) {
        task->rules = ngx_array_create(cf->pool, 1,
                                       sizeof(ngx_http_background_rule_t));
        if (task->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(task->rules);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    error = ngx_http_background_schedule_parse(&rule->schedule,
                                               (char *) value[1].data,
                                               value[1].len);
    if (error) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, %s",
                           &value[1], &cmd->name, error);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&args, sizeof(ngx_http_background_schedule_args_t));

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_schedule_params,
                                        &args)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rule->text = value[1];
    rule->jitter = args.jitter;
    rule->run = args.run;
    rule->zone = ngx_http_background_schedule_zone(cf, tmcf, &args.timezone);

    return rule->zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* an empty name is nginx's local time */

static ngx_http_background_timezone_t *
ngx_http_background_schedule_zone(ngx_conf_t *cf,
    ngx_http_background_trigger_main_conf_t *tmcf, ngx_str_t *name)
{
    ngx_uint_t                        i;
    const char                       *error;
    ngx_http_background_timezone_t   *zone, **zones;

    zones = tmcf->zones.elts;

    for (i = 0; i < tmcf->zones.nelts; i++) {
        if (ngx_strcmp(zones[i]->name, name->len ? (char *) name->data : "")
            == 0)
        {
            return zones[i];
        }
    }

    zone = ngx_palloc(cf->pool, sizeof(ngx_http_background_timezone_t));
    zones = ngx_array_push(&tmcf->zones);

    if (zone == NULL || zones == NULL) {
        return NULL;
    }

    *zones = zone;

    error = ngx_http_background_timezone_init(zone,
                                       name->len ? (char *) name->data : "",
                                       ngx_time());
    if (error) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time zone \"%V\" in \"schedule\" "
                           "directive, %s", name, error);
        return NULL;
    }

    return zone;
}


static ngx_int_t
ngx_http_background_schedule_timezone(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    if (arg->value.len == 0) {
        return ngx_http_background_conf_invalid(cf, arg, "time zone",
                                           "a name as \"Europe/Berlin\"");
    }

    return ngx_http_background_conf_string(cf, arg, p);
}


static ngx_int_t
ngx_http_background_schedule_missed(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_uint_t *run = p;

    if (ngx_strcmp(arg->value.data, "skip") == 0) {
        *run = 0;

    } else if (ngx_strcmp(arg->value.data, "run") == 0) {
        *run = 1;

    } else {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                                "\"skip\" or \"run\"");
    }

    return NGX_OK;
}


static char *
ngx_http_background_after(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                        *value;
    ngx_http_background_task_t       *task;
    ngx_http_background_after_t      *after;
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);
    task = bmcf->task;

    if (task->after == NULL) {
        task->after = ngx_array_create(cf->pool, 1,
                                       sizeof(ngx_http_background_after_t));
        if (task->after == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    after = ngx_array_push(task->after);
    if (after == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    after->follow.task = NULL;
    after->follow.on = NGX_HTTP_BACKGROUND_ON_SUCCESS;
    after->name = value[1];
    after->file = cf->conf_file->file.name.data;
    after->line = cf->conf_file->line;

    task->zone.follows = 1;

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_after_params,
                                        after)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_after_on(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_uint_t *on = p;

    if (ngx_strcmp(arg->value.data, "success") == 0) {
        *on = NGX_HTTP_BACKGROUND_ON_SUCCESS;

    } else if (ngx_strcmp(arg->value.data, "failure") == 0) {
        *on = NGX_HTTP_BACKGROUND_ON_FAILURE;

    } else if (ngx_strcmp(arg->value.data, "recovery") == 0) {
        *on = NGX_HTTP_BACKGROUND_ON_RECOVERY;

    } else if (ngx_strcmp(arg->value.data, "any") == 0) {
        *on = NGX_HTTP_BACKGROUND_ON_ANY;

    } else {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                        "\"success\", \"failure\", "
                                        "\"recovery\", or \"any\"");
    }

    return NGX_OK;
}


static char *
ngx_http_background_lock(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                        *value;
    ngx_http_background_task_t       *task;
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);
    task = bmcf->task;

    if (task->zone.lock.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > NGX_HTTP_BACKGROUND_LOCK_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"%V\" directive, "
                           "it must be 1-%d characters",
                           &value[1], &cmd->name,
                           NGX_HTTP_BACKGROUND_LOCK_LEN);
        return NGX_CONF_ERROR;
    }

    task->zone.lock = value[1];

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_trigger_init(ngx_conf_t *cf)
{
    ngx_uint_t                         i;
    ngx_http_background_task_t        *task;
    ngx_http_background_main_conf_t   *bmcf;
    ngx_http_background_zone_task_t  **tasks;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);

    tasks = bmcf->zone.tasks.elts;

    for (i = 0; i < bmcf->zone.tasks.nelts; i++) {
        task = (ngx_http_background_task_t *) tasks[i];

        if (task->after
            && ngx_http_background_after_init(bmcf, task, cf) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < bmcf->zone.tasks.nelts; i++) {
        task = (ngx_http_background_task_t *) tasks[i];

        if (ngx_http_background_after_loop(cf, task) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_after_init(ngx_http_background_main_conf_t *bmcf,
    ngx_http_background_task_t *task, ngx_conf_t *cf)
{
    ngx_uint_t                     i;
    ngx_http_background_task_t    *before;
    ngx_http_background_after_t   *after;
    ngx_http_background_follow_t  *follow;

    after = task->after->elts;

    for (i = 0; i < task->after->nelts; i++) {
        before = ngx_http_background_find_task(bmcf, &after[i].name);

        if (before == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown background task \"%V\" in \"after\" "
                          "directive in %s:%ui",
                          &after[i].name, after[i].file, after[i].line);
            return NGX_ERROR;
        }

        /* ends of cycles are known in one nginx, the lease may be in another */

        if (task->cluster) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "background task \"%V\" with \"workers cluster\" "
                          "misses what ends in an nginx that does not have it, "
                          "\"after\" directive in %s:%ui",
                          &task->zone.name, after[i].file, after[i].line);
        }

        after[i].follow.task = before;

        follow = ngx_http_background_after_follow(task, before, cf);

        if (follow == NULL) {
            return NGX_ERROR;
        }

        if (follow->on & after[i].follow.on) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "duplicate end of background task \"%V\" in "
                          "\"after\" directive in %s:%ui",
                          &after[i].name, after[i].file, after[i].line);
            return NGX_ERROR;
        }

        follow->on |= after[i].follow.on;
    }

    return NGX_OK;
}


/*
 * Returns the entry of "task" in the followers of "before": the only one, so
 * that an end of a cycle counts once.  It is the last one if there is one.
 */

static ngx_http_background_follow_t *
ngx_http_background_after_follow(ngx_http_background_task_t *task,
    ngx_http_background_task_t *before, ngx_conf_t *cf)
{
    ngx_http_background_follow_t  *follow;

    if (before->followers == NULL) {
        before->followers = ngx_array_create(cf->pool, 1,
                                       sizeof(ngx_http_background_follow_t));
        if (before->followers == NULL) {
            return NULL;
        }
    }

    if (before->followers->nelts) {
        follow = before->followers->elts;
        follow += before->followers->nelts - 1;

        if (follow->task == task) {
            return follow;
        }
    }

    follow = ngx_array_push(before->followers);

    if (follow) {
        follow->task = task;
        follow->on = 0;
    }

    return follow;
}


/* a task that is met again while those before it are looked at */

static ngx_int_t
ngx_http_background_after_loop(ngx_conf_t *cf,
    ngx_http_background_task_t *task)
{
    ngx_uint_t                    i;
    ngx_http_background_after_t  *after;

    if (task->after == NULL || task->seen == ngx_http_background_seen_all) {
        return NGX_OK;
    }

    task->seen = ngx_http_background_seen_some;

    after = task->after->elts;

    for (i = 0; i < task->after->nelts; i++) {

        if (after[i].follow.task->seen == ngx_http_background_seen_some) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "background task \"%V\" comes after itself by "
                          "\"after\" directive in %s:%ui",
                          &after[i].name, after[i].file, after[i].line);
            return NGX_ERROR;
        }

        if (ngx_http_background_after_loop(cf, after[i].follow.task) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    task->seen = ngx_http_background_seen_all;

    return NGX_OK;
}
