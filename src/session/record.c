/* SPDX-License-Identifier: ISC */
/* Counting per tenant, noting refused statements, lines of the audit log. */
#include "session/record.h"

#include "base/json.h"
#include "session/counts.h"
#include "session/notes.h"
#include "session/session.h"
#include "tenant/redact.h"
#include "wire/traceparent.h"

#include <stdio.h>

/* ---- the audit log ---- */

struct line {
    const char *verdict;
    const struct verdict *v; /* NULL: none */
    int reason;              /* enum refusal, -1 none */
    struct text template, sql;
};

struct text record_tenant(const struct client *c)
{
    return c->exempt ? TEXT("*") : c->identity.bound ? c->identity.claims[0].value : TEXT("");
}

static void put_time(struct buf *b, usec_t wall)
{
    char text[40];

    clock_format(wall, CLOCK_RFC3339, text, sizeof(text));
    buf_printf(b, "{\"time\":\"%s\"", text);
}

static void put_client(struct buf *b, const struct client *c)
{
    const struct var_names *names = &c->engine->hub->var_names;
    int app = var_index(names, TEXT("application_name")), port;
    char addr[80], peer[100];

    json_member(b, "database", c->db_name);
    json_member(b, "user", c->user_name);
    json_member(b, "tenant", record_tenant(c));
    sockaddr_text(&c->conn->peer, addr, sizeof(addr), &port);
    snprintf(peer, sizeof(peer), c->is_unix ? "%s" : "%s:%d", c->is_unix ? "unix" : addr, port);
    json_member(b, "client", text_of(peer));
    if (app >= 0)
        json_member(b, "application_name", text_of(c->vars.value[app]));
}

static void put_relations(struct buf *b, struct text relations)
{
    struct text rest = relations, one;

    if (!relations.n)
        return;
    buf_printf(b, ",\"relations\":");
    for (char before = '['; text_split(&rest, '\0', &one); before = ',') {
        buf_char(b, before);
        json_text(b, one);
    }
    buf_char(b, ']');
}

static void put_line(const struct client *c, const struct line *l)
{
    char traceparent[TRACEPARENT_LEN + 1];
    struct traceparent trace;
    struct buf b;

    buf_init(&b);
    put_time(&b, clock_wall_us());
    put_client(&b, c);
    json_member(&b, "verdict", text_of(l->verdict));
    if (l->reason >= 0) {
        json_member(&b, "reason", text_of(refusal_name((enum refusal)l->reason)));
        json_member(&b, "sqlstate", text_of(refusal_state((enum refusal)l->reason)));
    }
    if (l->v && l->v->action == VERDICT_REFUSE)
        json_member(&b, "about", l->v->subject);
    if (l->v)
        put_relations(&b, l->v->relations);
    json_member(&b, "template", l->template);
    if (l->v && l->v->action == VERDICT_REFUSE && l->v->position)
        buf_printf(&b, ",\"position\":%d", l->v->position);
    json_member(&b, "mode", text_of(tenant_mode_name(c->tenant_mode)));
    traceparent_find(l->sql, true, &trace);
    traceparent_text(&trace, traceparent);
    json_member(&b, "traceparent", text_of(traceparent));
    buf_char(&b, '}');
    if (!b.failed)
        writer_put(c->engine->hub->audit, buf_data(&b), buf_len(&b));
    buf_release(&b);
}

static bool is_logged(const struct client *c, int level)
{
    const struct writer *w = c->engine->hub->audit;
    return w && c->conn && writer_is_open(w) && c->engine->setup->g.tenant_audit >= level;
}

/* ---- tenants ---- */

void record_join(struct client *c)
{
    record_leave(c);
    if (c->identity.bound && !c->exempt) {
        uint64_t seed[2];
        memcpy(seed, c->engine->hub->mock_seed, sizeof(seed));
        c->tenant_bit = profile_tenant_bit(seed, c->identity.claims[0].value);
    }
    if (c->identity.bound && !c->exempt)
        c->tenant_note = notes_join(c->engine->notes, c->identity.claims[0].value, c->user_name);
}

void record_leave(struct client *c)
{
    if (c->tenant_note)
        notes_leave(c->engine->notes, c->tenant_note);
    c->tenant_note = NULL;
    c->tenant_bit = 0;
}

/* ---- statements ---- */

static void denied(struct client *c, struct tenant_note *t)
{
    t->refused++;
    top_add(&c->engine->top, t, TOP_DENIALS, 1);
}

static void note(struct client *c, enum note_kind kind, int reason, const struct verdict *v,
                 struct text template, struct text sql)
{
    char traceparent[TRACEPARENT_LEN + 1];
    struct traceparent trace;

