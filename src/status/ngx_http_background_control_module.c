
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "background_control", a content handler: POST LOCATION/TASK/ACTION.  Orders
 * go through the zone to the worker that has the lease of the task.  Orders of
 * LOCATION/peers/UPSTREAM/ADDRESS/ACTION go to the operation that judges the
 * server.
 */


#include "ngx_http_background_status.h"
#include <ngx_http_background_response.h>


typedef struct ngx_http_background_control_loc_conf_s
    ngx_http_background_control_loc_conf_t;

struct ngx_http_background_control_loc_conf_s {
    ngx_uint_t       allowed;     /* actions */
    ngx_uint_t       run;
    ngx_uint_t       pause;
    ngx_uint_t       cancel;
    ngx_uint_t       peers;
    ngx_array_t     *names;       /* of ngx_str_t, NULL: all tasks */
    u_char          *file;
    ngx_uint_t       line;

    /* itself, or that of the location that "if" or "limit_except" is in */
    ngx_http_background_control_loc_conf_t  *directive;
};


typedef struct {
    ngx_str_t        name;
    ngx_uint_t       action;
    ngx_uint_t       allowed;     /* by it */
} ngx_http_background_action_t;


typedef struct {
    ngx_str_t                    name;
    ngx_http_background_order_e  order;
} ngx_http_background_peer_action_t;


/* "UPSTREAM/ADDRESS/ACTION" */

typedef struct {
    ngx_str_t                                 upstream;
    ngx_str_t                                 address;
    const ngx_http_background_peer_action_t  *action;
} ngx_http_background_peer_order_t;


typedef struct {
    ngx_array_t      locations;   /* of ..._control_location_t */
} ngx_http_background_control_main_conf_t;


typedef struct {
    ngx_http_background_control_loc_conf_t  *conf;
    ngx_http_conf_ctx_t                     *ctx;
} ngx_http_background_control_location_t;


