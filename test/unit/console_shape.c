/* SPDX-License-Identifier: ISC */
/* Results of the console filtered by LIKE, in binary, in parts. */
#include "console/row.h"
#include "console/shape.h"
#include "tap.h"

static void like(const char *value, const char *pattern, bool want)
{
    ok(shape_like(text_of(value), pattern) == want, "'%s' %s LIKE '%s'", value, want ? "is" : "not",
       pattern);
}

static void patterns(void)
{
    like("", "", true);
    like("", "%", true);
    like("", "_", false);
    like("db1", "db%", true);
    like("db", "db%", true);
    like("adb", "db%", false);
    like("adb", "%db", true);
    like("dbdb", "%db", true);
    like("dbd", "%db", false);
    like("abcabd", "%ab_", true);
    like("abcabd", "a%b%d", true);
    like("abcabd", "a%b%e", false);
    like("a%b", "a\\%b", true);
    like("axb", "a\\%b", false);
    like("a\\", "a\\", true);
    like("DB", "db", false);
    like("\xc3\xa4", "_", true);
    like("\xe2\x82\xac", "%__", false);
    like("x\xe2\x82\xac", "%__", true);
    like("\xff\xfe", "__", true);
    like("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "%a%a%a%a%a%a%c", false);
}

static void put(struct buf *b, const char *type, const char *db, const char *n, int64_t i)
{
    struct row r;

    row_init(&r);
    row_z(&r, type);
    row_z(&r, db);
    row_z(&r, n);
    row_int(&r, i);
    row_end(&r, 4, b);
}

static void result(struct buf *b)
{
    static const struct wire_column cols[] = { COL_S("type"), COL_S("database"), COL_N("n"),
                                               COL_I("i") };

    buf_init(b);
    wire_rowdesc_build(b, cols, COLUMNS(cols));
    put(b, "C", "one", "0", -1);
    put(b, "C", "two", "123456789012", INT64_C(99999999999));
    put(b, "S", NULL, NULL, 7);
    put(b, "S", "two", "10000", 8);
}

static int count(const struct buf *b, char type)
{
    int n = 0;
    for (size_t pos = 0; pos < buf_len(b);) {
        struct frame f;
        if (frame_peek(buf_data(b) + pos, buf_len(b) - pos, UINT32_MAX, &f) != FRAME_OK)
            return -1;
        n += f.type == type;
        pos += f.len;
    }
    return n;
}

static void filters(void)
{
    struct buf in, out, rest;
    struct shape s = { .like = "t%", .head = true, .rows = true };

    result(&in);
    buf_init(&out);
    buf_init(&rest);
    ok(shape_result(&s, buf_text(&in), &out, NULL), "there is a head");
    is_int(count(&out, 'D'), 2, "by the column database where the first is the type");
    is_int(count(&out, 'T'), 1, "and the head");
    buf_clear(&out);
    s = (struct shape){ .head = true };
    shape_result(&s, buf_text(&in), &out, NULL);
    is_int(count(&out, 'D'), 0, "no rows");
    buf_clear(&out);
    s = (struct shape){ .rows = true, .max = 3 };
    shape_result(&s, buf_text(&in), &out, &rest);
    is_int(count(&out, 'T'), 0, "no head");
    is_int(count(&out, 'D'), 3, "the first rows");
    is_int(count(&rest, 'D'), 1, "what is left");
    shape_more(&rest, 5, &out);
    is_int(count(&out, 'D'), 4, "the others later");
    is_int((long)buf_len(&rest), 0, "nothing is left");
    ok(buf_len(&in) > buf_len(&out), "the head was left out");
    buf_release(&rest);
    buf_release(&out);
    buf_release(&in);
}

/* Field k of row i. */
static struct text field(const struct buf *b, int i, int k, bool *is_null)
{
    for (size_t pos = 0; pos < buf_len(b);) {
        struct frame f;
        if (frame_peek(buf_data(b) + pos, buf_len(b) - pos, UINT32_MAX, &f) != FRAME_OK)
            break;
        if (f.type == 'D' && i-- == 0) {
            struct rd r = rd_init(buf_data(b) + pos + 5, f.len - 5);
            struct text t = { NULL, 0 };
            rd_u16(&r);
            for (int j = 0; j <= k; j++) {
                uint32_t len = rd_u32(&r);
                *is_null = len == UINT32_MAX;
                t = *is_null ? (struct text){ NULL, 0 } : rd_bytes(&r, len);
            }
            return t;
        }
        pos += f.len;
    }
    return (struct text){ NULL, 0 };
}

static void bytes(const struct buf *b, int i, int k, const char *want, size_t n, const char *name)
{
    bool is_null = true;
    struct text t = field(b, i, k, &is_null);

    ok(!is_null && t.n == n && memcmp(t.p, want, n) == 0, "%s", name);
}

static void binary(void)
{
    static const char all[] = { 0, 1 }, some[] = { 0, 0, 0, 0, 0, 0, 0, 1 };
    struct buf in, out;
    struct shape s = { .formats = all, .n_formats = 1, .rows = true, .head = true };
    bool is_null;

    result(&in);
    buf_init(&out);
    shape_result(&s, buf_text(&in), &out, NULL);
    bytes(&out, 0, 0, "C", 1, "text is text");
    bytes(&out, 0, 2, "\0\0\0\0\0\0\0\0", 8, "numeric 0");
    bytes(&out, 1, 2, "\0\3\0\2\0\0\0\0\x04\xd2\x16\x2e\x23\x34", 14, "numeric 1234 5678 9012");
    bytes(&out, 3, 2, "\0\2\0\1\0\0\0\0\0\1\0\0", 12, "numeric 1 0000");
    bytes(&out, 0, 3, "\xff\xff\xff\xff", 4, "int4 -1");
    bytes(&out, 1, 3, "\x7f\xff\xff\xff", 4, "what does not fit is the greatest");
    field(&out, 2, 1, &is_null);
    ok(is_null, "NULL");
    buf_clear(&out);
    s = (struct shape){ .formats = some, .n_formats = 4, .rows = true };
    shape_result(&s, buf_text(&in), &out, NULL);
    bytes(&out, 1, 2, "123456789012", 12, "the columns that were not asked for stay text");
    bytes(&out, 3, 3, "\0\0\0\x08", 4, "the last one is binary");
    buf_release(&out);
    buf_release(&in);
}

int main(void)
{
    patterns();
    filters();
    binary();
    return tap_done();
}
