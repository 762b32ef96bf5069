
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_exec_helper.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>


/* linux/ioprio.h is not in every distribution's headers */
#define NGX_HTTP_BACKGROUND_EXEC_IOPRIO_PROCESS  1

/* descriptors that come with a command: control, stdout, stderr, stdin */
#define NGX_HTTP_BACKGROUND_EXEC_FDS  4

/* more than there may be threads in a worker */
#define NGX_HTTP_BACKGROUND_EXEC_CHILDREN  1024

/* before the commands: the socket, and signals */
#define NGX_HTTP_BACKGROUND_EXEC_EVENTS  2

/* the highest descriptor where there is no limit and no close_range() */
#define NGX_HTTP_BACKGROUND_EXEC_FD_MAX  1048576

/* how long an exiting worker waits for its helper, in milliseconds */
#define NGX_HTTP_BACKGROUND_EXEC_WAIT  200


/* a message to the helper; the strings of the command follow */

typedef struct {
    ngx_uint_t     argc;
    ngx_uint_t     envc;
    size_t         memory;
    int            nice;
    int            ioprio;
    int            policy;
    ngx_uint_t     affine;              /* unsigned  affine:1; */
    cpu_set_t      cpus;
} ngx_http_background_exec_header_t;


typedef struct {
    ngx_http_background_exec_header_t   header;
    u_char                              strings[NGX_HTTP_BACKGROUND_EXEC_BYTES];
} ngx_http_background_exec_message_t;


/* data of the helper, which vfork() shares with the child until execve() */

typedef struct {
    ngx_http_background_exec_message_t  message;
    char      *argv[NGX_HTTP_BACKGROUND_EXEC_STRINGS + 1];
    char      *env[NGX_HTTP_BACKGROUND_EXEC_STRINGS + 1];
    ngx_fd_t   fds[NGX_HTTP_BACKGROUND_EXEC_FDS];
    pid_t      pid;                     /* the helper's */
    ngx_fd_t   socket;

    struct pollfd  events[NGX_HTTP_BACKGROUND_EXEC_EVENTS
                          + NGX_HTTP_BACKGROUND_EXEC_CHILDREN];
    pid_t      children[NGX_HTTP_BACKGROUND_EXEC_CHILDREN];
    ngx_uint_t nchildren;

    volatile ngx_err_t           err;
    const char *volatile         call;
} ngx_http_background_exec_helper_t;


static ngx_int_t ngx_http_background_exec_helper_fork(const char **call,
    ngx_log_t *log);
static void ngx_http_background_exec_helper_close(ngx_log_t *log);
static ngx_int_t ngx_http_background_exec_strings(u_char **p, u_char *last,
    char **strings, ngx_uint_t *n);
static void ngx_http_background_exec_class(
    ngx_http_background_exec_header_t *header);
static ngx_int_t ngx_http_background_exec_sendmsg(ngx_fd_t fd,
    ngx_http_background_exec_header_t *header, u_char *strings, size_t len,
    ngx_fd_t *fds, ngx_uint_t nfds);

static void ngx_http_background_exec_process(ngx_fd_t fd);
static void ngx_http_background_exec_process_init(ngx_fd_t fd);
static void ngx_http_background_exec_close_from(int fd);
static void ngx_http_background_exec_receive(void);
static ngx_uint_t ngx_http_background_exec_fds(struct msghdr *msg);
static ngx_int_t ngx_http_background_exec_parse(size_t len);
static ngx_int_t ngx_http_background_exec_split(u_char **p, u_char *last,
    char **strings, ngx_uint_t n);
static void ngx_http_background_exec_begin(ngx_uint_t nfds);
static pid_t ngx_http_background_exec_vfork(void);
static void ngx_http_background_exec_child(void);
static ngx_int_t ngx_http_background_exec_child_init(void);
static ngx_int_t ngx_http_background_exec_child_class(
    ngx_http_background_exec_header_t *header);
static ngx_int_t ngx_http_background_exec_child_fds(void);
static void ngx_http_background_exec_control(ngx_uint_t n);
static void ngx_http_background_exec_reap(void);
static void ngx_http_background_exec_over(ngx_uint_t n, int status);
static void ngx_http_background_exec_report(ngx_fd_t fd,
    ngx_http_background_exec_event_e event, pid_t pid, int value,
    const char *call);
