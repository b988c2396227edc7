/* SPDX-License-Identifier: ISC */
/* Tenants that use most: a worker's lists, and putting them together. */
#include "session/top.h"

#include "session/engine.h"
#include "session/notes.h"

#include <stdlib.h>

#define GROWTH 1.0011559 /* of the unit in a second: twice after TOP_HALF_LIFE */
#define UNIT_MAX 1e100

/* ---- a worker's lists ---- */

void top_limit(struct top *t, int k, usec_t now)
{
    int limit = k < 0 ? 0 : k > TOP_MAX ? TOP_HELD : 2 * k;

    if (t->unit == 0) {
        t->unit = 1;
        t->unit_at = now;
    }
    if (limit == t->limit)
        return;
    t->limit = limit;
    for (int m = 0; m < TOP_MEASURES; m++) {
        for (int i = 0; i < t->n[m]; i++)
            t->held[m][i]->use.held = 0;
        t->n[m] = 0;
        t->bar[m] = 0;
    }
}

static int least_of(const struct top *t, int m)
{
    int at = 0;
    for (int i = 1; i < t->n[m]; i++)
        if (t->held[m][i]->use.score[m] < t->held[m][at]->use.score[m])
            at = i;
    return at;
}

/* An eighth above the least, and by eight units at least. */
static double bar_over(const struct top *t, int m)
{
    double least = t->held[m][least_of(t, m)]->use.score[m];
    double eighth = least / 8, eight = 8 * t->unit;
    return least + (eighth > eight ? eighth : eight);
}

static void hold(struct top *t, struct tenant_note *note, int m)
{
    int at = t->n[m];

    if (at >= t->limit) {
        t->bar[m] = bar_over(t, m); /* those in the list have grown */
        if (note->use.score[m] <= t->bar[m])
            return;
        at = least_of(t, m);
        t->held[m][at]->use.held &= ~(1U << m);
    } else {
        t->n[m]++;
    }
    t->held[m][at] = note;
    note->use.top = t;
    note->use.held |= 1U << m;
    if (t->n[m] == t->limit)
        t->bar[m] = bar_over(t, m);
}

void top_add(struct top *t, struct tenant_note *note, enum top_measure m, uint64_t by)
{
    if (!t->limit)
        return;
    note->use.n[m] += by;
    t->total[m] += by;
    note->use.score[m] += (double)by * t->unit;
    if (note->use.score[m] > t->bar[m] && !(note->use.held & 1U << m))
        hold(t, note, m);
}

bool top_tick(struct top *t, usec_t now, double *divisor)
{
    if (!t->limit)
        t->unit_at = now;
    for (; now > t->unit_at && now - t->unit_at >= USEC_PER_SEC; t->unit_at += USEC_PER_SEC) {
        t->unit *= GROWTH;
        if (t->unit > UNIT_MAX)
            break;
    }
    if (t->unit <= UNIT_MAX)
        return false;
    *divisor = t->unit;
    for (int m = 0; m < TOP_MEASURES; m++)
        t->bar[m] /= t->unit;
    t->unit = 1;
    return true;
}

void top_scale(struct tenant_note *note, double divisor)
{
    for (int m = 0; m < TOP_MEASURES; m++)
        note->use.score[m] /= divisor;
}

void top_forget(struct tenant_note *note)
{
    struct top *t = note->use.top;

    for (int m = 0; m < TOP_MEASURES && note->use.held; m++) {
        if (!(note->use.held & 1U << m))
            continue;
        note->use.held &= ~(1U << m);
        for (int i = 0; i < t->n[m]; i++)
            if (t->held[m][i] == note) {
                t->held[m][i] = t->held[m][--t->n[m]];
                break;
            }
        t->bar[m] = 0;
    }
}

/* ---- gathering ---- */

struct row {
    struct top_row row;
    char name[];
};

struct part {
    struct row **rows;
    int n, cap;
    uint64_t total[TOP_MEASURES];
    bool failed;
};

struct run {
    struct hub *hub;
    void (*done)(void *arg, const struct top_found *f);
    void *arg;
    struct arena arena; /* names; not changed while workers look */
    struct text *names;
    int n_names;
    struct part part[MAX_WORKERS];
};

