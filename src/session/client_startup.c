/* SPDX-License-Identifier: ISC */
/* A client's first packets: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage. */
#include "session/login.h"
#include "session/replica.h"

#include "base/random.h"
#include "wire/startup.h"

#include <stdio.h>

#define TLS_HANDSHAKE 0x16 /* type of a TLS client's first record; no length of a packet */

static bool tls_demanded(const struct client *c)
{
    return !c->is_unix && c->engine->client_tls &&
           c->engine->setup->g.client_tls_sslmode >= TLS_REQUIRE;
}

/* ---- SSLRequest, GSSENCRequest ---- */

static size_t ssl_request(struct client *c, size_t n)
{
    struct engine *e = c->engine;
    struct err err = { 0 };
    bool yes = e->client_tls && !c->is_unix && !c->conn->tls;

    if (c->login->ssl_asked || c->conn->tls) {
        client_reject(c, REJECT_PROTOCOL);
        client_close(c, NULL, "SSL request inside of a connection that had asked already");
        return n;
    }
    c->login->ssl_asked = true;
    if (n > 8) { /* they would be taken for part of the encrypted session */
        client_reject(c, REJECT_TLS);
        client_close(c, NULL, "received unencrypted data after SSL request");
        return n;
    }
    if (!yes) {
        conn_write_copy(c->conn, "N", 1);
        return n;
    }
    conn_write_copy(c->conn, "S", 1);
    conn_flush(c->conn);
    c->login->phase = PHASE_TLS;
    if (!conn_tls_accept(c->conn, e->client_tls, &err)) {
        client_reject(c, REJECT_TLS);
        client_drop(c, err.msg);
    }
    return n;
}

/* A client that begins with a TLS handshake (as HTTPS does): its first bytes are records. */
static size_t direct_tls(struct client *c, const char *data, size_t n)
{
    struct engine *e = c->engine;
    struct err err = { 0 };

    if (!e->client_tls || c->is_unix) { /* in TLS it would not understand an answer */
        client_reject(c, REJECT_TLS);
        client_drop(c, "direct TLS connection, but TLS is not on");
        return n;
    }
    c->login->direct = true;
    c->login->phase = PHASE_TLS;
    if (!conn_tls_accept_direct(c->conn, e->client_tls, data, n, &err)) {
        client_reject(c, REJECT_TLS);
        client_drop(c, err.msg);
    }
    return n;
}

void client_login_secured(struct client *c, bool ok, const char *text)
{
    struct engine *e = c->engine;

    if (!ok) {
        char why[600];
        client_reject(c, REJECT_TLS);
        snprintf(why, sizeof(why), "TLS handshake failed: %s", text ? text : "");
        client_drop(c, why);
        return;
    }
    stat_inc(&e->stats.tls_handshakes[0][strcmp(tls_version(c->conn->tls), "TLSv1.3") == 0]);
    if (c->login->direct && !tls_alpn(c->conn->tls)) { /* it may be meant for another protocol */
        client_reject(c, REJECT_TLS);
        client_close(c, NULL,
                     "direct TLS connection without ALPN: the client must ask for \"postgresql\"");
        return;
    }
    c->login->phase = PHASE_STARTUP;
}

/* ---- startup parameters ---- */

static bool ignored(const struct setup *s, struct text name)
{
    for (int i = 0; i < s->n_ignore_startup; i++)
        if (text_ieq(s->ignore_startup[i], name))
            return true;
    return false;
}

/* Values of client_encoding may come in quotes (asyncpg sends 'utf-8' with them). */
static struct text unquoted(struct text v)
{
    if (v.n >= 2 && v.p[0] == '\'' && v.p[v.n - 1] == '\'')
        return text_n(v.p + 1, v.n - 2);
    return v;
}

/* One parameter that is neither user nor database. */
static bool set_param(void *arg, struct text name, struct text value, struct err *e)
{
    struct client *c = arg;
    int i = var_index(&c->engine->hub->var_names, name);
    bool ok;

    if (identity_param(c, &c->login->given, name, value, &ok, e))
        return ok;
    if (text_is_i(name, "search_path"))
        c->login->has_search_path = true;
    if (i >= 0)
        return vars_set(&c->login->vars, i, unquoted(value)) ||
               err_set_state(e, "53200", "out of memory");
    if (ignored(c->engine->setup, name))
        return true;
    return err_set(e, "unsupported startup parameter in options: %.*s", TEXT_ARG(name));
}

/* What is about the tenant counts even where the rest of `options` is ignored. */
static bool tenant_param(void *arg, struct text name, struct text value, struct err *e)
{
    struct client *c = arg;
    bool ok;

    return !identity_param(c, &c->login->given, name, value, &ok, e) || ok;
}

static bool ignored_options(struct client *c, struct text value, struct err *e)
{
    struct err why = { 0 };

    if (startup_options(value, &c->arena, tenant_param, c, &why) ||
        !text_is(text_of(why.sqlstate), "28000"))
        return true;
    *e = why;
    return false;
}

/* A replication client's are its server's business. */
static bool read_replication(struct client *c, const struct startup *s, struct err *e)
{
    for (int i = 0; i < s->n_params; i++)
        if (text_is(s->params[i].name, "replication") &&
            !replica_kind(s->params[i].value, &c->replication, e))
            return false;
    return !c->replication || replica_params(c, s, e);
}

