/* Copyright (C) The ngx_http_background_module authors */

/* Two operation kinds: "pause TIME;" waits, "disk_space PATH SIZE;" looks. */

#include <ngx_http_background.h>
#include <ngx_event.h>
#include <sys/statvfs.h>

typedef struct {
    ngx_str_t    path;
    ngx_int_t    number;                     /* milliseconds, or bytes */
} example_conf_t;

static void
pause_handler(ngx_event_t *ev)
{
    ngx_http_background_run_t *run = ev->data;

    run->result.completed = 1;
    ngx_http_background_done(run);
}

static void                                  /* on the event loop */
pause_start(ngx_http_background_run_t *run)
{
    ngx_event_t  *ev = ngx_pcalloc(run->pool, sizeof(ngx_event_t));

    if (ev == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_http_background_done(run);
        return;
    }
    ev->handler = pause_handler;
    ev->data = run;
    ev->log = run->log;
    ev->cancelable = 1;                      /* holds no exit */
    ngx_add_timer(ev, ((example_conf_t *) run->conf)->number);
    run->ctx = ev;
}

static void
pause_cancel(ngx_http_background_run_t *run)
{
    ngx_del_timer((ngx_event_t *) run->ctx);
}

static void                                  /* on a thread, may block */
disk_space_work(ngx_http_background_run_t *run)
{
    example_conf_t  *conf = run->conf;
    struct statvfs   fs;

    if (statvfs((char *) conf->path.data, &fs) == -1) {
        ngx_http_background_fail(&run->result, ngx_errno, "statvfs() failed");
    } else if (fs.f_bavail * fs.f_frsize < (uint64_t) conf->number) {
        ngx_http_background_fail(&run->result, 0, "less than that is free");
    } else {
        run->result.completed = 1;
    }
}

static ngx_http_background_kind_t
    pause_kind = { pause_start, pause_cancel, NULL, NULL, NULL },
    disk_space_kind = { NULL, NULL, NULL, disk_space_work, NULL };

static char *
example_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *main_conf)
{
    ngx_str_t       *value = cf->args->elts;
    ngx_uint_t       pause = (cf->args->nelts == 2);
    example_conf_t  *conf = ngx_palloc(cf->pool, sizeof(example_conf_t));

    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }
    conf->path = value[1];
    conf->number = pause ? ngx_parse_time(&value[1], 0)
                         : ngx_parse_offset(&value[2]);
    if (conf->number == NGX_ERROR) {
        return pause ? "has an invalid time" : "has an invalid size";
    }
    return ngx_http_background_add_operation(cf, pause ? &pause_kind
                                                   : &disk_space_kind, conf);
}

static ngx_command_t  example_commands[] = {
    { ngx_string("pause"), NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1,
      example_directive, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },
    { ngx_string("disk_space"), NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE2,
      example_directive, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  example_ctx;       /* nothing but the commands */

ngx_module_t  ngx_http_background_example_module = {
    NGX_MODULE_V1, &example_ctx, example_commands, NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};
