/* SPDX-License-Identifier: ISC */
/*
 * The tenants whose clients wait for a server or have one now: the busiest of them, over all
 * workers. Bounded; workers look at turns that wait and at clients with a server, not at all
 * clients.
 */
#ifndef SESSION_BUSY_H
#define SESSION_BUSY_H

#include "session/engine.h"

#define BUSY_TENANTS 32 /* that are told */

struct busy_tenant {
    struct text database, tenant; /* not NUL-terminated */
    int64_t waiting, active;      /* clients */
    usec_t oldest;                /* since when one waits (monotonic); 0 = none does */
};

struct busy {
    struct busy_tenant v[BUSY_TENANTS]; /* most waiting first, of these most active */
    int n;
    bool more;                     /* there are others */
    struct buf names[MAX_WORKERS]; /* what the texts point into */
};

/* Asks all workers and calls done once on the control thread, who owns the answer then. b NULL: out
 * of memory. Control thread only. */
void busy_run(struct hub *h, void (*done)(void *arg, struct busy *b), void *arg);
void busy_free(struct busy *b); /* NULL is fine */

#endif
