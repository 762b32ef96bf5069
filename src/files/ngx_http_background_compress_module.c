
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "compress": keeps .gz, .br, and .zst files beside the files of a tree */


#include <ngx_http_background.h>

#include "ngx_http_background_codec.h"
#include "ngx_http_background_compress_check.h"
#include "ngx_http_background_compress_list.h"
#include "ngx_http_background_temp.h"
#include "ngx_http_background_tree.h"


#define NGX_HTTP_BACKGROUND_COMPRESS_BUFFER      65536

/* bytes that are compressed between two checks for cancellation */
#define NGX_HTTP_BACKGROUND_COMPRESS_SLICE       16384

/* as "gzip_min_length" of nginx */
#define NGX_HTTP_BACKGROUND_COMPRESS_MIN_LENGTH  20

#define NGX_HTTP_BACKGROUND_COMPRESS_NONE        -1


typedef struct {
    ngx_str_t                     path;
    ngx_array_t                   suffixes;  /* of ngx_str_t */
    ngx_int_t                     level[NGX_HTTP_BACKGROUND_CODECS];
    off_t                         min_length;
    size_t                        limit_rate;
    ngx_uint_t                    adopt;
    ngx_uint_t                    old;       /* number of old files when they
                                                were logged last */
} ngx_http_background_compress_conf_t;


/* shared by all threads */

typedef struct {
    ngx_http_background_run_t    *run;       /* used by begin and finish */
    ngx_http_background_tree_t   *tree;
    ngx_http_background_list_t   *list;
    uint64_t                      total;     /* number of files */
    ngx_uint_t                    old;       /* number of files, atomic */
    u_char                        first[NGX_HTTP_BACKGROUND_PATH_TEXT];
                                             /* path of the first one */
} ngx_http_background_compress_t;


/* used by one thread */

typedef struct {
    ngx_http_background_run_t    *run;
    ngx_http_background_tree_t   *tree;
    ngx_http_background_list_t   *list;

    ngx_http_background_file_t   *file;      /* the source */
    ngx_file_info_t               info;
    ngx_http_background_target_t  target;
    ngx_http_background_temp_t    temp;
    ngx_http_background_source_t  source;    /* state of the source of the
                                                target */
    EVP_MD_CTX                   *digest;

    const ngx_http_background_codec_t  *codec;
    void                         *codecs[NGX_HTTP_BACKGROUND_CODECS];

    u_char                       *in;
    u_char                       *out;
    off_t                         received;
    off_t                         written;
    uint64_t                      done;      /* number of files */
    ngx_uint_t                    larger;    /* the output is larger than the
                                                source, which is read to its
                                                end for the digest */
    ngx_uint_t                    old;       /* the target is old if it is not
                                                replaced */
    ngx_uint_t                    root;      /* files can be given to users */
} ngx_http_background_compressor_t;


