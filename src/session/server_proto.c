/* SPDX-License-Identifier: ISC */
/*
 * What servers send: each reply is held against the head of the queue of expected ones, and
 * forwarded, dropped or replaced. Forwarded messages go out in runs, one write per read. Anything
 * unexpected closes the server.
 */
#include "session/binding.h"
#include "session/counts.h"
#include "session/ears.h"
#include "session/error_fields.h"
#include "session/hosts.h"
#include "session/listener.h"
#include "session/pins.h"
#include "session/say.h"
#include "session/settings.h"
#include "session/slow.h"
#include "session/state.h"
#include "session/utility.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SMALL (64u << 20) /* longest reply other than a row that we hold whole */

/* A stretch of the input that goes to the client as it is. */
struct run {
    struct server *s;
    char *from, *to, *data; /* data: the input that is shown */
    int next; /* type of what stands behind the message being handled, -1 = nothing yet */
};

static void run_flush(struct run *r)
{
    if (r->to > r->from && r->s->client && r->s->client->conn)
        conn_write(r->s->client->conn, r->from, (size_t)(r->to - r->from));
    r->from = r->to;
}

/* Bytes of the server's input up to the end of a message of that length. */
static uint64_t taken_with(const struct run *r, uint32_t len)
{
    return r->s->taken + (uint64_t)(r->to - r->data) + len;
}

/* Takes n bytes at the end of the run: forward keeps them, otherwise they are left out. */
static void run_take(struct run *r, size_t n, bool forward)
{
    if (forward && r->s->client) {
        r->to += n;
        return;
    }
    run_flush(r);
    r->from = r->to = r->to + n;
}

struct pend *server_expect(struct server *s, enum pend_kind kind, enum pend_action action)
{
    struct pend *p = pending_push(s->pending, kind, action);
    if (!p)
        server_close(s, "53200", "out of memory");
    else if (s->client && s->client->trace.set && (kind == PEND_QUERY || kind == PEND_EXECUTE) &&
             action == PEND_FORWARD)
        p->trace = s->client->trace;
    return p;
}

bool server_own_query(struct server *s, struct text sql, uint32_t vars)
{
    struct buf b;

    buf_init(&b);
    wire_query_build(&b, sql);
    struct pend *p = b.failed ? NULL : pending_push(s->pending, PEND_QUERY, PEND_OWN);
    if (p) {
        p->vars = vars;
        conn_write_copy(s->conn, b.p, b.n);
        s->stmts->unnamed = 0;
        s->own_failed = false;
    }
    buf_release(&b);
    return p != NULL;
}

bool server_own_execute(struct server *s, struct text name, struct text sql, int note)
{
    static const enum pend_kind kinds[] = { PEND_CLOSE,   PEND_PARSE, PEND_BIND,
                                            PEND_EXECUTE, PEND_CLOSE, PEND_CLOSE };
    static const char none[6] = { 0 }; /* no formats, no parameters, no result formats */
    struct buf b;

    buf_init(&b);
    wire_target_build(&b, 'C', 'S', name);
    wire_parse_build(&b, name, sql, NULL, 0);
    size_t mark = msg_begin(&b, 'B');
    msg_cstr(&b, name);
    msg_cstr(&b, name);
    msg_bytes(&b, none, sizeof(none));
    msg_end(&b, mark);
    wire_execute_build(&b, name, 0);
    wire_target_build(&b, 'C', 'P', name);
    wire_target_build(&b, 'C', 'S', name);
    bool ok = !b.failed;
    for (size_t i = 0; ok && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct pend *p = server_expect(s, kinds[i], PEND_DROP);
        if (p)
            p->note = (uint8_t)note;
        ok = p != NULL;
    }
    if (ok)
        conn_write_copy(s->conn, b.p, b.n);
    buf_release(&b);
    return ok;
}

void server_run_fakes(struct server *s)
{
    struct pend *p;

    while ((p = pending_head(s->pending)) != NULL) {
        if (p->action == PEND_FAKE) {
            if (s->client && s->client->conn)
                conn_write_copy(s->client->conn, p->bytes, p->n_bytes);
        } else if (p->kind != PEND_COPY_END) {
            return;
        }
        pending_pop(s->pending);
    }
}

