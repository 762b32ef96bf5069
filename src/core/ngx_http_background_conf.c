
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Adding operations, and parameters of directives. */


#include "ngx_http_background_module.h"


static ngx_http_background_task_t *ngx_http_background_conf_task(
    ngx_conf_t *cf, const char *what);
static const char *ngx_http_background_conf_kind(
    const ngx_http_background_kind_t *kind);
static ngx_int_t ngx_http_background_conf_place(ngx_conf_t *cf,
    ngx_http_background_operation_t *operation);
static ngx_int_t ngx_http_background_conf_check(ngx_conf_t *cf,
    ngx_http_background_operation_t *operation);
static ngx_int_t ngx_http_background_conf_title(ngx_conf_t *cf,
    ngx_str_t *title);
static ngx_int_t ngx_http_background_conf_param(ngx_conf_t *cf,
    ngx_str_t *text, const ngx_http_background_param_t *params,
    uint64_t *given, void *conf);
static ngx_uint_t ngx_http_background_conf_matches(ngx_str_t *text,
    const ngx_str_t *name);
static ngx_int_t ngx_http_background_conf_bounded(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, int64_t n,
    const ngx_http_background_bounds_t *bounds);
static ngx_int_t ngx_http_background_conf_full(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, ngx_str_t *path);


static const ngx_http_background_bounds_t  ngx_http_background_rates = {
    "rate", 1, NGX_MAX_INT_T_VALUE, "bytes per second, 1 or more"
};


static const ngx_http_background_bounds_t  ngx_http_background_any_number = {
    "number", 0, NGX_MAX_INT_T_VALUE, "0 or more"
};


static const ngx_http_background_bounds_t  ngx_http_background_any_time = {
    "time", 0, NGX_MAX_INT_T_VALUE, "0 or more, as in \"30s\""
};


static const ngx_http_background_bounds_t  ngx_http_background_any_size = {
    "size", 0, NGX_MAX_INT_T_VALUE, "0 or more, as in \"10m\""
};


