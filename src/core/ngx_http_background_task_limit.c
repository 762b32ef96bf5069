
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE  200809L
#endif

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "ngx_http_background_cgroup.h"
#include "ngx_http_background_task_limit.h"


/* the kernel does not reuse lower pids */
#define NGX_HTTP_BACKGROUND_RESERVED_PIDS  300

#define NGX_HTTP_BACKGROUND_CAP_SYS_ADMIN     21
#define NGX_HTTP_BACKGROUND_CAP_SYS_RESOURCE  24


/* fields of /proc/PID/status */

typedef struct {
    uint64_t     uid;             /* real user id */
    uint64_t     euid;
    uint64_t     threads;
    uint64_t     capabilities;    /* effective capabilities */
} ngx_http_background_proc_status_t;


typedef struct {
    const char                        *root;
    ngx_http_background_task_limit_t  *limit;
} ngx_http_background_task_limit_ctx_t;


static void ngx_http_background_task_limit_cgroup(
    ngx_http_background_cgroup_t *cg);
static int ngx_http_background_task_limit_file(
    ngx_http_background_cgroup_t *cg, const char *name, uint64_t *number);
static void ngx_http_background_task_limit_user(const char *root,
    unsigned uid, ngx_http_background_task_limit_t *limit);
static int ngx_http_background_task_limit_exempt(const char *root,
    unsigned uid);
static int ngx_http_background_task_limit_initial(const char *root);
static int ngx_http_background_task_limit_nproc(const char *root,
    uint64_t *max);
static uint64_t ngx_http_background_task_limit_used(const char *root,
    unsigned uid);
static void ngx_http_background_task_limit_system(const char *root,
    ngx_http_background_task_limit_t *limit);
static int ngx_http_background_task_limit_loadavg(const char *root,
    uint64_t *used);
static int ngx_http_background_task_limit_kernel(const char *root,
    const char *name, uint64_t *max);
static void ngx_http_background_task_limit_least(
    ngx_http_background_task_limit_t *limit, uint64_t max, uint64_t used,
    const char *name);
static int ngx_http_background_process(const char *root, const char *pid,
    ngx_http_background_proc_status_t *process);
static int ngx_http_background_proc_read(const char *root, const char *path,
    const char *name, char **text);
static char *ngx_http_background_process_value(char *line, const char *name);
static const char *ngx_http_background_blanks(const char *p);


void
ngx_http_background_task_limit(const char *root, unsigned uid,
    ngx_http_background_task_limit_t *limit)
{
    ngx_http_background_task_limit_ctx_t  ctx;

    ngx_http_background_hierarchy_t  hierarchies[] = {
        { "cgroup2", "", ngx_http_background_task_limit_cgroup,
          NULL, NULL, 0 },
        { "cgroup", "pids", ngx_http_background_task_limit_cgroup,
          NULL, NULL, 0 },
        { NULL, NULL, NULL, NULL, NULL, 0 }
    };

    limit->max = UINT64_MAX;
    limit->used = 0;
    limit->name[0] = '\0';

    ctx.root = root;
    ctx.limit = limit;

    ngx_http_background_cgroups(root, hierarchies, &ctx);

    ngx_http_background_task_limit_user(root, uid, limit);
    ngx_http_background_task_limit_system(root, limit);
}


uint64_t
ngx_http_background_task_threads(const char *root, unsigned pid)
{
    char                               name[sizeof("4294967295")];
    ngx_http_background_proc_status_t  process;

    (void) snprintf(name, sizeof(name), "%u", pid);

    if (!ngx_http_background_process(root, name, &process)) {
        return 0;
    }

    return process.threads;
}


static void
ngx_http_background_task_limit_cgroup(ngx_http_background_cgroup_t *cg)
{
    uint64_t                               max, used;
    ngx_http_background_task_limit_ctx_t  *ctx;

    /* "max" is not a number */

    if (!ngx_http_background_task_limit_file(cg, "/pids.max", &max)
        || !ngx_http_background_task_limit_file(cg, "/pids.current", &used))
    {
        return;
    }

    ctx = cg->data;

    memcpy(cg->path + cg->len, "/pids.max", sizeof("/pids.max"));

    ngx_http_background_task_limit_least(ctx->limit, max, used,
                                         cg->path + strlen(ctx->root));
}


