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

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <string.h>

/* ---- the key ---- */

enum {
    DIGIT = 1,
    WORD = 2, /* what a name may hold, digits and $ included */
    LOOK = 4  /* begins something that may be left out, or forbids it */
};

#define STRIDE 16 /* bytes that are looked at together */
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

/* A keyed hash: products of 64 bits folded into two sums, 16 bytes at a time. Who does not know the
 * seed cannot aim at a collision, and nobody sees a key. */
struct hash {
    uint64_t a, b, seed[2], total;
};

__extension__ typedef unsigned __int128 wide;

static inline uint64_t fold(uint64_t x, uint64_t y)
{
    wide z = (wide)x * y;
    return (uint64_t)z ^ (uint64_t)(z >> 64);
}

static void hash_begin(struct hash *h, const uint64_t seed[2], uint64_t salt)
{
    *h = (struct hash){ .a = seed[0] ^ salt,
                        .b = seed[1] + salt,
                        .seed = { seed[0] | 1, seed[1] ^ 0x9e3779b97f4a7c15ULL } };
}

static inline void hash_16(struct hash *h, const char *p)
{
    uint64_t x, y;

    memcpy(&x, p, 8); /* byte order does not matter: keys never leave the process */
    memcpy(&y, p + 8, 8);
    h->a = fold(x ^ h->seed[0] ^ h->a, y ^ h->seed[1]);
    h->b = fold(y + h->seed[0] + h->b, x + h->seed[1]);
}

/* n is a multiple of 16 in all calls but the last. */
static void hash_add(struct hash *to, const char *p, size_t n)
{
    struct hash h = *to;

    h.total += n;
    for (; n >= 16; n -= 16, p += 16)
        hash_16(&h, p);
    if (n) {
        char last[16] = { 0 };
        memcpy(last, p, n);
        hash_16(&h, last);
    }
    *to = h;
}

