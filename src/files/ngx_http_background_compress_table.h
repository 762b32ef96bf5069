
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The lines of the list that "compress" keeps, in memory: a pure table, without
 * files.  A list begins with a line "# ngx_http_background_compress 2"; other
 * lines that begin with "#" are comments.  The others are
 *
 *     +2 SIZE TIME SOURCE DIGEST PATH      a file that was made
 *     -2 SIZE TIME SOURCE DIGEST PATH      none is to be made of a source of
 *                                          that size and time, unless there
 *                                          is a "+2" line behind it
 *     =2 SIZE CHANGED SOURCE PATH          another's file of that size and
 *                                          change time that unpacks to its
 *                                          source
 *     !2 SIZE CHANGED SOURCE PATH          one that does not
 *
 * SOURCE is "SIZE INODE CHANGED", the state of the source; CHANGED is the
 * change time.  Times are SECONDS.NANOSECONDS with nine digits.  DIGEST is the
 * SHA-256 of the source in hexadecimal.  In PATH a backslash is written as
 * "\\", a newline as "\n".  What is no such line is counted and dropped.
 *
 * Lines of version 1, whose list begins with "... 1", are taken in either list:
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
 * The largest list, in bytes: a million lines with paths of 90 bytes.  As no
 * line has less than 18 bytes, this limits their number and the memory, too.
 */
#define NGX_HTTP_BACKGROUND_TABLE_MAX     (256 * 1024 * 1024)
#define NGX_HTTP_BACKGROUND_TABLE_LARGE   "%s is larger than 256 MB"

/* of SHA-256 */
#define NGX_HTTP_BACKGROUND_TABLE_DIGEST  32

/* the longest path, with a final zero: that of a file in a tree */
#define NGX_HTTP_BACKGROUND_TABLE_PATH    (128 * (NAME_MAX + 1))

/* the longest line, with a path in which all is escaped */
#define NGX_HTTP_BACKGROUND_TABLE_LINE                                       \
    (sizeof("+2  .   .  \n") + 7 * NGX_INT64_LEN                              \
     + 2 * NGX_HTTP_BACKGROUND_TABLE_DIGEST                                  \
     + 2 * NGX_HTTP_BACKGROUND_TABLE_PATH)


/* the state of a source */

typedef struct {
    off_t                         size;
    uint64_t                      inode;
    time_t                        sec;       /* of the change time */
    long                          nsec;
    u_char                        digest[NGX_HTTP_BACKGROUND_TABLE_DIGEST];
    unsigned                      known:1;   /* 0: the line had none of these */
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


/* the lines of a path; zero-terminated */

typedef struct {
    ngx_str_node_t                sn;
    ngx_http_background_stamp_t  *made;      /* "+", the newest first */
    ngx_http_background_stamp_t  *poor;      /* "-", the newest */
    ngx_http_background_stamp_t  *other;     /* "=" or "!", the newest */
    ngx_uint_t                    seen;      /* the caller's */
} ngx_http_background_made_t;


typedef struct {
    ngx_pool_t                   *pool;
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;

    /* of the text that was parsed */
    size_t                        size;
    ngx_uint_t                    lines;     /* without comments */
    const char                   *error;     /* with a "%s" for a name */

    ngx_uint_t                    version;   /* 0: no header yet */

    unsigned                      too_long:1;    /* this line */
    size_t                        len;
    u_char                        line[NGX_HTTP_BACKGROUND_TABLE_LINE];
} ngx_http_background_table_t;


/*
 * init     NGX_ERROR: no memory
 * parse    adds the lines of a text that may come in any pieces.  NGX_ERROR: no
 *          memory; NGX_DECLINED: it is refused, "error" tells why
 * end      the text is over.  NGX_OK or, if it ends within a line, which is
 *          dropped, NGX_AGAIN; NGX_DECLINED as above
 * restart  another text is parsed, what is in the table stays
 * add      a line.  NGX_ERROR: no memory; NGX_DECLINED: no path of a list
 * find     NULL: there is none
 * next     NULL after the last, the first one after NULL
 * format   a line; "made" is one of the table, the buffer has
 *          NGX_HTTP_BACKGROUND_TABLE_LINE bytes.  Returns the end
 * match    the stamp that a file has, or NULL
 * unchanged
 *          whether a file has the size and change time of "=" or "!"
 * source   sets the state of a source, without the digest
 * same     whether that state is the source's
 */
ngx_int_t ngx_http_background_table_init(ngx_http_background_table_t *table,
    ngx_log_t *log);
void ngx_http_background_table_destroy(ngx_http_background_table_t *table);
ngx_int_t ngx_http_background_table_parse(ngx_http_background_table_t *table,
    u_char *p, size_t len);
ngx_int_t ngx_http_background_table_end(ngx_http_background_table_t *table);
void ngx_http_background_table_restart(ngx_http_background_table_t *table);
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
