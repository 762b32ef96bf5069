
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The public interface for operation kinds and triggers.
 *
 * A kind is an nginx HTTP module with one command of the context
 * NGX_HTTP_BACKGROUND_TASK_CONF.  The handler of the command parses the
 * arguments and passes a description of the kind and its configuration to
 * ngx_http_background_add_operation().  The built-in kinds in requests/,
 * files/, and jobs/ use nothing else.
 */


#ifndef _NGX_HTTP_BACKGROUND_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_thread_pool.h>


/*
 * The context of "background_task NAME { }", for the type of a command.
 * "conf" of the command is an NGX_HTTP_*_CONF_OFFSET, as in any HTTP module:
 * the handler gets the main, server, or location configuration of its own
 * module.
 */
#define NGX_HTTP_BACKGROUND_TASK_CONF  0x00020000

/* the longest error text, in bytes; longer ones are truncated */
#define NGX_HTTP_BACKGROUND_ERROR_LEN  512

/* the longest message, in bytes */
#define NGX_HTTP_BACKGROUND_MESSAGE_LEN  128


/*
 * The result of a run.  The kind sets it; it is zeroed before.  A run that
 * completes nothing and fails nothing is a failure, unless it is cancelled or
 * allow_empty is set.
 */

typedef struct {
    ngx_uint_t    completed;      /* operations that succeeded */
    ngx_uint_t    failed;         /* operations that failed; counted by
                                     ngx_http_background_fail() */
    ngx_uint_t    active;         /* operations under way; if the cycle times
                                     out, they count as failed, at least one */
    uint64_t      bytes;          /* bytes of processed data */
    ngx_uint_t    allow_empty;    /* a run that completes nothing is a
                                     success */
    ngx_msec_t    io_time;        /* I/O kinds: the sum of the waiting times of
                                     all operations, in milliseconds */
    size_t        error_len;
    u_char        error[NGX_HTTP_BACKGROUND_ERROR_LEN];
                                  /* of the first failure; without one, a CPU
                                     kind that was told to stop may leave it
                                     for a time-out, in the place of "timed
                                     out" */
    size_t        message_len;
    u_char        message[NGX_HTTP_BACKGROUND_MESSAGE_LEN];
    time_t        expires;        /* when what the message names expires, for
                                     a metric; 0: nothing does */
} ngx_http_background_result_t;


/*
 * One run of an operation in one cycle.  The run and all memory from its pool
 * are freed at the end of the cycle.
 */

typedef struct {
    void                          *conf;  /* as passed to add_operation() */
    void                          *ctx;   /* used by the kind, initially NULL */
    ngx_pool_t                    *pool;  /* used by this run only: a CPU kind
                                             may use it on the pool thread; its
                                             cleanup handlers are called on the
                                             event loop */
    ngx_log_t                     *log;   /* may be used on a pool thread,
                                             too */
    ngx_str_t                     *task;  /* name of the task */
    void                          *cycle; /* private */
    ngx_uint_t                     repeats;
                                          /* the task has failed so often that
                                             the same failure would not be
                                             logged: the kind should log no
                                             details of it either */
    size_t                         limit_rate;
                                          /* CPU kinds: result.bytes per
                                             second, of all threads together,
                                             0: unlimited; enforced by
                                             ngx_http_background_cancelled() */
    ngx_uint_t                     keep_slot;
                                          /* CPU kinds: the job may have a lock
                                             when it calls
                                             ngx_http_background_cancelled(),
                                             so it is not parked there */
    ngx_uint_t                     retry;
                                          /* the cycle was started by "retry"
                                             and a cycle with all items is due
                                             later: the kind may run only the
                                             items that failed in the last
                                             cycle.  A kind that runs all items
                                             clears it */
    ngx_uint_t                     resumes;
                                          /* set by a kind that runs only
                                             failed items on "retry": cycles
                                             with all items keep their
                                             "interval" */
    ngx_uint_t                     restore_thread;
                                          /* CPU kinds: the work may change the
                                             folder, the umask, or the signal
                                             mask of the thread, which are
                                             restored after it */
    ngx_http_background_result_t   result;
} ngx_http_background_run_t;


/*
 * A kind is either an I/O kind ("start" and "cancel") or a CPU kind ("work").
 *
 * start   called on the event loop: starts the operation and must not block.
 *         When the operation is over the kind calls ngx_http_background_done()
 *         once; it may do so in start
 * cancel  called on the event loop, between start and done: stops all that
 *         start has begun, such as timers and connections, and does not call
 *         done.  Nothing may use the run after that.  If start itself stops
 *         the cycle, cancel is called when start has returned
 * work    called on a pool thread, may block.  It calls
 *         ngx_http_background_cancelled() at least every millisecond or every
 *         64 KiB of data, and returns soon after that has returned 1.  It may
 *         call only functions that this header marks for pool threads and
 *         those that nginx allows there: logging, allocation from run->pool,
 *         system calls.  It must not start a process: nginx would take the
 *         exit status of the child, and the child would inherit sockets of
 *         clients
 *
 * A CPU kind whose work can be divided has "begin", other kinds have NULL
 * there:
 *
 * begin   called on a pool thread, before any work: sets run->ctx, which all
 *         threads share.  If it fails or is cancelled, work is not called
 * work    called at the same time on as many threads as the budget grants, at
 *         most "background_threads".  Each call has a run of its own, with the
 *         same conf and ctx.  It returns when nothing is left to do; after
 *         that no further call is made
 * finish  optional; called on a pool thread if begin was called, when all
 *         calls of work have returned, with the run of begin.  It may
 *         not be called if the process exits at once: then only cleanup
 *         handlers of the pool of the run are called
 *
 * Other combinations are an error while the configuration is read.
 *
 * A kind may also have
 *
 * check   called when the configuration is complete, so that the
 *         configurations of all modules are merged.  cf->ctx and cf->args are
 *         those of the directive, and an error that is logged has its file and
 *         line.  Returns NGX_OK, or NGX_ERROR if it has logged an error.  For
 *         a task outside of a server, location configurations are not merged
 */

