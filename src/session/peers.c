/* SPDX-License-Identifier: ISC */
/* Cancel requests that are passed on to peers. */
#include "session/peers.h"

#include "base/random.h"
#include "wire/startup.h"

#include <stdio.h>
#include <stdlib.h>

#define TTL_MASK 0x03
#define MAX_ADDRS 16
#define MAX_WAITING 1000 /* for one peer; what comes then is dropped */

struct forward {
    struct list node; /* of engine.forwards, oldest first */
    struct engine *engine;
    struct peer_pool *pool;
    bool active;
    struct conn *conn;
    struct resolver_query *query;
    struct resolver_addr addrs[MAX_ADDRS];
    int n_addrs, next_addr;
    bool is_unix, sent, timed_out;
    int port;
    char host[256];
    unsigned char key[CANCEL_KEY_LONG];
    size_t n_key;
    usec_t started;
    struct cancel_asker asker;
};

/* ---- keys ---- */

void peer_key_make(unsigned char *key, size_t n, int peer_id)
{
    random_bytes(key, n);
    key[0] &= 0x7f; /* some drivers print the first half as a signed number */
    if (peer_id == 0)
        return;
    key[1] = (unsigned char)(peer_id & 0xff);
    key[2] = (unsigned char)(peer_id >> 8 & 0xff);
    peer_key_normal(key);
}

void peer_key_normal(unsigned char *key)
{
    key[7] |= TTL_MASK;
}

/* ---- one request ---- */

static const struct peer_conf *find_peer(const struct setup *s, int id)
{
    for (int i = 0; i < s->n_peers; i++)
        if (s->peers[i].id == id)
            return &s->peers[i];
    return NULL;
}

static void forward_log(const struct forward *f, enum log_level level, const char *text)
{
    log_write(f->engine->hub->log, level, "peer-%d@%s:%d %s", f->pool->id,
              f->is_unix ? "unix" : f->host, f->port, text);
}

static void start_waiting(struct engine *e, struct peer_pool *p);

/* The request is over, however; the next one that waits for the peer gets its turn. */
static void finish(struct forward *f)
{
    struct engine *e = f->engine;
    struct peer_pool *p = f->pool;

    if (f->query)
        resolver_cancel(f->query);
    if (f->conn)
        conn_close(f->conn);
    list_del(&f->node);
    if (f->active) {
        p->n_active--;
        p->n_login -= !f->sent;
    } else {
        p->n_waiting--;
    }
    cancel_answer(e, &f->asker, f->timed_out);
    wipe(f->key, sizeof(f->key));
    free(f);
    start_waiting(e, p);
}

static void fail(struct forward *f, const char *text)
{
    char line[300];

    snprintf(line, sizeof(line), "cancel request is not passed on: %.200s", text);
    forward_log(f, LOG_LV_WARNING, line);
    finish(f);
}

static void send_key(struct forward *f)
{
    struct rd r = rd_init((const char *)f->key, f->n_key);
    uint32_t number = rd_u32(&r);
    struct buf b;

    buf_init(&b);
    startup_build_cancel(&b, number, text_n((const char *)f->key + 4, f->n_key - 4));
    if (b.failed) {
        buf_release(&b);
        fail(f, "out of memory");
        return;
    }
    conn_write_copy(f->conn, b.p, b.n);
    buf_release(&b);
    f->sent = true; /* the peer closes the connection when it has acted */
    f->pool->n_login--;
}

static void begin_tls(struct forward *f)
{
    struct err err = { 0 };

    if (!conn_tls_connect(f->conn, f->engine->server_tls, f->host, &err))
        fail(f, err.msg);
}

static size_t on_input(void *owner, char *data, size_t n)
{
    struct forward *f = owner;

    if (f->sent)
        return n;
    if (n == 1 && data[0] == 'S')
        begin_tls(f);
    else if (n == 1 && data[0] == 'N' && f->engine->setup->g.server_tls_sslmode < TLS_REQUIRE)
        send_key(f);
    else
        fail(f, data[0] == 'N' ? "peer refused SSL" : "peer sent no valid answer to SSLRequest");
    return n;
}

