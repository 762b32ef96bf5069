
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ngx_http_background_schedule.h"


#define NGX_HTTP_BACKGROUND_ZONEINFO  "/usr/share/zoneinfo"

#define NGX_HTTP_BACKGROUND_DAY       ((int64_t) 24 * 60 * 60)
#define NGX_HTTP_BACKGROUND_WEEK      (7 * NGX_HTTP_BACKGROUND_DAY)

/* the 29th of February is a Sunday again after 40 years at most */
#define NGX_HTTP_BACKGROUND_HORIZON   (100 * 366 * NGX_HTTP_BACKGROUND_DAY)

/* more than each minute by its number */
#define NGX_HTTP_BACKGROUND_EXPRESSION_LEN  512


typedef struct {
    unsigned            min;
    unsigned            max;
    const char *const  *names;        /* of min, min + 1 ..., or NULL */

    /* texts of errors */
    const char         *value;
    const char         *range;
    const char         *step;
} ngx_http_background_field_t;


typedef struct {
    const char  *p;
    const char  *last;
} ngx_http_background_text_range_t;


/* a day; months and weekdays as in a schedule */

typedef struct {
    int64_t      year;
    unsigned     month;
    unsigned     day;
    unsigned     weekday;
} ngx_http_background_date_t;


static const char *ngx_http_background_field_parse(
    const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, uint64_t *bits);
static const char *ngx_http_background_field_range(
    const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, uint64_t *bits);
static int ngx_http_background_field_value(
    const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, unsigned *value);
static int ngx_http_background_field_number(
    ngx_http_background_text_range_t *text, unsigned *value);
static int ngx_http_background_field_name(
    const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, unsigned *value);
static int ngx_http_background_schedule_comes(
    const ngx_http_background_schedule_t *schedule);

static const char *ngx_http_background_timezone_file(const char *name);
static const char *ngx_http_background_timezone_scan(
    ngx_http_background_timezone_t *zone, int64_t now);
static int32_t ngx_http_background_local_offset(int64_t at);

static int64_t ngx_http_background_schedule_period(
    const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_timezone_t *zone, unsigned n, int64_t after);
static int64_t ngx_http_background_schedule_local(
    const ngx_http_background_schedule_t *schedule, int64_t from, int64_t to);
static int64_t ngx_http_background_schedule_time(
    const ngx_http_background_schedule_t *schedule, int64_t from);
static int ngx_http_background_schedule_day(
    const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_date_t *date);
static void ngx_http_background_date(ngx_http_background_date_t *date,
    int64_t day);
static unsigned ngx_http_background_month_days(int64_t year, unsigned month);


extern char  **environ;


static const char *const  ngx_http_background_month_names[] = {
    "jan", "feb", "mar", "apr", "may", "jun",
    "jul", "aug", "sep", "oct", "nov", "dec", NULL
};


static const char *const  ngx_http_background_weekday_names[] = {
    "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL
};


/* Sunday is 0 and 7 */

static const ngx_http_background_field_t  ngx_http_background_schedule_fields[]
    =
{
    { 0, 59, NULL,
      "minute must be from 0 to 59",
      "minute has a range that goes back",
      "minute has a bad step" },

    { 0, 23, NULL,
      "hour must be from 0 to 23",
      "hour has a range that goes back",
      "hour has a bad step" },

    { 1, 31, NULL,
      "day must be from 1 to 31",
      "day has a range that goes back",
      "day has a bad step" },

    { 1, 12, ngx_http_background_month_names,
      "month must be from 1 to 12, or a name as \"jan\"",
      "month has a range that goes back",
      "month has a bad step" },

    { 0, 7, ngx_http_background_weekday_names,
      "weekday must be from 0 to 7, or a name as \"mon\"",
      "weekday has a range that goes back",
      "weekday has a bad step" }
};


