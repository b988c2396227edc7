/* SPDX-License-Identifier: ISC */
/* Who is the client? Which exchange proves it, look-ups by auth_query, and what is kept of a proof
 * for servers. */
#include "session/lookup.h"
#include "session/login.h"
#include "session/proof.h"
#include "session/proven.h"

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The process's own uid over the Unix socket is administrator without a password, under these two
 * names. */
bool client_own_uid(const struct client *c)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (!c->is_unix || !(text_is(c->user_name, "pgbouncer") || text_is(c->user_name, "pgbulkhead")))
        return false;
    return getsockopt(c->conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           cred.uid == geteuid();
}

static void auth_failed(struct client *c, const struct err *e)
{
    client_reject(c, REJECT_AUTH);
    client_close(c, e->sqlstate[0] ? e->sqlstate : "28P01", "%s", e->msg);
}

/* The fields of a client's certificate say who it is; what is wrong stands in the log only. */
static bool cert_names(struct client *c, struct text map)
{
    enum tls_field_found found = TLS_FIELD_NONE;
    const char *why = NULL;
    char *cn = NULL;

    if (c->conn->tls)
        found = tls_peer_field(c->conn->tls, TLS_FIELD_CN, &cn);
    if (!c->conn->tls)
        why = "TLS connection required";
    else if (found == TLS_FIELD_NONE)
        why = "TLS client certificate required";
    else if (found != TLS_FIELD_ONE || !access_mapped(c->setup->hba, map, cn, c->user_name))
        why = "TLS certificate name mismatch";
    free(cn);
    if (!why)
        return true;
    client_log(c, LOG_LV_ERROR, "%s", why);
    return false;
}

static void cert_failed(struct client *c)
{
    client_reject(c, REJECT_AUTH);
    client_close(c, "28000", "certificate authentication failed");
}

/* clientcert= of the rule, whatever its method. */
static bool cert_asked(struct client *c, const struct hba_rule *r)
{
    char *cn = NULL;
    bool ok = true;

    if (r->clientcert == HBA_CERT_CA) { /* verified; its fields do not matter */
        ok = c->conn->tls && tls_peer_field(c->conn->tls, TLS_FIELD_CN, &cn) != TLS_FIELD_NONE;
        free(cn);
        if (!ok)
            client_log(c, LOG_LV_ERROR, "TLS client certificate required");
    } else if (r->clientcert == HBA_CERT_FULL) {
        ok = cert_names(c, r->map);
    }
    if (!ok)
        cert_failed(c);
    return ok;
}

static enum login_how how_of(enum hba_method m)
{
    static const enum login_how how[] = {
        [HBA_TRUST] = HOW_TRUST, [HBA_PLAIN] = HOW_PLAIN, [HBA_MD5] = HOW_MD5,
        [HBA_SCRAM] = HOW_SCRAM, [HBA_CERT] = HOW_CERT,   [HBA_PEER] = HOW_PEER,
        [HBA_PAM] = HOW_PAM,     [HBA_LDAP] = HOW_LDAP
    };
    return how[m];
}

/* The console has two names: who rejects by one of them means both. p NULL: not the console. */
static struct text other_console(const struct client *c)
{
    if (!c->admin)
        return text_n(NULL, 0);
    return text_is(c->db_name, "pgbouncer") ? TEXT("pgbulkhead") : TEXT("pgbouncer");
}

