/* SPDX-License-Identifier: ISC */
/* Rows for EXPLAIN TENANT, and what a refusal is about with the rule that would change it. */
#include "tenant/trace.h"

#include "tenant/policy_index.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_LISTED 16 /* relations that a verdict names */
#define MAX_CONDITIONS 8
#define MAX_RULES 4    /* overloads that a ready-made rule lists */
#define MAX_ROWS 10000 /* of one trace */

static bool is_plain(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!(t.p[i] == '_' || (t.p[i] >= 'a' && t.p[i] <= 'z') ||
              (i && t.p[i] >= '0' && t.p[i] <= '9')))
            return false;
    return t.n > 0;
}

void trace_ident(struct buf *b, struct text name)
{
    if (is_plain(name))
        buf_text_append(b, name);
    else
        wire_quote_ident(b, name);
}

static void put_name(struct buf *b, struct text schema, struct text name)
{
    if (schema.n) {
        trace_ident(b, schema);
        buf_char(b, '.');
    }
    trace_ident(b, name);
}

/* The buffer's text in the arena; the buffer is released. */
static struct text taken(struct arena *a, struct buf *b)
{
    struct text t = b->failed ? (struct text){ NULL, 0 } : arena_text(a, buf_text(b));
    buf_release(b);
    return t;
}

static struct text name_text(struct arena *a, struct text schema, struct text name)
{
    struct buf b;
    buf_init(&b);
    put_name(&b, schema, name);
    return taken(a, &b);
}

/* ---- rows ---- */

static struct tenant_trace_row *new_row(struct walk *w, enum trace_kind kind, int loc)
{
    struct tenant_trace *t = w->ask->trace;
    if (!t || t->n >= MAX_ROWS)
        return NULL;
    ARENA_ROOM(t->arena, t->v, t->n, t->cap, 16);
    struct tenant_trace_row *row = &t->v[t->n++];
    *row = (struct tenant_trace_row){ .kind = kind, .loc = loc };
    return row;
}

static const char *class_name(const struct policy_relation *r)
{
    if (!r)
        return "unknown";
    switch (r->cls) {
    case REL_TENANT:
        return "tenant";
    case REL_SHARED:
        return "shared";
    case REL_DENY:
        return "denied";
    case REL_SYSTEM:
        return "system";
    case REL_UNKNOWN:
        break;
    }
    return "unknown";
}

static void list_relation(struct walk *w, const struct policy_relation *r)
{
    if (!w->rels)
        w->rels = ARENA_ARRAY(w->arena, const struct policy_relation *, MAX_LISTED);
    for (int i = 0; i < w->n_rels; i++)
        if (w->rels[i] == r)
            return;
    if (w->n_rels < MAX_LISTED)
        w->rels[w->n_rels++] = r;
}

int trace_relation(struct walk *w, struct node *rv, const struct policy_relation *r)
{
    if (w->ask->relations && r)
        list_relation(w, r);
    struct tenant_trace_row *row = new_row(w, TRACE_RELATION, rv->loc);
    if (!row)
        return 0;
    struct arena *a = w->ask->trace->arena;
    struct node *alias = node_get(rv, R_alias);
    struct buf b;
    buf_init(&b);
    put_name(&b, node_str(rv, R_schemaname), node_str(rv, R_relname));
    if (alias) {
        buf_printf(&b, " AS ");
        trace_ident(&b, node_str(alias, R_aliasname));
    }
    row->written = taken(a, &b);
    row->cls = class_name(r);
    row->how = TEXT("not allowed");
    if (!r) {
        row->source = TEXT("not in the catalog");
        return w->ask->trace->n;
    }
    row->object = name_text(a, r->schema, r->name);
    row->source = arena_text(a, r->why);
    if (r->cls == REL_SHARED || r->cls == REL_SYSTEM)
        row->how = TEXT("read only, all rows");
    if (r->cls == REL_TENANT) {
        buf_init(&b);
        trace_ident(&b, r->column->name);
        row->column = taken(a, &b);
        row->how = TEXT("not reached");
    }
    return w->ask->trace->n;
}

void trace_how(struct walk *w, int row, const char *fmt, ...)
{
    va_list ap;
    char line[400];

    if (!row || !w->ask->trace)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    w->ask->trace->v[row - 1].how = arena_text(w->ask->trace->arena, text_n(line, len));
}

void trace_refused(struct walk *w, enum trace_kind kind, struct text name, struct text why, int loc)
{
    struct tenant_trace_row *row = new_row(w, kind, loc);
    if (!row)
        return;
    row->written = arena_text(w->ask->trace->arena, name);
    row->cls = "denied";
    row->how = TEXT("not allowed");
    row->source = arena_text(w->ask->trace->arena, why);
}

/* ---- what a refusal is about ---- */

/* The first of the configured tenant columns that the relation has. */
static const struct cat_column *tenant_column(const struct walk *w, const struct cat_relation *c)
{
    const struct setup *s = w->ask->policy->setup;
    for (int i = 0; i < s->n_tenant_columns; i++)
        for (int k = 0; k < c->n_columns; k++)
            if (text_eq(c->columns[k].name, s->tenant_columns[i]))
                return &c->columns[k];
    return NULL;
}