/* Pops the head, whose answer is complete, and sends what of ours follows it. */
static void answered(struct server *s, struct run *r)
{
    pending_pop(s->pending);
    struct pend *p = pending_head(s->pending);
    if (p && (p->action == PEND_FAKE || p->kind == PEND_COPY_END)) {
        run_flush(r);
        server_run_fakes(s);
    }
}

/* ---- errors ---- */

static void count_error(struct server *s, struct text state)
{
    struct db_stats *st = shard_stats(s->shard, s->shard->engine);
    static const struct {
        char cls[3];
        size_t off;
    } classes[] = {
        { "42", offsetof(struct db_stats, err_syntax) },
        { "22", offsetof(struct db_stats, err_data) },
        { "23", offsetof(struct db_stats, err_integrity) },
        { "40", offsetof(struct db_stats, err_rollback) },
        { "53", offsetof(struct db_stats, err_resources) },
        { "57", offsetof(struct db_stats, err_operator) },
    };
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        if (state.n == 5 && memcmp(state.p, classes[i].cls, 2) == 0) {
            stat_inc((stat_t *)((char *)st + classes[i].off));
            return;
        }
    stat_inc(&st->err_other);
}

/* The server skips what was sent behind the failed message up to the next Sync: so do its answers,
 * and what those messages had done here is taken back, last one first. */
static void skip_to_sync(struct server *s, struct run *r)
{
    struct pending *q = s->pending;
    uint32_t n = 0;

    while (n < q->n && pending_at(q, n)->kind != PEND_SYNC)
        n++;
    bool found = n < q->n;
    struct pend *failed = pending_head(q);
    if (failed->kind == PEND_PARSE && failed->undo == UNDO_UNNAMED && failed->stmt) {
        stmt_unref(failed->stmt); /* a Parse that fails leaves no unnamed statement, one that is
                                     skipped the old one */
        failed->stmt = NULL;
    }
    struct pend_later later;
    pending_later(q, n + found, &later);
    for (uint32_t i = n; i-- > 0;)
        client_undo(s->client, s, pending_at(q, i), &later);
    pending_later_release(&later);
    for (uint32_t i = 0; i < n; i++) {
        if (found && pending_head(q)->kind == PEND_QUERY &&
            pending_at(q, n - i)->note == NOTE_RESCUE)
            pending_at(q, n - i)->action = PEND_FORWARD;
        if (pending_head(q)->note == NOTE_REBIND && pending_head(q)->kind == PEND_QUERY)
            s->rebinding = false; /* skipped with the reset in front of it */
        if (pending_head(q)->note == NOTE_HELD)
            s->held = false;
        pending_pop(q);
    }
    if (!found)
        s->skipping = true;
    s->copy_in = false;
    if (s->client)
        s->client->in_copy = false;
    (void)r;
}

static bool is_extended(const struct pend *p)
{
    return p->kind != PEND_QUERY && p->kind != PEND_FUNCTION && p->kind != PEND_SYNC;
}

/* Is the type one of these? NUL is none. */
static bool one_of(const char *types, int type)
{
    return type && strchr(types, type);
}

/* A type for a log line. */
static char shown(int type)
{
    return type > ' ' && type < 0x7f ? (char)type : '?';
}

/* An ErrorResponse or NoticeResponse for the client: a tenant's without what could be others'. */
static void forward_fields(struct server *s, struct run *r, const char *m, uint32_t len)
{
    struct buf b;

    if (!s->client || !client_enforced(s->client)) {
        run_take(r, len, true);
        return;
    }
    buf_init(&b);
    redact_message(s->client, pending_head(s->pending), m, len, &b);
    run_take(r, len, false);
    client_send(s->client, &b);
    buf_release(&b);
}

