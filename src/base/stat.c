/* SPDX-License-Identifier: ISC */
/* Histograms of durations, and traces of their values. */
#include "base/stat.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const uint64_t stat_edges_us[STAT_BUCKETS] = { 500,     1000,    2500,    5000,    10000,
                                               25000,   50000,   100000,  250000,  500000,
                                               1000000, 2500000, 5000000, 10000000 };

int stat_observe(struct stat_hist *h, uint64_t us)
{
    int i = 0;
    while (i < STAT_BUCKETS && us > stat_edges_us[i])
        i++;
    stat_inc(&h->count[i]);
    stat_add(&h->sum_us, us);
    return i;
}

#define WORDS 5       /* of an exemplar: id, span, value, time */
#define READ_TRIES 20 /* while its owner writes */

/* A sequence number around each, odd while it is being written; 0: nothing was yet. */
struct stat_exemplars {
    struct {
        _Atomic uint32_t sequence;
        stat_t word[WORDS];
    } bucket[STAT_BUCKETS + 1];
};

void stat_exemplar_put(stat_exemplars_t *to, int bucket, const unsigned char id[16],
                       const unsigned char span[8], uint64_t us, uint64_t wall_us)
{
    struct stat_exemplars *e = atomic_load_explicit(to, memory_order_relaxed);
    uint64_t word[WORDS];

    if (!e) {
        e = calloc(1, sizeof(*e));
        if (!e)
            return;
        atomic_store_explicit(to, e, memory_order_release);
    }
    memcpy(word, id, 16);
    memcpy(word + 2, span, 8);
    word[3] = us;
    word[4] = wall_us;
    uint32_t n = atomic_load_explicit(&e->bucket[bucket].sequence, memory_order_relaxed);
    atomic_store_explicit(&e->bucket[bucket].sequence, n + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (int i = 0; i < WORDS; i++)
        atomic_store_explicit(&e->bucket[bucket].word[i], word[i], memory_order_relaxed);
    n = n + 2 ? n + 2 : 2;
    atomic_store_explicit(&e->bucket[bucket].sequence, n, memory_order_release);
}

bool stat_exemplar_get(const stat_exemplars_t *from, int bucket, struct stat_exemplar *out)
{
    const struct stat_exemplars *e = atomic_load_explicit(from, memory_order_acquire);
    uint64_t word[WORDS];

    for (int tries = 0; e && tries < READ_TRIES; tries++) {
        uint32_t n = atomic_load_explicit(&e->bucket[bucket].sequence, memory_order_acquire);
        if (n == 0)
            return false;
        for (int i = 0; i < WORDS; i++)
            word[i] = atomic_load_explicit(&e->bucket[bucket].word[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (n % 2 || n != atomic_load_explicit(&e->bucket[bucket].sequence, memory_order_relaxed))
            continue;
        memcpy(out->id, word, 16);
        memcpy(out->span, word + 2, 8);
        out->us = word[3];
        out->wall_us = word[4];
        return true;
    }
    return false;
}

void stat_exemplars_free(stat_exemplars_t *e)
{
    free(atomic_exchange(e, NULL));
}
