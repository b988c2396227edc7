/* SPDX-License-Identifier: ISC */
/* The loop: set-up, thread, mail and tick, and what happens at the end of a turn. */
#include "net/worker.h"

#include "base/check.h"
#include "base/thread.h"
#include "net/conn_int.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TURN_ROUNDS                                                                                \
    16 /* how often work found at the end of a turn may lead to more in the same turn */
#define LOOPCNT_DEFAULT 5

static void note_busy(struct loop *l)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0)
        atomic_store_explicit(&l->busy_us,
                              (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000,
                              memory_order_relaxed);
}

/* libevent sets the timer to times that follow one another, or begins anew when it is a whole
 * period behind. One that comes early shows that the last one was late. */
static void note_lag(struct loop *l)
{
    usec_t due = l->tick_at, now = l->now, late = now > due ? now - due : 0;

    if (due)
        stat_observe(&l->lag, late);
    l->tick_at = (!due || now < due || late > l->tick_every ? now : due) + l->tick_every;
}

/* Moves all nodes of `from` to the end of `to`. */
static void list_take(struct list *to, struct list *from)
{
    struct list *n;
    while ((n = list_pop(from)))
        list_push_tail(to, n);
}

static void run_conns(struct loop *l)
{
    struct list batch, *n;
    list_init(&batch);
    list_take(&batch, &l->turn);
    while ((n = list_pop(&batch))) {
        conn_turn(LIST_ENTRY(n, struct conn, turn));
        loop_flush(l);
    }
}

static void run_later(struct loop *l)
{
    struct list batch, *n;
    list_init(&batch);
    list_take(&batch, &l->later);
    while ((n = list_pop(&batch))) {
        struct loop_later *x = LIST_ENTRY(n, struct loop_later, node);
        x->fn(x->arg);
        loop_flush(l);
    }
}

static void end_of_turn(struct loop *l)
{
    loop_flush(l);
    for (int round = 0; !list_empty(&l->turn) || !list_empty(&l->later); round++) {
        if (round == TURN_ROUNDS) {
            loop_kick(l);
            break;
        }
        run_conns(l);
        run_later(l);
    }
    struct list *n;
    while ((n = list_pop(&l->dead)))
        conn_free(LIST_ENTRY(n, struct conn, dead));
}

void loop_enter(struct loop *l)
{
    if (l->depth++ == 0)
        l->now = clock_mono_us();
}

void loop_leave(struct loop *l)
{
    CHECK(l->depth > 0);
    if (l->depth > 1) {
        l->depth--;
        return;
    }
    end_of_turn(l);
    l->depth = 0;
    uint64_t turns = atomic_load_explicit(&l->turns, memory_order_relaxed) + 1;
    atomic_store_explicit(&l->turns, turns, memory_order_relaxed);
    if (turns % LOOP_BUSY_EVERY == 0)
        note_busy(l);
}

void loop_kick(struct loop *l)
{
    static const struct timeval at_once = { 0, 0 };
    if (!evtimer_pending(l->ev_turn, NULL))
        event_add(l->ev_turn, &at_once);
}

void loop_later_init(struct loop_later *x, void (*fn)(void *arg), void *arg)
{
    *x = (struct loop_later){ .fn = fn, .arg = arg };
    list_init(&x->node);
}

void loop_later_set(struct loop *l, struct loop_later *x)
{
    if (list_linked(&x->node))
        return;
    list_push_tail(&l->later, &x->node);
    if (l->depth == 0)
        loop_kick(l);
}

void loop_later_stop(struct loop_later *x)
{
    list_del(&x->node);
}

static void take_mails(struct loop *l)
{
    struct mail *m = mailbox_take(&l->box);
    while (m) {
        struct mail *next = m->next;
        m->next = NULL;
        l->handler->mail(l->owner, m);
        loop_flush(l);
        m = next;
    }
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    (void)fd;
    (void)what;
    loop_enter(l);
    take_mails(l);
    loop_leave(l);
    if (atomic_load_explicit(&l->stop, memory_order_acquire))
        event_base_loopbreak(l->base);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    (void)fd;
    (void)what;
    loop_enter(l);
    note_busy(l);
    note_lag(l);
    l->handler->tick(l->owner);
    loop_leave(l);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    (void)fd;
    (void)what;
    loop_enter(l);
    list_take(&l->turn, &l->again);
    loop_leave(l);
}

