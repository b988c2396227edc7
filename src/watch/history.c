/* SPDX-License-Identifier: ISC */
/* Counters of the past, percentiles between two moments, points of curves. */
#include "watch/history.h"

#include "base/map.h"
#include "tenant/tenant.h"
#include "watch/quantile.h"

#include <math.h>
#include <stdlib.h>

#define FINE_US (10 * USEC_PER_SEC)
#define COARSE_US (30 * USEC_PER_SEC)
#define POINT_US (60 * USEC_PER_SEC)
#define FINE 8                      /* a minute and a step */
#define COARSE 32                   /* fifteen minutes and a step */
#define EARLY_US (USEC_PER_SEC / 2) /* looks do not come exactly on time */
#define IDLE_US (3600 * USEC_PER_SEC)

/* Counters at one moment, modulo 2^32: only differences over minutes are looked at. */
struct snap {
    uint32_t query[STAT_BUCKETS + 1], xact[STAT_BUCKETS + 1], wait[STAT_BUCKETS + 1];
    uint32_t queries, slow, errors, refusals, denials, unbound;
};

struct point {
    float p50, p95, p99, wait_p95, rate;
    uint32_t waiting, active, errors, refusals;
};

struct history_series {
    const struct history *history;
    struct text name; /* the ledger's, which stays */
    const struct db_ledger *db;
    int index; /* of the ledger in the registry */
    struct snap now, minute;
    uint32_t waiting, active; /* at this look */
    uint32_t most_waiting, most_active;
    usec_t busy; /* when it last had something to do */
    struct snap fine[FINE], coarse[COARSE];
    struct point points[HISTORY_POINTS];
};

struct history {
    struct history_series all;
    struct history_series *list[HISTORY_DATABASES];
    int n, left_out;
    struct map by_name;
    uint32_t *met; /* by index in the registry: how much was seen of one that is not followed */
    int n_met;
    usec_t fine_at[FINE], coarse_at[COARSE], point_at[HISTORY_POINTS];
    usec_t point_wall[HISTORY_POINTS], point_us[HISTORY_POINTS];
    int n_fine, n_coarse, n_points; /* how many there were ever */
    usec_t minute_at;
};

/* ---- counters ---- */

static void add_hist(uint32_t *to, const struct stat_hist *from)
{
    for (int i = 0; i <= STAT_BUCKETS; i++)
        to[i] += (uint32_t)stat_get(&from->count[i]);
}

static void read_ledger(const struct db_ledger *db, int n_workers, struct snap *out)
{
    *out = (struct snap){ 0 };
    for (int w = 0; w < n_workers; w++) {
        const struct db_stats *s = &db->stats[w];
        add_hist(out->query, &s->query);
        add_hist(out->xact, &s->xact);
        add_hist(out->wait, &s->wait);
        out->queries += (uint32_t)stat_get(&s->queries);
        out->slow += (uint32_t)stat_get(&s->slow_queries);
        out->refusals += (uint32_t)stat_get(&s->tenant_denied);
        for (int i = 0; i < REFUSAL_COUNT && stat_get(&s->tenant_denied); i++)
            out->denials += i == REFUSAL_no_tenant ? 0 : (uint32_t)stat_get(&s->denials[i]);
        out->unbound += (uint32_t)stat_get(&s->tenant_unbound);
        out->errors += (uint32_t)db_stats_errors(s);
    }
}

static void add_snap(struct snap *to, const struct snap *from)
{
    for (int i = 0; i <= STAT_BUCKETS; i++) {
        to->query[i] += from->query[i];
        to->xact[i] += from->xact[i];
        to->wait[i] += from->wait[i];
    }
    to->queries += from->queries;
    to->slow += from->slow;
    to->errors += from->errors;
    to->refusals += from->refusals;
    to->denials += from->denials;
    to->unbound += from->unbound;
}

/* Grows with whatever happens; 0: nothing ever did. */
static uint32_t total(const struct snap *s)
{
    return s->queries + s->refusals + s->errors + s->unbound;
}

