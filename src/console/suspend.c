/* SPDX-License-Identifier: ISC */
/* SUSPEND: no socket is read, no connection accepted, until RESUME or the console leaves. */
#include "console/internal.h"

static void fn_hold(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)ask;
    engine_hold(e, true);
    part->count = engine_unflushed(e, false);
}

/* number: the time is over. */
static void fn_look(struct engine *e, struct ask *ask, struct ask_part *part)
{
    uint64_t n = engine_unflushed(e, ask->number);

    part->count = ask->number ? 0 : n;
}

static void done_look(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)ask;
    a->counting = false;
    if (a->canceled) {
        admin_poll(a);
        return;
    }
    if (!a->console->suspended)
        admin_error(a, "08P01", "SUSPEND was ended by RESUME");
    else if (sum == 0)
        admin_complete(a, TEXT("SUSPEND"));
    else
        console_wait(a->console);
}

void command_suspend(struct admin *a, const struct statement *st)
{
    struct console *c = a->console;

    (void)st;
    if (atomic_load(&c->hub->registry.shutting_down)) {
        admin_error(a, "08P01", "pooler is shutting down");
        return;
    }
    if (c->suspended || atomic_load(&c->hub->registry.paused)) {
        admin_error(a, "08P01", "already suspended/paused");
        return;
    }
    log_info(c->hub->log, "SUSPEND command issued");
    c->suspended = a;
    c->ops->accepting(c->arg, false);
    a->request_at = c->control->now;
    a->wait = WAIT_FLUSHED;
    a->counting = admin_ask(a, TEXT(""), 0, fn_hold, done_look);
    if (!a->counting)
        console_go_on(c);
}

void admin_suspend_poll(struct admin *a)
{
    usec_t limit = console_setup(a->console)->g.suspend_timeout;
    bool over = limit && a->console->control->now - a->request_at >= limit;

    a->counting = admin_ask(a, TEXT(""), over, fn_look, done_look);
}

static void go_on(struct engine *e, void *arg)
{
    (void)arg;
    engine_hold(e, false);
}

bool console_go_on(struct console *c)
{
    if (!c->suspended)
        return false;
    c->suspended = NULL;
    c->ops->accepting(c->arg, true);
    if (!hub_call(c->hub, go_on, NULL, NULL))
        log_error(c->hub->log, "out of memory: the pooler stays suspended, use RESUME");
    return true;
}
