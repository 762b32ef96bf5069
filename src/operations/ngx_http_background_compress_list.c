
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_compress_list.h"

#include <sys/file.h>


#define NGX_HTTP_BACKGROUND_LIST_HEADER  "# ngx_http_background_compress 1\n"

/* a line without its path */
#define NGX_HTTP_BACKGROUND_LIST_LINE                                        \
    (sizeof("+ -.- \n") + 3 * NGX_INT64_LEN)

#define NGX_HTTP_BACKGROUND_LIST_BUFFER  65536

/* how long to wait for another's lock to go, in milliseconds */
#define NGX_HTTP_BACKGROUND_LIST_POLL    2


typedef struct ngx_http_background_stamp_s  ngx_http_background_stamp_t;

struct ngx_http_background_stamp_s {
    off_t                         size;
    time_t                        sec;
    long                          nsec;
    ngx_http_background_stamp_t  *next;
};


typedef struct {
    ngx_str_node_t                sn;
    ngx_http_background_stamp_t  *made;      /* the newest first */
    ngx_http_background_stamp_t  *poor;
    ngx_uint_t                    seen;
} ngx_http_background_made_t;


typedef struct {
    ngx_pool_t                   *pool;
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;
    ngx_uint_t                    lines;
} ngx_http_background_table_t;


struct ngx_http_background_list_s {
    ngx_thread_mutex_t            mutex;
    ngx_log_t                    *log;

    int                           root;
    ngx_str_t                     path;      /* of the root */

    int                           fd;
    ngx_http_background_table_t   table;
};


