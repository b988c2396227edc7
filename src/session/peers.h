/* SPDX-License-Identifier: ISC */
/*
 * A fleet behind one address: the cancel request of a client of ours may reach another process, and
 * a client's of another process us. Each key names the process that made it, and requests that are
 * for a peer of [peers] go on to it.
 *
 * The key (PgBouncer's scheme, since 1.21): 8 bytes, number and secret of BackendKeyData; bit 0 of
 * the first byte is 0, the second and third byte are peer_id (low byte first), the last two bits of
 * the eighth say how often the request may still be passed on. Protocol 3.2's longer keys begin
 * with the same 8 bytes.
 */
#ifndef SESSION_PEERS_H
#define SESSION_PEERS_H

#include "session/cancel.h"
#include "session/session.h"

/* A new key of n bytes (at least 8). peer_id 0: we are in no group, all of it is random. */
void peer_key_make(unsigned char *key, size_t n, int peer_id);
/* The key as we gave it out: with as many steps to go as at first. */
void peer_key_normal(unsigned char *key);

/* Is the request for a peer? Then it is passed on, or given up with a line in the log, and the
 * asker is answered when that is over. Any engine's thread; what is under way is the first
 * engine's. */
bool peer_forward(struct engine *e, struct text key, const struct cancel_asker *asker);

/* ---- the first engine's ---- */
struct mail_peer {
    struct mail mail;
    struct cancel_asker asker;
    int id;
    unsigned char key[CANCEL_KEY_LONG];
    size_t n;
};
void peers_on_mail(struct engine *e, const struct mail_peer *m);
/* Gives up what takes longer than cancel_wait_timeout. */
void peers_reap(struct engine *e);
/* Everything is given up; before the resolver goes. */
void peers_close(struct engine *e);

/* Requests for one peer, for SHOW PEER_POOLS. */
struct peer_pool {
    struct list node;
    int id;
    int n_active, n_waiting; /* with a connection of theirs or not */
    int n_login;             /* of the active ones: not connected yet */
};

#endif
