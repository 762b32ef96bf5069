
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_manifest.h"
#include "ngx_http_background_tree.h"
#include "ngx_http_background_temp_writer.h"


#define NGX_HTTP_BACKGROUND_MANIFEST_MODE  0644

/* memory for waiting lines: about a hundred thousand lines */
#define NGX_HTTP_BACKGROUND_MANIFEST_WAIT  (16 * 1024 * 1024)


/* a line that waits for previous lines */

typedef struct {
    ngx_queue_t                  queue;
    uint64_t                     number;
    size_t                       len;
    u_char                       text[1];
} ngx_http_background_line_t;


struct ngx_http_background_manifest_s {
    ngx_thread_mutex_t           mutex;
    ngx_log_t                   *log;

    ngx_str_t                    path;
    u_char                      *name;       /* the last part of the path */
    int                          dirfd;
    ngx_file_info_t              dir;

    ngx_queue_t                  lines;
    size_t                       waiting;    /* memory of waiting lines */
    uint64_t                     next;
    ngx_uint_t                   no_memory;

    ngx_http_background_temp_writer_t writer;
};


static ngx_int_t ngx_http_background_manifest_open(
    ngx_http_background_manifest_t *manifest, ngx_http_background_run_t *run);
static ngx_http_background_line_t *ngx_http_background_manifest_prepare(
    ngx_http_background_manifest_t *manifest, u_char *hash, size_t len,
    ngx_str_t *name);
static ngx_int_t ngx_http_background_manifest_old(
    ngx_http_background_manifest_t *manifest, ngx_http_background_run_t *run,
    ngx_file_info_t *fi);
static ngx_int_t ngx_http_background_manifest_same(
    ngx_http_background_manifest_t *manifest, ngx_http_background_run_t *run,
    int fd);
static void ngx_http_background_manifest_fail(
    ngx_http_background_manifest_t *manifest, ngx_http_background_run_t *run,
    ngx_err_t err, const char *fmt);


ngx_http_background_manifest_t *
ngx_http_background_manifest_create(ngx_http_background_run_t *run,
    ngx_str_t *path)
{
    ngx_http_background_manifest_t  *manifest;

    manifest = ngx_alloc(sizeof(ngx_http_background_manifest_t), run->log);
    if (manifest == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NULL;
    }

    ngx_memzero(manifest, offsetof(ngx_http_background_manifest_t, writer));

    if (ngx_thread_mutex_create(&manifest->mutex, run->log) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_free(manifest);
        return NULL;
    }

    manifest->log = run->log;
    manifest->path = *path;
    manifest->dirfd = -1;
    manifest->writer.temp.fd = -1;
    ngx_queue_init(&manifest->lines);

    if (ngx_http_background_manifest_open(manifest, run) != NGX_OK) {
        ngx_http_background_manifest_destroy(manifest);
        return NULL;
    }

    return manifest;
}


static ngx_int_t
ngx_http_background_manifest_open(ngx_http_background_manifest_t *manifest,
    ngx_http_background_run_t *run)
{
    u_char  *p, *dir;

    p = manifest->path.data + manifest->path.len;

    while (p[-1] != '/') {
        p--;
    }

    manifest->name = p;

    dir = ngx_pnalloc(run->pool, p - manifest->path.data + 1);
    if (dir == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    ngx_cpystrn(dir, manifest->path.data, p - manifest->path.data + 1);

    manifest->dirfd = open((char *) dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (manifest->dirfd == -1) {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "open() of the directory of %s "
                                          "failed");
        return NGX_ERROR;
    }

    if (ngx_fd_info(manifest->dirfd, &manifest->dir) == NGX_FILE_ERROR) {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          ngx_fd_info_n " of the directory "
                                          "of %s failed");
        return NGX_ERROR;
    }

    ngx_http_background_temp_sweep_all(run, manifest->dirfd);

    if (ngx_http_background_temp_writer_open(&manifest->writer, manifest->dirfd)
        != NGX_OK)
    {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "open() of a temporary file for %s "
                                          "failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_background_manifest_is(ngx_http_background_manifest_t *manifest,
    dev_t dev, ino_t ino, u_char *name)
{
    return ino == manifest->dir.st_ino
           && dev == manifest->dir.st_dev
           && ngx_strcmp(name, manifest->name) == 0;
}


ngx_int_t
ngx_http_background_manifest_line(ngx_http_background_manifest_t *manifest,
    ngx_http_background_run_t *run, uint64_t number, u_char *hash, size_t len,
    ngx_str_t *name)
{
    ngx_int_t                    rc;
    ngx_queue_t                 *q;
    ngx_http_background_line_t  *line, *prev;

    line = ngx_http_background_manifest_prepare(manifest, hash, len, name);

    rc = NGX_OK;

    (void) ngx_thread_mutex_lock(&manifest->mutex, run->log);

    if (line == NULL) {
        manifest->no_memory = 1;
        goto done;
    }

    line->number = number;

    /* usually the line is added near the end */

    for (q = ngx_queue_last(&manifest->lines);
         q != ngx_queue_sentinel(&manifest->lines);
         q = ngx_queue_prev(q))
    {
        prev = ngx_queue_data(q, ngx_http_background_line_t, queue);

        if (prev->number < number) {
            break;
        }
    }

    ngx_queue_insert_head(q, &line->queue);
    manifest->waiting += sizeof(ngx_http_background_line_t) + line->len;

    while (!ngx_queue_empty(&manifest->lines)) {
        q = ngx_queue_head(&manifest->lines);
        line = ngx_queue_data(q, ngx_http_background_line_t, queue);

        if (line->number != manifest->next) {
            break;
        }

        manifest->next++;

        ngx_http_background_temp_writer_append(&manifest->writer, line->text,
                                          line->len);

        manifest->waiting -= sizeof(ngx_http_background_line_t) + line->len;

        ngx_queue_remove(q);
        ngx_free(line);
    }

    if (number >= manifest->next
        && manifest->waiting > NGX_HTTP_BACKGROUND_MANIFEST_WAIT)
    {
        rc = NGX_BUSY;
    }

done:

    (void) ngx_thread_mutex_unlock(&manifest->mutex, run->log);

    return rc;
}


static ngx_http_background_line_t *
ngx_http_background_manifest_prepare(ngx_http_background_manifest_t *manifest,
    u_char *hash, size_t len, ngx_str_t *name)
{
    ngx_http_background_line_t  *line;

    line = ngx_alloc(sizeof(ngx_http_background_line_t)
                     + ngx_http_background_manifest_size(len, name),
                     manifest->log);
    if (line == NULL) {
        return NULL;
    }

    line->len = (hash == NULL) ? 0
                : ngx_http_background_manifest_format(line->text, hash, len,
                                                      name)
                  - line->text;

    return line;
}


void
ngx_http_background_manifest_commit(ngx_http_background_manifest_t *manifest,
    ngx_http_background_run_t *run)
{
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    if (manifest->no_memory) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    if (ngx_http_background_temp_writer_flush(&manifest->writer) != NGX_OK) {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "write() of a temporary file for "
                                          "%s failed");
        return;
    }

    rc = ngx_http_background_manifest_old(manifest, run, &fi);

    if (rc != NGX_DECLINED) {
        return;
    }

    if (fchmod(manifest->writer.temp.fd, fi.st_mode & 07777) == -1) {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "fchmod() of a temporary file for "
                                          "%s failed");
        return;
    }

    if (fsync(manifest->writer.temp.fd) == -1) {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "fsync() of a temporary file for "
                                          "%s failed");
        return;
    }

    if (ngx_http_background_temp_publish(&manifest->writer.temp,
                                         manifest->name, 1)
        != NGX_OK)
    {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "rename() to %s failed");
    }
}