char *
ngx_http_background_add_kind(ngx_conf_t *cf,
    const ngx_http_background_kind_t *kind, void *conf, uint64_t abi)
{
    const char                       *error;
    ngx_str_t                        *value;
    ngx_http_background_task_t       *task;
    ngx_http_background_main_conf_t  *bmcf;
    ngx_http_background_operation_t  *operation;

    if (ngx_http_background_conf_abi(cf, abi, NGX_HTTP_BACKGROUND_ABI)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    error = ngx_http_background_conf_kind(kind);

    if (error) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid operation kind of \"%V\" directive, %s",
                           &value[0], error);
        return NGX_CONF_ERROR;
    }

    task = ngx_http_background_conf_task(cf, "an operation");
    if (task == NULL) {
        return NGX_CONF_ERROR;
    }

    operation = ngx_array_push(&task->operations);
    if (operation == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(operation, sizeof(ngx_http_background_operation_t));

    operation->kind = *kind;
    operation->conf = conf;
    operation->prepare = NULL;

    if (ngx_http_background_conf_title(cf, &operation->title) != NGX_OK
        || ngx_http_background_conf_place(cf, operation) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (kind->work) {
        task->cpu++;

    } else {
        bmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_background_module);
        bmcf->pool.steps = 1;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_background_add_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *main_conf)
{
    void                             *conf;
    ngx_http_background_directive_t  *directive;

    directive = cmd->post;

    /* in another ABI the other fields may be at other offsets */

    if (ngx_http_background_conf_abi(cf, directive->abi,
                                     NGX_HTTP_BACKGROUND_ABI)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    conf = ngx_pcalloc(cf->pool, ngx_max(directive->conf_size, 1));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_params(cf, 1, directive->params, conf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf, &directive->kind, conf);
}


char *
ngx_http_background_use_request(ngx_conf_t *cf,
    ngx_http_background_prepare_pt prepare)
{
    ngx_http_background_task_t       *task;
    ngx_http_background_operation_t  *operation;

    task = ngx_http_background_conf_task(cf, "variables");

    if (task == NULL || task->operations.nelts == 0) {
        return NGX_CONF_ERROR;
    }

    operation = task->operations.elts;
    operation[task->operations.nelts - 1].prepare = prepare;

    task->request = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_background_use_judge(ngx_conf_t *cf,
    const ngx_http_background_judge_t *judge)
{
    ngx_http_background_task_t       *task;
    ngx_http_background_operation_t  *operation;

    task = ngx_http_background_conf_task(cf, "servers");

    if (task == NULL || task->operations.nelts == 0) {
        return NGX_CONF_ERROR;
    }

    operation = task->operations.elts;
    operation[task->operations.nelts - 1].judge = judge;

    task->judges = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_background_add_trigger_of(ngx_conf_t *cf,
    const ngx_http_background_trigger_t *trigger, void *conf, uint64_t abi)
{
    ngx_str_t                           *value;
    ngx_http_background_task_t          *task;
    ngx_http_background_task_trigger_t  *tt;

    if (ngx_http_background_conf_abi(cf, abi, NGX_HTTP_BACKGROUND_TRIGGER_ABI)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (trigger == NULL || trigger->start == NULL || trigger->stop == NULL) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid trigger of \"%V\" directive, it must have "
                           "\"start\" and \"stop\"", &value[0]);
        return NGX_CONF_ERROR;
    }

    task = ngx_http_background_conf_task(cf, "a trigger");
    if (task == NULL) {
        return NGX_CONF_ERROR;
    }

    tt = ngx_array_push(&task->triggers);
    if (tt == NULL) {
        return NGX_CONF_ERROR;
    }

    tt->trigger = trigger;
    tt->conf = conf;

    task->zone.arrives = 1;

    return NGX_CONF_OK;
}


ngx_http_background_task_t *
ngx_http_background_find_of(ngx_conf_t *cf, ngx_str_t *name, uint64_t abi)
{
    ngx_http_background_task_t       *task;
    ngx_http_background_main_conf_t  *bmcf;

    if (abi != NGX_HTTP_BACKGROUND_TRIGGER_ABI) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a module that starts cycles of background task "
                           "\"%V\" was built for another version of "
                           "ngx_http_background_module, ABI %016xL instead of "
                           "%016xL",
                           name, abi, NGX_HTTP_BACKGROUND_TRIGGER_ABI);
        return NULL;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);

    task = ngx_http_background_find_task(bmcf, name);

    if (task) {
        task->zone.arrives = 1;
    }

    return task;
}


ngx_uint_t
ngx_http_background_operations(ngx_http_background_task_t *task)
{
    return task->operations.nelts;
}


/* returns the task whose block is read */

static ngx_http_background_task_t *
ngx_http_background_conf_task(ngx_conf_t *cf, const char *what)
{
    ngx_str_t                        *value;
    ngx_http_background_main_conf_t  *bmcf;

    bmcf = NULL;

    if (cf->module_type == NGX_HTTP_MODULE) {
        bmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_background_module);
    }

    if (bmcf && bmcf->task) {
        return bmcf->task;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" directive adds %s outside of a background task, "
                       "its context must be NGX_HTTP_BACKGROUND_TASK_CONF",
                       &value[0], what);

    return NULL;
}


ngx_int_t
ngx_http_background_conf_abi(ngx_conf_t *cf, uint64_t abi, uint64_t own)
{
    ngx_str_t  *value;

    if (abi == own) {
        return NGX_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "the module of \"%V\" directive was built for another "
                       "version of ngx_http_background_module, ABI %016xL "
                       "instead of %016xL", &value[0], abi, own);

    return NGX_ERROR;
}


static const char *
ngx_http_background_conf_kind(const ngx_http_background_kind_t *kind)
{
    if (kind == NULL) {
        return "there is none";
    }

    if ((kind->start == NULL) == (kind->work == NULL)) {
        return "it must have either \"start\" or \"work\"";
    }

    if ((kind->start == NULL) != (kind->cancel == NULL)) {
        return "it must have \"cancel\" if it has \"start\"";
    }

    if (kind->begin && kind->work == NULL) {
        return "it must not have \"begin\" without \"work\"";
    }

    if (kind->finish && kind->begin == NULL) {
        return "it must not have \"finish\" without \"begin\"";
    }

    return NULL;
}


