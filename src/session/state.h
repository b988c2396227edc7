/* SPDX-License-Identifier: ISC */
/*
 * Settings that follow their client from server to server (session_state=virtual, transaction and
 * statement pooling), beyond the reported parameters of vars.h.
 *
 * What a text touches is noted when it is sent. At the transaction's end, before the server would
 * be let go, the server is asked what the touched settings are now: so rolled-back ones,
 * savepoints, merged values and errors come out as the server has them. The answer is the client's
 * state from then on, and the server's. In front of a client's first message on a server whose
 * state is another one, the differences are set, in the same write.
 */
#ifndef SESSION_STATE_H
#define SESSION_STATE_H

#include "session/client.h"
#include "tenant/effects.h"
#include "wire/query.h"

/* Settings with their values, by name; immutable; any thread. NULL: none. */
struct session_state;
struct session_state *session_state_ref(struct session_state *st);
void session_state_unref(struct session_state *st);

#define STATE_MAX_BYTES (64 * 1024) /* names and values of one client */
#define STATE_MAX_NAMES 1000        /* that one transaction may touch */

/* ---- texts ---- */

/* Effects by which a statement that leaves a setting behind has been noted. */
#define STATE_KEEPS (FX_BIT(FX_SET) | FX_BIT(FX_RESET) | FX_BIT(FX_RESET_ALL) | FX_BIT(FX_UNKNOWN))

/* The effects of a text of the client's (sql has a NUL behind it), NULL: none, or the client's
 * state is not kept. *out is to be freed. false: out of memory. */
bool state_effects(const struct client *c, struct text sql, struct effects **out) MUST_CHECK;
/* Would they make the client's state too large? Then it was answered, and false. simple: it is a
 * Query. */
bool state_allows(struct client *c, const struct effects *e, bool simple) MUST_CHECK;
/* Before anything of a text with those effects is sent: lastval and currval of a client's first
 * statement on a server do not see what others did there. false: out of memory. */
bool state_before(struct client *c, const struct effects *e) MUST_CHECK;
/* A text with those effects (NULL: none) goes to the client's server now, in this turn; bind: the
 * Bind that runs it, or NULL. false: out of memory. */
bool state_sent(struct client *c, const struct effects *e, const struct wire_bind *bind) MUST_CHECK;
/* The same for a Bind of the statement. */
bool state_bound(struct client *c, const struct stmt *st, const struct wire_bind *bind) MUST_CHECK;
/* The same for the FunctionCall message (body behind its head). */
bool state_sent_function(struct client *c, const char *body, size_t n) MUST_CHECK;
/* The same for a Query that is longer than STATE_MAX_QUERY, which nobody looks at: the server is
 * cleaned before another client gets it. */
bool state_sent_unseen(struct client *c) MUST_CHECK;
#define STATE_MAX_QUERY (256 * 1024)

/* ---- servers ---- */

/* Sends what makes the server's state the client's, and takes it as done: an error closes the
 * server, and nothing that was sent behind it runs. false: out of memory. */
bool state_diff(const struct client *c, struct server *s) MUST_CHECK;
/* The server would be let go: asks it for what was touched. false: nothing was. When the server was
 * closed it is dying. */
bool state_ask(struct server *s);
/* Must the client's next message wait for the answer? (After a RESET ALL: what its startup packet
 * said is to be set first.) */
bool state_holds(const struct server *s);
/* A DataRow of the answer (body behind its head); whatever is wrong with it fails the answer. */
void state_row(struct server *s, const char *body, size_t n);
/* The answer is there, or (failed) there is none. false: the server is closed. */
bool state_answered(struct server *s, bool failed);
/* An error or a rollback: touched settings may be what they were. */
void state_doubt(struct server *s);
/* The server is free: must it be cleaned by DISCARD ALL? */
bool state_unclean(struct server *s);
/* The reset query is about to run on it. */
void state_reset(struct server *s, struct text query);
/* Would setting the server's state back undo what connect_query did? */
bool state_undoes(const struct server *s, const char *connect_query);
void state_free_server(struct server *s);

/* ---- clients ---- */

/* Parameters of the startup packet that servers do not report become the client's state; all of
 * them come back with RESET ALL. false: out of memory. */
bool state_login(struct client *c, const struct vars *given,
                 const struct vars *reported) MUST_CHECK;

#endif
