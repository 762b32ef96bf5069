
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_redis.h"


typedef struct {
    ngx_str_t                            code;
    ngx_http_background_redis_reason_e   reason;
    const char                          *words;
} ngx_http_background_redis_words_t;


const ngx_str_t
    ngx_http_background_redis_reason[NGX_HTTP_BACKGROUND_REDIS_ERRORS] =
{
    ngx_string("auth"),
    ngx_string("busy"),
    ngx_string("closed"),
    ngx_string("cluster"),
    ngx_string("connect"),
    ngx_string("loading"),
    ngx_string("master"),
    ngx_string("memory"),
    ngx_string("other"),
    ngx_string("permission"),
    ngx_string("protocol"),
    ngx_string("readonly"),
    ngx_string("resolve"),
    ngx_string("sentinel"),
    ngx_string("storage"),
    ngx_string("timeout"),
    ngx_string("tls"),
    ngx_string("type")
};


/* the first words of an error reply */

static const ngx_http_background_redis_words_t
    ngx_http_background_redis_words[] =
{
    { ngx_string("ASK"), NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
      "it is a node of a Redis Cluster, which is not supported" },

    { ngx_string("BUSY"), NGX_HTTP_BACKGROUND_REDIS_BUSY,
      "a script of another client keeps it busy" },

    { ngx_string("CLUSTERDOWN"), NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
      "it is a node of a Redis Cluster, which is not supported" },

    { ngx_string("CROSSSLOT"), NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
      "it is a node of a Redis Cluster, which is not supported" },

    { ngx_string("DENIED"), NGX_HTTP_BACKGROUND_REDIS_PERMISSION,
      "its protected mode refuses connections" },

    { ngx_string("ERR AUTH <password> called without any password configured"),
      NGX_HTTP_BACKGROUND_REDIS_AUTH,
      "it needs no password, remove \"password_file\"" },

    { ngx_string("LOADING"), NGX_HTTP_BACKGROUND_REDIS_LOADING,
      "it still loads its data" },

    { ngx_string("MASTERDOWN"), NGX_HTTP_BACKGROUND_REDIS_MASTER,
      "it is a replica that has lost its master" },

    { ngx_string("MISCONF"), NGX_HTTP_BACKGROUND_REDIS_STORAGE,
      "it cannot save its data, so it refuses writes" },

    { ngx_string("MOVED"), NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
      "it is a node of a Redis Cluster, which is not supported" },

    { ngx_string("NOAUTH"), NGX_HTTP_BACKGROUND_REDIS_AUTH,
      "it needs a password, set \"password_file\"" },

    { ngx_string("NOPERM"), NGX_HTTP_BACKGROUND_REDIS_PERMISSION,
      "the user has no right to a command or key" },

    { ngx_string("NOREPLICAS"), NGX_HTTP_BACKGROUND_REDIS_STORAGE,
      "it has too few replicas, so it refuses writes" },

    { ngx_string("NOSCRIPT"), NGX_HTTP_BACKGROUND_REDIS_OTHER,
      "it has forgotten a script" },

    { ngx_string("OOM"), NGX_HTTP_BACKGROUND_REDIS_MEMORY,
      "it has no memory left by its \"maxmemory\"" },

    { ngx_string("READONLY"), NGX_HTTP_BACKGROUND_REDIS_READONLY,
      "it is a replica" },

    { ngx_string("TRYAGAIN"), NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
      "it is a node of a Redis Cluster, which is not supported" },

    { ngx_string("UNBLOCKED"), NGX_HTTP_BACKGROUND_REDIS_READONLY,
      "it has become a replica" },

    { ngx_string("WRONGPASS"), NGX_HTTP_BACKGROUND_REDIS_AUTH,
      "user or password is wrong, or the user is disabled" },

    { ngx_string("WRONGTYPE"), NGX_HTTP_BACKGROUND_REDIS_TYPE,
      "the key has another type" },

    { ngx_null_string, NGX_HTTP_BACKGROUND_REDIS_OTHER, NULL }
};


ngx_http_background_redis_reason_e
ngx_http_background_redis_error(ngx_str_t *reply, const char **words)
{
    const ngx_http_background_redis_words_t  *w;

    for (w = ngx_http_background_redis_words; w->code.len; w++) {
        if (reply->len >= w->code.len
            && ngx_strncmp(reply->data, w->code.data, w->code.len) == 0
            && (reply->len == w->code.len || reply->data[w->code.len] == ' '))
        {
            *words = w->words;
            return w->reason;
        }
    }

    *words = "it answered with an error";

    return NGX_HTTP_BACKGROUND_REDIS_OTHER;
}
