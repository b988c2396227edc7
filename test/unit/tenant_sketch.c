/* SPDX-License-Identifier: ISC */
/* Templates hold no literal, whatever its form; texts that differ in constants have one key; texts
 * of one key have one template. */
#include "tap.h"

#include "conf/file.h"
#include "tenant/lexer.h"
#include "tenant/sketch.h"

static const uint64_t seed[2] = { 7, 11 };

static struct buf made(struct text sql, bool escapes, bool odd)
{
    const struct sketch_reading how = { .escapes = escapes, .odd_charset = odd };
    struct buf out;

    buf_init(&out);
    sketch_text(sql, &how, &out);
    if (out.failed)
        abort();
    return out;
}

static void is_template(const char *sql, const char *want)
{
    struct buf b = made(text_of(sql), false, false);
    char name[60];
    size_t n = 0;
    for (; sql[n] && n < sizeof(name) - 1; n++)
        name[n] = sql[n] < ' ' || sql[n] > '~' ? '?' : sql[n];
    name[n] = '\0';
    is_text(buf_text(&b), want, "%s", name);
    buf_release(&b);
}

/* Forms of literals; every one holds Geheim in some way, and none may be seen. */
static const char *const hidden[] = {
    "'Geheim'",
    "'a''Geheim'",
    "E'Geheim'",
    "e'\\'Geheim\\''",
    "E'\\\\' 'Geheim'",
    "U&'\\0041Geheim'",
    "u&'Geheim' UESCAPE '!'",
    "N'Geheim'",
    "B'1' 'Geheim'",
    "X'1F' 'Geheim'",
    "$$Geheim$$",
    "$tag$Geheim$$Geheim$tag$",
    "$a1$ $b$ Geheim $a1$",
    "'x'\n'Geheim'",
    "'x' -- Geheim\n 'Geheim'",
    "/* Geheim */ 1",
    "/* /* Geheim */ Geheim */ 1",
    "1 -- Geheim",
    "1 -- Geheim\r\n",
    "'multi\nline\nGeheim'",
    "'\xc3\xa4Geheim'",
    "'\xe4Geheim'",
    "E'\\x41Geheim'",
    "'-- Geheim'",
    "'/* Geheim'",
    "$$ ' Geheim $$",
    "'$$ Geheim $$'",
    "'Geheim'::text",
    "'{\"k\": \"Geheim\"}'::jsonb",
    "interval 'Geheim'",
    "ARRAY['a','Geheim']",
    "-'Geheim'",
    "'Geheim",
    "E'Geheim",
    "$$Geheim",
    "$x$Geheim$y$",
    "/* Geheim",
    "'a'Geheim'",
    "'Geheim'Geheim",
    "''Geheim''",
    "'a\\'Geheim'",
    "'\\' Geheim \\''",
};

static void literals(void)
{
    int n = 0, bad = 0;
    char sql[300];

    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
        for (int form = 0; form < 4; form++) {
            static const char *const around[] = { "SELECT %s", "SELECT a FROM t WHERE b = %s AND c",
                                                  "INSERT INTO t VALUES (1, %s, 'x')",
                                                  "SELECT 1; UPDATE t SET a = 'o', b = %s" };
            const char *at = strstr(around[form], "%s");
            snprintf(sql, sizeof(sql), "%.*s%s%s", (int)(at - around[form]), around[form],
                     hidden[i], at + 2);
            struct buf b = made(text_of(sql), false, false);
            n++;
            if (memmem(buf_data(&b), buf_len(&b), "Geheim", 6)) {
                bad++;
                printf("# %s -> %.*s\n", sql, TEXT_ARG(buf_text(&b)));
            }
            buf_release(&b);
        }
    is_int(bad, 0, "%d texts with literals of all forms: none survives", n);
}

