
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE  200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "ngx_http_background_cpu_limit.h"


#define NGX_HTTP_BACKGROUND_CPUS_MAX    65536

/* every other one of 8192 CPUs, the most that Linux knows, is a list of 20K */
#define NGX_HTTP_BACKGROUND_VALUE_SIZE  32768

/* the longest name of a file that is looked for, with its slash and zero */
#define NGX_HTTP_BACKGROUND_NAME_SIZE   sizeof("/cpuset.cpus.effective")


/* in the order in which equal limits name the source, after the affinity */

enum {
    NGX_HTTP_BACKGROUND_CGROUP_V2 = 0,
    NGX_HTTP_BACKGROUND_CGROUP_V1,
    NGX_HTTP_BACKGROUND_CPUSET,
    NGX_HTTP_BACKGROUND_LIMITS
};


typedef struct {
    char        *path;        /* the group's folder */
    size_t       len;         /* the path's, before a file's name */
    double      *least;       /* by source, 0: none */
    char         value[NGX_HTTP_BACKGROUND_VALUE_SIZE];
} ngx_http_background_cgroup_t;


typedef struct {
    const char  *type;        /* of the file system */
    const char  *controller;
    void       (*read)(ngx_http_background_cgroup_t *cg);
    char        *group;       /* as in /proc/self/cgroup */
    char        *point;       /* a mount that does not hold the group */
    unsigned     found;       /* some mount holds it */
} ngx_http_background_hierarchy_t;


static void ngx_http_background_cgroup_groups(const char *root,
    ngx_http_background_hierarchy_t *h);
static void ngx_http_background_cgroup_group(char *line,
    ngx_http_background_hierarchy_t *h);
static void ngx_http_background_cgroup_mounts(const char *root,
    ngx_http_background_hierarchy_t *h, double *least);
static void ngx_http_background_cgroup_mount(const char *root, char *line,
    ngx_http_background_hierarchy_t *h, double *least);
static const char *ngx_http_background_cgroup_below(const char *group,
    const char *top);
static void ngx_http_background_cgroup_walk(const char *root,
    const char *point, const char *group, ngx_http_background_hierarchy_t *h,
    double *least);
