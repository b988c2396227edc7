/* SPDX-License-Identifier: ISC */
/*
 * One worker's part of a pool: its servers by state and its clients that wait. All functions on the
 * owning thread.
 */
#ifndef POOL_SHARD_H
#define POOL_SHARD_H

#include "conf/setup.h"
#include "base/slab.h"
#include "pool/server.h"
#include "pool/turn.h"

struct engine;
struct listener;
struct switchboard;

/* Why no server can be had. */
struct login_failure {
    struct err err;   /* what clients are told */
    char logged[1000]; /* the same for the log: a server's text may hold values */
};

struct shard {
    struct pool *pool;
    struct engine *engine;
    struct list node;     /* in the engine's list of shards */
    struct list hungry;   /* linked while clients wait */
    struct due due;       /* when it is to be looked at: min_pool_size, pool_idle_timeout */
    struct list starved;  /* linked while a limit of its database or user holds it up */
    enum slot starved_by; /* which */
    int starved_rank;     /* 0: its pool has no server at all, 1: it wants more */
    struct list offer;    /* linked while servers are to be offered to other workers */
    int offers;           /* how many */
    struct list servers[SERVER_STATES];
    int n_servers[SERVER_STATES];
    struct list waiting;      /* clients, longest first (client.node) */
    struct list ring;         /* turns with waiting clients, the next first */
    struct turn none;         /* of clients without a tenant */
    struct list active;       /* clients with a server */
    struct list idle_clients; /* logged in, no server */
    int n_waiting, n_active, n_idle_clients;
    int n_clients;             /* that refer to it, at their login too */
    usec_t used_at;            /* when it got or lost a client or server last */
    int n_own_logins;          /* replication servers among those that log in */
    int n_cancel_active;       /* cancel connections under way */
    struct pool_limits limits; /* of the setup in force */
    const struct database_conf
        *db; /* in the engine's setup, or the shard's own copy for "*" databases; NULL: removed */
    struct arena db_arena;
    usec_t aged_at;      /* when a server was last closed for its age */
    usec_t down_since;   /* first of the failed logins since one succeeded */
    bool worked;         /* one has */
    usec_t failed_at;    /* last failed server login; 0 = the last one succeeded */
    struct login_failure *failure; /* NULL: out of memory, or none */
    bool starting;       /* the last login failed because the server is starting up: clients wait */
    usec_t asked_at;     /* last request for a server of another worker */
    int next_host;
    struct listener *listener; /* session: the pool's, on the worker that it belongs to */
    struct switchboard *board; /* session: channels of this worker's clients; NULL: none yet */
    bool always_warm;          /* min_pool_size holds without clients too */
    bool pumping;              /* shard_pump runs */
};

/* Moves the server to the list of the state; aborts on a move that the table does not allow. */
void server_set_state(struct server *s, enum server_state to);
/* A fresh server in state LOGIN. NULL: out of memory. The ledger slot must have been taken. */
struct server *shard_server_new(struct shard *sh, struct slab *slab);

/* Keeps pool->worker[w].oldest and the waiting bit in step with the list. */
void shard_note_waiting(struct shard *sh, int worker, usec_t oldest);
/* How many servers for clients this worker holds in all states. */
int shard_servers(const struct shard *sh);

#endif
