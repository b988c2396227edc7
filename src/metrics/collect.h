/* SPDX-License-Identifier: ISC */
/* Everything that one answer of /metrics shows, written in one go. */
#ifndef METRICS_COLLECT_H
#define METRICS_COLLECT_H

#include "metrics/expo.h"
#include "metrics/metrics.h"
#include "session/survey.h"

struct collect {
    struct hub *hub;
    const struct setup *setup;
    const struct survey *survey;
    const struct backend *backends;
    const struct watch *watch;
    int n_backends;
    bool reload_ok;
    usec_t reload_at;
    const struct tls_ctx *tls[2]; /* towards clients and servers; NULL: none */
    usec_t begun;                     /* monotonic */
    uint64_t dropped_before;
};

void collect_write(const struct collect *c, struct expo *x);
/* Parts of it. */
void collect_databases(const struct collect *c, struct expo *x);
void collect_alerts(const struct collect *c, struct expo *x);
void collect_process(const struct collect *c, struct expo *x);
void collect_limits(struct expo *x);
void collect_tls(const struct collect *c, struct expo *x);

/* Begins a family of metrics.def. */
enum metric {
#define METRIC(name, type, help) METRIC_##name,
#define METRIC_PLAIN(name, type, help) METRIC_##name,
#include "metrics/metrics.def"
    METRICS
};
void collect_family(struct expo *x, enum metric m);

#endif
