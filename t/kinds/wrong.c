
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * wrong KIND: adds a kind with the given functions, as in "start cancel";
 * "null" passes NULL.  "misplaced" adds one outside of a task.
 *
 * table FILE NUMBER [time=] [size=] [flag] [WORD]...: arguments that are read
 * by a table.
 *
 * checked VALUE: accepted in a server with this "resolver_timeout", which is
 * known when the configuration is complete.
 *
 * half: a trigger without "stop".  "untied" adds a valid trigger outside of a
 * task.
 */


#include <ngx_http_background.h>


static void wrong_function(ngx_http_background_run_t *run);
static char *wrong(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t wrong_check(ngx_conf_t *cf, void *conf);
static char *misplaced(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void half_function(ngx_http_background_task_t *task, void *conf);
static char *half(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *untied(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


typedef struct {
    ngx_str_t     path;
    ngx_int_t     number;
    ngx_msec_t    time;
    size_t        size;
    ngx_uint_t    flag;
    ngx_str_t     word;
} wrong_conf_t;


static const ngx_http_background_bounds_t  wrong_bounds = {
    "number", -1, 9, NULL
};


static ngx_http_background_trigger_t  half_trigger = { half_function, NULL };

static ngx_http_background_trigger_t  whole_trigger = {
    half_function,
    half_function
};

static ngx_http_background_kind_t  misplaced_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    wrong_function,                          /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


#define WRONG_COMMA  ,

static ngx_command_t  wrong_commands[] = {

    { ngx_string("wrong"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_ANY,
      wrong,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    ngx_http_background_command("table", NGX_CONF_2MORE, wrong_conf_t,
        ngx_http_background_cpu(wrong_function),
        ngx_http_background_param("", file, wrong_conf_t, path, NULL),
        ngx_http_background_param("", number, wrong_conf_t, number,
                                  &wrong_bounds),
        ngx_http_background_param("time=", time, wrong_conf_t, time, NULL),
        ngx_http_background_param("size=", size, wrong_conf_t, size, NULL),
        ngx_http_background_param("flag", flag, wrong_conf_t, flag, NULL),
        ngx_http_background_param("", string, wrong_conf_t, word, NULL)),

    ngx_http_background_command("checked", NGX_CONF_TAKE1, wrong_conf_t,
        { .work = wrong_function WRONG_COMMA .check = wrong_check },
        ngx_http_background_param("", time, wrong_conf_t, time, NULL)),

    { ngx_string("half"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_NOARGS,
      half,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("untied"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_NOARGS,
      untied,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("misplaced"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      misplaced,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  wrong_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  wrong_module = {
    NGX_MODULE_V1,
    &wrong_module_ctx,
    wrong_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
wrong_function(ngx_http_background_run_t *run)
{
}


static char *
wrong(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_background_kind_t  *kind;

    value = cf->args->elts;

    kind = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_kind_t));
    if (kind == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "start") == 0) {
            kind->start = wrong_function;

        } else if (ngx_strcmp(value[i].data, "cancel") == 0) {
            kind->cancel = wrong_function;

        } else if (ngx_strcmp(value[i].data, "begin") == 0) {
            kind->begin = wrong_function;

        } else if (ngx_strcmp(value[i].data, "work") == 0) {
            kind->work = wrong_function;

        } else if (ngx_strcmp(value[i].data, "finish") == 0) {
            kind->finish = wrong_function;

        } else {
            kind = NULL;
            break;
        }
    }

    return ngx_http_background_add_operation(cf, kind, NULL);
}


static ngx_int_t
wrong_check(ngx_conf_t *cf, void *conf)
{
    wrong_conf_t *wcf = conf;

    ngx_str_t                  *value;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_background_arg_t   arg;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver_timeout == wcf->time) {
        return NGX_OK;
    }

    value = cf->args->elts;

    ngx_memzero(&arg, sizeof(ngx_http_background_arg_t));
    arg.text = value[1];

    return ngx_http_background_conf_invalid(cf, &arg, "time",
                                            "\"resolver_timeout\"");
}


static char *
misplaced(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_operation(cf, &misplaced_kind, NULL);
}


static void
half_function(ngx_http_background_task_t *task, void *conf)
{
}


static char *
half(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_trigger(cf, &half_trigger, NULL);
}


static char *
untied(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_trigger(cf, &whole_trigger, NULL);
}
