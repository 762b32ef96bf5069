
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * To be preloaded: the wall clock is wrong by as many seconds as the file has
 * that CLOCK_FILE names.
 */


#define _GNU_SOURCE

#include "seconds.h"

#include <sys/time.h>
#include <time.h>


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec + seconds_of("CLOCK_FILE");
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}
