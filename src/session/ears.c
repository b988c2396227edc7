/* SPDX-License-Identifier: ISC */
/* Channels of clients without a server of their own: who listens to what on this worker. */
#include "session/ears.h"

#include "session/listener.h"
#include "session/utility.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARD_MAX (4u << 20) /* bytes of notifications kept for one client */
#define CHANNELS_MAX 10000   /* of one client */
#define MARKS_MAX 512        /* of one transaction */
#define MARK "pgbulkhead:unlisten:"

/* A channel that clients of this worker listen to. */
struct channel {
    struct list ears; /* ear.node */
    char name[];
};

/* One client's part of it. */
struct ear {
    struct list node;
    struct ears *ears;
    struct channel *channel;
    bool live; /* the listener's connection listens to it since then */
};

enum ears_state {
    EARS_QUIET,
    EARS_OWED,  /* ReadyForQuery is kept back */
    EARS_ASKED, /* ... and the server is asked */
    EARS_WAITS  /* ... and so is the listener */
};

struct ears {
    struct client *client;
    enum ears_state state;
    struct map links; /* channel name → ear */
    bool touched;     /* a statement about channels went out since no transaction was open */
    bool listened, notified;
    bool spoiled; /* that transaction had an error or a rollback */
    /* Marks: channels with a number, listened to behind an UNLISTEN. Those that are there when the
     * transaction is over tell which UNLISTEN it kept. */
    uint16_t marks, mark_due;      /* of the transaction; the one to be sent, 0 = none */
    uint64_t kept[MARKS_MAX / 64]; /* marks that the server says */
    struct buf gone; /* UNLISTEN: number of its mark (two bytes, 0: none), name (empty: all), NUL */
    struct buf fresh; /* what the server says: names with a NUL behind */
    struct list node; /* in the switchboard's waiting ones */
    uint64_t token;
    struct buf later; /* heard while the client could not be told */
};

/* One worker's channels of a pool. */
struct switchboard {
    struct map channels; /* name → channel */
    struct list waiting; /* ears.node, in the order of their requests */
    uint64_t last_token;
};

static bool no_memory(struct client *c)
{
    client_drop(c, "out of memory");
    return false;
}

static struct switchboard *board_of(struct shard *sh)
{
    struct switchboard *b = sh->board;

    if (!b && (b = calloc(1, sizeof(*b))) != NULL) {
        map_init(&b->channels);
        list_init(&b->waiting);
        sh->board = b;
    }
    return b;
}

size_t ears_channels(const struct shard *sh)
{
    return sh->board ? map_count(&sh->board->channels) : 0;
}

void ears_release(struct shard *sh)
{
    if (!sh->board)
        return;
    CHECK(map_count(&sh->board->channels) == 0);
    map_release(&sh->board->channels);
    free(sh->board);
    sh->board = NULL;
}

/* ---- requests to the listener ---- */

/* false: out of memory. */
static bool request(struct shard *sh, bool off, uint64_t token, struct text names)
{
    struct engine *e = sh->engine;
    struct mail_listen *m = malloc(sizeof(*m) + names.n + 1);

    if (!m)
        return false;
    *m = (struct mail_listen){ .mail.kind = MAIL_LISTEN,
                               .pool = sh->pool,
                               .from = e->id,
                               .token = token,
                               .off = off,
                               .n = names.n };
    list_init(&m->node);
    if (names.n)
        memcpy(m->names, names.p, names.n);
    m->names[names.n] = '\0';
    loop_post(&listener_owner(e, sh->pool)->loop, &m->mail);
    return true;
}

/* ---- the client's channels ---- */

static bool add(struct ears *ears, struct text name)
{
    struct switchboard *b = board_of(ears->client->shard);
    struct ear *ear = map_get(&ears->links, name);

    if (ear || !b)
        return ear != NULL;
    struct channel *ch = map_get(&b->channels, name);
    if (!ch) {
        ch = malloc(sizeof(*ch) + name.n + 1);
        if (!ch)
            return false;
        list_init(&ch->ears);
        memcpy(ch->name, name.p, name.n);
        ch->name[name.n] = '\0';
        map_put(&b->channels, text_n(ch->name, name.n), ch);
    }
    ear = calloc(1, sizeof(*ear));
    if (!ear) {
        if (list_empty(&ch->ears)) {
            map_del(&b->channels, name);
            free(ch);
        }
        return false;
    }
    ear->ears = ears;
    ear->channel = ch;
    list_push_tail(&ch->ears, &ear->node);
    map_put(&ears->links, text_of(ch->name), ear);
    return true;
}

