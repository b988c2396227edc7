/* SPDX-License-Identifier: ISC */
/* Lines of [tenant_rules], [tenant_functions] and [tenant_operators]. */
#include "conf/tenants.h"

#include "conf/keys.h"
#include "conf/load.h"
#include "conf/suggest.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool starts_name(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool in_name(char c)
{
    return starts_name(c) || (c >= '0' && c <= '9') || c == '$';
}

static void skip_space(struct text *r)
{
    while (r->n && is_space(r->p[0])) {
        r->p++;
        r->n--;
    }
}

static bool take_char(struct text *r, char c)
{
    if (!r->n || r->p[0] != c)
        return false;
    r->p++;
    r->n--;
    return true;
}

/* Behind the opening quote. */
static bool take_quoted(struct text *rest, char *to, size_t *n)
{
    while (rest->n) {
        char c = rest->p[0];
        rest->p++;
        rest->n--;
        if (c == '"' && !take_char(rest, '"'))
            return true;
        to[(*n)++] = c;
    }
    return false;
}

bool sql_name_take(struct text *rest, struct arena *a, struct sql_name *out, struct err *e)
{
    char *to = arena_alloc(a, rest->n + 1);
    size_t n = 0;

    *out = (struct sql_name){ .star = false };
    if (take_char(rest, '*')) {
        to[n++] = '*';
        out->star = true;
    } else if (take_char(rest, '"')) {
        if (!take_quoted(rest, to, &n))
            return err_set(e, "a double quote is not closed");
        if (!n)
            return err_set(e, "a name between double quotes is empty");
    } else {
        if (!rest->n || !starts_name(rest->p[0]))
            return err_set(
                e, "expected a name as SQL writes it; one with odd characters stands in \"...\"");
        while (rest->n && in_name(rest->p[0])) {
            to[n++] = lower(rest->p[0]);
            rest->p++;
            rest->n--;
        }
    }
    to[n] = '\0';
    if (n > SQL_NAME_MAX)
        return err_set(e, "a name is longer than %d bytes", SQL_NAME_MAX);
    if (!key_text_is_clean(text_n(to, n)))
        return err_set(e, "a name is not valid UTF-8 without control characters");
    out->text = text_n(to, n);
    return true;
}

struct text sql_args_fold(struct text args, struct arena *a)
{
    char *to = arena_alloc(a, args.n * 2 + 1);
    size_t n = 0;
    bool inside = false, space = false;

    for (size_t i = 0; i < args.n; i++) {
        char c = args.p[i];
        if (!inside && is_space(c)) {
            space = n > 0;
            continue;
        }
        if (!inside && c == ',') {
            to[n++] = ',';
            space = true;
            continue;
        }
        if (space)
            to[n++] = ' ';
        space = false;
        if (c == '"')
            inside = !inside;
        to[n++] = inside ? c : lower(c);
    }
    to[n] = '\0';
    return text_n(to, n);
}

/* schema.name, schema.*, *.name or * */
static bool rule_relation(struct text key, struct arena *a, struct tenant_rule *r, struct err *e)
{
    struct sql_name first, second;

    if (!sql_name_take(&key, a, &first, e))
        return false;
    skip_space(&key);
    if (!key.n) {
        r->any_schema = true;
        return first.star || err_set(e, "the schema is missing: write schema.%s", first.text.p);
    }
    if (!take_char(&key, '.'))
        return err_set(e, "expected schema.relation; a name with odd characters stands in \"...\"");
    skip_space(&key);
    if (!sql_name_take(&key, a, &second, e))
        return false;
    skip_space(&key);
    if (key.n)
        return err_set(e, "expected schema.relation and nothing behind it; "
                          "a name with odd characters stands in \"...\"");
    r->any_schema = first.star;
    if (!first.star)
        r->schema = first.text;
    if (!second.star)
        r->relation = second.text;
    return true;
}

/* column | shared | deny, then options (tenant_options.c) */
static bool rule_value(struct text value, struct arena *a, struct tenant_rule *r, struct err *e)
{
    struct sql_name column;
    bool quoted = value.n && value.p[0] == '"';

    if (!sql_name_take(&value, a, &column, e))
        return false;
    if (column.star)
        return err_set(e, "* is not a column");
    skip_space(&value);
    r->cls = quoted                           ? RULE_TENANT
             : text_is(column.text, "shared") ? RULE_SHARED
             : text_is(column.text, "deny")   ? RULE_DENY
                                              : RULE_TENANT;
    if (r->cls == RULE_TENANT)
        r->column = column.text;
    return rule_options(value, a, r, e);
}

static bool same_relation(const struct tenant_rule *a, const struct tenant_rule *b)
{
    return a->any_schema == b->any_schema && text_eq(a->schema, b->schema) &&
           text_eq(a->relation, b->relation);
}

