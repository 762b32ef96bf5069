
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * fastcgi SOCKET: answers FastCGI requests with the output of the function
 * "empty" of run.c, in one process, on connections that stay open, by epoll.
 */


#define _GNU_SOURCE

#include "run.c"

#include <err.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <signal.h>


#define BUFFER       65536
#define HEADER       8

/* types of records */
#define BEGIN        1
#define END          3
#define STDIN        5
#define STDOUT       6


typedef struct {
    ngx_http_background_call_t  call;      /* must be first */

    int                         fd;
    size_t                      len;
    uint8_t                     id[2];     /* of the request */
    uint8_t                     in[BUFFER];

    uint8_t                     body[BUFFER];
    size_t                      body_len;

    uint8_t                     out[BUFFER];
    size_t                      out_len;
} connection_t;


static int
not_cancelled(ngx_http_background_call_t *call)
{
    (void) call;

    return 0;
}


static int
write_output(ngx_http_background_call_t *call, const void *data, size_t len)
{
    connection_t *c = (connection_t *) call;

    if (len > BUFFER / 2 - c->out_len) {
        return 1;
    }

    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;

    return 0;
}


static void
set_type(ngx_http_background_call_t *call, const char *type)
{
    static const char  name[] = "Content-Type: ";

    (void) write_output(call, name, sizeof(name) - 1);
    (void) write_output(call, type, strlen(type));
    (void) write_output(call, "\r\n\r\n", 4);
}


static void
put_header(connection_t *c, size_t at, int type, size_t len)
{
    uint8_t  *h = c->out + at;

    h[0] = 1;
    h[1] = type;
    h[2] = c->id[0];
    h[3] = c->id[1];
    h[4] = len >> 8;
    h[5] = len & 0xff;
    h[6] = 0;
    h[7] = 0;
}


static void
answer(connection_t *c)
{
    c->out_len = HEADER;

    c->call.input = c->body;
    c->call.input_len = c->body_len;

    (void) empty(&c->call);

    put_header(c, 0, STDOUT, c->out_len - HEADER);
    put_header(c, c->out_len, END, 8);
    memset(c->out + c->out_len + HEADER, 0, 8);
    c->out_len += HEADER + 8;

    /* it fits into the socket's buffer: the client reads each answer */

    if (write(c->fd, c->out, c->out_len) != (ssize_t) c->out_len) {
        err(1, "write");
    }

    c->body_len = 0;
}


/* returns how many bytes it has used: 0 if the record is not whole */

static size_t
record(connection_t *c, const uint8_t  *p, size_t len)
{
    size_t  content, size;

    if (len < HEADER) {
        return 0;
    }

    content = p[4] << 8 | p[5];
    size = HEADER + content + p[6];

    if (len < size) {
        return 0;
    }

    switch (p[1]) {

    case BEGIN:
        c->id[0] = p[2];
        c->id[1] = p[3];
        break;

    case STDIN:
        if (content == 0) {
            answer(c);
            break;
        }

        if (content > BUFFER - c->body_len) {
            errx(1, "a body is too large");
        }

        memcpy(c->body + c->body_len, p + HEADER, content);
        c->body_len += content;
    }

    return size;
}


static void
serve(connection_t *c)
{
    size_t   used, n;
    ssize_t  got;

    got = read(c->fd, c->in + c->len, BUFFER - c->len);

    if (got <= 0) {
        (void) close(c->fd);
        free(c);
        return;
    }

    c->len += got;

    for (used = 0; (n = record(c, c->in + used, c->len - used)); used += n) {
        /* void */
    }

    c->len -= used;
    memmove(c->in, c->in + used, c->len);

    if (c->len == BUFFER) {
        errx(1, "a record is too large");
    }
}


static void
take(int ep, int listener)
{
    connection_t        *c;
    struct epoll_event   ev;

    c = calloc(1, sizeof(connection_t));

    if (c == NULL) {
        err(1, "calloc");
    }

    c->fd = accept(listener, NULL, NULL);

    if (c->fd == -1) {
        err(1, "accept");
    }

    c->call.cancelled = not_cancelled;
    c->call.write = write_output;
    c->call.type = set_type;

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
        err(1, "epoll_ctl");
    }
}


int
main(int argc, char **argv)
{
    int                 i, n, ep, listener;
    struct epoll_event  ev, events[64];
    struct sockaddr_un  addr = { .sun_family = AF_UNIX };

    if (argc != 2 || strlen(argv[1]) >= sizeof(addr.sun_path)) {
        errx(2, "usage: fastcgi SOCKET");
    }

    /* ends with who has started it */
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    strcpy(addr.sun_path, argv[1]);

    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ep = epoll_create1(0);

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    if (listener == -1 || ep == -1
        || bind(listener, (struct sockaddr *) &addr, sizeof(addr)) == -1
        || listen(listener, 511) == -1
        || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) == -1)
    {
        err(1, "%s", argv[1]);
    }

    for ( ;; ) {
        n = epoll_wait(ep, events, 64, -1);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                take(ep, listener);

            } else {
                serve(events[i].data.ptr);
            }
        }
    }
}
