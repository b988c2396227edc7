/* SPDX-License-Identifier: ISC */
/* The resolver against a name server of this test's own, on loopback. */
#include "net_help.h"

#include "net/resolver.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>

/* Answers A queries for names that begin with "yes" with 192.0.2.7, AAAA ones with nothing, others
 * with "no such name"; names that begin with "mute" not at all. */
struct server {
    int fd, queries;
    struct event *ev;
};

static void serve(int fd, short what, void *arg)
{
    struct server *s = arg;
    unsigned char q[600];
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(fd, q, 512, 0, (struct sockaddr *)&from, &len);
    (void)what;
    if (n < 17)
        return;
    s->queries++;
    if (q[12] >= 4 && memcmp(q + 13, "mute", 4) == 0)
        return;
    size_t end = 12;
    while (end < (size_t)n && q[end])
        end += q[end] + 1u;
    end += 5; /* root, type, class */
    if (end > (size_t)n)
        return;
    bool known = q[12] >= 3 && memcmp(q + 13, "yes", 3) == 0, v4 = q[end - 3] == 1;
    q[2] = 0x81;
    q[3] = known ? 0x80 : 0x83;
    memset(q + 6, 0, 6);
    if (known && v4) {
        static const unsigned char answer[] = { 0xc0, 12, 0, 1, 0,   1, 0, 0,
                                                0,    60, 0, 4, 192, 0, 2, 7 };
        q[7] = 1;
        memcpy(q + end, answer, sizeof(answer));
        end += sizeof(answer);
    }
    sendto(fd, q, end, 0, (struct sockaddr *)&from, len);
}

struct reply {
    int calls, n, port;
    char addr[64], text[128];
};

static void on_done(void *arg, const struct resolver_addr *a, int n, const char *text)
{
    struct reply *r = arg;
    r->calls++;
    r->n = n;
    r->addr[0] = '\0';
    if (n > 0)
        sockaddr_text(&a[0].ss, r->addr, sizeof(r->addr), &r->port);
    snprintf(r->text, sizeof(r->text), "%s", text);
}

static bool replied(void *arg)
{
    return ((struct reply *)arg)->calls > 0;
}

static void at_once(struct resolver *res)
{
    struct reply a = { 0 };
    ok(!resolver_ask(res, "192.0.2.1", on_done, &a) && a.calls == 1 && a.n == 1,
       "numeric: at once");
    is_text((const char *)a.addr, "192.0.2.1", "IPv4");
    ok(!resolver_ask(res, "2001:db8::1", on_done, &a) && a.calls == 2, "numeric: at once");
    is_text((const char *)a.addr, "2001:db8::1", "IPv6");
    is_int(resolver_names(res), 0, "not cached");
}

static void hosts(struct runner *r, struct resolver *res)
{
    struct reply a = { 0 };
    resolver_ask(res, "localhost", on_done, &a);
    ok(run_until(r, replied, &a) && a.n > 0, "localhost");
    is_text((const char *)a.addr, "127.0.0.1", "IPv4 first");
}

static void names(struct runner *r, struct resolver *res, struct server *s)
{
    struct reply a = { 0 }, b = { 0 }, c = { 0 };
    struct resolver_query *qa = resolver_ask(res, "yes.example", on_done, &a);
    struct resolver_query *qb = resolver_ask(res, "yes.example", on_done, &b);
    struct resolver_query *qc = resolver_ask(res, "yes.example", on_done, &c);
    ok(qa && qb && qc, "queries run");
    is_int(resolver_pending(res), 1, "as one look-up");
    resolver_cancel(qb);
    ok(run_until(r, replied, &a), "answered");
    ok(a.calls == 1 && b.calls == 0 && c.calls == 1, "the cancelled one is not told");
    is_text((const char *)a.addr, "192.0.2.7", "address");
    is_int(a.n, 1, "one");
    int asked = s->queries;
    ok(!resolver_ask(res, "yes.example", on_done, &b) && b.calls == 1 && b.n == 1,
       "then from the cache");
    is_int(s->queries, asked, "without a query");
    usleep(60000);
    run_turns(r, 1);
    ok(resolver_ask(res, "yes.example", on_done, &b), "asked again after its time");
    struct reply d = { 0 };
    resolver_ask(res, "no.example", on_done, &d);
    ok(run_until(r, replied, &d), "a name that is not there");
    ok(d.n == 0 && d.text[0], "says: %s", d.text);
    ok(!resolver_ask(res, "no.example", on_done, &d) && d.calls == 2 && d.n == 0, "kept too");
    is_int(resolver_pending(res), 0, "nothing pending");
}

int main(void)
{
    struct runner r;
    char conf[] = "net_resolver.XXXXXX";
    struct server s = { .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    if (bind(s.fd, (struct sockaddr *)&in, len) != 0 ||
        getsockname(s.fd, (struct sockaddr *)&in, &len) != 0) {
        printf("Bail out! no name server\n");
        return 1;
    }
    int fd = mkstemp(conf);
    dprintf(fd, "nameserver 127.0.0.1:%d\n", ntohs(in.sin_port));
    close(fd);
    runner_init(&r);
    s.ev = event_new(r.loop.base, s.fd, EV_READ | EV_PERSIST, serve, &s);
    event_add(s.ev, NULL);
    struct resolver_opts o = { .max_ttl = 50 * USEC_PER_MSEC,
                               .nxdomain_ttl = 10 * USEC_PER_SEC,
                               .resolv_conf = conf };
    struct resolver *res = resolver_new(&r.loop, &o);
    at_once(res);
    hosts(&r, res);
    names(&r, res, &s);
    struct reply a = { 0 };
    ok(resolver_ask(res, "mute.example", on_done, &a), "a look-up without answer");
    run_turns(&r, 3);
    resolver_free(res);
    run_turns(&r, 3);
    is_int(a.calls, 0, "is dropped with the resolver");
    event_free(s.ev);
    loop_release(&r.loop);
    close(s.fd);
    unlink(conf);
    return tap_done();
}
