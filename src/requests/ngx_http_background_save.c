
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_save.h"
#include "ngx_http_background_temp.h"

#include <sys/xattr.h>


#define NGX_HTTP_BACKGROUND_SAVE_BLOCK  65536

/* of a new file */
#define NGX_HTTP_BACKGROUND_SAVE_MODE   0644

/* holds a ngx_http_background_save_mark_t */
#define NGX_HTTP_BACKGROUND_SAVE_ATTR   "user.ngx_http_background_save"


struct ngx_http_background_save_block_s {
    ngx_http_background_save_block_t   *next;
    size_t                              len;
    u_char                              data[NGX_HTTP_BACKGROUND_SAVE_BLOCK];
};


/*
 * The validators are valid while the file has this size and time, for requests
 * with this checksum of URI and host.
 */

typedef struct {
    int64_t                             size;
    int64_t                             sec;
    int64_t                             nsec;
    uint32_t                            source;
    ngx_http_background_validators_t    validators;
} ngx_http_background_save_mark_t;


/* the data of both steps */

typedef struct {
    ngx_str_t                          *path;
    ngx_str_t                          *task;
    uint32_t                            source;
    ngx_http_background_validators_t    validators;
    ngx_http_background_save_block_t   *first;
    off_t                               size;
    ngx_err_t                           err;
    const char                         *call;      /* that failed, or NULL */
} ngx_http_background_save_step_t;


static void ngx_http_background_save_cleanup(void *data);
static void ngx_http_background_save_free(
    ngx_http_background_save_block_t *block);
static ngx_int_t ngx_http_background_save_append(
    ngx_http_background_save_t *save, u_char *p, size_t len);
static void ngx_http_background_save_validator(
    ngx_http_background_validator_t *validator, ngx_str_t *value);
static ngx_int_t ngx_http_background_save_step(
    ngx_http_background_save_t *save, ngx_http_background_step_pt step,
    void (*handler)(ngx_http_background_run_t *run));

static void ngx_http_background_save_load_step(void *data, ngx_log_t *log);
static void ngx_http_background_save_store_step(void *data, ngx_log_t *log);
static void ngx_http_background_save_write(
    ngx_http_background_save_step_t *st, int dirfd, u_char *name);
static void ngx_http_background_save_mark(ngx_http_background_save_step_t *st,
    int fd);
static ngx_uint_t ngx_http_background_save_valid(
    ngx_http_background_validator_t *validator);
static void ngx_http_background_save_then(ngx_http_background_run_t *run,
    void *data);


ngx_http_background_save_t *
ngx_http_background_save_create(ngx_http_background_run_t *run,
    ngx_str_t *path, off_t max)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_background_save_t  *save;

    cln = ngx_pool_cleanup_add(run->pool, sizeof(ngx_http_background_save_t));
    if (cln == NULL) {
        return NULL;
    }

    save = cln->data;

    ngx_memzero(save, sizeof(ngx_http_background_save_t));

    save->run = run;
    save->path = path;
    save->max = max;

    cln->handler = ngx_http_background_save_cleanup;

    return save;
}


static void
ngx_http_background_save_cleanup(void *data)
{
    ngx_http_background_save_t *save = data;

    ngx_http_background_save_free(save->first);
}


static void
ngx_http_background_save_free(ngx_http_background_save_block_t *block)
{
    ngx_http_background_save_block_t  *next;

    for ( /* void */ ; block; block = next) {
        next = block->next;
        ngx_free(block);
    }
}


ngx_uint_t
ngx_http_background_save_expected(ngx_http_background_save_t *save,
    ngx_uint_t status)
{
    return status == NGX_HTTP_OK
           || (status == NGX_HTTP_NOT_MODIFIED
               && (save->known.etag.len || save->known.modified.len));
}


/*
 * 304 to the validators of another URI would keep what that one has sent, and
 * of another test what has passed that one
 */

void
ngx_http_background_save_asks(ngx_http_background_save_t *save, ngx_str_t *uri,
    ngx_str_t *host, ngx_str_t *test)
{
    uint32_t  source;

    ngx_crc32_init(source);
    ngx_crc32_update(&source, uri->data, uri->len);
    ngx_crc32_update(&source, (u_char *) "", 1);
    ngx_crc32_update(&source, host->data, host->len);

    if (test) {
        ngx_crc32_update(&source, (u_char *) "", 1);
        ngx_crc32_update(&source, test->data, test->len);
    }

    ngx_crc32_final(source);

    if (save->whole || source != save->source) {
        ngx_memzero(&save->known, sizeof(ngx_http_background_validators_t));
    }

    save->source = source;
}


