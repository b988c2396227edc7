/* SPDX-License-Identifier: ISC */
/*
 * Who gets which server: own idle one, a slot of the ledger for a new one, an idle one of another
 * worker, or a place in the queue. The waiting bit is raised before others' idle counts are read,
 * and idle counts are raised before the waiting bits are read, so that no wake-up is lost.
 */
#include "session/binding.h"
#include "session/hosts.h"
#include "session/replica.h"
#include "session/session.h"
#include "session/shares.h"
#include "session/starved.h"
#include "session/state.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STARTING_RETRY (300 * USEC_PER_MSEC)

/* ---- shards ---- */

static bool grow_slots(struct engine *e, int index)
{
    if (index < e->n_shard_slots)
        return true;
    int n = e->n_shard_slots ? e->n_shard_slots : 16;
    while (n <= index)
        n *= 2;
    struct shard **p = realloc(e->shard_by_pool, sizeof(*p) * (size_t)n);
    if (!p)
        return false;
    for (int i = e->n_shard_slots; i < n; i++)
        p[i] = NULL;
    e->shard_by_pool = p;
    e->n_shard_slots = n;
    return true;
}

void shard_refresh(struct engine *e, struct shard *sh)
{
    struct pool *p = sh->pool;

    arena_clear(&sh->db_arena);
    sh->db = setup_database(e->setup, p->db_name, &sh->db_arena);
    if (!sh->db)
        return;
    setup_limits(e->setup, sh->db, setup_user(e->setup, p->user_name), &sh->limits);
    atomic_store(&p->size, sh->limits.pool_size);
    atomic_store(&p->reserve, sh->limits.reserve_pool_size);
    atomic_store(&p->min_size, sh->limits.min_pool_size);
    atomic_store(&p->pool_mode, sh->limits.pool_mode);
    atomic_store(&p->db->servers.max, sh->limits.max_db_connections);
    atomic_store(&p->db->clients.max, sh->limits.max_db_client_connections);
    atomic_store(&p->user->servers.max, sh->limits.max_user_connections);
}

struct shard *engine_shard(struct engine *e, struct pool *p)
{
    if (!grow_slots(e, p->index))
        return NULL;
    struct shard *sh = e->shard_by_pool[p->index];
    if (sh)
        return sh;
    sh = calloc(1, sizeof(*sh));
    if (!sh)
        return NULL;
    sh->pool = p;
    sh->engine = e;
    sh->used_at = e->loop.now;
    due_init(&sh->due);
    list_init(&sh->starved);
    list_init(&sh->hungry);
    list_init(&sh->offer);
    list_init(&sh->waiting);
    list_init(&sh->ring);
    turn_init(&sh->none, sh, NULL);
    list_init(&sh->active);
    list_init(&sh->idle_clients);
    for (int i = 0; i < SERVER_STATES; i++)
        list_init(&sh->servers[i]);
    arena_init(&sh->db_arena, 1024);
    shard_refresh(e, sh);
    list_push_tail(&e->shards, &sh->node);
    e->shard_by_pool[p->index] = sh;
    atomic_fetch_add(&p->shards, 1);
    atomic_fetch_add(&p->db->shards, 1);
    atomic_store(&p->db->inactive, false);
    shard_due(sh);
    return sh;
}

void shard_drop(struct shard *sh)
{
    struct engine *e = sh->engine;
    struct pool *p = sh->pool;

    CHECK(sh->n_clients == 0 && shard_servers(sh) == 0 && list_empty(&sh->waiting));
    if (atomic_fetch_sub(&p->shards, 1) == 1) { /* the last worker's part */
        log_info(e->hub->log, "%.*s/%.*s: cleaning up idle pool", TEXT_ARG(p->db_name),
                 TEXT_ARG(p->user_name));
        pool_welcome_put(p, NULL);
    }
    if (atomic_fetch_sub(&p->db->shards, 1) == 1 && sh->db && sh->db->is_auto) {
        atomic_store(&p->db->inactive, true);
        log_info(e->hub->log,
                 "dropping database '%.*s' as it does not exist anymore or inactive auto-database",
                 TEXT_ARG(p->db_name));
    }
    list_del(&sh->node);
    e->shard_by_pool[p->index] = NULL;
    shard_free(sh);
}