static bool read_params(struct client *c, const struct startup *s, struct err *e)
{
    struct text user = TEXT(""), db = TEXT("");

    if (!read_replication(c, s, e))
        return false;
    for (int i = 0; i < s->n_params; i++) {
        struct text name = s->params[i].name, value = s->params[i].value;
        if (text_is(name, "user")) {
            user = value;
        } else if (text_is(name, "database")) {
            db = value;
        } else if (c->replication || text_is(name, "replication")) {
            continue;
        } else if (text_is(name, "options")) {
            if (ignored(c->engine->setup, name)) {
                if (!ignored_options(c, value, e))
                    return false;
                continue;
            }
            if (!startup_options(value, &c->arena, set_param, c, e))
                return false;
        } else if (text_starts(name, TEXT("_pq_."))) {
            continue;
        } else if (!set_param(c, name, value, e)) {
            if (!e->sqlstate[0])
                err_set(e, "unsupported startup parameter: %.*s", TEXT_ARG(name));
            return false;
        }
    }
    if (user.n == 0)
        return err_set_state(e, "28000", "no PostgreSQL user name specified in startup packet");
    if (db.n == 0)
        db = user;
    if (user.n > 127)
        return err_set_state(e, "28000", "user name is too long");
    if (db.n > 63)
        return err_set_state(e, "3D000", "database name is too long");
    c->user_name = arena_text(&c->arena, user);
    c->db_name = arena_text(&c->arena, db);
    return true;
}

#define OUR_MINOR 2 /* protocol 3.2 and 3.0; there is no 3.1 */

/* A client of another protocol than those that we speak is told the one below, and which options we
 * do not know. */
static void negotiate(struct client *c, const struct startup *s)
{
    struct text options[STARTUP_MAX_PARAMS];
    struct buf b;
    int n = 0;

    for (int i = 0; i < s->n_params; i++)
        if (text_starts(s->params[i].name, TEXT("_pq_.")))
            options[n++] = s->params[i].name;
    uint16_t minor = s->minor >= OUR_MINOR ? OUR_MINOR : 0;
    c->long_key = minor >= 2;
    if (s->minor == minor && n == 0)
        return;
    buf_init(&b);
    wire_negotiate_build(&b, minor, options, n);
    client_send(c, &b);
    buf_release(&b);
}

static bool is_console(struct text db)
{
    return text_is(db, "pgbouncer") || text_is(db, "pgbulkhead");
}

static bool take_client_place(struct client *c)
{
    if (c->admin)
        return true;
    c->counted = quota_take(&c->engine->registry->clients);
    if (c->counted)
        return true;
    client_reject(c, REJECT_LIMIT);
    client_close(c, "53300", "no more connections allowed (max_client_conn)");
    return false;
}

/* As a server of those days said it: text without fields. */
static void refuse_v2(struct client *c)
{
    static const char error[] = "EFATAL:  old V2 protocol not supported\n";

    conn_write_copy(c->conn, error, sizeof(error));
    client_drop(c, "old V2 protocol not supported");
}

/* At the end the Unix socket stays open for the console only. */
static bool comes_too_late(const struct client *c)
{
    struct registry *r = c->engine->registry;

    return atomic_load(&r->shutting_down) && !atomic_load(&r->handed_over) &&
           (c->is_unix || !atomic_load(&r->admits_last));
}

static void startup_message(struct client *c, const struct startup *s)
{
    struct err err = { 0 };

    if (tls_demanded(c) && !c->conn->tls) {
        client_reject(c, REJECT_TLS);
        client_close(c, NULL, "SSL required");
        return;
    }
    if (!read_params(c, s, &err)) {
        client_reject(c, REJECT_PROTOCOL);
        client_close(c, err.sqlstate[0] ? err.sqlstate : NULL, "%s", err.msg);
        return;
    }
    c->admin = is_console(c->db_name);
    if (comes_too_late(c) && !c->admin) {
        client_reject(c, REJECT_OTHER);
        client_close(c, "57P01", "pooler is shutting down");
        return;
    }
    if (!take_client_place(c))
        return;
    negotiate(c, s);
    if (c->closing)
        return;
    if (!c->admin)
        c->login->db = setup_database(c->setup, c->db_name, &c->arena);
    client_auth_begin(c);
}

size_t client_startup_input(struct client *c, char *data, size_t n)
{
    struct startup s;
    struct err err = { 0 };

    if (c->cancel_left)
        return n; /* a cancel request: nothing may follow */
    if (data[0] == TLS_HANDSHAKE && !c->conn->tls && !c->login->ssl_asked)
        return direct_tls(c, data, n);
    switch (startup_parse(data, n, &s, &err)) {
    case STARTUP_MORE:
        return 0;
    case STARTUP_SSL:
        return ssl_request(c, n);
    case STARTUP_GSS:
        if (c->login->gss_asked || c->conn->tls) {
            client_close(c, NULL, "GSSAPI request inside of a connection that had asked already");
            return n;
        }
        c->login->gss_asked = true;
        if (n > s.len) {
            client_reject(c, REJECT_PROTOCOL);
            client_close(c, NULL, "received unencrypted data after GSSAPI encryption request");
            return n;
        }
        conn_write_copy(c->conn, "N", 1);
        return n;
    case STARTUP_CANCEL: /* number and secret follow one another */
        cancel_request(c, text_n(s.cancel_key.p - 4, s.cancel_key.n + 4));
        return n;
    case STARTUP_MESSAGE:
        startup_message(c, &s);
        if (!c->closing)
            wipe(data, s.len); /* there may have been a token in it */
        return c->closing ? n : s.len;
    case STARTUP_V2:
        client_reject(c, REJECT_PROTOCOL);
        refuse_v2(c);
        return n;
    default:
        client_reject(c, REJECT_PROTOCOL);
        client_close(c, NULL, "%s", err.msg[0] ? err.msg : "invalid startup packet");
        return n;
    }
}
