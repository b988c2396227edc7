/* SPDX-License-Identifier: ISC */
/* Host names to addresses, asynchronously (libevent's evdns), with a cache per loop. Own thread
 * only. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/clock.h"
#include "net/worker.h"

#include <sys/socket.h>

struct resolver;
struct resolver_addr {
    struct sockaddr_storage ss; /* port not set */
    socklen_t len;
};
struct resolver_opts {
    usec_t max_ttl, nxdomain_ttl;
    const char *resolv_conf; /* NULL = the system's */
    /* Each answer that a name server (or the hosts file) gave just now, before those who wait for
     * it get it; n = 0: there is none. May be NULL. */
    void (*fresh)(void *arg, const char *host, const struct resolver_addr *a, int n);
    void *arg;
};
/* NULL: out of memory. */
struct resolver *resolver_new(struct loop *l, const struct resolver_opts *o);
/* Before loop_release, not from a done callback. Running queries are dropped, done is not called.
 */
void resolver_free(struct resolver *r);

/* Other times; answers that are kept keep theirs. */
void resolver_ttl(struct resolver *r, usec_t max_ttl, usec_t nxdomain_ttl);
/* Is it a numeric address? */
bool resolver_numeric(const char *host);
/* Asks again now, whatever is kept; opts.fresh is told. */
void resolver_refresh(struct resolver *r, const char *host);
/* host: name or numeric address (numeric ones, cached answers and names of /etc/hosts answer at
 * once, before the call returns). done is called once: n addresses (valid during the call; IPv4
 * first), or n=0 with a text. Returns a handle to cancel, good until done is called; NULL when done
 * was called already. */
struct resolver_query;
struct resolver_query *resolver_ask(struct resolver *r, const char *host,
                                    void (*done)(void *arg, const struct resolver_addr *a, int n,
                                                 const char *text),
                                    void *arg);
void resolver_cancel(struct resolver_query *q);
/* What is known of a name, for SHOW DNS_HOSTS. */
struct resolver_info {
    const char *host;
    usec_t ttl; /* that the answer still holds; 0: over, or being looked up */
    const struct resolver_addr *addrs;
    int n; /* 0: it was not found, or is being looked up */
};
/* Each name: *pos starts at 0; false at the end. No question may be asked meanwhile. */
bool resolver_next(const struct resolver *r, size_t *pos, struct resolver_info *out);
/* Cached names / running look-ups, for SHOW LISTS. */
int resolver_names(const struct resolver *r);
int resolver_pending(const struct resolver *r);

#endif
