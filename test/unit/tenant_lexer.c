/* SPDX-License-Identifier: ISC */
/* The lexer against libpg_query's scanner, over hand-written texts and mutations of them; the
 * guard; blanking of comments. */
#include "tap.h"

#include "base/buf.h"
#include "tenant/guard.h"

#include <pg_query.h>
#include <time.h>

static const struct lexer_limits unlimited = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };

/* ---- what libpg_query's scanner says, from its protobuf answer: ScanResult { 2: ScanToken { 1:
 * start, 2: end } } ---- */
struct span {
    uint32_t start, end;
};

struct scan {
    struct span *v;
    int n;
    bool failed;
    char why[200];
};

static uint64_t varint(const unsigned char **p, const unsigned char *end)
{
    uint64_t v = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        unsigned char c = *(*p)++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            break;
    }
    return v;
}

static struct span span_of(const unsigned char *p, const unsigned char *end)
{
    struct span s = { 0, 0 };
    while (p < end) {
        uint64_t tag = varint(&p, end), v = varint(&p, end);
        if (tag == (1 << 3))
            s.start = (uint32_t)v;
        else if (tag == (2 << 3))
            s.end = (uint32_t)v;
    }
    return s;
}

static struct scan scan(struct arena *a, const char *sql)
{
    struct scan s = { 0 };
    PgQueryScanResult r = pg_query_scan(sql);
    if (r.error) {
        s.failed = true;
        snprintf(s.why, sizeof(s.why), "%s", r.error->message);
    } else {
        const unsigned char *p = (const unsigned char *)r.pbuf.data, *end = p + r.pbuf.len;
        s.v = ARENA_ARRAY(a, struct span, strlen(sql) + 1);
        while (p < end) {
            uint64_t tag = varint(&p, end), v = varint(&p, end);
            if (tag != ((2 << 3) | 2))
                continue;
            s.v[s.n++] = span_of(p, p + v);
            p += v;
        }
    }
    pg_query_free_scan_result(r);
    return s;
}

/* ---- comparison ---- */

/* A copy without the comments between the parts of a continued string: libpg_query ends the string
 * there, the server does not. */
static struct text without_gap_comments(struct arena *a, struct text sql)
{
    char *copy = arena_strdup(a, sql.p), *blanked = arena_strdup(a, sql.p);
    struct lexer x;
    struct token t;
    lexer_init(&x, sql, &unlimited);
    x.blank = blanked;
    while (lexer_next(&x, &t))
        if (!token_is_comment(t))
            memcpy(copy + t.off, blanked + t.off, t.len);
    if (x.trouble)
        memcpy(copy + x.trouble_off, blanked + x.trouble_off, sql.n - x.trouble_off);
    return text_n(copy, sql.n);
}

/* Index of the first span behind a token; -1: they disagree. */
static int same_token(const struct scan *s, int i, struct token t)
{
    uint32_t end = t.off + t.len;
    if (i >= s->n || s->v[i].start != t.off)
        return -1;
    if (t.kind == TOKEN_USTRING || t.kind == TOKEN_UIDENT) /* its end is wrong there */
        return i + 1;
    if (t.kind == TOKEN_NSTRING) { /* two tokens there */
        if (s->v[i].end != t.off + 1 || ++i >= s->n || s->v[i].start != t.off + 1)
            return -1;
    }
    return s->v[i].end == end ? i + 1 : -1;
}

/* Errors of the scanner that this lexer leaves to the parser. */
static bool escape_error(const char *why)
{
    return strstr(why, "escape") || strstr(why, "Unicode") || strstr(why, "byte sequence") ||
           strstr(why, "surrogate") || strstr(why, "null character");
}

enum outcome { AGREE, BOTH_FAIL, ESCAPE, DIFFER };

