/* SPDX-License-Identifier: ISC */
/* Constructs of PostgreSQL 16 to 18 that version 15's grammar does not have, known by their words.
 */
#include "tenant/newer.h"

#include "tenant/lexer.h"

static const struct construct {
    const char *word, *then; /* then: the word behind it, or NULL */
    bool later;              /* then: anywhere behind it */
    int since;
    const char *what;
} constructs[] = {
    { "json_table", NULL, false, 17, "JSON_TABLE" },
    { "json_exists", NULL, false, 17, "JSON_EXISTS" },
    { "json_query", NULL, false, 17, "JSON_QUERY" },
    { "json_value", NULL, false, 17, "JSON_VALUE" },
    { "json_scalar", NULL, false, 17, "JSON_SCALAR" },
    { "json_serialize", NULL, false, 17, "JSON_SERIALIZE" },
    { "json_array", NULL, false, 16, "JSON_ARRAY" },
    { "json_object", NULL, false, 16, "JSON_OBJECT in SQL's own form" },
    { "json_arrayagg", NULL, false, 16, "JSON_ARRAYAGG" },
    { "json_objectagg", NULL, false, 16, "JSON_OBJECTAGG" },
    { "is", "json", false, 16, "IS JSON" },
    { "not", "json", false, 16, "IS NOT JSON" },
    { "merge", "returning", true, 17, "MERGE ... RETURNING" },
    { "by", "source", false, 17, "WHEN NOT MATCHED BY SOURCE" },
    { "by", "target", false, 17, "WHEN NOT MATCHED BY TARGET" },
    { "at", "local", false, 17, "AT LOCAL" },
    { "returning", "with", false, 18, "RETURNING WITH (OLD, NEW)" },
    { "without", "overlaps", false, 18, "WITHOUT OVERLAPS" },
    { "indent", NULL, false, 16, "XMLSERIALIZE ... INDENT" },
};

static bool is_word(struct text sql, const struct token *t, const char *word)
{
    return t->kind == TOKEN_IDENT && text_ieq(token_text(sql, *t), text_of(word));
}

/* A number of a form that came with version 16: 0x1F, 0o7, 0b1, 1_000. */
static bool new_number(struct text sql, size_t off)
{
    size_t i = off;

    while (i < sql.n && sql.p[i] >= '0' && sql.p[i] <= '9')
        i++;
    if (i == off || i >= sql.n)
        return false;
    return sql.p[i] == '_' || (i == off + 1 && sql.p[off] == '0' && strchr("xXoObB", sql.p[i]));
}

/* The first construct that begins at the token; what goes on later begins with the text's first
 * token, so that this stays linear. */
static const struct construct *construct_at(struct text sql, const struct token *t,
                                            const struct lexer *behind, bool opens)
{
    for (size_t i = 0; i < sizeof(constructs) / sizeof(constructs[0]); i++) {
        const struct construct *c = &constructs[i];
        struct lexer x = *behind;
        struct token next;
        bool first = true;

        if (!is_word(sql, t, c->word) || (c->later && !opens))
            continue;
        if (!c->then)
            return c;
        while ((first || c->later) && lexer_next(&x, &next)) {
            if (token_is_comment(next))
                continue;
            if (is_word(sql, &next, c->then))
                return c;
            first = false;
        }
    }
    return NULL;
}

int newer_syntax(struct text sql, struct text message, const char **what)
{
    struct lexer x;
    struct token t;

    if (text_is(message, "subquery in FROM must have an alias") ||
        text_is(message, "VALUES in FROM must have an alias")) {
        *what = "a sub-query in FROM without an alias";
        return 16;
    }
    lexer_init(&x, sql, NULL);
    for (bool opens = true; lexer_next(&x, &t); opens = opens && token_is_comment(t)) {
        const struct construct *c = t.kind == TOKEN_IDENT ? construct_at(sql, &t, &x, opens) : NULL;

        if (c) {
            *what = c->what;
            return c->since;
        }
    }
    if (x.trouble == LEXER_JUNK && new_number(sql, x.trouble_off)) {
        *what = "an integer in hexadecimal, octal, binary or with underscores";
        return 16;
    }
    return 0;
}
