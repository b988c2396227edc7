/* SPDX-License-Identifier: ISC */
/*
 * Prometheus' text exposition format 0.0.4: families with HELP and TYPE once, samples with escaped
 * labels, a ceiling on the number of series.
 */
#ifndef METRICS_EXPO_H
#define METRICS_EXPO_H

#include "base/buf.h"

enum expo_type { EXPO_GAUGE, EXPO_COUNTER, EXPO_HISTOGRAM };

struct expo {
    struct buf out;
    int64_t max_series;      /* 0 = no limit */
    int64_t series, dropped; /* sample lines written and left out */
    struct buf labels;       /* of the next sample */
    char name[128];          /* of the family */
    const char *help;
    enum expo_type type;
    bool headed; /* HELP and TYPE have been written */
};

void expo_init(struct expo *x, int64_t max_series);
void expo_release(struct expo *x);
/* Begins a family; its head is written before its first sample. name: full. help: one line, must
 * live until the next family. */
void expo_family(struct expo *x, const char *name, enum expo_type type, const char *help);
/* Adds a label to the next sample. Bytes that are not UTF-8 are shown as \xHH. */
void expo_label(struct expo *x, const char *name, struct text value);
/* Adds labels as written, `a="b",c="d"`; "" = none. */
void expo_labels(struct expo *x, const char *written);
/* One sample of the family; takes the labels. */
void expo_uint(struct expo *x, uint64_t v);
void expo_int(struct expo *x, int64_t v);
void expo_usec(struct expo *x, uint64_t us); /* microseconds, shown in seconds */
/* counts[0..n]: per bucket, not cumulative, the last one beyond the last of n edges. */
void expo_histogram(struct expo *x, const uint64_t *counts, const uint64_t *edges_us, int n,
                    uint64_t sum_us);

#endif