/* Frees the channel if nobody listens to it any more. */
static void channel_done(struct shard *sh, struct channel *ch)
{
    if (!list_empty(&ch->ears))
        return;
    map_del(&sh->board->channels, text_of(ch->name));
    /* when memory is short the connection goes on listening, to what nobody is told */
    (void)request(sh, true, 0, text_of(ch->name));
    free(ch);
}

static void drop(struct ears *ears, struct ear *ear)
{
    struct channel *ch = ear->channel;

    map_del(&ears->links, text_of(ch->name));
    list_del(&ear->node);
    free(ear);
    channel_done(ears->client->shard, ch);
}

static void drop_all(struct ears *ears)
{
    size_t pos;
    struct text key;
    void *value;

    while (map_count(&ears->links) > 0) {
        pos = 0;
        if (map_next(&ears->links, &pos, &key, &value))
            drop(ears, value);
    }
}

void ears_forget(struct client *c)
{
    if (c->ears)
        drop_all(c->ears);
}

void ears_free(struct client *c)
{
    struct ears *ears = c->ears;

    if (!ears)
        return;
    drop_all(ears);
    map_release(&ears->links);
    list_del(&ears->node);
    buf_release(&ears->gone);
    buf_release(&ears->fresh);
    buf_release(&ears->later);
    free(ears);
    c->ears = NULL;
}

static struct ears *ears_of(struct client *c)
{
    struct ears *ears = c->ears;

    if (ears)
        return ears;
    ears = calloc(1, sizeof(*ears));
    if (!ears)
        return NULL;
    ears->client = c;
    map_init(&ears->links);
    list_init(&ears->node);
    buf_init(&ears->gone);
    buf_init(&ears->fresh);
    buf_init(&ears->later);
    return c->ears = ears;
}

/* ---- statements ---- */

bool ears_may_send(struct client *c)
{
    const struct pending *q = c->server ? c->server->pending : NULL;

    for (uint32_t i = 0; q && i < q->n; i++) {
        const struct pend *p = pending_at(q, i);
        if (p->action == PEND_OWN ||
            (p->kind != PEND_QUERY && p->kind != PEND_SYNC && p->kind != PEND_FUNCTION))
            continue;
        conn_pause(c->conn); /* server_input lets it go on */
        return false;
    }
    return true;
}

bool ears_sent(struct client *c, enum ears_what what, struct text channel)
{
    struct ears *ears = c->ears;

    if (what == EARS_NOTIFY && (!ears || map_count(&ears->links) == 0))
        return true; /* it is not told of what it notifies */
    ears = ears_of(c);
    if (!ears)
        return no_memory(c);
    ears->touched = true;
    if (what == EARS_LISTEN) {
        ears->listened = true;
    } else if (what == EARS_NOTIFY) {
        ears->notified = true;
    } else {
        buf_append(&ears->gone, &ears->mark_due, sizeof(ears->mark_due));
        buf_text_append(&ears->gone, channel);
        buf_char(&ears->gone, '\0');
    }
    return !ears->gone.failed || no_memory(c);
}

void ears_mark(struct client *c)
{
    struct ears *ears = c->ears;

    if (ears && map_count(&ears->links) > 0)
        ears->mark_due = ears->marks < MARKS_MAX ? ++ears->marks : 0;
}

bool ears_behind(struct client *c, bool simple)
{
    struct ears *ears = c->ears;
    struct server *s = c->server;
    char sql[64];
    bool ok;

    if (!ears || !ears->mark_due)
        return true;
    snprintf(sql, sizeof(sql), "LISTEN \"" MARK "%u\"", ears->mark_due);
    ears->mark_due = 0;
    if (simple)
        ok = server_own_query(s, text_of(sql), 0);
    else
        ok = server_own_execute(s, TEXT("PGBULKHEAD_MARK"), text_of(sql), NOTE_MARK);
    if (ok && simple) {
        pending_last(s->pending)->note = NOTE_MARK;
        pending_last(s->pending)->may_fail = true;
    }
    return ok || no_memory(c);
}

