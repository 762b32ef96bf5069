
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "digest": hashes a file, or all regular files of a tree, and writes a list
 * of hashes.
 */


#include <ngx_http_background.h>

#include "ngx_http_background_compress_list.h"
#include "ngx_http_background_hash.h"
#include "ngx_http_background_manifest.h"
#include "ngx_http_background_temp.h"
#include "ngx_http_background_tree.h"


typedef struct {
    ngx_str_t                        path;
    ngx_str_t                        manifest;
    ngx_http_background_hash_conf_t  hash;
} ngx_http_background_digest_conf_t;


/* shared by all threads */

typedef struct {
    ngx_http_background_run_t       *run;       /* used by begin and finish */
    ngx_http_background_tree_t      *tree;
    ngx_http_background_manifest_t  *manifest;  /* may be NULL */
    uint64_t                         total;     /* in bytes */
    ngx_atomic_t                     failed;
} ngx_http_background_digest_t;


static char *ngx_http_background_digest(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_digest_manifest(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);

static void ngx_http_background_digest_begin(ngx_http_background_run_t *run);
static uint64_t ngx_http_background_digest_weigh(
    ngx_http_background_run_t *run, ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file);
static ngx_uint_t ngx_http_background_digest_skips(
    ngx_http_background_digest_t *d, ngx_http_background_file_t *file);
static void ngx_http_background_digest_work(ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_digest_file(
    ngx_http_background_digest_t *d, ngx_http_background_file_t *file,
    ngx_http_background_hash_t *hash);
static void ngx_http_background_digest_progress(
    ngx_http_background_run_t *run);
static void ngx_http_background_digest_finish(ngx_http_background_run_t *run);
static void ngx_http_background_digest_cleanup(void *data);


static ngx_http_background_kind_t  ngx_http_background_digest_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    ngx_http_background_digest_begin,        /* begin */
    ngx_http_background_digest_work,         /* work */
    ngx_http_background_digest_finish,       /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_param_t  ngx_http_background_digest_params[] =
{
    NGX_HTTP_BACKGROUND_HASH_PARAMS(ngx_http_background_digest_conf_t),

    { ngx_string("manifest="), 0, ngx_http_background_digest_manifest,
      offsetof(ngx_http_background_digest_conf_t, manifest), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_digest_commands[] = {

    { ngx_string("digest"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE1234,
      ngx_http_background_digest,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_digest_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_digest_module = {
    NGX_MODULE_V1,
    &ngx_http_background_digest_module_ctx, /* module context */
    ngx_http_background_digest_commands,   /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_background_digest(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                           rc;
    ngx_str_t                          *value;
    ngx_file_info_t                     fi;
    ngx_http_background_digest_conf_t  *dcf;

    dcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_digest_conf_t));
    if (dcf == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    dcf->path = value[1];

    rc = ngx_http_background_tree_path(cf, cmd, &dcf->path, &fi);

    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_digest_params, dcf)
            != NGX_OK
        || ngx_http_background_hash_init_conf(cf, &dcf->hash) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (dcf->manifest.len && rc == NGX_OK && !ngx_is_dir(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"manifest=\" in \"%V\" directive needs a "
                           "directory, \"%V\" is none",
                           &cmd->name, &dcf->path);
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                       &ngx_http_background_digest_kind, dcf);
}


static ngx_int_t
ngx_http_background_digest_manifest(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_str_t *manifest = p;

    ngx_str_t  *value, folder;

    if (arg->value.len == 0 || arg->value.data[arg->value.len - 1] == '/') {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid manifest \"%V\" in \"%V\" directive, "
                           "it must be a file's name", &arg->value, &value[0]);
        return NGX_ERROR;
    }

    *manifest = arg->value;

    if (ngx_conf_full_name(cf->cycle, manifest, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    folder = *manifest;

    while (folder.data[folder.len - 1] != '/') {
        folder.len--;
    }

    folder.data = ngx_pnalloc(cf->pool, folder.len + 1);
    if (folder.data == NULL) {
        return NGX_ERROR;
    }

    ngx_cpystrn(folder.data, manifest->data, folder.len + 1);

    ngx_http_background_conf_path(cf, &folder);

    return NGX_OK;
}


static void
ngx_http_background_digest_begin(ngx_http_background_run_t *run)
{
    ngx_file_info_t                     fi;
    ngx_pool_cleanup_t                 *cln;
    ngx_http_background_digest_t       *d;
    ngx_http_background_digest_conf_t  *dcf;

    dcf = run->conf;

    run->limit_rate = dcf->hash.limit_rate;
    run->result.allow_empty = 1;

    cln = ngx_pool_cleanup_add(run->pool, sizeof(ngx_http_background_digest_t));
    if (cln == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    d = cln->data;
    ngx_memzero(d, sizeof(ngx_http_background_digest_t));

    cln->handler = ngx_http_background_digest_cleanup;

    run->ctx = d;
    d->run = run;

    if (dcf->manifest.len) {
        d->manifest = ngx_http_background_manifest_create(run, &dcf->manifest);

        if (d->manifest == NULL) {
            return;
        }
    }

    d->total = ngx_http_background_tree_total(run, &dcf->path,
                                              ngx_http_background_digest_weigh);
    if (run->result.failed) {
        return;
    }

    ngx_http_background_digest_progress(run);

    d->tree = ngx_http_background_tree_create(run, &dcf->path, 0);

    if (d->tree == NULL || d->manifest == NULL) {
        return;
    }

    if (ngx_fd_info(ngx_http_background_tree_fd(d->tree), &fi)
        == NGX_FILE_ERROR)
    {
        ngx_http_background_tree_fail(d->tree, run, NULL, ngx_errno,
                                      ngx_fd_info_n " %s failed");
        return;
    }

    if (!ngx_is_dir(&fi)) {
        ngx_http_background_tree_fail(d->tree, run, NULL, 0,
                                      "\"manifest=\" needs a directory, %s is "
                                      "none");
    }
}


static uint64_t
ngx_http_background_digest_weigh(ngx_http_background_run_t *run,
    ngx_http_background_tree_t *tree, ngx_http_background_file_t *file)
{
    ngx_file_info_t  fi;

    if (ngx_http_background_digest_skips(run->ctx, file)
        || ngx_http_background_tree_stat(tree, file, &fi) == NGX_FILE_ERROR)
    {
        return 0;
    }

    return ngx_file_size(&fi);
}


static ngx_uint_t
ngx_http_background_digest_skips(ngx_http_background_digest_t *d,
    ngx_http_background_file_t *file)
{
    if (file->dir == NULL) {
        return 0;
    }

    return ngx_http_background_is_temp(file->name)
           || ngx_strcmp(file->name, NGX_HTTP_BACKGROUND_COMPRESS_LIST) == 0
           || (d->manifest
               && ngx_http_background_manifest_is(d->manifest, file->dir->dev,
                                                  file->dir->ino, file->name));
}


static void
ngx_http_background_digest_work(ngx_http_background_run_t *run)
{
    u_char                             *value;
    ngx_int_t                           rc;
    ngx_http_background_file_t         *file;
    ngx_http_background_hash_t         *hash;
    ngx_http_background_digest_t       *d;
    ngx_http_background_digest_conf_t  *dcf;

    d = run->ctx;
    dcf = run->conf;

    hash = ngx_http_background_hash_create(run, dcf->hash.md);
    file = ngx_http_background_tree_file(run);

    if (hash == NULL || file == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        (void) ngx_atomic_fetch_add(&d->failed, 1);
        return;
    }

    while (ngx_http_background_tree_next(d->tree, run, file) == NGX_OK) {

        rc = ngx_http_background_digest_skips(d, file)
             ? NGX_DECLINED
             : ngx_http_background_digest_file(d, file, hash);

        if (rc == NGX_ABORT) {
            break;
        }

        if (d->manifest == NULL) {
            continue;
        }

        value = (rc == NGX_OK) ? hash->value : NULL;

        if (ngx_http_background_manifest_line(d->manifest, run, file->number,
                                              value, hash->len, &file->path)
            == NGX_BUSY)
        {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&d->failed, run->result.failed);
}


static ngx_int_t
ngx_http_background_digest_file(ngx_http_background_digest_t *d,
    ngx_http_background_file_t *file, ngx_http_background_hash_t *hash)
{
    int                                 fd;
    ngx_int_t                           rc;
    ngx_file_info_t                     fi;
    ngx_http_background_run_t          *run;
    ngx_http_background_digest_conf_t  *dcf;

#if (NGX_DEBUG)
    u_char                              hex[2 * EVP_MAX_MD_SIZE];
#endif

    run = hash->run;
    dcf = run->conf;

    fd = ngx_http_background_tree_open(d->tree, file, &fi);

    if (fd == -1) {
        if (ngx_errno == NGX_ELOOP) {
            return NGX_DECLINED;
        }

        ngx_http_background_tree_fail(d->tree, run, file, ngx_errno,
                                      "open() %s failed");
        return NGX_ERROR;
    }

    run->result.active = 1;

    rc = ngx_http_background_hash_file(hash, fd, &fi,
                                       ngx_http_background_digest_progress);

    if (rc == NGX_OK && ngx_http_background_tree_changed(d->tree, file, &fi)) {
        hash->fmt = "%s changed while it was read";
        rc = NGX_ERROR;
    }

    ngx_http_background_close(run, fd, &dcf->path, &file->path);

    if (rc == NGX_ABORT) {
        return rc;
    }

    run->result.active = 0;

    if (rc != NGX_OK) {
        ngx_http_background_tree_fail(d->tree, run, file, hash->err,
                                      hash->fmt);
        return rc;
    }

    run->result.completed++;

#if (NGX_DEBUG)
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, run->log, 0,
                   "background digest: %*s  %V",
                   (size_t) (ngx_hex_dump(hex, hash->value, hash->len) - hex),
                   hex, &file->path);
#endif

    return NGX_OK;
}


/* only the run of begin() sets the total */

static void
ngx_http_background_digest_progress(ngx_http_background_run_t *run)
{
    ngx_http_background_digest_t *d = run->ctx;

    ngx_http_background_progress(run, run->result.bytes,
                                 (run == d->run) ? d->total : 0);
}


static void
ngx_http_background_digest_finish(ngx_http_background_run_t *run)
{
    ngx_http_background_digest_t *d = run->ctx;

    if (d == NULL) {
        return;
    }

    /*
     * only a complete list replaces the old one; there is no tree if begin()
     * has failed
     */

    if (d->manifest && d->tree && d->failed == 0 && run->result.failed == 0
        && !ngx_http_background_cancelled(run))
    {
        ngx_http_background_manifest_commit(d->manifest, run);
    }

    ngx_http_background_digest_cleanup(d);
}


static void
ngx_http_background_digest_cleanup(void *data)
{
    ngx_http_background_digest_t *d = data;

    if (d->tree) {
        ngx_http_background_tree_destroy(d->tree);
        d->tree = NULL;
    }

    if (d->manifest) {
        ngx_http_background_manifest_destroy(d->manifest);
        d->manifest = NULL;
    }
}