static ngx_int_t ngx_http_background_list_open(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static ngx_int_t ngx_http_background_list_lock(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_uint_t create);
static void ngx_http_background_list_unlock(ngx_http_background_list_t *list);
static void ngx_http_background_list_close(ngx_http_background_list_t *list);
static ngx_int_t ngx_http_background_list_add(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, u_char sign, ngx_file_info_t *fi,
    ngx_str_t *path);
static ngx_int_t ngx_http_background_list_unlink(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_target_t *target);
static ngx_int_t ngx_http_background_list_write(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    u_char *buf, size_t len);
static void ngx_http_background_list_fail(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_str_t *path, ngx_err_t err,
    const char *fmt);

static ngx_int_t ngx_http_background_list_examine(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_made_t *made);
static void ngx_http_background_list_target(ngx_http_background_list_t *list,
    ngx_str_t *path, ngx_http_background_target_t *target);
static ngx_uint_t ngx_http_background_list_stale(
    ngx_http_background_made_t *made, ngx_http_background_target_t *target,
    ngx_file_info_t *fi);
static ngx_int_t ngx_http_background_list_rewrite(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_http_background_table_t *table);

static ngx_int_t ngx_http_background_table_read(
    ngx_http_background_table_t *table, ngx_http_background_run_t *run,
    ngx_http_background_list_t *list);
static ngx_int_t ngx_http_background_list_read(
    ngx_http_background_list_t *list, ngx_http_background_run_t *run,
    ngx_str_t *text);
static ngx_int_t ngx_http_background_table_parse(
    ngx_http_background_table_t *table, ngx_http_background_run_t *run,
    ngx_http_background_list_t *list, ngx_str_t *text);
static ngx_int_t ngx_http_background_table_line(
    ngx_http_background_table_t *table, u_char *p, u_char *last);
static ngx_http_background_made_t *ngx_http_background_table_find(
    ngx_http_background_table_t *table, ngx_str_t *path);
static ngx_int_t ngx_http_background_table_insert(
    ngx_http_background_table_t *table, u_char sign,
    ngx_http_background_stamp_t *stamp, ngx_str_t *path);
static ngx_http_background_stamp_t *ngx_http_background_stamp_find(
    ngx_http_background_stamp_t *stamp, ngx_file_info_t *fi);
static u_char *ngx_http_background_stamp_format(u_char *p, u_char sign,
    ngx_http_background_stamp_t *stamp, ngx_str_t *path);


static ngx_str_t  ngx_http_background_list_name =
    ngx_string(NGX_HTTP_BACKGROUND_COMPRESS_LIST);


ngx_http_background_list_t *
ngx_http_background_list_create(ngx_http_background_run_t *run, int root,
    ngx_str_t *path)
{
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

    if (ngx_http_background_list_open(list, run, 0) == NGX_ERROR
        || ngx_http_background_table_read(&list->table, run, list) != NGX_OK)
    {
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
        owns = fi && ngx_http_background_stamp_find(made->made, fi) != NULL;
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

    (void) ngx_thread_mutex_lock(&list->mutex, list->log);

    rc = ngx_http_background_list_lock(list, run, 1);

    if (rc != NGX_OK) {
        goto done;
    }

    replace = 0;

    if (fstatat(target->dirfd, (char *) target->name, &old,
                AT_SYMLINK_NOFOLLOW)
        == 0)
    {
        made = ngx_http_background_table_find(&list->table, &target->path);
        replace = 1;

        if (!ngx_is_file(&old) || made == NULL
            || ngx_http_background_stamp_find(made->made, &old) == NULL)
        {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_background_list_add(list, run, '+', &fi, &target->path);
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

    ngx_http_background_list_unlock(list);

done:

    (void) ngx_thread_mutex_unlock(&list->mutex, list->log);

    return rc;
}


ngx_int_t
ngx_http_background_list_remove(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target)
{
    ngx_int_t                    rc;
    ngx_file_info_t              fi;
    ngx_http_background_made_t  *made;

    (void) ngx_thread_mutex_lock(&list->mutex, list->log);

    rc = ngx_http_background_list_lock(list, run, 0);

    if (rc != NGX_OK) {
        goto done;
    }

    made = ngx_http_background_table_find(&list->table, &target->path);

    if (made
        && fstatat(target->dirfd, (char *) target->name, &fi,
                   AT_SYMLINK_NOFOLLOW) == 0
        && ngx_is_file(&fi)
        && ngx_http_background_stamp_find(made->made, &fi))
    {
        rc = ngx_http_background_list_unlink(list, run, target);
    }

    ngx_http_background_list_unlock(list);

done:

    (void) ngx_thread_mutex_unlock(&list->mutex, list->log);

    return rc;
}


ngx_int_t
ngx_http_background_list_spare(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_file_info_t *source)
{
    ngx_int_t  rc;

    (void) ngx_thread_mutex_lock(&list->mutex, list->log);

    rc = ngx_http_background_list_lock(list, run, 1);

    if (rc == NGX_OK) {
        rc = ngx_http_background_list_add(list, run, '-', source,
                                          &target->path);
        ngx_http_background_list_unlock(list);
    }

    (void) ngx_thread_mutex_unlock(&list->mutex, list->log);

    return rc;
}


/*
 * With the list locked all the time.  What is in it is read anew: others may
 * have added to it.
 */

ngx_int_t
ngx_http_background_list_prune(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run)
{
    ngx_int_t                     rc;
    ngx_uint_t                    lines;
    ngx_rbtree_node_t            *node;
    ngx_http_background_made_t   *made, *known;
    ngx_http_background_table_t   table;

    rc = ngx_http_background_list_lock(list, run, 0);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    rc = ngx_http_background_table_read(&table, run, list);

    if (rc != NGX_OK) {
        ngx_http_background_list_unlock(list);
        return rc;
    }

    lines = 0;
    node = table.rbtree.root;

    if (node != &table.sentinel) {

        for (node = ngx_rbtree_min(node, &table.sentinel);
             node;
             node = ngx_rbtree_next(&table.rbtree, node))
        {
            if (ngx_http_background_cancelled(run)) {
                goto done;
            }

            made = (ngx_http_background_made_t *) node;
            known = ngx_http_background_table_find(&list->table,
                                                   &made->sn.str);

            made->seen = known && known->seen;

            if (ngx_http_background_list_examine(list, run, made) != NGX_OK) {
                rc = NGX_ERROR;
            }

            lines += (made->made != NULL) + (made->poor != NULL);
        }
    }

    if (lines != table.lines) {
        rc = ngx_http_background_list_rewrite(list, run, &table);
    }

done:

    ngx_http_background_list_unlock(list);
    ngx_destroy_pool(table.pool);

    return rc;
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


/* leaves no more than one stamp of each sort, of what is there */

static ngx_int_t
ngx_http_background_list_examine(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_made_t *made)
{
    ngx_int_t                      rc;
    ngx_uint_t                     stale;
    ngx_file_info_t                fi;
    ngx_http_background_stamp_t   *stamp;
    ngx_http_background_target_t   target;

    ngx_http_background_list_target(list, &made->sn.str, &target);

    if (target.dirfd == -1) {

        /* the folder is gone */

        if (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR
            || ngx_errno == NGX_ELOOP || ngx_errno == NGX_EXDEV)
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
                ? ngx_http_background_stamp_find(made->made, &fi) : NULL;

    } else if (ngx_errno != NGX_ENOENT) {
        stamp = made->made;
        made->seen = 1;
    }

    stale = !made->seen
            && ngx_http_background_list_stale(made, &target,
                                              stamp ? &fi : NULL);

    if (stale && stamp) {
        rc = ngx_http_background_list_unlink(list, run, &target);

        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_INFO, run->log, 0,
                          "background task \"%V\": removed \"%V\", its "
                          "source is gone or has changed",
                          run->task, &target.path);
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
        return ngx_errno == NGX_ENOENT;
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
    ngx_http_background_run_t *run, ngx_http_background_table_t *table)
{
    size_t                       size;
    u_char                      *buf, *p, *last;
    ngx_err_t                    err;
    ngx_rbtree_node_t           *node;
    ngx_http_background_made_t  *made;
    ngx_http_background_temp_t   temp;

    buf = ngx_alloc(NGX_HTTP_BACKGROUND_LIST_BUFFER, run->log);
    if (buf == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    last = buf + NGX_HTTP_BACKGROUND_LIST_BUFFER;

    if (ngx_http_background_temp_create(&temp, list->root) != NGX_OK) {
        goto failed;
    }

    p = ngx_cpymem(buf, NGX_HTTP_BACKGROUND_LIST_HEADER,
                   sizeof(NGX_HTTP_BACKGROUND_LIST_HEADER) - 1);

    node = (table->rbtree.root == &table->sentinel)
           ? NULL
           : ngx_rbtree_min(table->rbtree.root, &table->sentinel);

    for ( /* void */ ; node; node = ngx_rbtree_next(&table->rbtree, node)) {

        made = (ngx_http_background_made_t *) node;

        size = 2 * (NGX_HTTP_BACKGROUND_LIST_LINE + 2 * made->sn.str.len);

        if ((size_t) (last - p) < size) {
            if (ngx_http_background_temp_write(&temp, buf, p - buf) != NGX_OK)
            {
                goto failed;
            }

            p = buf;
        }

        if (made->made) {
            p = ngx_http_background_stamp_format(p, '+', made->made,
                                                 &made->sn.str);
        }

        if (made->poor) {
            p = ngx_http_background_stamp_format(p, '-', made->poor,
                                                 &made->sn.str);
        }
    }

    if (ngx_http_background_temp_write(&temp, buf, p - buf) != NGX_OK
        || fsync(temp.fd) == -1
        || ngx_http_background_temp_publish(&temp,
                                      ngx_http_background_list_name.data, 1)
           != NGX_OK)
    {
        goto failed;
    }

    ngx_free(buf);

    return NGX_OK;

failed:

    err = ngx_errno;

    ngx_http_background_temp_discard(&temp);
    ngx_free(buf);

    ngx_http_background_list_fail(list, run, &ngx_http_background_list_name,
                                  err, "writing %s anew failed");
    return NGX_ERROR;
}


void
ngx_http_background_list_destroy(ngx_http_background_list_t *list)
{
    ngx_http_background_list_close(list);

    if (list->table.pool) {
        ngx_destroy_pool(list->table.pool);
    }

    (void) ngx_thread_mutex_destroy(&list->mutex, list->log);

    ngx_free(list);
}


static ngx_int_t
ngx_http_background_list_open(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_uint_t create)
{
    ngx_file_info_t  fi;

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

    if (ngx_fd_info(list->fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name,
                                      ngx_errno, ngx_fd_info_n " %s failed");

    } else if (!ngx_is_file(&fi)) {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name, 0,
                                      "%s is no regular file");

    } else {
        return NGX_OK;
    }

    ngx_http_background_list_close(list);

    return NGX_ERROR;
}


/* of the file that has the name now: another process may have written it */

static ngx_int_t
ngx_http_background_list_lock(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_uint_t create)
{
    ngx_int_t        rc;
    ngx_file_info_t  fi, named;

    for ( ;; ) {

        if (list->fd == -1) {
            rc = ngx_http_background_list_open(list, run, create);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (flock(list->fd, LOCK_EX|LOCK_NB) == -1) {

            if (ngx_errno == NGX_EAGAIN) {
                if (ngx_http_background_cancelled(run)) {
                    return NGX_ABORT;
                }

                ngx_msleep(NGX_HTTP_BACKGROUND_LIST_POLL);
                continue;
            }

            ngx_http_background_list_fail(list, run,
                                          &ngx_http_background_list_name,
                                          ngx_errno, "flock() %s failed");
            return NGX_ERROR;
        }

        if (ngx_fd_info(list->fd, &fi) != NGX_FILE_ERROR
            && fstatat(list->root, NGX_HTTP_BACKGROUND_COMPRESS_LIST, &named,
                       AT_SYMLINK_NOFOLLOW) == 0
            && fi.st_ino == named.st_ino && fi.st_dev == named.st_dev)
        {
            return NGX_OK;
        }

        ngx_http_background_list_close(list);
    }
}


static void
ngx_http_background_list_unlock(ngx_http_background_list_t *list)
{
    (void) flock(list->fd, LOCK_UN);
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
    ngx_str_t *path)
{
    u_char                       *buf, *p;
    ngx_int_t                     rc;
    ngx_http_background_stamp_t   stamp;

    stamp.size = fi->st_size;
    stamp.sec = fi->st_mtim.tv_sec;
    stamp.nsec = fi->st_mtim.tv_nsec;
    stamp.next = NULL;

    buf = ngx_alloc(NGX_HTTP_BACKGROUND_LIST_LINE + 2 * path->len, run->log);

    if (buf == NULL
        || ngx_http_background_table_insert(&list->table, sign, &stamp, path)
           != NGX_OK)
    {
        if (buf) {
            ngx_free(buf);
        }

        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    ngx_http_background_table_find(&list->table, path)->seen = 1;

    p = ngx_http_background_stamp_format(buf, sign, &stamp, path);

    rc = ngx_http_background_list_write(list, run, buf, p - buf);

    ngx_free(buf);

    return rc;
}


static ngx_int_t
ngx_http_background_list_unlink(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target)
{
    if (unlinkat(target->dirfd, (char *) target->name, 0) == -1
        && ngx_errno != NGX_ENOENT)
    {
        ngx_http_background_list_fail(list, run, &target->path, ngx_errno,
                                      "unlink() %s failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* nothing stays of a line that can't be written whole */

static ngx_int_t
ngx_http_background_list_write(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, u_char *buf, size_t len)
{
    off_t      size;
    u_char     end;
    ssize_t    n;
    ngx_err_t  err;

    size = lseek(list->fd, 0, SEEK_END);

    if (size == 0) {
        n = write(list->fd, NGX_HTTP_BACKGROUND_LIST_HEADER,
                  sizeof(NGX_HTTP_BACKGROUND_LIST_HEADER) - 1);

        if (n != sizeof(NGX_HTTP_BACKGROUND_LIST_HEADER) - 1) {
            goto failed;
        }

    } else if (size == -1 || pread(list->fd, &end, 1, size - 1) != 1) {
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

    if (size >= 0 && ftruncate(list->fd, size) == -1) {
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


/* a table is of use only if that was NGX_OK */

static ngx_int_t
ngx_http_background_table_read(ngx_http_background_table_t *table,
    ngx_http_background_run_t *run, ngx_http_background_list_t *list)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    ngx_memzero(table, sizeof(ngx_http_background_table_t));

    ngx_rbtree_init(&table->rbtree, &table->sentinel,
                    ngx_str_rbtree_insert_value);

    table->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, run->log);
    if (table->pool == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    if (list->fd == -1) {
        return NGX_OK;
    }

    rc = ngx_http_background_list_read(list, run, &text);

    if (rc == NGX_OK) {
        rc = ngx_http_background_table_parse(table, run, list, &text);
        ngx_free(text.data);
    }

    if (rc != NGX_OK) {
        ngx_destroy_pool(table->pool);
        table->pool = NULL;
    }

    return rc;
}


/* what others add meanwhile is left out, and so is the rest when cancelled */

static ngx_int_t
ngx_http_background_list_read(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_str_t *text)
{
    size_t           size;
    ssize_t          n;
    ngx_file_info_t  fi;

    if (ngx_fd_info(list->fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name,
                                      ngx_errno, ngx_fd_info_n " %s failed");
        return NGX_ERROR;
    }

    size = ngx_file_size(&fi);

    text->data = ngx_alloc(size + 1, run->log);
    if (text->data == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    for (text->len = 0; text->len < size; text->len += n) {
        n = pread(list->fd, text->data + text->len,
                  ngx_min(size - text->len, NGX_HTTP_BACKGROUND_LIST_BUFFER),
                  text->len);

        if (n == -1) {
            ngx_http_background_list_fail(list, run,
                                          &ngx_http_background_list_name,
                                          ngx_errno, "read() %s failed");
            ngx_free(text->data);
            return NGX_ERROR;
        }

        if (n == 0 || ngx_http_background_cancelled(run)) {
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_table_parse(ngx_http_background_table_t *table,
    ngx_http_background_run_t *run, ngx_http_background_list_t *list,
    ngx_str_t *text)
{
    u_char  *p, *pos, *last;

    if (text->len
        && (text->len < sizeof(NGX_HTTP_BACKGROUND_LIST_HEADER) - 1
            || ngx_memcmp(text->data, NGX_HTTP_BACKGROUND_LIST_HEADER,
                          sizeof(NGX_HTTP_BACKGROUND_LIST_HEADER) - 1) != 0))
    {
        ngx_http_background_list_fail(list, run,
                                      &ngx_http_background_list_name, 0,
                                      "%s is no list of this module");
        return NGX_ERROR;
    }

    last = text->data + text->len;

    /* a last line without an end was never written whole */

    for (pos = text->data; pos < last; pos = p + 1) {
        p = ngx_strlchr(pos, last, '\n');

        if (p == NULL) {
            break;
        }

        if (ngx_http_background_table_line(table, pos, p) == NGX_ERROR) {
            ngx_http_background_fail(&run->result, 0, "no memory");
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what is no line of ours is dropped when the list is written anew */

static ngx_int_t
ngx_http_background_table_line(ngx_http_background_table_t *table, u_char *p,
    u_char *last)
{
    u_char                       *q, *r, sign;
    ngx_str_t                     path;
    ngx_http_background_stamp_t   stamp;

    sign = *p;

    if (sign == '#') {
        return NGX_OK;
    }

    table->lines++;

    if (last - p < 4 || (sign != '+' && sign != '-') || p[1] != ' ') {
        return NGX_DECLINED;
    }

    p += 2;
    q = ngx_strlchr(p, last, ' ');

    if (q == NULL) {
        return NGX_DECLINED;
    }

    stamp.size = ngx_atoof(p, q - p);

    p = q + 1;
    q = ngx_strlchr(p, last, '.');
    r = q ? ngx_strlchr(q, last, ' ') : NULL;

    if (r == NULL || r + 1 == last) {
        return NGX_DECLINED;
    }

    stamp.sec = (*p == '-') ? -ngx_atotm(p + 1, q - p - 1)
                            : ngx_atotm(p, q - p);
    stamp.nsec = ngx_atoi(q + 1, r - q - 1);
    stamp.next = NULL;

    path.data = r + 1;

    for (p = q = path.data; p < last; p++) {

        if (*p == '\\' && p + 1 < last) {
            p++;
            *q++ = (*p == 'n') ? '\n' : *p;
            continue;
        }

        *q++ = *p;
    }

    path.len = q - path.data;

    return ngx_http_background_table_insert(table, sign, &stamp, &path);
}


static ngx_http_background_made_t *
ngx_http_background_table_find(ngx_http_background_table_t *table,
    ngx_str_t *path)
{
    return (ngx_http_background_made_t *)
               ngx_str_rbtree_lookup(&table->rbtree, path,
                                     ngx_crc32_long(path->data, path->len));
}


static ngx_int_t
ngx_http_background_table_insert(ngx_http_background_table_t *table,
    u_char sign, ngx_http_background_stamp_t *stamp, ngx_str_t *path)
{
    ngx_http_background_made_t   *made;
    ngx_http_background_stamp_t  *s;

    s = ngx_palloc(table->pool, sizeof(ngx_http_background_stamp_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    *s = *stamp;

    made = ngx_http_background_table_find(table, path);

    if (made == NULL) {
        made = ngx_pcalloc(table->pool, sizeof(ngx_http_background_made_t));
        if (made == NULL) {
            return NGX_ERROR;
        }

        made->sn.str.data = ngx_pnalloc(table->pool, path->len + 1);
        if (made->sn.str.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(made->sn.str.data, path->data, path->len);
        made->sn.str.data[path->len] = '\0';
        made->sn.str.len = path->len;

        made->sn.node.key = ngx_crc32_long(path->data, path->len);

        ngx_rbtree_insert(&table->rbtree, &made->sn.node);
    }

    if (sign == '+') {
        s->next = made->made;
        made->made = s;

    } else {
        made->poor = s;
    }

    return NGX_OK;
}


/* an empty one is what a crash of the machine may leave of ours */

static ngx_http_background_stamp_t *
ngx_http_background_stamp_find(ngx_http_background_stamp_t *stamp,
    ngx_file_info_t *fi)
{
    for ( /* void */ ; stamp; stamp = stamp->next) {

        if (stamp->sec == fi->st_mtim.tv_sec
            && (stamp->size == fi->st_size || fi->st_size == 0))
        {
            return stamp;
        }
    }

    return NULL;
}


static u_char *
ngx_http_background_stamp_format(u_char *p, u_char sign,
    ngx_http_background_stamp_t *stamp, ngx_str_t *path)
{
    size_t  i;
    u_char  ch;

    p = ngx_sprintf(p, "%c %O %T.%09L ", sign, stamp->size, stamp->sec,
                    (int64_t) stamp->nsec);

    for (i = 0; i < path->len; i++) {
        ch = path->data[i];

        if (ch == '\\' || ch == '\n') {
            *p++ = '\\';
            ch = (ch == '\n') ? 'n' : ch;
        }

        *p++ = ch;
    }

    *p++ = '\n';

    return p;
}
