
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What the targets share. */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* aborts unless that is true */
#define fuzz_check(what)                                                     \
    do {                                                                     \
        if (!(what)) {                                                       \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,     \
                    #what);                                                  \
            abort();                                                         \
        }                                                                    \
    } while (0)


typedef struct {
    const uint8_t  *data;
    size_t          size;
} fuzz_input_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* a number from 0 to "max" */

static inline size_t
fuzz_number(fuzz_input_t *in, size_t max)
{
    size_t  n;

    if (in->size == 0) {
        return 0;
    }

    n = in->data[0];

    in->data++;
    in->size--;

    return n % (max + 1);
}


/*
 * What is before the next "end", or all: a copy, so that no byte behind it can
 * be read unseen, but "room" for what its reader may write there.
 */

static inline uint8_t *
fuzz_text(fuzz_input_t *in, int end, size_t room, size_t *len)
{
    uint8_t        *copy;
    const uint8_t  *p;

    p = in->size ? memchr(in->data, end, in->size) : NULL;

    *len = p ? (size_t) (p - in->data) : in->size;

    copy = malloc(*len + room);
    fuzz_check(copy != NULL || *len + room == 0);

    if (*len) {
        memcpy(copy, in->data, *len);
    }

    in->data += *len + (p != NULL);
    in->size -= *len + (p != NULL);

    return copy;
}


#endif /* _FUZZ_H_INCLUDED_ */
