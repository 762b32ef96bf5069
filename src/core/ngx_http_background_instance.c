
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background.h"
#include "ngx_http_background_instance.h"
#include "ngx_http_background_word.h"

#include <ngx_md5.h>

#include <sys/mman.h>
#include <sys/resource.h>


#define NGX_HTTP_BACKGROUND_INSTANCE_NAME    "ngx_http_background"
#define NGX_HTTP_BACKGROUND_INSTANCE_ENV     "NGX_HTTP_BACKGROUND"

/* the first byte is the version of the format */
#define NGX_HTTP_BACKGROUND_INSTANCE_MAGIC   0x0173747365676b63

/* the number of names, a power of 2, and of those tried for one task */
#define NGX_HTTP_BACKGROUND_INSTANCE_NAMES   65536
#define NGX_HTTP_BACKGROUND_INSTANCE_PROBES  256

#define NGX_HTTP_BACKGROUND_INSTANCE_PAGE    4096

#define NGX_HTTP_BACKGROUND_INSTANCE_SEALS                                   \
    (F_SEAL_GROW|F_SEAL_SHRINK|F_SEAL_SEAL)


/*
 * A task, or a page of a kind.  "name" is a hash of the name and is set once.
 * "owner" is 0 or the number of the worker that has the task, with a hash of
 * its instance in the high 32 bits.
 */

typedef struct {
    uint64_t    name;
    uint64_t    owner;
} ngx_http_background_entry_t;


typedef struct {
    uint64_t    instance;
    uint32_t    size;
    uint32_t    hash;
    u_char      data[NGX_HTTP_BACKGROUND_PAGE];
} ngx_http_background_page_t;


/*
 * The file.  All processes map this part.  Pages follow, each of which has the
 * state of the entry with the same index.  The byte after the file at the
 * number of a worker is locked by that worker as long as it lives.
 */

typedef struct {
    uint64_t                       magic;
    uint64_t                       workers;      /* that were ever started */
    uint64_t                       changes;      /* of pages of kinds */
    uint64_t                       unused;
    ngx_http_background_entry_t    entries[NGX_HTTP_BACKGROUND_INSTANCE_NAMES];
} ngx_http_background_table_t;


#define NGX_HTTP_BACKGROUND_INSTANCE_PAGES                                   \
    ((off_t) ngx_align(sizeof(ngx_http_background_table_t),                  \
                       NGX_HTTP_BACKGROUND_INSTANCE_PAGE))

#define NGX_HTTP_BACKGROUND_INSTANCE_SIZE                                    \
    (NGX_HTTP_BACKGROUND_INSTANCE_PAGES                                      \
     + (off_t) NGX_HTTP_BACKGROUND_INSTANCE_NAMES                            \
       * NGX_HTTP_BACKGROUND_INSTANCE_PAGE)


typedef char  ngx_http_background_page_fits
    [sizeof(ngx_http_background_page_t) <= NGX_HTTP_BACKGROUND_INSTANCE_PAGE
     ? 1 : -1];


static ngx_fd_t ngx_http_background_instance_inherit(void);
static ngx_fd_t ngx_http_background_instance_create(ngx_log_t *log);
static ngx_int_t ngx_http_background_instance_format(ngx_fd_t fd,
    ngx_log_t *log);
static ngx_int_t ngx_http_background_instance_map(ngx_log_t *log);
static ngx_int_t ngx_http_background_instance_environment(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_background_instance_number(uint64_t instance,
    ngx_log_t *log);
static ngx_uint_t ngx_http_background_instance_alive(uint64_t owner);
static void ngx_http_background_instance_byte(struct flock *fl,
    uint64_t owner);
static void ngx_http_background_instance_put(
    ngx_http_background_entry_t *entry, const void *data, size_t size,
    ngx_log_t *log);
static ngx_fd_t ngx_http_background_instance_fd(void);
static ngx_http_background_entry_t *ngx_http_background_instance_entry(
    ngx_str_t *name);
static off_t ngx_http_background_instance_page(
    ngx_http_background_entry_t *entry);


/* the descriptor of the master, which a new binary inherits */
static ngx_fd_t  ngx_http_background_shared = NGX_INVALID_FILE;

/* the descriptor of this worker */
static ngx_fd_t  ngx_http_background_own = NGX_INVALID_FILE;

static ngx_http_background_table_t  *ngx_http_background_table;

static uint64_t  ngx_http_background_instance;

/* the word that this worker writes as an owner */
static uint64_t  ngx_http_background_owning;


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
        || ngx_http_background_instance_map(cycle->log) != NGX_OK
        || ngx_http_background_instance_environment(cycle) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "background: tasks will run in both instances while "
                      "nginx's binary is upgraded");
    }
}


