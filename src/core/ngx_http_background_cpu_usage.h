
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The CPU time that a container has used.  Pure C without nginx headers, so
 * that t/cpu_limit.c can test it separately.
 */


#ifndef _NGX_HTTP_BACKGROUND_CPU_USAGE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CPU_USAGE_H_INCLUDED_


#include <stdint.h>


/*
 * open  returns a descriptor of the file with the CPU time of the group that
 *       has the lowest quota of those read by cpu_limit(): cpu.stat in v2,
 *       cpuacct.usage of the group of the same name in v1.  Sets "quota" to
 *       the quota, in CPUs.  Returns -1 if there is none.  Must not be called
 *       on the event loop, as it reads files.  "root" is as for cpu_limit()
 * read  reads the CPU time, in microseconds.  Returns 0, or -1 on failure
 */
int ngx_http_background_cpu_usage_open(const char *root, double *quota);
int ngx_http_background_cpu_usage_read(int fd, uint64_t *usec);


#endif /* _NGX_HTTP_BACKGROUND_CPU_USAGE_H_INCLUDED_ */
