/* SPDX-License-Identifier: ISC */
/* A client connection: who it is, where it is in the protocol, what it has prepared. */
#ifndef SESSION_CLIENT_H
#define SESSION_CLIENT_H

#include "auth/login.h"
#include "base/wheel.h"
#include "pool/shard.h"
#include "session/pending.h"
#include "session/stmt.h"
#include "session/vars.h"

enum client_state {
#define CLIENT_STATE(name, show) CLIENT_##name,
#include "session/client_state.def"
    CLIENT_STATES
};
const char *client_state_name(enum client_state s); /* as SHOW CLIENTS says */

struct client_login; /* login in progress */
struct startup_param;

#define CANCEL_KEY_SHORT 8
#define CANCEL_KEY_LONG 36 /* a number of 4 bytes and a secret of 32, as PostgreSQL's */

struct client {
    uint32_t magic;
    enum client_state state;
    struct list node; /* in the list of its state: the shard's, or the engine's while it logs in */
    struct list all;  /* in the engine's list of all clients */
    struct list turn_node; /* while WAITING: in the turn's list */
    struct turn *turn;     /* its tenant's in the shard; NULL before it has a shard */
    struct turn *in_turn;  /* in whose list it waits */
    struct engine *engine;
    struct conn *conn;
    struct shard *shard;   /* after login */
    struct server *server; /* while ACTIVE */
    struct due due;        /* when a time limit is to be looked at */
    uint64_t id;
    struct client_login *login;
    struct list console_node; /* linked while it is about to go to the control thread */
    char *console_user;
    bool console_admin;

    /* who */
    const struct setup
        *setup; /* the one it logged in with, referenced: its user and identity live there */
    const struct user_conf *user;
    struct user_ledger *login_user;
    struct arena arena;             /* names, identity */
    struct text db_name, user_name; /* login user; NUL-terminated */
    bool is_unix, admin;
    struct scram_keys *keys; /* for logging in to servers, or NULL */
    char *password;          /* sent in clear (plain auth), for logging in to servers, or NULL */
    bool counted, db_counted, user_counted; /* holds a place in those quotas */

    /* tenant */
    int tenant_mode; /* TENANT_OFF for exempt ones */
    bool exempt;
    uint16_t tenant_bit;             /* profile.h: 0 = of no tenant */
    struct tenant_note *tenant_note; /* in the worker's notes, while bound */
    struct identity identity;
    struct client_ident *ident; /* NULL: the database knows no tenants */
    uint32_t judged_for;        /* grows when the identity changes: verdicts are made anew */
    struct policy *policy;      /* referenced; refreshed from the ledger before each use */
    usec_t catalog_asked;       /* when it last waited for a fresh catalog */
    bool catalog_wait;
    int cancel_left; /* its cancel request: engines that are not done with it, and one */
    bool cancel_timed_out;
    bool canceled; /* while it waited: its next message is answered with an error */

    /* limits in force */
    struct pool_limits limits;
    usec_t query_timeout, idle_transaction_timeout, transaction_timeout, idle_timeout;
    int pool_mode;
    bool virtual_state; /* session_state=virtual, and servers change */

    /* replication connection (replica.h) */
    uint8_t replication; /* enum replication */
    int n_own_params;
    const struct startup_param *own_params; /* for its server, in the arena */

    /* protocol */
    /* as sent in BackendKeyData: 8 bytes, or all with protocol 3.2; the map has the first 8 */
    unsigned char cancel_key[CANCEL_KEY_LONG];
    bool long_key;
    bool unproven; /* values of its startup packet that no server has accepted yet */
    usec_t proven_at; /* loop time at which a server was last sent its values and waited for */
    struct vars vars;
    /* bytes that statements may add to `settings`: since the server was asked, and before */
    uint32_t settings_coming, settings_asked;
    struct session_state *startup;  /* what its startup packet set, referenced; NULL = nothing */
    struct session_state *settings; /* its other settings (state.h), referenced; NULL = none */
    struct map stmts;               /* name → client_stmt */
    struct ears *ears;    /* channels it listens to without a server of its own (ears.h) */
    struct map portals;   /* enforced: names of cursors and portals since it had no transaction */
    bool reset_bound;     /* enforced: a portal may be a RESET ALL */
    bool discard_bound;   /* DISCARD ALL was bound since the client last had no transaction */
    struct stmt *unnamed; /* NULL = none */
    uint64_t unnamed_serial;
    uint32_t unnamed_judged_for;
    uint32_t left; /* bytes of a message being passed on that have not arrived */
    bool left_drop;
    bool left_copy;             /* they go through the COPY machine */
    struct client_copy *copy;   /* a tenant's COPY FROM whose data is coming (client_copy.c) */
    struct verdict *copy_bound; /* COPY FROM that the message before bound to the unnamed portal */
    uint32_t copy_id;
    bool skip_to_sync; /* an error was answered without the server: everything up to Sync is skipped
                        */
    bool extended;     /* extended messages since the last Sync */
    bool in_copy;      /* the server asked for CopyData */
    bool closing;
    bool notified_wait;

    /* times */
    usec_t connected_at, request_at, wait_at, query_at, xact_at, idle_at;
    usec_t asked_at; /* its last request */
    usec_t slow_at;  /* query_at of the one that was counted as slow while it ran */
    uint8_t kind;    /* enum query_kind: of what was bound last */
    usec_t waited;   /* for the server that it has, until a statement is charged with it */

    /* what it runs (slow.h) */
    struct traceparent trace, traced; /* of what it sent last, of what ended last */
    usec_t slow_wait;                 /* for the server, before that */
    uint64_t slow_rows;
    char slow_state[6]; /* SQLSTATE of its error */

    /* what it runs (profile.h) */
    struct profile *profile; /* held, or NULL */
    bool profile_waits;      /* ... was not sent yet */
    usec_t profile_took, profile_wait;
    struct profile_hint profile_portal, profile_stmt; /* unnamed ones */

    uint64_t rx_seen, tx_seen;
};

#define CLIENT_MAGIC 0xc11e1234u

#endif
