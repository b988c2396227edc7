/* SPDX-License-Identifier: ISC */
/* Which settings tenants may change or see, in SQL and at start-up. */
#include "tenant/policy_index.h"

enum check { NO, ANY, ENCODING, ON_ONLY, PINNED };
static const struct setting {
    const char *name;
    enum check set;
    bool show;
} settings[] = {
#define SETTING(name, set, show) { name, set, show },
#include "tenant/settings.def"
};

static bool refuse(struct text *why, struct text t)
{
    if (why)
        *why = t;
    return false;
}

static const struct setting *find_setting(struct text name)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct text s = text_of(settings[i].name);
        struct text head = name;

        if (s.p[s.n - 1] == '*') {
            s.n--;
            if (name.n <= s.n)
                continue;
            head.n = s.n;
        }
        if (text_ieq(head, s))
            return &settings[i];
    }
    return NULL;
}

/* UTF-8 under any of its spellings ('utf-8', UTF8, Unicode): letters and digits count, as in the
 * server. */
static bool is_utf8(struct text v)
{
    char folded[16];
    size_t n = 0;

    for (size_t i = 0; i < v.n; i++) {
        char ch = v.p[i];

        if (ch >= 'A' && ch <= 'Z')
            ch = (char)(ch - 'A' + 'a');
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')))
            continue;
        if (n == sizeof(folded))
            return false;
        folded[n++] = ch;
    }
    return text_is(text_n(folded, n), "utf8") || text_is(text_n(folded, n), "unicode");
}

static bool is_on(struct text v)
{
    return text_is_i(v, "on") || text_is_i(v, "true") || text_is_i(v, "yes") || text_is(v, "1");
}

/* One element of a list of names: a part between commas, unquoted. Compares it with `want`. */
static bool element_is(struct text part, struct text want)
{
    size_t k = 0;

    part = text_trim(part);
    if (part.n >= 2 && part.p[0] == '"' && part.p[part.n - 1] == '"') {
        for (size_t i = 1; i + 1 < part.n; i++) {
            if (part.p[i] == '"' && part.p[i + 1] == '"' && i + 2 < part.n)
                i++;
            if (k >= want.n || want.p[k++] != part.p[i])
                return false;
        }
        return k == want.n;
    }
    for (size_t i = 0; i < want.n; i++) { /* unquoted: folded to lower case */
        if (want.p[i] >= 'A' && want.p[i] <= 'Z')
            return false;
    }
    return text_ieq(part, want);
}

static bool is_pinned(const struct policy *p, struct text v)
{
    struct text rest = v, part;
    int i = 0;

    while (text_split(&rest, ',', &part)) {
        if (i >= p->catalog->n_search_path || !element_is(part, p->catalog->search_path[i]))
            return false;
        i++;
    }
    return i == p->catalog->n_search_path && i > 0;
}

static bool value_ok(const struct policy *p, enum check how, struct text v, bool known,
                     struct text *why)
{
    switch (how) {
    case ANY:
        return true;
    case ENCODING:
        return (known && is_utf8(v)) || refuse(why, TEXT("only UTF8 is possible for tenants"));
    case ON_ONLY:
        return (known && is_on(v)) || refuse(why, TEXT("it has to stay on for tenants"));
    case PINNED:
        return (p && known && is_pinned(p, v)) ||
               refuse(
                   why,
                   TEXT(
                       "search_path is fixed for tenants; write schema names, or set exactly the path in force"));
    case NO:
        break;
    }
    return refuse(why, TEXT("the setting is not on the list of settings that tenants may change"));
}

static bool set_by_rule(const struct policy *p, struct text name)
{
    for (int i = 0; i < p->setup->n_rules; i++)
        for (int k = 0; k < p->setup->rules[i].n_settings; k++)
            if (text_ieq(p->setup->rules[i].settings[k].name, name))
                return true;
    return false;
}

