/* SPDX-License-Identifier: ISC */
/* Pools and databases of /api/status: sorted, the worst first, as many as are shown. */
#include "metrics/status.h"

#include <stdlib.h>

static usec_t age(usec_t since, usec_t now)
{
    return since && now > since ? now - since : 0;
}

/* ---- pools ---- */

static int64_t pool_size(const struct survey_pool *p)
{
    return atomic_load_explicit(&p->pool->size, memory_order_relaxed);
}

/* Waiting clients first, then the fullest. */
static int by_pressure(const void *x, const void *y)
{
    const struct survey_pool *a = *(const struct survey_pool *const *)x,
                             *b = *(const struct survey_pool *const *)y;
    int64_t full_a = a->sv[SERVER_ACTIVE] * (pool_size(b) ? pool_size(b) : INT32_MAX),
            full_b = b->sv[SERVER_ACTIVE] * (pool_size(a) ? pool_size(a) : INT32_MAX);

    if (a->cl_waiting != b->cl_waiting)
        return a->cl_waiting > b->cl_waiting ? -1 : 1;
    if (full_a != full_b)
        return full_a > full_b ? -1 : 1;
    if (a->cl_active != b->cl_active)
        return a->cl_active > b->cl_active ? -1 : 1;
    int order = text_cmp(a->pool->db_name, b->pool->db_name);
    if (!order)
        order = text_cmp(a->pool->user_name, b->pool->user_name);
    return order ? order : a->pool->guarded - b->pool->guarded;
}

static void write_pool(struct buf *b, const struct survey_pool *p, usec_t now)
{
    int64_t size = pool_size(p);

    json_key(b, NULL);
    buf_char(b, '{');
    status_text(b, "database", p->pool->db_name);
    status_text(b, "user", p->pool->user_name);
    status_bool(b, "guarded", p->pool->guarded);
    status_text(b, "mode", text_of(pool_mode_name(atomic_load(&p->pool->pool_mode))));
    status_int(b, "size", size);
    status_int(b, "reserve", atomic_load_explicit(&p->pool->reserve, memory_order_relaxed));
    status_int(b, "active", p->sv[SERVER_ACTIVE]);
    status_int(b, "idle", p->sv[SERVER_IDLE] + p->sv[SERVER_HANDOVER]);
    status_int(b, "used", p->sv[SERVER_USED]);
    status_int(b, "login", p->sv[SERVER_LOGIN] + p->sv[SERVER_TESTED]);
    status_int(b, "pinned", atomic_load_explicit(&p->pool->pinned, memory_order_relaxed));
    status_share(b, "utilisation", p->sv[SERVER_ACTIVE], size);
    status_int(b, "clients", p->cl_active + p->cl_idle + p->cl_waiting);
    status_int(b, "waiting", p->cl_waiting);
    status_usec(b, "max_wait_seconds", age(p->oldest, now));
    buf_char(b, '}');
}

/* `"name":{"total":n`; the caller goes on with the list, and ends it. */
static void begin_lists(struct buf *b, const char *name, int total)
{
    json_key(b, name);
    buf_char(b, '{');
    status_int(b, "total", total);
}

static void begin_list(struct buf *b)
{
    json_key(b, "list");
    buf_char(b, '[');
}

void status_pools(const struct status *s, struct buf *out)
{
    const struct survey *v = s->c->survey;
    const struct survey_pool **p = calloc((size_t)v->n_pools + 1, sizeof(struct survey_pool *));
    int n = 0;

    if (!p) {
        out->failed = true;
        return;
    }
    for (int i = 0; i < v->n_pools; i++)
        if (v->pools[i].pool)
            p[n++] = &v->pools[i];
    qsort(p, (size_t)n, sizeof(struct survey_pool *), by_pressure);
    begin_lists(out, "pools", n);
    begin_list(out);
    for (int i = 0; i < n && i < STATUS_POOLS; i++)
        write_pool(out, p[i], v->now);
    buf_text_append(out, TEXT("]}"));
    free(p);
}

/* ---- databases ---- */

struct db_row {
    const struct db_ledger *db;
    int64_t active, idle, waiting;    /* clients */
    usec_t oldest_query, oldest_xact; /* when the longest running ones began, 0 = none runs */
    uint64_t queries, transactions, errors, slow, denied;
};

static void add_counters(struct db_row *r, int n_workers)
{
    for (int w = 0; w < n_workers; w++) {
        const struct db_stats *st = &r->db->stats[w];
        r->queries += stat_get(&st->queries);
        r->transactions += stat_get(&st->xacts);
        r->errors += db_stats_errors(st);
        r->slow += stat_get(&st->slow_queries);
        r->denied += stat_get(&st->tenant_denied);
    }
}

