/* SPDX-License-Identifier: ISC */
/* A judgement with its trace, as rows. */
#include "tenant/explain.h"

#include "tenant/utility.h"

struct out {
    struct arena *a;
    explain_fn *row;
    void *arg;
    const struct tenant_ask *ask;
};

static void put(const struct out *o, const char *item, struct text value)
{
    const struct explain_row r = { .item = text_of(item), .value = value };
    if (value.n)
        o->row(o->arg, &r);
}

static const char *verdict_name(enum tenant_action a)
{
    return a == VERDICT_PASS ? "passed" : a == VERDICT_REWRITE ? "rewritten" : "refused";
}

static void refusal(const struct out *o, const struct verdict *v)
{
    put(o, "reason", text_of(refusal_name(v->reason)));
    put(o, "sqlstate", text_of(refusal_state(v->reason)));
    put(o, "message", v->message);
    put(o, "detail", v->detail);
    put(o, "hint", v->hint);
    if (v->position)
        put(o, "position", arena_printf(o->a, "%d", v->position));
    put(o, "about", v->subject);
    put(o, "would help", v->fix);
    if (v->describable)
        put(o, "note", TEXT("refused when it is run; Parse and Describe are answered"));
}

static void trace_row(const struct out *o, const struct tenant_trace_row *t)
{
    static const char *const kinds[] = {
        [TRACE_RELATION] = "relation", [TRACE_FUNCTION] = "function", [TRACE_OPERATOR] = "operator"
    };
    struct explain_row r = {
        .item = text_of(kinds[t->kind]), .cls = text_of(t->cls), .how = t->how, .source = t->source
    };
    if (t->object.n && !text_eq(t->object, t->written))
        r.value = arena_printf(o->a, "%.*s -> %.*s", TEXT_ARG(t->written), TEXT_ARG(t->object));
    else
        r.value = t->written;
    if (t->column.n)
        r.cls = arena_printf(o->a, "tenant, by column %.*s", TEXT_ARG(t->column));
    o->row(o->arg, &r);
}

static void parameters(const struct out *o, const struct verdict *v)
{
    for (int i = 0; i < v->n_checks; i++)
        put(o, "parameter",
            arena_printf(o->a, "%s$%d must equal the claim %.*s",
                         v->checks[i].array ? "each element of " : "", v->checks[i].param,
                         TEXT_ARG(v->checks[i].claim)));
    for (int i = 0; i < v->n_added; i++)
        put(o, "added parameter",
            arena_printf(o->a, "$%d is the claim %.*s", v->n_params + i + 1,
                         TEXT_ARG(v->added[i].claim)));
}

static bool rewritten(const struct out *o, const struct verdict *v)
{
    struct buf b;
    buf_init(&b);
    bool ok = verdict_text(v, o->ask->identity, &b);
    if (ok)
        put(o, "text", buf_text(&b));
    buf_release(&b);
    return ok;
}

static void notes(const struct out *o, const struct verdict *v)
{
    if (v->copy)
        put(o, "note", TEXT("the tenant column of each row is checked or filled in the stream"));
    if (v->prepared && v->prepared->what == SQL_EXECUTE)
        put(o, "note",
            TEXT("the statement was judged when it was prepared; constants that stand "
                 "for the tenant are checked when it runs"));
    if (v->effects & (EFFECT_LISTEN | EFFECT_HOLD))
        put(o, "note", TEXT("only where the client keeps its server (pool_mode session)"));
    if (v->wants_catalog && v->action == VERDICT_REFUSE)
        put(o, "note", TEXT("the catalog is read again when a client meets this, or by RELOAD"));
    if (v->leaves_state)
        put(o, "note", TEXT("changes the session: its server is reset before others get it"));
}

/* PREPARE: what it prepares is judged as a Parse message is. */
static bool prepared_query(struct tenant_engine *e, const struct out *o, const struct verdict *v,
                           enum tenant_action *action)
{
    const struct sql_prepared *p = v->prepared;
    struct tenant_ask inner = *o->ask;

    if (v->action == VERDICT_REFUSE || !p || p->what != SQL_PREPARE)
        return true;
    put(o, "prepared", text_trim(p->query));
    inner.extended = true;
    inner.sql = p->query;
    inner.types = p->types;
    inner.n_types = p->n_types;
    return explain_statement(e, &inner, o->row, o->arg, action);
}

bool explain_statement(struct tenant_engine *e, const struct tenant_ask *ask, explain_fn *row,
                       void *arg, enum tenant_action *action)
{
    struct arena a;
    arena_init(&a, 4096);
    struct tenant_trace trace = { .arena = &a };
    struct tenant_ask traced = *ask;
    const struct out o = { &a, row, arg, &traced };
    bool ok = true;

    traced.trace = &trace;
    struct verdict *v = tenant_judge(e, &traced);
    if (v) {
        *action = v->action;
        put(&o, "verdict", text_of(verdict_name(v->action)));
        if (v->action == VERDICT_REFUSE)
            refusal(&o, v);
        for (int i = 0; i < trace.n; i++)
            trace_row(&o, &trace.v[i]);
        parameters(&o, v);
        if (v->action == VERDICT_REWRITE)
            ok = rewritten(&o, v);
        notes(&o, v);
        ok = ok && prepared_query(e, &o, v, action);
    }
    verdict_unref(e, v);
    arena_release(&a);
    return v && ok;
}
