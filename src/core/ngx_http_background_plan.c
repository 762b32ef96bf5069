
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_plan.h"


/* a time that is longer ago is missed, in seconds */
#define NGX_HTTP_BACKGROUND_IN_TIME  60

/*
 * If the clock is put back by less, in seconds, times that come again are not
 * due again.
 */
#define NGX_HTTP_BACKGROUND_BACK     (3 * 60 * 60)

/* the most missed times that are counted */
#define NGX_HTTP_BACKGROUND_COUNTED  100


static uint64_t ngx_http_background_plan_base(ngx_array_t *rules,
    uint64_t checked, uint64_t now);
static uint64_t ngx_http_background_plan_next(ngx_array_t *rules,
    uint32_t seed, uint64_t after);
static ngx_uint_t ngx_http_background_plan_late(ngx_array_t *rules,
    uint32_t seed, uint64_t checked, uint64_t now);
static uint64_t ngx_http_background_rule_next(ngx_http_background_rule_t *rule,
    uint32_t seed, uint64_t after);


void
ngx_http_background_plan_look(ngx_array_t *rules, uint32_t seed,
    uint64_t checked, uint64_t now, ngx_http_background_look_t *look)
{
    uint64_t  due;

    ngx_memzero(look, sizeof(ngx_http_background_look_t));

    checked = ngx_http_background_plan_base(rules, checked, now);
    due = ngx_http_background_plan_next(rules, seed, checked);

    while (due && due <= now) {

        if (now - due <= NGX_HTTP_BACKGROUND_IN_TIME) {
            look->run = 1;

        } else {
            look->missed++;

            if (look->missed == NGX_HTTP_BACKGROUND_COUNTED) {
                due = now - NGX_HTTP_BACKGROUND_IN_TIME - 1;
            }
        }

        due = ngx_http_background_plan_next(rules, seed, due);
    }

    if (look->missed && !look->run
        && ngx_http_background_plan_late(rules, seed, checked, now))
    {
        look->run = 1;
        look->late = 1;
    }

    look->checked = ngx_max(checked, now);
    look->due = due;
}


static uint64_t
ngx_http_background_plan_base(ngx_array_t *rules, uint64_t checked,
    uint64_t now)
{
    ngx_uint_t                   i;
    ngx_http_background_rule_t  *rule;

    if (checked == 0 || checked > now + NGX_HTTP_BACKGROUND_BACK) {
        return now;
    }

    if (checked <= now + NGX_HTTP_BACKGROUND_IN_TIME) {
        return checked;
    }

    /* schedules by elapsed time do not wait for the clock */

    rule = rules->elts;

    for (i = 0; i < rules->nelts; i++) {
        if (!rule[i].schedule.every_hour) {
            return checked;
        }
    }

    return now;
}


static uint64_t
ngx_http_background_plan_next(ngx_array_t *rules, uint32_t seed,
    uint64_t after)
{
    uint64_t                     due, next;
    ngx_uint_t                   i;
    ngx_http_background_rule_t  *rule;

    due = 0;
    rule = rules->elts;

    for (i = 0; i < rules->nelts; i++) {
        next = ngx_http_background_rule_next(&rule[i], seed + i, after);

        if (next && (due == 0 || next < due)) {
            due = next;
        }
    }

    return due;
}


/* whether a rule with "missed=run" has missed a time */

static ngx_uint_t
ngx_http_background_plan_late(ngx_array_t *rules, uint32_t seed,
    uint64_t checked, uint64_t now)
{
    uint64_t                     next;
    ngx_uint_t                   i;
    ngx_http_background_rule_t  *rule;

    rule = rules->elts;

    for (i = 0; i < rules->nelts; i++) {

        if (!rule[i].run) {
            continue;
        }

        next = ngx_http_background_rule_next(&rule[i], seed + i, checked);

        if (next && next + NGX_HTTP_BACKGROUND_IN_TIME < now) {
            return 1;
        }
    }

    return 0;
}


/*
 * The next time with its jitter, which is the same for the same time in each
 * worker that gets the lease.  With jitter a later time may come before an
 * earlier one.
 */

static uint64_t
ngx_http_background_rule_next(ngx_http_background_rule_t *rule, uint32_t seed,
    uint64_t after)
{
    uint64_t  due, best, jitter, t;

    struct {
        uint64_t    at;
        uint64_t    seed;
    } key;

    jitter = rule->jitter / 1000;

    if (jitter == 0) {
        return ngx_http_background_schedule_next(&rule->schedule, rule->zone,
                                                 after);
    }

    best = 0;
    due = after - ngx_min(after, jitter + 1);

    for ( ;; ) {
        due = ngx_http_background_schedule_next(&rule->schedule, rule->zone,
                                                due);

        if (due == 0 || (best && due >= best)) {
            return best;
        }

        key.at = due;
        key.seed = seed;

        t = due + ngx_murmur_hash2((u_char *) &key, sizeof(key))
                  % (jitter + 1);

        if (t > after && (best == 0 || t < best)) {
            best = t;
        }
    }
}
