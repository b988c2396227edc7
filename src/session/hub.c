/* SPDX-License-Identifier: ISC */
/* What engines share: configuration changes, policies, welcomes, and the console's orders. */
#include "session/proven.h"
#include "session/session.h"
#include "session/shares.h"

#include "base/check.h"
#include "auth/token.h"
#include "base/random.h"

#include <stdlib.h>

#define TOKENS_REMEMBERED 100000 /* with tenant_token_replay=once */

bool hub_init(struct hub *h, struct loop *control, struct log *log, int n_workers,
              const struct setup *s, const char *version, const struct hub_calls *calls, void *arg)
{
    *h = (struct hub){
        .control = control, .log = log, .version = version, .calls = calls, .calls_arg = arg
    };
    registry_init(&h->registry, n_workers);
    atomic_store(&h->registry.clients.max, s->g.max_client_conn);
    var_names_init(&h->var_names, s);
    random_bytes(h->mock_seed, sizeof(h->mock_seed));
    h->started_at = clock_wall_us();
    map_init(&h->names);
    h->replay = token_replay_new(TOKENS_REMEMBERED);
    if (!h->replay)
        return false;
    if (pthread_mutex_init(&h->policy_mutex, NULL) != 0 ||
        pthread_mutex_init(&h->barred_mutex, NULL) != 0 ||
        pthread_mutex_init(&h->names_mutex, NULL) != 0)
        return false;
    return true;
}

const char *hub_version(const struct hub *h)
{
    const char *space = strchr(h->version, ' ');
    return space ? space + 1 : h->version;
}

void hub_release(struct hub *h)
{
    for (int i = 0; i < h->registry.n; i++) {
        pool_proven_free(h->registry.list[i]);
        struct welcome *w = h->registry.list[i]->welcome;
        if (w) {
            vars_release(&w->vars, &h->var_names);
            free(w);
        }
    }
    for (int i = 0; i < h->registry.n_dbs; i++) {
        struct policy *p = atomic_load(&h->registry.db_list[i]->policy);
        if (p)
            policy_unref(p);
    }
    token_replay_free(h->replay);
    registry_release(&h->registry);
    var_names_release(&h->var_names);
    map_release(&h->names);
    hub_unbar(h);
    pthread_mutex_destroy(&h->barred_mutex);
    pthread_mutex_destroy(&h->policy_mutex);
    pthread_mutex_destroy(&h->names_mutex);
}

/* ---- welcomes ---- */

