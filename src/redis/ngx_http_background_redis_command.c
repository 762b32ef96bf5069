
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Commands on a connection, in a pipeline, and their replies.
 */


#include "ngx_http_background_redis_link.h"

#include <hiredis/hiredis.h>


/* reads in one pass of the event loop, so that other connections have a turn */
#define NGX_HTTP_BACKGROUND_REDIS_SLICE  16


static ngx_int_t ngx_http_background_redis_format(
    ngx_http_background_redis_link_t *link, ngx_uint_t argc,
    const ngx_str_t *argv);
static ngx_int_t ngx_http_background_redis_append(
    ngx_http_background_redis_link_t *link, const char *data, size_t len);
static void ngx_http_background_redis_dispatch(
    ngx_http_background_redis_link_t *link);


ngx_int_t
ngx_http_background_redis_command(ngx_http_background_redis_link_t *link,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data)
{
    if (!ngx_http_background_redis_ready(link)) {
        return NGX_ERROR;
    }

    return ngx_http_background_redis_send(link, argc, argv,
                                   ngx_min(timeout, link->conf->timeout),
                                   handler, data);
}


/* if NGX_ERROR is returned, the handler is not called */

ngx_int_t
ngx_http_background_redis_send(ngx_http_background_redis_link_t *link,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data)
{
    ngx_http_background_redis_command_t  *command;

    command = ngx_alloc(sizeof(ngx_http_background_redis_command_t), link->log);

    if (command == NULL
        || ngx_http_background_redis_format(link, argc, argv) != NGX_OK)
    {
        if (command) {
            ngx_free(command);
        }

        if (link->state == ngx_http_background_redis_greeting) {
            ngx_http_background_redis_lose(link,
                                           NGX_HTTP_BACKGROUND_REDIS_CONNECT,
                                           0, "no memory for a command");
        }

        return NGX_ERROR;
    }

    command->end = ngx_current_msec + timeout;
    command->handler = handler;
    command->data = data;

    ngx_queue_insert_tail(&link->commands, &command->queue);

    ngx_http_background_redis_arm(link);
    ngx_http_background_redis_flush(link);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_format(ngx_http_background_redis_link_t *link,
    ngx_uint_t argc, const ngx_str_t *argv)
{
    int           len;
    char         *text;
    size_t       *lens;
    ngx_int_t     rc;
    ngx_uint_t    i;
    const char  **args;

    args = ngx_alloc(argc * (sizeof(char *) + sizeof(size_t)), link->log);
    if (args == NULL) {
        return NGX_ERROR;
    }

    lens = (size_t *) (args + argc);

    for (i = 0; i < argc; i++) {
        args[i] = (const char *) argv[i].data;
        lens[i] = argv[i].len;
    }

    text = NULL;
    rc = NGX_ERROR;

    len = redisFormatCommandArgv(&text, (int) argc, args, lens);

    if (len > 0) {
        rc = ngx_http_background_redis_append(link, text, (size_t) len);

        /* it may have a password */
        ngx_explicit_memzero(text, (size_t) len);
        redisFreeCommand(text);
    }

    ngx_free(args);

    return rc;
}


static ngx_int_t
ngx_http_background_redis_append(ngx_http_background_redis_link_t *link,
    const char *data, size_t len)
{
    u_char  *p;
    size_t   size;

    if (link->out_len - link->out_pos + len > NGX_HTTP_BACKGROUND_REDIS_MAX) {
        return NGX_ERROR;
    }

    if (link->out_pos) {
        link->out_len -= link->out_pos;
        ngx_memmove(link->out, link->out + link->out_pos, link->out_len);
        link->out_pos = 0;
    }

    if (link->out_len + len > link->out_size) {
        size = ngx_max(2 * link->out_size, link->out_len + len);

        p = ngx_alloc(size, link->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (link->out) {
            ngx_memcpy(p, link->out, link->out_len);
            ngx_free(link->out);
        }

        link->out = p;
        link->out_size = size;
    }

    ngx_memcpy(link->out + link->out_len, data, len);
    link->out_len += len;

    return NGX_OK;
}


void
ngx_http_background_redis_flush(ngx_http_background_redis_link_t *link)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = link->peer.connection;

    while (link->out_pos < link->out_len) {

        if (!c->write->ready) {
            break;
        }

        n = c->send(c, link->out + link->out_pos,
                    link->out_len - link->out_pos);

        if (n == NGX_ERROR) {

            /*
             * The read handler closes the connection, as the caller's stack may
             * still use it.
             */

            c->read->ready = 1;
            ngx_post_event(c->read, &ngx_posted_events);
            return;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        link->out_pos += n;
    }

    if (link->out_pos == link->out_len) {

        if (link->state == ngx_http_background_redis_greeting) {
            ngx_explicit_memzero(link->out, link->out_len);
        }

        link->out_pos = 0;
        link->out_len = 0;
    }

    (void) ngx_handle_write_event(c->write, 0);
}


void
ngx_http_background_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_http_background_redis_flush(c->data);
}


void
ngx_http_background_redis_read_handler(ngx_event_t *rev)
{
    u_char                             buf[16384];
    ssize_t                            n;
    ngx_uint_t                         i;
    ngx_connection_t                  *c;
    ngx_http_background_redis_link_t  *link;

    c = rev->data;
    link = c->data;

    for (i = 0; i < NGX_HTTP_BACKGROUND_REDIS_SLICE; i++) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_background_redis_lose(link,
                                            NGX_HTTP_BACKGROUND_REDIS_CLOSED,
                                            0, "the connection cannot be read");
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_background_redis_lose(link,
                                           NGX_HTTP_BACKGROUND_REDIS_CLOSED,
                                           n ? ngx_socket_errno : 0,
                                           "the connection was closed");
            return;
        }

        if (ngx_http_background_redis_reader_feed(link->reader, buf, n)
            != NGX_OK)
        {
            ngx_http_background_redis_lose(link,
                     NGX_HTTP_BACKGROUND_REDIS_PROTOCOL, 0, "%s",
                     ngx_http_background_redis_reader_error(link->reader));
            return;
        }

        link->reading = 1;
        ngx_http_background_redis_dispatch(link);
        link->reading = 0;

        if (link->lost) {
            ngx_http_background_redis_lose_now(link);
            return;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);
}


