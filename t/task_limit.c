
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * task_limit              tests the limit of tasks on test trees, in TAP
 * task_limit --print UID  prints the limit of this process
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limit.h"
#include "ngx_http_background_task_limit.h"


#define PIDS_MOUNT                                                            \
    "32 31 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"

#define INITIAL  "         0          0 4294967295\n"


static void test_nothing(void);
static void test_v2(void);
static void test_v1(void);
static void test_values(void);
static void test_long_path(void);
static void test_user(void);
static void test_exempt(void);
static void test_system(void);
static void test_tightest(void);
static void test_threads(void);

static void put_group(const char *dir, const char *max, const char *current);
static void put_nproc(const char *soft);
static void put_process(const char *pid, unsigned uid, unsigned threads,
    const char *capabilities);
static void none(const char *name);
static void is(const char *name, uint64_t max, uint64_t used,
    const char *source);


int
main(int argc, char **argv)
{
    ngx_http_background_task_limit_t  limit;

    if (argc == 3 && strcmp(argv[1], "--print") == 0) {
        ngx_http_background_task_limit("", strtoul(argv[2], NULL, 10), &limit);

        printf("max=%llu used=%llu name=%s\n", (unsigned long long) limit.max,
               (unsigned long long) limit.used, limit.name);
        return 0;
    }

    if (argc > 1) {
        fprintf(stderr, "usage: %s [--print UID]\n", argv[0]);
        return 2;
    }

    begin("task_limit");

    test_nothing();
    test_v2();
    test_v1();
    test_values();
    test_long_path();
    test_user();
    test_exempt();
    test_system();
    test_tightest();
    test_threads();

    return end();
}


static void
test_nothing(void)
{
    tree(NULL, NULL);
    none("no /proc at all");

    tree("", "");
    put("/proc/self/limits", "");
    put("/proc/loadavg", "");
    put("/proc/sys/kernel/threads-max", "");
    put("/proc/sys/kernel/pid_max", "");
    none("empty files in /proc");
}


static void
test_v2(void)
{
    tree("0::/a/b\n", V2_MOUNT);
    put_group("/sys/fs/cgroup/a/b", "100\n", "7\n");
    is("v2: the own group", 100, 7, "/sys/fs/cgroup/a/b/pids.max");

    put_group("/sys/fs/cgroup/a", "50\n", "8\n");
    is("v2: the parent leaves less", 50, 8, "/sys/fs/cgroup/a/pids.max");

    put_group("/sys/fs/cgroup/a", "200\n", "8\n");
    is("v2: the parent leaves more", 100, 7, "/sys/fs/cgroup/a/b/pids.max");

    put_group("/sys/fs/cgroup/a", "200\n", "180\n");
    is("v2: the parent allows more and leaves less", 200, 180,
       "/sys/fs/cgroup/a/pids.max");

    put_group("/sys/fs/cgroup/a/b", "max\n", "7\n");
    put_group("/sys/fs/cgroup/a", "max\n", "8\n");
    none("v2: no limit");

    put_group("/sys/fs/cgroup", "30\n", "10\n");
    is("v2: the root of the mount", 30, 10, "/sys/fs/cgroup/pids.max");

    put_group("/sys/fs/cgroup/a", "5\n", "9\n");
    is("v2: more than the limit", 5, 9, "/sys/fs/cgroup/a/pids.max");

    tree("0::/../a\n", V2_MOUNT);
    put_group("/sys/fs/cgroup", "30\n", "10\n");
    is("v2: a group outside of the namespace: the mount point", 30, 10,
       "/sys/fs/cgroup/pids.max");
}


