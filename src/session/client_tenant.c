/* SPDX-License-Identifier: ISC */
/* Where sessions meet the tenant engine: policy, verdicts, refusals, waiting for a catalog. */
#include "session/binding.h"
#include "session/counts.h"
#include "session/ears.h"
#include "session/effects.h"
#include "session/extended.h"
#include "session/settings.h"
#include "session/state.h"
#include "session/utility.h"

#include "session/record.h"
#include "session/say.h"

#include "base/check.h"

#include <stdlib.h>

#define CATALOG_AGAIN                                                                              \
    (2 * USEC_PER_SEC) /* a client waits for a fresh catalog at most this often                    \
                        */

bool client_policy(struct client *c)
{
    struct db_ledger *db = c->shard->pool->db;
    const struct policy *now = atomic_load_explicit(&db->policy, memory_order_acquire);

    if (now == c->policy && now)
        return true;
    struct policy *p = hub_policy_get(c->engine->hub, db);
    if (!p)
        return c->policy != NULL;
    if (c->policy)
        policy_unref(c->policy);
    c->policy = p;
    return true;
}

void client_ask(struct client *c, struct tenant_ask *ask, bool extended, struct text sql,
                const uint32_t *types, int n_types)
{
    *ask = (struct tenant_ask){ .policy = c->policy,
                                .identity = &c->identity,
                                .mode = c->tenant_mode,
                                .extended = extended,
                                .sql = sql,
                                .types = types,
                                .n_types = n_types,
                                .relations = c->engine->hub->audit &&
                                             writer_is_open(c->engine->hub->audit) };
}

static void log_refusal(struct client *c, enum refusal r, struct text detail, struct text sql)
{
    struct db_stats *st = shard_stats(c->shard, c->engine);

    count_tenant(c, TENANT_DENIED);
    if (r == REFUSAL_no_tenant)
        stat_inc(&st->tenant_unbound);
    if ((size_t)r < sizeof(st->denials) / sizeof(st->denials[0]))
        stat_inc(&st->denials[r]);
    client_log_refusal(c, true, refusal_name(r), detail, sql);
}

void client_note_refusal(struct client *c, enum refusal r, struct text detail, struct verdict *v,
                         struct text sql)
{
    log_refusal(c, r, detail, sql);
    record_refusal(c, r, v, sql);
    profile_refused(c, sql);
}

void client_note_verdict(struct client *c, struct verdict *v, struct text sql)
{
    struct db_stats *st = shard_stats(c->shard, c->engine);

    record_verdict(c, v, sql);
    if (!client_enforced(c)) {
        stat_inc(&st->tenant_audited);
        if (v->action == VERDICT_REFUSE)
            client_log_refusal(c, false, refusal_name(v->reason), v->detail, sql);
        return;
    }
    switch (v->action) {
    case VERDICT_PASS:
        count_tenant(c, TENANT_ALLOWED);
        break;
    case VERDICT_REWRITE:
        count_tenant(c, TENANT_REWRITTEN);
        break;
    case VERDICT_REFUSE:
        profile_refused(c, sql);
        log_refusal(c, v->reason, v->detail, sql);
        break;
    }
}

bool client_wait_catalog(struct client *c, const struct verdict *v)
{
    usec_t now = c->engine->loop.now;

    if (!v->wants_catalog || v->action != VERDICT_REFUSE || !client_enforced(c))
        return false;
    if (c->catalog_asked && now - c->catalog_asked < CATALOG_AGAIN)
        return false;
    c->catalog_asked = now;
    c->catalog_wait = true;
    client_due(c);
    c->engine->hub->calls->want_catalog(c->engine->hub->calls_arg, c->shard->pool->db_name);
    return true;
}

