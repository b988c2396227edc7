/* SPDX-License-Identifier: ISC */
/* Statements as a whole: which kinds there are, and those that are not queries. */
#include "tenant/utility.h"
#include "tenant/walk.h"

static const struct text none = { NULL, 0 };

#define CURSOR_HOLD 0x0020 /* CURSOR_OPT_HOLD of PostgreSQL 14 and later */

enum stmt_kind walk_kind(const struct node *n)
{
    if (!n)
        return STMT_OTHER;
    switch (n->kind) {
    case N_SelectStmt:
        return STMT_SELECT;
    case N_InsertStmt:
        return STMT_INSERT;
    case N_UpdateStmt:
        return STMT_UPDATE;
    case N_DeleteStmt:
        return STMT_DELETE;
    case N_MergeStmt:
        return STMT_MERGE;
    case N_CopyStmt:
        return STMT_COPY;
    case N_CreateStmt:
    case N_ViewStmt:
    case N_CreateTableAsStmt:
    case N_TruncateStmt:
    case N_DropStmt:
        return STMT_DDL;
    default:
        return STMT_UTILITY;
    }
}

static bool transaction(struct walk *w, struct node *n, int loc)
{
    switch (node_int(n, R_kind)) {
    case TREE_TRANS_STMT_BEGIN:
    case TREE_TRANS_STMT_START:
    case TREE_TRANS_STMT_COMMIT:
    case TREE_TRANS_STMT_ROLLBACK:
    case TREE_TRANS_STMT_SAVEPOINT:
    case TREE_TRANS_STMT_RELEASE:
    case TREE_TRANS_STMT_ROLLBACK_TO:
        return true;
    default:
        return walk_refuse(w, REFUSAL_two_phase, loc, NULL,
                           "Prepared transactions outlive the session and are seen by others.");
    }
}

/* ---- settings ---- */

/* The value of SET as text when it is one constant. */
static bool setting_value(struct walk *w, struct node *args, struct text *value)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < list_len(args); i++) {
        struct node *a = list_at(args, i);
        if (node_is(a, N_TypeCast)) { /* SET TIME ZONE INTERVAL '...' */
            w->seen++;
            a = node_get(a, R_arg);
        }
        struct node *val = node_is(a, N_A_Const) ? node_get(a, R_val) : NULL;
        if (i)
            buf_printf(&b, ", ");
        if (node_is(val, N_String))
            buf_text_append(&b, node_str(val, R_sval));
        else if (node_is(val, N_Integer))
            buf_printf(&b, "%lld", (long long)node_int(val, R_ival));
        else if (node_is(val, N_Float))
            buf_text_append(&b, node_str(val, R_fval));
        else
            b.failed = true;
    }
    bool known = list_len(args) > 0 && !b.failed;
    *value = known ? arena_text(w->arena, buf_text(&b)) : none;
    buf_release(&b);
    return known;
}

static bool set_multi(struct walk *w, struct node *n, int loc)
{
    struct text name = node_str(n, R_name);
    struct node *args = node_get(n, R_args);
    if (!text_is(name, "TRANSACTION") && !text_is(name, "SESSION CHARACTERISTICS"))
        return walk_refuse(w, REFUSAL_setting, loc, NULL, "SET %.*s is not open to tenants.",
                           TEXT_ARG(name));
    for (int i = 0; i < list_len(args); i++) {
        struct text opt = node_str(list_at(args, i), R_defname);
        if (!text_is(opt, "transaction_isolation") && !text_is(opt, "transaction_read_only") &&
            !text_is(opt, "transaction_deferrable"))
            return walk_refuse(w, REFUSAL_setting, loc, NULL,
                               "Transaction option \"%.*s\" is not open to tenants.",
                               TEXT_ARG(opt));
    }
    if (text_is(name, "SESSION CHARACTERISTICS"))
        w->out->pub.leaves_state = true;
    return true;
}

static bool set(struct walk *w, struct node *n, int loc)
{
    struct text name = node_str(n, R_name), value = none, why = none;
    bool known = false;
    switch (node_int(n, R_kind)) {
    case TREE_VAR_SET_VALUE:
        known = setting_value(w, node_get(n, R_args), &value);
        if (!known)
            return walk_refuse(w, REFUSAL_setting, loc, "Write the value as a literal.",
                               "The value of \"%.*s\" is not constant.", TEXT_ARG(name));
        break;
    case TREE_VAR_SET_DEFAULT:
    case TREE_VAR_RESET:
        break;
    case TREE_VAR_SET_MULTI:
        return set_multi(w, n, loc);
    case TREE_VAR_RESET_ALL: /* search_path and the like go back to what the server was started
                                with */
        walk_unbound(w);
        return true;
    default:
        return walk_refuse(w, REFUSAL_setting, loc, "Reset settings by name.",
                           "This form of SET or RESET touches settings that bind the tenant.");
    }
    if (!policy_setting_ok(w->ask->policy, name, true, value, known, &why))
        return walk_refuse(w, REFUSAL_setting, loc, NULL, "Setting \"%.*s\": %.*s", TEXT_ARG(name),
                           TEXT_ARG(why.n ? why : TEXT("not on the list")));
    if (!node_int(n, R_is_local))
        w->out->pub.leaves_state = true;
    return true;
}