static void ngx_http_background_exec_finish(void);
static ngx_int_t ngx_http_background_exec_kill_children(void);


static pthread_mutex_t  ngx_http_background_exec_mutex =
    PTHREAD_MUTEX_INITIALIZER;

/* under the mutex */
static ngx_fd_t  ngx_http_background_exec_socket = NGX_INVALID_FILE;
static pid_t     ngx_http_background_exec_pid;

static ngx_http_background_exec_helper_t  ngx_http_background_exec_helper;


ngx_int_t
ngx_http_background_exec_helper_start(ngx_log_t *log)
{
    ngx_int_t    rc;
    const char  *call;

    rc = NGX_OK;

    (void) pthread_mutex_lock(&ngx_http_background_exec_mutex);

    if (ngx_http_background_exec_socket == NGX_INVALID_FILE) {
        rc = ngx_http_background_exec_helper_fork(&call, log);

        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "background: %s of the helper process for commands "
                          "failed", call);
        }
    }

    (void) pthread_mutex_unlock(&ngx_http_background_exec_mutex);

    return rc;
}


/*
 * The caller holds the mutex.  Signals are blocked, as no signal handler of
 * nginx may run in the helper.
 */

static ngx_int_t
ngx_http_background_exec_helper_fork(const char **call, ngx_log_t *log)
{
    int        fds[2];
    pid_t      pid;
    sigset_t   set, old;
    ngx_err_t  err;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, fds) == -1) {
        *call = "socketpair()";
        return NGX_ERROR;
    }

    sigfillset(&set);

    (void) pthread_sigmask(SIG_SETMASK, &set, &old);

    pid = fork();
    err = ngx_errno;

    if (pid == 0) {
        ngx_http_background_exec_process(fds[1]);
    }

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    (void) close(fds[1]);

    if (pid == -1) {
        (void) close(fds[0]);
        ngx_set_errno(err);
        *call = "fork()";
        return NGX_ERROR;
    }

    ngx_http_background_exec_socket = fds[0];
    ngx_http_background_exec_pid = pid;

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "background: start helper process %P for commands", pid);

    return NGX_OK;
}


/*
 * The helper exits when its socket is closed.  SIGCHLD is blocked, as otherwise
 * the signal handler of nginx would log this exit.
 */

void
ngx_http_background_exec_helper_stop(ngx_log_t *log)
{
    pid_t       pid;
    sigset_t    set;
    ngx_uint_t  i;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);

    (void) pthread_sigmask(SIG_BLOCK, &set, NULL);

    (void) pthread_mutex_lock(&ngx_http_background_exec_mutex);

    pid = ngx_http_background_exec_pid;

    if (ngx_http_background_exec_socket != NGX_INVALID_FILE) {
        ngx_http_background_exec_helper_close(log);

        for (i = 0; i < NGX_HTTP_BACKGROUND_EXEC_WAIT; i++) {
            if (waitpid(pid, NULL, WNOHANG) != 0) {
                break;
            }

            ngx_msleep(1);
        }
    }

    (void) pthread_mutex_unlock(&ngx_http_background_exec_mutex);
}


void
ngx_http_background_exec_helper_hangs(pid_t pid, ngx_log_t *log)
{
    (void) pthread_mutex_lock(&ngx_http_background_exec_mutex);

    if (pid == ngx_http_background_exec_pid
        && ngx_http_background_exec_socket != NGX_INVALID_FILE)
    {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "background: helper process %P for commands hangs, it is "
                      "killed", pid);

        (void) kill(pid, SIGKILL);

        ngx_http_background_exec_helper_close(log);
    }

    (void) pthread_mutex_unlock(&ngx_http_background_exec_mutex);
}


static void
ngx_http_background_exec_helper_close(ngx_log_t *log)
{
    if (close(ngx_http_background_exec_socket) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "close() of the helper's socket failed");
    }

    ngx_http_background_exec_socket = NGX_INVALID_FILE;
}


