
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * lease FILE HOST MILLISECONDS [stubborn=FILE | crash=FILE]: adds lines to the
 * file: "HOST PID FENCE start|end MICROSECONDS", of the monotonic clock.  With
 * "stubborn=", it does not ask whether it is cancelled, and goes on until that
 * file is there; with "crash=", the worker dies if that file is there.
 *
 * The time of "end" is that of the last question that was answered with "go on":
 * a process that stands still then does nothing until it asks again.
 */


#include <ngx_http_background_call.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


static uint64_t
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static int
line(ngx_http_background_call_t *call, const char *what, uint64_t usec)
{
    int   fd, len, failed;
    char  text[256];

    fd = open(call->argv[0], O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0666);

    if (fd == -1) {
        call->fail(call, "%s can not be opened", call->argv[0]);
        return 1;
    }

    len = snprintf(text, sizeof(text), "%s %d %" PRIu64 " %s %" PRIu64 "\n",
                   call->argv[1], (int) getpid(), call->fence, what, usec);

    failed = (write(fd, text, len) != len);

    (void) close(fd);

    return failed;
}


NGX_HTTP_BACKGROUND_CALL(lease)
{
    int          stubborn;
    uint64_t     end, last, usec;
    const char  *how;

    how = call->argc > 3 ? call->argv[3] : "";
    stubborn = (strncmp(how, "stubborn=", 9) == 0);

    last = now();

    if (line(call, "start", last)) {
        return 1;
    }

    if (strncmp(how, "crash=", 6) == 0 && access(how + 6, F_OK) == 0) {
        (void) raise(SIGTRAP);     /* which sanitizers do not report */
    }

    if (stubborn) {
        while (access(how + 9, F_OK) == -1) {
            (void) usleep(500);
        }

        return line(call, "end", now());
    }

    end = last + strtoull(call->argv[2], NULL, 10) * 1000;

    for ( ;; ) {
        usec = now();

        if (usec >= end || call->cancelled(call)) {
            return line(call, "end", last);
        }

        last = usec;
        (void) usleep(500);
    }
}
