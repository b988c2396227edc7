/* SPDX-License-Identifier: ISC */
/* /api/status: valid JSON from whatever there is, bounded and sorted; an hour of curves. */
#include "metrics/status.h"

#include "metrics/page.h"
#include "tap.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define S USEC_PER_SEC
#define POOLS 300

struct world {
    struct hub *hub;
    struct setup *setup;
    struct survey_pool pools[POOLS];
    struct survey survey;
    struct backends backends;
    struct history *history;
    struct alerts *alerts;
    struct collect c;
    struct status st;
};

static bool init(struct world *w)
{
    struct buf problems;

    memset(w, 0, sizeof(*w));
    buf_init(&problems);
    w->setup = setup_parse(
        "t.ini",
        TEXT("[databases]\na0 = host=h port=7 dbname=real\n[pgbouncer]\nauth_type = any\n"),
        &problems);
    buf_release(&problems);
    w->hub = calloc(1, sizeof(*w->hub));
    if (!w->setup || !w->hub)
        return false;
    registry_init(&w->hub->registry, 2);
    w->hub->version = "PgBulkhead 1.2.3";
    w->hub->n_engines = 2;
    for (int i = 0; i < 2; i++)
        w->hub->engine[i] = calloc(1, sizeof(*w->hub->engine[i]));
    backends_init(&w->backends);
    w->survey = (struct survey){ .pools = w->pools, .now = 1000 * S };
    w->c = (struct collect){
        .hub = w->hub, .setup = w->setup, .survey = &w->survey, .backends = &w->backends
    };
    w->st = (struct status){ .c = &w->c };
    return true;
}

static void release(struct world *w)
{
    history_free(w->history);
    alerts_free(w->alerts);
    backends_release(&w->backends);
    for (int i = 0; i < 2; i++)
        free(w->hub->engine[i]);
    registry_release(&w->hub->registry);
    free(w->hub);
    setup_unref(w->setup);
}

static json_t *answer(const struct world *w)
{
    struct buf b;
    json_error_t e;

    buf_init(&b);
    status_write(&w->st, &b);
    json_t *j = json_loadb(buf_data(&b), buf_len(&b), JSON_REJECT_DUPLICATES, &e);
    if (!j)
        printf("# %s at %d: %.*s\n", e.text, e.position, TEXT_ARG(buf_text(&b)));
    buf_release(&b);
    return j;
}

static json_t *at(json_t *j, const char *a, const char *b)
{
    json_t *first = json_object_get(j, a);
    return b ? json_object_get(first, b) : first;
}

static void writing(void)
{
    struct buf b;

    buf_init(&b);
    buf_char(&b, '{');
    status_int(&b, "i", INT64_MIN);
    status_bool(&b, "b", false);
    status_usec(&b, "u", 61000001);
    status_share(&b, "s", 2, 3);
    status_share(&b, "over", 5, 4);
    status_share(&b, "none", 5, 0);
    status_share(&b, "huge", INT64_MAX, 1);
    status_text(&b, "t", TEXT("a\"b\\\n\x01\xff\xe2\x80\xae"));
    status_null(&b, "n");
    buf_char(&b, '}');
    ok(text_is(buf_text(&b),
               "{\"i\":-9223372036854775808,\"b\":false,\"u\":61.000001,"
               "\"s\":0.667,\"over\":1.250,\"none\":null,\"huge\":9223372036854775808.000,"
               "\"t\":\"a\\\"b\\\\\\u000a\\u0001\xef\xbf\xbd\xe2\x80\xae\","
               "\"n\":null}"),
       "values: %.*s", TEXT_ARG(buf_text(&b)));
    buf_release(&b);
}

static void empty(struct world *w)
{
    json_t *j = answer(w);

    ok(j != NULL, "without pools, databases, servers, a watch");
    is_int(json_integer_value(at(j, "schema", NULL)), STATUS_SCHEMA, "schema");
    ok(json_is_null(at(j, "alerts", NULL)) && json_is_null(at(j, "latency", NULL)),
       "what nobody watches is null");
    is_int((int)json_array_size(at(j, "curves", "p95")), 0, "no curves");
    ok(strcmp(json_string_value(at(j, "program", "version")), "1.2.3") == 0, "the version");
    json_decref(j);
}

static void many(struct world *w)
{
    for (int i = 0; i < POOLS; i++) {
        char name[32];
        int n = snprintf(name, sizeof(name), "a%d", i);
        w->pools[i].pool =
            registry_pool(&w->hub->registry, text_n(name, (size_t)n), TEXT("u"), false);
        atomic_store(&w->pools[i].pool->size, i == 7 ? 0 : 10);
        w->pools[i].sv[SERVER_ACTIVE] = i == 250 ? 9 : i == 251 ? 3 : 0;
    }
    w->pools[299].cl_waiting = 4;
    w->pools[299].oldest = 998 * S;
    w->pools[299].oldest_query = 990 * S;
    w->survey.n_pools = POOLS;
    for (int i = 0; i < POOLS; i++)
        stat_add(&w->pools[i].pool->db->stats[i % 2].queries, 2);
    json_t *j = answer(w), *list = at(j, "pools", "list");
    static const char *const first[] = { "a299", "a250", "a251" };

    is_int(json_integer_value(at(j, "pools", "total")), POOLS, "all pools are counted");
    is_int((int)json_array_size(list), STATUS_POOLS, "some are shown");
    for (size_t i = 0; i < 3; i++)
        ok(strcmp(json_string_value(at(json_array_get(list, i), "database", NULL)), first[i]) == 0,
           "under most pressure: %s", first[i]);
    ok(json_real_value(at(json_array_get(list, 0), "max_wait_seconds", NULL)) == 2.0, "its wait");
    ok(json_real_value(at(json_array_get(list, 1), "utilisation", NULL)) == 0.9, "utilisation");
    list = at(j, "databases", "list");
    is_int(json_integer_value(at(j, "databases", "total")), POOLS, "all databases are counted");
    is_int((int)json_array_size(list), STATUS_DATABASES, "some are shown");
    is_int(json_integer_value(at(j, "databases", "queries")), 2 * POOLS, "queries of all");
    ok(json_real_value(at(json_array_get(list, 0), "oldest_query_seconds", NULL)) == 10.0,
       "the one with waiting clients first, its oldest query");
    json_decref(j);
}