/* ---- mails ---- */

void engine_tell(struct engine *to, int kind, struct pool *p, int from)
{
    struct mail_pool *m = malloc(sizeof(*m));
    if (!m)
        return;
    *m = (struct mail_pool){ .mail.kind = kind, .pool = p, .from = from };
    loop_post(&to->loop, &m->mail);
}

/* Hands an idle server to another worker. */
static void give_away(struct server *s, int worker)
{
    struct engine *e = s->shard->engine;
    struct mail_server *m = malloc(sizeof(*m));
    if (!m)
        return;
    server_count_bytes(s);
    due_clear(&s->due);
    server_set_state(s, SERVER_HANDOVER);
    list_del(&s->node);
    s->shard->n_servers[SERVER_HANDOVER]--;
    struct server *copy = malloc(sizeof(*copy));
    if (!copy) {
        list_push_tail(&s->shard->servers[SERVER_HANDOVER], &s->node);
        s->shard->n_servers[SERVER_HANDOVER]++;
        server_set_state(s, SERVER_IDLE);
        server_due(s);
        free(m);
        return;
    }
    CHECK(pending_empty(s->pending) && !s->client && s->cancels == 0 && s->left == 0);
    conn_detach(s->conn);
    hosts_forget(s);
    *copy = *s;
    s->shard->used_at = e->loop.now;
    shard_due(s->shard);
    s->magic = 0;
    slab_put(&e->servers, s);
    *m = (struct mail_server){ .mail.kind = MAIL_SERVER,
                               .pool = copy->shard->pool,
                               .conn = copy->conn,
                               .server = copy,
                               .generation = e->setup->generation,
                               .replaced = e->replaced };
    loop_post(&e->hub->engine[worker]->loop, &m->mail);
}

void engine_take_server(struct engine *e, struct mail_server *m)
{
    struct server *copy = m->server;
    struct shard *sh = engine_shard(e, m->pool);
    struct server *s = sh ? slab_get(&e->servers) : NULL;

    if (!s || !conn_attach(copy->conn, &e->loop, &server_handler, s)) {
        conn_close(copy->conn);
        pending_release(copy->pending);
        free(copy->pending);
        server_stmts_free(copy->stmts);
        vars_release(copy->vars, &e->hub->var_names);
        free(copy->vars);
        free(copy->guc);
        free(copy->set_undo);
        state_free_server(copy);
        pool_slot_put(m->pool);
        if (s)
            slab_put(&e->servers, s);
        free(copy);
        return;
    }
    *s = *copy;
    free(copy);
    s->shard = sh;
    due_init(&s->due);
    hosts_watch(s);
    list_init(&s->node);
    list_push_tail(&sh->servers[SERVER_HANDOVER], &s->node);
    sh->n_servers[SERVER_HANDOVER]++;
    server_set_state(s, SERVER_IDLE);
    if (m->generation != e->setup->generation || m->replaced != e->replaced)
        s->close_needed = true; /* it was on its way while the others of the pool were marked */
    server_due(s);
    const char *why = server_worn_out(s);
    if (why)
        server_close(s, NULL, "%s", why);
    else
        shard_offer(sh, s);
}

/* ---- waiting ---- */

static void note_waiting(struct shard *sh)
{
    const struct turn *first = turn_first(sh);
    usec_t at = 0;

    if (first) /* workers compare: a tenant's turn, and the age of who has none */
        at = first->here
                 ? first->since
                 : LIST_ENTRY(list_first(&first->clients), struct client, turn_node)->wait_at;

    shard_note_waiting(sh, sh->engine->id, at);
    if (first && !list_linked(&sh->hungry))
        list_push_tail(&sh->engine->hungry, &sh->hungry);
    else if (!first && list_linked(&sh->hungry))
        list_del(&sh->hungry);
    if (!first && list_linked(&sh->starved))
        starved_clear(sh);
}

