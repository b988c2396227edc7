/* SPDX-License-Identifier: ISC */
/* Columns and functions of the catalogs that read as NULL for tenants. */
#include "tenant/mask.h"

#include "tenant/rewrite.h"
#include "tenant/trace.h"

void mask_item(struct walk *w, struct item *i)
{
    if (i->masked || !i->rel || !i->rel->has_hidden)
        return;
    i->masked = true;
    w->masks++;
}

void mask_names(struct walk *w, struct level *l, struct text qualifier, struct text attr)
{
    for (struct level *at = l; at; at = at->up) {
        for (int k = 0; k < at->n_items; k++) {
            struct item *i = at->items[k];
            if (!i->rel || !i->rel->has_hidden)
                continue;
            bool named = text_eq(i->name, qualifier.n ? qualifier : attr);
            if (named && (attr.n == 0 || qualifier.n == 0)) {
                i->row_used = true;
                mask_item(w, i);
            }
            if ((named || qualifier.n == 0) && attr.n && !policy_system_column_ok(i->rel, attr))
                mask_item(w, i);
        }
    }
}

void mask_star(struct walk *w, struct level *l)
{
    for (int k = 0; k < l->n_items; k++) {
        struct item *i = l->items[k];

        i->row_used |= i->rel && i->rel->has_hidden;
        mask_item(w, i);
    }
}

void mask_join(struct walk *w, struct level *l, struct node *join, int lo, int hi)
{
    struct node *use = node_get(join, R_usingClause);
    bool all = node_get(join, R_alias) || node_int(join, R_isNatural);

    for (int k = lo; k < hi; k++) {
        struct item *i = l->items[k];

        if (!i->rel || !i->rel->has_hidden)
            continue;
        i->row_used |= all;
        if (all)
            mask_item(w, i);
        for (int u = 0; u < list_len(use); u++)
            if (!policy_system_column_ok(i->rel, node_str(list_at(use, u), R_sval)))
                mask_item(w, i);
    }
}

static bool mask_relation(struct walk *w, struct item *i)
{
    static const char *const system_columns[] = {
        "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"
    };
    const struct policy_relation *r = i->rel;
    struct snippet list, tail;

    if (!r->shown.n)
        return walk_refuse(
            w, REFUSAL_hidden_column, i->rv->loc, "Name the columns that are needed.",
            "Columns of \"%.*s\" tell about other tenants' rows.", TEXT_ARG(i->name));
    /* A sub-select has no system columns of its own: they are given out by name, which `*` and the
     * row would show. */
    if (i->sampled || (i->system_used && i->row_used))
        return walk_refuse(w, REFUSAL_placement, i->rv->loc, "Name the columns that are needed.",
                           "\"%.*s\" cannot be replaced where it stands.", TEXT_ARG(i->name));
    snippet_init(&list, w->arena);
    snippet_init(&tail, w->arena);
    snippet_text(&list, r->shown);
    for (size_t k = 0; i->system_used && k < sizeof(system_columns) / sizeof(*system_columns);
         k++) {
        snippet_add(&list, ", ");
        snippet_add(&list, system_columns[k]);
    }
    snippet_text(&tail, r->filter);
    trace_how(w, i->trace, "replaced by a sub-select with NULL in the place of hidden columns");
    return rewrite_wrap(w, i->rv, &list, &tail);
}

bool mask_level(struct walk *w, struct level *l)
{
    for (int k = 0; k < l->n_items; k++) {
        if (!l->items[k]->masked)
            continue;
        if (!mask_relation(w, l->items[k]))
            return false;
        w->masks--;
    }
    return true;
}

static bool has_param(const struct node *n)
{
    if (!n)
        return false;
    if (n->kind == N_ParamRef)
        return true;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE && has_param(n->fields[i].node))
            return true;
    return false;
}

bool mask_call(struct walk *w, struct node *call, struct text type)
{
    struct node *args = node_get(call, R_args);
    const struct inject *j = w->inj;
    struct snippet null;
    int open = inject_at(j, call->loc);

    if (has_param(args))
        return walk_refuse(w, REFUSAL_function, call->loc, "Write the argument as a constant.",
                           "The function tells about other tenants' rows; its argument is "
                           "replaced by NULL, which a parameter cannot be.");
    if (open >= 0 && open + 1 < j->n_tok && j->tok[open + 1].ch == '.')
        open += 2;
    open++;
    if (open < 1 || open >= j->n_tok || j->tok[open].ch != '(' || j->tok[open].match < 0 || !args ||
        node_int(call, R_agg_star) || node_int(call, R_agg_distinct) ||
        node_int(call, R_func_variadic) || node_get(call, R_agg_order) ||
        node_get(call, R_agg_filter) || node_get(call, R_over))
        return walk_refuse(w, REFUSAL_function, call->loc, NULL,
                           "The function tells about other tenants' rows.");
    snippet_init(&null, w->arena);
    snippet_add(&null, "NULL::");
    snippet_text(&null, type);
    return rewrite_arguments(w, call, open, &null);
}
