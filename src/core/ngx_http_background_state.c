
/*
 * Copyright (C) The ngx_http_background_module authors
 */


#include "ngx_http_background_state.h"
#include "ngx_http_background_thread.h"


#define NGX_HTTP_BACKGROUND_STATE_HEAD   "background_state 1\n"

/* a name and five numbers */
#define NGX_HTTP_BACKGROUND_STATE_LINE                                       \
    (NGX_HTTP_BACKGROUND_NAME_LEN + 5 * (NGX_INT64_LEN + 1) + 1)

#define NGX_HTTP_BACKGROUND_STATE_MAX    (16 * 1024 * 1024)

/* in milliseconds */
#define NGX_HTTP_BACKGROUND_STATE_PAUSE  60000

/*
 * How long a worker waits for its thread at exit, in milliseconds.  The master
 * kills workers after 1.5 seconds when it terminates.
 */
#define NGX_HTTP_BACKGROUND_STATE_FAST   500
#define NGX_HTTP_BACKGROUND_STATE_EXIT   5000
#define NGX_HTTP_BACKGROUND_STATE_POLL   10


/* allocated by malloc(), as the thread may outlive the configuration */

typedef struct {
    u_char     *file;             /* zero-terminated */
    u_char     *temp;
    u_char     *data;
    size_t      size;
    uint64_t    number;           /* of the last request */
    ngx_err_t   err;
    ngx_uint_t  unstarted;        /* there is no thread */
    ngx_uint_t  done;             /* atomic */
} ngx_http_background_state_save_t;


static void ngx_http_background_state_sweep(
    ngx_http_background_zone_conf_t *zcf);
static ngx_uint_t ngx_http_background_state_left(u_char *name, size_t len,
    ngx_str_t *base);
static void ngx_http_background_state_load(
    ngx_http_background_zone_conf_t *zcf, ngx_array_t *tasks, ngx_fd_t fd);
static ngx_int_t ngx_http_background_state_sort(
    ngx_http_background_zone_conf_t *zcf, ngx_array_t *tasks);
static int ngx_http_background_state_cmp(const void *one, const void *two);
static ngx_uint_t ngx_http_background_state_parse(ngx_array_t *tasks,
    u_char *p, u_char *last);
static ngx_int_t ngx_http_background_state_line(ngx_array_t *tasks, u_char *p,
    u_char *last);
static void ngx_http_background_state_start(
    ngx_http_background_zone_conf_t *zcf, ngx_log_t *log);
static void ngx_http_background_state_wait(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log, ngx_msec_t *left);
static ngx_http_background_state_save_t *ngx_http_background_state_create(
    ngx_http_background_zone_conf_t *zcf, ngx_log_t *log);
static void *ngx_http_background_state_thread(void *data);
static ngx_err_t ngx_http_background_state_write(
    ngx_http_background_state_save_t *save);
static void ngx_http_background_state_blocked(
    ngx_http_background_zone_conf_t *zcf, ngx_log_t *log);
static void ngx_http_background_state_end(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log);


static ngx_http_background_state_save_t  *ngx_http_background_state_save;
static ngx_msec_t                         ngx_http_background_state_written;
static ngx_uint_t                         ngx_http_background_state_failed;


/* nginx starts even if the file is missing or has bad lines */

void
ngx_http_background_state_read(ngx_http_background_zone_conf_t *zcf)
{
    ngx_fd_t      fd;
    ngx_log_t    *log;
    ngx_array_t   tasks;

    log = zcf->shm_zone->shm.log;

    if (!ngx_test_config) {
        ngx_http_background_state_sweep(zcf);
    }

    /* open() of a device may have effects, and workers may make links */

    fd = open((char *) zcf->state.data,
              O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                          "background_state: open() \"%V\" failed",
                          &zcf->state);
        }

        return;
    }

    if (ngx_http_background_state_sort(zcf, &tasks) == NGX_OK) {
        ngx_http_background_state_load(zcf, &tasks, fd);
        ngx_free(tasks.elts);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &zcf->state);
    }
}


/*
 * Removes temporary files of workers that were killed while they wrote.  The
 * directory may be missing or unreadable: then nothing is removed.
 */

