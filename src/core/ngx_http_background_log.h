
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The lines of cycles in the log.  A task that fails, or ends a cycle, many
 * times a second writes some of them only, with the number of the others.
 */


#ifndef _NGX_HTTP_BACKGROUND_LOG_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_LOG_H_INCLUDED_


#include <ngx_http_background_zone.h>


/* what a runner has written; starts as zeroes */

typedef struct {
    ngx_msec_t    paid;             /* lines that are not repeated */
    ngx_msec_t    last;             /* when the last line was */
    ngx_msec_t    pause;            /* for which it is not repeated */
    ngx_uint_t    lines;            /* with the same text */
    ngx_uint_t    folded;           /* failures since the last line */
    uint32_t      text;             /* its hash */
    ngx_uint_t    shown;            /* unsigned  shown:1; in this row */
    uint64_t      failures;         /* in this row */

    ngx_msec_t    paid_good;
    ngx_uint_t    folded_good;
} ngx_http_background_lines_t;


/* a cycle is over; "failures" is how many failed in a row, with this one */

void ngx_http_background_log_success(ngx_http_background_lines_t *lines,
    ngx_log_t *log, ngx_str_t *task, const ngx_http_background_last_t *last);
void ngx_http_background_log_failure(ngx_http_background_lines_t *lines,
    ngx_log_t *log, ngx_str_t *task, const ngx_http_background_last_t *last,
    uint64_t failures, const ngx_str_t *error, ngx_msec_t retry);

/* whether a failure now would not be logged, unless it is a new one */
ngx_uint_t ngx_http_background_log_repeats(ngx_http_background_lines_t *lines);


#endif /* _NGX_HTTP_BACKGROUND_LOG_H_INCLUDED_ */