/* ErrorResponse. false: the server was closed. */
static bool on_error(struct server *s, struct run *r, const char *m, uint32_t len)
{
    struct pend *p = pending_head(s->pending);
    struct wire_error_fields f;

    char said[1000];

    wire_error_read(m + 5, len - 5, &f);
    bool fatal = text_is(f.severity, "FATAL") || text_is(f.severity, "PANIC");
    if (!p || fatal || p->action == PEND_OWN)
        server_said(s, f.message, said, sizeof(said));
    count_error(s, f.sqlstate);
    if (!p && !fatal) {
        server_close(s, "08P01", "unexpected error from server: %s", said);
        return false;
    }
    if (fatal) {
        server_log(s, LOG_LV_WARNING, "server says: %.*s %s", TEXT_ARG(f.severity), said);
        if (!s->client || (p && p->action == PEND_OWN)) {
            server_close(s, NULL, "%s", said);
            return false;
        }
        s->fatal = true;
        forward_fields(s, r, m, len);
        return true;
    }
    profile_failed(s, p, taken_with(r, len));
    state_doubt(s);
    if (s->client && p->action != PEND_OWN) {
        slow_failed(s->client, f.sqlstate);
        trace_answered(s->client, p);
    }
    if (s->discarded && p->action != PEND_OWN) { /* the error took back the renewal only */
        forward_fields(s, r, m, len);
        server_close(s, "08P01", "the tenant could not be bound");
        return false;
    }
    switch (p->action) {
    case PEND_OWN:
        s->own_failed = !p->may_fail;
        s->ask_failed = p->note == NOTE_STATE;
        if (s->own_failed)
            server_log(s, LOG_LV_WARNING, "our own query failed: %s", said);
        if (is_extended(p)) { /* the server ignores what was sent behind it */
            server_close(s, "08P01", "%s",
                         s->guc ? "the tenant could not be bound" : "invalid server parameter");
            return false;
        }
        run_take(r, len, false);
        break;
    case PEND_REFUSE:
        run_take(r, len, false);
        if (s->client && s->client->conn)
            conn_write_copy(s->client->conn, p->bytes, p->n_bytes);
        break;
    default:
        if (p->note == NOTE_REBIND) { /* the reset in front of it may have been committed */
            server_close(s, "08P01", "the tenant could not be bound");
            return false;
        }
        if (p->copy && s->client)
            client_copy_over(s->client, p->copy);
        if (p->copy && p->bytes && text_is(f.sqlstate, "57014")) { /* by our CopyFail */
            run_take(r, len, false);
            if (s->client && s->client->conn)
                conn_write_copy(s->client->conn, p->bytes, p->n_bytes);
            break;
        }
        if (p->may_fail) /* the client's own message, behind it, says so */
            run_take(r, len, false);
        else
            forward_fields(s, r, m, len);
    }
    if (s->dying)
        return false;
    if (s->client && s->client->ears)
        ears_spoiled(s->client);
    if (is_extended(p))
        skip_to_sync(s, r);
    return true;
}

/* ---- ReadyForQuery ---- */

static void count_query(struct server *s, struct client *c, unsigned kind)
{
    struct engine *e = s->shard->engine;
    struct db_stats *st = shard_stats(s->shard, e);
    usec_t now = e->loop.now;

    if (c->query_at) {
        usec_t took = now > c->query_at ? now - c->query_at : 0;
        count_kind(st, kind);
        stat_add(&st->query_us, took);
        trace_observed(c, st, stat_observe(&st->query, took), took);
        if (c->tenant_note) {
            top_add(&e->top, c->tenant_note, TOP_QUERIES, 1);
            top_add(&e->top, c->tenant_note, TOP_US, took);
        }
        count_slow(c, took, e->setup->g.slow_query_threshold);
    }
    slow_next(c);
    c->query_at = pending_empty(s->pending) ? 0 : now;
    if (s->status == 'I' && c->xact_at) {
        usec_t took = now > c->xact_at ? now - c->xact_at : 0;
        stat_inc(&st->xacts);
        stat_add(&st->xact_us, took);
        stat_observe(&st->xact, took);
        c->xact_at = pending_empty(s->pending) ? 0 : now;
    }
}

/* The answer to our own Query behind the client's last one is there. */
static void query_over(const struct server *s, struct client *c)
{
    c->query_at = 0;
    if (s->status == 'I')
        c->xact_at = 0;
}

/* Our own batch is done: the client's parameters are now what the server says they are. */
static bool own_done(struct server *s, uint32_t mask)
{
    struct client *c = s->client;

    if (s->own_failed) {
        s->own_failed = false;
        server_close(s, "08P01", c ? "invalid server parameter" : "test query failed");
        return false;
    }
    for (int i = 0; c && mask; i++, mask >>= 1)
        if ((mask & 1) && s->vars->value[i] && !vars_set(&c->vars, i, text_of(s->vars->value[i]))) {
            server_close(s, "53200", "out of memory");
            return false;
        }
    return true;
}

