/* SPDX-License-Identifier: ISC */
/* A client's login from its first byte to ReadyForQuery: the order of its steps, places, tenant,
 * welcome. The first packets are in client_startup.c, who it is in client_auth.c. */
#include "session/login.h"
#include "session/record.h"
#include "session/replica.h"
#include "session/shares.h"
#include "session/state.h"
#include "session/peers.h"

#include "base/check.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

bool client_login_begin(struct client *c)
{
    c->login = calloc(1, sizeof(*c->login));
    return c->login != NULL;
}

void client_login_free(struct client *c)
{
    struct client_login *l = c->login;
    if (!l)
        return;
    c->login = NULL;
    login_check_free(l->check);
    if (l->looked_secret)
        wipe(l->looked_secret, strlen(l->looked_secret));
    free(l->looked_secret);
    if (l->typed)
        wipe(l->typed, strlen(l->typed));
    free(l->typed);
    vars_release(&l->vars, &c->engine->hub->var_names);
    free(l);
}

const char *reject_name(enum reject_reason why)
{
    static const char *const names[REJECT_REASONS] = {
        [REJECT_AUTH] = "auth",     [REJECT_TLS] = "tls",           [REJECT_LIMIT] = "limit",
        [REJECT_TENANT] = "tenant", [REJECT_PROTOCOL] = "protocol", [REJECT_TIMEOUT] = "timeout",
        [REJECT_OTHER] = "other",   [REJECT_HBA] = "hba",
    };
    return names[why];
}

void client_reject(struct client *c, enum reject_reason why)
{
    stat_inc(&c->engine->stats.rejected[why]);
}

/* ---- after authentication ---- */

static void console_login(struct client *c)
{
    bool admin =
        client_own_uid(c) || (c->user && c->user->is_admin) || c->setup->g.auth_type == AUTH_ANY;

    if (!admin && !(c->user && c->user->is_stats)) {
        client_reject(c, REJECT_AUTH);
        client_close(c, "28000", "not allowed");
        return;
    }
    struct buf b;
    buf_init(&b);
    wire_auth_build(&b, 0, NULL, 0);
    client_send(c, &b);
    buf_release(&b);
    if (c->closing)
        return;
    c->console_user = strndup(c->user_name.p, c->user_name.n);
    if (!c->console_user) {
        client_drop(c, "out of memory");
        return;
    }
    c->console_admin = admin;
    list_push_tail(&c->engine->to_console, &c->console_node);
    engine_turn(c->engine);
}

void client_to_console(struct client *c)
{
    struct hub *h = c->engine->hub;
    struct conn *conn = c->conn;
    struct buf early;

    if (c->closing || !conn)
        return;
    buf_init(&early);
    buf_append(&early, conn->in.p ? buf_data(&conn->in) : "", buf_len(&conn->in));
    if (early.failed || conn_blocked(conn)) {
        buf_release(&early);
        client_drop(c, "out of memory");
        return;
    }
    buf_release(&conn->in);
    buf_init(&conn->in);
    c->conn = NULL;
    conn_detach(conn);
    int app = var_index(&h->var_names, TEXT("application_name"));
    h->calls->console(h->calls_arg, conn, text_of(c->console_user),
                      text_of(app >= 0 && c->login ? c->login->vars.value[app] : NULL),
                      c->console_admin, buf_text(&early));
    buf_release(&early);
    client_drop(c, NULL); /* it lives on in the console */
}

/* A place among its tenant's clients: max_tenant_client_connections. */
static bool take_tenant_place(struct client *c)
{
    struct err e = { 0 };

    if (client_share_join(c, &e))
        return true;
    client_reject(c, REJECT_LIMIT);
    client_close_error(c, &(struct wire_error){ .severity = "FATAL",
                                                .sqlstate = e.sqlstate,
                                                .message = text_of(e.msg),
                                                .detail = client_share_detail(c, &c->arena),
                                                .hint = TEXT(SHARE_CLIENTS_HINT) });
    return false;
}

/* Counted always; the limit is not one for administrators. */
static bool take_place(const struct client *c, struct quota *q)
{
    if (!c->user || !c->user->is_admin)
        return quota_take(q);
    quota_exceed(q);
    return true;
}

