/* SPDX-License-Identifier: ISC */
/* FROM clauses and CTEs: which relation each name means, and where the filter of each tenant
 * reference belongs. */
#include "tenant/mask.h"
#include "tenant/trace.h"
#include "tenant/value.h"
#include "tenant/walk.h"

static const struct text none = { NULL, 0 };

/* What lies above a FROM item: the innermost outer join that can make it NULL, and whether its name
 * can be used there. */
struct above {
    struct node *owner;
    struct node *on; /* JoinExpr with an ON condition, NULL = WHERE */
    bool wrap;       /* neither: filter at the scan */
};

static bool from_item(struct walk *w, struct level *l, struct node *n, struct above up);

static bool is_ascii(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] & 0x80)
            return false;
    return true;
}

int walk_claim(struct walk *w, const struct policy_relation *rel, int loc)
{
    const struct claim *c = policy_claim(rel, w->ask->identity);
    if (rel->column->base_type == VALUE_VARCHAR)
        w->dependent = true; /* policy_claim looked at the value */
    if (!c || !value_type_known(rel->type_oid)) {
        walk_refuse(w, REFUSAL_no_claim, loc,
                    "Give the user this claim in [users], or name another in [tenant_rules].",
                    "The tenant has no claim for \"%.*s\" of %.*s.%.*s.",
                    TEXT_ARG(rel->column->name), TEXT_ARG(rel->schema), TEXT_ARG(rel->name));
        return -1;
    }
    if (rel->type_oid != VALUE_TEXT && rel->type_oid != VALUE_VARCHAR)
        w->dependent = true;
    if (!value_fits(rel->type_oid, c->value)) {
        walk_refuse(w, REFUSAL_no_claim, loc,
                    "Give the user a claim of the column's type in [users].",
                    "The claim \"%.*s\" is no %s, the type of \"%.*s\" of %.*s.%.*s.",
                    TEXT_ARG(c->name), value_type_sql(rel->type_oid) + sizeof("pg_catalog.") - 1,
                    TEXT_ARG(rel->column->name), TEXT_ARG(rel->schema), TEXT_ARG(rel->name));
        return -1;
    }
    w->dependent |= !policy_utf8(w->ask->policy);
    if (!policy_utf8(w->ask->policy) && !is_ascii(c->value)) {
        walk_refuse(w, REFUSAL_no_claim, loc, "Use values of ASCII, or a database in UTF8.",
                    "The claim \"%.*s\" is not ASCII and the database's encoding is not UTF8: "
                    "another value could become the same there.",
                    TEXT_ARG(c->name));
        return -1;
    }
    uint32_t type = rel->type_oid == VALUE_VARCHAR ? VALUE_TEXT : rel->type_oid;
    for (int i = 0; i < w->n_used; i++)
        if (w->used[i].type == type && text_eq(w->used[i].name, c->name))
            return i;
    if (w->n_used == VERDICT_MAX_ADDED) {
        walk_refuse(w, REFUSAL_limit, loc, NULL, "The statement needs more than %d claim values.",
                    VERDICT_MAX_ADDED);
        return -1;
    }
    w->used[w->n_used] = (struct used_claim){ c->name, c->value, type, value_type_sql(type) };
    return w->n_used++;
}

/* The policy's relation for a RangeVar that is no CTE; refuses what tenants may not read. */
static const struct policy_relation *relation(struct walk *w, struct node *rv, int *trace)
{
    struct text schema = node_str(rv, R_schemaname), name = node_str(rv, R_relname);
    if (node_str(rv, R_catalogname).n) {
        walk_refuse(w, REFUSAL_unknown_relation, rv->loc, "Leave the database name out.",
                    "Relations are named by schema and name.");
        return NULL;
    }
    const struct policy_relation *r = policy_relation(w->ask->policy, schema, name);
    *trace = trace_relation(w, rv, r);
    if (w->rls && r && r->cat)
        return walk_rls_relation(w, rv, r);
    if (!r || r->cls == REL_UNKNOWN || r->cls == REL_DENY)
        about_relation(w, rv, r);
    if (!r || r->cls == REL_UNKNOWN) {
        w->out->pub.wants_catalog = true;
        walk_refuse(w, REFUSAL_unknown_relation, rv->loc,
                    "Declare it in [tenant_rules]; RELOAD after schema changes.",
                    "Relation %.*s%s%.*s%s%.*s", TEXT_ARG(schema), schema.n ? "." : "",
                    TEXT_ARG(name), r && r->why.n ? ": " : " is not known.",
                    TEXT_ARG(r ? r->why : none));
        return NULL;
    }
    if (r->cls == REL_DENY) {
        walk_refuse(w, REFUSAL_denied_relation, rv->loc, NULL, "Relation %.*s.%.*s: %.*s",
                    TEXT_ARG(r->schema), TEXT_ARG(r->name), TEXT_ARG(r->why));
        return NULL;
    }
    return r;
}

