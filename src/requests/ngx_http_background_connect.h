
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* test connections, which are opened and closed */


#ifndef _NGX_HTTP_BACKGROUND_CONNECT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CONNECT_H_INCLUDED_


#include <ngx_http_background.h>


/*
 * linger  takes an open connection and closes it, at once or later
 * trim    closes lingering connections if few connections are free; called
 *         before a connection is opened
 */
void ngx_http_background_connect_linger(ngx_connection_t *c);
void ngx_http_background_connect_trim(void);


#endif /* _NGX_HTTP_BACKGROUND_CONNECT_H_INCLUDED_ */
