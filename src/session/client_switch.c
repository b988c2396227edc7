/* SPDX-License-Identifier: ISC */
/*
 * SET, RESET and SHOW of pgbulkhead.tenant and pgbulkhead.tenant_token, answered here in both
 * protocols. The tenant changes only between transactions, with nothing of the session left on a
 * server, and everything judged for the old tenant is judged anew.
 */
#include "session/ears.h"
#include "session/identity.h"
#include "session/record.h"
#include "session/shares.h"
#include "session/utility.h"

#include "base/check.h"
#include "base/random.h"
#include "tenant/switch.h"
#include "wire/query.h"

#include <stdlib.h>

#define MAX_STMTS 100 /* prepared statements of this kind */

/* A statement of ours that was prepared. */
struct switch_kept {
    enum switch_kind kind;
    const char *tag;
    char *value; /* malloc; wiped, it may be a token */
    char name[]; /* the statement's */
};

static enum step done(const struct client *c)
{
    return c->closing ? STEP_GONE : STEP_DONE;
}

static enum step refuse(struct client *c, bool simple, const char *state, const char *what)
{
    client_refuse_text(c, simple, state, "%s", what);
    return done(c);
}

static enum step no_memory(struct client *c)
{
    client_drop(c, "out of memory");
    return STEP_GONE;
}

static void kept_free(struct switch_kept *k)
{
    if (!k)
        return;
    if (k->value)
        wipe(k->value, strlen(k->value));
    free(k->value);
    free(k);
}

static struct switch_kept *kept_new(enum switch_kind kind, const char *tag, struct text value,
                                    struct text name)
{
    struct switch_kept *k = calloc(1, sizeof(*k) + name.n + 1);

    if (!k)
        return NULL;
    k->kind = kind;
    k->tag = tag;
    k->value = text_dup(value);
    if (!k->value) {
        free(k);
        return NULL;
    }
    memcpy(k->name, name.n ? name.p : "", name.n);
    return k;
}

static void drop_portal(struct client_ident *id)
{
    kept_free(id->portal);
    free(id->portal_name);
    id->portal = NULL;
    id->portal_name = NULL;
}

static void drop_stmt(struct client_ident *id, struct text name)
{
    kept_free(map_del(&id->stmts, name));
}

void client_switch_forget(struct client *c)
{
    struct client_ident *id = c->ident;
    struct text key;
    void *value;

    if (!id)
        return;
    drop_portal(id);
    for (size_t pos = 0; map_next(&id->stmts, &pos, &key, &value);) {
        map_del(&id->stmts, key);
        kept_free(value);
    }
}

/* ---- when ---- */

/* Refused and answered: what was asked for is not done. */
static enum step refused(struct client *c, bool simple, const char *state, const char *what)
{
    client_refuse_text(c, simple, state, "%s", what);
    return STEP_GONE;
}

/* Can we answer now, in the right order? STEP_DONE: yes. STEP_GONE: it was refused.
 * in_transaction: also inside of one. */
static enum step in_order(struct client *c, bool simple, bool in_transaction)
{
    struct server *s = c->server;

    if (!s)
        return STEP_DONE;
    if (c->extended || c->in_copy || s->skipping || s->copy_in)
        return refused(c, simple, "0A000",
                       "a statement about the tenant cannot be part of a batch with others");
    if (!pending_empty(s->pending) || s->left) {
        conn_pause(c->conn); /* server_input lets it go on */
        return STEP_WAIT;
    }
    if (s->status == 'E')
        return refused(c, simple, "25P02",
                       "current transaction is aborted, commands ignored until end of transaction "
                       "block");
    if (s->status != 'I' && !in_transaction)
        return refused(c, simple, "25001", "the tenant cannot change inside of a transaction");
    return STEP_DONE;
}

/* ---- what ---- */

static bool new_identity(struct client *c, enum switch_kind kind, struct text value,
                         struct arena *a, struct identity *out, int64_t *exp, struct err *e)
{
    const struct setup *s = c->engine->setup; /* rights and keys as they are now */
    const struct user_conf *u = setup_user(s, c->user_name);
    struct identity_says says[2];
    struct token t = { .exp = 0 };

