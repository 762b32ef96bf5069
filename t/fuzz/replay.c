
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Runs a target without libFuzzer in nginx itself, whose functions the parsers
 * call.  The library is preloaded; the arguments of nginx are the names of the
 * inputs.  Each input is used as it is, truncated after each byte, and with
 * each byte replaced by bytes that have a meaning in the format.
 */


#include "fuzz.h"


#define FUZZ_LONG  64         /* longer inputs are changed in this many
                                 places */


static void fuzz_replay(const char *name);
static void fuzz_try(const uint8_t *data, size_t size);


static unsigned  fuzz_runs;


static void __attribute__((constructor))
fuzz_main(int argc, char **argv)
{
    int  i;

    for (i = 1; i < argc; i++) {
        fuzz_replay(argv[i]);
    }

    printf("%u\n", fuzz_runs);
    exit(0);
}


static void
fuzz_replay(const char *name)
{
    FILE     *f;
    size_t    i, j, n, size, step;
    uint8_t   data[65536], was;

    static const uint8_t  bytes[] = "\0\n\r \t\"\\/.,;:=#+-0~\x7f\x80\xc0\xf0";

    f = fopen(name, "rb");
    fuzz_check(f != NULL);

    size = fread(data, 1, sizeof(data), f);
    fuzz_check(size < sizeof(data));

    (void) fclose(f);

    fuzz_try(data, size);

    step = 1 + size / FUZZ_LONG;

    for (i = 0; i < size; i += step) {
        fuzz_try(data, i);

        was = data[i];
        n = sizeof(bytes) - 1;

        for (j = 0; j < n; j++) {
            data[i] = bytes[j];
            fuzz_try(data, size);
        }

        data[i] = was;
    }
}


/* copies the input to memory whose end is protected */

static void
fuzz_try(const uint8_t *data, size_t size)
{
    uint8_t  *copy;

    copy = malloc(size);
    fuzz_check(copy != NULL || size == 0);

    if (size) {
        memcpy(copy, data, size);
    }

    fuzz_check(LLVMFuzzerTestOneInput(copy, size) == 0);

    free(copy);

    fuzz_runs++;
}
