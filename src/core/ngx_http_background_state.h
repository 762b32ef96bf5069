
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "background_state": a file with what must outlive nginx.  One worker writes
 * it, in a thread of its own: at most once a minute, when another worker asks
 * for it, and at exit.
 */


#ifndef _NGX_HTTP_BACKGROUND_STATE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_STATE_H_INCLUDED_


#include <ngx_http_background_zone.h>


/*
 * read   in the master, into a zone that is new
 * parse  applies what a file has to the tasks it names; returns how many lines
 *        are bad
 * poll   in each worker, often
 * exit   in a worker that ends
 */
void ngx_http_background_state_read(ngx_http_background_zone_conf_t *zcf);
ngx_uint_t ngx_http_background_state_parse(
    ngx_http_background_zone_conf_t *zcf, u_char *p, u_char *last);
void ngx_http_background_state_poll(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log);
void ngx_http_background_state_exit(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_STATE_H_INCLUDED_ */
