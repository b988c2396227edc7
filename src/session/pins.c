/* SPDX-License-Identifier: ISC */
/* Servers that stay with their clients: what they hold, asking them, the limit. */
#include "session/pins.h"

#include "session/counts.h"
#include "session/ears.h"
#include "session/session.h"

#include "tenant/redact.h"

#include <stdlib.h>
#include <string.h>

/* Everything by its full name: the client's search_path and operators are its own business. The
 * namespace's dependents are all that lives in pg_temp (1259, 2615: no system has others). */
static const char question[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype OPERATOR(pg_catalog.=) "
    "'advisory'::pg_catalog.text AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), "
    "EXISTS (SELECT FROM pg_catalog.pg_cursors c WHERE c.is_holdable), "
    "EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) "
    "2615::pg_catalog.oid AND d.refobjid OPERATOR(pg_catalog.=) "
    "pg_catalog.pg_my_temp_schema()), "
    "EXISTS (SELECT FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql);";
static const unsigned columns[] = { PIN_ADVISORY, PIN_HOLD, PIN_TEMP, PIN_PREPARE };
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char channels_question[] = "SELECT pg_catalog.pg_listening_channels(); UNLISTEN *;";

void pins_names(unsigned kinds, struct buf *out)
{
    static const char *const names[] = { "advisory_lock", "held_cursor", "temporary_object",
                                         "prepared_statement", "unknown" };
    bool more = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(kinds & (1u << i)))
            continue;
        if (more)
            buf_char(out, '+');
        buf_text_append(out, text_of(names[i]));
        more = true;
    }
}

static void show(struct server *s)
{
    struct pins *p = s->pins;
    p->shown = count_pins(shard_stats(s->shard, s->shard->engine), p->shown, p->held);
}

/* ---- the limit ---- */

/* Half of the pool unless max_pinned_servers says otherwise; 0 = none. */
static int64_t limit(const struct shard *sh)
{
    int64_t max = sh->engine->setup->g.max_pinned_servers, size = sh->limits.pool_size;

    if (max >= 0)
        return max;
    return size <= 0 ? 0 : size < 2 ? 1 : size / 2;
}

/* Only what is known to be held counts: a statement whose traces are gone with its transaction is
 * not refused because others do the same at the moment. */
static bool full(const struct shard *sh)
{
    int64_t max = limit(sh);

    return max > 0 && atomic_load(&sh->pool->pinned) >= max;
}

static void count(struct server *s)
{
    if (s->pins->counted)
        return;
    s->pins->counted = true;
    atomic_fetch_add(&s->shard->pool->pinned, 1);
}

void pins_free(struct server *s)
{
    if (!s->pins)
        return;
    if (s->pins->logged)
        server_log(s, LOG_LV_LOG, "no longer pinned");
    if (s->pins->counted)
        atomic_fetch_sub(&s->shard->pool->pinned, 1);
    s->pins->held = 0;
    show(s);
    free(s->pins);
    s->pins = NULL;
}

/* ---- statements ---- */

static struct pins *pins_new(struct server *s, struct text sql)
{
    struct buf b;

    buf_init(&b);
    redact(sql, false, &b);
    buf_char(&b, '\0');
    struct pins *p = b.failed ? NULL : malloc(sizeof(*p) + b.n);
    if (p) {
        *p = (struct pins){ .since = s->shard->engine->loop.now };
        memcpy(p->sql, b.p, b.n);
    }
    buf_release(&b);
    return p;
}

static bool note(struct client *c, unsigned kinds, struct text sql, bool simple, bool unseen)
{
    struct server *s = c->server;

    if (!s->pins) {
        if (!unseen && full(s->shard)) {
            stat_inc(&shard_stats(s->shard, c->engine)->pins_refused);
            client_refuse_text(c, simple, "53300",
                               "too many servers of the pool are pinned to clients "
                               "(max_pinned_servers)");
            return false;
        }
        s->pins = pins_new(s, sql);
        if (!s->pins) {
            client_drop(c, "out of memory");
            return false;
        }
    }
    s->pins->maybe |= kinds & PIN_ASKABLE;
    s->pins->held |= kinds & PIN_UNKNOWN;
    if (s->pins->held) {
        count(s);
        show(s);
    }
    return true;
}

bool pins_note(struct client *c, unsigned kinds, struct text sql, bool simple)
{
    return note(c, kinds, sql, simple, false);
}

bool pins_note_unseen(struct client *c)
{
    return note(c, PIN_ASKABLE, TEXT("(a statement too long to be looked at)"), true, true);
}

void pins_doubt(struct server *s)
{
    if (s->pins)
        s->pins->maybe |= (s->pins->held | s->pins->asked) & PIN_ASKABLE; /* asked: too early */
}

bool pins_kept(const struct client *c, unsigned kinds)
{
    const struct pins *p = c->server ? c->server->pins : NULL;

    return p && ((p->held | p->maybe | p->asked) & kinds) != 0;
}

/* ---- asking ---- */

static bool ask(struct server *s, bool channels)
{
    struct pins *p = s->pins && s->pins->maybe ? s->pins : NULL;
    struct buf sql;

    buf_init(&sql);
    if (p)
        buf_text_append(&sql, text_of(question));
    if (channels)
        buf_text_append(&sql, text_of(channels_question));
    bool ok = !sql.failed && server_own_query(s, buf_text(&sql), 0);
    buf_release(&sql);
    if (!ok) {
        server_close(s, "53200", "out of memory");
        return true;
    }
    pending_last(s->pending)->note = NOTE_ASKED;
    if (p) {
        p->asked = p->maybe;
        p->maybe = 0;
        p->has_row = false;
    }
    if (channels)
        ears_asked(s->client);
    return true;
}

bool pins_keep(struct server *s)
{
    bool channels = s->client && ears_ask(s->client);

    if (channels || (s->pins && s->pins->maybe))
        return ask(s, channels);
    return s->pins != NULL;
}

void pins_row(struct server *s, const char *body, size_t n)
{
    struct rd r = rd_init(body, n);
    uint16_t n_columns = rd_u16(&r);
    struct pins *p = s->pins;

    for (uint16_t i = 0; i < n_columns && !r.bad; i++) {
        uint32_t len = rd_u32(&r);
        struct text v = rd_bytes(&r, len);
        if (r.bad)
            return;
        if (n_columns == 1 && s->client && s->client->ears)
            ears_channel(s->client, v);
        else if (n_columns == N_COLUMNS && p && text_is(v, "t"))
            p->held |= columns[i];
        else if (n_columns == N_COLUMNS && p)
            p->held &= ~columns[i];
    }
    if (n_columns == N_COLUMNS && p)
        p->has_row = !r.bad;
}

static void log_pin(struct server *s)
{
    struct pins *p = s->pins;
    struct buf names;

    if (p->logged)
        return;
    p->logged = true;
    buf_init(&names);
    pins_names(p->held, &names);
    if (!names.failed)
        client_log(s->client, LOG_LV_LOG, "pinned to its server (%.*s): %s",
                   TEXT_ARG(buf_text(&names)), p->sql);
    buf_release(&names);
}

bool pins_answered(struct server *s)
{
    struct pins *p = s->pins;

    if (p && p->asked) {
        if (!p->has_row)
            p->held |= p->asked;
        p->asked = 0;
        show(s);
        if (p->held) {
            count(s);
            log_pin(s);
        } else if (!p->maybe) {
            pins_free(s);
        }
    }
    if (s->client && s->client->ears && ears_waits_for_server(s->client))
        return ears_answered(s->client);
    return !s->dying;
}
