/* SPDX-License-Identifier: ISC */
/* Options of a line of [tenant_rules]: the claim, and settings for statements on the relation. */
#include "conf/keys.h"
#include "conf/tenants.h"

/* What the pooler itself relies upon, follows in ParameterStatus, or nobody may set for others. */
static const char *const reserved[] = {
    "application_name", "backslash_quote", "client_encoding", "datestyle",
    "default_transaction_read_only", "in_hot_standby", "integer_datetimes", "intervalstyle",
    "is_superuser", "role", "row_security", "scram_iterations", "search_path", "server_encoding",
    "server_version", "session_authorization", "session_replication_role",
    "standard_conforming_strings", "timezone", "transaction_deferrable", "transaction_isolation",
    "transaction_read_only",
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct text *t)
{
    while (t->n && is_blank(t->p[0])) {
        t->p++;
        t->n--;
    }
}

static char next(struct text *t)
{
    t->n--;
    return *t->p++;
}

/* A word, or text in double quotes in which a double quote is written twice. */
static bool option_value(struct text *rest, struct arena *a, struct text *out, struct err *e)
{
    char *to = arena_alloc(a, rest->n + 1);
    size_t n = 0;
    bool quoted = rest->n && rest->p[0] == '"', closed = !quoted;

    if (quoted)
        next(rest);
    while (rest->n && (quoted || !is_blank(rest->p[0]))) {
        char c = next(rest);
        if (quoted && c == '"') {
            if (!rest->n || rest->p[0] != '"') {
                closed = true;
                break;
            }
            next(rest);
        }
        to[n++] = c;
    }
    to[n] = '\0';
    *out = text_n(to, n);
    if (!closed)
        return err_set(e, "a double quote is not closed");
    return key_text_is_clean(*out) ||
           err_set(e, "a value is not valid UTF-8 without control characters");
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* name or prefix.name */
static bool setting_name(struct text t)
{
    bool start = true;

    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (start ? !letter(c) : !letter(c) && !(c >= '0' && c <= '9') && c != '$' && c != '.')
            return false;
        start = c == '.';
    }
    return t.n > 0 && t.n < 128 && !start;
}

/* NAME=VALUE */
static bool add_setting(struct text value, struct tenant_rule *r, struct err *e)
{
    const char *eq = memchr(value.p, '=', value.n);
    struct text name = text_trim(text_n(value.p, eq ? (size_t)(eq - value.p) : 0));

    if (r->cls == RULE_DENY)
        return err_set(e, "set= on a relation that is denied");
    if (!setting_name(name))
        return err_set(e, "set= needs \"NAME=VALUE\"");
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (text_is_i(name, reserved[i]))
            return err_set(e, "set=: %s is not for rules to set", reserved[i]);
    if (r->n_settings == RULE_SETTINGS_MAX)
        return err_set(e, "more than %d set=", RULE_SETTINGS_MAX);
    r->settings[r->n_settings++] = (struct rule_setting){
        name, text_trim(text_n(eq + 1, value.n - (size_t)(eq + 1 - value.p)))
    };
    return true;
}

static bool one_option(struct text key, struct text value, struct arena *a, struct tenant_rule *r,
                       bool *when, struct err *e)
{
    if (text_is(key, "claim") && r->cls == RULE_TENANT && !r->claim.n) {
        r->claim = arena_text(a, value);
        return value.n > 0 || err_set(e, "claim= needs the name of a claim");
    }
    if (text_is(key, "set"))
        return add_setting(value, r, e);
    if (text_is(key, "set_when") && !*when) {
        *when = true;
        r->settings_always = text_is(value, "always");
        return r->settings_always || text_is(value, "order_by_distance") ||
               err_set(e, "set_when= is order_by_distance or always");
    }
    return err_set(e, "expected column, shared or deny, then claim=NAME (behind a column), "
                      "set=\"NAME=VALUE\", set_when=order_by_distance or always");
}

bool rule_options(struct text rest, struct arena *a, struct tenant_rule *r, struct err *e)
{
    bool when = false;

    for (skip_blanks(&rest); rest.n; skip_blanks(&rest)) {
        struct text key = { rest.p, 0 }, value;
        while (rest.n && (letter(rest.p[0]))) {
            next(&rest);
            key.n++;
        }
        skip_blanks(&rest);
        bool equals = rest.n && next(&rest) == '=';
        skip_blanks(&rest);
        if (!equals)
            key.n = 0; /* the usual complaint */
        if ((equals && !option_value(&rest, a, &value, e)) ||
            !one_option(key, equals ? value : TEXT(""), a, r, &when, e))
            return false;
        if (rest.n && !is_blank(rest.p[0]))
            return err_set(e, "expected nothing behind %.*s=", TEXT_ARG(key));
    }
    return !when || r->n_settings > 0 || err_set(e, "set_when= without set=");
}

bool rule_same_settings(const struct tenant_rule *a, const struct tenant_rule *b)
{
    bool same = a->n_settings == b->n_settings && a->settings_always == b->settings_always;

    for (int i = 0; same && i < a->n_settings; i++)
        same = text_eq(a->settings[i].name, b->settings[i].name) &&
               text_eq(a->settings[i].value, b->settings[i].value);
    return same;
}
