
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * cpu_limit                     tests the CPU limit on test trees, in TAP
 * cpu_limit --print [AFFINITY]  prints the CPU limit of this process
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limit.h"
#include "ngx_http_background_cpu_limit.h"
#include "ngx_http_background_cpu_usage.h"


#define CPU_MOUNT                                                             \
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"

#define CPUACCT_MOUNT                                                         \
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup "        \
    "rw,cpuacct\n"

#define CPUSET_MOUNT                                                          \
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw shared:3 master:1 - "              \
    "cgroup cgroup rw,cpuset\n"

#define HYBRID_MOUNT                                                          \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"


static int print(unsigned affinity);

static void test_affinity(void);
static void test_v2(void);
static void test_v2_values(void);
static void test_v1(void);
static void test_v1_values(void);
static void test_v1_names(void);
static void test_cpuset(void);
static void test_cpuset_lists(void);
static void test_hybrid(void);
static void test_ties(void);
static void test_namespaces(void);
static void test_bind_mounts(void);
static void test_several_mounts(void);
static void test_escapes(void);
static void test_garbled_proc(void);
static void test_odd_files(void);
static void test_long_lines(void);
static void test_root(void);
static void test_usage(void);
static void test_usage_v1(void);
static void test_usage_values(void);

static void put_cfs(const char *dir, const char *quota, const char *period);
static void is(const char *name, unsigned affinity, double cpus, double quota,
    const char *source);
static void uses(const char *name, double quota, uint64_t usec);


int
main(int argc, char **argv)
{
    cpu_set_t    set;

    if (argc > 1 && strcmp(argv[1], "--print") == 0) {

        if (argc > 2) {
            return print(strtoul(argv[2], NULL, 10));
        }

        if (sched_getaffinity(0, sizeof(cpu_set_t), &set) == -1) {
            perror("sched_getaffinity()");
            return 2;
        }

        return print(CPU_COUNT(&set));
    }

    if (argc > 1) {
        fprintf(stderr, "usage: %s [--print [AFFINITY]]\n", argv[0]);
        return 2;
    }

    begin("cpu_limit");

    test_affinity();
    test_v2();
    test_v2_values();
    test_v1();
    test_v1_values();
    test_v1_names();
    test_cpuset();
    test_cpuset_lists();
    test_hybrid();
    test_ties();
    test_namespaces();
    test_bind_mounts();
    test_several_mounts();
    test_escapes();
    test_garbled_proc();
    test_odd_files();
    test_long_lines();
    test_root();
    test_usage();
    test_usage_v1();
    test_usage_values();

    return end();
}


static int
print(unsigned affinity)
{
    ngx_http_background_cpu_limit_t  limit;

    ngx_http_background_cpu_limit("", affinity, &limit);

    printf("limit=%u cpus=%g quota=%g source=%s\n",
           limit.limit, limit.cpus, limit.quota, limit.source);

    return 0;
}


