
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* The status: what the zone says, put together, and its formats. */


#ifndef _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_


#include <ngx_http_background_module.h>


/* no single formatted write is longer, in bytes */
#define NGX_HTTP_BACKGROUND_WRITE_MAX  4096


/* where a format writes its output; zeroed but for the pool */

typedef struct {
    ngx_pool_t                       *pool;
    ngx_chain_t                      *out;
    ngx_chain_t                      *last;
    off_t                             size;
    ngx_uint_t                        failed;     /* no memory */
} ngx_http_background_writer_t;


typedef enum {
    ngx_http_background_waiting = 0,
    ngx_http_background_running,
    ngx_http_background_retrying,
    ngx_http_background_quarantined,
    ngx_http_background_stopped,
    ngx_http_background_abandoned
} ngx_http_background_state_e;


typedef enum {
    ngx_http_background_not_late = 0,
    ngx_http_background_late_start,
    ngx_http_background_late_end,
    ngx_http_background_late_thread,
    ngx_http_background_late_worker
} ngx_http_background_late_e;


/* a task, all its cells together; times as in the zone */

typedef struct {
    ngx_http_background_task_t       *task;
    ngx_http_background_state_e       state;
    ngx_uint_t                        healthy;
    ngx_http_background_late_e        overdue;
    uint64_t                          late;       /* for so long, or the
                                                     process that hangs */
    ngx_uint_t                        running;    /* cycles under way */
    ngx_uint_t                        waiting;    /* jobs of these that wait
                                                     for a thread */
    ngx_uint_t                        abandoned;  /* cycles whose jobs did not
                                                     stop at the time-out */
    uint64_t                          begun;      /* cycles */
    uint64_t                          declined;
    uint64_t                          skipped;
    uint64_t                          started;    /* the first of these */
    uint64_t                          due;        /* the earliest; 0: none */
    uint64_t                          progress_done;
    uint64_t                          progress_total;
    ngx_uint_t                        leased;     /* cells with a worker */
    ngx_pid_t                         pid;        /* of one of them */
    ngx_uint_t                        worker;

    /* totals, the newest "last", the longest row of failures */
    ngx_http_background_stats_t       stats;

    /* the text of the newest cycle that failed is in "stats" */
    ngx_uint_t                        last_failed;
} ngx_http_background_view_t;


typedef struct {
    ngx_http_background_main_conf_t  *bmcf;
    ngx_http_background_view_t       *tasks;
    ngx_uint_t                        ntasks;
    ngx_uint_t                        unhealthy;  /* tasks */
    ngx_http_background_zone_info_t   info;
    ngx_uint_t                        brief;
    ngx_uint_t                        history;
} ngx_http_background_status_t;


/* a format of the answer */

typedef struct ngx_http_background_format_s  ngx_http_background_format_t;

struct ngx_http_background_format_s {
    ngx_str_t                             name;   /* in the directive */
    ngx_str_t                             type;   /* Content-Type */
    void                                (*write)(
                                         ngx_http_background_writer_t *w,
                                         ngx_http_background_status_t *status);

    /* optional: what a client gets whose "Accept" names that type */
    const ngx_http_background_format_t   *other;

    /* optional: adds header fields */
    ngx_int_t                           (*headers)(ngx_http_request_t *r);
};


extern const ngx_http_background_format_t  ngx_http_background_json;
extern const ngx_http_background_format_t  ngx_http_background_html;
extern const ngx_http_background_format_t  ngx_http_background_prometheus;


ngx_int_t ngx_http_background_html_init(ngx_conf_t *cf);


/* by ngx_http_background_state_e */
extern ngx_str_t  ngx_http_background_states[];


/*
 * causes() is why the last cycles were started, of all cells, the oldest first;
 * healthy() is what view_read() says of it, and reads nothing else.
 */

void ngx_http_background_view_read(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task);
ngx_uint_t ngx_http_background_view_causes(ngx_http_background_view_t *view,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES]);
ngx_uint_t ngx_http_background_healthy(ngx_http_background_main_conf_t *bmcf,
    ngx_http_background_task_t *task);

/*
 * late() tells what a cell of a task is late with, and for how long; error() is
 * why a task is not as it should be, or else empty; "buf" is for its text.
 */
ngx_http_background_late_e ngx_http_background_late(
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task,
    ngx_http_background_cell_t *cell, uint64_t *time);
ngx_str_t ngx_http_background_view_error(ngx_http_background_view_t *view,
    u_char buf[NGX_HTTP_BACKGROUND_ERROR_LEN]);

ngx_uint_t ngx_http_background_accept(ngx_http_request_t *r,
    const ngx_str_t *type);
ngx_int_t ngx_http_background_add_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value);


/* a place for "size" bytes, or NULL */
ngx_buf_t *ngx_http_background_reserve(ngx_http_background_writer_t *w,
    size_t size);
void ngx_cdecl ngx_http_background_write(ngx_http_background_writer_t *w,
    const char *fmt, ...);


#endif /* _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_ */