void load_rule(struct load *l, const struct ini_line *line)
{
    struct setup *s = l->s;
    struct tenant_rule r = { .line = line->at.line };
    struct err e = { 0 };

    if (!rule_relation(line->key, l->a, &r, &e) || !rule_value(line->value, l->a, &r, &e)) {
        trouble_problem(&l->t, line->at, line->key, "%s", e.msg);
        return;
    }
    r.file = arena_strdup(l->a, line->at.file);
    for (int i = 0; i < s->n_rules; i++) {
        const struct tenant_rule *o = &s->rules[i];
        if (!same_relation(o, &r))
            continue;
        if (o->cls != r.cls || !text_eq(o->column, r.column) || !text_eq(o->claim, r.claim) ||
            !rule_same_settings(o, &r))
            trouble_problem(&l->t, line->at, line->key, "contradicts %s:%d", o->file, o->line);
        return;
    }
    s->rules[s->n_rules++] = r;
}

/* allow or deny */
static bool allow_value(struct text value, bool *allow, struct err *e)
{
    *allow = text_is_i(value, "allow");
    if (*allow || text_is_i(value, "deny"))
        return true;
    return err_set(e, "\"%.*s\" is neither allow nor deny", (int)(value.n < 100 ? value.n : 100),
                   value.p);
}

/* Takes "schema." off *rest. */
static bool take_schema(struct text *rest, struct arena *a, struct text *schema, struct err *e)
{
    struct sql_name name;

    if (!sql_name_take(rest, a, &name, e))
        return false;
    if (name.star)
        return err_set(e, "the schema must be named");
    skip_space(rest);
    if (!take_char(rest, '.'))
        return err_set(e, "the schema is missing: write schema.%s", name.text.p);
    skip_space(rest);
    *schema = name.text;
    return true;
}

/* schema.name or schema.name(argument types) */
static bool function_key(struct text key, struct arena *a, struct tenant_function *f, struct err *e)
{
    struct sql_name name;

    if (!take_schema(&key, a, &f->schema, e) || !sql_name_take(&key, a, &name, e))
        return false;
    if (name.star)
        return err_set(e, "each function must be named");
    f->name = name.text;
    skip_space(&key);
    f->args_any = !key.n;
    if (!key.n)
        return true;
    if (!take_char(&key, '(') || !key.n || key.p[key.n - 1] != ')')
        return err_set(e, "expected schema.name or schema.name(argument types)");
    f->args = sql_args_fold(text_n(key.p, key.n - 1), a);
    if (!key_text_is_clean(f->args))
        return err_set(e, "the argument types are not valid UTF-8 without control characters");
    return true;
}

void load_function(struct load *l, const struct ini_line *line)
{
    struct setup *s = l->s;
    struct tenant_function f = { .allow = false };
    struct err e = { 0 };

    if (!function_key(line->key, l->a, &f, &e) || !allow_value(line->value, &f.allow, &e)) {
        trouble_problem(&l->t, line->at, line->key, "%s", e.msg);
        return;
    }
    for (int i = 0; i < s->n_functions; i++) {
        const struct tenant_function *o = &s->functions[i];
        if (!text_eq(o->schema, f.schema) || !text_eq(o->name, f.name) ||
            o->args_any != f.args_any || !text_eq(o->args, f.args))
            continue;
        if (o->allow != f.allow)
            trouble_problem(&l->t, line->at, line->key, "allowed and denied");
        return;
    }
    s->functions[s->n_functions++] = f;
}

static bool operator_key(struct text key, struct arena *a, struct tenant_operator *o, struct err *e)
{
    if (!take_schema(&key, a, &o->schema, e))
        return false;
    if (!key.n || key.n > SQL_NAME_MAX)
        return err_set(e, "expected schema.operator");
    for (size_t i = 0; i < key.n; i++)
        if (!memchr("+-*/<>=~!@#%^&|`?", key.p[i], 17))
            return err_set(e, "an operator consists of + - * / < > = ~ ! @ # %% ^ & | ` ? only, "
                              "without argument types");
    o->name = arena_text(a, key);
    return true;
}

void load_operator(struct load *l, const struct ini_line *line)
{
    struct setup *s = l->s;
    struct tenant_operator op = { .allow = false };
    struct err e = { 0 };

    if (!operator_key(line->key, l->a, &op, &e) || !allow_value(line->value, &op.allow, &e)) {
        trouble_problem(&l->t, line->at, line->key, "%s", e.msg);
        return;
    }
    for (int i = 0; i < s->n_operators; i++) {
        const struct tenant_operator *o = &s->operators[i];
        if (!text_eq(o->schema, op.schema) || !text_eq(o->name, op.name))
            continue;
        if (o->allow != op.allow)
            trouble_problem(&l->t, line->at, line->key, "allowed and denied");
        return;
    }
    s->operators[s->n_operators++] = op;
}
