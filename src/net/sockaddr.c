/* SPDX-License-Identifier: ISC */
/* Socket addresses as text, and socket options. */
#include "net/conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

bool sockaddr_unix(const char *dir, int port, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_un *un = (struct sockaddr_un *)out;

    *un = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(un->sun_path, sizeof(un->sun_path), "%s/.s.PGSQL.%d", dir, port);
    if (n < 0 || (size_t)n >= sizeof(un->sun_path))
        return false;
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
    if (dir[0] == '@') {
        un->sun_path[0] = '\0';
        --*len;
    }
    return true;
}

void sockaddr_set_port(struct sockaddr_storage *ss, int port)
{
    if (ss->ss_family == AF_INET)
        ((struct sockaddr_in *)ss)->sin_port = htons((uint16_t)port);
    else if (ss->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)ss)->sin6_port = htons((uint16_t)port);
}

void sockaddr_text(const struct sockaddr_storage *ss, char *out, size_t size, int *port)
{
    const char *text = NULL;
    *port = 0;
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, ss, sizeof(in));
        text = inet_ntop(AF_INET, &in.sin_addr, out, (socklen_t)size);
        *port = ntohs(in.sin_port);
    } else if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, ss, sizeof(in));
        text = inet_ntop(AF_INET6, &in.sin6_addr, out, (socklen_t)size);
        *port = ntohs(in.sin6_port);
    } else if (ss->ss_family == AF_UNIX) {
        snprintf(out, size, "unix");
        return;
    }
    if (!text)
        snprintf(out, size, "?");
}

uint32_t sock_peer_pid(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return 0;
    return (uint32_t)cred.pid;
}

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value,
               sizeof(value)); /* a refusal leaves the default, which works too */
}

void sock_tune(int fd, const struct sock_opts *o)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (o->buffer > 0) {
        set(fd, SOL_SOCKET, SO_SNDBUF, o->buffer);
        set(fd, SOL_SOCKET, SO_RCVBUF, o->buffer);
    }
    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
        (ss.ss_family != AF_INET && ss.ss_family != AF_INET6))
        return;
    if (o->user_timeout_ms > 0)
        set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, o->user_timeout_ms);
    if (!o->keepalive)
        return;
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (o->keepcnt > 0)
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
    if (o->keepidle > 0)
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
    if (o->keepintvl > 0)
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
}
