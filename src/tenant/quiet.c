/* SPDX-License-Identifier: ISC */
/* Which conditions cannot fail on a row. */
#include "tenant/quiet.h"

static bool quiet_list(struct node *list)
{
    for (int i = 0; i < list_len(list); i++)
        if (!quiet(list_at(list, i)))
            return false;
    return true;
}

static bool one_of(struct node *names, const char *const *known)
{
    int n = list_len(names);
    if (n < 1 || n > 2 || !node_is(list_at(names, n - 1), N_String))
        return false;
    if (n == 2 && !text_is(node_str(list_at(names, 0), R_sval), "pg_catalog"))
        return false;
    for (; *known; known++)
        if (text_is(node_str(list_at(names, n - 1), R_sval), *known))
            return true;
    return false;
}

/* A pattern that ends in a backslash is an error only when a row's text gets that far. */
static bool quiet_pattern(struct node *n)
{
    struct node *val = node_is(n, N_A_Const) ? node_get(n, R_val) : NULL;
    struct text t = node_str(val, R_sval);
    return node_is(val, N_String) && !(t.n && memchr(t.p, '\\', t.n));
}

bool quiet_comparison(struct node *name)
{
    static const char *const operators[] = { "=", "<>", "!=", "<", ">", "<=", ">=", NULL };
    return one_of(name, operators);
}

static bool quiet_operator(struct node *n)
{
    static const char *const operators[] = { "=",  "<>", "!=", "<",  ">",   "<=", ">=",
                                             "@>", "<@", "&&", "->", "->>", "?",  NULL };
    struct node *left = node_get(n, R_lexpr), *right = node_get(n, R_rexpr);
    switch (node_int(n, R_kind)) {
    case TREE_AEXPR_OP:
    case TREE_AEXPR_OP_ANY:
    case TREE_AEXPR_OP_ALL:
    case TREE_AEXPR_IN:
    case TREE_AEXPR_DISTINCT:
    case TREE_AEXPR_NOT_DISTINCT:
    case TREE_AEXPR_NULLIF:
        return left && one_of(node_get(n, R_name), operators) && quiet(left) && quiet(right);
    case TREE_AEXPR_LIKE:
    case TREE_AEXPR_ILIKE:
        return quiet(left) && quiet_pattern(right);
    case TREE_AEXPR_BETWEEN:
    case TREE_AEXPR_NOT_BETWEEN:
    case TREE_AEXPR_BETWEEN_SYM:
    case TREE_AEXPR_NOT_BETWEEN_SYM:
        return quiet(left) && quiet(right);
    default:
        return false;
    }
}

static bool quiet_call(struct node *n)
{
    static const char *const functions[] = { "lower",       "upper",        "length",
                                             "char_length", "cardinality",  "octet_length",
                                             "btrim",       "jsonb_typeof", "now",
                                             NULL };
    return !node_get(n, R_over) && !node_get(n, R_agg_filter) && !node_int(n, R_func_variadic) &&
           one_of(node_get(n, R_funcname), functions) && quiet_list(node_get(n, R_args));
}

/* A cast of it is done once, before any row is looked at. */
static bool constant(struct node *n)
{
    struct node *elements = node_is(n, N_A_ArrayExpr) ? node_get(n, R_elements) : NULL;
    for (int i = 0; i < list_len(elements); i++)
        if (!constant(list_at(elements, i)))
            return false;
    return elements || node_is(n, N_A_Const) || node_is(n, N_ParamRef);
}

bool quiet(struct node *n)
{
    if (!n)
        return true;
    switch (n->kind) {
    case N_A_Const:
    case N_ParamRef:
    case N_ColumnRef:
    case N_SQLValueFunction:
        return true;
    case N_List:
        return quiet_list(n);
    case N_BoolExpr:
    case N_RowExpr:
    case N_CoalesceExpr:
        return quiet_list(node_get(n, R_args));
    case N_A_ArrayExpr:
        return quiet_list(node_get(n, R_elements));
    case N_NullTest:
    case N_BooleanTest:
    case N_CollateClause:
        return quiet(node_get(n, R_arg));
    case N_TypeCast:
        return constant(node_get(n, R_arg));
    case N_A_Expr:
        return quiet_operator(n);
    case N_FuncCall:
        return quiet_call(n);
    case N_CaseWhen:
        return quiet(node_get(n, R_expr)) && quiet(node_get(n, R_result));
    case N_CaseExpr:
        return quiet(node_get(n, R_arg)) && quiet_list(node_get(n, R_args)) &&
               quiet(node_get(n, R_defresult));
    case N_SubLink:
        return (node_int(n, R_subLinkType) == TREE_EXISTS_SUBLINK ||
                node_int(n, R_subLinkType) == TREE_ANY_SUBLINK) &&
               quiet(node_get(n, R_testexpr));
    default:
        return false;
    }
}
