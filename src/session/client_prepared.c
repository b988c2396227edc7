/* SPDX-License-Identifier: ISC */
/*
 * PREPARE, EXECUTE and DEALLOCATE in SQL for tenants. The names are those of the client's own
 * prepared statements, as in PostgreSQL; the server only sees its own names. A Query becomes an
 * extended batch, so that a statement that is missing on the server can be prepared in front of it
 * and one error is one answer.
 */
#include "session/counts.h"
#include "session/ears.h"
#include "session/effects.h"
#include "session/extended.h"
#include "session/pins.h"
#include "session/settings.h"
#include "session/slow.h"
#include "session/state.h"

#include "base/check.h"
#include "tenant/lexer.h"
#include "tenant/utility.h"
#include "wire/fields.h"
#include "wire/query.h"

#include <stdlib.h>

static enum step done(const struct client *c)
{
    return c->closing ? STEP_GONE : STEP_DONE;
}

static enum step no_memory(struct client *c)
{
    client_drop(c, "out of memory");
    return STEP_GONE;
}

static enum step refuse(struct client *c, bool simple, const struct buf *b)
{
    client_refuse(c, simple, b);
    return done(c);
}

/* ---- pieces of a batch ---- */

/* An answer of ours in its place, at once when nothing is outstanding. */
static bool answer(struct client *c, enum pend_kind kind, const struct buf *b)
{
    if (b->failed)
        return false;
    if (!c->server || pending_empty(c->server->pending)) {
        conn_write_copy(c->conn, b->p, b->n);
        return true;
    }
    struct pend *p = server_expect(c->server, kind, PEND_FAKE);
    if (!p)
        return false;
    p->bytes = malloc(b->n);
    p->n_bytes = (uint32_t)b->n;
    if (p->bytes)
        memcpy(p->bytes, b->p, b->n);
    return p->bytes != NULL;
}

static bool answer_tag(struct client *c, const char *tag)
{
    struct buf b;
    buf_init(&b);
    wire_complete_build(&b, text_of(tag));
    bool ok = answer(c, PEND_EXECUTE, &b);
    buf_release(&b);
    return ok;
}

static bool write_out(struct server *s, struct buf *b)
{
    bool ok = !b->failed;
    if (ok)
        conn_write_copy(s->conn, b->p, b->n);
    buf_release(b);
    return ok;
}

/* Parse of a text of ours as the server's unnamed statement. */
static struct pend *send_unnamed(struct client *c, struct text sql)
{
    struct server *s = c->server;
    struct pend *p = server_expect(s, PEND_PARSE, PEND_DROP);
    struct buf b;
    if (!p)
        return NULL;
    p->note = NOTE_UNNAMED;
    s->stmts->unnamed = 0;
    buf_init(&b);
    wire_parse_build(&b, TEXT(""), sql, NULL, 0);
    return write_out(s, &b) ? p : NULL;
}

/* As a Query does, the batch drops the client's unnamed statement. */
static void drop_unnamed(struct client *c, struct pend *p)
{
    p->undo = UNDO_UNNAMED;
    p->stmt = c->unnamed;
    c->unnamed = NULL;
}

/* Bind to the unnamed statement, which executes st, Describe, Execute. */
static bool send_run(struct client *c, struct stmt *st)
{
    static const char bind[8] = { 0 }; /* two names, no formats, parameters and result formats */
    struct server *s = c->server;
    struct buf b;
    if (!server_expect(s, PEND_BIND, PEND_DROP))
        return false;
    struct pend *p = server_expect(s, PEND_DESCRIBE_P, PEND_FORWARD);
    if (!p)
        return false;
    p->rows_only = true;
    p = server_expect(s, PEND_EXECUTE, PEND_FORWARD);
    if (!p)
        return false;
    if (!c->trace.set)
        trace_stmt(c, st);
    p->trace = c->trace;
    profile_begin(c, p, profile_of_stmt(c, st));
    buf_init(&b);
    size_t mark = msg_begin(&b, 'B');
    msg_bytes(&b, bind, sizeof(bind));
    msg_end(&b, mark);
    wire_target_build(&b, 'D', 'P', TEXT(""));
    wire_execute_build(&b, TEXT(""), 0);
    return write_out(s, &b);
}

