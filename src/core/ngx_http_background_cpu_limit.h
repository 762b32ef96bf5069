
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The number of CPUs that the container grants.  Pure C without nginx headers,
 * so that it can be tested separately.
 */


#ifndef _NGX_HTTP_BACKGROUND_CPU_LIMIT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CPU_LIMIT_H_INCLUDED_


#include <ngx_http_background_cgroup.h>


typedef struct {
    unsigned     limit;    /* whole CPUs: cpus rounded down, at least 1 */
    double       cpus;     /* the lowest of all limits, in CPUs */
    double       quota;    /* the lowest cgroup quota, in CPUs; 0: none */
    const char  *source;   /* the limit that set "cpus", a static string:
                              "affinity", "cgroup v2", "cgroup v1" or
                              "cpuset" */
} ngx_http_background_cpu_limit_t;


/*
 * Finds the CPU limit of the calling process: the lowest of the affinity mask,
 * cpu.max of its cgroup v2 and of all visible ancestors, the quota of its
 * cgroup v1 (cpu.cfs_quota_us / cpu.cfs_period_us) likewise, and the cpusets of
 * both (cpuset.cpus.effective, cpuset.effective_cpus or cpuset.cpus).  The
 * groups are found by ROOT/proc/self/cgroup and ROOT/proc/self/mountinfo.  If
 * no mount of a hierarchy has the group, the mount point of the first one is
 * used.  If two limits are equal, the first one of this list is the source:
 * affinity, cgroup v2, cgroup v1, cpuset.
 *
 * root      prefix of all paths: "" for the real system, or a test folder,
 *           without a trailing slash
 * affinity  number of CPUs in the affinity mask, at least 1
 * limit     the result; always set
 *
 * A value that is missing or can't be parsed is no limit.  The function reads
 * files, so it may be called while the configuration is read, but not on the
 * event loop.  It is thread-safe and frees all its memory.
 *
 * Formats: Documentation/admin-guide/cgroup-v2.rst of the kernel (cpu.max,
 * cpuset.cpus.effective), scheduler/sched-bwc.rst (cfs_quota_us),
 * admin-guide/kernel-parameters.rst (CPU lists, with the stride form), proc(5)
 * (mountinfo, octal escapes), cgroups(7) (/proc/PID/cgroup).
 */
void ngx_http_background_cpu_limit(const char *root, unsigned affinity,
    ngx_http_background_cpu_limit_t *limit);

/* returns the quota of a group in CPUs, v2 and v1; 0: none */
double ngx_http_background_cpu_max(ngx_http_background_cgroup_t *cg);
double ngx_http_background_cpu_cfs(ngx_http_background_cgroup_t *cg);


#endif /* _NGX_HTTP_BACKGROUND_CPU_LIMIT_H_INCLUDED_ */
