/* SPDX-License-Identifier: ISC */
/* Statements as a whole: which kinds there are, and those that are not queries. */
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
        struct node *a = list_at(args, i), *val = node_is(a, N_A_Const) ? node_get(a, R_val) : NULL;
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
    case TREE_VAR_RESET_ALL: /* search_path and the like go back to what the server was started with
                              */
        if (!policy_guc(w->ask->policy).n) {
            w->out->pub.leaves_state = true;
            return true;
        }
        return walk_refuse(w, REFUSAL_setting, loc, "Reset settings by name.",
                           "RESET ALL would take tenant_guc back.");
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
    struct columns cols = { .n = 0 };
    if (node_int(n, R_options) & CURSOR_HOLD)
        return walk_refuse(w, REFUSAL_cursor_hold, loc,
                           "Declare it without HOLD, within the transaction.",
                           "The cursor would stay on a server that other clients use.");
    return walk_select(w, NULL, node_get(n, R_query), &cols, NULL);
}

static bool is_off(struct node *arg)
{
    if (node_is(arg, N_String))
        return text_is_i(node_str(arg, R_sval), "off") || text_is_i(node_str(arg, R_sval), "false");
    return node_is(arg, N_Integer) && node_int(arg, R_ival) == 0;
}

static bool explain(struct walk *w, struct node *n, int loc)
{
    struct node *opts = node_get(n, R_options);
    struct columns cols = { .n = 0 };
    bool costs = true;
    for (int i = 0; i < list_len(opts); i++) {
        struct text name = node_str(list_at(opts, i), R_defname);
        struct node *arg = node_get(list_at(opts, i), R_arg);
        if (text_is(name, "costs"))
            costs = !is_off(arg);
        else if (!text_is(name, "format") && !text_is(name, "verbose"))
            return walk_refuse(w, REFUSAL_explain, loc, "Use EXPLAIN (COSTS OFF).",
                               "EXPLAIN option \"%.*s\" shows what other tenants' rows are like.",
                               TEXT_ARG(name));
    }
    if (costs)
        return walk_refuse(w, REFUSAL_explain, loc, "Use EXPLAIN (COSTS OFF).",
                           "Estimates show what other tenants' rows are like.");
    return walk_query(w, NULL, node_get(n, R_query), &cols);
}

static bool refused_kind(struct walk *w, struct node *n, int loc)
{
    enum refusal r = REFUSAL_ddl;
    const char *hint = NULL;
    switch (n->kind) {
    case N_PrepareStmt:
    case N_ExecuteStmt:
        r = REFUSAL_prepared_sql;
        hint = "Use the driver's prepared statements (Parse and Bind messages).";
        break;
    case N_DoStmt:
    case N_CallStmt:
        r = REFUSAL_code_block;
        break;
    case N_ListenStmt:
    case N_NotifyStmt:
        r = REFUSAL_notify;
        break;
    case N_LockStmt:
        r = REFUSAL_lock;
        break;
    case N_DiscardStmt:
    case N_ConstraintsSetStmt:
    case N_CheckPointStmt:
    case N_VacuumStmt:
    case N_LoadStmt:
    case N_ClusterStmt:
    case N_ReindexStmt:
    case N_GrantStmt:
    case N_GrantRoleStmt:
    case N_RefreshMatViewStmt:
    case N_TruncateStmt:
        r = REFUSAL_utility;
        break;
    default:
        break;
    }
    return walk_refuse(w, r, loc, hint, "%s is not open to tenants.", node_kind_name(n->kind));
}

bool walk_statement(struct walk *w, struct node *n, int loc)
{
    struct columns cols = { .n = 0 };
    switch (n->kind) {
    case N_SelectStmt:
    case N_InsertStmt:
    case N_UpdateStmt:
    case N_DeleteStmt:
    case N_MergeStmt:
        return walk_query(w, NULL, n, &cols);
    case N_TransactionStmt:
        return transaction(w, n, loc);
    case N_VariableSetStmt:
        return set(w, n, loc);
    case N_VariableShowStmt:
        return show(w, n, loc);
    case N_DeclareCursorStmt:
        return declare(w, n, loc);
    case N_FetchStmt:
    case N_ClosePortalStmt:
    case N_DeallocateStmt: /* sessions prepare again what is missing */
    case N_UnlistenStmt:   /* there is nothing that a tenant could listen to */
        return true;
    case N_CopyStmt:
        return walk_copy(w, n, loc);
    case N_ExplainStmt:
        return explain(w, n, loc);
    case N_Unknown:
    case N_List:
        return walk_refuse(w, REFUSAL_unknown_syntax, loc, NULL, "A statement of an unknown kind.");
    default:
        return refused_kind(w, n, loc);
    }
}
