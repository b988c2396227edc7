/* SPDX-License-Identifier: ISC */
/* Lists of servers by state, and the one function that moves a server between them. */
#include "pool/shard.h"

#include "base/check.h"

#define BIT(s) (1u << SERVER_##s)

/* From which state to which. */
static const unsigned allowed[SERVER_STATES] = {
    [SERVER_LOGIN] = BIT(IDLE) | BIT(TESTED) | BIT(LISTENER) | BIT(ACTIVE) | BIT(DEAD),
    [SERVER_IDLE] = BIT(ACTIVE) | BIT(USED) | BIT(HANDOVER) | BIT(DEAD) | BIT(TESTED),
    [SERVER_USED] = BIT(TESTED) | BIT(DEAD) | BIT(IDLE) | BIT(HANDOVER),
    [SERVER_TESTED] = BIT(IDLE) | BIT(LISTENER) | BIT(DEAD),
    [SERVER_ACTIVE] = BIT(IDLE) | BIT(TESTED) | BIT(BEING_CANCELED) | BIT(DEAD),
    [SERVER_BEING_CANCELED] = BIT(IDLE) | BIT(TESTED) | BIT(DEAD),
    [SERVER_LISTENER] = BIT(DEAD),
    [SERVER_HANDOVER] = BIT(IDLE) | BIT(DEAD),
    [SERVER_DEAD] = 0,
};

const char *server_state_name(enum server_state s)
{
    static const char *const names[] = {
#define SERVER_STATE(name, show) show,
#include "pool/server_state.def"
    };
    return names[s];
}

static bool counts_as_idle(enum server_state s)
{
    return s == SERVER_IDLE || s == SERVER_USED;
}

static void count_idle(struct server *s, int by)
{
    struct shard *sh = s->shard;
    atomic_fetch_add(&sh->pool->worker[s->conn->loop->id].idle, by);
}

void server_set_state(struct server *s, enum server_state to)
{
    struct shard *sh = s->shard;
    enum server_state from = s->state;

    CHECK(s->magic == SERVER_MAGIC);
    CHECK(allowed[from] & (1u << to));
    list_del(&s->node);
    sh->n_servers[from]--;
    if (counts_as_idle(from) && !counts_as_idle(to))
        count_idle(s, -1);
    s->state = to;
    if (to == SERVER_IDLE || to == SERVER_ACTIVE)
        list_push_head(&sh->servers[to], &s->node);
    else
        list_push_tail(&sh->servers[to], &s->node);
    sh->n_servers[to]++;
    if (!counts_as_idle(from) && counts_as_idle(to))
        count_idle(s, 1);
}

struct server *shard_server_new(struct shard *sh, struct slab *slab)
{
    struct server *s = slab_get(slab);
    if (!s)
        return NULL;
    s->magic = SERVER_MAGIC;
    s->shard = sh;
    s->state = SERVER_LOGIN;
    due_init(&s->due);
    list_push_tail(&sh->servers[SERVER_LOGIN], &s->node);
    sh->n_servers[SERVER_LOGIN]++;
    return s;
}

void shard_note_waiting(struct shard *sh, int worker, usec_t oldest)
{
    struct pool *p = sh->pool;
    uint64_t bit = UINT64_C(1) << worker;
    usec_t before = atomic_load_explicit(&p->worker[worker].oldest, memory_order_relaxed);

    if (before == oldest)
        return;
    atomic_store_explicit(&p->worker[worker].oldest, oldest, memory_order_relaxed);
    if (oldest && !before)
        atomic_fetch_or(&p->waiting, bit);
    else if (!oldest)
        atomic_fetch_and(&p->waiting, ~bit);
}

int shard_servers(const struct shard *sh)
{
    int n = 0;
    for (int i = 0; i < SERVER_STATES; i++)
        if (i != SERVER_DEAD && i != SERVER_LISTENER)
            n += sh->n_servers[i];
    return n;
}