    traceparent_find(sql, true, &trace);
    traceparent_text(&trace, traceparent);
    struct note n = { .kind = kind,
                      .reason = reason,
                      .database = c->db_name,
                      .template = template,
                      .tenant = record_tenant(c),
                      .user = c->user_name,
                      .trace = text_of(traceparent) };
    if (v) {
        n.about = v->subject;
        n.fix = v->fix;
    }
    notes_add(c->engine->notes, &n, clock_wall_us());
}

void record_unbound(struct client *c)
{
    bool enforced = client_enforced(c);
    struct buf name, fix;

    count_unbound(c);
    buf_init(&name);
    buf_init(&fix);
    wire_quote_ident(&name, c->user_name);
    buf_printf(&fix, "[users] %.*s = tenant=NAME    ; the tenant's name, or * to be exempt",
               TEXT_ARG(buf_text(&name)));
    const struct note n = { .kind = enforced ? NOTE_DENIED : NOTE_WOULD_REFUSE,
                            .reason = REFUSAL_no_tenant,
                            .database = c->db_name,
                            .about = buf_text(&name),
                            .fix = buf_text(&fix),
                            .user = c->user_name };
    if (!name.failed && !fix.failed)
        notes_add(c->engine->notes, &n, clock_wall_us());
    buf_release(&name);
    buf_release(&fix);
    if (!is_logged(c, TENANT_AUDIT_REFUSED))
        return;
    const struct line l = { .verdict = enforced ? "refused" : "would refuse",
                            .reason = REFUSAL_no_tenant };
    put_line(c, &l);
}

void record_verdict(struct client *c, struct verdict *v, struct text sql)
{
    struct tenant_note *t = c->tenant_note;
    bool enforced = client_enforced(c), refused = v->action == VERDICT_REFUSE,
         changed = v->action == VERDICT_REWRITE,
         logged = is_logged(c, refused ? TENANT_AUDIT_REFUSED : TENANT_AUDIT_ALL);

    if (t) {
        t->last_seen = c->engine->loop.now;
        if (!enforced)
            t->audited++;
        else if (refused)
            denied(c, t);
        else if (changed)
            t->rewritten++;
        else
            t->passed++;
    }
    bool noted = enforced ? refused : v->action != VERDICT_PASS;
    if (!noted && !logged)
        return;
    struct text template = verdict_template(v, sql);
    if (noted)
        note(c,
             enforced  ? NOTE_DENIED
             : refused ? NOTE_WOULD_REFUSE
                       : NOTE_WOULD_REWRITE,
             refused ? (int)v->reason : -1, v, template, sql);
    if (!logged)
        return;
    const struct line l = { .verdict = refused   ? (enforced ? "refused" : "would refuse")
                                       : changed ? (enforced ? "rewritten" : "would rewrite")
                                                 : "passed",
                            .v = v,
                            .reason = refused ? (int)v->reason : -1,
                            .template = template,
                            .sql = sql };
    put_line(c, &l);
}

void record_refusal(struct client *c, enum refusal r, struct verdict *v, struct text sql)
{
    struct text template = { NULL, 0 };
    struct buf b;

    if (c->tenant_note) {
        c->tenant_note->last_seen = c->engine->loop.now;
        denied(c, c->tenant_note);
    }
    buf_init(&b);
    if (v) {
        template = verdict_template(v, sql);
    } else if (sql.n) {
        redact(sql, true, &b);
        template = buf_text(&b);
    }
    note(c, NOTE_DENIED, (int)r, NULL, template, sql);
    if (is_logged(c, TENANT_AUDIT_REFUSED)) {
        const struct line l = {
            .verdict = "refused", .v = v, .reason = (int)r, .template = template, .sql = sql
        };
        put_line(c, &l);
    }
    buf_release(&b);
}

void record_exempt(struct client *c, struct text sql)
{
    struct buf b;

    if (!c->exempt)
        return;
    stat_inc(&shard_stats(c->shard, c->engine)->tenant_exempt);
    if (!record_wants_exempt(c) || !c->conn)
        return;
    buf_init(&b);
    redact(sql, false, &b);
    const struct line l = {
        .verdict = "exempt", .reason = -1, .template = buf_text(&b), .sql = sql
    };
    if (!b.failed)
        put_line(c, &l);
    buf_release(&b);
}

void record_exempt_query(struct client *c, const char *m, size_t have)
{
    if (!c->exempt)
        return;
    const char *end = have > 5 ? memchr(m + 5, '\0', have - 5) : NULL;
    if (have > 5)
        record_exempt(c, text_n(m + 5, end ? (size_t)(end - m - 5) : have - 5));
}
