/* SPDX-License-Identifier: ISC */
/* Which functions and operators tenants may call: built-in ones by list, others by declaration or
 * trusted extension. */
#include "base/buf.h"
#include "tenant/policy_index.h"

static const struct builtin_fn builtin_fns[] = {
#define FN_OK(name) { name, FN_ALLOW, -1, NULL },
#define FN_OK_ARGS(name, n) { name, FN_ALLOW, n, NULL },
#define FN_SETTING(name) { name, FN_ALLOW_SETTING, -1, NULL },
#define FN_NULL(name, type) { name, FN_MASK, -1, type },
#define FN_NO(name, why) { name, FN_DENY, -1, why },
#include "tenant/builtin_functions.def"
};

static const char *const builtin_ops[] = {
#define OP(name) name,
#include "tenant/builtin_operators.def"
};

enum trust { TRUST_ALL, TRUST_ONLY, TRUST_PREFIX, TRUST_NOT };
static const struct trusted {
    const char *extension, *function;
    enum trust how;
} trusted[] = {
#define EXT(name) { name, NULL, TRUST_ALL },
#define EXT_ONLY(name, function) { name, function, TRUST_ONLY },
#define EXT_PREFIX(name, prefix) { name, prefix, TRUST_PREFIX },
#define EXT_NOT(name, function) { name, function, TRUST_NOT },
#include "tenant/trusted_extensions.def"
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Does the function belong to an extension whose functions compute from their arguments only? */
static bool is_trusted(const struct cat_function *f)
{
    bool yes = false;

    if (f->extension.n == 0 || f->security_definer || f->cost < 1)
        return false;
    for (size_t i = 0; i < COUNT(trusted); i++) {
        if (!text_is(f->extension, trusted[i].extension))
            continue;
        if (trusted[i].how == TRUST_ALL)
            yes = true;
        else if (trusted[i].how == TRUST_PREFIX)
            yes = yes || text_starts(f->name, text_of(trusted[i].function));
        else if (text_is(f->name, trusted[i].function))
            return trusted[i].how == TRUST_ONLY;
    }
    return yes;
}

/* ---- argument types of a declaration ---- */

static const struct {
    const char *sql, *name;
} type_alias[] = {
    { "int", "int4" },
    { "integer", "int4" },
    { "bigint", "int8" },
    { "smallint", "int2" },
    { "real", "float4" },
    { "double precision", "float8" },
    { "float", "float8" },
    { "character varying", "varchar" },
    { "char varying", "varchar" },
    { "character", "bpchar" },
    { "char", "bpchar" },
    { "boolean", "bool" },
    { "decimal", "numeric" },
    { "dec", "numeric" },
    { "timestamp with time zone", "timestamptz" },
    { "timestamp without time zone", "timestamp" },
    { "time with time zone", "timetz" },
    { "time without time zone", "time" },
    { "bit varying", "varbit" },
};

/* The type's name folded: lower case outside quotes, single spaces, no modifier in parentheses, no
 * quotes. Writes at most cap bytes; false when it does not fit. */
static bool fold_type(struct text t, char *out, size_t cap, size_t *n, bool *quoted)
{
    int depth = 0;
    bool in_quotes = false;

    *n = 0;
    *quoted = false;
    for (size_t i = 0; i < t.n; i++) {
        char ch = t.p[i];

        if (ch == '"') {
            in_quotes = !in_quotes;
            *quoted = true;
            continue;
        }
        if (!in_quotes && (ch == '(' || ch == ')')) {
            depth += ch == '(' ? 1 : -1;
            continue;
        }
        if (depth > 0)
            continue;
        if (!in_quotes && (ch == ' ' || ch == '\t')) {
            if (*n == 0 || out[*n - 1] == ' ')
                continue;
            ch = ' ';
        } else if (!in_quotes && ch >= 'A' && ch <= 'Z') {
            ch = (char)(ch - 'A' + 'a');
        }
        if (*n >= cap)
            return false;
        out[(*n)++] = ch;
    }
    while (*n > 0 && out[*n - 1] == ' ')
        (*n)--;
    return true;
}

static bool type_matches(const struct policy *p, struct text decl, uint32_t oid)
{
    const struct cat_type *t = policy_type_by_oid(p, oid);
    char buf[POLICY_KEY_MAX];
    size_t n;
    bool quoted, array = false;
    struct text name, schema = TEXT("");

    if (!t || !fold_type(text_trim(decl), buf, sizeof(buf), &n, &quoted))
        return false;
    name = text_n(buf, n);
    if (text_starts(name, TEXT("variadic ")))
        name = text_trim(text_n(name.p + 9, name.n - 9));
    while (name.n > 2 && name.p[name.n - 2] == '[' && name.p[name.n - 1] == ']') {
        name = text_trim(text_n(name.p, name.n - 2));
        array = true;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.') {
            schema = text_n(name.p, i);
            name = text_n(name.p + i + 1, name.n - i - 1);
            break;
        }
    }
    for (size_t i = 0; !quoted && i < COUNT(type_alias); i++) {
        if (text_is(name, type_alias[i].sql)) {
            name = text_of(type_alias[i].name);
            break;
        }
    }
    if (array) {
        t = t->elem ? policy_type_by_oid(p, t->elem) : NULL;
        if (!t)
            return false;
    }
    return text_eq(t->name, name) && (schema.n == 0 || text_eq(t->schema, schema));
}

