
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "certificate": how long certificates of files and of TLS servers are valid.
 * All work is done on a thread of the pool, as read(), getaddrinfo() and
 * SSL_connect() block or compute.  A worker that exits waits for the thread,
 * which getaddrinfo() may block until the time-outs of the resolver.
 */


#include <ngx_http_background.h>

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <poll.h>


/* for a server, all of its addresses, without the lookup, in milliseconds */
#define NGX_HTTP_BACKGROUND_CERTIFICATE_TIMEOUT  10000

/* the period in which cancelling is checked, in milliseconds */
#define NGX_HTTP_BACKGROUND_CERTIFICATE_POLL     10

/* the largest file that is read, in bytes */
#define NGX_HTTP_BACKGROUND_CERTIFICATE_FILE     (16 * 1024 * 1024)

/* how much a server may send until its handshake is done, in bytes */
#define NGX_HTTP_BACKGROUND_CERTIFICATE_RECEIVE  (1024 * 1024)

#define NGX_HTTP_BACKGROUND_CERTIFICATE_DAY      (24 * 60 * 60)


typedef struct {
    ngx_str_t                                    name;     /* as given */
    ngx_str_t                                    path;     /* of a file */
    ngx_addr_t                                  *addr;     /* of a server, NULL:
                                                              by its name */
    char                                        *host;
    char                                         port[sizeof("65535")];
} ngx_http_background_certificate_target_t;


typedef struct {
    ngx_array_t                                  targets;
    ngx_str_t                                    server_name;
    ngx_uint_t                                   days;
    SSL_CTX                                     *ssl;
} ngx_http_background_certificate_conf_t;


typedef struct {
    ngx_http_background_run_t                   *run;
    ngx_http_background_certificate_conf_t      *conf;
    ngx_http_background_certificate_target_t    *target;
    int                                          fd;
    uint64_t                                     end;      /* of the time for a
                                                              server, in ms */
    size_t                                       received; /* from it */
    ngx_uint_t                                   over;     /* unsigned over:1;
                                                              nothing more is
                                                              read from it */
} ngx_http_background_certificate_t;