/* false: the server is not this client's any more, or gone. */
static bool on_ready(struct server *s, struct run *r, const char *m, uint32_t len)
{
    struct pend *p = pending_head(s->pending);
    struct client *c = s->client;

    if (len != 6 || !one_of("ITE", m[5]) || !p || is_extended(p) || p->action == PEND_FAKE) {
        server_close(s, "08P01", "unexpected ReadyForQuery from server");
        return false;
    }
    s->status = m[5];
    bool own = p->action == PEND_OWN, rebind = p->note == NOTE_REBIND, held = p->note == NOTE_HELD;
    bool proven = p->note == NOTE_PROVEN, asked = p->note == NOTE_STATE,
         told = p->note == NOTE_ASKED, owed = false,
         behind = rebind || p->note == NOTE_MARK || (own && p->note == NOTE_RESCUE);
    uint32_t vars = p->vars;
    unsigned kind = p->sort;
    if (c)
        trace_answered(c, p);
    if (p->kind == PEND_SYNC)
        s->batch_done++;
    uint64_t taken = taken_with(r, len);
    profile_end(s, p, taken);
    s->counted = taken;
    s->rows = 0;
    settings_ready(s);
    if (c && c->ears && !own) {
        run_flush(r);
        owed = ears_ready(c, s->status);
    }
    run_take(r, len, !own && p->action != PEND_DROP && !owed);
    s->skipping = false;
    s->copy_in = false;
    if (c)
        c->in_copy = false;
    answered(s, r);
    s->rebinding = s->rebinding && !rebind;
    s->held = s->held && !held;
    s->proving = s->proving && !proven;
    s->discarded = false;
    if (rebind && s->status == 'E')
        s->own_failed = false; /* whatever took the tenant away is undone with its transaction */
    if (own && !own_done(s, vars))
        return false;
    if (asked && !state_answered(s, s->ask_failed))
        return false;
    if (told && c && !pins_answered(s))
        return !s->dying && s->client == c;
    if (!own && c) {
        count_query(s, c, kind);
        profile_ready(c);
    }
    if (told && s->listener)
        listener_answered(s);
    if (!pending_empty(s->pending))
        return true;
    if (behind && c)
        query_over(s, c);
    if (c && s->status == 'I')
        client_portals_clear(c);
    if (s->status != 'I') {
        if (c && c->pool_mode == POOL_STATEMENT) {
            run_flush(r);
            server_close(s, "08P01", "transaction blocks not allowed in statement pooling mode");
            return false;
        }
        if (!c) {
            server_close(s, NULL, "our own query left a transaction open");
            return false;
        }
        return true;
    }
    if (!c) {
        run_flush(r);
        if (!s->listener || s->state != SERVER_LISTENER)
            server_ready(s);
        return s->state == SERVER_LISTENER;
    }
    if ((own && !behind && !asked && !told) || c->pool_mode == POOL_SESSION || c->left ||
        c->extended)
        return true;
    run_flush(r);
    if (r->next >= 0 &&
        !one_of("NASE", r->next)) { /* nobody asked for that: it must not reach the next client */
        server_close(s, "08P01", "unexpected message '%c' behind ReadyForQuery from server",
                     shown(r->next));
        return false;
    }
    if (state_ask(s) || pins_keep(s))
        return !s->dying;
    server_release(s);
    return false;
}

/* ---- the other messages ---- */

static bool forwards(const struct server *s, const struct pend *p)
{
    return s->client && (!p || (p->action != PEND_OWN && p->action != PEND_DROP));
}

#define OF(kind) (1U << PEND_##kind)

/* Which reply completes which expectation? */
static const uint16_t completing[256] = {
    ['1'] = OF(PARSE),
    ['2'] = OF(BIND),
    ['3'] = OF(CLOSE),
    ['T'] = OF(DESCRIBE_P) | OF(DESCRIBE_S),
    ['n'] = OF(DESCRIBE_P) | OF(DESCRIBE_S),
    ['C'] = OF(EXECUTE),
    ['I'] = OF(EXECUTE),
    ['s'] = OF(EXECUTE),
};