typedef struct {
    void       (*start)(ngx_http_background_run_t *run);
    void       (*cancel)(ngx_http_background_run_t *run);
    void       (*begin)(ngx_http_background_run_t *run);
    void       (*work)(ngx_http_background_run_t *run);
    void       (*finish)(ngx_http_background_run_t *run);
    ngx_int_t  (*check)(ngx_conf_t *cf, void *conf);
} ngx_http_background_kind_t;


/*
 * Parameters of a directive: "name=value" in any order, and flags.
 * ngx_http_background_conf_params() reads them by a table that ends with
 * ngx_http_background_null_param.  A parameter that is not in the table, is
 * given twice, or has a value that "set" does not accept, is an error.
 *
 * An argument without a name has an empty name in the table.  The first such
 * argument belongs to the first such entry, and so on.
 */

/* an argument */

typedef struct {
    ngx_str_t      text;       /* "count=5", for error texts */
    ngx_str_t      value;      /* "5"; both are zero-terminated */
    const void    *post;       /* "post" of the parameter */
} ngx_http_background_arg_t;


/* stores the value in *p, or logs an error and returns NGX_ERROR */

typedef ngx_int_t (*ngx_http_background_set_pt)(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);


/* a parameter; a table may have 64 */

typedef struct {
    ngx_str_t                    name;       /* "count=", "brief" for a flag,
                                                or "" */
    ngx_uint_t                   multiple;   /* may be given more than once */
    ngx_http_background_set_pt   set;
    size_t                       offset;     /* of the field that p points to,
                                                in conf */
    const void                  *post;       /* for "set" */
} ngx_http_background_param_t;


#define ngx_http_background_null_param  { ngx_null_string, 0, NULL, 0, NULL }


/*
 * "post" of numbers, times, and sizes; NULL: any value from 0.  An error is,
 * for example, 'invalid count "count=0" in "connect" directive, it must be a
 * number from 1 to 5'.
 */

typedef struct {
    const char    *what;       /* "count" */
    int64_t        min;        /* times are in milliseconds */
    int64_t        max;
    const char    *valid;      /* NULL: "a number from MIN to MAX" */
} ngx_http_background_bounds_t;


/*
 * params    reads the arguments from number n on; returns NGX_OK, or NGX_ERROR
 *           if an error was logged
 * argument  reads an argument without a name
 * invalid   logs 'invalid WHAT "TEXT" in "DIRECTIVE" directive, it must be
 *           VALID' and returns NGX_ERROR
 *
 * The following functions are for "set":
 *
 * number  ngx_int_t, ngx_uint_t
 * time    ngx_msec_t
 * size    size_t, with the units k and m
 * offset  off_t, with the units k, m, and g
 * rate    size_t, for run->limit_rate; without bounds
 * string  ngx_str_t; without bounds
 * flag    ngx_uint_t, set to 1
 * file    ngx_str_t, a path that is made absolute as paths of directives of
 *         nginx are, zero-terminated, and checked by conf_path()
 * program ngx_str_t, the same for a file that workers execute
 *
 * path  logs a warning if the path does not exist or workers can't read it.
 *       This is no error, as it may be different when a cycle starts
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
ngx_int_t ngx_http_background_conf_file(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
ngx_int_t ngx_http_background_conf_program(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);

void ngx_http_background_conf_path(ngx_conf_t *cf, ngx_str_t *path);


/*
 * The version of the interface: a number that changes with the meaning of this
 * header, and the sizes of shared structures.  A kind that was built with
 * another value is an error while the configuration is read.
 */
#define NGX_HTTP_BACKGROUND_ABI                                               \
    ((uint64_t) 2 << 48                                                       \
     | (uint64_t) sizeof(ngx_http_background_run_t) << 32                     \
     | (uint64_t) sizeof(ngx_http_background_kind_t) << 16                    \
     | (uint64_t) sizeof(ngx_http_background_param_t))


/*
 * Adds an operation to the task whose block is read.  Called by the handler of
 * a command.
 *
 * kind  is copied
 * conf  the configuration of the operation, from cf->pool, or NULL; runs get
 *       it as run->conf and must not change it
 *
 * The directive and its first argument name the operation in log and error
 * texts, as in "digest "/srv/www"".  Returns NGX_CONF_OK or NGX_CONF_ERROR.
 */
