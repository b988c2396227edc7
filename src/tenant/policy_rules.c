/* SPDX-License-Identifier: ISC */
/* Classification of relations: the rules of the configuration, discovery by column name,
 * inheritance, system catalogs. */
#include "base/buf.h"
#include "tenant/policy_index.h"

#define OID_TEXT 25
#define OID_VARCHAR 1043
#define MAX_ANCESTORS 64 /* levels of inheritance that are followed; deeper ones are refused */

enum { RANK_NONE = -1, RANK_ALL, RANK_SCHEMA, RANK_NAME, RANK_EXACT };

static const struct {
    const char *schema, *name, *hidden;
} system_relations[] = {
#define SYS(schema, name, hidden) { schema, name, hidden },
#include "tenant/system_relations.def"
};

static const struct {
    uint32_t oid;
    const char *sql;
} tenant_types[] = {
    { 20, "pg_catalog.int8" },          { 21, "pg_catalog.int2" },
    { 23, "pg_catalog.int4" },          { OID_TEXT, "pg_catalog.text" },
    { OID_VARCHAR, "pg_catalog.text" }, { 2950, "pg_catalog.uuid" },
};

/* One relation while it is being classified. */
struct work {
    const struct cat_relation *cat;
    struct policy_relation *r;
    const struct tenant_rule *rule; /* most specific one */
    int rank;
    int state; /* 0 not begun, 1 under way, 2 done */
    bool by_rule;
};

struct works {
    struct policy *p;
    struct work *w;
    int n;
    struct map by_oid; /* → struct work */
    struct buf *problems;
};

static int rule_rank(const struct tenant_rule *u, const struct cat_relation *c)
{
    if (!u->any_schema && !text_eq(u->schema, c->schema))
        return RANK_NONE;
    if (u->relation.n > 0 && !text_eq(u->relation, c->name))
        return RANK_NONE;
    if (u->relation.n > 0)
        return u->any_schema ? RANK_NAME : RANK_EXACT;
    return u->any_schema ? RANK_ALL : RANK_SCHEMA;
}

static const struct tenant_rule *best_rule(const struct setup *s, const struct cat_relation *c,
                                           int *rank, bool *used)
{
    const struct tenant_rule *best = NULL;

    *rank = RANK_NONE;
    for (int i = 0; i < s->n_rules; i++) {
        int k = rule_rank(&s->rules[i], c);

        if (k == RANK_NONE)
            continue;
        used[i] = true;
        if (k >= *rank) {
            best = &s->rules[i];
            *rank = k;
        }
    }
    return best;
}

static const struct cat_column *find_column(const struct cat_relation *c, struct text name)
{
    for (int i = 0; i < c->n_columns; i++) {
        if (text_eq(c->columns[i].name, name))
            return &c->columns[i];
    }
    return NULL;
}

static void set_class(struct policy_relation *r, enum rel_class cls, struct text why)
{
    r->cls = cls;
    r->why = why;
    if (cls != REL_TENANT) {
        r->column = NULL;
        r->insertable = false;
    }
}

/* Makes it a tenant table by that column, or refuses it with the reason. */
static void set_tenant(struct works *ws, struct work *w, struct text column, struct text claim,
                       struct text why)
{
    struct arena *a = &ws->p->arena;
    const struct cat_column *c = find_column(w->cat, column);
    char kind = w->cat->kind;