/* How many values a list has is not told; what else may stand there is. */
static void lists(void)
{
    static const char *const in[] = {
        "1",
        "1, 2",
        "$1,$2,$3",
        "-1",
        "'a' , - 2.5 ,\n E'b'",
        " 1 ",
        "1 /* one */, 2 -- two\n",
        "'a'::text",
        "'a'::text, 'b'::pg_catalog.varchar(10)[], 3::\"My.Type\"",
        "$1::integer, $2::integer, $3::integer",
        "'1'::timestamp(3) with time zone, '2'::double precision::text",
        "B'1', X'1f', N'n', $$d$$, U&'u'",
    };
    char sql[300];

    for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++) {
        snprintf(sql, sizeof(sql), "SELECT a FROM t WHERE b NOT in (%s) AND c", in[i]);
        is_template(sql, "SELECT a FROM t WHERE b NOT in (?, ...) AND c");
        snprintf(sql, sizeof(sql), "SELECT a FROM t WHERE b = ANY (ARRAY[%s])", in[i]);
        is_template(sql, "SELECT a FROM t WHERE b = ANY (ARRAY[?, ...])");
    }
    is_template("SELECT (a,b) IN ((1,2)), (a,b) IN ((1,2),($1, -3::int))",
                "SELECT (a,b) IN ((?, ...)), (a,b) IN ((?, ...))");
    is_template("SELECT a IN (1, b), a IN (b, 1, 2)", "SELECT a IN (?, b), a IN (b, ?, ...)");
    is_template("SELECT a IN (SELECT b FROM t WHERE c IN (1)) AND d IN (2,3)",
                "SELECT a IN (SELECT b FROM t WHERE c IN (?, ...)) AND d IN (?, ...)");
    is_template("SELECT a IN (f(1)), a IN (1 + 2), a IN (1::bool AND b), a IN (1::int::text || c)",
                "SELECT a IN (f(?)), a IN (? + ?), a IN (?::bool AND b), a IN (?::int::text || c)");
    is_template("SELECT a IN ('x' ? 'y')", "SELECT a IN (? ? ?)");
    is_template("SELECT f(1), s.in(1), \"in\" (1), coalesce(1, 2)",
                "SELECT f(?), s.in(?), \"in\" (?), coalesce(?, ...)");
    is_template("SELECT ARRAY[[1,2],[3]], a[1], ARRAY[]", "SELECT ARRAY[[?, ...],[?]], a[?], ARRAY[]");
    is_template("SELECT a IN (1, 2", "SELECT a IN (?, ...");
    is_template("SELECT a IN (1))), 2, (3) IN (4)", "SELECT a IN (?, ...))), ?, (?) IN (?, ...)");
}

/* However long a list is, it takes no more room than a short one. */
static void long_list(void)
{
    struct buf sql;

    buf_init(&sql);
    buf_text_append(&sql, TEXT("SELECT a IN ("));
    for (int i = 0; i < 2000; i++)
        buf_printf(&sql, "$%d::INTEGER, ", i + 1);
    buf_text_append(&sql, TEXT("-1) AND the_end"));
    struct buf b = made(buf_text(&sql), false, false);
    is_text(buf_text(&b), "SELECT a IN (?, ...) AND the_end", "a list of 2,001 values with casts");
    buf_release(&b);
    buf_release(&sql);
}

static void forms(void)
{
    is_template("SELECT 1", "SELECT ?");
    is_template("select a.b, 1.5e3, 'x' from  t where x=$1", "select a.b, ?, ... from t where x=?");
    is_template("SELECT * FROM t WHERE a IN (1,2,3)", "SELECT * FROM t WHERE a IN (?, ...)");
    is_template("INSERT INTO t VALUES (1,'a'),(2,'b')", "INSERT INTO t VALUES (?, ...)");
    is_template("SELECT \"Odd Name\", t1.c2 FROM t1", "SELECT \"Odd Name\", t1.c2 FROM t1");
    is_template("SELECT a -- c\n FROM t", "SELECT a FROM t");
    is_template("SELECT * FROM t WHERE a = -1 AND b IN (-1, 2, -3)",
                "SELECT * FROM t WHERE a = ? AND b IN (?, ...)");
    is_template("UPDATE t SET a = a + -5, b = b -5, c = (a)-1",
                "UPDATE t SET a = a + ?, b = b -?, c = (a)-?");
    is_template("SELECT -1, x - -2 FROM \"-?\" LIMIT +3", "SELECT ?, x - ? FROM \"-?\" LIMIT ?");
    is_template("INSERT INTO t VALUES (1, 2, -3, now())", "INSERT INTO t VALUES (?, ..., now())");
    lists();
    is_template("", "<empty>");
    is_template("-- only", "<empty>");
    is_template("SELECT 'a", "<unreadable>");
    is_template("SELECT 'a'b", "<unreadable>");
    is_template("SELECT \\ 'a'", "<unreadable>");
    is_template("SELECT \"a\tb\"", "SELECT \"a?b\"");
    is_template("SELECT \xe4\xf6, 'x'", "SELECT __, ?");
    is_template("SET standard_conforming_strings=off; SELECT 'a\\' 'b'", "<unreadable>");
    is_template("SET app.token TO abc", "SET app.token TO ?");
    is_template("set local app.token = \"abc\", def; SET x = y",
                "set local app.token = ?, ...; SET x = ?");
    is_template("/* x */ SET TIME ZONE abc; UPDATE t SET a = b",
                "SET TIME ZONE ?; UPDATE t SET a = b");
    is_template("ALTER ROLE app SET app.token TO abc", "ALTER ROLE app SET app.token TO ?");
    is_template("CREATE FUNCTION f() RETURNS int SET a.b = abc",
                "CREATE FUNCTION f() RETURNS int SET a.b = ?");
    is_template("SET ROLE app", "SET ROLE app");
    struct buf b = made(TEXT("SELECT 'a\\'"), true, false);
    is_text(buf_text(&b), "<unreadable>", "a backslash while it escapes");
    buf_release(&b);
    b = made(TEXT("SELECT '\x95\x5c'"), false, true);
    is_text(buf_text(&b), "<unreadable>", "characters of an odd charset");
    buf_release(&b);
    ok(sketch_odd_charset("SJIS") && sketch_odd_charset("GB18030") && sketch_odd_charset("UHC") &&
           sketch_odd_charset("BIG5") && sketch_odd_charset("JOHAB"),
       "odd charsets");
    ok(!sketch_odd_charset("UTF8") && !sketch_odd_charset("SQL_ASCII") &&
           !sketch_odd_charset("LATIN1") && !sketch_odd_charset(NULL),
       "others");
    is_text(sketch_prepared(TEXT("(int, text) AS SELECT 1 AS a")), "SELECT 1 AS a",
            "behind PREPARE");
    char *big = malloc(SKETCH_MAX_TEXT + 1);
    memset(big, 'x', SKETCH_MAX_TEXT + 1);
    b = made(text_n(big, SKETCH_MAX_TEXT + 1), false, false);
    is_text(buf_text(&b), "<too long>", "a long text");
    buf_release(&b);
    free(big);
}

