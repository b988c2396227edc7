/* SPDX-License-Identifier: ISC */
/*
 * What statements do to the session of an enforced client beyond their rows (verdict.effects and
 * verdict.cursors of tenant/utility.h).
 */
#ifndef SESSION_UTILITY_H
#define SESSION_UTILITY_H

#include "session/client.h"

/* May the statement run here and now? false: refused and answered, or the client is closed. Called
 * before a Query is sent and at Bind; may be called again for the same statement. */
bool client_utility_ok(struct client *c, struct verdict *v, struct text sql,
                       bool simple) MUST_CHECK;
/* The Query, or the Bind, has been sent. false: the client is closed. */
bool client_utility_sent(struct client *c, const struct verdict *v, bool simple) MUST_CHECK;
/* An Execute has been sent. false: the client is closed. */
bool client_utility_executed(struct client *c) MUST_CHECK;
/* A portal of that name is about to be bound. false: refused and answered, or the client is closed.
 */
bool client_portal_bound(struct client *c, struct text name) MUST_CHECK;
/* No transaction is open and nothing is outstanding: all portals are gone. */
void client_portals_clear(struct client *c);
/* A NotificationResponse (from a server, whole) as the enforced client gets it: the tenant's prefix
 * is taken off. false: it is not for this tenant. out->failed when memory is short. */
bool client_notification(const struct client *c, const char *m, uint32_t len, struct buf *out);

#endif
