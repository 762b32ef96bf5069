
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * $background_status, $background_ok_NAME, and "set_background".
 *
 * nginx converts names of variables to lower case, so $background_ok_ finds a
 * task by its name regardless of case.
 */


#include "ngx_http_background_status.h"

#include <ndk.h>


#define NGX_HTTP_BACKGROUND_OK  "background_ok_"


typedef enum {
    ngx_http_background_field_state = 0,
    ngx_http_background_field_ok,
    ngx_http_background_field_cycles,
    ngx_http_background_field_failures,
    ngx_http_background_field_consecutive_failures,
    ngx_http_background_field_operations,
    ngx_http_background_field_bytes,
    ngx_http_background_field_last_error,
    ngx_http_background_field_last_wall_seconds,
    ngx_http_background_field_age_seconds
} ngx_http_background_field_e;


/*
 * a "set_background" directive; its task is looked up when the configuration
 * is complete
 */

typedef struct {
    ngx_http_background_field_e    field;
    ngx_str_t                      name;       /* of the task; empty: known
                                                  only at run time */
    ngx_http_background_task_t    *task;
    u_char                        *file;
    ngx_uint_t                     line;
} ngx_http_background_set_t;


typedef struct {
    ngx_array_t                    sets;       /* of ..._set_t * */
} ngx_http_background_variables_main_conf_t;


