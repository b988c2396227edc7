/* SPDX-License-Identifier: ISC */
/* A login's tenant: certificate, startup parameter, token, auth_query, and what the configuration
 * says; and whether it still holds. */
#include "session/identity.h"

#include "base/random.h"

#include <stdlib.h>

static int64_t seconds(void)
{
    return (int64_t)(clock_wall_us() / USEC_PER_SEC);
}

/* ---- tokens ---- */

bool identity_token(struct client *c, struct text text, struct arena *a, struct token *out,
                    struct err *e)
{
    struct engine *en = c->engine;
    const struct settings *g = &en->setup->g;
    struct token_rules rules = { .audience = g->tenant_token_audience,
                                 .issuer = g->tenant_token_issuer,
                                 .tenant_claim = g->tenant_token_claim,
                                 .leeway_s = (int64_t)(g->tenant_token_leeway / USEC_PER_SEC),
                                 .max_age_s = (int64_t)(g->tenant_token_max_age / USEC_PER_SEC),
                                 .once = g->tenant_token_replay == 1 };
    int64_t now = seconds();

    if (!(en->setup->tenant_sources & SOURCE_TOKEN) || !en->tokens)
        return err_set_state(e, "28000", "tokens are not in use here");
    if (!token_read(en->tokens, &rules, text, now, a, out, e))
        return false;
    if (out->user.n && !text_eq(out->user, c->user_name))
        return err_set_state(e, "28000", "the token is for another user");
    if (rules.once && !token_replay_take(en->hub->replay, out, now))
        return err_set_state(e, "28000", "the token was used before");
    return true;
}

bool identity_password(struct client *c, struct login_given *g, struct text password, struct err *e)
{
    struct token t;
    struct err why = { 0 };

    if (!identity_token(c, password, &c->arena, &t, &why))
        return err_set_state(e, "28P01", "token authentication failed: %.900s", why.msg);
    if (!t.user.n && !text_eq(t.sub, c->user_name))
        return err_set_state(e, "28P01",
                             "token authentication failed: the token is for another "
                             "user");
    g->password_token.there = true;
    g->password_token.tenant = t.tenant;
    g->password_token.claims = t.claims;
    g->password_token.n_claims = t.n_claims;
    g->password_token.exp = t.exp;
    return true;
}

/* ---- startup parameters ---- */

bool identity_param(struct client *c, struct login_given *g, struct text name, struct text value,
                    bool *ok, struct err *e)
{
    unsigned sources = c->setup->tenant_sources;
    struct text *to;

    if ((sources & SOURCE_STARTUP) && text_is_i(name, c->setup->g.tenant_startup_option))
        to = &g->tenant;
    else if ((sources & SOURCE_TOKEN) && text_is_i(name, "pgbulkhead.tenant_token"))
        to = &g->token;
    else
        return false;
    *ok = !to->p;
    if (*ok)
        *to = arena_text(&c->arena, value);
    else
        err_set_state(e, "28000", "startup parameter %.*s is given twice", TEXT_ARG(name));
    return true;
}

/* ---- binding ---- */

struct sources {
    struct identity_says says[IDENTITY_SAYS_MAX];
    int n;
    bool by_name; /* the client itself said which tenant */
    int64_t exp;
};

static bool from_cert(struct client *c, struct sources *s, struct err *e)
{
    struct text prefix = text_of(c->setup->g.tenant_cert_prefix), value;
    char *field = NULL;

    if (!(c->setup->tenant_sources & SOURCE_CERT) || !c->conn->tls)
        return true;
    switch (tls_peer_field(c->conn->tls, (enum tls_field)c->setup->g.tenant_cert_field, &field)) {
    case TLS_FIELD_NONE:
        return true;
    case TLS_FIELD_SEVERAL:
        return err_set_state(e, "28000", "the certificate has the tenant's field more than once");
    case TLS_FIELD_BAD:
        return err_set_state(e, "28000", "the tenant's field of the certificate is malformed");
    case TLS_FIELD_ONE:
        break;
    }
    value = arena_text(&c->arena, text_of(field));
    free(field);
    if (!text_starts(value, prefix))
        return err_set_state(e, "28000",
                             "the tenant's field of the certificate does not begin as "
                             "tenant_cert_prefix says");
    s->says[s->n++] =
        (struct identity_says){ .source = "client certificate",
                                .tenant = text_n(value.p + prefix.n, value.n - prefix.n) };
    return true;
}

