/* SPDX-License-Identifier: ISC */
/*
 * A loop: one thread with its event base, mailbox, clock, scratch buffers and log. Query workers and the control
 * thread are both loops. Everything reached from a loop belongs to its thread.
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/slab.h"

#include <pthread.h>

struct event_base;
struct event;
struct evdns_base;

#define LOOP_SCRATCH 65536 /* bytes read from a socket at once */
#define LOOP_STACK (64 << 20)

struct loop_handler {
    /* A mail that arrived; the handler owns it. */
    void (*mail)(void *owner, struct mail *m);
    /* Every tick_ms (if > 0). */
    void (*tick)(void *owner);
    /* Once, on the loop's own thread before the first event, and after the last. May be NULL. */
    void (*begin)(void *owner);
    void (*end)(void *owner);
};

struct loop {
    int id; /* 0.. for workers, -1 for control */
    pthread_t thread;
    struct event_base *base;
    struct evdns_base *dns; /* made on first use by net/resolver */
    struct mailbox box;
    usec_t now;             /* refreshed at the top of each loop turn */
    char *scratch;          /* LOOP_SCRATCH bytes: socket input, valid until the input handler's caller flushes */
    struct buf tls_out;     /* gathers slices for one TLS write */
    struct list dirty;      /* conns with queued slices (conn.dirty) */
    struct list dead;       /* conns to free at the end of the turn (conn.dead) */
    struct slab conns, outqs;
    struct log *log;
    const struct loop_handler *handler;
    void *owner;
    struct event *ev_mail, *ev_tick, *ev_turn;
    _Atomic int load;       /* connections dealt to it, for the acceptor */
    _Atomic uint64_t turns; /* finished loop turns */
    _Atomic uint64_t busy_us;
    int loopcnt;            /* sbuf_loopcnt: reads per readiness event */
};

/* Sets the loop up (no thread yet). tick_ms 0 = no tick. false: out of memory or descriptors (errno). */
bool loop_init(struct loop *l, int id, struct log *log, const struct loop_handler *h, void *owner, int tick_ms);
/* Runs on the calling thread until loop_stop. */
void loop_run(struct loop *l);
/* Starts a thread with a LOOP_STACK stack, all signals blocked, named `name`, and runs the loop there. */
bool loop_start(struct loop *l, const char *name);
void loop_join(struct loop *l);
/* Any thread: the loop ends after the current turn. */
void loop_stop(struct loop *l);
/* Frees everything; all conns must be closed. */
void loop_release(struct loop *l);

/* Posts a mail to the loop; any thread. */
void loop_post(struct loop *l, struct mail *m);

/* A one-shot timer embedded in its owner; own thread only. */
struct loop_timer {
    struct event *ev;
    void (*fire)(void *arg);
    void *arg;
};
bool loop_timer_init(struct loop_timer *t, struct loop *l, void (*fire)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, usec_t after_us);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_release(struct loop_timer *t);

/* Runs fn once at the end of the current turn (after flushes), own thread only. */
struct loop_later {
    struct list node;
    void (*fn)(void *arg);
    void *arg;
};

#endif
