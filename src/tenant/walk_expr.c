/* SPDX-License-Identifier: ISC */
/* Expressions: every node kind is named here or refused; functions, operators, types and names go
 * to the policy. */
#include "tenant/walk.h"

#include "tenant/arrays.h"
#include "tenant/mask.h"
#include "tenant/pattern.h"
#include "tenant/prove.h"
#include "tenant/quiet.h"
#include "tenant/trace.h"

#define MAX_DEPTH 1800

static const struct text none = { NULL, 0 };

bool walk_name(struct node *list, struct text *schema, struct text *name)
{
    int n = list ? list_len(list) : 0;
    *schema = none;
    if (n < 1 || n > 2)
        return false;
    for (int i = 0; i < n; i++)
        if (!node_is(list_at(list, i), N_String))
            return false;
    if (n == 2)
        *schema = node_str(list_at(list, 0), R_sval);
    *name = node_str(list_at(list, n - 1), R_sval);
    return name->n > 0;
}

bool walk_exprs(struct walk *w, struct level *l, struct node *list)
{
    if (!list)
        return true;
    for (int i = 0; i < list_len(list); i++)
        if (!walk_expr(w, l, list_at(list, i)))
            return false;
    return true;
}

/* ---- names ---- */

/* Could `(something).name` or `record.name` be a call of a function that is not allowed? */
static bool attribute_harmless(struct walk *w, struct text name)
{
    const struct policy *p = w->ask->policy;
    enum fn_class f = policy_function(p, none, name, 1, NULL);
    if (f != FN_UNKNOWN && f != FN_ALLOW)
        return false;
    /* A type's name there may be a cast made by a user. */
    const struct catalog *c = p->catalog;
    for (int i = 0; i < c->n_casts; i++)
        for (int t = 0; t < c->n_types; t++)
            if (c->types[t]->oid == c->casts[i].target && text_eq(c->types[t]->name, name))
                return false;
    return true;
}

static bool is_system_column(struct text name)
{
    static const struct text names[] = { { "ctid", 4 }, { "tableoid", 8 }, { "xmin", 4 },
                                         { "xmax", 4 }, { "cmin", 4 },     { "cmax", 4 } };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (text_eq(name, names[i]))
            return true;
    return false;
}

/* Notes what a sub-select in the relation's place would not have. */
static void note_use(struct level *l, struct text qualifier, struct text attr)
{
    if (!is_system_column(attr))
        return;
    for (; l; l = l->up)
        for (int i = 0; i < l->n_items; i++)
            l->items[i]->system_used |= text_eq(l->items[i]->name, qualifier);
}

static bool attribute(struct walk *w, struct level *l, struct text schema, struct text qualifier,
                      struct text attr, int loc)
{
    const struct item *item;
    note_use(l, qualifier, attr);
    mask_names(w, l, qualifier, attr);
    switch (scope_attr(l, schema, qualifier, attr, &item)) {
    case ATTR_COLUMN:
        return true;
    case ATTR_MAYBE:
        if (attribute_harmless(w, attr))
            return true;
        break;
    case ATTR_NO:
    case ATTR_NO_ITEM:
        break;
    }
    if (w->ask->policy->catalog->server_version >= 180000 && schema.n == 0 &&
        (text_is(qualifier, "old") || text_is(qualifier, "new")))
        return walk_refuse(w, REFUSAL_newer_syntax, loc, "Name the columns without OLD and NEW.",
                           "OLD and NEW in RETURNING came with PostgreSQL 18.");
    return walk_refuse(
        w, REFUSAL_attribute, loc,
        "Call functions as name(argument), and declare them in [tenant_functions].",
        "\"%.*s.%.*s\" is not known to be a column; PostgreSQL may take it for a function call.",
        TEXT_ARG(qualifier), TEXT_ARG(attr));
}

/* A name without qualifier is a column, or the whole row of a relation: no function can be meant.
 */
