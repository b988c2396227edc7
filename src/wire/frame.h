/* SPDX-License-Identifier: ISC */
/*
 * Message frames of protocol 3 (PostgreSQL manual, "Frontend/Backend Protocol", "Message Formats"):
 * one type byte, a 4-byte big-endian length that counts itself, the body. No I/O; every length is
 * checked against what is left, never by adding offsets.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/buf.h"
#include "base/text.h"

enum frame_status {
    FRAME_OK,
    FRAME_MORE, /* fewer than 5 bytes are there */
    FRAME_BAD   /* length under 4 or over the limit */
};

struct frame {
    char type;
    uint32_t len; /* whole message with the type byte: 5 .. */
};

/* Reads the head of the message at p (n bytes there). max = largest len allowed. The body need
 * not be there yet. */
static inline enum frame_status frame_peek(const char *p, size_t n, uint32_t max, struct frame *f)
{
    if (n < 5)
        return FRAME_MORE;
    const unsigned char *u = (const unsigned char *)p;
    uint32_t len = (uint32_t)u[1] << 24 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 8 | u[4];
    if (len < 4 || len >= max)
        return FRAME_BAD;
    f->type = p[0];
    f->len = len + 1;
    return FRAME_OK;
}

/* A checked reader over one message body. After any overrun `bad` is set and all reads give
 * zeros. */
struct rd {
    const char *p, *end;
    bool bad;
};

static inline struct rd rd_init(const char *p, size_t n)
{
    return (struct rd){ p, p + n, false };
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
/* A NUL-terminated string; the slice excludes the NUL (which stands behind it). */
struct text rd_cstr(struct rd *r);
struct text rd_bytes(struct rd *r, size_t n);
/* Nothing wrong and nothing left over? */
static inline bool rd_done(const struct rd *r)
{
    return !r->bad && r->p == r->end;
}

/* Message builder onto a buffer: begin, fields, end (fills the length in). type 0: no type byte
 * (startup). Nothing may be consumed from the buffer in between. A message over 2 GiB sets
 * b->failed: its length would wrap. */
size_t msg_begin(struct buf *b, char type);
void msg_end(struct buf *b, size_t mark);
void msg_u8(struct buf *b, uint8_t v);
void msg_u16(struct buf *b, uint16_t v);
void msg_u32(struct buf *b, uint32_t v);
/* The bytes up to the first NUL among them, and a NUL. */
void msg_cstr(struct buf *b, struct text t);
void msg_bytes(struct buf *b, const void *p, size_t n);

#endif
