/* SPDX-License-Identifier: ISC */
/*
 * Replication connections (`replication` in the startup packet; PostgreSQL manual, "Streaming
 * Replication Protocol"). Each has a server of its own from its login on, opened with the client's
 * startup parameters as they are and closed with the client; its messages are relayed unread. It
 * counts in pool_size: idle servers make room for it. Engine's thread.
 */
#ifndef SESSION_REPLICA_H
#define SESSION_REPLICA_H

#include "session/client.h"
#include "wire/startup.h"

/* What SHOW CLIENTS and SERVERS call it: none, logical, physical. */
const char *replica_name(uint8_t replication);
/* Reads a value of `replication` as PostgreSQL does. false with e: it is none. */
bool replica_kind(struct text value, uint8_t *kind, struct err *e);
/* Keeps the startup parameters of such a client for its server, those about its tenant excepted,
 * which are noted. false with e: refused, or out of memory. */
bool replica_params(struct client *c, const struct startup *s, struct err *e);

/* The client is proven and counted: it waits for its turn to have a server opened. */
void replica_login(struct client *c);
/* Its turn: opens its server, idle ones give way. false: there is no room. */
bool replica_open(struct shard *sh, struct client *c);
/* The server has accepted the login: it is the client's. status: its ParameterStatus messages. */
void replica_ready(struct server *s, const struct buf *status);
/* The parameters that the client's server is opened with. */
const struct startup_param *replica_startup(const struct server *s, int *n);
/* The server of such a client closes. */
void replica_closes(struct server *s);

/* client_login.c: a cancel key for the client, and its message. */
void client_make_key(struct client *c, struct buf *out);
/* ... the notice of login_notify_message, when there is one */
void client_login_notice(struct client *c, struct buf *out);

/* dispatch.c: a place for one more server of the shard, which evicts from other pools; what is
 * full. */
enum slot shard_take_slot(struct shard *sh, struct client *c, bool *reserved);
/* The client gets a server, or one that is being opened for it: counts its waiting. */
void shard_served(struct client *c);

#endif
