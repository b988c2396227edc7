/* SPDX-License-Identifier: ISC */
/* Clients: birth, states, closing. */
#include "session/identity.h"
#include "session/ears.h"
#include "session/record.h"
#include "session/say.h"
#include "session/shares.h"
#include "session/state.h"
#include "session/utility.h"

#include "base/check.h"
#include "base/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *client_state_name(enum client_state s)
{
    static const char *const names[] = {
#define CLIENT_STATE(name, show) show,
#include "session/client_state.def"
    };
    return names[s];
}

static void on_drained(void *owner)
{
    struct client *c = owner;
    if (c->server && c->server->conn)
        conn_resume(c->server->conn);
}

static void on_ended(void *owner, enum conn_end why, const char *text)
{
    struct client *c = owner;
    if (c->server && c->server->pending && !pending_empty(c->server->pending))
        client_drop(c, "client disconnected with query in progress");
    else if (why == CONN_EOF)
        client_drop(c, "client unexpected eof");
    else
        client_drop(c, text && *text ? text : "client connection failed");
}

static void on_secured(void *owner, bool ok, const char *text)
{
    client_login_secured(owner, ok, text);
}

const struct conn_handler client_handler = {
    .input = client_input,
    .drained = on_drained,
    .ended = on_ended,
    .secured = on_secured,
};

static void set_sock_opts(struct engine *e, int fd)
{
    const struct settings *g = &e->setup->g;
    struct sock_opts o = {
        .keepalive = g->tcp_keepalive,
        .keepcnt = (int)g->tcp_keepcnt,
        .keepidle = (int)g->tcp_keepidle,
        .keepintvl = (int)g->tcp_keepintvl,
        .user_timeout_ms = (int)g->tcp_user_timeout,
        .buffer = (int)g->tcp_socket_buffer,
    };
    sock_tune(fd, &o);
}

void client_new(struct engine *e, int fd, bool is_unix)
{
    struct client *c = slab_get(&e->clients);
    if (!c) {
        close(fd);
        return;
    }
    c->magic = CLIENT_MAGIC;
    c->engine = e;
    c->state = CLIENT_LOGIN;
    c->is_unix = is_unix;
    c->id = atomic_fetch_add(&e->registry->next_client_id, 1) + 1;
    c->connected_at = e->loop.now;
    c->setup = setup_ref(e->setup);
    arena_init(&c->arena, 512);
    map_init(&c->stmts);
    map_init(&c->portals);
    list_init(&c->console_node);
    list_init(&c->turn_node);
    due_init(&c->due);
    list_push_tail(&e->login_clients, &c->node);
    list_push_tail(&e->all_clients, &c->all);
    e->n_clients++;
    e->n_login++;
    if (!is_unix)
        set_sock_opts(e, fd);
    client_due(c);
    c->conn = conn_adopt(&e->loop, fd, &client_handler, c);
    if (!c->conn || !client_login_begin(c)) /* conn_adopt has closed fd when it failed */
        client_drop(c, "out of memory");
}

static void unlink_state(struct client *c)
{
    struct shard *sh = c->shard;

    list_del(&c->node);
    switch (c->state) {
    case CLIENT_LOGIN:
        c->engine->n_login--;
        break;
    case CLIENT_IDLE:
        sh->n_idle_clients--;
        break;
    case CLIENT_WAITING:
        turn_leave(c->in_turn, &c->turn_node, c->engine->id);
        sh->n_waiting--;
        break;
    case CLIENT_ACTIVE:
        sh->n_active--;
        break;
    default:
        CHECK(!"a dead client has no list");
    }
}

void client_set_state(struct client *c, enum client_state to)
{
    struct shard *sh = c->shard;

    CHECK(c->magic == CLIENT_MAGIC);
    unlink_state(c);
    c->state = to;
    switch (to) {
    case CLIENT_LOGIN:
        list_push_tail(&c->engine->login_clients, &c->node);
        c->engine->n_login++;
        break;
    case CLIENT_IDLE:
        list_push_tail(&sh->idle_clients, &c->node);
        sh->n_idle_clients++;
        break;
    case CLIENT_WAITING:
        c->in_turn = client_at_login(c) ? &sh->none : c->turn;
        turn_join(c->in_turn, &c->turn_node, c->engine->loop.now);
        list_push_tail(&sh->waiting, &c->node);
        sh->n_waiting++;
        break;
    case CLIENT_ACTIVE:
        list_push_tail(&sh->active, &c->node);
        sh->n_active++;
        break;
    case CLIENT_DEAD:
        list_push_tail(&c->engine->dead, &c->node);
        break;
    default:
        CHECK(!"no such state");
    }
    if (to != CLIENT_DEAD)
        client_due(c);
}

void client_count_bytes(struct client *c)
{
    if (!c->shard || !c->conn)
        return;
    struct db_stats *st = shard_stats(c->shard, c->engine);
    stat_add(&st->rx_client, c->conn->rx - c->rx_seen);
    stat_add(&st->tx_client, c->conn->tx - c->tx_seen);
    if (c->tenant_note)
        top_add(&c->engine->top, c->tenant_note, TOP_BYTES,
                c->conn->rx - c->rx_seen + c->conn->tx - c->tx_seen);
    c->rx_seen = c->conn->rx;
    c->tx_seen = c->conn->tx;
}

/* Will nothing be left of its client on the server but what the settings that it is being asked for
 * say, and is nothing to be reset behind it? */
static bool only_asked(struct server *s)
{
    const char *connect_query = s->shard->db ? s->shard->db->connect_query : NULL;

    return s->pending->n == 1 && s->state == SERVER_ACTIVE && s->left == 0 && !s->pins &&
           !s->dirty && !s->listens && !s->holds && !state_unclean(s) &&
           !s->shard->engine->setup->g.server_reset_query_always &&
           !(connect_query && *connect_query);
}

