/* SPDX-License-Identifier: ISC */
/*
 * What a worker knows of the statements that ran on it, by template (tenant/sketch.h): how often,
 * how long, how many rows, of how many tenants. SHOW QUERIES is made from it. Bounded by
 * query_stats_max; what is met most rarely makes room, and its numbers go to one entry for all that
 * was forgotten, so that sums stay true. The worker's thread only.
 *
 * A statement begins when its Query or Execute is sent (profile_begin: the expected reply holds the
 * entry) and ends with its answer (profile_end). Its time runs from there, or from the end of the
 * statement before it on that server. Statements behind an error that were skipped never ran.
 */
#ifndef SESSION_PROFILE_H
#define SESSION_PROFILE_H

#include "base/clock.h"
#include "base/text.h"

struct client;
struct engine_stats;
struct pend;
struct server;
struct stmt;

/* Times by their size: four steps for each power of two from 16 µs on. */
#define PROFILE_STEPS 100
#define PROFILE_TENANT_BITS 1024

struct profile_counts {
    uint64_t calls, errors, rows;
    uint64_t bytes;                             /* of the answers */
    uint64_t total_us, min_us, max_us, wait_us; /* wait: for a server, before the time */
    uint64_t tenants[PROFILE_TENANT_BITS / 64]; /* a bit for each, by hash */
    uint32_t steps[PROFILE_STEPS];
};

/* An entry. What holds it (expected replies, the client) keeps it where it is. */
struct profile {
    struct text database, template; /* template: no literals, no control characters */
    struct profile_counts n;
    /* profile.c's own */
    struct profiles *table;
    struct profile *next; /* in its bucket */
    uint64_t hash;
    uint32_t serial; /* grows when it becomes another statement's */
    int refs;
    uint8_t used; /* calls since it was last considered for eviction */
};

/* Where an entry was; it may be another one's by now. */
struct profile_hint {
    struct profile *at; /* NULL: none */
    uint32_t serial;
};

/* ---- a worker's table ---- */

/* seed: secret, the same for all workers. NULL: out of memory. max entries at most. */
struct profiles *profiles_new(size_t max, const uint64_t seed[2], struct engine_stats *stats)
    __attribute__((warn_unused_result));
void profiles_free(struct profiles *t);
/* Forgets all numbers; entries that are held stay. */
void profiles_reset(struct profiles *t);
/* Each entry that was called: *pos starts at 0; NULL at the end. The last one may be that of all
 * forgotten statements (database ""). */
const struct profile *profiles_next(const struct profiles *t, size_t *pos);

/* Adds one's numbers to another's. */
void profile_add(struct profile_counts *to, const struct profile_counts *from);
/* The time that a share of the calls (0.95) did not exceed, in µs; 0 when there were none. */
uint64_t profile_quantile(const struct profile_counts *n, double share);
/* How many different tenants, estimated: exact within a few percent up to some thousand. */
uint64_t profile_tenants(const struct profile_counts *n);

/* The client's bit of the tenants', + 1; 0: of no tenant. */
uint16_t profile_tenant_bit(const uint64_t seed[2], struct text tenant);

/* ---- finding an entry (borrowed: it holds until something else is looked for) ---- */

/* All give NULL while query_stats is off, and never when it is on. */
struct profile *profile_of(struct client *c, struct text sql);
/* Of a message that may not be there as a whole. */
struct profile *profile_of_query(struct client *c, const char *m, size_t have, size_t len);
struct profile *profile_of_function(struct client *c); /* of a FunctionCall */
/* Is a Query of that length to be shown as a whole? */
bool profile_wants(const struct client *c, size_t len);
struct profile *profile_of_stmt(struct client *c, struct stmt *st);

/* Portals and statements whose names are the server's: what Bind or Parse said. kind 'P' or 'S'.
 * The unnamed ones are the client's own. e NULL: forget it. */
void profile_name(struct client *c, char kind, struct text name, const struct profile *e);
/* What stands under that name; a fixed entry when it is not known. */
struct profile *profile_named(struct client *c, char kind, struct text name);

/* ---- running statements ---- */

/* The message of that expected reply is being sent (e NULL: nothing is done). For Parse and Bind
 * only their failure counts. */
void profile_begin(struct client *c, struct pend *p, struct profile *e);
/* The reply has come, of which the server's input is taken up to that count of bytes
 * (server.taken); p is not to be counted again. Errors first tell by profile_failed. */
void profile_end(struct server *s, struct pend *p, uint64_t taken);
void profile_failed(struct server *s, struct pend *p, uint64_t taken);
/* CommandComplete said so many rows. */
void profile_rows(struct server *s, struct text tag);
/* The server is lost while its oldest reply is outstanding: that statement failed. */
void profile_lost(struct server *s);
/* Refused by us: a call and an error, without time. */
void profile_refused(struct client *c, struct text sql);
/* The client waits for a server for that statement: c->profile says for what. */
void profile_waits(struct client *c, struct profile *e);

/* The client was told ReadyForQuery: it runs nothing, or what is next of its pipeline. */
void profile_ready(struct client *c);

/* c->profile is the entry of what the client is running, of several since the last ReadyForQuery
 * that one which took longest (c->profile_took, c->profile_wait before it); NULL between its
 * queries. It is held (profile_hold). Its template is what logs may show. */
void profile_hold(struct profile **at, struct profile *e); /* lets the one before go; e or NULL */
void profile_drop(struct profile **at);

/* What the server is busy with for its client, and since when; NULL: nothing that is counted. */
const struct profile *profile_running(const struct server *s, usec_t *since);

#endif
