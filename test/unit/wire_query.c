/* SPDX-License-Identifier: ISC */
/* Bodies of query messages: read, built, rewritten; every truncation is refused. */
#include "tap.h"

#include "wire/query.h"

static char *own(const char *p, size_t n)
{
    char *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    return copy;
}

static bool reads(char type, const char *p, size_t n)
{
    struct text sql;
    struct wire_parse parse;
    struct wire_bind bind;
    struct wire_target target;
    struct wire_execute execute;
    switch (type) {
    case 'Q':
        return wire_query_read(p, n, &sql);
    case 'P':
        return wire_parse_read(p, n, &parse);
    case 'B':
        return wire_bind_read(p, n, &bind);
    case 'D':
    case 'C':
        return wire_target_read(p, n, &target);
    default:
        return wire_execute_read(p, n, &execute);
    }
}

/* Cuts and lengthens the body of the message in b. */
static void truncations(const struct buf *b, const char *what)
{
    char type = b->p[0];
    size_t n = buf_len(b) - 5, refused = 0;
    for (size_t i = 0; i < n; i++) {
        char *copy = own(b->p + 5, i);
        refused += !reads(type, copy, i);
        free(copy);
    }
    is_int(refused, n, "%s: truncations", what);
    char *copy = own(b->p + 5, n + 1);
    copy[n] = 0;
    ok(!reads(type, copy, n + 1), "%s: one byte too many", what);
    free(copy);
    ok(reads(type, b->p + 5, n), "%s: whole", what);
}

static void test_simple(void)
{
    struct buf b;
    struct text sql;
    buf_init(&b);
    buf_reserve(&b, 1000);
    wire_query_build(&b, TEXT("select 1"));
    truncations(&b, "Query");
    ok(wire_query_read(b.p + 5, buf_len(&b) - 5, &sql), "read");
    is_text(sql, "select 1", "text");
    ok(!wire_query_read("a\0b", 4, &sql), "a NUL inside");

    buf_clear(&b);
    uint32_t types[2] = { 23, 0x1020304 };
    wire_parse_build(&b, TEXT("s1"), TEXT("select $1"), types, 2);
    truncations(&b, "Parse");
    struct wire_parse p;
    ok(wire_parse_read(b.p + 5, buf_len(&b) - 5, &p), "read");
    is_text(p.name, "s1", "name");
    is_text(p.sql, "select $1", "text");
    is_int(p.n_types, 2, "types");
    is_text(text_n(p.types, 8), TEXT("\0\0\0\27\1\2\3\4"), "their OIDs");

    buf_clear(&b);
    wire_target_build(&b, 'D', 'S', TEXT("s1"));
    truncations(&b, "Describe");
    b.p[5] = 'X';
    ok(!reads('D', b.p + 5, buf_len(&b) - 5), "neither statement nor portal");
    buf_clear(&b);
    wire_target_build(&b, 'C', 'P', TEXT(""));
    truncations(&b, "Close");
    buf_clear(&b);
    wire_execute_build(&b, TEXT("p"), 77);
    truncations(&b, "Execute");
    struct wire_execute x;
    ok(wire_execute_read(b.p + 5, buf_len(&b) - 5, &x) && x.max_rows == 77, "rows");
    is_text(x.portal, "p", "portal");
    buf_clear(&b);
    wire_sync_build(&b);
    is_text(buf_text(&b), TEXT("S\0\0\0\4"), "Sync");
    buf_release(&b);
}

/* A Bind of portal "p", statement "s", the values "x", NULL, "" (n of them) and n_formats formats,
 * all 1. */
static void bind_body(struct buf *b, unsigned n_formats, unsigned n)
{
    buf_clear(b);
    size_t mark = msg_begin(b, 'B');
    msg_cstr(b, TEXT("p"));
    msg_cstr(b, TEXT("s"));
    msg_u16(b, (uint16_t)n_formats);
    for (unsigned i = 0; i < n_formats; i++)
        msg_u16(b, 1);
    msg_u16(b, (uint16_t)n);
    for (unsigned i = 0; i < n; i++) {
        msg_u32(b, i % 3 == 1 ? UINT32_MAX : i % 3 == 0);
        if (i % 3 == 0)
            msg_u8(b, 'x');
    }
    msg_u16(b, 1);
    msg_u16(b, 1);
    msg_end(b, mark);
}

