
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * A cycle of "probe": lists the servers, checks each one by a request or a
 * connection, and applies changed verdicts.  At the end all verdicts are
 * applied once more, as the peers may have been changed by others.
 */


#include "ngx_http_background_connect.h"
#include "ngx_http_background_probe.h"

#include <ngx_event_connect.h>


/*
 * the period in which a lock is tried, and the time after which a lock that is
 * not free is a failure, in milliseconds
 */
#define NGX_HTTP_BACKGROUND_PROBE_AGAIN   10
#define NGX_HTTP_BACKGROUND_PROBE_LOCKED  1000

/* checks that are started in one pass of the event loop */
#define NGX_HTTP_BACKGROUND_PROBE_SLICE   16


typedef struct ngx_http_background_probe_s  ngx_http_background_probe_t;


typedef struct {
    /* must be first */
    ngx_http_background_fetches_t         requests;

    ngx_http_background_run_t             run;        /* with the result of
                                                         this check */
    ngx_http_background_probe_t          *probe;
    ngx_http_background_target_t         *target;     /* NULL: not in use */

    /* the checked address, that of the target with another "port=" */
    ngx_sockaddr_t                        sockaddr;
    socklen_t                             socklen;
    ngx_str_t                             name;
    u_char                                name_data[NGX_SOCKADDR_STRLEN];

    ngx_event_t                           timer;
    ngx_connection_t                     *connection; /* if there is no URI */
    ngx_msec_t                            started;
    ngx_uint_t                            status;

    unsigned                              asked:1;    /* by the upstream */
    unsigned                              told:1;     /* by $background_peer */
    unsigned                              unmade:1;   /* the check counts
                                                         neither as passed nor
                                                         as failed */
} ngx_http_background_check_t;


struct ngx_http_background_probe_s {
    ngx_http_background_run_t            *run;
    ngx_http_background_probe_op_t       *op;
    ngx_http_background_target_t         *targets;
    ngx_uint_t                            ntargets;
    ngx_http_background_target_t        **order;      /* targets to check */
    ngx_uint_t                            norder;
    ngx_uint_t                            next;       /* index in "order" */
    ngx_http_background_check_t          *checks;
    ngx_uint_t                            nactive;
    ngx_uint_t                            made;
    ngx_uint_t                            unmade;
    ngx_http_background_result_t          trouble;    /* reason of the first
                                                         check that could not
                                                         be made */
    ngx_event_t                           event;      /* starts the next
                                                         checks */
    ngx_event_t                           changed;    /* applies changed
                                                         verdicts */
    ngx_uint_t                            tell;       /* there are changes that
                                                         other binaries do not
                                                         know */
    uint64_t                              late;       /* of verdicts that are
                                                         applied by this cycle */
    uint64_t                              changes;
    ngx_log_t                             log;        /* for connections */
};


static void ngx_http_background_probe_list(ngx_event_t *ev);
static ngx_int_t ngx_http_background_probe_locked(
    ngx_http_background_probe_t *probe);
static ngx_int_t ngx_http_background_probe_sort(
    ngx_http_background_probe_t *probe);
static int ngx_libc_cdecl ngx_http_background_probe_waits(const void *one,
    const void *two);
static ngx_uint_t ngx_http_background_probe_due(
    ngx_http_background_probe_t *probe, ngx_http_background_target_t *target);
static void ngx_http_background_probe_slice(ngx_event_t *ev);
static ngx_int_t ngx_http_background_probe_check(
    ngx_http_background_probe_t *probe, ngx_http_background_target_t *target);
static ngx_http_background_check_t *ngx_http_background_probe_free_check(
    ngx_http_background_probe_t *probe);
static ngx_int_t ngx_http_background_probe_address(
    ngx_http_background_check_t *check);
static ngx_int_t ngx_http_background_probe_connect(
    ngx_http_background_check_t *check);
static void ngx_http_background_probe_connected(ngx_event_t *ev);
static void ngx_http_background_probe_answered(ngx_event_t *ev);
static ngx_uint_t ngx_http_background_probe_status(
    ngx_http_background_fetches_t *rs, ngx_http_request_t *r,
    ngx_uint_t status);
