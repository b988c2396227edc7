/* SPDX-License-Identifier: ISC */
/*
 * Counters that need a look at what is counted: kinds of statements, outcomes for tenants, pins. No
 * allocation; the worker's thread only.
 */
#ifndef SESSION_COUNTS_H
#define SESSION_COUNTS_H

#include "session/engine.h"

/* In the order of base/stat.def. */
enum query_kind {
    QUERY_UTILITY,
    QUERY_SELECT,
    QUERY_INSERT,
    QUERY_UPDATE,
    QUERY_DELETE,
    QUERY_MERGE,
    QUERY_COPY,
    QUERY_DDL,
    QUERY_KINDS
};

/* The kind of a text by its first keyword, behind comments and parentheses; of several statements
 * the first one's. WITH is taken for SELECT, what is none of these for UTILITY. At most the first
 * QUERY_LOOK bytes are read. sql from outside. */
#define QUERY_LOOK 2000
enum query_kind query_kind(const char *sql, size_t n);

/* One of `st`'s counters from that one on. */
static inline void count_nth(struct db_stats *st, size_t first, unsigned i, uint64_t by)
{
    stat_add((stat_t *)(void *)((char *)st + first) + i, by);
}
/* A query of that kind is finished. */
static inline void count_kind(struct db_stats *st, unsigned kind)
{
    stat_inc(&st->queries);
    count_nth(st, offsetof(struct db_stats, queries_utility), kind, 1);
}

/* In the order of base/stat.def. */
enum tenant_outcome { TENANT_ALLOWED, TENANT_REWRITTEN, TENANT_DENIED };
/* What became of a statement of a client that is held to its tenant. */
void count_tenant(const struct client *c, enum tenant_outcome o);
/* A login or statement without a tenant; c may be without a shard. */
void count_unbound(const struct client *c);

/* The server's pins were looked at: counts kinds that are new and takes those back that are gone.
 * Returns `held`, to be kept as `counted` for the next call. */
unsigned count_pins(struct db_stats *st, unsigned counted, unsigned held);

/* Statements prepared on the server since the last call, or (n 0) all gone with it. */
void count_prepared(struct server *s, size_t n);

/* Has a query of the client that is still running become slow? Counted once; count_slow says it
 * when it ends. threshold 0: none is, and on replication connections none is either. */
void count_slow_running(struct client *c, usec_t threshold);
void count_slow(struct client *c, usec_t took, usec_t threshold);

#endif
