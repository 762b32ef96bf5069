
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


#include "ngx_http_background_redis.h"

#include <ngx_sha1.h>
#include <sys/random.h>


/* the time to live of a key that no nginx renews, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_TTL        "2592000000"

/* the period of the timer: this part of LEASE, between MIN and MAX, in ms */
#define NGX_HTTP_BACKGROUND_REDIS_TICK       20
#define NGX_HTTP_BACKGROUND_REDIS_TICK_MIN   50
#define NGX_HTTP_BACKGROUND_REDIS_TICK_MAX   400

/* tasks in a command */
#define NGX_HTTP_BACKGROUND_REDIS_BATCH      1000

/* the most arguments for a task */
#define NGX_HTTP_BACKGROUND_REDIS_ARGS       4

/* numbers of Lua are exact below this value */
#define NGX_HTTP_BACKGROUND_REDIS_NUMBER     ((uint64_t) 1 << 53)

#define NGX_HTTP_BACKGROUND_REDIS_VALUE      512
#define NGX_HTTP_BACKGROUND_REDIS_FIELDS     12


typedef struct {
    ngx_str_t                              task;      /* must be first */
    ngx_str_t                              redis;     /* name; empty: first */
    ngx_msec_t                             lease;
    ngx_uint_t                             run;       /* "lost=run" */
    u_char                                *file;
    ngx_uint_t                             line;

    ngx_str_t                              key;
    ngx_http_background_redis_conf_t      *rcf;
} ngx_http_background_redis_lease_conf_t;


/* the fields of a value */

typedef struct {
    uint64_t                               fence;
    uint64_t                               number;
    uint64_t                               lease;
    uint64_t                               since_at;
    uint64_t                               due_at;
    uint64_t                               failures;
    uint64_t                               crashes;
    uint64_t                               quarantine;
    u_char                                *id;
    ngx_str_t                              epoch;
    ngx_str_t                              host;
    ngx_uint_t                             held;      /* unsigned  held:1; */
} ngx_http_background_redis_value_t;


typedef struct ngx_http_background_redis_group_s
    ngx_http_background_redis_group_t;


/* a task that this worker holds or asks for */

typedef struct {
    ngx_queue_t                              queue;
    ngx_http_background_redis_group_t       *group;
    ngx_http_background_redis_lease_conf_t  *conf;
    ngx_http_background_claim_t             *claim;
    ngx_http_background_redis_entry_t       *entry;

    uint64_t                                 number;
    uint64_t                                 sent;    /* the last command */
    uint64_t                                 asked;   /* the last command that
                                                         may have set the value,
                                                         0: none has */
    uint64_t                                 renewed; /* sent, and was good;
                                                         0: not on this
                                                         connection */
    uint64_t                                 until;   /* this one's end */
    uint64_t                                 heard;   /* of the server */
    uint64_t                                 since_at;
    ngx_http_background_carried_t            carried; /* as it was before it
                                                         was taken, or lost */

    /* the last value of the server, and since when it is the same */
    uint64_t                                 same;
    size_t                                   len;
    u_char                                   value[
                                             NGX_HTTP_BACKGROUND_REDIS_VALUE];

    u_char                                   id[NGX_HTTP_BACKGROUND_REDIS_ID];

    /* of the server that has granted or renewed the lease last */
    size_t                                   epoch_len;
    u_char                                   epoch[
                                             NGX_HTTP_BACKGROUND_REDIS_EPOCH];

    unsigned                                 holds:1;
    unsigned                                 alone:1;
    unsigned                                 known:1; /* value */
    unsigned                                 dirty:1;
    unsigned                                 carries:1;
    unsigned                                 giving:1; /* sent, no reply yet */
} ngx_http_background_redis_lease_t;


struct ngx_http_background_redis_group_s {
    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_http_background_redis_conf_t        *conf;
    ngx_http_background_redis_link_t        *link;
    ngx_log_t                               *log;
    ngx_int_t                                ident;

    ngx_queue_t                              leases;
    ngx_uint_t                               nleases;
    ngx_queue_t                              given;   /* leases to give back */
    ngx_event_t                              tick;
    ngx_msec_t                               pause;
    uint64_t                                 named;   /* see redis_named() */