static struct event_base *make_base(void)
{
    struct event_config *cfg = event_config_new();
    if (!cfg)
        return NULL;
    /* No locks: a base belongs to one thread, others knock through the mailbox. */
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
    /* no EPOLL_USE_CHANGELIST: a descriptor must be out of epoll before it is closed, because
     * another thread's accept may get its number at once */
    struct event_base *base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    return base;
}

static bool make_events(struct loop *l, int tick_ms)
{
    l->ev_mail = event_new(l->base, l->box.fd, EV_READ | EV_PERSIST, on_mail, l);
    l->ev_turn = event_new(l->base, -1, 0, on_turn, l);
    if (!l->ev_mail || !l->ev_turn || event_add(l->ev_mail, NULL) != 0)
        return false;
    if (tick_ms <= 0)
        return true;
    struct timeval every = { tick_ms / 1000, tick_ms % 1000 * 1000 };
    l->tick_every = (usec_t)tick_ms * USEC_PER_MSEC;
    l->ev_tick = event_new(l->base, -1, EV_PERSIST, on_tick, l);
    return l->ev_tick && event_add(l->ev_tick, &every) == 0;
}

bool loop_init(struct loop *l, int id, struct log *log, const struct loop_handler *h, void *owner,
               int tick_ms)
{
    *l = (struct loop){ .id = id, .log = log, .handler = h, .owner = owner };
    l->loopcnt = LOOPCNT_DEFAULT;
    l->at_once = LOOP_SCRATCH;
    struct list *const lists[] = { &l->dirty, &l->turn,   &l->again,      &l->later,
                                   &l->dead,  &l->linger, &l->dns_orphans };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        list_init(lists[i]);
    l->now = clock_mono_us();
    l->box.fd = -1;
    l->scratch = malloc(LOOP_SCRATCH);
    if (l->scratch && mailbox_init(&l->box)) {
        errno = 0;
        l->base = make_base();
        if (l->base && make_events(l, tick_ms))
            return true;
    }
    int err = errno ? errno : ENOMEM;
    loop_release(l);
    errno = err;
    return false;
}

static void end_lingering(struct loop *l)
{
    struct list *n;
    while ((n = list_first(&l->linger)))
        conn_linger_end(LIST_ENTRY(n, struct conn, dead));
}

void loop_run(struct loop *l)
{
    loop_enter(l);
    if (l->handler->begin)
        l->handler->begin(l->owner);
    loop_leave(l);
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
    loop_enter(l);
    take_mails(l);
    if (l->handler->end)
        l->handler->end(l->owner);
    loop_flush(l);
    end_lingering(l);
    loop_leave(l);
}

static void *thread_main(void *arg)
{
    struct loop *l = arg;
    loop_run(l);
    return NULL;
}

bool loop_start(struct loop *l, const char *name)
{
    int err = thread_start(&l->thread, LOOP_STACK, thread_main, l);
    if (err != 0) {
        errno = err;
        return false;
    }
    char brief[16]; /* the kernel's limit */
    snprintf(brief, sizeof(brief), "%s", name);
    pthread_setname_np(l->thread, brief);
    return true;
}

void loop_join(struct loop *l)
{
    int err = pthread_join(l->thread, NULL);
    CHECK(err == 0);
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stop, true, memory_order_release);
    uint64_t one = 1;
    while (write(l->box.fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void loop_post(struct loop *l, struct mail *m)
{
    mailbox_post(&l->box, m);
}

static void free_event(struct event **ev)
{
    if (*ev)
        event_free(*ev);
    *ev = NULL;
}

static void free_orphans(struct loop *l)
{
    struct list *n;
    while ((n = list_pop(&l->dns_orphans)))
        free(n);
}

void loop_release(struct loop *l)
{
    if (l->base) {
        end_lingering(l);
        loop_enter(l);
        loop_leave(l);
    }
    free_event(&l->ev_mail);
    free_event(&l->ev_tick);
    free_event(&l->ev_turn);
    if (l->dns) {
        /* Look-ups that were under way report into the void; libevent frees them in its next turn.
         */
        evdns_base_free(l->dns, 1);
        event_base_loop(l->base, EVLOOP_NONBLOCK);
        event_base_loop(l->base, EVLOOP_NONBLOCK);
        l->dns = NULL;
    }
    if (l->base)
        event_base_free(l->base);
    l->base = NULL;
    free_orphans(l);
    mailbox_release(&l->box);
    outq_free_spares(l);
    buf_wipe(&l->tls_plain);
    buf_release(&l->tls_out);
    buf_release(&l->orphan);
    free(l->tls_in);
    free(l->scratch);
    l->tls_in = l->scratch = NULL;
}
