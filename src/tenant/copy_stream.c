/* SPDX-License-Identifier: ISC */
/* The machine over the rows of COPY FROM STDIN: text, CSV and binary. */
#include "tenant/copy_stream.h"

#include "base/check.h"
#include "tenant/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum state {
    /* text and CSV */
    S_PLAIN,
    S_CR,            /* behind a carriage return that ended a row */
    S_MARK,          /* a backslash at the start of a row, held back */
    S_MARK_DOT,      /* `\.` at the start of a row, held back */
    S_BACKSLASH,     /* text: behind a backslash */
    S_OCTAL,         /* text: behind one or two octal digits */
    S_HEX,           /* text: behind \x */
    S_HEX_DIGIT,     /* text: behind \x and a digit */
    S_QUOTED,        /* CSV: within quotes */
    S_QUOTED_ESCAPE, /* CSV: behind an escape character that is not the quote */
    S_QUOTED_QUOTE,  /* CSV: behind a quote that may be the first of two */
    /* binary */
    S_SIGNATURE,
    S_FLAGS,
    S_EXTENSION_LENGTH,
    S_EXTENSION,
    S_COUNT,
    S_LENGTH,
    S_BYTES,
    /* all */
    S_ENDED
};

enum eol { EOL_UNKNOWN, EOL_NL, EOL_CR, EOL_CRNL };

struct copy_stream {
    struct copy_plan p;
    struct text value;  /* the claim's */
    struct text prefix; /* in front of each row (field < 0) */
    struct text header; /* in front of the header line */
    char *memory;       /* holds all of these */
    enum state state;
    bool refused;
    struct tenant_refusal refusal;
    char message[200], detail[400];

    uint64_t row; /* 1-based, header lines count */
    /* text and CSV */
    enum eol eol;
    bool in_row; /* the row has a byte */
    int digits, code;
    /* the field being read */
    int field;
    bool quoted;   /* CSV: had a quote */
    bool odd;      /* has something that cannot be in the tenant's value */
    size_t raw;    /* bytes as written */
    bool raw_null; /* they are the NULL string so far */
    size_t n_got, cap_got;
    char *got; /* its value */
    /* binary */
    unsigned char small[11];
    size_t n_small;
    uint32_t skip;
};

static const unsigned char signature[11] = {
    'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0
};

/* ---- refusing ---- */

static bool refuse(struct copy_stream *s, enum refusal r, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static bool refuse(struct copy_stream *s, enum refusal r, const char *hint, const char *fmt, ...)
{
    char what[200];
    va_list ap;
    if (s->refused)
        return false;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    /* What PostgreSQL refuses too reads as there. */
    bool own = r != REFUSAL_copy_data;
    if (own)
        snprintf(s->message, sizeof(s->message), "tenant isolation: %s (%s)", refusal_text(r),
                 refusal_name(r));
    else
        snprintf(s->message, sizeof(s->message), "%s", what);
    snprintf(s->detail, sizeof(s->detail), "COPY %.*s, %s %llu: %s", TEXT_ARG(s->p.relation),
             s->p.format == COPY_BINARY ? "row" : "line", (unsigned long long)s->row,
             own ? what : refusal_text(r));
    s->refused = true;
    s->refusal =
        (struct tenant_refusal){ r, text_of(s->message), text_of(s->detail), text_of(hint) };
    return false;
}

static bool bad_data(struct copy_stream *s, const char *what)
{
    return refuse(s, REFUSAL_copy_data, NULL, "%s", what);
}

static bool wrong_tenant(struct copy_stream *s)
{
    return refuse(s, REFUSAL_wrong_tenant,
                  "Store the tenant's own value, or leave the column out of the column list.",
                  "Column \"%.*s\" does not hold the tenant's value.", TEXT_ARG(s->p.column));
}

/* ---- what is put in front of rows ---- */

static void text_field(const struct copy_plan *p, struct text v, struct buf *b)
{
    static const char plain[] = "\b\f\n\r\t\v", letters[] = "bfnrtv";
    for (size_t i = 0; i < v.n; i++) {
        const char *at = v.p[i] ? strchr(plain, v.p[i]) : NULL;
        if (at || v.p[i] == '\\' || v.p[i] == p->delim)
            buf_char(b, '\\');
        buf_char(b, at ? letters[at - plain] : v.p[i]);
    }
    buf_char(b, p->delim);
}

static void csv_field(const struct copy_plan *p, struct text v, struct buf *b)
{
    buf_char(b, p->quote); /* quoted, so that it is never NULL */
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == p->quote || v.p[i] == p->escape)
            buf_char(b, p->escape);
        buf_char(b, v.p[i]);
    }
    buf_char(b, p->quote);
    buf_char(b, p->delim);
}

