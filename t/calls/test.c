
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Functions for tests of "call". */


#include <ngx_http_background_call.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#ifndef VERSION
#define VERSION  "one"
#endif

#ifndef CRASH
#define CRASH  1
#endif


const int  old_call_abi = 0;
const int  later_call_abi = NGX_HTTP_BACKGROUND_CALL_ABI + 1;
int        number = 5;

int  old(void);
int  later(void);
int  bare(void);


int
old(void)
{
    return 0;
}


int
later(void)
{
    return 0;
}


int
bare(void)
{
    return 0;
}


static void
nap(long ms)
{
    usleep(ms * 1000);
}


NGX_HTTP_BACKGROUND_CALL(echo)
{
    int  i;

    if (call->argv[call->argc] != NULL) {
        return 1;
    }

    call->message(call, "%s: %d arguments", call->task, call->argc);

    for (i = 0; i < call->argc; i++) {
        call->message(call, "%d is \"%s\"\n", i, call->argv[i]);
    }

    return 0;
}


NGX_HTTP_BACKGROUND_CALL(version)
{
    call->message(call, "version " VERSION);

    return 0;
}


NGX_HTTP_BACKGROUND_CALL(items)
{
    call->add_completed(call, 3);
    call->add_completed(call, 4);
    call->add_bytes(call, 1000000);
    call->add_bytes(call, 24);

    return 0;
}


NGX_HTTP_BACKGROUND_CALL(fails)
{
    call->fail(call, "item %d is\nbad: \xff %s", 1, call->argv[0]);
    call->fail(call, "item %d is bad", 2);

    return 0;
}


NGX_HTTP_BACKGROUND_CALL(returns)
{
    return atoi(call->argv[0]);
}


/* passes texts that are longer than the limit */

NGX_HTTP_BACKGROUND_CALL(verbose)
{
    char  text[5000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    call->message(call, "%s", text);
    call->fail(call, "%s", text);

    return 0;
}


/* runs until it is cancelled */

NGX_HTTP_BACKGROUND_CALL(waits)
{
    call->progress(call, 12, 80);

    while (!call->cancelled(call)) {
        nap(1);
    }

    call->message(call, "told to stop");

    return 7;
}


/*
 * sets a progress when it starts, runs until the file exists, and ignores
 * cancelled()
 */

NGX_HTTP_BACKGROUND_CALL(stubborn)
{
    call->progress(call, 1, 2);

    while (access(call->argv[0], F_OK) == -1) {
        nap(1);
    }

    call->message(call, "version " VERSION " is done");

    return 0;
}


/* likewise, but it ends when it is cancelled, too */

NGX_HTTP_BACKGROUND_CALL(obedient)
{
    while (access(call->argv[0], F_OK) == -1 && !call->cancelled(call)) {
        nap(1);
    }

    return 0;
}


NGX_HTTP_BACKGROUND_CALL(crash)
{
    if (CRASH) {
        abort();
    }

    return 0;
}
