/* SPDX-License-Identifier: ISC */
/* Time limits of clients and servers, looked at several times a second. */
#include "session/session.h"

#include "base/check.h"

#define CATALOG_WAIT (30 * USEC_PER_SEC)
#define LAST_IDLE (2 * USEC_PER_SEC) /* for servers while we wait for our end */

static bool over(usec_t now, usec_t since, usec_t limit)
{
    return limit && since && now > since && now - since > limit;
}

/* A client that waits for a server: notice after query_wait_notify, refusal after
 * query_wait_timeout. */
static void waiting_client(struct client *c, usec_t now)
{
    const struct settings *g = &c->engine->setup->g;
    usec_t limit = c->limits.query_wait_timeout;

    if (client_at_login(c))
        limit = limit ? limit : g->client_login_timeout;
    if (over(now, c->wait_at, limit)) {
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

static void reap_clients(struct engine *e)
{
    usec_t now = e->loop.now;
    const struct settings *g = &e->setup->g;

    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        switch (c->state) {
        case CLIENT_LOGIN:
            if (over(now, c->connected_at, g->client_login_timeout))
                client_close(c, "08P01", "client_login_timeout");
            break;
        case CLIENT_IDLE:
            if (!catalog_client(c, now) && over(now, c->idle_at, c->idle_timeout) &&
                !c->catalog_wait)
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
    }
}

/* Servers that log in or are tested for too long. */
static void reap_unfinished(struct shard *sh, enum server_state state, usec_t limit,
                            const char *why)
{
    usec_t now = sh->engine->loop.now;

    shard_hold(sh);
    LIST_FOREACH_SAFE(n, next, &sh->servers[state]) {
        struct server *s = LIST_ENTRY(n, struct server, node);
        if (!over(now, s->request_at, limit))
            continue;
        if (s->login)
            server_login_failed(s, "08006", "%s", why);
        else
            server_close(s, NULL, "%s", why);
    }
    shard_unhold(sh);
}

static void reap_idle(struct shard *sh)
{
    struct engine *e = sh->engine;
    usec_t now = e->loop.now;
    const struct settings *g = &e->setup->g;
    int64_t min = sh->limits.min_pool_size;
    usec_t limit = g->server_idle_timeout;

    if (atomic_load(&e->registry->shutting_down)) { /* another process may need their places */
        min = 0;
        limit = LAST_IDLE;
    }
    shard_hold(sh);
    LIST_FOREACH_SAFE(n, next, &sh->servers[SERVER_IDLE]) {
        struct server *s = LIST_ENTRY(n, struct server, node);
        if (s->close_needed)
            server_close(s, NULL, "obsolete connection");
        else if (now > s->connected_at && now - s->connected_at > sh->limits.server_lifetime &&
                 s->assigned_at)
            server_close(s, NULL, "server lifetime over");
        else if (over(now, s->released_at, limit) &&
                 atomic_load_explicit(&sh->pool->servers, memory_order_relaxed) > min)
            server_close(s, NULL, "server idle timeout");
    }
    shard_unhold(sh);
}

/* Keeps min_pool_size servers warm while clients are connected. */
static void keep_warm(struct shard *sh)
{
    bool reserved;

    if (!sh->db || sh->limits.min_pool_size <= 0 || sh->failed_at ||
        atomic_load(&sh->engine->registry->shutting_down) ||
        (sh->n_idle_clients + sh->n_active + sh->n_waiting == 0 && !sh->always_warm) ||
        atomic_load(&sh->pool->db->paused) || atomic_load(&sh->engine->registry->paused))
        return;
    if (atomic_load(&sh->pool->servers) < sh->limits.min_pool_size &&
        pool_slot_take(sh->pool, false, &reserved) == SLOT_OK)
        server_launch(sh, reserved);
}

/* Databases with a forced user have their pool from the start, so that min_pool_size holds without
 * clients. */
static void open_forced(struct engine *e)
{
    for (int i = 0; e->id == 0 && i < e->setup->n_databases; i++) {
        const struct database_conf *db = e->setup->databases[i];
        if (!db->user || (db->min_pool_size <= 0 &&
                          (db->min_pool_size != LIMIT_UNSET || e->setup->g.min_pool_size <= 0)))
            continue;
        int mode = setup_tenant_mode(e->setup, db, NULL);
        bool guarded = mode == TENANT_REJECT || mode == TENANT_REWRITE || mode == TENANT_RLS;
        struct pool *p = registry_pool(e->registry, db->name, text_of(db->user), guarded);
        struct shard *sh =
            p && !(guarded && !atomic_load(&p->db->policy)) ? engine_shard(e, p) : NULL;
        if (sh)
            sh->always_warm = true;
    }
}

void engine_reap(struct engine *e)
{
    const struct settings *g = &e->setup->g;

    reap_clients(e);
    cancels_reap(e);
    open_forced(e);
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        reap_unfinished(sh, SERVER_LOGIN, g->server_connect_timeout, "connect timeout");
        reap_unfinished(sh, SERVER_TESTED, 30 * USEC_PER_SEC, "test query timeout");
        reap_idle(sh);
        keep_warm(sh);
    }
}
