/* SPDX-License-Identifier: ISC */
/*
 * Statements about the session: channels get the tenant's prefix, locks are at most those that the
 * tenant's own queries take, and what resets the session is noted for the pooler.
 */
#include "tenant/utility.h"
#include "tenant/walk.h"

int walk_first_token(const struct inject *j, int loc)
{
    for (int i = 0; i < j->n_tok; i++)
        if ((int64_t)j->tok[i].off >= loc && j->tok[i].ch != ';')
            return i;
    return -1;
}

/* ---- LISTEN, UNLISTEN, NOTIFY ---- */

/* The channel's name on the server. */
static bool channel(struct walk *w, struct text name, int loc, struct text *out)
{
    char prefix[CHANNEL_PREFIX + 1];
    if (name.n == 0 || name.n > CHANNEL_MAX)
        return walk_refuse(w, REFUSAL_notify, loc, "Use a shorter name.",
                           "A tenant's channel name has 1 to %d bytes.", CHANNEL_MAX);
    if (!channel_prefix(w->ask->identity, prefix))
        return walk_refuse(w, REFUSAL_notify, loc, NULL, "The tenant's channels have no name.");
    *out = arena_printf(w->arena, "%s%.*s", prefix, TEXT_ARG(name));
    w->dependent = true; /* the text is this tenant's */
    return true;
}

/* The name behind the keyword gets the tenant's prefix. */
static bool prefix_name(struct walk *w, struct node *n, int loc)
{
    struct inject *j = w->inj;
    struct text to;
    struct snippet s;
    int at = walk_first_token(j, loc);
    if (at < 0 || at + 1 >= j->n_tok || j->tok[at].is_uident || j->tok[at + 1].is_uident)
        return walk_refuse(w, REFUSAL_internal_mismatch, loc, "Write the channel's name plainly.",
                           "The channel's place in the text is not clear.");
    if (!channel(w, node_str(n, R_conditionname), loc, &to))
        return false;
    snippet_init(&s, w->arena);
    snippet_ident(&s, to);
    inject_put(j, j->tok[at + 1].off, j->tok[at + 1].end - j->tok[at + 1].off, RANK_REPLACE, &s);
    node_set_str(w->arena, n, R_conditionname, to);
    return true;
}

bool walk_listen(struct walk *w, struct node *n, int loc)
{
    w->out->pub.effects |= EFFECT_LISTEN;
    return prefix_name(w, n, loc);
}

bool walk_unlisten(struct walk *w, struct node *n, int loc)
{
    return !node_str(n, R_conditionname).n ||
           prefix_name(w, n, loc); /* else all of the session's */
}

bool walk_notify(struct walk *w, struct node *n, int loc)
{
    return prefix_name(w, n, loc);
}

/* Is the call a result column of a SELECT that reads nothing? There it runs once. */
static bool is_lone_target(const struct node *select, const struct node *call)
{
    struct node *targets = node_get(select, R_targetList);
    if (!node_is(select, N_SelectStmt) || node_get(select, R_fromClause) ||
        node_get(select, R_whereClause) || node_get(select, R_withClause) ||
        node_get(select, R_larg))
        return false;
    for (int i = 0; i < list_len(targets); i++)
        if (node_get(list_at(targets, i), R_val) == call)
            return true;
    return false;
}

static bool is_hidden_by_user(const struct catalog *c)
{
    for (int i = 0; i < c->n_functions; i++)
        if (text_is(c->functions[i]->name, "pg_notify"))
            return true;
    return false;
}

bool walk_is_pg_notify(const struct walk *w, const struct node *call, struct text schema,
                       struct text name)
{
    return text_is(name, "pg_notify") && (schema.n == 0 || text_is(schema, "pg_catalog")) &&
           is_lone_target(w->top, call) && !is_hidden_by_user(w->ask->policy->catalog);
}