void about_relation(struct walk *w, struct node *rv, const struct policy_relation *r)
{
    struct text schema = r ? r->schema : node_str(rv, R_schemaname),
                name = r ? r->name : node_str(rv, R_relname);
    struct buf b;

    if (w->subject.n)
        return;
    w->subject = name_text(w->arena, schema, name);
    if (!r || r->cls != REL_UNKNOWN || !r->cat)
        return;
    const struct cat_column *c = tenant_column(w, r->cat);
    buf_init(&b);
    buf_printf(&b, "[tenant_rules] ");
    put_name(&b, schema, name);
    buf_printf(&b, " = ");
    if (c)
        trace_ident(&b, c->name);
    else /* one of three; the careful one stands there */
        buf_printf(&b, "deny    ; or: shared (every tenant reads all of it), or its tenant column");
    w->fix = taken(w->arena, &b);
}

static void put_args(struct buf *b, const struct policy *p, const struct cat_function *f)
{
    buf_char(b, '(');
    for (int i = 0; i < f->n_args; i++) {
        const struct cat_type *t = policy_type_by_oid(p, f->args[i]);
        const struct cat_type *e = t && t->elem ? policy_type_by_oid(p, t->elem) : NULL;
        bool array = e && t->name.n && t->name.p[0] == '_';
        if (i)
            buf_printf(b, ", ");
        if (!t)
            continue;
        if (array)
            t = e;
        if (!text_is(t->schema, "pg_catalog")) {
            buf_text_append(b, t->schema);
            buf_char(b, '.');
        }
        buf_text_append(b, t->name);
        if (array)
            buf_printf(b, "[]");
    }
    buf_char(b, ')');
}

static bool on_path(const struct catalog *c, struct text schema)
{
    for (int i = 0; i < c->n_search_path; i++)
        if (text_eq(c->search_path[i], schema))
            return true;
    return false;
}

void about_function(struct walk *w, struct text schema, struct text name, int n_args)
{
    const struct policy *p = w->ask->policy;
    const struct catalog *c = p->catalog;
    struct buf b;
    int n = 0;

    if (w->subject.n)
        return;
    w->subject = name_text(w->arena, schema, name);
    buf_init(&b);
    for (int i = 0; i < c->n_functions && n < MAX_RULES; i++) {
        const struct cat_function *f = c->functions[i];
        if (!text_eq(f->name, name) ||
            (schema.n ? !text_eq(f->schema, schema) : !on_path(c, f->schema)) ||
            (n_args >= 0 && !f->variadic &&
             (n_args > f->n_args || n_args < f->n_args - f->n_defaults)))
            continue;
        buf_printf(&b, "%s[tenant_functions] ", n++ ? "; " : "");
        put_name(&b, f->schema, f->name);
        put_args(&b, p, f);
        buf_printf(&b, " = allow");
    }
    w->fix = taken(w->arena, &b);
}

void about_operator(struct walk *w, struct text schema, struct text name)
{
    const struct catalog *c = w->ask->policy->catalog;
    struct buf b;

    if (w->subject.n)
        return;
    buf_init(&b);
    if (schema.n) {
        trace_ident(&b, schema);
        buf_char(&b, '.');
    }
    buf_text_append(&b, name);
    w->subject = taken(w->arena, &b);
    for (int i = 0; i < c->n_operators; i++) {
        const struct cat_operator *o = c->operators[i];
        if (!text_eq(o->name, name) ||
            (schema.n ? !text_eq(o->schema, schema) : !on_path(c, o->schema)))
            continue;
        buf_init(&b);
        buf_printf(&b, "[tenant_operators] ");
        trace_ident(&b, o->schema);
        buf_printf(&b, ".%.*s = allow", TEXT_ARG(name));
        w->fix = taken(w->arena, &b);
        return;
    }
}

/* `AND alias.column = $claim`, behind what stands there. */
static void put_condition(struct walk *w, const struct tref *r, struct text *to)
{
    struct buf b;

    buf_init(&b);
    buf_text_append(&b, *to);
    buf_printf(&b, "%sAND ", to->n ? " " : "");
    put_name(&b, r->item->name, r->rel->column->name);
    buf_printf(&b, " = $%.*s", TEXT_ARG(w->used[r->claim].name));
    *to = taken(w->arena, &b);
}

void about_missing(struct walk *w, const struct tref *r)
{
    if (w->subject.n)
        return;
    w->subject = name_text(w->arena, r->rel->schema, r->rel->name);
    put_condition(w, r, &w->fix);
}

void about_added(struct walk *w, const struct tref *r, const char *how)
{
    trace_how(w, r->trace, "%s", how);
    if (w->ask->mode != TENANT_AUDIT || w->n_conditions++ >= MAX_CONDITIONS)
        return;
    if (!w->added_to.n)
        w->added_to = name_text(w->arena, r->rel->schema, r->rel->name);
    put_condition(w, r, &w->added_fix);
}

/* ---- into the verdict ---- */

void trace_keep(struct walk *w)
{
    struct verdict *v = &w->out->pub;
    struct buf b;

    if (w->refused) {
        v->subject = w->subject.n ? arena_text(&w->out->arena, w->subject) : w->subject;
        v->fix = w->fix.n ? arena_text(&w->out->arena, w->fix) : w->fix;
    } else if (w->added_fix.n) {
        v->subject = arena_text(&w->out->arena, w->added_to);
        v->fix = arena_text(&w->out->arena, w->added_fix);
    }
    if (!w->n_rels)
        return;
    buf_init(&b);
    for (int i = 0; i < w->n_rels; i++) {
        if (i)
            buf_char(&b, '\0');
        put_name(&b, w->rels[i]->schema, w->rels[i]->name);
    }
    v->relations = taken(&w->out->arena, &b);
}
