/* SPDX-License-Identifier: ISC */
/*
 * The engine: what one worker thread runs. The hub: what all engines and the control thread share.
 * Calls between threads are mails; the functions here say on which thread they may be called.
 */
#ifndef SESSION_ENGINE_H
#define SESSION_ENGINE_H

#include "base/slab.h"
#include "base/wheel.h"
#include "base/writer.h"
#include "net/resolver.h"
#include "net/worker.h"
#include "session/client.h"
#include "session/top.h"

struct lookup_ask;
struct proof_ask;

/* What the layers above give the hub. Called on the worker's thread. */
struct hub_calls {
    /* A logged-in administrator of the console database: the connection (detached, welcome already
     * sent) goes to the control thread. early: input that was already read (copied by the callee).
     */
    void (*console)(void *arg, struct conn *conn, struct text user, struct text app, bool admin,
                    struct text early);
    /* A cancel request has come whose key may be the console's, or another process's. */
    void (*cancel)(void *arg, struct text key);
    /* The database's catalog is wanted: no policy yet, or a statement named something unknown. main
     * loads it and calls hub_policy. Many calls for one database are folded. */
    void (*want_catalog)(void *arg, struct text db_name);
    /* A user is to be looked up (session/lookup.h); the question is given away. */
    void (*lookup)(void *arg, struct lookup_ask *a);
    /* A login is to be proven elsewhere (session/proof.h); the question is given away. */
    void (*prove)(void *arg, struct proof_ask *a);
};

struct hub {
    struct loop *control;
    struct log *log;
    int n_engines;
    struct engine *engine[MAX_WORKERS];
    struct registry registry;
    struct var_names var_names;
    pthread_mutex_t
        policy_mutex; /* around taking a reference on a database's policy; never on a query's way */
    unsigned char mock_seed[32]; /* for SCRAM exchanges of unknown users */
    pthread_mutex_t
        names_mutex; /* guards names; taken when a text is seen for the first time in a worker */
    struct token_replay *replay; /* tokens that were used */
    struct map names;            /* pool, text and types as sent → struct stmt_name */
    uint64_t next_stmt;          /* PGBULKHEAD_n; under names_mutex */
    _Atomic uint64_t next_server;
    pthread_mutex_t barred_mutex; /* guards barred */
    char *barred;                 /* the tenant that nobody may be now (hub_bar), or NULL */
    _Atomic bool any_barred;
    usec_t started_at;    /* wall clock */
    struct writer *audit; /* the audit log; NULL: none. main's */
    const char *version;  /* "PgBulkhead 0.1.0" */
    const struct hub_calls *calls;
    void *calls_arg;
};

/* Why a login is refused, and how metrics call it. */
enum reject_reason {
    REJECT_AUTH,
    REJECT_TLS,
    REJECT_LIMIT,
    REJECT_TENANT,
    REJECT_PROTOCOL,
    REJECT_TIMEOUT,
    REJECT_OTHER,
    REJECT_HBA,
    REJECT_REASONS
};
const char *reject_name(enum reject_reason why);

/* Per worker counters that belong to no database. */
struct engine_stats {
    stat_t tls_handshakes[2][2]; /* [client, server][TLSv1.2, TLSv1.3] */
    stat_t rejected[REJECT_REASONS];
    stat_t parse_sum_us, parse_count, parse_bucket[9];
    stat_t looks; /* at deadlines of clients, servers and pools */
    stat_t cache_hits, template_hits, cache_misses, cache_evictions, cache_entries, cache_bytes;
    stat_t profile_entries, profile_bytes, profile_evictions;
};

struct engine {
    uint32_t magic;
    int id; /* worker number */
    struct hub *hub;
    struct loop loop;
    const struct setup *setup;               /* in force on this worker */
    struct tls_ctx *client_tls, *server_tls; /* NULL: disabled */
    struct resolver *resolver;
    struct tenant_engine *tenant;
    struct profiles *profiles; /* statements by template */
    struct notes *notes;       /* of tenants and refused statements */
    struct top top;            /* tenants that use most */
    struct token_keys *tokens; /* keys of signed tokens; NULL: none */
    struct scram_cache *scram; /* SCRAM secrets computed from plain ones */
    struct registry *registry;
    struct slab clients, servers;
    struct list all_clients;   /* client.all */
    struct list login_clients; /* client.node in state LOGIN */
    int n_clients, n_login;
    struct list shards;           /* shard.node */
    struct shard **shard_by_pool; /* index = pool->index */
    int n_shard_slots;
    struct list starved[2]; /* shards in line for a slot (starved.h), by rank */
    struct wheel client_dues, server_dues, shard_dues;
    bool end_seen;           /* shutting_down was taken into account */
    bool forced_done;        /* pools of forced users with min_pool_size were opened */
    struct list hungry;      /* shards with waiting clients */
    struct list offers;      /* shards with servers for other workers */
    struct loop_later turn;  /* the end-of-turn work */
    struct map cancel_keys;  /* 8 bytes → client */
    struct map stmts;        /* stmt.key → stmt */
    struct map turns;        /* turn.key → turn of a tenant */
    struct map shares;       /* address of a share → share_here */
    struct list held_shares; /* share_here.node, those with parked turns */
    struct list
        to_console;   /* administrators that go to the control thread at the end of the turn */
    struct list dead; /* clients to free at the end of the turn */
    struct list dead_servers; /* likewise */
    struct list cancels;      /* cancel connections under way */
    struct list forwards;     /* the first engine's: cancel requests for peers */
    struct list peer_pools;   /* likewise: struct peer_pool */
    bool closing_peers;
    struct map hosts;       /* name → struct host_watch */
    struct list host_queue; /* of those, longest not looked up first */
    struct engine_stats stats;
    bool suspended;
    usec_t last_reap;
    struct buf work;   /* see engine_work */
    uint64_t replaced; /* orders to replace servers (RECONNECT, KILL) carried out so far */
};

