/* SPDX-License-Identifier: ISC */
/* Engines: birth, mails, ticks, end of turn, death. */
#include "session/hosts.h"
#include "session/ears.h"
#include "session/listener.h"
#include "session/peers.h"
#include "session/notes.h"
#include "session/lookup.h"
#include "session/proof.h"
#include "session/session.h"
#include "session/shares.h"
#include "session/starved.h"

#include "base/asan.h"
#include "base/check.h"
#include "auth/token.h"
#include "base/random.h"

#include <event2/event.h>
#include <stdlib.h>

#define ENGINE_MAGIC 0xe46123u
#define TICK_MS 100
#define PUBLISH_EVERY (300 * USEC_PER_MSEC)
#define DUE_TICK (100 * USEC_PER_MSEC)

/* ---- end of turn ---- */

static void end_of_turn(void *arg)
{
    struct engine *e = arg;
    struct list *n;

    dispatch_offers(e);
    while ((n = list_pop(&e->to_console)) != NULL)
        client_to_console(LIST_ENTRY(n, struct client, console_node));
    servers_bury(e);
    clients_bury(e);
}

void engine_turn(struct engine *e)
{
    loop_later_set(&e->loop, &e->turn);
}

/* ---- mails ---- */

struct mail_accept {
    struct mail mail;
    int fd;
    bool is_unix;
};

struct call {
    _Atomic int left;
    void (*fn)(struct engine *e, void *arg);
    void (*done)(void *arg);
    void *arg;
    struct hub *hub;
    struct mail done_mail;
};

struct mail_call {
    struct mail mail;
    struct call *call;
};

static struct shard *known_shard(struct engine *e, const struct pool *p)
{
    return p->index < e->n_shard_slots ? e->shard_by_pool[p->index] : NULL;
}

static void run_call(struct engine *e, struct call *call)
{
    call->fn(e, call->arg);
    if (atomic_fetch_sub(&call->left, 1) == 1)
        loop_post(call->hub->control, &call->done_mail);
}

static void want_server(struct engine *e, struct mail_pool *m)
{
    struct shard *sh = known_shard(e, m->pool);
    if (sh && list_empty(&sh->ring))
        shard_give(sh, m->from);
}

static bool is_full(const struct quota *q)
{
    int64_t max = atomic_load_explicit(&q->max, memory_order_relaxed);
    return max > 0 && quota_used(q) >= max;
}

/* Another worker needs a slot of a database's or user's limit: close an idle server of ours that
 * counts against the one that is full. */
static void evict_for(struct engine *e, struct mail_pool *m)
{
    const struct pool *p = m->pool;
    bool db_full = is_full(&p->db->servers), user_full = is_full(&p->user->servers);

    LIST_FOREACH(n, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        if (sh->pool == p || !((db_full && sh->pool->db == p->db) ||
                               (user_full && sh->pool->user == p->user)))
            continue;
        struct list *l = list_last(&sh->servers[SERVER_IDLE]);
        if (l) {
            server_close(LIST_ENTRY(l, struct server, node), NULL, "evicted");
            engine_tell(e->hub->engine[m->from], MAIL_SLOT, m->pool, e->id);
            return;
        }
    }
}

static void wake_for_policy(struct engine *e, struct db_ledger *db)
{
    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        if (!c->catalog_wait || !c->shard || c->shard->pool->db != db)
            continue;
        c->catalog_wait = false;
        if (client_at_login(c) && !atomic_load(&db->policy)) {
            client_close(c, "57P03", "the catalog of database \"%s\" could not be read",
                         c->db_name.p);
        } else if (client_at_login(c)) {
            client_login_resume(c);
        } else {
            c->catalog_asked = e->loop.now; /* what is unknown now is not asked for again at once,
                                               however long it took */
            conn_resume(c->conn);
            conn_reshow(c->conn);
        }
    }
    e->forced_done = false;
    /* servers of tenants whose pinned search path may be another now */
    LIST_FOREACH(n, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        if (sh->pool->db == db && sh->pool->guarded)
            for (int i = 0; i < SERVER_STATES; i++)
                LIST_FOREACH(k, &sh->servers[i]) {
                    struct server *s = LIST_ENTRY(k, struct server, node);
                    if (!s->listener &&
                        s->search_path_serial != atomic_load(&db->search_path_serial)) {
                        s->close_needed = true;
                        server_due(s);
                    }
                }
    }
}

