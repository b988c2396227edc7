/* SPDX-License-Identifier: ISC */
/*
 * Prepared statements of a client, as client_extended.c keeps them and client_prepared.c uses them.
 */
#ifndef SESSION_EXTENDED_H
#define SESSION_EXTENDED_H

#include "session/session.h"

#define CLIENT_MAX_NAMES 10000 /* prepared statements of one client */
#define NOTE_ON_SERVER 1 /* prepares a named statement, or closes the one in `name`: in doubt */
#define NOTE_UNNAMED 2   /* prepares the unnamed one: nobody's */

/* A name for the statement; NULL: out of memory. */
struct client_stmt *extended_name(struct client *c, struct text name, struct stmt *st);
void extended_unname(struct client *c, struct text name);
/* The client's unnamed statement; NULL: none. */
void extended_unnamed(struct client *c, struct stmt *st);
/* An answer of ours (a message without body) in its place, at once when nothing is outstanding
 * (*entry NULL). false: out of memory. */
bool extended_fake(struct client *c, enum pend_kind kind, char type, struct pend **entry);
/* Sends Parse of the statement under the server's name (or as the unnamed one), a Close in front
 * where it may be there. The entry; NULL: out of memory, or the server is closed. */
struct pend *extended_parse(struct client *c, struct stmt *st, bool named, enum pend_action action);
/* The statement is on the server, or is sent there now. */
bool extended_ensure(struct client *c, struct stmt *st, bool named);
/* A statement for the text, judged when the client is guarded. STEP_DONE with *out NULL: refused
 * and answered. types: n_types OIDs as Parse has them. simple: it came in a Query. */
enum step extended_judged(struct client *c, bool simple, struct text sql, const char *types,
                          int n_types, struct stmt **out);
/* The policy changed since the statement was judged: judges it again. */
enum step extended_rejudge(struct client *c, struct text name, struct stmt **st);

/* ---- client_prepared.c: PREPARE, EXECUTE, DEALLOCATE in SQL, mostly of enforced clients ---- */
enum step client_prepared_query(struct client *c, struct verdict *v, struct text sql);
struct effects;
/* The same for a Query of a client that no tenant binds and whose state is virtual. STEP_MORE: it
 * is to be sent as it is. */
enum step client_sql_prepared(struct client *c, const struct effects *fx, struct text sql);
/* Is the statement of the extended protocol one that these are for: PREPARE, EXECUTE, DEALLOCATE of
 * an enforced client, EXECUTE of another one that names a statement of the client's names? */
bool client_prepared_sql(const struct client *c, const struct stmt *st);
/* Parse of such a statement: nothing goes to the server. */
enum step client_prepared_parse(struct client *c, struct text name, struct stmt *st);
enum step client_prepared_bind(struct client *c, const struct wire_bind *w, struct stmt *st);
enum step client_prepared_describe(struct client *c, struct stmt *st);

#endif