/* Takes the part before the first comma outside parentheses and quotes off *rest. */
static bool next_arg(struct text *rest, struct text *part)
{
    int depth = 0;
    bool quoted = false;
    size_t i;

    if (!rest->p)
        return false;
    for (i = 0; i < rest->n; i++) {
        char ch = rest->p[i];

        if (ch == '"')
            quoted = !quoted;
        else if (!quoted && ch == '(')
            depth++;
        else if (!quoted && ch == ')')
            depth--;
        else if (!quoted && depth == 0 && ch == ',')
            break;
    }
    *part = text_n(rest->p, i);
    *rest = i < rest->n ? text_n(rest->p + i + 1, rest->n - i - 1) : text_n(NULL, 0);
    return true;
}

static int count_args(struct text args)
{
    struct text rest = text_trim(args), part;
    int n = 0;

    if (rest.n == 0)
        return 0;
    while (next_arg(&rest, &part))
        n++;
    return n;
}

static bool args_match(const struct policy *p, const struct tenant_function *d,
                       const struct cat_function *f)
{
    struct text rest = text_trim(d->args), part;

    if (d->args_any)
        return true;
    if (count_args(d->args) != f->n_args)
        return false;
    for (int i = 0; i < f->n_args; i++) {
        if (!next_arg(&rest, &part) || !type_matches(p, part, f->args[i]))
            return false;
    }
    return true;
}

/* The declaration in force for a function: with argument types before without, later before
 * earlier. */
static const struct tenant_function *declared(const struct policy *p, const struct cat_function *f,
                                              bool *used)
{
    const struct tenant_function *best = NULL;

    for (int i = 0; i < p->setup->n_functions; i++) {
        const struct tenant_function *d = &p->setup->functions[i];

        if (!text_eq(d->schema, f->schema) || !text_eq(d->name, f->name) || !args_match(p, d, f))
            continue;
        used[i] = true;
        if (!best || best->args_any || !d->args_any)
            best = d;
    }
    return best;
}

/* ---- index ---- */

static void chain(struct policy *p, struct map *m, struct text schema, struct text name,
                  struct fn_node *n)
{
    struct text key = policy_key_in(&p->arena, schema, name);

    n->next = map_get(m, key);
    map_put(m, key, n);
}

static void index_function(struct policy *p, const struct cat_function *f, bool *used,
                           struct buf *problems)
{
    struct fn_node *n = ARENA_NEW(&p->arena, struct fn_node);
    const struct tenant_function *d = declared(p, f, used);

