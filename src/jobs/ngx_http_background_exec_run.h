
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* One command of "exec", on a thread of the pool. */


#ifndef _NGX_HTTP_BACKGROUND_EXEC_RUN_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_EXEC_RUN_H_INCLUDED_


#include <ngx_http_background.h>
#include "ngx_http_background_exec_helper.h"


typedef struct {
    ngx_str_t                   text;         /* zero-terminated */
    ngx_http_complex_value_t    value;        /* if it has variables */
    ngx_uint_t                  variables;    /* unsigned  variables:1; */
} ngx_http_background_exec_string_t;


/* lists end with NULL, and have room for one string more */

typedef struct {
    ngx_str_t                   path;
    ngx_array_t                 arguments;    /* of exec_string_t */
    ngx_array_t                 environment;  /* likewise */
    char                      **argv;
    char                      **env;
    ngx_uint_t                  variables;    /* unsigned  variables:1; */

    ngx_uint_t                  input;        /* unsigned  input:1; */
    ngx_uint_t                  output;       /* unsigned  output:1; */
    ngx_msec_t                  kill;
    off_t                       memory;
} ngx_http_background_exec_conf_t;


/* with the variables of a request; run->ctx, or NULL there */

typedef struct {
    char                      **argv;
    char                      **env;
} ngx_http_background_exec_values_t;


/* the work of the kind */
void ngx_http_background_exec_work(ngx_http_background_run_t *run);


#endif /* _NGX_HTTP_BACKGROUND_EXEC_RUN_H_INCLUDED_ */
