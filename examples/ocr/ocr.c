
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * OCR by libtesseract.  "ocr" writes NAME.txt for each image of a spool folder
 * that has none.  "ocr_image" returns the text of the image in a request.
 *
 *     cc -O2 -shared -fPIC -I../../src -o ocr.so ocr.c \
 *         -ltesseract -lleptonica
 *
 *     call /usr/local/lib/ocr.so ocr SPOOL [LANGUAGE];
 *     call /usr/local/lib/ocr.so ocr_image [LANGUAGE];
 */


#include <ngx_http_background_call.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leptonica/allheaders.h>
#include <tesseract/capi.h>


/*
 * a function of OpenMP, which libtesseract may use regardless of the compiler
 * here
 */
void omp_set_max_active_levels(int levels) __attribute__((weak));


static int
is_image(const struct dirent *entry)
{
    size_t              i;
    const char         *suffix;
    static const char  *suffixes[] = { ".png", ".jpg", ".tif", ".pnm" };

    suffix = strrchr(entry->d_name, '.');

    if (entry->d_name[0] == '.') {
        return 0;
    }

    for (i = 0; suffix && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (strcmp(suffix, suffixes[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


static bool
stops(void *call, int words)
{
    (void) words;

    return ((ngx_http_background_call_t *) call)->cancelled(call) != 0;
}


/* the complete text gets its name by rename() */

static int
write_text(const char *name, const char *text)
{
    int    rc;
    char   temp[PATH_MAX + 16];
    FILE  *file;

    (void) snprintf(temp, sizeof(temp), "%s.tmp", name);

    file = fopen(temp, "w");
    if (file == NULL) {
        return -1;
    }

    rc = fputs(text, file);

    if (fclose(file) == EOF || rc == EOF || rename(temp, name) == -1) {
        (void) unlink(temp);
        return -1;
    }

    return 0;
}


/*
 * Returns the text, to be freed by TessDeleteText(), or NULL if it has failed
 * or was cancelled.
 */

static char *
recognize(ngx_http_background_call_t *call, TessBaseAPI *api, PIX *image)
{
    int          rc;
    ETEXT_DESC  *monitor;

    /* the monitor is asked after each word */

    monitor = TessMonitorCreate();
    TessMonitorSetCancelFunc(monitor, stops);
    TessMonitorSetCancelThis(monitor, call);

    TessBaseAPISetImage2(api, image);

    rc = TessBaseAPIRecognize(api, monitor);

    TessMonitorDelete(monitor);

    if (rc != 0 || call->cancelled(call)) {
        return NULL;
    }

    return TessBaseAPIGetUTF8Text(api);
}


static void
read_image(ngx_http_background_call_t *call, TessBaseAPI *api, PIX *image,
    const char *name)
{
    char  *text;

    text = recognize(call, api, image);

    if (call->cancelled(call)) {
        return;
    }

    if (text == NULL) {
        call->fail(call, "can't make \"%s\"", name);

    } else if (write_text(name, text) == -1) {
        call->fail(call, "can't write \"%s\": %s", name, strerror(errno));

    } else {
        call->add_bytes(call, strlen(text));
        call->add_completed(call, 1);
    }

    TessDeleteText(text);
}


static void
read_folder(ngx_http_background_call_t *call, TessBaseAPI *api,
    const char *spool, struct dirent **images, int n)
{
    int   i;
    PIX  *image;
    char  name[PATH_MAX], text[PATH_MAX + sizeof(".txt")];

    for (i = 0; i < n && !call->cancelled(call); i++) {
        (void) snprintf(name, sizeof(name), "%s/%s", spool, images[i]->d_name);
        (void) snprintf(text, sizeof(text), "%s.txt", name);

        if (access(text, F_OK) == 0) {
            continue;
        }

        image = pixRead(name);

        if (image == NULL) {
            call->fail(call, "\"%s\" is no image", name);

        } else {
            read_image(call, api, image, text);
            pixDestroy(&image);
        }

        call->progress(call, i + 1, n);
    }
}


/* returns an object to be deleted, or NULL if the language is not installed */

static TessBaseAPI *
open_api(const char *language)
{
    TessBaseAPI  *api;

    /* no threads of OpenMP, as the budget grants one thread */
    if (omp_set_max_active_levels) {
        omp_set_max_active_levels(0);
    }

    /* by default messages are written to standard error */
    setMsgSeverity(L_SEVERITY_NONE);

    api = TessBaseAPICreate();

    if (TessBaseAPIInit3(api, NULL, language) != 0) {
        TessBaseAPIDelete(api);
        return NULL;
    }

    TessBaseAPISetVariable(api, "debug_file", "/dev/null");

    return api;
}


NGX_HTTP_BACKGROUND_CALL(ocr)
{
    int              i, n;
    const char      *spool, *language;
    TessBaseAPI     *api;
    struct dirent  **images;

    if (call->argc < 1 || call->argc > 2) {
        call->fail(call, "the arguments must be \"SPOOL [LANGUAGE]\"");
        return 1;
    }

    spool = call->argv[0];
    language = (call->argc == 2) ? call->argv[1] : "eng";

    n = scandir(spool, &images, is_image, alphasort);

    if (n == -1) {
        call->fail(call, "can't read \"%s\": %s", spool, strerror(errno));
        return 1;
    }

    api = open_api(language);

    if (api == NULL) {
        call->fail(call, "no language \"%s\"", language);

    } else {
        call->add_completed(call, 0);
        read_folder(call, api, spool, images, n);
        TessBaseAPIDelete(api);
    }

    for (i = 0; i < n; i++) {
        free(images[i]);
    }

    free(images);

    return 0;
}


/* the language comes from a client and becomes part of a file name */

static int
is_language(const char *language)
{
    size_t  len;

    len = strspn(language, "abcdefghijklmnopqrstuvwxyz_+");

    return len > 0 && len <= 64 && language[len] == '\0';
}


static int
answer(ngx_http_background_call_t *call, int status, const char *text)
{
    call->status(call, status);
    call->type(call, "text/plain; charset=utf-8");

    return call->write(call, text, strlen(text));
}


NGX_HTTP_BACKGROUND_CALL(ocr_image)
{
    int           rc;
    PIX          *image;
    char         *text;
    const char   *language;
    TessBaseAPI  *api;

    language = (call->argc && call->argv[0][0]) ? call->argv[0] : "eng";

    if (!is_language(language) || (api = open_api(language)) == NULL) {
        return answer(call, 400, "no such language\n");
    }

    image = pixReadMem((const l_uint8 *) call->input, call->input_len);

    if (image == NULL) {
        TessBaseAPIDelete(api);
        return answer(call, 415, "no image\n");
    }

    text = recognize(call, api, image);
    rc = text ? answer(call, 200, text) : 1;

    TessDeleteText(text);
    pixDestroy(&image);
    TessBaseAPIDelete(api);

    return rc;
}
