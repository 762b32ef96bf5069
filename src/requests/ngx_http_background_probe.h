
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "probe" checks each server of an upstream, and takes it out of balancing and
 * back.
 *
 * The record of a server is in shared memory and is found by upstream, name,
 * and address.  The verdict is a bit of its own in "down" of the nginx peer,
 * which all workers of a configuration share.  The bit is written under the
 * lock of the peers, which is only tried, never waited for: a process that has
 * died with the lock has left it locked for ever.  No pointer to a peer is
 * used after the unlock.
 */


#ifndef _NGX_HTTP_BACKGROUND_PROBE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_PROBE_H_INCLUDED_


#include "ngx_http_background_fetch.h"


/*
 * bits in "down" of a peer, by verdict and by an operator; any bit makes the
 * peer down for all balancers
 */
#define NGX_HTTP_BACKGROUND_PEER_DOWN      0x40000000
#define NGX_HTTP_BACKGROUND_PEER_ORDERED   0x20000000

/* the most servers of an upstream */
#define NGX_HTTP_BACKGROUND_PROBE_MAX      100000

#define NGX_HTTP_BACKGROUND_PEER_SERVER    NGX_HTTP_BACKGROUND_SERVER_LEN
#define NGX_HTTP_BACKGROUND_PEER_ERROR     NGX_HTTP_BACKGROUND_SERVER_ERROR_LEN


/* a copy of a server of the upstream */

typedef struct ngx_http_background_server_s  ngx_http_background_server_t;

typedef struct {
    ngx_sockaddr_t                 sockaddr;
    socklen_t                      socklen;
    ngx_str_t                      name;      /* the address */
    ngx_str_t                      server;
    ngx_http_background_server_t  *record;    /* NULL: there is no free
                                                 record */
    uint64_t                       key;       /* key of the record */
    ngx_atomic_t                  *order;     /* in the record, or NULL */
    ngx_uint_t                     missed;    /* cycles without a check */

    unsigned                       backup:1;
    unsigned                       disabled:1;  /* by others: "down" or
                                                   "drain" */
    unsigned                       draining:1;  /* by others or by an
                                                   operator */
    unsigned                       failing:1;   /* after failures of client
                                                   requests */
    unsigned                       down:1;      /* whether the bit must be
                                                   set */
    unsigned                       again:1;     /* has the same record as
                                                   another server */

    u_char                         name_data[NGX_SOCKADDR_STRLEN];
    u_char                         server_data[NGX_HTTP_BACKGROUND_PEER_SERVER];
} ngx_http_background_target_t;


typedef struct ngx_http_background_probe_op_s  ngx_http_background_probe_op_t;


/*
 * Access to an upstream of http or stream.
 *
 * bind   when the configuration is complete, finds the upstream of the
 *        operation among all "upstreams" and sets "upstream" and "peers".
 *        Returns NULL, or why "probe" can't be used: text that stands between
 *        the name of the upstream and "for \"probe\" directive".  "upstream"
 *        is NULL if there is none of that name
 *
 * The following functions try the lock of the peers once and return NGX_AGAIN
 * if it is locked.
 *
 * list   copies at most n servers and counts all of them
 * apply  sets or clears the bits of each peer that has a target by its "down"
 *        and by the order of an operator, and the bit of servers that will be
 *        resolved later by "fresh"
 * drain  whether peers can be drained
 */

typedef struct {
    const char  *(*bind)(ngx_http_background_probe_op_t *op,
                         ngx_array_t *upstreams);
    ngx_int_t    (*list)(void *upstream, ngx_http_background_target_t *targets,
                         ngx_uint_t n, ngx_uint_t *total);
    ngx_int_t    (*apply)(void *upstream, ngx_http_background_target_t *targets,
                          ngx_uint_t n, ngx_uint_t fresh);
    ngx_uint_t     drain;
} ngx_http_background_upstream_t;


typedef struct ngx_http_background_group_s   ngx_http_background_group_t;
typedef struct ngx_http_background_probes_s  ngx_http_background_probes_t;


typedef enum {
    ngx_http_background_peer_unknown = 0,
    ngx_http_background_peer_up,
    ngx_http_background_peer_down
} ngx_http_background_peer_e;


/* the configuration of a "probe" directive */

struct ngx_http_background_probe_op_s {
    ngx_http_background_fetch_conf_t      *conf;
    ngx_http_complex_value_t               uri;
    ngx_str_t                              name;       /* name of the
                                                          upstream */
    ngx_str_t                              title;      /* name, with "stream:"
                                                          for stream */
    u_char                                *file;
    ngx_uint_t                             line;


