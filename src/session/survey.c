/* SPDX-License-Identifier: ISC */
/* Counts over all workers: each fills a survey of its own, the control thread adds them up. */
#include "session/survey.h"

#include "base/check.h"

#include <stdlib.h>

struct run {
    struct hub *hub;
    void (*done)(void *arg, const struct survey *s);
    void *arg;
    bool failed[MAX_WORKERS];
    struct survey part[MAX_WORKERS];
};

static void sooner(usec_t *to, usec_t at)
{
    if (at && (!*to || at < *to))
        *to = at;
}

/* Those that have a server are as few as servers. A stream of replication has no end. */
static void look_at_active(const struct shard *sh, struct survey_pool *p)
{
    LIST_FOREACH(n, &sh->active) {
        const struct client *c = LIST_ENTRY(n, struct client, node);
        if (c->replication)
            continue;
        sooner(&p->oldest_xact, c->xact_at);
        sooner(&p->oldest_query, c->query_at);
    }
}

static void count_shard(const struct shard *sh, struct survey_pool *p)
{
    p->pool = sh->pool;
    p->cl_active = sh->n_active;
    p->cl_idle = sh->n_idle_clients;
    p->cl_waiting = sh->n_waiting;
    p->cancels = sh->n_cancel_active;
    for (int i = 0; i < SERVER_STATES; i++)
        p->sv[i] = sh->n_servers[i];
    struct list *first = list_first(&sh->waiting);
    look_at_active(sh, p);
    p->oldest = first ? LIST_ENTRY(first, struct client, node)->wait_at : 0;
}

static void count_engine(struct engine *e, void *arg)
{
    struct run *r = arg;
    struct survey *s = &r->part[e->id];

    s->clients = e->n_clients;
    s->logins = e->n_login;
    s->free_clients = e->clients.free_count;
    s->free_servers = e->servers.free_count;
    s->used_servers = e->servers.used;
    s->client_bytes = e->clients.size;
    s->server_bytes = e->servers.size;
    s->used_clients = e->clients.used;
    s->scratch_bytes = LOOP_SCRATCH;
    s->stmts = map_count(&e->stmts);
    s->verdicts = tenant_engine_stats(e->tenant)->entries;
    s->verdict_bytes = tenant_engine_stats(e->tenant)->bytes;
    LIST_FOREACH(n, &e->peer_pools) {
        s->peer_pools++;
    }
    s->dns_names = resolver_names(e->resolver);
    s->dns_pending = resolver_pending(e->resolver);
    LIST_FOREACH(n, &e->shards) {
        int index = LIST_ENTRY(n, struct shard, node)->pool->index;
        if (index >= s->n_pools)
            s->n_pools = index + 1;
    }
    if (s->n_pools == 0)
        return;
    s->pools = calloc((size_t)s->n_pools, sizeof(*s->pools));
    if (!s->pools) {
        r->failed[e->id] = true;
        return;
    }
    LIST_FOREACH(n, &e->shards) {
        const struct shard *sh = LIST_ENTRY(n, struct shard, node);
        count_shard(sh, &s->pools[sh->pool->index]);
    }
}

static void add_pool(struct survey_pool *to, const struct survey_pool *from)
{
    if (!from->pool)
        return;
    to->pool = from->pool;
    to->cl_active += from->cl_active;
    to->cl_idle += from->cl_idle;
    to->cl_waiting += from->cl_waiting;
    to->cancels += from->cancels;
    for (int i = 0; i < SERVER_STATES; i++)
        to->sv[i] += from->sv[i];
    sooner(&to->oldest, from->oldest);
    sooner(&to->oldest_query, from->oldest_query);
    sooner(&to->oldest_xact, from->oldest_xact);
}

static void add_part(struct survey *to, const struct survey *from)
{
    to->clients += from->clients;
    to->logins += from->logins;
    to->free_clients += from->free_clients;
    to->free_servers += from->free_servers;
    to->used_servers += from->used_servers;
    to->client_bytes = from->client_bytes;
    to->server_bytes = from->server_bytes;
    to->used_clients += from->used_clients;
    to->scratch_bytes = from->scratch_bytes;
    to->stmts += from->stmts;
    to->verdicts += from->verdicts;
    to->verdict_bytes += from->verdict_bytes;
    to->peer_pools += from->peer_pools;
    to->dns_names += from->dns_names;
    to->dns_pending += from->dns_pending;
    for (int i = 0; i < from->n_pools; i++)
        add_pool(&to->pools[i], &from->pools[i]);
}

static void sum_up(void *arg)
{
    struct run *r = arg;
    struct survey all = { .now = clock_mono_us() };
    bool ok = true;

    for (int i = 0; i < r->hub->n_engines; i++) {
        ok &= !r->failed[i];
        if (r->part[i].n_pools > all.n_pools)
            all.n_pools = r->part[i].n_pools;
    }
    all.pools = calloc((size_t)all.n_pools + 1, sizeof(*all.pools));
    ok &= all.pools != NULL;
    for (int i = 0; i < r->hub->n_engines; i++) {
        if (ok)
            add_part(&all, &r->part[i]);
        free(r->part[i].pools);
    }
    r->done(r->arg, ok ? &all : NULL);
    free(all.pools);
    free(r);
}

void survey_run(struct hub *h, void (*done)(void *arg, const struct survey *s), void *arg)
{
    struct run *r = calloc(1, sizeof(*r));

    if (!r) {
        done(arg, NULL);
        return;
    }
    r->hub = h;
    r->done = done;
    r->arg = arg;
    if (!hub_call(h, count_engine, r, sum_up)) {
        free(r);
        done(arg, NULL);
    }
}
