
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* refuse: unshare() fails in all processes after this, as in a container */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>


static ngx_int_t refuse_init_module(ngx_cycle_t *cycle);


static ngx_http_module_t  refuse_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  refuse_module = {
    NGX_MODULE_V1,
    &refuse_module_ctx,
    NULL,
    NGX_HTTP_MODULE,
    NULL, refuse_init_module, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
refuse_init_module(ngx_cycle_t *cycle)
{
    struct sock_filter  rules[] = {
        BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, SYS_unshare, 0, 1),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|EPERM),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW)
    };

    struct sock_fprog  program = {
        sizeof(rules) / sizeof(rules[0]), rules
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "refuse: prctl() failed");
    }

    return NGX_OK;
}
