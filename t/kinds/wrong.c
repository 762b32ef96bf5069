
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * wrong KIND: an operation of a kind that has such functions, as in "start
 * cancel"; "null" is none at all.  "misplaced" adds one outside of a task.
 *
 * half: a trigger that has no "stop".  "untied" adds a whole one outside of a
 * task.
 */


#include <ngx_http_background.h>


static void wrong_function(ngx_http_background_run_t *run);
static char *wrong(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *misplaced(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void half_function(ngx_http_background_task_t *task, void *conf);
static char *half(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *untied(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


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
    NULL                                     /* finish */
};


static ngx_command_t  wrong_commands[] = {

    { ngx_string("wrong"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_ANY,
      wrong,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

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