static bool send_sync(struct client *c)
{
    struct server *s = c->server;
    struct buf b;
    struct pend *p = server_expect(s, PEND_SYNC, PEND_FORWARD);
    if (!p)
        return false;
    p->sort = c->kind;
    c->kind = QUERY_UTILITY;
    s->skipping = false;
    s->binding_synced = true;
    s->batch++;
    c->extended = false;
    buf_init(&b);
    wire_sync_build(&b);
    return write_out(s, &b);
}

/* ---- PREPARE ---- */

/* The statement to prepare; NULL with STEP_DONE: refused and answered. */
static enum step to_prepare(struct client *c, bool simple, const struct sql_prepared *p,
                            struct stmt **out)
{
    struct buf types;
    *out = NULL;
    if (map_get(&c->stmts, p->name)) {
        client_refuse_text(c, simple, "42P05", "prepared statement \"%.*s\" already exists",
                           TEXT_ARG(p->name));
        return done(c);
    }
    if (map_count(&c->stmts) >= CLIENT_MAX_NAMES) {
        client_refuse_text(c, simple, "54000", "too many prepared statements (%d)",
                           CLIENT_MAX_NAMES);
        return done(c);
    }
    buf_init(&types);
    for (int i = 0; i < p->n_types; i++)
        msg_u32(&types, p->types[i]);
    struct stmt *st = NULL;
    enum step step = types.failed ? no_memory(c)
                                  : extended_judged(c, simple, p->query, types.p, p->n_types, &st);
    buf_release(&types);
    if (step != STEP_DONE || !st)
        return step;
    if (!client_guarded(c))
        st->by_sql = true;
    struct verdict *v = st->verdict;
    if (v && v->action == VERDICT_REFUSE && !v->describable) {
        struct buf b;
        client_note_verdict(c, v, st->sql);
        buf_init(&b);
        verdict_error(v, &b);
        step = refuse(c, simple, &b);
        buf_release(&b);
        stmt_unref(st);
        return step;
    }
    *out = st;
    return STEP_DONE;
}

/* Sends it and takes the name; false: out of memory, or the server is closed. */
static bool prepare(struct client *c, const struct sql_prepared *p, struct stmt *st)
{
    struct pend *e = extended_parse(c, st, true, PEND_DROP);
    if (!e || !extended_name(c, p->name, st))
        return false;
    e->undo = UNDO_NAMED_PARSE;
    e->name = text_dup(p->name);
    return e->name != NULL;
}

static enum step prepare_query(struct client *c, const struct sql_prepared *p, struct text sql)
{
    struct stmt *st;
    enum step step = to_prepare(c, true, p, &st);
    if (step != STEP_DONE || !st)
        return step;
    if (!client_need_server(c)) {
        step = c->closing ? STEP_GONE : STEP_WAIT;
    } else {
        client_note_request(c);
        extended_unnamed(c, NULL);
        if (!prepare(c, p, st) || !answer_tag(c, "PREPARE") || !send_sync(c))
            step = c->closing ? STEP_GONE : no_memory(c);
        else
            profile_begin(c, pending_last(c->server->pending), profile_of(c, sql));
    }
    stmt_unref(st);
    return step;
}

/* ---- EXECUTE ---- */

static bool runs_rows(const struct verdict *v)
{
    switch (v->kind) {
    case STMT_SELECT:
    case STMT_INSERT:
    case STMT_UPDATE:
    case STMT_DELETE:
    case STMT_MERGE:
        return !v->prepared && !v->effects && !v->cursors;
    default:
        return false;
    }
}

/* The statement that an EXECUTE names and the text that runs it. STEP_DONE with *out NULL: refused
 * and answered. */
