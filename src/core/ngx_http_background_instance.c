
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background.h"
#include "ngx_http_background_instance.h"

#include <ngx_md5.h>

#include <sys/mman.h>


#define NGX_HTTP_BACKGROUND_INSTANCE_NAME   "ngx_http_background"
#define NGX_HTTP_BACKGROUND_INSTANCE_ENV    "NGX_HTTP_BACKGROUND"

/* the first bytes of the file; the first one is the version of the format */
#define NGX_HTTP_BACKGROUND_INSTANCE_MAGIC  0x0173747365676b62

#define NGX_HTTP_BACKGROUND_INSTANCE_PAGE   4096


/* the first page; all processes have mapped it */

typedef struct {
    uint64_t      magic;
    ngx_atomic_t  changes;
} ngx_http_background_first_t;


typedef struct {
    uint64_t    instance;
    uint32_t    size;
    uint32_t    crc;
    u_char      data[NGX_HTTP_BACKGROUND_INSTANCE_MAX];
} ngx_http_background_page_t;


typedef char  ngx_http_background_page_fits
    [sizeof(ngx_http_background_page_t) <= NGX_HTTP_BACKGROUND_INSTANCE_PAGE
     ? 1 : -1];


static ngx_fd_t ngx_http_background_instance_inherit(void);
static ngx_fd_t ngx_http_background_instance_create(ngx_log_t *log);
static void ngx_http_background_instance_map(ngx_log_t *log);
static ngx_int_t ngx_http_background_instance_environment(ngx_cycle_t *cycle);
static ngx_fd_t ngx_http_background_instance_fd(void);
static ngx_int_t ngx_http_background_instance_set(off_t offset, short type);
static off_t ngx_http_background_instance_offset(ngx_str_t *task,
    uint64_t instance);


/* the descriptor of the master, which a new binary inherits */
static ngx_fd_t  ngx_http_background_shared = NGX_INVALID_FILE;

/* the descriptor of this worker */
static ngx_fd_t  ngx_http_background_own = NGX_INVALID_FILE;

static uint64_t  ngx_http_background_instance;

/* NULL: not mapped */
static ngx_http_background_first_t  *ngx_http_background_first;


void
ngx_http_background_instance_init(ngx_cycle_t *cycle)
{
    if (ngx_test_config) {
        return;
    }

    if (ngx_http_background_shared == NGX_INVALID_FILE) {
        ngx_http_background_shared = ngx_http_background_instance_inherit();
    }

    if (ngx_http_background_shared == NGX_INVALID_FILE) {
        ngx_http_background_shared =
                             ngx_http_background_instance_create(cycle->log);
    }

    if (ngx_http_background_shared == NGX_INVALID_FILE
        || ngx_http_background_instance_environment(cycle) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "background: tasks will run in both instances while "
                      "nginx's binary is upgraded");
    }

    ngx_http_background_instance_map(cycle->log);
}


/* a descriptor that is not such a file is ignored */

static ngx_fd_t
ngx_http_background_instance_inherit(void)
{
    char       *value;
    uint64_t    magic;
    ngx_int_t   n;

    value = getenv(NGX_HTTP_BACKGROUND_INSTANCE_ENV);
    if (value == NULL) {
        return NGX_INVALID_FILE;
    }

    n = ngx_atoi((u_char *) value, ngx_strlen(value));

    if (n == NGX_ERROR || n > NGX_MAX_INT32_VALUE
        || fcntl(n, F_GET_SEALS) == -1
        || pread(n, &magic, sizeof(uint64_t), 0) != sizeof(uint64_t)
        || magic != NGX_HTTP_BACKGROUND_INSTANCE_MAGIC)
    {
        return NGX_INVALID_FILE;
    }

    return n;
}


static ngx_fd_t
ngx_http_background_instance_create(ngx_log_t *log)
{
    ngx_fd_t                     fd;
    ngx_http_background_first_t  first;

    fd = memfd_create(NGX_HTTP_BACKGROUND_INSTANCE_NAME, 0);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "memfd_create() failed");
        return NGX_INVALID_FILE;
    }

    first.magic = NGX_HTTP_BACKGROUND_INSTANCE_MAGIC;
    first.changes = 0;

    if (pwrite(fd, &first, sizeof(first), 0) == sizeof(first)) {
        return fd;
    }

    ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "pwrite() to a memfd failed");

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a memfd failed");
    }

    return NGX_INVALID_FILE;
}


