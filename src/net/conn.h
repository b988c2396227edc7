/* SPDX-License-Identifier: ISC */
/*
 * One stream socket in a loop, plain or TLS. Input is shown to the handler where it was read (the
 * loop's scratch buffer); what the handler does not consume is kept and shown again in front of the
 * next bytes. Output is queued as slices of the sender's memory and written by one writev (or one
 * TLS write) when the input handler returns; what the socket does not take is copied. An idle
 * connection holds no buffer.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/list.h"
#include "net/tls.h"
#include "net/worker.h"

#include <sys/socket.h>

struct conn;

enum conn_end { CONN_EOF, CONN_ERROR };

struct conn_handler {
    /* n > 0 bytes at data (writable by the handler: bytes may be edited in place). Returns how many
     * were consumed; the rest is kept (copied once) and shown again together with later bytes, at
     * the earliest when at least one more byte has arrived or conn_reshow was called. Called until
     * EAGAIN, `loopcnt` times at most per readiness. */
    size_t (*input)(void *owner, char *data, size_t n);
    /* Output that had been kept because the socket was full is gone. */
    void (*drained)(void *owner);
    /* The peer closed, or the socket failed (text valid during the call). No further callbacks; the
     * owner must still call conn_close. Not called for conn_close itself. Unread kept input is
     * lost. */
    void (*ended)(void *owner, enum conn_end why, const char *text);
    /* conn_connect finished, or a TLS handshake did. ok=false: text says why. */
    void (*connected)(void *owner, bool ok, const char *text);
    void (*secured)(void *owner, bool ok, const char *text);
};

struct transport;

struct conn {
    struct loop *loop; /* NULL while detached */
    int fd;
    int write_errno; /* why writing failed; 0 = it did not. Told by ended() at the end of the turn
                      */
    struct tls *tls; /* NULL: plain */
    const struct transport *io;
    const struct conn_handler *handler;
    void *owner;
    struct buf in;      /* input not consumed yet */
    struct buf out;     /* output the socket did not take (TLS: records) */
    struct outq *queue; /* slices of this turn, borrowed */
    struct list dirty;  /* in loop.dirty */
    struct list turn;   /* in loop.turn or loop.again */
    struct list dead;   /* in loop.dead or loop.linger */
    struct event *rd, *wr;
    usec_t linger_until; /* lingering: when to give up */
    bool paused, held, connecting, handshaking, closed, ended, in_input;
    bool rd_armed, wr_armed, connect_now, reshow, lingering, last_words;
    uint64_t rx, tx;                     /* bytes, without TLS overhead */
    struct sockaddr_storage peer, local; /* filled by adopt and connect; ss_family 0 = unknown */
};

/* Takes over a connected nonblocking socket (fd is closed by conn_close, also on failure). Reading
 * starts at once. NULL: out of memory. */
struct conn *conn_adopt(struct loop *l, int fd, const struct conn_handler *h,
                        void *owner) MUST_CHECK;
/* Starts connecting; `connected` tells, never before this returns. NULL: e (no descriptor, no
 * memory, bad address, refused at once). */
struct conn *conn_connect(struct loop *l, const struct sockaddr *to, socklen_t len,
                          const struct conn_handler *h, void *owner, struct err *e) MUST_CHECK;

/* Starts a TLS handshake as server or client; `secured` tells; its text is the bare
 * reason (OpenSSL's, a verification result, a system error). What was queued before goes
 * out in clear first. host (client): for SNI and verify-full, a name or a numeric address; may be
 * NULL unless verify-full. false: e, the conn is as before. For a server, `early` bytes already
 * read are refused by the caller before (nothing may be in c->in: CHECK). ctx is referenced. */
bool conn_tls_accept(struct conn *c, struct tls_ctx *ctx, struct err *e);
/* The same for a client that began the handshake without asking: the n bytes at p are its first
 * records (copied). */
bool conn_tls_accept_direct(struct conn *c, struct tls_ctx *ctx, const char *p, size_t n,
                            struct err *e);
bool conn_tls_connect(struct conn *c, struct tls_ctx *ctx, const char *host, struct err *e);

/* Queues bytes that stay valid until the current input handler's caller flushes (or conn_flush). */
void conn_write(struct conn *c, const void *p, size_t n);
/* Queues a copy. */
void conn_write_copy(struct conn *c, const void *p, size_t n);
/* Writes what is queued now. Normally done by the loop after each input handler, timer, mail and
 * tick. */
void conn_flush(struct conn *c);
/* Writes all dirty conns of the loop; the loop calls it, and whoever runs outside of its callbacks.
 */
void loop_flush(struct loop *l);
/* Is output being kept because the socket is full? (senders should pause their sources) */
static inline bool conn_blocked(const struct conn *c)
{
    return c->out.n > c->out.off;
}
/* Bytes kept. */
static inline size_t conn_backlog(const struct conn *c)
{
    return buf_len(&c->out);
}

/* Stops and restarts reading (nothing is lost). Resume shows kept input again at the end of the
 * turn. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
/* The same for whole loops, apart from pauses: reading goes on when it is neither paused nor held.
 * New connections of a loop that is held (loop.held) are held too. */
void conn_hold(struct conn *c, bool hold);
/* Asks that kept input be shown again at the end of this turn. */
void conn_reshow(struct conn *c);

/* Moves a connection between loops: detach on the old thread (not connecting or handshaking:
 * CHECK), attach on the new one. Queued output is written or taken along, kept input too; but
 * detached inside its own input handler, the bytes shown there are the caller's to save, and after
 * detach nothing of the conn may be touched once another thread knows it. attach: false = no memory
 * (the conn stays detached; conn_close frees it). A pause ends. */
void conn_detach(struct conn *c);
bool conn_attach(struct conn *c, struct loop *l, const struct conn_handler *h,
                 void *owner) MUST_CHECK;
/* Other handler and owner, same loop. Inside the input handler: what it leaves is shown to the new
 * one when more comes, or on conn_reshow. */
void conn_handover(struct conn *c, const struct conn_handler *h, void *owner);

/* Writes what is queued once more, as far as the socket takes it, sends TLS close_notify, closes
 * the socket, drops buffers and frees the conn at the end of the turn. No callback follows. */
void conn_close(struct conn *c);
/* As conn_close, but keeps writing the kept output for at most `us` microseconds before the socket
 * is closed (error messages to clients that read slowly), then shuts the sending side and throws
 * input away until the peer closes too, so that the message is not lost to a reset. The conn may
 * not be used any more. */
void conn_close_after_flush(struct conn *c, usec_t us);

/* Is the socket still open with nothing to read? (a look with MSG_PEEK, for idle servers) */
bool conn_alive(const struct conn *c);

/* Address of the socket in a directory that PostgreSQL's programs use for the port ("@dir":
 * abstract). false: the path is too long. */
bool sockaddr_unix(const char *dir, int port, struct sockaddr_storage *out, socklen_t *len);
/* Of an IPv4 or IPv6 address; nothing for others. */
void sockaddr_set_port(struct sockaddr_storage *ss, int port);
/* Textual address "127.0.0.1", port; for Unix sockets "unix" and 0. out is NUL-terminated. */
void sockaddr_text(const struct sockaddr_storage *ss, char *out, size_t size, int *port);

/* The process at the other end of a Unix socket; 0: not known. */
uint32_t sock_peer_pid(int fd);

/* Socket options from the configuration. */
struct sock_opts {
    bool keepalive;
    int keepcnt, keepidle, keepintvl, user_timeout_ms, buffer;
};
void sock_tune(int fd, const struct sock_opts *o);

#endif