    if (c->exempt)
        return err_set_state(e, "42501", "user \"%s\" is exempt from tenant rules", c->user_name.p);
    if (!u || !u->tenant_switch)
        return err_set_state(e, "42501", "user \"%s\" may not change the tenant", c->user_name.p);
    identity_says_user(u, &says[0]);
    if (kind == SWITCH_SET_TOKEN) {
        if (!identity_token(c, value, a, &t, e))
            return false;
        says[1] = (struct identity_says){
            .source = "token", .tenant = t.tenant, .claims = t.claims, .n_claims = t.n_claims
        };
        *exp = t.exp;
    } else {
        says[1] = (struct identity_says){ .source = "SET statement", .tenant = value };
        *exp = c->ident->own_exp; /* a login by token ends with it */
    }
    if (!identity_granted(s, u, says[1].tenant, kind == SWITCH_SET_TOKEN))
        return err_set_state(e, "42501", "the tenant is not granted to user \"%s\"",
                             c->user_name.p);
    return identity_join(s, says, 2, a, out, e);
}

/* Nothing of the session may stay on a server: a session that keeps its server gives it back by
 * way of server_reset_query, or loses it. */
static void give_back(struct client *c)
{
    struct server *s = c->server;

    if (!s)
        return;
    if (!*c->engine->setup->g.server_reset_query)
        s->close_needed = true;
    client_leave_server(c);
}

/* SET and RESET. false: e. */
static bool change(struct client *c, const struct switch_kept *k, struct err *e)
{
    struct client_ident *id = c->ident;
    struct identity fresh = { .bound = false };
    struct arena a;
    int64_t exp = id->own_exp;

    arena_init(&a, 512);
    if (k->kind != SWITCH_RESET &&
        !new_identity(c, k->kind, text_of(k->value), &a, &fresh, &exp, e)) {
        arena_release(&a);
        return false;
    }
    const struct identity *to = k->kind == SWITCH_RESET ? &id->own : &fresh;
    if (hub_barred(c->engine->hub, to)) {
        arena_release(&a);
        return err_set_state(e, "57P03", "the tenant is being deleted");
    }
    give_back(c);
    const struct identity was = c->identity;
    c->identity = *to;
    if (!client_share_join(c, e)) {
        c->identity = was;
        arena_release(&a);
        return false;
    }
    arena_release(&id->arena);
    id->arena = a;
    id->exp = exp;
    c->judged_for++;
    record_join(c);
    client_portals_clear(c);
    ears_forget(c);
    client_log(c, LOG_LV_LOG, "tenant is now \"%.*s\" (%s)",
               c->identity.bound ? (int)c->identity.claims[0].value.n : 0,
               c->identity.bound ? c->identity.claims[0].value.p : "",
               k->kind == SWITCH_RESET       ? "RESET"
               : k->kind == SWITCH_SET_TOKEN ? "token"
                                             : "SET");
    return true;
}

static struct text present(const struct client *c)
{
    return c->exempt ? TEXT("*") : c->identity.bound ? c->identity.claims[0].value : TEXT("");
}

static void describe_show(struct buf *b)
{
    wire_rowdesc_build(b, &(struct wire_column){ .name = "pgbulkhead.tenant", .type = WIRE_TEXT },
                       1);
}

/* Runs it and writes its answer up to CommandComplete. STEP_DONE: b is to be sent. */
static enum step run(struct client *c, bool simple, const struct switch_kept *k, struct buf *b)
{
    struct err e = { 0 };

    if (k->kind == SWITCH_SHOW) {
        struct text now = present(c);
        if (simple)
            describe_show(b);
        wire_datarow_build(b, &now, 1);
    } else if (!change(c, k, &e)) {
        client_log(c, LOG_LV_WARNING, "tenant not changed: %s", e.msg);
        return refused(c, simple, e.sqlstate[0] ? e.sqlstate : "28000", e.msg);
    }
    wire_complete_build(b, text_of(k->tag));
    return STEP_DONE;
}

static enum step answer(struct client *c, struct buf *b)
{
    client_send(c, b);
    buf_release(b);
    return done(c);
}

/* ---- recognising ---- */

/* Does the word stand in the text, in whatever case? Looked for is its byte number `rare`, given as
 * c, which texts seldom have. */