static bool paused(const struct shard *sh)
{
    return atomic_load_explicit(&sh->pool->db->paused, memory_order_relaxed) ||
           atomic_load_explicit(&sh->engine->registry->paused, memory_order_relaxed);
}

/* May the server refuse values of the client, of parameters as the bits say? Those of the startup
 * packet that no server has seen yet; and others where the server came since the last one that was
 * asked, or may be another host: what one takes another may not. */
static bool may_refuse(const struct client *c, const struct server *s, uint32_t mask)
{
    if (c->unproven)
        return true;
    if (!(mask & ~(UINT32_C(1) << VAR_APPLICATION_NAME)))
        return false; /* no server refuses that */
    return s->connected_at >= c->proven_at || (c->shard->db && c->shard->db->n_hosts > 1);
}

/* Makes the server's parameters those of the client, in the same write as the client's first
 * message. That message waits for the answer when a reported one may be refused. Nothing runs
 * behind a state (state.h) that is refused. */
static bool sync_vars(struct client *c, struct server *s)
{
    struct buf sql;
    uint32_t mask = 0;
    bool ok = binding_set(c, s); /* on its own: a SET that fails must not take it back */

    buf_init(&sql);
    if (ok)
        vars_diff(&c->vars, s->vars, &c->engine->hub->var_names, &sql, &mask);
    if (ok && (buf_len(&sql) || sql.failed)) {
        ok = !sql.failed && server_own_query(s, buf_text(&sql), mask);
        if (ok && may_refuse(c, s, mask)) {
            c->proven_at = c->engine->loop.now;
            pending_last(s->pending)->note = NOTE_PROVEN;
            s->proving = true;
        }
    }
    c->unproven = false;
    buf_release(&sql);
    return ok && state_diff(c, s);
}

void shard_served(struct client *c)
{
    struct engine *e = c->engine;
    struct db_stats *st = shard_stats(c->shard, e);

    if (c->state == CLIENT_WAITING) {
        usec_t waited = e->loop.now > c->wait_at ? e->loop.now - c->wait_at : 0;
        stat_add(&st->wait_us, waited);
        c->slow_wait = waited;
        stat_observe(&st->wait, waited);
        c->waited = waited;
    } else {
        c->waited = 0;
        stat_observe(&st->wait, 0);
    }
    stat_inc(&st->assignments);
    if (c->state == CLIENT_WAITING)
        turn_served(c->in_turn, e->loop.now);
}

void client_assign(struct client *c, struct server *s)
{
    struct engine *e = c->engine;

    /* who asks inside its input handler goes on there */
    bool served_at_once = c->state == CLIENT_IDLE && c->conn->in_input && !c->replication;

    CHECK(pending_empty(s->pending) && !s->client && !c->server && s->left == 0);
    shard_served(c);
    client_set_state(c, CLIENT_ACTIVE);
    note_waiting(c->shard);
    server_set_state(s, SERVER_ACTIVE);
    c->server = s;
    s->client = c;
    s->assigned_at = s->request_at = e->loop.now;
    s->checked = false;
    if (client_at_login(c)) {
        client_login_resume(
            c); /* it wanted to know the server's parameters, and lets it go again */
        return;
    }
    if (!sync_vars(c, s)) {
        server_close(s, "53200", "out of memory");
        return;
    }
    conn_resume(c->conn);
    if (!served_at_once)
        conn_reshow(c->conn);
}

/* An idle server fit for use now; NULL when there is none (one may have been sent to be checked).
 */
static struct server *take_idle(struct shard *sh)
{
    const struct settings *g = &sh->engine->setup->g;
    struct list *n;

