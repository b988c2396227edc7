/* SPDX-License-Identifier: ISC */
/* Values for the alerts. */
#include "watch/observe.h"

#include "net/tls.h"
#include "watch/limits.h"

static const struct alert_what the_process;

static double percent(double of, double all)
{
    return all > 0 ? of * 100 / all : 0;
}

/* ---- database servers ---- */

static void see_storage(struct alerts *a, const struct observed *o, struct alert_what what,
                        const struct backend_row *r)
{
    int64_t capacity = backends_capacity(o->setup, r->backend), size = 0;

    for (int i = 0; i < r->n_dbs; i++)
        if (r->dbs[i].size > 0)
            size += r->dbs[i].size;
    if (capacity == 0)
        return;
    alerts_see(a, ALERT_StorageWarning, what, percent((double)size, (double)capacity));
    alerts_see(a, ALERT_StorageCritical, what, percent((double)size, (double)capacity));
}

/* Of a server that was not probed for long only that is said. What the last successful probe told
 * holds until it is stale, so that one failure ends no alert. */
static void see_backend(struct alerts *a, const struct observed *o, const struct backend *b)
{
    const struct alert_what what = { .backend = text_of(b->name) };
    const struct backend_row *r = backends_values(o->backends, b, o->mono);
    double age = (double)(o->mono - b->at_mono) / 1e6;
    double stale = alert_threshold(ALERT_ProbeStale, &o->setup->g);

    alerts_see(a, ALERT_ProbeStale, what, age);
    if (stale > 0 && age > stale)
        return;
    alerts_see(a, ALERT_BackendDown, what, b->last.ok ? 0 : 1);
    if (!r)
        return;
    see_storage(a, o, what, r);
    if (r->used < 0 || r->max_connections < 0 || r->reserved < 0)
        return; /* it did not tell */
    double used = percent((double)r->used, (double)(r->max_connections - r->reserved));
    alerts_see(a, ALERT_BackendConnectionsWarning, what, used);
    alerts_see(a, ALERT_BackendConnectionsHigh, what, used);
    alerts_see(a, ALERT_BackendConnectionsCritical, what, used);
}

/* ---- pools and databases ---- */

static void see_pool(struct alerts *a, const struct survey_pool *p, usec_t mono)
{
    const struct alert_what database = { .database = p->pool->db_name };
    const struct alert_what what = { .database = p->pool->db_name, .user = p->pool->user_name };
    int64_t size = atomic_load_explicit(&p->pool->size, memory_order_relaxed);

    if (size > 0)
        alerts_see(a, ALERT_PoolUtilisation, what,
                   percent((double)p->sv[SERVER_ACTIVE], (double)size));
    alerts_see(a, ALERT_ClientsWaiting, what, p->cl_waiting);
    if (p->oldest_query && mono > p->oldest_query)
        alerts_see(a, ALERT_OldestQuery, database, (double)(mono - p->oldest_query) / 1e6);
}

static void see_database(struct alerts *a, const struct observed *o, const struct history_series *s)
{
    const struct alert_what what = { .database = history_name(s) };
    usec_t window = o->setup->g.alert_window / USEC_PER_SEC;
    struct history_window w;

    history_window(o->history, NULL, s, o->mono,
                   window < 10    ? 10
                   : window > 900 ? 900
                                  : (int)window,
                   &w);
    if (w.query.count)
        alerts_see(a, ALERT_QueryP95High, what, w.query.p95);
    alerts_see(a, ALERT_SlowQueries, what, (double)w.slow_queries);
    alerts_see(a, ALERT_TenantDenials, what, (double)w.denials);
    alerts_see(a, ALERT_TenantUnbound, what, (double)w.unbound);
}

/* ---- the process ---- */

/* Cores in use on average since the oldest sample. */
static double cores_used(struct cpu_use *u, usec_t mono)
{
    int oldest = u->n < CPU_SAMPLES ? 0 : u->n % CPU_SAMPLES, now = u->n % CPU_SAMPLES;
    usec_t then = u->at[oldest], used = u->used[oldest], cpu = process_cpu_us();
    double cores = u->n && mono > then ? (double)(cpu - used) / (double)(mono - then) : 0;

    u->at[now] = mono;
    u->used[now] = cpu;
    u->n++;
    return cores;
}

static void see_process(struct alerts *a, const struct observed *o)
{
    struct limits l;
    uint64_t virt, there = 0;

    limits_read(&l);
    (void)process_memory(&virt, &there);
    double cpu = percent(cores_used(o->cpu, o->mono) * 1e6, (double)l.microcores);
    double mem = percent((double)there, (double)l.memory);

    alerts_see(a, ALERT_ProxyCpuWarning, the_process, cpu);
    alerts_see(a, ALERT_ProxyCpuCritical, the_process, cpu);
    alerts_see(a, ALERT_ProxyMemoryWarning, the_process, mem);
    alerts_see(a, ALERT_ProxyMemoryCritical, the_process, mem);
    alerts_see(a, ALERT_ReloadFailed, the_process, o->reload_ok ? 0 : 1);
}

static void see_certificates(struct alerts *a, const struct observed *o)
{
    for (int s = 0; s < TLS_USES; s++) {
        const struct tls_file *f;
        int n = o->tls[s] ? tls_ctx_files(o->tls[s], &f) : 0;
        for (int i = 0; i < n; i++) {
            const struct alert_what what = { .backend = text_of(f[i].name) };
            double left = (double)f[i].expiry - (double)o->wall / 1e6;
            if (!f[i].expiry)
                continue;
            alerts_see(a, ALERT_CertExpiry30d, what, left);
            alerts_see(a, ALERT_CertExpiry7d, what, left);
        }
    }
}

void observe(struct alerts *a, const struct observed *o)
{
    const struct history_series *s;
    int pos = 0;

    alerts_begin(a, &o->setup->g, o->mono, o->wall);
    for (int i = 0; i < o->backends->n; i++)
        see_backend(a, o, &o->backends->list[i]);
    for (int i = 0; i < o->survey->n_pools; i++)
        if (o->survey->pools[i].pool)
            see_pool(a, &o->survey->pools[i], o->mono);
    while ((s = history_next(o->history, &pos)) != NULL)
        see_database(a, o, s);
    see_process(a, o);
    see_certificates(a, o);
    alerts_end(a);
}
