/* SPDX-License-Identifier: ISC */
/* The text format, and the families made of a hub without running workers. */
#include "metrics/collect.h"
#include "tap.h"

#include <stdio.h>

static struct text written(const struct expo *x)
{
    return buf_text(&x->out);
}

static void formats(void)
{
    static const uint64_t edges[] = { 500, 500000, 5000000 };
    static const uint64_t counts[] = { 1, 2, 0, 4 };
    struct expo x;

    expo_init(&x, 0);
    expo_family(&x, "a_total", EXPO_COUNTER, "Some a");
    expo_uint(&x, 3);
    expo_label(&x, "l", TEXT("v\"\\\n"));
    expo_labels(&x, "m=\"n\"");
    expo_usec(&x, 1500000);
    is_text(
        written(&x),
        "# HELP a_total Some a\n# TYPE a_total counter\na_total 3\na_total{l=\"v\\\"\\\\\\n\",m=\"n\"} 1.500000\n",
        "head once, labels escaped");
    buf_clear(&x.out);
    expo_family(&x, "h", EXPO_HISTOGRAM, "H");
    expo_labels(&x, "d=\"e\"");
    expo_histogram(&x, counts, edges, 3, 42);
    is_text(
        written(&x),
        "# HELP h H\n# TYPE h histogram\nh_bucket{d=\"e\",le=\"0.0005\"} 1\nh_bucket{d=\"e\",le=\"0.5\"} 3\n"
        "h_bucket{d=\"e\",le=\"5\"} 3\nh_bucket{d=\"e\",le=\"+Inf\"} 7\nh_sum{d=\"e\"} 0.000042\nh_count{d=\"e\"} 7\n",
        "histogram: cumulative, edges in seconds");
    buf_clear(&x.out);
    expo_family(&x, "u", EXPO_GAUGE, "U");
    expo_label(&x, "l", text_n("\xc3\xa4\xff\xc3 \xed\xa0\x80", 8));
    expo_int(&x, -1);
    is_text(
        written(&x),
        "# HELP u U\n# TYPE u gauge\nu{l=\"\xc3\xa4\\\\xFF\\\\xC3 \\\\xED\\\\xA0\\\\x80\"} -1\n",
        "bytes that are not UTF-8");
    buf_clear(&x.out);
    expo_family(&x, "none", EXPO_GAUGE, "No samples");
    is_int((long)buf_len(&x.out), 0, "no head without samples");
    expo_release(&x);
}

/* The line of the bucket that got the exemplar. */
static void one_exemplar(struct expo_exemplar e, const char *want, const char *what)
{
    static const uint64_t edges[] = { 500, 5000000 }, counts[] = { 0, 1, 0 };
    const struct expo_exemplar ex[3] = { [1] = e };
    struct expo x;
    struct text line, all;

    expo_init(&x, 0);
    x.format = EXPO_OPENMETRICS;
    expo_family(&x, "h", EXPO_HISTOGRAM, "H");
    expo_histogram_ex(&x, counts, edges, 2, 42, ex);
    all = written(&x);
    for (int i = 0; i < 4; i++)
        text_split(&all, '\n', &line);
    is_text(line, want, "%s", what);
    expo_release(&x);
}

