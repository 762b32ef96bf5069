
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_temp.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/syscall.h>


/* defined in linux/fs.h, which conflicts with other headers */
#define NGX_HTTP_BACKGROUND_NOREPLACE  1


static ngx_int_t ngx_http_background_temp_link(
    ngx_http_background_temp_t *temp, u_char *name);
static ngx_uint_t ngx_http_background_temp_number(u_char **pos);


ngx_int_t
ngx_http_background_temp_create(ngx_http_background_temp_t *temp, int dirfd)
{
    ngx_uint_t       n;
    ngx_file_info_t  fi;

    static ngx_atomic_t  number;

    temp->dirfd = dirfd;
    temp->fd = -1;

    for (n = 0; n < 100; n++) {

        ngx_sprintf(temp->name, NGX_HTTP_BACKGROUND_TEMP_PREFIX "%P_%uA"
                    NGX_HTTP_BACKGROUND_TEMP_SUFFIX "%Z", ngx_pid,
                    ngx_atomic_fetch_add(&number, 1));

        temp->fd = openat(dirfd, (char *) temp->name,
                          O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

        if (temp->fd == -1) {
            if (ngx_errno == NGX_EEXIST) {
                continue;
            }

            return NGX_ERROR;
        }

        /*
         * if the file system has no locks, sweep() can't remove the file
         * either
         */

        if ((flock(temp->fd, LOCK_EX|LOCK_NB) == 0 || ngx_errno != NGX_EAGAIN)
            && ngx_fd_info(temp->fd, &fi) != NGX_FILE_ERROR
            && fi.st_nlink)
        {
            temp->uid = fi.st_uid;
            temp->gid = fi.st_gid;

            return NGX_OK;
        }

        /* sweep() has locked or removed the file before it was locked here */

        (void) ngx_close_file(temp->fd);
        temp->fd = -1;
    }

    ngx_set_errno(NGX_EEXIST);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_background_temp_write(ngx_http_background_temp_t *temp, u_char *buf,
    size_t size)
{
    ssize_t  n;

    while (size) {
        n = write(temp->fd, buf, size);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        buf += n;
        size -= n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_temp_flush(ngx_http_background_temp_t *temp)
{
    int  fd;

    /* the file stays open and locked */

    fd = fcntl(temp->fd, F_DUPFD_CLOEXEC, 0);

    if (fd == -1 || ngx_close_file(fd) == NGX_FILE_ERROR) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_temp_publish(ngx_http_background_temp_t *temp,
    u_char *name, ngx_uint_t replace)
{
    ngx_int_t  rc;

    if (replace) {
        rc = renameat(temp->dirfd, (char *) temp->name,
                      temp->dirfd, (char *) name);
    } else {
        rc = ngx_http_background_temp_link(temp, name);
    }

    if (rc == -1) {
        return NGX_ERROR;
    }

    (void) ngx_close_file(temp->fd);
    temp->fd = -1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_temp_link(ngx_http_background_temp_t *temp, u_char *name)
{
#ifdef SYS_renameat2

    if (syscall(SYS_renameat2, temp->dirfd, temp->name, temp->dirfd, name,
                NGX_HTTP_BACKGROUND_NOREPLACE)
        == 0)
    {
        return 0;
    }

    if (ngx_errno != NGX_EINVAL && ngx_errno != ENOSYS) {
        return -1;
    }

#endif

    if (linkat(temp->dirfd, (char *) temp->name, temp->dirfd, (char *) name, 0)
        == -1)
    {
        return -1;
    }

    (void) unlinkat(temp->dirfd, (char *) temp->name, 0);

    return 0;
}


void
ngx_http_background_temp_discard(ngx_http_background_temp_t *temp)
{
    if (temp->fd == -1) {
        return;
    }

    (void) unlinkat(temp->dirfd, (char *) temp->name, 0);
    (void) ngx_close_file(temp->fd);

    temp->fd = -1;
}


ngx_uint_t
ngx_http_background_is_temp(u_char *name)
{
    if (ngx_strncmp(name, NGX_HTTP_BACKGROUND_TEMP_PREFIX,
                    sizeof(NGX_HTTP_BACKGROUND_TEMP_PREFIX) - 1)
        != 0)
    {
        return 0;
    }

    name += sizeof(NGX_HTTP_BACKGROUND_TEMP_PREFIX) - 1;

    if (!ngx_http_background_temp_number(&name) || *name++ != '_'
        || !ngx_http_background_temp_number(&name))
    {
        return 0;
    }

    return ngx_strcmp(name, NGX_HTTP_BACKGROUND_TEMP_SUFFIX) == 0;
}


static ngx_uint_t
ngx_http_background_temp_number(u_char **pos)
{
    u_char  *p;

    for (p = *pos; *p >= '0' && *p <= '9'; p++) { /* void */ }

    if (p == *pos) {
        return 0;
    }

    *pos = p;

    return 1;
}


void
ngx_http_background_temp_sweep(ngx_http_background_run_t *run, int dirfd,
    u_char *name)
{
    int  fd;

    /*
     * NFS locks only files that are open for writing, which the mode may not
     * allow
     */

    fd = openat(dirfd, (char *) name, O_RDWR|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == -1) {
        fd = openat(dirfd, (char *) name,
                    O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);
    }

    if (fd == -1) {
        return;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == 0
        && unlinkat(dirfd, (char *) name, 0) == 0)
    {
        ngx_log_error(NGX_LOG_NOTICE, run->log, 0,
                      "background task \"%V\": removed \"%s\", left by "
                      "a process that was killed", run->task, name);
    }

    (void) ngx_close_file(fd);
}


void
ngx_http_background_temp_sweep_all(ngx_http_background_run_t *run, int dirfd)
{
    DIR            *dir;
    int             fd;
    struct dirent  *de;

    fd = openat(dirfd, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    dir = fdopendir(fd);

    if (dir == NULL) {
        (void) ngx_close_file(fd);
        return;
    }

    while ((de = readdir(dir)) != NULL) {
        if (ngx_http_background_is_temp((u_char *) de->d_name)) {
            ngx_http_background_temp_sweep(run, dirfd, (u_char *) de->d_name);
        }
    }

    (void) closedir(dir);
}
