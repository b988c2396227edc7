/* SPDX-License-Identifier: ISC */
/* The console's small language. */
#include "console/parse.h"

struct reader {
    const char *p, *end;
    struct arena *arena;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool starts(const struct reader *r, const char *two)
{
    return r->end - r->p >= 2 && r->p[0] == two[0] && r->p[1] == two[1];
}

/* Blanks and comments. */
static void skip(struct reader *r)
{
    for (;;) {
        while (r->p < r->end && is_blank(*r->p))
            r->p++;
        if (starts(r, "--")) {
            while (r->p < r->end && *r->p != '\n')
                r->p++;
        } else if (starts(r, "/*")) {
            r->p += 2;
            while (r->p < r->end && !starts(r, "*/"))
                r->p++;
            r->p += starts(r, "*/") ? 2 : 0;
        } else {
            return;
        }
    }
}

/* Behind the statement: nothing but one semicolon. */
static bool at_end(struct reader *r, struct err *e)
{
    skip(r);
    if (r->p < r->end && *r->p == ';')
        r->p++;
    skip(r);
    if (r->p < r->end)
        return err_set(e, "one command at a time");
    return true;
}

static bool quoted(struct reader *r, struct text *out, struct err *e)
{
    char quote = *r->p++;
    char *to = arena_alloc(r->arena, (size_t)(r->end - r->p) + 1);
    size_t n = 0;

    for (;;) {
        if (r->p == r->end)
            return err_set(e, "unterminated quoted string");
        char c = *r->p++;
        if (c == quote) {
            if (r->p == r->end || *r->p != quote)
                break;
            r->p++;
        }
        to[n++] = c;
    }
    to[n] = '\0';
    *out = text_n(to, n);
    return true;
}

static bool ends_word(char c)
{
    return is_blank(c) || c == ';' || c == '=' || c == '\'' || c == '"';
}

static bool word(struct reader *r, struct text *out, struct err *e)
{
    if (*r->p == '\'' || *r->p == '"')
        return quoted(r, out, e);
    const char *from = r->p;
    while (r->p < r->end && !ends_word(*r->p) && !starts(r, "--") && !starts(r, "/*"))
        r->p++;
    if (r->p == from)
        return err_set(e, "syntax error at \"%c\"", *r->p);
    *out = arena_text(r->arena, text_n(from, (size_t)(r->p - from)));
    return true;
}

/* key = value, key TO value. */
static bool set_value(struct reader *r, struct statement *st, struct err *e)
{
    struct text to;

    skip(r);
    if (r->p == r->end)
        return err_set(e, "SET needs a key and a value");
    if (!word(r, &st->args[st->n_args++], e))
        return false;
    skip(r);
    if (r->p < r->end && *r->p == '=') {
        r->p++;
    } else if (r->p == r->end || !word(r, &to, e) || !text_is_i(to, "to")) {
        return err_set(e, "SET needs = or TO behind the key");
    }
    skip(r);
    if (r->p < r->end && *r->p == '\'')
        return quoted(r, &st->value, e) && at_end(r, e);
    struct text rest = text_trim(text_n(r->p, (size_t)(r->end - r->p)));
    while (rest.n && rest.p[rest.n - 1] == ';') {
        rest.n--;
        rest = text_trim(rest);
    }
    st->value = arena_text(r->arena, rest);
    return true;
}

bool statement_word(struct text *rest, struct arena *a, struct text *out, struct err *e)
{
    struct reader r = { rest->p, rest->p ? rest->p + rest->n : NULL, a };

    *out = (struct text){ NULL, 0 };
    skip(&r);
    if (r.p < r.end && !word(&r, out, e))
        return false;
    *rest = text_n(r.p, (size_t)(r.end - r.p));
    return true;
}

bool statement_parse(struct text sql, struct arena *a, struct statement *st, struct err *e)
{
    struct reader r = { sql.p, sql.p ? sql.p + sql.n : NULL, a };

    *st = (struct statement){ 0 };
    skip(&r);
    if (r.p == r.end || *r.p == ';')
        return at_end(&r, e);
    if (!word(&r, &st->word, e))
        return false;
    if (text_is_i(st->word, "set"))
        return set_value(&r, st, e);
    if (text_is_i(st->word, "explain")) {
        st->value = text_n(r.p, (size_t)(r.end - r.p));
        return true;
    }
    for (;;) {
        skip(&r);
        if (r.p == r.end || *r.p == ';')
            return at_end(&r, e);
        if (st->n_args == STATEMENT_ARGS)
            return err_set(e, "too many words");
        if (!word(&r, &st->args[st->n_args], e))
            return false;
        st->n_args++;
    }
}
