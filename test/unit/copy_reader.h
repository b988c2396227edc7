/* SPDX-License-Identifier: ISC */
/*
 * A second reader of COPY's formats, written for the tests: whole data at once, first lines, then
 * fields, in the order of steps of the server's. And a check that holds the machine against it.
 *
 * What is demanded: of what the machine lets through, each complete row has the tenant's value in
 * its column; pieces make no difference; data that the reader takes and whose rows are the tenant's
 * is let through with nothing changed but the value put in front.
 */
#ifndef TEST_UNIT_COPY_READER_H
#define TEST_UNIT_COPY_READER_H

#include "base/buf.h"
#include "base/check.h"
#include "tenant/copy_stream.h"
#include "tenant/value.h"

#include <stdlib.h>

struct reader {
    const struct copy_plan *p; /* format, options; n_fields and field as the server has them */
    struct text in;
    size_t at;
    int eol; /* 0 unknown, 1 \n, 2 \r, 3 \r\n */
    int lines;
    bool bad;        /* the server would raise an error */
    bool ended;      /* by an end-of-data marker */
    bool unfinished; /* the last row has no end yet */
    /* of each row: called with its fields */
    bool (*row)(void *arg, const struct text *v, const bool *is_null, int n);
    void *arg;
    struct buf bytes;  /* values of the row */
    size_t start[300]; /* where each begins */
    bool null[300];
    int n;
};

static inline bool reader_fail(struct reader *r)
{
    r->bad = true;
    return false;
}

/* ---- text and CSV: lines ---- */

/* The end of the line at `at`; *next: behind its end. false: none any more (or bad). */
static inline bool reader_line(struct reader *r, struct text *line)
{
    const char *p = r->in.p;
    size_t i = r->at, n = r->in.n;
    bool csv = r->p->format == COPY_CSV, inside = false, escaped = false;
    char esc = r->p->escape == r->p->quote ? '\0' : r->p->escape;
    size_t from = i;
    for (; i < n; i++) {
        char c = p[i];
        if (c == '\0')
            return reader_fail(r);
        if (csv) {
            if (inside && esc && c == esc)
                escaped = !escaped;
            if (c == r->p->quote && !escaped)
                inside = !inside;
            if (c != esc)
                escaped = false;
        }
        if (!inside && c == '\r') {
            bool both = i + 1 < n && p[i + 1] == '\n';
            if (r->eol == 1 || (r->eol == 3 && !both))
                return reader_fail(r);
            if (r->eol == 0)
                r->eol = both ? 3 : 2;
            *line = text_n(p + from, i - from);
            r->at = i + (r->eol == 3 ? 2 : 1);
            return true;
        }
        if (!inside && c == '\n') {
            if (r->eol > 1)
                return reader_fail(r);
            r->eol = 1;
            *line = text_n(p + from, i - from);
            r->at = i + 1;
            return true;
        }
        if (c == '\\' && (!csv || (r->p->csv_end && i == from))) {
            if (i + 1 == n && !csv)
                return reader_fail(r);
            if (i + 1 < n && p[i + 1] == '.') {
                bool end = i + 2 < n && (p[i + 2] == '\n' || p[i + 2] == '\r') && i == from;
                if (!end && !csv)
                    return reader_fail(r);
                if (end && ((p[i + 2] == '\n' && r->eol > 1) || (p[i + 2] == '\r' && r->eol == 1)))
                    return reader_fail(r);
                if (end) {
                    r->ended = true;
                    return false;
                }
            } else if (!csv) {
                if (p[++i] == '\0')
                    return reader_fail(r);
            }
        }
    }
    *line = text_n(p + from, n - from);
    r->at = n;
    r->unfinished = n > from;
    return n > from;
}

/* ---- text and CSV: fields ---- */

static inline void reader_field(struct reader *r, bool is_null)
{
    if (r->n < 299)
        r->null[r->n++] = is_null;
    r->start[r->n] = r->bytes.n;
}

