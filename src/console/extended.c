/* SPDX-License-Identifier: ISC */
/*
 * The extended protocol of the console: Parse keeps a command, Bind makes a portal of it, Describe
 * says what columns there will be, Execute runs it. Commands have no parameters. Portals live up to
 * Sync, as outside of a transaction on a server.
 */
#include "console/internal.h"

#include "console/shape.h"

#include <stdlib.h>

#define HELD_MAX 1000             /* statements and portals of one administrator */
#define HELD_BYTES (16 * 1 << 20) /* their texts together, and rows to be fetched */

/* A prepared statement or a portal. */
struct held {
    struct list node;
    char *name, *sql;
    size_t bytes;
    /* portals */
    char *formats; /* as in Bind */
    unsigned n_formats;
    bool done;       /* was run: tag and rest are set */
    struct buf rest; /* rows that were not fetched yet */
    char *tag;
};

static void held_free(struct admin *a, struct held *h)
{
    a->n_held--;
    a->held_bytes -= h->bytes;
    list_del(&h->node);
    buf_release(&h->rest);
    free(h->tag);
    free(h->formats);
    free(h->sql);
    free(h->name);
    free(h);
}

static void free_all(struct admin *a, struct list *l)
{
    struct list *n;

    while ((n = list_first(l)) != NULL)
        held_free(a, LIST_ENTRY(n, struct held, node));
}

static struct held *find(struct list *l, struct text name)
{
    LIST_FOREACH(n, l) {
        struct held *h = LIST_ENTRY(n, struct held, node);
        if (text_is(name, h->name))
            return h;
    }
    return NULL;
}

/* The new one takes the place of the one without a name. NULL: an error was sent. */
static struct held *held_new(struct admin *a, struct list *l, struct text name, struct text sql)
{
    struct held *h = name.n ? NULL : find(l, name);
    size_t bytes = sizeof(*h) + name.n + sql.n;

    if (h)
        held_free(a, h);
    if (a->n_held >= HELD_MAX || a->held_bytes + bytes > HELD_BYTES) {
        admin_error(a, "54000", "too many prepared statements");
        return NULL;
    }
    h = calloc(1, sizeof(*h));
    if (h) {
        h->name = text_dup(name);
        h->sql = text_dup(sql);
        h->bytes = bytes;
        list_push_tail(l, &h->node);
        a->n_held++;
        a->held_bytes += bytes;
    }
    if (h && h->name && h->sql)
        return h;
    if (h)
        held_free(a, h);
    admin_error(a, "53200", "out of memory");
    return NULL;
}

/* ---- results ---- */

/* Puts in a->out what becomes of the messages that are in it. false: out of memory. */
static bool reshape(struct admin *a, const struct shape *s, struct buf *rest, bool *had_head)
{
    struct buf out;

    if (a->out.failed)
        return false;
    buf_init(&out);
    *had_head = shape_result(s, buf_text(&a->out), &out, rest);
    buf_release(&a->out);
    a->out = out;
    return !out.failed && !(rest && rest->failed);
}

static bool described(struct admin *a)
{
    const struct held *p = a->portal;
    struct shape s = { .head = true };
    bool had_head;

    if (p) {
        s.formats = p->formats;
        s.n_formats = p->n_formats;
    }
    if (!reshape(a, &s, NULL, &had_head))
        return false;
    if (!had_head)
        wire_simple_build(&a->out, 'n');
    return true;
}

static void end_of_part(struct admin *a, struct held *p)
{
    if (buf_len(&p->rest) > 0)
        wire_simple_build(&a->out, 's'); /* PortalSuspended */
    else
        wire_complete_build(&a->out, text_of(p->tag));
}

static bool executed(struct admin *a, struct text tag)
{
    struct held *p = a->portal;
    const struct shape s = { .like = a->like,
                             .formats = p->formats,
                             .n_formats = p->n_formats,
                             .max = a->max_rows,
                             .rows = true };
    bool had_head;

    p->tag = text_dup(tag);
    if (!p->tag || !reshape(a, &s, &p->rest, &had_head))
        return false;
    p->bytes += buf_len(&p->rest);
    a->held_bytes += buf_len(&p->rest);
    end_of_part(a, p);
    return true;
}

bool admin_shape(struct admin *a, struct text tag)
{
    const struct shape s = { .like = a->like, .head = true, .rows = true };
    bool had_head;

    if (a->mode == ADMIN_DESCRIBE)
        return described(a);
    if (a->mode == ADMIN_EXECUTE)
        return executed(a, tag);
    if (a->like && !reshape(a, &s, NULL, &had_head))
        return false;
    wire_complete_build(&a->out, tag);
    return true;
}

/* ---- messages ---- */

static void malformed(struct admin *a, const char *what)
{
    admin_error(a, "08P01", "malformed %s message", what);
}

