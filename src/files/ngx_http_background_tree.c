
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_tree.h"
#include "ngx_http_background_job.h"

#include <dirent.h>
#include <sys/syscall.h>


/* not all distributions ship linux/openat2.h */
#define NGX_HTTP_BACKGROUND_RESOLVE_NO_SYMLINKS  0x04
#define NGX_HTTP_BACKGROUND_RESOLVE_BENEATH      0x08

#define NGX_HTTP_BACKGROUND_TREE_POOL            4096


typedef struct {
    uint64_t                     flags;
    uint64_t                     mode;
    uint64_t                     resolve;
} ngx_http_background_open_how_t;


typedef struct {
    uint8_t                      len;
    uint8_t                      dir;
    u_char                       name[1];
} ngx_http_background_entry_t;


struct ngx_http_background_tree_s {
    ngx_thread_mutex_t           mutex;
    ngx_thread_cond_t            cond;
    ngx_log_t                   *log;
    ngx_str_t                   *task;

    ngx_str_t                    root;
    int                          fd;         /* descriptor of the root */
    ngx_uint_t                   quiet;      /* unsigned quiet:1;
                                                ..._TREE_QUIET */
    ngx_uint_t                   gone;       /* unsigned gone:1;
                                                ..._TREE_GONE */

    /* under the mutex */
    ngx_queue_t                  dirs;       /* all open directories */
    ngx_http_background_dir_t   *top;
    uint64_t                     number;

    unsigned                     single:1;   /* the root is a file */
    unsigned                     entering:1; /* a thread reads a directory and
                                                uses "top" and "path" */

    ngx_str_t                    path;       /* path of "top" */
};


static ngx_http_background_entry_t *ngx_http_background_tree_entry(
    ngx_http_background_tree_t *tree);
static void ngx_http_background_tree_enter(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_entry_t *entry);
static ngx_http_background_dir_t *ngx_http_background_tree_dir(
    ngx_http_background_tree_t *tree, ngx_http_background_run_t *run,
    ngx_http_background_entry_t *entry);
static void ngx_http_background_tree_hand_out(ngx_http_background_tree_t *tree,
    ngx_http_background_entry_t *entry, ngx_http_background_file_t *file);

static ngx_http_background_dir_t *ngx_http_background_dir_open(
    ngx_http_background_tree_t *tree, ngx_http_background_run_t *run, int fd,
    ngx_file_info_t *fi);
static void ngx_http_background_dir_read(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_dir_t *dir);
static ngx_uint_t ngx_http_background_dir_stopped(
    ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_dir_add(ngx_http_background_dir_t *dir,
    struct dirent *de);
static void ngx_http_background_dir_release(ngx_http_background_tree_t *tree,
    ngx_http_background_dir_t *dir);
static void ngx_http_background_dir_close(ngx_http_background_tree_t *tree,
    ngx_http_background_dir_t *dir);
static int ngx_libc_cdecl ngx_http_background_entry_cmp(const void *one,
    const void *two);

static int ngx_http_background_open_parts(int dirfd, u_char *path, int flags);


ngx_int_t
ngx_http_background_tree_abi(ngx_conf_t *cf, uint64_t abi)
{
    return ngx_http_background_conf_abi(cf, abi, NGX_HTTP_BACKGROUND_TREE_ABI);
}


ngx_int_t
ngx_http_background_tree_path(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *path, ngx_file_info_t *fi)
{
    if (path->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty path in \"%V\" directive", &cmd->name);
        return NGX_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, path, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_background_conf_path(cf, path);

    return (ngx_file_info(path->data, fi) == NGX_FILE_ERROR) ? NGX_DECLINED
                                                             : NGX_OK;
}


ngx_http_background_tree_t *
ngx_http_background_tree_create(ngx_http_background_run_t *run,
    ngx_str_t *root, ngx_uint_t flags)
{
    int                          fd;
    ngx_file_info_t              fi;
    ngx_http_background_tree_t  *tree;

    tree = ngx_calloc(sizeof(ngx_http_background_tree_t)
                      + NGX_HTTP_BACKGROUND_TREE_PATH, run->log);
    if (tree == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NULL;
    }

    if (ngx_thread_mutex_create(&tree->mutex, run->log) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        ngx_free(tree);
        return NULL;
    }

    if (ngx_thread_cond_create(&tree->cond, run->log) != NGX_OK) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        (void) ngx_thread_mutex_destroy(&tree->mutex, run->log);
        ngx_free(tree);
        return NULL;
    }

    tree->log = run->log;
    tree->task = run->task;
    tree->root = *root;
    tree->path.data = (u_char *) tree + sizeof(ngx_http_background_tree_t);
    ngx_queue_init(&tree->dirs);

    tree->fd = open((char *) root->data, NGX_HTTP_BACKGROUND_TREE_OPEN);

    if (tree->fd == -1) {
        ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                      "open() %s failed");
        goto failed;
    }

    if (ngx_fd_info(tree->fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                      ngx_fd_info_n " %s failed");
        goto failed;
    }

    if (ngx_is_dir(&fi)) {
        fd = fcntl(tree->fd, F_DUPFD_CLOEXEC, 0);

        if (fd == -1) {
            ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                          "fcntl() %s failed");
            goto failed;
        }

        tree->quiet = ((flags & NGX_HTTP_BACKGROUND_TREE_QUIET) != 0);
        tree->gone = ((flags & NGX_HTTP_BACKGROUND_TREE_GONE) != 0);
        tree->top = ngx_http_background_dir_open(tree, run, fd, &fi);

    } else if (ngx_is_file(&fi)) {
        tree->single = 1;

    } else {
        ngx_http_background_tree_fail(tree, run, NULL, 0,
                                      "%s is neither file nor directory");
        goto failed;
    }

    return tree;