#define ngx_http_background_add_operation(cf, kind, conf)                     \
    ngx_http_background_add_kind(cf, kind, conf, NGX_HTTP_BACKGROUND_ABI)

char *ngx_http_background_add_kind(ngx_conf_t *cf,
    const ngx_http_background_kind_t *kind, void *conf, uint64_t abi);

ngx_int_t ngx_http_background_conf_abi(ngx_conf_t *cf, uint64_t abi,
    uint64_t own);


/*
 * Defines a directive without code of its own: the arguments are read into a
 * zeroed structure of the type conf_type by one or more parameters.
 *
 *     static ngx_command_t  my_commands[] = {
 *         ngx_http_background_command("my", NGX_CONF_TAKE12, my_conf_t,
 *             ngx_http_background_cpu(my_work),
 *             ngx_http_background_param("", file, my_conf_t, path, NULL),
 *             ngx_http_background_param("count=", number, my_conf_t, count,
 *                                       &my_bounds)),
 *         ngx_null_command
 *     };
 *
 *     ngx_http_background_kind_module(my_module, my_commands);
 */
#define ngx_http_background_command(name, args, conf_type, kind, ...)         \
    { ngx_string(name), NGX_HTTP_BACKGROUND_TASK_CONF|(args),                 \
      ngx_http_background_add_directive, NGX_HTTP_MAIN_CONF_OFFSET, 0,        \
      &(ngx_http_background_directive_t) {                                    \
          NGX_HTTP_BACKGROUND_ABI, kind, sizeof(conf_type),                   \
          (const ngx_http_background_param_t []) {                            \
              __VA_ARGS__, ngx_http_background_null_param                     \
          }                                                                   \
      } }

#define ngx_http_background_io(start_function, cancel_function)               \
    { .start = start_function, .cancel = cancel_function }

#define ngx_http_background_cpu(work_function)  { .work = work_function }

#define ngx_http_background_param(name, set, conf_type, member, post)         \
    { ngx_string(name), 0, ngx_http_background_conf_##set,                    \
      offsetof(conf_type, member), post }

#define ngx_http_background_kind_module(name, commands)                       \
    static ngx_http_module_t  name##_ctx = {                                  \
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                        \
    };                                                                        \
                                                                              \
    ngx_module_t  name = {                                                    \
        NGX_MODULE_V1, &name##_ctx, commands, NGX_HTTP_MODULE,                \
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING       \
    }


/* "post" of ngx_http_background_command() */

typedef struct {
    uint64_t                            abi;
    ngx_http_background_kind_t          kind;
    size_t                              conf_size;
    const ngx_http_background_param_t  *params;
} ngx_http_background_directive_t;

char *ngx_http_background_add_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/*
 * Called by the handler of a command after add_operation(), if the operation
 * uses variables of the request that starts a cycle.  "prepare" is called on
 * the event loop before start or work, and may set run->ctx, allocated from
 * run->pool.  It returns NGX_OK; NGX_DECLINED if the values of variables are
 * no valid arguments; or NGX_ERROR if there is no memory.  The task must have
 * "interval off" and be started by requests.
 */
typedef ngx_int_t (*ngx_http_background_prepare_pt)(
    ngx_http_background_run_t *run, ngx_http_request_t *r);

char *ngx_http_background_use_request(ngx_conf_t *cf,
    ngx_http_background_prepare_pt prepare);


/*
 * Called by the handler of a command after add_operation(), if the operation
 * judges servers.  The status shows them with the task, and "workers" must be
 * "one".
 *
 * peer         called in any worker: returns the first server whose number is
 *              not less than *n, and sets *n to the number after it; NGX_DONE:
 *              there are no more
 * quarantined  called on the event loop of one worker: the task is quarantined,
 *              so verdicts must not count any more
 * order        called in any worker, may be NULL: what an operator wants of a
 *              server, until another order is given.  Returns NGX_DECLINED if
 *              there is no such server, and NGX_ABORT if it can't be drained
 */

#define NGX_HTTP_BACKGROUND_ADDRESS_LEN       120
#define NGX_HTTP_BACKGROUND_SERVER_LEN        256
#define NGX_HTTP_BACKGROUND_SERVER_ERROR_LEN  128

typedef enum {
    ngx_http_background_server_unknown = 0,     /* not judged yet */
    ngx_http_background_server_up,
    ngx_http_background_server_down,
    ngx_http_background_server_disabled         /* by the configuration, or by
                                                   an operator */
} ngx_http_background_server_e;


typedef enum {
    ngx_http_background_order_none = 0,         /* there was no order */
    ngx_http_background_order_up,               /* by verdicts only */
    ngx_http_background_order_down,
    ngx_http_background_order_drain
} ngx_http_background_order_e;


/* "drain" in "down" of a peer of http, since nginx 1.29.6; 0: there is none */
#if (defined NGX_HTTP_UPSTREAM_DRAINING)
#define NGX_HTTP_BACKGROUND_DRAIN  NGX_HTTP_UPSTREAM_DRAINING
#else
#define NGX_HTTP_BACKGROUND_DRAIN  0
#endif