/* Those that were used since the start, without those that were forgotten; *n of them. NULL: out of
 * memory. */
static struct db_row *rows(struct hub *h, int *n)
{
    int all;
    struct db_ledger **list = registry_dbs(&h->registry, &all);
    struct db_row *v = list ? calloc((size_t)all + 1, sizeof(*v)) : NULL;

    *n = 0;
    for (int i = 0; v && i < all; i++)
        if (!db_ledger_forgotten(list[i]))
            v[(*n)++].db = list[i];
    free(list);
    return v;
}

static void older(usec_t *of, usec_t than)
{
    if (than && (!*of || than < *of))
        *of = than;
}

static void add_clients(struct db_row *v, int n, const struct survey *s)
{
    struct map by_name;

    map_init(&by_name);
    for (int i = 0; i < n; i++)
        map_put(&by_name, v[i].db->name, &v[i]);
    for (int i = 0; i < s->n_pools; i++) {
        const struct survey_pool *p = &s->pools[i];
        struct db_row *r = p->pool ? map_get(&by_name, p->pool->db_name) : NULL;
        if (!r)
            continue;
        r->active += p->cl_active;
        r->idle += p->cl_idle;
        r->waiting += p->cl_waiting;
        older(&r->oldest_query, p->oldest_query);
        older(&r->oldest_xact, p->oldest_xact);
    }
    map_release(&by_name);
}

static int by_load(const void *x, const void *y)
{
    const struct db_row *a = x, *b = y;
    int64_t in_a = a->active + a->idle, in_b = b->active + b->idle;

    if (a->waiting != b->waiting)
        return a->waiting > b->waiting ? -1 : 1;
    if (in_a != in_b)
        return in_a > in_b ? -1 : 1;
    if (a->queries != b->queries)
        return a->queries > b->queries ? -1 : 1;
    return text_cmp(a->db->name, b->db->name);
}

static void write_database(const struct status *s, struct buf *b, const struct db_row *r,
                           usec_t now)
{
    struct text state = atomic_load(&r->db->disabled) ? TEXT("disabled")
                        : atomic_load(&r->db->paused) ? TEXT("paused")
                                                      : TEXT("active");

    json_key(b, NULL);
    buf_char(b, '{');
    status_text(b, "name", r->db->name);
    status_text(b, "state", state);
    status_bool(b, "guarded", atomic_load(&r->db->policy) != NULL);
    status_int(b, "tenants", atomic_load_explicit(&r->db->tenants, memory_order_relaxed));
    status_int(b, "tenants_waiting",
               atomic_load_explicit(&r->db->tenants_waiting, memory_order_relaxed));
    status_int(b, "clients", r->active + r->idle + r->waiting);
    status_int(b, "waiting", r->waiting);
    status_int(b, "servers", quota_used(&r->db->servers));
    status_int(b, "servers_max", atomic_load_explicit(&r->db->servers.max, memory_order_relaxed));
    status_usec(b, "oldest_query_seconds", age(r->oldest_query, now));
    status_usec(b, "oldest_transaction_seconds", age(r->oldest_xact, now));
    status_int(b, "queries", (int64_t)r->queries);
    status_int(b, "transactions", (int64_t)r->transactions);
    status_int(b, "errors", (int64_t)r->errors);
    status_int(b, "slow_queries", (int64_t)r->slow);
    status_int(b, "refused", (int64_t)r->denied);
    status_database_size(s, r->db->name, b);
    status_latency(s, s->history ? history_find(s->history, r->db->name) : NULL, b);
    buf_char(b, '}');
}

void status_databases(const struct status *s, struct buf *out)
{
    int n;
    struct db_row *v = rows(s->c->hub, &n);
    uint64_t queries = 0, failed = 0;

    if (!v) {
        out->failed = true;
        return;
    }
    add_clients(v, n, s->c->survey);
    for (int i = 0; i < n; i++) {
        add_counters(&v[i], s->c->hub->n_engines);
        queries += v[i].queries;
        failed += v[i].errors;
    }
    qsort(v, (size_t)n, sizeof(*v), by_load);
    begin_lists(out, "databases", n);
    status_int(out, "queries", (int64_t)queries); /* of those not in the list, too */
    status_int(out, "errors", (int64_t)failed);
    begin_list(out);
    for (int i = 0; i < n && i < STATUS_DATABASES; i++)
        write_database(s, out, &v[i], s->c->survey->now);
    buf_text_append(out, TEXT("]}"));
    free(v);
}
