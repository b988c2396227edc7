/* SPDX-License-Identifier: ISC */
/*
 * Tenants' clients and servers held to max_tenant_client_connections and max_tenant_connections,
 * and whose turn it is among those that wait. Engine's thread.
 */
#ifndef SESSION_SHARES_H
#define SESSION_SHARES_H

#include "session/session.h"

struct mail_share {
    struct mail mail;
    struct share *share; /* referenced */
};

/* The client, which has a shard, counts as one of its tenant's from now on, and not of an earlier
 * one's. false: e (53300 with the limit's name, or 53200); it is where it was. */
bool client_share_join(struct client *c, struct err *e);
/* What a client is told in DETAIL when its tenant's limit is reached. */
struct text client_share_detail(const struct client *c, struct arena *a);
#define SHARE_CLIENTS_HINT                                                                         \
    "Close connections of this tenant that are not needed, or raise "                              \
    "max_tenant_client_connections in [tenants], [databases] or [pgbouncer]."
void client_share_leave(struct client *c);

/* The client whose turn it is in the shard; NULL: nobody waits whose tenant may have one more. */
struct client *shares_next(struct shard *sh);
/* The server counts as used by the client's tenant. false: the tenant has as many as it may. */
bool server_share_take(struct server *s, struct client *c);
/* It does not any more; who waits for that is woken. */
void server_share_put(struct server *s);

/* Another worker says that a server's place became free. */
void shares_on_mail(struct engine *e, struct mail_share *m);
/* Mails that were lost to a lack of memory, limits that were raised. */
void shares_tick(struct engine *e);
/* The limits of a new setup (e->setup). */
void shares_refresh(struct engine *e);

#endif
