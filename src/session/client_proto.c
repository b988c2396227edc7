/* SPDX-License-Identifier: ISC */
/*
 * What logged-in clients send, message by message: forward at once, read whole, wait for a server,
 * or answer ourselves.
 */
#include "session/binding.h"
#include "session/counts.h"
#include "session/ears.h"
#include "session/effects.h"
#include "session/identity.h"
#include "session/pins.h"
#include "session/record.h"
#include "session/slow.h"
#include "session/state.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool client_need_server(struct client *c)
{
    if (c->server &&
        !server_path_current(
            c->server)) { /* its statements would be judged under another search path */
        server_close(c->server, "57P01", "the search path of the database has changed");
        return false;
    }
    if (c->server)
        return true;
    CHECK(c->state == CLIENT_IDLE);
    c->request_at = c->engine->loop.now;
    shard_wait(c);
    if (c->server && c->server->proving) { /* server_input lets it go on */
        c->query_at = c->request_at;
        conn_pause(c->conn);
        return false;
    }
    return c->server != NULL;
}

void client_note_request(struct client *c)
{
    usec_t now = c->engine->loop.now;
    if (!c->query_at)
        c->query_at = c->request_at && c->server->assigned_at == now ? c->request_at : now;
    if (!c->xact_at)
        c->xact_at = c->query_at;
    c->server->request_at = c->asked_at = now;
    c->request_at = 0;
}

/* ---- refusals ---- */

static bool keep_bytes(struct pend *p, const struct buf *b)
{
    p->n_bytes = (uint32_t)buf_len(b);
    p->bytes = malloc(p->n_bytes ? p->n_bytes : 1);
    if (!p->bytes)
        return false;
    memcpy(p->bytes, b->p + b->off, p->n_bytes);
    return true;
}

/* What PostgreSQL answers with an error and nothing else: Describe of a statement that nobody can
 * have made, and a Query that is none. */
static const char failing_describe[] = "S\0refused by pgbulkhead";
static const char failing_query[] = "refused by pgbulkhead";

static void refuse_on_server(struct client *c, bool simple, const struct buf *bytes)
{
    struct server *s = c->server;
    struct buf b;

    if (s->skipping && !simple)
        return; /* PostgreSQL would not look at it either */
    struct pend *p = server_expect(s, simple ? PEND_QUERY : PEND_DESCRIBE_S, PEND_REFUSE);
    if (!p)
        return;
    if (!keep_bytes(p, bytes)) {
        server_close(s, "53200", "out of memory");
        return;
    }
    buf_init(&b);
    if (simple) {
        binding_batch_ends(c, p);
        wire_query_build(&b, TEXT(failing_query));
        s->stmts->unnamed = 0;
    } else {
        size_t mark = msg_begin(&b, 'D');
        msg_bytes(&b, failing_describe, sizeof(failing_describe));
        msg_end(&b, mark);
    }
    if (b.failed) {
        buf_release(&b);
        server_close(s, "53200", "out of memory");
        return;
    }
    client_note_request(c);
    conn_write_copy(s->conn, b.p, b.n);
    buf_release(&b);
}

void client_refuse(struct client *c, bool simple, const struct buf *bytes)
{
    if (bytes->failed) {
        client_drop(c, "out of memory");
        return;
    }
    if (c->server) {
        if (simple && c->server->skipping)
            return;
        refuse_on_server(c, simple, bytes);
        c->extended = !simple;
        return;
    }
    conn_write_copy(c->conn, bytes->p + bytes->off, buf_len(bytes));
    if (simple) {
        struct buf z;
        buf_init(&z);
        wire_ready_build(&z, 'I');
        client_send(c, &z);
        buf_release(&z);
    } else {
        c->skip_to_sync = true;
    }
}

void client_refuse_text(struct client *c, bool simple, const char *sqlstate, const char *fmt, ...)
{
    char text[1000];
    struct buf b;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_init(&b);
    wire_error_build(&b, 'E',
                     &(struct wire_error){
                         .severity = "ERROR", .sqlstate = sqlstate, .message = text_of(text) });
    client_refuse(c, simple, &b);
    buf_release(&b);
}

/* ---- messages ---- */

/* The effects of a Query on its way to the server; what is too long to be kept whole may do
 * anything. STEP_DONE: it may be sent; STEP_MORE: it was answered, or sent in another way. */
static enum step effects_of(struct client *c, const char *m, size_t have, const struct frame *f)
{
    struct effects *e = NULL;
    struct text sql;
    enum step step = STEP_DONE;
    bool ok = true;

