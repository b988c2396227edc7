/* SPDX-License-Identifier: ISC */
/*
 * A tenant's share of a database, over all its users, pools and workers: how many clients it has
 * and how many servers they use now, each with a limit. Shared by all threads; the counts are
 * exact.
 */
#ifndef POOL_SHARE_H
#define POOL_SHARE_H

#include "pool/ledger.h"

struct share {
    struct text tenant; /* not NUL-terminated */
    struct db_ledger *db;
    struct quota servers, clients;
    _Atomic uint64_t held; /* workers on which clients wait for `servers` to fall */
    _Atomic int waiting;   /* its clients that wait for a server */
    /* private */
    struct text key;
    _Atomic int refs; /* falls to 0 under the registry's mutex only */
};

/* The share with a reference, made when there is none. NULL: out of memory. Any thread. */
struct share *share_get(struct registry *r, struct db_ledger *db, struct text tenant);
/* One more reference, for whoever has one. */
void share_ref(struct share *s);
void share_unref(struct registry *r, struct share *s);
/* Frees those that are left; registry_release calls it. */
void shares_release(struct registry *r);

/* Are as many servers in use as may be? (a look, not a promise) */
static inline bool share_is_full(struct share *s)
{
    int64_t max = atomic_load_explicit(&s->servers.max, memory_order_relaxed);
    return max > 0 && atomic_load(&s->servers.used) >= max;
}

/* Which worker to tell that a server's place became free: the next one behind `self`, itself last.
 * -1: nobody waits. */
int share_next_held(struct share *s, int self);

#endif