ngx_int_t
ngx_http_background_exec_helper_send(
    ngx_http_background_exec_command_t *command, ngx_fd_t control,
    const char **call, ngx_log_t *log)
{
    u_char                             *p, *strings, *last;
    ngx_fd_t                            fds[NGX_HTTP_BACKGROUND_EXEC_FDS];
    ngx_int_t                           rc;
    ngx_uint_t                          nfds;
    ngx_http_background_exec_header_t   header;

    strings = ngx_alloc(NGX_HTTP_BACKGROUND_EXEC_BYTES, log);
    if (strings == NULL) {
        *call = "malloc()";
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    ngx_memzero(&header, sizeof(ngx_http_background_exec_header_t));

    p = strings;
    last = strings + NGX_HTTP_BACKGROUND_EXEC_BYTES;

    if (ngx_http_background_exec_strings(&p, last, command->argv, &header.argc)
        != NGX_OK
        || ngx_http_background_exec_strings(&p, last, command->env,
                                            &header.envc)
           != NGX_OK)
    {
        ngx_free(strings);
        return NGX_DECLINED;
    }

    header.memory = command->memory;

    ngx_http_background_exec_class(&header);

    nfds = 0;

    fds[nfds++] = control;
    fds[nfds++] = command->out;
    fds[nfds++] = command->err;

    if (command->in != NGX_INVALID_FILE) {
        fds[nfds++] = command->in;
    }

    (void) pthread_mutex_lock(&ngx_http_background_exec_mutex);

    rc = NGX_DECLINED;

    if (ngx_http_background_exec_socket != NGX_INVALID_FILE) {
        rc = ngx_http_background_exec_sendmsg(ngx_http_background_exec_socket,
                                              &header, strings, p - strings,
                                              fds, nfds);
        if (rc == NGX_DECLINED) {
            ngx_log_error(NGX_LOG_ALERT, log, 0,
                          "background: helper process %P for commands has "
                          "ended", ngx_http_background_exec_pid);

            ngx_http_background_exec_helper_close(log);
        }
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_background_exec_helper_fork(call, log);

        if (rc == NGX_OK) {
            rc = ngx_http_background_exec_sendmsg(
                                              ngx_http_background_exec_socket,
                                              &header, strings, p - strings,
                                              fds, nfds);
            *call = "sendmsg() to the helper process";
        }

    } else {
        *call = "sendmsg() to the helper process";
    }

    command->helper = ngx_http_background_exec_pid;

    (void) pthread_mutex_unlock(&ngx_http_background_exec_mutex);

    ngx_free(strings);

    return (rc == NGX_DECLINED) ? NGX_ERROR : rc;
}


static ngx_int_t
ngx_http_background_exec_strings(u_char **p, u_char *last, char **strings,
    ngx_uint_t *n)
{
    size_t  len;

    for (*n = 0; strings[*n]; (*n)++) {
        len = ngx_strlen(strings[*n]) + 1;

        if (len > (size_t) (last - *p)
            || *n == NGX_HTTP_BACKGROUND_EXEC_STRINGS)
        {
            return NGX_DECLINED;
        }

        *p = ngx_cpymem(*p, strings[*n], len);
    }

    return NGX_OK;
}


/* a value that cannot be read stays as it is in the helper */

static void
ngx_http_background_exec_class(ngx_http_background_exec_header_t *header)
{
    header->nice = getpriority(PRIO_PROCESS, 0);
    header->policy = sched_getscheduler(0);
    header->ioprio = syscall(SYS_ioprio_get,
                             NGX_HTTP_BACKGROUND_EXEC_IOPRIO_PROCESS, 0);

    if (sched_getaffinity(0, sizeof(cpu_set_t), &header->cpus) == 0) {
        header->affine = 1;
    }
}


/* NGX_DECLINED: the helper has ended */

static ngx_int_t
ngx_http_background_exec_sendmsg(ngx_fd_t fd,
    ngx_http_background_exec_header_t *header, u_char *strings, size_t len,
    ngx_fd_t *fds, ngx_uint_t nfds)
{
    struct iovec    iov[2];
    struct msghdr   msg;
    struct cmsghdr *cmsg;

    union {
        struct cmsghdr  cm;
        char            space[CMSG_SPACE(NGX_HTTP_BACKGROUND_EXEC_FDS
                                         * sizeof(int))];
    } control;

    ngx_memzero(&msg, sizeof(struct msghdr));
    ngx_memzero(&control, sizeof(control));

    iov[0].iov_base = header;
    iov[0].iov_len = sizeof(ngx_http_background_exec_header_t);
    iov[1].iov_base = strings;
    iov[1].iov_len = len;

    msg.msg_iov = iov;
    msg.msg_iovlen = 2;
    msg.msg_control = control.space;
    msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));

    cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
    ngx_memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));

    while (sendmsg(fd, &msg, MSG_DONTWAIT|MSG_NOSIGNAL) == -1) {

        switch (ngx_errno) {

        case NGX_EINTR:
            break;

        case NGX_EAGAIN:
            return NGX_AGAIN;

        case NGX_EPIPE:
        case NGX_ECONNRESET:
            return NGX_DECLINED;

        default:
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The following functions run in the helper.  It logs nothing. */

static void
ngx_http_background_exec_process(ngx_fd_t fd)
{
    ngx_uint_t                          i;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    ngx_http_background_exec_process_init(fd);

    for ( ;; ) {
        if (poll(h->events, NGX_HTTP_BACKGROUND_EXEC_EVENTS + h->nchildren, -1)
            == -1)
        {
            if (ngx_errno == NGX_EINTR || ngx_errno == NGX_ENOMEM) {
                continue;
            }

            ngx_http_background_exec_finish();
        }

        if (h->events[1].revents) {
            ngx_http_background_exec_reap();
            continue;
        }

        /* backwards, as the last child takes the place of a removed one */

        for (i = h->nchildren; i--; /* void */ ) {
            if (h->events[NGX_HTTP_BACKGROUND_EXEC_EVENTS + i].revents) {
                ngx_http_background_exec_control(i);
            }
        }

        if (h->events[0].revents) {
            ngx_http_background_exec_receive();
        }
    }
}


/* commands have no terminal, and their umask is 022 */

static void
ngx_http_background_exec_process_init(ngx_fd_t fd)
{
    int                                 i;
    sigset_t                            set;
    struct sigaction                    sa;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    ngx_setproctitle("background exec helper");

    ngx_memzero(&sa, sizeof(struct sigaction));
    sa.sa_handler = SIG_DFL;
    sigemptyset(&sa.sa_mask);

    for (i = 1; i < NSIG; i++) {
        (void) sigaction(i, &sa, NULL);
    }

    h->pid = getpid();
    h->nchildren = 0;

    (void) setsid();
    (void) umask(022);

    /* a process that has left its group becomes a child of the helper */

    if (chdir("/") == -1
        || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1
        || (fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) == -1)
    {
        _exit(1);
    }

    for (i = 0; i < 3; i++) {
        (void) close(i);

        if (open("/dev/null", O_RDWR) == -1
            && fcntl(fd, F_DUPFD_CLOEXEC, i) == -1)
        {
            _exit(1);
        }
    }

    if (fd > 3) {
        if (dup3(fd, 3, O_CLOEXEC) == -1) {
            _exit(1);
        }
    }

    ngx_http_background_exec_close_from(4);

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);

    h->socket = 3;

    h->events[0].fd = 3;
    h->events[0].events = POLLIN;
    h->events[1].fd = signalfd(-1, &set, SFD_NONBLOCK|SFD_CLOEXEC);
    h->events[1].events = POLLIN;

    if (h->events[1].fd == -1) {
        _exit(1);
    }
}


static void
ngx_http_background_exec_close_from(int fd)
{
    int            n;
    struct rlimit  limit;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, fd, ~0U, 0) == 0) {
        return;
    }
