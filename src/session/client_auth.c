/* SPDX-License-Identifier: ISC */
/* Who is the client? Which exchange proves it, look-ups by auth_query, and what is kept of a proof
 * for servers. */
#include "session/lookup.h"
#include "session/login.h"

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

/* auth_type=cert: the certificate's common name is the user name. */
static void check_cert(struct client *c)
{
    char *cn = c->conn->tls ? tls_peer_cn(c->conn->tls) : NULL;
    bool ok = cn && text_is(c->user_name, cn) && (c->user || c->login->looked_up);

    free(cn);
    if (!ok) {
        client_reject(c, REJECT_AUTH);
        client_close(c, "28000", "TLS certificate name mismatch");
        return;
    }
    client_login_proven(c);
}

static void auth_failed(struct client *c, const struct err *e)
{
    client_reject(c, REJECT_AUTH);
    client_close(c, e->sqlstate[0] ? e->sqlstate : "28P01", "%s", e->msg);
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
    if (c->user && c->user->password_token) {
        ask_for_token(c);
        return;
    }
    if (ask_for_user(c))
        return;
    authenticate(c);
}

/* What SCRAM may be bound to: the client's TLS connection. On a Unix socket nobody is between. */
static void client_binding(const struct client *c, struct scram_binding *out)
{
    int how = c->setup->g.client_tls_channel_binding;

    *out = (struct scram_binding){ .required = how == BINDING_REQUIRE && !c->is_unix };
    if (how != BINDING_DISABLE && c->conn->tls)
        out->n = tls_end_point(c->conn->tls, out->data);
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
    struct scram_binding binding;
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

void client_auth_message(struct client *c, const char *body, size_t n)
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
        client_login_proven(c);
}

/* Keeps what the client proved, for logging in to servers as the same user. */
bool client_auth_keep(struct client *c)
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
void client_auth_share(struct client *c)
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
