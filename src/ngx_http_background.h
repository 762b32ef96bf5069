
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What an operation kind may use: the public interface of the module.
 *
 * A kind is an nginx HTTP module with one command of the context
 * NGX_HTTP_BACKGROUND_TASK_CONF.  The command's handler parses its arguments,
 * then hands a description of the kind and its own configuration to
 * ngx_http_background_add_operation().  The built-in kinds, in operations/,
 * use nothing else.
 */


#ifndef _NGX_HTTP_BACKGROUND_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_thread_pool.h>


/*
 * The context of "background_task NAME { }", for the type of a command.  The
 * command's "conf" is an NGX_HTTP_*_CONF_OFFSET, as in any HTTP module: the
 * handler gets its own module's main, server or location configuration.
 */
#define NGX_HTTP_BACKGROUND_TASK_CONF  0x00020000

/* the longest failure text, in bytes; what is longer is cut */
#define NGX_HTTP_BACKGROUND_ERROR_LEN  512

/* the same of a message */
#define NGX_HTTP_BACKGROUND_MESSAGE_LEN  128


/* what a run did; the kind fills it in, it starts as zeroes */

typedef struct {
    ngx_uint_t    completed;      /* operations that succeeded */
    ngx_uint_t    failed;         /* operations that failed; counted by
                                     ngx_http_background_fail() */
    ngx_uint_t    active;         /* operations that are under way: what a
                                     timeout counts as failed, at least one */
    uint64_t      bytes;          /* data processed, in bytes */
    ngx_msec_t    io_time;        /* I/O kinds: the sum of what each operation
                                     waited, in milliseconds */
    size_t        error_len;
    u_char        error[NGX_HTTP_BACKGROUND_ERROR_LEN];
    size_t        message_len;
    u_char        message[NGX_HTTP_BACKGROUND_MESSAGE_LEN];
} ngx_http_background_result_t;


/*
 * One run of an operation in one cycle.  It lives from the cycle's start to
 * its end, and so does all that is allocated from its pool.
 */

typedef struct {
    void                          *conf;  /* as given to add_operation() */
    void                          *ctx;   /* the kind's own, starts as NULL */
    ngx_pool_t                    *pool;  /* this run's alone: a CPU kind may
                                             use it on the pool thread; its
                                             clean-ups run on the event loop */
    ngx_log_t                     *log;   /* usable on a pool thread, too */
    ngx_str_t                     *task;  /* the task's name */
    ngx_uint_t                     repeats;
                                          /* the task has failed so often that
                                             the same failure would not be
                                             logged: then neither are details
                                             of a failure */
    size_t                         limit_rate;
                                          /* CPU kinds: result.bytes per
                                             second, of all threads together,
                                             0: unlimited; enforced in
                                             ngx_http_background_cancelled() */
    ngx_http_background_result_t   result;
} ngx_http_background_run_t;


/*
 * A kind is either I/O ("start" and "cancel") or CPU ("work").
 *
 * start   on the event loop: begins the work, never blocks.  When all is over
 *         the kind calls ngx_http_background_done() once, be it in start
 *         itself.
 * cancel  on the event loop, between start and done: stops at once all that
 *         start began, timers, connections, and does not call done.  What it
 *         leaves behind must not touch the run any more.
 * work    on a pool thread, may block.  It returns soon after
 *         ngx_http_background_cancelled() said so, and asks at least every
 *         millisecond or 64 KiB of work.  It may call only what this header
 *         marks for pool threads, and what nginx allows there: logging, memory
 *         from run->pool, system calls.  It does not start a process: nginx
 *         takes the child's status, and the child would inherit the sockets of
 *         nginx's clients.
 *
 * A CPU kind whose work can be handed out in pieces has "begin", too, the
 * others have NULL there:
 *
 * begin   on a pool thread, before any work: makes what they share, run->ctx.
 *         If it failed or was cancelled, there is no work.
 * work    on as many threads as the budget grants, at most
 *         "background_threads", at the same time.  Each has a run of its own,
 *         with the same conf and ctx.  It returns when there is nothing left
 *         to hand out, then those that have not started yet will not be.
 * finish  optional; on a pool thread, when all work has returned, if begin was
 *         called.  With the run that begin had.  A process that exits at once
 *         may leave it out: what must not be left behind then is for clean-ups
 *         of the run's pool.
 *
 * Another combination is an error when the configuration is read.
 */