static bool from_token(struct client *c, struct login_given *g, struct sources *s, struct err *e)
{
    struct token t;

    if (!g->token.p)
        return true;
    bool ok = identity_token(c, g->token, &c->arena, &t, e);
    wipe((char *)(uintptr_t)g->token.p, g->token.n);
    if (!ok)
        return false;
    s->says[s->n++] = (struct identity_says){ .source = "token of the startup packet",
                                              .tenant = t.tenant,
                                              .claims = t.claims,
                                              .n_claims = t.n_claims };
    if (!s->exp || t.exp < s->exp)
        s->exp = t.exp;
    return true;
}

static bool gather(struct client *c, struct login_given *g, struct sources *s, struct err *e)
{
    if (!from_cert(c, s, e))
        return false;
    if (g->tenant.p) {
        s->says[s->n++] =
            (struct identity_says){ .source = "startup parameter", .tenant = g->tenant };
        s->by_name = true;
    }
    if (g->password_token.there) {
        s->says[s->n++] = (struct identity_says){ .source = "token given as password",
                                                  .tenant = g->password_token.tenant,
                                                  .claims = g->password_token.claims,
                                                  .n_claims = g->password_token.n_claims };
        s->exp = g->password_token.exp;
    }
    if (!from_token(c, g, s, e))
        return false;
    if (g->looked_tenant.p || g->n_looked_claims)
        s->says[s->n++] = (struct identity_says){ .source = "auth_query",
                                                  .tenant = g->looked_tenant,
                                                  .claims = g->looked_claims,
                                                  .n_claims = g->n_looked_claims };
    return true;
}

static bool bind_login(struct client *c, struct login_given *g, struct err *e)
{
    struct sources s = { .n = 0 };
    struct identity *id = &c->ident->own;

    if (!gather(c, g, &s, e) ||
        !identity_login(c->setup, c->user, c->user_name, s.says, s.n, &c->arena, id, e))
        return false;
    if (id->bound && !identity_granted(c->setup, c->user, id->claims[0].value, !s.by_name))
        return err_set_state(e, "28000", "the tenant is not granted to user \"%s\"",
                             c->user_name.p);
    c->ident->own_exp = c->ident->exp = s.exp;
    c->identity = *id;
    return true;
}

bool identity_bind(struct client *c, struct login_given *g)
{
    struct err e = { 0 };

    if (c->tenant_mode == TENANT_OFF) {
        if (!g->tenant.p && !g->token.p)
            return true;
        err_set_state(&e, "28000", "database \"%s\" knows no tenants", c->db_name.p);
    } else {
        c->ident = calloc(1, sizeof(*c->ident));
        if (!c->ident) {
            client_drop(c, "out of memory");
            return false;
        }
        arena_init(&c->ident->arena, 512);
        map_init(&c->ident->stmts);
        if (bind_login(c, g, &e))
            return true;
    }
    stat_inc(&c->engine->stats.rejected[REJECT_TENANT]);
    client_close(c, e.sqlstate, "%s", e.msg);
    return false;
}

void identity_free(struct client *c)
{
    if (!c->ident)
        return;
    client_switch_forget(c);
    map_release(&c->ident->stmts);
    arena_release(&c->ident->arena);
    free(c->ident);
    c->ident = NULL;
}

/* ---- does it still hold? ---- */

static bool runs_something(char type)
{
    return type == 'Q' || type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'F';
}

/* Is the message the first of something that needs a server: not part of a transaction or batch
 * that has begun? */
static bool begins(const struct client *c)
{
    return !c->server || (c->server->status == 'I' && !c->extended && !c->in_copy);
}

bool identity_gate(struct client *c, char type)
{
    const char *why;

    if (!c->ident || !client_enforced(c) || !runs_something(type))
        return true;
    if (!c->identity.bound)
        why = "no tenant is set: SET pgbulkhead.tenant or pgbulkhead.tenant_token first";
    else if (c->ident->exp && begins(c) && seconds() >= c->ident->exp)
        why = "the token that names the tenant has expired";
    else
        return true;
    client_note_refusal(c, REFUSAL_no_tenant, text_of(why), NULL, TEXT(""));
    client_refuse_text(c, type == 'Q' || type == 'F', refusal_state(REFUSAL_no_tenant), "%s", why);
    return false;
}
