/* SPDX-License-Identifier: ISC */
/*
 * Parse, Bind, Describe, Close, Execute: names are the client's own, statements are shared on
 * servers by text and prepared there when they are missing.
 */
#include "session/ears.h"
#include "session/effects.h"
#include "session/extended.h"
#include "session/identity.h"
#include "session/record.h"
#include "session/session.h"
#include "session/settings.h"
#include "session/slow.h"
#include "session/state.h"
#include "session/utility.h"

#include "base/check.h"
#include "wire/query.h"

#include <stdio.h>
#include <stdlib.h>

static struct db_stats *stats(const struct client *c)
{
    return shard_stats(c->shard, c->engine);
}

static enum step malformed(struct client *c)
{
    client_close(c, NULL, "malformed message from client");
    return STEP_GONE;
}

static enum step no_memory(struct client *c)
{
    client_drop(c, "out of memory");
    return STEP_GONE;
}

static enum step done(const struct client *c)
{
    return c->closing ? STEP_GONE : STEP_DONE;
}

/* With max_prepared_statements=0, names of clients that no tenant rule binds are the server's. */
static bool passes_names(const struct client *c)
{
    return !client_guarded(c) &&
           c->setup->g.max_prepared_statements == 0; /* as it was when the client came */
}

/* ---- the client's names ---- */

struct client_stmt *extended_name(struct client *c, struct text name, struct stmt *st)
{
    struct client_stmt *cs = malloc(sizeof(*cs) + name.n + 1);
    if (!cs)
        return NULL;
    cs->stmt = stmt_ref(st);
    cs->judged_for = c->judged_for;
    memcpy(cs->name, name.p, name.n);
    cs->name[name.n] = '\0';
    map_put(&c->stmts, text_n(cs->name, name.n), cs);
    return cs;
}

void extended_unname(struct client *c, struct text name)
{
    struct client_stmt *cs = map_del(&c->stmts, name);
    if (cs) {
        stmt_unref(cs->stmt);
        free(cs);
    }
}

void extended_unnamed(struct client *c, struct stmt *st)
{
    if (c->unnamed)
        stmt_unref(c->unnamed);
    c->unnamed = st ? stmt_ref(st) : NULL;
    c->unnamed_judged_for = c->judged_for;
    c->unnamed_serial = (c->id << 24) | ((c->unnamed_serial + 1) & 0xffffff);
}

void client_unnamed_clear(struct client *c)
{
    extended_unnamed(c, NULL);
}

void client_stmts_clear(struct client *c)
{
    size_t pos = 0;
    struct text key;
    void *value;

    client_switch_forget(c);
    while (map_next(&c->stmts, &pos, &key, &value)) {
        struct client_stmt *cs = value;
        stmt_unref(cs->stmt);
        free(cs);
    }
    map_release(&c->stmts);
    map_init(&c->stmts);
    if (c->unnamed) {
        stmt_unref(c->unnamed);
        c->unnamed = NULL;
    }
}

/* The server skipped something that was sent for that statement. */
static void doubt(struct server *s, const char *name)
{
    struct server_stmt *e = server_stmts_find(s->stmts, name);
    if (!e && server_stmts_add(s->stmts, name))
        e = server_stmts_find(s->stmts, name);
    if (e)
        e->doubtful = true;
    else
        s->close_needed = true; /* no memory for the note */
}

/* What the entry was to bring back is brought back when the later one is undone. */
static void leave_to(struct pend *later, struct pend *p)
{
    struct stmt *own = later->stmt;
    later->stmt = p->stmt;
    p->stmt = own;
}

/* A statement that comes back may be of an earlier tenant of the client: it is judged again. */
void client_undo(struct client *c, struct server *s, struct pend *p, const struct pend_later *l)
{
    struct pend *close = NULL;

    if (p->note == NOTE_ON_SERVER && s)
        doubt(s, p->action == PEND_DROP && p->kind == PEND_CLOSE ? p->name : p->stmt->name);
    if (p->note == NOTE_UNNAMED && s)
        s->stmts->unnamed = 0;
    if (!c)
        return;
    if (p->undo == UNDO_NAMED_PARSE || p->undo == UNDO_NAMED_CLOSE)
        close = pending_later_close(l, p->name);
    switch (p->undo) {
    case UNDO_NAMED_PARSE:
        if (close)
            close->undo = UNDO_NONE; /* there was nothing to close */
        else
            extended_unname(c, text_of(p->name));
        break;
    case UNDO_NAMED_CLOSE:
        if (close) {
            close->undo = UNDO_NAMED_CLOSE;
            leave_to(close, p);
        } else if (!map_get(&c->stmts, text_of(p->name))) {
            struct client_stmt *back = extended_name(c, text_of(p->name), p->stmt);
            if (back)
                back->judged_for = c->judged_for - 1;
        }
        break;
    case UNDO_UNNAMED:
        if (l->unnamed) {
            leave_to(l->unnamed, p);
        } else {
            extended_unnamed(c, p->stmt);
            c->unnamed_judged_for = c->judged_for - 1;
        }
        if (s)
            s->stmts->unnamed = 0;
        break;
    default:
        break;
    }
}

