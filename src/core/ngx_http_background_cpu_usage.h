
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What a container has used of its CPU quota.  Pure C: no nginx state, no
 * nginx header, so that t/cpu_limit.c can test it on its own.
 */


#ifndef _NGX_HTTP_BACKGROUND_CPU_USAGE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CPU_USAGE_H_INCLUDED_


#include <stdint.h>


/*
 * open  a descriptor of the file with the CPU time that the group with the
 *       least time quota has used, of those that cpu_limit() looks at: its
 *       cpu.stat in v2, and in v1 cpuacct.usage of the group of the same name;
 *       and this quota, in CPUs.  -1: there is none.  Reads files, not for the
 *       event loop; "root" is that of cpu_limit()
 * read  the CPU time, in microseconds.  0, or -1 where it is not to be had
 */
int ngx_http_background_cpu_usage_open(const char *root, double *quota);
int ngx_http_background_cpu_usage_read(int fd, uint64_t *usec);


#endif /* _NGX_HTTP_BACKGROUND_CPU_USAGE_H_INCLUDED_ */
