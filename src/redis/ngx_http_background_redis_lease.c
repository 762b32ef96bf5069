
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * "workers cluster": of all nginx that use the same server, one runs a task,
 * the holder of its lease.
 *
 * A task has one key, with the value:
 *
 *     FENCE ID NUMBER STATE LEASE SINCE DUE FAILURES CRASHES QUARANTINE EPOCH
 *     HOST
 *
 * ID is random for each worker that asks for the task, and NUMBER changes with
 * each renewal.  The clock of the server is not used.  A worker takes the task
 * by comparing and setting the value, when it has been given back or has not
 * changed for LEASE on the clock of the worker.  The holder stops after nine
 * tenths of LEASE since it has sent the last successful renewal.  The clock is
 * CLOCK_BOOTTIME, which includes the time of a suspend.  If the key is missing,
 * the holder writes it again; other workers wait for LEASE as well.
 *
 * A server that has restarted, or was promoted by Sentinels, may have a value
 * that is older than the last one.  EPOCH is of the server to which the value
 * was written.  If the server has another one now, only the holder goes on at
 * once, by the value; all others wait for LEASE since they have seen the value
 * on this server.  A holder on the server before has stopped by then: it counts
 * nine tenths of LEASE also since the last time that more than half of the
 * Sentinels named that server.
 *
 * All tasks of a worker with the same server are sent in one command, and the
 * next command is sent after its reply.
 */


#include "ngx_http_background_redis_lease.h"

#include <sys/random.h>


/* the period of the timer: this part of LEASE, between MIN and MAX, in ms */
#define NGX_HTTP_BACKGROUND_REDIS_TICK      20
#define NGX_HTTP_BACKGROUND_REDIS_TICK_MIN  50
#define NGX_HTTP_BACKGROUND_REDIS_TICK_MAX  400


static ngx_int_t ngx_http_background_redis_lease_conf(ngx_conf_t *cf,
    ngx_str_t *task, void **conf);
static ngx_int_t ngx_http_background_redis_lease_lost(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p);
static ngx_int_t ngx_http_background_redis_want(
    ngx_http_background_claim_t *m);
static void ngx_http_background_redis_save(ngx_http_background_claim_t *m);
static ngx_uint_t ngx_http_background_redis_holds(
    ngx_http_background_claim_t *m);
static void ngx_http_background_redis_leave(ngx_http_background_claim_t *m,
    ngx_uint_t give);
static void ngx_http_background_redis_lease_exit(void);
static void ngx_http_background_redis_view(void *conf,
    ngx_http_background_cluster_view_t *view);
static ngx_http_background_redis_group_t *ngx_http_background_redis_group(
    ngx_http_background_redis_conf_t *rcf, ngx_log_t *log);
static void ngx_http_background_redis_changed(void *data, ngx_uint_t ready);
static void ngx_http_background_redis_forget(
    ngx_http_background_redis_group_t *group, ngx_uint_t ready);
static void ngx_http_background_redis_tick_handler(ngx_event_t *ev);
static void ngx_http_background_redis_expire(
    ngx_http_background_redis_group_t *group);
static void ngx_http_background_redis_go_alone(
    ngx_http_background_redis_lease_t *lease);
static void ngx_http_background_redis_prolong(
    ngx_http_background_redis_lease_t *lease);
static ngx_int_t ngx_http_background_redis_random(u_char *id);


const ngx_http_background_cluster_t  ngx_http_background_redis_lease = {
    ngx_http_background_redis_lease_conf,
    ngx_http_background_redis_want,
    ngx_http_background_redis_save,
    ngx_http_background_redis_holds,
    ngx_http_background_redis_leave,
    ngx_http_background_redis_lease_exit,
    ngx_http_background_redis_view,
    ngx_http_background_redis_view_link
};


static const ngx_http_background_bounds_t
    ngx_http_background_redis_lease_times =
{
    "time", 1000, 60 * 60 * 1000, "from 1s to 1h"
};


