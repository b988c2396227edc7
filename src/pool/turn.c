/* SPDX-License-Identifier: ISC */
/* The ring of tenants with waiting clients. */
#include "pool/turn.h"

#include "base/check.h"
#include "pool/shard.h"

void turn_init(struct turn *t, struct shard *sh, struct share_here *here)
{
    *t = (struct turn){ .shard = sh, .here = here };
    t->key = (struct turn_key){ sh, here ? here->share : NULL };
    list_init(&t->node);
    list_init(&t->clients);
}

static void enter_ring(struct turn *t, usec_t now)
{
    t->since = now;
    list_push_tail(&t->shard->ring, &t->node);
}

void turn_join(struct turn *t, struct list *client, usec_t now)
{
    struct share *s = t->here ? t->here->share : NULL;

    if (s && atomic_fetch_add(&s->waiting, 1) == 0)
        atomic_fetch_add(&s->db->tenants_waiting, 1);
    list_push_tail(&t->clients, client);
    if (t->n++ == 0)
        enter_ring(t, now);
}

static void not_held(struct share_here *h, int worker)
{
    if (list_empty(&h->parked))
        atomic_fetch_and(&h->share->held, ~(UINT64_C(1) << worker));
}

void turn_leave(struct turn *t, struct list *client, int worker)
{
    struct share *s = t->here ? t->here->share : NULL;

    CHECK(t->n > 0);
    list_del(client);
    if (s && atomic_fetch_sub(&s->waiting, 1) == 1)
        atomic_fetch_sub(&s->db->tenants_waiting, 1);
    if (--t->n > 0)
        return;
    list_del(&t->node);
    if (t->parked) {
        t->parked = false;
        not_held(t->here, worker);
    }
}

void turn_served(struct turn *t, usec_t now)
{
    if (t->n == 0 || t->parked)
        return;
    list_del(&t->node);
    enter_ring(t, now);
}

bool turn_park(struct turn *t, int worker)
{
    struct share_here *h = t->here;

    list_del(&t->node);
    list_push_tail(&h->parked, &t->node);
    t->parked = true;
    /* raised before the second look, as who gives a place back looks at it afterwards */
    atomic_fetch_or(&h->share->held, UINT64_C(1) << worker);
    if (share_is_full(h->share))
        return true;
    list_del(&t->node);
    t->parked = false;
    not_held(h, worker);
    list_push_head(&t->shard->ring, &t->node);
    return false;
}

void turn_unpark(struct turn *t, int worker, usec_t now)
{
    CHECK(t->parked && t->n > 0);
    list_del(&t->node);
    t->parked = false;
    not_held(t->here, worker);
    enter_ring(t, now);
}

struct turn *turn_first(const struct shard *sh)
{
    struct list *n = list_first(&sh->ring);
    return n ? LIST_ENTRY(n, struct turn, node) : NULL;
}
