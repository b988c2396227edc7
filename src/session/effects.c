/* SPDX-License-Identifier: ISC */
/* From the effects of a text to channels and pins. */
#include "session/effects.h"

#include "session/ears.h"
#include "session/extended.h"
#include "session/pins.h"
#include "session/record.h"
#include "session/state.h"

#include "tenant/utility.h"
#include "wire/query.h"

#include <stdlib.h>
#include <string.h>

#define CHANNEL_BYTES 63 /* of a name on the server */

static const uint32_t channel_kinds =
    FX_BIT(FX_LISTEN) | FX_BIT(FX_UNLISTEN) | FX_BIT(FX_NOTIFY) | FX_BIT(FX_DISCARD_ALL);
static const uint32_t loosening = FX_BIT(FX_UNLOCK) | FX_BIT(FX_UNLOCK_ALL) | FX_BIT(FX_CLOSE) |
                                  FX_BIT(FX_DISCARD_ALL) | FX_BIT(FX_DISCARD_TEMP) |
                                  FX_BIT(FX_DEALLOCATE);

/* ---- channels ---- */

/* As the server cuts names: whole characters only. */
static struct text cut(struct text name)
{
    size_t n = name.n;

    if (n > CHANNEL_BYTES)
        for (n = CHANNEL_BYTES; n > 0 && ((unsigned char)name.p[n] & 0xc0) == 0x80;)
            n--;
    return text_n(name.p, n);
}

/* The channel's name on the server. false: there is none. */
static bool server_channel(const struct client *c, struct text name, char *out, size_t cap,
                           struct text *to)
{
    char prefix[CHANNEL_PREFIX + 1];

    *to = cut(name);
    if (!client_enforced(c) || name.n == 0)
        return true;
    if (!channel_prefix(&c->identity, prefix) || CHANNEL_PREFIX + name.n > cap)
        return false;
    memcpy(out, prefix, CHANNEL_PREFIX);
    memcpy(out + CHANNEL_PREFIX, name.p, name.n);
    *to = text_n(out, CHANNEL_PREFIX + name.n);
    return true;
}

/* Is what is sent behind the text undone by what undoes the text, and by nothing else? Of a Query
 * only where nothing but LISTEN and UNLISTEN is in it: no COPY, which could not have it behind. */
static bool goes_together(const struct client *c, const struct effects *fx, bool simple)
{
    static const uint32_t harmless = FX_BIT(FX_LISTEN) | FX_BIT(FX_UNLISTEN);

    if (c->server->standby == ROLE_YES) /* LISTEN is an error there */
        return false;
    return !simple || (c->server->status == 'T' && !c->extended && !(fx->kinds & ~harmless) &&
                       fx->n == fx->n_statements);
}

static bool note_channels(struct client *c, const struct effects *fx, bool simple)
{
    if ((fx->kinds & FX_BIT(FX_UNLISTEN)) && goes_together(c, fx, simple))
        ears_mark(c);
    for (int i = 0; i < fx->n; i++) {
        const struct effect *x = &fx->list[i];
        char room[CHANNEL_BYTES + 1];
        struct text name;
        enum ears_what what = x->kind == FX_LISTEN   ? EARS_LISTEN
                              : x->kind == FX_NOTIFY ? EARS_NOTIFY
                                                     : EARS_UNLISTEN;
        if (!(channel_kinds & FX_BIT(x->kind)) || (x->kind == FX_DISCARD_ALL && !c->ears))
            continue;
        struct text said = x->kind == FX_DISCARD_ALL ? TEXT("") : x->name;
        if (server_channel(c, said, room, sizeof(room), &name) && !ears_sent(c, what, name))
            return false;
    }
    return true;
}

/* ---- pins ---- */

