
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "background_status", a content handler */


#include "ngx_http_background_status.h"
#include <ngx_http_background_response.h>


typedef struct {
    ngx_array_t   tasks;              /* of ngx_http_background_status_name_t */
    ngx_array_t   controls;           /* of ..._status_control_t */
} ngx_http_background_status_main_conf_t;


typedef struct ngx_http_background_status_loc_conf_s
    ngx_http_background_status_loc_conf_t;

struct ngx_http_background_status_loc_conf_s {
    const ngx_http_background_format_t   *format;     /* NULL: no directive */
    ngx_array_t                          *names;      /* of ngx_str_t, NULL:
                                                         all tasks */
    ngx_uint_t                            failing;    /* status code, 0: 200 */
    ngx_uint_t                            brief;
    ngx_str_t                             control;    /* URI */
    ngx_str_t                             attributes; /* of the page */

    /* by the format, default or "other", and by "history" */
    ngx_http_background_source_t          sources[2][2];

    /* itself, or that of the location that "if" or "limit_except" is in */
    ngx_http_background_status_loc_conf_t        *directive;
};


/* "control=", which is resolved when the configuration is complete */

typedef struct {
    ngx_http_background_status_loc_conf_t  *conf;
    ngx_http_conf_ctx_t                    *ctx;
} ngx_http_background_status_control_t;


/* a task in "task=", which is looked up when the configuration is complete */

typedef struct {
    ngx_str_t     name;
    u_char       *file;
    ngx_uint_t    line;
} ngx_http_background_status_name_t;


static void *ngx_http_background_status_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_background_status_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_background_status_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_background_status_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_background_status_controls(ngx_conf_t *cf,
    ngx_http_background_status_main_conf_t *smcf);
static char *ngx_http_background_status_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_background_status_add_control(ngx_conf_t *cf,
    ngx_http_background_status_loc_conf_t *blcf);
static ngx_int_t ngx_http_background_status_uri(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_status_task(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);

static ngx_int_t ngx_http_background_status_handler(ngx_http_request_t *r);
static const ngx_http_background_format_t *ngx_http_background_status_format(
    ngx_http_request_t *r, ngx_http_background_status_loc_conf_t *blcf);
static ngx_int_t ngx_http_background_status_send(ngx_http_request_t *r,
    const ngx_http_background_format_t *format, ngx_uint_t unhealthy,
    off_t size, ngx_chain_t *out);
static ngx_int_t ngx_http_background_status_headers(ngx_http_request_t *r,
    const ngx_http_background_format_t *format);


static const ngx_http_background_format_t  *ngx_http_background_formats[] = {
    &ngx_http_background_json,
    &ngx_http_background_html,
    &ngx_http_background_prometheus,
    NULL
};


static const ngx_http_background_bounds_t  ngx_http_background_status_codes = {
    "code", 400, 599, "from 400 to 599"
};


static const ngx_http_background_param_t  ngx_http_background_status_params[] =
{
    { ngx_string("task="), 1, ngx_http_background_status_task,
      offsetof(ngx_http_background_status_loc_conf_t, names), NULL },

    { ngx_string("failing="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_status_loc_conf_t, failing),
      &ngx_http_background_status_codes },

    { ngx_string("brief"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_status_loc_conf_t, brief), NULL },

    { ngx_string("control="), 0, ngx_http_background_status_uri,
      offsetof(ngx_http_background_status_loc_conf_t, control), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_status_commands[] = {

    { ngx_string("background_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_background_status_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_status_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_background_status_init,       /* postconfiguration */

    ngx_http_background_status_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_background_status_create_loc_conf,
                                           /* create location configuration */
    ngx_http_background_status_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_background_status_module = {
    NGX_MODULE_V1,
    &ngx_http_background_status_module_ctx, /* module context */
    ngx_http_background_status_commands,   /* module directives */
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
ngx_http_background_status_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_status_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_status_main_conf_t));
    if (bmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&bmcf->tasks, cf->pool, 4,
                       sizeof(ngx_http_background_status_name_t))
        != NGX_OK
        || ngx_array_init(&bmcf->controls, cf->pool, 1,
                          sizeof(ngx_http_background_status_control_t))
           != NGX_OK)
    {
        return NULL;
    }

    return bmcf;
}


static void *
ngx_http_background_status_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_status_loc_conf_t));
}


