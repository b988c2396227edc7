/* SPDX-License-Identifier: ISC */
/* The control thread: start, run, stop. */
#include "main/control.h"

#include "base/check.h"
#include "main/catalogd.h"
#include "main/chore.h"
#include "main/console_glue.h"
#include "main/lookupd.h"
#include "main/proofd.h"
#include "main/system.h"
#include "main/takeover.h"
#include "main/version.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- mails to the control loop ---- */

/* What row-level security does not hold: said when it changes. */
static void report_rls(struct control *c, const struct mail_catalog *m)
{
    struct db_ledger *db = registry_db(&c->hub.registry, text_of(m->db_name));
    struct policy *old = db ? hub_policy_get(&c->hub, db) : NULL;
    struct text rest = policy_rls_report(m->policy), line;
    bool said = old && text_eq(policy_rls_report(old), rest);

    while (!said && text_split(&rest, '\n', &line))
        if (text_starts(line, TEXT("ERROR ")))
            log_error(&c->log, "%.*s", (int)line.n - 6, line.p + 6);
        else if (text_starts(line, TEXT("WARNING ")))
            log_warn(&c->log, "%.*s", (int)line.n - 8, line.p + 8);
    if (old)
        policy_unref(old);
}

static void on_catalog(struct control *c, struct mail_catalog *m)
{
    struct text rest = buf_text(&m->problems), line;

    while (text_split(&rest, '\n', &line))
        if (line.n)
            log_warn(&c->log, "%.*s", TEXT_ARG(line));
    if (m->policy)
        report_rls(c, m);
    hub_policy(&c->hub, text_of(m->db_name), m->policy, text_of(m->text));
    if (m->policy)
        log_info(&c->log, "catalog of database \"%s\" read: %d relations", m->db_name,
                 m->policy->catalog->n_relations);
}

static void want_catalog(struct control *c, const char *name)
{
    struct arena a;
    arena_init(&a, 1024);
    const struct database_conf *db = setup_database(c->setup, text_of(name), &a);
    if (db)
        catalogd_load(c->catalogd, c->setup, db);
    arena_release(&a);
}

static void on_mail(void *owner, struct mail *m)
{
    struct control *c = owner;

    if (hub_control_mail(&c->hub, m))
        return;
    switch (m->kind) {
    case MAIL_CATALOG:
        on_catalog(c, (struct mail_catalog *)m);
        break;
    case MAIL_PROBE:
        services_probe(c, (struct mail_probe *)m);
        probed_mail_free(m);
        return;
    case MAIL_WANT_CATALOG:
        want_catalog(c, ((struct mail_want *)m)->db_name);
        break;
    case MAIL_CONSOLE:
        services_adopt(c, (struct mail_console *)m);
        break;
    case MAIL_CONSOLE_CANCEL:
        services_cancel(c, (struct mail_console_cancel *)m);
        break;
    case MAIL_CHORE:
        c->chore = NULL;
        chore_finish(m);
        return;
    default:
        CHECK(!"no such mail");
    }
    catalogd_mail_free(m);
}

/* On a worker's thread. */
static void call_console(void *arg, struct conn *conn, struct text user, struct text app,
                         bool admin, struct text early)
{
    struct control *c = arg;
    struct mail_console *m = calloc(1, sizeof(*m) + early.n + 1);

    if (!m) {
        log_warn(&c->log, "an administrator's connection is closed: out of memory");
        conn_close(conn);
        return;
    }
    m->mail.kind = MAIL_CONSOLE;
    m->conn = conn;
    m->admin = admin;
    snprintf(m->user, sizeof(m->user), "%.*s", TEXT_ARG(user));
    snprintf(m->app, sizeof(m->app), "%.*s", TEXT_ARG(app));
    m->n_early = early.n;
    if (early.n)
        memcpy(m->early, early.p, early.n);
    loop_post(&c->loop, &m->mail);
}

static void call_cancel(void *arg, struct text key)
{
    struct control *c = arg;
    struct mail_console_cancel *m = key.n <= sizeof(m->key) ? calloc(1, sizeof(*m)) : NULL;

    if (!m)
        return;
    m->n = key.n;
    m->mail.kind = MAIL_CONSOLE_CANCEL;
    memcpy(m->key, key.p, key.n);
    loop_post(&c->loop, &m->mail);
}

static void call_want_catalog(void *arg, struct text db_name)
{
    struct control *c = arg;
    struct mail_want *m = calloc(1, sizeof(*m));

    if (!m)
        return;
    m->mail.kind = MAIL_WANT_CATALOG;
    snprintf(m->db_name, sizeof(m->db_name), "%.*s", TEXT_ARG(db_name));
    loop_post(&c->loop, &m->mail);
}

