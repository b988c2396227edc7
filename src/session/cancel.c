/* SPDX-License-Identifier: ISC */
/*
 * Cancel requests: the key names a client of some engine; its server is told over a connection of
 * its own (with TLS where the server's connection has it), and is not used by anybody else before
 * that connection is closed.
 */
#include "session/peers.h"

#include "auth/digest.h"
#include "base/check.h"
#include "base/random.h"
#include "wire/startup.h"

#include <stdlib.h>

#define MAX_CANCELS 2 /* under way for one server */

struct cancel {
    struct list node;
    struct engine *engine;
    struct conn *conn;
    struct shard *shard;
    uint64_t server_id; /* the server that is held */
    uint32_t pid;
    unsigned char key[256];
    size_t key_len;
    struct tls_ctx *tls; /* what the server's own connection was made with; NULL: in clear */
    bool direct, sent, timed_out;
    char host[256];
    usec_t started;
    uint64_t id;
    struct cancel_asker asker;
};

/* ---- who asked ---- */

void cancel_answered(struct engine *e, uint64_t client, bool timed_out)
{
    LIST_FOREACH(n, &e->login_clients) {
        struct client *c = LIST_ENTRY(n, struct client, node);
        if (c->id != client || !c->cancel_left)
            continue;
        c->cancel_timed_out |= timed_out;
        if (--c->cancel_left == 0)
            client_drop(c, c->cancel_timed_out ? "cancel_wait_timeout" : "cancel request");
        return;
    }
}

void cancel_answer(struct engine *e, const struct cancel_asker *a, bool timed_out)
{
    if (!a->client)
        return;
    if (a->worker == e->id) {
        cancel_answered(e, a->client, timed_out);
        return;
    }
    struct mail_cancel_done *m = malloc(sizeof(*m));
    if (!m)
        return;
    *m = (struct mail_cancel_done){ .mail.kind = MAIL_CANCEL_DONE,
                                    .client = a->client,
                                    .timed_out = timed_out };
    loop_post(&e->hub->engine[a->worker]->loop, &m->mail);
}

/* ---- a request under way ---- */

static struct server *held_server(struct cancel *k)
{
    for (int i = 0; i < SERVER_STATES; i++)
        LIST_FOREACH(n, &k->shard->servers[i]) {
            struct server *s = LIST_ENTRY(n, struct server, node);
            if (s->id == k->server_id)
                return s;
        }
    return NULL;
}

static void finish(struct cancel *k)
{
    struct server *s = held_server(k);

    if (k->conn)
        conn_close(k->conn);
    tls_ctx_unref(k->tls);
    list_del(&k->node);
    k->shard->n_cancel_active--;
    if (s && s->cancels > 0 && --s->cancels == 0 && s->state == SERVER_BEING_CANCELED)
        server_ready(s);
    wipe(k->key, sizeof(k->key));
    cancel_answer(k->engine, &k->asker, k->timed_out);
    free(k);
}

static void send_cancel(struct cancel *k)
{
    struct buf b;

    buf_init(&b);
    startup_build_cancel(&b, k->pid, text_n((const char *)k->key, k->key_len));
    if (b.failed) {
        finish(k);
    } else {
        conn_write_copy(k->conn, b.p, b.n);
        k->sent = true; /* the server closes the connection when it has acted */
    }
    buf_release(&b);
}

static void begin_tls(struct cancel *k)
{
    struct err err = { 0 };

    if (!conn_tls_connect(k->conn, k->tls, k->host[0] ? k->host : NULL, &err))
        finish(k); /* never in clear where the server's own connection is encrypted */
}

static size_t on_input(void *owner, char *data, size_t n)
{
    struct cancel *k = owner;

    if (k->sent || !k->tls)
        return n;
    if (data[0] != 'S' || n != 1)
        finish(k);
    else
        begin_tls(k);
    return n;
}

static void on_ended(void *owner, enum conn_end why, const char *text)
{
    (void)why;
    (void)text;
    finish(owner);
}

static void on_connected(void *owner, bool ok, const char *text)
{
    struct cancel *k = owner;
    (void)text;

    if (!ok) {
        finish(k);
    } else if (k->tls && k->direct) {
        begin_tls(k);
    } else if (k->tls) {
        struct buf b;
        buf_init(&b);
        startup_build_ssl(&b);
        conn_write_copy(k->conn, b.p, b.n);
        buf_release(&b);
    } else {
        send_cancel(k);
    }
}

static void on_secured(void *owner, bool ok, const char *text)
{
    (void)text;
    if (ok)
        send_cancel(owner);
    else
        finish(owner);
}

static const struct conn_handler cancel_handler = {
    .input = on_input,
    .ended = on_ended,
    .connected = on_connected,
    .secured = on_secured,
};