static char *
ngx_http_background_status_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_background_status_loc_conf_t *prev = parent;
    ngx_http_background_status_loc_conf_t *conf = child;

    conf->directive = ngx_http_background_merge_handler(cf, conf->directive,
                                         prev->directive,
                                         ngx_http_background_status_handler);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_status_init(ngx_conf_t *cf)
{
    ngx_uint_t                               i;
    ngx_http_background_main_conf_t         *bmcf;
    ngx_http_background_status_name_t       *names;
    ngx_http_background_status_main_conf_t  *smcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);
    smcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_background_status_module);
    names = smcf->tasks.elts;

    for (i = 0; i < smcf->tasks.nelts; i++) {
        if (ngx_http_background_find_task(bmcf, &names[i].name) == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown background task \"%V\" in "
                          "\"background_status\" directive in %s:%ui",
                          &names[i].name, names[i].file, names[i].line);
            return NGX_ERROR;
        }
    }

    if (ngx_http_background_status_controls(cf, smcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_background_html_init(cf);
}


/* what is allowed is known when all locations are */

static ngx_int_t
ngx_http_background_status_controls(ngx_conf_t *cf,
    ngx_http_background_status_main_conf_t *smcf)
{
    ngx_uint_t                              i, allowed;
    ngx_http_background_status_control_t   *control;
    ngx_http_background_status_loc_conf_t  *blcf;

    control = smcf->controls.elts;

    for (i = 0; i < smcf->controls.nelts; i++) {
        blcf = control[i].conf;

        allowed = ngx_http_background_control_allowed(cf,
                                                      control[i].ctx->srv_conf,
                                                      &blcf->control);

        if (ngx_http_background_html_control(cf, &blcf->control,
                                             allowed ? allowed
                                                     : ~(ngx_uint_t) 0,
                                             &blcf->attributes)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static char *
ngx_http_background_status_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_background_status_loc_conf_t *blcf = conf;

    ngx_str_t                            *value;
    ngx_uint_t                            n;
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_background_main_conf_t      *bmcf;
    const ngx_http_background_format_t  **format;

    if (blcf->format) {
        return "is duplicate";
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);
    bmcf->used = 1;

    value = cf->args->elts;
    n = 1;

    blcf->directive = blcf;
    blcf->format = ngx_http_background_formats[0];

    for (format = ngx_http_background_formats; *format; format++) {

        if (cf->args->nelts > 1
            && ngx_strcmp(value[1].data, (*format)->name.data) == 0)
        {
            blcf->format = *format;
            n++;
            break;
        }
    }

    if (ngx_http_background_conf_params(cf, n,
                                        ngx_http_background_status_params, blcf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (blcf->control.len
        && ngx_http_background_status_add_control(cf, blcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_background_status_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_status_add_control(ngx_conf_t *cf,
    ngx_http_background_status_loc_conf_t *blcf)
{
    ngx_http_background_status_control_t    *control;
    ngx_http_background_status_main_conf_t  *smcf;

    if (blcf->format != &ngx_http_background_html) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"control=\" needs \"html\" in "
                           "\"background_status\" directive");
        return NGX_ERROR;
    }

    smcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_background_status_module);

    control = ngx_array_push(&smcf->controls);
    if (control == NULL) {
        return NGX_ERROR;
    }

    control->conf = blcf;
    control->ctx = cf->ctx;

    return NGX_OK;
}


/* "//" would begin the name of another server */

static ngx_int_t
ngx_http_background_status_uri(ngx_conf_t *cf, ngx_http_background_arg_t *arg,
    void *p)
{
    ngx_str_t *uri = p;

    if (arg->value.len == 0 || arg->value.data[0] != '/'
        || (arg->value.len > 1 && arg->value.data[1] == '/')
        || ngx_strlchr(arg->value.data, arg->value.data + arg->value.len, '?')
        || ngx_strlchr(arg->value.data, arg->value.data + arg->value.len, '#')
        || ngx_strlchr(arg->value.data, arg->value.data + arg->value.len, '\\'))
    {
        return ngx_http_background_conf_invalid(cf, arg, "URI",
                                                "the path of a location");
    }

    *uri = arg->value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_status_task(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_array_t **names = p;

    ngx_str_t                               *s;
    ngx_http_background_status_name_t       *n;
    ngx_http_background_status_main_conf_t  *smcf;

    if (*names == NULL) {
        *names = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (*names == NULL) {
            return NGX_ERROR;
        }
    }

    s = ngx_array_push(*names);
    if (s == NULL) {
        return NGX_ERROR;
    }

    *s = arg->value;

    smcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_background_status_module);

    n = ngx_array_push(&smcf->tasks);
    if (n == NULL) {
        return NGX_ERROR;
    }

    n->name = arg->value;
    n->file = cf->conf_file->file.name.data;
    n->line = cf->conf_file->line;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_str_t                               arg;
    ngx_uint_t                              history;
    ngx_http_core_loc_conf_t               *clcf;
    ngx_http_background_source_t           *source;
    const ngx_http_background_format_t     *format;
    ngx_http_background_status_loc_conf_t  *blcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_background_status_module);
    blcf = blcf->directive;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    format = ngx_http_background_status_format(r, blcf);
    history = ngx_http_arg(r, (u_char *) "history", 7, &arg) == NGX_OK
              && arg.len == 1 && arg.data[0] == '1';

    source = &blcf->sources[format != blcf->format][history];

    if (source->bmcf == NULL) {
        source->bmcf = ngx_http_get_module_main_conf(r,
                                                  ngx_http_background_module);
        source->format = format;
        source->names = blcf->names;
        source->brief = blcf->brief;
        source->versions = !blcf->brief
                      && clcf->server_tokens != NGX_HTTP_SERVER_TOKENS_OFF;
        source->history = history;
        source->attributes = blcf->attributes;
        source->send = ngx_http_background_status_send;
    }

    return ngx_http_background_render(r, source);
}


static const ngx_http_background_format_t *
ngx_http_background_status_format(ngx_http_request_t *r,
    ngx_http_background_status_loc_conf_t *blcf)
{
    ngx_uint_t                           quality;
    const ngx_http_background_format_t  *format, *other;

    format = blcf->format;
    other = format->other;

    if (other == NULL) {
        return format;
    }

    quality = ngx_http_background_accept(r, &other->type);

    if (quality && quality >= ngx_http_background_accept(r, &format->type)) {
        return other;
    }

    return format;
}


static ngx_int_t
ngx_http_background_status_send(ngx_http_request_t *r,
    const ngx_http_background_format_t *format, ngx_uint_t unhealthy,
    off_t size, ngx_chain_t *out)
{
    ngx_int_t                               rc;
    ngx_http_background_status_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_background_status_module);
    blcf = blcf->directive;

    r->headers_out.content_length_n = size;
    r->headers_out.status = (unhealthy && blcf->failing) ? blcf->failing
                                                         : NGX_HTTP_OK;

    if (ngx_http_background_status_headers(r, format) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


static ngx_int_t
ngx_http_background_status_headers(ngx_http_request_t *r,
    const ngx_http_background_format_t *format)
{
    ngx_str_t                               key, value;
    ngx_http_background_status_loc_conf_t  *blcf;

    ngx_http_background_content_type(r, &format->type);

    ngx_str_set(&key, "Cache-Control");
    ngx_str_set(&value, "no-store");

    if (ngx_http_background_add_header(r, &key, &value) == NULL) {
        return NGX_ERROR;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_background_status_module);
    blcf = blcf->directive;

    if (blcf->format->other) {
        ngx_str_set(&key, "Vary");
        ngx_str_set(&value, "Accept");

        if (ngx_http_background_add_header(r, &key, &value) == NULL) {
            return NGX_ERROR;
        }
    }

    return format->headers ? format->headers(r) : NGX_OK;
}