static const struct {
    const char  *name;
    const char  *text;
} ngx_http_background_nicknames[] = {
    { "@hourly", "0 * * * *" },
    { "@daily", "0 0 * * *" },
    { "@midnight", "0 0 * * *" },
    { "@weekly", "0 0 * * 0" },
    { "@monthly", "0 0 1 * *" },
    { "@yearly", "0 0 1 1 *" },
    { "@annually", "0 0 1 1 *" },
    { NULL, NULL }
};


#define ngx_http_background_blank(c)  ((c) == ' ' || (c) == '\t')


const char *
ngx_http_background_schedule_parse(ngx_http_background_schedule_t *schedule,
    const char *text, size_t len)
{
    size_t                             n;
    unsigned                           i;
    uint64_t                           bits[5];
    const char                        *error, *start[5], *end[5];
    ngx_http_background_text_range_t   range;

    if (len && text[0] == '@') {
        for (i = 0; ngx_http_background_nicknames[i].name; i++) {
            n = strlen(ngx_http_background_nicknames[i].name);

            if (n == len
                && strncasecmp(text, ngx_http_background_nicknames[i].name, n)
                   == 0)
            {
                break;
            }
        }

        text = ngx_http_background_nicknames[i].text;

        if (text == NULL) {
            return "it must be five fields, or \"@hourly\", \"@daily\", "
                   "\"@weekly\", \"@monthly\", or \"@yearly\"";
        }

        len = strlen(text);
    }

    if (len > NGX_HTTP_BACKGROUND_EXPRESSION_LEN) {
        return "it must not be longer than 512 characters";
    }

    range.p = text;
    range.last = text + len;

    for (i = 0; i < 5; i++) {

        while (range.p < range.last && ngx_http_background_blank(*range.p)) {
            range.p++;
        }

        if (range.p == range.last) {
            return "it must have five fields: minute, hour, day, month, "
                   "and weekday";
        }

        start[i] = range.p;

        error = ngx_http_background_field_parse(
                                   &ngx_http_background_schedule_fields[i],
                                   &range, &bits[i]);
        if (error) {
            return error;
        }

        end[i] = range.p;
    }

    while (range.p < range.last && ngx_http_background_blank(*range.p)) {
        range.p++;
    }

    if (range.p < range.last) {
        return "it must have no more than five fields";
    }

    schedule->minutes = bits[0];
    schedule->hours = bits[1];
    schedule->days = bits[2];
    schedule->months = bits[3];
    schedule->weekdays = (bits[4] | bits[4] >> 7) & 0x7f;
    schedule->every_hour = (end[1] - start[1] == 1 && *start[1] == '*');
    schedule->any_day = (*start[2] == '*');
    schedule->any_weekday = (*start[4] == '*');

    if (!ngx_http_background_schedule_comes(schedule)) {
        return "no month of it has such a day";
    }

    return NULL;
}


static const char *
ngx_http_background_field_parse(const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, uint64_t *bits)
{
    const char  *error;

    *bits = 0;

    for ( ;; ) {
        error = ngx_http_background_field_range(field, text, bits);
        if (error) {
            return error;
        }

        if (text->p == text->last || ngx_http_background_blank(*text->p)) {
            return NULL;
        }

        if (*text->p != ',') {
            return field->value;
        }

        text->p++;
    }
}


/* "*", "5", or "5-7", and all but "5" with "/2" */

static const char *
ngx_http_background_field_range(const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, uint64_t *bits)
{
    unsigned  first, last, step, single;

    step = 1;
    single = 0;

    if (text->p < text->last && *text->p == '*') {
        text->p++;
        first = field->min;

        /* Sunday counts once */
        last = (field->max == 7) ? 6 : field->max;

    } else {
        if (ngx_http_background_field_value(field, text, &first) != 0) {
            return field->value;
        }

        last = first;
        single = 1;

        if (text->p < text->last && *text->p == '-') {
            text->p++;
            single = 0;

            if (ngx_http_background_field_value(field, text, &last) != 0) {
                return field->value;
            }

            /* "fri-sun" */

            if (last == 0 && first > 0 && field->max == 7) {
                last = 7;
            }

            if (last < first) {
                return field->range;
            }
        }
    }

    if (text->p < text->last && *text->p == '/') {
        text->p++;

        if (single
            || ngx_http_background_field_number(text, &step) != 0
            || step == 0 || step > field->max)
        {
            return field->step;
        }
    }

    for ( /* void */ ; first <= last; first += step) {
        *bits |= (uint64_t) 1 << first;
    }

    return NULL;
}