static bool holds(struct text sql, struct text word, size_t rare, char c)
{
    const char *p = sql.p, *end = sql.p + sql.n;
    while (p < end && (p = memchr(p, c, (size_t)(end - p))) != NULL) {
        size_t before = (size_t)(p - sql.p), behind = (size_t)(end - p);
        if (before >= rare && behind >= word.n - rare &&
            text_is_i(text_n(p - rare, word.n), word.p))
            return true;
        p++;
    }
    return false;
}

/* Most statements are told from ours by this: each passes here, so it has to be quick. */
static bool may_be_ours(struct text sql)
{
    return holds(sql, TEXT("pgbulkhead"), 5, 'k') || holds(sql, TEXT("pgbulkhead"), 5, 'K') ||
           holds(sql, TEXT("u&\""), 1, '&');
}

/* The value, and a message with a token in it unless it will be shown again. */
static void wipe_value(enum switch_kind kind, struct text value, enum step step, char *m,
                       const struct frame *f)
{
    if (kind == SWITCH_SET_TOKEN && step != STEP_WAIT)
        wipe(m + 5, f->len - 5);
    if (value.n)
        wipe((char *)(uintptr_t)value.p, value.n);
}

static enum step query(struct client *c, char *m, const struct frame *f)
{
    struct text sql, value;
    const char *tag;
    struct err e = { 0 };
    struct arena a;
    struct buf b;
    enum step step = STEP_MORE;

    if (!wire_query_read(m + 5, f->len - 5, &sql) || !may_be_ours(sql))
        return STEP_MORE;
    arena_init(&a, 0);
    enum switch_kind kind = switch_read(sql, &a, &value, &tag, &e);
    if (kind == SWITCH_BAD) {
        step = refuse(c, true, e.sqlstate, e.msg);
    } else if (kind != SWITCH_NONE) {
        struct switch_kept *k = kept_new(kind, tag, value, TEXT(""));
        step = k ? in_order(c, true, kind == SWITCH_SHOW) : no_memory(c);
        buf_init(&b);
        if (step == STEP_DONE && run(c, true, k, &b) == STEP_DONE) {
            wire_ready_build(&b, c->server ? c->server->status : 'I');
            step = answer(c, &b);
        }
        buf_release(&b);
        kept_free(k);
        if (step == STEP_GONE)
            step = done(c); /* refused */
        wipe_value(kind, value, step, m, f);
    }
    arena_release(&a);
    return step;
}

/* ---- the extended protocol ---- */

static enum step parse(struct client *c, char *m, const struct frame *f)
{
    struct client_ident *id = c->ident;
    struct wire_parse w;
    struct text value;
    const char *tag;
    struct err e = { 0 };
    struct arena a;
    struct buf b;

    if (!wire_parse_read(m + 5, f->len - 5, &w))
        return STEP_MORE;
    if (w.name.n && map_get(&id->stmts, w.name)) {
        client_refuse_text(c, false, "42P05", "prepared statement \"%.*s\" already exists",
                           TEXT_ARG(w.name));
        return done(c);
    }
    if (!may_be_ours(w.sql)) {
        if (!w.name.n)
            drop_stmt(id, w.name);
        return STEP_MORE;
    }
    arena_init(&a, 0);
    enum switch_kind kind = switch_read(w.sql, &a, &value, &tag, &e);
    enum step step = STEP_MORE;
    if (kind == SWITCH_NONE && !w.name.n)
        drop_stmt(id, w.name);
    if (kind == SWITCH_BAD) {
        step = refuse(c, false, e.sqlstate, e.msg);
    } else if (kind != SWITCH_NONE) {
        step = in_order(c, false, true);
        if (step == STEP_DONE && w.name.n &&
            (map_get(&c->stmts, w.name) || map_count(&id->stmts) >= MAX_STMTS)) {
            step = refuse(c, false, "42P05", "prepared statement already exists, or too many");
        } else if (step == STEP_DONE) {
            struct switch_kept *k = kept_new(kind, tag, value, w.name);
            if (k) {
                drop_stmt(id, w.name);
                if (!w.name.n)
                    client_unnamed_clear(c);
                map_put(&id->stmts, text_of(k->name), k);
                buf_init(&b);
                wire_simple_build(&b, '1');
                step = answer(c, &b);
            } else {
                step = no_memory(c);
            }
        } else if (step == STEP_GONE) {
            step = done(c);
        }
        wipe_value(kind, value, step, m, f);
    }
    arena_release(&a);
    return step;
}

