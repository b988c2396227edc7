/* SPDX-License-Identifier: ISC */
/* Life of a conn: making, connecting, reading, pausing, moving, closing. */
#include "net/conn.h"

#include "net/conn_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define KEPT_SMALL 4096 /* kept input up to that is copied in front of new input in the scratch */
#define KEPT_STEP 16384 /* more is read behind it, at least this much at once */
#define KEPT_STEP_MAX (1 << 20) /* ... and at most */
#define LINGER_READS 16         /* reads of thrown-away input per readiness */
#define LINGER_BYTES 4096       /* ... and their size; not the scratch, which may be in use */

static void on_readable(evutil_socket_t fd, short what, void *arg);

const char *errno_text(int err, char *buf, size_t size)
{
    return strerror_r(err, buf, size);
}

/* Events live behind the conn, in one piece of memory. */
static struct conn *conn_new(int fd)
{
    size_t head = (sizeof(struct conn) + 15) & ~(size_t)15;
    size_t one = (event_get_struct_event_size() + 15) & ~(size_t)15;
    char *p = calloc(1, head + 2 * one);
    if (!p)
        return NULL;
    struct conn *c = (void *)p;
    c->fd = fd;
    c->io = &transport_raw;
    c->rd = (void *)(p + head);
    c->wr = (void *)(p + head + one);
    list_init(&c->dirty);
    list_init(&c->turn);
    list_init(&c->dead);
    return c;
}

/* Is nothing to be read now? */
static inline bool stopped(const struct conn *c)
{
    return c->paused || c->held;
}

static bool bind_events(struct conn *c, struct loop *l)
{
    c->loop = l;
    c->held = l->held;
    return event_assign(c->rd, l->base, c->fd, EV_READ | EV_PERSIST, on_readable, c) == 0 &&
           event_assign(c->wr, l->base, c->fd, EV_WRITE | EV_PERSIST, conn_on_writable, c) == 0;
}

static bool arm_read(struct conn *c)
{
    if (!c->rd_armed && event_add(c->rd, NULL) == 0)
        c->rd_armed = true;
    return c->rd_armed;
}

static void disarm_read(struct conn *c)
{
    if (c->rd_armed)
        event_del(c->rd);
    c->rd_armed = false;
}

static void fill_addresses(struct conn *c)
{
    socklen_t len = sizeof(c->peer);
    if (getpeername(c->fd, (struct sockaddr *)&c->peer, &len) != 0)
        c->peer.ss_family = AF_UNSPEC;
    len = sizeof(c->local);
    if (getsockname(c->fd, (struct sockaddr *)&c->local, &len) != 0)
        c->local.ss_family = AF_UNSPEC;
}

static void no_delay(int fd, int family)
{
    int one = 1;
    if (family == AF_INET || family == AF_INET6)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

struct conn *conn_adopt(struct loop *l, int fd, const struct conn_handler *h, void *owner)
{
    struct conn *c = conn_new(fd);
    if (!c) {
        close(fd);
        return NULL;
    }
    c->handler = h;
    c->owner = owner;
    fill_addresses(c);
    no_delay(fd, c->local.ss_family);
    if (!bind_events(c, l) || !arm_read(c)) {
        close(fd);
        free(c);
        return NULL;
    }
    return c;
}

/* Starts the connection; 0 or errno. */
static int start_connect(struct conn *c, const struct sockaddr *to, socklen_t len)
{
    int rc;
    do {
        rc = connect(c->fd, to, len);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        c->connect_now = true;
        conn_turn_add(c);
        return 0;
    }
    if (errno != EINPROGRESS)
        return errno;
    conn_arm_write(c);
    return c->write_errno;
}

struct conn *conn_connect(struct loop *l, const struct sockaddr *to, socklen_t len,
                          const struct conn_handler *h, void *owner, struct err *e)
{
    char text[128];
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set(e, "cannot make a socket: %s", errno_text(errno, text, sizeof(text)));
        return NULL;
    }
    struct conn *c = conn_new(fd);
    if (!c || !bind_events(c, l)) {
        close(fd);
        free(c);
        err_set(e, "out of memory");
        return NULL;
    }
    c->handler = h;
    c->owner = owner;
    c->connecting = true;
    no_delay(fd, to->sa_family);
    memcpy(&c->peer, to, len < sizeof(c->peer) ? len : sizeof(c->peer));
    int err = start_connect(c, to, len);
    if (err != 0) {
        err_set(e, "%s", errno_text(err, text, sizeof(text)));
        conn_disarm_write(c);
        list_del(&c->turn);
        close(fd);
        free(c);
        return NULL;
    }
    return c;
}