static int
ngx_http_background_field_value(const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, unsigned *value)
{
    if (ngx_http_background_field_number(text, value) != 0
        && ngx_http_background_field_name(field, text, value) != 0)
    {
        return -1;
    }

    return (*value < field->min || *value > field->max) ? -1 : 0;
}


static int
ngx_http_background_field_number(ngx_http_background_text_range_t *text,
    unsigned *value)
{
    unsigned     n;
    const char  *start;

    n = 0;
    start = text->p;

    while (text->p < text->last && *text->p >= '0' && *text->p <= '9') {
        if (text->p - start == 3) {
            return -1;
        }

        n = n * 10 + (*text->p++ - '0');
    }

    *value = n;

    return (text->p == start) ? -1 : 0;
}


static int
ngx_http_background_field_name(const ngx_http_background_field_t *field,
    ngx_http_background_text_range_t *text, unsigned *value)
{
    unsigned  i;

    if (field->names == NULL || text->last - text->p < 3) {
        return -1;
    }

    for (i = 0; field->names[i]; i++) {
        if (strncasecmp(text->p, field->names[i], 3) == 0) {
            text->p += 3;
            *value = field->min + i;
            return 0;
        }
    }

    return -1;
}


/* whether a leap year has such a day, of any weekday */

static int
ngx_http_background_schedule_comes(
    const ngx_http_background_schedule_t *schedule)
{
    unsigned  month, n;

    if (!schedule->any_day && !schedule->any_weekday) {
        return 1;
    }

    for (month = 1; month <= 12; month++) {
        n = ngx_http_background_month_days(2000, month);

        if ((schedule->months >> month & 1)
            && (schedule->days & (((uint64_t) 1 << (n + 1)) - 1)))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * tzset() of libc reads the zone when TZ has changed.  The environment is
 * changed for a moment, in the master, which has no threads.
 */

const char *
ngx_http_background_timezone_init(ngx_http_background_timezone_t *zone,
    const char *name, int64_t now)
{
    char         tz[NGX_HTTP_BACKGROUND_TIMEZONE_LEN + 5], **saved, *dir;
    char        *env[3], dirname[1024];
    size_t       len;
    const char  *error;

    len = strlen(name);

    if (len > NGX_HTTP_BACKGROUND_TIMEZONE_LEN) {
        return "it is too long";
    }

    memcpy(zone->name, name, len + 1);

    saved = environ;

    /* with another TZ libc forgets its zone, whose file may have changed */

    env[0] = "TZ=UTC0";
    env[1] = NULL;
    environ = env;
    tzset();
    environ = saved;

    if (len && strcmp(name, "UTC") != 0) {
        error = ngx_http_background_timezone_file(name);
        if (error) {
            tzset();
            return error;
        }
    }

    if (len) {
        (void) snprintf(tz, sizeof(tz), "TZ=%s%s",
                        strcmp(name, "UTC") == 0 ? "" : ":",
                        strcmp(name, "UTC") == 0 ? "UTC0" : name);
        env[0] = tz;

        dir = getenv("TZDIR");

        if (dir && (size_t) snprintf(dirname, sizeof(dirname), "TZDIR=%s", dir)
                   < sizeof(dirname))
        {
            env[1] = dirname;
            env[2] = NULL;
        }

        environ = env;
    }

    tzset();

    error = ngx_http_background_timezone_scan(zone, now);

    environ = saved;
    tzset();

    return error;
}


/* libc uses UTC if there is no such file */

static const char *
ngx_http_background_timezone_file(const char *name)
{
    int           fd;
    char          path[1024], magic[4];
    ssize_t       n;
    const char   *p, *dir;
    struct stat   st;

    for (p = name; *p; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
              || (*p >= '0' && *p <= '9') || *p == '_' || *p == '-'
              || *p == '+' || (*p == '/' && p != name)))
        {
            return "it must be a name as \"Europe/Berlin\"";
        }
    }

    dir = getenv("TZDIR");

    if (dir == NULL || *dir == '\0') {
        dir = NGX_HTTP_BACKGROUND_ZONEINFO;
    }

    if ((size_t) snprintf(path, sizeof(path), "%s/%s", dir, name)
        >= sizeof(path))
    {
        return "it is too long";
    }

    if (stat(dir, &st) == -1) {
        return "there are no time zones, the package \"tzdata\" is missing";
    }

    fd = open(path, O_RDONLY|O_NONBLOCK|O_CLOEXEC);
    if (fd == -1) {
        return "there is no such time zone";
    }

    n = read(fd, magic, sizeof(magic));

    (void) close(fd);

    if (n != sizeof(magic) || memcmp(magic, "TZif", sizeof(magic)) != 0) {
        return "there is no such time zone";
    }

    return NULL;
}


