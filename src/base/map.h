/* SPDX-License-Identifier: ISC */
/*
 * Hash map from byte strings to pointers; open addressing, hash seeded per map from the system's
 * random source (keys come from peers). The map does not own keys or values: key bytes must live as
 * long as the entry. One thread at a time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/text.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t cap, used, dead;
    uint64_t seed[2];
};

void map_init(struct map *m);
void map_release(struct map *m);

/* Value of the key, NULL when absent. */
void *map_get(const struct map *m, struct text key);
/* Sets the key's value (not NULL); returns the value it replaces, or NULL. The key pointer of the
 * new entry replaces the old one. Aborts when memory is short. */
void *map_put(struct map *m, struct text key, void *value);
/* Removes the key; returns its value or NULL. */
void *map_del(struct map *m, struct text key);

static inline size_t map_count(const struct map *m)
{
    return m->used;
}

/* Iteration in no order: start with *pos = 0; false at the end. The map must not be changed except
 * by map_del of the current key. */
bool map_next(const struct map *m, size_t *pos, struct text *key, void **value);

/* SipHash-1-3-like keyed hash, 64 bits. */
uint64_t map_hash(const uint64_t seed[2], const void *p, size_t n);

#endif
