
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * An internal header; the public one is ngx_http_background.h.  It is also
 * used by the dynamic module "compress", which is built together with this
 * module and checks that both have the same version.
 *
 * The regular files of a tree, which are passed one by one to the threads of a
 * run.  Called on pool threads, except for functions that read the
 * configuration.
 *
 * Symbolic links are not followed, except in the path of the root.  Files are
 * ordered by the bytes of their paths.  One directory of each level is in
 * memory, so the memory depends on the largest directories instead of the size
 * of the tree.
 */


#ifndef _NGX_HTTP_BACKGROUND_TREE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_TREE_H_INCLUDED_


#include <ngx_http_background.h>

#include "ngx_http_background_path.h"
#include "ngx_http_background_temp_writer.h"


/* each level has an open descriptor */
#define NGX_HTTP_BACKGROUND_TREE_DEPTH  128

/* the longest path relative to the root, with a final zero */
#define NGX_HTTP_BACKGROUND_TREE_PATH                                        \
    (NGX_HTTP_BACKGROUND_TREE_DEPTH * (NAME_MAX + 1))

#define NGX_HTTP_BACKGROUND_TREE_OPEN                                        \
    (O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY)

/*
 * flags: paths that can't be read are no failures, or only those that are gone
 */
#define NGX_HTTP_BACKGROUND_TREE_QUIET  1
#define NGX_HTTP_BACKGROUND_TREE_GONE   2


typedef struct ngx_http_background_tree_s  ngx_http_background_tree_t;
typedef struct ngx_http_background_dir_s   ngx_http_background_dir_t;

struct ngx_http_background_dir_s {
    int                          fd;
    dev_t                        dev;
    ino_t                        ino;

    /* used by the tree only */
    ngx_queue_t                  queue;
    ngx_http_background_dir_t   *parent;
    ngx_pool_t                  *pool;
    ngx_array_t                  entries;
    ngx_uint_t                   next;
    size_t                       len;        /* length of the path */
    ngx_uint_t                   refs;
};


typedef struct {
    ngx_http_background_dir_t   *dir;        /* NULL: the root is a file */
    u_char                      *name;       /* last part of the path */
    ngx_str_t                    path;       /* relative to the root; "name"
                                                and "path" are
                                                zero-terminated */
    uint64_t                     number;     /* from 0, in the order of the
                                                tree */
} ngx_http_background_file_t;


/* returns the weight of a file in the total */

typedef uint64_t (*ngx_http_background_weigh_pt)(
    ngx_http_background_run_t *run, ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file);


/*
 * The version of the interface for "compress": a number that changes with the
 * meaning of this header, path.h, temp.h, or temp_writer.h, and the sizes of
 * shared structures.
 */
#define NGX_HTTP_BACKGROUND_TREE_ABI                                         \
    ((uint64_t) 1 << 48                                                      \
     | (uint64_t) sizeof(ngx_http_background_dir_t) << 36                    \
     | (uint64_t) sizeof(ngx_http_background_file_t) << 24                   \
     | (uint64_t) sizeof(ngx_http_background_temp_writer_t))


/*
 * Configuration: tree_check() tells whether the two modules match and is
 * called first.  tree_path() sets the full path of the root; it returns
 * NGX_ERROR if an error was logged, or NGX_DECLINED if the path does not exist
 * yet.
 */
#define ngx_http_background_tree_check(cf)                                   \
    ngx_http_background_tree_abi(cf, NGX_HTTP_BACKGROUND_TREE_ABI)

ngx_int_t ngx_http_background_tree_abi(ngx_conf_t *cf, uint64_t abi);
ngx_int_t ngx_http_background_tree_path(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *path, ngx_file_info_t *fi);

/*
 * create   opens the root; returns NULL if that has failed, which is counted
 * file     creates a structure for next(), one for each thread
 * next     returns NGX_OK, or NGX_DONE at the end or if the run is cancelled.
 *          A directory that can't be read, or was removed meanwhile, is a
 *          failure of the run of this thread, unless a flag is set.  The
 *          previous file must not be used any more
 * open     opens a file for reading; returns -1 with the error in ngx_errno,
 *          which is NGX_ELOOP if it is not a regular file any more
 * stat     returns information on a file without opening it
 * changed  whether the file is gone or was changed
 * fail     counts a failure; "%s" in the format is replaced by the path of the
 *          file, or of the current directory if file is NULL
 * destroy  called when no thread is in next() any more
 * total    walks the tree and returns the sum of weights, for the progress;
 *          failures are not counted
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
 * Opens a zero-terminated path below a directory, without following symbolic
 * links.  Returns -1 with the error in ngx_errno.
 */
int ngx_http_background_open_beneath(int dirfd, u_char *path, int flags);

/* closes a file; a failure is logged with its path */
void ngx_http_background_close(ngx_http_background_run_t *run, int fd,
    ngx_str_t *root, ngx_str_t *path);

/* if an absolute path is below the root, makes it relative to the root */
void ngx_http_background_path_relative(ngx_str_t *root, ngx_str_t *path);

/*
 * Whether the file was changed, so that data read from it may be inconsistent.
 * Compares the change time, too: unlike the modification time it can't be set.
 */
ngx_uint_t ngx_http_background_file_changed(ngx_file_info_t *before,
    ngx_file_info_t *after);


#endif /* _NGX_HTTP_BACKGROUND_TREE_H_INCLUDED_ */
