/* SPDX-License-Identifier: ISC */
/* key=value pairs on one line. */
#include "conf/dsn.h"

#include "base/random.h"

#include <stdlib.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(struct text *r)
{
    while (r->n && is_space(r->p[0])) {
        r->p++;
        r->n--;
    }
}

/* r stands behind the opening quote. */
static bool take_quoted(struct text *r, struct text *value, struct secret **secrets)
{
    char *copy = malloc(r->n + 1);
    size_t n = 0, i = 0;
    bool closed = false;

    if (!copy)
        check_no_memory(r->n + 1);
    for (; i < r->n && !closed; i++) {
        if (r->p[i] != '\'')
            copy[n++] = r->p[i];
        else if (i + 1 < r->n && r->p[i + 1] == '\'')
            copy[n++] = r->p[i++];
        else
            closed = true;
    }
    if (closed) {
        *value = secret_text(secrets, text_n(copy, n));
        r->p += i;
        r->n -= i;
    }
    wipe(copy, n);
    free(copy);
    return closed;
}

enum dsn_step dsn_next(struct text *rest, struct dsn_pair *out, struct secret **secrets,
                       struct err *e)
{
    struct text r = *rest;
    size_t n = 0;

    *out = (struct dsn_pair){ 0 };
    skip_space(&r);
    if (!r.n)
        return DSN_END;
    if (r.p[0] == ';') {
        if (!memchr(r.p, '=', r.n))
            return DSN_END; /* a comment behind the last pair */
        err_set(e, "pairs are separated by spaces, and a comment stands on a line of its own");
        return DSN_BAD;
    }
    while (n < r.n && !is_space(r.p[n]) && r.p[n] != '=' && r.p[n] != '\'')
        n++;
    out->key = text_n(r.p, n);
    r.p += n;
    r.n -= n;
    skip_space(&r);
    if (!out->key.n || !r.n || r.p[0] != '=') {
        err_set(
            e, "expected key=value pairs separated by spaces; a value with spaces stands in '...'");
        return DSN_BAD;
    }
    r.p++;
    r.n--;
    skip_space(&r);
    if (r.n && r.p[0] == '\'') {
        r.p++;
        r.n--;
        out->quoted = true;
        if (!take_quoted(&r, &out->value, secrets)) {
            err_set(e, "the quote after %.*s= is not closed",
                    (int)(out->key.n < 64 ? out->key.n : 64), out->key.p);
            return DSN_BAD;
        }
        if (r.n && !is_space(r.p[0])) {
            err_set(e, "a space is missing after the quoted value of %.*s",
                    (int)(out->key.n < 64 ? out->key.n : 64), out->key.p);
            return DSN_BAD;
        }
    } else {
        for (n = 0; n < r.n && !is_space(r.p[n]);)
            n++;
        out->value = text_n(r.p, n);
        r.p += n;
        r.n -= n;
    }
    *rest = r;
    return DSN_PAIR;
}