/* ---- sending ---- */

/* An answer of ours in its place: at once when nothing is outstanding. */
bool extended_fake(struct client *c, enum pend_kind kind, char type, struct pend **entry)
{
    struct buf b;
    bool ok;

    buf_init(&b);
    wire_simple_build(&b, type);
    *entry = NULL;
    if (c->server && !pending_empty(c->server->pending)) {
        struct pend *p = server_expect(c->server, kind, PEND_FAKE);
        ok = p != NULL;
        if (p) {
            p->bytes = malloc(b.n);
            p->n_bytes = (uint32_t)b.n;
            if (p->bytes)
                memcpy(p->bytes, b.p, b.n);
            else
                ok = false;
            *entry = p;
        }
    } else {
        ok = !b.failed;
        if (ok)
            conn_write_copy(c->conn, b.p, b.n);
    }
    buf_release(&b);
    return ok;
}

/* Has a Sync been sent since that batch, and the batch not been answered? Then an error in it may
 * still undo what it did, while what is sent now will not be skipped. */
static bool unsure(const struct server *s, uint64_t batch)
{
    return batch < s->batch && batch >= s->batch_done;
}

static bool on_server(struct server *s, const struct stmt *st)
{
    const struct server_stmt *e = server_stmts_find(s->stmts, st->name);
    return e && !e->doubtful && !unsure(s, e->batch);
}

/* Expects the answer to a Close of ours. */
static bool close_on_server(struct server *s, const char *name)
{
    struct pend *p = server_expect(s, PEND_CLOSE, PEND_DROP);
    if (!p)
        return false;
    p->note = NOTE_ON_SERVER;
    p->name = strdup(name);
    if (!p->name)
        server_close(s, "53200", "out of memory");
    return p->name != NULL;
}

/* Closes the least recently used statements beyond the limit. */
static bool trim_server(struct client *c, struct server *s)
{
    int64_t max = c->engine->setup->g.max_prepared_statements;
    const char *name;
    bool ok = true;

    if (max <= 0)
        max = 200;
    while (ok && (name = server_stmts_excess(s->stmts, max - 1)) != NULL) {
        struct buf b;
        buf_init(&b);
        wire_target_build(&b, 'C', 'S', text_of(name));
        ok = !b.failed && close_on_server(s, name);
        if (ok)
            conn_write_copy(s->conn, b.p, b.n);
        buf_release(&b);
        server_stmts_drop(s->stmts, name);
        stat_inc(&stats(c)->ps_evictions);
    }
    return ok;
}

/* PREPARE in SQL, as the server's unnamed statement; the entry of its last message, whose undoing
 * stands for all three. NULL: out of memory, or the server is closed. */
static struct pend *expect_by_sql(struct server *s, const struct stmt *st, struct buf *b)
{
    static const char bind[8] = { 0 }; /* two names, no formats, parameters and result formats */
    struct buf sql;

    buf_init(&sql);
    buf_printf(&sql, "PREPARE \"%s\" ", st->name);
    buf_text_append(&sql, st->sent);
    buf_char(&sql, '\0');
    if (!sql.failed)
        wire_parse_build(b, TEXT(""), text_n(sql.p, sql.n - 1), NULL, 0);
    bool ok = !sql.failed;
    buf_release(&sql);
    size_t mark = msg_begin(b, 'B');
    msg_bytes(b, bind, sizeof(bind));
    msg_end(b, mark);
    wire_execute_build(b, TEXT(""), 0);
    s->stmts->unnamed = 0;
    return ok && !b->failed && server_expect(s, PEND_PARSE, PEND_DROP) &&
                   server_expect(s, PEND_BIND, PEND_DROP)
               ? server_expect(s, PEND_EXECUTE, PEND_DROP)
               : NULL;
}

/* Sends Parse of the statement under the server's name (or as the unnamed one). The entry is
 * returned for undo notes. */
struct pend *extended_parse(struct client *c, struct stmt *st, bool named, enum pend_action action)
{
    struct server *s = c->server;
    struct buf b;