static bool plain_name(struct walk *w, struct level *l, struct text name, int loc)
{
    mask_names(w, l, none, name);
    if (text_is(name, "system_user") && w->ask->policy->catalog->server_version >= 160000)
        return walk_refuse(w, REFUSAL_newer_syntax, loc, "Write table.system_user.",
                           "system_user is a function without parentheses since PostgreSQL 16.");
    for (struct level *at = l; at; at = at->up) {
        for (int i = 0; i < at->n_items; i++) {
            struct item *it = at->items[i];
            if (!it->rel)
                continue;
            it->row_used |= text_eq(it->name, name);
            it->system_used |= is_system_column(name);
        }
    }
    return true;
}

static bool column_ref(struct walk *w, struct level *l, struct node *n)
{
    w->seen++;
    struct node *fields = node_get(n, R_fields);
    int k = fields ? list_len(fields) : 0;
    if (k < 1 || k > 3)
        return walk_refuse(w, REFUSAL_attribute, n->loc, NULL,
                           "A column is named by at most three parts.");
    struct node *last = list_at(fields, k - 1);
    bool star = node_is(last, N_A_Star);
    struct text part[3] = { none, none, none };
    for (int i = 0; i < k - (star ? 1 : 0); i++) {
        if (!node_is(list_at(fields, i), N_String))
            return walk_refuse(w, REFUSAL_unknown_syntax, n->loc, NULL,
                               "A column reference of an unknown form.");
        part[i] = node_str(list_at(fields, i), R_sval);
    }
    if (k == 1 && !star)
        return plain_name(w, l, part[0], n->loc);
    if (k == 1) {
        mask_star(w, l);
        return true;
    }
    if (k == 2)
        return attribute(w, l, none, part[0], part[1], n->loc);
    return attribute(w, l, part[0], part[1], part[2], n->loc);
}

/* (expr).field, (expr)[i], (expr).* */
static bool indirection(struct walk *w, struct level *l, struct node *n)
{
    struct node *arg = node_get(n, R_arg), *list = node_get(n, R_indirection);
    if (!walk_expr(w, l, arg))
        return false;
    struct text whole = none; /* a plain name which may be a relation's row */
    if (node_is(arg, N_ColumnRef)) {
        struct node *f = node_get(arg, R_fields);
        if (f && list_len(f) == 1 && node_is(list_at(f, 0), N_String))
            whole = node_str(list_at(f, 0), R_sval);
    }
    for (int i = 0; i < list_len(list); i++) {
        struct node *e = list_at(list, i);
        if (node_is(e, N_A_Indices)) {
            if (node_int(e, R_is_slice))
                arrays_slice(w, l, arg);
            if (!walk_expr(w, l, node_get(e, R_lidx)) || !walk_expr(w, l, node_get(e, R_uidx)))
                return false;
            continue;
        }
        if (node_is(e, N_A_Star))
            continue;
        if (!node_is(e, N_String))
            return walk_refuse(w, REFUSAL_unknown_syntax, arg->loc, NULL,
                               "A subscript of an unknown form.");
        struct text name = node_str(e, R_sval);
        const struct item *item;
        if (i == 0 && whole.n && scope_attr(l, none, whole, name, &item) == ATTR_COLUMN)
            continue;
        if (!attribute_harmless(w, name))
            return walk_refuse(
                w, REFUSAL_attribute, arg->loc,
                "Call functions as name(argument), and declare them in [tenant_functions].",
                "\".%.*s\" is not known to be a field; PostgreSQL may take it for a function call.",
                TEXT_ARG(name));
    }
    return true;
}

bool walk_assigned(struct walk *w, struct level *l, struct node *target)
{
    struct node *list = node_get(target, R_indirection);
    for (int i = 0; i < list_len(list); i++) {
        struct node *e = list_at(list, i);
        if (node_is(e, N_String))
            continue;
        if (!node_is(e, N_A_Indices))
            return walk_refuse(w, REFUSAL_unknown_syntax, target->loc, NULL,
                               "An assignment of an unknown form.");
        if (!walk_expr(w, l, node_get(e, R_lidx)) || !walk_expr(w, l, node_get(e, R_uidx)))
            return false;
    }
    return true;
}