static void *ngx_http_background_control_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_background_control_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_background_control_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_background_control_init(ngx_conf_t *cf);
static char *ngx_http_background_control(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_http_background_control_prefix(
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_background_control_task(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);

static ngx_int_t ngx_http_background_control_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_background_control_same_site(
    ngx_http_request_t *r);
static ngx_str_t *ngx_http_background_control_header(ngx_http_request_t *r,
    const char *name, size_t len);
static ngx_http_background_task_t *ngx_http_background_control_find(
    ngx_http_request_t *r, const ngx_http_background_action_t **action);
static ngx_uint_t ngx_http_background_control_has(
    ngx_http_background_control_loc_conf_t *ccf, ngx_str_t *name);
static ngx_uint_t ngx_http_background_control_peer(ngx_http_request_t *r,
    ngx_http_background_peer_order_t *order);
static ngx_int_t ngx_http_background_control_peers(ngx_http_request_t *r,
    ngx_http_background_peer_order_t *order);
static ngx_int_t ngx_http_background_control_peers_order(
    ngx_http_background_task_t *task, ngx_http_background_peer_order_t *order);
static ngx_str_t ngx_http_background_control_rest(ngx_http_request_t *r);
static ngx_int_t ngx_http_background_control_order(
    ngx_http_background_main_conf_t *bmcf, ngx_http_background_task_t *task,
    ngx_uint_t action, ngx_log_t *log);
static ngx_uint_t ngx_http_background_control_pending(
    ngx_http_background_task_t *task);
static ngx_int_t ngx_http_background_control_send(ngx_http_request_t *r,
    ngx_http_background_main_conf_t *bmcf, ngx_http_background_task_t *task,
    ngx_uint_t brief);
static void ngx_http_background_control_cleanup(void *data);
static ngx_str_t ngx_http_background_control_user(ngx_http_request_t *r);


static const ngx_http_background_action_t  ngx_http_background_actions[] = {
    { ngx_string("run"), NGX_HTTP_BACKGROUND_CONTROL_RUN,
      NGX_HTTP_BACKGROUND_CONTROL_RUN },
    { ngx_string("pause"), NGX_HTTP_BACKGROUND_CONTROL_PAUSE,
      NGX_HTTP_BACKGROUND_CONTROL_PAUSE },
    { ngx_string("resume"), NGX_HTTP_BACKGROUND_CONTROL_RESUME,
      NGX_HTTP_BACKGROUND_CONTROL_PAUSE },
    { ngx_string("cancel"), NGX_HTTP_BACKGROUND_CONTROL_CANCEL,
      NGX_HTTP_BACKGROUND_CONTROL_CANCEL },
    { ngx_null_string, 0, 0 }
};


static const ngx_http_background_peer_action_t
    ngx_http_background_peer_actions[] =
{
    { ngx_string("up"), ngx_http_background_order_up },
    { ngx_string("down"), ngx_http_background_order_down },
    { ngx_string("drain"), ngx_http_background_order_drain },
    { ngx_null_string, ngx_http_background_order_none }
};


static const ngx_http_background_param_t  ngx_http_background_control_params[]
    =
{
    { ngx_string("run"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_control_loc_conf_t, run), NULL },

    { ngx_string("pause"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_control_loc_conf_t, pause), NULL },

    { ngx_string("cancel"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_control_loc_conf_t, cancel), NULL },

    { ngx_string("peers"), 0, ngx_http_background_conf_flag,
      offsetof(ngx_http_background_control_loc_conf_t, peers), NULL },

    { ngx_string("task="), 1, ngx_http_background_control_task,
      offsetof(ngx_http_background_control_loc_conf_t, names), NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_control_commands[] = {

    { ngx_string("background_control"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_background_control,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_background_control_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_background_control_init,      /* postconfiguration */

    ngx_http_background_control_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_background_control_create_loc_conf,
                                           /* create location configuration */
    ngx_http_background_control_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_background_control_module = {
    NGX_MODULE_V1,
    &ngx_http_background_control_module_ctx,
                                           /* module context */
    ngx_http_background_control_commands,  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_background_control_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_background_control_main_conf_t  *cmcf;

    cmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_control_main_conf_t));
    if (cmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&cmcf->locations, cf->pool, 1,
                       sizeof(ngx_http_background_control_location_t))
        != NGX_OK)
    {
        return NULL;
    }

    return cmcf;
}


static void *
ngx_http_background_control_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_background_control_loc_conf_t));
}


static char *
ngx_http_background_control_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_background_control_loc_conf_t *prev = parent;
    ngx_http_background_control_loc_conf_t *conf = child;

    conf->directive = ngx_http_background_merge_handler(cf, conf->directive,
                                         prev->directive,
                                         ngx_http_background_control_handler);

    return NGX_CONF_OK;
}