static ngx_int_t ngx_http_background_variables_add(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_variables_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_variables_check(ngx_conf_t *cf,
    ngx_http_background_main_conf_t *bmcf, ngx_str_t *variable);
static void *ngx_http_background_variables_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_background_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_http_background_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_background_ok_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_uint_t ngx_http_background_ok_tasks(
    ngx_http_background_main_conf_t *bmcf, ngx_str_t *variable,
    ngx_http_background_task_t **task);
static ngx_int_t ngx_http_background_set_value(ngx_http_request_t *r,
    ngx_str_t *val, ngx_http_variable_value_t *v, void *data);
static ngx_int_t ngx_http_background_field(ngx_http_request_t *r,
    ngx_http_background_view_t *view, ngx_http_background_field_e field,
    ngx_str_t *val);
static ngx_int_t ngx_http_background_field_age(ngx_http_request_t *r,
    uint64_t since, ngx_str_t *val);
static ngx_int_t ngx_http_background_field_text(ngx_http_request_t *r,
    u_char *data, size_t len, ngx_str_t *val);
static ngx_int_t ngx_http_background_field_number(ngx_http_request_t *r,
    uint64_t n, ngx_str_t *val);
static ngx_int_t ngx_http_background_field_seconds(ngx_http_request_t *r,
    uint64_t ms, ngx_str_t *val);


static ngx_str_t  ngx_http_background_fields[] = {
    ngx_string("state"),
    ngx_string("ok"),
    ngx_string("cycles"),
    ngx_string("failures"),
    ngx_string("consecutive_failures"),
    ngx_string("operations"),
    ngx_string("bytes"),
    ngx_string("last_error"),
    ngx_string("last_wall_seconds"),
    ngx_string("age_seconds"),
    ngx_null_string
};


static ngx_command_t  ngx_http_background_variables_commands[] = {

    { ngx_string("set_background"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_SIF_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF
                       |NGX_CONF_TAKE3,
      ngx_http_background_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_variables_module_ctx = {
    ngx_http_background_variables_add,     /* preconfiguration */
    ngx_http_background_variables_init,    /* postconfiguration */

    ngx_http_background_variables_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_variables_module = {
    NGX_MODULE_V1,
    &ngx_http_background_variables_module_ctx, /* module context */
    ngx_http_background_variables_commands, /* module directives */
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


static ngx_http_variable_t  ngx_http_background_vars[] = {

    { ngx_string("background_status"), NULL,
      ngx_http_background_status_variable, 0, 0, 0 },

    { ngx_string(NGX_HTTP_BACKGROUND_OK), NULL,
      ngx_http_background_ok_variable, 0, NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_background_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_background_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static void *
ngx_http_background_variables_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_variables_main_conf_t  *vmcf;

    vmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_variables_main_conf_t));
    if (vmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&vmcf->sets, cf->pool, 4,
                       sizeof(ngx_http_background_set_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return vmcf;
}


static ngx_int_t
ngx_http_background_variables_init(ngx_conf_t *cf)
{
    ngx_uint_t                                   i;
    ngx_http_variable_t                         *v;
    ngx_http_background_set_t                  **set;
    ngx_http_core_main_conf_t                   *cmcf;
    ngx_http_background_main_conf_t             *bmcf;
    ngx_http_background_variables_main_conf_t   *vmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);
    vmcf = ngx_http_conf_get_module_main_conf(cf,
                                        ngx_http_background_variables_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    set = vmcf->sets.elts;

    for (i = 0; i < vmcf->sets.nelts; i++) {
        set[i]->task = ngx_http_background_find_task(bmcf, &set[i]->name);

        if (set[i]->task == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown background task \"%V\" in "
                          "\"set_background\" directive in %s:%ui",
                          &set[i]->name, set[i]->file, set[i]->line);
            return NGX_ERROR;
        }
    }

    /* all variables that are used in the configuration */

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (ngx_http_background_variables_check(cf, bmcf, &v[i].name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_variables_check(ngx_conf_t *cf,
    ngx_http_background_main_conf_t *bmcf, ngx_str_t *variable)
{
    ngx_uint_t                   i, n;
    ngx_hash_key_t              *key;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_background_task_t  *task;

    if (variable->len < sizeof(NGX_HTTP_BACKGROUND_OK) - 1
        || ngx_strncmp(variable->data, NGX_HTTP_BACKGROUND_OK,
                       sizeof(NGX_HTTP_BACKGROUND_OK) - 1)
           != 0)
    {
        return NGX_OK;
    }

    /* "set", "map", and other directives may define variables of such names */

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        if (key[i].key.len == variable->len
            && ngx_strncmp(key[i].key.data, variable->data, variable->len)
               == 0)
        {
            return NGX_OK;
        }
    }

    n = ngx_http_background_ok_tasks(bmcf, variable, &task);

    if (n == 1) {
        return NGX_OK;
    }

    if (n == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown background task in \"$%V\" variable, "
                      "\"%s\" must be followed by a task's name",
                      variable, "$" NGX_HTTP_BACKGROUND_OK);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "ambiguous \"$%V\" variable, names of background tasks "
                      "differ in case only: use \"set_background\"", variable);
    }

    return NGX_ERROR;
}


static char *
ngx_http_background_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                                  *value, *field;
    ndk_set_var_t                               filter;
    ngx_http_background_set_t                  *set, **sets;
    ngx_http_background_variables_main_conf_t  *vmcf;

    value = cf->args->elts;

    for (field = ngx_http_background_fields; field->len; field++) {
        if (value[3].len == field->len
            && ngx_memcmp(value[3].data, field->data, field->len) == 0)
        {
            break;
        }
    }

    if (field->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid field \"%V\" in \"%V\" directive, it must "
                           "be \"state\", \"ok\", \"cycles\", \"failures\", "
                           "\"consecutive_failures\", \"operations\", "
                           "\"bytes\", \"last_error\", \"last_wall_seconds\" "
                           "or \"age_seconds\"", &value[3], &cmd->name);
        return NGX_CONF_ERROR;
    }

    set = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_set_t));
    if (set == NULL) {
        return NGX_CONF_ERROR;
    }

    set->field = field - ngx_http_background_fields;

    if (ngx_http_script_variables_count(&value[2]) == 0) {
        set->name = value[2];
        set->file = cf->conf_file->file.name.data;
        set->line = cf->conf_file->line;

        vmcf = ngx_http_conf_get_module_main_conf(cf,
                                        ngx_http_background_variables_module);

        sets = ngx_array_push(&vmcf->sets);
        if (sets == NULL) {
            return NGX_CONF_ERROR;
        }

        *sets = set;
    }

    filter.type = NDK_SET_VAR_VALUE_DATA;
    filter.func = (void *) ngx_http_background_set_value;
    filter.size = 1;
    filter.data = set;

    return ndk_set_var_value_core(cf, &value[1], &value[2], &filter);
}


static ngx_int_t
ngx_http_background_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_uint_t                         i;
    ngx_http_background_main_conf_t   *bmcf;
    ngx_http_background_zone_task_t  **tasks;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_background_module);
    tasks = bmcf->zone.tasks.elts;

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    v->data = (u_char *) "ok";
    v->len = sizeof("ok") - 1;

    for (i = 0; i < bmcf->zone.tasks.nelts; i++) {
        if (!ngx_http_background_healthy(bmcf,
                                    (ngx_http_background_task_t *) tasks[i]))
        {
            v->data = (u_char *) "degraded";
            v->len = sizeof("degraded") - 1;
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_ok_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    ngx_http_background_task_t       *task;
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_background_module);

    /* names that are built at run time were not checked */

    if (ngx_http_background_ok_tasks(bmcf, name, &task) != 1) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    v->data = (u_char *) (ngx_http_background_healthy(bmcf, task) ? "1" : "0");
    v->len = 1;

    return NGX_OK;
}


/*
 * returns the number of tasks that match the name of a variable, and one of
 * them
 */

static ngx_uint_t
ngx_http_background_ok_tasks(ngx_http_background_main_conf_t *bmcf,
    ngx_str_t *variable, ngx_http_background_task_t **task)
{
    size_t                             len;
    u_char                            *name;
    ngx_uint_t                         i, n;
    ngx_http_background_zone_task_t  **tasks;

    name = variable->data + sizeof(NGX_HTTP_BACKGROUND_OK) - 1;
    len = variable->len - (sizeof(NGX_HTTP_BACKGROUND_OK) - 1);

    tasks = bmcf->zone.tasks.elts;

    for (i = 0, n = 0; i < bmcf->zone.tasks.nelts; i++) {
        if (tasks[i]->name.len == len
            && ngx_strncasecmp(tasks[i]->name.data, name, len) == 0)
        {
            *task = (ngx_http_background_task_t *) tasks[i];
            n++;
        }
    }

    return n;
}


static ngx_int_t
ngx_http_background_set_value(ngx_http_request_t *r, ngx_str_t *val,
    ngx_http_variable_value_t *v, void *data)
{
    ngx_http_background_set_t *set = data;

    ngx_str_t                         name;
    ngx_http_background_task_t       *task;
    ngx_http_background_view_t        view;
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_background_module);

    task = set->task;

    if (task == NULL) {
        name.data = v->data;
        name.len = v->len;

        task = ngx_http_background_find_task(bmcf, &name);

        if (task == NULL) {
            ngx_str_null(val);
            return NGX_OK;
        }
    }

    if (set->field == ngx_http_background_field_ok) {
        if (ngx_http_background_healthy(bmcf, task)) {
            ngx_str_set(val, "1");

        } else {
            ngx_str_set(val, "0");
        }

        return NGX_OK;
    }

    ngx_http_background_view_read(&view, &bmcf->zone, task);

    return ngx_http_background_field(r, &view, set->field, val);
}


