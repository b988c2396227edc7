/* SPDX-License-Identifier: ISC */
/* Listeners: accepting, refused addresses, Unix sockets, pause. */
#include "net_help.h"

#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

struct door {
    int tcp, local, fd;
};

static void on_accepted(void *arg, int fd, bool is_unix)
{
    struct door *d = arg;
    if (is_unix)
        d->local++;
    else
        d->tcp++;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = fd;
}

static bool somebody(void *arg)
{
    struct door *d = arg;
    return d->tcp + d->local > 0;
}

/* A port that is free now. */
static int free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&in, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) != 0) {
        printf("Bail out! no port\n");
        exit(1);
    }
    close(fd);
    return ntohs(in.sin_port);
}

static int knock_tcp(int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    in.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int knock_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    memcpy(un.sun_path, path, n);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    else
        len++;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&un, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool drained(void *arg)
{
    return !listeners_draining(arg);
}

static void tcp(struct runner *r)
{
    struct err e = { 0 };
    struct door d = { .fd = -1 };
    struct listener_opts o = { .listen_addr = "127.0.0.1", .port = free_port(), .backlog = 8 };
    struct listeners *ls = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    ok(ls != NULL, "listening %s", e.msg);
    int fd = knock_tcp(o.port);
    ok(fd >= 0 && run_until(r, somebody, &d), "accepted");
    ok(d.tcp == 1 && d.local == 0, "as TCP");
    ok((fcntl(d.fd, F_GETFL) & O_NONBLOCK) && (fcntl(d.fd, F_GETFD) & FD_CLOEXEC),
       "nonblocking, close-on-exec");
    close(fd);
    char want[128];
    snprintf(want, sizeof(want), "cannot listen on 127.0.0.1/%d: Address already in use", o.port);
    struct listeners *second = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    ok(!second, "the port is taken");
    is_text((const char *)e.msg, (const char *)want, "and it says so");
    listeners_pause(ls, true);
    fd = knock_tcp(o.port);
    run_turns(r, 5);
    is_int(d.tcp, 1, "not accepted while paused");
    listeners_pause(ls, false);
    run_turns(r, 5);
    is_int(d.tcp, 2, "accepted after");
    close(fd);
    fd = knock_tcp(o.port);
    listeners_close_tcp(ls);
    is_int(d.tcp, 3, "who had connected before the end is accepted");
    close(fd);
    ok(listeners_draining(ls) && run_until(r, drained, ls), "closed a moment later");
    is_int(knock_tcp(o.port), -1, "closed");
    listeners_close(ls);
    close(d.fd);
    o.listen_addr = "127.0.0.1, 192.0.2.1";
    ok(!listeners_open(&r->loop, &o, on_accepted, &d, &e), "an address that is not ours");
    snprintf(want, sizeof(want), "cannot listen on 192.0.2.1/%d: Cannot assign requested address",
             o.port);
    is_text((const char *)e.msg, (const char *)want, "is named");
    is_int(knock_tcp(o.port), -1, "and nothing stays open");
    o.listen_addr = "*";
    o.reuseport = true;
    o.defer_accept = true;
    ls = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    ok(ls != NULL, "all addresses %s", e.msg);
    fd = knock_tcp(o.port);
    ok(fd >= 0, "connected");
    close(fd);
    if (ls)
        listeners_close(ls);
    o.listen_addr = "no such host";
    ok(!listeners_open(&r->loop, &o, on_accepted, &d, &e) && strstr(e.msg, "no such host"),
       "a name without address: %s", e.msg);
}

static void local(struct runner *r)
{
    struct err e = { 0 };
    struct door d = { .fd = -1 };
    char dir[] = "net_listener.XXXXXX", path[128];
    if (!mkdtemp(dir)) {
        printf("Bail out! no directory\n");
        exit(1);
    }
    struct listener_opts o = { .listen_addr = "", .port = 6432, .backlog = 8 };
    o.unix_dir = dir;
    o.unix_mode = 0700;
    o.unix_group = "";
    snprintf(path, sizeof(path), "%s/.s.PGSQL.6432", dir);
    struct listeners *ls = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    ok(ls != NULL, "Unix socket %s", e.msg);
    struct stat st;
    ok(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0700,
       "with its mode");
    int fd = knock_unix(path);
    ok(fd >= 0 && run_until(r, somebody, &d) && d.local == 1, "accepted");
    close(fd);
    ok(!listeners_open(&r->loop, &o, on_accepted, &d, &e) &&
           strstr(e.msg, "Address already in use"),
       "taken: %s", e.msg);
    ok(stat(path, &st) == 0, "and left alone");
    listeners_close_tcp(ls);
    ok(stat(path, &st) == 0, "closing TCP leaves it");
    listeners_close(ls);
    ok(stat(path, &st) != 0, "closing removes the file");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    memcpy(un.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0, "somebody leaves a socket file");
    close(fd);
    ls = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    ok(ls != NULL, "which is replaced %s", e.msg);
    if (ls)
        listeners_close(ls);
    o.unix_group = "no_such_group_here";
    ok(!listeners_open(&r->loop, &o, on_accepted, &d, &e), "group: %s", e.msg);
    ok(stat(path, &st) != 0, "no file left behind");
    rmdir(dir);
    char abstract[64], name[128];
    snprintf(abstract, sizeof(abstract), "@net_listener_%d", (int)getpid());
    o.unix_dir = abstract;
    o.unix_group = NULL;
    snprintf(name, sizeof(name), "%s/.s.PGSQL.6432", abstract);
    ls = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    ok(ls != NULL, "abstract socket %s", e.msg);
    fd = knock_unix(name);
    ok(fd >= 0, "reached");
    close(fd);
    if (ls)
        listeners_close(ls);
    if (d.fd >= 0)
        close(d.fd);
}

/* No descriptor left: accepting rests and starts again by itself. */
static void exhausted(struct runner *r)
{
    struct err e = { 0 };
    struct door d = { .fd = -1 };
    struct listener_opts o = { .listen_addr = "127.0.0.1", .port = free_port(), .backlog = 8 };
    struct listeners *ls = listeners_open(&r->loop, &o, on_accepted, &d, &e);
    int fd = knock_tcp(o.port);
    struct rlimit old, low;
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)fd + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    run_turns(r, 5);
    is_int(d.tcp, 0, "nothing to be accepted with");
    uint64_t turns = atomic_load(&r->loop.turns);
    run_turns(r, 5);
    ok(atomic_load(&r->loop.turns) - turns < 20, "and no busy waiting");
    setrlimit(RLIMIT_NOFILE, &old);
    ok(run_until(r, somebody, &d), "accepted when there are descriptors again");
    close(fd);
    close(d.fd);
    listeners_close(ls);
}

int main(void)
{
    struct runner r;
    runner_init(&r);
    tcp(&r);
    local(&r);
    exhausted(&r);
    loop_release(&r.loop);
    return tap_done();
}
