/* SPDX-License-Identifier: ISC */
/*
 * Time limits of clients and servers, servers that are kept warm, pools that nobody uses. Each
 * object has one deadline in a wheel of its worker, set where its state changes (client_due,
 * server_due, shard_due); what is idle without a limit is not looked at.
 */
#include "session/counts.h"
#include "session/listener.h"
#include "session/notes.h"
#include "session/peers.h"
#include "session/session.h"

#include "base/check.h"

#define CATALOG_WAIT (30 * USEC_PER_SEC)
#define TEST_LIMIT (30 * USEC_PER_SEC)
#define LAST_IDLE (2 * USEC_PER_SEC)       /* for servers while we wait for our end */
#define ACTIVE_EVERY (300 * USEC_PER_MSEC) /* clients with a server: limits of queries, bytes */
#define WARM_PACE (300 * USEC_PER_MSEC)    /* between two servers that are opened ahead */
#define WARM_AGAIN USEC_PER_SEC            /* it is not possible now */
#define CHECK_EVERY (10 * USEC_PER_SEC)    /* what another worker may have changed */

static bool over(usec_t now, usec_t since, usec_t limit)
{
    return limit && since && now > since && now - since > limit;
}

/* When it is over; 0: never. */
static usec_t end(usec_t since, usec_t limit)
{
    return limit ? since + limit : 0;
}

static usec_t sooner(usec_t a, usec_t b)
{
    return !a || (b && b < a) ? b : a;
}

/* ---- clients ---- */

static usec_t wait_limit(const struct client *c)
{
    usec_t limit = c->limits.query_wait_timeout;

    return client_at_login(c) && !limit ? c->engine->setup->g.client_login_timeout : limit;
}

void client_due(struct client *c)
{
    struct engine *e = c->engine;
    const struct settings *g = &e->setup->g;
    usec_t now = e->loop.now, at = 0;

    switch (c->state) {
    case CLIENT_LOGIN:
        at = end(c->connected_at, g->client_login_timeout);
        break;
    case CLIENT_IDLE:
        at = c->catalog_wait ? end(c->catalog_asked, CATALOG_WAIT)
                             : end(c->idle_at ? c->idle_at : now, c->idle_timeout);
        break;
    case CLIENT_WAITING:
        at = end(c->wait_at, wait_limit(c));
        if (!c->notified_wait && !client_at_login(c))
            at = sooner(at, end(c->wait_at, g->query_wait_notify));
        break;
    case CLIENT_ACTIVE:
        at = now + ACTIVE_EVERY;
        break;
    default:
        break;
    }
    due_by(&e->client_dues, &c->due, at);
}

/* A client that waits for a server: notice after query_wait_notify, refusal after
 * query_wait_timeout. */
static void waiting_client(struct client *c, usec_t now)
{
    const struct settings *g = &c->engine->setup->g;

    if (over(now, c->wait_at, wait_limit(c))) {
        client_close(c, "57014", "query_wait_timeout");
        return;
    }
    if (!c->notified_wait && !client_at_login(c) && over(now, c->wait_at, g->query_wait_notify)) {
        struct buf b;
        c->notified_wait = true;
        buf_init(&b);
        wire_error_build(&b, 'N',
                         &(struct wire_error){
                             .severity = "NOTICE",
                             .sqlstate = "00000",
                             .message = TEXT("No server connection available in postgres backend, "
                                             "client being queued") });
        client_send(c, &b);
        buf_release(&b);
    }
}

/* The fresh catalog that the client waits for does not come: its statement is judged by the old
 * one. */
static bool catalog_client(struct client *c, usec_t now)
{
    if (!c->catalog_wait || !over(now, c->catalog_asked, CATALOG_WAIT))
        return false;
    c->catalog_wait = false;
    c->catalog_asked = now; /* not again at once */
    conn_resume(c->conn);
    conn_reshow(c->conn);
    return true;
}

static void active_client(struct client *c, usec_t now)
{
    struct server *s = c->server;
    bool running = !pending_empty(s->pending);

    client_count_bytes(c);
    server_count_bytes(s);
    if (running)
        count_slow_running(c, c->engine->setup->g.slow_query_threshold);
    catalog_client(c, now);
    if (running && over(now, c->query_at, c->query_timeout))
        server_close(s, "57014", "query timeout");
    else if (!running && (s->status == 'T' || s->status == 'E') &&
             over(now, s->request_at > c->idle_at ? s->request_at : c->idle_at,
                  c->idle_transaction_timeout))
        server_close(s, "25P03", "idle transaction timeout");
    else if (over(now, c->xact_at, c->transaction_timeout))
        server_close(s, "25P04", "transaction timeout");
    else if (!running && s->status == 'I' && over(now, s->request_at, c->idle_timeout))
        client_close(c, "57P05", "client_idle_timeout");
}

