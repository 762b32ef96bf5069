
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Files and directories that tasks read are checked while the configuration is
 * read.  A path that is missing or that workers can't read is a warning.
 */


#include "ngx_http_background_module.h"

#include <grp.h>
#include <sys/xattr.h>


#define NGX_HTTP_BACKGROUND_CONF_GROUPS  256


typedef struct {
    char       *name;
    uid_t       id;
    gid_t       groups[NGX_HTTP_BACKGROUND_CONF_GROUPS];
    int         ngroups;
} ngx_http_background_conf_user_t;


static void ngx_http_background_conf_access(ngx_conf_t *cf, ngx_str_t *path,
    ngx_uint_t execute);
static ngx_int_t ngx_http_background_conf_user(ngx_conf_t *cf,
    ngx_http_background_conf_user_t *user);
static ngx_uint_t ngx_http_background_conf_closed(
    ngx_http_background_conf_user_t *user, char *path, ngx_uint_t execute);
static ngx_uint_t ngx_http_background_conf_permits(
    ngx_http_background_conf_user_t *user, char *path, ngx_uint_t last,
    ngx_uint_t execute);


void
ngx_http_background_conf_path(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_http_background_conf_access(cf, path, 0);
}


void
ngx_http_background_conf_executable(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_http_background_conf_access(cf, path, 1);
}


static void
ngx_http_background_conf_access(ngx_conf_t *cf, ngx_str_t *path,
    ngx_uint_t execute)
{
    char                             *real;
    ngx_str_t                        *value;
    const char                       *what;
    ngx_http_background_conf_user_t   user;

    value = cf->args->elts;
    what = execute ? "executed" : "read";

    if (faccessat(AT_FDCWD, (char *) path->data, execute ? X_OK : R_OK,
                  AT_EACCESS)
        == -1)
    {
        ngx_conf_log_error(NGX_LOG_WARN, cf, ngx_errno,
                           "\"%V\" of \"%V\" directive can't be %s, its "
                           "cycles will fail until it can",
                           path, &value[0], what);
        return;
    }

    if (ngx_http_background_conf_user(cf, &user) != NGX_OK) {
        return;
    }

    real = realpath((char *) path->data, NULL);
    if (real == NULL) {
        return;
    }

    if (ngx_http_background_conf_closed(&user, real, execute)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" of \"%V\" directive can't be %s by user "
                           "\"%s\" because of the mode of \"%s\", its cycles "
                           "will fail until it can",
                           path, &value[0], what, user.name, real);
    }

    free(real);
}


/*
 * Returns NGX_DECLINED if workers run as the user that reads the
 * configuration, or as root.
 */

static ngx_int_t
ngx_http_background_conf_user(ngx_conf_t *cf,
    ngx_http_background_conf_user_t *user)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    if (geteuid() != 0 || ccf->username == NULL || ccf->user == 0) {
        return NGX_DECLINED;
    }

    user->name = ccf->username;
    user->id = ccf->user;
    user->ngroups = NGX_HTTP_BACKGROUND_CONF_GROUPS;

    return (getgrouplist(user->name, ccf->group, user->groups, &user->ngroups)
            == -1)
           ? NGX_DECLINED : NGX_OK;
}


/* "path" is cut to the part that can't be accessed */

static ngx_uint_t
ngx_http_background_conf_closed(ngx_http_background_conf_user_t *user,
    char *path, ngx_uint_t execute)
{
    char        *p, ch;
    ngx_uint_t   permits;

    for (p = path + 1; /* void */ ; p++) {

        if (*p != '/' && *p != '\0') {
            continue;
        }

        ch = *p;
        *p = '\0';

        permits = ngx_http_background_conf_permits(user, path, ch == '\0',
                                                   execute);

        if (!permits) {
            return 1;
        }

        if (ch == '\0') {
            return 0;
        }

        *p = ch;
    }
}


/*
 * The user must be able to search directories on the path and to read or
 * execute the last part.
 */

static ngx_uint_t
ngx_http_background_conf_permits(ngx_http_background_conf_user_t *user,
    char *path, ngx_uint_t last, ngx_uint_t execute)
{
    int              i;
    mode_t           need;
    ngx_file_info_t  fi;

    if (ngx_file_info(path, &fi) == NGX_FILE_ERROR) {
        return 1;
    }

    /* with an access control list the mode is not enough to tell */

    if (getxattr(path, "system.posix_acl_access", NULL, 0) > 0) {
        return 1;
    }

    need = (!last || execute) ? 01 : ngx_is_dir(&fi) ? 05 : 04;

    if (fi.st_uid == user->id) {
        return (fi.st_mode >> 6 & need) == need;
    }

    for (i = 0; i < user->ngroups; i++) {
        if (fi.st_gid == user->groups[i]) {
            return (fi.st_mode >> 3 & need) == need;
        }
    }

    return (fi.st_mode & need) == need;
}
