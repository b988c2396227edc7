/* SPDX-License-Identifier: ISC */
/* Servers: opening, closing, going back to the pool. */
#include "session/counts.h"
#include "session/hosts.h"
#include "session/session.h"
#include "session/listener.h"
#include "session/pins.h"
#include "session/replica.h"
#include "session/say.h"
#include "session/shares.h"
#include "session/slow.h"
#include "session/starved.h"
#include "session/state.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void on_drained(void *owner)
{
    struct server *s = owner;
    if (s->client && s->client->conn)
        conn_resume(s->client->conn);
}

static void on_ended(void *owner, enum conn_end why, const char *text)
{
    struct server *s = owner;
    if (s->login)
        server_login_failed(s, "08006", "server conn crashed?");
    else
        server_close(s, "08006",
                     why == CONN_EOF ? "server conn crashed?" : "server connection failed: %s",
                     text ? text : "");
}

static void on_connected(void *owner, bool ok, const char *text)
{
    server_login_connected(owner, ok, text);
}

static void on_secured(void *owner, bool ok, const char *text)
{
    server_login_secured(owner, ok, text);
}

const struct conn_handler server_handler = {
    .input = server_input,
    .drained = on_drained,
    .ended = on_ended,
    .connected = on_connected,
    .secured = on_secured,
};

struct server *server_new(struct shard *sh, bool reserved)
{
    struct engine *e = sh->engine;
    struct server *s = shard_server_new(sh, &e->servers);

    if (!s)
        return NULL;
    s->reserved = reserved;
    s->id = atomic_fetch_add(&e->hub->next_server, 1) + 1;
    s->connected_at = s->request_at = e->loop.now;
    s->pending = calloc(1, sizeof(*s->pending));
    s->vars = calloc(1, sizeof(*s->vars));
    s->stmts = server_stmts_new();
    server_due(s);
    return s;
}

void server_begin(struct server *s)
{
    if (!s->pending || !s->vars || !s->stmts || !server_login_begin(s))
        server_login_failed(s, "53200", "out of memory");
}

void server_launch(struct shard *sh, bool reserved)
{
    struct server *s = server_new(sh, reserved);
    if (s)
        server_begin(s);
    else
        pool_slot_put(sh->pool);
}

void server_count_bytes(struct server *s)
{
    count_prepared(s, s->stmts && !s->dying ? map_count(&s->stmts->by_name) : 0);
    if (!s->conn)
        return;
    struct db_stats *st = shard_stats(s->shard, s->shard->engine);
    stat_add(&st->rx_server, s->conn->rx - s->rx_seen);
    stat_add(&st->tx_server, s->conn->tx - s->tx_seen);
    s->rx_seen = s->conn->rx;
    s->tx_seen = s->conn->tx;
}

static void free_server(struct server *s)
{
    struct engine *e = s->shard->engine;

    server_login_free(s);
    if (s->pending) {
        pending_release(s->pending);
        free(s->pending);
    }
    server_stmts_free(s->stmts);
    if (s->vars) {
        vars_release(s->vars, &e->hub->var_names);
        free(s->vars);
    }
    free(s->guc);
    free(s->set_undo);
    state_free_server(s);
    list_del(&s->node);
    s->shard->n_servers[SERVER_DEAD]--;
    s->shard->used_at = e->loop.now;
    shard_due(s->shard);
    s->magic = 0;
    slab_put(&e->servers, s);
}

/* Politely: Terminate, if nothing else is half sent. */
static void say_goodbye(struct server *s)
{
    static const char terminate[5] = { 'X', 0, 0, 0, 4 };
    if (!s->login && s->conn && !s->conn->ended && s->left == 0 && pending_empty(s->pending) &&
        !conn_blocked(s->conn))
        conn_write_copy(s->conn, terminate, sizeof(terminate));
}

static void close_client_as(struct client *c, const char *sqlstate, const char *text,
                            const char *logged)
{
    struct err e = { 0 };

    err_set_state(&e, sqlstate ? sqlstate : "08P01", "%s", text);
    client_close_as(c, &e, logged);
}

/* kind: of the log line; text: for the client, where it differs from the log's; or NULL. */
static void close_for(struct server *s, const char *sqlstate, const char *kind, const char *logged,
                      const char *text)
{
    if (s->dying)
        return;
    s->dying = true;

    profile_lost(s);
    struct shard *sh = s->shard;
    struct engine *e = sh->engine;
    if (s->client)
        slow_lost(s->client);
    server_log_closing(s, kind, logged);
    server_count_bytes(s);
    usec_t end = server_life_ends(s);
    if (end && e->loop.now > end)
        sh->aged_at = e->loop.now;
    hosts_forget(s);
    pins_free(s);
    if (s->listener)
        listener_lost(s, sqlstate, logged);
    struct client *c = s->client;
    if (c) {
        bool told = s->fatal;
        c->server = NULL;
        s->client = NULL;
        server_share_put(s);
        client_set_state(c, CLIENT_IDLE);
        if (told || s->left) /* its own last words were passed on, or half a message was */
            client_drop(c, logged);
        else if (text)
            close_client_as(c, sqlstate, text, logged);
        else
            client_close(c, sqlstate, "%s", logged);
    }
    replica_closes(s);
    say_goodbye(s);
    struct conn *conn = s->conn;
    server_set_state(s, SERVER_DEAD);
    due_clear(&s->due);
    list_del(&s->node);
    list_push_tail(&e->dead_servers, &s->node);
    engine_turn(e);
    s->conn = NULL;
    if (conn)
        conn_close(conn);
    if (s->listener)
        pool_listener_put(sh->pool);
    else
        pool_slot_put(sh->pool);
    /* the struct is freed at the end of the turn: callers up the stack may still look at it */
    shard_slot_freed(sh);
}

