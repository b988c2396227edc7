/* SPDX-License-Identifier: ISC */
/* A client's way from its first byte to ReadyForQuery: TLS, startup packet, authentication, limits,
 * tenant, welcome. */
#include "session/identity.h"
#include "session/lookup.h"
#include "session/record.h"

#include "base/check.h"
#include "base/random.h"
#include "wire/startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum phase { PHASE_STARTUP, PHASE_TLS, PHASE_LOOKUP, PHASE_PASSWORD, PHASE_WELCOME };

struct client_login {
    enum phase phase;
    struct login_check *check;
    const struct database_conf *db; /* NULL: no such database; told after the password was right */
    struct pool *pool;
    struct vars vars; /* from the startup packet */
    bool auth_done;
    bool ssl_asked, gss_asked;
    bool has_search_path;
    bool token_password; /* the password is a token */
    struct login_given given;
    bool looked_up;      /* auth_query has the user */
    char *looked_secret; /* malloc, wiped; NULL: none */
};

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
    vars_release(&l->vars, &c->engine->hub->var_names);
    free(l);
}

static void reject(struct client *c, enum reject_reason why)
{
    stat_inc(&c->engine->stats.rejected[why]);
}

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
        reject(c, REJECT_PROTOCOL);
        client_close(c, NULL, "SSL request inside of a connection that had asked already");
        return n;
    }
    c->login->ssl_asked = true;
    if (n > 8) { /* they would be taken for part of the encrypted session */
        reject(c, REJECT_TLS);
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
        reject(c, REJECT_TLS);
        client_drop(c, err.msg);
    }
    return n;
}

