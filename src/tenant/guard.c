/* SPDX-License-Identifier: ISC */
/* Limits and checks of a text before it is parsed, and the blanking of comments. */
#include "tenant/guard.h"

#include <stdlib.h>

const struct guard_limits guard_default_limits = {
    .bytes = 1024 * 1024,
    .statements = 100,
    .lexer = { .tokens = 200000, .operator_run = 63, .comment_nesting = 16, .depth = 500 },
};

const char *guard_code_name(enum guard_code c)
{
    static const char *const names[] = {
        [GUARD_OK] = "ok",         [GUARD_BYTES] = "bytes",           [GUARD_NUL] = "nul",
        [GUARD_UTF8] = "utf8",     [GUARD_ENCODING] = "encoding",     [GUARD_STRINGS] = "strings",
        [GUARD_TOKENS] = "tokens", [GUARD_OPERATOR] = "operator",     [GUARD_COMMENT] = "comment",
        [GUARD_DEPTH] = "depth",   [GUARD_STATEMENTS] = "statements", [GUARD_PARAM] = "param",
        [GUARD_SYNTAX] = "syntax",
    };
    return (size_t)c < sizeof(names) / sizeof(*names) ? names[c] : "unknown";
}

/* Offset of the first byte above 127 from i on; n when there is none. */
static size_t skip_ascii(const char *p, size_t i, size_t n)
{
    while (i + 8 <= n) {
        uint64_t w;
        memcpy(&w, p + i, sizeof(w));
        if (w & UINT64_C(0x8080808080808080))
            break;
        i += 8;
    }
    while (i < n && !((unsigned char)p[i] & 0x80))
        i++;
    return i;
}

bool guard_utf8(struct text t, size_t *bad)
{
    const unsigned char *p = (const unsigned char *)t.p;
    for (size_t i = skip_ascii(t.p, 0, t.n); i < t.n; i = skip_ascii(t.p, i, t.n)) {
        size_t len = text_utf8_len(p + i, t.n - i);
        if (!len) {
            *bad = i;
            return false;
        }
        i += len;
    }
    return true;
}

static enum guard_code check_bytes(struct text sql, const struct guard_settings *s, size_t *bad,
                                   struct err *e)
{
    const char *nul = sql.n ? memchr(sql.p, 0, sql.n) : NULL;
    if (nul) {
        *bad = (size_t)(nul - sql.p);
        err_set_state(e, "22021", "the statement holds a zero byte");
        return GUARD_NUL;
    }
    if (!s->standard_conforming_strings) {
        err_set_state(e, "0A000", "standard_conforming_strings is off");
        return GUARD_STRINGS;
    }
    if (s->utf8 && !guard_utf8(sql, bad)) {
        err_set_state(e, "22021", "invalid byte sequence for encoding \"UTF8\"");
        return GUARD_UTF8;
    }
    if (!s->utf8 && (*bad = skip_ascii(sql.p, 0, sql.n)) < sql.n) {
        err_set_state(e, "0A000", "the encoding is not UTF8 and the statement is not pure ASCII");
        return GUARD_ENCODING;
    }
    return GUARD_OK;
}

static enum guard_code code_of(enum lexer_trouble t)
{
    switch (t) {
    case LEXER_FINE:
        return GUARD_OK;
    case LEXER_OPERATOR_RUN:
        return GUARD_OPERATOR;
    case LEXER_NESTING:
        return GUARD_COMMENT;
    case LEXER_DEPTH:
        return GUARD_DEPTH;
    case LEXER_TOKENS:
        return GUARD_TOKENS;
    case LEXER_UNTERMINATED:
    case LEXER_JUNK:
    case LEXER_EMPTY_IDENT:
    case LEXER_LONG_OPERATOR:
        break;
    }
    return GUARD_SYNTAX;
}

/* $n: its number; 0 when it is out of range. */
static uint32_t param_number(struct text sql, struct token t)
{
    uint32_t v = 0;
    for (uint32_t i = 1; i < t.len && v <= 65535; i++)
        v = v * 10 + (uint32_t)(sql.p[t.off + i] - '0');
    return v <= 65535 ? v : 0;
}