static inline int reader_digit(char c, int base)
{
    const char *digits = "0123456789abcdef";
    char l = c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
    const char *at = l ? strchr(digits, l) : NULL;
    return at && at - digits < base ? (int)(at - digits) : -1;
}

/* What stands behind a backslash at s[i]; gives how many bytes that is. */
static inline size_t reader_escape(struct reader *r, struct text s, size_t i)
{
    size_t k = i;
    int base = s.p[i] == 'x' ? 16 : 8, max = base == 16 ? 2 : 3, value = 0, n = 0;
    if (base == 16)
        k++;
    while (n < max && k < s.n && reader_digit(s.p[k], base) >= 0) {
        value = value * base + reader_digit(s.p[k], base);
        k++;
        n++;
    }
    if (n > 0) {
        buf_char(&r->bytes, (char)(value & 255));
        return k - i;
    }
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *at = strchr(from, s.p[i]);
    buf_char(&r->bytes, at ? to[at - from] : s.p[i]);
    return 1;
}

static inline void reader_split_text(struct reader *r, struct text s)
{
    size_t from = 0;
    for (size_t i = 0;; i++) {
        if (i >= s.n || s.p[i] == r->p->delim) {
            reader_field(r, text_eq(text_n(s.p + from, i - from), r->p->null));
            from = i + 1;
            if (i >= s.n)
                return;
        } else if (s.p[i] == '\\' && i + 1 < s.n) {
            i += reader_escape(r, s, i + 1);
        } else {
            buf_char(&r->bytes, s.p[i]);
        }
    }
}

static inline bool reader_split_csv(struct reader *r, struct text s)
{
    size_t i = 0;
    for (;;) {
        size_t from = i;
        bool any = false, inside = false;
        for (;; i++) {
            if (i >= s.n && inside)
                return reader_fail(r);
            if (i >= s.n || (!inside && s.p[i] == r->p->delim))
                break;
            char c = s.p[i];
            if (!inside && c == r->p->quote) {
                inside = any = true;
            } else if (inside && c == r->p->escape && i + 1 < s.n &&
                       (s.p[i + 1] == r->p->escape || s.p[i + 1] == r->p->quote)) {
                buf_char(&r->bytes, s.p[++i]);
            } else if (inside && c == r->p->quote) {
                inside = false;
            } else {
                buf_char(&r->bytes, c);
            }
        }
        reader_field(r, !any && text_eq(text_n(s.p + from, i - from), r->p->null));
        if (i >= s.n)
            return true;
        i++;
    }
}

static inline bool reader_emit(struct reader *r)
{
    struct text v[300];
    if (r->n != r->p->n_fields)
        return reader_fail(r);
    for (int i = 0; i < r->n; i++)
        v[i] = text_n(r->bytes.p ? r->bytes.p + r->start[i] : "", r->start[i + 1] - r->start[i]);
    int f = r->p->field;
    if (f >= 0 && r->p->force_null && text_eq(v[f], r->p->null))
        r->null[f] = true;
    return r->row(r->arg, v, r->null, r->n);
}

/* partial: the data may go on, the last row is not complete. */
static inline bool reader_text(struct reader *r, bool partial)
{
    struct text line;
    while (reader_line(r, &line)) {
        if (partial && r->unfinished)
            return true;
        bool header = r->lines++ == 0 && r->p->header != COPY_HEADER_NONE;
        if (header && r->p->header == COPY_HEADER_SKIP)
            continue;
        r->n = 0;
        r->start[0] = 0;
        buf_clear(&r->bytes);
        if (r->p->format == COPY_CSV) {
            if (!reader_split_csv(r, line))
                return false;
        } else {
            reader_split_text(r, line);
        }
        if (!header && !reader_emit(r))
            return false;
    }
    return !r->bad;
}

/* ---- binary ---- */

static inline bool reader_number(struct reader *r, int bytes, uint32_t *v)
{
    if (r->in.n - r->at < (size_t)bytes)
        return false;
    for (*v = 0; bytes > 0; bytes--)
        *v = *v << 8 | (unsigned char)r->in.p[r->at++];
    return true;
}

