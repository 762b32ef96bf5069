
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Instances: the workers that share a zone.  After an upgrade of nginx's binary
 * and after a change of the zone's size there are two, until the old workers
 * have gone.  A task with "workers one" is in one of them.
 *
 * They share a file in memory, whose descriptor a new binary inherits.  Each
 * worker opens it anew, and locks a byte for each of its tasks: the lock is
 * the open file's, and free when the last thread of the worker is gone.  Behind
 * the byte is a page with what another instance needs to go on with the task.
 * Where the byte is follows from the task's name, so there is no list of them.
 */


#ifndef _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what is written of a task, in bytes */
#define NGX_HTTP_BACKGROUND_INSTANCE_MAX  4000


/*
 * init    in the master, when the configuration can't fail any more
 * open    in the worker; "instance" is the number of its zone.  Where that
 *         fails no other instance is known of
 * close   gives all tasks up
 *
 * lock    for the worker that has the lease in its zone.  NGX_OK: the task is
 *         its; NGX_BUSY: another instance's; NGX_DECLINED: it is its, too, but
 *         a worker of the zone that is almost dead, or hung, has the lock: to
 *         be tried again
 * read    NGX_OK: "data" is what another instance has written last, of the
 *         same size; it may have the task
 * write   by the one that has the task
 */
void ngx_http_background_instance_init(ngx_cycle_t *cycle);
void ngx_http_background_instance_open(uint64_t instance, ngx_log_t *log);
void ngx_http_background_instance_close(ngx_log_t *log);

ngx_int_t ngx_http_background_instance_lock(ngx_str_t *task, ngx_log_t *log);
void ngx_http_background_instance_unlock(ngx_str_t *task, ngx_log_t *log);
ngx_int_t ngx_http_background_instance_read(ngx_str_t *task, void *data,
    size_t size);
void ngx_http_background_instance_write(ngx_str_t *task, const void *data,
    size_t size, ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_ */
