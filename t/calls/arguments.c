
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * arguments [ARGUMENT]...: writes its arguments to the output, one on each
 * line.
 */


#include <ngx_http_background_call.h>

#include <string.h>


NGX_HTTP_BACKGROUND_CALL(arguments)
{
    int  i;

    call->type(call, "text/plain");

    for (i = 0; i < call->argc; i++) {
        if (call->write(call, call->argv[i], strlen(call->argv[i]))
            || call->write(call, "\n", 1))
        {
            return 1;
        }
    }

    return 0;
}
