
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * openat() of a preloaded library, which calls opens().  That has the arguments
 * of openat(), and the next openat() as its first one.  With _FORTIFY_SOURCE a
 * compiler calls __openat_2() or __openat64_2() where no mode is given.
 */


#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>


typedef int (*next_openat_t)(int fd, const char *path, int flags, mode_t mode);


static int opens(next_openat_t next, int fd, const char *path, int flags,
    mode_t mode);


int
openat(int fd, const char *path, int flags, ...)
{
    mode_t   mode;
    va_list  args;

    static next_openat_t  next;

    if (next == NULL) {
        *(void **) &next = dlsym(RTLD_NEXT, "openat");
    }

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);

    return opens(next, fd, path, flags, mode);
}


int
openat64(int fd, const char *path, int flags, ...)
{
    mode_t   mode;
    va_list  args;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);

    return openat(fd, path, flags, mode);
}


int
__openat_2(int fd, const char *path, int flags)
{
    return openat(fd, path, flags, 0);
}


int
__openat64_2(int fd, const char *path, int flags)
{
    return openat(fd, path, flags, 0);
}
