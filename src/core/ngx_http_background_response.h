
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What the header of a response has. */


#ifndef _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * content_type  sets the type, which may have parameters
 * add_header    adds a field; NULL: no memory
 *
 * Strings are kept by reference.
 */
void ngx_http_background_content_type(ngx_http_request_t *r,
    const ngx_str_t *type);
ngx_table_elt_t *ngx_http_background_add_header(ngx_http_request_t *r,
    const ngx_str_t *key, const ngx_str_t *value);


#endif /* _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_ */
