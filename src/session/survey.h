/* SPDX-License-Identifier: ISC */
/*
 * Counts of clients and servers, pool by pool, over all workers: what the console's and the
 * metrics' gauges are made of. Workers give their counters only; nothing walks clients.
 */
#ifndef SESSION_SURVEY_H
#define SESSION_SURVEY_H

#include "session/engine.h"

struct survey_pool {
    struct pool *pool; /* NULL: no worker has a part of it yet */
    int cl_active;     /* clients with a server */
    int cl_idle;       /* logged in, without one */
    int cl_waiting;
    int cancels; /* cancel requests under way to servers */
    int sv[SERVER_STATES];
    usec_t oldest_query, oldest_xact; /* when the longest running ones began, 0 = none runs */
    usec_t oldest; /* when the longest waiting client began to wait (monotonic), 0 = nobody waits */
};

struct survey {
    struct survey_pool *pools; /* index = pool->index */
    int n_pools;
    int clients, logins; /* connections of workers in all, of these not logged in yet */
    size_t free_clients, free_servers, used_servers; /* objects of the slabs */
    size_t used_clients;
    size_t client_bytes, server_bytes; /* size of one */
    size_t scratch_bytes;              /* a worker's input buffer */
    size_t stmts;                      /* texts of prepared statements */
    size_t verdicts, verdict_bytes;    /* in the tenant engines' caches */
    int peer_pools;                    /* peers that were sent cancel requests */
    int dns_names, dns_pending;
    usec_t now; /* monotonic */
};

/* Asks all workers and calls done once on the control thread; the survey is valid during the call.
 * s NULL: out of memory. Control thread only. */
void survey_run(struct hub *h, void (*done)(void *arg, const struct survey *s), void *arg);

#endif
