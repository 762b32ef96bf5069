
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "digest": hashes a file, or all the regular files of a tree. */


#include <ngx_http_background.h>

#include <dirent.h>
#include <openssl/evp.h>


#define NGX_HTTP_BACKGROUND_DIGEST_BUFFER  65536

/* each level keeps a descriptor open */
#define NGX_HTTP_BACKGROUND_DIGEST_DEPTH   128

#define NGX_HTTP_BACKGROUND_DIGEST_PATH                                      \
    (NGX_HTTP_BACKGROUND_DIGEST_DEPTH * (NAME_MAX + 1))

#define NGX_HTTP_BACKGROUND_DIGEST_OPEN                                      \
    (O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY)


typedef struct {
    ngx_str_t                   path;
    const EVP_MD               *md;
    size_t                      limit_rate;
} ngx_http_background_digest_conf_t;


typedef struct ngx_http_background_digest_s  ngx_http_background_digest_t;

struct ngx_http_background_digest_s {
    ngx_http_background_run_t  *run;
    const EVP_MD               *md;
    EVP_MD_CTX                 *ctx;
    u_char                     *buffer;
    uint64_t                    total;       /* bytes */

    /* what the walk does with a regular file */
    void                      (*file)(ngx_http_background_digest_t *d, int fd,
                                      ngx_file_info_t *fi);
    ngx_uint_t                  quiet;       /* about what can't be read */

    /* of the file or directory at hand, for texts; zero-terminated */
    u_char                     *path;
    u_char                     *path_last;
    u_char                     *path_end;
};


static char *ngx_http_background_digest(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static const EVP_MD *ngx_http_background_digest_algorithm(ngx_conf_t *cf,
    ngx_str_t *name);

static void ngx_http_background_digest_work(ngx_http_background_run_t *run);
static void ngx_http_background_digest_start(ngx_http_background_digest_t *d);
static void ngx_http_background_digest_open(ngx_http_background_digest_t *d);
static void ngx_http_background_digest_tree(ngx_http_background_digest_t *d,
    int fd, ngx_uint_t depth);
static void ngx_http_background_digest_entry(ngx_http_background_digest_t *d,
    int dirfd, struct dirent *de, ngx_uint_t depth);
static void ngx_http_background_digest_count(ngx_http_background_digest_t *d,
    int fd, ngx_file_info_t *fi);
static void ngx_http_background_digest_file(ngx_http_background_digest_t *d,
    int fd, ngx_file_info_t *fi);
static void ngx_http_background_digest_fail(ngx_http_background_digest_t *d,
    ngx_err_t err, const char *call);


static ngx_http_background_kind_t  ngx_http_background_digest_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    ngx_http_background_digest_work,         /* work */
    NULL                                     /* finish */
};


static ngx_command_t  ngx_http_background_digest_commands[] = {

    { ngx_string("digest"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_TAKE123,
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
    ssize_t                             rate;
    ngx_str_t                          *value, s, algorithm;
    ngx_uint_t                          i;
    ngx_file_info_t                     fi;
    ngx_http_background_digest_conf_t  *dcf;

    dcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_digest_conf_t));
    if (dcf == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    dcf->path = value[1];

    if (dcf->path.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty path in \"%V\" directive", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &dcf->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_file_info(dcf->path.data, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_file_info_n " \"%V\" of \"%V\" directive "
                           "failed", &dcf->path, &cmd->name);
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&algorithm, "sha256");

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "algorithm=", 10) == 0) {
            algorithm.data = value[i].data + 10;
            algorithm.len = value[i].len - 10;

        } else if (ngx_strncmp(value[i].data, "limit_rate=", 11) == 0) {
            s.data = value[i].data + 11;
            s.len = value[i].len - 11;

            rate = ngx_parse_size(&s);

            if (rate < 1) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid rate \"%V\" in \"%V\" directive, "
                                   "it must be bytes per second, 1 or more",
                                   &value[i], &cmd->name);
                return NGX_CONF_ERROR;
            }

            dcf->limit_rate = rate;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown parameter \"%V\" in \"%V\" directive",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    dcf->md = ngx_http_background_digest_algorithm(cf, &algorithm);

    if (dcf->md == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown algorithm \"%V\" in \"%V\" directive, "
                           "it must be a digest of OpenSSL",
                           &algorithm, &cmd->name);
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                       &ngx_http_background_digest_kind, dcf);
}