static char *
ngx_http_background_control(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_control_loc_conf_t *ccf = conf;

    ngx_http_core_loc_conf_t                 *clcf;
    ngx_http_background_control_location_t   *location;
    ngx_http_background_control_main_conf_t  *cmcf;

    if (ccf->allowed) {
        return "is duplicate";
    }

    /* the task and the action follow the location's name in the URI */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!ngx_http_background_control_prefix(clcf)) {
        return "needs a location that is given by a prefix";
    }

    if (ngx_http_background_conf_params(cf, 1,
                                        ngx_http_background_control_params,
                                        ccf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ccf->allowed = (ccf->run ? NGX_HTTP_BACKGROUND_CONTROL_RUN : 0)
                   | (ccf->pause ? NGX_HTTP_BACKGROUND_CONTROL_PAUSE : 0)
                   | (ccf->cancel ? NGX_HTTP_BACKGROUND_CONTROL_CANCEL : 0)
                   | (ccf->peers ? NGX_HTTP_BACKGROUND_CONTROL_PEERS : 0);

    if (ccf->allowed == 0) {
        return "allows nothing without \"run\", \"pause\", \"cancel\", "
               "or \"peers\"";
    }

    ccf->directive = ccf;
    ccf->file = cf->conf_file->file.name.data;
    ccf->line = cf->conf_file->line;

    clcf->handler = ngx_http_background_control_handler;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_background_control_module);

    location = ngx_array_push(&cmcf->locations);
    if (location == NULL) {
        return NGX_CONF_ERROR;
    }

    location->conf = ccf;
    location->ctx = cf->ctx;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_background_control_prefix(ngx_http_core_loc_conf_t *clcf)
{
#if (NGX_PCRE)

    if (clcf->regex) {
        return 0;
    }

#endif

    return !clcf->exact_match && !clcf->named;
}


static ngx_int_t
ngx_http_background_control_task(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_array_t **names = p;

    ngx_str_t  *s;

    if (*names == NULL) {
        *names = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (*names == NULL) {
            return NGX_ERROR;
        }
    }

    s = ngx_array_push(*names);
    if (s == NULL) {
        return NGX_ERROR;
    }

    *s = arg->value;

    return NGX_OK;
}


/* in postconfiguration, when all tasks and locations are known */

static ngx_int_t
ngx_http_background_control_init(ngx_conf_t *cf)
{
    ngx_str_t                                *name;
    ngx_uint_t                                i, k;
    ngx_array_t                              *names;
    ngx_http_background_main_conf_t          *bmcf;
    ngx_http_background_control_location_t   *location;
    ngx_http_background_control_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_background_control_module);
    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_background_module);

    location = cmcf->locations.elts;

    for (i = 0; i < cmcf->locations.nelts; i++) {

        names = location[i].conf->names;
        name = names ? names->elts : NULL;

        for (k = 0; names && k < names->nelts; k++) {
            if (ngx_http_background_find_task(bmcf, &name[k]) == NULL) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "unknown background task \"%V\" in "
                              "\"background_control\" directive in %s:%ui",
                              &name[k], location[i].conf->file,
                              location[i].conf->line);
                return NGX_ERROR;
            }
        }

        if (!ngx_http_background_access(cf, location[i].ctx)) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"background_control\" without \"deny\", "
                          "\"auth_basic\", \"auth_request\", or "
                          "\"ssl_verify_client\": anybody may use it in %s:%ui",
                          location[i].conf->file, location[i].conf->line);
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_background_control_allowed(ngx_conf_t *cf, void **srv_conf,
    ngx_str_t *uri)
{
    size_t                                    len;
    ngx_uint_t                                i;
    ngx_http_core_loc_conf_t                 *clcf;
    ngx_http_background_control_location_t   *location;
    ngx_http_background_control_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_background_control_module);
    location = cmcf->locations.elts;

    for (i = 0; i < cmcf->locations.nelts; i++) {

        clcf = location[i].ctx->loc_conf[ngx_http_core_module.ctx_index];

        len = clcf->name.len;

        if (len && clcf->name.data[len - 1] == '/') {
            len--;
        }

        if (location[i].ctx->srv_conf == srv_conf
            && (uri->len == len
                || (uri->len == len + 1 && uri->data[len] == '/'))
            && ngx_strncmp(uri->data, clcf->name.data, len) == 0)
        {
            return location[i].conf->allowed;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_background_control_handler(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    ngx_str_t                           *header, user;
    ngx_http_background_task_t          *task;
    ngx_http_background_main_conf_t     *bmcf;
    ngx_http_background_peer_order_t     order;
    const ngx_http_background_action_t  *action;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method != NGX_HTTP_POST) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    /* neither a form nor an image of another site can send the field */

    header = ngx_http_background_control_header(r, "x-background",
                                                sizeof("x-background") - 1);

    if (header == NULL || header->len != 1 || header->data[0] != '1'
        || !ngx_http_background_control_same_site(r))
    {
        return NGX_HTTP_FORBIDDEN;
    }

    if (ngx_http_background_control_peer(r, &order)) {
        return ngx_http_background_control_peers(r, &order);
    }

    task = ngx_http_background_control_find(r, &action);
    if (task == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_background_module);

    if (ngx_http_background_control_order(bmcf, task, action->action,
                                          r->connection->log)
        != NGX_OK)
    {
        return NGX_HTTP_CONFLICT;
    }

    user = ngx_http_background_control_user(r);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "background task \"%V\": %V by %V%V",
                  &task->zone.name, &action->name, &r->connection->addr_text,
                  &user);

    return ngx_http_background_control_send(r, bmcf, task, 1);
}