/* How this login is to be proven. false: not at all, the client was closed. */
static bool choose(struct client *c)
{
    static const enum login_how how[] = {
        [AUTH_ANY] = HOW_ANY, [AUTH_TRUST] = HOW_TRUST, [AUTH_PLAIN] = HOW_PLAIN,
        [AUTH_MD5] = HOW_MD5, [AUTH_CERT] = HOW_CERT,   [AUTH_LDAP] = HOW_LDAP,
        [AUTH_PAM] = HOW_PAM, [AUTH_SCRAM] = HOW_SCRAM
    };
    struct client_login *l = c->login;

    if (c->setup->g.auth_type != AUTH_HBA) {
        l->how = how[c->setup->g.auth_type];
        return true;
    }
    const struct access_ask ask = { .db = c->db_name,
                                    .user = c->user_name,
                                    .also = other_console(c),
                                    .is_unix = c->is_unix,
                                    .tls = c->conn->tls != NULL,
                                    .replication = c->replication == REPLICATION_PHYSICAL,
                                    .peer = &c->conn->peer };
    l->rule = access_rule(c->setup->hba, &ask);
    if (!l->rule || l->rule->method == HBA_REJECT) {
        if (l->rule)
            client_log(c, LOG_LV_LOG, "rejected by %s:%d", l->rule->file, l->rule->line);
        else
            client_log(c, LOG_LV_LOG, "no line of auth_hba_file is for this login");
        client_reject(c, REJECT_HBA);
        client_close(c, "28000", "login rejected");
        return false;
    }
    l->how = how_of(l->rule->method);
    return cert_asked(c, l->rule);
}

static bool wants_look_up(const struct client *c);

/* Is there such a user, where no secret is asked for? Whom auth_query was asked about, and does not
 * know, is nobody: [users] says what users may do, not that they are there still. */
static bool is_there(const struct client *c)
{
    return c->login->looked_up || (c->user && (c->admin || !wants_look_up(c)));
}

/* cert: the certificate's common name is the user name, or is mapped to it. */
static void check_cert(struct client *c)
{
    if (!cert_names(c, c->login->rule ? c->login->rule->map : text_n(NULL, 0)))
        cert_failed(c);
    else if (!is_there(c)) {
        client_log(c, LOG_LV_LOG, "no such user: %s", c->user_name.p);
        cert_failed(c);
    } else
        client_login_proven(c);
}

/* A user who logs in with a token: in clear, so only where nobody can read along. */
static void ask_for_token(struct client *c)
{
    struct buf out;

    if (!c->is_unix && !c->conn->tls && !c->setup->g.tenant_token_plaintext) {
        client_reject(c, REJECT_AUTH);
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
        client_login_proven(c);
        return;
    }
    auth_failed(c, &err);
}

static void authenticate(struct client *c);

/* Does auth_query have to be asked about the user? Those whom others prove are not looked up, but
 * for their tenant. */
static bool wants_look_up(const struct client *c)
{
    const struct database_conf *db = c->login->db;
    const char *who = db && db->auth_user ? db->auth_user : c->setup->g.auth_user;
    enum login_how how = c->login->how;

    if (!*who || how == HOW_ANY || (c->user && c->user->in_auth_file))
        return false;
    return (how != HOW_PAM && how != HOW_LDAP) || (c->setup->tenant_sources & SOURCE_AUTH_QUERY);
}

/* auth_query: false when the user needs none. */
static bool ask_for_user(struct client *c)
{
    const struct database_conf *db = c->login->db;
    const char *where = db && db->auth_dbname ? db->auth_dbname : c->setup->g.auth_dbname;
    struct hub *h = c->engine->hub;

    if (!wants_look_up(c))
        return false;
    struct db_ledger *in = *where ? registry_find_db(c->engine->registry, text_of(where)) : NULL;
    if (in && atomic_load(&in->disabled)) {
        client_reject(c, REJECT_AUTH);
        client_close(c, NULL, "authentication database \"%s\" is disabled", where);
        return true;
    }
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
        client_reject(c, REJECT_AUTH);
        client_close(c, "08006", "%s", m->text);
        return;
    }
    l->looked_up = m->result == LOOKUP_FOUND;
    if (l->looked_up) { /* the user is whom the query names */
        c->user_name = arena_text(&c->arena, m->user);
        const struct user_conf *other = setup_user(c->setup, c->user_name);
        if (other != c->user && other && (other->in_auth_file || other->password_token)) {
            client_reject(c, REJECT_AUTH);
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
        if (!choose(c)) /* the rules are about the user by that name */
            return;
    }
    authenticate(c);
    if (c->closing || !c->conn)
        return;
    conn_resume(c->conn);
    conn_reshow(c->conn);
}

