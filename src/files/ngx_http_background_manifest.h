
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* Lists of hashes and names, as sha256sum and its like write and check them. */


#ifndef _NGX_HTTP_BACKGROUND_MANIFEST_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_MANIFEST_H_INCLUDED_


#include <ngx_http_background.h>
#include <openssl/evp.h>


typedef struct ngx_http_background_manifest_s  ngx_http_background_manifest_t;

/* what a line says */

typedef struct {
    u_char                       hash[EVP_MAX_MD_SIZE];
    size_t                       len;        /* of the hash */
    ngx_str_t                    name;
} ngx_http_background_checksum_t;


/*
 * Writing, by several threads: each line has a number, from 0, and they are
 * written in that order.  Those that come too early wait in memory.
 *
 * create   counts a failure and returns NULL
 * is       whether a name in a directory is the list itself
 * line     without a hash: that number has no line.  NGX_BUSY: too many wait
 *          for a line that another thread has yet to add; this one should stop,
 *          the other will go on
 * commit   puts it in its place if it differs from what is there; to be called
 *          once all lines are there.  A failure is counted in the run's result
 * destroy  what was not committed is gone then
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
 * size    how many bytes it may have
 * format  writes it, with its end, and returns where that is
 * parse   reads it, without its end: finds the hash, and the name with its
 *         escapes undone in place and a zero added; the line needs a byte of
 *         room for that.  NGX_DECLINED for an empty line or a comment,
 *         NGX_ERROR for others.  How many characters are between hash and
 *         name, 1 or 2, is a list's own: "blanks" is 0 before the first line,
 *         and is set by the first that shows it
 */
size_t ngx_http_background_manifest_size(size_t len, ngx_str_t *name);
u_char *ngx_http_background_manifest_format(u_char *p, u_char *hash,
    size_t len, ngx_str_t *name);
ngx_int_t ngx_http_background_manifest_parse(ngx_str_t *line,
    const EVP_MD *md, ngx_uint_t *blanks, ngx_http_background_checksum_t *sum);


#endif /* _NGX_HTTP_BACKGROUND_MANIFEST_H_INCLUDED_ */