static enum step to_execute(struct client *c, bool simple, const struct sql_prepared *p,
                            struct stmt **out, struct buf *sql)
{
    struct client_stmt *cs = map_get(&c->stmts, p->name);
    struct tenant_refusal r;
    struct buf b;

    *out = NULL;
    if (!cs) {
        client_refuse_text(c, simple, "26000", "prepared statement \"%.*s\" does not exist",
                           TEXT_ARG(p->name));
        return done(c);
    }
    struct stmt *st = cs->stmt;
    enum step step = extended_rejudge(c, p->name, &st);
    if (step != STEP_DONE || c->closing)
        return step;
    struct verdict *v = st->verdict;
    if (!v || (v->action != VERDICT_REFUSE && !runs_rows(v))) {
        client_note_refusal(c, REFUSAL_prepared_sql, TEXT("EXECUTE of such a statement"), v,
                            st->sql);
        client_refuse_text(c, simple, refusal_state(REFUSAL_prepared_sql),
                           "EXECUTE runs SELECT, INSERT, UPDATE, DELETE and MERGE for tenants");
        return done(c);
    }
    buf_init(&b);
    if (v->action == VERDICT_REFUSE) {
        client_note_verdict(c, v, st->sql);
        verdict_error(v, &b);
        step = refuse(c, simple, &b);
    } else if (v->n_params > 0 && p->n_args != v->n_params) { /* else PostgreSQL ignores them */
        client_refuse_text(c, simple, "42601",
                           "wrong number of parameters for prepared statement \"%.*s\"",
                           TEXT_ARG(p->name));
        step = done(c);
    } else if (!prepared_execute(p, v, &c->identity, st->types, st->n_types, text_of(st->name), sql,
                                 &r)) {
        client_note_refusal(c, r.reason, r.detail, v, st->sql);
        refusal_error(&r, &b);
        step = refuse(c, simple, &b);
    } else if (sql->failed) {
        step = no_memory(c);
    } else {
        *out = st;
    }
    buf_release(&b);
    return step;
}

static void note_run(struct client *c, const struct stmt *st)
{
    client_note_request(c);
    if (!state_bound(c, st, NULL))
        c->server->dirty = true;
    if (!st->verdict)
        return;
    client_note_verdict(c, st->verdict, st->sql);
    if (st->verdict->leaves_state)
        c->server->dirty = true;
}

static enum step execute_query(struct client *c, const struct sql_prepared *p)
{
    struct stmt *st;
    struct pend *e;
    struct buf sql;

    buf_init(&sql);
    enum step step = to_execute(c, true, p, &st, &sql);
    if (step == STEP_DONE && st) {
        if (!client_need_server(c)) {
            step = c->closing ? STEP_GONE : STEP_WAIT;
        } else {
            note_run(c, st);
            bool ok = extended_ensure(c, st, true) && settings_before_bind(c, st->verdict) &&
                      (e = send_unnamed(c, buf_text(&sql))) != NULL;
            if (ok)
                drop_unnamed(c, e);
            if (!ok || !send_run(c, st) || !send_sync(c))
                step = c->closing ? STEP_GONE : no_memory(c);
        }
    }
    buf_release(&sql);
    return step;
}

/* ---- DEALLOCATE ---- */

/* Takes the name away; e (may be NULL) is the entry whose failure gives it back. */
static bool drop_name(struct client *c, struct text name, struct pend *e)
{
    struct client_stmt *cs = map_get(&c->stmts, name);
    CHECK(cs);
    if (e) {
        e->undo = UNDO_NAMED_CLOSE;
        e->stmt = stmt_ref(cs->stmt);
        e->name = text_dup(name);
        if (!e->name)
            return false;
    }
    extended_unname(c, text_of(cs->name));
    return true;
}

static enum step deallocate_query(struct client *c, const struct sql_prepared *p)
{
    struct server *s = c->server;
    struct buf b;

