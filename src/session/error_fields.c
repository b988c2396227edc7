/* SPDX-License-Identifier: ISC */
/* What a tenant sees of errors and notices: a table by SQLSTATE says which fields stay. */
#include "session/error_fields.h"

#include "session/session.h"

enum keep { DROP, KEEP, KEY, DATA };
static const struct rule {
    const char *state;
    enum keep detail, hint, context;
} rules[] = {
#define REDACT(state, detail, hint, context) { state, detail, hint, context },
#include "session/error_fields.def"
};

/* The fields that the decision depends on. */
struct seen {
    struct text state, detail, context, schema, table, constraint;
    bool internal; /* raised inside of a function */
};

static void look(const char *body, size_t n, struct seen *f)
{
    struct rd in = rd_init(body, n);

    *f = (struct seen){ .internal = false };
    for (uint8_t code; (code = rd_u8(&in)) != 0 && !in.bad;) {
        struct text value = rd_cstr(&in);
        switch (code) {
        case 'C':
            f->state = value;
            break;
        case 'D':
            f->detail = value;
            break;
        case 'W':
            f->context = value;
            break;
        case 's':
            f->schema = value;
            break;
        case 't':
            f->table = value;
            break;
        case 'n':
            f->constraint = value;
            break;
        case 'q':
            f->internal = true;
            break;
        default:
            break;
        }
    }
}

static const struct rule *rule_for(struct text state)
{
    size_t i = 0;

    while (!text_starts(state, text_of(rules[i].state)))
        i++;
    return &rules[i]; /* the last one fits everything */
}

/* One line, of the two kinds that show what the client sent. */
static bool own_data(struct text context)
{
    return !memchr(context.p, '\n', context.n) &&
           (text_starts(context, TEXT("COPY ")) || text_starts(context, TEXT("JSON data")));
}

static bool shows(const struct client *c, const struct rule *r, const struct seen *f, uint8_t code)
{
    switch (code) {
    case 'D':
        return r->detail == KEEP || (r->detail == KEY && c->policy &&
                                     policy_own_key(c->policy, &c->identity, f->schema, f->table,
                                                    f->constraint, f->detail));
    case 'H':
        return r->hint == KEEP;
    case 'W':
        return r->context == DATA && !f->internal && own_data(f->context);
    case 'q':
    case 'p':
        return false;
    default:
        return true;
    }
}

static bool redacts(const struct client *c)
{
    const struct database_conf *db = c->shard ? c->shard->db : NULL;

    if (db && db->tenant_redact_errors != SWITCH_UNSET)
        return db->tenant_redact_errors;
    return c->engine->setup->g.tenant_redact_errors;
}

/* The server counts in the text that it was sent. */
static int position(const struct client *c, const struct pend *p, struct text value)
{
    int64_t at;

    if (!p || !p->verdict || !text_to_int64(value, &at) || at < 1 || at > INT32_MAX)
        return 0;
    return verdict_position(p->verdict, &c->identity, (int)at);
}

void redact_message(const struct client *c, const struct pend *p, const char *m, uint32_t len,
                    struct buf *out)
{
    struct rd in = rd_init(m + 5, len - 5);
    bool all = !redacts(c);
    struct seen f;

    look(m + 5, len - 5, &f);
    const struct rule *r = rule_for(f.state);
    size_t mark = msg_begin(out, m[0]);
    for (uint8_t code; (code = rd_u8(&in)) != 0 && !in.bad;) {
        struct text value = rd_cstr(&in);
        if (code == 'P') {
            int at = position(c, p, value);
            if (at > 0) {
                msg_u8(out, code);
                buf_printf(out, "%d", at);
                msg_u8(out, 0);
            }
        } else if (all || shows(c, r, &f, code)) {
            msg_u8(out, code);
            msg_cstr(out, value);
        }
    }
    msg_u8(out, 0);
    msg_end(out, mark);
}