static void call_lookup(void *arg, struct lookup_ask *a)
{
    struct control *c = arg;

    lookupd_ask(c->lookupd, a);
}

static void call_prove(void *arg, struct proof_ask *a)
{
    struct control *c = arg;

    proofd_ask(c->proofd, a);
}

const struct hub_calls control_hub_calls = { .console = call_console,
                                             .cancel = call_cancel,
                                             .want_catalog = call_want_catalog,
                                             .lookup = call_lookup,
                                             .prove = call_prove };

/* ---- once a second ---- */

static void on_tick(void *owner)
{
    struct control *c = owner;
    usec_t now = c->loop.now;

    stopping_tick(c);
    control_notify(c);
    if (now - c->last_second < USEC_PER_SEC)
        return;
    c->last_second = now;
    backends_keep(&c->backends, c->setup);
    services_second(c);
    if (c->setup->g.probe_interval &&
        now - c->last_probe >= c->setup->g.probe_interval) {
        c->last_probe = now;
        probed_run(c->probed, c->setup);
    }
}

static const struct loop_handler control_loop = { .mail = on_mail, .tick = on_tick };

/* ---- signals ---- */

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    struct control *c = arg;
    struct err err = { 0 };
    (void)what;

    loop_enter(&c->loop);
    switch (sig) {
    case SIGHUP:
        log_info(&c->log, "got SIGHUP, re-reading config");
        if (!control_reload(c, &err))
            log_error(&c->log, "RELOAD failed: %s", err.msg);
        break;
    case SIGTERM:
        log_info(&c->log, "got SIGTERM");
        control_shutdown(c, SHUTDOWN_WHEN_CLIENTS_LEFT, true);
        break;
    case SIGINT:
        log_info(&c->log, "got SIGINT");
        control_shutdown(c, SHUTDOWN_WHEN_SERVERS_LEFT, false);
        break;
    case SIGQUIT:
        log_info(&c->log, "got SIGQUIT, fast exit");
        control_shutdown_now(c);
        break;
    case SIGUSR1:
        log_info(&c->log, "got SIGUSR1, pausing all activity");
        control_pause(c, true);
        takeover_changed(c->takeover, TEXT(""));
        break;
    default:
        if (c->shutdown != RUNNING) {
            log_info(&c->log, "got SIGUSR2 while shutting down, ignoring");
        } else {
            log_info(&c->log, "got SIGUSR2, continuing");
            control_pause(c, false);
            takeover_changed(c->takeover, TEXT(""));
        }
    }
    loop_leave(&c->loop);
}

static bool start_signals(struct control *c)
{
    static const int sigs[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(sigs) / sizeof(*sigs); i++) {
        struct event *ev = evsignal_new(c->loop.base, sigs[i], on_signal, c);
        if (!ev || event_add(ev, NULL) != 0)
            return false;
        c->signals[c->n_signals++] = ev;
    }
    return true;
}

/* ---- start ---- */

static void accepted(void *arg, int fd, bool is_unix)
{
    struct control *c = arg;
    hub_accept(&c->hub, fd, is_unix);
}

static bool start_listeners(struct control *c, struct err *e)
{
    const struct settings *g = &c->setup->g;
    struct listener_opts o = { .listen_addr = g->listen_addr,
                               .port = (int)g->listen_port,
                               .backlog = (int)g->listen_backlog,
                               .unix_dir = g->unix_socket_dir,
                               .unix_mode = (int)g->unix_socket_mode,
                               .unix_owner = system_future_owner(c->options->user ? c->options->user
                                                                                  : g->user),
                               .unix_group = g->unix_socket_group,
                               .reuseport = g->so_reuseport,
                               .defer_accept = (int)g->tcp_defer_accept,
                               .activated = c->notify.sockets,
                               .n_activated = c->notify.n_sockets };
    o.n_inherited = takeover_sockets(c->takeover, &o.inherited);
    c->listeners = listeners_open(&c->loop, &o, accepted, c, e);
    c->notify.n_sockets = 0; /* they belong to the listeners now, also if that failed */
    return c->listeners != NULL;
}

static int worker_count(const struct setup *s)
{
    if (s->g.worker_threads > 0)
        return (int)s->g.worker_threads;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 8 ? 8 : (int)n;
}

static bool start_engines(struct control *c, struct err *e)
{
    int n = worker_count(c->setup);

    for (int i = 0; i < n; i++) {
        c->hub.engine[i] = engine_new(&c->hub, i, c->setup, c->client_tls, c->server_tls, e);
        if (!c->hub.engine[i])
            return false;
        c->hub.n_engines = i + 1;
    }
    return true;
}

