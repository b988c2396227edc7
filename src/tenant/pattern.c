/* SPDX-License-Identifier: ISC */
/*
 * The predicate of a relation runs before the client's conditions on each row that a scan gives.
 * But PostgreSQL also runs the client's operator
 *   - when it plans: over the most common values and the histogram of the column, which hold all
 *     tenants' values, if the right operand is constant by then;
 *   - when an index that is not exact gave the row: the condition is tested again in front of all
 *     filters, with right operands that are computed as the statement runs, too.
 * An operator that fails on some values would tell by its error whether they are there. Of those
 * that tenants may use, and that are estimated or indexed so, these can: LIKE with a pattern that
 * ends in its escape character (an error once a text gets that far), and jsonb @? and @@ with a
 * path that names a variable, or that compares times (errors which these operators do not catch).
 * Such operands are refused where a tenant table is read, and so is what is not certainly
 * different. The functions like() and jsonb_path_exists() are neither estimated nor indexed.
 */
#include "tenant/pattern.h"

#define OID_JSONPATH 4072
#define OID_JSONPATHS 4073
#define BACKSLASH '\\'

static bool unproven(struct walk *w, const struct node *n, int loc)
{
    if (!w->unsafe)
        w->unsafe_loc = n && n->loc >= 0 ? n->loc : loc;
    w->unsafe = true;
    return false;
}

/* The value of a string without noting that it was read. Templates keep strings with a backslash in
 * their key (template.c), so that there is none in other texts with the same one. */
static struct text peek(const struct node *val)
{
    for (uint32_t i = 0; i < val->n_fields; i++)
        if (val->fields[i].role == R_sval)
            return val->fields[i].s;
    return TEXT("");
}

static bool has(struct text t, char c)
{
    return t.n > 0 && memchr(t.p, c, t.n) != NULL;
}

/* Can a text that ends so be the end of a pattern? whole: nothing stands in front of it. */
static bool ends_well(struct text t, char escape, bool whole)
{
    size_t run = 0;
    if (escape != BACKSLASH)
        return !has(t, BACKSLASH) && (t.n == 0 || t.p[t.n - 1] != escape);
    if (!has(t, BACKSLASH))
        return true;
    while (run < t.n && t.p[t.n - 1 - run] == BACKSLASH)
        run++;
    if (whole ? run % 2 : run)
        return false;
    /* as bytea: in hexadecimal, or the backslash by its octal number */
    return !(t.n > 1 && t.p[0] == BACKSLASH && (t.p[1] | 0x20) == 'x') &&
           !(t.n > 3 && memcmp(t.p + t.n - 4, "\\134", 4) == 0);
}

static void param(struct walk *w, const struct node *n, unsigned shape, char escape)
{
    int64_t k = node_int(n, R_number);
    struct param_use *p = k >= 1 && k <= w->n_params ? &w->params[k - 1] : NULL;
    if (!p || (p->shape && p->escape != escape))
        (void)unproven(w, n, -1);
    if (p) {
        p->shape |= shape;
        p->escape = escape;
    }
}

static bool is_call(struct node *n, const char *want)
{
    struct text schema, name;
    return node_is(n, N_FuncCall) && walk_name(node_get(n, R_funcname), &schema, &name) &&
           (schema.n == 0 || text_is(schema, "pg_catalog")) && text_is(name, want);
}

static struct text last_name(struct node *names)
{
    return node_str(list_at(names, list_len(names) - 1), R_sval);
}

/* ---- LIKE ---- */

/* A string that is not empty and that has no backslash: whatever stands in front of it. */
static bool closes(struct node *n, char escape)
{
    struct node *val = node_is(n, N_A_Const) ? node_get(n, R_val) : NULL;
    struct text t = node_is(val, N_String) ? node_str(val, R_sval) : TEXT("");
    return t.n > 0 && !has(t, BACKSLASH) && t.p[t.n - 1] != escape;
}

static bool tail(struct walk *w, struct node *n, char escape, bool whole);

/* Parts of one text, or (each) values that it may be. */
static bool tails(struct walk *w, struct node *list, char escape, bool whole)
{
    bool good = list_len(list) > 0;
    for (int i = 0; i < list_len(list); i++)
        good &= tail(w, list_at(list, i), escape, whole);
    return good;
}

static bool constant_tail(struct walk *w, struct node *n, char escape, bool whole)
{
    struct node *val = node_get(n, R_val);
    if (!node_is(val, N_String))
        return true;
    struct text t = peek(val);
    if (escape != BACKSLASH || has(t, BACKSLASH))
        t = node_str(val, R_sval);
    return ends_well(t, escape, whole) || unproven(w, n, -1);
}