static void ngx_http_background_probe_timeout(ngx_event_t *ev);
static void ngx_http_background_probe_stop(ngx_http_background_check_t *check);
static void ngx_http_background_probe_over(ngx_http_background_check_t *check);
static void ngx_http_background_probe_unmade(
    ngx_http_background_probe_t *probe, ngx_http_background_target_t *target,
    ngx_http_background_result_t *why);
static void ngx_http_background_probe_tell(ngx_http_background_probe_t *probe);
static void ngx_http_background_probe_apply(ngx_event_t *ev);
static void ngx_http_background_probe_end(ngx_event_t *ev);
static void ngx_http_background_probe_result(
    ngx_http_background_probe_t *probe);
static void ngx_http_background_probe_done(ngx_http_background_probe_t *probe);
static void ngx_http_background_probe_delete(
    ngx_http_background_probe_t *probe);
static ngx_int_t ngx_http_background_probe_reapply(
    ngx_http_background_probe_op_t *op, ngx_log_t *log);
static void ngx_http_background_probe_order_again(ngx_event_t *ev);
static void ngx_http_background_probe_clear_again(ngx_event_t *ev);


void
ngx_http_background_probe_start(ngx_http_background_run_t *run)
{
    ngx_http_background_probe_t     *probe;
    ngx_http_background_probe_op_t  *op;

    op = run->conf;

    if (op->run) {
        ngx_http_background_fail(&run->result, 0,
                                 "servers of \"%V\" are asked by another cycle "
                                 "at this time", &op->title);
        ngx_http_background_done(run);
        return;
    }

    if (op->group == NULL) {
        ngx_http_background_fail(&run->result, 0,
                                 "no place for upstream \"%V\" in shared "
                                 "memory of \"probe\"", &op->title);
        ngx_http_background_done(run);
        return;
    }

    probe = ngx_pcalloc(run->pool, sizeof(ngx_http_background_probe_t));
    if (probe == NULL) {
        goto failed;
    }

    probe->checks = ngx_pcalloc(run->pool, op->concurrency
                                         * sizeof(ngx_http_background_check_t));

    probe->targets = ngx_palloc(run->pool, op->peers
                                        * sizeof(ngx_http_background_target_t));

    if (probe->checks == NULL || probe->targets == NULL) {
        goto failed;
    }

    probe->run = run;
    probe->op = op;

    probe->event.data = probe;
    probe->event.log = run->log;
    probe->event.cancelable = 1;

    probe->changed.handler = ngx_http_background_probe_apply;
    probe->changed.data = probe;
    probe->changed.log = run->log;
    probe->changed.cancelable = 1;

    probe->log = *run->log;
    probe->log.log_level = NGX_LOG_EMERG;

    op->run = run;
    op->locked = 0;
    run->ctx = probe;
    run->result.allow_empty = 1;

    ngx_http_background_probe_list(&probe->event);

    return;

failed:

    ngx_http_background_fail(&run->result, 0, "no memory");
    ngx_http_background_done(run);
}


/* servers that were not checked are the first ones in the next cycle */

void
ngx_http_background_probe_cancel(ngx_http_background_run_t *run)
{
    ngx_uint_t                    i;
    ngx_http_background_probe_t  *probe;

    probe = run->ctx;

    for (i = 0; i < probe->op->concurrency; i++) {
        if (probe->checks[i].target) {
            ngx_http_background_probe_stop(&probe->checks[i]);
        }
    }

    for (i = probe->next; i < probe->norder; i++) {
        ngx_http_background_probe_missed(probe->order[i],
                                         probe->order[i]->missed + 1);
    }

    if (probe->changed.posted || probe->changed.timer_set) {
        ngx_http_background_probe_tell(probe);

        ngx_http_background_probe_wanted(probe->op, probe->targets,
                                         probe->ntargets, run->log);

        (void) probe->op->access->apply(probe->op->upstream, probe->targets,
                                        probe->ntargets, probe->op->mandatory);
    }

    ngx_http_background_probe_delete(probe);
}