/* In the new text every relation is named with its schema, so that the search_path cannot matter.
 */
static bool qualify(struct walk *w, struct node *rv, const struct policy_relation *r)
{
    if (!w->rewrite || r->cls == REL_SYSTEM || node_str(rv, R_schemaname).n)
        return true;
    struct snippet s;
    snippet_init(&s, w->arena);
    snippet_ident(&s, r->schema);
    snippet_add(&s, ".");
    if (inject_at(w->inj, rv->loc) < 0)
        return walk_refuse(w, REFUSAL_internal_mismatch, rv->loc, NULL,
                           "The relation's place in the text is not clear.");
    inject_put(w->inj, (uint32_t)rv->loc, 0, RANK_QUALIFY, &s);
    node_set_str(w->arena, rv, R_schemaname, r->schema);
    return true;
}

const struct policy_relation *walk_relation(struct walk *w, struct node *rv, int *trace)
{
    w->seen++;
    return relation(w, rv, trace);
}

bool walk_qualify(struct walk *w, struct node *rv, const struct policy_relation *r)
{
    return qualify(w, rv, r);
}

static struct node *alias_of(struct node *n, struct text *name)
{
    struct node *alias = node_get(n, R_alias);
    *name = alias ? node_str(alias, R_aliasname) : none;
    return alias ? node_get(alias, R_colnames) : NULL;
}

/* Number of the tenant column among the item's columns, -1 unknown. */
static int tenant_position(const struct item *i)
{
    for (int k = 0; k < i->cols.n; k++)
        if (text_eq(i->cols.v[k].name, i->rel->column->name))
            return k;
    return -1;
}

/* Columns of views and virtual ones compute when they are read: a bare name can fail on a row. */
static void note_computed(struct walk *w, const struct policy_relation *r)
{
    w->noisy |= r->cls == REL_TENANT && r->cat && (r->cat->kind == 'v' || r->cat->has_virtual);
}

static bool range_var(struct walk *w, struct level *l, struct node *n, struct above up,
                      struct node *sample)
{
    w->seen++;
    struct text alias, schema = node_str(n, R_schemaname), name = node_str(n, R_relname);
    struct node *colnames = alias_of(n, &alias);
    const struct cte *c = schema.n || node_str(n, R_catalogname).n ? NULL : level_cte(l, name);
    if (c) {
        struct item *i = level_add(w->arena, l, alias.n ? alias : name);
        i->cols = c->cols;
        if (!columns_rename(w->arena, &i->cols, colnames))
            return walk_refuse(w, REFUSAL_attribute, n->loc, NULL,
                               "More column aliases than columns.");
        return true;
    }
    int trace;
    const struct policy_relation *r = relation(w, n, &trace);
    if (!r)
        return false;
    int claim = -1;
    if (!w->rls && r->cls == REL_TENANT && (claim = walk_claim(w, r, n->loc)) < 0)
        return false;
    struct item *i = level_add(w->arena, l, alias.n ? alias : name);
    i->schema = alias.n ? none : r->schema;
    i->rel = r;
    i->relation_cols = !colnames;
    i->reads_shared = w->rls ? r->cls == REL_SHARED || r->cls == REL_SYSTEM : r->cls != REL_TENANT;
    if (w->rls && r->rls_open && r->cls != REL_SHARED)
        trace_how(w, trace, "row-level security, forced");
    i->rv = n;
    i->trace = trace;
    i->sampled = sample != NULL;
    note_computed(w, r);
    if (colnames || r->filter.n)
        mask_item(w, i);
    walk_settings_of(w, r);
    columns_of_relation(w->arena, &i->cols, r, claim);
    int at = claim < 0 ? -1 : tenant_position(i);
    if (colnames)
        columns_unknown(&i->cols); /* positions could have changed since the catalog was read */
    if (!columns_rename(w->arena, &i->cols, colnames))
        return walk_refuse(w, REFUSAL_attribute, n->loc, NULL, "More column aliases than columns.");
    if (claim >= 0) {
        struct tref *ref = level_add_ref(w->arena, l);
        ref->rv = n;
        ref->item = i;
        ref->item_no = l->n_items - 1;
        ref->rel = r;
        ref->claim = claim;
        ref->renamed = colnames != NULL;
        /* The tenant column of a view over several relations filters one of them only, and
         * foreign tables test conditions elsewhere: the client's must not be pushed below it. */
        ref->fence = r->foreign ||
                     (r->is_view && r->cat && r->cat->kind == 'v' && r->cat->n_view_reads != 1);
        ref->only_wrap = up.wrap || colnames != NULL || ref->fence;
        ref->sample = sample;
        ref->on = up.on;
        ref->trace = trace;
        if (at >= 0)
            i->cols.v[at].ref = ref;
    }
    return qualify(w, n, r);
}