failed:

    ngx_http_background_tree_destroy(tree);

    return NULL;
}


ngx_http_background_file_t *
ngx_http_background_tree_file(ngx_http_background_run_t *run)
{
    ngx_http_background_file_t  *file;

    file = ngx_pcalloc(run->pool, sizeof(ngx_http_background_file_t));
    if (file == NULL) {
        return NULL;
    }

    file->path.data = ngx_pnalloc(run->pool, NGX_HTTP_BACKGROUND_TREE_PATH);
    if (file->path.data == NULL) {
        return NULL;
    }

    return file;
}


ngx_int_t
ngx_http_background_tree_next(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_file_t *file)
{
    ngx_int_t                     rc;
    ngx_uint_t                    stop;
    ngx_http_background_entry_t  *entry;

    do {

        /* may wait for a slot; no other thread waits for this one here */

        stop = ngx_http_background_cancelled(run);

        (void) ngx_thread_mutex_lock(&tree->mutex, run->log);

        if (file->dir) {
            ngx_http_background_dir_release(tree, file->dir);
            file->dir = NULL;
        }

        while (tree->entering) {
            (void) ngx_thread_cond_wait(&tree->cond, &tree->mutex, run->log);
        }

        entry = stop ? NULL : ngx_http_background_tree_entry(tree);

        if (stop || (entry == NULL && !tree->single)) {
            rc = NGX_DONE;

        } else if (entry == NULL || !entry->dir) {
            ngx_http_background_tree_hand_out(tree, entry, file);
            rc = NGX_OK;

        } else {
            ngx_http_background_tree_enter(tree, run, entry);
            rc = NGX_AGAIN;
        }

        (void) ngx_thread_mutex_unlock(&tree->mutex, run->log);

    } while (rc == NGX_AGAIN);

    return rc;
}


/*
 * Returns the next entry of the tree.  Closes directories without further
 * entries.
 */

static ngx_http_background_entry_t *
ngx_http_background_tree_entry(ngx_http_background_tree_t *tree)
{
    ngx_http_background_dir_t     *dir;
    ngx_http_background_entry_t  **entries;

    while (tree->top) {
        dir = tree->top;

        if (dir->next < dir->entries.nelts) {
            entries = dir->entries.elts;
            return entries[dir->next++];
        }

        tree->top = dir->parent;

        if (tree->top) {
            tree->path.len = tree->top->len;
        }

        ngx_http_background_dir_release(tree, dir);
    }

    return NULL;
}


