
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Instances: the workers that share a zone.  After an upgrade of the nginx
 * binary and after a change of the zone size there are two instances, until
 * the old workers have exited.  A task with "workers one" runs in one of them.
 *
 * Both instances share a memfd, whose descriptor is inherited by a new binary.
 * Each worker opens the file anew and locks the byte of its own number.  The
 * lock belongs to the open file, so it is freed when the last thread of the
 * worker has exited, however it ends.  A task has a word in the file, which
 * names the worker that has the task.  It can be changed by any worker if the
 * lock of that worker is free, and by a worker of the same instance, which asks
 * only if it has the lease of its zone: so the task leaves a worker that hangs
 * when its lease does.  The file has the state of the task for the other
 * instance, too, of NGX_HTTP_BACKGROUND_PAGE bytes at most, and pages of kinds.
 */


#ifndef _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * init    in the master, when the configuration can't fail any more
 * open    in the worker; "instance" identifies its zone.  If it fails, tasks
 *         run as if there were no other instance
 * close   releases all tasks
 *
 * lock    called by the worker that has the lease of its zone.  Returns NGX_OK
 *         if it has the task; NGX_BUSY if a worker of another instance does
 * unlock  does nothing if the caller does not have the task
 * read    returns NGX_OK if another instance has written a state of this size
 *         last; it may still have the task
 * write   does nothing if the caller does not have the task
 */
void ngx_http_background_instance_init(ngx_cycle_t *cycle);
void ngx_http_background_instance_open(uint64_t instance, ngx_log_t *log);
void ngx_http_background_instance_close(ngx_log_t *log);

ngx_int_t ngx_http_background_instance_lock(ngx_str_t *task, ngx_log_t *log);
void ngx_http_background_instance_unlock(ngx_str_t *task);
ngx_int_t ngx_http_background_instance_read(ngx_str_t *task, void *data,
    size_t size);
void ngx_http_background_instance_write(ngx_str_t *task, const void *data,
    size_t size, ngx_log_t *log);


#endif /* _NGX_HTTP_BACKGROUND_INSTANCE_H_INCLUDED_ */
