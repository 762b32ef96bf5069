
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * The file of "background_state": only tasks of the configuration are restored,
 * from values that fit; what is written then is read as the same.  The bytes
 * that are none of a text of numbers count as bad lines.
 */


#include <core/ngx_http_background_state.c>

#include "fuzz.h"


#define FUZZ_TASKS  5


typedef struct {
    ngx_uint_t                  restored;
    ngx_http_background_kept_t  kept;
} fuzz_record_t;


static ngx_uint_t fuzz_lines(const u_char *p, const u_char *last);
static ngx_uint_t fuzz_line(const u_char *p, const u_char *last);


static fuzz_record_t  fuzz_records[FUZZ_TASKS];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                            *text;
    size_t                             i, len;
    ngx_log_t                          log;
    ngx_array_t                        sorted;
    fuzz_input_t                       in;
    ngx_shm_zone_t                     shm_zone;
    fuzz_record_t                      records[FUZZ_TASKS];
    ngx_http_background_state_save_t  *save;
    ngx_http_background_zone_conf_t    zcf;
    ngx_http_background_zone_task_t    tasks[FUZZ_TASKS], *elts[FUZZ_TASKS];

    static ngx_str_t  names[FUZZ_TASKS] = {
        ngx_string("b"), ngx_string("backup"), ngx_string("a"),
        ngx_string("back"), ngx_string("c.d-e_f")
    };

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_memzero(&shm_zone, sizeof(ngx_shm_zone_t));
    ngx_memzero(&zcf, sizeof(ngx_http_background_zone_conf_t));
    ngx_memzero(tasks, sizeof(tasks));
    ngx_memzero(fuzz_records, sizeof(fuzz_records));

    shm_zone.shm.log = &log;
    zcf.shm_zone = &shm_zone;
    zcf.tasks.elts = elts;
    zcf.tasks.nelts = FUZZ_TASKS;
    ngx_str_set(&zcf.state, "file");

    for (i = 0; i < FUZZ_TASKS; i++) {
        elts[i] = &tasks[i];
        tasks[i].name = names[i];
        tasks[i].record = (ngx_http_background_record_t *) &fuzz_records[i];
    }

    fuzz_check(ngx_http_background_state_sort(&zcf, &sorted) == NGX_OK);

    in.data = data;
    in.size = size;

    text = fuzz_text(&in, -1, 0, &len);

    fuzz_check(ngx_http_background_state_parse(&sorted, text, text + len)
               == fuzz_lines(text, text + len));

    free(text);

    ngx_memcpy(records, fuzz_records, sizeof(records));
    ngx_memzero(fuzz_records, sizeof(fuzz_records));

    for (i = 0; i < FUZZ_TASKS; i++) {
        fuzz_check(records[i].kept.checked >> 47 == 0);
        fuzz_check(records[i].kept.started_at >> 47 == 0);
        fuzz_check(records[i].kept.finished_at >> 47 == 0);
        fuzz_check(records[i].kept.paused <= 1);
        fuzz_check(records[i].kept.success <= 1);

        fuzz_records[i].kept = records[i].kept;
    }

    save = ngx_http_background_state_create(&zcf, &log);
    fuzz_check(save != NULL);

    ngx_memzero(fuzz_records, sizeof(fuzz_records));

    fuzz_check(ngx_http_background_state_parse(&sorted, save->data,
                                               save->data + save->size)
               == 0);

    for (i = 0; i < FUZZ_TASKS; i++) {
        fuzz_check(fuzz_records[i].restored == 1);
        fuzz_check(memcmp(&fuzz_records[i].kept, &records[i].kept,
                          sizeof(ngx_http_background_kept_t))
                   == 0);
    }

    ngx_free(save);
    ngx_free(sorted.elts);

    return 0;
}


/* the number of bad lines, worked out in another way */

static ngx_uint_t
fuzz_lines(const u_char *p, const u_char *last)
{
    ngx_uint_t     bad;
    const u_char  *end;

    static const char  head[] = "background_state 1\n";

    if (last - p < (ptrdiff_t) sizeof(head) - 1
        || memcmp(p, head, sizeof(head) - 1) != 0)
    {
        return 1;
    }

    bad = 0;

    for (p += sizeof(head) - 1; p < last; p = end + 1) {
        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            return bad + 1;
        }

        bad += fuzz_line(p, end);
    }

    return bad;
}


/* no space, and then five times a space and digits */

static ngx_uint_t
fuzz_line(const u_char *p, const u_char *last)
{
    uint64_t       n;
    ngx_uint_t     i;
    const u_char  *start;

    for (start = p; p < last && *p != ' '; p++) { /* void */ }

    if (p == start) {
        return 1;
    }

    for (i = 0; i < 5; i++) {
        if (p == last || *p != ' ') {
            return 1;
        }

        n = 0;

        for (start = ++p; p < last && *p >= '0' && *p <= '9'; p++) {
            n = ngx_min(n * 10 + (*p - '0'), (uint64_t) 1 << 50);
        }

        if (p == start || n >> 47) {
            return 1;
        }
    }

    return p != last;
}


void
ngx_http_background_record_restore(ngx_http_background_record_t *record,
    ngx_http_background_kept_t *kept)
{
    fuzz_record_t  *fr = (fuzz_record_t *) record;

    fr->restored++;
    fr->kept.checked = kept->checked;
    fr->kept.paused = kept->paused;
    fr->kept.started_at = kept->started_at;
    fr->kept.finished_at = kept->finished_at;
    fr->kept.success = kept->success;
}


void
ngx_http_background_record_keep(ngx_http_background_record_t *record,
    ngx_uint_t n, ngx_http_background_kept_t *kept)
{
    fuzz_record_t  *fr = (fuzz_record_t *) record;

    *kept = fr->kept;
}


uint64_t
ngx_http_background_state_asked(ngx_http_background_zone_t *zone)
{
    return 0;
}