/* ---- operators, functions, types ---- */

bool walk_operator(struct walk *w, struct text schema, struct text name, int operands, int loc)
{
    struct text why = none;
    enum fn_class f = policy_operator(w->ask->policy, schema, name, operands, &why);
    if (f == FN_ALLOW) {
        /* What quiet() knows of @>, && and the like holds for the built-in ones. */
        w->noisy |= policy_operator_added(w->ask->policy, schema, name);
        return true;
    }
    if (f == FN_UNKNOWN)
        w->out->pub.wants_catalog = true;
    about_operator(w, schema, name);
    trace_refused(w, TRACE_OPERATOR, name, why, loc);
    return walk_refuse(w, REFUSAL_operator, loc,
                       "Declare it in [tenant_operators] if it is harmless.",
                       "Operator %.*s%s%.*s: %.*s", TEXT_ARG(schema), schema.n ? "." : "",
                       TEXT_ARG(name), TEXT_ARG(why.n ? why : TEXT("not known")));
}

static bool operator_list(struct walk *w, struct node *names, int operands, int loc)
{
    struct text schema, name;
    if (!walk_name(names, &schema, &name))
        return walk_refuse(w, REFUSAL_operator, loc, NULL,
                           "An operator's name has at most two parts.");
    return walk_operator(w, schema, name, operands, loc);
}

/* Are all columns in the expression certainly of this level? */
static bool is_local(const struct level *l, struct node *n)
{
    if (!n)
        return true;
    if (!node_is(n, N_ColumnRef)) {
        for (uint32_t i = 0; i < n->n_fields; i++)
            if (n->fields[i].type == F_NODE && !is_local(l, n->fields[i].node))
                return false;
        return !node_is(n, N_SubLink);
    }
    struct node *f = node_get(n, R_fields);
    int k = list_len(f);
    if (k < 1 || k > 2 || !node_is(list_at(f, k - 1), N_String))
        return false;
    for (int i = 0; i < l->n_items; i++) {
        const struct item *it = l->items[i];
        if (it->hidden)
            continue;
        if (k == 2 && text_eq(it->name, node_str(list_at(f, 0), R_sval)))
            return !l->building;
        if (k == 1 && columns_find(&it->cols, node_str(list_at(f, 0), R_sval)))
            return !l->building;
    }
    return false;
}

/* `x op ANY (one element)` costs as little as the barrier. Within a sub-query PostgreSQL may move
 * such a condition to a relation outside and in front of that relation's barrier: only operators
 * that cannot fail on a row may stand there. */
static bool cheap_any(struct walk *w, struct level *l, struct node *n)
{
    struct node *right = node_get(n, R_rexpr);
    if (node_is(right, N_A_ArrayExpr) && list_len(node_get(right, R_elements)) > 1)
        return true;
    if (quiet_comparison(node_get(n, R_name)))
        return true;
    bool nested = false;
    for (const struct level *up = l->up; up; up = up->up)
        nested |= up->n_items > 0;
    /* The ON of an outer join that WHERE turns into an inner one is tested before WHERE. */
    if (w->outer_on)
        return walk_refuse(w, REFUSAL_operator, n->loc, "Write the condition in WHERE.",
                           "ANY and ALL in the ON of an outer join.");
    if (!nested || is_local(l, n))
        return true;
    return walk_refuse(w, REFUSAL_operator, n->loc, "Write the condition in the outer query.",
                       "ANY and ALL over a column of an outer query, within a sub-query.");
}

