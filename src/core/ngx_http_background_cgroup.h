
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The cgroups of the calling process, and files of /proc.  Pure C without
 * nginx headers, so that it can be tested separately.
 *
 * "root" is the prefix of all paths: "" for the real system, or a test
 * folder, without a trailing slash.
 */


#ifndef _NGX_HTTP_BACKGROUND_CGROUP_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CGROUP_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>


/*
 * long enough for a list of every other CPU of 8192, the most that Linux
 * supports
 */
#define NGX_HTTP_BACKGROUND_VALUE_SIZE  32768

/* the longest file name that is read, with slash and zero */
#define NGX_HTTP_BACKGROUND_NAME_SIZE   sizeof("/cpuset.cpus.effective")


typedef struct {
    char        *path;        /* folder of the group */
    size_t       len;         /* length of "path" without a file name */
    const char  *name;        /* name of the group, as in /proc/self/cgroup */
    size_t       name_len;    /* shorter for an ancestor */
    void        *data;
    char         value[NGX_HTTP_BACKGROUND_VALUE_SIZE];
} ngx_http_background_cgroup_t;


typedef struct {
    const char  *type;        /* type of the file system; NULL ends an array */
    const char  *controller;  /* "" for cgroup v2 */
    void       (*read)(ngx_http_background_cgroup_t *cg);
    char        *group;       /* name of the group, as in /proc/self/cgroup */
    char        *point;       /* a mount point that does not have the group */
    unsigned     found;       /* a mount point has the group */
} ngx_http_background_hierarchy_t;


/*
 * Calls read() for the group of the process in each hierarchy and for all its
 * visible ancestors.  The groups are found by ROOT/proc/self/cgroup and
 * ROOT/proc/self/mountinfo.  If no mount of a hierarchy has the group, the
 * mount point of the first one is used.
 */
void ngx_http_background_cgroups(const char *root,
    ngx_http_background_hierarchy_t *h, void *data);

/*
 * Returns the text of a file of the group, such as "/cpu.max", without its
 * newline, or NULL.
 */
char *ngx_http_background_cgroup_value(ngx_http_background_cgroup_t *cg,
    const char *name);

/* returns a descriptor of a file of the group, or -1 */
int ngx_http_background_cgroup_open(ngx_http_background_cgroup_t *cg,
    const char *name);


/*
 * open    opens a file such as "/proc/self/cgroup", or returns NULL
 * line    reads the next line, without its newline; returns 0 after the last
 *         one
 * field   returns the text up to the separator, or NULL
 * number  returns the text after the number, or NULL if there is no number
 */
FILE *ngx_http_background_proc_open(const char *root, const char *name);
int ngx_http_background_proc_line(FILE *f, char **line, size_t *size);
char *ngx_http_background_proc_field(char **p, char separator);
const char *ngx_http_background_proc_number(const char *p, uint64_t *number);


#endif /* _NGX_HTTP_BACKGROUND_CGROUP_H_INCLUDED_ */