static void client_fires(struct due *d, void *arg)
{
    struct engine *e = arg;
    struct client *c = LIST_ENTRY(d, struct client, due);
    usec_t now = e->loop.now;

    switch (c->state) {
    case CLIENT_LOGIN:
        if (over(now, c->connected_at, e->setup->g.client_login_timeout)) {
            stat_inc(&e->stats.rejected[REJECT_TIMEOUT]);
            client_close(c, "08P01", "client_login_timeout");
        }
        break;
    case CLIENT_IDLE:
        if (!catalog_client(c, now) && over(now, c->idle_at, c->idle_timeout) && !c->catalog_wait)
            client_close(c, "57P05", "client_idle_timeout");
        break;
    case CLIENT_WAITING:
        waiting_client(c, now);
        break;
    case CLIENT_ACTIVE:
        active_client(c, now);
        break;
    default:
        break;
    }
    if (c->state != CLIENT_DEAD)
        client_due(c);
}

/* ---- servers ---- */

static bool at_the_end(const struct engine *e)
{
    return atomic_load_explicit(&e->registry->shutting_down, memory_order_relaxed);
}

/* Before the end another process may need the servers' places. */
static usec_t idle_limit(const struct engine *e)
{
    return at_the_end(e) ? LAST_IDLE : e->setup->g.server_idle_timeout;
}

void server_due(struct server *s)
{
    struct engine *e = s->shard->engine;
    usec_t now = e->loop.now, since = s->request_at ? s->request_at : now, at = 0;

    switch (s->state) {
    case SERVER_LOGIN:
        at = end(since, e->setup->g.server_connect_timeout);
        break;
    case SERVER_TESTED:
        at = end(since, TEST_LIMIT);
        break;
    case SERVER_IDLE:
        at = end(s->released_at ? s->released_at : now, idle_limit(e));
        if (s->assigned_at)
            at = sooner(at, server_life_ends(s));
        if (s->close_needed)
            at = now;
        break;
    case SERVER_LISTENER:
        at = s->close_needed ? now : end(listener_idle_since(s), idle_limit(e));
        break;
    default:
        break;
    }
    due_by(&e->server_dues, &s->due, at);
}

/* false: it was closed, or is not to be looked at before CHECK_EVERY. */
static bool idle_server(struct server *s, usec_t now)
{
    struct shard *sh = s->shard;
    struct engine *e = sh->engine;

    if (s->close_needed) {
        server_close(s, NULL, "obsolete connection");
    } else if (s->assigned_at && now > server_life_ends(s)) {
        server_close(s, NULL, "server lifetime over");
    } else if (over(now, s->released_at, idle_limit(e))) {
        if (at_the_end(e) || atomic_load_explicit(&sh->pool->servers, memory_order_relaxed) >
                                 sh->limits.min_pool_size)
            server_close(s, NULL, "server idle timeout");
        else
            due_by(&e->server_dues, &s->due, now + CHECK_EVERY);
        return false;
    }
    return s->state == SERVER_IDLE;
}

static void server_fires(struct due *d, void *arg)
{
    struct engine *e = arg;
    struct server *s = LIST_ENTRY(d, struct server, due);
    usec_t now = e->loop.now;

    switch (s->state) {
    case SERVER_LOGIN:
        if (!over(now, s->request_at, e->setup->g.server_connect_timeout))
            break;
        if (s->login)
            server_login_failed(s, "08006", "%s", "connect timeout");
        else
            server_close(s, NULL, "%s", "connect timeout");
        return;
    case SERVER_TESTED:
        if (!over(now, s->request_at, TEST_LIMIT))
            break;
        server_close(s, NULL, "%s", "test query timeout");
        return;
    case SERVER_IDLE:
        if (!idle_server(s, now))
            return;
        break;
    case SERVER_LISTENER:
        if (s->close_needed) {
            server_close(s, NULL, "obsolete connection");
            return;
        }
        if (over(now, listener_idle_since(s), idle_limit(e))) {
            server_close(s, NULL, "server idle timeout");
            return;
        }
        break;
    default:
        return;
    }
    server_due(s);
}

/* ---- pools ---- */

static bool is_used(const struct shard *sh)
{
    return sh->n_clients > 0 || sh->always_warm || shard_servers(sh) > 0 || sh->listener ||
           sh->board || sh->n_servers[SERVER_LISTENER] > 0 || sh->n_servers[SERVER_DEAD] > 0 ||
           sh->n_cancel_active > 0 || list_linked(&sh->offer) || list_linked(&sh->hungry);
}

