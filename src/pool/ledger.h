/* SPDX-License-Identifier: ISC */
/*
 * What all workers share about databases, users and pools: exact limits as atomics, wake-up bits,
 * pause flags. Looked up under a mutex when a client logs in or a command names a database; never
 * on the way of a query. Entries live until the registry is freed.
 */
#ifndef POOL_LEDGER_H
#define POOL_LEDGER_H

#include "base/clock.h"
#include "base/map.h"
#include "base/stat.h"
#include "base/text.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAX_WORKERS 64

/* A counted limit; max 0 = unlimited. */
struct quota {
    _Atomic int64_t used, max;
};
/* Takes one if used < max, exactly; false when full. */
bool quota_take(struct quota *q);
/* Takes one however many are taken; for whom the limit does not hold. */
void quota_exceed(struct quota *q);
void quota_put(struct quota *q);
static inline int64_t quota_used(const struct quota *q)
{
    return atomic_load_explicit(&q->used, memory_order_relaxed);
}

/* Counters of one worker for one database; the worker writes, anybody reads. */
struct db_stats {
#define STAT(member, ...) stat_t member;
#include "base/stat.def"
    struct stat_hist wait, query, xact;
    stat_t denials[64];           /* by enum refusal */
    stat_exemplars_t query_traces; /* of `query` */
};

/* Pools that a limit of their database or user keeps from opening servers. */
struct hunger {
    _Atomic uint64_t workers[2]; /* that have such: pools without any server, others */
    _Atomic usec_t since; /* the longest waiting client's of a pool without any; 0: see starved.h */
};

struct db_ledger {
    struct text name;
    struct quota servers, clients;
    _Atomic bool paused, disabled;
    _Atomic int shards;    /* workers' parts of its pools */
    _Atomic int tenants;         /* that have clients */
    _Atomic int tenants_waiting; /* of these, with clients that wait for a server */
    _Atomic bool inactive; /* made from "*" and not used for long; see db_ledger_forgotten */
    struct hunger hunger;
    _Atomic(void *) policy; /* struct policy of the tenant layer as last published; owned by main */
    _Atomic uint64_t search_path_serial; /* grows when the policy's search path changes */
    struct db_stats *stats;              /* of each worker */
};

/* Errors of servers, of all classes. */
uint64_t db_stats_errors(const struct db_stats *s);
/* Was it made from "*", and has autodb_idle_timeout taken it back? */
static inline bool db_ledger_forgotten(const struct db_ledger *d)
{
    return atomic_load_explicit(&d->inactive, memory_order_relaxed) && atomic_load(&d->shards) == 0;
}

struct user_ledger {
    struct text name;
    struct quota servers, clients;
    struct hunger hunger;
};

/* The parameters a server reports at login, from which later clients are welcomed. Refcounted,
 * immutable. */
struct welcome;

struct pool {
    struct text db_name, user_name; /* user: whose login the servers use */
    bool guarded;                   /* servers of tenants' clients: never shared with others */
    int index;                      /* position in the registry */
    struct db_ledger *db;
    struct user_ledger *user;
    _Atomic int64_t servers;                 /* open or opening, all workers */
    _Atomic int64_t size, reserve, min_size; /* limits; size 0 = unlimited */
    _Atomic int64_t pinned;                  /* servers that stay with their clients */
    _Atomic int listener;                    /* worker that its listener belongs to + 1; 0: none */
    _Atomic int pool_mode;                   /* for SHOW */
    _Atomic uint64_t waiting;                /* bit w: worker w has waiting clients */
    _Atomic int shards;                      /* workers that have a part of it */
    pthread_mutex_t mutex;                   /* guards welcome and proven; login path only */
    struct welcome *welcome;
    struct proven *proven; /* session's: what clients proved; NULL: nothing */
    struct pool_worker {
        _Atomic int idle;      /* servers that could be handed over */
        _Atomic usec_t oldest; /* since when it is the turn of its first waiting client; 0 = none */
    } worker[];                /* of each worker */
};

/* Takes a server slot: the pool's size (or size + reserve when reserve_ok), then the database's,
 * then the user's; all or none. Says what was full. *reserved: beyond size. */
enum slot { SLOT_OK, SLOT_POOL_FULL, SLOT_DB_FULL, SLOT_USER_FULL };
enum slot pool_slot_take(struct pool *p, bool reserve_ok, bool *reserved);
void pool_slot_put(struct pool *p);
/* The same for the pool's listener, which only the limits of database and user concern. */
bool pool_listener_take(struct pool *p);
void pool_listener_put(struct pool *p);

/* Which worker's client waits longest, -1 = none. */
int pool_oldest_waiter(const struct pool *p);
/* A worker (not `self`) with an idle server, -1 = none. */
int pool_idle_elsewhere(const struct pool *p, int self, int n_workers);

struct registry {
    pthread_mutex_t mutex;
    struct map dbs, users, pools; /* pools by "db\0user\0guarded" */
    struct map shares;            /* share.h */
    struct pool **list;           /* by index; grows under the mutex */
    int n, cap;
    struct db_ledger **db_list;
    int n_dbs, cap_dbs;
    struct user_ledger **user_list;
    int n_users, cap_users;
    int n_workers;
    struct quota clients; /* max_client_conn */
    _Atomic bool paused;  /* PAUSE without a name */
    _Atomic bool shutting_down;
    _Atomic bool admits_last; /* ... but who was accepted at the last moment is still served */
    _Atomic bool handed_over; /* ... and another process has the listening sockets */
    _Atomic uint64_t next_client_id;
};

/* n_workers: how many threads will have clients and servers. */
void registry_init(struct registry *r, int n_workers);
void registry_release(struct registry *r);
/* Found or made. NULL: out of memory. */
struct db_ledger *registry_db(struct registry *r, struct text name);
struct user_ledger *registry_user(struct registry *r, struct text name);
struct pool *registry_pool(struct registry *r, struct text db, struct text user, bool guarded);
/* Existing database or NULL. */
struct db_ledger *registry_find_db(struct registry *r, struct text name);
/* Copies of the present lists, in the order of first use (malloc; caller frees), *n entries, which
 * stay while the registry does. NULL: out of memory, *n is 0. */
struct pool **registry_pools(struct registry *r, int *n);
struct db_ledger **registry_dbs(struct registry *r, int *n);
struct user_ledger **registry_users(struct registry *r, int *n);

#endif