bool walk_pg_notify(struct walk *w, struct level *l, struct node *n)
{
    struct inject *j = w->inj;
    struct node *args = node_get(n, R_args);
    struct node *val = list_at(args, 0);
    struct text name, to;
    struct snippet s;
    int at = val && val->loc >= 0 ? inject_at(j, val->loc) : -1;
    val = node_is(val, N_A_Const) ? node_get(val, R_val) : NULL;
    if (list_len(args) != 2 || at < 0 || !node_is(val, N_String))
        return walk_refuse(w, REFUSAL_notify, n->loc, "Write the channel's name as a literal.",
                           "The channel of pg_notify is not constant.");
    name = node_str(val, R_sval);
    if (!channel(w, name, n->loc, &to))
        return false;
    snippet_init(&s, w->arena);
    struct buf b;
    buf_init(&b);
    wire_quote_literal(&b, to);
    bool good = !b.failed;
    if (good)
        snippet_text(&s, arena_text(w->arena, buf_text(&b)));
    buf_release(&b);
    if (!good)
        return walk_refuse(w, REFUSAL_limit, n->loc, NULL, "Out of memory.");
    inject_put(j, j->tok[at].off, j->tok[at].end - j->tok[at].off, RANK_REPLACE, &s);
    node_set_str(w->arena, val, R_sval, to);
    return walk_exprs(w, l, args);
}

/* ---- LOCK ---- */

enum { ROW_SHARE = 2, ROW_EXCLUSIVE = 3 }; /* PostgreSQL's lock modes; ACCESS SHARE is 1 */

bool walk_lock(struct walk *w, struct node *n, int loc)
{
    struct node *list = node_get(n, R_relations);
    int64_t mode = node_int(n, R_mode);
    if (mode < 1 || mode > ROW_EXCLUSIVE)
        return walk_refuse(w, REFUSAL_lock, loc,
                           "Use IN ROW EXCLUSIVE MODE or a weaker one, or SELECT ... FOR UPDATE.",
                           "The lock would stop other tenants.");
    for (int i = 0; i < list_len(list); i++) {
        struct node *rv = list_at(list, i);
        int trace;
        const struct policy_relation *r =
            node_is(rv, N_RangeVar) ? walk_relation(w, rv, &trace) : NULL;
        if (!r || !walk_qualify(w, rv, r))
            return w->refused ? false
                              : walk_refuse(w, REFUSAL_unknown_syntax, loc, NULL,
                                            "LOCK of an unknown form.");
        if (!r->cat || (r->cat->kind != 'r' && r->cat->kind != 'p') ||
            (r->cls != REL_TENANT && r->cls != REL_SHARED && !(w->rls && r->rls_open)) ||
            (r->cls == REL_SHARED && mode > ROW_SHARE))
            return walk_refuse(w, REFUSAL_lock, rv->loc, NULL,
                               "Relation %.*s.%.*s may not be locked that way.",
                               TEXT_ARG(r->schema), TEXT_ARG(r->name));
    }
    return true;
}

/* ---- resetting ---- */

/* Settings that bind the tenant are gone from here to the end of the text. */
void walk_unbound(struct walk *w)
{
    w->out->pub.effects |= EFFECT_RESET;
    w->unbound = policy_guc(w->ask->policy).n > 0;
}

static bool is_unlock_all(struct node *n)
{
    struct node *targets = node_get(n, R_targetList), *call = node_get(list_at(targets, 0), R_val);
    struct text schema, name;
    return walk_count_names(n) == 2 && list_len(targets) == 1 && node_is(call, N_FuncCall) &&
           !node_get(call, R_args) && walk_name(node_get(call, R_funcname), &schema, &name) &&
           text_is(name, "pg_advisory_unlock_all");
}

/* May the statement stand behind RESET ALL in one text? It must neither read nor write. */
bool walk_bound(struct walk *w, struct node *n, int loc)
{
    if (!w->unbound)
        return true;
    switch (n->kind) {
    case N_ClosePortalStmt:
    case N_UnlistenStmt:
    case N_DiscardStmt:
    case N_VariableSetStmt:
        return true;
    case N_SelectStmt:
        if (is_unlock_all(n))
            return true;
        break;
    default:
        break;
    }
    return walk_refuse(w, REFUSAL_setting, loc, "Send RESET ALL as the last one of its message.",
                       "RESET ALL takes tenant_guc back until the message has been carried out.");
}

