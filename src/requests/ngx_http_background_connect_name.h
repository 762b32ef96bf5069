
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Names that "connect" resolves in workers.  With "resolve" a name is resolved
 * by "resolver" in each cycle.  Without it, a name that could not be resolved
 * while the configuration was read is resolved by getaddrinfo() in a step of a
 * run, until that succeeds once.
 */


#ifndef _NGX_HTTP_BACKGROUND_CONNECT_NAME_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CONNECT_NAME_H_INCLUDED_


#include <ngx_http_background.h>


/* the limit of addresses of a name; further ones are ignored */
#define NGX_HTTP_BACKGROUND_CONNECT_ADDRS  32


typedef struct ngx_http_background_connect_name_s
    ngx_http_background_connect_name_t;

typedef struct ngx_http_background_connect_wait_s
    ngx_http_background_connect_wait_t;


/* a name in the configuration */

struct ngx_http_background_connect_name_s {
    ngx_str_t                             host;
    in_port_t                             port;

    /* used with "resolve" */
    ngx_http_core_loc_conf_t             *clcf;       /* NULL: without
                                                         "resolve" */
    ngx_str_t                             address;
    u_char                               *file;
    ngx_uint_t                            line;
    ngx_http_background_connect_name_t   *next;

    /* used without "resolve", in the worker */
    ngx_addr_t                           *addrs;
    ngx_uint_t                            naddrs;     /* 0: not resolved yet */
    ngx_queue_t                           waiting;    /* runs that wait for a
                                                         step */
    ngx_queue_t                           queue;
    unsigned                              queued:1;
};


/*
 * A run that waits for a name.  "name", "run", "handler", and "data" are set
 * by the caller, other fields are zeroed.
 */

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
 * add      adds a name that workers resolve; "names" is the list of names with
 *          "resolve", or NULL
 * check    called in postconfiguration: each name in the list must have a
 *          "resolver"
 * resolve  calls the handler once, possibly before it returns.  If there is no
 *          address then, the run is failed
 * cancel   the handler will not be called
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