static bool completes(const struct pend *p, char type)
{
    return completing[(unsigned char)type] >> p->kind & 1;
}

/* Which is possible at all while that reply is awaited, besides those that complete it? */
static const uint16_t possible[256] = {
    ['T'] = OF(QUERY),
    ['D'] = OF(QUERY) | OF(EXECUTE),
    ['C'] = OF(QUERY),
    ['I'] = OF(QUERY),
    ['G'] = OF(QUERY) | OF(EXECUTE),
    ['H'] = OF(QUERY) | OF(EXECUTE),
    ['W'] = OF(QUERY) | OF(EXECUTE),
    ['d'] = OF(QUERY) | OF(EXECUTE),
    ['c'] = OF(QUERY) | OF(EXECUTE),
    ['V'] = OF(FUNCTION),
    ['t'] = OF(DESCRIBE_S),
};

static bool plausible(const struct pend *p, char type)
{
    return (possible[(unsigned char)type] | completing[(unsigned char)type]) >> p->kind & 1;
}

static void on_tag(struct server *s, const char *body, size_t n, bool own)
{
    struct text tag = text_n(body, n ? n - 1 : 0);

    if (!own && s->client)
        slow_tag(s->client, tag);
    if (s->touch && text_is(tag, "ROLLBACK"))
        state_doubt(s);
    if (!own && s->client && s->client->ears && text_is(tag, "ROLLBACK"))
        ears_spoiled(s->client);
    if (text_is(tag, "DISCARD ALL") && pending_head(s->pending)->kind == PEND_EXECUTE)
        s->discarded = s->guc && s->client && client_enforced(s->client);
    if (text_is(tag, "DISCARD ALL") || text_is(tag, "DEALLOCATE ALL")) {
        if (s->pending->n > 1)
            server_stmts_doubt(s->stmts); /* more was sent behind it, perhaps a Parse */
        else
            server_stmts_clear(s->stmts);
        if (s->client && !own)
            client_stmts_clear(s->client);
    } else if (text_is(tag, "DEALLOCATE") && !(s->client && client_enforced(s->client))) {
        server_stmts_doubt(s->stmts); /* of a name in SQL; it could be one of ours */
    }
}

/* The server wants CopyData. Syncs that were sent behind the Execute and before the end of the data
 * are swallowed by it (PostgreSQL manual, "COPY Operations"), so no answer to them is expected. */
static void on_copy_in(struct server *s, struct pend *p)
{
    struct pending *q = s->pending;

    s->copy_in = true;
    if (s->client)
        s->client->in_copy = true;
    if (p->kind == PEND_QUERY && q->n == 2 && pending_at(q, 1)->note == NOTE_RESCUE) {
        pending_unpush(q); /* the server ignores it: nothing can have been sent behind it */
        s->batch_done++;
    }
    if (p->kind != PEND_EXECUTE)
        return;
    uint32_t out = 1, i = 1;
    for (; i < q->n && pending_at(q, i)->kind != PEND_COPY_END; i++)
        if (pending_at(q, i)->kind != PEND_SYNC)
            *pending_at(q, out++) = *pending_at(q, i);
        else
            s->batch_done++;
    bool sync_to_come = true;
    for (; i < q->n; i++) {
        sync_to_come = sync_to_come && pending_at(q, i)->kind != PEND_SYNC;
        *pending_at(q, out++) = *pending_at(q, i);
    }
    if (s->client && sync_to_come)
        s->client->extended = true; /* the batch goes on */
    q->n = out;
}

static bool on_status(struct server *s, struct run *r, const char *m, uint32_t len)
{
    struct pend *p = pending_head(s->pending);
    struct text name, value;

    if (!wire_status_read(m + 5, len - 5, &name, &value)) {
        server_close(s, "08P01", "malformed ParameterStatus from server");
        return false;
    }
    if (s->shard->pool->guarded && !vars_safe(name, value)) {
        server_close(s, "0A000", "a tenant's server changed how it reads statements");
        return false;
    }
    host_role(s, name, value);
    int i = var_index(&s->shard->engine->hub->var_names, name);
    bool own = p && p->action == PEND_OWN;
    if (i >= 0) {
        bool ok = vars_set(s->vars, i, value);
        if (ok && s->client && !own)
            ok = vars_set(&s->client->vars, i, value);
        if (!ok) {
            server_close(s, "53200", "out of memory");
            return false;
        }
    }
    /* what our own SET changed is what the client has already been told, unless the server spells
     * it differently */
    run_take(r, len, s->client != NULL && !own);
    return true;
}

