
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* paths in log and error texts */


#ifndef _NGX_HTTP_BACKGROUND_PATH_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_PATH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* size of the buffer for a quoted path with a terminating zero */
#define NGX_HTTP_BACKGROUND_PATH_TEXT  320


/*
 * Writes a path below a root to a buffer of NGX_HTTP_BACKGROUND_PATH_TEXT
 * bytes.  The second function replaces control characters, for the log.
 */
u_char *ngx_http_background_path_text(u_char *text, const ngx_str_t *root,
    const ngx_str_t *path);
u_char *ngx_http_background_path_log(u_char *text, const ngx_str_t *root,
    const ngx_str_t *path);


#endif /* _NGX_HTTP_BACKGROUND_PATH_H_INCLUDED_ */
