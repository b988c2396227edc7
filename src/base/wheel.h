/* SPDX-License-Identifier: ISC */
/*
 * Deadlines of many objects: a ring of lists, one per tick of time. Setting and clearing take the
 * same time however many there are, and a turn looks at those only whose time has come (and once
 * per round of the ring at those further away). An entry is a promise to be looked at *by* a time:
 * who is looked at decides itself whether it is over and when to look again. So a deadline that
 * moves to later, as it does with each query, costs nothing. One thread.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base/clock.h"
#include "base/list.h"

#include <stdint.h>

#define WHEEL_SLOTS 256

struct due {
    struct list node;
    usec_t at; /* 0 = not set */
};

struct wheel {
    usec_t tick;    /* time of one slot */
    uint64_t done;  /* number of the slot that was looked at last */
    uint64_t looks; /* entries looked at since the start */
    struct list slot[WHEEL_SLOTS];
};

/* tick > 0. */
void wheel_init(struct wheel *w, usec_t tick, usec_t now);
void due_init(struct due *d);
/* To be looked at when `at` has passed, at most two ticks later. One that is set for earlier stays
 * so. at 0: never, nothing is changed. */
void due_by(struct wheel *w, struct due *d, usec_t at);
void due_clear(struct due *d);
/* Calls fire for each entry whose time has passed; the entry is not set any more. fire may set and
 * clear this entry and others. */
void wheel_turn(struct wheel *w, usec_t now, void (*fire)(struct due *d, void *arg), void *arg);

#endif
