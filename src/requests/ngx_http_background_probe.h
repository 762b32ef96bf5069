
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "probe": asks each server of an upstream and takes it out of, and back into,
 * balancing.
 *
 * What is known of a server, its record, is in shared memory, by upstream,
 * name and address.  The verdict is a bit of its own in "down" of nginx's peer,
 * which all workers of a configuration share.  That is written under the
 * peers' lock, which is only ever tried: a process that died with it has left
 * it locked for ever.  No pointer to a peer is kept after the unlock.
 */


#ifndef _NGX_HTTP_BACKGROUND_PROBE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_PROBE_H_INCLUDED_


#include "ngx_http_background_fetch.h"


/* in "down" of a peer; any bit makes it down for all balancers */
#define NGX_HTTP_BACKGROUND_PEER_DOWN      0x40000000

#define NGX_HTTP_BACKGROUND_PEER_SERVER    NGX_HTTP_BACKGROUND_SERVER_LEN
#define NGX_HTTP_BACKGROUND_PEER_ERROR     NGX_HTTP_BACKGROUND_SERVER_ERROR_LEN


/* a server as the upstream has it: a copy */

typedef struct ngx_http_background_server_s  ngx_http_background_server_t;

typedef struct {
    ngx_sockaddr_t                 sockaddr;
    socklen_t                      socklen;
    ngx_str_t                      name;      /* the address */
    ngx_str_t                      server;
    ngx_http_background_server_t  *record;    /* NULL: no place for one */
    uint64_t                       key;       /* of the record */

    unsigned                       backup:1;
    unsigned                       disabled:1;  /* by others: "down", "drain" */
    unsigned                       failing:1;   /* as clients' requests found */
    unsigned                       down:1;      /* wanted: our bit */
    unsigned                       again:1;     /* has the record of another */
    unsigned                       spared:1;    /* by "keep=" */

    u_char                         name_data[NGX_SOCKADDR_STRLEN];
    u_char                         server_data[NGX_HTTP_BACKGROUND_PEER_SERVER];
} ngx_http_background_target_t;


/*
 * How an upstream is read and written, of http or stream.  Both only try the
 * peers' lock.
 *
 * list   copies at most n servers, and counts all; NGX_AGAIN: locked
 * apply  sets or clears the bit of each peer that is a target, by "down", and
 *        of those to come by "fresh"; NGX_AGAIN: locked
 */

typedef struct {
    ngx_int_t  (*list)(void *upstream, ngx_http_background_target_t *targets,
                       ngx_uint_t n, ngx_uint_t *total);
    ngx_int_t  (*apply)(void *upstream, ngx_http_background_target_t *targets,
                        ngx_uint_t n, ngx_uint_t fresh);
} ngx_http_background_upstream_t;


typedef struct ngx_http_background_group_s   ngx_http_background_group_t;
typedef struct ngx_http_background_probes_s  ngx_http_background_probes_t;


typedef enum {
    ngx_http_background_peer_unknown = 0,
    ngx_http_background_peer_up,
    ngx_http_background_peer_down
} ngx_http_background_peer_e;


/* a "probe" directive */

typedef struct {
    ngx_http_background_fetch_conf_t      *conf;
    ngx_http_complex_value_t               uri;
    ngx_str_t                              name;       /* of the upstream */
    ngx_str_t                              title;      /* "stream:" and name */

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
    ngx_uint_t                             percent;    /* "keep" is */
    ngx_uint_t                             only_down;
    ngx_uint_t                             http;       /* it has a URI */
    ngx_uint_t                             stream;

    ngx_http_background_probes_t          *probes;     /* all of them */
    const ngx_http_background_upstream_t  *access;
    void                                  *upstream;   /* of nginx */
    ngx_http_upstream_init_peer_pt         init;       /* http: the balancer's
                                                          own */

    /* set when the shared memory is there */
    ngx_http_background_group_t           *group;

    /* the worker's */
    uint64_t                               late;       /* changes it knows */
    ngx_http_background_run_t             *run;        /* under way, or NULL */
    ngx_uint_t                             spared;     /* servers, by "keep=" */
    ngx_uint_t                             full;       /* was said */
    ngx_msec_t                             locked;     /* since when; 0: not */
    ngx_uint_t                             alerted;
    ngx_event_t                            lift;
} ngx_http_background_probe_op_t;


/* all of a configuration */

struct ngx_http_background_probes_s {
    ngx_array_t                            ops;        /* of ..._op_t * */
    ngx_shm_zone_t                        *shm_zone;
    ngx_uint_t                             nrecords;
    ngx_uint_t                             ngroups;
    uint64_t                               generation;
};


/* a check that has ended */

typedef struct {
    ngx_uint_t                             passed;
    ngx_uint_t                             status;     /* 0: none */
    ngx_msec_t                             time;
    ngx_str_t                              error;
} ngx_http_background_verdict_t;


/*
 * Records, in shared memory.
 *
 * add       creates the memory, when all directives are known
 * commit    in the master, when the configuration can't fail any more: applies
 *           what is known to the new upstreams, and frees records of others
 * known     finds the records that there are
 * begin     a cycle has listed the servers: each gets its record
 * judge     counts a check; returns whether the verdict has changed
 * wanted    sets "down" of each target, by verdicts and "keep="
 * missed    the server was not asked in this cycle, and will be the first then
 * late      changes that workers of a former configuration have made since the
 *           last commit
 * up        primary servers that get requests
 * lift      whether verdicts are lifted: the task is quarantined
 * read      as "peer" of a judge
 */
ngx_int_t ngx_http_background_probes_add(ngx_conf_t *cf,
    ngx_http_background_probes_t *probes, ngx_uint_t peers, void *tag);
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
ngx_uint_t ngx_http_background_probe_is_missed(
    ngx_http_background_target_t *target);
ngx_http_background_peer_e ngx_http_background_probe_state(
    ngx_http_background_target_t *target);
uint64_t ngx_http_background_probe_late(ngx_http_background_probe_op_t *op);
ngx_uint_t ngx_http_background_probe_up(ngx_http_background_probe_op_t *op);
void ngx_http_background_probe_lift(ngx_http_background_probe_op_t *op,
    ngx_uint_t lift);
ngx_uint_t ngx_http_background_probe_lifted(ngx_http_background_probe_op_t *op);
ngx_int_t ngx_http_background_probe_read(ngx_http_background_probe_op_t *op,
    ngx_uint_t *n, ngx_http_background_peer_t *peer);


/* a cycle */
void ngx_http_background_probe_start(ngx_http_background_run_t *run);
void ngx_http_background_probe_cancel(ngx_http_background_run_t *run);


/* applies what other workers have found; tries once */
void ngx_http_background_probe_catch_up(ngx_http_background_probe_op_t *op,
    ngx_log_t *log);

/* clears all bits of the upstream, as soon as it is not locked */
void ngx_http_background_probe_clear(void *conf);


/*
 * The address that a request asks, which is good as long as the check is under
 * way; with an operation only if it is that one's, and then the server counts
 * as asked.  NGX_DECLINED: it is no request of "probe"
 */
ngx_int_t ngx_http_background_probe_asks(ngx_http_request_t *r,
    ngx_http_background_probe_op_t *op, ngx_addr_t *addr);


/* the peers of an http upstream */
extern const ngx_http_background_upstream_t  ngx_http_background_http_upstream;

extern ngx_module_t  ngx_http_background_probe_module;


#endif /* _NGX_HTTP_BACKGROUND_PROBE_H_INCLUDED_ */