static ngx_uint_t
ngx_http_background_control_same_site(ngx_http_request_t *r)
{
    ngx_str_t  *site;

    site = ngx_http_background_control_header(r, "sec-fetch-site",
                                              sizeof("sec-fetch-site") - 1);

    return site == NULL
           || (site->len == sizeof("same-origin") - 1
               && ngx_strncmp(site->data, "same-origin", site->len) == 0)
           || (site->len == sizeof("none") - 1
               && ngx_strncmp(site->data, "none", site->len) == 0);
}


/* returns an empty value if the field is sent more than once */

static ngx_str_t *
ngx_http_background_control_header(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  twice = ngx_string("");

    value = NULL;
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return value;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            if (value) {
                return &twice;
            }

            value = &h[i].value;
        }
    }
}


/*
 * Parses "LOCATION/TASK/ACTION".  Returns NULL if the task or the action is
 * unknown or is not allowed.
 */

static ngx_http_background_task_t *
ngx_http_background_control_find(ngx_http_request_t *r,
    const ngx_http_background_action_t **action)
{
    u_char                                  *slash, *last;
    ngx_str_t                                name, text, rest;
    ngx_http_background_main_conf_t         *bmcf;
    const ngx_http_background_action_t      *a;
    ngx_http_background_control_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_background_control_module);
    ccf = ccf->directive;
    bmcf = ngx_http_get_module_main_conf(r, ngx_http_background_module);

    rest = ngx_http_background_control_rest(r);
    last = rest.data + rest.len;

    slash = ngx_strlchr(rest.data, last, '/');
    if (slash == NULL) {
        return NULL;
    }

    name.data = rest.data;
    name.len = slash - rest.data;
    text.data = slash + 1;
    text.len = last - text.data;

    for (a = ngx_http_background_actions; a->name.len; a++) {
        if (a->name.len == text.len
            && ngx_memcmp(a->name.data, text.data, text.len) == 0)
        {
            break;
        }
    }

    if ((a->allowed & ccf->allowed) == 0) {
        return NULL;
    }

    *action = a;

    return ngx_http_background_control_has(ccf, &name)
           ? ngx_http_background_find_task(bmcf, &name) : NULL;
}


/* what follows the location in the URI, after a slash */

static ngx_str_t
ngx_http_background_control_rest(ngx_http_request_t *r)
{
    size_t                     len;
    ngx_str_t                  rest;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    len = ngx_min(clcf->name.len, r->uri.len);

    if (len && r->uri.data[len - 1] != '/') {
        len = (len < r->uri.len && r->uri.data[len] == '/') ? len + 1
                                                            : r->uri.len;
    }

    rest.data = r->uri.data + len;
    rest.len = r->uri.len - len;

    return rest;
}


