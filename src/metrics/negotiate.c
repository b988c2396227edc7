/* SPDX-License-Identifier: ISC */
/* Lists of ranges with q-values. */
#include "metrics/negotiate.h"

#define Q_ONE 1000 /* q in thousandths */
#define Q_NONE (-1)

/* The end of a part: at the first `sep` outside of quotes. */
static size_t part_length(struct text t, char sep)
{
    bool quoted = false;

    for (size_t i = 0; i < t.n; i++) {
        if (quoted && t.p[i] == '\\')
            i++;
        else if (t.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && t.p[i] == sep)
            return i;
    }
    return t.n;
}

/* Takes the next part off *rest; false when nothing is left. */
static bool next_part(struct text *rest, char sep, struct text *part)
{
    if (!rest->p)
        return false;
    size_t n = part_length(*rest, sep);
    *part = text_trim(text_n(rest->p, n));
    *rest = n < rest->n ? text_n(rest->p + n + 1, rest->n - n - 1) : text_n(NULL, 0);
    return true;
}

/* "0.25" → 250; Q_NONE when it is no such number. */
static int q_value(struct text t)
{
    int q = 0, unit = Q_ONE;

    if (t.n == 0 || t.n > 5 || (t.p[0] != '0' && t.p[0] != '1') || (t.n > 1 && t.p[1] != '.'))
        return Q_NONE;
    q = (t.p[0] - '0') * unit;
    for (size_t i = 2; i < t.n; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return Q_NONE;
        unit /= 10;
        q += (t.p[i] - '0') * unit;
    }
    return q <= Q_ONE ? q : Q_NONE;
}

static struct text unquoted(struct text t)
{
    return t.n >= 2 && t.p[0] == '"' && t.p[t.n - 1] == '"' ? text_n(t.p + 1, t.n - 2) : t;
}

struct range {
    struct text name;
    struct text version; /* empty: not said */
    int q;
};

/* false: nothing left. A range that cannot be read has q = Q_NONE. */
static bool next_range(struct text *rest, struct range *r)
{
    struct text one, part;

    if (!next_part(rest, ',', &one))
        return false;
    *r = (struct range){ .q = Q_ONE };
    if (!next_part(&one, ';', &r->name))
        return true;
    while (next_part(&one, ';', &part)) {
        const char *is = part.n ? memchr(part.p, '=', part.n) : NULL;
        if (!is)
            continue;
        struct text name = text_trim(text_n(part.p, (size_t)(is - part.p)));
        struct text value = text_trim(text_n(is + 1, part.n - (size_t)(is - part.p) - 1));
        if (text_is_i(name, "q"))
            r->q = q_value(value);
        else if (text_is_i(name, "version"))
            r->version = unquoted(value);
    }
    return true;
}

/* How exactly a range names the text format: 0 not at all, else the more the higher. */
static int names_text(const struct range *r)
{
    if (text_is_i(r->name, "text/plain"))
        return r->version.n == 0 ? 3 : text_is(r->version, "0.0.4") ? 4 : 0;
    if (text_is_i(r->name, "text/*"))
        return 2;
    return text_is(r->name, "*/*") ? 1 : 0;
}

static int names_openmetrics(const struct range *r)
{
    if (!text_is_i(r->name, "application/openmetrics-text"))
        return 0;
    return r->version.n == 0 ? 1 : text_is(r->version, "1.0.0") ? 2 : 0;
}

/* The most exact range says how much something is wanted. */
struct wanted {
    int exact, q;
};

static void want(struct wanted *w, int exact, int q)
{
    if (exact == 0 || exact < w->exact)
        return;
    w->q = exact > w->exact || q > w->q ? q : w->q;
    w->exact = exact;
}

bool negotiate_openmetrics(struct text accept)
{
    struct wanted text = { 0, 0 }, open = { 0, 0 };
    struct range r;

    while (next_range(&accept, &r)) {
        if (r.q == Q_NONE)
            continue;
        want(&text, names_text(&r), r.q);
        want(&open, names_openmetrics(&r), r.q);
    }
    return open.q > 0 && open.q >= text.q;
}

bool negotiate_gzip(struct text accept_encoding)
{
    struct wanted gzip = { 0, 0 }, plain = { 0, 0 };
    struct range r;

    while (next_range(&accept_encoding, &r)) {
        if (r.q == Q_NONE)
            continue;
        if (text_is_i(r.name, "gzip") || text_is_i(r.name, "x-gzip"))
            want(&gzip, 2, r.q);
        else if (text_is(r.name, "*"))
            want(&gzip, 1, r.q);
        else if (text_is_i(r.name, "identity"))
            want(&plain, 1, r.q);
    }
    return gzip.q > 0 && gzip.q >= plain.q;
}

static struct text opaque(struct text tag)
{
    return text_starts(tag, TEXT("W/")) ? text_n(tag.p + 2, tag.n - 2) : tag;
}

bool negotiate_etag(struct text if_none_match, struct text tag)
{
    struct text one;

    while (next_part(&if_none_match, ',', &one))
        if (text_is(one, "*") || (one.n > 0 && text_eq(opaque(one), opaque(tag))))
            return true;
    return false;
}
