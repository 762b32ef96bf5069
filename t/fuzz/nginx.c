
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What is nginx's, and not in the files that a target is linked with. */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_pid_t        ngx_pid;
ngx_uint_t       ngx_worker;
volatile ngx_cycle_t  *ngx_cycle;
