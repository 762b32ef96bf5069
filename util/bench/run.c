
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Functions of "call" for requests: "empty" has no work, "loop TURNS" is so many
 * turns of a loop, "asks" goes on until it is cancelled, and asks each
 * millisecond.
 *
 * Built with -DPROGRAM, "run TURNS SECONDS" does nothing but that loop, and
 * prints how often a second.
 */


#include <ngx_http_background_call.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


/* what is done between two looks whether it is cancelled */
#define TURNS  100000


static void
turn(unsigned long turns)
{
    volatile unsigned long  n;

    for (n = 0; n < turns; n++) { /* void */ }
}


NGX_HTTP_BACKGROUND_CALL(empty)
{
    call->type(call, "text/plain");

    return call->write(call, "ok\n", 3);
}


NGX_HTTP_BACKGROUND_CALL(loop)
{
    unsigned long  turns;

    for (turns = strtoul(call->argv[0], NULL, 10);
         turns >= TURNS;
         turns -= TURNS)
    {
        turn(TURNS);

        if (call->cancelled(call)) {
            return 1;
        }
    }

    turn(turns);

    return call->write(call, "ok\n", 3);
}


NGX_HTTP_BACKGROUND_CALL(asks)
{
    while (!call->cancelled(call)) {
        (void) usleep(1000);
    }

    return 1;
}


#ifdef PROGRAM

static double
now(clockid_t clock)
{
    struct timespec  ts;

    (void) clock_gettime(clock, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


/* jobs a second, and the CPU time of one in microseconds */

int
main(int argc, char **argv)
{
    double         start, end, cpu;
    unsigned long  n, turns;

    if (argc != 3) {
        return 2;
    }

    turns = strtoul(argv[1], NULL, 10);

    start = now(CLOCK_MONOTONIC);
    end = start + atof(argv[2]);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);

    for (n = 0; n == 0 || now(CLOCK_MONOTONIC) < end; n++) {
        turn(turns);
    }

    (void) printf("%f %f\n", n / (now(CLOCK_MONOTONIC) - start),
                  (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / n);

    return 0;
}

#endif