static void
ngx_http_background_redis_dispatch(ngx_http_background_redis_link_t *link)
{
    ngx_int_t                             rc;
    ngx_uint_t                            usable;
    ngx_queue_t                          *q;
    ngx_http_background_redis_reply_t    *reply;
    ngx_http_background_redis_command_t  *command;

    while (!link->lost) {

        rc = ngx_http_background_redis_reader_next(link->reader, &reply);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_background_redis_lose(link,
                      NGX_HTTP_BACKGROUND_REDIS_PROTOCOL, 0, "%s",
                      ngx_http_background_redis_reader_error(link->reader));
            return;
        }

        if (ngx_queue_empty(&link->commands)) {
            ngx_http_background_redis_lose(link,
                      NGX_HTTP_BACKGROUND_REDIS_PROTOCOL, 0,
                      "it sent a reply without a command");
            return;
        }

        q = ngx_queue_head(&link->commands);
        ngx_queue_remove(q);

        command = ngx_queue_data(q, ngx_http_background_redis_command_t, queue);

        ngx_http_background_redis_arm(link);

        usable = (link->state == ngx_http_background_redis_usable);

        link->complained = 0;

        command->handler(command->data, reply);
        ngx_free(command);

        if (usable && !link->lost && !link->complained) {
            ngx_http_background_redis_good(link, reply);
        }
    }
}


/*
 * The failures are forgotten only after a good reply, as a server may accept
 * connections and then fail each command.
 */

void
ngx_http_background_redis_good(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    if (reply->type == ngx_http_background_redis_error_reply) {
        return;
    }

    link->failures = 0;

    if (link->down) {
        link->down = 0;

        ngx_log_error(NGX_LOG_NOTICE, link->log, 0,
                      "background: redis \"%V\" at %V: connected",
                      &link->conf->name, &link->name);
    }
}


/* sets the timer for the oldest command, as replies come in that order */

void
ngx_http_background_redis_arm(ngx_http_background_redis_link_t *link)
{
    ngx_queue_t                          *q;
    ngx_msec_int_t                        left;
    ngx_http_background_redis_command_t  *command;

    if (ngx_queue_empty(&link->commands)) {
        if (link->timer.timer_set) {
            ngx_del_timer(&link->timer);
        }

        return;
    }

    q = ngx_queue_head(&link->commands);
    command = ngx_queue_data(q, ngx_http_background_redis_command_t, queue);

    left = (ngx_msec_int_t) (command->end - ngx_current_msec);

    ngx_add_timer(&link->timer, left > 0 ? (ngx_msec_t) left : 0);
}


void
ngx_http_background_redis_failed(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    const char                          *words;
    ngx_http_background_redis_reason_e   reason;

    reason = ngx_http_background_redis_error(&reply->text, &words);

    switch (reason) {

    /* another server or connection may succeed */

    case NGX_HTTP_BACKGROUND_REDIS_AUTH:
    case NGX_HTTP_BACKGROUND_REDIS_CLUSTER:
    case NGX_HTTP_BACKGROUND_REDIS_LOADING:
    case NGX_HTTP_BACKGROUND_REDIS_MASTER:
    case NGX_HTTP_BACKGROUND_REDIS_READONLY:
        ngx_http_background_redis_lose_reply(link, reply);
        return;

    default:
        break;
    }

    link->complained = 1;
    link->reason = reason;
    link->why_len = ngx_slprintf(link->why,
                                 link->why + NGX_HTTP_BACKGROUND_REDIS_TEXT,
                                 "%s: \"%V\"", words, &reply->text)
                    - link->why;

    ngx_http_background_redis_log(link);
}


void
ngx_http_background_redis_strange(ngx_http_background_redis_link_t *link)
{
    ngx_http_background_redis_lose(link, NGX_HTTP_BACKGROUND_REDIS_PROTOCOL,
                                   0, "a reply has an unexpected type");
}


void
ngx_http_background_redis_lose_reply(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply)
{
    const char                          *words;
    ngx_http_background_redis_reason_e   reason;

    reason = ngx_http_background_redis_error(&reply->text, &words);

    ngx_http_background_redis_lose(link, reason, 0, "%s: \"%V\"", words,
                                   &reply->text);
}