/* the mapping is inherited by workers, and is not changed by a reload */

static void
ngx_http_background_instance_map(ngx_log_t *log)
{
    void  *p;

    if (ngx_http_background_first
        || ngx_http_background_shared == NGX_INVALID_FILE)
    {
        return;
    }

    p = mmap(NULL, sizeof(ngx_http_background_first_t), PROT_READ|PROT_WRITE,
             MAP_SHARED, ngx_http_background_shared, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "mmap() of a memfd failed");
        return;
    }

    ngx_http_background_first = p;
}


/*
 * Passes the descriptor to a new binary by an environment variable, as if
 * "env" had set it.
 */

static ngx_int_t
ngx_http_background_instance_environment(ngx_cycle_t *cycle)
{
    u_char           *p;
    ngx_str_t        *var;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    p = ngx_pnalloc(cycle->pool, sizeof(NGX_HTTP_BACKGROUND_INSTANCE_ENV "=")
                                 + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    var = ngx_array_push(&ccf->env);
    if (var == NULL) {
        return NGX_ERROR;
    }

    /* ngx_set_environment() expects the length of the name */

    var->len = sizeof(NGX_HTTP_BACKGROUND_INSTANCE_ENV) - 1;
    var->data = p;

    (void) ngx_sprintf(p, NGX_HTTP_BACKGROUND_INSTANCE_ENV "=%d%Z",
                       ngx_http_background_shared);

    return NGX_OK;
}


void
ngx_http_background_instance_open(uint64_t instance, ngx_log_t *log)
{
    u_char  path[sizeof("/proc/self/fd/") + NGX_INT_T_LEN];

    ngx_http_background_instance = instance;

    if (ngx_http_background_shared == NGX_INVALID_FILE) {
        return;
    }

    (void) ngx_sprintf(path, "/proc/self/fd/%d%Z", ngx_http_background_shared);

    ngx_http_background_own = open((char *) path, O_RDWR|O_CLOEXEC);

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "open() \"%s\" failed, tasks run in both instances while "
                      "nginx's binary is upgraded", path);
    }

    /* processes that libraries start must not inherit the descriptor */

    if (ngx_close_file(ngx_http_background_shared) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a memfd failed");
    }

    ngx_http_background_shared = NGX_INVALID_FILE;
}


void
ngx_http_background_instance_close(ngx_log_t *log)
{
    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return;
    }

    if (ngx_close_file(ngx_http_background_own) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a memfd failed");
    }

    ngx_http_background_own = NGX_INVALID_FILE;
}


/*
 * The first lock is one of this instance, the second one is for all instances.
 * If another worker of this instance still has the first lock, its process is
 * dying or revoked, as the zone has given the lease to the caller.
 */

ngx_int_t
ngx_http_background_instance_lock(ngx_str_t *task, ngx_log_t *log)
{
    off_t      own;
    ngx_int_t  rc;

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return NGX_OK;
    }

    own = ngx_http_background_instance_offset(task,
                                              ngx_http_background_instance);

    if (ngx_http_background_instance_set(own, F_WRLCK) == NGX_BUSY) {
        return NGX_DECLINED;
    }

    rc = ngx_http_background_instance_set(
                    ngx_http_background_instance_offset(task, 0), F_WRLCK);

    if (rc == NGX_BUSY) {
        (void) ngx_http_background_instance_set(own, F_UNLCK);
        return NGX_BUSY;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "fcntl(F_OFD_SETLK) of task \"%V\" failed", task);
    }

    return NGX_OK;
}


void
ngx_http_background_instance_unlock(ngx_str_t *task, ngx_log_t *log)
{
    off_t  own;

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return;
    }

    own = ngx_http_background_instance_offset(task,
                                              ngx_http_background_instance);

    if (ngx_http_background_instance_set(own, F_UNLCK) != NGX_OK
        || ngx_http_background_instance_set(
                       ngx_http_background_instance_offset(task, 0), F_UNLCK)
           != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "fcntl(F_OFD_SETLK) of task \"%V\" failed", task);
    }
}