bool ears_hold(const struct client *c)
{
    const struct ears *ears = c->ears;

    if (!ears)
        return false;
    if (ears->state != EARS_QUIET)
        return true;
    if (!ears->touched || !c->server || pending_empty(c->server->pending) || c->in_copy)
        return false;
    switch (pending_last(c->server->pending)->kind) {
    case PEND_QUERY:
    case PEND_FUNCTION:
    case PEND_SYNC:
        return true;
    default:
        return false;
    }
}

void ears_spoiled(struct client *c)
{
    if (c->ears->touched)
        c->ears->spoiled = true;
}

/* ---- what was heard ---- */

static void tell_later(struct client *c)
{
    struct ears *ears = c->ears;

    if (buf_len(&ears->later) == 0)
        return;
    client_send(c, &ears->later);
    if (c->ears)
        buf_release(&c->ears->later);
}

/* Is the client between two answers, with no transaction open? */
static bool can_be_told(const struct client *c)
{
    const struct server *s = c->server;

    if (c->ears->state != EARS_QUIET)
        return false;
    return !s || (pending_empty(s->pending) && s->status == 'I' && !s->left && !s->copy_in &&
                  !c->extended && !c->left);
}

static void tell(struct client *c, const char *m, size_t n)
{
    struct ears *ears = c->ears;
    struct buf b;

    if (c->closing || !c->conn)
        return;
    if (conn_backlog(c->conn) + buf_len(&ears->later) > HEARD_MAX) {
        client_close(c, "54000", "too many notifications are unread");
        return;
    }
    buf_init(&b);
    if (!client_enforced(c))
        buf_append(&b, m, n);
    else if (!client_notification(c, m, (uint32_t)n, &b)) {
        buf_release(&b);
        return;
    }
    if (b.failed || can_be_told(c)) {
        client_send(c, &b);
    } else {
        buf_append(&ears->later, b.p, b.n);
        if (ears->later.failed)
            no_memory(c);
    }
    buf_release(&b);
}

bool ears_own(const struct client *c, const struct server *s, const char *m, uint32_t len)
{
    struct rd r = rd_init(m + 5, len - 5);
    uint32_t pid = rd_u32(&r);
    struct text channel = rd_cstr(&r);

    return !r.bad && c->ears && c->ears->listened && pid == s->backend_pid &&
           !map_get(&c->ears->links, channel);
}

/* ---- the end of the transaction ---- */

static void done(struct client *c)
{
    struct ears *ears = c->ears;
    size_t pos = 0;
    struct text key;
    void *value;
    struct buf b;

    while (map_next(&ears->links, &pos, &key, &value))
        ((struct ear *)value)->live = true;
    ears->state = EARS_QUIET;
    buf_init(&b);
    if (buf_len(&ears->later))
        buf_append(&b, ears->later.p + ears->later.off, buf_len(&ears->later));
    buf_release(&ears->later);
    wire_ready_build(&b, 'I');
    client_send(c, &b);
    buf_release(&b);
    if (c->closing)
        return;
    conn_resume(c->conn);
    conn_reshow(c->conn);
}

bool ears_ready(struct client *c, char status)
{
    struct ears *ears = c->ears;

    if (status != 'I')
        return false;
    if (ears->touched) {
        ears->touched = false;
        ears->state = EARS_OWED;
        return true;
    }
    tell_later(c);
    return false;
}

bool ears_ask(const struct client *c)
{
    return c->ears && c->ears->state == EARS_OWED;
}

void ears_asked(struct client *c)
{
    c->ears->state = EARS_ASKED;
}

bool ears_waits_for_server(const struct client *c)
{
    return c->ears->state == EARS_ASKED;
}

void ears_channel(struct client *c, struct text channel)
{
    struct ears *ears = c->ears;
    int64_t mark;

    if (text_starts(channel, TEXT(MARK)) &&
        text_to_int64(text_n(channel.p + strlen(MARK), channel.n - strlen(MARK)), &mark)) {
        if (mark > 0 && mark <= MARKS_MAX)
            ears->kept[(mark - 1) / 64] |= UINT64_C(1) << ((mark - 1) % 64);
        return;
    }
    buf_text_append(&ears->fresh, channel);
    buf_char(&ears->fresh, '\0');
}

/* Was the UNLISTEN with that mark kept? Without a mark: when nothing was undone. */
static bool is_gone(const struct ears *ears, uint16_t mark)
{
    if (!mark)
        return !ears->spoiled;
    return (ears->kept[(mark - 1) / 64] >> ((mark - 1) % 64)) & 1;
}

