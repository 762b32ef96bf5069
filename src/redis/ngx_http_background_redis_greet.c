
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What is sent first on a connection: AUTH, SELECT and INFO, whose reply tells
 * whether "workers cluster" can use the server.
 */


#include "ngx_http_background_redis_link.h"


/* the oldest version that runs the scripts */
#define NGX_HTTP_BACKGROUND_REDIS_VERSION  7


static void ngx_http_background_redis_authenticated(void *data,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_greeted(void *data,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_informed(void *data,
    ngx_http_background_redis_reply_t *reply);
static ngx_int_t ngx_http_background_redis_fit(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_evicts(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_set_epoch(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
static ngx_uint_t ngx_http_background_redis_info(
    ngx_http_background_redis_reply_t *reply, const char *name,
    ngx_str_t *value);


/* authenticates, then asks a Sentinel for the master, or a server for INFO */

void
ngx_http_background_redis_greet(ngx_http_background_redis_link_t *link)
{
    u_char                             buf[NGX_INT64_LEN];
    ngx_str_t                          argv[3], *user, *password;
    ngx_uint_t                         n;
    ngx_http_background_redis_conf_t  *rcf;

    rcf = link->conf;

    link->state = ngx_http_background_redis_greeting;

    user = link->watched ? &rcf->sentinel_user : &rcf->user;
    password = link->watched ? &rcf->sentinel_password : &rcf->password;

    if (password->len) {
        n = 0;
        ngx_str_set(&argv[n], "AUTH");
        n++;

        if (user->len) {
            argv[n++] = *user;
        }

        argv[n++] = *password;

        if (ngx_http_background_redis_send(link, n, argv, rcf->timeout,
                                    ngx_http_background_redis_authenticated,
                                    link)
            != NGX_OK)
        {
            return;
        }
    }

    if (link->watched) {
        ngx_http_background_redis_ask(link);
        return;
    }

    if (rcf->database) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = buf;
        argv[1].len = ngx_sprintf(buf, "%i", rcf->database) - buf;

        if (ngx_http_background_redis_send(link, 2, argv, rcf->timeout,
                                    ngx_http_background_redis_greeted, link)
            != NGX_OK)
        {
            return;
        }
    }

    ngx_str_set(&argv[0], "INFO");

    (void) ngx_http_background_redis_send(link, 1, argv, rcf->timeout,
                                   ngx_http_background_redis_informed, link);
}


/*
 * A server may repeat the arguments of a command that it does not know, so no
 * more of its reply is logged than a known first word.
 */

static void
ngx_http_background_redis_authenticated(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    u_char                              *p, *last;
    const char                          *words;
    ngx_http_background_redis_reason_e   reason;

    if (reply == NULL || reply->type != ngx_http_background_redis_error_reply) {
        return;
    }

    reason = ngx_http_background_redis_error(&reply->text, &words);

    if (reason == NGX_HTTP_BACKGROUND_REDIS_OTHER) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_AUTH, 0,
                                       "it refuses the command \"AUTH\", its "
                                       "reply may have the password and is not "
                                       "logged");
        return;
    }

    last = reply->text.data + reply->text.len;
    p = ngx_strlchr(reply->text.data, last, ' ');

    ngx_http_background_redis_lose(link, reason, 0, "%s: \"%*s\"", words,
                                   (size_t) ((p ? p : last) - reply->text.data),
                                   reply->text.data);
}


static void
ngx_http_background_redis_greeted(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    if (reply && reply->type == ngx_http_background_redis_error_reply) {
        ngx_http_background_redis_lose_reply(link, reply);
    }
}


static void
ngx_http_background_redis_informed(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_link_t *link = data;

    if (reply == NULL || link->lost) {
        return;
    }

    if (reply->type == ngx_http_background_redis_error_reply) {
        ngx_http_background_redis_lose_reply(link, reply);
        return;
    }

    if (ngx_http_background_redis_fit(link, reply) != NGX_OK) {
        return;
    }

    ngx_http_background_redis_evicts(link, reply);
    ngx_http_background_redis_set_epoch(link, reply);

    link->state = ngx_http_background_redis_usable;
    link->attempt = 0;

    ngx_http_background_redis_connected(link->conf, 1);

    link->changed(link->data, 1);
}


static ngx_int_t
ngx_http_background_redis_fit(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (!ngx_http_background_redis_info(reply, "\nredis_version:", &value)) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_PROTOCOL,
                                       0, "the reply to INFO has no version");
        return NGX_ERROR;
    }

    for (n = 0; (size_t) n < value.len && value.data[n] != '.'; n++) {
        /* void */
    }

    if (ngx_atoi(value.data, n) < NGX_HTTP_BACKGROUND_REDIS_VERSION) {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_OTHER,
                                       0, "it has version %V, 7.0 or later is "
                                       "needed", &value);
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_info(reply, "\ncluster_enabled:", &value)
        && value.len && value.data[0] == '1')
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
                                       0, "it is a node of a Redis Cluster, "
                                       "which is not supported");
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_info(reply, "\nloading:", &value)
        && value.len && value.data[0] == '1')
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_LOADING,
                                       0, "it still loads its data");
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_info(reply, "\nrole:", &value)
        && (value.len != 6 || ngx_strncmp(value.data, "master", 6) != 0))
    {
        ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_READONLY,
                                       0, "it is a replica");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_background_redis_evicts(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_str_t  max, policy;

    if (link->told
        || !ngx_http_background_redis_info(reply, "\nmaxmemory:", &max)
        || (max.len == 1 && max.data[0] == '0')
        || !ngx_http_background_redis_info(reply, "\nmaxmemory_policy:",
                                           &policy)
        || (policy.len == 10
            && ngx_strncmp(policy.data, "noeviction", 10) == 0))
    {
        return;
    }

    link->told = 1;

    ngx_log_error(NGX_LOG_WARN, link->log, 0,
                  "background: redis \"%V\" at %V: it has "
                  "\"maxmemory-policy %V\" and may evict keys of tasks, it "
                  "should be \"noeviction\"",
                  &link->conf->name, &link->name, &policy);
}


/* a server has another ID after a restart, and an offset when it is promoted */

static void
ngx_http_background_redis_set_epoch(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_str_t  id, offset;

    if (!ngx_http_background_redis_info(reply, "\nrun_id:", &id)) {
        ngx_str_null(&id);
    }

    if (!ngx_http_background_redis_info(reply, "\nsecond_repl_offset:",
                                        &offset))
    {
        ngx_str_null(&offset);
    }

    id.len = ngx_min(id.len, 16);
    offset.len = ngx_min(offset.len, 20);

    link->epoch_len = ngx_sprintf(link->epoch, "%V/%V", &id, &offset)
                      - link->epoch;
}


/*
 * "name" begins with a line feed, so the first line is not searched.  The value
 * is logged as it is, so it ends at the first byte that is not printable.
 */

static ngx_uint_t
ngx_http_background_redis_info(ngx_http_background_redis_reply_t *reply,
    const char *name, ngx_str_t *value)
{
    u_char  *p, *last;
    size_t   len;

    if (reply->type != ngx_http_background_redis_string) {
        return 0;
    }

    len = ngx_strlen(name);
    p = ngx_strnstr(reply->text.data, (char *) name, reply->text.len);

    if (p == NULL) {
        return 0;
    }

    p += len;
    last = reply->text.data + reply->text.len;

    value->data = p;

    while (p < last && *p > ' ' && *p < 0x7f && p - value->data < 64) {
        p++;
    }

    value->len = p - value->data;

    return 1;
}