static void openmetrics(void)
{
    static const uint64_t edges[] = { 500, 500000, 1000000, 10000000 };
    static const uint64_t counts[] = { 1, 2, 0, 1, 4 };
    static const char *const plain = "h_bucket{le=\"5.0\"} 1";
    const struct expo_exemplar ex[5] = {
        [1] = { .trace_id = TEXT("4bf92f3577b34da6a3ce929d0e0e4736"),
                .span_id = TEXT("00f067aa0ba902b7"),
                .value_us = 500000,
                .at_us = 1700000000250000 },
        [4] = { .trace_id = TEXT("ff"), .value_us = 10000001 },
    };
    struct expo_exemplar e = { .trace_id = TEXT("t\"\\"), .span_id = TEXT("s"), .value_us = 501 };
    char name[256];
    struct expo x;

    expo_init(&x, 0);
    x.format = EXPO_OPENMETRICS;
    expo_family(&x, "a_total", EXPO_COUNTER, "Some \"a\", with \\ and \n");
    expo_uint(&x, 3);
    expo_family(&x, "pgbulkhead_client_connections", EXPO_GAUGE, "G");
    expo_uint(&x, 3);
    expo_family(&x, "pgbulkhead_client_connections_total", EXPO_COUNTER, "C");
    expo_uint(&x, 3);
    expo_family(&x, "h", EXPO_HISTOGRAM, "H");
    expo_labels(&x, "d=\"e\"");
    expo_histogram_ex(&x, counts, edges, 4, 42, ex);
    expo_end(&x);
    is_text(
        written(&x),
        "# HELP a Some \\\"a\\\", with \\\\ and \\n\n# TYPE a counter\na_total 3\n"
        "# HELP pgbulkhead_client_connections G\n# TYPE pgbulkhead_client_connections gauge\n"
        "pgbulkhead_client_connections 3\n# HELP pgbulkhead_client_connections_total C\n"
        "# TYPE pgbulkhead_client_connections_total unknown\n"
        "pgbulkhead_client_connections_total 3\n# HELP h H\n# TYPE h histogram\n"
        "h_bucket{d=\"e\",le=\"0.0005\"} 1\nh_bucket{d=\"e\",le=\"0.5\"} 3 "
        "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\"} 0.500000 "
        "1700000000.250000\nh_bucket{d=\"e\",le=\"1.0\"} 3\nh_bucket{d=\"e\",le=\"10.0\"} 4\n"
        "h_bucket{d=\"e\",le=\"+Inf\"} 8 # {trace_id=\"ff\"} 10.000001\n"
        "h_sum{d=\"e\"} 0.000042\nh_count{d=\"e\"} 8\n# EOF\n",
        "OpenMetrics: names, escapes, edges, exemplars, end");
    expo_release(&x);

    one_exemplar(e, "h_bucket{le=\"5.0\"} 1 # {trace_id=\"t\\\"\\\\\",span_id=\"s\"} 0.000501",
                 "exemplars are escaped");
    e.value_us = 500;
    one_exemplar(e, plain, "one of the bucket below");
    e.value_us = 5000001;
    one_exemplar(e, plain, "one of the bucket above");
    e.value_us = 5000000;
    memset(name, 'x', sizeof(name));
    e.trace_id = text_n(name, 113);
    one_exemplar(e, plain, "more than 128 characters");
    one_exemplar((struct expo_exemplar){ .value_us = 600 }, plain, "none");

    expo_init(&x, 0);
    expo_family(&x, "h", EXPO_HISTOGRAM, "H");
    expo_histogram_ex(&x, counts, edges, 4, 42, ex);
    expo_end(&x);
    ok(!memmem(x.out.p, x.out.n, "trace_id", 8) && !memmem(x.out.p, x.out.n, "EOF", 3),
       "the text format has neither exemplars nor an end");
    expo_release(&x);
}

static void ceiling(void)
{
    static const uint64_t edges[] = { 1 }, counts[] = { 1, 1 };
    struct expo x;

    expo_init(&x, 3);
    expo_family(&x, "a", EXPO_GAUGE, "A");
    expo_int(&x, 1);
    expo_family(&x, "h", EXPO_HISTOGRAM, "H");
    expo_label(&x, "l", TEXT("lost"));
    expo_histogram(&x, counts, edges, 1, 1);
    is_int((long)x.dropped, 4, "a histogram is left out as a whole");
    expo_family(&x, "b", EXPO_GAUGE, "B");
    expo_int(&x, 1);
    expo_int(&x, 2);
    expo_int(&x, 3);
    is_int((long)x.series, 3, "as many as allowed");
    is_int((long)x.dropped, 5, "the others are counted");
    is_text(written(&x), "# HELP a A\n# TYPE a gauge\na 1\n# HELP b B\n# TYPE b gauge\nb 1\nb 2\n",
            "labels of what was left out do not stay");
    expo_release(&x);
}

/* How often a line begins with this. */
static int lines(struct text all, const char *begin)
{
    struct text line;
    int n = 0;

    while (text_split(&all, '\n', &line))
        n += text_starts(line, text_of(begin));
    return n;
}

static bool has(struct text all, const char *want)
{
    struct text line;

    while (text_split(&all, '\n', &line))
        if (text_is(line, want))
            return true;
    return false;
}

/* No series twice, and each family in one piece. */
static bool distinct(struct text all)
{
    struct map seen;
    struct text line;
    bool good = true;

    map_init(&seen);
    while (text_split(&all, '\n', &line)) {
        if (line.n == 0)
            continue;
        size_t n = line.n;
        while (line.p[0] != '#' && n > 0 && line.p[n - 1] != ' ')
            n--;
        if (map_put(&seen, text_n(line.p, n), &seen)) {
            printf("# twice: %.*s\n", (int)n, line.p);
            good = false;
        }
    }
    map_release(&seen);
    return good;
}

