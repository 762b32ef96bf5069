
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What an operation kind may use: the public interface of the module.
 *
 * A kind is an nginx HTTP module with one command of the context
 * NGX_HTTP_BACKGROUND_TASK_CONF.  The command's handler parses its arguments,
 * then hands a description of the kind and its own configuration to
 * ngx_http_background_add_operation().  The built-in kinds, in requests/,
 * files/ and jobs/, use nothing else.
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


/*
 * What a run did; the kind fills it in, it starts as zeroes.  A run that
 * completes nothing and fails nothing is a failure, unless it is cancelled or
 * allow_empty is set.
 */

typedef struct {
    ngx_uint_t    completed;      /* operations that succeeded */
    ngx_uint_t    failed;         /* operations that failed; counted by
                                     ngx_http_background_fail() */
    ngx_uint_t    active;         /* operations that are under way: what a
                                     timeout counts as failed, at least one */
    uint64_t      bytes;          /* data processed, in bytes */
    ngx_uint_t    allow_empty;    /* there may be nothing to do: a run that
                                     completes nothing is a success */
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
    ngx_uint_t                     keep_slot;
                                          /* CPU kinds: the job may hold a lock
                                             when it asks whether to stop, and
                                             never waits for others then */
    ngx_uint_t                     retry;
                                          /* the cycle is one of "retry", and
                                             all of the work is due later: what
                                             had failed in the last one will
                                             do.  A kind that does all clears
                                             it */
    ngx_uint_t                     resumes;
                                          /* to be set by a kind that does so:
                                             all of the work stays due each
                                             "interval" */
    ngx_uint_t                     restore_fs;
                                          /* CPU kinds: the work may change the
                                             thread's folder or umask, which
                                             are set back when it is over */
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
 *         leaves behind must not touch the run any more.  If start itself stops
 *         the cycle, cancel is called when start has returned.
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
 *
 * A kind may also have
 *
 * check   when the configuration is complete, so that all that other modules
 *         have in it is known and merged.  Here, cf->ctx and cf->args are those
 *         of the directive, whose file and line an error gets that is logged.
 *         Returns NGX_OK or, when it has logged an error, NGX_ERROR.  In a task
 *         that is in no server, location configurations are not merged
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
 * Parameters of a directive: "name=value" in any order, and flags.  A table of
 * them, which ends with ngx_http_background_null_param, is for
 * ngx_http_background_conf_params().  One that is not in the table, or that is
 * given twice, is an error, as is a value that "set" does not accept.
 *
 * An argument without a name has an empty one in the table; the first such
 * argument is for the first such line, and so on.
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
    ngx_str_t                    name;       /* "count=", or "brief", a flag,
                                                or "" */
    ngx_uint_t                   multiple;   /* may be given more than once */
    ngx_http_background_set_pt   set;
    size_t                       offset;     /* of what p points to, in conf */
    const void                  *post;       /* for "set" */
} ngx_http_background_param_t;


#define ngx_http_background_null_param  { ngx_null_string, 0, NULL, 0, NULL }


/*
 * What numbers, times and sizes have as "post"; NULL: any value from 0 on.  An
 * error is, for instance, 'invalid count "count=0" in "connect" directive, it
 * must be a number from 1 to 5'.
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
 * file      ngx_str_t, the path of a file or folder, made absolute as paths of
 *           nginx's directives are, and zero-terminated; for "path" below, too
 *
 * path      warns if workers can't read what is there, or if there is nothing:
 *           that is no error, as it may be there when a cycle starts
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

void ngx_http_background_conf_path(ngx_conf_t *cf, ngx_str_t *path);


/*
 * What a kind was built for: the number, which changes when what this header
 * says changes otherwise, and the sizes of what the kind and the module share.
 * A kind of another ABI is an error when the configuration is read.
 */
#define NGX_HTTP_BACKGROUND_ABI                                               \
    ((uint64_t) 2 << 48                                                       \
     | (uint64_t) sizeof(ngx_http_background_run_t) << 32                     \
     | (uint64_t) sizeof(ngx_http_background_kind_t) << 16                    \
     | (uint64_t) sizeof(ngx_http_background_param_t))


/*
 * Adds an operation to the task whose block is being read.  To be called by a
 * command's handler.
 *
 * kind    copied
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
 * A directive that has no code of its own: its arguments are read into a
 * configuration of that type, which is zeroed before, by one or more
 * parameters.
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


/* of ngx_http_background_command() */

typedef struct {
    uint64_t                            abi;
    ngx_http_background_kind_t          kind;
    size_t                              conf_size;
    const ngx_http_background_param_t  *params;
} ngx_http_background_directive_t;