    if (!c) {
        set_class(w->r, REL_DENY,
                  arena_printf(a, "%.*s names column %.*s, which the relation lacks", TEXT_ARG(why),
                               TEXT_ARG(column)));
        return;
    }
    for (size_t i = 0; i < sizeof(tenant_types) / sizeof(tenant_types[0]); i++) {
        if (tenant_types[i].oid == c->base_type) {
            w->r->type_sql = text_of(tenant_types[i].sql);
            w->r->type_oid = c->base_type == OID_VARCHAR ? OID_TEXT : c->base_type;
        }
    }
    if (!w->r->type_oid) {
        set_class(
            w->r, REL_DENY,
            arena_printf(a,
                         "column %.*s is not of type text, varchar, uuid, smallint, integer or "
                         "bigint (or a domain of them)",
                         TEXT_ARG(column)));
        return;
    }
    if (c->is_virtual) {
        set_class(w->r, REL_DENY,
                  arena_printf(a, "column %.*s is computed when it is read", TEXT_ARG(column)));
        return;
    }
    if (!c->collation_deterministic) {
        set_class(
            w->r, REL_DENY,
            arena_printf(a,
                         "column %.*s has a nondeterministic collation: different values count "
                         "as equal",
                         TEXT_ARG(column)));
        return;
    }
    set_class(w->r, REL_TENANT, why);
    w->r->column = c;
    w->r->claim = claim;
    w->r->insertable = (kind == 'r' || kind == 'p') && !w->cat->has_rules && !c->generated;
}

static struct text rule_place(struct works *ws, const struct tenant_rule *u)
{
    return arena_printf(&ws->p->arena, "%s:%d", u->file ? u->file : "?", u->line);
}

static void apply_rule(struct works *ws, struct work *w)
{
    struct text place = rule_place(ws, w->rule);

    w->by_rule = true;
    w->r->settings = w->rule->n_settings ? w->rule : NULL;
    if (w->rule->cls == RULE_TENANT)
        set_tenant(ws, w, w->rule->column, w->rule->claim, place);
    else if (w->rule->cls == RULE_SHARED)
        set_class(w->r, REL_SHARED, place);
    else
        set_class(w->r, REL_DENY, arena_printf(&ws->p->arena, "denied by %.*s", TEXT_ARG(place)));
}

/* The first of tenant_columns that the relation has. */
static const struct cat_column *discovered(const struct setup *s, const struct cat_relation *c)
{
    for (int i = 0; i < s->n_tenant_columns; i++) {
        const struct cat_column *k = find_column(c, s->tenant_columns[i]);

        if (k)
            return k;
    }
    return NULL;
}

static void classify(struct works *ws, struct work *w, int depth);

/* What the parents say of a relation without a rule of its own name. false: nothing. */
static bool inherit(struct works *ws, struct work *w, int depth)
{
    const struct cat_column *own = discovered(ws->p->setup, w->cat);
    struct work *from = NULL;

    for (int i = 0; i < w->cat->n_parents; i++) {
        struct work *q = map_get(&ws->by_oid, policy_oid_key(&w->cat->parents[i]));

        if (!q)
            continue;
        classify(ws, q, depth + 1);
        if (q->r->cls == REL_UNKNOWN || (q->r->cls == REL_DENY && !q->by_rule))
            continue;
        if (q->r->cls == REL_SHARED && own && !find_column(q->cat, own->name))
            continue; /* the child holds tenants' rows that the parent does not know of */
        if (from &&
            (from->r->cls != q->r->cls ||
             (q->r->cls == REL_TENANT && !text_eq(from->r->column->name, q->r->column->name)))) {
            set_class(w->r, REL_DENY, TEXT("its parents are declared differently"));
            return true;
        }
        from = q;
    }
    if (!from)
        return false;
    w->by_rule = from->by_rule;
    w->r->settings = from->r->settings;
    if (from->r->cls == REL_TENANT)
        set_tenant(ws, w, from->r->column->name, from->r->claim,
                   arena_printf(&ws->p->arena, "like its parent %.*s.%.*s (%.*s)",
                                TEXT_ARG(from->cat->schema), TEXT_ARG(from->cat->name),
                                TEXT_ARG(from->r->why)));
    else
        set_class(w->r, from->r->cls, from->r->why);
    return true;
}

