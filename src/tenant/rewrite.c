/* SPDX-License-Identifier: ISC */
/* Adding predicates and tenant columns: the snippet goes into the text, its parse into the tree. */
#include "tenant/rewrite.h"

#include "tenant/trace.h"

static bool lost(struct walk *w, int loc, const char *what)
{
    return walk_refuse(w, REFUSAL_internal_mismatch, loc, "Write the statement in a simpler form.",
                       "The place for %s is not clear in the text.", what);
}

/* ---- snippets ---- */

/* Position of the claim among the verdict's added values. */
static int emit(struct walk *w, int claim)
{
    struct verdict *v = &w->out->pub;
    const struct used_claim *c = &w->used[claim];
    for (int i = 0; i < v->n_added; i++)
        if (v->added[i].type == c->type && text_eq(v->added[i].claim, c->name))
            return i;
    v->added[v->n_added] = (struct verdict_added){ arena_text(&w->out->arena, c->name), c->type };
    w->emitted[v->n_added] = claim;
    return v->n_added++;
}

void rewrite_value(struct walk *w, struct snippet *s, int claim)
{
    int at = emit(w, claim);
    if (w->is_simple) {
        snippet_hole(s, at);
        snippet_add(s, "::");
        snippet_add(s, w->used[claim].type_sql);
    } else {
        snippet_param(s, w->n_params + 1 + at);
    }
}

/* The barrier and the equality of one reference: see DESIGN, "The predicate is a barrier". */
static void predicate(struct walk *w, struct snippet *s, struct text schema, struct text qualifier,
                      struct text column, int claim)
{
    struct snippet col;
    snippet_init(&col, w->arena);
    snippet_column(&col, schema, qualifier, column);
    snippet_add(s, "COALESCE(");
    snippet_append(s, &col);
    snippet_add(s, " OPERATOR(pg_catalog.=) ANY (ARRAY[");
    rewrite_value(w, s, claim);
    snippet_add(s, "]), false) AND ");
    snippet_append(s, &col);
    snippet_add(s, " OPERATOR(pg_catalog.=) ");
    rewrite_value(w, s, claim);
}

/* Parses before + snippet + after and gives the statement; our own text, so a failure is a
 * mismatch. */
static struct node *parse_snippet(struct walk *w, const char *before, const struct snippet *s,
                                  const char *after)
{
    struct text values[VERDICT_MAX_ADDED];
    struct buf *b = &w->memo->key;
    for (int i = 0; i < w->out->pub.n_added; i++)
        values[i] = w->used[w->emitted[i]].value;
    buf_clear(b);
    buf_text_append(b, text_of(before));
    for (int i = 0; i < s->n; i++) {
        buf_text_append(b, s->v[i].text);
        if (s->v[i].hole >= 0)
            memo_mark(b, s->v[i].hole);
    }
    buf_text_append(b, text_of(after));
    struct node *n = memo_tree(w->memo, w->parser, w->arena, values, w->out->pub.n_added);
    if (!n)
        walk_refuse(w, REFUSAL_internal_mismatch, -1, NULL, "The added text cannot be parsed.");
    return n;
}

static struct node *first_target(struct node *select)
{
    return node_get(list_at(node_get(select, R_targetList), 0), R_val);
}

static int min_loc(const struct node *n)
{
    if (!n)
        return -1;
    int min = n->loc;
    for (uint32_t i = 0; i < n->n_fields; i++) {
        int at = n->fields[i].type == F_NODE ? min_loc(n->fields[i].node) : -1;
        if (at >= 0 && (min < 0 || at < min))
            min = at;
    }
    return min;
}

/* ---- conditions ---- */

/* cond [AND old] as a node of its own. */
static struct node *conjoin(struct walk *w, const struct snippet *cond, struct node *old)
{
    struct node *select = parse_snippet(w, "SELECT ", cond, old ? " AND true" : "");
    struct node *all = first_target(select);
    struct node *args = node_get(all, R_args);
    if (!args)
        return NULL;
    if (old)
        list_set(args, list_len(args) - 1, old);
    return all;
}

