/* SPDX-License-Identifier: ISC */
/*
 * PREPARE, EXECUTE and DEALLOCATE in SQL. They are taken apart here and carried out by the session,
 * which keeps the client's names: the query of a PREPARE is judged as if it had come by Parse.
 */
#include "tenant/utility.h"
#include "tenant/value.h"
#include "tenant/walk.h"

#include <stdio.h>

static bool shape(struct walk *w, int loc)
{
    return walk_refuse(w, REFUSAL_internal_mismatch, loc, "Write the statement in a simpler form.",
                       "The parts of the statement are not clear in the text.");
}

static bool alone(struct walk *w, int loc)
{
    return w->alone ||
           walk_refuse(w, REFUSAL_prepared_sql, loc,
                       "Send PREPARE, EXECUTE and DEALLOCATE each in a message of its own.",
                       "The pooler carries the statement out itself.");
}

/* The verdict's part, with room in the verdict's memory. name empty: ALL. */
static struct sql_prepared *keep(struct walk *w, enum sql_prepared_what what, struct text name)
{
    struct sql_prepared *p = ARENA_NEW(&w->out->arena, struct sql_prepared);
    *p = (struct sql_prepared){ .what = what, .name = arena_text(&w->out->arena, name) };
    w->out->pub.prepared = p;
    return p;
}

/* The token behind the keyword and the name, or -1. */
static int behind_name(const struct inject *j, int loc)
{
    int i = walk_first_token(j, loc);
    return i < 0 || i + 1 >= j->n_tok || j->tok[i].is_uident || j->tok[i + 1].is_uident ? -1
                                                                                        : i + 2;
}

/* One past the last token that is no semicolon. */
static int end_token(const struct inject *j)
{
    int n = j->n_tok;
    while (n > 0 && j->tok[n - 1].ch == ';')
        n--;
    return n;
}

/* ---- types ---- */

static uint32_t array_of(const struct policy *p, uint32_t elem)
{
    const struct catalog *c = p->catalog;
    for (int i = 0; i < c->n_types; i++) {
        const struct cat_type *t = c->types[i];
        if (t->elem == elem && t->name.n > 1 && t->name.p[0] == '_')
            return t->oid;
    }
    return 0;
}

/* The OID of a type's name; 0 in *oid: left to the server. */
static bool type_oid(struct walk *w, struct node *t, int loc, uint32_t *oid)
{
    struct text schema, name;
    *oid = 0;
    if (node_is(t, N_TypeName) && !node_get(t, R_typmods) && !node_get(t, R_arrayBounds) &&
        walk_name(node_get(t, R_names), &schema, &name) && text_is(name, "unknown") &&
        (schema.n == 0 || text_is(schema, "pg_catalog")))
        return true;
    if (!walk_type(w, NULL, t, loc))
        return false;
    if (!walk_name(node_get(t, R_names), &schema, &name))
        return shape(w, loc);
    *oid = policy_type_named(w->ask->policy, schema, name);
    if (*oid && node_get(t, R_arrayBounds))
        *oid = array_of(w->ask->policy, *oid);
    return *oid != 0 ||
           walk_refuse(w, REFUSAL_type, loc, "Leave the type out, or write it with its schema.",
                       "The catalog does not say which type \"%.*s\" is.", TEXT_ARG(name));
}

static bool parameter_types(struct walk *w, struct node *list, int loc, struct sql_prepared *p)
{
    p->n_types = list_len(list);
    p->types = ARENA_ARRAY(&w->out->arena, uint32_t, p->n_types + 1);
    for (int i = 0; i < p->n_types; i++)
        if (!type_oid(w, list_at(list, i), loc, &p->types[i]))
            return false;
    return true;
}

/* ---- PREPARE ---- */

static bool is_word(const struct inject *j, int at, const char *word)
{
    return at >= 0 && at < j->n_tok && !j->tok[at].is_uident &&
           text_is_i(text_n(j->sql.p + j->tok[at].off, j->tok[at].end - j->tok[at].off), word);
}

/* The query's text, with a blank for each character in front of it. */
static struct text query_text(struct walk *w, uint32_t from, uint32_t to)
{
    struct buf b;
    buf_init(&b);
    for (uint32_t i = 0; i < from; i++)
        if (((unsigned char)w->inj->sql.p[i] & 0xc0) != 0x80)
            buf_char(&b, ' ');
    buf_append(&b, w->inj->sql.p + from, to - from);
    struct text t = b.failed ? (struct text){ NULL, 0 } : arena_text(&w->out->arena, buf_text(&b));
    buf_release(&b);
    return t;
}