static void
ngx_http_background_tree_hand_out(ngx_http_background_tree_t *tree,
    ngx_http_background_entry_t *entry, ngx_http_background_file_t *file)
{
    u_char  *p;

    p = ngx_cpymem(file->path.data, tree->path.data, tree->path.len);

    file->name = p;

    if (entry) {
        file->dir = tree->top;
        file->dir->refs++;

        p = ngx_cpymem(p, entry->name, entry->len);
    }

    *p = '\0';

    file->path.len = p - file->path.data;
    file->number = tree->number++;

    tree->single = 0;
}


/*
 * The mutex is locked on call and on return, but not while the directory is
 * read.  Other threads wait meanwhile, as the next entries are in that
 * directory.
 */

static void
ngx_http_background_tree_enter(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_entry_t *entry)
{
    size_t                      len;
    ngx_http_background_dir_t  *dir;

    tree->entering = 1;

    (void) ngx_thread_mutex_unlock(&tree->mutex, run->log);

    len = tree->path.len;

    ngx_memcpy(tree->path.data + len, entry->name, entry->len);
    tree->path.len += entry->len;

    dir = ngx_http_background_tree_dir(tree, run, entry);

    (void) ngx_thread_mutex_lock(&tree->mutex, run->log);

    if (dir) {
        tree->path.data[tree->path.len++] = '/';

        dir->len = tree->path.len;
        dir->parent = tree->top;
        tree->top = dir;

    } else {
        tree->path.len = len;
    }

    tree->entering = 0;

    (void) pthread_cond_broadcast(&tree->cond);
}


static ngx_http_background_dir_t *
ngx_http_background_tree_dir(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_entry_t *entry)
{
    int                         fd;
    ngx_uint_t                  depth;
    ngx_file_info_t             fi;
    ngx_http_background_dir_t  *dir;

    for (depth = 0, dir = tree->top; dir; dir = dir->parent) {
        depth++;
    }

    if (depth == NGX_HTTP_BACKGROUND_TREE_DEPTH) {
        ngx_http_background_tree_fail(tree, run, NULL, 0,
                                      "%s is too deep to read");
        return NULL;
    }

    fd = openat(tree->top->fd, (char *) entry->name,
                NGX_HTTP_BACKGROUND_TREE_OPEN|O_DIRECTORY|O_NOFOLLOW);

    if (fd == -1) {

        /*
         * it is not a directory any more, so it does not belong to the tree:
         * no failure
         */

        if (ngx_errno != NGX_ELOOP && ngx_errno != NGX_ENOTDIR
            && !(ngx_errno == NGX_ENOENT && tree->gone))
        {
            ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                          "open() %s failed");
        }

        return NULL;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                      ngx_fd_info_n " %s failed");
        (void) ngx_close_file(fd);
        return NULL;
    }

    return ngx_http_background_dir_open(tree, run, fd, &fi);
}


/* closes the descriptor on failure */

static ngx_http_background_dir_t *
ngx_http_background_dir_open(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, int fd, ngx_file_info_t *fi)
{
    ngx_pool_t                 *pool;
    ngx_http_background_dir_t  *dir;

    pool = ngx_create_pool(NGX_HTTP_BACKGROUND_TREE_POOL, run->log);

    if (pool == NULL) {
        ngx_http_background_tree_fail(tree, run, NULL, NGX_ENOMEM,
                                      "reading %s failed");
        (void) ngx_close_file(fd);
        return NULL;
    }

    dir = ngx_pcalloc(pool, sizeof(ngx_http_background_dir_t));

    if (dir == NULL
        || ngx_array_init(&dir->entries, pool, 32, sizeof(void *)) != NGX_OK)
    {
        ngx_http_background_tree_fail(tree, run, NULL, NGX_ENOMEM,
                                      "reading %s failed");
        ngx_destroy_pool(pool);
        (void) ngx_close_file(fd);
        return NULL;
    }

    dir->fd = fd;
    dir->dev = fi->st_dev;
    dir->ino = fi->st_ino;
    dir->pool = pool;
    dir->refs = 1;

    ngx_http_background_dir_read(tree, run, dir);

    qsort(dir->entries.elts, dir->entries.nelts, sizeof(void *),
          ngx_http_background_entry_cmp);

    (void) ngx_thread_mutex_lock(&tree->mutex, run->log);
    ngx_queue_insert_tail(&tree->dirs, &dir->queue);
    (void) ngx_thread_mutex_unlock(&tree->mutex, run->log);

    return dir;
}


