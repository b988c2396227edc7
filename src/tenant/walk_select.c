/* SPDX-License-Identifier: ISC */
/* SELECT, VALUES and set operations: scopes, result columns, and the filters of each leaf. */
#include "tenant/expand.h"
#include "tenant/mask.h"
#include "tenant/prove.h"
#include "tenant/quiet.h"
#include "tenant/rewrite.h"
#include "tenant/walk.h"

/* ---- result columns ---- */

/* Of a relation's columns only the names are relied upon: positions could have changed since the
 * catalog was read. */
static void add_item_star(struct walk *w, const struct item *i, struct columns *cols)
{
    columns_append(w->arena, cols, &i->cols);
    cols->shifting |= i->rel != NULL;
}

static void add_star(struct walk *w, const struct level *l, struct columns *cols)
{
    bool merged = false;
    for (const struct join_range *j = l->joins; j; j = j->next)
        merged |= node_get(j->join, R_usingClause) || node_int(j->join, R_isNatural);
    for (int i = 0; i < l->n_items; i++)
        if (!l->items[i]->hidden)
            add_item_star(w, l->items[i], cols);
    if (merged) {
        /* USING puts merged columns first and once: names hold, positions do not. */
        columns_unknown(cols);
        cols->open = true;
    }
}

static void add_column_ref(struct walk *w, const struct level *l, struct text label,
                           struct node *ref, struct columns *cols)
{
    struct node *f = node_get(ref, R_fields);
    int k = list_len(f);
    struct node *last = list_at(f, k - 1);
    if (node_is(last, N_A_Star)) {
        const struct item *i = NULL;
        if (k == 1) {
            add_star(w, l, cols);
        } else if ((i = scope_item(l, node_str(list_at(f, k - 2), R_sval))) != NULL) {
            add_item_star(w, i, cols);
        } else {
            cols->open = true;
        }
        return;
    }
    struct text name = node_str(last, R_sval);
    int claim = -1, held = -1;
    if (k == 1) {
        claim = held = scope_claim(l, name);
    } else if (k == 2) {
        const struct item *i = scope_item(l, node_str(list_at(f, 0), R_sval));
        const struct column *c = i ? columns_find(&i->cols, name) : NULL;
        claim = c ? c->claim : -1;
        held = c ? c->held : -1;
    }
    columns_add(w->arena, cols, label.n ? label : name, claim);
    cols->v[cols->n - 1].held = held;
}

static void add_target(struct walk *w, const struct level *l, struct node *t, struct columns *cols)
{
    struct text label = node_str(t, R_name);
    struct node *val = node_get(t, R_val);
    if (node_is(val, N_ColumnRef)) {
        add_column_ref(w, l, label, val, cols);
        return;
    }
    if (node_is(val, N_A_Indirection)) {
        struct node *ind = node_get(val, R_indirection);
        if (list_len(ind) > 0 && node_is(list_at(ind, list_len(ind) - 1), N_A_Star)) {
            cols->open = true;
            return;
        }
    }
    if (!label.n) {
        struct text schema;
        if (!node_is(val, N_FuncCall) || !walk_name(node_get(val, R_funcname), &schema, &label)) {
            /* PostgreSQL makes up a name by rules of its own. */
            label = TEXT("?column?");
            cols->open = true;
        }
    }
    columns_add(w->arena, cols, label, -1);
}

/* What a sub-query computes can become a part of the conditions around it. */
static void note_result(struct walk *w, const struct level *l, struct node *n)
{
    if (l->up)
        w->noisy |= !quiet(n);
}

/* A relation's row as a result: a sub-select in the relation's place would give another type. */
static void note_row(struct level *l, struct node *n)
{
    struct node *f = node_is(n, N_ColumnRef) ? node_get(n, R_fields) : NULL;
    struct item *it = NULL;
    if (list_len(f) != 1 || !node_is(list_at(f, 0), N_String))
        return;
    struct text name = node_str(list_at(f, 0), R_sval);
    for (int i = 0; i < l->n_items; i++) {
        if (columns_find(&l->items[i]->cols, name))
            return;
        if (!l->items[i]->hidden && text_eq(l->items[i]->name, name))
            it = l->items[i];
    }
    if (it)
        it->row_shown = true;
}

