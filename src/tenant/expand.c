/* SPDX-License-Identifier: ISC */
/* Stars of INSERT's query as lists of columns, in the text and in the tree. */
#include "tenant/expand.h"

static struct node *star_fields(struct node *target)
{
    struct node *val = node_get(target, R_val);
    struct node *f = node_is(val, N_ColumnRef) ? node_get(val, R_fields) : NULL;
    return node_is(list_at(f, list_len(f) - 1), N_A_Star) ? f : NULL;
}

/* Can the item's columns be named one by one, as "item"."column"? */
static bool is_certain(const struct level *l, const struct item *it)
{
    if (it->cols.open || it->cols.n == 0 || (it->rel && it->rel->has_hidden))
        return false;
    for (int i = 0; i < l->n_items; i++)
        if (l->items[i] != it && !l->items[i]->hidden && text_eq(l->items[i]->name, it->name))
            return false;
    for (int i = 0; i < it->cols.n; i++)
        for (int k = 0; k < i; k++)
            if (text_eq(it->cols.v[i].name, it->cols.v[k].name))
                return false;
    return true;
}

/* Does the star (its fields) show this item? */
static bool shows(struct node *fields, const struct item *it)
{
    int k = list_len(fields);
    if (it->hidden || k > 3)
        return false;
    if (k == 1)
        return true;
    return text_eq(it->name, node_str(list_at(fields, k - 2), R_sval)) &&
           (k == 2 || text_eq(it->schema, node_str(list_at(fields, 0), R_sval)));
}

/* Are all stars certain, and does one show a column that holds a claim? */
static bool worthwhile(const struct level *l, struct node *targets)
{
    bool held = false;
    for (const struct join_range *j = l->joins; j; j = j->next)
        if (node_get(j->join, R_usingClause) || node_int(j->join, R_isNatural))
            return false;
    for (int i = 0; i < list_len(targets); i++) {
        struct node *f = star_fields(list_at(targets, i));
        bool found = false;
        if (!f && node_is(node_get(list_at(targets, i), R_val), N_A_Indirection))
            return false;
        for (int k = 0; f && k < l->n_items; k++) {
            const struct item *it = l->items[k];
            if (!shows(f, it))
                continue;
            if (!is_certain(l, it))
                return false;
            found = true;
            for (int m = 0; m < it->cols.n; m++)
                held |= it->cols.v[m].claim >= 0;
        }
        if (f && !found)
            return false;
    }
    return held;
}

static struct node *column(struct arena *a, const struct item *it, struct text name)
{
    struct node *fields = list_new(a), *ref = node_new(a, N_ColumnRef),
                *t = node_new(a, N_ResTarget);
    list_append(a, fields, node_string(a, it->name));
    list_append(a, fields, node_string(a, name));
    node_add_node(a, ref, R_fields, fields);
    node_add_node(a, t, R_val, ref);
    return t;
}

/* The columns of one star: as text, as nodes of the new list, and as result columns. */
static void spell(struct walk *w, const struct level *l, struct node *fields, struct snippet *s,
                  struct node *list, struct columns *cols)
{
    bool first = true;
    for (int i = 0; i < l->n_items; i++) {
        const struct item *it = l->items[i];
        for (int k = 0; shows(fields, it) && k < it->cols.n; k++) {
            snippet_add(s, first ? "" : ", ");
            snippet_ident(s, it->name);
            snippet_add(s, ".");
            snippet_ident(s, it->cols.v[k].name);
            list_append(w->arena, list, column(w->arena, it, it->cols.v[k].name));
            columns_add(w->arena, cols, it->cols.v[k].name, it->cols.v[k].claim);
            first = false;
        }
    }
}

/* Tokens from the star's first name to `*` itself. */
static bool star_tokens(const struct inject *j, int loc, int *first, int *last)
{
    *first = *last = inject_at(j, loc);
    if (*first < 0 || j->tok[*first].is_uident)
        return false;
    while (*last + 2 < j->n_tok && j->tok[*last + 1].ch == '.')
        *last += 2;
    return j->tok[*last].ch == '*';
}

static bool put_table_list(struct walk *w, struct level *l, struct node *select,
                           const struct snippet *list)
{
    struct snippet *keep = ARENA_NEW(w->arena, struct snippet);
    *keep = *list;
    l->table_list = keep;
    for (const struct tref *r = l->refs; r; r = r->next)
        if (!r->on && !r->only_wrap)
            return true; /* WHERE is still to come, and replaces TABLE */
    struct node *rv = list_at(node_get(select, R_fromClause), 0);
    int anchor = rv ? inject_at(w->inj, rv->loc) : -1;
    int table = anchor >= 0 ? inject_table_keyword(w->inj, anchor) : -1;
    if (table < 0)
        return walk_refuse(w, REFUSAL_internal_mismatch, -1, "List the columns.",
                           "The place of TABLE is not clear in the text.");
    struct snippet s;
    snippet_init(&s, w->arena);
    snippet_add(&s, "SELECT ");
    snippet_append(&s, list);
    snippet_add(&s, " FROM");
    inject_put(w->inj, w->inj->tok[table].off, w->inj->tok[table].end - w->inj->tok[table].off,
               RANK_REPLACE, &s);
    return true;
}

bool expand_stars(struct walk *w, struct level *l, struct node *select, struct columns *cols)
{
    struct node *targets = node_get(select, R_targetList), *list = list_new(w->arena);
    struct columns shown = { .reads_shared = cols->reads_shared };
    if (!worthwhile(l, targets))
        return true;
    for (int i = 0; i < list_len(targets); i++) {
        struct node *t = list_at(targets, i), *f = star_fields(t);
        struct snippet s;
        int first, last;
        if (!f) {
            list_append(w->arena, list, t);
            columns_add(w->arena, &shown, TEXT("?column?"), -1);
            continue;
        }
        snippet_init(&s, w->arena);
        spell(w, l, f, &s, list, &shown);
        int loc = node_get(t, R_val)->loc;
        if (loc < 0) {
            if (list_len(targets) != 1 || !put_table_list(w, l, select, &s))
                return w->refused ? false
                                  : walk_refuse(w, REFUSAL_internal_mismatch, -1, NULL,
                                                "A star without a place.");
            continue;
        }
        if (!star_tokens(w->inj, loc, &first, &last))
            return walk_refuse(w, REFUSAL_internal_mismatch, loc, "List the columns.",
                               "The place of \"*\" is not clear in the text.");
        inject_put(w->inj, w->inj->tok[first].off, w->inj->tok[last].end - w->inj->tok[first].off,
                   RANK_REPLACE, &s);
    }
    node_set_node(w->arena, select, R_targetList, list);
    *cols = shown;
    return true;
}
