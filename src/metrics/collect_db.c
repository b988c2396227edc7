/* SPDX-License-Identifier: ISC */
/* Counters and histograms of each database, from base/stat.def, summed over the workers. */
#include "metrics/collect.h"

#include "tenant/tenant.h"

#include <stdio.h>
#include <stdlib.h>

enum kind { KIND_C, KIND_T, KIND_G };

static const struct stat_row {
    size_t offset; /* of the stat_t in struct db_stats */
    enum kind kind;
    const char *metric, *labels, *help;
} rows[] = {
#define STAT(member, type, metric, labels, show, help)                                             \
    { offsetof(struct db_stats, member), KIND_##type, metric, labels, help },
#include "base/stat.def"
};
#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

struct hist {
    uint64_t count[STAT_BUCKETS + 1], sum_us;
};

/* One database's sums. */
struct sums {
    const struct db_ledger *db;
    uint64_t v[ROWS];
    struct hist wait, query, xact;
};

static uint64_t row_sum(const struct db_ledger *db, int n_workers, const struct stat_row *row)
{
    uint64_t n = 0;
    for (int w = 0; w < n_workers; w++)
        n += stat_get((const stat_t *)(const void *)((const char *)&db->stats[w] + row->offset));
    return n;
}

static void add_hist(struct hist *to, const struct stat_hist *from)
{
    for (int i = 0; i <= STAT_BUCKETS; i++)
        to->count[i] += stat_get(&from->count[i]);
    to->sum_us += stat_get(&from->sum_us);
}

static void sum_up(struct sums *s, const struct db_ledger *db, int n_workers)
{
    s->db = db;
    for (int i = 0; i < ROWS; i++)
        s->v[i] = row_sum(db, n_workers, &rows[i]);
    for (int w = 0; w < n_workers; w++) {
        add_hist(&s->wait, &db->stats[w].wait);
        add_hist(&s->query, &db->stats[w].query);
        add_hist(&s->xact, &db->stats[w].xact);
    }
}

static bool seen_before(int row)
{
    for (int i = 0; i < row; i++)
        if (strcmp(rows[i].metric, rows[row].metric) == 0)
            return true;
    return false;
}

/* All rows of the family that begins with this one. */
static void write_family(struct expo *x, int first, const struct sums *s, int n)
{
    char name[128];

    snprintf(name, sizeof(name), "pgbulkhead_%s", rows[first].metric);
    expo_family(x, name, rows[first].kind == KIND_G ? EXPO_GAUGE : EXPO_COUNTER, rows[first].help);
    for (int i = first; i < ROWS; i++) {
        if (strcmp(rows[i].metric, rows[first].metric) != 0)
            continue;
        for (int d = 0; d < n; d++) {
            expo_label(x, "database", s[d].db->name);
            expo_labels(x, rows[i].labels);
            if (rows[i].kind == KIND_T)
                expo_usec(x, s[d].v[i]);
            else if (rows[i].kind == KIND_G) /* read while others write: may be below 0 */
                expo_uint(x, (int64_t)s[d].v[i] < 0 ? 0 : s[d].v[i]);
            else
                expo_uint(x, s[d].v[i]);
        }
    }
}

static void write_histograms(struct expo *x, const struct sums *s, int n, int n_workers)
{
    static const struct {
        enum metric metric;
        size_t offset;
    } hists[] = { { METRIC_pool_wait_duration_seconds, offsetof(struct sums, wait) },
                  { METRIC_query_duration_seconds, offsetof(struct sums, query) },
                  { METRIC_transaction_duration_seconds, offsetof(struct sums, xact) } };

    for (size_t k = 0; k < sizeof(hists) / sizeof(hists[0]); k++) {
        collect_family(x, hists[k].metric);
        for (int d = 0; d < n; d++) {
            const struct hist *h =
                (const struct hist *)(const void *)((const char *)&s[d] + hists[k].offset);
            expo_label(x, "database", s[d].db->name);
            if (hists[k].metric == METRIC_query_duration_seconds)
                collect_traced(x, s[d].db, n_workers, h->count, h->sum_us);
            else
                expo_histogram(x, h->count, stat_edges_us, STAT_BUCKETS, h->sum_us);
        }
    }
}

/* Every reason from the start where tenants are guarded, so that the first refusal is an increase.
 */
static void write_denials(const struct collect *c, struct expo *x, const struct sums *s, int n)
{
    collect_family(x, METRIC_tenant_denials_total);
    for (int d = 0; d < n; d++) {
        bool guarded = atomic_load(&s[d].db->policy) != NULL;
        for (int r = 0; r < REFUSAL_COUNT; r++) {
            uint64_t k = 0;
            for (int w = 0; w < c->hub->n_engines; w++)
                k += stat_get(&s[d].db->stats[w].denials[r]);
            if (k == 0 && !guarded)
                continue;
            expo_label(x, "database", s[d].db->name);
            expo_label(x, "reason", text_of(refusal_name((enum refusal)r)));
            expo_uint(x, k);
        }
    }
}

static void write_gauges(struct expo *x, const struct sums *s, int n)
{
    collect_family(x, METRIC_database_server_connections);
    for (int d = 0; d < n; d++) {
        expo_label(x, "database", s[d].db->name);
        expo_int(x, quota_used(&s[d].db->servers));
    }
    collect_family(x, METRIC_database_server_connections_max);
    for (int d = 0; d < n; d++) {
        expo_label(x, "database", s[d].db->name);
        expo_int(x, atomic_load_explicit(&s[d].db->servers.max, memory_order_relaxed));
    }
    collect_family(x, METRIC_tenant_active);
    for (int d = 0; d < n; d++) {
        expo_label(x, "database", s[d].db->name);
        expo_int(x, atomic_load_explicit(&s[d].db->tenants, memory_order_relaxed));
    }
    collect_family(x, METRIC_tenant_pool_waiting);
    for (int d = 0; d < n; d++) {
        expo_label(x, "database", s[d].db->name);
        expo_int(x, atomic_load_explicit(&s[d].db->tenants_waiting, memory_order_relaxed));
    }
    collect_family(x, METRIC_database_paused);
    for (int d = 0; d < n; d++) {
        expo_label(x, "database", s[d].db->name);
        expo_int(x, atomic_load(&s[d].db->paused));
    }
    collect_family(x, METRIC_database_disabled);
    for (int d = 0; d < n; d++) {
        expo_label(x, "database", s[d].db->name);
        expo_int(x, atomic_load(&s[d].db->disabled));
    }
}

static struct sums *sum_all(struct hub *h, int *n)
{
    struct db_ledger **list = registry_dbs(&h->registry, n);
    struct sums *s = calloc((size_t)*n + 1, sizeof(*s));

    if (!s)
        *n = 0;
    for (int d = 0; d < *n; d++)
        sum_up(&s[d], list[d], h->n_engines);
    free(list);
    return s;
}

void collect_databases(const struct collect *c, struct expo *x)
{
    int n;
    struct sums *s = sum_all(c->hub, &n);

    write_gauges(x, s, n);
    for (int i = 0; i < ROWS; i++)
        if (*rows[i].metric && !seen_before(i))
            write_family(x, i, s, n);
    write_denials(c, x, s, n);
    write_histograms(x, s, n, c->hub->n_engines);
    free(s);
}