    n->f = f;
    n->allowed = d ? d->allow : is_trusted(f);
    if (!n->allowed && d)
        n->why = arena_printf(&p->arena, "%.*s.%.*s is denied in [tenant_functions]",
                              TEXT_ARG(f->schema), TEXT_ARG(f->name));
    else if (!n->allowed)
        n->why = arena_printf(&p->arena, "%.*s.%.*s is not declared in [tenant_functions]",
                              TEXT_ARG(f->schema), TEXT_ARG(f->name));
    if (d && d->allow && f->cost < 1 && problems)
        buf_printf(problems,
                   "[tenant_functions] %.*s.%.*s: its cost is below 1, so it may run before the "
                   "tenant predicate and see other tenants' values: ALTER FUNCTION ... COST 1\n",
                   TEXT_ARG(f->schema), TEXT_ARG(f->name));
    chain(p, &p->index->functions, f->schema, f->name, n);
    map_put(&p->index->function_by_oid, policy_oid_key(&f->oid), n);
}

static void index_operator(struct policy *p, const struct cat_operator *o, bool *used)
{
    const struct fn_node *f = map_get(&p->index->function_by_oid, policy_oid_key(&o->func));
    struct fn_node *n = ARENA_NEW(&p->arena, struct fn_node);

    n->op = o;
    n->f = f ? f->f : NULL;
    n->allowed = f && f->allowed && is_trusted(f->f);
    for (int i = 0; i < p->setup->n_operators; i++) {
        const struct tenant_operator *d = &p->setup->operators[i];

        if (text_eq(d->schema, o->schema) && text_eq(d->name, o->name)) {
            n->allowed = d->allow;
            used[i] = true;
        }
    }
    if (f && f->f->cost < 1 && !f->allowed)
        n->allowed = false; /* it would run before the tenant predicate */
    if (!n->allowed)
        n->why = arena_printf(&p->arena, "operator %.*s.%.*s is not declared in [tenant_operators]",
                              TEXT_ARG(o->schema), TEXT_ARG(o->name));
    chain(p, &p->index->operators, o->schema, o->name, n);
}

static void report_unused(const struct policy *p, const bool *fn_used, const bool *op_used,
                          struct buf *problems)
{
    for (int i = 0; i < p->setup->n_functions; i++) {
        const struct tenant_function *d = &p->setup->functions[i];

        if (!fn_used[i] && !text_is(d->schema, "pg_catalog"))
            buf_printf(problems,
                       "[tenant_functions] %.*s.%.*s%s%.*s%s: no such function in database %.*s\n",
                       TEXT_ARG(d->schema), TEXT_ARG(d->name), d->args_any ? "" : "(",
                       TEXT_ARG(d->args), d->args_any ? "" : ")", TEXT_ARG(p->index->db->name));
    }
    for (int i = 0; i < p->setup->n_operators; i++) {
        const struct tenant_operator *d = &p->setup->operators[i];

        if (!op_used[i])
            buf_printf(problems,
                       "[tenant_operators] %.*s.%.*s: no such operator in database %.*s\n",
                       TEXT_ARG(d->schema), TEXT_ARG(d->name), TEXT_ARG(p->index->db->name));
    }
}

void policy_index_functions(struct policy *p, struct buf *problems)
{
    struct policy_index *x = p->index;
    const struct catalog *c = p->catalog;
    bool *fn_used = ARENA_ARRAY(&p->arena, bool, p->setup->n_functions + 1);
    bool *op_used = ARENA_ARRAY(&p->arena, bool, p->setup->n_operators + 1);

    for (size_t i = 0; i < COUNT(builtin_fns); i++)
        map_put(&x->builtin_fns, text_of(builtin_fns[i].name), (void *)(uintptr_t)&builtin_fns[i]);
    for (size_t i = 0; i < COUNT(builtin_ops); i++)
        map_put(&x->builtin_ops, text_of(builtin_ops[i]), (void *)(uintptr_t)builtin_ops[i]);
    for (int i = 0; i < c->n_builtins; i++)
        map_put(&x->builtin_names, c->builtins[i], (void *)(uintptr_t)c->builtins[i].p);
    for (int i = 0; i < c->n_functions; i++)
        index_function(p, c->functions[i], fn_used, problems);
    for (int i = 0; i < c->n_operators; i++)
        index_operator(p, c->operators[i], op_used);
    if (problems)
        report_unused(p, fn_used, op_used, problems);
}

