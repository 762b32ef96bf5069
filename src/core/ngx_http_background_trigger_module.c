
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What starts a task's cycles beside "interval": "schedule". */


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


static void *ngx_http_background_trigger_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_background_schedule_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_http_background_timezone_t *ngx_http_background_schedule_zone(
    ngx_conf_t *cf, ngx_http_background_trigger_main_conf_t *tmcf,
    ngx_str_t *name);
static ngx_int_t ngx_http_background_schedule_timezone(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_schedule_missed(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);


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


static ngx_command_t  ngx_http_background_trigger_commands[] = {

    { ngx_string("schedule"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1234,
      ngx_http_background_schedule_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_trigger_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

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
