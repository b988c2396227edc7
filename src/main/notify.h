/* SPDX-License-Identifier: ISC */
/*
 * systemd's notification protocol (sd_notify(3)) and socket activation (sd_listen_fds(3)), without
 * its library: datagrams with lines of text to the Unix socket that $NOTIFY_SOCKET names, and
 * descriptors from 3 on. Everything on the control thread.
 */
#ifndef MAIN_NOTIFY_H
#define MAIN_NOTIFY_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ACTIVATED_MAX 64

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un to;
    socklen_t len;
    usec_t watchdog; /* how often we must say that we live; 0 = need not */
    usec_t pinged;
    char status[160];           /* as sent last */
    int sockets[ACTIVATED_MAX]; /* for clients, made by systemd */
    int n_sockets;
    int metrics; /* for HTTP (named "metrics" there); -1: none */
};

/* Reads the environment and removes what it understood from it, before threads are started and
 * before the process goes to the background. A variable that makes no sense is as if it were not
 * there; more than ACTIVATED_MAX sockets: false, e. */
bool notify_init(struct notify *n, struct err *e);
/* One message, lines separated by newlines (READY=1 ...). Nothing happens when nobody listens. */
void notify_send(const struct notify *n, const char *text);
/* READY=1; pid: MAINPID too, because it is not the process that was started. */
void notify_ready(const struct notify *n, bool pid);
/* RELOADING=1, with the time that Type=notify-reload wants; READY=1 must follow. */
void notify_reloading(const struct notify *n);
/* STATUS=text, when it is another one than before. */
void notify_status(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Is it time to show that the process lives? notify_ping then does. */
bool notify_due(const struct notify *n, usec_t now);
void notify_ping(struct notify *n, usec_t now);
/* Closes the socket and descriptors that nobody took. */
void notify_release(struct notify *n);

#endif
