/* SPDX-License-Identifier: ISC */
/*
 * tenant_guc: the server's setting that says who the tenant is, for policies and functions there.
 * Bound in front of a client's first statement on a server, and again behind whatever takes it
 * back, always in the same write and before anything else of the client can run.
 */
#ifndef SESSION_BINDING_H
#define SESSION_BINDING_H

#include "session/client.h"

/* The server holds the client's tenant, or is told now (messages of our own, replies dropped).
 * false: out of memory. */
bool binding_set(struct client *c, struct server *s) MUST_CHECK;
/* The same behind a Query of the client's that resets settings. false: out of memory. */
bool binding_renew(struct client *c, struct server *s) MUST_CHECK;
/* The same within an extended batch, behind an Execute. false: out of memory, or the server is
 * closed. */
bool binding_renew_extended(struct client *c, struct server *s) MUST_CHECK;
/* The entry's answer ends what the client's messages since the last Sync began. Had they a DISCARD
 * ALL, whose reset an error does not take back as it does the renewal behind it, the client's next
 * messages wait for that answer. */
void binding_batch_ends(struct client *c, struct pend *p);
/* Sends the statements in a transaction of their own, which what the client does next cannot roll
 * back. Nothing of what is sent behind them runs when one of them fails, and the server is closed.
 * false: out of memory. */
bool binding_run(struct server *s, const struct text *sql, int n) MUST_CHECK;
/* Must the client's next message wait until the server has answered? */
bool binding_holds(const struct server *s);

#endif
