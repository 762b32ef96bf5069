
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Instances: the workers that share a zone.  After an upgrade of the nginx
 * binary and after a change of the zone size there are two instances, until
 * the old workers have exited.  A task with "workers one" runs in one of them.
 *
 * Both instances share a memfd, whose descriptor is inherited by a new binary.
 * Each worker opens the file anew and locks one byte for each of its tasks.
 * The lock belongs to the open file, so it is freed when the last thread of
 * the worker has exited.  The page at that byte has the state of the task for
 * the other instance.  The offset is computed from the name of the task, so
 * the file needs no index.
 */


#ifndef _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the largest state of a task, in bytes */
#define NGX_HTTP_BACKGROUND_INSTANCE_MAX  4000


/*
 * init   in the master, when the configuration can't fail any more
 * open   in the worker; "instance" identifies its zone.  If it fails, tasks
 *        run as if there were no other instance
 * close  releases all tasks
 *
 * lock   called by the worker that has the lease of its zone.  Returns NGX_OK
 *        if the task is locked; NGX_BUSY if another instance has it;
 *        NGX_DECLINED if the caller may run the task, but must lock it later:
 *        a worker of its own instance that hangs or exits still has the lock
 * read   returns NGX_OK if another instance has written a state of this size
 *        last; it may still have the task.  In the master it is that of any
 *        instance
 * write  called by the worker that has the task
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