static ngx_uint_t
ngx_http_background_control_has(ngx_http_background_control_loc_conf_t *ccf,
    ngx_str_t *name)
{
    ngx_str_t   *names;
    ngx_uint_t   i;

    if (ccf->names == NULL) {
        return 1;
    }

    names = ccf->names->elts;

    for (i = 0; i < ccf->names->nelts; i++) {
        if (names[i].len == name->len
            && ngx_memcmp(names[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Whether it is LOCATION/peers/UPSTREAM/ADDRESS/ACTION.  The address of a unix
 * socket has slashes.
 */

static ngx_uint_t
ngx_http_background_control_peer(ngx_http_request_t *r,
    ngx_http_background_peer_order_t *order)
{
    size_t                                    len;
    u_char                                   *p, *slash, *text, *last;
    ngx_str_t                                 rest;
    const ngx_http_background_peer_action_t  *a;
    ngx_http_background_control_loc_conf_t   *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_background_control_module);
    ccf = ccf->directive;

    rest = ngx_http_background_control_rest(r);
    last = rest.data + rest.len;
    len = sizeof("peers/") - 1;

    if (!ccf->peers || rest.len < len
        || ngx_strncmp(rest.data, "peers/", len) != 0)
    {
        return 0;
    }

    p = rest.data + len;

    slash = ngx_strlchr(p, last, '/');
    if (slash == NULL) {
        return 0;
    }

    for (text = last; text[-1] != '/'; text--) { /* void */ }

    /* there is one slash only */

    if (text - 1 == slash) {
        return 0;
    }

    order->upstream.data = p;
    order->upstream.len = slash - p;
    order->address.data = slash + 1;
    order->address.len = text - 1 - order->address.data;

    for (a = ngx_http_background_peer_actions; a->name.len; a++) {
        if (a->name.len == (size_t) (last - text)
            && ngx_memcmp(a->name.data, text, a->name.len) == 0)
        {
            order->action = a;
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_background_control_peers(ngx_http_request_t *r,
    ngx_http_background_peer_order_t *order)
{
    ngx_int_t                                rc;
    ngx_str_t                                user;
    ngx_uint_t                               i;
    ngx_http_background_task_t             **task;
    ngx_http_background_main_conf_t         *bmcf;
    ngx_http_background_control_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_background_control_module);
    ccf = ccf->directive;
    bmcf = ngx_http_get_module_main_conf(r, ngx_http_background_module);

    task = bmcf->zone.tasks.elts;
    rc = NGX_DECLINED;

    for (i = 0; i < bmcf->zone.tasks.nelts && rc == NGX_DECLINED; i++) {
        if (ngx_http_background_control_has(ccf, &task[i]->zone.name)) {
            rc = ngx_http_background_control_peers_order(task[i], order);
        }
    }

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_NOT_FOUND;
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "upstream \"%V\": server %V is not drained, which needs "
                      "nginx 1.29.6 and an upstream of http",
                      &order->upstream, &order->address);

        return NGX_HTTP_CONFLICT;
    }

    user = ngx_http_background_control_user(r);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "upstream \"%V\": server %V: %V by %V%V",
                  &order->upstream, &order->address, &order->action->name,
                  &r->connection->addr_text, &user);

    return ngx_http_background_control_send(r, bmcf, task[i - 1], 0);
}


static ngx_int_t
ngx_http_background_control_peers_order(ngx_http_background_task_t *task,
    ngx_http_background_peer_order_t *order)
{
    ngx_int_t                         rc;
    ngx_uint_t                        i;
    ngx_http_background_operation_t  *operation;

    operation = task->operations.elts;
    rc = NGX_DECLINED;

    for (i = 0; i < task->operations.nelts && rc == NGX_DECLINED; i++) {

        if (operation[i].judge && operation[i].judge->order) {
            rc = operation[i].judge->order(operation[i].conf, &order->upstream,
                                           &order->address,
                                           order->action->order);
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_background_control_order(ngx_http_background_main_conf_t *bmcf,
    ngx_http_background_task_t *task, ngx_uint_t action, ngx_log_t *log)
{
    ngx_uint_t                          quarantined;
    ngx_http_background_view_t          view;
    ngx_http_background_orders_t       *orders;
    ngx_http_background_orders_info_t   info;

    orders = ngx_http_background_record_orders(task->zone.record);
    quarantined = ngx_http_background_record_quarantined(task->zone.record);

    switch (action) {

    case NGX_HTTP_BACKGROUND_CONTROL_RUN:
        ngx_http_background_view_read(&view, &bmcf->zone, task);

        if (quarantined || task->request || view.running || view.abandoned
            || ngx_http_background_control_pending(task))
        {
            return NGX_DECLINED;
        }

        if (task->cluster
            && view.cluster.state == ngx_http_background_cluster_other)
        {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "background task \"%V\" is not run, another nginx "
                          "has it", &task->zone.name);
            return NGX_DECLINED;
        }

        ngx_http_background_orders_read(orders, &info);

        if (!task->zone.all && info.elsewhere) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "background task \"%V\" is not run, a worker of "
                          "another zone has it", &task->zone.name);
            return NGX_DECLINED;
        }

        ngx_http_background_orders_run(orders);
        break;

    case NGX_HTTP_BACKGROUND_CONTROL_PAUSE:
        (void) ngx_http_background_orders_pause(orders, 1);
        break;

    case NGX_HTTP_BACKGROUND_CONTROL_RESUME:
        if (quarantined) {
            ngx_http_background_record_resume(task->zone.record);
        }

        (void) ngx_http_background_orders_pause(orders, 0);
        break;

    default: /* NGX_HTTP_BACKGROUND_CONTROL_CANCEL */
        ngx_http_background_orders_cancel(orders);
    }

    ngx_http_background_zone_tell(bmcf->zone.zone);

    return NGX_OK;
}


/* whether a cycle is wanted that has not started */

static ngx_uint_t
ngx_http_background_control_pending(ngx_http_background_task_t *task)
{
    ngx_uint_t                          n;
    ngx_http_background_cell_t         *cell;
    ngx_http_background_duty_info_t     duty;
    ngx_http_background_orders_info_t   orders;

    ngx_http_background_orders_read(
                        ngx_http_background_record_orders(task->zone.record),
                        &orders);

    for (n = 0; n < task->zone.cells; n++) {
        cell = ngx_http_background_cell(task->zone.record, n);

        ngx_http_background_duty_read(ngx_http_background_cell_duty(cell),
                                      &duty);

        if (duty.ordered != orders.runs) {
            return 1;
        }
    }

    return 0;
}


/* the user name comes from the client, so it is escaped */

static ngx_str_t
ngx_http_background_control_user(ngx_http_request_t *r)
{
    size_t      len;
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   user, *name;
    uintptr_t   n;

    ngx_str_set(&user, "");

    rc = ngx_http_auth_basic_user(r);
    name = &r->headers_in.user;

    if (rc != NGX_OK || name->len == 0) {
        return user;
    }

    n = ngx_escape_uri(NULL, name->data, name->len, NGX_ESCAPE_URI_COMPONENT);
    len = sizeof(", user ") - 1 + name->len + 2 * n;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return user;
    }

    user.data = p;
    user.len = len;

    p = ngx_cpymem(p, ", user ", sizeof(", user ") - 1);

    (void) ngx_escape_uri(p, name->data, name->len, NGX_ESCAPE_URI_COMPONENT);

    return user;
}


/* the task as in "background_status" */

static ngx_int_t
ngx_http_background_control_send(ngx_http_request_t *r,
    ngx_http_background_main_conf_t *bmcf, ngx_http_background_task_t *task,
    ngx_uint_t brief)
{
    ngx_int_t                      rc;
    ngx_str_t                      key, value;
    ngx_pool_cleanup_t            *cln;
    ngx_http_background_view_t     view;
    ngx_http_background_status_t   status;
    ngx_http_background_writer_t  *w;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_background_writer_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w = cln->data;

    ngx_memzero(w, sizeof(ngx_http_background_writer_t));
    ngx_memzero(&status, sizeof(ngx_http_background_status_t));

    w->pool = r->pool;
    cln->handler = ngx_http_background_control_cleanup;

    status.bmcf = bmcf;
    status.brief = brief;
    status.now = ngx_http_background_wall_clock();

    ngx_http_background_view_read(&view, &bmcf->zone, task);
    ngx_http_background_json.task(w, &status, &view);
    ngx_http_background_write(w, "\n");

    if (w->failed || w->out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->last->buf->last_buf = (r == r->main);
    w->last->buf->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_ACCEPTED;
    r->headers_out.content_length_n = w->size;
    ngx_http_background_content_type(r, &ngx_http_background_json.type);

    ngx_str_set(&key, "Cache-Control");
    ngx_str_set(&value, "no-store");

    if (ngx_http_background_add_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, w->out);
}


static void
ngx_http_background_control_cleanup(void *data)
{
    ngx_http_background_release(data);
}
