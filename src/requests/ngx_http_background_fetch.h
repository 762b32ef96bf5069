
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Requests that no client has sent: main requests to locations of a server,
 * for the operations "request" and "requests".
 *
 * A request has a connection of its own without a peer.  Its descriptor is an
 * unconnected socket, so that nginx can poll it and set socket options; data
 * that is sent is counted and dropped.  nginx closes the connection when the
 * request is over; a socket that has not been polled is kept for the next one.
 */


#ifndef _NGX_HTTP_BACKGROUND_FETCH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_FETCH_H_INCLUDED_


#include <ngx_http_background.h>
#include "ngx_http_background_save.h"

#include <ngx_event.h>


/* requests that are started in one pass of the event loop */
#define NGX_HTTP_BACKGROUND_FETCH_SLICE    32


typedef struct {
    ngx_str_t                             key;
    u_char                               *lowcase_key;
    ngx_http_complex_value_t              value;
} ngx_http_background_header_t;


/* the configuration of all requests of an operation */

typedef struct {
    ngx_http_conf_ctx_t                  *ctx;      /* configuration of the
                                                       server */
    ngx_uint_t                            method;
    ngx_str_t                             method_name;
    ngx_http_background_header_t         *host;     /* NULL: the default */
    ngx_str_t                             default_host;
    ngx_array_t                           headers;
    ngx_array_t                           statuses;
    ngx_uint_t                            last;     /* without "statuses": the
                                                       last expected status */
    ngx_http_complex_value_t             *body;
    ngx_http_complex_value_t             *test;     /* NULL: none */
    ngx_uint_t                            response; /* the beginning of its
                                                       body is kept, without
                                                       "test=", too */
    ngx_uint_t                            https;    /* unsigned  https:1; */
    ngx_addr_t                           *address;  /* NULL: "unix:" */
} ngx_http_background_fetch_conf_t;


/* the configuration of all operations */

typedef struct {
    ngx_array_t                           requests;  /* of ..._fetch_conf_t * */
    ngx_array_t                           named;     /* of "request" with a
                                                        named location */

    /* handlers of nginx for $scheme and $https; NULL: not replaced */
    ngx_http_get_variable_pt              scheme;
    ngx_http_get_variable_pt              https;
} ngx_http_background_fetch_main_conf_t;


typedef struct ngx_http_background_fetches_s  ngx_http_background_fetches_t;

typedef void (*ngx_http_background_fetch_failed_pt)(
    ngx_http_background_fetches_t *rs, ngx_str_t *uri);

/*
 * Returns the status by which a request that has ended is judged, or 0 if it
 * has failed, which is counted.
 */
typedef ngx_uint_t (*ngx_http_background_fetch_judge_pt)(
    ngx_http_background_fetches_t *rs, ngx_http_request_t *r,
    ngx_uint_t status);


/*
 * The requests of one run.  fetches_init() sets all fields; then the caller
 * may set "list", "judge", "save", and "failed".  "save" gets the body of the
 * response, in a run with one request.  "failed" is called for each request
 * that has failed or, if the run is cancelled, is not over.  The URI is empty
 * if it is not known.
 */

struct ngx_http_background_fetches_s {
    ngx_http_background_run_t            *run;
    ngx_http_background_fetch_conf_t     *conf;
    ngx_uint_t                            list;     /* error texts name the
                                                       URI */
    ngx_http_background_save_t           *save;     /* or NULL */
    ngx_uint_t                            nactive;
    ngx_queue_t                           active;
    ngx_event_t                           event;
    ngx_http_background_fetch_failed_pt   failed;   /* may be NULL */
    ngx_http_background_fetch_judge_pt    judge;    /* may be NULL */
};


/*
 * Configuration; errors are logged:
 *
 * create_conf   called first; returns NULL if the task is not in a server
 * PARAMS        parameters of all requests; the structure "type" must have the
 *               field "conf"
 * uri           compiles a URI or the name of a location.  They may have
 *               variables; otherwise they are checked
 * default_host  called when the configuration is complete
 * variables     called in postconfiguration: in requests with "scheme=https"
 *               $scheme and $https have the values of an https client
 *
 * For each request:
 *
 * encode_uri  percent-encodes characters that are not allowed in a URI, as
 *             browsers do; spaces and control characters only if "blanks" is
 *             set
 * parse_uri   sets all fields of the request that depend on the URI
 * line        returns the URI in a line of a list, or NGX_DECLINED for a blank
 *             line or a comment
 * expected    whether the status means success
 */
