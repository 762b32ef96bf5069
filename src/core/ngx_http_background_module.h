
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the configuration, which all files of the module share */


#ifndef _NGX_HTTP_BACKGROUND_MODULE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_MODULE_H_INCLUDED_


#include <ngx_http_background.h>
#include <ngx_http_background_pool.h>
#include <ngx_http_background_task.h>
#include <ngx_http_background_zone.h>


#define NGX_HTTP_BACKGROUND_VERSION  "0.1.0"


typedef struct {
    ngx_http_background_zone_conf_t   zone;    /* with the tasks */
    ngx_rbtree_t                      names;   /* of the tasks */
    ngx_rbtree_node_t                 sentinel;
    ngx_http_background_pool_conf_t   pool;
    ngx_http_background_task_t       *task;    /* whose block is read */
    const ngx_http_background_cluster_t
                                     *cluster; /* NULL: no module has one */
    ngx_uint_t                        used;    /* unsigned  used:1; */
} ngx_http_background_main_conf_t;


/* returns NULL if there is no such task */
ngx_http_background_task_t *ngx_http_background_find_task(
    ngx_http_background_main_conf_t *bmcf, ngx_str_t *name);


/* as ngx_http_background_conf_path(), for a file that workers execute */
void ngx_http_background_conf_executable(ngx_conf_t *cf, ngx_str_t *path);

/* calls "check" of all operations, when the configuration is complete */
ngx_int_t ngx_http_background_check_task(ngx_conf_t *cf,
    ngx_http_background_task_t *task);


extern ngx_module_t  ngx_http_background_module;


#endif /* _NGX_HTTP_BACKGROUND_MODULE_H_INCLUDED_ */
