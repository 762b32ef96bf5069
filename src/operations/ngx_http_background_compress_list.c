
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_compress_list.h"
#include "ngx_http_background_compress_table.h"
#include "ngx_http_background_writer.h"

#include <sys/file.h>


#if (NGX_HTTP_BACKGROUND_TABLE_PATH != NGX_HTTP_BACKGROUND_TREE_PATH)
#error a path of a tree has to fit into the table
#endif


/* how long to wait for another's lock to go, in milliseconds */
#define NGX_HTTP_BACKGROUND_LIST_POLL  2


struct ngx_http_background_list_s {
    ngx_thread_mutex_t            mutex;
    ngx_log_t                    *log;

    int                           root;
    ngx_str_t                     path;      /* of the root */

    int                           fd;
    ngx_uint_t                    opened;    /* how often */
    off_t                         size;      /* when it was locked last */

    ngx_http_background_table_t   table;
    ngx_uint_t                    parsed;    /* the "opened" of that file */
    off_t                         offset;    /* up to which it was parsed */

    u_char                        buffer[NGX_HTTP_BACKGROUND_TABLE_LINE];
};


static ngx_int_t ngx_http_background_list_acquire(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static ngx_int_t ngx_http_background_list_trylock(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static void ngx_http_background_list_release(ngx_http_background_list_t *list);
static ngx_int_t ngx_http_background_list_open(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static void ngx_http_background_list_close(ngx_http_background_list_t *list);

static ngx_int_t ngx_http_background_list_add(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, u_char sign, ngx_file_info_t *fi,
    ngx_http_background_target_t *target);
static ngx_int_t ngx_http_background_list_write(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    u_char *buf, size_t len);

static ngx_int_t ngx_http_background_list_read(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_list_parse(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_list_examine(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_made_t *made);
static void ngx_http_background_list_target(ngx_http_background_list_t *list,
    ngx_str_t *path, ngx_http_background_target_t *target);
static ngx_uint_t ngx_http_background_list_stale(
    ngx_http_background_made_t *made, ngx_http_background_target_t *target,
    ngx_file_info_t *fi);
static ngx_int_t ngx_http_background_list_rewrite(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_list_fill(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_writer_t *writer);
static ngx_int_t ngx_http_background_list_replace(
    ngx_http_background_list_t *list, ngx_http_background_writer_t *writer);
static ngx_int_t ngx_http_background_list_copy(
    ngx_http_background_list_t *list, ngx_http_background_writer_t *writer);
static ngx_int_t ngx_http_background_list_sync(
    ngx_http_background_writer_t *writer);

static void ngx_http_background_list_fail(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_str_t *path, ngx_err_t err,
    const char *fmt);


static ngx_str_t  ngx_http_background_list_name =
    ngx_string(NGX_HTTP_BACKGROUND_COMPRESS_LIST);


ngx_http_background_list_t *
ngx_http_background_list_create(ngx_http_background_run_t *run, int root,
    ngx_str_t *path)
{
    ngx_int_t                    rc;
    ngx_http_background_list_t  *list;

    list = ngx_calloc(sizeof(ngx_http_background_list_t), run->log);
    if (list == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NULL;
    }

    if (ngx_thread_mutex_create(&list->mutex, run->log) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_free(list);
        return NULL;
    }

    list->log = run->log;
    list->root = root;
    list->path = *path;
    list->fd = -1;

    if (ngx_http_background_table_init(&list->table, run->log) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_http_background_list_destroy(list);
        return NULL;
    }

    rc = ngx_http_background_list_read(list, run);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        ngx_http_background_list_destroy(list);
        return NULL;
    }

    return list;
}


ngx_uint_t
ngx_http_background_list_owns(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *fi)
{
    ngx_uint_t                   owns;
    ngx_http_background_made_t  *made;

    (void) ngx_thread_mutex_lock(&list->mutex, list->log);

    made = ngx_http_background_table_find(&list->table, &target->path);
    owns = 0;

    if (made) {
        made->seen = 1;
        owns = fi && ngx_http_background_stamp_match(made->made, fi) != NULL;
    }

    (void) ngx_thread_mutex_unlock(&list->mutex, list->log);

    return owns;
}


ngx_uint_t
ngx_http_background_list_poor(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *source)
{
    ngx_uint_t                    poor;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *stamp;

    (void) ngx_thread_mutex_lock(&list->mutex, list->log);

    made = ngx_http_background_table_find(&list->table, &target->path);
    stamp = made ? made->poor : NULL;

    poor = stamp && stamp->size == source->st_size
           && stamp->sec == source->st_mtim.tv_sec
           && stamp->nsec == source->st_mtim.tv_nsec;

    (void) ngx_thread_mutex_unlock(&list->mutex, list->log);

    return poor;
}


ngx_int_t
ngx_http_background_list_publish(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_http_background_temp_t *temp)
{
    ngx_int_t                    rc;
    ngx_uint_t                   replace;
    ngx_file_info_t              fi, old;
    ngx_http_background_made_t  *made;

    if (ngx_fd_info(temp->fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_list_fail(list, run, &target->path, ngx_errno,
                                      ngx_fd_info_n " of a temporary file for "
                                      "%s failed");
        return NGX_ERROR;
    }

    rc = ngx_http_background_list_acquire(list, run, 1);

    if (rc != NGX_OK) {
        return rc;
    }

    replace = 0;

    if (fstatat(target->dirfd, (char *) target->name, &old,
                AT_SYMLINK_NOFOLLOW)
        == 0)
    {
        made = ngx_http_background_table_find(&list->table, &target->path);
        replace = 1;

        if (!ngx_is_file(&old) || made == NULL
            || ngx_http_background_stamp_match(made->made, &old) == NULL)
        {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_background_list_add(list, run, '+', &fi, target);
    }

    if (rc == NGX_OK
        && ngx_http_background_temp_publish(temp, target->name, replace)
           != NGX_OK)
    {
        if (ngx_errno == NGX_EEXIST) {
            rc = NGX_DECLINED;

        } else {
            ngx_http_background_list_fail(list, run, &target->path, ngx_errno,
                                          "rename() to %s failed");
            rc = NGX_ERROR;
        }
    }

    ngx_http_background_list_release(list);

    return rc;
}


ngx_int_t
ngx_http_background_list_remove(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target)
{
    ngx_int_t                    rc;
    ngx_file_info_t              fi;
    ngx_http_background_made_t  *made;

    rc = ngx_http_background_list_acquire(list, run, 0);

    if (rc != NGX_OK) {
        return rc;
    }

    made = ngx_http_background_table_find(&list->table, &target->path);

    if (made == NULL
        || fstatat(target->dirfd, (char *) target->name, &fi,
                   AT_SYMLINK_NOFOLLOW) == -1
        || !ngx_is_file(&fi)
        || ngx_http_background_stamp_match(made->made, &fi) == NULL)
    {
        rc = NGX_DECLINED;

    } else if (unlinkat(target->dirfd, (char *) target->name, 0) == -1
               && ngx_errno != NGX_ENOENT)
    {
        ngx_http_background_list_fail(list, run, &target->path, ngx_errno,
                                      "unlink() %s failed");
        rc = NGX_ERROR;
    }

    ngx_http_background_list_release(list);

    return rc;
}


ngx_int_t
ngx_http_background_list_spare(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_file_info_t *source)
{
    ngx_int_t  rc;

    rc = ngx_http_background_list_acquire(list, run, 1);

    if (rc == NGX_OK) {
        rc = ngx_http_background_list_add(list, run, '-', source, target);
        ngx_http_background_list_release(list);
    }

    return rc;
}


/*
 * The lock is held for single steps only: files are looked at without it.
 * Lines that others add meanwhile are copied as they are.
 */

ngx_int_t
ngx_http_background_list_prune(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    ngx_int_t                     rc;
    ngx_uint_t                    lines;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *stamp;

    rc = ngx_http_background_list_read(list, run);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    lines = 0;

    for (made = ngx_http_background_table_next(&list->table, NULL);
         made;
         made = ngx_http_background_table_next(&list->table, made))
    {
        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        if (ngx_http_background_list_examine(list, run, made) == NGX_ERROR) {
            rc = NGX_ERROR;
        }

        for (stamp = made->made; stamp; stamp = stamp->next) {
            lines++;
        }

        lines += (made->poor != NULL);
    }

    if ((lines != list->table.lines
         || ngx_http_background_table_end(&list->table) != NGX_OK)
        && ngx_http_background_list_rewrite(list, run) == NGX_ERROR)
    {
        rc = NGX_ERROR;
    }

    return rc;
}


/*
 * Parses what is new, or the whole list if it is another file now.  NGX_DECLINED
 * if there is none.  The size is that under the lock: then each line belongs to
 * a file that has its name already.
 */

static ngx_int_t
ngx_http_background_list_read(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    ngx_int_t  rc;

    rc = ngx_http_background_list_acquire(list, run, 0);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_background_list_release(list);

    if (list->opened != list->parsed) {
        ngx_http_background_table_restart(&list->table);

        list->parsed = list->opened;
        list->offset = 0;
    }

    if (list->size > NGX_HTTP_BACKGROUND_TABLE_MAX) {
        rc = NGX_DECLINED;
        list->table.error = NGX_HTTP_BACKGROUND_TABLE_LARGE;

    } else {
        rc = ngx_http_background_list_parse(list, run);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name, 0,
                                      list->table.error);
        return NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
ngx_http_background_list_parse(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    size_t     size;
    ssize_t    n;
    ngx_int_t  rc;

    while (list->offset < list->size) {

        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        size = ngx_min(list->size - list->offset,
                       (off_t) sizeof(list->buffer));

        n = pread(list->fd, list->buffer, size, list->offset);

        if (n == -1) {
            ngx_http_background_list_fail(list, run,
                                          &ngx_http_background_list_name,
                                          ngx_errno, "read() %s failed");
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        list->offset += n;

        rc = ngx_http_background_table_parse(&list->table, list->buffer, n);

        if (rc == NGX_ERROR) {
            ngx_http_background_fail(&run->result, 0, "no memory");
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return (ngx_http_background_table_end(&list->table) == NGX_DECLINED)
           ? NGX_DECLINED
           : NGX_OK;
}


/* the path stays as it is in the end */

static void
ngx_http_background_list_target(ngx_http_background_list_t *list,
    ngx_str_t *path, ngx_http_background_target_t *target)
{
    u_char  *p, *dir;

    dir = path->data;
    p = dir + path->len;

    while (p > dir && p[-1] != '/') {
        p--;
    }

    target->path = *path;
    target->name = p;

    if (p == dir) {
        dir = (u_char *) ".";

    } else {
        p[-1] = '\0';
    }

    target->dirfd = ngx_http_background_open_beneath(list->root, dir,
                                             O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == path->data) {
        p[-1] = '/';
    }
}


/*
 * Leaves no more than one stamp of each sort, of what is there, or all where
 * that can't be seen.
 */

static ngx_int_t
ngx_http_background_list_examine(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_made_t *made)
{
    u_char                         text[NGX_HTTP_BACKGROUND_TREE_TEXT];
    ngx_int_t                      rc;
    ngx_uint_t                     stale;
    ngx_file_info_t                fi;
    ngx_http_background_stamp_t   *stamp;
    ngx_http_background_target_t   target;

    ngx_http_background_list_target(list, &made->sn.str, &target);

    if (target.dirfd == -1) {

        /* the folder is gone, or its name is none that a file system has */

        if (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR
            || ngx_errno == NGX_ELOOP || ngx_errno == NGX_EXDEV
            || ngx_errno == NGX_ENAMETOOLONG)
        {
            made->made = NULL;
            made->poor = NULL;
        }

        return NGX_OK;
    }

    rc = NGX_OK;
    stamp = NULL;

    if (fstatat(target.dirfd, (char *) target.name, &fi, AT_SYMLINK_NOFOLLOW)
        == 0)
    {
        stamp = ngx_is_file(&fi)
                ? ngx_http_background_stamp_match(made->made, &fi) : NULL;

    } else if (ngx_errno != NGX_ENOENT && ngx_errno != NGX_ENAMETOOLONG) {
        (void) ngx_close_file(target.dirfd);
        return NGX_OK;
    }

    stale = !made->seen
            && ngx_http_background_list_stale(made, &target,
                                              stamp ? &fi : NULL);

    if (stale && stamp) {
        rc = ngx_http_background_list_remove(list, run, &target);

        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_INFO, run->log, 0,
                          "background task \"%V\": removed %s, its source is "
                          "gone or has changed", run->task,
                          ngx_http_background_path_log(text, &list->path,
                                                       &target.path));
            stamp = NULL;
        }
    }

    made->made = stamp;

    if (stamp) {
        stamp->next = NULL;
    }

    if (stale) {
        made->poor = NULL;
    }

    (void) ngx_close_file(target.dirfd);

    return rc;
}


static ngx_uint_t
ngx_http_background_list_stale(ngx_http_background_made_t *made,
    ngx_http_background_target_t *target, ngx_file_info_t *fi)
{
    int                           rc;
    u_char                       *dot, ch;
    ngx_file_info_t               source;
    ngx_http_background_stamp_t  *poor;

    dot = (u_char *) strrchr((char *) target->name, '.');

    if (dot == NULL) {
        return 1;
    }

    ch = *dot;
    *dot = '\0';

    rc = fstatat(target->dirfd, (char *) target->name, &source,
                 AT_SYMLINK_NOFOLLOW);
    *dot = ch;

    if (rc == -1) {
        return ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENAMETOOLONG;
    }

    if (!ngx_is_file(&source)) {
        return 1;
    }

    if (fi) {
        return source.st_mtim.tv_sec != fi->st_mtim.tv_sec
               || source.st_mtim.tv_nsec != fi->st_mtim.tv_nsec;
    }

    poor = made->poor;

    return poor == NULL || poor->sec != source.st_mtim.tv_sec
           || poor->nsec != source.st_mtim.tv_nsec;
}


static ngx_int_t
ngx_http_background_list_rewrite(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    ngx_int_t                      rc;
    ngx_err_t                      err;
    ngx_http_background_writer_t  *writer;

    writer = ngx_alloc(sizeof(ngx_http_background_writer_t), run->log);
    if (writer == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    rc = ngx_http_background_list_fill(list, run, writer);
    err = ngx_errno;

    if (rc == NGX_OK) {
        rc = ngx_http_background_list_acquire(list, run, 0);

        if (rc != NGX_OK) {
            goto done;
        }

        rc = ngx_http_background_list_replace(list, writer);
        err = ngx_errno;

        ngx_http_background_list_release(list);
    }

    if (rc == NGX_ERROR) {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name, err,
                                      "writing %s anew failed");
    }

done:

    ngx_http_background_temp_discard(&writer->temp);
    ngx_free(writer);

    return rc;
}


/* NGX_ERROR with the error in ngx_errno */

static ngx_int_t
ngx_http_background_list_fill(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_writer_t *writer)
{
    u_char                       *p;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *stamp;

    if (ngx_http_background_writer_open(writer, list->root) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_background_writer_append(writer,
                               (u_char *) NGX_HTTP_BACKGROUND_TABLE_HEADER,
                               sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 1);

    for (made = ngx_http_background_table_next(&list->table, NULL);
         made;
         made = ngx_http_background_table_next(&list->table, made))
    {
        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        for (stamp = made->made; stamp; stamp = stamp->next) {
            p = ngx_http_background_table_format(list->buffer, '+', stamp,
                                                 made);
            ngx_http_background_writer_append(writer, list->buffer,
                                              p - list->buffer);
        }

        if (made->poor) {
            p = ngx_http_background_table_format(list->buffer, '-',
                                                 made->poor, made);
            ngx_http_background_writer_append(writer, list->buffer,
                                              p - list->buffer);
        }
    }

    return ngx_http_background_list_sync(writer);
}


/*
 * With the list locked.  NGX_DECLINED: it is another file now; NGX_ERROR with
 * the error in ngx_errno.
 */

static ngx_int_t
ngx_http_background_list_replace(ngx_http_background_list_t *list,
    ngx_http_background_writer_t *writer)
{
    if (list->opened != list->parsed) {
        return NGX_DECLINED;
    }

    if (list->size > list->offset
        && (ngx_http_background_list_copy(list, writer) != NGX_OK
            || ngx_http_background_list_sync(writer) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return ngx_http_background_temp_publish(&writer->temp,
                                      ngx_http_background_list_name.data, 1);
}


/* what was added since it was parsed */

static ngx_int_t
ngx_http_background_list_copy(ngx_http_background_list_t *list,
    ngx_http_background_writer_t *writer)
{
    size_t   size;
    ssize_t  n;

    while (list->offset < list->size) {
        size = ngx_min(list->size - list->offset,
                       (off_t) sizeof(list->buffer));

        n = pread(list->fd, list->buffer, size, list->offset);

        if (n == -1) {
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        ngx_http_background_writer_append(writer, list->buffer, n);
        list->offset += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_list_sync(ngx_http_background_writer_t *writer)
{
    if (ngx_http_background_writer_flush(writer) != NGX_OK
        || fsync(writer->temp.fd) == -1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_background_list_destroy(ngx_http_background_list_t *list)
{
    ngx_http_background_list_close(list);
    ngx_http_background_table_destroy(&list->table);

    (void) ngx_thread_mutex_destroy(&list->mutex, list->log);

    ngx_free(list);
}


/*
 * Waits for the lock on the list, with the mutex locked only while it tries:
 * others have work that needs no more than the mutex.  NGX_OK: both are locked.
 */

static ngx_int_t
ngx_http_background_list_acquire(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_uint_t create)
{
    ngx_int_t  rc;

    for ( ;; ) {
        (void) ngx_thread_mutex_lock(&list->mutex, list->log);

        rc = ngx_http_background_list_trylock(list, run, create);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        (void) ngx_thread_mutex_unlock(&list->mutex, list->log);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (ngx_http_background_cancelled(run)) {
            return NGX_ABORT;
        }

        ngx_msleep(NGX_HTTP_BACKGROUND_LIST_POLL);
    }
}


/*
 * NGX_AGAIN: another one has locked it, or its name is another file's now;
 * NGX_DECLINED: there is none, and none is to be created
 */

static ngx_int_t
ngx_http_background_list_trylock(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_uint_t create)
{
    ngx_int_t        rc;
    ngx_file_info_t  fi, named;

    if (list->fd == -1) {
        rc = ngx_http_background_list_open(list, run, create);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (flock(list->fd, LOCK_EX|LOCK_NB) == -1) {

        if (ngx_errno == NGX_EAGAIN) {
            return NGX_AGAIN;
        }

        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name,
                                      ngx_errno, "flock() %s failed");
        return NGX_ERROR;
    }

    if (ngx_fd_info(list->fd, &fi) == NGX_FILE_ERROR
        || fstatat(list->root, NGX_HTTP_BACKGROUND_COMPRESS_LIST, &named,
                   AT_SYMLINK_NOFOLLOW) == -1
        || fi.st_ino != named.st_ino || fi.st_dev != named.st_dev)
    {
        ngx_http_background_list_close(list);
        return NGX_AGAIN;
    }

    list->size = ngx_file_size(&fi);

    return NGX_OK;
}


static void
ngx_http_background_list_release(ngx_http_background_list_t *list)
{
    (void) flock(list->fd, LOCK_UN);
    (void) ngx_thread_mutex_unlock(&list->mutex, list->log);
}


static ngx_int_t
ngx_http_background_list_open(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_uint_t create)
{
    ngx_err_t         err;
    const char       *fmt;
    ngx_file_info_t   fi;

    list->fd = openat(list->root, NGX_HTTP_BACKGROUND_COMPRESS_LIST,
                      O_RDWR|O_APPEND|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK
                      |(create ? O_CREAT : 0), 0600);

    if (list->fd == -1) {
        if (ngx_errno == NGX_ENOENT && !create) {
            return NGX_DECLINED;
        }

        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name,
                                      ngx_errno, "open() %s failed");
        return NGX_ERROR;
    }

    err = 0;

    if (ngx_fd_info(list->fd, &fi) == NGX_FILE_ERROR) {
        fmt = ngx_fd_info_n " %s failed";
        err = ngx_errno;

    } else if (!ngx_is_file(&fi)) {
        fmt = "%s is no regular file";

    } else if (fi.st_uid != geteuid()) {

        /* whoever writes it has files of the tree removed */

        fmt = "%s belongs to another user than the worker";

    } else {
        list->opened++;
        return NGX_OK;
    }

    ngx_http_background_list_fail(list, run, &ngx_http_background_list_name,
                                  err, fmt);
    ngx_http_background_list_close(list);

    return NGX_ERROR;
}


static void
ngx_http_background_list_close(ngx_http_background_list_t *list)
{
    if (list->fd != -1) {
        (void) ngx_close_file(list->fd);
        list->fd = -1;
    }
}


/* with the list locked */

static ngx_int_t
ngx_http_background_list_add(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, u_char sign, ngx_file_info_t *fi,
    ngx_http_background_target_t *target)
{
    u_char                       *p;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t   stamp;

    stamp.size = fi->st_size;
    stamp.sec = fi->st_mtim.tv_sec;
    stamp.nsec = fi->st_mtim.tv_nsec;

    switch (ngx_http_background_table_add(&list->table, sign, &stamp,
                                          &target->path))
    {
    case NGX_ERROR:
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;

    case NGX_DECLINED:
        ngx_http_background_list_fail(list, run, &target->path, 0,
                                      "the path of %s is too long");
        return NGX_ERROR;
    }

    made = ngx_http_background_table_find(&list->table, &target->path);
    made->seen = 1;

    p = ngx_http_background_table_format(list->buffer, sign, &stamp, made);

    return ngx_http_background_list_write(list, run, list->buffer,
                                          p - list->buffer);
}


/* nothing stays of a line that can't be written whole */

static ngx_int_t
ngx_http_background_list_write(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, u_char *buf, size_t len)
{
    u_char     end;
    ssize_t    n;
    ngx_err_t  err;

    if ((off_t) len >= NGX_HTTP_BACKGROUND_TABLE_MAX - list->size) {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name, 0,
                                      NGX_HTTP_BACKGROUND_TABLE_LARGE);
        return NGX_ERROR;
    }

    n = 0;

    if (list->size == 0) {
        n = write(list->fd, NGX_HTTP_BACKGROUND_TABLE_HEADER,
                  sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 1);

        if (n != sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 1) {
            goto failed;
        }

    } else if (pread(list->fd, &end, 1, list->size - 1) != 1) {
        n = -1;
        goto failed;

    } else if (end != '\n') {
        n = write(list->fd, "\n", 1);

        if (n != 1) {
            goto failed;
        }
    }

    n = write(list->fd, buf, len);

    if (n == (ssize_t) len) {
        return NGX_OK;
    }

failed:

    err = (n == -1) ? ngx_errno : ENOSPC;

    if (ftruncate(list->fd, list->size) == -1) {
        ngx_log_error(NGX_LOG_WARN, run->log, ngx_errno,
                      "background task \"%V\": ftruncate() \"%V/%V\" failed",
                      run->task, &list->path, &ngx_http_background_list_name);
    }

    ngx_http_background_list_fail(list, run, &ngx_http_background_list_name,
                                  err, "write() to %s failed");

    return NGX_ERROR;
}


static void
ngx_http_background_list_fail(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_str_t *path, ngx_err_t err,
    const char *fmt)
{
    u_char  text[NGX_HTTP_BACKGROUND_TREE_TEXT];

    ngx_http_background_path_text(text, &list->path, path);
    ngx_http_background_fail(&run->result, err, fmt, text);
}