/* after an error the directory has the entries that were read before */

static void
ngx_http_background_dir_read(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_dir_t *dir)
{
    DIR            *stream;
    int             fd;
    ngx_int_t       rc;
    ngx_uint_t      n;
    struct dirent  *de;

    fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);

    if (fd == -1) {
        ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                      "fcntl() %s failed");
        return;
    }

    stream = fdopendir(fd);

    if (stream == NULL) {
        ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                      "fdopendir() %s failed");
        (void) ngx_close_file(fd);
        return;
    }

    for (n = 1; /* void */; n++) {
        ngx_set_errno(0);
        de = readdir(stream);

        if (de == NULL) {
            if (ngx_errno) {
                ngx_http_background_tree_fail(tree, run, NULL, ngx_errno,
                                              "readdir() %s failed");
            }

            break;
        }

        rc = ngx_http_background_dir_add(dir, de);

        if (rc == NGX_ERROR) {
            ngx_http_background_tree_fail(tree, run, NULL, NGX_ENOMEM,
                                          "reading %s failed");
            break;
        }

        if (rc == NGX_DECLINED) {
            ngx_http_background_tree_fail(tree, run, NULL, 0,
                                          "a name in %s is too long");
        }

        if (n % 256 == 0 && ngx_http_background_dir_stopped(run)) {
            break;
        }
    }

    (void) closedir(stream);
}


/*
 * Other threads wait until the directory is read, so the thread must not wait
 * for a slot, as it may in cancelled().
 */

static ngx_uint_t
ngx_http_background_dir_stopped(ngx_http_background_run_t *run)
{
    /* the job begins with the run */
    return ngx_http_background_job_stopped((ngx_http_background_job_t *) run);
}


/* returns NGX_DECLINED if the name is longer than NAME_MAX bytes */

static ngx_int_t
ngx_http_background_dir_add(ngx_http_background_dir_t *dir, struct dirent *de)
{
    size_t                         len;
    ngx_uint_t                     type;
    ngx_file_info_t                fi;
    ngx_http_background_entry_t   *entry, **slot;

    if (ngx_strcmp(de->d_name, ".") == 0 || ngx_strcmp(de->d_name, "..") == 0) {
        return NGX_OK;
    }

    type = de->d_type;

    if (type == DT_UNKNOWN) {

        if (fstatat(dir->fd, de->d_name, &fi, AT_SYMLINK_NOFOLLOW) == 0) {
            type = IFTODT(fi.st_mode);

        } else if (ngx_errno != NGX_ENOENT) {

            /* who opens it will get the same error */

            type = DT_REG;
        }
    }

    if (type != DT_REG && type != DT_DIR) {
        return NGX_OK;
    }

    len = ngx_strlen(de->d_name);

    /* some file systems limit names by characters instead of bytes */

    if (len > NAME_MAX) {
        return NGX_DECLINED;
    }

    entry = ngx_pnalloc(dir->pool, sizeof(ngx_http_background_entry_t) + len);
    if (entry == NULL) {
        return NGX_ERROR;
    }

    entry->len = len;
    entry->dir = (type == DT_DIR);
    ngx_memcpy(entry->name, de->d_name, len + 1);

    slot = ngx_array_push(&dir->entries);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = entry;

    return NGX_OK;
}


static void
ngx_http_background_dir_release(ngx_http_background_tree_t *tree,
    ngx_http_background_dir_t *dir)
{
    if (--dir->refs == 0) {
        ngx_http_background_dir_close(tree, dir);
    }
}


static void
ngx_http_background_dir_close(ngx_http_background_tree_t *tree,
    ngx_http_background_dir_t *dir)
{
    ngx_queue_remove(&dir->queue);

    if (ngx_close_file(dir->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, tree->log, ngx_errno,
                      "background task \"%V\": " ngx_close_file_n " of a "
                      "directory in \"%V\" failed", tree->task, &tree->root);
    }

    ngx_destroy_pool(dir->pool);
}


/* orders entries as full paths: the name of a directory is followed by "/" */

