
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* "call": calls a function of a shared library on a thread of the pool */


#include <ngx_http_background.h>
#include <ngx_http_background_call.h>

#include <dlfcn.h>


/* the longest text that a function may pass, in bytes */
#define NGX_HTTP_BACKGROUND_CALL_TEXT  1024

/* the oldest supported version of the interface */
#define NGX_HTTP_BACKGROUND_CALL_ABI_MIN  1


typedef int (*ngx_http_background_call_pt)(ngx_http_background_call_t *call);


/* a loaded library, of this configuration or of an older one */

typedef struct {
    ngx_queue_t                     queue;
    void                           *handle;
    char                           *name;    /* the name that was passed to
                                                dlopen() */
    dev_t                           dev;
    ino_t                           ino;
} ngx_http_background_call_library_t;


typedef struct {
    ngx_http_background_call_pt     function;
    ngx_str_t                       symbol;
    int                             abi;
    int                             argc;
    char                          **argv;
    ngx_http_complex_value_t       *values;  /* NULL: the arguments have no
                                                variables */
    ngx_uint_t                      parks;   /* unsigned  parks:1; */
} ngx_http_background_call_conf_t;


/* begins with the structure that the function gets */

typedef struct {
    ngx_http_background_call_t      call;
    ngx_http_background_run_t      *run;
    ngx_uint_t                      counted; /* unsigned  counted:1; */
    ngx_uint_t                      lost;    /* unsigned  lost:1; */
} ngx_http_background_call_ctx_t;


