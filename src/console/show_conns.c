/* SPDX-License-Identifier: ISC */
/* SHOW CLIENTS, SERVERS, SOCKETS: rows are made on the workers' threads. */
#include "console/internal.h"

#include "net/tls.h"
#include "session/cancel.h"
#include "session/replica.h"

#include <stdio.h>
#include <sys/socket.h>

#define CONN_COLUMNS                                                                               \
    COL_S("type"), COL_S("user"), COL_S("database"), COL_S("replication"), COL_S("state"),         \
        COL_S("addr"), COL_I("port"), COL_S("local_addr"), COL_I("local_port"),                    \
        COL_S("connect_time"), COL_S("request_time"), COL_I("wait"), COL_I("wait_us"),             \
        COL_I("close_needed"), COL_S("ptr"), COL_S("link"), COL_I("remote_pid"), COL_S("tls"),     \
        COL_S("application_name"), COL_I("prepared_statements"), COL_I("id")
#define SOCKET_COLUMNS                                                                             \
    COL_I("recv_pos"), COL_I("pkt_pos"), COL_I("pkt_remain"), COL_I("send_pos"),                   \
        COL_I("send_remain"), COL_I("pkt_avail"), COL_I("send_avail")

static const struct wire_column client_columns[] = {
    CONN_COLUMNS, COL_I("worker"), COL_S("tenant"), COL_S("tenant_mode"), COL_I("pinned"),
};
static const struct wire_column server_columns[] = {
    CONN_COLUMNS,
    COL_I("worker"),
    COL_I("guarded"),
    COL_I("pinned"),
};
static const struct wire_column socket_columns[] = {
    CONN_COLUMNS,
    SOCKET_COLUMNS,
    COL_I("worker"),
};

/* What CLIENTS, SERVERS and SOCKETS have in common. */
struct conn_row {
    const char *type, *state;
    struct text user, database;
    const struct conn *conn; /* may be NULL */
    const char *host;        /* when there is no conn */
    int port;
    usec_t connected_at, request_at, wait_at; /* monotonic; wait_at 0 = does not wait */
    bool close_needed;
    uint8_t replication;
    const void *ptr, *link;
    uint32_t remote_pid;
    const char *application_name;
    uint64_t prepared, id;
};

struct times {
    usec_t mono, wall;
};

static struct times present(void)
{
    return (struct times){ clock_mono_us(), clock_wall_us() };
}

/* Unix sockets have the port of their name. */
static void put_address(struct row *r, const struct sockaddr_storage *ss, const char *or_host,
                        int or_port)
{
    char *addr = r->room[r->n];
    int port = 0;

    addr[0] = '\0';
    if (ss)
        sockaddr_text(ss, addr, sizeof(r->room[0]), &port);
    row_z(r, addr[0] || !or_host ? addr : or_host);
    row_int(r, addr[0] && ss->ss_family != AF_UNIX ? port : or_port);
}

static void put_conn(struct row *r, const struct conn_row *c, char *state, size_t state_size,
                     bool socket, const struct times *t)
{
    usec_t wait = c->wait_at && t->mono > c->wait_at ? t->mono - c->wait_at : 0;
    usec_t request = c->request_at ? c->request_at : c->connected_at;

    snprintf(state, state_size, "%s%s", !socket ? "" : *c->type == 'C' ? "cl_" : "sv_", c->state);
    row_z(r, c->type);
    row_text(r, c->user);
    row_text(r, c->database);
    row_z(r, replica_name(c->replication));
    row_z(r, state);
    put_address(r, c->conn ? &c->conn->peer : NULL, c->host, c->port);
    put_address(r, c->conn ? &c->conn->local : NULL, NULL,
                c->conn && c->conn->local.ss_family == AF_UNIX ? c->port : 0);
    row_time(r, console_wall(c->connected_at, t->mono, t->wall));
    row_time(r, console_wall(request, t->mono, t->wall));
    row_uint(r, wait / USEC_PER_SEC);
    row_uint(r, wait % USEC_PER_SEC);
    row_int(r, c->close_needed);
    row_ptr(r, c->ptr);
    row_ptr(r, c->link);
    row_uint(r, c->remote_pid);
    row_z(r, c->conn && c->conn->tls ? tls_describe(c->conn->tls) : "");
    row_z(r, c->application_name ? c->application_name : "");
    row_uint(r, c->prepared);
    row_uint(r, c->id);
}

static void put_socket(struct row *r, const struct conn *c, uint32_t left)
{
    row_int(r, 0);
    row_int(r, 0);
    row_uint(r, left);
    row_int(r, 0);
    row_uint(r, c ? conn_backlog(c) : 0);
    row_uint(r, c ? buf_len(&c->in) : 0);
    row_int(r, 0);
}