/* Places in max_db_client_connections and max_user_client_connections. */
static bool take_places(struct client *c)
{
    c->login_user = registry_user(c->engine->registry, c->user_name);
    if (!c->login_user) {
        client_drop(c, "out of memory");
        return false;
    }
    atomic_store(&c->login_user->clients.max, c->limits.max_user_client_connections);
    c->db_counted = take_place(c, &c->shard->pool->db->clients);
    if (!c->db_counted) {
        client_reject(c, REJECT_LIMIT);
        client_close(c, "53300", "client connections exceeded (max_db_client_connections)");
        return false;
    }
    c->user_counted = take_place(c, &c->login_user->clients);
    if (!c->user_counted) {
        client_reject(c, REJECT_LIMIT);
        client_close(c, "53300", "client connections exceeded (max_user_client_connections)");
        return false;
    }
    return take_tenant_place(c);
}

/* Who is the client for the tenant engine? */
static bool bind_tenant(struct client *c)
{
    const struct setup *s = c->setup;

    c->tenant_mode = setup_tenant_mode(s, c->login->db, c->user);
    if (!identity_bind(c, &c->login->given))
        return false;
    if (c->tenant_mode == TENANT_OFF)
        return true;
    if (c->identity.exempt) {
        c->exempt = true;
        c->tenant_mode = TENANT_OFF;
        client_log(c, LOG_LV_LOG, "exempt from tenant rules");
        return true;
    }
    bool later = c->user && c->user->tenant_switch; /* SET will say */
    if (!c->identity.bound && c->tenant_mode != TENANT_AUDIT && !later) {
        client_reject(c, REJECT_TENANT);
        record_unbound(c);
        client_close(c, "28000", "no tenant is bound to user \"%s\"", c->user_name.p);
        return false;
    }
    if (!c->identity.bound && !later) {
        record_unbound(c);
        c->tenant_mode = TENANT_OFF; /* audit: nothing to judge by */
        client_log(c, LOG_LV_WARNING, "tenant audit: no tenant is bound to user \"%s\"",
                   c->user_name.p);
        return true;
    }
    if (hub_barred(c->engine->hub, &c->identity)) {
        client_reject(c, REJECT_TENANT);
        client_close(c, "57P03", "tenant \"%.*s\" is being deleted",
                     TEXT_ARG(c->identity.claims[0].value));
        return false;
    }
    for (int i = 0; i < c->engine->hub->var_names.n; i++) {
        struct text why, name = text_of(c->engine->hub->var_names.name[i]);
        if (c->login->vars.value[i] && client_enforced(c) &&
            !policy_startup_ok(name, text_of(c->login->vars.value[i]), &why)) {
            client_reject(c, REJECT_TENANT);
            client_close(c, "42501", "startup parameter %s is not open to tenants: %.*s", name.p,
                         TEXT_ARG(why));
            return false;
        }
    }
    record_join(c);
    return true;
}

/* tenant_mode=rls: the server's policies must have somebody to hold, and know for whom. */
static bool policies_hold(struct client *c)
{
    const struct database_conf *db = c->login->db;
    const char *guc = db->tenant_guc ? db->tenant_guc : c->setup->g.tenant_guc;
    struct text why = TEXT("tenant_guc is not set");
    struct text role = db->user ? text_of(db->user) : c->user_name;

    if (c->tenant_mode != TENANT_RLS || (*guc && policy_rls_role(c->policy, role, &why)))
        return true;
    client_reject(c, REJECT_TENANT);
    client_close(c, "28000", "row-level security does not hold role \"%.*s\": %.*s", TEXT_ARG(role),
                 TEXT_ARG(why));
    return false;
}

/* What a replication connection reads is everybody's. */
static bool replication_open(struct client *c)
{
    if (!c->replication || c->exempt ||
        setup_tenant_mode(c->setup, c->login->db, c->user) == TENANT_OFF)
        return true;
    client_reject(c, REJECT_TENANT);
    client_close(c, "0A000", "replication is not possible for tenants");
    return false;
}

static struct text server_user(const struct client *c)
{
    return c->login->db->user ? text_of(c->login->db->user) : c->user_name;
}