static char *ngx_http_background_call(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_background_call_open(ngx_conf_t *cf, ngx_str_t *path);
static ngx_int_t ngx_http_background_call_real(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *real);
static ngx_int_t ngx_http_background_call_root_only(ngx_conf_t *cf,
    ngx_str_t *path, u_char *name);
static char *ngx_http_background_call_name(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_background_call_library_t *library);
static void ngx_http_background_call_close(void *data);
static ngx_int_t ngx_http_background_call_symbol(ngx_conf_t *cf, void *handle,
    ngx_str_t *path, ngx_http_background_call_conf_t *ccf);
static ngx_int_t ngx_http_background_call_abi(ngx_conf_t *cf, void *handle,
    ngx_str_t *path, ngx_http_background_call_conf_t *ccf);
static const int *ngx_http_background_call_int(ngx_conf_t *cf, void *handle,
    ngx_str_t *symbol, const char *suffix);
static char *ngx_http_background_call_dlerror(void);

static ngx_int_t ngx_http_background_call_arguments(ngx_conf_t *cf,
    ngx_http_background_call_conf_t *ccf);
static ngx_int_t ngx_http_background_call_prepare(
    ngx_http_background_run_t *run, ngx_http_request_t *r);

static void ngx_http_background_call_work(ngx_http_background_run_t *run);
static ngx_int_t ngx_http_background_call_init(
    ngx_http_background_call_ctx_t *ctx, ngx_http_background_run_t *run);
static int ngx_http_background_call_cancelled(
    ngx_http_background_call_t *call);
static void ngx_http_background_call_progress(ngx_http_background_call_t *call,
    uint64_t done, uint64_t total);
static void ngx_http_background_call_add_bytes(
    ngx_http_background_call_t *call, uint64_t bytes);
static void ngx_http_background_call_add_completed(
    ngx_http_background_call_t *call, uint64_t n);
static void ngx_http_background_call_fail(ngx_http_background_call_t *call,
    const char *format, ...);
static void ngx_http_background_call_message(ngx_http_background_call_t *call,
    const char *format, ...);
static int ngx_http_background_call_write(ngx_http_background_call_t *call,
    const void *data, size_t len);
static void ngx_http_background_call_type(ngx_http_background_call_t *call,
    const char *media_type);
static void ngx_http_background_call_status(ngx_http_background_call_t *call,
    int code);
static void ngx_http_background_call_header(ngx_http_background_call_t *call,
    const char *name, const char *value);
static void ngx_http_background_call_text(u_char *text, const char *format,
    va_list args);


static ngx_http_background_kind_t  ngx_http_background_call_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    ngx_http_background_call_work,           /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static ngx_command_t  ngx_http_background_call_commands[] = {

    { ngx_string("call"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_2MORE,
      ngx_http_background_call,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_call_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_background_call_module = {
    NGX_MODULE_V1,
    &ngx_http_background_call_module_ctx,  /* module context */
    ngx_http_background_call_commands,     /* module directives */
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


static ngx_queue_t  ngx_http_background_call_libraries = {
    &ngx_http_background_call_libraries,
    &ngx_http_background_call_libraries
};


static char *
ngx_http_background_call(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    void                             *handle;
    ngx_str_t                        *value, path;
    ngx_uint_t                        i;
    ngx_http_background_call_conf_t  *ccf;

    value = cf->args->elts;

    ccf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_call_conf_t));
    if (ccf == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i <= 2; i++) {
        if (value[i].len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "empty %s in \"%V\" directive, "
                               "it must be \"LIBRARY SYMBOL [ARGUMENT]...\"",
                               (i == 1) ? "library" : "symbol", &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    path = value[1];

    if (ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    handle = ngx_http_background_call_open(cf, &path);
    if (handle == NULL) {
        return NGX_CONF_ERROR;
    }

    ccf->symbol = value[2];

    if (ngx_http_background_call_symbol(cf, handle, &path, ccf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_call_arguments(cf, ccf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_add_operation(cf, &ngx_http_background_call_kind,
                                          ccf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ccf->values
           ? ngx_http_background_use_request(cf,
                                            ngx_http_background_call_prepare)
           : NGX_CONF_OK;
}


static ngx_int_t
ngx_http_background_call_arguments(ngx_conf_t *cf,
    ngx_http_background_call_conf_t *ccf)
{
    ngx_int_t                          i;
    ngx_str_t                         *value;
    ngx_uint_t                         variables;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;
    value += 3;

    ccf->argc = cf->args->nelts - 3;

    ccf->argv = ngx_palloc(cf->pool, (ccf->argc + 1) * sizeof(char *));
    if (ccf->argv == NULL) {
        return NGX_ERROR;
    }

    variables = 0;

    for (i = 0; i < ccf->argc; i++) {
        ccf->argv[i] = (char *) value[i].data;
        variables += ngx_http_script_variables_count(&value[i]);
    }

    ccf->argv[ccf->argc] = NULL;

    if (variables == 0) {
        return NGX_OK;
    }

    ccf->values = ngx_pcalloc(cf->pool,
                              ccf->argc * sizeof(ngx_http_complex_value_t));
    if (ccf->values == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ccf->argc; i++) {
        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = &ccf->values[i];

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_background_call_open(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_str_t                            real;
    ngx_file_info_t                      fi;
    ngx_pool_cleanup_t                  *cln;
    ngx_http_background_call_library_t  *library;

    /*
     * the path with its links is checked, too, as they are followed again at a
     * reload
     */

    if (ngx_http_background_call_root_only(cf, path, path->data) != NGX_OK
        || ngx_http_background_call_real(cf, path, &real) != NGX_OK
        || ngx_http_background_call_root_only(cf, path, real.data) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_file_info(real.data, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_file_info_n " \"%V\" of \"call\" directive "
                           "failed", path);
        return NULL;
    }

    /* dlopen() may block on other files, such as a FIFO */

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "library \"%V\" in \"call\" directive is not "
                           "a regular file", path);
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool,
                               sizeof(ngx_http_background_call_library_t));
    if (cln == NULL) {
        return NULL;
    }

    library = cln->data;

    library->dev = fi.st_dev;
    library->ino = fi.st_ino;

    library->name = ngx_http_background_call_name(cf, &real, library);
    if (library->name == NULL) {
        return NULL;
    }

    library->handle = dlopen(library->name, RTLD_NOW|RTLD_LOCAL);

    if (library->handle == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "dlopen() \"%V\" of \"call\" directive failed (%s)",
                           path, ngx_http_background_call_dlerror());
        return NULL;
    }

    ngx_queue_insert_tail(&ngx_http_background_call_libraries,
                          &library->queue);

    cln->handler = ngx_http_background_call_close;

    return library->handle;
}


static ngx_int_t
ngx_http_background_call_real(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *real)
{
    char  *name;

    name = realpath((char *) path->data, NULL);

    if (name == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "realpath() \"%V\" of \"call\" directive failed",
                           path);
        return NGX_ERROR;
    }

    real->len = ngx_strlen(name);
    real->data = ngx_pnalloc(cf->pool, real->len + 1);

    if (real->data) {
        (void) ngx_cpystrn(real->data, (u_char *) name, real->len + 1);
    }

    free(name);

    return real->data ? NGX_OK : NGX_ERROR;
}


/*
 * If the master process runs as root, only root may be able to write or to
 * replace the library.  Shared folders such as /tmp are sticky, so only the
 * owner of a file may replace it.
 */

static ngx_int_t
ngx_http_background_call_root_only(ngx_conf_t *cf, ngx_str_t *path,
    u_char *name)
{
    int               rc;
    u_char           *p, c;
    mode_t            others;
    ngx_file_info_t   fi;

    if (geteuid() != 0) {
        return NGX_OK;
    }

    p = name;

    /*
     * The check begins with "/".  A missing part can only be created by root,
     * as its parent folder was checked before.
     */

    do {
        p += strcspn((char *) p + 1, "/") + 1;

        c = *p;
        *p = '\0';

        rc = ngx_file_info(name, &fi);

        *p = c;

        if (rc == NGX_FILE_ERROR) {
            return NGX_OK;
        }

        others = (ngx_is_dir(&fi) && (fi.st_mode & S_ISVTX))
                 ? 0 : S_IWGRP|S_IWOTH;

        if (fi.st_uid != 0 || (fi.st_mode & others)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "library \"%V\" in \"call\" directive can be "
                               "changed by others than root, as \"%*s\" %s",
                               path, (size_t) (p - name), name,
                               fi.st_uid ? "is not root's"
                                         : "is writable by group or others");
            return NGX_ERROR;
        }

    } while (c);

    return NGX_OK;
}


/*
 * Returns a name for dlopen(), which returns a loaded library if the name or
 * the inode is the same.  Some libraries are never unloaded, so a file that
 * has replaced a library needs a name that was not used before: a number is
 * inserted, with each of its binary digits written as "/" or "/.".
 */

static char *
ngx_http_background_call_name(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_background_call_library_t *library)
{
    u_char                              *name, *p, *last;
    uint32_t                             n;
    ngx_queue_t                         *q;
    ngx_http_background_call_library_t  *loaded;

    static uint32_t  number;

    for (q = ngx_queue_head(&ngx_http_background_call_libraries);
         q != ngx_queue_sentinel(&ngx_http_background_call_libraries);
         q = ngx_queue_next(q))
    {
        loaded = ngx_queue_data(q, ngx_http_background_call_library_t, queue);

        if (loaded->dev == library->dev && loaded->ino == library->ino) {
            name = ngx_pnalloc(cf->pool, ngx_strlen(loaded->name) + 1);
            if (name == NULL) {
                return NULL;
            }

            (void) ngx_cpystrn(name, (u_char *) loaded->name,
                               ngx_strlen(loaded->name) + 1);

            return (char *) name;
        }
    }

    name = ngx_pnalloc(cf->pool, path->len + 2 * 32 + 1);
    if (name == NULL) {
        return NULL;
    }

    /* the static variable is lost if this module was unloaded meanwhile */

    number = number ? number + 1 : (uint32_t) ngx_time();

    last = path->data + path->len;

    while (last[-1] != '/') {
        last--;
    }

    p = ngx_cpymem(name, path->data, last - 1 - path->data);

    for (n = number; n; n >>= 1) {
        *p++ = '/';

        if (n & 1) {
            *p++ = '.';
        }
    }

    (void) ngx_cpystrn(p, last - 1, path->data + path->len - last + 2);

    return (char *) name;
}


static void
ngx_http_background_call_close(void *data)
{
    ngx_http_background_call_library_t *library = data;

    ngx_queue_remove(&library->queue);

    /* threads of the library may still run in a worker that exits */

    if (ngx_process == NGX_PROCESS_WORKER || ngx_process == NGX_PROCESS_HELPER)
    {
        return;
    }

    if (dlclose(library->handle) != 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "dlclose() \"%s\" failed (%s)", library->name,
                      ngx_http_background_call_dlerror());
    }
}


static ngx_int_t
ngx_http_background_call_symbol(ngx_conf_t *cf, void *handle, ngx_str_t *path,
    ngx_http_background_call_conf_t *ccf)
{
    ccf->function = (ngx_http_background_call_pt)
                        dlsym(handle, (char *) ccf->symbol.data);

    if (ccf->function == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "dlsym() \"%V\" of library \"%V\" in \"call\" "
                           "directive failed (%s)", &ccf->symbol, path,
                           ngx_http_background_call_dlerror());
        return NGX_ERROR;
    }

    return ngx_http_background_call_abi(cf, handle, path, ccf);
}


static ngx_int_t
ngx_http_background_call_abi(ngx_conf_t *cf, void *handle, ngx_str_t *path,
    ngx_http_background_call_conf_t *ccf)
{
    const int  *abi, *parks;

    abi = ngx_http_background_call_int(cf, handle, &ccf->symbol, "_call_abi");

    if (abi == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of library \"%V\" in \"call\" directive is "
                           "not defined by \"NGX_HTTP_BACKGROUND_CALL(%V)\"",
                           &ccf->symbol, path, &ccf->symbol);
        return NGX_ERROR;
    }

    if (*abi < NGX_HTTP_BACKGROUND_CALL_ABI_MIN
        || *abi > NGX_HTTP_BACKGROUND_CALL_ABI)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of library \"%V\" in \"call\" directive was "
                           "built for version %d of "
                           "\"ngx_http_background_call.h\", it must be from "
                           "%d to %d",
                           &ccf->symbol, path, *abi,
                           NGX_HTTP_BACKGROUND_CALL_ABI_MIN,
                           NGX_HTTP_BACKGROUND_CALL_ABI);
        return NGX_ERROR;
    }

    parks = ngx_http_background_call_int(cf, handle, &ccf->symbol,
                                         "_call_parks");

    ccf->abi = *abi;
    ccf->parks = (parks && *parks);

    return NGX_OK;
}


/*
 * Returns the value that a macro of the header has defined beside the
 * function, or NULL.
 */

static const int *
ngx_http_background_call_int(ngx_conf_t *cf, void *handle, ngx_str_t *symbol,
    const char *suffix)
{
    u_char  *name;

    name = ngx_pnalloc(cf->pool, symbol->len + ngx_strlen(suffix) + 1);
    if (name == NULL) {
        return NULL;
    }

    (void) ngx_sprintf(name, "%V%s%Z", symbol, suffix);

    return dlsym(handle, (char *) name);
}


/*
 * Returns the text of dlerror() without the name of the library, as that was
 * changed by call_name().
 */

static char *
ngx_http_background_call_dlerror(void)
{
    char  *text, *p;

    text = dlerror();

    if (text == NULL) {
        return "no reason given";
    }

    p = (text[0] == '/') ? strstr(text, ": ") : NULL;

    return p ? p + 2 : text;
}


static ngx_int_t
ngx_http_background_call_prepare(ngx_http_background_run_t *run,
    ngx_http_request_t *r)
{
    ngx_http_background_call_conf_t *ccf = run->conf;

    char       **argv;
    ngx_int_t    i;
    ngx_str_t    value;

    argv = ngx_palloc(run->pool, (ccf->argc + 1) * sizeof(char *));
    if (argv == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ccf->argc; i++) {
        if (ngx_http_complex_value(r, &ccf->values[i], &value) != NGX_OK) {
            return NGX_ERROR;
        }

        /*
         * A request must not pass options to the function, or a value that
         * would end at a zero byte.
         */

        if (ngx_strlchr(value.data, value.data + value.len, '\0')
            || (value.len && value.data[0] == '-' && ccf->argv[i][0] != '-'))
        {
            return NGX_DECLINED;
        }

        argv[i] = ngx_pnalloc(run->pool, value.len + 1);
        if (argv[i] == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn((u_char *) argv[i], value.data, value.len + 1);
    }

    argv[ccf->argc] = NULL;

    run->ctx = argv;

    return NGX_OK;
}


static void
ngx_http_background_call_work(ngx_http_background_run_t *run)
{
    int                               rc;
    ngx_http_background_result_t     *result;
    ngx_http_background_call_ctx_t    ctx;
    ngx_http_background_call_conf_t  *ccf;

    ccf = run->conf;
    result = &run->result;

    if (ngx_http_background_call_init(&ctx, run) != NGX_OK) {
        return;
    }

    run->restore_thread = 1;
    run->keep_slot = !ccf->parks;

    rc = ccf->function(&ctx.call);

    /*
     * The function may not have called cancelled(): after a timeout it must
     * fail nevertheless.  The job is not parked here, as its work is over.
     */

    run->keep_slot = 1;

    if (ngx_http_background_cancelled(run) || result->failed) {
        return;
    }

    if (rc) {
        ngx_http_background_fail(result, 0, "%V() returned %d", &ccf->symbol,
                                 rc);

    } else if (ctx.counted) {
        result->allow_empty = 1;

    } else {
        result->completed = 1;
    }
}


static ngx_int_t
ngx_http_background_call_init(ngx_http_background_call_ctx_t *ctx,
    ngx_http_background_run_t *run)
{
    u_char                           *task;
    ngx_str_t                         input;
    ngx_http_background_call_t       *call;
    ngx_http_background_call_conf_t  *ccf;

    ccf = run->conf;

    ngx_memzero(ctx, sizeof(ngx_http_background_call_ctx_t));

    ctx->run = run;

    call = &ctx->call;

    task = ngx_pnalloc(run->pool, run->task->len + 1);
    if (task == NULL) {
        ngx_http_background_fail(&run->result, 0, "no memory");
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(task, run->task->data, run->task->len + 1);

    call->task = (char *) task;
    call->argc = ccf->argc;
    call->argv = run->ctx ? run->ctx : (const char *const *) ccf->argv;
    call->cancelled = ngx_http_background_call_cancelled;
    call->progress = ngx_http_background_call_progress;
    call->add_bytes = ngx_http_background_call_add_bytes;
    call->add_completed = ngx_http_background_call_add_completed;
    call->fail = ngx_http_background_call_fail;
    call->message = ngx_http_background_call_message;

    if (ccf->abi < 2) {
        return NGX_OK;
    }

    if (ngx_http_background_input(run, &input) != NGX_OK) {
        return NGX_ERROR;
    }

    call->input = input.data;
    call->input_len = input.len;
    call->fence = ngx_http_background_fence(run);
    call->write = ngx_http_background_call_write;
    call->type = ngx_http_background_call_type;
    call->status = ngx_http_background_call_status;
    call->header = ngx_http_background_call_header;

    return NGX_OK;
}


static int
ngx_http_background_call_cancelled(ngx_http_background_call_t *call)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    return ngx_http_background_cancelled(ctx->run);
}


static void
ngx_http_background_call_progress(ngx_http_background_call_t *call,
    uint64_t done, uint64_t total)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    ngx_http_background_progress(ctx->run, done, total);
}


static void
ngx_http_background_call_add_bytes(ngx_http_background_call_t *call,
    uint64_t bytes)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    ctx->run->result.bytes += bytes;
}


static void
ngx_http_background_call_add_completed(ngx_http_background_call_t *call,
    uint64_t n)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    ctx->run->result.completed += n;
    ctx->counted = 1;
}