static bool call_tail(struct walk *w, struct node *n, char escape, bool whole)
{
    struct node *args = node_get(n, R_args);
    if (node_int(n, R_func_variadic) || node_get(n, R_over) || node_get(n, R_agg_filter))
        return unproven(w, n, -1);
    if (is_call(n, "lower") || is_call(n, "upper"))
        return list_len(args) == 1 ? tail(w, list_at(args, 0), escape, whole) : unproven(w, n, -1);
    if (is_call(n, "concat"))
        return closes(list_at(args, list_len(args) - 1), escape) || tails(w, args, escape, false);
    return unproven(w, n, -1);
}

/* pattern ESCAPE character */
static bool escaped(struct walk *w, struct node *n)
{
    struct node *args = node_get(n, R_args), *e = list_at(args, 1);
    struct node *val = node_is(e, N_A_Const) ? node_get(e, R_val) : NULL;
    struct text t = node_str(val, R_sval);
    if (!node_is(val, N_String) || t.n > 1)
        return unproven(w, n, -1);
    return t.n == 0 || tail(w, list_at(args, 0), t.p[0], true);
}

static bool is_text(struct node *type)
{
    struct text name = last_name(node_get(type, R_names));
    return !node_get(type, R_typmods) && (text_is(name, "text") || text_is(name, "varchar"));
}

static bool tail(struct walk *w, struct node *n, char escape, bool whole)
{
    struct node *type;
    switch (n ? n->kind : N_List) {
    case N_A_Const:
        return constant_tail(w, n, escape, whole);
    case N_ParamRef:
        param(w, n, whole ? PATTERN_TAIL : PATTERN_TAIL | PATTERN_PART, escape);
        return true;
    case N_TypeCast:
        type = node_get(n, R_typeName);
        return (is_text(type) && !node_get(type, R_arrayBounds) &&
                tail(w, node_get(n, R_arg), escape, whole)) ||
               unproven(w, n, -1);
    case N_A_Expr:
        if (node_int(n, R_kind) == TREE_AEXPR_NULLIF)
            return tail(w, node_get(n, R_lexpr), escape, whole);
        if (node_int(n, R_kind) != TREE_AEXPR_OP || !node_get(n, R_lexpr) ||
            !text_is(last_name(node_get(n, R_name)), "||"))
            return unproven(w, n, -1);
        return closes(node_get(n, R_rexpr), escape) ||
               (tail(w, node_get(n, R_lexpr), escape, false) &&
                tail(w, node_get(n, R_rexpr), escape, false));
    case N_CollateClause:
        return tail(w, node_get(n, R_arg), escape, whole);
    case N_CoalesceExpr:
        return tails(w, node_get(n, R_args), escape, whole);
    case N_FuncCall:
        return call_tail(w, n, escape, whole);
    default:
        return unproven(w, n, -1);
    }
}

/* The array of LIKE ANY and LIKE ALL. */
static void tail_array(struct walk *w, struct node *n, int loc)
{
    while (node_is(n, N_TypeCast) && is_text(node_get(n, R_typeName)))
        n = node_get(n, R_arg);
    struct node *val = node_is(n, N_A_Const) ? node_get(n, R_val) : NULL;
    if (node_is(n, N_A_ArrayExpr))
        (void)(list_len(node_get(n, R_elements)) == 0 ||
               tails(w, node_get(n, R_elements), BACKSLASH, true));
    else if (node_is(n, N_ParamRef))
        param(w, n, PATTERN_ARRAY, BACKSLASH);
    else if (!node_is(val, N_String) || has(peek(val), BACKSLASH))
        (void)unproven(w, n, loc);
}

/* ---- jsonpath ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* Does one of the words that take arguments and fail on values stand in front of p[at], a
 * parenthesis? */
static bool fails(struct text t, size_t at)
{
    static const char *const words[] = { "date", "time", "decimal" };
    size_t from;
    while (at > 0 && strchr(" \t\r\n\f\v", t.p[at - 1]))
        at--;
    if (at > 0 && t.p[at - 1] == '/')
        return true; /* behind a comment */
    for (from = at; from > 0 && is_word(t.p[from - 1]); from--)
        ;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (size_t k = from, n = strlen(words[i]); k + n <= at; k++)
            if (text_is_i(text_n(t.p + k, n), words[i]))
                return true;
    return false;
}

/* A path without variables, times and escaped names. */
static bool path_ok(struct text t)
{
    bool quoted = false;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i], next = i + 1 < t.n ? t.p[i + 1] : ' ';
        if (quoted && c == BACKSLASH)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == BACKSLASH || (c == '/' && next == '*') ||
                             (c == '$' && (is_word(next) || strchr("\"$\\", next))) ||
                             (c == '(' && fails(t, i))))
            return false;
    }
    return !quoted;
}

static bool path(struct walk *w, struct node *n)
{
    struct node *val = node_is(n, N_A_Const) ? node_get(n, R_val) : NULL;
    if (node_is(n, N_ParamRef))
        param(w, n, PATTERN_PATH, BACKSLASH);
    else if (node_is(val, N_String) && !path_ok(node_str(val, R_sval)))
        return unproven(w, n, -1);
    return true;
}

