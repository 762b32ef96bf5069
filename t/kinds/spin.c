
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * spin TIME: a CPU operation that is over after that many microseconds, and
 * does not wait in between.
 */


#include <ngx_http_background.h>

#include <time.h>


typedef struct {
    ngx_int_t    usec;
} spin_conf_t;


static void spin_work(ngx_http_background_run_t *run);
static uint64_t spin_usec(void);


static ngx_command_t  spin_commands[] = {

    ngx_http_background_command("spin", NGX_CONF_TAKE1, spin_conf_t,
        ngx_http_background_cpu(spin_work),
        ngx_http_background_param("", number, spin_conf_t, usec, NULL)),

    ngx_null_command
};


ngx_http_background_kind_module(spin_module, spin_commands);


static void
spin_work(ngx_http_background_run_t *run)
{
    uint64_t      start;
    spin_conf_t  *conf;

    conf = run->conf;
    start = spin_usec();

    while (spin_usec() - start < (uint64_t) conf->usec) {
        /* void */
    }

    run->result.completed++;
}


static uint64_t
spin_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
