/* SPDX-License-Identifier: ISC */
/* The watch: when to look, and what to do with what was seen. */
#include "watch/watch.h"

#include "watch/observe.h"

#include <stdlib.h>

struct watch {
    struct hub *hub;
    const struct backends *backends;
    const struct watch_ops *ops;
    void *arg;
    struct history *history;
    struct alerts *alerts;
    struct cpu_use cpu;
    usec_t begun; /* of the last look, monotonic; 0 = none yet */
    usec_t last, last_wall;
    bool looking, dead;
};

static void release(struct watch *w)
{
    history_free(w->history);
    alerts_free(w->alerts);
    free(w);
}

struct watch *watch_new(struct hub *h, struct log *log, const struct backends *b,
                        const struct watch_ops *ops, void *arg)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->hub = h;
    w->backends = b;
    w->ops = ops;
    w->arg = arg;
    w->history = history_new(clock_mono_us());
    w->alerts = alerts_new(log);
    if (w->history && w->alerts)
        return w;
    release(w);
    return NULL;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    w->dead = true;
    if (!w->looking)
        release(w);
}

static void surveyed(void *arg, const struct survey *survey)
{
    struct watch *w = arg;

    w->looking = false;
    if (w->dead) {
        release(w);
        return;
    }
    const struct setup *setup = w->ops->setup(w->arg);
    if (!survey || !setup)
        return; /* out of memory: the next look comes */
    struct observed o = { .hub = w->hub,
                          .setup = setup,
                          .survey = survey,
                          .backends = w->backends,
                          .history = w->history,
                          .mono = clock_mono_us(),
                          .wall = clock_wall_us(),
                          .cpu = &w->cpu };
    usec_t at;
    o.reload_ok = w->ops->reload(w->arg, &at);
    w->ops->tls(w->arg, o.tls);
    history_look(w->history, w->hub, survey, o.mono, o.wall);
    observe(w->alerts, &o);
    w->last = o.mono;
    w->last_wall = o.wall;
}

void watch_second(struct watch *w)
{
    const struct setup *setup = w->ops->setup(w->arg);
    usec_t now = clock_mono_us(), every = setup ? setup->g.alert_interval : 0;

    /* the ticks do not come exactly on time */
    if (!every || w->looking || (w->begun && now - w->begun + USEC_PER_SEC / 2 < every))
        return;
    w->begun = now;
    w->looking = true;
    survey_run(w->hub, surveyed, w);
}

const struct history *watch_history(const struct watch *w)
{
    return w->history;
}

const struct alerts *watch_alerts(const struct watch *w)
{
    return w->alerts;
}

usec_t watch_last(const struct watch *w, usec_t *wall)
{
    *wall = w->last_wall;
    return w->last;
}
