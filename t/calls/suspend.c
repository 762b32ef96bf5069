
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * To be preloaded: the machine seems to have been suspended for as many seconds
 * as the file has that SUSPEND_FILE names.  Only CLOCK_BOOTTIME includes them.
 */


#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int          fd;
    char         text[32];
    ssize_t      n;
    const char  *file;

    if (syscall(SYS_clock_gettime, id, ts) == -1) {
        return -1;
    }

    file = (id == CLOCK_BOOTTIME) ? getenv("SUSPEND_FILE") : NULL;
    fd = file ? open(file, O_RDONLY|O_CLOEXEC) : -1;

    if (fd != -1) {
        n = read(fd, text, sizeof(text) - 1);

        if (n > 0) {
            text[n] = '\0';
            ts->tv_sec += strtol(text, NULL, 10);
        }

        (void) close(fd);
    }

    return 0;
}
