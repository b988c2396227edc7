/* SPDX-License-Identifier: ISC */
/* INSERT, UPDATE and DELETE: what is stored must be the tenant's, what is changed must have been.
 */
#include "tenant/mask.h"
#include "tenant/prove.h"
#include "tenant/quiet.h"
#include "tenant/rewrite.h"
#include "tenant/trace.h"
#include "tenant/value.h"
#include "tenant/walk.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- values of the tenant column ---- */

bool walk_same_type(struct node *type, uint32_t want)
{
    static const struct {
        uint32_t oid;
        const char *name;
    } names[] = {
        { VALUE_TEXT, "text" }, { VALUE_TEXT, "varchar" }, { VALUE_UUID, "uuid" },
        { VALUE_INT2, "int2" }, { VALUE_INT4, "int4" },    { VALUE_INT8, "int8" },
    };
    struct text schema, name;
    if (!node_is(type, N_TypeName) || node_get(type, R_typmods) || node_get(type, R_arrayBounds) ||
        node_int(type, R_setof) || node_int(type, R_pct_type) ||
        !walk_name(node_get(type, R_names), &schema, &name))
        return false;
    if (schema.n && !text_is(schema, "pg_catalog"))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].oid == want && text_is(name, names[i].name))
            return true;
    return false;
}

enum value_kind walk_constant(struct walk *w, struct node *n, int claim, bool assign, int *param)
{
    const struct used_claim *c = &w->used[claim];
    while (node_is(n, N_TypeCast) && walk_same_type(node_get(n, R_typeName), c->type))
        n = node_get(n, R_arg);
    if (node_is(n, N_ParamRef)) {
        *param = (int)node_int(n, R_number);
        return w->is_simple ? VALUE_OTHER : VALUE_PARAM;
    }
    struct node *val = node_is(n, N_A_Const) && !node_int(n, R_isnull) ? node_get(n, R_val) : NULL;
    struct text value;
    char digits[24];
    if (node_is(val, N_String)) {
        value = node_str(val, R_sval);
    } else if (node_is(val, N_Integer) && (assign || c->type != VALUE_TEXT) &&
               c->type != VALUE_UUID) {
        snprintf(digits, sizeof(digits), "%lld", (long long)node_int(val, R_ival));
        value = text_of(digits);
    } else {
        return VALUE_OTHER;
    }
    w->dependent = true;
    return value_same(c->type, c->value, value) ? VALUE_EQUAL : VALUE_DIFFERENT;
}

bool walk_check_param(struct walk *w, int param, int claim, int loc)
{
    bool array = param < 0;
    param = abs(param);
    uint32_t declared = param <= w->ask->n_types ? w->ask->types[param - 1] : 0;
    bool open = declared == 0 || declared == VALUE_UNKNOWN;
    if (array && !open)
        declared = value_array_element(declared);
    struct param_use *p = &w->params[param - 1];
    if ((array && !open && !declared) || !value_param_ok(w->used[claim].type, declared))
        return walk_refuse(
            w, REFUSAL_bind_type, loc,
            "Declare the parameter as the column's type, or leave its type open.",
            "Parameter $%d stands for the tenant and has another type than the column.", param);
    /* A varchar column and a char(n) parameter are compared without blanks at the end. */
    w->noisy |= value_param_loose(declared);
    w->noisy |= array; /* proven, and added */
    if (p->checked && (p->claim != claim || p->array != array))
        return walk_refuse(w, REFUSAL_unproven_value, loc, NULL,
                           "Parameter $%d stands for two different values of the tenant.", param);
    p->claim = claim;
    p->array = array;
    p->checked++;
    return true;
}

bool walk_value_is_claim(struct walk *w, struct level *l, struct node *n, int claim, int loc)
{
    int param = 0;
    if (n && n->loc >= 0)
        loc = n->loc;
    switch (walk_constant(w, n, claim, true, &param)) {
    case VALUE_EQUAL:
        return true;
    case VALUE_DIFFERENT:
        return walk_refuse(w, REFUSAL_wrong_tenant, loc,
                           "Store the tenant's own value, or leave the column out.",
                           "The row would belong to another tenant.");
    case VALUE_PARAM:
        return walk_check_param(w, param, claim, loc);
    case VALUE_OTHER:
        break;
    }
    if (node_is(n, N_ColumnRef)) {
        struct node *f = node_get(n, R_fields);
        int k = list_len(f);
        const struct item *i = k == 2 ? scope_item(l, node_str(list_at(f, 0), R_sval)) : NULL;
        if (k == 1 && node_is(list_at(f, 0), N_String) &&
            scope_claim(l, node_str(list_at(f, 0), R_sval)) == claim)
            return true;
        if (i && node_is(list_at(f, 1), N_String)) {
            const struct column *c = columns_find(&i->cols, node_str(list_at(f, 1), R_sval));
            if (c && c->claim == claim)
                return true;
        }
    }
    return walk_refuse(w, REFUSAL_unproven_value, loc,
                       "Use the tenant's value as a literal or parameter, or leave the column out.",
                       "The value for the tenant column is computed.");
}

