/* SPDX-License-Identifier: ISC */
/*
 * /api/status: one JSON object that says how the program is; doc/status-page.md describes it. Made
 * of the same figures as /metrics, and bounded: of pools and databases the worst come first and the
 * others are only counted.
 */
#ifndef METRICS_STATUS_H
#define METRICS_STATUS_H

#include "base/json.h"
#include "metrics/collect.h"
#include "session/busy.h"

#define STATUS_SCHEMA 1  /* grows when a member goes away or changes its meaning */
#define STATUS_POOLS 200 /* that are shown */
#define STATUS_DATABASES 100
#define STATUS_BACKENDS 100

struct status {
    const struct collect *c;
    const struct busy *busy;       /* NULL: not asked */
    bool tenant_names;             /* may tenants be named? */
    const struct history *history; /* NULL: none */
    const struct alerts *alerts;   /* NULL: none */
    struct text curve;             /* the database whose curves are wanted; empty: all together */
};

/* Appends the object and a line's end. out->failed: out of memory. Control thread only. */
void status_write(const struct status *s, struct buf *out);
/* Parts of it: members of the object. */
void status_databases(const struct status *s, struct buf *out);
void status_pools(const struct status *s, struct buf *out);
void status_backends(const struct status *s, struct buf *out);
/* What the probe told of the size of the database behind this entry. */
void status_database_size(const struct status *s, struct text name, struct buf *out);
void status_curves(const struct status *s, struct buf *out);
void status_alerts(const struct status *s, struct buf *out);
/* of: NULL = not followed. */
void status_latency(const struct status *s, const struct history_series *of, struct buf *out);

/* ---- writing JSON: members; elements of an array when name is NULL ---- */
void status_int(struct buf *b, const char *name, int64_t v);
void status_bool(struct buf *b, const char *name, bool v);
void status_text(struct buf *b, const char *name, struct text v);
void status_null(struct buf *b, const char *name);
/* Microseconds, as seconds. */
void status_usec(struct buf *b, const char *name, uint64_t us);
/* A share of a whole with three digits; null when the whole is 0. */
void status_share(struct buf *b, const char *name, int64_t part, int64_t whole);

#endif
