/* SPDX-License-Identifier: ISC */
/* Reject mode: conjuncts of the form column = value and column = column, closed over inner
 * equalities. */
#include "tenant/prove.h"

#include "tenant/quiet.h"
#include "tenant/trace.h"
#include "tenant/value.h"

/* column of ref = constant or parameter, or = the tenant column of other; holds for items lo..hi-1.
 */
struct fact {
    struct tref *ref, *other; /* other NULL: the claim's value */
    int param;                /* parameter that must be checked, 0 none */
    int loc;
    int lo, hi;
    struct fact *next;
};

struct proof {
    struct walk *w;
    struct level *l;
    struct fact *facts;
};

static void add_fact(struct proof *p, struct tref *ref, struct tref *other, int param, int loc,
                     int lo, int hi)
{
    if (ref->item_no < lo || ref->item_no >= hi)
        return;
    struct fact *f = ARENA_NEW(p->w->arena, struct fact);
    *f = (struct fact){ ref, other, param, loc, lo, hi, p->facts };
    p->facts = f;
}

/* The tenant reference whose tenant column the expression is, at this very level; NULL when it is
 * none or not certain. */
static struct tref *tenant_column(const struct proof *p, struct node *n)
{
    struct node *f = node_is(n, N_ColumnRef) ? node_get(n, R_fields) : NULL;
    int k = list_len(f);
    struct tref *found = NULL;
    if (k < 1 || k > 3 || !node_is(list_at(f, k - 1), N_String))
        return NULL;
    struct text column = node_str(list_at(f, k - 1), R_sval);
    for (int i = 0; i < p->l->n_items; i++) {
        const struct item *it = p->l->items[i];
        if (it->hidden || (k >= 2 && !text_eq(it->name, node_str(list_at(f, k - 2), R_sval))) ||
            (k == 3 && !text_eq(it->schema, node_str(list_at(f, 0), R_sval))))
            continue;
        if (!columns_find(&it->cols, column)) {
            /* A qualifier that names another item: not the column we look for. */
            if (k >= 2)
                return NULL;
            continue;
        }
        struct tref *here = NULL;
        for (struct tref *r = p->l->refs; r; r = r->next)
            if (r->item == it && !r->renamed && text_eq(r->rel->column->name, column))
                here = r;
        if (!here || (found && k >= 2))
            return NULL;
        if (!found)
            found = here;
    }
    return found;
}

/* Is = of these operands certainly PostgreSQL's own? */
static bool own_equality(const struct proof *p, struct node *name, const struct tref *r)
{
    struct text schema, op;
    if (!walk_name(name, &schema, &op) || !text_is(op, "="))
        return false;
    if (schema.n)
        return text_is(schema, "pg_catalog");
    const struct catalog *c = p->w->ask->policy->catalog;
    const struct cat_column *col = r->rel->column;
    for (int i = 0; i < c->n_operators; i++) {
        const struct cat_operator *o = c->operators[i];
        if (!text_is(o->name, "="))
            continue;
        if (o->left == col->type || o->left == col->base_type || o->right == col->type ||
            o->right == col->base_type || o->left == r->rel->type_oid ||
            o->right == r->rel->type_oid)
            for (int k = 0; k < c->n_search_path; k++)
                if (text_eq(c->search_path[k], o->schema))
                    return false;
    }
    return true;
}

static void equality(struct proof *p, struct node *name, struct node *a, struct node *b, int loc,
                     int lo, int hi)
{
    struct tref *x = tenant_column(p, a), *y = tenant_column(p, b);
    if (!x) {
        x = y;
        b = a;
        y = NULL;
    }
    if (!x || !own_equality(p, name, x))
        return;
    if (y) {
        if (x->claim == y->claim && x != y) {
            add_fact(p, x, y, 0, loc, lo, hi);
            add_fact(p, y, x, 0, loc, lo, hi);
        }
        return;
    }
    int param = 0;
    switch (walk_constant(p->w, b, x->claim, false, &param)) {
    case VALUE_EQUAL:
        add_fact(p, x, NULL, 0, loc, lo, hi);
        break;
    case VALUE_PARAM:
        add_fact(p, x, NULL, param, loc, lo, hi);
        break;
    case VALUE_DIFFERENT:
    case VALUE_OTHER:
        break;
    }
}

