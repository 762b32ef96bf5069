
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A list of URIs, one a line, for the operation kind "requests".  Threads of
 * the blocking pool read the file, piece by piece and no faster than URIs are
 * taken, so a list of any length takes the same memory.
 */


#ifndef _NGX_HTTP_BACKGROUND_READER_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_READER_H_INCLUDED_


#include <ngx_http_background.h>

#include "ngx_http_background_linebuf.h"


#define NGX_HTTP_BACKGROUND_READER_LINE    8192
#define NGX_HTTP_BACKGROUND_READER_BUFFER  65536


/* what a thread does; the event loop looks at it before and after only */

typedef struct {
    u_char                               *name;
    ngx_fd_t                              fd;       /* invalid: to be opened */
    u_char                               *buffer;
    size_t                                free;     /* of buffer, in bytes */

    ssize_t                               n;        /* as of read() */
    ngx_file_info_t                       info;
    const char                           *failed;   /* call, or NULL */
    ngx_err_t                             err;
} ngx_http_background_read_t;


typedef enum {
    ngx_http_background_reader_idle = 0,
    ngx_http_background_reader_reading,             /* "read" is a thread's */
    ngx_http_background_reader_abandoned,           /* the same; then free it */
    ngx_http_background_reader_failed               /* not yet told */
} ngx_http_background_reader_state_e;


/* all but "read" is the event loop's alone */

typedef struct {
    ngx_uint_t                            state;
    ngx_http_background_linebuf_t         lines;
    off_t                                 offset;   /* of what has been read */
    ngx_file_info_t                       info;
    ngx_uint_t                            opened;   /* unsigned  opened:1;
                                                       "info" is known */

    ngx_http_background_read_t            read;
    ngx_thread_task_t                     task;

    ngx_pool_t                           *pool;
    ngx_event_t                          *event;
    ngx_str_t                             owner;    /* the task's name */
} ngx_http_background_reader_t;


/*
 * The next line that has a URI, as ngx_http_background_linebuf_next(); the URI
 * is never empty.
 */
ngx_int_t ngx_http_background_reader_parse(
    ngx_http_background_linebuf_t *lines, ngx_str_t *uri);


/*
 * On the event loop:
 *
 * create  does not open the file yet
 * open    before the first URI is taken: NGX_OK, "info" is known, or NGX_AGAIN,
 *         as below, or NGX_DECLINED, the file can't be read, as "next" tells
 * next    as parse, and
 *         NGX_OK     uri is in use until the next call
 *         NGX_AGAIN  the handler of event is called when there is more
 *         NGX_ERROR  read.failed, read.err and read.name tell why there is
 *                    nothing more to read; told once, before NGX_DONE
 * free    also while a thread reads; forgets the event
 */
ngx_http_background_reader_t *ngx_http_background_reader_create(
    ngx_http_background_run_t *run, ngx_str_t *file,
    ngx_event_t *event);
ngx_int_t ngx_http_background_reader_open(ngx_http_background_reader_t *reader);
ngx_int_t ngx_http_background_reader_next(ngx_http_background_reader_t *reader,
    ngx_str_t *uri);
void ngx_http_background_reader_free(ngx_http_background_reader_t *reader);


#endif /* _NGX_HTTP_BACKGROUND_READER_H_INCLUDED_ */