void welcome_unref(struct welcome *w)
{
    if (atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    for (int i = 0; i < VARS_MAX; i++)
        free(w->vars.value[i]);
    free(w);
}

struct welcome *pool_welcome_get(struct pool *p)
{
    pthread_mutex_lock(&p->mutex);
    struct welcome *w = p->welcome;
    if (w)
        atomic_fetch_add(&w->refs, 1);
    pthread_mutex_unlock(&p->mutex);
    return w;
}

void pool_welcome_put(struct pool *p, struct welcome *w)
{
    pthread_mutex_lock(&p->mutex);
    struct welcome *old = p->welcome;
    p->welcome = w;
    pthread_mutex_unlock(&p->mutex);
    if (old)
        welcome_unref(old);
}

/* ---- policies ---- */

static bool same_path(const struct policy *a, const struct policy *b)
{
    if (!a || !b || a->catalog->n_search_path != b->catalog->n_search_path)
        return false;
    for (int i = 0; i < a->catalog->n_search_path; i++)
        if (!text_eq(a->catalog->search_path[i], b->catalog->search_path[i]))
            return false;
    return true;
}

void hub_policy(struct hub *h, struct text db_name, struct policy *p, struct text why)
{
    struct db_ledger *db = registry_db(&h->registry, db_name);

    if (!db) {
        if (p)
            policy_unref(p);
        return;
    }
    if (!p)
        log_often(h->log, LOG_LV_WARNING, db_name,
                  "catalog of database \"%.*s\" could not be read: %.*s", TEXT_ARG(db_name),
                  TEXT_ARG(why));
    if (p) {
        pthread_mutex_lock(&h->policy_mutex);
        struct policy *old = atomic_load(&db->policy);
        if (!same_path(old, p))
            atomic_fetch_add(&db->search_path_serial, 1);
        atomic_store_explicit(&db->policy, p, memory_order_release);
        pthread_mutex_unlock(&h->policy_mutex);
        if (old)
            policy_unref(old);
    }
    for (int i = 0; i < h->n_engines; i++) {
        struct mail_policy *m = calloc(1, sizeof(*m));
        if (!m)
            continue;
        m->mail.kind = MAIL_POLICY;
        m->db = db;
        loop_post(&h->engine[i]->loop, &m->mail);
    }
}

struct policy *hub_policy_get(struct hub *h, struct db_ledger *db)
{
    pthread_mutex_lock(&h->policy_mutex);
    struct policy *p = atomic_load(&db->policy);
    if (p)
        policy_ref(p);
    pthread_mutex_unlock(&h->policy_mutex);
    return p;
}

/* ---- a new configuration ---- */

struct new_setup {
    struct hub *hub;
    const struct setup *setup;
    struct tls_ctx *client_tls, *server_tls;
    bool tls_changed;
    void (*done)(void *arg);
    void *arg;
};

/* Does a server opened under the old entry still fit the new one? */
static bool same_target(const struct database_conf *a, const struct database_conf *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port &&
           a->session_attrs == b->session_attrs && strcmp(a->dbname, b->dbname) == 0 &&
           text_eq(text_of(a->user), text_of(b->user)) &&
           text_eq(text_of(a->password), text_of(b->password)) &&
           text_eq(text_of(a->connect_query), text_of(b->connect_query)) &&
           text_eq(text_of(a->client_encoding), text_of(b->client_encoding)) &&
           text_eq(text_of(a->datestyle), text_of(b->datestyle)) &&
           text_eq(text_of(a->timezone), text_of(b->timezone)) &&
           text_eq(text_of(a->application_name), text_of(b->application_name));
}

static void mark_servers(struct shard *sh)
{
    for (int i = 0; i < SERVER_STATES; i++)
        LIST_FOREACH(n, &sh->servers[i]) {
            LIST_ENTRY(n, struct server, node)->close_needed = true;
        }
}

static void close_all(struct shard *sh, enum server_state state, const char *why)
{
    shard_hold(sh);
    LIST_FOREACH_SAFE(n, next, &sh->servers[state]) {
        server_close(LIST_ENTRY(n, struct server, node), NULL, "%s", why);
    }
    shard_unhold(sh);
}

/* Replaces all servers: free ones, those that log in (by the old entry's address and password) and
 * the one that listens now, the rest when they are released. */
static void replace_servers(struct shard *sh)
{
    mark_servers(sh);
    close_all(sh, SERVER_LOGIN, "database configuration changed");
    close_all(sh, SERVER_IDLE, "database configuration changed");
    close_all(sh, SERVER_LISTENER, "database configuration changed");
}

/* server_fast_close: clients in session mode lose a marked server as soon as it is between
 * transactions. */
static void close_between_queries(struct shard *sh)
{
    shard_hold(sh);
    LIST_FOREACH_SAFE(n, next, &sh->servers[SERVER_ACTIVE]) {
        struct server *s = LIST_ENTRY(n, struct server, node);
        if (s->close_needed && s->status == 'I' && pending_empty(s->pending))
            server_close(s, "57P01", "database configuration changed");
    }
    shard_unhold(sh);
}

static void take_setup(struct engine *e, void *arg)
{
    struct new_setup *ns = arg;
    const struct setup *old = e->setup;

    e->setup = setup_ref(ns->setup);
    tls_ctx_unref(e->client_tls);
    tls_ctx_unref(e->server_tls);
    e->client_tls = ns->client_tls ? tls_ctx_ref(ns->client_tls) : NULL;
    e->server_tls = ns->server_tls ? tls_ctx_ref(ns->server_tls) : NULL;
    resolver_ttl(e->resolver, e->setup->g.dns_max_ttl, e->setup->g.dns_nxdomain_ttl);
    e->loop.loopcnt = (int)e->setup->g.sbuf_loopcnt;
    token_keys_free(e->tokens); /* the control thread has seen that these can be used */
    e->tokens = token_keys_new(e->setup->token_keys, e->setup->n_token_keys, NULL);
    struct scram_cache *fresh =
        scram_cache_new(e->hub->mock_seed, (uint32_t)e->setup->g.scram_iterations);
    if (fresh) { /* secrets may be others now */
        scram_cache_free(e->scram);
        e->scram = fresh;
    }
    top_limit(&e->top, (int)e->setup->g.metrics_top_tenants, e->loop.now);
    shares_refresh(e);
    reaper_new_limits(e);
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        struct arena scratch;
        arena_init(&scratch, 1024);
        const struct database_conf *was = setup_database(old, sh->pool->db_name, &scratch);
        shard_refresh(e, sh);
        if (!sh->db || (was && !same_target(was, sh->db)) || ns->tls_changed) {
            if (sh->db && was && !same_target(was, sh->db)) {
                sh->failed_at = sh->down_since = 0;
                sh->worked = false;
            }
            replace_servers(sh);
        }
        if (e->setup->g.server_fast_close && sh->limits.pool_mode == POOL_SESSION)
            close_between_queries(sh);
        arena_release(&scratch);
        sh->always_warm = false; /* open_forced says */
        reaper_new_shard_limits(sh);
        shard_pump(sh);
    }
    clients_take_setup(e);
    setup_unref(old);
}

