/* SPDX-License-Identifier: ISC */
/* Text slices: comparing, cutting, numbers. */
#include "base/text.h"

#include <stdlib.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool text_ieq(struct text a, struct text b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool text_is_i(struct text a, const char *z)
{
    return text_ieq(a, text_of(z));
}

int text_cmp(struct text a, struct text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    if (d)
        return d;
    return (a.n > b.n) - (a.n < b.n);
}

bool text_eq_secret(struct text a, struct text b)
{
    if (a.n != b.n)
        return false;
    volatile unsigned char diff = 0;
    for (size_t i = 0; i < a.n; i++)
        diff = (unsigned char)(diff | (unsigned char)(a.p[i] ^ b.p[i]));
    return diff == 0;
}

bool text_starts(struct text a, struct text b)
{
    return a.n >= b.n && (b.n == 0 || memcmp(a.p, b.p, b.n) == 0);
}

struct text text_trim(struct text a)
{
    while (a.n && is_space(a.p[0])) {
        a.p++;
        a.n--;
    }
    while (a.n && is_space(a.p[a.n - 1]))
        a.n--;
    return a;
}

bool text_split(struct text *rest, char sep, struct text *part)
{
    if (!rest->p)
        return false;
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (!at) {
        *part = *rest;
        *rest = (struct text){ NULL, 0 };
        return true;
    }
    size_t n = (size_t)(at - rest->p);
    *part = (struct text){ rest->p, n };
    *rest = (struct text){ at + 1, rest->n - n - 1 };
    return true;
}

bool text_to_int64(struct text a, int64_t *out)
{
    bool minus = a.n && a.p[0] == '-';
    if (a.n && (a.p[0] == '-' || a.p[0] == '+')) {
        a.p++;
        a.n--;
    }
    if (!a.n)
        return false;
    int64_t v = 0; /* counted downwards: the negative range is the larger one */
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] < '0' || a.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, a.p[i] - '0', &v))
            return false;
    }
    if (!minus && v == INT64_MIN)
        return false;
    *out = minus ? v : -v;
    return true;
}

char *text_dup(struct text a)
{
    char *p = malloc(a.n + 1);
    if (p) {
        if (a.n)
            memcpy(p, a.p, a.n);
        p[a.n] = '\0';
    }
    return p;
}

size_t text_utf8_len(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t len;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;   /* overlong */
        high = p[0] == 0xed ? 0x9f : high; /* surrogates */
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        low = p[0] == 0xf0 ? 0x90 : low;   /* overlong */
        high = p[0] == 0xf4 ? 0x8f : high; /* above U+10FFFF */
    } else {
        return 0;
    }
    if (n < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return len;
}
