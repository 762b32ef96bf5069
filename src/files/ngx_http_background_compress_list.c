
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_compress_check.h"
#include "ngx_http_background_compress_list.h"
#include "ngx_http_background_temp_writer.h"

#include <sys/file.h>


#if (NGX_HTTP_BACKGROUND_TABLE_PATH != NGX_HTTP_BACKGROUND_TREE_PATH)
#error a path of a tree has to fit into the table
#endif


/* the period in which a lock is tried again, in milliseconds */
#define NGX_HTTP_BACKGROUND_LIST_POLL  2


/*
 * "mutex" is held while the file is locked, and "table_mutex" while the table is
 * changed, so either is enough to read the table; lookups of other threads do not
 * wait for the file.
 */

struct ngx_http_background_list_s {
    ngx_thread_mutex_t            mutex;
    ngx_thread_mutex_t            table_mutex;
    ngx_log_t                    *log;

    int                           root;
    ngx_str_t                     path;      /* path of the root */

    int                           fd;
    dev_t                         dev;
    ino_t                         ino;
    ngx_uint_t                    opened;    /* how often the file was opened */
    off_t                         size;      /* size of the file at the last
                                                lock */

    ngx_http_background_table_t   table;
    ngx_uint_t                    parsed;    /* "opened" of the parsed file */
    off_t                         offset;    /* size of the parsed part */
    ngx_uint_t                    changed;   /* the table differs from the
                                                parsed file */

    u_char                        buffer[NGX_HTTP_BACKGROUND_TABLE_LINE];
};