static void on_mail(void *owner, struct mail *m)
{
    struct engine *e = owner;

    switch (m->kind) {
    case MAIL_ACCEPT:
        client_new(e, ((struct mail_accept *)m)->fd, ((struct mail_accept *)m)->is_unix);
        break;
    case MAIL_CALL:
        run_call(e, ((struct mail_call *)m)->call);
        break;
    case MAIL_SERVER:
        engine_take_server(e, (struct mail_server *)m);
        break;
    case MAIL_WANT:
        want_server(e, (struct mail_pool *)m);
        break;
    case MAIL_SLOT: {
        struct shard *sh = known_shard(e, ((struct mail_pool *)m)->pool);
        starved_wake_here(e, ((struct mail_pool *)m)->pool);
        if (sh)
            shard_pump(sh);
        break;
    }
    case MAIL_EVICT:
        evict_for(e, (struct mail_pool *)m);
        break;
    case MAIL_SHARE:
        shares_on_mail(e, (struct mail_share *)m);
        break;
    case MAIL_LOOKUP:
        client_looked_up(e, (struct mail_lookup *)m);
        break;
    case MAIL_PROOF:
        client_proof_came(e, (struct mail_proof *)m);
        break;
    case MAIL_CANCEL_DONE:
        cancel_answered(e, ((struct mail_cancel_done *)m)->client,
                        ((struct mail_cancel_done *)m)->timed_out);
        break;
    case MAIL_LISTEN:
        listener_mail(e, (struct mail_listen *)m); /* keeps it */
        return;
    case MAIL_HEARD:
    case MAIL_NOTE:
    case MAIL_DEAF:
        ears_mail(e, m);
        break;
    case MAIL_CANCEL: {
        struct mail_cancel *mc = (struct mail_cancel *)m;
        cancel_local(e, text_n((const char *)mc->key, mc->n), &mc->asker);
        break;
    }
    case MAIL_PEER:
        peers_on_mail(e, (struct mail_peer *)m);
        wipe(((struct mail_peer *)m)->key, CANCEL_KEY_LONG);
        break;
    case MAIL_POLICY:
        wake_for_policy(e, ((struct mail_policy *)m)->db);
        break;
    default:
        CHECK(!"no such mail");
    }
    free(m);
}

/* ---- ticks ---- */

/* Copies the tenant engine's counters where others may read them. */
static void publish_tenant_stats(struct engine *e)
{
    const struct tenant_stats *t = tenant_engine_stats(e->tenant);
    struct engine_stats *st = &e->stats;

#define PUBLISH(to, from) atomic_store_explicit(&st->to, t->from, memory_order_relaxed)
    PUBLISH(cache_hits, hits);
    PUBLISH(template_hits, template_hits);
    PUBLISH(cache_misses, misses);
    PUBLISH(cache_evictions, evictions);
    PUBLISH(cache_entries, entries);
    PUBLISH(cache_bytes, bytes);
    PUBLISH(parse_sum_us, parse_us_sum);
    PUBLISH(parse_count, parse_count);
    for (int i = 0; i < 9; i++)
        PUBLISH(parse_bucket[i], parse_bucket[i]);
#undef PUBLISH
}

static void on_tick(void *owner)
{
    struct engine *e = owner;

    if (e->suspended)
        return;
    dispatch_tick(e);
    shares_tick(e);
    hosts_tick(e);
    engine_reap(e);
    if (e->loop.now - e->last_reap >= PUBLISH_EVERY) {
        e->last_reap = e->loop.now;
        publish_tenant_stats(e);
    }
}