char *ngx_http_background_add_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/*
 * For a command's handler, behind add_operation(): the operation depends on
 * variables of the request that starts a cycle.  "prepare" is called on the
 * event loop, before start or work, and may set run->ctx, in memory of
 * run->pool.  It returns NGX_OK; NGX_DECLINED, what the variables have is no
 * argument for it; or NGX_ERROR, no memory.  The task needs "interval off", and
 * a trigger that has requests.
 */
typedef ngx_int_t (*ngx_http_background_prepare_pt)(
    ngx_http_background_run_t *run, ngx_http_request_t *r);

char *ngx_http_background_use_request(ngx_conf_t *cf,
    ngx_http_background_prepare_pt prepare);


/*
 * Tells that all of an I/O run is over.  On the event loop, and once; the run
 * may be gone when it returns.  A call from a thread, for a CPU run, or for a
 * run that is over or cancelled is logged at level "alert" and does nothing
 * else.
 */
void ngx_http_background_done(ngx_http_background_run_t *run);

/* the same, with one completed operation more */
void ngx_http_background_complete(ngx_http_background_run_t *run);

/*
 * "cancel" of a kind that begins nothing but the run's timer and steps, which
 * are looked after
 */
void ngx_http_background_cancel_none(ngx_http_background_run_t *run);


/*
 * Calls the handler of an I/O run once, after so many milliseconds, on the
 * event loop.  A run has one timer; set again, it starts anew.  It does not
 * keep a worker from exiting, and is deleted when the run is over or cancelled.
 */
void ngx_http_background_timer(ngx_http_background_run_t *run,
    ngx_msec_t time, void (*handler)(ngx_http_background_run_t *run));


/*
 * Counts one failed operation and, if it is the first, keeps the text, a
 * format of ngx_sprintf(), without the operation's name, newline or period.
 * With err the system's words are added, as in "open() "x" failed (2: No such
 * file or directory)".  The result must be in use by one thread only.
 */
void ngx_cdecl ngx_http_background_fail(ngx_http_background_result_t *result,
    ngx_err_t err, const char *fmt, ...);

/*
 * The same with the path of a file, or the end of one that is long, in quotes,
 * where the format has "%s", as in "open() %s failed".  The path is beneath
 * root; either may be NULL.
 */
void ngx_http_background_fail_path(ngx_http_background_result_t *result,
    const ngx_str_t *root, const ngx_str_t *path, ngx_err_t err,
    const char *fmt);


/*
 * Keeps a text, a format of ngx_sprintf(), that the status shows with the
 * cycle's result; the last one stays.  The result must be in use by one thread
 * only.
 */
void ngx_cdecl ngx_http_background_message(
    ngx_http_background_result_t *result, const char *fmt, ...);


/*
 * On the run's pool thread: whether to stop; 0 in an I/O kind.  Also keeps the
 * thread's share of a CPU ("quota=") and run->limit_rate, by sleeping here.
 * While other jobs wait for a thread, a job that has run for 100 milliseconds,
 * that has to sleep, or that shares the work of another one gives its turn to
 * them here and returns when it has one again, unless run->keep_slot is set.
 * So it is called often, and without a lock held that others need.
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
 * The input of the run's cycle, for a CPU kind on its pool thread: bytes that
 * the trigger has handed over, zero-length where there are none.  They belong
 * to the cycle and are valid until the run is over.  A file is mapped into
 * memory by the first call.  Returns NGX_OK, or NGX_ERROR when that fails, with
 * the reason in the result.
 */
ngx_int_t ngx_http_background_input(ngx_http_background_run_t *run,
    ngx_str_t *input);


