/* SPDX-License-Identifier: ISC */
/* A peer for the net tests: records what its conn tells, and a loop that runs until a condition
 * holds. */
#ifndef TEST_UNIT_NET_HELP_H
#define TEST_UNIT_NET_HELP_H

#include "net/conn.h"
#include "tap.h"

#include <fcntl.h>
#include <unistd.h>

#define HELP_PATIENCE (60 * USEC_PER_SEC) /* then a test gives up waiting */

struct peer {
    struct loop *loop;
    struct conn *conn;
    struct buf got;  /* consumed input */
    struct conn *to; /* input is written there, borrowed */
    size_t max;      /* consume at most that much per call; 0 = all */
    size_t least;    /* consume nothing while fewer bytes are shown */
    int inputs, drained, ended, connected, secured; /* calls; the latter two: 1 ok, -1 failed */
    enum conn_end why;
    char text[512];
    size_t (*hook)(struct peer *p, char *data, size_t n); /* instead of consuming */
    void *arg;
};

static inline size_t peer_input(void *owner, char *data, size_t n)
{
    struct peer *p = owner;
    p->inputs++;
    if (p->hook)
        return p->hook(p, data, n);
    if (n < p->least)
        return 0;
    if (p->max && n > p->max)
        n = p->max;
    buf_append(&p->got, data, n);
    if (p->to)
        conn_write(p->to, data, n);
    return n;
}

static inline void peer_drained(void *owner)
{
    ((struct peer *)owner)->drained++;
}

static inline void peer_say(struct peer *p, const char *text)
{
    snprintf(p->text, sizeof(p->text), "%s", text);
}

static inline void peer_ended(void *owner, enum conn_end why, const char *text)
{
    struct peer *p = owner;
    p->ended++;
    p->why = why;
    peer_say(p, text);
}

static inline void peer_connected(void *owner, bool fine, const char *text)
{
    struct peer *p = owner;
    p->connected = fine ? 1 : -1;
    peer_say(p, text);
}

static inline void peer_secured(void *owner, bool fine, const char *text)
{
    struct peer *p = owner;
    p->secured = fine ? 1 : -1;
    peer_say(p, text);
}

static const struct conn_handler peer_handler = {
    .input = peer_input,
    .drained = peer_drained,
    .ended = peer_ended,
    .connected = peer_connected,
    .secured = peer_secured,
};

/* Ignores mail; tick looks at the condition. */
struct runner {
    struct loop loop;
    bool (*until)(void *arg);
    void *arg;
    usec_t deadline;
    bool late;
};

static inline void runner_mail(void *owner, struct mail *m)
{
    (void)owner;
    (void)m;
}

static inline void runner_tick(void *owner)
{
    struct runner *r = owner;
    r->late = clock_mono_us() > r->deadline;
    if (r->late || r->until(r->arg))
        loop_stop(&r->loop);
}

static const struct loop_handler runner_handler = { .mail = runner_mail, .tick = runner_tick };

static inline void runner_init(struct runner *r)
{
    if (!loop_init(&r->loop, 0, NULL, &runner_handler, r, 2)) {
        printf("Bail out! no loop\n");
        exit(1);
    }
}

/* Runs until the condition holds; false when that takes too long. */
static inline bool run_until(struct runner *r, bool (*until)(void *arg), void *arg)
{
    r->until = until;
    r->arg = arg;
    r->deadline = clock_mono_us() + HELP_PATIENCE;
    atomic_store(&r->loop.stop, false);
    loop_run(&r->loop);
    return !r->late;
}

static inline bool count_down(void *arg)
{
    return --*(int *)arg < 0;
}

/* A few turns of the loop. */
static inline void run_turns(struct runner *r, int turns)
{
    run_until(r, count_down, &turns);
}

static inline void nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static inline void peer_open(struct peer *p, struct loop *l, int fd)
{
    *p = (struct peer){ .loop = l };
    nonblocking(fd);
    p->conn = conn_adopt(l, fd, &peer_handler, p);
    if (!p->conn) {
        printf("Bail out! no conn\n");
        exit(1);
    }
}

static inline void peer_close(struct peer *p)
{
    if (p->conn)
        conn_close(p->conn);
    p->conn = NULL;
    buf_release(&p->got);
}

/* Two ends of a Unix socket pair, one a conn. */
static inline int peer_pair(struct peer *p, struct loop *l)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0) {
        printf("Bail out! no socketpair\n");
        exit(1);
    }
    peer_open(p, l, fd[0]);
    nonblocking(fd[1]);
    return fd[1];
}

#endif
