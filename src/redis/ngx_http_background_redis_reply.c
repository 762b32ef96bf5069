
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_redis_reply.h"

#include <hiredis/hiredis.h>


struct ngx_http_background_redis_reader_s {
    redisReader        *reader;
    ngx_log_t          *log;
    ngx_pool_t         *pool;       /* of the reply under way */
    size_t              max;
    size_t              left;       /* of it */
    ngx_uint_t          returned;   /* unsigned  returned:1; */
    const char         *error;
};


/* arrays in arrays: no command that is sent has more in its reply */
#define NGX_HTTP_BACKGROUND_REDIS_DEPTH  7

/* the number of elements that hiredis hands over */

#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_http_background_redis_elements_t;
#else
typedef int     ngx_http_background_redis_elements_t;
#endif


static void *ngx_http_background_redis_create_string(const redisReadTask *task,
    char *data, size_t len);
static void *ngx_http_background_redis_create_array(const redisReadTask *task,
    ngx_http_background_redis_elements_t n);
static void *ngx_http_background_redis_create_integer(
    const redisReadTask *task, long long value);
static void *ngx_http_background_redis_create_nil(const redisReadTask *task);
static void ngx_http_background_redis_free_object(void *object);
#if (HIREDIS_MAJOR >= 1)
static void *ngx_http_background_redis_create_double(
    const redisReadTask *task, double value, char *str, size_t len);
static void *ngx_http_background_redis_create_bool(const redisReadTask *task,
    int value);
#endif
static ngx_http_background_redis_reply_t *ngx_http_background_redis_create(
    const redisReadTask *task, ngx_http_background_redis_type_e type,
    size_t size);


/*
 * Types of a later protocol, which is not asked for, are errors; without a
 * function hiredis would return a number as the object.
 */

static redisReplyObjectFunctions  ngx_http_background_redis_functions = {
    .createString = ngx_http_background_redis_create_string,
    .createArray = ngx_http_background_redis_create_array,
    .createInteger = ngx_http_background_redis_create_integer,
    .createNil = ngx_http_background_redis_create_nil,
    .freeObject = ngx_http_background_redis_free_object,
#if (HIREDIS_MAJOR >= 1)
    .createDouble = ngx_http_background_redis_create_double,
    .createBool = ngx_http_background_redis_create_bool
#endif
};


ngx_http_background_redis_reader_t *
ngx_http_background_redis_reader_create(size_t max, ngx_log_t *log)
{
    ngx_http_background_redis_reader_t  *reader;

    reader = ngx_calloc(sizeof(ngx_http_background_redis_reader_t), log);
    if (reader == NULL) {
        return NULL;
    }

    reader->max = max;
    reader->log = log;

    reader->reader = redisReaderCreateWithFunctions(
                                         &ngx_http_background_redis_functions);
    if (reader->reader == NULL) {
        ngx_free(reader);
        return NULL;
    }

    reader->reader->privdata = reader;

    return reader;
}


