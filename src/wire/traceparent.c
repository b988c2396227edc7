/* SPDX-License-Identifier: ISC */
/* Finding and reading a traceparent. */
#include "wire/traceparent.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n bytes in lower-case hexadecimal. zero: all of them may be zero. */
static bool read_hex(const char *p, unsigned char *out, size_t n, bool zero)
{
    unsigned any = 0;

    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(p[2 * i]), low = hex_digit(p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
        any |= out[i];
    }
    return any || zero;
}

/* The value of version 00, or the part of a later one that is laid down for all. */
static bool read_value(struct text v, struct traceparent *out)
{
    struct traceparent t = { .set = true };
    unsigned char version;

    if (v.n < TRACEPARENT_LEN || !read_hex(v.p, &version, 1, true) || version == 0xff ||
        (v.n > TRACEPARENT_LEN && (version == 0 || v.p[TRACEPARENT_LEN] != '-')))
        return false;
    if (v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-' ||
        !read_hex(v.p + 3, t.id, sizeof(t.id), false) ||
        !read_hex(v.p + 36, t.span, sizeof(t.span), false) ||
        !read_hex(v.p + 53, &t.flags, 1, true))
        return false;
    *out = t;
    return true;
}

static int any_hex(char c)
{
    return hex_digit(c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c);
}

/* Takes URL encoding back; a value that does not fit into out is none. */
static bool decode(struct text v, char *out, size_t size, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == '%') {
            int high = i + 2 < v.n ? any_hex(v.p[i + 1]) : -1,
                low = i + 2 < v.n ? any_hex(v.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (*n == size)
            return false;
        out[(*n)++] = c;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The key's value in the inside of a comment; a comment with two of them is not sqlcommenter's. */
static bool in_comment(struct text c, struct traceparent *out)
{
    static const char key[] = "traceparent='";
    const size_t n = sizeof(key) - 1;
    const char *at = c.n > n ? memmem(c.p, c.n, key, n) : NULL, *end = c.p + c.n;
    char room[TRACEPARENT_LEN + 64];
    size_t len;

    if (!at || (at > c.p && at[-1] != ',' && !is_blank(at[-1])))
        return false;
    const char *v = at + n, *close = memchr(v, '\'', (size_t)(end - v));
    if (!close || (close + 1 < end && close[1] != ',' && !is_blank(close[1])) ||
        memmem(close, (size_t)(end - close), key, n))
        return false;
    return decode(text_n(v, (size_t)(close - v)), room, sizeof(room), &len) &&
           read_value(text_n(room, len), out);
}

/* In the comment that the text ends with. */
static bool at_end(struct text sql, struct traceparent *out)
{
    size_t n = sql.n;

    if (n < 4 || sql.p[n - 1] != '/' || sql.p[n - 2] != '*')
        return false;
    size_t stop = n > TRACEPARENT_LOOK ? n - TRACEPARENT_LOOK : 0;
    for (size_t i = n - 4 + 1; i-- > stop;)
        if (sql.p[i] == '/' && sql.p[i + 1] == '*')
            return in_comment(text_n(sql.p + i + 2, n - i - 4), out);
    return false;
}

/* In the comment that the text begins with. */
static bool at_begin(struct text sql, struct traceparent *out)
{
    size_t n = sql.n < TRACEPARENT_LOOK ? sql.n : TRACEPARENT_LOOK;

    if (n < 4 || sql.p[0] != '/' || sql.p[1] != '*')
        return false;
    const char *close = memmem(sql.p + 2, n - 2, "*/", 2);
    return close && in_comment(text_n(sql.p + 2, (size_t)(close - sql.p - 2)), out);
}

bool traceparent_find(struct text sql, bool whole, struct traceparent *out)
{
    struct text body = sql;

    *out = (struct traceparent){ 0 };
    while (whole && body.n && (is_blank(body.p[body.n - 1]) || body.p[body.n - 1] == ';'))
        body.n--;
    while (body.n && is_blank(*body.p)) {
        body.p++;
        body.n--;
    }
    return (whole && at_end(body, out)) || at_begin(body, out);
}

void traceparent_hex(const unsigned char *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

void traceparent_text(const struct traceparent *t, char out[TRACEPARENT_LEN + 1])
{
    out[0] = '\0';
    if (!t->set)
        return;
    memcpy(out, "00-", 3);
    traceparent_hex(t->id, sizeof(t->id), out + 3);
    out[35] = '-';
    traceparent_hex(t->span, sizeof(t->span), out + 36);
    out[52] = '-';
    traceparent_hex(&t->flags, 1, out + 53);
}
