
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


#include <stdint.h>


/* a library of another version is refused when the configuration is read */
#define NGX_HTTP_BACKGROUND_CALL_ABI  1


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
 * message        a line in nginx's error log, at level "info"; /status shows the
 *                cycle's last one, its first 128 bytes
 *
 * The texts are in UTF-8, without a newline, formatted as by printf().
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


#endif /* _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_ */
