/* SPDX-License-Identifier: ISC */
/* The program's own alerts, and what the history holds. */
#include "metrics/collect.h"

static void gauge(struct expo *x, enum metric m, int64_t v)
{
    collect_family(x, m);
    expo_int(x, v);
}

void collect_alerts(const struct collect *c, struct expo *x)
{
    if (!c->watch)
        return;
    const struct alerts *a = watch_alerts(c->watch);
    const struct history *h = watch_history(c->watch);

    collect_family(x, METRIC_alert);
    for (int i = 0; i < ALERTS; i++) {
        const struct alert_row *row = alert_row((enum alert)i);
        expo_label(x, "alert", text_of(row->name));
        expo_label(x, "severity", text_of(row->severity_name));
        expo_int(x, alerts_firing(a, (enum alert)i));
    }
    gauge(x, METRIC_alert_subjects_left_out, alerts_left_out(a));
    gauge(x, METRIC_history_databases, history_count(h));
    gauge(x, METRIC_history_databases_left_out, history_left_out(h));
    gauge(x, METRIC_history_bytes, (int64_t)history_bytes(h));
}
