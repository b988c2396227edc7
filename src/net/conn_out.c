/* SPDX-License-Identifier: ISC */
/* Output of a conn: slices queued during a callback, one write at its end, the rest kept until the
 * socket takes it. */
#include "net/conn_int.h"
#include "net/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct outq *outq_get(struct loop *l)
{
    struct outq *q = l->spare;
    if (q) {
        l->spare = q->next;
        l->n_spare--;
    } else {
        q = malloc(sizeof(*q));
        if (!q)
            return NULL;
    }
    q->next = NULL;
    q->n = 0;
    q->copied = 0;
    return q;
}

static void outq_put(struct loop *l, struct outq *q)
{
    if (l->n_spare >= OUTQ_SPARES) {
        free(q);
        return;
    }
    q->next = l->spare;
    l->spare = q;
    l->n_spare++;
}

void outq_free_spares(struct loop *l)
{
    while (l->spare) {
        struct outq *q = l->spare;
        l->spare = q->next;
        free(q);
    }
    l->n_spare = 0;
}

void conn_arm_write(struct conn *c)
{
    if (c->wr_armed)
        return;
    if (event_add(c->wr, NULL) == 0)
        c->wr_armed = true;
    else
        conn_write_failed(c, errno ? errno : ENOMEM);
}

void conn_disarm_write(struct conn *c)
{
    if (c->wr_armed)
        event_del(c->wr);
    c->wr_armed = false;
}

void conn_drop_queue(struct conn *c)
{
    list_del(&c->dirty);
    if (c->queue)
        outq_put(c->loop, c->queue);
    c->queue = NULL;
}

void conn_write_failed(struct conn *c, int err)
{
    if (c->write_errno)
        return;
    c->write_errno = err ? err : EIO;
    conn_disarm_write(c);
    buf_release(&c->out);
    if (!c->closed)
        conn_turn_add(c);
}

void conn_send_raw(struct conn *c, const char *p, size_t n)
{
    ssize_t done;
    do {
        done = sys_send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            conn_write_failed(c, errno);
            return;
        }
        done = 0;
    }
    if ((size_t)done == n)
        return;
    buf_append(&c->out, p + done, n - (size_t)done);
    if (c->out.failed)
        conn_write_failed(c, ENOMEM);
    else
        conn_arm_write(c);
}

bool conn_send_kept(struct conn *c)
{
    ssize_t done;
    do {
        done = sys_send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return true;
        conn_write_failed(c, errno);
        return false;
    }
    buf_consume(&c->out, (size_t)done);
    if (buf_len(&c->out) == 0) {
        buf_release(&c->out);
        conn_disarm_write(c);
    }
    return true;
}

void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct loop *l = c->loop;
    (void)fd;
    (void)what;
    loop_enter(l);
    if (c->lingering) {
        conn_linger_step(c);
    } else if (c->connecting) {
        int err = 0;
        socklen_t len = sizeof(err);
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
            err = errno;
        conn_connected(c, err);
    } else if (conn_blocked(c)) {
        if (conn_send_kept(c) && !conn_blocked(c) && !c->handshaking && c->handler->drained)
            c->handler->drained(c->owner);
    } else {
        conn_disarm_write(c);
    }
    loop_leave(l);
}

static bool takes_output(const struct conn *c)
{
    return !c->closed && !c->ended && !c->write_errno;
}

/* Plain output behind output that is kept, or before there is a connection, is kept at once. */
static bool must_keep(const struct conn *c)
{
    return !c->tls && (c->connecting || conn_blocked(c));
}

static void keep(struct conn *c, const void *p, size_t n)
{
    buf_append(&c->out, p, n);
    if (c->out.failed)
        conn_write_failed(c, ENOMEM);
}

/* The queue of this turn; NULL when memory is short. */
static struct outq *queue_of(struct conn *c)
{
    if (c->queue)
        return c->queue;
    c->queue = outq_get(c->loop);
    if (!c->queue)
        return NULL;
    list_push_tail(&c->loop->dirty, &c->dirty);
    if (c->loop->depth == 0)
        loop_kick(c->loop);
    return c->queue;
}

static void write_through(struct conn *c, const void *p, size_t n)
{
    struct iovec v;
    memcpy(&v.iov_base, &p, sizeof(p)); /* iovec knows no const */
    v.iov_len = n;
    conn_flush(c);
    if (takes_output(c))
        c->io->write(c, &v, 1);
}

/* Adds a slice, in front of which there is room. */
static void add_slice(struct outq *q, const void *p, size_t n)
{
    struct iovec *last = q->n ? &q->v[q->n - 1] : NULL;
    if (last && (const char *)last->iov_base + last->iov_len == p) {
        last->iov_len += n;
        return;
    }
    memcpy(&q->v[q->n].iov_base, &p, sizeof(p));
    q->v[q->n].iov_len = n;
    q->n++;
}

void conn_write(struct conn *c, const void *p, size_t n)
{
    if (n == 0 || !takes_output(c))
        return;
    c->tx += n;
    if (must_keep(c)) {
        keep(c, p, n);
        return;
    }
    if (c->queue && c->queue->n == OUTQ_SLICES) {
        conn_flush(c);
        if (!takes_output(c))
            return;
        if (must_keep(c)) {
            keep(c, p, n);
            return;
        }
    }
    struct outq *q = queue_of(c);
    if (q)
        add_slice(q, p, n);
    else
        write_through(c, p, n);
}

void conn_write_copy(struct conn *c, const void *p, size_t n)
{
    if (n == 0 || !takes_output(c))
        return;
    c->tx += n;
    if (must_keep(c)) {
        keep(c, p, n);
        return;
    }
    if (c->queue && (c->queue->n == OUTQ_SLICES || n > OUTQ_COPY - c->queue->copied)) {
        conn_flush(c);
        if (!takes_output(c))
            return;
        if (must_keep(c)) {
            keep(c, p, n);
            return;
        }
    }
    struct outq *q = n <= OUTQ_COPY ? queue_of(c) : NULL;
    if (!q) {
        write_through(c, p, n);
        return;
    }
    char *to = q->copy + q->copied;
    memcpy(to, p, n);
    q->copied += n;
    add_slice(q, to, n);
}

void conn_flush(struct conn *c)
{
    struct outq *q = c->queue;
    if (!q)
        return;
    c->queue = NULL;
    list_del(&c->dirty);
    if (takes_output(c))
        c->io->write(c, q->v, q->n);
    outq_put(c->loop, q);
}

void loop_flush(struct loop *l)
{
    struct list *n;
    while ((n = list_first(&l->dirty)))
        conn_flush(LIST_ENTRY(n, struct conn, dirty));
}