/* On the engine's thread, before the loop is released. */
static void on_end(void *owner)
{
    struct engine *e = owner;

    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        client_close(LIST_ENTRY(n, struct client, all), "57P01", "server shutting down");
    }
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        for (int i = 0; i < SERVER_STATES; i++)
            LIST_FOREACH_SAFE(k, knext, &sh->servers[i]) {
                server_close(LIST_ENTRY(k, struct server, node), NULL, "server shutting down");
            }
    }
    cancels_close(e);
    peers_close(e);
    end_of_turn(e);
    loop_later_stop(&e->turn);
}

static const struct loop_handler engine_loop = {
    .mail = on_mail,
    .tick = on_tick,
    .end = on_end,
};

/* ---- birth and death ---- */

static void init_lists(struct engine *e)
{
    list_init(&e->all_clients);
    list_init(&e->login_clients);
    list_init(&e->shards);
    list_init(&e->hungry);
    list_init(&e->starved[0]);
    list_init(&e->starved[1]);
    list_init(&e->offers);
    list_init(&e->to_console);
    list_init(&e->dead);
    list_init(&e->dead_servers);
    list_init(&e->cancels);
    list_init(&e->forwards);
    list_init(&e->peer_pools);
    list_init(&e->host_queue);
    map_init(&e->hosts);
    map_init(&e->cancel_keys);
    map_init(&e->stmts);
    map_init(&e->turns);
    map_init(&e->shares);
    list_init(&e->held_shares);
    slab_init(&e->clients, "client", sizeof(struct client));
    slab_init(&e->servers, "server", sizeof(struct server));
}

struct engine *engine_new(struct hub *h, int id, const struct setup *s, struct tls_ctx *client_tls,
                          struct tls_ctx *server_tls, struct err *err)
{
    struct engine *e = calloc(1, sizeof(*e));

    if (!e) {
        err_set(err, "out of memory");
        return NULL;
    }
    e->magic = ENGINE_MAGIC;
    e->id = id;
    e->hub = h;
    e->registry = &h->registry;
    e->setup = setup_ref(s);
    e->client_tls = client_tls ? tls_ctx_ref(client_tls) : NULL;
    e->server_tls = server_tls ? tls_ctx_ref(server_tls) : NULL;
    init_lists(e);
    if (!loop_init(&e->loop, id, h->log, &engine_loop, e, TICK_MS)) {
        err_set(err, "cannot set up worker %d: no descriptors or memory", id);
        free(e);
        return NULL;
    }
    e->loop.loopcnt = (int)s->g.sbuf_loopcnt;
    loop_at_once(&e->loop, s->g.pkt_buf);
    e->loop.now = clock_mono_us();
    wheel_init(&e->client_dues, DUE_TICK, e->loop.now);
    wheel_init(&e->server_dues, DUE_TICK, e->loop.now);
    wheel_init(&e->shard_dues, DUE_TICK, e->loop.now);
    struct resolver_opts ro = { .max_ttl = s->g.dns_max_ttl,
                                .nxdomain_ttl = s->g.dns_nxdomain_ttl,
                                .resolv_conf = *s->g.resolv_conf ? s->g.resolv_conf : NULL,
                                .fresh = hosts_answer,
                                .arg = e };
    e->resolver = resolver_new(&e->loop, &ro);
    struct tenant_engine_opts to = { .cache_bytes = (size_t)s->g.tenant_cache_size,
                                     .max_statement = (size_t)s->g.tenant_max_statement,
                                     .check_templates = BASE_SINGLE_MALLOCS };
    e->tenant = tenant_engine_new(&to);
    e->notes = notes_new();
    uint64_t seed[2];
    memcpy(seed, h->mock_seed, sizeof(seed));
    e->profiles = profiles_new((size_t)s->g.query_stats_max, seed, &e->stats);
    top_limit(&e->top, (int)s->g.metrics_top_tenants, e->loop.now);
    e->scram = scram_cache_new(h->mock_seed, (uint32_t)s->g.scram_iterations);
    e->tokens = token_keys_new(s->token_keys, s->n_token_keys, err);
    if (!e->tokens) {
        engine_free(e);
        return NULL;
    }
    loop_later_init(&e->turn, end_of_turn, e);
    if (!e->resolver || !e->tenant || !e->scram || !e->notes || !e->profiles) {
        err_set(err, "cannot set up worker %d: out of memory", id);
        engine_free(e);
        return NULL;
    }
    return e;
}

