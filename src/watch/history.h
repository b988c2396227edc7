/* SPDX-License-Identifier: ISC */
/*
 * What happened during the last hour, per database and for all together, in bounded memory:
 * counters as they were every 10 seconds of the last minute and every 30 seconds of the last
 * quarter of an hour (percentiles of the last 1, 5 and 15 minutes), and a point for each of the
 * last 60 minutes (curves). A database is followed from its first query on; at most
 * HISTORY_DATABASES of them, and one that had nothing to do for an hour makes room for another.
 * Control thread only.
 */
#ifndef WATCH_HISTORY_H
#define WATCH_HISTORY_H

#include "session/survey.h"

#define HISTORY_DATABASES 1000
#define HISTORY_POINTS 60

struct history;
struct history_series; /* one database's, or that of all together */

/* mono: now. NULL: out of memory. */
struct history *history_new(usec_t mono);
void history_free(struct history *h); /* NULL is fine */
/* A look, every few seconds. s: as just taken; its gauges go into the curves. */
void history_look(struct history *h, struct hub *hub, const struct survey *s, usec_t mono,
                  usec_t wall);

/* ---- which ---- */
/* Sum over all databases, those that are left out included; never NULL. */
const struct history_series *history_all(const struct history *h);
/* A database's; NULL: not followed. */
const struct history_series *history_find(const struct history *h, struct text database);
/* One after the other: start with *pos = 0; NULL at the end. */
const struct history_series *history_next(const struct history *h, int *pos);
struct text history_name(const struct history_series *s); /* empty: all together */
/* How many are followed, how many had queries at the last look but no place, and the memory in
 * bytes. */
int history_count(const struct history *h);
int history_left_out(const struct history *h);
size_t history_bytes(const struct history *h);

/* ---- percentiles ---- */
struct history_latency {
    uint64_t count;
    double p50, p95, p99; /* seconds; NAN when count is 0 */
};
struct history_window {
    double seconds; /* how long it really is: shorter at first, up to 30 s longer later */
    struct history_latency query, xact, wait; /* wait: of clients for a server */
    uint64_t queries, slow_queries, errors, refusals;
    uint64_t denials; /* of the refusals: of statements that a tenant was bound to */
    uint64_t unbound; /* logins and statements that no tenant was bound to */
};
/* The last `seconds` (at most 900) up to mono, which is now, as the counters stand now; hub NULL:
 * as they stood at the last look. */
void history_window(const struct history *h, struct hub *hub, const struct history_series *s,
                    usec_t mono, int seconds, struct history_window *out);

/* ---- curves ---- */
struct history_point {
    usec_t at_wall;            /* end of the minute */
    double seconds;            /* its length */
    double p50, p95, p99;      /* of queries, seconds; NAN: none */
    double wait_p95;           /* of waits for a server; NAN: none */
    double queries_per_second; /* mean */
    uint32_t waiting, active;  /* most clients that waited, most servers in use at a look */
    uint32_t errors, refusals; /* in that minute: of servers; of tenants' statements */
};
/* The last up to HISTORY_POINTS minutes, oldest first; returns how many. */
int history_points(const struct history_series *s, struct history_point out[HISTORY_POINTS]);

#endif