/* `*`, `a.*`, `(a).*`: how many values that is does not stand in the text. */
static bool is_star(struct node *val)
{
    struct node *f = node_is(val, N_ColumnRef) ? node_get(val, R_fields) : NULL;
    return (f && node_is(list_at(f, list_len(f) - 1), N_A_Star)) || node_is(val, N_A_Indirection);
}

/* ---- INSERT ---- */

static int index_of(const struct text *names, int n, struct text name)
{
    for (int i = 0; i < n; i++)
        if (text_eq(names[i], name))
            return i;
    return -1;
}

/* Cells or result columns number k of one leaf hold the claim. */
static bool arm_holds(struct walk *w, const struct arm *a, int k, int claim)
{
    struct node *rows = node_get(a->select, R_valuesLists),
                *targets = node_get(a->select, R_targetList);
    for (int i = 0; rows && i < list_len(rows); i++) {
        struct node *row = list_at(rows, i);
        if (k >= list_len(row))
            return walk_refuse(w, REFUSAL_unproven_value, -1, NULL,
                               "A row of VALUES is too short.");
        struct node *cell = list_at(row, k);
        if (node_is(cell, N_SetToDefault)) {
            if (!w->rewrite)
                return walk_refuse(w, REFUSAL_unproven_value, cell->loc,
                                   "Write the tenant's value instead of DEFAULT.",
                                   "The column's default is not known to be the tenant's value.");
            if (!rewrite_default(w, cell, claim))
                return false;
        } else if (!walk_value_is_claim(w, a->level, cell, claim, -1)) {
            return false;
        }
    }
    if (rows)
        return true;
    bool stars = false;
    for (int i = 0; targets && i < list_len(targets) && i <= k; i++)
        stars |= is_star(node_get(list_at(targets, i), R_val));
    if (!stars && targets && k < list_len(targets))
        return walk_value_is_claim(w, a->level, node_get(list_at(targets, k), R_val), claim, -1);
    if (!a->cols.open && !a->cols.shifting && k < a->cols.n && a->cols.v[k].claim == claim)
        return true;
    return walk_refuse(w, REFUSAL_unproven_value, -1,
                       "List the columns, and select the tenant column itself.",
                       "The value for the tenant column cannot be followed through the query.");
}

/* Number of values of the leaves when there is no column list; -1: not known or different. */
static int arms_width(const struct arms *arms)
{
    int width = -1;
    for (int i = 0; i < arms->n; i++) {
        const struct columns *c = &arms->v[i].cols;
        if (arms->v[i].cols.open) {
            /* Made-up names leave the number certain unless a star is among them. */
            struct node *targets = node_get(arms->v[i].select, R_targetList);
            for (int k = 0; targets && k < list_len(targets); k++)
                if (is_star(node_get(list_at(targets, k), R_val)))
                    return -1;
        }
        if (width >= 0 && width != c->n)
            return -1;
        width = c->n;
    }
    return width;
}

/* ON CONSTRAINT: a constraint has the name of its unique index. An index made anew since the
 * catalog was read could hold other columns under that name; in rewrite mode the condition that is
 * added to DO UPDATE covers that. */
static bool constraint_holds(const struct policy_relation *r, struct text name)
{
    for (int i = 0; r->cat && name.n && i < r->cat->n_uniques; i++) {
        const struct cat_index *x = &r->cat->uniques[i];
        for (int k = 0; text_eq(x->name, name) && k < x->n_cols; k++)
            if (x->cols[k] == r->column->attnum)
                return true;
    }
    return false;
}

