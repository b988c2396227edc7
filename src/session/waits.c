/* SPDX-License-Identifier: ISC */
/* What holds a waiting client up, the most particular reason first. */
#include "session/waits.h"

#include "session/session.h"

static bool paused(const struct shard *sh)
{
    return atomic_load_explicit(&sh->pool->db->paused, memory_order_relaxed) ||
           atomic_load_explicit(&sh->engine->registry->paused, memory_order_relaxed);
}

static bool pool_full(const struct pool *p)
{
    int64_t size = atomic_load_explicit(&p->size, memory_order_relaxed);

    return size > 0 && atomic_load_explicit(&p->servers, memory_order_relaxed) >= size;
}

const char *client_waits_for(const struct client *c)
{
    const struct shard *sh = c->shard;

    if (c->catalog_wait)
        return "catalog";
    if (c->engine->suspended)
        return "suspended";
    if (paused(sh))
        return "paused";
    if (c->in_turn && c->in_turn->parked)
        return "tenant_limit";
    if (list_linked(&sh->starved))
        return sh->starved_by == SLOT_DB_FULL ? "database_limit" : "user_limit";
    if (sh->failed_at && shard_servers(sh) == 0)
        return "server_down";
    if (sh->n_servers[SERVER_LOGIN] > 0)
        return "connecting";
    return pool_full(sh->pool) ? "pool" : "server";
}