/* arena: scratch. at: where they differ. */
static enum outcome compare(struct arena *a, struct text original, uint32_t *at, const char **what)
{
    struct text sql = without_gap_comments(a, original);
    struct token *v;
    struct err e = { 0 };
    struct scan s = scan(a, sql.p);
    int n = lexer_run(sql, a, &v, &unlimited, &e), next = 0;
    *at = 0;
    *what = "";
    if (n < 0 || s.failed) {
        *what = n < 0 ? arena_strdup(a, e.msg) : arena_strdup(a, s.why);
        if (n < 0)
            return s.failed ? BOTH_FAIL : DIFFER;
        return escape_error(s.why) ? ESCAPE : DIFFER;
    }
    for (int i = 0; i < n; i++) {
        next = same_token(&s, next, v[i]);
        *at = v[i].off;
        *what = "token";
        if (next < 0)
            return DIFFER;
    }
    *what = "number of tokens";
    return next == s.n ? AGREE : DIFFER;
}

/* Blanking keeps every token that is no comment, and removes every comment but block comments
 * behind strings. */
static bool blank_is_sound(struct arena *a, struct text sql)
{
    struct token *v, *w;
    int n = lexer_run(sql, a, &v, &unlimited, NULL), j = 0;
    if (n < 0)
        return true;
    struct text b = guard_blank(a, sql);
    int m = lexer_run(b, a, &w, &unlimited, NULL);
    bool after_string = false;
    for (int i = 0; i < n; i++) {
        if (token_is_comment(v[i]) && !(v[i].kind == TOKEN_COMMENT && after_string))
            continue;
        if (j >= m || w[j].off != v[i].off || w[j].len != v[i].len || w[j].kind != v[i].kind)
            return false;
        if (!token_is_comment(v[i]))
            after_string =
                v[i].kind >= TOKEN_STRING && v[i].kind <= TOKEN_HEX && v[i].kind != TOKEN_DOLLAR;
        j++;
    }
    return j == m && b.n == sql.n && b.p[b.n] == 0;
}