    ngx_uint_t                             port;
    ngx_uint_t                             fails;
    ngx_uint_t                             passes;
    ngx_uint_t                             keep;
    ngx_uint_t                             need;
    ngx_uint_t                             concurrency;
    ngx_uint_t                             peers;
    ngx_msec_t                             timeout;

    ngx_uint_t                             mandatory;
    ngx_uint_t                             persistent;
    ngx_uint_t                             percent;    /* "keep" is in
                                                          percent */
    ngx_uint_t                             only_down;
    ngx_uint_t                             http;       /* there is a URI */
    ngx_uint_t                             stream;
    ngx_uint_t                             grpc;       /* "type=" */
    ngx_uint_t                             grpc_health;
                                                       /* the answer says how
                                                          the service is */
    ngx_str_t                              grpc_service;
    uint64_t                               grpc_status;  /* a bit for each */

    ngx_http_background_probes_t          *probes;     /* of the
                                                          configuration */
    const ngx_http_background_upstream_t  *access;
    void                                  *upstream;   /* configuration of the
                                                          upstream in nginx */
    ngx_http_upstream_init_peer_pt         init;       /* http: peer.init of
                                                          the balancer */
    void                                 (*stream_init)(void);
                                                       /* the same of stream */


    /* set when the shared memory is created */
    ngx_http_background_group_t           *group;

    /* used in the worker */
    uint64_t                               late;       /* "late" when verdicts
                                                          were applied last */
    uint64_t                               changes;    /* of pages, likewise */
    ngx_http_background_run_t             *run;        /* the current run, or
                                                          NULL */
    ngx_uint_t                             spared;     /* number of servers
                                                          that "keep=" keeps
                                                          up */
    ngx_uint_t                             full;       /* that "peers=" is too
                                                          small was logged */
    ngx_msec_t                             locked;     /* ngx_current_msec of
                                                          the first failed
                                                          lock; 0: none */
    ngx_uint_t                             alerted;
    ngx_event_t                            lift;
    ngx_event_t                            ordered;    /* applies orders */
    ngx_msec_t                             ordered_at; /* ngx_current_msec of
                                                          the last order */
};


/* all "probe" directives of a configuration */

struct ngx_http_background_probes_s {
    ngx_array_t                            ops;        /* of ..._op_t * */
    ngx_shm_zone_t                        *shm_zone;
    ngx_uint_t                             nrecords;
    ngx_uint_t                             ngroups;
    uint64_t                               generation;
};


/* the result of a check */

typedef struct {
    ngx_uint_t                             passed;
    ngx_uint_t                             status;     /* 0: none */
    ngx_msec_t                             time;
    ngx_str_t                              error;
} ngx_http_background_verdict_t;


/* what another binary has to know of a server */

typedef struct {
    uint64_t                               key[2];
    uint64_t                               order;
    uint64_t                               state;
    uint64_t                               since;
    uint64_t                               since_at;
    uint64_t                               fails;
    uint64_t                               passes;
    uint64_t                               failed;
    uint64_t                               passed;
    uint64_t                               flips;
} ngx_http_background_saved_t;


/*
 * Records in shared memory.
 *
 * add     creates the shared memory, when all directives are known
 * resize  called when "peers" of operations have changed since
 * commit  in the master, when the configuration can't fail any more: applies
 *         verdicts to the new upstreams, and frees records of other servers
 * known   finds existing records of the targets
 * begin   called with the list of servers in each cycle: finds or adds their
 *         records
 * judge   counts a check; returns whether the verdict has changed
 * wanted  sets "down" of each target, by its verdict and "keep="
 * missed  in how many cycles the server was not checked: those that wait
 *         longest are the first ones in the next cycle
 * late    number of changes by workers of older configurations since the last
 *         commit
 * up      number of primary servers that get requests
 * lift    sets whether verdicts are lifted, because the task is quarantined
 * read    as "peer" of a judge
 * order   as "order" of a judge, without applying it
 * disabled
 *         whether the server gets no requests whatever the verdict is
 * save    copies the next record, from number *n; NGX_DONE if there is none
 * restore sets the verdict or the order of the server, if there is a record of
 *         it; *n is a hint where, 0 at first
 * table_id
 *         identifies the shared memory, also after reloads
 */
ngx_int_t ngx_http_background_probes_add(ngx_conf_t *cf,
    ngx_http_background_probes_t *probes, void *tag);
