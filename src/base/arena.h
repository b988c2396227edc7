/* SPDX-License-Identifier: ISC */
/*
 * Bump allocator: many small pieces with one lifetime. Under AddressSanitizer each piece is a
 * malloc of its own, so that overruns are seen.
 *
 * Out of memory: returns NULL only from arena_try(); all others abort (set-up and bounded use).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/asan.h"
#include "base/text.h"

#include <stdalign.h>

#define ARENA_ALIGN 16

struct arena_chunk {
    struct arena_chunk *next; /* older */
    size_t cap, used;         /* bytes of data */
    alignas(ARENA_ALIGN) char data[];
};

struct arena {
    struct arena_chunk *head; /* newest chunk */
    size_t chunk_size;        /* bytes of an ordinary chunk */
    size_t used;              /* bytes handed out since init or clear */
};

struct arena_mark {
    struct arena_chunk *chunk;
    size_t chunk_used;
    size_t used;
};

/* chunk_size 0 = 4096. Allocates nothing yet. */
void arena_init(struct arena *a, size_t chunk_size);
/* Frees everything; the arena may be used again. arena_clear keeps one chunk for reuse. */
void arena_release(struct arena *a);
void arena_clear(struct arena *a);

/* n bytes aligned to 16, uninitialised / zeroed. n may be 0. */
static inline void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
void *arena_try(struct arena *a, size_t n);

/* Copies with a terminating NUL; the slice's n excludes the NUL. */
struct text arena_text(struct arena *a, struct text t);
char *arena_strdup(struct arena *a, const char *s);
/* printf into the arena; NUL-terminated. */
struct text arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Everything allocated after the mark is freed by rewind. */
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

void *arena_more(struct arena *a, size_t n); /* arena_alloc when the chunk is full */

static inline void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_chunk *c = a->head;
    if (!BASE_SINGLE_MALLOCS && c) {
        size_t at = (c->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
        if (at <= c->cap && n <= c->cap - at) {
            c->used = at + n;
            a->used += n;
            return c->data + at;
        }
    }
    return arena_more(a, n);
}

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))

/* Room for one more than n in the array v of cap elements (an int), which begins with `first` of
 * them and doubles; it is not initialised. Aborts as arena_alloc. */
#define ARENA_ROOM(a, v, n, cap, first)                                                            \
    do {                                                                                           \
        if ((n) == (cap))                                                                          \
            (v) = arena_grow((a), (v), (size_t)(n), sizeof(*(v)), &(cap), (first));                \
    } while (0)
void *arena_grow(struct arena *a, const void *v, size_t n, size_t size, int *cap, int first);

#endif