/* ---- texts ---- */
static const char *const nasty[] = {
    "SELECT 1",
    "",
    " \t\n\r\f",
    "select a.b, c.*, \"D\"\"d\" from t where x = $1 and y<>$22;",
    "SELECT 'a''b', E'a\\'b\\\\', U&'d\\0061t' UESCAPE '!', N'nat', B'0101', X'1f', $$x$$, "
    "$t$ $$ $x$ $t$",
    "SELECT 'a'\n'b'",
    "SELECT 'a' 'b'",
    "SELECT 'a' \t\n  'b'\n\n'c'",
    "SELECT 'a' --x\n'b'",
    "SELECT 'a'--\n--y\n 'b' --z",
    "SELECT 'a' /* c */\n'b'",
    "SELECT E'a\\n'\n'b\\''",
    "SELECT U&'a'\n'b'",
    "SELECT x'1'\n'2', b'0'\n'1'",
    "SELECT 1/**/2",
    "/* a /* b */ c */ SELECT 1 -- end",
    "SELECT 1 --x\rSELECT 2",
    "SELECT /**/ 'a' /**/",
    "/**/",
    "SELECT 1+-1, 1--1\n, 1-+-1, @-1, a@-b, a<-b, a*-b, a<=-1, a!=-1, a<>-1, a->>-1, a|/-2, "
    "a||/-27",
    "SELECT +/*x*/+1, +/**/-/**/1, */**/, 1*/**/2, a->/* x */b, a-/*x*/>b",
    "SELECT 1.5, .5, 5., 1e5, 1.e5, .5e-3, 1E+7, 1..2, 1...2, a[1:2], a[1 : 2], 00012, "
    "2147483647, 2147483648, 99999999999",
    "SELECT 1a",
    "SELECT 1e",
    "SELECT 1e+",
    "SELECT 1.5e-",
    "SELECT 0x1F",
    "SELECT 1_000",
    "SELECT 1.a",
    "SELECT 1e5a",
    "SELECT $1a",
    "SELECT $1$2, $1 $2, a$1, a$b$c, $a",
    "SELECT $",
    "SELECT $$",
    "SELECT $a$b",
    "SELECT $a$x$a$y",
    "SELECT $é$x$é$",
    "SELECT $1$$x$$",
    "SELECT a::int::text, a:b, a:=b, a=>b, a= >b, a>=b, a<=b, a=<b, a==b, a=>-b, f(x := 1, y "
    "=> 2)",
    "SELECT U&\"d\\0061t\" FROM u&\"x\"\"y\", U & \"x\", u&1",
    "SELECT \"\"",
    "SELECT U&\"\"",
    "SELECT \"a",
    "SELECT 'a",
    "SELECT E'a\\",
    "SELECT /* a",
    "SELECT /* /* */",
    "SELECT $$a$",
    "SELECT x'",
    "SELECT b'1",
    "SELECT u&'",
    "SELECT n'",
    "SELECT E'\\''",
    "SELECT E'\\u0041\\U00000041\\x41\\101'",
    "SELECT E'\\u00'",
    "SELECT ünïcödé, \"ß\", 日本 FROM été",
    "a \xc2\xa0 b \xef\xbb\xbf",
    "\x01 \x7f { } \\ \v",
    "select ?, a ? b, a ?| b, a ?& b, a @? b, a @@ b",
    "SELECT a#>b, a#>>b, a<->b, a<#>b, a<=>b, a&&b, a@>b, a<@b, a!~*b, a~~*b, !!a, |/ a, @ a, "
    "a % b, a^b, `a`, a ~ -b, a ~- b",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (2, DEFAULT) ON CONFLICT DO NOTHING RETURNING *;;;",
    "BEGIN; SELECT 1; END",
    ";",
    "EXPLAIN (ANALYZE, BUFFERS false) SELECT * FROM t WHERE NOT/**/IN NULLS/**/FIRST",
    "CREATE FUNCTION f() RETURNS int AS $_$ SELECT $1 $_$ LANGUAGE sql",
    "COPY t FROM STDIN WITH (FORMAT csv, DELIMITER E'\\t')",
    "SELECT e'a' 'b', E 'a', e'a'\n--\n'b'",
    "SELECT nn'a', bb'0', xx'0', ee'a', uu&'x'",
    "SELECT a.b.c.d[1][2:3].e, (f(x)).g, row(1,2).*, array[1,2][1]",
    "SELECT '\\', '\\\\', '''', '''''', ''''''",
    "SELECT ''\n'', ''--\n''",
    "SELECT --\n1",
    "--",
    "-- x",
    "/*/",
    "/*/*/",
    "/*/**/*/",
    "*/",
    "SELECT a/*b*/.c",
    "SELECT 'a'/**/--\n'b'",
    "SELECT 'a'/* */'b'",
    "SELECT 'a' -- x",
    "SELECT $1::int, $2::text, ($3), $4.a, $5[1]",
    "SELECT current_date, interval '1' day, timestamp 'x', date $$y$$",
};

static const char *const fragments[] = {
    "'",  "''", "\"",   "\"\"", "$$",     "$a$",  "$1",    "$",  "\\", "\\'", "--",       "--\n",
    "/*", "*/", "/**/", "\n",   "\r",     "\t",   " ",     "E'", "e'", "U&'", "U&\"",     "u&",
    "N'", "B'", "X'",   "x",    "b",      "1",    "0x",    "1.", ".1", "..",  "e5",       "E+",
    "::", ":=", "=>",   "<",    ">",      "<=",   "!=",    "+",  "-",  "*",   "/",        "%",
    "^",  "~",  "!",    "@",    "#",      "&",    "|",     "`",  "?",  "=",   "(",        ")",
    "[",  "]",  ",",    ";",    ":",      ".",    "a",     "Z",  "_",  "9",   "\xc3\xa9", "\xff",
    "\v", "\f", "{",    "\x01", "SELECT", " 'b'", "\n'b'",
};

#define COUNT(v) (sizeof(v) / sizeof(*(v)))

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static size_t below(uint64_t *s, size_t n)
{
    return (size_t)(next_random(s) >> 11) % n;
}