    if (named && !trim_server(c, s))
        return NULL;
    buf_init(&b);
    struct server_stmt *e = named ? server_stmts_find(s->stmts, st->name) : NULL;
    if (named &&
        (e ||
         s->batch !=
             s->batch_done)) { /* perhaps it is there (see unsure), or a Close of it was skipped */
        wire_target_build(&b, 'C', 'S', text_of(st->name));
        if (!close_on_server(s, st->name)) {
            buf_release(&b);
            return NULL;
        }
    }
    struct pend *p;
    struct text whole = text_n(NULL, 0);
    if (st->by_sql) {
        p = expect_by_sql(s, st, &b);
    } else if (!named) {
        whole = stmt_parse(st);
        p = whole.p ? server_expect(s, PEND_PARSE, action) : NULL;
    } else {
        wire_parse_build(&b, text_of(st->name), st->sent, st->sent_types,
                         (uint16_t)st->n_sent_types);
        p = b.failed ? NULL : server_expect(s, PEND_PARSE, action);
    }
    if (p) {
        conn_write_copy(s->conn, b.p, b.n);
        conn_write_copy(s->conn, whole.p, whole.n);
        stat_inc(&stats(c)->server_parses);
        stat_add(&stats(c)->ps_misses, named);
        p->stmt = stmt_ref(st);
        pend_judged(p, c->engine->tenant, st->verdict);
        if (named) {
            p->note = NOTE_ON_SERVER;
            if (e || server_stmts_add(s->stmts, st->name)) {
                e = server_stmts_find(s->stmts, st->name);
                e->batch = action == PEND_DROP ? s->batch : STMT_OWN;
                e->doubtful = false;
            } else {
                p = NULL;
            }
        } else {
            p->note = NOTE_UNNAMED;
            s->stmts->unnamed = c->unnamed_serial;
            s->stmts->unnamed_batch = s->batch;
        }
    }
    buf_release(&b);
    return p;
}

/* The statement is on the server, or is sent there now. */
bool extended_ensure(struct client *c, struct stmt *st, bool named)
{
    struct server *s = c->server;

    if (named ? on_server(s, st)
              : s->stmts->unnamed == c->unnamed_serial && !unsure(s, s->stmts->unnamed_batch))
        return true;
    return extended_parse(c, st, named, PEND_DROP) != NULL;
}

/* ---- verdicts ---- */

/* A statement for the text, judged when the client is guarded. STEP_DONE with *out NULL: refused
 * and answered. */
enum step extended_judged(struct client *c, bool simple, struct text sql, const char *types,
                          int n_types, struct stmt **out)
{
    struct tenant_ask ask, *asked = NULL;
    uint32_t *oids = NULL;

    *out = NULL;
    if (client_guarded(c) && (c->identity.bound || client_enforced(c)) &&
        (client_policy(c) || client_enforced(c))) {
        if (!c->policy) {
            client_refuse_text(c, simple, "57P03",
                               "the catalog of database \"%s\" is not known yet", c->db_name.p);
            return done(c);
        }
        oids = malloc(sizeof(*oids) * (size_t)(n_types + 1));
        if (!oids)
            return no_memory(c);
        struct rd r = rd_init(types, (size_t)n_types * 4);
        for (int i = 0; i < n_types; i++)
            oids[i] = rd_u32(&r);
        client_ask(c, &ask, true, sql, oids, n_types);
        asked = &ask;
    }
    struct stmt *st = stmt_get(c->engine, c->shard->pool, sql, types, n_types, asked, c->unnamed);
    free(oids);
    if (!st)
        return no_memory(c);
    if (st->verdict && client_wait_catalog(c, st->verdict)) {
        stmt_unref(st);
        return STEP_WAIT;
    }
    *out = st;
    return STEP_DONE;
}

static enum step refuse_verdict(struct client *c, struct verdict *v, struct text sql)
{
    struct buf b;

    client_note_verdict(c, v, sql);
    buf_init(&b);
    verdict_error(v, &b);
    client_refuse(c, false, &b);
    buf_release(&b);
    return done(c);
}

static bool refused_now(const struct client *c, const struct stmt *st, bool running)
{
    const struct verdict *v = st->verdict;
    return v && client_enforced(c) && v->action == VERDICT_REFUSE && (running || !v->describable);
}

