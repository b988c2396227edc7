/* SPDX-License-Identifier: ISC */
/* Tenants' limits, and the turns of their waiting clients. */
#include "session/shares.h"

#include "base/check.h"

#include <stdlib.h>

/* ---- a worker's view ---- */

static struct text share_key(struct share *const *s)
{
    return text_n((const char *)s, sizeof(*s));
}

static struct text turn_key(const struct turn_key *k)
{
    return text_n((const char *)k, sizeof(*k));
}

/* The reference on the share is taken over when it was not known here, else given back. */
static struct share_here *here_get(struct engine *e, struct share *share)
{
    struct share_here *h = map_get(&e->shares, share_key(&share));

    if (h) {
        share_unref(e->registry, share);
        return h;
    }
    h = calloc(1, sizeof(*h));
    if (!h) {
        share_unref(e->registry, share);
        return NULL;
    }
    h->share = share;
    list_init(&h->parked);
    list_init(&h->node);
    map_put(&e->shares, share_key(&h->share), h);
    return h;
}

static void here_put(struct engine *e, struct share_here *h)
{
    if (h->turns > 0)
        return;
    CHECK(list_empty(&h->parked));
    list_del(&h->node);
    map_del(&e->shares, share_key(&h->share));
    share_unref(e->registry, h->share);
    free(h);
}

static struct turn *turn_get(struct engine *e, struct shard *sh, struct share_here *h)
{
    struct turn_key key = { sh, h->share };
    struct turn *t = map_get(&e->turns, turn_key(&key));

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    turn_init(t, sh, h);
    h->turns++;
    map_put(&e->turns, turn_key(&t->key), t);
    return t;
}

static void turn_put(struct engine *e, struct turn *t)
{
    struct share_here *h = t->here;

    if (t->refs > 0)
        return;
    CHECK(t->n == 0);
    map_del(&e->turns, turn_key(&t->key));
    free(t);
    h->turns--;
    here_put(e, h);
}

/* ---- clients ---- */

static void set_limits(struct engine *e, struct share *s)
{
    struct arena scratch;

    arena_init(&scratch, 1024);
    const struct database_conf *db = setup_database(e->setup, s->db->name, &scratch);
    if (db) {
        struct tenant_limits lim = setup_tenant_limits(e->setup, db, s->tenant);
        atomic_store(&s->servers.max, lim.servers);
        atomic_store(&s->clients.max, lim.clients);
    }
    arena_release(&scratch);
}

static bool join(struct client *c, struct text tenant, struct err *e)
{
    struct engine *en = c->engine;
    struct share *s = share_get(en->registry, c->shard->pool->db, tenant);

    if (!s)
        return err_set_state(e, "53200", "out of memory");
    set_limits(en, s);
    if (c->turn->here && c->turn->here->share == s) {
        share_unref(en->registry, s);
        return true;
    }
    if (!quota_take(&s->clients)) {
        share_unref(en->registry, s);
        return err_set_state(e, "53300",
                             "client connections exceeded (max_tenant_client_connections)");
    }
    share_ref(s); /* kept until its place is given back */
    struct share_here *h = here_get(en, s);
    struct turn *t = h ? turn_get(en, c->shard, h) : NULL;
    if (!t) {
        if (h)
            here_put(en, h);
        quota_put(&s->clients);
        share_unref(en->registry, s);
        return err_set_state(e, "53200", "out of memory");
    }
    share_unref(en->registry, s);
    t->refs++;
    client_share_leave(c);
    c->turn = t;
    return true;
}

bool client_share_join(struct client *c, struct err *e)
{
    CHECK(c->shard && !list_linked(&c->turn_node));
    if (!c->turn)
        c->turn = &c->shard->none;
    if (c->identity.bound && !c->exempt)
        return join(c, c->identity.claims[0].value, e);
    client_share_leave(c);
    c->turn = &c->shard->none;
    return true;
}

struct text client_share_detail(const struct client *c, struct arena *a)
{
    struct text tenant = c->identity.bound ? c->identity.claims[0].value : TEXT("");
    return arena_printf(a,
                        "Tenant \"%.*s\" has as many connections to database \"%.*s\" as it may.",
                        TEXT_ARG(tenant), TEXT_ARG(c->db_name));
}

void client_share_leave(struct client *c)
{
    struct turn *t = c->turn;

    c->turn = NULL;
    if (!t || !t->here)
        return;
    CHECK(!list_linked(&c->turn_node));
    quota_put(&t->here->share->clients);
    t->refs--;
    turn_put(c->engine, t);
}

/* ---- whose turn ---- */

struct client *shares_next(struct shard *sh)
{
    struct turn *t;

    while ((t = turn_first(sh)) != NULL) {
        if (!t->here || !share_is_full(t->here->share))
            return LIST_ENTRY(list_first(&t->clients), struct client, turn_node);
        if (turn_park(t, sh->engine->id) && !list_linked(&t->here->node))
            list_push_tail(&sh->engine->held_shares, &t->here->node);
    }
    return NULL;
}

bool server_share_take(struct server *s, struct client *c)
{
    struct turn *t = c->turn;

    CHECK(!s->share);
    if (client_at_login(c) || !t || !t->here)
        return true;
    if (!quota_take(&t->here->share->servers))
        return false;
    s->share = t->here->share;
    return true;
}

/* Turns go back into their rings; their shards look for servers at the end of this turn of the
 * loop. all: each of them, else one. */
static void wake(struct engine *e, struct share_here *h, bool all)
{
    struct list *n;

    while ((n = list_first(&h->parked)) != NULL) {
        struct turn *t = LIST_ENTRY(n, struct turn, node);
        turn_unpark(t, e->id, e->loop.now);
        if (!list_linked(&t->shard->offer))
            list_push_tail(&e->offers, &t->shard->offer);
        if (!all)
            break;
    }
    if (list_empty(&h->parked))
        list_del(&h->node);
    engine_turn(e);
}

/* A place became free: the next worker with clients that wait for one is told. */
static void pass_on(struct engine *e, struct share *s)
{
    int w = share_next_held(s, e->id);
    struct mail_share *m;

    if (w == e->id) {
        struct share_here *h = map_get(&e->shares, share_key(&s));
        if (h)
            wake(e, h, false);
    } else if (w >= 0 && (m = malloc(sizeof(*m))) != NULL) {
        *m = (struct mail_share){ .mail.kind = MAIL_SHARE, .share = s };
        share_ref(s);
        loop_post(&e->hub->engine[w]->loop, &m->mail);
    }
}

void server_share_put(struct server *s)
{
    struct share *share = s->share;

    if (!share)
        return;
    s->share = NULL;
    quota_put(&share->servers);
    pass_on(s->shard->engine, share);
}

void shares_on_mail(struct engine *e, struct mail_share *m)
{
    struct share_here *h = map_get(&e->shares, share_key(&m->share));

    if (h && !list_empty(&h->parked))
        wake(e, h, false);
    else
        pass_on(e, m->share); /* who waited here does not any more */
    share_unref(e->registry, m->share);
}

void shares_tick(struct engine *e)
{
    LIST_FOREACH_SAFE(n, next, &e->held_shares) {
        struct share_here *h = LIST_ENTRY(n, struct share_here, node);
        if (list_empty(&h->parked))
            list_del(&h->node);
        else if (!share_is_full(h->share))
            wake(e, h, true);
    }
}

void shares_refresh(struct engine *e)
{
    size_t pos = 0;
    void *value;

    while (map_next(&e->shares, &pos, NULL, &value))
        set_limits(e, ((struct share_here *)value)->share);
}
