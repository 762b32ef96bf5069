
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * schedule         tests schedules, in TAP
 * schedule --next  reads lines "ZONE|NOW|COUNT|AFTER|EXPRESSION", of seconds
 *                  since the epoch, and prints the next times of each, or the error
 * schedule --bits  the same, but COUNT is a number of minutes after AFTER: prints
 *                  in hexadecimal which of them are due, the first one as the
 *                  highest bit
 */


#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ngx_http_background_schedule.h"


static int  failed, count;


static void
check(int ok, const char *name, const char *got)
{
    count++;
    failed += !ok;

    printf("%sok %d - %s\n", ok ? "" : "not ", count, name);

    if (!ok) {
        printf("# got: %s\n", got);
    }
}


static void
fails(const char *text, const char *error)
{
    char                             name[700];
    const char                      *got;
    ngx_http_background_schedule_t   schedule;

    got = ngx_http_background_schedule_parse(&schedule, text, strlen(text));

    snprintf(name, sizeof(name), "\"%.600s\": an error", text);
    check(got && strcmp(got, error) == 0, name, got ? got : "none");
}


/* the local times after "after", which is local, too, in UTC of "zone" */

static void
times(const char *name, const char *zone_name, const char *text, int64_t after,
    const char *want)
{
    char                             got[1024], line[64], title[256];
    int                              i;
    time_t                           t;
    int32_t                          offset;
    struct tm                        tm;
    const char                      *error;
    ngx_http_background_schedule_t   schedule;
    ngx_http_background_timezone_t   zone;

    got[0] = '\0';
    error = ngx_http_background_schedule_parse(&schedule, text, strlen(text));

    if (error == NULL) {
        error = ngx_http_background_timezone_init(&zone, zone_name, after);
    }

    for (i = 0; i < 4 && error == NULL; i++) {
        after = ngx_http_background_schedule_next(&schedule, &zone, after);

        if (after == 0) {
            strcat(got, "never ");
            break;
        }

        offset = ngx_http_background_timezone_offset(&zone, after);
        t = after + offset;
        (void) gmtime_r(&t, &tm);
        (void) strftime(line, sizeof(line), "%m-%d %H:%M", &tm);
        sprintf(got + strlen(got), "%s%+d ", line, offset / 3600);
    }

    snprintf(title, sizeof(title), "%s: %s %s", name, zone_name, text);
    check(error == NULL && strcmp(got, want) == 0, title,
          error ? error : got);
}


/* the file of a zone is replaced by that of another one */

static void
replace(const char *dir, const char *zone)
{
    char    from[256], to[256], new[256], buf[65536];
    FILE   *in, *out;
    size_t  n;

    snprintf(from, sizeof(from), "/usr/share/zoneinfo/%s", zone);
    snprintf(to, sizeof(to), "%s/Here", dir);
    snprintf(new, sizeof(new), "%s/new", dir);

    in = fopen(from, "r");
    out = fopen(new, "w");

    if (in == NULL || out == NULL) {
        perror("fopen");
        exit(1);
    }

    n = fread(buf, 1, sizeof(buf), in);

    if (fwrite(buf, 1, n, out) != n || fclose(out) != 0 || rename(new, to) != 0)
    {
        perror("rename");
        exit(1);
    }

    fclose(in);
}


/* what a reload reads is what the package "tzdata" has now */

static void
reads(const char *name, const char *zone_name)
{
    int                              ok;
    char                             dir[] = "/tmp/schedule.XXXXXX", path[256];
    const char                      *error;
    ngx_http_background_timezone_t   zone;

    if (mkdtemp(dir) == NULL) {
        perror("mkdtemp");
        exit(1);
    }

    setenv("TZDIR", dir, 1);
    setenv("TZ", ":Here", 1);

    replace(dir, "Asia/Tokyo");
    error = ngx_http_background_timezone_init(&zone, zone_name, 1767225600);
    ok = (error == NULL && zone.changes[0].offset == 9 * 3600);

    replace(dir, "America/Phoenix");
    error = ngx_http_background_timezone_init(&zone, zone_name, 1767225600);
    check(ok && error == NULL && zone.changes[0].offset == -7 * 3600, name,
          error ? error : "the offset of the old file");

    snprintf(path, sizeof(path), "%s/Here", dir);
    unlink(path);
    rmdir(dir);
}