static bool range_subselect(struct walk *w, struct level *l, struct node *n)
{
    struct text alias;
    struct node *colnames = alias_of(n, &alias);
    struct columns cols = { .n = 0 };
    if (!walk_select(w, l, node_get(n, R_subquery), &cols, NULL))
        return false;
    struct item *i = level_add(w->arena, l, alias);
    i->cols = cols;
    i->reads_shared = cols.reads_shared;
    if (!columns_rename(w->arena, &i->cols, colnames))
        return walk_refuse(w, REFUSAL_attribute, -1, NULL, "More column aliases than columns.");
    return true;
}

static bool column_defs(struct walk *w, struct level *l, struct node *list, struct columns *cols)
{
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *d = list_at(list, i);
        if (!node_is(d, N_ColumnDef) || !walk_type(w, l, node_get(d, R_typeName), d->loc) ||
            (node_get(d, R_collClause) && !walk_expr(w, l, node_get(d, R_collClause))))
            return w->refused ? false
                              : walk_refuse(w, REFUSAL_unknown_syntax, d->loc, NULL,
                                            "A column list of an unknown form.");
        columns_add(w->arena, cols, node_str(d, R_colname), -1);
    }
    return true;
}

static bool range_function(struct walk *w, struct level *l, struct node *n)
{
    struct text alias;
    struct node *colnames = alias_of(n, &alias), *list = node_get(n, R_functions),
                *defs = node_get(n, R_coldeflist);
    struct columns cols = { .n = 0 };
    struct text name = alias;
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *pair = list_at(list, i);
        if (!node_is(pair, N_List) || list_len(pair) < 1)
            return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL,
                               "A function in FROM of an unknown form.");
        struct node *f = list_at(pair, 0);
        if (!walk_expr(w, l, f))
            return false;
        struct text schema, fname;
        if (!name.n && node_is(f, N_FuncCall) &&
            walk_name(node_get(f, R_funcname), &schema, &fname))
            name = fname;
        if (list_len(pair) > 1 && list_at(pair, 1) && !column_defs(w, l, list_at(pair, 1), &cols))
            return false;
    }
    if (!column_defs(w, l, defs, &cols))
        return false;
    struct item *i = level_add(w->arena, l, name);
    cols.open = true; /* the function's own result columns */
    i->cols = cols;
    columns_rename(w->arena, &i->cols, colnames);
    return true;
}

