/* SPDX-License-Identifier: ISC */
/*
 * The metrics service: HTTP on the control loop (libevent's evhttp). /metrics is Prometheus' text
 * format 0.0.4, /healthz (/livez) says that the process answers, /readyz that it takes clients.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "net/tls.h"
#include "session/engine.h"
#include "watch/backends.h"
#include "watch/watch.h"

/* What main knows; all called on the control thread. */
struct metrics_ops {
    const struct setup *(*setup)(void *arg); /* present one; NULL: none yet */
    /* What connections are made with now; NULL: without TLS. */
    const struct tls_ctx *(*http_tls)(void *arg);
    /* Did the last reload work, and when did one last (wall clock)? */
    bool (*reload)(void *arg, usec_t *at);
    void (*tls)(void *arg, const struct tls_ctx *tls[TLS_USES]); /* in use; NULL: none */
};

struct metrics_opts {
    const char *listen_addr; /* one address; "*" = all of IPv4 */
    int port;
    int fd; /* a listening socket to use instead, which becomes the service's; -1 = none */
    const struct backends *backends; /* as probed; must outlive the service */
    const struct watch *watch;       /* likewise */
    const struct metrics_ops *ops;   /* likewise */
    void *arg;
};

struct metrics;

/* Starts to listen. NULL: e says address, port and reason. */
struct metrics *metrics_new(struct hub *h, struct loop *control, const struct metrics_opts *o,
                            struct err *e) MUST_CHECK;
/* Closes all connections. A gathering under way still ends through hub_control_mail; the memory
 * goes with the last of them. NULL is fine. */
void metrics_free(struct metrics *m);
/* Once a second: accepts again after descriptors or memory were short. */
void metrics_second(struct metrics *m);

/* The listening socket. leave: accepts no more there and closes our descriptor. */
int metrics_fd(const struct metrics *m);
void metrics_leave(struct metrics *m);

#endif
