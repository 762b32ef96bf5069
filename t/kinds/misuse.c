
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * misuse HOW: an operation that breaks a rule of ngx_http_background.h, on the
 * event loop or, with names such as "work-done", on a thread of the pool.
 */


#include <ngx_http_background.h>
#include <ngx_event.h>
#include <sys/wait.h>


typedef void (*misuse_pt)(ngx_http_background_run_t *run);


typedef struct {
    ngx_str_t   name;
    misuse_pt   start;
    misuse_pt   cancel;
    misuse_pt   work;
} misuse_t;


static void misuse_twice(ngx_http_background_run_t *run);
static void misuse_timer(ngx_http_background_run_t *run);
static void misuse_never(ngx_http_background_run_t *run);
static void misuse_late(ngx_http_background_run_t *run);
static void misuse_late_handler(ngx_event_t *ev);
static void misuse_step(ngx_http_background_run_t *run);
static void misuse_step_done(void *data, ngx_log_t *log);
static void misuse_step_then(ngx_http_background_run_t *run, void *data);
static void misuse_nothing(ngx_http_background_run_t *run);
static void misuse_failed(ngx_http_background_run_t *run);
static void misuse_active(ngx_http_background_run_t *run);
static void misuse_lengths(ngx_http_background_run_t *run);
static void misuse_format(ngx_http_background_run_t *run);
static void misuse_message(ngx_http_background_run_t *run);
static void misuse_asks(ngx_http_background_run_t *run);
static void misuse_sleeps(ngx_http_background_run_t *run);
static void misuse_null(ngx_http_background_run_t *run);
static void misuse_work_done(ngx_http_background_run_t *run);
static void misuse_work_nothing(ngx_http_background_run_t *run);
static void misuse_work_exits(ngx_http_background_run_t *run);
static void misuse_work_process(ngx_http_background_run_t *run);
static char *misuse(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static misuse_t  misuses[] = {
    { ngx_string("twice"), misuse_twice, misuse_never, NULL },
    { ngx_string("timer"), misuse_timer, misuse_never, NULL },
    { ngx_string("never"), misuse_never, misuse_never, NULL },
    { ngx_string("in-cancel"), misuse_never, ngx_http_background_done, NULL },
    { ngx_string("after-cancel"), misuse_never, misuse_late, NULL },
    { ngx_string("step"), misuse_step, misuse_never, NULL },
    { ngx_string("nothing"), misuse_nothing, misuse_never, NULL },
    { ngx_string("failed"), misuse_failed, misuse_never, NULL },
    { ngx_string("active"), misuse_active, misuse_never, NULL },
    { ngx_string("lengths"), misuse_lengths, misuse_never, NULL },
    { ngx_string("format"), misuse_format, misuse_never, NULL },
    { ngx_string("message"), misuse_message, misuse_never, NULL },
    { ngx_string("asks"), misuse_asks, misuse_never, NULL },
    { ngx_string("sleeps"), misuse_sleeps, misuse_never, NULL },
    { ngx_string("null"), misuse_null, misuse_never, NULL },
    { ngx_string("work-done"), NULL, NULL, misuse_work_done },
    { ngx_string("work-nothing"), NULL, NULL, misuse_work_nothing },
    { ngx_string("work-exits"), NULL, NULL, misuse_work_exits },
    { ngx_string("work-process"), NULL, NULL, misuse_work_process },
    { ngx_null_string, NULL, NULL, NULL }
};


static ngx_command_t  misuse_commands[] = {

    { ngx_string("misuse"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      misuse,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


ngx_http_background_kind_module(misuse_module, misuse_commands);


static void
misuse_twice(ngx_http_background_run_t *run)
{
    run->result.completed = 1;

    ngx_http_background_done(run);
    ngx_http_background_done(run);
}


/* the run is freed after the first call */

static void
misuse_timer(ngx_http_background_run_t *run)
{
    ngx_http_background_timer(run, 1, misuse_twice);
}


static void
misuse_never(ngx_http_background_run_t *run)
{
    /* void */
}


/* the run is freed before the timer expires */

static void
misuse_late(ngx_http_background_run_t *run)
{
    static ngx_event_t  ev;

    ev.handler = misuse_late_handler;
    ev.data = run;
    ev.log = ngx_cycle->log;
    ev.cancelable = 1;

    ngx_add_timer(&ev, 1);
}


static void
misuse_late_handler(ngx_event_t *ev)
{
    ngx_http_background_done(ev->data);
}


static void
misuse_step(ngx_http_background_run_t *run)
{
    if (ngx_http_background_step(run, &run, sizeof(run), misuse_step_done,
                                 misuse_step_then)
        != NGX_OK)
    {
        ngx_http_background_done(run);
    }
}


static void
misuse_step_done(void *data, ngx_log_t *log)
{
    ngx_http_background_run_t **run = data;

    ngx_http_background_done(*run);
}


static void
misuse_step_then(ngx_http_background_run_t *run, void *data)
{
    if (run) {
        ngx_http_background_complete(run);
    }
}


static void
misuse_nothing(ngx_http_background_run_t *run)
{
    ngx_http_background_done(run);
}


static void
misuse_failed(ngx_http_background_run_t *run)
{
    run->result.failed = 1;

    ngx_http_background_done(run);
}


static void
misuse_active(ngx_http_background_run_t *run)
{
    run->result.active = -1;
}


static void
misuse_lengths(ngx_http_background_run_t *run)
{
    ngx_memset(run->result.error, 'e', NGX_HTTP_BACKGROUND_ERROR_LEN);
    ngx_memset(run->result.message, 'm', NGX_HTTP_BACKGROUND_MESSAGE_LEN);

    run->result.failed = 1;
    run->result.error_len = 1000000000;
    run->result.message_len = 1000000000;

    ngx_http_background_done(run);
}


static void
misuse_format(ngx_http_background_run_t *run)
{
    ngx_http_background_fail(&run->result, 0, NULL);
    ngx_http_background_done(run);
}


static void
misuse_message(ngx_http_background_run_t *run)
{
    ngx_http_background_message(&run->result, NULL);
    ngx_http_background_complete(run);
}


static void
misuse_asks(ngx_http_background_run_t *run)
{
    if (ngx_http_background_cancelled(run)) {
        ngx_http_background_fail(&run->result, 0, "told to stop");
    }

    ngx_http_background_complete(run);
}


static void
misuse_sleeps(ngx_http_background_run_t *run)
{
    ngx_msleep(600);
    ngx_http_background_complete(run);
}


static void
misuse_null(ngx_http_background_run_t *run)
{
    char *volatile text = NULL;

    ngx_http_background_fail(&run->result, 0, "%s", text);
    ngx_http_background_done(run);
}


static void
misuse_work_done(ngx_http_background_run_t *run)
{
    run->result.completed = 1;

    ngx_http_background_done(run);
}


static void
misuse_work_nothing(ngx_http_background_run_t *run)
{
    /* void */
}


static void
misuse_work_exits(ngx_http_background_run_t *run)
{
    ngx_log_error(NGX_LOG_NOTICE, run->log, 0, "misuse: the thread ends");

    pthread_exit(NULL);
}


/* as system() does, which may get the status of the child before nginx */

static void
misuse_work_process(ngx_http_background_run_t *run)
{
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        _exit(0);
    }

    while (pid != -1 && kill(pid, 0) == 0) {

        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ngx_msleep(1);
    }

    if (waitpid(pid, NULL, 0) == -1) {
        ngx_http_background_fail(&run->result, ngx_errno, "waitpid() failed");
        return;
    }

    run->result.completed = 1;
}


/* the structure of the kind is on the stack */

static char *
misuse(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                        *rv;
    misuse_t                    *m;
    ngx_str_t                   *value;
    ngx_http_background_kind_t   kind;

    value = cf->args->elts;

    for (m = misuses; m->name.len; m++) {
        if (ngx_strcmp(m->name.data, value[1].data) == 0) {
            break;
        }
    }

    ngx_memzero(&kind, sizeof(ngx_http_background_kind_t));

    kind.start = m->start;
    kind.cancel = m->cancel;
    kind.work = m->work;

    rv = ngx_http_background_add_operation(cf, &kind, NULL);

    ngx_memset(&kind, 0xff, sizeof(ngx_http_background_kind_t));

    return rv;
}
