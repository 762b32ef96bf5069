
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The status in both formats of Prometheus: each line is valid, and each
 * sample belongs to the last declared family.
 */


#include "status.h"


#define FUZZ_NAME    "abcdefghijklmnopqrstuvwxyz_"
#define FUZZ_FIGURES  "0123456789"


static void fuzz_lines(char *p, ngx_uint_t open);
static char *fuzz_word(char *p, const char *chars, char *word, size_t size);
static char *fuzz_declaration(char *p, char *family);
static char *fuzz_sample(char *p, const char *family);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                              *text;
    ngx_uint_t                           open;
    fuzz_input_t                         in;
    const ngx_http_background_format_t  *format;

    static fuzz_status_t  fs;

    in.data = data;
    in.size = size;

    open = fuzz_number(&in, 1);
    format = &ngx_http_background_prometheus;

    fuzz_status(&in, &fs);

    text = fuzz_write(open ? format->other : format, &fs,
                      1 + fuzz_number(&in, 1));

    fuzz_lines((char *) text, open);

    free(text);

    return 0;
}


static void
fuzz_lines(char *p, ngx_uint_t open)
{
    char  family[128];

    family[0] = '\0';

    while (*p) {
        if (open && strcmp(p, "# EOF\n") == 0) {
            return;
        }

        p = (*p == '#') ? fuzz_declaration(p, family)
                        : fuzz_sample(p, family);

        fuzz_check(*p++ == '\n');
    }

    fuzz_check(!open);
}


static char *
fuzz_word(char *p, const char *chars, char *word, size_t size)
{
    size_t  len;

    len = strspn(p, chars);

    fuzz_check(len > 0 && len < size);

    memcpy(word, p, len);
    word[len] = '\0';

    return p + len;
}


/* "# HELP FAMILY TEXT", then "# TYPE FAMILY TYPE" */

static char *
fuzz_declaration(char *p, char *family)
{
    char  same[128], type[128];

    fuzz_check(strncmp(p, "# HELP ", 7) == 0);

    p = fuzz_word(p + 7, FUZZ_NAME, family, sizeof(same));
    fuzz_check(*p++ == ' ');

    p += strcspn(p, "\\\n");

    fuzz_check(strncmp(p, "\n# TYPE ", 8) == 0);

    p = fuzz_word(p + 8, FUZZ_NAME, same, sizeof(same));
    fuzz_check(strcmp(same, family) == 0);
    fuzz_check(*p++ == ' ');

    p = fuzz_word(p, FUZZ_NAME, type, sizeof(type));

    fuzz_check(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0
               || strcmp(type, "info") == 0 || strcmp(type, "histogram") == 0);

    return p;
}


/* "NAME{LABEL="VALUE",LABEL="VALUE"} NUMBER" */

static char *
fuzz_sample(char *p, const char *family)
{
    char    word[128];
    size_t  len;

    p = fuzz_word(p, FUZZ_NAME, word, sizeof(word));

    len = strlen(family);

    fuzz_check(len > 0 && strncmp(word, family, len) == 0);
    fuzz_check(word[len] == '\0' || word[len] == '_');

    if (*p == '{') {
        do {
            p = fuzz_word(p + 1, FUZZ_NAME, word, sizeof(word));
            fuzz_check(*p++ == '=');
            fuzz_check(*p++ == '"');

            p += strcspn(p, "\"\\\n");
            fuzz_check(*p++ == '"');

        } while (*p == ',');

        fuzz_check(*p++ == '}');
    }

    fuzz_check(*p++ == ' ');

    p = fuzz_word(p, FUZZ_FIGURES, word, sizeof(word));

    if (*p == '.') {
        p = fuzz_word(p + 1, FUZZ_FIGURES, word, sizeof(word));
    }

    return p;
}