#endif

    /* before Linux 5.9 */

    n = NGX_HTTP_BACKGROUND_EXEC_FD_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0
        && limit.rlim_cur < (rlim_t) n)
    {
        n = limit.rlim_cur;
    }

    for ( /* void */ ; fd < n; fd++) {
        (void) close(fd);
    }
}


static void
ngx_http_background_exec_receive(void)
{
    ssize_t                             n;
    ngx_uint_t                          i, nfds;
    struct iovec                        iov;
    struct msghdr                       msg;
    ngx_http_background_exec_helper_t  *h;

    union {
        struct cmsghdr  cm;
        char            space[CMSG_SPACE(NGX_HTTP_BACKGROUND_EXEC_FDS
                                         * sizeof(int))];
    } control;

    h = &ngx_http_background_exec_helper;

    ngx_memzero(&msg, sizeof(struct msghdr));

    iov.iov_base = &h->message;
    iov.iov_len = sizeof(ngx_http_background_exec_message_t);

    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.space;
    msg.msg_controllen = sizeof(control.space);

    n = recvmsg(h->socket, &msg, MSG_CMSG_CLOEXEC|MSG_DONTWAIT);

    if (n == -1 && (ngx_errno == NGX_EINTR || ngx_errno == NGX_EAGAIN)) {
        return;
    }

    if (n <= 0) {
        ngx_http_background_exec_finish();
    }

    nfds = ngx_http_background_exec_fds(&msg);

    if (!(msg.msg_flags & (MSG_TRUNC|MSG_CTRUNC))
        && nfds >= 3
        && h->nchildren < NGX_HTTP_BACKGROUND_EXEC_CHILDREN
        && ngx_http_background_exec_parse(n) == NGX_OK)
    {
        ngx_http_background_exec_begin(nfds);
        return;
    }

    for (i = 0; i < nfds; i++) {
        (void) close(h->fds[i]);
    }
}


