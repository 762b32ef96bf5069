
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Schedules: parses the five fields of a crontab, and computes the next time in
 * a time zone.  Uses no functions of nginx.
 *
 * If both the day and the day of the week are restricted, one of them must
 * match; a field that begins with "*" is not restricted.
 *
 * When clocks are put forward, times in the hour that is left out are due once,
 * when this hour is over; when clocks are put back, times in the repeated hour
 * are due in the first pass only.  If the hour field is "*", times are due by
 * elapsed time instead.
 */


#ifndef _NGX_HTTP_BACKGROUND_SCHEDULE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_SCHEDULE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define NGX_HTTP_BACKGROUND_TIMEZONE_LEN      64

/* the changes of a zone from a year ago on, in 21 years */
#define NGX_HTTP_BACKGROUND_TIMEZONE_CHANGES  128


typedef struct {
    uint64_t    minutes;          /* a bit each */
    uint32_t    hours;
    uint32_t    days;             /* from bit 1 on */
    uint32_t    months;           /* from bit 1 on */
    uint32_t    weekdays;         /* bit 0 is Sunday */
    unsigned    every_hour:1;     /* the hour is "*" */
    unsigned    any_day:1;        /* the day begins with "*" */
    unsigned    any_weekday:1;
} ngx_http_background_schedule_t;


/* from that time on, local time is so many seconds ahead of UTC */

typedef struct {
    int64_t     at;               /* seconds since the epoch */
    int32_t     offset;
} ngx_http_background_change_t;


typedef struct {
    char                          name[NGX_HTTP_BACKGROUND_TIMEZONE_LEN + 1];
    unsigned                      n;
    ngx_http_background_change_t  changes[NGX_HTTP_BACKGROUND_TIMEZONE_CHANGES];
} ngx_http_background_timezone_t;


/*
 * parse     reads "MIN HOUR DAY MONTH WEEKDAY", or "@daily" and its like.
 *           Returns NULL, or an error such as "hour must be from 0 to 23"
 * timezone  fills in the changes of the zone of that name; "" is the local
 *           time.  Returns NULL, or an error.  It changes the environment for a
 *           moment, so it is called only in the master, when it reads a
 *           configuration
 * next      returns the first time after "after" that is due, both in seconds
 *           since the epoch; 0: there is none in a hundred years
 * offset    returns the seconds by which local time is ahead of UTC at "at"
 */
const char *ngx_http_background_schedule_parse(
    ngx_http_background_schedule_t *schedule, const char *text, size_t len);
const char *ngx_http_background_timezone_init(
    ngx_http_background_timezone_t *zone, const char *name, int64_t now);
int64_t ngx_http_background_schedule_next(
    const ngx_http_background_schedule_t *schedule,
    const ngx_http_background_timezone_t *zone, int64_t after);
int32_t ngx_http_background_timezone_offset(
    const ngx_http_background_timezone_t *zone, int64_t at);


#endif /* _NGX_HTTP_BACKGROUND_SCHEDULE_H_INCLUDED_ */
