
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "background_state": a file that keeps pauses and last runs of tasks over the
 * end of nginx.  The first worker writes it in a separate thread: once a
 * minute, when a worker asks for it, and at exit.
 */


#ifndef _NGX_HTTP_BACKGROUND_STATE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_STATE_H_INCLUDED_


#include <ngx_http_background_zone.h>


/* how long cycles wait until the file is written, in milliseconds */
#define NGX_HTTP_BACKGROUND_STATE_TIMEOUT  5000


/*
 * read  reads the file into a new zone, in the master
 * poll  starts the thread if it is time, and answers requests; in each worker
 * exit  writes the file when the worker exits
 */
void ngx_http_background_state_read(ngx_http_background_zone_conf_t *zcf);
void ngx_http_background_state_poll(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log);
void ngx_http_background_state_exit(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_STATE_H_INCLUDED_ */