bool policy_setting_ok(const struct policy *p, struct text name, bool set, struct text value,
                       bool value_known, struct text *why)
{
    const struct setting *s = find_setting(name);

    if (p->index->guc[0] && text_is_i(name, p->index->guc))
        return !set ||
               refuse(why, TEXT("the setting carries the tenant and is bound by the pooler"));
    if (set && set_by_rule(p, name))
        return refuse(why, TEXT("a rule of [tenant_rules] sets it for its statements"));
    if (!s)
        return refuse(
            why, set ? TEXT("the setting is not on the list of settings that tenants may change")
                     : TEXT("the setting is not on the list of settings that tenants may see"));
    if (!set)
        return s->show ||
               refuse(why, TEXT("the setting is not on the list of settings that tenants may see"));
    return value_ok(p, s->set, value, value_known, why);
}

void policy_settings_filter(struct buf *out)
{
    int n = 0;

    buf_text_append(out, TEXT("(pg_catalog.lower(name) OPERATOR(pg_catalog.=) ANY (ARRAY["));
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct text s = text_of(settings[i].name);

        if (settings[i].show && s.p[s.n - 1] != '*')
            buf_printf(out, "%s'%.*s'", n++ ? ", " : "", TEXT_ARG(s));
    }
    buf_text_append(out, TEXT("])"));
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct text s = text_of(settings[i].name);

        if (settings[i].show && s.p[s.n - 1] == '*')
            buf_printf(out, " OR pg_catalog.starts_with(name, '%.*s')", (int)s.n - 1, s.p);
    }
    buf_char(out, ')');
}

/* ---- start-up parameters ---- */

static bool parameter_ok(struct text name, struct text value, struct text *why)
{
    const struct setting *s = find_setting(name);

    if (!s)
        return refuse(
            why, TEXT("the start-up parameter is not on the list of those that tenants may give"));
    return value_ok(NULL, s->set, value, true, why);
}

static bool is_space(char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* The next word of "options": white space separates, a backslash takes the next byte as it is. The
 * word is written over the bytes of `out` (as long as the input). false at the end. */
static bool next_word(struct text *rest, char *out, struct text *word)
{
    size_t i = 0, n = 0;

    while (i < rest->n && is_space(rest->p[i]))
        i++;
    if (i == rest->n)
        return false;
    for (; i < rest->n && !is_space(rest->p[i]); i++) {
        if (rest->p[i] == '\\' && ++i == rest->n)
            break;
        out[n++] = rest->p[i];
    }
    *word = text_n(out, n);
    *rest = text_n(rest->p + i, rest->n - i);
    return true;
}

/* "name=value", dashes in the name stand for underscores. */
static bool assignment_ok(char *p, size_t n, struct text *why)
{
    size_t eq = 0;

    while (eq < n && p[eq] != '=') {
        if (p[eq] == '-')
            p[eq] = '_';
        eq++;
    }
    if (eq == n)
        return refuse(why, TEXT("options: -c name=value expected"));
    return parameter_ok(text_n(p, eq), text_n(p + eq + 1, n - eq - 1), why);
}

static bool options_ok(struct text value, struct text *why)
{
    struct buf copy;
    struct text rest = value, word;
    bool ok = true, after_c = false;
    char *out;

    buf_init(&copy);
    out = buf_reserve(&copy, value.n + 1);
    if (!out)
        return refuse(why, TEXT("options: out of memory"));
    while (ok && next_word(&rest, out, &word)) {
        if (after_c) {
            ok = assignment_ok(out, word.n, why);
            after_c = false;
        } else if (text_is(word, "-c")) {
            after_c = true;
        } else if (text_starts(word, TEXT("-c")) || text_starts(word, TEXT("--"))) {
            ok = assignment_ok(out + 2, word.n - 2, why);
        } else {
            ok = refuse(
                why, TEXT("options: only -c name=value and --name=value are possible for tenants"));
        }
    }
    if (ok && after_c)
        ok = refuse(why, TEXT("options: -c name=value expected"));
    buf_release(&copy);
    return ok;
}

bool policy_startup_ok(struct text name, struct text value, struct text *why)
{
    if (text_is(name, "user") || text_is(name, "database") || text_starts(name, TEXT("_pq_.")))
        return true;
    if (text_is(name, "replication"))
        return text_is(value, "false") || text_is(value, "off") || text_is(value, "no") ||
               text_is(value, "0") || refuse(why, TEXT("replication is not possible for tenants"));
    if (text_is(name, "options"))
        return options_ok(value, why);
    return parameter_ok(name, value, why);
}

struct text policy_guc(const struct policy *p)
{
    return text_of(p->index->guc);
}
