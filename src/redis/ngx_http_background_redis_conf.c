
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "background_redis NAME { }" */


#include "ngx_http_background_redis.h"


#define NGX_HTTP_BACKGROUND_REDIS_PORT           6379
#define NGX_HTTP_BACKGROUND_REDIS_SENTINEL_PORT  26379


static ngx_uint_t ngx_http_background_redis_name(ngx_str_t *name);
static char *ngx_http_background_redis_line(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_background_redis_set_server(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_name(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_flag(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_number(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_time(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_text(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_file(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_set_password(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_duplicate(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg);
static ngx_int_t ngx_http_background_redis_servers(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf);
static ngx_int_t ngx_http_background_redis_tls_init(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf);
#if (NGX_SSL)
static ngx_int_t ngx_http_background_redis_tls_name(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf);
static ngx_int_t ngx_http_background_redis_tls_create(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf);
#endif
static void ngx_http_background_redis_conf_error(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf, const char *text);


static const ngx_http_background_bounds_t
    ngx_http_background_redis_times =
{
    "time", 1, 60 * 60 * 1000, "from 1ms to 1h"
};


static const ngx_http_background_bounds_t
    ngx_http_background_redis_databases =
{
    "value", 0, 65535, NULL
};


#define ngx_http_background_redis_member(member)                              \
    offsetof(ngx_http_background_redis_conf_t, member)


static const ngx_http_background_param_t
    ngx_http_background_redis_lines[] =
{
    { ngx_string("server"), 1, ngx_http_background_redis_set_server,
      ngx_http_background_redis_member(servers), NULL },

    { ngx_string("sentinel"), 0, ngx_http_background_redis_set_name,
      ngx_http_background_redis_member(sentinel), NULL },

    { ngx_string("user"), 0, ngx_http_background_redis_set_text,
      ngx_http_background_redis_member(user), NULL },

    { ngx_string("password_file"), 0, ngx_http_background_redis_set_password,
      ngx_http_background_redis_member(password), NULL },

    { ngx_string("sentinel_user"), 0, ngx_http_background_redis_set_text,
      ngx_http_background_redis_member(sentinel_user), NULL },

    { ngx_string("sentinel_password_file"), 0,
      ngx_http_background_redis_set_password,
      ngx_http_background_redis_member(sentinel_password), NULL },

    { ngx_string("database"), 0, ngx_http_background_redis_set_number,
      ngx_http_background_redis_member(database),
      &ngx_http_background_redis_databases },

    { ngx_string("prefix"), 0, ngx_http_background_redis_set_text,
      ngx_http_background_redis_member(prefix), NULL },

    { ngx_string("connect_timeout"), 0, ngx_http_background_redis_set_time,
      ngx_http_background_redis_member(connect_timeout),
      &ngx_http_background_redis_times },

    { ngx_string("timeout"), 0, ngx_http_background_redis_set_time,
      ngx_http_background_redis_member(timeout),
      &ngx_http_background_redis_times },

    { ngx_string("tls"), 0, ngx_http_background_redis_set_flag,
      ngx_http_background_redis_member(tls), NULL },

    { ngx_string("tls_verify"), 0, ngx_http_background_redis_set_flag,
      ngx_http_background_redis_member(tls_verify), NULL },

    { ngx_string("tls_name"), 0, ngx_http_background_redis_set_text,
      ngx_http_background_redis_member(tls_name), NULL },

    { ngx_string("tls_trusted_certificate"), 0,
      ngx_http_background_redis_set_file,
      ngx_http_background_redis_member(tls_trusted_certificate), NULL },

    { ngx_string("tls_certificate"), 0, ngx_http_background_redis_set_file,
      ngx_http_background_redis_member(tls_certificate), NULL },

    { ngx_string("tls_certificate_key"), 0, ngx_http_background_redis_set_file,
      ngx_http_background_redis_member(tls_certificate_key), NULL },

    ngx_http_background_null_param
};


char *
ngx_http_background_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_redis_main_conf_t *rmcf = conf;

    char                               *rv;
    ngx_str_t                          *value;
    ngx_conf_t                          save;
    ngx_http_background_redis_conf_t   *rcf, **rp;

    value = cf->args->elts;

    if (!ngx_http_background_redis_name(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"background_redis\" "
                           "directive, it must be 1-%d of \"A-Z\", \"a-z\", "
                           "\"0-9\", \"_\", \".\", and \"-\"",
                           &value[1], NGX_HTTP_BACKGROUND_HOST_LEN);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_redis_find(rmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"background_redis\" \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_redis_conf_t));
    if (rcf == NULL) {
        return NGX_CONF_ERROR;
    }

    rcf->name = value[1];
    rcf->file = cf->conf_file->file.name.data;
    rcf->line = cf->conf_file->line;
    rcf->number = rmcf->redis.nelts;
    rcf->database = NGX_CONF_UNSET;
    rcf->connect_timeout = NGX_CONF_UNSET_MSEC;
    rcf->timeout = NGX_CONF_UNSET_MSEC;
    rcf->tls = NGX_CONF_UNSET;
    rcf->tls_verify = NGX_CONF_UNSET;

    if (ngx_array_init(&rcf->servers, cf->pool, 2,
                       sizeof(ngx_http_background_redis_server_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rp = ngx_array_push(&rmcf->redis);
    if (rp == NULL) {
        return NGX_CONF_ERROR;
    }

    *rp = rcf;

    save = *cf;
    cf->handler = ngx_http_background_redis_line;
    cf->handler_conf = (void *) rcf;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (rcf->servers.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"server\" in \"background_redis\" \"%V\"",
                           &rcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* a name needs no escaping in the status */

static ngx_uint_t
ngx_http_background_redis_name(ngx_str_t *name)
{
    u_char  *p, c;

    for (p = name->data; p < name->data + name->len; p++) {
        c = *p | 0x20;

        if (!((c >= 'a' && c <= 'z') || (*p >= '0' && *p <= '9')
              || *p == '_' || *p == '.' || *p == '-'))
        {
            return 0;
        }
    }

    return name->len && name->len <= NGX_HTTP_BACKGROUND_HOST_LEN;
}


static char *
ngx_http_background_redis_line(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_redis_conf_t *rcf = conf;

    ngx_str_t                          *value;
    ngx_http_background_arg_t           arg;
    const ngx_http_background_param_t  *line;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "include") == 0) {
        return ngx_conf_include(cf, cmd, conf);
    }

    for (line = ngx_http_background_redis_lines; line->name.len; line++) {
        if (line->name.len == value[0].len
            && ngx_strcmp(line->name.data, value[0].data) == 0)
        {
            break;
        }
    }

    if (line->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown directive \"%V\" in \"background_redis\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts != 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    arg.text = value[1];
    arg.value = value[1];
    arg.post = line->post;

    if (line->set(cf, &arg, (char *) rcf + line->offset) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_redis_set_server(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_array_t *servers = p;

    ngx_http_background_redis_server_t  *server;

    server = ngx_array_push(servers);
    if (server == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_background_redis_server_t));

    server->text = arg->value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_set_text(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_str_t *text = p;

    if (text->data) {
        return ngx_http_background_redis_duplicate(cf, arg);
    }

    *text = arg->value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_set_name(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    if (arg->value.len == 0) {
        return ngx_http_background_conf_invalid(cf, arg, "name", "not empty");
    }

    return ngx_http_background_redis_set_text(cf, arg, p);
}


static ngx_int_t
ngx_http_background_redis_set_flag(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_flag_t *flag = p;

    if (*flag != NGX_CONF_UNSET) {
        return ngx_http_background_redis_duplicate(cf, arg);
    }

    if (ngx_strcmp(arg->value.data, "on") == 0) {
        *flag = 1;

    } else if (ngx_strcmp(arg->value.data, "off") == 0) {
        *flag = 0;

    } else {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                                "\"on\" or \"off\"");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_set_number(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_int_t *number = p;

    if (*number != NGX_CONF_UNSET) {
        return ngx_http_background_redis_duplicate(cf, arg);
    }

    return ngx_http_background_conf_number(cf, arg, p);
}


static ngx_int_t
ngx_http_background_redis_set_time(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_msec_t *time = p;

    if (*time != NGX_CONF_UNSET_MSEC) {
        return ngx_http_background_redis_duplicate(cf, arg);
    }

    return ngx_http_background_conf_time(cf, arg, p);
}


static ngx_int_t
ngx_http_background_redis_set_file(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_str_t *file = p;

    if (file->data) {
        return ngx_http_background_redis_duplicate(cf, arg);
    }

    *file = arg->value;

    return ngx_conf_full_name(cf->cycle, file, 1);
}


static ngx_int_t
ngx_http_background_redis_set_password(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_str_t *password = p;

    if (password->data) {
        return ngx_http_background_redis_duplicate(cf, arg);
    }

    if (ngx_http_background_secret_read(cf, &arg->value, password) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_strlchr(password->data, password->data + password->len, LF)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has more than one line", &arg->value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_duplicate(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" directive is duplicate",
                       &value[0]);

    return NGX_ERROR;
}


ngx_http_background_redis_conf_t *
ngx_http_background_redis_find(ngx_http_background_redis_main_conf_t *rmcf,
    ngx_str_t *name)
{
    ngx_uint_t                          i;
    ngx_http_background_redis_conf_t  **redis;

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        if (redis[i]->name.len == name->len
            && ngx_memcmp(redis[i]->name.data, name->data, name->len) == 0)
        {
            return redis[i];
        }
    }

    return NULL;
}


/* in postconfiguration, when "resolver" is known */

ngx_int_t
ngx_http_background_redis_init_conf(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_init_value(rcf->database, 0);
    ngx_conf_init_msec_value(rcf->connect_timeout, 1000);
    ngx_conf_init_msec_value(rcf->timeout, 3000);
    ngx_conf_init_value(rcf->tls, 0);
    ngx_conf_init_value(rcf->tls_verify, 1);

    if (rcf->prefix.data == NULL) {
        ngx_str_set(&rcf->prefix, "nginx:");
    }

    if (rcf->user.len && rcf->password.len == 0) {
        ngx_http_background_redis_conf_error(cf, rcf,
                                       "\"user\" needs \"password_file\"");
        return NGX_ERROR;
    }

    if (rcf->sentinel.len == 0 && (rcf->sentinel_user.len
                                   || rcf->sentinel_password.len))
    {
        ngx_http_background_redis_conf_error(cf, rcf, "\"sentinel_user\" and "
                          "\"sentinel_password_file\" need \"sentinel\"");
        return NGX_ERROR;
    }

    if (rcf->sentinel_user.len && rcf->sentinel_password.len == 0) {
        ngx_http_background_redis_conf_error(cf, rcf,
                     "\"sentinel_user\" needs \"sentinel_password_file\"");
        return NGX_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        rcf->resolver = clcf->resolver;
        rcf->resolver_timeout = clcf->resolver_timeout;

        /* the default is set for servers only, in merge_loc_conf() */

        ngx_conf_init_msec_value(rcf->resolver_timeout, 30000);
    }

    if (ngx_http_background_redis_servers(cf, rcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_background_redis_tls_init(cf, rcf);
}


/* without "resolver" a name is resolved now, but it may have no address yet */

static ngx_int_t
ngx_http_background_redis_servers(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf)
{
    ngx_url_t                            u;
    ngx_uint_t                           i;
    ngx_http_background_redis_server_t  *server;

    server = rcf->servers.elts;

    for (i = 0; i < rcf->servers.nelts; i++) {

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = server[i].text;
        u.default_port = rcf->sentinel.len
                         ? NGX_HTTP_BACKGROUND_REDIS_SENTINEL_PORT
                         : NGX_HTTP_BACKGROUND_REDIS_PORT;
        u.no_resolve = (rcf->resolver != NULL);

        if (ngx_parse_url(cf->pool, &u) == NGX_OK) {
            server[i].addrs = u.addrs;
            server[i].naddrs = u.naddrs;

        } else if (u.err == NULL || u.host.len == 0
                   || ngx_strcmp(u.err, "host not found") != 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "%s in address \"%V\" of \"background_redis\" \"%V\" "
                          "in %s:%ui", u.err ? u.err : "no memory",
                          &server[i].text, &rcf->name, rcf->file, rcf->line);
            return NGX_ERROR;

        } else {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "host not found in address \"%V\" of "
                          "\"background_redis\" \"%V\", and there is no "
                          "\"resolver\", in %s:%ui",
                          &server[i].text, &rcf->name, rcf->file, rcf->line);
        }

        server[i].host = u.host;
        server[i].port = u.port;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_tls_init(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf)
{
    if (!rcf->tls) {
        if (rcf->tls_name.data || rcf->tls_trusted_certificate.data
            || rcf->tls_certificate.data || rcf->tls_certificate_key.data)
        {
            ngx_http_background_redis_conf_error(cf, rcf,
                                       "\"tls_...\" needs \"tls on\"");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (rcf->tls_verify && rcf->tls_trusted_certificate.len == 0) {
        ngx_http_background_redis_conf_error(cf, rcf, "\"tls on\" needs "
                      "\"tls_trusted_certificate\", or \"tls_verify off\"");
        return NGX_ERROR;
    }

    if ((rcf->tls_certificate.len == 0)
        != (rcf->tls_certificate_key.len == 0))
    {
        ngx_http_background_redis_conf_error(cf, rcf, "\"tls_certificate\" and "
                                   "\"tls_certificate_key\" need each other");
        return NGX_ERROR;
    }

#if (NGX_SSL)

    if (rcf->tls_name.len == 0
        && ngx_http_background_redis_tls_name(cf, rcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_redis_tls_create(cf, rcf);

#else

    ngx_http_background_redis_conf_error(cf, rcf, "\"tls on\" needs an nginx "
                                         "that was built with TLS");
    return NGX_ERROR;

#endif
}


#if (NGX_SSL)

/* the name of the first server */

static ngx_int_t
ngx_http_background_redis_tls_name(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf)
{
    ngx_str_t                            name;
    ngx_http_background_redis_server_t  *server;

    server = rcf->servers.elts;
    name = server->host;

    /* nginx keeps the brackets of an IPv6 address */

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    rcf->tls_name.data = ngx_pcalloc(cf->pool, name.len + 1);
    if (rcf->tls_name.data == NULL) {
        return NGX_ERROR;
    }

    rcf->tls_name.len = name.len;
    ngx_memcpy(rcf->tls_name.data, name.data, name.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_tls_create(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf)
{
    ngx_pool_cleanup_t  *cln;

    rcf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (rcf->ssl == NULL) {
        return NGX_ERROR;
    }

    rcf->ssl->log = cf->log;

    if (ngx_ssl_create(rcf->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(rcf->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = rcf->ssl;

    if (rcf->tls_certificate.len
        && ngx_ssl_certificate(cf, rcf->ssl, &rcf->tls_certificate,
                               &rcf->tls_certificate_key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rcf->tls_trusted_certificate.len
        && ngx_ssl_trusted_certificate(cf, rcf->ssl,
                                       &rcf->tls_trusted_certificate, 4)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}

#endif


static void
ngx_http_background_redis_conf_error(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf, const char *text)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "%s in \"background_redis\" \"%V\" in %s:%ui",
                  text, &rcf->name, rcf->file, rcf->line);
}
