/* SPDX-License-Identifier: ISC */
/* Percentiles of histograms, as Prometheus' histogram_quantile takes them. */
#ifndef WATCH_QUANTILE_H
#define WATCH_QUANTILE_H

#include <stdint.h>

/* count: n_edges + 1 buckets, not cumulative, the last one for what is above the last edge.
 * 0 <= q <= 1. The result has the unit of the edges: a straight line within a bucket, the last
 * edge for what is above it. NAN when all buckets are empty. */
double quantile(const uint64_t *count, const uint64_t *edges, int n_edges, double q);

#endif
