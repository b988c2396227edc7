/* SPDX-License-Identifier: ISC */
/*
 * Settings of [tenant_rules] for single statements of the extended protocol: set by a statement of
 * ours in front of the Bind, for the transaction only; taken back in front of the next statement
 * of the same transaction that does not ask for them, or with the transaction's end. A simple Query
 * carries its settings in its text.
 */
#ifndef SESSION_SETTINGS_H
#define SESSION_SETTINGS_H

#include "session/client.h"

/* In front of a Bind or Query with that verdict, on the client's server, in the same write. false:
 * out of memory, and the server was closed. */
bool settings_before_bind(struct client *c, const struct verdict *v);
bool settings_before_query(struct client *c, const struct verdict *v);
/* After ReadyForQuery. */
void settings_ready(struct server *s);

#endif
