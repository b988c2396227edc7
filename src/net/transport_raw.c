/* SPDX-License-Identifier: ISC */
/* The plain transport: a socket's bytes as they are. */
#include "net/conn_int.h"
#include "net/sys.h"

#include <errno.h>
#include <sys/socket.h>

#define GATHER 4096 /* bytes of several slices that are sent as one */

static ssize_t raw_read(struct conn *c, char *to, size_t room)
{
    ssize_t n;
    do {
        n = sys_recv(c->fd, to, room, 0);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_FAILED;
}

/* Keeps what is behind the first `done` bytes of the slices. */
static void keep_rest(struct conn *c, const struct iovec *v, int n, size_t done)
{
    for (int i = 0; i < n; i++) {
        if (done >= v[i].iov_len) {
            done -= v[i].iov_len;
            continue;
        }
        buf_append(&c->out, (const char *)v[i].iov_base + done, v[i].iov_len - done);
        done = 0;
    }
    if (c->out.failed)
        conn_write_failed(c, ENOMEM);
    else
        conn_arm_write(c);
}

static void raw_write(struct conn *c, const struct iovec *v, int n)
{
    if (conn_blocked(c)) {
        keep_rest(c, v, n, 0);
        return;
    }
    if (n == 1) {
        conn_send_raw(c, v->iov_base, v->iov_len);
        return;
    }
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += v[i].iov_len;
    if (total <= GATHER) { /* copying is cheaper than what the kernel does for a vector */
        char all[GATHER], *p = all;
        for (int i = 0; i < n; i++) {
            memcpy(p, v[i].iov_base, v[i].iov_len);
            p += v[i].iov_len;
        }
        conn_send_raw(c, all, total);
        return;
    }
    struct iovec own[OUTQ_SLICES];
    memcpy(own, v, sizeof(*own) * (size_t)n);
    struct msghdr msg = { .msg_iov = own, .msg_iovlen = (size_t)n };
    ssize_t done;
    do {
        done = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    if (done < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        conn_write_failed(c, errno);
    else if (done < 0 || (size_t)done < total)
        keep_rest(c, v, n, done < 0 ? 0 : (size_t)done);
}

static bool raw_pending(const struct conn *c)
{
    (void)c;
    return false;
}

static const char *raw_why(const struct conn *c, char *buf, size_t size)
{
    (void)c;
    return errno_text(errno, buf, size);
}

static void raw_nothing(struct conn *c)
{
    (void)c;
}

const struct transport transport_raw = {
    .read = raw_read,
    .write = raw_write,
    .pending = raw_pending,
    .why = raw_why,
    .shut = raw_nothing,
    .free = raw_nothing,
};
