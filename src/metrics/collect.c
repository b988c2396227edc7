/* SPDX-License-Identifier: ISC */
/* Gauges of clients, pools, servers and workers; counters of engines. */
#include "metrics/collect.h"
#include "metrics/collect_tenants.h"

#include "base/commit.h"
#include "metrics/pgbouncer.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

static const struct family {
    const char *name;
    enum expo_type type;
    const char *help;
} families[] = {
#define METRIC(name, type, help) { "pgbulkhead_" #name, EXPO_##type, help },
#define METRIC_PLAIN(name, type, help) { #name, EXPO_##type, help },
#include "metrics/metrics.def"
};

void collect_family(struct expo *x, enum metric m)
{
    expo_family(x, families[m].name, families[m].type, families[m].help);
}

static void gauge(struct expo *x, enum metric m, int64_t v)
{
    collect_family(x, m);
    expo_int(x, v);
}

/* ---- about the program ---- */

static void write_build(const struct collect *c, struct expo *x)
{
    collect_family(x, METRIC_build_info);
    expo_label(x, "version", text_of(hub_version(c->hub)));
    expo_label(x, "commit", text_of(program_commit));
    expo_label(x, "libpg_query", text_of(program_grammar));
    expo_label(x, "openssl", text_of(OpenSSL_version(OPENSSL_VERSION_STRING)));
    expo_label(x, "libevent", text_of(event_get_version()));
    expo_uint(x, 1);
    collect_family(x, METRIC_start_time_seconds);
    expo_usec(x, c->hub->started_at);
}

static void write_config(const struct collect *c, struct expo *x)
{
    collect_family(x, METRIC_config_info);
    expo_label(x, "hash", text_of(c->config_hash));
    expo_int(x, 1);
    gauge(x, METRIC_config_last_reload_successful, c->reload_ok);
    collect_family(x, METRIC_config_last_reload_success_timestamp_seconds);
    expo_usec(x, c->reload_at);
    collect_family(x, METRIC_slow_query_threshold_seconds);
    expo_usec(x, c->setup->g.slow_query_threshold);
    collect_family(x, METRIC_metrics_login_failures_total);
    expo_uint(x, c->login_failures);
    gauge(x, METRIC_metrics_login_addresses, c->login_addresses);
}

/* ---- clients ---- */

struct db_clients {
    struct text name;
    int64_t active, waiting, idle, cancel;
    usec_t oldest_query, oldest_xact;
};

static void sooner(usec_t *to, usec_t at)
{
    if (at && (!*to || at < *to))
        *to = at;
}

static uint64_t age(const struct collect *c, usec_t since)
{
    return since && c->survey->now > since ? c->survey->now - since : 0;
}

static void write_clients(const struct collect *c, struct expo *x)
{
    const struct survey *s = c->survey;
    struct db_clients *dbs = calloc((size_t)s->n_pools + 1, sizeof(*dbs));
    struct map by_name;
    int n = 0;

    if (!dbs)
        return;
    map_init(&by_name);
    for (int i = 0; i < s->n_pools; i++) {
        const struct survey_pool *p = &s->pools[i];
        if (!p->pool)
            continue;
        struct db_clients *d = map_get(&by_name, p->pool->db_name);
        if (!d) {
            d = &dbs[n++];
            d->name = p->pool->db_name;
            map_put(&by_name, d->name, d);
        }
        d->active += p->cl_active;
        d->waiting += p->cl_waiting;
        d->idle += p->cl_idle;
        d->cancel += p->cancels;
        sooner(&d->oldest_query, p->oldest_query);
        sooner(&d->oldest_xact, p->oldest_xact);
    }
    map_release(&by_name);
    collect_family(x, METRIC_client_connections);
    for (int i = 0; i < n; i++) {
        const int64_t v[] = { dbs[i].active, dbs[i].waiting, dbs[i].idle, dbs[i].cancel };
        static const char *const states[] = { "state=\"active\"", "state=\"waiting\"",
                                              "state=\"idle\"", "state=\"cancel\"" };
        for (int k = 0; k < 4; k++) {
            expo_label(x, "database", dbs[i].name);
            expo_labels(x, states[k]);
            expo_int(x, v[k]);
        }
    }
    expo_labels(x, "database=\"\",state=\"login\"");
    expo_int(x, s->logins);
    collect_family(x, METRIC_oldest_query_seconds);
    for (int i = 0; i < n; i++) {
        expo_label(x, "database", dbs[i].name);
        expo_usec(x, age(c, dbs[i].oldest_query));
    }
    collect_family(x, METRIC_oldest_transaction_seconds);
    for (int i = 0; i < n; i++) {
        expo_label(x, "database", dbs[i].name);
        expo_usec(x, age(c, dbs[i].oldest_xact));
    }
    free(dbs);
    gauge(x, METRIC_client_connections_max, atomic_load(&c->hub->registry.clients.max));
}

/* ---- pools ---- */

static void pool_labels(struct expo *x, const struct pool *p)
{
    expo_label(x, "database", p->db_name);
    expo_label(x, "user", p->user_name);
    expo_labels(x, p->guarded ? "guarded=\"1\"" : "guarded=\"0\"");
}