static void hash_end(const struct hash *h, uint64_t key[2])
{
    key[0] = fold(h->a ^ h->seed[1], h->b ^ h->seed[0] ^ h->total);
    key[1] = fold(h->b + h->seed[1] + h->total, h->a ^ h->seed[0]);
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

/* The short form on its way to the hash. */
struct block {
    struct hash *h;
    size_t n;
    char p[512 + STRIDE]; /* whole strides are written */
};

static inline void make_room(struct block *b)
{
    if (b->n < 512)
        return;
    hash_add(b->h, b->p, 512);
    memcpy(b->p, b->p + 512, STRIDE);
    b->n -= 512;
}

/* Copies what needs no look from p on, at most a stride; how much. */
static inline size_t plain(struct block *b, const char *p, size_t left)
{
#ifdef __SSE2__
    char last[STRIDE];
    if (left < STRIDE) {
        memset(last, 0, STRIDE);
        memcpy(last, p, left);
        p = last;
    }
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    _mm_storeu_si128((__m128i *)(void *)(b->p + b->n), v);
    /* / and digits stand side by side */
    __m128i from = _mm_sub_epi8(v, _mm_set1_epi8('/'));
    __m128i looks = _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8('9' - '/')), from);
    looks = _mm_or_si128(looks, _mm_cmpeq_epi8(v, _mm_set1_epi8('\'')));
    looks = _mm_or_si128(looks, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
    looks = _mm_or_si128(looks, _mm_cmpeq_epi8(v, _mm_set1_epi8('$')));
    looks = _mm_or_si128(looks, _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
    unsigned mask = (unsigned)_mm_movemask_epi8(looks);
    size_t n = mask ? (size_t)__builtin_ctz(mask) : left < STRIDE ? left : STRIDE;
#else
    size_t n = 0, most = left < STRIDE ? left : STRIDE;
    for (; n < most && !(class_at(p + n) & LOOK); n++)
        b->p[b->n + n] = p[n];
#endif
    b->n += n;
    return n;
}

/* A "..." from p on is copied. Where it ends; NULL: nowhere. */
static const char *quoted_name(struct block *b, const char *p, const char *end)
{
    const char *last = memchr(p + 1, '"', (size_t)(end - p - 1));

    for (; last && p <= last; p++) {
        b->p[b->n++] = *p;
        make_room(b);
    }
    return last ? p : NULL;
}

/* false: the text is to be taken as it is. */
static bool add_short(struct hash *h, struct text sql)
{
    struct block b;
    const char *p = sql.p, *end = p + sql.n;

    b.h = h;
    b.n = 0;
    while (p < end) {
        p += plain(&b, p, (size_t)(end - p));
        make_room(&b);
        if (p >= end || !(class_at(p) & LOOK))
            continue;
        if (*p == '"') {
            p = quoted_name(&b, p, end);
        } else if (!look(sql.p, p, end, &b.p[b.n++], &p)) {
            return false;
        }
        if (!p)
            return false;
        make_room(&b);
    }
    memset(b.p + b.n, 0, STRIDE);
    hash_add(h, b.p, (b.n + STRIDE - 1) / STRIDE * STRIDE);
    h->total += b.n;
    return true;
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

/* Would the names of a text that is no UTF-8 be shown as they are if its constants were others? */
static bool names_readable(struct text sql)
{
    struct lexer x;
    struct token t;
    bool high = false;
    size_t bad;

    lexer_init(&x, sql, NULL);
    while (lexer_next(&x, &t)) {
        if (t.kind != TOKEN_IDENT && t.kind != TOKEN_QIDENT)
            continue;
        if (!guard_utf8(token_text(sql, t), &bad))
            return false;
        high |= has_high(token_text(sql, t));
    }
    return high;
}

/* Words behind which a sign begins a constant. */
static bool before_value(struct text word)
{
    static const char *const words[] = { "select",    "then",     "else",   "when",   "and",
                                         "or",        "not",      "by",     "limit",  "offset",
                                         "in",        "like",     "values", "return", "between",
                                         "returning", "ilike",    "case",   "where",  "on",
                                         "having",    "distinct", "all",    "from" };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (text_is_i(word, words[i]))
            return true;
    return false;
}

/* Is what comes behind that text a value's sign, not an operator? */
static bool begins_value(struct text made)
{
    while (made.n && made.p[made.n - 1] == ' ')
        made.n--;
    if (made.n == 0 || strchr("(,=<>+-*/%^|&~!@#[;", made.p[made.n - 1]))
        return true;
    size_t n = 0;
    while (n < made.n && class_at(made.p + made.n - 1 - n) & WORD)
        n++;
    return before_value(text_n(made.p + made.n - n, n));
}

/* Appends a mark, which joins a list in front of it. */
static void put_mark(struct buf *out, size_t start)
{
    static const char *const lists[] = { "?, ..., ", "?, " };
    struct text made = text_n(buf_data(out) + start, buf_len(out) - start);

    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(lists[i]);
        if (made.n >= n && memcmp(made.p + made.n - n, lists[i], n) == 0) {
            out->n -= n;
            buf_text_append(out, TEXT("?, ..."));
            return;
        }
    }
    buf_char(out, '?');
}

/* A template anew with the signs of constants in their marks: "= -?" is "= ?". */
static void drop_signs(struct text template, struct buf *out)
{
    size_t start = buf_len(out);
    bool quoted = false;

    for (size_t i = 0; i < template.n; i++) {
        char c = template.p[i];
        struct text made = text_n(buf_data(out) + start, buf_len(out) - start);
        quoted ^= c == '"';
        if (!quoted && (c == '-' || c == '+') && i + 1 < template.n && template.p[i + 1] == '?' &&
            begins_value(made))
            continue;
        if (!quoted && c == '?')
            put_mark(out, start);
        else
            buf_char(out, c);
    }
}

bool sketch_text(struct text sql, const struct sketch_reading *how, struct buf *out)
{
    struct buf copy;
    size_t bad;

    if (sql.n > SKETCH_MAX_TEXT) {
        buf_text_append(out, TEXT("<too long>"));
        return true;
    }
    bool two = two_readings(sql, how);
    if (two || redact_is_broken(sql)) {
        buf_text_append(out, TEXT("<unreadable>"));
        return !two;
    }
    buf_init(&copy);
    bool general = true;
    if (!guard_utf8(sql, &bad)) {
        general = !names_readable(sql);
        if (!make_utf8(sql, &copy))
            out->failed = true;
        sql = buf_text(&copy);
    }
    size_t before = buf_len(out);
    if (!out->failed)
        redact(sql, false, out);
    struct text made = text_n(buf_data(out) + before, buf_len(out) - before);
    if (!out->failed && made.n &&
        (memmem(made.p, made.n, "-?", 2) || memmem(made.p, made.n, "+?", 2))) {
        buf_clear(&copy);
        buf_text_append(&copy, made);
        out->failed |= copy.failed;
        out->n -= made.n;
        drop_signs(buf_text(&copy), out);
    }
    if (!out->failed && buf_len(out) == before)
        buf_text_append(out, TEXT("<empty>"));
    buf_release(&copy);
    return general;
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
