
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Requests that no client sent: main requests through the locations of a
 * server, for the operation kinds "request" and "requests".
 *
 * A request has a connection of its own, without a peer: an unconnected socket
 * is what nginx may poll and set options of, what is sent is counted and
 * dropped.  nginx closes it as any other one when the request is over.
 */


#ifndef _NGX_HTTP_BACKGROUND_FETCH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_FETCH_H_INCLUDED_


#include <ngx_http_background.h>

#include <ngx_event.h>


/* requests that start in one pass of the event loop */
#define NGX_HTTP_BACKGROUND_FETCH_SLICE    32


typedef struct {
    ngx_str_t                             key;
    u_char                               *lowcase_key;
    ngx_http_complex_value_t              value;
} ngx_http_background_header_t;


/* what all requests of an operation have in common */

typedef struct {
    ngx_http_conf_ctx_t                  *ctx;      /* of the server */
    ngx_uint_t                            method;
    ngx_str_t                             method_name;
    ngx_http_background_header_t         *host;     /* NULL: by default */
    ngx_str_t                             default_host;
    ngx_array_t                           headers;
    ngx_array_t                           statuses;
    ngx_uint_t                            last;     /* without these */
    ngx_http_complex_value_t             *body;
    ngx_http_complex_value_t             *test;     /* NULL: none */
    ngx_uint_t                            https;    /* unsigned  https:1; */
    ngx_addr_t                           *address;  /* NULL: "unix:" */
} ngx_http_background_fetch_conf_t;


/* of all operations */

typedef struct {
    ngx_array_t                           requests;  /* _request_conf_t * */
    ngx_array_t                           named;     /* of "request" alone */

    /* nginx's own; NULL: not replaced */
    ngx_http_get_variable_pt              scheme;
    ngx_http_get_variable_pt              https;
} ngx_http_background_fetch_main_conf_t;


typedef struct ngx_http_background_fetches_s  ngx_http_background_fetches_t;

typedef void (*ngx_http_background_fetch_failed_pt)(
    ngx_http_background_fetches_t *rs, ngx_str_t *uri);


/*
 * The requests of one run; all is for fetches_init() to fill in, but "list" and
 * "failed", which is called for each request that has failed or, as the run
 * is cancelled, has not ended; the URI is empty if it is not known.
 */

struct ngx_http_background_fetches_s {
    ngx_http_background_run_t            *run;
    ngx_http_background_fetch_conf_t     *conf;
    ngx_uint_t                            list;     /* failures name the URI */
    ngx_uint_t                            nactive;
    ngx_queue_t                           active;
    ngx_event_t                           event;
    ngx_http_background_fetch_failed_pt   failed;   /* or NULL */
};


/*
 * Configuration:
 *
 * create     to be called first; NULL if the task is in no server
 * params     what all requests have; the directive's configuration, of a type,
 *            has a member "conf"
 * uri        compiles a URI or the name of a location, which may have
 *            variables, and checks what has none
 * default_host
 *            when all has been read
 *
 * Errors have been logged.
 *
 * variables
 *            makes $scheme and $https those of an https client in requests
 *            with "scheme=https"; in postconfiguration
 *
 * For each request:
 *
 * encode_uri percent-encodes, as browsers do, what no URI may have; blanks and
 *            control characters are left as they are where "blanks" is not set
 * parse_uri  sets all that a request has of its URI
 * line       the URI in a line of a list; NGX_DECLINED: it is blank, or a
 *            comment
 * expected   whether a status is one of those that succeed
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
 * On the event loop:
 *
 * init    handler is called, by a posted event, whenever requests have ended;
 *         run->result has been updated by then
 * start   NGX_ERROR: there is no place for one more now, the result has the
 *         reason, and one failure; else the request is under way or has ended
 * cancel  ends all of them at once, without results, and forgets the event
 * exit    in exit_process, when threads are gone: ends those that were
 *         cancelled while a thread read a file for them
 */
void ngx_http_background_fetches_init(ngx_http_background_fetches_t *rs,
    ngx_http_background_run_t *run, ngx_http_background_fetch_conf_t *rcf,
    ngx_event_handler_pt handler);
ngx_int_t ngx_http_background_fetch_start(ngx_http_background_fetches_t *rs,
    ngx_http_complex_value_t *uri);
void ngx_http_background_fetches_cancel(ngx_http_background_fetches_t *rs);
void ngx_http_background_fetches_exit(void);


/* counts a failure, and names the URI where a list has many of them */
void ngx_cdecl ngx_http_background_fetch_fail(
    ngx_http_background_fetches_t *rs, ngx_str_t *uri, ngx_err_t err,
    const char *fmt, ...);


/*
 * Of such a request, or of what it started; NULL for all others:
 *
 * task       its task
 * predecessor
 *            what its cycle comes after; empty, if it comes after none
 * conf       what all requests of the operation have in common
 * response   where the beginning of its response's body is, for "test="; NULL
 *            without "test=", too
 */
ngx_str_t *ngx_http_background_fetch_task(ngx_http_request_t *r);
ngx_http_background_predecessor_t *ngx_http_background_fetch_predecessor(
    ngx_http_request_t *r);
ngx_http_background_fetch_conf_t *ngx_http_background_fetch_conf(
    ngx_http_request_t *r);
ngx_str_t *ngx_http_background_fetch_response(ngx_http_request_t *r);

/*
 * A phase handler: nginx's own lines on such a request are not for the log
 * when the task fails again and again.
 */
ngx_int_t ngx_http_background_fetch_quiet(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_background_request_module;


#endif /* _NGX_HTTP_BACKGROUND_FETCH_H_INCLUDED_ */