static bool add_condition(struct walk *w, struct node *owner, enum node_role role,
                          const struct inject_place *p, const struct snippet *cond,
                          enum inject_rank rank)
{
    struct node *old = node_get(owner, role);
    if ((old != NULL) != (p->keyword >= 0))
        return lost(w, -1, "the condition");
    struct node *both = conjoin(w, cond, old);
    if (!both)
        return w->refused ? false : lost(w, -1, "the condition");
    node_set_node(w->arena, owner, role, both);
    inject_condition(w->inj, p, cond, rank);
    return true;
}

/* The name the reference has at its level; with its schema where two relations without alias share
 * the name. */
static void ref_predicate(struct walk *w, const struct level *l, const struct tref *r,
                          struct snippet *s)
{
    struct text schema = { NULL, 0 };
    for (int i = 0; i < l->n_items; i++)
        if (l->items[i] != r->item && !l->items[i]->hidden &&
            text_eq(l->items[i]->name, r->item->name))
            schema = r->item->schema;
    if (s->n)
        snippet_add(s, " AND ");
    predicate(w, s, schema, r->item->name, r->rel->column->name, r->claim);
}

static bool anchor_of(struct walk *w, const struct tref *r, int *anchor)
{
    *anchor = inject_at(w->inj, r->rv->loc);
    return *anchor >= 0 || lost(w, r->rv->loc, "the predicate");
}

bool rewrite_wrap(struct walk *w, struct node *rv, const struct snippet *list,
                  const struct snippet *tail)
{
    struct node *alias = node_get(rv, R_alias);
    struct text name = node_str(rv, R_relname);
    struct snippet open, close, text;
    int first, last, anchor = inject_at(w->inj, rv->loc);
    /* The name's first token is the schema's when the client wrote one; qualify() may have added it
     * to the tree only. */
    if (anchor < 0 || !inject_relation(w->inj, anchor, !node_int(rv, R_inh), &first, &last))
        return lost(w, rv->loc, "the sub-select");
    int table = inject_table_keyword(w->inj, anchor);
    snippet_init(&open, w->arena);
    snippet_init(&close, w->arena);
    snippet_init(&text, w->arena);
    if (table >= 0) {
        const struct inject_token *t = &w->inj->tok[table];
        snippet_add(&open, "SELECT * FROM");
        inject_put(w->inj, t->off, t->end - t->off, RANK_REPLACE, &open);
        snippet_init(&open, w->arena);
    }
    snippet_add(&open, "(SELECT ");
    snippet_append(&open, list);
    snippet_add(&open, " FROM ");
    snippet_append(&close, tail);
    snippet_add(&close, ")");
    snippet_append(&text, &open);
    snippet_add(&text, "x");
    snippet_append(&text, &close);
    snippet_add(&text, " AS ");
    snippet_ident(&text, alias ? node_str(alias, R_aliasname) : name);
    if (!alias) {
        snippet_add(&close, " AS ");
        snippet_ident(&close, name);
        snippet_add(&close, " ");
    }
    struct node *select = parse_snippet(w, "SELECT * FROM ", &text, "");
    struct node *sub = list_at(node_get(select, R_fromClause), 0);
    struct node *from = node_get(node_get(sub, R_subquery), R_fromClause);
    if (!from)
        return w->refused ? false : lost(w, rv->loc, "the sub-select");
    struct node *inner = node_new(w->arena, N_RangeVar);
    *inner = *node_copy(w->arena, rv);
    node_set_node(w->arena, inner, R_alias, NULL);
    inner->loc = -1;
    list_set(from, 0, inner);
    if (alias)
        node_set_node(w->arena, sub, R_alias, alias);
    *rv = *sub;
    inject_put(w->inj, w->inj->tok[first].off, 0, RANK_OPEN_WRAP, &open);
    inject_put(w->inj, w->inj->tok[last].end, 0, RANK_CLOSE_WRAP, &close);
    return true;
}