/* times named "_at" are milliseconds of the wall clock, or 0 */

typedef struct {
    ngx_str_t                      upstream;
    ngx_http_background_server_e   state;
    ngx_uint_t                     backup;
    ngx_uint_t                     usable;      /* gets requests */
    uint64_t                       since_at;
    uint64_t                       fails;       /* in a row */
    uint64_t                       passes;
    uint64_t                       failed;      /* checks, in all */
    uint64_t                       passed;
    uint64_t                       changes;
    uint64_t                       finished_at; /* of the last check */
    uint64_t                       wall_time;
    ngx_uint_t                     status;      /* 0: none */
    size_t                         address_len;
    u_char                         address[NGX_HTTP_BACKGROUND_ADDRESS_LEN];
    size_t                         server_len;
    u_char                         server[NGX_HTTP_BACKGROUND_SERVER_LEN];
    size_t                         error_len;   /* of the last check */
    u_char                         error[NGX_HTTP_BACKGROUND_SERVER_ERROR_LEN];
} ngx_http_background_peer_t;


typedef struct {
    ngx_int_t                    (*peer)(void *conf, ngx_uint_t *n,
                                         ngx_http_background_peer_t *peer);
    void                         (*quarantined)(void *conf);
    ngx_int_t                    (*order)(void *conf, ngx_str_t *upstream,
                                          ngx_str_t *address,
                                          ngx_http_background_order_e order);
} ngx_http_background_judge_t;

char *ngx_http_background_use_judge(ngx_conf_t *cf,
    const ngx_http_background_judge_t *judge);


/*
 * Ends the run of an I/O kind.  Called on the event loop, once; the run may be
 * freed when it returns.  A call from a thread, for a run of a CPU kind, or
 * for a run that is over or cancelled logs an alert and does nothing else.
 */
void ngx_http_background_done(ngx_http_background_run_t *run);

/* the same, and counts a completed operation */
void ngx_http_background_complete(ngx_http_background_run_t *run);

/*
 * For "cancel" of a kind that uses only ngx_http_background_timer() and
 * ngx_http_background_step(), which need no cancellation.
 */
void ngx_http_background_cancel_none(ngx_http_background_run_t *run);


/*
 * Calls the handler of a run of an I/O kind once, after "time" milliseconds,
 * on the event loop.  A run has one timer; a second call sets it anew.  The
 * timer is cancelable, and is deleted when the run is over or cancelled.
 */
void ngx_http_background_timer(ngx_http_background_run_t *run,
    ngx_msec_t time, void (*handler)(ngx_http_background_run_t *run));


/*
 * Counts a failed operation and, if it is the first one, stores its error
 * text.  fmt is a format of ngx_sprintf(); the text should have neither the
 * name of the operation nor a full stop; control characters are replaced by
 * "?" when the cycle is over.  If err is not 0, its description is appended, as
 * in "open() "x" failed (2: No such file or directory)".  A result may be used
 * by one thread at a time.
 */
void ngx_cdecl ngx_http_background_fail(ngx_http_background_result_t *result,
    ngx_err_t err, const char *fmt, ...);

/*
 * The same, and "%s" in fmt is replaced by the quoted path of a file, as in
 * "open() %s failed"; of a long path only the end is shown.  The path is below
 * root; either may be NULL.
 */
void ngx_http_background_fail_path(ngx_http_background_result_t *result,
    const ngx_str_t *root, const ngx_str_t *path, ngx_err_t err,
    const char *fmt);


/*
 * Sets the message that the status shows with the result of the cycle, by a
 * format of ngx_sprintf().  The last message is kept.  A result may be used by
 * one thread at a time.
 */
void ngx_cdecl ngx_http_background_message(
    ngx_http_background_result_t *result, const char *fmt, ...);


/*
 * Returns 1 if the job must stop; 0 in an I/O kind.  Called on the pool thread
 * of the run.  It sleeps as required by "quota=" and run->limit_rate.  While
 * other jobs wait for a thread, a job that has run for 100 milliseconds, that
 * must sleep, or that helps another job lets them run first and returns when
 * it may continue, unless run->keep_slot is set.  So it should be called
 * often, and without a lock that other threads need.
 */
ngx_uint_t ngx_http_background_cancelled(ngx_http_background_run_t *run);


/*
 * Sets the progress of the run, in a unit of the kind; a total of 0 means that
 * it is not known.  Called on the pool thread of the run or, by an I/O kind,
 * on the event loop.
 */
void ngx_http_background_progress(ngx_http_background_run_t *run,
    uint64_t done, uint64_t total);


/*
 * Returns the input of the cycle, which its trigger has passed; an empty
 * string if there is none.  Called by a CPU kind on its pool thread.  The
 * input belongs to the cycle and is valid until the run is over.  If it is in
 * a file, the first call maps it.  Returns NGX_OK, or NGX_ERROR if that has
 * failed; the run is failed then.
 */
ngx_int_t ngx_http_background_input(ngx_http_background_run_t *run,
    ngx_str_t *input);

