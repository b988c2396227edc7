/* SPDX-License-Identifier: ISC */
/* A new configuration: RELOAD, SIGHUP, SET. */
#include "auth/token.h"
#include "base/check.h"
#include "main/catalogd.h"
#include "main/control.h"
#include "main/system.h"

#include <errno.h>
#include <stdlib.h>

static struct tls_ctx *make_tls(const struct setup *s, bool server_side,
                                const struct tls_ctx *previous, struct err *e)
{
    const struct settings *g = &s->g;
    struct tls_opts o = server_side
                            ? (struct tls_opts){ .server_side = true,
                                                 .mode = (enum tls_mode)g->client_tls_sslmode,
                                                 .key_file = g->client_tls_key_file,
                                                 .cert_file = g->client_tls_cert_file,
                                                 .ca_file = g->client_tls_ca_file,
                                                 .protocols = g->client_tls_protocols,
                                                 .ciphers = g->client_tls_ciphers,
                                                 .ciphers13 = g->client_tls13_ciphers,
                                                 .ecdhcurve = g->client_tls_ecdhcurve,
                                                 .min_version = g->client_tls_min_version,
                                                 .sni = g->client_tls_sni,
                                                 .dheparams = g->client_tls_dheparams }
                            : (struct tls_opts){ .mode = (enum tls_mode)g->server_tls_sslmode,
                                                 .key_file = g->server_tls_key_file,
                                                 .cert_file = g->server_tls_cert_file,
                                                 .ca_file = g->server_tls_ca_file,
                                                 .protocols = g->server_tls_protocols,
                                                 .ciphers = g->server_tls_ciphers,
                                                 .min_version = g->server_tls_min_version,
                                                 .ciphers13 = g->server_tls13_ciphers };
    o.previous = previous;
    return tls_ctx_new(&o, e);
}

bool control_tls(const struct setup *s, const struct tls_ctx *client_was,
                 const struct tls_ctx *server_was, struct tls_ctx **client, struct tls_ctx **server,
                 struct err *e)
{
    *client = *server = NULL;
    if (s->g.client_tls_sslmode != TLS_DISABLE && !(*client = make_tls(s, true, client_was, e)))
        return false;
    if (s->g.server_tls_sslmode != TLS_DISABLE && !(*server = make_tls(s, false, server_was, e))) {
        tls_ctx_unref(*client);
        *client = NULL;
        return false;
    }
    return true;
}

bool control_metrics_tls(const struct setup *s, const struct tls_ctx *was, struct tls_ctx **metrics,
                         struct err *e)
{
    const struct tls_opts o = { .server_side = true,
                                .mode = s->g.metrics_tls_ca_file[0] ? TLS_VERIFY_CA : TLS_REQUIRE,
                                .key_file = s->g.metrics_tls_key_file,
                                .cert_file = s->g.metrics_tls_cert_file,
                                .ca_file = s->g.metrics_tls_ca_file,
                                .alpn = "http/1.1",
                                .cert_optional = true, /* /healthz is for all */
                                .previous = was };

    *metrics = s->g.metrics_tls_cert_file[0] ? tls_ctx_new(&o, e) : NULL;
    return *metrics || !s->g.metrics_tls_cert_file[0];
}

bool control_tokens(const struct setup *s, struct err *e)
{
    struct token_keys *k = token_keys_new(s->token_keys, s->n_token_keys, e);

    token_keys_free(k);
    return k != NULL;
}

/* A root-only key of before privileges were dropped. */
static void note_kept_key(struct control *c, const struct tls_ctx *t)
{
    if (t && tls_ctx_kept_key(t))
        log_warn(&c->log, "key file \"%s\" cannot be read any more; the key in use is kept",
                 tls_ctx_kept_key(t));
}

static bool guarded_anywhere(const struct setup *s, const struct database_conf *db)
{
    return setup_tenant_mode(s, db, NULL) != TENANT_OFF;
}

/* The rules may have changed: read the catalogs again and judge by the new ones. */
static void reload_catalogs(struct control *c)
{
    struct registry *r = &c->hub.registry;

    for (int i = 0; i < c->setup->n_databases; i++) {
        const struct database_conf *db = c->setup->databases[i];
        struct db_ledger *l = registry_find_db(r, db->name);
        if (guarded_anywhere(c->setup, db) || (l && atomic_load(&l->policy)))
            catalogd_load(c->catalogd, c->setup, db);
    }
}

static bool apply(struct control *c, struct setup *s, struct tls_ctx *client,
                  struct tls_ctx *server, struct err *e)
{
    /* servers of before may be less secure than what is asked for now */
    bool changed = !tls_ctx_same(c->server_tls, server);