static bool is_path_type(struct node *type)
{
    struct text name = last_name(node_get(type, R_names));
    return text_is(name, "jsonpath") || text_is(name, "_jsonpath");
}

void pattern_type(struct walk *w, struct node *type, struct node *cast)
{
    struct node *arg = node_get(cast, R_arg);
    if (!is_path_type(type) || (cast && cast == w->own_path))
        return;
    if (!node_get(type, R_arrayBounds) && text_is(last_name(node_get(type, R_names)), "jsonpath") &&
        (node_is(arg, N_A_Const) || node_is(arg, N_ParamRef)))
        (void)path(w, arg);
    else
        (void)unproven(w, cast, type->loc);
}

void pattern_call(struct walk *w, struct node *call, struct text name)
{
    struct node *second = list_at(node_get(call, R_args), 1);
    if (text_starts(name, TEXT("jsonb_path_")) && node_is(second, N_TypeCast))
        w->own_path = second;
    if (text_is(name, "jsonpath"))
        (void)unproven(w, call, -1);
}

/* ---- operators ---- */

enum family { OTHER, LIKE, PATH };

static enum family family_of(struct node *names)
{
    static const char *const like[] = { "~~", "!~~", "~~*", "!~~*" };
    struct text op = last_name(names);
    for (size_t i = 0; i < sizeof(like) / sizeof(like[0]); i++)
        if (text_is(op, like[i]))
            return LIKE;
    return text_is(op, "@?") || text_is(op, "@@") ? PATH : OTHER;
}

void pattern_operator(struct walk *w, struct node *n)
{
    struct node *right = node_get(n, R_rexpr);
    enum family f = family_of(node_get(n, R_name));
    int64_t kind = node_int(n, R_kind);
    bool array = kind == TREE_AEXPR_OP_ANY || kind == TREE_AEXPR_OP_ALL;
    if (f == OTHER || kind == TREE_AEXPR_SIMILAR)
        return;
    if (f == PATH && array)
        (void)unproven(w, n, -1);
    else if (f == PATH)
        (void)path(w, right);
    else if (array)
        tail_array(w, right, n->loc);
    else if (is_call(right, "like_escape"))
        (void)escaped(w, right);
    else
        (void)tail(w, right, BACKSLASH, true);
}

void pattern_sublink(struct walk *w, struct node *n)
{
    if (family_of(node_get(n, R_operName)) != OTHER)
        (void)unproven(w, n, -1);
}

/* ---- the end, and Bind ---- */

bool pattern_finish(struct walk *w)
{
    struct verdict *v = &w->out->pub;
    int n = 0;
    if (w->rls ? !w->rls_rows : w->n_used == 0)
        return true;
    if (w->unsafe && !w->rls)
        return walk_refuse(w, REFUSAL_pattern, w->unsafe_loc,
                           "Let the pattern end in a literal, as in x || '%'; or call "
                           "like(value, pattern), jsonb_path_exists(value, path).",
                           "PostgreSQL may test it on other tenants' values, where this operand "
                           "could be an error.");
    if (w->arrays)
        return walk_refuse(w, REFUSAL_pattern, w->arrays_loc,
                           "Put it into the results of the outermost query, or write a || b.",
                           "PostgreSQL may build the array from other tenants' rows, where its "
                           "elements could be arrays of other shapes.");
    if (w->rls)
        return true; /* for patterns, policies of the server's hold in both places */
    for (int i = 0; i < w->n_params; i++) {
        uint32_t declared = i < w->ask->n_types ? w->ask->types[i] : 0;
        if (declared == OID_JSONPATH || declared == OID_JSONPATHS)
            w->params[i].shape |= declared == OID_JSONPATH ? PATTERN_PATH : PATTERN_NEVER;
        n += w->params[i].shape != 0;
    }
    v->n_patterns = 0;
    v->patterns = n ? ARENA_ARRAY(&w->out->arena, struct verdict_pattern, n) : NULL;
    for (int i = 0; i < w->n_params; i++)
        if (w->params[i].shape)
            v->patterns[v->n_patterns++] =
                (struct verdict_pattern){ i + 1, w->params[i].shape, w->params[i].escape };
    return true;
}

bool pattern_value_ok(const struct verdict_pattern *p, int format, struct text value)
{
    if (p->shape & PATTERN_NEVER)
        return false;
    if ((p->shape & PATTERN_ARRAY) && has(value, BACKSLASH))
        return false;
    if ((p->shape & PATTERN_TAIL) &&
        (!ends_well(value, p->escape, true) ||
         ((p->shape & PATTERN_PART) && !ends_well(value, p->escape, false))))
        return false;
    if (p->shape & PATTERN_PATH) {
        if (format == 1 && value.n > 0) /* the version of the format */
            value = text_n(value.p + 1, value.n - 1);
        return path_ok(value);
    }
    return true;
}
