
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * To be preloaded: the machine seems to have been suspended for as many seconds
 * as the file has that SUSPEND_FILE names.  Only CLOCK_BOOTTIME includes them.
 */


#define _GNU_SOURCE

#include "seconds.h"

#include <sys/syscall.h>
#include <time.h>


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (syscall(SYS_clock_gettime, id, ts) == -1) {
        return -1;
    }

    if (id == CLOCK_BOOTTIME) {
        ts->tv_sec += seconds_of("SUSPEND_FILE");
    }

    return 0;
}