static void
ngx_http_background_call_fail(ngx_http_background_call_t *call,
    const char *format, ...)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    u_char                            text[NGX_HTTP_BACKGROUND_CALL_TEXT];
    va_list                           args;
    ngx_http_background_call_conf_t  *ccf;

    ccf = ctx->run->conf;

    va_start(args, format);
    ngx_http_background_call_text(text, format, args);
    va_end(args);

    ngx_http_background_fail(&ctx->run->result, 0, "%V(): %s", &ccf->symbol,
                             text);
}


static void
ngx_http_background_call_message(ngx_http_background_call_t *call,
    const char *format, ...)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    u_char                            text[NGX_HTTP_BACKGROUND_CALL_TEXT];
    va_list                           args;
    ngx_http_background_call_conf_t  *ccf;

    ccf = ctx->run->conf;

    va_start(args, format);
    ngx_http_background_call_text(text, format, args);
    va_end(args);

    ngx_log_error(NGX_LOG_INFO, ctx->run->log, 0,
                  "background task \"%V\": %V(): %s",
                  ctx->run->task, &ccf->symbol, text);

    ngx_http_background_message(&ctx->run->result, "%s", text);
}


static int
ngx_http_background_call_write(ngx_http_background_call_t *call,
    const void *data, size_t len)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    ngx_int_t  rc;

    /* after a part of the output was lost, the rest is dropped, too */

    if (ctx->lost) {
        return 1;
    }

    rc = ngx_http_background_output(ctx->run, data, len);

    if (rc == NGX_OK) {
        return 0;
    }

    ctx->lost = 1;

    ngx_http_background_call_fail(call, "%s",
                                  (rc == NGX_DECLINED)
                                  ? "too much output"
                                  : "no memory for the output");
    return 1;
}