static int ngx_libc_cdecl
ngx_http_background_entry_cmp(const void *one, const void *two)
{
    ngx_int_t                     rc;
    ngx_http_background_entry_t  *a, *b;

    a = *(ngx_http_background_entry_t **) one;
    b = *(ngx_http_background_entry_t **) two;

    rc = ngx_memcmp(a->name, b->name, ngx_min(a->len, b->len));

    if (rc != 0 || a->len == b->len) {
        return rc;
    }

    if (a->len < b->len) {
        return (a->dir ? '/' : 0) - b->name[a->len];
    }

    return a->name[b->len] - (b->dir ? '/' : 0);
}


int
ngx_http_background_tree_open(ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file, ngx_file_info_t *fi)
{
    int        fd;
    ngx_err_t  err;

    if (file->dir) {
        fd = openat(file->dir->fd, (char *) file->name,
                    NGX_HTTP_BACKGROUND_TREE_OPEN|O_NOFOLLOW);
    } else {
        fd = open((char *) tree->root.data, NGX_HTTP_BACKGROUND_TREE_OPEN);
    }

    if (fd == -1) {
        return -1;
    }

    if (ngx_fd_info(fd, fi) == NGX_FILE_ERROR) {
        err = ngx_errno;
        (void) ngx_close_file(fd);
        ngx_set_errno(err);
        return -1;
    }

    /* not a regular file any more: the same error as for a symbolic link */

    if (!ngx_is_file(fi)) {
        (void) ngx_close_file(fd);
        ngx_set_errno(NGX_ELOOP);
        return -1;
    }

    return fd;
}


int
ngx_http_background_tree_stat(ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file, ngx_file_info_t *fi)
{
    if (file->dir) {
        return fstatat(file->dir->fd, (char *) file->name, fi,
                       AT_SYMLINK_NOFOLLOW);
    }

    return ngx_file_info(tree->root.data, fi);
}


ngx_uint_t
ngx_http_background_tree_changed(ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file, ngx_file_info_t *before)
{
    ngx_file_info_t  after;

    return ngx_http_background_tree_stat(tree, file, &after) == NGX_FILE_ERROR
           || ngx_http_background_file_changed(before, &after);
}


void
ngx_http_background_tree_fail(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_file_t *file,
    ngx_err_t err, const char *fmt)
{
    if (!tree->quiet) {
        ngx_http_background_fail_path(&run->result, &tree->root,
                                      file ? &file->path : &tree->path,
                                      err, fmt);
    }
}


int
ngx_http_background_tree_fd(ngx_http_background_tree_t *tree)
{
    return tree->fd;
}


void
ngx_http_background_tree_destroy(ngx_http_background_tree_t *tree)
{
    ngx_queue_t                *q;
    ngx_http_background_dir_t  *dir;

    while (!ngx_queue_empty(&tree->dirs)) {
        q = ngx_queue_head(&tree->dirs);
        dir = ngx_queue_data(q, ngx_http_background_dir_t, queue);

        ngx_http_background_dir_close(tree, dir);
    }

    if (tree->fd != -1 && ngx_close_file(tree->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, tree->log, ngx_errno,
                      "background task \"%V\": " ngx_close_file_n " \"%V\" "
                      "failed", tree->task, &tree->root);
    }

    (void) ngx_thread_cond_destroy(&tree->cond, tree->log);
    (void) ngx_thread_mutex_destroy(&tree->mutex, tree->log);

    ngx_free(tree);
}


uint64_t
ngx_http_background_tree_total(ngx_http_background_run_t *run,
    ngx_str_t *root, ngx_http_background_weigh_pt weigh)
{
    uint64_t                     total;
    ngx_http_background_file_t  *file;
    ngx_http_background_tree_t  *tree;

    file = ngx_http_background_tree_file(run);

    if (file == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return 0;
    }

    tree = ngx_http_background_tree_create(run, root,
                                           NGX_HTTP_BACKGROUND_TREE_QUIET);

    if (tree == NULL) {
        return 0;
    }

    total = 0;

    while (ngx_http_background_tree_next(tree, run, file) == NGX_OK) {
        total += weigh(run, tree, file);
    }

    ngx_http_background_tree_destroy(tree);

    return total;
}


