/* SPDX-License-Identifier: ISC */
/* The console's language: words, quotes, comments, SET. */
#include "console/parse.h"
#include "tap.h"

struct got {
    struct arena arena;
    struct statement st;
    struct err err;
    bool good;
};

static void parse(struct got *g, const char *sql)
{
    arena_init(&g->arena, 256);
    g->err = (struct err){ 0 };
    g->good = statement_parse(text_of(sql), &g->arena, &g->st, &g->err);
}

static void words(const char *sql, const char *word, const char *a, const char *b)
{
    struct got g;

    parse(&g, sql);
    ok(g.good, "<%s> is read: %s", sql, g.err.msg);
    is_text(g.st.word, word, "<%s>: its first word", sql);
    is_int(g.st.n_args, (a ? 1 : 0) + (b ? 1 : 0), "<%s>: number of arguments", sql);
    if (a && g.st.n_args > 0)
        is_text(g.st.args[0], a, "<%s>: first argument", sql);
    if (b && g.st.n_args > 1)
        is_text(g.st.args[1], b, "<%s>: second argument", sql);
    arena_release(&g.arena);
}

static void set(const char *sql, const char *key, const char *value)
{
    struct got g;

    parse(&g, sql);
    ok(g.good, "<%s> is read: %s", sql, g.err.msg);
    is_text(g.st.args[0], key, "<%s>: key", sql);
    is_text(g.st.value, value, "<%s>: value", sql);
    ok(g.st.value.p && g.st.value.p[g.st.value.n] == '\0', "<%s>: value ends with a NUL", sql);
    arena_release(&g.arena);
}

static void bad(const char *sql, const char *why)
{
    struct got g;

    parse(&g, sql);
    ok(!g.good, "<%s> is refused", sql);
    is_text(text_of(g.err.msg), why, "<%s>: why", sql);
    arena_release(&g.arena);
}

/* The same bytes without a NUL behind them, so that a sanitizer sees a read too far. */
static void exact(const char *sql)
{
    size_t n = strlen(sql);
    char *p = malloc(n ? n : 1);
    struct arena a;
    struct statement st;
    struct err err = { 0 };

    arena_init(&a, 256);
    for (size_t i = 0; i <= n; i++) {
        free(p);
        p = malloc(i ? i : 1);
        memcpy(p, sql, i);
        bool good = statement_parse(text_n(p, i), &a, &st, &err);
        if (!good && !err.msg[0])
            ok(false, "an error without a text for %zu bytes of <%s>", i, sql);
    }
    free(p);
    arena_release(&a);
    ok(true, "every beginning of <%s>", sql);
}

int main(void)
{
    words("", "", NULL, NULL);
    words("  ;  ", "", NULL, NULL);
    words("-- ping", "", NULL, NULL);
    words("/* a */ -- b", "", NULL, NULL);
    words("SHOW POOLS", "SHOW", "POOLS", NULL);
    words("show pools;", "show", "pools", NULL);
    words(" show/**/pools ; -- done", "show", "pools", NULL);
    words("PAUSE \"My \"\"DB\"", "PAUSE", "My \"DB", NULL);
    words("kill 'it''s'", "kill", "it's", NULL);
    words("PAUSE a-b.c$1", "PAUSE", "a-b.c$1", NULL);
    words("x a\tb", "x", "a", "b");
    words("PAUSE \"\"", "PAUSE", "", NULL);
    set("SET a=1", "a", "1");
    set("set a = 'x y';", "a", "x y");
    set("SET a TO b ;", "a", "b");
    set("SET a = 'it''s'", "a", "it's");
    set("SET server_reset_query = DISCARD ALL;", "server_reset_query", "DISCARD ALL");
    set("SET a =", "a", "");
    set("SET a = ''", "a", "");
    bad("SET", "SET needs a key and a value");
    bad("SET a", "SET needs = or TO behind the key");
    bad("SET a b c", "SET needs = or TO behind the key");
    bad("SET a = 'x' y", "one command at a time");
    bad("SHOW POOLS; SHOW STATE", "one command at a time");
    bad("; x", "one command at a time");
    bad("KILL 'x", "unterminated quoted string");
    bad("PAUSE a b c d e f g h i j k l m", "too many words");
    bad("PAUSE =", "syntax error at \"=\"");
    exact("SET a /* c */ = 'it''s' ; -- x");
    exact("PAUSE \"a\"\"b\" 'c' /* d */;");
    return tap_done();
}