static void put_u32(struct buf *b, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_char(b, (char)(v >> shift & 0xff));
}

static void binary_field(const struct copy_plan *p, struct text v, struct buf *b)
{
    struct buf bytes;
    buf_init(&bytes);
    value_binary(p->type, v, &bytes);
    put_u32(b, (uint32_t)buf_len(&bytes));
    buf_text_append(b, buf_text(&bytes));
    b->failed |= bytes.failed;
    buf_release(&bytes);
}

static void field_of(const struct copy_plan *p, struct text v, struct buf *b)
{
    if (p->format == COPY_TEXT)
        text_field(p, v, b);
    else if (p->format == COPY_CSV)
        csv_field(p, v, b);
    else
        binary_field(p, v, b);
}

/* Would the field read as NULL? */
static bool reads_null(const struct copy_plan *p, struct text field)
{
    return p->format == COPY_TEXT && text_eq(text_n(field.p, field.n - 1), p->null);
}

/* The next n bytes of the machine's memory, filled. */
static struct text keep(char **at, struct text t)
{
    char *p = *at;
    if (t.n)
        memcpy(p, t.p, t.n);
    *at += t.n;
    return text_n(p, t.n);
}

static bool fill_memory(struct copy_stream *s, struct text value)
{
    struct buf prefix, header;
    const struct copy_plan *p = &s->p;
    buf_init(&prefix);
    buf_init(&header);
    bool fills = p->field < 0 && value_fits(p->type, value); /* else nothing is ever sent */
    if (fills)
        field_of(p, value, &prefix);
    if (fills && p->header == COPY_HEADER_MATCH)
        field_of(p, p->column, &header);
    s->cap_got = (value.n > 64 ? value.n : 64) + 1;
    size_t n = value.n + p->null.n + p->relation.n + p->column.n + prefix.n + header.n + s->cap_got;
    bool good = !prefix.failed && !header.failed && (s->memory = malloc(n)) != NULL;
    if (good) {
        char *at = s->memory;
        s->value = keep(&at, value);
        s->p.null = keep(&at, p->null);
        s->p.relation = keep(&at, p->relation);
        s->p.column = keep(&at, p->column);
        s->prefix = keep(&at, buf_text(&prefix));
        s->header = keep(&at, buf_text(&header));
        s->p.claim = text_n(NULL, 0);
        s->got = at;
    }
    buf_release(&prefix);
    buf_release(&header);
    return good;
}

static void begin_field(struct copy_stream *s)
{
    s->n_got = s->raw = 0;
    s->quoted = s->odd = false;
    s->raw_null = true;
}

struct copy_stream *copy_stream_new(const struct copy_plan *plan, struct text value)
{
    struct copy_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    CHECK(plan->n_fields > 0 && plan->field < plan->n_fields && plan->null.n <= COPY_NULL_MAX);
    s->p = *plan;
    s->row = 1;
    s->state = plan->format == COPY_BINARY ? S_SIGNATURE : S_PLAIN;
    if (!fill_memory(s, value)) {
        copy_stream_free(s);
        return NULL;
    }
    begin_field(s);
    if (!value_fits(plan->type, value))
        refuse(s, REFUSAL_no_claim, NULL, "The tenant's value is not of the column's type.");
    else if ((s->prefix.n && reads_null(&s->p, s->prefix)) ||
             (s->header.n && reads_null(&s->p, s->header)))
        refuse(s, REFUSAL_copy_from, "Choose another NULL string.",
               "The NULL string reads as the tenant's value.");
    return s;
}