/* The labels of each pool, written once for all families: from at[i] to at[i + 1]. */
struct pool_texts {
    struct buf text;
    size_t *at;
};

static bool pool_texts(const struct collect *c, struct expo *x, struct pool_texts *t)
{
    int n = c->survey->n_pools;

    buf_init(&t->text);
    t->at = calloc((size_t)n + 1, sizeof(*t->at));
    for (int i = 0; t->at && i < n; i++) {
        if (c->survey->pools[i].pool)
            pool_labels(x, c->survey->pools[i].pool);
        buf_text_append(&t->text, expo_labels_take(x));
        t->at[i + 1] = buf_len(&t->text);
    }
    return t->at && !t->text.failed;
}

static void put_labels(struct expo *x, const struct pool_texts *t, int i)
{
    expo_labels_text(x, text_n(buf_data(&t->text) + t->at[i], t->at[i + 1] - t->at[i]));
}

static void write_pool_servers(const struct collect *c, struct expo *x, const struct pool_texts *t)
{
    collect_family(x, METRIC_pool_server_connections);
    for (int i = 0; i < c->survey->n_pools; i++) {
        const struct survey_pool *p = &c->survey->pools[i];
        if (!p->pool)
            continue;
        const struct {
            const char *state;
            int n;
        } states[] = {
            { "state=\"active\"", p->sv[SERVER_ACTIVE] },
            { "state=\"idle\"", p->sv[SERVER_IDLE] + p->sv[SERVER_HANDOVER] },
            { "state=\"used\"", p->sv[SERVER_USED] },
            { "state=\"tested\"", p->sv[SERVER_TESTED] },
            { "state=\"login\"", p->sv[SERVER_LOGIN] },
            { "state=\"cancel\"", p->sv[SERVER_BEING_CANCELED] },
            { "state=\"listener\"", p->sv[SERVER_LISTENER] },
        };
        for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++) {
            put_labels(x, t, i);
            expo_labels(x, states[k].state);
            expo_int(x, states[k].n);
        }
    }
}

static int64_t pool_value(const struct survey_pool *p, enum metric m, usec_t now)
{
    switch (m) {
    case METRIC_pool_size:
        return atomic_load_explicit(&p->pool->size, memory_order_relaxed);
    case METRIC_pool_reserve_size:
        return atomic_load_explicit(&p->pool->reserve, memory_order_relaxed);
    case METRIC_pool_waiting_clients:
        return p->cl_waiting;
    case METRIC_pool_pinned_servers:
        return atomic_load_explicit(&p->pool->pinned, memory_order_relaxed);
    default:
        return p->oldest && now > p->oldest ? (int64_t)(now - p->oldest) : 0;
    }
}

static void write_pools(const struct collect *c, struct expo *x)
{
    static const enum metric gauges[] = { METRIC_pool_size, METRIC_pool_reserve_size,
                                          METRIC_pool_waiting_clients, METRIC_pool_pinned_servers,
                                          METRIC_pool_max_wait_seconds };

    struct pool_texts t;

    if (!pool_texts(c, x, &t))
        x->out.failed = true; /* out of memory */
    else
        write_pool_servers(c, x, &t);
    for (size_t k = 0; !x->out.failed && k < sizeof(gauges) / sizeof(gauges[0]); k++) {
        collect_family(x, gauges[k]);
        for (int i = 0; i < c->survey->n_pools; i++) {
            const struct survey_pool *p = &c->survey->pools[i];
            if (!p->pool)
                continue;
            int64_t v = pool_value(p, gauges[k], c->survey->now);
            put_labels(x, &t, i);
            if (gauges[k] == METRIC_pool_max_wait_seconds)
                expo_usec(x, (uint64_t)v);
            else
                expo_int(x, v);
        }
    }
    free(t.at);
    buf_release(&t.text);
    gauge(x, METRIC_paused, atomic_load(&c->hub->registry.paused));
}

/* ---- counters of the engines ---- */

static void write_rejections(const struct collect *c, struct expo *x)
{
    collect_family(x, METRIC_client_rejections_total);
    for (int i = 0; i < REJECT_REASONS; i++) {
        uint64_t n = 0;
        for (int e = 0; e < c->hub->n_engines; e++)
            n += stat_get(&c->hub->engine[e]->stats.rejected[i]);
        expo_label(x, "reason", text_of(reject_name((enum reject_reason)i)));
        expo_uint(x, n);
    }
}

#define PARSE_EDGES 8

