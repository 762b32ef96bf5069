
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What the files of a worker's connection share.
 */


#ifndef _NGX_HTTP_BACKGROUND_REDIS_LINK_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_REDIS_LINK_H_INCLUDED_


#include "ngx_http_background_redis.h"


/* the largest reply, and the most data that wait to be sent, in bytes */
#define NGX_HTTP_BACKGROUND_REDIS_MAX  (16 * 1024 * 1024)

#define NGX_HTTP_BACKGROUND_REDIS_TEXT  512


typedef enum {
    ngx_http_background_redis_off = 0,
    ngx_http_background_redis_pausing,
    ngx_http_background_redis_resolving,
    ngx_http_background_redis_connecting,
    ngx_http_background_redis_greeting,
    ngx_http_background_redis_resting,
    ngx_http_background_redis_usable
} ngx_http_background_redis_state_e;


typedef struct {
    ngx_queue_t                            queue;
    ngx_msec_t                             end;       /* of its time */
    ngx_http_background_redis_handler_pt   handler;
    void                                  *data;
} ngx_http_background_redis_command_t;


struct ngx_http_background_redis_link_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_redis_conf_t      *conf;
    void                                 (*changed)(void *data,
                                                    ngx_uint_t ready);
    void                                  *data;
    ngx_int_t                              ident;

    ngx_log_t                             *log;
    ngx_log_t                              quiet;     /* of connect() */
    ngx_pool_t                            *pool;      /* of the connection */
    ngx_peer_connection_t                  peer;
    ngx_event_t                            timer;
    ngx_resolver_ctx_t                    *ctx;
    ngx_http_background_redis_reader_t    *reader;
    ngx_queue_t                            commands;

    u_char                                *out;       /* to be sent */
    size_t                                 out_pos;
    size_t                                 out_len;
    size_t                                 out_size;

    /*
     * With Sentinels: a connection to each of them, which asks again and again
     * for the master, as a server that stood still is a master until the
     * Sentinels find it.
     */
    ngx_http_background_redis_link_t     **watchers;
    ngx_uint_t                             nwatchers;

    /* a watcher's: the link that uses the master, and the last answer */
    ngx_http_background_redis_link_t      *watched;
    ngx_uint_t                             number;    /* of its Sentinel */
    uint64_t                               asked;     /* on the boot clock */
    uint64_t                               named;     /* asked, and answered */
    in_port_t                              master_port;
    size_t                                 master_len;
    u_char                                 master[256];

    ngx_http_background_redis_state_e      state;
    ngx_uint_t                             attempt;   /* since it was ready */
    ngx_uint_t                             turn;      /* of the addresses */
    ngx_uint_t                             failures;  /* in a row */
    ngx_msec_t                             warned;
    ngx_uint_t                             hash;      /* of the last text */

    /* the current server */
    ngx_sockaddr_t                         sockaddr;
    socklen_t                              socklen;
    in_port_t                              port;
    size_t                                 host_len;
    u_char                                 host[256];
    ngx_str_t                              name;
    size_t                                 text_len;
    u_char                                 text[NGX_SOCKADDR_STRLEN + 256];
    size_t                                 epoch_len;
    u_char                                 epoch[
                                             NGX_HTTP_BACKGROUND_REDIS_EPOCH];

    ngx_http_background_redis_reason_e     reason;    /* of the last error */
    size_t                                 why_len;
    u_char                                 why[NGX_HTTP_BACKGROUND_REDIS_TEXT];

    unsigned                               moves:1;   /* to the master */
    unsigned                               reading:1;
    unsigned                               lost:1;    /* to be closed */
    unsigned                               complained:1;  /* of the reply */
    unsigned                               told:1;    /* eviction was logged */
    unsigned                               down:1;    /* it was logged */
};


/*
 * In ngx_http_background_redis_connection.c
 *
 * resolve     resolves the name of the current server, and connects to it
 * connect_to  connects to the address of the current server
 * lose        the connection is lost for that reason.  It is closed at once, or
 *             in the read handler if that is running
 * lose_now    closes a connection that is lost, and tries the next server
 * log         counts and logs the last error, a repeated one once a minute
 */
void ngx_http_background_redis_resolve(ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_connect_to(
    ngx_http_background_redis_link_t *link);
void ngx_cdecl ngx_http_background_redis_lose(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reason_e reason, ngx_err_t err, const char *fmt,
    ...);
void ngx_http_background_redis_lose_now(
    ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_log(ngx_http_background_redis_link_t *link);


/*
 * In ngx_http_background_redis_greet.c
 *
 * greet  sends what comes first on a new connection
 */
void ngx_http_background_redis_greet(ngx_http_background_redis_link_t *link);


/*
 * In ngx_http_background_redis_sentinel.c
 *
 * ask      a watcher asks its Sentinel for the master
 * elected  returns a watcher with the master that more than half of the
 *          Sentinels name, or NULL
 * follow   makes the master that the watcher names the next server
 * move     connects to it
 */
void ngx_http_background_redis_ask(ngx_http_background_redis_link_t *link);
ngx_http_background_redis_link_t *ngx_http_background_redis_elected(
    ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_follow(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_link_t *watcher);
void ngx_http_background_redis_move(ngx_http_background_redis_link_t *link);


/*
 * In ngx_http_background_redis_command.c
 *
 * send           appends a command; its reply must come within "timeout"
 * flush          sends what was appended
 * write_handler, read_handler   of the connection
 * good           a reply that was expected: earlier failures are forgotten
 * lose_reply     the connection is lost, as the reply is an error or has an
 *                unexpected type
 * arm            sets the timer for the oldest command
 */
ngx_int_t ngx_http_background_redis_send(
    ngx_http_background_redis_link_t *link, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data);
void ngx_http_background_redis_flush(ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_write_handler(ngx_event_t *wev);
void ngx_http_background_redis_read_handler(ngx_event_t *rev);
void ngx_http_background_redis_good(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
void ngx_http_background_redis_arm(ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_lose_reply(
    ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);


#endif /* _NGX_HTTP_BACKGROUND_REDIS_LINK_H_INCLUDED_ */
