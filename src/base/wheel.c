/* SPDX-License-Identifier: ISC */
/* A timer wheel of one level; what is further away than a round is put off round by round. */
#include "base/wheel.h"

void wheel_init(struct wheel *w, usec_t tick, usec_t now)
{
    w->tick = tick;
    w->done = now / tick;
    w->looks = 0;
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slot[i]);
}

void due_init(struct due *d)
{
    list_init(&d->node);
    d->at = 0;
}

static void put(struct wheel *w, struct due *d)
{
    uint64_t n = d->at / w->tick + 1;

    if (n <= w->done)
        n = w->done + 1;
    if (n >= w->done + WHEEL_SLOTS)
        n = w->done + WHEEL_SLOTS - 1;
    list_push_tail(&w->slot[n % WHEEL_SLOTS], &d->node);
}

void due_by(struct wheel *w, struct due *d, usec_t at)
{
    if (!at || (d->at && d->at <= at))
        return;
    list_del(&d->node);
    d->at = at;
    put(w, d);
}

void due_clear(struct due *d)
{
    list_del(&d->node);
    d->at = 0;
}

/* The list is taken off first: fire may put entries into the same slot, for the next round. */
static void look(struct wheel *w, struct list *slot, usec_t now,
                 void (*fire)(struct due *d, void *arg), void *arg)
{
    struct list here, *n;

    if (list_empty(slot))
        return;
    here = *slot;
    here.next->prev = here.prev->next = &here;
    list_init(slot);
    while ((n = list_pop(&here)) != NULL) {
        struct due *d = LIST_ENTRY(n, struct due, node);
        w->looks++;
        if (d->at > now) {
            put(w, d);
            continue;
        }
        d->at = 0;
        fire(d, arg);
    }
}

void wheel_turn(struct wheel *w, usec_t now, void (*fire)(struct due *d, void *arg), void *arg)
{
    uint64_t upto = now / w->tick;

    if (upto > w->done + WHEEL_SLOTS)
        w->done = upto - WHEEL_SLOTS; /* each slot once is enough after a long sleep */
    while (w->done < upto) {
        w->done++;
        look(w, &w->slot[w->done % WHEEL_SLOTS], now, fire, arg);
    }
}
