/* SPDX-License-Identifier: ISC */
/* Comparing claims with the values of clients, by the type of the tenant column. */
#include "tenant/value.h"

#include "wire/frame.h"

struct value_type {
    uint32_t oid;
    const char *sql;
};

static const struct value_type value_types[] = {
    { VALUE_TEXT, "pg_catalog.text" }, { VALUE_VARCHAR, "pg_catalog.text" },
    { VALUE_UUID, "pg_catalog.uuid" }, { VALUE_INT2, "pg_catalog.int2" },
    { VALUE_INT4, "pg_catalog.int4" }, { VALUE_INT8, "pg_catalog.int8" },
};

const char *value_type_sql(uint32_t type)
{
    for (size_t i = 0; i < sizeof(value_types) / sizeof(value_types[0]); i++)
        if (value_types[i].oid == type)
            return value_types[i].sql;
    return NULL;
}

bool value_type_known(uint32_t type)
{
    return value_type_sql(type) != NULL;
}

static bool is_textual(uint32_t type)
{
    return type == VALUE_TEXT || type == VALUE_VARCHAR;
}

static bool is_integer(uint32_t type)
{
    return type == VALUE_INT2 || type == VALUE_INT4 || type == VALUE_INT8;
}

static size_t int_width(uint32_t type)
{
    return type == VALUE_INT2 ? 2 : type == VALUE_INT4 ? 4 : 8;
}

/* Plain decimal digits with an optional minus, in the range of the type. */
static bool int_read(uint32_t type, struct text t, int64_t *out)
{
    size_t i = t.n && t.p[0] == '-' ? 1 : 0;
    if (i == t.n)
        return false;
    for (size_t k = i; k < t.n; k++)
        if (t.p[k] < '0' || t.p[k] > '9')
            return false;
    if (!text_to_int64(t, out))
        return false;
    if (type == VALUE_INT2)
        return *out >= INT16_MIN && *out <= INT16_MAX;
    if (type == VALUE_INT4)
        return *out >= INT32_MIN && *out <= INT32_MAX;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The form 8-4-4-4-12, either case. */
static bool uuid_read(struct text t, unsigned char out[16])
{
    if (t.n != 36)
        return false;
    size_t k = 0;
    for (size_t i = 0; i < 36;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (t.p[i++] != '-')
                return false;
            continue;
        }
        int hi = hex_digit(t.p[i]), lo = hex_digit(t.p[i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[k++] = (unsigned char)(hi * 16 + lo);
        i += 2;
    }
    return k == 16;
}

bool value_fits(uint32_t type, struct text claim)
{
    int64_t n;
    unsigned char u[16];
    if (is_textual(type))
        return claim.n == 0 || !memchr(claim.p, 0, claim.n);
    if (is_integer(type))
        return int_read(type, claim, &n);
    return type == VALUE_UUID && uuid_read(claim, u);
}

bool value_same(uint32_t type, struct text claim, struct text value)
{
    if (is_textual(type))
        return text_eq(claim, value);
    if (is_integer(type)) {
        int64_t a, b;
        return int_read(type, claim, &a) && int_read(type, value, &b) && a == b;
    }
    unsigned char a[16], b[16];
    return type == VALUE_UUID && uuid_read(claim, a) && uuid_read(value, b) &&
           memcmp(a, b, 16) == 0;
}

bool value_param_ok(uint32_t type, uint32_t declared)
{
    if (declared == 0 || declared == VALUE_UNKNOWN)
        return value_type_known(type);
    if (is_textual(type))
        return is_textual(declared) || value_param_loose(declared);
    if (is_integer(type))
        return is_integer(declared);
    return type == VALUE_UUID && declared == VALUE_UUID;
}

bool value_param_loose(uint32_t declared)
{
    return declared == VALUE_BPCHAR || declared == VALUE_NAME;
}

bool value_param_keeps(uint32_t declared, struct text claim)
{
    if (declared == VALUE_BPCHAR)
        return claim.n == 0 || claim.p[claim.n - 1] != ' ';
    return declared != VALUE_NAME || claim.n < 64;
}

bool value_same_binary(uint32_t type, uint32_t declared, struct text claim, struct text bytes)
{
    if (!value_param_ok(type, declared))
        return false;
    if (is_textual(type))
        return text_eq(claim, bytes);
    if (is_integer(type)) {
        bool inferred = declared == 0 || declared == VALUE_UNKNOWN;
        int64_t want;
        if (bytes.n != int_width(inferred ? type : declared) || !int_read(type, claim, &want))
            return false;
        const unsigned char *p = (const unsigned char *)bytes.p;
        uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < bytes.n; i++)
            v = v << 8 | p[i];
        return (int64_t)v == want;
    }
    unsigned char u[16];
    return bytes.n == 16 && uuid_read(claim, u) && memcmp(u, bytes.p, 16) == 0;
}

uint32_t value_array_element(uint32_t array)
{
    static const uint32_t types[][2] = {
        { 1005, VALUE_INT2 }, { 1007, VALUE_INT4 },    { 1016, VALUE_INT8 },
        { 1009, VALUE_TEXT }, { 1015, VALUE_VARCHAR }, { 2951, VALUE_UUID },
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i][0] == array)
            return types[i][1];
    return 0;
}

/* Takes one element off an array's text: quoted, or of plain characters and not the word NULL. */
static bool array_element(struct text *t, struct text *out)
{
    bool quoted = t->n && t->p[0] == '"';
    size_t i = quoted, from = i;

    for (; i < t->n && t->p[i] != (quoted ? '"' : ','); i++) {
        char c = t->p[i];
        if (quoted ? c == '\\'
                   : !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_'))
            return false;
    }
    *out = text_n(t->p + from, i - from);
    if (quoted ? i++ >= t->n : out->n == 0 || text_is_i(*out, "null"))
        return false;
    *t = text_n(t->p + i, t->n - i);
    return true;
}

bool value_same_array(uint32_t type, struct text claim, struct text t)
{
    struct text e;
    if (t.n < 3 || t.p[0] != '{' || t.p[t.n - 1] != '}')
        return false;
    t = text_n(t.p + 1, t.n - 2);
    for (;;) {
        if (!array_element(&t, &e) || !value_same(type, claim, e))
            return false;
        if (t.n == 0)
            return true;
        if (t.p[0] != ',' || t.n == 1)
            return false;
        t = text_n(t.p + 1, t.n - 1);
    }
}

bool value_same_array_binary(uint32_t type, struct text claim, struct text bytes)
{
    struct rd r = rd_init(bytes.p, bytes.n);
    uint32_t dimensions = rd_u32(&r), nulls = rd_u32(&r), element = rd_u32(&r), n = rd_u32(&r);

    rd_u32(&r); /* lower bound */
    if (r.bad || dimensions != 1 || nulls > 1 || element == 0 || n == 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = rd_u32(&r);
        if (r.bad || len > rd_left(&r) ||
            !value_same_binary(type, element, claim, rd_bytes(&r, len)))
            return false;
    }
    return rd_done(&r);
}

void value_binary(uint32_t type, struct text claim, struct buf *out)
{
    unsigned char u[16];
    int64_t n;
    if (is_textual(type)) {
        buf_text_append(out, claim);
    } else if (is_integer(type) && int_read(type, claim, &n)) {
        for (size_t i = int_width(type); i-- > 0;)
            buf_char(out, (char)((uint64_t)n >> (8 * i) & 0xff));
    } else if (type == VALUE_UUID && uuid_read(claim, u)) {
        buf_append(out, u, sizeof(u));
    } else {
        out->failed = true;
    }
}
