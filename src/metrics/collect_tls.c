/* SPDX-License-Identifier: ISC */
/* TLS: connections, handshakes, certificates. */
#include "metrics/collect.h"

#include <stdlib.h>

static const char *const sides[2] = { "side=\"client\"", "side=\"server\"" };

/* A counter summed over the loops: the workers' and ours, which has the console's connections. */
static uint64_t sum(const struct collect *c, size_t offset)
{
    uint64_t n = 0;

    for (int e = 0; e <= c->hub->n_engines; e++) {
        const struct loop *l = e < c->hub->n_engines ? &c->hub->engine[e]->loop : c->hub->control;
        if (l)
            n += stat_get((const stat_t *)(const void *)((const char *)&l->tls + offset));
    }
    return n;
}

static void write_connections(const struct collect *c, struct expo *x)
{
    static const char *const versions[TLS_VERSIONS] = {
        "version=\"TLSv1.0\"", "version=\"TLSv1.1\"", "version=\"TLSv1.2\"", "version=\"TLSv1.3\""
    };

    collect_family(x, METRIC_tls_connections);
    for (int s = 0; s < 2; s++)
        for (int v = 0; v < TLS_VERSIONS; v++) {
            int64_t n = (int64_t)sum(c, offsetof(struct tls_counts, open[s][v]));
            if (n <= 0 && v < 2)
                continue; /* out of use */
            expo_labels(x, sides[s]);
            expo_labels(x, versions[v]);
            expo_int(x, n < 0 ? 0 : n); /* read while others write */
        }
}

static void write_handshakes(const struct collect *c, struct expo *x)
{
    static const char *const versions[] = { "version=\"TLSv1.2\"", "version=\"TLSv1.3\"" };
    static const char *const reasons[TLS_FAILURES] = {
        [TLS_FAIL_CLOSED] = "closed",           [TLS_FAIL_ALERT] = "alert",
        [TLS_FAIL_CERTIFICATE] = "certificate", [TLS_FAIL_PROTOCOL] = "protocol",
        [TLS_FAIL_SOCKET] = "socket",           [TLS_FAIL_OTHER] = "other",
        [TLS_FAIL_ABANDONED] = "abandoned",
    };

    collect_family(x, METRIC_tls_handshakes_total);
    for (int s = 0; s < 2; s++)
        for (int v = 0; v < 2; v++) {
            uint64_t n = 0;
            for (int e = 0; e < c->hub->n_engines; e++)
                n += stat_get(&c->hub->engine[e]->stats.tls_handshakes[s][v]);
            expo_labels(x, sides[s]);
            expo_labels(x, versions[v]);
            expo_uint(x, n);
        }
    collect_family(x, METRIC_tls_handshake_errors_total);
    for (int s = 0; s < 2; s++)
        for (int r = 0; r < TLS_FAILURES; r++) {
            expo_labels(x, sides[s]);
            expo_label(x, "reason", text_of(reasons[r]));
            expo_uint(x, sum(c, offsetof(struct tls_counts, failed[s][r])));
        }
}

static const struct tls_file *find(const struct tls_file *files, int n, const struct tls_file *like)
{
    for (int i = 0; i < n; i++)
        if (files[i].ca == like->ca && strcmp(files[i].name, like->name) == 0)
            return &files[i];
    return NULL;
}

/* Several may verify against one CA file; it is shown once, as the one that ends first. NULL: it
 * has been shown, or has no end. */
static const struct tls_file *ends_first(const struct tls_file *const f[], const int n[], int side,
                                         const struct tls_file *one)
{
    for (int s = 0; one->ca && s < TLS_USES; s++) {
        const struct tls_file *other = s == side ? NULL : find(f[s], n[s], one);
        if (other && s < side)
            return NULL;
        if (other && other->expiry && (!one->expiry || other->expiry < one->expiry))
            one = other;
    }
    return one->expiry ? one : NULL;
}

static void write_files(const struct collect *c, struct expo *x)
{
    const struct tls_file *f[TLS_USES] = { NULL };
    int n[TLS_USES] = { 0 };

    for (int s = 0; s < TLS_USES; s++)
        if (c->tls[s])
            n[s] = tls_ctx_files(c->tls[s], &f[s]);
    collect_family(x, METRIC_tls_certificate_expiry_timestamp_seconds);
    for (int s = 0; s < TLS_USES; s++)
        for (int i = 0; i < n[s]; i++) {
            const struct tls_file *shown = ends_first(f, n, s, &f[s][i]);
            if (!shown)
                continue;
            expo_label(x, "role", text_of(shown->ca ? "ca" : tls_use_name((enum tls_use)s)));
            expo_label(x, "file", text_of(shown->name));
            expo_int(x, shown->expiry);
        }
}

void collect_tls(const struct collect *c, struct expo *x)
{
    write_connections(c, x);
    write_handshakes(c, x);
    write_files(c, x);
}
