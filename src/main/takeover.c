/* SPDX-License-Identifier: ISC */
/* Online restart: listening sockets go from the old process to the new one. */
#include "main/takeover.h"

#include "base/random.h"
#include "console/console.h"
#include "main/control.h"
#include "main/pauses.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 10
#define MESSAGE_MAX 4096

static const char hello[] = "TAKEOVER 1", flags[] = "FLAGS";
#define FLAGS_N (sizeof(flags) - 1)

struct takeover {
    struct control *control;
    struct sockaddr_un at;
    socklen_t at_len; /* 0: there is no place for the socket */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    int fds[TAKEOVER_FDS]; /* -1: taken */
    int n_fds, metrics;
    int old; /* connection to the old process, or -1 */
    pid_t old_pid;
    struct event *ev_old;
    int door; /* where a new process knocks, or -1 */
    struct event *ev_door;
    int next; /* connection of the new process, or -1 */
    pid_t next_pid;
    struct event *ev_next;
    bool offered;            /* it has been sent our sockets */
    bool asked;              /* it has asked for the state */
    struct db_ledger **told; /* databases that it was told of */
    int n_told;
    struct buf heard; /* what the old one said of them, before there was a hub */
    bool bound;
};

static void hang_up(int *fd, struct event **ev)
{
    if (*ev)
        event_free(*ev);
    *ev = NULL;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Waits for events of a descriptor on the control loop. */
static bool listen_to(struct takeover *t, int fd, event_callback_fn fn, struct event **ev)
{
    *ev = event_new(t->control->loop.base, fd, EV_READ | EV_PERSIST, fn, t);
    return *ev && event_add(*ev, NULL) == 0;
}

static bool find_path(struct takeover *t)
{
    const struct settings *g = &t->control->setup->g;
    int n = *g->takeover_socket ? snprintf(t->path, sizeof(t->path), "%s", g->takeover_socket)
            : *g->unix_socket_dir && !t->control->notify.n_sockets
                ? snprintf(t->path, sizeof(t->path), "%s/.s.PGBULKHEAD.%d", g->unix_socket_dir,
                           (int)g->listen_port)
                : 0;

    if (n <= 0 || (size_t)n >= sizeof(t->at.sun_path))
        return false;
    t->at.sun_family = AF_UNIX;
    memcpy(t->at.sun_path, t->path, (size_t)n + 1);
    t->at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
    if (t->path[0] == '@') {
        t->at.sun_path[0] = '\0';
        t->at_len--;
    }
    return true;
}

struct takeover *takeover_new(struct control *c)
{
    struct takeover *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->control = c;
    t->metrics = t->old = t->door = t->next = -1;
    buf_init(&t->heard);
    find_path(t);
    return t;
}

/* ---- who is there ---- */

/* The user that this process runs as, or will. */
static uid_t own_user(const struct control *c)
{
    const char *name = c->options->user ? c->options->user : c->setup->g.user;
    const struct passwd *pw = geteuid() == 0 && *name ? getpwnam(name) : NULL;

    return pw ? pw->pw_uid : geteuid();
}

static bool trusted(const struct takeover *t, int fd, pid_t *pid)
{
    struct ucred who = { 0 };
    socklen_t n = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        return false;
    *pid = who.pid;
    return who.uid == 0 || who.uid == own_user(t->control);
}

/* ---- the new process ---- */

static bool say(int fd, const char *text, size_t n)
{
    ssize_t done;

    do {
        done = send(fd, text, n, MSG_NOSIGNAL);
    } while (done < 0 && errno == EINTR);
    return done == (ssize_t)n;
}

/* The same without waiting for room. */
static bool say_now(int fd, const char *text, size_t n)
{
    ssize_t done;

    do {
        done = send(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    return done == (ssize_t)n;
}

/* A message and the descriptors that came with it. */
static ssize_t hear(int fd, char *text, size_t size, int *fds, int *n_fds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * TAKEOVER_FDS)];
    } control = { 0 };
    struct iovec iov = { .iov_base = text, .iov_len = size };
    struct msghdr m = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.space,
                        .msg_controllen = sizeof(control.space) };
    ssize_t n;

    *n_fds = 0;
    do {
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    for (struct cmsghdr *h = n < 0 ? NULL : CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        int got = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < got; i++) {
            int one;
            memcpy(&one, CMSG_DATA(h) + sizeof(int) * (size_t)i, sizeof(one));
            if (*n_fds < TAKEOVER_FDS)
                fds[(*n_fds)++] = one;
            else
                close(one);
        }
    }
    if (n >= 0 && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        errno = EMSGSIZE;
        n = -1;
    }
    return n;
}

