/* SPDX-License-Identifier: ISC */
/*
 * COPY FROM STDIN of tenants. CopyData reaches a server only through the machine of the COPY that
 * was sent last (tenant/copy_stream.h), so rows that nobody looked at cannot get there:
 *
 * - A machine is set up when the Query, or the Execute right behind its Bind, goes out. Whatever
 * else the client sends but CopyData, CopyDone, CopyFail, Flush and Sync ends it, with a CopyFail.
 * So the data in a machine is for that COPY or, if the server did not get as far, for nobody.
 * - Without a machine, data is dropped; a server that asks for data which no machine awaits gets
 *   CopyFail.
 * - A row that is refused: CopyFail, and the server's error is replaced by ours.
 */
#include "session/session.h"

#include "tenant/copy_stream.h"

#include <stdlib.h>

#define MAX_COPY_FAIL 65536 /* longest CopyFail of a client */

struct client_copy {
    struct copy_stream *stream;
    uint32_t id; /* of the entry that awaits the COPY's answer */
    bool over;   /* refused, or answered by the server: what comes is dropped */
    bool fills;  /* puts a column into the rows that the client does not know of */
};

static const char fail_text[] = "refused by pgbulkhead";

static struct client_copy *copy_new(uint32_t id, const struct copy_plan *plan,
                                    const struct identity *who)
{
    struct client_copy *cc = calloc(1, sizeof(*cc));
    const struct claim *c = NULL;

    for (int i = 0; cc && i < who->n_claims; i++)
        if (text_eq(who->claims[i].name, plan->claim))
            c = &who->claims[i];
    if (c)
        cc->stream = copy_stream_new(plan, c->value);
    if (!cc || !cc->stream) {
        free(cc);
        return NULL;
    }
    cc->id = id;
    cc->fills = plan->field < 0;
    return cc;
}

static void copy_free(struct client *c)
{
    if (!c->copy)
        return;
    copy_stream_free(c->copy->stream);
    free(c->copy);
    c->copy = NULL;
}

void client_copy_clear(struct client *c)
{
    copy_free(c);
    client_copy_bound(c, NULL);
}

bool client_copy_begin(struct client *c, struct pend *p, const struct verdict *v)
{
    copy_free(c);
    if (++c->copy_id == 0)
        c->copy_id = 1;
    c->copy = copy_new(c->copy_id, v->copy, &c->identity);
    p->copy = c->copy_id;
    return c->copy != NULL;
}

void client_copy_bound(struct client *c, struct verdict *v)
{
    if (v)
        verdict_ref(v);
    if (c->copy_bound)
        verdict_unref(c->engine->tenant, c->copy_bound);
    c->copy_bound = v;
}

/* ---- to the server ---- */

static enum step no_memory(struct client *c)
{
    client_drop(c, "out of memory");
    return STEP_GONE;
}

/* CopyDone or CopyFail: ends the data as far as the server is concerned. */
static bool send_end(struct server *s, char type)
{
    struct buf b;

    if (!pending_empty(s->pending) && pending_last(s->pending)->kind != PEND_QUERY &&
        !server_expect(s, PEND_COPY_END, PEND_FORWARD))
        return false;
    buf_init(&b);
    size_t mark = msg_begin(&b, type);
    if (type == 'f')
        msg_bytes(&b, fail_text, sizeof(fail_text));
    msg_end(&b, mark);
    bool ok = !b.failed;
    if (ok)
        conn_write_copy(s->conn, b.p, b.n);
    else
        server_close(s, "53200", "out of memory");
    buf_release(&b);
    return ok;
}

static bool send_data(struct server *s, const struct buf *b)
{
    struct buf head;

    if (b->failed)
        return false;
    if (buf_len(b) == 0)
        return true;
    buf_init(&head);
    buf_char(&head, 'd');
    msg_u32(&head, (uint32_t)(4 + buf_len(b)));
    bool ok = !head.failed;
    if (ok) {
        conn_write_copy(s->conn, head.p, head.n);
        conn_write_copy(s->conn, b->p + b->off, buf_len(b));
    }
    buf_release(&head);
    return ok;
}

/* The answer to the COPY will be this refusal. */
static bool answer_with(struct server *s, uint32_t id, const struct tenant_refusal *r)
{
    struct buf b;
    struct pend *p = NULL;
    bool ok = true;

    for (uint32_t i = 0; i < s->pending->n && !p; i++)
        if (pending_at(s->pending, i)->copy == id)
            p = pending_at(s->pending, i);
    if (!p || p->bytes)
        return true; /* the server has answered with an error of its own */
    buf_init(&b);
    refusal_error(r, &b);
    p->n_bytes = (uint32_t)b.n;
    p->bytes = b.failed ? NULL : malloc(b.n);
    if (p->bytes)
        memcpy(p->bytes, b.p, b.n);
    else
        ok = false;
    buf_release(&b);
    return ok;
}

