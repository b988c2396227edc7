/* SPDX-License-Identifier: ISC */
/* What a text does to the session: a pass over the bytes that finds candidates, and a reader of
 * tokens that tells what they are. */
#include "tenant/effects.h"

#include "tenant/lexer.h"

#include <stdlib.h>

/* ---- the cheap pass ---- */

#define WORD_MAX 64

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* First words of statements that are looked through for rare words only. Those that are not here
 * are read. */
static const char *const usual[] = {
    "abort",    "alter",    "analyze",   "begin",  "call", "checkpoint", "cluster",
    "comment",  "commit",   "copy",      "delete", "drop", "end",        "fetch",
    "grant",    "insert",   "lock",      "merge",  "move", "reindex",    "release",
    "revoke",   "rollback", "savepoint", "select", "show", "start",      "table",
    "truncate", "update",   "vacuum",    "values", "with",
};

static bool is_usual(struct text word)
{
    size_t lo = 0, hi = sizeof(usual) / sizeof(usual[0]);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const char *w = usual[mid];
        size_t i = 0;
        int c = 0;
        for (; i < word.n && c == 0; i++) {
            char ch = word.p[i] >= 'A' && word.p[i] <= 'Z' ? (char)(word.p[i] + 32) : word.p[i];
            c = (unsigned char)ch - (unsigned char)w[i]; /* w's NUL differs from a name's byte */
        }
        if (c == 0 && w[i] == '\0')
            return true;
        if (c < 0 || (c == 0 && w[i] != '\0'))
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

/* Behind white space and comments. *budget: bytes that may still be looked at; all used up, or a
 * comment that does not end: n. */
static size_t skip_blank(struct text s, size_t i, size_t *budget, bool *lost)
{
    size_t from = i;

    while (i < s.n) {
        if (is_space(s.p[i])) {
            i++;
        } else if (s.p[i] == '-' && i + 1 < s.n && s.p[i + 1] == '-') {
            while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r')
                i++;
        } else if (s.p[i] == '/' && i + 1 < s.n && s.p[i + 1] == '*') {
            int depth = 0;
            do {
                bool pair = i + 1 < s.n;
                if (pair && s.p[i] == '/' && s.p[i + 1] == '*') {
                    depth++;
                    i += 2;
                } else if (pair && s.p[i] == '*' && s.p[i + 1] == '/') {
                    depth--;
                    i += 2;
                } else {
                    i++;
                }
            } while (depth > 0 && i < s.n);
            *lost = *lost || depth > 0;
        } else {
            break;
        }
    }
    if (i - from > *budget)
        *lost = true;
    else
        *budget -= i - from;
    return i;
}

/* Most statements begin so, and are usual. */
static bool is_select(struct text s, size_t i)
{
    static const char word[8] = "select";
    uint32_t head, want;
    uint16_t tail, end;

    if (s.n - i < 7)
        return false;
    memcpy(&head, s.p + i, 4);
    memcpy(&want, word, 4);
    memcpy(&tail, s.p + i + 4, 2);
    memcpy(&end, word + 4, 2);
    return (head | 0x20202020U) == want && (tail | 0x2020) == end && s.p[i + 6] == ' ';
}

/* Does a statement that is to be read begin at i? */
static bool begins(struct text s, size_t i, size_t *budget)
{
    bool lost = false;
    size_t end;

    if (is_select(s, i))
        return false;
    i = skip_blank(s, i, budget, &lost);
    if (lost)
        return true;
    if (i == s.n || s.p[i] == ';' || s.p[i] == '(')
        return false;
    for (end = i; end < s.n && end - i < WORD_MAX && is_name_byte(s.p[end]); end++)
        ;
    return !is_usual(text_n(s.p + i, end - i));
}

static bool is_session_lock(struct text w)
{
    return text_is_i(w, "pg_advisory_lock") || text_is_i(w, "pg_advisory_lock_shared") ||
           text_is_i(w, "pg_try_advisory_lock") || text_is_i(w, "pg_try_advisory_lock_shared");
}

static bool is_session_unlock(struct text w)
{
    return text_is_i(w, "pg_advisory_unlock") || text_is_i(w, "pg_advisory_unlock_shared");
}

static bool starts_i(struct text w, const char *with)
{
    size_t n = strlen(with);
    return w.n >= n && text_is_i(text_n(w.p, n), with);
}

static bool is_rare(struct text w)
{
    return text_is_i(w, "set_config") || text_is_i(w, "temp") || text_is_i(w, "temporary") ||
           starts_i(w, "pg_temp") || text_is_i(w, "lastval") || text_is_i(w, "currval") ||
           text_is_i(w, "setseed") || is_session_lock(w) || is_session_unlock(w) ||
           text_is_i(w, "pg_advisory_unlock_all");
}

/* Each rare word has one of these pairs of letters: "nf" of set_config, "dv" of advisory, "mp" of
 * temp, "tv" and "rv" of lastval and currval, "ee" of setseed. A pair shares a bit of first[] and
 * second[]; some words that have another pair of such bytes are looked at for nothing. */
enum {
    BIT_CONFIG = 1,
    BIT_ADVISORY = 2,
    BIT_TEMP = 4,
    BIT_VAL = 8,
    BIT_SEED = 16,
    BIT_UNICODE = 32,
    BIT_END = 64
};

static const uint8_t first[256] = {
    ['n'] = BIT_CONFIG,  ['N'] = BIT_CONFIG,  ['d'] = BIT_ADVISORY, ['D'] = BIT_ADVISORY,
    ['m'] = BIT_TEMP,    ['M'] = BIT_TEMP,    ['t'] = BIT_VAL,      ['T'] = BIT_VAL,
    ['r'] = BIT_VAL,     ['R'] = BIT_VAL,     ['e'] = BIT_SEED,     ['E'] = BIT_SEED,
    ['u'] = BIT_UNICODE, ['U'] = BIT_UNICODE,
};
static const uint8_t second[256] = {
    ['f'] = BIT_CONFIG,
    ['F'] = BIT_CONFIG,
    ['v'] = BIT_ADVISORY | BIT_VAL,
    ['V'] = BIT_ADVISORY | BIT_VAL,
    ['p'] = BIT_TEMP,
    ['P'] = BIT_TEMP,
    ['e'] = BIT_SEED,
    ['E'] = BIT_SEED,
    ['&'] = BIT_UNICODE,
    [';'] = BIT_END,
};

/* The name around byte i. */
static struct text name_around(struct text s, size_t i)
{
    size_t from = i, to = i;

    while (from > 0 && i - from < WORD_MAX && is_name_byte(s.p[from - 1]))
        from--;
    while (to < s.n && to - i < WORD_MAX && is_name_byte(s.p[to]))
        to++;
    return text_n(s.p + from, to - from);
}

/* Bytes from..to one by one. */
static bool look(struct text sql, size_t from, size_t to, size_t *budget)
{
    uint8_t before = from ? first[(unsigned char)sql.p[from - 1]] : 0;

    for (size_t i = from; i < to; i++) {
        uint8_t now = second[(unsigned char)sql.p[i]];
        if (now & (before | BIT_END)) {
            if (now & BIT_END) {
                if (begins(sql, i + 1, budget))
                    return true;
            } else if (now & BIT_UNICODE) {
                if (i + 1 < sql.n && sql.p[i + 1] == '"')
                    return true;
            } else if (is_rare(name_around(sql, i))) {
                return true;
            }
        }
        before = first[(unsigned char)sql.p[i]];
    }
    return false;
}

#define STEP 16
typedef uint8_t step_bytes __attribute__((vector_size(STEP)));
typedef uint64_t step_words __attribute__((vector_size(STEP)));

/* Is there among the STEP bytes at p one that look() would stop at? p[-1] is there too. The tables
 * first[] and second[] for many bytes at once; some others are taken for theirs. */
static bool worth_look(const char *p)
{
    step_bytes now, before;
    step_words any;

    memcpy(&now, p, STEP);
    memcpy(&before, p - 1, STEP);
    now |= 0x20;
    before |= 0x20;
    any = (step_words)(((now == 'v') & ((before == 'd') | (before == 't') | (before == 'r'))) |
                       ((now == 'f') & (before == 'n')) | ((now == 'p') & (before == 'm')) |
                       ((now == 'e') & (before == 'e')) | ((now == '&') & (before == 'u')) |
                       (now == ';'));
    return (any[0] | any[1]) != 0;
}

bool effects_maybe(struct text sql)
{
    size_t budget = 2 * sql.n + 64, i = 1;

    if (begins(sql, 0, &budget))
        return true;
    if (sql.n <= STEP)
        return look(sql, 0, sql.n, &budget);
    if (sql.p[0] == ';' && look(sql, 0, 1, &budget))
        return true;
    for (; i + STEP <= sql.n; i += STEP)
        if (worth_look(sql.p + i) && look(sql, i, i + STEP, &budget))
            return true;
    return i < sql.n && worth_look(sql.p + sql.n - STEP) && look(sql, i, sql.n, &budget);
}

/* ---- the reader ---- */

struct reader {
    struct text sql;
    struct token *t; /* comments left out */
    int n, i;
    int end; /* of the statement: the index of its `;`, or n */
    struct arena *a;
    struct effect *list;
    int n_list, cap;
    int n_statements;
    bool odd; /* something that cannot be told */
};

static bool at_char(const struct reader *r, int i, char c)
{
    return i < r->end && token_is_char(r->sql, r->t[i], c);
}

static bool at_word(const struct reader *r, int i, const char *word)
{
    return i < r->end && r->t[i].kind == TOKEN_IDENT &&
           text_is_i(token_text(r->sql, r->t[i]), word);
}

static bool take_word(struct reader *r, const char *word)
{
    if (!at_word(r, r->i, word))
        return false;
    r->i++;
    return true;
}

static struct effect *add(struct reader *r, enum effect_kind kind, int at)
{
    ARENA_ROOM(r->a, r->list, r->n_list, r->cap, 8);
    struct effect *e = &r->list[r->n_list++];
    *e = (struct effect){ .kind = kind,
                          .off = at < r->n ? r->t[at].off : (uint32_t)r->sql.n,
                          .end = r->end < r->n ? r->t[r->end].off : (uint32_t)r->sql.n };
    return e;
}

/* A token's content: quotes doubled are one, `lower` folds ASCII. */
static struct text content(struct reader *r, struct text s, char quote, bool lower)
{
    char *out = arena_alloc(r->a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        out[n++] = lower && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
        i += quote && c == quote && i + 1 < s.n && s.p[i + 1] == quote;
    }
    out[n] = '\0';
    return text_n(out, n);
}

/* A name at i, folded as SQL does. Empty: there is none. */
static struct text name_at(struct reader *r, int i, bool lower)
{
    if (i >= r->end)
        return TEXT("");
    struct text s = token_text(r->sql, r->t[i]);
    switch (r->t[i].kind) {
    case TOKEN_IDENT:
        return content(r, s, '\0', true);
    case TOKEN_QIDENT:
        return content(r, text_n(s.p + 1, s.n - 2), '"', lower);
    case TOKEN_UIDENT:
        r->odd = true;
        return TEXT("");
    default:
        return TEXT("");
    }
}

#define IDENT_BYTES 63 /* of an identifier in SQL; the server leaves out what is behind */

/* One part of a setting's name. What the server folds or cuts by its encoding and locale is not
 * told. */
static struct text setting_part(struct reader *r, int i)
{
    struct text part = name_at(r, i, true);

    for (size_t k = 0; k < part.n; k++)
        r->odd = r->odd || (unsigned char)part.p[k] >= 0x80;
    return text_n(part.p, part.n > IDENT_BYTES ? IDENT_BYTES : part.n);
}

/* A setting's name of any number of parts. */
static struct text take_setting(struct reader *r)
{
    struct text name = setting_part(r, r->i);

    if (!name.n)
        return name;
    r->i++;
    while (at_char(r, r->i, '.')) {
        struct text part = setting_part(r, r->i + 1);
        name = arena_printf(r->a, "%.*s.%.*s", TEXT_ARG(name), TEXT_ARG(part));
        r->i += 2;
    }
    return name;
}

/* Does the token, a plain string, have pieces on several lines, or anything that scanners may
 * differ about? Then its content is not told. */
static bool plain_string(const struct reader *r, int i, struct text *in)
{
    struct text s = token_text(r->sql, r->t[i]);

    if (r->t[i].kind != TOKEN_STRING || s.n < 2 || s.p[s.n - 1] != '\'')
        return false;
    *in = text_n(s.p + 1, s.n - 2);
    for (size_t k = 0; k < in->n; k++)
        if (in->p[k] == '\'' && (++k >= in->n || in->p[k] != '\''))
            return false;
    return true;
}

/* The SQL of tokens [from, to); one string: its content. */
static struct text source(struct reader *r, int from, int to)
{
    struct text in;

    if (from >= to)
        return TEXT("");
    if (to - from == 1 && plain_string(r, from, &in))
        return content(r, in, '\'', false);
    uint32_t off = r->t[from].off, end = r->t[to - 1].off + r->t[to - 1].len;
    return arena_text(r->a, text_n(r->sql.p + off, end - off));
}

/* The index of the bracket that closes the one at i, or the statement's end. */
static int closing(const struct reader *r, int i)
{
    for (int k = i + 1; k < r->end; k++)
        if (r->t[k].depth == r->t[i].depth && token_is_char(r->sql, r->t[k], ')'))
            return k;
    return r->end;
}

/* ---- SET and RESET ---- */

static void setting(struct reader *r, int at, bool local, struct text name)
{
    bool to_default = at_word(r, r->i, "default") && r->i + 1 == r->end;
    struct effect *e = add(r, local ? FX_SET_LOCAL : to_default ? FX_RESET : FX_SET, at);

    e->leading = true;
    e->name = name;
    e->value = to_default ? TEXT("") : source(r, r->i, r->end);
}

static void characteristics(struct reader *r, int at)
{
    static const char *const names[] = { "default_transaction_isolation",
                                         "default_transaction_read_only",
                                         "default_transaction_deferrable" };
    for (int i = 0; i < 3; i++) {
        struct effect *e = add(r, FX_SET, at);
        e->leading = true;
        e->name = text_of(names[i]);
    }
}

/* SET forms of settings that have a syntax of their own. */
static const struct {
    const char *word, *next, *name;
} special[] = {
    { "time", "zone", "timezone" },
    { "names", NULL, "client_encoding" },
    { "schema", NULL, "search_path" },
    { "role", NULL, "role" },
    { "session", "authorization", "session_authorization" },
    { "xml", "option", "xmloption" },
};

/* Is it the word, and not the first part of a setting's name (session.user_id)? */
static bool at_keyword(const struct reader *r, int i, const char *word)
{
    return at_word(r, i, word) && !at_char(r, i + 1, '.');
}

/* One of those at i that is not the name of an ordinary setting. *n: its words. */
static const char *special_at(struct reader *r, int i, int *n)
{
    for (size_t k = 0; k < sizeof(special) / sizeof(special[0]); k++) {
        *n = special[k].next ? 2 : 1;
        if (at_word(r, i, special[k].word) &&
            (!special[k].next || at_word(r, i + 1, special[k].next)) && !at_char(r, i + *n, '=') &&
            !at_word(r, i + *n, "to") && !at_char(r, i + *n, '.'))
            return special[k].name;
    }
    return NULL;
}

static void read_set(struct reader *r, int at)
{
    int n;
    bool local = false;

    r->i = at + 1;
    if (at_word(r, r->i, "session") && at_keyword(r, r->i + 1, "characteristics")) {
        characteristics(r, at);
        return;
    }
    if (at_keyword(r, r->i, "local")) {
        local = true;
        r->i++;
    } else if (at_keyword(r, r->i, "session") && !at_word(r, r->i + 1, "authorization")) {
        r->i++;
    }
    if (at_keyword(r, r->i, "transaction") || at_keyword(r, r->i, "constraints"))
        return;
    const char *name = special_at(r, r->i, &n);
    if (name) {
        r->i += n;
        setting(r, at, local, text_of(name));
        return;
    }
    struct text plain = take_setting(r);
    if (!take_word(r, "to") && at_char(r, r->i, '='))
        r->i++;
    if (plain.n && !at_word(r, r->i, "from"))
        setting(r, at, local, plain);
}

static void read_reset(struct reader *r, int at)
{
    int n;

    r->i = at + 1;
    if (at_word(r, r->i, "all") && r->i + 1 == r->end) {
        add(r, FX_RESET_ALL, at)->leading = true;
        return;
    }
    const char *name = special_at(r, r->i, &n);
    struct text plain = name ? text_of(name) : take_setting(r);
    if (plain.n && !text_is(plain, "transaction")) {
        struct effect *e = add(r, FX_RESET, at);
        e->leading = true;
        e->name = plain;
    }
}

/* ---- other statements by their first word ---- */

static void simple(struct reader *r, int at, enum effect_kind kind, struct text name, int value)
{
    struct effect *e = add(r, kind, at);

    e->leading = true;
    e->name = name;
    if (value >= 0)
        e->value = source(r, value, r->end);
}

static void read_discard(struct reader *r, int at)
{
    if (at_word(r, at + 1, "plans"))
        simple(r, at, FX_DISCARD_PLANS, TEXT(""), -1);
    else if (at_word(r, at + 1, "sequences"))
        simple(r, at, FX_DISCARD_SEQUENCES, TEXT(""), -1);
    else if (at_word(r, at + 1, "temp") || at_word(r, at + 1, "temporary"))
        simple(r, at, FX_DISCARD_TEMP, TEXT(""), -1);
    else
        simple(r, at, FX_DISCARD_ALL, TEXT(""), -1);
}

static bool chains(const struct reader *r)
{
    return r->end >= 2 && at_word(r, r->end - 1, "chain") && !at_word(r, r->end - 2, "no");
}

static void read_rollback(struct reader *r, int at)
{
    int i = at + 1;

    if (at_word(r, i, "prepared"))
        return;
    if (at_word(r, i, "work") || at_word(r, i, "transaction"))
        i++;
    if (at_word(r, i, "to")) {
        i += at_word(r, i + 1, "savepoint") ? 2 : 1;
        simple(r, at, FX_ROLLBACK_TO, name_at(r, i, false), -1);
        return;
    }
    simple(r, at, FX_ROLLBACK, TEXT(""), -1);
    if (chains(r))
        simple(r, at, FX_BEGIN, TEXT(""), -1);
}

static void read_commit(struct reader *r, int at)
{
    if (at_word(r, at + 1, "prepared"))
        return;
    simple(r, at, FX_COMMIT, TEXT(""), -1);
    if (chains(r))
        simple(r, at, FX_BEGIN, TEXT(""), -1);
}

static void read_release(struct reader *r, int at)
{
    int i = at + (at_word(r, at + 1, "savepoint") && at + 2 < r->end ? 2 : 1);
    simple(r, at, FX_RELEASE, name_at(r, i, false), -1);
}

static void read_savepoint(struct reader *r, int at)
{
    simple(r, at, FX_SAVEPOINT, name_at(r, at + 1, false), -1);
}

static void read_begin(struct reader *r, int at)
{
    simple(r, at, FX_BEGIN, TEXT(""), -1);
}

static void read_prepare(struct reader *r, int at)
{
    if (at_word(r, at + 1, "transaction") && at + 2 < r->end && r->t[at + 2].kind != TOKEN_SELF &&
        !at_word(r, at + 2, "as"))
        simple(r, at, FX_COMMIT, TEXT(""), -1);
    else
        simple(r, at, FX_PREPARE, name_at(r, at + 1, false), at + 2);
}

static void read_execute(struct reader *r, int at)
{
    simple(r, at, FX_EXECUTE, name_at(r, at + 1, false), at + 2);
}

static void read_deallocate(struct reader *r, int at)
{
    int i = at + (at_word(r, at + 1, "prepare") && at + 2 < r->end ? 2 : 1);
    simple(r, at, FX_DEALLOCATE, at_word(r, i, "all") ? TEXT("") : name_at(r, i, false), -1);
}

static void read_listen(struct reader *r, int at)
{
    simple(r, at, FX_LISTEN, name_at(r, at + 1, false), -1);
}

static void read_unlisten(struct reader *r, int at)
{
    simple(r, at, FX_UNLISTEN, name_at(r, at + 1, false), -1); /* `*` is no name */
}

static void read_notify(struct reader *r, int at)
{
    simple(r, at, FX_NOTIFY, name_at(r, at + 1, false), -1);
    if (at_char(r, at + 2, ','))
        r->list[r->n_list - 1].value = source(r, at + 3, r->end);
}

static void read_close(struct reader *r, int at)
{
    simple(r, at, FX_CLOSE, at_word(r, at + 1, "all") ? TEXT("") : name_at(r, at + 1, false), -1);
}

/* DECLARE name [options] CURSOR [WITH HOLD] FOR ... */
static void read_declare(struct reader *r, int at)
{
    for (int i = at + 2; i < r->end && !at_word(r, i, "for"); i++)
        if (at_word(r, i, "with") && at_word(r, i + 1, "hold"))
            simple(r, at, FX_HOLD, name_at(r, at + 1, false), -1);
}

static void read_load(struct reader *r, int at)
{
    simple(r, at, FX_LOAD, TEXT(""), at + 1);
}

static void read_do(struct reader *r, int at)
{
    simple(r, at, FX_DO, TEXT(""), -1);
}

/* CREATE [OR REPLACE] [LOCAL | GLOBAL] { TEMP | TEMPORARY } */
static void read_create(struct reader *r, int at)
{
    int i = at + 1;

    if (at_word(r, i, "or") && at_word(r, i + 1, "replace"))
        i += 2;
    if (at_word(r, i, "local") || at_word(r, i, "global"))
        i++;
    if (at_word(r, i, "temp") || at_word(r, i, "temporary"))
        simple(r, at, FX_TEMP, TEXT(""), -1);
}

static const struct {
    const char *word;
    void (*read)(struct reader *r, int at);
} verbs[] = {
    { "set", read_set },         { "reset", read_reset },
    { "discard", read_discard }, { "begin", read_begin },
    { "start", read_begin },     { "commit", read_commit },
    { "end", read_commit },      { "rollback", read_rollback },
    { "abort", read_rollback },  { "savepoint", read_savepoint },
    { "release", read_release }, { "prepare", read_prepare },
    { "execute", read_execute }, { "deallocate", read_deallocate },
    { "listen", read_listen },   { "unlisten", read_unlisten },
    { "notify", read_notify },   { "declare", read_declare },
    { "close", read_close },     { "load", read_load },
    { "do", read_do },           { "create", read_create },
};

/* ---- words within statements ---- */

/* The number of $n. */
static int n_param(const struct reader *r, int i)
{
    struct text s = token_text(r->sql, r->t[i]);
    int64_t n = 0;

    return text_to_int64(text_n(s.p + 1, s.n - 1), &n) && n < 65536 ? (int)n : 0;
}

/* set_config(name, value, is_local) whose bracket is at `open`. */
static void read_set_config(struct reader *r, int at, int open)
{
    int close = closing(r, open), arg[4], n_arg = 0;
    struct text name = TEXT(""), value = TEXT(""), in;

    arg[n_arg++] = open + 1;
    for (int i = open + 1; i < close && n_arg < 4; i++)
        if (r->t[i].depth == r->t[open].depth + 1 && token_is_char(r->sql, r->t[i], ','))
            arg[n_arg++] = i + 1;
    bool local = n_arg == 3 && close - arg[2] == 1 && at_word(r, arg[2], "true");
    if (n_arg == 3 && arg[1] - arg[0] == 2 && plain_string(r, arg[0], &in))
        name = content(r, in, '\'', true);
    if (n_arg == 3)
        value = source(r, arg[1], arg[2] - 1);
    if (local)
        return;
    struct effect *e = add(r, FX_SET, at);
    e->name = name;
    e->value = value;
    if (n_arg == 3 && arg[1] - arg[0] == 2 && r->t[arg[0]].kind == TOKEN_PARAM)
        e->param = n_param(r, arg[0]);
}

static void call(struct reader *r, int at, struct text f)
{
    int open = at + 1, close = closing(r, open);
    enum effect_kind kind;

    if (text_is_i(f, "set_config")) {
        read_set_config(r, at, open);
        return;
    }
    if (is_session_lock(f))
        kind = FX_LOCK;
    else if (is_session_unlock(f))
        kind = FX_UNLOCK;
    else if (text_is_i(f, "pg_advisory_unlock_all"))
        kind = FX_UNLOCK_ALL;
    else if (text_is_i(f, "lastval") || text_is_i(f, "currval"))
        kind = FX_SEQUENCE;
    else if (text_is_i(f, "setseed"))
        kind = FX_SEED;
    else
        return;
    struct effect *e = add(r, kind, at);
    e->value = source(r, open + 1, close);
}

/* Words that count anywhere in a statement. */
static void within(struct reader *r, int start)
{
    bool holds_execute = at_word(r, start, "explain") || at_word(r, start, "create");

    for (int i = start; i < r->end; i++) {
        struct token t = r->t[i];
        struct text f = token_text(r->sql, t);
        if (t.kind == TOKEN_UIDENT)
            r->odd = true; /* whatever its escapes spell */
        if (t.kind == TOKEN_QIDENT)
            f = text_n(f.p + 1, f.n - 2);
        else if (t.kind != TOKEN_IDENT)
            continue;
        if (at_char(r, i + 1, '('))
            call(r, i, f);
        else if (starts_i(f, "pg_temp") && at_char(r, i + 1, '.'))
            add(r, FX_TEMP, i);
        else if (at_word(r, i, "into") &&
                 (at_word(r, i + 1, "temp") || at_word(r, i + 1, "temporary") ||
                  ((at_word(r, i + 1, "local") || at_word(r, i + 1, "global")) &&
                   (at_word(r, i + 2, "temp") || at_word(r, i + 2, "temporary")))))
            add(r, FX_TEMP, i);
        else if (holds_execute && at_word(r, i, "execute") && i > start &&
                 !at_word(r, i + 1, "function") && !at_word(r, i + 1, "procedure")) {
            struct text name = name_at(r, i + 1, false), value = source(r, i + 2, r->end);
            struct effect *e = add(r, FX_EXECUTE, i);
            e->name = name;
            e->value = value;
        }
    }
}

static void statement(struct reader *r, int start)
{
    r->n_statements++;
    for (size_t k = 0; k < sizeof(verbs) / sizeof(verbs[0]); k++)
        if (at_word(r, start, verbs[k].word)) {
            verbs[k].read(r, start);
            break;
        }
    within(r, start);
}

/* All in one block. NULL: out of memory. */
static struct effects *pack(const struct reader *r)
{
    size_t size = sizeof(struct effects) + sizeof(struct effect) * (size_t)r->n_list;
    struct effects *e;

    for (int i = 0; i < r->n_list; i++)
        size += r->list[i].name.n + r->list[i].value.n + 2;
    e = malloc(size);
    if (!e)
        return NULL;
    *e = (struct effects){ .n = r->n_list,
                           .n_statements = r->n_statements,
                           .list = (struct effect *)(e + 1) };
    char *p = (char *)(e->list + e->n);
    for (int i = 0; i < e->n; i++) {
        struct effect *x = &e->list[i];
        *x = r->list[i];
        struct text *const texts[] = { &x->name, &x->value };
        for (int k = 0; k < 2; k++) {
            if (texts[k]->n)
                memcpy(p, texts[k]->p, texts[k]->n);
            p[texts[k]->n] = '\0';
            texts[k]->p = p;
            p += texts[k]->n + 1;
        }
        e->kinds |= FX_BIT(x->kind);
    }
    return e;
}

static void read_all(struct reader *r)
{
    for (int i = 0; i < r->n; i = r->end + 1) {
        for (r->end = i; r->end < r->n && !token_is_char(r->sql, r->t[r->end], ';'); r->end++)
            ;
        if (r->end > i)
            statement(r, i);
    }
    r->end = r->n;
}

bool effects_read(struct text sql, bool strings_escape, struct effects **out)
{
    struct arena a;
    struct reader r = { .sql = sql, .a = &a };
    struct token *all = NULL;

    *out = NULL;
    arena_init(&a, 4096);
    int n = lexer_run(sql, &a, &all, NULL, NULL);
    for (int i = 0; i < n; i++)
        if (!token_is_comment(all[i]))
            all[r.n++] = all[i];
    r.t = all;
    if (n < 0 || (strings_escape && sql.n && memchr(sql.p, '\\', sql.n)))
        r.odd = true;
    else
        read_all(&r);
    if (r.odd)
        add(&r, FX_UNKNOWN, 0);
    bool ok = true;
    if (r.n_list) {
        *out = pack(&r);
        ok = *out != NULL;
    }
    arena_release(&a);
    return ok;
}