static enum step bind_message(struct client *c, char *m, const struct frame *f)
{
    struct client_ident *id = c->ident;
    struct wire_bind w;
    struct buf b;

    if (!wire_bind_read(m + 5, f->len - 5, &w))
        return STEP_MORE;
    if (id->portal && text_is(w.portal, id->portal_name))
        drop_portal(id);
    struct switch_kept *k = map_get(&id->stmts, w.stmt);
    if (!k)
        return STEP_MORE;
    if (w.n_params)
        return refuse(c, false, "08P01", "a statement about the tenant has no parameters");
    enum step step = in_order(c, false, true);
    if (step != STEP_DONE)
        return step == STEP_GONE ? done(c) : step;
    drop_portal(id);
    id->portal = kept_new(k->kind, k->tag, text_of(k->value), w.stmt);
    id->portal_name = text_dup(w.portal);
    if (!id->portal || !id->portal_name)
        return no_memory(c);
    buf_init(&b);
    wire_simple_build(&b, '2');
    return answer(c, &b);
}

/* Describe, Close: of ours? */
static enum step target(struct client *c, char *m, const struct frame *f)
{
    struct client_ident *id = c->ident;
    struct wire_target w;
    struct buf b;

    if (!wire_target_read(m + 5, f->len - 5, &w))
        return STEP_MORE;
    struct switch_kept *k = w.what == 'S' ? map_get(&id->stmts, w.name)
                            : id->portal && text_is(w.name, id->portal_name) ? id->portal
                                                                             : NULL;
    if (!k)
        return STEP_MORE;
    enum step step = in_order(c, false, true);
    if (step != STEP_DONE)
        return step == STEP_GONE ? done(c) : step;
    buf_init(&b);
    if (f->type == 'C') {
        if (w.what == 'S')
            drop_stmt(id, w.name);
        else
            drop_portal(id);
        wire_simple_build(&b, '3');
        return answer(c, &b);
    }
    if (w.what == 'S') {
        size_t mark = msg_begin(&b, 't');
        msg_u16(&b, 0);
        msg_end(&b, mark);
    }
    if (k->kind == SWITCH_SHOW)
        describe_show(&b);
    else
        wire_simple_build(&b, 'n');
    return answer(c, &b);
}

static enum step execute(struct client *c, char *m, const struct frame *f)
{
    struct client_ident *id = c->ident;
    struct wire_execute w;
    struct buf b;

    if (!wire_execute_read(m + 5, f->len - 5, &w) || !id->portal ||
        !text_is(w.portal, id->portal_name))
        return STEP_MORE;
    enum step step = in_order(c, false, id->portal->kind == SWITCH_SHOW);
    if (step != STEP_DONE)
        return step == STEP_GONE ? done(c) : step;
    buf_init(&b);
    step = run(c, false, id->portal, &b);
    drop_portal(id);
    if (step == STEP_DONE)
        return answer(c, &b);
    buf_release(&b);
    return done(c);
}

enum step client_switch(struct client *c, char *m, size_t have, const struct frame *f)
{
    if (!c->ident || (f->type == 'Q' && f->len >= TOKEN_MAX + 1000 && f->len > have))
        return STEP_MORE;
    if (f->type == 'S' || f->type == 'Q') {
        drop_portal(c->ident); /* portals end with the transaction */
        if (f->type == 'S')
            return STEP_MORE;
        if (f->len <= have)
            drop_stmt(c->ident, TEXT("")); /* as a simple query does */
    }
    if (f->len > have)
        return STEP_MORE;
    if (f->type != 'Q' && map_count(&c->ident->stmts) == 0 && !c->ident->portal &&
        (f->type != 'P' || !may_be_ours(text_n(m + 5, f->len - 5))))
        return STEP_MORE; /* none of ours is there to be named */
    switch (f->type) {
    case 'Q':
        return query(c, m, f);
    case 'P':
        return parse(c, m, f);
    case 'B':
        return bind_message(c, m, f);
    case 'D':
    case 'C':
        return target(c, m, f);
    case 'E':
        return execute(c, m, f);
    default:
        return STEP_MORE;
    }
}