static void conjunct(struct proof *p, struct node *n, int lo, int hi)
{
    if (node_is(n, N_BoolExpr) && node_int(n, R_boolop) == TREE_AND_EXPR) {
        struct node *args = node_get(n, R_args);
        for (int i = 0; i < list_len(args); i++)
            conjunct(p, list_at(args, i), lo, hi);
        return;
    }
    if (!node_is(n, N_A_Expr))
        return;
    struct node *name = node_get(n, R_name), *a = node_get(n, R_lexpr), *b = node_get(n, R_rexpr);
    switch (node_int(n, R_kind)) {
    case TREE_AEXPR_OP:
        if (node_is(a, N_RowExpr) && node_is(b, N_RowExpr)) {
            struct node *x = node_get(a, R_args), *y = node_get(b, R_args);
            for (int i = 0; list_len(x) == list_len(y) && i < list_len(x); i++)
                equality(p, name, list_at(x, i), list_at(y, i), n->loc, lo, hi);
            return;
        }
        equality(p, name, a, b, n->loc, lo, hi);
        return;
    case TREE_AEXPR_IN:
        if (node_is(b, N_List) && list_len(b) == 1)
            equality(p, name, a, list_at(b, 0), n->loc, lo, hi);
        return;
    case TREE_AEXPR_OP_ANY:
        while (node_is(b, N_TypeCast)) {
            struct text schema, type;
            struct node *t = node_get(b, R_typeName);
            if (!walk_name(node_get(t, R_names), &schema, &type) || node_get(t, R_typmods) ||
                !(text_is(type, "text") || text_is(type, "uuid") || text_is(type, "int4") ||
                  text_is(type, "int8")))
                return;
            b = node_get(b, R_arg);
        }
        if (node_is(b, N_A_ArrayExpr) && list_len(node_get(b, R_elements)) == 1)
            equality(p, name, a, list_at(node_get(b, R_elements), 0), n->loc, lo, hi);
        return;
    default:
        return;
    }
}

/* USING (tenant column) of both sides. */
static void merged_columns(struct proof *p, const struct join_range *j, int lo, int hi)
{
    struct node *use = node_get(j->join, R_usingClause);
    for (int i = 0; i < list_len(use); i++) {
        struct text column = node_str(list_at(use, i), R_sval);
        struct tref *left = NULL, *right = NULL;
        int others = 0;
        for (int k = j->lo; k < j->hi; k++) {
            if (p->l->items[k]->hidden)
                continue;
            struct tref *here = NULL;
            for (struct tref *r = p->l->refs; r; r = r->next)
                if (r->item == p->l->items[k] && !r->renamed &&
                    text_eq(r->rel->column->name, column))
                    here = r;
            if (!here)
                others += p->l->items[k]->cols.open ||
                          columns_find(&p->l->items[k]->cols, column) != NULL;
            else if (k < j->mid && !left)
                left = here;
            else if (k >= j->mid && !right)
                right = here;
        }
        if (!left || !right || others || left->claim != right->claim)
            continue;
        struct node *eq = list_new(p->w->arena);
        list_append(p->w->arena, eq, node_string(p->w->arena, TEXT("=")));
        if (!own_equality(p, eq, left))
            continue;
        add_fact(p, left, right, 0, -1, lo, hi);
        add_fact(p, right, left, 0, -1, lo, hi);
    }
}

static void join_facts(struct proof *p, const struct join_range *j)
{
    int lo = j->lo, hi = j->hi;
    switch (node_int(j->join, R_jointype)) {
    case TREE_JOIN_INNER:
        break;
    case TREE_JOIN_LEFT:
        lo = j->mid;
        break;
    case TREE_JOIN_RIGHT:
        hi = j->mid;
        break;
    default:
        return;
    }
    conjunct(p, node_get(j->join, R_quals), lo, hi);
    merged_columns(p, j, lo, hi);
}