static inline bool reader_binary(struct reader *r, bool partial)
{
    uint32_t v;
    if (r->in.n < 11)
        return partial || reader_fail(r);
    if (memcmp(r->in.p, "PGCOPY\n\377\r\n\0", 11) != 0)
        return reader_fail(r);
    r->at = 11;
    if (!reader_number(r, 4, &v))
        return partial || reader_fail(r);
    if (v >> 16)
        return reader_fail(r);
    if (!reader_number(r, 4, &v) || v > r->in.n - r->at)
        return (partial && v <= INT32_MAX) || reader_fail(r);
    r->at += v;
    while (r->at < r->in.n) {
        if (!reader_number(r, 2, &v))
            return partial || reader_fail(r);
        if (v == 0xffff)
            return r->at == r->in.n || reader_fail(r);
        if ((int)v != r->p->n_fields)
            return reader_fail(r);
        r->n = 0;
        r->start[0] = 0;
        buf_clear(&r->bytes);
        for (int i = 0; i < r->p->n_fields; i++) {
            uint32_t len;
            if (!reader_number(r, 4, &len))
                return partial || reader_fail(r);
            if (len != UINT32_MAX) {
                if (len > INT32_MAX)
                    return reader_fail(r);
                if (len > r->in.n - r->at)
                    return partial || reader_fail(r);
                buf_append(&r->bytes, r->in.p + r->at, len);
                r->at += len;
            }
            reader_field(r, len == UINT32_MAX);
        }
        if (!reader_emit(r))
            return false;
    }
    return true;
}

static inline bool reader_run(struct reader *r, bool partial)
{
    buf_init(&r->bytes);
    bool good = r->p->format == COPY_BINARY ? reader_binary(r, partial) : reader_text(r, partial);
    buf_release(&r->bytes);
    return good && !r->bad;
}

/* ---- holding the machine against it ---- */

struct copy_watch {
    const struct copy_plan *p;
    struct text value;
    int field;
    bool foreign;    /* a row is not the tenant's */
    struct buf rows; /* the other fields of all rows, spelled out */
};

static inline bool copy_watch_row(void *arg, const struct text *v, const bool *is_null, int n)
{
    struct copy_watch *w = arg;
    for (int i = 0; i < n; i++) {
        if (i == w->field) {
            bool same =
                !is_null[i] && (w->p->format == COPY_BINARY
                                    ? value_same_binary(w->p->type, w->p->type, w->value, v[i])
                                    : value_same(w->p->type, w->value, v[i]));
            w->foreign |= !same;
        } else {
            buf_printf(&w->rows, "%zu%c", v[i].n, is_null[i] ? 'N' : ':');
            buf_text_append(&w->rows, v[i]);
        }
    }
    buf_char(&w->rows, '\n');
    return true;
}

/* Reads data as the server does that was told of the plan. filled: with the column in front. */
static inline bool copy_watch(const struct copy_plan *plan, bool filled, struct text data,
                              bool partial, struct text value, struct copy_watch *w)
{
    struct copy_plan p = *plan;
    if (filled) {
        p.n_fields++;
        p.field = 0;
    }
    *w = (struct copy_watch){ .p = plan, .value = value, .field = p.field };
    struct reader r = { .p = &p, .in = data.p ? data : TEXT(""), .row = copy_watch_row, .arg = w };
    return reader_run(&r, partial);
}

/* Feeds in pieces of up to `piece` bytes (0: all at once). */
static inline bool copy_feed_all(struct copy_stream *s, struct text in, size_t piece,
                                 struct buf *out)
{
    bool good = true;
    for (size_t i = 0, n; good && i < in.n; i += n) {
        n = piece && in.n - i > piece ? piece : in.n - i;
        char *exact = malloc(n); /* so that reading beyond is noticed */
        CHECK(exact != NULL);
        memcpy(exact, in.p + i, n);
        good = copy_stream_feed(s, text_n(exact, n), out);
        free(exact);
    }
    good = good && copy_stream_end(s, out);
    CHECK(good || copy_stream_refusal(s)->message.n > 0);
    return good;
}

