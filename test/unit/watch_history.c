/* SPDX-License-Identifier: ISC */
/* Percentiles as Prometheus takes them; windows, curves and bounds of the history, on a clock of
 * the test's own. */
#include "tap.h"

#include "watch/history.h"
#include "watch/quantile.h"

#include <math.h>

#define S USEC_PER_SEC
#define MS USEC_PER_MSEC

static bool near(double a, double b)
{
    double d = a - b;
    return d < 1e-6 && d > -1e-6;
}

/* ---- quantile ---- */

static void quantiles(void)
{
    static const uint64_t edges[] = { 10, 20, 40 };
    static const uint64_t none[4], even[4] = { 10, 10, 10, 0 }, above[4] = { 0, 0, 0, 5 },
                                   gap[4] = { 1, 0, 1, 0 }, late[4] = { 0, 4, 0, 0 };

    ok(isnan(quantile(none, edges, 3, 0.5)), "nothing was measured: not a number");
    ok(near(quantile(even, edges, 3, 0.5), 15), "in the middle of the second bucket");
    ok(near(quantile(even, edges, 3, 0.95), 37), "0.95 of 30 is 28.5: 8.5 of 10 into the third");
    ok(near(quantile(even, edges, 3, 1.0 / 3), 10), "exactly an edge");
    ok(near(quantile(even, edges, 3, 1), 40), "all");
    ok(near(quantile(above, edges, 3, 0.5), 40), "above the last edge: the last edge");
    ok(near(quantile(gap, edges, 3, 0.5), 10), "an empty bucket is stepped over");
    ok(near(quantile(gap, edges, 3, 0.75), 30), "and does not stretch its neighbour");
    ok(near(quantile(late, edges, 3, 0), 10), "q = 0: where the values begin");
    ok(near(quantile(late, edges, 3, 0.25), 12.5), "a first bucket that is empty");
}

/* ---- history ---- */

struct world {
    struct hub hub;
    struct history *history;
    struct survey survey;
    usec_t now;
};

static void setup(struct world *w)
{
    memset(w, 0, sizeof(*w));
    registry_init(&w->hub.registry, 2);
    w->hub.n_engines = 2;
    w->now = 1000 * S;
    w->history = history_new(w->now);
}

static void teardown(struct world *w)
{
    history_free(w->history);
    registry_release(&w->hub.registry);
}

/* Looks every five seconds. */
static void pass(struct world *w, int seconds)
{
    for (int i = 0; i < seconds; i += 5) {
        w->now += 5 * S;
        history_look(w->history, &w->hub, &w->survey, w->now, w->now);
    }
}

/* n queries of that time, spread over both workers. */
static void queries(struct db_ledger *db, int n, usec_t took)
{
    for (int i = 0; i < n; i++) {
        struct db_stats *s = &db->stats[i % 2];
        stat_observe(&s->query, took);
        stat_inc(&s->queries);
        stat_add(&s->query_us, took);
    }
}

static struct history_window window(const struct world *w, const struct history_series *s,
                                    int seconds)
{
    struct history_window out;
    struct hub *hub = (struct hub *)(uintptr_t)&w->hub;

    history_window(w->history, hub, s, w->now, seconds, &out);
    return out;
}

static void windows(void)
{
    static struct world w;
    setup(&w);
    struct db_ledger *db = registry_db(&w.hub.registry, TEXT("app"));

    pass(&w, 10);
    ok(!history_find(w.history, TEXT("app")), "a database without queries is not followed");
    queries(db, 100, 3 * MS); /* bucket 2.5 to 5 ms */
    pass(&w, 5);
    const struct history_series *s = history_find(w.history, TEXT("app"));
    ok(s != NULL, "from the first query on it is");
    if (!s)
        return;
    is_text(history_name(s), "app", "its name");
    is_int(window(&w, s, 60).query.count, 100, "queries before the first look count");
    ok(near(window(&w, s, 60).query.p50, 0.00375), "p50 in seconds");
    ok(near(window(&w, s, 60).query.p99, 0.002475 + 0.0025), "p99");
    queries(db, 100, 2000 * MS);
    is_int(window(&w, s, 60).query.count, 200, "what came after the last look counts too");
    history_window(w.history, NULL, s, w.now, 60, &(struct history_window){ 0 });
    struct history_window old;
    history_window(w.history, NULL, s, w.now, 60, &old);
    is_int(old.query.count, 100, "but not in a window up to the last look");
    ok(near(window(&w, s, 60).query.p95, 1 + 1.5 * 90 / 100), "p95 in the bucket of 1 to 2.5 s");
    pass(&w, 80);
    is_int(window(&w, s, 60).query.count, 0, "after more than a minute: not in the last minute");
    ok(isnan(window(&w, s, 60).query.p50), "and no percentile");
    is_int(window(&w, s, 300).query.count, 200, "but in the last five");
    stat_add(&db->stats[1].slow_queries, 3);
    stat_add(&db->stats[0].tenant_denied, 2);
    stat_add(&db->stats[0].denials[REFUSAL_no_tenant], 3); /* read while one is counted */
    stat_add(&db->stats[0].denials[REFUSAL_no_claim], 1);
    stat_add(&db->stats[1].tenant_unbound, 6);
    stat_add(&db->stats[1].err_data, 4);
    stat_add(&db->stats[0].err_other, 1);
    stat_observe(&db->stats[0].wait, 30 * MS);
    stat_observe(&db->stats[0].xact, 30 * MS);
    struct history_window now = window(&w, s, 60);
    is_int(now.slow_queries, 3, "slow queries");
    is_int(now.refusals, 2, "refusals");
    is_int(now.denials, 1, "of tenants' statements");
    is_int(now.unbound, 6, "who had no tenant");
    is_int(now.errors, 5, "errors of all classes");
    is_int(now.wait.count, 1, "waits");
    is_int(now.xact.count, 1, "transactions");
    pass(&w, 250);
    is_int(window(&w, s, 300).query.count, 0, "after five and a half minutes: none");
    is_int(window(&w, s, 900).query.count, 200, "but in fifteen");
    for (int i = 0; i < 4; i++) {
        pass(&w, 60);
        double got = window(&w, s, 300).seconds;
        ok(got >= 300 && got < 331, "five minutes are %g s", got);
        got = window(&w, s, 60).seconds;
        ok(got >= 60 && got < 71, "one is %g s", got);
    }
    pass(&w, 600);
    double got = window(&w, s, 900).seconds;
    ok(got >= 900 && got < 931, "fifteen are %g s", got);
    is_int(window(&w, s, 900).query.count, 0, "and what was before is gone");
    teardown(&w);
}

