/* SPDX-License-Identifier: ISC */
/* Backend messages that we read or make: errors, result sets, parameters; quoting of SQL text. */
#include "wire/fields.h"

#include "base/check.h"

static void error_field(struct buf *b, char code, struct text t)
{
    msg_u8(b, (uint8_t)code);
    msg_cstr(b, t);
}

void wire_error_build(struct buf *b, char type, const struct wire_error *e)
{
    size_t mark = msg_begin(b, type);
    error_field(b, 'S', text_of(e->severity));
    error_field(b, 'V', text_of(e->severity));
    error_field(b, 'C', text_of(e->sqlstate));
    error_field(b, 'M', e->message);
    if (e->detail.n)
        error_field(b, 'D', e->detail);
    if (e->hint.n)
        error_field(b, 'H', e->hint);
    if (e->position > 0) {
        msg_u8(b, 'P');
        buf_printf(b, "%d", e->position);
        msg_u8(b, 0);
    }
    msg_u8(b, 0);
    msg_end(b, mark);
}

bool wire_error_read(const char *body, size_t n, struct wire_error_fields *f)
{
    struct rd r = rd_init(body, n);
    bool plain_severity = false; /* 'V' is never translated, 'S' may be */
    *f = (struct wire_error_fields){ 0 };
    for (;;) {
        char code = (char)rd_u8(&r);
        if (!code)
            return rd_done(&r);
        struct text t = rd_cstr(&r);
        if (r.bad)
            return false;
        switch (code) {
        case 'V':
            f->severity = t;
            plain_severity = true;
            break;
        case 'S':
            if (!plain_severity)
                f->severity = t;
            break;
        case 'C':
            f->sqlstate = t;
            break;
        case 'M':
            f->message = t;
            break;
        case 'D':
            f->detail = t;
            break;
        case 'H':
            f->hint = t;
            break;
        default:
            break;
        }
    }
}

void wire_ready_build(struct buf *b, char status)
{
    size_t mark = msg_begin(b, 'Z');
    msg_u8(b, (uint8_t)status);
    msg_end(b, mark);
}

void wire_status_build(struct buf *b, struct text name, struct text value)
{
    size_t mark = msg_begin(b, 'S');
    msg_cstr(b, name);
    msg_cstr(b, value);
    msg_end(b, mark);
}

void wire_auth_build(struct buf *b, uint32_t code, const void *p, size_t n)
{
    size_t mark = msg_begin(b, 'R');
    msg_u32(b, code);
    msg_bytes(b, p, n);
    msg_end(b, mark);
}

void wire_keydata_build(struct buf *b, uint32_t id, const void *key, size_t n)
{
    size_t mark = msg_begin(b, 'K');
    msg_u32(b, id);
    msg_bytes(b, key, n);
    msg_end(b, mark);
}

void wire_complete_build(struct buf *b, struct text tag)
{
    size_t mark = msg_begin(b, 'C');
    msg_cstr(b, tag);
    msg_end(b, mark);
}

void wire_simple_build(struct buf *b, char type)
{
    msg_end(b, msg_begin(b, type));
}

void wire_negotiate_build(struct buf *b, uint32_t minor, const struct text *options, int n)
{
    size_t mark = msg_begin(b, 'v');
    msg_u32(b, 3u << 16 | (minor & 0xffff));
    msg_u32(b, (uint32_t)n);
    for (int i = 0; i < n; i++)
        msg_cstr(b, options[i]);
    msg_end(b, mark);
}

static int16_t type_size(enum wire_type t)
{
    switch (t) {
    case WIRE_INT4:
        return 4;
    case WIRE_INT8:
        return 8;
    case WIRE_TEXT:
    case WIRE_NUMERIC:
    case WIRE_BYTEA:
        break;
    }
    return -1;
}

void wire_rowdesc_build(struct buf *b, const struct wire_column *cols, int n)
{
    CHECK(n >= 0 && n <= INT16_MAX);
    size_t mark = msg_begin(b, 'T');
    msg_u16(b, (uint16_t)n);
    for (int i = 0; i < n; i++) {
        msg_cstr(b, text_of(cols[i].name));
        msg_u32(b, 0); /* of no table */
        msg_u16(b, 0);
        msg_u32(b, cols[i].type);
        msg_u16(b, (uint16_t)type_size(cols[i].type));
        msg_u32(b, UINT32_MAX); /* no type modifier */
        msg_u16(b, 0);          /* text */
    }
    msg_end(b, mark);
}

void wire_datarow_build(struct buf *b, const struct text *values, int n)
{
    CHECK(n >= 0 && n <= INT16_MAX);
    size_t mark = msg_begin(b, 'D');
    msg_u16(b, (uint16_t)n);
    for (int i = 0; i < n; i++) {
        if (!values[i].p) {
            msg_u32(b, UINT32_MAX);
            continue;
        }
        if (values[i].n > INT32_MAX) {
            b->failed = true;
            return;
        }
        msg_u32(b, (uint32_t)values[i].n);
        msg_bytes(b, values[i].p, values[i].n);
    }
    msg_end(b, mark);
}

bool wire_status_read(const char *body, size_t n, struct text *name, struct text *value)
{
    struct rd r = rd_init(body, n);
    *name = rd_cstr(&r);
    *value = rd_cstr(&r);
    return rd_done(&r);
}

bool wire_paramdesc_trim(struct buf *b, const char *body, size_t n, int drop)
{
    struct rd r = rd_init(body, n);
    unsigned count = rd_u16(&r);
    struct text types = rd_bytes(&r, (size_t)count * 4);
    if (!rd_done(&r) || drop < 0 || (unsigned)drop > count)
        return false;
    size_t mark = msg_begin(b, 't');
    msg_u16(b, (uint16_t)(count - (unsigned)drop));
    msg_bytes(b, types.p, types.n - (size_t)drop * 4);
    msg_end(b, mark);
    return true;
}

/* The bytes of t with each `quote`, and each backslash when asked, doubled. */
static void append_doubled(struct buf *b, struct text t, char quote, bool backslash)
{
    size_t from = 0;
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] != quote && !(backslash && t.p[i] == '\\'))
            continue;
        buf_append(b, t.p + from, i + 1 - from);
        from = i; /* the same byte again */
    }
    if (t.n)
        buf_append(b, t.p + from, t.n - from);
}

void wire_quote_literal(struct buf *b, struct text t)
{
    bool backslash = t.n && memchr(t.p, '\\', t.n);
    if (backslash)
        buf_char(b, 'E');
    buf_char(b, '\'');
    append_doubled(b, t, '\'', backslash);
    buf_char(b, '\'');
}

void wire_quote_ident(struct buf *b, struct text t)
{
    buf_char(b, '"');
    append_doubled(b, t, '"', false);
    buf_char(b, '"');
}
