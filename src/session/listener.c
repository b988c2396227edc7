/* SPDX-License-Identifier: ISC */
/* The pool's listening connection: who listens to what, requests in order, passing on. */
#include "session/listener.h"
#include "session/pins.h"

#include "base/check.h"
#include "wire/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A channel and the workers whose clients listen to it. */
struct heard {
    uint64_t workers;
    char name[];
};

struct listener {
    struct server *server; /* NULL: none */
    bool ready;
    struct map channels; /* name → heard */
    struct list asked;   /* requests not sent yet (mail_listen.node) */
    struct list sent;    /* requests whose answer is awaited, in order */
    usec_t empty_since;  /* nobody listens since then */
};

struct engine *listener_owner(struct engine *e, struct pool *p)
{
    int none = 0, mine = e->id + 1;

    if (atomic_compare_exchange_strong(&p->listener, &none, mine))
        return e;
    return e->hub->engine[none - 1];
}

static void answer(struct engine *e, struct mail_listen *m, const char *state, const char *text)
{
    struct mail_heard *a = calloc(1, sizeof(*a));

    if (a) {
        a->mail.kind = MAIL_HEARD;
        a->pool = m->pool;
        a->token = m->token;
        a->ok = state == NULL;
        snprintf(a->state, sizeof(a->state), "%s", state ? state : "");
        snprintf(a->text, sizeof(a->text), "%s", text ? text : "");
        loop_post(&e->hub->engine[m->from]->loop, &a->mail);
    }
    free(m);
}

/* ---- channels ---- */

static bool note_channel(struct listener *l, struct text name, int worker)
{
    struct heard *h = map_get(&l->channels, name);

    if (!h) {
        h = malloc(sizeof(*h) + name.n + 1);
        if (!h)
            return false;
        h->workers = 0;
        memcpy(h->name, name.p, name.n);
        h->name[name.n] = '\0';
        map_put(&l->channels, text_n(h->name, name.n), h);
    }
    h->workers |= UINT64_C(1) << worker;
    return true;
}

static void forget_channels(struct listener *l)
{
    size_t pos = 0;
    struct text key;
    void *value;

    while (map_next(&l->channels, &pos, &key, &value))
        free(value);
    map_release(&l->channels);
    map_init(&l->channels);
}

/* LISTEN "a";LISTEN "b"; an empty text where there is nothing to do but to be answered. */
static bool command(struct server *s, const char *verb, const struct mail_listen *m)
{
    struct buf sql;

    buf_init(&sql);
    for (size_t at = 0; at < m->n; at += strlen(m->names + at) + 1) {
        buf_text_append(&sql, text_of(verb));
        wire_quote_ident(&sql, text_of(m->names + at));
        buf_char(&sql, ';');
    }
    bool ok = !sql.failed && server_own_query(s, buf_text(&sql), 0);
    buf_release(&sql);
    return ok;
}

static void send_asked(struct listener *l)
{
    struct list *n;

    while (l->ready && (n = list_pop(&l->asked)) != NULL) {
        struct mail_listen *m = LIST_ENTRY(n, struct mail_listen, node);
        list_push_tail(&l->sent, &m->node);
        if (!command(l->server, "LISTEN ", m)) {
            server_close(l->server, "53200", "out of memory");
            return;
        }
        pending_last(l->server->pending)->note = NOTE_ASKED; /* somebody waits for its answer */
    }
}

/* ---- the connection ---- */

/* false: there cannot be one now. */
static bool launch(struct shard *sh, struct listener *l)
{
    if (!sh->db || !pool_listener_take(sh->pool))
        return false;
    l->server = server_new(sh, false);
    if (!l->server) {
        pool_listener_put(sh->pool);
        return false;
    }
    l->server->listener = true;
    server_begin(l->server);
    return true;
}

static struct listener *listener_of(struct shard *sh)
{
    struct listener *l = sh->listener;

    if (l)
        return l;
    l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    map_init(&l->channels);
    list_init(&l->asked);
    list_init(&l->sent);
    return sh->listener = l;
}

static void unlisten(struct engine *e, struct listener *l, struct mail_listen *m)
{
    struct text name = text_of(m->names);
    struct heard *h = map_get(&l->channels, name);

    if (!h)
        return;
    h->workers &= ~(UINT64_C(1) << m->from);
    if (h->workers)
        return;
    map_del(&l->channels, name);
    free(h);
    if (map_count(&l->channels) == 0)
        l->empty_since = e->loop.now;
    if (l->ready && !command(l->server, "UNLISTEN ", m))
        server_close(l->server, "53200", "out of memory");
    else if (l->ready)
        server_due(l->server);
}

