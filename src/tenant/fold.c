/* SPDX-License-Identifier: ISC */
/* Lists of values in templates, read from the template: a value there is a mark. */
#include "tenant/fold.h"

#include <string.h>

/* ---- what stands in a list ---- */

static void skip(struct text *s, const char *these)
{
    while (s->n && strchr(these, *s->p))
        *s = text_n(s->p + 1, s->n - 1);
}

static bool next_is(struct text s, const char *word)
{
    size_t n = strlen(word);

    return s.n >= n && memcmp(s.p, word, n) == 0;
}

static bool take(struct text *s, const char *word)
{
    if (!next_is(*s, word))
        return false;
    *s = text_n(s->p + strlen(word), s->n - strlen(word));
    return true;
}

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c > 127;
}

/* A word or "...", at least one byte. */
static bool take_word(struct text *s)
{
    size_t n = 0;

    if (next_is(*s, "\"")) {
        const char *end = memchr(s->p + 1, '"', s->n - 1);
        n = end ? (size_t)(end + 1 - s->p) : 0;
    } else {
        while (n < s->n && name_byte(s->p[n]))
            n++;
    }
    *s = text_n(s->p + n, s->n - n);
    return n > 0;
}

/* The further words of a type's name: double precision, timestamp with time zone. */
static void take_further_words(struct text *s)
{
    static const char *const words[] = {
        "precision", "varying", "with", "without", "time", "zone"
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words);) {
        struct text at = *s, word;
        skip(&at, " ");
        word = at;
        if (at.n < s->n && take_word(&at) && text_is_i(text_n(word.p, word.n - at.n), words[i])) {
            *s = at;
            i = 0;
        } else {
            i++;
        }
    }
}

/* What stands in brackets and holds marks at most. */
static bool take_marks(struct text *s, const char *open, const char *close)
{
    struct text at = *s;

    skip(&at, " ");
    if (!take(&at, open))
        return false;
    skip(&at, "?,. ");
    if (!take(&at, close))
        return false;
    *s = at;
    return true;
}

/* ::type, from behind the colons. */
static bool take_type(struct text *s)
{
    skip(s, " ");
    if (!take_word(s))
        return false;
    while (take(s, ".") || next_is(*s, "\""))
        if (!take_word(s))
            return false;
    take_further_words(s);
    if (take_marks(s, "(", ")"))
        take_further_words(s);
    while (take_marks(s, "[", "]"))
        ;
    return true;
}

/* A mark, or what stands for several, with signs and casts. */
static bool take_value(struct text *s)
{
    skip(s, " +-");
    if (!take(s, "?") && !take(s, "..."))
        return false;
    skip(s, " ");
    while (take(s, "::")) {
        if (!take_type(s))
            return false;
        skip(s, " ");
    }
    return true;
}

static bool take_values(struct text *s)
{
    do {
        if (!take_value(s))
            return false;
        skip(s, " ");
    } while (take(s, ","));
    return true;
}

static bool take_rows(struct text *s)
{
    do {
        skip(s, " ");
        if (!take(s, "(") || !take_values(s) || !take(s, ")"))
            return false;
        skip(s, " ");
    } while (take(s, ","));
    return true;
}

/* ---- the list ---- */

static bool is_one_of(struct text sql, struct token t, const char *these)
{
    return t.kind == TOKEN_SELF && strchr(these, sql.p[t.off]);
}

bool fold_before(const struct fold *f, struct text sql, struct token t, struct buf *out)
{
    bool ends = f->close && token_is_char(sql, t, f->close);

    if (!f->close || f->deeper || !(ends || token_is_char(sql, t, ',')))
        return false;
    const struct text list = text_n(buf_data(out) + f->open, buf_len(out) - f->open);
    struct text values = list, rows = list;
    const char *folded = NULL;
    if (take_values(&values) && values.n == 0)
        folded = ends ? "?, ..." : "?"; /* the next value makes it a list */
    else if (take_rows(&rows) && rows.n == 0)
        folded = "(?, ...)";
    if (!folded)
        return false;
    out->n -= list.n;
    buf_text_append(out, text_of(folded));
    return true;
}

void fold_after(struct fold *f, struct text sql, struct token t, const struct buf *out)
{
    if (f->word && is_one_of(sql, t, "([")) {
        *f = (struct fold){ .close = sql.p[t.off] == '(' ? ')' : ']', .open = buf_len(out) };
        return;
    }
    if (is_one_of(sql, t, "(["))
        f->deeper++;
    else if (is_one_of(sql, t, ")]") && f->deeper-- == 0)
        *f = (struct fold){ 0 };
    struct text word = token_text(sql, t);
    f->word =
        t.kind == TOKEN_IDENT && !f->dot && (text_is_i(word, "in") || text_is_i(word, "array"));
    f->dot = token_is_char(sql, t, '.');
}