/* ---- look-ups ---- */

static enum fn_class answer(struct text *why, enum fn_class cls, struct text t)
{
    if (why)
        *why = t;
    return cls;
}

/* The stricter of two candidates' classes; FN_UNKNOWN is no candidate. */
static enum fn_class stricter(enum fn_class a, enum fn_class b)
{
    if (a == FN_UNKNOWN || b == FN_UNKNOWN)
        return a == FN_UNKNOWN ? b : a;
    if (a == FN_DENY || b == FN_DENY || a == FN_MASK || b == FN_MASK)
        return FN_DENY; /* masked: another overload could get the call */
    return a == FN_ALLOW_SETTING || b == FN_ALLOW_SETTING ? FN_ALLOW_SETTING : FN_ALLOW;
}

/* [tenant_functions] pg_catalog.name = allow | deny: the operator's word on built-in functions. */
static enum fn_class declared_builtin(const struct policy *p, struct text name, int n_args)
{
    enum fn_class cls = FN_UNKNOWN;

    for (int i = 0; i < p->setup->n_functions; i++) {
        const struct tenant_function *d = &p->setup->functions[i];

        if (!text_is(d->schema, "pg_catalog") || !text_eq(d->name, name))
            continue;
        if (!d->allow)
            cls = FN_DENY; /* of one overload = of all: the types of the arguments are not known */
        else if (d->args_any || count_args(d->args) == n_args)
            cls = FN_ALLOW;
    }
    return cls;
}

static enum fn_class builtin_class(const struct policy *p, struct text name, int n_args,
                                   struct text *why)
{
    enum fn_class cls = declared_builtin(p, name, n_args);
    const struct builtin_fn *b = map_get(&p->index->builtin_fns, name);
    struct text ignored;

    if (cls == FN_DENY)
        return answer(why, FN_DENY, TEXT("the function is denied in [tenant_functions]"));
    if (cls == FN_ALLOW)
        return FN_ALLOW;
    if (b && b->cls == FN_MASK)
        return answer(why, FN_MASK, text_of(b->why));
    if (b && b->cls != FN_DENY && (b->n_args < 0 || b->n_args == n_args))
        return b->cls;
    if (b && b->why)
        return answer(why, FN_DENY, text_of(b->why));
    if (b)
        return answer(why, FN_DENY,
                      TEXT("with this number of arguments the function runs SQL given as text"));
    if (map_get(&p->index->builtin_names, name) || text_starts(name, TEXT("pg_")))
        return answer(
            why, FN_DENY,
            TEXT("the built-in function is not on the list of functions that tenants may call"));
    /* uuid('...'): a built-in type's name used like a function is a cast */
    if (n_args == 1 && map_get(&p->index->builtin_types, name) &&
        policy_type_ok(p, TEXT("pg_catalog"), name, &ignored))
        return FN_ALLOW;
    return FN_UNKNOWN;
}

static const struct fn_node *find(const struct map *m, struct text schema, struct text name)
{
    char buf[POLICY_KEY_MAX];
    struct text key;

    return policy_key(buf, schema, name, &key) ? map_get(m, key) : NULL;
}

static bool takes(const struct cat_function *f, int n_args)
{
    if (n_args < 0)
        return true;
    if (f->variadic && n_args >= f->n_args - 1 - f->n_defaults)
        return true;
    return n_args <= f->n_args && n_args >= f->n_args - f->n_defaults;
}

/* Class of the user-defined functions of a schema that the call could mean. *named: the name exists
 * there at all. */
