/* SPDX-License-Identifier: ISC */
/* Bump allocator: a chain of chunks, newest first; see arena.h. */
#include "base/arena.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_CHUNK 4096

void arena_init(struct arena *a, size_t chunk_size)
{
    *a = (struct arena){ .chunk_size = chunk_size ? chunk_size : ARENA_CHUNK };
}

void arena_release(struct arena *a)
{
    while (a->head) {
        struct arena_chunk *c = a->head;
        a->head = c->next;
        free(c);
    }
    a->used = 0;
}

void arena_clear(struct arena *a)
{
    struct arena_chunk *keep = NULL;
    while (a->head) {
        struct arena_chunk *c = a->head;
        a->head = c->next;
        if (!BASE_SINGLE_MALLOCS && !keep && c->cap == a->chunk_size)
            keep = c;
        else
            free(c);
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->head = keep;
    a->used = 0;
}

static struct arena_chunk *add_chunk(struct arena *a, size_t cap)
{
    struct arena_chunk *c = malloc(sizeof(*c) + cap);
    if (!c)
        return NULL;
    c->next = a->head;
    c->cap = cap;
    c->used = 0;
    a->head = c;
    return c;
}

void *arena_try(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    struct arena_chunk *c = a->head;
    size_t at = 0;
    if (BASE_SINGLE_MALLOCS) {
        c = add_chunk(a, n);
    } else {
        if (c)
            at = (c->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
        if (!c || at > c->cap || c->cap - at < n) {
            c = add_chunk(a, n > a->chunk_size ? n : a->chunk_size);
            at = 0;
        }
    }
    if (!c)
        return NULL;
    c->used = at + n;
    a->used += n;
    return c->data + at;
}

void *arena_more(struct arena *a, size_t n)
{
    void *p = arena_try(a, n);
    if (!p)
        check_no_memory(n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

struct text arena_text(struct arena *a, struct text t)
{
    char *p = arena_alloc(a, t.n + 1);
    if (t.n)
        memcpy(p, t.p, t.n);
    p[t.n] = '\0';
    return (struct text){ p, t.n };
}

char *arena_strdup(struct arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(arena_alloc(a, n), s, n);
}

struct text arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    int again = vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    CHECK(again == n);
    return (struct text){ p, (size_t)n };
}

void *arena_grow(struct arena *a, const void *v, size_t n, size_t size, int *cap, int first)
{
    *cap = *cap ? *cap * 2 : first;
    void *more = arena_alloc(a, size * (size_t)*cap);
    if (n)
        memcpy(more, v, size * n);
    return more;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->head, a->head ? a->head->used : 0, a->used };
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
    if (!m.chunk) {
        arena_clear(a);
        return;
    }
    while (a->head != m.chunk) {
        struct arena_chunk *c = a->head;
        CHECK(c); /* the mark is of this arena and not yet rewound past */
        a->head = c->next;
        free(c);
    }
    a->head->used = m.chunk_used;
    a->used = m.used;
}