static void ngx_http_background_cgroup_v2(ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cgroup_cfs(ngx_http_background_cgroup_t *cg);
static void ngx_http_background_cgroup_cpuset(
    ngx_http_background_cgroup_t *cg);
static char *ngx_http_background_cgroup_value(ngx_http_background_cgroup_t *cg,
    const char *name);
static void ngx_http_background_cgroup_least(double *least, double cpus);
static unsigned ngx_http_background_cpu_list(const char *p);
static const char *ngx_http_background_number(const char *p, uint64_t *number);
static FILE *ngx_http_background_proc(const char *root, const char *name);
static int ngx_http_background_line(FILE *f, char **line, size_t *size);
static char *ngx_http_background_field(char **p, char separator);
static int ngx_http_background_in_list(const char *list, const char *name);
static void ngx_http_background_unescape(char *s);


static const char  *ngx_http_background_cpu_sources[] = {
    "cgroup v2", "cgroup v1", "cpuset"
};


void
ngx_http_background_cpu_limit(const char *root, unsigned affinity,
    ngx_http_background_cpu_limit_t *limit)
{
    unsigned                          i;
    double                            least[NGX_HTTP_BACKGROUND_LIMITS];
    ngx_http_background_hierarchy_t  *h;

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

    ngx_http_background_cgroup_groups(root, hierarchies);
    ngx_http_background_cgroup_mounts(root, hierarchies, least);

    for (h = hierarchies; h->type; h++) {
        free(h->group);
        free(h->point);
    }

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
ngx_http_background_cgroup_groups(const char *root,
    ngx_http_background_hierarchy_t *h)
{
    char    *line;
    FILE    *f;
    size_t   size;

    f = ngx_http_background_proc(root, "/proc/self/cgroup");
    if (f == NULL) {
        return;
    }

    line = NULL;
    size = 0;

    while (ngx_http_background_line(f, &line, &size)) {
        ngx_http_background_cgroup_group(line, h);
    }

    free(line);
    (void) fclose(f);
}


static void
ngx_http_background_cgroup_group(char *line,
    ngx_http_background_hierarchy_t *h)
{
    char  *id, *controllers;

    /* "4:cpu,cpuacct:/name" or "0::/name"; the name may have colons */

    id = ngx_http_background_field(&line, ':');
    controllers = ngx_http_background_field(&line, ':');

    if (line == NULL || *line != '/') {
        return;
    }

    for ( /* void */ ; h->type; h++) {

        if (h->group) {
            continue;
        }

        if (*h->controller == '\0') {
            if (strcmp(id, "0") != 0 || *controllers != '\0') {
                continue;
            }

        } else if (!ngx_http_background_in_list(controllers, h->controller)) {
            continue;
        }

        h->group = strdup(line);
    }
}


static void
ngx_http_background_cgroup_mounts(const char *root,
    ngx_http_background_hierarchy_t *h, double *least)
{
    char    *line;
    FILE    *f;
    size_t   size;

    f = ngx_http_background_proc(root, "/proc/self/mountinfo");
    if (f == NULL) {
        return;
    }

    line = NULL;
    size = 0;

    while (ngx_http_background_line(f, &line, &size)) {
        ngx_http_background_cgroup_mount(root, line, h, least);
    }

    free(line);
    (void) fclose(f);

    for ( /* void */ ; h->type; h++) {
        if (!h->found && h->point) {
            ngx_http_background_cgroup_walk(root, h->point, "", h, least);
        }
    }
}


static void
ngx_http_background_cgroup_mount(const char *root, char *line,
    ngx_http_background_hierarchy_t *h, double *least)
{
    char        *top, *point, *field, *type, *options;
    const char  *group;

    /* id parent device top point options [tag]... - type source options */

    (void) ngx_http_background_field(&line, ' ');
    (void) ngx_http_background_field(&line, ' ');
    (void) ngx_http_background_field(&line, ' ');

    top = ngx_http_background_field(&line, ' ');
    point = ngx_http_background_field(&line, ' ');

    (void) ngx_http_background_field(&line, ' ');

    do {
        field = ngx_http_background_field(&line, ' ');

        if (field == NULL) {
            return;
        }

    } while (strcmp(field, "-") != 0);

    type = ngx_http_background_field(&line, ' ');
    (void) ngx_http_background_field(&line, ' ');
    options = ngx_http_background_field(&line, ' ');

    if (options == NULL || *top != '/' || *point != '/') {
        return;
    }

    ngx_http_background_unescape(top);
    ngx_http_background_unescape(point);

    for ( /* void */ ; h->type; h++) {

        if (h->group == NULL || strcmp(type, h->type) != 0) {
            continue;
        }

        if (*h->controller != '\0'
            && !ngx_http_background_in_list(options, h->controller))
        {
            continue;
        }

        group = ngx_http_background_cgroup_below(h->group, top);

        if (group) {
            h->found = 1;
            ngx_http_background_cgroup_walk(root, point, group, h, least);

        } else if (h->point == NULL) {
            h->point = strdup(point);
        }
    }
}


/*
 * What is left of the group's path below the top of a mount.  Both are seen
 * from the root of the cgroup namespace and may begin with "/..".
 */

static const char *
ngx_http_background_cgroup_below(const char *group, const char *top)
{
    size_t       len;
    const char  *p;

    len = strlen(top);

    while (len && top[len - 1] == '/') {
        len--;
    }

    if (strncmp(group, top, len) != 0) {
        return NULL;
    }

    group += len;

    if (*group != '/' && *group != '\0') {
        return NULL;
    }

    for (p = strstr(group, "/.."); p; p = strstr(p + 1, "/..")) {
        if (p[3] == '/' || p[3] == '\0') {
            return NULL;
        }
    }

    return group;
}


static void
ngx_http_background_cgroup_walk(const char *root, const char *point,
    const char *group, ngx_http_background_hierarchy_t *h, double *least)
{
    size_t                        top, len;
    ngx_http_background_cgroup_t  cg;

    top = strlen(root) + strlen(point);
    len = top + strlen(group);

    cg.path = malloc(len + NGX_HTTP_BACKGROUND_NAME_SIZE);
    if (cg.path == NULL) {
        return;
    }

    (void) sprintf(cg.path, "%s%s%s", root, point, group);

    cg.len = len;
    cg.least = least;

    for ( ;; ) {
        h->read(&cg);

        if (cg.len == top) {
            break;
        }

        do {
            cg.len--;
        } while (cg.path[cg.len] != '/');
    }

    free(cg.path);
}


static void
ngx_http_background_cgroup_v2(ngx_http_background_cgroup_t *cg)
{
    uint64_t     quota, period;
    const char  *p;

    ngx_http_background_cgroup_cpuset(cg);

    /* "150000 100000"; "max 100000" is not a number */

    p = ngx_http_background_cgroup_value(cg, "/cpu.max");
    p = ngx_http_background_number(p, &quota);

    if (p == NULL || *p++ != ' ') {
        return;
    }

    p = ngx_http_background_number(p, &period);

    if (p == NULL || *p != '\0' || period == 0) {
        return;
    }

    ngx_http_background_cgroup_least(&cg->least[NGX_HTTP_BACKGROUND_CGROUP_V2],
                                     (double) quota / (double) period);
}


static void
ngx_http_background_cgroup_cfs(ngx_http_background_cgroup_t *cg)
{
    uint64_t     quota, period;
    const char  *p;

    /* no quota is -1, which is not a number here */

    p = ngx_http_background_cgroup_value(cg, "/cpu.cfs_quota_us");
    p = ngx_http_background_number(p, &quota);

    if (p == NULL || *p != '\0') {
        return;
    }

    p = ngx_http_background_cgroup_value(cg, "/cpu.cfs_period_us");
    p = ngx_http_background_number(p, &period);

    if (p == NULL || *p != '\0' || period == 0) {
        return;
    }

    ngx_http_background_cgroup_least(&cg->least[NGX_HTTP_BACKGROUND_CGROUP_V1],
                                     (double) quota / (double) period);
}


static void
ngx_http_background_cgroup_cpuset(ngx_http_background_cgroup_t *cg)
{
    unsigned      i;
    const char   *p;

    static const char  *names[] = {
        "/cpuset.cpus.effective", "/cpuset.effective_cpus", "/cpuset.cpus"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        p = ngx_http_background_cgroup_value(cg, names[i]);

        if (p) {
            ngx_http_background_cgroup_least(
                                        &cg->least[NGX_HTTP_BACKGROUND_CPUSET],
                                        ngx_http_background_cpu_list(p));
            return;
        }
    }
}


static char *
ngx_http_background_cgroup_value(ngx_http_background_cgroup_t *cg,
    const char *name)
{
    int      fd;
    size_t   len;
    ssize_t  n;

    (void) strcpy(cg->path + cg->len, name);

    fd = open(cg->path, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return NULL;
    }

    len = 0;

    do {
        n = read(fd, cg->value + len, sizeof(cg->value) - len);

        if (n > 0) {
            len += n;
        }

    } while (n > 0 || (n == -1 && errno == EINTR));

    (void) close(fd);

    if (n == -1 || len == sizeof(cg->value) || memchr(cg->value, '\0', len)) {
        return NULL;
    }

    if (len && cg->value[len - 1] == '\n') {
        len--;
    }

    cg->value[len] = '\0';

    return cg->value;
}


static void
ngx_http_background_cgroup_least(double *least, double cpus)
{
    if (cpus > 0 && (*least <= 0 || cpus < *least)) {
        *least = cpus;
    }
}


/*
 * The number of CPUs in "0-3,8" or, the first 2 of each 4, in "0-7:2/4";
 * 0 if there are none, or if it is not a list.
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

        p = ngx_http_background_number(p, &first);
        if (p == NULL) {
            return 0;
        }

        last = first;
        used = 1;
        size = 1;

        if (*p == '-') {
            p = ngx_http_background_number(p + 1, &last);

            if (p && *p == ':') {
                p = ngx_http_background_number(p + 1, &used);

                if (p == NULL || *p != '/') {
                    return 0;
                }

                p = ngx_http_background_number(p + 1, &size);
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


/* strtoull() would take signs, white space and what is too large */

static const char *
ngx_http_background_number(const char *p, uint64_t *number)
{
    unsigned  digit;

    if (p == NULL || *p < '0' || *p > '9') {
        return NULL;
    }

    for (*number = 0; *p >= '0' && *p <= '9'; p++) {

        digit = *p - '0';

        if (*number > (UINT64_MAX - digit) / 10) {
            return NULL;
        }

        *number = *number * 10 + digit;
    }

    return p;
}


static FILE *
ngx_http_background_proc(const char *root, const char *name)
{
    char  *path;
    FILE  *f;

    path = malloc(strlen(root) + strlen(name) + 1);
    if (path == NULL) {
        return NULL;
    }

    (void) sprintf(path, "%s%s", root, name);

    f = fopen(path, "re");

    free(path);

    return f;
}


/* the next line that is text; paths in it may be of any length */

static int
ngx_http_background_line(FILE *f, char **line, size_t *size)
{
    ssize_t  n;

    for ( ;; ) {

        n = getline(line, size, f);
        if (n <= 0) {
            return 0;
        }

        if (memchr(*line, '\0', n)) {
            continue;
        }

        if ((*line)[n - 1] == '\n') {
            (*line)[n - 1] = '\0';
        }

        return 1;
    }
}


/* one separator ends a field, so it may be empty; NULL if there is no more */

static char *
ngx_http_background_field(char **p, char separator)
{
    char  *field, *end;

    field = *p;

    if (field) {
        end = strchr(field, separator);

        if (end) {
            *end++ = '\0';
        }

        *p = end;
    }

    return field;
}


static int
ngx_http_background_in_list(const char *list, const char *name)
{
    size_t       len;
    const char  *end;

    len = strlen(name);

    for ( ;; ) {

        end = strchr(list, ',');
        if (end == NULL) {
            return strcmp(list, name) == 0;
        }

        if ((size_t) (end - list) == len && memcmp(list, name, len) == 0) {
            return 1;
        }

        list = end + 1;
    }
}


/* "\040" is how mountinfo writes a space */

static void
ngx_http_background_unescape(char *s)
{
    char  *d;

    for (d = s; *s; d++) {

        if (s[0] == '\\'
            && s[1] >= '0' && s[1] <= '3'
            && s[2] >= '0' && s[2] <= '7'
            && s[3] >= '0' && s[3] <= '7'
            && memcmp(s + 1, "000", 3) != 0)
        {
            *d = (char) ((s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0');
            s += 4;

        } else {
            *d = *s++;
        }
    }

    *d = '\0';
}