void
ngx_http_background_close(ngx_http_background_run_t *run, int fd,
    ngx_str_t *root, ngx_str_t *path)
{
    u_char  text[NGX_HTTP_BACKGROUND_PATH_TEXT];

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, run->log, ngx_errno,
                      "background task \"%V\": " ngx_close_file_n " %s failed",
                      run->task,
                      ngx_http_background_path_log(text, root, path));
    }
}


void
ngx_http_background_path_relative(ngx_str_t *root, ngx_str_t *path)
{
    u_char  *r, *p, *last, *end;

    r = root->data;
    end = root->data + root->len;

    p = path->data;
    last = path->data + path->len;

    for ( ;; ) {

        if (p == last || *p != '/') {
            return;
        }

        while (p < last && *p == '/') {
            p++;
        }

        while (r < end && *r == '/') {
            r++;
        }

        if (r == end) {
            break;
        }

        for ( /* void */ ; r < end && *r != '/'; r++, p++) {

            if (p == last || *p != *r) {
                return;
            }
        }
    }

    path->data = p;
    path->len = last - p;
}


ngx_uint_t
ngx_http_background_file_changed(ngx_file_info_t *before,
    ngx_file_info_t *after)
{
    return before->st_dev != after->st_dev
           || before->st_ino != after->st_ino
           || before->st_size != after->st_size
           || before->st_mtim.tv_sec != after->st_mtim.tv_sec
           || before->st_mtim.tv_nsec != after->st_mtim.tv_nsec
           || before->st_ctim.tv_sec != after->st_ctim.tv_sec
           || before->st_ctim.tv_nsec != after->st_ctim.tv_nsec;
}


int
ngx_http_background_open_beneath(int dirfd, u_char *path, int flags)
{
    u_char  *p;

#ifdef SYS_openat2
    int                             fd;
    ngx_http_background_open_how_t  how;
#endif

    /*
     * without symbolic links only an absolute path and ".." lead out of the
     * directory
     */

    if (*path == '/') {
        ngx_set_errno(NGX_EXDEV);
        return -1;
    }

    for (p = path; p; p = (u_char *) ngx_strchr(p, '/')) {

        p += (*p == '/');

        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0')) {
            ngx_set_errno(NGX_EXDEV);
            return -1;
        }
    }

#ifdef SYS_openat2

    how.flags = flags;
    how.mode = 0;
    how.resolve = NGX_HTTP_BACKGROUND_RESOLVE_BENEATH
                  |NGX_HTTP_BACKGROUND_RESOLVE_NO_SYMLINKS;

    fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

    /*
     * openat2() is not supported by the kernel or not allowed by a sandbox, a
     * directory was renamed meanwhile, or the path is longer than PATH_MAX
     */

    if (fd != -1
        || (ngx_errno != ENOSYS && ngx_errno != NGX_EPERM
            && ngx_errno != NGX_EAGAIN && ngx_errno != NGX_ENAMETOOLONG))
    {
        return fd;
    }

#endif

    return ngx_http_background_open_parts(dirfd, path, flags);
}


static int
ngx_http_background_open_parts(int dirfd, u_char *path, int flags)
{
    int        fd, parent;
    char       part[NAME_MAX + 1];
    size_t     len;
    u_char    *p;
    ngx_err_t  err;

    fd = dirfd;

    for ( ;; ) {
        p = (u_char *) ngx_strchr(path, '/');
        len = p ? (size_t) (p - path) : ngx_strlen(path);

        if (len > NAME_MAX) {
            err = NGX_ENAMETOOLONG;
            break;
        }

        ngx_cpystrn((u_char *) part, path, len + 1);

        parent = fd;
        fd = openat(parent, (len == 0) ? "." : part,
                    (p ? O_PATH|O_DIRECTORY|O_CLOEXEC : flags)|O_NOFOLLOW);
        err = ngx_errno;

        if (parent != dirfd) {
            (void) ngx_close_file(parent);
        }

        if (fd == -1 || p == NULL) {
            ngx_set_errno(err);
            return fd;
        }

        path = p + 1;
    }

    if (fd != dirfd) {
        (void) ngx_close_file(fd);
    }

    ngx_set_errno(err);

    return -1;
}