/* 't' with parameters that the client does not know of. */
static bool on_paramdesc(struct server *s, struct run *r, struct pend *p, const char *m,
                         uint32_t len)
{
    struct buf b;

    buf_init(&b);
    bool ok = wire_paramdesc_trim(&b, m + 5, len - 5, p->trim) && !b.failed;
    if (ok) {
        run_take(r, len, false);
        if (s->client && s->client->conn)
            conn_write_copy(s->client->conn, b.p, b.n);
    }
    buf_release(&b);
    if (!ok)
        server_close(s, "08P01", "malformed ParameterDescription from server");
    return ok;
}

/* Is the CommandComplete the answer to a SET of ours around the client's Query? */
static bool of_setting(struct pend *p)
{
    int at = p->n_done++;

    return at < p->set_front || (p->set_back > 0 && at >= p->set_front + p->n_commands);
}

/* 'G' with a column that the client does not know of. false: there is none. */
static bool on_copy_columns(struct server *s, struct run *r, const struct pend *p, const char *m,
                            uint32_t len)
{
    struct buf b;

    buf_init(&b);
    bool changed = client_copy_response(s->client, p, m + 5, len - 5, &b);
    if (changed) {
        run_take(r, len, false);
        client_send(s->client, &b);
    }
    buf_release(&b);
    return changed;
}

/* A reply that the head of the queue explains. */
static bool on_reply(struct server *s, struct run *r, const char *m, const struct frame *f)
{
    struct pend *p = pending_head(s->pending);

    if (!p || p->action == PEND_FAKE || !plausible(p, f->type) || p->action == PEND_REFUSE) {
        server_close(s, "08P01", "unexpected message '%c' from server", shown(f->type));
        return false;
    }
    if (p->note == NOTE_ASKED && f->type == 'D')
        pins_row(s, m + 5, f->len - 5);
    if (f->type == 'C')
        on_tag(s, m + 5, f->len - 5, p->action == PEND_OWN);
    if (f->type == 'G' || f->type == 'W')
        on_copy_in(s, p);
    bool refused_copy = p->copy && p->bytes && f->type == 'C' && p->set_front == 0;
    bool unawaited = f->type == 'G' && !p->copy && s->client && client_enforced(s->client);
    if (refused_copy || (unawaited && !client_copy_unawaited(s->client, p))) {
        if (!s->dying)
            server_close(s, "08P01", "COPY was completed in spite of CopyFail");
        return false;
    }
    p = pending_head(s->pending);
    if (f->type == 'D' && p->note == NOTE_STATE)
        state_row(s, m + 5, f->len - 5);
    if (f->type == 'n' && p->rows_only) { /* the client sent a Query, which has no such answer */
        run_take(r, f->len, false);
        answered(s, r);
        return true;
    }
    if (f->type == 'G' && p->copy && s->client && on_copy_columns(s, r, p, m, f->len))
        return !s->dying;
    if (f->type == 't' && p->trim)
        return on_paramdesc(s, r, p, m, f->len);
    bool ours = p->set_front > 0 && f->type == 'C' && of_setting(p);
    if (f->type == 'C' && p->profile && !ours)
        profile_rows(s, text_n(m + 5, f->len > 6 ? f->len - 6 : 0));
    if (p->profile && completes(p, f->type))
        profile_end(s, p, taken_with(r, f->len));
    run_take(r, f->len, forwards(s, p) && !ours);
    if (f->type == 'C' && p->kind == PEND_EXECUTE && s->copy_in) {
        s->copy_in = false;
        if (s->client)
            s->client->in_copy = false;
    }
    if (f->type == '1' && p->stmt && p->undo != UNDO_UNNAMED)
        stmt_prove(p->stmt);
    if (completes(p, f->type)) {
        if (s->client)
            trace_answered(s->client, p);
        s->binding = s->binding && p->note != NOTE_BOUND;
        answered(s, r);
    }
    return true;
}