/* false: no connection was made, it is over. */
static bool start(struct engine *e, struct server *s, const struct cancel_asker *asker)
{
    struct err err = { 0 };

    if (s->cancels >= MAX_CANCELS)
        return false; /* who cancels in a loop does not get a connection for each */
    struct cancel *k = calloc(1, sizeof(*k));
    if (!k)
        return false;
    k->asker = *asker;
    k->id = atomic_fetch_add(&e->hub->next_server, 1) + 1;
    k->engine = e;
    k->shard = s->shard;
    k->server_id = s->id;
    k->pid = s->backend_pid;
    k->key_len = s->backend_key_len;
    memcpy(k->key, s->backend_key, s->backend_key_len);
    k->direct = s->direct;
    memcpy(k->host, s->host, sizeof(k->host));
    k->started = e->loop.now;
    k->conn = conn_connect(&e->loop, (const struct sockaddr *)&s->addr, s->addr_len,
                           &cancel_handler, k, &err);
    if (!k->conn) {
        log_often(e->hub->log, LOG_LV_WARNING, TEXT("cancel"),
                  "cancel request: cannot connect to the server: %s", err.msg);
        free(k);
        return false;
    }
    k->tls = s->conn->tls ? tls_ctx_ref(tls_context(s->conn->tls)) : NULL;
    s->cancels++;
    k->shard->n_cancel_active++;
    list_push_tail(&e->cancels, &k->node);
    stat_inc(&shard_stats(s->shard, e)->cancels);
    return true;
}

/* Is it the client's whole key? In a time that does not tell how much of it was right. */
static bool is_key_of(const struct client *c, struct text key)
{
    return key.n == (c->long_key ? CANCEL_KEY_LONG : CANCEL_KEY_SHORT) &&
           digest_same(c->cancel_key, key.p, key.n);
}

/* The client with that key, or with the key as it was before peers passed it on. */
static struct client *client_of(struct engine *e, struct text key)
{
    unsigned char normal[CANCEL_KEY_LONG];
    struct text k = text_n((const char *)normal, key.n);
    struct client *c = NULL;

    if (key.n < CANCEL_KEY_SHORT || key.n > CANCEL_KEY_LONG)
        return NULL;
    memcpy(normal, key.p, key.n);
    for (int i = 0; i < (e->setup->g.peer_id ? 2 : 1) && !c; i++) {
        if (i)
            peer_key_normal(normal);
        c = map_get(&e->cancel_keys, text_n(k.p, CANCEL_KEY_SHORT));
        if (c && !is_key_of(c, k))
            c = NULL;
    }
    wipe(normal, sizeof(normal));
    return c;
}

void cancel_local(struct engine *e, struct text key, const struct cancel_asker *asker)
{
    bool under_way = false;
    struct client *c = client_of(e, key);

    if (c && c->server && !pending_empty(c->server->pending)) {
        under_way = start(e, c->server, asker);
    } else if (c && c->state == CLIENT_WAITING && !client_at_login(c)) {
        c->canceled = true; /* the message that waits is still in the input: it is answered there */
        shard_unwait(c);
        conn_resume(c->conn);
        conn_reshow(c->conn);
    }
    if (!under_way)
        cancel_answer(e, asker, false);
}

/* false: out of memory. */
static bool tell(struct engine *e, struct text key, const struct cancel_asker *asker)
{
    struct mail_cancel *m = malloc(sizeof(*m));

    if (!m)
        return false;
    *m = (struct mail_cancel){ .mail.kind = MAIL_CANCEL, .n = key.n, .asker = *asker };
    memcpy(m->key, key.p, key.n);
    loop_post(&e->loop, &m->mail);
    return true;
}

void cancel_request(struct client *c, struct text key)
{
    struct engine *e = c->engine;
    const struct cancel_asker asker = { .worker = e->id,
                                        .client = c->id,
                                        .ptr = c,
                                        .connected_at = c->connected_at,
                                        .peer = c->conn->peer,
                                        .local = c->conn->local };

    c->cancel_left = 1;
    if (peer_forward(e, key, &asker))
        return;
    if (key.n <= CANCEL_KEY_LONG) { /* else of somebody else */
        for (int i = 0; i < e->hub->n_engines; i++)
            if (i != e->id && tell(e->hub->engine[i], key, &asker))
                c->cancel_left++;
        c->cancel_left++;
        cancel_local(e, key, &asker);
        e->hub->calls->cancel(e->hub->calls_arg, key);
    }
    cancel_answered(e, c->id, false);
}

void hub_cancel(struct hub *h, struct text key)
{
    const struct cancel_asker nobody = { .client = 0 };

    for (int i = 0; key.n <= CANCEL_KEY_LONG && i < h->n_engines; i++)
        (void)tell(h->engine[i], key, &nobody);
}

void cancels_reap(struct engine *e)
{
    usec_t limit = e->setup->g.cancel_wait_timeout;

    LIST_FOREACH_SAFE(n, next, &e->cancels) {
        struct cancel *k = LIST_ENTRY(n, struct cancel, node);
        if (!limit || e->loop.now - k->started <= limit)
            break; /* they are in the order of their start */
        struct server *s = held_server(k);
        if (s && k->sent)
            s->close_needed =
                true; /* it may still be hit, and must not be when it is another client's */
        k->timed_out = true;
        finish(k);
    }
}

void cancels_close(struct engine *e)
{
    LIST_FOREACH_SAFE(n, next, &e->cancels) {
        struct cancel *k = LIST_ENTRY(n, struct cancel, node);
        k->asker.client = 0; /* its worker ends too */
        finish(k);
    }
}

bool cancel_next(const struct engine *e, struct list **pos, struct cancel_info *out)
{
    struct list *n = *pos ? (*pos)->next : e->cancels.next;

    if (n == &e->cancels)
        return false;
    const struct cancel *k = LIST_ENTRY(n, struct cancel, node);
    *out = (struct cancel_info){ .shard = k->shard,
                                 .conn = k->conn,
                                 .host = k->host,
                                 .asker = &k->asker,
                                 .ptr = k,
                                 .id = k->id,
                                 .pid = k->pid,
                                 .started = k->started };
    *pos = n;
    return true;
}