/* No more events and callbacks; the owner is told once. */
static void conn_end(struct conn *c, enum conn_end why, const char *text)
{
    bool connecting = c->connecting, handshaking = c->handshaking;
    c->ended = true;
    c->connecting = c->handshaking = false;
    disarm_read(c);
    conn_disarm_write(c);
    conn_drop_queue(c);
    list_del(&c->turn);
    if (connecting)
        c->handler->connected(c->owner, false, text);
    else if (handshaking)
        c->handler->secured(c->owner, false, text);
    else
        c->handler->ended(c->owner, why, text);
}

void conn_connected(struct conn *c, int err)
{
    char text[128];
    if (err == 0 && !arm_read(c))
        err = ENOMEM;
    if (err != 0) {
        conn_end(c, CONN_ERROR, errno_text(err, text, sizeof(text)));
        return;
    }
    c->connecting = c->connect_now = false;
    fill_addresses(c);
    conn_disarm_write(c);
    if (conn_blocked(c))
        conn_arm_write(c);
    c->handler->connected(c->owner, true, "");
}

/* Shows bytes to the handler and keeps what it leaves. own: they lie in c->in. false: leave the
 * conn alone. */
static bool conn_show(struct conn *c, char *data, size_t n, bool own)
{
    struct loop *l = c->loop;
    l->showing = c;
    c->in_input = true;
    if (!own) /* what was kept stands in front of the new input in the scratch */
        buf_clear(&c->in);
    size_t used = c->handler->input(c->owner, data, n);
    /* Slices of data that others were given are written or copied before data goes away. */
    loop_flush(l);
    if (l->showing != c) { /* detached: another thread may have it */
        buf_release(&l->orphan);
        return false;
    }
    l->showing = NULL;
    c->in_input = false;
    CHECK(used <= n);
    if (c->closed || c->ended)
        return false;
    if (own) {
        buf_consume(&c->in, used);
    } else if (used < n) {
        buf_append(&c->in, data + used, n - used);
    }
    if (c->in.failed) {
        conn_end(c, CONN_ERROR, "out of memory");
        return false;
    }
    if (buf_len(&c->in) == 0 && c->in.p)
        buf_release(&c->in);
    if (c->handshaking && buf_len(&c->in) > 0) {
        conn_end(c, CONN_ERROR, "unencrypted data before the handshake");
        return false;
    }
    return (!c->write_errno || c->last_words) && !c->handshaking;
}

static char *kept_room(struct conn *c, size_t kept, size_t *room)
{
    if (kept <= KEPT_SMALL) {
        if (kept)
            memcpy(c->loop->scratch, buf_data(&c->in), kept);
        *room = LOOP_SCRATCH - kept;
        return c->loop->scratch + kept;
    }
    size_t step = kept < KEPT_STEP ? KEPT_STEP : kept > KEPT_STEP_MAX ? KEPT_STEP_MAX : kept;
    char *to = buf_reserve(&c->in, step);
    *room = c->in.cap - c->in.n;
    return to;
}

/* Where to read to: behind kept input. NULL: no memory. */
static char *read_room(struct conn *c, size_t *room)
{
    char *to = kept_room(c, buf_len(&c->in), room);
    size_t most = c->loop->at_once;

    if (most<LOOP_SCRATCH && * room> most)
        *room = most;
    return to;
}

/* Reads and shows, `loopcnt` times at most. false: leave the conn alone. */
static bool conn_read(struct conn *c)
{
    struct loop *l = c->loop;
    for (int i = 0; (i < l->loopcnt || l->loopcnt == 0) && !c->paused; i++) {
        size_t room, kept = buf_len(&c->in);
        char *to = read_room(c, &room);
        if (!to) {
            conn_end(c, CONN_ERROR, "out of memory");
            return false;
        }
        ssize_t n = c->io->read(c, to, room);
        if (n == IO_AGAIN)
            break;
        if (n <= 0) {
            char text[256];
            const char *why = n == IO_EOF ? "closed by peer" : c->io->why(c, text, sizeof(text));
            conn_end(c, n == IO_EOF ? CONN_EOF : CONN_ERROR, why);
            return false;
        }
        c->rx += (size_t)n;
        bool own = kept > KEPT_SMALL;
        if (own)
            buf_commit(&c->in, (size_t)n);
        if (!conn_show(c, own ? buf_data(&c->in) : l->scratch, kept + (size_t)n, own))
            return false;
        if ((size_t)n < room)
            break;
    }
    if (!stopped(c) && c->io->pending(c))
        conn_again_add(c);
    return true;
}

