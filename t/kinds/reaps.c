
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * reaps: a module with children of its own, that handles SIGCHLD instead of
 * nginx and waits for any child.  Each request of the location starts a child;
 * the response says how many statuses were as expected, how many were not, and
 * how many were of processes that are not this module's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/wait.h>


#define REAPS_CHILDREN  4096


typedef struct {
    ngx_pid_t     pid;
    int           code;
} reaps_child_t;


static ngx_int_t reaps_init_process(ngx_cycle_t *cycle);
static ngx_int_t reaps_handler(ngx_http_request_t *r);
static void reaps_signal(int signo);
static char *reaps(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static reaps_child_t          reaps_children[REAPS_CHILDREN];
static volatile sig_atomic_t  reaps_right, reaps_wrong, reaps_others;


static ngx_command_t  reaps_commands[] = {

    { ngx_string("reaps"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      reaps,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  reaps_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  reaps_module = {
    NGX_MODULE_V1,
    &reaps_module_ctx,
    reaps_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, reaps_init_process, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
reaps_init_process(ngx_cycle_t *cycle)
{
    struct sigaction  sa;

    ngx_memzero(&sa, sizeof(struct sigaction));
    sa.sa_handler = reaps_signal;
    sa.sa_flags = SA_RESTART;
    sigemptyset(&sa.sa_mask);

    return sigaction(SIGCHLD, &sa, NULL) == -1 ? NGX_ERROR : NGX_OK;
}


static void
reaps_signal(int signo)
{
    int        status, saved;
    ngx_int_t  i;
    ngx_pid_t  pid;

    saved = errno;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {

        for (i = 0; i < REAPS_CHILDREN; i++) {
            if (reaps_children[i].pid == pid) {
                break;
            }
        }

        if (i == REAPS_CHILDREN) {
            reaps_others++;
            continue;
        }

        reaps_children[i].pid = 0;

        if (WIFEXITED(status) && WEXITSTATUS(status) == reaps_children[i].code)
        {
            reaps_right++;

        } else {
            reaps_wrong++;
        }
    }

    errno = saved;
}


static ngx_int_t
reaps_handler(ngx_http_request_t *r)
{
    int                        code;
    u_char                    *p;
    sigset_t                   set, old;
    ngx_int_t                  i;
    ngx_pid_t                  pid;
    ngx_http_complex_value_t   cv;

    code = ngx_random() % 256;

    /* a child must not end before its pid is stored */

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &set, &old);

    for (i = 0; i < REAPS_CHILDREN && reaps_children[i].pid; i++) {
        /* void */
    }

    pid = (i < REAPS_CHILDREN) ? fork() : -1;

    if (pid == 0) {
        _exit(code);
    }

    if (pid > 0) {
        reaps_children[i].pid = pid;
        reaps_children[i].code = code;
    }

    (void) sigprocmask(SIG_SETMASK, &old, NULL);

    if (pid == -1) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, 3 * NGX_INT32_LEN + 3);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value.data = p;
    cv.value.len = ngx_sprintf(p, "%d %d %d\n", (int) reaps_right,
                               (int) reaps_wrong, (int) reaps_others)
                   - p;

    return ngx_http_send_response(r, NGX_HTTP_OK, NULL, &cv);
}


static char *
reaps(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = reaps_handler;

    return NGX_CONF_OK;
}