static void insert_at(struct buf *b, size_t at, const char *p, size_t n)
{
    if (!buf_reserve(b, n))
        return;
    memmove(b->p + at + n, b->p + at, b->n - at);
    memcpy(b->p + at, p, n);
    buf_commit(b, n);
}

/* A text made from the nasty ones, NUL-terminated. */
static struct text mutate(uint64_t *s, struct buf *b)
{
    buf_clear(b);
    buf_text_append(b, text_of(nasty[below(s, COUNT(nasty))]));
    for (size_t k = 1 + below(s, 6); k > 0; k--) {
        size_t at = below(s, b->n + 1);
        const char *other = nasty[below(s, COUNT(nasty))],
                   *piece = fragments[below(s, COUNT(fragments))];
        switch (below(s, 4)) {
        case 0:
            if (at < b->n) {
                size_t n = 1 + below(s, b->n - at < 8 ? b->n - at : 8);
                memmove(b->p + at, b->p + at + n, b->n - at - n);
                b->n -= n;
            }
            break;
        case 1:
            insert_at(b, at, other, strlen(other));
            break;
        default:
            insert_at(b, at, piece, strlen(piece));
            break;
        }
    }
    struct text t = { NULL, b->n };
    buf_char(b, 0);
    t.p = b->p;
    return t;
}

static void test_differential(void)
{
    static const char *const names[] = { "agree", "both refuse", "escape errors", "differ" };
    int counts[4] = { 0 }, unsound = 0;
    struct arena a;
    struct buf b;
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    arena_init(&a, 1 << 16);
    buf_init(&b);
    for (int i = 0; i < (int)COUNT(nasty) + 20000; i++) {
        uint32_t at;
        const char *what;
        struct text t = i < (int)COUNT(nasty) ? text_of(nasty[i]) : mutate(&seed, &b);
        enum outcome o = compare(&a, t, &at, &what);
        counts[o]++;
        if (o == DIFFER && counts[o] <= 5) {
            diag("differ at %u: %s", at, what);
            tap_show("text", t);
        }
        if (!blank_is_sound(&a, t) && ++unsound <= 5)
            tap_show("blanking", t);
        arena_clear(&a);
    }
    for (int i = 0; i < 4; i++)
        diag("%s: %d", names[i], counts[i]);
    is_int(counts[DIFFER], 0, "token boundaries and errors are libpg_query's");
    is_int(unsound, 0, "blanking keeps all tokens");
    ok(counts[AGREE] > 5000, "enough texts had tokens");
    buf_release(&b);
    arena_release(&a);
}

/* ---- kinds ---- */
static const char *const kind_letters[TOKEN_KINDS] = {
    "id",    "qid",   "uid", "str",  "estr", "ustr", "nstr", "dollar", "bit",   "hex",     "int",
    "float", "param", "op",  "self", "cast", "ceq",  "dots", "arrow",  "other", "comment", "line",
};

static void is_kinds(const char *sql, const char *want)
{
    struct arena a;
    struct buf b;
    struct token *v;
    struct err e = { 0 };
    arena_init(&a, 0);
    buf_init(&b);
    int n = lexer_run(text_of(sql), &a, &v, NULL, &e);
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? " " : "", kind_letters[v[i].kind]);
    if (n < 0)
        buf_printf(&b, "%s", e.msg);
    is_text(buf_text(&b), want, "kinds: %s", want);
    buf_release(&b);
    arena_release(&a);
}

static void test_kinds(void)
{
    is_kinds("a \"b\" U&\"c\" 'd' E'e' U&'f' N'g' $$h$$ b'1' x'2'",
             "id qid uid str estr ustr nstr dollar bit hex");
    is_kinds("1 2147483648 1.5 1e3 $1 <> + :: := .. => { ~",
             "int float float float param op self cast ceq dots arrow other op");
    is_kinds("/* a */ -- b", "comment line");
    is_kinds("'a' -- b\n 'c' 'd'", "str str");
    is_kinds("a.1 1..2 a>-1 a@-1", "id float int dots int id self self int id op int");
    is_kinds("x'1''2' b'0'\n'1'", "hex str bit");
    is_kinds("1a", "trailing junk after numeric literal");
    is_kinds("$1a", "trailing junk after parameter");
    is_kinds("'a", "unterminated quoted string");
    is_kinds("\"a", "unterminated quoted identifier");
    is_kinds("/* a", "unterminated /* comment");
    is_kinds("$a$ $b$", "unterminated dollar-quoted string");
    is_kinds("\"\"", "zero-length delimited identifier");
}

