
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Version 1 of the interface of "call", as libraries were built with. */


#ifndef _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_CALL_H_INCLUDED_


#include <stdint.h>


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
