/* SPDX-License-Identifier: ISC */
/* What /api/status tells of the time before now: percentiles, curves of the last hour, alerts. */
#include "metrics/status.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ALERTS_SHOWN 100

/* Seconds and other figures with six digits behind the point; null for NAN. */
static void real(struct buf *b, const char *name, double v)
{
    if (!isfinite(v)) {
        status_null(b, name);
        return;
    }
    json_key(b, name);
    buf_printf(b, "%.6g", v);
}

/* ---- percentiles ---- */

static void write_window(struct buf *b, const char *name, const struct history_latency *l)
{
    if (!l->count) {
        status_null(b, name);
        return;
    }
    json_key(b, name);
    buf_char(b, '{');
    status_int(b, "count", (int64_t)l->count);
    real(b, "p50", l->p50);
    real(b, "p95", l->p95);
    real(b, "p99", l->p99);
    buf_char(b, '}');
}

void status_latency(const struct status *s, const struct history_series *of, struct buf *out)
{
    static const struct {
        const char *name;
        int seconds;
    } windows[] = { { "1m", 60 }, { "5m", 300 }, { "15m", 900 } };
    enum { WINDOWS = sizeof(windows) / sizeof(windows[0]) };
    struct history_window w[WINDOWS];

    if (!of) {
        status_null(out, "latency");
        return;
    }
    for (int i = 0; i < WINDOWS; i++)
        history_window(s->history, s->c->hub, of, s->c->survey->now, windows[i].seconds, &w[i]);
    json_key(out, "latency");
    buf_text_append(out, TEXT("{\"query\":{"));
    for (int i = 0; i < WINDOWS; i++)
        write_window(out, windows[i].name, &w[i].query);
    buf_text_append(out, TEXT("},\"wait\":{"));
    for (int i = 0; i < WINDOWS; i++)
        write_window(out, windows[i].name, &w[i].wait);
    buf_text_append(out, TEXT("}}"));
}

/* ---- curves ---- */

enum curve { P50, P95, P99, WAIT_P95, RATE, WAITING, ACTIVE, ERRORS, REFUSALS, CURVES };

static double curve_value(const struct history_point *p, enum curve c)
{
    switch (c) {
    case P50:
        return p->p50;
    case P95:
        return p->p95;
    case P99:
        return p->p99;
    case WAIT_P95:
        return p->wait_p95;
    case RATE:
        return p->queries_per_second;
    case WAITING:
        return p->waiting;
    case ACTIVE:
        return p->active;
    case ERRORS:
        return p->errors;
    default:
        return p->refusals;
    }
}

void status_curves(const struct status *s, struct buf *out)
{
    static const char *const names[CURVES] = {
        "p50",     "p95",    "p99",    "wait_p95", "queries_per_second",
        "waiting", "active", "errors", "refused"
    };
    const struct history_series *of = s->history ? history_all(s->history) : NULL;
    struct history_point p[HISTORY_POINTS];
    int n = 0;

    if (s->history && s->curve.n)
        of = history_find(s->history, s->curve);
    if (of)
        n = history_points(of, p);
    json_key(out, "curves");
    buf_char(out, '{');
    if (s->curve.n)
        status_text(out, "database", s->curve);
    else
        status_null(out, "database");
    json_key(out, "ends");
    buf_char(out, '[');
    for (int i = 0; i < n; i++)
        status_int(out, NULL, (int64_t)(p[i].at_wall / USEC_PER_SEC));
    buf_char(out, ']');
    for (int c = 0; c < CURVES; c++) {
        json_key(out, names[c]);
        buf_char(out, '[');
        for (int i = 0; i < n; i++)
            real(out, NULL, curve_value(&p[i], (enum curve)c));
        buf_char(out, ']');
    }
    buf_char(out, '}');
}

/* ---- alerts ---- */

static void write_alert(struct buf *b, const struct alert_item *it)
{
    static const char *const units[] = { [UNIT_percent] = "percent",
                                         [UNIT_seconds] = "seconds",
                                         [UNIT_count] = "count",
                                         [UNIT_flag] = "flag" };
    const struct alert_row *row = alert_row(it->alert);
    char anchor[64];
    int n = snprintf(anchor, sizeof(anchor), "doc/runbook.md#%s", row->name);

    for (int i = 0; i < n && i < (int)sizeof(anchor); i++)
        anchor[i] = (char)tolower((unsigned char)anchor[i]);
    json_key(b, NULL);
    buf_char(b, '{');
    status_text(b, "alert", text_of(row->name));
    status_text(b, "severity", text_of(row->severity_name));
    status_text(b, "state", text_of(alert_state_name(it->state)));
    status_text(b, "database", it->what.database);
    status_text(b, "user", it->what.user);
    status_text(b, "backend", it->what.backend);
    real(b, "value", it->value);
    real(b, "threshold", it->threshold);
    status_text(b, "unit", text_of(units[row->unit]));
    status_usec(b, "since", it->since_wall);
    status_text(b, "description", text_of(row->summary));
    status_text(b, "runbook", text_of(anchor));
    buf_char(b, '}');
}

void status_alerts(const struct status *s, struct buf *out)
{
    const struct alert_item **list = NULL;
    int n = 0, firing = 0;

    if (!s->alerts) {
        status_null(out, "alerts");
        return;
    }
    list = alerts_sorted(s->alerts, &n);
    if (!list) {
        out->failed = true;
        return;
    }
    for (int i = 0; i < n; i++)
        firing += list[i]->state == ALERT_FIRING;
    json_key(out, "alerts");
    buf_char(out, '{');
    status_int(out, "known", ALERTS);
    status_int(out, "firing", firing);
    status_int(out, "total", n + alerts_left_out(s->alerts));
    json_key(out, "list");
    buf_char(out, '[');
    for (int i = 0; i < n && i < ALERTS_SHOWN; i++)
        write_alert(out, list[i]);
    buf_text_append(out, TEXT("]}"));
    free(list);
}