static ngx_int_t
ngx_http_background_field(ngx_http_request_t *r,
    ngx_http_background_view_t *view, ngx_http_background_field_e field,
    ngx_str_t *val)
{
    u_char                        buf[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_str_t                     error;
    ngx_http_background_stats_t  *stats;

    stats = &view->stats;

    switch (field) {

    case ngx_http_background_field_state:
        *val = ngx_http_background_states[view->state];
        return NGX_OK;

    case ngx_http_background_field_cycles:
        return ngx_http_background_field_number(r, stats->cycles_completed,
                                                val);

    case ngx_http_background_field_failures:
        return ngx_http_background_field_number(r, stats->cycles_failed, val);

    case ngx_http_background_field_consecutive_failures:
        return ngx_http_background_field_number(r, stats->failures, val);

    case ngx_http_background_field_operations:
        return ngx_http_background_field_number(r,
                                           stats->operations_completed, val);

    case ngx_http_background_field_bytes:
        return ngx_http_background_field_number(r, stats->bytes, val);

    case ngx_http_background_field_last_error:
        error = ngx_http_background_view_error(view, buf);

        return ngx_http_background_field_text(r, error.data, error.len, val);

    case ngx_http_background_field_last_wall_seconds:

        if (stats->last.finished_at == 0) {
            ngx_str_null(val);
            return NGX_OK;
        }

        return ngx_http_background_field_seconds(r, stats->last.wall_time,
                                                 val);

    default: /* ngx_http_background_field_age_seconds */
        return ngx_http_background_field_age(r, stats->success_at, val);
    }
}


/* empty if there was no such time; the wall clock may have been set back */

static ngx_int_t
ngx_http_background_field_age(ngx_http_request_t *r, uint64_t since,
    ngx_str_t *val)
{
    uint64_t  now;

    if (since == 0) {
        ngx_str_null(val);
        return NGX_OK;
    }

    now = ngx_http_background_wall_clock();

    return ngx_http_background_field_seconds(r, ngx_max(now, since) - since,
                                             val);
}


/* the value may be used in a header field, so it must not have line breaks */

static ngx_int_t
ngx_http_background_field_text(ngx_http_request_t *r, u_char *data, size_t len,
    ngx_str_t *val)
{
    size_t  i;

    val->len = len;
    val->data = ngx_pnalloc(r->pool, len);

    if (val->data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        val->data[i] = (data[i] < 0x20 || data[i] == 0x7f) ? '?' : data[i];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_field_number(ngx_http_request_t *r, uint64_t n,
    ngx_str_t *val)
{
    val->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (val->data == NULL) {
        return NGX_ERROR;
    }

    val->len = ngx_sprintf(val->data, "%uL", n) - val->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_field_seconds(ngx_http_request_t *r, uint64_t ms,
    ngx_str_t *val)
{
    val->data = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000") - 1);
    if (val->data == NULL) {
        return NGX_ERROR;
    }

    val->len = ngx_sprintf(val->data, "%uL.%03uL", ms / 1000, ms % 1000)
               - val->data;

    return NGX_OK;
}