ngx_http_background_fetch_conf_t *ngx_http_background_fetch_create_conf(
    ngx_conf_t *cf);
#define NGX_HTTP_BACKGROUND_FETCH_PARAMS(type)                              \
    { ngx_string("method="), 0, ngx_http_background_fetch_method,           \
      offsetof(type, conf), NULL },                                           \
                                                                              \
    { ngx_string("header="), 1, ngx_http_background_fetch_header,           \
      offsetof(type, conf), NULL },                                           \
                                                                              \
    { ngx_string("body="), 0, ngx_http_background_fetch_body,               \
      offsetof(type, conf), NULL },                                           \
                                                                              \
    { ngx_string("status="), 0, ngx_http_background_fetch_status,           \
      offsetof(type, conf), NULL },                                           \
                                                                              \
    { ngx_string("test="), 0, ngx_http_background_fetch_test,               \
      offsetof(type, conf), NULL },                                           \
                                                                              \
    { ngx_string("scheme="), 0, ngx_http_background_fetch_scheme,           \
      offsetof(type, conf), NULL },                                           \
                                                                              \
    { ngx_string("address="), 0, ngx_http_background_fetch_address,         \
      offsetof(type, conf), NULL }

ngx_int_t ngx_http_background_fetch_method(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_header(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_body(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_status(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_test(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_scheme(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_address(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_fetch_uri(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_http_complex_value_t *cv);
void ngx_http_background_fetch_default_host(
    ngx_http_background_fetch_conf_t *rcf);
void ngx_http_background_fetch_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_background_fetch_encode_uri(ngx_pool_t *pool, ngx_str_t *uri,
    ngx_uint_t blanks);
ngx_int_t ngx_http_background_fetch_parse_uri(ngx_http_request_t *r,
    ngx_str_t *uri, ngx_uint_t merge_slashes);
ngx_int_t ngx_http_background_fetch_line(ngx_str_t *line, ngx_str_t *uri);
ngx_uint_t ngx_http_background_fetch_expected(
    ngx_http_background_fetch_conf_t *rcf, ngx_uint_t status);


/*
 * Called on the event loop:
 *
 * init    the handler is called, by a posted event, when requests have ended;
 *         they are counted in run->result before
 * start   returns NGX_ERROR if the request can't be started: it is counted as
 *         failed.  Otherwise the request is under way or over
 * cancel  ends all requests without a result, and deletes the event
 * exit    called in exit_process, when threads have stopped: ends requests
 *         that were cancelled while a thread read a file for them
 */
void ngx_http_background_fetches_init(ngx_http_background_fetches_t *rs,
    ngx_http_background_run_t *run, ngx_http_background_fetch_conf_t *rcf,
    ngx_event_handler_pt handler);
ngx_int_t ngx_http_background_fetch_start(ngx_http_background_fetches_t *rs,
    ngx_http_complex_value_t *uri);
void ngx_http_background_fetches_cancel(ngx_http_background_fetches_t *rs);
void ngx_http_background_fetches_exit(void);


/* counts a failure; with "list" the error text names the URI */
void ngx_cdecl ngx_http_background_fetch_fail(
    ngx_http_background_fetches_t *rs, ngx_str_t *uri, ngx_err_t err,
    const char *fmt, ...);


/*
 * For a request of a task or its subrequests; other requests return NULL.
 *
 * task      the name of the task
 * predecessor  the cycle after which its cycle has started; empty without
 *              "after"
 * fence     the fence of its cycle, or 0
 * conf      the configuration of the operation
 * response  the first bytes of the response body, for "test="; NULL without
 *           "test="
 * started_by  the requests of the run; NULL if they were cancelled, too
 */
ngx_str_t *ngx_http_background_fetch_task(ngx_http_request_t *r);
ngx_http_background_predecessor_t *ngx_http_background_fetch_predecessor(
    ngx_http_request_t *r);
uint64_t ngx_http_background_fetch_fence(ngx_http_request_t *r);
ngx_http_background_fetch_conf_t *ngx_http_background_fetch_conf(
    ngx_http_request_t *r);
ngx_str_t *ngx_http_background_fetch_response(ngx_http_request_t *r);
ngx_http_background_fetches_t *ngx_http_background_fetch_started_by(
    ngx_http_request_t *r);

/*
 * A phase handler.  It sets the log level of the request to "alert" if the
 * task fails repeatedly.
 */
ngx_int_t ngx_http_background_fetch_quiet(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_background_request_module;


#endif /* _NGX_HTTP_BACKGROUND_FETCH_H_INCLUDED_ */