/* ---- keys ---- */

static bool same_key(struct text a, struct text b)
{
    uint64_t x[2], y[2];

    sketch_key(a, seed, 1, x);
    sketch_key(b, seed, 1, y);
    return x[0] == y[0] && x[1] == y[1];
}

static void keys(void)
{
    uint64_t x[2], y[2];
#define SAME(a, b) ok(same_key(TEXT(a), TEXT(b)), "one key: line %d", __LINE__)
#define OTHER(a, b) ok(!same_key(TEXT(a), TEXT(b)), "two keys: line %d", __LINE__)
    SAME("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 4711");
    SAME("SELECT 'a', 1.5", "SELECT 'b''c', 33.25");
    SAME("SELECT a /* x */", "SELECT a /* yy */");
    SAME("SELECT a -- x\n", "SELECT a -- yyy\n");
    SAME("SELECT $1", "SELECT $12");
    SAME("SELECT a->'x', -1", "SELECT a->'yy', -22");
    OTHER("SELECT a1 FROM t", "SELECT a2 FROM t");
    OTHER("SELECT t$1", "SELECT t$2");
    OTHER("SELECT \"a1\"", "SELECT \"a2\"");
    OTHER("SELECT \"'1'\"", "SELECT \"'2'\"");
    OTHER("SELECT E'a'", "SELECT E'b'");
    OTHER("SELECT $$a$$", "SELECT $$b$$");
    OTHER("SELECT a_1", "SELECT a_2");
    OTHER("SELECT 'a'", "SELECT 1");
    OTHER("SELECT \xc3\xa4"
          "1",
          "SELECT \xc3\xa4"
          "2");
    sketch_key(TEXT("SELECT 1"), seed, 1, x);
    sketch_key(TEXT("SELECT 1"), seed, 2, y);
    ok(x[0] != y[0] && x[1] != y[1], "other owners, other keys");
}

/* The text with other values for its plain constants and comments, as the key should not see. */
static void vary(struct text sql, struct buf *out)
{
    struct lexer x;
    struct token t;
    uint32_t end = 0;

    buf_clear(out);
    lexer_init(&x, sql, NULL);
    while (lexer_next(&x, &t)) {
        struct text tok = token_text(sql, t);
        buf_append(out, sql.p + end, t.off - end);
        if (t.kind == TOKEN_STRING && !memchr(tok.p, '\n', tok.n))
            buf_text_append(out, TEXT("'other ''one'"));
        else if (t.kind == TOKEN_INT)
            buf_text_append(out, TEXT("424242"));
        else
            buf_text_append(out, tok);
        end = t.off + t.len;
    }
    buf_append(out, sql.p + end, sql.n - end);
}

struct tally {
    int n, keys, templates, leaks;
};

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c > 127;
}