static void classify_kind(struct works *ws, struct work *w, int depth)
{
    const struct cat_relation *c = w->cat;
    bool table = c->kind == 'r' || c->kind == 'p';
    const struct cat_column *k;

    if (!table && c->kind != 'v' && c->kind != 'm' && c->kind != 'f') {
        set_class(w->r, REL_DENY,
                  c->kind == 'S' ? TEXT("it is a sequence") : TEXT("it is no table"));
        return;
    }
    if (text_is(c->schema, "pg_catalog")) {
        set_class(w->r, REL_DENY, TEXT("it was put into pg_catalog and is not known"));
        return;
    }
    if (w->rank >= RANK_NAME) {
        apply_rule(ws, w);
        return;
    }
    if (c->n_parents > 0 && inherit(ws, w, depth))
        return;
    if (w->rule && (table || w->rule->cls == RULE_DENY)) {
        apply_rule(ws, w);
        return;
    }
    k = table ? discovered(ws->p->setup, c) : NULL;
    if (k) {
        set_tenant(
            ws, w, k->name, TEXT(""),
            arena_printf(&ws->p->arena, "column %.*s found in the catalog", TEXT_ARG(k->name)));
        return;
    }
    set_class(w->r, REL_UNKNOWN,
              table
                  ? TEXT("it is not declared in [tenant_rules] and has none of the tenant_columns")
                  : TEXT("views, materialized views and foreign tables have to be declared by name "
                         "in [tenant_rules]"));
}

/* A relation whose column types run functions that nobody allowed is out of bounds: such casts need
 * not be named. */
static void check_types(struct works *ws, struct work *w)
{
    bool open = w->r->cls == REL_TENANT || w->r->cls == REL_SHARED;

    for (int i = 0; i < w->cat->n_columns; i++) {
        const struct cat_column *c = &w->cat->columns[i];
        const struct cat_type *t = policy_type_by_oid(ws->p, c->type);
        const char *why = map_get(&ws->p->index->tainted, policy_oid_key(&c->type));

        if (!why)
            why = map_get(&ws->p->index->tainted, policy_oid_key(&c->base_type));
        if (!why && t && t->elem)
            why = map_get(&ws->p->index->tainted, policy_oid_key(&t->elem));
        if (why) {
            w->r->tainted = true;
            if (open)
                set_class(w->r, REL_DENY,
                          arena_printf(&ws->p->arena, "column %.*s: %s", TEXT_ARG(c->name), why));
            return;
        }
    }
}

static void classify(struct works *ws, struct work *w, int depth)
{
    if (w->state != 0)
        return;
    w->state = 1;
    if (depth > MAX_ANCESTORS)
        set_class(w->r, REL_DENY, TEXT("it inherits over too many levels"));
    else
        classify_kind(ws, w, depth);
    check_types(ws, w);
    w->state = 2;
}

/* Reading a parent reads its children: refuses parents whose own rule would not hold for `w`'s
 * rows. */
static void check_ancestors(struct works *ws, struct work *w, const struct cat_relation *c,
                            int depth)
{
    for (int i = 0; i < c->n_parents && depth < MAX_ANCESTORS; i++) {
        struct work *q = map_get(&ws->by_oid, policy_oid_key(&c->parents[i]));
        struct policy_relation *r;
        bool differs = false;

        if (!q)
            continue;
        r = q->r;
        if (r->cls == REL_SHARED)
            differs = w->r->cls != REL_SHARED;
        else if (r->cls == REL_TENANT && w->r->cls == REL_TENANT)
            differs =
                !text_eq(r->column->name, w->r->column->name) || !text_eq(r->claim, w->r->claim);
        if (r->cls == REL_TENANT && w->r->cls == REL_SHARED)
            set_class(w->r, REL_DENY,
                      arena_printf(&ws->p->arena,
                                   "it is declared shared, but its parent %.*s.%.*s holds "
                                   "tenants' rows",
                                   TEXT_ARG(r->schema), TEXT_ARG(r->name)));
        if (differs)
            set_class(r, REL_DENY,
                      arena_printf(&ws->p->arena,
                                   "reading it reads its child %.*s.%.*s, which is declared "
                                   "differently",
                                   TEXT_ARG(w->r->schema), TEXT_ARG(w->r->name)));
        check_ancestors(ws, w, q->cat, depth + 1);
    }
}