/* The policy or the tenant changed since the statement was judged: judge again. */
enum step extended_rejudge(struct client *c, struct text name, struct stmt **st)
{
    if (!client_guarded(c) || !client_policy(c))
        return STEP_DONE;
    struct client_stmt *named = name.n ? map_get(&c->stmts, name) : NULL;
    bool same = (named ? named->judged_for : c->unnamed_judged_for) == c->judged_for;
    if (same && (*st)->policy_generation == c->policy->generation)
        return STEP_DONE;
    struct stmt *old = stmt_ref(*st), *fresh = NULL;
    struct buf types;
    buf_init(&types);
    for (int i = 0; i < old->n_types; i++)
        msg_u32(&types, old->types[i]);
    enum step step = types.failed
                         ? no_memory(c)
                         : extended_judged(c, false, old->sql, types.p, old->n_types, &fresh);
    buf_release(&types);
    if (step == STEP_DONE && fresh) {
        if (named) {
            stmt_unref(named->stmt);
            named->stmt = stmt_ref(fresh);
            named->judged_for = c->judged_for;
        } else {
            extended_unnamed(c, fresh);
        }
        *st = fresh;
        stmt_unref(fresh); /* the name holds it */
    }
    stmt_unref(old);
    return step;
}

/* ---- Parse ---- */

static enum step forward_whole(struct client *c, enum pend_kind kind, const char *m, size_t n)
{
    if (!client_need_server(c))
        return c->closing ? STEP_GONE : STEP_WAIT;
    if (!server_expect(c->server, kind, PEND_FORWARD))
        return STEP_GONE;
    if (kind == PEND_PARSE)
        c->server->stmts->unnamed = 0;
    client_note_request(c);
    conn_write(c->server->conn, m, n);
    return STEP_DONE;
}

static enum step parse_named(struct client *c, struct text name, struct stmt *st)
{
    struct server *s = c->server;
    struct pend *p = NULL;

    if (on_server(s, st)) {
        stat_inc(&stats(c)->ps_hits);
        if (!extended_fake(c, PEND_PARSE, '1', &p))
            return no_memory(c);
    } else {
        p = extended_parse(c, st, true, PEND_FORWARD);
        if (!p)
            return c->closing ? STEP_GONE : no_memory(c);
        profile_begin(c, p, profile_of_stmt(c, st));
    }
    struct client_stmt *cs = extended_name(c, name, st);
    if (!cs)
        return no_memory(c);
    if (p) { /* not answered yet: may have to be taken back */
        p->undo = UNDO_NAMED_PARSE;
        p->name = strdup(cs->name);
        if (!p->name)
            return no_memory(c);
    }
    return STEP_DONE;
}

/* Parse of the unnamed statement as it came: the client's own text and types. */
static struct pend *pass_parse(struct client *c, struct stmt *st, const char *m, size_t n)
{
    struct server *s = c->server;
    struct pend *p = server_expect(s, PEND_PARSE, PEND_FORWARD);

    if (!p)
        return NULL;
    conn_write(s->conn, m, n);
    stat_inc(&stats(c)->server_parses);
    pend_judged(p, c->engine->tenant, st->verdict);
    p->note = NOTE_UNNAMED;
    s->stmts->unnamed = c->unnamed_serial;
    s->stmts->unnamed_batch = s->batch;
    return p;
}

/* m: the message, NULL when its text is not the statement's. */
static enum step parse_unnamed(struct client *c, struct stmt *st, const char *m, size_t n)
{
    struct stmt *before = c->unnamed ? stmt_ref(c->unnamed) : NULL;
    bool as_it_came = m && !st->by_sql && st->sent.p == st->sql.p;

    extended_unnamed(c, st);
    struct pend *p =
        as_it_came ? pass_parse(c, st, m, n) : extended_parse(c, st, false, PEND_FORWARD);
    if (!p) {
        if (before)
            stmt_unref(before);
        return c->closing ? STEP_GONE : no_memory(c);
    }
    profile_begin(c, p, profile_of_stmt(c, st));
    p->undo = UNDO_UNNAMED;
    if (p->stmt)
        stmt_unref(p->stmt);
    p->stmt = before; /* is back when the Parse is skipped; when it fails there is none at all
                         (skip_to_sync) */
    return STEP_DONE;
}

/* A statement that a server of the pool has prepared before needs none now: it is prepared again
 * where it is first used. (So a driver that prepares while all servers are in others' transactions
 * does not wait for them.) */
static enum step parse_known(struct client *c, struct text name, struct stmt *st)
{
    struct pend *p;

    stat_inc(&stats(c)->client_parses);
    stat_inc(&stats(c)->ps_hits);
    if (!extended_name(c, name, st) || !extended_fake(c, PEND_PARSE, '1', &p))
        return no_memory(c);
    return STEP_DONE;
}

