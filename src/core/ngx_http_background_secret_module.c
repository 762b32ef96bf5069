
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "background_secret": variables with the contents of files.  The master
 * process reads them, so workers need no right to do so.
 */


#include "ngx_http_background.h"


#define NGX_HTTP_BACKGROUND_SECRET_LEN  4096


static char *ngx_http_background_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_secret_add(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *text);
static ngx_int_t ngx_http_background_secret_read_fd(ngx_conf_t *cf,
    ngx_fd_t fd, ngx_str_t *path, ngx_str_t *text);
static void ngx_http_background_secret_forget(void *data);
static ngx_int_t ngx_http_background_secret_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_command_t  ngx_http_background_secret_commands[] = {

    { ngx_string("background_secret"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_background_secret,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_secret_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_secret_module = {
    NGX_MODULE_V1,
    &ngx_http_background_secret_module_ctx, /* module context */
    ngx_http_background_secret_commands,   /* module directives */
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


static ngx_str_t  ngx_http_background_secret_prefix =
    ngx_string("background_secret_");


static char *
ngx_http_background_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char      c;
    size_t      i;
    ngx_str_t  *value, *text;

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        c = value[1].data[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            break;
        }
    }

    if (value[1].len == 0 || i < value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"%V\" directive, it must "
                           "be of \"a-z\", \"0-9\", and \"_\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    text = ngx_pcalloc(cf->pool, sizeof(ngx_str_t));
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_secret_read(cf, &value[2], text) != NGX_OK
        || ngx_http_background_secret_add(cf, &value[1], text) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_secret_add(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text)
{
    ngx_str_t             variable, *prefix;
    ngx_http_variable_t  *var;

    prefix = &ngx_http_background_secret_prefix;

    variable.len = prefix->len + name->len;
    variable.data = ngx_pnalloc(cf->pool, variable.len);
    if (variable.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(variable.data, "%V%V", prefix, name);

    /* nginx logs an error if the variable exists already */

    var = ngx_http_add_variable(cf, &variable, 0);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_background_secret_variable;
    var->data = (uintptr_t) text;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_secret_read(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* open() of a FIFO must not block */

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    rc = ngx_http_background_secret_read_fd(cf, fd, path, text);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


static ngx_int_t
ngx_http_background_secret_read_fd(ngx_conf_t *cf, ngx_fd_t fd, ngx_str_t *path,
    ngx_str_t *text)
{
    ssize_t              n;
    ngx_file_info_t      fi;
    ngx_pool_cleanup_t  *cln;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file", path);
        return NGX_ERROR;
    }

    text->data = ngx_pnalloc(cf->pool, NGX_HTTP_BACKGROUND_SECRET_LEN + 1);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (text->data == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_background_secret_forget;
    cln->data = text;

    n = ngx_read_fd(fd, text->data, NGX_HTTP_BACKGROUND_SECRET_LEN + 1);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    text->len = n;

    if (n > NGX_HTTP_BACKGROUND_SECRET_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is longer than %d bytes", path,
                           NGX_HTTP_BACKGROUND_SECRET_LEN);
        return NGX_ERROR;
    }

    if (text->len && text->data[text->len - 1] == LF) {
        text->len--;

        if (text->len && text->data[text->len - 1] == CR) {
            text->len--;
        }
    }

    if (text->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is empty", path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* freed memory of an old configuration is used again */

static void
ngx_http_background_secret_forget(void *data)
{
    ngx_str_t *text = data;

    ngx_explicit_memzero(text->data, NGX_HTTP_BACKGROUND_SECRET_LEN + 1);
}


static ngx_int_t
ngx_http_background_secret_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *text = (ngx_str_t *) data;

    v->data = text->data;
    v->len = text->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