static void report(struct part *p, const struct top *t, const struct tenant_note *note, bool exact)
{
    if (p->n == p->cap) {
        int cap = p->cap ? p->cap * 2 : 64;
        struct row **more = realloc(p->rows, sizeof(struct row *) * (size_t)cap);
        if (!more) {
            p->failed = true;
            return;
        }
        p->rows = more;
        p->cap = cap;
    }
    struct row *r = calloc(1, sizeof(*r) + note->name.n);
    if (!r) {
        p->failed = true;
        return;
    }
    if (note->name.n)
        memcpy(r->name, note->name.p, note->name.n);
    r->row.name = text_n(r->name, note->name.n);
    r->row.exact = exact;
    for (int m = 0; m < TOP_MEASURES; m++) {
        r->row.n[m] = note->use.n[m];
        r->row.recent[m] = note->use.score[m] / t->unit;
    }
    p->rows[p->n++] = r;
}

static void look(struct engine *e, void *arg)
{
    struct run *r = arg;
    struct part *p = &r->part[e->id];
    struct top *t = &e->top;

    t->serial++;
    for (int i = 0; i < r->n_names; i++) {
        struct tenant_note *note = notes_tenant(e->notes, r->names[i]);
        if (!note)
            continue;
        note->use.gathered = t->serial;
        report(p, t, note, true);
    }
    for (int m = 0; m < TOP_MEASURES; m++) {
        p->total[m] = t->total[m];
        for (int i = 0; i < t->n[m]; i++) {
            struct tenant_note *note = t->held[m][i];
            if (note->use.gathered == t->serial)
                continue;
            note->use.gathered = t->serial;
            report(p, t, note, false);
        }
    }
}

static void add_row(struct top_row *to, const struct top_row *from)
{
    to->exact |= from->exact;
    for (int m = 0; m < TOP_MEASURES; m++) {
        to->n[m] += from->n[m];
        to->recent[m] += from->recent[m];
    }
}

static void put_together(struct run *r, struct top_row *rows, struct top_found *f)
{
    struct map by_name;

    map_init(&by_name);
    for (int w = 0; w < r->hub->n_engines; w++) {
        for (int i = 0; i < r->part[w].n; i++) {
            const struct top_row *one = &r->part[w].rows[i]->row;
            struct top_row *known = map_get(&by_name, one->name);
            if (known) {
                add_row(known, one);
                continue;
            }
            rows[f->n_rows] = *one;
            map_put(&by_name, one->name, &rows[f->n_rows++]);
        }
        for (int m = 0; m < TOP_MEASURES; m++)
            f->total[m] += r->part[w].total[m];
    }
    map_release(&by_name);
    f->rows = rows;
}

static void release(struct run *r)
{
    for (int w = 0; w < MAX_WORKERS; w++) {
        for (int i = 0; i < r->part[w].n; i++)
            free(r->part[w].rows[i]);
        free(r->part[w].rows);
    }
    arena_release(&r->arena);
    free(r);
}

static void looked(void *arg)
{
    struct run *r = arg;
    struct top_found f = { 0 };
    size_t n = 0;
    bool ok = true;

    for (int w = 0; w < r->hub->n_engines; w++) {
        n += (size_t)r->part[w].n;
        ok &= !r->part[w].failed;
    }
    struct top_row *rows = ok ? calloc(n + 1, sizeof(*rows)) : NULL;
    if (rows)
        put_together(r, rows, &f);
    r->done(r->arg, rows ? &f : NULL);
    free(rows);
    release(r);
}

void top_gather(struct hub *h, const struct text *names, int n_names,
                void (*done)(void *arg, const struct top_found *f), void *arg)
{
    struct run *r = calloc(1, sizeof(*r));

    if (!r) {
        done(arg, NULL);
        return;
    }
    r->hub = h;
    r->done = done;
    r->arg = arg;
    arena_init(&r->arena, 4096);
    r->names = arena_alloc(&r->arena, sizeof(*r->names) * (size_t)(n_names + 1));
    for (int i = 0; i < n_names; i++)
        r->names[i] = arena_text(&r->arena, names[i]);
    r->n_names = n_names;
    if (!hub_call(h, look, r, looked)) {
        release(r);
        done(arg, NULL);
    }
}