static void
ngx_http_background_state_sweep(ngx_http_background_zone_conf_t *zcf)
{
    u_char     *p, *last;
    ngx_dir_t   dir;
    ngx_str_t   path, base;

    last = zcf->state.data + zcf->state.len;

    for (p = last; p[-1] != '/'; p--) { /* void */ }

    base.data = p;
    base.len = last - p;

    path.len = p - zcf->state.data;
    path.data = ngx_alloc(path.len + 1, zcf->shm_zone->shm.log);
    if (path.data == NULL) {
        return;
    }

    ngx_cpystrn(path.data, zcf->state.data, path.len + 1);

    if (ngx_open_dir(&path, &dir) == NGX_OK) {

        while (ngx_read_dir(&dir) == NGX_OK) {
            p = ngx_de_name(&dir);

            if (ngx_http_background_state_left(p, ngx_strlen(p), &base)) {
                (void) unlinkat(dirfd(dir.dir), (char *) p, 0);
            }
        }

        (void) ngx_close_dir(&dir);
    }

    ngx_free(path.data);
}


/* whether the name is BASE.PID.tmp of a process that has ended */

static ngx_uint_t
ngx_http_background_state_left(u_char *name, size_t len, ngx_str_t *base)
{
    ngx_int_t  pid;

    if (len < base->len + sizeof("..tmp")
        || ngx_memcmp(name, base->data, base->len) != 0
        || name[base->len] != '.'
        || ngx_memcmp(name + len - 4, ".tmp", 4) != 0)
    {
        return 0;
    }

    pid = ngx_atoi(name + base->len + 1, len - base->len - 5);

    return pid > 0 && pid == (ngx_pid_t) pid
           && !ngx_http_background_process_exists((uint32_t) pid);
}


static void
ngx_http_background_state_load(ngx_http_background_zone_conf_t *zcf,
    ngx_array_t *tasks, ngx_fd_t fd)
{
    u_char      *buf;
    ssize_t      n;
    ngx_log_t   *log;
    ngx_uint_t   bad;

    log = zcf->shm_zone->shm.log;

    buf = ngx_alloc(NGX_HTTP_BACKGROUND_STATE_MAX, log);
    if (buf == NULL) {
        return;
    }

    n = ngx_read_fd(fd, buf, NGX_HTTP_BACKGROUND_STATE_MAX);

    if (n == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "background_state: read() \"%V\" failed", &zcf->state);

    } else {
        bad = ngx_http_background_state_parse(tasks, buf, buf + n);

        if (bad) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "background_state: %ui bad lines in \"%V\"",
                          bad, &zcf->state);
        }
    }

    ngx_free(buf);
}


/*
 * Workers may have written anything: with sorted names the time of the master
 * does not grow with the product of lines and tasks.
 */

static ngx_int_t
ngx_http_background_state_sort(ngx_http_background_zone_conf_t *zcf,
    ngx_array_t *tasks)
{
    size_t  size;

    size = zcf->tasks.nelts * sizeof(ngx_http_background_zone_task_t *);

    tasks->nelts = zcf->tasks.nelts;
    tasks->elts = ngx_alloc(size, zcf->shm_zone->shm.log);

    if (tasks->elts == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(tasks->elts, zcf->tasks.elts, size);

    ngx_qsort(tasks->elts, tasks->nelts,
              sizeof(ngx_http_background_zone_task_t *),
              ngx_http_background_state_cmp);

    return NGX_OK;
}


static int
ngx_http_background_state_cmp(const void *one, const void *two)
{
    ngx_http_background_zone_task_t *const *first = one;
    ngx_http_background_zone_task_t *const *second = two;

    return ngx_memn2cmp((*first)->name.data, (*second)->name.data,
                        (*first)->name.len, (*second)->name.len);
}


/* applies the lines of the file to tasks; returns the number of invalid ones */

static ngx_uint_t
ngx_http_background_state_parse(ngx_array_t *tasks, u_char *p, u_char *last)
{
    size_t       len;
    u_char      *end;
    ngx_uint_t   bad;

    len = sizeof(NGX_HTTP_BACKGROUND_STATE_HEAD) - 1;

    if ((size_t) (last - p) < len
        || ngx_memcmp(p, NGX_HTTP_BACKGROUND_STATE_HEAD, len) != 0)
    {
        return 1;
    }

    bad = 0;

    for (p += len; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            return bad + 1;
        }

        if (ngx_http_background_state_line(tasks, p, end) != NGX_OK) {
            bad++;
        }
    }

    return bad;
}


/* a line of a task that is not configured any more is skipped */

