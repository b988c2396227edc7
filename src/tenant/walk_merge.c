/* SPDX-License-Identifier: ISC */
/* MERGE: the target's rows of others never match, the source is filtered, actions store the
 * tenant's value. */
#include "tenant/mask.h"
#include "tenant/prove.h"
#include "tenant/rewrite.h"
#include "tenant/walk.h"

/* One INSERT action. The target's row is not in scope. */
static bool insert_action(struct walk *w, struct level *l, struct node *when, int number,
                          const struct tref *target, int after)
{
    const struct policy_relation *r = target->rel;
    struct node *cols = node_get(when, R_targetList), *values = node_get(when, R_values);
    int n = list_len(cols ? cols : values), at = -1;
    w->noisy |= !cols && !w->rls; /* the list is added: see insert_values */
    struct text *names = ARENA_ARRAY(w->arena, struct text, n + 1);
    if (!cols && values && (!r->cat || n > r->cat->n_columns))
        return walk_refuse(w, REFUSAL_unproven_value, target->rv->loc,
                           "List the columns; RELOAD after schema changes.",
                           "The table has fewer columns than there are values.");
    for (int i = 0; i < n; i++) {
        struct node *t = cols ? list_at(cols, i) : NULL;
        if (t && (!node_is(t, N_ResTarget) || !walk_assigned(w, l, t)))
            return w->refused ? false
                              : walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL,
                                            "A column list of an unknown form.");
        names[i] = t ? node_str(t, R_name) : r->cat->columns[i].name;
        if (w->rls || !text_eq(names[i], r->column->name))
            continue;
        at = i;
        if (t && node_get(t, R_indirection))
            return walk_refuse(w, REFUSAL_tenant_column, t->loc, NULL,
                               "A part of the tenant column would be set.");
    }
    if (!walk_exprs(w, l, values))
        return false;
    if (w->rls)
        return true;
    if (at < 0 && !w->rewrite)
        return walk_refuse(w, REFUSAL_unproven_value, target->rv->loc,
                           "List the tenant column with the tenant's value.",
                           "The tenant column \"%.*s\" is not among the columns.",
                           TEXT_ARG(r->column->name));
    struct node *cell = at >= 0 ? list_at(values, at) : NULL;
    if (at >= 0 && !cell)
        return walk_refuse(w, REFUSAL_unproven_value, -1, NULL, "VALUES is too short.");
    if (node_is(cell, N_SetToDefault)) {
        if (!w->rewrite)
            return walk_refuse(w, REFUSAL_unproven_value, cell->loc,
                               "Write the tenant's value instead of DEFAULT.",
                               "The column's default is not known to be the tenant's value.");
        if (!rewrite_default(w, cell, target->claim))
            return false;
    } else if (cell && !walk_value_is_claim(w, l, cell, target->claim, -1)) {
        return false;
    }
    if (!w->rewrite || (at >= 0 && cols))
        return true;
    return rewrite_merge_insert(w, when, after, number, target, cols ? NULL : names, n, at < 0);
}

static bool action(struct walk *w, struct level *l, struct node *when, int number,
                   struct tref *target, int after)
{
    if (!node_is(when, N_MergeWhenClause))
        return walk_refuse(w, REFUSAL_merge, -1, NULL, "A MERGE of an unknown form.");
    bool matched = node_int(when, R_matched), good = false;
    target->item->hidden = !matched;
    if (walk_expr(w, l, node_get(when, R_condition))) {
        switch (node_int(when, R_commandType)) {
        case TREE_CMD_UPDATE:
            good = matched && walk_set(w, l, node_get(when, R_targetList), target);
            break;
        case TREE_CMD_INSERT:
            good = !matched && insert_action(w, l, when, number, target, after);
            break;
        case TREE_CMD_DELETE:
            good = matched;
            break;
        case TREE_CMD_NOTHING:
            good = true;
            break;
        default:
            break;
        }
    }
    target->item->hidden = false;
    return good || walk_refuse(w, REFUSAL_merge, -1, NULL, "A MERGE action of an unknown form.");
}

bool walk_merge(struct walk *w, struct level *up, struct node *n)
{
    struct level *l = level_new(w->arena, up);
    struct node *on = node_get(n, R_joinCondition), *whens = node_get(n, R_mergeWhenClauses);
    struct item *item;
    int after = 0;
    if (!walk_with(w, l, node_get(n, R_withClause)) ||
        !walk_target(w, l, node_get(n, R_relation), n, &item))
        return false;
    struct tref *target = l->refs;
    if (target->rel->is_view)
        return walk_refuse(w, REFUSAL_merge, target->rv->loc, NULL, "MERGE into a view.");
    if (target->rel->foreign && !w->rls)
        return walk_refuse(w, REFUSAL_merge, target->rv->loc, NULL,
                           "MERGE into a foreign table, or a table that holds one.");
    if (!walk_source(w, l, node_get(n, R_sourceRelation)) || !walk_expr(w, l, on))
        return false;
    if (w->rewrite ? !rewrite_merge(w, l, target, n, &after) : !w->rls && !prove_merge(w, l, on))
        return false;
    for (int i = 0; i < list_len(whens); i++)
        if (!action(w, l, list_at(whens, i), i, target, after))
            return false;
    return mask_level(w, l);
}
