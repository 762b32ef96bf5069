
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* functions that use the current folder and the umask */


#define _GNU_SOURCE

#include <ngx_http_background_call.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>


static int  met;


static void
tell(ngx_http_background_call_t *call, const char *what)
{
    char    folder[PATH_MAX];
    mode_t  mask;

    mask = umask(0);
    (void) umask(mask);

    if (getcwd(folder, sizeof(folder)) == NULL) {
        call->fail(call, "getcwd() failed");
        return;
    }

    call->message(call, "thread %ld %s %03o %s", (long) syscall(SYS_gettid),
                  what, (unsigned) mask, folder);
}


/* FILE: creates the file, which may have a relative name */

NGX_HTTP_BACKGROUND_CALL(create)
{
    FILE  *file;

    file = fopen(call->argv[0], "w");

    if (file == NULL) {
        call->fail(call, "fopen() failed");
        return 1;
    }

    return fclose(file);
}


/* FOLDER: changes the current folder */

NGX_HTTP_BACKGROUND_CALL(enter)
{
    tell(call, "found");

    if (chdir(call->argv[0]) == -1) {
        call->fail(call, "chdir() failed");
        return 1;
    }

    (void) umask(077);

    tell(call, "has");

    return 0;
}


/* waits until two calls of it run */

NGX_HTTP_BACKGROUND_CALL(meet)
{
    __atomic_fetch_add(&met, 1, __ATOMIC_SEQ_CST);

    while (__atomic_load_n(&met, __ATOMIC_SEQ_CST) < 2) {

        if (call->cancelled(call)) {
            return 0;
        }

        usleep(1000);
    }

    tell(call, "found");

    return 0;
}