static bool conflict_arbiter(struct walk *w, const struct policy_relation *r, struct node *infer,
                             int loc)
{
    if (infer && constraint_holds(r, node_str(infer, R_conname)))
        return true;
    struct node *elems = infer ? node_get(infer, R_indexElems) : NULL;
    for (int i = 0; elems && i < list_len(elems); i++) {
        struct node *e = list_at(elems, i);
        if (node_is(e, N_IndexElem) && text_eq(node_str(e, R_name), r->column->name) &&
            !node_get(e, R_collation) && !node_get(e, R_opclass))
            return true;
    }
    return walk_refuse(
        w, REFUSAL_on_conflict, loc,
        "Name a unique key that holds the tenant column: ON CONFLICT (tenant column, key).",
        "The conflicting row of %.*s.%.*s may belong to another tenant.", TEXT_ARG(r->schema),
        TEXT_ARG(r->name));
}

/* The tenant column among several assigned at once: its place in a row of expressions. */
static bool multi_assigned(struct walk *w, struct level *l, struct node *t, struct node *source,
                           int claim)
{
    struct node *row = node_is(source, N_RowExpr) ? node_get(source, R_args) : NULL;
    int n = (int)node_int(node_get(t, R_val), R_ncolumns),
        k = (int)node_int(node_get(t, R_val), R_colno) - 1;
    bool stars = false; /* which would stand for any number of values, none too */
    for (int i = 0; i < list_len(row); i++)
        stars |= is_star(list_at(row, i));
    if (stars || n != list_len(row) || k < 0 || k >= n || node_get(t, R_indirection))
        return walk_refuse(w, REFUSAL_tenant_column, t->loc, "Assign the tenant column on its own.",
                           "The tenant column is among several assigned at once.");
    return walk_value_is_claim(w, l, list_at(row, k), claim, t->loc);
}

/* SET of INSERT's conflict action and UPDATE. */
bool walk_set(struct walk *w, struct level *l, struct node *list, const struct tref *target)
{
    struct node *shared = NULL; /* source of the multi-assignment in progress */
    struct text column = w->rls ? TEXT("") : target->rel->column->name;
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *t = list_at(list, i), *val = node_get(t, R_val),
                    *ind = node_get(t, R_indirection);
        if (!node_is(t, N_ResTarget))
            return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL, "A SET of an unknown form.");
        bool tenant = !w->rls && text_eq(node_str(t, R_name), column);
        if (!walk_assigned(w, l, t))
            return false;
        if (node_is(val, N_MultiAssignRef)) {
            /* The columns of one assignment share a source, which stands at the first of them. */
            struct node *own = node_get(val, R_source);
            shared = own ? own : shared;
            if (!shared || !walk_expr(w, l, own))
                return w->refused ? false
                                  : walk_refuse(w, REFUSAL_unknown_syntax, t->loc, NULL,
                                                "A SET of an unknown form.");
            if (tenant && !multi_assigned(w, l, t, shared, target->claim))
                return false;
            continue;
        }
        bool shown = w->shown;
        w->shown = true;
        bool good = walk_expr(w, l, val);
        w->shown = shown;
        if (!good)
            return false;
        if (!tenant)
            continue;
        if (ind)
            return walk_refuse(w, REFUSAL_tenant_column, t->loc, NULL,
                               "A part of the tenant column would be changed.");
        if (!walk_value_is_claim(w, l, val, target->claim, t->loc))
            return false;
    }
    return true;
}

static bool on_conflict(struct walk *w, struct level *l, struct node *insert, struct node *c,
                        const struct tref *target)
{
    struct node *infer = node_get(c, R_infer);
    struct node *elems = infer ? node_get(infer, R_indexElems) : NULL;
    for (int i = 0; elems && i < list_len(elems); i++) {
        struct node *e = list_at(elems, i);
        if (!node_is(e, N_IndexElem) || node_get(e, R_opclassopts))
            return walk_refuse(w, REFUSAL_unknown_syntax, c->loc, NULL,
                               "An ON CONFLICT of an unknown form.");
        if (!walk_expr(w, l, node_get(e, R_expr)))
            return false;
    }
    if (infer && !walk_expr(w, l, node_get(infer, R_whereClause)))
        return false;
    if (node_int(c, R_action) == TREE_ONCONFLICT_NOTHING)
        return true;
    if (node_int(c, R_action) != TREE_ONCONFLICT_UPDATE)
        return walk_refuse(w, REFUSAL_unknown_syntax, c->loc, NULL,
                           "An ON CONFLICT of an unknown form.");
    if (!w->rls && !conflict_arbiter(w, target->rel, infer, c->loc))
        return false;
    if (!w->rewrite && !w->rls)
        prove_target(w, l, infer && node_str(infer, R_conname).n);
    /* The action sees the target and the row that was proposed. */
    struct item *x = level_add(w->arena, l, TEXT("excluded"));
    x->rel = target->rel;
    x->relation_cols = true;
    columns_append(w->arena, &x->cols, &target->item->cols);
    if (!walk_set(w, l, node_get(c, R_targetList), target) ||
        !walk_expr(w, l, node_get(c, R_whereClause)))
        return false;
    x->hidden = true;
    return !w->rewrite || rewrite_conflict(w, target, insert, c);
}

