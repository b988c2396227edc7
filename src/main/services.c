/* SPDX-License-Identifier: ISC */
/* The control thread's services: console and metrics. */
#include "main/console_glue.h"

#include "console/console.h"

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
        control_shutdown(arg, mode == SHUTDOWN_WAIT_SERVERS ? SHUTDOWN_WHEN_SERVERS_LEFT : SHUTDOWN_WHEN_CLIENTS_LEFT);
}

static const struct setup *present_setup(void *arg)
{
    return ((struct control *)arg)->setup;
}

static const struct console_ops console_ops = {
    .reload = do_reload,
    .set = do_set,
    .shutdown = do_shutdown,
    .setup = present_setup,
};

void services_adopt(struct control *c, struct mail_console *m)
{
    console_adopt(c->console, m->conn, text_of(m->user), m->admin, text_n(m->early, m->n_early));
}

void services_probe(struct control *c, struct mail_probe *m)
{
    (void)c;
    (void)m;
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
    hub_call(&c->hub, pause ? close_idle : go_on, NULL, NULL);
}

/* ---- start, tick, stop ---- */

bool services_start(struct control *c, struct err *e)
{
    c->console = console_new(&c->hub, &c->loop, &console_ops, c);
    if (!c->console)
        return err_set(e, "cannot set up the console: out of memory");
    return true;
}

void services_stop(struct control *c)
{
    console_free(c->console);
    c->console = NULL;
}

void services_second(struct control *c)
{
    console_tick(c->console);
}
