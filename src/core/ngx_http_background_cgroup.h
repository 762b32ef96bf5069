
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The cgroups of the calling process, and what /proc has.  Pure C: no nginx
 * state, no nginx header, so that what uses it can be tested on its own.
 *
 * "root" is the prefix of all the paths read: "" for the real system, or the
 * folder of a made-up one; no trailing slash.
 */


#ifndef _NGX_HTTP_BACKGROUND_CGROUP_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CGROUP_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>


/* every other one of 8192 CPUs, the most that Linux knows, is a list of 20K */
#define NGX_HTTP_BACKGROUND_VALUE_SIZE  32768

/* the longest name of a file that is looked for, with its slash and zero */
#define NGX_HTTP_BACKGROUND_NAME_SIZE   sizeof("/cpuset.cpus.effective")


typedef struct {
    char        *path;        /* the group's folder */
    size_t       len;         /* the path's, before a file's name */
    const char  *name;        /* the group's, as in /proc/self/cgroup */
    size_t       name_len;    /* an ancestor's name is the part before */
    void        *data;
    char         value[NGX_HTTP_BACKGROUND_VALUE_SIZE];
} ngx_http_background_cgroup_t;


typedef struct {
    const char  *type;        /* of the file system; NULL ends an array */
    const char  *controller;  /* "" for cgroup v2 */
    void       (*read)(ngx_http_background_cgroup_t *cg);
    char        *group;       /* as in /proc/self/cgroup */
    char        *point;       /* a mount that does not hold the group */
    unsigned     found;       /* some mount holds it */
} ngx_http_background_hierarchy_t;


/*
 * Calls read() for the group that the process has in each hierarchy, and for
 * all its ancestors that are visible.  The groups are found through
 * ROOT/proc/self/cgroup and ROOT/proc/self/mountinfo; where no mount of a
 * hierarchy holds the group, the mount point of the first one is taken for it.
 */
void ngx_http_background_cgroups(const char *root,
    ngx_http_background_hierarchy_t *h, void *data);

/* the text of a group's file, as "/cpu.max", without its newline, or NULL */
char *ngx_http_background_cgroup_value(ngx_http_background_cgroup_t *cg,
    const char *name);

/* a descriptor of a group's file, or -1 */
int ngx_http_background_cgroup_open(ngx_http_background_cgroup_t *cg,
    const char *name);


/*
 * open    a file as "/proc/self/cgroup", or NULL
 * line    whether there is a line more, without its newline
 * field   up to the separator, or NULL
 * number  what follows the number, or NULL if there is none
 */
FILE *ngx_http_background_proc_open(const char *root, const char *name);
int ngx_http_background_proc_line(FILE *f, char **line, size_t *size);
char *ngx_http_background_proc_field(char **p, char separator);
const char *ngx_http_background_proc_number(const char *p, uint64_t *number);


#endif /* _NGX_HTTP_BACKGROUND_CGROUP_H_INCLUDED_ */