static ngx_uint_t
ngx_http_background_exec_fds(struct msghdr *msg)
{
    size_t                              len;
    struct cmsghdr                     *cmsg;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    cmsg = CMSG_FIRSTHDR(msg);

    if (cmsg == NULL || cmsg->cmsg_level != SOL_SOCKET
        || cmsg->cmsg_type != SCM_RIGHTS)
    {
        return 0;
    }

    len = ngx_min(cmsg->cmsg_len - CMSG_LEN(0), sizeof(h->fds));

    ngx_memcpy(h->fds, CMSG_DATA(cmsg), len);

    return len / sizeof(int);
}


static ngx_int_t
ngx_http_background_exec_parse(size_t len)
{
    u_char                             *p, *last;
    ngx_http_background_exec_helper_t  *h;
    ngx_http_background_exec_header_t  *header;

    h = &ngx_http_background_exec_helper;
    header = &h->message.header;

    if (len <= sizeof(ngx_http_background_exec_header_t)) {
        return NGX_ERROR;
    }

    p = h->message.strings;
    last = p + len - sizeof(ngx_http_background_exec_header_t);

    if (last[-1] != '\0' || header->argc == 0) {
        return NGX_ERROR;
    }

    if (ngx_http_background_exec_split(&p, last, h->argv, header->argc)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_background_exec_split(&p, last, h->env, header->envc);
}


static ngx_int_t
ngx_http_background_exec_split(u_char **p, u_char *last, char **strings,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    if (n > NGX_HTTP_BACKGROUND_EXEC_STRINGS) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (*p == last) {
            return NGX_ERROR;
        }

        strings[i] = (char *) *p;
        *p += ngx_strlen(*p) + 1;
    }

    strings[n] = NULL;

    return NGX_OK;
}


static void
ngx_http_background_exec_begin(ngx_uint_t nfds)
{
    pid_t                               pid;
    ngx_uint_t                          i;
    struct pollfd                      *event;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    if (nfds == 3) {
        h->fds[3] = 0;
    }

    h->err = 0;

    pid = ngx_http_background_exec_vfork();

    if (pid == -1) {
        h->err = ngx_errno;
        h->call = "vfork()";

    } else if (h->err) {
        (void) waitpid(pid, NULL, 0);
    }

    for (i = 1; i < nfds; i++) {
        (void) close(h->fds[i]);
    }

    if (h->err) {
        ngx_http_background_exec_report(h->fds[0],
                                        ngx_http_background_exec_failed, 0,
                                        h->err, h->call);
        (void) close(h->fds[0]);
        return;
    }

    ngx_http_background_exec_report(h->fds[0],
                                    ngx_http_background_exec_started, pid, 0,
                                    NULL);

    event = &h->events[NGX_HTTP_BACKGROUND_EXEC_EVENTS + h->nchildren];

    event->fd = h->fds[0];
    event->events = POLLIN;
    event->revents = 0;

    h->children[h->nchildren++] = pid;
}