ngx_int_t
ngx_http_background_redis_reader_feed(
    ngx_http_background_redis_reader_t *reader, u_char *data, size_t len)
{
    redisReader  *rr;

    rr = reader->reader;

    if (rr->len - rr->pos + len > reader->max) {
        reader->error = "the reply is too large";
        return NGX_ERROR;
    }

    if (redisReaderFeed(rr, (char *) data, len) != REDIS_OK) {
        reader->error = "no memory for the reply";
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_redis_reader_next(
    ngx_http_background_redis_reader_t *reader,
    ngx_http_background_redis_reply_t **reply)
{
    void  *object;

    if (reader->returned) {
        reader->returned = 0;

        ngx_destroy_pool(reader->pool);
        reader->pool = NULL;
    }

    if (reader->pool == NULL) {
        reader->pool = ngx_create_pool(1024, reader->log);
        if (reader->pool == NULL) {
            reader->error = "no memory for the reply";
            return NGX_ERROR;
        }

        reader->left = reader->max;
    }

    object = NULL;

    if (redisReaderGetReply(reader->reader, &object) != REDIS_OK) {

        if (reader->error == NULL) {
            reader->error = "it sent an invalid reply";
        }

        return NGX_ERROR;
    }

    if (object == NULL) {
        return NGX_AGAIN;
    }

    reader->returned = 1;
    *reply = object;

    return NGX_OK;
}


const char *
ngx_http_background_redis_reader_error(
    ngx_http_background_redis_reader_t *reader)
{
    return reader->error;
}


void
ngx_http_background_redis_reader_free(
    ngx_http_background_redis_reader_t *reader)
{
    redisReaderFree(reader->reader);

    if (reader->pool) {
        ngx_destroy_pool(reader->pool);
    }

    ngx_free(reader);
}


static void *
ngx_http_background_redis_create_string(const redisReadTask *task, char *data,
    size_t len)
{
    ngx_http_background_redis_type_e    type;
    ngx_http_background_redis_reply_t  *reply;

    switch (task->type) {

    case REDIS_REPLY_ERROR:
        type = ngx_http_background_redis_error_reply;
        break;

    case REDIS_REPLY_STATUS:
        type = ngx_http_background_redis_status;
        break;

    default:
        type = ngx_http_background_redis_string;
    }

    reply = ngx_http_background_redis_create(task, type, len + 1);

    if (reply) {
        reply->text.data = (u_char *) (reply + 1);
        reply->text.len = len;
        ngx_memcpy(reply->text.data, data, len);
        reply->text.data[len] = '\0';
    }

    return reply;
}


static void *
ngx_http_background_redis_create_array(const redisReadTask *task,
    ngx_http_background_redis_elements_t n)
{
    ngx_http_background_redis_reader_t *reader = task->privdata;

    size_t                               size;
    ngx_http_background_redis_reply_t   *reply, **elements;

    size = sizeof(ngx_http_background_redis_reply_t *);

    /* an int in older versions of hiredis: a negative number is too large */

    if ((size_t) n > reader->max / size) {
        reader->error = "the reply is too large";
        return NULL;
    }

    reply = ngx_http_background_redis_create(task,
                                        ngx_http_background_redis_array,
                                        (size_t) n * size);
    if (reply) {
        elements = (ngx_http_background_redis_reply_t **) (reply + 1);
        reply->n = (ngx_uint_t) n;
        reply->elements = elements;
    }

    return reply;
}


static void *
ngx_http_background_redis_create_integer(const redisReadTask *task,
    long long value)
{
    ngx_http_background_redis_reply_t  *reply;

    reply = ngx_http_background_redis_create(task,
                                        ngx_http_background_redis_integer, 0);

    if (reply) {
        reply->integer = value;
    }

    return reply;
}


static void *
ngx_http_background_redis_create_nil(const redisReadTask *task)
{
    return ngx_http_background_redis_create(task,
                                            ngx_http_background_redis_nil, 0);
}


#if (HIREDIS_MAJOR >= 1)

static void *
ngx_http_background_redis_create_double(const redisReadTask *task,
    double value, char *str, size_t len)
{
    return NULL;
}


static void *
ngx_http_background_redis_create_bool(const redisReadTask *task, int value)
{
    return NULL;
}

#endif


/* they are in the pool */

static void
ngx_http_background_redis_free_object(void *object)
{
    (void) object;
}


static ngx_http_background_redis_reply_t *
ngx_http_background_redis_create(const redisReadTask *task,
    ngx_http_background_redis_type_e type, size_t size)
{
    ngx_http_background_redis_reader_t *reader = task->privdata;

    ngx_uint_t                          depth;
    const redisReadTask                *t;
    ngx_http_background_redis_reply_t  *reply, *parent;

    /* hiredis 1.x has no limit of its own */

    depth = 0;

    for (t = task; t->parent; t = t->parent) {
        if (++depth > NGX_HTTP_BACKGROUND_REDIS_DEPTH) {
            reader->error = "it sent an invalid reply";
            return NULL;
        }
    }

    size += sizeof(ngx_http_background_redis_reply_t);

    if (size > reader->left) {
        reader->error = "the reply is too large";
        return NULL;
    }

    reply = ngx_pcalloc(reader->pool, size);
    if (reply == NULL) {
        reader->error = "no memory for the reply";
        return NULL;
    }

    reader->left -= size;
    reply->type = type;

    if (task->parent) {
        parent = task->parent->obj;
        parent->elements[task->idx] = reply;
    }

    return reply;
}
