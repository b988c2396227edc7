/* SPDX-License-Identifier: ISC */
/* Which tables hold a tenant's rows, and the order that foreign keys put them in. */
#include "main/tenant_tables.h"

#include "base/buf.h"
#include "main/backend.h"
#include "wire/fields.h"

#include <libpq-fe.h>
#include <stdlib.h>

#define MAX_CLIMB 64 /* levels of partitions */

/* A foreign key between two of the tables; self references are left out. */
struct edge {
    int from, to;
};

struct graph {
    struct edge *v;
    int n;
    int *mark, *low, *stack; /* per table, see visit */
    int depth, top, groups;
};

/* ---- tables ---- */

static const struct cat_relation *by_oid(const struct map *m, uint32_t oid)
{
    return map_get(m, text_n((const char *)&oid, sizeof(oid)));
}

/* The outermost partitioned table that the relation is a partition of, or itself. */
static const struct cat_relation *root_of(const struct map *all, const struct cat_relation *r)
{
    for (int i = 0; i < MAX_CLIMB && r->n_parents == 1; i++) {
        const struct cat_relation *up = by_oid(all, r->parents[0]);
        if (!up || up->kind != 'p')
            break;
        r = up;
    }
    return r;
}

static struct text sql_name(struct arena *a, struct text t)
{
    struct buf b;

    buf_init(&b);
    wire_quote_ident(&b, t);
    struct text out = arena_text(a, buf_text(&b));
    buf_release(&b);
    return out;
}

static struct text equals(struct arena *a, const struct policy_relation *r, const struct claim *c)
{
    struct buf b;

    buf_init(&b);
    buf_printf(&b, "%.*s OPERATOR(pg_catalog.=) ", TEXT_ARG(sql_name(a, r->column->name)));
    wire_quote_literal(&b, c->value);
    buf_printf(&b, "::%.*s", TEXT_ARG(r->type_sql));
    struct text out = arena_text(a, buf_text(&b));
    buf_release(&b);
    return out;
}

static bool add_table(const struct policy_relation *r, const struct identity *id, struct arena *a,
                      struct tenant_tables *out, struct err *e)
{
    struct tenant_table *t = &out->v[out->n];

    t->rel = r;
    t->claim = policy_claim(r, id);
    if (!t->claim)
        return err_set(e,
                       "the tenant has no usable value for column %.*s of table %.*s.%.*s"
                       " (give it as claim.%.*s)",
                       TEXT_ARG(r->column->name), TEXT_ARG(r->schema), TEXT_ARG(r->name),
                       TEXT_ARG(r->claim.n ? r->claim : r->column->name));
    t->name = arena_printf(a, "%.*s.%.*s", TEXT_ARG(sql_name(a, r->schema)),
                           TEXT_ARG(sql_name(a, r->name)));
    t->from = r->cat->kind == 'p' ? t->name : arena_printf(a, "ONLY %.*s", TEXT_ARG(t->name));
    t->condition = equals(a, r, t->claim);
    out->n++;
    return true;
}

static int by_name(const void *x, const void *y)
{
    const struct tenant_table *a = x, *b = y;
    int c = text_cmp(a->rel->schema, b->rel->schema);
    return c ? c : text_cmp(a->rel->name, b->rel->name);
}

static const struct policy_relation *relation_of(const struct policy *p,
                                                 const struct cat_relation *c)
{
    return policy_relation(p, c->schema, c->name);
}

static bool collect(const struct policy *p, const struct map *all, const struct identity *id,
                    struct arena *a, struct tenant_tables *out, struct err *e)
{
    const struct catalog *c = p->catalog;

    out->v = ARENA_ARRAY(a, struct tenant_table, c->n_relations + 1);
    for (int i = 0; i < c->n_relations; i++) {
        const struct cat_relation *q = c->relations[i], *root = root_of(all, q);
        const struct policy_relation *r = relation_of(p, q);
        const struct policy_relation *top = root == q ? NULL : relation_of(p, root);
        if ((q->kind != 'r' && q->kind != 'p') || !r || r->cls != REL_TENANT)
            continue;
        if (top && top->cls == REL_TENANT)
            continue;
        if (!add_table(r, id, a, out, e))
            return false;
    }
    qsort(out->v, (size_t)out->n, sizeof(*out->v), by_name);
    return true;
}