/* The column list as names; made from the catalog when the statement has none. */
static bool insert_columns(struct walk *w, struct level *l, struct node *n,
                           const struct policy_relation *r, const struct arms *arms,
                           struct text **names, int *count, bool *made)
{
    struct node *list = node_get(n, R_cols);
    const struct cat_relation *cat = r->cat;
    *made = !list;
    if (list) {
        *count = list_len(list);
        *names = ARENA_ARRAY(w->arena, struct text, *count + 1);
        for (int i = 0; i < *count; i++) {
            struct node *t = list_at(list, i);
            if (!node_is(t, N_ResTarget))
                return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL,
                                   "A column list of an unknown form.");
            if (!walk_assigned(w, l, t))
                return false;
            (*names)[i] = node_str(t, R_name);
            if (node_get(t, R_indirection) && text_eq((*names)[i], r->column->name))
                return walk_refuse(w, REFUSAL_tenant_column, t->loc, NULL,
                                   "A part of the tenant column would be set.");
        }
        return true;
    }
    int width = arms_width(arms);
    if (width < 0)
        return walk_refuse(w, REFUSAL_unproven_value, -1,
                           "List the columns after the table's name.",
                           "The number of values is not certain.");
    if (!cat || width > cat->n_columns)
        return walk_refuse(w, REFUSAL_unproven_value, -1,
                           "List the columns after the table's name; RELOAD after schema changes.",
                           "The table has fewer columns than there are values.");
    *count = width;
    *names = ARENA_ARRAY(w->arena, struct text, width + 1);
    for (int i = 0; i < width; i++)
        (*names)[i] = cat->columns[i].name;
    return true;
}

/* The server checks the rows: what the statement names is looked at all the same. */
static bool insert_under_rls(struct walk *w, struct node *n, struct level *l)
{
    struct node *select = node_get(n, R_selectStmt), *list = node_get(n, R_cols);
    struct level *side = level_new(w->arena, l->up);
    struct columns cols = { .n = 0 };
    struct arms arms = { .n = 0 }; /* they may hold DEFAULT */
    side->ctes = l->ctes;
    for (int i = 0; i < list_len(list); i++)
        if (!node_is(list_at(list, i), N_ResTarget) || !walk_assigned(w, l, list_at(list, i)))
            return w->refused ? false
                              : walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL,
                                            "A column list of an unknown form.");
    return !select || walk_select(w, side, select, &cols, &arms);
}

static bool insert_values(struct walk *w, struct node *n, struct level *l,
                          const struct tref *target)
{
    const struct policy_relation *r = target->rel;
    struct node *select = node_get(n, R_selectStmt);
    struct arms arms = { .n = 0 };
    struct columns cols = { .n = 0 };
    if (w->rls)
        return insert_under_rls(w, n, l);
    trace_how(w, target->trace, "its tenant column gets the tenant's value");
    if (!select) { /* DEFAULT VALUES */
        if (!w->rewrite)
            return walk_refuse(w, REFUSAL_unproven_value, target->rv->loc,
                               "List the tenant column with the tenant's value.",
                               "The column's default is not known to be the tenant's value.");
        return rewrite_insert(w, n, target, NULL, 0, true, &arms);
    }
    /* The query does not see the target: it gets a scope beside it that only has the WITH of the
     * statement. */
    struct level *side = level_new(w->arena, l->up);
    side->ctes = l->ctes;
    if (!walk_select(w, side, select, &cols, &arms))
        return false;
    struct text *names = NULL;
    int count = 0;
    bool made;
    if (!insert_columns(w, l, n, r, &arms, &names, &count, &made))
        return false;
    int k = index_of(names, count, r->column->name);
    w->noisy |= made; /* the list is added: places could have changed since the catalog was read */
    if (k < 0 && !w->rewrite)
        return walk_refuse(w, REFUSAL_unproven_value, target->rv->loc,
                           "List the tenant column with the tenant's value.",
                           "The tenant column \"%.*s\" is not among the columns.",
                           TEXT_ARG(r->column->name));
    for (int i = 0; k >= 0 && i < arms.n; i++)
        if (!arm_holds(w, &arms.v[i], k, target->claim))
            return false;
    if (!w->rewrite || (k >= 0 && !made))
        return true;
    return rewrite_insert(w, n, target, made ? names : NULL, count, k < 0, &arms);
}

