
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Replies of a server are the same however they come in pieces. */


#include <ngx_config.h>
#include <ngx_core.h>

#include <redis/ngx_http_background_redis_reply.h>

#include "fuzz.h"


#define FUZZ_MAX   65536
#define FUZZ_TEXT  (1024 * 1024)


typedef struct {
    size_t  len;
    char    text[FUZZ_TEXT];
} fuzz_output_t;


static void fuzz_replies(fuzz_input_t *in, fuzz_input_t *pieces,
    fuzz_output_t *output);
static void fuzz_write(fuzz_output_t *output,
    ngx_http_background_redis_reply_t *reply);


static fuzz_output_t  fuzz_once, fuzz_split;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t  in, pieces;

    in.data = data;
    in.size = size;

    fuzz_replies(&in, NULL, &fuzz_once);

    /* the bytes themselves say where the pieces end */

    in.data = data;
    in.size = size;
    pieces.data = data;
    pieces.size = size;

    fuzz_replies(&in, &pieces, &fuzz_split);

    fuzz_check(fuzz_once.len == fuzz_split.len);
    fuzz_check(memcmp(fuzz_once.text, fuzz_split.text, fuzz_once.len) == 0);

    return 0;
}


static void
fuzz_replies(fuzz_input_t *in, fuzz_input_t *pieces, fuzz_output_t *output)
{
    size_t                               n;
    uint8_t                             *copy;
    ngx_int_t                            rc;
    ngx_log_t                            log;
    ngx_http_background_redis_reply_t   *reply;
    ngx_http_background_redis_reader_t  *reader;

    ngx_memzero(&log, sizeof(ngx_log_t));

    output->len = 0;

    reader = ngx_http_background_redis_reader_create(FUZZ_MAX, &log);
    fuzz_check(reader != NULL);

    rc = NGX_AGAIN;

    while (in->size && rc == NGX_AGAIN) {

        n = pieces ? 1 + fuzz_number(pieces, 15) : in->size;
        n = ngx_min(n, in->size);

        copy = malloc(n);
        fuzz_check(copy != NULL);
        memcpy(copy, in->data, n);

        in->data += n;
        in->size -= n;

        fuzz_check(ngx_http_background_redis_reader_feed(reader, copy, n)
                   == NGX_OK);
        free(copy);

        do {
            rc = ngx_http_background_redis_reader_next(reader, &reply);

            if (rc == NGX_OK) {
                fuzz_write(output, reply);
            }

        } while (rc == NGX_OK);
    }

    if (rc == NGX_ERROR) {
        fuzz_check(ngx_http_background_redis_reader_error(reader) != NULL);
        output->text[output->len++] = '!';
    }

    ngx_http_background_redis_reader_free(reader);
}


static void
fuzz_write(fuzz_output_t *output, ngx_http_background_redis_reply_t *reply)
{
    ngx_uint_t  i;

    fuzz_check(output->len + reply->text.len + 64 < FUZZ_TEXT);

    output->len += sprintf(output->text + output->len, "%d %lld %zu %zu ",
                           (int) reply->type, (long long) reply->integer,
                           (size_t) reply->n, reply->text.len);

    if (reply->text.data) {
        fuzz_check(reply->text.data[reply->text.len] == '\0');

        memcpy(output->text + output->len, reply->text.data, reply->text.len);
        output->len += reply->text.len;
    }

    for (i = 0; i < reply->n; i++) {
        fuzz_check(reply->elements[i] != NULL);
        fuzz_write(output, reply->elements[i]);
    }
}