/* Password (or whatever was asked for) is right. */
void client_login_proven(struct client *c)
{
    struct client_login *l = c->login;
    struct engine *e = c->engine;

    l->auth_done = true;
    if (!client_auth_keep(c)) {
        client_drop(c, "out of memory");
        return;
    }
    if (c->admin) {
        console_login(c);
        return;
    }
    if (!l->db) {
        client_reject(c, REJECT_OTHER);
        client_close(c, "3D000", "no such database: %s", c->db_name.p);
        return;
    }
    if (c->setup->g.auth_type == AUTH_ANY && !l->db->user) {
        client_reject(c, REJECT_AUTH);
        client_log(c, LOG_LV_ERROR, "auth_type=any requires a forced user");
        client_close(c, "28000", "bouncer config error");
        return;
    }
    if (!bind_tenant(c) || !replication_open(c))
        return;
    const struct db_ledger *known = registry_find_db(e->registry, c->db_name);
    bool fresh = l->db->is_auto && (!known || db_ledger_forgotten(known));
    struct pool *pool = registry_pool(e->registry, c->db_name, server_user(c), client_enforced(c));
    if (pool && fresh)
        client_log(c, LOG_LV_LOG, "registered new auto-database: db=%s", c->db_name.p);
    c->shard = pool ? engine_shard(e, pool) : NULL;
    if (!c->shard) {
        client_drop(c, "out of memory");
        return;
    }
    c->shard->n_clients++;
    if (!c->shard->db)
        shard_refresh(e, c->shard);
    if (!c->shard->db || atomic_load(&pool->db->disabled)) {
        client_close(c, NULL, "database \"%s\" is disabled", c->db_name.p);
        return;
    }
    client_limits(c, c->setup, l->db);
    if (!take_places(c))
        return;
    client_auth_share(c);
    shard_due(c->shard);
    l->pool = pool;
    l->phase = PHASE_WELCOME;
    client_login_resume(c);
}

/* ---- welcome ---- */

/* application_name_add_host: "name - host:port", as monitoring of servers likes to see it. */
static bool add_host(struct client *c)
{
    struct hub *h = c->engine->hub;
    int i = var_index(&h->var_names, TEXT("application_name"));
    char addr[128], name[256];
    int port;

    if (!c->setup->g.application_name_add_host)
        return true;
    sockaddr_text(&c->conn->peer, addr, sizeof(addr), &port);
    const char *own = c->vars.value[i] && *c->vars.value[i] ? c->vars.value[i] : "app";
    snprintf(name, sizeof(name), "%.100s - %s:%d", own, addr, port);
    return vars_set(&c->vars, i, text_of(name));
}

/* A random key that cancels this client's queries. The first 8 bytes are unique in this worker;
 * clients of protocol 3.2 have to know the rest too. */
void client_make_key(struct client *c, struct buf *out)
{
    struct text head = text_n((const char *)c->cancel_key, CANCEL_KEY_SHORT);

    do {
        peer_key_make(c->cancel_key, sizeof(c->cancel_key), (int)c->setup->g.peer_id);
    } while (map_get(&c->engine->cancel_keys, head));
    map_put(&c->engine->cancel_keys, head, c);
    struct rd r = rd_init(head.p, head.n);
    uint32_t id = rd_u32(&r);
    wire_keydata_build(out, id, c->cancel_key + 4,
                       (c->long_key ? CANCEL_KEY_LONG : CANCEL_KEY_SHORT) - 4);
}

void client_login_notice(struct client *c, struct buf *out)
{
    const char *text = c->setup->g.login_notify_message;

    if (*text)
        wire_error_build(out, 'N',
                         &(struct wire_error){
                             .severity = "NOTICE", .sqlstate = "00000", .message = text_of(text) });
}

/* Has the startup packet values that a server may refuse? */
static bool other_values(const struct client *c, const struct welcome *w)
{
    for (int i = 0; i < c->engine->hub->var_names.n; i++) {
        const char *own = c->login->vars.value[i], *known = w->vars.value[i];
        if (own && i != VAR_APPLICATION_NAME && !(known && strcmp(own, known) == 0))
            return true;
    }
    return false;
}

