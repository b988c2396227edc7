/* SPDX-License-Identifier: ISC */
/*
 * Keys and templates of statements.
 *
 * The key is that of a shorter text: digits behind anything but a name become one digit, '...'
 * becomes a quote, a comment a blank. All three are told by looking at one byte before and one
 * behind, in a text without other kinds of quotes; there two texts with the same short form have
 * the same tokens up to the values of constants, so the same template. In a text that has others
 * (E'', U&'', $$, nested comments) nothing is left out. The lexer, which knows them all, makes the
 * template itself; a wrong guess here would count a statement under another one's name, but could
 * not show what no template shows.
 */
#include "tenant/sketch.h"

#include "tenant/guard.h"
#include "tenant/lexer.h"
#include "tenant/redact.h"

#include <string.h>

/* ---- the key ---- */

enum {
    DIGIT = 1,
    WORD = 2, /* what a name may hold, digits and $ included */
    LOOK = 4  /* begins something that may be left out, or forbids it */
};

#define WORDS16                                                                                    \
    WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD
#define NUMBER (DIGIT | WORD | LOOK)

/* clang-format off */
static const uint8_t classes[256] = {
    ['0'] = NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER,
    ['A'] = WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD,
    WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD,
    ['_'] = WORD,
    ['a'] = WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD,
    WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD,
    ['$'] = WORD | LOOK, ['\''] = LOOK, ['"'] = LOOK, ['-'] = LOOK, ['/'] = LOOK,
    [128] = WORDS16, WORDS16, WORDS16, WORDS16, WORDS16, WORDS16, WORDS16, WORDS16,
};
/* clang-format on */

/* SipHash-1-3 with its longer result (Aumasson and Bernstein, 2012), fed in blocks. */
struct hash {
    uint64_t v[4];
    uint64_t total;
};

static void round_once(uint64_t v[4])
{
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
    v[0] += v[1];
    v[1] = ROTL(v[1], 13) ^ v[0];
    v[0] = ROTL(v[0], 32);
    v[2] += v[3];
    v[3] = ROTL(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTL(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTL(v[1], 17) ^ v[2];
    v[2] = ROTL(v[2], 32);
#undef ROTL
}

static void hash_begin(struct hash *h, const uint64_t seed[2], uint64_t salt)
{
    *h = (struct hash){
        .v = { seed[0] ^ 0x736f6d6570736575ULL, seed[1] ^ 0x646f72616e646f6dULL ^ 0xee,
               seed[0] ^ 0x6c7967656e657261ULL, seed[1] ^ 0x7465646279746573ULL ^ salt }
    };
    round_once(h->v);
}

/* n is a multiple of 8 in all calls but the last. */
static void hash_add(struct hash *h, const char *p, size_t n)
{
    uint64_t word;

    h->total += n;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8); /* byte order does not matter: keys never leave the process */
        h->v[3] ^= word;
        round_once(h->v);
        h->v[0] ^= word;
    }
    word = 0;
    memcpy(&word, p, n);
    h->v[3] ^= word;
    round_once(h->v);
    h->v[0] ^= word;
}

static void hash_end(struct hash *h, uint64_t key[2])
{
    h->v[3] ^= h->total;
    round_once(h->v);
    h->v[0] ^= h->total;
    h->v[2] ^= 0xee;
    for (int i = 0; i < 3; i++)
        round_once(h->v);
    key[0] = h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
    h->v[1] ^= 0xdd;
    for (int i = 0; i < 3; i++)
        round_once(h->v);
    key[1] = h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
}

static uint8_t class_at(const char *p)
{
    return classes[(unsigned char)*p];
}

/* The end of a '...' that begins at p, NULL when there is none. */
static const char *string_end(const char *p, const char *end)
{
    for (p++;; p++) {
        p = p < end ? memchr(p, '\'', (size_t)(end - p)) : NULL;
        if (!p)
            return NULL;
        if (++p >= end || *p != '\'')
            return p;
    }
}

/* The end of a comment that begins at p; NULL: it has others in it, or no end. */
static const char *comment_end(const char *p, const char *end)
{
    for (p += 2; p + 1 < end; p++) {
        if (p[0] == '*' && p[1] == '/')
            return p + 2;
        if (p[0] == '/' && p[1] == '*')
            return NULL;
    }
    return NULL;
}