/* its file, which is the cycle's, or NGX_INVALID_FILE where it is in memory */
ngx_fd_t ngx_http_background_input_file(ngx_http_background_run_t *run);


/*
 * The end of a cycle that the run's cycle comes after, by "after" of its task;
 * where the run is.  NGX_DECLINED: another trigger has started it.  Strings
 * live as long as the cycle.
 */

typedef struct {
    ngx_str_t                       task;       /* name; empty: not known */
    ngx_str_t                       error;      /* of a failure */
    ngx_uint_t                      failed;     /* unsigned  failed:1; */
} ngx_http_background_predecessor_t;

ngx_int_t ngx_http_background_predecessor(ngx_http_background_run_t *run,
    ngx_http_background_predecessor_t *before);


/*
 * The output of the cycle for its trigger.  The functions are called on the
 * pool thread of the run or, by an I/O kind, on the event loop.  A kind with
 * "begin" may call them in begin and finish only.
 *
 * output         appends bytes; NGX_DECLINED: more than the trigger accepts
 * output_type    sets the media type
 * output_status  sets the code of an HTTP response, from 200 to 599
 * output_header  adds a header field of an HTTP response, except those that
 *                frame the response or are set by nginx: Connection,
 *                Content-Length, Content-Type, Date, Keep-Alive,
 *                Proxy-Connection, Server, TE, Trailer, Transfer-Encoding,
 *                Upgrade
 *
 * All strings are copied.  The functions return NGX_OK; NGX_DECLINED if the
 * code is out of range, the field is one of those above, its name is not an
 * HTTP token, or a type or value has a control character other than a tab; and
 * NGX_ERROR if there is no memory or the type and the fields exceed 32k.
 *
 * If no trigger waits for the cycle, the output is dropped and NGX_OK is
 * returned.
 */
ngx_int_t ngx_http_background_output(ngx_http_background_run_t *run,
    const void *data, size_t len);
ngx_int_t ngx_http_background_output_type(ngx_http_background_run_t *run,
    const ngx_str_t *type);
ngx_int_t ngx_http_background_output_status(ngx_http_background_run_t *run,
    ngx_uint_t code);
ngx_int_t ngx_http_background_output_header(ngx_http_background_run_t *run,
    const ngx_str_t *name, const ngx_str_t *value);


/*
 * Whether the worker has too few free connections, a sixteenth of
 * "worker_connections" or less.  An I/O kind calls it on the event loop before
 * each new connection, and fails its operation in that case: nginx would close
 * keepalive connections of clients for it.  The reason is stored in text, a
 * buffer of NGX_HTTP_BACKGROUND_ERROR_LEN bytes, zero-terminated, for
 * ngx_http_background_fail().
 */
ngx_uint_t ngx_http_background_few_connections(u_char *text);

/*
 * Reads a file with a key or a password while the configuration is read,
 * without a line end at its end.  "path" becomes a full name, of which a
 * relative one begins in the folder of the configuration.  The text is
 * overwritten when the configuration is freed.  NGX_ERROR, which was logged:
 * the file cannot be read, is none, is empty, or has more than 4096 bytes.
 */
ngx_int_t ngx_http_background_secret_read(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text);

/* returns the error of a connection that is writable, 0 if it is open */
ngx_err_t ngx_http_background_connect_error(ngx_connection_t *c);


/*
 * Pages of memory that an upgrade of the nginx binary does not lose, and that
 * the workers of both binaries share meanwhile.  A name has the name of the
 * kind in front, and a zero byte, which names of tasks can't have.
 *
 * read     returns NGX_OK if a page of this name and size was written last by a
 *          worker of another binary, or, in the master, by any worker
 * write    replaces the page.  Called by a worker; size is at most
 *          NGX_HTTP_BACKGROUND_PAGE bytes
 * changed  tells all workers that pages were written
 * changes  returns how often that was; it costs no system call.  Call it before
 *          pages are read
 */
#define NGX_HTTP_BACKGROUND_PAGE  4000

ngx_int_t ngx_http_background_page_read(ngx_str_t *name, void *data,
    size_t size);
void ngx_http_background_page_write(ngx_str_t *name, const void *data,
    size_t size, ngx_log_t *log);
void ngx_http_background_pages_changed(void);
uint64_t ngx_http_background_pages_changes(void);


/*
 * Clocks.
 *
 * wall_clock  returns the wall clock that nginx has cached, in milliseconds
 *             since the epoch.  Called on the event loop
 * usec        returns the time of a clock of clock_gettime(), in microseconds.
 *             Called on any thread
 */
uint64_t ngx_http_background_wall_clock(void);
uint64_t ngx_http_background_usec(clockid_t clock);


/*
 * Runs a step of an I/O kind that blocks but uses little CPU, such as open()
 * and read(), on a thread of the worker.  Called on the event loop.
 *
 * data  size bytes, or NULL; they are copied, and the copy is aligned for any
 *       type.  They may point to run->conf, but not to the run, which may be
 *       freed before the step has returned
 * step  called on the thread; may use only the data and the log
 * then  called on the event loop when the step has returned, and not before
 *       ngx_http_background_step() has.  run is NULL if the run is over or
 *       cancelled: then it only frees resources that the data refer to, such
 *       as descriptors
 *
 * A run has one step at a time.  "cancel" need not handle it.  A step that
 * hangs blocks neither steps of other operations nor a worker that exits by
 * "worker_shutdown_timeout"; "then" may not be called in that case.  Until it
 * returns, steps of the same operation in later cycles fail.
 *
 * Returns NGX_OK, or NGX_ERROR if the step can't be started: the run is
 * failed, and neither function is called.
 */