static uint32_t peer_pid(const struct conn *c)
{
    return c->local.ss_family == AF_UNIX ? sock_peer_pid(c->fd) : 0;
}

/* ---- cancel requests ---- */

/* What is behind the common columns of a row without a client or server of ours. */
static void put_rest(struct row *r, const struct conn *conn, bool socket, bool is_client,
                     int worker, bool guarded)
{
    if (socket)
        put_socket(r, conn, 0);
    row_int(r, worker);
    if (!socket && is_client) {
        row_z(r, "");
        row_z(r, "off");
    } else if (!socket) {
        row_int(r, guarded);
    }
    if (!socket)
        row_int(r, 0);
}

static void put_cancel(struct row *r, const struct cancel_info *k, bool socket, bool is_client,
                       const struct times *t, struct buf *out)
{
    const struct cancel_asker *a = k->asker;
    const struct conn asker = { .peer = a->peer, .local = a->local };
    const struct conn_row cr = {
        .type = is_client ? "C" : "S",
        .state = is_client ? "active_cancel_req" : "active_cancel",
        .user = k->shard->pool->user_name,
        .database = k->shard->pool->db_name,
        .conn = is_client ? &asker : k->conn,
        .host = k->host,
        .connected_at = is_client ? a->connected_at : k->started,
        .request_at = k->started,
        .wait_at = is_client ? k->started : 0,
        .ptr = is_client ? a->ptr : k->ptr,
        .link = is_client ? k->ptr : a->ptr,
        .remote_pid = is_client ? 0 : k->pid,
        .id = is_client ? a->client : k->id,
    };
    char state[40];

    put_conn(r, &cr, state, sizeof(state), socket, t);
    put_rest(r, is_client ? NULL : k->conn, socket, is_client, k->shard->engine->id,
             k->shard->pool->guarded);
    int columns = socket      ? COLUMNS(socket_columns)
                  : is_client ? COLUMNS(client_columns)
                              : COLUMNS(server_columns);
    row_end(r, columns, out);
}

static void cancels_of(struct engine *e, bool socket, bool is_client, struct row *r,
                       const struct times *t, struct buf *out)
{
    struct list *pos = NULL;
    struct cancel_info k;

    while (cancel_next(e, &pos, &k))
        put_cancel(r, &k, socket, is_client, t, out);
}

/* ---- clients ---- */

/* Since when it waits, for a server or for the answer. */
static usec_t client_waits(const struct client *c)
{
    return c->state == CLIENT_WAITING ? c->wait_at : c->state == CLIENT_ACTIVE ? c->query_at : 0;
}

static bool client_shown(const struct client *c)
{
    return c->conn && c->shard && c->state != CLIENT_DEAD && c->state != CLIENT_LOGIN;
}

static void put_client(struct row *r, const struct client *c, int app, bool socket,
                       const struct times *t, struct buf *out)
{
    char state[40];
    const struct conn_row cr = {
        .type = "C",
        .state = client_state_name(c->state),
        .user = c->user_name,
        .database = c->db_name,
        .conn = c->conn,
        .port = (int)c->setup->g.listen_port,
        .connected_at = c->connected_at,
        .request_at = c->request_at ? c->request_at : c->asked_at,
        .wait_at = client_waits(c),
        .close_needed = c->closing,
        .replication = c->replication,
        .ptr = c,
        .link = c->server,
        .remote_pid = peer_pid(c->conn),
        .application_name = app >= 0 ? c->vars.value[app] : NULL,
        .prepared = map_count(&c->stmts),
        .id = c->id,
    };

    put_conn(r, &cr, state, sizeof(state), socket, t);
    if (socket)
        put_socket(r, c->conn, c->left);
    row_int(r, c->engine->id);
    if (!socket) {
        row_text(r, c->exempt           ? TEXT("*")
                    : c->identity.bound ? c->identity.claims[0].value
                                        : TEXT(""));
        row_z(r, tenant_mode_name(c->tenant_mode));
        row_int(r, c->server && c->server->pins);
    }
    row_end(r, socket ? COLUMNS(socket_columns) : COLUMNS(client_columns), out);
}

static void clients_of(struct engine *e, bool socket, bool active_only, struct buf *out)
{
    int app = var_index(&e->hub->var_names, TEXT("application_name"));
    const struct times t = present();
    struct row r;

    row_init(&r);
    LIST_FOREACH(n, &e->all_clients) {
        const struct client *c = LIST_ENTRY(n, struct client, all);
        if (client_shown(c) &&
            (!active_only || c->state == CLIENT_ACTIVE || c->state == CLIENT_WAITING))
            put_client(&r, c, app, socket, &t, out);
    }
    cancels_of(e, socket, true, &r, &t, out);
}

