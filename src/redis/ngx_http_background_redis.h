
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "background_redis": a server of Redis or Valkey, and the connection of a
 * worker to it.  Sockets, names, timers and TLS are those of nginx; hiredis
 * formats commands and parses replies.
 */


#ifndef _NGX_HTTP_BACKGROUND_REDIS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_REDIS_H_INCLUDED_


#include <ngx_http_background.h>

#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ngx_http_background_redis_reply.h"


/* reasons of failures, for counters; sorted by name */

typedef enum {
    NGX_HTTP_BACKGROUND_REDIS_AUTH = 0,
    NGX_HTTP_BACKGROUND_REDIS_BUSY,
    NGX_HTTP_BACKGROUND_REDIS_CLOSED,
    NGX_HTTP_BACKGROUND_REDIS_CLUSTER,
    NGX_HTTP_BACKGROUND_REDIS_CONNECT,
    NGX_HTTP_BACKGROUND_REDIS_LOADING,
    NGX_HTTP_BACKGROUND_REDIS_MASTER,
    NGX_HTTP_BACKGROUND_REDIS_MEMORY,
    NGX_HTTP_BACKGROUND_REDIS_OTHER,
    NGX_HTTP_BACKGROUND_REDIS_PERMISSION,
    NGX_HTTP_BACKGROUND_REDIS_PROTOCOL,
    NGX_HTTP_BACKGROUND_REDIS_READONLY,
    NGX_HTTP_BACKGROUND_REDIS_RESOLVE,
    NGX_HTTP_BACKGROUND_REDIS_SENTINEL,
    NGX_HTTP_BACKGROUND_REDIS_STORAGE,
    NGX_HTTP_BACKGROUND_REDIS_TIMEOUT,
    NGX_HTTP_BACKGROUND_REDIS_TLS,
    NGX_HTTP_BACKGROUND_REDIS_TYPE,
    NGX_HTTP_BACKGROUND_REDIS_ERRORS
} ngx_http_background_redis_reason_e;

extern const ngx_str_t
    ngx_http_background_redis_reason[NGX_HTTP_BACKGROUND_REDIS_ERRORS];


typedef struct {
    ngx_str_t                         text;       /* as configured */
    ngx_str_t                         host;       /* to be resolved, or empty */
    in_port_t                         port;
    ngx_addr_t                       *addrs;
    ngx_uint_t                        naddrs;
} ngx_http_background_redis_server_t;


typedef struct ngx_http_background_redis_link_s
    ngx_http_background_redis_link_t;

typedef struct {
    ngx_str_t                         name;
    u_char                           *file;
    ngx_uint_t                        line;

    ngx_array_t                       servers;    /* ..._redis_server_t */
    ngx_str_t                         sentinel;   /* the master's name */
    ngx_str_t                         user;
    ngx_str_t                         password;
    ngx_str_t                         sentinel_user;
    ngx_str_t                         sentinel_password;
    ngx_int_t                         database;
    ngx_str_t                         prefix;
    ngx_msec_t                        connect_timeout;
    ngx_msec_t                        timeout;

    ngx_flag_t                        tls;
    ngx_flag_t                        tls_verify;
    ngx_str_t                         tls_name;
    ngx_str_t                         tls_trusted_certificate;
    ngx_str_t                         tls_certificate;
    ngx_str_t                         tls_certificate_key;

#if (NGX_SSL)
    ngx_ssl_t                        *ssl;
#endif

    ngx_resolver_t                   *resolver;   /* NULL: none */
    ngx_msec_t                        resolver_timeout;

    ngx_uint_t                        number;     /* of those configured */
    ngx_uint_t                        used;       /* unsigned  used:1; */
    ngx_msec_t                        lease;      /* the shortest */
    ngx_uint_t                        tasks;

    /* the worker's */
    void                             *group;      /* of leases */
} ngx_http_background_redis_conf_t;


typedef struct {
    ngx_array_t                       redis;      /* ..._redis_conf_t * */
    ngx_array_t                       leases;     /* of "workers cluster": of
                                                     what begins with a task's
                                                     name, ngx_str_t ** */
    ngx_shm_zone_t                   *zone;
    ngx_uint_t                        workers;
    ngx_uint_t                        nodes;      /* in the zone */
    ngx_uint_t                        entries;    /* in the zone */
} ngx_http_background_redis_main_conf_t;


/* the longest epoch, in bytes */
#define NGX_HTTP_BACKGROUND_REDIS_EPOCH  40

/*
 * The worker's connection.
 *
 * open     connects, and connects again whenever the connection is lost;
 *          "changed" is called when the connection becomes ready or is lost
 * ready    returns whether the connection is ready
 * command  sends a command; the handler is called once, with the reply, or with
 *          NULL if the connection was lost before the reply: the server may
 *          have executed the command.  NGX_ERROR: the command was not sent
 * failed   handles an error reply; closes the connection if another server or
 *          connection may help
 * strange  closes the connection, as the reply has an unexpected type
 * hurry    connects at once if it waits before the next attempt
 * epoch    returns a text that is another one when the server has restarted or
 *          another one has become the master: what it has may be older than
 *          what was read and written before
 * named    returns when more than half of the Sentinels were asked that have
 *          named this server as the master, on the clock of redis_boot();
 *          without Sentinels the time now, and 0 if the link is not ready
 * close    closes the connection and frees the link
 */

