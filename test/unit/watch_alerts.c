/* SPDX-License-Identifier: ISC */
/* Alerts: both sides of every threshold and of every duration, the way through the states, ends,
 * bounds. */
#include "tap.h"

#include "conf/keys.h"
#include "watch/alerts.h"

static const struct alert_what nobody;

/* The settings as they are without a configuration file. */
static void defaults(struct settings *g, struct arena *arena)
{
    struct key_table t = key_table_settings();
    struct secret *secrets = NULL;
    struct err e = { 0 };

    memset(g, 0, sizeof(*g));
    for (int i = 0; i < t.n; i++)
        if (!key_set(&t.keys[i], text_of(t.keys[i].info.default_text), g,
                     (struct key_memory){ arena, &secrets }, &e))
            ok(false, "default of %s: %s", t.keys[i].info.name, e.msg);
    secret_wipe_all(&secrets); /* no test looks at them */
}

/* One look at one value. */
static void look(struct alerts *a, const struct settings *g, usec_t at, enum alert alert,
                 struct alert_what what, double value)
{
    alerts_begin(a, g, at, at);
    alerts_see(a, alert, what, value);
    alerts_end(a);
}

static enum alert_state state(const struct alerts *a, enum alert alert)
{
    const struct alert_item *it;
    size_t pos = 0;

    while ((it = alerts_next(a, &pos)) != NULL)
        if (it->alert == alert)
            return it->state;
    return ALERT_INACTIVE;
}

static int count(const struct alerts *a)
{
    size_t pos = 0;
    int n = 0;

    while (alerts_next(a, &pos))
        n++;
    return n;
}

/* The last value that is well and the first that is not. */
static void sides(enum alert alert, double t, double *good, double *bad)
{
    const struct alert_row *row = alert_row(alert);

    *good = row->comparison == COMPARE_reached ? t - 1e-6 : t;
    *bad = row->comparison == COMPARE_reached ? t
           : row->comparison == COMPARE_above ? t + 1e-6
                                              : t - 1e-6;
}

static void thresholds(const struct settings *g)
{
    for (int i = 0; i < ALERTS; i++) {
        enum alert alert = (enum alert)i;
        const char *name = alert_row(alert)->name;
        double t = alert_threshold(alert, g), good, bad;
        usec_t f = alert_for(alert, g), at = 1000 * USEC_PER_SEC;
        struct alerts *a = alerts_new(NULL);

        ok(t > 0, "%s is on by default", name);
        sides(alert, t, &good, &bad);
        look(a, g, at, alert, nobody, good);
        look(a, g, at + f, alert, nobody, good);
        is_int(count(a), 0, "%s: %g is well, for ever", name, good);
        look(a, g, at, alert, nobody, bad);
        is_int(state(a, alert), f ? ALERT_PENDING : ALERT_FIRING, "%s: %g is not", name, bad);
        if (f) {
            look(a, g, at + f - 1, alert, nobody, bad);
            is_int(state(a, alert), ALERT_PENDING, "%s: pending for all but its time", name);
            is_int(alerts_firing(a, alert), 0, "%s: and does not fire", name);
            look(a, g, at + f, alert, nobody, bad);
        }
        is_int(state(a, alert), ALERT_FIRING, "%s fires after %g s", name, (double)f / 1e6);
        is_int(alerts_firing(a, alert), 1, "%s is counted", name);
        look(a, g, at + f + 1, alert, nobody, good);
        is_int(state(a, alert), ALERT_FIRING, "%s: still fires when it has just got well", name);
        look(a, g, at + f + g->alert_clear_for, alert, nobody, good);
        is_int(state(a, alert), ALERT_FIRING, "%s: and until alert_clear_for is over", name);
        look(a, g, at + f + 1 + g->alert_clear_for, alert, nobody, good);
        is_int(state(a, alert), ALERT_RESOLVED, "%s is resolved then", name);
        is_int(alerts_firing(a, alert), 0, "%s is not counted any more", name);
        alerts_free(a);
    }
}

static void documented(const struct settings *g)
{
    static const struct {
        enum alert alert;
        double threshold;
    } want[] = {
        { ALERT_BackendConnectionsWarning, 70 },
        { ALERT_BackendConnectionsHigh, 80 },
        { ALERT_BackendConnectionsCritical, 90 },
        { ALERT_QueryP95High, 0.5 },
        { ALERT_OldestQuery, 5 },
        { ALERT_StorageWarning, 85 },
        { ALERT_StorageCritical, 90 },
        { ALERT_PoolUtilisation, 70 },
        { ALERT_ProxyCpuWarning, 60 },
        { ALERT_ProxyCpuCritical, 80 },
        { ALERT_ProxyMemoryWarning, 70 },
        { ALERT_ProxyMemoryCritical, 90 },
        { ALERT_CertExpiry30d, 30 * 86400.0 },
        { ALERT_CertExpiry7d, 7 * 86400.0 },
    };

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ok(alert_threshold(want[i].alert, g) == want[i].threshold, "%s: %g as documented",
           alert_row(want[i].alert)->name, want[i].threshold);
}

