
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* what content handlers have in common */


#ifndef _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_RESPONSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * "if" and "limit_except" have a configuration of their own, which is used
 * instead of that of their location.  Returns what has the parameters of the
 * handler there: "conf" of their own directive, or else "prev" of the location.
 */
void *ngx_http_background_merge_handler(ngx_conf_t *cf, void *conf, void *prev,
    ngx_http_handler_pt handler);


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