void client_leave_server(struct client *c)
{
    struct server *s = c->server;
    if (!s)
        return;
    c->server = NULL;
    s->client = NULL;
    server_share_put(s);
    if (c->state == CLIENT_ACTIVE)
        client_set_state(c, CLIENT_IDLE);
    if (s->dying)
        return;
    if (s->conn)
        conn_resume(s->conn);
    if (s->asked && only_asked(s) && !c->left && !c->extended && !ears_ask(c)) {
        s->last_client = c->id;
        s->request_at = c->engine->loop.now;
        server_set_state(s, SERVER_TESTED); /* until it has told its settings */
        return;
    }
    if (s->replication) {
        server_close(s, NULL, "replication client left");
        return;
    }
    bool clean = pending_empty(s->pending) && s->status == 'I' && s->left == 0 && c->left == 0 &&
                 !c->extended && !s->copy_in && !s->skipping && !conn_blocked(s->conn);
    if (clean)
        server_release(s);
    else
        server_close(s, NULL, "%s",
                     s->status == 'T' || s->status == 'E' ? "client left in a transaction"
                                                          : "unclean server");
}

/* Everything but the socket. */
static void let_go(struct client *c)
{
    struct engine *e = c->engine;

    c->closing = true;
    client_count_bytes(c);
    if (c->state == CLIENT_WAITING)
        shard_unwait(c);
    client_leave_server(c);
    client_copy_clear(c);
    client_stmts_clear(c);
    client_portals_clear(c);
    ears_free(c);
    record_leave(c);
    profile_drop(&c->profile);
    client_share_leave(c);
    map_del(&e->cancel_keys, text_n((const char *)c->cancel_key, CANCEL_KEY_SHORT));
    if (c->counted)
        quota_put(&e->registry->clients);
    if (c->db_counted)
        quota_put(&c->shard->pool->db->clients);
    if (c->user_counted)
        quota_put(&c->login_user->clients);
    c->counted = c->db_counted = c->user_counted = false;
    client_login_free(c);
    due_clear(&c->due);
    client_set_state(c, CLIENT_DEAD);
    if (c->shard) {
        c->shard->n_clients--;
        c->shard->used_at = e->loop.now;
        shard_due(c->shard);
    }
    engine_turn(e);
}

void client_drop(struct client *c, const char *reason)
{
    if (c->state == CLIENT_DEAD)
        return;
    if (reason)
        client_log_closing(c, NULL, reason, false);
    struct conn *conn = c->conn;
    let_go(c);
    c->conn = NULL;
    if (conn)
        conn_close(conn);
}

static void close_error(struct client *c, const struct wire_error *e, const char *kind,
                        const char *logged);

void client_close(struct client *c, const char *sqlstate, const char *fmt, ...)
{
    char text[1500];
    va_list ap;

    if (c->state == CLIENT_DEAD)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    close_error(c,
                &(struct wire_error){ .severity = "FATAL",
                                      .sqlstate = sqlstate ? sqlstate : "08P01",
                                      .message = text_of(text) },
                fmt, text);
}

void client_close_as(struct client *c, const struct err *e, const char *logged)
{
    close_error(c,
                &(struct wire_error){
                    .severity = "FATAL", .sqlstate = e->sqlstate, .message = text_of(e->msg) },
                NULL, logged);
}

void client_close_error(struct client *c, const struct wire_error *e)
{
    char text[1500];

    snprintf(text, sizeof(text), "%.*s", TEXT_ARG(e->message));
    close_error(c, e, NULL, text);
}

/* kind: of the log line, its format, or NULL. */
static void close_error(struct client *c, const struct wire_error *e, const char *kind,
                        const char *logged)
{
    if (c->state == CLIENT_DEAD)
        return;
    client_log_closing(c, kind, logged, true);

    struct conn *conn = c->conn;
    bool can_write = conn && !conn->handshaking && !conn->ended && c->left == 0 &&
                     !(c->server && c->server->left);
    let_go(c);
    c->conn = NULL;
    if (!conn)
        return;
    if (can_write) {
        struct buf b;
        buf_init(&b);
        wire_error_build(&b, 'E', e);
        if (!b.failed)
            conn_write_copy(conn, b.p, b.n);
        buf_release(&b);
        conn_close_after_flush(conn, 2 * USEC_PER_SEC);
    } else {
        conn_close(conn);
    }
}

void client_send(struct client *c, const struct buf *b)
{
    if (b->failed)
        client_drop(c, "out of memory");
    else if (c->conn)
        conn_write_copy(c->conn, b->p + b->off, b->n - b->off);
}

static void bury(struct client *c)
{
    struct engine *e = c->engine;

    list_del(&c->node);
    list_del(&c->all);
    list_del(&c->console_node);
    free(c->console_user);
    e->n_clients--;
    atomic_fetch_sub_explicit(&e->loop.load, 1, memory_order_relaxed);
    vars_release(&c->vars, &e->hub->var_names);
    session_state_unref(c->settings);
    session_state_unref(c->startup);
    map_release(&c->stmts);
    map_release(&c->portals);
    if (c->keys) {
        wipe(c->keys, sizeof(*c->keys));
        free(c->keys);
    }
    if (c->password) {
        wipe(c->password, strlen(c->password));
        free(c->password);
    }
    if (c->policy)
        policy_unref(c->policy);
    identity_free(c);
    arena_release(&c->arena);
    setup_unref(c->setup);
    c->magic = 0;
    slab_put(&e->clients, c);
}

void clients_bury(struct engine *e)
{
    struct list *n;
    while ((n = list_first(&e->dead)) != NULL)
        bury(LIST_ENTRY(n, struct client, node));
}
