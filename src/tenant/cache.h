/* SPDX-License-Identifier: ISC */
/*
 * Verdicts by a key, which is the exact text or a template: hash table with a list by age, bounded
 * in bytes. A verdict that did not
 * look at claim values is found by every identity with the same claim names; one that did is found
 * by the same claims only.
 */
#ifndef TENANT_CACHE_H
#define TENANT_CACHE_H

#include "tenant/verdict.h"

struct cache {
    struct verdict_full **buckets;
    size_t n_buckets;   /* power of two */
    struct list by_age; /* newest first */
    size_t max_bytes, bytes, entries;
    uint64_t evictions, clock; /* clock: counts uses */
    uint64_t asked;            /* hash of the question that cache_find had last */
    uint64_t seed[2];
};

/* false: out of memory. */
bool cache_init(struct cache *c, size_t max_bytes) MUST_CHECK;
/* Drops the cache's references; verdicts still held by callers live on. */
void cache_release(struct cache *c);

/* Does an entry with an equal key hold for arg? */
typedef bool cache_fits(const struct verdict_full *v, const void *arg);

/* The verdict for the question (no reference is added), or NULL. key stands for the question's
 * text; fits may be NULL. */
struct verdict_full *cache_find(struct cache *c, const struct tenant_ask *ask, struct text key,
                                cache_fits *fits, const void *arg);
/* Keeps the verdict (adds a reference) if it is cacheable and not too large; copies the question,
 * which is the one that cache_find had last, into it. At most max_same entries (0: any number) have
 * equal keys: the one that was not used for longest makes room. */
void cache_add(struct cache *c, const struct tenant_ask *ask, struct text key, int max_same,
               struct verdict_full *v);

#endif