/* Sorts the descriptors by the letters of the message. */
static bool sort_sockets(struct takeover *t, const char *text, ssize_t n)
{
    static const char head[] = "SOCKETS ";
    const size_t h = sizeof(head) - 1;
    int kept = 0;

    bool ok = n >= (ssize_t)h && memcmp(text, head, h) == 0 && (size_t)n - h == (size_t)t->n_fds;
    for (int i = 0; i < t->n_fds; i++) {
        if (ok && text[h + (size_t)i] == 'm' && t->metrics < 0)
            t->metrics = t->fds[i];
        else
            t->fds[kept++] = t->fds[i];
    }
    t->n_fds = kept;
    return ok;
}

static bool is_flags(const char *text, ssize_t n)
{
    return n > (ssize_t)FLAGS_N && memcmp(text, flags, FLAGS_N) == 0;
}

bool takeover_begin(struct takeover *t, struct err *e)
{
    struct timeval patience = { .tv_sec = PATIENCE_S };
    char text[MESSAGE_MAX];
    struct log *log = &t->control->log;

    if (!t->at_len)
        return err_set(e, "-R needs takeover_socket or unix_socket_dir, and a path that fits");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, "cannot make a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&t->at, t->at_len) != 0) {
        bool nobody = errno == ENOENT || errno == ECONNREFUSED;
        err_set(e, "cannot reach the old process at %s: %s", t->path, strerror(errno));
        close(fd);
        if (nobody)
            log_warn(log, "no old process at %s, starting as usual", t->path);
        return nobody;
    }
    if (!trusted(t, fd, &t->old_pid)) {
        close(fd);
        return err_set(e, "the process at %s runs as another user", t->path);
    }
    if (!say(fd, "STATE", 5) || !say(fd, hello, sizeof(hello) - 1)) {
        err_set(e, "the old process does not listen: %s", strerror(errno));
        close(fd);
        return false;
    }
    ssize_t n;
    while ((n = hear(fd, text, sizeof(text), t->fds, &t->n_fds)) > 0 && is_flags(text, n))
        buf_append(&t->heard, text + FLAGS_N, (size_t)n - FLAGS_N);
    if (n <= 0 || !sort_sockets(t, text, n)) {
        err_set(e, "the old process did not hand over its sockets: %s",
                n < 0    ? strerror(errno)
                : n == 0 ? "it hung up"
                         : "unknown answer");
        close(fd);
        return false;
    }
    t->old = fd;
    log_info(log, "taking over from process %d: %d sockets", (int)t->old_pid,
             t->n_fds + (t->metrics >= 0));
    return true;
}

int takeover_sockets(struct takeover *t, int **fds)
{
    *fds = t->fds;
    return t->n_fds;
}

void takeover_pauses(struct takeover *t)
{
    if (t->heard.failed)
        log_error(&t->control->log, "out of memory: what was paused or disabled is not taken over");
    else
        pauses_take(t->control, buf_text(&t->heard), false);
    buf_release(&t->heard);
    buf_init(&t->heard);
}

/* Tells a neighbour: the older process, or the one that has taken over. */
static void pass_on(struct takeover *t, const char *text, size_t n, bool newer)
{
    bool there = newer ? t->next >= 0 && t->asked &&
                             atomic_load(&t->control->hub.registry.handed_over)
                       : t->old >= 0;

    if (there && !say_now(newer ? t->next : t->old, text, n))
        log_warn(&t->control->log, "process %d cannot be told what is paused or disabled",
                 (int)(newer ? t->next_pid : t->old_pid));
}

void takeover_changed(struct takeover *t, struct text db)
{
    struct db_ledger *one = t && db.n ? registry_find_db(&t->control->hub.registry, db) : NULL;
    struct buf b;

    if (!t || (t->old < 0 && t->next < 0) || (db.n && !one))
        return;
    buf_init(&b);
    buf_append(&b, flags, FLAGS_N);
    pauses_put(t->control, one, &b);
    if (b.failed || b.n > MESSAGE_MAX) {
        log_warn(&t->control->log, "other processes cannot be told what is paused or disabled");
    } else {
        pass_on(t, b.p, b.n, false);
        pass_on(t, b.p, b.n, true);
    }
    buf_release(&b);
}

int takeover_metrics(struct takeover *t)
{
    int fd = t->metrics;
    t->metrics = -1;
    return fd;
}

