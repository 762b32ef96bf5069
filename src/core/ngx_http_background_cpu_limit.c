
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include <stdint.h>
#include <string.h>

#include "ngx_http_background_cpu_limit.h"


#define NGX_HTTP_BACKGROUND_CPUS_MAX  65536


/* if limits are equal, the source is affinity or the first one of these */

enum {
    NGX_HTTP_BACKGROUND_CGROUP_V2 = 0,
    NGX_HTTP_BACKGROUND_CGROUP_V1,
    NGX_HTTP_BACKGROUND_CPUSET,
    NGX_HTTP_BACKGROUND_LIMITS
};


static void ngx_http_background_cgroup_v2(ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cgroup_cfs(ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cgroup_cpuset(
    ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cgroup_least(double *least, double cpus);
static unsigned ngx_http_background_cpu_list(const char *p);


static const char  *ngx_http_background_cpu_sources[] = {
    "cgroup v2", "cgroup v1", "cpuset"
};


void
ngx_http_background_cpu_limit(const char *root, unsigned affinity,
    ngx_http_background_cpu_limit_t *limit)
{
    unsigned  i;
    double    least[NGX_HTTP_BACKGROUND_LIMITS];

    ngx_http_background_hierarchy_t  hierarchies[] = {
        { "cgroup2", "", ngx_http_background_cgroup_v2, NULL, NULL, 0 },
        { "cgroup", "cpu", ngx_http_background_cgroup_cfs, NULL, NULL, 0 },
        { "cgroup", "cpuset", ngx_http_background_cgroup_cpuset,
          NULL, NULL, 0 },
        { NULL, NULL, NULL, NULL, NULL, 0 }
    };

    for (i = 0; i < NGX_HTTP_BACKGROUND_LIMITS; i++) {
        least[i] = 0;
    }

    ngx_http_background_cgroups(root, hierarchies, least);

    limit->cpus = affinity ? affinity : 1;
    limit->source = "affinity";

    for (i = 0; i < NGX_HTTP_BACKGROUND_LIMITS; i++) {
        if (least[i] > 0 && least[i] < limit->cpus) {
            limit->cpus = least[i];
            limit->source = ngx_http_background_cpu_sources[i];
        }
    }

    limit->limit = limit->cpus < 1 ? 1 : (unsigned) limit->cpus;

    limit->quota = least[NGX_HTTP_BACKGROUND_CGROUP_V2];
    ngx_http_background_cgroup_least(&limit->quota,
                                     least[NGX_HTTP_BACKGROUND_CGROUP_V1]);
}


static void
ngx_http_background_cgroup_v2(ngx_http_background_cgroup_t *cg)
{
    double  *least;

    ngx_http_background_cgroup_cpuset(cg);

    least = cg->data;

    ngx_http_background_cgroup_least(&least[NGX_HTTP_BACKGROUND_CGROUP_V2],
                                     ngx_http_background_cpu_max(cg));
}


double
ngx_http_background_cpu_max(ngx_http_background_cgroup_t *cg)
{
    uint64_t     quota, period;
    const char  *p;

    /* "150000 100000"; "max 100000" is not a number */

    p = ngx_http_background_cgroup_value(cg, "/cpu.max");
    p = ngx_http_background_proc_number(p, &quota);

    if (p == NULL || *p++ != ' ') {
        return 0;
    }

    p = ngx_http_background_proc_number(p, &period);

    if (p == NULL || *p != '\0' || period == 0) {
        return 0;
    }

    return (double) quota / (double) period;
}


static void
ngx_http_background_cgroup_cfs(ngx_http_background_cgroup_t *cg)
{
    double  *least;

    least = cg->data;

    ngx_http_background_cgroup_least(&least[NGX_HTTP_BACKGROUND_CGROUP_V1],
                                     ngx_http_background_cpu_cfs(cg));
}


double
ngx_http_background_cpu_cfs(ngx_http_background_cgroup_t *cg)
{
    uint64_t     quota, period;
    const char  *p;

    /* "-1" means no quota and does not parse as a number */

    p = ngx_http_background_cgroup_value(cg, "/cpu.cfs_quota_us");
    p = ngx_http_background_proc_number(p, &quota);

    if (p == NULL || *p != '\0') {
        return 0;
    }

    p = ngx_http_background_cgroup_value(cg, "/cpu.cfs_period_us");
    p = ngx_http_background_proc_number(p, &period);

    if (p == NULL || *p != '\0' || period == 0) {
        return 0;
    }

    return (double) quota / (double) period;
}


static void
ngx_http_background_cgroup_cpuset(ngx_http_background_cgroup_t *cg)
{
    double       *least;
    unsigned      i;
    const char   *p;

    static const char  *names[] = {
        "/cpuset.cpus.effective", "/cpuset.effective_cpus", "/cpuset.cpus"
    };

    least = cg->data;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        p = ngx_http_background_cgroup_value(cg, names[i]);

        if (p) {
            ngx_http_background_cgroup_least(
                                            &least[NGX_HTTP_BACKGROUND_CPUSET],
                                            ngx_http_background_cpu_list(p));
            return;
        }
    }
}


static void
ngx_http_background_cgroup_least(double *least, double cpus)
{
    if (cpus > 0 && (*least <= 0 || cpus < *least)) {
        *least = cpus;
    }
}


/*
 * Returns the number of CPUs in a list such as "0-3,8" or "0-7:2/4" (the first
 * 2 of each 4), or 0 if it is empty or no list.
 */

static unsigned
ngx_http_background_cpu_list(const char *p)
{
    unsigned       n;
    uint64_t       cpu, first, last, used, size;
    unsigned char  bit, seen[NGX_HTTP_BACKGROUND_CPUS_MAX / 8];

    memset(seen, 0, sizeof(seen));

    n = 0;

    for ( ;; ) {

        p = ngx_http_background_proc_number(p, &first);
        if (p == NULL) {
            return 0;
        }

        last = first;
        used = 1;
        size = 1;

        if (*p == '-') {
            p = ngx_http_background_proc_number(p + 1, &last);

            if (p && *p == ':') {
                p = ngx_http_background_proc_number(p + 1, &used);

                if (p == NULL || *p != '/') {
                    return 0;
                }

                p = ngx_http_background_proc_number(p + 1, &size);
            }
        }

        if (p == NULL
            || first > last
            || last >= NGX_HTTP_BACKGROUND_CPUS_MAX
            || size == 0
            || used > size)
        {
            return 0;
        }

        for (cpu = first; cpu <= last; cpu++) {

            bit = (unsigned char) (1 << (cpu % 8));

            if ((cpu - first) % size < used && !(seen[cpu / 8] & bit)) {
                seen[cpu / 8] |= bit;
                n++;
            }
        }

        if (*p == '\0') {
            return n;
        }

        if (*p++ != ',') {
            return 0;
        }
    }
}
