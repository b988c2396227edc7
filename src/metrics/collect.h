/* SPDX-License-Identifier: ISC */
/* Everything that one answer of /metrics shows, written in one go. */
#ifndef METRICS_COLLECT_H
#define METRICS_COLLECT_H

#include "metrics/expo.h"
#include "metrics/metrics.h"
#include "session/survey.h"

struct tops;

struct collect {
    struct hub *hub;
    const struct setup *setup;
    const struct survey *survey;
    const struct watch *watch; /* NULL: none */
    const struct backends *backends;
    const char *config_hash;
    bool reload_ok;
    usec_t reload_at;
    const struct tls_ctx *tls[TLS_USES]; /* NULL: none */
    usec_t begun;                        /* monotonic */
    const struct tops *tops;             /* NULL: off */
    uint64_t dropped_before;
    uint64_t login_failures; /* at the metrics service */
    int login_addresses;     /* that wait because of them */
};

void collect_write(const struct collect *c, struct expo *x);
/* Parts of it. */
void collect_databases(const struct collect *c, struct expo *x);
void collect_alerts(const struct collect *c, struct expo *x);
void collect_backends(const struct collect *c, struct expo *x);
/* The histogram of queries' durations with the newest trace of each bucket; the labels are set. */
void collect_traced(struct expo *x, const struct db_ledger *db, int n_workers,
                    const uint64_t *counts, uint64_t sum_us);
void collect_process(const struct collect *c, struct expo *x);
void collect_limits(struct expo *x);
void collect_tls(const struct collect *c, struct expo *x);

/* Figures of our own process; memory in bytes. */
struct process_figures {
    uint64_t cpu_us, virt, resident; /* the last two if memory_known */
    int64_t open_fds;                /* -1 = not known */
    int64_t max_fds;                 /* 0 = no limit */
    bool memory_known;
};
void process_read(struct process_figures *p);

/* Begins a family of metrics.def. */
enum metric {
#define METRIC(name, type, help) METRIC_##name,
#define METRIC_PLAIN(name, type, help) METRIC_##name,
#include "metrics/metrics.def"
    METRICS
};
void collect_family(struct expo *x, enum metric m);

#endif
