
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Connections that are opened to see whether they can be, and closed. */


#ifndef _NGX_HTTP_BACKGROUND_CONNECT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CONNECT_H_INCLUDED_


#include <ngx_http_background.h>


/*
 * error   of a connection that has become writable; 0: it is open
 * linger  takes one that is open and closes it, now or later
 * trim    closes some of these where connections are few; to be called before
 *         one is opened
 */
ngx_err_t ngx_http_background_connect_error(ngx_connection_t *c);
void ngx_http_background_connect_linger(ngx_connection_t *c);
void ngx_http_background_connect_trim(void);


#endif /* _NGX_HTTP_BACKGROUND_CONNECT_H_INCLUDED_ */
