/* SPDX-License-Identifier: ISC */
/* Traces as exemplars of the histogram of queries' durations. */
#include "metrics/collect.h"

#include "wire/traceparent.h"

#define ID 16  /* bytes of a trace's id */
#define SPAN 8 /* of a span's */

/* The newest of all workers. */
static bool newest(const struct db_ledger *db, int n_workers, int bucket, struct stat_exemplar *out)
{
    struct stat_exemplar one;
    bool some = false;

    for (int w = 0; w < n_workers; w++)
        if (stat_exemplar_get(&db->stats[w].query_traces, bucket, &one) &&
            (!some || one.wall_us > out->wall_us)) {
            *out = one;
            some = true;
        }
    return some;
}

void collect_traced(struct expo *x, const struct db_ledger *db, int n_workers,
                    const uint64_t *counts, uint64_t sum_us)
{
    struct expo_exemplar ex[STAT_BUCKETS + 1] = { 0 };
    char hex[STAT_BUCKETS + 1][2 * ID + 2 * SPAN + 2];
    struct stat_exemplar e;

    for (int i = 0; i <= STAT_BUCKETS; i++) {
        char *span = hex[i] + 2 * ID + 1;
        if (counts[i] == 0 || !newest(db, n_workers, i, &e))
            continue;
        traceparent_hex(e.id, ID, hex[i]);
        traceparent_hex(e.span, SPAN, span);
        ex[i] = (struct expo_exemplar){ .trace_id = text_n(hex[i], 2 * ID),
                                        .span_id = text_n(span, 2 * SPAN),
                                        .value_us = e.us,
                                        .at_us = e.wall_us };
    }
    expo_histogram_ex(x, counts, stat_edges_us, STAT_BUCKETS, sum_us, ex);
}