/* XMLTABLE computes from its document and constants. */
static bool xml_table(struct walk *w, struct level *l, struct node *n)
{
    struct text alias;
    struct node *colnames = alias_of(n, &alias), *spaces = node_get(n, R_namespaces),
                *list = node_get(n, R_columns);
    struct columns cols = { .n = 0 };
    if (!walk_expr(w, l, node_get(n, R_docexpr)) || !walk_expr(w, l, node_get(n, R_rowexpr)))
        return false;
    for (int i = 0; i < list_len(spaces); i++)
        if (!walk_expr(w, l, node_get(list_at(spaces, i), R_val)))
            return false;
    for (int i = 0; i < list_len(list); i++) {
        struct node *c = list_at(list, i), *type = node_get(c, R_typeName);
        if (!node_is(c, N_RangeTableFuncCol) || (type && !walk_type(w, l, type, c->loc)) ||
            !walk_expr(w, l, node_get(c, R_colexpr)) || !walk_expr(w, l, node_get(c, R_coldefexpr)))
            return w->refused ? false
                              : walk_refuse(w, REFUSAL_unknown_syntax, n->loc, NULL,
                                            "An XMLTABLE of an unknown form.");
        columns_add(w->arena, &cols, node_str(c, R_colname), -1);
    }
    struct item *i = level_add(w->arena, l, alias.n ? alias : TEXT("xmltable"));
    i->cols = cols;
    if (!columns_rename(w->arena, &i->cols, colnames))
        return walk_refuse(w, REFUSAL_attribute, n->loc, NULL, "More column aliases than columns.");
    return true;
}

static bool table_sample(struct walk *w, struct level *l, struct node *n, struct above up)
{
    struct text schema, method;
    struct node *rv = node_get(n, R_relation);
    if (!walk_name(node_get(n, R_method), &schema, &method) || schema.n ||
        !(text_is(method, "system") || text_is(method, "bernoulli")) || !node_is(rv, N_RangeVar))
        return walk_refuse(w, REFUSAL_unknown_syntax, n->loc, "Use SYSTEM or BERNOULLI.",
                           "A sampling method of an unknown kind.");
    return range_var(w, l, rv, up, n) && walk_exprs(w, l, node_get(n, R_args)) &&
           walk_expr(w, l, node_get(n, R_repeatable));
}

/* What the columns of that name of the visible items lo..hi-1, merged where they are several, hold:
 * put into c when all agree. */
static void merged_column(const struct level *l, int lo, int hi, struct column *c)
{
    const struct column *first = NULL;
    for (int i = lo; i < hi; i++) {
        const struct column *x =
            l->items[i]->hidden ? NULL : columns_find(&l->items[i]->cols, c->name);
        if (!x)
            continue;
        if (first && (!first->ref || !x->ref || first->ref->claim != x->ref->claim))
            return;
        first = first ? first : x;
    }
    c->ref = first ? first->ref : NULL;
}

/* Do joins of items lo..hi-1 merge columns? */
static bool merges(const struct level *l, const struct node *n, int lo, int hi)
{
    bool merged = node_get(n, R_usingClause) || node_int(n, R_isNatural);
    for (const struct join_range *j = l->joins; j; j = j->next)
        merged |= j->lo >= lo && j->hi <= hi &&
                  (node_get(j->join, R_usingClause) || node_int(j->join, R_isNatural));
    return merged;
}

/* Hides the items lo..hi-1 behind a join's alias. */
static bool join_alias(struct walk *w, struct level *l, struct node *n, int lo, int hi)
{
    struct text alias;
    struct node *colnames = alias_of(n, &alias), *using_alias = node_get(n, R_join_using_alias);
    if (using_alias) {
        struct item *m = level_add(w->arena, l, node_str(using_alias, R_aliasname));
        struct node *u = node_get(n, R_usingClause);
        for (int i = 0; u && i < list_len(u); i++) {
            columns_add(w->arena, &m->cols, node_str(list_at(u, i), R_sval), -1);
            merged_column(l, lo, hi, &m->cols.v[i]);
        }
    }
    if (!alias.n)
        return true;
    bool merged = merges(l, n, lo, hi);
    struct columns all = { .n = 0 };
    for (int i = lo; i < hi; i++) {
        int from = all.n;
        if (!l->items[i]->hidden)
            columns_append(w->arena, &all, &l->items[i]->cols);
        for (int k = from; k < all.n; k++)
            if (colnames && !merged)
                all.v[k].ref = l->items[i]->cols.v[k - from].ref;
            else if (!colnames)
                merged_column(l, lo, hi, &all.v[k]);
        all.reads_shared |= l->items[i]->reads_shared;
    }
    for (int i = lo; i < hi; i++) {
        if (!l->items[i]->hidden)
            l->items[i]->hidden_at = l->n_items;
        l->items[i]->hidden = true;
    }
    columns_unknown(&all);
    struct item *j = level_add(w->arena, l, alias);
    j->reads_shared = all.reads_shared;
    if (colnames) {
        /* Positions are not certain: old and new names both count as columns only if no function
         * has that name. */
        struct columns named = { .open = true };
        bool exact = !all.open;
        columns_rename(w->arena, &named, colnames);
        for (int k = 0; exact && k < named.n && k < all.n; k++)
            named.v[k].ref = all.v[k].ref;
        all = named;
    }
    /* USING and NATURAL change order and number. */
    all.open |= node_get(n, R_usingClause) || node_int(n, R_isNatural);
    j->cols = all;
    return true;
}

