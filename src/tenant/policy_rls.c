/* SPDX-License-Identifier: ISC */
/* Row-level security as the catalog shows it: which relations it guards for everybody, and which
 * roles it does not hold. */
#include "base/buf.h"
#include "tenant/policy_index.h"

#include <stdio.h>

#define MAX_VIEW_DEPTH 16
#define MAX_LINES 40 /* of a report, per kind */

static struct policy_relation *relation_of(const struct policy *p, const struct cat_relation *c)
{
    char buf[POLICY_KEY_MAX];
    struct text key;

    return policy_key(buf, c->schema, c->name, &key) ? map_get(&p->by_name, key) : NULL;
}

/* What the steps look up. */
struct works {
    struct policy *p;
    struct map by_oid; /* → struct policy_relation */
    struct map exempt; /* OIDs of roles that policies do not hold → (void *)1 */
};

static bool is_table(const struct policy_relation *r)
{
    return r->cat->kind == 'r' || r->cat->kind == 'p';
}

/* Why no tenant may read it in this mode; empty: the server's policies decide. */
static struct text closed_view(struct works *ws, const struct policy_relation *r, int depth);

static struct text closed(struct works *ws, const struct policy_relation *r, int depth)
{
    if (r->cls == REL_DENY && r->by_rule)
        return r->why;
    if (text_is(r->cat->schema, "pg_catalog"))
        return TEXT("it was put into pg_catalog and is not known");
    if (r->tainted)
        return TEXT("the type of one of its columns calls functions that are not declared");
    if (r->foreign)
        return TEXT("it is or reads a foreign table, whose server does not know the policies");
    if (r->cat->kind == 'v')
        return closed_view(ws, r, depth);
    if (!is_table(r))
        return TEXT("row-level security does not reach it; declare it shared by name");
    if (!r->cat->rls)
        return TEXT("row-level security is not enabled on it");
    if (!r->cat->rls_forced)
        return TEXT("row-level security is not forced on it");
    return (struct text){ NULL, 0 };
}

/* A view reads with the rights and under the policies of its owner, or of the caller when it is a
 * security_invoker. It has to be declared by name, because the functions it calls are nobody's
 * list. */
static struct text closed_view(struct works *ws, const struct policy_relation *r, int depth)
{
    const struct cat_relation *c = r->cat;

    if (depth > MAX_VIEW_DEPTH)
        return TEXT("it reads views over too many levels");
    if (r->cls != REL_TENANT || !r->by_rule)
        return TEXT("views have to be declared by name in [tenant_rules]");
    if (!c->security_invoker && map_get(&ws->exempt, policy_oid_key(&c->owner)))
        return TEXT("it is no security_invoker, and row-level security does not hold its owner");
    for (int i = 0; i < c->n_view_reads; i++) {
        const struct policy_relation *q = map_get(&ws->by_oid, policy_oid_key(&c->view_reads[i]));
        if (!q || q->cls == REL_SHARED)
            continue;
        struct text why = closed(ws, q, depth + 1);
        if (why.n)
            return arena_printf(&ws->p->arena, "it reads %.*s.%.*s: %.*s", TEXT_ARG(q->schema),
                                TEXT_ARG(q->name), TEXT_ARG(why));
    }
    return (struct text){ NULL, 0 };
}

/* A parent is read under its own policies: a shared one that has none shows its children's rows. */
static void close_parents(struct works *ws, const struct cat_relation *child,
                          const struct cat_relation *c, int depth)
{
    for (int i = 0; i < c->n_parents && depth < 64; i++) {
        struct policy_relation *q = map_get(&ws->by_oid, policy_oid_key(&c->parents[i]));
        if (!q)
            continue;
        if (!q->cat->rls || !q->cat->rls_forced)
            q->rls_shows = arena_printf(&ws->p->arena,
                                        "reading it reads its child %.*s.%.*s past its policies",
                                        TEXT_ARG(child->schema), TEXT_ARG(child->name));
        close_parents(ws, child, q->cat, depth + 1);
    }
}

/* ---- roles ---- */

static bool guards(const struct policy *p, const struct cat_relation *c)
{
    const struct policy_relation *r = relation_of(p, c);

    return r && is_table(r) && (r->cls == REL_TENANT || (c->rls && r->cls != REL_SHARED));
}

static const struct cat_relation *owned(const struct policy *p, uint32_t owner)
{
    for (int i = 0; i < p->catalog->n_relations; i++)
        if (p->catalog->relations[i]->owner == owner && guards(p, p->catalog->relations[i]))
            return p->catalog->relations[i];
    return NULL;
}

static void role_problem(struct policy *p, const struct cat_role *m)
{
    struct arena *a = &p->arena;
    bool self = m->oid == m->as_oid;
    struct text via =
        self ? TEXT("it") : arena_printf(a, "it is a member of %.*s, which", TEXT_ARG(m->as_name));
    const struct cat_relation *c;
    struct text why = { NULL, 0 };

    if (m->as_super)
        why = arena_printf(a, "%.*s is a superuser", TEXT_ARG(via));
    else if (m->as_bypass)
        why = arena_printf(a, "%.*s has BYPASSRLS", TEXT_ARG(via));
    else if ((c = owned(p, m->as_oid)) != NULL)
        why = arena_printf(a, "%.*s owns %.*s.%.*s", TEXT_ARG(via), TEXT_ARG(c->schema),
                           TEXT_ARG(c->name));
    if (!why.n)
        return;
    if (self || !map_get(&p->index->role_problems, m->name)) {
        struct text *keep = ARENA_NEW(a, struct text);
        *keep = why;
        map_put(&p->index->role_problems, m->name, keep);
    }
}

