
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Internal: the public interface is ngx_http_background.h.  Of the modules of
 * their own only "compress", which is built with this one, uses it, and checks
 * that both are of the same version.
 *
 * A tree's regular files, handed out one by one to the threads that share a
 * run.  For pool threads only, but for what reads the configuration.
 *
 * Symbolic links are not followed, but in the root's own path.  The order is
 * that of the names' bytes.  What is in memory are the names of one directory
 * a level, so that it depends on the largest directories, not on the tree.
 */


#ifndef _NGX_HTTP_BACKGROUND_TREE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TREE_H_INCLUDED_


#include <ngx_http_background.h>

#include "ngx_http_background_path.h"
#include "ngx_http_background_temp_writer.h"


/* each level keeps a descriptor open */
#define NGX_HTTP_BACKGROUND_TREE_DEPTH  128

/* of a file or directory, relative to the root, with the final zero */
#define NGX_HTTP_BACKGROUND_TREE_PATH                                        \
    (NGX_HTTP_BACKGROUND_TREE_DEPTH * (NAME_MAX + 1))

#define NGX_HTTP_BACKGROUND_TREE_OPEN                                        \
    (O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY)

/* flags of a tree: what can't be read, or only what is gone, is no failure */
#define NGX_HTTP_BACKGROUND_TREE_QUIET  1
#define NGX_HTTP_BACKGROUND_TREE_GONE   2


typedef struct ngx_http_background_tree_s  ngx_http_background_tree_t;
typedef struct ngx_http_background_dir_s   ngx_http_background_dir_t;

struct ngx_http_background_dir_s {
    int                          fd;
    dev_t                        dev;
    ino_t                        ino;

    /* private */
    ngx_queue_t                  queue;
    ngx_http_background_dir_t   *parent;
    ngx_pool_t                  *pool;
    ngx_array_t                  entries;
    ngx_uint_t                   next;
    size_t                       len;        /* of the path */
    ngx_uint_t                   refs;
};


typedef struct {
    ngx_http_background_dir_t   *dir;        /* NULL: the root is a file */
    u_char                      *name;       /* the path's last part */
    ngx_str_t                    path;       /* relative to the root; these two
                                                are zero-terminated */
    uint64_t                     number;     /* from 0, in the tree's order */
} ngx_http_background_file_t;


/* what a file counts for in the tree's total */

typedef uint64_t (*ngx_http_background_weigh_pt)(
    ngx_http_background_run_t *run, ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file);


/*
 * What "compress" was built for: the number, which changes when this header,
 * path.h, temp.h or temp_writer.h change otherwise, and the sizes of what both
 * modules know.
 */
#define NGX_HTTP_BACKGROUND_TREE_ABI                                         \
    ((uint64_t) 1 << 48                                                      \
     | (uint64_t) sizeof(ngx_http_background_dir_t) << 36                    \
     | (uint64_t) sizeof(ngx_http_background_file_t) << 24                   \
     | (uint64_t) sizeof(ngx_http_background_temp_writer_t))


/*
 * Reading the configuration: whether the two modules fit, to be asked before
 * anything else is used; and the root of a tree as the full path.  NGX_ERROR:
 * it was logged; NGX_DECLINED: there is no such file yet.
 */
#define ngx_http_background_tree_check(cf)                                   \
    ngx_http_background_tree_abi(cf, NGX_HTTP_BACKGROUND_TREE_ABI)

ngx_int_t ngx_http_background_tree_abi(ngx_conf_t *cf, uint64_t abi);
ngx_int_t ngx_http_background_tree_path(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *path, ngx_file_info_t *fi);

/*
 * create   opens the root; on failure counts that and returns NULL
 * file     a thread's own, to be given to next()
 * next     NGX_OK or, at the end and when cancelled, NGX_DONE.  A directory
 *          that can't be read, or is gone since its parent was read, is a
 *          failure of that thread's run, but for the flags.  The file before is
 *          not to be used any more
 * open     a file for reading, -1 with the error in ngx_errno; NGX_ELOOP: it is
 *          no regular file any more
 * stat     without opening it
 * changed  whether there is no such file any more, or another one
 * fail     counts a failure; the format has a "%s" for the path of the file or,
 *          where that is NULL, of the directory at hand
 * destroy  when no thread is in next() any more
 * total    quietly, in a walk of its own, for the progress
 */
ngx_http_background_tree_t *ngx_http_background_tree_create(
    ngx_http_background_run_t *run, ngx_str_t *root, ngx_uint_t flags);
ngx_http_background_file_t *ngx_http_background_tree_file(
    ngx_http_background_run_t *run);
ngx_int_t ngx_http_background_tree_next(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_file_t *file);
int ngx_http_background_tree_open(ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file, ngx_file_info_t *fi);
int ngx_http_background_tree_stat(ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file, ngx_file_info_t *fi);
ngx_uint_t ngx_http_background_tree_changed(ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file, ngx_file_info_t *before);
void ngx_http_background_tree_fail(ngx_http_background_tree_t *tree,
    ngx_http_background_run_t *run, ngx_http_background_file_t *file,
    ngx_err_t err, const char *fmt);
void ngx_http_background_tree_destroy(ngx_http_background_tree_t *tree);

uint64_t ngx_http_background_tree_total(ngx_http_background_run_t *run,
    ngx_str_t *root, ngx_http_background_weigh_pt weigh);
int ngx_http_background_tree_fd(ngx_http_background_tree_t *tree);

/*
 * Opens what a path leads to without leaving the directory and without
 * symbolic links; the path is zero-terminated.  -1 with the error in ngx_errno.
 */
int ngx_http_background_open_beneath(int dirfd, u_char *path, int flags);

/* closes it; if that fails, the log has the path as a text would */
void ngx_http_background_close(ngx_http_background_run_t *run, int fd,
    ngx_str_t *root, ngx_str_t *path);

/*
 * Makes an absolute path beneath the root, by their parts, one that is relative
 * to it; others stay as they are
 */
void ngx_http_background_path_relative(ngx_str_t *root, ngx_str_t *path);

/* whether what was read may be of two versions of the file */
ngx_uint_t ngx_http_background_file_changed(ngx_file_info_t *before,
    ngx_file_info_t *after);


#endif /* _NGX_HTTP_BACKGROUND_TREE_H_INCLUDED_ */