void client_auth_begin(struct client *c)
{
    const struct setup *s = c->setup;

    c->user = setup_user(s, c->user_name);
    if (s->g.log_connections)
        client_log(c, LOG_LV_LOG, "login attempt: db=%s user=%s tls=%s", c->db_name.p,
                   c->user_name.p, c->conn->tls ? tls_describe(c->conn->tls) : "no");
    if (c->admin && client_own_uid(c)) {
        client_login_proven(c);
        return;
    }
    if (!choose(c))
        return;
    if (c->user && c->user->password_token) {
        ask_for_token(c);
        return;
    }
    if (ask_for_user(c))
        return;
    authenticate(c);
}

/* A question that another thread answers; meanwhile the client waits. */
static void ask_outside(struct client *c, enum proof_kind kind, struct text password)
{
    struct hub *h = c->engine->hub;
    struct proof_ask *a = proof_ask_new(c, kind, c->login->rule, password);

    if (!a) {
        client_drop(c, "out of memory");
        return;
    }
    c->login->phase = PHASE_PROOF;
    h->calls->prove(h->calls_arg, a);
}

void client_auth_answered(struct client *c, enum outside_answer answer)
{
    struct client_login *l = c->login;
    struct err err = { 0 };

    if (!l || l->phase != PHASE_PROOF || c->closing)
        return;
    if (answer != OUTSIDE_YES) {
        err_set_state(&err, l->how == HOW_PEER ? "28000" : "28P01", "%s",
                      l->how == HOW_PEER  ? "unix socket login rejected"
                      : l->how == HOW_PAM ? "PAM authentication failed"
                                          : "LDAP authentication failed");
        auth_failed(c, &err);
        return;
    }
    client_login_proven(c);
    if (c->closing || !c->conn)
        return;
    conn_resume(c->conn);
    conn_reshow(c->conn);
}

static void check_peer(struct client *c)
{
    if (is_there(c)) {
        ask_outside(c, PROOF_PEER, text_n(NULL, 0));
        return;
    }
    client_log(c, LOG_LV_LOG, "no such user: %s", c->user_name.p);
    client_reject(c, REJECT_AUTH);
    client_close(c, "28000", "unix socket login rejected");
}

/* PAM and LDAP need the password itself. */
static void ask_for_password(struct client *c)
{
    struct buf out;

    buf_init(&out);
    wire_auth_build(&out, 3, NULL, 0);
    client_send(c, &out);
    buf_release(&out);
    c->login->phase = PHASE_PASSWORD;
}

static void outside_message(struct client *c, const char *body, size_t n)
{
    struct client_login *l = c->login;
    struct err err = { 0 };
    struct rd r = rd_init(body, n);
    struct text given = rd_cstr(&r);

    if (!rd_done(&r) || !given.n) {
        err_set_state(&err, given.n ? "08P01" : "28P01", "%s authentication failed",
                      l->how == HOW_PAM ? "PAM" : "LDAP");
        auth_failed(c, &err);
        return;
    }
    l->typed = text_dup(given);
    if (!l->typed) {
        client_drop(c, "out of memory");
        return;
    }
    ask_outside(c, l->how == HOW_PAM ? PROOF_PAM : PROOF_LDAP, given);
}

/* What SCRAM may be bound to: the client's TLS connection. On a Unix socket nobody is between. */
static void client_binding(const struct client *c, struct scram_binding *out)
{
    int how = c->setup->g.client_tls_channel_binding;

    *out = (struct scram_binding){ .required = how == BINDING_REQUIRE && !c->is_unix };
    if (how != BINDING_DISABLE && c->conn->tls)
        out->n = tls_end_point(c->conn->tls, out->data);
}