void server_close(struct server *s, const char *sqlstate, const char *fmt, ...)
{
    char text[1500];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    close_for(s, sqlstate, fmt, text, NULL);
}

void server_close_as(struct server *s, const char *sqlstate, const char *text, const char *logged)
{
    close_for(s, sqlstate, NULL, logged, text);
}

/* Called at the end of a turn. */
void servers_bury(struct engine *e)
{
    struct list *n;
    while ((n = list_first(&e->dead_servers)) != NULL)
        free_server(LIST_ENTRY(n, struct server, node));
}

usec_t server_life_ends(const struct server *s)
{
    const struct shard *sh = s->shard;
    usec_t life = sh->limits.server_lifetime, at = s->connected_at + life;
    int64_t size = atomic_load_explicit(&sh->pool->size, memory_order_relaxed);
    usec_t gap = size > 0 ? life / (usec_t)size : 0;

    if (!s->assigned_at)
        return 0;
    return sh->aged_at && sh->aged_at + gap > at ? sh->aged_at + gap : at;
}

/* Must it be replaced now that it is free? */
const char *server_worn_out(const struct server *s)
{
    const struct shard *sh = s->shard;
    const struct engine *e = sh->engine;

    if (s->close_needed || !sh->db || !server_path_current(s))
        return "obsolete connection";
    if (atomic_load_explicit(&sh->pool->db->paused, memory_order_relaxed) ||
        atomic_load_explicit(&e->registry->paused, memory_order_relaxed))
        return "paused";
    if (s->assigned_at && e->loop.now - s->connected_at > sh->limits.server_lifetime &&
        e->loop.now > server_life_ends(s))
        return "server lifetime over";
    int64_t size = atomic_load_explicit(&sh->pool->size, memory_order_relaxed);
    if (s->reserved && size > 0 &&
        atomic_load_explicit(&sh->pool->servers, memory_order_relaxed) > size &&
        list_empty(&sh->ring))
        return "reserve connection not needed any more";
    return NULL;
}

void server_ready(struct server *s)
{
    if (s->listener) {
        listener_ready(s);
        return;
    }
    const char *why = server_worn_out(s);

    if (why) {
        server_close(s, NULL, "%s", why);
        return;
    }
    if (s->cancels > 0) {
        if (s->state != SERVER_BEING_CANCELED)
            server_set_state(s, SERVER_BEING_CANCELED);
        return;
    }
    if (starved_claims(s)) {
        server_close(s, NULL, "evicted");
        return;
    }
    s->released_at = s->shard->engine->loop.now;
    server_set_state(s, SERVER_IDLE);
    server_due(s);
    shard_offer(s->shard, s);
}

/* The query that cleans a session up; empty = none. */
static struct text reset_query(const struct server *s)
{
    const struct settings *g = &s->shard->engine->setup->g;

    if (s->opaque || s->pins)
        return TEXT("DISCARD ALL");
    if ((s->shard->limits.pool_mode == POOL_SESSION || g->server_reset_query_always) &&
        *g->server_reset_query)
        return text_of(g->server_reset_query);
    if (s->dirty)
        return TEXT("RESET ALL");
    return TEXT("");
}

/* What a tenant left on it that no transaction's end takes away, whatever the reset query is. */
static bool take_back(struct server *s)
{
    bool ok = (!s->holds || server_own_query(s, TEXT("CLOSE ALL"), 0)) &&
              (!s->listens || server_own_query(s, TEXT("UNLISTEN *"), 0));
    s->listens = s->holds = false;
    return ok;
}

void server_release(struct server *s)
{
    struct client *c = s->client;

    CHECK(pending_empty(s->pending) && s->status == 'I' && s->left == 0);
    s->batch_done = s->batch;
    free(s->set_undo); /* they ended with the transaction */
    s->set_undo = NULL;
    server_count_bytes(s);
    if (c) {
        client_count_bytes(c);
        s->last_client = c->id;
        c->server = NULL;
        s->client = NULL;
        server_share_put(s);
        if (c->state == CLIENT_ACTIVE)
            client_set_state(c, CLIENT_IDLE);
        c->idle_at = s->shard->engine->loop.now;
    }
    if ((s->listens || s->holds) && !server_worn_out(s) && !take_back(s)) {
        server_close(s, NULL, "out of memory");
        return;
    }
    if (state_unclean(s))
        s->opaque = true;
    struct text reset = reset_query(s);
    const char *connect_query = s->shard->db ? s->shard->db->connect_query : NULL;
    if (s->pins && (s->pins->held & PIN_UNKNOWN)) {
        server_close(s, NULL, "its client changed what nothing takes back");
        return;
    }
    bool pinned = s->pins != NULL;
    pins_free(s);
    if ((s->dirty || s->opaque || pinned || state_undoes(s, connect_query)) && connect_query &&
        *connect_query) {
        server_close(s, NULL, "a reset would undo connect_query");
        return;
    }
    if (reset.n && !server_worn_out(s)) {
        s->dirty = false;
        state_reset(s, reset);
        free(s->guc); /* the reset takes it back */
        s->guc = NULL;
        server_set_state(s, SERVER_TESTED);
        s->request_at = s->shard->engine->loop.now;
        server_due(s);
        if (!server_own_query(s, reset, 0))
            server_close(s, NULL, "out of memory");
        return;
    }
    if (!pending_empty(s->pending)) {
        server_set_state(s, SERVER_TESTED);
        s->request_at = s->shard->engine->loop.now;
        server_due(s);
        return;
    }
    server_ready(s);
}