/* Is the view's tenant column the table's, and shown once? Shown a second time, under another name,
 * it could be used to give rows away. */
static bool shows_tenant_column(const struct policy_relation *view,
                                const struct policy_relation *table)
{
    const struct cat_relation *c = view->cat;
    int at = -1;

    for (int i = 0; c->view_origins && i < c->n_columns; i++) {
        if (!text_eq(c->view_origins[i], table->column->name))
            continue;
        if (at >= 0)
            return false;
        at = i;
    }
    return at >= 0 && text_eq(c->columns[at].name, view->column->name);
}

/* A view may be written when it shows columns of the one table it reads, the tenant column among
 * them, as it was declared. */
static void check_view(struct works *ws, struct work *w)
{
    const struct work *only = NULL;

    for (int i = 0; i < w->cat->n_view_reads; i++) {
        const struct work *q = map_get(&ws->by_oid, policy_oid_key(&w->cat->view_reads[i]));

        if (!q)
            continue;
        if (w->r->cls == REL_SHARED && q->r->cls == REL_TENANT && ws->problems)
            buf_printf(
                ws->problems,
                "%.*s: the view %.*s.%.*s is declared shared but reads %.*s.%.*s, which holds tenants' "
                "rows\n",
                TEXT_ARG(w->r->why), TEXT_ARG(w->r->schema), TEXT_ARG(w->r->name),
                TEXT_ARG(q->r->schema), TEXT_ARG(q->r->name));
        only = q;
    }
    if (w->r->cls == REL_TENANT && w->cat->kind == 'v' && w->cat->n_view_reads == 1 && only &&
        only->r->cls == REL_TENANT && only->r->insertable && !w->cat->has_triggers &&
        !w->cat->has_rules)
        w->r->insertable = shows_tenant_column(w->r, only->r);
    w->r->base = w->r->insertable && w->r->is_view ? only->r : NULL;
}

/* Conditions on foreign tables may be tested by their own server: in an order of its own, and
 * without the barrier, which postgres_fdw keeps here. Parents and views read such tables, too. */
static void mark_foreign(struct works *ws)
{
    bool more = false;

    for (int i = 0; i < ws->n; i++)
        more |= ws->w[i].r->foreign = ws->w[i].cat->kind == 'f';
    while (more) {
        more = false;
        for (int i = 0; i < ws->n; i++) {
            const struct cat_relation *c = ws->w[i].cat;
            bool is = ws->w[i].r->foreign;

            for (int k = 0; is && k < c->n_parents; k++) {
                struct work *q = map_get(&ws->by_oid, policy_oid_key(&c->parents[k]));
                more |= q && !q->r->foreign;
                if (q)
                    q->r->foreign = true;
            }
            for (int k = 0; !is && c->kind == 'v' && k < c->n_view_reads; k++) {
                const struct work *q = map_get(&ws->by_oid, policy_oid_key(&c->view_reads[k]));
                if (q && q->r->foreign)
                    more = is = ws->w[i].r->foreign = true;
            }
        }
    }
}

/* Pairs a shared view with the tenants' tables it reads is a warning; so is a rule that names
 * nothing. */
static void report_rules(const struct policy *p, const bool *used, struct buf *problems)
{
    for (int i = 0; i < p->setup->n_rules; i++) {
        const struct tenant_rule *u = &p->setup->rules[i];

        if (used[i] || u->relation.n == 0)
            continue;
        buf_printf(problems, "%s:%d: %.*s.%.*s: no such relation in database %.*s\n",
                   u->file ? u->file : "?", u->line,
                   TEXT_ARG(u->any_schema ? TEXT("*") : u->schema), TEXT_ARG(u->relation),
                   TEXT_ARG(p->index->db->name));
    }
}

