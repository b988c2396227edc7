/* SPDX-License-Identifier: ISC */
/*
 * The control thread: configuration, listeners, engines, signals, console, metrics, and the thread
 * that asks databases for their catalogs. Started and stopped step by step; each step has a name.
 */
#ifndef MAIN_CONTROL_H
#define MAIN_CONTROL_H

#include "main/notify.h"
#include "main/options.h"
#include "net/listener.h"
#include "session/engine.h"
#include "watch/backends.h"

struct catalogd;
struct lookupd;
struct probed;
struct proofd;
struct takeover;
struct chore;
struct console;
struct metrics;
struct watch;

enum shutdown_mode { RUNNING, SHUTDOWN_WHEN_SERVERS_LEFT, SHUTDOWN_WHEN_CLIENTS_LEFT };

struct control {
    const struct options *options;
    struct log log;
    struct loop loop;
    struct setup *setup;         /* in force */
    uint64_t generation;         /* of the newest setup */
    struct setup_override *over; /* SETs since the start; keys and values are malloc'ed */
    int n_over;
    struct tls_ctx *client_tls, *server_tls, *metrics_tls; /* NULL: disabled */
    struct listeners *listeners;
    struct hub hub;
    struct catalogd *catalogd;
    struct lookupd *lookupd;
    struct probed *probed;
    struct proofd *proofd;
    struct chore *chore; /* DELETE or EXPORT TENANT under way, or NULL */
    struct console *console;
    struct metrics *metrics;
    struct watch *watch;
    struct backends backends; /* servers as probed */
    struct event *signals[8];
    int n_signals;
    struct takeover *takeover;
    struct notify notify;
    usec_t last_status;
    uint64_t seen_turns[MAX_WORKERS]; /* of the workers, when the watchdog was fed */
    enum shutdown_mode shutdown;
    usec_t shutdown_at;
    usec_t drain_until; /* clients are let go, at the latest then; 0 = not */
    usec_t drained_at;
    bool drain_asked;          /* workers look for clients to let go */
    _Atomic usec_t drain_idle; /* ... that have been idle for so long */
    usec_t last_second;
    usec_t last_probe, last_stats_line;
    bool reload_ok;      /* the last RELOAD worked */
    usec_t reload_at;    /* wall clock of the last one that did */
    const char *pidfile; /* written by us; NULL = none */
    int exit_code;
};

/* Runs the pooler until it is told to stop; returns the process's exit code. */
int control_main(const struct options *o);

/* ---- for the files of this folder ---- */
/* Loads the configuration again and gives it to everybody. false: e; the old one stays. */
bool control_reload(struct control *c, struct err *e);
/* SET key = value. */
bool control_set(struct control *c, const char *key, struct text value, struct err *e);
/* How the log is written: verbosity, format, folding. */
void control_log(struct control *c, const struct settings *g);
/* TLS contexts of a setup; false: e. NULL contexts where TLS is disabled. The contexts in force
 * (NULL: none) lend keys whose files cannot be read any more. */
bool control_tls(const struct setup *s, const struct tls_ctx *client_was,
                 const struct tls_ctx *server_was, struct tls_ctx **client, struct tls_ctx **server,
                 struct err *e);
/* The same for the metrics service. */
bool control_metrics_tls(const struct setup *s, const struct tls_ctx *was, struct tls_ctx **metrics,
                         struct err *e);
/* Are the keys of signed tokens usable? false: e. */
bool control_tokens(const struct setup *s, struct err *e);
/* stopping.c. drain: clients are let go, if drain_timeout says so. A second time: at once. */
void control_shutdown(struct control *c, enum shutdown_mode mode, bool drain);
/* Another process has our sockets: serves those that are here until they have left. */
void control_handed_over(struct control *c);
/* Each tick: is it time to end? What does systemd want to know? */
void stopping_tick(struct control *c);
void control_notify(struct control *c);
void control_shutdown_now(struct control *c);
/* PAUSE and RESUME of everything (signals). */
void control_pause(struct control *c, bool pause);
/* Starts and ends console and metrics. */
bool services_start(struct control *c, struct err *e);
void services_stop(struct control *c);
void services_second(struct control *c);
/* The listening socket of the metrics, -1 = none; leave: it is another process's now. */
int services_metrics_fd(const struct control *c);
void services_leave(struct control *c);
extern const struct hub_calls control_hub_calls;

#endif