/* ---- DEALLOCATE in SQL ---- */

/* The next word or quoted name of the text, folded as SQL does; empty: there is none. */
static struct text next_name(struct text *sql, char *out, size_t cap, bool *is_quoted)
{
    size_t n = 0, i = 0;
    bool quoted;

    while (i < sql->n && strchr(" \t\r\n", sql->p[i]))
        i++;
    quoted = *is_quoted = i < sql->n && sql->p[i] == '"';
    for (i += quoted; i < sql->n && n < cap; i++) {
        char ch = sql->p[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
        if (quoted && ch == '"')
            break;
        if (!quoted && !letter && !(n && ((ch >= '0' && ch <= '9') || ch == '$')))
            break;
        out[n++] = !quoted && ch >= 'A' && ch <= 'Z' ? (char)(ch + ('a' - 'A')) : ch;
    }
    if (quoted && (i >= sql->n || (i + 1 < sql->n && sql->p[i + 1] == '"')))
        n = 0; /* not closed, or a quote within: left to the server */
    i += quoted && i < sql->n;
    *sql = text_n(sql->p + i, sql->n - i);
    return text_n(out, n);
}

/* The name, "" for ALL; false: some other statement. */
static bool deallocate_read(struct text sql, char *out, size_t cap, struct text *name)
{
    bool quoted;

    if (!text_is(next_name(&sql, out, cap, &quoted), "deallocate") || quoted)
        return false;
    *name = next_name(&sql, out, cap, &quoted);
    if (!quoted && text_is(*name, "prepare"))
        *name = next_name(&sql, out, cap, &quoted);
    if (name->n == 0)
        return false;
    if (!quoted && text_is(*name, "all"))
        *name = TEXT("");
    for (size_t i = 0; i < sql.n; i++)
        if (!strchr(" \t\r\n;", sql.p[i]))
            return false;
    return true;
}

/* Is it worth deallocate_read? */
static bool may_deallocate(struct text sql)
{
    return sql.n && ((sql.p[0] | 0x20) == 'd' || strchr(" \t\r\n", sql.p[0]));
}

/* The extended form: drivers send it as the unnamed statement. The client's name is not the
 * server's, so the text gets the server's. NULL: some other statement. */
static struct client_stmt *deallocated(struct client *c, struct wire_parse *w, char *text,
                                       size_t cap)
{
    char word[CLIENT_DEALLOCATE_MAX];
    struct text name;

    if (w->name.n || w->sql.n >= sizeof(word) || !may_deallocate(w->sql) ||
        !deallocate_read(w->sql, word, sizeof(word), &name))
        return NULL;
    struct client_stmt *cs = name.n ? map_get(&c->stmts, name) : NULL;
    if (cs)
        w->sql = text_n(text, (size_t)snprintf(text, cap, "DEALLOCATE \"%s\"", cs->stmt->name));
    return cs;
}

enum step client_parse(struct client *c, const char *m, size_t n)
{
    char text[100];
    struct wire_parse w;
    struct stmt *st;

