/* SPDX-License-Identifier: ISC */
/* Settings of [tenant_rules] for single statements: which ones, and the text around a Query. */
#include "tenant/walk.h"

/* Operators by which indexes can order: pgvector, cube, btree_gist, pg_trgm, geometric types. */
static const char *const distances[] = {
    "<->", "<#>", "<=>", "<+>", "<~>", "<%>", "~>", "<<->", "<->>", "<<<->", "<->>>",
};

static bool is_distance(struct node *n)
{
    struct node *name =
        node_is(n, N_A_Expr) && node_int(n, R_kind) == TREE_AEXPR_OP ? node_list(n, R_name) : NULL;
    struct text op = name ? node_str(list_at(name, list_len(name) - 1), R_sval) : TEXT("");

    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++)
        if (text_is(op, distances[i]))
            return node_get(n, R_lexpr) && node_get(n, R_rexpr);
    return false;
}

void walk_settings_of(struct walk *w, const struct policy_relation *r)
{
    if (r->settings && r->settings->settings_always)
        for (int i = 0; i < r->settings->n_settings && w->n_settings < VERDICT_MAX_SETTINGS; i++)
            w->settings[w->n_settings++] = &r->settings->settings[i];
}

static void add(struct walk *w, const struct policy_relation *r)
{
    const struct tenant_rule *u = r ? r->settings : NULL;

    for (int i = 0; u && !u->settings_always && i < u->n_settings; i++)
        if (w->n_settings < VERDICT_MAX_SETTINGS)
            w->settings[w->n_settings++] = &u->settings[i];
}

/* The relations whose column the operand is. */
static void operand(struct walk *w, const struct level *l, struct node *n)
{
    while (node_is(n, N_TypeCast))
        n = node_get(n, R_arg);
    struct node *f = node_is(n, N_ColumnRef) ? node_list(n, R_fields) : NULL;
    int k = list_len(f);
    if (k == 0)
        return;
    struct text column = node_str(list_at(f, k - 1), R_sval);
    if (k > 1) {
        const struct item *i = scope_item(l, node_str(list_at(f, k - 2), R_sval));
        if (i && columns_find(&i->cols, column))
            add(w, i->rel);
        return;
    }
    for (int i = 0; i < l->n_items; i++)
        if (columns_find(&l->items[i]->cols, column))
            add(w, l->items[i]->rel);
}

/* ORDER BY of a result column, by its name or number. */
static struct node *sort_key(struct node *select, struct node *key)
{
    struct node *targets = node_list(select, R_targetList);
    struct node *val = node_is(key, N_A_Const) ? node_get(key, R_val) : NULL;
    struct node *f = node_is(key, N_ColumnRef) ? node_list(key, R_fields) : NULL;

    if (node_is(val, N_Integer)) {
        int64_t at = node_int(val, R_ival);
        return at >= 1 && at <= list_len(targets) ? node_get(list_at(targets, (int)at - 1), R_val)
                                                  : NULL;
    }
    for (int i = 0; list_len(f) == 1 && i < list_len(targets); i++) {
        struct node *t = list_at(targets, i);
        if (node_has(t, R_name) && text_eq(node_str(t, R_name), node_str(list_at(f, 0), R_sval)))
            return node_get(t, R_val);
    }
    return key;
}

void walk_settings_order(struct walk *w, const struct level *l, struct node *n)
{
    struct node *sort = node_list(n, R_sortClause);
    bool any = false;

    for (int i = 0; i < l->n_items; i++)
        any = any || (l->items[i]->rel && l->items[i]->rel->settings);
    for (int i = 0; any && i < list_len(sort); i++) {
        struct node *key = sort_key(n, node_get(list_at(sort, i), R_node));
        if (!is_distance(key))
            continue;
        operand(w, l, node_get(key, R_lexpr));
        operand(w, l, node_get(key, R_rexpr));
    }
}

static bool is_query(const struct node *n)
{
    enum stmt_kind k = walk_kind(n);

    return k == STMT_SELECT || k == STMT_INSERT || k == STMT_UPDATE || k == STMT_DELETE ||
           k == STMT_MERGE;
}

/* Commands that end or begin transactions would end what is set for one, and must work in failed
 * ones. */
bool walk_settings_fit(const struct walk *w, const struct tree *t)
{
    if (w->out->pub.copy)
        return false;
    if (t->n_stmts == 1 &&
        (node_is(t->stmts[0].stmt, N_DeclareCursorStmt) || node_is(t->stmts[0].stmt, N_CopyStmt) ||
         node_is(t->stmts[0].stmt, N_ExplainStmt)))
        return true;
    for (int i = 0; i < t->n_stmts; i++)
        if (!is_query(t->stmts[i].stmt))
            return false;
    return t->n_stmts > 0;
}

void walk_settings_keep(struct walk *w)
{
    struct verdict *v = &w->out->pub;
    struct arena *a = &w->out->arena;
    struct rule_setting *s = ARENA_ARRAY(a, struct rule_setting, w->n_settings);

    v->settings = s;
    v->n_settings = 0;
    for (int i = 0; i < w->n_settings; i++) {
        bool twice = false; /* the first one counts */
        for (int k = 0; k < v->n_settings; k++)
            twice = twice || text_ieq(s[k].name, w->settings[i]->name);
        if (!twice)
            s[v->n_settings++] = (struct rule_setting){ arena_text(a, w->settings[i]->name),
                                                        arena_text(a, w->settings[i]->value) };
    }
}

/* SET LOCAL name TO 'value' (or DEFAULT) */
static void command(struct walk *w, struct snippet *s, const struct rule_setting *r, bool back)
{
    struct text rest = r->name, part;
    struct buf b;
    bool more = false;

    buf_init(&b);
    buf_text_append(&b, TEXT("SET LOCAL "));
    while (text_split(&rest, '.', &part)) {
        if (more)
            buf_char(&b, '.');
        wire_quote_ident(&b, part);
        more = true;
    }
    buf_text_append(&b, TEXT(" TO "));
    if (back)
        buf_text_append(&b, TEXT("DEFAULT"));
    else
        wire_quote_literal(&b, r->value);
    snippet_text(s, arena_text(w->arena, buf_text(&b)));
    buf_release(&b);
}

void walk_settings_wrap(struct walk *w, const struct tree *t, const struct snippet *text,
                        struct snippet *s)
{
    struct verdict *v = &w->out->pub;

    for (int i = 0; i < v->n_settings; i++) {
        command(w, s, &v->settings[i], false);
        snippet_add(s, "; ");
    }
    snippet_append(s, text);
    v->set_front = v->n_settings;
    v->n_commands = t->n_stmts;
    v->set_back = 0;
    if (node_is(t->stmts[0].stmt, N_DeclareCursorStmt))
        return; /* until the end of the transaction: the cursor reads in later statements */
    for (int i = 0; i < v->n_settings; i++) {
        snippet_add(s, "\n; "); /* a comment may stand at the end */
        command(w, s, &v->settings[i], true);
    }
    v->set_back = v->n_settings;
}