/* The column of the item that the expression names, NULL for others. */
static const struct column *column_of(const struct item *it, struct node *n)
{
    struct node *f = node_is(n, N_ColumnRef) ? node_get(n, R_fields) : NULL;
    int k = list_len(f);
    if (k < 1 || k > 2 || !node_is(list_at(f, k - 1), N_String) ||
        (k == 2 && !text_eq(it->name, node_str(list_at(f, 0), R_sval))))
        return NULL;
    return columns_find(&it->cols, node_str(list_at(f, k - 1), R_sval));
}

static bool grouped_by(const struct item *it, struct node *group, const struct column *c)
{
    for (int i = 0; i < list_len(group); i++)
        if (column_of(it, list_at(group, i)) == c)
            return true;
    return false;
}

/* Is a column of the item named that is not grouped by? Arguments of functions, which may be
 * aggregates, do not count. */
static bool names_ungrouped(const struct item *it, struct node *group, struct node *n)
{
    const struct column *c = column_of(it, n);
    if (!n || node_is(n, N_FuncCall) || node_is(n, N_SubLink))
        return false;
    if (c)
        return !grouped_by(it, group, c);
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE && names_ungrouped(it, group, n->fields[i].node))
            return true;
    return false;
}

/* Does the statement group by the relation's primary key and show other columns of it? */
static bool key_dependent(const struct tref *r, struct node *owner)
{
    struct node *group = node_get(owner, R_groupClause);
    const struct cat_relation *cat = r->rel->cat;
    for (int i = 0; group && cat && i < cat->n_uniques; i++) {
        const struct cat_index *x = &cat->uniques[i];
        bool all = x->primary && x->n_cols > 0;
        for (int k = 0; all && k < x->n_cols; k++) {
            int at = 0;
            while (at < cat->n_columns && cat->columns[at].attnum != x->cols[k])
                at++;
            all = at < cat->n_columns && at < r->item->cols.n &&
                  grouped_by(r->item, group, &r->item->cols.v[at]);
        }
        if (all)
            return names_ungrouped(r->item, group, node_get(owner, R_targetList)) ||
                   names_ungrouped(r->item, group, node_get(owner, R_havingClause)) ||
                   names_ungrouped(r->item, group, node_get(owner, R_sortClause));
    }
    return false;
}

/* What a sub-select in the relation's place would not have: system columns, the type of whole rows,
 * columns that depend on the key in GROUP BY. */
static bool wrap_allowed(struct walk *w, const struct tref *r, struct node *owner)
{
    const char *hint = "Put it into a sub-select of its own.";
    if (node_is(owner, N_SelectStmt) && key_dependent(r, owner))
        hint = "Name all columns that are shown in GROUP BY.";
    else if (!r->is_target && !r->item->system_used && !r->item->row_shown &&
             !(r->renamed && r->item->row_used) && !(r->renamed && r->sample))
        return true;
    return walk_refuse(w, REFUSAL_placement, r->rv->loc, hint,
                       "\"%.*s\" cannot be filtered where it stands.", TEXT_ARG(r->item->name));
}

/* FROM rel alias TABLESAMPLE ... → FROM (SELECT * FROM rel alias TABLESAMPLE ... WHERE cond) AS
 * alias */
