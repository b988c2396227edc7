/* SPDX-License-Identifier: ISC */
/* The checked reader over one message body, and the message builder. */
#include "wire/frame.h"

#include "base/check.h"

/* The next n bytes, or NULL after which nothing can be read any more. */
static const unsigned char *take(struct rd *r, size_t n)
{
    if (r->bad || n > rd_left(r)) {
        r->bad = true;
        r->p = r->end;
        return NULL;
    }
    const char *p = r->p;
    if (n)
        r->p += n;
    return (const unsigned char *)p;
}

uint8_t rd_u8(struct rd *r)
{
    const unsigned char *p = take(r, 1);
    return p ? p[0] : 0;
}

uint16_t rd_u16(struct rd *r)
{
    const unsigned char *p = take(r, 2);
    return p ? (uint16_t)((unsigned)p[0] << 8 | p[1]) : 0;
}

uint32_t rd_u32(struct rd *r)
{
    const unsigned char *p = take(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

struct text rd_cstr(struct rd *r)
{
    size_t left = rd_left(r);
    const char *nul = r->bad || !left ? NULL : memchr(r->p, 0, left);
    if (!nul) {
        r->bad = true;
        r->p = r->end;
        return text_n("", 0);
    }
    struct text t = text_n(r->p, (size_t)(nul - r->p));
    r->p = nul + 1;
    return t;
}

struct text rd_bytes(struct rd *r, size_t n)
{
    const char *p = (const char *)take(r, n);
    return p ? text_n(p, n) : text_n("", 0);
}

size_t msg_begin(struct buf *b, char type)
{
    if (type)
        buf_char(b, type);
    size_t mark = buf_len(b);
    msg_u32(b, 0);
    return mark;
}

void msg_end(struct buf *b, size_t mark)
{
    if (b->failed)
        return;
    CHECK(buf_len(b) >= mark && buf_len(b) - mark >= 4);
    size_t len = buf_len(b) - mark;
    if (len > INT32_MAX) {
        b->failed = true; /* a longer message would be read as several */
        return;
    }
    unsigned char *p = (unsigned char *)buf_data(b) + mark;
    p[0] = (unsigned char)(len >> 24);
    p[1] = (unsigned char)(len >> 16);
    p[2] = (unsigned char)(len >> 8);
    p[3] = (unsigned char)len;
}

void msg_u8(struct buf *b, uint8_t v)
{
    buf_append(b, &v, 1);
}

void msg_u16(struct buf *b, uint16_t v)
{
    unsigned char p[2] = { (unsigned char)(v >> 8), (unsigned char)v };
    buf_append(b, p, sizeof(p));
}

void msg_u32(struct buf *b, uint32_t v)
{
    unsigned char p[4] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16),
                           (unsigned char)(v >> 8), (unsigned char)v };
    buf_append(b, p, sizeof(p));
}

void msg_cstr(struct buf *b, struct text t)
{
    const char *nul = t.n ? memchr(t.p, 0, t.n) : NULL;
    buf_append(b, t.p, nul ? (size_t)(nul - t.p) : t.n);
    msg_u8(b, 0);
}

void msg_bytes(struct buf *b, const void *p, size_t n)
{
    buf_append(b, p, n);
}
