/* SPDX-License-Identifier: ISC */
/*
 * One connection to PostgreSQL and its states. A state is a list of the shard; server_set_state is
 * the one way to move, and checks the move against a table.
 */
#ifndef POOL_SERVER_H
#define POOL_SERVER_H

#include "base/wheel.h"
#include "net/conn.h"
#include "pool/ledger.h"

enum server_state {
#define SERVER_STATE(name, show) SERVER_##name,
#include "pool/server_state.def"
    SERVER_STATES
};
const char *server_state_name(enum server_state s); /* as SHOW SERVERS says */

enum server_role { ROLE_UNKNOWN, ROLE_NO, ROLE_YES };

/* What a connection asked for in its startup packet. */
enum replication { REPLICATION_NONE, REPLICATION_LOGICAL, REPLICATION_PHYSICAL };

struct shard;
struct client;
struct server_login;  /* session: login in progress */
struct pending;       /* session: expected replies */
struct server_stmts;  /* session: statements prepared on it */
struct pins;          /* session: state that ties it to its client */
struct vars;          /* session: tracked parameters */
struct session_state; /* session: settings that clients left on it (state.h) */
struct touch;         /* session: settings that may have changed */

struct server {
    uint32_t magic;
    enum server_state state;
    struct list node; /* in the shard's list of its state */
    struct shard *shard;
    struct due due; /* when a time limit is to be looked at */
    struct conn *conn;
    struct client *client; /* who uses it, ACTIVE only */
    struct share *share;   /* the tenant's, in which it counts as used; NULL: in none */
    uint64_t id;
    char status;         /* of the last ReadyForQuery: I T E; 0 = none yet */
    bool close_needed;   /* replace when released (RECONNECT, new configuration, lifetime) */
    uint8_t replication; /* enum replication: opened for its client, from its login on */
    bool listener;       /* listens for the pool's clients; none ever gets it */
    bool reserved;       /* took a slot beyond pool_size */
    bool listens, holds; /* a tenant's LISTEN, cursor WITH HOLD: taken back before reuse */
    bool dirty;          /* a tenant changed a setting: reset before reuse */
    bool checked;        /* the check query was answered since it was used last */
    bool dying;          /* server_close was called */
    bool skipping;       /* it failed an extended message and ignores everything up to Sync */
    bool copy_in;        /* the oldest expected reply is a COPY FROM that is running */
    bool fatal;          /* its last error was FATAL: it is about to close */
    bool refused;        /* it answered our login with an error, which was logged */
    bool rebinding;      /* a Query of ours sets tenant_guc again: its client's messages wait */
    bool binding;        /* tenant_guc or settings were sent in front of its client's, unanswered */
    bool binding_synced; /* ... and a Sync of the client's behind it: its next messages wait */
    bool discarded;      /* a DISCARD ALL of this batch took tenant_guc back, for good */
    bool proving;        /* it was told settings that may be refused: its client waits */
    bool held;           /* the client's next messages wait for the end of such a batch */
    bool direct;         /* TLS began without SSLRequest */
    bool ask_failed;     /* the question about its settings failed */
    bool own_failed;     /* a message of our own batch failed */
    uint64_t batch;      /* Syncs sent */
    uint64_t batch_done; /* ... and answered */
    int cancels;         /* cancel requests under way; not reused before they are done */
    uint32_t left;       /* bytes of a message being forwarded that have not arrived yet */
    bool left_drop;      /* ... and which are dropped */
    usec_t connected_at, released_at, assigned_at, request_at;
    uint32_t backend_pid;
    unsigned char backend_key[256];
    size_t backend_key_len;
    uint64_t search_path_serial;  /* guarded: of the pinned search path it was started with */
    uint64_t rx_seen, tx_seen;    /* of conn->rx/tx already counted */
    size_t n_prepared;            /* of its statements already counted */
    struct sockaddr_storage addr; /* for cancels */
    socklen_t addr_len;
    char host[256];
    int port;
    struct list host_node;      /* among those of its host's name, when it has one */
    enum server_role standby;   /* in_hot_standby as it says */
    enum server_role read_only; /* default_transaction_read_only at its login */
    struct server_login *login;
    struct pending *pending;
    struct server_stmts *stmts;
    struct vars *vars;
    struct session_state
        *settings;        /* settings that differ from what it was started with; referenced */
    struct touch *touch;  /* settings that its client touched, NULL = none; */
    struct touch *asked;  /* ... and that it was asked for */
    uint64_t last_client; /* whose statements ran on it last */
    bool opaque;          /* its client ran what nobody can know: DISCARD ALL before reuse */
    struct pins *pins;    /* session: why it stays with its client (pins.h); NULL: it does not */
    uint64_t taken, counted; /* bytes of its input: used up, and before what it answers now */
    uint64_t rows;           /* of what it answers now */
    usec_t answered_at;      /* end of the last statement that was counted */
    char *set_undo;       /* guarded: takes settings for one statement back (settings.h); malloc */
    uint64_t set_batch;   /* in which they were set */
    char *guc; /* guarded: "name=value" of tenant_guc as set on it; malloc, NULL = not set */
};

#define SERVER_MAGIC 0x5e7e1234u

#endif
