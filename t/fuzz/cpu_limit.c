
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Files of /proc and of cgroups.  They are in memory, so the source is
 * included here and its calls that read files are replaced.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "fuzz.h"


#define fopen  fuzz_fopen
#define open   fuzz_open
#define read   fuzz_read
#define close  fuzz_close


static FILE *fuzz_fopen(const char *path, const char *mode);
static int fuzz_open(const char *path, int flags);
static ssize_t fuzz_read(int fd, void *buf, size_t size);
static int fuzz_close(int fd);


#include <core/ngx_http_background_cgroup.c>
#include <core/ngx_http_background_cpu_limit.c>


#undef fopen
#undef open
#undef read
#undef close


#define FUZZ_ROOT  "/root"


typedef struct {
    const char  *name;
    uint8_t     *data;
    size_t       size;
    size_t       offset;
} fuzz_file_t;


static fuzz_file_t *fuzz_find(const char *path);


/* the first two files are found only below the root */

static fuzz_file_t  fuzz_files[] = {
    { FUZZ_ROOT "/proc/self/cgroup", NULL, 0, 0 },
    { FUZZ_ROOT "/proc/self/mountinfo", NULL, 0, 0 },
    { "/cpu.max", NULL, 0, 0 },
    { "/cpu.cfs_quota_us", NULL, 0, 0 },
    { "/cpu.cfs_period_us", NULL, 0, 0 },
    { "/cpuset.cpus.effective", NULL, 0, 0 },
    { "/cpuset.cpus", NULL, 0, 0 },
    { NULL, NULL, 0, 0 }
};

static fuzz_file_t  *fuzz_opened;
static size_t        fuzz_piece;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned                          affinity;
    fuzz_file_t                      *f;
    fuzz_input_t                      in;
    ngx_http_background_cpu_limit_t   limit;

    in.data = data;
    in.size = size;

    affinity = fuzz_number(&in, 255);
    fuzz_piece = 1 + fuzz_number(&in, 255);

    for (f = fuzz_files; f->name; f++) {
        f->data = fuzz_text(&in, '\f', 0, &f->size);
    }

    memset(&limit, 0xff, sizeof(limit));

    ngx_http_background_cpu_limit(FUZZ_ROOT, affinity, &limit);

    affinity = affinity ? affinity : 1;

    fuzz_check(limit.limit >= 1 && limit.limit <= affinity);
    fuzz_check(limit.cpus > 0 && limit.cpus <= affinity);
    fuzz_check(limit.quota >= 0 && limit.quota <= (double) UINT64_MAX);
    fuzz_check(limit.quota <= 0 || limit.cpus <= limit.quota);

    fuzz_check(strcmp(limit.source, "affinity") == 0
               || (limit.cpus < affinity
                   && (strcmp(limit.source, "cgroup v2") == 0
                       || strcmp(limit.source, "cgroup v1") == 0
                       || strcmp(limit.source, "cpuset") == 0)));

    for (f = fuzz_files; f->name; f++) {
        free(f->data);
    }

    return 0;
}


/* finds a file by the end of its path; an empty file is a missing one */

static fuzz_file_t *
fuzz_find(const char *path)
{
    size_t        len;
    fuzz_file_t  *f;

    fuzz_check(strncmp(path, FUZZ_ROOT "/", sizeof(FUZZ_ROOT)) == 0);

    for (f = fuzz_files; f->name; f++) {
        len = strlen(f->name);

        if (strlen(path) >= len
            && strcmp(path + strlen(path) - len, f->name) == 0
            && f->size)
        {
            return f;
        }
    }

    errno = ENOENT;

    return NULL;
}


static FILE *
fuzz_fopen(const char *path, const char *mode)
{
    fuzz_file_t  *f;

    f = fuzz_find(path);

    return f ? fmemopen(f->data, f->size, mode) : NULL;
}


static int
fuzz_open(const char *path, int flags)
{
    fuzz_check(fuzz_opened == NULL);
    fuzz_check((flags & O_ACCMODE) == O_RDONLY && (flags & O_CLOEXEC));

    fuzz_opened = fuzz_find(path);

    if (fuzz_opened == NULL) {
        return -1;
    }

    fuzz_opened->offset = 0;

    return 1000;
}


static ssize_t
fuzz_read(int fd, void *buf, size_t size)
{
    size_t  n;

    fuzz_check(fd == 1000 && fuzz_opened);

    n = fuzz_opened->size - fuzz_opened->offset;
    n = n < size ? n : size;
    n = n < fuzz_piece ? n : fuzz_piece;

    memcpy(buf, fuzz_opened->data + fuzz_opened->offset, n);
    fuzz_opened->offset += n;

    return n;
}


static int
fuzz_close(int fd)
{
    fuzz_check(fd == 1000 && fuzz_opened);

    fuzz_opened = NULL;

    return 0;
}