static void
ngx_http_background_probe_delete(ngx_http_background_probe_t *probe)
{
    probe->op->run = NULL;

    if (probe->event.posted) {
        ngx_delete_posted_event(&probe->event);
    }

    if (probe->event.timer_set) {
        ngx_del_timer(&probe->event);
    }

    if (probe->changed.posted) {
        ngx_delete_posted_event(&probe->changed);
    }

    if (probe->changed.timer_set) {
        ngx_del_timer(&probe->changed);
    }
}


static void
ngx_http_background_probe_done(ngx_http_background_probe_t *probe)
{
    ngx_http_background_probe_delete(probe);
    ngx_http_background_done(probe->run);
}


static void
ngx_http_background_probe_list(ngx_event_t *ev)
{
    ngx_http_background_probe_t *probe = ev->data;

    ngx_uint_t                       total;
    ngx_http_background_probe_op_t  *op;

    op = probe->op;

    if (op->access->list(op->upstream, probe->targets, op->peers, &total)
        != NGX_OK)
    {
        if (ngx_http_background_probe_locked(probe) != NGX_OK) {
            ngx_http_background_probe_done(probe);
            return;
        }

        ev->handler = ngx_http_background_probe_list;
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_PROBE_AGAIN);
        return;
    }

    op->locked = 0;
    probe->ntargets = ngx_min(total, op->peers);

    if (total > op->peers && !op->full) {
        op->full = 1;

        ngx_log_error(NGX_LOG_ERR, probe->run->log, 0,
                      "upstream \"%V\": %ui servers are not judged, \"peers=\" "
                      "of \"probe\" is %ui",
                      &op->title, total - op->peers, op->peers);
    }

    /* this applies verdicts of workers of older configurations, too */

    probe->late = ngx_http_background_probe_late(op);
    probe->changes = ngx_http_background_pages_changes();

    ngx_http_background_probe_begin(op, probe->targets, probe->ntargets,
                                    probe->run->log);

    ngx_http_background_probe_import(op);

    probe->tell = ngx_http_background_probe_lifted(op);
    ngx_http_background_probe_lift(op, 0);

    if (ngx_http_background_probe_sort(probe) != NGX_OK) {
        ngx_http_background_fail(&probe->run->result, 0, "no memory");
        ngx_http_background_probe_done(probe);
        return;
    }

    ngx_post_event(&probe->changed, &ngx_posted_next_events);

    ev->handler = ngx_http_background_probe_slice;
    ngx_http_background_probe_slice(ev);
}


/* returns NGX_OK if the lock must be tried again */