    if (!wire_parse_read(m + 5, n - 5, &w))
        return malformed(c);
    if (passes_names(c)) {
        struct effects *e = NULL;
        bool refused;
        trace_text(c, w.sql);
        if (!state_effects(c, w.sql, &e))
            return no_memory(c);
        enum step passed = effects_before(c, e, w.sql, false, &refused);
        if (passed == STEP_DONE && !refused)
            passed = forward_whole(c, PEND_PARSE, m, n);
        if (passed == STEP_DONE && !refused) {
            struct profile *p = profile_of(c, w.sql);
            profile_name(c, 'S', w.name, p);
            profile_begin(c, pending_last(c->server->pending), p);
        }
        bool noted = passed != STEP_DONE || refused || state_sent(c, e, NULL);
        free(e);
        if (!noted)
            return no_memory(c);
        if (refused)
            return passed;
        if (passed == STEP_DONE)
            record_exempt(c, w.sql);
        return passed;
    }
    struct client_stmt *gone = client_enforced(c) ? NULL : deallocated(c, &w, text, sizeof(text));
    if (w.name.n && map_get(&c->stmts, w.name)) {
        stat_inc(&stats(c)->client_parses);
        client_refuse_text(c, false, "42P05", "prepared statement \"%.*s\" already exists",
                           TEXT_ARG(w.name));
        return done(c);
    }
    if (w.name.n && map_count(&c->stmts) >= CLIENT_MAX_NAMES) {
        client_refuse_text(c, false, "54000", "too many prepared statements (%d)",
                           CLIENT_MAX_NAMES);
        return done(c);
    }
    enum step step = extended_judged(c, false, w.sql, w.types, w.n_types, &st);
    if (step != STEP_DONE || !st)
        return step;
    if (refused_now(c, st, false)) {
        step = refuse_verdict(c, st->verdict, st->sql);
        stmt_unref(st);
        return step;
    }
    if (client_prepared_sql(c, st)) {
        step = client_prepared_parse(c, w.name, st);
        stmt_unref(st);
        return step;
    }
    if (!c->server && w.name.n && stmt_proven(st)) {
        step = parse_known(c, w.name, st);
        stmt_unref(st);
        return step;
    }
    if (!client_need_server(c)) {
        profile_waits(c, profile_of_stmt(c, st));
        stmt_unref(st);
        return c->closing ? STEP_GONE : STEP_WAIT;
    }
    stat_inc(&stats(c)->client_parses);
    client_note_request(c);
    if (!state_before(c, st->effects)) {
        stmt_unref(st);
        return no_memory(c);
    }
    step = w.name.n                               ? parse_named(c, w.name, st)
           : !gone                                ? parse_unnamed(c, st, m, n)
           : extended_ensure(c, gone->stmt, true) ? parse_unnamed(c, st, NULL, 0)
           : c->closing                           ? STEP_GONE
                                                  : no_memory(c);
    if (gone && step == STEP_DONE)
        extended_unname(
            c,
            text_of(gone->name)); /* whatever becomes of the batch: the driver is through with it */
    stmt_unref(st);
    return step;
}

/* ---- Bind ---- */

/* The client's statement of that name. NULL: answered (26000), or not ours (then *pass). */
static struct stmt *find(struct client *c, struct text name, bool *pass)
{
    *pass = false;
    if (name.n == 0) {
        if (c->unnamed)
            return c->unnamed;
        client_refuse_text(c, false, "26000", "unnamed prepared statement does not exist");
        return NULL;
    }
    struct client_stmt *cs = map_get(&c->stmts, name);
    if (cs)
        return cs->stmt;
    if (!client_enforced(c) && !text_starts(name, TEXT("PGBULKHEAD_"))) {
        *pass = true; /* made by SQL-level PREPARE, or the server says 26000 itself */
        return NULL;
    }
    client_refuse_text(c, false, "26000", "prepared statement \"%.*s\" does not exist",
                       TEXT_ARG(name));
    return NULL;
}

/* Bind with another statement name in front of the bytes that came. */
static bool send_bind(struct client *c, const struct wire_bind *w, struct stmt *st,
                      const struct wire_added *added, int n_added, const char *m, size_t n)
{
    struct buf *b = engine_work(c->engine);
    bool ok = true;

    if (n_added > 0) {
        ok = wire_bind_build(b, w, w->stmt.n ? text_of(st->name) : TEXT(""), added, n_added) &&
             !b->failed;
        if (ok)
            conn_write_copy(c->server->conn, b->p, b->n);
    } else if (w->stmt.n) {
        const char *rest = w->stmt.p + w->stmt.n + 1;
        size_t n_rest = n - (size_t)(rest - m);
        struct text name = text_of(st->name);
        buf_char(b, 'B');
        msg_u32(b, (uint32_t)(4 + w->portal.n + 1 + name.n + 1 + n_rest));
        msg_cstr(b, w->portal);
        msg_cstr(b, name);
        ok = !b->failed;
        if (ok) {
            conn_write_copy(c->server->conn, b->p, b->n);
            conn_write(c->server->conn, rest, n_rest);
        }
    } else {
        conn_write(c->server->conn, m, n);
    }
    return ok;
}

/* The name is the server's. */
static enum step bind_passed(struct client *c, const struct wire_bind *w, const char *m, size_t n)
{
    enum step step = forward_whole(c, PEND_BIND, m, n);

    if (step == STEP_DONE) {
        struct profile *p = profile_named(c, 'S', w->stmt);
        profile_name(c, 'P', w->portal, p);
        profile_begin(c, pending_last(c->server->pending), p);
    }
    return step;
}

/* The Bind of a statement of ours is being sent: what its portal will run. */
static bool expect_bind(struct client *c, struct stmt *st, struct text portal)
{
    struct pend *p = server_expect(c->server, PEND_BIND, PEND_FORWARD);

    if (p) {
        struct profile *e = profile_of_stmt(c, st);
        profile_name(c, 'P', portal, e);
        profile_begin(c, p, e);
    }
    return p != NULL;
}

enum step client_bind(struct client *c, const char *m, size_t n)
{
    struct wire_bind w;
    struct wire_added added[VERDICT_MAX_ADDED];
    int n_added = 0;
    bool pass;

