/* SPDX-License-Identifier: ISC */
/* Totals of the counters that SHOW STATS prints, and their averages over the last whole
 * stats_period. */
#ifndef CONSOLE_AVERAGES_H
#define CONSOLE_AVERAGES_H

#include "pool/ledger.h"

enum counter {
    COUNT_ASSIGNMENTS,
    COUNT_XACTS,
    COUNT_QUERIES,
    COUNT_RECEIVED,
    COUNT_SENT,
    COUNT_XACT_US,
    COUNT_QUERY_US,
    COUNT_WAIT_US,
    COUNT_CLIENT_PARSES,
    COUNT_SERVER_PARSES,
    COUNT_BINDS,
    COUNT_LOGINS,
    COUNTERS
};

struct counters {
    uint64_t v[COUNTERS];
};

struct averages {
    usec_t since; /* when the present period began, monotonic */
    int n, cap;   /* databases, in the registry's order */
    struct counters *last, *avg;
    struct counters own, own_last, own_avg; /* of the console */
};

/* Sum over the workers. */
void counters_read(const struct db_ledger *db, int n_workers, struct counters *out);
/* Rates per second, and mean times per query, transaction or assignment, of what came in `us`. */
void counters_average(const struct counters *from, const struct counters *to, usec_t us,
                      struct counters *out);
/* At the end of a period: takes the averages of the n databases. now holds their totals. */
void averages_turn(struct averages *a, const struct counters *now, int n, usec_t at);
void averages_release(struct averages *a);

#endif