static bool show(struct walk *w, struct node *n, int loc)
{
    struct text name = node_str(n, R_name), why = none;
    if (policy_setting_ok(w->ask->policy, name, false, none, false, &why))
        return true;
    return walk_refuse(w, REFUSAL_setting, loc, NULL, "Setting \"%.*s\" may not be shown: %.*s",
                       TEXT_ARG(name), TEXT_ARG(why.n ? why : TEXT("not on the list")));
}

/* ---- statements around a query ---- */

static bool declare(struct walk *w, struct node *n, int loc)
{
    (void)loc;
    if (node_int(n, R_options) & CURSOR_HOLD)
        w->out->pub.effects |= EFFECT_HOLD;
    return walk_cursor(w, n);
}

static bool is_off(struct node *arg)
{
    if (node_is(arg, N_String))
        return text_is_i(node_str(arg, R_sval), "off") || text_is_i(node_str(arg, R_sval), "false");
    return node_is(arg, N_Integer) && node_int(arg, R_ival) == 0;
}

static bool query(struct walk *w, struct node *n, int loc)
{
    struct columns cols = { .n = 0 };
    (void)loc;
    return walk_query(w, NULL, n, &cols);
}

static bool explain(struct walk *w, struct node *n, int loc)
{
    static const char *const plain[] = { "format", "verbose" };
    static const char *const off[] = { "analyze", "buffers", "wal",     "timing",
                                       "summary", "memory",  "settings" };
    struct node *opts = node_get(n, R_options), *q = node_get(n, R_query);
    bool costs = true;
    if (w->ask->policy->setup->g.tenant_explain == TENANT_EXPLAIN_OFF)
        return walk_refuse(w, REFUSAL_explain, loc,
                           "tenant_explain = plan opens EXPLAIN (COSTS OFF).",
                           "EXPLAIN is not open to tenants here.");
    for (int i = 0; i < list_len(opts); i++) {
        struct text name = node_str(list_at(opts, i), R_defname);
        struct node *arg = node_get(list_at(opts, i), R_arg);
        bool known = false;
        for (size_t k = 0; k < sizeof(plain) / sizeof(plain[0]); k++)
            known |= text_is(name, plain[k]);
        for (size_t k = 0; k < sizeof(off) / sizeof(off[0]); k++)
            known |= text_is(name, off[k]) && is_off(arg);
        if (text_is(name, "costs"))
            costs = !is_off(arg);
        else if (!known)
            return walk_refuse(w, REFUSAL_explain, loc, "Use EXPLAIN (COSTS OFF).",
                               "EXPLAIN option \"%.*s\" shows what other tenants' rows are like.",
                               TEXT_ARG(name));
    }
    if (costs)
        return walk_refuse(w, REFUSAL_explain, loc, "Use EXPLAIN (COSTS OFF).",
                           "Estimates show what other tenants' rows are like.");
    if (node_is(q, N_DeclareCursorStmt))
        q = node_get(q, R_query);
    else if (node_is(q, N_ExecuteStmt) || node_is(q, N_CreateTableAsStmt) ||
             node_is(q, N_RefreshMatViewStmt))
        return walk_refuse(w, REFUSAL_explain, loc, "Explain the query itself.",
                           "EXPLAIN shows plans of queries only.");
    return query(w, q, loc);
}

/* ---- the table of kinds ---- */

/* Names nothing, and is the session's own business. */
static bool passed(struct walk *w, struct node *n, int loc)
{
    (void)w;
    (void)n;
    (void)loc;
    return true;
}

static bool copy(struct walk *w, struct node *n, int loc)
{
    return walk_copy(w, n, loc);
}

static bool prepare(struct walk *w, struct node *n, int loc)
{
    return walk_prepare(w, n, loc);
}

static bool execute(struct walk *w, struct node *n, int loc)
{
    return walk_execute(w, n, loc);
}

static bool deallocate(struct walk *w, struct node *n, int loc)
{
    return walk_deallocate(w, n, loc);
}

static bool listen(struct walk *w, struct node *n, int loc)
{
    return walk_listen(w, n, loc);
}

static bool unlisten(struct walk *w, struct node *n, int loc)
{
    return walk_unlisten(w, n, loc);
}

static bool notify(struct walk *w, struct node *n, int loc)
{
    return walk_notify(w, n, loc);
}

static bool lock(struct walk *w, struct node *n, int loc)
{
    return walk_lock(w, n, loc);
}

static bool discard(struct walk *w, struct node *n, int loc)
{
    return walk_discard(w, n, loc);
}

static bool constraints(struct walk *w, struct node *n, int loc)
{
    return walk_constraints(w, n, loc);
}

struct statement {
    bool (*rule)(struct walk *w, struct node *n, int loc); /* NULL: refused */
    enum refusal reason;
    const char *sql, *hint;
};

#define refused NULL
static const struct statement statements[N_COUNT] = {
#define STATEMENT(tag, rule, reason, sql, hint) [N_##tag] = { rule, REFUSAL_##reason, sql, hint },
#include "tenant/statements.def"
};
#undef refused

bool walk_statement(struct walk *w, struct node *n, int loc)
{
    const struct statement *s = (unsigned)n->kind < N_COUNT ? &statements[n->kind] : NULL;
    if (!s || !s->sql)
        return walk_refuse(w, REFUSAL_unknown_syntax, loc, NULL, "A statement of an unknown kind.");
    if (s->rule)
        return s->rule(w, n, loc);
    return walk_refuse(w, s->reason, loc, s->hint, "%s is not open to tenants.", s->sql);
}
