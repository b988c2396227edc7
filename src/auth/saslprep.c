/* SPDX-License-Identifier: ISC */
/* SASLprep by ranges of RFC 3454's tables. */
#include "auth/saslprep.h"

struct range {
    uint32_t from, to;
};

/* Table C.1.2: mapped to a space. */
static const struct range spaces[] = {
    { 0xa0, 0xa0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200b },
    { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

/* Table B.1: mapped to nothing. */
static const struct range nothing[] = {
    { 0xad, 0xad },     { 0x34f, 0x34f },   { 0x1806, 0x1806 }, { 0x180b, 0x180d },
    { 0x200c, 0x200d }, { 0x2060, 0x2060 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
};

/* Tables C.2.1 to C.9, without what the two above took and without the last two characters of
 * each plane. */
static const struct range prohibited[] = {
    { 0x0, 0x1f },        { 0x7f, 0x9f },       { 0x340, 0x341 },       { 0x6dd, 0x6dd },
    { 0x70f, 0x70f },     { 0x180e, 0x180e },   { 0x200e, 0x200f },     { 0x2028, 0x202e },
    { 0x2061, 0x2063 },   { 0x206a, 0x206f },   { 0x2ff0, 0x2ffb },     { 0xd800, 0xf8ff },
    { 0xfdd0, 0xfdef },   { 0xfff9, 0xfffd },   { 0x1d173, 0x1d17a },   { 0xe0001, 0xe0001 },
    { 0xe0020, 0xe007f }, { 0xf0000, 0xffffd }, { 0x100000, 0x10fffd },
};

static bool within(const struct range *r, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= r[i].from && c <= r[i].to)
            return true;
    }
    return false;
}

#define WITHIN(table, c) within((table), sizeof(table) / sizeof((table)[0]), (c))

/* Length of the UTF-8 sequence at p (n bytes left), its character in *c; 0 when malformed. */
static size_t decode(const unsigned char *p, size_t n, uint32_t *c)
{
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
        return 0;
    *c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *c = *c << 6 | (p[i] & 0x3f);
    }
    return *c >= least[len] && *c <= 0x10ffff ? len : 0;
}

/* Appends the mapped text; false when the text must be used as it is. */
static bool map_all(struct text in, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)in.p;
    for (size_t i = 0, len; i < in.n; i += len) {
        uint32_t c;
        len = decode(p + i, in.n - i, &c);
        if (!len)
            return false;
        if (WITHIN(spaces, c))
            buf_char(out, ' ');
        else if (WITHIN(nothing, c))
            continue;
        else if (WITHIN(prohibited, c) || (c & 0xfffe) == 0xfffe)
            return false;
        else
            buf_append(out, p + i, len);
    }
    return true;
}

void saslprep(struct text in, struct buf *out)
{
    bool ascii = true;
    for (size_t i = 0; i < in.n && ascii; i++)
        ascii = (unsigned char)in.p[i] < 0x80;
    size_t before = out->n - out->off;
    if (!buf_reserve(out, in.n)) /* at once: growing would leave copies behind */
        return;
    if (!ascii && map_all(in, out) && buf_len(out) > before)
        return;
    out->n = out->off + before;
    buf_text_append(out, in);
}