/* the changes from a year ago, for missed runs, to 20 years ahead */

static const char *
ngx_http_background_timezone_scan(ngx_http_background_timezone_t *zone,
    int64_t now)
{
    int32_t   offset, last;
    int64_t   t, from, to, middle, end;

    t = now - 53 * NGX_HTTP_BACKGROUND_WEEK;
    end = now + 20 * 366 * NGX_HTTP_BACKGROUND_DAY;

    last = ngx_http_background_local_offset(t);

    zone->n = 1;
    zone->changes[0].at = INT64_MIN;
    zone->changes[0].offset = last;

    for ( /* void */ ; t < end; t += NGX_HTTP_BACKGROUND_WEEK) {
        offset = ngx_http_background_local_offset(
                                              t + NGX_HTTP_BACKGROUND_WEEK);
        if (offset == last) {
            continue;
        }

        if (zone->n == NGX_HTTP_BACKGROUND_TIMEZONE_CHANGES) {
            return "it has too many changes";
        }

        from = t;
        to = t + NGX_HTTP_BACKGROUND_WEEK;

        while (to - from > 1) {
            middle = from + (to - from) / 2;

            if (ngx_http_background_local_offset(middle) == last) {
                from = middle;

            } else {
                to = middle;
            }
        }

        zone->changes[zone->n].at = to;
        zone->changes[zone->n].offset = offset;
        zone->n++;

        last = offset;
    }

    return NULL;
}


static int32_t
ngx_http_background_local_offset(int64_t at)
{
    time_t     t;
    struct tm  tm;

    t = at;

    if (localtime_r(&t, &tm) == NULL) {
        return 0;
    }

    return tm.tm_gmtoff;
}


int32_t
ngx_http_background_timezone_offset(const ngx_http_background_timezone_t *zone,
    int64_t at)
{
    unsigned  i;

    for (i = zone->n - 1; i && zone->changes[i].at > at; i--) {
        /* void */
    }

    return zone->changes[i].offset;
}


int64_t
ngx_http_background_schedule_next(
    const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_timezone_t *zone, int64_t after)
{
    int64_t   t;
    unsigned  i;

    for (i = zone->n - 1; i && zone->changes[i].at > after; i--) {
        /* void */
    }

    for ( /* void */ ; i < zone->n; i++) {
        t = ngx_http_background_schedule_period(schedule, zone, i, after);
        if (t) {
            return t;
        }
    }

    return 0;
}


/* the first time in the period between two changes, or 0 */