/* Every string's content of four letters and more that is no word of the text elsewhere. */
static int leaks(struct text sql, struct text template)
{
    struct lexer x, y;
    struct token t, u;
    int n = 0;

    lexer_init(&x, sql, NULL);
    while (lexer_next(&x, &t)) {
        struct text in = token_text(sql, t);
        if (t.kind != TOKEN_STRING || in.n < 6)
            continue;
        in = text_n(in.p + 1, in.n - 2);
        bool elsewhere = false;
        lexer_init(&y, sql, NULL);
        while (lexer_next(&y, &u))
            if (u.off != t.off && u.kind != TOKEN_STRING &&
                memmem(sql.p + u.off, u.len, in.p, in.n))
                elsewhere = true;
        bool wordy = true;
        for (size_t i = 0; i < in.n; i++)
            wordy = wordy && is_name_byte(in.p[i]);
        if (wordy && !elsewhere && memmem(template.p, template.n, in.p, in.n)) {
            printf("# %.*s -> %.*s\n", TEXT_ARG(sql), TEXT_ARG(template));
            n++;
        }
    }
    return n;
}

static void one_line(struct text sql, struct tally *t)
{
    struct buf other, a, b;
    uint64_t x[2], y[2];

    buf_init(&other);
    vary(sql, &other);
    a = made(sql, false, false);
    b = made(buf_text(&other), false, false);
    sketch_key(sql, seed, 1, x);
    sketch_key(buf_text(&other), seed, 1, y);
    t->n++;
    t->leaks += leaks(sql, buf_text(&a));
    t->templates += !text_eq(buf_text(&a), buf_text(&b));
    t->keys += x[0] == y[0] && x[1] == y[1];
    buf_release(&other);
    buf_release(&a);
    buf_release(&b);
}

static void corpus(const char *start)
{
    static const char *const files[] = { "attack", "benign", "grammar", "hostile",
                                         "hunted", "more",   "orm",     "pred" };
    const char *top = getenv("top_srcdir");
    struct tally t = { 0 };

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct file_text f;
        char path[500];
        snprintf(path, sizeof(path), "%s/test/corpus/%s.cases", top ? top : start, files[i]);
        if (!file_read(path, &f)) {
            ok(false, "%s is there", files[i]);
            continue;
        }
        struct text rest = text_n(f.p, f.n), line;
        while (text_split(&rest, '\n', &line))
            if (line.n > 8 && line.p[0] != '=' && line.p[0] != '#')
                one_line(line, &t);
        free(f.p);
    }
    ok(t.n > 1000, "%d statements of the corpus", t.n);
    is_int(t.leaks, 0, "none shows a string");
    is_int(t.templates, 0, "other constants, the same template");
    ok(t.keys > t.n * 3 / 4, "... found by its key without being read: %d", t.keys);
}

/* Texts put together at random: whenever two have one key, they have one template. */
static void random_texts(void)
{
    static const char *const parts[] = {
        "SELECT ", "a",  "1",  "22", "'x'", "'y z'", "\"q\"", "'",   "\"",  "E'", "$$",
        "$1",      "$2", "--", "\n", "/*",  "*/",    " ",     ",",   ".",   "-",  "+",
        "b2",      "_",  "\\", "::", "(",   ")",     "U&'",   "3e4", "$t$",
    };
    enum { N = 20000 };
    static struct {
        uint64_t key[2];
        char *template;
    } seen[4096];
    uint32_t state = 1;
    int hits = 0, bad = 0;

    for (int i = 0; i < N; i++) {
        char sql[100] = "";
        size_t n = 0;
        int k = 1 + (int)((state = state * 1664525 + 1013904223) >> 29);
        for (int j = 0; j < k; j++) {
            state = state * 1664525 + 1013904223;
            const char *p = parts[(state >> 8) % (sizeof(parts) / sizeof(*parts))];
            n += (size_t)snprintf(sql + n, sizeof(sql) - n, "%s", p);
        }
        uint64_t key[2];
        sketch_key(text_n(sql, n), seed, 0, key);
        struct buf b = made(text_n(sql, n), false, false);
        size_t at = key[0] % 4096;
        if (seen[at].template && seen[at].key[0] == key[0] && seen[at].key[1] == key[1]) {
            hits++;
            if (!text_is(buf_text(&b), seen[at].template)) {
                bad++;
                printf("# %s: %.*s, %s\n", sql, TEXT_ARG(buf_text(&b)), seen[at].template);
            }
        }
        free(seen[at].template);
        seen[at].template = text_dup(buf_text(&b));
        seen[at].key[0] = key[0];
        seen[at].key[1] = key[1];
        buf_release(&b);
    }
    for (int i = 0; i < 4096; i++)
        free(seen[i].template);
    ok(hits > 100, "%d texts met a key again", hits);
    is_int(bad, 0, "with the same template");
}

int main(void)
{
    literals();
    forms();
    long_list();
    keys();
    corpus(".");
    random_texts();
    return tap_done();
}
