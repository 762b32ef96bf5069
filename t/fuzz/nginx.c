
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* definitions of nginx that the files of a target need */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_pid_t        ngx_pid;
ngx_uint_t       ngx_worker;
volatile ngx_cycle_t  *ngx_cycle;