static void
test_affinity(void)
{
    tree(NULL, NULL);
    is("no /proc at all", 4, 4, 0, "affinity");
    is("an affinity of one CPU", 1, 1, 0, "affinity");
    is("no affinity counts as one CPU", 0, 1, 0, "affinity");
    is("an affinity of very many CPUs", UINT_MAX, UINT_MAX, 0, "affinity");

    tree("", "");
    is("empty files in /proc", 4, 4, 0, "affinity");

    tree("0::/a\n", NULL);
    put("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    is("no mountinfo", 4, 4, 0, "affinity");

    tree(NULL, V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    is("no /proc/self/cgroup", 4, 4, 0, "affinity");

    tree("0::/a\n", "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    put("/a/cpu.max", "100000 100000\n");
    put("/cpu.max", "100000 100000\n");
    is("no cgroup is mounted", 4, 4, 0, "affinity");

    tree("0::/a\n", V2_MOUNT);
    is("the group's folder is missing", 4, 4, 0, "affinity");
}


static void
test_v2(void)
{
    tree("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    is("v2: the own group", 4, 2, 2, "cgroup v2");
    is("v2: affinity is less, the quota is told", 1, 1, 2, "affinity");

    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    is("v2: no quota", 4, 4, 0, "affinity");

    put("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    is("v2: the parent", 4, 1, 1, "cgroup v2");

    put("/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    is("v2: the parent has less", 4, 1, 1, "cgroup v2");

    put("/sys/fs/cgroup/a/cpu.max", "350000 100000\n");
    is("v2: the parent has more", 4, 3, 3, "cgroup v2");

    put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    is("v2: the root of the mount", 4, 0.5, 0.5, "cgroup v2");

    tree("0::/a/b/c/d/e\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n");
    is("v2: only a far ancestor has the controller", 4, 2, 2, "cgroup v2");

    tree("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/ab/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
    put("/sys/fs/cpu.max", "100000 100000\n");
    put("/cpu.max", "100000 100000\n");
    is("v2: not siblings, children, nor what is above", 4, 4, 0, "affinity");

    tree("0::/a/b (deleted)\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    is("v2: parent of a deleted group", 4, 2, 2, "cgroup v2");

    tree("0::/a:b/c d\n", V2_MOUNT);
    put("/sys/fs/cgroup/a:b/c d/cpu.max", "200000 100000\n");
    is("v2: colons and spaces in the name", 4, 2, 2, "cgroup v2");

    tree("0::/..a/b..\n", V2_MOUNT);
    put("/sys/fs/cgroup/..a/b../cpu.max", "200000 100000\n");
    is("v2: names that begin or end with dots", 4, 2, 2, "cgroup v2");
}


static void
test_v2_values(void)
{
    size_t  i;
    char    name[128];

    static const struct {
        const char  *text;
        double       quota;
    } values[] = {
        { "150000 100000\n", 1.5 },
        { "199999 100000\n", 1.99999 },
        { "50000 100000\n", 0.5 },
        { "1000 1000000\n", 0.001 },
        { "300000 100000", 3 },
        { "37500 25000\n", 1.5 },
        { "0000200000 000100000\n", 2 },
        { "18446744073709551615 18446744073709551615\n", 1 },
        { "18446744073709551616 18446744073709551616\n", 0 },
        { "18446744073709551620 100000\n", 0 },
        { "100000 184467440737095516160\n", 0 },
        { "99999999999999999999999999999 100000\n", 0 },
        { "100000 0\n", 0 },
        { "0 100000\n", 0 },
        { "0 0\n", 0 },
        { "max 0\n", 0 },
        { "max\n", 0 },
        { "max 100000\n", 0 },
        { "maximum 100000\n", 0 },
        { "100000\n", 0 },
        { "100000 \n", 0 },
        { "100000 max\n", 0 },
        { "-1 100000\n", 0 },
        { "-100000 -100000\n", 0 },
        { "+100000 100000\n", 0 },
        { "100000 +100000\n", 0 },
        { "1e5 100000\n", 0 },
        { "0x10 16\n", 0 },
        { "1.5 1\n", 0 },
        { "100000,100000\n", 0 },
        { "100000 100000x\n", 0 },
        { "100000 100000 100000\n", 0 },
        { "100000 100000\nmore\n", 0 },
        { " 100000 100000\n", 0 },
        { "100000\n100000\n", 0 },
        { "\n", 0 },
        { "", 0 },
        { " ", 0 },
        { "\377\376\200", 0 }
    };

    tree("0::/a\n", V2_MOUNT);

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {

        put("/sys/fs/cgroup/a/cpu.max", values[i].text);

        snprintf(name, sizeof(name), "cpu.max %zu: %.*s", i,
                 (int) strcspn(values[i].text, "\n\377"), values[i].text);

        is(name, 4, values[i].quota > 0 ? values[i].quota : 4,
           values[i].quota, values[i].quota > 0 ? "cgroup v2" : "affinity");
    }

    put("/sys/fs/cgroup/a/cpu.max", "18446744073709551615 1\n");
    is("cpu.max: a quota of very many CPUs", 4, 4, 18446744073709551615.0,
       "affinity");

    put_bytes("/sys/fs/cgroup/a/cpu.max", "100000 100000\0\n", 15);
    is("cpu.max: a zero byte", 4, 4, 0, "affinity");
}


static void
test_v1(void)
{
    tree("1:cpu:/a/b\n", CPU_MOUNT);
    put_cfs("/sys/fs/cgroup/cpu/a/b", "200000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpu/a", "-1\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpu", "-1\n", "100000\n");
    is("v1: the own group", 4, 2, 2, "cgroup v1");
    is("v1: affinity is less, the quota is told", 1, 1, 2, "affinity");

    put_cfs("/sys/fs/cgroup/cpu/a/b", "-1\n", "100000\n");
    is("v1: no quota", 4, 4, 0, "affinity");

    put_cfs("/sys/fs/cgroup/cpu/a", "150000\n", "100000\n");
    is("v1: the parent", 4, 1.5, 1.5, "cgroup v1");

    put_cfs("/sys/fs/cgroup/cpu/a/b", "100000\n", "100000\n");
    is("v1: the parent has more", 4, 1, 1, "cgroup v1");

    put_cfs("/sys/fs/cgroup/cpu", "20000\n", "100000\n");
    is("v1: the root of the mount", 4, 0.2, 0.2, "cgroup v1");

    tree("1:cpu:/a\n", CPU_MOUNT);
    put("/sys/fs/cgroup/cpu/a/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/cpu/a/cpuset.cpus", "0\n");
    is("v1: files of other controllers", 4, 4, 0, "affinity");
}


static void
test_v1_values(void)
{
    size_t  i;
    char    name[128];

    static const struct {
        const char  *quota;
        const char  *period;
        double       cpus;
    } values[] = {
        { "150000\n", "100000\n", 1.5 },
        { "25000\n", "50000\n", 0.5 },
        { "300000", "100000", 3 },
        { "-1\n", "100000\n", 0 },
        { "-100000\n", "100000\n", 0 },
        { "-9223372036854775809\n", "100000\n", 0 },
        { "0\n", "100000\n", 0 },
        { "100000\n", "0\n", 0 },
        { "100000\n", "-1\n", 0 },
        { "100000\n", "", 0 },
        { "100000\n", "x\n", 0 },
        { "100000\n", NULL, 0 },
        { NULL, "100000\n", 0 },
        { "", "100000\n", 0 },
        { "\n", "100000\n", 0 },
        { "max\n", "100000\n", 0 },
        { "100000 100000\n", "100000\n", 0 },
        { "18446744073709551616\n", "100000\n", 0 },
        { "100000\n", "18446744073709551716\n", 0 }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {

        tree("1:cpu:/a\n", CPU_MOUNT);
        put_cfs("/sys/fs/cgroup/cpu/a", values[i].quota, values[i].period);

        snprintf(name, sizeof(name), "cpu.cfs_quota_us %zu: %.*s / %.*s", i,
                 (int) strcspn(values[i].quota ? values[i].quota : "-", "\n"),
                 values[i].quota ? values[i].quota : "-",
                 (int) strcspn(values[i].period ? values[i].period : "-",
                               "\n"),
                 values[i].period ? values[i].period : "-");

        is(name, 4, values[i].cpus > 0 ? values[i].cpus : 4, values[i].cpus,
           values[i].cpus > 0 ? "cgroup v1" : "affinity");
    }
}


static void
test_v1_names(void)
{
    tree("4:cpu,cpuacct:/a\n",
         "32 31 0:29 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    put_cfs("/c/cpu,cpuacct/a", "200000\n", "100000\n");
    is("v1: cpu,cpuacct", 4, 2, 2, "cgroup v1");

    tree("4:cpuacct,cpu:/a\n",
         "32 31 0:29 / /c/x rw - cgroup cgroup rw,xattr,cpuacct,cpu\n");
    put_cfs("/c/x/a", "200000\n", "100000\n");
    is("v1: cpuacct,cpu", 4, 2, 2, "cgroup v1");

    tree("4:cpuacct,cpu:/a\n",
         "32 31 0:29 / /c/x rw - cgroup cgroup rw,cpu,cpuacct\n");
    put_cfs("/c/x/a", "200000\n", "100000\n");
    is("v1: another order in either file", 4, 2, 2, "cgroup v1");

    tree("5:cpuacct,cpuset:/a\n4:cpuacct:/a\n3:cpuset:/a\n2:name=cpu:/a\n"
         "1:xcpu:/a\n",
         "32 31 0:29 / /c rw - cgroup cgroup rw,cpu\n");
    put_cfs("/c/a", "200000\n", "100000\n");
    is("v1: group of controllers whose names are like cpu", 4, 4, 0,
       "affinity");

    tree("4:cpu:/a\n",
         "32 31 0:29 / /c rw - cgroup cgroup rw,cpuacct\n"
         "33 31 0:30 / /c rw - cgroup cgroup rw,cpuset,xattr\n"
         "34 31 0:31 / /c rw - cgroup cgroup rw,name=cpu\n"
         "35 31 0:32 / /c rw,cpu - cgroup cpu rw\n"
         "36 31 0:33 / /c rw,cpu - tmpfs cgroup rw,cpu\n"
         "36 31 0:33 / /c rw,cpu - cgroup3 cgroup rw,cpu\n");
    put_cfs("/c/a", "200000\n", "100000\n");
    is("v1: mounts that are like cpu", 4, 4, 0, "affinity");

    tree("4:cpu,cpuset:/a\n",
         "32 31 0:29 / /c rw - cgroup cgroup rw,cpuset,cpu\n");
    put_cfs("/c/a", "200000\n", "100000\n");
    put("/c/a/cpuset.cpus", "0-2\n");
    is("v1: cpu and cpuset in one hierarchy", 4, 2, 2, "cgroup v1");

    put("/c/a/cpuset.cpus", "0\n");
    is("v1: cpuset and cpu in one hierarchy", 4, 1, 2, "cpuset");

    tree("1:cpu:/a\n", "32 31 0:29 / /c rw - cgroup  rw,cpu\n");
    put_cfs("/c/a", "200000\n", "100000\n");
    is("v1: a mount without a source", 4, 2, 2, "cgroup v1");
}


static void
test_cpuset(void)
{
    tree("3:cpuset:/a/b\n", CPUSET_MOUNT);
    put("/sys/fs/cgroup/cpuset/cpuset.cpus", "0-7\n");
    put("/sys/fs/cgroup/cpuset/a/cpuset.cpus", "0-5\n");
    put("/sys/fs/cgroup/cpuset/a/b/cpuset.cpus", "0-2\n");
    is("cpuset v1: the own group", 8, 3, 0, "cpuset");

    put("/sys/fs/cgroup/cpuset/a/b/cpuset.effective_cpus", "0-1\n");
    is("cpuset v1: effective", 8, 2, 0, "cpuset");

    put("/sys/fs/cgroup/cpuset/a/cpuset.cpus", "4\n");
    is("cpuset v1: the parent", 8, 1, 0, "cpuset");

    tree("3:cpuset:/a\n", CPUSET_MOUNT);
    put("/sys/fs/cgroup/cpuset/a/cpuset.cpus", "\n");
    is("cpuset v1: empty", 8, 8, 0, "affinity");

    put("/sys/fs/cgroup/cpuset/cpuset.cpus", "0-3\n");
    is("cpuset v1: empty, the parent's holds", 8, 4, 0, "cpuset");

    tree("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/cpuset.cpus.effective", "0-1,4\n");
    put("/sys/fs/cgroup/a/b/cpuset.cpus", "\n");
    is("cpuset v2: effective", 8, 3, 0, "cpuset");

    put("/sys/fs/cgroup/a/b/cpuset.cpus", "1\n");
    is("cpuset v2: effective, not what was asked for", 8, 3, 0, "cpuset");

    put("/sys/fs/cgroup/a/cpuset.cpus.effective", "0,4\n");
    is("cpuset v2: the parent", 8, 2, 0, "cpuset");

    put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    is("cpuset v2: less than the quota", 8, 2, 2.5, "cpuset");

    put("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
    is("cpuset v2: more than the quota", 8, 1.5, 1.5, "cgroup v2");

    tree("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpuset.cpus.effective", "");
    is("cpuset v2: empty", 8, 8, 0, "affinity");

    put("/sys/fs/cgroup/a/cpuset.cpus", "0\n");
    is("cpuset v2: empty, whatever was asked for", 8, 8, 0, "affinity");
}


static void
test_cpuset_lists(void)
{
    size_t  i, n;
    char    name[128], *list;

    static const struct {
        const char  *list;
        unsigned     cpus;
    } values[] = {
        { "0\n", 1 },
        { "63\n", 1 },
        { "0-3,8\n", 5 },
        { "0-3,8", 5 },
        { "1,3,5,7-9\n", 6 },
        { "8,0-3\n", 5 },
        { "0-3,2-5\n", 6 },
        { "2,2,2\n", 1 },
        { "5-5\n", 1 },
        { "0-7:2/4\n", 4 },
        { "0-6:2/4\n", 4 },
        { "0-4:2/4\n", 3 },
        { "0-7:1/2,1\n", 5 },
        { "0-7:4/4\n", 8 },
        { "3-9:1/3\n", 3 },
        { "65535\n", 1 },
        { "0-7:0/4\n", 0 },
        { "0-7:2/0\n", 0 },
        { "0-7:5/4\n", 0 },
        { "0-7:2\n", 0 },
        { "0-7:2/\n", 0 },
        { "0-7:/4\n", 0 },
        { "0-7:2/4x\n", 0 },
        { "0-7:0/0\n", 0 },
        { "3-0\n", 0 },
        { "3-0,5\n", 0 },
        { "0-\n", 0 },
        { "-3\n", 0 },
        { "0-3,\n", 0 },
        { ",0-3\n", 0 },
        { "0,,3\n", 0 },
        { "0-3-5\n", 0 },
        { "0 1\n", 0 },
        { "0-3;\n", 0 },
        { "all\n", 0 },
        { "65536\n", 0 },
        { "0,65536\n", 0 },
        { "0-4294967295\n", 0 },
        { "0-18446744073709551615\n", 0 },
        { "18446744073709551615\n", 0 },
        { "18446744073709551616\n", 0 },
        { "0-7:18446744073709551615/18446744073709551615\n", 8 },
        { "\n\n", 0 },
        { " \n", 0 }
    };

    tree("3:cpuset:/a\n", CPUSET_MOUNT);

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {

        put("/sys/fs/cgroup/cpuset/a/cpuset.cpus", values[i].list);

        snprintf(name, sizeof(name), "CPU list %zu: %.*s", i,
                 (int) strcspn(values[i].list, "\n"), values[i].list);

        is(name, 1000, values[i].cpus ? values[i].cpus : 1000, 0,
           values[i].cpus ? "cpuset" : "affinity");
    }

    list = malloc(4096 * 5 + 1);
    if (list == NULL) {
        die("malloc()");
    }

    n = 0;

    for (i = 0; i < 4096; i++) {
        n += sprintf(list + n, "%zu,", 2 * i);
    }

    list[n - 1] = '\n';

    put_bytes("/sys/fs/cgroup/cpuset/a/cpuset.cpus", list, n);
    is("CPU list: every other one of 8192", 8192, 4096, 0, "cpuset");

    free(list);
}


static void
test_hybrid(void)
{
    tree("9:name=systemd:/\n"
         "4:memory:/m\n"
         "3:cpuset:/s\n"
         "2:cpuacct:/z\n"
         "1:cpu:/c\n"
         "0::/u\n",
         "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
         CPU_MOUNT
         "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
         CPUSET_MOUNT
         "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup c rw,name=systemd\n"
         HYBRID_MOUNT);

    put_cfs("/sys/fs/cgroup/cpu/c", "-1\n", "100000\n");
    put("/sys/fs/cgroup/cpuset/s/cpuset.cpus", "0-7\n");
    make_dir("/sys/fs/cgroup/unified/u");
    is("hybrid: no limit", 8, 8, 0, "affinity");

    put_cfs("/sys/fs/cgroup/cpu/z", "100000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpuacct/c", "100000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/unified/u", "100000\n", "100000\n");
    is("hybrid: a group is looked for in its own hierarchy", 8, 8, 0,
       "affinity");

    put_cfs("/sys/fs/cgroup/cpu/c", "600000\n", "100000\n");
    is("hybrid: v1", 8, 6, 6, "cgroup v1");

    put("/sys/fs/cgroup/unified/u/cpu.max", "450000 100000\n");
    is("hybrid: v2 is less than v1", 8, 4.5, 4.5, "cgroup v2");

    put("/sys/fs/cgroup/unified/u/cpu.max", "700000 100000\n");
    is("hybrid: v1 is less than v2", 8, 6, 6, "cgroup v1");

    put("/sys/fs/cgroup/cpuset/s/cpuset.cpus", "0-2\n");
    is("hybrid: cpuset is the least, the quota is v1's", 8, 3, 6, "cpuset");

    put("/sys/fs/cgroup/unified/u/cpuset.cpus.effective", "0-1\n");
    is("hybrid: cpuset of v2", 8, 2, 6, "cpuset");
}


static void
test_ties(void)
{
    tree("3:cpuset:/\n1:cpu:/\n0::/\n", CPUSET_MOUNT CPU_MOUNT HYBRID_MOUNT);

    put("/sys/fs/cgroup/cpuset/cpuset.cpus", "0-1\n");
    is("tie: affinity before cpuset", 2, 2, 0, "affinity");
    is("no tie: cpuset", 3, 2, 0, "cpuset");

    put_cfs("/sys/fs/cgroup/cpu", "200000\n", "100000\n");
    is("tie: affinity before v1", 2, 2, 2, "affinity");
    is("tie: v1 before cpuset", 3, 2, 2, "cgroup v1");

    put("/sys/fs/cgroup/unified/cpu.max", "400000 200000\n");
    is("tie: affinity before v2", 2, 2, 2, "affinity");
    is("tie: v2 before v1 and cpuset", 3, 2, 2, "cgroup v2");

    put_cfs("/sys/fs/cgroup/cpu", "-1\n", "100000\n");
    is("tie: v2 before cpuset", 3, 2, 2, "cgroup v2");
}


static void
test_namespaces(void)
{
    tree("0::/\n", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    is("namespace: v2, own root", 4, 2, 2, "cgroup v2");

    tree("1:cpu:/\n", CPU_MOUNT);
    put_cfs("/sys/fs/cgroup/cpu", "200000\n", "100000\n");
    is("namespace: v1, own root", 4, 2, 2, "cgroup v1");

    /* the mount shows the root of the host, two levels above the namespace */

    tree("0::/\n", "41 31 0:38 /../.. /cg rw - cgroup2 cgroup2 rw\n");
    put("/cg/cpu.max", "200000 100000\n");
    put("/cpu.max", "100000 100000\n");
    is("namespace: the mount's root is above", 4, 2, 2, "cgroup v2");

    tree("0::/../x/y\n", "41 31 0:38 /.. /m/cg rw - cgroup2 cgroup2 rw\n");
    put("/m/cg/x/y/cpu.max", "max 100000\n");
    put("/m/cg/x/cpu.max", "200000 100000\n");
    put("/m/x/cpu.max", "100000 100000\n");
    is("namespace: the group is below the mount's root, which is above",
       4, 2, 2, "cgroup v2");

    tree("0::/../../x\n", "41 31 0:38 /../../x /cg rw - cgroup2 c rw\n");
    put("/cg/cpu.max", "200000 100000\n");
    is("namespace: both are the same relative path", 4, 2, 2, "cgroup v2");

    tree("0::/../..\n", "41 31 0:38 / /m/n/cg rw - cgroup2 cgroup2 rw\n");
    put("/m/n/cg/cpu.max", "200000 100000\n");
    put("/m/n/cpu.max", "100000 100000\n");
    put("/m/cpu.max", "100000 100000\n");
    is("namespace: the group is above, nothing above is read", 4, 2, 2,
       "cgroup v2");

    tree("0::/../../x\n", "41 31 0:38 /.. /m/cg rw - cgroup2 cgroup2 rw\n");
    put("/m/cg/cpu.max", "200000 100000\n");
    put("/m/x/cpu.max", "100000 100000\n");
    put("/m/cpu.max", "100000 100000\n");
    is("namespace: the group is above the mount's root", 4, 2, 2, "cgroup v2");

    tree("0::/../x\n", "41 31 0:38 /../xy /cg rw - cgroup2 cgroup2 rw\n");
    put("/cg/cpu.max", "200000 100000\n");
    put("/cg/y/cpu.max", "100000 100000\n");
    is("namespace: a sibling", 4, 2, 2, "cgroup v2");
}


static void
test_bind_mounts(void)
{
    tree("1:cpu:/docker/0123\n",
         "32 31 0:29 /docker/0123 /sys/fs/cgroup/cpu ro master:11 - "
         "cgroup cgroup rw,cpu\n");
    put_cfs("/sys/fs/cgroup/cpu", "200000\n", "100000\n");
    put_cfs("/sys/fs/cgroup", "100000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpu/docker/0123", "100000\n", "100000\n");
    is("bind mount: the group itself", 4, 2, 2, "cgroup v1");

    tree("1:cpu:/docker/0123/a/b\n",
         "32 31 0:29 /docker/0123 /sys/fs/cgroup/cpu ro - "
         "cgroup cgroup rw,cpu\n");
    put_cfs("/sys/fs/cgroup/cpu/a/b", "150000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpu", "300000\n", "100000\n");
    is("bind mount: a group below", 4, 1.5, 1.5, "cgroup v1");

    put_cfs("/sys/fs/cgroup/cpu/a/b", "350000\n", "100000\n");
    is("bind mount: its ancestors", 4, 3, 3, "cgroup v1");

    tree("1:cpu:/docker/01234\n",
         "32 31 0:29 /docker/0123 /sys/fs/cgroup/cpu ro - "
         "cgroup cgroup rw,cpu\n");
    put_cfs("/sys/fs/cgroup/cpu", "200000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpu4", "100000\n", "100000\n");
    put_cfs("/sys/fs/cgroup/cpu/4", "100000\n", "100000\n");
    is("bind mount: only whole components are stripped", 4, 2, 2,
       "cgroup v1");

    tree("0::/user.slice/x\n",
         "41 31 0:38 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/user.slice/x/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/user.slice/cpu.max", "100000 100000\n");
    is("bind mount: the group is not below", 4, 2, 2, "cgroup v2");

    tree("0::/docker\n",
         "41 31 0:38 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    is("bind mount: the group is above", 4, 2, 2, "cgroup v2");

    tree("0::/a\n", "41 31 0:38 / / ro - cgroup2 cgroup2 rw\n");
    put("/a/cpu.max", "200000 100000\n");
    is("mounted on /", 4, 2, 2, "cgroup v2");

    put("/cpu.max", "100000 100000\n");
    is("mounted on /, the root", 4, 1, 1, "cgroup v2");
}


static void
test_several_mounts(void)
{
    tree("0::/a/b\n",
         "41 31 0:38 /other /m/other rw - cgroup2 cgroup2 rw\n"
         "42 31 0:38 /a /m/a rw - cgroup2 cgroup2 rw\n");
    put("/m/other/cpu.max", "100000 100000\n");
    put("/m/a/b/cpu.max", "300000 100000\n");
    is("several mounts: the one that holds the group", 4, 3, 3, "cgroup v2");

    tree("0::/a/b\n",
         "42 31 0:38 /a /m/a rw - cgroup2 cgroup2 rw\n"
         "41 31 0:38 /other /m/other rw - cgroup2 cgroup2 rw\n");
    put("/m/other/cpu.max", "100000 100000\n");
    put("/m/a/b/cpu.max", "300000 100000\n");
    is("several mounts: in the other order", 4, 3, 3, "cgroup v2");

    tree("0::/a/b\n",
         "42 31 0:38 /a/b /m/b rw - cgroup2 cgroup2 rw\n"
         "41 31 0:38 / /m/all rw - cgroup2 cgroup2 rw\n");
    put("/m/b/cpu.max", "300000 100000\n");
    put("/m/all/a/b/cpu.max", "300000 100000\n");
    put("/m/all/a/cpu.max", "200000 100000\n");
    is("several mounts: the one with more ancestors", 4, 2, 2, "cgroup v2");

    tree("0::/a\n",
         "41 31 0:38 /x /m/x rw - cgroup2 cgroup2 rw\n"
         "42 31 0:38 /y /m/y rw - cgroup2 cgroup2 rw\n");
    put("/m/x/cpu.max", "300000 100000\n");
    put("/m/y/cpu.max", "200000 100000\n");
    is("several mounts: none holds the group, so the first", 4, 3, 3,
       "cgroup v2");

    tree("0::/a\n0::/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/b/cpu.max", "100000 100000\n");
    is("several groups: the first", 4, 2, 2, "cgroup v2");
}


static void
test_escapes(void)
{
    tree("0::/a b/c\n",
         "41 31 0:38 /a\\040b /mnt/c\\040g\\134\\011\\012x rw - "
         "cgroup2 c\\040g rw\n");
    put("/mnt/c g\\\t\nx/c/cpu.max", "200000 100000\n");
    is("escapes: space, backslash, tab and line feed", 4, 2, 2, "cgroup v2");

    tree("0::/a\\040b\n", V2_MOUNT);
    put("/sys/fs/cgroup/a\\040b/cpu.max", "200000 100000\n");
    is("escapes: none in /proc/self/cgroup", 4, 2, 2, "cgroup v2");

    tree("0::/\n",
         "41 31 0:38 / /m\\04\\999\\40x\\000\\777\\ rw - cgroup2 c rw\n");
    put("/m\\04\\999\\40x\\000\\777\\/cpu.max", "200000 100000\n");
    is("escapes: what is none stays", 4, 2, 2, "cgroup v2");

    tree("0::/\n", "41 31 0:38 / /\\303\\244\\ rw - cgroup2 c rw\n");
    put("/\303\244\\/cpu.max", "200000 100000\n");
    is("escapes: eight bits", 4, 2, 2, "cgroup v2");
}


static void
test_garbled_proc(void)
{
    size_t  i;
    char    name[128];

    static const char  *cgroups[] = {
        "0", "0:", "0::", "::", ":", "\n", "0:/", "0::a\n", "0::\n/\n",
        "1::/\n", "00::/\n", "-1::/\n", " 0::/\n", "0:memory:/\n", "::/\n",
        "0: :/\n"
    };

    static const char  *mounts[] = {
        "\n",
        "41",
        "41 31 0:38 /",
        "41 31 0:38 / /sys/fs/cgroup",
        "41 31 0:38 / /sys/fs/cgroup rw",
        "41 31 0:38 / /sys/fs/cgroup rw -",
        "41 31 0:38 / /sys/fs/cgroup rw - cgroup2",
        "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 c",
        "41 31 0:38 / /sys/fs/cgroup rw cgroup2 cgroup2 rw",
        "41 31 0:38 / /sys/fs/cgroup - cgroup2 cgroup2 rw",
        "41 31 0:38 / sys/fs/cgroup rw - cgroup2 c rw",
        "41 31 0:38 x /sys/fs/cgroup rw - cgroup2 c rw",
        "41 31 0:38  /sys/fs/cgroup rw - cgroup2 c rw",
        "41 31 0:38 /  rw - cgroup2 c rw",
        "- - - - - - - - -",
        "          "
    };

    for (i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]); i++) {

        tree(cgroups[i], V2_MOUNT);
        put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
        put("/cpu.max", "200000 100000\n");

        snprintf(name, sizeof(name), "garbled /proc/self/cgroup %zu", i);
        is(name, 4, 4, 0, "affinity");
    }

    for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {

        tree("0::/\n", mounts[i]);
        put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
        put("/cpu.max", "200000 100000\n");

        snprintf(name, sizeof(name), "garbled mountinfo %zu", i);
        is(name, 4, 4, 0, "affinity");
    }

    tree("\n1\nxyz\n::::\n0::/a", "\n- -\n\377\n    -   \n"
         "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw");
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    is("good lines without a line feed after garbled ones", 4, 2, 2,
       "cgroup v2");

    tree(NULL, V2_MOUNT);
    put_bytes("/proc/self/cgroup", "0::/a\0b\n0::/b\n", 14);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/b/cpu.max", "300000 100000\n");
    is("a line with a zero byte is left out", 4, 3, 3, "cgroup v2");
}


static void
test_odd_files(void)
{
    char    *data;
    size_t   len;

    len = 4 * 1024 * 1024;

    data = malloc(len);
    if (data == NULL) {
        die("malloc()");
    }

    memset(data, '1', len);

    tree("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    put_bytes("/sys/fs/cgroup/a/b/cpu.max", data, len);
    put_bytes("/sys/fs/cgroup/a/b/cpuset.cpus.effective", data, len);
    is("huge files in a group", 4, 3, 3, "cgroup v2");

    memset(data, ' ', len);
    memcpy(data, "100000 100000", 13);
    put_bytes("/sys/fs/cgroup/a/b/cpu.max", data, len);
    is("a huge file that begins well", 4, 3, 3, "cgroup v2");

    memset(data, '0', len);
    memcpy(data + len - 15, "100000 100000\n", 14);
    put_bytes("/sys/fs/cgroup/a/b/cpu.max", data, 32768);
    is("a file as large as the buffer", 4, 3, 3, "cgroup v2");

    tree("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    make_dir("/sys/fs/cgroup/a/b/cpu.max");
    make_dir("/sys/fs/cgroup/a/b/cpuset.cpus.effective");
    is("folders in place of files", 4, 3, 3, "cgroup v2");

    tree("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/a", "not a folder");
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    is("a file in place of the folder", 4, 3, 3, "cgroup v2");

    tree(NULL, NULL);
    make_dir("/proc/self/cgroup");
    make_dir("/proc/self/mountinfo");
    is("folders in place of files in /proc", 4, 4, 0, "affinity");

    memset(data, 'x', len);

    tree(NULL, NULL);
    put_bytes("/proc/self/cgroup", data, len);
    put_bytes("/proc/self/mountinfo", data, len);
    is("huge files in /proc", 4, 4, 0, "affinity");

    memset(data, '\n', len);
    memcpy(data + len - 6, "0::/a\n", 6);

    tree(NULL, V2_MOUNT);
    put_bytes("/proc/self/cgroup", data, len);
    put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    is("a huge file with one good line", 4, 3, 3, "cgroup v2");

    free(data);
}


static void
test_long_lines(void)
{
    size_t   i, n;
    char    *line, *group;

    n = 0;

    line = malloc(100 * 1000 + 1000);
    group = malloc(100 * 1000 + 1000);

    if (line == NULL || group == NULL) {
        die("malloc()");
    }

    /*
     * an overlay with many layers before, and many optional fields in the line
     */

    n += sprintf(line, "25 1 0:20 / / rw - overlay overlay rw,lowerdir=");

    for (i = 0; i < 500; i++) {
        n += sprintf(line + n, "/var/lib/layers/%08zu/fs:", i);
    }

    n += sprintf(line + n, "\n41 31 0:38 / /cg rw");

    for (i = 0; i < 1000; i++) {
        n += sprintf(line + n, " shared:%zu", i);
    }

    sprintf(line + n, " - cgroup2 cgroup2 rw\n");

    tree("0::/a\n", line);
    put("/cg/a/cpu.max", "200000 100000\n");
    is("long lines in mountinfo", 4, 2, 2, "cgroup v2");

    n = sprintf(group, "0::");

    for (i = 0; i < 12; i++) {
        n += sprintf(group + n, "/%02zu%0200d", i, 0);
    }

    tree(NULL, V2_MOUNT);

    n += sprintf(group + n, "/cpu.max");
    snprintf(line, 100 * 1000, "/sys/fs/cgroup%s", group + 3);
    put(line, "200000 100000\n");

    sprintf(group + n - 8, "\n");
    put("/proc/self/cgroup", group);
    is("a long path of a group", 4, 2, 2, "cgroup v2");

    n = sprintf(group, "0::/a");

    for (i = 0; i < 10000; i++) {
        n += sprintf(group + n, "/%zu", i);
    }

    sprintf(group + n, "\n");

    tree(group, V2_MOUNT);
    put("/sys/fs/cgroup/a/0/1/cpu.max", "200000 100000\n");
    is("a path too long for the kernel: its ancestors", 4, 2, 2, "cgroup v2");

    free(line);
    free(group);
}


static void
test_root(void)
{
    ngx_http_background_cpu_limit_t  limit;

    memset(&limit, 0xff, sizeof(limit));

    ngx_http_background_cpu_limit("/nonexistent", 3, &limit);

    ok(limit.limit == 3 && limit.cpus >= 3 && limit.cpus <= 3
       && limit.quota >= 0 && limit.quota <= 0
       && strcmp(limit.source, "affinity") == 0,
       "a root that does not exist");

    memset(&limit, 0xff, sizeof(limit));

    ngx_http_background_cpu_limit("", 1, &limit);

    ok(limit.limit == 1 && limit.cpus > 0 && limit.cpus <= 1,
       "the real system");
}


static void
test_usage(void)
{
    tree("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.stat", "usage_usec 1\n");
    put("/sys/fs/cgroup/a/cpu.stat", "usage_usec 22\nuser_usec 2\n");
    put("/sys/fs/cgroup/a/b/cpu.stat", "usage_usec 333\nuser_usec 3\n");
    uses("usage: no quota", 0, UINT64_MAX);

    put("/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n");
    uses("usage: the own group", 2, 333);

    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    uses("usage: the parent has less", 1.5, 22);

    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    uses("usage: the parent has as much", 2, 333);

    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    uses("usage: the root has the least", 1, 1);

    tree("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/cpu.stat", "usage_usec 1\n");
    uses("usage: no file", 2, UINT64_MAX);

    tree("1:cpu:/a\n0::/a\n", HYBRID_MOUNT CPU_MOUNT);
    put("/sys/fs/cgroup/unified/a/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/unified/a/cpu.stat", "usage_usec 22\n");
    put_cfs("/sys/fs/cgroup/cpu/a", "200000\n", "100000\n");
    uses("usage: v1 has more than v2", 1, 22);

    put_cfs("/sys/fs/cgroup/cpu/a", "50000\n", "100000\n");
    uses("usage: v1 has less than v2", 0.5, UINT64_MAX);
}


static void
test_usage_v1(void)
{
    tree("4:cpu,cpuacct:/a/b\n",
         "32 31 0:29 / /c rw - cgroup cgroup rw,cpu,cpuacct\n");
    put_cfs("/c/a", "200000\n", "100000\n");
    put("/c/a/cpuacct.usage", "22999\n");
    put("/c/a/b/cpuacct.usage", "333000\n");
    put("/c/cpuacct.usage", "1000\n");
    uses("usage: v1, both controllers in one hierarchy", 2, 22);

    tree("4:cpu:/a/b\n5:cpuacct:/a/b\n", CPUACCT_MOUNT CPU_MOUNT);
    put_cfs("/sys/fs/cgroup/cpu/a/b", "200000\n", "100000\n");
    put("/sys/fs/cgroup/cpuacct/cpuacct.usage", "1000\n");
    put("/sys/fs/cgroup/cpuacct/a/cpuacct.usage", "22000\n");
    put("/sys/fs/cgroup/cpuacct/a/b/cpuacct.usage", "333000\n");
    uses("usage: v1, a hierarchy for each", 2, 333);

    put_cfs("/sys/fs/cgroup/cpu/a", "100000\n", "100000\n");
    uses("usage: v1, the parent has less", 1, 22);

    put_cfs("/sys/fs/cgroup/cpu", "50000\n", "100000\n");
    uses("usage: v1, the root has the least", 0.5, 1);

    tree("4:cpu:/a\n5:cpuacct:/b\n", CPU_MOUNT CPUACCT_MOUNT);
    put_cfs("/sys/fs/cgroup/cpu/a", "200000\n", "100000\n");
    put("/sys/fs/cgroup/cpuacct/a/cpuacct.usage", "1000\n");
    put("/sys/fs/cgroup/cpuacct/b/cpuacct.usage", "1000\n");
    uses("usage: v1, a group of another name", 2, UINT64_MAX);

    tree("4:cpu:/docker/0123/x\n5:cpuacct:/docker/0123/x\n",
         "32 31 0:29 /docker/0123 /c/cpu ro - cgroup cgroup rw,cpu\n"
         "33 31 0:30 / /c/cpuacct ro - cgroup cgroup rw,cpuacct\n");
    put_cfs("/c/cpu", "200000\n", "100000\n");
    put("/c/cpuacct/docker/0123/cpuacct.usage", "22000\n");
    put("/c/cpuacct/docker/0123/x/cpuacct.usage", "1000\n");
    put("/c/cpuacct/cpuacct.usage", "1000\n");
    uses("usage: v1, mounts of different depth", 2, 22);
}


static void
test_usage_values(void)
{
    size_t  i;
    char    name[128], long_stat[1024 + 64];

    static const struct {
        const char  *text;
        uint64_t     usec;
    } values[] = {
        { "usage_usec 0\n", 0 },
        { "usage_usec 18446744073709551615\n", UINT64_MAX },
        { "18446744073709551615\n", UINT64_MAX / 1000 },
        { "999\n", 0 },
        { "usage_usec 18446744073709551616\n", UINT64_MAX },
        { "", UINT64_MAX },
        { "\n", UINT64_MAX },
        { "usage_usec", UINT64_MAX },
        { "usage_usec \n", UINT64_MAX },
        { "usage_usec -1\n", UINT64_MAX },
        { "usage_usec 1", UINT64_MAX },
        { "usage_usec 1x\n", UINT64_MAX },
        { "nr_periods 1\nusage_usec 2\n", UINT64_MAX },
        { "1000", UINT64_MAX }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {

        tree("0::/\n", V2_MOUNT);
        put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
        put("/sys/fs/cgroup/cpu.stat", values[i].text);

        snprintf(name, sizeof(name), "usage %zu: %.*s", i,
                 (int) strcspn(values[i].text, "\n"), values[i].text);
        uses(name, 1, values[i].usec);
    }

    memset(long_stat, 'x', sizeof(long_stat));
    memcpy(long_stat, "usage_usec 7\n", 13);

    tree("0::/\n", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    put_bytes("/sys/fs/cgroup/cpu.stat", long_stat, sizeof(long_stat));
    uses("usage: a long cpu.stat", 1, 7);

    memset(long_stat, '1', sizeof(long_stat));
    put_bytes("/sys/fs/cgroup/cpu.stat", long_stat, sizeof(long_stat));
    uses("usage: a long number", 1, UINT64_MAX);
}


static void
put_cfs(const char *dir, const char *quota, const char *period)
{
    char  name[PATH_MAX];

    if (quota) {
        snprintf(name, sizeof(name), "%s/cpu.cfs_quota_us", dir);
        put(name, quota);
    }

    if (period) {
        snprintf(name, sizeof(name), "%s/cpu.cfs_period_us", dir);
        put(name, period);
    }
}


static void
is(const char *name, unsigned affinity, double cpus, double quota,
    const char *source)
{
    unsigned                         whole;
    ngx_http_background_cpu_limit_t  limit;

    memset(&limit, 0xff, sizeof(limit));

    ngx_http_background_cpu_limit(root, affinity, &limit);

    whole = cpus < 1 ? 1 : (unsigned) cpus;

    if (limit.limit == whole
        && fabs(limit.cpus - cpus) <= 1e-9 * cpus
        && fabs(limit.quota - quota) <= 1e-9 * quota
        && strcmp(limit.source, source) == 0)
    {
        ok(1, "%s", name);
        return;
    }

    ok(0, "%s", name);

    printf("#      got: limit=%u cpus=%g quota=%g source=%s\n"
           "# expected: limit=%u cpus=%g quota=%g source=%s\n",
           limit.limit, limit.cpus, limit.quota, limit.source,
           whole, cpus, quota, source);
}


/* UINT64_MAX: the file can't be read */

static void
uses(const char *name, double quota, uint64_t usec)
{
    int       fd;
    double    got_quota;
    uint64_t  got;

    fd = ngx_http_background_cpu_usage_open(root, &got_quota);
    got = UINT64_MAX;

    if (fd != -1) {
        (void) ngx_http_background_cpu_usage_read(fd, &got);
        close(fd);
    }

    ok(got == usec && fabs(got_quota - quota) <= 1e-9 * quota,
       "%s: %ju of %g", name, (uintmax_t) got, got_quota);
}