static void on_ended(void *owner, enum conn_end why, const char *text)
{
    struct forward *f = owner;
    (void)why;

    if (f->sent)
        finish(f);
    else
        fail(f, text ? text : "connection closed");
}

static bool next_address(struct forward *f, const char **why);

static void on_connected(void *owner, bool ok, const char *text)
{
    struct forward *f = owner;
    struct buf b;

    if (!ok) {
        conn_close(f->conn);
        f->conn = NULL;
        if (!next_address(f, &text))
            fail(f, text);
        return;
    }
    if (f->is_unix || !f->engine->server_tls) {
        send_key(f);
        return;
    }
    buf_init(&b);
    startup_build_ssl(&b);
    conn_write_copy(f->conn, b.p, b.n);
    buf_release(&b);
}

static void on_secured(void *owner, bool ok, const char *text)
{
    if (ok)
        send_key(owner);
    else
        fail(owner, text ? text : "TLS handshake failed");
}

static const struct conn_handler peer_handler = {
    .input = on_input,
    .ended = on_ended,
    .connected = on_connected,
    .secured = on_secured,
};

/* Starts connecting to the next address; false when there is none left. */
static bool next_address(struct forward *f, const char **why)
{
    struct err err = { 0 };

    while (f->next_addr < f->n_addrs) {
        struct resolver_addr *a = &f->addrs[f->next_addr++];
        f->conn = conn_connect(&f->engine->loop, (struct sockaddr *)&a->ss, a->len, &peer_handler,
                               f, &err);
        if (f->conn)
            return true;
        *why = "cannot connect";
    }
    return false;
}

static void on_resolved(void *arg, const struct resolver_addr *a, int n, const char *text)
{
    struct forward *f = arg;
    const char *why = text ? text : "";

    f->query = NULL;
    f->n_addrs = n < MAX_ADDRS ? n : MAX_ADDRS;
    for (int i = 0; i < f->n_addrs; i++) {
        f->addrs[i] = a[i];
        sockaddr_set_port(&f->addrs[i].ss, f->port);
    }
    if (!next_address(f, &why))
        fail(f, why);
}

static void start(struct forward *f)
{
    const struct peer_conf *peer = find_peer(f->engine->setup, f->pool->id);
    const char *why = "";

    f->active = true;
    f->pool->n_waiting--;
    f->pool->n_active++;
    f->pool->n_login++;
    if (!peer) {
        fail(f, "the peer was removed");
        return;
    }
    snprintf(f->host, sizeof(f->host), "%s", peer->host);
    f->port = peer->port;
    f->is_unix = f->host[0] == '/' || f->host[0] == '@';
    forward_log(f, LOG_LV_DEBUG, "passing on a cancel request");
    if (f->is_unix) {
        f->n_addrs = 1;
        if (!sockaddr_unix(f->host, f->port, &f->addrs[0].ss, &f->addrs[0].len))
            fail(f, "Unix socket path is too long");
        else if (!next_address(f, &why))
            fail(f, why);
        return;
    }
    /* It may be answered, and f gone, before the call returns. */
    struct resolver_query *q = resolver_ask(f->engine->resolver, f->host, on_resolved, f);
    if (q)
        f->query = q;
}

static int64_t pool_size(const struct engine *e, const struct peer_pool *p)
{
    const struct peer_conf *peer = find_peer(e->setup, p->id);
    int64_t n =
        peer && peer->pool_size != LIMIT_UNSET ? peer->pool_size : e->setup->g.default_pool_size;
    return n > 0 ? n : INT64_MAX;
}