pid_t takeover_from(const struct takeover *t)
{
    return t->old >= 0 ? t->old_pid : 0;
}

static void close_untaken(struct takeover *t)
{
    for (int i = 0; i < t->n_fds; i++)
        if (t->fds[i] >= 0)
            close(t->fds[i]);
    t->n_fds = 0;
    if (t->metrics >= 0)
        close(t->metrics);
    t->metrics = -1;
}

/* The old process says what its consoles pause and resume; it ends one day. */
static void on_old(evutil_socket_t fd, short what, void *arg)
{
    struct takeover *t = arg;
    char text[MESSAGE_MAX];
    (void)what;

    ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
    if (is_flags(text, n)) {
        loop_enter(&t->control->loop);
        pauses_take(t->control, text_n(text + FLAGS_N, (size_t)n - FLAGS_N), true);
        pass_on(t, text, (size_t)n, true);
        loop_leave(&t->control->loop);
    }
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    log_info(&t->control->log, "the old process %d has ended", (int)t->old_pid);
    hang_up(&t->old, &t->ev_old);
}

static void open_door(struct takeover *t);

void takeover_finish(struct takeover *t)
{
    char text[MESSAGE_MAX];

    close_untaken(t);
    if (t->old >= 0) {
        ssize_t n = say(t->old, "READY", 5) ? recv(t->old, text, sizeof(text), 0) : -1;
        for (; is_flags(text, n); n = recv(t->old, text, sizeof(text), 0))
            pauses_take(t->control, text_n(text + FLAGS_N, (size_t)n - FLAGS_N), true);
        if (n != 4 || memcmp(text, "DONE", 4) != 0) {
            log_warn(&t->control->log, "the old process %d did not say that it let go",
                     (int)t->old_pid);
            hang_up(&t->old, &t->ev_old);
        } else if (!listen_to(t, t->old, on_old, &t->ev_old)) {
            hang_up(&t->old, &t->ev_old);
        }
    }
    if (t->at_len)
        open_door(t);
}

bool takeover_has_predecessor(const struct takeover *t)
{
    return t && t->old >= 0;
}

void takeover_cancel(struct takeover *t, struct text key)
{
    char text[MESSAGE_MAX] = "CANCEL";

    if (t->old < 0 || key.n > sizeof(text) - 6)
        return;
    memcpy(text + 6, key.p, key.n);
    (void)say_now(t->old, text, 6 + key.n);
    wipe(text, sizeof(text));
}

/* ---- the old process ---- */

/* To a successor that reads: waits until there is room. */
static bool say_next(int fd, const char *text, size_t n)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int tries = 0;

    while (!say(fd, text, n))
        if (errno != EAGAIN || ++tries > 10 || poll(&p, 1, 100) < 0)
            return false;
    return true;
}

/* What is paused and disabled, in messages of whole entries. A name too long for one is left out.
 */
static bool send_flags(struct takeover *t)
{
    struct buf all;
    char text[MESSAGE_MAX];
    size_t fill = FLAGS_N;
    int n;

    if (!t->asked)
        return true;
    buf_init(&all);
    struct db_ledger **told = pauses_all(t->control, t->told, t->n_told, &all, &n);
    bool ok = told && !all.failed;
    memcpy(text, flags, FLAGS_N);
    for (size_t at = 0, one; ok && at < all.n; at += one) {
        one = strlen(all.p + at) + 1;
        if (FLAGS_N + one > sizeof(text))
            continue;
        if (fill + one > sizeof(text)) {
            ok = say_next(t->next, text, fill);
            fill = FLAGS_N;
        }
        memcpy(text + fill, all.p + at, one);
        fill += one;
    }
    ok = ok && say_next(t->next, text, fill);
    buf_release(&all);
    free(t->told);
    t->told = told;
    t->n_told = n;
    return ok;
}

