
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* What preloaded clocks share. */


#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>


/* the number in the file that this variable of the environment names, or 0 */

static long
seconds_of(const char *variable)
{
    int          fd;
    char         text[32];
    long         seconds;
    ssize_t      n;
    const char  *file;

    file = getenv(variable);
    fd = file ? open(file, O_RDONLY|O_CLOEXEC) : -1;

    if (fd == -1) {
        return 0;
    }

    seconds = 0;
    n = read(fd, text, sizeof(text) - 1);

    if (n > 0) {
        text[n] = '\0';
        seconds = strtol(text, NULL, 10);
    }

    (void) close(fd);

    return seconds;
}
