/* SPDX-License-Identifier: ISC */
/*
 * PostgreSQL tests cheap conditions first, and to it a condition that calls no function and no
 * operator costs nothing, so it is tested even before the barrier. Of the expressions that cost
 * nothing two can fail: ARRAY[a, b] where a and b are arrays of different shapes, and a slice of a
 * type that looks like an array and has a fixed length. In the results of the outermost query and
 * in assignments they are computed behind the filter; elsewhere the elements have to be known to be
 * no arrays. Policies of the server's are no better: it takes a constructor for leakproof.
 */
#include "tenant/arrays.h"

#include "tenant/policy_index.h"

static void note(struct walk *w, struct node *n)
{
    if (w->shown)
        return;
    if (w->in_any) { /* which takes a barrier, also where the statement says whose rows it wants */
        w->noisy = true;
        return;
    }
    if (!w->arrays)
        w->arrays_loc = n->loc;
    w->arrays = true;
}

/* The column's type; NULL: not certain. */
static const struct cat_type *column_type(const struct walk *w, const struct level *l,
                                          struct node *n)
{
    struct node *f = node_is(n, N_ColumnRef) ? node_get(n, R_fields) : NULL;
    int k = list_len(f);
    if (k < 1 || k > 2 || !node_is(list_at(f, k - 1), N_String) ||
        !node_is(list_at(f, 0), N_String))
        return NULL;
    struct text name = node_str(list_at(f, k - 1), R_sval);
    for (; l; l = l->up) {
        const struct cat_column *found = NULL;
        for (int i = 0; i < l->n_items; i++) {
            const struct item *it = l->items[i];
            if (k == 2 && !text_eq(it->name, node_str(list_at(f, 0), R_sval)))
                continue;
            const struct cat_relation *cat =
                it->rel ? it->rel->cat ? it->rel->cat : it->rel->sys : NULL;
            if (!cat || !it->relation_cols) {
                if (k == 2 || it->cols.open || columns_find(&it->cols, name))
                    return NULL;
                continue;
            }
            for (int c = 0; c < cat->n_columns; c++)
                if (text_eq(cat->columns[c].name, name))
                    found = &cat->columns[c];
        }
        if (found)
            return policy_type_by_oid(w->ask->policy, found->base_type);
    }
    return NULL;
}

static bool is_scalar_type(const struct cat_type *t)
{
    return t && t->elem == 0 && t->typtype != 'd' && t->typtype != 'p';
}

static bool one_of(struct node *names, const char *const *known)
{
    struct text schema, name;
    if (!walk_name(names, &schema, &name) || (schema.n && !text_is(schema, "pg_catalog")))
        return false;
    for (; *known; known++)
        if (text_is(name, *known))
            return true;
    return false;
}

static bool scalar_param(const struct walk *w, struct node *n)
{
    int64_t k = node_int(n, R_number);
    uint32_t declared = k >= 1 && k <= w->ask->n_types ? w->ask->types[k - 1] : 0;
    return declared == 0 || declared == 705 ||
           is_scalar_type(policy_type_by_oid(w->ask->policy, declared));
}

/* Is the value certainly no array? */
static bool scalar(const struct walk *w, const struct level *l, struct node *n)
{
    static const char *const functions[] = { "lower",  "upper",   "length", "md5",
                                             "concat", "btrim",   "now",    "abs",
                                             "round",  "to_char", NULL };
    static const char *const operators[] = { "=", "<>", "<", ">", "<=", ">=", "->", "->>", NULL };
    struct text schema, name;
    struct node *type;
    switch (n ? n->kind : N_List) {
    case N_A_Const:
    case N_BoolExpr:
    case N_NullTest:
    case N_BooleanTest:
    case N_SQLValueFunction:
        return true;
    case N_ParamRef:
        return scalar_param(w, n);
    case N_ColumnRef:
        return is_scalar_type(column_type(w, l, n));
    case N_TypeCast:
        type = node_get(n, R_typeName);
        return !node_get(type, R_arrayBounds) &&
               walk_name(node_get(type, R_names), &schema, &name) &&
               is_scalar_type(policy_type_by_oid(w->ask->policy,
                                                 policy_type_named(w->ask->policy, schema, name)));
    case N_FuncCall:
        return one_of(node_get(n, R_funcname), functions);
    case N_A_Expr:
        return node_int(n, R_kind) == TREE_AEXPR_OP && one_of(node_get(n, R_name), operators);
    case N_CoalesceExpr:
        for (int i = 0; i < list_len(node_get(n, R_args)); i++)
            if (!scalar(w, l, list_at(node_get(n, R_args), i)))
                return false;
        return true;
    default:
        return false;
    }
}

/* Elements that are no arrays, or constructors of the same shape with such elements. */
static bool even(const struct walk *w, const struct level *l, struct node *n)
{
    struct node *list = node_get(n, R_elements), *first = list_at(list, 0);
    if (!node_is(first, N_A_ArrayExpr)) {
        for (int i = 0; i < list_len(list); i++)
            if (!scalar(w, l, list_at(list, i)))
                return false;
        return true;
    }
    for (int i = 0; i < list_len(list); i++) {
        struct node *e = list_at(list, i);
        if (!node_is(e, N_A_ArrayExpr) ||
            node_is(list_at(node_get(e, R_elements), 0), N_A_ArrayExpr) ||
            list_len(node_get(e, R_elements)) != list_len(node_get(first, R_elements)) ||
            !even(w, l, e))
            return false;
    }
    return true;
}

void arrays_constructor(struct walk *w, const struct level *l, struct node *n)
{
    struct node *list = node_get(n, R_elements);
    if (list_len(list) == 0 || (list_len(list) == 1 && !node_is(list_at(list, 0), N_A_ArrayExpr)) ||
        even(w, l, n))
        return;
    note(w, n);
}

bool arrays_behind_any(const struct walk *w, struct node *n)
{
    struct node *right = node_get(n, R_rexpr);
    struct text schema, name;
    return !w->rls && node_is(right, N_A_ArrayExpr) && list_len(node_get(right, R_elements)) > 1 &&
           walk_name(node_get(n, R_name), &schema, &name) &&
           !policy_operator_added(w->ask->policy, schema, name);
}

void arrays_slice(struct walk *w, const struct level *l, struct node *arg)
{
    const struct cat_type *t = column_type(w, l, arg);
    if (!t || t->elem == 0 || t->name.n == 0 || t->name.p[0] != '_')
        note(w, arg);
}