static ngx_int_t ngx_http_background_list_acquire(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static ngx_int_t ngx_http_background_list_trylock(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static ngx_int_t ngx_http_background_list_named(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static void ngx_http_background_list_release(ngx_http_background_list_t *list);
static void ngx_http_background_list_set_current(
    ngx_http_background_list_t *list, ngx_http_background_made_t *made,
    ngx_uint_t current);
static ngx_int_t ngx_http_background_list_open(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static void ngx_http_background_list_close(ngx_http_background_list_t *list);

static ngx_int_t ngx_http_background_list_replaces(
    ngx_http_background_list_t *list, ngx_http_background_target_t *target,
    ngx_uint_t *replace);
static ngx_int_t ngx_http_background_list_add(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run,
    const ngx_http_background_stamp_t *stamp,
    ngx_http_background_target_t *target);
static void ngx_http_background_list_stamp(ngx_http_background_stamp_t *stamp,
    u_char sign, ngx_file_info_t *fi,
    const ngx_http_background_source_t *source);
static void ngx_http_background_list_remark_stamp(
    ngx_http_background_stamp_t *stamp, u_char sign, ngx_file_info_t *fi,
    ngx_file_info_t *source);
static ngx_int_t ngx_http_background_list_write(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    u_char *buf, size_t len);
static ngx_uint_t ngx_http_background_list_whole(
    ngx_http_background_list_t *list);
static void ngx_http_background_list_written(ngx_http_background_list_t *list,
    size_t len);

static ngx_int_t ngx_http_background_list_read(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static void ngx_http_background_list_restart(ngx_http_background_list_t *list);
static ngx_int_t ngx_http_background_list_parse(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_list_examine(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_made_t *made);
static void ngx_http_background_list_target(ngx_http_background_list_t *list,
    ngx_str_t *path, ngx_http_background_target_t *target);
static ngx_int_t ngx_http_background_list_source(
    ngx_http_background_target_t *target, u_char *name, ngx_file_info_t *fi);
static ngx_uint_t ngx_http_background_list_stale(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_target_t *target, ngx_http_background_stamp_t *stamp,
    const struct timespec *time);
static ngx_uint_t ngx_http_background_list_other_content(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_target_t *target, u_char *name,
    ngx_http_background_source_t *source);
static ngx_int_t ngx_http_background_list_rewrite(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_list_fill(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_temp_writer_t *writer);
static ngx_int_t ngx_http_background_list_replace(
    ngx_http_background_list_t *list,
    ngx_http_background_temp_writer_t *writer);
static ngx_int_t ngx_http_background_list_copy(
    ngx_http_background_list_t *list,
    ngx_http_background_temp_writer_t *writer);
static ngx_int_t ngx_http_background_list_sync(
    ngx_http_background_temp_writer_t *writer);

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

    if (ngx_thread_mutex_create(&list->table_mutex, run->log) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        (void) ngx_thread_mutex_destroy(&list->mutex, run->log);
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
    ngx_http_background_target_t *target, ngx_file_info_t *fi,
    ngx_http_background_stamp_t *stamp)
{
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *match;

    (void) ngx_thread_mutex_lock(&list->table_mutex, list->log);

    made = ngx_http_background_table_find(&list->table, &target->path);
    match = NULL;

    if (made) {
        made->seen = 1;

        if (fi) {
            match = ngx_http_background_stamp_match(made->made, fi);
            made->current = (match && match == made->made);
        }
    }

    if (match) {
        *stamp = *match;
    }

    (void) ngx_thread_mutex_unlock(&list->table_mutex, list->log);

    return match != NULL;
}


ngx_uint_t
ngx_http_background_list_poor(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *source,
    ngx_http_background_stamp_t *stamp)
{
    ngx_uint_t                   poor;
    ngx_http_background_made_t  *made;

    (void) ngx_thread_mutex_lock(&list->table_mutex, list->log);

    made = ngx_http_background_table_find(&list->table, &target->path);

    poor = made && made->poor
           && made->poor->size == source->st_size
           && made->poor->sec == source->st_mtim.tv_sec
           && made->poor->nsec == source->st_mtim.tv_nsec;

    if (poor) {
        *stamp = *made->poor;
    }

    (void) ngx_thread_mutex_unlock(&list->table_mutex, list->log);

    return poor;
}


u_char
ngx_http_background_list_other(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *fi,
    ngx_file_info_t *source)
{
    u_char                        sign;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *other;

    (void) ngx_thread_mutex_lock(&list->table_mutex, list->log);

    made = ngx_http_background_table_find(&list->table, &target->path);
    other = made ? made->other : NULL;
    sign = 0;

    if (other && ngx_http_background_stamp_unchanged(other, fi)
        && ngx_http_background_source_same(&other->source, source))
    {
        sign = other->sign;
    }

    (void) ngx_thread_mutex_unlock(&list->table_mutex, list->log);

    return sign;
}


ngx_int_t
ngx_http_background_list_publish(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_http_background_temp_t *temp,
    const ngx_http_background_source_t *source)
{
    ngx_int_t                     rc;
    ngx_uint_t                    replace;
    ngx_file_info_t               fi;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t   stamp;

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

    rc = ngx_http_background_list_replaces(list, target, &replace);

    /*
     * the state of the source is added after publish(): if the process is
     * killed before that, the file may be one of another source
     */

    if (rc == NGX_OK) {
        ngx_http_background_list_stamp(&stamp, '+', &fi, NULL);
        rc = ngx_http_background_list_add(list, run, &stamp, target);
    }

    /* to write the list may have taken long */

    if (rc == NGX_OK && replace) {
        rc = ngx_http_background_list_replaces(list, target, &replace);
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

    if (rc == NGX_OK) {
        ngx_http_background_list_stamp(&stamp, '+', &fi, source);
        rc = ngx_http_background_list_add(list, run, &stamp, target);
    }

    if (rc == NGX_OK) {
        made = ngx_http_background_table_find(&list->table, &target->path);
        ngx_http_background_list_set_current(list, made, 1);
    }

    ngx_http_background_list_release(list);

    return rc;
}


static void
ngx_http_background_list_set_current(ngx_http_background_list_t *list,
    ngx_http_background_made_t *made, ngx_uint_t current)
{
    (void) ngx_thread_mutex_lock(&list->table_mutex, list->log);

    made->current = current;

    (void) ngx_thread_mutex_unlock(&list->table_mutex, list->log);
}


/*
 * Sets whether there is a file that the new one replaces; NGX_DECLINED: it is
 * one of others.
 */

static ngx_int_t
ngx_http_background_list_replaces(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_uint_t *replace)
{
    ngx_file_info_t              fi;
    ngx_http_background_made_t  *made;

    *replace = 0;

    if (fstatat(target->dirfd, (char *) target->name, &fi, AT_SYMLINK_NOFOLLOW)
        == -1)
    {
        return NGX_OK;
    }

    *replace = 1;

    made = ngx_http_background_table_find(&list->table, &target->path);

    return (ngx_is_file(&fi) && made
            && ngx_http_background_stamp_match(made->made, &fi))
           ? NGX_OK
           : NGX_DECLINED;
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

    if (made) {
        ngx_http_background_list_set_current(list, made, 0);
    }

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
    ngx_file_info_t *fi, const ngx_http_background_source_t *source)
{
    ngx_http_background_stamp_t  stamp;

    ngx_http_background_list_stamp(&stamp, '-', fi, source);

    return ngx_http_background_list_confirm(list, run, target, &stamp);
}


ngx_int_t
ngx_http_background_list_confirm(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    const ngx_http_background_stamp_t *stamp)
{
    ngx_int_t  rc;

    rc = ngx_http_background_list_acquire(list, run, 1);

    if (rc == NGX_OK) {
        rc = ngx_http_background_list_add(list, run, stamp, target);
        ngx_http_background_list_release(list);
    }

    return rc;
}


ngx_int_t
ngx_http_background_list_remark(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    u_char sign, ngx_file_info_t *fi, ngx_file_info_t *source)
{
    ngx_int_t                    rc;
    ngx_uint_t                   create;
    ngx_http_background_stamp_t  stamp;

    /* if the list can't be created, files of others must not fail the cycle */

    create = (faccessat(list->root, ".", W_OK, AT_EACCESS) == 0);

    rc = ngx_http_background_list_acquire(list, run, create);

    if (rc == NGX_OK) {
        ngx_http_background_list_remark_stamp(&stamp, sign, fi, source);
        rc = ngx_http_background_list_add(list, run, &stamp, target);
        ngx_http_background_list_release(list);
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
ngx_http_background_list_adopt(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_file_info_t *fi, const ngx_http_background_source_t *source)
{
    ngx_int_t                    rc;
    ngx_file_info_t              now;
    ngx_http_background_stamp_t  stamp;

    rc = ngx_http_background_list_acquire(list, run, 1);

    if (rc != NGX_OK) {
        return rc;
    }

    if (fstatat(target->dirfd, (char *) target->name, &now,
                AT_SYMLINK_NOFOLLOW) == -1
        || ngx_http_background_file_changed(fi, &now))
    {
        rc = NGX_DECLINED;

    } else {
        ngx_http_background_list_stamp(&stamp, '+', fi, source);
        rc = ngx_http_background_list_add(list, run, &stamp, target);
    }

    ngx_http_background_list_release(list);

    return rc;
}


/*
 * The lock is held only to remove a file and to replace the list.  Lines that
 * other processes add meanwhile are copied.
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

        if (made->current) {
            made->made->next = NULL;
            made->other = NULL;

        } else if (ngx_http_background_list_examine(list, run, made)
                   == NGX_ERROR)
        {
            rc = NGX_ERROR;
        }

        for (stamp = made->made; stamp; stamp = stamp->next) {
            lines++;
        }

        lines += (made->poor != NULL) + (made->other != NULL);
    }

    if ((lines != list->table.lines
         || list->table.version == 1
         || list->changed
         || ngx_http_background_table_end(&list->table) != NGX_OK)
        && ngx_http_background_list_rewrite(list, run) == NGX_ERROR)
    {
        rc = NGX_ERROR;
    }

    return rc;
}


/*
 * Parses the new lines, or the whole list if the file was replaced.  Returns
 * NGX_DECLINED if there is no list.  The size was read under the lock, so each
 * line belongs to a file that has its name already.
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
        ngx_http_background_list_restart(list);
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


/* another process may have removed a file and its line */

static void
ngx_http_background_list_restart(ngx_http_background_list_t *list)
{
    ngx_http_background_made_t  *made;

    for (made = ngx_http_background_table_next(&list->table, NULL);
         made;
         made = ngx_http_background_table_next(&list->table, made))
    {
        made->current = 0;
    }

    ngx_http_background_table_restart(&list->table);

    list->parsed = list->opened;
    list->offset = 0;
    list->changed = 0;
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


/*
 * Opens the folder of the file.  The path is changed meanwhile, and restored.
 */

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
 * Keeps at most one stamp of each sort, those of existing files, or all stamps
 * if the folder or the file can't be read.
 */

static ngx_int_t
ngx_http_background_list_examine(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_made_t *made)
{
    u_char                         text[NGX_HTTP_BACKGROUND_PATH_TEXT],
                                   name[NAME_MAX + 1];
    ngx_int_t                      rc;
    ngx_uint_t                     stale;
    struct timespec                time;
    ngx_file_info_t                fi;
    ngx_http_background_stamp_t   *stamp, *other;
    ngx_http_background_target_t   target;

    ngx_http_background_list_target(list, &made->sn.str, &target);

    if (target.dirfd == -1) {

        /* the folder is gone, or a file with this path can't exist */

        if (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR
            || ngx_errno == NGX_ELOOP || ngx_errno == NGX_EXDEV
            || ngx_errno == NGX_ENAMETOOLONG)
        {
            made->made = NULL;
            made->poor = NULL;
            made->other = NULL;
        }

        return NGX_OK;
    }

    rc = NGX_OK;
    stamp = NULL;
    other = NULL;
    ngx_memzero(&time, sizeof(struct timespec));

    if (fstatat(target.dirfd, (char *) target.name, &fi, AT_SYMLINK_NOFOLLOW)
        == 0)
    {
        if (ngx_is_file(&fi)) {
            stamp = ngx_http_background_stamp_match(made->made, &fi);
            other = made->other;
        }

    } else if (ngx_errno != NGX_ENOENT && ngx_errno != NGX_ENAMETOOLONG) {
        (void) ngx_close_file(target.dirfd);
        return NGX_OK;
    }

    if (stamp || (other && !ngx_http_background_stamp_unchanged(other, &fi))) {
        other = NULL;
    }

    if (stamp) {
        time = fi.st_mtim;

    } else if (made->poor) {
        time.tv_sec = made->poor->sec;
        time.tv_nsec = made->poor->nsec;
    }

    stale = !made->seen
            && ngx_http_background_list_stale(list, run, &target,
                                              stamp ? stamp : made->poor,
                                              &time);

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

    if (other && !made->seen
        && ngx_http_background_list_source(&target, name, &fi)
           == NGX_DECLINED)
    {
        other = NULL;
    }

    made->other = other;

    (void) ngx_close_file(target.dirfd);

    return rc;
}


/*
 * Returns NGX_DECLINED if there is no regular file, or NGX_ERROR if that can't
 * be told.
 */

static ngx_int_t
ngx_http_background_list_source(ngx_http_background_target_t *target,
    u_char *name, ngx_file_info_t *fi)
{
    size_t   len;
    u_char  *dot;

    dot = (u_char *) strrchr((char *) target->name, '.');

    if (dot == NULL) {
        return NGX_DECLINED;
    }

    len = dot - target->name;

    if (len > NAME_MAX) {
        return NGX_DECLINED;
    }

    ngx_cpystrn(name, target->name, len + 1);

    if (fstatat(target->dirfd, (char *) name, fi, AT_SYMLINK_NOFOLLOW) == -1) {
        return (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENAMETOOLONG)
               ? NGX_DECLINED
               : NGX_ERROR;
    }

    return ngx_is_file(fi) ? NGX_OK : NGX_DECLINED;
}


/*
 * Whether the source is gone or has changed.  "time" is the time of the source
 * when the file was made.
 */

static ngx_uint_t
ngx_http_background_list_stale(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_http_background_stamp_t *stamp, const struct timespec *time)
{
    u_char           name[NAME_MAX + 1];
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    rc = ngx_http_background_list_source(target, name, &fi);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED;
    }

    if (stamp == NULL
        || fi.st_mtim.tv_sec != time->tv_sec
        || fi.st_mtim.tv_nsec != time->tv_nsec)
    {
        return 1;
    }

    return stamp->source.known
           && !ngx_http_background_source_same(&stamp->source, &fi)
           && ngx_http_background_list_other_content(list, run, target, name,
                                                     &stamp->source);
}


/*
 * Returns 0 if the source can't be read.  If its content is the same, the new
 * state of the source is stored.
 */

static ngx_uint_t
ngx_http_background_list_other_content(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    u_char *name, ngx_http_background_source_t *source)
{
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    fd = openat(target->dirfd, (char *) name,
                NGX_HTTP_BACKGROUND_TREE_OPEN|O_NOFOLLOW);

    if (fd == -1) {
        return 0;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR && ngx_is_file(&fi)) {
        rc = ngx_http_background_source_compare(run, fd, &fi, source);
    }

    if (rc == NGX_OK) {
        ngx_http_background_source_set(source, &fi);
        list->changed = 1;
    }

    (void) ngx_close_file(fd);

    return rc == NGX_DECLINED;
}


static ngx_int_t
ngx_http_background_list_rewrite(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    ngx_int_t                      rc;
    ngx_err_t                      err;
    ngx_http_background_temp_writer_t  *writer;

    writer = ngx_alloc(sizeof(ngx_http_background_temp_writer_t), run->log);
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


/* returns NGX_ERROR with the error in ngx_errno */

static ngx_int_t
ngx_http_background_list_fill(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_temp_writer_t *writer)
{
    u_char                       *p;
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *stamp;

    if (ngx_http_background_temp_writer_open(writer, list->root) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_background_temp_writer_append(writer,
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
            p = ngx_http_background_table_format(list->buffer, stamp, made);
            ngx_http_background_temp_writer_append(writer, list->buffer,
                                              p - list->buffer);
        }

        if (made->poor) {
            p = ngx_http_background_table_format(list->buffer, made->poor,
                                                 made);
            ngx_http_background_temp_writer_append(writer, list->buffer,
                                              p - list->buffer);
        }

        if (made->other) {
            p = ngx_http_background_table_format(list->buffer, made->other,
                                                 made);
            ngx_http_background_temp_writer_append(writer, list->buffer,
                                              p - list->buffer);
        }
    }

    return ngx_http_background_list_sync(writer);
}


/*
 * The list must be locked.  Returns NGX_DECLINED if the file was replaced, or
 * NGX_ERROR with the error in ngx_errno.
 */

static ngx_int_t
ngx_http_background_list_replace(ngx_http_background_list_t *list,
    ngx_http_background_temp_writer_t *writer)
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


/* copies lines that were added after the list was parsed */

static ngx_int_t
ngx_http_background_list_copy(ngx_http_background_list_t *list,
    ngx_http_background_temp_writer_t *writer)
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

        ngx_http_background_temp_writer_append(writer, list->buffer, n);
        list->offset += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_list_sync(ngx_http_background_temp_writer_t *writer)
{
    if (ngx_http_background_temp_writer_flush(writer) != NGX_OK
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

    (void) ngx_thread_mutex_destroy(&list->table_mutex, list->log);
    (void) ngx_thread_mutex_destroy(&list->mutex, list->log);

    ngx_free(list);
}


/*
 * Waits for the lock of the list.  The mutex is locked only while the lock is
 * tried, so a thread that is cancelled does not wait for another thread.  On
 * NGX_OK both are locked.
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
 * Returns NGX_AGAIN if another process has the lock or has replaced the file,
 * or NGX_DECLINED if there is no list and none may be created.
 */

static ngx_int_t
ngx_http_background_list_trylock(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_uint_t create)
{
    ngx_int_t  rc;

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

    rc = ngx_http_background_list_named(list, run);

    if (rc != NGX_OK) {
        ngx_http_background_list_close(list);
    }

    return rc;
}


/*
 * Sets the size of the list.  Returns NGX_AGAIN if the open file does not have
 * the name of the list any more.
 */

static ngx_int_t
ngx_http_background_list_named(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    ngx_file_info_t  fi;

    if (fstatat(list->root, NGX_HTTP_BACKGROUND_COMPRESS_LIST, &fi,
                AT_SYMLINK_NOFOLLOW)
        == -1)
    {
        if (ngx_errno == NGX_ENOENT) {
            return NGX_AGAIN;
        }

        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name,
                                      ngx_errno, "fstatat() %s failed");
        return NGX_ERROR;
    }

    if (fi.st_ino != list->ino || fi.st_dev != list->dev) {
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

        /* lines of the list cause files to be removed */

        fmt = "%s belongs to another user than the worker";

    } else {
        list->dev = fi.st_dev;
        list->ino = fi.st_ino;
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


/* the list must be locked */

static ngx_int_t
ngx_http_background_list_add(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, const ngx_http_background_stamp_t *stamp,
    ngx_http_background_target_t *target)
{
    u_char                      *p;
    ngx_int_t                    rc;
    ngx_http_background_made_t  *made;

    made = NULL;

    (void) ngx_thread_mutex_lock(&list->table_mutex, list->log);

    rc = ngx_http_background_table_add(&list->table, stamp, &target->path);

    if (rc == NGX_OK) {
        made = ngx_http_background_table_find(&list->table, &target->path);
        made->seen = 1;
    }

    (void) ngx_thread_mutex_unlock(&list->table_mutex, list->log);

    if (rc == NGX_ERROR) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_background_list_fail(list, run, &target->path, 0,
                                      "the path of %s is too long");
        return NGX_ERROR;
    }

    p = ngx_http_background_table_format(list->buffer, stamp, made);

    return ngx_http_background_list_write(list, run, list->buffer,
                                          p - list->buffer);
}


/* "source" may be NULL */

static void
ngx_http_background_list_stamp(ngx_http_background_stamp_t *stamp,
    u_char sign, ngx_file_info_t *fi,
    const ngx_http_background_source_t *source)
{
    ngx_memzero(stamp, sizeof(ngx_http_background_stamp_t));

    stamp->sign = sign;
    stamp->size = fi->st_size;
    stamp->sec = fi->st_mtim.tv_sec;
    stamp->nsec = fi->st_mtim.tv_nsec;

    if (source) {
        stamp->source = *source;
    }
}


static void
ngx_http_background_list_remark_stamp(ngx_http_background_stamp_t *stamp,
    u_char sign, ngx_file_info_t *fi, ngx_file_info_t *source)
{
    ngx_memzero(stamp, sizeof(ngx_http_background_stamp_t));

    stamp->sign = sign;
    stamp->size = fi->st_size;
    stamp->sec = fi->st_ctim.tv_sec;
    stamp->nsec = fi->st_ctim.tv_nsec;

    ngx_http_background_source_set(&stamp->source, source);
}


/* a line that can't be written completely is removed again */

static ngx_int_t
ngx_http_background_list_write(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, u_char *buf, size_t len)
{
    off_t      size;
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
    end = '\n';
    size = list->size + len;

    if (list->size == 0) {
        n = write(list->fd, NGX_HTTP_BACKGROUND_TABLE_HEADER,
                  sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 1);

        if (n != sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 1) {
            goto failed;
        }

        size += n;

    } else if (!ngx_http_background_list_whole(list)
               && pread(list->fd, &end, 1, list->size - 1) != 1)
    {
        n = -1;
        goto failed;
    }

    if (end != '\n') {
        n = write(list->fd, "\n", 1);

        if (n != 1) {
            goto failed;
        }

        size += n;
    }

    n = write(list->fd, buf, len);

    if (n == (ssize_t) len) {
        ngx_http_background_list_written(list, len);
        list->size = size;
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


/* whether all lines were parsed, and the last one is complete */

static ngx_uint_t
ngx_http_background_list_whole(ngx_http_background_list_t *list)
{
    return list->opened == list->parsed
           && list->offset == list->size
           && list->table.version != 0
           && ngx_http_background_table_end(&list->table) == NGX_OK;
}


/*
 * Called before the new size is set.  The lines of this process are in the
 * table already and are not parsed, unless another process has added lines
 * before them.
 */

static void
ngx_http_background_list_written(ngx_http_background_list_t *list, size_t len)
{
    if (list->size == 0) {
        (void) ngx_thread_mutex_lock(&list->table_mutex, list->log);
        ngx_http_background_list_restart(list);
        (void) ngx_thread_mutex_unlock(&list->table_mutex, list->log);

        list->offset = sizeof(NGX_HTTP_BACKGROUND_TABLE_HEADER) - 1;

        (void) ngx_http_background_table_parse(&list->table,
                                  (u_char *) NGX_HTTP_BACKGROUND_TABLE_HEADER,
                                  list->offset);

    } else if (!ngx_http_background_list_whole(list)) {
        return;
    }

    ngx_http_background_table_skip(&list->table, len);
    list->offset += len;
}


static void
ngx_http_background_list_fail(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_str_t *path, ngx_err_t err,
    const char *fmt)
{
    ngx_http_background_fail_path(&run->result, &list->path, path, err, fmt);
}
