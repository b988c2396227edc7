/* SPDX-License-Identifier: ISC */
/* Growable byte buffer; see buf.h. */
#include "base/buf.h"

#include "base/check.h"
#include "base/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 256

void buf_release(struct buf *b)
{
    free(b->p);
    buf_init(b);
}

void buf_wipe(struct buf *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    buf_release(b);
}

char *buf_reserve(struct buf *b, size_t more)
{
    size_t have = b->n - b->off;
    if (b->p && b->cap - b->n >= more)
        return b->p + b->n;
    /* Moving is worth it when it makes the room, and not for a few bytes at a time. */
    if (b->p && b->cap - have >= more && b->off >= have) {
        memmove(b->p, b->p + b->off, have);
        b->off = 0;
        b->n = have;
        return b->p + b->n;
    }
    if (more > SIZE_MAX / 4 || have > SIZE_MAX / 4) {
        b->failed = true;
        return NULL;
    }
    size_t cap = b->cap ? b->cap : BUF_FIRST;
    while (cap < have + more)
        cap *= 2;
    char *p = malloc(cap);
    if (!p) {
        b->failed = true;
        return NULL;
    }
    if (have)
        memcpy(p, b->p + b->off, have);
    free(b->p);
    b->p = p;
    b->cap = cap;
    b->off = 0;
    b->n = have;
    return p + have;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || b->failed)
        return;
    char *to = b->cap - b->n >= n ? b->p + b->n : buf_reserve(b, n);
    if (!to)
        return;
    memcpy(to, p, n);
    b->n += n;
}

void buf_text_append(struct buf *b, struct text t)
{
    buf_append(b, t.p, t.n);
}

void buf_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    if (b->failed)
        return;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *to = buf_reserve(b, (size_t)n + 1);
    if (!to)
        return;
    va_start(ap, fmt);
    int again = vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    CHECK(again == n);
    b->n += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= b->n - b->off);
    b->off += n;
    if (b->off == b->n)
        b->off = b->n = 0;
}
