
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_exec_run.h"

#include <poll.h>
#include <sys/mman.h>
#include <linux/sockios.h>


/* a longer line of output is cut in the log, in bytes */
#define NGX_HTTP_BACKGROUND_EXEC_LINE  1024

/* the period in which cancelling is checked, in milliseconds */
#define NGX_HTTP_BACKGROUND_EXEC_POLL  10

/* nginx kills workers that have not exited after 1.5 seconds */
#define NGX_HTTP_BACKGROUND_EXEC_TERMINATE  1000

/* how long the helper may leave SIGKILL unread, in milliseconds */
#define NGX_HTTP_BACKGROUND_EXEC_HANGS  10000

/* the largest pipe that a command can make of its output */
#define NGX_HTTP_BACKGROUND_EXEC_PIPE  (1024 * 1024)


/* the output of the command to a descriptor */

typedef struct {
    ngx_fd_t       fd;                 /* NGX_INVALID_FILE: it has ended */
    ngx_uint_t     quiet;              /* unsigned  quiet:1; is not logged */
    size_t         len;                /* of the line that has begun */
    u_char         line[NGX_HTTP_BACKGROUND_EXEC_LINE];
    size_t         last_len;           /* of the last line with a text */
    u_char         last[NGX_HTTP_BACKGROUND_ERROR_LEN];
} ngx_http_background_exec_stream_t;


typedef struct {
    ngx_http_background_run_t          *run;
    ngx_http_background_exec_conf_t    *conf;

    ngx_fd_t                            control;
    ngx_http_background_exec_stream_t   out;
    ngx_http_background_exec_stream_t   err;

    /* the helper's ends */
    ngx_fd_t                            helper;
    ngx_http_background_exec_command_t  command;

    pid_t                               pid;        /* 0: not known */
    int                                 status;

    uint64_t                            kill_at;    /* the time of SIGKILL after
                                                       SIGTERM, in ms */
    uint64_t                            terminated; /* the same when the worker
                                                       is terminated, or 0 */
    uint64_t                            looked;     /* at what is unread */
    uint64_t                            unread;     /* for so long, in ms */

    unsigned                            stopping:1;
    unsigned                            killed:1;
    unsigned                            over:1;     /* a report says so, or
                                                       there will be none */
    unsigned                            ended:1;    /* with that status */
} ngx_http_background_exec_t;


