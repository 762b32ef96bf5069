
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* functions that crash in their own thread, or wait for ever */


#include <ngx_http_background_call.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>


static void *
thread(void *data)
{
    (void) data;

    abort();
}


NGX_HTTP_BACKGROUND_CALL(crash)
{
    pthread_t  tid;

    /* waits until cycles of the other tasks have begun */

    while (access(call->argv[0], F_OK) != 0) {
        if (call->cancelled(call)) {
            return 1;
        }

        (void) usleep(1000);
    }

    if (pthread_create(&tid, NULL, thread, NULL) != 0) {
        return 1;
    }

    (void) pthread_join(tid, NULL);

    return 0;
}
