
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * How many CPUs the container grants.  Pure C: no nginx state, no nginx
 * header, so that it can be tested on its own.
 */


#ifndef _NGX_HTTP_BACKGROUND_CPU_LIMIT_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CPU_LIMIT_H_INCLUDED_


#include <ngx_http_background_cgroup.h>


typedef struct {
    unsigned     limit;    /* whole CPUs: cpus rounded down, at least 1 */
    double       cpus;     /* the least of all that limits, in CPUs */
    double       quota;    /* the least cgroup time quota, in CPUs; 0: none */
    const char  *source;   /* what decided "cpus", a static string: "affinity",
                              "cgroup v2", "cgroup v1" or "cpuset" */
} ngx_http_background_cpu_limit_t;


/*
 * Finds the CPU limit of the calling process: the least of the affinity mask,
 * cpu.max of its cgroup v2 and all the ancestors that are visible, the quota
 * of its cgroup v1 (cpu.cfs_quota_us / cpu.cfs_period_us) likewise, and the
 * cpusets of both (cpuset.cpus.effective, cpuset.effective_cpus or
 * cpuset.cpus).  The groups are found through ROOT/proc/self/cgroup and
 * ROOT/proc/self/mountinfo; where no mount of a hierarchy holds the group,
 * the mount point of the first one is taken for it.  When two limits are
 * equal, the one that comes first in this list is the source: affinity,
 * cgroup v2, cgroup v1, cpuset.
 *
 * root      prefix of all the paths read: "" for the real system, or the
 *           folder of a made-up one; no trailing slash
 * affinity  number of CPUs in the affinity mask, at least 1
 * limit     the result; always filled in
 *
 * What is missing or can't be parsed limits nothing.  Reads files, so call it
 * where blocking is allowed: when the configuration is read, never on the
 * event loop.  Thread-safe, allocates nothing that outlives the call.
 *
 * Formats: the kernel's Documentation/admin-guide/cgroup-v2.rst (cpu.max,
 * cpuset.cpus.effective), scheduler/sched-bwc.rst (cfs_quota_us),
 * admin-guide/kernel-parameters.rst (CPU lists, with the stride form),
 * proc(5) (mountinfo, octal escapes), cgroups(7) (/proc/PID/cgroup).
 */
void ngx_http_background_cpu_limit(const char *root, unsigned affinity,
    ngx_http_background_cpu_limit_t *limit);

/* a group's time quota in CPUs, of v2 and of v1; 0: none */
double ngx_http_background_cpu_max(ngx_http_background_cgroup_t *cg);
double ngx_http_background_cpu_cfs(ngx_http_background_cgroup_t *cg);


#endif /* _NGX_HTTP_BACKGROUND_CPU_LIMIT_H_INCLUDED_ */
