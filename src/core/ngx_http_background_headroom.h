
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the part of the CPU quota of a container that is left for jobs */


#ifndef _NGX_HTTP_BACKGROUND_HEADROOM_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_HEADROOM_H_INCLUDED_


#include <ngx_http_background.h>


/*
 * open   called before the first thread starts.  Without a quota, or if the
 *        used CPU time can't be read, jobs do not wait
 * close  called when the last thread has ended
 * due    returns when the CPU time that the container has used is paid for.
 *        Until then jobs wait, so that the rest of the quota is left for event
 *        loops.  In usec, monotonic, as "now"; for any thread
 */
void ngx_http_background_headroom_open(ngx_log_t *log);
void ngx_http_background_headroom_close(ngx_log_t *log);
uint64_t ngx_http_background_headroom_due(uint64_t now);


#endif /* _NGX_HTTP_BACKGROUND_HEADROOM_H_INCLUDED_ */
