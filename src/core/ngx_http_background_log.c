
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_log.h"


/* successful cycles: 100 lines at once, then one a second */
#define NGX_HTTP_BACKGROUND_GOOD_LINES   100
#define NGX_HTTP_BACKGROUND_GOOD_PAUSE   1000

/* different failures: 10 lines at once, then one a minute */
#define NGX_HTTP_BACKGROUND_OTHER_LINES  10
#define NGX_HTTP_BACKGROUND_OTHER_PAUSE  60000

/* the same failure: 5 lines, then after pauses that double */
#define NGX_HTTP_BACKGROUND_SAME_LINES   5
#define NGX_HTTP_BACKGROUND_SAME_PAUSE   5000
#define NGX_HTTP_BACKGROUND_SAME_MAX     3600000


typedef u_char  ngx_http_background_folded_t[
                                     sizeof(" ( more since the last line)")
                                     + NGX_INT_T_LEN];


static ngx_uint_t ngx_http_background_log_fold(
    ngx_http_background_lines_t *lines, uint64_t failures,
    const ngx_str_t *error);
static ngx_uint_t ngx_http_background_log_pay(ngx_msec_t *paid, ngx_uint_t n,
    ngx_msec_t pause);
static u_char *ngx_http_background_log_retry(u_char *p, u_char *last,
    ngx_msec_t retry);
static u_char *ngx_http_background_log_folded(ngx_uint_t *folded,
    ngx_http_background_folded_t buf);


void
ngx_http_background_log_success(ngx_http_background_lines_t *lines,
    ngx_log_t *log, ngx_str_t *task, const ngx_http_background_last_t *last)
{
    uint64_t                      cpu;
    ngx_http_background_folded_t  buf;

    if (lines->shown) {
        lines->shown = 0;
        lines->folded = 0;

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "background task \"%V\": recovered after %uL failed "
                      "cycles", task, lines->failures);
    }

    if (!ngx_http_background_log_pay(&lines->paid_good,
                                     NGX_HTTP_BACKGROUND_GOOD_LINES,
                                     NGX_HTTP_BACKGROUND_GOOD_PAUSE))
    {
        lines->folded_good++;
        return;
    }

    cpu = last->cpu_usec / 1000;

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "background task \"%V\": completed %uL operations, "
                  "total IO time: %uL.%03uLs, "
                  "total CPU time: %uL.%03uLs, wall time: %uL.%03uLs%s",
                  task, last->completed,
                  last->io_time / 1000, last->io_time % 1000,
                  cpu / 1000, cpu % 1000,
                  last->wall_time / 1000, last->wall_time % 1000,
                  ngx_http_background_log_folded(&lines->folded_good, buf));
}


void
ngx_http_background_log_failure(ngx_http_background_lines_t *lines,
    ngx_log_t *log, ngx_str_t *task, const ngx_http_background_last_t *last,
    uint64_t failures, const ngx_str_t *error, ngx_msec_t retry)
{
    u_char                        *p, *last_of,
                                   of[sizeof(", of operations failed"
                                             ", retrying in ms")
                                      + 3 * NGX_INT64_LEN];
    ngx_http_background_folded_t   buf;

    if (ngx_http_background_log_fold(lines, failures, error)) {
        return;
    }

    p = of;

    if (last->failed > 1) {
        p = ngx_slprintf(p, of + sizeof(of), ", %uL of %uL operations failed",
                         last->failed, last->completed + last->failed);
    }

    last_of = ngx_http_background_log_retry(p, of + sizeof(of), retry);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "background task \"%V\": failed: %V%*s%s",
                  task, error, (size_t) (last_of - of), of,
                  ngx_http_background_log_folded(&lines->folded, buf));
}


static u_char *
ngx_http_background_log_retry(u_char *p, u_char *last, ngx_msec_t retry)
{
    if (retry == 0) {
        return p;
    }

    return (retry % 1000)
           ? ngx_slprintf(p, last, ", retrying in %Mms", retry)
           : ngx_slprintf(p, last, ", retrying in %Ms", retry / 1000);
}


ngx_uint_t
ngx_http_background_log_repeats(ngx_http_background_lines_t *lines)
{
    if (lines->shown) {
        return lines->lines >= NGX_HTTP_BACKGROUND_SAME_LINES
               && ngx_current_msec - lines->last < lines->pause;
    }

    return lines->paid > ngx_current_msec
                         + (NGX_HTTP_BACKGROUND_OTHER_LINES - 1)
                           * NGX_HTTP_BACKGROUND_OTHER_PAUSE;
}


/*
 * A failure is the same as the last one if the text is the same and no cycle
 * between them succeeded.
 */

static ngx_uint_t
ngx_http_background_log_fold(ngx_http_background_lines_t *lines,
    uint64_t failures, const ngx_str_t *error)
{
    uint32_t  text;

    text = ngx_murmur_hash2(error->data, error->len);

    lines->failures = failures;

    if (failures == 1) {
        lines->shown = 0;
    }

    if (!lines->shown || text != lines->text) {

        if (!ngx_http_background_log_pay(&lines->paid,
                                         NGX_HTTP_BACKGROUND_OTHER_LINES,
                                         NGX_HTTP_BACKGROUND_OTHER_PAUSE))
        {
            lines->folded++;
            return 1;
        }

        lines->text = text;
        lines->lines = 1;
        lines->pause = NGX_HTTP_BACKGROUND_SAME_PAUSE;

    } else if (lines->lines < NGX_HTTP_BACKGROUND_SAME_LINES) {
        lines->lines++;

    } else if (ngx_current_msec - lines->last < lines->pause) {
        lines->folded++;
        return 1;

    } else {
        lines->pause = ngx_min(2 * lines->pause, NGX_HTTP_BACKGROUND_SAME_MAX);
    }

    lines->last = ngx_current_msec;
    lines->shown = 1;

    return 0;
}


/*
 * A leaky bucket: at most "n" lines at once, then one in each "pause".
 * Returns 0 if the line must not be logged.
 */

static ngx_uint_t
ngx_http_background_log_pay(ngx_msec_t *paid, ngx_uint_t n, ngx_msec_t pause)
{
    ngx_msec_t  now;

    now = ngx_current_msec;

    if (*paid < now) {
        *paid = now;
    }

    if (*paid - now > (n - 1) * pause) {
        return 0;
    }

    *paid += pause;

    return 1;
}


static u_char *
ngx_http_background_log_folded(ngx_uint_t *folded,
    ngx_http_background_folded_t buf)
{
    buf[0] = '\0';

    if (*folded) {
        ngx_sprintf(buf, " (%ui more since the last line)%Z", *folded);
        *folded = 0;
    }

    return buf;
}
