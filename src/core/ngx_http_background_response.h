
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the header of a response */


#ifndef _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * content_type  sets the type, which may have parameters
 * add_header    adds a header field; returns NULL if there is no memory
 *
 * The strings are not copied.
 */
void ngx_http_background_content_type(ngx_http_request_t *r,
    const ngx_str_t *type);
ngx_table_elt_t *ngx_http_background_add_header(ngx_http_request_t *r,
    const ngx_str_t *key, const ngx_str_t *value);


#endif /* _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_ */