/* Does every "# TYPE" have a name of its own? A counter and a gauge that differ in _total only
 * would share one: expo.c lists those. */
static bool families_apart(struct text all)
{
    struct map seen;
    struct text line, name;
    bool good = true;

    map_init(&seen);
    while (text_split(&all, '\n', &line)) {
        if (!text_starts(line, TEXT("# TYPE ")))
            continue;
        line = text_n(line.p + 7, line.n - 7);
        text_split(&line, ' ', &name);
        if (map_put(&seen, name, &seen)) {
            printf("# two families: %.*s\n", TEXT_ARG(name));
            good = false;
        }
    }
    map_release(&seen);
    return good;
}

static void collected(void)
{
    struct buf problems;
    struct hub *h = calloc(1, sizeof(*h));
    struct survey_pool pools[3] = { 0 };
    struct survey s = { .pools = pools, .n_pools = 3, .logins = 2, .now = 10 * USEC_PER_SEC };
    struct expo x;

    buf_init(&problems);
    const struct text ini = TEXT(
        "[databases]\napp = host=h port=7 storage_capacity=5kB\n[pgbouncer]\nauth_type = any\n");
    struct setup *setup = setup_parse("t.ini", ini, &problems);
    ok(setup != NULL, "a setup: %.*s", TEXT_ARG(buf_text(&problems)));
    buf_release(&problems);
    if (!setup) {
        free(h);
        return;
    }
    registry_init(&h->registry, 2);
    h->version = "PgBulkhead 0.1.0";
    h->n_engines = 2;
    for (int i = 0; i < 2; i++)
        h->engine[i] = calloc(1, sizeof(*h->engine[i]));
    pools[0].pool = registry_pool(&h->registry, TEXT("app"), TEXT("u"), false);
    pools[1].pool = registry_pool(&h->registry, TEXT("app"), TEXT("u"), true);
    pools[0].cl_waiting = 3;
    pools[0].oldest = 8 * USEC_PER_SEC;
    pools[1].cl_waiting = 1;
    pools[1].sv[SERVER_ACTIVE] = 4;
    atomic_store(&pools[0].pool->servers, 2);
    atomic_store(&pools[1].pool->servers, 4);
    struct db_ledger *db = registry_find_db(&h->registry, TEXT("app"));
    stat_add(&db->stats[0].queries_select, 5);
    stat_add(&db->stats[1].queries_select, 6);
    stat_observe(&db->stats[1].query, 400000);
    stat_add(&db->stats[1].denials[REFUSAL_ddl], 2);
    stat_add(&h->engine[1]->stats.rejected[REJECT_LIMIT], 9);
    struct backend_db sizes[] = { { .name = "app", .size = 7000, .blocks_hit = BACKEND_UNKNOWN } };
    struct backend list[3] = {
        { .name = (char[]){ "h:7" },
          .ok_mono = 9 * USEC_PER_SEC,
          .last = { .ok = true,
                    .max_connections = 100,
                    .used = 12,
                    .in_recovery = true,
                    .role = BACKEND_STANDBY,
                    .version = 150014,
                    .oldest_transaction_us = 1500000,
                    .replication_lag_us = BACKEND_UNKNOWN,
                    .dbs = sizes,
                    .n_dbs = 1 } },
        { .name = (char[]){ "i:7" } },
        { .name = (char[]){ "j:7" }, .ok_mono = 9 * USEC_PER_SEC, .last = { .role = 0 } },
    };
    const struct backends backends = { .list = list, .n = 3 };
    const struct collect c = { .hub = h, .setup = setup, .survey = &s, .backends = &backends };

    expo_init(&x, 0);
    collect_write(&c, &x);
    struct text all = written(&x);
    ok(!x.out.failed && distinct(all), "no series and no head twice");
    ok(has(all, "pgbulkhead_queries_total{database=\"app\",kind=\"select\"} 11"),
       "counters are summed over workers");
    ok(has(all, "pgbulkhead_client_connections{database=\"app\",state=\"waiting\"} 4"),
       "clients are summed over pools");
    ok(has(all, "pgbulkhead_client_connections{database=\"\",state=\"login\"} 2"),
       "clients at their login");
    ok(has(all,
           "pgbulkhead_pool_max_wait_seconds{database=\"app\",user=\"u\",guarded=\"0\"} 2.000000"),
       "longest wait");
    ok(has(all,
           "pgbulkhead_pool_server_connections{database=\"app\",user=\"u\",guarded=\"1\",state=\"active\"} 4"),
       "servers");
    ok(has(all, "pgbulkhead_query_duration_seconds_bucket{database=\"app\",le=\"0.25\"} 0"),
       "bucket below");
    ok(has(all, "pgbulkhead_query_duration_seconds_bucket{database=\"app\",le=\"0.5\"} 1"),
       "bucket at the threshold");
    ok(has(all, "pgbulkhead_tenant_denials_total{database=\"app\",reason=\"ddl\"} 2"),
       "denials by reason");
    is_int(lines(all, "pgbulkhead_tenant_denials_total"), 1,
           "reasons never seen are not shown without tenants");
    ok(has(all, "pgbulkhead_client_rejections_total{reason=\"limit\"} 9"), "rejections");
    ok(has(all, "pgbulkhead_backend_up{backend=\"h:7\"} 1") &&
           has(all, "pgbulkhead_backend_up{backend=\"i:7\"} 0"),
       "backend_up");
    ok(has(all, "pgbulkhead_backend_role_info{backend=\"h:7\",role=\"standby\"} 1"), "role");
    ok(has(all, "pgbulkhead_backend_role_info{backend=\"j:7\",role=\"unknown\"} 1"),
       "a role that the server did not tell");
    ok(has(all, "pgbulkhead_backend_version_info{backend=\"h:7\",version=\"15.14\"} 1"), "version");
    is_int(lines(all, "pgbulkhead_backend_connections_max{"), 2,
           "nothing is claimed about a server that never answered");
    ok(has(all, "pgbulkhead_backend_oldest_transaction_seconds{backend=\"h:7\"} 1.500000"),
       "a time in seconds");
    is_int(lines(all, "pgbulkhead_backend_replication_lag_seconds{backend=\"h:7\""), 0,
           "what is unknown is left out");
    ok(has(all, "pgbulkhead_backend_database_size_bytes{backend=\"h:7\",database=\"app\"} 7000"),
       "size of a database");
    is_int(lines(all, "pgbulkhead_backend_database_blocks_hit_total{"), 0,
           "its blocks are unknown");
    ok(has(all, "pgbulkhead_backend_connections_own{backend=\"h:7\"} 6"), "our own connections");
    ok(has(all, "pgbulkhead_backend_storage_capacity_bytes{backend=\"h:7\"} 5120"), "capacity");
    is_int(lines(all, "# TYPE"), lines(all, "# HELP"), "a HELP for each TYPE");
    expo_release(&x);

    expo_init(&x, 0);
    x.format = EXPO_OPENMETRICS;
    collect_write(&c, &x);
    expo_end(&x);
    ok(!x.out.failed && distinct(written(&x)) && families_apart(written(&x)),
       "OpenMetrics: no series and no family twice");
    ok(has(written(&x), "# TYPE pgbulkhead_queries counter") &&
           has(written(&x), "pgbulkhead_queries_total{database=\"app\",kind=\"select\"} 11"),
       "counters' families lose their _total");
    expo_release(&x);

    setup->g.metrics_pgbouncer_names = true;
    pools[0].cl_active = 2;
    pools[1].cl_idle = 3;
    expo_init(&x, 0);
    collect_write(&c, &x);
    all = written(&x);
    ok(distinct(all), "nothing is twice under PgBouncer's names either");
    ok(has(all, "pgbouncer_pools_client_active_connections{database=\"app\",user=\"u\"} 5") &&
           has(all, "pgbouncer_pools_client_waiting_connections{database=\"app\",user=\"u\"} 4"),
       "pools of tenants' clients are one with the others");
    ok(has(all, "pgbouncer_pools_client_maxwait_seconds{database=\"app\",user=\"u\"} 2"),
       "the longest wait of both");
    expo_release(&x);
    setup->g.metrics_pgbouncer_names = false;

    expo_init(&x, 60);
    collect_write(&c, &x);
    ok(x.series <= 60 && x.dropped > 0, "the ceiling holds");
    ok(has(written(&x), "pgbulkhead_scrape_duration_seconds 0.000000") ||
           lines(written(&x), "pgbulkhead_scrape_duration_seconds") == 1,
       "the last two always have room");
    is_int(lines(written(&x), "pgbulkhead_metrics_series_dropped_total "), 1,
           "and so has their count");
    expo_release(&x);

    for (int i = 0; i < 2; i++)
        free(h->engine[i]);
    registry_release(&h->registry);
    free(h);
    setup_unref(setup);
}

int main(void)
{
    formats();
    openmetrics();
    ceiling();
    collected();
    return tap_done();
}