    if (s && s->status == 'E') {
        client_refuse_text(c, true, "25P02",
                           "current transaction is aborted, commands ignored until end of "
                           "transaction block");
        return done(c);
    }
    if (p->name.n && !map_get(&c->stmts, p->name)) {
        client_refuse_text(c, true, "26000", "prepared statement \"%.*s\" does not exist",
                           TEXT_ARG(p->name));
        return done(c);
    }
    if (p->name.n)
        extended_unname(c, p->name);
    else
        client_stmts_clear(c);
    extended_unnamed(c, NULL);
    buf_init(&b);
    wire_complete_build(&b, p->name.n ? TEXT("DEALLOCATE") : TEXT("DEALLOCATE ALL"));
    wire_ready_build(&b, s ? s->status : 'I');
    bool ok = !b.failed;
    client_send(c, &b);
    buf_release(&b);
    return ok || c->closing ? done(c) : no_memory(c);
}

enum step client_prepared_query(struct client *c, struct verdict *v, struct text sql)
{
    if (c->extended || c->in_copy) {
        client_note_refusal(c, REFUSAL_prepared_sql, TEXT("behind messages without Sync"), v, sql);
        client_refuse_text(c, true, refusal_state(REFUSAL_prepared_sql),
                           "PREPARE, EXECUTE and DEALLOCATE cannot stand behind extended messages "
                           "without Sync");
        return done(c);
    }
    if (c->server && (!pending_empty(c->server->pending) || c->server->left)) {
        conn_pause(c->conn); /* what is outstanding may change the names; server_input lets it go
                                on */
        return STEP_WAIT;
    }
    switch (v->prepared->what) {
    case SQL_PREPARE:
        return prepare_query(c, v->prepared, sql);
    case SQL_EXECUTE:
        return execute_query(c, v->prepared);
    case SQL_DEALLOCATE:
        break;
    }
    return deallocate_query(c, v->prepared);
}

/* ---- clients that no tenant binds ---- */

/* Parameter type that no client declares: tells texts behind PREPARE's name from others. */
#define BY_SQL UINT32_MAX

/* Where an effect's name stands in the text: behind its first word. false: not found. */
static bool name_at(const struct effect *x, struct text sql, size_t *from, size_t *to)
{
    struct lexer lx;
    struct token t;
    bool verb = false;

    lexer_init(&lx, text_n(sql.p + x->off, x->end - x->off), NULL);
    while (lexer_next(&lx, &t)) {
        if (token_is_comment(t))
            continue;
        if (verb) {
            *from = x->off + t.off;
            *to = *from + t.len;
            return true;
        }
        verb = true;
    }
    return false;
}

/* Appends the text from *done on, with the statement's own name on servers in the place of the
 * client's. x: an EXECUTE. false: the place was not found, or memory is short (out->failed). */
static bool renamed(const struct effect *x, struct text sql, const char *name, size_t *done,
                    struct buf *out)
{
    size_t from, to;

    if (!name_at(x, sql, &from, &to))
        return false;
    buf_append(out, sql.p + *done, from - *done);
    buf_printf(out, "\"%s\"", name);
    *done = to;
    return !out->failed;
}

/* The whole text with one EXECUTE. */
static bool renamed_alone(const struct effect *x, struct text sql, const char *name,
                          struct buf *out)
{
    size_t at = 0;

    if (!renamed(x, sql, name, &at, out))
        return false;
    buf_append(out, sql.p + at, sql.n - at);
    return !out->failed;
}

static enum step execute_renamed(struct client *c, const struct effect *x, struct text sql)
{
    struct client_stmt *cs = map_get(&c->stmts, x->name);
    bool refused = false;
    struct pend *e;
    struct buf out;