typedef void (*ngx_http_background_step_pt)(void *data, ngx_log_t *log);
typedef void (*ngx_http_background_then_pt)(ngx_http_background_run_t *run,
    void *data);

ngx_int_t ngx_http_background_step(ngx_http_background_run_t *run,
    const void *data, size_t size, ngx_http_background_step_pt step,
    ngx_http_background_then_pt then);


/*
 * Reads the lines of a file piece by piece: the file may have any size.  A
 * reader is freed with its run.
 *
 * create    does not open the file.  max is the length of the longest line, in
 *           bytes.  With an event an I/O kind reads by steps of its run, with
 *           NULL a CPU kind reads on its pool thread.  Returns NULL if there
 *           is no memory
 * open      optional, called before the first line.  Returns NGX_OK if the
 *           file is open and "info" is valid; NGX_AGAIN as "next" does;
 *           NGX_DECLINED if the file can't be opened or read: "next" will fail
 * info      returns the information on the open file; zeroes before that
 * next      NGX_OK        a line without its line feed, valid until the next
 *                         call
 *           NGX_DECLINED  the next line is longer than max and is skipped
 *           NGX_AGAIN     the handler of the event will be called
 *           NGX_DONE      there are no more lines
 *           NGX_ERROR     the file can't be opened or read: the run is failed;
 *                         the next call returns NGX_DONE
 * line      returns the number of the last line, from 1
 * progress  sets the progress of the run to the part of the file that was
 *           returned
 */

typedef struct ngx_http_background_reader_s  ngx_http_background_reader_t;

ngx_http_background_reader_t *ngx_http_background_reader_create(
    ngx_http_background_run_t *run, ngx_str_t *path, size_t max,
    ngx_event_t *event);
ngx_int_t ngx_http_background_reader_open(
    ngx_http_background_reader_t *reader);
ngx_file_info_t *ngx_http_background_reader_info(
    ngx_http_background_reader_t *reader);
ngx_int_t ngx_http_background_reader_next(
    ngx_http_background_reader_t *reader, ngx_str_t *line);
ngx_uint_t ngx_http_background_reader_line(
    ngx_http_background_reader_t *reader);
void ngx_http_background_reader_progress(
    ngx_http_background_reader_t *reader);


/*
 * Triggers start cycles of a task, as "interval" does.
 *
 * A trigger is an nginx HTTP module, too.  The handler of a command of the
 * context NGX_HTTP_BACKGROUND_TASK_CONF calls
 * ngx_http_background_add_trigger(), or the module looks up a task by name
 * when the configuration is complete.  In a worker it calls
 * ngx_http_background_start() for each cycle, on the event loop.
 */

typedef struct ngx_http_background_task_s   ngx_http_background_task_t;
typedef struct ngx_http_background_cycle_s  ngx_http_background_cycle_t;


/*
 * start  called in each worker when cycles of the task may be started
 * stop   called when the worker shuts down: no cycle may be started after that
 */

typedef struct {
    void       (*start)(ngx_http_background_task_t *task, void *conf);
    void       (*stop)(ngx_http_background_task_t *task, void *conf);
} ngx_http_background_trigger_t;


/*
 * Adds a trigger to the task whose block is read.  trigger and conf are not
 * copied.  Returns NGX_CONF_OK or NGX_CONF_ERROR.
 */
#define ngx_http_background_add_trigger(cf, trigger, conf)                    \
    ngx_http_background_add_trigger_of(cf, trigger, conf,                     \
                                       NGX_HTTP_BACKGROUND_TRIGGER_ABI)

char *ngx_http_background_add_trigger_of(ngx_conf_t *cf,
    const ngx_http_background_trigger_t *trigger, void *conf, uint64_t abi);


/*
 * Returns the task of that name, whose cycles the caller will start, or NULL.
 * Called in postconfiguration, when all tasks are known.
 */
#define ngx_http_background_find(cf, name)                                    \
    ngx_http_background_find_of(cf, name, NGX_HTTP_BACKGROUND_TRIGGER_ABI)

ngx_http_background_task_t *ngx_http_background_find_of(ngx_conf_t *cf,
    ngx_str_t *name, uint64_t abi);

/* returns the number of operations of the task */
ngx_uint_t ngx_http_background_operations(ngx_http_background_task_t *task);


typedef enum {
    ngx_http_background_success = 0,
    ngx_http_background_failure,
    ngx_http_background_cancel
} ngx_http_background_outcome_e;


/* the output of a cycle, freed with the cycle */