static void
next(const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_timezone_t *zone, int n, int64_t after)
{
    while (n--) {
        after = ngx_http_background_schedule_next(schedule, zone, after);
        printf("%" PRId64 " ", after);

        if (after == 0) {
            break;
        }
    }
}


static void
bits(const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_timezone_t *zone, int n, int64_t after)
{
    int      i, digit;
    int64_t  t;

    t = ngx_http_background_schedule_next(schedule, zone, after);
    digit = 0;

    for (i = 1; i <= n; i++) {
        digit <<= 1;

        if (t == after + i * 60) {
            digit |= 1;
            t = ngx_http_background_schedule_next(schedule, zone, t);
        }

        if (i % 4 == 0) {
            putchar("0123456789abcdef"[digit]);
            digit = 0;
        }
    }
}


static int
answer(void (*print)(const ngx_http_background_schedule_t *schedule,
                     const ngx_http_background_timezone_t *zone, int n,
                     int64_t after))
{
    int                              n;
    char                             line[1024], *zone_name, *p, *end;
    int64_t                          now, after;
    const char                      *error;
    ngx_http_background_schedule_t   schedule;
    ngx_http_background_timezone_t   zone;

    zone.name[0] = '\1';
    zone.name[1] = '\0';

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';

        zone_name = line;
        p = strchr(line, '|');
        if (p == NULL) {
            return 1;
        }

        *p++ = '\0';
        now = strtoll(p, &end, 10);
        n = strtol(end + 1, &end, 10);
        after = strtoll(end + 1, &end, 10);
        p = end + 1;

        error = NULL;

        if (strcmp(zone.name, zone_name) != 0) {
            error = ngx_http_background_timezone_init(&zone, zone_name, now);
        }

        if (error == NULL) {
            error = ngx_http_background_schedule_parse(&schedule, p,
                                                       strlen(p));
        }

        if (error == NULL) {
            print(&schedule, &zone, n, after);
        }

        printf("%s\n", error ? error : "");
    }

    return 0;
}