    if (!cs)
        return STEP_MORE;
    enum step step = effects_before(c, cs->stmt->effects, cs->stmt->sql, true, &refused);
    if (step != STEP_DONE || refused)
        return step;
    buf_init(&out);
    if (!renamed_alone(x, sql, cs->stmt->name, &out)) {
        step = out.failed ? no_memory(c) : STEP_MORE;
    } else if (!client_need_server(c)) {
        step = c->closing ? STEP_GONE : STEP_WAIT;
    } else {
        note_run(c, cs->stmt);
        bool ok =
            extended_ensure(c, cs->stmt, true) && (e = send_unnamed(c, buf_text(&out))) != NULL;
        if (ok)
            drop_unnamed(c, e);
        if (!ok || !send_run(c, cs->stmt) || !send_sync(c))
            step = c->closing ? STEP_GONE : no_memory(c);
    }
    buf_release(&out);
    return step;
}

/* ---- ... among the statements of one Query ---- */

/* Does the EXECUTE mean a name of the client's map? Not behind what takes the names away. */
static struct client_stmt *meant(const struct client *c, const struct effects *fx, int at)
{
    const struct effect *x = &fx->list[at];

    if (x->kind != FX_EXECUTE)
        return NULL;
    for (int i = 0; i < at; i++)
        if (fx->list[i].kind == FX_DISCARD_ALL ||
            (fx->list[i].kind == FX_DEALLOCATE && fx->list[i].name.n == 0))
            return NULL;
    return map_get(&c->stmts, x->name);
}

/* PREPARE and DEALLOCATE of the client's names there. true: refused and answered. */
static bool batch_refused(struct client *c, const struct effects *fx)
{
    struct buf b;

    for (int i = 0; i < fx->n; i++) {
        const struct effect *x = &fx->list[i];
        if (x->kind == FX_DISCARD_ALL || (x->kind == FX_DEALLOCATE && x->name.n == 0))
            return false;
        if ((x->kind != FX_PREPARE && x->kind != FX_DEALLOCATE) || !map_get(&c->stmts, x->name))
            continue;
        if (x->kind == FX_PREPARE) {
            client_refuse_text(c, true, "42P05", "prepared statement \"%.*s\" already exists",
                               TEXT_ARG(x->name));
            return true;
        }
        buf_init(&b);
        wire_error_build(&b, 'E',
                         &(struct wire_error){
                             .severity = "ERROR",
                             .sqlstate = "0A000",
                             .message = TEXT("DEALLOCATE of a statement that is prepared on "
                                             "several servers cannot be one of several statements "
                                             "of a Query"),
                             .hint = TEXT("Send DEALLOCATE by itself, or use DEALLOCATE ALL.") });
        client_refuse(c, true, &b);
        buf_release(&b);
        return true;
    }
    return false;
}

/* A Sync of ours. NOTE_RESCUE: when what is prepared in front of a Query fails, the server skips
 * the Query, and this Sync behind it, whose answer is dropped otherwise, ends the batch
 * (skip_to_sync). */
static bool send_own_sync(struct server *s, uint8_t note)
{
    struct pend *p = server_expect(s, PEND_SYNC, PEND_OWN);
    struct buf b;

    if (!p)
        return false;
    p->note = note;
    s->skipping = false;
    s->binding_synced = true;
    s->batch++;
    buf_init(&b);
    wire_sync_build(&b);
    return write_out(s, &b);
}

/* Does the text begin a transaction? Then nothing may be in that before it: BEGIN ISOLATION LEVEL
 * and the like would be too late. */
static bool begins_own(const struct server *s, const struct effects *fx)
{
    return s->status == 'I' && (fx->kinds & FX_BIT(FX_BEGIN));
}

/* Ends what was prepared, from that entry on, as a batch of its own. Where it fails nobody is told:
 * the text runs up to the EXECUTE, which does. */
static bool send_apart(struct server *s, uint32_t from)
{
    for (uint32_t i = from; i < s->pending->n; i++)
        pending_at(s->pending, i)->may_fail = true;
    return send_own_sync(s, 0);
}

/* The statements that the text runs, where they are not yet, and the text itself. */
static bool send_batch(struct client *c, const struct effects *fx, struct text sql,
                       struct text changed)
{
    struct server *s = c->server;
    struct client_stmt *cs;
    struct buf b;