/* the title is the name of the directive and its first argument */

static ngx_int_t
ngx_http_background_conf_title(ngx_conf_t *cf, ngx_str_t *title)
{
    u_char     *p;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 1) {
        *title = value[0];
        return NGX_OK;
    }

    title->len = value[0].len + sizeof(" \"\"") - 1 + value[1].len;

    p = ngx_pnalloc(cf->pool, title->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    title->data = p;

    (void) ngx_sprintf(p, "%V \"%V\"", &value[0], &value[1]);

    return NGX_OK;
}


/* keeps the place and the arguments of the directive for "check" */

static ngx_int_t
ngx_http_background_conf_place(ngx_conf_t *cf,
    ngx_http_background_operation_t *operation)
{
    ngx_str_t   *args;
    ngx_uint_t   n;

    operation->file = cf->conf_file->file.name.data;
    operation->line = cf->conf_file->line;
    operation->conf_ctx = cf->ctx;

    n = cf->args->nelts;

    if (ngx_array_init(&operation->args, cf->pool, n, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    args = ngx_array_push_n(&operation->args, n);
    if (args == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(args, cf->args->elts, n * sizeof(ngx_str_t));

    return NGX_OK;
}


ngx_int_t
ngx_http_background_check_task(ngx_conf_t *cf,
    ngx_http_background_task_t *task)
{
    ngx_uint_t                        i;
    ngx_http_background_operation_t  *operation;

    operation = task->operations.elts;

    for (i = 0; i < task->operations.nelts; i++) {

        if (operation[i].kind.check
            && ngx_http_background_conf_check(cf, &operation[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_conf_check(ngx_conf_t *cf,
    ngx_http_background_operation_t *operation)
{
    ngx_conf_t       own;
    ngx_conf_file_t  file;

    own = *cf;
    file = *cf->conf_file;

    file.file.name.data = operation->file;
    file.file.name.len = ngx_strlen(operation->file);
    file.line = operation->line;

    own.conf_file = &file;
    own.args = &operation->args;
    own.ctx = operation->conf_ctx;

    return operation->kind.check(&own, operation->conf);
}


ngx_int_t
ngx_http_background_read_params(ngx_conf_t *cf, ngx_uint_t n,
    const ngx_http_background_param_t *params, void *conf, uint64_t abi)
{
    uint64_t    given;
    ngx_str_t  *value;

    if (ngx_http_background_conf_abi(cf, abi, NGX_HTTP_BACKGROUND_ABI)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = cf->args->elts;
    given = 0;

    for ( /* void */ ; n < cf->args->nelts; n++) {
        if (ngx_http_background_conf_param(cf, &value[n], params, &given, conf)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_conf_param(ngx_conf_t *cf, ngx_str_t *text,
    const ngx_http_background_param_t *params, uint64_t *given, void *conf)
{
    ngx_str_t                          *value;
    ngx_uint_t                          i, twice;
    const char                         *error;
    ngx_http_background_arg_t           arg;
    const ngx_http_background_param_t  *param;

    for (i = 0; params[i].set; i++) {
        param = &params[i];
        twice = (!param->multiple && (*given & ((uint64_t) 1 << i)));

        if (param->name.len == 0
            ? twice : !ngx_http_background_conf_matches(text, &param->name))
        {
            continue;
        }

        if (twice) {
            error = "duplicate parameter \"%V\" in \"%V\" directive";
            goto failed;
        }

        *given |= (uint64_t) 1 << i;

        arg.text = *text;
        arg.value.data = text->data + param->name.len;
        arg.value.len = text->len - param->name.len;
        arg.post = param->post;

        return param->set(cf, &arg, (u_char *) conf + param->offset);
    }

    error = "unknown parameter \"%V\" in \"%V\" directive";

failed:

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, error, text, &value[0]);

    return NGX_ERROR;
}


/* a name without "=" at its end is a flag */

static ngx_uint_t
ngx_http_background_conf_matches(ngx_str_t *text, const ngx_str_t *name)
{
    if (text->len < name->len
        || ngx_strncmp(text->data, name->data, name->len) != 0)
    {
        return 0;
    }

    return text->len == name->len || name->data[name->len - 1] == '=';
}


ngx_int_t
ngx_http_background_conf_argument(ngx_conf_t *cf, ngx_uint_t n,
    ngx_http_background_set_pt set, const void *post, void *p)
{
    ngx_str_t                  *value;
    ngx_http_background_arg_t   arg;

    value = cf->args->elts;

    arg.text = value[n];
    arg.value = value[n];
    arg.post = post;

    return set(cf, &arg, p);
}


ngx_int_t
ngx_http_background_conf_invalid(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, const char *what, const char *valid)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %s \"%V\" in \"%V\" directive, it must be %s",
                       what, &arg->text, &value[0], valid);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_background_conf_number(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_int_t *np = p;

    ngx_int_t                            n;
    ngx_uint_t                           minus;
    const ngx_http_background_bounds_t  *bounds;

    bounds = arg->post;

    minus = (arg->value.len > 1 && arg->value.data[0] == '-');

    n = ngx_atoi(arg->value.data + minus, arg->value.len - minus);

    if (n == NGX_ERROR) {
        n = bounds ? bounds->min - 1 : -1;

    } else if (minus) {
        n = -n;
    }

    if (ngx_http_background_conf_bounded(cf, arg, n,
                                         &ngx_http_background_any_number)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *np = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_conf_time(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_msec_t *tp = p;

    ngx_int_t  ms;

    ms = ngx_parse_time(&arg->value, 0);

    if (ngx_http_background_conf_bounded(cf, arg, ms,
                                         &ngx_http_background_any_time)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *tp = ms;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_conf_size(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    size_t *sp = p;

    ssize_t  size;

    size = ngx_parse_size(&arg->value);

    if (ngx_http_background_conf_bounded(cf, arg, size,
                                         &ngx_http_background_any_size)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *sp = size;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_conf_offset(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    off_t *op = p;

    off_t  offset;

    offset = ngx_parse_offset(&arg->value);

    if (ngx_http_background_conf_bounded(cf, arg, offset,
                                         &ngx_http_background_any_size)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *op = offset;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_conf_rate(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    arg->post = &ngx_http_background_rates;

    return ngx_http_background_conf_size(cf, arg, p);
}


static ngx_int_t
ngx_http_background_conf_bounded(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, int64_t n,
    const ngx_http_background_bounds_t *bounds)
{
    u_char  valid[sizeof("a number from  to ") + 2 * NGX_INT_T_LEN];

    if (arg->post) {
        bounds = arg->post;
    }

    if (n >= bounds->min && n <= bounds->max) {
        return NGX_OK;
    }

    if (bounds->valid) {
        return ngx_http_background_conf_invalid(cf, arg, bounds->what,
                                                bounds->valid);
    }

    (void) ngx_sprintf(valid, "a number from %L to %L%Z",
                       bounds->min, bounds->max);

    return ngx_http_background_conf_invalid(cf, arg, bounds->what,
                                            (char *) valid);
}


ngx_int_t
ngx_http_background_conf_string(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_str_t *sp = p;

    *sp = arg->value;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_conf_flag(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_uint_t *fp = p;

    *fp = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_conf_full(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    ngx_str_t *path)
{
    if (arg->value.len == 0) {
        return ngx_http_background_conf_invalid(cf, arg, "path", "not empty");
    }

    *path = arg->value;

    return ngx_conf_full_name(cf->cycle, path, 0);
}


ngx_int_t
ngx_http_background_conf_file(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    if (ngx_http_background_conf_full(cf, arg, p) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_background_conf_path(cf, p);

    return NGX_OK;
}


ngx_int_t
ngx_http_background_conf_program(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    if (ngx_http_background_conf_full(cf, arg, p) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_background_conf_executable(cf, p);

    return NGX_OK;
}
