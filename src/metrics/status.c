/* SPDX-License-Identifier: ISC */
/* The JSON of /api/status: the program, its configuration, servers, tenants, refusals. */
#include "metrics/status.h"

#include "base/json.h"
#include "tenant/tenant.h"
#include "watch/limits.h"

#include <event2/event.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- writing JSON ---- */

void status_int(struct buf *b, const char *name, int64_t v)
{
    json_key(b, name);
    buf_printf(b, "%" PRId64, v);
}

void status_bool(struct buf *b, const char *name, bool v)
{
    json_key(b, name);
    buf_text_append(b, v ? TEXT("true") : TEXT("false"));
}

void status_text(struct buf *b, const char *name, struct text v)
{
    json_key(b, name);
    json_text(b, v);
}

void status_null(struct buf *b, const char *name)
{
    json_key(b, name);
    buf_text_append(b, TEXT("null"));
}

void status_usec(struct buf *b, const char *name, uint64_t us)
{
    json_key(b, name);
    buf_printf(b, "%llu.%06u", us / USEC_PER_SEC, (unsigned)(us % USEC_PER_SEC));
}

void status_share(struct buf *b, const char *name, int64_t part, int64_t whole)
{
    if (whole <= 0) {
        status_null(b, name);
        return;
    }
    json_key(b, name);
    buf_printf(b, "%.3f", (double)part / (double)whole);
}

static void open_object(struct buf *b, const char *name)
{
    json_key(b, name);
    buf_char(b, '{');
}

static void open_array(struct buf *b, const char *name)
{
    json_key(b, name);
    buf_char(b, '[');
}

/* ---- the program ---- */

static void write_program(const struct status *s, struct buf *b, usec_t now)
{
    const struct hub *h = s->c->hub;
    bool ending = atomic_load(&h->registry.shutting_down);
    bool paused = atomic_load(&h->registry.paused);

    open_object(b, "program");
    status_text(b, "version", text_of(hub_version(h)));
    status_text(b, "openssl", text_of(OpenSSL_version(OPENSSL_VERSION_STRING)));
    status_text(b, "libevent", text_of(event_get_version()));
    status_int(b, "pid", getpid());
    status_int(b, "workers", h->n_engines);
    status_text(b, "state",
                ending   ? TEXT("shutting_down")
                : paused ? TEXT("paused")
                         : TEXT("running"));
    status_usec(b, "started", h->started_at);
    status_usec(b, "uptime_seconds", now > h->started_at ? now - h->started_at : 0);
    buf_char(b, '}');
}

static void write_process(struct buf *b)
{
    struct process_figures p;
    struct limits may;

    process_read(&p);
    limits_read(&may);
    open_object(b, "process");
    status_usec(b, "cpu_seconds", p.cpu_us);
    if (may.microcores)
        status_usec(b, "cpu_limit_cores", may.microcores);
    else
        status_null(b, "cpu_limit_cores");
    if (p.memory_known)
        status_int(b, "resident_bytes", (int64_t)p.resident);
    else
        status_null(b, "resident_bytes");
    if (may.memory)
        status_int(b, "memory_limit_bytes", (int64_t)may.memory);
    else
        status_null(b, "memory_limit_bytes");
    if (p.open_fds >= 0)
        status_int(b, "open_fds", p.open_fds);
    else
        status_null(b, "open_fds");
    if (p.max_fds > 0)
        status_int(b, "max_fds", p.max_fds);
    else
        status_null(b, "max_fds");
    buf_char(b, '}');
}

static void write_configuration(const struct status *s, struct buf *b)
{
    open_object(b, "configuration");
    status_bool(b, "reload_ok", s->c->reload_ok);
    status_usec(b, "reloaded", s->c->reload_at);
    status_int(b, "generation", (int64_t)s->c->setup->generation);
    status_usec(b, "slow_query_threshold_seconds", s->c->setup->g.slow_query_threshold);
    buf_char(b, '}');
}

static void write_clients(const struct status *s, struct buf *b)
{
    const struct survey *v = s->c->survey;
    int64_t active = 0, idle = 0, waiting = 0, servers = 0;
    usec_t oldest = 0;

    for (int i = 0; i < v->n_pools; i++) {
        const struct survey_pool *p = &v->pools[i];
        if (!p->pool)
            continue;
        active += p->cl_active;
        idle += p->cl_idle;
        waiting += p->cl_waiting;
        servers += atomic_load_explicit(&p->pool->servers, memory_order_relaxed);
        if (p->oldest && (!oldest || p->oldest < oldest))
            oldest = p->oldest;
    }
    open_object(b, "clients");
    status_int(b, "connections", v->clients);
    status_int(b, "connections_max", atomic_load(&s->c->hub->registry.clients.max));
    status_int(b, "active", active);
    status_int(b, "idle", idle);
    status_int(b, "waiting", waiting);
    status_int(b, "login", v->logins);
    status_usec(b, "max_wait_seconds", oldest && v->now > oldest ? v->now - oldest : 0);
    buf_char(b, '}');
    status_int(b, "servers", servers);
}

/* ---- certificates ---- */

