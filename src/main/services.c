/* SPDX-License-Identifier: ISC */
/* The control thread's services: console and metrics. */
#include "main/console_glue.h"

#include "console/console.h"
#include "main/chore.h"
#include "main/takeover.h"
#include "metrics/metrics.h"
#include "watch/watch.h"

/* ---- what the console asks of main ---- */

static bool do_reload(void *arg, struct err *e)
{
    return control_reload(arg, e);
}

static bool do_set(void *arg, const char *key, struct text value, struct err *e)
{
    return control_set(arg, key, value, e);
}

static void do_shutdown(void *arg, enum console_shutdown mode)
{
    if (mode == SHUTDOWN_NOW)
        control_shutdown_now(arg);
    else
        control_shutdown(arg,
                         mode == SHUTDOWN_WAIT_SERVERS ? SHUTDOWN_WHEN_SERVERS_LEFT
                                                       : SHUTDOWN_WHEN_CLIENTS_LEFT,
                         false);
}

static void do_accepting(void *arg, bool on)
{
    listeners_pause(((struct control *)arg)->listeners, !on);
}

static bool do_life(void *arg, const struct console_life *rq, struct err *e)
{
    struct control *c = arg;

    if (c->chore)
        return err_set(e, "another tenant is being deleted or exported");
    c->chore = chore_start(&c->loop, &c->log, c->setup, rq, e);
    return c->chore != NULL;
}

static void do_life_cancel(void *arg)
{
    struct control *c = arg;

    if (c->chore)
        chore_cancel(c->chore);
}

static const struct setup *present_setup(void *arg)
{
    return ((struct control *)arg)->setup;
}

static const struct watch *the_watch(void *arg)
{
    return ((struct control *)arg)->watch;
}

static void pauses_changed(void *arg, struct text db)
{
    takeover_changed(((struct control *)arg)->takeover, db);
}

static const struct console_ops console_ops = {
    .paused = pauses_changed,
    .reload = do_reload,
    .set = do_set,
    .shutdown = do_shutdown,
    .accepting = do_accepting,
    .life = do_life,
    .life_cancel = do_life_cancel,
    .setup = present_setup,
    .watch = the_watch,
};

void services_adopt(struct control *c, struct mail_console *m)
{
    console_adopt(c->console, m->conn, text_of(m->user), text_of(m->app), m->admin,
                  text_n(m->early, m->n_early));
}

void services_cancel(struct control *c, const struct mail_console_cancel *m)
{
    if (m->n == CANCEL_KEY_SHORT)
        console_cancel(c->console, (const unsigned char *)m->key);
    takeover_cancel(c->takeover, text_n(m->key, m->n));
}

/* ---- what the metrics ask of main ---- */

static bool reload_state(void *arg, usec_t *at)
{
    const struct control *c = arg;

    *at = c->reload_at;
    return c->reload_ok;
}

static void tls_in_use(void *arg, const struct tls_ctx *tls[TLS_USES])
{
    const struct control *c = arg;

    tls[TLS_CLIENTS] = c->client_tls;
    tls[TLS_SERVERS] = c->server_tls;
    tls[TLS_READERS] = c->metrics ? c->metrics_tls : NULL;
}

static const struct tls_ctx *metrics_tls(void *arg)
{
    return ((const struct control *)arg)->metrics_tls;
}

static const struct metrics_ops metrics_ops = {
    .setup = present_setup,
    .http_tls = metrics_tls,
    .reload = reload_state,
    .tls = tls_in_use,
};

static const struct watch_ops watch_ops = {
    .setup = present_setup,
    .reload = reload_state,
    .tls = tls_in_use,
};

void services_probe(struct control *c, struct mail_probe *m)
{
    bool was_up = backends_up(&c->backends, m->backend); /* each change is said once */

    if (was_up && !m->row.ok)
        log_warn(&c->log, "probe of %s failed: %s", m->backend, m->text);
    else if (!was_up && m->row.ok)
        log_info(&c->log, "probe of %s works again", m->backend);
    m->row.backend = m->backend;
    backends_put(&c->backends, &m->row, c->setup->g.probe_interval);
}

/* ---- PAUSE by signal ---- */

static void close_idle(struct engine *e, void *arg)
{
    (void)arg;
    engine_close_idle(e, TEXT(""));
}

static void go_on(struct engine *e, void *arg)
{
    (void)arg;
    engine_resume(e, TEXT(""));
}

void services_pause(struct control *c, bool pause)
{
    if (!pause)
        console_go_on(c->console);
    /* without memory the workers' own ticks and releases come to it, later */
    if (!hub_call(&c->hub, pause ? close_idle : go_on, NULL, NULL))
        log_error(&c->log, "%s: out of memory", pause ? "pause" : "resume");
}

/* ---- start, tick, stop ---- */

bool services_start(struct control *c, struct err *e)
{
    const struct settings *g = &c->setup->g;
    struct metrics_opts o = {
        .listen_addr = g->metrics_listen_addr,
        .port = (int)g->metrics_port,
        .fd = c->notify.metrics >= 0 ? c->notify.metrics : takeover_metrics(c->takeover),
        .backends = &c->backends,
        .ops = &metrics_ops,
        .arg = c,
    };

    c->watch = watch_new(&c->hub, &c->log, &c->backends, &watch_ops, c);
    if (!c->watch)
        return err_set(e, "cannot set up history and alerts: out of memory");
    o.watch = c->watch;
    c->console = console_new(&c->hub, &c->loop, &console_ops, c);
    if (!c->console)
        return err_set(e, "cannot set up the console: out of memory");
    if (g->metrics_port == 0 && o.fd < 0)
        return true;
    c->notify.metrics = -1; /* the service's now */
    c->metrics = metrics_new(&c->hub, &c->loop, &o, e);
    return c->metrics != NULL;
}

void services_stop(struct control *c)
{
    console_free(c->console);
    metrics_free(c->metrics);
    watch_free(c->watch);
    c->console = NULL;
    c->metrics = NULL;
    c->watch = NULL;
    backends_release(&c->backends);
}

void services_go_on(struct control *c)
{
    console_go_on(c->console);
}

int services_metrics_fd(const struct control *c)
{
    return c->metrics ? metrics_fd(c->metrics) : -1;
}

void services_leave(struct control *c)
{
    if (c->metrics)
        metrics_leave(c->metrics);
}

void services_second(struct control *c)
{
    watch_second(c->watch);
    console_tick(c->console);
    log_second(&c->log);
    if (c->metrics)
        metrics_second(c->metrics);
}
