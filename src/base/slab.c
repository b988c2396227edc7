/* SPDX-License-Identifier: ISC */
/* Objects of one size, cut from blocks and recycled; see slab.h. */
#include "base/slab.h"

#include "base/asan.h"
#include "base/check.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_ALIGN 16
#define SLAB_BLOCK_BYTES 16384 /* aimed at */
#define SLAB_BLOCK_MIN 8       /* objects, whatever their size */

struct slab_block {
    struct slab_block *next, *prev;
    alignas(SLAB_ALIGN) char data[];
};

void slab_init(struct slab *s, const char *name, size_t size)
{
    if (size < sizeof(void *))
        size = sizeof(void *);
    *s = (struct slab){ .name = name, .size = size };
}

static struct slab_block *add_block(struct slab *s, size_t bytes)
{
    struct slab_block *b = malloc(sizeof(*b) + bytes);
    if (!b)
        return NULL;
    b->next = s->blocks;
    b->prev = NULL;
    if (b->next)
        b->next->prev = b;
    s->blocks = b;
    return b;
}

/* The free objects are chained through their first bytes. */
static void push_free(struct slab *s, void *obj)
{
    memcpy(obj, &s->free, sizeof(s->free));
    s->free = obj;
    s->free_count++;
}

static int grow(struct slab *s)
{
    size_t step = (s->size + SLAB_ALIGN - 1) & ~(size_t)(SLAB_ALIGN - 1);
    size_t count = SLAB_BLOCK_BYTES / step;
    if (count < SLAB_BLOCK_MIN)
        count = SLAB_BLOCK_MIN;
    struct slab_block *b = add_block(s, step * count);
    if (!b)
        return 0;
    while (count-- > 0)
        push_free(s, b->data + count * step);
    return 1;
}

static void *get_single(struct slab *s)
{
    struct slab_block *b = add_block(s, s->size);
    return b ? b->data : NULL;
}

static void put_single(struct slab *s, void *obj)
{
    struct slab_block *b = (void *)((char *)obj - offsetof(struct slab_block, data));
    if (b->next)
        b->next->prev = b->prev;
    if (b->prev)
        b->prev->next = b->next;
    else
        s->blocks = b->next;
    free(b);
}

void *slab_get(struct slab *s)
{
    void *obj;
    if (BASE_SINGLE_MALLOCS) {
        obj = get_single(s);
        if (!obj)
            return NULL;
    } else {
        if (!s->free && !grow(s))
            return NULL;
        obj = s->free;
        memcpy(&s->free, obj, sizeof(s->free));
        s->free_count--;
    }
    s->used++;
    return memset(obj, 0, s->size);
}

void slab_put(struct slab *s, void *obj)
{
    CHECK(s->used > 0);
    s->used--;
    if (BASE_SINGLE_MALLOCS)
        put_single(s, obj);
    else
        push_free(s, obj);
}

void slab_release(struct slab *s)
{
    while (s->blocks) {
        struct slab_block *b = s->blocks;
        s->blocks = b->next;
        free(b);
    }
    s->free = NULL;
    s->used = s->free_count = 0;
}
