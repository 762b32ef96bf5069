
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * answer_delay TIME: the first byte of a complete response is sent only after
 * this time.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_msec_t  delay;
} answer_delay_conf_t;


static void *answer_delay_create_loc_conf(ngx_conf_t *cf);
static char *answer_delay_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t answer_delay_init(ngx_conf_t *cf);
static ngx_int_t answer_delay_header_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static ngx_command_t  answer_delay_commands[] = {

    { ngx_string("answer_delay"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(answer_delay_conf_t, delay),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  answer_delay_module_ctx = {
    NULL,
    answer_delay_init,
    NULL,
    NULL,
    NULL,
    NULL,
    answer_delay_create_loc_conf,
    answer_delay_merge_loc_conf
};


ngx_module_t  answer_delay_module = {
    NGX_MODULE_V1,
    &answer_delay_module_ctx,
    answer_delay_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void *
answer_delay_create_loc_conf(ngx_conf_t *cf)
{
    answer_delay_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(answer_delay_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->delay = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
answer_delay_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    answer_delay_conf_t  *prev = parent;
    answer_delay_conf_t  *conf = child;

    ngx_conf_merge_msec_value(conf->delay, prev->delay, 0);

    return NGX_CONF_OK;
}


static ngx_int_t
answer_delay_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = answer_delay_header_filter;

    return NGX_OK;
}


/*
 * sets the state that "limit_rate" uses, so the write filter sends nothing now
 */

static ngx_int_t
answer_delay_header_filter(ngx_http_request_t *r)
{
    ngx_event_t          *wev;
    answer_delay_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, answer_delay_module);

    /*
     * requests of tasks have no listening socket; a response that nginx does
     * not buffer, of memcached, would wait for ever
     */

    if (conf->delay && r == r->main && r->connection->listening->connection
        && (r->upstream == NULL || r->upstream->buffering))
    {
        wev = r->connection->write;

        wev->delayed = 1;
        ngx_add_timer(wev, conf->delay);
    }

    return ngx_http_next_header_filter(r);
}
