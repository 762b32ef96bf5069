
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* the result, input, and output of a run, as set and used by kinds */


#include "ngx_http_background_job.h"
#include "ngx_http_background_path.h"

#include <sys/mman.h>


/* the error of a kind that gives none */
#define NGX_HTTP_BACKGROUND_NO_REASON  "failed without a reason"

/* the smallest sizes of the first and of further output buffers, in bytes */
#define NGX_HTTP_BACKGROUND_OUTPUT_CHUNK  4096
#define NGX_HTTP_BACKGROUND_OUTPUT_LARGE  65536

/*
 * The limit for the type and all headers of an output.  Each counts with 2
 * more bytes for ": " or the line end.
 */
#define NGX_HTTP_BACKGROUND_OUTPUT_STRINGS  32768


static ngx_buf_t *ngx_http_background_output_buf(
    ngx_http_background_run_t *run, ngx_http_background_output_t *output,
    size_t len);
static ngx_uint_t ngx_http_background_output_name_valid(
    const ngx_str_t *name);
static ngx_uint_t ngx_http_background_output_value_valid(
    const ngx_str_t *value);
static ngx_int_t ngx_http_background_output_copy(
    ngx_http_background_run_t *run, ngx_str_t *dst, const ngx_str_t *src);


/* header fields that frame a response or are set by nginx */

static ngx_str_t  ngx_http_background_output_reserved[] = {
    ngx_string("Connection"),
    ngx_string("Content-Length"),
    ngx_string("Content-Type"),
    ngx_string("Date"),
    ngx_string("Keep-Alive"),
    ngx_string("Proxy-Connection"),
    ngx_string("Server"),
    ngx_string("TE"),
    ngx_string("Trailer"),
    ngx_string("Transfer-Encoding"),
    ngx_string("Upgrade"),
    ngx_null_string
};


void ngx_cdecl
ngx_http_background_fail(ngx_http_background_result_t *result, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    if (result->failed++) {
        return;
    }

    if (fmt == NULL) {
        fmt = NGX_HTTP_BACKGROUND_NO_REASON;
    }

    last = result->error + NGX_HTTP_BACKGROUND_ERROR_LEN;

    va_start(args, fmt);
    p = ngx_vslprintf(result->error, last, fmt, args);
    va_end(args);

    if (err) {
        p = ngx_log_errno(p, last, err);
    }

    result->error_len = p - result->error;
}


void
ngx_http_background_fail_path(ngx_http_background_result_t *result,
    const ngx_str_t *root, const ngx_str_t *path, ngx_err_t err,
    const char *fmt)
{
    u_char     text[NGX_HTTP_BACKGROUND_PATH_TEXT];
    ngx_str_t  none = ngx_null_string;

    ngx_http_background_path_text(text, root ? root : &none,
                                  path ? path : &none);

    ngx_http_background_fail(result, err, fmt, text);
}


void
ngx_http_background_result_check(ngx_http_background_result_t *result)
{
    if ((ngx_int_t) result->completed < 0) {
        result->completed = 0;
    }

    if ((ngx_int_t) result->failed < 0) {
        result->failed = 1;
    }

    if ((ngx_int_t) result->active < 0) {
        result->active = 1;
    }

    result->message_len = ngx_min(result->message_len,
                                  NGX_HTTP_BACKGROUND_MESSAGE_LEN);
    result->expires = ngx_max(result->expires, 0);
    result->error_len = ngx_min(result->error_len,
                                NGX_HTTP_BACKGROUND_ERROR_LEN);

    if (result->failed && result->error_len == 0) {
        result->error_len = sizeof(NGX_HTTP_BACKGROUND_NO_REASON) - 1;
        ngx_memcpy(result->error, NGX_HTTP_BACKGROUND_NO_REASON,
                   result->error_len);
    }
}


void
ngx_http_background_result_required(ngx_http_background_result_t *result)
{
    if (result->completed == 0 && result->failed == 0
        && !result->allow_empty)
    {
        ngx_http_background_fail(result, 0,
                                 "no result, nothing was completed or failed");
    }
}


void ngx_cdecl
ngx_http_background_message(ngx_http_background_result_t *result,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    if (fmt == NULL) {
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(result->message,
                      result->message + NGX_HTTP_BACKGROUND_MESSAGE_LEN,
                      fmt, args);
    va_end(args);

    result->message_len = p - result->message;
}


ngx_uint_t
ngx_http_background_few_connections(u_char *text)
{
    ngx_uint_t  total, nfree;

    total = ngx_cycle->connection_n;
    nfree = ngx_cycle->free_connection_n;

    if (nfree > total / 16) {
        return 0;
    }

    (void) ngx_snprintf(text, NGX_HTTP_BACKGROUND_ERROR_LEN,
                        "too few free connections, %ui of %ui "
                        "\"worker_connections\" are in use%Z",
                        total - nfree, total);

    return 1;
}


ngx_int_t
ngx_http_background_input(ngx_http_background_run_t *run, ngx_str_t *bytes)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    void                               *p;
    const ngx_http_background_input_t  *input;

    input = job->input;

    if (input->file == NGX_INVALID_FILE || input->file_size == 0) {
        *bytes = input->bytes;
        return NGX_OK;
    }

    if (job->map.data == NULL) {
        p = mmap(NULL, input->file_size, PROT_READ, MAP_PRIVATE, input->file,
                 0);

        if (p == MAP_FAILED) {
            ngx_http_background_fail(&run->result, ngx_errno,
                                     "mmap() of the input failed");
            return NGX_ERROR;
        }

        job->map.data = p;
        job->map.len = input->file_size;
    }

    *bytes = job->map;

    return NGX_OK;
}