static void
test_v1(void)
{
    tree("3:cpu:/x\n8:pids:/a/b\n", PIDS_MOUNT);
    put_group("/sys/fs/cgroup/pids/a/b", "100\n", "7\n");
    put_group("/sys/fs/cgroup/pids/x", "1\n", "1\n");
    is("v1: the own group", 100, 7, "/sys/fs/cgroup/pids/a/b/pids.max");

    put_group("/sys/fs/cgroup/pids/a", "50\n", "8\n");
    is("v1: the parent leaves less", 50, 8, "/sys/fs/cgroup/pids/a/pids.max");

    tree("8:pids:/pod/c\n",
         "32 31 0:29 /pod /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
    put_group("/sys/fs/cgroup/pids/c", "100\n", "7\n");
    is("v1: a mount of a part of the hierarchy", 100, 7,
       "/sys/fs/cgroup/pids/c/pids.max");
}


static void
test_values(void)
{
    size_t  i;
    char    name[128];

    static const char  *bad[] = {
        "", "\n", "max\n", "-1\n", "+5\n", "5x\n", " 5\n", "5 5\n",
        "18446744073709551616\n", "0x10\n"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        tree("8:pids:/a\n", PIDS_MOUNT);

        snprintf(name, sizeof(name), "pids.max %zu: %.*s", i,
                 (int) strcspn(bad[i], "\n"), bad[i]);
        put_group("/sys/fs/cgroup/pids/a", bad[i], "1\n");
        none(name);

        snprintf(name, sizeof(name), "pids.current %zu: %.*s", i,
                 (int) strcspn(bad[i], "\n"), bad[i]);
        put_group("/sys/fs/cgroup/pids/a", "5\n", bad[i]);
        none(name);
    }

    tree("8:pids:/a\n", PIDS_MOUNT);
    put("/sys/fs/cgroup/pids/a/pids.max", "5\n");
    none("no pids.current");

    put_group("/sys/fs/cgroup/pids/a", "0", "0");
    is("nothing is allowed", 0, 0, "/sys/fs/cgroup/pids/a/pids.max");
}


static void
test_long_path(void)
{
    char                               group[2048], dir[PATH_MAX];
    size_t                             n;
    ngx_http_background_task_limit_t   limit;

    n = sprintf(group, "0::");

    while (n < sizeof(group) - 300) {
        n += sprintf(group + n, "/%0200u", 1);
    }

    tree(group, V2_MOUNT);
    snprintf(dir, sizeof(dir), "/sys/fs/cgroup%s", group + 3);
    put_group(dir, "100\n", "7\n");

    ngx_http_background_task_limit(root, 1, &limit);

    ok(limit.max == 100 && limit.used == 7
       && strlen(limit.name) == sizeof(limit.name) - 1
       && strncmp(limit.name, dir, sizeof(limit.name) - 1) == 0,
       "a long path is cut off");
}


static void
test_user(void)
{
    tree(NULL, NULL);
    put_nproc("20");
    put_process("7", 33, 3, "0");
    put_process("8", 33, 4, "0");
    put_process("9", 34, 5, "0");
    put_process("self", 33, 1, "0");
    put("/proc/77x/status", "Uid:\t34\t34\t34\t34\nThreads:\t1\n");
    put("/proc/78/status", "Threads:\t100\n");
    put("/proc/79/status", "Uid:\tx\t33\t33\t33\nThreads:\t100\n");
    put("/proc/80/nothing", "");
    put("/proc/123456789012345/status",
        "Uid:\t33\t33\t33\t33\nThreads:\t100\n");
    is("RLIMIT_NPROC: the user's tasks", 20, 7, "RLIMIT_NPROC");

    put_process("10", 33, 0, "0");
    is("RLIMIT_NPROC: one that has exited", 20, 8, "RLIMIT_NPROC");

    put_nproc("unlimited");
    none("RLIMIT_NPROC: unlimited");

    tree(NULL, NULL);
    put_nproc("20");
    put("/proc/7/status", "Uid:\t33\t0\t0\t0\nThreads:\t3\n");
    put("/proc/8/status", "Uid:\t0\t33\t33\t33\nThreads:\t4\n");
    is("RLIMIT_NPROC: the real user counts", 20, 3, "RLIMIT_NPROC");
}


static void
test_exempt(void)
{
    ngx_http_background_task_limit_t  limit;

    tree(NULL, NULL);
    put_nproc("20");
    put("/proc/self/uid_map", INITIAL);
    put_process("7", 33, 3, "0");

    put_process("self", 0, 1, "000001ffffffffff");
    is("a root whose workers are not", 20, 3, "RLIMIT_NPROC");

    ngx_http_background_task_limit(root, 0, &limit);
    ok(limit.max == UINT64_MAX, "workers that are root are exempt");

    put_process("self", 33, 1, "0000000001000000");
    none("CAP_SYS_RESOURCE is exempt");

    put_process("self", 33, 1, "0000000000200000");
    none("CAP_SYS_ADMIN is exempt");

    put_process("self", 33, 1, "fffffffffedfffff");
    is("other capabilities are not", 20, 3, "RLIMIT_NPROC");

    put("/proc/self/uid_map", "         0     100000      65536\n");
    put_process("self", 33, 1, "000001ffffffffff");
    is("nor are those of a user namespace", 20, 3, "RLIMIT_NPROC");

    put_process("7", 0, 3, "0");

    ngx_http_background_task_limit(root, 0, &limit);
    ok(limit.max == 20 && limit.used == 3, "nor is its root");
}


static void
test_system(void)
{
    tree(NULL, NULL);
    put("/proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
    put("/proc/sys/kernel/threads-max", "1000\n");
    is("threads-max", 1000, 80, "kernel.threads-max");

    put("/proc/sys/kernel/pid_max", "1400\n");
    is("pid_max leaves more", 1000, 80, "kernel.threads-max");

    put("/proc/sys/kernel/pid_max", "1200\n");
    is("pid_max leaves less", 1200, 380, "kernel.pid_max");

    put("/proc/loadavg", "0.20 0.18 0.12 1 11206\n");
    none("loadavg without a number of tasks");

    put("/proc/loadavg", "0.20 0.18 0.12 1/18446744073709551615 11206\n");
    none("loadavg with far too many");

    put("/proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
    put("/proc/sys/kernel/threads-max", "1000 1\n");
    put("/proc/sys/kernel/pid_max", "many\n");
    none("no numbers in the files of the kernel");
}


static void
test_tightest(void)
{
    tree("0::/a\n8:pids:/a\n",
         PIDS_MOUNT
         "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
    put("/proc/sys/kernel/threads-max", "1000\n");
    put_group("/sys/fs/cgroup/pids/a", "500\n", "10\n");
    put_group("/sys/fs/cgroup/unified/a", "501\n", "10\n");
    put_nproc("600");
    put_process("7", 33, 3, "0");
    is("the tightest is of cgroup v1", 500, 10,
       "/sys/fs/cgroup/pids/a/pids.max");

    put_group("/sys/fs/cgroup/unified/a", "499\n", "10\n");
    is("the tightest is of cgroup v2", 499, 10,
       "/sys/fs/cgroup/unified/a/pids.max");

    put_nproc("100");
    is("the tightest is the user's", 100, 3, "RLIMIT_NPROC");

    put("/proc/sys/kernel/threads-max", "170\n");
    is("the tightest is the system's", 170, 80, "kernel.threads-max");

    put("/proc/sys/kernel/threads-max", "177\n");
    is("of equal ones the first is named", 100, 3, "RLIMIT_NPROC");
}


static void
test_threads(void)
{
    tree(NULL, NULL);
    put_process("7", 33, 12, "0");

    ok(ngx_http_background_task_threads(root, 7) == 12,
       "the threads of a process");
    ok(ngx_http_background_task_threads(root, 8) == 0, "of none");
    ok(ngx_http_background_task_threads("", getpid()) == 1, "of this one");
}


static void
put_group(const char *dir, const char *max, const char *current)
{
    char  name[PATH_MAX];

    snprintf(name, sizeof(name), "%s/pids.max", dir);
    put(name, max);

    snprintf(name, sizeof(name), "%s/pids.current", dir);
    put(name, current);
}


static void
put_nproc(const char *soft)
{
    char  text[512];

    snprintf(text, sizeof(text),
             "Limit                     Soft Limit           Hard Limit\n"
             "Max resident set          5                    5\n"
             "Max processes             %-20s unlimited            processes\n"
             "Max open files            6                    6\n", soft);
    put("/proc/self/limits", text);
}


static void
put_process(const char *pid, unsigned uid, unsigned threads,
    const char *capabilities)
{
    char  name[128], text[512];

    snprintf(name, sizeof(name), "/proc/%s/status", pid);
    snprintf(text, sizeof(text),
             "Name:\tThreads:\nUid:\t%u\t%u\t%u\t%u\nThreads:\t%u\n"
             "CapPrm:\tffffffffffffffff\nCapEff:\t%s\n",
             uid, uid, uid, uid, threads, capabilities);
    put(name, text);
}


static void
none(const char *name)
{
    is(name, UINT64_MAX, 0, "");
}


/* for user 33 */

static void
is(const char *name, uint64_t max, uint64_t used, const char *source)
{
    ngx_http_background_task_limit_t  limit;

    memset(&limit, 0xff, sizeof(limit));

    ngx_http_background_task_limit(root, 33, &limit);

    if (limit.max == max && limit.used == used
        && strcmp(limit.name, source) == 0)
    {
        ok(1, "%s", name);
        return;
    }

    ok(0, "%s", name);

    printf("#      got: max=%llu used=%llu name=%s\n"
           "# expected: max=%llu used=%llu name=%s\n",
           (unsigned long long) limit.max, (unsigned long long) limit.used,
           limit.name, (unsigned long long) max, (unsigned long long) used,
           source);
}
