
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The list of files that "compress" has made in a tree.  It is a file in the
 * root of the tree and must belong to the user of the worker; its format is
 * described in ngx_http_background_compress_table.h.  A line is added before
 * its file gets its name.
 *
 * A file belongs to the module as long as its size and time are those of a
 * line.  Several runs may use a list at once, also in different processes:
 * they lock the list while they add a line, or make or remove a file.
 *
 * The state of the source is added after the file has its name.  If the
 * process is killed in between, it is not known which source the file was made
 * of.
 */


#ifndef _NGX_HTTP_BACKGROUND_COMPRESS_LIST_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_COMPRESS_LIST_H_INCLUDED_


#include <ngx_http_background.h>

#include "ngx_http_background_compress_table.h"
#include "ngx_http_background_temp.h"
#include "ngx_http_background_tree.h"


#define NGX_HTTP_BACKGROUND_COMPRESS_LIST  ".ngx_http_background_compress"


typedef struct ngx_http_background_list_s  ngx_http_background_list_t;


/* a file that is made by "compress"; zero-terminated */

typedef struct {
    int                          dirfd;
    u_char                      *name;
    ngx_str_t                    path;       /* relative to the root */
} ngx_http_background_target_t;


/*
 * create   reads the list; returns NULL if that has failed, which is counted,
 *          or if the run is cancelled
 * owns     whether the file is in the list, and sets its line
 * poor     whether a line tells that no file is made of a source of that size
 *          and time, and sets the line
 * other    returns "=" or "!" if there is such a line for the file and its
 *          source, or 0
 * publish  returns NGX_DECLINED if a file that is not in the list exists now
 * remove   returns NGX_DECLINED if there is no file that is in the list
 * spare    adds a line: no file is made of that source
 * confirm  adds the line again with the current state of the source
 * remark   adds "=" or "!", if the list exists or can be created
 * adopt    adds the existing file to the list; returns NGX_DECLINED if it has
 *          changed meanwhile
 * prune    removes files in the list that were not asked for since create()
 *          and whose source is gone or has changed, and rewrites the list
 *
 * Sources are passed with their digests.  NGX_ERROR means that a failure was
 * counted, NGX_ABORT that the run is cancelled.
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
