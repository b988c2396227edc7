/* SPDX-License-Identifier: ISC */
/* Limits as atomics, and the registry of databases, users and pools. */
#include "pool/ledger.h"

#include "base/check.h"
#include "pool/share.h"

#include <stdlib.h>

bool quota_take(struct quota *q)
{
    int64_t used = atomic_load(&q->used);
    for (;;) {
        int64_t max = atomic_load_explicit(&q->max, memory_order_relaxed);
        if (max > 0 && used >= max)
            return false;
        if (atomic_compare_exchange_weak(&q->used, &used, used + 1))
            return true;
    }
}

void quota_exceed(struct quota *q)
{
    atomic_fetch_add(&q->used, 1);
}

void quota_put(struct quota *q)
{
    CHECK(atomic_fetch_sub(&q->used, 1) > 0);
}

static bool pool_count_take(struct pool *p, bool reserve_ok, bool *reserved)
{
    int64_t used = atomic_load(&p->servers);
    for (;;) {
        int64_t size = atomic_load_explicit(&p->size, memory_order_relaxed);
        int64_t extra = reserve_ok ? atomic_load_explicit(&p->reserve, memory_order_relaxed) : 0;
        if (size > 0 && used >= size + extra)
            return false;
        if (atomic_compare_exchange_weak(&p->servers, &used, used + 1)) {
            *reserved = size > 0 && used >= size;
            return true;
        }
    }
}

enum slot pool_slot_take(struct pool *p, bool reserve_ok, bool *reserved)
{
    if (!pool_count_take(p, reserve_ok, reserved))
        return SLOT_POOL_FULL;
    if (!quota_take(&p->db->servers)) {
        atomic_fetch_sub(&p->servers, 1);
        return SLOT_DB_FULL;
    }
    if (!quota_take(&p->user->servers)) {
        quota_put(&p->db->servers);
        atomic_fetch_sub(&p->servers, 1);
        return SLOT_USER_FULL;
    }
    return SLOT_OK;
}

void pool_slot_put(struct pool *p)
{
    quota_put(&p->user->servers);
    quota_put(&p->db->servers);
    CHECK(atomic_fetch_sub(&p->servers, 1) > 0);
}

bool pool_listener_take(struct pool *p)
{
    if (!quota_take(&p->db->servers))
        return false;
    if (quota_take(&p->user->servers))
        return true;
    quota_put(&p->db->servers);
    return false;
}

void pool_listener_put(struct pool *p)
{
    quota_put(&p->user->servers);
    quota_put(&p->db->servers);
}

int pool_oldest_waiter(const struct pool *p)
{
    uint64_t bits = atomic_load(&p->waiting);
    int best = -1;
    usec_t best_at = 0;

    while (bits) {
        int w = __builtin_ctzll(bits);
        bits &= bits - 1;
        usec_t at = atomic_load_explicit(&p->worker[w].oldest, memory_order_relaxed);
        if (at && (best < 0 || at < best_at)) {
            best = w;
            best_at = at;
        }
    }
    return best;
}

int pool_idle_elsewhere(const struct pool *p, int self, int n_workers)
{
    for (int i = 1; i < n_workers; i++) {
        int w = (self + i) % n_workers;
        if (atomic_load(&p->worker[w].idle) > 0)
            return w;
    }
    return -1;
}

void registry_init(struct registry *r, int n_workers)
{
    CHECK(n_workers > 0 && n_workers <= MAX_WORKERS);
    *r = (struct registry){ .n_workers = n_workers };
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    map_init(&r->dbs);
    map_init(&r->users);
    map_init(&r->pools);
    map_init(&r->shares);
}

static void free_text(struct text t)
{
    free((void *)(uintptr_t)t.p);
}

void registry_release(struct registry *r)
{
    for (int i = 0; i < r->n; i++) {
        pthread_mutex_destroy(&r->list[i]->mutex);
        free(r->list[i]); /* its names belong to the database and user entries */
    }
    for (int i = 0; i < r->n_dbs; i++) {
        free_text(r->db_list[i]->name);
        for (int w = 0; w < r->n_workers; w++)
            stat_exemplars_free(&r->db_list[i]->stats[w].query_traces);
        free(r->db_list[i]->stats);
        free(r->db_list[i]);
    }
    for (int i = 0; i < r->n_users; i++) {
        free_text(r->user_list[i]->name);
        free(r->user_list[i]);
    }
    size_t pos = 0;
    struct text key;
    void *value;
    while (map_next(&r->pools, &pos, &key, &value))
        free_text(key);
    free(r->list);
    free(r->db_list);
    free(r->user_list);
    map_release(&r->dbs);
    map_release(&r->users);
    map_release(&r->pools);
    shares_release(r);
    pthread_mutex_destroy(&r->mutex);
}

/* A NUL-terminated copy; p NULL when memory is short. */
static struct text copy_text(struct text t)
{
    char *p = text_dup(t);
    return text_n(p, p ? t.n : 0);
}

/* Room for one more pointer in a growing array. */
static bool grow(void *array, int n, int *cap)
{
    void **a = *(void ***)array;
    if (n < *cap)
        return true;
    int want = *cap ? *cap * 2 : 16;
    a = realloc(a, sizeof(void *) * (size_t)want);
    if (!a)
        return false;
    *(void ***)array = a;
    *cap = want;
    return true;
}

