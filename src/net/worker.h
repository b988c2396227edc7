/* SPDX-License-Identifier: ISC */
/*
 * A loop: one thread with its event base, mailbox, clock, scratch buffers and log. Query workers
 * and the control thread are both loops. Everything reached from a loop belongs to its thread.
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/stat.h"

#include <pthread.h>

struct event_base;
struct event;
struct evdns_base;

#define LOOP_SCRATCH 65536 /* bytes read from a socket at once */
#define LOOP_STACK (64 << 20)
#define LOOP_BUSY_EVERY 1024

struct loop_handler {
    /* A mail that arrived; the handler owns it. */
    void (*mail)(void *owner, struct mail *m);
    /* Every tick_ms (if > 0). */
    void (*tick)(void *owner);
    /* Once, on the loop's own thread before the first event, and after the last. May be NULL. */
    void (*begin)(void *owner);
    void (*end)(void *owner);
};

struct conn;
struct outq;

enum tls_failure {
    TLS_FAIL_CLOSED,      /* the peer closed the connection */
    TLS_FAIL_ALERT,       /* the peer refused ours: an alert */
    TLS_FAIL_CERTIFICATE, /* the peer's certificate does not hold, or there is none */
    TLS_FAIL_PROTOCOL,    /* no version or cipher in common, or it was not TLS */
    TLS_FAIL_SOCKET,      /* the network failed */
    TLS_FAIL_OTHER,
    TLS_FAIL_ABANDONED, /* we closed the connection first: a time limit, our end */
    TLS_FAILURES
};
#define TLS_VERSIONS 4 /* 1.0 to 1.3 */

/* Of the connections of a loop, by [is the peer the server?]. */
struct tls_counts {
    /* now; a connection may be counted in one loop and be taken off in another: only sums mean
     * something */
    stat_t open[2][TLS_VERSIONS];
    stat_t failed[2][TLS_FAILURES];
};

struct loop {
    int id; /* 0.. for workers, -1 for control */
    pthread_t thread;
    struct event_base *base;
    struct evdns_base *dns;  /* made on first use by net/resolver */
    struct list dns_orphans; /* look-ups whose resolver has gone */
    struct mailbox box;
    usec_t now;    /* refreshed at the start of each callback */
    char *scratch; /* LOOP_SCRATCH bytes: socket input, valid until the input handler's caller
                      flushes */
    char *tls_in;  /* LOOP_SCRATCH bytes: records as read from a socket, on first use */
    struct buf tls_plain; /* gathers small slices for one TLS record */
    struct buf tls_out;   /* records of one flush */
    struct list dirty;    /* conns with queued slices (conn.dirty) */
    struct list turn;     /* conns with something to do at the end of the turn (conn.turn) */
    struct list again;    /* conns with something to do in the next turn (conn.turn) */
    struct list later;    /* struct loop_later */
    struct list linger;   /* closed conns that still write (conn.dead) */
    struct list dead;     /* conns to free at the end of the turn (conn.dead) */
    bool held;            /* its connections are not read (conn_hold) */
    struct conn *showing; /* whose input handler runs */
    struct buf orphan;    /* kept input of a conn that was detached in its own input handler */
    struct outq *spare;   /* output queues for reuse */
    int n_spare;
    int depth; /* callbacks entered */
    struct log *log;
    const struct loop_handler *handler;
    void *owner;
    struct event *ev_mail, *ev_tick, *ev_turn;
    _Atomic bool stop;
    _Atomic int load;       /* connections dealt to it, for the acceptor */
    _Atomic uint64_t turns; /* finished callbacks */
    _Atomic uint64_t
        busy_us;    /* CPU time of the thread, refreshed each tick and each LOOP_BUSY_EVERY turns */
    usec_t tick_every, tick_at; /* the next tick is to come then */
    struct stat_hist lag;       /* how much later than that ticks came */
    struct tls_counts tls;
    int loopcnt;    /* sbuf_loopcnt: reads per readiness event; 0 = no limit */
    size_t at_once; /* bytes of one read (pkt_buf); loop_at_once */
};

/* Sets the loop up (no thread yet). tick_ms 0 = no tick. false: out of memory or descriptors
 * (errno). */
bool loop_init(struct loop *l, int id, struct log *log, const struct loop_handler *h, void *owner,
               int tick_ms);
/* How much is read from a connection and shown at once: pkt_buf where that is less than 4096. No
 * buffer belongs to an idle connection, so larger values save nothing: then it is what the scratch
 * holds. */
static inline void loop_at_once(struct loop *l, int64_t pkt_buf)
{
    l->at_once = pkt_buf > 0 && pkt_buf < 4096 ? (size_t)pkt_buf : LOOP_SCRATCH;
}
/* Runs on the calling thread until loop_stop. Mails that came before the end are still handed over;
 * then `end` is called. */
void loop_run(struct loop *l);
/* Starts a thread with a LOOP_STACK stack, all signals blocked, named `name`, and runs the loop
 * there. */
bool loop_start(struct loop *l, const char *name);
void loop_join(struct loop *l);
/* Any thread: the loop ends after the current turn. */
void loop_stop(struct loop *l);
/* Frees everything; all conns must be closed, the thread joined. The loop may not have run at all.
 */
void loop_release(struct loop *l);

/* Posts a mail to the loop; any thread. */
void loop_post(struct loop *l, struct mail *m);

/*
 * Brackets around work on the loop's thread that libevent calls directly (signal events, evhttp):
 * enter refreshes l->now; leave ends the turn: writes what is queued, shows kept input, runs
 * loop_later, frees closed conns. Mail, tick, timers and conns do it themselves. May be nested;
 * only the outermost leave does the work.
 */
void loop_enter(struct loop *l);
void loop_leave(struct loop *l);

/* A one-shot timer embedded in its owner; own thread only. */
struct loop_timer {
    struct event *ev;
    struct loop *loop;
    void (*fire)(void *arg);
    void *arg;
};
/* init: false when memory is short. set replaces an earlier time. fire may set, stop or release the
 * timer. release of a zeroed or released timer is fine. */
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
void loop_later_init(struct loop_later *x, void (*fn)(void *arg), void *arg);
/* Twice in one turn counts once. fn may set it again: it then runs in the same turn once more. */
void loop_later_set(struct loop *l, struct loop_later *x);
void loop_later_stop(struct loop_later *x);

#endif