    if (f->len > have)
        return effects_unseen(c);
    if (wire_query_read(m + 5, f->len - 5, &sql))
        ok = state_effects(c, sql, &e);
    if (ok && e)
        step = effects_query(c, e, sql);
    if (ok && e && step == STEP_DONE) {
        if (!state_allows(c, e, true))
            step = STEP_MORE;
        else
            ok = state_before(c, e) && state_sent(c, e, NULL);
    }
    free(e);
    if (!ok)
        client_drop(c, "out of memory");
    return c->closing ? STEP_GONE : step;
}

/* A Query of a client that no tenant rule binds: forwarded as it comes in. */
static enum step query_plain(struct client *c, char *m, size_t have, const struct frame *f,
                             size_t *used)
{
    if (c->server && c->server->skipping) {
        c->left_drop = true;
    } else {
        if (!client_need_server(c)) {
            profile_waits(c, profile_of_query(c, m, have, f->len));
            return c->closing ? STEP_GONE : STEP_WAIT;
        }
        struct server *s = c->server;
        enum step step = c->virtual_state ? effects_of(c, m, have, f) : STEP_DONE;
        if (step != STEP_DONE) {
            *used = f->len < have ? f->len : have;
            c->left = f->len - (uint32_t)*used;
            c->left_drop = true;
            return step == STEP_MORE ? STEP_DONE : step;
        }
        struct pend *p = server_expect(s, PEND_QUERY, PEND_FORWARD);
        if (!p)
            return STEP_GONE;
        s->stmts->unnamed = 0; /* a simple query drops the unnamed statement */
        p->sort = (uint8_t)query_kind(m + 5, (f->len < have ? f->len : have) - 5);
        p->undo = UNDO_UNNAMED;
        p->stmt = c->unnamed;
        c->unnamed = NULL;
        c->extended = false; /* it ends a batch as Sync does */
        client_note_request(c);
        profile_begin(c, p, profile_of_query(c, m, have, f->len));
        c->left_drop = false;
    }
    *used = f->len < have ? f->len : have;
    if (!c->left_drop)
        conn_write(c->server->conn, m, *used);
    c->left = f->len - (uint32_t)*used;
    return c->ears && !c->left_drop && !c->left && !ears_behind(c, true) ? STEP_GONE : STEP_DONE;
}

/* Has the end of the data of a COPY by Execute been sent? */
static bool copy_ended(const struct pending *q)
{
    for (uint32_t i = 1; i < q->n; i++)
        if (pending_at(q, i)->kind == PEND_COPY_END)
            return true;
    return false;
}