/* One step of the handshake; input that came with its end is shown at once. */
static void conn_secure(struct conn *c)
{
    int done = tls_handshake(c);
    if (done < 0) {
        char text[384];
        conn_end(c, CONN_ERROR, c->io->why(c, text, sizeof(text)));
        return;
    }
    if (done == 0)
        return;
    struct loop *l = c->loop;
    c->handshaking = false;
    l->showing = c;
    c->handler->secured(c->owner, true, "");
    if (l->showing != c) /* detached */
        return;
    l->showing = NULL;
    if (!c->closed && !c->ended && !stopped(c) && c->io->pending(c))
        conn_turn_add(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct loop *l = c->loop;
    (void)fd;
    (void)what;
    loop_enter(l);
    if (c->lingering)
        conn_linger_step(c);
    else if (c->handshaking)
        conn_secure(c);
    else if (stopped(c))
        disarm_read(c); /* only now: most pauses end before more comes */
    else
        conn_read(c);
    loop_leave(l);
}

void conn_turn_add(struct conn *c)
{
    list_del(&c->turn);
    list_push_tail(&c->loop->turn, &c->turn);
    if (c->loop->depth == 0)
        loop_kick(c->loop);
}

void conn_again_add(struct conn *c)
{
    if (list_linked(&c->turn))
        return;
    list_push_tail(&c->loop->again, &c->turn);
    loop_kick(c->loop);
}

/* Writing failed: what the peer said before it went away is still shown, then the end is told. */
static void last_words(struct conn *c)
{
    char text[128];
    if (!c->paused && !c->handshaking && !c->connecting) {
        c->last_words = true;
        if (!conn_read(c))
            return;
    }
    conn_end(c, CONN_ERROR, errno_text(c->write_errno, text, sizeof(text)));
}

void conn_turn(struct conn *c)
{
    if (c->closed || c->ended)
        return;
    if (c->write_errno) {
        last_words(c);
        return;
    }
    if (c->connecting) {
        if (c->connect_now)
            conn_connected(c, 0);
        return;
    }
    if (c->handshaking) {
        conn_secure(c);
        return;
    }
    if (stopped(c))
        return;
    bool reshow = c->reshow;
    c->reshow = false;
    if (reshow && buf_len(&c->in) > 0 && !conn_show(c, buf_data(&c->in), buf_len(&c->in), true))
        return;
    if (!stopped(c) && c->io->pending(c))
        conn_read(c);
}

void conn_pause(struct conn *c)
{
    c->paused = true;
}

static void go_on(struct conn *c)
{
    if (c->closed || c->ended || c->connecting || c->held)
        return;
    if (!arm_read(c))
        conn_write_failed(c, ENOMEM);
    if (buf_len(&c->in) > 0 || c->in_input || c->io->pending(c))
        conn_reshow(c);
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    go_on(c);
}

void conn_hold(struct conn *c, bool hold)
{
    if (c->held == hold)
        return;
    c->held = hold;
    if (!hold && !c->paused)
        go_on(c);
}

void conn_reshow(struct conn *c)
{
    if (c->closed || c->ended)
        return;
    c->reshow = true;
    conn_turn_add(c);
}

static bool start_tls(struct conn *c, struct tls_ctx *ctx, bool server, const char *host,
                      struct err *e)
{
    CHECK(!c->tls && buf_len(&c->in) == 0);
    if (c->closed || c->ended || c->connecting)
        return err_set(e, "not connected");
    struct tls *t = tls_new(c, ctx, server, host, e);
    if (!t)
        return false;
    conn_flush(c);
    c->tls = t;
    c->io = &transport_tls;
    c->handshaking = true;
    if (!server)
        conn_turn_add(c);
    return true;
}

bool conn_tls_accept(struct conn *c, struct tls_ctx *ctx, struct err *e)
{
    return start_tls(c, ctx, true, NULL, e);
}

bool conn_tls_accept_direct(struct conn *c, struct tls_ctx *ctx, const char *p, size_t n,
                            struct err *e)
{
    if (!start_tls(c, ctx, true, NULL, e))
        return false;
    if (!tls_feed(c->tls, p, n))
        conn_write_failed(c, ENOMEM);
    conn_turn_add(c);
    return true;
}

bool conn_tls_connect(struct conn *c, struct tls_ctx *ctx, const char *host, struct err *e)
{
    return start_tls(c, ctx, false, host, e);
}

void conn_detach(struct conn *c)
{
    CHECK(!c->connecting && !c->handshaking && !c->closed);
    struct loop *l = c->loop;
    conn_flush(c);
    conn_drop_queue(c);
    disarm_read(c);
    conn_disarm_write(c);
    list_del(&c->turn);
    if (l->showing == c) {
        l->orphan = c->in;
        buf_init(&c->in);
        l->showing = NULL;
    }
    c->in_input = c->reshow = false;
    if (c->tls)
        tls_count(c->tls, false);
    c->loop = NULL;
}

bool conn_attach(struct conn *c, struct loop *l, const struct conn_handler *h, void *owner)
{
    CHECK(!c->loop && !c->closed);
    if (!bind_events(c, l)) {
        c->loop = NULL;
        return false;
    }
    c->handler = h;
    c->owner = owner;
    c->paused = false;
    if (!c->ended && !c->write_errno) {
        if (!arm_read(c)) {
            c->loop = NULL;
            return false;
        }
        if (conn_blocked(c))
            conn_arm_write(c);
    }
    if (c->tls)
        tls_count(c->tls, true);
    if (buf_len(&c->in) > 0 || c->io->pending(c))
        conn_reshow(c);
    else if (c->write_errno)
        conn_turn_add(c);
    return true;
}

void conn_handover(struct conn *c, const struct conn_handler *h, void *owner)
{
    c->handler = h;
    c->owner = owner;
}

void conn_free(struct conn *c)
{
    c->io->free(c);
    buf_wipe(&c->in);
    buf_release(&c->out);
    free(c);
}

/* Ends events, closes the socket; the memory goes at the end of the turn. */
static void bury(struct conn *c)
{
    struct loop *l = c->loop;
    c->closed = true;
    c->lingering = false;
    disarm_read(c);
    conn_disarm_write(c);
    conn_drop_queue(c);
    list_del(&c->turn);
    list_del(&c->dead);
    close(c->fd);
    c->fd = -1;
    list_push_tail(&l->dead, &c->dead);
    if (l->depth == 0)
        loop_kick(l);
}

/* Writes what is queued and kept, and the transport's goodbye, as far as it goes. */
static void say_goodbye(struct conn *c)
{
    conn_flush(c);
    if (!c->ended && !c->write_errno && !c->connecting)
        c->io->shut(c);
    if (!c->ended && !c->write_errno && !c->connecting && conn_blocked(c))
        conn_send_kept(c);
}

void conn_close(struct conn *c)
{
    if (c->closed)
        return;
    if (!c->loop) { /* detached, and no loop would have it */
        close(c->fd);
        conn_free(c);
        return;
    }
    say_goodbye(c);
    bury(c);
}

void conn_linger_end(struct conn *c)
{
    bury(c);
}

/* Reads and throws away; false when the peer has closed or the socket failed. */
static bool throw_input(struct conn *c)
{
    for (int i = 0; i < LINGER_READS; i++) {
        char waste[LINGER_BYTES];
        ssize_t n = recv(c->fd, waste, sizeof(waste), MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        if (n == 0)
            return false;
        if (n < LINGER_BYTES)
            return true;
    }
    return true;
}

void conn_linger_step(struct conn *c)
{
    bool blocked = conn_blocked(c);
    if (c->loop->now >= c->linger_until || (blocked && !conn_send_kept(c)) || !throw_input(c)) {
        bury(c);
        return;
    }
    if (blocked && !conn_blocked(c))
        shutdown(c->fd, SHUT_WR);
    usec_t left = c->linger_until - c->loop->now;
    struct timeval tv = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };
    if (event_add(c->rd, &tv) == 0)
        c->rd_armed = true;
    else
        bury(c);
}

void conn_close_after_flush(struct conn *c, usec_t us)
{
    if (c->closed)
        return;
    if (c->loop)
        say_goodbye(c);
    if (!c->loop || us == 0 || c->ended || c->write_errno || c->connecting || c->handshaking) {
        conn_close(c);
        return;
    }
    c->closed = c->lingering = true;
    list_del(&c->turn);
    list_push_tail(&c->loop->linger, &c->dead);
    /* Inside of callbacks only, but for tests and set-up code: the clock may be old then. */
    if (c->loop->depth == 0)
        c->loop->now = clock_mono_us();
    c->linger_until = c->loop->now + us;
    if (!conn_blocked(c))
        shutdown(c->fd, SHUT_WR);
    conn_linger_step(c);
}

bool conn_alive(const struct conn *c)
{
    char byte;
    if (c->closed || c->ended || c->write_errno || c->connecting || buf_len(&c->in) > 0 ||
        c->io->pending(c))
        return false;
    ssize_t n;
    do {
        n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}