/* a descriptor that is not such a file is ignored */

static ngx_fd_t
ngx_http_background_instance_inherit(void)
{
    int              seals;
    char            *value;
    uint64_t         magic;
    ngx_int_t        n;
    ngx_file_info_t  fi;

    value = getenv(NGX_HTTP_BACKGROUND_INSTANCE_ENV);
    if (value == NULL) {
        return NGX_INVALID_FILE;
    }

    n = ngx_atoi((u_char *) value, ngx_strlen(value));

    if (n == NGX_ERROR || n > NGX_MAX_INT32_VALUE) {
        return NGX_INVALID_FILE;
    }

    seals = fcntl(n, F_GET_SEALS);

    /* what is mapped can't be truncated by others */

    if (seals == -1
        || (seals & NGX_HTTP_BACKGROUND_INSTANCE_SEALS)
           != NGX_HTTP_BACKGROUND_INSTANCE_SEALS
        || ngx_fd_info(n, &fi) == NGX_FILE_ERROR
        || ngx_file_size(&fi) != NGX_HTTP_BACKGROUND_INSTANCE_SIZE
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
    ngx_fd_t  fd;

    fd = memfd_create(NGX_HTTP_BACKGROUND_INSTANCE_NAME, MFD_ALLOW_SEALING);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "memfd_create() failed");
        return NGX_INVALID_FILE;
    }

    if (ngx_http_background_instance_format(fd, log) == NGX_OK) {
        return fd;
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a memfd failed");
    }

    return NGX_INVALID_FILE;
}


/* the file is sparse: only names and states that are used take memory */

static ngx_int_t
ngx_http_background_instance_format(ngx_fd_t fd, ngx_log_t *log)
{
    uint64_t       magic;
    struct rlimit  rlmt;

    /* a longer file would be a signal that ends the process */

    if (getrlimit(RLIMIT_FSIZE, &rlmt) == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "getrlimit(RLIMIT_FSIZE) failed");
        return NGX_ERROR;
    }

    if (rlmt.rlim_cur != RLIM_INFINITY
        && rlmt.rlim_cur < (rlim_t) NGX_HTTP_BACKGROUND_INSTANCE_SIZE)
    {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "background: the limit of the file size, RLIMIT_FSIZE, "
                      "is less than %O bytes",
                      NGX_HTTP_BACKGROUND_INSTANCE_SIZE);
        return NGX_ERROR;
    }

    if (ftruncate(fd, NGX_HTTP_BACKGROUND_INSTANCE_SIZE) == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "ftruncate() of a memfd failed");
        return NGX_ERROR;
    }

    magic = NGX_HTTP_BACKGROUND_INSTANCE_MAGIC;

    if (pwrite(fd, &magic, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "pwrite() to a memfd failed");
        return NGX_ERROR;
    }

    if (fcntl(fd, F_ADD_SEALS, NGX_HTTP_BACKGROUND_INSTANCE_SEALS) == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "fcntl(F_ADD_SEALS) of a memfd failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* workers inherit the mapping; a reload does not change it */

static ngx_int_t
ngx_http_background_instance_map(ngx_log_t *log)
{
    void  *p;

    if (ngx_http_background_table) {
        return NGX_OK;
    }

    p = mmap(NULL, sizeof(ngx_http_background_table_t), PROT_READ|PROT_WRITE,
             MAP_SHARED, ngx_http_background_shared, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "mmap() of a memfd failed");
        return NGX_ERROR;
    }

    ngx_http_background_table = p;

    return NGX_OK;
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

    if (ngx_http_background_shared == NGX_INVALID_FILE) {
        return;
    }

    (void) ngx_sprintf(path, "/proc/self/fd/%d%Z", ngx_http_background_shared);

    ngx_http_background_own = open((char *) path, O_RDWR|O_CLOEXEC);

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "open() \"%s\" failed",
                      path);

    } else if (ngx_http_background_table == NULL
               || ngx_http_background_instance_number(instance, log) != NGX_OK)
    {
        ngx_http_background_instance_close(log);
    }

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "background: tasks run in both instances while nginx's "
                      "binary is upgraded");
    }

    /* processes that libraries start must not inherit the descriptor */

    if (ngx_close_file(ngx_http_background_shared) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a memfd failed");
    }

    ngx_http_background_shared = NGX_INVALID_FILE;
}


