
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * To be preloaded: the wall clock is wrong by as many seconds as the file has
 * that CLOCK_FILE names.
 */


#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    int              fd;
    char             text[32];
    ssize_t          n;
    const char      *file;
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    file = getenv("CLOCK_FILE");
    fd = file ? open(file, O_RDONLY|O_CLOEXEC) : -1;

    if (fd != -1) {
        n = read(fd, text, sizeof(text) - 1);

        if (n > 0) {
            text[n] = '\0';
            tv->tv_sec += strtol(text, NULL, 10);
        }

        (void) close(fd);
    }

    return 0;
}