static void test_bind(void)
{
    struct buf b;
    struct wire_bind m;
    struct text v;
    int format;
    bool is_null;
    buf_init(&b);
    buf_reserve(&b, 1000);
    bind_body(&b, 3, 3);
    truncations(&b, "Bind");
    ok(wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "read");
    is_text(m.portal, "p", "portal");
    is_text(m.stmt, "s", "statement");
    is_int(m.n_params, 3, "parameters");
    is_text(text_n(m.results, m.results_len), TEXT("\0\1\0\1"), "result formats");
    ok(wire_bind_param(&m, 0, &format, &v, &is_null) && format == 1 && !is_null, "first");
    is_text(v, "x", "its value");
    ok(wire_bind_param(&m, 1, &format, &v, &is_null) && is_null, "second is NULL");
    ok(wire_bind_param(&m, 2, &format, &v, &is_null) && !is_null && !v.n, "third is empty");
    ok(!wire_bind_param(&m, 3, &format, &v, &is_null), "no fourth");
    ok(!wire_bind_param(&m, -1, &format, &v, &is_null), "none before");
    bind_body(&b, 2, 3);
    ok(wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "fewer formats: the server refuses it");
    ok(!wire_bind_param(&m, 2, &format, &v, &is_null), "and we do not read what has no format");
    bind_body(&b, 0, 2);
    ok(wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "no formats");
    ok(wire_bind_param(&m, 0, &format, &v, &is_null) && format == 0, "are text");
    b.p[5 + 4 + 2 + 2 + 3] = 2; /* first value's length */
    b.p[5 + 4 + 2 + 2] = (char)0xff;
    ok(!wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "negative length other than -1");
    buf_release(&b);
}

static void rebuilt(unsigned n_formats, unsigned n, int n_added, struct text formats)
{
    static const struct wire_added added[2] = { { { "acme", 4 }, false }, { { NULL, 0 }, true } };
    struct buf b, out;
    struct wire_bind m, again;
    struct text v, w;
    int format, format2;
    bool is_null, is_null2, same = true;
    buf_init(&b);
    buf_init(&out);
    bind_body(&b, n_formats, n);
    bool done = wire_bind_read(b.p + 5, buf_len(&b) - 5, &m) &&
                wire_bind_build(&out, &m, TEXT("other"), added, n_added) &&
                wire_bind_read(out.p + 5, buf_len(&out) - 5, &again);
    ok(done, "rebuilt: %u formats, %u parameters, %d added", n_formats, n, n_added);
    is_text(again.portal, "p", "portal stays");
    is_text(again.stmt, "other", "statement");
    is_int(again.n_params, n + (unsigned)n_added, "parameters");
    is_text(text_n(again.formats, (size_t)again.n_formats * 2), formats, "formats");
    is_text(text_n(again.results, again.results_len), text_n(m.results, m.results_len), "results");
    for (int i = 0; i < (int)n; i++)
        same &= wire_bind_param(&m, i, &format, &v, &is_null) &&
                wire_bind_param(&again, i, &format2, &w, &is_null2) && format == format2 &&
                is_null == is_null2 && text_eq(v, w);
    ok(same, "own parameters are as they were");
    if (n_added) {
        ok(wire_bind_param(&again, (int)n, &format, &v, &is_null) && !format && !is_null, "added");
        is_text(v, "acme", "its value");
    }
    if (n_added > 1)
        ok(wire_bind_param(&again, (int)n + 1, &format, &v, &is_null) && is_null, "added NULL");
    buf_release(&b);
    buf_release(&out);
}

static void test_bind_limits(void)
{
    static const struct wire_added one = { { "acme", 4 }, false };
    struct buf b, out;
    struct wire_bind m;
    buf_init(&b);
    buf_init(&out);
    bind_body(&b, 0, 65534);
    ok(wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "65534 parameters");
    ok(wire_bind_build(&out, &m, TEXT(""), &one, 1), "and one more");
    bind_body(&b, 1, 65535);
    buf_clear(&out);
    ok(wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "65535 parameters");
    ok(!wire_bind_build(&out, &m, TEXT(""), &one, 1), "and no more");
    is_int(buf_len(&out), 0, "nothing was written");
    ok(wire_bind_build(&out, &m, TEXT(""), NULL, 0), "none added is fine");
    bind_body(&b, 65535, 1);
    ok(wire_bind_read(b.p + 5, buf_len(&b) - 5, &m), "65535 formats");
    ok(!wire_bind_build(&out, &m, TEXT(""), &one, 1), "formats do not wrap");
    buf_release(&b);
    buf_release(&out);
}

int main(void)
{
    test_simple();
    test_bind();
    rebuilt(0, 0, 0, TEXT(""));
    rebuilt(0, 0, 1, TEXT(""));
    rebuilt(0, 3, 2, TEXT(""));
    rebuilt(1, 0, 1, TEXT("\0\0"));
    rebuilt(1, 3, 0, TEXT("\0\1"));
    rebuilt(1, 3, 2, TEXT("\0\1\0\1\0\1\0\0\0\0"));
    rebuilt(3, 3, 1, TEXT("\0\1\0\1\0\1\0\0"));
    test_bind_limits();
    return tap_done();
}
