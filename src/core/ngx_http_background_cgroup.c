
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE  200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "ngx_http_background_cgroup.h"


static void ngx_http_background_cgroup_groups(const char *root,
    ngx_http_background_hierarchy_t *h);
static void ngx_http_background_cgroup_group(char *line,
    ngx_http_background_hierarchy_t *h);
static void ngx_http_background_cgroup_mounts(const char *root,
    ngx_http_background_hierarchy_t *h, void *data);
static void ngx_http_background_cgroup_mount(const char *root, char *line,
    ngx_http_background_hierarchy_t *h, void *data);
static const char *ngx_http_background_cgroup_below(const char *group,
    const char *top);
static void ngx_http_background_cgroup_walk(const char *root,
    const char *point, const char *group, ngx_http_background_hierarchy_t *h,
    void *data);
static int ngx_http_background_in_list(const char *list, const char *name);
static void ngx_http_background_unescape(char *s);


void
ngx_http_background_cgroups(const char *root,
    ngx_http_background_hierarchy_t *h, void *data)
{
    ngx_http_background_cgroup_groups(root, h);
    ngx_http_background_cgroup_mounts(root, h, data);

    for ( /* void */ ; h->type; h++) {
        free(h->group);
        free(h->point);
    }
}


static void
ngx_http_background_cgroup_groups(const char *root,
    ngx_http_background_hierarchy_t *h)
{
    char    *line;
    FILE    *f;
    size_t   size;

    f = ngx_http_background_proc_open(root, "/proc/self/cgroup");
    if (f == NULL) {
        return;
    }

    line = NULL;
    size = 0;

    while (ngx_http_background_proc_line(f, &line, &size)) {
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

    id = ngx_http_background_proc_field(&line, ':');
    controllers = ngx_http_background_proc_field(&line, ':');

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
    ngx_http_background_hierarchy_t *h, void *data)
{
    char    *line;
    FILE    *f;
    size_t   size;

    f = ngx_http_background_proc_open(root, "/proc/self/mountinfo");
    if (f == NULL) {
        return;
    }

    line = NULL;
    size = 0;

    while (ngx_http_background_proc_line(f, &line, &size)) {
        ngx_http_background_cgroup_mount(root, line, h, data);
    }

    free(line);
    (void) fclose(f);

    for ( /* void */ ; h->type; h++) {
        if (!h->found && h->point) {
            ngx_http_background_cgroup_walk(root, h->point, "", h, data);
        }
    }
}


static void
ngx_http_background_cgroup_mount(const char *root, char *line,
    ngx_http_background_hierarchy_t *h, void *data)
{
    char        *top, *point, *field, *type, *options;
    const char  *group;

    /* id parent device top point options [tag]... - type source options */

    (void) ngx_http_background_proc_field(&line, ' ');
    (void) ngx_http_background_proc_field(&line, ' ');
    (void) ngx_http_background_proc_field(&line, ' ');

    top = ngx_http_background_proc_field(&line, ' ');
    point = ngx_http_background_proc_field(&line, ' ');

    (void) ngx_http_background_proc_field(&line, ' ');

    do {
        field = ngx_http_background_proc_field(&line, ' ');

        if (field == NULL) {
            return;
        }

    } while (strcmp(field, "-") != 0);

    type = ngx_http_background_proc_field(&line, ' ');
    (void) ngx_http_background_proc_field(&line, ' ');
    options = ngx_http_background_proc_field(&line, ' ');

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
            ngx_http_background_cgroup_walk(root, point, group, h, data);

        } else if (h->point == NULL) {
            h->point = strdup(point);
        }
    }
}


/*
 * Returns the path of the group below the top of a mount.  Both are seen from
 * the root of the cgroup namespace and may begin with "/..".
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
    const char *group, ngx_http_background_hierarchy_t *h, void *data)
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
    cg.name = h->group;
    cg.data = data;

    for ( ;; ) {
        cg.name_len = strlen(h->group) - (len - cg.len);

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


char *
ngx_http_background_cgroup_value(ngx_http_background_cgroup_t *cg,
    const char *name)
{
    int      fd;
    size_t   len;
    ssize_t  n;

    fd = ngx_http_background_cgroup_open(cg, name);
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


int
ngx_http_background_cgroup_open(ngx_http_background_cgroup_t *cg,
    const char *name)
{
    (void) strcpy(cg->path + cg->len, name);

    return open(cg->path, O_RDONLY|O_CLOEXEC);
}


/* strtoull() accepts signs, white space, and numbers that are too large */

const char *
ngx_http_background_proc_number(const char *p, uint64_t *number)
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


FILE *
ngx_http_background_proc_open(const char *root, const char *name)
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


/* lines may be of any length, as they have paths */

int
ngx_http_background_proc_line(FILE *f, char **line, size_t *size)
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


/* the field may be empty; returns NULL if there is no more */

char *
ngx_http_background_proc_field(char **p, char separator)
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


/* a space in mountinfo is written as "\040" */

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