/* How long an unused pool is kept; 0 = for ever. */
static usec_t forget_after(const struct shard *sh)
{
    const struct settings *g = &sh->engine->setup->g;
    usec_t pool = g->pool_idle_timeout;
    usec_t autodb = sh->db && sh->db->is_auto ? g->autodb_idle_timeout : 0;

    return !pool || (autodb && autodb < pool) ? autodb : pool;
}

void shard_due(struct shard *sh)
{
    struct engine *e = sh->engine;

    if (sh->limits.min_pool_size > 0 && sh->db)
        due_by(&e->shard_dues, &sh->due, e->loop.now);
    if (!is_used(sh))
        due_by(&e->shard_dues, &sh->due, end(sh->used_at, forget_after(sh)));
}

/* Opens a server when there are fewer than min_pool_size; when to look again, 0: not before
 * something happens. */
static usec_t keep_warm(struct shard *sh, usec_t now)
{
    bool reserved;
    usec_t retry = sh->engine->setup->g.server_login_retry;

    if (!sh->db || sh->limits.min_pool_size <= 0 || at_the_end(sh->engine) ||
        (sh->n_clients == 0 && !sh->always_warm))
        return 0;
    if (atomic_load(&sh->pool->servers) >= sh->limits.min_pool_size)
        return now + CHECK_EVERY;
    if (atomic_load(&sh->pool->db->paused) || atomic_load(&sh->engine->registry->paused))
        return now + WARM_AGAIN;
    if (sh->failed_at && now - sh->failed_at <= retry)
        return sh->failed_at + retry;
    if (pool_slot_take(sh->pool, false, &reserved) != SLOT_OK)
        return now + WARM_AGAIN;
    server_launch(sh, reserved);
    return now + WARM_PACE;
}

static void shard_fires(struct due *d, void *arg)
{
    struct engine *e = arg;
    struct shard *sh = LIST_ENTRY(d, struct shard, due);
    usec_t now = e->loop.now, again = keep_warm(sh, now);

    if (!is_used(sh)) {
        if (over(now, sh->used_at, forget_after(sh))) {
            shard_drop(sh);
            return;
        }
        again = sooner(again, end(sh->used_at, forget_after(sh)));
    }
    due_by(&e->shard_dues, &sh->due, again);
}

/* Databases with a forced user have their pool from the start, so that min_pool_size holds without
 * clients. Looked at again when the setup or a policy is new. */
static void open_forced(struct engine *e)
{
    if (e->id != 0 || e->forced_done)
        return;
    e->forced_done = true;
    for (int i = 0; i < e->setup->n_databases; i++) {
        const struct database_conf *db = e->setup->databases[i];
        if (!db->user || (db->min_pool_size <= 0 &&
                          (db->min_pool_size != LIMIT_UNSET || e->setup->g.min_pool_size <= 0)))
            continue;
        int mode = setup_tenant_mode(e->setup, db, NULL);
        bool guarded = mode == TENANT_REJECT || mode == TENANT_REWRITE || mode == TENANT_RLS;
        struct pool *p = registry_pool(e->registry, db->name, text_of(db->user), guarded);
        struct shard *sh =
            p && !(guarded && !atomic_load(&p->db->policy)) ? engine_shard(e, p) : NULL;
        if (!sh)
            continue;
        sh->always_warm = true;
        shard_due(sh);
    }
}

/* ---- all ---- */

void engine_reap(struct engine *e)
{
    usec_t now = e->loop.now;

    open_forced(e);
    if (at_the_end(e) && !e->end_seen) {
        e->end_seen = true;
        LIST_FOREACH(n, &e->shards) {
            reaper_new_shard_limits(LIST_ENTRY(n, struct shard, node));
        }
    }
    wheel_turn(&e->client_dues, now, client_fires, e);
    wheel_turn(&e->server_dues, now, server_fires, e);
    wheel_turn(&e->shard_dues, now, shard_fires, e);
    cancels_reap(e);
    peers_reap(e);
    double divisor;
    if (top_tick(&e->top, now, &divisor))
        notes_scale(e->notes, divisor);
    atomic_store_explicit(&e->stats.looks,
                          e->client_dues.looks + e->server_dues.looks + e->shard_dues.looks,
                          memory_order_relaxed);
}

void reaper_new_limits(struct engine *e)
{
    e->forced_done = false;
    LIST_FOREACH(n, &e->login_clients) {
        client_due(LIST_ENTRY(n, struct client, node));
    }
}

void reaper_new_shard_limits(struct shard *sh)
{
    LIST_FOREACH(n, &sh->waiting) {
        client_due(LIST_ENTRY(n, struct client, node));
    }
    for (int i = 0; i < SERVER_STATES; i++)
        LIST_FOREACH(n, &sh->servers[i]) {
            server_due(LIST_ENTRY(n, struct server, node));
        }
    shard_due(sh);
}
