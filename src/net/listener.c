/* SPDX-License-Identifier: ISC */
/* Listening sockets and accepting. */
#include "net/listener.h"

#include "net/conn_int.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS 64                        /* accepted per readiness */
#define ACCEPT_REST (100 * USEC_PER_MSEC) /* pause when there are no descriptors */
/* For handshakes that have begun, and (TCP_DEFER_ACCEPT) for clients that have connected and are
 * about to send: to them the connection is there, to us it comes with their first byte. Less than
 * the second after which a dropped request comes again. */
#define DRAIN_TIME (900 * USEC_PER_MSEC)

struct listener {
    struct listener *next;
    struct listeners *set;
    int fd;
    bool is_unix;
    bool lent;  /* systemd's: it has the socket too, and goes on listening when we close ours */
    char *path; /* to unlink; NULL for TCP, abstract and lent sockets */
    struct event *ev;
};

struct listeners {
    struct loop *loop;
    struct listener *first;
    void (*accepted)(void *arg, int fd, bool is_unix);
    void *arg;
    bool paused, resting, draining;
    struct loop_timer rest, drained;
};

static void update_events(struct listeners *ls)
{
    bool run = !ls->paused && !ls->resting;
    for (struct listener *i = ls->first; i; i = i->next)
        if (run)
            event_add(i->ev, NULL);
        else
            event_del(i->ev);
}

static void rest_over(void *arg)
{
    struct listeners *ls = arg;
    ls->resting = false;
    update_events(ls);
}

/* Out of descriptors or memory: waiting connections stay in the backlog for a moment. */
static void take_rest(struct listeners *ls)
{
    ls->resting = true;
    update_events(ls);
    loop_timer_set(&ls->rest, ACCEPT_REST);
}

static void accept_some(struct listener *i)
{
    struct listeners *ls = i->set;
    struct loop *l = ls->loop;
    bool is_unix = i->is_unix;
    int fd = i->fd;
    for (int n = 0; n < ACCEPTS && !ls->paused; n++) {
        int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got >= 0) {
            ls->accepted(ls->arg, got, is_unix);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            char text[128];
            if (l->log)
                log_warn(l->log, "cannot accept: %s", errno_text(errno, text, sizeof(text)));
            take_rest(ls);
            break;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        /* Others are about the connection that has gone already (accept(2)). */
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *i = arg;
    struct loop *l = i->set->loop;
    (void)fd;
    (void)what;
    loop_enter(l);
    accept_some(i);
    loop_leave(l);
}

static struct listener *add_listener(struct listeners *ls, int fd, bool is_unix)
{
    struct listener *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->set = ls;
    i->fd = fd;
    i->is_unix = is_unix;
    i->ev = event_new(ls->loop->base, fd, EV_READ | EV_PERSIST, on_accept, i);
    if (!i->ev) {
        free(i);
        return NULL;
    }
    i->next = ls->first;
    ls->first = i;
    return i;
}

static bool set_flag(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Does the socket listen there? */
static bool listens_at(int fd, const struct sockaddr *want, socklen_t len)
{
    struct sockaddr_storage have;
    socklen_t n = sizeof(have);
    if (getsockname(fd, (struct sockaddr *)&have, &n) != 0 || have.ss_family != want->sa_family)
        return false;
    if (want->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)&have, *b = (const void *)want;
        return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
    }
    if (want->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)&have, *b = (const void *)want;
        return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
               memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
    }
    return n == len && memcmp(&have, want, n) == 0;
}

int listener_take(int *fds, int n, const struct sockaddr *want, socklen_t len)
{
    for (int i = 0; i < n; i++)
        if (fds[i] >= 0 && listens_at(fds[i], want, len)) {
            int fd = fds[i];
            fds[i] = -1;
            return fd;
        }
    return -1;
}

/* A bound and listening TCP socket, or -1 with errno. */
static int open_tcp(const struct addrinfo *ai, const struct listener_opts *o)
{
    int fd = listener_take(o->inherited, o->n_inherited, ai->ai_addr, ai->ai_addrlen);
    if (fd >= 0)
        return fd;
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool fine = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (fine && ai->ai_family == AF_INET6)
        fine = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (fine && o->reuseport)
        fine = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (fine && o->defer_accept)
        fine = set_flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->defer_accept);
    fine = fine && bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, o->backlog) == 0;
    if (fine)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* All addresses of one word of listen_addr; a name or `*` may lack one family. */