/* Rare probes are not stale before the next one is due; off is off. */
static void probe_stale(const struct settings *defaults)
{
    struct settings g = *defaults;

    is_int((int64_t)alert_threshold(ALERT_ProbeStale, &g), 120, "frequent probes: the key");
    g.probe_interval = 60 * USEC_PER_SEC;
    is_int((int64_t)alert_threshold(ALERT_ProbeStale, &g), 120, "a minute: the same");
    g.probe_interval = 3600 * USEC_PER_SEC;
    is_int((int64_t)alert_threshold(ALERT_ProbeStale, &g), 7200, "an hour: two hours");
    is_int((int64_t)alert_threshold(ALERT_OldestQuery, &g), 5, "no other alert's");
    g.alert_probe_stale = 0;
    is_int((int64_t)alert_threshold(ALERT_ProbeStale, &g), 0, "0 is off");
}

/* A condition that comes and goes never fires; one that comes back goes on firing. */
static void flapping(struct settings *g)
{
    const struct alert_what pool = { TEXT("db"), TEXT("bob"), TEXT("") };
    struct alerts *a = alerts_new(NULL);
    usec_t s = USEC_PER_SEC, at = 100 * s;

    g->alert_pool_utilisation_for = 10 * s;
    g->alert_clear_for = 5 * s;
    for (int i = 0; i < 10; i++) {
        look(a, g, at, ALERT_PoolUtilisation, pool, 90);
        look(a, g, at += 9 * s, ALERT_PoolUtilisation, pool, 90);
        look(a, g, at += s, ALERT_PoolUtilisation, pool, 10);
    }
    is_int(count(a), 0, "nine seconds of ten, again and again: forgotten each time");
    look(a, g, at, ALERT_PoolUtilisation, pool, 90);
    look(a, g, at += 10 * s, ALERT_PoolUtilisation, pool, 90);
    for (int i = 0; i < 10; i++) {
        look(a, g, at += 4 * s, ALERT_PoolUtilisation, pool, 10);
        look(a, g, at += s, ALERT_PoolUtilisation, pool, 90);
    }
    is_int(state(a, ALERT_PoolUtilisation), ALERT_FIRING, "well for too short a time: it fires on");
    /* nothing is known of it any more */
    at += s;
    alerts_begin(a, g, at, at);
    alerts_end(a);
    at += 5 * s;
    alerts_begin(a, g, at, at);
    alerts_end(a);
    is_int(state(a, ALERT_PoolUtilisation), ALERT_RESOLVED, "a subject that is gone is well");
    look(a, g, at += s, ALERT_PoolUtilisation, pool, 90);
    is_int(state(a, ALERT_PoolUtilisation), ALERT_PENDING, "after its end it begins anew");
    look(a, g, at += 10 * s, ALERT_PoolUtilisation, pool, 90);
    is_int(alerts_firing(a, ALERT_PoolUtilisation), 1, "and fires");
    g->alert_pool_utilisation = 0;
    look(a, g, at += s, ALERT_PoolUtilisation, pool, 90);
    is_int(state(a, ALERT_PoolUtilisation), ALERT_RESOLVED, "the threshold 0 ends it at once");
    look(a, g, at += 899 * s, ALERT_PoolUtilisation, pool, 90);
    is_int(count(a), 1, "the end is remembered");
    look(a, g, at += s, ALERT_PoolUtilisation, pool, 90);
    is_int(count(a), 0, "for a quarter of an hour");
    alerts_free(a);
}

static void subjects(const struct settings *g)
{
    const struct alert_what parts[] = {
        { TEXT("a"), TEXT("bc"), TEXT("") }, { TEXT("ab"), TEXT("c"), TEXT("") },
        { TEXT("abc"), TEXT(""), TEXT("") }, { TEXT(""), TEXT(""), TEXT("abc") },
        { TEXT(""), TEXT("abc"), TEXT("") },
    };
    struct alerts *a = alerts_new(NULL);
    int n;

    alerts_begin(a, g, 10, 20);
    for (int i = 0; i < 5; i++)
        alerts_see(a, ALERT_SlowQueries, parts[i], 3 + i);
    alerts_see(a, ALERT_TenantDenials, parts[2], 1);
    alerts_see(a, ALERT_ClientsWaiting, parts[0], 7);
    alerts_end(a);
    is_int(count(a), 7, "subjects are told apart by their parts");
    is_int(alerts_firing(a, ALERT_SlowQueries), 5, "five fire");
    const struct alert_item **list = alerts_sorted(a, &n);
    is_int(n, 7, "sorted: all");
    is_int(list[0]->alert, ALERT_TenantDenials, "sorted: what fires and is critical comes first");
    is_int(list[6]->alert, ALERT_ClientsWaiting, "sorted: what is pending, later");
    is_text(list[6]->what.database, "a", "its database");
    is_text(list[6]->what.user, "bc", "its user");
    ok(list[6]->value == 7 && list[6]->threshold == 1, "value and threshold");
    is_int(list[6]->since, 10, "monotonic time");
    is_int(list[6]->since_wall, 20, "and the wall clock's");
    free(list);
    alerts_free(a);
}

