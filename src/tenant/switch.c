/* SPDX-License-Identifier: ISC */
/* Recognising SET, RESET and SHOW of pgbulkhead's own settings. */
#include "tenant/switch.h"

#include "tenant/lexer.h"

#define SPACE "pgbulkhead" /* the part of the names before the dot */

struct reader {
    struct text sql;
    const struct token *t;
    int n, i;
    struct arena *a;
};

static enum switch_kind bad(struct err *e, const char *state, const char *what)
{
    err_set_state(e, state, "%s", what);
    return SWITCH_BAD;
}

static bool at_char(const struct reader *r, char c)
{
    return r->i < r->n && token_is_char(r->sql, r->t[r->i], c);
}

static bool take_char(struct reader *r, char c)
{
    if (!at_char(r, c))
        return false;
    r->i++;
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    if (r->i >= r->n || r->t[r->i].kind != TOKEN_IDENT ||
        !text_is_i(token_text(r->sql, r->t[r->i]), word))
        return false;
    r->i++;
    return true;
}

/* A name, quoted or not: settings' names do not mind case. Unicode escapes are not resolved: a
 * name that has them is told by *odd. */
static bool take_name(struct reader *r, struct text *name, bool *odd)
{
    if (r->i >= r->n)
        return false;
    struct token t = r->t[r->i];
    *name = token_text(r->sql, t);
    if (t.kind == TOKEN_QIDENT)
        *name = text_n(name->p + 1, name->n - 2);
    else if (t.kind == TOKEN_UIDENT)
        *odd = true;
    else if (t.kind != TOKEN_IDENT)
        return false;
    r->i++;
    return true;
}

/* 'text' with quotes doubled, and nothing that the server could read in two ways. */
static bool take_string(struct reader *r, struct text *value)
{
    if (r->i >= r->n || r->t[r->i].kind != TOKEN_STRING)
        return false;
    struct text s = token_text(r->sql, r->t[r->i]);
    char *out = arena_alloc(r->a, s.n + 1);
    size_t n = 0;

    if (s.n < 2 || s.p[0] != '\'' || s.p[s.n - 1] != '\'')
        return false;
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == '\\' || (s.p[i] == '\'' && (i + 2 >= s.n || s.p[i + 1] != '\'')))
            return false; /* escapes, or a string in several pieces */
        i += s.p[i] == '\'';
        out[n++] = s.p[i];
    }
    out[n] = '\0';
    r->i++;
    *value = text_n(out, n);
    return true;
}

/* pgbulkhead.NAME behind the verb. SWITCH_NONE: another setting. SWITCH_SET_TENANT or
 * SWITCH_SET_TOKEN: which of ours. */
static enum switch_kind take_ours(struct reader *r, struct err *e)
{
    struct text first, second;
    bool odd = false;

    if (!take_name(r, &first, &odd) || !take_char(r, '.') || !take_name(r, &second, &odd) ||
        at_char(r, '.'))
        return SWITCH_NONE;
    if (odd)
        return bad(e, "0A000", "write the name of the setting without Unicode escapes");
    if (!text_is_i(first, SPACE))
        return SWITCH_NONE;
    if (text_is_i(second, "tenant"))
        return SWITCH_SET_TENANT;
    if (text_is_i(second, "tenant_token"))
        return SWITCH_SET_TOKEN;
    return bad(e, "42704", "there is no such setting of pgbulkhead");
}

static enum switch_kind read_set(struct reader *r, struct text *value, struct err *e)
{
    bool local = take_word(r, "local");

    if (!local)
        take_word(r, "session");
    enum switch_kind which = take_ours(r, e);
    if (which == SWITCH_NONE || which == SWITCH_BAD)
        return which;
    if (local)
        return bad(e, "0A000", "the tenant holds for the session: SET LOCAL is not possible");
    if (!take_char(r, '=') && !take_word(r, "to"))
        return bad(e, "42601", "expected = or TO behind the name of the setting");
    if (take_word(r, "default"))
        return SWITCH_RESET;
    if (!take_string(r, value))
        return bad(e, "42601", "write the value as a plain string: 'text', without backslashes");
    return which;
}

/* The statement at r->i. */
static enum switch_kind read_one(struct reader *r, struct text *value, const char **tag,
                                 struct err *e)
{
    enum switch_kind kind = SWITCH_NONE;

    if (take_word(r, "set")) {
        *tag = "SET";
        kind = read_set(r, value, e);
    } else if (take_word(r, "reset")) {
        *tag = "RESET";
        kind = take_ours(r, e);
        if (kind == SWITCH_SET_TENANT || kind == SWITCH_SET_TOKEN)
            kind = SWITCH_RESET;
    } else if (take_word(r, "show")) {
        *tag = "SHOW";
        kind = take_ours(r, e);
        if (kind == SWITCH_SET_TOKEN)
            return bad(e, "42501", "a token is not shown");
        if (kind == SWITCH_SET_TENANT)
            kind = SWITCH_SHOW;
    }
    if (kind != SWITCH_NONE && kind != SWITCH_BAD && r->i < r->n && !at_char(r, ';'))
        return bad(e, "42601", "there is more behind the value than belongs there");
    return kind;
}

enum switch_kind switch_read(struct text sql, struct arena *a, struct text *value, const char **tag,
                             struct err *e)
{
    struct reader r = { .sql = sql, .a = a };
    enum switch_kind found = SWITCH_NONE;
    struct token *all;
    int n = lexer_run(sql, a, &all, NULL, NULL), statements = 0;

    *value = text_n(NULL, 0);
    *tag = "";
    if (n < 0) /* the server would refuse it, but a token must not get that far */
        return strcasestr(sql.p, "tenant_token")
                   ? bad(e, "42601", "a statement about a token that cannot be read")
                   : SWITCH_NONE;
    for (int i = 0; i < n; i++)
        if (!token_is_comment(all[i]))
            all[r.n++] = all[i];
    r.t = all;
    while (r.i < r.n) {
        if (take_char(&r, ';'))
            continue;
        statements++;
        enum switch_kind kind = found == SWITCH_NONE ? read_one(&r, value, tag, e) : SWITCH_NONE;
        if (kind == SWITCH_BAD)
            return kind;
        if (kind != SWITCH_NONE)
            found = kind;
        while (r.i < r.n && !at_char(&r, ';'))
            r.i++;
    }
    if (found != SWITCH_NONE && statements > 1)
        return bad(e, "0A000", "a statement about the tenant stands alone in its message");
    return found;
}
