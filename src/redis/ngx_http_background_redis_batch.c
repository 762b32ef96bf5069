
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Commands for leases, the script that they run, and the values of keys.
 */


#include "ngx_http_background_redis_lease.h"

#include <ngx_sha1.h>


/* the time to live of a key that no nginx renews, in milliseconds */
#define NGX_HTTP_BACKGROUND_REDIS_TTL  "2592000000"

/* the most arguments for a task */
#define NGX_HTTP_BACKGROUND_REDIS_ARGS  4

/* numbers of Lua are exact below this value */
#define NGX_HTTP_BACKGROUND_REDIS_NUMBER  ((uint64_t) 1 << 53)

#define NGX_HTTP_BACKGROUND_REDIS_FIELDS  12


static void ngx_http_background_redis_given(void *data,
    ngx_http_background_redis_reply_t *reply);
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
static void ngx_http_background_redis_answered(void *data,
    ngx_http_background_redis_reply_t *reply);
static ngx_uint_t ngx_http_background_redis_forgotten(
    ngx_http_background_redis_reply_t *reply);
static void ngx_http_background_redis_answer(
    ngx_http_background_redis_lease_t *lease,
    ngx_http_background_redis_reply_t *reply);
static ngx_int_t ngx_http_background_redis_parse(ngx_str_t *text,
    ngx_http_background_redis_value_t *value);
static ngx_int_t ngx_http_background_redis_parse_number(ngx_str_t *text,
    uint64_t *n);


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


void
ngx_http_background_redis_script_init(void)
{
    u_char      sha1[20];
    ngx_sha1_t  ctx;

    ngx_sha1_init(&ctx);
    ngx_sha1_update(&ctx, ngx_http_background_redis_script.data,
                    ngx_http_background_redis_script.len);
    ngx_sha1_final(sha1, &ctx);
    ngx_hex_dump(ngx_http_background_redis_sha1, sha1, 20);
}


/*
 * A command without a reply may still take the task, so it is given back after
 * that command, on the same connection.
 */

void
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


void
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

    group->reads = (nargs == group->nbatch);

    if (group->reads) {

        /* each has the argument "L" alone: without the script Redis is faster */

        argv += 2;
        n -= 2;

        ngx_str_set(&argv[0], "MGET");

    } else {
        ngx_http_background_redis_eval(argv, group->text);

        argv[2].data = p;
        argv[2].len = ngx_sprintf(p, "%ui", group->nbatch) - p;

        ngx_str_set(&argv[n], NGX_HTTP_BACKGROUND_REDIS_TTL);
        n++;

        ngx_memcpy(&argv[n], args, nargs * sizeof(ngx_str_t));
        n += nargs;
    }

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

u_char *
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

        if (!group->text && ngx_http_background_redis_forgotten(reply)) {
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

    if (!group->reads) {
        group->loaded = 1;
        group->text = 0;
    }

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