bool walk_discard(struct walk *w, struct node *n, int loc)
{
    switch (node_int(n, R_target)) {
    case TREE_DISCARD_PLANS:
    case TREE_DISCARD_SEQUENCES:
    case TREE_DISCARD_TEMP:
        return true;
    case TREE_DISCARD_ALL:
        walk_unbound(w);
        w->out->pub.effects |= EFFECT_DISCARD;
        return w->alone || walk_refuse(w, REFUSAL_setting, loc, "Send it on its own.",
                                       "DISCARD ALL cannot run within a transaction.");
    default:
        return walk_refuse(w, REFUSAL_unknown_syntax, loc, NULL, "DISCARD of an unknown form.");
    }
}

bool walk_constraints(struct walk *w, struct node *n, int loc)
{
    (void)loc;
    w->seen += list_len(node_get(n, R_constraints)); /* names of constraints, not of relations */
    return true;
}

/* ---- cursors ---- */

static void keep_cursor(struct walk *w, enum sql_cursor_what what, struct text name)
{
    struct verdict *v = &w->out->pub;
    struct sql_cursor *c = ARENA_NEW(&w->out->arena, struct sql_cursor);
    *c = (struct sql_cursor){ .what = what, .name = arena_text(&w->out->arena, name) };
    const struct sql_cursor **end = &v->cursors;
    while (*end)
        end = &((struct sql_cursor *)(uintptr_t)*end)->next;
    *end = c;
}

static int count_relations(const struct node *n)
{
    int count = 0;
    if (!n)
        return 0;
    count = n->kind == N_RangeVar;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE)
            count += count_relations(n->fields[i].node);
    return count;
}

/* Are the cursor's rows locked against updates, so that they stay what they were? */
static bool locks_rows(struct node *query)
{
    struct node *list = node_get(query, R_lockingClause);
    for (int i = 0; i < list_len(list); i++)
        if (node_int(list_at(list, i), R_strength) >= TREE_LCS_FORSHARE)
            return true;
    return false;
}

/* One tenant table in FROM and no other relation anywhere, its rows locked: whatever row such a
 * cursor is on, it is a row of that table that passed the tenant's filter and still would. Under
 * rls the server's policy is tested again. */
static bool is_simple(struct walk *w, struct node *query)
{
    struct node *from = node_get(query, R_fromClause), *rv = list_at(from, 0);
    if (!node_is(query, N_SelectStmt) || list_len(from) != 1 || node_get(query, R_withClause) ||
        node_get(query, R_larg) ||
        count_relations(query) != 1 + count_relations(node_get(query, R_lockingClause)) ||
        !(w->rls || locks_rows(query)))
        return false;
    if (node_is(rv, N_RangeTableSample))
        rv = node_get(rv, R_relation);
    if (!node_is(rv, N_RangeVar))
        return false;
    const struct policy_relation *r =
        policy_relation(w->ask->policy, node_str(rv, R_schemaname), node_str(rv, R_relname));
    return r && (r->cls == REL_TENANT || (w->rls && r->rls_open)) && r->cat &&
           (r->cat->kind == 'r' || r->cat->kind == 'p');
}

bool walk_cursor(struct walk *w, struct node *declare)
{
    struct node *query = node_get(declare, R_query);
    struct columns cols = { .n = 0 };
    bool simple = is_simple(w, query); /* before a sub-select takes the table's place */
    keep_cursor(w, simple ? SQL_CURSOR_SIMPLE : SQL_CURSOR_OTHER, node_str(declare, R_portalname));
    return walk_select(w, NULL, query, &cols, NULL);
}

bool walk_current_of(struct walk *w, struct level *up, struct node *from, struct node *where,
                     const struct policy_relation *target)
{
    if (up || from || node_int(where, R_cursor_param) || !target->cat ||
        (target->cat->kind != 'r' && target->cat->kind != 'p'))
        return walk_refuse(w, REFUSAL_current_of, where->loc, "Change the row by its key.",
                           "The row under a cursor can be checked only in an UPDATE or DELETE of "
                           "one table.");
    keep_cursor(w, SQL_CURSOR_USED, node_str(where, R_cursor_name));
    return true;
}
