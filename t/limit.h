
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Made-up trees of /proc and /sys, and TAP, for tests of what is pure C. */


#ifndef _LIMIT_H_INCLUDED_
#define _LIMIT_H_INCLUDED_


#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


#define V2_MOUNT                                                              \
    "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 "     \
    "rw,nsdelegate\n"


static const char  *program;
static char         base[PATH_MAX / 2];
static char         root[PATH_MAX];          /* of the tree */
static unsigned     trees, tests, failed;


static inline void die(const char *what);
static inline void clean_up(void);
static inline void put(const char *name, const char *text);
static inline void put_bytes(const char *name, const char *data, size_t len);
static inline void make_dir(const char *name);
static inline void ok(int good, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


static inline void
begin(const char *name)
{
    const char  *tmp;

    program = name;

    tmp = getenv("TMPDIR");
    if (tmp == NULL || *tmp == '\0') {
        tmp = "/tmp";
    }

    if (snprintf(base, sizeof(base), "%s/%s.XXXXXX", tmp, name)
        >= (int) sizeof(base))
    {
        errno = ENAMETOOLONG;
        die("TMPDIR");
    }

    if (mkdtemp(base) == NULL) {
        die(base);
    }

    atexit(clean_up);
}


static inline int
end(void)
{
    printf("1..%u\n", tests);

    return failed ? 1 : 0;
}


static inline void
tree(const char *cgroup, const char *mountinfo)
{
    if (snprintf(root, sizeof(root), "%s/%u", base, ++trees)
        >= (int) sizeof(root))
    {
        die(root);
    }

    if (mkdir(root, 0700) == -1) {
        die(root);
    }

    if (cgroup) {
        put("/proc/self/cgroup", cgroup);
    }

    if (mountinfo) {
        put("/proc/self/mountinfo", mountinfo);
    }
}


static inline void
put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}


static inline void
put_bytes(const char *name, const char *data, size_t len)
{
    char   path[2 * PATH_MAX], dir[PATH_MAX];
    FILE  *f;

    snprintf(dir, sizeof(dir), "%s", name);
    *strrchr(dir, '/') = '\0';
    make_dir(dir);

    snprintf(path, sizeof(path), "%s%s", root, name);

    f = fopen(path, "w");
    if (f == NULL) {
        die(path);
    }

    if (fwrite(data, 1, len, f) != len || fclose(f) != 0) {
        die(path);
    }
}


static inline void
make_dir(const char *name)
{
    char   path[2 * PATH_MAX], *p;

    snprintf(path, sizeof(path), "%s%s/", root, name);

    for (p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {

        *p = '\0';

        if (mkdir(path, 0700) == -1 && errno != EEXIST) {
            die(path);
        }

        *p = '/';
    }
}


static inline void
ok(int good, const char *format, ...)
{
    va_list  args;

    tests++;

    if (!good) {
        failed++;
    }

    printf("%sok %u - ", good ? "" : "not ", tests);

    va_start(args, format);
    vprintf(format, args);
    va_end(args);

    printf("\n");
}


static inline void
die(const char *what)
{
    fprintf(stderr, "%s: %.200s: %s\n", program, what, strerror(errno));
    exit(2);
}


static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;

    return remove(path);
}


static inline void
clean_up(void)
{
    if (nftw(base, remove_one, 16, FTW_DEPTH|FTW_PHYS) == -1) {
        fprintf(stderr, "%s: can't remove %s: %s\n", program, base,
                strerror(errno));
    }
}


#endif /* _LIMIT_H_INCLUDED_ */