/* The console's own connections, which live on this thread. */
static void put_admins(struct admin *a, bool socket)
{
    const struct times t = present();
    char state[40];
    struct row r;

    row_init(&r);
    LIST_FOREACH(n, &a->console->admins) {
        const struct admin *o = LIST_ENTRY(n, struct admin, node);
        const struct conn_row cr = {
            .type = "C",
            .state = "active",
            .user = text_of(o->user),
            .database = TEXT(CONSOLE_DB),
            .conn = o->conn,
            .port = (int)console_setup(a->console)->g.listen_port,
            .connected_at = o->connected_at,
            .request_at = o->request_at,
            .ptr = o,
            .remote_pid = peer_pid(o->conn),
            .application_name = o->app,
            .prepared = (uint64_t)o->n_held,
            .id = o->id,
        };
        put_conn(&r, &cr, state, sizeof(state), socket, &t);
        put_rest(&r, o->conn, socket, true, -1, false);
        row_end(&r, socket ? COLUMNS(socket_columns) : COLUMNS(client_columns), &a->out);
    }
}

static void fn_clients(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)ask;
    clients_of(e, false, false, &part->rows);
}

void show_clients(struct admin *a, const struct statement *st)
{
    (void)st;
    wire_rowdesc_build(&a->out, client_columns, COLUMNS(client_columns));
    put_admins(a, false);
    (void)admin_ask(a, TEXT(""), 0, fn_clients, NULL);
}

/* ---- servers ---- */

static void put_server(struct row *r, const struct server *s, int app, bool socket,
                       const struct times *t, struct buf *out)
{
    const struct shard *sh = s->shard;
    char state[40];
    const struct conn_row cr = {
        .type = "S",
        .state = s->state == SERVER_HANDOVER ? "idle" : server_state_name(s->state),
        .user = sh->pool->user_name,
        .database = sh->pool->db_name,
        .conn = s->conn,
        .host = s->host,
        .port = s->port,
        .connected_at = s->connected_at ? s->connected_at : s->request_at,
        .request_at = s->request_at,
        .close_needed = s->close_needed,
        .replication = s->replication,
        .ptr = s,
        .link = s->client,
        .remote_pid = s->backend_pid,
        .application_name = app >= 0 && s->vars ? s->vars->value[app] : NULL,
        .prepared = s->stmts ? map_count(&s->stmts->by_name) : 0,
        .id = s->id,
    };

    put_conn(r, &cr, state, sizeof(state), socket, t);
    if (socket)
        put_socket(r, s->conn, s->left);
    row_int(r, sh->engine->id);
    if (!socket) {
        row_int(r, sh->pool->guarded);
        row_int(r, s->pins != NULL);
    }
    row_end(r, socket ? COLUMNS(socket_columns) : COLUMNS(server_columns), out);
}

static void servers_of(struct engine *e, bool socket, bool active_only, struct buf *out)
{
    int app = var_index(&e->hub->var_names, TEXT("application_name"));
    const struct times t = present();
    struct row r;

    row_init(&r);
    LIST_FOREACH(n, &e->shards) {
        const struct shard *sh = LIST_ENTRY(n, struct shard, node);
        for (int i = 0; i < SERVER_STATES; i++) {
            if (i == SERVER_DEAD || (active_only && i != SERVER_ACTIVE))
                continue;
            LIST_FOREACH(k, &sh->servers[i]) {
                put_server(&r, LIST_ENTRY(k, struct server, node), app, socket, &t, out);
            }
        }
    }
    cancels_of(e, socket, false, &r, &t, out);
}

static void fn_servers(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)ask;
    servers_of(e, false, false, &part->rows);
}

void show_servers(struct admin *a, const struct statement *st)
{
    (void)st;
    wire_rowdesc_build(&a->out, server_columns, COLUMNS(server_columns));
    (void)admin_ask(a, TEXT(""), 0, fn_servers, NULL);
}

/* ---- sockets ---- */

static void fn_sockets(struct engine *e, struct ask *ask, struct ask_part *part)
{
    bool active_only = ask->number != 0;

    clients_of(e, true, active_only, &part->rows);
    servers_of(e, true, active_only, &part->rows);
}

void show_sockets(struct admin *a, const struct statement *st)
{
    (void)st;
    wire_rowdesc_build(&a->out, socket_columns, COLUMNS(socket_columns));
    put_admins(a, true);
    (void)admin_ask(a, TEXT(""), 0, fn_sockets, NULL);
}

void show_active_sockets(struct admin *a, const struct statement *st)
{
    (void)st;
    wire_rowdesc_build(&a->out, socket_columns, COLUMNS(socket_columns));
    put_admins(a, true);
    (void)admin_ask(a, TEXT(""), 1, fn_sockets, NULL);
}