static void on_parse(struct admin *a, const char *body, size_t n)
{
    struct wire_parse m;

    if (!wire_parse_read(body, n, &m)) {
        malformed(a, "Parse");
        return;
    }
    if (m.name.n && find(&a->stmts, m.name)) {
        admin_error(a, "42P05", "prepared statement \"%.*s\" already exists", TEXT_ARG(m.name));
        return;
    }
    if (!admin_known(a, m.sql) || !held_new(a, &a->stmts, m.name, m.sql))
        return;
    wire_simple_build(&a->out, '1');
    admin_reply(a);
}

static void on_bind(struct admin *a, const char *body, size_t n)
{
    struct wire_bind m;

    if (!wire_bind_read(body, n, &m)) {
        malformed(a, "Bind");
        return;
    }
    const struct held *st = find(&a->stmts, m.stmt);
    if (!st) {
        admin_error(a, "26000", "prepared statement \"%.*s\" does not exist", TEXT_ARG(m.stmt));
        return;
    }
    if (m.n_params) {
        admin_error(a, "08P01", "bind message supplies %u parameters, but commands have none",
                    m.n_params);
        return;
    }
    if (m.portal.n && find(&a->portals, m.portal)) {
        admin_error(a, "42P03", "portal \"%.*s\" already exists", TEXT_ARG(m.portal));
        return;
    }
    struct held *p = held_new(a, &a->portals, m.portal, text_of(st->sql));
    if (!p)
        return;
    struct rd r = rd_init(m.results, m.results_len);
    p->n_formats = rd_u16(&r);
    p->formats = malloc((size_t)p->n_formats * 2 + 1);
    if (!p->formats) {
        held_free(a, p);
        admin_error(a, "53200", "out of memory");
        return;
    }
    memcpy(p->formats, r.p, (size_t)p->n_formats * 2);
    wire_simple_build(&a->out, '2');
    admin_reply(a);
}

/* NULL: an error was sent. */
static struct held *named(struct admin *a, char what, struct text name)
{
    struct held *h = find(what == 'S' ? &a->stmts : &a->portals, name);

    if (h)
        return h;
    if (what == 'S')
        admin_error(a, "26000", "prepared statement \"%.*s\" does not exist", TEXT_ARG(name));
    else
        admin_error(a, "34000", "portal \"%.*s\" does not exist", TEXT_ARG(name));
    return NULL;
}

static void on_describe(struct admin *a, const char *body, size_t n)
{
    struct wire_target m;

    if (!wire_target_read(body, n, &m)) {
        malformed(a, "Describe");
        return;
    }
    struct held *h = named(a, m.what, m.name);
    if (!h)
        return;
    if (m.what == 'S') {
        size_t mark = msg_begin(&a->out, 't'); /* no parameters */
        msg_u16(&a->out, 0);
        msg_end(&a->out, mark);
        admin_reply(a);
        if (!a->conn)
            return;
    }
    a->mode = ADMIN_DESCRIBE;
    a->portal = m.what == 'P' ? h : NULL;
    admin_run(a, text_of(h->sql));
}

static void on_execute(struct admin *a, const char *body, size_t n)
{
    struct wire_execute m;

    if (!wire_execute_read(body, n, &m)) {
        malformed(a, "Execute");
        return;
    }
    struct held *p = named(a, 'P', m.portal);
    if (!p)
        return;
    if (p->done && buf_len(&p->rest) == 0) {
        admin_error(a, "55000", "portal \"%s\" cannot be run anymore", p->name);
        return;
    }
    if (p->done) {
        shape_more(&p->rest, m.max_rows, &a->out);
        end_of_part(a, p);
        admin_reply(a);
        return;
    }
    if (a->held_bytes > HELD_BYTES) { /* rows of other portals that nobody has fetched */
        admin_error(a, "54000", "too many rows are kept in portals");
        return;
    }
    p->done = true;
    a->mode = ADMIN_EXECUTE;
    a->portal = p;
    a->max_rows = m.max_rows;
    admin_run(a, text_of(p->sql));
}

static void on_close(struct admin *a, const char *body, size_t n)
{
    struct wire_target m;

    if (!wire_target_read(body, n, &m)) {
        malformed(a, "Close");
        return;
    }
    struct held *h = find(m.what == 'S' ? &a->stmts : &a->portals, m.name);
    if (h)
        held_free(a, h);
    wire_simple_build(&a->out, '3');
    admin_reply(a);
}

void admin_extended(struct admin *a, char type, const char *body, size_t n)
{
    a->mode = ADMIN_MESSAGE;
    switch (type) {
    case 'P':
        on_parse(a, body, n);
        break;
    case 'B':
        on_bind(a, body, n);
        break;
    case 'D':
        on_describe(a, body, n);
        break;
    case 'E':
        on_execute(a, body, n);
        break;
    default:
        on_close(a, body, n);
    }
}

void admin_portals_end(struct admin *a)
{
    a->portal = NULL;
    free_all(a, &a->portals);
}

void admin_unnamed_end(struct admin *a)
{
    struct held *h = find(&a->stmts, TEXT(""));

    admin_portals_end(a);
    if (h)
        held_free(a, h);
}

void admin_forget(struct admin *a)
{
    admin_portals_end(a);
    free_all(a, &a->stmts);
}
