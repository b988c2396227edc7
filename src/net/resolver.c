/* SPDX-License-Identifier: ISC */
/*
 * Names to addresses. One record per name: a running look-up with those who wait for it, or an
 * answer with the time until which it is good. The answer's own time to live is not known
 * (getaddrinfo does not tell), the configured one counts.
 */
#include "net/resolver.h"

#include "base/check.h"
#include "base/map.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HOSTS_FILE "/etc/hosts"
#define NAMES_SWEEP 256 /* with that many names old answers are looked for and dropped */

struct resolver_query {
    struct list node; /* in name.waiters */
    void (*done)(void *arg, const struct resolver_addr *a, int n, const char *text);
    void *arg;
};

struct name {
    struct list orphan;        /* in loop.dns_orphans; first member: the loop frees by it */
    struct resolver *resolver; /* NULL: gone while the look-up ran */
    char *host;
    struct list waiters;
    bool busy;
    usec_t expires;
    struct resolver_addr *addrs;
    int n;
    const char *text; /* why there is none; constant of libevent's */
};

struct resolver {
    struct loop *loop;
    struct resolver_opts opts;
    char *resolv_conf;
    struct map names; /* host → struct name */
    int pending;
    struct timespec hosts_mtime;
};

struct resolver *resolver_new(struct loop *l, const struct resolver_opts *o)
{
    struct resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->loop = l;
    r->opts = *o;
    if (o->resolv_conf && *o->resolv_conf && !(r->resolv_conf = strdup(o->resolv_conf))) {
        free(r);
        return NULL;
    }
    map_init(&r->names);
    return r;
}

static void name_free(struct name *n)
{
    free(n->addrs);
    free(n->host);
    free(n);
}

static void drop_waiters(struct name *n)
{
    struct list *w;
    while ((w = list_pop(&n->waiters)))
        free(LIST_ENTRY(w, struct resolver_query, node));
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    size_t pos = 0;
    void *value;
    while (map_next(&r->names, &pos, NULL, &value)) {
        struct name *n = value;
        drop_waiters(n);
        if (n->busy) { /* libevent still knows it */
            n->resolver = NULL;
            free(n->host);
            n->host = NULL;
            list_push_tail(&r->loop->dns_orphans, &n->orphan);
        } else {
            name_free(n);
        }
    }
    map_release(&r->names);
    free(r->resolv_conf);
    free(r);
}

/* ---- answers ---- */

static bool same_address(const struct sockaddr *a, const struct resolver_addr *b, socklen_t len)
{
    return b->len == len && memcmp(a, &b->ss, len) == 0;
}

/* Copies addresses of one family behind those that are there, each once. */
static void add_family(struct name *n, const struct evutil_addrinfo *list, int family)
{
    for (const struct evutil_addrinfo *ai = list; ai; ai = ai->ai_next) {
        socklen_t len = (socklen_t)ai->ai_addrlen;
        bool seen = ai->ai_family != family || len > sizeof(n->addrs->ss);
        for (int i = 0; i < n->n && !seen; i++)
            seen = same_address(ai->ai_addr, &n->addrs[i], len);
        if (seen)
            continue;
        memcpy(&n->addrs[n->n].ss, ai->ai_addr, len);
        n->addrs[n->n].len = len;
        n->n++;
    }
}

/* IPv4 first: what a name like localhost means is then the same on each machine. */
static void take_addresses(struct name *n, const struct evutil_addrinfo *list)
{
    size_t count = 0;
    for (const struct evutil_addrinfo *ai = list; ai; ai = ai->ai_next)
        count++;
    n->addrs = count ? calloc(count, sizeof(*n->addrs)) : NULL;
    if (!n->addrs)
        return;
    add_family(n, list, AF_INET);
    add_family(n, list, AF_INET6);
}

static void tell(struct name *n)
{
    struct list waiting, *w;
    list_init(&waiting);
    while ((w = list_pop(&n->waiters)))
        list_push_tail(&waiting, w);
    /* A callback may cancel others (they are unlinked), and ask again (answered from here). */
    while ((w = list_pop(&waiting))) {
        struct resolver_query q = *LIST_ENTRY(w, struct resolver_query, node);
        free(LIST_ENTRY(w, struct resolver_query, node));
        q.done(q.arg, n->addrs, n->n, n->text);
    }
}

static void on_answer(int result, struct evutil_addrinfo *list, void *arg)
{
    struct name *n = arg;
    struct resolver *r = n->resolver;
    if (!r) {
        list_del(&n->orphan);
        name_free(n);
        if (list)
            evutil_freeaddrinfo(list);
        return;
    }
    struct loop *l = r->loop;
    loop_enter(l);
    n->busy = false;
    r->pending--;
    free(n->addrs);
    n->addrs = NULL;
    n->n = 0;
    n->text = "";
    if (result == 0)
        take_addresses(n, list);
    if (list)
        evutil_freeaddrinfo(list);
    if (result != 0)
        n->text = evutil_gai_strerror(result);
    else if (n->n == 0)
        n->text = "no address";
    usec_t ttl = n->n ? r->opts.max_ttl : r->opts.nxdomain_ttl;
    /* At least for the rest of this callback: nobody replaces or drops the answer while it is told.
     */
    n->expires = l->now + (ttl ? ttl : 1);
    if (r->opts.fresh)
        r->opts.fresh(r->opts.arg, n->host, n->addrs, n->n);
    tell(n);
    loop_leave(l);
}