static ngx_int_t
ngx_http_background_state_line(ngx_array_t *tasks, u_char *p, u_char *last)
{
    off_t                              n[5];
    u_char                            *end;
    ngx_uint_t                         i;
    ngx_http_background_kept_t         kept;
    ngx_http_background_zone_task_t    task, *key, **found;

    end = ngx_strlchr(p, last, ' ');

    if (end == NULL || end == p) {
        return NGX_ERROR;
    }

    task.name.data = p;
    task.name.len = end - p;

    for (i = 0; i < 5; i++) {
        p = end + 1;
        end = (i < 4) ? ngx_strlchr(p, last, ' ') : last;

        if (p > last || end == NULL) {
            return NGX_ERROR;
        }

        n[i] = ngx_atoof(p, end - p);

        /* the words of the zone have 48 bits */

        if (n[i] == NGX_ERROR || n[i] >> 47) {
            return NGX_ERROR;
        }
    }

    kept.checked = n[0];
    kept.paused = (n[1] != 0);
    kept.started_at = n[2];
    kept.finished_at = n[3];
    kept.success = (n[4] != 0);

    key = &task;
    found = bsearch(&key, tasks->elts, tasks->nelts,
                    sizeof(ngx_http_background_zone_task_t *),
                    ngx_http_background_state_cmp);

    if (found) {
        ngx_http_background_record_restore((*found)->record, &kept);
    }

    return NGX_OK;
}


void
ngx_http_background_state_poll(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log)
{
    if (zcf->state.len == 0) {
        return;
    }

    ngx_http_background_state_end(zcf, log);
    ngx_http_background_state_blocked(zcf, log);

    if (ngx_worker != 0 || ngx_http_background_state_save
        || !ngx_http_background_zone_current()
        || (ngx_current_msec - ngx_http_background_state_written
            < NGX_HTTP_BACKGROUND_STATE_PAUSE
            && !ngx_http_background_state_wanted(zcf->zone)))
    {
        return;
    }

    /* a failed write is repeated with the next request or after a minute */

    ngx_http_background_state_written = ngx_current_msec;

    ngx_http_background_state_start(zcf, log);
}


/*
 * The event loop is over, but the file system may block: the worker exits
 * without the thread.
 */

void
ngx_http_background_state_exit(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log)
{
    ngx_msec_t  left;

    if (zcf->state.len == 0) {
        return;
    }

    ngx_http_background_thread_pin((void *) ngx_http_background_state_thread);

    left = ngx_terminate ? NGX_HTTP_BACKGROUND_STATE_FAST
                         : NGX_HTTP_BACKGROUND_STATE_EXIT;

    ngx_http_background_state_wait(zcf, log, &left);

    if (ngx_worker == 0 && ngx_http_background_state_save == NULL
        && ngx_http_background_zone_current())
    {
        ngx_http_background_state_start(zcf, log);
        ngx_http_background_state_wait(zcf, log, &left);
    }

    if (ngx_http_background_state_save) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "background_state: \"%V\" is still being written, "
                      "the worker exits without it", &zcf->state);
    }
}


static void
ngx_http_background_state_start(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log)
{
    ngx_err_t                    err;
    ngx_http_background_state_save_t  *save;

    save = ngx_http_background_state_create(zcf, log);

    if (save == NULL) {
        ngx_http_background_state_answer(zcf->zone,
                                   ngx_http_background_state_asked(zcf->zone));
        return;
    }

    ngx_http_background_state_save = save;

    err = ngx_http_background_thread_detached(ngx_http_background_state_thread,
                                              save);
    if (err) {
        save->err = err;
        save->unstarted = 1;
        save->done = 1;
        ngx_http_background_state_end(zcf, log);
    }
}


static void
ngx_http_background_state_wait(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log, ngx_msec_t *left)
{
    for ( ;; ) {
        ngx_http_background_state_end(zcf, log);

        if (ngx_http_background_state_save == NULL || *left == 0) {
            return;
        }

        ngx_msleep(NGX_HTTP_BACKGROUND_STATE_POLL);
        *left -= NGX_HTTP_BACKGROUND_STATE_POLL;
    }
}


