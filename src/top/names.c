/* SPDX-License-Identifier: ISC */
/* Names of hosts, looked up by a thread for each list. Owner and thread hold it; the last frees. */
#include "top/names.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX 32 /* of one list; libpq tries them one by one */

struct look_up {
    atomic_int holders;
    atomic_bool done;
    int wake[2]; /* a pipe; its end wakes the owner */
    char *hosts, *ports;
    /* the thread's until it is done */
    struct buf out[3]; /* hosts, addresses, ports */
    int n;
    char why[200];
};

void names_release(struct names *n)
{
    free(n->hosts);
    free(n->addresses);
    free(n->ports);
    *n = (struct names){ 0 };
}

/* Is it one that takes a look-up: no directory and no address? */
static bool has_name(const char *host)
{
    struct in6_addr any;

    return *host && *host != '/' && *host != '@' && inet_pton(AF_INET, host, &any) != 1 &&
           inet_pton(AF_INET6, host, &any) != 1;
}

/* The next of a list, malloc'ed; NULL: out of memory. */
static char *next_of(struct text *list)
{
    struct text one;

    return text_dup(text_split(list, ',', &one) ? one : text_n("", 0));
}

bool names_needed(const char *hosts)
{
    struct text list = text_of(hosts);
    bool needed = false;

    while (list.n && !needed) {
        char *host = next_of(&list);
        needed = host && has_name(host);
        free(host);
    }
    return needed;
}

/* ---- the thread ---- */

static void add(struct look_up *l, const char *host, const char *address, struct text port)
{
    const struct text parts[] = { text_of(host), text_of(address), port };

    for (int i = 0; i < 3; i++) {
        if (l->n)
            buf_char(&l->out[i], ',');
        buf_text_append(&l->out[i], parts[i]);
    }
    l->n++;
}

static void find(struct look_up *l, const char *host, struct text port)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *all = NULL;
    char text[NI_MAXHOST];

    if (!has_name(host)) {
        add(l, host, "", port);
        return;
    }
    int rc = getaddrinfo(host, NULL, &hints, &all);
    for (struct addrinfo *a = rc ? NULL : all; a && l->n < ADDRESSES_MAX; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) ==
            0)
            add(l, host, text, port);
    if (rc)
        snprintf(l->why, sizeof(l->why), "cannot look up the name %.80s: %s", host,
                 gai_strerror(rc));
    else
        freeaddrinfo(all);
}

static void let_go(struct look_up *l)
{
    if (atomic_fetch_sub(&l->holders, 1) > 1)
        return;
    for (int i = 0; i < 2; i++)
        if (l->wake[i] >= 0)
            close(l->wake[i]);
    for (int i = 0; i < 3; i++)
        buf_release(&l->out[i]);
    free(l->hosts);
    free(l->ports);
    free(l);
}

static void *run(void *arg)
{
    struct look_up *l = arg;
    struct text hosts = text_of(l->hosts), ports = text_of(l->ports), port = { 0 };

    while (hosts.n && l->n < ADDRESSES_MAX) {
        char *host = next_of(&hosts);
        if (ports.n)
            (void)text_split(&ports, ',', &port);
        if (host)
            find(l, host, port);
        free(host);
    }
    int fd = l->wake[1];
    l->wake[1] = -1;
    atomic_store(&l->done, true); /* from here on the answer is the owner's */
    close(fd);
    let_go(l);
    return NULL;
}

/* ---- the owner ---- */

/* The terminal's signals are for the other thread. */
static bool begin(struct look_up *l)
{
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_detach(thread);
    return rc == 0;
}

struct look_up *look_up_start(const char *hosts, const char *ports, struct err *e)
{
    struct look_up *l = calloc(1, sizeof(*l));

    if (!l) {
        err_set(e, "out of memory");
        return NULL;
    }
    atomic_init(&l->holders, 2);
    l->wake[0] = l->wake[1] = -1;
    l->hosts = strdup(hosts);
    l->ports = strdup(ports);
    if (l->hosts && l->ports && pipe2(l->wake, O_CLOEXEC) == 0 && begin(l))
        return l;
    err_set(e, "cannot look up names: %s", strerror(errno));
    atomic_store(&l->holders, 1);
    let_go(l);
    return NULL;
}

int look_up_fd(const struct look_up *l)
{
    return l->wake[0];
}

static char *text_or_null(const struct buf *b)
{
    return b->failed ? NULL : text_dup(buf_text(b));
}

bool look_up_done(struct look_up *l, struct names *out, bool *good, struct err *e)
{
    if (!atomic_load(&l->done))
        return false;
    *out = (struct names){ .hosts = text_or_null(&l->out[0]),
                           .addresses = text_or_null(&l->out[1]),
                           .ports = text_or_null(&l->out[2]) };
    *good = l->n > 0 && out->hosts && out->addresses && out->ports;
    if (!*good) {
        err_set(e, "%s", l->n == 0 && l->why[0] ? l->why : l->n ? "out of memory" : "no address");
        names_release(out);
    }
    let_go(l);
    return true;
}

void look_up_forget(struct look_up *l)
{
    if (l)
        let_go(l);
}
