/* SPDX-License-Identifier: ISC */
/* SASLprep by ranges of RFC 3454's tables; NFKC is utf8proc's. */
#include "auth/saslprep.h"

#include "base/random.h"

#include <stdlib.h>
#include <utf8proc.h>

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

/* clang-format off */
static const struct range unassigned[] = {
#define UNASSIGNED(from, to) { from, to },
#include "auth/saslprep_tables.def"
};
static const struct range right_to_left[] = {
#define RIGHT_TO_LEFT(from, to) { from, to },
#include "auth/saslprep_tables.def"
};
static const struct range left_to_right[] = {
#define LEFT_TO_RIGHT(from, to) { from, to },
#include "auth/saslprep_tables.def"
};
/* clang-format on */

/* The ranges are in order. */
static bool within(const struct range *r, size_t n, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > r[middle].to)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && c >= r[low].from;
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

/* Directions of a text's characters, for the rule of RFC 3454, chapter 6. */
struct directions {
    bool right, left, first_right, last_right, any;
};

static void note_direction(struct directions *d, uint32_t c)
{
    bool right = WITHIN(right_to_left, c);
    d->first_right = d->any ? d->first_right : right;
    d->last_right = right;
    d->right |= right;
    d->left |= WITHIN(left_to_right, c);
    d->any = true;
}

/* Appends the mapped text; false: not UTF-8, nothing is left, or not allowed. As with PostgreSQL,
 * characters are looked at before normalization. */
static bool map_all(struct text in, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)in.p;
    struct directions d = { 0 };
    if (!buf_reserve(out, in.n)) /* at once: growing would leave copies behind */
        return false;
    for (size_t i = 0, len; i < in.n; i += len) {
        uint32_t c;
        len = decode(p + i, in.n - i, &c);
        if (!len)
            return false;
        if (WITHIN(nothing, c))
            continue;
        if (WITHIN(spaces, c)) {
            buf_char(out, ' ');
            c = ' ';
        } else if (WITHIN(prohibited, c) || (c & 0xfffe) == 0xfffe || WITHIN(unassigned, c)) {
            return false;
        } else {
            buf_append(out, p + i, len);
        }
        note_direction(&d, c);
    }
    /* with a letter of the right: none of the left, and right ones at both ends */
    return d.any && (!d.right || (!d.left && d.first_right && d.last_right));
}

#define NFKC (UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE)

/* The mapped text in NFKC, in out; false when there is none. */
static bool normalize(struct text mapped, struct buf *out)
{
    const utf8proc_uint8_t *from = (const utf8proc_uint8_t *)mapped.p;
    utf8proc_ssize_t n = utf8proc_decompose(from, (utf8proc_ssize_t)mapped.n, NULL, 0, NFKC);
    if (n <= 0)
        return false;
    size_t room = (size_t)n;
    utf8proc_int32_t *text = calloc(room, sizeof(*text));
    if (!text || !buf_reserve(out, room * 4)) {
        out->failed = true;
        free(text);
        return true;
    }
    n = utf8proc_decompose(from, (utf8proc_ssize_t)mapped.n, text, n, NFKC);
    if (n > 0)
        n = utf8proc_normalize_utf32(text, n, NFKC);
    bool good = n > 0;
    for (utf8proc_ssize_t i = 0; good && i < n; i++) {
        utf8proc_uint8_t bytes[4];
        buf_append(out, bytes, (size_t)utf8proc_encode_char(text[i], bytes));
    }
    wipe(text, room * sizeof(*text));
    free(text);
    return good;
}

void saslprep(struct text in, struct buf *out)
{
    bool ascii = true;
    for (size_t i = 0; i < in.n && ascii; i++)
        ascii = (unsigned char)in.p[i] < 0x80;
    struct buf mapped;
    buf_init(&mapped);
    bool done = !ascii && map_all(in, &mapped) && normalize(buf_text(&mapped), out);
    if (mapped.failed)
        out->failed = true;
    buf_wipe(&mapped);
    if (!done && !out->failed && buf_reserve(out, in.n))
        buf_text_append(out, in);
}