static ngx_http_background_state_save_t *
ngx_http_background_state_create(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log)
{
    size_t                             len;
    u_char                            *p;
    uint64_t                           number;
    ngx_uint_t                         i;
    ngx_http_background_kept_t         kept;
    ngx_http_background_state_save_t  *save;
    ngx_http_background_zone_task_t  **tasks;

    /* a request that is made later needs another write */

    number = ngx_http_background_state_asked(zcf->zone);

    len = zcf->state.len + 1;

    save = ngx_alloc(sizeof(ngx_http_background_state_save_t) + 2 * len
                     + sizeof("..tmp") + NGX_INT64_LEN
                     + sizeof(NGX_HTTP_BACKGROUND_STATE_HEAD)
                     + zcf->tasks.nelts * NGX_HTTP_BACKGROUND_STATE_LINE,
                     log);
    if (save == NULL) {
        return NULL;
    }

    save->number = number;
    save->err = 0;
    save->unstarted = 0;
    save->done = 0;

    save->file = (u_char *) &save[1];
    p = ngx_cpymem(save->file, zcf->state.data, len - 1);
    *p++ = '\0';

    save->temp = p;
    p = ngx_cpymem(p, zcf->state.data, len - 1);
    p = ngx_sprintf(p, ".%P.tmp%Z", ngx_pid);

    save->data = p;
    p = ngx_cpymem(p, NGX_HTTP_BACKGROUND_STATE_HEAD,
                   sizeof(NGX_HTTP_BACKGROUND_STATE_HEAD) - 1);

    tasks = zcf->tasks.elts;

    for (i = 0; i < zcf->tasks.nelts; i++) {
        ngx_http_background_record_keep(tasks[i]->record, tasks[i]->cells,
                                        &kept);

        p = ngx_sprintf(p, "%V %uL %ui %uL %uL %ui\n", &tasks[i]->name,
                        kept.checked, kept.paused, kept.started_at,
                        kept.finished_at, kept.success);
    }

    save->size = p - save->data;

    return save;
}


static void *
ngx_http_background_state_thread(void *data)
{
    ngx_http_background_state_save_t *save = data;

    save->err = ngx_http_background_state_write(save);
    __atomic_store_n(&save->done, 1, __ATOMIC_RELEASE);

    return NULL;
}


/* the file is replaced as a whole, also if the power fails meanwhile */

static ngx_err_t
ngx_http_background_state_write(ngx_http_background_state_save_t *save)
{
    int        fd;
    size_t     size;
    ssize_t    n;
    ngx_err_t  err;

    (void) unlink((char *) save->temp);

    fd = open((char *) save->temp,
              O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);
    if (fd == -1) {
        return ngx_errno;
    }

    err = 0;

    for (size = 0; size < save->size; size += n) {
        n = write(fd, save->data + size, save->size - size);

        if (n == -1) {
            err = ngx_errno;
            break;
        }
    }

    if (err == 0 && fsync(fd) == -1) {
        err = ngx_errno;
    }

    if (close(fd) == -1 && err == 0) {
        err = ngx_errno;
    }

    if (err == 0
        && rename((char *) save->temp, (char *) save->file) == -1)
    {
        err = ngx_errno;
    }

    if (err) {
        (void) unlink((char *) save->temp);
    }

    return err;
}


/* a write that does not end is logged once, as one that fails */

static void
ngx_http_background_state_blocked(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log)
{
    if (ngx_http_background_state_save == NULL
        || ngx_http_background_state_failed
        || ngx_current_msec - ngx_http_background_state_written
           < NGX_HTTP_BACKGROUND_STATE_TIMEOUT)
    {
        return;
    }

    ngx_http_background_state_failed = 1;

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "background_state: \"%V\" can't be written, "
                  "the file system blocks", &zcf->state);
}


/* a failed write is answered, too, or cycles would wait for it forever */

static void
ngx_http_background_state_end(ngx_http_background_zone_conf_t *zcf,
    ngx_log_t *log)
{
    ngx_http_background_state_save_t  *save;

    save = ngx_http_background_state_save;

    if (save == NULL || !__atomic_load_n(&save->done, __ATOMIC_ACQUIRE)) {
        return;
    }

    if (save->err && !ngx_http_background_state_failed) {
        ngx_log_error(NGX_LOG_ERR, log, save->err,
                      "background_state: \"%V\" can't be written%s",
                      &zcf->state, save->unstarted
                                   ? ", pthread_create() failed" : "");

    } else if (save->err == 0 && ngx_http_background_state_failed) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "background_state: \"%V\" is written again",
                      &zcf->state);
    }

    ngx_http_background_state_failed = (save->err != 0);
    ngx_http_background_state_answer(zcf->zone, save->number);

    ngx_free(save);
    ngx_http_background_state_save = NULL;
}
