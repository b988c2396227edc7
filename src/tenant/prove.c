/* SPDX-License-Identifier: ISC */
/* Reject mode: conjuncts of the form column = value and column = column, closed over equalities. */
#include "tenant/prove.h"

#include "tenant/quiet.h"
#include "tenant/trace.h"
#include "tenant/value.h"

#include <stdlib.h>

#define MAX_PARAMS 8 /* of one fact */
#define MAX_MERGED 8 /* references whose columns one name can mean */
#define MAX_TRIES 64 /* of OR within OR */

/* The reference's tenant column = the claim's value, or = the tenant column of other. */
struct fact {
    struct tref *ref, *other; /* other NULL: the value */
    int params[MAX_PARAMS];   /* that must be checked; negative: each element of an array */
    int n_params;
    int loc;
    bool soft;   /* rests on more than this level's columns */
    bool direct; /* column = value at this level */
    struct fact *next;
};

struct noted {
    const struct node *sublink;
    struct columns cols;
    struct noted *next;
};

struct proved_level {
    struct level *l;
    struct proved_level *next;
};

struct proof {
    struct fact *facts;
    struct noted *noted;
    struct proved_level *levels, **levels_end;
};

/* Conditions of one place: which items they see, and which they filter. */
struct place {
    struct walk *w;
    struct level *l;
    struct fact **out;
    int see_lo, see_hi;
    int lo, hi;
    int tries;
};

static struct proof *proof_of(struct walk *w)
{
    if (!w->proof) {
        w->proof = ARENA_NEW(w->arena, struct proof);
        w->proof->levels_end = &w->proof->levels;
    }
    return w->proof;
}

static struct fact *add_fact(struct place *p, struct tref *ref, struct tref *other, int loc)
{
    if (ref->item_no < p->lo || ref->item_no >= p->hi)
        return NULL;
    struct fact *f = ARENA_NEW(p->w->arena, struct fact);
    f->ref = ref;
    f->other = other;
    f->loc = loc;
    f->direct = !other;
    f->next = *p->out;
    *p->out = f;
    return f;
}

/* ---- what a name means ---- */

/* Tenant columns that one column reference means: several when they are merged by USING. */
struct meaning {
    struct tref *refs[MAX_MERGED];
    int n;
    int held;    /* else a column that holds this claim or is NULL, -1 */
    bool local;  /* of this very level */
    bool merged; /* by USING or NATURAL, or named by the alias of a join */
};

static bool visible(const struct place *p, const struct level *l, int i)
{
    const struct item *it = l->items[i];
    if (l != p->l)
        return !it->hidden;
    return i >= p->see_lo && i < p->see_hi && (!it->hidden || it->hidden_at >= p->see_hi);
}

static bool named(const struct item *it, struct node *f, int k)
{
    return text_eq(it->name, node_str(list_at(f, k - 2), R_sval)) &&
           (k == 2 || text_eq(it->schema, node_str(list_at(f, 0), R_sval)));
}

/* The candidates at one level: how many, -1 when it is not certain what is meant. */
static int candidates(const struct place *p, const struct level *l, struct node *f,
                      struct meaning *m)
{
    int k = list_len(f), found = 0;
    struct text column = node_str(list_at(f, k - 1), R_sval);
    bool open = false;
    for (int i = 0; i < l->n_items; i++) {
        const struct item *it = l->items[i];
        if (!visible(p, l, i) || (k >= 2 && !named(it, f, k)))
            continue;
        const struct column *c = columns_find(&it->cols, column);
        open |= it->cols.open;
        if (!c && k >= 2)
            return -1;
        if (!c)
            continue;
        if ((!c->ref && c->held < 0) || (found && (k >= 2 || !c->ref || m->n == 0)) ||
            (c->ref && m->n == MAX_MERGED) ||
            (c->ref && m->n && m->refs[0]->claim != c->ref->claim))
            return -1;
        m->merged |= found > 0 || (c->ref && c->ref->item != it);
        found++;
        if (c->ref)
            m->refs[m->n++] = c->ref;
        else
            m->held = c->held;
    }
    return found == 0 && open ? -1 : found;
}

