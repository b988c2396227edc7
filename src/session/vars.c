/* SPDX-License-Identifier: ISC */
/* Tracked parameters: names, values, and the SETs that make a server match a client. */
#include "session/vars.h"

#include "base/check.h"
#include "wire/fields.h"

#include <stdlib.h>

static const char *const standard[VARS_STANDARD] = { "client_encoding", "DateStyle", "TimeZone",
                                                     "standard_conforming_strings",
                                                     "application_name" };

void var_names_init(struct var_names *v, const struct setup *s)
{
    v->n = 0;
    for (int i = 0; i < VARS_STANDARD; i++)
        v->name[v->n++] = text_dup(text_of(standard[i]));
    for (int i = 0; i < s->n_track_extra && v->n < VARS_MAX; i++)
        if (s->track_extra[i].n && var_index(v, s->track_extra[i]) < 0)
            v->name[v->n++] = text_dup(s->track_extra[i]);
    for (int i = 0; i < v->n; i++)
        CHECK(v->name[i]);
}

void var_names_release(struct var_names *v)
{
    for (int i = 0; i < v->n; i++)
        free(v->name[i]);
    v->n = 0;
}

int var_index(const struct var_names *v, struct text name)
{
    for (int i = 0; i < v->n; i++)
        if (text_is_i(name, v->name[i]))
            return i;
    return -1;
}

/* Room of a value: whole words, zeros behind it. So values are compared word by word. */
static size_t padded(size_t n)
{
    return (n + 1 + 7) & ~(size_t)7;
}

static bool same_value(const char *a, const char *b)
{
    static const uint64_t low = 0x0101010101010101U, high = 0x8080808080808080U;
    uint64_t x, y;

    for (;; a += 8, b += 8) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        if (x != y)
            return false;
        if ((x - low) & ~x & high) /* has a zero */
            return true;
    }
}

bool vars_set(struct vars *v, int i, struct text value)
{
    if (v->value[i] && text_is(value, v->value[i]))
        return true;
    char *p = calloc(1, padded(value.n));
    if (!p)
        return false;
    if (value.n)
        memcpy(p, value.p, value.n);
    free(v->value[i]);
    v->value[i] = p;
    return true;
}

bool vars_copy(struct vars *to, const struct vars *from, const struct var_names *n)
{
    for (int i = 0; i < n->n; i++)
        if (from->value[i] && !vars_set(to, i, text_of(from->value[i])))
            return false;
    return true;
}

void vars_release(struct vars *v, const struct var_names *n)
{
    for (int i = 0; i < n->n; i++) {
        free(v->value[i]);
        v->value[i] = NULL;
    }
}

bool vars_safe(struct text name, struct text value)
{
    if (text_is(name, "client_encoding"))
        return text_is(value, "UTF8");
    if (text_is(name, "standard_conforming_strings"))
        return text_is(value, "on");
    return true;
}

int vars_diff(const struct vars *want, const struct vars *have, const struct var_names *n,
              struct buf *out, uint32_t *mask)
{
    int count = 0;

    *mask = 0;
    for (int i = 0; i < n->n; i++) {
        const char *w = want->value[i], *h = have->value[i];
        if (!w || !h || same_value(w, h))
            continue;
        /* SET takes a value of several parts apart itself, for others than the standard ones */
        buf_printf(out, i < VARS_STANDARD ? "SET %s=" : "SELECT pg_catalog.set_config('%s',",
                   n->name[i]);
        wire_quote_literal(out, text_of(w));
        buf_text_append(out, i < VARS_STANDARD ? TEXT(";") : TEXT(",false);"));
        *mask |= UINT32_C(1) << i;
        count++;
    }
    return count;
}