    while ((n = g->server_round_robin ? list_last(&sh->servers[SERVER_IDLE])
                                      : list_first(&sh->servers[SERVER_IDLE])) != NULL) {
        struct server *s = LIST_ENTRY(n, struct server, node);
        if (s->close_needed || !server_path_current(s)) {
            server_close(s, NULL, "obsolete connection");
            continue;
        }
        usec_t idle = sh->engine->loop.now - s->released_at;
        if (idle > g->server_check_delay && *g->server_check_query && !s->checked) {
            struct text q = text_is(text_of(g->server_check_query), "<empty>")
                                ? TEXT("")
                                : text_of(g->server_check_query);
            server_set_state(s, SERVER_TESTED);
            s->checked = true; /* until it is used */
            s->request_at = sh->engine->loop.now;
            server_due(s);
            if (!server_own_query(s, q, 0))
                server_close(s, NULL, "out of memory");
            continue;
        }
        return s;
    }
    return NULL;
}

/* Nobody waits and there is an idle server: without a place in the queue. */
static bool serve_at_once(struct client *c)
{
    struct shard *sh = c->shard;

    if (c->state != CLIENT_IDLE || client_at_login(c) || sh->pumping || !list_empty(&sh->waiting) ||
        !sh->db || paused(sh))
        return false;
    sh->pumping = true;
    struct server *s = take_idle(sh);
    bool ok = s && server_share_take(s, c);
    if (ok)
        client_assign(c, s);
    sh->pumping = false;
    return ok;
}

void shard_wait(struct client *c)
{
    if (serve_at_once(c))
        return;
    c->wait_at = c->engine->loop.now;
    c->notified_wait = false;
    client_set_state(c, CLIENT_WAITING);
    note_waiting(c->shard);
    shard_pump(c->shard);
}

void shard_unwait(struct client *c)
{
    struct shard *sh = c->shard;
    client_set_state(c, client_at_login(c) ? CLIENT_LOGIN : CLIENT_IDLE);
    note_waiting(sh);
}

/* The longest waiting client of the shard, whosever turn it is. */
static struct client *first_waiting(struct shard *sh)
{
    struct list *n = list_first(&sh->waiting);
    return n ? LIST_ENTRY(n, struct client, node) : NULL;
}

/* Servers that log in, for whoever will wait then. */
static int logging_in(const struct shard *sh)
{
    return sh->n_servers[SERVER_LOGIN] - sh->n_own_logins;
}

/* Do more clients wait that may have a server than servers are coming? */
static bool wants_more(const struct shard *sh)
{
    int64_t coming = logging_in(sh) + sh->n_servers[SERVER_TESTED], want = 0;
    int looked = 0;

    LIST_FOREACH(n, &sh->ring) {
        const struct turn *t = LIST_ENTRY(n, struct turn, node);
        const struct quota *q = t->here ? &t->here->share->servers : NULL;
        int64_t max = q ? atomic_load_explicit(&q->max, memory_order_relaxed) : 0;
        int64_t room = max > 0 ? max - quota_used(q) : INT64_MAX;
        want += t->n < room ? t->n : room > 0 ? room : 0;
        if (want > coming)
            return true;
        if (++looked > coming + 64)
            break; /* so many tenants at their limits: not worth the walk */
    }
    return false;
}

/* Closes the longest idle server of another pool that counts against the same full limit. */
static bool evict(struct shard *sh, enum slot full)
{
    struct server *oldest = NULL;

    LIST_FOREACH(n, &sh->engine->shards) {
        struct shard *o = LIST_ENTRY(n, struct shard, node);
        if (o == sh ||
            (full == SLOT_DB_FULL ? o->pool->db != sh->pool->db : o->pool->user != sh->pool->user))
            continue;
        struct list *l = list_last(&o->servers[SERVER_IDLE]);
        struct server *s = l ? LIST_ENTRY(l, struct server, node) : NULL;
        if (s && (!oldest || s->released_at < oldest->released_at))
            oldest = s;
    }
    if (!oldest)
        return false;
    server_close(oldest, NULL, "evicted");
    return true;
}