static bool a_expr(struct walk *w, struct level *l, struct node *n)
{
    w->seen++;
    struct node *left = node_get(n, R_lexpr), *right = node_get(n, R_rexpr);
    static const char *const between[] = { ">=", "<=" }, *const outside[] = { "<", ">" };
    const char *const *pair = NULL;
    bool any = false, within = w->in_any;
    switch (node_int(n, R_kind)) {
    case TREE_AEXPR_OP:
    case TREE_AEXPR_OP_ANY:
    case TREE_AEXPR_OP_ALL:
    case TREE_AEXPR_LIKE:
    case TREE_AEXPR_ILIKE:
    case TREE_AEXPR_SIMILAR:
    case TREE_AEXPR_IN:
    case TREE_AEXPR_DISTINCT:
    case TREE_AEXPR_NOT_DISTINCT:
    case TREE_AEXPR_NULLIF:
        if (!operator_list(w, node_get(n, R_name), left ? 2 : 1, n->loc))
            return false;
        any = node_int(n, R_kind) == TREE_AEXPR_OP_ANY || node_int(n, R_kind) == TREE_AEXPR_OP_ALL;
        if (any && !cheap_any(w, l, n))
            return false;
        pattern_operator(w, n);
        break;
    case TREE_AEXPR_BETWEEN:
    case TREE_AEXPR_BETWEEN_SYM:
        pair = between;
        break;
    case TREE_AEXPR_NOT_BETWEEN:
    case TREE_AEXPR_NOT_BETWEEN_SYM:
        pair = outside;
        break;
    default:
        return walk_refuse(w, REFUSAL_unknown_syntax, n->loc, NULL,
                           "An operator expression of an unknown form.");
    }
    for (int i = 0; pair && i < 2; i++)
        if (!walk_operator(w, none, text_of(pair[i]), 2, n->loc))
            return false;
    w->in_any |= any && arrays_behind_any(w, n);
    bool good = walk_expr(w, l, left) && walk_expr(w, l, right);
    w->in_any = within;
    return good;
}

/* s.name of pg_settings as tenants see it: names of settings that they may read. */
static bool is_listed_setting(const struct level *l, struct node *n)
{
    struct node *f = node_is(n, N_ColumnRef) ? node_get(n, R_fields) : NULL;
    const struct item *i = list_len(f) == 2 ? scope_item(l, node_str(list_at(f, 0), R_sval)) : NULL;
    return i && i->rel && i->rel->filter.n && i->relation_cols && !i->hidden &&
           node_is(list_at(f, 1), N_String) && text_is(node_str(list_at(f, 1), R_sval), "name");
}

static bool setting_argument(struct walk *w, struct level *l, struct node *args, int loc)
{
    struct node *first = args && list_len(args) > 0 ? list_at(args, 0) : NULL;
    struct node *val = node_is(first, N_A_Const) ? node_get(first, R_val) : NULL;
    struct text why = none;
    if (is_listed_setting(l, first))
        return true;
    if (!node_is(val, N_String))
        return walk_refuse(w, REFUSAL_setting, loc, "Write the setting's name as a literal.",
                           "The name of the setting is not a constant.");
    if (policy_setting_ok(w->ask->policy, node_str(val, R_sval), false, none, false, &why))
        return true;
    return walk_refuse(w, REFUSAL_setting, loc, NULL, "Setting \"%.*s\" may not be read: %.*s",
                       TEXT_ARG(node_str(val, R_sval)), TEXT_ARG(why));
}

static bool window(struct walk *w, struct level *l, struct node *n)
{
    return walk_exprs(w, l, node_get(n, R_partitionClause)) &&
           walk_exprs(w, l, node_get(n, R_orderClause)) &&
           walk_expr(w, l, node_get(n, R_startOffset)) && walk_expr(w, l, node_get(n, R_endOffset));
}