typedef struct {
    void       (*start)(ngx_http_background_run_t *run);
    void       (*cancel)(ngx_http_background_run_t *run);
    void       (*begin)(ngx_http_background_run_t *run);
    void       (*work)(ngx_http_background_run_t *run);
    void       (*finish)(ngx_http_background_run_t *run);
} ngx_http_background_kind_t;


/*
 * Parameters of a directive: "name=value" in any order, and flags.  A table of
 * them, which ends with ngx_http_background_null_param, is for
 * ngx_http_background_conf_params().  One that is not in the table, or that is
 * given twice, is an error, as is a value that "set" does not accept.
 */

/* the argument that is being read */

typedef struct {
    ngx_str_t      text;       /* "count=5", for error texts */
    ngx_str_t      value;      /* "5"; both are zero-terminated */
    const void    *post;       /* of the parameter */
} ngx_http_background_arg_t;


/* stores the value in *p, or logs an error and returns NGX_ERROR */

typedef ngx_int_t (*ngx_http_background_set_pt)(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);


/* at most 64 in a table */

typedef struct {
    ngx_str_t                    name;       /* "count=", or "brief", a flag */
    ngx_uint_t                   multiple;   /* may be given more than once */
    ngx_http_background_set_pt   set;
    size_t                       offset;     /* of what p points to, in conf */
    const void                  *post;       /* for "set" */
} ngx_http_background_param_t;


#define ngx_http_background_null_param  { ngx_null_string, 0, NULL, 0, NULL }


/*
 * What numbers, times and sizes have as "post".  An error is, for instance,
 * 'invalid count "count=0" in "connect" directive, it must be a number from 1
 * to 5'.
 */

typedef struct {
    const char    *what;       /* "count" */
    int64_t        min;        /* times are in milliseconds */
    int64_t        max;
    const char    *valid;      /* NULL: "a number from MIN to MAX" */
} ngx_http_background_bounds_t;


/*
 * params    reads the arguments from the one of number n on; NGX_OK, or
 *           NGX_ERROR if an error was logged
 * argument  reads one that has no name
 * invalid   logs 'invalid WHAT "TEXT" in "DIRECTIVE" directive, it must be
 *           VALID', and returns NGX_ERROR
 *
 * The others are for "set":
 *
 * number    ngx_int_t, ngx_uint_t
 * time      ngx_msec_t
 * size      size_t, with the units k and m
 * offset    off_t, with the units k, m and g
 * rate      size_t, for run->limit_rate; without bounds
 * string    ngx_str_t; without bounds
 * flag      ngx_uint_t, which becomes 1
 */
#define ngx_http_background_conf_params(cf, n, params, conf)                  \
    ngx_http_background_read_params(cf, n, params, conf,                      \
                                    NGX_HTTP_BACKGROUND_ABI)

ngx_int_t ngx_http_background_read_params(ngx_conf_t *cf, ngx_uint_t n,
    const ngx_http_background_param_t *params, void *conf, uint64_t abi);
ngx_int_t ngx_http_background_conf_argument(ngx_conf_t *cf, ngx_uint_t n,
    ngx_http_background_set_pt set, const void *post, void *p);
ngx_int_t ngx_http_background_conf_invalid(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, const char *what, const char *valid);

