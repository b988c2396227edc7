/* SPDX-License-Identifier: ISC */
/* The line of pools in front of a limit of their database or user. */
#include "session/starved.h"

#include "base/check.h"

/* For so long a pool whose own clients wait keeps a server that was opened for it: opening one
 * costs far more than a query. */
#define SLICE (100 * USEC_PER_MSEC)

static struct hunger *hunger_of(const struct shard *sh)
{
    return sh->starved_by == SLOT_DB_FULL ? &sh->pool->db->hunger : &sh->pool->user->hunger;
}

void starved_mark(struct shard *sh, enum slot full, usec_t since)
{
    struct engine *e = sh->engine;
    int rank = atomic_load(&sh->pool->servers) > 0;

    if (list_linked(&sh->starved) && (sh->starved_by != full || sh->starved_rank != rank))
        starved_clear(sh);
    if (!list_linked(&sh->starved))
        list_push_tail(&e->starved[rank], &sh->starved);
    sh->starved_by = full;
    sh->starved_rank = rank;
    struct hunger *h = hunger_of(sh);
    atomic_fetch_or(&h->workers[rank], UINT64_C(1) << e->id);
    if (rank > 0)
        return; /* nobody has to give anything up for it */
    usec_t oldest = atomic_load(&h->since);
    while ((!oldest || since < oldest) && !atomic_compare_exchange_weak(&h->since, &oldest, since))
        ;
}

/* The first of that rank in front of the limit. */
static struct shard *first_of(const struct engine *e, int rank, const struct hunger *h)
{
    LIST_FOREACH(n, &e->starved[rank]) {
        struct shard *sh = LIST_ENTRY(n, struct shard, starved);
        if (hunger_of(sh) == h)
            return sh;
    }
    return NULL;
}

void starved_clear(struct shard *sh)
{
    struct engine *e = sh->engine;
    struct hunger *h = hunger_of(sh);
    uint64_t bit = UINT64_C(1) << e->id;
    int rank = sh->starved_rank;

    list_del(&sh->starved);
    if (first_of(e, rank, h))
        return;
    if ((atomic_fetch_and(&h->workers[rank], ~bit) & ~bit) == 0 && rank == 0)
        atomic_store(&h->since, 0);
}

bool starved_may_ask(const struct shard *sh)
{
    if (!list_linked(&sh->starved))
        return true;
    const struct shard *first = first_of(sh->engine, 0, hunger_of(sh));
    if (!first)
        first = first_of(sh->engine, 1, hunger_of(sh));
    return first == sh;
}

static bool claims(const struct server *s, struct hunger *h)
{
    const struct pool *p = s->shard->pool;
    usec_t since = atomic_load_explicit(&h->since, memory_order_relaxed);

    if (!since)
        return false;
    int w = pool_oldest_waiter(p);
    if (w >= 0) {
        usec_t own = atomic_load_explicit(&p->worker[w].oldest, memory_order_relaxed);
        if (s->shard->engine->loop.now - s->connected_at < SLICE || (own && own <= since))
            return false;
    }
    return atomic_exchange(&h->since, 0) != 0; /* one server for one who waits */
}

bool starved_claims(const struct server *s)
{
    const struct pool *p = s->shard->pool;

    return claims(s, &p->db->hunger) || claims(s, &p->user->hunger);
}

void starved_wake_here(struct engine *e, const struct pool *p)
{
    struct shard *sh = NULL;

    for (int rank = 0; !sh && rank < 2; rank++) {
        sh = first_of(e, rank, &p->db->hunger);
        if (!sh)
            sh = first_of(e, rank, &p->user->hunger);
    }
    if (!sh)
        return;
    if (!list_linked(&sh->offer)) /* it looks for a server at the end of the turn */
        list_push_tail(&e->offers, &sh->offer);
    engine_turn(e);
}

bool starved_wake(struct engine *e, const struct pool *p)
{
    uint64_t bits = 0;

    for (int rank = 0; !bits && rank < 2; rank++)
        bits =
            atomic_load(&p->db->hunger.workers[rank]) | atomic_load(&p->user->hunger.workers[rank]);
    uint64_t behind = e->id < 63 ? bits & ~((UINT64_C(2) << e->id) - 1) : 0;
    if (!bits)
        return false;
    int w = __builtin_ctzll(behind ? behind : bits);
    if (w == e->id)
        starved_wake_here(e, p);
    else
        engine_tell(e->hub->engine[w], MAIL_SLOT, (struct pool *)(uintptr_t)p, e->id);
    return true;
}