    /* of the server */
    size_t                                   epoch_len;
    u_char                                   epoch[
                                             NGX_HTTP_BACKGROUND_REDIS_EPOCH];

    ngx_http_background_redis_lease_t      **batch;   /* NULL: left since */
    ngx_uint_t                               nbatch;

    unsigned                                 asking:1;
    unsigned                                 text:1;  /* of the script, next */
    unsigned                                 loaded:1;
};


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
static void ngx_http_background_redis_give_back(
    ngx_http_background_redis_group_t *group);
static void ngx_http_background_redis_give(
    ngx_http_background_redis_lease_t *lease);
static void ngx_http_background_redis_given(void *data,
    ngx_http_background_redis_reply_t *reply);
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
static void ngx_http_background_redis_send_batch(
    ngx_http_background_redis_group_t *group);
static void ngx_http_background_redis_eval(ngx_str_t *argv, ngx_uint_t text);
static ngx_uint_t ngx_http_background_redis_args(
    ngx_http_background_redis_lease_t *lease, ngx_pool_t *pool,
    ngx_str_t *argv);
static ngx_uint_t ngx_http_background_redis_current(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value);
static ngx_uint_t ngx_http_background_redis_renew_args(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, u_char *p, ngx_str_t *argv);
static ngx_uint_t ngx_http_background_redis_take_args(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, ngx_uint_t ours, u_char *p,
    ngx_str_t *argv);
static uint64_t ngx_http_background_redis_next_fence(
    ngx_http_background_redis_lease_t *lease, uint64_t fence);
static u_char *ngx_http_background_redis_tail(
    ngx_http_background_redis_lease_t *lease, u_char *p, u_char *last,
    u_char state);
static void ngx_http_background_redis_answered(void *data,
    ngx_http_background_redis_reply_t *reply);
