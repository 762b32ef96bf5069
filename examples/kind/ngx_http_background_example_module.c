/* Copyright (C) The ngx_http_background_module authors */

/* "pause TIME;" waits.  "disk_space PATH SIZE;" fails if less is free. */

#include <ngx_http_background.h>
#include <sys/statvfs.h>

typedef struct {
    ngx_str_t   path;
    off_t       size;
    ngx_msec_t  time;
} example_conf_t;

static void                                  /* called on the event loop */
pause_start(ngx_http_background_run_t *run)
{
    ngx_http_background_timer(run, ((example_conf_t *) run->conf)->time,
                              ngx_http_background_complete);
}

static void                                  /* called on a thread, may block */
disk_space_work(ngx_http_background_run_t *run)
{
    example_conf_t  *conf = run->conf;
    struct statvfs   fs;

    if (statvfs((char *) conf->path.data, &fs) == -1) {
        ngx_http_background_fail_path(&run->result, NULL, &conf->path,
                                      ngx_errno, "statvfs() %s failed");
    } else if (fs.f_bavail * fs.f_frsize < (uint64_t) conf->size) {
        ngx_http_background_fail(&run->result, 0, "less than that is free");
    } else {
        run->result.completed = 1;
    }
}

static ngx_command_t  example_commands[] = {
    ngx_http_background_command("pause", NGX_CONF_TAKE1, example_conf_t,
        ngx_http_background_io(pause_start, ngx_http_background_cancel_none),
        ngx_http_background_param("", time, example_conf_t, time, NULL)),
    ngx_http_background_command("disk_space", NGX_CONF_TAKE2, example_conf_t,
        ngx_http_background_cpu(disk_space_work),
        ngx_http_background_param("", file, example_conf_t, path, NULL),
        ngx_http_background_param("", offset, example_conf_t, size, NULL)),
    ngx_null_command
};

ngx_http_background_kind_module(ngx_http_background_example_module,
                                example_commands);
