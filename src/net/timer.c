/* SPDX-License-Identifier: ISC */
/* One-shot timers of a loop. */
#include "net/conn_int.h"
#include "net/worker.h"

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *t = arg;
    struct loop *l = t->loop;
    (void)fd;
    (void)what;
    loop_enter(l);
    t->fire(t->arg); /* may release t */
    loop_leave(l);
}

bool loop_timer_init(struct loop_timer *t, struct loop *l, void (*fire)(void *arg), void *arg)
{
    *t = (struct loop_timer){ .loop = l, .fire = fire, .arg = arg };
    t->ev = event_new(l->base, -1, 0, on_timer, t);
    return t->ev != NULL;
}

void loop_timer_set(struct loop_timer *t, usec_t after_us)
{
    struct timeval tv = { (time_t)(after_us / USEC_PER_SEC),
                          (suseconds_t)(after_us % USEC_PER_SEC) };
    event_add(t->ev, &tv);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->ev)
        event_del(t->ev);
}

void loop_timer_release(struct loop_timer *t)
{
    if (t->ev)
        event_free(t->ev);
    t->ev = NULL;
}