/* One at a time: finish() comes back here. */
static void start_waiting(struct engine *e, struct peer_pool *p)
{
    if (p->n_waiting == 0 || p->n_active >= pool_size(e, p))
        return;
    LIST_FOREACH(n, &e->forwards) {
        struct forward *f = LIST_ENTRY(n, struct forward, node);
        if (f->pool == p && !f->active) {
            start(f);
            return;
        }
    }
}

/* ---- the first engine's ---- */

static struct peer_pool *pool_of(struct engine *e, int id)
{
    LIST_FOREACH(n, &e->peer_pools) {
        struct peer_pool *p = LIST_ENTRY(n, struct peer_pool, node);
        if (p->id == id)
            return p;
    }
    struct peer_pool *p = calloc(1, sizeof(*p));
    if (p) {
        p->id = id;
        list_push_tail(&e->peer_pools, &p->node);
    }
    return p;
}

void peers_on_mail(struct engine *e, const struct mail_peer *m)
{
    struct peer_pool *p = pool_of(e, m->id);
    struct forward *f =
        p && !e->closing_peers && p->n_waiting < MAX_WAITING ? calloc(1, sizeof(*f)) : NULL;

    if (!f) {
        log_often(e->hub->log, LOG_LV_WARNING, TEXT("peers"),
                  "cancel request for peer %d dropped: too many, or out of memory", m->id);
        cancel_answer(e, &m->asker, false);
        return;
    }
    f->engine = e;
    f->pool = p;
    memcpy(f->key, m->key, m->n);
    f->n_key = m->n;
    f->asker = m->asker;
    f->started = e->loop.now;
    list_push_tail(&e->forwards, &f->node);
    p->n_waiting++;
    start_waiting(e, p);
}

void peers_reap(struct engine *e)
{
    usec_t limit = e->setup->g.cancel_wait_timeout;

    while (limit && !list_empty(&e->forwards)) {
        struct forward *f = LIST_ENTRY(list_first(&e->forwards), struct forward, node);
        if (e->loop.now - f->started <= limit)
            return;
        f->timed_out = true;
        fail(f, "cancel_wait_timeout");
    }
}

void peers_close(struct engine *e)
{
    e->closing_peers = true;
    LIST_FOREACH(n, &e->peer_pools) {
        LIST_ENTRY(n, struct peer_pool, node)->n_active += INT32_MAX / 2; /* none begins now */
    }
    LIST_FOREACH_SAFE(n, next, &e->forwards) {
        finish(LIST_ENTRY(n, struct forward, node));
    }
    LIST_FOREACH_SAFE(n, next, &e->peer_pools) {
        list_del(n);
        free(LIST_ENTRY(n, struct peer_pool, node));
    }
}

bool peer_forward(struct engine *e, struct text key, const struct cancel_asker *asker)
{
    int own = (int)e->setup->g.peer_id;
    const unsigned char *k = (const unsigned char *)key.p;

    if (own == 0 || key.n < CANCEL_KEY_SHORT || key.n > CANCEL_KEY_LONG)
        return false;
    int id = k[1] | k[2] << 8;
    if (id == own || id == 0)
        return false;
    if (!find_peer(e->setup, id)) {
        log_often(e->hub->log, LOG_LV_WARNING, TEXT("peers"),
                  "cancel request for peer %d dropped: it is not in [peers]", id);
        return false; /* the key may be one from before peer_id was set */
    }
    if ((k[7] & TTL_MASK) == 0) {
        log_often(e->hub->log, LOG_LV_WARNING, TEXT("peers"),
                  "failed to forward cancel request because its TTL was exhausted (peer %d)", id);
        cancel_answer(e, asker, false);
        return true;
    }
    struct mail_peer *m = calloc(1, sizeof(*m));
    if (!m) {
        cancel_answer(e, asker, false);
        return true;
    }
    m->mail.kind = MAIL_PEER;
    m->id = id;
    m->asker = *asker;
    m->n = key.n;
    memcpy(m->key, key.p, key.n);
    m->key[7]--;
    loop_post(&e->hub->engine[0]->loop, &m->mail);
    return true;
}
