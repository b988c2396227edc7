/* SPDX-License-Identifier: ISC */
/* tenant_guc on servers: set when a client gets one, and again when a client resets its settings.
 *
 * A rollback cannot take it back: it is first set in a transaction of its own, and where a reset
 * that is rolled back took it away, the value from before comes back with the reset's own.
 *
 * No statement runs without it, although nobody waits for its answer: it is set by messages of the
 * extended protocol without a Sync, and a server that fails one of those (a cancel that comes at
 * the wrong moment, a time limit) ignores what is behind it up to the client's first Sync. What the
 * client sends behind that Sync waits for the answer, and an error closes the server. Behind a
 * reset by a Query, where we do not know of the transaction's state, the client's next messages
 * wait at once. */
#include "session/binding.h"

#include "session/session.h"
#include "wire/query.h"

#include <stdio.h>
#include <stdlib.h>

static const char *setting_of(const struct client *c)
{
    return c->shard->db && c->shard->db->tenant_guc ? c->shard->db->tenant_guc
                                                    : c->engine->setup->g.tenant_guc;
}

/* SELECT pg_catalog.set_config('name','tenant',false) */
static void set_config(struct buf *sql, const char *guc, struct text tenant)
{
    buf_text_append(sql, TEXT("SELECT pg_catalog.set_config("));
    wire_quote_literal(sql, text_of(guc));
    buf_char(sql, ',');
    wire_quote_literal(sql, tenant);
    buf_text_append(sql, TEXT(",false)"));
}

/* SET "app"."tenant_id" TO 'tenant' */
static void set_command(struct buf *sql, const char *guc, struct text tenant)
{
    struct text rest = text_of(guc), part;
    bool more = false;

    buf_text_append(sql, TEXT("SET "));
    while (text_split(&rest, '.', &part)) {
        if (more)
            buf_char(sql, '.');
        wire_quote_ident(sql, part);
        more = true;
    }
    buf_text_append(sql, TEXT(" TO "));
    wire_quote_literal(sql, tenant);
}

static bool run(struct server *s, struct buf *b, struct text sql)
{
    static const char bind[8] = { 0 }; /* unnamed both, no formats, parameters, result formats */

    wire_parse_build(b, TEXT(""), sql, NULL, 0);
    size_t mark = msg_begin(b, 'B');
    msg_bytes(b, bind, sizeof(bind));
    msg_end(b, mark);
    wire_execute_build(b, TEXT(""), 0);
    return server_expect(s, PEND_PARSE, PEND_OWN) && server_expect(s, PEND_BIND, PEND_OWN) &&
           server_expect(s, PEND_EXECUTE, PEND_OWN);
}

bool binding_run(struct server *s, const struct text *sql, int n)
{
    struct buf b;

    buf_init(&b);
    for (uint32_t i = 0; i < s->pending->n; i++) /* the last one's answer is the whole's */
        if (pending_at(s->pending, i)->note == NOTE_BOUND)
            pending_at(s->pending, i)->note = 0;
    /* Whatever the last client's default is: a deferrable one would wait for others. */
    bool ok = run(s, &b, TEXT("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE"));
    for (int i = 0; ok && i < n; i++)
        ok = run(s, &b, sql[i]);
    ok = ok && run(s, &b, TEXT("COMMIT"));
    /* Flush: the client's message may be one that is answered without the server. */
    size_t mark = msg_begin(&b, 'H');
    msg_end(&b, mark);
    ok = ok && !b.failed;
    if (ok) {
        pending_last(s->pending)->note = NOTE_BOUND;
        s->binding = true;
        s->binding_synced = false;
        conn_write_copy(s->conn, b.p, b.n);
    }
    s->stmts->unnamed = 0;
    buf_release(&b);
    return ok;
}

/* In a transaction of its own, so that what the client does next cannot roll it back. */
static bool bind_now(struct server *s, const char *guc, struct text tenant)
{
    struct buf sql;

    buf_init(&sql);
    set_command(&sql, guc, tenant);
    const struct text text = buf_text(&sql);
    bool ok = !sql.failed && binding_run(s, &text, 1);
    buf_release(&sql);
    return ok;
}

bool binding_set(struct client *c, struct server *s)
{
    const char *guc = setting_of(c);

    if (!*guc || !client_enforced(c) || !c->identity.bound)
        return true;
    struct text tenant = c->identity.claims[0].value;
    size_t n = strlen(guc);
    if (s->guc && strncmp(s->guc, guc, n) == 0 && s->guc[n] == '=' &&
        text_is(tenant, s->guc + n + 1))
        return true;
    bool ok = bind_now(s, guc, tenant);
    free(s->guc);
    s->guc = malloc(n + 1 + tenant.n + 1);
    if (s->guc)
        snprintf(s->guc, n + 1 + tenant.n + 1, "%s=%.*s", guc, TEXT_ARG(tenant));
    return ok && s->guc != NULL;
}

/* What the server was told, as a statement. false: it was told nothing. */
static bool bound_sql(const struct server *s, struct buf *sql)
{
    const char *eq = s->guc ? strchr(s->guc, '=') : NULL;
    char name[300];

    if (!eq || (size_t)(eq - s->guc) >= sizeof(name))
        return false;
    memcpy(name, s->guc, (size_t)(eq - s->guc));
    name[eq - s->guc] = '\0';
    set_config(sql, name, text_of(eq + 1));
    return true;
}

bool binding_holds(const struct server *s)
{
    return s->proving || s->rebinding || s->held || (s->binding && s->binding_synced);
}

void binding_batch_ends(struct client *c, struct pend *p)
{
    if (!c->discard_bound)
        return;
    p->note = NOTE_HELD;
    c->server->held = true;
}

bool binding_renew(struct client *c, struct server *s)
{
    struct buf sql;
    bool ok = true;

    buf_init(&sql);
    if (client_enforced(c) && bound_sql(s, &sql)) {
        ok = !sql.failed && server_own_query(s, buf_text(&sql), 0);
        if (ok)
            pending_last(s->pending)->note = NOTE_REBIND;
        s->rebinding = true;
    }
    buf_release(&sql);
    return ok;
}

bool binding_renew_extended(struct client *c, struct server *s)
{
    struct buf sql;
    bool ok = true;

    buf_init(&sql);
    if (client_enforced(c) && bound_sql(s, &sql))
        ok = !sql.failed &&
             server_own_execute(s, TEXT("PGBULKHEAD_GUC"), buf_text(&sql), NOTE_REBIND);
    buf_release(&sql);
    return ok;
}