static bool wrap_sample(struct walk *w, struct tref *r)
{
    struct node *alias = node_get(r->rv, R_alias), *inner = node_new(w->arena, N_RangeTableSample);
    struct text none = { NULL, 0 };
    struct snippet open, close, text;
    int first, last, anchor = inject_at(w->inj, r->rv->loc);
    if (anchor < 0 || !inject_relation(w->inj, anchor, !node_int(r->rv, R_inh), &first, &last) ||
        (last = inject_sample_last(w->inj, last)) < 0)
        return lost(w, r->rv->loc, "the sub-select");
    snippet_init(&open, w->arena);
    snippet_init(&close, w->arena);
    snippet_init(&text, w->arena);
    struct text name = node_str(alias ? alias : r->rv, alias ? R_aliasname : R_relname);
    snippet_add(&open, "(SELECT * FROM ");
    snippet_add(&close, " WHERE ");
    predicate(w, &close, none, name, r->rel->column->name, r->claim);
    snippet_add(&close, r->fence ? " OFFSET 0) AS " : ") AS ");
    snippet_ident(&close, name);
    snippet_add(&close, " ");
    snippet_append(&text, &open);
    snippet_add(&text, "x");
    snippet_append(&text, &close);
    struct node *select = parse_snippet(w, "SELECT * FROM ", &text, "");
    struct node *sub = list_at(node_get(select, R_fromClause), 0);
    struct node *from = node_get(node_get(sub, R_subquery), R_fromClause);
    if (!from)
        return w->refused ? false : lost(w, r->rv->loc, "the sub-select");
    *inner = *r->sample;
    list_set(from, 0, inner);
    *r->sample = *sub;
    inject_put(w->inj, w->inj->tok[first].off, 0, RANK_OPEN_WRAP, &open);
    inject_put(w->inj, w->inj->tok[last].end, 0, RANK_CLOSE_WRAP, &close);
    return true;
}

static bool wrap(struct walk *w, struct tref *r, struct node *owner)
{
    struct snippet list, tail;
    struct text none = { NULL, 0 };
    if (!wrap_allowed(w, r, owner))
        return false;
    about_added(w, r, "replaced by a sub-select with the predicate");
    if (r->sample)
        return wrap_sample(w, r);
    snippet_init(&list, w->arena);
    snippet_init(&tail, w->arena);
    snippet_add(&list, "*");
    snippet_add(&tail, " WHERE ");
    predicate(w, &tail, none, node_str(r->rv, R_relname), r->rel->column->name, r->claim);
    snippet_add(&tail, r->fence ? " OFFSET 0" : "");
    return rewrite_wrap(w, r->rv, &list, &tail);
}

bool rewrite_arguments(struct walk *w, struct node *call, int open, const struct snippet *arg)
{
    struct node *select = parse_snippet(w, "SELECT f(", arg, ")");
    struct node *args = node_get(first_target(select), R_args);
    const struct inject_token *from = &w->inj->tok[open],
                              *to = &w->inj->tok[w->inj->tok[open].match];
    if (!args)
        return w->refused ? false : lost(w, call->loc, "the argument");
    node_set_node(w->arena, call, R_args, args);
    inject_put(w->inj, from->end, to->off - from->end, RANK_REPLACE, arg);
    return true;
}

/* All references that are filtered by the same join's ON. */
static bool into_on(struct walk *w, struct level *l, struct tref *first)
{
    struct snippet cond;
    struct inject_place p;
    struct node *join = first->on;
    snippet_init(&cond, w->arena);
    for (struct tref *r = first; r; r = r->next) {
        if (r->on != join || r->only_wrap)
            continue;
        ref_predicate(w, l, r, &cond);
        r->pinned = true;
        about_added(w, r, "predicate added to the join's ON");
    }
    int at = inject_at(w->inj, min_loc(node_get(join, R_quals)));
    if (at < 0 || !inject_on(w->inj, at, &p))
        return lost(w, first->rv->loc, "the condition of the join");
    return add_condition(w, join, R_quals, &p, &cond, RANK_CLOSE_ON);
}