static void worst(const struct settings *g)
{
    const struct alert_what db = { .database = TEXT("db") };
    struct alerts *a = alerts_new(NULL);
    size_t pos = 0;

    alerts_begin(a, g, 10, 20);
    alerts_see(a, ALERT_OldestQuery, db, 1);
    alerts_see(a, ALERT_OldestQuery, db, 7);
    alerts_see(a, ALERT_OldestQuery, db, 30);
    alerts_see(a, ALERT_OldestQuery, db, 9);
    alerts_see(a, ALERT_OldestQuery, db, 2);
    alerts_end(a);
    const struct alert_item *it = alerts_next(a, &pos);
    ok(it && it->state == ALERT_FIRING && it->value == 30, "of several values the worst counts");
    alerts_begin(a, g, 11, 21);
    alerts_see(a, ALERT_OldestQuery, db, 2);
    alerts_see(a, ALERT_OldestQuery, db, 8);
    alerts_end(a);
    pos = 0;
    it = alerts_next(a, &pos);
    ok(it && it->value == 8, "at each look anew");
    alerts_free(a);
}

#define WARNINGS_MAX (ALERT_ITEMS_MAX - ALERT_ITEMS_KEPT)

/* What is worse than the warnings, of which there are as many as may be, has places of its own. */
static void worse(struct alerts *a, const struct settings *g)
{
    char name[32];

    alerts_begin(a, g, 15, 15);
    for (int i = 0; i < ALERT_ITEMS_KEPT + 5; i++) {
        snprintf(name, sizeof(name), "%d", i);
        alerts_see(a, ALERT_TenantDenials, (struct alert_what){ .database = text_of(name) }, 1);
    }
    alerts_see(a, ALERT_ReloadFailed, nobody, 1); /* a warning */
    alerts_end(a);
    is_int(alerts_firing(a, ALERT_TenantDenials), ALERT_ITEMS_KEPT, "refusals fire beside them");
    is_int(alerts_left_out(a), 6, "as many as have a place");
}

static void bounds(const struct settings *g)
{
    struct alerts *a = alerts_new(NULL);
    char name[2000];

    for (int turn = 0; turn < 2; turn++) {
        alerts_begin(a, g, 10 + (usec_t)turn, 10);
        for (int i = 0; i < WARNINGS_MAX + 25; i++) {
            memset(name, 'x', sizeof(name));
            int k = snprintf(name, sizeof(name), "%d", i);
            name[k] = 'y';
            const struct alert_what w = { text_n(name, i % 2 ? (size_t)k : sizeof(name)), TEXT(""),
                                          TEXT("") };
            alerts_see(a, ALERT_SlowQueries, w, 1);
        }
        alerts_end(a);
        is_int(count(a), WARNINGS_MAX, "no more subjects than there may be");
        is_int(alerts_left_out(a), 25, "the others are counted");
    }
    is_int(alerts_firing(a, ALERT_SlowQueries), WARNINGS_MAX, "and fire");
    worse(a, g);
    alerts_begin(a, g, 20, 20); /* all are well */
    alerts_end(a);
    alerts_begin(a, g, 20 + g->alert_clear_for, 20);
    alerts_end(a);
    is_int(count(a), ALERT_ITEMS_MAX, "ends are remembered");
    is_int(alerts_left_out(a), 0, "and nothing is left out");
    look(a, g, 30 + g->alert_clear_for, ALERT_ReloadFailed, nobody, 1);
    is_int(state(a, ALERT_ReloadFailed), ALERT_FIRING, "but make room for what is wrong now");
    is_int(alerts_left_out(a), 0, "which is not left out");
    is_int(count(a), ALERT_ITEMS_MAX, "and are one fewer");
    alerts_free(a);
    alerts_free(NULL);
}

int main(void)
{
    struct arena arena;
    struct settings g;

    arena_init(&arena, 0);
    defaults(&g, &arena);
    thresholds(&g);
    documented(&g);
    probe_stale(&g);
    flapping(&g);
    defaults(&g, &arena);
    subjects(&g);
    worst(&g);
    bounds(&g);
    arena_release(&arena);
    return tap_done();
}