static enum fn_class user_class(const struct policy *p, struct text schema, struct text name,
                                int n_args, bool *named, struct text *why)
{
    enum fn_class cls = FN_UNKNOWN;

    for (const struct fn_node *n = find(&p->index->functions, schema, name); n; n = n->next) {
        *named = true;
        if (!takes(n->f, n_args))
            continue;
        if (!n->allowed)
            return answer(why, FN_DENY, n->why);
        cls = FN_ALLOW;
    }
    return cls;
}

enum fn_class policy_function(const struct policy *p, struct text schema, struct text name,
                              int n_args, struct text *why)
{
    enum fn_class cls = FN_UNKNOWN;
    bool named = false;
    struct text w = TEXT("no such function is known");

    if (schema.n == 0 || text_is(schema, "pg_catalog")) {
        cls = builtin_class(p, name, n_args, &w);
        if (cls != FN_DENY)
            cls = stricter(cls, user_class(p, TEXT("pg_catalog"), name, n_args, &named, &w));
    } else if (text_is(schema, "information_schema") && text_is(name, "_pg_expandarray")) {
        return FN_ALLOW; /* the JDBC driver reads keys with it */
    } else {
        cls = user_class(p, schema, name, n_args, &named, &w);
    }
    for (int i = 0; schema.n == 0 && cls != FN_DENY && i < p->catalog->n_search_path; i++)
        cls = stricter(cls, user_class(p, p->catalog->search_path[i], name, n_args, &named, &w));
    if (cls == FN_UNKNOWN && named)
        return answer(why, FN_DENY,
                      TEXT("no function of that name takes that number of arguments"));
    if (cls == FN_UNKNOWN || cls == FN_DENY || cls == FN_MASK)
        return answer(why, cls, w);
    return cls;
}

static enum fn_class user_operator(const struct policy *p, struct text schema, struct text name,
                                   int n_operands, struct text *why)
{
    enum fn_class cls = FN_UNKNOWN;

    for (const struct fn_node *n = find(&p->index->operators, schema, name); n; n = n->next) {
        if ((n->op->left == 0 || n->op->right == 0) != (n_operands == 1))
            continue;
        if (!n->allowed)
            return answer(why, FN_DENY, n->why);
        cls = FN_ALLOW;
    }
    return cls;
}

enum fn_class policy_operator(const struct policy *p, struct text schema, struct text name,
                              int n_operands, struct text *why)
{
    enum fn_class cls = FN_UNKNOWN;
    struct text w = TEXT("no such operator is known");

    if (text_is(name, "!="))
        name = TEXT("<>"); /* the lexer's synonym */
    if (schema.n == 0 || text_is(schema, "pg_catalog")) {
        if (map_get(&p->index->builtin_ops, name))
            cls = FN_ALLOW;
        cls = stricter(cls, user_operator(p, TEXT("pg_catalog"), name, n_operands, &w));
    } else {
        cls = user_operator(p, schema, name, n_operands, &w);
    }
    for (int i = 0; schema.n == 0 && cls != FN_DENY && i < p->catalog->n_search_path; i++)
        cls = stricter(cls, user_operator(p, p->catalog->search_path[i], name, n_operands, &w));
    if (cls == FN_UNKNOWN || cls == FN_DENY)
        return answer(why, cls, w);
    return cls;
}

bool policy_operator_added(const struct policy *p, struct text schema, struct text name)
{
    static const char *const compare[] = { "=", "<>", "!=", "<", ">", "<=", ">=" };

    for (size_t i = 0; i < COUNT(compare); i++)
        if (text_is(name, compare[i]))
            return false;
    if (schema.n > 0)
        return find(&p->index->operators, schema, name) != NULL;
    bool added = find(&p->index->operators, TEXT("pg_catalog"), name) != NULL;
    for (int i = 0; !added && i < p->catalog->n_search_path; i++)
        added = find(&p->index->operators, p->catalog->search_path[i], name) != NULL;
    return added;
}