static bool into_where(struct walk *w, struct level *l, struct node *owner)
{
    struct snippet cond;
    struct inject_place p;
    const struct tref *some = NULL;
    snippet_init(&cond, w->arena);
    for (struct tref *r = l->refs; r; r = r->next) {
        if (r->on || r->only_wrap)
            continue;
        ref_predicate(w, l, r, &cond);
        r->pinned = true;
        about_added(w, r, "predicate added to WHERE");
        if (!some || r->is_target)
            some = r;
    }
    if (!some)
        return true;
    int anchor;
    if (!anchor_of(w, some, &anchor))
        return false;
    bool found = node_is(owner, N_SelectStmt) ? inject_select_where(w->inj, anchor, &p)
                                              : inject_dml_where(w->inj, anchor, &p);
    if (!found)
        return lost(w, some->rv->loc, "the WHERE clause");
    int table = node_is(owner, N_SelectStmt) ? inject_table_keyword(w->inj, anchor) : -1;
    if (table >= 0) {
        struct snippet s;
        snippet_init(&s, w->arena);
        snippet_add(&s, "SELECT ");
        if (l->table_list)
            snippet_append(&s, l->table_list);
        else
            snippet_add(&s, "*");
        snippet_add(&s, " FROM");
        inject_put(w->inj, w->inj->tok[table].off, w->inj->tok[table].end - w->inj->tok[table].off,
                   RANK_REPLACE, &s);
    }
    return add_condition(w, owner, R_whereClause, &p, &cond, RANK_WHERE);
}

bool rewrite_level(struct walk *w, struct level *l, struct node *owner)
{
    for (struct tref *r = l->refs; r; r = r->next) {
        if (r->only_wrap) {
            if (!wrap(w, r, owner))
                return false;
            r->pinned = true;
        } else if (r->on && !r->pinned && !into_on(w, l, r)) {
            return false;
        }
    }
    return into_where(w, l, owner);
}

/* ---- INSERT ---- */

bool rewrite_conflict(struct walk *w, const struct tref *target, struct node *insert,
                      struct node *conflict)
{
    struct snippet cond;
    struct inject_place p;
    struct text none = { NULL, 0 };
    (void)insert;
    snippet_init(&cond, w->arena);
    predicate(w, &cond, none, target->item->name, target->rel->column->name, target->claim);
    int at = inject_at(w->inj, conflict->loc);
    if (at < 0 || !inject_conflict_where(w->inj, at, &p))
        return lost(w, conflict->loc, "the condition of ON CONFLICT");
    return add_condition(w, conflict, R_whereClause, &p, &cond, RANK_WHERE);
}

static struct node *value_node(struct walk *w, int claim)
{
    struct snippet v;
    snippet_init(&v, w->arena);
    rewrite_value(w, &v, claim);
    return first_target(parse_snippet(w, "SELECT ", &v, ""));
}

bool rewrite_default(struct walk *w, struct node *cell, int claim)
{
    struct snippet v;
    int at = inject_at(w->inj, cell->loc);
    struct node *n = value_node(w, claim);
    if (at < 0 || !n)
        return w->refused ? false : lost(w, cell->loc, "the tenant's value");
    snippet_init(&v, w->arena);
    snippet_add(&v, " ");
    rewrite_value(w, &v, claim);
    inject_put(w->inj, w->inj->tok[at].off, w->inj->tok[at].end - w->inj->tok[at].off, RANK_REPLACE,
               &v);
    *cell = *n;
    return true;
}

static bool default_values(struct walk *w, struct node *insert, const struct tref *t,
                           const struct inject_insert *s)
{
    struct snippet v;
    if (s->defaults < 0)
        return lost(w, t->rv->loc, "the tenant's value");
    snippet_init(&v, w->arena);
    snippet_add(&v, " (");
    snippet_ident(&v, t->rel->column->name);
    snippet_add(&v, ") VALUES (");
    rewrite_value(w, &v, t->claim);
    snippet_add(&v, ")");
    struct node *n = parse_snippet(w, "INSERT INTO x", &v, "");
    if (!n)
        return false;
    node_set_node(w->arena, insert, R_cols, node_get(n, R_cols));
    node_set_node(w->arena, insert, R_selectStmt, node_get(n, R_selectStmt));
    const struct inject_token *from = &w->inj->tok[s->defaults], *to = from + 1;
    inject_put(w->inj, from->off, to->end - from->off, RANK_REPLACE, &v);
    return true;
}