/* The channels of the transaction are the client's. false: out of memory. */
static bool take_over(struct ears *ears)
{
    struct text name;
    uint16_t mark;

    if (ears->fresh.failed)
        return false;
    for (size_t at = 0; at < ears->gone.n; at += sizeof(mark) + name.n + 1) {
        memcpy(&mark, ears->gone.p + at, sizeof(mark));
        name = text_of(ears->gone.p + at + sizeof(mark));
        struct ear *ear = name.n ? map_get(&ears->links, name) : NULL;
        if (!is_gone(ears, mark))
            continue;
        if (name.n == 0)
            drop_all(ears);
        else if (ear)
            drop(ears, ear);
    }
    for (size_t at = 0; at < ears->fresh.n; at += name.n + 1) {
        name = text_of(ears->fresh.p + at);
        if (map_count(&ears->links) >= CHANNELS_MAX || !add(ears, name))
            return false;
    }
    return true;
}

bool ears_answered(struct client *c)
{
    struct ears *ears = c->ears;
    bool ok = take_over(ears), ask = ears->fresh.n > 0 || ears->notified;
    struct switchboard *b = ok && ask ? board_of(c->shard) : NULL;

    if (b) {
        ears->state = EARS_WAITS;
        ears->token = ++b->last_token;
        list_push_tail(&b->waiting, &ears->node);
        ok = request(c->shard, false, ears->token, buf_text(&ears->fresh));
    } else {
        ok = ok && !ask;
    }
    buf_clear(&ears->fresh);
    buf_clear(&ears->gone);
    ears->spoiled = ears->listened = ears->notified = false;
    ears->marks = ears->mark_due = 0;
    memset(ears->kept, 0, sizeof(ears->kept));
    if (!ok)
        return no_memory(c);
    if (!ask)
        done(c);
    return !c->closing;
}

/* ---- mails ---- */

static void on_heard(struct switchboard *b, const struct mail_heard *m)
{
    struct list *n = list_first(&b->waiting);
    struct ears *ears = n ? LIST_ENTRY(n, struct ears, node) : NULL;

    if (!ears || ears->token != m->token)
        return; /* that client has gone */
    list_del(&ears->node);
    if (m->ok)
        done(ears->client);
    else
        client_close(ears->client, m->state, "%s", m->text);
}

static void on_note(struct switchboard *b, const struct mail_note *m)
{
    struct rd r = rd_init(m->bytes + 5, m->n - 5);

    (void)rd_u32(&r);
    struct text name = rd_cstr(&r);
    struct channel *ch = r.bad ? NULL : map_get(&b->channels, name);
    if (!ch)
        return;
    struct shard *sh = NULL;
    struct list mark; /* keeps the place, and the channel: telling one may close others too */
    for (struct list *n = ch->ears.next, *next; n != &ch->ears; n = next) {
        struct ear *ear = LIST_ENTRY(n, struct ear, node);
        sh = ear->ears->client->shard;
        list_push_tail(n->next, &mark);
        if (ear->live)
            tell(ear->ears->client, m->bytes, m->n);
        next = mark.next;
        list_del(&mark);
    }
    if (sh)
        channel_done(sh, ch);
}

static void on_deaf(struct switchboard *b)
{
    struct list *n;
    size_t pos;
    struct text key;
    void *value;

    while ((n = list_first(&b->waiting)) != NULL)
        client_close(LIST_ENTRY(n, struct ears, node)->client, "57P01",
                     "the connection that listens for this client was lost");
    while (map_count(&b->channels) > 0) {
        pos = 0;
        if (!map_next(&b->channels, &pos, &key, &value))
            break;
        n = list_first(&((struct channel *)value)->ears);
        client_close(LIST_ENTRY(n, struct ear, node)->ears->client, "57P01",
                     "the connection that listens for this client was lost");
    }
}

void ears_mail(struct engine *e, struct mail *m)
{
    struct pool *p = m->kind == MAIL_HEARD  ? ((struct mail_heard *)m)->pool
                     : m->kind == MAIL_NOTE ? ((struct mail_note *)m)->pool
                                            : ((struct mail_pool *)m)->pool;
    struct shard *sh = engine_shard(e, p);
    struct switchboard *b = sh ? sh->board : NULL;

    if (!b)
        return;
    if (m->kind == MAIL_HEARD)
        on_heard(b, (struct mail_heard *)m);
    else if (m->kind == MAIL_NOTE)
        on_note(b, (struct mail_note *)m);
    else
        on_deaf(b);
}