static ngx_int_t
ngx_http_background_instance_set(off_t offset, short type)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));

    fl.l_type = type;
    fl.l_whence = SEEK_SET;
    fl.l_start = offset;
    fl.l_len = 1;

    if (fcntl(ngx_http_background_own, F_OFD_SETLK, &fl) != -1) {
        return NGX_OK;
    }

    return (ngx_errno == NGX_EAGAIN || ngx_errno == NGX_EACCES) ? NGX_BUSY
                                                                : NGX_ERROR;
}


/* the descriptor of a worker or of the master */

static ngx_fd_t
ngx_http_background_instance_fd(void)
{
    return ngx_http_background_own != NGX_INVALID_FILE
           ? ngx_http_background_own : ngx_http_background_shared;
}


/* a page that is written at the same time has a wrong CRC */

ngx_int_t
ngx_http_background_instance_read(ngx_str_t *task, void *data, size_t size)
{
    off_t                       offset;
    size_t                      len;
    ngx_fd_t                    fd;
    ngx_http_background_page_t  page;

    fd = ngx_http_background_instance_fd();

    if (fd == NGX_INVALID_FILE || size > NGX_HTTP_BACKGROUND_INSTANCE_MAX) {
        return NGX_DECLINED;
    }

    offset = ngx_http_background_instance_offset(task, 0);
    len = offsetof(ngx_http_background_page_t, data) + size;

    if (pread(fd, &page, len, offset) != (ssize_t) len
        || page.instance == 0
        || page.instance == ngx_http_background_instance
        || page.size != size
        || page.crc != ngx_crc32_long(page.data, size))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(data, page.data, size);

    return NGX_OK;
}


void
ngx_http_background_instance_write(ngx_str_t *task, const void *data,
    size_t size, ngx_log_t *log)
{
    off_t                       offset;
    size_t                      len;
    ngx_http_background_page_t  page;

    if (ngx_http_background_own == NGX_INVALID_FILE
        || size > NGX_HTTP_BACKGROUND_INSTANCE_MAX)
    {
        return;
    }

    offset = ngx_http_background_instance_offset(task, 0);
    len = offsetof(ngx_http_background_page_t, data) + size;

    page.instance = ngx_http_background_instance;
    page.size = size;
    ngx_memcpy(page.data, data, size);
    page.crc = ngx_crc32_long(page.data, size);

    if (pwrite(ngx_http_background_own, &page, len, offset) != (ssize_t) len) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "pwrite() of task \"%V\" to a memfd failed", task);
    }
}


ngx_int_t
ngx_http_background_page_read(ngx_str_t *name, void *data, size_t size)
{
    return ngx_http_background_instance_read(name, data, size);
}


void
ngx_http_background_page_write(ngx_str_t *name, const void *data, size_t size,
    ngx_log_t *log)
{
    ngx_http_background_instance_write(name, data, size, log);
}


void
ngx_http_background_pages_changed(void)
{
    if (ngx_http_background_first) {
        (void) ngx_atomic_fetch_add(&ngx_http_background_first->changes, 1);
    }
}


uint64_t
ngx_http_background_pages_changes(void)
{
    return ngx_http_background_first ? ngx_http_background_first->changes : 0;
}


/*
 * Returns the offset of the page of a task; page 0 has the magic number.
 * There are 2^50 pages, so two names do not share one in practice.
 */

static off_t
ngx_http_background_instance_offset(ngx_str_t *task, uint64_t instance)
{
    u_char     digest[16];
    uint64_t   n;
    ngx_md5_t  md5;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, task->data, task->len);
    ngx_md5_update(&md5, &instance, sizeof(uint64_t));
    ngx_md5_final(digest, &md5);

    ngx_memcpy(&n, digest, sizeof(uint64_t));

    n &= ((uint64_t) 1 << 50) - 1;

    return (off_t) (n + 1) * NGX_HTTP_BACKGROUND_INSTANCE_PAGE;
}
