
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the status: views of tasks in the zone, and formats */


#ifndef _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_


#include <ngx_http_background_module.h>


/* the limit of a single formatted write, in bytes */
#define NGX_HTTP_BACKGROUND_WRITE_MAX  4096


/* the output of a format; zeroed, except for the pool */

typedef struct {
    ngx_pool_t                       *pool;
    ngx_chain_t                      *out;
    ngx_chain_t                      *last;
    ngx_uint_t                        n;          /* number of buffers */
    off_t                             size;
    ngx_uint_t                        failed;     /* there was no memory */
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


/* the state of a task in all its cells; times as in the zone */

typedef struct {
    ngx_http_background_task_t       *task;
    ngx_http_background_state_e       state;
    ngx_uint_t                        healthy;
    ngx_http_background_late_e        overdue;
    uint64_t                          late;       /* how late the task is, or
                                                     the pid of the worker that
                                                     hangs */
    ngx_uint_t                        running;    /* cycles under way */
    ngx_uint_t                        waiting;    /* jobs of these cycles that
                                                     wait for a thread */
    ngx_uint_t                        abandoned;  /* cycles with jobs that did
                                                     not stop after "timeout" */
    ngx_uint_t                        queued;     /* cycles under way with
                                                     all jobs waiting for a
                                                     thread */
    uint64_t                          queued_since;
                                                  /* start of the first queued
                                                     cycle */
    uint64_t                          begun;      /* cycles */
    uint64_t                          declined;
    uint64_t                          skipped;
    uint64_t                          missed;
    uint64_t                          coalesced;
    ngx_uint_t                        paused;
    uint64_t                          started;    /* start of the first running
                                                     cycle */
    uint64_t                          due;        /* time of the next cycle; 0:
                                                     none */
    uint64_t                          due_at;     /* the same by a schedule,
                                                     wall clock, ms */
    uint64_t                          progress_done;
    uint64_t                          progress_total;
    ngx_uint_t                        leased;     /* number of cells that have
                                                     a worker */
    ngx_pid_t                         pid;        /* of one of these workers */
    ngx_uint_t                        worker;

    ngx_http_background_cluster_view_t
                                      cluster;    /* of "workers cluster" */

    /*
     * the sums, the newest "last", and the largest number of failures in a row
     */
    ngx_http_background_stats_t       stats;

    /* the error of the newest failed cycle is in "stats" */
    ngx_uint_t                        last_failed;
} ngx_http_background_view_t;


typedef struct {
    ngx_http_background_main_conf_t  *bmcf;
    ngx_uint_t                        brief;
    ngx_uint_t                        versions;   /* versions are shown */
    ngx_uint_t                        history;
    ngx_str_t                         attributes; /* of the page */
    uint64_t                          now;        /* wall clock, in
                                                     milliseconds */

    /* of the tasks read so far */
    ngx_uint_t                        ntasks;
    ngx_uint_t                        unhealthy;
    void                             *kept;       /* data that "task" keeps */

    /* set when all tasks are read */
    ngx_http_background_zone_info_t   info;
} ngx_http_background_status_t;


/*
 * A format, which is written in slices.
 *
 * head  writes the beginning; called when all tasks are read
 * task  optional; called when a task was read, with the number ntasks - 1.  It
 *       writes the task, or keeps data for "part" in an element of "keep"
 *       bytes
 * part  optional; called when all tasks are read, for each of "parts" and for
 *       "n" tasks from number "from"; with n of 0 if there are no tasks
 * tail  optional; writes the end
 */

typedef struct ngx_http_background_format_s  ngx_http_background_format_t;

struct ngx_http_background_format_s {
    ngx_str_t                             name;   /* parameter of the
                                                     directive */
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

    /* optional; the format for clients whose "Accept" names its type */
    const ngx_http_background_format_t   *other;

    /* optional; adds header fields */
    ngx_int_t                           (*headers)(ngx_http_request_t *r);
};


extern const ngx_http_background_format_t  ngx_http_background_json;
extern const ngx_http_background_format_t  ngx_http_background_html;
extern const ngx_http_background_format_t  ngx_http_background_prometheus;


/* a source of renderings: a directive of a location in one of its formats */

typedef struct ngx_http_background_rendering_s
    ngx_http_background_rendering_t;

typedef struct {
    ngx_http_background_main_conf_t      *bmcf;
    const ngx_http_background_format_t   *format;
    ngx_array_t                          *names;  /* of ngx_str_t, NULL: all
                                                     tasks */
    ngx_uint_t                            brief;
    ngx_uint_t                            versions;  /* versions are shown */
    ngx_uint_t                            history;
    ngx_str_t                             attributes;  /* of the page */

    /* sends the response to a request */
    ngx_int_t                           (*send)(ngx_http_request_t *r,
                                     const ngx_http_background_format_t *format,
                                     ngx_uint_t unhealthy, off_t size,
                                     ngx_chain_t *out);

    /* the rendering for new requests, or NULL */
    ngx_http_background_rendering_t      *rendering;
} ngx_http_background_source_t;


/* A content handler.  Calls "send" at once, or later if it returns NGX_DONE. */
ngx_int_t ngx_http_background_render(ngx_http_request_t *r,
    ngx_http_background_source_t *source);


ngx_int_t ngx_http_background_html_init(ngx_conf_t *cf);


/* by ngx_http_background_state_e */
extern ngx_str_t  ngx_http_background_states[];

/* by ngx_http_background_server_e */
extern ngx_str_t  ngx_http_background_server_states[];


/*
 * view_causes() returns why the last cycles of all cells were started, the
 * oldest first.  healthy() returns "healthy" as view_read() does, but reads
 * only what is needed for it.
 */

void ngx_http_background_view_read(ngx_http_background_view_t *view,
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task);
ngx_uint_t ngx_http_background_view_causes(ngx_http_background_view_t *view,
    ngx_http_background_cause_t causes[NGX_HTTP_BACKGROUND_CAUSES]);
ngx_uint_t ngx_http_background_healthy(ngx_http_background_main_conf_t *bmcf,
    ngx_http_background_task_t *task);

/*
 * late() returns in what way a cell of a task is late, and for how long.
 * view_error() returns why a task is late or has failed, or an empty string;
 * "buf" is a buffer for the text.
 */
ngx_http_background_late_e ngx_http_background_late(
    ngx_http_background_zone_conf_t *zcf, ngx_http_background_task_t *task,
    ngx_http_background_cell_t *cell, uint64_t *time);
ngx_str_t ngx_http_background_view_error(ngx_http_background_view_t *view,
    u_char buf[NGX_HTTP_BACKGROUND_ERROR_LEN]);

/* in postconfiguration: whether the location has any access control of POST */
ngx_uint_t ngx_http_background_access(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx);

ngx_uint_t ngx_http_background_accept(ngx_http_request_t *r,
    const ngx_str_t *type);


/*
 * A writer.
 *
 * reserve  returns a buffer with room for "size" bytes, or NULL
 * wrote    ends the data in the reserved buffer at p
 * write    formats a text
 * append   appends a buffer
 * join     moves the buffers of another writer to the end
 * release  frees the buffers
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


/*
 * actions of "background_control"
 *
 * allowed  returns those of the location of that name in the server, or 0 if
 *          there is no such location
 */

#define NGX_HTTP_BACKGROUND_CONTROL_RUN     0x01
#define NGX_HTTP_BACKGROUND_CONTROL_PAUSE   0x02
#define NGX_HTTP_BACKGROUND_CONTROL_RESUME  0x04
#define NGX_HTTP_BACKGROUND_CONTROL_CANCEL  0x08
#define NGX_HTTP_BACKGROUND_CONTROL_PEERS   0x10

ngx_uint_t ngx_http_background_control_allowed(ngx_conf_t *cf, void **srv_conf,
    ngx_str_t *uri);


/* the attributes that tell the page where orders go, and which are allowed */
ngx_int_t ngx_http_background_html_control(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_uint_t allowed, ngx_str_t *attributes);


/* write a literal, "12", "12.345" of 12345, and "2026-11-25T21:30:12.000Z" */

#define ngx_http_background_put(p, text)                                      \
    ngx_cpymem(p, text, sizeof(text) - 1)

u_char *ngx_http_background_put_number(u_char *p, uint64_t n);
u_char *ngx_http_background_put_thousandths(u_char *p, uint64_t n);
u_char *ngx_http_background_put_time(u_char *p, uint64_t at);


#endif /* _NGX_HTTP_BACKGROUND_STATUS_H_INCLUDED_ */