    if (!wire_bind_read(m + 5, n - 5, &w))
        return malformed(c);
    if (passes_names(c))
        return bind_passed(c, &w, m, n);
    struct stmt *st = find(c, w.stmt, &pass);
    if (pass)
        return bind_passed(c, &w, m, n);
    if (!st)
        return done(c);
    enum step step = extended_rejudge(c, w.stmt, &st);
    if (step != STEP_DONE || c->closing)
        return step;
    if (refused_now(c, st, true))
        return refuse_verdict(c, st->verdict, st->sql);
    trace_stmt(c, st);
    bool copies = st->verdict && st->verdict->copy && client_enforced(c);
    if (copies && w.portal.n) {
        client_note_refusal(c, REFUSAL_copy_from, TEXT("named portal"), st->verdict, st->sql);
        client_refuse_text(c, false, refusal_state(REFUSAL_copy_from),
                           "COPY FROM of tenants needs the unnamed portal");
        return done(c);
    }
    if (client_enforced(c) && !client_portal_bound(c, w.portal))
        return done(c);
    if (client_prepared_sql(c, st)) {
        profile_name(c, 'P', w.portal, profile_of_stmt(c, st));
        step = client_prepared_bind(c, &w, st);
        if (step == STEP_DONE)
            record_exempt(c, st->sql);
        return step;
    }
    if (st->verdict && client_enforced(c)) {
        struct tenant_refusal r;
        if (!client_utility_ok(c, st->verdict, st->sql, false))
            return done(c);
        if (!verdict_bind(st->verdict, &c->identity, &w, st->types, st->n_types, added, &r)) {
            struct buf b;
            client_note_refusal(c, r.reason, r.detail, st->verdict, st->sql);
            buf_init(&b);
            refusal_error(&r, &b);
            client_refuse(c, false, &b);
            buf_release(&b);
            return done(c);
        }
        n_added = st->verdict->action == VERDICT_REWRITE ? st->verdict->n_added : 0;
    }
    if (c->virtual_state) {
        bool refused;
        step = effects_bind(c, st, &refused);
        if (step != STEP_DONE || refused)
            return step;
    }
    if (!client_need_server(c)) {
        profile_waits(c, profile_of_stmt(c, st));
        return c->closing ? STEP_GONE : STEP_WAIT;
    }
    if (st->verdict)
        client_note_verdict(c, st->verdict, st->sql);
    client_note_request(c);
    if (!state_allows(c, st->effects, false))
        return done(c);
    if (!state_before(c, st->effects) || !state_bound(c, st, &w))
        return no_memory(c);
    if (!extended_ensure(c, st, w.stmt.n > 0) || !settings_before_bind(c, st->verdict) ||
        !expect_bind(c, st, w.portal) || !send_bind(c, &w, st, added, n_added, m, n))
        return c->closing ? STEP_GONE : no_memory(c);
    if (st->verdict && st->verdict->leaves_state &&
        !(c->virtual_state && effects_have(st->effects, STATE_KEEPS)))
        c->server->dirty = true;
    if (copies)
        client_copy_bound(c, st->verdict);
    record_exempt(c, st->sql);
    stat_inc(&stats(c)->binds);
    c->kind = st->kind;
    if (st->verdict && client_enforced(c) && !client_utility_sent(c, st->verdict, false))
        return STEP_GONE;
    return STEP_DONE;
}

/* ---- Describe, Close, Execute ---- */

enum step client_describe(struct client *c, const char *m, size_t n)
{
    struct wire_target w;
    struct buf b;
    bool pass;