static int
ngx_http_background_task_limit_file(ngx_http_background_cgroup_t *cg,
    const char *name, uint64_t *number)
{
    const char  *p;

    p = ngx_http_background_cgroup_value(cg, name);
    p = ngx_http_background_proc_number(p, number);

    return p && *p == '\0';
}


static void
ngx_http_background_task_limit_user(const char *root, unsigned uid,
    ngx_http_background_task_limit_t *limit)
{
    uint64_t  max;

    if (!ngx_http_background_task_limit_nproc(root, &max)
        || ngx_http_background_task_limit_exempt(root, uid))
    {
        return;
    }

    ngx_http_background_task_limit_least(limit, max,
                              ngx_http_background_task_limit_used(root, uid),
                              "RLIMIT_NPROC");
}


/*
 * Whether the process is exempt from RLIMIT_NPROC, as root of the initial user
 * namespace and processes with certain capabilities are.  A process loses its
 * capabilities when its user id changes from root.
 */

static int
ngx_http_background_task_limit_exempt(const char *root, unsigned uid)
{
    uint64_t                           capabilities;
    ngx_http_background_proc_status_t  self;

    if (!ngx_http_background_task_limit_initial(root)) {
        return 0;
    }

    if (uid == 0) {
        return 1;
    }

    if (!ngx_http_background_process(root, "self", &self) || self.euid != uid) {
        return 0;
    }

    capabilities = (uint64_t) 1 << NGX_HTTP_BACKGROUND_CAP_SYS_ADMIN
                   | (uint64_t) 1 << NGX_HTTP_BACKGROUND_CAP_SYS_RESOURCE;

    return (self.capabilities & capabilities) != 0;
}


/* whether the user namespace maps each user to itself */

static int
ngx_http_background_task_limit_initial(const char *root)
{
    int          initial;
    char        *text;
    uint64_t     inside, outside, n;
    const char  *p;

    if (!ngx_http_background_proc_read(root, "/proc/self/uid_map", "", &text)) {
        return 1;
    }

    p = ngx_http_background_proc_number(text, &inside);
    p = ngx_http_background_blanks(p);
    p = ngx_http_background_proc_number(p, &outside);
    p = ngx_http_background_blanks(p);
    p = ngx_http_background_proc_number(p, &n);

    initial = (p && inside == 0 && outside == 0 && n == UINT32_MAX);

    free(text);

    return initial;
}


static int
ngx_http_background_task_limit_nproc(const char *root, uint64_t *max)
{
    char        *text;
    const char  *p;

    /* format: "Max processes SOFT HARD processes"; may be "unlimited" */

    (void) ngx_http_background_proc_read(root, "/proc/self/limits",
                                         "Max processes ", &text);

    p = ngx_http_background_proc_number(text, max);

    free(text);

    return p != NULL;
}


static uint64_t
ngx_http_background_task_limit_used(const char *root, unsigned uid)
{
    DIR                                *dir;
    char                               *path;
    uint64_t                            used;
    struct dirent                      *de;
    ngx_http_background_proc_status_t   process;

    path = malloc(strlen(root) + sizeof("/proc"));
    if (path == NULL) {
        return 0;
    }

    (void) sprintf(path, "%s/proc", root);

    dir = opendir(path);

    free(path);

    if (dir == NULL) {
        return 0;
    }

    used = 0;

    while ((de = readdir(dir)) != NULL) {

        if (de->d_name[0] >= '1' && de->d_name[0] <= '9'
            && ngx_http_background_process(root, de->d_name, &process)
            && process.uid == uid)
        {
            used += process.threads;
        }
    }

    (void) closedir(dir);

    return used;
}


static void
ngx_http_background_task_limit_system(const char *root,
    ngx_http_background_task_limit_t *limit)
{
    uint64_t  max, used;

    if (!ngx_http_background_task_limit_loadavg(root, &used)) {
        return;
    }

    if (ngx_http_background_task_limit_kernel(root, "threads-max", &max)) {
        ngx_http_background_task_limit_least(limit, max, used,
                                             "kernel.threads-max");
    }

    if (ngx_http_background_task_limit_kernel(root, "pid_max", &max)) {
        ngx_http_background_task_limit_least(limit, max,
                                     used + NGX_HTTP_BACKGROUND_RESERVED_PIDS,
                                     "kernel.pid_max");
    }
}