static int64_t
ngx_http_background_schedule_period(
    const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_timezone_t *zone, unsigned n, int64_t after)
{
    int32_t                              offset, before;
    int64_t                              from, to, t;
    const ngx_http_background_change_t  *change;

    change = &zone->changes[n];
    offset = change->offset;

    from = after + offset + 1;
    to = (n + 1 < zone->n) ? change[1].at + offset
                           : after + NGX_HTTP_BACKGROUND_HORIZON;

    if (n && change->at > after) {
        before = change[-1].offset;
        from = change->at + offset;

        if (!schedule->every_hour && before < offset
            && ngx_http_background_schedule_local(schedule,
                                                  change->at + before, from))
        {
            return change->at;
        }
    }

    if (n && !schedule->every_hour) {
        before = change[-1].offset;

        if (before > offset && from < change->at + before) {
            from = change->at + before;
        }
    }

    t = ngx_http_background_schedule_local(schedule, from, to);

    return t ? t - offset : 0;
}


/* the first time that is due from "from" on and before "to", or 0 */

static int64_t
ngx_http_background_schedule_local(
    const ngx_http_background_schedule_t *schedule, int64_t from, int64_t to)
{
    int64_t                     day, t;
    ngx_http_background_date_t  date;

    from = (from + 59) / 60 * 60;

    for (day = from / NGX_HTTP_BACKGROUND_DAY;
         day * NGX_HTTP_BACKGROUND_DAY < to;
         day++)
    {
        ngx_http_background_date(&date, day);

        if (!(schedule->months >> date.month & 1)) {
            day += ngx_http_background_month_days(date.year, date.month)
                   - date.day;
            continue;
        }

        if (!ngx_http_background_schedule_day(schedule, &date)) {
            continue;
        }

        t = from - day * NGX_HTTP_BACKGROUND_DAY;
        t = ngx_http_background_schedule_time(schedule, t > 0 ? t : 0);

        if (t >= 0) {
            t += day * NGX_HTTP_BACKGROUND_DAY;

            return (t < to) ? t : 0;
        }
    }

    return 0;
}


/* in the day, from so many seconds on; -1: none */

static int64_t
ngx_http_background_schedule_time(
    const ngx_http_background_schedule_t *schedule, int64_t from)
{
    unsigned  hour, minute;

    hour = from / 3600;
    minute = from / 60 % 60;

    for ( /* void */ ; hour < 24; hour++, minute = 0) {

        if (!(schedule->hours >> hour & 1)) {
            continue;
        }

        for ( /* void */ ; minute < 60; minute++) {
            if (schedule->minutes >> minute & 1) {
                return hour * 3600 + minute * 60;
            }
        }
    }

    return -1;
}


static int
ngx_http_background_schedule_day(
    const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_date_t *date)
{
    int  day, weekday;

    day = schedule->days >> date->day & 1;
    weekday = schedule->weekdays >> date->weekday & 1;

    if (schedule->any_day || schedule->any_weekday) {
        return day && weekday;
    }

    return day || weekday;
}


/* years begin in March here, so that a leap day is the last one */

static void
ngx_http_background_date(ngx_http_background_date_t *date, int64_t day)
{
    int64_t   year, n, rest;
    unsigned  month;

    date->weekday = (day % 7 + 11) % 7;

    /* of 400 years, from the 1st of March of the year 0 on */

    day += 719468;
    n = day / 146097;
    rest = day % 146097;

    year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    rest -= year * 365 + year / 4 - year / 100;
    month = (5 * rest + 2) / 153;

    date->day = rest - (153 * month + 2) / 5 + 1;
    date->month = (month < 10) ? month + 3 : month - 9;
    date->year = year + n * 400 + (date->month <= 2);
}


static unsigned
ngx_http_background_month_days(int64_t year, unsigned month)
{
    static const unsigned  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month == 2
        && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
    {
        return 29;
    }

    return days[month - 1];
}