void ngx_http_background_probes_resize(ngx_http_background_probes_t *probes);
void ngx_http_background_probes_commit(ngx_http_background_probes_t *probes,
    ngx_cycle_t *cycle);
void ngx_http_background_probe_known(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n);
void ngx_http_background_probe_begin(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_log_t *log);
ngx_uint_t ngx_http_background_probe_judge(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *target,
    ngx_http_background_verdict_t *verdict, ngx_log_t *log);
void ngx_http_background_probe_wanted(ngx_http_background_probe_op_t *op,
    ngx_http_background_target_t *targets, ngx_uint_t n, ngx_log_t *log);
void ngx_http_background_probe_missed(ngx_http_background_target_t *target,
    ngx_uint_t missed);
ngx_http_background_peer_e ngx_http_background_probe_state(
    ngx_http_background_target_t *target);
uint64_t ngx_http_background_probe_late(ngx_http_background_probe_op_t *op);
ngx_uint_t ngx_http_background_probe_up(ngx_http_background_probe_op_t *op);
void ngx_http_background_probe_lift(ngx_http_background_probe_op_t *op,
    ngx_uint_t lift);
ngx_uint_t ngx_http_background_probe_lifted(ngx_http_background_probe_op_t *op);
ngx_int_t ngx_http_background_probe_read(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, ngx_http_background_peer_t *peer);
ngx_int_t ngx_http_background_probe_order_record(
    ngx_http_background_probe_op_t *op, ngx_str_t *address,
    ngx_http_background_order_e order);
ngx_uint_t ngx_http_background_probe_disabled(
    ngx_http_background_target_t *target);
ngx_int_t ngx_http_background_probe_save(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, ngx_http_background_saved_t *saved);
void ngx_http_background_probe_restore(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, const ngx_http_background_saved_t *saved, ngx_uint_t orders);
uint64_t ngx_http_background_probe_table_id(ngx_http_background_probe_op_t *op);


/*
 * An upgrade of the nginx binary: both binaries have shared memory of their
 * own, and pages tell one what the other knows.  Verdicts are written by the
 * worker that has the task, orders by the one that gets them.
 *
 * export  writes pages of all servers; with "tell" all workers read them
 * others  whether the pages are those of another binary
 * import  takes over verdicts and orders of another binary
 */
void ngx_http_background_probe_export(ngx_http_background_probe_op_t *op,
    ngx_uint_t orders, ngx_uint_t tell, ngx_log_t *log);
ngx_uint_t ngx_http_background_probe_others(ngx_http_background_probe_op_t *op);
void ngx_http_background_probe_import(ngx_http_background_probe_op_t *op);


/* start and cancel a cycle */
void ngx_http_background_probe_start(ngx_http_background_run_t *run);
void ngx_http_background_probe_cancel(ngx_http_background_run_t *run);


/* applies verdicts of other workers; tries the lock once */
void ngx_http_background_probe_catch_up(ngx_http_background_probe_op_t *op,
    ngx_log_t *log);

/* "order" of a judge */
ngx_int_t ngx_http_background_probe_order(void *conf, ngx_str_t *upstream,
    ngx_str_t *address, ngx_http_background_order_e order);

/* clears the bits of all peers of the upstream as soon as it is not locked */
void ngx_http_background_probe_clear(void *conf);


/*
 * Returns the address that a request checks, which is valid as long as the
 * check is under way.  With an operation, only a request of that operation is
 * accepted, and the server counts as asked.  Returns NGX_DECLINED for other
 * requests.
 */
ngx_int_t ngx_http_background_probe_asks(ngx_http_request_t *r,
    ngx_http_background_probe_op_t *op, ngx_addr_t *addr);


/*
 * "type=grpc", the gRPC health checking protocol: the request, and whether the
 * answer is good; if not, the reason is counted as a failure
 */
ngx_int_t ngx_http_background_probe_grpc_conf(ngx_conf_t *cf,
    ngx_http_background_probe_op_t *op);
ngx_uint_t ngx_http_background_probe_grpc_passes(
    ngx_http_background_probe_op_t *op, ngx_http_background_fetches_t *rs,
    ngx_http_request_t *r);


/* the access to peers of an http upstream */
extern const ngx_http_background_upstream_t  ngx_http_background_http_upstream;

/* and of a stream one, in the stream module only */
extern const ngx_http_background_upstream_t
    ngx_http_background_stream_upstream;

extern ngx_module_t  ngx_http_background_probe_module;


#endif /* _NGX_HTTP_BACKGROUND_PROBE_H_INCLUDED_ */
