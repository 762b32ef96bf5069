
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The last cycles: the history of a task, its error texts, and the causes in a
 * cell.  Whoever writes may be killed meanwhile, so an entry tells whether it
 * is whole.
 */


#include "ngx_http_background_zone_layout.h"


static uint64_t ngx_http_background_ring_number(
    ngx_http_background_ring_t *ring, uint64_t number);
static void ngx_http_background_record_text(
    ngx_http_background_record_t *record, uint64_t number,
    const ngx_str_t *error);
static ngx_int_t ngx_http_background_text_read(ngx_http_background_text_t *dst,
    ngx_http_background_text_t *src);
static uint32_t ngx_http_background_text_crc(ngx_http_background_text_t *text);


void
ngx_http_background_ring_add(ngx_http_background_cell_t *cell, uint64_t number,
    const ngx_http_background_cause_t *cause)
{
    ngx_http_background_ring_t  *ring;

    ring = &cell->causes[number % NGX_HTTP_BACKGROUND_CAUSES];

    ngx_http_background_store(&ring->number, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    ring->started = cause->started_at << 8 | cause->len;
    ngx_memzero(ring->text, sizeof(ring->text));
    ngx_memcpy(ring->text, cause->text, cause->len);

    ngx_http_background_store(&ring->number,
                              ngx_http_background_ring_number(ring, number));
}


static uint64_t
ngx_http_background_ring_number(ngx_http_background_ring_t *ring,
    uint64_t number)
{
    return number << 32
           | ngx_murmur_hash2((u_char *) &ring->started,
                              sizeof(ngx_http_background_ring_t)
                              - offsetof(ngx_http_background_ring_t,
                                         started));
}


void
ngx_http_background_record_history(ngx_http_background_record_t *record,
    const ngx_http_background_history_t *history, const ngx_str_t *error)
{
    uint64_t                       number, wall, failed;
    ngx_http_background_stored_t  *entry;

    number = ngx_http_background_add(&record->number, 1);
    entry = &record->history[number % NGX_HTTP_BACKGROUND_HISTORY];

    if (error && error->len) {
        ngx_http_background_record_text(record, number, error);
    }

    number &= 0xffff;
    wall = ngx_min(history->wall_time, 0xffffffff);
    failed = ngx_min(history->failed, 0xffff);

    ngx_http_background_store(&entry->finished,
                              history->finished_at << 16 | number);
    ngx_http_background_store(&entry->outcome,
                              wall << 32 | failed << 16 | number);
}


/*
 * Several workers may write the same slot at the same time, and may die while
 * they do: a text is valid only if its CRC is right.  A text that is equal to
 * the previous one is not stored again.
 */

static void
ngx_http_background_record_text(ngx_http_background_record_t *record,
    uint64_t number, const ngx_str_t *error)
{
    size_t                      len;
    uint64_t                    n;
    ngx_http_background_text_t  text;

    n = ngx_http_background_load(&record->ntexts);
    len = ngx_min(error->len, NGX_HTTP_BACKGROUND_TEXT_LEN);

    if (ngx_http_background_text_read(&text,
                              &record->texts[n % NGX_HTTP_BACKGROUND_TEXTS])
        != NGX_OK
        || text.len != len || ngx_memcmp(text.text, error->data, len) != 0)
    {
        n = ngx_http_background_add(&record->ntexts, 1);

        text.first = number;
        text.len = len;
        ngx_memcpy(text.text, error->data, len);
    }

    text.last = number;
    text.crc = ngx_http_background_text_crc(&text);

    record->texts[n % NGX_HTTP_BACKGROUND_TEXTS] = text;
}


static ngx_int_t
ngx_http_background_text_read(ngx_http_background_text_t *dst,
    ngx_http_background_text_t *src)
{
    *dst = *src;

    return (dst->len && dst->len <= NGX_HTTP_BACKGROUND_TEXT_LEN
            && dst->crc == ngx_http_background_text_crc(dst))
           ? NGX_OK : NGX_DECLINED;
}


static uint32_t
ngx_http_background_text_crc(ngx_http_background_text_t *text)
{
    return ngx_crc32_short((u_char *) &text->len,
                           offsetof(ngx_http_background_text_t, text)
                           - offsetof(ngx_http_background_text_t, len)
                           + text->len);
}


ngx_uint_t
ngx_http_background_texts_read(ngx_http_background_record_t *record,
    ngx_http_background_text_t texts[NGX_HTTP_BACKGROUND_TEXTS])
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_BACKGROUND_TEXTS; i++) {
        if (ngx_http_background_text_read(&texts[n], &record->texts[i])
            == NGX_OK)
        {
            n++;
        }
    }

    return n;
}


ngx_uint_t
ngx_http_background_cell_causes(ngx_http_background_cell_t *cell,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES])
{
    size_t                       len;
    uint64_t                     number, last;
    ngx_uint_t                   n;
    ngx_http_background_ring_t  *ring, copy;

    n = 0;
    last = ngx_http_background_word_get(&cell->begun);
    number = (last < NGX_HTTP_BACKGROUND_CAUSES)
             ? 1 : last - NGX_HTTP_BACKGROUND_CAUSES + 1;

    for ( /* void */ ; number <= last; number++) {
        ring = &cell->causes[number % NGX_HTTP_BACKGROUND_CAUSES];

        copy = *ring;

        len = copy.started & 0xff;

        if (copy.number != ngx_http_background_ring_number(&copy, number)
            || len > NGX_HTTP_BACKGROUND_CAUSE_LEN)
        {
            continue;
        }

        causes[n].started_at = copy.started >> 8;
        causes[n].len = len;
        ngx_memcpy(causes[n].text, copy.text, len);
        n++;
    }

    return n;
}


ngx_uint_t
ngx_http_background_history_read(ngx_http_background_record_t *record,
    ngx_http_background_history_t history[NGX_HTTP_BACKGROUND_HISTORY])
{
    uint64_t                       number, last, finished, outcome;
    ngx_uint_t                     n;
    ngx_http_background_stored_t  *entry;

    n = 0;
    last = ngx_http_background_load(&record->number);
    number = (last < NGX_HTTP_BACKGROUND_HISTORY)
             ? 1 : last - NGX_HTTP_BACKGROUND_HISTORY + 1;

    for ( /* void */ ; number <= last; number++) {
        entry = &record->history[number % NGX_HTTP_BACKGROUND_HISTORY];

        finished = ngx_http_background_load(&entry->finished);
        outcome = ngx_http_background_load(&entry->outcome);

        if ((finished & 0xffff) != (number & 0xffff)
            || (outcome & 0xffff) != (number & 0xffff))
        {
            continue;
        }

        history[n].number = number;
        history[n].finished_at = finished >> 16;
        history[n].wall_time = outcome >> 32;
        history[n].failed = outcome >> 16 & 0xffff;
        n++;
    }

    return n;
}