/* How long after a failed login no other one is tried. A server that is starting up will be there
 * soon. */
static usec_t retry_after(const struct shard *sh)
{
    usec_t retry = sh->engine->setup->g.server_login_retry;

    return sh->starting && retry > STARTING_RETRY ? STARTING_RETRY : retry;
}

/* Clients of a pool whose last server login failed and that has no server at all are told so at
 * once; while a server is starting up they wait. */
static bool fail_fast(struct shard *sh)
{
    if (!sh->failed_at || sh->starting || shard_servers(sh) > 0 ||
        atomic_load(&sh->pool->servers) > 0)
        return false;
    if (sh->engine->loop.now - sh->failed_at > retry_after(sh))
        return false;
    struct login_failure why = { .err = { .sqlstate = "08006", .msg = "server login failed" },
                                 .logged = "server login failed" };
    struct client *c;
    if (sh->failure)
        why = *sh->failure;
    while ((c = first_waiting(sh)) != NULL)
        client_close_as(c, &why.err, why.logged);
    return true;
}

enum slot shard_take_slot(struct shard *sh, struct client *c, bool *reserved)
{
    usec_t waited = sh->engine->loop.now - c->wait_at;
    bool reserve_ok =
        sh->limits.reserve_pool_size > 0 && waited >= sh->engine->setup->g.reserve_pool_timeout;

    if (!starved_may_ask(sh))
        return sh->starved_by;
    enum slot full = pool_slot_take(sh->pool, reserve_ok, reserved);
    if (full != SLOT_OK && full != SLOT_POOL_FULL) {
        if (evict(sh, full))
            full = pool_slot_take(sh->pool, reserve_ok, reserved);
        else if (sh->engine->hub->n_engines > 1)
            for (int i = 0; i < sh->engine->hub->n_engines; i++)
                if (i != sh->engine->id && sh->asked_at != sh->engine->loop.now)
                    engine_tell(sh->engine->hub->engine[i], MAIL_EVICT, sh->pool, sh->engine->id);
    }
    if (full == SLOT_DB_FULL || full == SLOT_USER_FULL)
        starved_mark(sh, full, c->wait_at);
    if (full == SLOT_OK && list_linked(&sh->starved)) { /* the next in line may try */
        starved_clear(sh);
        starved_wake_here(sh->engine, sh->pool);
    }
    if (full == SLOT_OK && *reserved)
        client_log(c, LOG_LV_LOG, "taking connection from reserve_pool");
    return full;
}

/* Opens one more server for the client if the limits allow; false when they do not. */
static bool open_one(struct shard *sh, struct client *c)
{
    bool reserved = false;

    if (shard_take_slot(sh, c, &reserved) != SLOT_OK)
        return false;
    server_launch(sh, reserved);
    return true;
}

static void ask_others(struct shard *sh)
{
    struct engine *e = sh->engine;
    int w = pool_idle_elsewhere(sh->pool, e->id, e->hub->n_engines);
    if (w >= 0 && sh->asked_at != e->loop.now) {
        sh->asked_at = e->loop.now;
        engine_tell(e->hub->engine[w], MAIL_WANT, sh->pool, e->id);
    }
}

/* It does not ask for a slot now, paused or busy with a login: who is behind it in line may. */
static void step_aside(struct shard *sh)
{
    if (!list_linked(&sh->starved))
        return;
    starved_clear(sh);
    starved_wake_here(sh->engine, sh->pool);
}

/* Gives the waiting clients what there is; ends when the next one must go on waiting. true: for a
 * slot of the ledger. */