static bool send_sockets(struct takeover *t, int fd)
{
    struct control *c = t->control;
    int fds[TAKEOVER_FDS];
    char text[8 + TAKEOVER_FDS + 1] = "SOCKETS ";
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * TAKEOVER_FDS)];
    } control = { 0 };
    int n = listeners_fds(c->listeners, fds, TAKEOVER_FDS - 1);

    memset(text + 8, 'c', (size_t)n);
    int http = services_metrics_fd(c);
    if (http >= 0) {
        text[8 + n] = 'm';
        fds[n++] = http;
    }
    struct iovec iov = { .iov_base = text, .iov_len = 8 + (size_t)n };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (n > 0) {
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
        memcpy(CMSG_DATA(h), fds, sizeof(int) * (size_t)n);
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

static void close_door(struct takeover *t)
{
    hang_up(&t->door, &t->ev_door);
    if (t->bound && t->path[0] != '@')
        unlink(t->path);
    t->bound = false;
}

static void let_go(struct takeover *t)
{
    struct control *c = t->control;

    close_door(t);
    log_info(&c->log, "process %d has taken over; %lld clients stay here until they leave",
             (int)t->next_pid, (long long)quota_used(&c->hub.registry.clients));
    if (!send_flags(t))
        log_warn(&c->log, "process %d cannot be told what is paused or disabled", (int)t->next_pid);
    control_handed_over(c);
    say(t->next, "DONE", 4);
}

static void on_message(struct takeover *t, const char *text, size_t n)
{
    struct control *c = t->control;
    bool over = atomic_load(&c->hub.registry.handed_over);

    if (n == sizeof(hello) - 1 && memcmp(text, hello, n) == 0 && !over) {
        t->offered = c->shutdown == RUNNING && send_flags(t) && send_sockets(t, t->next);
        if (t->offered)
            log_info(&c->log, "process %d is about to take over", (int)t->next_pid);
        else
            hang_up(&t->next, &t->ev_next);
    } else if (n == 5 && memcmp(text, "READY", 5) == 0 && !over && t->offered) {
        let_go(t);
    } else if (n == 5 && memcmp(text, "STATE", 5) == 0 && !over) {
        t->asked = true;
    } else if (is_flags(text, (ssize_t)n) && over) {
        pauses_take(c, text_n(text + FLAGS_N, n - FLAGS_N), true);
        pass_on(t, text, n, false);
    } else if (n > 6 && memcmp(text, "CANCEL", 6) == 0) {
        hub_cancel(&c->hub, text_n(text + 6, n - 6));
        if (n - 6 == CANCEL_KEY_SHORT) /* perhaps of a console that stayed here */
            console_cancel(c->console, (const unsigned char *)text + 6);
        takeover_cancel(t, text_n(text + 6, n - 6));
    }
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    struct takeover *t = arg;
    struct loop *l = &t->control->loop;
    char text[MESSAGE_MAX];
    (void)what;

    loop_enter(l);
    ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
    if (n > 0) {
        on_message(t, text, (size_t)n);
        wipe(text, sizeof(text));
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (!atomic_load(&t->control->hub.registry.handed_over))
            log_warn(&t->control->log, "process %d did not take over, going on", (int)t->next_pid);
        hang_up(&t->next, &t->ev_next);
    }
    loop_leave(l);
}

static void on_knock(evutil_socket_t door, short what, void *arg)
{
    struct takeover *t = arg;
    struct event *none = NULL;
    (void)what;

    int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    pid_t pid;
    if (t->next >= 0 || !trusted(t, fd, &pid) || !listen_to(t, fd, on_next, &t->ev_next)) {
        log_warn(&t->control->log, "takeover refused: %s",
                 t->next >= 0 ? "another process takes over" : "not from this user");
        hang_up(&fd, &none);
        return;
    }
    t->next = fd;
    t->next_pid = pid;
    t->offered = t->asked = false;
    free(t->told);
    t->told = NULL;
    t->n_told = 0;
}

static void open_door(struct takeover *t)
{
    struct log *log = &t->control->log;
    const struct sockaddr *at = (const struct sockaddr *)&t->at;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    t->door = fd;
    if (fd >= 0 && t->path[0] != '@') {
        int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe >= 0 && connect(probe, at, t->at_len) != 0 && errno == ECONNREFUSED)
            unlink(t->path); /* nobody is there any more */
        if (probe >= 0)
            close(probe);
    }
    t->bound = fd >= 0 && bind(fd, at, t->at_len) == 0;
    if (t->bound && (t->path[0] == '@' || chmod(t->path, 0600) == 0) && listen(fd, 4) == 0 &&
        listen_to(t, fd, on_knock, &t->ev_door))
        return;
    log_warn(log, "cannot listen on %s: %s; no other process can take over (-R)", t->path,
             strerror(errno));
    close_door(t);
}

void takeover_free(struct takeover *t)
{
    if (!t)
        return;
    close_untaken(t);
    close_door(t);
    hang_up(&t->old, &t->ev_old);
    hang_up(&t->next, &t->ev_next);
    buf_release(&t->heard);
    free(t->told);
    free(t);
}