#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

static void
ngx_http_background_digest_cleanup(void *data)
{
    EVP_MD_free(data);
}

#endif


static const EVP_MD *
ngx_http_background_digest_algorithm(ngx_conf_t *cf, ngx_str_t *name)
{
#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

    /* what is looked up by name alone is fetched again for each file */

    EVP_MD              *md;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    md = EVP_MD_fetch(NULL, (char *) name->data, NULL);
    if (md == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_background_digest_cleanup;
    cln->data = md;

    return md;

#else

    return EVP_get_digestbyname((char *) name->data);

#endif
}


static void
ngx_http_background_digest_work(ngx_http_background_run_t *run)
{
    ngx_http_background_digest_t        d;
    ngx_http_background_digest_conf_t  *dcf;

    dcf = run->conf;

    ngx_memzero(&d, sizeof(ngx_http_background_digest_t));

    d.run = run;
    d.md = dcf->md;

    d.buffer = ngx_palloc(run->pool, NGX_HTTP_BACKGROUND_DIGEST_BUFFER);
    d.path = ngx_pnalloc(run->pool,
                         dcf->path.len + NGX_HTTP_BACKGROUND_DIGEST_PATH + 1);
    d.ctx = EVP_MD_CTX_new();

    if (d.buffer == NULL || d.path == NULL || d.ctx == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");

    } else {
        d.path_last = ngx_cpymem(d.path, dcf->path.data, dcf->path.len);
        *d.path_last = '\0';

        run->limit_rate = dcf->limit_rate;

        ngx_http_background_digest_start(&d);
    }

    EVP_MD_CTX_free(d.ctx);
}


/* a first walk only adds sizes up, so that the second can tell its progress */

static void
ngx_http_background_digest_start(ngx_http_background_digest_t *d)
{
    d->file = ngx_http_background_digest_count;
    d->quiet = 1;

    ngx_http_background_digest_open(d);

    d->file = ngx_http_background_digest_file;
    d->quiet = 0;

    ngx_http_background_progress(d->run, 0, d->total);

    ngx_http_background_digest_open(d);
}


static void
ngx_http_background_digest_open(ngx_http_background_digest_t *d)
{
    int              fd;
    ngx_file_info_t  fi;

    fd = open((char *) d->path, NGX_HTTP_BACKGROUND_DIGEST_OPEN);

    if (fd == -1) {
        ngx_http_background_digest_fail(d, ngx_errno, "open()");
        return;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_digest_fail(d, ngx_errno, ngx_fd_info_n);

    } else if (ngx_is_dir(&fi)) {
        ngx_http_background_digest_tree(d, fd, 1);
        return;

    } else if (ngx_is_file(&fi)) {
        d->file(d, fd, &fi);

    } else {
        ngx_http_background_digest_fail(d, 0, "neither file nor directory:");
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, d->run->log, ngx_errno,
                      ngx_close_file_n " \"%s\" failed", d->path);
    }
}


/* closes the descriptor */

static void
ngx_http_background_digest_tree(ngx_http_background_digest_t *d, int fd,
    ngx_uint_t depth)
{
    DIR            *dir;
    u_char         *last;
    struct dirent  *de;

    last = d->path_last;

    dir = fdopendir(fd);

    if (dir == NULL) {
        ngx_http_background_digest_fail(d, ngx_errno, "fdopendir()");
        (void) ngx_close_file(fd);
        return;
    }

    for ( ;; ) {

        if (ngx_http_background_cancelled(d->run)) {
            break;
        }

        ngx_set_errno(0);
        de = readdir(dir);

        if (de == NULL) {
            if (ngx_errno) {
                ngx_http_background_digest_fail(d, ngx_errno, "readdir()");
            }

            break;
        }

        if (ngx_strcmp(de->d_name, ".") == 0
            || ngx_strcmp(de->d_name, "..") == 0)
        {
            continue;
        }

        if (d->path_last[-1] != '/') {
            *d->path_last++ = '/';
        }

        d->path_last = ngx_cpystrn(d->path_last, (u_char *) de->d_name,
                                   NAME_MAX + 1);

        ngx_http_background_digest_entry(d, fd, de, depth);

        d->path_last = last;
        *last = '\0';
    }

    (void) closedir(dir);
}


