
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "verify": checks the hashes of files in a list, as "sha256sum -c" does */


#include <ngx_http_background.h>

#include "ngx_http_background_compress_list.h"
#include "ngx_http_background_hash.h"
#include "ngx_http_background_linebuf.h"
#include "ngx_http_background_manifest.h"
#include "ngx_http_background_nameset.h"
#include "ngx_http_background_tree.h"


#define NGX_HTTP_BACKGROUND_VERIFY_BUFFER  65536
#define NGX_HTTP_BACKGROUND_VERIFY_LINE                                      \
    (NGX_HTTP_BACKGROUND_VERIFY_BUFFER - 1)


typedef struct {
    ngx_str_t                        manifest;
    ngx_str_t                        root;
    ngx_http_background_hash_conf_t  hash;
    ngx_uint_t                       extra;     /* unsigned extra:1; files that
                                                   are not in the list are
                                                   failures */
    ngx_uint_t                      *warned;    /* one for each worker;
                                                   atomic */
} ngx_http_background_verify_conf_t;


/* shared by all threads */

typedef struct {
    ngx_http_background_run_t      *run;    /* used by begin and finish */
    ngx_thread_mutex_t              mutex;
    int                             fd;
    ngx_file_info_t                 info;   /* information on the list */
    ngx_file_info_t                 folder; /* and, with "extra=fail", on its
                                               folder */
    u_char                         *name;   /* the last part of its path */
    int                             root;
    uint64_t                        total;  /* in lines */
    ngx_uint_t                      blanks; /* as found by the first pass */

    /* NULL and empty without "extra=fail" */
    ngx_http_background_tree_t     *tree;
    ngx_http_background_nameset_t   names;

    /* under the mutex */
    ngx_http_background_linebuf_t   lines;
    ngx_err_t                       err;

    ngx_uint_t                      mutexed;
} ngx_http_background_verify_t;


/* used by one thread */

typedef struct {
    ngx_str_t                    text;
    ngx_uint_t                   number;
    ngx_uint_t                   too_long;
    ngx_uint_t                   blanks;

    ngx_http_background_checksum_t  sum;
} ngx_http_background_verify_line_t;