static bool listen_tcp(struct listeners *ls, const struct listener_opts *o, const char *word,
                       struct err *e)
{
    bool any = strcmp(word, "*") == 0;
    char port[16], text[128];
    snprintf(port, sizeof(port), "%d", o->port);
    struct addrinfo want = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *list = NULL;
    want.ai_flags = AI_PASSIVE;
    int rc = getaddrinfo(any ? NULL : word, port, &want, &list);
    if (rc != 0)
        return err_set(e, "cannot listen on %s/%d: %s", word, o->port,
                       rc == EAI_SYSTEM ? errno_text(errno, text, sizeof(text)) : gai_strerror(rc));
    int opened = 0, lacking = 0;
    bool fine = true;
    for (struct addrinfo *ai = list; ai && fine; ai = ai->ai_next) {
        int fd = open_tcp(ai, o);
        if (fd >= 0) {
            fine = add_listener(ls, fd, false) != NULL;
            if (fine) {
                opened++;
                continue;
            }
            close(fd);
            errno = ENOMEM;
        } else if ((errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && list->ai_next) {
            lacking = errno;
            continue;
        }
        fine = false;
        err_set(e, "cannot listen on %s/%d: %s", word, o->port,
                errno_text(errno, text, sizeof(text)));
    }
    freeaddrinfo(list);
    if (fine && !opened)
        return err_set(e, "cannot listen on %s/%d: %s", word, o->port,
                       errno_text(lacking, text, sizeof(text)));
    return fine;
}

static bool listen_tcp_all(struct listeners *ls, const struct listener_opts *o, struct err *e)
{
    struct text rest = text_of(o->listen_addr ? o->listen_addr : ""), word;
    while (text_split(&rest, ',', &word)) {
        word = text_trim(word);
        if (word.n == 0)
            continue;
        char *name = strndup(word.p, word.n);
        if (!name)
            return err_set(e, "out of memory");
        bool fine = listen_tcp(ls, o, name, e);
        free(name);
        if (!fine)
            return false;
    }
    return true;
}

/* Removes a socket file that nobody answers on; false with errno when somebody does. */
static bool clear_stale(const struct sockaddr_un *un, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, (const struct sockaddr *)un, len);
    int err = errno;
    close(fd);
    if (rc == 0 || err == EAGAIN || err == EINPROGRESS) {
        errno = EADDRINUSE;
        return false;
    }
    if (err == ECONNREFUSED && unlink(un->sun_path) != 0)
        return false;
    return true; /* no file, or not a socket: bind will tell */
}

static bool set_rights(const char *path, const struct listener_opts *o, struct err *e)
{
    char text[128];
    if (o->unix_owner != 0 && chown(path, o->unix_owner, (gid_t)-1) != 0)
        return err_set(e, "cannot give %s to user %u: %s", path, (unsigned)o->unix_owner,
                       errno_text(errno, text, sizeof(text)));
    if (o->unix_group && *o->unix_group) {
        errno = 0;
        struct group *g = getgrnam(o->unix_group);
        if (!g)
            return err_set(e, "unix_socket_group: no such group: %s", o->unix_group);
        if (chown(path, (uid_t)-1, g->gr_gid) != 0)
            return err_set(e, "cannot give %s to group %s: %s", path, o->unix_group,
                           errno_text(errno, text, sizeof(text)));
    }
    if (chmod(path, (mode_t)o->unix_mode) != 0)
        return err_set(e, "cannot set the mode of %s: %s", path,
                       errno_text(errno, text, sizeof(text)));
    return true;
}

/* Binds the Unix socket and, unless abstract, sets its rights; nobody can connect before listen().
 */
static bool bind_unix(int fd, const struct sockaddr_un *un, socklen_t len, const char *path,
                      const struct listener_opts *o, bool *bound, struct err *e)
{
    char text[128];
    bool abstract = path[0] == '@';
    if ((!abstract && !clear_stale(un, len)) || bind(fd, (const struct sockaddr *)un, len) != 0)
        return err_set(e, "cannot listen on %s: %s", path, errno_text(errno, text, sizeof(text)));
    *bound = !abstract;
    if (!abstract && !set_rights(path, o, e))
        return false;
    if (listen(fd, o->backlog) != 0)
        return err_set(e, "cannot listen on %s: %s", path, errno_text(errno, text, sizeof(text)));
    return true;
}

static bool listen_unix(struct listeners *ls, const struct listener_opts *o, struct err *e)
{
    char *path;
    if (!o->unix_dir || !*o->unix_dir)
        return true;
    if (asprintf(&path, "%s/.s.PGSQL.%d", o->unix_dir, o->port) < 0)
        return err_set(e, "out of memory");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    bool bound = false, fine = false;
    int fd = -1;
    struct listener *i = NULL;
    if (n >= sizeof(un.sun_path)) {
        err_set(e, "cannot listen on %s: the path is longer than %zu bytes", path,
                sizeof(un.sun_path) - 1);
    } else {
        memcpy(un.sun_path, path, n + 1);
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
        if (path[0] == '@') {
            un.sun_path[0] = '\0';
            len--; /* an abstract name ends with its length */
        }
        fd = listener_take(o->inherited, o->n_inherited, (const struct sockaddr *)&un, len);
        bool taken = fd >= 0;
        if (!taken)
            fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            err_set(e, "cannot listen on %s: no descriptor", path);
        else
            fine = taken || bind_unix(fd, &un, len, path, o, &bound, e);
        if (taken)
            bound = path[0] != '@';
    }
    if (fine && !(i = add_listener(ls, fd, true)))
        fine = err_set(e, "out of memory");
    if (i && bound) {
        i->path = path;
        return true;
    }
    if (!fine && bound) /* out of memory, or rights that could not be set */
        unlink(path);
    if (!fine && fd >= 0)
        close(fd);
    free(path);
    return fine;
}