ngx_int_t ngx_http_background_conf_number(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_time(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_size(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_offset(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_rate(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_string(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_flag(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);


/*
 * What a kind was built for: the number, which changes when what this header
 * says changes otherwise, and the sizes of what the kind and the module share.
 * A kind of another ABI is an error when the configuration is read.
 */
#define NGX_HTTP_BACKGROUND_ABI                                               \
    ((uint64_t) 1 << 48                                                       \
     | (uint64_t) sizeof(ngx_http_background_run_t) << 32                     \
     | (uint64_t) sizeof(ngx_http_background_kind_t) << 16                    \
     | (uint64_t) sizeof(ngx_http_background_param_t))


/*
 * Adds an operation to the task whose block is being read.  To be called by a
 * command's handler.
 *
 * kind    static; kept by reference
 * conf    the operation's configuration, from cf->pool, or NULL; each run gets
 *         it as run->conf and only reads it
 *
 * In texts the operation is named by its directive and first argument, as in
 * "digest "/srv/www"".  Returns NGX_CONF_OK or NGX_CONF_ERROR.
 */
#define ngx_http_background_add_operation(cf, kind, conf)                     \
    ngx_http_background_add_kind(cf, kind, conf, NGX_HTTP_BACKGROUND_ABI)

char *ngx_http_background_add_kind(ngx_conf_t *cf,
    const ngx_http_background_kind_t *kind, void *conf, uint64_t abi);

ngx_int_t ngx_http_background_conf_abi(ngx_conf_t *cf, uint64_t abi,
    uint64_t own);


/*
 * Tells that all of an I/O run is over.  On the event loop; the run may be
 * gone when it returns.
 */
void ngx_http_background_done(ngx_http_background_run_t *run);


/*
 * Counts one failed operation and, if it is the first, keeps the text, a
 * format of ngx_sprintf(), without the operation's name, newline or period.
 * With err the system's words are added, as in "open() "x" failed (2: No such
 * file or directory)".  The result must be in use by one thread only.
 */
void ngx_cdecl ngx_http_background_fail(ngx_http_background_result_t *result,
    ngx_err_t err, const char *fmt, ...);


/*
 * Keeps a text, a format of ngx_sprintf(), that the status shows with the
 * cycle's result; the last one stays.  The result must be in use by one thread
 * only.
 */
void ngx_cdecl ngx_http_background_message(
    ngx_http_background_result_t *result, const char *fmt, ...);


/*
 * On the run's pool thread: whether to stop.  Also keeps the thread's share of
 * a CPU ("quota=") and run->limit_rate, by sleeping here; so it is called
 * often, and without a lock held that others need.
 */
ngx_uint_t ngx_http_background_cancelled(ngx_http_background_run_t *run);


/*
 * How far the run is, in a unit of the kind's own; a total of 0 means that it
 * is not known.  Where the run is: on its pool thread or, of an I/O kind, on
 * the event loop.
 */
void ngx_http_background_progress(ngx_http_background_run_t *run,
    uint64_t done, uint64_t total);


/*
 * Whether the worker has too few free connections for an I/O kind to take one
 * more: no more than a sixteenth of "worker_connections".  From there on nginx
 * closes clients' keepalive connections for each one that is taken, and that is
 * more than a task is worth: its operation fails instead.  To be asked on the
 * event loop before each connection.  If so, the reason, for
 * ngx_http_background_fail(), is in text, a buffer of
 * NGX_HTTP_BACKGROUND_ERROR_LEN bytes, zero-terminated.
 */
ngx_uint_t ngx_http_background_few_connections(u_char *text);


/*
 * A thread pool for those steps of I/O kinds that block but take no CPU, as
 * open() and read() of a file: for ngx_thread_task_post().  To be called by a
 * command's handler; all kinds share the pool.  Returns NULL on errors.
 *
 * "cancel" does not wait for such a step.  So what it uses, the task included,
 * must not be in the run's pool, and its event's handler must know when there
 * is no run any more.
 */
ngx_thread_pool_t *ngx_http_background_blocking_pool(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BACKGROUND_H_INCLUDED_ */
