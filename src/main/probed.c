/* SPDX-License-Identifier: ISC */
/* Which servers are probed, when, and what the log says about it. */
#include "main/probed.h"

#include "base/check.h"
#include "base/thread.h"
#include "main/catalogd.h"
#include "net/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TARGETS_MAX 256
#define ADDRESSES_MAX 4 /* of a name that are tried */
#define LOOK_UP_MS 20   /* how often names that are being looked up are looked at */
#define NEARLY_FULL 80  /* percent of the connections: from there on ours is kept */
#define LAST_LOOKS 50   /* at the end, for look-ups that cannot be given up */

/* A name that is being looked up by the C library's own threads; it must stay until they are done.
 */
struct look_up {
    struct gaicb request;
    struct addrinfo hints;
    bool busy;
};

/* One server. */
struct target {
    struct list node;
    char *name;                /* "host:port" */
    const struct setup *setup; /* referenced; of the last probe */
    const struct database_conf *db;
    int host; /* index in db->hosts */
    struct probe probe;
    bool wanted, running;
    bool kept;       /* the probe goes over a connection from before */
    bool looking;    /* for its name, until probe.deadline */
    usec_t sizes_at; /* monotonic, when sizes were asked last; 0 = never */
    struct look_up look_up;
    char addresses[ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)];
    char *names;                /* the host's name once for each address */
    bool said[PROBE_QUESTIONS]; /* the log says that it is unknown */
};

struct probed {
    struct loop *control;
    struct log *log;
    pthread_t thread;
    pthread_mutex_t mutex;
    int wake;                  /* eventfd */
    const struct setup *order; /* referenced: probe these; NULL: nothing to do */
    bool stop;
    /* the thread's own */
    struct list targets;
    int n_targets;
    bool said_many;
    struct pollfd fds[TARGETS_MAX + 1];
    struct target *of_fd[TARGETS_MAX + 1];
};

/* ---- results ---- */

static void say_gaps(struct probed *d, struct target *t)
{
    for (int q = 0; q < PROBE_QUESTIONS; q++) {
        const struct probe_gap *g = &t->probe.gaps[q];
        if (g->is && !t->said[q])
            log_info(d->log, "probe of %s: %s unknown: %s", t->name,
                     probe_question_name((enum probe_question)q), g->why);
        t->said[q] = g->is;
    }
}

static void report(struct probed *d, const struct target *t)
{
    const struct backend_row *row = &t->probe.row;
    struct mail_probe *m = calloc(1, sizeof(*m));
    struct backend_db *dbs = row->n_dbs ? calloc((size_t)row->n_dbs, sizeof(*dbs)) : NULL;
    char *name = strdup(t->name);

    if (!m || !name || (row->n_dbs && !dbs)) { /* the next probe may have luck */
        free(m);
        free(dbs);
        free(name);
        return;
    }
    for (int i = 0; i < row->n_dbs; i++)
        dbs[i] = row->dbs[i];
    m->mail.kind = MAIL_PROBE;
    m->backend = name;
    m->row = *row;
    m->row.dbs = dbs;
    snprintf(m->text, sizeof(m->text), "%s", row->ok ? "" : t->probe.error);
    loop_post(d->control, &m->mail);
}

void probed_mail_free(struct mail *m)
{
    struct mail_probe *p = (struct mail_probe *)m;

    free(p->backend);
    free(p->row.dbs);
    free(p);
}

static bool nearly_full(const struct backend_row *row)
{
    return row->max_connections > 0 && row->used >= 0 && row->reserved >= 0 &&
           row->used * 100 >= (row->max_connections - row->reserved) * NEARLY_FULL;
}

/* ---- probes ---- */

static usec_t time_limit(const struct target *t)
{
    usec_t set = t->setup->g.probe_timeout;

    if (set == 0)
        return 5 * USEC_PER_SEC;
    return set < 100 * USEC_PER_MSEC ? 100 * USEC_PER_MSEC : set;
}