/*
 * Returns NGX_DECLINED if the list must be written; it keeps the mode and, if
 * the worker runs as root, the owner of the old list.
 */

static ngx_int_t
ngx_http_background_manifest_old(ngx_http_background_manifest_t *manifest,
    ngx_http_background_run_t *run, ngx_file_info_t *fi)
{
    int        fd;
    ngx_int_t  rc;

    fd = openat(manifest->dirfd, (char *) manifest->name,
                NGX_HTTP_BACKGROUND_TREE_OPEN|O_NOFOLLOW);

    if (fd == -1) {
        if (ngx_errno == NGX_ENOENT) {
            fi->st_mode = NGX_HTTP_BACKGROUND_MANIFEST_MODE;
            return NGX_DECLINED;
        }

        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          "open() %s failed");
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(fd, fi) == NGX_FILE_ERROR) {
        ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                          ngx_fd_info_n " %s failed");

    } else if (!ngx_is_file(fi)) {
        ngx_http_background_manifest_fail(manifest, run, 0,
                                          "%s is no regular file");

    } else {
        rc = ngx_http_background_manifest_same(manifest, run, fd);

        if (rc == NGX_DECLINED && geteuid() == 0
            && fchown(manifest->writer.temp.fd, fi->st_uid, fi->st_gid) == -1)
        {
            ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                              "fchown() of a temporary file "
                                              "for %s failed");
            rc = NGX_ERROR;
        }
    }

    (void) ngx_close_file(fd);

    return rc;
}


static ngx_int_t
ngx_http_background_manifest_same(ngx_http_background_manifest_t *manifest,
    ngx_http_background_run_t *run, int fd)
{
    off_t    offset;
    size_t   half;
    u_char  *buf;
    ssize_t  n, m;

    half = NGX_HTTP_BACKGROUND_TEMP_WRITER_BUFFER / 2;
    buf = manifest->writer.buffer;

    for (offset = 0; /* void */; offset += n) {

        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        n = pread(fd, buf, half, offset);
        m = pread(manifest->writer.temp.fd, buf + half, half, offset);

        if (n == -1 || m == -1) {
            ngx_http_background_manifest_fail(manifest, run, ngx_errno,
                                              "read() %s failed");
            return NGX_ERROR;
        }

        if (n != m || ngx_memcmp(buf, buf + half, n) != 0) {
            return NGX_DECLINED;
        }

        if (n == 0) {
            return NGX_OK;
        }
    }
}


static void
ngx_http_background_manifest_fail(ngx_http_background_manifest_t *manifest,
    ngx_http_background_run_t *run, ngx_err_t err, const char *fmt)
{
    ngx_http_background_fail_path(&run->result, NULL, &manifest->path,
                                  err, fmt);
}


void
ngx_http_background_manifest_destroy(ngx_http_background_manifest_t *manifest)
{
    ngx_queue_t                 *q;
    ngx_http_background_line_t  *line;

    while (!ngx_queue_empty(&manifest->lines)) {
        q = ngx_queue_head(&manifest->lines);
        line = ngx_queue_data(q, ngx_http_background_line_t, queue);

        ngx_queue_remove(q);
        ngx_free(line);
    }

    ngx_http_background_temp_discard(&manifest->writer.temp);

    if (manifest->dirfd != -1) {
        (void) ngx_close_file(manifest->dirfd);
    }

    (void) ngx_thread_mutex_destroy(&manifest->mutex, manifest->log);

    ngx_free(manifest);
}