/* parses the number of tasks, 80 in "0.20 0.18 0.12 1/80 11206" */

static int
ngx_http_background_task_limit_loadavg(const char *root, uint64_t *used)
{
    char        *text, *rest;
    const char  *p;

    (void) ngx_http_background_proc_read(root, "/proc/loadavg", "", &text);

    rest = text;
    (void) ngx_http_background_proc_field(&rest, '/');

    p = ngx_http_background_proc_number(rest, used);

    free(text);

    /* limited, so that a sum does not overflow */

    return p && *used <= UINT32_MAX;
}


static int
ngx_http_background_task_limit_kernel(const char *root, const char *name,
    uint64_t *max)
{
    int          good;
    char         path[sizeof("/proc/sys/kernel/threads-max")], *text;
    const char  *p;

    (void) snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
    (void) ngx_http_background_proc_read(root, path, "", &text);

    p = ngx_http_background_proc_number(text, max);
    good = (p && *p == '\0');

    free(text);

    return good;
}


static void
ngx_http_background_task_limit_least(ngx_http_background_task_limit_t *limit,
    uint64_t max, uint64_t used, const char *name)
{
    uint64_t  left, least;

    left = max - (used < max ? used : max);
    least = limit->max - (limit->used < limit->max ? limit->used : limit->max);

    if (left >= least) {
        return;
    }

    limit->max = max;
    limit->used = used;

    (void) snprintf(limit->name, sizeof(limit->name), "%s", name);
}


static int
ngx_http_background_process(const char *root, const char *pid,
    ngx_http_background_proc_status_t *process)
{
    char        *line, *value;
    FILE        *f;
    size_t       size;
    char         name[sizeof("/proc/4294967295/status")];
    const char  *p;

    if (snprintf(name, sizeof(name), "/proc/%s/status", pid)
        >= (int) sizeof(name))
    {
        return 0;
    }

    f = ngx_http_background_proc_open(root, name);
    if (f == NULL) {
        return 0;
    }

    memset(process, 0, sizeof(ngx_http_background_proc_status_t));

    p = NULL;
    line = NULL;
    size = 0;

    while (ngx_http_background_proc_line(f, &line, &size)) {

        value = ngx_http_background_process_value(line, "Uid:");

        if (value) {
            p = ngx_http_background_proc_number(value, &process->uid);
            p = ngx_http_background_blanks(p);
            p = ngx_http_background_proc_number(p, &process->euid);
            continue;
        }

        value = ngx_http_background_process_value(line, "Threads:");

        if (value) {
            (void) ngx_http_background_proc_number(value, &process->threads);
            continue;
        }

        value = ngx_http_background_process_value(line, "CapEff:");

        if (value) {
            process->capabilities = strtoull(value, NULL, 16);
        }
    }

    free(line);
    (void) fclose(f);

    /* a zombie process counts as a task */

    if (process->threads == 0 || process->threads > UINT32_MAX) {
        process->threads = 1;
    }

    return p != NULL;
}


/*
 * Sets "text" to what follows the name and blanks in the first line that
 * begins with the name, to be freed, or to NULL.  Returns whether the file
 * exists.
 */

static int
ngx_http_background_proc_read(const char *root, const char *path,
    const char *name, char **text)
{
    char    *line, *value;
    FILE    *f;
    size_t   size;

    *text = NULL;

    f = ngx_http_background_proc_open(root, path);
    if (f == NULL) {
        return 0;
    }

    line = NULL;
    size = 0;

    while (*text == NULL && ngx_http_background_proc_line(f, &line, &size)) {
        value = ngx_http_background_process_value(line, name);

        if (value) {
            *text = strdup(value);
        }
    }

    free(line);
    (void) fclose(f);

    return 1;
}


static char *
ngx_http_background_process_value(char *line, const char *name)
{
    size_t  len;

    len = strlen(name);

    if (strncmp(line, name, len) != 0) {
        return NULL;
    }

    line += len;

    return line + strspn(line, " \t");
}


static const char *
ngx_http_background_blanks(const char *p)
{
    return p ? p + strspn(p, " \t") : NULL;
}
