/* SPDX-License-Identifier: ISC */
/* SHOW STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS. */
#include "console/internal.h"

#include <stdlib.h>

/* The same counters have different names in each table. */
static const struct stat_names {
    const char *stats_total, *stats_avg, *totals, *averages, *sums;
} names[COUNTERS] = {
    [COUNT_ASSIGNMENTS] = { "total_server_assignment_count", "avg_server_assignment_count",
                            "server_assignment_count", "server_assignment_count",
                            "server_assignment_count" },
    [COUNT_XACTS] = { "total_xact_count", "avg_xact_count", "xact_count", "xact_count",
                      "xact_count" },
    [COUNT_QUERIES] = { "total_query_count", "avg_query_count", "query_count", "query_count",
                        "query_count" },
    [COUNT_RECEIVED] = { "total_received", "avg_recv", "bytes_received", "bytes_received",
                         "client_bytes" },
    [COUNT_SENT] = { "total_sent", "avg_sent", "bytes_sent", "bytes_sent", "server_bytes" },
    [COUNT_XACT_US] = { "total_xact_time", "avg_xact_time", "xact_time", "xact_time", "xact_time" },
    [COUNT_QUERY_US] = { "total_query_time", "avg_query_time", "query_time", "query_time",
                         "query_time" },
    [COUNT_WAIT_US] = { "total_wait_time", "avg_wait_time", "wait_time", "wait_time", "wait_time" },
    [COUNT_CLIENT_PARSES] = { "total_client_parse_count", "avg_client_parse_count",
                              "client_parse_count", "avg_client_parse_count",
                              "ps_client_parse_count" },
    [COUNT_SERVER_PARSES] = { "total_server_parse_count", "avg_server_parse_count",
                              "server_parse_count", "avg_server_parse_count",
                              "ps_server_parse_count" },
    [COUNT_BINDS] = { "total_bind_count", "avg_bind_count", "bind_count", "avg_bind_count",
                      "ps_bind_count" },
    [COUNT_LOGINS] = { "total_client_login_count", "avg_client_login_count", "client_login_count",
                       "avg_client_login_count", "client_login_count" },
};

enum part { PART_TOTAL = 1, PART_AVERAGE = 2 };

static void put_head(struct admin *a, unsigned parts)
{
    struct wire_column cols[2 + 2 * COUNTERS];
    int n = 0;

    cols[n++] = (struct wire_column)COL_S("database");
    for (int i = 0; parts & PART_TOTAL && i < COUNTERS; i++)
        cols[n++] =
            (struct wire_column){ parts & PART_AVERAGE ? names[i].stats_total : names[i].totals,
                                  WIRE_NUMERIC };
    for (int i = 0; parts & PART_AVERAGE && i < COUNTERS; i++)
        cols[n++] =
            (struct wire_column){ parts & PART_TOTAL ? names[i].stats_avg : names[i].averages,
                                  WIRE_NUMERIC };
    if (parts == (PART_TOTAL | PART_AVERAGE)) /* its name before 1.8, for old exporters */
        cols[n++] = (struct wire_column)COL_N("total_requests");
    wire_rowdesc_build(&a->out, cols, n);
}

static void put_db(struct admin *a, struct text name, unsigned parts, const struct counters *total,
                   const struct counters *avg)
{
    struct row r;

    row_init(&r);
    row_text(&r, name);
    for (int i = 0; parts & PART_TOTAL && i < COUNTERS; i++)
        row_uint(&r, total->v[i]);
    for (int i = 0; parts & PART_AVERAGE && i < COUNTERS; i++)
        row_uint(&r, avg ? avg->v[i] : 0);
    if (parts == (PART_TOTAL | PART_AVERAGE))
        row_uint(&r, total->v[COUNT_QUERIES]);
    row_end(&r, r.n, &a->out);
}

static void put_all(struct admin *a, unsigned parts)
{
    struct console *c = a->console;
    struct counters total;
    int n;
    struct db_ledger **dbs = registry_dbs(&c->hub->registry, &n);

    put_head(a, parts);
    for (int i = 0; i < n; i++) {
        counters_read(dbs[i], c->hub->n_engines, &total);
        put_db(a, dbs[i]->name, parts, &total, i < c->averages.n ? &c->averages.avg[i] : NULL);
    }
    put_db(a, TEXT(CONSOLE_DB), parts, &c->averages.own, &c->averages.own_avg);
    free(dbs);
    admin_complete(a, TEXT("SHOW"));
}

void show_stats(struct admin *a, const struct statement *st)
{
    (void)st;
    put_all(a, PART_TOTAL | PART_AVERAGE);
}

void show_stats_totals(struct admin *a, const struct statement *st)
{
    (void)st;
    put_all(a, PART_TOTAL);
}

void show_stats_averages(struct admin *a, const struct statement *st)
{
    (void)st;
    put_all(a, PART_AVERAGE);
}

static const struct wire_column sum_columns[] = { COL_S("name"), COL_N("value") };

static void put_sum(struct admin *a, const char *prefix, const char *name, uint64_t v)
{
    struct arena arena;
    struct row r;

    arena_init(&arena, 256);
    row_init(&r);
    row_text(&r, arena_printf(&arena, "%s_%s", prefix, name));
    row_uint(&r, v);
    row_end(&r, COLUMNS(sum_columns), &a->out);
    arena_release(&arena);
}

void show_totals(struct admin *a, const struct statement *st)
{
    struct console *c = a->console;
    struct counters total = c->averages.own, avg = c->averages.own_avg, one;
    uint64_t weight[COUNTERS] = { 0 };
    int n;
    struct db_ledger **dbs = registry_dbs(&c->hub->registry, &n);

    (void)st;
    for (int i = 0; i < n; i++) {
        counters_read(dbs[i], c->hub->n_engines, &one);
        for (int k = 0; k < COUNTERS; k++)
            total.v[k] += one.v[k];
        for (int k = 0; k < COUNTERS && i < c->averages.n; k++) {
            const struct counters *v = &c->averages.avg[i];
            bool is_mean = k == COUNT_XACT_US || k == COUNT_QUERY_US || k == COUNT_WAIT_US;
            uint64_t w = k == COUNT_XACT_US    ? v->v[COUNT_XACTS]
                         : k == COUNT_QUERY_US ? v->v[COUNT_QUERIES]
                                               : v->v[COUNT_ASSIGNMENTS];
            avg.v[k] += is_mean ? v->v[k] * w : v->v[k];
            weight[k] += is_mean ? w : 0;
        }
    }
    for (int k = 0; k < COUNTERS; k++)
        if (weight[k])
            avg.v[k] /= weight[k];
    wire_rowdesc_build(&a->out, sum_columns, COLUMNS(sum_columns));
    for (int k = 0; k < COUNTERS; k++)
        put_sum(a, "total", names[k].sums, total.v[k]);
    for (int k = 0; k < COUNTERS; k++)
        put_sum(a, "avg", names[k].sums, avg.v[k]);
    free(dbs);
    admin_complete(a, TEXT("SHOW"));
}