/* Sockets that systemd made: taken as they are. */
static bool adopt_all(struct listeners *ls, const struct listener_opts *o, struct err *e)
{
    for (int i = 0; i < o->n_activated; i++) {
        int fd = o->activated[i], type = 0, listening = 0, domain = 0;
        socklen_t n = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_STREAM ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) != 0 || !listening ||
            getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0)
            return err_set(e, "descriptor %d from LISTEN_FDS is no listening stream socket", fd);
        if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
            return err_set(e, "descriptor %d from LISTEN_FDS is neither TCP nor Unix", fd);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
            return err_set(e, "descriptor %d from LISTEN_FDS: %s", fd, strerror(errno));
        struct listener *l = add_listener(ls, fd, domain == AF_UNIX);
        if (!l)
            return err_set(e, "out of memory");
        l->lent = true;
    }
    return true;
}

static bool all(const struct listener *i)
{
    (void)i;
    return true;
}

static bool all_tcp(const struct listener *i)
{
    return !i->is_unix;
}

static bool lent_tcp(const struct listener *i)
{
    return !i->is_unix && i->lent;
}

static void close_some(struct listeners *ls, bool (*which)(const struct listener *))
{
    struct listener **at = &ls->first;
    while (*at) {
        struct listener *i = *at;
        if (!which(i)) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        event_free(i->ev);
        close(i->fd);
        if (i->path)
            unlink(i->path);
        free(i->path);
        free(i);
    }
}

static void drain_over(void *arg)
{
    struct listeners *ls = arg;
    for (struct listener *i = ls->first; i; i = i->next)
        if (!i->is_unix)
            accept_some(i);
    close_some(ls, all_tcp);
    ls->draining = false;
}

struct listeners *listeners_open(struct loop *l, const struct listener_opts *o,
                                 void (*accepted)(void *arg, int fd, bool is_unix), void *arg,
                                 struct err *e)
{
    struct listeners *ls = calloc(1, sizeof(*ls));
    if (!ls || !loop_timer_init(&ls->rest, l, rest_over, ls) ||
        !loop_timer_init(&ls->drained, l, drain_over, ls)) {
        if (ls)
            loop_timer_release(&ls->rest);
        free(ls);
        err_set(e, "out of memory");
        return NULL;
    }
    ls->loop = l;
    ls->accepted = accepted;
    ls->arg = arg;
    if (o->n_activated ? !adopt_all(ls, o, e)
                       : !listen_tcp_all(ls, o, e) || !listen_unix(ls, o, e)) {
        listeners_close(ls);
        return NULL;
    }
    update_events(ls);
    return ls;
}

void listeners_pause(struct listeners *ls, bool pause)
{
    ls->paused = pause;
    update_events(ls);
}

/* From now on the kernel drops requests to connect, without an answer; what has begun is finished.
 * With so_reuseport the client's next attempt, a second later, meets another process. */
static void refuse_syn(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* flags of the TCP header */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog prog = { .len = 4, .filter = code };
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
    (void)set_flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
}

void listeners_close_tcp(struct listeners *ls)
{
    close_some(ls, lent_tcp);
    for (struct listener *i = ls->first; i; i = i->next)
        if (!i->is_unix) {
            refuse_syn(i->fd);
            accept_some(i);
            ls->draining = true;
        }
    if (ls->draining)
        loop_timer_set(&ls->drained, DRAIN_TIME);
}

bool listeners_draining(const struct listeners *ls)
{
    return ls->draining;
}

int listeners_fds(const struct listeners *ls, int *fds, int max)
{
    int n = 0;
    for (struct listener *i = ls->first; i && n < max; i = i->next)
        fds[n++] = i->fd;
    return n;
}

void listeners_leave(struct listeners *ls)
{
    for (struct listener *i = ls->first; i; i = i->next) {
        free(i->path);
        i->path = NULL;
    }
    close_some(ls, all);
}

void listeners_close(struct listeners *ls)
{
    if (!ls)
        return;
    close_some(ls, all);
    loop_timer_release(&ls->rest);
    loop_timer_release(&ls->drained);
    free(ls);
}
