
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Paths in texts. */


#ifndef _NGX_HTTP_BACKGROUND_PATH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_PATH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a path in texts, quoted and zero-terminated */
#define NGX_HTTP_BACKGROUND_PATH_TEXT  320


/*
 * A path beneath a root, in a buffer of NGX_HTTP_BACKGROUND_PATH_TEXT bytes:
 * for the text of a failure or, without control characters, for the log
 */
u_char *ngx_http_background_path_text(u_char *text, const ngx_str_t *root,
    const ngx_str_t *path);
u_char *ngx_http_background_path_log(u_char *text, const ngx_str_t *root,
    const ngx_str_t *path);


#endif /* _NGX_HTTP_BACKGROUND_PATH_H_INCLUDED_ */