/* Sends the text as a Query of the client; v NULL: not judged. */
static enum step send_query(struct client *c, const char *m, size_t n, struct verdict *v)
{
    struct server *s = c->server;
    struct effects *e = NULL;
    struct text sql;
    if (wire_query_read(m + 5, n - 5, &sql) && !state_effects(c, sql, &e)) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    bool kept = effects_have(e, STATE_KEEPS), allowed = state_allows(c, e, true);
    bool noted = !allowed || (state_before(c, e) && state_sent(c, e, NULL));
    free(e);
    if (!allowed)
        return c->closing ? STEP_GONE : STEP_DONE;
    if (!noted) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    struct pend *p =
        settings_before_query(c, v) ? server_expect(s, PEND_QUERY, PEND_FORWARD) : NULL;

    if (!p)
        return STEP_GONE;
    if (v && client_enforced(c)) {
        p->set_front = (uint8_t)v->set_front;
        p->set_back = (uint8_t)v->set_back;
        p->n_commands = v->n_commands;
    }
    p->sort = (uint8_t)query_kind(m + 5, n - 5);
    binding_batch_ends(c, p);
    pend_judged(p, c->engine->tenant, v);
    s->stmts->unnamed = 0;
    p->undo = UNDO_UNNAMED;
    p->stmt = c->unnamed;
    c->unnamed = NULL;
    c->extended = false;
    client_note_request(c);
    profile_begin(c, p, profile_of(c, sql));
    if (v && v->leaves_state && client_enforced(c) && !kept)
        s->dirty = true;
    if (v && v->copy && client_enforced(c) && !client_copy_begin(c, p, v)) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    if (!v || v->action != VERDICT_REWRITE || !client_enforced(c)) {
        conn_write(s->conn, m, n);
        if (v && client_enforced(c) && !client_utility_sent(c, v, true))
            return STEP_GONE;
        return ears_behind(c, true) ? STEP_DONE : STEP_GONE;
    }
    struct buf *b = engine_work(c->engine);
    size_t mark = msg_begin(b, 'Q');
    bool ok = verdict_text(v, &c->identity, b);
    buf_char(b, '\0');
    msg_end(b, mark);
    ok = ok && !b->failed;
    if (ok)
        conn_write_copy(s->conn, b->p, b->n);
    if (!ok) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    return client_utility_sent(c, v, true) && ears_behind(c, true) ? STEP_DONE : STEP_GONE;
}

enum step client_query_guarded(struct client *c, const char *m, size_t n)
{
    struct tenant_ask ask;
    struct text sql;
    enum step step = STEP_DONE;

    if (!wire_query_read(m + 5, n - 5, &sql)) {
        client_close(c, NULL, "malformed message from client");
        return STEP_GONE;
    }
    bool judged = client_policy(c) && c->identity.bound;
    if (!judged && !client_enforced(c)) { /* audit: nothing to judge by */
        if (!client_need_server(c))
            return c->closing ? STEP_GONE : STEP_WAIT;
        return send_query(c, m, n, NULL);
    }
    if (!c->policy) {
        client_refuse_text(c, true, "57P03", "the catalog of database \"%s\" is not known yet",
                           c->db_name.p);
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    client_ask(c, &ask, false, sql, NULL, 0);
    struct verdict *v = tenant_judge(c->engine->tenant, &ask);
    if (!v) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    if (client_wait_catalog(c, v)) {
        step = STEP_WAIT;
    } else if (v->action == VERDICT_REFUSE && client_enforced(c)) {
        struct buf b;
        client_note_verdict(c, v, sql);
        buf_init(&b);
        verdict_error(v, &b);
        client_refuse(c, true, &b);
        buf_release(&b);
    } else if (client_enforced(c) && v->prepared) {
        step = client_prepared_query(c, v, sql);
    } else if (client_enforced(c) && !client_utility_ok(c, v, sql, true)) {
        step = STEP_DONE;
    } else if (c->virtual_state && !effects_guarded(c, v, sql, &step)) {
        /* refused and answered, or to be shown again */
    } else if (!client_need_server(c)) {
        profile_waits(c, profile_of(c, sql));
        step = STEP_WAIT;
    } else {
        client_note_verdict(c, v, sql);
        step = send_query(c, m, n, v);
    }
    verdict_unref(c->engine->tenant, v);
    return c->closing ? STEP_GONE : step;
}
