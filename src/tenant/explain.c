/* SPDX-License-Identifier: ISC */
/* A judgement with its trace, as rows. */
#include "tenant/explain.h"

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
            arena_printf(o->a, "$%d must equal the claim %.*s", v->checks[i].param,
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
        if (v->wants_catalog && v->action == VERDICT_REFUSE)
            put(&o, "note",
                TEXT("the catalog is read again when a client meets this, or by RELOAD"));
        if (v->leaves_state)
            put(&o, "note", TEXT("changes the session: its server is reset before others get it"));
    }
    verdict_unref(e, v);
    arena_release(&a);
    return v && ok;
}
