
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The helper process of a worker, which starts the commands of "exec", reaps
 * them, and tells how they ended.  It has no descriptor but its socket, so no
 * command inherits one, and the commands are not children of the worker, whose
 * SIGCHLD handler takes the status of any child.  When its socket ends, as the
 * worker does, it kills all that it has started.
 */


#ifndef _NGX_HTTP_BACKGROUND_EXEC_HELPER_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_EXEC_HELPER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the strings of a command, arguments and environment: number and bytes */
#define NGX_HTTP_BACKGROUND_EXEC_STRINGS  1024
#define NGX_HTTP_BACKGROUND_EXEC_BYTES    131072


typedef enum {
    ngx_http_background_exec_started = 0,
    ngx_http_background_exec_failed,
    ngx_http_background_exec_ended
} ngx_http_background_exec_event_e;


/* a report of the helper on a command */

typedef struct {
    ngx_http_background_exec_event_e   event;
    pid_t                              pid;      /* of the command */
    int                                value;    /* errno, or the status */
    char                               call[24]; /* that failed */
} ngx_http_background_exec_report_t;


/* a command to start; the arguments begin with the path */

typedef struct {
    char                             **argv;
    char                             **env;
    size_t                             memory;   /* 0: unlimited */
    ngx_fd_t                           in;       /* NGX_INVALID_FILE: none */
    ngx_fd_t                           out;
    ngx_fd_t                           err;
    pid_t                              helper;   /* set by send() */
} ngx_http_background_exec_command_t;


/*
 * start  in init_process: forks the helper, unless a thread has done so already
 * stop   in exit_process: closes its socket, and waits for it
 * hangs  on a thread of the pool: sends SIGKILL to the helper, which does not
 *        read what it is told.  Its commands end, too, and the next one starts
 *        another helper
 * send   on a thread of the pool: asks the helper, which is forked again if it
 *        has ended, to start a command with the nice value, I/O class, policy
 *        and CPUs of the calling thread.  The helper gets "control", one end
 *        of a pair of sockets.  The thread reads reports from the other end,
 *        and writes numbers of signals for the process group to it, each an
 *        int; when the thread closes it, the helper sends SIGKILL.
 *        NGX_OK; NGX_AGAIN, the socket of the helper is full; NGX_DECLINED, the
 *        strings are too long; NGX_ERROR, with the reason in errno and *call
 */
ngx_int_t ngx_http_background_exec_helper_start(ngx_log_t *log);
void ngx_http_background_exec_helper_hangs(pid_t pid, ngx_log_t *log);
void ngx_http_background_exec_helper_stop(ngx_log_t *log);
ngx_int_t ngx_http_background_exec_helper_send(
    ngx_http_background_exec_command_t *command, ngx_fd_t control,
    const char **call, ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_EXEC_HELPER_H_INCLUDED_ */
