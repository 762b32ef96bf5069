
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * OCR of a spooled folder, by libtesseract: writes NAME.txt beside each image
 * that has none yet.
 *
 *     cc -O2 -shared -fPIC -fopenmp -I../../src -o ocr.so ocr.c \
 *         -ltesseract -lleptonica
 *
 *     call /usr/local/lib/ocr.so ocr SPOOL [LANGUAGE];
 */


#include <ngx_http_background_call.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leptonica/allheaders.h>
#include <tesseract/capi.h>


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


/* the text is there at once, and whole */

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


static void
read_image(ngx_http_background_call_t *call, TessBaseAPI *api, PIX *image,
    const char *name)
{
    int           rc;
    char         *text;
    ETEXT_DESC   *monitor;

    /* asked at each word */

    monitor = TessMonitorCreate();
    TessMonitorSetCancelFunc(monitor, stops);
    TessMonitorSetCancelThis(monitor, call);

    TessBaseAPISetImage2(api, image);

    rc = TessBaseAPIRecognize(api, monitor);

    TessMonitorDelete(monitor);

    if (call->cancelled(call)) {
        return;
    }

    text = (rc == 0) ? TessBaseAPIGetUTF8Text(api) : NULL;

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

    /* this thread alone, without threads that OpenMP makes */
    omp_set_max_active_levels(0);

    /* what they say otherwise goes to standard error */
    setMsgSeverity(L_SEVERITY_NONE);

    api = TessBaseAPICreate();

    if (TessBaseAPIInit3(api, NULL, language) == 0) {
        TessBaseAPISetVariable(api, "debug_file", "/dev/null");
        call->add_completed(call, 0);
        read_folder(call, api, spool, images, n);

    } else {
        call->fail(call, "no language \"%s\"", language);
    }

    TessBaseAPIDelete(api);

    for (i = 0; i < n; i++) {
        free(images[i]);
    }

    free(images);

    return 0;
}
