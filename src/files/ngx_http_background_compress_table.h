
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The lines of the list of "compress" in memory, without access to files.  A
 * list begins with the line "# ngx_http_background_compress 2"; other lines
 * that begin with "#" are comments.  The following lines are
 *
 *     +2 SIZE TIME SOURCE DIGEST PATH      a file that was made
 *     -2 SIZE TIME SOURCE DIGEST PATH      no file is made of a source of that
 *                                          size and time, unless a "+2" line
 *                                          follows
 *     =2 SIZE CHANGED SOURCE PATH          a file of that size and change time
 *                                          that was not made by "compress" and
 *                                          unpacks to its source
 *     !2 SIZE CHANGED SOURCE PATH          the same, but it does not unpack to
 *                                          its source
 *
 * SOURCE is "SIZE INODE CHANGED", the state of the source; CHANGED is a change
 * time.  Times are SECONDS.NANOSECONDS with nine digits.  DIGEST is the SHA-256
 * of the source in hexadecimal.  In PATH a backslash is written as "\\" and a
 * newline as "\n".  Other lines are counted and dropped.
 *
 * Lines of version 1, whose list begins with "... 1", are also accepted:
 *
 *     + SIZE TIME PATH
 *     - SIZE TIME PATH
 *
 * "+" is also written for a file that is about to be renamed to its name.
 */


#ifndef _NGX_HTTP_BACKGROUND_COMPRESS_TABLE_H_INCLUDED_
#define _NGX_HTTP_BACKGROUND_COMPRESS_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_BACKGROUND_TABLE_HEADER  "# ngx_http_background_compress 2\n"
#define NGX_HTTP_BACKGROUND_TABLE_HEADER_1                                  \
    "# ngx_http_background_compress 1\n"

/*
 * The maximum size of a list, in bytes: enough for a million lines with paths
 * of 90 bytes.  A line has at least 18 bytes, so this limits the number of
 * lines and the memory, too.
 */
#define NGX_HTTP_BACKGROUND_TABLE_MAX     (256 * 1024 * 1024)
#define NGX_HTTP_BACKGROUND_TABLE_LARGE   "%s is larger than 256 MB"

/* length of SHA-256 */
#define NGX_HTTP_BACKGROUND_TABLE_DIGEST  32

/* the longest path of a file in a tree, with a final zero; shorter in t/fuzz */
#ifndef NGX_HTTP_BACKGROUND_TABLE_PATH
#define NGX_HTTP_BACKGROUND_TABLE_PATH    (128 * (NAME_MAX + 1))
#endif

/* the longest line, if all characters of the path are escaped */
#define NGX_HTTP_BACKGROUND_TABLE_LINE                                       \
    (sizeof("+2  .   .  \n") + 7 * NGX_INT64_LEN                              \
     + 2 * NGX_HTTP_BACKGROUND_TABLE_DIGEST                                  \
     + 2 * NGX_HTTP_BACKGROUND_TABLE_PATH)


/* the state of a source */

typedef struct {
    off_t                         size;
    uint64_t                      inode;
    time_t                        sec;       /* change time */
    long                          nsec;
    u_char                        digest[NGX_HTTP_BACKGROUND_TABLE_DIGEST];
    unsigned                      known:1;   /* 0: a line without these
                                                fields */
} ngx_http_background_source_t;


typedef struct ngx_http_background_stamp_s  ngx_http_background_stamp_t;

struct ngx_http_background_stamp_s {
    u_char                        sign;
    off_t                         size;
    time_t                        sec;
    long                          nsec;
    ngx_http_background_source_t  source;
    ngx_http_background_stamp_t  *next;
};


/* the lines of one path; zero-terminated */

typedef struct {
    ngx_str_node_t                sn;
    ngx_http_background_stamp_t  *made;      /* "+", the newest first */
    ngx_http_background_stamp_t  *poor;      /* "-", the newest */
    ngx_http_background_stamp_t  *other;     /* "=" or "!", the newest */
    unsigned                      seen:1;    /* set by the caller */
    unsigned                      current:1; /* set by the caller, reset by
                                                each line */
} ngx_http_background_made_t;


typedef struct {
    ngx_pool_t                   *pool;
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;

    /* size of the parsed text */
    size_t                        size;
    ngx_uint_t                    lines;     /* number of lines without
                                                comments */
    const char                   *error;     /* with "%s" for the path */

    ngx_uint_t                    version;   /* 0: the header is not parsed
                                                yet */

    unsigned                      too_long:1;    /* the current line */
    size_t                        len;
    u_char                        line[NGX_HTTP_BACKGROUND_TABLE_LINE];
} ngx_http_background_table_t;


/*
 * init       returns NGX_ERROR if there is no memory
 * parse      adds the lines of a text, which may be passed in any pieces.
 *            Returns NGX_ERROR if there is no memory, or NGX_DECLINED if the
 *            text is rejected, with the reason in "error"
 * end        called at the end of the text.  Returns NGX_OK; NGX_AGAIN if the
 *            text ends within a line, which is dropped; or NGX_DECLINED as
 *            above
 * restart    another text will be parsed; the table is kept
 * skip       a line of this length was added to the text and to the table, so
 *            it need not be parsed.  The text before it must have been parsed
 *            and must not end within a line
 * add        adds a line; returns NGX_ERROR if there is no memory, or
 *            NGX_DECLINED if the path is not valid
 * find       returns NULL if there is no such path
 * next       returns the next path, the first one after NULL, or NULL after
 *            the last one
 * format     formats a line of the path "made" in a buffer of
 *            NGX_HTTP_BACKGROUND_TABLE_LINE bytes and returns its end
 * match      returns the stamp that matches the file, or NULL
 * unchanged  whether the file has the size and change time of the "=" or "!"
 *            line
 * source     sets the state of a source, without the digest
 * same       whether the source still has that state
 */
ngx_int_t ngx_http_background_table_init(ngx_http_background_table_t *table,
    ngx_log_t *log);
void ngx_http_background_table_destroy(ngx_http_background_table_t *table);
ngx_int_t ngx_http_background_table_parse(ngx_http_background_table_t *table,
    u_char *p, size_t len);
ngx_int_t ngx_http_background_table_end(ngx_http_background_table_t *table);
void ngx_http_background_table_restart(ngx_http_background_table_t *table);
void ngx_http_background_table_skip(ngx_http_background_table_t *table,
    size_t len);
ngx_int_t ngx_http_background_table_add(ngx_http_background_table_t *table,
    const ngx_http_background_stamp_t *stamp, ngx_str_t *path);
ngx_http_background_made_t *ngx_http_background_table_find(
    ngx_http_background_table_t *table, ngx_str_t *path);
ngx_http_background_made_t *ngx_http_background_table_next(
    ngx_http_background_table_t *table, ngx_http_background_made_t *made);
u_char *ngx_http_background_table_format(u_char *buf,
    const ngx_http_background_stamp_t *stamp, ngx_http_background_made_t *made);
ngx_http_background_stamp_t *ngx_http_background_stamp_match(
    ngx_http_background_stamp_t *stamp, ngx_file_info_t *fi);
ngx_uint_t ngx_http_background_stamp_unchanged(
    const ngx_http_background_stamp_t *stamp, ngx_file_info_t *fi);
void ngx_http_background_source_set(ngx_http_background_source_t *source,
    ngx_file_info_t *fi);
ngx_uint_t ngx_http_background_source_same(
    const ngx_http_background_source_t *source, ngx_file_info_t *fi);


#endif /* _NGX_HTTP_BACKGROUND_COMPRESS_TABLE_H_INCLUDED_ */
