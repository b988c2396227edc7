/* SPDX-License-Identifier: ISC */
/*
 * Pools whose clients are held up by a limit that they share with other pools
 * (max_db_connections, max_user_connections): they get in line, and servers of other pools are
 * closed for them. Pools that have no server at all come before those that want more, and only for
 * them a pool with waiting clients of its own has to give one up. Engine's thread.
 */
#ifndef SESSION_STARVED_H
#define SESSION_STARVED_H

#include "session/session.h"

/* No slot for the shard's client, who waits since then: the shard gets in line. full: which limit.
 */
void starved_mark(struct shard *sh, enum slot full, usec_t since);
/* It has got a slot, or nobody waits any more. */
void starved_clear(struct shard *sh);
/* May the shard ask for a slot? Not while others of this worker are before it. */
bool starved_may_ask(const struct shard *sh);
/* A server that has become free is to be closed, because a client of another pool waits longer
 * than all of its own. Who is told so has to do it. */
bool starved_claims(const struct server *s);
/* A slot of the pool's database and user is free: who is first in line is woken, here or on
 * another worker. false: nobody is in line. */
bool starved_wake(struct engine *e, const struct pool *p);
/* Another worker says so. */
void starved_wake_here(struct engine *e, const struct pool *p);

#endif
