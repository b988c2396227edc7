/* SPDX-License-Identifier: ISC */
/*
 * Prepared statements: shared by text within a worker, named per client, prepared on servers when
 * needed.
 */
#ifndef SESSION_STMT_H
#define SESSION_STMT_H

#include "base/list.h"
#include "base/map.h"
#include "session/profile.h"
#include "tenant/effects.h"
#include "tenant/tenant.h"
#include "wire/traceparent.h"

struct effects;
struct engine;

/* One statement text with its parameter types, as servers know it. Refcounted within one worker. */
struct stmt {
    int refs;
    const void *pool;         /* only the address counts */
    struct text key;          /* n_types, types, text: what makes two statements the same */
    struct text sql;          /* the client's text, NUL behind it */
    struct traceparent trace; /* in its comments */
    uint32_t *types;
    int n_types;
    struct text sent; /* text to prepare: the client's, or rewritten (NUL behind it) */
    struct text parse; /* stmt_parse; NULL: not made yet */
    uint32_t *sent_types;
    int n_sent_types;
    /* on servers: PGBULKHEAD_n; the same in all workers for the same pool, text and types */
    const char *name;
    struct stmt_name *shared; /* holds it */
    uint8_t kind;             /* enum query_kind */
    bool maybe_effects;       /* of `sql`, see effects_maybe */
    struct effects *effects;  /* of `sql`, NULL = none */
    struct verdict *verdict;  /* guarded clients; NULL otherwise */
    uint64_t policy_generation;
    bool by_sql;                 /* made by PREPARE: the text is what stands behind its name */
    bool proven;                 /* stmt_proven, as far as this worker knows */
    struct profile_hint profile; /* of `sql` */
    struct engine *engine;
};

/* Found by pool (only its address counts), text, types and (guarded) policy generation and mode, or
 * made; one reference for the caller. guess (or NULL): one of the engine's that it may well be.
 * NULL: out of memory. */
struct stmt *stmt_get(struct engine *e, const void *pool, struct text sql, const char *types,
                      int n_types, const struct tenant_ask *ask, struct stmt *guess);
struct stmt *stmt_ref(struct stmt *s);
/* A server of the pool has prepared it: a later Parse, on whichever worker, needs none to be
 * answered. */
void stmt_prove(struct stmt *s);
bool stmt_proven(struct stmt *s);
void stmt_unref(struct stmt *s);
/* The Parse that sends it as the unnamed statement; kept with it. NULL: out of memory. */
struct text stmt_parse(struct stmt *s);

/* A client's names. */
struct client_stmt {
    struct stmt *stmt;
    uint32_t judged_for; /* client.judged_for of the verdict */
    char name[];         /* NUL-terminated; map key */
};

/* Statements prepared on one server, by their server-side name, least recently used first. Moves
 * with the server between workers: holds no stmt pointers. */
struct server_stmts {
    struct map by_name;
    struct list lru;
    uint64_t unnamed_batch; /* number of the batch that made it so */
    uint64_t unnamed; /* serial of what the unnamed statement is now (client id << 20 | counter), 0
                         = none */
};
struct server_stmt {
    struct list node;
    uint64_t batch; /* server.batch when it was sent; STMT_OWN: by a client's own Parse, whose
                       failure is the client's */
    bool doubtful;  /* an error made the server skip what was sent for it: it may be there or not */
    char name[32];
};
#define STMT_OWN UINT64_MAX
struct server_stmts *server_stmts_new(void);
void server_stmts_free(struct server_stmts *s);
/* The entry, marked as used; NULL: not known there. */
struct server_stmt *server_stmts_find(struct server_stmts *s, const char *name);
/* Adds it. false: out of memory. */
bool server_stmts_add(struct server_stmts *s, const char *name);
void server_stmts_drop(struct server_stmts *s, const char *name);
/* Any of them may have been dropped by name: all are in doubt. */
void server_stmts_doubt(struct server_stmts *s);
void server_stmts_clear(struct server_stmts *s);
/* The least recently used name when more than `max` are there, NULL otherwise. */
const char *server_stmts_excess(const struct server_stmts *s, int64_t max);

#endif