static bool pump(struct shard *sh)
{
    struct client *c;

    if (!sh->db) {
        while ((c = first_waiting(sh)) != NULL)
            client_close(c, "3D000", "database removed");
        return false;
    }
    while (!paused(sh) && (c = shares_next(sh)) != NULL) {
        if (c->replication) {
            if (replica_open(sh, c))
                continue;
            ask_others(sh);
            return true;
        }
        struct server *s = take_idle(sh);
        if (s) {
            if (server_share_take(s, c))
                client_assign(c, s);
            continue;
        }
        if (fail_fast(sh))
            return false;
        if (!wants_more(sh))
            return false;
        if (sh->failed_at && logging_in(sh) > 0)
            return false; /* one attempt at a time while logins fail */
        if (sh->failed_at && sh->engine->loop.now - sh->failed_at <= retry_after(sh))
            return false; /* never twice at the same moment, even without a pause between them */
        if (!open_one(sh, c)) {
            ask_others(sh);
            return true;
        }
    }
    return false;
}

void shard_pump(struct shard *sh)
{
    if (sh->pumping)
        return; /* what is freed meanwhile is seen by the loop that runs */
    sh->pumping = true;
    if (!pump(sh))
        step_aside(sh);
    sh->pumping = false;
    note_waiting(sh); /* turns may have left the ring */
}

void shard_hold(struct shard *sh)
{
    CHECK(!sh->pumping);
    sh->pumping = true;
}

void shard_unhold(struct shard *sh)
{
    sh->pumping = false;
    if (sh->n_waiting > 0)
        shard_pump(sh);
}

void shard_offer(struct shard *sh, struct server *s)
{
    struct pool *p = sh->pool;
    uint64_t others = atomic_load(&p->waiting) & ~(UINT64_C(1) << sh->engine->id);

    CHECK(s->state == SERVER_IDLE);
    if (others && !s->close_needed) {
        int w = pool_oldest_waiter(p);
        if (w >= 0 && w != sh->engine->id) { /* at the end of the turn: we may be inside the
                                                server's own callback */
            sh->offers++;
            if (!list_linked(&sh->offer))
                list_push_tail(&sh->engine->offers, &sh->offer);
            engine_turn(sh->engine);
            return;
        }
    }
    if (sh->n_waiting > 0)
        shard_pump(sh);
}

/* May the server change its thread? */
static bool movable(const struct server *s)
{
    return !s->close_needed && s->cancels == 0 && buf_len(&s->conn->in) == 0 &&
           !conn_blocked(s->conn) && pending_empty(s->pending);
}

bool shard_give(struct shard *sh, int worker)
{
    LIST_FOREACH(n, &sh->servers[SERVER_IDLE]) {
        struct server *s = LIST_ENTRY(n, struct server, node);
        if (movable(s)) {
            give_away(s, worker);
            return true;
        }
    }
    return false;
}

void dispatch_offers(struct engine *e)
{
    struct list *n;
    while ((n = list_pop(&e->offers)) != NULL) {
        struct shard *sh = LIST_ENTRY(n, struct shard, offer);
        for (int k = sh->offers; k > 0; k--) {
            int w = pool_oldest_waiter(sh->pool);
            if (w < 0 || w == e->id || !shard_give(sh, w))
                break;
        }
        sh->offers = 0;
        if (sh->n_waiting > 0)
            shard_pump(sh);
    }
}

void shard_slot_freed(struct shard *sh)
{
    struct pool *p = sh->pool;

    if (starved_wake(sh->engine, p))
        return;
    int w = pool_oldest_waiter(p);
    if (w == sh->engine->id)
        shard_pump(sh);
    else if (w >= 0)
        engine_tell(sh->engine->hub->engine[w], MAIL_SLOT, p, sh->engine->id);
}

void dispatch_tick(struct engine *e)
{
    /* each once; what is closed for one may make another leave the list */
    for (size_t k = list_count(&e->hungry); k > 0 && !list_empty(&e->hungry); k--) {
        struct list *n = list_pop(&e->hungry);
        list_push_tail(&e->hungry, n);
        shard_pump(LIST_ENTRY(n, struct shard, hungry));
    }
}