void copy_stream_free(struct copy_stream *s)
{
    if (!s)
        return;
    free(s->memory);
    free(s);
}

const struct tenant_refusal *copy_stream_refusal(const struct copy_stream *s)
{
    CHECK(s->refused);
    return &s->refusal;
}

/* ---- fields of text and CSV ---- */

static bool is_header(const struct copy_stream *s)
{
    return s->row == 1 && s->p.header != COPY_HEADER_NONE;
}

/* Is this the field that decides? */
static bool watched(const struct copy_stream *s)
{
    return s->field == s->p.field && !is_header(s);
}

/* A byte of the field as it is written. */
static void take(struct copy_stream *s, char c)
{
    s->raw_null = s->raw_null && s->raw < s->p.null.n && s->p.null.p[s->raw] == c;
    s->raw++;
}

/* A byte of the field's value. */
static void put(struct copy_stream *s, char c)
{
    if (!watched(s))
        return;
    if (s->n_got == s->cap_got)
        s->odd = true;
    else
        s->got[s->n_got++] = c;
}

/* A byte given by its number. One that is not ASCII is a byte of the server's encoding, which need
 * not be ours. */
static void put_code(struct copy_stream *s)
{
    unsigned char c = (unsigned char)(s->code & 0xff);
    s->odd |= c == 0 || c >= 0x80;
    put(s, (char)c);
}

static bool end_field(struct copy_stream *s)
{
    bool good = true;
    if (watched(s)) {
        struct text got = text_n(s->got, s->n_got);
        bool is_null = (!s->quoted && s->raw_null && s->raw == s->p.null.n) ||
                       (s->p.force_null && text_eq(got, s->p.null));
        good = !is_null && !s->odd && value_same(s->p.type, s->value, got);
    }
    begin_field(s);
    if (!good)
        return wrong_tenant(s);
    if (!is_header(s) && s->field == s->p.n_fields)
        return bad_data(s, "extra data after last expected column");
    s->field += s->field < s->p.n_fields;
    return true;
}

static bool end_row(struct copy_stream *s)
{
    if (!end_field(s))
        return false;
    if (s->p.field >= s->field && !is_header(s))
        return refuse(s, REFUSAL_copy_data, NULL, "missing data for column \"%.*s\"",
                      TEXT_ARG(s->p.column));
    s->field = 0;
    s->in_row = false;
    s->row++;
    return true;
}

static void begin_row(struct copy_stream *s, struct buf *out)
{
    s->in_row = true;
    if (!is_header(s))
        buf_text_append(out, s->prefix);
    else
        buf_text_append(out, s->header);
}

static bool carriage_return(struct copy_stream *s)
{
    if (s->eol == EOL_NL)
        return bad_data(s, s->p.format == COPY_CSV ? "unquoted carriage return found in data"
                                                   : "literal carriage return found in data");
    if (s->eol != EOL_CR)
        s->state = S_CR;
    return end_row(s);
}

static bool newline(struct copy_stream *s)
{
    if (s->eol == EOL_CR || s->eol == EOL_CRNL)
        return bad_data(s, s->p.format == COPY_CSV ? "unquoted newline found in data"
                                                   : "literal newline found in data");
    s->eol = EOL_NL;
    return end_row(s);
}

/* A byte outside of quotes and escapes. */
static bool plain(struct copy_stream *s, char c)
{
    bool csv = s->p.format == COPY_CSV;
    s->state = S_PLAIN;
    if (c == '\r')
        return carriage_return(s);
    if (c == '\n')
        return newline(s);
    if (c == s->p.delim)
        return end_field(s);
    take(s, c);
    if (csv && c == s->p.quote) {
        s->quoted = true;
        s->state = S_QUOTED;
    } else if (!csv && c == '\\') {
        s->state = S_BACKSLASH;
    } else {
        put(s, c);
    }
    return true;
}

static int octal_digit(char c)
{
    return c >= '0' && c <= '7' ? c - '0' : -1;
}

