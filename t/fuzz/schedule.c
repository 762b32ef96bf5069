
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A schedule, in a time zone that changes as it likes: "A D OFFSETS TEXT", the
 * hour to begin with, how many hours are between changes, and the offsets in
 * quarters of an hour, four bytes.
 */


#include "fuzz.h"

#include <core/ngx_http_background_schedule.h>


#define FUZZ_HOUR  3600
#define FUZZ_2026  1767225600


static int64_t fuzz_local(const ngx_http_background_timezone_t *zone,
    int64_t t);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                            *text;
    size_t                           i, n, hours, len;
    int64_t                          after, start, t;
    const char                      *error;
    fuzz_input_t                     in;
    ngx_http_background_schedule_t   schedule;
    ngx_http_background_timezone_t   zone;

    in.data = data;
    in.size = size;

    start = FUZZ_2026 + fuzz_number(&in, 255) * FUZZ_HOUR;
    hours = 1 + fuzz_number(&in, 255);

    memset(&zone, 0, sizeof(zone));

    zone.n = 4;

    for (i = 0; i < zone.n; i++) {
        zone.changes[i].at = i ? FUZZ_2026 + (int64_t) (i * hours * FUZZ_HOUR)
                               : INT64_MIN;
        zone.changes[i].offset = ((int) fuzz_number(&in, 112) - 56) * 900;
    }

    text = (char *) fuzz_text(&in, -1, 0, &len);

    memset(&schedule, 0xff, sizeof(schedule));

    error = ngx_http_background_schedule_parse(&schedule, text, len);

    free(text);

    if (error) {
        fuzz_check(strlen(error) > 0);
        return 0;
    }

    fuzz_check(schedule.minutes && schedule.minutes >> 60 == 0);
    fuzz_check(schedule.hours && schedule.hours >> 24 == 0);
    fuzz_check(schedule.days && (schedule.days & 1) == 0);
    fuzz_check(schedule.months && (schedule.months & 1) == 0);
    fuzz_check(schedule.months >> 13 == 0);
    fuzz_check(schedule.weekdays && schedule.weekdays >> 7 == 0);

    after = start;

    for (n = 0; n < 8; n++) {
        t = ngx_http_background_schedule_next(&schedule, &zone, after);

        fuzz_check(t > after);
        fuzz_check(t % 60 == 0);

        /* nothing is between them */

        fuzz_check(ngx_http_background_schedule_next(&schedule, &zone, t - 1)
                   == t);
        fuzz_check(ngx_http_background_schedule_next(&schedule, &zone,
                                                     after + (t - after) / 2)
                   == t);

        /* its time is one of them, or it is the moment of a change */

        for (i = 1; i < zone.n && zone.changes[i].at != t; i++) {
            /* void */
        }

        if (i == zone.n) {
            start = fuzz_local(&zone, t);

            fuzz_check(schedule.minutes >> (start / 60 % 60) & 1);
            fuzz_check(schedule.hours >> (start / FUZZ_HOUR % 24) & 1);
        }

        after = t;
    }

    return 0;
}


static int64_t
fuzz_local(const ngx_http_background_timezone_t *zone, int64_t t)
{
    return t + ngx_http_background_timezone_offset(zone, t);
}