/* the child runs on the stack of a function that has not returned */

static pid_t
ngx_http_background_exec_vfork(void)
{
    pid_t  pid;

    pid = vfork();

    if (pid == 0) {
        ngx_http_background_exec_child();
    }

    return pid;
}


static void
ngx_http_background_exec_child(void)
{
    sigset_t                            set;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    if (ngx_http_background_exec_child_init() == NGX_OK
        && ngx_http_background_exec_child_class(&h->message.header) == NGX_OK
        && ngx_http_background_exec_child_fds() == NGX_OK)
    {
        sigemptyset(&set);
        (void) sigprocmask(SIG_SETMASK, &set, NULL);

        h->call = "execve()";
        (void) execve(h->argv[0], h->argv, h->env);
    }

    h->err = ngx_errno ? ngx_errno : NGX_EINVAL;

    _exit(1);
}


static ngx_int_t
ngx_http_background_exec_child_init(void)
{
    struct rlimit                       limit;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    h->call = "setpgid()";

    if (setpgid(0, 0) == -1) {
        return NGX_ERROR;
    }

    /* the command ends with the helper, which may have ended before prctl() */

    h->call = "prctl()";

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1) {
        return NGX_ERROR;
    }

    if (getppid() != h->pid) {
        _exit(1);
    }

    if (h->message.header.memory == 0) {
        return NGX_OK;
    }

    h->call = "setrlimit()";

    if (getrlimit(RLIMIT_AS, &limit) == -1) {
        return NGX_ERROR;
    }

    limit.rlim_max = ngx_min(limit.rlim_max,
                             (rlim_t) h->message.header.memory);
    limit.rlim_cur = limit.rlim_max;

    return setrlimit(RLIMIT_AS, &limit) == 0 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_background_exec_child_class(
    ngx_http_background_exec_header_t *header)
{
    struct sched_param                  param;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    h->call = "sched_setscheduler()";

    if (header->policy != -1 && header->policy != sched_getscheduler(0)) {
        ngx_memzero(&param, sizeof(struct sched_param));

        if (sched_setscheduler(0, header->policy, &param) == -1) {
            return NGX_ERROR;
        }
    }

    h->call = "setpriority()";

    if (header->nice != getpriority(PRIO_PROCESS, 0)
        && setpriority(PRIO_PROCESS, 0, header->nice) == -1)
    {
        return NGX_ERROR;
    }

    h->call = "ioprio_set()";

    if (header->ioprio > 0
        && header->ioprio != syscall(SYS_ioprio_get,
                                     NGX_HTTP_BACKGROUND_EXEC_IOPRIO_PROCESS,
                                     0)
        && syscall(SYS_ioprio_set, NGX_HTTP_BACKGROUND_EXEC_IOPRIO_PROCESS, 0,
                   header->ioprio)
           == -1)
    {
        return NGX_ERROR;
    }

    /* errors are ignored, as some of the CPUs may be gone meanwhile */

    if (header->affine) {
        (void) sched_setaffinity(0, sizeof(cpu_set_t), &header->cpus);
    }

    return NGX_OK;
}


/* descriptors of the command are above 3, as the helper uses 0 to 3 */

static ngx_int_t
ngx_http_background_exec_child_fds(void)
{
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    h->call = "dup2()";

    if ((h->fds[3] && dup2(h->fds[3], 0) == -1)
        || dup2(h->fds[1], 1) == -1
        || dup2(h->fds[2], 2) == -1)
    {
        return NGX_ERROR;
    }

    /* all have FD_CLOEXEC; one without it would be inherited by the command */

    ngx_http_background_exec_close_from(3);

    return NGX_OK;
}


/* sends a signal to the group; after the end of "control" it is SIGKILL */

