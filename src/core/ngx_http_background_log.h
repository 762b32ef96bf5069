
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Log lines of cycles.  A task with many cycles in a second logs only some of
 * them, with the number of the others.
 */


#ifndef _NGX_HTTP_BACKGROUND_LOG_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_LOG_H_INCLUDED_


#include <ngx_http_background_zone.h>


/* the lines that a task has logged; initialized with zeroes */

typedef struct {
    ngx_msec_t    paid;             /* a leaky bucket for different failures */
    ngx_msec_t    last;             /* time of the last line */
    ngx_msec_t    pause;            /* until the same failure is logged again */
    ngx_uint_t    lines;            /* with the same error */
    ngx_uint_t    folded;           /* failures since the last line */
    uint32_t      text;             /* hash of the last error */
    ngx_uint_t    shown;            /* unsigned shown:1; a failure of this row
                                       was logged */
    uint64_t      failures;         /* in a row */

    ngx_msec_t    paid_good;
    ngx_uint_t    folded_good;
} ngx_http_background_lines_t;


/*
 * Called when a cycle is over.  "failures" is the number of failed cycles in a
 * row, including this one.
 */

void ngx_http_background_log_success(ngx_http_background_lines_t *lines,
    ngx_log_t *log, ngx_str_t *task, const ngx_http_background_last_t *last);
void ngx_http_background_log_failure(ngx_http_background_lines_t *lines,
    ngx_log_t *log, ngx_str_t *task, const ngx_http_background_last_t *last,
    uint64_t failures, const ngx_str_t *error, ngx_msec_t retry);

/* whether a failure that is not new would not be logged now */
ngx_uint_t ngx_http_background_log_repeats(ngx_http_background_lines_t *lines);


#endif /* _NGX_HTTP_BACKGROUND_LOG_H_INCLUDED_ */