static bool func_call(struct walk *w, struct level *l, struct node *n)
{
    w->seen++;
    struct text schema, name, why = none;
    struct node *args = node_get(n, R_args), *order = node_get(n, R_agg_order);
    if (!walk_name(node_get(n, R_funcname), &schema, &name))
        return walk_refuse(w, REFUSAL_function, n->loc, NULL,
                           "A function's name has at most two parts.");
    int n_args = args ? list_len(args) : 0;
    if (node_int(n, R_agg_within_group) && order)
        n_args += list_len(order);
    if (node_int(n, R_func_variadic))
        n_args = -1;
    enum fn_class verdict = policy_function(w->ask->policy, schema, name, n_args, &why);
    switch (verdict) {
    case FN_ALLOW:
    case FN_MASK:
        break;
    case FN_ALLOW_SETTING:
        if (!setting_argument(w, l, args, n->loc))
            return false;
        break;
    case FN_UNKNOWN:
    case FN_DENY:
    default:
        if (walk_is_pg_notify(w, n, schema, name))
            return walk_pg_notify(w, l, n);
        if (verdict == FN_UNKNOWN)
            w->out->pub.wants_catalog = true;
        about_function(w, schema, name, n_args);
        trace_refused(w, TRACE_FUNCTION, name, why, n->loc);
        return walk_refuse(
            w, REFUSAL_function, n->loc,
            "Declare it in [tenant_functions] if it only computes from its arguments.",
            "Function %.*s%s%.*s: %.*s", TEXT_ARG(schema), schema.n ? "." : "", TEXT_ARG(name),
            TEXT_ARG(why.n ? why : TEXT("not known")));
    }
    pattern_call(w, n, name);
    struct node *over = node_get(n, R_over);
    return walk_exprs(w, l, args) && walk_exprs(w, l, order) &&
           walk_expr(w, l, node_get(n, R_agg_filter)) && (!over || window(w, l, over)) &&
           (verdict != FN_MASK || mask_call(w, n, why));
}

static bool type_named(struct walk *w, struct node *t, int loc)
{
    struct text schema, name, why = none;
    if (!node_is(t, N_TypeName))
        return walk_refuse(w, REFUSAL_unknown_syntax, loc, NULL, "A type of an unknown form.");
    if (t->loc >= 0)
        loc = t->loc;
    if (node_int(t, R_pct_type) || node_int(t, R_setof) ||
        !walk_name(node_get(t, R_names), &schema, &name))
        return walk_refuse(w, REFUSAL_type, loc, NULL,
                           "The type is named in a way that is not open to tenants.");
    struct node *mods = node_get(t, R_typmods);
    for (int i = 0; mods && i < list_len(mods); i++)
        if (!node_is(list_at(mods, i), N_A_Const) && !node_is(list_at(mods, i), N_ColumnRef))
            return walk_refuse(w, REFUSAL_type, loc, NULL, "A type modifier is not a constant.");
    if (!policy_type_ok(w->ask->policy, schema, name, &why))
        return walk_refuse(w, REFUSAL_type, loc, NULL, "Type %.*s%s%.*s: %.*s", TEXT_ARG(schema),
                           schema.n ? "." : "", TEXT_ARG(name),
                           TEXT_ARG(why.n ? why : TEXT("not known")));
    return true;
}

bool walk_type(struct walk *w, struct level *l, struct node *t, int loc)
{
    (void)l;
    if (node_is(t, N_TypeName))
        pattern_type(w, t, NULL);
    return type_named(w, t, loc);
}

/* A system relation, or a sub-select while no tenant table was read anywhere before. */
static bool free_of_tenants(const struct walk *w, const struct item *i)
{
    return i && (i->rel ? i->rel->cls == REL_SYSTEM : w->n_used == 0 && !w->rls_rows);
}

/* A column of the catalog or of a sub-select over it, or the tableoid of a relation. */
static bool harmless_column(const struct walk *w, const struct level *l, struct node *n)
{
    struct node *f = node_get(n, R_fields);
    int k = list_len(f);
    if (k < 1 || k > 2 || !node_is(list_at(f, k - 1), N_String))
        return false;
    bool tableoid = text_is(node_str(list_at(f, k - 1), R_sval), "tableoid");
    if (k == 2) {
        const struct item *i = scope_item(l, node_str(list_at(f, 0), R_sval));
        return free_of_tenants(w, i) || (tableoid && i && i->rel);
    }
    for (int i = 0; i < l->n_items; i++)
        if (!free_of_tenants(w, l->items[i]) && !(tableoid && l->items[i]->rel))
            return false;
    return l->n_items > 0;
}

