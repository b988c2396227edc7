/* SPDX-License-Identifier: ISC */
/*
 * Why a server stays with its client although no transaction is open: session state that cannot be
 * given to another server. What a statement may have made is noted when it is sent; when no
 * transaction is open any more, the server is asked what there really is. So a rollback, ON COMMIT
 * DROP, a lock that was not granted or given back at once pin nothing. Own thread.
 */
#ifndef SESSION_PINS_H
#define SESSION_PINS_H

#include "session/client.h"

enum {
    PIN_ADVISORY = 1, /* session-level advisory locks */
    PIN_HOLD = 2,     /* cursors WITH HOLD */
    PIN_TEMP = 4,     /* objects in pg_temp */
    PIN_PREPARE = 8,  /* PREPARE in SQL that we do not keep ourselves */
    PIN_UNKNOWN = 16, /* LOAD and the like: until the client is gone, and the server with it */
    PIN_ASKABLE = 15  /* those that the server can be asked about */
};

struct pins {
    unsigned held;  /* kinds that the server has */
    unsigned maybe; /* kinds to ask about when no transaction is open */
    unsigned asked; /* kinds that the question under way is about */
    bool has_row;   /* it has been answered */
    bool logged, counted;
    unsigned shown; /* kinds that the counters know */
    usec_t since;
    char sql[]; /* template of the statement that made the first, NUL-terminated */
};

#define NOTE_ASKED 7 /* pend.note: our question of what the session holds */

/* A statement that may leave those kinds is about to go to the client's server, or (kinds 0) one
 * that may have taken some away. false: refused and answered (53300, max_pinned_servers), or the
 * client is closed. */
bool pins_note(struct client *c, unsigned kinds, struct text sql, bool simple) MUST_CHECK;
/* The same for a Query of which nobody knows what it leaves; it is never refused. false: the client
 * is closed. */
bool pins_note_unseen(struct client *c) MUST_CHECK;
/* The same for a statement that may only take pins away. */
void pins_doubt(struct server *s);
/* May the client's server hold one of those kinds? */
bool pins_kept(const struct client *c, unsigned kinds);
/* Queue empty, no transaction open: must the server stay with its client? Asks it when something
 * is not known. Also for channels (ears.h). */
bool pins_keep(struct server *s);
/* A row that answers our question. */
void pins_row(struct server *s, const char *body, size_t n);
/* ReadyForQuery of our question. false: the server was closed. */
bool pins_answered(struct server *s);
/* Nothing of it is there any more. */
void pins_free(struct server *s);
/* "advisory_lock", or several joined by "+"; static or in out. */
void pins_names(unsigned kinds, struct buf *out);

#endif
