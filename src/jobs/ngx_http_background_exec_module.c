
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "exec": runs a command while a thread of the pool waits for it. */


#include "ngx_http_background_exec_run.h"


typedef struct {
    ngx_uint_t                          used;    /* unsigned  used:1; */
} ngx_http_background_exec_main_conf_t;


static char *ngx_http_background_exec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_exec_init_conf(ngx_conf_t *cf,
    ngx_http_background_exec_conf_t *ecf);
static ngx_int_t ngx_http_background_exec_argument(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_exec_env(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_exec_input(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_exec_output(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_exec_add(ngx_array_t *strings,
    ngx_str_t *text);
static ngx_uint_t ngx_http_background_exec_has(ngx_array_t *environment,
    ngx_str_t *name);
static ngx_int_t ngx_http_background_exec_complete(ngx_conf_t *cf,
    ngx_http_background_exec_conf_t *ecf);
static ngx_int_t ngx_http_background_exec_compile(ngx_conf_t *cf,
    ngx_http_background_exec_conf_t *ecf, ngx_array_t *strings, char ***texts);
static ngx_int_t ngx_http_background_exec_prepare(
    ngx_http_background_run_t *run, ngx_http_request_t *r);
static ngx_int_t ngx_http_background_exec_evaluate(
    ngx_http_background_run_t *run, ngx_http_request_t *r,
    ngx_array_t *strings, ngx_uint_t arguments, char ***texts);

static void *ngx_http_background_exec_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_exec_init_process(ngx_cycle_t *cycle);
static void ngx_http_background_exec_exit_process(ngx_cycle_t *cycle);


static const ngx_http_background_bounds_t  ngx_http_background_exec_times = {
    "time", 1, 60 * 60 * 1000, "from 1ms to 1h"
};


static const ngx_http_background_bounds_t  ngx_http_background_exec_sizes = {
    "size", 1024 * 1024, NGX_MAX_OFF_T_VALUE, "1m or more"
};


static const ngx_http_background_param_t  ngx_http_background_exec_params[] = {

    { ngx_string("input="), 0, ngx_http_background_exec_input,
      offsetof(ngx_http_background_exec_conf_t, input), NULL },

    { ngx_string("env="), 1, ngx_http_background_exec_env, 0, NULL },

    { ngx_string("kill="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_exec_conf_t, kill),
      &ngx_http_background_exec_times },

    { ngx_string("memory="), 0, ngx_http_background_conf_offset,
      offsetof(ngx_http_background_exec_conf_t, memory),
      &ngx_http_background_exec_sizes },

    { ngx_string("output="), 0, ngx_http_background_exec_output,
      offsetof(ngx_http_background_exec_conf_t, output), NULL },

    /* anything else is for the command */

    { ngx_string(""), 1, ngx_http_background_exec_argument, 0, NULL },

    ngx_http_background_null_param
};


static ngx_http_background_kind_t  ngx_http_background_exec_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    ngx_http_background_exec_work,           /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_command_t  ngx_http_background_exec_commands[] = {

    { ngx_string("exec"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_exec,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_exec_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_background_exec_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_exec_module = {
    NGX_MODULE_V1,
    &ngx_http_background_exec_module_ctx,  /* module context */
    ngx_http_background_exec_commands,     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_background_exec_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_background_exec_exit_process, /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_background_exec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_exec_main_conf_t *emcf = conf;

    ngx_http_background_exec_conf_t  *ecf;

    ecf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_exec_conf_t));
    if (ecf == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_exec_init_conf(cf, ecf) != NGX_OK
        || ngx_http_background_conf_params(cf, 2,
                                           ngx_http_background_exec_params, ecf)
           != NGX_OK
        || ngx_http_background_exec_complete(cf, ecf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    emcf->used = 1;

    if (ngx_http_background_add_operation(cf, &ngx_http_background_exec_kind,
                                          ecf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ecf->variables
           ? ngx_http_background_use_request(cf,
                                            ngx_http_background_exec_prepare)
           : NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_exec_init_conf(ngx_conf_t *cf,
    ngx_http_background_exec_conf_t *ecf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    /* a client must not choose the program */

    if (ngx_http_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "path \"%V\" in \"%V\" directive has variables",
                           &value[1], &value[0]);
        return NGX_ERROR;
    }

    ecf->kill = 5000;

    if (ngx_array_init(&ecf->arguments, cf->pool, 4,
                       sizeof(ngx_http_background_exec_string_t))
        != NGX_OK
        || ngx_array_init(&ecf->environment, cf->pool, 4,
                          sizeof(ngx_http_background_exec_string_t))
           != NGX_OK
        || ngx_http_background_conf_argument(cf, 1,
                                             ngx_http_background_conf_program,
                                             NULL, &ecf->path)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_exec_add(&ecf->arguments, &ecf->path);
}


static ngx_int_t
ngx_http_background_exec_argument(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_exec_conf_t *ecf = p;

    return ngx_http_background_exec_add(&ecf->arguments, &arg->value);
}


static ngx_int_t
ngx_http_background_exec_add(ngx_array_t *strings, ngx_str_t *text)
{
    ngx_http_background_exec_string_t  *string;

    string = ngx_array_push(strings);
    if (string == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(string, sizeof(ngx_http_background_exec_string_t));

    string->text = *text;

    return NGX_OK;
}


/* stored as "NAME=VALUE" */

static ngx_int_t
ngx_http_background_exec_env(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_http_background_exec_conf_t *ecf = p;

    u_char     *c, lower;
    ngx_str_t   name, text;

    c = arg->value.data;

    for ( /* void */ ; *c != ':'; c++) {
        lower = *c | 0x20;

        if ((lower < 'a' || lower > 'z') && *c != '_'
            && (c == arg->value.data || *c < '0' || *c > '9'))
        {
            break;
        }
    }

    if (*c != ':' || c == arg->value.data) {
        return ngx_http_background_conf_invalid(cf, arg, "variable",
                   "\"NAME:VALUE\" with a name of letters, digits, and \"_\"");
    }

    text.len = arg->value.len;
    text.data = ngx_pnalloc(cf->pool, text.len + 1);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(text.data, arg->value.data, text.len + 1);

    text.data[c - arg->value.data] = '=';

    name.data = text.data;
    name.len = c - arg->value.data + 1;

    if (ngx_http_background_exec_has(&ecf->environment, &name)
        || ngx_strncmp(name.data, "BACKGROUND_TASK=", name.len) == 0
        || ngx_strncmp(name.data, "BACKGROUND_FENCE=", name.len) == 0)
    {
        return ngx_http_background_conf_invalid(cf, arg, "variable",
                                                "one that is not set already");
    }

    return ngx_http_background_exec_add(&ecf->environment, &text);
}


/* the name with its "=" */

static ngx_uint_t
ngx_http_background_exec_has(ngx_array_t *environment, ngx_str_t *name)
{
    ngx_uint_t                          i;
    ngx_http_background_exec_string_t  *string;

    string = environment->elts;

    for (i = 0; i < environment->nelts; i++) {
        if (ngx_strncmp(string[i].text.data, name->data, name->len) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_background_exec_input(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_uint_t *input = p;

    if (ngx_strcmp(arg->value.data, "input") == 0) {
        *input = 1;

    } else if (ngx_strcmp(arg->value.data, "none") != 0) {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                                "\"none\" or \"input\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_exec_output(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_uint_t *output = p;

    if (ngx_strcmp(arg->value.data, "output") == 0) {
        *output = 1;

    } else if (ngx_strcmp(arg->value.data, "log") != 0) {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                                "\"log\" or \"output\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_exec_complete(ngx_conf_t *cf,
    ngx_http_background_exec_conf_t *ecf)
{
    ngx_str_t  *value;

    static ngx_str_t  name = ngx_string("PATH=");
    static ngx_str_t  path = ngx_string("PATH="
                                 "/usr/local/sbin:/usr/local/bin:"
                                 "/usr/sbin:/usr/bin:/sbin:/bin");

    if (!ngx_http_background_exec_has(&ecf->environment, &name)
        && ngx_http_background_exec_add(&ecf->environment, &path) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* with the end of the list, and the task's name */

    if (ecf->arguments.nelts >= NGX_HTTP_BACKGROUND_EXEC_STRINGS - 2
        || ecf->environment.nelts >= NGX_HTTP_BACKGROUND_EXEC_STRINGS - 2)
    {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many arguments in \"%V\" directive", &value[0]);
        return NGX_ERROR;
    }

    if (ngx_http_background_exec_compile(cf, ecf, &ecf->arguments, &ecf->argv)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_exec_compile(cf, ecf, &ecf->environment,
                                            &ecf->env);
}


/* texts are zero-terminated, and so is their list, with room for one more */

static ngx_int_t
ngx_http_background_exec_compile(ngx_conf_t *cf,
    ngx_http_background_exec_conf_t *ecf, ngx_array_t *strings, char ***texts)
{
    ngx_uint_t                          i;
    ngx_http_compile_complex_value_t    ccv;
    ngx_http_background_exec_string_t  *string;

    string = strings->elts;

    *texts = ngx_pcalloc(cf->pool, (strings->nelts + 2) * sizeof(char *));
    if (*texts == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < strings->nelts; i++) {
        (*texts)[i] = (char *) string[i].text.data;

        if (ngx_http_script_variables_count(&string[i].text) == 0) {
            continue;
        }

        ecf->variables = 1;
        string[i].variables = 1;

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &string[i].text;
        ccv.complex_value = &string[i].value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_exec_prepare(ngx_http_background_run_t *run,
    ngx_http_request_t *r)
{
    ngx_http_background_exec_conf_t *ecf = run->conf;

    ngx_int_t                           rc;
    ngx_http_background_exec_values_t  *values;

    values = ngx_palloc(run->pool, sizeof(ngx_http_background_exec_values_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    run->ctx = values;

    rc = ngx_http_background_exec_evaluate(run, r, &ecf->arguments, 1,
                                           &values->argv);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_background_exec_evaluate(run, r, &ecf->environment, 0,
                                             &values->env);
}


/* a value from a request must not be an option or have a zero byte */

static ngx_int_t
ngx_http_background_exec_evaluate(ngx_http_background_run_t *run,
    ngx_http_request_t *r, ngx_array_t *strings, ngx_uint_t arguments,
    char ***texts)
{
    u_char                             *p;
    ngx_str_t                           value;
    ngx_uint_t                          i;
    ngx_http_background_exec_string_t  *string;

    string = strings->elts;

    *texts = ngx_pcalloc(run->pool, (strings->nelts + 2) * sizeof(char *));
    if (*texts == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < strings->nelts; i++) {

        if (!string[i].variables) {
            (*texts)[i] = (char *) string[i].text.data;
            continue;
        }

        if (ngx_http_complex_value(r, &string[i].value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_strlchr(value.data, value.data + value.len, '\0')
            || (arguments && value.len && value.data[0] == '-'
                && string[i].text.data[0] != '-'))
        {
            return NGX_DECLINED;
        }

        p = ngx_pnalloc(run->pool, value.len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn(p, value.data, value.len + 1);

        (*texts)[i] = (char *) p;
    }

    return NGX_OK;
}


static void *
ngx_http_background_exec_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_background_exec_main_conf_t));
}


/*
 * A failure is ignored, as the worker would exit on NGX_ERROR; each command
 * starts the helper again.
 */

static ngx_int_t
ngx_http_background_exec_init_process(ngx_cycle_t *cycle)
{
    ngx_http_background_exec_main_conf_t  *emcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    emcf = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_background_exec_module);

    if (emcf && emcf->used) {
        (void) ngx_http_background_exec_helper_start(cycle->log);
    }

    return NGX_OK;
}


/* no thread of the pool runs any more */

static void
ngx_http_background_exec_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_background_exec_helper_stop(cycle->log);
}