typedef struct {
    ngx_chain_t                    *out;        /* NULL: nothing */
    ngx_chain_t                    *last;       /* private */
    size_t                          size;       /* in bytes */
    size_t                          max;        /* private */
    size_t                          strings;    /* private */
    ngx_uint_t                      status;     /* 0: not set */
    ngx_str_t                       type;       /* empty: not set */
    ngx_array_t                    *headers;    /* of ngx_keyval_t, or NULL */
} ngx_http_background_output_t;


/*
 * The parameters of a new cycle; fields that are not used must be zeroed.
 * "timeout" of the task is counted from the time when a thread takes the first
 * job.
 *
 * cause        why the cycle is started, for the status; the first 40 bytes
 *              are stored
 * input        input in memory, which is copied, or
 * in_file      the input is in "file" and has file_size bytes.  The file is
 *              closed with the cycle, also if the cycle is not started
 * max_output   in bytes
 * concurrency  the limit of cycles of the task in this worker that were
 *              started by triggers, including this one; 0: no limit
 * waiting      counts jobs of the trigger that wait for a thread, or NULL; the
 *              trigger only reads it, on the event loop
 * queue        the limit of these jobs before this cycle; 0: no limit.
 *              "max_queue" limits all jobs that triggers have started
 * request      the request whose variables the operations may use, during
 *              start() only, or NULL
 * finish       a client waits for the cycle: it is started and continued while
 *              the worker shuts down
 * handler      called when the cycle is over, possibly before start() returns;
 *              the trigger must call ngx_http_background_free() then or later.
 *              If it is NULL, the cycle is freed automatically
 */

typedef struct {
    ngx_str_t                       cause;
    ngx_str_t                       input;
    ngx_uint_t                      in_file;    /* unsigned  in_file:1; */
    ngx_fd_t                        file;
    size_t                          file_size;
    size_t                          max_output;
    ngx_uint_t                      concurrency;
    ngx_uint_t                     *waiting;
    ngx_uint_t                      queue;
    ngx_http_request_t             *request;
    ngx_uint_t                      finish;     /* unsigned  finish:1; */
    void                          (*handler)(
                                          ngx_http_background_cycle_t *cycle,
                                          void *data);
    void                           *data;
} ngx_http_background_start_t;


/* the outcome of a cycle; strings are freed with the cycle */

typedef struct {
    ngx_http_background_outcome_e   outcome;
    ngx_uint_t                      timed_out;  /* a failure after "timeout" */
    ngx_str_t                       error;      /* error text of a failure */
    ngx_msec_t                      wall_time;
    ngx_msec_t                      waited;     /* until a thread took the
                                                   first job */
    uint64_t                        cpu_usec;
    ngx_http_background_output_t   *output;     /* of the first run with
                                                   output, or of the first
                                                   run */
} ngx_http_background_end_t;


/* the version of the interface for triggers, as NGX_HTTP_BACKGROUND_ABI */
#define NGX_HTTP_BACKGROUND_TRIGGER_ABI                                       \
    ((uint64_t) 1 << 48                                                       \
     | (uint64_t) sizeof(ngx_http_background_start_t) << 32                   \
     | (uint64_t) sizeof(ngx_http_background_end_t) << 16                     \
     | (uint64_t) sizeof(ngx_http_background_output_t))


/*
 * start   starts a cycle.  Returns NGX_OK if the handler will be called or was
 *         called.  Otherwise it is not called: NGX_BUSY, the limit of cycles
 *         or of waiting jobs is reached, or the "lock" of the task is not
 *         free; NGX_DECLINED, the task is paused or quarantined, or the worker
 *         runs no tasks, has lost them, or shuts down and "finish" is not set;
 *         NGX_ABORT, an operation does not accept the variables of the
 *         request; NGX_ERROR, no memory
 * waits   whether the cycle is under way and all its jobs still wait for a
 *         thread
 * stop    cancels the cycle; its handler is called at once, or when its last
 *         job has ended.  Must not be called after the handler
 * withdraw
 *         cancels a cycle of one operation if its job still waits for a
 *         thread, and calls its handler; otherwise returns 0.  Must not be
 *         called after the handler
 * detach  the handler will not be called, and the cycle is freed
 *         automatically.  Must not be called after the handler
 * end     returns the outcome, in the handler or later
 * free    frees the cycle, in the handler or later
 */
ngx_int_t ngx_http_background_start(ngx_http_background_task_t *task,
    ngx_http_background_start_t *start, ngx_http_background_cycle_t **cycle);
ngx_uint_t ngx_http_background_waits(ngx_http_background_cycle_t *cycle);
void ngx_http_background_stop(ngx_http_background_cycle_t *cycle);
ngx_uint_t ngx_http_background_withdraw(ngx_http_background_cycle_t *cycle);
void ngx_http_background_detach(ngx_http_background_cycle_t *cycle);
const ngx_http_background_end_t *ngx_http_background_end(
    ngx_http_background_cycle_t *cycle);
void ngx_http_background_free(ngx_http_background_cycle_t *cycle);


/*
 * Clusters: which one of several nginx runs a task with "workers cluster".  A
 * module of its own knows; it tells of itself in preconfiguration.
 */

/* what a task takes with it from one nginx to another */