static int table_index(const struct tenant_tables *t, const struct cat_relation *c)
{
    for (int i = 0; c && i < t->n; i++)
        if (t->v[i].rel->cat == c)
            return i;
    return -1;
}

/* ---- order ---- */

static void map_relations(const struct policy *p, struct map *all)
{
    map_init(all);
    for (int i = 0; i < p->catalog->n_relations; i++) {
        struct cat_relation *r = p->catalog->relations[i];
        map_put(all, text_n((const char *)&r->oid, sizeof(r->oid)), r);
    }
}

static PGresult *foreign_keys(PGconn *pg, struct err *e)
{
    return backend_query(
        pg, "foreign keys",
        "SELECT k.conrelid, k.confrelid, k.confdeltype, k.conname, n.nspname, c.relname,"
        " pg_catalog.array_to_string(k.conkey, ' '), pg_catalog.array_to_string(k.confkey, ' '),"
        " (SELECT pg_catalog.string_agg(pg_catalog.format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, m.nspname,"
        "   o.oprname, ca.attname), ' AND ')"
        "  FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey),"
        "   pg_catalog.unnest(k.conpfeqop)) AS u (c, p, o)"
        "  JOIN pg_catalog.pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.c"
        "  JOIN pg_catalog.pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.p"
        "  JOIN pg_catalog.pg_operator o ON o.oid = u.o"
        "  JOIN pg_catalog.pg_namespace m ON m.oid = o.oprnamespace),"
        " CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END"
        "  || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
        " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY n.nspname, c.relname, k.conname",
        e);
}

static uint32_t oid_at(const PGresult *r, int row, int col)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, col), NULL, 10);
}

static void add_edge(struct graph *g, int from, int to)
{
    if (from >= 0 && to >= 0 && from != to)
        g->v[g->n++] = (struct edge){ from, to };
}

/* Tarjan's strongly connected components; those that are referenced end first. The depth is that of
 * the chain of foreign keys. */
static void visit(struct graph *g, struct tenant_tables *t, int at)
{
    g->mark[at] = g->low[at] = ++g->depth;
    g->stack[g->top++] = at;
    for (int i = 0; i < g->n; i++) {
        int to = g->v[i].to;
        if (g->v[i].from != at)
            continue;
        if (!g->mark[to])
            visit(g, t, to);
        if (t->v[to].group < 0 && g->low[to] < g->low[at])
            g->low[at] = g->low[to];
    }
    if (g->low[at] != g->mark[at])
        return;
    int last;
    do {
        last = g->stack[--g->top];
        t->v[last].group = g->groups;
    } while (last != at);
    g->groups++;
}

static int by_group(const void *x, const void *y)
{
    const struct tenant_table *a = x, *b = y;
    return a->group != b->group ? (a->group > b->group) - (a->group < b->group) : by_name(x, y);
}

static void order(struct graph *g, struct tenant_tables *t, struct arena *a)
{
    g->mark = ARENA_ARRAY(a, int, t->n + 1);
    g->low = ARENA_ARRAY(a, int, t->n + 1);
    g->stack = ARENA_ARRAY(a, int, t->n + 1);
    for (int i = 0; i < t->n; i++)
        t->v[i].group = -1;
    for (int i = 0; i < t->n; i++)
        if (!g->mark[i])
            visit(g, t, i);
    qsort(t->v, (size_t)t->n, sizeof(*t->v), by_group);
}

/* Triggers of the users' own that run at DELETE. */
static bool warn(PGconn *pg, struct tenant_tables *t, struct arena *a, struct err *e)
{
    PGresult *r =
        backend_query(pg, "triggers",
                      "SELECT tgrelid, tgname FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"
                      " AND tgtype & 8 <> 0 AND tgenabled <> 'D' ORDER BY tgrelid, tgname",
                      e);
    if (!r)
        return false;
    const char **lines = ARENA_ARRAY(a, const char *, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++) {
        int k = 0;
        while (k < t->n && t->v[k].rel->cat->oid != oid_at(r, i, 0))
            k++;
        if (k < t->n)
            lines[t->n_warnings++] = arena_printf(a, "trigger %s of table %.*s runs at DELETE",
                                                  PQgetvalue(r, i, 1), TEXT_ARG(t->v[k].name))
                                         .p;
    }
    t->warnings = lines;
    PQclear(r);
    return true;
}