static void test_depth_and_keywords(void)
{
    struct arena a;
    struct token *v;
    struct text sql = TEXT("SELECT (a[f(1)]) FROM t wHeRe \"select\" selectx group_ Merge");
    arena_init(&a, 0);
    int n = lexer_run(sql, &a, &v, NULL, NULL);
    is_int(n, 17, "tokens");
    is_int(v[1].depth, 0, "outer parenthesis");
    is_int(v[2].depth, 1, "in it");
    is_int(v[6].depth, 3, "innermost token");
    is_int(v[9].depth, 0, "its partner");
    is_int(lexer_keyword(sql, v[0]), KW_SELECT, "SELECT");
    is_int(lexer_keyword(sql, v[12]), KW_WHERE, "case does not matter");
    is_int(lexer_keyword(sql, v[13]), KW_no_keyword, "quoted: none");
    is_int(lexer_keyword(sql, v[14]), KW_no_keyword, "longer: none");
    is_int(lexer_keyword(sql, v[15]), KW_no_keyword, "with underscore: none");
    is_int(lexer_keyword(sql, v[16]), KW_MERGE, "MERGE");
    is_int(lexer_keyword(sql, v[1]), KW_no_keyword, "punctuation: none");
    static const struct text words[] = {
#define KEYWORD(upper, lower) { #upper, sizeof(#upper) - 1 },
#include "tenant/keywords.def"
#undef KEYWORD
    };
    int found = 0;
    for (size_t i = 0; i < COUNT(words); i++)
        found += lexer_keyword(words[i], (struct token){ .len = (uint32_t)words[i].n,
                                                         .kind = TOKEN_IDENT }) ==
                 (enum lexer_keyword)(i + 1);
    is_int(found, COUNT(words), "each key word is found");
    arena_release(&a);
}

/* ---- guard ---- */
static const struct guard_settings utf8 = { true, true };

static void is_guard_n(struct text sql, const struct guard_settings *s, enum guard_code want,
                       const char *what)
{
    struct err e = { 0 };
    enum guard_code got = guard_check(sql, s, NULL, NULL, &e);
    is_str(guard_code_name(got), guard_code_name(want), "guard: %s", what);
    ok((got == GUARD_OK) == (e.msg[0] == 0), "message: %s", e.msg);
}

/* head, n times middle, tail */
static void is_guard_repeat(const char *head, const char *middle, int n, const char *tail,
                            enum guard_code want)
{
    struct buf b;
    char what[100];
    buf_init(&b);
    buf_text_append(&b, text_of(head));
    for (int i = 0; i < n; i++)
        buf_text_append(&b, text_of(middle));
    buf_text_append(&b, text_of(tail));
    snprintf(what, sizeof(what), "%s %d * %s %s", head, n, middle, tail);
    for (char *p = what; *p; p++)
        if (*p == '\n' || *p == '#')
            *p = ' ';
    is_guard_n(buf_text(&b), &utf8, want, what);
    buf_release(&b);
}