static const ngx_http_background_param_t
    ngx_http_background_redis_lease_params[] =
{
    { ngx_string("redis="), 0, ngx_http_background_conf_string,
      offsetof(ngx_http_background_redis_lease_conf_t, redis), NULL },

    { ngx_string("lease="), 0, ngx_http_background_conf_time,
      offsetof(ngx_http_background_redis_lease_conf_t, lease),
      &ngx_http_background_redis_lease_times },

    { ngx_string("lost="), 0, ngx_http_background_redis_lease_lost,
      offsetof(ngx_http_background_redis_lease_conf_t, run), NULL },

    ngx_http_background_null_param
};


static ngx_int_t
ngx_http_background_redis_lease_conf(ngx_conf_t *cf, ngx_str_t *task,
    void **conf)
{
    ngx_http_background_redis_lease_conf_t  *lcf, **lp;
    ngx_http_background_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_background_redis_module);

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_background_redis_lease_conf_t));
    if (lcf == NULL) {
        return NGX_ERROR;
    }

    lcf->task = *task;
    lcf->lease = 10000;
    lcf->file = cf->conf_file->file.name.data;
    lcf->line = cf->conf_file->line;

    if (ngx_http_background_conf_params(cf, 2,
                                        ngx_http_background_redis_lease_params,
                                        lcf)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    lp = ngx_array_push(&rmcf->leases);
    if (lp == NULL) {
        return NGX_ERROR;
    }

    *lp = lcf;
    *conf = lcf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_lease_lost(ngx_conf_t *cf,
    ngx_http_background_arg_t *arg, void *p)
{
    ngx_uint_t *run = p;

    if (ngx_strcmp(arg->value.data, "run") == 0) {
        *run = 1;

    } else if (ngx_strcmp(arg->value.data, "stop") == 0) {
        *run = 0;

    } else {
        return ngx_http_background_conf_invalid(cf, arg, "value",
                                                "\"stop\" or \"run\"");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_background_redis_lease_init(ngx_conf_t *cf,
    ngx_http_background_redis_main_conf_t *rmcf)
{
    u_char                                   *p;
    ngx_uint_t                                i;
    ngx_http_background_redis_conf_t         *rcf;
    ngx_http_background_redis_lease_conf_t   *lcf, **leases;

    ngx_http_background_redis_script_init();

    leases = rmcf->leases.elts;

    for (i = 0; i < rmcf->leases.nelts; i++) {
        lcf = leases[i];

        if (lcf->redis.len) {
            rcf = ngx_http_background_redis_find(rmcf, &lcf->redis);

        } else {
            rcf = rmcf->redis.nelts
                  ? *(ngx_http_background_redis_conf_t **) rmcf->redis.elts
                  : NULL;
        }

        if (rcf == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no \"background_redis\"%s%V%s for \"workers "
                          "cluster\" of background task \"%V\" in %s:%ui",
                          lcf->redis.len ? " \"" : "", &lcf->redis,
                          lcf->redis.len ? "\"" : "", &lcf->task,
                          lcf->file, lcf->line);
            return NGX_ERROR;
        }

        lcf->rcf = rcf;

        rcf->lease = rcf->lease ? ngx_min(rcf->lease, lcf->lease) : lcf->lease;
        rcf->tasks++;

        lcf->key.len = rcf->prefix.len + lcf->task.len + sizeof("{}:lease") - 1;

        p = ngx_pnalloc(cf->pool, lcf->key.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        lcf->key.data = p;
        (void) ngx_sprintf(p, "%V{%V}:lease", &rcf->prefix, &lcf->task);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_want(ngx_http_background_claim_t *m)
{
    ngx_http_background_redis_lease_conf_t *lcf = m->conf;

    ngx_http_background_redis_group_t  *group;
    ngx_http_background_redis_lease_t  *lease;

    /* the log of a task is not that of the connection, which tasks share */

    group = ngx_http_background_redis_group(lcf->rcf, ngx_cycle->log);
    if (group == NULL) {
        return NGX_ERROR;
    }

    lease = ngx_calloc(sizeof(ngx_http_background_redis_lease_t), m->log);
    if (lease == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_background_redis_random(lease->id) != NGX_OK) {
        ngx_free(lease);
        return NGX_ERROR;
    }

    lease->group = group;
    lease->conf = lcf;
    lease->claim = m;
    lease->entry = ngx_http_background_redis_entry(&lcf->task);
    lease->heard = ngx_http_background_redis_boot();

    m->ctx = lease;

    ngx_queue_insert_tail(&group->leases, &lease->queue);
    group->nleases++;

    ngx_http_background_redis_show(lease, NULL);

    return NGX_OK;
}


static void
ngx_http_background_redis_save(ngx_http_background_claim_t *m)
{
    ngx_http_background_redis_lease_t *lease = m->ctx;

    lease->dirty = 1;

    (void) ngx_http_background_redis_entry_honoured(lease->entry,
                                                    m->carried.quarantine);
}


static ngx_uint_t
ngx_http_background_redis_holds(ngx_http_background_claim_t *m)
{
    ngx_http_background_redis_lease_t *lease = m->ctx;

    return lease->alone
           || (lease->holds
               && ngx_http_background_redis_boot() < lease->until);
}


static void
ngx_http_background_redis_leave(ngx_http_background_claim_t *m,
    ngx_uint_t give)
{
    ngx_http_background_redis_lease_t *lease = m->ctx;

    u_char                             *p, *last;
    uint64_t                            now, wait;
    ngx_uint_t                          i;
    ngx_http_background_redis_group_t  *group;

    group = lease->group;
    now = ngx_http_background_redis_boot();

    for (i = 0; i < group->nbatch; i++) {
        if (group->batch[i] == lease) {
            group->batch[i] = NULL;
        }
    }

    ngx_queue_remove(&lease->queue);
    group->nleases--;

    m->ctx = NULL;

    lease->number++;

    p = lease->value;
    last = p + NGX_HTTP_BACKGROUND_REDIS_VALUE;
    lease->len = ngx_http_background_redis_tail(lease, p, last, 'f') - p;

    lease->holds = 0;
    lease->alone = 0;
    ngx_http_background_redis_show(lease, NULL);

    lease->claim = NULL;

    if (!give || lease->asked == 0
        || now - lease->asked >= lease->conf->lease)
    {
        ngx_free(lease);
        return;
    }

    /*
     * Without a reply of the server the other nginx may have to wait for LEASE,
     * so the timer delays the exit of the worker until there is one.
     */

    group->tick.cancelable = 0;

    wait = group->conf->connect_timeout + group->conf->timeout;
    wait = ngx_min(wait, lease->asked + lease->conf->lease - now);

    lease->until = now + wait;

    ngx_queue_insert_tail(&group->given, &lease->queue);

    ngx_http_background_redis_hurry(group->link);
    ngx_http_background_redis_give(lease);
}


/* sends again what has no reply, and drops what is too old */

void
ngx_http_background_redis_give_back(ngx_http_background_redis_group_t *group)
{
    ngx_queue_t                        *q, *next;
    ngx_http_background_redis_lease_t  *lease;

    for (q = ngx_queue_head(&group->given);
         q != ngx_queue_sentinel(&group->given);
         q = next)
    {
        next = ngx_queue_next(q);
        lease = ngx_queue_data(q, ngx_http_background_redis_lease_t, queue);

        if (lease->giving) {
            continue;
        }

        if (ngx_http_background_redis_boot() >= lease->until) {
            ngx_queue_remove(q);
            ngx_free(lease);
            continue;
        }

        ngx_http_background_redis_give(lease);
    }

    group->tick.cancelable = ngx_queue_empty(&group->given);
}


static void
ngx_http_background_redis_lease_exit(void)
{
    ngx_uint_t                               i;
    ngx_queue_t                             *q;
    ngx_http_background_redis_conf_t       **redis;
    ngx_http_background_redis_group_t       *group;
    ngx_http_background_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                             ngx_http_background_redis_module);
    if (rmcf == NULL) {
        return;
    }

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        group = redis[i]->group;

        if (group == NULL) {
            continue;
        }

        redis[i]->group = NULL;

        if (group->tick.timer_set) {
            ngx_del_timer(&group->tick);
        }

        ngx_http_background_redis_close(group->link);
        ngx_http_background_redis_connected(redis[i], -1);

        while (!ngx_queue_empty(&group->given)) {
            q = ngx_queue_head(&group->given);
            ngx_queue_remove(q);
            ngx_free(ngx_queue_data(q, ngx_http_background_redis_lease_t,
                                    queue));
        }

        ngx_free(group->batch);
        ngx_free(group);
    }
}


static void
ngx_http_background_redis_view(void *conf,
    ngx_http_background_cluster_view_t *view)
{
    ngx_http_background_redis_lease_conf_t *lcf = conf;

    ngx_http_background_redis_entry_read(
                        ngx_http_background_redis_entry(&lcf->task), view);

    /* the worker that has written the view may be blocked */

    if (view->until_at && view->until_at < ngx_http_background_redis_real()) {
        view->state = ngx_http_background_cluster_unknown;
    }
}


/* all tasks of the worker with the same server */

static ngx_http_background_redis_group_t *
ngx_http_background_redis_group(ngx_http_background_redis_conf_t *rcf,
    ngx_log_t *log)
{
    ngx_uint_t                          n;
    ngx_http_background_redis_group_t  *group;

    if (rcf->group) {
        return rcf->group;
    }

    group = ngx_calloc(sizeof(ngx_http_background_redis_group_t), log);
    if (group == NULL) {
        return NULL;
    }

    n = ngx_min(rcf->tasks, NGX_HTTP_BACKGROUND_REDIS_BATCH);

    group->batch = ngx_calloc(n * sizeof(ngx_http_background_redis_lease_t *),
                              log);
    if (group->batch == NULL) {
        ngx_free(group);
        return NULL;
    }

    group->conf = rcf;
    group->log = log;
    group->ident = -1;

    ngx_queue_init(&group->leases);
    ngx_queue_init(&group->given);

    group->pause = rcf->lease / NGX_HTTP_BACKGROUND_REDIS_TICK;
    group->pause = ngx_max(group->pause, NGX_HTTP_BACKGROUND_REDIS_TICK_MIN);
    group->pause = ngx_min(group->pause, NGX_HTTP_BACKGROUND_REDIS_TICK_MAX);

    group->tick.handler = ngx_http_background_redis_tick_handler;
    group->tick.data = group;
    group->tick.log = log;
    group->tick.cancelable = 1;

    group->link = ngx_http_background_redis_open(rcf,
                                           ngx_http_background_redis_changed,
                                           group, log);
    if (group->link == NULL) {
        ngx_free(group->batch);
        ngx_free(group);
        return NULL;
    }

    rcf->group = group;

    ngx_http_background_redis_connected(rcf, 0);

    ngx_add_timer(&group->tick, group->pause);

    return group;
}


static void
ngx_http_background_redis_changed(void *data, ngx_uint_t ready)
{
    ngx_http_background_redis_group_t *group = data;

    group->loaded = 0;

    ngx_http_background_redis_forget(group, ready);

    if (!ready) {
        return;
    }

    ngx_http_background_redis_give_back(group);

    if (!group->asking) {
        ngx_http_background_redis_send_batch(group);
    }
}


/*
 * A renewal counts by what the Sentinels say of the server that has done it.  A
 * value counts only while the server is the same, and a missing one only on the
 * same connection: what was there meanwhile may be gone again.
 */

static void
ngx_http_background_redis_forget(ngx_http_background_redis_group_t *group,
    ngx_uint_t ready)
{
    ngx_str_t                           epoch;
    ngx_uint_t                          same;
    ngx_queue_t                        *q;
    ngx_http_background_redis_lease_t  *lease;

    epoch = ngx_http_background_redis_epoch(group->link);

    same = !ready
           || (epoch.len == group->epoch_len
               && ngx_memcmp(epoch.data, group->epoch, epoch.len) == 0);

    group->epoch_len = epoch.len;
    ngx_memcpy(group->epoch, epoch.data, epoch.len);

    for (q = ngx_queue_head(&group->leases);
         q != ngx_queue_sentinel(&group->leases);
         q = ngx_queue_next(q))
    {
        lease = ngx_queue_data(q, ngx_http_background_redis_lease_t, queue);

        lease->renewed = 0;

        if (!same || lease->len == 0) {
            lease->known = 0;
        }
    }
}


static void
ngx_http_background_redis_tick_handler(ngx_event_t *ev)
{
    ngx_http_background_redis_group_t *group = ev->data;

    ngx_add_timer(ev, group->pause);

    ngx_http_background_redis_expire(group);
    ngx_http_background_redis_give_back(group);

    if (!group->asking) {
        ngx_http_background_redis_send_batch(group);
    }
}


/*
 * Stops tasks whose lease has expired, and starts those with "lost=run" if the
 * server does not answer for LEASE.
 */

static void
ngx_http_background_redis_expire(ngx_http_background_redis_group_t *group)
{
    uint64_t                            now;
    ngx_queue_t                        *q, *next;
    ngx_http_background_redis_lease_t  *lease;

    now = ngx_http_background_redis_boot();

    group->named = ngx_http_background_redis_named(group->link);

    for (q = ngx_queue_head(&group->leases);
         q != ngx_queue_sentinel(&group->leases);
         q = next)
    {
        next = ngx_queue_next(q);
        lease = ngx_queue_data(q, ngx_http_background_redis_lease_t, queue);

        if (lease->holds) {
            ngx_http_background_redis_prolong(lease);
        }

        if (lease->holds && now >= lease->until) {
            lease->holds = 0;

            if (lease->conf->run) {
                ngx_http_background_redis_go_alone(lease);
                continue;
            }

            ngx_http_background_redis_lose_lease(lease, NULL,
                                         "the lease could not be renewed");
            continue;
        }

        if (lease->holds || lease->alone) {
            continue;
        }

        if (now - lease->heard >= lease->conf->lease) {
            lease->claim->other = 0;
            ngx_http_background_redis_show(lease, NULL);

            if (lease->conf->run) {
                ngx_http_background_redis_go_alone(lease);

                ngx_log_error(NGX_LOG_NOTICE, lease->claim->log, 0,
                              "background task \"%V\": runs here, as Redis "
                              "does not answer", lease->claim->task);

                lease->claim->granted(lease->claim, NULL);
            }
        }
    }
}


/* jobs go on with no fence, as other nginx may run the task as well */

static void
ngx_http_background_redis_go_alone(ngx_http_background_redis_lease_t *lease)
{
    lease->alone = 1;
    lease->claim->fence = 0;
    __atomic_store_n(&lease->claim->until, 0, __ATOMIC_RELAXED);

    ngx_http_background_redis_show(lease, NULL);
}


/* stores the value, and since when it is the same on the clock of the worker */

void
ngx_http_background_redis_observe(ngx_http_background_redis_lease_t *lease,
    ngx_str_t *text)
{
    size_t  len;

    /* only the first 512 bytes are compared, as in the script */

    len = ngx_min(text->len, NGX_HTTP_BACKGROUND_REDIS_VALUE);

    if (lease->known && lease->len == len
        && (len == 0 || ngx_memcmp(lease->value, text->data, len) == 0))
    {
        return;
    }

    lease->known = 1;
    lease->same = ngx_http_background_redis_boot();
    lease->len = len;

    if (len) {
        ngx_memcpy(lease->value, text->data, len);
    }
}


/*
 * Nine tenths of LEASE, from the last renewal and from the last time that the
 * Sentinels named the server as the master.
 */

static void
ngx_http_background_redis_prolong(ngx_http_background_redis_lease_t *lease)
{
    uint64_t  until;

    until = ngx_min(lease->renewed, lease->group->named)
            + lease->conf->lease - lease->conf->lease / 10;
    lease->until = ngx_max(lease->until, until);

    __atomic_store_n(&lease->claim->until, lease->conf->run ? 0 : lease->until,
                     __ATOMIC_RELAXED);
}


void
ngx_http_background_redis_taken(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value)
{
    ngx_uint_t                      had;
    ngx_http_background_claim_t   *claim;
    ngx_http_background_carried_t   carried;

    claim = lease->claim;

    had = lease->holds || lease->alone;

    lease->renewed = lease->sent;

    lease->epoch_len = value->epoch.len;
    ngx_memcpy(lease->epoch, value->epoch.data, value->epoch.len);

    ngx_http_background_redis_prolong(lease);

    /* the reply is too late, or the Sentinels do not name the server now */

    if (!lease->holds && lease->until <= ngx_http_background_redis_boot()) {
        ngx_http_background_redis_show(lease, NULL);
        return;
    }

    lease->holds = 1;
    lease->alone = 0;

    claim->fence = value->fence;
    claim->other = 0;

    ngx_http_background_redis_entry_took(lease->entry, lease->id);
    ngx_http_background_redis_show(lease, value);

    if (had) {
        return;
    }

    if (!lease->carries) {
        claim->granted(claim, NULL);
        return;
    }

    carried = lease->carried;

    if (ngx_http_background_redis_entry_honoured(lease->entry,
                                                 carried.quarantine))
    {
        carried.quarantine = 0;
    }

    claim->granted(claim, &carried);
}


/* the lease may be freed when the function returns */

void
ngx_http_background_redis_lose_lease(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, const char *why)
{
    /* if it gets the task again with this value, it goes on with this state */

    lease->carried = lease->claim->carried;
    lease->carries = 1;

    lease->claim->fence = 0;
    lease->until = 0;

    ngx_http_background_redis_show(lease, value);

    lease->claim->lost(lease->claim, why);
}


/* writes the view for the status; "value" of the server, NULL: unknown */

void
ngx_http_background_redis_show(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value)
{
    uint64_t                             now;
    ngx_str_t                            host;
    ngx_http_background_cluster_view_t   view;

    ngx_memzero(&view, sizeof(ngx_http_background_cluster_view_t));

    now = ngx_http_background_redis_boot();

    if (lease->holds || lease->alone) {
        view.state = lease->holds ? ngx_http_background_cluster_leader
                                  : ngx_http_background_cluster_alone;
        view.fence = lease->claim->fence;
        view.since_at = lease->since_at;

        host = ((ngx_cycle_t *) ngx_cycle)->hostname;

        if (lease->holds) {
            view.until_at = ngx_http_background_redis_real()
                            + ngx_max(lease->until, now) - now;
        }

    } else if (value && value->held) {
        view.state = ngx_http_background_cluster_other;
        view.fence = value->fence;
        view.since_at = value->since_at;
        view.until_at = ngx_http_background_redis_real()
                        + ngx_max(lease->same + value->lease, now) - now;
        host = value->host;

    } else {
        ngx_str_null(&host);
    }

    view.len = ngx_min(host.len, NGX_HTTP_BACKGROUND_HOST_LEN);

    if (view.len) {
        ngx_memcpy(view.host, host.data, view.len);
    }

    ngx_http_background_redis_entry_write(lease->entry, &view);
}


static ngx_int_t
ngx_http_background_redis_random(u_char *id)
{
    u_char  bytes[NGX_HTTP_BACKGROUND_REDIS_ID / 2];

    if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes)) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(id, bytes, sizeof(bytes));

    return NGX_OK;
}


uint64_t
ngx_http_background_redis_boot(void)
{
    return ngx_http_background_usec(CLOCK_BOOTTIME) / 1000;
}


uint64_t
ngx_http_background_redis_real(void)
{
    return ngx_http_background_usec(CLOCK_REALTIME) / 1000;
}
