/* SPDX-License-Identifier: ISC */
/* Consoles with names: however long a look-up takes, nobody waits for it. The system's look-up is
 * replaced by one that waits until it is told. */
#include "tap.h"

#include "top/source.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* closed: look-ups wait */
static atomic_int began, ended;
static const char *answer = "127.0.0.1"; /* changed while no look-up is under way */

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    bool name = host && strstr(host, "slow.example");
    struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || (hints && hints->ai_flags & AI_NUMERICHOST))
        return real(host, service, hints, out);
    atomic_fetch_add(&began, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    int rc = answer ? real(answer, NULL, &numeric, out) : EAI_NONAME;
    atomic_fetch_add(&ended, 1);
    return rc;
}

static void until(atomic_int *what, int n)
{
    for (int i = 0; i < 6000 && atomic_load(what) < n; i++)
        usleep(10000);
    is_int(atomic_load(what), n, "%d look-ups have %s", n, what == &began ? "begun" : "ended");
}

/* Steps until its state is another one; at most so many times 10 ms. */
static void step(struct top_source *s, usec_t now, int times)
{
    enum top_state was = s->state;
    struct pollfd fds[2];

    for (int i = 0; i < times && s->state == was; i++) {
        int n = top_source_wait(s, fds);
        poll(fds, (nfds_t)n, 10);
        top_source_step(s, fds, n, now);
    }
}

static void one_name(void)
{
    struct top_source s;
    struct err e = { 0 };
    usec_t now = clock_mono_us();

    ok(top_source_init(&s, "slow.example:1", "u", NULL, &e), "a console with a name: %s", e.msg);
    pthread_mutex_lock(&gate);
    top_source_round(&s, 1u << TOP_POOLS, now);
    is_int(s.state, TOP_LOOKING_UP, "its name is looked up, and nobody waits");
    until(&began, 1);
    step(&s, now, 5);
    is_int(s.state, TOP_LOOKING_UP, "... for as long as it takes");
    ok(!top_source_settled(&s), "nothing is known yet");
    ok(!top_source_command(&s, "PAUSE \"a\""), "no command before that");
    step(&s, now + 11 * USEC_PER_SEC, 1);
    is_int(s.state, TOP_AWAY, "after 10 s it is away");
    ok(strstr(s.error, "longer than 10 s"), "and says why: %s", s.error);
    top_source_round(&s, 1u << TOP_POOLS, now + 13 * USEC_PER_SEC);
    is_int(s.state, TOP_LOOKING_UP, "the next round");
    usleep(50000);
    is_int(atomic_load(&began), 1, "... waits for the same look-up");
    pthread_mutex_unlock(&gate);
    step(&s, now + 13 * USEC_PER_SEC, 6000);
    ok(s.state == TOP_CONNECTING || s.state == TOP_AWAY, "with its answer it is connected to");
    for (int i = 0; i < 6000 && s.state != TOP_AWAY; i++)
        step(&s, now + 13 * USEC_PER_SEC, 1);
    ok(strstr(s.error, "127.0.0.1"), "at its address: %s", s.error);
    answer = NULL;
    top_source_round(&s, 1u << TOP_POOLS, now + 30 * USEC_PER_SEC);
    step(&s, now + 30 * USEC_PER_SEC, 6000);
    ok(s.state == TOP_AWAY && strstr(s.error, "slow.example"), "a name that is not found: %s",
       s.error);
    answer = "127.0.0.1";
    top_source_release(&s);
}

static void several(void)
{
    struct look_up *l =
        look_up_start("/dir,slow.example,127.0.0.9,b.slow.example", "1,2,3,4", NULL);
    struct names n = { 0 };
    bool good = false;

    for (int i = 0; i < 6000 && !look_up_done(l, &n, &good, NULL); i++)
        usleep(10000);
    ok(good, "a list is looked up");
    is_text(n.hosts, "/dir,slow.example,127.0.0.9,b.slow.example", "its hosts");
    is_text(n.addresses, ",127.0.0.1,,127.0.0.1", "their addresses");
    is_text(n.ports, "1,2,3,4", "their ports");
    names_release(&n);
    ok(!names_needed("/dir,127.0.0.1,::1,@abstract,"), "nothing to look up");
    ok(names_needed("127.0.0.1,localhost"), "something to look up");
}

/* Its owner leaves while it is under way: the thread cleans up. */
static void left(void)
{
    struct top_source s;
    int before = atomic_load(&ended);

    ok(top_source_init(&s, "slow.example", "u", NULL, NULL), "another console");
    pthread_mutex_lock(&gate);
    top_source_round(&s, 1u << TOP_POOLS, clock_mono_us());
    top_source_release(&s);
    pthread_mutex_unlock(&gate);
    until(&ended, before + 1);
    usleep(100000); /* for the thread's last steps: the leak checker looks at the end */
}

int main(void)
{
    one_name();
    several();
    left();
    return tap_done();
}