static bool column_list(struct walk *w, struct node *insert, enum node_role role,
                        const struct tref *t, const struct inject_insert *s,
                        const struct text *cols, int n_cols, bool add)
{
    struct snippet list, text;
    snippet_init(&list, w->arena);
    snippet_init(&text, w->arena);
    for (int i = 0; cols && i < n_cols; i++) {
        snippet_add(&list, i ? ", " : "");
        snippet_ident(&list, cols[i]);
    }
    if (add) {
        snippet_add(&list, list.n ? ", " : "");
        snippet_ident(&list, t->rel->column->name);
    }
    struct node *n = parse_snippet(w, "INSERT INTO x (", &list, ") SELECT");
    struct node *made = node_get(n, R_cols), *old = node_get(insert, role);
    if (!made)
        return w->refused ? false : lost(w, t->rv->loc, "the column list");
    if (old) {
        if (s->cols_close < 0)
            return lost(w, t->rv->loc, "the column list");
        list_append(w->arena, old, list_at(made, 0));
        snippet_add(&text, ", ");
        snippet_append(&text, &list);
        inject_put(w->inj, w->inj->tok[s->cols_close].off, 0, RANK_APPEND, &text);
        return true;
    }
    node_set_node(w->arena, insert, role, made);
    snippet_add(&text, " (");
    snippet_append(&text, &list);
    snippet_add(&text, ") ");
    inject_put(w->inj, w->inj->tok[s->target_last].end, 0, RANK_APPEND, &text);
    return true;
}

/* Appends the value to the rows of VALUES or to the select list of one leaf. */
static bool append_to_arm(struct walk *w, struct node *select, int token, int claim, int loc)
{
    struct snippet v;
    struct node *rows = node_get(select, R_valuesLists), *targets = node_get(select, R_targetList);
    snippet_init(&v, w->arena);
    snippet_add(&v, ", ");
    rewrite_value(w, &v, claim);
    if (rows) {
        int n = list_len(rows);
        int *close = ARENA_ARRAY(w->arena, int, n + 1);
        if (inject_rows(w->inj, token, close, n + 1) != n)
            return lost(w, loc, "the tenant's value");
        struct node *val = value_node(w, claim);
        for (int i = 0; i < n; i++) {
            if (!val || !node_is(list_at(rows, i), N_List))
                return w->refused ? false : lost(w, loc, "the tenant's value");
            list_append(w->arena, list_at(rows, i), node_copy(w->arena, val));
            inject_put(w->inj, w->inj->tok[close[i]].off, 0, RANK_APPEND, &v);
        }
        return true;
    }
    struct snippet target;
    snippet_init(&target, w->arena);
    rewrite_value(w, &target, claim);
    int last = inject_targets_last(w->inj, token);
    struct node *n = parse_snippet(w, "SELECT ", &target, "");
    if (last < 0 || !targets || !n)
        return w->refused ? false : lost(w, loc, "the tenant's value");
    list_append(w->arena, targets, list_at(node_get(n, R_targetList), 0));
    inject_put(w->inj, w->inj->tok[last].end, 0, RANK_APPEND, &v);
    return true;
}

bool rewrite_insert(struct walk *w, struct node *insert, const struct tref *target,
                    const struct text *cols, int n_cols, bool add, const struct arms *arms)
{
    struct inject_insert s;
    int anchor;
    if (!anchor_of(w, target, &anchor))
        return false;
    if (!inject_insert_shape(w->inj, anchor, node_get(insert, R_cols) != NULL, &s))
        return lost(w, target->rv->loc, "the tenant column");
    if (!node_get(insert, R_selectStmt))
        return default_values(w, insert, target, &s);
    if (s.query < 0)
        return lost(w, target->rv->loc, "the tenant's value");
    if (!column_list(w, insert, R_cols, target, &s, cols, n_cols, add))
        return false;
    if (!add)
        return true;
    int *tokens = ARENA_ARRAY(w->arena, int, arms->n + 1);
    if (inject_arms(w->inj, s.query, s.end, tokens, arms->n + 1) != arms->n)
        return lost(w, target->rv->loc, "the tenant's value");
    for (int i = 0; i < arms->n; i++)
        if (!append_to_arm(w, arms->v[i].select, tokens[i], target->claim, target->rv->loc))
            return false;
    return true;
}