/* the worker has the lock of its number before it has any task */

static ngx_int_t
ngx_http_background_instance_number(uint64_t instance, ngx_log_t *log)
{
    uint32_t      n;
    struct flock  fl;

    n = ngx_http_background_add(&ngx_http_background_table->workers, 1);

    ngx_http_background_instance = instance;
    ngx_http_background_owning =
        (uint64_t) ngx_crc32_long((u_char *) &instance, sizeof(uint64_t)) << 32
        | n;

    ngx_http_background_instance_byte(&fl, ngx_http_background_owning);

    if (fcntl(ngx_http_background_own, F_OFD_SETLK, &fl) == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "fcntl(F_OFD_SETLK) of a memfd failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_background_instance_close(ngx_log_t *log)
{
    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return;
    }

    if (ngx_http_background_table
        && munmap(ngx_http_background_table,
                  sizeof(ngx_http_background_table_t))
           == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "munmap() of a memfd failed");
    }

    if (ngx_close_file(ngx_http_background_own) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " of a memfd failed");
    }

    ngx_http_background_table = NULL;
    ngx_http_background_own = NGX_INVALID_FILE;
}


/*
 * A worker of the same instance that is named as the owner is dying or was
 * revoked, as the zone has given the lease to the caller.
 */

ngx_int_t
ngx_http_background_instance_lock(ngx_str_t *task, ngx_log_t *log)
{
    uint64_t                      owner;
    ngx_http_background_entry_t  *entry;

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return NGX_OK;
    }

    entry = ngx_http_background_instance_entry(task);

    if (entry == NULL) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "background task \"%V\": too many names of tasks since "
                      "nginx was started, the task runs in both instances "
                      "while nginx's binary is upgraded", task);
        return NGX_OK;
    }

    owner = ngx_http_background_load(&entry->owner);

    do {
        if (owner
            && owner >> 32 != ngx_http_background_owning >> 32
            && ngx_http_background_instance_alive(owner))
        {
            return NGX_BUSY;
        }

    } while (!ngx_http_background_cas(&entry->owner, &owner,
                                      ngx_http_background_owning));

    return NGX_OK;
}


void
ngx_http_background_instance_unlock(ngx_str_t *task)
{
    uint64_t                      owner;
    ngx_http_background_entry_t  *entry;

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return;
    }

    entry = ngx_http_background_instance_entry(task);

    if (entry) {
        owner = ngx_http_background_owning;
        (void) ngx_http_background_cas(&entry->owner, &owner, 0);
    }
}


/* if it can't be known, the other worker is taken for alive */

static ngx_uint_t
ngx_http_background_instance_alive(uint64_t owner)
{
    struct flock  fl;

    ngx_http_background_instance_byte(&fl, owner);

    return fcntl(ngx_http_background_own, F_OFD_GETLK, &fl) == -1
           || fl.l_type != F_UNLCK;
}


static void
ngx_http_background_instance_byte(struct flock *fl, uint64_t owner)
{
    ngx_memzero(fl, sizeof(struct flock));

    fl->l_type = F_WRLCK;
    fl->l_whence = SEEK_SET;
    fl->l_start = NGX_HTTP_BACKGROUND_INSTANCE_SIZE + (uint32_t) owner;
    fl->l_len = 1;
}


ngx_int_t
ngx_http_background_instance_read(ngx_str_t *task, void *data, size_t size)
{
    return ngx_http_background_page_read(task, data, size);
}


void
ngx_http_background_instance_write(ngx_str_t *task, const void *data,
    size_t size, ngx_log_t *log)
{
    ngx_http_background_entry_t  *entry;

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return;
    }

    entry = ngx_http_background_instance_entry(task);

    if (entry && ngx_http_background_load(&entry->owner)
                 == ngx_http_background_owning)
    {
        ngx_http_background_instance_put(entry, data, size, log);
    }
}