/* ---- questions ---- */

static void load_hosts(struct resolver *r)
{
    struct stat st;
    if (stat(HOSTS_FILE, &st) != 0 || (st.st_mtim.tv_sec == r->hosts_mtime.tv_sec &&
                                       st.st_mtim.tv_nsec == r->hosts_mtime.tv_nsec))
        return;
    r->hosts_mtime = st.st_mtim;
    evdns_base_clear_host_addresses(r->loop->dns);
    evdns_base_load_hosts(r->loop->dns, HOSTS_FILE);
}

/* The loop's DNS base, made when first needed. */
static bool need_dns(struct resolver *r)
{
    struct loop *l = r->loop;
    if (!l->dns) {
        l->dns = evdns_base_new(l->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (!l->dns)
            return false;
        /* Failure leaves the name server of this machine; numeric addresses and the hosts file work
         * anyway. */
        evdns_base_resolv_conf_parse(l->dns, DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE,
                                     r->resolv_conf ? r->resolv_conf : "/etc/resolv.conf");
        evdns_base_set_option(l->dns, "randomize-case:", "0");
        r->hosts_mtime = (struct timespec){ 0 };
    }
    load_hosts(r);
    return true;
}

/* A numeric address. */
static bool numeric(const char *host, struct resolver_addr *out)
{
    struct addrinfo want = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *list = NULL;
    if (getaddrinfo(host, NULL, &want, &list) != 0)
        return false;
    bool fine = list->ai_addrlen <= sizeof(out->ss);
    if (fine) {
        memset(out, 0, sizeof(*out));
        memcpy(&out->ss, list->ai_addr, list->ai_addrlen);
        out->len = list->ai_addrlen;
    }
    freeaddrinfo(list);
    return fine;
}

static void sweep(struct resolver *r)
{
    if (map_count(&r->names) < NAMES_SWEEP)
        return;
    size_t pos = 0;
    void *value;
    struct text key;
    while (map_next(&r->names, &pos, &key, &value)) {
        struct name *n = value;
        if (n->busy || n->expires > r->loop->now)
            continue;
        map_del(&r->names, key);
        name_free(n);
    }
}

static struct name *name_get(struct resolver *r, const char *host)
{
    struct name *n = map_get(&r->names, text_of(host));
    if (n)
        return n;
    sweep(r);
    n = calloc(1, sizeof(*n));
    if (!n || !(n->host = strdup(host))) {
        free(n);
        return NULL;
    }
    list_init(&n->orphan);
    list_init(&n->waiters);
    n->resolver = r;
    map_put(&r->names, text_of(n->host), n);
    return n;
}

static void start(struct resolver *r, struct name *n)
{
    struct evutil_addrinfo want = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    want.ai_protocol = IPPROTO_TCP;
    n->busy = true;
    r->pending++;
    /* May call on_answer before it returns. */
    evdns_getaddrinfo(r->loop->dns, n->host, NULL, &want, on_answer, n);
}

void resolver_ttl(struct resolver *r, usec_t max_ttl, usec_t nxdomain_ttl)
{
    r->opts.max_ttl = max_ttl;
    r->opts.nxdomain_ttl = nxdomain_ttl;
}

bool resolver_numeric(const char *host)
{
    struct resolver_addr a;

    return numeric(host, &a);
}

void resolver_refresh(struct resolver *r, const char *host)
{
    struct name *n = name_get(r, host);

    if (n && !n->busy && need_dns(r))
        start(r, n);
}

struct resolver_query *resolver_ask(struct resolver *r, const char *host,
                                    void (*done)(void *arg, const struct resolver_addr *a, int n,
                                                 const char *text),
                                    void *arg)
{
    struct resolver_addr one;
    if (numeric(host, &one)) {
        done(arg, &one, 1, "");
        return NULL;
    }
    struct name *n = name_get(r, host);
    if (n && !n->busy && n->expires > r->loop->now) {
        done(arg, n->addrs, n->n, n->text);
        return NULL;
    }
    struct resolver_query *q = n && (n->busy || need_dns(r)) ? calloc(1, sizeof(*q)) : NULL;
    if (!q) {
        done(arg, NULL, 0, "out of memory");
        return NULL;
    }
    q->done = done;
    q->arg = arg;
    list_push_tail(&n->waiters, &q->node);
    if (n->busy)
        return q;
    start(r, n);
    /* Answered at once (hosts file): q has been freed. */
    return n->busy ? q : NULL;
}

void resolver_cancel(struct resolver_query *q)
{
    list_del(&q->node);
    free(q);
}

int resolver_names(const struct resolver *r)
{
    return (int)map_count(&r->names);
}

int resolver_pending(const struct resolver *r)
{
    return r->pending;
}

bool resolver_next(const struct resolver *r, size_t *pos, struct resolver_info *out)
{
    void *value;

    if (!map_next(&r->names, pos, NULL, &value))
        return false;
    const struct name *n = value;
    usec_t now = r->loop->now;
    *out =
        (struct resolver_info){ n->host, n->expires > now ? n->expires - now : 0, n->addrs, n->n };
    return true;
}