/* An empty buffer for putting one message together; valid until the next call. */
static inline struct buf *engine_work(struct engine *e)
{
    if (e->work.failed || e->work.cap > 65536)
        buf_release(&e->work);
    buf_clear(&e->work);
    return &e->work;
}

/* ---- control thread ---- */
/* TLS contexts are made by the caller from the setup and referenced. Engines are made before
 * threads start. */
bool hub_init(struct hub *h, struct loop *control, struct log *log, int n_workers,
              const struct setup *s, const char *version, const struct hub_calls *calls, void *arg);
void hub_release(struct hub *h);
/* The version without the program's name: "0.1.0". */
const char *hub_version(const struct hub *h);
struct engine *engine_new(struct hub *h, int id, const struct setup *s, struct tls_ctx *client_tls,
                          struct tls_ctx *server_tls, struct err *err);
bool engine_start(struct engine *e); /* starts the thread */
void engine_stop(struct engine *e);  /* closes everything, ends and joins the thread */
void engine_free(struct engine *e);

/* Gives a fresh socket to the least loaded engine. */
void hub_accept(struct hub *h, int fd, bool is_unix);
/* New configuration for all engines (each takes references). done (may be NULL) is called on the
 * control thread when every engine has taken it over. tls_changed: servers' TLS settings differ:
 * replace servers. false: out of memory, nothing has changed and done is not called. */
bool hub_setup(struct hub *h, const struct setup *s, struct tls_ctx *client_tls,
               struct tls_ctx *server_tls, bool tls_changed, void (*done)(void *arg),
               void *arg) MUST_CHECK;
/* Publishes a policy (reference given away; NULL = load failed, text says why) and wakes the
 * clients that wait for it. */
void hub_policy(struct hub *h, struct text db_name, struct policy *p, struct text why);
/* The present policy of a database with a reference, or NULL. Any thread. */
struct policy *hub_policy_get(struct hub *h, struct db_ledger *db);

/* Runs fn(engine, arg) on each engine's thread, then done(arg) once on the control thread. Whatever
 * fn touches in arg per engine must be separate (index by e->id). false: out of memory, nobody was
 * asked and done is not called. */
bool hub_call(struct hub *h, void (*fn)(struct engine *e, void *arg), void *arg,
              void (*done)(void *arg)) MUST_CHECK;

/* ---- inside fn of hub_call, on the engine's thread; db empty = all databases ---- */
void engine_close_idle(struct engine *e,
                       struct text db); /* PAUSE: close what is free, the rest when released */
void engine_resume(struct engine *e, struct text db);    /* give waiting clients servers again */
void engine_reconnect(struct engine *e, struct text db); /* replace servers as they are released */
void engine_kill(struct engine *e, struct text db);      /* drop clients and servers at once */
bool engine_kill_client(struct engine *e, uint64_t client_id); /* false: not here */
/* SUSPEND: stops reading all sockets of clients and servers, or goes on. */
void engine_hold(struct engine *e, bool on);
/* How many of them have output that the socket has not taken yet; drop: they are closed. */
uint64_t engine_unflushed(struct engine *e, bool drop);
/* A cancel request that came from elsewhere; any thread. */
void hub_cancel(struct hub *h, struct text key);
/* Before the end: lets go of clients that have been between transactions for that long (57P01). */
void engine_drain(struct engine *e, usec_t idle_for);

/* How many of the engine's clients are bound to the tenant; close: they are closed. */
int engine_tenant_clients(struct engine *e, struct text tenant, bool close);

/* Keeps clients from becoming that tenant until hub_unbar; one tenant at a time. Bar first, then
 * look at the engines' clients: whoever is not seen there is refused. Any thread; false: out of
 * memory. */
bool hub_bar(struct hub *h, struct text tenant);
void hub_unbar(struct hub *h);
/* Is it barred now? Asked once the identity is in the client. */
bool hub_barred(struct hub *h, const struct identity *id);

/* Mails to a loop that the session layer does not know are given to this (the control loop's
 * handler calls it first): true when the mail was one of ours. */
bool hub_control_mail(struct hub *h, struct mail *m);

#endif
