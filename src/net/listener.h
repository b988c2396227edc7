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
/* Closes TCP sockets only / all (unlinks the Unix socket). */
void listeners_close_tcp(struct listeners *ls);
void listeners_close(struct listeners *ls);

#endif
