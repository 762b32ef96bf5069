
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Functions with input and output. */


#include <ngx_http_background_call.h>

#include <stdlib.h>
#include <string.h>


/* writes its input to the output, reversed */

NGX_HTTP_BACKGROUND_CALL(reverse)
{
    int          rc;
    char        *text;
    size_t       i;
    const char  *input;

    input = (const char *) call->input;

    call->message(call, "%s of %lu bytes, fence %lu",
                  input ? "input" : "no input",
                  (unsigned long) call->input_len,
                  (unsigned long) call->fence);

    text = (char *) malloc(call->input_len + 1);

    if (text == NULL) {
        return 1;
    }

    for (i = 0; i < call->input_len; i++) {
        text[i] = input[call->input_len - 1 - i];
    }

    rc = call->write(call, text, call->input_len);

    free(text);

    return rc;
}


static int
put(ngx_http_background_call_t *call, size_t len)
{
    int    rc;
    char  *text;

    text = (char *) malloc(len + 1);

    if (text == NULL) {
        return 1;
    }

    memset(text, 'x', len);

    rc = call->write(call, text, len);

    free(text);

    return rc;
}


static int
obey_line(ngx_http_background_call_t *call, char *line)
{
    char  *value;

    switch (line[0]) {

    case 's':
        call->status(call, atoi(line + 1));
        break;

    case 't':
        call->type(call, line + 1);
        break;

    case 'h':
        value = strchr(line, 0x1f);
        *value++ = '\0';
        call->header(call, line + 1, value);
        break;

    case 'p':
        return put(call, strtoul(line + 1, NULL, 10));
    }

    return 0;
}


/*
 * The input is a list of orders, each ended by the character 0x1e: "sCODE",
 * "tTYPE", "hNAME" 0x1f "VALUE", "pNUMBER" bytes of output.  The result of
 * write() is ignored.
 */

NGX_HTTP_BACKGROUND_CALL(obey)
{
    int          refused;
    char        *line;
    const char  *p, *end, *last;

    refused = 0;

    p = (const char *) call->input;
    last = p + call->input_len;

    while (p < last) {
        end = (const char *) memchr(p, 0x1e, last - p);
        line = (char *) malloc(end - p + 1);

        if (line == NULL) {
            return 1;
        }

        memcpy(line, p, end - p);
        line[end - p] = '\0';

        refused += (obey_line(call, line) != 0);

        free(line);

        p = end + 1;
    }

    call->message(call, "%s: %d refused", call->task, refused);

    return 0;
}


/* alone NAME: output and a header in a cycle without a waiting trigger */

NGX_HTTP_BACKGROUND_CALL(alone)
{
    call->type(call, "text/plain");
    call->status(call, 404);
    call->header(call, call->argv[0], "1");

    return put(call, 5000000);
}
