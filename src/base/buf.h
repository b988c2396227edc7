/* SPDX-License-Identifier: ISC */
/*
 * Growable byte buffer with a read offset. Owns its memory.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/text.h"

struct buf {
    char *p;    /* memory, NULL when none is held */
    size_t off; /* first unread byte */
    size_t n;   /* end of the written bytes; unread = n - off */
    size_t cap;
    bool failed; /* an append ran out of memory; sticks until buf_release */
};

static inline void buf_init(struct buf *b)
{
    *b = (struct buf){ 0 };
}

/* Frees the memory. buf_wipe clears it first (secrets). */
void buf_release(struct buf *b);
void buf_wipe(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->n - b->off;
}

static inline char *buf_data(const struct buf *b)
{
    return b->p + b->off;
}

static inline struct text buf_text(const struct buf *b)
{
    return (struct text){ b->p ? b->p + b->off : NULL, b->n - b->off };
}

/* Room for at least `more` bytes at the end; may move the unread bytes. Returns where to write, or
 * NULL when memory is short (then b->failed is set). */
char *buf_reserve(struct buf *b, size_t more);
/* Counts bytes written after buf_reserve. */
static inline void buf_commit(struct buf *b, size_t n)
{
    b->n += n;
}

void buf_append(struct buf *b, const void *p, size_t n);
void buf_text_append(struct buf *b, struct text t);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops n unread bytes; when none is left, both offsets go back to 0 (memory is kept). */
void buf_consume(struct buf *b, size_t n);
/* Forgets the content, keeps the memory. */
static inline void buf_clear(struct buf *b)
{
    b->off = b->n = 0;
}

#endif