static void forget(struct arena *a, struct level *l, int lo, int hi)
{
    for (int i = lo; i < hi; i++)
        item_forget(a, l->items[i]);
}

static bool join_expr(struct walk *w, struct level *l, struct node *n, struct above up)
{
    int64_t type = node_int(n, R_jointype);
    struct node *quals = node_get(n, R_quals), *use = node_get(n, R_usingClause);
    struct above left = up, right = up;
    struct above in_on = { up.owner, quals ? n : NULL, quals == NULL };
    if (node_get(n, R_alias))
        left.wrap = right.wrap = true;
    switch (type) {
    case TREE_JOIN_INNER:
        /* The innermost ON: its conditions are tested before those of WHERE at equal cost, and the
         * barrier has to be first. */
        if (quals)
            left = right = in_on;
        break;
    case TREE_JOIN_LEFT:
        right = in_on;
        break;
    case TREE_JOIN_RIGHT:
        left = in_on;
        break;
    case TREE_JOIN_FULL:
        left = right = (struct above){ up.owner, NULL, true };
        break;
    default:
        return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL, "A join of an unknown kind.");
    }
    int lo = l->n_items;
    if (!from_item(w, l, node_get(n, R_larg), left))
        return false;
    int mid = l->n_items;
    if (!from_item(w, l, node_get(n, R_rarg), right))
        return false;
    int hi = l->n_items;
    if ((use || node_int(n, R_isNatural)) && !walk_operator(w, none, TEXT("="), 2, -1))
        return false;
    bool outer_on = w->outer_on;
    w->outer_on = type != TREE_JOIN_INNER;
    mask_join(w, l, n, lo, hi);
    if (!walk_expr(w, l, quals))
        return false;
    w->outer_on = outer_on;
    if (type == TREE_JOIN_LEFT || type == TREE_JOIN_FULL)
        forget(w->arena, l, mid, hi);
    if (type == TREE_JOIN_RIGHT || type == TREE_JOIN_FULL)
        forget(w->arena, l, lo, mid);
    struct join_range *j = ARENA_NEW(w->arena, struct join_range);
    *j = (struct join_range){ n, lo, mid, hi, NULL };
    *l->joins_end = j;
    l->joins_end = &j->next;
    return join_alias(w, l, n, lo, hi);
}

static bool from_item(struct walk *w, struct level *l, struct node *n, struct above up)
{
    bool good = false;
    if (++w->depth > 1800)
        return walk_refuse(w, REFUSAL_limit, -1, NULL, "The statement is nested too deeply.");
    if (node_is(n, N_RangeVar))
        good = range_var(w, l, n, up, NULL);
    else if (node_is(n, N_RangeSubselect))
        good = range_subselect(w, l, n);
    else if (node_is(n, N_RangeFunction))
        good = range_function(w, l, n);
    else if (node_is(n, N_RangeTableFunc))
        good = xml_table(w, l, n);
    else if (node_is(n, N_RangeTableSample))
        good = table_sample(w, l, n, up);
    else if (node_is(n, N_JoinExpr))
        good = join_expr(w, l, n, up);
    else
        walk_refuse(w, REFUSAL_unknown_syntax, n ? n->loc : -1, NULL,
                    "%s in FROM is not open to tenants.", n ? node_kind_name(n->kind) : "Nothing");
    w->depth--;
    return good;
}

bool walk_from(struct walk *w, struct level *l, struct node *list, struct node *owner)
{
    bool good = true;
    l->building = true;
    for (int i = 0; good && list && i < list_len(list); i++)
        good = from_item(w, l, list_at(list, i), (struct above){ owner, NULL, false });
    l->building = false;
    return good;
}

bool walk_source(struct walk *w, struct level *l, struct node *source)
{
    l->building = true;
    bool good = from_item(w, l, source, (struct above){ NULL, NULL, true });
    l->building = false;
    return good;
}