static enum step sync_message(struct client *c, char *m, size_t n)
{
    if (!c->server) {
        struct buf z;
        c->skip_to_sync = false;
        c->extended = false;
        buf_init(&z);
        wire_ready_build(&z, 'I');
        client_send(c, &z);
        buf_release(&z);
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    struct server *s = c->server;
    c->extended = false;
    if (s->copy_in && pending_head(s->pending)->kind == PEND_EXECUTE && !copy_ended(s->pending)) {
        c->extended = true; /* swallowed by the running COPY */
        conn_write(s->conn, m, n);
        return STEP_DONE;
    }
    struct pend *p = server_expect(s, PEND_SYNC, PEND_FORWARD);
    if (!p)
        return STEP_GONE;
    p->sort = c->kind;
    c->kind = QUERY_UTILITY;
    binding_batch_ends(c, p);
    s->skipping = false;
    s->binding_synced = true;
    s->batch++;
    client_note_request(c);
    conn_write(s->conn, m, n);
    return STEP_DONE;
}

static enum step function_call(struct client *c, char *m, size_t n)
{
    if (client_enforced(c)) {
        client_note_refusal(c, REFUSAL_function_call, TEXT("FunctionCall message"), NULL, TEXT(""));
        client_refuse_text(c, true, refusal_state(REFUSAL_function_call),
                           "function calls by the fast path are not available to tenants");
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    if (c->server && c->server->skipping)
        return STEP_DONE;
    if (!client_need_server(c))
        return c->closing ? STEP_GONE : STEP_WAIT;
    if (!effects_function(c, m + 5, n - 5))
        return c->closing ? STEP_GONE : STEP_DONE;
    if (!server_expect(c->server, PEND_FUNCTION, PEND_FORWARD))
        return STEP_GONE;
    if (!state_sent_function(c, m + 5, n - 5)) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    c->extended = false;
    client_note_request(c);
    profile_begin(c, pending_last(c->server->pending), profile_of_function(c));
    conn_write(c->server->conn, m, n);
    record_exempt(c, TEXT("function_call()"));
    return STEP_DONE;
}

/* CopyData, CopyDone, CopyFail: to the server, which ignores them outside of COPY. */
static enum step copy_message(struct client *c, char *m, size_t have, const struct frame *f,
                              size_t *used)
{
    struct server *s = c->server;

    if (client_enforced(c))
        return client_copy_message(c, m, have, f, used);
    *used = f->len < have ? f->len : have;
    c->left_drop = s == NULL;
    c->left = f->len - (uint32_t)*used;
    if (!s)
        return STEP_DONE;
    if (f->type != 'd' && !pending_empty(s->pending) &&
        pending_last(s->pending)->kind != PEND_QUERY &&
        !server_expect(s, PEND_COPY_END, PEND_FORWARD))
        return STEP_GONE;
    conn_write(s->conn, m, *used);
    return STEP_DONE;
}

static enum step flush_message(struct client *c, char *m, size_t n)
{
    if (c->server)
        conn_write(c->server->conn, m, n);
    return STEP_DONE;
}

/* Skipped because an earlier message of the batch failed? (PostgreSQL ignores everything but Sync
 * then) */
static bool skipped(const struct client *c, char type)
{
    if (type == 'S' || type == 'X' || type == 'd' || type == 'c' || type == 'f')
        return false;
    return c->skip_to_sync || (c->server && c->server->skipping);
}

static bool is_extended_type(char type)
{
    return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/* Longest message that is taken at all. */
static uint32_t max_len(const struct client *c)
{
    int64_t max = c->engine->setup->g.max_packet_size;
    return max > 0 && max < UINT32_MAX ? (uint32_t)max : UINT32_MAX;
}

/* A guarded statement that is too long to be parsed: answered without keeping its bytes. */
static bool too_long(const struct client *c, const struct frame *f)
{
    return client_guarded(c) && (f->type == 'Q' || f->type == 'P') &&
           (int64_t)f->len > c->engine->setup->g.tenant_max_statement + 1024;
}

static enum step extended_message(struct client *c, char *m, const struct frame *f)
{
    switch (f->type) {
    case 'P':
        return client_parse(c, m, f->len);
    case 'B':
        return client_bind(c, m, f->len);
    case 'D':
        return client_describe(c, m, f->len);
    case 'C':
        return client_close_target(c, m, f->len);
    default:
        return client_execute(c, m, f->len);
    }
}

/* One message, of which `have` bytes are there. *used: bytes taken when STEP_DONE. */
static enum step one_message(struct client *c, char *m, size_t have, const struct frame *f,
                             size_t *used)
{
    *used = f->len < have ? f->len : have;
    c->left_copy = false;
    if ((c->copy || c->copy_bound) && !client_copy_other(c, f->type))
        return STEP_GONE;
    if (skipped(c, f->type)) {
        c->left = f->len - (uint32_t)*used;
        c->left_drop = true;
        return STEP_DONE;
    }
    if (c->canceled && (f->type == 'Q' || f->type == 'F' || is_extended_type(f->type))) {
        c->canceled = false;
        client_refuse_text(c, !is_extended_type(f->type), "57014",
                           "canceling statement due to user request");
        c->left = f->len - (uint32_t)*used;
        c->left_drop = true;
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    if (too_long(c, f)) {
        client_note_refusal(c, REFUSAL_limit, TEXT("statement longer than tenant_max_statement"),
                            NULL, TEXT(""));
        client_refuse_text(c, f->type == 'Q', "54000",
                           "statement is longer than tenant_max_statement (%lld bytes)",
                           (long long)c->engine->setup->g.tenant_max_statement);
        c->left = f->len - (uint32_t)*used;
        c->left_drop = true;
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    if (f->type == 'Q' && c->setup->g.disable_pqexec) {
        client_close(c, NULL, "PQexec disallowed");
        return STEP_GONE;
    }
    if (c->ident && !c->replication) {
        if (f->len > have &&
            (is_extended_type(f->type) || (f->type == 'Q' && f->len < TOKEN_MAX + 1000)))
            return STEP_MORE;
        enum step st = client_switch(c, m, have, f);
        if (st != STEP_MORE)
            return st;
        if (!identity_gate(c, f->type)) {
            c->left = f->len - (uint32_t)*used;
            c->left_drop = true;
            return c->closing ? STEP_GONE : STEP_DONE;
        }
    }
    if (f->type == 'Q')
        trace_query(c, m, have, f->len);
    if (f->type == 'Q' && f->len < CLIENT_DEALLOCATE_MAX && have > 5 && !c->replication &&
        (m[5] == 'D' || m[5] == 'd')) {
        if (f->len > have)
            return STEP_MORE;
        enum step st = client_deallocate(c, m, f->len);
        if (st != STEP_MORE)
            return st;
    }
    if (f->type == 'Q' && !client_guarded(c)) {
        if (f->len > have && ((record_wants_exempt(c) && !record_too_long(c, f->len)) ||
                              (c->virtual_state && f->len <= STATE_MAX_QUERY) ||
                              profile_wants(c, f->len)))
            return STEP_MORE;
        enum step st = query_plain(c, m, have, f, used);
        if (st == STEP_DONE && !c->left_drop)
            record_exempt_query(c, m, *used);
        return st;
    }
    if (f->type == 'd' || f->type == 'c' || f->type == 'f')
        return copy_message(c, m, have, f, used);
    if (f->len > have)
        return STEP_MORE;
    switch (f->type) {
    case 'Q':
        return client_query_guarded(c, m, f->len);
    case 'S':
        return sync_message(c, m, f->len);
    case 'H':
        return flush_message(c, m, f->len);
    case 'F':
        return function_call(c, m, f->len);
    case 'X':
        client_drop(c, "client close request");
        return STEP_GONE;
    default:
        break;
    }
    if (is_extended_type(f->type)) {
        enum step st = extended_message(c, m, f);
        if (st == STEP_DONE && c->server)
            c->extended = true;
        return st;
    }
    client_close(c, NULL, "unknown message type %d", f->type);
    return STEP_GONE;
}

/* Bytes of a message whose head was passed on before. */
static size_t pass_on(struct client *c, char *p, size_t n)
{
    size_t take = c->left < n ? c->left : n;
    if (c->left_copy)
        client_copy_bytes(c, p, take);
    else if (!c->left_drop && c->server)
        conn_write(c->server->conn, p, take);
    c->left -= (uint32_t)take;
    return take;
}

/* Normally ReadyForQuery lets the server go. Here after messages that it had already answered when
 * their last byte came (an error in the middle of COPY, a statement that was too long to be
 * judged). */
static void release_unused(struct client *c)
{
    struct server *s = c->server;

    if (s && !c->left && !c->extended && c->pool_mode != POOL_SESSION &&
        pending_empty(s->pending) && s->status == 'I' && !s->left && !s->skipping && !s->copy_in &&
        !state_ask(s) && !pins_keep(s))
        server_release(s);
}

/* So many answers are outstanding that the client must wait. The server is asked for what it holds
 * back (it may have been sent no Sync yet); server_input lets the client go on. */
static bool overdrawn(struct client *c)
{
    static const char flush[5] = { 'H', 0, 0, 0, 4 };

    if (!c->server || c->server->pending->n < PENDING_HIGH)
        return false;
    conn_write_copy(c->server->conn, flush, sizeof(flush));
    conn_pause(c->conn);
    return true;
}

/* Nothing runs before the tenant is bound again, or before the client's channels are listened to;
 * server_input lets the client go on. */
static bool rebinding(struct client *c)
{
    if (!(c->server && (binding_holds(c->server) || state_holds(c->server))) && !ears_hold(c))
        return false;
    conn_pause(c->conn);
    return true;
}

size_t client_input(void *owner, char *data, size_t n)
{
    struct client *c = owner;
    size_t pos = 0;

    if (client_at_login(c))
        return client_login_input(c, data, n);
    if (c->state == CLIENT_WAITING || c->catalog_wait || c->engine->suspended) {
        if (n >= CLIENT_KEEP)
            conn_pause(c->conn);
        return 0;
    }
    if (c->server && conn_blocked(c->server->conn)) {
        conn_pause(c->conn); /* resumed by the server's drained callback */
        return 0;
    }
    while (pos < n) {
        if (c->left) {
            pos += pass_on(c, data + pos, n - pos);
            if (c->closing)
                return n;
            continue;
        }
        if (overdrawn(c) || rebinding(c))
            break;
        struct frame f;
        size_t used = 0;
        enum frame_status st = frame_peek(data + pos, n - pos, max_len(c), &f);
        if (st == FRAME_MORE)
            break;
        if (st == FRAME_BAD) {
            client_close(c, NULL, "invalid message length");
            return n;
        }
        enum step step = one_message(c, data + pos, n - pos, &f, &used);
        if (step == STEP_GONE || c->closing)
            return n;
        if (step == STEP_MORE || step == STEP_WAIT)
            break;
        pos += used;
    }
    release_unused(c);
    return pos;
}
