/* SPDX-License-Identifier: ISC */
/* Talking to systemd: readiness, status, watchdog; sockets that it made. */
#include "main/notify.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* The number in a variable; false when it is not there or is none. */
static bool env_number(const char *name, long long *out)
{
    const char *p = getenv(name);
    char *end;

    if (!p || *p < '0' || *p > '9')
        return false;
    errno = 0;
    *out = strtoll(p, &end, 10);
    return errno == 0 && *end == '\0';
}

/* Is it for us? Without the variable it is for everybody. */
static bool env_pid(const char *name, bool wanted)
{
    long long pid;

    return getenv(name) ? env_number(name, &pid) && pid == getpid() : !wanted;
}

static void find_socket(struct notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;

    if (len < 2 || len >= sizeof(n->to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    n->to.sun_family = AF_UNIX;
    memcpy(n->to.sun_path, path, len);
    n->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (path[0] == '@')
        n->to.sun_path[0] = '\0';
    else
        n->len++;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static bool find_sockets(struct notify *n, struct err *e)
{
    const char *names = getenv("LISTEN_FDNAMES");
    struct text rest = text_of(names ? names : ""), name;
    long long count;

    if (!env_pid("LISTEN_PID", true) || !env_number("LISTEN_FDS", &count))
        return true;
    if (count > ACTIVATED_MAX)
        return err_set(e, "LISTEN_FDS: more than %d sockets", ACTIVATED_MAX);
    for (int i = 0; i < count; i++) {
        bool named = text_split(&rest, ':', &name);
        if (named && text_is(name, "metrics") && n->metrics < 0)
            n->metrics = FIRST_FD + i;
        else
            n->sockets[n->n_sockets++] = FIRST_FD + i;
    }
    return true;
}

bool notify_init(struct notify *n, struct err *e)
{
    static const char *const ours[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                        "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES" };
    long long us;

    *n = (struct notify){ .fd = -1, .metrics = -1 };
    find_socket(n);
    if (env_pid("WATCHDOG_PID", false) && env_number("WATCHDOG_USEC", &us) && us > 0)
        n->watchdog = (usec_t)us / 2;
    bool ok = find_sockets(n, e);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        unsetenv(ours[i]);
    return ok;
}

void notify_send(const struct notify *n, const char *text)
{
    if (n->fd < 0)
        return;
    while (sendto(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)&n->to, n->len) < 0 &&
           errno == EINTR)
        ;
}

void notify_ready(const struct notify *n, bool pid)
{
    char text[64];

    snprintf(text, sizeof(text), "MAINPID=%ld\nREADY=1", (long)getpid());
    notify_send(n, pid ? text : "READY=1");
}

void notify_reloading(const struct notify *n)
{
    char text[64];

    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)clock_mono_us());
    notify_send(n, text);
}

void notify_status(struct notify *n, const char *fmt, ...)
{
    char text[sizeof(n->status)] = "STATUS=";
    va_list ap;

    if (n->fd < 0)
        return;
    va_start(ap, fmt);
    vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
    va_end(ap);
    if (strcmp(text, n->status) == 0)
        return;
    memcpy(n->status, text, sizeof(text));
    notify_send(n, text);
}

bool notify_due(const struct notify *n, usec_t now)
{
    return n->watchdog && now - n->pinged >= n->watchdog;
}

void notify_ping(struct notify *n, usec_t now)
{
    n->pinged = now;
    notify_send(n, "WATCHDOG=1");
}

void notify_release(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    for (int i = 0; i < n->n_sockets; i++)
        close(n->sockets[i]);
    if (n->metrics >= 0)
        close(n->metrics);
    n->fd = n->metrics = -1;
    n->n_sockets = 0;
}