static unsigned pin_kinds(const struct client *c, const struct effects *fx)
{
    static const struct {
        enum effect_kind kind;
        unsigned pins;
    } table[] = {
        { FX_LOCK, PIN_ADVISORY },
        { FX_HOLD, PIN_HOLD },
        { FX_TEMP, PIN_TEMP },
        { FX_LOAD, PIN_UNKNOWN },
        { FX_DO, PIN_ADVISORY | PIN_HOLD | PIN_TEMP },
        { FX_UNKNOWN, PIN_ASKABLE },
    };
    unsigned kinds = 0;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (fx->kinds & FX_BIT(table[i].kind))
            kinds |= table[i].pins;
    if ((fx->kinds & FX_BIT(FX_PREPARE)) && !client_enforced(c))
        kinds |= PIN_PREPARE;
    return kinds;
}

enum step effects_before(struct client *c, const struct effects *fx, struct text sql, bool simple,
                         bool *refused)
{
    *refused = false;
    if (!fx || !c->virtual_state)
        return STEP_DONE;
    unsigned kinds = pin_kinds(c, fx);
    bool channels = (fx->kinds & channel_kinds & ~FX_BIT(FX_DISCARD_ALL)) != 0 ||
                    ((fx->kinds & FX_BIT(FX_DISCARD_ALL)) && c->ears);
    if (channels && !ears_may_send(c))
        return STEP_WAIT;
    if (!kinds && !channels && !((fx->kinds & loosening) && c->server && c->server->pins))
        return STEP_DONE;
    if (!client_need_server(c))
        return c->closing ? STEP_GONE : STEP_WAIT;
    if (kinds && !pins_note(c, kinds, sql, simple)) {
        *refused = true;
        return c->closing ? STEP_GONE : STEP_DONE;
    }
    if (fx->kinds & loosening)
        pins_doubt(c->server);
    return !channels || note_channels(c, fx, simple) ? STEP_DONE : STEP_GONE;
}

/* ---- a Query ---- */

bool effects_guarded(struct client *c, const struct verdict *v, struct text sql, enum step *step)
{
    struct effects *fx = NULL;
    bool refused = false;

    *step = STEP_DONE;
    /* what an enforced client may run and what it does is in its verdict */
    if (client_enforced(c) && v->kind != STMT_UTILITY && v->kind != STMT_OTHER &&
        v->kind != STMT_DDL && !v->effects)
        return true;
    if (!state_effects(c, sql, &fx)) {
        client_drop(c, "out of memory");
        *step = STEP_GONE;
        return false;
    }
    *step = effects_before(c, fx, sql, true, &refused);
    free(fx);
    return *step == STEP_DONE && !refused;
}

enum step effects_unseen(struct client *c)
{
    if (!state_sent_unseen(c)) {
        client_drop(c, "out of memory");
        return STEP_GONE;
    }
    return pins_note_unseen(c) ? STEP_DONE : STEP_GONE;
}

bool effects_function(struct client *c, const char *body, size_t n)
{
    struct rd r = rd_init(body, n);
    uint32_t oid = rd_u32(&r);

    /* advisory locks of the session (pg_proc.dat) */
    return !c->virtual_state || r.bad || oid < 2880 || oid > 2892 ||
           pins_note(c, PIN_ADVISORY, TEXT("(a function call)"), true);
}

enum step effects_bind(struct client *c, const struct stmt *st, bool *refused)
{
    *refused = false;
    if (!c->virtual_state || !st->maybe_effects)
        return STEP_DONE;
    return effects_before(c, st->effects, st->sql, false, refused);
}

enum step effects_query(struct client *c, const struct effects *fx, struct text sql)
{
    bool refused = false;
    enum step step = STEP_MORE;

    if (effects_have(fx, FX_BIT(FX_PREPARE) | FX_BIT(FX_EXECUTE) | FX_BIT(FX_DEALLOCATE)))
        step = client_sql_prepared(c, fx, sql);
    if (step == STEP_DONE)
        record_exempt(c, sql);
    if (step != STEP_MORE)
        return step == STEP_DONE ? STEP_MORE : step;
    step = effects_before(c, fx, sql, true, &refused);
    return c->closing ? STEP_GONE : refused ? STEP_MORE : step;
}