void listener_mail(struct engine *e, struct mail_listen *m)
{
    struct shard *sh = engine_shard(e, m->pool);
    struct listener *l = sh ? listener_of(sh) : NULL;
    bool ok = l != NULL;

    list_init(&m->node);
    if (m->off) {
        if (l)
            unlisten(e, l, m);
        free(m);
        return;
    }
    for (size_t at = 0; ok && at < m->n; at += strlen(m->names + at) + 1)
        ok = note_channel(l, text_of(m->names + at), m->from);
    if (!ok) {
        answer(e, m, "53200", "out of memory");
        return;
    }
    l->empty_since = e->loop.now;
    list_push_tail(&l->asked, &m->node);
    if (l->server) {
        send_asked(l);
    } else if (!launch(sh, l)) {
        list_del(&m->node);
        forget_channels(l); /* nobody else can be listening */
        answer(e, m, "53300",
               "no server connection is left for listening "
               "(max_db_connections, max_user_connections)");
    }
}

void listener_ready(struct server *s)
{
    struct listener *l = s->shard->listener;

    if (s->close_needed) {
        server_close(s, NULL, "obsolete connection");
        return;
    }
    server_set_state(s, SERVER_LISTENER);
    s->released_at = s->shard->engine->loop.now;
    l->ready = true;
    send_asked(l);
    if (!s->dying)
        shard_pump(s->shard); /* its login was counted as one for a waiting client */
}

void listener_answered(struct server *s)
{
    struct listener *l = s->shard->listener;
    struct list *n = list_pop(&l->sent);

    if (n)
        answer(s->shard->engine, LIST_ENTRY(n, struct mail_listen, node), NULL, NULL);
    if (map_count(&l->channels) == 0)
        server_due(s);
}

void listener_note(struct server *s, const char *m, uint32_t len)
{
    struct engine *e = s->shard->engine;
    struct listener *l = s->shard->listener;
    struct rd r = rd_init(m + 5, len - 5);

    (void)rd_u32(&r);
    struct text channel = rd_cstr(&r);
    const struct heard *h = r.bad ? NULL : map_get(&l->channels, channel);
    for (uint64_t bits = h ? h->workers : 0; bits; bits &= bits - 1) {
        struct mail_note *note = malloc(sizeof(*note) + len);
        if (!note) { /* whoever listens must not miss one without knowing */
            server_close(s, "53200", "out of memory");
            return;
        }
        note->mail.kind = MAIL_NOTE;
        note->pool = s->shard->pool;
        note->n = len;
        memcpy(note->bytes, m, len);
        loop_post(&e->hub->engine[__builtin_ctzll(bits)]->loop, &note->mail);
    }
}

void listener_lost(struct server *s, const char *sqlstate, const char *text)
{
    struct shard *sh = s->shard;
    struct engine *e = sh->engine;
    struct listener *l = sh->listener;
    struct list *n;
    uint64_t workers = 0;
    size_t pos = 0;
    struct text key;
    void *value;

    l->server = NULL;
    l->ready = false;
    while (map_next(&l->channels, &pos, &key, &value))
        workers |= ((struct heard *)value)->workers;
    forget_channels(l);
    while ((n = list_pop(&l->sent)) != NULL || (n = list_pop(&l->asked)) != NULL)
        answer(e, LIST_ENTRY(n, struct mail_listen, node), sqlstate ? sqlstate : "57P01", text);
    for (; workers; workers &= workers - 1)
        engine_tell(e->hub->engine[__builtin_ctzll(workers)], MAIL_DEAF, sh->pool, e->id);
}

usec_t listener_idle_since(const struct server *s)
{
    const struct listener *l = s->shard->listener;

    return map_count(&l->channels) > 0 || !list_empty(&l->sent) ? 0 : l->empty_since;
}

void listener_release(struct shard *sh)
{
    struct listener *l = sh->listener;
    struct list *n;

    if (!l)
        return;
    while ((n = list_pop(&l->sent)) != NULL || (n = list_pop(&l->asked)) != NULL)
        free(LIST_ENTRY(n, struct mail_listen, node));
    forget_channels(l);
    map_release(&l->channels);
    free(l);
    sh->listener = NULL;
}