static void begin(struct target *t, const char *hosts, const char *addresses)
{
    const struct settings *g = &t->setup->g;
    struct catalog_source src;
    usec_t now = clock_mono_us();
    bool sizes = g->probe_size_interval > 0;

    if (sizes && t->sizes_at) {
        usec_t least =
            g->probe_size_interval > 60 * USEC_PER_SEC ? g->probe_size_interval : 60 * USEC_PER_SEC;
        sizes = now - t->sizes_at >= least;
    }
    if (sizes)
        t->sizes_at = now;
    catalogd_source(t->setup, t->db, &src);
    src.host = hosts;
    src.hostaddr = addresses;
    src.session_attrs = NULL;
    if (!src.dbname)
        src.dbname = "postgres"; /* the entry "*" */
    t->kept = t->probe.conn != NULL;
    probe_begin(&t->probe, &src, time_limit(t), sizes);
}

static void finish(struct probed *d, struct target *t)
{
    t->running = t->looking = false;
    if (t->probe.state == PROBE_DONE)
        say_gaps(d, t);
    else
        t->sizes_at = 0;
    if (!nearly_full(&t->probe.row))
        probe_close(&t->probe);
    report(d, t);
}

/* The name was not found in time, or not at all. */
static void no_name(struct probed *d, struct target *t, const char *why)
{
    usec_t now = clock_mono_us();

    t->probe.state = PROBE_FAILED;
    t->probe.row.ok = false;
    t->probe.row.duration_us = now - t->probe.began;
    snprintf(t->probe.error, sizeof(t->probe.error), "cannot look up the host's name: %s", why);
    finish(d, t);
}

/* ---- names ---- */