bool walk_targets(struct walk *w, struct level *l, struct node *list, struct columns *cols)
{
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *t = list_at(list, i);
        if (!node_is(t, N_ResTarget))
            return walk_refuse(w, REFUSAL_unknown_syntax, t ? t->loc : -1, NULL,
                               "A select list of an unknown form.");
        if (node_is(node_get(t, R_val), N_SetToDefault))
            return walk_refuse(w, REFUSAL_unknown_syntax, t->loc, NULL,
                               "DEFAULT is not allowed here.");
        bool shown = w->shown;
        w->shown = !l->up; /* others can become a part of the conditions around them */
        bool good = walk_expr(w, l, node_get(t, R_val));
        w->shown = shown;
        if (!good)
            return false;
        note_result(w, l, node_get(t, R_val));
        note_row(l, node_get(t, R_val));
        add_target(w, l, t, cols);
    }
    return true;
}

/* ---- leaves ---- */

static void keep_arm(struct walk *w, struct arms *arms, struct node *n, struct level *l,
                     const struct columns *cols)
{
    if (!arms)
        return;
    ARENA_ROOM(w->arena, arms->v, arms->n, arms->cap, 4);
    arms->v[arms->n++] = (struct arm){ n, l, *cols };
}

static bool values(struct walk *w, struct level *l, struct node *n, struct columns *cols,
                   struct arms *arms)
{
    struct node *rows = node_get(n, R_valuesLists);
    for (int i = 0; i < list_len(rows); i++) {
        struct node *row = list_at(rows, i);
        if (!node_is(row, N_List))
            return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL, "VALUES of an unknown form.");
        for (int k = 0; k < list_len(row); k++) {
            struct node *cell = list_at(row, k);
            if (node_is(cell, N_SetToDefault) && !arms)
                return walk_refuse(w, REFUSAL_unknown_syntax, cell->loc, NULL,
                                   "DEFAULT is not allowed here.");
            bool shown = w->shown;
            w->shown = arms && !l->up;
            bool good = walk_expr(w, l, cell);
            w->shown = shown;
            if (!good)
                return false;
            note_result(w, l, cell);
        }
    }
    struct node *row = list_at(rows, 0);
    for (int k = 0; k < list_len(row); k++)
        columns_add(w->arena, cols, arena_printf(w->arena, "column%d", k + 1), -1);
    keep_arm(w, arms, n, l, cols);
    return true;
}

/* Locks are writes in effect: rows of shared relations may not be locked. */
static bool locking(struct walk *w, const struct level *l, struct node *list)
{
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *c = list_at(list, i), *of = node_get(c, R_lockedRels);
        if (!node_is(c, N_LockingClause))
            return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL,
                               "A locking clause of an unknown form.");
        w->seen += list_len(of);
        for (int k = 0; k < l->n_items; k++) {
            bool named = !of;
            for (int m = 0; of && m < list_len(of); m++)
                named |= text_eq(node_str(list_at(of, m), R_relname), l->items[k]->name);
            if (named && l->items[k]->reads_shared)
                return walk_refuse(w, REFUSAL_read_only_relation, -1,
                                   "Lock the tenant's own tables only: FOR UPDATE OF name.",
                                   "\"%.*s\" is shared; its rows may not be locked.",
                                   TEXT_ARG(l->items[k]->name));
        }
    }
    return true;
}

static bool limits(struct walk *w, struct level *l, struct node *n)
{
    return walk_exprs(w, l, node_get(n, R_sortClause)) &&
           walk_expr(w, l, node_get(n, R_limitOffset)) &&
           walk_expr(w, l, node_get(n, R_limitCount));
}

static bool distinct(struct walk *w, struct level *l, struct node *list)
{
    /* SELECT DISTINCT is a list with one empty element. */
    for (int i = 0; list && i < list_len(list); i++)
        if (list_at(list, i) && !walk_expr(w, l, list_at(list, i)))
            return false;
    return true;
}

static bool has_grouping_sets(struct node *list)
{
    for (int i = 0; i < list_len(list); i++)
        if (node_is(list_at(list, i), N_GroupingSet))
            return true;
    return false;
}