static bool run_engines(struct control *c, struct err *e)
{
    for (int i = 0; i < c->hub.n_engines; i++)
        if (!engine_start(c->hub.engine[i]))
            return err_set(e, "cannot start worker thread %d", i);
    return true;
}

/* Asks for the catalogs of all databases that hold tenants. */
static void load_catalogs(struct control *c)
{
    for (int i = 0; i < c->setup->n_databases; i++)
        if (setup_holds_tenants(c->setup, c->setup->databases[i]))
            catalogd_load(c->catalogd, c->setup, c->setup->databases[i]);
}

static void log_warnings(struct control *c)
{
    struct text rest = c->setup->warnings, line;
    while (text_split(&rest, '\n', &line))
        if (line.n)
            log_warn(&c->log, "%.*s", TEXT_ARG(line));
}

void control_log(struct control *c, const struct settings *g)
{
    atomic_store(&c->log.verbose,
                 c->options->verbose > g->verbose ? c->options->verbose : (int)g->verbose);
    log_set_format(&c->log, (enum log_format)g->log_format);
    log_fold(&c->log, g->log_repeat_limit, g->log_repeat_period);
}

static bool start_log(struct control *c, struct err *e)
{
    const struct settings *g = &c->setup->g;

    if (*g->logfile && !log_open(&c->log, g->logfile))
        return err_set(e, "cannot open log file %s", g->logfile);
    if (g->syslog)
        log_syslog(&c->log, true, g->syslog_ident, system_facility((int)g->syslog_facility));
    control_log(c, g);
    return true;
}

/* Everything up to the running threads; each step says itself what went wrong. */
static bool start(struct control *c, struct err *e)
{
    const struct settings *g = &c->setup->g;
    int ready = -1;

    if (!start_log(c, e) || !control_tokens(c->setup, e) ||
        !control_tls(c->setup, NULL, NULL, &c->client_tls, &c->server_tls, e) ||
        !control_metrics_tls(c->setup, NULL, &c->metrics_tls, e))
        return false;
    system_raise_limits(&c->log);
    system_forget_libpq();
    if (!notify_init(&c->notify, e))
        return false;
    if (c->options->daemon && !system_daemonize(g->pidfile, *g->logfile || g->syslog, &ready, e))
        return false;
    if (!loop_init(&c->loop, -1, &c->log, &control_loop, c, 100))
        return err_set(e, "cannot set up the control loop");
    c->takeover = takeover_new(c);
    if (!c->takeover)
        return err_set(e, "out of memory");
    if (c->options->reboot && !takeover_begin(c->takeover, e))
        return false;
    if (!start_listeners(c, e))
        return false;
    if (!system_drop_privileges(c->options->user ? c->options->user : g->user, &c->log, e))
        return false;
    if (!system_pidfile_free(g->pidfile, takeover_from(c->takeover), e))
        return false;
    if (!hub_init(&c->hub, &c->loop, &c->log, worker_count(c->setup), c->setup, BULKHEAD_VERSION,
                  &control_hub_calls, c))
        return err_set(e, "out of memory");
    takeover_pauses(c->takeover);
    if (!start_engines(c, e) || !start_signals(c))
        return e->msg[0] ? false : err_set(e, "cannot install signal handlers");
    c->catalogd = catalogd_start(&c->loop, &c->log);
    if (!c->catalogd)
        return err_set(e, "cannot start the catalog thread");
    c->lookupd = lookupd_start(&c->log);
    if (!c->lookupd)
        return err_set(e, "cannot start the threads of auth_query");
    c->probed = probed_start(&c->loop, &c->log);
    if (!c->probed)
        return err_set(e, "cannot start the thread that probes servers");
    c->proofd = proofd_new(&c->log);
    if (!c->proofd)
        return err_set(e, "out of memory");
    c->hub.audit = writer_start(&c->log, "tenant_audit_log");
    if (!c->hub.audit)
        return err_set(e, "cannot start the audit log's thread");
    if (!writer_open(c->hub.audit, g->tenant_audit_log))
        return err_set(e, "cannot open tenant_audit_log %s: %s", g->tenant_audit_log,
                       strerror(errno));
    if (!services_start(c, e) || !run_engines(c, e))
        return false;
    pid_t old = takeover_from(c->takeover);
    if (!old && !system_pidfile(g->pidfile, &c->pidfile, e))
        return false;
    takeover_finish(c->takeover);
    if (old && !system_pidfile(g->pidfile, &c->pidfile, e)) /* the other one is on its way out */
        log_warn(&c->log, "%s", e->msg);
    notify_ready(&c->notify, c->options->daemon || old);
    return ready < 0 || system_daemon_ready(ready, e);
}