static ngx_uint_t ngx_http_background_redis_forgotten(
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_answer(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_observe(
    ngx_http_background_redis_lease_t *lease, ngx_str_t *text);
static void ngx_http_background_redis_prolong(
    ngx_http_background_redis_lease_t *lease);
static void ngx_http_background_redis_taken(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value);
static void ngx_http_background_redis_lose_lease(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, const char *why);
static void ngx_http_background_redis_show(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value);
static ngx_int_t ngx_http_background_redis_parse(ngx_str_t *text,
    ngx_http_background_redis_value_t *value);
static ngx_int_t ngx_http_background_redis_parse_number(ngx_str_t *text,
    uint64_t *n);
static ngx_int_t ngx_http_background_redis_random(u_char *id);
static uint64_t ngx_http_background_redis_real(void);


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


/*
 * Arguments for each key, after the time to live; the values are returned:
 *
 * L                       only reads
 * R "FENCE ID " REST      renews a value that has this ID, or is gone
 * M "FENCE ID " REST      the same, but not if the value is gone
 * G ID REST               gives back a value that has this ID
 * T VALUE FENCE REST      takes, if the value is still this one; the new fence
 *                         is not lower than FENCE
 * P "FENCE ID " FENCE REST
 *                         the same, from another worker of the same nginx
 */

static ngx_str_t  ngx_http_background_redis_script = ngx_string(
    "local r, a = redis.call('MGET', unpack(KEYS)), 2\n"
    "for i, k in ipairs(KEYS) do\n"
    "  local op = ARGV[a]\n"
    "  if op == 'L' then\n"
    "    a = a + 1\n"
    "  else\n"
    "    local s, b, c, n = r[i] or '', ARGV[a + 1], ARGV[a + 2], nil\n"
    "    a = a + 3\n"
    "    if op == 'R' or op == 'M' then\n"
    "      if s == '' and op == 'R' or s:sub(1, #b) == b then n = b .. c end\n"
    "    elseif op == 'G' then\n"
    "      local f, id = s:match('^(%d+) (%x+) ')\n"
    "      if id == b then n = f .. ' ' .. b .. c end\n"
    "    else\n"
    "      if op == 'T' and s:sub(1, 512) == b\n"
    "         or op == 'P' and s:sub(1, #b) == b\n"
    "      then\n"
    "        local t = redis.call('TIME')\n"
    "        local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "        now = string.format('%.0f ', math.max(now, tonumber(c)))\n"
    "        n = now .. ARGV[a]\n"
    "      end\n"
    "      a = a + 1\n"
    "    end\n"
    "    if n and not r[i] and redis.call('TYPE', k).ok ~= 'none' then\n"
    "      r[i] = {err = 'WRONGTYPE ' .. k}\n"
    "    elseif n then\n"
    "      local set = redis.pcall('SET', k, n, 'PX', ARGV[1])\n"
    "      r[i] = set.err and set or n\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return r\n"
);


static u_char  ngx_http_background_redis_sha1[40];


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
    u_char                                   *p, sha1[20];
    ngx_uint_t                                i;
    ngx_sha1_t                                ctx;
    ngx_http_background_redis_conf_t         *rcf;
    ngx_http_background_redis_lease_conf_t   *lcf, **leases;

    ngx_sha1_init(&ctx);
    ngx_sha1_update(&ctx, ngx_http_background_redis_script.data,
                    ngx_http_background_redis_script.len);
    ngx_sha1_final(sha1, &ctx);
    ngx_hex_dump(ngx_http_background_redis_sha1, sha1, 20);

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

static void
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


/*
 * A command without a reply may still take the task, so it is given back after
 * that command, on the same connection.
 */

static void
ngx_http_background_redis_give(ngx_http_background_redis_lease_t *lease)
{
    ngx_str_t                           argv[8];
    ngx_http_background_redis_group_t  *group;

    group = lease->group;

    ngx_http_background_redis_eval(argv, !group->loaded);

    ngx_str_set(&argv[2], "1");
    argv[3] = lease->conf->key;
    ngx_str_set(&argv[4], NGX_HTTP_BACKGROUND_REDIS_TTL);
    ngx_str_set(&argv[5], "G");
    argv[6].data = lease->id;
    argv[6].len = NGX_HTTP_BACKGROUND_REDIS_ID;
    argv[7].data = lease->value;
    argv[7].len = lease->len;

    if (ngx_http_background_redis_command(group->link, 8, argv,
                                          lease->conf->lease / 3,
                                          ngx_http_background_redis_given,
                                          lease)
        == NGX_OK)
    {
        lease->giving = 1;
    }
}


static void
ngx_http_background_redis_given(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_lease_t *lease = data;

    ngx_http_background_redis_group_t  *group;

    group = lease->group;

    lease->giving = 0;

    if (reply == NULL) {
        return;
    }

    if (reply->type == ngx_http_background_redis_array && reply->n == 1) {
        reply = reply->elements[0];
    }

    if (reply->type != ngx_http_background_redis_error_reply) {
        lease->until = 0;

    } else if (ngx_http_background_redis_forgotten(reply)) {
        group->loaded = 0;

    } else {
        ngx_http_background_redis_failed(group->link, reply);
        return;
    }

    ngx_http_background_redis_give_back(group);
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


static void
ngx_http_background_redis_send_batch(ngx_http_background_redis_group_t *group)
{
    u_char                             *p;
    ngx_str_t                          *argv, *args;
    ngx_pool_t                         *pool;
    ngx_uint_t                          i, n, max, nargs;
    ngx_queue_t                        *q;
    ngx_http_background_redis_lease_t  *lease;

    group->named = ngx_http_background_redis_named(group->link);

    /* a server that the Sentinels do not name is as one that does not answer */

    if (!ngx_http_background_redis_ready(group->link)
        || group->nleases == 0
        || ngx_http_background_redis_boot() - group->named
           >= group->conf->lease)
    {
        return;
    }

    pool = ngx_create_pool(4096, group->log);
    if (pool == NULL) {
        return;
    }

    max = ngx_min(group->conf->tasks, NGX_HTTP_BACKGROUND_REDIS_BATCH);

    argv = ngx_palloc(pool, (4 + max * (1 + NGX_HTTP_BACKGROUND_REDIS_ARGS))
                            * sizeof(ngx_str_t));
    args = ngx_palloc(pool, max * NGX_HTTP_BACKGROUND_REDIS_ARGS
                            * sizeof(ngx_str_t));
    p = ngx_pnalloc(pool, NGX_INT64_LEN);

    if (argv == NULL || args == NULL || p == NULL) {
        goto done;
    }

    group->nbatch = 0;
    nargs = 0;

    /* tasks that do not fit into this command are the first of the next one */

    for (i = 0; i < group->nleases && group->nbatch < max; i++) {
        q = ngx_queue_head(&group->leases);
        lease = ngx_queue_data(q, ngx_http_background_redis_lease_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&group->leases, q);

        n = ngx_http_background_redis_args(lease, pool, args + nargs);

        if (n == 0) {
            continue;
        }

        nargs += n;
        argv[3 + group->nbatch] = lease->conf->key;
        group->batch[group->nbatch++] = lease;
    }

    if (group->nbatch == 0) {
        goto done;
    }

    n = 3 + group->nbatch;

    ngx_str_set(&argv[n], NGX_HTTP_BACKGROUND_REDIS_TTL);
    n++;

    ngx_memcpy(&argv[n], args, nargs * sizeof(ngx_str_t));
    n += nargs;

    ngx_http_background_redis_eval(argv, group->text);

    group->text = 0;

    argv[2].data = p;
    argv[2].len = ngx_sprintf(p, "%ui", group->nbatch) - p;

    /* the time-out ends before the lease */

    if (ngx_http_background_redis_command(group->link, n, argv,
                                          group->conf->lease / 3,
                                          ngx_http_background_redis_answered,
                                          group)
        == NGX_OK)
    {
        group->asking = 1;

    } else {
        group->nbatch = 0;
    }

done:

    ngx_destroy_pool(pool);
}


/* with the text of the script the server need not know it yet */

static void
ngx_http_background_redis_eval(ngx_str_t *argv, ngx_uint_t text)
{
    if (text) {
        ngx_str_set(&argv[0], "EVAL");
        argv[1] = ngx_http_background_redis_script;
        return;
    }

    ngx_str_set(&argv[0], "EVALSHA");
    argv[1].data = ngx_http_background_redis_sha1;
    argv[1].len = sizeof(ngx_http_background_redis_sha1);
}


/* writes the arguments for a task; returns their number, 0: none is needed */

static ngx_uint_t
ngx_http_background_redis_args(ngx_http_background_redis_lease_t *lease,
    ngx_pool_t *pool, ngx_str_t *argv)
{
    u_char                             *p;
    uint64_t                            now, wait;
    ngx_str_t                           text;
    ngx_uint_t                          ok, mine, ours, current;
    ngx_http_background_redis_value_t   value;

    now = ngx_http_background_redis_boot();

    if (lease->holds && !lease->dirty
        && now - lease->renewed < lease->conf->lease / 3)
    {
        return 0;
    }

    text.data = lease->value;
    text.len = lease->len;

    ok = lease->known
         && ngx_http_background_redis_parse(&text, &value) == NGX_OK;

    /* the last value that was written, not only the last one of this server */

    current = ok && ngx_http_background_redis_current(lease, &value);

    mine = current
           && ngx_memcmp(value.id, lease->id, NGX_HTTP_BACKGROUND_REDIS_ID)
              == 0;
    ours = current && value.held && !mine
           && ngx_http_background_redis_entry_owns(lease->entry, value.id);

    wait = ok ? value.lease : lease->conf->lease;

    if (!current) {
        wait = ngx_max(wait, lease->conf->lease);
    }

    /* NUMBER tells the reply to this command from values of other commands */

    lease->sent = now;
    lease->number++;

    if (!lease->holds && !mine && !ours
        && !(current && !value.held)
        && !(lease->known && now - lease->same >= wait))
    {
        ngx_str_set(&argv[0], "L");
        return 1;
    }

    p = ngx_pnalloc(pool, 3 * NGX_HTTP_BACKGROUND_REDIS_VALUE);
    if (p == NULL) {
        return 0;
    }

    lease->asked = now;

    lease->dirty = 0;

    if (lease->holds || mine) {
        return ngx_http_background_redis_renew_args(lease, &value, p, argv);
    }

    return ngx_http_background_redis_take_args(lease, ok ? &value : NULL, ours,
                                               p, argv);
}


static ngx_uint_t
ngx_http_background_redis_current(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value)
{
    ngx_http_background_redis_group_t *group = lease->group;

    return value->epoch.len == group->epoch_len
           && ngx_memcmp(value->epoch.data, group->epoch, group->epoch_len)
              == 0;
}


/* "p" has place for three values; "value" is read if it does not hold */

static ngx_uint_t
ngx_http_background_redis_renew_args(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, u_char *p, ngx_str_t *argv)
{
    u_char    *last;
    uint64_t   fence;

    last = p + NGX_HTTP_BACKGROUND_REDIS_VALUE;

    /* an expired lease may have been held by another nginx meanwhile */

    fence = lease->holds ? lease->claim->fence : value->fence;

    if (lease->holds && ngx_http_background_redis_boot() < lease->until) {
        ngx_str_set(&argv[0], "R");

    } else {
        ngx_str_set(&argv[0], "M");
    }

    argv[1].data = p;
    p = ngx_sprintf(p, "%uL %*s ", fence, NGX_HTTP_BACKGROUND_REDIS_ID,
                    lease->id);
    argv[1].len = p - argv[1].data;

    /* "carried" of another nginx is applied when this one gets the lease */

    argv[2].data = p;
    argv[2].len = ngx_http_background_redis_tail(lease, p, last, 'h') - p;

    /* without the space, with which the previous argument ends */

    argv[2].data++;
    argv[2].len--;

    return 3;
}


/* "p" has place for three values; "value" is NULL if there is none */

static ngx_uint_t
ngx_http_background_redis_take_args(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_value_t *value, ngx_uint_t ours, u_char *p,
    ngx_str_t *argv)
{
    u_char    *last;
    uint64_t   fence;

    if (ours) {
        ngx_str_set(&argv[0], "P");

        argv[1].data = p;
        p = ngx_sprintf(p, "%uL %*s ", value->fence,
                        NGX_HTTP_BACKGROUND_REDIS_ID, value->id);
        argv[1].len = p - argv[1].data;

    } else {
        ngx_str_set(&argv[0], "T");

        argv[1].data = p;
        p = ngx_cpymem(p, lease->value, lease->len);
        argv[1].len = lease->len;
    }

    fence = ngx_http_background_redis_next_fence(lease,
                                                 value ? value->fence : 0);

    argv[2].data = p;
    p = ngx_sprintf(p, "%uL", fence);
    argv[2].len = p - argv[2].data;

    /* the state that the previous holder has written */

    ngx_memzero(&lease->carried, sizeof(ngx_http_background_carried_t));

    lease->carries = 0;

    if (value) {
        lease->carried.due_at = value->due_at;
        lease->carried.failures = value->failures;
        lease->carried.crashes = value->crashes;
        lease->carried.quarantine = value->quarantine;

        /* the zone of the same nginx has newer state than the value has */

        lease->carries = !(value->held
                           && ngx_http_background_redis_entry_owns(lease->entry,
                                                                 value->id));
    }

    lease->since_at = ngx_http_background_redis_real();

    ngx_http_background_redis_entry_took(lease->entry, lease->id);

    last = p + NGX_HTTP_BACKGROUND_REDIS_VALUE;

    argv[3].data = p;
    p = ngx_cpymem(p, lease->id, NGX_HTTP_BACKGROUND_REDIS_ID);
    p = ngx_http_background_redis_tail(lease, p, last, 'h');
    argv[3].len = p - argv[3].data;

    return 4;
}


/* the time of the server is a fence, too, if it is higher */

static uint64_t
ngx_http_background_redis_next_fence(ngx_http_background_redis_lease_t *lease,
    uint64_t fence)
{
    fence = ngx_http_background_redis_entry_fence(lease->entry, fence) + 1;

    if (fence < NGX_HTTP_BACKGROUND_REDIS_NUMBER) {
        return fence;
    }

    /* no number of takeovers leads there from the time of a server */

    ngx_log_error(NGX_LOG_ALERT, lease->claim->log, 0,
                  "background task \"%V\": another program has written the "
                  "highest possible fence to the key \"%V\" of redis \"%V\", "
                  "so fences start again with the time; what compares fences "
                  "must forget the old ones", lease->claim->task,
                  &lease->conf->key, &lease->conf->rcf->name);

    ngx_http_background_redis_entry_restart(lease->entry);

    return 0;
}


/* writes the fields after ID; "carried" is unchanged when the task is taken */

static u_char *
ngx_http_background_redis_tail(ngx_http_background_redis_lease_t *lease,
    u_char *p, u_char *last, u_char state)
{
    ngx_str_t                       host, epoch;
    ngx_http_background_carried_t  *carried;

    /* what is given back was held on the server that has granted it */

    if (state == 'f') {
        epoch.data = lease->epoch;
        epoch.len = lease->epoch_len;

    } else {
        epoch.data = lease->group->epoch;
        epoch.len = lease->group->epoch_len;
    }

    if (epoch.len == 0) {
        ngx_str_set(&epoch, "-");
    }

    carried = (lease->holds || lease->alone) ? &lease->claim->carried
                                             : &lease->carried;

    host = ((ngx_cycle_t *) ngx_cycle)->hostname;
    host.len = ngx_min(host.len, NGX_HTTP_BACKGROUND_HOST_LEN);

    return ngx_slprintf(p, last, " %uL %c %M %uL %uL %uL %uL %uL %V %V",
                        lease->number, state, lease->conf->lease,
                        lease->since_at, carried->due_at, carried->failures,
                        carried->crashes, carried->quarantine, &epoch, &host);
}


static void
ngx_http_background_redis_answered(void *data,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_http_background_redis_group_t *group = data;

    ngx_uint_t                          i, n;
    ngx_http_background_redis_lease_t  *lease;

    group->asking = 0;

    n = group->nbatch;
    group->nbatch = 0;

    if (reply == NULL || reply->type != ngx_http_background_redis_array) {

        /* the state may not have been saved */

        for (i = 0; i < n; i++) {
            if (group->batch[i]) {
                group->batch[i]->dirty = 1;
            }
        }
    }

    if (reply == NULL) {
        return;
    }

    if (reply->type == ngx_http_background_redis_error_reply) {

        if (ngx_http_background_redis_forgotten(reply)) {
            group->text = 1;
            group->loaded = 0;
            ngx_http_background_redis_send_batch(group);
            return;
        }

        ngx_http_background_redis_failed(group->link, reply);
        return;
    }

    if (reply->type != ngx_http_background_redis_array || reply->n != n) {
        ngx_http_background_redis_strange(group->link);
        return;
    }

    group->loaded = 1;

    /* the handlers "lost" and "granted" may remove other leases of the batch */

    group->nbatch = n;
    group->named = ngx_http_background_redis_named(group->link);

    for (i = 0; i < group->nbatch; i++) {
        lease = group->batch[i];

        if (lease) {
            ngx_http_background_redis_answer(lease, reply->elements[i]);
        }
    }

    group->nbatch = 0;
}


/* the server does not have the script any more, or not yet */

static ngx_uint_t
ngx_http_background_redis_forgotten(ngx_http_background_redis_reply_t *reply)
{
    return reply->text.len >= 8
           && ngx_strncmp(reply->text.data, "NOSCRIPT", 8) == 0;
}


static void
ngx_http_background_redis_answer(ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_reply_t *reply)
{
    ngx_int_t                           rc;
    ngx_str_t                           text;
    ngx_http_background_redis_value_t   value;

    switch (reply->type) {

    case ngx_http_background_redis_string:
        text = reply->text;
        break;

    case ngx_http_background_redis_nil:
        ngx_str_null(&text);
        break;

    case ngx_http_background_redis_error_reply:
        lease->dirty = 1;
        ngx_http_background_redis_failed(lease->group->link, reply);
        return;

    default:
        ngx_http_background_redis_strange(lease->group->link);
        return;
    }

    lease->heard = ngx_http_background_redis_boot();

    ngx_http_background_redis_observe(lease, &text);

    rc = ngx_http_background_redis_parse(&text, &value);

    if (rc == NGX_OK) {
        (void) ngx_http_background_redis_entry_fence(lease->entry,
                                                     value.fence);
    }

    if (rc == NGX_OK && value.held && value.number == lease->number
        && ngx_memcmp(value.id, lease->id, NGX_HTTP_BACKGROUND_REDIS_ID) == 0)
    {
        ngx_http_background_redis_taken(lease, &value);
        return;
    }

    /* it may have been its own */

    if (rc == NGX_OK && value.held
        && ngx_memcmp(value.id, lease->id, NGX_HTTP_BACKGROUND_REDIS_ID) == 0)
    {
        rc = NGX_DECLINED;
    }

    lease->claim->other = (rc == NGX_OK && value.held);

    /* with "lost=run" it goes on if no other nginx holds the task */

    if (lease->holds || (lease->alone && lease->claim->other)) {
        lease->holds = 0;
        lease->alone = 0;

        ngx_http_background_redis_lose_lease(lease,
                                             (rc == NGX_OK) ? &value : NULL,
                                             "another server has it now");
        return;
    }

    ngx_http_background_redis_show(lease, (rc == NGX_OK) ? &value : NULL);
}


/* stores the value, and since when it is the same on the clock of the worker */

static void
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


static void
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

static void
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

static void
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
ngx_http_background_redis_parse(ngx_str_t *text,
    ngx_http_background_redis_value_t *value)
{
    u_char      *p, *last;
    ngx_str_t    field[NGX_HTTP_BACKGROUND_REDIS_FIELDS];
    ngx_uint_t   i;

    p = text->data;
    last = p + text->len;

    if (text->len == 0 || text->len > NGX_HTTP_BACKGROUND_REDIS_VALUE) {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_HTTP_BACKGROUND_REDIS_FIELDS; i++) {
        field[i].data = p;

        while (p < last && *p > ' ' && *p < 0x7f) {
            p++;
        }

        field[i].len = p - field[i].data;

        if (field[i].len == 0) {
            return NGX_DECLINED;
        }

        if (i == NGX_HTTP_BACKGROUND_REDIS_FIELDS - 1) {
            break;
        }

        if (p == last || *p++ != ' ') {
            return NGX_DECLINED;
        }
    }

    if (p != last
        || field[1].len != NGX_HTTP_BACKGROUND_REDIS_ID
        || field[3].len != 1
        || (*field[3].data != 'h' && *field[3].data != 'f')
        || field[10].len > NGX_HTTP_BACKGROUND_REDIS_EPOCH
        || field[11].len > NGX_HTTP_BACKGROUND_HOST_LEN
        || ngx_http_background_redis_parse_number(&field[0], &value->fence)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[2], &value->number)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[4], &value->lease)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[5], &value->since_at)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[6], &value->due_at)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[7], &value->failures)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[8], &value->crashes)
           != NGX_OK
        || ngx_http_background_redis_parse_number(&field[9],
                                                  &value->quarantine)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* the range of "lease=" */

    if (value->lease < 1000 || value->lease > 60 * 60 * 1000) {
        return NGX_DECLINED;
    }

    value->id = field[1].data;
    value->held = (*field[3].data == 'h');
    value->epoch = field[10];
    value->host = field[11];

    return NGX_OK;
}


static ngx_int_t
ngx_http_background_redis_parse_number(ngx_str_t *text, uint64_t *n)
{
    size_t  i;

    *n = 0;

    if (text->len > 16) {
        return NGX_DECLINED;
    }

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return NGX_DECLINED;
        }

        *n = *n * 10 + (text->data[i] - '0');
    }

    return (*n < NGX_HTTP_BACKGROUND_REDIS_NUMBER) ? NGX_OK : NGX_DECLINED;
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


static uint64_t
ngx_http_background_redis_real(void)
{
    return ngx_http_background_usec(CLOCK_REALTIME) / 1000;
}