/* Exchanges that need nothing but what we know of the user. */
static void exchange(struct client *c, enum auth_method method)
{
    struct client_login *l = c->login;
    const struct setup *s = c->setup;
    bool known = l->looked_up || (c->user && c->user->in_auth_file);
    struct text secret = l->looked_up ? text_of(l->looked_secret)
                         : c->user    ? c->user->secret
                                      : TEXT("");
    struct scram_binding binding;
    struct err err = { 0 };
    struct buf out;
    enum auth_step step;

    if (!known && method != AUTH_M_ANY)
        client_log(c, LOG_LV_LOG, "no such user: %s", c->user_name.p);
    if (method == AUTH_M_SCRAM)
        secret = scram_cache_get(c->engine->scram, c->user_name, secret);
    buf_init(&out);
    client_binding(c, &binding);
    l->check = login_check_new(method, c->user_name, secret, known, c->engine->hub->mock_seed,
                               (uint32_t)s->g.scram_iterations, &binding, &out, &step, &err);
    if (!l->check) {
        buf_wipe(&out);
        client_drop(c, "out of memory");
        return;
    }
    if (out.n)
        client_send(c, &out);
    buf_wipe(&out);
    if (step == AUTH_OK)
        client_login_proven(c);
    else if (step == AUTH_REFUSED)
        auth_failed(c, &err);
    else
        l->phase = PHASE_PASSWORD;
}

/* What the method demands, when it is known what there is about the user. */
static void authenticate(struct client *c)
{
    switch (c->login->how) {
    case HOW_ANY:
        exchange(c, AUTH_M_ANY);
        break;
    case HOW_TRUST:
        exchange(c, AUTH_M_TRUST);
        break;
    case HOW_PLAIN:
        exchange(c, AUTH_M_PLAIN);
        break;
    case HOW_MD5:
        exchange(c, AUTH_M_MD5);
        break;
    case HOW_SCRAM:
        exchange(c, AUTH_M_SCRAM);
        break;
    case HOW_CERT:
        check_cert(c);
        break;
    case HOW_PEER:
        check_peer(c);
        break;
    case HOW_PAM:
    case HOW_LDAP:
        ask_for_password(c);
        break;
    }
}

void client_auth_message(struct client *c, const char *body, size_t n)
{
    struct client_login *l = c->login;
    struct err err = { 0 };
    struct buf out;

    if (l->token_password) {
        token_message(c, body, n);
        return;
    }
    if (l->how == HOW_PAM || l->how == HOW_LDAP) {
        outside_message(c, body, n);
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
        client_login_proven(c);
}

/* Keeps what the client proved, for logging in to servers as the same user. */
bool client_auth_keep(struct client *c)
{
    struct client_login *l = c->login;
    const struct scram_keys *keys = l->check ? login_check_keys(l->check) : NULL;
    struct text password = l->check ? login_check_password(l->check) : text_of(l->typed);
    struct text looked = text_of(l->looked_secret);
    bool serves = looked.n && !scram_is_secret(looked); /* as one of auth_file would */

    if (keys && keys->valid && !serves) { /* else they are of a secret that only we made */
        c->keys = malloc(sizeof(*c->keys));
        if (!c->keys)
            return false;
        *c->keys = *keys;
    }
    if (password.n) {
        c->password = strndup(password.p, password.n);
        if (!c->password)
            return false;
    } else if (serves) {
        c->password = strdup(l->looked_secret);
        if (!c->password)
            return false;
    }
    return true;
}

/* The pool's servers may log in with what its latest client proved. */
void client_auth_share(struct client *c)
{
    if (!c->shard->db->user && (c->keys || c->password))
        pool_proven_put(c->shard->pool, c->keys, c->password, c->login->typed != NULL);
}
