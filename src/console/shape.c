/* SPDX-License-Identifier: ISC */
/* Results filtered, in binary, in parts. */
#include "console/shape.h"

#include "base/check.h"
#include "wire/fields.h"

#define COLUMNS_MAX 64

/* What the RowDescription says. */
struct head {
    int n;
    uint32_t type[COLUMNS_MAX];
    int naming; /* the column that LIKE looks at */
    bool seen;
};

static size_t character(const char *p, size_t n)
{
    size_t len = text_utf8_len((const unsigned char *)p, n);
    return len ? len : 1;
}

bool shape_like(struct text value, const char *pattern)
{
    const char *p = pattern, *retry = NULL;
    size_t i = 0, from = 0;

    while (i < value.n || *p) {
        if (*p == '%') {
            retry = ++p; /* what is behind it is tried at each later place */
            from = i;
            continue;
        }
        if (i < value.n && *p == '_') {
            i += character(value.p + i, value.n - i);
            p++;
            continue;
        }
        const char *literal = *p == '\\' && p[1] ? p + 1 : p;
        if (i < value.n && *literal && value.p[i] == *literal) {
            i++;
            p = literal + 1;
            continue;
        }
        if (!retry || from >= value.n)
            return false;
        from += character(value.p + from, value.n - from);
        i = from;
        p = retry;
    }
    return true;
}

static int format_of(const struct shape *s, int column)
{
    unsigned i = s->n_formats == 1 ? 0 : (unsigned)column;

    if (i >= s->n_formats)
        return 0;
    struct rd r = rd_init(s->formats + (size_t)i * 2, 2);
    return rd_u16(&r) == 1;
}

/* Reads the RowDescription and writes it with the formats of the answer. */
static void read_head(const struct shape *s, struct head *h, struct rd r, struct buf *out)
{
    size_t mark = 0;

    h->seen = true;
    h->n = rd_u16(&r);
    CHECK(h->n <= COLUMNS_MAX);
    if (s->head) {
        mark = msg_begin(out, 'T');
        msg_u16(out, (uint16_t)h->n);
    }
    for (int i = 0; i < h->n; i++) {
        struct text name = rd_cstr(&r);
        struct text numbers = rd_bytes(&r, 16); /* all but the format */
        struct rd t = rd_init(numbers.p + 6, 4);
        h->type[i] = rd_u32(&t);
        rd_u16(&r);
        if (text_is(name, "database") && h->naming < 0)
            h->naming = i;
        if (i == 0 && !text_is(name, "type"))
            h->naming = 0;
        if (!s->head)
            continue;
        msg_cstr(out, name);
        msg_bytes(out, numbers.p, numbers.n);
        msg_u16(out, (uint16_t)format_of(s, i));
    }
    if (h->naming < 0)
        h->naming = 0;
    if (s->head)
        msg_end(out, mark);
    CHECK(rd_done(&r));
}

/* The binary form of a whole number of type numeric: digits to the base 10000, the highest first.
 * The words are those of PostgreSQL's numeric_recv: count, weight, sign, scale, digits. */
static void put_numeric(struct buf *out, struct text digits)
{
    bool negative = digits.n && digits.p[0] == '-';
    size_t from = negative, n = text_is(digits, "0") ? 0 : (digits.n - from + 3) / 4;
    size_t first = digits.n - from - (n ? (n - 1) * 4 : 0); /* decimal digits in the highest one */

    msg_u32(out, (uint32_t)(8 + n * 2));
    msg_u16(out, (uint16_t)n);
    msg_u16(out, (uint16_t)(n ? n - 1 : 0));
    msg_u16(out, negative ? 0x4000 : 0);
    msg_u16(out, 0);
    for (size_t k = 0; k < n; k++) {
        unsigned v = 0;
        for (size_t len = k ? 4 : first; len > 0; len--)
            v = v * 10 + (unsigned)(digits.p[from++] - '0');
        msg_u16(out, (uint16_t)v);
    }
}

static void put_binary(struct buf *out, uint32_t type, struct text value)
{
    int64_t v = 0;

    switch (type) {
    case WIRE_INT4:
        if (!text_to_int64(value, &v) || v > INT32_MAX || v < INT32_MIN)
            v = v < 0 ? INT32_MIN : INT32_MAX;
        msg_u32(out, 4);
        msg_u32(out, (uint32_t)(int32_t)v);
        break;
    case WIRE_INT8:
        if (!text_to_int64(value, &v))
            v = INT64_MAX;
        msg_u32(out, 8);
        msg_u32(out, (uint32_t)((uint64_t)v >> 32));
        msg_u32(out, (uint32_t)v);
        break;
    case WIRE_NUMERIC:
        put_numeric(out, value);
        break;
    default: /* text is the same in both */
        msg_u32(out, (uint32_t)value.n);
        msg_bytes(out, value.p, value.n);
    }
}

static void put_row(const struct shape *s, const struct head *h, const struct text *values,
                    struct buf *out)
{
    size_t mark = msg_begin(out, 'D');

    msg_u16(out, (uint16_t)h->n);
    for (int i = 0; i < h->n; i++) {
        if (!values[i].p)
            msg_u32(out, UINT32_MAX);
        else if (format_of(s, i)) {
            put_binary(out, h->type[i], values[i]);
        } else {
            msg_u32(out, (uint32_t)values[i].n);
            msg_bytes(out, values[i].p, values[i].n);
        }
    }
    msg_end(out, mark);
}

/* false: LIKE leaves the row out. */
static bool read_row(const struct shape *s, const struct head *h, struct rd r, struct text *values)
{
    CHECK(h->seen && rd_u16(&r) == h->n);
    for (int i = 0; i < h->n; i++) {
        uint32_t len = rd_u32(&r);
        values[i] = len == UINT32_MAX ? (struct text){ NULL, 0 } : rd_bytes(&r, len);
    }
    CHECK(rd_done(&r));
    return !s->like || (values[h->naming].p && shape_like(values[h->naming], s->like));
}

bool shape_result(const struct shape *s, struct text in, struct buf *out, struct buf *rest)
{
    struct head h = { .naming = -1 };
    struct text values[COLUMNS_MAX];
    uint32_t rows = 0;

    for (size_t pos = 0; pos < in.n;) {
        struct frame f;
        const char *m = in.p + pos;
        CHECK(frame_peek(m, in.n - pos, UINT32_MAX, &f) == FRAME_OK && f.len <= in.n - pos);
        struct rd body = rd_init(m + 5, f.len - 5);
        pos += f.len;
        if (f.type == 'T')
            read_head(s, &h, body, out);
        else if (f.type == 'D' && s->rows && read_row(s, &h, body, values))
            put_row(s, &h, values, s->max && rows++ >= s->max ? rest : out);
        else if (f.type != 'D' && s->rows)
            buf_append(out, m, f.len);
    }
    return h.seen;
}

void shape_more(struct buf *rest, uint32_t max, struct buf *out)
{
    for (uint32_t rows = 0; buf_len(rest) > 0 && (!max || rows < max); rows++) {
        struct frame f;
        CHECK(frame_peek(buf_data(rest), buf_len(rest), UINT32_MAX, &f) == FRAME_OK);
        buf_append(out, buf_data(rest), f.len);
        buf_consume(rest, f.len);
    }
}