static void setup_done(void *arg)
{
    struct new_setup *ns = arg;

    if (ns->done)
        ns->done(ns->arg);
    tls_ctx_unref(ns->client_tls);
    tls_ctx_unref(ns->server_tls);
    setup_unref(ns->setup);
    free(ns);
}

bool hub_setup(struct hub *h, const struct setup *s, struct tls_ctx *client_tls,
               struct tls_ctx *server_tls, bool tls_changed, void (*done)(void *arg), void *arg)
{
    struct new_setup *ns = calloc(1, sizeof(*ns));

    if (!ns)
        return false;
    *ns = (struct new_setup){ .hub = h,
                              .setup = setup_ref(s),
                              .client_tls = client_tls ? tls_ctx_ref(client_tls) : NULL,
                              .server_tls = server_tls ? tls_ctx_ref(server_tls) : NULL,
                              .tls_changed = tls_changed,
                              .done = done,
                              .arg = arg };
    if (!hub_call(h, take_setup, ns, setup_done)) {
        ns->done = NULL;
        setup_done(ns);
        return false;
    }
    atomic_store(&h->registry.clients.max, s->g.max_client_conn);
    return true;
}

/* ---- orders, on the engine's thread ---- */

static bool concerns(const struct shard *sh, struct text db)
{
    return db.n == 0 || text_eq(sh->pool->db_name, db);
}

void engine_close_idle(struct engine *e, struct text db)
{
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        if (concerns(sh, db))
            close_all(sh, SERVER_IDLE, "paused");
    }
}

void engine_resume(struct engine *e, struct text db)
{
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        if (concerns(sh, db))
            shard_pump(sh);
    }
}

void engine_reconnect(struct engine *e, struct text db)
{
    e->replaced++;
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        if (!concerns(sh, db))
            continue;
        mark_servers(sh);
        close_all(sh, SERVER_IDLE, "obsolete connection");
        close_all(sh, SERVER_LISTENER, "obsolete connection");
    }
}

void engine_kill(struct engine *e, struct text db)
{
    e->replaced++;
    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        if (c->state != CLIENT_DEAD && c->shard && concerns(c->shard, db))
            client_close(c, "57P01", "database removed");
    }
    LIST_FOREACH_SAFE(n, next, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        for (int i = 0; concerns(sh, db) && i < SERVER_STATES; i++)
            close_all(sh, (enum server_state)i, "database removed");
    }
}

bool engine_kill_client(struct engine *e, uint64_t client_id)
{
    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        if (c->id == client_id && c->state != CLIENT_DEAD) {
            client_close(c, "57P01", "admin forced disconnect");
            return true;
        }
    }
    return false;
}
