/* SPDX-License-Identifier: ISC */
/*
 * Hosts of servers: which one of a list a new server goes to, whether it is what
 * target_session_attrs asks for, and which servers a changed answer of the name service retires.
 * On the engine's thread.
 */
#ifndef SESSION_HOSTS_H
#define SESSION_HOSTS_H

#include "session/session.h"

/* Index of the host that the shard's next server tries first. */
int host_first(struct shard *sh);
/* That host could not be used: where load_balance_hosts=disable, the next server begins behind it.
 */
void host_failed(struct shard *sh, int index);
/* A server of that host is ready. */
void host_worked(struct shard *sh, int index);

/* A ParameterStatus of the server: remembers what tells a standby from a primary. Behind the login,
 * a server that is not any more what is asked for is replaced when it is released. */
void host_role(struct server *s, struct text name, struct text value);
/* May the server, at the end of its login, be used? last: prefer-standby has found no standby.
 * NULL: yes, else why not. */
const char *host_refuses(const struct server *s, bool last);

/* The server is connected: from now on a changed answer for its host's name retires it. Nothing for
 * addresses and Unix sockets. hosts_forget: it is closed, or leaves the thread. */
void hosts_watch(struct server *s);
void hosts_forget(struct server *s);
/* The resolver's fresh answer. */
void hosts_answer(void *engine, const char *name, const struct resolver_addr *a, int n);
/* dns_zone_check_period; every tick. */
void hosts_tick(struct engine *e);
void hosts_release(struct engine *e);

#endif
