/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is among the waiting clients of a shard: tenants in a ring, each with its clients
 * in the order in which they came. A tenant that was served goes to the end of the ring, so that
 * one with a thousand waiting clients has no more of a pool than one with a single client. A tenant
 * that uses as many servers as it may is taken out of the ring until it uses fewer. Each step takes
 * the same time however many wait. The owning thread only.
 */
#ifndef POOL_TURN_H
#define POOL_TURN_H

#include "base/clock.h"
#include "base/list.h"
#include "pool/share.h"

struct shard;

/* What one worker knows of a share. */
struct share_here {
    struct share *share;
    struct list parked; /* turn.node of turns that its limit holds up */
    struct list node;   /* in the worker's list of such with parked turns */
    int turns;          /* that refer to it */
};

struct turn {
    struct list node;    /* in shard->ring or here->parked; unlinked while nobody waits */
    struct list clients; /* longest waiting first */
    struct shard *shard;
    struct share_here *here; /* NULL: of clients without a tenant */
    usec_t since;            /* when it joined the ring or was served, whichever is later */
    int refs;                /* clients that belong to it */
    int n;                   /* of these, waiting */
    bool parked;
    struct turn_key {
        const void *shard, *share;
    } key; /* in the worker's map */
};

/* Clients without a tenant have one turn per shard, which is part of it. */
void turn_init(struct turn *t, struct shard *sh, struct share_here *here);
/* A client waits, or does not any more. */
void turn_join(struct turn *t, struct list *client, usec_t now);
void turn_leave(struct turn *t, struct list *client, int worker);
/* Its first client gets a server now: the next turn is another's. */
void turn_served(struct turn *t, usec_t now);
/* Takes it out of the ring while its share is full. false: it is not (any more), the turn stays. */
bool turn_park(struct turn *t, int worker);
/* Back into the ring, at its end. */
void turn_unpark(struct turn *t, int worker, usec_t now);

/* The turn whose client is to be served next; NULL: nobody waits, or all are held up. */
struct turn *turn_first(const struct shard *sh);

#endif