    client_note_request(c);
    if (!state_before(c, fx) || !state_sent(c, fx, NULL))
        return false;
    uint32_t before = s->pending->n;
    for (int i = 0; i < fx->n; i++) {
        if (!(cs = meant(c, fx, i)))
            continue;
        note_run(c, cs->stmt);
        if (!extended_ensure(c, cs->stmt, true))
            return false;
    }
    bool prepares = s->pending->n > before, apart = prepares && begins_own(s, fx);
    if (apart && !send_apart(s, before))
        return false;
    struct pend *p = server_expect(s, PEND_QUERY, PEND_FORWARD);
    if (!p)
        return false;
    s->stmts->unnamed = 0;
    p->sort = (uint8_t)query_kind(sql.p, sql.n);
    drop_unnamed(c, p);
    c->extended = false;
    profile_begin(c, p, profile_of(c, sql));
    buf_init(&b);
    wire_query_build(&b, changed);
    return write_out(s, &b) && (!prepares || apart || send_own_sync(s, NOTE_RESCUE)) &&
           ears_behind(c, true);
}

/* Several statements in one Query, EXECUTE of the client's names among them: these get the names on
 * servers. STEP_MORE: there is none. */
static enum step batch_renamed(struct client *c, const struct effects *fx, struct text sql)
{
    struct client_stmt *cs;
    bool refused = false;
    size_t at = 0;
    int n = 0;
    struct buf out;

    if (batch_refused(c, fx))
        return done(c);
    for (int i = 0; i < fx->n; i++)
        n += meant(c, fx, i) != NULL;
    if (n == 0)
        return STEP_MORE;
    if (!client_need_server(c))
        return c->closing ? STEP_GONE : STEP_WAIT;
    buf_init(&out);
    enum step step = STEP_DONE;
    for (int i = 0; i < fx->n && step == STEP_DONE && !refused; i++) {
        if (!(cs = meant(c, fx, i)))
            continue;
        if (!renamed(&fx->list[i], sql, cs->stmt->name, &at, &out))
            step = out.failed ? no_memory(c) : STEP_MORE;
        else
            step = effects_before(c, cs->stmt->effects, cs->stmt->sql, true, &refused);
    }
    buf_append(&out, sql.p + at, sql.n - at);
    if (step == STEP_DONE && !refused && !out.failed)
        step = effects_before(c, fx, sql, true, &refused);
    if (step == STEP_DONE && !refused && state_allows(c, fx, true) &&
        (out.failed || !send_batch(c, fx, sql, buf_text(&out))))
        step = c->closing ? STEP_GONE : no_memory(c);
    buf_release(&out);
    return step;
}

enum step client_sql_prepared(struct client *c, const struct effects *fx, struct text sql)
{
    static const uint32_t kinds = FX_BIT(FX_PREPARE) | FX_BIT(FX_EXECUTE) | FX_BIT(FX_DEALLOCATE);
    const struct effect *x = NULL;

    for (int i = 0; i < fx->n && !x; i++)
        if (kinds & FX_BIT(fx->list[i].kind))
            x = &fx->list[i];
    bool alone = fx->n_statements == 1;
    if (!x || c->extended || c->in_copy ||
        (alone && x->kind == FX_PREPARE && pins_kept(c, PIN_PREPARE) &&
         !map_get(&c->stmts, x->name)))
        return STEP_MORE;
    if (c->server && (!pending_empty(c->server->pending) || c->server->left)) {
        conn_pause(c->conn); /* as above */
        return STEP_WAIT;
    }
    if (!alone)
        return batch_renamed(c, fx, sql);
    if (x->kind == FX_EXECUTE)
        return execute_renamed(c, x, sql);
    if (x->kind == FX_DEALLOCATE) /* of a name that the server knows, or of all */
        return STEP_MORE;
    uint32_t type = BY_SQL;
    const struct sql_prepared p = {
        .what = SQL_PREPARE, .name = x->name, .query = x->value, .types = &type, .n_types = 1
    };
    return prepare_query(c, &p, sql);
}

