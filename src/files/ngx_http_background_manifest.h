
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* lists of hashes and names, as written and checked by sha256sum and others */


#ifndef _NGX_HTTP_BACKGROUND_MANIFEST_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_MANIFEST_H_INCLUDED_


#include <ngx_http_background.h>
#include <openssl/evp.h>


typedef struct ngx_http_background_manifest_s  ngx_http_background_manifest_t;

/* the contents of a line */

typedef struct {
    u_char                       hash[EVP_MAX_MD_SIZE];
    size_t                       len;        /* length of the hash */
    ngx_str_t                    name;
} ngx_http_background_checksum_t;


/*
 * Writing by several threads.  Lines are numbered from 0 and are written in
 * that order.  Lines that come too early are kept in memory.
 *
 * create   returns NULL if it has failed, which is counted
 * is       whether a name in a directory is the list itself
 * line     adds a line, or skips that number if hash is NULL.  Returns
 *          NGX_BUSY if too many lines wait for one that another thread has not
 *          added yet: the calling thread should stop, the other one will
 *          continue
 * commit   replaces the old list if it differs; called when all lines are
 *          added.  Failures are counted in the result of the run
 * destroy  removes a list that was not committed
 */
ngx_http_background_manifest_t *ngx_http_background_manifest_create(
    ngx_http_background_run_t *run, ngx_str_t *path);
ngx_uint_t ngx_http_background_manifest_is(
    ngx_http_background_manifest_t *manifest, dev_t dev, ino_t ino,
    u_char *name);
ngx_int_t ngx_http_background_manifest_line(
    ngx_http_background_manifest_t *manifest, ngx_http_background_run_t *run,
    uint64_t number, u_char *hash, size_t len, ngx_str_t *name);
void ngx_http_background_manifest_commit(
    ngx_http_background_manifest_t *manifest, ngx_http_background_run_t *run);
void ngx_http_background_manifest_destroy(
    ngx_http_background_manifest_t *manifest);


/*
 * A line:
 *
 * size    returns the maximum length of the line
 * format  writes the line with its end, and returns the position after it
 * parse   parses a line without its end: sets the hash, and the name, which is
 *         unescaped in place and zero-terminated; one byte after the line must
 *         be writable.  Returns NGX_DECLINED for an empty line or a comment,
 *         NGX_ERROR for an invalid one.  The number of characters between hash
 *         and name, 1 or 2, is the same in all lines of a list: "blanks" is 0
 *         before the first line and is set by the first line that shows it
 */
size_t ngx_http_background_manifest_size(size_t len, ngx_str_t *name);
u_char *ngx_http_background_manifest_format(u_char *p, u_char *hash,
    size_t len, ngx_str_t *name);
ngx_int_t ngx_http_background_manifest_parse(ngx_str_t *line,
    const EVP_MD *md, ngx_uint_t *blanks, ngx_http_background_checksum_t *sum);


#endif /* _NGX_HTTP_BACKGROUND_MANIFEST_H_INCLUDED_ */