bool walk_insert(struct walk *w, struct level *up, struct node *n, struct columns *cols)
{
    struct level *l = level_new(w->arena, up);
    struct item *item;
    struct node *conflict = node_get(n, R_onConflictClause);
    if (!walk_with(w, l, node_get(n, R_withClause)) ||
        !walk_target(w, l, node_get(n, R_relation), n, &item))
        return false;
    struct tref *target = l->refs;
    if (!insert_values(w, n, l, target))
        return false;
    if (conflict && !on_conflict(w, l, n, conflict, target))
        return false;
    return walk_targets(w, l, node_get(n, R_returningList), cols);
}

/* ---- UPDATE and DELETE ---- */

static bool has_query(const struct node *n)
{
    if (!n || n->kind == N_SubLink)
        return n != NULL;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE && has_query(n->fields[i].node))
            return true;
    return false;
}

/* A target cannot be fenced as a relation that is read: conditions that go to a foreign table's
 * server have to be such that cannot fail. */
static bool foreign_target(struct walk *w, const struct item *target, struct node *from,
                           struct node *where)
{
    if (w->rls || !target->rel->foreign || (!from && quiet(where) && !has_query(where)))
        return true;
    return walk_refuse(w, REFUSAL_placement, target->rv ? target->rv->loc : -1,
                       "Change the rows by their key.",
                       "\"%.*s\" is or holds a foreign table: its server could test the condition "
                       "on other tenants' rows.",
                       TEXT_ARG(target->name));
}

bool walk_update(struct walk *w, struct level *up, struct node *n, struct columns *cols)
{
    struct level *l = level_new(w->arena, up);
    struct item *item;
    struct node *from = node_get(n, R_fromClause), *where = node_get(n, R_whereClause);
    if (!walk_with(w, l, node_get(n, R_withClause)) ||
        !walk_target(w, l, node_get(n, R_relation), n, &item))
        return false;
    struct tref *target = l->refs;
    if (!walk_from(w, l, from, n) || !walk_set(w, l, node_get(n, R_targetList), target))
        return false;
    if (node_is(where, N_CurrentOfExpr))
        return walk_current_of(w, up, from, where, item->rel) &&
               walk_targets(w, l, node_get(n, R_returningList), cols);
    if (!walk_expr(w, l, where) || !walk_targets(w, l, node_get(n, R_returningList), cols))
        return false;
    return foreign_target(w, item, from, where) &&
           (w->rewrite ? rewrite_level(w, l, n) : w->rls || prove_level(w, l, from, where)) &&
           mask_level(w, l);
}

bool walk_delete(struct walk *w, struct level *up, struct node *n, struct columns *cols)
{
    struct level *l = level_new(w->arena, up);
    struct item *item;
    struct node *from = node_get(n, R_usingClause), *where = node_get(n, R_whereClause);
    if (!walk_with(w, l, node_get(n, R_withClause)) ||
        !walk_target(w, l, node_get(n, R_relation), n, &item))
        return false;
    if (node_is(where, N_CurrentOfExpr))
        return walk_current_of(w, up, from, where, item->rel) &&
               walk_targets(w, l, node_get(n, R_returningList), cols);
    if (!walk_from(w, l, from, n) || !walk_expr(w, l, where) ||
        !walk_targets(w, l, node_get(n, R_returningList), cols))
        return false;
    return foreign_target(w, item, from, where) &&
           (w->rewrite ? rewrite_level(w, l, n) : w->rls || prove_level(w, l, from, where)) &&
           mask_level(w, l);
}

bool walk_query(struct walk *w, struct level *up, struct node *n, struct columns *cols)
{
    if (node_is(n, N_SelectStmt))
        return walk_select(w, up, n, cols, NULL);
    if (node_is(n, N_InsertStmt))
        return walk_insert(w, up, n, cols);
    if (node_is(n, N_UpdateStmt))
        return walk_update(w, up, n, cols);
    if (node_is(n, N_DeleteStmt))
        return walk_delete(w, up, n, cols);
    if (node_is(n, N_MergeStmt))
        return walk_merge(w, up, n);
    return walk_refuse(w, REFUSAL_unknown_syntax, n ? n->loc : -1, NULL,
                       "%s is not open to tenants.",
                       n ? node_kind_name(n->kind) : "An empty query");
}