static void
ngx_http_background_digest_entry(ngx_http_background_digest_t *d, int dirfd,
    struct dirent *de, ngx_uint_t depth)
{
    int              fd;
    ngx_file_info_t  fi;

    if (de->d_type != DT_REG && de->d_type != DT_DIR
        && de->d_type != DT_UNKNOWN)
    {
        return;
    }

    fd = openat(dirfd, de->d_name,
                NGX_HTTP_BACKGROUND_DIGEST_OPEN|O_NOFOLLOW);

    if (fd == -1) {

        /* a symlink, a device without a driver, or a socket */

        if (ngx_errno != NGX_ELOOP && ngx_errno != ENXIO) {
            ngx_http_background_digest_fail(d, ngx_errno, "open()");
        }

        return;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_background_digest_fail(d, ngx_errno, ngx_fd_info_n);

    } else if (ngx_is_dir(&fi)) {

        if (depth < NGX_HTTP_BACKGROUND_DIGEST_DEPTH) {
            ngx_http_background_digest_tree(d, fd, depth + 1);
            return;
        }

        ngx_http_background_digest_fail(d, 0, "too deep to read");

    } else if (ngx_is_file(&fi)) {
        d->file(d, fd, &fi);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, d->run->log, ngx_errno,
                      ngx_close_file_n " \"%s\" failed", d->path);
    }
}


static void
ngx_http_background_digest_count(ngx_http_background_digest_t *d, int fd,
    ngx_file_info_t *fi)
{
    d->total += ngx_file_size(fi);
}


static void
ngx_http_background_digest_file(ngx_http_background_digest_t *d, int fd,
    ngx_file_info_t *fi)
{
    u_char                      md[EVP_MAX_MD_SIZE];
    ssize_t                     n;
    unsigned int                len;
    ngx_http_background_run_t  *run;

#if (NGX_DEBUG)
    u_char                      hex[2 * EVP_MAX_MD_SIZE];
#endif

    run = d->run;

    if (EVP_DigestInit_ex(d->ctx, d->md, NULL) != 1) {
        ngx_http_background_digest_fail(d, 0, "EVP_DigestInit_ex()");
        return;
    }

    for ( ;; ) {
        n = read(fd, d->buffer, NGX_HTTP_BACKGROUND_DIGEST_BUFFER);

        if (n == -1) {
            ngx_http_background_digest_fail(d, ngx_errno, "read()");
            return;
        }

        if (n == 0) {
            break;
        }

        if (EVP_DigestUpdate(d->ctx, d->buffer, n) != 1) {
            ngx_http_background_digest_fail(d, 0, "EVP_DigestUpdate()");
            return;
        }

        run->result.bytes += n;

        ngx_http_background_progress(run, run->result.bytes, d->total);

        if (ngx_http_background_cancelled(run)) {
            return;
        }
    }

    if (EVP_DigestFinal_ex(d->ctx, md, &len) != 1) {
        ngx_http_background_digest_fail(d, 0, "EVP_DigestFinal_ex()");
        return;
    }

    run->result.completed++;

#if (NGX_DEBUG)
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, run->log, 0,
                   "background digest: %*s  %s",
                   (size_t) (ngx_hex_dump(hex, md, len) - hex), hex, d->path);
#endif
}


static void
ngx_http_background_digest_fail(ngx_http_background_digest_t *d, ngx_err_t err,
    const char *call)
{
    if (!d->quiet) {
        ngx_http_background_fail(&d->run->result, err, "%s \"%s\" failed",
                                 call, d->path);
    }
}