/*
 * The end of a cycle that the run's cycle comes after, by "after" of its task;
 * where the run is, and in begin and finish only of a kind whose work can be
 * handed out in pieces.  NGX_DECLINED: another trigger has started it.  Strings
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
 * The output of the run's cycle, for its trigger.  Where the run is: on its
 * pool thread or, of an I/O kind, on the event loop.  A kind whose work can be
 * handed out in pieces has output in begin and finish only.
 *
 * output         adds bytes, which are copied.  NGX_ERROR: there is no memory,
 *                or it is more than the trigger wants (NGX_DECLINED)
 * output_type    the media type
 * output_status  the code of an HTTP response, from 200 to 599
 * output_header  adds a field of an HTTP response.  Not those that frame it or
 *                that nginx sets itself: Connection, Content-Length,
 *                Content-Type, Date, Keep-Alive, Proxy-Connection, Server, TE,
 *                Trailer, Transfer-Encoding, Upgrade
 *
 * Strings are copied.  NGX_DECLINED: the code is another one, the field is one
 * of those, its name is not a token of HTTP, or a type or value has a control
 * character but a tab.  NGX_ERROR: there is no memory, or type and fields are
 * more than 32k in all.
 *
 * All return NGX_OK otherwise.  A cycle that no trigger waits for has no room
 * for output: what is written is dropped, NGX_OK.
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
 * A step of an I/O kind that blocks but takes no CPU, as open() and read() of a
 * file, on a thread of the worker's.  On the event loop:
 *
 * data  of so many bytes, or NULL; is copied, and the copy is aligned for any
 *       type.  What it points to may be of run->conf, but not of the run, which
 *       may be gone before the step returns
 * step  on the thread; may use nothing but the data and the log
 * then  on the event loop, when the step has returned, and not before
 *       ngx_http_background_step() has.  "run" is NULL if the run is over or
 *       was cancelled: then it only gives back what the data hold, as
 *       descriptors and memory
 *
 * A run has one step under way at a time.  "cancel" does nothing about it.  One
 * that does not return keeps neither steps of other operations from their
 * threads nor a worker from exiting after "worker_shutdown_timeout"; "then" may
 * never be called in that case.  Until it returns, steps of the same operation
 * fail in the next cycles.
 *
 * Returns NGX_OK, or NGX_ERROR with the reason in the result: neither function
 * will be called.
 */

typedef void (*ngx_http_background_step_pt)(void *data, ngx_log_t *log);
typedef void (*ngx_http_background_then_pt)(ngx_http_background_run_t *run,
    void *data);

ngx_int_t ngx_http_background_step(ngx_http_background_run_t *run,
    const void *data, size_t size, ngx_http_background_step_pt step,
    ngx_http_background_then_pt then);


/*
 * The lines of a file, which is read piece by piece: its size does not matter.
 * A reader is gone with its run.
 *
 * create    does not open the file yet.  "max" is the longest line, in bytes.
 *           With an event, an I/O kind reads in steps of its run; with NULL, a
 *           CPU kind reads on its pool thread.  NULL: no memory
 * open      before the first line: NGX_OK, "info" is known; NGX_AGAIN, as of
 *           "next"; NGX_DECLINED, the file can't be opened or read, which
 *           "next" will count.  It may be left out
 * info      of the file that is read; zeroes until then
 * next      NGX_OK        a line without its line feed, until the next call
 *           NGX_DECLINED  the next line is longer than max, and is left out
 *           NGX_AGAIN     the handler of the event is called when there is more
 *           NGX_DONE      there is no more
 *           NGX_ERROR     the file can't be opened or read, which is counted as
 *                         a failure; then NGX_DONE
 * line      the number of the line that "next" has returned last, from 1
 * progress  how far the run is: how much of the file has been returned
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
 * Triggers: what starts a task's cycles beside "interval".
 *
 * A trigger is an nginx HTTP module, too.  With a command of the context
 * NGX_HTTP_BACKGROUND_TASK_CONF it calls ngx_http_background_add_trigger(), or
 * it looks a task up by its name when the configuration has been read.  In a
 * worker it then calls ngx_http_background_start() for each cycle, all on the
 * event loop.
 */

typedef struct ngx_http_background_task_s   ngx_http_background_task_t;
typedef struct ngx_http_background_cycle_s  ngx_http_background_cycle_t;


/*
 * start  in each worker, when the task's cycles may be started
 * stop   when the worker shuts down: it starts no cycle any more
 */

typedef struct {
    void       (*start)(ngx_http_background_task_t *task, void *conf);
    void       (*stop)(ngx_http_background_task_t *task, void *conf);
} ngx_http_background_trigger_t;


/*
 * Adds a trigger to the task whose block is being read; trigger and conf are
 * kept by reference.  Returns NGX_CONF_OK or NGX_CONF_ERROR.
 */
#define ngx_http_background_add_trigger(cf, trigger, conf)                    \
    ngx_http_background_add_trigger_of(cf, trigger, conf,                     \
                                       NGX_HTTP_BACKGROUND_TRIGGER_ABI)

char *ngx_http_background_add_trigger_of(ngx_conf_t *cf,
    const ngx_http_background_trigger_t *trigger, void *conf, uint64_t abi);


/*
 * The task of that name, whose cycles the caller will start, or NULL.  To be
 * called in postconfiguration, when all tasks are known.
 */