    if (!wire_target_read(m + 5, n - 5, &w))
        return malformed(c);
    if (w.what == 'P')
        return forward_whole(c, PEND_DESCRIBE_P, m, n);
    if (passes_names(c))
        return forward_whole(c, PEND_DESCRIBE_S, m, n);
    struct stmt *st = find(c, w.name, &pass);
    if (pass)
        return forward_whole(c, PEND_DESCRIBE_S, m, n);
    if (!st)
        return done(c);
    enum step step = extended_rejudge(c, w.name, &st);
    if (step != STEP_DONE || c->closing)
        return step;
    if (refused_now(c, st, false))
        return refuse_verdict(c, st->verdict, st->sql);
    if (client_prepared_sql(c, st))
        return client_prepared_describe(c, st);
    if (!client_need_server(c))
        return c->closing ? STEP_GONE : STEP_WAIT;
    client_note_request(c);
    if (!extended_ensure(c, st, w.name.n > 0))
        return c->closing ? STEP_GONE : no_memory(c);
    struct pend *p = server_expect(c->server, PEND_DESCRIBE_S, PEND_FORWARD);
    if (!p)
        return STEP_GONE;
    if (st->n_sent_types && st->verdict && client_enforced(c) &&
        st->verdict->action == VERDICT_REWRITE)
        p->trim = (uint8_t)st->verdict->n_added;
    buf_init(&b);
    wire_target_build(&b, 'D', 'S', w.name.n ? text_of(st->name) : TEXT(""));
    bool ok = !b.failed;
    if (ok)
        conn_write_copy(c->server->conn, b.p, b.n);
    buf_release(&b);
    return ok ? STEP_DONE : no_memory(c);
}

enum step client_close_target(struct client *c, const char *m, size_t n)
{
    struct wire_target w;
    struct pend *p = NULL;

    if (!wire_target_read(m + 5, n - 5, &w))
        return malformed(c);
    if (w.what == 'P' && !c->server) /* without a server there is no portal */
        return extended_fake(c, PEND_CLOSE, '3', &p) ? STEP_DONE : no_memory(c);
    if (w.what == 'P' || passes_names(c))
        return forward_whole(c, PEND_CLOSE, m, n);
    struct client_stmt *cs = w.name.n ? map_get(&c->stmts, w.name) : NULL;
    if (w.name.n && !cs && !client_enforced(c) && c->server &&
        !text_starts(w.name, TEXT("PGBULKHEAD_")))
        return forward_whole(c, PEND_CLOSE, m, n);
    if (!extended_fake(c, PEND_CLOSE, '3', &p))
        return no_memory(c);
    if (w.name.n == 0) {
        if (p) {
            p->undo = UNDO_UNNAMED;
            p->stmt = c->unnamed;
            c->unnamed = NULL;
        } else if (c->unnamed) {
            stmt_unref(c->unnamed);
            c->unnamed = NULL;
        }
        return STEP_DONE;
    }
    if (!cs)
        return STEP_DONE;
    if (p) {
        p->undo = UNDO_NAMED_CLOSE;
        p->stmt = stmt_ref(cs->stmt);
        p->name = strdup(cs->name);
        if (!p->name)
            return no_memory(c);
    }
    extended_unname(c, w.name);
    return STEP_DONE;
}

/* ---- DEALLOCATE by the simple protocol ---- */

enum step client_deallocate(struct client *c, const char *m, size_t n)
{
    struct server *s = c->server;
    char word[CLIENT_DEALLOCATE_MAX];
    struct text sql, name;
    struct buf b;

    if (client_enforced(c) || c->extended || c->in_copy || passes_names(c) ||
        (s && (!pending_empty(s->pending) || s->status == 'E')))
        return STEP_MORE;
    if (!wire_query_read(m + 5, n - 5, &sql) || !deallocate_read(sql, word, sizeof(word), &name))
        return STEP_MORE;
    if (name.n == 0 || !map_get(&c->stmts, name))
        return STEP_MORE; /* by PREPARE in SQL perhaps */
    extended_unname(c, name);
    extended_unnamed(c, NULL);
    buf_init(&b);
    size_t mark = msg_begin(&b, 'C');
    msg_cstr(&b, TEXT("DEALLOCATE"));
    msg_end(&b, mark);
    wire_ready_build(&b, s ? s->status : 'I');
    bool ok = !b.failed;
    client_send(c, &b);
    buf_release(&b);
    return ok ? done(c) : no_memory(c);
}

enum step client_execute(struct client *c, const char *m, size_t n)
{
    struct wire_execute w;

    if (!wire_execute_read(m + 5, n - 5, &w))
        return malformed(c);
    enum step step = forward_whole(c, PEND_EXECUTE, m, n);
    if (step == STEP_DONE)
        profile_begin(c, pending_last(c->server->pending), profile_named(c, 'P', w.portal));
    if (step == STEP_DONE && c->copy_bound && w.portal.n == 0) {
        if (!client_copy_begin(c, pending_last(c->server->pending), c->copy_bound))
            return no_memory(c);
        client_copy_bound(c, NULL);
        return step; /* this one resets nothing */
    }
    if (step == STEP_DONE && c->copy_bound)
        client_copy_bound(c, NULL); /* another portal: who knows what it did to the unnamed one */
    if (step == STEP_DONE && (!ears_behind(c, false) || !client_utility_executed(c)))
        return STEP_GONE;
    return step;
}