static ngx_int_t ngx_http_background_exec_open(ngx_http_background_exec_t *x);
static ngx_int_t ngx_http_background_exec_pipe(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream, ngx_fd_t *writer);
static ngx_int_t ngx_http_background_exec_stdin(ngx_http_background_exec_t *x);
static ngx_fd_t ngx_http_background_exec_memory(
    ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_exec_values(
    ngx_http_background_exec_t *x);
static ngx_int_t ngx_http_background_exec_start(ngx_http_background_exec_t *x);
static void ngx_http_background_exec_wait(ngx_http_background_exec_t *x);
static void ngx_http_background_exec_stop(ngx_http_background_exec_t *x);
static void ngx_http_background_exec_hangs(ngx_http_background_exec_t *x,
    uint64_t now);
static void ngx_http_background_exec_signal(ngx_http_background_exec_t *x,
    int signo);
static void ngx_http_background_exec_report(ngx_http_background_exec_t *x);
static void ngx_http_background_exec_lost(ngx_http_background_exec_t *x,
    const char *error);
static void ngx_http_background_exec_result(ngx_http_background_exec_t *x);
static void ngx_http_background_exec_drain(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream);
static ssize_t ngx_http_background_exec_read(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream);
static void ngx_http_background_exec_lines(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream, u_char *p, size_t len);
static void ngx_http_background_exec_line(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream);
static void ngx_http_background_exec_close(ngx_http_background_exec_t *x,
    ngx_fd_t *fd);


void
ngx_http_background_exec_work(ngx_http_background_run_t *run)
{
    ngx_http_background_exec_t  *x;

    /* the command keeps the slot, even if other jobs wait for a thread */

    run->keep_slot = 1;

    x = ngx_pcalloc(run->pool, sizeof(ngx_http_background_exec_t));
    if (x == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    x->run = run;
    x->conf = run->conf;

    x->control = NGX_INVALID_FILE;
    x->helper = NGX_INVALID_FILE;
    x->out.fd = NGX_INVALID_FILE;
    x->err.fd = NGX_INVALID_FILE;
    x->command.in = NGX_INVALID_FILE;
    x->command.out = NGX_INVALID_FILE;
    x->command.err = NGX_INVALID_FILE;

    x->err.quiet = run->repeats;

    if (ngx_http_background_exec_open(x) == NGX_OK
        && ngx_http_background_exec_start(x) == NGX_OK)
    {
        ngx_http_background_exec_wait(x);
        ngx_http_background_exec_result(x);
    }

    ngx_http_background_exec_close(x, &x->helper);
    ngx_http_background_exec_close(x, &x->command.in);
    ngx_http_background_exec_close(x, &x->command.out);
    ngx_http_background_exec_close(x, &x->command.err);
    ngx_http_background_exec_close(x, &x->control);
    ngx_http_background_exec_close(x, &x->out.fd);
    ngx_http_background_exec_close(x, &x->err.fd);
}


static ngx_int_t
ngx_http_background_exec_open(ngx_http_background_exec_t *x)
{
    int  fds[2];

    if (ngx_http_background_exec_values(x) != NGX_OK) {
        ngx_http_background_fail(&x->run->result, 0, "no memory");
        return NGX_ERROR;
    }

    if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, fds) == -1) {
        ngx_http_background_fail(&x->run->result, ngx_errno,
                                 "socketpair() failed");
        return NGX_ERROR;
    }

    x->control = fds[0];
    x->helper = fds[1];

    if (ngx_http_background_exec_pipe(x, &x->out, &x->command.out) != NGX_OK
        || ngx_http_background_exec_pipe(x, &x->err, &x->command.err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return x->conf->input ? ngx_http_background_exec_stdin(x) : NGX_OK;
}


/* writes of the command block, as programs expect */

static ngx_int_t
ngx_http_background_exec_pipe(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream, ngx_fd_t *writer)
{
    int  fds[2];

    if (pipe2(fds, O_CLOEXEC) == -1) {
        ngx_http_background_fail(&x->run->result, ngx_errno, "pipe2() failed");
        return NGX_ERROR;
    }

    stream->fd = fds[0];
    *writer = fds[1];

    if (ngx_nonblocking(fds[0]) == -1) {
        ngx_http_background_fail(&x->run->result, ngx_errno,
                                 ngx_nonblocking_n " failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The input is a file, in which the command can seek.  The file of a request is
 * opened again for reading, as a duplicated descriptor would share the offset.
 */

static ngx_int_t
ngx_http_background_exec_stdin(ngx_http_background_exec_t *x)
{
    u_char                      path[sizeof("/proc/self/fd/") + NGX_INT_T_LEN];
    ngx_fd_t                    fd;
    ngx_http_background_run_t  *run;

    run = x->run;
    fd = ngx_http_background_input_file(run);

    if (fd == NGX_INVALID_FILE) {
        x->command.in = ngx_http_background_exec_memory(run);

        return (x->command.in == NGX_INVALID_FILE) ? NGX_ERROR : NGX_OK;
    }

    (void) ngx_sprintf(path, "/proc/self/fd/%d%Z", fd);

    x->command.in = open((char *) path, O_RDONLY|O_CLOEXEC);

    if (x->command.in == NGX_INVALID_FILE) {
        ngx_http_background_fail(&run->result, ngx_errno,
                                 "open() of the input failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_fd_t
ngx_http_background_exec_memory(ngx_http_background_run_t *run)
{
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_str_t  input;

    if (ngx_http_background_input(run, &input) != NGX_OK) {
        return NGX_INVALID_FILE;
    }

    fd = memfd_create("ngx_http_background_exec", MFD_CLOEXEC);

    if (fd == -1) {
        ngx_http_background_fail(&run->result, ngx_errno,
                                 "memfd_create() for the input failed");
        return NGX_INVALID_FILE;
    }

    n = pwrite(fd, input.data, input.len, 0);

    if (n == -1 || (size_t) n != input.len) {
        ngx_http_background_fail(&run->result, (n == -1) ? ngx_errno : 0,
                                 "pwrite() of the input failed");
        (void) close(fd);
        return NGX_INVALID_FILE;
    }

    return fd;
}


static ngx_int_t
ngx_http_background_exec_values(ngx_http_background_exec_t *x)
{
    char                              **env, **p;
    u_char                             *name;
    uint64_t                            fence;
    ngx_uint_t                          n;
    ngx_http_background_exec_values_t  *values;

    values = x->run->ctx;

    n = x->conf->environment.nelts;

    env = values ? values->env : x->conf->env;

    p = ngx_pcalloc(x->run->pool, (n + 3) * sizeof(char *));
    name = ngx_pnalloc(x->run->pool,
                       sizeof("BACKGROUND_TASK=") + x->run->task->len);

    if (p == NULL || name == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(name, "BACKGROUND_TASK=%V%Z", x->run->task);

    ngx_memcpy(p, env, n * sizeof(char *));
    p[n] = (char *) name;

    fence = ngx_http_background_fence(x->run);

    if (fence) {
        name = ngx_pnalloc(x->run->pool,
                           sizeof("BACKGROUND_FENCE=") + NGX_INT64_LEN);
        if (name == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(name, "BACKGROUND_FENCE=%uL%Z", fence);

        p[n + 1] = (char *) name;
    }

    x->command.argv = values ? values->argv : x->conf->argv;
    x->command.env = p;
    x->command.memory = x->conf->memory;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_exec_start(ngx_http_background_exec_t *x)
{
    ngx_int_t                   rc;
    ngx_err_t                   err;
    const char                 *call;
    ngx_http_background_run_t  *run;

    run = x->run;

    for ( ;; ) {
        rc = ngx_http_background_exec_helper_send(&x->command, x->helper,
                                                  &call, run->log);
        err = ngx_errno;

        if (rc != NGX_AGAIN) {
            break;
        }

        if (ngx_http_background_cancelled(run)) {
            return NGX_ERROR;
        }

        ngx_msleep(1);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_background_fail(&run->result, 0,
                                 "arguments and environment are longer than "
                                 "%d bytes", NGX_HTTP_BACKGROUND_EXEC_BYTES);

    } else if (rc == NGX_ERROR) {
        ngx_http_background_fail(&run->result, err, "%s failed", call);
    }

    /* an end that stays open here would hide the end of file */

    ngx_http_background_exec_close(x, &x->helper);
    ngx_http_background_exec_close(x, &x->command.in);
    ngx_http_background_exec_close(x, &x->command.out);
    ngx_http_background_exec_close(x, &x->command.err);

    return rc;
}


static void
ngx_http_background_exec_wait(ngx_http_background_exec_t *x)
{
    struct pollfd  events[3];

    events[0].fd = x->control;
    events[0].events = POLLIN;
    events[1].events = POLLIN;
    events[2].events = POLLIN;

    while (!x->over) {
        events[1].fd = x->out.fd;
        events[2].fd = x->err.fd;

        if (poll(events, 3, NGX_HTTP_BACKGROUND_EXEC_POLL) > 0) {

            if (events[1].revents) {
                (void) ngx_http_background_exec_read(x, &x->out);
            }

            if (events[2].revents) {
                (void) ngx_http_background_exec_read(x, &x->err);
            }

            if (events[0].revents) {
                ngx_http_background_exec_report(x);
            }
        }

        if (!x->over) {
            ngx_http_background_exec_stop(x);
        }
    }

    ngx_http_background_exec_drain(x, &x->out);
    ngx_http_background_exec_drain(x, &x->err);
}


static void
ngx_http_background_exec_stop(ngx_http_background_exec_t *x)
{
    uint64_t  now;

    if (!x->stopping) {
        if (!ngx_http_background_cancelled(x->run) && !x->run->result.failed) {
            return;
        }

        x->stopping = 1;
        x->kill_at = ngx_http_background_usec(CLOCK_MONOTONIC) / 1000
                     + x->conf->kill;

        ngx_http_background_exec_signal(x, SIGTERM);
    }

    now = ngx_http_background_usec(CLOCK_MONOTONIC) / 1000;

    if (x->killed) {
        ngx_http_background_exec_hangs(x, now);
        return;
    }

    if (__atomic_load_n(&ngx_terminate, __ATOMIC_RELAXED)
        && x->terminated == 0)
    {
        x->terminated = now + NGX_HTTP_BACKGROUND_EXEC_TERMINATE;
        x->kill_at = ngx_min(x->kill_at, x->terminated);
    }

    if (now >= x->kill_at) {
        x->killed = 1;
        x->looked = now;

        ngx_http_background_exec_signal(x, SIGKILL);
    }
}


/*
 * A command may outlive SIGKILL: as another user, or in a system call that
 * cannot be interrupted.  A helper that does not even read the signal hangs.
 * The time in which the worker itself stands still does not count.
 */

static void
ngx_http_background_exec_hangs(ngx_http_background_exec_t *x, uint64_t now)
{
    int  n;

    if (ioctl(x->control, SIOCOUTQ, &n) == -1 || n == 0) {
        x->looked = now;
        x->unread = 0;
        return;
    }

    x->unread += ngx_min(now - x->looked, NGX_HTTP_BACKGROUND_EXEC_POLL);
    x->looked = now;

    if (x->unread < NGX_HTTP_BACKGROUND_EXEC_HANGS) {
        return;
    }

    /* its pid is still the command's, as the helper does not call waitpid() */

    ngx_http_background_exec_lost(x, "the helper process hangs");
    ngx_http_background_exec_helper_hangs(x->command.helper, x->run->log);
}


/* if the helper has ended, exec_report() notices it */

static void
ngx_http_background_exec_signal(ngx_http_background_exec_t *x, int signo)
{
    (void) send(x->control, &signo, sizeof(int), MSG_DONTWAIT|MSG_NOSIGNAL);
}


static void
ngx_http_background_exec_report(ngx_http_background_exec_t *x)
{
    ssize_t                             n;
    ngx_http_background_exec_report_t   report;

    n = recv(x->control, &report, sizeof(ngx_http_background_exec_report_t),
             MSG_DONTWAIT);

    /*
     * The error is ECONNRESET, once, if the helper has closed its end with a
     * signal in it.  Its report is still there.
     */

    if (n == -1 && (ngx_errno == NGX_EINTR || ngx_errno == NGX_EAGAIN
                    || ngx_errno == NGX_ECONNRESET))
    {
        return;
    }

    if (n != sizeof(ngx_http_background_exec_report_t)) {
        ngx_http_background_exec_lost(x, "the helper process has ended");
        return;
    }

    switch (report.event) {

    case ngx_http_background_exec_started:
        x->pid = report.pid;
        break;

    case ngx_http_background_exec_failed:
        x->over = 1;
        ngx_http_background_fail(&x->run->result, report.value, "%s failed",
                                 report.call);
        break;

    default: /* ngx_http_background_exec_ended */
        x->over = 1;
        x->ended = 1;
        x->status = report.value;
        break;
    }
}


/* the kernel kills the command with the helper, but not its children */

static void
ngx_http_background_exec_lost(ngx_http_background_exec_t *x, const char *error)
{
    x->over = 1;

    if (x->pid > 1) {
        (void) kill(-x->pid, SIGKILL);
    }

    ngx_http_background_fail(&x->run->result, 0, "%s", error);
}


/*
 * The error of a cancelled command is "timed out", or none.  The last line of
 * its stderr replaces that, as it says more.
 */

static void
ngx_http_background_exec_result(ngx_http_background_exec_t *x)
{
    ngx_uint_t                          cancelled;
    ngx_http_background_result_t       *result;
    ngx_http_background_exec_stream_t  *err;

    result = &x->run->result;
    err = &x->err;

    if (x->out.last_len) {
        ngx_http_background_message(result, "%*s", x->out.last_len,
                                    x->out.last);
    }

    if (!x->ended || result->failed) {
        return;
    }

    cancelled = x->stopping;

    if (!cancelled && WIFEXITED(x->status) && WEXITSTATUS(x->status) == 0) {
        result->completed = 1;
        return;
    }

    if (err->last_len) {
        ngx_http_background_fail(result, 0, "%*s", err->last_len, err->last);

        if (cancelled) {
            result->failed = 0;
        }

        return;
    }

    if (cancelled) {
        return;
    }

    if (WIFSIGNALED(x->status)) {
        ngx_http_background_fail(result, 0, "killed by signal %d",
                                 WTERMSIG(x->status));

    } else {
        ngx_http_background_fail(result, 0, "exited with code %d",
                                 WEXITSTATUS(x->status));
    }
}


/*
 * Reads the rest of the output.  The size is limited, as a process that has
 * left the group may still write.
 */

static void
ngx_http_background_exec_drain(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream)
{
    size_t   size;
    ssize_t  n;

    for (size = 0; size < NGX_HTTP_BACKGROUND_EXEC_PIPE; size += n) {
        n = ngx_http_background_exec_read(x, stream);

        if (n <= 0) {
            break;
        }
    }

    if (stream->len) {
        ngx_http_background_exec_line(x, stream);
    }
}


static ssize_t
ngx_http_background_exec_read(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream)
{
    u_char     buf[16384];
    ssize_t    n;
    ngx_int_t  rc;

    if (stream->fd == NGX_INVALID_FILE) {
        return 0;
    }

    n = read(stream->fd, buf, sizeof(buf));

    if (n == -1 && (ngx_errno == NGX_EINTR || ngx_errno == NGX_EAGAIN)) {
        return -1;
    }

    if (n <= 0) {
        ngx_http_background_exec_close(x, &stream->fd);
        return n;
    }

    if (stream == &x->err || !x->conf->output) {
        ngx_http_background_exec_lines(x, stream, buf, n);
        return n;
    }

    if (x->run->result.failed) {
        return n;
    }

    rc = ngx_http_background_output(x->run, buf, n);

    if (rc != NGX_OK) {
        ngx_http_background_fail(&x->run->result, 0, "%s",
                                 (rc == NGX_DECLINED)
                                 ? "too much output"
                                 : "no memory for the output");
    }

    return n;
}


static void
ngx_http_background_exec_lines(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream, u_char *p, size_t len)
{
    size_t   n, room;
    u_char  *end;

    while (len) {
        end = memchr(p, LF, len);
        n = end ? (size_t) (end - p) : len;

        room = NGX_HTTP_BACKGROUND_EXEC_LINE - stream->len;
        ngx_memcpy(stream->line + stream->len, p, ngx_min(n, room));
        stream->len += ngx_min(n, room);

        if (end) {
            ngx_http_background_exec_line(x, stream);
            n++;
        }

        p += n;
        len -= n;
    }
}


/* control characters are replaced, as they might end the line of the log */

static void
ngx_http_background_exec_line(ngx_http_background_exec_t *x,
    ngx_http_background_exec_stream_t *stream)
{
    size_t      len;
    u_char     *line;
    ngx_uint_t  i;

    line = stream->line;
    len = stream->len;

    stream->len = 0;

    for (i = 0; i < len; i++) {
        if (line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = ' ';
        }
    }

    while (len && line[len - 1] == ' ') {
        len--;
    }

    if (len == 0) {
        return;
    }

    stream->last_len = ngx_min(len, sizeof(stream->last));
    ngx_memcpy(stream->last, line, stream->last_len);

    if (!stream->quiet) {
        ngx_log_error(NGX_LOG_INFO, x->run->log, 0,
                      "background task \"%V\": exec \"%V\": %*s",
                      x->run->task, &x->conf->path, len, line);
    }
}


static void
ngx_http_background_exec_close(ngx_http_background_exec_t *x, ngx_fd_t *fd)
{
    if (*fd != NGX_INVALID_FILE && close(*fd) == -1) {
        ngx_log_error(NGX_LOG_ALERT, x->run->log, ngx_errno,
                      "background task \"%V\": exec \"%V\": close() failed",
                      x->run->task, &x->conf->path);
    }

    *fd = NGX_INVALID_FILE;
}
