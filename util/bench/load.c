
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * load PORT CONNECTIONS RATE SECONDS URI: sends requests to 127.0.0.1 on
 * keepalive connections.
 *
 * With a RATE, in requests a second, each request is due at a fixed time, even
 * if others are not answered yet, and its duration is counted from that time.
 * With a RATE of 0 each connection sends its next request when the last one is
 * answered.
 *
 * Prints the number of requests that were answered in a second, the 50th and the
 * 99th percentile of their duration, and the median of the 99th percentiles of
 * all tenths of a second, in microseconds.  The last one leaves out what is
 * rare, such as the milliseconds that the host takes from a virtual machine.
 * Each response must have status 200 and the length of the first one.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>


#define MAX_CONNECTIONS  512
#define MAX_ANSWER       65536
#define MAX_REQUESTS     10000000
#define MIN_PART         100


typedef struct {
    int        fd;
    size_t     received;
    uint64_t   due;         /* nsec, monotonic */
} connection_t;


static connection_t   connections[MAX_CONNECTIONS];
static connection_t  *idle[MAX_CONNECTIONS];
static size_t         nidle;

static char           request[1024];
static int            request_len;
static size_t         answer_len;

static uint32_t      *took;      /* nsec / 100 */
static size_t         nsent, nanswered;


static uint64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static double
argument(const char *text, double min, double max)
{
    char    *end;
    double   value;

    value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= min && value <= max)) {
        errx(1, "\"%s\" is no number from %g to %g", text, min, max);
    }

    return value;
}


static void
connection_open(connection_t *c, int port)
{
    int                 on = 1;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
    {
        err(1, "connect");
    }
}


static void
connection_send(connection_t *c, uint64_t due)
{
    if (nsent == MAX_REQUESTS) {
        errx(1, "too many requests");
    }

    c->due = due;
    c->received = 0;
    nsent++;

    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != request_len) {
        err(1, "send");
    }
}


/* returns the length of a response from its header */

static size_t
answer_length(const char *answer)
{
    const char  *body, *length;

    body = strstr(answer, "\r\n\r\n");
    length = strcasestr(answer, "\r\nContent-Length:");

    if (body == NULL || length == NULL || length > body) {
        errx(1, "an answer without a length");
    }

    return body + 4 - answer + strtoul(length + 17, NULL, 10);
}


/* returns 1 when the response is complete */

static int
connection_read(connection_t *c)
{
    ssize_t      n;
    static char  buf[MAX_ANSWER + 1];

    n = recv(c->fd, buf, MAX_ANSWER, 0);

    if (n <= 0) {
        err(1, "an answer ended early");
    }

    buf[n] = '\0';

    if (c->received == 0) {
        if (strncmp(buf, "HTTP/1.1 200 ", 13) != 0) {
            errx(1, "the answer is \"%.12s\"", buf);
        }

        if (answer_len == 0) {
            answer_len = answer_length(buf);
        }
    }

    c->received += n;

    if (c->received < answer_len) {
        return 0;
    }

    if (c->received > answer_len) {
        errx(1, "an answer is longer than the first one");
    }

    took[nanswered++] = (now() - c->due) / 100;

    return 1;
}


static int
compare(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;

    return (a > b) - (a < b);
}


/* in microseconds */

static double
percentile(uint32_t *times, size_t n, unsigned percent)
{
    qsort(times, n, sizeof(uint32_t), compare);

    return times[n * percent / 100] / 10.0;
}


/* the median of the 99th percentiles of parts, which are of "n" times */

static double
median_p99(size_t n)
{
    size_t           i;
    static uint32_t  parts[MAX_REQUESTS / MIN_PART];

    n = n < MIN_PART ? MIN_PART : n;
    n = n > nanswered ? nanswered : n;

    for (i = 0; i < nanswered / n; i++) {
        parts[i] = percentile(took + i * n, n, 99) * 10;
    }

    return percentile(parts, i, 50);
}


static int
timer_create_in(int ep)
{
    int                 fd;
    struct epoll_event  ev;

    fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

    ev.events = EPOLLIN|EPOLLET;
    ev.data.ptr = NULL;

    if (fd == -1 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1) {
        err(1, "timerfd");
    }

    return fd;
}


static void
timer_set(int fd, uint64_t at)
{
    struct itimerspec  its;

    memset(&its, 0, sizeof(its));
    its.it_value.tv_sec = at / 1000000000;
    its.it_value.tv_nsec = at % 1000000000;

    if (timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL) == -1) {
        err(1, "timerfd_settime");
    }
}


int
main(int argc, char **argv)
{
    int                 i, n, ep, timer, port, nconnections;
    double              rate, seconds, tenths;
    uint64_t            start, end, due, set;
    connection_t       *c;
    struct epoll_event  ev, events[MAX_CONNECTIONS + 1];
    struct sched_param  param;

    if (argc != 6) {
        errx(1, "usage: load PORT CONNECTIONS RATE SECONDS URI");
    }

    port = argument(argv[1], 1, 65535);
    nconnections = argument(argv[2], 1, MAX_CONNECTIONS);
    rate = argument(argv[3], 0, 1000000);
    seconds = argument(argv[4], 0.001, 3600);

    request_len = snprintf(request, sizeof(request),
                           "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                           argv[5]);

    if (request_len >= (int) sizeof(request)) {
        errx(1, "the URI is too long");
    }

    took = malloc(MAX_REQUESTS * sizeof(uint32_t));
    if (took == NULL) {
        err(1, "malloc");
    }

    /* the server is measured, so the client must not wait for a CPU */

    memset(&param, 0, sizeof(param));
    param.sched_priority = 1;

    (void) setpriority(PRIO_PROCESS, 0, -10);

    if (rate && sched_setscheduler(0, SCHED_FIFO, &param) == -1) {
        warn("sched_setscheduler(SCHED_FIFO)");
    }

    (void) prctl(PR_SET_TIMERSLACK, 1);

    ep = epoll_create1(0);
    if (ep == -1) {
        err(1, "epoll_create1");
    }

    for (i = 0; i < nconnections; i++) {
        c = &connections[i];

        connection_open(c, port);

        ev.events = EPOLLIN;
        ev.data.ptr = c;

        if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
            err(1, "epoll_ctl");
        }

        idle[nidle++] = c;
    }

    timer = timer_create_in(ep);

    start = now();
    end = start + seconds * 1e9;
    due = start;
    set = 0;

    timer_set(timer, end);

    for ( ;; ) {

        while (nidle) {
            if (rate > 0) {
                due = start + nsent * 1e9 / rate;

                if (due >= end || due > now()) {
                    break;
                }

            } else {
                due = now();

                if (due >= end) {
                    break;
                }
            }

            connection_send(idle[--nidle], due);
        }

        if (nanswered == nsent && due >= end) {
            break;
        }

        if (rate > 0 && nidle && due < end && due != set) {
            timer_set(timer, due);
            set = due;
        }

        n = epoll_wait(ep, events, MAX_CONNECTIONS + 1, 10000);

        if (n == -1) {
            err(1, "epoll_wait");
        }

        if (n == 0) {
            errx(1, "no answer in 10 seconds");
        }

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c && connection_read(c)) {
                idle[nidle++] = c;
            }
        }
    }

    if (nanswered == 0) {
        errx(1, "no requests");
    }

    seconds = (now() - start) / 1e9;

    /* before the others are sorted */

    tenths = median_p99(nanswered / seconds / 10);

    printf("%.0f %.1f %.1f %.1f\n", nanswered / seconds,
           percentile(took, nanswered, 50), percentile(took, nanswered, 99),
           tenths);

    return 0;
}