static char *ngx_http_background_verify(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_background_verify_conf_extra(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static char *ngx_http_background_verify_paths(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_background_verify_conf_t *vcf);

static void ngx_http_background_verify_begin(ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_verify_open(
    ngx_http_background_verify_t *v, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_verify_folder(
    ngx_http_background_verify_t *v, ngx_http_background_run_t *run);
static void ngx_http_background_verify_count(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_verify_listed(
    ngx_http_background_verify_t *v, ngx_http_background_run_t *run,
    EVP_MD_CTX *ctx, ngx_str_t *name);
static void ngx_http_background_verify_warn(ngx_http_background_run_t *run);
static ngx_uint_t ngx_http_background_verify_rewritable(u_char *path);

static void ngx_http_background_verify_work(ngx_http_background_run_t *run);
static ngx_http_background_verify_line_t *ngx_http_background_verify_line(
    ngx_http_background_verify_t *v, ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_verify_next(
    ngx_http_background_verify_t *v, ngx_http_background_run_t *run,
    ngx_http_background_verify_line_t *line);
static ngx_int_t ngx_http_background_verify_read(
    ngx_http_background_verify_t *v, ngx_http_background_verify_line_t *line);
static void ngx_http_background_verify_fill(ngx_http_background_verify_t *v);
static void ngx_http_background_verify_file(ngx_http_background_verify_t *v,
    ngx_http_background_hash_t *hash, ngx_http_background_verify_line_t *line);
static ngx_int_t ngx_http_background_verify_possible(
    ngx_http_background_hash_t *hash, ngx_http_background_verify_line_t *line);
static int ngx_http_background_verify_open_file(
    ngx_http_background_verify_t *v, ngx_http_background_run_t *run,
    ngx_str_t *name, ngx_file_info_t *fi);
static void ngx_http_background_verify_hash(ngx_http_background_verify_t *v,
    ngx_http_background_hash_t *hash, ngx_http_background_verify_line_t *line,
    int fd, ngx_file_info_t *fi);
static void ngx_http_background_verify_extra(ngx_http_background_verify_t *v,
    ngx_http_background_hash_t *hash);
static ngx_uint_t ngx_http_background_verify_skips(
    ngx_http_background_verify_t *v, ngx_http_background_file_t *file);
static ngx_uint_t ngx_http_background_verify_changed(
    ngx_http_background_verify_t *v, ngx_str_t *name, ngx_file_info_t *before);
static void ngx_http_background_verify_progress(
    ngx_http_background_run_t *run);
static void ngx_http_background_verify_finish(ngx_http_background_run_t *run);
static void ngx_http_background_verify_cleanup(void *data);


static ngx_http_background_kind_t  ngx_http_background_verify_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    ngx_http_background_verify_begin,        /* begin */
    ngx_http_background_verify_work,         /* work */
    ngx_http_background_verify_finish,       /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_param_t  ngx_http_background_verify_params[] =
{
    NGX_HTTP_BACKGROUND_HASH_PARAMS(ngx_http_background_verify_conf_t),

    { ngx_string("root="), 0, ngx_http_background_conf_string,
      offsetof(ngx_http_background_verify_conf_t, root), NULL },

    { ngx_string("extra="), 0, ngx_http_background_verify_conf_extra,
      offsetof(ngx_http_background_verify_conf_t, extra), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_verify_commands[] = {

    { ngx_string("verify"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_verify,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_verify_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_verify_module = {
    NGX_MODULE_V1,
    &ngx_http_background_verify_module_ctx, /* module context */
    ngx_http_background_verify_commands,   /* module directives */
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
ngx_http_background_verify(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                          *value;
    ngx_http_background_verify_conf_t  *vcf;

    vcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_verify_conf_t));
    if (vcf == NULL) {
        return NGX_CONF_ERROR;
    }

    vcf->warned = ngx_pcalloc(cf->pool, sizeof(ngx_uint_t));
    if (vcf->warned == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    vcf->manifest = value[1];

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_verify_params, vcf)
            != NGX_OK
        || ngx_http_background_hash_init_conf(cf, &vcf->hash) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_verify_paths(cf, cmd, vcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                       &ngx_http_background_verify_kind, vcf);
}


static ngx_int_t
ngx_http_background_verify_conf_extra(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_uint_t *extra = p;

    if (ngx_strcmp(arg->value.data, "fail") == 0) {
        *extra = 1;
        return NGX_OK;
    }

    if (ngx_strcmp(arg->value.data, "ignore") == 0) {
        *extra = 0;
        return NGX_OK;
    }

    return ngx_http_background_conf_invalid(cf, arg, "value",
                                            "\"fail\" or \"ignore\"");
}


/* by default names are relative to the folder of the list */

static char *
ngx_http_background_verify_paths(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_background_verify_conf_t *vcf)
{
    u_char  *p;

    if (vcf->manifest.len == 0
        || vcf->manifest.data[vcf->manifest.len - 1] == '/')
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid manifest \"%V\" in \"%V\" directive, "
                           "it must be a file's name",
                           &vcf->manifest, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (vcf->root.data && vcf->root.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty root in \"%V\" directive", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &vcf->manifest, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_http_background_conf_path(cf, &vcf->manifest);

    if (vcf->root.data) {
        if (ngx_conf_full_name(cf->cycle, &vcf->root, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        ngx_http_background_conf_path(cf, &vcf->root);

        return NGX_CONF_OK;
    }

    p = vcf->manifest.data + vcf->manifest.len;

    while (p[-1] != '/') {
        p--;
    }

    vcf->root.len = ngx_max(p - vcf->manifest.data - 1, 1);

    vcf->root.data = ngx_pnalloc(cf->pool, vcf->root.len + 1);
    if (vcf->root.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_cpystrn(vcf->root.data, vcf->manifest.data, vcf->root.len + 1);

    return NGX_CONF_OK;
}


static void
ngx_http_background_verify_begin(ngx_http_background_run_t *run)
{
    u_char                             *buffer;
    ngx_pool_cleanup_t                 *cln;
    ngx_http_background_verify_t       *v;
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    run->limit_rate = vcf->hash.limit_rate;

    cln = ngx_pool_cleanup_add(run->pool, sizeof(ngx_http_background_verify_t));
    if (cln == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    v = cln->data;
    ngx_memzero(v, sizeof(ngx_http_background_verify_t));

    v->run = run;
    v->fd = -1;
    v->root = -1;

    cln->handler = ngx_http_background_verify_cleanup;

    run->ctx = v;

    if (ngx_http_background_verify_open(v, run) != NGX_OK) {
        return;
    }

    buffer = ngx_palloc(run->pool, NGX_HTTP_BACKGROUND_VERIFY_BUFFER);

    if (buffer == NULL
        || ngx_thread_mutex_create(&v->mutex, run->log) != NGX_OK)
    {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    v->mutexed = 1;

    ngx_http_background_linebuf_init(&v->lines, buffer,
                                     NGX_HTTP_BACKGROUND_VERIFY_BUFFER,
                                     NGX_HTTP_BACKGROUND_VERIFY_LINE);

    ngx_http_background_verify_warn(run);
    ngx_http_background_verify_count(v, run);
}


static ngx_int_t
ngx_http_background_verify_open(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run)
{
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    v->fd = open((char *) vcf->manifest.data, NGX_HTTP_BACKGROUND_TREE_OPEN);

    if (v->fd == -1) {
        ngx_http_background_fail_path(&run->result, NULL, &vcf->manifest,
                                      ngx_errno, "open() %s failed");
        return NGX_ERROR;
    }

    if (ngx_fd_info(v->fd, &v->info) == NGX_FILE_ERROR) {
        ngx_http_background_fail_path(&run->result, NULL, &vcf->manifest,
                                      ngx_errno, ngx_fd_info_n " %s failed");
        return NGX_ERROR;
    }

    if (!ngx_is_file(&v->info)) {
        ngx_http_background_fail_path(&run->result, NULL, &vcf->manifest, 0,
                                      "%s is no regular file");
        return NGX_ERROR;
    }

    if (vcf->extra) {

        if (ngx_http_background_verify_folder(v, run) != NGX_OK) {
            return NGX_ERROR;
        }

        v->tree = ngx_http_background_tree_create(run, &vcf->root,
                                              NGX_HTTP_BACKGROUND_TREE_GONE);
        if (v->tree == NULL) {
            return NGX_ERROR;
        }

        v->root = fcntl(ngx_http_background_tree_fd(v->tree), F_DUPFD_CLOEXEC,
                        0);

    } else {
        v->root = open((char *) vcf->root.data,
                       O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    }

    if (v->root == -1) {
        ngx_http_background_fail_path(&run->result, &vcf->root, NULL, ngx_errno,
                                      "open() %s failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_verify_folder(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run)
{
    size_t                              len;
    u_char                             *path;
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    v->name = vcf->manifest.data + vcf->manifest.len;

    while (v->name[-1] != '/') {
        v->name--;
    }

    len = v->name - vcf->manifest.data;

    path = ngx_pnalloc(run->pool, len + 1);
    if (path == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    ngx_cpystrn(path, vcf->manifest.data, len + 1);

    if (ngx_file_info(path, &v->folder) == NGX_FILE_ERROR) {
        ngx_http_background_fail_path(&run->result, NULL, &vcf->manifest,
                                      ngx_errno,
                                      ngx_file_info_n " of the directory of "
                                      "%s failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Reads the list for the first time, to count the lines and, with
 * "extra=fail", to collect the names.
 */

static void
ngx_http_background_verify_count(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run)
{
    ngx_http_background_hash_t         *hash;
    ngx_http_background_verify_conf_t  *vcf;
    ngx_http_background_verify_line_t  *line;

    vcf = run->conf;

    hash = ngx_http_background_hash_create(run, vcf->hash.md);
    line = ngx_http_background_verify_line(v, run);

    if (hash == NULL || line == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    while (ngx_http_background_verify_next(v, run, line) == NGX_OK) {
        v->total++;

        if (ngx_http_background_cancelled(run)) {
            return;
        }

        if (vcf->extra && line->sum.name.data
            && ngx_http_background_verify_listed(v, run, hash->ctx,
                                                 &line->sum.name)
               != NGX_OK)
        {
            return;
        }
    }

    v->blanks = line->blanks;

    ngx_http_background_nameset_sort(&v->names);

    if (lseek(v->fd, 0, SEEK_SET) == -1) {
        ngx_http_background_fail(&run->result, ngx_errno, "lseek() failed");
        return;
    }

    ngx_http_background_linebuf_init(&v->lines, v->lines.start,
                                     NGX_HTTP_BACKGROUND_VERIFY_BUFFER,
                                     NGX_HTTP_BACKGROUND_VERIFY_LINE);

    ngx_http_background_verify_progress(run);
}


static ngx_int_t
ngx_http_background_verify_listed(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run, EVP_MD_CTX *ctx, ngx_str_t *name)
{
    ngx_int_t                           rc;
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    rc = ngx_http_background_nameset_add(&v->names, ctx, name, run->log);

    if (rc == NGX_DECLINED) {
        ngx_http_background_fail(&run->result, 0,
                                 "\"%V\" has more than %d names, which is the "
                                 "most with \"extra=fail\"", &vcf->manifest,
                                 NGX_HTTP_BACKGROUND_NAMESET_MAX);

    } else if (rc != NGX_OK) {
        ngx_http_background_fail(&run->result, 0,
                                 "no memory for the names of \"%V\"",
                                 &vcf->manifest);
    }

    return rc;
}


static void
ngx_http_background_verify_warn(ngx_http_background_run_t *run)
{
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    if (__atomic_load_n(vcf->warned, __ATOMIC_RELAXED)
        || !ngx_http_background_verify_rewritable(vcf->manifest.data))
    {
        return;
    }

    /* several cycles of the task may run at the same time */

    if (!__atomic_exchange_n(vcf->warned, 1, __ATOMIC_RELAXED)) {
        ngx_log_error(NGX_LOG_WARN, run->log, 0,
                      "background task \"%V\": the worker's own user may "
                      "rewrite \"%V\", which \"verify\" relies on",
                      run->task, &vcf->manifest);
    }
}


/*
 * Whether the user of the worker may replace the list, because the user may
 * write to it or to one of its directories, or owns one of them.
 */

static ngx_uint_t
ngx_http_background_verify_rewritable(u_char *path)
{
    char             *real, *p;
    uid_t             user;
    ngx_uint_t        rewritable;
    ngx_file_info_t   fi;

    user = geteuid();

    if (user == 0) {
        return 1;
    }

    real = realpath((char *) path, NULL);
    if (real == NULL) {
        return 0;
    }

    rewritable = 0;

    for ( ;; ) {

        if (stat(real, &fi) == -1) {
            break;
        }

        /*
         * in a sticky directory such as /tmp only the owner may replace a file
         */

        if (fi.st_uid == user
            || (faccessat(AT_FDCWD, real, W_OK, AT_EACCESS) == 0
                && !(fi.st_mode & S_ISVTX)))
        {
            rewritable = 1;
            break;
        }

        if (ngx_strcmp(real, "/") == 0) {
            break;
        }

        p = strrchr(real, '/');
        p[p == real] = '\0';
    }

    free(real);

    return rewritable;
}


static void
ngx_http_background_verify_work(ngx_http_background_run_t *run)
{
    ngx_http_background_hash_t         *hash;
    ngx_http_background_verify_t       *v;
    ngx_http_background_verify_conf_t  *vcf;
    ngx_http_background_verify_line_t  *line;

    v = run->ctx;
    vcf = run->conf;

    hash = ngx_http_background_hash_create(run, vcf->hash.md);
    line = ngx_http_background_verify_line(v, run);

    if (hash == NULL || line == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    while (ngx_http_background_verify_next(v, run, line) == NGX_OK) {

        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ngx_http_background_verify_file(v, hash, line);

        ngx_http_background_verify_progress(run);
    }

    if (v->tree) {
        ngx_http_background_verify_extra(v, hash);
    }
}


static ngx_http_background_verify_line_t *
ngx_http_background_verify_line(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run)
{
    ngx_http_background_verify_line_t  *line;

    line = ngx_palloc(run->pool, sizeof(ngx_http_background_verify_line_t));
    if (line == NULL) {
        return NULL;
    }

    line->text.data = ngx_pnalloc(run->pool,
                                  NGX_HTTP_BACKGROUND_VERIFY_LINE + 1);
    if (line->text.data == NULL) {
        return NULL;
    }

    line->blanks = v->blanks;

    return line;
}


/* sets the name to NULL if the line is invalid */

static ngx_int_t
ngx_http_background_verify_next(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run, ngx_http_background_verify_line_t *line)
{
    ngx_int_t                           rc;
    ngx_err_t                           err;
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    for ( ;; ) {
        (void) ngx_thread_mutex_lock(&v->mutex, run->log);

        rc = ngx_http_background_verify_read(v, line);
        err = 0;

        /* one of the threads tells it, when no lines are left */

        if (rc == NGX_DONE) {
            err = v->err;
            v->err = 0;
        }

        (void) ngx_thread_mutex_unlock(&v->mutex, run->log);

        if (rc == NGX_AGAIN) {
            goto next;
        }

        if (rc != NGX_OK) {

            if (err) {
                ngx_http_background_fail_path(&run->result, NULL,
                                              &vcf->manifest, err,
                                              "read() %s failed");
            }

            return NGX_DONE;
        }

        ngx_str_null(&line->sum.name);

        if (line->too_long) {
            return NGX_OK;
        }

        rc = ngx_http_background_manifest_parse(&line->text, vcf->hash.md,
                                                &line->blanks, &line->sum);

        if (rc == NGX_ERROR) {
            ngx_str_null(&line->sum.name);
            return NGX_OK;
        }

        if (rc == NGX_OK) {
            ngx_http_background_path_relative(&vcf->root, &line->sum.name);
            return NGX_OK;
        }

    next:

        if (ngx_http_background_cancelled(run)) {
            return NGX_DONE;
        }
    }
}


/* returns NGX_AGAIN if a buffer was read that does not complete the line */

static ngx_int_t
ngx_http_background_verify_read(ngx_http_background_verify_t *v,
    ngx_http_background_verify_line_t *line)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = ngx_http_background_linebuf_next(&v->lines, &text);

    if (rc == NGX_AGAIN) {
        ngx_http_background_verify_fill(v);
        return NGX_AGAIN;
    }

    if (rc == NGX_DONE) {
        return NGX_DONE;
    }

    line->number = v->lines.number;
    line->too_long = (rc == NGX_DECLINED);

    if (!line->too_long) {
        ngx_memcpy(line->text.data, text.data, text.len);
        line->text.len = text.len;
    }

    return NGX_OK;
}


static void
ngx_http_background_verify_fill(ngx_http_background_verify_t *v)
{
    ssize_t  n;

    n = read(v->fd, v->lines.last, v->lines.end - v->lines.last);

    if (n == -1) {
        v->err = ngx_errno;
        ngx_http_background_linebuf_abort(&v->lines);
        return;
    }

    v->lines.last += n;
    v->lines.eof = (n == 0);
}


static void
ngx_http_background_verify_file(ngx_http_background_verify_t *v,
    ngx_http_background_hash_t *hash, ngx_http_background_verify_line_t *line)
{
    int                                 fd;
    ngx_file_info_t                     fi;
    ngx_http_background_run_t          *run;
    ngx_http_background_verify_conf_t  *vcf;

    run = hash->run;
    vcf = run->conf;

    if (ngx_http_background_verify_possible(hash, line) != NGX_OK) {
        return;
    }

    fd = ngx_http_background_verify_open_file(v, run, &line->sum.name, &fi);

    if (fd == -1) {
        return;
    }

    ngx_http_background_verify_hash(v, hash, line, fd, &fi);

    ngx_http_background_close(run, fd, &vcf->root, &line->sum.name);
}


static ngx_int_t
ngx_http_background_verify_possible(ngx_http_background_hash_t *hash,
    ngx_http_background_verify_line_t *line)
{
    ngx_http_background_run_t          *run;
    ngx_http_background_verify_conf_t  *vcf;

    run = hash->run;
    vcf = run->conf;

    if (line->sum.name.data == NULL) {
        ngx_http_background_fail(&run->result, 0,
                                 "line %ui of \"%V\" is no checksum of the "
                                 "algorithm", line->number, &vcf->manifest);
        return NGX_ERROR;
    }

    if (!ngx_http_background_hash_has_size(hash, line->sum.len)) {
        ngx_http_background_fail(&run->result, 0,
                                 "line %ui of \"%V\" has a checksum of %uz "
                                 "bits, which this version of OpenSSL can't "
                                 "compute", line->number, &vcf->manifest,
                                 8 * line->sum.len);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* returns the descriptor of a regular file, or -1 */

static int
ngx_http_background_verify_open_file(ngx_http_background_verify_t *v,
    ngx_http_background_run_t *run, ngx_str_t *name, ngx_file_info_t *fi)
{
    int                                 fd;
    ngx_http_background_verify_conf_t  *vcf;

    vcf = run->conf;

    fd = ngx_http_background_open_beneath(v->root, name->data,
                                          NGX_HTTP_BACKGROUND_TREE_OPEN);

    if (fd == -1 && ngx_errno == NGX_EXDEV) {
        ngx_http_background_fail_path(&run->result, NULL, name, 0,
                                      "%s leads out of the root");
        return -1;
    }

    if (fd == -1) {
        ngx_http_background_fail_path(&run->result, &vcf->root, name, ngx_errno,
                                      "open() %s failed");
        return -1;
    }

    if (ngx_fd_info(fd, fi) == NGX_FILE_ERROR) {
        ngx_http_background_fail_path(&run->result, &vcf->root, name, ngx_errno,
                                      ngx_fd_info_n " %s failed");

    } else if (!ngx_is_file(fi)) {
        ngx_http_background_fail_path(&run->result, &vcf->root, name, 0,
                                      "%s is no regular file");

    } else {
        return fd;
    }

    ngx_http_background_close(run, fd, &vcf->root, name);

    return -1;
}


static void
ngx_http_background_verify_hash(ngx_http_background_verify_t *v,
    ngx_http_background_hash_t *hash, ngx_http_background_verify_line_t *line,
    int fd, ngx_file_info_t *fi)
{
    ngx_int_t                           rc;
    ngx_str_t                          *name;
    ngx_http_background_run_t          *run;
    ngx_http_background_verify_conf_t  *vcf;

    run = hash->run;
    vcf = run->conf;
    name = &line->sum.name;

    run->result.active = 1;

    hash->size = line->sum.len;

    rc = ngx_http_background_hash_file(hash, fd, fi,
                                       ngx_http_background_verify_progress);

    if (rc == NGX_ABORT) {
        return;
    }

    run->result.active = 0;

    if (rc != NGX_OK) {
        ngx_http_background_fail_path(&run->result, &vcf->root, name, hash->err,
                                      hash->fmt);

    } else if (hash->len != line->sum.len
               || ngx_memcmp(hash->value, line->sum.hash, hash->len) != 0)
    {
        ngx_http_background_fail_path(&run->result, &vcf->root, name, 0,
                                      "%s has another checksum");

    } else if (ngx_http_background_verify_changed(v, name, fi)) {
        ngx_http_background_fail_path(&run->result, &vcf->root, name, 0,
                                      "%s changed while it was read");

    } else {
        run->result.completed++;
    }
}


/* fails files of the tree that are not in the list */

static void
ngx_http_background_verify_extra(ngx_http_background_verify_t *v,
    ngx_http_background_hash_t *hash)
{
    ngx_int_t                    rc;
    ngx_http_background_run_t   *run;
    ngx_http_background_file_t  *file;

    run = hash->run;

    file = ngx_http_background_tree_file(run);

    if (file == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return;
    }

    while (ngx_http_background_tree_next(v->tree, run, file) == NGX_OK) {

        rc = ngx_http_background_nameset_has(&v->names, hash->ctx,
                                             &file->path);

        if (rc == NGX_ERROR) {
            ngx_http_background_tree_fail(v->tree, run, file, 0,
                                          "looking for %s in the list failed");
            continue;
        }

        if (rc == NGX_DECLINED && !ngx_http_background_verify_skips(v, file)) {
            ngx_http_background_tree_fail(v->tree, run, file, 0,
                                          "%s is not in the list");
        }
    }
}


/*
 * Skips the list itself, which may have been replaced meanwhile or may have
 * other names, files that are written by this module, and files that were
 * removed meanwhile.
 */

static ngx_uint_t
ngx_http_background_verify_skips(ngx_http_background_verify_t *v,
    ngx_http_background_file_t *file)
{
    ngx_file_info_t  fi;

    if (ngx_http_background_is_temp(file->name)
        || ngx_strcmp(file->name, NGX_HTTP_BACKGROUND_COMPRESS_LIST) == 0)
    {
        return 1;
    }

    if (file->dir
        && file->dir->ino == v->folder.st_ino
        && file->dir->dev == v->folder.st_dev
        && ngx_strcmp(file->name, v->name) == 0)
    {
        return 1;
    }

    if (ngx_http_background_tree_stat(v->tree, file, &fi) == NGX_FILE_ERROR) {
        return ngx_errno == NGX_ENOENT;
    }

    return ngx_file_uniq(&fi) == ngx_file_uniq(&v->info)
           && fi.st_dev == v->info.st_dev;
}


/* whether the file was changed or replaced while it was read */

static ngx_uint_t
ngx_http_background_verify_changed(ngx_http_background_verify_t *v,
    ngx_str_t *name, ngx_file_info_t *before)
{
    int              fd;
    ngx_uint_t       changed;
    ngx_file_info_t  after;

    fd = ngx_http_background_open_beneath(v->root, name->data,
                                          O_PATH|O_CLOEXEC);

    if (fd == -1) {
        return 1;
    }

    changed = ngx_fd_info(fd, &after) == NGX_FILE_ERROR
              || ngx_http_background_file_changed(before, &after);

    (void) ngx_close_file(fd);

    return changed;
}


/* the unit is lines; only the run of begin() sets the total */

static void
ngx_http_background_verify_progress(ngx_http_background_run_t *run)
{
    ngx_http_background_verify_t *v = run->ctx;

    ngx_http_background_progress(run,
                                 run->result.completed + run->result.failed,
                                 (run == v->run) ? v->total : 0);
}


static void
ngx_http_background_verify_finish(ngx_http_background_run_t *run)
{
    const char                         *fmt;
    ngx_int_t                           rc;
    ngx_file_info_t                     fi;
    ngx_http_background_verify_t       *v;
    ngx_http_background_verify_conf_t  *vcf;

    v = run->ctx;
    vcf = run->conf;

    if (v == NULL) {
        return;
    }

    if (v->mutexed && !ngx_http_background_cancelled(run)) {
        fmt = NULL;

        rc = ngx_fd_info(v->fd, &fi);

        /* a list that was replaced has another change time, and a link less */

        if (rc != NGX_FILE_ERROR && fi.st_nlink < v->info.st_nlink) {
            fi.st_ctim = v->info.st_ctim;
        }

        if (rc == NGX_FILE_ERROR
            || ngx_http_background_file_changed(&v->info, &fi))
        {
            /* lines may be missing */
            fmt = "%s changed while it was read";

        } else if (v->total == 0 && run->result.failed == 0) {
            fmt = "%s has no checksums";
        }

        if (fmt) {
            ngx_http_background_fail_path(&run->result, NULL, &vcf->manifest, 0,
                                          fmt);
        }
    }

    ngx_http_background_verify_cleanup(v);
}


static void
ngx_http_background_verify_cleanup(void *data)
{
    ngx_http_background_verify_t *v = data;

    if (v->fd != -1) {
        (void) ngx_close_file(v->fd);
        v->fd = -1;
    }

    if (v->root != -1) {
        (void) ngx_close_file(v->root);
        v->root = -1;
    }

    if (v->tree) {
        ngx_http_background_tree_destroy(v->tree);
        v->tree = NULL;
    }

    ngx_http_background_nameset_destroy(&v->names);

    if (v->mutexed) {
        (void) ngx_thread_mutex_destroy(&v->mutex, v->run->log);
        v->mutexed = 0;
    }
}
