
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The interface for functions of the directive "call".  Plain C, usable from
 * C++, too; no header of nginx is needed.
 *
 *     #include <ngx_http_background_call.h>
 *
 *     NGX_HTTP_BACKGROUND_CALL(hello)
 *     {
 *         call->message(call, "hello, %s", call->argv[0]);
 *         return 0;
 *     }
 *
 * The library is built by
 *
 *     cc -shared -fPIC -I/path/to/src -o hello.so hello.c
 *
 * and the function is called by "call /path/to/hello.so hello world;" in a
 * task.
 */


#ifndef _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * Libraries of version 1 can be loaded, too.  A library of another version is
 * an error while the configuration is read.
 */
#define NGX_HTTP_BACKGROUND_CALL_ABI  2


typedef struct ngx_http_background_call_s  ngx_http_background_call_t;


#if defined(__GNUC__)
#define NGX_HTTP_BACKGROUND_CALL_PRINTF __attribute__((format(printf, 2, 3)))
#define NGX_HTTP_BACKGROUND_CALL_PUBLIC __attribute__((visibility("default")))
#define NGX_HTTP_BACKGROUND_CALL_UNUSED __attribute__((unused))
#else
#define NGX_HTTP_BACKGROUND_CALL_PRINTF
#define NGX_HTTP_BACKGROUND_CALL_PUBLIC
#define NGX_HTTP_BACKGROUND_CALL_UNUSED
#endif

#ifdef __cplusplus
#define NGX_HTTP_BACKGROUND_CALL_C  extern "C"
#else
#define NGX_HTTP_BACKGROUND_CALL_C  extern
#endif


/*
 * The structure, and all memory it points to, is valid until the function
 * returns.  Its functions may be called only on the thread that the function
 * was called on.
 *
 * cancelled      returns nonzero if the function must return soon.  Must be
 *                called at least every millisecond of work.  It may sleep, to
 *                limit the CPU time of the thread.  The result of a cancelled
 *                function is ignored
 * progress       sets the progress, in any unit; a total of 0 means that it is
 *                not known
 * add_bytes      adds bytes of processed data
 * add_completed  adds completed items; a function that does not call it counts
 *                as one item when it succeeds
 * fail           counts a failed item; the text of the first one is the error
 *                of the cycle.  The function may continue
 * message        logs a line at level "info"; /status shows the first 128
 *                bytes of the last one in a cycle
 *
 * The texts are in UTF-8, without a newline, formatted as by printf().
 *
 * Since version 2, for cycles that are started by something else than
 * "interval", such as a request:
 *
 * input   the input of the cycle, input_len bytes, not zero-terminated,
 *         read-only.  NULL and 0 if there is no input or it is empty
 * fence   a number that only increases: a store of results can reject a result
 *         with a lower number, from a worker that has lost the task since.  0
 *         if the task has none
 * write   appends bytes to the output; they are copied.  Returns nonzero if
 *         there is no memory or the trigger does not accept so much: the bytes
 *         and all later ones are dropped, and the cycle fails
 * type    sets the media type of the output, such as "text/plain"; the last
 *         call counts
 * status  sets the code of the HTTP response, from 200 to 599; the last call
 *         counts
 * header  adds a header field to the HTTP response; fields of the same name
 *         are kept.  The following fields are set by nginx only: Connection,
 *         Content-Length, Content-Type, Date, Keep-Alive, Proxy-Connection,
 *         Server, TE, Trailer, Transfer-Encoding, Upgrade
 *
 * The strings are zero-terminated and are copied.  The cycle fails if a code
 * is out of range, a field is one of those above, its name is not an HTTP
 * token, a type or value has a control character other than a tab (such as CR
 * or LF), or the type and the fields exceed 32 KiB.  A trigger may ignore the
 * output of a failed cycle.  If no trigger waits for the cycle, the output is
 * checked and dropped.
 */

struct ngx_http_background_call_s {
    const char           *task;             /* name of the task */
    int                   argc;
    const char *const    *argv;             /* the arguments, then NULL */

    int     (*cancelled)(ngx_http_background_call_t *call);
    void    (*progress)(ngx_http_background_call_t *call, uint64_t done,
                        uint64_t total);
    void    (*add_bytes)(ngx_http_background_call_t *call, uint64_t bytes);
    void    (*add_completed)(ngx_http_background_call_t *call, uint64_t n);
    void    (*fail)(ngx_http_background_call_t *call, const char *format, ...)
                NGX_HTTP_BACKGROUND_CALL_PRINTF;
    void    (*message)(ngx_http_background_call_t *call, const char *format,
                       ...)
                NGX_HTTP_BACKGROUND_CALL_PRINTF;

    /* version 2 */

    const void           *input;
    size_t                input_len;
    uint64_t              fence;

    int     (*write)(ngx_http_background_call_t *call, const void *data,
                     size_t len);
    void    (*type)(ngx_http_background_call_t *call, const char *media_type);
    void    (*status)(ngx_http_background_call_t *call, int code);
    void    (*header)(ngx_http_background_call_t *call, const char *name,
                      const char *value);
};


/*
 * Defines a function, and SYMBOL_call_abi with the version of the interface.
 * The function returns 0 on success.  Otherwise the cycle fails, as it does
 * after fail().  The function may run on several threads at once if several
 * tasks or operations call it.  It must not exit, leave by longjmp() or a C++
 * exception, or change settings of the process, such as signals and locale.
 * It must not start a process: nginx would take the exit status of the child,
 * and the child would inherit sockets of clients.
 *
 * The function may change the current folder and the umask.  They belong to
 * its thread and are restored when it returns; the umask is 022 or stricter.
 * If the kernel refuses unshare(CLONE_FS), which is logged at level "notice",
 * they belong to the process.  The signal mask of its thread is restored, too.
 */

#define NGX_HTTP_BACKGROUND_CALL(symbol)                                      \
    NGX_HTTP_BACKGROUND_CALL_C NGX_HTTP_BACKGROUND_CALL_PUBLIC                \
    const int symbol##_call_abi;                                              \
    const int symbol##_call_abi = NGX_HTTP_BACKGROUND_CALL_ABI;               \
                                                                              \
    NGX_HTTP_BACKGROUND_CALL_C NGX_HTTP_BACKGROUND_CALL_PUBLIC                \
    int symbol(ngx_http_background_call_t *call);                             \
                                                                              \
    int symbol(ngx_http_background_call_t *call                               \
               NGX_HTTP_BACKGROUND_CALL_UNUSED)


/*
 * "NGX_HTTP_BACKGROUND_CALL_PARKS(hello);" allows that the function is parked:
 * when other jobs wait for a thread, cancelled() lets them run first, and may
 * return only after seconds.  It must not be used for a function that calls
 * cancelled() with a lock that other threads may wait for.  A function without
 * it keeps its thread until it returns.
 */

#define NGX_HTTP_BACKGROUND_CALL_PARKS(symbol)                                \
    NGX_HTTP_BACKGROUND_CALL_C NGX_HTTP_BACKGROUND_CALL_PUBLIC                \
    const int symbol##_call_parks;                                            \
    const int symbol##_call_parks = 1


#endif /* _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_ */