static char *ngx_http_background_compress(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_background_compress_path(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_background_compress_conf_t *ccf);
static ngx_int_t ngx_http_background_compress_level(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_compress_suffixes(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);

static void ngx_http_background_compress_begin(ngx_http_background_run_t *run);
static uint64_t ngx_http_background_compress_weigh(
    ngx_http_background_run_t *run, ngx_http_background_tree_t *tree,
    ngx_http_background_file_t *file);
static ngx_uint_t ngx_http_background_compress_matches(
    ngx_http_background_compress_conf_t *ccf,
    ngx_http_background_file_t *file);
static void ngx_http_background_compress_progress(
    ngx_http_background_compressor_t *c);
static void ngx_http_background_compress_work(ngx_http_background_run_t *run);
static void ngx_http_background_compress_finish(
    ngx_http_background_run_t *run);
static void ngx_http_background_compress_cleanup(void *data);

static ngx_http_background_compressor_t *ngx_http_background_compressor_create(
    ngx_http_background_run_t *run);
static void ngx_http_background_compressor_cleanup(void *data);
static ngx_int_t ngx_http_background_compress_file(
    ngx_http_background_compressor_t *c);
static ngx_int_t ngx_http_background_compress_target(
    ngx_http_background_compressor_t *c, ngx_uint_t n);
static ngx_int_t ngx_http_background_compress_name(
    ngx_http_background_compressor_t *c);
static ngx_int_t ngx_http_background_compress_there(
    ngx_http_background_compressor_t *c, ngx_file_info_t *fi);
static ngx_int_t ngx_http_background_compress_current(
    ngx_http_background_compressor_t *c, ngx_file_info_t *fi,
    ngx_http_background_stamp_t *stamp);
static ngx_int_t ngx_http_background_compress_poor(
    ngx_http_background_compressor_t *c);
static ngx_int_t ngx_http_background_compress_confirm(
    ngx_http_background_compressor_t *c, ngx_http_background_stamp_t *stamp);
static ngx_int_t ngx_http_background_compress_other(
    ngx_http_background_compressor_t *c, ngx_file_info_t *fi);
static ngx_int_t ngx_http_background_compress_unpacks(
    ngx_http_background_compressor_t *c, ngx_file_info_t *fi);
static void ngx_http_background_compress_old(
    ngx_http_background_compressor_t *c);
static void ngx_http_background_compress_tell(
    ngx_http_background_compress_t *ctx);
static ngx_int_t ngx_http_background_compress_make(
    ngx_http_background_compressor_t *c, ngx_uint_t n);
static ngx_int_t ngx_http_background_compress_stream(
    ngx_http_background_compressor_t *c, int fd, ngx_uint_t n);
static ngx_int_t ngx_http_background_compress_read(
    ngx_http_background_compressor_t *c, int fd, void *ctx);
static ngx_int_t ngx_http_background_compress_end(
    ngx_http_background_compressor_t *c, void *ctx);
static ngx_int_t ngx_http_background_compress_write(
    ngx_http_background_compressor_t *c, void *ctx, u_char *in, size_t len,
    ngx_uint_t last);
static ngx_int_t ngx_http_background_compress_attributes(
    ngx_http_background_compressor_t *c);
static ngx_int_t ngx_http_background_compress_none(
    ngx_http_background_compressor_t *c);
static ngx_int_t ngx_http_background_compress_fail(
    ngx_http_background_compressor_t *c, ngx_err_t err, const char *fmt);


static ngx_http_background_kind_t  ngx_http_background_compress_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    ngx_http_background_compress_begin,      /* begin */
    ngx_http_background_compress_work,       /* work */
    ngx_http_background_compress_finish,     /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_bounds_t
    ngx_http_background_compress_lengths =
{
    "length", 0, NGX_MAX_OFF_T_VALUE, "a size in bytes"
};


static const ngx_http_background_param_t
    ngx_http_background_compress_params[] =
{
    { ngx_string("gzip="), 0, ngx_http_background_compress_level,
      offsetof(ngx_http_background_compress_conf_t, level[0]),
      &ngx_http_background_codecs[0] },

    { ngx_string("brotli="), 0, ngx_http_background_compress_level,
      offsetof(ngx_http_background_compress_conf_t, level[1]),
      &ngx_http_background_codecs[1] },

    { ngx_string("zstd="), 0, ngx_http_background_compress_level,
      offsetof(ngx_http_background_compress_conf_t, level[2]),
      &ngx_http_background_codecs[2] },

    { ngx_string("suffix="), 0, ngx_http_background_compress_suffixes,
      offsetof(ngx_http_background_compress_conf_t, suffixes), NULL },

    { ngx_string("min_length="), 0, ngx_http_background_conf_offset,
      offsetof(ngx_http_background_compress_conf_t, min_length),
      &ngx_http_background_compress_lengths },

    { ngx_string("limit_rate="), 0, ngx_http_background_conf_rate,
      offsetof(ngx_http_background_compress_conf_t, limit_rate), NULL },

    { ngx_string("adopt"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_compress_conf_t, adopt), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_compress_commands[] = {

    { ngx_string("compress"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_2MORE,
      ngx_http_background_compress,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_compress_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_compress_module = {
    NGX_MODULE_V1,
    &ngx_http_background_compress_module_ctx, /* module context */
    ngx_http_background_compress_commands, /* module directives */
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
ngx_http_background_compress(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                            *value;
    ngx_uint_t                            i, levels;
    ngx_http_background_compress_conf_t  *ccf;

    if (ngx_http_background_tree_check(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ccf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_compress_conf_t));
    if (ccf == NULL) {
        return NGX_CONF_ERROR;
    }

    ccf->min_length = NGX_HTTP_BACKGROUND_COMPRESS_MIN_LENGTH;

    for (i = 0; i < NGX_HTTP_BACKGROUND_CODECS; i++) {
        ccf->level[i] = NGX_HTTP_BACKGROUND_COMPRESS_NONE;
    }

    value = cf->args->elts;

    ccf->path = value[1];

    if (ngx_http_background_compress_path(cf, cmd, ccf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_compress_params,
                                        ccf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ccf->suffixes.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"suffix=\" in \"%V\" directive", &cmd->name);
        return NGX_CONF_ERROR;
    }

    levels = 0;

    for (i = 0; i < NGX_HTTP_BACKGROUND_CODECS; i++) {
        levels += (ccf->level[i] != NGX_HTTP_BACKGROUND_COMPRESS_NONE);
    }

    if (levels == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"gzip=\", \"brotli=\" or \"zstd=\" in \"%V\" "
                           "directive", &cmd->name);
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                     &ngx_http_background_compress_kind, ccf);
}


static char *
ngx_http_background_compress_path(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_background_compress_conf_t *ccf)
{
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    rc = ngx_http_background_tree_path(cf, cmd, &ccf->path, &fi);

    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (rc == NGX_OK && !ngx_is_dir(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"%V\" directive is no directory",
                           &ccf->path, &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_compress_level(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_int_t *level = p;

    ngx_int_t                           n;
    ngx_str_t                          *value;
    const ngx_http_background_codec_t  *codec;

    value = cf->args->elts;
    codec = arg->post;

    n = ngx_atoi(arg->value.data, arg->value.len);

    if (n == NGX_ERROR || n < codec->min || n > codec->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid level \"%V\" in \"%V\" directive, "
                           "it must be from %i to %i",
                           &arg->text, &value[0], codec->min, codec->max);
        return NGX_ERROR;
    }

    if (codec->create == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" directive needs %s, "
                           "the module was built without it",
                           &arg->text, &value[0], codec->library);
        return NGX_ERROR;
    }

    *level = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_compress_suffixes(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_array_t *suffixes = p;

    u_char      *s, *q, *last;
    ngx_str_t   *value, *suffix;
    ngx_uint_t   i;

    if (ngx_array_init(suffixes, cf->pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    last = arg->value.data + arg->value.len;

    for (s = arg->value.data; s <= last; s = q + 1) {

        q = ngx_strlchr(s, last, ',');

        if (q == NULL) {
            q = last;
        }

        suffix = ngx_array_push(suffixes);
        if (suffix == NULL) {
            return NGX_ERROR;
        }

        suffix->data = s;
        suffix->len = q - s;

        if (suffix->len < 2 || *s != '.' || ngx_strlchr(s, q, '/')) {
            goto invalid;
        }

        /* suffixes of compressed files */

        for (i = 0; i < NGX_HTTP_BACKGROUND_CODECS; i++) {
            if (suffix->len == ngx_http_background_codecs[i].suffix.len
                && ngx_strncmp(s, ngx_http_background_codecs[i].suffix.data,
                               suffix->len)
                   == 0)
            {
                goto invalid;
            }
        }
    }

    return NGX_OK;

invalid:

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid suffix \"%V\" in \"%V\" directive, "
                       "it must begin with \".\" and not be \".gz\", \".br\" "
                       "or \".zst\"", suffix, &value[0]);

    return NGX_ERROR;
}


static void
ngx_http_background_compress_begin(ngx_http_background_run_t *run)
{
    ngx_pool_cleanup_t                   *cln;
    ngx_http_background_compress_t       *ctx;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = run->conf;

    run->limit_rate = ccf->limit_rate;
    run->result.allow_empty = 1;

    cln = ngx_pool_cleanup_add(run->pool,
                               sizeof(ngx_http_background_compress_t));
    if (cln == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_background_compress_t));

    cln->handler = ngx_http_background_compress_cleanup;

    run->ctx = ctx;
    ctx->run = run;

    ctx->total = ngx_http_background_tree_total(run, &ccf->path,
                                           ngx_http_background_compress_weigh);
    if (run->result.failed) {
        return;
    }

    ctx->tree = ngx_http_background_tree_create(run, &ccf->path,
                                                NGX_HTTP_BACKGROUND_TREE_GONE);

    /* without a list finish() removes no files */

    if (run->result.failed) {
        return;
    }

    ctx->list = ngx_http_background_list_create(run,
                                   ngx_http_background_tree_fd(ctx->tree),
                                   &ccf->path);
    if (ctx->list == NULL) {
        return;
    }

    ngx_http_background_progress(run, 0, ctx->total);
}


static uint64_t
ngx_http_background_compress_weigh(ngx_http_background_run_t *run,
    ngx_http_background_tree_t *tree, ngx_http_background_file_t *file)
{
    return ngx_http_background_compress_matches(run->conf, file);
}


static ngx_uint_t
ngx_http_background_compress_matches(ngx_http_background_compress_conf_t *ccf,
    ngx_http_background_file_t *file)
{
    u_char      *last;
    ngx_str_t   *suffix;
    ngx_uint_t   i;

    if (file->dir == NULL) {
        return 0;
    }

    last = file->path.data + file->path.len;
    suffix = ccf->suffixes.elts;

    for (i = 0; i < ccf->suffixes.nelts; i++) {

        if ((size_t) (last - file->name) > suffix[i].len
            && ngx_memcmp(last - suffix[i].len, suffix[i].data, suffix[i].len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_background_compress_work(ngx_http_background_run_t *run)
{
    ngx_int_t                          rc;
    ngx_http_background_file_t        *file;
    ngx_http_background_compressor_t  *c;

    c = ngx_http_background_compressor_create(run);

    if (c == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    file = c->file;

    while (ngx_http_background_tree_next(c->tree, run, file) == NGX_OK) {

        if (file->dir && ngx_http_background_is_temp(file->name)) {
            ngx_http_background_temp_sweep(run, file->dir->fd, file->name);
            continue;
        }

        if (!ngx_http_background_compress_matches(run->conf, file)) {
            continue;
        }

        if (ngx_http_background_cancelled(run)) {
            return;
        }

        run->result.active = 1;

        rc = ngx_http_background_compress_file(c);

        if (rc == NGX_ABORT) {
            return;
        }

        run->result.active = 0;
        run->result.completed += (rc == NGX_OK);

        c->done++;
        ngx_http_background_compress_progress(c);
    }
}


/* the unit is files; only the run of begin() sets the total */

static void
ngx_http_background_compress_progress(ngx_http_background_compressor_t *c)
{
    ngx_http_background_compress_t *ctx = c->run->ctx;

    ngx_http_background_progress(c->run, c->done,
                                 (c->run == ctx->run) ? ctx->total : 0);
}


static void
ngx_http_background_compress_finish(ngx_http_background_run_t *run)
{
    ngx_http_background_compress_t *ctx = run->ctx;

    if (ctx == NULL) {
        return;
    }

    if (ctx->list && !ngx_http_background_cancelled(run)) {
        (void) ngx_http_background_list_prune(ctx->list, run);
        ngx_http_background_compress_tell(ctx);
    }

    ngx_http_background_compress_cleanup(ctx);
}


static void
ngx_http_background_compress_cleanup(void *data)
{
    ngx_http_background_compress_t *ctx = data;

    if (ctx->list) {
        ngx_http_background_list_destroy(ctx->list);
        ctx->list = NULL;
    }

    if (ctx->tree) {
        ngx_http_background_tree_destroy(ctx->tree);
        ctx->tree = NULL;
    }
}


static ngx_http_background_compressor_t *
ngx_http_background_compressor_create(ngx_http_background_run_t *run)
{
    ngx_pool_cleanup_t                *cln;
    ngx_http_background_compress_t    *ctx;
    ngx_http_background_compressor_t  *c;

    cln = ngx_pool_cleanup_add(run->pool,
                               sizeof(ngx_http_background_compressor_t));
    if (cln == NULL) {
        return NULL;
    }

    c = cln->data;
    ngx_memzero(c, sizeof(ngx_http_background_compressor_t));

    cln->handler = ngx_http_background_compressor_cleanup;

    ctx = run->ctx;

    c->run = run;
    c->tree = ctx->tree;
    c->list = ctx->list;
    c->temp.fd = -1;
    c->root = (geteuid() == 0);

    c->digest = ngx_http_background_sha256_create();
    c->file = ngx_http_background_tree_file(run);
    c->in = ngx_palloc(run->pool, NGX_HTTP_BACKGROUND_COMPRESS_BUFFER);
    c->out = ngx_palloc(run->pool, NGX_HTTP_BACKGROUND_COMPRESS_BUFFER);
    c->target.path.data = ngx_pnalloc(run->pool,
                                      NGX_HTTP_BACKGROUND_TREE_PATH
                                      + NGX_HTTP_BACKGROUND_CODEC_NAME);

    if (c->file == NULL || c->in == NULL || c->out == NULL
        || c->digest == NULL || c->target.path.data == NULL)
    {
        return NULL;
    }

    return c;
}


static void
ngx_http_background_compressor_cleanup(void *data)
{
    ngx_http_background_compressor_t *c = data;

    ngx_uint_t  i;

    ngx_http_background_sha256_destroy(c->digest);

    for (i = 0; i < NGX_HTTP_BACKGROUND_CODECS; i++) {
        if (c->codecs[i]) {
            ngx_http_background_codecs[i].destroy(c->codecs[i]);
        }
    }
}


static ngx_int_t
ngx_http_background_compress_file(ngx_http_background_compressor_t *c)
{
    ngx_int_t                             rc, result;
    ngx_uint_t                            i;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    result = NGX_OK;

    for (i = 0; i < NGX_HTTP_BACKGROUND_CODECS; i++) {

        if (ccf->level[i] == NGX_HTTP_BACKGROUND_COMPRESS_NONE) {
            continue;
        }

        c->old = 0;

        rc = ngx_http_background_compress_target(c, i);

        ngx_http_background_temp_discard(&c->temp);

        if (rc == NGX_ABORT) {
            return rc;
        }

        if (rc == NGX_ERROR) {
            result = rc;

            if (c->old) {
                ngx_http_background_compress_old(c);
            }
        }
    }

    return result;
}


static ngx_int_t
ngx_http_background_compress_target(ngx_http_background_compressor_t *c,
    ngx_uint_t n)
{
    ngx_int_t                             rc;
    ngx_uint_t                            there, owned;
    ngx_file_info_t                       fi;
    ngx_http_background_stamp_t           stamp;
    ngx_http_background_target_t         *target;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;
    target = &c->target;

    c->codec = &ngx_http_background_codecs[n];

    if (ngx_http_background_compress_name(c) != NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_background_tree_stat(c->tree, c->file, &c->info)
        == NGX_FILE_ERROR)
    {
        /*
         * the source was removed after the folder was read: prune() removes
         * its files
         */

        return (ngx_errno == NGX_ENOENT)
               ? NGX_OK
               : ngx_http_background_compress_fail(c, ngx_errno,
                                       "fstatat() of the source of %s failed");
    }

    if (!ngx_is_file(&c->info)) {
        return NGX_OK;
    }

    rc = ngx_http_background_compress_there(c, &fi);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    there = (rc == NGX_OK);

    owned = ngx_http_background_list_owns(c->list, target,
                                          there ? &fi : NULL, &stamp);

    if (there && !owned) {
        return ngx_http_background_compress_other(c, &fi);
    }

    rc = NGX_OK;

    if (c->info.st_size >= ccf->min_length) {
        rc = ngx_http_background_compress_poor(c);
    }

    if (rc == NGX_OK) {
        c->old = there;
        return there ? ngx_http_background_compress_none(c) : NGX_OK;
    }

    if (rc == NGX_DECLINED && there) {
        rc = ngx_http_background_compress_current(c, &fi, &stamp);
    }

    return (rc == NGX_DECLINED) ? ngx_http_background_compress_make(c, n) : rc;
}


/* sets the name of the target; NGX_DECLINED: it would be too long */

static ngx_int_t
ngx_http_background_compress_name(ngx_http_background_compressor_t *c)
{
    u_char                               *p,
                                          text[NGX_HTTP_BACKGROUND_PATH_TEXT];
    ngx_http_background_file_t           *file;
    ngx_http_background_target_t         *target;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;
    file = c->file;
    target = &c->target;

    p = ngx_cpymem(target->path.data, file->path.data, file->path.len);
    p = ngx_cpymem(p, c->codec->suffix.data, c->codec->suffix.len);
    *p = '\0';

    target->path.len = p - target->path.data;
    target->name = target->path.data + (file->name - file->path.data);
    target->dirfd = file->dir->fd;

    if (p - target->name > NAME_MAX) {
        ngx_log_error(NGX_LOG_INFO, c->run->log, 0,
                      "background task \"%V\": no \"%V\" file for %s, the "
                      "name would be too long", c->run->task,
                      &c->codec->suffix,
                      ngx_http_background_path_log(text, &ccf->path,
                                                   &file->path));
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* NGX_OK: the target is a regular file; NGX_DECLINED: there is none */

static ngx_int_t
ngx_http_background_compress_there(ngx_http_background_compressor_t *c,
    ngx_file_info_t *fi)
{
    if (fstatat(c->target.dirfd, (char *) c->target.name, fi,
                AT_SYMLINK_NOFOLLOW)
        == -1)
    {
        return (ngx_errno == NGX_ENOENT)
               ? NGX_DECLINED
               : ngx_http_background_compress_fail(c, ngx_errno,
                                                   "fstatat() %s failed");
    }

    return ngx_is_file(fi) ? NGX_OK
                           : ngx_http_background_compress_fail(c, 0,
                                                     "%s is no regular file");
}


/*
 * Returns NGX_OK if the target is in the list and up to date, or NGX_DECLINED.
 * The content of a source may change without its time and size, and its inode
 * and change time may change without the content.
 */

static ngx_int_t
ngx_http_background_compress_current(ngx_http_background_compressor_t *c,
    ngx_file_info_t *fi, ngx_http_background_stamp_t *stamp)
{
    ngx_int_t  rc;

    if (fi->st_size == 0
        || fi->st_mtim.tv_sec != c->info.st_mtim.tv_sec
        || fi->st_mtim.tv_nsec != c->info.st_mtim.tv_nsec)
    {
        c->old = 1;
        return NGX_DECLINED;
    }

    if (ngx_http_background_source_same(&stamp->source, &c->info)) {
        rc = NGX_OK;

    } else if (stamp->source.known) {
        rc = ngx_http_background_compress_confirm(c, stamp);

    } else {
        rc = ngx_http_background_compress_unpacks(c, fi);

        if (rc == NGX_OK) {
            stamp->source = c->source;
            rc = ngx_http_background_list_confirm(c->list, c->run, &c->target,
                                                  stamp);
        } else if (rc == NGX_ERROR) {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_DECLINED) {
        c->old = 1;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ((fi->st_mode & 0777) == (c->info.st_mode & 0777)
            && (!c->root
                || (fi->st_uid == c->info.st_uid
                    && fi->st_gid == c->info.st_gid)))
           ? NGX_OK
           : NGX_DECLINED;
}


/* returns NGX_OK if no file is made of the source, or NGX_DECLINED */

static ngx_int_t
ngx_http_background_compress_poor(ngx_http_background_compressor_t *c)
{
    ngx_http_background_stamp_t  stamp;

    if (!ngx_http_background_list_poor(c->list, &c->target, &c->info, &stamp)
        || !stamp.source.known)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_background_source_same(&stamp.source, &c->info)) {
        return NGX_OK;
    }

    return ngx_http_background_compress_confirm(c, &stamp);
}


/* if the content is the same, adds the line with the new state of the source */

static ngx_int_t
ngx_http_background_compress_confirm(ngx_http_background_compressor_t *c,
    ngx_http_background_stamp_t *stamp)
{
    int                                   fd;
    ngx_int_t                             rc;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    if (stamp->source.size != c->info.st_size) {
        return NGX_DECLINED;
    }

    /* compress_make() will fail in the same way and count it */

    fd = ngx_http_background_tree_open(c->tree, c->file, &c->info);

    if (fd == -1) {
        return NGX_DECLINED;
    }

    rc = ngx_http_background_source_compare(c->run, fd, &c->info,
                                            &stamp->source);

    ngx_http_background_close(c->run, fd, &ccf->path, &c->file->path);

    if (rc == NGX_ERROR) {
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_background_source_set(&stamp->source, &c->info);

    return ngx_http_background_list_confirm(c->list, c->run, &c->target,
                                            stamp);
}


/*
 * A file that is not in the list is kept.  It is checked, as nginx sends it
 * instead of the source.
 */

static ngx_int_t
ngx_http_background_compress_other(ngx_http_background_compressor_t *c,
    ngx_file_info_t *fi)
{
    u_char                                sign,
                                          text[NGX_HTTP_BACKGROUND_PATH_TEXT];
    ngx_int_t                             rc;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    sign = ngx_http_background_list_other(c->list, &c->target, fi, &c->info);

    if (sign == '!') {
        ngx_http_background_compress_old(c);
        return NGX_OK;
    }

    if (sign == '=' && !ccf->adopt) {
        return NGX_OK;
    }

    rc = ngx_http_background_compress_unpacks(c, fi);

    if (rc == NGX_ABORT) {
        return rc;
    }

    /* a file that can't be read or has changed is checked in the next cycle */

    if (rc == NGX_ERROR) {
        return NGX_OK;
    }

    ngx_http_background_path_log(text, &ccf->path, &c->target.path);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, c->run->log, 0,
                      "background task \"%V\": %s is not of this module and "
                      "does not unpack to its source", c->run->task, text);

        ngx_http_background_compress_old(c);
    }

    if (rc == NGX_OK && ccf->adopt) {
        rc = ngx_http_background_list_adopt(c->list, c->run, &c->target, fi,
                                            &c->source);
        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_INFO, c->run->log, 0,
                          "background task \"%V\": adopted %s", c->run->task,
                          text);
        }

        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    return ngx_http_background_list_remark(c->list, c->run, &c->target,
                                           (rc == NGX_OK) ? '=' : '!', fi,
                                           &c->info);
}


/*
 * Returns NGX_OK if the target unpacks to the source, and sets the state of
 * the source; NGX_DECLINED if it does not; NGX_ERROR if that can't be told.
 */

static ngx_int_t
ngx_http_background_compress_unpacks(ngx_http_background_compressor_t *c,
    ngx_file_info_t *fi)
{
    int                                   fd, packed;
    ngx_int_t                             rc;
    ngx_file_info_t                       source, target;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    packed = openat(c->target.dirfd, (char *) c->target.name,
                    NGX_HTTP_BACKGROUND_TREE_OPEN|O_NOFOLLOW);

    if (packed == -1) {
        return NGX_ERROR;
    }

    fd = ngx_http_background_tree_open(c->tree, c->file, &c->info);

    rc = NGX_ERROR;

    if (fd != -1
        && ngx_fd_info(packed, &target) != NGX_FILE_ERROR
        && !ngx_http_background_file_changed(fi, &target))
    {
        rc = ngx_http_background_unpacks(c->run, c->codec, packed, fd,
                                         c->source.digest);

        if (rc != NGX_ABORT
            && (ngx_fd_info(packed, &target) == NGX_FILE_ERROR
                || ngx_http_background_file_changed(fi, &target)
                || ngx_fd_info(fd, &source) == NGX_FILE_ERROR
                || ngx_http_background_file_changed(&c->info, &source)))
        {
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_OK) {
        ngx_http_background_source_set(&c->source, &c->info);
    }

    if (fd != -1) {
        ngx_http_background_close(c->run, fd, &ccf->path, &c->file->path);
    }

    ngx_http_background_close(c->run, packed, &ccf->path, &c->target.path);

    return rc;
}


/* counts an old file that is kept */

static void
ngx_http_background_compress_old(ngx_http_background_compressor_t *c)
{
    ngx_http_background_compress_t *ctx = c->run->ctx;

    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    if (__atomic_fetch_add(&ctx->old, 1, __ATOMIC_RELAXED) == 0) {
        ngx_http_background_path_text(ctx->first, &ccf->path,
                                      &c->target.path);
    }
}


/* logs the number of old files when it has changed */

static void
ngx_http_background_compress_tell(ngx_http_background_compress_t *ctx)
{
    u_char                               *p;
    ngx_http_background_run_t            *run;
    ngx_http_background_compress_conf_t  *ccf;

    run = ctx->run;
    ccf = run->conf;

    if (ctx->old) {
        ngx_http_background_message(&run->result, "old files: %ui, as %s",
                                    ctx->old, ctx->first);
    }

    if (ctx->old == ccf->old) {
        return;
    }

    ccf->old = ctx->old;

    if (ctx->old == 0) {
        ngx_log_error(NGX_LOG_NOTICE, run->log, 0,
                      "background task \"%V\": there are no old compressed "
                      "files in \"%V\" any more", run->task, &ccf->path);
        return;
    }

    for (p = ctx->first; *p; p++) {
        *p = (*p < 0x20 || *p == 0x7f) ? '?' : *p;
    }

    ngx_log_error(NGX_LOG_WARN, run->log, 0,
                  "background task \"%V\": old compressed files in \"%V\" that "
                  "are not of this module or can not be replaced: %ui, as %s",
                  run->task, &ccf->path, ctx->old, ctx->first);
}


static ngx_int_t
ngx_http_background_compress_make(ngx_http_background_compressor_t *c,
    ngx_uint_t n)
{
    int                                   fd;
    ngx_int_t                             rc;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    fd = ngx_http_background_tree_open(c->tree, c->file, &c->info);

    if (fd == -1) {
        if (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ELOOP) {
            return NGX_OK;
        }

        ngx_http_background_tree_fail(c->tree, c->run, c->file, ngx_errno,
                                      "open() %s failed");
        return NGX_ERROR;
    }

    rc = ngx_http_background_compress_stream(c, fd, n);

    ngx_http_background_close(c->run, fd, &ccf->path, &c->file->path);

    if (rc == NGX_ABORT || rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_DONE
        || ngx_http_background_tree_changed(c->tree, c->file, &c->info))
    {
        ngx_http_background_tree_fail(c->tree, c->run, c->file, 0,
                                      "%s changed while it was read");
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        if (ngx_http_background_compress_none(c) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_background_list_spare(c->list, c->run, &c->target,
                                              &c->info, &c->source);
    }

    if (ngx_http_background_compress_attributes(c) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_background_list_publish(c->list, c->run, &c->target,
                                          &c->temp, &c->source);

    /* a file that was created by someone else meanwhile is kept */

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


/*
 * Returns NGX_DECLINED if the output is not smaller than the source, or
 * NGX_DONE if the size of the source has changed.
 */

static ngx_int_t
ngx_http_background_compress_stream(ngx_http_background_compressor_t *c,
    int fd, ngx_uint_t n)
{
    ngx_int_t                             rc;
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    if (c->codecs[n] == NULL) {
        c->codecs[n] = c->codec->create(ccf->level[n]);
    }

    if (c->codecs[n] == NULL
        || c->codec->reset(c->codecs[n], c->info.st_size) != NGX_OK)
    {
        return ngx_http_background_compress_fail(c, NGX_ENOMEM,
                                                 "compressing %s failed");
    }

    if (ngx_http_background_temp_create(&c->temp, c->target.dirfd) != NGX_OK) {
        return ngx_http_background_compress_fail(c, ngx_errno,
                                   "open() of a temporary file for %s failed");
    }

    if (ngx_http_background_sha256_begin(c->digest) != NGX_OK) {
        return ngx_http_background_compress_fail(c, 0,
                                                 "EVP_DigestInit_ex() of the "
                                                 "source of %s failed");
    }

    c->received = 0;
    c->written = 0;
    c->larger = 0;

    do {
        rc = ngx_http_background_compress_read(c, fd, c->codecs[n]);
    } while (rc == NGX_AGAIN);

    ngx_http_background_source_set(&c->source, &c->info);

    if ((rc == NGX_OK || rc == NGX_DECLINED)
        && ngx_http_background_sha256_end(c->digest, c->source.digest)
           != NGX_OK)
    {
        return ngx_http_background_compress_fail(c, 0,
                                                 "EVP_DigestFinal_ex() of the "
                                                 "source of %s failed");
    }

    return rc;
}


/* returns NGX_AGAIN if there may be more data to read */

static ngx_int_t
ngx_http_background_compress_read(ngx_http_background_compressor_t *c, int fd,
    void *ctx)
{
    size_t      size;
    u_char     *p, *last;
    ssize_t     n;
    ngx_int_t   rc;

    n = read(fd, c->in, NGX_HTTP_BACKGROUND_COMPRESS_BUFFER);

    if (n == -1) {
        ngx_http_background_tree_fail(c->tree, c->run, c->file, ngx_errno,
                                      "read() %s failed");
        return NGX_ERROR;
    }

    c->received += n;

    if (c->received > c->info.st_size
        || (n == 0 && c->received < c->info.st_size))
    {
        return NGX_DONE;
    }

    if (n == 0) {
        return ngx_http_background_compress_end(c, ctx);
    }

    if (ngx_http_background_sha256_update(c->digest, c->in, n) != NGX_OK) {
        return ngx_http_background_compress_fail(c, 0,
                                                 "EVP_DigestUpdate() of the "
                                                 "source of %s failed");
    }

    last = c->in + n;

    for (p = c->in; p < last; p += size) {
        size = ngx_min(last - p, NGX_HTTP_BACKGROUND_COMPRESS_SLICE);

        rc = c->larger ? NGX_DECLINED
                       : ngx_http_background_compress_write(c, ctx, p, size,
                                                            0);

        if (rc == NGX_ERROR) {
            return rc;
        }

        c->larger = (rc == NGX_DECLINED);

        c->run->result.bytes += size;

        if (ngx_http_background_cancelled(c->run)) {
            return NGX_ABORT;
        }
    }

    if (c->received < c->info.st_size) {
        return NGX_AGAIN;
    }

    /* tree_changed() tells that the file has grown */

    return ngx_http_background_compress_end(c, ctx);
}


static ngx_int_t
ngx_http_background_compress_end(ngx_http_background_compressor_t *c, void *ctx)
{
    return c->larger ? NGX_DECLINED
                     : ngx_http_background_compress_write(c, ctx, c->in, 0, 1);
}


static ngx_int_t
ngx_http_background_compress_write(ngx_http_background_compressor_t *c,
    void *ctx, u_char *in, size_t len, ngx_uint_t last)
{
    ngx_int_t                       rc;
    ngx_http_background_codec_io_t  io;

    io.in = in;
    io.in_last = in + len;

    do {
        io.out = c->out;
        io.out_last = c->out + NGX_HTTP_BACKGROUND_COMPRESS_BUFFER;

        rc = c->codec->step(ctx, &io, last);

        if (rc == NGX_ERROR) {
            return ngx_http_background_compress_fail(c, 0,
                                                     "compressing %s failed");
        }

        c->written += io.out - c->out;

        if (c->written >= c->info.st_size) {
            return NGX_DECLINED;
        }

        if (ngx_http_background_temp_write(&c->temp, c->out, io.out - c->out)
            != NGX_OK)
        {
            return ngx_http_background_compress_fail(c, ngx_errno,
                                  "write() of a temporary file for %s failed");
        }

    } while (rc == NGX_AGAIN);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_compress_attributes(ngx_http_background_compressor_t *c)
{
    struct timespec  times[2];

    if (c->root
        && (c->temp.uid != c->info.st_uid || c->temp.gid != c->info.st_gid)
        && fchown(c->temp.fd, c->info.st_uid, c->info.st_gid) == -1)
    {
        return ngx_http_background_compress_fail(c, ngx_errno,
                                 "fchown() of a temporary file for %s failed");
    }

    if (fchmod(c->temp.fd, c->info.st_mode & 0777) == -1) {
        return ngx_http_background_compress_fail(c, ngx_errno,
                                 "fchmod() of a temporary file for %s failed");
    }

    if (ngx_http_background_temp_flush(&c->temp) != NGX_OK) {
        return ngx_http_background_compress_fail(c, ngx_errno,
                                  "close() of a temporary file for %s failed");
    }

    times[0].tv_sec = 0;
    times[0].tv_nsec = UTIME_OMIT;
    times[1] = c->info.st_mtim;

    if (futimens(c->temp.fd, times) == -1) {
        return ngx_http_background_compress_fail(c, ngx_errno,
                               "futimens() of a temporary file for %s failed");
    }

    return NGX_OK;
}


/* removes the target if it is in the list */

static ngx_int_t
ngx_http_background_compress_none(ngx_http_background_compressor_t *c)
{
    ngx_int_t  rc;

    rc = ngx_http_background_list_remove(c->list, c->run, &c->target);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
ngx_http_background_compress_fail(ngx_http_background_compressor_t *c,
    ngx_err_t err, const char *fmt)
{
    ngx_http_background_compress_conf_t  *ccf;

    ccf = c->run->conf;

    ngx_http_background_fail_path(&c->run->result, &ccf->path,
                                  &c->target.path, err, fmt);

    return NGX_ERROR;
}