static void certificate(struct buf *b, const char *role, const struct tls_file *f, usec_t now)
{
    open_object(b, NULL);
    status_text(b, "role", text_of(role));
    status_text(b, "file", text_of(f->name));
    status_int(b, "not_after", f->expiry);
    status_int(b, "seconds_left", f->expiry - (int64_t)(now / USEC_PER_SEC));
    buf_char(b, '}');
}

static void write_certificates(const struct status *s, struct buf *b, usec_t now)
{
    open_array(b, "certificates");
    for (int side = 0; side < TLS_USES; side++) {
        const struct tls_file *f = NULL;
        int n = s->c->tls[side] ? tls_ctx_files(s->c->tls[side], &f) : 0;
        for (int i = 0; i < n; i++)
            if (f[i].expiry)
                certificate(b, f[i].ca ? "ca" : tls_use_name((enum tls_use)side), &f[i], now);
    }
    buf_char(b, ']');
}

/* ---- tenants ---- */

static void write_tenants(const struct status *s, struct buf *b)
{
    const struct busy *y = s->busy;

    open_object(b, "tenants");
    status_bool(b, "named", s->tenant_names);
    status_int(b, "busy", y ? y->n : 0);
    status_bool(b, "more", y && y->more);
    open_array(b, "list");
    for (int i = 0; y && s->tenant_names && i < y->n; i++) {
        const struct busy_tenant *t = &y->v[i];
        usec_t now = s->c->survey->now;
        open_object(b, NULL);
        status_text(b, "database", t->database);
        status_text(b, "tenant", t->tenant);
        status_int(b, "waiting", t->waiting);
        status_int(b, "active", t->active);
        status_usec(b, "max_wait_seconds", t->oldest && now > t->oldest ? now - t->oldest : 0);
        buf_char(b, '}');
    }
    buf_text_append(b, TEXT("]}"));
}

/* ---- refusals ---- */

struct refused {
    const char *reason;
    uint64_t count;
};

static int by_count(const void *x, const void *y)
{
    const struct refused *a = x, *b = y;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return strcmp(a->reason, b->reason);
}

static void write_reasons(struct buf *b, const char *name, struct refused *r, size_t n)
{
    qsort(r, n, sizeof(*r), by_count);
    open_array(b, name);
    for (size_t i = 0; i < n && r[i].count; i++) {
        open_object(b, NULL);
        status_text(b, "reason", text_of(r[i].reason));
        status_int(b, "count", (int64_t)r[i].count);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void write_refusals(const struct status *s, struct buf *b)
{
    struct hub *h = s->c->hub;
    struct refused statements[REFUSAL_COUNT];
    struct refused clients[REJECT_REASONS];

    for (int r = 0; r < REFUSAL_COUNT; r++)
        statements[r] = (struct refused){ refusal_name((enum refusal)r), 0 };
    int n;
    struct db_ledger **dbs = registry_dbs(&h->registry, &n);
    if (!dbs)
        b->failed = true;
    for (int d = 0; d < n; d++)
        for (int w = 0; w < h->n_engines; w++)
            for (int r = 0; r < REFUSAL_COUNT; r++)
                statements[r].count += stat_get(&dbs[d]->stats[w].denials[r]);
    free(dbs);
    for (int r = 0; r < REJECT_REASONS; r++) {
        clients[r] = (struct refused){ reject_name((enum reject_reason)r), 0 };
        for (int w = 0; w < h->n_engines; w++)
            clients[r].count += stat_get(&h->engine[w]->stats.rejected[r]);
    }
    open_object(b, "refusals");
    write_reasons(b, "statements", statements, REFUSAL_COUNT);
    write_reasons(b, "clients", clients, REJECT_REASONS);
    buf_char(b, '}');
}

/* ---- all ---- */

static void threshold(struct buf *b, const char *name, int64_t percent)
{
    if (percent > 0)
        status_share(b, name, percent, 100);
    else
        status_null(b, name);
}

/* Of the alerts, where bars and curves have their marks; null: that alert is off. */
static void write_thresholds(const struct status *s, struct buf *b)
{
    const struct settings *g = &s->c->setup->g;

    open_object(b, "thresholds");
    threshold(b, "pool_utilisation", g->alert_pool_utilisation);
    threshold(b, "backend_connections_warning", g->alert_backend_connections_warning);
    threshold(b, "backend_connections_high", g->alert_backend_connections_high);
    threshold(b, "backend_connections_critical", g->alert_backend_connections_critical);
    if (g->alert_query_p95)
        status_usec(b, "query_p95_seconds", g->alert_query_p95);
    else
        status_null(b, "query_p95_seconds");
    buf_char(b, '}');
}

void status_write(const struct status *s, struct buf *out)
{
    usec_t now = clock_wall_us();

    buf_char(out, '{');
    status_int(out, "schema", STATUS_SCHEMA);
    status_usec(out, "now", now);
    write_program(s, out, now);
    write_process(out);
    write_configuration(s, out);
    write_clients(s, out);
    status_pools(s, out);
    status_databases(s, out);
    status_latency(s, s->history ? history_all(s->history) : NULL, out);
    status_curves(s, out);
    status_alerts(s, out);
    status_backends(s, out);
    write_tenants(s, out);
    write_refusals(s, out);
    write_certificates(s, out, now);
    write_thresholds(s, out);
    buf_text_append(out, TEXT("}\n"));
}