/* The data is refused: the server drops the rows that it has. */
static enum step refuse(struct client *c)
{
    const struct tenant_refusal *r = copy_stream_refusal(c->copy->stream);

    c->copy->over = true;
    client_note_refusal(c, r->reason, r->detail, NULL, TEXT("COPY FROM STDIN"));
    if (!answer_with(c->server, c->copy->id, r))
        return no_memory(c);
    send_end(c->server, 'f');
    return c->closing ? STEP_GONE : STEP_DONE;
}

/* ---- from the client ---- */

static bool is_open(const struct client *c)
{
    return c->copy && !c->copy->over && c->server;
}

bool client_copy_bytes(struct client *c, const char *p, size_t n)
{
    struct buf out;

    if (!is_open(c))
        return true;
    buf_init(&out);
    bool good = copy_stream_feed(c->copy->stream, text_n(p, n), &out);
    bool sent = !good || send_data(c->server, &out);
    buf_release(&out);
    if (!sent)
        return no_memory(c) == STEP_DONE;
    return good || refuse(c) == STEP_DONE;
}

static enum step data_end(struct client *c)
{
    struct buf out;

    buf_init(&out);
    bool good = copy_stream_end(c->copy->stream, &out);
    bool sent = !good || send_data(c->server, &out);
    buf_release(&out);
    if (!sent)
        return no_memory(c);
    if (!good) {
        enum step st = refuse(c);
        copy_free(c);
        return st;
    }
    copy_free(c);
    send_end(c->server, 'c');
    return c->closing ? STEP_GONE : STEP_DONE;
}

enum step client_copy_message(struct client *c, char *m, size_t have, const struct frame *f,
                              size_t *used)
{
    *used = f->len < have ? f->len : have;
    if (f->type == 'd') {
        c->left = f->len - (uint32_t)*used;
        c->left_drop = false;
        c->left_copy = true;
        return client_copy_bytes(c, m + 5, *used - 5) ? STEP_DONE : STEP_GONE;
    }
    if (f->len > MAX_COPY_FAIL || (f->type == 'c' && f->len != 5)) {
        client_close(c, NULL, "malformed message from client");
        return STEP_GONE;
    }
    if (f->len > have)
        return STEP_MORE;
    if (!is_open(c)) {
        /* An end that no machine awaits is passed on as CopyFail: servers ignore it outside of
         * COPY, and Sync messages behind it count again. */
        if (!c->copy && c->server)
            send_end(c->server, 'f');
        copy_free(c);
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    if (f->type == 'c')
        return data_end(c);
    struct server *s = c->server;
    copy_free(c);
    if (!pending_empty(s->pending) && pending_last(s->pending)->kind != PEND_QUERY &&
        !server_expect(s, PEND_COPY_END, PEND_FORWARD))
        return STEP_GONE;
    conn_write(s->conn, m, *used);
    return STEP_DONE;
}

bool client_copy_other(struct client *c, char type)
{
    if (!strchr("dcfHS", type)) {
        if (is_open(c))
            send_end(c->server, 'f');
        copy_free(c);
    }
    if (c->copy_bound && !strchr("DHE", type))
        client_copy_bound(c, NULL);
    return !c->closing;
}

/* ---- from the server ---- */

bool client_copy_response(struct client *c, const struct pend *p, const char *body, size_t n,
                          struct buf *b)
{
    struct rd in = rd_init(body, n);
    uint8_t format = rd_u8(&in);
    uint16_t columns = rd_u16(&in);

    if (!c->copy || c->copy->id != p->copy || !c->copy->fills || in.bad || columns == 0 ||
        n != 3 + 2 * (size_t)columns)
        return false;
    size_t mark = msg_begin(b, 'G');
    msg_u8(b, format);
    msg_u16(b, (uint16_t)(columns - 1));
    msg_bytes(b, body + 5, n - 5);
    msg_end(b, mark);
    return !b->failed;
}

void client_copy_over(struct client *c, uint32_t id)
{
    if (c->copy && c->copy->id == id)
        c->copy->over = true;
}

bool client_copy_unawaited(struct client *c, struct pend *p)
{
    const struct tenant_refusal r = {
        .reason = REFUSAL_copy_from,
        .message = TEXT("COPY FROM was not executed right behind its Bind message"),
        .hint = TEXT("Send Bind and Execute of COPY FROM in one batch."),
    };

    if (++c->copy_id == 0)
        c->copy_id = 1;
    p->copy = c->copy_id;
    client_note_refusal(c, r.reason, r.message, NULL, TEXT("COPY FROM STDIN"));
    if (!answer_with(c->server, p->copy, &r)) {
        server_close(c->server, "53200", "out of memory");
        return false;
    }
    return send_end(c->server, 'f');
}
