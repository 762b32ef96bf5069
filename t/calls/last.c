
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* a function after which the process aborts on exit */


#include <ngx_http_background_call.h>

#include <stdlib.h>


static int  called;


NGX_HTTP_BACKGROUND_CALL(last)
{
    called = 1;

    return 0;
}


__attribute__((destructor))
static void
last_destructor(void)
{
    if (called) {
        abort();
    }
}