static void write_parse(const struct collect *c, struct expo *x)
{
    static const uint64_t edges[PARSE_EDGES] = { 10, 25, 100, 250, 1000, 2500, 5000, 10000 };
    uint64_t count[PARSE_EDGES + 1] = { 0 }, sum = 0;

    for (int e = 0; e < c->hub->n_engines; e++) {
        const struct engine_stats *st = &c->hub->engine[e]->stats;
        for (int i = 0; i <= PARSE_EDGES; i++)
            count[i] += stat_get(&st->parse_bucket[i]);
        sum += stat_get(&st->parse_sum_us);
    }
    collect_family(x, METRIC_parse_duration_seconds);
    expo_histogram(x, count, edges, PARSE_EDGES, sum);
#define CACHE(metric, member)                                                                      \
    do {                                                                                           \
        uint64_t n = 0;                                                                            \
        for (int e = 0; e < c->hub->n_engines; e++)                                                \
            n += stat_get(&c->hub->engine[e]->stats.member);                                       \
        collect_family(x, metric);                                                                 \
        expo_uint(x, n);                                                                           \
    } while (0)
    CACHE(METRIC_parse_cache_entries, cache_entries);
    CACHE(METRIC_parse_cache_bytes, cache_bytes);
    CACHE(METRIC_parse_cache_hits_total, cache_hits);
    CACHE(METRIC_parse_cache_template_hits_total, template_hits);
    CACHE(METRIC_parse_cache_misses_total, cache_misses);
    CACHE(METRIC_parse_cache_evictions_total, cache_evictions);
    CACHE(METRIC_query_templates, profile_entries);
    CACHE(METRIC_query_templates_bytes, profile_bytes);
    CACHE(METRIC_query_templates_evictions_total, profile_evictions);
#undef CACHE
}

static void write_audit(const struct collect *c, struct expo *x)
{
    struct writer_stats s = { 0, 0 };
    if (c->hub->audit)
        s = writer_stats(c->hub->audit);
    collect_family(x, METRIC_audit_lines_total);
    expo_uint(x, s.written);
    collect_family(x, METRIC_audit_lines_dropped_total);
    expo_uint(x, s.dropped);
    uint64_t folded = 0, kinds = 0;
    if (c->hub->log)
        log_fold_stats(c->hub->log, &folded, &kinds);
    collect_family(x, METRIC_log_lines_folded_total);
    expo_uint(x, folded);
    collect_family(x, METRIC_log_kinds);
    expo_uint(x, kinds);
}

static void worker_label(struct expo *x, int worker)
{
    char label[40];
    snprintf(label, sizeof(label), "worker=\"%d\"", worker);
    expo_labels(x, label);
}

static void write_workers(const struct collect *c, struct expo *x)
{
    collect_family(x, METRIC_worker_busy_seconds_total);
    for (int e = 0; e < c->hub->n_engines; e++) {
        worker_label(x, e);
        expo_usec(x, atomic_load_explicit(&c->hub->engine[e]->loop.busy_us, memory_order_relaxed));
    }
    collect_family(x, METRIC_event_loop_lag_seconds);
    for (int e = 0; e < c->hub->n_engines; e++) {
        const struct stat_hist *h = &c->hub->engine[e]->loop.lag;
        uint64_t n[STAT_BUCKETS + 1];
        for (int i = 0; i <= STAT_BUCKETS; i++)
            n[i] = stat_get(&h->count[i]);
        worker_label(x, e);
        expo_histogram(x, n, stat_edges_us, STAT_BUCKETS, stat_get(&h->sum_us));
    }
    collect_family(x, METRIC_worker_turns_total);
    for (int e = 0; e < c->hub->n_engines; e++) {
        worker_label(x, e);
        expo_uint(x, atomic_load_explicit(&c->hub->engine[e]->loop.turns, memory_order_relaxed));
    }
    collect_family(x, METRIC_worker_deadline_looks_total);
    for (int e = 0; e < c->hub->n_engines; e++) {
        worker_label(x, e);
        expo_uint(x, stat_get(&c->hub->engine[e]->stats.looks));
    }
    collect_family(x, METRIC_worker_connections);
    for (int e = 0; e < c->hub->n_engines; e++) {
        worker_label(x, e);
        expo_int(x, atomic_load_explicit(&c->hub->engine[e]->loop.load, memory_order_relaxed));
    }
    gauge(x, METRIC_dns_names, c->survey->dns_names);
}

/* ---- all ---- */

void collect_write(const struct collect *c, struct expo *x)
{
    int64_t limit = x->max_series;

    if (limit > 0)
        x->max_series = limit > 2 ? limit - 2 : 1; /* room for the last two */
    /* what is few goes first, so that the ceiling cuts off databases and pools, not these */
    write_build(c, x);
    collect_process(c, x);
    collect_limits(x);
    write_config(c, x);
    collect_alerts(c, x);
    write_workers(c, x);
    write_rejections(c, x);
    collect_tls(c, x);
    write_parse(c, x);
    write_audit(c, x);
    collect_backends(c, x);
    if (c->tops)
        tops_write(c->tops, x);
    write_clients(c, x);
    write_pools(c, x);
    collect_databases(c, x);
    if (c->setup->g.metrics_pgbouncer_names)
        pgbouncer_write(c, x);
    x->max_series = limit;
    collect_family(x, METRIC_metrics_series_dropped_total);
    expo_uint(x, c->dropped_before + (uint64_t)x->dropped);
    usec_t now = clock_mono_us();
    collect_family(x, METRIC_scrape_duration_seconds);
    expo_usec(x, now > c->begun ? now - c->begun : 0);
}