static void test_guard_bytes(void)
{
    const struct guard_settings other = { true, false }, off = { false, true };
    is_guard_n(TEXT("SELECT 1"), &utf8, GUARD_OK, "plain");
    is_guard_n(TEXT(""), &utf8, GUARD_OK, "empty");
    is_guard_n(TEXT("SELECT 1\0--"), &utf8, GUARD_NUL, "zero byte");
    is_guard_n(TEXT("SELECT 'é\xf0\x9f\x98\x80'"), &utf8, GUARD_OK, "UTF-8");
    is_guard_n(TEXT("SELECT '\xc0\xa7'"), &utf8, GUARD_UTF8, "overlong");
    is_guard_n(TEXT("SELECT '\xe0\x80\xa7'"), &utf8, GUARD_UTF8, "overlong, three bytes");
    is_guard_n(TEXT("SELECT '\xed\xa0\x80'"), &utf8, GUARD_UTF8, "surrogate");
    is_guard_n(TEXT("SELECT '\xf4\x90\x80\x80'"), &utf8, GUARD_UTF8, "above U+10FFFF");
    is_guard_n(TEXT("SELECT '\xe2\x82'"), &utf8, GUARD_UTF8, "cut short");
    is_guard_n(TEXT("SELECT '\xe2"), &utf8, GUARD_UTF8, "cut short at the end");
    is_guard_n(TEXT("SELECT '\xff'"), &utf8, GUARD_UTF8, "no lead byte");
    is_guard_n(TEXT("SELECT 'abcdefghijklm\x80'"), &utf8, GUARD_UTF8, "continuation byte alone");
    is_guard_n(TEXT("SELECT 1"), &other, GUARD_OK, "ASCII in any encoding");
    is_guard_n(TEXT("SELECT E'\x95\\' || ' OR 1=1 --'"), &other, GUARD_ENCODING,
               "a trailing byte that is a backslash");
    is_guard_n(TEXT("SELECT 1"), &off, GUARD_STRINGS, "standard_conforming_strings off");
}

static void test_guard_limits(void)
{
    is_guard_repeat("SELECT ", "1,", 99990, "1", GUARD_OK);
    is_guard_repeat("SELECT ", "1,", 100010, "1", GUARD_TOKENS);
    is_guard_repeat("SELECT 1 ", "/**/ ", 200010, "", GUARD_TOKENS);
    is_guard_repeat("SELECT '", "x", 1048560, "'", GUARD_OK);
    is_guard_repeat("SELECT '", "x", 1048576, "'", GUARD_BYTES);
    is_guard_repeat("SELECT ", "+", 63, "1", GUARD_OK);
    is_guard_repeat("SELECT ", "+", 64, "1", GUARD_OPERATOR);
    is_guard_repeat("SELECT ", "+", 900000, "1", GUARD_OPERATOR);
    is_guard_repeat("SELECT ", "@", 900000, "1", GUARD_OPERATOR);
    is_guard_repeat("SELECT ", "+ ", 90000, "1", GUARD_OK);
    is_guard_repeat("SELECT ", "-+", 32, "1", GUARD_OPERATOR);
    is_guard_repeat("SELECT ", "+/**/", 21, "1", GUARD_OK);
    is_guard_repeat("SELECT ", "+/**/", 22, "1", GUARD_OPERATOR);
    is_guard_repeat("SELECT ", "+/*x*/", 22, "1", GUARD_OK);
    is_guard_repeat("SELECT ", "/**/", 40, "1", GUARD_OPERATOR);
    is_guard_repeat("SELECT /* ", "/**/", 40, "*/ 1", GUARD_OPERATOR);
    is_guard_repeat("SELECT /* ", "x/**/", 40, "*/ 1", GUARD_OK);
    is_guard_repeat("/", "*", 200000, "/ SELECT 1", GUARD_OK);
    is_guard_repeat("--", "-", 200000, "\nSELECT 1", GUARD_OK);
    is_guard_repeat("", "/* ", 16, "", GUARD_SYNTAX);
    is_guard_repeat("", "/* ", 17, "", GUARD_COMMENT);
    is_guard_repeat("", "/*/", 300000, "", GUARD_COMMENT);
    is_guard_repeat("SELECT ", "(", 500, "1", GUARD_OK);
    is_guard_repeat("SELECT ", "(", 501, "1", GUARD_DEPTH);
    is_guard_repeat("SELECT ", "[", 900000, "1", GUARD_DEPTH);
    is_guard_repeat("SELECT ", "()", 90000, "1", GUARD_OK);
    is_guard_repeat("", "SELECT 1;", 100, "", GUARD_OK);
    is_guard_repeat("", "SELECT 1;", 101, "", GUARD_STATEMENTS);
    is_guard_repeat("", ";", 1000, "SELECT 1", GUARD_OK);
    is_guard_repeat("SELECT $1, $65535", "", 0, "", GUARD_OK);
    is_guard_repeat("SELECT $65536", "", 0, "", GUARD_PARAM);
    is_guard_repeat("SELECT $4294967297", "", 0, "", GUARD_PARAM);
    is_guard_repeat("SELECT $0", "", 0, "", GUARD_PARAM);
    is_guard_repeat("SELECT ", "$a", 300000, "", GUARD_OK);
    is_guard_repeat("SELECT ", "$a$ ", 200001, "", GUARD_SYNTAX);
    is_guard_repeat("SELECT ", "'a'\n", 199990, "", GUARD_OK);
    is_guard_repeat("SELECT ", "'a' ", 199990, "", GUARD_OK);
    is_guard_repeat("SELECT ", "''", 400000, "", GUARD_OK);
    is_guard_repeat("SELECT 'a'", " --x", 200000, "\n'b'", GUARD_OK);
    is_guard_repeat("SELECT 'a' ", "--x\n", 199000, "", GUARD_OK);
    is_guard_repeat("SELECT ", "\n", 900000, "1", GUARD_OK);
}

