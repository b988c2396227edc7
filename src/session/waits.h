/* SPDX-License-Identifier: ISC */
/* Why a client waits, in a word, for tables. */
#ifndef SESSION_WAITS_H
#define SESSION_WAITS_H

#include "session/engine.h"

/* Of a client in state WAITING, or with catalog_wait: catalog, suspended, paused, tenant_limit,
 * database_limit, user_limit, server_down, pool, connecting, or server (one is about to come). */
const char *client_waits_for(const struct client *c);

#endif
