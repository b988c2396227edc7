/* SPDX-License-Identifier: ISC */
/*
 * Fixed-size objects of one type, recycled. One thread only. Under AddressSanitizer each object is
 * a malloc of its own.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

struct slab_block;

struct slab {
    const char *name;          /* for SHOW MEM */
    size_t size;               /* bytes of an object */
    struct slab_block *blocks; /* all memory */
    void *free;                /* singly linked free objects */
    size_t used, free_count;   /* objects */
};

void slab_init(struct slab *s, const char *name, size_t size);
/* A zeroed object, or NULL when memory is short. */
void *slab_get(struct slab *s) __attribute__((warn_unused_result));
void slab_put(struct slab *s, void *obj);
/* Frees all memory; objects still out become invalid. */
void slab_release(struct slab *s);

#endif
