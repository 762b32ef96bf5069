
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * How many tasks, which is the kernel's word for threads and processes, there
 * may be.  Pure C: no nginx state, no nginx header, so that it can be tested
 * on its own.
 */


#ifndef _NGX_HTTP_BACKGROUND_TASK_LIMIT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TASK_LIMIT_H_INCLUDED_


#include <stdint.h>


/* paths that are longer are cut off */
#define NGX_HTTP_BACKGROUND_TASK_LIMIT_NAME  1024


typedef struct {
    uint64_t  max;         /* UINT64_MAX: no limit is seen */
    uint64_t  used;        /* tasks that count there */
    char      name[NGX_HTTP_BACKGROUND_TASK_LIMIT_NAME];
} ngx_http_background_task_limit_t;


/*
 * Finds the limit that leaves the least to processes which the calling one
 * makes and which run as user "uid".  When two leave the same, it is the one
 * that comes first in this list:
 *
 * /sys/fs/cgroup/.../pids.max  of its cgroups, v1 and v2, and all ancestors
 *                              that are visible, with pids.current
 * RLIMIT_NPROC                 with the tasks of the user that are visible;
 *                              not for whom the kernel exempts
 * kernel.threads-max           with all the tasks of the system
 * kernel.pid_max               likewise
 *
 * What is missing or can't be parsed limits nothing.  Reads files, some of each
 * process, so call it where blocking is allowed.  Thread-safe, allocates
 * nothing that outlives the call.  "root" is as for
 * ngx_http_background_cgroups().
 *
 * Formats: the kernel's Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/pids.rst (pids.max, pids.current), proc(5) (limits, loadavg,
 * status), user_namespaces(7) (uid_map).
 */
void ngx_http_background_task_limit(const char *root, unsigned uid,
    ngx_http_background_task_limit_t *limit);

/* the threads of a process, 0 if there is no such process */
uint64_t ngx_http_background_task_threads(const char *root, unsigned pid);


#endif /* _NGX_HTTP_BACKGROUND_TASK_LIMIT_H_INCLUDED_ */