static bool same(const struct snap *a, const struct snap *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void latency(const uint32_t *from, const uint32_t *to, struct history_latency *out)
{
    uint64_t count[STAT_BUCKETS + 1];

    out->count = 0;
    for (int i = 0; i <= STAT_BUCKETS; i++)
        out->count += count[i] = (uint32_t)(to[i] - from[i]);
    out->p50 = quantile(count, stat_edges_us, STAT_BUCKETS, 0.5) / 1e6;
    out->p95 = quantile(count, stat_edges_us, STAT_BUCKETS, 0.95) / 1e6;
    out->p99 = quantile(count, stat_edges_us, STAT_BUCKETS, 0.99) / 1e6;
}

/* ---- databases ---- */

struct history *history_new(usec_t mono)
{
    struct history *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->all.history = h;
    map_init(&h->by_name);
    /* nothing has happened yet: all counters are 0 */
    h->minute_at = h->fine_at[0] = h->coarse_at[0] = mono;
    h->n_fine = h->n_coarse = 1;
    return h;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    for (int i = 0; i < h->n; i++)
        free(h->list[i]);
    map_release(&h->by_name);
    free(h->met);
    free(h);
}

/* Forgets one that has been idle for long; false: there is none. */
static bool make_room(struct history *h, usec_t mono)
{
    for (int i = 0; i < h->n; i++) {
        struct history_series *s = h->list[i];
        if (mono - s->busy < IDLE_US)
            continue;
        map_del(&h->by_name, s->name);
        h->met[s->index] = total(&s->now);
        free(s);
        h->list[i] = h->list[--h->n];
        return true;
    }
    return false;
}

/* Follows a database from now on. NULL: no room or no memory. */
static struct history_series *follow(struct history *h, const struct db_ledger *db, int index,
                                     const struct snap *now, usec_t mono, bool *full)
{
    if (h->n == HISTORY_DATABASES && (*full || !make_room(h, mono))) {
        *full = true;
        return NULL;
    }
    struct history_series *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->history = h;
    s->db = db;
    s->name = db->name;
    s->index = index;
    for (int i = 0; i < HISTORY_POINTS; i++)
        s->points[i].p50 = s->points[i].p95 = s->points[i].p99 = s->points[i].wait_p95 = NAN;
    if (h->met[index]) { /* what was counted before does not belong to the last minutes */
        s->now = s->minute = *now;
        for (int i = 0; i < FINE; i++)
            s->fine[i] = *now;
        for (int i = 0; i < COARSE; i++)
            s->coarse[i] = *now;
    }
    s->busy = mono;
    h->list[h->n++] = s;
    map_put(&h->by_name, s->name, s);
    return s;
}

static bool grow_met(struct history *h, int n)
{
    if (n <= h->n_met)
        return true;
    int cap = n < 64 ? 64 : n * 2;
    uint32_t *p = realloc(h->met, sizeof(*p) * (size_t)cap);
    if (!p)
        return false;
    memset(p + h->n_met, 0, sizeof(*p) * (size_t)(cap - h->n_met));
    h->met = p;
    h->n_met = cap;
    return true;
}

static void read_all(struct history *h, struct hub *hub, usec_t mono)
{
    int n;
    bool full = false;
    struct db_ledger **list = registry_dbs(&hub->registry, &n);
    struct snap now;

    if (!list || !grow_met(h, n)) {
        free(list);
        return;
    }
    h->all.now = (struct snap){ 0 };
    h->left_out = 0;
    for (int i = 0; i < n; i++) {
        read_ledger(list[i], hub->n_engines, &now);
        add_snap(&h->all.now, &now);
        struct history_series *s = map_get(&h->by_name, list[i]->name);
        if (!s && total(&now) != h->met[i] && !(s = follow(h, list[i], i, &now, mono, &full))) {
            h->met[i] = total(&now);
            h->left_out++;
        }
        if (!s)
            continue;
        if (!same(&s->now, &now) || s->waiting || s->active)
            s->busy = mono;
        s->now = now;
        s->waiting = s->active = 0;
    }
    free(list);
}

/* ---- a look ---- */

static void see_pools(struct history *h, const struct survey *survey)
{
    h->all.waiting = h->all.active = 0;
    for (int i = 0; i < survey->n_pools; i++) {
        const struct survey_pool *p = &survey->pools[i];
        if (!p->pool)
            continue;
        uint32_t waiting = (uint32_t)p->cl_waiting, active = (uint32_t)p->sv[SERVER_ACTIVE];
        struct history_series *s =
            waiting || active ? map_get(&h->by_name, p->pool->db_name) : NULL;
        h->all.waiting += waiting;
        h->all.active += active;
        if (s) {
            s->waiting += waiting;
            s->active += active;
        }
    }
}

static void take_point(struct history_series *s, int slot, double seconds)
{
    struct history_latency query, wait;

    latency(s->minute.query, s->now.query, &query);
    latency(s->minute.wait, s->now.wait, &wait);
    s->points[slot] = (struct point){
        .p50 = (float)query.p50,
        .p95 = (float)query.p95,
        .p99 = (float)query.p99,
        .wait_p95 = (float)wait.p95,
        .rate = (float)((uint32_t)(s->now.queries - s->minute.queries) / seconds),
        .waiting = s->most_waiting,
        .active = s->most_active,
        .errors = s->now.errors - s->minute.errors,
        .refusals = s->now.refusals - s->minute.refusals,
    };
    s->minute = s->now;
    s->most_waiting = s->most_active = 0;
}

struct writes {
    int fine, coarse, point; /* slot to fill, -1 = not now */
    double seconds;          /* of the point */
};

static void record(struct history_series *s, const struct writes *due)
{
    if (s->waiting > s->most_waiting)
        s->most_waiting = s->waiting;
    if (s->active > s->most_active)
        s->most_active = s->active;
    if (due->fine >= 0)
        s->fine[due->fine] = s->now;
    if (due->coarse >= 0)
        s->coarse[due->coarse] = s->now;
    if (due->point >= 0)
        take_point(s, due->point, due->seconds);
}

/* The slot for a new moment, or -1: it is not time yet. */
static int slot(usec_t *at, int size, int *n, usec_t every, usec_t mono)
{
    usec_t last = at[(*n + size - 1) % size];

    if (mono - last + EARLY_US < every)
        return -1;
    int i = (*n)++ % size;
    at[i] = mono;
    return i;
}

void history_look(struct history *h, struct hub *hub, const struct survey *survey, usec_t mono,
                  usec_t wall)
{
    struct writes due = { .point = -1 };

    read_all(h, hub, mono);
    see_pools(h, survey);
    due.fine = slot(h->fine_at, FINE, &h->n_fine, FINE_US, mono);
    due.coarse = slot(h->coarse_at, COARSE, &h->n_coarse, COARSE_US, mono);
    if (mono - h->minute_at + EARLY_US >= POINT_US) {
        due.point = h->n_points++ % HISTORY_POINTS;
        due.seconds = (double)(mono - h->minute_at) / 1e6;
        h->point_wall[due.point] = wall;
        h->point_us[due.point] = mono - h->minute_at;
        h->minute_at = mono;
    }
    record(&h->all, &due);
    for (int i = 0; i < h->n; i++)
        record(h->list[i], &due);
}

/* ---- which ---- */

const struct history_series *history_all(const struct history *h)
{
    return &h->all;
}

const struct history_series *history_find(const struct history *h, struct text database)
{
    return map_get(&h->by_name, database);
}

const struct history_series *history_next(const struct history *h, int *pos)
{
    return *pos < h->n ? h->list[(*pos)++] : NULL;
}

struct text history_name(const struct history_series *s)
{
    return s->name;
}

int history_count(const struct history *h)
{
    return h->n;
}

int history_left_out(const struct history *h)
{
    return h->left_out;
}

size_t history_bytes(const struct history *h)
{
    return sizeof(*h) + (size_t)h->n * sizeof(struct history_series) +
           (size_t)h->n_met * sizeof(*h->met);
}

/* ---- percentiles ---- */

/* The newest moment that is at least that old, else the oldest; *at: when. */
static const struct snap *since(const struct snap *ring, const usec_t *when, int n, int size,
                                usec_t mono, usec_t age, usec_t *at)
{
    int k = n - 1;

    while (k > 0 && k > n - size && mono - when[k % size] < age)
        k--;
    *at = when[k % size];
    return &ring[k % size];
}

void history_window(const struct history *h, struct hub *hub, const struct history_series *s,
                    usec_t mono, int seconds, struct history_window *out)
{
    usec_t at, age = (usec_t)seconds * USEC_PER_SEC;
    struct snap now = s->now;
    const struct snap *then =
        age <= 60 * USEC_PER_SEC
            ? since(s->fine, h->fine_at, h->n_fine, FINE, mono, age, &at)
            : since(s->coarse, h->coarse_at, h->n_coarse, COARSE, mono, age, &at);

    if (s->db && hub) {
        read_ledger(s->db, hub->n_engines, &now);
    } else if (hub) {
        int n;
        struct db_ledger **list = registry_dbs(&hub->registry, &n);
        struct snap one;
        now = list ? (struct snap){ 0 } : now;
        for (int i = 0; i < n; i++) {
            read_ledger(list[i], hub->n_engines, &one);
            add_snap(&now, &one);
        }
        free(list);
    }
    out->seconds = (double)(mono - at) / 1e6;
    latency(then->query, now.query, &out->query);
    latency(then->xact, now.xact, &out->xact);
    latency(then->wait, now.wait, &out->wait);
    out->queries = (uint32_t)(now.queries - then->queries);
    out->slow_queries = (uint32_t)(now.slow - then->slow);
    out->errors = (uint32_t)(now.errors - then->errors);
    out->refusals = (uint32_t)(now.refusals - then->refusals);
    out->denials = (uint32_t)(now.denials - then->denials);
    out->unbound = (uint32_t)(now.unbound - then->unbound);
}

/* ---- curves ---- */

int history_points(const struct history_series *s, struct history_point out[HISTORY_POINTS])
{
    const struct history *h = s->history;
    int n = h->n_points < HISTORY_POINTS ? h->n_points : HISTORY_POINTS;

    for (int i = 0; i < n; i++) {
        int k = (h->n_points - n + i) % HISTORY_POINTS;
        const struct point *p = &s->points[k];
        out[i] = (struct history_point){
            .at_wall = h->point_wall[k],
            .seconds = (double)h->point_us[k] / 1e6,
            .p50 = (double)p->p50,
            .p95 = (double)p->p95,
            .p99 = (double)p->p99,
            .wait_p95 = (double)p->wait_p95,
            .queries_per_second = (double)p->rate,
            .waiting = p->waiting,
            .active = p->active,
            .errors = p->errors,
            .refusals = p->refusals,
        };
    }
    return n;
}
