/* SPDX-License-Identifier: ISC */
/* Counters summed over workers, and averaged over time. */
#include "console/averages.h"

#include <stdlib.h>

void counters_read(const struct db_ledger *db, int n_workers, struct counters *out)
{
    *out = (struct counters){ 0 };
    for (int i = 0; i < n_workers; i++) {
        const struct db_stats *s = &db->stats[i];
        out->v[COUNT_ASSIGNMENTS] += stat_get(&s->assignments);
        out->v[COUNT_XACTS] += stat_get(&s->xacts);
        out->v[COUNT_QUERIES] += stat_get(&s->queries);
        out->v[COUNT_RECEIVED] += stat_get(&s->rx_client);
        out->v[COUNT_SENT] += stat_get(&s->tx_client);
        out->v[COUNT_XACT_US] += stat_get(&s->xact_us);
        out->v[COUNT_QUERY_US] += stat_get(&s->query_us);
        out->v[COUNT_WAIT_US] += stat_get(&s->wait_us);
        out->v[COUNT_CLIENT_PARSES] += stat_get(&s->client_parses);
        out->v[COUNT_SERVER_PARSES] += stat_get(&s->server_parses);
        out->v[COUNT_BINDS] += stat_get(&s->binds);
        out->v[COUNT_LOGINS] += stat_get(&s->client_logins);
    }
}

void counters_average(const struct counters *from, const struct counters *to, usec_t us,
                      struct counters *out)
{
    /* what a time is divided by; others are per second */
    static const enum counter per[COUNTERS] = { [COUNT_XACT_US] = COUNT_XACTS,
                                                [COUNT_QUERY_US] = COUNT_QUERIES,
                                                [COUNT_WAIT_US] = COUNT_ASSIGNMENTS };

    for (int i = 0; i < COUNTERS; i++) {
        uint64_t d = to->v[i] - from->v[i];
        if (i == COUNT_XACT_US || i == COUNT_QUERY_US || i == COUNT_WAIT_US) {
            uint64_t n = to->v[per[i]] - from->v[per[i]];
            out->v[i] = n ? d / n : 0;
        } else {
            out->v[i] = us ? (uint64_t)((double)d * (double)USEC_PER_SEC / (double)us) : 0;
        }
    }
}

static bool grow(struct averages *a, int n)
{
    if (n <= a->cap)
        return true;
    int cap = a->cap ? a->cap : 16;
    while (cap < n)
        cap *= 2;
    struct counters *last = realloc(a->last, sizeof(*last) * (size_t)cap);
    if (last)
        a->last = last;
    struct counters *avg = realloc(a->avg, sizeof(*avg) * (size_t)cap);
    if (avg)
        a->avg = avg;
    if (!last || !avg)
        return false;
    a->cap = cap;
    return true;
}

void averages_turn(struct averages *a, const struct counters *now, int n, usec_t at)
{
    usec_t us = at > a->since ? at - a->since : 0;

    counters_average(&a->own_last, &a->own, us, &a->own_avg);
    a->own_last = a->own;
    a->since = at;
    if (!grow(a, n))
        return;
    for (int i = a->n; i < n; i++)
        a->last[i] = (struct counters){ 0 };
    for (int i = 0; i < n; i++) {
        counters_average(&a->last[i], &now[i], us, &a->avg[i]);
        a->last[i] = now[i];
    }
    a->n = n;
}

void averages_release(struct averages *a)
{
    free(a->last);
    free(a->avg);
    *a = (struct averages){ 0 };
}
