/* SPDX-License-Identifier: ISC */
/* SHOW LATENCY and SHOW ALERTS: what the watch has seen. */
#include "console/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- LATENCY ---- */

static const struct wire_column latency_columns[] = {
    COL_S("database"),  COL_S("what"),     COL_Q("count_1m"), COL_N("p50_1m"),  COL_N("p95_1m"),
    COL_N("p99_1m"),    COL_Q("count_5m"), COL_N("p50_5m"),   COL_N("p95_5m"),  COL_N("p99_5m"),
    COL_Q("count_15m"), COL_N("p50_15m"),  COL_N("p95_15m"),  COL_N("p99_15m"),
};

/* Milliseconds. */
static void put_percentiles(struct row *r, const struct history_latency *l)
{
    row_uint(r, l->count);
    row_real(r, l->p50 * 1e3);
    row_real(r, l->p95 * 1e3);
    row_real(r, l->p99 * 1e3);
}

static void put_latency(struct admin *a, const struct history *h, const struct history_series *s)
{
    static const int seconds[] = { 60, 300, 900 };
    static const char *const names[] = { "query", "transaction", "wait" };
    struct history_window w[3];
    usec_t mono = clock_mono_us();
    struct row r;

    for (int i = 0; i < 3; i++)
        history_window(h, a->console->hub, s, mono, seconds[i], &w[i]);
    for (int k = 0; k < 3; k++) {
        row_init(&r);
        row_text(&r, history_name(s));
        row_z(&r, names[k]);
        for (int i = 0; i < 3; i++)
            put_percentiles(&r, k == 0 ? &w[i].query : k == 1 ? &w[i].xact : &w[i].wait);
        row_end(&r, COLUMNS(latency_columns), &a->out);
    }
}

static int by_name(const void *pa, const void *pb)
{
    const struct history_series *a = *(const struct history_series *const *)pa;
    const struct history_series *b = *(const struct history_series *const *)pb;
    return text_cmp(history_name(a), history_name(b));
}

void show_latency(struct admin *a, const struct statement *st)
{
    const struct history *h = watch_history(console_watch(a->console));
    const struct history_series **list = calloc((size_t)history_count(h) + 1, sizeof(*list));
    int pos = 0, n = 0;

    (void)st;
    if (!list) {
        admin_error(a, "53200", "out of memory");
        return;
    }
    while ((list[n] = history_next(h, &pos)) != NULL)
        n++;
    qsort(list, (size_t)n, sizeof(*list), by_name);
    wire_rowdesc_build(&a->out, latency_columns, COLUMNS(latency_columns));
    for (int i = 0; i < n; i++)
        put_latency(a, h, list[i]);
    free(list);
    admin_complete(a, TEXT("SHOW"));
}

/* ---- ALERTS ---- */

static const struct wire_column alert_columns[] = {
    COL_S("alert"), COL_S("severity"), COL_S("state"),       COL_S("database"),
    COL_S("user"),  COL_S("backend"),  COL_N("value"),       COL_N("threshold"),
    COL_S("unit"),  COL_S("since"),    COL_S("description"), COL_S("runbook"),
};

static void put_about(struct row *r, enum alert alert, char anchor[64])
{
    const struct alert_row *row = alert_row(alert);
    int n = snprintf(anchor, 64, "doc/runbook.md#%s", row->name);

    for (int i = 0; i < n && i < 64; i++)
        anchor[i] = (char)tolower((unsigned char)anchor[i]);
    row_z(r, row->summary);
    row_z(r, anchor);
}

static const char *unit_name(enum alert alert)
{
    static const char *const names[] = { "%", "s", "", "" };
    return names[alert_row(alert)->unit];
}

static void put_item(struct admin *a, const struct alert_item *it)
{
    char anchor[64];
    struct row r;

    row_init(&r);
    row_z(&r, alert_row(it->alert)->name);
    row_z(&r, alert_row(it->alert)->severity_name);
    row_z(&r, alert_state_name(it->state));
    row_text(&r, it->what.database);
    row_text(&r, it->what.user);
    row_text(&r, it->what.backend);
    row_real(&r, it->value);
    row_real(&r, it->threshold);
    row_z(&r, unit_name(it->alert));
    row_time(&r, it->since_wall);
    put_about(&r, it->alert, anchor);
    row_end(&r, COLUMNS(alert_columns), &a->out);
}

/* Of an alert for which no subject is in trouble. */
static void put_inactive(struct admin *a, enum alert alert)
{
    double threshold = alert_threshold(alert, &console_setup(a->console)->g);
    char anchor[64];
    struct row r;

    row_init(&r);
    row_z(&r, alert_row(alert)->name);
    row_z(&r, alert_row(alert)->severity_name);
    row_z(&r, threshold > 0 ? "inactive" : "off");
    for (int i = 0; i < 3; i++)
        row_z(&r, "");
    row_null(&r);
    row_real(&r, threshold);
    row_z(&r, unit_name(alert));
    row_null(&r);
    put_about(&r, alert, anchor);
    row_end(&r, COLUMNS(alert_columns), &a->out);
}

void show_alerts(struct admin *a, const struct statement *st)
{
    bool there[ALERTS] = { false };
    int n;
    const struct alert_item **list = alerts_sorted(watch_alerts(console_watch(a->console)), &n);

    (void)st;
    if (!list) {
        admin_error(a, "53200", "out of memory");
        return;
    }
    wire_rowdesc_build(&a->out, alert_columns, COLUMNS(alert_columns));
    for (int i = 0; i < n; i++) {
        put_item(a, list[i]);
        there[list[i]->alert] = true;
    }
    free(list);
    for (int i = 0; i < ALERTS; i++)
        if (!there[i])
            put_inactive(a, (enum alert)i);
    admin_complete(a, TEXT("SHOW"));
}