/* ---- MERGE ---- */

bool rewrite_merge(struct walk *w, struct level *l, const struct tref *target, struct node *merge,
                   int *after)
{
    struct snippet cond;
    struct inject_place p;
    for (struct tref *r = l->refs; r; r = r->next) {
        if (r == target)
            continue;
        if (r->only_wrap) {
            if (!wrap(w, r, merge))
                return false;
            r->pinned = true;
        } else if (!r->on || (!r->pinned && !into_on(w, l, r))) {
            return w->refused ? false : lost(w, r->rv->loc, "the predicate");
        }
    }
    snippet_init(&cond, w->arena);
    ref_predicate(w, l, target, &cond);
    about_added(w, target, "predicate added to MERGE's ON");
    int at = inject_at(w->inj, min_loc(node_get(merge, R_joinCondition)));
    if (at < 0 || !inject_on(w->inj, at, &p))
        return lost(w, target->rv->loc, "the condition of MERGE");
    *after = p.last + 1;
    return add_condition(w, merge, R_joinCondition, &p, &cond, RANK_CLOSE_ON);
}

bool rewrite_merge_insert(struct walk *w, struct node *when, int after, int number,
                          const struct tref *target, const struct text *cols, int n_cols, bool add)
{
    struct inject_insert s;
    struct snippet v;
    int values;
    if (!inject_merge_insert(w->inj, after, number, node_get(when, R_targetList) != NULL, &s,
                             &values))
        return lost(w, target->rv->loc, "the tenant column");
    struct node *list = node_get(when, R_values);
    snippet_init(&v, w->arena);
    if (!list) {
        snippet_add(&v, " (");
        snippet_ident(&v, target->rel->column->name);
        snippet_add(&v, ") VALUES (");
        rewrite_value(w, &v, target->claim);
        snippet_add(&v, ")");
        struct node *n = parse_snippet(w, "INSERT INTO x", &v, "");
        struct node *rows = node_get(node_get(n, R_selectStmt), R_valuesLists);
        if (s.defaults < 0 || !rows)
            return w->refused ? false : lost(w, target->rv->loc, "the tenant's value");
        node_set_node(w->arena, when, R_targetList, node_get(n, R_cols));
        node_set_node(w->arena, when, R_values, list_at(rows, 0));
        const struct inject_token *from = &w->inj->tok[s.defaults], *to = from + 1;
        inject_put(w->inj, from->off, to->end - from->off, RANK_REPLACE, &v);
        return true;
    }
    if (!column_list(w, when, R_targetList, target, &s, cols, n_cols, add))
        return false;
    if (!add)
        return true;
    struct node *val = value_node(w, target->claim);
    if (!val || values < 0)
        return w->refused ? false : lost(w, target->rv->loc, "the tenant's value");
    list_append(w->arena, list, val);
    snippet_add(&v, ", ");
    rewrite_value(w, &v, target->claim);
    inject_put(w->inj, w->inj->tok[w->inj->tok[values].match].off, 0, RANK_APPEND, &v);
    return true;
}

/* ---- COPY ---- */

static void name_list(struct snippet *s, const struct text *cols, int n_cols)
{
    for (int i = 0; i < n_cols; i++) {
        snippet_add(s, i ? ", " : "");
        snippet_ident(s, cols[i]);
    }
}