static struct db_ledger *find_db(struct registry *r, struct text name)
{
    struct db_ledger *d = map_get(&r->dbs, name);
    if (d)
        return d;
    d = calloc(1, sizeof(*d));
    if (!d || !grow(&r->db_list, r->n_dbs, &r->cap_dbs)) {
        free(d);
        return NULL;
    }
    d->name = copy_text(name);
    d->stats = calloc((size_t)r->n_workers, sizeof(*d->stats));
    if (!d->name.p || !d->stats) {
        free_text(d->name);
        free(d->stats);
        free(d);
        return NULL;
    }
    map_put(&r->dbs, d->name, d);
    r->db_list[r->n_dbs++] = d;
    return d;
}

static struct user_ledger *find_user(struct registry *r, struct text name)
{
    struct user_ledger *u = map_get(&r->users, name);
    if (u)
        return u;
    u = calloc(1, sizeof(*u));
    if (!u || !grow(&r->user_list, r->n_users, &r->cap_users)) {
        free(u);
        return NULL;
    }
    u->name = copy_text(name);
    if (!u->name.p) {
        free(u);
        return NULL;
    }
    map_put(&r->users, u->name, u);
    r->user_list[r->n_users++] = u;
    return u;
}

struct db_ledger *registry_db(struct registry *r, struct text name)
{
    pthread_mutex_lock(&r->mutex);
    struct db_ledger *d = find_db(r, name);
    pthread_mutex_unlock(&r->mutex);
    return d;
}

struct user_ledger *registry_user(struct registry *r, struct text name)
{
    pthread_mutex_lock(&r->mutex);
    struct user_ledger *u = find_user(r, name);
    pthread_mutex_unlock(&r->mutex);
    return u;
}

struct db_ledger *registry_find_db(struct registry *r, struct text name)
{
    pthread_mutex_lock(&r->mutex);
    struct db_ledger *d = map_get(&r->dbs, name);
    pthread_mutex_unlock(&r->mutex);
    return d;
}

static struct pool *make_pool(struct registry *r, struct text key, struct text db, struct text user,
                              bool guarded)
{
    struct pool *p = calloc(1, sizeof(*p) + sizeof(p->worker[0]) * (size_t)r->n_workers);
    struct text own_key = copy_text(key);

    if (!p || !own_key.p || !grow(&r->list, r->n, &r->cap))
        goto fail;
    p->db = find_db(r, db);
    p->user = find_user(r, user);
    if (!p->db || !p->user)
        goto fail;
    p->db_name = p->db->name;
    p->user_name = p->user->name;
    p->guarded = guarded;
    p->index = r->n;
    CHECK(pthread_mutex_init(&p->mutex, NULL) == 0);
    map_put(&r->pools, own_key, p);
    r->list[r->n++] = p;
    return p;
fail:
    free(p);
    free_text(own_key);
    return NULL;
}

struct pool *registry_pool(struct registry *r, struct text db, struct text user, bool guarded)
{
    size_t n = db.n + user.n + 2;
    char *key = malloc(n);
    if (!key)
        return NULL;
    memcpy(key, db.p, db.n);
    key[db.n] = '\0';
    memcpy(key + db.n + 1, user.p, user.n);
    key[n - 1] = guarded ? 'g' : '-';

    pthread_mutex_lock(&r->mutex);
    struct pool *p = map_get(&r->pools, text_n(key, n));
    if (!p)
        p = make_pool(r, text_n(key, n), db, user, guarded);
    pthread_mutex_unlock(&r->mutex);
    free(key);
    return p;
}

/* *n of the pointers of a list; called under the mutex. */
static void *copied(const void *list, int count, int *n)
{
    void **copy = malloc(sizeof(*copy) * (size_t)(count + 1));

    *n = copy ? count : 0;
    if (*n)
        memcpy(copy, list, sizeof(*copy) * (size_t)count);
    return copy;
}

struct pool **registry_pools(struct registry *r, int *n)
{
    pthread_mutex_lock(&r->mutex);
    struct pool **copy = copied(r->list, r->n, n);
    pthread_mutex_unlock(&r->mutex);
    return copy;
}

struct db_ledger **registry_dbs(struct registry *r, int *n)
{
    pthread_mutex_lock(&r->mutex);
    struct db_ledger **copy = copied(r->db_list, r->n_dbs, n);
    pthread_mutex_unlock(&r->mutex);
    return copy;
}

struct user_ledger **registry_users(struct registry *r, int *n)
{
    pthread_mutex_lock(&r->mutex);
    struct user_ledger **copy = copied(r->user_list, r->n_users, n);
    pthread_mutex_unlock(&r->mutex);
    return copy;
}

uint64_t db_stats_errors(const struct db_stats *s)
{
    return stat_get(&s->err_syntax) + stat_get(&s->err_data) + stat_get(&s->err_integrity) +
           stat_get(&s->err_rollback) + stat_get(&s->err_resources) + stat_get(&s->err_operator) +
           stat_get(&s->err_other);
}
