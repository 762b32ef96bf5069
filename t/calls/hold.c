
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* hold FILE: a function that keeps its thread until the file exists */


#ifdef ABI_1
#include "abi1.h"
#else
#include <ngx_http_background_call.h>
#endif

#include <unistd.h>


#ifdef PARKS
NGX_HTTP_BACKGROUND_CALL_PARKS(hold);
#endif


NGX_HTTP_BACKGROUND_CALL(hold)
{
    int  i;

    while (access(call->argv[0], F_OK) == -1) {
        if (call->cancelled(call)) {
            return 1;
        }

        (void) usleep(1000);
    }

    /* runs longer than the turn after which it may be parked */

    for (i = 0; i < 300; i++) {
        if (call->cancelled(call)) {
            return 1;
        }

        (void) usleep(1000);
    }

    call->message(call, "%s is over", call->task);

    return 0;
}
