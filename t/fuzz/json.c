
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The status as JSON: it is valid UTF-8, and its texts are those of the tasks,
 * except for bytes that are not UTF-8.
 */


#include "status.h"


static const u_char *fuzz_value(const u_char *p, ngx_uint_t depth);
static const u_char *fuzz_members(const u_char *p, u_char end,
    ngx_uint_t depth);
static const u_char *fuzz_figures(const u_char *p);
static const u_char *fuzz_string(const u_char *p, u_char *text);
static void fuzz_has(const u_char *json, const char *key, const u_char *data,
    size_t len);
static const u_char *fuzz_next(const u_char *json, const char *key);
static size_t fuzz_utf8(const u_char *p, const u_char *last);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                       *json;
    ngx_uint_t                    i;
    const u_char                 *p;
    fuzz_input_t                  in;
    ngx_http_background_stats_t  *stats;

    static fuzz_status_t  fs;

    in.data = data;
    in.size = size;

    fuzz_status(&in, &fs);

    json = fuzz_write(&ngx_http_background_json, &fs, 1);

    p = fuzz_value(json, 0);

    fuzz_check(strcmp((char *) p, "\n") == 0);

    p = json;

    for (i = 0; i < fs.status.ntasks; i++) {
        stats = &fs.views[i].stats;

        p = fuzz_next(p + 1, "{\"name\":");
        fuzz_has(p, "{\"name\":", fs.names[i], fs.tasks[i].zone.name.len);

        if (stats->last.finished_at == 0 || fs.status.brief) {
            continue;
        }

        if (fs.views[i].last_failed) {
            fuzz_has(p, ",\"error\":", stats->error, stats->error_len);
        }

        if (stats->last.message_len) {
            fuzz_has(p, ",\"message\":", stats->last.message,
                     stats->last.message_len);
        }
    }

    free(json);

    return 0;
}


/*
 * Returns the position after a value.  There must be no spaces within a value,
 * except before a task.
 */

static const u_char *
fuzz_value(const u_char *p, ngx_uint_t depth)
{
    size_t  i, len;

    static const char  *words[] = { "null", "true", "false" };

    fuzz_check(depth < 8);

    p += (*p == '\n');

    if (*p == '{') {
        return fuzz_members(p + 1, '}', depth);
    }

    if (*p == '[') {
        return fuzz_members(p + 1, ']', depth);
    }

    if (*p == '"') {
        return fuzz_string(p, NULL);
    }

    for (i = 0; i < 3; i++) {
        len = strlen(words[i]);

        if (strncmp((char *) p, words[i], len) == 0) {
            return p + len;
        }
    }

    return fuzz_figures(p);
}


static const u_char *
fuzz_members(const u_char *p, u_char end, ngx_uint_t depth)
{
    if (*p == end) {
        return p + 1;
    }

    for ( ;; ) {
        if (end == '}') {
            p = fuzz_string(p + (*p == '\n'), NULL);
            fuzz_check(*p++ == ':');
        }

        p = fuzz_value(p, depth + 1);
        p += (*p == '\n');

        if (*p == end) {
            return p + 1;
        }

        fuzz_check(*p++ == ',');
        p += (*p == '\n');
    }
}


/* a number such as "0", "12", or "12.345" */

static const u_char *
fuzz_figures(const u_char *p)
{
    const u_char  *start;

    start = p;

    p += (*p == '-');

    fuzz_check(*p >= '0' && *p <= '9');
    fuzz_check(*p != '0' || p[1] < '0' || p[1] > '9');

    p += strspn((char *) p, "0123456789");

    if (*p == '.') {
        p++;
        fuzz_check(*p >= '0' && *p <= '9');
        p += strspn((char *) p, "0123456789");
    }

    fuzz_check(p - start < 32);

    return p;
}


/* returns the position after a string, and stores the decoded string */

static const u_char *
fuzz_string(const u_char *p, u_char *text)
{
    size_t       n;
    u_char       ch;
    ngx_int_t    code;
    const char  *escape;

    static const char  from[] = "\"\\/bfnrt";
    static const char  to[] = "\"\\/\b\f\n\r\t";

    fuzz_check(*p++ == '"');

    for ( ;; ) {
        fuzz_check(*p >= 0x20);

        if (*p == '"') {
            break;
        }

        if (*p == '\\') {
            escape = strchr(from, p[1]);

            if (escape && p[1]) {
                ch = to[escape - from];
                n = 2;

            } else {
                fuzz_check(strncmp((char *) p, "\\u00", 4) == 0);
                code = ngx_hextoi((u_char *) p + 4, 2);
                fuzz_check(code != NGX_ERROR);
                ch = code;
                n = 6;
            }

            if (text) {
                *text++ = ch;
            }

            p += n;
            continue;
        }

        /* the zero byte at the end is part of no character */

        n = fuzz_utf8(p, p + 4);
        fuzz_check(n > 0);

        if (text) {
            text = ngx_cpymem(text, p, n);
        }

        p += n;
    }

    if (text) {
        *text = '\0';
    }

    return p + 1;
}


/* the first string with that key must be that text */

static void
fuzz_has(const u_char *json, const char *key, const u_char *data, size_t len)
{
    u_char        *p, *text, *expected;
    size_t         n;
    const u_char  *last;

    json = fuzz_next(json, key) + strlen(key);

    text = malloc(strlen((char *) json));
    expected = malloc(3 * len + 1);
    fuzz_check(text != NULL && expected != NULL);

    (void) fuzz_string(json, text);

    p = expected;
    last = data + len;

    while (data < last) {
        n = fuzz_utf8(data, last);

        if (n) {
            p = ngx_cpymem(p, data, n);
            data += n;

        } else {
            p = ngx_cpymem(p, "\xef\xbf\xbd", 3);
            data++;
        }
    }

    len = p - expected;

    fuzz_check(memcmp(text, expected, len) == 0 && text[len] == '\0');

    free(text);
    free(expected);
}


static const u_char *
fuzz_next(const u_char *json, const char *key)
{
    const char  *p;

    /* the key must not be found in a text, as quotes are escaped */

    p = strstr((char *) json, key);
    fuzz_check(p != NULL);

    return (u_char *) p;
}


/*
 * returns the length of a character, or 0 if it is invalid (RFC 3629, section
 * 4)
 */

static size_t
fuzz_utf8(const u_char *p, const u_char *last)
{
    u_char  min, max;
    size_t  i, n;

    min = 0x80;
    max = 0xbf;

    if (p[0] <= 0x7f) {
        return 1;

    } else if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        min = (p[0] == 0xe0) ? 0xa0 : min;
        max = (p[0] == 0xed) ? 0x9f : max;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        min = (p[0] == 0xf0) ? 0x90 : min;
        max = (p[0] == 0xf4) ? 0x8f : max;

    } else {
        return 0;
    }

    if ((size_t) (last - p) < n || p[1] < min || p[1] > max) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return n;
}