static bool leaf(struct walk *w, struct level *l, struct node *n, struct columns *cols,
                 struct arms *arms)
{
    struct node *from = node_get(n, R_fromClause);
    if (node_get(n, R_valuesLists))
        return values(w, l, n, cols, arms) && limits(w, l, n);
    if (!walk_from(w, l, from, n) || !walk_targets(w, l, node_get(n, R_targetList), cols) ||
        !distinct(w, l, node_get(n, R_distinctClause)) ||
        !walk_expr(w, l, node_get(n, R_whereClause)) ||
        !walk_exprs(w, l, node_get(n, R_groupClause)) ||
        !walk_expr(w, l, node_get(n, R_havingClause)) ||
        !walk_exprs(w, l, node_get(n, R_windowClause)) || !limits(w, l, n) ||
        !locking(w, l, node_get(n, R_lockingClause)))
        return false;
    walk_settings_order(w, l, n);
    for (int i = 0; i < l->n_items; i++)
        cols->reads_shared |= l->items[i]->reads_shared;
    if (has_grouping_sets(node_get(n, R_groupClause))) {
        /* Columns that are grouped by are NULL in some rows. */
        columns_forget(cols);
        for (int i = 0; i < l->n_items; i++)
            item_forget(w->arena, l->items[i]);
    }
    if (arms && w->rewrite && !expand_stars(w, l, n, cols))
        return false;
    keep_arm(w, arms, n, l, cols);
    w->noisy |= !quiet(node_get(n, R_havingClause));
    bool good = w->rewrite ? rewrite_level(w, l, n)
                           : w->rls || prove_level(w, l, from, node_get(n, R_whereClause));
    return good && mask_level(w, l);
}

static bool is_plain_arm(struct node *n)
{
    return !node_get(n, R_withClause) && !node_get(n, R_sortClause) &&
           !node_get(n, R_limitOffset) && !node_get(n, R_limitCount) &&
           !node_get(n, R_lockingClause);
}

static bool set_operation(struct walk *w, struct level *l, struct node *n, struct columns *cols,
                          struct arms *arms);

static bool operand(struct walk *w, struct level *l, struct node *n, struct columns *cols,
                    struct arms *arms)
{
    if (node_is(n, N_SelectStmt) && node_int(n, R_op) != TREE_SETOP_NONE && is_plain_arm(n)) {
        w->seen++;
        return set_operation(w, l, n, cols, arms);
    }
    return walk_select(w, l, n, cols, arms);
}

static bool set_operation(struct walk *w, struct level *l, struct node *n, struct columns *cols,
                          struct arms *arms)
{
    struct columns right = { .n = 0 };
    if (++w->depth > 1800)
        return walk_refuse(w, REFUSAL_limit, -1, NULL, "The statement is nested too deeply.");
    if (!operand(w, l, node_get(n, R_larg), cols, arms) ||
        !operand(w, l, node_get(n, R_rarg), &right, arms))
        return false;
    w->depth--;
    cols->reads_shared |= right.reads_shared;
    if (cols->open || right.open || cols->n != right.n || cols->shifting || right.shifting) {
        columns_unknown(cols);
        cols->open |= right.open;
    }
    for (int i = 0; i < cols->n && i < right.n; i++) {
        if (cols->v[i].claim != right.v[i].claim)
            cols->v[i].claim = -1;
        if (cols->v[i].held != right.v[i].held)
            cols->v[i].held = -1;
    }
    return true;
}

bool walk_select(struct walk *w, struct level *up, struct node *n, struct columns *cols,
                 struct arms *arms)
{
    if (!node_is(n, N_SelectStmt))
        return walk_refuse(w, REFUSAL_unknown_syntax, n ? n->loc : -1, NULL,
                           "A query of an unknown form.");
    if (++w->depth > 1800)
        return walk_refuse(w, REFUSAL_limit, -1, NULL, "The statement is nested too deeply.");
    if (node_get(n, R_intoClause))
        return walk_refuse(w, REFUSAL_ddl, -1, NULL, "SELECT INTO makes a table.");
    w->seen++;
    struct level *l = level_new(w->arena, up);
    bool shown = w->shown, in_any = w->in_any;
    w->shown = w->in_any = false;
    bool good = walk_with(w, l, node_get(n, R_withClause));
    if (good && node_int(n, R_op) == TREE_SETOP_NONE)
        good = leaf(w, l, n, cols, arms);
    else if (good)
        good = set_operation(w, l, n, cols, arms) && limits(w, l, n) &&
               locking(w, l, node_get(n, R_lockingClause));
    w->shown = shown;
    w->in_any = in_any;
    w->depth--;
    return good;
}
