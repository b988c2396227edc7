/* SPDX-License-Identifier: ISC */
/* What the files of net/ share about a conn; nobody else includes this. */
#ifndef NET_CONN_INT_H
#define NET_CONN_INT_H

#include "net/conn.h"

#include <event2/event.h>
#include <sys/types.h>
#include <sys/uio.h>

#define OUTQ_SLICES 64   /* slices of one writev */
#define OUTQ_COPY 8192   /* bytes of copies in one queue */
#define OUTQ_SPARES 32   /* queues kept for reuse, per loop */
#define TLS_RECORD 16384 /* plain bytes of a full record */

/* Output of one conn in one turn. */
struct outq {
    struct outq *next; /* spare ones */
    int n;
    size_t copied;
    struct iovec v[OUTQ_SLICES];
    char copy[OUTQ_COPY];
};

enum { IO_EOF = 0, IO_FAILED = -1, IO_AGAIN = -2 };

/* How bytes get in and out. */
struct transport {
    /* Bytes read (> 0; fewer than room: nothing more for now), or IO_EOF, IO_AGAIN, IO_FAILED. */
    ssize_t (*read)(struct conn *c, char *to, size_t room);
    /* Writes, and keeps in c->out what the socket does not take; a failure goes to
     * conn_write_failed. */
    void (*write)(struct conn *c, const struct iovec *v, int n);
    /* Can read() give something without the socket becoming readable? */
    bool (*pending)(const struct conn *c);
    /* Why read() failed; buf for use. */
    const char *(*why)(const struct conn *c, char *buf, size_t size);
    /* Says goodbye, into c->out. */
    void (*shut)(struct conn *c);
    void (*free)(struct conn *c);
};
extern const struct transport transport_raw, transport_tls;

/* Result of a handshake step: 1 done, 0 goes on, -1 failed (transport_tls.why tells). */
int tls_handshake(struct conn *c);
/* New state for a conn; t->ctx referenced. NULL with e. */
struct tls *tls_new(struct conn *c, struct tls_ctx *ctx, bool server, const char *host,
                    struct err *e);
/* Records that were read before the handshake was begun. false: out of memory. */
bool tls_feed(struct tls *t, const char *p, size_t n);
/* The connection, once its handshake is over, is one of its loop now, or (more false) not any
 * more. */
void tls_count(const struct tls *t, bool more);
void tls_free(struct tls *t);

/* Text of an errno, thread-safe. */
const char *errno_text(int err, char *buf, size_t size);

/* conn.c */
/* Something is to be done for the conn at the end of the turn / in the next turn. */
void conn_turn_add(struct conn *c);
void conn_again_add(struct conn *c);
/* Does it. */
void conn_turn(struct conn *c);
/* Gives back the memory of a dead conn. */
void conn_free(struct conn *c);
/* Ends a lingering conn. */
void conn_linger_end(struct conn *c);
void conn_connected(struct conn *c, int err);
void conn_linger_step(struct conn *c);

/* conn_out.c */
void conn_on_writable(evutil_socket_t fd, short what, void *arg);
void conn_arm_write(struct conn *c);
void conn_disarm_write(struct conn *c);
void conn_write_failed(struct conn *c, int err);
/* Sends p on the plain socket; what it does not take goes to c->out. */
void conn_send_raw(struct conn *c, const char *p, size_t n);
/* Sends kept output once; false when the socket failed (conn_write_failed was called). */
bool conn_send_kept(struct conn *c);
/* Forgets what is queued. */
void conn_drop_queue(struct conn *c);
void outq_free_spares(struct loop *l);

/* loop.c */
/* Makes sure that a turn ends soon: for calls from outside of the loop's callbacks, and for
 * `again`. */
void loop_kick(struct loop *l);

#endif
