
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * sum GATE: outputs the sum of the bytes of the input when the file GATE
 * exists.  Its progress tells that all bytes are read.
 */


#include <ngx_http_background_call.h>

#include <stdio.h>
#include <unistd.h>


NGX_HTTP_BACKGROUND_CALL(sum)
{
    char                  text[32];
    size_t                i;
    unsigned long         n;
    const unsigned char  *p;

    n = 0;
    p = (const unsigned char *) call->input;

    for (i = 0; i < call->input_len; i++) {
        n += p[i];

        if (i % 65536 == 0 && call->cancelled(call)) {
            return 1;
        }
    }

    call->progress(call, i, i);

    while (access(call->argv[0], F_OK) == -1) {
        if (call->cancelled(call)) {
            return 1;
        }

        (void) usleep(1000);
    }

    return call->write(call, text, snprintf(text, sizeof(text), "%lu", n));
}
