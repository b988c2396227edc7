/* SPDX-License-Identifier: ISC */
/* Loops: threads, mail, timers, later, and conns that move between them. */
#include "net_help.h"

enum { MAIL_PING, MAIL_CONN };

struct ping {
    struct mail mail;
    int value;
};

struct delivery {
    struct mail mail;
    struct peer *peer;
};

struct worker {
    struct loop loop;
    int begun, ended, mails, sum;
    _Atomic int echoed;
};

static size_t echo_hook(struct peer *p, char *data, size_t n)
{
    struct worker *w = p->arg;
    conn_write(p->conn, data, n);
    atomic_fetch_add(&w->echoed, (int)n);
    return n;
}

static void worker_mail(void *owner, struct mail *m)
{
    struct worker *w = owner;
    w->mails++;
    if (m->kind == MAIL_PING) {
        struct ping *p = (struct ping *)m;
        w->sum += p->value;
        free(p);
        return;
    }
    struct delivery *d = (struct delivery *)m;
    struct peer *p = d->peer;
    p->loop = &w->loop;
    p->hook = echo_hook;
    p->arg = w;
    if (!conn_attach(p->conn, &w->loop, &peer_handler, p))
        abort();
    free(d);
}

static void worker_begin(void *owner)
{
    ((struct worker *)owner)->begun++;
}

static void worker_end(void *owner)
{
    ((struct worker *)owner)->ended++;
}

static const struct loop_handler worker_handler = {
    .mail = worker_mail,
    .begin = worker_begin,
    .end = worker_end,
};

static void worker_start(struct worker *w, int id)
{
    memset(w, 0, sizeof(*w));
    if (!loop_init(&w->loop, id, NULL, &worker_handler, w, 0) || !loop_start(&w->loop, "test")) {
        printf("Bail out! no thread\n");
        exit(1);
    }
}

static void worker_stop(struct worker *w)
{
    loop_stop(&w->loop);
    loop_join(&w->loop);
}

static void mails(void)
{
    struct worker w;
    worker_start(&w, 1);
    for (int i = 1; i <= 1000; i++) {
        struct ping *p = calloc(1, sizeof(*p));
        p->mail.kind = MAIL_PING;
        p->value = i;
        loop_post(&w.loop, &p->mail);
    }
    worker_stop(&w);
    is_int(w.mails, 1000, "all mails came before the end");
    is_int(w.sum, 500500, "each once");
    ok(w.begun == 1 && w.ended == 1, "begin and end were called");
    loop_release(&w.loop);
}

static size_t detach_hook(struct peer *p, char *data, size_t n)
{
    struct delivery *d = calloc(1, sizeof(*d));
    buf_append(&p->got, data, n);
    conn_write(p->conn, "moved:", 6);
    conn_detach(p->conn);
    d->mail.kind = MAIL_CONN;
    d->peer = p;
    loop_post(p->arg, &d->mail);
    return 0;
}

static bool posted(void *arg)
{
    return ((struct peer *)arg)->inputs > 0;
}

static void wait_readable(int fd, char *out, size_t want)
{
    size_t got = 0;
    usec_t end = clock_mono_us() + HELP_PATIENCE;
    while (got < want && clock_mono_us() < end) {
        ssize_t n = read(fd, out + got, want - got);
        if (n > 0)
            got += (size_t)n;
        else
            usleep(1000);
    }
    out[got] = '\0';
}

/* A conn detached in its own input handler, and one detached while idle. */
static void moving(struct runner *r)
{
    struct worker w;
    struct peer p, idle;
    char out[64];
    worker_start(&w, 2);
    int fd = peer_pair(&p, &r->loop), fd2 = peer_pair(&idle, &r->loop);
    p.hook = detach_hook;
    p.arg = &w.loop;
    ok(write(fd, "first", 5) == 5, "input on the first loop");
    r->until = posted;
    /* The conn is another thread's after this: only the hook's own fields are looked at. */
    int turns = 5;
    run_until(r, count_down, &turns);
    ok(write(fd, "second", 6) == 6, "input on the second loop");
    wait_readable(fd, out, 12);
    is_text((const char *)out, "moved:second", "written by both");
    struct delivery *d = calloc(1, sizeof(*d));
    d->mail.kind = MAIL_CONN;
    d->peer = &idle;
    conn_detach(idle.conn);
    loop_post(&w.loop, &d->mail);
    ok(write(fd2, "idle", 4) == 4, "input for the idle one");
    wait_readable(fd2, out, 4);
    is_text((const char *)out, "idle", "answered by the second loop");
    is_int(atomic_load(&w.echoed), 10, "on that thread");
    run_turns(r, 3);
    worker_stop(&w);
    is_text(buf_text(&p.got), "first", "seen by the first");
    peer_close(&p);
    peer_close(&idle);
    loop_release(&w.loop);
    close(fd);
    close(fd2);
}

struct beat {
    struct loop_timer timer;
    struct loop_later later;
    struct loop *loop;
    int fired, lated;
};

static void on_beat(void *arg)
{
    struct beat *b = arg;
    b->fired++;
    loop_later_set(b->loop, &b->later);
    loop_later_set(b->loop, &b->later);
    if (b->fired < 3)
        loop_timer_set(&b->timer, 1000);
    else
        loop_timer_release(&b->timer);
}

static void on_later(void *arg)
{
    ((struct beat *)arg)->lated++;
}

static bool beaten(void *arg)
{
    return ((struct beat *)arg)->fired >= 3;
}

static void timers(struct runner *r)
{
    struct beat b = { .loop = &r->loop };
    loop_later_init(&b.later, on_later, &b);
    ok(loop_timer_init(&b.timer, &r->loop, on_beat, &b), "a timer");
    loop_timer_set(&b.timer, 1000);
    ok(run_until(r, beaten, &b), "fires, sets and releases itself");
    is_int(b.fired, 3, "three times");
    is_int(b.lated, 3, "later ran once per turn");
    struct beat c = { .loop = &r->loop };
    ok(loop_timer_init(&c.timer, &r->loop, on_beat, &c), "another");
    loop_timer_set(&c.timer, 1000);
    loop_timer_stop(&c.timer);
    usleep(3000);
    run_turns(r, 3);
    is_int(c.fired, 0, "a stopped timer is silent");
    loop_timer_release(&c.timer);
    loop_timer_release(&c.timer);
    uint64_t turns = atomic_load(&r->loop.turns);
    ok(turns > 0, "turns are counted");
}

int main(void)
{
    struct runner r;
    runner_init(&r);
    mails();
    moving(&r);
    timers(&r);
    loop_release(&r.loop);
    return tap_done();
}
