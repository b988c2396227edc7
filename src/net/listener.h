/* SPDX-License-Identifier: ISC */
/* Listening sockets: TCP addresses and a Unix socket; accepting in the control loop. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/conn.h"

struct listener_opts {
    const char *listen_addr; /* "", "*", comma list of addresses */
    int port, backlog;
    const char *unix_dir; /* "" = none; "@x" abstract */
    int unix_mode;
    uid_t unix_owner;       /* who the process will be; 0 = leave */
    const char *unix_group; /* "" = leave */
    bool reuseport;
    int defer_accept; /* seconds the kernel holds a connection back until its first bytes come; 0 =
                         no */
    /* Sockets made by systemd: used instead of addresses and Unix socket; they become the set's. */
    const int *activated;
    int n_activated;
    /* Sockets of a predecessor: used where they listen at a wanted address; those that were taken
     * become -1. */
    int *inherited;
    int n_inherited;
};

struct listeners;
/* Binds everything or nothing; e names the address and the reason ("cannot listen on
 * 127.0.0.1/6432: Address already in use"). accepted(arg, fd, is_unix) gets each nonblocking,
 * close-on-exec socket. */
struct listeners *listeners_open(struct loop *l, const struct listener_opts *o,
                                 void (*accepted)(void *arg, int fd, bool is_unix), void *arg,
                                 struct err *e) MUST_CHECK;
/* Stops and restarts accepting (out of descriptors, pause). When accept says EMFILE/ENFILE it
 * pauses itself 100 ms. */
void listeners_pause(struct listeners *ls, bool pause);
/* Takes no new connections over TCP, but accepts those that have begun to connect; closes the
 * sockets a moment later (systemd's at once: their queue is systemd's). */
void listeners_close_tcp(struct listeners *ls);
/* Is that moment not over? */
bool listeners_draining(const struct listeners *ls);
/* The descriptors of all sockets, for a successor; returns how many, at most max. */
int listeners_fds(const struct listeners *ls, int *fds, int max);
/* Closes our descriptors of them, without unlinking: they are somebody else's now. */
void listeners_leave(struct listeners *ls);
/* Closes all (unlinks the Unix socket). */
void listeners_close(struct listeners *ls);
/* The one of n descriptors that listens at an address, which is replaced by -1; -1 = none. */
int listener_take(int *fds, int n, const struct sockaddr *want, socklen_t len);

#endif