/* Computed from constants and such columns only: then the reg* types show nothing of tenants.
 * psql's \d and the drivers' look-ups of tables and types are written so. */
static bool harmless_for_reg(const struct walk *w, const struct level *l, struct node *n)
{
    struct node *args = NULL;
    if (!n)
        return true;
    switch (n->kind) {
    case N_A_Const:
    case N_ParamRef:
        return true;
    case N_ColumnRef:
        return harmless_column(w, l, n);
    case N_A_Expr:
        return harmless_for_reg(w, l, node_get(n, R_lexpr)) &&
               harmless_for_reg(w, l, node_get(n, R_rexpr));
    case N_TypeCast:
        return harmless_for_reg(w, l, node_get(n, R_arg));
    case N_FuncCall:
        if (node_get(n, R_agg_filter) || node_get(n, R_agg_order) || node_get(n, R_over))
            return false;
        args = node_get(n, R_args);
        break;
    case N_CoalesceExpr:
        args = node_get(n, R_args);
        break;
    default:
        return false;
    }
    for (int i = 0; i < list_len(args); i++)
        if (!harmless_for_reg(w, l, list_at(args, i)))
            return false;
    return true;
}

static bool type_cast(struct walk *w, struct level *l, struct node *n)
{
    w->seen++;
    struct node *arg = node_get(n, R_arg), *type = node_get(n, R_typeName);
    struct text schema, name;
    bool reg = node_is(type, N_TypeName) && !node_get(type, R_arrayBounds) &&
               !node_int(type, R_pct_type) && walk_name(node_get(type, R_names), &schema, &name) &&
               policy_type_reg(w->ask->policy, schema, name) && harmless_for_reg(w, l, arg);
    pattern_type(w, type, n);
    return (reg || type_named(w, type, n->loc)) && walk_expr(w, l, arg);
}

static bool collate(struct walk *w, struct level *l, struct node *n)
{
    struct text schema, name;
    if (!walk_name(node_get(n, R_collname), &schema, &name) || !text_is(schema, "pg_catalog")) {
        static const char *const plain[] = { "C", "POSIX", "default", "ucs_basic" };
        bool known = false;
        for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
            known |= schema.n == 0 && text_is(name, plain[i]);
        if (!known)
            return walk_refuse(w, REFUSAL_collation, n->loc, "Write pg_catalog.\"name\".",
                               "Only collations of pg_catalog may be named.");
    }
    return walk_expr(w, l, node_get(n, R_arg));
}

/* ---- the rest ---- */

static bool sub_link(struct walk *w, struct level *l, struct node *n)
{
    w->seen++;
    struct node *oper = node_get(n, R_operName);
    struct columns cols = { .n = 0 };
    int64_t type = node_int(n, R_subLinkType);
    if (oper) {
        if (!operator_list(w, oper, 2, n->loc))
            return false;
        pattern_sublink(w, n);
    } else if (type == TREE_ANY_SUBLINK || type == TREE_ALL_SUBLINK) {
        if (!walk_operator(w, none, TEXT("="), 2, n->loc))
            return false;
    }
    if (!walk_expr(w, l, node_get(n, R_testexpr)) ||
        !walk_select(w, l, node_get(n, R_subselect), &cols, NULL))
        return false;
    prove_note(w, n, &cols);
    return true;
}