static void
ngx_http_background_call_type(ngx_http_background_call_t *call,
    const char *media_type)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    ngx_int_t  rc;
    ngx_str_t  type;

    type.len = ngx_strlen(media_type);
    type.data = (u_char *) media_type;

    rc = ngx_http_background_output_type(ctx->run, &type);

    if (rc != NGX_OK) {
        ngx_http_background_call_fail(call, "%s type \"%s\"",
                                      (rc == NGX_DECLINED) ? "invalid"
                                                           : "no room for",
                                      media_type);
    }
}


static void
ngx_http_background_call_status(ngx_http_background_call_t *call, int code)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    if (code < 0
        || ngx_http_background_output_status(ctx->run, code) != NGX_OK)
    {
        ngx_http_background_call_fail(call, "invalid status %d", code);
    }
}


static void
ngx_http_background_call_header(ngx_http_background_call_t *call,
    const char *name, const char *value)
{
    ngx_http_background_call_ctx_t *ctx =
                                       (ngx_http_background_call_ctx_t *) call;

    ngx_int_t  rc;
    ngx_str_t  key, text;

    key.len = ngx_strlen(name);
    key.data = (u_char *) name;

    text.len = ngx_strlen(value);
    text.data = (u_char *) value;

    rc = ngx_http_background_output_header(ctx->run, &key, &text);

    if (rc != NGX_OK) {
        ngx_http_background_call_fail(call, "%s header \"%s\"",
                                      (rc == NGX_DECLINED) ? "invalid"
                                                           : "no room for",
                                      name);
    }
}


/* control characters are replaced, as a message is one line in the log */

static void
ngx_http_background_call_text(u_char *text, const char *format, va_list args)
{
    u_char  *p;

    if (vsnprintf((char *) text, NGX_HTTP_BACKGROUND_CALL_TEXT, format, args)
        < 0)
    {
        (void) ngx_cpystrn(text, (u_char *) format,
                           NGX_HTTP_BACKGROUND_CALL_TEXT);
    }

    for (p = text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
}
