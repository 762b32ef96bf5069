
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What a container's CPU quota leaves for jobs. */


#ifndef _NGX_HTTP_BACKGROUND_HEADROOM_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_HEADROOM_H_INCLUDED_


#include <ngx_http_background.h>


/*
 * open   before the first thread starts; without a quota, or where its use
 *        can't be read, there is nothing to wait for
 * close  when the last thread has ended
 * due    when what the container has used is paid for: until then all that is
 *        left is for its event loops.  In usec, monotonic, as "now" is; any
 *        thread may call it
 */
void ngx_http_background_headroom_open(ngx_log_t *log);
void ngx_http_background_headroom_close(ngx_log_t *log);
uint64_t ngx_http_background_headroom_due(uint64_t now);


#endif /* _NGX_HTTP_BACKGROUND_HEADROOM_H_INCLUDED_ */