static bool case_expr(struct walk *w, struct level *l, struct node *n)
{
    struct node *arg = node_get(n, R_arg), *list = node_get(n, R_args);
    if (arg && (!walk_operator(w, none, TEXT("="), 2, n->loc) || !walk_expr(w, l, arg)))
        return false;
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *when = list_at(list, i);
        if (!node_is(when, N_CaseWhen) || !walk_expr(w, l, node_get(when, R_expr)) ||
            !walk_expr(w, l, node_get(when, R_result)))
            return w->refused ? false
                              : walk_refuse(w, REFUSAL_unknown_syntax, n->loc, NULL,
                                            "A CASE of an unknown form.");
    }
    return walk_expr(w, l, node_get(n, R_defresult));
}

static bool param(struct walk *w, struct node *n)
{
    int64_t k = node_int(n, R_number);
    if (k < 1 || k > w->n_params)
        return walk_refuse(w, REFUSAL_unknown_syntax, n->loc, NULL,
                           "A parameter's number is out of range.");
    w->params[k - 1].count++;
    return true;
}

/* XMLELEMENT and its kin compute from their arguments. */
static bool xml_expr(struct walk *w, struct level *l, struct node *n)
{
    struct node *named = node_get(n, R_named_args);
    for (int i = 0; i < list_len(named); i++)
        if (!walk_expr(w, l, node_get(list_at(named, i), R_val)))
            return false;
    return walk_exprs(w, l, node_get(n, R_args));
}

static bool sort_by(struct walk *w, struct level *l, struct node *n)
{
    struct node *op = node_get(n, R_useOp);
    return (!op || operator_list(w, op, 2, n->loc)) && walk_expr(w, l, node_get(n, R_node));
}

static bool expr(struct walk *w, struct level *l, struct node *n)
{
    switch (n->kind) {
    case N_List:
        return walk_exprs(w, l, n);
    case N_A_Const:
        node_visit(n);
        return true;
    case N_SQLValueFunction:
    case N_SetToDefault:
        return true;
    case N_ParamRef:
        return param(w, n);
    case N_ColumnRef:
        return column_ref(w, l, n);
    case N_A_Expr:
        return a_expr(w, l, n);
    case N_BoolExpr:
    case N_CoalesceExpr:
    case N_MinMaxExpr:
    case N_RowExpr:
    case N_GroupingFunc:
        return walk_exprs(w, l, node_get(n, R_args));
    case N_FuncCall:
        return func_call(w, l, n);
    case N_TypeCast:
        return type_cast(w, l, n);
    case N_CollateClause:
        return collate(w, l, n);
    case N_A_Indirection:
        return indirection(w, l, n);
    case N_A_ArrayExpr:
        arrays_constructor(w, l, n);
        return walk_exprs(w, l, node_get(n, R_elements));
    case N_SubLink:
        return sub_link(w, l, n);
    case N_CaseExpr:
        return case_expr(w, l, n);
    case N_NullTest:
    case N_BooleanTest:
    case N_NamedArgExpr:
        return walk_expr(w, l, node_get(n, R_arg));
    case N_GroupingSet:
        return walk_exprs(w, l, node_get(n, R_content));
    case N_SortBy:
        return sort_by(w, l, n);
    case N_WindowDef:
        return window(w, l, n);
    case N_XmlExpr:
        return xml_expr(w, l, n);
    case N_XmlSerialize:
        return walk_type(w, l, node_get(n, R_typeName), n->loc) &&
               walk_expr(w, l, node_get(n, R_expr));
    case N_CurrentOfExpr:
        return walk_refuse(w, REFUSAL_current_of, n->loc, "Change the row by its key.",
                           "The row under a cursor cannot be checked.");
    default:
        return walk_refuse(w, REFUSAL_unknown_syntax, n->loc, NULL, "%s is not open to tenants.",
                           node_kind_name(n->kind));
    }
}

bool walk_expr(struct walk *w, struct level *l, struct node *n)
{
    if (!n)
        return true;
    if (w->depth >= MAX_DEPTH)
        return walk_refuse(w, REFUSAL_limit, n->loc, NULL, "The statement is nested too deeply.");
    w->depth++;
    bool good = expr(w, l, n);
    w->depth--;
    return good;
}
