
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The limits of tasks, as the kernel calls threads and processes.  Pure C
 * without nginx headers, so that it can be tested separately.
 */


#ifndef _NGX_HTTP_BACKGROUND_TASK_LIMIT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TASK_LIMIT_H_INCLUDED_


#include <stdint.h>


/* longer paths are truncated */
#define NGX_HTTP_BACKGROUND_TASK_LIMIT_NAME  1024


typedef struct {
    uint64_t  max;         /* UINT64_MAX: no limit */
    uint64_t  used;        /* tasks that count for the limit */
    char      name[NGX_HTTP_BACKGROUND_TASK_LIMIT_NAME];
} ngx_http_background_task_limit_t;


/*
 * Finds the limit that leaves the fewest tasks to child processes that run as
 * user "uid".  If two limits leave the same, the first one of this list is
 * returned:
 *
 * /sys/fs/cgroup/.../pids.max  of its cgroups, v1 and v2, and all visible
 *                              ancestors, with pids.current
 * RLIMIT_NPROC                 with the visible tasks of the user; not for
 *                              users that the kernel exempts
 * kernel.threads-max           with all tasks of the system
 * kernel.pid_max               likewise
 *
 * A value that is missing or can't be parsed is no limit.  The function reads
 * files, some for each process, and must not be called on the event loop.  It
 * is thread-safe and frees all its memory.  "root" is as for
 * ngx_http_background_cgroups().
 *
 * Formats: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/pids.rst of
 * the kernel (pids.max, pids.current), proc(5) (limits, loadavg, status),
 * user_namespaces(7) (uid_map).
 */
void ngx_http_background_task_limit(const char *root, unsigned uid,
    ngx_http_background_task_limit_t *limit);

/* returns the number of threads of a process, 0 if there is no such process */
uint64_t ngx_http_background_task_threads(const char *root, unsigned pid);


#endif /* _NGX_HTTP_BACKGROUND_TASK_LIMIT_H_INCLUDED_ */
