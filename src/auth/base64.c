/* SPDX-License-Identifier: ISC */
/* Base 64. */
#include "auth/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void b64_encode(struct buf *out, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t some = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        if (some > 1)
            v |= (uint32_t)p[i + 1] << 8;
        if (some > 2)
            v |= p[i + 2];
        char four[4] = { digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63],
                         digits[v & 63] };
        memset(four + some + 1, '=', 3 - some);
        buf_append(out, four, 4);
    }
}

/* Value of a digit, -1 for anything else. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool b64_decode(struct text in, unsigned char *out, size_t cap, size_t *n)
{
    size_t k = 0;
    *n = 0;
    if (in.n % 4)
        return false;
    for (size_t i = 0; i < in.n; i += 4) {
        const char *p = in.p + i;
        size_t some = 3;
        if (i + 4 == in.n && p[3] == '=')
            some = p[2] == '=' ? 1 : 2;
        uint32_t v = 0;
        for (size_t j = 0; j < 4; j++) {
            int d = j > some ? 0 : value_of(p[j]);
            if (d < 0)
                return false;
            v = v << 6 | (uint32_t)d;
        }
        if (cap - k < some || v & ((1u << 8 * (3 - some)) - 1))
            return false;
        for (size_t j = 0; j < some; j++)
            out[k++] = (unsigned char)(v >> (16 - 8 * j));
    }
    *n = k;
    return true;
}

bool b64url_decode(struct text in, unsigned char *out, size_t cap, size_t *n)
{
    uint32_t v = 0;
    unsigned bits = 0;
    size_t k = 0;

    *n = 0;
    if (in.n % 4 == 1)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        int d = c == '-' ? 62 : c == '_' ? 63 : c == '+' || c == '/' ? -1 : value_of(c);
        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (k == cap)
            return false;
        out[k++] = (unsigned char)(v >> bits);
        v &= (1u << bits) - 1;
    }
    *n = k;
    return v == 0; /* bits that belong to no byte */
}