/* ---- the extended protocol ---- */

enum step client_prepared_parse(struct client *c, struct text name, struct stmt *st)
{
    struct pend *p;

    if (!extended_fake(c, PEND_PARSE, '1', &p))
        return c->closing ? STEP_GONE : no_memory(c);
    if (name.n == 0) {
        struct stmt *before = c->unnamed ? stmt_ref(c->unnamed) : NULL;
        extended_unnamed(c, st);
        if (p) {
            p->undo = UNDO_UNNAMED;
            p->stmt = before;
        } else if (before) {
            stmt_unref(before);
        }
        return STEP_DONE;
    }
    if (!extended_name(c, name, st))
        return no_memory(c);
    if (p) {
        p->undo = UNDO_NAMED_PARSE;
        p->stmt = stmt_ref(st);
        p->name = text_dup(name);
        if (!p->name)
            return no_memory(c);
    }
    return STEP_DONE;
}

/* Something harmless that has the command's tag, as the server's unnamed statement: the work itself
 * is done. */
static struct pend *send_stand_in(struct client *c, enum sql_prepared_what what)
{
    bool prepares = what == SQL_PREPARE;
    struct text name = prepares ? TEXT("PGBULKHEAD_P") : TEXT("PGBULKHEAD_D");
    struct buf b;

    if (!server_expect(c->server, PEND_CLOSE, PEND_DROP) ||
        (!prepares && !server_expect(c->server, PEND_PARSE, PEND_DROP)))
        return NULL;
    buf_init(&b);
    wire_target_build(&b, 'C', 'S', name);
    if (!prepares)
        wire_parse_build(&b, name, TEXT("SELECT 1"), NULL, 0);
    if (!write_out(c->server, &b))
        return NULL;
    return send_unnamed(c, prepares ? TEXT("PREPARE \"PGBULKHEAD_P\" AS SELECT 1")
                                    : TEXT("DEALLOCATE \"PGBULKHEAD_D\""));
}

/* What the server's unnamed statement has to be for that Bind. STEP_DONE with *sent false: refused
 * and answered. */
static enum step send_statement(struct client *c, const struct sql_prepared *p, bool *sent)
{
    struct stmt *st = NULL;
    struct pend *e;
    struct buf sql;
    enum step step = STEP_DONE;

    *sent = false;
    buf_init(&sql);
    if (p->what == SQL_PREPARE)
        step = to_prepare(c, false, p, &st);
    else if (p->what == SQL_EXECUTE)
        step = to_execute(c, false, p, &st, &sql);
    else if (p->name.n && !map_get(&c->stmts, p->name))
        client_refuse_text(c, false, "26000", "prepared statement \"%.*s\" does not exist",
                           TEXT_ARG(p->name));
    if (step != STEP_DONE || c->closing || (p->what != SQL_DEALLOCATE && !st) ||
        (p->what == SQL_DEALLOCATE && p->name.n && !map_get(&c->stmts, p->name))) {
        buf_release(&sql);
        return c->closing ? STEP_GONE : step;
    }
    if (!client_need_server(c)) {
        step = c->closing ? STEP_GONE : STEP_WAIT;
    } else {
        bool ok;
        client_note_request(c);
        switch (p->what) {
        case SQL_PREPARE:
            ok = prepare(c, p, st) && send_stand_in(c, p->what);
            break;
        case SQL_EXECUTE:
            note_run(c, st);
            ok = extended_ensure(c, st, true) && settings_before_bind(c, st->verdict) &&
                 send_unnamed(c, buf_text(&sql));
            break;
        default:
            e = p->name.n ? send_stand_in(c, p->what) : send_unnamed(c, TEXT("DEALLOCATE ALL"));
            ok = e && (!p->name.n || drop_name(c, p->name, e));
        }
        *sent = ok;
        if (!ok)
            step = c->closing ? STEP_GONE : no_memory(c);
    }
    if (st && p->what == SQL_PREPARE)
        stmt_unref(st);
    buf_release(&sql);
    return step;
}