static void test_report(void)
{
    struct guard_report r;
    struct err e = { 0 };
    guard_check(TEXT("SELECT $3, /* x */ $12; ; SELECT 'a' -- y"), &utf8, NULL, &r, &e);
    is_int(r.statements, 2, "statements");
    is_int(r.max_param, 12, "highest parameter");
    is_int(r.tokens, 8, "tokens");
    is_int(r.comments, 2, "comments");
    guard_check(TEXT("SELECT 1; SELECT 1x"), &utf8, NULL, &r, &e);
    is_int(r.off, 17, "offset of the trouble");
    is_str(e.sqlstate, "42601", "state of a syntax error");
}

/* ---- blanking ---- */
static void is_blank(const char *sql, const char *want)
{
    struct arena a;
    arena_init(&a, 0);
    is_text(guard_blank(&a, text_of(sql)), want, "blanking of %zu bytes", strlen(sql));
    arena_release(&a);
}

static void test_blank(void)
{
    is_blank("", "");
    is_blank("a/*b*/c", "a     c");
    is_blank("a --b", "a    ");
    is_blank("NOT/**/IN", "NOT    IN");
    is_blank("a/*\n/*\r*/x*/b", "a  \n  \r     b");
    is_blank("'/*a*/' \"--\" $$--$$ E'\\'--'", "'/*a*/' \"--\" $$--$$ E'\\'--'");
    is_blank("'a'/*b*/\n'c'", "'a'/*b*/\n'c'");
    is_blank("'a' /*b*/ /*c*/ d /*e*/", "'a' /*b*/ /*c*/ d      ");
    is_blank("'a'--b\n'c'", "'a'   \n'c'");
    is_blank("'a'--b\n--d\n 'c'--e", "'a'   \n   \n 'c'   ");
    is_blank("'a'--b\n/*c*/\n'd'", "'a'   \n/*c*/\n'd'");
    is_blank("$$a$$/*b*/", "$$a$$     ");
    is_blank("+/*a*/+", "+     +");
}

static void measure(const char *sql)
{
    enum { ROUNDS = 20000 };
    struct timespec from, to;
    struct text t = text_of(sql);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < ROUNDS; i++)
        guard_check(t, &utf8, NULL, NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    diag("guard_check %.0f ns: %s", ns / ROUNDS, sql);
}

int main(void)
{
    test_kinds();
    test_depth_and_keywords();
    test_guard_bytes();
    test_guard_limits();
    test_report();
    test_blank();
    test_differential();
    measure("UPDATE pgbench_accounts SET abalance = abalance + 42 WHERE aid = 1234567;");
    measure("SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;");
    return tap_done();
}