/* a filter that replaces the response sends a header again */

void
ngx_http_background_save_header(ngx_http_background_save_t *save,
    ngx_http_request_t *r)
{
    u_char     date[sizeof("Mon, 28 Sep 1970 06:00:00 GMT") - 1];
    ngx_str_t  value;

    ngx_http_background_save_free(save->first);

    save->first = NULL;
    save->last = NULL;
    save->size = 0;
    save->large = 0;

    ngx_memzero(&save->response, sizeof(ngx_http_background_validators_t));

    if (r->headers_out.etag) {
        ngx_http_background_save_validator(&save->response.etag,
                                           &r->headers_out.etag->value);
    }

    if (r->headers_out.last_modified) {
        ngx_http_background_save_validator(&save->response.modified,
                                        &r->headers_out.last_modified->value);

    } else if (r->headers_out.last_modified_time != -1) {
        value.data = date;
        value.len = ngx_http_time(date, r->headers_out.last_modified_time)
                    - date;

        ngx_http_background_save_validator(&save->response.modified, &value);
    }
}


static void
ngx_http_background_save_validator(ngx_http_background_validator_t *validator,
    ngx_str_t *value)
{
    if (value->len <= NGX_HTTP_BACKGROUND_SAVE_VALIDATOR) {
        validator->len = value->len;
        ngx_memcpy(validator->data, value->data, value->len);
    }
}