/* The server's parameters, the client's own values in place of them, key, ready. */
static bool send_welcome(struct client *c, const struct welcome *w)
{
    struct hub *h = c->engine->hub;
    struct client_login *l = c->login;
    struct buf b;

    if (!vars_copy(&c->vars, &w->vars, &h->var_names) ||
        !vars_copy(&c->vars, &l->vars, &h->var_names) || !add_host(c) ||
        !state_login(c, &l->vars, &w->vars))
        return false;
    c->unproven = other_values(c, w);
    buf_init(&b);
    wire_auth_build(&b, 0, NULL, 0);
    for (size_t pos = 0; pos < w->len;) {
        struct frame f;
        struct text name, value;
        if (frame_peek(w->bytes + pos, w->len - pos, UINT32_MAX, &f) != FRAME_OK ||
            f.len > w->len - pos)
            break;
        if (wire_status_read(w->bytes + pos + 5, f.len - 5, &name, &value)) {
            int i = var_index(&h->var_names, name);
            bool own = i >= 0 && c->vars.value[i];
            wire_status_build(&b, name, own ? text_of(c->vars.value[i]) : value);
        }
        pos += f.len;
    }
    client_make_key(c, &b);
    client_login_notice(c, &b);
    wire_ready_build(&b, 'I');
    bool ok = !b.failed;
    if (ok)
        conn_write_copy(c->conn, b.p, b.n);
    buf_release(&b);
    return ok;
}

/* Waits for a server to learn its parameters from, or for the database's policy. */
static void wait_for_welcome(struct client *c)
{
    if (c->state == CLIENT_LOGIN)
        shard_wait(c);
}

void client_login_resume(struct client *c)
{
    struct client_login *l = c->login;
    struct engine *e = c->engine;

    if (!l || l->phase != PHASE_WELCOME || c->closing)
        return;
    if (c->replication) {
        replica_login(c);
        return;
    }
    if (client_guarded(c) && !client_policy(c) && !client_enforced(c)) {
        e->hub->calls->want_catalog(e->hub->calls_arg, c->shard->pool->db_name);
    } else if (client_guarded(c) && !c->policy) {
        if (!c->catalog_wait) {
            c->catalog_wait = true;
            c->catalog_asked = e->loop.now;
            e->hub->calls->want_catalog(e->hub->calls_arg, c->shard->pool->db_name);
        }
        return;
    }
    c->catalog_wait = false;
    c->catalog_asked = 0;
    if (!policies_hold(c))
        return;
    struct welcome *w = pool_welcome_get(l->pool);
    struct server *s = c->server;
    if (!w && !s) {
        wait_for_welcome(c);
        return;
    }
    bool ok = w && send_welcome(c, w);
    if (w)
        welcome_unref(w);
    if (!ok) {
        client_close(c, "53200", "out of memory");
        return;
    }
    stat_inc(&shard_stats(c->shard, e)->client_logins);
    client_login_free(c);
    if (s) {
        s->client = NULL;
        c->server = NULL;
        client_set_state(c, CLIENT_IDLE);
        server_ready(s);
    } else {
        client_set_state(c, CLIENT_IDLE);
    }
    c->idle_at = e->loop.now;
    conn_resume(c->conn);
    conn_reshow(c->conn);
}

/* ---- input ---- */

size_t client_login_input(struct client *c, char *data, size_t n)
{
    size_t pos = 0;

    while (pos < n && !c->closing && client_at_login(c) && !list_linked(&c->console_node)) {
        struct client_login *l = c->login;
        struct frame f;
        bool waits =
            l->phase == PHASE_WELCOME || l->phase == PHASE_LOOKUP || l->phase == PHASE_PROOF;
        if (waits && n - pos >= CLIENT_KEEP)
            conn_pause(c->conn); /* client_login_resume goes on */
        if (l->phase == PHASE_TLS || waits)
            break;
        if (l->phase == PHASE_STARTUP) {
            size_t used = client_startup_input(c, data + pos, n - pos);
            if (used == 0)
                break;
            pos += used;
            continue;
        }
        enum frame_status st = frame_peek(data + pos, n - pos, 70000, &f);
        if (st == FRAME_MORE || (st == FRAME_OK && f.len > n - pos))
            break;
        if (st == FRAME_BAD || f.type != 'p') {
            client_reject(c, REJECT_PROTOCOL);
            client_close(c, NULL,
                         st == FRAME_BAD ? "invalid message length" : "password message expected");
            break;
        }
        client_auth_message(c, data + pos + 5, f.len - 5);
        if (!c->closing)
            wipe(data + pos + 5, f.len - 5);
        pos += f.len;
    }
    return c->closing ? n : pos;
}