static int hex_digit(char c)
{
    int lower = c | 0x20;
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool backslash(struct copy_stream *s, char c)
{
    static const char letters[] = "bfnrtv", plain_chars[] = "\b\f\n\r\t\v";
    const char *at = strchr(letters, c);
    if (c == '.')
        return bad_data(s, "end-of-copy marker is not alone on its line");
    take(s, c);
    s->state = S_PLAIN;
    if (octal_digit(c) >= 0) {
        s->code = octal_digit(c);
        s->digits = 1;
        s->state = S_OCTAL;
    } else if (c == 'x') {
        s->state = S_HEX;
    } else {
        put(s, at ? plain_chars[at - letters] : c);
    }
    return true;
}

static bool octal(struct copy_stream *s, char c)
{
    int d = octal_digit(c);
    if (d < 0) {
        put_code(s);
        return plain(s, c);
    }
    take(s, c);
    s->code = s->code * 8 + d;
    if (++s->digits == 3) {
        put_code(s);
        s->state = S_PLAIN;
    }
    return true;
}

static bool hex(struct copy_stream *s, char c)
{
    int d = hex_digit(c);
    bool first = s->state == S_HEX;
    if (d < 0) {
        if (first)
            put(s, 'x');
        else
            put_code(s);
        return plain(s, c);
    }
    take(s, c);
    s->code = first ? d : s->code * 16 + d;
    s->state = S_HEX_DIGIT;
    if (!first) {
        put_code(s);
        s->state = S_PLAIN;
    }
    return true;
}

static bool quoted(struct copy_stream *s, char c)
{
    if (s->state == S_QUOTED_QUOTE) {
        if (c != s->p.quote)
            return plain(s, c);
        s->state = S_QUOTED;
        put(s, c);
        return true;
    }
    if (s->state == S_QUOTED_ESCAPE) {
        s->state = S_QUOTED;
        if (c != s->p.quote && c != s->p.escape)
            put(s, s->p.escape);
        put(s, c);
        return true;
    }
    if (c == s->p.quote)
        s->state = s->p.quote == s->p.escape ? S_QUOTED_QUOTE : S_PLAIN;
    else if (c == s->p.escape)
        s->state = S_QUOTED_ESCAPE;
    else
        put(s, c);
    return true;
}

/* What was held back is data. */
static bool release(struct copy_stream *s, struct buf *out)
{
    bool dot = s->state == S_MARK_DOT;
    begin_row(s, out);
    buf_append(out, "\\.", dot ? 2 : 1);
    return plain(s, '\\') && (!dot || plain(s, '.'));
}

/* The first bytes of a row; `\.` alone ends the data and is not sent. */
static bool row_start(struct copy_stream *s, char c, struct buf *out)
{
    bool csv = s->p.format == COPY_CSV;
    if (s->state == S_PLAIN) {
        if (c == '\\' && (!csv || s->p.csv_end)) {
            s->state = S_MARK;
            return true;
        }
        begin_row(s, out);
        return plain(s, c);
    }
    if (s->state == S_MARK && c == '.') {
        s->state = S_MARK_DOT;
        return true;
    }
    if (s->state == S_MARK_DOT && (c == '\r' || c == '\n')) {
        if ((c == '\n' && (s->eol == EOL_CR || s->eol == EOL_CRNL)) ||
            (c == '\r' && s->eol == EOL_NL))
            return bad_data(s, "end-of-copy marker does not match previous newline style");
        s->state = S_ENDED;
        return true;
    }
    if (s->state == S_MARK_DOT && !csv)
        return bad_data(s, "end-of-copy marker is not alone on its line");
    if (!release(s, out))
        return false;
    return s->state == S_BACKSLASH ? backslash(s, c) : plain(s, c);
}

/* One byte of text or CSV; out gets what goes in front of it. */
static bool char_in(struct copy_stream *s, char c, struct buf *out)
{
    if (c == '\0')
        return bad_data(s, "the data holds a zero byte");
    if (s->state == S_CR) {
        s->state = S_PLAIN;
        if (c == '\n') {
            s->eol = EOL_CRNL;
            return true;
        }
        if (s->eol == EOL_CRNL)
            return bad_data(s, "carriage return without newline found in data");
        s->eol = EOL_CR;
    }
    if (!s->in_row)
        return row_start(s, c, out);
    switch (s->state) {
    case S_BACKSLASH:
        return backslash(s, c);
    case S_OCTAL:
        return octal(s, c);
    case S_HEX:
    case S_HEX_DIGIT:
        return hex(s, c);
    case S_QUOTED:
    case S_QUOTED_ESCAPE:
    case S_QUOTED_QUOTE:
        return quoted(s, c);
    default:
        return plain(s, c);
    }
}

static bool holds_back(const struct copy_stream *s)
{
    return s->state == S_MARK || s->state == S_MARK_DOT || s->state == S_ENDED;
}

/* Bytes that change nothing: neither of the field that decides nor special in the state. */
static size_t dull(const struct copy_stream *s, struct text in, size_t i)
{
    size_t from = i;
    bool csv = s->p.format == COPY_CSV;
    if (!s->in_row || s->field == s->p.field)
        return 0;
    if (s->state == S_QUOTED) {
        while (i < in.n && in.p[i] != s->p.quote && in.p[i] != s->p.escape && in.p[i])
            i++;
    } else if (s->state == S_PLAIN) {
        while (i < in.n && in.p[i] != s->p.delim && in.p[i] != '\n' && in.p[i] != '\r' && in.p[i] &&
               in.p[i] != (csv ? s->p.quote : '\\'))
            i++;
    }
    return i - from;
}

static bool feed_text(struct copy_stream *s, struct text in, struct buf *out)
{
    size_t sent = 0;
    for (size_t i = 0; i < in.n && s->state != S_ENDED;) {
        i += dull(s, in, i);
        if (i == in.n)
            break;
        bool at_start = !s->in_row && s->state != S_CR;
        bool was_held = s->state == S_MARK || s->state == S_MARK_DOT;
        if ((at_start || s->state == S_CR) && sent < i && !was_held) {
            buf_append(out, in.p + sent, i - sent); /* a prefix may come next */
            sent = i;
        }
        if (!char_in(s, in.p[i], out))
            return false;
        i++;
        if (holds_back(s))
            sent = i;
    }
    if (sent < in.n && s->state != S_ENDED)
        buf_append(out, in.p + sent, in.n - sent);
    return true;
}

static bool end_text(struct copy_stream *s, struct buf *out)
{
    switch (s->state) {
    case S_CR:
        if (s->eol == EOL_CRNL)
            return bad_data(s, "carriage return without newline found in data");
        return true;
    case S_MARK:
    case S_MARK_DOT:
        if (s->p.format == COPY_TEXT)
            return bad_data(s, "the data ends within an end-of-copy marker");
        if (!release(s, out))
            return false;
        break;
    case S_BACKSLASH:
        return bad_data(s, "the data ends behind a backslash");
    case S_QUOTED:
    case S_QUOTED_ESCAPE:
        if (is_header(s) && s->p.header == COPY_HEADER_SKIP)
            return true; /* the server does not look into it */
        return bad_data(s, "unterminated CSV quoted field");
    default:
        break;
    }
    if (s->state == S_OCTAL || s->state == S_HEX_DIGIT)
        put_code(s);
    else if (s->state == S_HEX)
        put(s, 'x');
    return !s->in_row || end_row(s);
}

/* ---- binary ---- */

static uint32_t small_u32(const struct copy_stream *s)
{
    const unsigned char *p = s->small;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void next(struct copy_stream *s, enum state st)
{
    s->state = st;
    s->n_small = 0;
}

/* The field's value is there, or it has none. */
static bool binary_field_done(struct copy_stream *s, bool is_null)
{
    if (s->field == s->p.field &&
        (is_null || !value_same_binary(s->p.type, s->p.type, s->value, text_n(s->got, s->n_got))))
        return wrong_tenant(s);
    s->n_got = 0;
    if (++s->field < s->p.n_fields) {
        next(s, S_LENGTH);
        return true;
    }
    s->field = 0;
    s->row++;
    next(s, S_COUNT);
    return true;
}

static bool binary_length(struct copy_stream *s)
{
    uint32_t len = small_u32(s);
    if (len == UINT32_MAX)
        return binary_field_done(s, true);
    if (len > INT32_MAX)
        return bad_data(s, "invalid field size");
    if (s->field == s->p.field && len > s->cap_got)
        return wrong_tenant(s);
    s->skip = len;
    next(s, S_BYTES);
    return len > 0 || binary_field_done(s, false);
}

static bool binary_count(struct copy_stream *s, struct buf *out)
{
    unsigned count = (unsigned)s->small[0] << 8 | s->small[1];
    if (count == 0xffff) {
        buf_append(out, s->small, 2);
        next(s, S_ENDED);
        return true;
    }
    if (count != (unsigned)s->p.n_fields)
        return refuse(s, REFUSAL_copy_data, NULL, "row field count is %u, expected %d", count,
                      s->p.n_fields);
    count += s->p.field < 0;
    buf_char(out, (char)(count >> 8));
    buf_char(out, (char)(count & 0xff));
    buf_text_append(out, s->prefix);
    next(s, S_LENGTH);
    return true;
}

/* A number of the header, the field count or a length is complete. */
static bool binary_number(struct copy_stream *s, struct buf *out)
{
    if (s->state == S_COUNT)
        return binary_count(s, out);
    buf_append(out, s->small, s->n_small);
    switch (s->state) {
    case S_SIGNATURE:
        next(s, S_FLAGS);
        return memcmp(s->small, signature, sizeof(signature)) == 0 ||
               bad_data(s, "COPY file signature not recognized");
    case S_FLAGS:
        next(s, S_EXTENSION_LENGTH);
        return small_u32(s) >> 16 == 0 || bad_data(s, "unrecognized critical flags in COPY header");
    case S_EXTENSION_LENGTH:
        s->skip = small_u32(s);
        next(s, s->skip ? S_EXTENSION : S_COUNT);
        return s->skip <= INT32_MAX || bad_data(s, "invalid COPY header (wrong length)");
    default:
        return binary_length(s);
    }
}

static size_t number_size(enum state st)
{
    return st == S_SIGNATURE ? sizeof(signature) : st == S_COUNT ? 2 : 4;
}

static bool feed_binary(struct copy_stream *s, struct text in, struct buf *out)
{
    for (size_t i = 0; i < in.n;) {
        if (s->state == S_EXTENSION || s->state == S_BYTES) {
            size_t n = in.n - i < s->skip ? in.n - i : s->skip;
            if (s->state == S_BYTES && s->field == s->p.field) {
                CHECK(s->n_got + n <= s->cap_got);
                memcpy(s->got + s->n_got, in.p + i, n);
                s->n_got += n;
            }
            buf_append(out, in.p + i, n);
            i += n;
            s->skip -= (uint32_t)n;
            if (s->skip > 0)
                continue;
            if (s->state == S_EXTENSION)
                next(s, S_COUNT);
            else if (!binary_field_done(s, false))
                return false;
            continue;
        }
        if (s->state == S_ENDED)
            return bad_data(s, "received copy data after EOF marker");
        s->small[s->n_small++] = (unsigned char)in.p[i++];
        if (s->n_small == number_size(s->state) && !binary_number(s, out))
            return false;
    }
    return true;
}

/* ---- both ---- */

bool copy_stream_feed(struct copy_stream *s, struct text in, struct buf *out)
{
    size_t before = out->n;
    if (s->refused)
        return false;
    bool good = s->p.format == COPY_BINARY ? feed_binary(s, in, out) : feed_text(s, in, out);
    if (!good)
        out->n = before;
    return good;
}

bool copy_stream_end(struct copy_stream *s, struct buf *out)
{
    size_t before = out->n;
    if (s->refused)
        return false;
    bool good = s->p.format != COPY_BINARY
                    ? end_text(s, out)
                    : s->state == S_ENDED || (s->state == S_COUNT && s->n_small == 0) ||
                          bad_data(s, "unexpected EOF in COPY data");
    if (!good)
        out->n = before;
    return good;
}
