/* SPDX-License-Identifier: ISC */
/*
 * Verdicts by exact text: hash table with a list by age, bounded in bytes. A verdict that did not
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
    uint64_t evictions;
    uint64_t seed[2];
};

/* false: out of memory. */
bool cache_init(struct cache *c, size_t max_bytes) MUST_CHECK;
/* Drops the cache's references; verdicts still held by callers live on. */
void cache_release(struct cache *c);

/* The verdict for the question (no reference is added), or NULL. */
struct verdict_full *cache_find(struct cache *c, const struct tenant_ask *ask);
/* Keeps the verdict (adds a reference) if it is cacheable and not too large; copies the question
 * into it. */
void cache_add(struct cache *c, const struct tenant_ask *ask, struct verdict_full *v);

#endif
