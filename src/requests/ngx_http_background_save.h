
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "save=" of "request": the body of a response is written to a file, which it
 * replaces as a whole.  The validators of the response are stored in an
 * attribute of the file, so that the next request is conditional.
 */


#ifndef _NGX_HTTP_BACKGROUND_SAVE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_SAVE_H_INCLUDED_


#include <ngx_http_background.h>


/* longer validators are not kept */
#define NGX_HTTP_BACKGROUND_SAVE_VALIDATOR  256


typedef struct {
    size_t                               len;
    u_char                               data[
                                           NGX_HTTP_BACKGROUND_SAVE_VALIDATOR];
} ngx_http_background_validator_t;


/* of a response, or of the file */

typedef struct {
    ngx_http_background_validator_t      etag;
    ngx_http_background_validator_t      modified;
} ngx_http_background_validators_t;


typedef struct ngx_http_background_save_block_s
    ngx_http_background_save_block_t;


/* one run's */

typedef struct {
    ngx_http_background_run_t           *run;
    ngx_str_t                           *path;      /* of the configuration */
    off_t                                max;
    void                               (*handler)(
                                             ngx_http_background_run_t *run);

    ngx_http_background_validators_t     known;     /* of the file */
    ngx_http_background_validators_t     response;
    uint32_t                             source;    /* of the file, then of the
                                                       request */
    ngx_uint_t                           whole;     /* unsigned  whole:1;
                                                       validators of the file
                                                       are not used */
    ngx_uint_t                           status;    /* of a complete one */

    ngx_http_background_save_block_t    *first;
    ngx_http_background_save_block_t    *last;
    off_t                                size;
    ngx_uint_t                           large;     /* unsigned  large:1;
                                                       more than max */
} ngx_http_background_save_t;


/*
 * On the event loop:
 *
 * create  NULL: no memory
 * load    reads the validators of the file, and calls the handler
 * asks    what the request asks for; validators of another one are forgotten
 * header  the header of a response, which begins
 * body    a part of its body; NGX_ERROR: it is too large, or there is no memory
 * store   writes the file, and calls the handler
 * expected
 *         whether a response with this status can be saved, or says that the
 *         file is current
 *
 * load and store return NGX_OK, or NGX_ERROR, with the reason in the result,
 * where the handler will not be called.
 */
ngx_http_background_save_t *ngx_http_background_save_create(
    ngx_http_background_run_t *run, ngx_str_t *path, off_t max);
ngx_int_t ngx_http_background_save_load(ngx_http_background_save_t *save,
    void (*handler)(ngx_http_background_run_t *run));
void ngx_http_background_save_asks(ngx_http_background_save_t *save,
    ngx_str_t *uri, ngx_str_t *host, ngx_str_t *test);
void ngx_http_background_save_header(ngx_http_background_save_t *save,
    ngx_http_request_t *r);
ngx_int_t ngx_http_background_save_body(ngx_http_background_save_t *save,
    ngx_chain_t *in);
ngx_int_t ngx_http_background_save_store(ngx_http_background_save_t *save,
    void (*handler)(ngx_http_background_run_t *run));
ngx_uint_t ngx_http_background_save_expected(
    ngx_http_background_save_t *save, ngx_uint_t status);


#endif /* _NGX_HTTP_BACKGROUND_SAVE_H_INCLUDED_ */