bool walk_prepare(struct walk *w, struct node *n, int loc)
{
    const struct inject *j = w->inj;
    struct node *query = node_get(n, R_query);
    struct tree t;
    struct err e;
    if (!alone(w, loc))
        return false;
    int as = behind_name(j, loc), end = end_token(j);
    if (as > 0 && as < j->n_tok && j->tok[as].ch == '(')
        as = j->tok[as].match + 1;
    if (as < 2 || as + 1 >= end || !is_word(j, as, "as"))
        return shape(w, loc);
    struct sql_prepared *p = keep(w, SQL_PREPARE, node_str(n, R_name));
    if (!parameter_types(w, node_get(n, R_argtypes), loc, p))
        return false;
    p->query = query_text(w, j->tok[as + 1].off, j->tok[end - 1].end);
    if (!p->query.p || !tree_parse(w->parser, p->query, w->arena, &t, &e) || t.n_stmts != 1 ||
        !tree_equal(t.stmts[0].stmt, query))
        return shape(w, loc);
    w->seen += walk_count_names(query); /* the session has it judged */
    return true;
}

/* ---- EXECUTE ---- */

static uint32_t cast_type(struct node *type)
{
    static const struct {
        const char *name;
        uint32_t oid;
    } names[] = { { "text", VALUE_TEXT }, { "varchar", VALUE_TEXT }, { "uuid", VALUE_UUID },
                  { "int2", VALUE_INT2 }, { "int4", VALUE_INT4 },    { "int8", VALUE_INT8 } };
    struct text schema, name;
    if (!node_is(type, N_TypeName) || node_get(type, R_typmods) || node_get(type, R_arrayBounds) ||
        !walk_name(node_get(type, R_names), &schema, &name) ||
        (schema.n && !text_is(schema, "pg_catalog")))
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (text_is(name, names[i].name))
            return names[i].oid;
    return 0;
}

static void argument(struct walk *w, struct node *n, struct sql_argument *a)
{
    char digits[24];
    *a = (struct sql_argument){ .constant = false };
    if (node_is(n, N_TypeCast)) {
        a->cast_type = cast_type(node_get(n, R_typeName));
        n = a->cast_type ? node_get(n, R_arg) : NULL;
    }
    struct node *val = node_is(n, N_A_Const) && !node_int(n, R_isnull) ? node_get(n, R_val) : NULL;
    if (node_is(val, N_String)) {
        a->value = arena_text(&w->out->arena, node_str(val, R_sval));
    } else if (node_is(val, N_Integer)) {
        snprintf(digits, sizeof(digits), "%lld", (long long)node_int(val, R_ival));
        a->value = arena_text(&w->out->arena, text_of(digits));
    } else {
        return;
    }
    a->constant = true;
}

/* Does the text between the parentheses stand for the same arguments on its own? */
static bool same_arguments(struct walk *w, struct text args, struct node *params)
{
    struct tree t;
    struct err e;
    struct text sql = arena_printf(w->arena, "EXECUTE p(%.*s, NULL)", TEXT_ARG(args));
    if (!tree_parse(w->parser, sql, w->arena, &t, &e) || t.n_stmts != 1)
        return false;
    struct node *got = node_get(t.stmts[0].stmt, R_params);
    if (!node_is(t.stmts[0].stmt, N_ExecuteStmt) || list_len(got) != list_len(params) + 1)
        return false;
    for (int i = 0; i < list_len(params); i++)
        if (!tree_equal(list_at(got, i), list_at(params, i)))
            return false;
    return true;
}

bool walk_execute(struct walk *w, struct node *n, int loc)
{
    const struct inject *j = w->inj;
    struct node *params = node_get(n, R_params);
    if (!alone(w, loc))
        return false;
    if (w->n_params > 0)
        return walk_refuse(w, REFUSAL_prepared_sql, loc, "Write the arguments as literals.",
                           "EXECUTE takes no parameters of its own.");
    int open = behind_name(j, loc), end = end_token(j);
    struct sql_prepared *p = keep(w, SQL_EXECUTE, node_str(n, R_name));
    if (open == end && !params)
        return true;
    if (open < 0 || open >= end || j->tok[open].ch != '(' || j->tok[open].match != end - 1)
        return shape(w, loc);
    struct text args = text_n(j->sql.p + j->tok[open].end, j->tok[end - 1].off - j->tok[open].end);
    if (!same_arguments(w, args, params))
        return shape(w, loc);
    if (!walk_exprs(w, level_new(w->arena, NULL), params))
        return false;
    if (w->inj->n_edits > 0)
        return walk_refuse(w, REFUSAL_prepared_sql, loc, "Write the arguments as literals.",
                           "An argument of EXECUTE reads relations.");
    p->args = arena_text(&w->out->arena, args);
    p->n_args = list_len(params);
    p->arg = ARENA_ARRAY(&w->out->arena, struct sql_argument, p->n_args + 1);
    for (int i = 0; i < p->n_args; i++)
        argument(w, list_at(params, i), &p->arg[i]);
    return true;
}

bool walk_deallocate(struct walk *w, struct node *n, int loc)
{
    if (!alone(w, loc))
        return false;
    keep(w, SQL_DEALLOCATE, node_str(n, R_name));
    return true;
}
