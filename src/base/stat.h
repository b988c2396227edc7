/* SPDX-License-Identifier: ISC */
/*
 * Counters: one block per worker (and per worker and database), written by its owner with relaxed
 * stores, read by anybody. stat.def lists them once; SHOW, Prometheus and the manual are made from
 * it.
 */
#ifndef BASE_STAT_H
#define BASE_STAT_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t stat_t;

/* Owner only: no read-modify-write needed. */
static inline void stat_add(stat_t *s, uint64_t n)
{
    atomic_store_explicit(s, atomic_load_explicit(s, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void stat_inc(stat_t *s)
{
    stat_add(s, 1);
}

static inline uint64_t stat_get(const stat_t *s)
{
    return atomic_load_explicit(s, memory_order_relaxed);
}

/* Upper edges of the duration histograms in microseconds; the last bucket is +Inf. */
#define STAT_BUCKETS 14
extern const uint64_t
    stat_edges_us[STAT_BUCKETS]; /* .0005 .001 .0025 .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10 s */

struct stat_hist {
    stat_t count[STAT_BUCKETS + 1]; /* not cumulative */
    stat_t sum_us;
};

/* Owner only. Gives the bucket. */
int stat_observe(struct stat_hist *h, uint64_t us);

/* The trace of the last value of each bucket that had one: written by the owner, read by anybody.
 */
struct stat_exemplar {
    unsigned char id[16], span[8];
    uint64_t us, wall_us; /* the value; when */
};
struct stat_exemplars;
typedef _Atomic(struct stat_exemplars *) stat_exemplars_t;
/* Owner only; the first one takes memory, without which nothing is kept. */
void stat_exemplar_put(stat_exemplars_t *to, int bucket, const unsigned char id[16],
                       const unsigned char span[8], uint64_t us, uint64_t wall_us);
/* false: there is none. */
_Bool stat_exemplar_get(const stat_exemplars_t *from, int bucket, struct stat_exemplar *out);
/* Nobody reads or writes any more. */
void stat_exemplars_free(stat_exemplars_t *e);

#endif