typedef void (*ngx_http_background_redis_handler_pt)(void *data,
    ngx_http_background_redis_reply_t *reply);

ngx_http_background_redis_link_t *ngx_http_background_redis_open(
    ngx_http_background_redis_conf_t *rcf, void (*changed)(void *data,
    ngx_uint_t ready), void *data, ngx_log_t *log);
ngx_uint_t ngx_http_background_redis_ready(
    ngx_http_background_redis_link_t *link);
ngx_int_t ngx_http_background_redis_command(
    ngx_http_background_redis_link_t *link, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_http_background_redis_handler_pt handler, void *data);
void ngx_http_background_redis_failed(ngx_http_background_redis_link_t *link,
    ngx_http_background_redis_reply_t *reply);
void ngx_http_background_redis_strange(ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_hurry(ngx_http_background_redis_link_t *link);
ngx_str_t ngx_http_background_redis_epoch(
    ngx_http_background_redis_link_t *link);
uint64_t ngx_http_background_redis_named(
    ngx_http_background_redis_link_t *link);
void ngx_http_background_redis_close(ngx_http_background_redis_link_t *link);


/* the monotonic clock, with the time for which the machine was suspended */
uint64_t ngx_http_background_redis_boot(void);


/*
 * Returns the reason of an error reply; "*words" is set to its description.
 */
ngx_http_background_redis_reason_e ngx_http_background_redis_error(
    ngx_str_t *reply, const char **words);


/* "background_redis NAME { }" */
char *ngx_http_background_redis_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_background_redis_init_conf(ngx_conf_t *cf,
    ngx_http_background_redis_conf_t *rcf);
ngx_http_background_redis_conf_t *ngx_http_background_redis_find(
    ngx_http_background_redis_main_conf_t *rmcf, ngx_str_t *name);


/* "workers cluster" */
extern const ngx_http_background_cluster_t  ngx_http_background_redis_lease;

ngx_int_t ngx_http_background_redis_lease_init(ngx_conf_t *cf,
    ngx_http_background_redis_main_conf_t *rmcf);


/*
 * Shared memory, for the status and for a worker of this nginx that takes over
 * a task.  An entry is NULL if the zone has no place for the task; nothing is
 * kept then.
 *
 * connected  sets the state of the connection of this worker: 1, 0, or -1 if
 *            the worker does not use it any more
 * count      counts an error and stores its text
 * took       stores an ID with which this nginx takes the task
 * owns       returns whether took() has stored this ID
 * fence      returns the highest fence that was passed for the task
 * restart    forgets it
 * honoured   returns whether this quarantine was passed before
 */

typedef struct ngx_http_background_redis_shared_s
    ngx_http_background_redis_shared_t;
typedef struct ngx_http_background_redis_entry_s
    ngx_http_background_redis_entry_t;

ngx_int_t ngx_http_background_redis_zone_add(ngx_conf_t *cf,
    ngx_http_background_redis_main_conf_t *rmcf);
ngx_http_background_redis_entry_t *ngx_http_background_redis_entry(
    ngx_str_t *task);

void ngx_http_background_redis_connected(ngx_http_background_redis_conf_t *rcf,
    ngx_int_t connected);
void ngx_http_background_redis_count(ngx_http_background_redis_conf_t *rcf,
    ngx_http_background_redis_reason_e reason, ngx_str_t *text);
ngx_int_t ngx_http_background_redis_view_link(ngx_cycle_t *cycle, ngx_uint_t n,
    ngx_http_background_cluster_link_t *link);

#define NGX_HTTP_BACKGROUND_REDIS_ID  32

void ngx_http_background_redis_entry_write(
    ngx_http_background_redis_entry_t *entry,
    const ngx_http_background_cluster_view_t *view);
void ngx_http_background_redis_entry_read(
    ngx_http_background_redis_entry_t *entry,
    ngx_http_background_cluster_view_t *view);
void ngx_http_background_redis_entry_took(
    ngx_http_background_redis_entry_t *entry, const u_char *id);
ngx_uint_t ngx_http_background_redis_entry_owns(
    ngx_http_background_redis_entry_t *entry, const u_char *id);
uint64_t ngx_http_background_redis_entry_fence(
    ngx_http_background_redis_entry_t *entry, uint64_t fence);
void ngx_http_background_redis_entry_restart(
    ngx_http_background_redis_entry_t *entry);
ngx_uint_t ngx_http_background_redis_entry_honoured(
    ngx_http_background_redis_entry_t *entry, uint64_t quarantine);


extern ngx_module_t  ngx_http_background_redis_module;


#endif /* _NGX_HTTP_BACKGROUND_REDIS_H_INCLUDED_ */