static const char *line_end(const char *p, const char *end)
{
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

/* What stands at p and may have to be left out: the byte that stands for it, and where it ends.
 * false: the text is to be taken as it is. */
static bool look(const char *start, const char *p, const char *end, char *mark, const char **behind)
{
    uint8_t before = p > start ? class_at(p - 1) : 0;

    *mark = *p;
    *behind = p + 1;
    switch (*p) {
    case '\'':
        if (before & WORD || (p > start && p[-1] == '&'))
            return false;
        *behind = string_end(p, end);
        return *behind != NULL;
    case '$':
        if (before & WORD)
            return true;
        if (p + 1 >= end || !(class_at(p + 1) & DIGIT))
            return false;
        for (p++; p < end && class_at(p) & DIGIT; p++)
            ;
        *behind = p;
        return true;
    case '-':
    case '/':
        if (p + 1 >= end || p[1] != (*p == '-' ? '-' : '*'))
            return true;
        *behind = *p == '-' ? line_end(p, end) : comment_end(p, end);
        *mark = ' ';
        return *behind != NULL;
    default: /* a digit */
        if (before & WORD)
            return true;
        *mark = '0';
        for (p++; p < end && class_at(p) & DIGIT; p++)
            ;
        *behind = p;
        return true;
    }
}

/* The short form, in blocks. false: the text is to be taken as it is. */
static bool add_short(struct hash *h, struct text sql)
{
    char block[512];
    size_t n = 0;
    bool quoted = false; /* within "..." */
    const char *p = sql.p, *end = p + sql.n;

    while (p < end) {
        if (n == sizeof(block)) {
            hash_add(h, block, n);
            n = 0;
        }
        if (!(class_at(p) & LOOK)) {
            block[n++] = *p++;
            continue;
        }
        if (*p == '"' || quoted) {
            quoted ^= *p == '"';
            block[n++] = *p++;
            continue;
        }
        const char *behind;
        if (!look(sql.p, p, end, &block[n++], &behind))
            return false;
        p = behind;
    }
    hash_add(h, block, n);
    return !quoted;
}

void sketch_key(struct text sql, const uint64_t seed[2], uint64_t salt, uint64_t key[2])
{
    struct hash h;

    hash_begin(&h, seed, salt);
    if (sql.n > SKETCH_MAX_TEXT) {
        hash_add(&h, "<too long>", 10);
    } else if (!add_short(&h, sql)) {
        hash_begin(&h, seed, ~salt);
        hash_add(&h, sql.p, sql.n);
    }
    hash_end(&h, key);
}

/* ---- the template ---- */

bool sketch_odd_charset(const char *e)
{
    switch (e ? *e : 0) {
    case 'B': /* BIG5 */
    case 'G': /* GBK, GB18030 */
    case 'J': /* JOHAB */
        return true;
    case 'S': /* SJIS, SHIFT_JIS_2004; but SQL_ASCII */
        return e[1] != 'Q';
    case 'U': /* UHC; but UTF8, UNICODE */
        return e[1] == 'H';
    default:
        return false;
    }
}

static bool has_high(struct text sql)
{
    for (size_t i = 0; i < sql.n; i++)
        if ((unsigned char)sql.p[i] > 127)
            return true;
    return false;
}

static bool mentions(struct text sql, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= sql.n; i++)
        if (text_is_i(text_n(sql.p + i, n), word))
            return true;
    return false;
}

/* Could the server see other strings in it than the lexer does? */
static bool two_readings(struct text sql, const struct sketch_reading *how)
{
    bool backslash = sql.n && memchr(sql.p, '\\', sql.n) != NULL;

    if (sql.n && memchr(sql.p, '\0', sql.n))
        return true;
    if (backslash && (how->escapes || mentions(sql, "standard_conforming_strings")))
        return true;
    return how->odd_charset && has_high(sql);
}

/* Bytes that are no UTF-8 are letters to the lexer, whatever they are: so is this one. */
static bool make_utf8(struct text sql, struct buf *copy)
{
    buf_text_append(copy, sql);
    if (copy->failed)
        return false;
    for (size_t i = 0; i < sql.n; i++)
        if ((unsigned char)buf_data(copy)[i] > 127)
            buf_data(copy)[i] = '_';
    return true;
}

void sketch_text(struct text sql, const struct sketch_reading *how, struct buf *out)
{
    struct buf copy;
    size_t bad;

    if (sql.n > SKETCH_MAX_TEXT) {
        buf_text_append(out, TEXT("<too long>"));
        return;
    }
    if (two_readings(sql, how) || redact_is_broken(sql)) {
        buf_text_append(out, TEXT("<unreadable>"));
        return;
    }
    buf_init(&copy);
    if (!guard_utf8(sql, &bad)) {
        if (!make_utf8(sql, &copy))
            out->failed = true;
        sql = buf_text(&copy);
    }
    size_t before = buf_len(out);
    if (!out->failed)
        redact(sql, false, out);
    if (!out->failed && buf_len(out) == before)
        buf_text_append(out, TEXT("<empty>"));
    buf_release(&copy);
}

struct text sketch_prepared(struct text sql)
{
    struct lexer x;
    struct token t;

    lexer_init(&x, sql, NULL);
    while (lexer_next(&x, &t))
        if (t.depth == 0 && t.kind == TOKEN_IDENT && text_is_i(token_text(sql, t), "as")) {
            size_t at = t.off + t.len;
            while (at < sql.n && strchr(" \t\n\f\r", sql.p[at]))
                at++;
            return text_n(sql.p + at, sql.n - at);
        }
    return sql;
}