static struct policy_relation *new_relation(struct policy *p, struct text schema, struct text name)
{
    struct policy_relation *r = ARENA_NEW(&p->arena, struct policy_relation);

    r->schema = schema;
    r->name = name;
    r->hidden = "";
    map_put(&p->by_name, policy_key_in(&p->arena, schema, name), r);
    return r;
}

/* Catalogs: those of the list, the others of the server as refused ones; rules by full name come
 * last. */
static void index_system(struct policy *p, bool *used)
{
    const struct setup *s = p->setup;
    const struct catalog *c = p->catalog;

    for (int i = 0; i < c->n_system; i++) {
        struct policy_relation *r = new_relation(p, c->system[i]->schema, c->system[i]->name);

        r->sys = c->system[i];
        set_class(r, REL_DENY,
                  TEXT("it is not on the list of system relations that tenants may read"));
    }
    for (size_t i = 0; i < sizeof(system_relations) / sizeof(system_relations[0]); i++) {
        struct text schema = text_of(system_relations[i].schema),
                    name = text_of(system_relations[i].name);
        const struct policy_relation *old = policy_relation(p, schema, name);
        struct policy_relation *r;

        if (!old && c->n_system > 0)
            continue; /* this server has no such relation */
        r = new_relation(p, schema, name);
        r->sys = old ? old->sys : NULL;
        r->hidden = system_relations[i].hidden;
        policy_index_masked(p, r);
        set_class(r, REL_SYSTEM, TEXT("system relation that holds definitions only"));
    }
    for (int i = 0; i < s->n_rules; i++) {
        const struct tenant_rule *u = &s->rules[i];
        const struct policy_relation *old;
        struct policy_relation *r;

        if (u->any_schema || u->relation.n == 0 || u->cls == RULE_TENANT)
            continue;
        if (!text_is(u->schema, "pg_catalog") && !text_is(u->schema, "information_schema"))
            continue;
        old = policy_relation(p, u->schema, u->relation);
        if (!old)
            continue;
        used[i] = true;
        r = new_relation(p, u->schema, u->relation);
        r->sys = old->sys;
        set_class(r, u->cls == RULE_SHARED ? REL_SYSTEM : REL_DENY,
                  arena_printf(&p->arena, "%s:%d", u->file ? u->file : "?", u->line));
    }
}

void policy_index_relations(struct policy *p, struct buf *problems)
{
    const struct catalog *c = p->catalog;
    bool *used = ARENA_ARRAY(&p->arena, bool, p->setup->n_rules + 1);
    struct works ws = { .p = p, .n = c->n_relations, .problems = problems };

    index_system(p, used);
    ws.w = ARENA_ARRAY(&p->arena, struct work, c->n_relations + 1);
    map_init(&ws.by_oid);
    for (int i = 0; i < c->n_relations; i++) {
        struct work *w = &ws.w[i];

        w->cat = c->relations[i];
        w->r = new_relation(p, w->cat->schema, w->cat->name);
        w->r->cat = w->cat;
        w->r->is_view = w->cat->kind == 'v' || w->cat->kind == 'm';
        w->rule = best_rule(p->setup, w->cat, &w->rank, used);
        map_put(&ws.by_oid, policy_oid_key(&w->cat->oid), w);
    }
    for (int i = 0; i < ws.n; i++)
        classify(&ws, &ws.w[i], 0);
    for (int i = 0; i < ws.n; i++)
        check_ancestors(&ws, &ws.w[i], ws.w[i].cat, 0);
    for (int i = 0; i < ws.n; i++) {
        check_view(&ws, &ws.w[i]);
        ws.w[i].r->by_rule = ws.w[i].by_rule;
    }
    mark_foreign(&ws);
    map_release(&ws.by_oid);
    if (problems)
        report_rules(p, used, problems);
}