ngx_int_t
ngx_http_background_save_body(ngx_http_background_save_t *save,
    ngx_chain_t *in)
{
    ngx_buf_t  *b;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        if (!ngx_buf_in_memory(b) || b->pos == b->last) {
            continue;
        }

        if (b->last - b->pos > save->max - save->size) {
            save->large = 1;
            return NGX_ERROR;
        }

        if (ngx_http_background_save_append(save, b->pos, b->last - b->pos)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_save_append(ngx_http_background_save_t *save, u_char *p,
    size_t len)
{
    size_t                             n;
    ngx_http_background_save_block_t  *block;

    while (len) {
        block = save->last;

        if (block == NULL || block->len == NGX_HTTP_BACKGROUND_SAVE_BLOCK) {
            block = ngx_alloc(sizeof(ngx_http_background_save_block_t),
                              save->run->log);
            if (block == NULL) {
                return NGX_ERROR;
            }

            block->next = NULL;
            block->len = 0;

            if (save->last) {
                save->last->next = block;

            } else {
                save->first = block;
            }

            save->last = block;
        }

        n = ngx_min(len, NGX_HTTP_BACKGROUND_SAVE_BLOCK - block->len);

        ngx_memcpy(block->data + block->len, p, n);

        block->len += n;
        save->size += n;
        p += n;
        len -= n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_save_load(ngx_http_background_save_t *save,
    void (*handler)(ngx_http_background_run_t *run))
{
    return ngx_http_background_save_step(save,
                                         ngx_http_background_save_load_step,
                                         handler);
}


ngx_int_t
ngx_http_background_save_store(ngx_http_background_save_t *save,
    void (*handler)(ngx_http_background_run_t *run))
{
    return ngx_http_background_save_step(save,
                                         ngx_http_background_save_store_step,
                                         handler);
}


/* the step owns the body if it has been started */

static ngx_int_t
ngx_http_background_save_step(ngx_http_background_save_t *save,
    ngx_http_background_step_pt step,
    void (*handler)(ngx_http_background_run_t *run))
{
    ngx_http_background_save_step_t  st;

    ngx_memzero(&st, sizeof(ngx_http_background_save_step_t));

    st.path = save->path;
    st.task = save->run->task;
    st.source = save->source;
    st.validators = save->response;
    st.first = save->first;
    st.size = save->size;

    save->handler = handler;

    if (ngx_http_background_step(save->run, &st, sizeof(st), step,
                                 ngx_http_background_save_then)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    save->first = NULL;
    save->last = NULL;

    return NGX_OK;
}


/* the first member of the context of the run is a pointer to "save" */

static void
ngx_http_background_save_then(ngx_http_background_run_t *run, void *data)
{
    ngx_http_background_save_step_t *st = data;

    ngx_http_background_save_t  *save;

    ngx_http_background_save_free(st->first);

    if (run == NULL) {
        return;
    }

    save = *(ngx_http_background_save_t **) run->ctx;

    save->known = st->validators;
    save->source = st->source;

    if (st->call) {
        ngx_http_background_fail(&run->result, st->err, "%s of \"save=%V\" "
                                 "failed", st->call, save->path);
    }

    save->handler(run);
}


/* The following functions run on a thread. */

static void
ngx_http_background_save_load_step(void *data, ngx_log_t *log)
{
    ngx_http_background_save_step_t *st = data;

    int                               fd;
    ssize_t                           n;
    ngx_file_info_t                   fi;
    ngx_http_background_save_mark_t   mark;

    ngx_memzero(&st->validators, sizeof(ngx_http_background_validators_t));

    fd = open((char *) st->path->data, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        return;
    }

    n = fgetxattr(fd, NGX_HTTP_BACKGROUND_SAVE_ATTR, &mark, sizeof(mark));

    if (n == sizeof(mark)
        && ngx_fd_info(fd, &fi) != NGX_FILE_ERROR
        && fi.st_size == mark.size
        && fi.st_mtim.tv_sec == mark.sec
        && fi.st_mtim.tv_nsec == mark.nsec
        && ngx_http_background_save_valid(&mark.validators.etag)
        && ngx_http_background_save_valid(&mark.validators.modified))
    {
        st->validators = mark.validators;
        st->source = mark.source;
    }

    (void) ngx_close_file(fd);
}


/* anyone who may write the file may also write its attribute */

static ngx_uint_t
ngx_http_background_save_valid(ngx_http_background_validator_t *validator)
{
    size_t  i;

    if (validator->len > NGX_HTTP_BACKGROUND_SAVE_VALIDATOR) {
        return 0;
    }

    for (i = 0; i < validator->len; i++) {
        if (validator->data[i] < 0x20 || validator->data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_background_save_store_step(void *data, ngx_log_t *log)
{
    ngx_http_background_save_step_t *st = data;

    int                         dirfd;
    u_char                     *name, dir[NGX_MAX_PATH];
    ngx_http_background_run_t   run;

    name = st->path->data + st->path->len;

    while (name[-1] != '/') {
        name--;
    }

    st->call = "open() of the directory";

    if (name - st->path->data >= NGX_MAX_PATH) {
        st->err = ENAMETOOLONG;
        return;
    }

    (void) ngx_cpystrn(dir, st->path->data, name - st->path->data + 1);

    dirfd = open((char *) dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dirfd == -1) {
        st->err = ngx_errno;
        return;
    }

    ngx_memzero(&run, sizeof(ngx_http_background_run_t));
    run.log = log;
    run.task = st->task;

    ngx_http_background_temp_sweep_all(&run, dirfd);

    ngx_http_background_save_write(st, dirfd, name);

    (void) ngx_close_file(dirfd);
}


static void
ngx_http_background_save_write(ngx_http_background_save_step_t *st, int dirfd,
    u_char *name)
{
    ngx_file_info_t                    fi;
    ngx_http_background_temp_t         temp;
    ngx_http_background_save_block_t  *block;

    st->call = "open() of a temporary file";

    if (ngx_http_background_temp_create(&temp, dirfd) != NGX_OK) {
        st->err = ngx_errno;
        return;
    }

    st->call = "write()";

    for (block = st->first; block; block = block->next) {
        if (ngx_http_background_temp_write(&temp, block->data, block->len)
            != NGX_OK)
        {
            goto failed;
        }
    }

    st->call = "fchmod()";

    if (fstatat(dirfd, (char *) name, &fi, AT_SYMLINK_NOFOLLOW) == -1
        || !ngx_is_file(&fi))
    {
        fi.st_mode = NGX_HTTP_BACKGROUND_SAVE_MODE;
    }

    if (fchmod(temp.fd, fi.st_mode & 0777) == -1) {
        goto failed;
    }

    ngx_http_background_save_mark(st, temp.fd);

    st->call = "fsync()";

    if (fsync(temp.fd) == -1) {
        goto failed;
    }

    st->call = "rename()";

    if (ngx_http_background_temp_publish(&temp, name, 1) == NGX_OK) {
        st->call = NULL;
        return;
    }

failed:

    st->err = ngx_errno;

    ngx_http_background_temp_discard(&temp);
}


/* if the file system has no attributes, all requests are unconditional */

static void
ngx_http_background_save_mark(ngx_http_background_save_step_t *st, int fd)
{
    ngx_file_info_t                  fi;
    ngx_http_background_save_mark_t  mark;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return;
    }

    ngx_memzero(&mark, sizeof(ngx_http_background_save_mark_t));

    mark.size = fi.st_size;
    mark.sec = fi.st_mtim.tv_sec;
    mark.nsec = fi.st_mtim.tv_nsec;
    mark.source = st->source;
    mark.validators = st->validators;

    (void) fsetxattr(fd, NGX_HTTP_BACKGROUND_SAVE_ATTR, &mark, sizeof(mark), 0);
}
