
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A task's plan: its "schedule" directives, and what is due by them now.  It
 * goes by the wall clock, and expects it to be changed, and the machine to be
 * suspended.
 */


#ifndef _NGX_HTTP_BACKGROUND_PLAN_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_PLAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_background_schedule.h>


/* a "schedule" directive */

typedef struct {
    ngx_http_background_schedule_t    schedule;
    ngx_http_background_timezone_t   *zone;
    ngx_str_t                         text;
    ngx_msec_t                        jitter;
    ngx_uint_t                        run;        /* "missed=run" */
} ngx_http_background_rule_t;


typedef struct {
    uint64_t    checked;      /* what was due until then is dealt with now */
    uint64_t    due;          /* the next; 0: none */
    ngx_uint_t  run;          /* a cycle is due */
    ngx_uint_t  late;         /* it is one for those that were missed */
    ngx_uint_t  missed;       /* how many were */
} ngx_http_background_look_t;


/*
 * look  at "now", where all until "checked" was dealt with; 0: nothing was due
 *       before now.  Times are seconds since the epoch.  "seed" tells tasks,
 *       workers and machines apart, whose jitter is to differ
 */
void ngx_http_background_plan_look(ngx_array_t *rules, uint32_t seed,
    uint64_t checked, uint64_t now, ngx_http_background_look_t *look);


#endif /* _NGX_HTTP_BACKGROUND_PLAN_H_INCLUDED_ */
