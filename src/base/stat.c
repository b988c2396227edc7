/* SPDX-License-Identifier: ISC */
/* Histograms of durations. */
#include "base/stat.h"

const uint64_t stat_edges_us[STAT_BUCKETS] = { 500,     1000,    2500,    5000,    10000,
                                               25000,   50000,   100000,  250000,  500000,
                                               1000000, 2500000, 5000000, 10000000 };

void stat_observe(struct stat_hist *h, uint64_t us)
{
    int i = 0;
    while (i < STAT_BUCKETS && us > stat_edges_us[i])
        i++;
    stat_inc(&h->count[i]);
    stat_add(&h->sum_us, us);
}