/* The EXECUTE of a client that no tenant binds, and what it names. */
static struct client_stmt *executed(const struct client *c, const struct stmt *st,
                                    const struct effect **x)
{
    if (client_enforced(c) || !c->virtual_state || !effects_have(st->effects, FX_BIT(FX_EXECUTE)))
        return NULL;
    for (int i = 0; i < st->effects->n; i++) {
        *x = &st->effects->list[i];
        if ((*x)->kind == FX_EXECUTE)
            return map_get(&c->stmts, (*x)->name);
    }
    return NULL;
}

bool client_prepared_sql(const struct client *c, const struct stmt *st)
{
    const struct effect *x;

    return st->verdict && client_enforced(c) ? st->verdict->prepared != NULL
                                             : executed(c, st, &x) != NULL;
}

/* As send_statement, for an EXECUTE. */
static enum step send_executed(struct client *c, const struct stmt *st, bool *sent)
{
    const struct effect *x;
    struct client_stmt *cs = executed(c, st, &x);
    bool refused = false;
    struct buf out;

    *sent = false;
    enum step step = effects_before(c, cs->stmt->effects, cs->stmt->sql, false, &refused);
    if (step != STEP_DONE || refused)
        return step;
    if (!client_need_server(c))
        return c->closing ? STEP_GONE : STEP_WAIT;
    buf_init(&out);
    note_run(c, cs->stmt);
    *sent = renamed_alone(x, st->sql, cs->stmt->name, &out) && extended_ensure(c, cs->stmt, true) &&
            send_unnamed(c, buf_text(&out));
    buf_release(&out);
    return *sent ? STEP_DONE : c->closing ? STEP_GONE : no_memory(c);
}

/* The server's unnamed statement is what st does. */
static enum step send_for(struct client *c, struct stmt *st, bool *sent)
{
    struct verdict *v = st->verdict; /* the statement may lose its name meanwhile */

    if (!client_enforced(c))
        return send_executed(c, st, sent);
    verdict_ref(v);
    enum step step = send_statement(c, v->prepared, sent);
    verdict_unref(c->engine->tenant, v);
    return step;
}

enum step client_prepared_bind(struct client *c, const struct wire_bind *w, struct stmt *st)
{
    bool sent;
    struct buf b;
    enum step step = send_for(c, st, &sent);

    if (step != STEP_DONE || !sent)
        return step;
    if (!server_expect(c->server, PEND_BIND, PEND_FORWARD))
        return STEP_GONE;
    buf_init(&b);
    if (!wire_bind_build(&b, w, TEXT(""), NULL, 0))
        b.failed = true;
    return write_out(c->server, &b) ? STEP_DONE : no_memory(c);
}

enum step client_prepared_describe(struct client *c, struct stmt *st)
{
    struct buf b;

    if (client_enforced(c) &&
        st->verdict->prepared->what != SQL_EXECUTE) { /* no parameters, no rows */
        buf_init(&b);
        size_t mark = msg_begin(&b, 't');
        msg_u16(&b, 0);
        msg_end(&b, mark);
        wire_simple_build(&b, 'n');
        bool ok = answer(c, PEND_DESCRIBE_S, &b);
        buf_release(&b);
        return ok ? STEP_DONE : c->closing ? STEP_GONE : no_memory(c);
    }
    bool sent;
    enum step step = send_for(c, st, &sent);
    if (step != STEP_DONE || !sent)
        return step;
    if (!server_expect(c->server, PEND_DESCRIBE_S, PEND_FORWARD))
        return STEP_GONE;
    buf_init(&b);
    wire_target_build(&b, 'D', 'S', TEXT(""));
    return write_out(c->server, &b) ? STEP_DONE : no_memory(c);
}
