
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_fs.h"

#include <sched.h>


/* nginx sets a umask of 0 when it runs as a daemon */
#define NGX_HTTP_BACKGROUND_UMASK  (S_IWGRP|S_IWOTH)


static int         ngx_http_background_fs_folder = -1;
static mode_t      ngx_http_background_fs_umask;
static ngx_uint_t  ngx_http_background_fs_refused;    /* atomic */

static __thread ngx_uint_t  ngx_http_background_fs_own;


void
ngx_http_background_fs_open(ngx_log_t *log)
{
    mode_t  mask;

    ngx_http_background_fs_refused = 0;

    mask = umask(0);
    (void) umask(mask);

    ngx_http_background_fs_umask = mask | NGX_HTTP_BACKGROUND_UMASK;

    /* the user of the worker may have no access to the current folder */

    ngx_http_background_fs_folder = open(".", O_PATH|O_DIRECTORY|O_CLOEXEC);

    if (ngx_http_background_fs_folder == -1) {
        ngx_http_background_fs_folder = open("/", O_PATH|O_DIRECTORY|O_CLOEXEC);
    }

    if (ngx_http_background_fs_folder == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "open() \"/\" failed");
    }
}


void
ngx_http_background_fs_unshare(ngx_log_t *log)
{
    if (ngx_http_background_fs_folder == -1) {
        return;
    }

    if (unshare(CLONE_FS) == -1) {

        if (!__atomic_exchange_n(&ngx_http_background_fs_refused, 1,
                                 __ATOMIC_RELAXED))
        {
            ngx_log_error(NGX_LOG_NOTICE, log, ngx_errno,
                          "background: unshare(CLONE_FS) of a thread failed, "
                          "jobs have the worker's folder and umask");
        }

        return;
    }

    ngx_http_background_fs_own = 1;

    ngx_http_background_fs_restore(log);
}


void
ngx_http_background_fs_restore(ngx_log_t *log)
{
    if (!ngx_http_background_fs_own) {
        return;
    }

    (void) umask(ngx_http_background_fs_umask);

    if (fchdir(ngx_http_background_fs_folder) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "background: fchdir() of a thread failed");
    }
}


void
ngx_http_background_fs_close(ngx_log_t *log)
{
    if (ngx_http_background_fs_folder == -1) {
        return;
    }

    if (close(ngx_http_background_fs_folder) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "close() failed");
    }

    ngx_http_background_fs_folder = -1;
}
