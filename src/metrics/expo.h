/* SPDX-License-Identifier: ISC */
/*
 * Prometheus' text exposition format 0.0.4, and OpenMetrics 1.0.0: families with HELP and TYPE
 * once, samples with escaped labels, a ceiling on the number of series.
 */
#ifndef METRICS_EXPO_H
#define METRICS_EXPO_H

#include "base/buf.h"

enum expo_type { EXPO_GAUGE, EXPO_COUNTER, EXPO_HISTOGRAM };
enum expo_format { EXPO_TEXT, EXPO_OPENMETRICS };

struct expo {
    struct buf out;
    enum expo_format format; /* EXPO_TEXT unless set after expo_init */
    int64_t max_series;      /* 0 = no limit */
    int64_t series, dropped; /* sample lines written and left out */
    struct buf labels;       /* of the next sample */
    char name[128];          /* of the family */
    size_t n_name;
    const char *help;
    enum expo_type type;
    bool headed; /* HELP and TYPE have been written */
};

/* One observation that stands for those of its bucket. */
struct expo_exemplar {
    struct text trace_id, span_id; /* hexadecimal; no trace_id: no exemplar; no span_id: left out */
    uint64_t value_us;             /* what was observed */
    uint64_t at_us;                /* when, since 1970; 0 = not said */
};

void expo_init(struct expo *x, int64_t max_series);
void expo_release(struct expo *x);
/* Behind the last sample. */
void expo_end(struct expo *x);
/* The Content-Type of what was written. */
const char *expo_type(const struct expo *x);
/* Begins a family; its head is written before its first sample. name: full, as its samples are
 * called in the text format (counters end in _total). help: must live until the next family. */
void expo_family(struct expo *x, const char *name, enum expo_type type, const char *help);
/* Adds a label to the next sample. Bytes that are not UTF-8 are shown as \xHH. */
void expo_label(struct expo *x, const char *name, struct text value);
/* Adds labels as written, `a="b",c="d"`; "" = none. */
void expo_labels(struct expo *x, const char *written);
/* The labels of the next sample as they are now, to be given to expo_labels_text for others. They
 * are taken away. Valid until the next change of labels. */
struct text expo_labels_take(struct expo *x);
void expo_labels_text(struct expo *x, struct text written);
/* One sample of the family; takes the labels. */
void expo_uint(struct expo *x, uint64_t v);
void expo_int(struct expo *x, int64_t v);
void expo_usec(struct expo *x, uint64_t us); /* microseconds, shown in seconds */
/* counts[0..n]: per bucket, not cumulative, the last one beyond the last of n edges. */
void expo_histogram(struct expo *x, const uint64_t *counts, const uint64_t *edges_us, int n,
                    uint64_t sum_us);
/* The same; ex: NULL, or n + 1 exemplars, one per bucket. OpenMetrics only: the text format has
 * none. One that does not belong into its bucket, or is too long for the format, is left out. */
void expo_histogram_ex(struct expo *x, const uint64_t *counts, const uint64_t *edges_us, int n,
                       uint64_t sum_us, const struct expo_exemplar *ex);

#endif
