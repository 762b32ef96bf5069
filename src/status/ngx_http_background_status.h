
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
    ngx_uint_t                        n;          /* buffers */
    off_t                             size;
    ngx_uint_t                        failed;     /* no memory */
} ngx_http_background_writer_t;


typedef enum {
    ngx_http_background_waiting = 0,
    ngx_http_background_running,
    ngx_http_background_queued,
    ngx_http_background_retrying,
    ngx_http_background_quarantined,
    ngx_http_background_stopped,
    ngx_http_background_abandoned,
    ngx_http_background_paused
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
    ngx_uint_t                        queued;     /* cycles under way that
                                                     only wait for a thread */
    uint64_t                          queued_since;
                                                  /* the first of these */
    uint64_t                          begun;      /* cycles */
    uint64_t                          declined;
    uint64_t                          skipped;
    uint64_t                          missed;
    uint64_t                          coalesced;
    ngx_uint_t                        paused;
    uint64_t                          started;    /* the first of these */
    uint64_t                          due;        /* the earliest; 0: none */
    uint64_t                          due_at;     /* the same by a schedule,
                                                     wall clock, ms */
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
    ngx_uint_t                        brief;
    ngx_uint_t                        versions;   /* may be told */
    ngx_uint_t                        history;
    uint64_t                          now;        /* wall clock, ms */

    /* of the tasks that have been read so far, and of those: */
    ngx_uint_t                        ntasks;
    ngx_uint_t                        unhealthy;
    void                             *kept;       /* what "task" keeps */

    /* when all have been */
    ngx_http_background_zone_info_t   info;
} ngx_http_background_status_t;


/*
 * A format of the answer, which is written in slices.
 *
 * head    what comes first; called when all tasks have been read
 * task    optional: one has been read, as number ntasks - 1, and is written; or
 *         what "part" needs of it is kept, in an element of that size
 * part    optional: when all have been read, one of "parts" for the "n" tasks
 *         from that one on; with 0 of 0 tasks where there are none
 * tail    optional: what comes last
 */

typedef struct ngx_http_background_format_s  ngx_http_background_format_t;

struct ngx_http_background_format_s {
    ngx_str_t                             name;   /* in the directive */
    ngx_str_t                             type;   /* Content-Type */

    void                                (*head)(
                                         ngx_http_background_writer_t *w,
                                         ngx_http_background_status_t *status);
    void                                (*task)(
                                         ngx_http_background_writer_t *w,
                                         ngx_http_background_status_t *status,
                                         ngx_http_background_view_t *view);
    size_t                                keep;
    ngx_uint_t                            parts;
    void                                (*part)(
                                         ngx_http_background_writer_t *w,
                                         ngx_http_background_status_t *status,
                                         ngx_uint_t part, ngx_uint_t from,
                                         ngx_uint_t n);
    void                                (*tail)(
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


/* what is rendered: a location's directive in one of its formats */

typedef struct ngx_http_background_rendering_s
    ngx_http_background_rendering_t;

typedef struct {
    ngx_http_background_main_conf_t      *bmcf;
    const ngx_http_background_format_t   *format;
    ngx_array_t                          *names;  /* of ngx_str_t, NULL: all
                                                     tasks */
    ngx_uint_t                            brief;
    ngx_uint_t                            versions;  /* may be told */
    ngx_uint_t                            history;

    /* the answer to one of the requests */
    ngx_int_t                           (*send)(ngx_http_request_t *r,
                                     const ngx_http_background_format_t *format,
                                     ngx_uint_t unhealthy, off_t size,
                                     ngx_chain_t *out);

    /* that a request gets now, or NULL */
    ngx_http_background_rendering_t      *rendering;
} ngx_http_background_source_t;


/* a content handler: calls "send", at once or later, then with NGX_DONE */
ngx_int_t ngx_http_background_render(ngx_http_request_t *r,
    ngx_http_background_source_t *source);


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


/*
 * A writer.
 *
 * reserve  returns a buffer with room for "size" bytes, or NULL
 * wrote    what was put there ends at p
 * write    formats, for what is written once
 * append   adds a buffer
 * join     moves what the other one has to the end
 * release  frees what was reserved
 */
ngx_buf_t *ngx_http_background_reserve(ngx_http_background_writer_t *w,
    size_t size);
void ngx_http_background_wrote(ngx_http_background_writer_t *w, u_char *p);
void ngx_cdecl ngx_http_background_write(ngx_http_background_writer_t *w,
    const char *fmt, ...);
void ngx_http_background_append(ngx_http_background_writer_t *w,
    ngx_chain_t *cl, ngx_buf_t *b);
void ngx_http_background_join(ngx_http_background_writer_t *w,
    ngx_http_background_writer_t *other);
void ngx_http_background_release(ngx_http_background_writer_t *w);


/* a literal, "12", "12.345" of 12345, and "2026-11-25T21:30:12.000Z" */

#define ngx_http_background_put(p, text)                                      \
    ngx_cpymem(p, text, sizeof(text) - 1)

u_char *ngx_http_background_put_number(u_char *p, uint64_t n);
u_char *ngx_http_background_put_thousandths(u_char *p, uint64_t n);
u_char *ngx_http_background_put_time(u_char *p, uint64_t at);


#endif /* _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_ */