static char *ngx_http_background_certificate(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_background_certificate_target(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_certificate_server(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg,
    ngx_http_background_certificate_target_t *target);
static ngx_int_t ngx_http_background_certificate_ssl(ngx_conf_t *cf,
    ngx_http_background_certificate_conf_t *ccf);
static void ngx_http_background_certificate_ssl_free(void *data);

static void ngx_http_background_certificate_work(
    ngx_http_background_run_t *run);
static void ngx_http_background_certificate_file(
    ngx_http_background_certificate_t *ctx);
static void ngx_http_background_certificate_read(
    ngx_http_background_certificate_t *ctx, BIO *bio);
static int ngx_http_background_certificate_password(char *buf, int size,
    int rwflag, void *data);
static void ngx_http_background_certificate_connect(
    ngx_http_background_certificate_t *ctx);
static ngx_int_t ngx_http_background_certificate_open(
    ngx_http_background_certificate_t *ctx, struct sockaddr *sockaddr,
    socklen_t socklen, ngx_err_t *err);
static void ngx_http_background_certificate_handshake(
    ngx_http_background_certificate_t *ctx);
static long ngx_http_background_certificate_receive(BIO *bio, int oper,
    const char *argp, size_t len, int argi, long argl, int ret,
    size_t *processed);
static ngx_int_t ngx_http_background_certificate_wait(
    ngx_http_background_certificate_t *ctx, short events);
static ngx_uint_t ngx_http_background_certificate_over(
    ngx_http_background_certificate_t *ctx);
static void ngx_http_background_certificate_check(
    ngx_http_background_certificate_t *ctx, X509 *cert);
static void ngx_http_background_certificate_subject(X509 *cert, u_char *buf,
    size_t size);
static void ngx_http_background_certificate_alternative(X509 *cert,
    u_char *buf, size_t size);
static void ngx_http_background_certificate_keep(
    ngx_http_background_result_t *result, time_t expires, u_char *subject);
static ngx_int_t ngx_http_background_certificate_time(const ASN1_TIME *time,
    time_t *sec);
static const char *ngx_http_background_certificate_error(void);


static ngx_http_background_kind_t  ngx_http_background_certificate_kind = {
    NULL,                                    /* start */
    NULL,                                    /* cancel */
    NULL,                                    /* begin */
    ngx_http_background_certificate_work,    /* work */
    NULL,                                    /* finish */
    NULL                                     /* check */
};


static const ngx_http_background_bounds_t  ngx_http_background_certificate_days
    =
{
    "days", 0, 3650, NULL
};


static const ngx_http_background_param_t
    ngx_http_background_certificate_params[] =
{
    { ngx_string("server_name="), 0, ngx_http_background_conf_string,
      offsetof(ngx_http_background_certificate_conf_t, server_name), NULL },

    { ngx_string("days="), 0, ngx_http_background_conf_number,
      offsetof(ngx_http_background_certificate_conf_t, days),
      &ngx_http_background_certificate_days },

    { ngx_string(""), 1, ngx_http_background_certificate_target, 0, NULL },

    ngx_http_background_null_param
};


static ngx_command_t  ngx_http_background_certificate_commands[] = {

    { ngx_string("certificate"),
      NGX_HTTP_BACKGROUND_TASK_CONF|NGX_CONF_1MORE,
      ngx_http_background_certificate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


ngx_http_background_kind_module(ngx_http_background_certificate_module,
                                ngx_http_background_certificate_commands);


static char *
ngx_http_background_certificate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_background_certificate_conf_t  *ccf;

    ccf = ngx_pcalloc(cf->pool,
                      sizeof(ngx_http_background_certificate_conf_t));
    if (ccf == NULL) {
        return NGX_CONF_ERROR;
    }

    ccf->days = 14;

    if (ngx_array_init(&ccf->targets, cf->pool, 2,
                       sizeof(ngx_http_background_certificate_target_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_conf_params(cf, 1,
                                        ngx_http_background_certificate_params,
                                        ccf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ccf->targets.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no file or server in \"%V\" directive", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_background_certificate_ssl(cf, ccf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_background_add_operation(cf,
                                  &ngx_http_background_certificate_kind, ccf);
}


/* an argument with a ":" and without a "/" is a server */

static ngx_int_t
ngx_http_background_certificate_target(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_http_background_certificate_conf_t *ccf = p;

    ngx_http_background_certificate_target_t  *target;

    target = ngx_array_push(&ccf->targets);
    if (target == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(target, sizeof(ngx_http_background_certificate_target_t));

    target->name = arg->value;

    if (ngx_strchr(arg->value.data, '/') == NULL
        && ngx_strchr(arg->value.data, ':'))
    {
        return ngx_http_background_certificate_server(cf, arg, target);
    }

    return ngx_http_background_conf_file(cf, arg, &target->path);
}


static ngx_int_t
ngx_http_background_certificate_server(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg,
    ngx_http_background_certificate_target_t *target)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = arg->value;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.no_port
        || u.family == AF_UNIX || u.port == 0)
    {
        return ngx_http_background_conf_invalid(cf, arg, "server",
                                                "a file, or \"HOST:PORT\"");
    }

    if (u.naddrs) {
        target->addr = u.addrs;
        return NGX_OK;
    }

    target->host = (char *) ngx_pnalloc(cf->pool, u.host.len + 1);
    if (target->host == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) target->host, u.host.data, u.host.len + 1);
    (void) ngx_sprintf((u_char *) target->port, "%d%Z", (int) u.port);

    return NGX_OK;
}


/* the certificate is not verified: only its time is checked */

static ngx_int_t
ngx_http_background_certificate_ssl(ngx_conf_t *cf,
    ngx_http_background_certificate_conf_t *ccf)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ccf->ssl = SSL_CTX_new(TLS_client_method());

    if (ccf->ssl == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "SSL_CTX_new() failed (%s)",
                           ngx_http_background_certificate_error());
        return NGX_ERROR;
    }

    SSL_CTX_set_verify(ccf->ssl, SSL_VERIFY_NONE, NULL);

    cln->handler = ngx_http_background_certificate_ssl_free;
    cln->data = ccf->ssl;

    return NGX_OK;
}


static void
ngx_http_background_certificate_ssl_free(void *data)
{
    SSL_CTX_free(data);
}


static void
ngx_http_background_certificate_work(ngx_http_background_run_t *run)
{
    ngx_uint_t                                 i;
    ngx_http_background_certificate_t          ctx;
    ngx_http_background_certificate_target_t  *target;

    ngx_memzero(&ctx, sizeof(ngx_http_background_certificate_t));

    ctx.run = run;
    ctx.conf = run->conf;

    target = ctx.conf->targets.elts;

    for (i = 0; i < ctx.conf->targets.nelts; i++) {
        if (ngx_http_background_cancelled(run)) {
            return;
        }

        ctx.target = &target[i];

        if (target[i].path.len) {
            ngx_http_background_certificate_file(&ctx);

        } else {

            /* the server does not wait while other jobs run */

            run->keep_slot = 1;

            ngx_http_background_certificate_connect(&ctx);

            run->keep_slot = 0;
        }

        ERR_clear_error();
    }
}


static void
ngx_http_background_certificate_file(ngx_http_background_certificate_t *ctx)
{
    int               fd;
    BIO              *bio;
    FILE             *file;
    ngx_file_info_t   fi;

    fd = open((char *) ctx->target->path.data, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        ngx_http_background_fail_path(&ctx->run->result, NULL,
                                      &ctx->target->path, ngx_errno,
                                      "open() %s failed");
        return;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)
        || fi.st_size > NGX_HTTP_BACKGROUND_CERTIFICATE_FILE)
    {
        ngx_http_background_fail_path(&ctx->run->result, NULL,
                                      &ctx->target->path, 0,
                                      "%s is not a file of certificates");
        (void) ngx_close_file(fd);
        return;
    }

    file = fdopen(fd, "r");
    bio = file ? BIO_new_fp(file, BIO_CLOSE) : NULL;

    if (bio == NULL) {
        ngx_http_background_fail(&ctx->run->result, 0, "no memory");

        if (file) {
            (void) fclose(file);

        } else {
            (void) ngx_close_file(fd);
        }

        return;
    }

    ngx_http_background_certificate_read(ctx, bio);

    BIO_free(bio);
}


/* each certificate of the file is checked, as each may be sent */

static void
ngx_http_background_certificate_read(ngx_http_background_certificate_t *ctx,
    BIO *bio)
{
    X509       *cert;
    u_long      err;
    ngx_uint_t  n;

    for (n = 0; /* void */ ; n++) {
        if (ngx_http_background_cancelled(ctx->run)) {
            return;
        }

        cert = PEM_read_bio_X509(bio, NULL,
                                 ngx_http_background_certificate_password,
                                 NULL);

        if (cert == NULL) {
            break;
        }

        ngx_http_background_certificate_check(ctx, cert);

        X509_free(cert);
    }

    err = ERR_peek_last_error();

    if (n && ERR_GET_LIB(err) == ERR_LIB_PEM
        && ERR_GET_REASON(err) == PEM_R_NO_START_LINE)
    {
        return;
    }

    ngx_http_background_fail(&ctx->run->result, 0,
                             "PEM_read_bio_X509() \"%V\" failed (%s)",
                             &ctx->target->path,
                             ngx_http_background_certificate_error());
}


/* the default callback of OpenSSL would ask for a password on the terminal */

static int
ngx_http_background_certificate_password(char *buf, int size, int rwflag,
    void *data)
{
    return -1;
}


static void
ngx_http_background_certificate_connect(ngx_http_background_certificate_t *ctx)
{
    int                                        rc;
    ngx_err_t                                  err;
    struct addrinfo                            hints, *res, *ai;
    ngx_http_background_certificate_target_t  *target;

    target = ctx->target;
    res = NULL;
    err = 0;

    ctx->fd = -1;
    ctx->over = 0;
    ctx->received = 0;

    if (target->addr == NULL) {
        ngx_memzero(&hints, sizeof(struct addrinfo));
        hints.ai_socktype = SOCK_STREAM;

        rc = getaddrinfo(target->host, target->port, &hints, &res);

        if (rc != 0) {
            ngx_http_background_fail(&ctx->run->result, 0,
                                     "getaddrinfo() \"%s\" failed (%s)",
                                     target->host, gai_strerror(rc));
            return;
        }
    }

    ctx->end = ngx_http_background_usec(CLOCK_MONOTONIC) / 1000
               + NGX_HTTP_BACKGROUND_CERTIFICATE_TIMEOUT;

    if (target->addr) {
        rc = ngx_http_background_certificate_open(ctx, target->addr->sockaddr,
                                                  target->addr->socklen, &err);

    } else {
        rc = NGX_DECLINED;

        for (ai = res; ai && rc == NGX_DECLINED; ai = ai->ai_next) {
            rc = ngx_http_background_certificate_open(ctx, ai->ai_addr,
                                                      ai->ai_addrlen, &err);
        }

        freeaddrinfo(res);
    }

    if (rc == NGX_OK) {
        ngx_http_background_certificate_handshake(ctx);

    } else if (rc == NGX_DECLINED) {
        ngx_http_background_fail(&ctx->run->result, err,
                                 "connect() to %V failed", &target->name);
    }

    if (ctx->fd != -1) {
        (void) ngx_close_socket(ctx->fd);
    }
}


/*
 * NGX_DECLINED: the next address is tried; NGX_ERROR: no other address is tried
 */

static ngx_int_t
ngx_http_background_certificate_open(ngx_http_background_certificate_t *ctx,
    struct sockaddr *sockaddr, socklen_t socklen, ngx_err_t *err)
{
    int        value;
    ngx_int_t  rc;
    socklen_t  len;

    if (ctx->fd != -1) {
        (void) ngx_close_socket(ctx->fd);
    }

    ctx->fd = socket(sockaddr->sa_family,
                     SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (ctx->fd == -1) {
        *err = ngx_socket_errno;
        return NGX_DECLINED;
    }

    if (connect(ctx->fd, sockaddr, socklen) == 0) {
        return NGX_OK;
    }

    if (ngx_socket_errno != NGX_EINPROGRESS) {
        *err = ngx_socket_errno;
        return NGX_DECLINED;
    }

    rc = ngx_http_background_certificate_wait(ctx, POLLOUT);

    if (rc != NGX_OK) {
        return rc;
    }

    value = 0;
    len = sizeof(int);

    if (getsockopt(ctx->fd, SOL_SOCKET, SO_ERROR, &value, &len) == -1) {
        value = ngx_socket_errno;
    }

    *err = value;

    return value ? NGX_DECLINED : NGX_OK;
}


static void
ngx_http_background_certificate_handshake(
    ngx_http_background_certificate_t *ctx)
{
    int    rc, err;
    SSL   *ssl;
    X509  *cert;
    char  *name;

    ssl = SSL_new(ctx->conf->ssl);

    if (ssl == NULL || SSL_set_fd(ssl, ctx->fd) == 0) {
        ngx_http_background_fail(&ctx->run->result, 0, "SSL_new() failed (%s)",
                                 ngx_http_background_certificate_error());
        goto done;
    }

    BIO_set_callback_ex(SSL_get_rbio(ssl),
                        ngx_http_background_certificate_receive);
    BIO_set_callback_arg(SSL_get_rbio(ssl), (char *) ctx);

    name = ctx->conf->server_name.len ? (char *) ctx->conf->server_name.data
                                      : ctx->target->host;

    if (name && SSL_set_tlsext_host_name(ssl, name) == 0) {
        ngx_http_background_fail(&ctx->run->result, 0,
                                 "SSL_set_tlsext_host_name() failed (%s)",
                                 ngx_http_background_certificate_error());
        goto done;
    }

    for ( ;; ) {
        ERR_clear_error();
        ngx_set_errno(0);

        rc = SSL_connect(ssl);

        if (rc == 1) {
            break;
        }

        if (ctx->over) {
            goto done;
        }

        err = SSL_get_error(ssl, rc);

        if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE) {
            if (ngx_http_background_certificate_wait(ctx,
                              err == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)
                != NGX_OK)
            {
                goto done;
            }

            continue;
        }

        ngx_http_background_fail(&ctx->run->result,
                                 err == SSL_ERROR_SYSCALL ? ngx_errno : 0,
                                 "SSL_connect() to %V failed (%s)",
                                 &ctx->target->name,
                                 ngx_http_background_certificate_error());
        goto done;
    }

    cert = SSL_get_peer_certificate(ssl);

    if (cert == NULL) {
        ngx_http_background_fail(&ctx->run->result, 0,
                                 "%V has sent no certificate",
                                 &ctx->target->name);
        goto done;
    }

    ngx_http_background_certificate_check(ctx, cert);

    X509_free(cert);

    (void) SSL_shutdown(ssl);

done:

    SSL_free(ssl);
}


/*
 * Called by OpenSSL before and after each read, as one SSL_connect() reads for
 * as long as a server sends.  A value that is not positive is an error.
 */

static long
ngx_http_background_certificate_receive(BIO *bio, int oper, const char *argp,
    size_t len, int argi, long argl, int ret, size_t *processed)
{
    ngx_http_background_certificate_t  *ctx;

    ctx = (ngx_http_background_certificate_t *) BIO_get_callback_arg(bio);

    if (oper == BIO_CB_READ) {
        return ngx_http_background_certificate_over(ctx) ? -1 : 1;
    }

    if (oper == (BIO_CB_READ|BIO_CB_RETURN) && ret > 0) {
        ctx->received += *processed;
    }

    return ret;
}


/* NGX_ERROR: nothing more is read */

static ngx_int_t
ngx_http_background_certificate_wait(ngx_http_background_certificate_t *ctx,
    short events)
{
    struct pollfd  event;

    event.fd = ctx->fd;
    event.events = events;

    while (!ngx_http_background_certificate_over(ctx)) {
        if (poll(&event, 1, NGX_HTTP_BACKGROUND_CERTIFICATE_POLL) > 0) {
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* the job is cancelled, or the server has used its time or bytes: a failure */

static ngx_uint_t
ngx_http_background_certificate_over(ngx_http_background_certificate_t *ctx)
{
    if (ctx->over) {
        return 1;
    }

    if (ngx_http_background_cancelled(ctx->run)) {
        ctx->over = 1;

    } else if (ngx_http_background_usec(CLOCK_MONOTONIC) / 1000 >= ctx->end) {
        ngx_http_background_fail(&ctx->run->result, 0, "%V timed out",
                                 &ctx->target->name);
        ctx->over = 1;

    } else if (ctx->received >= NGX_HTTP_BACKGROUND_CERTIFICATE_RECEIVE) {
        ngx_http_background_fail(&ctx->run->result, 0,
                                 "%V has sent %uz bytes without an end",
                                 &ctx->target->name, ctx->received);
        ctx->over = 1;
    }

    return ctx->over;
}


static void
ngx_http_background_certificate_check(ngx_http_background_certificate_t *ctx,
    X509 *cert)
{
    time_t                         now, begins, expires;
    u_char                         subject[NGX_HTTP_BACKGROUND_MESSAGE_LEN];
    u_char                         date[sizeof("1970-09-28 12:00:00")];
    ngx_tm_t                       tm;
    ngx_http_background_result_t  *result;

    result = &ctx->run->result;

    ngx_http_background_certificate_subject(cert, subject, sizeof(subject));

    if (ngx_http_background_certificate_time(X509_get0_notBefore(cert), &begins)
        != NGX_OK
        || ngx_http_background_certificate_time(X509_get0_notAfter(cert),
                                                &expires)
           != NGX_OK)
    {
        ngx_http_background_fail(result, 0, "%V: invalid time in certificate "
                                 "of \"%s\"", &ctx->target->name, subject);
        return;
    }

    ngx_http_background_certificate_keep(result, expires, subject);

    now = time(NULL);

    if (expires > now + (time_t) (ctx->conf->days
                                  * NGX_HTTP_BACKGROUND_CERTIFICATE_DAY)
        && begins <= now)
    {
        result->completed++;
        return;
    }

    ngx_gmtime((begins > now) ? begins : expires, &tm);

    (void) ngx_sprintf(date, "%4d-%02d-%02d %02d:%02d:%02d%Z",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    ngx_http_background_fail(result, 0, "%V: certificate of \"%s\" %s %s UTC",
                             &ctx->target->name, subject,
                             (begins > now) ? "is not valid before"
                             : (expires > now) ? "expires at"
                             : "has expired at", date);
}


/*
 * The common name, or else the whole subject, or if it is empty, the first name
 * or address that the certificate is for, in printable characters.
 */

static void
ngx_http_background_certificate_subject(X509 *cert, u_char *buf, size_t size)
{
    u_char     *p;
    X509_NAME  *name;

    name = X509_get_subject_name(cert);

    buf[0] = '\0';

    if (name
        && X509_NAME_get_text_by_NID(name, NID_commonName, (char *) buf, size)
           <= 0)
    {
        (void) X509_NAME_oneline(name, (char *) buf, size);
    }

    if (buf[0] == '\0') {
        ngx_http_background_certificate_alternative(cert, buf, size);
    }

    for (p = buf; *p; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            *p = '?';
        }
    }
}


static void
ngx_http_background_certificate_alternative(X509 *cert, u_char *buf,
    size_t size)
{
    int             i, len;
    GENERAL_NAME   *name;
    GENERAL_NAMES  *names;

    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    for (i = 0; i < sk_GENERAL_NAME_num(names) && buf[0] == '\0'; i++) {
        name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS) {
            (void) ngx_snprintf(buf, size, "%*s%Z",
                                ngx_min((size_t)
                                        ASN1_STRING_length(name->d.dNSName),
                                        size - 1),
                                ASN1_STRING_get0_data(name->d.dNSName));

        } else if (name->type == GEN_IPADD) {
            len = ASN1_STRING_length(name->d.iPAddress);

            if (len == 4 || len == 16) {
                (void) inet_ntop(len == 4 ? AF_INET : AF_INET6,
                                 ASN1_STRING_get0_data(name->d.iPAddress),
                                 (char *) buf, size);
            }
        }
    }

    GENERAL_NAMES_free(names);
}


/* the result has the time of the certificate that expires first */

static void
ngx_http_background_certificate_keep(ngx_http_background_result_t *result,
    time_t expires, u_char *subject)
{
    if (result->expires && result->expires <= expires) {
        return;
    }

    result->expires = ngx_max(expires, 1);

    ngx_http_background_message(result, "%s", subject);
}


static ngx_int_t
ngx_http_background_certificate_time(const ASN1_TIME *time, time_t *sec)
{
    struct tm  tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1) {
        return NGX_ERROR;
    }

    *sec = timegm(&tm);

    return NGX_OK;
}


static const char *
ngx_http_background_certificate_error(void)
{
    const char  *text;

    text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "no reason given";
}