int
main(int argc, char **argv)
{
    char                             many[600];
    const char                      *error;
    ngx_http_background_timezone_t   zone;

    if (argc == 2 && strcmp(argv[1], "--next") == 0) {
        return answer(next);
    }

    if (argc == 2 && strcmp(argv[1], "--bits") == 0) {
        return answer(bits);
    }

    /* 2026-03-28 12:00, 2026-10-24 12:00, 2026-01-01, all UTC */

    const int64_t  spring = 1774699200, autumn = 1792843200;
    const int64_t  year = 1767225600;

    fails("60 * * * *", "minute must be from 0 to 59");
    fails("-1 * * * *", "minute must be from 0 to 59");
    fails("x * * * *", "minute must be from 0 to 59");
    fails("1, * * * *", "minute must be from 0 to 59");
    fails("1;2 * * * *", "minute must be from 0 to 59");
    fails("0001 * * * *", "minute must be from 0 to 59");
    fails("4294967296 * * * *", "minute must be from 0 to 59");
    fails("5-1 * * * *", "minute has a range that goes back");
    fails("*/0 * * * *", "minute has a bad step");
    fails("*/60 * * * *", "minute has a bad step");
    fails("*/ * * * *", "minute has a bad step");
    fails("5/10 * * * *", "minute has a bad step");
    fails("* 24 * * *", "hour must be from 0 to 23");
    fails("* 5-1 * * *", "hour has a range that goes back");
    fails("* */24 * * *", "hour has a bad step");
    fails("* * 0 * *", "day must be from 1 to 31");
    fails("* * 32 * *", "day must be from 1 to 31");
    fails("* * 2-1 * *", "day has a range that goes back");
    fails("* * 1/2 * *", "day has a bad step");
    fails("* * * 13 *", "month must be from 1 to 12, or a name as \"jan\"");
    fails("* * * mai *", "month must be from 1 to 12, or a name as \"jan\"");
    fails("* * * january *",
          "month must be from 1 to 12, or a name as \"jan\"");
    fails("* * * dec-jan *", "month has a range that goes back");
    fails("* * * */13 *", "month has a bad step");
    fails("* * * * 8", "weekday must be from 0 to 7, or a name as \"mon\"");
    fails("* * * * mo", "weekday must be from 0 to 7, or a name as \"mon\"");
    fails("* * * * fri-mon", "weekday has a range that goes back");
    fails("* * * * */8", "weekday has a bad step");
    fails("* * * * 1#2", "weekday must be from 0 to 7, or a name as \"mon\"");

    fails("", "it must have five fields: minute, hour, day, month, "
              "and weekday");
    fails("* * * *", "it must have five fields: minute, hour, day, month, "
                     "and weekday");
    fails("* * * * * *", "it must have no more than five fields");
    fails("0 0 30 2 *", "no month of it has such a day");
    fails("0 0 31 4,6,9,nov *", "no month of it has such a day");
    fails("0 0 31 feb */2", "no month of it has such a day");
    fails("@reboot", "it must be five fields, or \"@hourly\", \"@daily\", "
                     "\"@weekly\", \"@monthly\", or \"@yearly\"");
    fails("@", "it must be five fields, or \"@hourly\", \"@daily\", "
               "\"@weekly\", \"@monthly\", or \"@yearly\"");

    memset(many, '1', sizeof(many));
    many[sizeof(many) - 1] = '\0';
    fails(many, "it must not be longer than 512 characters");

    times("each minute", "UTC", "* * * * *", year,
          "01-01 00:01+0 01-01 00:02+0 01-01 00:03+0 01-01 00:04+0 ");
    times("steps", "UTC", "7-30/10 */12 * * *", year,
          "01-01 00:07+0 01-01 00:17+0 01-01 00:27+0 01-01 12:07+0 ");
    times("lists", "UTC", "59,0 5 1,15 * *", year,
          "01-01 05:00+0 01-01 05:59+0 01-15 05:00+0 01-15 05:59+0 ");
    times("names", "UTC", " 0\t0  * FEB-apr/2 Mon", year,
          "02-02 00:00+0 02-09 00:00+0 02-16 00:00+0 02-23 00:00+0 ");
    times("Sunday is 7", "UTC", "0 0 * * 7", year,
          "01-04 00:00+0 01-11 00:00+0 01-18 00:00+0 01-25 00:00+0 ");
    times("to Sunday", "UTC", "0 0 * * fri-sun", year,
          "01-02 00:00+0 01-03 00:00+0 01-04 00:00+0 01-09 00:00+0 ");
    times("day or weekday", "UTC", "0 0 6 * mon", year,
          "01-05 00:00+0 01-06 00:00+0 01-12 00:00+0 01-19 00:00+0 ");
    times("day and any weekday", "UTC", "0 0 6 * */2", year,
          "01-06 00:00+0 06-06 00:00+0 08-06 00:00+0 09-06 00:00+0 ");
    times("a leap day", "UTC", "0 0 29 2 *", year,
          "02-29 00:00+0 02-29 00:00+0 02-29 00:00+0 02-29 00:00+0 ");
    times("a leap day that is Sunday", "UTC", "0 0 29 2 */7", year,
          "02-29 00:00+0 02-29 00:00+0 02-29 00:00+0 02-29 00:00+0 ");
    times("nickname", "UTC", "@Monthly", year,
          "02-01 00:00+0 03-01 00:00+0 04-01 00:00+0 05-01 00:00+0 ");
    times("nickname", "UTC", "@hourly", year,
          "01-01 01:00+0 01-01 02:00+0 01-01 03:00+0 01-01 04:00+0 ");

    error = ngx_http_background_timezone_init(&zone, "Europe/Berlin", spring);

    if (error) {
        printf("ok %d # skip %s\n1..%d\n", count + 1, error, count + 1);
        return failed != 0;
    }

    times("spring, left out", "Europe/Berlin", "30 2 * * *", spring,
          "03-29 03:00+2 03-30 02:30+2 03-31 02:30+2 04-01 02:30+2 ");
    times("spring, left out several", "Europe/Berlin", "*/20 2,3 * * *", spring,
          "03-29 03:00+2 03-29 03:20+2 03-29 03:40+2 03-30 02:00+2 ");
    times("spring, not left out", "Europe/Berlin", "0 3 * * *", spring,
          "03-29 03:00+2 03-30 03:00+2 03-31 03:00+2 04-01 03:00+2 ");
    times("spring, hourly", "Europe/Berlin", "30 * 29 * *", spring,
          "03-29 00:30+1 03-29 01:30+1 03-29 03:30+2 03-29 04:30+2 ");
    times("autumn, repeated", "Europe/Berlin", "30 2 * * *", autumn,
          "10-25 02:30+2 10-26 02:30+1 10-27 02:30+1 10-28 02:30+1 ");
    times("autumn, repeated several", "Europe/Berlin", "*/30 2-3 * * *",
          autumn,
          "10-25 02:00+2 10-25 02:30+2 10-25 03:00+1 10-25 03:30+1 ");
    times("autumn, hourly", "Europe/Berlin", "30 * 25 * *", autumn + 36000,
          "10-25 00:30+2 10-25 01:30+2 10-25 02:30+2 10-25 02:30+1 ");
    times("half an hour left out", "Australia/Lord_Howe", "15 2 * * *",
          1790942400,
          "10-03 02:15+10 10-04 02:30+11 10-05 02:15+11 10-06 02:15+11 ");
    times("southern", "America/Santiago", "15 0 * * 0", 1788000000,
          "08-30 00:15-4 09-06 01:00-3 09-13 00:15-3 09-20 00:15-3 ");

    setenv("TZ", "Asia/Tokyo", 1);

    error = ngx_http_background_timezone_init(&zone, "America/New_York",
                                              spring);
    check(error == NULL
          && ngx_http_background_timezone_offset(&zone, year) == -5 * 3600,
          "a zone", error ? error : "another offset");
    check(strcmp(getenv("TZ"), "Asia/Tokyo") == 0, "TZ is as it was",
          getenv("TZ"));

    error = ngx_http_background_timezone_init(&zone, "", spring);
    check(error == NULL
          && ngx_http_background_timezone_offset(&zone, year) == 9 * 3600,
          "the local time", error ? error : "another offset");

    error = ngx_http_background_timezone_init(&zone, "Europe/Atlantis", spring);
    check(error && strcmp(error, "there is no such time zone") == 0,
          "an unknown zone", error ? error : "none");
    error = ngx_http_background_timezone_init(&zone, "Europe", spring);
    check(error && strcmp(error, "there is no such time zone") == 0,
          "a folder", error ? error : "none");
    error = ngx_http_background_timezone_init(&zone, "../../etc/localtime",
                                              spring);
    check(error
          && strcmp(error, "it must be a name as \"Europe/Berlin\"") == 0,
          "a path", error ? error : "none");
    error = ngx_http_background_timezone_init(&zone, "tzdata.zi", spring);
    check(error != NULL, "another file", "none");

    reads("a zone whose file has changed", "Here");
    reads("the local time, whose file has changed", "");

    setenv("TZDIR", "/nonexistent", 1);

    error = ngx_http_background_timezone_init(&zone, "Europe/Berlin", spring);
    check(error
          && strcmp(error, "there are no time zones, the package \"tzdata\" "
                    "is missing") == 0,
          "no zones", error ? error : "none");
    error = ngx_http_background_timezone_init(&zone, "UTC", spring);
    check(error == NULL && zone.n == 1 && zone.changes[0].offset == 0,
          "UTC needs none", error ? error : "another offset");

    printf("1..%d\n", count);

    return failed != 0;
}