typedef struct {
    uint64_t                        due_at;      /* the next cycle, wall clock,
                                                    in ms; 0: at once */
    uint64_t                        failures;    /* in a row */
    uint64_t                        crashes;     /* likewise */
    uint64_t                        quarantine;  /* the fence of who has put it
                                                    there; 0: it is not */
} ngx_http_background_carried_t;


/*
 * A task in the worker that has its lease in this nginx.
 *
 * granted  the task is this nginx's, as number "fence": it goes on with what
 *          was carried, NULL: with what it has itself
 * lost     it is not any more: its cycle is cancelled
 */

typedef struct ngx_http_background_claim_s  ngx_http_background_claim_t;

struct ngx_http_background_claim_s {
    void                           *conf;       /* as set by "conf" */
    ngx_str_t                      *task;
    ngx_log_t                      *log;
    void                           *ctx;        /* the provider's */
    uint64_t                        fence;      /* set by it; 0: none */
    uint64_t                        until;      /* set by it, atomically: when
                                                   jobs stop by themselves, in
                                                   ms of CLOCK_BOOTTIME; 0:
                                                   they do not */
    ngx_http_background_carried_t   carried;    /* to take along from here */
    ngx_uint_t                      other;      /* set by it: another nginx has
                                                   the task now, or will */

    void                          (*granted)(ngx_http_background_claim_t *m,
                                  const ngx_http_background_carried_t *carried);
    void                          (*lost)(ngx_http_background_claim_t *m,
                                          const char *why);
};


/* for the status; strings are copies */

#define NGX_HTTP_BACKGROUND_HOST_LEN  64

typedef enum {
    ngx_http_background_cluster_unknown = 0,    /* not known at present */
    ngx_http_background_cluster_other,          /* another nginx's */
    ngx_http_background_cluster_leader,         /* this one's */
    ngx_http_background_cluster_alone           /* this one's, as it is not
                                                   known whose it is */
} ngx_http_background_cluster_state_e;

typedef struct {
    ngx_http_background_cluster_state_e  state;
    uint64_t                             fence;
    uint64_t                             since_at;   /* wall clock, ms */
    uint64_t                             until_at;
    size_t                               len;
    u_char                               host[NGX_HTTP_BACKGROUND_HOST_LEN];
} ngx_http_background_cluster_view_t;


/* a server that the workers are connected to */

typedef struct {
    ngx_str_t                       name;
    ngx_uint_t                      workers;    /* that want a connection */
    ngx_uint_t                      connected;  /* of them */
    uint64_t                        since_at;   /* the last change; 0: none */
    size_t                          error_len;
    u_char                          error[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_uint_t                      nerrors;
    const ngx_str_t                *reasons;    /* of errors, nerrors */
    uint64_t                        errors[32];
} ngx_http_background_cluster_link_t;


/*
 * conf   reads the parameters of "workers cluster", from argument 2 on
 * want   in the worker, which has the task's lease in this nginx
 * save   "carried" is another one
 * holds  whether the task is this nginx's at this moment
 * leave  gives the task up.  With "give" at once for all; else another worker
 *        of this nginx goes on with it, without a new decision
 * exit   in exit_process, behind that
 * view   for any process that has the zone
 * link   the n-th of the servers; NGX_DONE: there are less
 */

typedef struct {
    ngx_int_t                     (*conf)(ngx_conf_t *cf, ngx_str_t *task,
                                          void **conf);
    ngx_int_t                     (*want)(ngx_http_background_claim_t *m);
    void                          (*save)(ngx_http_background_claim_t *m);
    ngx_uint_t                    (*holds)(ngx_http_background_claim_t *m);
    void                          (*leave)(ngx_http_background_claim_t *m,
                                           ngx_uint_t give);
    void                          (*exit)(void);
    void                          (*view)(void *conf,
                                     ngx_http_background_cluster_view_t *view);
    ngx_int_t                     (*link)(ngx_cycle_t *cycle, ngx_uint_t n,
                                     ngx_http_background_cluster_link_t *link);
} ngx_http_background_cluster_t;


/* as NGX_HTTP_BACKGROUND_ABI, for them */
#define NGX_HTTP_BACKGROUND_CLUSTER_ABI                                       \
    ((uint64_t) 1 << 48                                                       \
     | (uint64_t) sizeof(ngx_http_background_claim_t) << 32                  \
     | (uint64_t) sizeof(ngx_http_background_cluster_link_t) << 16            \
     | (uint64_t) sizeof(ngx_http_background_cluster_t))

/* NGX_ERROR: there is another one, which was logged */
#define ngx_http_background_add_cluster(cf, cluster)                          \
    ngx_http_background_add_cluster_of(cf, cluster,                           \
                                       NGX_HTTP_BACKGROUND_CLUSTER_ABI)

ngx_int_t ngx_http_background_add_cluster_of(ngx_conf_t *cf,
    const ngx_http_background_cluster_t *cluster, uint64_t abi);


/*
 * A number that only grows: what stores results can refuse those with a lower
 * one, of an nginx that has lost the task since.  0 where there is none.  For
 * any thread of the run.
 */
uint64_t ngx_http_background_fence(ngx_http_background_run_t *run);


#endif /* _NGX_HTTP_BACKGROUND_H_INCLUDED_ */