/* ---- stop ---- */

static void stop(struct control *c)
{
    if (c->listeners)
        listeners_close(c->listeners);
    c->listeners = NULL;
    for (int i = 0; i < c->hub.n_engines; i++)
        if (c->hub.engine[i]->loop.thread)
            engine_stop(c->hub.engine[i]);
    if (c->catalogd)
        catalogd_stop(c->catalogd);
    if (c->lookupd)
        lookupd_stop(c->lookupd);
    probed_stop(c->probed);
    if (c->proofd)
        proofd_stop(c->proofd);
    for (struct mail *m = c->loop.base ? mailbox_take(&c->loop.box) : NULL; m;) {
        struct mail *next = m->next;
        if (m->kind == MAIL_PROBE) {
            probed_mail_free(m);
            m = next;
            continue;
        }
        if (m->kind == MAIL_CHORE) { /* goes with the chore */
            m = next;
            continue;
        }
        if (m->kind == MAIL_CATALOG && ((struct mail_catalog *)m)->policy)
            policy_unref(((struct mail_catalog *)m)->policy);
        if (m->kind == MAIL_CONSOLE)
            conn_close(((struct mail_console *)m)->conn);
        if (!hub_control_mail(&c->hub, m))
            catalogd_mail_free(m);
        m = next;
    }
    chore_stop(c->chore);
    services_stop(c);
    for (int i = 0; i < c->hub.n_engines; i++)
        engine_free(c->hub.engine[i]);
    writer_stop(c->hub.audit);
    if (c->hub.control)
        hub_release(&c->hub);
    takeover_free(c->takeover);
    notify_release(&c->notify);
    for (int i = 0; i < c->n_signals; i++)
        event_free(c->signals[i]);
    if (c->loop.base)
        loop_release(&c->loop);
    tls_ctx_unref(c->client_tls);
    tls_ctx_unref(c->server_tls);
    tls_ctx_unref(c->metrics_tls);
    for (int i = 0; i < c->n_over; i++) {
        free((void *)(uintptr_t)c->over[i].key.p);
        free((void *)(uintptr_t)c->over[i].value.p);
    }
    free(c->over);
    if (c->pidfile)
        unlink(c->pidfile);
    if (c->setup)
        setup_unref(c->setup);
}

static bool load_first(struct control *c)
{
    struct buf problems;

    buf_init(&problems);
    c->setup = setup_load(c->options->file, ++c->generation, NULL, 0, &problems);
    if (!c->setup)
        fprintf(stderr, "%.*s", (int)buf_len(&problems), problems.p ? buf_data(&problems) : "");
    buf_release(&problems);
    return c->setup != NULL;
}

static int check_only(struct control *c)
{
    struct err err = { 0 };

    if (!load_first(c))
        return 1;
    if (c->setup->warnings.n)
        fprintf(stderr, "%.*s", TEXT_ARG(c->setup->warnings));
    bool ok = control_tokens(c->setup, &err) &&
              control_tls(c->setup, NULL, NULL, &c->client_tls, &c->server_tls, &err) &&
              control_metrics_tls(c->setup, NULL, &c->metrics_tls, &err);
    if (!ok)
        fprintf(stderr, "%s: %s\n", c->options->file, err.msg);
    tls_ctx_unref(c->client_tls);
    tls_ctx_unref(c->server_tls);
    tls_ctx_unref(c->metrics_tls);
    setup_unref(c->setup);
    return ok ? 0 : 1;
}

int control_main(const struct options *o)
{
    struct control *c = calloc(1, sizeof(*c));
    struct err err = { 0 };

    CHECK(c);
    c->options = o;
    c->reload_ok = true;
    c->reload_at = clock_wall_us();
    log_init(&c->log, o->quiet, o->verbose);
    if (o->action == OPTIONS_CHECK) {
        int rc = check_only(c);
        free(c);
        return rc;
    }
    if (!load_first(c)) {
        free(c);
        return 1;
    }
    if (start(c, &err)) {
        log_warnings(c);
        load_catalogs(c);
        log_info(&c->log, "process up: %s, %d workers, libevent %s, pid %d", BULKHEAD_VERSION,
                 c->hub.n_engines, event_get_version(), (int)getpid());
        loop_run(&c->loop);
    } else {
        log_fatal(&c->log, "%s", err.msg);
        c->exit_code = 1;
    }
    int rc = c->exit_code;
    stop(c);
    log_close(&c->log);
    free(c);
    return rc;
}