bool policy_rls_role(const struct policy *p, struct text role, struct text *why)
{
    const struct text *found = map_get(&p->index->role_problems, role);

    for (int i = 0; !found && i < p->catalog->n_role_switches; i++) {
        const struct cat_role_switch *s = &p->catalog->role_switches[i];
        if (s->role.n == 0 || text_eq(s->role, role))
            found = &s->setting;
    }
    if (found)
        *why = *found;
    return found == NULL;
}

/* ---- the report ---- */

static void line(struct buf *b, int *n, const char *level, struct text db, struct text what)
{
    if ((*n)++ < MAX_LINES)
        buf_printf(b, "%s database %.*s: %.*s\n", level, TEXT_ARG(db), TEXT_ARG(what));
}

static void report_role(struct policy *p, struct buf *b, int *n, struct text role)
{
    struct text why;

    if (!policy_rls_role(p, role, &why))
        line(b, n, "ERROR", p->index->db->name,
             arena_printf(&p->arena,
                          "row-level security does not hold role \"%.*s\": %.*s; clients that it "
                          "would serve are refused",
                          TEXT_ARG(role), TEXT_ARG(why)));
}

/* The roles that the servers of clients in this mode log in as. */
static bool report_roles(struct policy *p, struct buf *b)
{
    const struct setup *s = p->setup;
    const struct database_conf *db = p->index->db;
    bool in_use = setup_tenant_mode(s, db, NULL) == TENANT_RLS;
    int n = 0;

    for (int i = 0; i < s->n_users; i++) {
        const struct user_conf *u = s->users[i];
        if (setup_tenant_mode(s, db, u) != TENANT_RLS || u->identity.exempt)
            continue;
        in_use = true;
        if (!db->user)
            report_role(p, b, &n, u->name);
    }
    if (in_use && db->user)
        report_role(p, b, &n, text_of(db->user));
    return in_use;
}

static bool mentions(struct text expr, const char *guc)
{
    return memmem(expr.p, expr.n, guc, strlen(guc)) != NULL;
}

static void report_tables(struct policy *p, struct buf *b)
{
    int n = 0;

    for (int i = 0; i < p->catalog->n_relations; i++) {
        const struct cat_relation *c = p->catalog->relations[i];
        const struct policy_relation *r = relation_of(p, c);
        if (!r || !is_table(r))
            continue;
        if (r->cls == REL_TENANT && !r->rls_open)
            line(b, &n, "WARNING", p->index->db->name,
                 arena_printf(&p->arena, "%.*s.%.*s is a tenant table, but %.*s",
                              TEXT_ARG(c->schema), TEXT_ARG(c->name), TEXT_ARG(r->rls_why)));
        for (int k = 0; r->rls_open && k < c->n_policies; k++)
            if (!mentions(c->policies[k].expr, p->index->guc))
                line(b, &n, "WARNING", p->index->db->name,
                     arena_printf(&p->arena, "policy %.*s of %.*s.%.*s does not mention %s",
                                  TEXT_ARG(c->policies[k].name), TEXT_ARG(c->schema),
                                  TEXT_ARG(c->name), p->index->guc));
    }
    if (n > MAX_LINES)
        buf_printf(b, "WARNING database %.*s: %d more such lines\n", TEXT_ARG(p->index->db->name),
                   n - MAX_LINES);
}

struct text policy_rls_report(const struct policy *p)
{
    return p->index->rls_report;
}

void policy_index_rls(struct policy *p)
{
    struct works ws = { .p = p };
    struct catalog *c = p->catalog;
    struct buf report;

    map_init(&ws.by_oid);
    map_init(&ws.exempt);
    for (int i = 0; i < c->n_relations; i++)
        map_put(&ws.by_oid, policy_oid_key(&c->relations[i]->oid), relation_of(p, c->relations[i]));
    for (int i = 0; i < c->n_roles; i++)
        if (c->roles[i].oid == c->roles[i].as_oid &&
            (c->roles[i].as_super || c->roles[i].as_bypass))
            map_put(&ws.exempt, policy_oid_key(&c->roles[i].oid), p);
    for (int i = 0; i < c->n_relations; i++)
        if (c->relations[i]->rls)
            close_parents(&ws, c->relations[i], c->relations[i], 0);
    for (int i = 0; i < c->n_relations; i++) {
        struct policy_relation *r = relation_of(p, c->relations[i]);
        if (!r || !r->cat)
            continue;
        r->rls_why = closed(&ws, r, 0);
        r->rls_open = r->rls_why.n == 0;
    }
    map_release(&ws.by_oid);
    map_release(&ws.exempt);
    for (int i = 0; i < c->n_roles; i++)
        role_problem(p, &c->roles[i]);
    buf_init(&report);
    if (report_roles(p, &report))
        report_tables(p, &report);
    p->index->rls_report = arena_text(&p->arena, buf_text(&report));
    buf_release(&report);
}