    if (!hub_setup(&c->hub, s, client, server, changed, NULL, NULL)) {
        setup_unref(s);
        tls_ctx_unref(client);
        tls_ctx_unref(server);
        return err_set(e, "out of memory");
    }
    setup_unref(c->setup);
    tls_ctx_unref(c->client_tls);
    tls_ctx_unref(c->server_tls);
    c->setup = s;
    c->client_tls = client;
    c->server_tls = server;
    control_log(c, &s->g);
    log_syslog(&c->log, s->g.syslog, s->g.syslog_ident, system_facility((int)s->g.syslog_facility));
    reload_catalogs(c);
    return true;
}

/* Keys that cannot change while running keep their values; the log names those that would have. */
static void keep_boot(struct control *c, struct setup *s)
{
    struct buf changed;

    buf_init(&changed);
    setup_keep_boot(s, c->setup, &changed);
    struct text rest = buf_text(&changed), line;
    while (text_split(&rest, '\n', &line))
        if (line.n)
            log_warn(&c->log, "%.*s cannot be changed while running; restart for the new value",
                     TEXT_ARG(line));
    buf_release(&changed);
}

/* again: the lines as they were read last, with the SETs; else the file, without them. */
static bool load(struct control *c, bool again, struct err *e)
{
    struct buf problems;
    struct tls_ctx *client, *server, *metrics;

    buf_init(&problems);
    struct setup *s = again ? setup_again(c->setup, ++c->generation, c->over, c->n_over, &problems)
                            : setup_load(c->setup->g.conffile, ++c->generation, NULL, 0, &problems);
    if (!s) {
        struct text rest = buf_text(&problems), line;
        err_set_state(e, "F0000", "%.*s", TEXT_ARG(rest));
        while (text_split(&rest, '\n', &line))
            if (line.n)
                log_error(&c->log, "%.*s", TEXT_ARG(line));
        buf_release(&problems);
        return false;
    }
    buf_release(&problems);
    keep_boot(c, s);
    if (!control_tokens(s, e) || !control_metrics_tls(s, c->metrics_tls, &metrics, e)) {
        log_error(&c->log, "%s", e->msg);
        setup_unref(s);
        return false;
    }
    if (!control_tls(s, c->client_tls, c->server_tls, &client, &server, e)) {
        log_error(&c->log, "%s", e->msg);
        tls_ctx_unref(metrics);
        setup_unref(s);
        return false;
    }
    note_kept_key(c, client);
    note_kept_key(c, server);
    note_kept_key(c, metrics);
    if (!apply(c, s, client, server, e)) {
        tls_ctx_unref(metrics);
        return false;
    }
    tls_ctx_unref(c->metrics_tls);
    c->metrics_tls = metrics;
    return true;
}

static void open_audit(struct control *c)
{
    if (!writer_open(c->hub.audit, c->setup->g.tenant_audit_log))
        log_error(&c->log, "cannot open tenant_audit_log %s: %s", c->setup->g.tenant_audit_log,
                  strerror(errno));
}

/* As with PgBouncer: after a RELOAD the file holds. */
static void forget_sets(struct control *c)
{
    for (int i = 0; i < c->n_over; i++) {
        free((void *)(uintptr_t)c->over[i].key.p);
        free((void *)(uintptr_t)c->over[i].value.p);
    }
    c->n_over = 0;
}

bool control_reload(struct control *c, struct err *e)
{
    notify_reloading(&c->notify);
    bool ok = load(c, false, e);

    c->reload_ok = ok;
    if (ok) {
        c->reload_at = clock_wall_us();
        forget_sets(c);
    }
    if (*c->setup->g.logfile && !log_open(&c->log, c->setup->g.logfile))
        log_error(&c->log, "cannot open log file %s", c->setup->g.logfile);
    open_audit(c);
    notify_ready(&c->notify, false);
    return ok;
}

static char *copy(struct text t)
{
    char *p = strndup(t.p ? t.p : "", t.n);
    CHECK(p);
    return p;
}

bool control_set(struct control *c, const char *key, struct text value, struct err *e)
{
    int i = 0;

    if (!keys_check(key, value, e))
        return false;
    while (i < c->n_over && !text_is(c->over[i].key, key))
        i++;
    if (i == c->n_over) {
        struct setup_override *p = realloc(c->over, sizeof(*p) * (size_t)(c->n_over + 1));
        CHECK(p);
        c->over = p;
        c->over[c->n_over++] = (struct setup_override){ text_of(copy(text_of(key))), { NULL, 0 } };
    }
    struct text old = c->over[i].value;
    c->over[i].value = text_of(copy(value));
    if (load(c, true, e)) {
        if (strcmp(key, "logfile") == 0 && !log_open(&c->log, c->setup->g.logfile))
            log_error(&c->log, "cannot open log file %s", c->setup->g.logfile);
        open_audit(c);
        free((void *)(uintptr_t)old.p);
        return true;
    }
    free((void *)(uintptr_t)c->over[i].value.p);
    c->over[i].value = old;
    if (!old.p) { /* it was new: forget it */
        free((void *)(uintptr_t)c->over[i].key.p);
        c->n_over--;
    }
    return false;
}