ngx_fd_t
ngx_http_background_input_file(ngx_http_background_run_t *run)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    return job->input->file;
}


void
ngx_http_background_input_unmap(ngx_http_background_job_t *job)
{
    if (job->map.data == NULL) {
        return;
    }

    if (munmap(job->map.data, job->map.len) == -1) {
        ngx_log_error(NGX_LOG_ALERT, job->run.log, ngx_errno,
                      "munmap() of the input failed");
    }

    job->map.data = NULL;
}


ngx_int_t
ngx_http_background_output(ngx_http_background_run_t *run, const void *data,
    size_t len)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    size_t                         n;
    ngx_buf_t                     *b;
    const u_char                  *p;
    ngx_http_background_output_t  *output;

    output = &job->output;

    if (output->max == 0) {
        return NGX_OK;
    }

    if (len > output->max - output->size) {
        return NGX_DECLINED;
    }

    for (p = data; len; p += n, len -= n) {
        b = ngx_http_background_output_buf(run, output, len);
        if (b == NULL) {
            return NGX_ERROR;
        }

        n = ngx_min(len, (size_t) (b->end - b->last));
        b->last = ngx_cpymem(b->last, p, n);
        output->size += n;
    }

    return NGX_OK;
}


/* returns a buffer with at least one free byte */

static ngx_buf_t *
ngx_http_background_output_buf(ngx_http_background_run_t *run,
    ngx_http_background_output_t *output, size_t len)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (output->last) {
        b = output->last->buf;

        if (b->last < b->end) {
            return b;
        }
    }

    size = output->last ? NGX_HTTP_BACKGROUND_OUTPUT_LARGE
                        : NGX_HTTP_BACKGROUND_OUTPUT_CHUNK;

    b = ngx_create_temp_buf(run->pool, ngx_max(size, len));
    if (b == NULL) {
        return NULL;
    }

    cl = ngx_alloc_chain_link(run->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = b;
    cl->next = NULL;

    if (output->last) {
        output->last->next = cl;

    } else {
        output->out = cl;
    }

    output->last = cl;

    return b;
}


ngx_int_t
ngx_http_background_output_type(ngx_http_background_run_t *run,
    const ngx_str_t *type)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    if (!ngx_http_background_output_value_valid(type)) {
        return NGX_DECLINED;
    }

    return ngx_http_background_output_copy(run, &job->output.type, type);
}


ngx_int_t
ngx_http_background_output_status(ngx_http_background_run_t *run,
    ngx_uint_t code)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    if (code < 200 || code > 599) {
        return NGX_DECLINED;
    }

    job->output.status = code;

    return NGX_OK;
}


ngx_int_t
ngx_http_background_output_header(ngx_http_background_run_t *run,
    const ngx_str_t *name, const ngx_str_t *value)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    ngx_str_t                      key, text;
    ngx_keyval_t                  *header;
    ngx_http_background_output_t  *output;

    output = &job->output;

    if (!ngx_http_background_output_name_valid(name)
        || !ngx_http_background_output_value_valid(value))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_background_output_copy(run, &key, name) != NGX_OK
        || ngx_http_background_output_copy(run, &text, value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (output->headers == NULL) {
        output->headers = ngx_array_create(run->pool, 4, sizeof(ngx_keyval_t));
        if (output->headers == NULL) {
            return NGX_ERROR;
        }
    }

    header = ngx_array_push(output->headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->key = key;
    header->value = text;

    return NGX_OK;
}


/* whether the name is an HTTP token and not reserved */

static ngx_uint_t
ngx_http_background_output_name_valid(const ngx_str_t *name)
{
    u_char      c, lower;
    size_t      i;
    ngx_str_t  *reserved;

    for (i = 0; i < name->len; i++) {
        c = name->data[i];
        lower = c | 0x20;

        if ((c < '0' || c > '9') && (lower < 'a' || lower > 'z')
            && (c == '\0' || ngx_strchr("!#$%&'*+-.^_`|~", c) == NULL))
        {
            return 0;
        }
    }

    for (reserved = ngx_http_background_output_reserved;
         reserved->len;
         reserved++)
    {
        if (name->len == reserved->len
            && ngx_strncasecmp(name->data, reserved->data, name->len) == 0)
        {
            return 0;
        }
    }

    return name->len != 0;
}


/* whether the value has no control characters that could end the line */

static ngx_uint_t
ngx_http_background_output_value_valid(const ngx_str_t *value)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_background_output_copy(ngx_http_background_run_t *run, ngx_str_t *dst,
    const ngx_str_t *src)
{
    ngx_http_background_job_t *job = (ngx_http_background_job_t *) run;

    size_t   room;
    u_char  *p;

    room = NGX_HTTP_BACKGROUND_OUTPUT_STRINGS - job->output.strings;

    if (room < 2 || src->len > room - 2) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(run->pool, src->len ? src->len : 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, src->data, src->len);

    job->output.strings += src->len + 2;

    dst->len = src->len;
    dst->data = p;

    return NGX_OK;
}