static enum guard_code check_token(struct text sql, const struct guard_limits *l, struct token t,
                                   bool *in_statement, struct guard_report *r, struct err *e)
{
    if (token_is_comment(t)) {
        r->comments++;
        return GUARD_OK;
    }
    r->tokens++;
    if (t.kind == TOKEN_PARAM) {
        uint32_t n = param_number(sql, t);
        if (!n) {
            err_set_state(e, "54000", "parameter numbers go from $1 to $65535");
            return GUARD_PARAM;
        }
        r->max_param = n > r->max_param ? n : r->max_param;
    }
    if (token_is_char(sql, t, ';')) {
        *in_statement = false;
    } else if (!*in_statement) {
        *in_statement = true;
        if (++r->statements > l->statements) {
            err_set_state(e, "54000", "more than %u statements", l->statements);
            return GUARD_STATEMENTS;
        }
    }
    return GUARD_OK;
}

/* Room for the text and one more token. */
static bool scan_room(struct guard_scan *s, size_t bytes)
{
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 256;
        struct token *v = realloc(s->tok, sizeof(*v) * cap);
        s->failed |= !v;
        if (v) {
            s->tok = v;
            s->cap = cap;
        }
    }
    if (bytes >= s->blank_cap) {
        size_t cap = bytes < 4096 ? 4096 : bytes + 1;
        char *p = realloc(s->blank, cap);
        s->failed |= !p;
        if (p) {
            s->blank = p;
            s->blank_cap = cap;
        }
    }
    return !s->failed;
}

void guard_scan_release(struct guard_scan *s)
{
    free(s->tok);
    free(s->blank);
    *s = (struct guard_scan){ .n = 0 };
}

void guard_scan_trim(struct guard_scan *s)
{
    if (s->cap > 8192 || s->blank_cap > 65536)
        guard_scan_release(s);
}

static enum guard_code check_tokens(struct text sql, const struct guard_limits *l,
                                    struct guard_report *r, struct err *e, struct guard_scan *s)
{
    struct lexer x;
    struct token t;
    bool in_statement = false;
    lexer_init(&x, sql, &l->lexer);
    if (s) {
        s->n = 0;
        s->failed = false;
        if (!scan_room(s, sql.n))
            return GUARD_OK;
        if (sql.n)
            memcpy(s->blank, sql.p, sql.n);
        s->blank[sql.n] = 0;
        x.blank = s->blank;
    }
    while (lexer_next(&x, &t)) {
        if (s && (!token_is_comment(t) || (t.kind == TOKEN_COMMENT && x.after_string))) {
            if (s->n == s->cap && !scan_room(s, sql.n))
                return GUARD_OK;
            s->tok[s->n++] = t;
        }
        r->off = t.off;
        if (r->tokens + r->comments == l->lexer.tokens) {
            err_set_state(e, "54000", "more than %u tokens", l->lexer.tokens);
            return GUARD_TOKENS;
        }
        enum guard_code c = check_token(sql, l, t, &in_statement, r, e);
        if (c)
            return c;
    }
    r->off = x.trouble_off;
    if (x.trouble)
        lexer_error(&x, e);
    return code_of(x.trouble);
}

enum guard_code guard_scan(struct text sql, const struct guard_settings *s,
                           const struct guard_limits *limits, struct guard_report *r, struct err *e,
                           struct guard_scan *scan)
{
    const struct guard_limits *l = limits ? limits : &guard_default_limits;
    struct guard_report own;
    r = r ? r : &own;
    *r = (struct guard_report){ 0 };
    if (sql.n > l->bytes || sql.n > INT32_MAX / 2) {
        err_set_state(e, "54000", "the statement is longer than %zu bytes", l->bytes);
        return GUARD_BYTES;
    }
    size_t bad = 0;
    enum guard_code c = check_bytes(sql, s, &bad, e);
    if (c) {
        r->off = (uint32_t)bad;
        return c;
    }
    return check_tokens(sql, l, r, e, scan);
}

enum guard_code guard_check(struct text sql, const struct guard_settings *s,
                            const struct guard_limits *limits, struct guard_report *r,
                            struct err *e)
{
    return guard_scan(sql, s, limits, r, e, NULL);
}

bool guard_hint(struct text sql)
{
    const char *p = sql.p, *end = sql.p + sql.n;
    while (end - p > 2 && (p = memchr(p, '/', (size_t)(end - p - 2))) != NULL) {
        if (p[1] == '*' && p[2] == '+')
            return true;
        p++;
    }
    return false;
}

struct text guard_blank(struct arena *a, struct text sql)
{
    static const struct lexer_limits none = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };
    struct text copy = { NULL, sql.n };
    char *p = arena_alloc(a, sql.n + 1);
    struct lexer x;
    struct token t;
    if (sql.n)
        memcpy(p, sql.p, sql.n);
    p[sql.n] = 0;
    copy.p = p;
    lexer_init(&x, sql, &none);
    x.blank = p;
    while (lexer_next(&x, &t))
        ;
    return copy;
}