static void curves(void)
{
    static struct world w;
    static struct history_point p[HISTORY_POINTS];
    setup(&w);
    struct registry *r = &w.hub.registry;
    struct db_ledger *a = registry_db(r, TEXT("a")), *b = registry_db(r, TEXT("b"));
    struct pool *pool = registry_pool(r, TEXT("b"), TEXT("bob"), false);
    struct survey_pool counts = { .pool = pool, .cl_waiting = 7 };

    is_int(history_points(history_all(w.history), p), 0, "no minute is over yet");
    queries(a, 600, 3 * MS);
    pass(&w, 60);
    is_int(history_points(history_all(w.history), p), 1, "one minute");
    ok(near(p[0].queries_per_second, 10) && near(p[0].seconds, 60), "its rate");
    ok(near(p[0].p50, (double)(float)0.00375), "and its p50");
    ok(isnan(p[0].wait_p95), "nobody waited");
    queries(a, 60, 3 * MS);
    queries(b, 120, 3 * MS);
    stat_add(&b->stats[0].tenant_denied, 9);
    counts.sv[SERVER_ACTIVE] = 3;
    w.survey.pools = &counts;
    w.survey.n_pools = 1;
    pass(&w, 5);
    w.survey.n_pools = 0;
    pass(&w, 55);
    const struct history_series *s = history_find(w.history, TEXT("b"));
    is_int(history_points(s, p), 2, "a database that came later has the same minutes");
    ok(isnan(p[0].p50) && near(p[0].queries_per_second, 0), "nothing in the first");
    ok(near(p[1].queries_per_second, 2), "its rate in the second");
    is_int(p[1].waiting, 7, "most waiting clients");
    is_int(p[1].active, 3, "most active servers");
    is_int(p[1].refusals, 9, "refusals");
    history_points(history_all(w.history), p);
    ok(near(p[1].queries_per_second, 3), "all together");
    is_int(p[1].waiting, 7, "all together: waiting");
    for (int i = 0; i < 100; i++)
        pass(&w, 60);
    is_int(history_points(s, p), HISTORY_POINTS, "an hour is kept");
    ok(p[0].at_wall < p[1].at_wall && p[59].at_wall == w.now, "oldest first, newest last");
    is_int(p[59].at_wall - p[0].at_wall, 59 * 60 * S, "a minute each");
    ok(isnan(p[0].p50) && p[0].waiting == 0, "what is older is gone");
    teardown(&w);
}

static void bounds(void)
{
    static struct world w;
    setup(&w);
    struct registry *r = &w.hub.registry;
    char name[32];

    for (int i = 0; i < HISTORY_DATABASES + 10; i++) {
        snprintf(name, sizeof(name), "db%d", i);
        queries(registry_db(r, text_of(name)), 2, MS);
    }
    pass(&w, 5);
    is_int(history_count(w.history), HISTORY_DATABASES, "as many databases as may be");
    is_int(history_left_out(w.history), 10, "the others are counted");
    is_int(window(&w, history_all(w.history), 60).query.count, 2 * (HISTORY_DATABASES + 10),
           "the sum has them all");
    ok(history_bytes(w.history) < (size_t)12000 * HISTORY_DATABASES, "%zu bytes",
       history_bytes(w.history));
    ok(!history_find(w.history, TEXT("db1005")), "one that is left out");
    for (int i = 0; i < 13; i++) {
        queries(registry_db(r, TEXT("db1")), 1, MS);
        queries(registry_db(r, TEXT("db1005")), 1, MS);
        pass(&w, 300);
    }
    is_int(history_left_out(w.history), 0, "after an hour who was idle has made room");
    ok(history_find(w.history, TEXT("db1")), "who was busy stays");
    const struct history_series *s = history_find(w.history, TEXT("db1005"));
    ok(s && window(&w, s, 900).query.count <= 2, "what was before is not taken for new");
    teardown(&w);
    history_free(NULL);
}

int main(void)
{
    quantiles();
    windows();
    curves();
    bounds();
    return tap_done();
}