/* NotificationResponse: a tenant's client gets its own tenant's. */
static void on_notification(struct server *s, struct run *r, const char *m, uint32_t len)
{
    struct buf b;

    if (s->listener) {
        listener_note(s, m, len);
        run_take(r, len, false);
        return;
    }
    bool wanted = s->client && (!s->client->virtual_state || ears_own(s->client, s, m, len));
    if (!wanted || !client_enforced(s->client)) {
        run_take(r, len, wanted);
        return;
    }
    run_take(r, len, false);
    buf_init(&b);
    if (client_notification(s->client, m, len, &b))
        client_send(s->client, &b);
    buf_release(&b);
}

/* One whole message. false: stop looking at this server's input (closed, or released with nothing
 * left to read). */
static bool on_message(struct server *s, struct run *r, const char *m, const struct frame *f)
{
    switch (f->type) {
    case 'E':
        return on_error(s, r, m, f->len);
    case 'Z':
        return on_ready(s, r, m, f->len);
    case 'S':
        return on_status(s, r, m, f->len);
    case 'N': {
        struct pend *p = pending_head(s->pending);
        if (p && p->action == PEND_OWN)
            run_take(r, f->len, false);
        else
            forward_fields(s, r, m, f->len);
        return true;
    }
    case 'A':
        on_notification(s, r, m, f->len);
        return true;
    default:
        return on_reply(s, r, m, f);
    }
}

/* Rows and copied data may be passed on before they are whole. */
static bool streams(const struct server *s, char type)
{
    const struct pend *p = pending_head(s->pending);
    return (type == 'D' || type == 'd' || type == 'V') && p && p->action != PEND_FAKE &&
           p->action != PEND_REFUSE && p->note != NOTE_STATE && p->note != NOTE_ASKED &&
           plausible(p, type);
}

static size_t take_input(struct server *s, char *data, size_t n)
{
    struct run r = { s, data, data, data, -1 };
    char *end = data + n;

    while (r.to < end) {
        size_t left = (size_t)(end - r.to);
        if (s->left) {
            size_t take = s->left < left ? s->left : left;
            run_take(&r, take, !s->left_drop);
            s->left -= (uint32_t)take;
            continue;
        }
        struct frame f;
        enum frame_status st = frame_peek(r.to, left, UINT32_MAX, &f);
        if (st == FRAME_MORE)
            break;
        bool stream = st == FRAME_OK && streams(s, f.type);
        if (st == FRAME_BAD || (!stream && f.len > MAX_SMALL)) {
            server_close(s, "08P01", "malformed message from server");
            return n;
        }
        if (stream) {
            size_t take = f.len < left ? f.len : left;
            s->left_drop = !forwards(s, pending_head(s->pending));
            s->left = f.len - (uint32_t)take;
            run_take(&r, take, !s->left_drop);
            continue;
        }
        if (f.len > left)
            break;
        r.next = f.len < left ? (unsigned char)r.to[f.len] : -1;
        if (!on_message(s, &r, r.to, &f)) {
            if (s->dying)
                return n;
            /* released: what follows belongs to nobody and must be explained by the next look */
            size_t used = (size_t)(r.to - data);
            if (used < n)
                conn_reshow(s->conn);
            s->taken += used;
            return used;
        }
    }
    run_flush(&r);
    s->taken += (size_t)(r.to - data);
    return (size_t)(r.to - data);
}

size_t server_input(void *owner, char *data, size_t n)
{
    struct server *s = owner;
    struct client *c = s->client; /* what is closed meanwhile is freed at the end of the turn */

    if (s->login)
        return server_login_input(s, data, n);
    if (c && c->conn && conn_blocked(c->conn)) {
        conn_pause(s->conn); /* resumed by the client's drained callback */
        return 0;
    }
    size_t used = take_input(s, data, n);
    if (c && c->conn && c->conn->paused && !s->dying &&
        (c->server != s || (s->pending->n <= PENDING_LOW && !binding_holds(s) && !state_holds(s))))
        conn_resume(c->conn);
    return used;
}
