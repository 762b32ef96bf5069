
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * What a function for the directive "call" gets and may use.  Plain C, usable
 * from C++, too; nothing of nginx is needed.
 *
 *     #include <ngx_http_background_call.h>
 *
 *     NGX_HTTP_BACKGROUND_CALL(hello)
 *     {
 *         call->message(call, "hello, %s", call->argv[0]);
 *         return 0;
 *     }
 *
 * built by
 *
 *     cc -shared -fPIC -I/path/to/src -o hello.so hello.c
 *
 * and run by "call /path/to/hello.so hello world;" in a task.
 */


#ifndef _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * A library of version 1 can be loaded, too; one of another version is refused
 * when the configuration is read.
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
 * It lives until the function returns, and so does all it points to.  Its
 * functions are for the thread that the function was called on, not for threads
 * that it makes.
 *
 * cancelled      nonzero: return soon.  To be asked at least every millisecond
 *                of work; it is also what keeps the thread's share of a CPU, by
 *                sleeping.  What is returned after that does not matter.
 * progress       how far it is, in a unit of its own; total 0: not known
 * add_bytes      counts data processed
 * add_completed  counts items that are done; a function that does not call it
 *                counts as one when it succeeds
 * fail           counts an item that failed; the text of the first one is the
 *                cycle's error.  The function may go on.
 * message        a line in nginx's error log, at level "info"; /status shows
 *                the first 128 bytes of the cycle's last one
 *
 * The texts are in UTF-8, without a newline, formatted as by printf().
 *
 * Since version 2, for cycles that something else than "interval" starts, as a
 * request:
 *
 * input          what came with it, input_len bytes, which are only read; they
 *                are not zero-terminated.  NULL and 0 where there is none, and
 *                where it is empty
 * fence          a number that only grows: what stores results can refuse those
 *                with a lower one, of a worker that has lost the task since.  0
 *                where the task has none
 * write          adds bytes to the output; they are copied.  Nonzero: there is
 *                no memory, or it is more than the trigger takes.  Then nothing
 *                was added, nor will be, and the cycle fails
 * type           the output's media type, as "text/plain"; the last one counts
 * status         the code of the HTTP response, from 200 to 599; the last one
 *                counts
 * header         adds a field to the HTTP response; one of the same name stays.
 *                The response has its own Connection, Content-Length,
 *                Content-Type, Date, Keep-Alive, Proxy-Connection, Server, TE,
 *                Trailer, Transfer-Encoding and Upgrade
 *
 * The strings are zero-terminated and copied.  The cycle fails if a code is out
 * of range, a field is one of those above, its name is not a token of HTTP, a
 * type or value has a control character but a tab (a CR or LF, for instance),
 * or type and fields are more than 32 KiB in all.  The trigger may take output
 * of a cycle that has not failed only.  Where no trigger waits, output is
 * checked and dropped.
 */

struct ngx_http_background_call_s {
    const char           *task;             /* the task's name */
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
 * Defines a function, and beside it SYMBOL_call_abi, which says what it was
 * built for.  The function returns 0 if it succeeded, else the task's cycle
 * fails, as it does after fail().  It may run on several threads at once, if
 * several tasks or operations call it.  It must not exit, leave by longjmp() or
 * a C++ exception, or change what belongs to the process: signals, locale.  It
 * must not start a process: nginx takes the child's status, and the child would
 * inherit the sockets of nginx's clients.
 *
 * It may change the current folder and the umask, which are its thread's own
 * and set back when it returns; the umask is 022 or stricter.  Not so where the
 * kernel refuses unshare(CLONE_FS), which a notice in the log tells.
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
 * Says, as "NGX_HTTP_BACKGROUND_CALL_PARKS(hello);", that the function may be
 * parked: when other jobs wait for a thread, cancelled() lets them run first,
 * and returns when it is this one's turn again, maybe after seconds.  Not for a
 * function that asks with a lock held that others may wait for.  Without it, a
 * function keeps its turn until it returns.
 */

#define NGX_HTTP_BACKGROUND_CALL_PARKS(symbol)                                \
    NGX_HTTP_BACKGROUND_CALL_C NGX_HTTP_BACKGROUND_CALL_PUBLIC                \
    const int symbol##_call_parks;                                            \
    const int symbol##_call_parks = 1


#endif /* _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_ */