/* Tokens of the relation and its column list. */
static bool copy_shape(struct walk *w, struct node *rv, bool has_cols, int *first, int *last)
{
    int anchor = inject_at(w->inj, rv->loc);
    if (anchor < 0 || !inject_relation(w->inj, anchor, false, first, last))
        return lost(w, rv->loc, "the columns");
    if (!has_cols)
        return true;
    if (*last + 1 >= w->inj->n_tok || w->inj->tok[*last + 1].ch != '(' ||
        w->inj->tok[*last + 1].match < 0)
        return lost(w, rv->loc, "the columns");
    *last = w->inj->tok[*last + 1].match;
    return true;
}

bool rewrite_copy_columns(struct walk *w, struct node *copy, const struct tref *target,
                          const struct text *cols, int n_cols, bool add)
{
    struct node *list = node_get(copy, R_attlist);
    struct text tenant = target->rel->column->name;
    struct snippet s;
    int first, last;
    if (list && !add)
        return true;
    if (!copy_shape(w, target->rv, list != NULL, &first, &last))
        return false;
    snippet_init(&s, w->arena);
    if (list) {
        snippet_ident(&s, tenant);
        snippet_add(&s, ", ");
        inject_put(w->inj, w->inj->tok[w->inj->tok[last].match].end, 0, RANK_APPEND, &s);
        list_insert(w->arena, list, 0, node_string(w->arena, tenant));
        return true;
    }
    snippet_add(&s, " (");
    if (add)
        name_list(&s, &tenant, 1);
    snippet_add(&s, add ? ", " : "");
    name_list(&s, cols, n_cols);
    snippet_add(&s, ") ");
    inject_put(w->inj, w->inj->tok[last].end, 0, RANK_APPEND, &s);
    list = list_new(w->arena);
    if (add)
        list_append(w->arena, list, node_string(w->arena, tenant));
    for (int i = 0; i < n_cols; i++)
        list_append(w->arena, list, node_string(w->arena, cols[i]));
    node_set_node(w->arena, copy, R_attlist, list);
    return true;
}

bool rewrite_copy_to(struct walk *w, struct node *copy, const struct policy_relation *r, int claim,
                     const struct text *cols, int n_cols)
{
    struct node *rv = node_get(copy, R_relation);
    struct text none = { NULL, 0 };
    struct snippet s;
    int first, last;
    if (!copy_shape(w, rv, node_get(copy, R_attlist) != NULL, &first, &last))
        return false;
    if (first > 0 && w->inj->tok[first - 1].kw == KW_BINARY)
        return walk_refuse(w, REFUSAL_copy_table, rv->loc, "Write COPY ... WITH (FORMAT binary).",
                           "COPY BINARY is an old form that queries do not have.");
    if (last + 1 < w->inj->n_tok && w->inj->tok[last + 1].kw != KW_TO)
        return lost(w, rv->loc, "the columns");
    snippet_init(&s, w->arena);
    snippet_add(&s, "(SELECT ");
    name_list(&s, cols, n_cols);
    snippet_add(&s, " FROM ONLY ");
    snippet_ident(&s, r->schema);
    snippet_add(&s, ".");
    snippet_ident(&s, r->name);
    snippet_add(&s, " WHERE ");
    predicate(w, &s, none, r->name, r->column->name, claim);
    snippet_add(&s, ")");
    struct node *made = parse_snippet(w, "COPY ", &s, " TO STDOUT");
    struct node *query = node_is(made, N_CopyStmt) ? node_get(made, R_query) : NULL;
    if (!query)
        return w->refused ? false : lost(w, rv->loc, "the query");
    node_set_node(w->arena, copy, R_relation, NULL);
    node_set_node(w->arena, copy, R_attlist, NULL);
    node_set_node(w->arena, copy, R_query, query);
    uint32_t off = w->inj->tok[first].off;
    inject_put(w->inj, off, w->inj->tok[last].end - off, RANK_REPLACE, &s);
    return true;
}