void client_login_secured(struct client *c, bool ok, const char *text)
{
    struct engine *e = c->engine;

    if (!ok) {
        char why[600];
        stat_inc(&e->stats.tls_errors[0]);
        reject(c, REJECT_TLS);
        snprintf(why, sizeof(why), "TLS handshake failed: %s", text ? text : "");
        client_drop(c, why);
        return;
    }
    stat_inc(&e->stats.tls_handshakes[0][strcmp(tls_version(c->conn->tls), "TLSv1.3") == 0]);
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

static bool read_params(struct client *c, const struct startup *s, struct err *e)
{
    struct text user = TEXT(""), db = TEXT("");

    for (int i = 0; i < s->n_params; i++) {
        struct text name = s->params[i].name, value = s->params[i].value;
        if (text_is(name, "user")) {
            user = value;
        } else if (text_is(name, "database")) {
            db = value;
        } else if (text_is(name, "options")) {
            if (ignored(c->engine->setup, name)) {
                if (!ignored_options(c, value, e))
                    return false;
                continue;
            }
            if (!startup_options(value, &c->arena, set_param, c, e))
                return false;
        } else if (text_is(name, "replication")) {
            if (!text_is_i(value, "false") && !text_is_i(value, "off") && !text_is(value, "0") &&
                !text_is_i(value, "no"))
                return err_set_state(e, "0A000", "replication connections are not supported");
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

/* A client of a newer protocol is told what we speak, and which options we do not know. */
static void negotiate(struct client *c, const struct startup *s)
{
    struct text options[STARTUP_MAX_PARAMS];
    struct buf b;
    int n = 0;

    for (int i = 0; i < s->n_params; i++)
        if (text_starts(s->params[i].name, TEXT("_pq_.")))
            options[n++] = s->params[i].name;
    if (s->minor == 0 && n == 0)
        return;
    buf_init(&b);
    wire_negotiate_build(&b, 0, options, n);
    client_send(c, &b);
    buf_release(&b);
}

/* ---- authentication ---- */

static bool is_console(struct text db)
{
    return text_is(db, "pgbouncer") || text_is(db, "pgbulkhead");
}

/* The process's own uid over the Unix socket is administrator without a password, under these two
 * names. */
static bool own_uid(const struct client *c)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (!c->is_unix || !(text_is(c->user_name, "pgbouncer") || text_is(c->user_name, "pgbulkhead")))
        return false;
    return getsockopt(c->conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           cred.uid == geteuid();
}

static enum auth_method method_of(const struct setup *s)
{
    switch (s->g.auth_type) {
    case AUTH_ANY:
        return AUTH_M_ANY;
    case AUTH_TRUST:
        return AUTH_M_TRUST;
    case AUTH_PLAIN:
        return AUTH_M_PLAIN;
    case AUTH_CERT:
        return AUTH_M_CERT;
    case AUTH_SCRAM:
        return AUTH_M_SCRAM;
    default:
        return AUTH_M_MD5;
    }
}

static void finish(struct client *c);

/* auth_type=cert: the certificate's common name is the user name. */
static void check_cert(struct client *c)
{
    char *cn = c->conn->tls ? tls_peer_cn(c->conn->tls) : NULL;
    bool ok = cn && text_is(c->user_name, cn) && (c->user || c->login->looked_up);

    free(cn);
    if (!ok) {
        reject(c, REJECT_AUTH);
        client_close(c, "28000", "TLS certificate name mismatch");
        return;
    }
    finish(c);
}

static void auth_failed(struct client *c, const struct err *e)
{
    reject(c, REJECT_AUTH);
    client_close(c, e->sqlstate[0] ? e->sqlstate : "28P01", "%s", e->msg);
}

/* A user who logs in with a token: in clear, so only where nobody can read along. */
static void ask_for_token(struct client *c)
{
    struct buf out;

    if (!c->is_unix && !c->conn->tls && !c->setup->g.tenant_token_plaintext) {
        reject(c, REJECT_AUTH);
        client_close(c, "28000", "user \"%s\" logs in with a token, which needs TLS",
                     c->user_name.p);
        return;
    }
    buf_init(&out);
    wire_auth_build(&out, 3, NULL, 0);
    client_send(c, &out);
    buf_release(&out);
    c->login->token_password = true;
    c->login->phase = PHASE_PASSWORD;
}

static void token_message(struct client *c, const char *body, size_t n)
{
    struct err err = { 0 };
    struct rd r = rd_init(body, n);
    struct text given = rd_cstr(&r);

    if (!rd_done(&r))
        err_set_state(&err, "08P01", "token authentication failed");
    else if (identity_password(c, &c->login->given, given, &err)) {
        finish(c);
        return;
    }
    auth_failed(c, &err);
}

static void authenticate(struct client *c);

/* auth_query: false when the user needs none. */
static bool ask_for_user(struct client *c)
{
    const struct database_conf *db = c->login->db;
    const char *who = db && db->auth_user ? db->auth_user : c->setup->g.auth_user;
    struct hub *h = c->engine->hub;

    if (!*who || c->setup->g.auth_type == AUTH_ANY || (c->user && c->user->in_auth_file))
        return false;
    struct lookup_ask *a = lookup_ask_new(c);
    if (!a) {
        client_drop(c, "out of memory");
        return true;
    }
    c->login->phase = PHASE_LOOKUP;
    h->calls->lookup(h->calls_arg, a);
    return true;
}

void client_login_looked_up(struct client *c, const struct mail_lookup *m)
{
    struct client_login *l = c->login;
    struct claim *claims;

    if (!l || l->phase != PHASE_LOOKUP || c->closing)
        return;
    if (m->result == LOOKUP_FAILED) {
        reject(c, REJECT_AUTH);
        client_close(c, "08006", "%s", m->text);
        return;
    }
    l->looked_up = m->result == LOOKUP_FOUND;
    if (l->looked_up) { /* the user is whom the query names */
        c->user_name = arena_text(&c->arena, m->user);
        const struct user_conf *other = setup_user(c->setup, c->user_name);
        if (other != c->user && other && (other->in_auth_file || other->password_token)) {
            reject(c, REJECT_AUTH);
            client_close(c, "28000", "auth_query names a user who is not looked up");
            return;
        }
        c->user = other;
        l->looked_secret = text_dup(m->secret);
        if (m->tenant.p)
            l->given.looked_tenant = arena_text(&c->arena, m->tenant);
        claims = ARENA_ARRAY(&c->arena, struct claim, m->n_claims + 1);
        for (int i = 0; i < m->n_claims; i++)
            claims[i] = (struct claim){ arena_text(&c->arena, m->claims[i].name),
                                        arena_text(&c->arena, m->claims[i].value) };
        l->given.looked_claims = claims;
        l->given.n_looked_claims = m->n_claims;
        if (!l->looked_secret || m->user.n > 127) {
            client_drop(c, m->user.n > 127 ? "user name is too long" : "out of memory");
            return;
        }
    }
    authenticate(c);
    if (c->closing || !c->conn)
        return;
    conn_resume(c->conn);
    conn_reshow(c->conn);
}

static void begin_auth(struct client *c)
{
    const struct setup *s = c->setup;

    c->user = setup_user(s, c->user_name);
    if (s->g.log_connections)
        client_log(c, LOG_LV_LOG, "login attempt: db=%s user=%s tls=%s", c->db_name.p,
                   c->user_name.p, c->conn->tls ? tls_describe(c->conn->tls) : "no");
    if (c->admin && own_uid(c)) {
        finish(c);
        return;
    }
    if (c->user && c->user->password_token) {
        ask_for_token(c);
        return;
    }
    if (ask_for_user(c))
        return;
    authenticate(c);
}

/* The exchange that auth_type demands, when it is known what there is about the user. */
static void authenticate(struct client *c)
{
    struct client_login *l = c->login;
    const struct setup *s = c->setup;
    enum auth_method method = method_of(s);
    struct err err = { 0 };
    struct buf out;
    enum auth_step step;
    bool known = l->looked_up || (c->user && (c->user->in_auth_file || method == AUTH_M_CERT));
    if (method == AUTH_M_CERT) {
        check_cert(c);
        return;
    }
    if (method == AUTH_M_TRUST && !known) {
        snprintf(err.msg, sizeof(err.msg), "\"trust\" authentication failed");
        auth_failed(c, &err);
        return;
    }
    struct text secret = l->looked_up ? text_of(l->looked_secret)
                         : c->user    ? c->user->secret
                                      : TEXT("");
    if (method == AUTH_M_SCRAM)
        secret = scram_cache_get(c->engine->scram, c->user_name, secret);
    buf_init(&out);
    l->check = login_check_new(method, c->user_name, secret, known, c->engine->hub->mock_seed,
                               (uint32_t)s->g.scram_iterations, &out, &step, &err);
    if (!l->check) {
        buf_wipe(&out);
        client_drop(c, "out of memory");
        return;
    }
    if (out.n)
        client_send(c, &out);
    buf_wipe(&out);
    if (step == AUTH_OK)
        finish(c);
    else if (step == AUTH_REFUSED)
        auth_failed(c, &err);
    else
        l->phase = PHASE_PASSWORD;
}

static void password_message(struct client *c, const char *body, size_t n)
{
    struct client_login *l = c->login;
    struct err err = { 0 };
    struct buf out;

    if (l->token_password) {
        token_message(c, body, n);
        return;
    }
    buf_init(&out);
    enum auth_step step = login_check_step(l->check, body, n, &out, &err);
    if (out.n)
        client_send(c, &out);
    buf_wipe(&out);
    if (c->closing)
        return;
    if (step == AUTH_REFUSED)
        auth_failed(c, &err);
    else if (step == AUTH_OK)
        finish(c);
}

/* ---- after authentication ---- */

/* Keeps what the client proved, for logging in to servers as the same user. */
static bool keep_proof(struct client *c)
{
    struct client_login *l = c->login;
    const struct scram_keys *keys = l->check ? login_check_keys(l->check) : NULL;
    struct text password = l->check ? login_check_password(l->check) : TEXT("");

    if (keys && keys->valid) {
        c->keys = malloc(sizeof(*c->keys));
        if (!c->keys)
            return false;
        *c->keys = *keys;
    }
    if (password.n) {
        c->password = strndup(password.p, password.n);
        if (!c->password)
            return false;
    } else if (!c->keys && l->looked_secret && *l->looked_secret &&
               !scram_is_secret(text_of(l->looked_secret))) {
        c->password = strdup(l->looked_secret); /* as one of auth_file would serve */
        if (!c->password)
            return false;
    }
    return true;
}

/* The shard's servers may log in with what its latest client proved. */
static void share_proof(struct client *c)
{
    struct shard *sh = c->shard;

    if (c->keys && !sh->db->user) {
        if (!sh->keys)
            sh->keys = malloc(sizeof(*sh->keys));
        if (sh->keys)
            *sh->keys = *c->keys;
    }
    if (c->password && !sh->db->user) {
        if (sh->password) {
            wipe(sh->password, strlen(sh->password));
            free(sh->password);
        }
        sh->password = strdup(c->password);
    }
}

static void console_login(struct client *c)
{
    bool admin = own_uid(c) || (c->user && c->user->is_admin) || c->setup->g.auth_type == AUTH_ANY;

    if (!admin && !(c->user && c->user->is_stats)) {
        reject(c, REJECT_AUTH);
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
    h->calls->console(h->calls_arg, conn, text_of(c->console_user), c->console_admin,
                      buf_text(&early));
    buf_release(&early);
    client_drop(c, "handed to the console");
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
    c->db_counted = quota_take(&c->shard->pool->db->clients);
    if (!c->db_counted) {
        reject(c, REJECT_LIMIT);
        client_close(c, "53300", "client connections exceeded (max_db_client_connections)");
        return false;
    }
    c->user_counted = quota_take(&c->login_user->clients);
    if (!c->user_counted) {
        reject(c, REJECT_LIMIT);
        client_close(c, "53300", "client connections exceeded (max_user_client_connections)");
        return false;
    }
    return true;
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
        reject(c, REJECT_TENANT);
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
        reject(c, REJECT_TENANT);
        client_close(c, "57P03", "tenant \"%.*s\" is being deleted",
                     TEXT_ARG(c->identity.claims[0].value));
        return false;
    }
    for (int i = 0; i < c->engine->hub->var_names.n; i++) {
        struct text why, name = text_of(c->engine->hub->var_names.name[i]);
        if (c->login->vars.value[i] && client_enforced(c) &&
            !policy_startup_ok(name, text_of(c->login->vars.value[i]), &why)) {
            reject(c, REJECT_TENANT);
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
    reject(c, REJECT_TENANT);
    client_close(c, "28000", "row-level security does not hold role \"%.*s\": %.*s", TEXT_ARG(role),
                 TEXT_ARG(why));
    return false;
}

static struct text server_user(const struct client *c)
{
    return c->login->db->user ? text_of(c->login->db->user) : c->user_name;
}

static void wait_for_welcome(struct client *c);

/* Password (or whatever was asked for) is right. */
static void finish(struct client *c)
{
    struct client_login *l = c->login;
    struct engine *e = c->engine;

    l->auth_done = true;
    if (!keep_proof(c)) {
        client_drop(c, "out of memory");
        return;
    }
    if (c->admin) {
        console_login(c);
        return;
    }
    if (!l->db) {
        reject(c, REJECT_OTHER);
        client_close(c, "3D000", "no such database: %s", c->db_name.p);
        return;
    }
    if (c->setup->g.auth_type == AUTH_ANY && !l->db->user) {
        reject(c, REJECT_AUTH);
        client_close(c, "28000", "auth_type=any requires a forced user");
        return;
    }
    if (!bind_tenant(c))
        return;
    struct pool *pool = registry_pool(e->registry, c->db_name, server_user(c), client_enforced(c));
    c->shard = pool ? engine_shard(e, pool) : NULL;
    if (!c->shard) {
        client_drop(c, "out of memory");
        return;
    }
    if (!c->shard->db)
        shard_refresh(e, c->shard);
    if (!c->shard->db || atomic_load(&pool->db->disabled)) {
        client_close(c, NULL, "database \"%s\" is disabled", c->db_name.p);
        return;
    }
    setup_limits(c->setup, l->db, c->user, &c->limits);
    c->pool_mode = c->limits.pool_mode;
    c->query_timeout = c->user && c->user->query_timeout != TIME_UNSET ? c->user->query_timeout
                                                                       : c->setup->g.query_timeout;
    c->idle_transaction_timeout = c->user && c->user->idle_transaction_timeout != TIME_UNSET
                                      ? c->user->idle_transaction_timeout
                                      : c->setup->g.idle_transaction_timeout;
    c->transaction_timeout = c->user && c->user->transaction_timeout != TIME_UNSET
                                 ? c->user->transaction_timeout
                                 : c->setup->g.transaction_timeout;
    c->idle_timeout = c->user && c->user->client_idle_timeout != TIME_UNSET
                          ? c->user->client_idle_timeout
                          : c->setup->g.client_idle_timeout;
    if (!take_places(c))
        return;
    share_proof(c);
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

/* The server's parameters, the client's own values in place of them, key, ready. */
static bool send_welcome(struct client *c, const struct welcome *w)
{
    struct hub *h = c->engine->hub;
    struct client_login *l = c->login;
    struct buf b;

    if (!vars_copy(&c->vars, &w->vars, &h->var_names) ||
        !vars_copy(&c->vars, &l->vars, &h->var_names) || !add_host(c))
        return false;
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
    do {
        random_bytes(c->cancel_key, sizeof(c->cancel_key));
        c->cancel_key[0] &= 0x7f; /* some drivers print the first half as a signed number */
    } while (map_get(&c->engine->cancel_keys, text_n((const char *)c->cancel_key, 8)));
    map_put(&c->engine->cancel_keys, text_n((const char *)c->cancel_key, 8), c);
    struct rd r = rd_init((const char *)c->cancel_key, 8);
    uint32_t id = rd_u32(&r);
    wire_keydata_build(&b, id, c->cancel_key + 4, 4);
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

static bool take_client_place(struct client *c)
{
    if (c->admin)
        return true;
    c->counted = quota_take(&c->engine->registry->clients);
    if (c->counted)
        return true;
    reject(c, REJECT_LIMIT);
    client_close(c, "53300", "no more connections allowed (max_client_conn)");
    return false;
}

static void startup_message(struct client *c, const struct startup *s)
{
    struct engine *e = c->engine;
    struct err err = { 0 };

    if (tls_demanded(c) && !c->conn->tls) {
        reject(c, REJECT_TLS);
        client_close(c, NULL, "SSL required");
        return;
    }
    if (!read_params(c, s, &err)) {
        reject(c, REJECT_PROTOCOL);
        client_close(c, err.sqlstate[0] ? err.sqlstate : NULL, "%s", err.msg);
        return;
    }
    c->admin = is_console(c->db_name);
    if (atomic_load(&e->registry->shutting_down) && !c->admin) {
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
    begin_auth(c);
}

static size_t first_packet(struct client *c, char *data, size_t n)
{
    struct startup s;
    struct err err = { 0 };

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
            reject(c, REJECT_PROTOCOL);
            client_close(c, NULL, "received unencrypted data after GSSAPI encryption request");
            return n;
        }
        conn_write_copy(c->conn, "N", 1);
        return n;
    case STARTUP_CANCEL: {
        unsigned char key[8];
        struct buf b;
        buf_init(&b);
        msg_u32(&b, s.cancel_id);
        buf_text_append(&b, s.cancel_key);
        if (!b.failed && b.n == sizeof(key)) {
            memcpy(key, b.p, sizeof(key));
            cancel_request(c->engine, key);
        }
        buf_release(&b);
        client_drop(c, "cancel request");
        return n;
    }
    case STARTUP_MESSAGE:
        startup_message(c, &s);
        if (!c->closing)
            wipe(data, s.len); /* there may have been a token in it */
        return c->closing ? n : s.len;
    default:
        reject(c, REJECT_PROTOCOL);
        client_close(c, NULL, "%s", err.msg[0] ? err.msg : "invalid startup packet");
        return n;
    }
}

size_t client_login_input(struct client *c, char *data, size_t n)
{
    size_t pos = 0;

    while (pos < n && !c->closing && client_at_login(c) && !list_linked(&c->console_node)) {
        struct client_login *l = c->login;
        struct frame f;
        if ((l->phase == PHASE_WELCOME || l->phase == PHASE_LOOKUP) && n - pos >= CLIENT_KEEP)
            conn_pause(c->conn); /* client_login_resume goes on */
        if (l->phase == PHASE_TLS || l->phase == PHASE_WELCOME || l->phase == PHASE_LOOKUP)
            break;
        if (l->phase == PHASE_STARTUP) {
            size_t used = first_packet(c, data + pos, n - pos);
            if (used == 0)
                break;
            pos += used;
            continue;
        }
        enum frame_status st = frame_peek(data + pos, n - pos, 70000, &f);
        if (st == FRAME_MORE || (st == FRAME_OK && f.len > n - pos))
            break;
        if (st == FRAME_BAD || f.type != 'p') {
            reject(c, REJECT_PROTOCOL);
            client_close(c, NULL,
                         st == FRAME_BAD ? "invalid message length" : "password message expected");
            break;
        }
        password_message(c, data + pos + 5, f.len - 5);
        if (!c->closing)
            wipe(data + pos + 5, f.len - 5);
        pos += f.len;
    }
    return c->closing ? n : pos;
}
