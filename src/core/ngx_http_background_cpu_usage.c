
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE  200809L
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "ngx_http_background_cpu_limit.h"
#include "ngx_http_background_cpu_usage.h"


typedef struct {
    double    quota;    /* the lowest quota */
    char     *name;     /* name of its group, in v1 */
    int       fd;
} ngx_http_background_cpu_usage_t;


static void ngx_http_background_cpu_usage_v2(ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cpu_usage_v1(ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cpu_usage_acct(
    ngx_http_background_cgroup_t *cg);
static int ngx_http_background_cpu_usage_less(
    ngx_http_background_cpu_usage_t *usage, double quota);


int
ngx_http_background_cpu_usage_open(const char *root, double *quota)
{
    ngx_http_background_cpu_usage_t  usage;

    ngx_http_background_hierarchy_t  quotas[] = {
        { "cgroup2", "", ngx_http_background_cpu_usage_v2, NULL, NULL, 0 },
        { "cgroup", "cpu", ngx_http_background_cpu_usage_v1, NULL, NULL, 0 },
        { NULL, NULL, NULL, NULL, NULL, 0 }
    };

    ngx_http_background_hierarchy_t  accounts[] = {
        { "cgroup", "cpuacct", ngx_http_background_cpu_usage_acct,
          NULL, NULL, 0 },
        { NULL, NULL, NULL, NULL, NULL, 0 }
    };

    usage.quota = 0;
    usage.name = NULL;
    usage.fd = -1;

    ngx_http_background_cgroups(root, quotas, &usage);

    if (usage.name) {
        ngx_http_background_cgroups(root, accounts, &usage);
        free(usage.name);
    }

    *quota = usage.quota;

    return usage.fd;
}


static void
ngx_http_background_cpu_usage_v2(ngx_http_background_cgroup_t *cg)
{
    ngx_http_background_cpu_usage_t  *usage;

    usage = cg->data;

    if (ngx_http_background_cpu_usage_less(usage,
                                           ngx_http_background_cpu_max(cg)))
    {
        usage->fd = ngx_http_background_cgroup_open(cg, "/cpu.stat");
    }
}


static void
ngx_http_background_cpu_usage_v1(ngx_http_background_cgroup_t *cg)
{
    ngx_http_background_cpu_usage_t  *usage;

    usage = cg->data;

    if (ngx_http_background_cpu_usage_less(usage,
                                           ngx_http_background_cpu_cfs(cg)))
    {
        usage->name = strndup(cg->name, cg->name_len);
    }
}


/* remembers the quota if it is the lowest one so far */

static int
ngx_http_background_cpu_usage_less(ngx_http_background_cpu_usage_t *usage,
    double quota)
{
    if (quota <= 0 || (usage->quota > 0 && quota >= usage->quota)) {
        return 0;
    }

    usage->quota = quota;

    if (usage->fd != -1) {
        (void) close(usage->fd);
        usage->fd = -1;
    }

    free(usage->name);
    usage->name = NULL;

    return 1;
}


static void
ngx_http_background_cpu_usage_acct(ngx_http_background_cgroup_t *cg)
{
    ngx_http_background_cpu_usage_t  *usage;

    usage = cg->data;

    if (usage->fd == -1
        && strlen(usage->name) == cg->name_len
        && memcmp(usage->name, cg->name, cg->name_len) == 0)
    {
        usage->fd = ngx_http_background_cgroup_open(cg, "/cpuacct.usage");
    }
}


int
ngx_http_background_cpu_usage_read(int fd, uint64_t *usec)
{
    char         buf[1024];
    ssize_t      n;
    uint64_t     used, unit;
    const char  *p;

    static const char  key[] = "usage_usec ";

    do {
        n = pread(fd, buf, sizeof(buf) - 1, 0);
    } while (n == -1 && errno == EINTR);

    if (n <= 0) {
        return -1;
    }

    buf[n] = '\0';

    /*
     * cpuacct.usage is in nanoseconds; cpu.stat begins with the key
     * "usage_usec"
     */

    unit = 1000;
    p = buf;

    if (strncmp(p, key, sizeof(key) - 1) == 0) {
        unit = 1;
        p += sizeof(key) - 1;
    }

    p = ngx_http_background_proc_number(p, &used);

    if (p == NULL || *p != '\n') {
        return -1;
    }

    *usec = used / unit;

    return 0;
}