#define ngx_http_background_find(cf, name)                                    \
    ngx_http_background_find_of(cf, name, NGX_HTTP_BACKGROUND_TRIGGER_ABI)

ngx_http_background_task_t *ngx_http_background_find_of(ngx_conf_t *cf,
    ngx_str_t *name, uint64_t abi);

/* how many operations each of its cycles has */
ngx_uint_t ngx_http_background_operations(ngx_http_background_task_t *task);


typedef enum {
    ngx_http_background_success = 0,
    ngx_http_background_failure,
    ngx_http_background_cancel
} ngx_http_background_outcome_e;


/* what a run has left for the trigger; it lives as long as the cycle */

typedef struct {
    ngx_chain_t                    *out;        /* NULL: nothing */
    ngx_chain_t                    *last;       /* private */
    size_t                          size;       /* bytes in all */
    size_t                          max;        /* private */
    size_t                          strings;    /* private */
    ngx_uint_t                      status;     /* 0: not set */
    ngx_str_t                       type;       /* empty: not set */
    ngx_array_t                    *headers;    /* of ngx_keyval_t, or NULL */
} ngx_http_background_output_t;


/*
 * A cycle to start, zeroed but for what is wanted.  The task's "timeout" counts
 * from when its first job had a thread.
 *
 * cause       why, for the status; the first 40 bytes are kept
 * input       bytes in memory, which are copied, or
 * in_file     in "file", of file_size bytes, which the cycle closes, also where
 *             it is not started
 * max_output  in bytes
 * concurrency how many cycles that triggers have started may be under way of
 *             the task in this worker, with this one; 0: any number
 * waiting     counts the trigger's jobs that wait for a thread, or NULL; the
 *             trigger only reads it, on the event loop
 * queue       how many of these may be there before this cycle; 0: any number.
 *             "max_queue" is the limit of all jobs
 * request     whose variables the operations may use, by start() only, or NULL
 * finish      somebody waits for it: it starts and goes on while the worker
 *             shuts down
 * handler     is called when the cycle is over, maybe before start() returns;
 *             then or later the trigger calls ngx_http_background_free().
 *             NULL: nobody waits
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


/* how a cycle ended; strings live as long as the cycle */

typedef struct {
    ngx_http_background_outcome_e   outcome;
    ngx_uint_t                      timed_out;  /* a failure after "timeout" */
    ngx_str_t                       error;      /* of a failure */
    ngx_msec_t                      wall_time;
    ngx_msec_t                      waited;     /* until the first of its jobs
                                                   had a thread */
    uint64_t                        cpu_usec;
    ngx_http_background_output_t   *output;     /* of the first run that has
                                                   some, or of the first one */
} ngx_http_background_end_t;


/* as NGX_HTTP_BACKGROUND_ABI, for triggers */
#define NGX_HTTP_BACKGROUND_TRIGGER_ABI                                       \
    ((uint64_t) 1 << 48                                                       \
     | (uint64_t) sizeof(ngx_http_background_start_t) << 32                   \
     | (uint64_t) sizeof(ngx_http_background_end_t) << 16                     \
     | (uint64_t) sizeof(ngx_http_background_output_t))


/*
 * start   begins a cycle.  NGX_OK: the handler will be called, or was.  Else it
 *         will not be: NGX_BUSY, as many of the task's cycles are under way or
 *         as many jobs wait as may be; NGX_DECLINED, the task is quarantined or
 *         the worker shuts down; NGX_ABORT, an operation refuses what the
 *         request's variables have; NGX_ERROR, no memory
 * waits   whether it is under way, and no job of it has had a thread
 * stop    cancels a cycle that is under way; its handler is called at once, or
 *         when a job of it has come home.  Not to be called after the handler
 * detach  nobody waits for it any more: its handler will not be called, and it
 *         frees itself.  Not to be called after the handler
 * end     what has become of it, in the handler or later
 * free    frees it, in the handler or later
 */
ngx_int_t ngx_http_background_start(ngx_http_background_task_t *task,
    ngx_http_background_start_t *start, ngx_http_background_cycle_t **cycle);
ngx_uint_t ngx_http_background_waits(ngx_http_background_cycle_t *cycle);
void ngx_http_background_stop(ngx_http_background_cycle_t *cycle);
void ngx_http_background_detach(ngx_http_background_cycle_t *cycle);
const ngx_http_background_end_t *ngx_http_background_end(
    ngx_http_background_cycle_t *cycle);
void ngx_http_background_free(ngx_http_background_cycle_t *cycle);


#endif /* _NGX_HTTP_BACKGROUND_H_INCLUDED_ */