/* True when the machine let the data through. Aborts when something is wrong. */
static inline bool copy_check(const struct copy_plan *plan, struct text value, struct text in,
                              size_t piece)
{
    struct buf out, pieces;
    struct copy_watch w, before;
    bool fills = plan->field < 0;
    buf_init(&out);
    buf_init(&pieces);
    struct copy_stream *s = copy_stream_new(plan, value), *t = copy_stream_new(plan, value);
    CHECK(s && t);
    bool good = copy_feed_all(s, in, 0, &out);
    CHECK(copy_feed_all(t, in, piece, &pieces) == good);
    if (good)
        CHECK(text_eq(buf_text(&out), buf_text(&pieces)));
    else
        CHECK(copy_stream_refusal(s)->reason == copy_stream_refusal(t)->reason);
    /* What a server got, whether or not the rest came: no complete row of another tenant. */
    bool read = copy_watch(plan, fills, buf_text(&pieces), !good, value, &w);
    CHECK(!w.foreign);
    bool understood = copy_watch(plan, false, in, false, value, &before);
    bool own = understood && (fills || !before.foreign);
    if (good) {
        CHECK(!understood || read);
        CHECK(!understood || text_eq(buf_text(&w.rows), buf_text(&before.rows)));
        CHECK(fills || !understood || !before.foreign);
    } else if (own) {
        CHECK(copy_stream_refusal(s)->reason == REFUSAL_copy_from); /* by its NULL string */
    }
    buf_release(&w.rows);
    buf_release(&before.rows);
    copy_stream_free(s);
    copy_stream_free(t);
    buf_release(&out);
    buf_release(&pieces);
    return good;
}

/* A plan of a few bytes: all formats and options. false: PostgreSQL has no such one. */
#define COPY_PLAN_BYTES 8
static inline bool copy_plan_of(const unsigned char *b, struct copy_plan *p)
{
    static const char *const nulls[] = { "\\N", "", "acme", "x", "\\\\N", "a" };
    static const char delims[] = "\t,;|.\\ A\"";
    static const char quotes[] = "\"'%\\";
    static const char escapes[] = "\"'\\E,";
    *p = (struct copy_plan){
        .format = b[0] % 3,
        .header = b[1] % 3,
        .force_null = b[2] & 1,
        .csv_end = b[2] & 2,
        .delim = delims[b[3] % (sizeof(delims) - 1)],
        .quote = quotes[b[4] % (sizeof(quotes) - 1)],
        .escape = escapes[b[4] / 16 % (sizeof(escapes) - 1)],
        .null = text_of(nulls[b[5] % 6]),
        .n_fields = 1 + b[6] % 4,
        .relation = TEXT("public.t"),
        .column = TEXT("tenant_id"),
        .claim = TEXT("tenant"),
        .type = b[7] & 1 ? VALUE_TEXT : VALUE_INT4,
    };
    p->field = b[6] / 4 % (p->n_fields + 1) - 1;
    p->force_null = p->force_null && p->format == COPY_CSV && p->field >= 0;
    if (p->format == COPY_BINARY)
        return p->header == COPY_HEADER_NONE;
    if (p->null.n && memchr(p->null.p, p->delim, p->null.n))
        return false;
    if (p->format == COPY_TEXT)
        return p->delim != '\\' && p->delim != '.';
    return p->delim != '\\' && p->quote != '\\' && p->delim != p->quote;
}

static inline struct text copy_value_of(const unsigned char *b, const struct copy_plan *p)
{
    static const char *const texts[] = { "acme", "a\tb\\.\"'\nE,", "\\N", "x" };
    static const char *const numbers[] = { "11", "-7", "0", "2147483647" };
    return text_of((p->type == VALUE_TEXT ? texts : numbers)[b[7] / 2 % 4]);
}

#endif