static void
ngx_http_background_exec_control(ngx_uint_t n)
{
    int                                 signo;
    ssize_t                             size;
    struct pollfd                      *event;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;
    event = &h->events[NGX_HTTP_BACKGROUND_EXEC_EVENTS + n];

    size = recv(event->fd, &signo, sizeof(int), MSG_DONTWAIT);

    if (size == -1 && (ngx_errno == NGX_EINTR || ngx_errno == NGX_EAGAIN)) {
        return;
    }

    if (size == sizeof(int) && signo > 0 && signo < NSIG) {
        (void) kill(-h->children[n], signo);
        return;
    }

    (void) kill(-h->children[n], SIGKILL);

    (void) close(event->fd);
    event->fd = -1;
}


/*
 * Until waitpid() no other process can get the pid of the command, so the rest
 * of its process group is killed before.  Other children have left their group.
 */

static void
ngx_http_background_exec_reap(void)
{
    int                                 status;
    pid_t                               pid;
    siginfo_t                           si;
    ngx_uint_t                          i;
    struct signalfd_siginfo             info;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    while (read(h->events[1].fd, &info, sizeof(info)) > 0) { /* void */ }

    for ( ;; ) {
        si.si_pid = 0;

        if (waitid(P_ALL, 0, &si, WEXITED|WNOHANG|WNOWAIT) == -1
            || si.si_pid == 0)
        {
            return;
        }

        pid = si.si_pid;

        for (i = 0; i < h->nchildren; i++) {
            if (h->children[i] == pid) {
                (void) kill(-pid, SIGKILL);
                break;
            }
        }

        if (waitpid(pid, &status, 0) == pid && i < h->nchildren) {
            ngx_http_background_exec_over(i, status);
        }
    }
}


static void
ngx_http_background_exec_over(ngx_uint_t n, int status)
{
    ngx_uint_t                          last;
    struct pollfd                      *event;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;
    event = &h->events[NGX_HTTP_BACKGROUND_EXEC_EVENTS];

    if (event[n].fd != -1) {
        ngx_http_background_exec_report(event[n].fd,
                                        ngx_http_background_exec_ended,
                                        h->children[n], status, NULL);
        (void) close(event[n].fd);
    }

    last = --h->nchildren;

    h->children[n] = h->children[last];
    event[n] = event[last];
}


/* the socket has room for all reports of a command */

static void
ngx_http_background_exec_report(ngx_fd_t fd,
    ngx_http_background_exec_event_e event, pid_t pid, int value,
    const char *call)
{
    ngx_http_background_exec_report_t  report;

    ngx_memzero(&report, sizeof(ngx_http_background_exec_report_t));

    report.event = event;
    report.pid = pid;
    report.value = value;

    if (call) {
        (void) ngx_cpystrn((u_char *) report.call, (u_char *) call,
                           sizeof(report.call));
    }

    (void) send(fd, &report, sizeof(ngx_http_background_exec_report_t),
                MSG_DONTWAIT|MSG_NOSIGNAL);
}


/* the worker has ended */

static void
ngx_http_background_exec_finish(void)
{
    ngx_uint_t                          i;
    ngx_http_background_exec_helper_t  *h;

    h = &ngx_http_background_exec_helper;

    for (i = 0; i < h->nchildren; i++) {
        (void) kill(-h->children[i], SIGKILL);
    }

    /* children of a process that exits become children of the helper */

    do {
        if (ngx_http_background_exec_kill_children() != NGX_OK) {
            break;
        }

    } while (waitpid(-1, NULL, 0) != -1 || ngx_errno != ECHILD);

    _exit(0);
}


/* NGX_DECLINED: the children are unknown, as /proc is not mounted */

static ngx_int_t
ngx_http_background_exec_kill_children(void)
{
    char        buf[4096], path[64];
    pid_t       pid;
    ssize_t     n, i;
    ngx_fd_t    fd;

    (void) ngx_sprintf((u_char *) path, "/proc/self/task/%P/children%Z",
                       ngx_http_background_exec_helper.pid);

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return NGX_DECLINED;
    }

    n = read(fd, buf, sizeof(buf));
    (void) close(fd);

    pid = 0;

    for (i = 0; i < n; i++) {
        if (buf[i] >= '0' && buf[i] <= '9') {
            pid = pid * 10 + buf[i] - '0';
            continue;
        }

        if (pid > 1) {
            (void) kill(pid, SIGKILL);
        }

        pid = 0;
    }

    return NGX_OK;
}