bool engine_start(struct engine *e)
{
    return loop_start(&e->loop, "worker");
}

void engine_stop(struct engine *e)
{
    loop_stop(&e->loop);
    loop_join(&e->loop);
}

void shard_free(struct shard *sh)
{
    due_clear(&sh->due);
    free(sh->failure);
    ears_release(sh);
    listener_release(sh);
    arena_release(&sh->db_arena);
    free(sh);
}

/* What others wrote about channels when this worker had ended. */
static void drop_mails(struct engine *e)
{
    struct mail *next;

    for (struct mail *m = mailbox_take(&e->loop.box); m; m = next) {
        next = m->next;
        if (m->kind >= MAIL_LISTEN && m->kind <= MAIL_DEAF)
            free(m);
    }
}

void engine_free(struct engine *e)
{
    struct list *n;

    while ((n = list_pop(&e->shards)) != NULL)
        shard_free(LIST_ENTRY(n, struct shard, node));
    free(e->shard_by_pool);
    if (e->resolver)
        resolver_free(e->resolver);
    hosts_release(e);
    drop_mails(e);
    loop_release(&e->loop);
    if (e->tenant)
        tenant_engine_free(e->tenant);
    notes_free(e->notes);
    profiles_free(e->profiles);
    token_keys_free(e->tokens);
    if (e->scram)
        scram_cache_free(e->scram);
    buf_release(&e->work);
    map_release(&e->cancel_keys);
    map_release(&e->stmts);
    map_release(&e->turns);
    map_release(&e->shares);
    slab_release(&e->clients);
    slab_release(&e->servers);
    tls_ctx_unref(e->client_tls);
    tls_ctx_unref(e->server_tls);
    setup_unref(e->setup);
    free(e);
}

/* ---- what the control thread asks for ---- */

void hub_accept(struct hub *h, int fd, bool is_unix)
{
    struct engine *best = h->engine[0];
    struct mail_accept *m = malloc(sizeof(*m));

    if (!m) {
        evutil_closesocket(fd);
        return;
    }
    for (int i = 1; i < h->n_engines; i++)
        if (atomic_load_explicit(&h->engine[i]->loop.load, memory_order_relaxed) <
            atomic_load_explicit(&best->loop.load, memory_order_relaxed))
            best = h->engine[i];
    atomic_fetch_add_explicit(&best->loop.load, 1, memory_order_relaxed);
    *m = (struct mail_accept){ .mail.kind = MAIL_ACCEPT, .fd = fd, .is_unix = is_unix };
    loop_post(&best->loop, &m->mail);
}

bool hub_call(struct hub *h, void (*fn)(struct engine *e, void *arg), void *arg,
              void (*done)(void *arg))
{
    struct call *call = calloc(1, sizeof(*call));
    struct mail_call *m[MAX_WORKERS];
    int n = 0;

    while (call && n < h->n_engines && (m[n] = calloc(1, sizeof(*m[n]))) != NULL)
        n++;
    if (!call || n < h->n_engines) {
        while (n > 0)
            free(m[--n]);
        free(call);
        return false;
    }
    call->fn = fn;
    call->done = done;
    call->arg = arg;
    call->hub = h;
    call->done_mail.kind = MAIL_CALL_DONE;
    atomic_store(&call->left, n);
    for (int i = 0; i < n; i++) {
        m[i]->mail.kind = MAIL_CALL;
        m[i]->call = call;
        loop_post(&h->engine[i]->loop, &m[i]->mail);
    }
    return true;
}

bool hub_control_mail(struct hub *h, struct mail *m)
{
    (void)h;
    if (m->kind != MAIL_CALL_DONE)
        return false;
    struct call *call = (struct call *)((char *)m - offsetof(struct call, done_mail));
    if (call->done)
        call->done(call->arg);
    free(call);
    return true;
}
