/* SPDX-License-Identifier: ISC */
/* Query, Parse, Bind, Describe, Close, Execute: bodies taken apart, messages built. */
#include "wire/query.h"

#include "base/check.h"

#define MAX_PARAMS 65535

bool wire_query_read(const char *body, size_t n, struct text *sql)
{
    struct rd r = rd_init(body, n);
    *sql = rd_cstr(&r);
    return rd_done(&r);
}

bool wire_parse_read(const char *body, size_t n, struct wire_parse *m)
{
    struct rd r = rd_init(body, n);
    m->name = rd_cstr(&r);
    m->sql = rd_cstr(&r);
    m->n_types = rd_u16(&r);
    m->types = rd_bytes(&r, (size_t)m->n_types * 4).p;
    return rd_done(&r);
}

/* Passes over one parameter value. */
static struct text read_value(struct rd *r, bool *is_null)
{
    uint32_t len = rd_u32(r);
    *is_null = len == UINT32_MAX;
    if (*is_null)
        return text_n(NULL, 0);
    return rd_bytes(r, len); /* other negative lengths are beyond any message */
}

bool wire_bind_read(const char *body, size_t n, struct wire_bind *m)
{
    struct rd r = rd_init(body, n);
    bool is_null;
    m->portal = rd_cstr(&r);
    m->stmt = rd_cstr(&r);
    m->n_formats = rd_u16(&r);
    m->formats = rd_bytes(&r, (size_t)m->n_formats * 2).p;
    m->n_params = rd_u16(&r);
    m->params = r.p;
    for (unsigned i = 0; i < m->n_params && !r.bad; i++)
        read_value(&r, &is_null);
    m->params_len = (size_t)(r.p - m->params);
    m->results = r.p;
    m->results_len = rd_left(&r);
    rd_bytes(&r, (size_t)rd_u16(&r) * 2);
    return rd_done(&r);
}

bool wire_target_read(const char *body, size_t n, struct wire_target *m)
{
    struct rd r = rd_init(body, n);
    m->what = (char)rd_u8(&r);
    m->name = rd_cstr(&r);
    return rd_done(&r) && (m->what == 'S' || m->what == 'P');
}

bool wire_execute_read(const char *body, size_t n, struct wire_execute *m)
{
    struct rd r = rd_init(body, n);
    m->portal = rd_cstr(&r);
    m->max_rows = rd_u32(&r);
    return rd_done(&r);
}

/* Format i of a list of big-endian int16. */
static int format_at(const char *formats, unsigned i)
{
    struct rd r = rd_init(formats + (size_t)i * 2, 2);
    return (int16_t)rd_u16(&r);
}

bool wire_bind_param(const struct wire_bind *m, int i, int *format, struct text *value,
                     bool *is_null)
{
    if (i < 0 || i >= m->n_params)
        return false;
    if (m->n_formats > 1 && i >= m->n_formats)
        return false;
    *format = 0;
    if (m->n_formats)
        *format = format_at(m->formats, m->n_formats == 1 ? 0 : (unsigned)i);
    struct rd r = rd_init(m->params, m->params_len);
    for (int k = 0; k <= i; k++)
        *value = read_value(&r, is_null);
    return !r.bad;
}

void wire_query_build(struct buf *b, struct text sql)
{
    size_t mark = msg_begin(b, 'Q');
    msg_cstr(b, sql);
    msg_end(b, mark);
}

void wire_parse_build(struct buf *b, struct text name, struct text sql, const uint32_t *types,
                      uint16_t n_types)
{
    size_t mark = msg_begin(b, 'P');
    msg_cstr(b, name);
    msg_cstr(b, sql);
    msg_u16(b, n_types);
    for (unsigned i = 0; i < n_types; i++)
        msg_u32(b, types[i]);
    msg_end(b, mark);
}

void wire_target_build(struct buf *b, char msg_type, char what, struct text name)
{
    size_t mark = msg_begin(b, msg_type);
    msg_u8(b, (uint8_t)what);
    msg_cstr(b, name);
    msg_end(b, mark);
}

void wire_execute_build(struct buf *b, struct text portal, uint32_t max_rows)
{
    size_t mark = msg_begin(b, 'E');
    msg_cstr(b, portal);
    msg_u32(b, max_rows);
    msg_end(b, mark);
}

void wire_sync_build(struct buf *b)
{
    msg_end(b, msg_begin(b, 'S'));
}

/* The list of formats when n_added text parameters follow those of m. */
static void build_formats(struct buf *b, const struct wire_bind *m, int n_added)
{
    if (m->n_formats == 1 && n_added) {
        msg_u16(b, (uint16_t)(m->n_params + n_added));
        for (unsigned i = 0; i < m->n_params; i++)
            msg_bytes(b, m->formats, 2);
    } else {
        msg_u16(b, (uint16_t)(m->n_formats + (m->n_formats ? n_added : 0)));
        msg_bytes(b, m->formats, (size_t)m->n_formats * 2);
    }
    for (int i = 0; m->n_formats && i < n_added; i++)
        msg_u16(b, 0);
}

bool wire_bind_build(struct buf *b, const struct wire_bind *m, struct text stmt,
                     const struct wire_added *added, int n_added)
{
    CHECK(n_added >= 0);
    if (n_added > MAX_PARAMS - m->n_params)
        return false;
    if (m->n_formats && n_added > MAX_PARAMS - m->n_formats)
        return false;
    size_t mark = msg_begin(b, 'B');
    msg_cstr(b, m->portal);
    msg_cstr(b, stmt);
    build_formats(b, m, n_added);
    msg_u16(b, (uint16_t)(m->n_params + n_added));
    msg_bytes(b, m->params, m->params_len);
    for (int i = 0; i < n_added; i++) {
        if (added[i].is_null) {
            msg_u32(b, UINT32_MAX);
            continue;
        }
        if (added[i].value.n > INT32_MAX) {
            b->failed = true;
            break;
        }
        msg_u32(b, (uint32_t)added[i].value.n);
        msg_bytes(b, added[i].value.p, added[i].value.n);
    }
    msg_bytes(b, m->results, m->results_len);
    msg_end(b, mark);
    return true;
}
