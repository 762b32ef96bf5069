
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * old: a kind that was built before ngx_http_background_add_operation() became
 * a macro that passes an ABI number.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    void  (*start)(void *run);
    void  (*cancel)(void *run);
    void  (*begin)(void *run);
    void  (*work)(void *run);
    void  (*finish)(void *run);
} old_kind_t;


char *ngx_http_background_add_operation(ngx_conf_t *cf, const old_kind_t *kind,
    void *conf);

static void old_work(void *run);
static char *old(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static old_kind_t  old_kind = { NULL, NULL, NULL, old_work, NULL };


static ngx_command_t  old_commands[] = {

    { ngx_string("old"),
      0x00020000|NGX_CONF_NOARGS,
      old,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  old_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  old_module = {
    NGX_MODULE_V1,
    &old_module_ctx,
    old_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static void
old_work(void *run)
{
    /* void */
}


static char *
old(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_background_add_operation(cf, &old_kind, NULL);
}
