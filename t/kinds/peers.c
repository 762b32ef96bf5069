
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * peers UPSTREAM show|lock|free: a location that shows the peers of an upstream,
 * as "ADDRESS down=N conns=N fails=N weight=CURRENT/EFFECTIVE/WEIGHT" and
 * "tries=N", without a lock; that leaves its lock as a process does that died
 * with it; or that frees it.
 *
 * foreign_balancer: in an upstream, a balancer that is not nginx's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_str_t  name;
    ngx_str_t  what;
} peers_conf_t;


static void *peers_create_loc_conf(ngx_conf_t *cf);
static char *peers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t peers_handler(ngx_http_request_t *r);
static u_char *peers_show(u_char *p, u_char *last,
    ngx_http_upstream_rr_peers_t *set);
static char *foreign_balancer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t foreign_balancer_init(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);


static ngx_command_t  peers_commands[] = {

    { ngx_string("peers"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      peers,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("foreign_balancer"),
      NGX_HTTP_UPS_CONF|NGX_CONF_NOARGS,
      foreign_balancer,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  peers_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, peers_create_loc_conf, NULL
};


ngx_module_t  peers_module = {
    NGX_MODULE_V1,
    &peers_module_ctx,
    peers_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void *
peers_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(peers_conf_t));
}


static char *
peers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    peers_conf_t *pcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    pcf->name = value[1];
    pcf->what = value[2];

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = peers_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
peers_handler(ngx_http_request_t *r)
{
    u_char                         *p, *last;
    ngx_str_t                       type, text;
    ngx_uint_t                      i;
    peers_conf_t                   *pcf;
    ngx_http_complex_value_t        cv;
    ngx_http_upstream_rr_peers_t   *set;
    ngx_http_upstream_srv_conf_t  **uscfp;
    ngx_http_upstream_main_conf_t  *umcf;

    pcf = ngx_http_get_module_loc_conf(r, peers_module);
    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    p = ngx_pnalloc(r->pool, 65536);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;
    last = p + 65536;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->host.len != pcf->name.len
            || ngx_memcmp(uscfp[i]->host.data, pcf->name.data, pcf->name.len)
               != 0)
        {
            continue;
        }

        for (set = uscfp[i]->peer.data; set; set = set->next) {

            if (ngx_strcmp(pcf->what.data, "lock") == 0) {
                while (!ngx_atomic_cmp_set(&set->rwlock, 0,
                                           (ngx_atomic_uint_t) -1))
                {
                    ngx_cpu_pause();
                }

            } else if (ngx_strcmp(pcf->what.data, "free") == 0) {
                set->rwlock = 0;

            } else {
                p = peers_show(p, last, set);
            }
        }
    }

    text.len = p - text.data;

    ngx_str_set(&type, "text/plain");
    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = text;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static u_char *
peers_show(u_char *p, u_char *last, ngx_http_upstream_rr_peers_t *set)
{
    ngx_http_upstream_rr_peer_t  *peer;

    for (peer = set->peer; peer; peer = peer->next) {
        p = ngx_slprintf(p, last, "%V down=%xi conns=%ui fails=%ui "
                         "weight=%i/%i/%i\n", &peer->name, peer->down,
                         peer->conns, peer->fails, peer->current_weight,
                         peer->effective_weight, peer->weight);
    }

    return ngx_slprintf(p, last, "tries=%ui\n", set->tries);
}


static char *
foreign_balancer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_upstream_srv_conf_t  *uscf;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);
    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;
    uscf->peer.init_upstream = foreign_balancer_init;

    return NGX_CONF_OK;
}


static ngx_int_t
foreign_balancer_init(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    return ngx_http_upstream_init_round_robin(cf, us);
}
