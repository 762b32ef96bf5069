
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What "compress" made in a tree: a file in its root, to which each work is
 * added before it is there; ngx_http_background_compress_table.h has its form.
 * It has to be the worker's own.
 *
 * A file is ours as long as it has the size and time of a line.  Several runs,
 * also of other processes, may use a list at once: who adds, makes or removes
 * holds a lock on it.
 *
 * The state of a source is added when the file made of it has its name: where a
 * process is killed in between, it is not known of what the file was made.
 */


#ifndef _NGX_HTTP_BACKGROUND_COMPRESS_LIST_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_COMPRESS_LIST_H_INCLUDED_


#include <ngx_http_background.h>

#include "ngx_http_background_compress_table.h"
#include "ngx_http_background_temp.h"
#include "ngx_http_background_tree.h"


#define NGX_HTTP_BACKGROUND_COMPRESS_LIST  ".ngx_http_background_compress"


typedef struct ngx_http_background_list_s  ngx_http_background_list_t;


/* a file that compress makes; zero-terminated */

typedef struct {
    int                          dirfd;
    u_char                      *name;
    ngx_str_t                    path;       /* relative to the root */
} ngx_http_background_target_t;


/*
 * create   reads it; NULL: a failure was counted, or the run is cancelled
 * owns     whether what is there is ours, and the line that says so
 * poor     whether a line says that none is to be made of a source of that size
 *          and time, and that line
 * other    "=" or "!", if there is such a line for that file and source, or 0
 * publish  NGX_DECLINED: there is something now that is not ours
 * remove   NGX_DECLINED: there is nothing that is ours
 * spare    from now on none is to be made of that source
 * confirm  a line that is there already, with the source's state as it is now
 * remark   adds "=" or "!", where the list is there or can be made
 * adopt    what is there is ours from now on; NGX_DECLINED: it is another file
 *          now
 * prune    removes what is ours and was not asked for since create(), if its
 *          source is gone or is another one, and writes the list anew
 *
 * Sources are given with their digests.  Those that return NGX_ERROR have
 * counted a failure of the run; NGX_ABORT: it is cancelled.
 */
ngx_http_background_list_t *ngx_http_background_list_create(
    ngx_http_background_run_t *run, int root, ngx_str_t *path);
ngx_uint_t ngx_http_background_list_owns(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *fi,
    ngx_http_background_stamp_t *stamp);
ngx_uint_t ngx_http_background_list_poor(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *source,
    ngx_http_background_stamp_t *stamp);
u_char ngx_http_background_list_other(ngx_http_background_list_t *list,
    ngx_http_background_target_t *target, ngx_file_info_t *fi,
    ngx_file_info_t *source);
ngx_int_t ngx_http_background_list_publish(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_http_background_temp_t *temp,
    const ngx_http_background_source_t *source);
ngx_int_t ngx_http_background_list_remove(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target);
ngx_int_t ngx_http_background_list_spare(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_file_info_t *fi, const ngx_http_background_source_t *source);
ngx_int_t ngx_http_background_list_confirm(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    const ngx_http_background_stamp_t *stamp);
ngx_int_t ngx_http_background_list_remark(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    u_char sign, ngx_file_info_t *fi, ngx_file_info_t *source);
ngx_int_t ngx_http_background_list_adopt(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run, ngx_http_background_target_t *target,
    ngx_file_info_t *fi, const ngx_http_background_source_t *source);
ngx_int_t ngx_http_background_list_prune(ngx_http_background_list_t *list,
    ngx_http_background_run_t *run);
void ngx_http_background_list_destroy(ngx_http_background_list_t *list);


#endif /* _NGX_HTTP_BACKGROUND_COMPRESS_LIST_H_INCLUDED_ */
