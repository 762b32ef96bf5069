
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The plan of a task: the times of its "schedule" directives that are due.  It
 * uses the wall clock, which may be changed, and the machine may be suspended.
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
    uint64_t    checked;      /* times until this one are handled */
    uint64_t    due;          /* the next; 0: none */
    ngx_uint_t  run;          /* a cycle is due */
    ngx_uint_t  late;         /* it is for missed times only */
    ngx_uint_t  missed;       /* number of missed times */
} ngx_http_background_look_t;


/*
 * look  computes the times that are due at "now"; times until "checked" are
 *       handled, 0: no time was due before now.  Times are seconds since the
 *       epoch.  "seed" makes the jitter of tasks, workers and machines differ
 */
void ngx_http_background_plan_look(ngx_array_t *rules, uint32_t seed,
    uint64_t checked, uint64_t now, ngx_http_background_look_t *look);


#endif /* _NGX_HTTP_BACKGROUND_PLAN_H_INCLUDED_ */
