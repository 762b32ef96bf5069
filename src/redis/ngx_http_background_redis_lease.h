
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What the files of "workers cluster" share.  The protocol is described in
 * ngx_http_background_redis_lease.c.
 */


#ifndef _NGX_HTTP_BACKGROUND_REDIS_LEASE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_REDIS_LEASE_H_INCLUDED_


#include "ngx_http_background_redis.h"


/* tasks in a command */
#define NGX_HTTP_BACKGROUND_REDIS_BATCH  1000

/* the longest value of a key, in bytes */
#define NGX_HTTP_BACKGROUND_REDIS_VALUE  512


typedef struct {
    ngx_str_t                              task;      /* must be first */
    ngx_str_t                              redis;     /* name; empty: first */
    ngx_msec_t                             lease;
    ngx_uint_t                             run;       /* "lost=run" */
    u_char                                *file;
    ngx_uint_t                             line;

    ngx_str_t                              key;
    ngx_http_background_redis_conf_t      *rcf;
} ngx_http_background_redis_lease_conf_t;


/* the fields of a value */

typedef struct {
    uint64_t                               fence;
    uint64_t                               number;
    uint64_t                               lease;
    uint64_t                               since_at;
    uint64_t                               due_at;
    uint64_t                               failures;
    uint64_t                               crashes;
    uint64_t                               quarantine;
    u_char                                *id;
    ngx_str_t                              epoch;
    ngx_str_t                              host;
    ngx_uint_t                             held;      /* unsigned  held:1; */
} ngx_http_background_redis_value_t;


typedef struct ngx_http_background_redis_group_s
    ngx_http_background_redis_group_t;


/* a task that this worker holds or asks for */

typedef struct {
    ngx_queue_t                              queue;
    ngx_http_background_redis_group_t       *group;
    ngx_http_background_redis_lease_conf_t  *conf;
    ngx_http_background_claim_t             *claim;
    ngx_http_background_redis_entry_t       *entry;

    uint64_t                                 number;
    uint64_t                                 sent;    /* the last command */
    uint64_t                                 asked;   /* the last command that
                                                         may have set the value,
                                                         0: none has */
    uint64_t                                 renewed; /* sent, and was good;
                                                         0: not on this
                                                         connection */
    uint64_t                                 until;   /* this one's end */
    uint64_t                                 heard;   /* of the server */
    uint64_t                                 since_at;
    ngx_http_background_carried_t            carried; /* as it was before it
                                                         was taken, or lost */

    /* the last value of the server, and since when it is the same */
    uint64_t                                 same;
    size_t                                   len;
    u_char                                   value[
                                             NGX_HTTP_BACKGROUND_REDIS_VALUE];

    u_char                                   id[NGX_HTTP_BACKGROUND_REDIS_ID];

    /* of the server that has granted or renewed the lease last */
    size_t                                   epoch_len;
    u_char                                   epoch[
                                             NGX_HTTP_BACKGROUND_REDIS_EPOCH];

    unsigned                                 holds:1;
    unsigned                                 alone:1;
    unsigned                                 known:1; /* value */
    unsigned                                 dirty:1;
    unsigned                                 carries:1;
    unsigned                                 giving:1; /* sent, no reply yet */
} ngx_http_background_redis_lease_t;


struct ngx_http_background_redis_group_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_redis_conf_t        *conf;
    ngx_http_background_redis_link_t        *link;
    ngx_log_t                               *log;
    ngx_int_t                                ident;

    ngx_queue_t                              leases;
    ngx_uint_t                               nleases;
    ngx_queue_t                              given;   /* leases to give back */
    ngx_event_t                              tick;
    ngx_msec_t                               pause;
    uint64_t                                 named;   /* see redis_named() */

    /* of the server */
    size_t                                   epoch_len;
    u_char                                   epoch[
                                             NGX_HTTP_BACKGROUND_REDIS_EPOCH];

    ngx_http_background_redis_lease_t      **batch;   /* NULL: left since */
    ngx_uint_t                               nbatch;

    unsigned                                 asking:1;
    unsigned                                 text:1;  /* of the script, next */
    unsigned                                 loaded:1;
    unsigned                                 reads:1;  /* the last command */
};


/*
 * In ngx_http_background_redis_lease.c
 *
 * observe     stores the value of the server, and since when it is the same
 * taken       the task was taken, or the lease was renewed, with this value
 * lose_lease  calls the handler "lost"; the lease may be freed when the
 *             function returns
 * show        writes the view for the status; "value" of the server, NULL:
 *             unknown
 * give_back   sends again what has no reply, and drops what is too old
 * real        the wall clock, in milliseconds
 */
void ngx_http_background_redis_give_back(
    ngx_http_background_redis_group_t *group);
void ngx_http_background_redis_observe(
    ngx_http_background_redis_lease_t *lease, ngx_str_t *text);
void ngx_http_background_redis_taken(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value);
void ngx_http_background_redis_lose_lease(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, const char *why);
void ngx_http_background_redis_show(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value);
uint64_t ngx_http_background_redis_real(void);


/*
 * In ngx_http_background_redis_batch.c
 *
 * script_init  computes the name of the script
 * send_batch   sends a command for all tasks of the group that need one
 * give         gives the task back after the commands that were sent before
 * tail         writes the fields after ID
 */
void ngx_http_background_redis_script_init(void);
void ngx_http_background_redis_give(ngx_http_background_redis_lease_t *lease);
void ngx_http_background_redis_send_batch(
    ngx_http_background_redis_group_t *group);
u_char *ngx_http_background_redis_tail(
    ngx_http_background_redis_lease_t *lease, u_char *p, u_char *last,
    u_char state);


#endif /* _NGX_HTTP_BACKGROUND_REDIS_LEASE_H_INCLUDED_ */