static void servers(struct world *w)
{
    struct backend_db db = { .name = "real", .size = 4096, .blocks_hit = BACKEND_UNKNOWN };
    const struct backend_row good = { .backend = "h:7",
                                      .ok = true,
                                      .max_connections = 100,
                                      .reserved = BACKEND_UNKNOWN,
                                      .used = 12,
                                      .role = BACKEND_STANDBY,
                                      .version = 150014,
                                      .oldest_transaction_us = 1500000,
                                      .replication_lag_us = BACKEND_UNKNOWN,
                                      .dbs = &db,
                                      .n_dbs = 1 };
    const struct backend_row bad = { .backend = "i:7" };

    w->survey.now = clock_mono_us();
    backends_put(&w->backends, &good, 10 * S);
    backends_put(&w->backends, &bad, 10 * S);
    json_t *j = answer(w), *list = at(j, "backends", "list");
    json_t *values = at(json_array_get(list, 1), "values", NULL);
    ok(json_is_false(at(json_array_get(list, 0), "up", NULL)) &&
           json_is_null(at(json_array_get(list, 0), "values", NULL)),
       "a server that never answered comes first, and nothing is claimed about it");
    ok(strcmp(json_string_value(at(values, "version", NULL)), "15.14") == 0, "version");
    ok(json_is_null(at(values, "connections_reserved", NULL)) &&
           json_is_null(at(values, "utilisation", NULL)),
       "what it did not tell is null");
    is_int(json_integer_value(at(values, "database_bytes", NULL)), 4096, "sizes");
    list = at(j, "databases", "list");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(at(json_array_get(list, i), "name", NULL)), "a0") == 0)
            is_int(json_integer_value(at(json_array_get(list, i), "size_bytes", NULL)), 4096,
                   "the size of the database behind an entry");
    json_decref(j);
}

static void hour(struct world *w)
{
    struct db_ledger *db = registry_find_db(&w->hub->registry, TEXT("a0"));
    usec_t now = 1000 * S;

    w->history = history_new(now);
    w->alerts = alerts_new(NULL);
    for (int i = 0; i < 70 * 12; i++) {
        now += 5 * S;
        if (i < 60 * 12) { /* nothing during the last ten minutes */
            stat_observe(&db->stats[i % 2].query, 300000);
            stat_inc(&db->stats[i % 2].queries);
        }
        w->survey.now = now;
        history_look(w->history, w->hub, &w->survey, now, now);
    }
    alerts_begin(w->alerts, &w->setup->g, now, now);
    alerts_see(w->alerts, ALERT_TenantDenials,
               (struct alert_what){ .database = TEXT("<a href=\"x\">") }, 3);
    alerts_end(w->alerts);
    w->st.history = w->history;
    w->st.alerts = w->alerts;
    w->st.curve = TEXT("a0");
    json_t *j = answer(w), *p95 = at(j, "curves", "p95");
    is_int((int)json_array_size(p95), HISTORY_POINTS, "an hour of points");
    is_int((int)json_array_size(at(j, "curves", "ends")), HISTORY_POINTS, "and their times");
    double v = json_real_value(json_array_get(p95, 0));
    ok(v > 0.25 && v <= 0.5, "p95 of the first: %g", v);
    ok(json_is_null(json_array_get(p95, HISTORY_POINTS - 1)), "a minute without queries is null");
    ok(strcmp(json_string_value(at(j, "curves", "database")), "a0") == 0, "of that database");
    is_int(json_integer_value(at(j, "alerts", "firing")), 1, "an alert fires");
    json_t *a = json_array_get(at(j, "alerts", "list"), 0);
    ok(strcmp(json_string_value(at(a, "database", NULL)), "<a href=\"x\">") == 0 &&
           strcmp(json_string_value(at(a, "runbook", NULL)), "doc/runbook.md#tenantdenials") == 0,
       "its subject and chapter");
    json_decref(j);
    w->st.curve = TEXT("nobody");
    j = answer(w);
    is_int((int)json_array_size(at(j, "curves", "p95")), 0,
           "of a database that nobody knows: none");
    json_decref(j);
}

static void page(void)
{
    const struct page_file *f;
    size_t pos = 0;
    int n = 0;

    while ((f = page_next(&pos)) != NULL) {
        n++;
        ok(f->path[0] == '/' && f->body.n > 100 && f->etag[0] == '"' &&
               f->etag[strlen(f->etag) - 1] == '"',
           "%s", f->path);
    }
    is_int(n, 4, "files of the page");
    ok(!strstr(page_policy, "unsafe") && strstr(page_policy, "default-src 'none'"), "its policy");
}

int main(void)
{
    static struct world w;

    writing();
    if (!init(&w))
        return 1;
    empty(&w);
    many(&w);
    servers(&w);
    hour(&w);
    release(&w);
    page();
    return tap_done();
}
