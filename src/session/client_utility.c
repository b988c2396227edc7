/* SPDX-License-Identifier: ISC */
/*
 * What statements do to the session of an enforced client, beyond their rows: channels and held
 * cursors need a server that stays, a reset is followed by binding the tenant again, and WHERE
 * CURRENT OF needs a cursor whose rows are known to be the tenant's.
 */
#include "session/utility.h"

#include "session/binding.h"
#include "session/session.h"
#include "tenant/utility.h"
#include "wire/fields.h"

#include <stdio.h>
#include <stdlib.h>

/* The statement that is looked at. */
struct looked {
    struct verdict *v; /* NULL: none */
    struct text sql;
    bool simple;
};

static bool refuse(struct client *c, const struct looked *at, enum refusal why, const char *detail,
                   const char *hint)
{
    struct tenant_refusal r = { .reason = why, .detail = text_of(detail), .hint = text_of(hint) };
    char message[200];
    struct buf b;

    snprintf(message, sizeof(message), "tenant isolation: %s (%s)", refusal_text(why),
             refusal_name(why));
    r.message = text_of(message);
    client_note_refusal(c, why, r.detail, at->v, at->sql);
    buf_init(&b);
    refusal_error(&r, &b);
    client_refuse(c, at->simple, &b);
    buf_release(&b);
    return false;
}

/* ---- names of cursors and portals ---- */

/* What the name may have been since the client last had no transaction. The server decides which of
 * them it is: an open that fails leaves the one before. So nothing is taken back before the server
 * said that no transaction is open. */
#define MAX_PORTALS 10000
enum { NAME_SIMPLE = 1, NAME_OTHER = 2, NAME_PINNED = 4 };

struct portal_name {
    unsigned was;
    char name[];
};

static struct portal_name *note(struct client *c, struct text name, unsigned what)
{
    struct portal_name *p = map_get(&c->portals, name);
    if (!p && map_count(&c->portals) >= MAX_PORTALS)
        return NULL;
    if (!p) {
        p = malloc(sizeof(*p) + name.n + 1);
        if (!p)
            return NULL;
        p->was = 0;
        memcpy(p->name, name.p, name.n);
        p->name[name.n] = '\0';
        map_put(&c->portals, text_n(p->name, name.n), p);
    }
    p->was |= what;
    return p;
}

void client_portals_clear(struct client *c)
{
    size_t pos = 0;
    struct text key;
    void *value;

    c->reset_bound = c->discard_bound = false;
    if (map_count(&c->portals) == 0)
        return;
    while (map_next(&c->portals, &pos, &key, &value))
        free(value);
    map_release(&c->portals);
    map_init(&c->portals);
}

static bool out_of_memory(struct client *c)
{
    client_drop(c, map_count(&c->portals) >= MAX_PORTALS ? "too many cursors and portals"
                                                         : "out of memory");
    return false;
}

static bool pinned(struct client *c, const struct looked *at, struct text name)
{
    const struct portal_name *p = map_get(&c->portals, name);
    if (!p || !(p->was & NAME_PINNED))
        return true;
    return refuse(c, at, REFUSAL_current_of,
                  "A statement with WHERE CURRENT OF waits for the cursor of that name.",
                  "Use another name.");
}

bool client_portal_bound(struct client *c, struct text name)
{
    static const struct looked none = { NULL, { NULL, 0 }, false };

    if (name.n == 0)
        return true;
    if (!pinned(c, &none, name))
        return false;
    return note(c, name, NAME_OTHER) || out_of_memory(c);
}

static bool cursor_ok(struct client *c, const struct sql_cursor *k, const struct looked *at)
{
    const struct portal_name *p;

    switch (k->what) {
    case SQL_CURSOR_SIMPLE:
        return note(c, k->name, NAME_SIMPLE) || out_of_memory(c);
    case SQL_CURSOR_OTHER:
        return pinned(c, at, k->name) && (note(c, k->name, NAME_OTHER) || out_of_memory(c));
    case SQL_CURSOR_USED:
        break;
    }
    p = map_get(&c->portals, k->name);
    if (!p || (p->was & (NAME_SIMPLE | NAME_OTHER)) != NAME_SIMPLE)
        return refuse(
            c, at, REFUSAL_current_of,
            "The cursor was not declared in this transaction FOR UPDATE of one tenant table "
            "alone.",
            "Declare it so, or change the row by its key.");
    return at->simple || note(c, k->name, NAME_PINNED) || out_of_memory(c);
}

/* ---- before and behind a statement ---- */

bool client_utility_ok(struct client *c, struct verdict *v, struct text sql, bool simple)
{
    const struct looked looked = { v, sql, simple }, *at = &looked;
    const char *query = c->shard->db ? c->shard->db->connect_query : NULL;

    if ((v->effects & EFFECT_LISTEN) && c->pool_mode != POOL_SESSION && !c->virtual_state)
        return refuse(c, at, REFUSAL_notify,
                      "Notifications reach the client only where it keeps its server.",
                      "Use pool_mode=session for clients that listen.");
    if ((v->effects & EFFECT_HOLD) && c->pool_mode != POOL_SESSION && !c->virtual_state)
        return refuse(c, at, REFUSAL_cursor_hold,
                      "The cursor would stay on a server that other clients use.",
                      "Declare it without HOLD, within the transaction, or use pool_mode=session.");
    if ((v->effects & EFFECT_RESET) && query && *query)
        return refuse(c, at, REFUSAL_setting, "It would undo connect_query of the database.",
                      "Reset settings by name.");
    for (const struct sql_cursor *k = v->cursors; k; k = k->next)
        if (!cursor_ok(c, k, at))
            return false;
    return true;
}

bool client_utility_sent(struct client *c, const struct verdict *v, bool simple)
{
    struct server *s = c->server;

    if ((v->effects & EFFECT_LISTEN) && !c->virtual_state)
        s->listens = true;
    if ((v->effects & EFFECT_HOLD) && !c->virtual_state)
        s->holds = true;
    if (!(v->effects & EFFECT_RESET))
        return true;
    if (!simple) { /* at Bind: it runs with one of the Executes to come */
        c->reset_bound = true;
        if (v->effects & EFFECT_DISCARD)
            c->discard_bound = true;
        return true;
    }
    return binding_renew(c, s) || out_of_memory(c);
}

bool client_utility_executed(struct client *c)
{
    if (!c->reset_bound)
        return true;
    return binding_renew_extended(c, c->server) || c->closing || out_of_memory(c);
}

/* ---- notifications ---- */

bool client_notification(const struct client *c, const char *m, uint32_t len, struct buf *out)
{
    struct rd r = rd_init(m + 5, len - 5);
    uint32_t pid = rd_u32(&r);
    struct text channel = rd_cstr(&r), payload = rd_cstr(&r);
    char prefix[CHANNEL_PREFIX + 1];

    if (r.bad || !channel_prefix(&c->identity, prefix) ||
        !text_starts(channel, text_n(prefix, CHANNEL_PREFIX)))
        return false;
    size_t mark = msg_begin(out, 'A');
    msg_u32(out, pid);
    msg_cstr(out, text_n(channel.p + CHANNEL_PREFIX, channel.n - CHANNEL_PREFIX));
    msg_cstr(out, payload);
    msg_end(out, mark);
    return true;
}