/* a page that is written at the same time has a wrong hash */

ngx_int_t
ngx_http_background_page_read(ngx_str_t *name, void *data, size_t size)
{
    size_t                        len;
    ngx_fd_t                      fd;
    ngx_http_background_page_t    page;
    ngx_http_background_entry_t  *entry;

    fd = ngx_http_background_instance_fd();

    if (fd == NGX_INVALID_FILE || size > NGX_HTTP_BACKGROUND_PAGE) {
        return NGX_DECLINED;
    }

    entry = ngx_http_background_instance_entry(name);

    if (entry == NULL) {
        return NGX_DECLINED;
    }

    len = offsetof(ngx_http_background_page_t, data) + size;

    if (pread(fd, &page, len, ngx_http_background_instance_page(entry))
        != (ssize_t) len
        || page.instance == 0
        || page.instance == ngx_http_background_instance
        || page.size != size
        || page.hash != ngx_murmur_hash2(page.data, size))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(data, page.data, size);

    return NGX_OK;
}


void
ngx_http_background_page_write(ngx_str_t *name, const void *data, size_t size,
    ngx_log_t *log)
{
    ngx_http_background_entry_t  *entry;

    if (ngx_http_background_own == NGX_INVALID_FILE) {
        return;
    }

    entry = ngx_http_background_instance_entry(name);

    if (entry) {
        ngx_http_background_instance_put(entry, data, size, log);
    }
}


static void
ngx_http_background_instance_put(ngx_http_background_entry_t *entry,
    const void *data, size_t size, ngx_log_t *log)
{
    size_t                      len;
    ngx_http_background_page_t  page;

    if (size > NGX_HTTP_BACKGROUND_PAGE) {
        return;
    }

    len = offsetof(ngx_http_background_page_t, data) + size;

    page.instance = ngx_http_background_instance;
    page.size = size;
    ngx_memcpy(page.data, data, size);
    page.hash = ngx_murmur_hash2(page.data, size);

    if (pwrite(ngx_http_background_own, &page, len,
               ngx_http_background_instance_page(entry))
        != (ssize_t) len)
    {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "pwrite() to a memfd failed");
    }
}


void
ngx_http_background_pages_changed(void)
{
    if (ngx_http_background_table) {
        (void) ngx_http_background_add(&ngx_http_background_table->changes, 1);
    }
}


uint64_t
ngx_http_background_pages_changes(void)
{
    return ngx_http_background_table
           ? ngx_http_background_load(&ngx_http_background_table->changes) : 0;
}


/* the descriptor of a worker or of the master */

static ngx_fd_t
ngx_http_background_instance_fd(void)
{
    if (ngx_http_background_own != NGX_INVALID_FILE) {
        return ngx_http_background_own;
    }

    return ngx_http_background_table ? ngx_http_background_shared
                                     : NGX_INVALID_FILE;
}


/*
 * Finds or adds the entry of a task or page; NULL: the table is full.  Entries
 * are not removed, as another instance may use them.  The hash has 64 bits, so
 * two names do not share an entry in practice.
 */

static ngx_http_background_entry_t *
ngx_http_background_instance_entry(ngx_str_t *name)
{
    u_char                        digest[16];
    uint64_t                      hash, found;
    ngx_md5_t                     md5;
    ngx_uint_t                    i;
    ngx_http_background_entry_t  *entry;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, name->data, name->len);
    ngx_md5_final(digest, &md5);

    ngx_memcpy(&hash, digest, sizeof(uint64_t));

    hash |= (hash == 0);

    for (i = 0; i < NGX_HTTP_BACKGROUND_INSTANCE_PROBES; i++) {

        entry = &ngx_http_background_table->entries
                        [(hash + i) % NGX_HTTP_BACKGROUND_INSTANCE_NAMES];

        found = ngx_http_background_load(&entry->name);

        if (found == hash
            || (found == 0
                && ngx_http_background_cas(&entry->name, &found, hash))
            || found == hash)
        {
            return entry;
        }
    }

    return NULL;
}


static off_t
ngx_http_background_instance_page(ngx_http_background_entry_t *entry)
{
    return NGX_HTTP_BACKGROUND_INSTANCE_PAGES
           + (off_t) (entry - ngx_http_background_table->entries)
             * NGX_HTTP_BACKGROUND_INSTANCE_PAGE;
}
