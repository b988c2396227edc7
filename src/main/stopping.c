/* SPDX-License-Identifier: ISC */
/* The end: at once, when servers are released, or when clients have left or were let go. */
#include "main/console_glue.h"
#include "main/control.h"
#include "main/takeover.h"

#include <stdlib.h>

#define DRAIN_EVERY (200 * USEC_PER_MSEC)
#define LOGIN_GRACE (3 * USEC_PER_SEC) /* for those accepted at the last moment */

static int64_t all_servers(struct control *c)
{
    int64_t n = 0;
    int pools;
    struct pool **p = registry_pools(&c->hub.registry, &pools);
    for (int i = 0; p && i < pools; i++)
        n += atomic_load(&p[i]->servers);
    free(p);
    return n;
}

void control_shutdown_now(struct control *c)
{
    log_info(&c->log, "shutting down");
    notify_send(&c->notify, "STOPPING=1");
    loop_stop(&c->loop);
}

void control_pause(struct control *c, bool pause)
{
    atomic_store(&c->hub.registry.paused, pause);
    services_pause(c, pause);
}

void control_shutdown(struct control *c, enum shutdown_mode mode, bool drain)
{
    usec_t limit = c->setup->g.drain_timeout;

    if (c->shutdown != RUNNING) {
        control_shutdown_now(c);
        return;
    }
    services_go_on(c);
    c->shutdown = mode;
    c->shutdown_at = c->loop.now;
    if (drain && limit)
        c->drain_until = c->loop.now + limit;
    atomic_store(&c->hub.registry.shutting_down, true);
    atomic_store(&c->hub.registry.admits_last, mode == SHUTDOWN_WHEN_CLIENTS_LEFT);
    notify_send(&c->notify, "STOPPING=1");
    if (c->listeners)
        listeners_close_tcp(c->listeners);
    if (mode == SHUTDOWN_WHEN_SERVERS_LEFT) {
        log_info(&c->log, "shutdown: waiting for servers to be released");
        control_pause(c, true);
    } else if (c->drain_until) {
        log_info(&c->log, "shutdown: letting clients go, for at most %llu s",
                 (unsigned long long)(limit / USEC_PER_SEC));
    } else {
        log_info(&c->log, "shutdown: waiting for clients to leave");
    }
}

void control_handed_over(struct control *c)
{
    atomic_store(&c->hub.registry.admits_last, true);
    if (c->listeners)
        listeners_leave(c->listeners);
    services_leave(c);
    c->pidfile = NULL; /* the successor's */
    atomic_store(&c->hub.registry.handed_over, true);
    if (c->shutdown == RUNNING)
        control_shutdown(c, SHUTDOWN_WHEN_CLIENTS_LEFT, true);
}

/* ---- letting go ---- */

static void drain_some(struct engine *e, void *arg)
{
    struct control *c = arg;
    engine_drain(e, atomic_load_explicit(&c->drain_idle, memory_order_relaxed));
}

static void drained(void *arg)
{
    ((struct control *)arg)->drain_asked = false;
}

/* First those that have been idle for a second: hardly anybody is about to use them. In the second
 * half of the time whoever is between transactions. */
static void drain_step(struct control *c)
{
    usec_t now = c->loop.now, half = (c->drain_until - c->shutdown_at) / 2;
    usec_t grace = half < USEC_PER_SEC ? half : USEC_PER_SEC;

    if (now >= c->drain_until) {
        log_info(&c->log, "drain_timeout is over, exiting with %lld clients",
                 (long long)quota_used(&c->hub.registry.clients));
        loop_stop(&c->loop);
        return;
    }
    if (c->drain_asked || now - c->drained_at < DRAIN_EVERY)
        return;
    c->drained_at = now;
    atomic_store_explicit(&c->drain_idle, now >= c->drain_until - half ? 0 : grace,
                          memory_order_relaxed);
    c->drain_asked = hub_call(&c->hub, drain_some, c, drained);
}

/* Connections that the workers have, those in login too. */
static bool nobody_comes(struct control *c)
{
    int n = 0;

    for (int i = 0; i < c->hub.n_engines; i++)
        n += atomic_load_explicit(&c->hub.engine[i]->loop.load, memory_order_relaxed);
    return !listeners_draining(c->listeners) &&
           (n == 0 || c->loop.now - c->shutdown_at > LOGIN_GRACE);
}

void stopping_tick(struct control *c)
{
    if (c->shutdown == SHUTDOWN_WHEN_CLIENTS_LEFT && quota_used(&c->hub.registry.clients) == 0 &&
        nobody_comes(c) && !takeover_has_predecessor(c->takeover)) {
        log_info(&c->log, "all clients have left, exiting");
        loop_stop(&c->loop);
    } else if (c->shutdown == SHUTDOWN_WHEN_SERVERS_LEFT && all_servers(c) == 0) {
        log_info(&c->log, "all servers are released, exiting");
        loop_stop(&c->loop);
    } else if (c->drain_until) {
        drain_step(c);
    }
}

/* ---- what systemd sees ---- */

static bool workers_live(struct control *c)
{
    bool live = true;

    for (int i = 0; i < c->hub.n_engines; i++) {
        uint64_t turns = atomic_load_explicit(&c->hub.engine[i]->loop.turns, memory_order_relaxed);
        live &= turns != c->seen_turns[i];
        c->seen_turns[i] = turns;
    }
    return live;
}

void control_notify(struct control *c)
{
    const struct registry *r = &c->hub.registry;

    if (notify_due(&c->notify, c->loop.now) && workers_live(c))
        notify_ping(&c->notify, c->loop.now);
    if (c->loop.now - c->last_status < 5 * USEC_PER_SEC)
        return;
    c->last_status = c->loop.now;
    notify_status(&c->notify, "%s, %lld clients",
                  c->shutdown == SHUTDOWN_WHEN_SERVERS_LEFT   ? "waiting for servers to be released"
                  : c->shutdown == SHUTDOWN_WHEN_CLIENTS_LEFT ? "waiting for clients to leave"
                  : atomic_load(&r->paused)                   ? "paused"
                                                              : "serving",
                  (long long)quota_used(&r->clients));
}
