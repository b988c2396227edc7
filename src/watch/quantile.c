/* SPDX-License-Identifier: ISC */
/* Percentiles of histograms. */
#include "watch/quantile.h"

#include <math.h>

double quantile(const uint64_t *count, const uint64_t *edges, int n_edges, double q)
{
    uint64_t total = 0, below = 0;
    int i = 0;

    for (int k = 0; k <= n_edges; k++)
        total += count[k];
    if (total == 0)
        return (double)NAN;
    double rank = q * (double)total;
    while (i < n_edges && (double)(below + count[i]) < rank)
        below += count[i++];
    if (i == n_edges)
        return (double)edges[n_edges - 1];
    double from = i ? (double)edges[i - 1] : 0, to = (double)edges[i];
    if (count[i] == 0) /* q is 0, and the first buckets are empty */
        return to;
    return from + (to - from) * (rank - (double)below) / (double)count[i];
}