static bool look_up_start(struct target *t)
{
    struct look_up *l = &t->look_up;
    struct gaicb *list[1] = { &l->request };
    struct sigevent none = { .sigev_notify = SIGEV_NONE };

    if (l->busy)
        return true; /* from a probe before that gave up */
    l->hints = (struct addrinfo){ .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    l->request = (struct gaicb){ .ar_name = t->db->hosts[t->host], .ar_request = &l->hints };
    l->busy = getaddrinfo_a(GAI_NOWAIT, list, 1, &none) == 0;
    return l->busy;
}

/* Takes addresses and frees them. */
static int take_addresses(struct target *t, const char *host)
{
    struct addrinfo *all = t->look_up.request.ar_result;
    size_t room = ADDRESSES_MAX * (strlen(host) + 1) + 1;
    size_t at = 0, n_at = 0;
    int n = 0;

    free(t->names);
    t->names = calloc(1, room);
    for (struct addrinfo *a = all; a && t->names && n < ADDRESSES_MAX; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
            continue;
        at += (size_t)snprintf(t->addresses + at, sizeof(t->addresses) - at, "%s%s", n ? "," : "",
                               text);
        n_at += (size_t)snprintf(t->names + n_at, room - n_at, "%s%s", n ? "," : "", host);
        n++;
    }
    if (all)
        freeaddrinfo(all);
    t->look_up.request.ar_result = NULL;
    return n;
}

/* Has the answer come? */
static void look_up_check(struct probed *d, struct target *t, usec_t now)
{
    int rc = t->look_up.busy ? gai_error(&t->look_up.request) : EAI_AGAIN;

    if (rc == EAI_INPROGRESS) {
        if (now >= t->probe.deadline)
            no_name(d, t, "no answer within probe_timeout");
        return;
    }
    t->look_up.busy = false;
    if (rc != 0) {
        no_name(d, t, gai_strerror(rc));
    } else if (take_addresses(t, t->db->hosts[t->host]) == 0) {
        no_name(d, t, "no address");
    } else {
        t->looking = false;
        begin(t, t->names, t->addresses);
        if (!probe_busy(&t->probe))
            finish(d, t);
    }
}

static void start(struct probed *d, struct target *t)
{
    const char *host = t->db->hosts[t->host];

    t->running = true;
    if (t->probe.conn || host[0] == '/' || host[0] == '@' || resolver_numeric(host)) {
        begin(t, host, NULL);
        if (!probe_busy(&t->probe))
            finish(d, t);
        return;
    }
    t->looking = true;
    t->probe.began = clock_mono_us();
    t->probe.deadline = t->probe.began + time_limit(t);
    if (!look_up_start(t))
        no_name(d, t, "out of memory");
}

/* ---- which servers ---- */

static void target_free(struct probed *d, struct target *t)
{
    list_del(&t->node);
    d->n_targets--;
    probe_release(&t->probe);
    setup_unref(t->setup);
    free(t->name);
    free(t->names);
    free(t);
}

static struct target *target_named(struct probed *d, const char *name)
{
    LIST_FOREACH(n, &d->targets) {
        struct target *t = LIST_ENTRY(n, struct target, node);
        if (strcmp(t->name, name) == 0)
            return t;
    }
    if (d->n_targets == TARGETS_MAX) {
        if (!d->said_many)
            log_warn(d->log, "more than %d servers: the others are not probed", TARGETS_MAX);
        d->said_many = true;
        return NULL;
    }
    struct target *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->name = strdup(name);
    if (!t->name) {
        free(t);
        return NULL;
    }
    list_push_tail(&d->targets, &t->node);
    d->n_targets++;
    return t;
}

static void want(struct probed *d, const struct setup *s, const struct database_conf *db)
{
    char name[600];

    if (!db->catalog_user && !db->user)
        return;
    for (int h = 0; h < db->n_hosts; h++) {
        snprintf(name, sizeof(name), "%s:%d", db->hosts[h], db->port);
        struct target *t = target_named(d, name);
        if (!t || t->wanted)
            continue;
        t->wanted = true;
        /* what is under way, or may be, reads the setup that it began with */
        if (t->running || t->look_up.busy)
            continue;
        if (t->setup != s)
            probe_close(&t->probe); /* the login may be another one */
        setup_unref(t->setup);
        t->setup = setup_ref(s);
        t->db = db;
        t->host = h;
    }
}

/* Is this host one of the entry's? */
static bool is_at(const struct database_conf *db, const struct target *t)
{
    if (db->port != t->db->port)
        return false;
    for (int h = 0; h < db->n_hosts; h++)
        if (strcmp(db->hosts[h], t->db->hosts[t->host]) == 0)
            return true;
    return false;
}

/* Databases of ours on that server, each once. */
static bool name_databases(struct target *t)
{
    const char *names[BACKEND_DBS_MAX];
    int n = 0;

    for (int i = 0; i < t->setup->n_databases && n < BACKEND_DBS_MAX; i++) {
        const struct database_conf *db = t->setup->databases[i];
        bool there = !db->dbname || strlen(db->dbname) >= BACKEND_NAME_MAX || !is_at(db, t);
        for (int k = 0; k < n && !there; k++)
            there = strcmp(names[k], db->dbname) == 0;
        if (!there)
            names[n++] = db->dbname;
    }
    return probe_names(&t->probe, names, n);
}

static void probe_all(struct probed *d, const struct setup *s)
{
    for (int i = 0; i < s->n_databases; i++)
        want(d, s, s->databases[i]);
    if (s->autodb)
        want(d, s, s->autodb);
    LIST_FOREACH_SAFE(n, next, &d->targets) {
        struct target *t = LIST_ENTRY(n, struct target, node);
        bool was_wanted = t->wanted;
        t->wanted = false;
        if (t->running || t->look_up.busy)
            continue;
        if (!was_wanted)
            target_free(d, t);
        else if (name_databases(t))
            start(d, t);
    }
}

/* ---- the thread ---- */

static void step(struct probed *d, struct target *t, bool ready, usec_t now)
{
    if (t->looking) {
        look_up_check(d, t, now);
        return;
    }
    probe_step(&t->probe, ready, now);
    if (probe_busy(&t->probe))
        return;
    if (t->probe.state == PROBE_FAILED && t->kept && t->probe.at == ASK_SET)
        start(d, t); /* the connection from before is gone: what does a new one say? */
    else
        finish(d, t);
}

/* Fills fds; gives how long to wait, milliseconds, -1 = until somebody calls. */
static int waits(struct probed *d, int *n_fds, usec_t now)
{
    usec_t until = UINT64_MAX;
    int n = 0;

    d->fds[n++] = (struct pollfd){ .fd = d->wake, .events = POLLIN };
    LIST_FOREACH(node, &d->targets) {
        struct target *t = LIST_ENTRY(node, struct target, node);
        if (t->look_up.busy) {
            if (until > now + LOOK_UP_MS * USEC_PER_MSEC)
                until = now + LOOK_UP_MS * USEC_PER_MSEC;
            if (!t->running && gai_error(&t->look_up.request) != EAI_INPROGRESS) {
                t->look_up.busy = false; /* came too late */
                (void)take_addresses(t, "");
            }
        }
        if (!t->running || t->looking)
            continue;
        if (until > t->probe.deadline)
            until = t->probe.deadline;
        d->of_fd[n] = t;
        probe_wait(&t->probe, &d->fds[n++]);
    }
    *n_fds = n;
    if (until == UINT64_MAX)
        return -1;
    return until > now ? (int)((until - now) / USEC_PER_MSEC) + 1 : 0;
}

/* false: the end. */
static bool take_order(struct probed *d)
{
    uint64_t n;

    (void)!read(d->wake, &n, sizeof(n));
    pthread_mutex_lock(&d->mutex);
    const struct setup *s = d->order;
    bool stop = d->stop;
    d->order = NULL;
    pthread_mutex_unlock(&d->mutex);
    if (s && !stop)
        probe_all(d, s);
    setup_unref(s);
    return !stop;
}

static void drop_all(struct probed *d)
{
    LIST_FOREACH_SAFE(n, next, &d->targets) {
        struct target *t = LIST_ENTRY(n, struct target, node);
        const struct gaicb *const list[1] = { &t->look_up.request };
        for (int i = 0; t->look_up.busy && i < LAST_LOOKS; i++) {
            int rc = gai_cancel(&t->look_up.request);
            t->look_up.busy = rc != EAI_CANCELED && rc != EAI_ALLDONE;
            if (t->look_up.busy)
                (void)gai_suspend(list, 1, &(struct timespec){ .tv_nsec = LOOK_UP_MS * 1000000 });
        }
        if (t->look_up.busy) {
            list_del(n); /* the C library still writes there; the process ends anyway */
            continue;
        }
        if (t->look_up.request.ar_result && gai_error(&t->look_up.request) == 0)
            (void)take_addresses(t, "");
        target_free(d, t);
    }
}

static void *work(void *arg)
{
    struct probed *d = arg;
    bool go_on = true;

    while (go_on) {
        int n, wait_ms = waits(d, &n, clock_mono_us());
        if (poll(d->fds, (nfds_t)n, wait_ms) < 0 && errno != EINTR)
            log_error(d->log, "probes: poll: %s", strerror(errno));
        usec_t now = clock_mono_us();
        for (int i = 1; i < n; i++)
            step(d, d->of_fd[i], d->fds[i].revents != 0, now);
        LIST_FOREACH(node, &d->targets) {
            struct target *t = LIST_ENTRY(node, struct target, node);
            if (t->looking)
                step(d, t, false, now);
        }
        go_on = take_order(d);
    }
    drop_all(d);
    return NULL;
}

struct probed *probed_start(struct loop *control, struct log *log)
{
    struct probed *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->control = control;
    d->log = log;
    list_init(&d->targets);
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->wake < 0) {
        free(d);
        return NULL;
    }
    pthread_mutex_init(&d->mutex, NULL);
    if (thread_start(&d->thread, 0, work, d) != 0) {
        pthread_mutex_destroy(&d->mutex);
        close(d->wake);
        free(d);
        return NULL;
    }
    return d;
}

static void call(struct probed *d)
{
    uint64_t one = 1;
    (void)!write(d->wake, &one, sizeof(one));
}

void probed_stop(struct probed *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->mutex);
    d->stop = true;
    pthread_mutex_unlock(&d->mutex);
    call(d);
    pthread_join(d->thread, NULL);
    setup_unref(d->order);
    pthread_mutex_destroy(&d->mutex);
    close(d->wake);
    free(d);
}

void probed_run(struct probed *d, const struct setup *s)
{
    pthread_mutex_lock(&d->mutex);
    const struct setup *old = d->order;
    d->order = setup_ref(s);
    pthread_mutex_unlock(&d->mutex);
    setup_unref(old);
    call(d);
}