bool walk_target(struct walk *w, struct level *l, struct node *rv, struct node *owner,
                 struct item **item)
{
    (void)owner;
    if (!node_is(rv, N_RangeVar))
        return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL, "A target of an unknown form.");
    w->seen++;
    int trace;
    const struct policy_relation *r = relation(w, rv, &trace);
    if (!r || (w->rls && !walk_rls_target(w, rv, r)))
        return false;
    bool open = w->rls || (r->cls == REL_TENANT && r->insertable);
    if (!open)
        about_relation(w, rv, r);
    if (!open)
        return walk_refuse(w, REFUSAL_read_only_relation, rv->loc, NULL,
                           "Relation %.*s.%.*s may not be changed (%.*s).", TEXT_ARG(r->schema),
                           TEXT_ARG(r->name),
                           TEXT_ARG(r->cls == REL_SHARED ? TEXT("shared") : r->why));
    int claim = w->rls ? -1 : walk_claim(w, r, rv->loc);
    if (claim < 0 && !w->rls)
        return false;
    if (w->rls)
        trace_how(w, trace, "row-level security, forced");
    for (const struct policy_relation *b = w->rls ? NULL : r->base; b; b = b->base)
        if (policy_claim(b, w->ask->identity) != policy_claim(r, w->ask->identity))
            return walk_refuse(w, REFUSAL_read_only_relation, rv->loc,
                               "Name the same claim for the view and its table in [tenant_rules].",
                               "View %.*s.%.*s and its table hold different claims.",
                               TEXT_ARG(r->schema), TEXT_ARG(r->name));
    struct text alias;
    alias_of(rv, &alias);
    struct item *i = level_add(w->arena, l, alias.n ? alias : node_str(rv, R_relname));
    i->schema = alias.n ? none : r->schema;
    i->rel = r;
    i->relation_cols = true;
    walk_settings_of(w, r);
    note_computed(w, r);
    columns_of_relation(w->arena, &i->cols, r, claim);
    struct tref *ref = level_add_ref(w->arena, l);
    *ref = (struct tref){ .rv = rv,
                          .item = i,
                          .item_no = l->n_items - 1,
                          .rel = r,
                          .claim = claim,
                          .is_target = true,
                          .trace = trace };
    int at = claim < 0 ? -1 : tenant_position(i);
    if (at >= 0)
        i->cols.v[at].ref = ref;
    *item = i;
    return qualify(w, rv, r);
}

/* ---- WITH ---- */

bool walk_with(struct walk *w, struct level *l, struct node *with)
{
    struct node *list = with ? node_get(with, R_ctes) : NULL;
    bool recursive = with && node_int(with, R_recursive);
    if (with && !list)
        return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL, "A WITH of an unknown form.");
    struct columns open = { .open = true };
    /* Under RECURSIVE each query may name all of them; their columns are not known yet. */
    for (int i = 0; recursive && i < list_len(list); i++)
        level_add_cte(w->arena, l, node_str(list_at(list, i), R_ctename), &open);
    for (int i = 0; list && i < list_len(list); i++) {
        struct node *c = list_at(list, i);
        struct columns cols = { .n = 0 };
        if (!node_is(c, N_CommonTableExpr))
            return walk_refuse(w, REFUSAL_unknown_syntax, -1, NULL, "A WITH of an unknown form.");
        if (!walk_query(w, l, node_get(c, R_ctequery), &cols))
            return false;
        if (!columns_rename(w->arena, &cols, node_get(c, R_aliascolnames)))
            return walk_refuse(w, REFUSAL_attribute, c->loc, NULL,
                               "More column aliases than columns.");
        struct node *cycle = node_get(c, R_cycle_clause);
        if (cycle && (!walk_expr(w, l, node_get(cycle, R_cycle_mark_value)) ||
                      !walk_expr(w, l, node_get(cycle, R_cycle_mark_default)) ||
                      !walk_operator(w, none, TEXT("="), 2, c->loc)))
            return false;
        if (cycle || node_get(c, R_search_clause))
            cols.open = true;
        if (recursive)
            columns_unknown(&cols);
        level_add_cte(w->arena, l, node_str(c, R_ctename), &cols);
    }
    return true;
}