static void note_fact(struct walk *w, const struct fact *f)
{
    if (f->other)
        trace_how(w, f->ref->trace, "proven: equal to the tenant column of \"%.*s\"",
                  TEXT_ARG(f->other->item->name));
    else if (f->param)
        trace_how(w, f->ref->trace, "proven: equal to $%d, which Bind is checked for", f->param);
    else
        trace_how(w, f->ref->trace, "proven: equal to the tenant's value");
}

/* Pins what the facts allow, until nothing changes. Parameters that a proof rests on are remembered
 * for Bind. */
static bool close_over(struct proof *p)
{
    for (bool more = true; more;) {
        more = false;
        for (struct fact *f = p->facts; f; f = f->next) {
            if (f->ref->pinned || (f->other && !f->other->pinned))
                continue;
            if (f->param && !walk_check_param(p->w, f->param, f->ref->claim, f->loc))
                return false;
            f->ref->pinned = more = true;
            note_fact(p->w, f);
        }
    }
    return true;
}

static bool plain_ident(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!(t.p[i] == '_' || (t.p[i] >= 'a' && t.p[i] <= 'z') ||
              (i && t.p[i] >= '0' && t.p[i] <= '9')))
            return false;
    return t.n > 0;
}

static void hint_ident(struct buf *b, struct text t)
{
    if (plain_ident(t))
        buf_text_append(b, t);
    else
        wire_quote_ident(b, t);
}

static bool missing(struct walk *w, const struct tref *r)
{
    struct buf b;
    buf_init(&b);
    buf_printf(&b, "add: ");
    hint_ident(&b, r->item->name);
    buf_char(&b, '.');
    hint_ident(&b, r->rel->column->name);
    buf_printf(&b, " = ");
    wire_quote_literal(&b, w->used[r->claim].value);
    buf_char(&b, 0);
    w->dependent = true; /* the hint names the value */
    about_missing(w, r);
    trace_how(w, r->trace, "not restricted to the tenant's rows");
    walk_refuse(
        w, REFUSAL_missing_predicate, r->rv->loc, b.failed ? NULL : buf_data(&b),
        "\"%.*s\" (%.*s.%.*s) is not restricted to the tenant's rows at its own query level.",
        TEXT_ARG(r->item->name), TEXT_ARG(r->rel->schema), TEXT_ARG(r->rel->name));
    buf_release(&b);
    return false;
}

static bool prove(struct walk *w, struct level *l, struct node *where, int reach)
{
    struct proof p = { w, l, NULL };
    w->noisy |= !quiet(where);
    for (const struct join_range *j = l->joins; j; j = j->next)
        w->noisy |= !quiet(node_get(j->join, R_quals));
    if (!l->refs)
        return true;
    conjunct(&p, where, 0, reach);
    for (const struct join_range *j = l->joins; j; j = j->next)
        join_facts(&p, j);
    if (!close_over(&p))
        return false;
    for (struct tref *r = l->refs; r; r = r->next) {
        if (r->pinned)
            continue;
        if (r->item->hidden || r->renamed)
            about_missing(w, r);
        if (r->item->hidden || r->renamed)
            return walk_refuse(
                w, REFUSAL_missing_predicate, r->rv->loc,
                "Write (SELECT * FROM the relation WHERE tenant column = value) AS alias.",
                "%.*s.%.*s stands behind column aliases or the alias of a join.",
                TEXT_ARG(r->rel->schema), TEXT_ARG(r->rel->name));
        return missing(w, r);
    }
    return true;
}

bool prove_level(struct walk *w, struct level *l, struct node *from, struct node *where)
{
    (void)from;
    return prove(w, l, where, l->n_items);
}

bool prove_merge(struct walk *w, struct level *l, struct node *on)
{
    return prove(w, l, on, 1);
}
