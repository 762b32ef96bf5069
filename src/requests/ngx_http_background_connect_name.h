
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Names that "connect" has to resolve in workers: with "resolve" by nginx's
 * resolver, each time; else one that could not be resolved when the
 * configuration was read, by getaddrinfo() in a step of a run that waits for
 * it, each time until it could.
 */


#ifndef _NGX_HTTP_BACKGROUND_CONNECT_NAME_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CONNECT_NAME_H_INCLUDED_


#include <ngx_http_background.h>


/* addresses of a name; what is more is left out */
#define NGX_HTTP_BACKGROUND_CONNECT_ADDRS  32


typedef struct ngx_http_background_connect_name_s
    ngx_http_background_connect_name_t;

typedef struct ngx_http_background_connect_wait_s
    ngx_http_background_connect_wait_t;


/* in the configuration */

struct ngx_http_background_connect_name_s {
    ngx_str_t                             host;
    in_port_t                             port;

    /* with "resolve" */
    ngx_http_core_loc_conf_t             *clcf;       /* NULL: without */
    ngx_str_t                             address;
    u_char                               *file;
    ngx_uint_t                            line;
    ngx_http_background_connect_name_t   *next;

    /* without; of the worker */
    ngx_addr_t                           *addrs;
    ngx_uint_t                            naddrs;     /* 0: not known */
    ngx_queue_t                           waiting;    /* for a thread */
    ngx_queue_t                           queue;
    unsigned                              queued:1;
};


/* a run that waits; zeroed but for "name", "run", "handler" and "data" */

struct ngx_http_background_connect_wait_s {
    ngx_http_background_connect_name_t   *name;
    ngx_http_background_run_t            *run;
    void                                (*handler)(
                                    ngx_http_background_connect_wait_t *wait);
    void                                 *data;

    ngx_addr_t                           *addrs;
    ngx_uint_t                            naddrs;

    ngx_resolver_ctx_t                   *ctx;
    ngx_queue_t                           queue;
    unsigned                              queued:1;
};


/*
 * add      one that is to be resolved in workers; "names", the list of those
 *          with "resolve", or NULL
 * check    in postconfiguration, whether each has a resolver
 * resolve  calls the handler once, maybe before it returns.  Without an address
 *          then, the reason is in the run's result
 * cancel   the handler is not called any more
 */
ngx_http_background_connect_name_t *ngx_http_background_connect_name_add(
    ngx_conf_t *cf, ngx_url_t *u, ngx_http_background_connect_name_t **names);
ngx_int_t ngx_http_background_connect_names_check(ngx_conf_t *cf,
    ngx_http_background_connect_name_t *names);
void ngx_http_background_connect_resolve(
    ngx_http_background_connect_wait_t *wait);
void ngx_http_background_connect_resolve_cancel(
    ngx_http_background_connect_wait_t *wait);


#endif /* _NGX_HTTP_BACKGROUND_CONNECT_NAME_H_INCLUDED_ */