/* false: it is no tenant column, or not certainly one. */
static bool means(const struct place *p, struct node *n, struct meaning *m)
{
    uint32_t as = 0;
    *m = (struct meaning){ .held = -1 };
    /* A cast of a text column to text changes nothing. */
    while (node_is(n, N_TypeCast) && walk_same_type(node_get(n, R_typeName), VALUE_TEXT)) {
        as = VALUE_TEXT;
        n = node_get(n, R_arg);
    }
    struct node *f = node_is(n, N_ColumnRef) ? node_get(n, R_fields) : NULL;
    int k = list_len(f);
    if (k < 1 || k > 3 || !node_is(list_at(f, k - 1), N_String))
        return false;
    bool done = false;
    for (const struct level *l = p->l; l; l = l->up) {
        struct meaning here = { .held = -1, .local = l == p->l };
        int found = candidates(p, l, f, &here);
        if (found < 0 || (found && done))
            return false;
        if (found) {
            *m = here;
            done = true;
        }
        /* While FROM is being walked PostgreSQL may mean an outer one. */
        if (found && !l->building)
            break;
    }
    int claim = m->n ? m->refs[0]->claim : m->held;
    return done && (!as || p->w->used[claim].type == as);
}

/* Is = of these operands certainly PostgreSQL's own? */
static bool own_equality(const struct walk *w, struct node *name, const struct tref *r)
{
    struct text schema, op;
    if (!walk_name(name, &schema, &op) || !text_is(op, "="))
        return false;
    if (schema.n)
        return text_is(schema, "pg_catalog");
    const struct catalog *c = w->ask->policy->catalog;
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

/* ---- values ---- */

/* Are all elements the claim's value? Parameters are gathered. */
static bool values(struct place *p, struct node *const *v, int n, int claim, int *params,
                   int *n_params)
{
    *n_params = 0;
    for (int i = 0; i < n; i++) {
        int param = 0;
        switch (walk_constant(p->w, v[i], claim, false, &param)) {
        case VALUE_EQUAL:
            break;
        case VALUE_PARAM:
            if (*n_params == MAX_PARAMS)
                return false;
            params[(*n_params)++] = param;
            break;
        case VALUE_DIFFERENT:
        case VALUE_OTHER:
            return false;
        }
    }
    return n > 0;
}

/* '{a,"b"}': are all elements the claim's value? */
static bool array_text(struct walk *w, struct node *n, int claim)
{
    struct node *val = node_is(n, N_A_Const) ? node_get(n, R_val) : NULL;
    w->dependent = true;
    return node_is(val, N_String) &&
           value_same_array(w->used[claim].type, w->used[claim].value, node_str(val, R_sval));
}

/* ---- conditions ---- */

static struct node *equals(struct walk *w)
{
    struct node *name = list_new(w->arena);
    list_append(w->arena, name, node_string(w->arena, TEXT("=")));
    return name;
}

static bool refers(const struct place *p, struct node *n, struct node *name, struct meaning *m)
{
    if (!means(p, n, m) || !m->local || m->n == 0)
        return false;
    for (int i = 0; i < m->n; i++)
        if (!own_equality(p->w, name, m->refs[i]) ||
            (m->merged && !own_equality(p->w, equals(p->w), m->refs[i])))
            return false;
    return true;
}

static void pin(struct place *p, const struct meaning *m, int loc, bool soft, const int *params,
                int n_params)
{
    for (int i = 0; i < m->n; i++) {
        struct fact *f = add_fact(p, m->refs[i], NULL, loc);
        if (!f)
            continue;
        f->soft = soft;
        f->n_params = n_params;
        for (int k = 0; k < n_params; k++)
            f->params[k] = params[k];
    }
}

/* The number-th result column of a sub-query in an expression holds the claim or is NULL. */
static bool sub_holds(const struct place *p, const struct node *sublink, int number, int claim)
{
    const struct noted *x = p->w->proof ? p->w->proof->noted : NULL;
    while (x && x->sublink != sublink)
        x = x->next;
    return x && !x->cols.open && !x->cols.shifting && number < x->cols.n &&
           x->cols.v[number].held == claim;
}

/* a, a tenant column of this level, = b. */
static void equality(struct place *p, struct node *name, struct node *a, struct node *b, int loc)
{
    struct meaning x, y;
    int params[MAX_PARAMS], n_params;
    if (!refers(p, a, name, &x))
        return;
    int claim = x.refs[0]->claim;
    if (values(p, &b, 1, claim, params, &n_params)) {
        pin(p, &x, loc, false, params, n_params);
    } else if (node_is(b, N_SubLink) && node_int(b, R_subLinkType) == TREE_EXPR_SUBLINK) {
        if (sub_holds(p, b, 0, claim))
            pin(p, &x, loc, true, NULL, 0);
    } else if (means(p, b, &y)) {
        if (y.n == 0 && y.held == claim)
            pin(p, &x, loc, true, NULL, 0);
        for (int i = 0; y.n && y.refs[0]->claim == claim && i < x.n; i++) {
            struct fact *f = x.refs[i] == y.refs[0] ? NULL : add_fact(p, x.refs[i], y.refs[0], loc);
            if (f)
                f->soft = !y.local;
        }
    }
}

static void both_ways(struct place *p, struct node *name, struct node *a, struct node *b, int loc)
{
    equality(p, name, a, b, loc);
    equality(p, name, b, a, loc);
}

/* a IN (list) or a = ANY (ARRAY[list]): all elements the value. Rows: by position. */
static void one_of(struct place *p, struct node *name, struct node *a, struct node *list, int loc)
{
    int n = list_len(list);
    struct node **v = ARENA_ARRAY(p->w->arena, struct node *, n + 1);
    struct node *row = node_is(a, N_RowExpr) ? node_get(a, R_args) : NULL;
    struct meaning x;
    int params[MAX_PARAMS], n_params;
    for (int k = 0; k < (row ? list_len(row) : 1); k++) {
        if (!refers(p, row ? list_at(row, k) : a, name, &x))
            continue;
        bool good = n > 0;
        for (int i = 0; i < n; i++) {
            struct node *e = list_at(list, i);
            struct node *cells = row && node_is(e, N_RowExpr) ? node_get(e, R_args) : NULL;
            good &= !row || list_len(cells) == list_len(row);
            v[i] = row ? list_at(cells, k) : e;
        }
        if (good && values(p, v, n, x.refs[0]->claim, params, &n_params))
            pin(p, &x, loc, false, params, n_params);
    }
}

static void any_array(struct place *p, struct node *name, struct node *a, struct node *b, int loc)
{
    struct meaning x;
    if (node_is(a, N_RowExpr))
        return;
    while (node_is(b, N_TypeCast)) {
        struct text schema, type;
        struct node *t = node_get(b, R_typeName);
        if (!walk_name(node_get(t, R_names), &schema, &type) || node_get(t, R_typmods) ||
            (schema.n && !text_is(schema, "pg_catalog")) ||
            list_len(node_get(t, R_arrayBounds)) != 1 ||
            !(text_is(type, "text") || text_is(type, "uuid") || text_is(type, "int4") ||
              text_is(type, "int8") || text_is(type, "varchar")))
            return;
        b = node_get(b, R_arg);
    }
    if (node_is(b, N_A_ArrayExpr))
        one_of(p, name, a, node_get(b, R_elements), loc);
    else if (node_is(b, N_ParamRef) && refers(p, a, name, &x))
        pin(p, &x, loc, false, &(int){ -(int)node_int(b, R_number) }, 1);
    else if (node_is(b, N_A_Const) && refers(p, a, name, &x) &&
             array_text(p->w, b, x.refs[0]->claim))
        pin(p, &x, loc, false, NULL, 0);
}

/* a IN (SELECT ...), (a, b) IN (SELECT ...). */
static void in_sublink(struct place *p, struct node *n)
{
    struct node *test = node_get(n, R_testexpr), *oper = node_get(n, R_operName);
    struct node *row = node_is(test, N_RowExpr) ? node_get(test, R_args) : NULL;
    struct meaning x;
    if (node_int(n, R_subLinkType) != TREE_ANY_SUBLINK)
        return;
    oper = oper ? oper : equals(p->w);
    for (int k = 0; k < (row ? list_len(row) : 1); k++)
        if (refers(p, row ? list_at(row, k) : test, oper, &x) &&
            sub_holds(p, n, k, x.refs[0]->claim))
            pin(p, &x, n->loc, true, NULL, 0);
}

static void conjunct(struct place *p, struct node *n);

static bool same_params(const struct fact *f, struct fact *sum)
{
    for (int i = 0; i < f->n_params; i++) {
        if (sum->n_params == MAX_PARAMS)
            return false;
        sum->params[sum->n_params++] = f->params[i];
    }
    return true;
}

/* OR: what every arm states of a column's value holds. */
static void every_arm(struct place *p, struct node *args)
{
    struct fact *sum = NULL;
    for (int i = 0; i < list_len(args); i++) {
        struct fact *arm = NULL, *kept = NULL;
        struct place q = *p;
        q.out = &arm;
        if (++p->tries > MAX_TRIES)
            return;
        q.tries = p->tries;
        conjunct(&q, list_at(args, i));
        p->tries = q.tries;
        for (struct fact *f = i ? sum : arm, *next; f; f = next) {
            struct fact *g = i ? arm : NULL;
            next = f->next;
            while (g && !(g->ref == f->ref && !g->other))
                g = g->next;
            if (f->other || (i && (!g || !same_params(g, f))))
                continue;
            f->next = kept;
            kept = f;
        }
        sum = kept;
    }
    while (sum) {
        struct fact *next = sum->next;
        sum->soft = true;
        sum->next = *p->out;
        *p->out = sum;
        sum = next;
    }
}

static void a_expr(struct place *p, struct node *n)
{
    struct node *name = node_get(n, R_name), *a = node_get(n, R_lexpr), *b = node_get(n, R_rexpr);
    struct meaning x;
    int params[MAX_PARAMS], n_params;
    switch (node_int(n, R_kind)) {
    case TREE_AEXPR_OP:
        if (node_is(a, N_RowExpr) && node_is(b, N_RowExpr)) {
            struct node *v = node_get(a, R_args), *u = node_get(b, R_args);
            for (int i = 0; list_len(v) == list_len(u) && i < list_len(v); i++)
                both_ways(p, name, list_at(v, i), list_at(u, i), n->loc);
            return;
        }
        both_ways(p, name, a, b, n->loc);
        return;
    case TREE_AEXPR_NOT_DISTINCT: /* of a column it would let NULL through */
        for (int i = 0; i < 2; i++) {
            struct node *v = i ? a : b;
            if (refers(p, i ? b : a, name, &x) &&
                values(p, &v, 1, x.refs[0]->claim, params, &n_params))
                pin(p, &x, n->loc, false, params, n_params);
        }
        return;
    case TREE_AEXPR_IN:
        if (node_is(b, N_List))
            one_of(p, name, a, b, n->loc);
        return;
    case TREE_AEXPR_OP_ANY:
        any_array(p, name, a, b, n->loc);
        return;
    default:
        return;
    }
}

static void conjunct(struct place *p, struct node *n)
{
    struct node *args = node_get(n, R_args);
    if (node_is(n, N_BoolExpr) && node_int(n, R_boolop) == TREE_AND_EXPR) {
        for (int i = 0; i < list_len(args); i++)
            conjunct(p, list_at(args, i));
    } else if (node_is(n, N_BoolExpr) && node_int(n, R_boolop) == TREE_OR_EXPR) {
        every_arm(p, args);
    } else if (node_is(n, N_A_Expr)) {
        a_expr(p, n);
    } else if (node_is(n, N_SubLink)) {
        in_sublink(p, n);
    }
}

/* ---- joins ---- */

/* The one reference whose tenant column the visible items lo..hi-1 have under the name; NULL none.
 * others: other columns of the name. */
static struct tref *side_of_join(const struct place *p, int lo, int hi, struct text column,
                                 bool *others)
{
    struct tref *found = NULL;
    for (int i = lo; i < hi; i++) {
        const struct item *it = p->l->items[i];
        const struct column *c = visible(p, p->l, i) ? columns_find(&it->cols, column) : NULL;
        *others |= visible(p, p->l, i) && !c && it->cols.open;
        if (c && !c->ref)
            *others = true;
        else if (c && !found)
            found = c->ref;
    }
    return found;
}

/* One column that USING or NATURAL merges. */
static void merged_column(struct place *p, const struct join_range *j, struct text column)
{
    bool others = false;
    struct tref *left = side_of_join(p, j->lo, j->mid, column, &others),
                *right = side_of_join(p, j->mid, j->hi, column, &others);
    if (!left || !right || others || left->claim != right->claim)
        return;
    if (!own_equality(p->w, equals(p->w), left) || !own_equality(p->w, equals(p->w), right))
        return;
    add_fact(p, left, right, -1);
    add_fact(p, right, left, -1);
}

static void join_facts(struct place *p, const struct join_range *j)
{
    struct node *use = node_get(j->join, R_usingClause);
    p->lo = p->see_lo = j->lo;
    p->hi = p->see_hi = j->hi;
    switch (node_int(j->join, R_jointype)) {
    case TREE_JOIN_INNER:
        break;
    case TREE_JOIN_LEFT:
        p->lo = j->mid;
        break;
    case TREE_JOIN_RIGHT:
        p->hi = j->mid;
        break;
    default:
        return;
    }
    conjunct(p, node_get(j->join, R_quals));
    for (int i = 0; i < list_len(use); i++)
        merged_column(p, j, node_str(list_at(use, i), R_sval));
    for (int i = j->lo; node_int(j->join, R_isNatural) && i < j->mid; i++)
        for (int k = 0; visible(p, p->l, i) && k < p->l->items[i]->cols.n; k++)
            if (p->l->items[i]->cols.v[k].ref)
                merged_column(p, j, p->l->items[i]->cols.v[k].name);
}

/* ---- the end ---- */

static void note_fact(struct walk *w, const struct fact *f)
{
    if (f->other)
        trace_how(w, f->ref->trace, "proven: equal to the tenant column of \"%.*s\"",
                  TEXT_ARG(f->other->item->name));
    else if (f->n_params)
        trace_how(w, f->ref->trace, "proven: equal to %s$%d, which Bind is checked for",
                  f->params[0] < 0 ? "each element of " : "", abs(f->params[0]));
    else
        trace_how(w, f->ref->trace, "proven: equal to the tenant's value");
}

static bool check_params(struct walk *w, const struct fact *f)
{
    for (int i = 0; i < f->n_params; i++)
        if (!walk_check_param(w, f->params[i], f->ref->claim, f->loc))
            return false;
    return true;
}

/* Pins what the facts allow, until nothing changes: those first that need no more than this level's
 * columns. Parameters that a proof rests on are remembered for Bind. */
static bool close_over(struct walk *w, struct proof *p)
{
    bool soft = false;
    for (bool more = true; more;) {
        more = false;
        for (struct fact *f = p->facts; f; f = f->next) {
            if (f->ref->pinned || (f->soft && !soft) || (f->other && !f->other->pinned))
                continue;
            if (!check_params(w, f))
                return false;
            note_fact(w, f);
            f->n_params = 0;
            f->ref->pinned = more = true;
            w->noisy |= f->soft || f->ref->renamed || f->ref->item->hidden;
        }
        if (!more && !soft)
            more = soft = true;
    }
    /* The same parameter in a condition that was not needed is no other use of it. */
    for (struct fact *f = p->facts; f; f = f->next)
        for (int i = 0; i < f->n_params; i++) {
            const struct param_use *u = &w->params[abs(f->params[i]) - 1];
            if (u->checked && u->claim == f->ref->claim &&
                !walk_check_param(w, f->params[i], f->ref->claim, f->loc))
                return false;
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

/* The name that the reference's tenant column has where conditions stand. */
static bool hint_column(struct buf *b, const struct level *l, const struct tref *r)
{
    for (int i = 0; i < l->n_items; i++)
        for (int k = 0; !l->items[i]->hidden && k < l->items[i]->cols.n; k++)
            if (l->items[i]->cols.v[k].ref == r) {
                hint_ident(b, l->items[i]->name);
                buf_char(b, '.');
                hint_ident(b, l->items[i]->cols.v[k].name);
                return true;
            }
    return false;
}

static void hint_value(struct buf *b, const struct walk *w, int claim)
{
    bool number = w->used[claim].type != VALUE_TEXT && w->used[claim].type != VALUE_UUID;
    buf_printf(b, " = ");
    if (number)
        buf_text_append(b, w->used[claim].value);
    else
        wire_quote_literal(b, w->used[claim].value);
    if (!w->is_simple)
        buf_printf(b, " (or a parameter with that value)");
}

static bool missing(struct walk *w, const struct level *l, const struct tref *r)
{
    struct buf b;
    buf_init(&b);
    buf_printf(&b, "add: ");
    bool nameable = hint_column(&b, l, r);
    hint_value(&b, w, r->claim);
    buf_char(&b, 0);
    w->dependent = true; /* the hint names the value */
    about_missing(w, r);
    trace_how(w, r->trace, "not restricted to the tenant's rows");
    walk_refuse(
        w, REFUSAL_missing_predicate, r->rv->loc,
        b.failed    ? NULL
        : !nameable ? "Write (SELECT * FROM the relation WHERE tenant column = value) AS alias."
                    : buf_data(&b),
        "\"%.*s\" (%.*s.%.*s) is not restricted to the tenant's rows at its own query level.",
        TEXT_ARG(r->item->name), TEXT_ARG(r->rel->schema), TEXT_ARG(r->rel->name));
    buf_release(&b);
    return false;
}

bool prove_finish(struct walk *w)
{
    struct proof *p = w->proof;
    if (!p)
        return true;
    if (!close_over(w, p))
        return false;
    for (const struct proved_level *x = p->levels; x; x = x->next)
        for (struct tref *r = x->l->refs; r; r = r->next)
            if (!r->pinned)
                return missing(w, x->l, r);
    return true;
}

static bool prove(struct walk *w, struct level *l, struct node *where, int reach)
{
    w->noisy |= !quiet(where);
    for (const struct join_range *j = l->joins; j; j = j->next)
        w->noisy |= !quiet(node_get(j->join, R_quals));
    if (!l->refs)
        return true;
    struct proof *x = proof_of(w);
    struct proved_level *at = ARENA_NEW(w->arena, struct proved_level);
    at->l = l;
    *x->levels_end = at;
    x->levels_end = &at->next;
    struct place p = {
        .w = w, .l = l, .out = &x->facts, .see_hi = l->n_items, .lo = 0, .hi = reach
    };
    conjunct(&p, where);
    for (const struct join_range *j = l->joins; j; j = j->next)
        join_facts(&p, j);
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

void prove_target(struct walk *w, struct level *l, bool by_name)
{
    l->refs->pinned = true;
    w->noisy |= by_name;
}

void prove_note(struct walk *w, const struct node *sublink, const struct columns *cols)
{
    if (w->rewrite || w->rls)
        return;
    struct proof *p = proof_of(w);
    struct noted *x = ARENA_NEW(w->arena, struct noted);
    *x = (struct noted){ sublink, *cols, p->noted };
    p->noted = x;
}