static ngx_int_t
ngx_http_background_probe_locked(ngx_http_background_probe_t *probe)
{
    ngx_http_background_probe_op_t  *op;

    op = probe->op;

    if (op->locked == 0) {
        op->locked = ngx_max(ngx_current_msec, 1);
    }

    if (ngx_current_msec - op->locked < NGX_HTTP_BACKGROUND_PROBE_LOCKED) {
        return NGX_OK;
    }

    if (!op->alerted) {
        op->alerted = 1;

        ngx_log_error(NGX_LOG_ALERT, probe->run->log, 0,
                      "upstream \"%V\" is locked, by a worker process that "
                      "died? Requests to it hang, restart nginx", &op->title);
    }

    ngx_http_background_fail(&probe->run->result, 0,
                             "upstream \"%V\" is locked, by a worker process "
                             "that died? Restart nginx", &op->title);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_background_probe_sort(ngx_http_background_probe_t *probe)
{
    ngx_uint_t                     i;
    ngx_http_background_target_t  *target;

    if (probe->ntargets == 0) {
        return NGX_OK;
    }

    probe->order = ngx_palloc(probe->run->pool,
                              probe->ntargets * sizeof(*probe->order));
    if (probe->order == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < probe->ntargets; i++) {
        target = &probe->targets[i];

        if (ngx_http_background_probe_due(probe, target)) {
            probe->order[probe->norder++] = target;
        }
    }

    ngx_qsort(probe->order, probe->norder, sizeof(*probe->order),
              ngx_http_background_probe_waits);

    return NGX_OK;
}


/* those that wait longest first, others as they are listed */

static int ngx_libc_cdecl
ngx_http_background_probe_waits(const void *one, const void *two)
{
    ngx_http_background_target_t  *first, *second;

    first = *(ngx_http_background_target_t **) one;
    second = *(ngx_http_background_target_t **) two;

    if (first->missed != second->missed) {
        return first->missed > second->missed ? -1 : 1;
    }

    return first < second ? -1 : first > second;
}


static ngx_uint_t
ngx_http_background_probe_due(ngx_http_background_probe_t *probe,
    ngx_http_background_target_t *target)
{
    ngx_http_background_peer_e       state;
    ngx_http_background_probe_op_t  *op;

    if (target->record == NULL || target->again) {
        return 0;
    }

    op = probe->op;

    if (!op->only_down || target->failing) {
        return 1;
    }

    state = ngx_http_background_probe_state(target);

    return state == ngx_http_background_peer_down
           || (state == ngx_http_background_peer_unknown && op->mandatory);
}


static void
ngx_http_background_probe_slice(ngx_event_t *ev)
{
    ngx_http_background_probe_t *probe = ev->data;

    ngx_uint_t  n;

    n = 0;

    while (probe->next < probe->norder
           && probe->nactive < probe->op->concurrency)
    {
        if (n++ == NGX_HTTP_BACKGROUND_PROBE_SLICE) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        if (ngx_http_background_probe_check(probe, probe->order[probe->next++])
            != NGX_OK)
        {
            /* further checks would fail for the same reason */

            while (probe->next < probe->norder) {
                ngx_http_background_probe_unmade(probe,
                                                 probe->order[probe->next++],
                                                 NULL);
            }
        }
    }

    probe->run->result.active = ngx_max(probe->nactive, 1);

    ngx_http_background_progress(probe->run, probe->made, probe->norder);

    if (probe->nactive == 0 && probe->next == probe->norder) {
        ngx_http_background_probe_end(ev);
    }
}


/*
 * Returns NGX_OK if the check has started or has failed, or NGX_ERROR if no
 * check can be started now.
 */

static ngx_int_t
ngx_http_background_probe_check(ngx_http_background_probe_t *probe,
    ngx_http_background_target_t *target)
{
    ngx_int_t                        rc;
    ngx_http_background_check_t     *check;
    ngx_http_background_probe_op_t  *op;

    op = probe->op;

    check = ngx_http_background_probe_free_check(probe);

    ngx_memzero(check, sizeof(ngx_http_background_check_t));

    check->probe = probe;
    check->target = target;
    check->started = ngx_current_msec;

    /* one that does not end has had its turn */

    ngx_http_background_probe_missed(target, 0);

    check->run = *probe->run;
    ngx_memzero(&check->run.result, sizeof(ngx_http_background_result_t));

    /* log lines of nginx are written for the first failure only */

    check->run.repeats = (ngx_http_background_probe_state(target)
                          == ngx_http_background_peer_down);

    check->timer.handler = ngx_http_background_probe_timeout;
    check->timer.data = check;
    check->timer.log = probe->run->log;
    check->timer.cancelable = 1;

    if (ngx_http_background_probe_address(check) != NGX_OK) {
        ngx_http_background_probe_unmade(probe, target, &check->run.result);
        check->target = NULL;
        return NGX_OK;
    }

    probe->nactive++;

    ngx_add_timer(&check->timer, op->timeout);

    if (!op->http) {
        return ngx_http_background_probe_connect(check);
    }

    ngx_http_background_fetches_init(&check->requests, &check->run, op->conf,
                                     ngx_http_background_probe_answered);
    check->requests.judge = ngx_http_background_probe_status;

    rc = ngx_http_background_fetch_start(&check->requests, &op->uri);

    if (rc != NGX_OK) {
        ngx_http_background_probe_stop(check);
        ngx_http_background_probe_unmade(probe, target, &check->run.result);
    }

    return rc;
}


static ngx_http_background_check_t *
ngx_http_background_probe_free_check(ngx_http_background_probe_t *probe)
{
    ngx_uint_t  i;

    for (i = 0; probe->checks[i].target; i++) { /* void */ }

    return &probe->checks[i];
}


static ngx_int_t
ngx_http_background_probe_address(ngx_http_background_check_t *check)
{
    ngx_uint_t                     port;
    ngx_http_background_target_t  *target;

    target = check->target;
    port = check->probe->op->port;

    check->sockaddr = target->sockaddr;
    check->socklen = target->socklen;
    check->name = target->name;

    if (port == 0) {
        return NGX_OK;
    }

    if (target->sockaddr.sockaddr.sa_family == AF_UNIX) {
        ngx_http_background_fail(&check->run.result, 0,
                                 "%V has no port, as \"port=\" wants",
                                 &target->name);
        return NGX_ERROR;
    }

    ngx_inet_set_port(&check->sockaddr.sockaddr, (in_port_t) port);

    check->name.data = check->name_data;
    check->name.len = ngx_sock_ntop(&check->sockaddr.sockaddr, check->socklen,
                                    check->name_data, NGX_SOCKADDR_STRLEN, 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_probe_connect(ngx_http_background_check_t *check)
{
    u_char                        text[NGX_HTTP_BACKGROUND_ERROR_LEN];
    ngx_int_t                     rc;
    ngx_connection_t             *c;
    ngx_peer_connection_t         pc;
    ngx_http_background_probe_t  *probe;

    probe = check->probe;

    ngx_http_background_connect_trim();

    if (ngx_http_background_few_connections(text)) {
        ngx_http_background_fail(&check->run.result, 0, "%s", text);
        ngx_http_background_probe_stop(check);
        ngx_http_background_probe_unmade(probe,
                                         probe->order[probe->next - 1],
                                         &check->run.result);
        return NGX_ERROR;
    }

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = &check->sockaddr.sockaddr;
    pc.socklen = check->socklen;
    pc.name = &check->name;
    pc.get = ngx_event_get_peer;
    pc.log = &probe->log;
    pc.log_error = NGX_ERROR_ERR;

    ngx_set_errno(0);

    rc = ngx_event_connect_peer(&pc);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        check->unmade = (rc == NGX_ERROR);

        ngx_http_background_fail(&check->run.result, ngx_errno,
                                 "connect() failed");

        ngx_http_background_probe_over(check);
        return NGX_OK;
    }

    c = pc.connection;

    c->data = check;
    c->log = probe->run->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_background_probe_connected;
    c->write->handler = ngx_http_background_probe_connected;

    check->connection = c;

    if (rc == NGX_OK) {
        ngx_http_background_probe_connected(c->write);
    }

    return NGX_OK;
}


static void
ngx_http_background_probe_connected(ngx_event_t *ev)
{
    ngx_err_t                     err;
    ngx_connection_t             *c;
    ngx_http_background_check_t  *check;

    c = ev->data;
    check = c->data;

    err = ngx_http_background_connect_error(c);

    if (c->close) {

        /* the time of a worker that shuts down is over */

        check->unmade = 1;
        ngx_http_background_fail(&check->run.result, 0,
                                 "connect() was cancelled");

    } else if (err) {
        ngx_http_background_fail(&check->run.result, err, "connect() failed");

    } else {
        check->run.result.completed = 1;
        check->connection = NULL;
        ngx_http_background_connect_linger(c);
    }

    ngx_http_background_probe_over(check);
}


/* the handler of a request that has ended */

static void
ngx_http_background_probe_answered(ngx_event_t *ev)
{
    ngx_http_background_check_t *check = ev->data;

    if (check->target == NULL) {
        return;
    }

    if (!check->asked) {
        check->unmade = 1;
        check->run.result.failed = 0;
        check->run.result.completed = 0;

        ngx_http_background_fail(&check->run.result, 0,
                                 "the location asked no server of \"%V\"",
                                 &check->probe->op->title);
    }

    ngx_http_background_probe_over(check);
}


/*
 * Returns the status of the server itself, not the one of the response.  The
 * last server that the request was sent to must be the checked one, and must
 * have answered.
 */

static ngx_uint_t
ngx_http_background_probe_status(ngx_http_background_fetches_t *rs,
    ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_http_upstream_state_t    *state;
    ngx_http_background_check_t  *check;

    check = (ngx_http_background_check_t *) rs;

    /*
     * a request that was not sent to the server is handled in probe_answered()
     */

    if (r->upstream_states == NULL || r->upstream_states->nelts == 0) {
        if (!check->asked) {
            return status ? status : NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_background_fetch_fail(rs, NULL, 0, "no response");
        return 0;
    }

    state = r->upstream_states->elts;
    state += r->upstream_states->nelts - 1;

    if (state->peer == NULL) {

        /* there was no socket, memory, or free connection in the worker */

        check->unmade = check->asked;
        ngx_http_background_fetch_fail(rs, NULL, 0,
                                       "no connection could be made");
        return 0;
    }

    if (state->peer->len != check->name.len
        || ngx_memcmp(state->peer->data, check->name.data, check->name.len)
           != 0)
    {
        ngx_http_background_fetch_fail(rs, NULL, 0,
                                       "the answer is of another server, %V",
                                       state->peer);
        return 0;
    }

    check->asked |= check->told;
    check->status = state->status;

    if (state->header_time == (ngx_msec_t) -1
        && (state->status == 0
            || ngx_http_background_fetch_expected(rs->conf, state->status)))
    {
        ngx_http_background_fetch_fail(rs, NULL, 0, "no response");
        return 0;
    }

    if (check->probe->op->grpc
        && ngx_http_background_fetch_expected(rs->conf, state->status)
        && !ngx_http_background_probe_grpc_passes(check->probe->op, rs, r))
    {
        return 0;
    }

    return state->status;
}


static void
ngx_http_background_probe_timeout(ngx_event_t *ev)
{
    ngx_http_background_check_t *check = ev->data;

    ngx_memzero(&check->run.result, sizeof(ngx_http_background_result_t));

    ngx_http_background_fail(&check->run.result, 0, "timed out");

    ngx_http_background_probe_over(check);
}


static void
ngx_http_background_probe_stop(ngx_http_background_check_t *check)
{
    if (check->timer.timer_set) {
        ngx_del_timer(&check->timer);
    }

    if (check->connection) {
        ngx_close_connection(check->connection);
        check->connection = NULL;
    }

    if (check->requests.run) {
        ngx_http_background_fetches_cancel(&check->requests);
        check->requests.run = NULL;
    }

    check->target = NULL;
    check->probe->nactive--;
}


static void
ngx_http_background_probe_over(ngx_http_background_check_t *check)
{
    ngx_http_background_probe_t    *probe;
    ngx_http_background_result_t   *result;
    ngx_http_background_target_t   *target;
    ngx_http_background_verdict_t   verdict;

    probe = check->probe;
    target = check->target;
    result = &check->run.result;

    ngx_http_background_probe_stop(check);

    probe->run->result.io_time += ngx_current_msec - check->started;
    probe->run->result.bytes += result->bytes;

    if (check->unmade) {
        ngx_http_background_probe_unmade(probe, target, result);

    } else {
        probe->made++;
        probe->run->result.completed++;

        verdict.passed = result->failed == 0;
        verdict.status = check->status;
        verdict.time = ngx_current_msec - check->started;
        verdict.error.len = result->error_len;
        verdict.error.data = result->error;

        if (ngx_http_background_probe_judge(probe->op, target, &verdict,
                                            probe->run->log))
        {
            probe->tell = 1;

            if (!probe->changed.timer_set && !probe->changed.posted) {
                ngx_post_event(&probe->changed, &ngx_posted_next_events);
            }
        }
    }

    if (!probe->event.posted) {
        ngx_post_event(&probe->event, &ngx_posted_next_events);
    }
}


static void
ngx_http_background_probe_unmade(ngx_http_background_probe_t *probe,
    ngx_http_background_target_t *target, ngx_http_background_result_t *why)
{
    ngx_http_background_probe_missed(target, target->missed + 1);

    if (probe->unmade++ == 0 && why) {
        probe->trouble = *why;
    }
}


/* tells workers of other binaries of changed verdicts */

static void
ngx_http_background_probe_tell(ngx_http_background_probe_t *probe)
{
    if (probe->tell) {
        probe->tell = 0;

        ngx_http_background_probe_export(probe->op, 0, 1, probe->run->log);
    }
}


/* applies changed verdicts to the peers */

static void
ngx_http_background_probe_apply(ngx_event_t *ev)
{
    ngx_http_background_probe_t *probe = ev->data;

    ngx_http_background_probe_op_t  *op;

    op = probe->op;

    ngx_http_background_probe_tell(probe);

    ngx_http_background_probe_wanted(op, probe->targets, probe->ntargets,
                                     probe->run->log);

    if (op->access->apply(op->upstream, probe->targets, probe->ntargets,
                          op->mandatory)
        == NGX_OK)
    {
        op->locked = 0;
        op->alerted = 0;

        /* until now requests had to apply them */

        op->late = probe->late;
        op->changes = probe->changes;

        return;
    }

    if (op->locked == 0) {
        op->locked = ngx_max(ngx_current_msec, 1);
    }

    ngx_add_timer(ev, NGX_HTTP_BACKGROUND_PROBE_AGAIN);
}


static void
ngx_http_background_probe_end(ngx_event_t *ev)
{
    ngx_http_background_probe_t *probe = ev->data;

    if (!probe->changed.timer_set) {

        if (probe->changed.posted) {
            ngx_delete_posted_event(&probe->changed);
        }

        ngx_http_background_probe_apply(&probe->changed);
    }

    if (probe->changed.timer_set) {

        if (ngx_http_background_probe_locked(probe) != NGX_OK) {
            ngx_http_background_probe_done(probe);
            return;
        }

        ev->handler = ngx_http_background_probe_end;
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_PROBE_AGAIN);
        return;
    }

    ngx_http_background_probe_export(probe->op, 0, 0, probe->run->log);

    ngx_http_background_probe_result(probe);
    ngx_http_background_probe_done(probe);
}


static void
ngx_http_background_probe_result(ngx_http_background_probe_t *probe)
{
    ngx_uint_t                       i, up, good, all;
    ngx_http_background_probe_op_t  *op;
    ngx_http_background_result_t    *result;
    ngx_http_background_target_t    *target;
    ngx_http_background_peer_e       state;

    op = probe->op;
    result = &probe->run->result;

    up = 0;
    good = 0;
    all = 0;

    for (i = 0; i < probe->ntargets; i++) {
        target = &probe->targets[i];

        if (target->backup || ngx_http_background_probe_disabled(target)) {
            continue;
        }

        all++;
        state = ngx_http_background_probe_state(target);

        if (state != ngx_http_background_peer_down
            && (state == ngx_http_background_peer_up || !op->mandatory))
        {
            up++;
        }

        /* "need=" counts servers that have passed or need no check */

        if (state == ngx_http_background_peer_up
            || (op->only_down && state == ngx_http_background_peer_unknown
                && !op->mandatory && !target->failing))
        {
            good++;
        }
    }

    ngx_http_background_message(result, "%ui of %ui servers up", up, all);

    if (probe->unmade) {
        ngx_http_background_fail(result, 0, "%ui of %ui servers were not "
                                 "asked: %*s", probe->unmade, probe->norder,
                                 probe->trouble.error_len,
                                 probe->trouble.error);
        return;
    }

    if (good < op->need) {
        ngx_http_background_fail(result, 0,
                                 "%ui of %ui servers of \"%V\" %s up, "
                                 "\"need=%ui\"", good, all, &op->title,
                                 good == 1 ? "is" : "are", op->need);
    }
}


void
ngx_http_background_probe_catch_up(ngx_http_background_probe_op_t *op,
    ngx_log_t *log)
{
    uint64_t  late, changes;

    late = ngx_http_background_probe_late(op);
    changes = ngx_http_background_pages_changes();

    if (late == op->late && changes == op->changes) {
        return;
    }

    if ((late == op->late && !ngx_http_background_probe_others(op))
        || ngx_http_background_probe_reapply(op, log) == NGX_OK)
    {
        op->late = late;
        op->changes = changes;
    }
}


/* applies verdicts and orders; tries the lock once */

static ngx_int_t
ngx_http_background_probe_reapply(ngx_http_background_probe_op_t *op,
    ngx_log_t *log)
{
    ngx_int_t                      rc;
    ngx_uint_t                     n;
    ngx_pool_t                    *pool;
    ngx_http_background_target_t  *targets;

    pool = ngx_create_pool(ngx_pagesize, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    targets = ngx_palloc(pool,
                         op->peers * sizeof(ngx_http_background_target_t));

    rc = NGX_ERROR;

    if (targets
        && op->access->list(op->upstream, targets, op->peers, &n) == NGX_OK)
    {
        n = ngx_min(n, op->peers);

        ngx_http_background_probe_import(op);
        ngx_http_background_probe_known(op, targets, n);
        ngx_http_background_probe_wanted(op, targets, n, log);

        rc = op->access->apply(op->upstream, targets, n,
                               op->mandatory
                               && !ngx_http_background_probe_lifted(op));
    }

    ngx_destroy_pool(pool);

    return rc;
}


ngx_int_t
ngx_http_background_probe_order(void *conf, ngx_str_t *upstream,
    ngx_str_t *address, ngx_http_background_order_e order)
{
    ngx_http_background_probe_op_t *op = conf;

    ngx_int_t  rc;

    if (upstream->len != op->title.len
        || ngx_memcmp(upstream->data, op->title.data, upstream->len) != 0)
    {
        return NGX_DECLINED;
    }

    ngx_http_background_probe_import(op);

    rc = ngx_http_background_probe_order_record(op, address, order);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_background_probe_export(op, 1, 1, ngx_cycle->log);

    op->ordered.handler = ngx_http_background_probe_order_again;
    op->ordered.data = op;
    op->ordered.log = ngx_cycle->log;
    op->ordered.cancelable = 1;
    op->ordered_at = ngx_current_msec;

    ngx_http_background_probe_order_again(&op->ordered);

    return NGX_OK;
}


/* if the lock does not become free, the next cycle applies the order */

static void
ngx_http_background_probe_order_again(ngx_event_t *ev)
{
    ngx_http_background_probe_op_t *op = ev->data;

    if (ngx_http_background_probe_reapply(op, ev->log) != NGX_OK
        && ngx_current_msec - op->ordered_at < NGX_HTTP_BACKGROUND_PROBE_LOCKED
        && !ev->timer_set)
    {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_PROBE_AGAIN);
    }
}


void
ngx_http_background_probe_clear(void *conf)
{
    ngx_http_background_probe_op_t *op = conf;

    ngx_http_background_probe_lift(op, 1);
    ngx_http_background_probe_export(op, 0, 1, ngx_cycle->log);

    op->lift.handler = ngx_http_background_probe_clear_again;
    op->lift.data = op;
    op->lift.log = ngx_cycle->log;
    op->lift.cancelable = 1;

    ngx_http_background_probe_clear_again(&op->lift);
}


static void
ngx_http_background_probe_clear_again(ngx_event_t *ev)
{
    ngx_http_background_probe_op_t *op = ev->data;

    if (ngx_http_background_probe_reapply(op, ev->log) != NGX_OK
        && !ev->timer_set)
    {
        ngx_add_timer(ev, NGX_HTTP_BACKGROUND_PROBE_AGAIN);
    }
}


ngx_int_t
ngx_http_background_probe_asks(ngx_http_request_t *r,
    ngx_http_background_probe_op_t *op, ngx_addr_t *addr)
{
    ngx_http_background_check_t    *check;
    ngx_http_background_fetches_t  *rs;

    rs = ngx_http_background_fetch_started_by(r);

    if (rs == NULL || rs->judge != ngx_http_background_probe_status) {
        return NGX_DECLINED;
    }

    check = (ngx_http_background_check_t *) rs;

    if (op) {
        if (check->probe->op != op) {
            return NGX_DECLINED;
        }

        check->asked = 1;

    } else {
        check->told = 1;
    }

    addr->sockaddr = &check->sockaddr.sockaddr;
    addr->socklen = check->socklen;
    addr->name = check->name;

    return NGX_OK;
}