bool tenant_tables_plan(PGconn *pg, const struct policy *p, const struct identity *id,
                        struct arena *a, struct tenant_tables *out, struct err *e)
{
    struct map all;
    struct graph g = { .n = 0 };
    PGresult *r = NULL;

    *out = (struct tenant_tables){ .n = 0 };
    map_relations(p, &all);
    bool ok = collect(p, &all, id, a, out, e) && (r = foreign_keys(pg, e)) != NULL;
    if (ok) {
        g.v = ARENA_ARRAY(a, struct edge, PQntuples(r) + 1);
        for (int i = 0; i < PQntuples(r); i++) {
            const struct cat_relation *c = by_oid(&all, oid_at(r, i, 0));
            const struct cat_relation *up = by_oid(&all, oid_at(r, i, 1));
            if (c && up)
                add_edge(&g, table_index(out, root_of(&all, c)),
                         table_index(out, root_of(&all, up)));
        }
        order(&g, out, a);
        ok = warn(pg, out, a, e);
    }
    PQclear(r);
    map_release(&all);
    return ok;
}

/* ---- do the tables keep tenants apart? ---- */

/* Does the k-th number of one list equal `want_c` where the other's equals `want_p`? */
static bool pairs(const char *c, const char *p, int want_c, int want_p)
{
    char *ce, *pe;

    for (;;) {
        long x = strtol(c, &ce, 10), y = strtol(p, &pe, 10);
        if (ce == c || pe == p)
            return false;
        if (x == want_c && y == want_p)
            return true;
        c = ce;
        p = pe;
    }
}

/* One foreign key onto a tenant's table: is there a row that is not the tenant's behind it? */
static bool check_key(PGconn *pg, const PGresult *keys, int row, const struct tenant_table *to,
                      const struct tenant_table *from, int cancel_fd, struct err *e)
{
    struct buf b;
    PGresult *r;

    if (from && pairs(PQgetvalue(keys, row, 6), PQgetvalue(keys, row, 7), from->rel->column->attnum,
                      to->rel->column->attnum))
        return true;
    buf_init(&b);
    buf_printf(&b, "SELECT 1 FROM %s c, %.*s p WHERE %s AND p.%.*s", PQgetvalue(keys, row, 9),
               TEXT_ARG(to->from), PQgetvalue(keys, row, 8), TEXT_ARG(to->condition));
    if (from)
        buf_printf(&b, " AND (c.%.*s) IS NOT TRUE", TEXT_ARG(from->condition));
    buf_printf(&b, " LIMIT 1");
    buf_char(&b, '\0');
    r = b.failed ? NULL : backend_run(pg, "foreign key", b.p, cancel_fd, e);
    buf_release(&b);
    bool none = r && PQntuples(r) == 0;
    if (r && !none)
        err_set(
            e,
            "foreign key %s of table %s.%s acts on rows that are not the tenant's: they reference its rows",
            PQgetvalue(keys, row, 3), PQgetvalue(keys, row, 4), PQgetvalue(keys, row, 5));
    PQclear(r);
    return none;
}

bool tenant_tables_apart(PGconn *pg, const struct policy *p, const struct tenant_tables *t,
                         int cancel_fd, struct err *e)
{
    struct map all;
    PGresult *keys = foreign_keys(pg, e);
    bool ok = keys != NULL;

    map_relations(p, &all);
    for (int i = 0; ok && i < PQntuples(keys); i++) {
        const struct cat_relation *c = by_oid(&all, oid_at(keys, i, 0));
        const struct cat_relation *up = by_oid(&all, oid_at(keys, i, 1));
        int to = up ? table_index(t, root_of(&all, up)) : -1;
        int from = c ? table_index(t, root_of(&all, c)) : -1;
        char act = PQgetvalue(keys, i, 2)[0];
        if (to >= 0 && (act == 'c' || act == 'n' || act == 'd'))
            ok = check_key(pg, keys, i, &t->v[to], from >= 0 ? &t->v[from] : NULL, cancel_fd, e);
    }
    map_release(&all);
    PQclear(keys);
    return ok;
}
